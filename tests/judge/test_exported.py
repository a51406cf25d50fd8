from __future__ import annotations

import subprocess
import sys

import judge

#: Each takes longer to import than all the rest that a small program needs.
HEAVY = (
    "sqlalchemy",
    "alembic",
    "openai",
    "aiohttp",
    "genai_prices",
    "tenacity",
    "typer",
    "rich",
    "fastapi",
    "polars",
    "jinja2",
)


def test_what_the_package_exports() -> None:
    assert judge.__all__ == [
        "Grade",
        "InputError",
        "Item",
        "Judge",
        "JudgeError",
        "Outcome",
        "Paused",
        "Rubric",
        "RubricError",
        "RunBusy",
        "SetupError",
        "StoreError",
        "grade",
        "grade_many",
        "run_grades",
        "to_frame",
    ]
    assert judge.__all__ == sorted(judge.__all__)
    assert all(hasattr(judge, name) for name in judge.__all__)


def test_importing_what_people_use_loads_nothing_heavy() -> None:
    program = f"import sys; from judge import Rubric, Judge, grade; print(sorted(set({HEAVY}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"

"""LLM-as-judge grading that says how far the judge can be trusted.

`grade` and `grade_many` grade from Python; `judge grade` on the command line grades files, durably; `judge serve`
grades over HTTP.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge.errors import InputError, JudgeError, Paused, RunBusy, SetupError, StoreError
    from judge.exports import run_grades, to_frame
    from judge.grades import Grade
    from judge.items import Item
    from judge.judges import Judge
    from judge.single import grade, grade_many
    from judge.verdicts import Outcome
    from rubrics import Rubric, RubricError

__all__ = [
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

#: Where each name lives. A name is loaded when it is first used: pydantic builds each model as it is imported.
_HOMES = {
    "Grade": "judge.grades",
    "Item": "judge.items",
    "Judge": "judge.judges",
    "Outcome": "judge.verdicts",
    "Rubric": "rubrics",
    "RubricError": "rubrics",
    "grade": "judge.single",
    "grade_many": "judge.single",
    "run_grades": "judge.exports",
    "to_frame": "judge.exports",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'judge' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "judge.errors")), name)

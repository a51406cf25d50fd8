"""LLM-as-judge grading that says how far the judge can be trusted.

`grade` and `grade_many` grade from Python; `judge grade` on the command line grades files, durably; `judge serve`
grades over HTTP.
"""

from __future__ import annotations

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

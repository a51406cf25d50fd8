"""LLM-as-judge grading that says how far the judge can be trusted.

from judge import Item, Judge, Rubric, grade

result = await grade(Item(id="1", output="Paris."), Rubric.load("helpfulness"), Judge.load("openai/gpt-6-luna"))
"""

from __future__ import annotations

from judge.errors import InputError, JudgeError, Paused, RunBusy, SetupError, StoreError
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
]

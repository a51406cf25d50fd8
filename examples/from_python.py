"""Grading from Python: one item, many items, and a stored run as a data frame.

Run it with `python examples/from_python.py` after `make demo`. The judge here is simulated.
"""

from __future__ import annotations

import asyncio

from judge import Item, Judge, Rubric, grade, grade_many, run_grades, to_frame

RUBRIC = Rubric.load("helpfulness")
JUDGE = Judge.load("simulated")  # or Judge.load("openai/gpt-6-luna"), with OPENAI_API_KEY set


async def main() -> None:
    item = Item(id="capital", input="What is the capital of France?", output="Paris.")
    one = await grade(item, RUBRIC, JUDGE)
    print(one.item, one.outcome, one.score, one.trust)

    many = [Item(id=str(n), input="Add one.", output=str(n + 1)) for n in range(3)]
    async for result in grade_many(many, RUBRIC, JUDGE):
        print(result.item, result.outcome, result.score)


if __name__ == "__main__":
    asyncio.run(main())
    print(to_frame(run_grades("latest")).head())

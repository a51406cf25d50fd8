"""An example of grading, as the service describes it."""

from __future__ import annotations

from api.envelopes import Grades
from judge import Grade, Outcome
from judge.answers import CriterionFigures, RunFigures, RunSummary, Totals
from judge.estimates import Estimate, Forecast, History, Interval, Minutes
from judge.grades import CriterionGrade, JudgeRef, RubricRef, Usage
from judge.statuses import RunStatus
from rubrics import Rubric

RUBRIC = Rubric.load("helpfulness")

ITEM = {"id": "1", "input": "What is the capital of France?", "output": "Paris."}
GRADES_REQUEST = {
    "items": [ITEM],
    "rubric": RUBRIC.name,
    "judge": "openai/gpt-6-luna",
}
OF_EACH_ITEM = {
    "items": [
        {
            "id": "1",
            "output": "Paris.",
            "rubric": {"name": "capital", "criteria": [{"id": "right", "scale": "binary", "question": "Is it Paris?"}]},
        }
    ],
    "judge": "openai/gpt-6-luna",
}

_RUBRIC = RubricRef(name=RUBRIC.name, hash=RUBRIC.hash)
_JUDGE = JudgeRef(name="openai/gpt-6-luna", fingerprint="9c1f" * 16, mode="json_schema")
_USAGE = Usage(calls=1, prompt_tokens=412, completion_tokens=38, cost_usd=0.00023, latency_s=1.42)
GRADE = Grade(
    item="1",
    outcome=Outcome.SCORED,
    score=1.0,
    low=1.0,
    high=1.0,
    passed=None,
    criteria={
        "helpfulness": CriterionGrade(
            outcome=Outcome.SCORED,
            score=5.0,
            level=5,
            reason="It names the capital that was asked for.",
            scored_samples=1,
        )
    },
    rubric=_RUBRIC,
    judge=_JUDGE.model_copy(update={"model": "gpt-6-luna"}),
    usage=_USAGE,
)
GRADES = Grades(data=(GRADE,), rubric=_RUBRIC, judge=_JUDGE, usage=_USAGE)

RUN_REQUEST = {**GRADES_REQUEST, "name": "capitals", "budget_usd": 2.5}
RUN = RunStatus(
    id="5c0e7b1f9a42",
    status="running",
    name="capitals",
    rubric=_RUBRIC,
    judge=_JUDGE,
    samples=1,
    items=1,
    graded=0,
    held=0,
    open=1,
    cost_usd=0.0,
    created_at=1795688000.0,
)
ESTIMATE = Estimate(
    items=500,
    calls=480,
    answered=20,
    prompt_tokens=190_000,
    answer_tokens_at_most=1_966_080,
    worst_usd=2.9,
    expected=Forecast(
        calls=Interval(expected=484.0, low=480.0, high=490.0),
        prompt_tokens=Interval(expected=201_000.0, low=198_000.0, high=204_000.0),
        answer_tokens=Interval(expected=18_300.0, low=17_900.0, high=18_700.0),
        cost_usd=Interval(expected=0.113, low=0.11, high=0.116),
        minutes=Minutes(low=0.7, high=1.1),
        rests_on=History(
            items=2000,
            runs=3,
            same_rubric=True,
            answers=2010,
            asked_again=0.005,
            cached=0.4,
            latency_s=1.42,
            calls_a_minute=455.0,
        ),
    ),
    note="by 2,000 items in 3 runs that this judge graded by this rubric",
)
_OF_ONE = CriterionFigures(
    criterion="helpfulness",
    n=2,
    scored=1,
    scored_share=0.5,
    not_applicable=0,
    mean=5.0,
    low=3.0,
    high=5.0,
    minimum=1.0,
    maximum=5.0,
    distribution=[(5.0, 1)],
    outcomes={"scored": 1, "judge_error": 1},
    answers=[(f"{level}", float(level)) for level in range(1, 6)],
    unclipped=None,
)
_OVERALL = {"criterion": "overall", "mean": 1.0, "low": 0.5, "high": 1.0, "minimum": 0.0, "maximum": 1.0}
SUMMARY = RunSummary(
    run=RunFigures(
        id=RUN.id,
        state="done",
        dataset=RUN.name,
        dataset_hash="e3b0" * 16,
        rubric=_RUBRIC,
        judge=_JUDGE,
        round=0,
        samples=1,
        items=2,
        finished=2,
        held=0,
        created_at=RUN.created_at,
        cost_usd=0.00046,
        rescored_from=None,
    ),
    open=0,
    criteria=[_OF_ONE],
    sections=[],
    overall=_OF_ONE.model_copy(update={**_OVERALL, "distribution": [(1.0, 1)], "answers": []}),
    totals=Totals(
        calls=2,
        answered=1,
        rejected=1,
        lost=0,
        unusable=0,
        reused=0,
        possible_duplicates=0,
        prompt_tokens=824,
        completion_tokens=76,
        cost_usd=0.00046,
        models=["gpt-6-luna"],
        own_rubrics=0,
        passed=0,
        failed_required=0,
    ),
    causes=[(Outcome.JUDGE_ERROR, "deadline", 1)],
    trust="uncalibrated",
    calibration=None,
    calibrated=[],
).model_dump(mode="json")

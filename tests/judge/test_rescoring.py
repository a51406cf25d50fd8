"""Runs counted anew by other weights."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from judge import InputError, Judge, Paused, RunBusy
from judge.datasets import Dataset
from judge.exports import find_run, grades_of
from judge.rescoring import rescore
from judge.runs import Options, Run
from judge.store.store import Store
from judge.summary import summarise
from rubrics import Rubric

pytestmark = pytest.mark.anyio

OWN: dict[str, Any] = {"name": "own", "criteria": [{"id": "brief", "scale": "binary", "question": "Brief?"}]}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Thirty items, the last with a rubric of its own."""
    rows: list[dict[str, Any]] = [{"id": n, "output": f"ITEM-{n}"} for n in range(30)]
    rows[-1]["rubric"] = OWN
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset(str(path))


@pytest.fixture
def heavier(rubric: Rubric) -> Rubric:
    """The rubric, with `polite` worth three times `clear`, and required."""
    content = rubric.model_dump(mode="json")
    content["criteria"][1] |= {"weight": 3.0, "required": "yes"}
    return Rubric.parse(content)


async def graded(store: Store, dataset: Dataset, rubric: Rubric, judge: Judge, **options: Any) -> str:
    run = await Run.open(store, dataset, rubric, judge, Options(**options))
    await run.execute()
    await run.close()
    return run.id


def scores(store: Store, run: str) -> list[tuple[str, str, float | None]]:
    return [(grade.item, grade.outcome, grade.score) for grade in grades_of(store, find_run(store, run))]


async def test_other_weights_make_another_run_that_asked_nobody(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    judge = judge_at(server.base_url)
    first = await graded(store, dataset, rubric, judge)
    asked = server.stats()["requests"]
    made = rescore(store, find_run(store, first), heavier)
    assert made != first
    for before, after in zip(
        grades_of(store, find_run(store, first)), grades_of(store, find_run(store, made)), strict=True
    ):
        assert after.criteria == before.criteria
        assert (after.usage.calls, after.usage.cost_usd) == (0, 0.0)
        if before.rubric.name == "own":
            assert (after.score, after.rubric) == (before.score, before.rubric)
        elif after.outcome == "scored" and after.criteria["polite"].outcome == "scored":
            clear, polite = after.criteria["clear"].score, after.criteria["polite"].score
            assert clear is not None
            assert polite is not None
            assert after.score == pytest.approx(((clear - 1) / 2 + 3 * polite) / 4)  # by hand
            assert after.passed == (polite == 1.0)
    found = summarise(store, made)
    assert (found.run.state, found.run.rescored_from, found.totals.calls, found.totals.cost_usd) == (
        "done",
        first,
        0,
        0,
    )
    assert rescore(store, find_run(store, first), heavier) == made
    # Grading the same items by the same rubric is another run with the same scores, and asks nobody either.
    again = await graded(store, dataset, heavier, judge)
    assert again != made
    assert scores(store, again) == scores(store, made)
    assert server.stats()["requests"] == asked


async def test_what_was_lost_is_lost_until_the_source_has_it(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    judge = judge_at(server.base_url, concurrency=1)
    server.behave("reset", after=4, count=2)
    first = await graded(store, dataset, rubric, judge)
    assert summarise(store, first).run.held == 2
    made = rescore(store, find_run(store, first), heavier)
    found = summarise(store, made)
    assert (found.run.held, found.run.finished) == (2, 28)
    await graded(store, dataset, rubric, judge, resend_lost=True)
    later = rescore(store, find_run(store, first), heavier)
    assert (summarise(store, later).run.finished, summarise(store, made).run.finished) == (30, 28)


async def test_failures_that_the_source_has_mended_are_mended_in_what_is_rescored_from_it(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric, judge_at: Callable[..., Judge]
) -> None:
    server = stub()
    judge = judge_at(server.base_url, concurrency=1)
    server.behave("status", status=400, after=4, count=3)
    first = await graded(store, dataset, rubric, judge)
    made = rescore(store, find_run(store, first), heavier)
    assert summarise(store, made).overall.outcomes["judge_error"] == 3
    assert await graded(store, dataset, rubric, judge, retry_failed=True) == first
    asked = server.stats()["requests"]
    later = rescore(store, find_run(store, first), heavier)
    assert "judge_error" not in summarise(store, later).overall.outcomes
    assert scores(store, later) == scores(store, await graded(store, dataset, heavier, judge))
    # What was made before stays as it was, and leads to its source: the newest run is often the rescored one.
    assert summarise(store, made).overall.outcomes["judge_error"] == 3
    assert rescore(store, find_run(store, made), heavier) == later == rescore(store, find_run(store, first), heavier)
    assert rescore(store, find_run(store, made), rubric) == first
    assert server.stats()["requests"] == asked
    # Without its source it is all that there is.
    store.change(store.runs.remove, first)
    assert rescore(store, find_run(store, later), heavier) == later


async def test_items_that_the_source_has_graded_since_are_graded_in_what_is_rescored_from_it(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(stub().base_url, concurrency=1)
    run = await Run.open(store, dataset, rubric, judge, Options(budget_usd=0.005))
    with pytest.raises(Paused):
        await run.execute()
    await run.close()
    source = find_run(store, run.id)
    assert 0 < source.finished < 30
    made = summarise(store, rescore(store, source, heavier))
    assert (made.run.state, made.open) == ("open", 30 - source.finished)
    assert await graded(store, dataset, rubric, judge) == source.id
    later = summarise(store, rescore(store, find_run(store, source.id), heavier))
    assert (later.run.state, later.open, later.run.rescored_from) == ("done", 0, source.id)


async def test_a_fresh_run_does_not_go_on_with_what_was_rescored(
    stub: Any, store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric, judge_at: Callable[..., Judge]
) -> None:
    judge = judge_at(stub().base_url, concurrency=1)
    run = await Run.open(store, dataset, rubric, judge, Options(budget_usd=0.005, fresh=True))
    with pytest.raises(Paused):
        await run.execute()
    await run.close()
    rescore(store, find_run(store, run.id), heavier)
    fresh = await graded(store, dataset, heavier, judge, fresh=True)
    assert summarise(store, fresh).totals.calls == 30


KILLED = """
import os, signal, sys
from judge import rescoring
from judge.exports import find_run
from judge.store import open_store
from rubrics import Rubric

url, run, rubric, pages = sys.argv[1:]
rescoring.PAGE = 8
store = open_store(url)
finish, done = store.finishing.finish_now, []

def finish_now(*args):
    if len(done) == int(pages):
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(finish(*args))

store.finishing.finish_now = finish_now
rescoring.rescore(store, find_run(store, run), Rubric.loads(rubric))
"""


async def test_a_copy_that_another_machine_may_be_making_is_not_waited_for(
    store: Store,
    dataset: Dataset,
    rubric: Rubric,
    heavier: Rubric,
    monkeypatch: pytest.MonkeyPatch,
    living: Callable[[str], None],
) -> None:
    living("elsewhere:1:1")
    first = await graded(store, dataset, rubric, Judge.load("simulated"))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(store.finishing, "finish_now", lambda *_: pytest.fail("the machine is gone"))
        elsewhere.setattr(store.runs, "remove", lambda *_: None)
        elsewhere.setattr("judge.store.store.this_process", lambda: "elsewhere:1:1")
        with pytest.raises(pytest.fail.Exception):
            rescore(store, find_run(store, first), heavier)
    half = next(one for one in store.ask(store.results.runs) if one.id != first)
    assert half.state == "loading"
    made = rescore(store, find_run(store, first), heavier)
    assert made != half.id
    assert summarise(store, made).run.finished == 30
    assert rescore(store, find_run(store, first), heavier) == made


async def test_a_run_that_is_being_loaded_is_refused(
    store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric
) -> None:
    first = await graded(store, dataset, rubric, Judge.load("simulated"))
    info = replace(find_run(store, first), state="loading")
    with pytest.raises(RunBusy, match="is being loaded"):
        rescore(store, info, heavier)


async def test_the_calibration_of_the_source_is_not_that_of_another_rubric(
    store: Store, dataset: Dataset, rubric: Rubric, heavier: Rubric
) -> None:
    first = await graded(store, dataset, rubric, Judge.load("simulated"))
    store.change(store.calibrations.show_by, first, "of-the-first")
    made = rescore(store, find_run(store, first), heavier)
    assert store.ask(store.calibrations.shown_by, made) is None
    assert summarise(store, made).calibration is None


@pytest.mark.parametrize("pages", [0, 2, 3])
async def test_what_was_killed_while_it_was_copied_is_copied_anew(
    store: Store, database_url: str, dataset: Dataset, rubric: Rubric, heavier: Rubric, pages: int
) -> None:
    first = await graded(store, dataset, rubric, Judge.load("simulated"))
    command = [sys.executable, "-c", KILLED, database_url, first, heavier.model_dump_json(), str(pages)]
    assert (await anyio.run_process(command, check=False)).returncode == -signal.SIGKILL
    half = next(one for one in store.ask(store.results.runs) if one.id != first)
    assert (half.state, half.finished) == ("loading", 8 * pages)
    made = rescore(store, find_run(store, first), heavier)
    assert {one.id for one in store.ask(store.results.runs)} == {first, made}
    assert summarise(store, made).run.finished == 30


async def test_samples_are_combined_anew_and_levels_take_their_new_values(store: Store, tmp_path: Path) -> None:
    words = {"name": "w", "criteria": [{"id": "a", "scale": "ordinal", "question": "How?", "levels": ["low", "high"]}]}
    worth = json.loads(json.dumps(words))
    worth["criteria"][0]["levels"] = [{"level": "low", "value": 2}, {"level": "high", "value": 10}]
    (tmp_path / "items.jsonl").write_text('{"id": "x", "output": "o"}\n')
    rows = {"item": "x", "criterion": "a", "samples": ["low", "high", "high", "off"]}
    (tmp_path / "said.jsonl").write_text(json.dumps(rows) + "\n")
    judge = Judge(name="r", provider="recorded", options={"file": str(tmp_path / "said.jsonl")})
    first = await graded(store, Dataset(str(tmp_path / "items.jsonl")), Rubric.parse(words), judge, samples=4)
    made = rescore(store, find_run(store, first), Rubric.parse(worth))
    (before,), (after,) = (list(grades_of(store, find_run(store, id_))) for id_ in (first, made))
    assert before.criteria["a"].score == pytest.approx(2 / 3)
    assert after.criteria["a"].score == pytest.approx((2 + 10 + 10) / 3)
    assert after.score == before.score
    assert after.criteria["a"].scored_samples == 3


def _asks(content: dict[str, Any]) -> None:
    content["criteria"][0]["question"] = "How clear is it really?"


def _describes_levels(content: dict[str, Any]) -> None:
    content["criteria"][0] |= {"weight": 7.0}
    content["criteria"][1]["levels"][1]["description"] = "It is polite."


def _scales(content: dict[str, Any]) -> None:
    content["criteria"][0] = {"id": "clear", "scale": "numeric", "question": "Q", "minimum": 0, "maximum": 1}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_asks, "clear: the question differs"),
        (_describes_levels, "polite: the levels differ"),
        (_scales, "clear: the scale differs"),
        (lambda content: content["criteria"].pop(), "polite is left out"),
        (lambda content: content["criteria"].append(OWN["criteria"][0]), "brief is new"),
        (lambda content: content["criteria"].reverse(), "the sections or the order of the criteria differ"),
        (lambda content: content.update(instructions="Be strict."), "the instructions differ"),
    ],
)
async def test_a_rubric_that_asks_something_else_is_refused_and_what_differs_is_named(
    store: Store, dataset: Dataset, rubric: Rubric, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    first = await graded(store, dataset, rubric, Judge.load("simulated"))
    content = rubric.model_dump(mode="json")
    change(content)
    with pytest.raises(InputError, match=rf"asks something else .* \({told}\): .* it with: judge grade"):
        rescore(store, find_run(store, first), Rubric.parse(content))
    assert len(store.ask(store.results.runs)) == 1

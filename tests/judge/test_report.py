"""The page about a run: its figures, its charts, and text that would like to be more than text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from judge import Judge, Outcome
from judge.datasets import Dataset
from judge.notation import visible
from judge.report import Report, gather, page
from judge.report.charts import binned, chart, lines
from judge.runs import Options, Run
from judge.summary import CriterionSummary
from rubrics import Rubric
from tests.pages import HOSTILE, Parsed

if TYPE_CHECKING:
    from judge.store.results import RunInfo
    from judge.store.store import Store

pytestmark = pytest.mark.anyio

SMALL = """
name: small
criteria:
  - {id: clear, scale: ordinal, question: How clear is it?, levels: [1, 2, 3], required: 2}
  - {id: polite, scale: binary, question: Is it polite?, not_applicable: true, cannot_tell: true}
"""


@dataclass(frozen=True)
class Desk:
    """A store in a folder, where runs are recorded."""

    store: Store
    folder: Path

    async def run(
        self,
        rubric: Rubric,
        rows: list[dict[str, Any]],
        items: list[dict[str, Any]],
        execute: bool = True,
        name: str = "people",
        file: str = "items.jsonl",
        samples: int = 1,
    ) -> RunInfo:
        recorded = self.folder / "scores.jsonl"
        recorded.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (self.folder / file).write_text("".join(json.dumps(item) + "\n" for item in items))
        judge = Judge(name=name, provider="recorded", options={"file": str(recorded)})
        dataset = Dataset(str(self.folder / file))
        opened = await Run.open(self.store, dataset, rubric, judge, Options(samples=samples))
        if execute:
            await opened.execute()
        await opened.close()
        found: list[RunInfo] = self.store.ask(self.store.results.runs, opened.id)
        return found[0]

    def report(self, info: RunInfo, lowest: int = 10) -> Report:
        return gather(self.store, info, lowest)


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Desk:
    return Desk(store, tmp_path)


def scores(**by_item: tuple[object, object]) -> list[dict[str, Any]]:
    return [
        {"item": item, "criterion": criterion, "score": score, "reason": f"{item} on {criterion}"}
        for item, given in by_item.items()
        for criterion, score in zip(("clear", "polite"), given, strict=True)
    ]


def items(*ids: str) -> list[dict[str, Any]]:
    return [{"id": id_, "input": f"asked {id_}", "output": f"said {id_}"} for id_ in ids]


async def test_the_figures_of_the_page_are_those_of_the_summary(desk: Desk) -> None:
    rows = scores(a=(1, "yes"), b=(3, "no"), c=(None, "yes"), d=(3, "not_applicable"), e=(3, "cannot_tell"))
    report = desk.report(await desk.run(Rubric.loads(SMALL), rows, items("a", "b", "c", "d", "e")))
    found = Parsed(page(report))
    by_name = {row[0].split()[0]: row for row in found.rows}
    # clear: 1, 3, 3, 3 of 5; 1 at worst, 3 at best. Two is required, and three of the four reach it.
    clear = by_name["clear"]
    assert clear[1:5] == ["2.50", "1 2.20 to 2.60 3", "5", "80.0%"]
    assert "required 2: met by 3 of 4" in clear[0]
    assert clear[5] == "1 1 0 2 3 3"  # count and level of each: nobody gave a 2
    # polite: yes, no, yes of 4; d is left out of n.
    assert by_name["polite"][1:5] == ["0.67", "0 0.50 to 0.75 1", "4 and 1 n/a", "75.0%"]
    # overall: a (0 + 1) / 2, b (1 + 0) / 2, d 1; c and e have none.
    assert by_name["overall"][1:5] == ["0.67", "0 0.60 to 0.80 1", "5", "60.0%"]
    assert "scored: 3 of 5 items" in found.said
    assert "Trust: uncalibrated." in found.said
    assert "The judge is recorded. No model read these outputs" in found.said


async def test_the_lowest_grades_are_shown_in_full_with_how_long_their_texts_are(desk: Desk) -> None:
    rows = scores(a=(3, "yes"), b=(1, "no"), c=(2, "yes"))
    given = items("a", "b", "c")
    given[1]["output"] = "x" * 5000
    report = desk.report(await desk.run(Rubric.loads(SMALL), rows, given), lowest=2)
    assert [one.grade.item for one in report.lowest] == ["b", "c"]
    said = Parsed(page(report)).said
    assert "The 2 lowest grades" in said
    assert "the first 1,200 of 5,000 characters" in said
    assert "b on clear" in said
    assert "a on clear" not in said
    assert "x" * 1200 in said
    assert "x" * 1201 not in said


async def test_every_cause_is_shown_with_its_first_item(desk: Desk) -> None:
    rows = scores(a=(3, "yes"), b=(7, "no"), c=(None, "yes"), d=(7, None))
    report = desk.report(await desk.run(Rubric.loads(SMALL), rows, items("a", "b", "c", "d")))
    told = [(one.failure.outcome, one.failure.count, one.example.grade.item, one.criteria) for one in report.causes]
    assert told == [(Outcome.INVALID, 2, "b", ("clear",)), (Outcome.JUDGE_ERROR, 2, "c", ("clear",))]
    said = Parsed(page(report)).said
    assert "invalid the score of clear is not one of 1, 2, 3" in said
    assert "judge_error not recorded 2 scores are missing for this cause. First in c, on clear." in said


async def test_a_run_that_is_not_finished_says_so(desk: Desk) -> None:
    report = desk.report(await desk.run(Rubric.loads(SMALL), scores(a=(3, "yes")), items("a", "b"), execute=False))
    found = Parsed(page(report))
    assert "Not finished. 2 of 2 items are open." in found.said
    assert "no item has an overall score" in found.said
    assert "lowest" not in found.said
    assert [row[1:] for row in found.rows[1:]] == [
        ["–", "1 1.00 to 3.00 3", "2", "0.0%", "no score"],
        ["–", "0 0.00 to 1.00 1", "2", "0.0%", "no score"],
        ["–", "0 0.00 to 1.00 1", "2", "0.0%", "no score"],
    ]


async def test_a_run_without_any_score_has_no_number(desk: Desk) -> None:
    rows = scores(a=(None, None), z=(1, "yes"))
    found = Parsed(page(desk.report(await desk.run(Rubric.loads(SMALL), rows, items("a")))))
    assert [row[1] for row in found.rows[1:]] == ["–", "–", "–"]
    assert "2 scores are missing for this cause" in found.said
    assert "No call was made for this run: there is nothing to pay." in found.said


async def test_labels_have_no_mean_and_sections_are_a_tree(desk: Desk) -> None:
    rubric = Rubric.loads("""
name: tree
sections:
  - id: outer
    description: All of it.
    criteria:
      - {id: tone, scale: categorical, question: What tone?, levels: [warm, "cold or distant"]}
    sections:
      - id: inner
        criteria:
          - {id: right, scale: binary, question: Is it right?}
""")
    rows = [{"item": "a", "criterion": "tone", "score": "warm"}, {"item": "a", "criterion": "right", "score": "yes"}]
    report = desk.report(await desk.run(rubric, rows, items("a")))
    assert [(row.name, row.depth) for row in report.rows] == [
        ("outer", 0), ("tone", 1), ("inner", 1), ("right", 2), ("overall", 0),
    ]  # fmt: skip
    found = Parsed(page(report))
    assert [row[:3] for row in found.rows[1:4]] == [
        ["outer All of it. section · weight 1", "1.00", "0 1"],
        ["tone What tone? categorical warm cold or distant", "–", "labels"],
        ["inner section · weight 1", "1.00", "0 1"],
    ]
    assert found.rows[2][5] == "warm 1 cold or distant 0"


async def test_text_from_outside_is_text(desk: Desk) -> None:
    script, style, turned, template, attribute = HOSTILE
    rubric = Rubric.model_validate(
        {
            "name": "small",
            "instructions": style,
            "criteria": [
                {"id": "kind", "scale": "categorical", "question": script, "levels": [template, attribute, script]},
                {"id": "clear", "scale": "ordinal", "question": turned, "levels": {1: style, 2: template}},
            ],
        }
    )
    rows = [
        {"item": id_, "criterion": criterion, "score": score, "reason": " ".join(HOSTILE)}
        for id_ in HOSTILE
        for criterion, score in (("kind", template if id_ != turned else "off"), ("clear", 1))
    ]
    given = [{"id": id_, "input": id_, "output": id_, "context": id_, "reference": id_} for id_ in HOSTILE]
    info = await desk.run(rubric, rows, given, name=script, file="<b>&.jsonl")
    text = page(desk.report(info))
    found = Parsed(text)
    assert not found.tags & {"script", "img", "b>", "iframe", "object", "form"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert {value for name, value in found.attributes if name in ("href", "src")} == {"data:,"}
    assert text.count("</style>") == 1
    assert "\u202e" not in text
    for hostile in HOSTILE:
        assert visible(hostile) in found.said


async def test_nothing_can_be_loaded_or_run(desk: Desk) -> None:
    found = Parsed(page(desk.report(await desk.run(Rubric.loads(SMALL), scores(a=(3, "yes")), items("a")))))
    (policy,) = [value for name, value in found.attributes if name == "content" and "default-src" in (value or "")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script" not in policy
    assert "script" not in found.tags


async def test_seconds_are_by_nearest_rank_over_the_items_that_were_asked_about(desk: Desk) -> None:
    ids = [f"i{n}" for n in range(12)]
    info = await desk.run(Rubric.loads(SMALL), scores(**dict.fromkeys(ids, (3, "yes"))), items(*ids))
    assert desk.store.ask(desk.store.figures.latencies, info.id, (0.5,)) is None
    place = desk.store.tables.run_item

    def took(connection: Any, tenant: str) -> None:
        for seq in range(10):  # 1 to 10 seconds; two items used answers again and asked nothing
            connection.execute(update(place).where(place.c.seq == seq).values(calls=1, latency_s=10.0 - seq))

    desk.store.change(took)
    found = desk.store.ask(desk.store.figures.latencies, info.id, (0.5, 0.9, 0.99))
    assert (found.items, found.seconds) == (10, (5.0, 9.0, 10.0))


async def test_the_command_names_what_was_named(desk: Desk) -> None:
    info = await desk.run(Rubric.loads(SMALL), scores(a=(3, "yes")), items("a"), name="our people")
    words = desk.report(info).command.replace("\\\n", "").split()
    assert words[:2] == ["judge", "grade"]
    assert words[-6:] == ["--rubric", "small.yaml", "--judge", "'our", "people.yaml'", "--fresh"]
    simulated = Judge.load("simulated")
    opened = await Run.open(
        desk.store, Dataset(info.dataset), Rubric.load("helpfulness"), simulated, Options(samples=2)
    )
    await opened.execute()
    await opened.close()
    (info,) = desk.store.ask(desk.store.results.runs, opened.id)
    words = desk.report(info).command.replace("\\\n", "").split()
    assert words[-7:] == ["--rubric", "helpfulness", "--judge", "simulated", "--samples", "2", "--fresh"]


def summed(distribution: tuple[tuple[float | str, int], ...], **fields: Any) -> CriterionSummary:
    known = CriterionSummary("c", 9, 9, 0, None, None, None, 0.0, 10.0, distribution, {})
    return replace(known, **fields)


def names(count: int) -> Iterator[tuple[str, float]]:
    return ((f"{value}", float(value)) for value in range(count))


def test_levels_are_columns_those_nobody_gave_too() -> None:
    found = chart(summed(((1.0, 2), (3.0, 4)), answers=tuple(names(4))))
    assert found is not None
    assert found.form == "columns"
    assert [(bar.name, bar.count, bar.height) for bar in found.bars] == [
        ("0", 0, 0), ("1", 2, 0.5), ("2", 0, 0), ("3", 4, 1),
    ]  # fmt: skip
    assert found.told == "1: 2; 3: 4"


def test_names_without_room_in_a_column_have_a_line_each() -> None:
    answers = (("too short to say", 0.0), ("just about right", 1.0), ("long", 2.0), ("so long", 3.0), ("too long", 4.0))
    found = chart(summed(((1.0, 2),), answers=answers))
    assert found is not None
    assert (found.form, len(found.bars)) == ("lines", 5)


def test_many_steps_and_means_between_levels_are_a_histogram() -> None:
    steps = chart(summed(((3.0, 1), (4.0, 2)), answers=tuple(names(21))))
    assert steps is not None
    assert (steps.form, len(steps.bars), [tick.name for tick in steps.ticks]) == ("histogram", 21, ["0", "20"])
    between = chart(summed(((1.5, 1), (2.0, 3)), answers=tuple(names(11)), mean=1.875))
    assert between is not None
    assert (between.form, between.mean) == ("histogram", 0.1875)


def test_parts_of_a_scale_hold_their_lower_edge_and_the_last_its_upper_too() -> None:
    assert binned([(0.0, 1), (0.5, 2), (1.0, 4)], 0.0, 1.0, 2) == [("0 to 0.5", 1), ("0.5 to 1", 6)]
    assert [count for _, count in binned([(0.3, 1)], 0.0, 1.0, 20)].index(1) == 6


def test_of_many_labels_the_most_frequent_are_shown_and_the_rest_counted() -> None:
    found = lines([(f"label {n}", n) for n in range(30)])
    assert [bar.count for bar in found.bars] == list(range(18, 30))
    assert (found.rest, found.rest_count) == (18, sum(range(18)))


def test_answers_of_one_value_share_a_bar() -> None:
    found = summed(((0.3, 5),), answers=(("too short", 0.3), ("right", 1.0), ("too long", 0.3)))
    assert found.by_answer == (("too short, too long", 5), ("right", 0))


def test_joiners_are_text_among_letters_that_need_them_and_spelled_out_among_others() -> None:
    assert visible("\U0001f937\u200d\u2642\ufe0f") == "\U0001f937\u200d\u2642\ufe0f"
    assert visible("pass\u200dword") == "pass\\u{200d}word"
    assert visible("\u202e\x1b[2J") == "\\u{202e}\\u{1b}[2J"

"""What people see in the terminal. Text from outside is shown as text: no markup, no control characters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judge import prompts
from judge.datasets import Scan
from judge.grades import Grade
from judge.items import Item
from judge.judges import OUTPUT_MODES, Judge
from judge.quotes import Quote
from judge.summary import CriterionSummary, Summary
from judge.verdicts import Outcome
from rubrics import Rubric, answer_schema

if TYPE_CHECKING:
    from judge.store.results import Exchange, RunInfo

BARS = " ▁▂▃▄▅▆▇█"
MOST_LEVELS_DRAWN = 12
CAUSES_SHOWN = 8
COLOURS = {Outcome.SCORED: "green", Outcome.NOT_APPLICABLE: "cyan", Outcome.LOST: "red", Outcome.JUDGE_ERROR: "red"}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]|[\U000e0000-\U000e007f]")

console = Console(highlight=False)


def visible(text: str) -> str:
    """The text with every character that a terminal would obey, or hide, spelled out."""
    return _CONTROL.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def _line(*parts: str | tuple[str, str]) -> None:
    console.print(Text.assemble(*parts), soft_wrap=True)


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash where there is none: never a nought in its place."""
    return "-" if value is None else f"{value:.{digits}f}"


def money(cost_usd: float | None) -> str:
    """Dollars, or the word."""
    return "unknown" if cost_usd is None else f"${cost_usd:.4f}"


def share(value: float | None) -> str:
    """A share in per cent. Only all is shown as 100%."""
    if value is None:
        return "-"
    return "100%" if value == 1 else f"{min(value * 100, 99.9):.1f}%"


def distribution(one: CriterionSummary) -> str:
    """A bar for every value that occurs, at the criterion's own steps."""
    values = [(value, count) for value, count in one.distribution if isinstance(value, float)]
    if len(values) > MOST_LEVELS_DRAWN and one.minimum is not None and one.maximum is not None:
        return _histogram(values, one.minimum, one.maximum)
    most = max((count for _, count in one.distribution), default=1)
    return " ".join(f"{_answer(value)}{BARS[-(-count * 8 // most)]}{count}" for value, count in one.distribution)


def _histogram(values: list[tuple[float, int]], minimum: float, maximum: float) -> str:
    width = (maximum - minimum) / MOST_LEVELS_DRAWN
    counts = [0] * MOST_LEVELS_DRAWN
    for value, count in values:
        counts[min(int((value - minimum) / width), MOST_LEVELS_DRAWN - 1)] += count
    most = max(counts)
    return f"{minimum:g} " + "".join(BARS[-(-n * 8 // most)] for n in counts) + f" {maximum:g}"


def _answer(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, int | float) else visible(value)


def summary(found: Summary) -> None:
    """The summary of a run."""
    run = found.run
    _line(
        ("run ", "dim"), (run.id, "bold"), f"  {visible(run.dataset)} · {run.rubric.name} · {visible(run.judge.name)}"
    )
    if run.judge.kind != "model":
        _line((f"The judge is {run.judge.kind}: no model read these outputs.", "bold yellow"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("criterion")
    for name in ("mean", "scale", "n", "scored", "bounds"):
        table.add_column(name, justify="right")
    table.add_column("distribution")
    for one in (*found.criteria, found.overall):
        bounds = "" if one.scored == one.n else f"{number(one.low)}..{number(one.high)}"
        title = Text(one.criterion, style="bold" if one is found.overall else "")
        scale = "labels" if one.minimum is None else f"{one.minimum:g}..{one.maximum:g}"
        table.add_row(title, number(one.mean), scale, f"{one.n:,}", share(one.scored_share), bounds, distribution(one))
    console.print(table)
    if not found.clean:
        _line(("bounds: what the mean would be if every missing score were the worst, or the best", "dim"))
    _causes(found)
    _totals(found)


def _causes(found: Summary) -> None:
    outcomes = [f"{name} {count:,}" for name, count in found.overall.outcomes.items() if name != Outcome.SCORED]
    if outcomes:
        _line(("items without a score: ", "dim"), ", ".join(outcomes))
    for outcome, cause, count in found.causes[:CAUSES_SHOWN]:
        _line("  ", (outcome, "red"), f"  {count:,} x {visible(cause)}")
    if len(found.causes) > CAUSES_SHOWN:
        _line(f"  and {len(found.causes) - CAUSES_SHOWN} causes more: judge runs show {found.run.id} --outcome ...")
    if found.run.held:
        _line((f"  {found.run.held:,} answers are lost, perhaps paid: add --resend-lost to ask again", "yellow"))


def _totals(found: Summary) -> None:
    totals = found.totals
    if totals.own_rubrics:
        _line(f"{totals.own_rubrics:,} items have a rubric of their own, and count in the overall only")
    if totals.passed or totals.failed_required:
        _line(
            ("required criteria met: ", "dim"),
            f"{totals.passed:,} of {totals.passed + totals.failed_required:,} known",
        )
    parts = [f"{totals.calls:,} calls", f"{totals.reused:,} answers used again"]
    parts += [f"{n:,} {what}" for n, what in ((totals.rejected, "rejected"), (totals.lost, "lost")) if n]
    if totals.unusable:
        parts.append(f"{totals.unusable:,} answers could not be used")
    if totals.possible_duplicates:
        parts.append(f"{totals.possible_duplicates:,} possibly paid twice")
    parts.append(f"{totals.prompt_tokens:,} + {totals.completion_tokens:,} tokens")
    parts.append(money(totals.cost_usd))
    _line(("cost ", "dim"), " · ".join(parts))
    if totals.models:
        first = found.run.judge.model
        changed = f"  (changed: the probe was answered by {first})" if totals.models != (first,) else ""
        _line(("model ", "dim"), visible(", ".join(totals.models)), (visible(changed), "yellow"))
    _line(
        ("trust ", "dim"),
        ("uncalibrated", "bold yellow"),
        ": nobody has measured how far this judge agrees with people",
    )
    _line(
        ("see ", "dim"),
        f"judge runs show {found.run.id} --lowest 5",
        ("   keep ", "dim"),
        f"judge runs export {found.run.id}",
    )


def grade(one: Grade) -> None:
    """One grade in full."""
    _line()
    style = COLOURS.get(one.outcome, "yellow")
    head = (
        f"  overall {number(one.score)} of 1"
        if one.score is not None
        else f"  between {one.low:.2f} and {one.high:.2f}"
    )
    passed = {True: "  passed", False: "  not passed", None: ""}[one.passed]
    _line((visible(one.item), "bold"), "  ", (one.outcome, style), head, passed, (f"  {one.trust}", "yellow"))
    for id, criterion in one.criteria.items():
        given = criterion.level if criterion.level is not None else number(criterion.score)
        shown = str(given) if criterion.outcome is Outcome.SCORED else criterion.outcome
        _line("  ", (id, "bold"), "  ", (shown, COLOURS.get(criterion.outcome, "yellow")))
        for text in (criterion.reason, criterion.cause):
            if text:
                _line("    ", (visible(text), "dim"))
        if criterion.samples:
            _line(
                ("    samples ", "dim"),
                ", ".join(str(s.level if s.level is not None else s.outcome) for s in criterion.samples),
            )
    usage = one.usage
    _line(
        (f"  {usage.calls} calls, {usage.reused} used again, {usage.prompt_tokens:,} + ", "dim"),
        (f"{usage.completion_tokens:,} tokens, {money(usage.cost_usd)}, {usage.latency_s:.2f} s", "dim"),
    )


def messages(by_role: dict[str, str]) -> None:
    """What a judge is shown."""
    for role, text in by_role.items():
        _line((role, "bold"))
        _line(visible(text))
        _line()


def asking(model: str, mode: str, parameters: Mapping[str, object], schema: Mapping[str, object]) -> None:
    """How a model is asked, beside the messages."""
    with_ = "".join(f", {name} {value}" for name, value in parameters.items())
    _line(("asked ", "dim"), visible(f"{model}, {mode}{with_}"))
    _line(("schema ", "dim"), visible(json.dumps(schema, ensure_ascii=False)))
    _line()


def exchange(one: Exchange) -> None:
    """One attempt of one call."""
    when = datetime.fromtimestamp(one.sent_at).astimezone().isoformat(timespec="seconds")
    _line(
        ("call ", "dim"),
        f"{one.key[:16]} attempt {one.attempt}  {one.state}  {when}  {money(one.cost_usd)}",
        f"  {one.cause}" if one.cause else "",
        "  possibly paid twice" if one.possible_duplicate else "",
    )
    if one.raw is not None:
        _line(visible(one.raw.decode("utf-8", "replace")))


def runs(found: Iterable[RunInfo]) -> None:
    """A list of runs."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "when", "state", "rubric", "judge", "items"):
        table.add_column(name, no_wrap=name in {"run", "when"})
    for name in ("open", "lost", "cost"):
        table.add_column(name, justify="right")
    for run in found:
        when = datetime.fromtimestamp(run.created_at).strftime("%Y-%m-%d %H:%M")
        left = run.items - run.finished - run.held
        kind = "" if run.judge.kind == "model" else f" ({run.judge.kind})"
        judge = visible(run.judge.name + kind)
        table.add_row(
            run.id,
            when,
            run.state,
            run.rubric.name,
            judge,
            f"{run.items:,}",
            f"{left:,}",
            f"{run.held:,}",
            money(run.cost_usd),
        )
    console.print(table)


def dry_run(item: Item, rubric: Rubric, judge: Judge, scan: Scan, worst: Quote | None) -> None:
    """The exact messages and schema of the first item, and what the whole comes to."""
    mode = judge.mode or OUTPUT_MODES[0]
    messages({"system": prompts.system(rubric, mode), "user": prompts.user(item)})
    _line(("schema", "bold"), f"  ({mode}{'' if judge.mode else ', if the judge takes it'})")
    _line(json.dumps(answer_schema(rubric), ensure_ascii=False))
    _line()
    if worst is None:
        _line(f"{scan.count:,} items, and no model is asked: nothing to pay")
        return
    _line(
        f"{scan.count:,} items · {worst.calls:,} calls · about {worst.prompt_tokens:,} prompt tokens · "
        f"at most {worst.answer_tokens_at_most:,} answer tokens"
    )
    _line(f"worst cost {money(worst.worst_usd)}, where no answer has to be asked for again; nothing was sent")

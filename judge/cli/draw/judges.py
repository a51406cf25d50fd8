"""Judges held against the same labels, as the terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judge.cli.draw.line import paragraph
from judge.cli.draw.table import Row, table
from judge.notation import money, visible

if TYPE_CHECKING:
    from judge.calibration.comparing import Compared, Comparison, CriterionComparison
    from judge.calibration.statistics.figures import Figure


def judges(found: Comparison) -> None:
    """Each judge, then criterion by criterion how they agree with people and differ from the first."""
    paragraph(("judges on the held-out labels of ", "dim"), (visible(found.label_set), "bold"))
    if any(one.judge.kind == "simulated" for one in found.held):
        paragraph(("A judge is simulated: no model read these outputs.", "bold yellow"))
    names = [f"{visible(one.name)} v{one.version}" for one in found.held]
    rows = [
        Row(
            name,
            (money(one.cost_usd), "-" if one.latency_s is None else f"{one.latency_s:.2f} s"),
            (visible(one.judge.name), *map(visible, one.models)),
        )
        for name, one in zip(names, found.held, strict=True)
    ]
    table(Row("calibration", ("cost", "latency"), ("judge",)), rows)
    for one in found.criteria.values():
        _criterion(one, names)
    times = "once" if found.openings == 1 else f"{found.openings} times"
    paragraph(
        (
            f"cost and latency: means of an item; difference: from {names[0]}, on the same items; calibrated error: "
            f"RMSE of the calibrated score; the held-out labels were looked at {times}",
            "dim",
        )
    )


def _criterion(one: CriterionComparison, names: list[str]) -> None:
    paragraph((one.criterion, "bold"), f"  {one.items:,} items of {one.groups:,} groups that all have a score of")
    shown = [each for each in one.measures if each.main]
    rows = []
    for each in shown:
        measure = each.name.replace("_rmse", " error").replace("_", " ")
        rows += [
            Row(f"{measure}, {name}", (_figure(each.judges[at]), _apart(each, at)), (_verdict(each, at),))
            for at, name in enumerate(names)
        ]
    table(Row("measure", ("agreement", "difference"), ("verdict",)), rows)
    for name, missing in zip(names, one.unscored, strict=True):
        if missing:
            paragraph((f"{name} has no score of {missing:,} items more, which are in no figure", "yellow"))


def _apart(each: Compared, at: int) -> str:
    return "-" if at == 0 else _figure(each.differences[at - 1], "+")


def _figure(one: Figure, sign: str = "") -> str:
    if one.value is None:
        return "undefined"
    value = format(one.value, f"{sign}.2f")
    if one.low is None or one.high is None:
        return value
    return f"{value} [{format(one.low, f'{sign}.2f')}, {format(one.high, f'{sign}.2f')}]"


def _verdict(each: Compared, at: int) -> str:
    return "held against" if at == 0 else verdict(each, at - 1)


def verdict(each: Compared, at: int) -> str:
    """Better, worse, or no difference shown; or that there is none."""
    one = each.differences[at]
    if one.value is None:
        return "cannot be compared"
    if one.low is None or one.high is None or one.low <= 0 <= one.high:
        return "no difference shown"
    return "better" if (one.low > 0) != each.less_is_better else "worse"

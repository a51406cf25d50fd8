"""Judges of pairs: by hand, beside sklearn and statsmodels, and against what LLMBar and PandaLM print."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.contingency_tables import mcnemar

from judge.calibration.statistics.figures import Undefined
from judge.calibration.statistics.preferences import (
    Position,
    Unparsed,
    best_constant,
    coded,
    majority,
    metrics,
    position,
    preferences,
)
from judge.calibration.statistics.proportions import wilson
from tests.sets import DATA, path, rows

VERDICT = st.sampled_from(["a", "b", "tie", None])
KNOWN = st.sampled_from(["a", "b", "tie"])


def plain(
    people: list[str | None], ab: list[str | None], ba: list[str | None] | None = None, unparsed: Unparsed = "wrong"
) -> dict[str, float | str]:
    """Every figure where all pairs weigh the same; the reason where one is undefined."""
    found: dict[str, float | str] = {}
    ones, gold = np.ones((1, len(people))), np.zeros(len(people))
    for name, metric in metrics(people, ab, ba, unparsed).items():
        try:
            found[name] = float(metric(gold, gold, ones)[0])
        except Undefined as undefined:
            found[name] = str(undefined)
    return found


# ---------------------------------------------------------------- by hand

#: Two right in both orders, one that the place decides, one tie in one order, one tie in both, one not read.
PEOPLE = ["a", "b", "a", "a", "b", "tie"]
AB = ["a", "b", "a", "tie", "tie", None]
BA = ["a", "b", "b", "a", "tie", "tie"]


def test_pairs_by_hand() -> None:
    found = plain(PEOPLE, AB, BA)
    assert found["accuracy_ab"] == pytest.approx(3 / 6)  # the first three
    assert found["accuracy_ba"] == pytest.approx(4 / 6)  # 1, 2, 4 and 6
    assert found["both_correct"] == pytest.approx(2 / 6)
    assert found["agreement"] == pytest.approx(3 / 6)  # 1, 2 and 5
    assert (found["unparsed_ab"], found["unparsed_ba"]) == (pytest.approx(1 / 6), 0.0)
    assert found["constant"] == pytest.approx(3 / 6)  # always a
    # Five pairs were read in both orders. In the third the output shown first wins twice. The fourth is a tie in one
    # order, and in the other the output shown second wins.
    assert found["consistency"] == pytest.approx(3 / 5)
    assert (found["primacy"], found["recency"]) == (pytest.approx(1 / 5), pytest.approx(1 / 5))
    assert found["fairness"] == 0.0


def test_a_verdict_that_could_not_be_read_may_be_left_out() -> None:
    found = plain(PEOPLE, AB, BA, "left out")
    assert found["accuracy_ab"] == pytest.approx(3 / 5)
    assert found["accuracy_ba"] == pytest.approx(4 / 6)
    assert found["both_correct"] == pytest.approx(2 / 5)
    assert found["agreement"] == pytest.approx(3 / 5)
    assert found["unparsed_ab"] == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("ab", "ba", "moved"),
    [
        # In the letters of Shi et al., A the output shown first: AB, BA and CC are consistent.
        ("a", "a", "consistent"),
        ("b", "b", "consistent"),
        ("tie", "tie", "consistent"),
        # AA, AC, CA.
        ("a", "b", "primacy"),
        ("a", "tie", "primacy"),
        ("tie", "b", "primacy"),
        # BB, BC, CB.
        ("b", "a", "recency"),
        ("b", "tie", "recency"),
        ("tie", "a", "recency"),
        (None, "a", "unparsed"),
        ("b", None, "unparsed"),
        (None, None, "unparsed"),
    ],
)
def test_each_pair_of_verdicts(ab: str | None, ba: str | None, moved: str) -> None:
    counts = {"consistent": 0, "primacy": 0, "recency": 0, "unparsed": 0} | {moved: 1}
    assert position([ab], [ba]) == Position(**counts)


def test_the_place_alone() -> None:
    first, second = ["a"] * 10, ["b"] * 10
    always_first, always_second = position(first, second), position(second, first)
    assert (always_first.fairness(), always_second.fairness()) == (-1.0, 1.0)
    assert always_first.consistency() == 0.0
    # Ten of ten to one side: 2 / 2^10.
    assert always_first.p() == pytest.approx(2 / 1024)
    assert Position(3, 2, 2, 0).p() == 1.0


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_fairness_is_that_of_the_paper(consistent: int, primacy: int, recency: int) -> None:
    found = Position(consistent, primacy, recency, 0)
    if not found.n:
        with pytest.raises(Undefined):
            found.fairness()
        return
    moved = primacy + recency
    raw = recency * (recency / moved) - primacy * (primacy / moved) if moved else 0.0
    low, high = -found.n, found.n
    assert found.fairness() == pytest.approx((raw - low) / (high - low) * 2 - 1, abs=1e-12)
    assert found.consistency() == pytest.approx(consistent / found.n)


def test_what_most_people_say() -> None:
    labels = [["a", "a", "b"], ["a", "b", "tie"], ["a", "b", None], ["tie", None, None], [None, None, None]]
    assert majority(labels) == ["a", None, None, "tie", None]
    assert majority([]) == []


def test_the_best_constant() -> None:
    assert best_constant(["b", "b", "tie", None, "a"]) == ("b", 0.5)
    assert best_constant(["b", "a"]) == ("a", 0.5)
    with pytest.raises(Undefined, match="no pair has a verdict that most people gave"):
        best_constant([None, None])


# ---------------------------------------------------------------- oracles


@settings(deadline=None)
@given(st.lists(st.tuples(VERDICT, VERDICT, VERDICT), min_size=1, max_size=40))
def test_kappa_beside_sklearn(verdicts: list[tuple[str | None, str | None, str | None]]) -> None:
    people, ab, ba = (list(column) for column in zip(*verdicts, strict=True))
    found = plain(people, ab, ba)
    for name, one, other in (
        ("kappa_ab", people, [a if gold else None for gold, a in zip(people, ab, strict=True)]),
        ("kappa_ba", people, [b if gold else None for gold, b in zip(people, ba, strict=True)]),
        ("kappa_orders", None, None),
    ):
        left, right = coded(ab if one is None else one), coded(ba if other is None else other)
        if one is not None:
            left, right = left[coded(people) != 3], right[coded(people) != 3]
        value = found[name]
        if len(np.unique(left)) < 2 or len(np.unique(right)) < 2:
            assert isinstance(value, str)
        else:
            assert value == pytest.approx(cohen_kappa_score(left, right), abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_test_of_inconsistent_pairs_beside_statsmodels(primacy: int, recency: int) -> None:
    found = Position(5, primacy, recency, 0)
    if not primacy + recency:
        with pytest.raises(Undefined, match="no pair is inconsistent"):
            found.p()
        return
    assert found.p() == pytest.approx(mcnemar([[0, primacy], [recency, 0]], exact=True).pvalue, abs=1e-9)


# ---------------------------------------------------------------- figures with intervals


def test_shares_have_the_interval_of_wilson() -> None:
    people, ab = ["a"] * 50 + ["b"] * 50, ["a"] * 45 + ["b"] * 55
    found = preferences(people, ab, draws=200)
    accuracy = found["accuracy_ab"]
    # Wider than of 100 independent pairs by what the estimate of their variance adds, about 1%.
    assert (accuracy.low, accuracy.high) == pytest.approx(wilson(95, 100), abs=0.002)
    assert (accuracy.value, accuracy.n, accuracy.of) == (0.95, 100, "pairs")
    kappa = found["kappa_ab"]
    assert kappa.value == pytest.approx(0.9)
    assert kappa.low is not None
    assert kappa.high is not None
    assert 0.75 < kappa.low < 0.9 < kappa.high < 1
    assert set(found) == {"accuracy_ab", "kappa_ab", "unparsed_ab", "constant"}


def test_both_orders_have_one_accuracy() -> None:
    found = preferences(PEOPLE * 20, AB * 20, BA * 20, draws=100)
    one, two, mean = found["accuracy_ab"], found["accuracy_ba"], found["accuracy"]
    assert mean.value == pytest.approx((3 / 6 + 4 / 6) / 2)
    assert None not in (one.low, two.low, one.high, two.high)
    assert (mean.low, mean.high) == pytest.approx(((one.low + two.low) / 2, (one.high + two.high) / 2))  # type: ignore[operator]
    assert found["position_p"].value == 1.0
    assert (found["position_p"].n, found["position_p"].of) == (40, "inconsistent pairs")


def test_the_same_seed_gives_the_same_figures() -> None:
    cluster = np.arange(120) // 4
    one, two = (preferences(PEOPLE * 20, AB * 20, BA * 20, cluster=cluster, draws=50, seed=1) for _ in "ab")
    other = preferences(PEOPLE * 20, AB * 20, BA * 20, cluster=cluster, draws=50, seed=2)
    assert one == two
    assert one["kappa"] != other["kappa"]


def test_weights_count_a_pair_that_many_times() -> None:
    w = np.array([3.0, 1.0, 2.0, 1.0, 1.0, 2.0])
    weighted = preferences(PEOPLE, AB, BA, w=w, draws=20)
    times = [int(one) for one in w]
    repeated = plain(
        *([one for one, n in zip(each, times, strict=True) for _ in range(n)] for each in (PEOPLE, AB, BA))
    )
    for name in ("accuracy_ab", "kappa_ab", "kappa", "agreement", "kappa_orders", "consistency", "fairness"):
        assert weighted[name].value == pytest.approx(repeated[name]), name


# ---------------------------------------------------------------- bad input


def test_foreign_verdicts_and_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="verdict 1 is 'A', and must be a, b, tie or None"):
        preferences(["a", "A"], ["a", "a"])
    with pytest.raises(ValueError, match="people's verdicts are of 2 pairs, and the judge's of 2 and 1"):
        preferences(["a", "b"], ["a", "b"], ["a"])


def test_figures_without_their_data_say_why() -> None:
    nobody = preferences([None, None], ["a", "b"], ["a", "b"], draws=10)
    assert nobody["accuracy_ab"].why == "no pair has a verdict that most people gave"
    assert nobody["accuracy"].value is None
    assert nobody["constant"].value is None
    assert nobody["consistency"].value == 1.0
    assert nobody["position_p"].why == "no pair is inconsistent"
    unread = preferences(["a", "b"], [None, None], [None, None], unparsed="left out", draws=10)
    assert unread["accuracy_ab"].why == unread["consistency"].why == "the judge's verdicts could not be read"
    assert unread["unparsed_ab"].value == 1.0
    wrong = preferences(["a", "b"], [None, None], [None, None], draws=10)
    assert wrong["accuracy_ab"].value == 0.0
    assert wrong["agreement"].value == 0.0  # what could not be read agrees with nothing


def test_a_constant_judge_has_no_kappa() -> None:
    found = preferences(["a", "b", "a", "tie"] * 10, ["a"] * 40, ["a"] * 40, draws=10)
    assert found["accuracy"].value == found["constant"].value == 0.5
    assert found["kappa_ab"].why == "the judge gave every item the same score"
    assert found["kappa"].value is None
    alike = preferences(["a"] * 10, ["a", "b"] * 5, draws=10)
    assert alike["kappa_ab"].why == "people gave every item the same score"


# ---------------------------------------------------------------- LLMBar


def _printed() -> list[dict[str, float | str]]:
    file = DATA / "llmbar" / "published_statistics.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


LLMBAR = _printed()
CELL = [f"{cell['subset']}-{cell['judge']}" for cell in LLMBAR]


@cache
def _llmbar() -> dict[tuple[str, str], tuple[list[str | None], list[str | None], list[str | None]]]:
    """People's verdicts and the judge's in both orders, by subset and judge."""
    gold = {row["item"]: row["verdict"] for row in rows("llmbar/human")}
    found: dict[tuple[str, str], tuple[list[str | None], list[str | None], list[str | None]]] = {}
    for row in rows("llmbar/judge"):
        cell = found.setdefault((row["item"].rsplit("__", 1)[0], row["judge"]), ([], [], []))
        for column, verdict in zip(cell, (gold[row["item"]], row["verdict_ab"], row["verdict_ba"]), strict=True):
            column.append(verdict)
    return found


@pytest.mark.skipif(not LLMBAR, reason="the set llmbar is not here")
def test_llmbar_prints_499_cells() -> None:
    assert len(LLMBAR) == len(_llmbar()) == 499


@pytest.mark.parametrize("cell", LLMBAR, ids=CELL)
def test_the_printed_accuracies_and_agreements(cell: dict[str, str]) -> None:
    people, ab, ba = _llmbar()[cell["subset"], cell["judge"]]
    found, n = plain(people, ab, ba), len(people)
    neither = sum(one is None and other is None for one, other in zip(ab, ba, strict=True))

    def printed(name: str, share: object, more: int = 0) -> None:
        assert isinstance(share, float)
        count = round(share * n) + more
        assert share * n == pytest.approx(count - more, abs=1e-9)
        assert cell[name] == f"{count} / {n} = {count / n * 100}%"

    printed("correct_False", found["accuracy_ab"])
    printed("correct_True", found["accuracy_ba"])
    printed("correct_both", found["both_correct"])
    printed("equal", found["agreement"], neither)  # printed as agreeing where neither could be read
    assert isinstance(found["accuracy_ab"], float)
    assert isinstance(found["accuracy_ba"], float)
    assert float(cell["correct_average"].rstrip("%")) == pytest.approx(
        (found["accuracy_ab"] + found["accuracy_ba"]) / 2 * 100, abs=1e-9
    )


@pytest.mark.parametrize("cell", LLMBAR, ids=CELL)
def test_the_printed_kappas_are_of_codes_that_cannot_meet(cell: dict[str, float]) -> None:
    people, ab, ba = _llmbar()[str(cell["subset"]), str(cell["judge"])]
    # As printed: the first output is 1 of people and of the judge, the second 2 of people and 0 of the judge, and so is
    # what could not be read.
    gold = np.array([{"a": 1, "b": 2}[str(verdict)] for verdict in people])
    orders = {name: np.array([int(one == "a") for one in order]) for name, order in (("False", ab), ("True", ba))}
    for name, order in orders.items():
        if len(np.unique(np.concatenate([gold, order]))) > 1:
            assert cell[f"kappa_{name}"] == pytest.approx(cohen_kappa_score(order, gold), abs=1e-12)
    # As it should be.
    found = plain(people, ab, ba)
    for name, printed in (("kappa_ab", "kappa_False"), ("kappa_ba", "kappa_True")):
        right = found[name]
        if isinstance(right, float):
            order = ab if name == "kappa_ab" else ba
            assert right == pytest.approx(cohen_kappa_score(coded(people), coded(order)), abs=1e-9)
            assert abs(right - cell[printed]) > 1e-3


def test_gpt_4_on_natural() -> None:
    path("llmbar/published_statistics.jsonl")
    (printed,) = [cell for cell in LLMBAR if (cell["subset"], cell["judge"]) == ("Natural", "GPT-4/Vanilla")]
    found = plain(*_llmbar()["Natural", "GPT-4/Vanilla"])
    assert f"{printed['kappa_False']:.3f}" == "0.268"
    assert f"{found['kappa_ab']:.3f}" == "0.898"
    # Between the orders all is coded alike, and the printed figure stands.
    assert found["kappa_orders"] == pytest.approx(printed["kappa_agreement"], abs=1e-9)


@pytest.mark.parametrize(("judge", "consistency"), [("GPT-4/Vanilla", "0.95"), ("ChatGPT/Vanilla", "0.71")])
def test_position_consistency_on_natural(judge: str, consistency: str) -> None:
    _, ab, ba = _llmbar()["Natural", judge]
    assert f"{position(ab, ba).consistency():.2f}" == consistency


# ---------------------------------------------------------------- PandaLM


@cache
def _pandalm() -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = {}
    for row in rows("pandalm/human"):
        found.setdefault(row["annotator"], {})[row["item"]] = row["verdict"]
    for row in rows("pandalm/judge"):
        found.setdefault(row["judge"], {})[row["item"]] = row["verdict"]
    return found


@pytest.mark.parametrize(
    ("pair", "printed"), list(zip(combinations((1, 2, 3), 2), ("0.85", "0.88", "0.86"), strict=True))
)
def test_the_printed_kappas_of_pandalm(pair: tuple[int, int], printed: str) -> None:
    one, other = (_pandalm()[f"annotator{number}"] for number in pair)
    assert f"{plain(list(one.values()), [other[item] for item in one])['kappa_ab']:.2f}" == printed


def test_the_printed_majorities_of_pandalm() -> None:
    first, second, third = (_pandalm()[f"annotator{number}"] for number in (1, 2, 3))
    people = majority([[first[item], second[item], third[item]] for item in first])
    assert {verdict: people.count(verdict) for verdict in ("tie", "a", "b", None)} == {
        "tie": 105,
        "a": 422,
        "b": 472,
        None: 0,
    }
    # Unparsed verdicts are ties there.
    accuracies = {
        judge: plain(people, [_pandalm()[judge][item] or "tie" for item in first])["accuracy_ab"]
        for judge in ("gpt-3.5-turbo", "pandalm-7b")
    }
    assert {judge: f"{value:.4f}" for judge, value in accuracies.items()} == {
        "gpt-3.5-turbo": "0.7107",
        "pandalm-7b": "0.6677",
    }
    assert best_constant(people) == ("b", 472 / 999)

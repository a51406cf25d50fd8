"""What happens, as counts for Prometheus.

Labels are few, and none is text of a caller: a judge has its name where its operator offers it, and its provider's
otherwise, and causes beyond the first ones are `other`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from judge.grades import Graded
from judge.judges import Judge
from judge.ledger import CallState, Settlement
from judge.session import Session
from judge.telemetry import InHand, Observer
from rubrics import Rubric

#: Seconds that judges take: a cached answer, or one that thought for long.
CALL_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
#: Causes are words of ours, of statuses and of exceptions; there are not many, and there will not be.
MOST_CAUSES = 64
OTHER = "other"
_CAUSE = re.compile(r"\w{1,64}", re.ASCII)
_HOST = re.compile(r"://(?:[^/@]*@)?([^/?#]+)")

Label = Callable[[Judge], str]


class Metrics(Observer):
    """Counts what one process does, in a registry of its own.

    Parameters
    ----------
    label
        What a judge is called: one of few names.
    """

    def __init__(self, label: Label) -> None:
        self.registry = CollectorRegistry()
        self._label = label
        self._causes: set[str] = set()

        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(f"judge_{name}", told, ("judge", *labels), registry=self.registry)

        self._calls = counter("calls", "Calls that are over, by what became of them and why.", "outcome", "cause")
        self._retries = counter("retries", "Calls that were sent once more, by why.", "cause")
        self._tokens = counter("tokens", "Tokens that were read and written.", "kind")
        self._cached = counter("cached_tokens", "Tokens of prompts that a provider's cache held.")
        self._cost = counter("cost_dollars", "Dollars that calls cost; lost ones at their worst.")
        self._unpriced = counter("unpriced_calls", "Calls whose cost is not known.")
        self._grades = counter("grades", "Items that were graded, by outcome.", "outcome")
        self._reused = counter("reused_answers", "Answers that were there already, and cost nothing.")
        self._duplicates = counter("possible_duplicates", "Calls that were sent again after a lost answer.")
        told = "Seconds from sending a call to its end."
        self._seconds = Histogram(
            "judge_call_duration_seconds", told, ("judge",), buckets=CALL_S, registry=self.registry
        )
        told = "Calls under way."
        self._in_flight = Gauge("judge_calls_in_flight", told, ("judge",), registry=self.registry)
        self._active = Gauge("judge_runs_active", "Runs that this process grades.", registry=self.registry)

    def sent(self, judge: Judge) -> None:
        """See `Observer`."""
        self._in_flight.labels(self._label(judge)).inc()

    def settled(self, judge: Judge, settlement: Settlement, seconds: float | None) -> None:
        """See `Observer`."""
        name, one = self._label(judge), settlement
        unusable = one.state is CallState.ANSWERED and not one.usable
        self._calls.labels(name, "unusable" if unusable else one.state, self._cause(one.cause)).inc()
        if seconds is not None:
            self._in_flight.labels(name).dec()
            self._seconds.labels(name).observe(seconds)
        if one.prompt_tokens is not None:
            self._tokens.labels(name, "prompt").inc(one.prompt_tokens)
        if one.completion_tokens is not None:
            self._tokens.labels(name, "completion").inc(one.completion_tokens)
        if one.cached_tokens:
            self._cached.labels(name).inc(one.cached_tokens)
        if one.cost_usd is None:
            self._unpriced.labels(name).inc()
        else:
            self._cost.labels(name).inc(one.cost_usd)

    def retried(self, judge: Judge, cause: str) -> None:
        """See `Observer`."""
        self._retries.labels(self._label(judge), self._cause(cause)).inc()

    def graded(self, judge: Judge, rubric: Rubric, graded: Graded) -> None:
        """See `Observer`."""
        name, receipt = self._label(judge), graded.receipt
        self._grades.labels(name, graded.grade.outcome).inc()
        if receipt.reused:
            self._reused.labels(name).inc(receipt.reused)
        if receipt.possible_duplicates:
            self._duplicates.labels(name).inc(receipt.possible_duplicates)

    def run_began(self, judge: Judge, run: InHand) -> None:
        """See `Observer`."""
        self._active.inc()

    def run_ended(self, judge: Judge, run: InHand) -> None:
        """See `Observer`."""
        self._active.dec()

    def _cause(self, cause: str | None) -> str:
        if cause is None or cause in self._causes:
            return cause or ""
        if len(self._causes) >= MOST_CAUSES or _CAUSE.fullmatch(cause) is None:
            return OTHER
        self._causes.add(cause)
        return cause


class Endpoints(Collector):
    """How far the servers of judges are used, looked up when it is asked for.

    Parameters
    ----------
    sessions
        The judges that are ready.
    offered
        Whether the operator offers a judge, so that its server may be named.
    """

    def __init__(self, sessions: Callable[[], Iterable[Session]], offered: Callable[[Judge], bool]) -> None:
        self._sessions, self._offered = sessions, offered

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See `prometheus_client`."""
        distinct = {id(one.endpoint): one for one in self._sessions() if one.endpoint is not None}
        taken: dict[str, list[float]] = {}
        for one in distinct.values():
            assert one.endpoint is not None
            sums = taken.setdefault(self._host(one), [0.0, 0.0, 0.0])
            told = (one.endpoint.in_flight, int(one.endpoint.limit), one.endpoint.broken is not None)
            taken[self._host(one)] = [sum(pair) for pair in zip(sums, told, strict=True)]
        names = {
            "judge_endpoint_slots_taken": "Calls that hold a slot of a server.",
            "judge_endpoint_slots": "Calls that a server may have at once; fewer while it refuses for rate.",
            "judge_endpoint_breakers_open": "Servers that are not asked for now.",
        }
        for place, (name, told_of) in enumerate(names.items()):
            family = GaugeMetricFamily(name, told_of, labels=("endpoint",))
            for host, sums in taken.items():
                family.add_metric((host,), sums[place])
            yield family

    def _host(self, session: Session) -> str:
        endpoint = getattr(session.adapter, "endpoint", "")
        found = _HOST.search(endpoint)
        if found is None or not (self._offered(session.judge) or session.judge.base_url is None):
            return OTHER
        return found[1]

"""Grades as OpenTelemetry events, `gen_ai.evaluation.result` of its conventions for generative AI: one a criterion.

Where they go is said by OpenTelemetry's own variables, `OTEL_...`. Nothing is sent unless `JUDGE_OTEL` says so, and a
judge's reasons, which may quote what was graded, only where it says `explanations`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from judge.errors import SetupError
from judge.grades import OVERALL, Grade, Graded
from judge.judges import Judge
from judge.telemetry import Observer
from judge.verdicts import Outcome
from rubrics import Rubric

NAME = "gen_ai.evaluation.result"
SWITCH = "JUDGE_OTEL"
#: What the metadata of an item may say of the answer that is graded: its id, and the span that it was made in.
RESPONSE_ID, TRACE_ID, SPAN_ID = "gen_ai.response.id", "trace_id", "span_id"
_TRACE, _SPAN = re.compile("(?!0{32})[0-9a-f]{32}"), re.compile("(?!0{16})[0-9a-f]{16}")
#: A cause that is a word, as error types are to be; others are sentences.
_WORD = re.compile(r"\w{1,64}", re.ASCII)
#: Outcomes without a score that are no error.
DECIDED = frozenset({Outcome.NOT_APPLICABLE, Outcome.ABSTAINED})


def wanted() -> tuple[Observer, ...]:
    """An observer that sends events, if the environment asks for one.

    Raises
    ------
    SetupError
        Where it asks for what there is not, or the extra `otel` is not installed.
    """
    asked = os.environ.get(SWITCH, "").strip().lower()
    if asked in {"", "off"}:
        return ()
    if asked not in {"events", "explanations"}:
        raise SetupError(f"{SWITCH} is {asked!r}; write `events`, or `explanations` to send the judge's reasons too")
    return (Events(explanations=asked == "explanations"),)


class Events(Observer):
    """Sends events by OpenTelemetry's SDK, in batches and aside; what its server does not take is lost.

    Parameters
    ----------
    explanations
        Whether the judge's reasons are sent too.

    Raises
    ------
    SetupError
        Where the SDK is not installed.
    """

    def __init__(self, explanations: bool) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415 - an extra
            from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415 - an extra
            from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 - an extra
        except ImportError:
            raise SetupError(f"{SWITCH} needs OpenTelemetry; install this project with its extra: otel") from None
        ours = Resource({"service.name": "calibrated-judge", "service.version": version("calibrated-judge")})
        self._provider = LoggerProvider(ours.merge(OTELResourceDetector().detect()))
        self._provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        self._logger = self._provider.get_logger("judge", version("calibrated-judge"))
        self._explanations = explanations

    def graded(self, judge: Judge, rubric: Rubric, graded: Graded) -> None:
        """See `Observer`."""
        grade = graded.grade
        shared, context = _shared(judge, grade), _context(grade.metadata)
        for attributes in _results(grade, self._explanations):
            self._logger.emit(event_name=NAME, attributes=shared | attributes, context=context)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def _shared(judge: Judge, grade: Grade) -> dict[str, Any]:
    """What the events of one grade have in common."""
    told: dict[str, Any] = {
        "judge.name": judge.name,
        "judge.fingerprint": grade.judge.fingerprint,
        "judge.kind": grade.judge.kind,
        "judge.item.id": grade.item,
        "judge.rubric.name": grade.rubric.name,
        "judge.rubric.hash": grade.rubric.hash,
    }
    if grade.run is not None:
        told["judge.run.id"] = grade.run
    if isinstance(response := grade.metadata.get(RESPONSE_ID), str):
        told[RESPONSE_ID] = response
    return told


def _results(grade: Grade, explanations: bool) -> Iterator[dict[str, Any]]:
    """What the events of a grade say, each of one criterion, and the last of the whole."""
    for id_, one in grade.criteria.items():
        told = _result(id_, one.outcome, one.score, one.level, one.cause)
        if explanations and one.reason is not None:
            told["gen_ai.evaluation.explanation"] = one.reason
        yield told
    passed = None if grade.passed is None else "pass" if grade.passed else "fail"
    yield _result(OVERALL, grade.outcome, grade.score, passed, None)


def _result(
    name: str, outcome: Outcome, score: float | None, label: int | str | None, cause: str | None
) -> dict[str, Any]:
    told: dict[str, Any] = {"gen_ai.evaluation.name": name, "judge.outcome": str(outcome)}
    if score is not None:
        told["gen_ai.evaluation.score.value"] = float(score)
    if outcome in DECIDED:
        label = str(outcome)
    if label is not None:
        told["gen_ai.evaluation.score.label"] = str(label)
    if outcome is not Outcome.SCORED and outcome not in DECIDED:
        told["error.type"] = cause if cause is not None and _WORD.fullmatch(cause) else str(outcome)
    return told


def _context(metadata: dict[str, Any]) -> Any:
    """The span that made the answer, where the item names it."""
    trace, span = metadata.get(TRACE_ID), metadata.get(SPAN_ID)
    if not (isinstance(trace, str) and isinstance(span, str) and _TRACE.fullmatch(trace) and _SPAN.fullmatch(span)):
        return None
    from opentelemetry import trace as tracing  # noqa: PLC0415 - an extra

    made_in = tracing.SpanContext(int(trace, 16), int(span, 16), True, tracing.TraceFlags(tracing.TraceFlags.SAMPLED))
    return tracing.set_span_in_context(tracing.NonRecordingSpan(made_in))

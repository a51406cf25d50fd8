"""Grades as OpenTelemetry's events, taken by a collector on loopback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from judge import Judge, SetupError, otel
from judge.costs import Receipt
from judge.grades import Grade, Graded
from rubrics import Rubric
from tests.conftest import listening

logs_service = pytest.importorskip(
    "opentelemetry.proto.collector.logs.v1.logs_service_pb2", reason="events need the extra `otel`"
)

REASON = "It repeats what a customer wrote."
SCORED = {"outcome": "scored", "score": 2.0, "level": 2, "reason": REASON}
FAILED = {"outcome": "judge_error", "cause": "http_500"}
SENTENCE = {"outcome": "invalid", "cause": "the score of polite is not one of these", "reason": REASON}
Told = list[dict[str, Any]]


class Collector:
    """A server that takes events. `fail` is the status that it answers with instead."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.status = 200

    def told(self) -> Told:
        """The attributes of every event, and its name and ids."""
        found: Told = []
        for _, request in self.requests:
            for record in request.resource_logs[0].scope_logs[0].log_records:
                given = {one.key: one.value.double_value or one.value.string_value for one in record.attributes}
                found.append(given | {"": (record.event_name, record.trace_id.hex(), record.span_id.hex())})
        return found


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    taken = Collector()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = logs_service.ExportLogsServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
            taken.requests.append((self.path, request))
            self.send_response(taken.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with listening(Taking) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        yield taken


@pytest.fixture
def send(rubric: Rubric, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    """Sends grades, and returns what arrived."""

    def sent(*grades: Grade, wanted: str = "events") -> Told:
        monkeypatch.setenv("JUDGE_OTEL", wanted)
        (observer,) = otel.wanted()
        for one in grades:
            observer.graded(Judge.load("simulated"), rubric, Graded(one, (), Receipt()))
        observer.close()
        return collector.told()

    return sent


def grade(clear: dict[str, Any], polite: dict[str, Any], **fields: Any) -> Grade:
    whole = {
        "item": "item-1", "outcome": "judge_error", "score": None, "low": 0.0, "high": 1.0, "passed": None,
        "criteria": {"clear": clear, "polite": polite}, "rubric": {"name": "small", "hash": "f" * 64},
        "judge": {"name": "j", "fingerprint": "e" * 64, "kind": "model"}, "usage": {}, "metadata": {}, "run": "r1",
    }  # fmt: skip
    return Grade.model_validate(whole | fields)


def of(told: Told, name: str) -> dict[str, Any]:
    (found,) = [one for one in told if one["gen_ai.evaluation.name"] == name]
    return {key: value for key, value in found.items() if key.startswith(("gen_ai", "error"))}


def test_a_criterion_is_an_event_and_one_without_a_score_has_none(send: Callable[..., Told]) -> None:
    told = send(grade(SCORED, FAILED))
    assert {one[""][0] for one in told} == {"gen_ai.evaluation.result"}
    assert of(told, "clear") == {
        "gen_ai.evaluation.name": "clear",
        "gen_ai.evaluation.score.value": 2.0,
        "gen_ai.evaluation.score.label": "2",
    }
    assert of(told, "polite") == {"gen_ai.evaluation.name": "polite", "error.type": "http_500"}
    assert of(told, "overall") == {"gen_ai.evaluation.name": "overall", "error.type": "judge_error"}
    shared = {"judge.item.id": "item-1", "judge.run.id": "r1", "judge.rubric.name": "small", "judge.kind": "model"}
    assert all(shared.items() <= one.items() for one in told)


def test_what_a_judge_decides_is_no_error_and_passing_is_a_label(send: Callable[..., Told]) -> None:
    whole = {"outcome": "scored", "score": 0.5, "passed": False}
    told = send(grade(SCORED, {"outcome": "not_applicable"}, **whole))
    assert of(told, "polite") == {
        "gen_ai.evaluation.name": "polite",
        "gen_ai.evaluation.score.label": "not_applicable",
    }
    assert of(told, "overall") == {
        "gen_ai.evaluation.name": "overall",
        "gen_ai.evaluation.score.value": 0.5,
        "gen_ai.evaluation.score.label": "fail",
    }


def test_a_reason_is_sent_where_it_is_asked_for_alone(send: Callable[..., Told], collector: Collector) -> None:
    told = send(grade(SCORED, SENTENCE))
    assert of(told, "polite")["error.type"] == "invalid"  # a sentence is no type
    assert REASON not in str(collector.requests)
    told = send(grade(SCORED, SENTENCE), wanted="explanations")
    assert of(told[3:], "clear")["gen_ai.evaluation.explanation"] == REASON
    assert of(told[3:], "polite")["gen_ai.evaluation.explanation"] == REASON


def test_an_item_may_name_the_answer_and_the_span_that_it_was_made_in(send: Callable[..., Told]) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    named = {"gen_ai.response.id": "chatcmpl-1", "trace_id": trace, "span_id": span}
    wrong = [{"trace_id": trace}, {"trace_id": "0" * 32, "span_id": span}, {"trace_id": trace.upper(), "span_id": span}]
    told = send(*(grade(SCORED, FAILED, metadata=one) for one in [named, {}, *wrong]))
    assert {(one[""][1:], one["gen_ai.response.id"]) for one in told[:3]} == {((trace, span), "chatcmpl-1")}
    assert {(one[""][1:], one.get("gen_ai.response.id")) for one in told[3:]} == {(("", ""), None)}


def test_where_and_as_what_is_said_by_the_standard_variables(
    send: Callable[..., Told], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resource(place: int) -> dict[str, str]:
        path, request = collector.requests[place]
        assert path == "/v1/logs"
        return {one.key: one.value.string_value for one in request.resource_logs[0].resource.attributes}

    send(grade(SCORED, FAILED))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "grading")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    send(grade(SCORED, FAILED))
    assert resource(0)["service.name"] == "calibrated-judge"
    told = resource(1)
    assert (told["service.name"], told["deployment.environment.name"]) == ("grading", "test")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    send(grade(SCORED, FAILED))
    assert len(collector.requests) == 2


@pytest.mark.filterwarnings("ignore")
def test_a_collector_that_refuses_costs_no_grade(send: Callable[..., Told], collector: Collector) -> None:
    collector.status = 400
    assert len(send(grade(SCORED, FAILED))) == 3


def test_nothing_is_sent_or_imported_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name in ("", "off", " OFF "):
        monkeypatch.setenv("JUDGE_OTEL", name)
        assert otel.wanted() == ()
    monkeypatch.setenv("JUDGE_OTEL", "all")
    with pytest.raises(SetupError, match="JUDGE_OTEL is 'all'; write `events`"):
        otel.wanted()
    code = "import json, sys, api.app, judge.cli.grade; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert "judge.otel" in loaded
    assert not [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_OTEL", "events")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._logs", None)
    with pytest.raises(SetupError, match="its extra: otel"):
        otel.wanted()


def test_the_page_names_every_attribute(send: Callable[..., Told]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")
    rows = re.findall(r"^\| (`(?:gen_ai|error|judge)\.[^|]*) \|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    told = send(grade(SCORED, SENTENCE, metadata={"gen_ai.response.id": "chatcmpl-1"}), wanted="explanations")
    assert {key for one in told for key in one if key} == named

"""docs/api.md is what the service says of itself."""

from __future__ import annotations

import re
from pathlib import Path

from api.app import create_app
from api.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_reference_is_that_of_this_service() -> None:
    document = create_app("sqlite://").openapi()
    assert PAGE.read_text("utf-8") == reference(document), "write it anew: python -m api.reference docs/api.md"
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"### {method.upper()} {path}\n" in PAGE.read_text("utf-8")


def test_answers_are_described_with_their_headers() -> None:
    paths = create_app("sqlite://").openapi()["paths"]
    for methods in paths.values():
        for operation in methods.values():
            assert all("X-Request-ID" in one["headers"] for one in operation["responses"].values())
    for path in ("/v1/rubrics", "/v1/judges", "/v1/calibrations"):
        assert "Location" in paths[path]["post"]["responses"]["201"]["headers"]
        assert {"400", "413", "415"} <= set(paths[path]["post"]["responses"])
    for path in ("/v1/runs", "/v1/runs/upload"):
        told = paths[path]["post"]["responses"]
        assert all("Retry-After" in told[status]["headers"] for status in ("409", "503"))
        assert "402" in told
    full = [
        one["responses"]["429"] for methods in paths.values() for one in methods.values() if "429" in one["responses"]
    ]
    assert len(full) == 7
    assert all({"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(one["headers"]) for one in full)
    summary = paths["/v1/runs/{run}/summary"]["get"]["responses"]["200"]["content"]["application/json"]
    assert summary["schema"] == {"$ref": "#/components/schemas/RunSummary"}
    assert "4,096" in PAGE.read_text("utf-8")


def test_the_operations_that_take_a_key_are_named() -> None:
    document = create_app("sqlite://").openapi()
    taken = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    }
    assert set(re.findall(r"`(POST [^`]+)`", document["info"]["description"])) == taken
    assert document["info"]["description"] in PAGE.read_text("utf-8")


def test_its_links_lead_somewhere() -> None:
    text = PAGE.read_text("utf-8")
    headings = {heading.lower() for heading in re.findall(r"^#+ (\S+)$", text, re.MULTILINE)}
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    assert {link[1:] for link in links if link.startswith("#")} <= headings
    assert all((PAGE.parent / link).exists() for link in links if not link.startswith(("#", "https:")))


def test_another_description_gives_another_page() -> None:
    document = create_app("sqlite://").openapi()
    before = reference(document)
    document["paths"]["/v1/runs"]["get"]["description"] = "Told otherwise."
    assert reference(document) != before

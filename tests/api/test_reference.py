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

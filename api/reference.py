"""docs/api.md, from the service's description of itself: `python -m api.reference docs/api.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from api.app import create_app
from api.problems import MEDIA_TYPE
from api.request_ids import HEADER

HEAD = """\
# The HTTP API

Written from the service's own description, `GET /openapi.json`, with `python -m api.reference docs/api.md`.

`judge serve` listens on `http://127.0.0.1:8400`. Send `Authorization: Bearer KEY` with a key of `judge keys create`; with
`judge serve --no-keys` nobody needs one. A key has scopes (`grade`, `read`, `label`; `admin` is these three), and sees
what belongs to its tenant; `metrics` shows the figures of all tenants. Bodies are JSON in UTF-8, of at most 16 MiB but for
uploads, and may come with `Content-Encoding: gzip`: what they unpack to is held to the same limit. Unknown fields are
refused. Every answer has the `X-Request-ID` of its request, or a new one.

An error is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): its `type`,
`urn:judge:problem:KIND`, is for programs, `detail` says what to do next, and `errors` has a JSON pointer to each part of
the body that is wrong, or the name of a `parameter` or `header`. The kinds are listed [at the end](#problems). `429`, and some of `409` and `503`, say in
`Retry-After` when to come again; `429` in `RateLimit-Policy` and `RateLimit` what there is no room for.
"""  # noqa: E501
#: Described elsewhere, with all their parts.
ELSEWHERE = {"Rubric": "rubrics.md", "Item": "items.md"}
_REF, _KIND = "#/components/schemas/", "urn:judge:problem:"

Document = dict[str, Any]


def reference(document: Document) -> str:
    """The reference, as Markdown. Raises KeyError for a document that is not of this service."""
    schemas: Document = document["components"]["schemas"]
    by_tag: dict[str, list[str]] = {}
    used: dict[str, None] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            told = "\n".join(_operation(method, path, operation, used))
            by_tag.setdefault(operation["tags"][0], []).append(told)
    parts = [HEAD, f"{document['info']['description']}\n"]
    for tag, operations in by_tag.items():
        parts += [f"## {tag.capitalize()}\n", *operations]
    parts += ["## Shapes\n", *_shapes(schemas, used), "## Problems\n", *_every_problem(document)]
    return "\n".join(parts).rstrip() + "\n"


def _operation(method: str, path: str, operation: Document, used: dict[str, None]) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    yield f"{operation['description']}\n"
    for scheme in operation["security"]:
        yield f"Scope: {', '.join(f'`{scope}`' for scope in scheme['key'])}.\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield from ("| parameter | in | type | |", "|---|---|---|---|")
        for one in parameters:
            needed = "" if one["required"] else _default(one["schema"])
            told = f"{one.get('description', '')}{needed}".strip()
            yield f"| `{one['name']}` | {one['in']} | {_type(one['schema'], used)} | {told} |"
        yield ""
    body = operation.get("requestBody")
    if body is not None:
        yield from _content("Body", body.get("description", ""), body["content"], used)
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield from _content(f"Answer `{status}`", response["description"], response.get("content", {}), used)
            headers = {name: header for name, header in response["headers"].items() if name != HEADER}
            for name, header in headers.items():
                yield f"- `{name}`: {header['description']}"
            if headers:
                yield ""
    yield from _problems(operation["responses"])


def _content(what: str, description: str, content: Document, used: dict[str, None]) -> Iterator[str]:
    """What is sent, and the first example of it."""
    said = f" {description}" if description and description != "Successful Response" else ""
    media = ", ".join(f"`{name}`" for name in content)
    schema: Document = next((one.get("schema", {}) for one in content.values()), {})
    shape = _type(schema, used) if _named(schema) else ""
    yield f"{what}: {', '.join(filter(None, (shape, media))) or 'nothing'}.{said}\n"
    example = next((_example(one) for one in content.values()), None)
    if isinstance(example, str):
        yield f"```\n{example.rstrip()}\n```\n"
    elif example is not None:
        yield f"```json\n{json.dumps(example, indent=2, ensure_ascii=False)}\n```\n"


def _example(content: Document) -> object:
    if "example" in content:
        return content["example"]
    return content["schema"]["examples"][0]


def _problems(responses: Document) -> Iterator[str]:
    told = []
    for status, response in sorted(responses.items()):
        if status != "default" and (kinds := [kind for kind, _ in _kinds(response)]):
            told.append(f"`{status}` {', '.join(kinds)}")
    yield f"Problems: {'; '.join(told)}.\n"


def _kinds(response: Document) -> Iterator[tuple[str, Document]]:
    """The problems that a response may be, by kind."""
    for example in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values():
        yield example["value"]["type"].removeprefix(_KIND), example["value"]


def _every_problem(document: Document) -> Iterator[str]:
    found: dict[tuple[int, str], str] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                found |= {(told["status"], kind): told["title"] for kind, told in _kinds(response)}
    yield from ("| status | kind | |", "|---|---|---|")
    yield from (f"| {status} | `{kind}` | {title} |" for (status, kind), title in sorted(found.items()))
    yield ""


def _shapes(schemas: Document, used: dict[str, None]) -> Iterator[str]:
    """What bodies and answers are made of. Those that a shape leads to come after it."""
    told: set[str] = set()
    while left := [name for name in used if name not in told]:
        name = left[0]
        told.add(name)
        schema = schemas[name]
        yield f"### {name}\n"
        if "description" in schema:
            yield f"{schema['description']}\n"
        if "enum" in schema:
            yield f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.\n"
            continue
        yield from ("| field | type | |", "|---|---|---|")
        for field, of in schema["properties"].items():
            needed = "" if field in schema.get("required", ()) else _default(of)
            yield f"| `{field}` | {_type(of, used)} | {_line(of.get('description', ''))}{needed} |"
        yield ""


def _type(schema: Document, used: dict[str, None]) -> str:
    """A type in a few words, with a link to the shape that it names."""
    if name := _named(schema):
        plain = name.partition("-")[0]  # a shape may differ where it comes in and where it goes out
        if plain in ELSEWHERE:
            return f"[{plain}]({ELSEWHERE[plain]})"
        used.setdefault(name)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(dict.fromkeys(_type(one, used) for one in schema.get("anyOf") or schema["oneOf"]))
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), used)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'], used)}"
    return f"{kind}{_bounds(schema)}"


def _named(schema: Document) -> str:
    return str(schema.get("$ref", "")).removeprefix(_REF)


#: How bounds are written.
_BOUNDS = {
    "minimum": "≥ {:,}",
    "exclusiveMinimum": "> {:,}",
    "maximum": "≤ {:,}",
    "exclusiveMaximum": "< {:,}",
    "maxLength": "at most {:,} characters",
}


def _bounds(schema: Document) -> str:
    told: Iterable[str] = (text.format(_whole(schema[name])) for name, text in _BOUNDS.items() if name in schema)
    found = ", ".join(told)
    return f" {found}" if found else ""


def _whole(bound: float) -> float:
    return int(bound) if bound == int(bound) else bound


def _default(schema: Document) -> str:
    if schema.get("default") is None:
        return " Optional."
    return f" Default: `{json.dumps(schema['default'])}`."


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(create_app("sqlite://").openapi()), "utf-8")

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from judge import Judge, SetupError
from judge.judges import Asking, Price
from judge.providers import BUILT_IN

ROOT = Path(__file__).parents[2]
YAML = """
provider: openai
model: m
base_url: http://127.0.0.1:9/v1
price: {input: 0.5, output: 2}
headers: {X-Secret: abc}
"""


def test_a_judge_by_name() -> None:
    judge = Judge.load("openai/org/model:free")
    assert (judge.name, judge.provider, judge.model) == ("openai/org/model:free", "openai", "org/model:free")
    assert Judge.load("simulated").provider == "simulated"


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai/m", "OPENAI_API_KEY"),
        ("openai-responses/m", "OPENAI_API_KEY"),
        ("anthropic/m", "ANTHROPIC_API_KEY"),
        ("mine:Class/m", None),
    ],
)
def test_which_key_a_judge_is_given(name: str, variable: str | None) -> None:
    described = Judge.load(name)
    assert described.key_variable == variable
    assert described.model_copy(update={"base_url": "http://x"}).key_variable is None
    assert described.model_copy(update={"base_url": "http://x", "api_key_env": "MINE"}).key_variable == "MINE"


@pytest.mark.parametrize("name", ["gpt-x", "openai/", ""])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(SetupError, match="name one as provider/model"):
        Judge.load(name)


def test_a_judge_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(YAML)
    judge = Judge.load(path)
    assert (judge.name, judge.model, judge.price) == ("mine", "m", Price(input=0.5, output=2.0))
    assert Judge.load(str(path)) == judge


def test_certificates_are_found_beside_the_description(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(YAML + "ca_file: ca.pem\n")
    assert Judge.load(path).ca_file == str(tmp_path / "ca.pem")
    path.write_text(YAML + "ca_file: /etc/ca.pem\n")
    assert Judge.load(path).ca_file == "/etc/ca.pem"


def test_a_recorded_file_is_found_beside_the_description(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("provider: recorded\noptions: {file: scores.jsonl}\n")
    assert Judge.load(path).options == {"file": str(tmp_path / "scores.jsonl")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (YAML + "modle: x\n", "`modle`: no such field; the fields are name, provider"),
        (YAML + "max_tokens: 0\n", "`max_tokens`"),
        (YAML + "mode: xml\n", "`mode`"),
        (YAML + "criteria_per_call: 101\n", "`criteria_per_call`"),
        (YAML + "proxy: socks5://127.0.0.1:9\n", "`proxy`: is no http:// or https:// address"),
        (YAML + "proxy: http://me:secret@proxy:8080\n", "holds a name or password"),
        ("provider: openai\nmodel: m\nbase_url: 127.0.0.1:8000/v1\n", "no http:// or https:// address"),
        ("model: m\n", "`provider`"),
        ("provider: [openai\n", "not YAML"),
        ("- a\n", "not a judge"),
        ("!!python/object/apply:os.system ['true']\n", "is not read"),
        (YAML + "model: again\n", "model"),
    ],
)
def test_a_wrong_description_is_one_line_that_names_the_file(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SetupError) as raised:
        Judge.load(path)
    assert str(raised.value).startswith(f"{path}:")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_description_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        Judge.load(tmp_path / "none.yaml")


def judge(**fields: Any) -> Judge:
    return Judge.model_validate({"name": "a", "provider": "openai", "model": "m", **fields})


def test_a_judge_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        judge().model = "n"


@pytest.mark.parametrize(
    "same",
    [
        {"name": "b"},
        {"price": {"input": 1, "output": 1}},
        {"concurrency": 3},
        {"rpm": 5},
        {"timeout_s": 3},
        {"proxy": "http://p:1"},
        {"ca_file": "ca.pem"},
        {"criteria_per_call": 3},
        {"images": True},
    ],
)
def test_what_does_not_change_how_a_judge_is_asked_needs_no_new_probe(same: dict[str, Any]) -> None:
    assert judge(**same).description_hash == judge().description_hash


@pytest.mark.parametrize(
    "other",
    [
        {"model": "n"},
        {"base_url": "http://x/v1"},
        {"temperature": 0},
        {"mode": "tool"},
        {"reasoning_effort": "low"},
        {"logprobs": True},
    ],
)
def test_what_does_change_it_needs_one(other: dict[str, Any]) -> None:
    assert judge(**other).description_hash != judge().description_hash


def test_a_fingerprint_holds_all_that_is_sent_and_not_what_the_provider_reports() -> None:
    asking = Asking("json_schema", (("temperature", 0.0),), reported_model="m-1")

    def fingerprint(
        asking: Asking = asking,
        asked: Judge = judge(),  # noqa: B008
        endpoint: str = "e",
        prompt: str = "p",
        samples: int = 1,
    ) -> str:
        return asking.fingerprint(asked, endpoint, prompt, samples)

    same = {
        fingerprint(),
        fingerprint(Asking("json_schema", (("temperature", 0.0),), reported_model="m-2")),
        fingerprint(asked=judge(name="b", concurrency=2, price={"input": 1, "output": 1})),
        fingerprint(asked=judge(proxy="http://p:1", ca_file="ca.pem")),
        fingerprint(asked=judge(logprobs=True)),  # what counts is whether they are really sent
    }
    assert len(same) == 1
    others = [
        fingerprint(Asking("tool", (("temperature", 0.0),))),
        fingerprint(Asking("json_schema", ())),
        fingerprint(Asking("json_schema", (("temperature", 1.0),))),
        fingerprint(Asking("json_schema", (("temperature", 0.0),), "max_tokens")),
        fingerprint(asked=judge(model="n")),
        fingerprint(asked=judge(max_tokens=99)),
        fingerprint(asked=judge(criteria_per_call=3)),
        fingerprint(asked=judge(images=True)),
        fingerprint(Asking("json_schema", (("temperature", 0.0),), logprobs=True)),
        fingerprint(endpoint="f"),
        fingerprint(prompt="q"),
        fingerprint(samples=2),
    ]
    assert len({*same, *others}) == 1 + len(others)


def test_the_document_shows_every_example_and_every_example_is_a_judge() -> None:
    text = (ROOT / "docs" / "judges.md").read_text("utf-8")
    shown = re.findall(r"`examples/judges/([a-z-]+)\.yaml`[^`]*(?:`[^`\n]+`[^`]*)*```yaml\n(.*?)```", text, re.DOTALL)
    there = {path.stem: path.read_text("utf-8") for path in (ROOT / "examples" / "judges").iterdir()}
    assert dict(shown) == there
    for path in (ROOT / "examples" / "judges").iterdir():
        described = Judge.load(path)
        assert (described.name, described.provider in BUILT_IN) == (path.stem, True)


def test_the_document_names_every_field() -> None:
    text = (ROOT / "docs" / "judges.md").read_text("utf-8")
    table = text[text.index("| field |") :].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Judge.model_fields)

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rubrics import Rubric, RubricError
from rubrics.json_text import read_json
from rubrics.lines import Lines
from rubrics.yaml_text import read_yaml, write_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
WIDE = "a: &a [" + "x, " * 10_000 + "x]\nb: [" + "*a, " * 12 + "x]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("Off", "Off"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("012", 12),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-31", "2024-01-31"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-7", -7),
        ("'7'", "7"),
        (".nan", ".nan"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = read_yaml(f"k: {text}", Lines("x"))
    assert read == {"k": value}
    assert isinstance(read, dict)
    assert type(read["k"]) is type(value)


def test_aliases_repeat_what_was_named() -> None:
    text = "one: &l {1: bad, 2: good}\ntwo: *l\nthree: [*l]"
    levels = {1: "bad", 2: "good"}
    assert read_yaml(text, Lines("x")) == {"one": levels, "two": levels, "three": [levels]}


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_lines_of_every_part(read: Callable[[str, Lines], object]) -> None:
    text = '{"a": 1,\n "b": [ {"c": "}:,",\n  "\\"": []}, \n [2,\n3]],\n"d": {}}'
    lines = Lines("x")
    lines.mark((), 1)
    assert read(text, lines) == json.loads(text)
    paths = {("a",): 1, ("b",): 2, ("b", 0): 2, ("b", 0, "c"): 2, ("b", 0, '"'): 3, ("b", 1): 4, ("b", 1, 1): 5}
    assert {path: lines.of(path) for path in paths} == paths
    assert lines.of(("d", "nothing here")) == 6
    assert lines.of(("e",)) == 1


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        (BOMB, "x.yaml", "x.yaml:4: too many aliases; write the text out"),
        (WIDE, "x.yaml", "x.yaml:2: too many aliases"),
        ("a: &a [*a]", "x.yaml", "x.yaml:1: nothing above is named &a"),
        ("[" * 2000, "x.yaml", "x.yaml:1: nested more than 32 deep"),
        ("- " * 2000, "x.yaml", "x.yaml:1: nested more than 32 deep"),
        ("[" * 100_000, "x.yaml", "x.yaml:1: nested more than 32 deep"),
        ("[" * 40 + "]" * 40, "x.json", "x.json:1: nested more than 32 deep"),
        ("[" * 100_000 + "]" * 100_000, "x.json", "x.json:1: nested too deep"),
        ("a: " + "x" * 3_000_000, "x.yaml", "x.yaml:1: the text is over 2 MB"),
        ('{"a": ' + "9" * 5000 + "}", "x.json", "x.json:1: a number has too many digits"),
        ('"' + '\\"' * 100_000, "x.json", "x.json:1: not JSON"),
        ('{"a": "' + '\\"' * 100_000 + '"}', "x.json", "x.json:1: a: no such field"),
        ("[" + "x, " * 80_000 + "]", "x.yaml", "x.yaml:1: ['x', 'x', 'x', 'x', 'x', 'x', ...] is not a mapping"),
        ("criteria: [" + "{}, " * 500_000 + "{}]\nname: x", "x.yaml", "x.yaml:1: criteria[0].scale: missing"),
        ('{"criteria": [' + "{}, " * 500_000 + "{}]}", "x.json", "x.json:1: criteria[0].scale: missing"),
        ('{"sections": [' + "{}, " * 500_000 + "{}]}", "x.json", "x.json:1: sections[0].id: missing"),
    ],
)
def test_hostile_text_is_refused_in_time(text: str, source: str, message: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(RubricError) as caught:
        Rubric.loads(text, source)
    assert str(caught.value).startswith(message)
    assert time.perf_counter() - begin < 10


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    for raw, message in (
        (b"name: x\nquestion: \xff\n", ":2: the text is not UTF-8"),
        ("name: x\n".encode("utf-16"), ":1: the text is not UTF-8"),
        (b"x" * 3_000_000, ":1: the text is over 2 MB"),
        (b"", ":1: the text is empty"),
        (b"name: x\nlevel: \x00\n", ":2: a character that text cannot hold"),
        ("name: é\nquestion: é\nlevel: \x1b\n".encode(), ":3: a character that text cannot hold"),
    ):
        file.write_bytes(raw)
        with pytest.raises(RubricError) as caught:
            Rubric.load(file)
        assert str(caught.value).startswith(f"{file}{message}")


@given(st.text("{}[]:,-&*!|>'\"#%@` \n\ta1?é", max_size=30))
def test_both_parsers_of_pyyaml_read_the_same(text: str) -> None:
    # libyaml is the faster of the two; where PyYAML comes without it, the other must give the same data and lines.
    parsers = [yaml.SafeLoader, pytest.importorskip("yaml.cyaml", reason="PyYAML has no libyaml here").CSafeLoader]
    read = []
    for parser in parsers:
        lines = Lines("x")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml, "CSafeLoader", parser)
            with suppress(RubricError):
                read.append((read_yaml(text, lines), [lines.of(path) for path in (("a",), (0,), (1,), ("a", 0))]))
    # One takes tabs and `{a:}` where the other does not.
    assert len(read) < 2 or read[0] == read[1]


@pytest.mark.parametrize(
    "text", ["1e5", "yes", "null", "0x1F", "a: b", "- a", "# a", " a", "a\n\n b\n", "é\u2028é", "'", "|"]
)
def test_text_that_is_written_is_read_as_that_text(text: str) -> None:
    data = {"key": text, text: [text, 1, 0.5, None, True]}
    assert read_yaml(write_yaml(data), Lines("x")) == data

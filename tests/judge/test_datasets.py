from __future__ import annotations

import io
import json
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from judge import InputError, prompts
from judge.datasets import Dataset
from judge.images import data_url

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
OWN = {"name": "own", "criteria": [{"id": "a", "scale": "binary", "question": "Is it"}]}


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(content: str | bytes, name: str = "items.jsonl") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return str(path)

    return write


def line(**fields: Any) -> str:
    return json.dumps({"id": "1", "output": "x", **fields}) + "\n"


def test_jsonl_in_order_with_what_is_no_field_kept_as_metadata(file: Any) -> None:
    first = line(id=1, input="q", system="s", metadata={"m": 1}, reference=None)
    dataset = Dataset(file("\ufeff" + first + "\n  \n" + line(id="2", output="é", rubric=OWN)))
    scan = dataset.scan()
    one, two = list(dataset)
    assert (one.id, one.input, one.reference, one.metadata) == ("1", "q", None, {"system": "s", "m": 1})
    assert two.rubric == OWN
    assert (scan.count, scan.images, scan.bad, scan.kept) == (2, 0, (), ("system",))
    assert scan.text_bytes == sum(len(prompts.user(item).encode()) for item in (one, two))
    assert [item.id for item in dataset] == ["1", "2"]


def test_csv_and_tsv_with_columns_mapped(file: Any) -> None:
    path = file('key,answer,note\r\n1,"two\nlines, ""quoted""",n\r\n2,,\r\n', "items.CSV")
    one, two = list(Dataset(path, columns={"id": "key", "output": "answer"}))
    assert (one.id, one.output, one.metadata) == ("1", 'two\nlines, "quoted"', {"note": "n"})
    assert (two.output, two.metadata) == ("", {"note": None})  # an empty output is an output
    (item,) = Dataset(file("id\toutput\tinput\n1\ta,b\t\n", "items.tsv"))
    assert (item.output, item.input) == ("a,b", None)


def test_a_mapped_column_leaves_its_own_name_free(file: Any) -> None:
    path = file(line(text="the text", output="not this"))
    (item,) = Dataset(path, columns={"output": "text"})
    assert item.output == "the text"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (line() + "{", "items.jsonl:2: not JSON"),
        (line() + "[1]", "items.jsonl:2: not a JSON object"),
        (line() + '{"output": "x"}', "items.jsonl:2: no `id`; add it"),
        (line() + '{"id": "2"}', "items.jsonl:2: no `output`; add it"),
        (line() + '{"id": "2", "output": null}', "items.jsonl:2: `output`"),
        (line() + "\n" + line(), "items.jsonl:3: the id '1' was used in line 1"),
        (line() + line(id=1), "items.jsonl:2: the id '1' was used in line 1"),
        (line(output="\ud800"), "items.jsonl:1: `output` contains half of a surrogate pair"),
        (line(output="\x00"), "items.jsonl:1: `output` contains a NUL"),
        (b'{"id": "1", "output": "\xff"}', "items.jsonl:1: not UTF-8"),
        ('{"id": "1", "output": "x", "metadata": {"n": NaN}}', "items.jsonl:1: not JSON"),
        (line(output="x" * 101), "items.jsonl:1: `output` has 101 bytes, more than the limit of 100"),
        (line(output="é" * 51), "items.jsonl:1: `output` has 102 bytes"),
        (line(input="x" * 500), "items.jsonl:1: the line is longer than 400 bytes"),
        (line(rubric={"name": "own"}), "items.jsonl:1: "),
        ("", "items.jsonl: no items to grade"),
        ("\n\n", "items.jsonl: no items to grade"),
    ],
)
def test_the_first_bad_line_is_told_by_its_number(file: Any, content: str | bytes, told: str) -> None:
    with pytest.raises(InputError) as raised:
        Dataset(file(content), max_output_bytes=100).scan()
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000, '{"a":' * 100_000])
def test_numbers_too_long_and_values_too_deep_are_told(file: Any, value: str) -> None:
    with pytest.raises(InputError, match=r"items\.jsonl:1: (not JSON|nested too deeply)"):
        Dataset(file('{"id": "1", "output": "x", "metadata": {"n": ' + value + "}}")).scan()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("id,output\n1,a\n2\n", "items.csv:3: has not the 2 columns"),
        ("id,output\n1,a,b\n", "items.csv:2: has not the 2 columns"),
        (b"id,output\n1,a\n2,\xff\n", "items.csv:3: not UTF-8"),
        ('id,output\n1,"a\n', "items.csv:2: not CSV"),
        ("key,output\n1,a\n", "items.csv:2: no `id`"),
        ("id,output\n1,a\n1,b\n", "items.csv:3: the id '1' was used in line 2"),
    ],
)
def test_the_first_bad_row_of_a_csv_file(file: Any, content: str | bytes, told: str) -> None:
    with pytest.raises(InputError) as raised:
        Dataset(file(content, "items.csv")).scan()
    assert told in str(raised.value)


def test_skip_bad_leaves_out_and_names_what_is_no_item(file: Any) -> None:
    path = file(line() + "{\n" + line(id="2", output="x" * 500) + line() + line(id="3"))
    dataset = Dataset(path, skip_bad=True, max_output_bytes=100)
    scan = dataset.scan()
    assert [item.id for item in dataset] == ["1", "3"]
    assert scan.count == 2
    assert [told.split(":")[1] for told in scan.bad] == ["2", "3", "4"]


def test_the_size_limit_is_the_outputs_and_at_it_is_within(file: Any) -> None:
    dataset = Dataset(file(line(output="x" * 100)), max_output_bytes=100)
    assert dataset.scan().count == 1


def test_a_limit_takes_the_first_items_and_looks_no_further(file: Any) -> None:
    path = file(line() + line(id="2") + "{")
    dataset = Dataset(path, limit=2)
    assert dataset.scan().count == 2
    assert [item.id for item in dataset] == ["1", "2"]


def test_the_hash_knows_order_ids_texts_and_metadata_and_not_the_form_of_the_file(file: Any) -> None:
    hashes = [
        Dataset(file(content, name)).scan().hash
        for content, name in (
            (line(id="1") + line(id="2"), "a.jsonl"),
            ("\n" + line(id="1") + "\n" + line(id="2"), "b.jsonl"),
            ("output,id\nx,1\nx,2\n", "c.csv"),
            (line(id="2") + line(id="1"), "d.jsonl"),
            (line(id="1") + line(id="2", output="y"), "e.jsonl"),
            (line(id="1") + line(id="2", metadata={"a": 1}), "f.jsonl"),
        )
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes)) == 4


def test_a_file_that_changes_between_its_readings_is_refused(file: Any) -> None:
    path = file(line(id="1") + line(id="2"), "a.jsonl")
    dataset = Dataset(path)
    scan = dataset.scan()
    assert [item.id for item in dataset.unchanged_since(scan)] == ["1", "2"]
    file(line(id="1") + line(id="2", output="another"), "a.jsonl")
    with pytest.raises(InputError, match="changed while it was read"):
        list(dataset.unchanged_since(scan))


def test_standard_input_can_be_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((line() + line(id="2")).encode())))
    dataset = Dataset("-")
    try:
        assert dataset.scan().count == 2
        assert [item.id for item in dataset] == ["1", "2"]
    finally:
        dataset._standard_input.close()


@pytest.mark.parametrize(("name", "told"), [("none.jsonl", "there is no such file"), ("", "is a folder")])
def test_a_file_that_is_not_there(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Dataset(str(tmp_path / name)).scan()


def test_memory_does_not_grow_with_the_number_of_items(file: Any) -> None:
    def peak(count: int) -> int:
        path = file("".join(line(id=str(n), output="x" * 200) for n in range(count)), f"{count}.jsonl")
        dataset = Dataset(path)
        tracemalloc.start()
        dataset.scan()
        sum(1 for _ in dataset)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # what is made once
    assert peak(4000) < peak(400) + 100_000


def test_images_are_read_beside_the_file_each_time_that_it_is_read(tmp_path: Path, file: Any) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    seen = [{"type": "image_url", "image_url": {"url": "a.png"}}]
    path = file(line(images=["a.png", "https://a.example/b.png"], input=[{"role": "user", "content": seen}]))
    dataset = Dataset(path)
    scan = dataset.scan()
    assert (scan.count, scan.images) == (1, 3)
    (item,) = dataset
    assert [image.url for image in prompts.images(item)] == [data_url(PNG), data_url(PNG), "https://a.example/b.png"]
    (tmp_path / "a.png").write_bytes(PNG + b"\x01")
    with pytest.raises(InputError, match="changed while it was read"):
        list(dataset.unchanged_since(scan))
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"items\.jsonl:1: `input\.0\.content\.0\.image_url\.url` names 'a\.png'"):
        dataset.scan()


def test_a_cell_of_csv_is_text_or_one_image(tmp_path: Path, file: Any) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    chat = json.dumps([{"role": "user", "content": "Hi"}]).replace('"', '""')
    (item,) = Dataset(file(f'id,output,images,context\n1,"{chat}",a.png,"[""a""]"\n', "items.csv"))
    assert (item.output, item.context) == ('[{"role": "user", "content": "Hi"}]', '["a"]')
    assert item.images == [data_url(PNG)]


def test_images_are_refused_by_their_line_where_the_judge_takes_none(file: Any) -> None:
    path = file(line() + line(id="2", images=["https://a.example/a.png"]))
    with pytest.raises(
        InputError, match=r"items\.jsonl:2: has an image, and the judge takes none; write `images: true`"
    ):
        Dataset(path, images=False).scan()
    scan = Dataset(path, images=False, skip_bad=True).scan()
    assert (scan.count, len(scan.bad)) == (1, 1)


def test_a_limit_is_on_all_texts_of_an_output(file: Any) -> None:
    steps = [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "x" * 60}}]}] * 2
    with pytest.raises(InputError, match=r"items\.jsonl:1: `output` has 136 bytes, more than the limit of 100"):
        Dataset(file(line(output=steps)), max_output_bytes=100).scan()

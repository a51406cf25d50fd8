from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from judge import Judge, prompts
from judge.datasets import Dataset
from judge.judges import OUTPUT_MODES, Asking, OutputMode
from judge.prices import worst_case
from judge.providers import Request
from judge.providers.openai import OpenAI
from judge.quotes import quote
from rubrics import Rubric, answer_schema


@pytest.mark.anyio
@pytest.mark.parametrize("mode", OUTPUT_MODES)
async def test_a_quote_is_no_less_than_all_the_calls_reserve(
    tmp_path: Path, rubric: Rubric, judge_at: Callable[..., Judge], mode: OutputMode
) -> None:
    judge = judge_at("http://127.0.0.1:9/v1", mode=mode)
    path = tmp_path / "items.jsonl"
    rows = [{"id": n, "input": "Où est-il ? " * n, "output": "Là. " * 50 * n, "context": "c"} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = Dataset(str(path))
    made = quote(dataset.scan(), rubric, judge, judge.price, samples=3)
    provider = OpenAI(judge)
    body = provider.compile(Request(Asking(mode, ()), prompts.system(rubric, mode), answer_schema(rubric)))
    reserved = [worst_case(judge.price, len(body(prompts.user(item), 100)), 100) or 0.0 for item in dataset]
    await provider.close()
    assert (made.calls, made.answer_tokens_at_most) == (60, 6000)
    assert made.worst_usd is not None
    assert 3 * sum(reserved) <= made.worst_usd <= 4.5 * sum(reserved)
    assert made.prompt_tokens > 0
    assert quote(dataset.scan(), rubric, judge, None, samples=3).worst_usd is None


def test_images_are_quoted_by_their_number_and_not_by_their_bytes(
    tmp_path: Path, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3_000_000))
    path = tmp_path / "items.jsonl"
    path.write_text('{"id": 1, "output": "x"}\n')
    judge = judge_at("http://127.0.0.1:9/v1", images=True)
    plain = quote(Dataset(str(path)).scan(), rubric, judge, judge.price, samples=2)
    path.write_text('{"id": 1, "output": "x", "images": ["large.png", "https://a.example/b.png"]}\n')
    seen = quote(Dataset(str(path)).scan(), rubric, judge, judge.price, samples=2)
    assert plain.worst_usd is not None
    assert seen.worst_usd is not None
    shown = seen.worst_usd - plain.worst_usd - 2 * 2 * 50_000 / 1e6
    assert 0 < shown < 2 * 1000 / 1e6  # the marks of the images


def test_items_with_a_rubric_of_their_own_are_quoted_by_it(
    tmp_path: Path, rubric: Rubric, judge_at: Callable[..., Judge]
) -> None:
    criteria = [{"id": f"c{n}", "scale": "binary", "question": "Is it? " * 50} for n in range(30)]
    own = {"name": "own", "criteria": criteria}
    rows: list[dict[str, object]] = [{"id": n, "output": "x" * 100} for n in range(3)]
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge, dataset = judge_at("http://127.0.0.1:9/v1"), Dataset(str(path))
    plain = quote(dataset.scan(), rubric, judge, judge.price, samples=2)
    rows[1]["rubric"] = own
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scan = dataset.scan()
    assert scan.own_rubrics == 1
    made = quote(scan, rubric, judge, judge.price, 2, [item for item in dataset if item.own_rubric])
    alone = quote(replace(scan, count=1), Rubric.parse(own), judge, judge.price, 2)
    # Two calls of 25 and of 5 criteria take the place of one, for each of the two samples.
    assert made.calls == plain.calls + 2 == 8
    assert made.worst_usd is not None
    assert plain.worst_usd is not None
    assert alone.worst_usd is not None
    assert made.worst_usd > plain.worst_usd
    assert made.worst_usd < plain.worst_usd + alone.worst_usd

"""What a judge is shown, and what came back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from judge.cli.draw.line import line
from judge.datasets import Scan
from judge.items import Item
from judge.judges import Judge
from judge.notation import money, visible
from judge.probing import wished
from judge.quotes import Quote
from judge.rendering import rendered
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.results import Exchange


def messages(by_role: dict[str, str]) -> None:
    """What a judge is shown."""
    for role, text in by_role.items():
        line((role, "bold"))
        line(visible(text))
        line()


def asking(model: str, mode: str, parameters: Mapping[str, object], schema: Mapping[str, object]) -> None:
    """How a model is asked, beside the messages."""
    with_ = "".join(f", {name} {value}" for name, value in parameters.items())
    line(("asked ", "dim"), visible(f"{model}, {mode}{with_}"))
    line(("schema ", "dim"), visible(json.dumps(schema, ensure_ascii=False)))
    line()


def exchange(one: Exchange) -> None:
    """One attempt of one call."""
    when = datetime.fromtimestamp(one.sent_at).astimezone().isoformat(timespec="seconds")
    line(
        ("call ", "dim"),
        f"{one.key[:16]} attempt {one.attempt}  {one.state}  {when}  {money(one.cost_usd)}",
        f"  {one.cause}" if one.cause else "",
        "  possibly paid twice" if one.possible_duplicate else "",
    )
    if one.raw is not None:
        line(visible(one.raw.decode("utf-8", "replace")))


def dry_run(item: Item, rubric: Rubric, judge: Judge, scan: Scan, worst: Quote | None) -> None:
    """The exact messages and schema of the first item, call by call, and what the whole comes to."""
    asking = wished(judge)
    for call in rendered(item, rubric, judge, asking):
        messages({message.role: message.content for message in call.messages})
        line(("schema", "bold"), f"  ({asking.mode}{'' if judge.mode else ', if the judge takes it'})")
        line(json.dumps(call.answer_schema, ensure_ascii=False))
        line()
    if worst is None:
        line(f"{scan.count:,} items, and no model is asked: nothing to pay")
        return
    line(
        f"{scan.count:,} items · {worst.calls:,} calls · about {worst.prompt_tokens:,} prompt tokens · "
        f"at most {worst.answer_tokens_at_most:,} answer tokens"
    )
    line(f"worst cost {money(worst.worst_usd)}, where no answer has to be asked for again; nothing was sent")

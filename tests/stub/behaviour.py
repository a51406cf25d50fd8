"""How a stub judge replies: the modes it can be put in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MODES = (
    "normal prose two_objects out_of_range nan missing extra duplicate_key html empty_object cut_body cut_stream reset "
    "refusal content_filter length status no_json_schema no_tools_no_schema no_temperature no_effort no_logprobs "
    "max_completion_tokens failed drop hang trickle copy_to_reason wrap_candidate model cached context say silent"
)
#: Modes that refuse what a request asks for: the features, and the code.
REFUSED = {
    "no_json_schema": (("json_schema",), None),
    "no_tools_no_schema": (("json_schema", "tool"), None),
    "no_temperature": (("temperature",), "unsupported_parameter"),
    "no_effort": (("effort",), "unsupported_parameter"),
    "no_logprobs": (("logprobs",), "unsupported_parameter"),
    "max_completion_tokens": (("max_tokens",), "unsupported_parameter"),
}
#: Modes in which a reply is sent in another way than whole.
WAYS = frozenset({"hang", "reset", "trickle", "cut_stream"})


@dataclass(slots=True)
class Behaviour:
    """How replies look: after `after` normal ones, for `count` requests or for good, and from then on as `then` says.

    `status`, `code`, `message`, `retry_after` and `location` are for the mode `status`, `code` is for `failed` too: an
    empty one is null, `metadata` is what an error has beside its words. `cached` and `cache_write` are token counts for
    the mode `cached`, `text` is the exact answer in the mode `say`.
    """

    mode: str = "normal"
    after: int = 0
    count: int | None = None
    status: int = 500
    code: str | None = None
    message: str | None = None
    retry_after: float | str | None = None
    location: str | None = None
    model: str | None = None
    finish: str = "length"
    cached: int = 0
    cache_write: int = 0
    text: str = ""
    metadata: dict[str, Any] | None = None
    then: dict[str, Any] | None = None
    following: Behaviour | None = None

    def next(self) -> Behaviour:
        if self.after > 0:
            self.after -= 1
            return NORMAL
        if self.count is None:
            return self
        self.count -= 1
        if self.count >= 0:
            return self
        if self.then is None:
            return NORMAL
        self.following = self.following or Behaviour(**self.then)
        return self.following.next()


NORMAL = Behaviour()

"""Text as a rubric holds it: tidy at the edges, fit for JSON, a prompt and a database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rubrics.errors import problem

_TRAILING = re.compile(r"[^\S\n]+$", re.MULTILINE)
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def tidy(text: str) -> str:
    """Trim the ends and every line's end, so that the layout of a file does not change a rubric's hash."""
    if unfit := _UNFIT.search(text):
        kind = "a NUL character" if unfit[0] == "\x00" else "half of a surrogate pair"
        raise problem(f"the text holds {kind}", "the text without it")
    return _TRAILING.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _filled(text: str) -> str:
    if not text:
        raise problem("the text is blank", "at least one word")
    return text


Text = Annotated[str, Field(strict=True), AfterValidator(tidy)]
Filled = Annotated[Text, AfterValidator(_filled)]


class Frozen(BaseModel):
    """A value: never changed after it was checked, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A checked copy: what was derived from the old fields (a hash, a schema) must not travel with it."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**fields, **(update or {})})

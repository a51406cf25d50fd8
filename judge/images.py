"""Images that belong to an item: addresses that a provider fetches, or `data:` URLs with the bytes in them."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

LARGEST_BYTES = 10_000_000
#: Of the image files of one item.
LARGEST_TOGETHER_BYTES = 50_000_000
LONGEST_QUOTED = 80

NOT_SEEN = "has an image, and the judge takes none; write `images: true` into its YAML file if its model sees images"

_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f\x7f\ud800-\udfff]+", re.IGNORECASE)
_DATA = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,", re.IGNORECASE)
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


class Folder:
    """Where the image files of one item are: given as the context of its validation, it lets paths be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = LARGEST_TOGETHER_BYTES

    def read(self, name: str) -> str:
        """The file as a `data:` URL. Raises ValueError."""
        relative, shortened = Path(name), name[:LONGEST_QUOTED]
        # What is graded may name files too, and must not carry off just any image of this machine.
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError(f"names {shortened!r}, outside the folder of the items; put the image into that folder")
        path = self._path / relative
        try:
            if not path.is_file():
                raise ValueError(
                    f"names {shortened!r}, and there is no such file beside the items; write a path or a URL"
                )
            with path.open("rb") as file:
                raw = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise ValueError(f"names {shortened!r}, which cannot be read ({error.strerror})") from None
        self._left -= len(raw)
        if self._left < 0:
            raise ValueError(f"has image files of more than {LARGEST_TOGETHER_BYTES:,} bytes together; send fewer")
        return data_url(raw)


def data_url(raw: bytes) -> str:
    """The bytes of an image as a `data:` URL. Raises ValueError."""
    return f"data:{_kind(raw)};base64,{base64.b64encode(raw).decode()}"


def _kind(raw: bytes) -> str:
    """The media type, by the first bytes."""
    if len(raw) > LARGEST_BYTES:
        raise ValueError(f"is an image of more than {LARGEST_BYTES:,} bytes; make it smaller")
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "image/webp"
    for beginning, kind in _BEGINNINGS.items():
        if raw.startswith(beginning):
            return kind
    raise ValueError("is no PNG, JPEG, GIF or WebP image; convert it to one")


def _url(value: str, info: ValidationInfo) -> str:
    if _ADDRESS.fullmatch(value):
        return value
    if value[:5].lower() == "data:":
        check(value)
        return value
    if isinstance(info.context, Folder):
        return info.context.read(value)
    raise ValueError("is neither an https:// address nor a data: URL; paths are read beside a file of items alone")


def check(url: str) -> None:
    """Raises ValueError where a `data:` URL holds no image of its own type."""
    head = _DATA.match(url)
    if head is None:
        raise ValueError("is a data: URL of another form; write data:image/png;base64, and the bytes in base64")
    try:
        raw = base64.b64decode(url[head.end() :], validate=True)
    except ValueError:
        raise ValueError("is a data: URL that is not base64; encode the bytes again") from None
    kind = _kind(raw)
    if head[1].lower() != kind:
        raise ValueError(f"is a data: URL of another type than its bytes; write data:{kind};base64, and the bytes")


#: In a file of items it may be a path beside that file too; it becomes a `data:` URL as it is read.
ImageUrl = Annotated[str, Field(strict=True), AfterValidator(_url)]

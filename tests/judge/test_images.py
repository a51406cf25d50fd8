"""Images by their address, their bytes, and their file."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from judge import Item, images, prompts
from judge.images import Folder
from judge.items import plain

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
RAW = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(20),
    "image/gif": b"GIF89a" + bytes(20),
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(20),
}


def item(folder: Path | None = None, **fields: Any) -> Item:
    return Item.model_validate({"id": "1", "output": "x", **fields}, context=folder and Folder(folder))


def complaint(url: str, folder: Path | None = None) -> str:
    with pytest.raises(ValidationError) as raised:
        item(folder, images=[url])
    told = plain(raised.value)
    assert told.startswith("`images.0` ")
    assert "\n" not in told
    return told


@pytest.mark.parametrize("kind", RAW)
def test_a_file_beside_the_items_becomes_a_data_url(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "picture").write_bytes(RAW[kind])
    url = f"data:{kind};base64,{base64.b64encode(RAW[kind]).decode()}"
    one = item(tmp_path, images="in/picture")
    assert one.images == [url]
    assert one == item(images=[url])
    assert one.hash == item(images=[url]).hash


def test_every_place_of_an_image_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}},
        {"type": "image", "source": {"type": "url", "url": "a.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        },
        {"type": "tool_result", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]},
    ]
    one = item(tmp_path, input=[{"role": "user", "content": parts}])
    assert [image.url for image in prompts.images(one)] == [images.data_url(PNG)] * 4
    assert one.size == len(b"x") + 4 * len(images.data_url(PNG))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "in/../../secret.png"])
def test_no_file_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    assert "outside the folder of the items" in complaint(name, tmp_path / "in")


def test_no_file_is_read_where_none_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(PNG)
    assert "paths are read beside a file of items alone" in complaint("a.png")


def test_what_is_no_image_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.png").write_text("not an image")
    assert "is no PNG, JPEG, GIF or WebP image" in complaint("text.png", tmp_path)
    assert "there is no such file" in complaint("none.png", tmp_path)
    assert "there is no such file" in complaint(".", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "there is no such file" in complaint("pipe", tmp_path)
    assert "cannot be read" in complaint("x" * 5000, tmp_path)
    assert len(complaint("x" * 5000, tmp_path)) < 200
    monkeypatch.setattr(images, "LARGEST_BYTES", 27)
    (tmp_path / "large.png").write_bytes(PNG)
    assert "more than 27 bytes" in complaint("large.png", tmp_path)
    assert "more than 27 bytes" in complaint(f"data:image/png;base64,{base64.b64encode(PNG).decode()}")


def test_the_files_of_one_item_have_a_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGEST_TOGETHER_BYTES", 2 * len(PNG))
    (tmp_path / "a.png").write_bytes(PNG)
    assert len(item(tmp_path, images=["a.png"] * 2).images) == 2
    with pytest.raises(ValidationError, match="more than 56 bytes together"):
        item(tmp_path, images=["a.png"] * 3)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://a.example/a.png", "is neither an https:// address nor a data: URL"),
        ("file:///etc/passwd", "is neither"),
        ("https://a.example/a b.png", "is neither"),
        ("https://a.example/a\nb.png", "is neither"),
        ("https://a.example/\ud800", "is neither"),
        ("", "is neither"),
        ("data:image/png,raw", "is a data: URL of another form"),
        ("data:image/png;base64,***", "is a data: URL that is not base64"),
        ("data:image/png;base64,é", "is a data: URL that is not base64"),
        ("data:image/png;base64,YWJj", "is no PNG"),
        (f"data:image/jpeg;base64,{base64.b64encode(PNG).decode()}", "is a data: URL of another type than its bytes"),
    ],
)
def test_what_is_no_address_of_an_image_is_told(url: str, told: str) -> None:
    assert told in complaint(url)


def test_addresses_are_kept_and_not_fetched() -> None:
    urls = ["https://a.example/a.png?x=1#y", "HTTP://a.example/b", images.data_url(PNG)]
    assert item(images=urls).images == urls

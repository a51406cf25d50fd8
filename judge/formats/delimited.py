"""CSV and TSV: a header, then one row a record. Every cell is text."""

from __future__ import annotations

import csv
from typing import BinaryIO

from judge.errors import InputError
from judge.formats import Rows


def rows(file: BinaryIO, delimiter: str, longest: int, name: str, output: str) -> Rows:
    """The records, each with the number of its last line. No cell is held of more than `longest` characters.

    An empty cell is an absent value, except that one in the column `output` is an output. `name` is the file's, for
    complaints. Raises InputError where quotes do not close.
    """
    csv.field_size_limit(longest)
    lines = (raw.decode("utf-8-sig" if n == 0 else "utf-8", "surrogateescape") for n, raw in enumerate(file))
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(isinstance(value, str) and not _is_utf8(value) for value in row.values()):
                yield reader.line_num, "not UTF-8; save the file as UTF-8"
            elif None in row or None in row.values():
                yield reader.line_num, f"has not the {len(reader.fieldnames or ())} columns of the header"
            else:
                yield reader.line_num, {k: v if v or k == output else None for k, v in row.items()}
    except csv.Error as error:
        raise InputError(f"{name}:{reader.line_num + 1}: not CSV ({error}); repair the quotes") from None


def _is_utf8(text: str) -> bool:
    """Whether text that was read with surrogate escapes has none."""
    return not any("\udc80" <= character <= "\udcff" for character in text)

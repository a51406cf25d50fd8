"""Room on the disk, kept for what must still be written when it is full: answers that are paid and under way."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import IO

from judge.errors import StoreError

#: Some thousand replies with their grades, more than any run has under way.
BALLAST_BYTES = 8_000_000


class Ballast:
    """An unnamed file beside a database: it goes when its process does, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def load(self) -> None:
        """Takes the room. Raises StoreError where there is none."""
        if self._file is not None:
            return
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closing it is what gives the room back
        try:
            file.write(bytes(BALLAST_BYTES))
            file.flush()
        except OSError as error:
            file.close()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(f"{self._folder}: cannot be written ({error.strerror})") from None
            raise StoreError(
                f"{self._folder}: the disk is full, or nearly: less than {BALLAST_BYTES // 1_000_000} MB are left; "
                "make room, then start the same command again: nothing was sent"
            ) from None
        self._file = file

    def fits(self) -> bool:
        """Whether the disk has the room again, and as much beside it."""
        return shutil.disk_usage(self._folder).free >= 2 * BALLAST_BYTES

    def drop(self) -> bool:
        """Gives the room back. Returns whether there was any."""
        if self._file is None:
            return False
        self._file.close()
        self._file = None
        return True

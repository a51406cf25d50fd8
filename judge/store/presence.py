"""Which processes live that share a file, as the kernel of their machine knows it.

A process can be told by its number and its start, but not from another container of the machine, which has numbers and
a name of its own, and a name that changes with each start. So each one holds a lock beside the file, on a byte that
stands for its name: the kernel gives it back when the process ends, however it does.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
import sys
from pathlib import Path
from typing import BinaryIO

SUFFIX = "-owners"
log = logging.getLogger(__name__)
#: Locks of an open file, as Linux has them. Elsewhere a process of another name is not known to have ended.
_SET, _GET = (fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK) if sys.platform == "linux" else (None, None)
#: `struct flock`: kind, whence, start, length, and no process.
_FLOCK = "hhqqi4x"


class Presence:
    """Says that an owner lives, to all that share a file, until it is closed or the process ends.

    A file that cannot be locked, or is on no disk of this machine, tells nothing.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self._file: BinaryIO | None = None
        if _SET is None:
            return
        try:
            self._file = open(os.open(_beside(path), os.O_RDONLY | os.O_CREAT, 0o666), "rb")  # noqa: SIM115 - it is kept
            fcntl.fcntl(self._file, _SET, _lock(fcntl.F_RDLCK, owner))
        except OSError as error:  # as for who may only read; those who may write can lock, too
            log.info("processes of other names cannot see that this one lives: %s", error.strerror)
            self.close()

    def close(self) -> None:
        """Says so no more."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_gone(path: Path, owner: str) -> bool:
    """Whether an owner is known to have ended: nobody holds what it would."""
    if _GET is None:
        return False
    try:
        with _beside(path).open("rb") as file:
            found = fcntl.fcntl(file, _GET, _lock(fcntl.F_WRLCK, owner))
    except OSError:
        return False
    return bool(struct.unpack(_FLOCK, found[: struct.calcsize(_FLOCK)])[0] == fcntl.F_UNLCK)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _lock(kind: int, owner: str) -> bytes:
    """A lock of the byte that stands for an owner. No file is as long as its place says, nor need it be."""
    place = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:7], "big")
    return struct.pack(_FLOCK, kind, 0, place, 1, 0)

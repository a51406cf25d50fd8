"""Commands as processes that have their imports done: forks of one process that has everything loaded.

Each is a process of its own with its own folder, environment, arguments and streams, and runs `python -m judge`; it
only begins a second later in its life. Most tests run many commands, and most of the time of one goes into imports.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import judge

#: What a message may hold, and what a pipe takes in without a reader.
LARGEST, PIPE_BYTES = 200_000, 65_536
#: Variables that are read once, when a program begins.
AT_ONCE = ("COLUMNS", "LANG", "LC_", "TZ")
#: What is loaded on purpose alone, since it takes seconds.
LATER = ("litellm", "torch")


class Forks:
    """Runs commands. Use it as a context manager.

    `environment` is what the interpreter itself begins with: a command may have other variables, but not other ones of
    the interpreter.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._folder = tempfile.TemporaryDirectory(prefix="forks")
        self._address = f"{self._folder.name}/at"
        single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a fork has one thread
        path = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(Path(__file__).parents[2]))))
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address],
            env=environment | single | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._process as process:
            process.kill()
        self._folder.cleanup()

    def takes(self, environment: dict[str, str], stdin: str | None) -> bool:
        """Whether a command may be such a process: none that asks for another interpreter, or is told too much."""
        same = _of_interpreter(environment) == _of_interpreter(self.environment)
        return same and len((stdin or "").encode()) < PIPE_BYTES

    def run(
        self, arguments: Sequence[str], folder: Path, environment: dict[str, str], stdin: str | None, timeout_s: float
    ) -> tuple[int, str, str]:
        """Status, standard output and error. Raises TimeoutExpired, as `subprocess.run` does."""
        told = json.dumps({"arguments": list(arguments), "folder": str(folder), "environment": environment}).encode()
        assert len(told) < LARGEST
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as connection,
        ):
            reader = _input(stdin)
            try:
                connection.settimeout(timeout_s)
                connection.connect(self._address)
                socket.send_fds(connection, [told], [reader, out.fileno(), err.fileno()])
            finally:
                os.close(reader)
            pid = int(connection.recv(64))
            try:
                status = int(connection.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["judge", *arguments], timeout_s) from None
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return status, texts[0], texts[1]


def _of_interpreter(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", *AT_ONCE))}


def _input(text: str | None) -> int:
    if text is None:
        return os.open(os.devnull, os.O_RDONLY)
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    return reader


def serve(address: str) -> None:
    """Forks a process for every command that comes, until nobody is there any more."""
    for module in pkgutil.walk_packages(judge.__path__, "judge."):
        if not module.name.endswith(("__main__", *LATER)) and "migrations" not in module.name:
            with suppress(ImportError):
                importlib.import_module(module.name)
    assert threading.active_count() == 1
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)  # noqa: T201 - it is waited for
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _watch(connection)
            connection.close()


def _watch(connection: socket.socket) -> None:
    """Begins the command, and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told, streams, _, _ = socket.recv_fds(connection, LARGEST, 3)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(streams, **json.loads(told))
    with suppress(OSError):  # nobody waits any more
        connection.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(streams: Sequence[int], arguments: Sequence[str], folder: str, environment: dict[str, str]) -> None:
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # As an interpreter opens them that has no terminal.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["judge", *arguments]
    status = _status()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status() -> int:
    """How the command ends, all that an interpreter does in the end included."""
    status: Any = 0
    try:
        runpy.run_module("judge", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    if isinstance(status, str):
        print(status, file=sys.stderr)  # noqa: T201
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    serve(sys.argv[1])

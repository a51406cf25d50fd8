"""Lines about what this program does: one JSON object each, or text for a terminal. No prompt and no key is in them.

A line holds the words that our own loggers wrote, and fields of a list; whatever else a record carries stays out. What
a library says may hold prompts, so of its warnings the place alone is told, whoever prints them, and of what it says
below a warning nothing. Of an error the kind and the way through the code are told, and its words only where they are
ours.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import PurePath
from traceback import walk_tb
from typing import Any, Literal, TypeVar

from judge.errors import Overloaded, Paused, SetupError, StoreError

#: Loggers whose words are written. uvicorn's are about sockets.
TRUSTED = ("api", "judge", "rubrics", "uvicorn.error")
#: What a line may tell beside its time, level, logger and message.
FIELDS = """
request_id tenant key method route status seconds run chunk judge items open graded unscored outcome cause attempt
prompt_tokens completion_tokens cost_usd why library place error
"""
_FIELDS = FIELDS.split()
#: Errors whose words are ours, and hold nothing that a caller sent.
PLAIN = (Overloaded, Paused, SetupError, StoreError)
LONGEST = 500
MOST_STEPS = 50
UNSAID = "a library said something, which is not shown since it may hold a prompt"

LEVELS = ("debug", "info", "warning", "error")
Format = Literal["json", "text"]
FORMATS: tuple[Format, ...] = ("json", "text")

T = TypeVar("T", bound=str)

#: Of the request that is being served.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def install(level: str = "warning", form: Format | None = None, usual: Format | None = None) -> None:
    """Writes lines on standard error from here on, and nothing else.

    Parameters
    ----------
    level
        Where `JUDGE_LOG_LEVEL` names none.
    form
        Comes before `JUDGE_LOG_FORMAT`.
    usual
        Where neither says anything; without it text on a terminal, and JSON elsewhere.

    Raises
    ------
    SetupError
        When a variable names what there is not.
    """
    level = _setting("JUDGE_LOG_LEVEL", LEVELS) or level
    form = form or _setting("JUDGE_LOG_FORMAT", FORMATS) or usual or ("text" if sys.stderr.isatty() else "json")
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_fit)
    handler.setFormatter(Lines() if form == "json" else Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries that are told to say more only write more down to be left out.
    root.setLevel(logging.WARNING)
    for name in TRUSTED:
        logging.getLogger(name).setLevel(level.upper())
    logging.setLogRecordFactory(_record)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a line that cannot be written would be printed with its arguments
    threading.excepthook = _of_thread
    sys.unraisablehook = _unraisable


def crashed(error: BaseException) -> None:
    """Says that the program ends by an error that nobody expected."""
    logging.getLogger("judge").error("this program failed", exc_info=error)


class Lines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging`."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level, message = record.levelname.lower(), _shortened(record.getMessage())
        told = {"time": at, "level": level, "logger": record.name, "message": message}
        return json.dumps(told | _fields(record))


class Text(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging`."""
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = _fields(record)
        trace = fields.pop("trace", [])
        told = " ".join(f"{name}={_bare(value)}" for name, value in fields.items())
        message = json.dumps(_shortened(record.getMessage()))[1:-1].replace('\\"', '"')
        return "\n    ".join([f"{at} {record.levelname.lower()} {message} {told}".rstrip(), *trace])


def _setting(name: str, allowed: tuple[T, ...]) -> T | None:
    given = os.environ.get(name, "").strip().lower()
    if given and given not in allowed:
        raise SetupError(f"{name} is {given!r}; write one of {', '.join(allowed)}")
    return next((one for one in allowed if one == given), None)


def _trusted(name: str | None) -> bool:
    return any(name == one or (name or "").startswith(f"{one}.") for one in TRUSTED)


def _record(
    name: str, level: int, path: str, line: int, message: object, args: Any, trouble: Any, *rest: Any, **more: Any
) -> logging.LogRecord:
    """A record; one of a library without its words, whatever handler the library has for it."""
    if _trusted(name):
        # Where starting or stopping fails uvicorn is given all of it as one text.
        if isinstance(message, str) and message.startswith("Traceback "):
            message, args = f"starting or stopping failed: {message.splitlines()[-1].partition(':')[0]}", ()
        return logging.LogRecord(name, level, path, line, message, args, trouble, *rest, **more)
    made = logging.LogRecord(name, level, path, line, UNSAID, (), None)
    kind = trouble[0].__name__ if isinstance(trouble, tuple) and trouble[0] is not None else None
    # Under a name that no library gives to a field of its own.
    made.said_elsewhere = {"library": name, "place": f"{_short(path)}:{line}", "error": kind}
    return made


def _fit(record: logging.LogRecord) -> bool:
    return _trusted(record.name) or record.levelno >= logging.WARNING


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given = record.__dict__.get("said_elsewhere", {}) if not _trusted(record.name) else record.__dict__
    told = {name: value for name in _FIELDS if (value := given.get(name)) is not None}
    if (request := request_id.get()) is not None:
        told.setdefault("request_id", request)
    error = record.exc_info[1] if record.exc_info else None
    return {name: _shortened(value) for name, value in told.items()} | ({} if error is None else _trace(error))


def _trace(error: BaseException) -> dict[str, Any]:
    """The kind of an error, where it came from, and its words where they are ours."""
    steps = [
        f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    told: dict[str, Any] = {"error": type(error).__name__, "trace": steps[-MOST_STEPS:]}
    return told | ({"detail": _shortened(str(error))} if isinstance(error, PLAIN) else {})


def _shortened(value: Any) -> Any:
    return f"{value[:LONGEST]}..." if isinstance(value, str) and len(value) > LONGEST else value


def _short(path: str) -> str:
    """The end of a path: no name of a home folder is told."""
    return "/".join(PurePath(path).parts[-3:])


def _bare(value: Any) -> str:
    return (
        value
        if isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
        else json.dumps(value)
    )


def _of_thread(trouble: threading.ExceptHookArgs) -> None:
    logging.getLogger("judge").error("a thread failed", exc_info=trouble.exc_value)


def _unraisable(trouble: sys.UnraisableHookArgs) -> None:
    logging.getLogger("judge").warning("an error could not be raised", exc_info=trouble.exc_value)

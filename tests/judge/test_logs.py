"""What stands in a line of the log, and what does not, whoever has something to say."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SECRET = "s3cret"
BEGIN = """
import logging, sys
from judge import logs
from judge.errors import InputError, SetupError, StoreError
SECRET = "s3cret"
ours, theirs = logging.getLogger("judge.somewhere"), logging.getLogger("somebody.else")
"""


def said(code: str, install: str = 'logs.install("debug", "json")', status: int = 0, **variables: str) -> str:
    """What a program writes on standard error."""
    command = [sys.executable, "-c", f"{BEGIN}{install}\n{code}"]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout) == (status, ""), ended.stderr
    return ended.stderr


def lines(code: str, **variables: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said(code, **variables).splitlines()]


def test_a_line_holds_what_is_on_the_list_and_nothing_else() -> None:
    code = 'ours.info("run %s", "begun", extra={"run": "f00", "items": 3, "prompt": SECRET, "status": None})'
    (line,) = lines(code)
    time = line.pop("time")
    assert (time[10], time[-6:]) == ("T", "+00:00")
    assert line == {"level": "info", "logger": "judge.somewhere", "message": "run begun", "run": "f00", "items": 3}


def test_a_line_is_one_line_and_of_bounded_length() -> None:
    code = 'ours.info("a\\nb", extra={"why": "x" * 10_000, "run": "a\\nb\\u202e"})'
    (line,) = lines(code)
    assert (line["message"], line["run"], len(line["why"])) == ("a\nb", "a\nb\u202e", 503)
    shown = said(code, 'logs.install("debug", "text")')
    assert (shown.count("\n"), shown.isascii()) == (1, True)
    assert 'info a\\nb run="a\\nb\\u202e" why=xxx' in shown


LIBRARIES = {
    "a record": "theirs.warning('%s', SECRET)",
    "words put together": "theirs.error(f'{SECRET}')",
    "fields": "theirs.warning('x', extra={'run': SECRET, 'error': SECRET, 'library': SECRET})",
    "a handler of its own": "theirs.addHandler(logging.StreamHandler()); theirs.propagate = 0; theirs.error(SECRET)",
    "a level of its own": "theirs.setLevel(1); theirs.debug(SECRET); theirs.warning(SECRET)",
    "what Python warns of": "import warnings; warnings.warn(SECRET)",
    "a name that begins like ours": "logging.getLogger('judges').warning(SECRET)",
    "the root": "logging.warning(SECRET)",
    "basicConfig": "logging.basicConfig(level=1, format='%(message)s %(args)s'); theirs.warning(SECRET)",
    "arguments that do not fit": "theirs.warning('%d', SECRET)",
    "an error": "\ntry: raise ValueError(SECRET)\nexcept ValueError: theirs.exception(SECRET)",
}


@pytest.mark.parametrize("code", LIBRARIES.values(), ids=LIBRARIES)
def test_a_librarys_words_are_not_written(code: str) -> None:
    shown = said(code)
    assert SECRET not in shown
    assert shown.count("a library said something") == 1


def test_a_library_is_named_with_the_place_and_the_kind_of_its_error() -> None:
    (line,) = lines("\ntry: raise ValueError(SECRET)\nexcept ValueError: theirs.exception(SECRET)")
    assert (line["library"], line["error"], line["level"]) == ("somebody.else", "ValueError", "error")
    assert line["place"].startswith("<string>:")


def test_what_a_library_says_below_a_warning_is_left_out() -> None:
    assert said("theirs.setLevel(1); theirs.debug(SECRET); theirs.info(SECRET)", JUDGE_LOG_LEVEL="debug") == ""


FAILING = """
def fails(held):
    try:
        raise KeyError(held)
    except KeyError as error:
        raise {kind}(held) from error
try:
    fails(SECRET)
except Exception:
    ours.exception("it failed")
"""


@pytest.mark.parametrize(("kind", "told"), [("ValueError", None), ("InputError", None), ("StoreError", SECRET)])
def test_of_an_error_the_kind_and_the_way_are_told_and_its_words_where_they_are_ours(
    kind: str, told: str | None
) -> None:
    (line,) = lines(FAILING.replace("{kind}", kind))
    assert (line["error"], line.get("detail")) == (kind, told)
    assert [step.split()[-1] for step in line["trace"]] == ["<module>", "fails"]
    assert (SECRET in json.dumps(line)) == (told is not None)


ENDS = {
    "a thread": "import threading\nt = threading.Thread(target=lambda: {}[SECRET]); t.start(); t.join()",
    "what cannot be raised": "class A:\n    def __del__(self): raise KeyError(SECRET)\nA()",
    "the program": "logs.crashed(KeyError(SECRET))",
}


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_what_ends_by_an_error_does_not_say_what_it_held(code: str) -> None:
    (line,) = lines(code)
    assert line["error"] == "KeyError"
    assert SECRET not in json.dumps(line)


def test_a_traceback_as_text_is_told_by_its_kind_alone() -> None:
    code = "\nimport traceback\ntry: {}[SECRET]\nexcept KeyError: "
    (line,) = lines(f"{code}logging.getLogger('uvicorn.error').error(traceback.format_exc())")
    assert line["message"] == "starting or stopping failed: KeyError"


def test_a_line_that_cannot_be_written_is_not_written_elsewhere() -> None:
    assert SECRET not in said('ours.info("%d", SECRET)')


def test_the_environment_says_how_much_and_in_what_form() -> None:
    code = 'ours.debug("debug"); ours.info("info"); ours.error("error")'
    plain = "logs.install()"
    assert [one["message"] for one in map(json.loads, said(code, plain).splitlines())] == ["error"]
    assert said(code, plain, JUDGE_LOG_LEVEL="info", JUDGE_LOG_FORMAT="text").count("\n") == 2
    assert said(code, "logs.install('info', usual='text')").count("{") == 0
    assert said(code, "logs.install('info', usual='text')", JUDGE_LOG_FORMAT="json").count("{") == 2
    assert said(code, "logs.install('info', 'json')", JUDGE_LOG_FORMAT="text").count("{") == 2


@pytest.mark.parametrize("name", ["LEVEL", "FORMAT"])
def test_a_setting_that_there_is_not_is_told(name: str) -> None:
    code = "\ntry: logs.install()\nexcept SetupError as error: sys.stderr.write(str(error))"
    assert f"JUDGE_LOG_{name} is 'loud'; write one of" in said(code, "", **{f"JUDGE_LOG_{name}": "LOUD"})

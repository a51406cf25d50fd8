"""The terminal. Drawing lives here and nowhere else; commands are loaded by name, when they are called."""

from __future__ import annotations

import importlib
import sys

from judge import logs
from judge.errors import SetupError

#: What each command does. A command is the typer app of the module of its name.
COMMANDS = {
    "grade": "Grade a file of outputs by a rubric.",
    "estimate": "Tell what grading a file will cost, by what the judge came to before.",
    "runs": "List, show, export or delete runs.",
    "calibrate": "Measure how far a judge agrees with people, and correct it.",
    "calibrations": "List, show, check, compare or report calibrations.",
    "labels": "Draw sheets for people to label, and read labels.",
    "rubrics": "List, show, check, begin or import rubrics.",
    "judges": "List judges, or find out how one can be asked.",
    "schema": "Print the JSON schema of what is read and written.",
    "db": "Show, upgrade or copy the database.",
    "serve": "Serve grading over HTTP.",
    "worker": "Grade what services take in, on any machine.",
    "keys": "Make, list, limit or revoke keys of the service.",
    "doctor": "Check the set-up.",
}

HELP = """\
Usage: judge COMMAND [ARGS]...

  Grade model outputs with a judge model, and know how far to trust it.

Commands:
{commands}

  judge COMMAND --help tells the rest; judge --version prints the version.
"""


def main() -> None:
    """The `judge` command."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in COMMANDS:
        _run(command, arguments)
    elif command in {"-h", "--help"}:
        listed = "\n".join(f"  {name:12} {text}" for name, text in COMMANDS.items())
        sys.stdout.write(HELP.format(commands=listed))
    elif command == "--version":
        from importlib.metadata import version  # noqa: PLC0415 - slow to import, rarely wanted

        sys.stdout.write(f"{version('calibrated-judge')}\n")
    else:
        sys.stderr.write(f"judge: no command {command!r}; the commands are {', '.join(COMMANDS)}\n")
        sys.exit(2)


def _run(command: str, arguments: list[str]) -> None:
    """Runs a command; what nobody expected is told without what it happened to hold."""
    try:
        logs.install(usual="text")
    except SetupError as error:
        sys.stderr.write(f"judge: {error}\n")
        sys.exit(2)
    try:
        importlib.import_module(f"judge.cli.{command}").app(arguments, prog_name=f"judge {command}")
    except Exception as error:  # noqa: BLE001 - the interpreter would print its words, and they may quote anything
        logs.crashed(error)
        sys.exit(1)

"""The errors of this package.

    JudgeError
    ├── InputError       the items: a file, a line, what is wrong with it
    ├── SetupError       the judge, a key, a price, a setting: grading cannot start
    │   ├── OtherCalibration    a calibration was made for another rubric or judge
    │   └── MissingExtra        a package that this needs is not installed
    ├── StoreError       the database: full, read-only, newer than this program, busy
    │   └── RunBusy      another live process is at work on the run
    ├── Overloaded       more was submitted than can be graded soon
    ├── Paused           the judge cannot be asked for now; what is not graded is still open
    │   ├── BudgetUsedUp a budget has no room for the next call
    │   └── Unaskable    this judge cannot be asked as it is described; others of its server can
    └── Waiting          calls of the run are in a batch, or another process has them; it is worth a look later

Every message is one line that says what to do next. What a single call or a single item suffers is not an
exception for callers: it is an outcome in the grade.
"""

from __future__ import annotations

from typing import Any


class JudgeError(Exception):
    """Something that the person who started the program can mend."""


class InputError(JudgeError):
    """The items cannot be read as they are."""


class SetupError(JudgeError):
    """Grading cannot start with this judge, rubric or setting."""


class OtherCalibration(SetupError):
    """A calibration was made for another rubric or judge."""


class MissingExtra(SetupError):
    """A package that this needs is not installed."""


class StoreError(JudgeError):
    """The database cannot be used."""


class RunBusy(StoreError):
    """Another live process is grading this run."""


class Overloaded(JudgeError):
    """Too much is waiting to be graded; what was accepted is not affected.

    `quota` names what there is too much of, and `most` is how much of it there may be.
    """

    def __init__(self, told: str, quota: str, most: int) -> None:
        super().__init__(told)
        self.quota, self.most = quota, most

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it is: made again from its message, it would lack the quota."""
        return type(self), (str(self), self.quota, self.most)


class Waiting(JudgeError):
    """Answers are to come in a batch, or to another process; what is not graded is still open.

    `seconds` until it is worth a look.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("answers to it are still to come, in a batch or to another process")
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it is: made again from its message, it would lack the seconds."""
        return type(self), (self.seconds,)


class Paused(JudgeError):
    """Asking stopped before everything was graded; the same command goes on."""


class BudgetUsedUp(Paused):
    """A budget has no room for the next call, and nothing in flight gives enough back in time."""


class Unaskable(Paused):
    """This judge cannot be asked as it is: the key is refused or out of money, or the model is not there, or barred."""

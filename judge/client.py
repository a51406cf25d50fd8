"""Asks a grading service from Python.

    async with Client("http://127.0.0.1:8400", key="judge_...") as client:
        run = await client.submit(items, rubric="helpfulness", judge="openai/gpt-6-luna")
        run = await client.wait(run.id)
        async for grade in client.grades(run.id):
            print(grade.item, grade.outcome, grade.score)

A request that no answer came to, and one that is told to come again later, is sent again: the service does nothing
twice. Every method raises ServiceError for what the service refuses.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from datetime import date
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Literal, Self, Unpack

from judge import answers
from judge.budgets import BudgetStanding
from judge.client_requests import CalibrationOptions, GivenLabel, RunOptions, asked_of, part, plain, plain_thing, write
from judge.client_transport import ServiceError, Transport, read, rest
from judge.estimates import Estimate
from judge.events import Event, events_of
from judge.grades import Grade
from judge.items import Item
from judge.judges import Judge
from judge.statuses import RunStatus
from judge.verdicts import Outcome
from rubrics import Rubric
from rubrics.lint import Finding

__all__ = ["CalibrationOptions", "Client", "GivenLabel", "RunOptions", "ServiceError"]

#: The largest pages: of grades and labels, and of rubrics and judges.
PAGE, PAGE_OF_NAMES = 500, 100
#: What making a calibration may take, beside other requests.
CALIBRATING_S = 1800.0


class Client:
    """A connection to one service. Use it as an async context manager.

    Parameters
    ----------
    url
        Where the service is.
    key
        What `judge keys create` printed; None for a service on this machine that asks for none.
    timeout_s
        Of one request, beside what grading takes.
    """

    def __init__(self, url: str = "http://127.0.0.1:8400", key: str | None = None, timeout_s: float = 60.0) -> None:
        self._transport = Transport(url, key, timeout_s)
        self._ask, self._ask_all, self._pages = self._transport.ask, self._transport.ask_all, self._transport.pages

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def grade(
        self,
        items: Iterable[Item],
        *,
        judge: str,
        rubric: str | Rubric | None = None,
        samples: int = 1,
        deadline_s: float = 120.0,
        resend_lost: bool = False,
    ) -> list[Grade]:
        """The grades of up to 100 items, in their order, when all are done; no `rubric` where each has its own.

        What a single item suffers is an outcome in its grade. `resend_lost` is not sent again where it may have begun.
        """
        asked = asked_of(judge, rubric, {"samples": samples, "resend_lost": resend_lost}) | {"deadline_s": deadline_s}
        asked |= {"items": plain(items)}
        return await self._ask_all(Grade, "POST", "/v1/grades", asked, longer_s=deadline_s, pays_again=resend_lost)

    async def render(
        self, items: Iterable[Item], *, judge: str, rubric: str | Rubric | None = None, samples: int = 1
    ) -> answers.Rendering:
        """The exact messages that up to 100 items would be graded by. Nothing is sent to the judge."""
        asked = asked_of(judge, rubric, {"samples": samples}) | {"items": plain(items)}
        return await self._ask(answers.Rendering, "POST", "/v1/render", asked)

    async def submit(
        self, items: Iterable[Item], *, judge: str, rubric: str | Rubric | None = None, **options: Unpack[RunOptions]
    ) -> RunStatus:
        """Hands up to 20,000 items over to be graded in the background; no `rubric` where each has its own.

        Equal items, rubric and judge are the same run.
        """
        asked = asked_of(judge, rubric, options) | {"items": plain(items)}
        return await self._ask(RunStatus, "POST", "/v1/runs", asked, once=True)

    async def upload(
        self,
        items: Iterable[Item],
        *,
        judge: str,
        rubric: str | Rubric | None = None,
        timeout_s: float = 3600.0,
        **options: Unpack[RunOptions],
    ) -> RunStatus:
        """As `submit`, with any number of items: they are written to a temporary file, and sent from there."""
        with TemporaryFile() as file:
            await asyncio.to_thread(write, file, asked_of(judge, rubric, options), items)
            told = await self._transport.upload("/v1/runs/upload", file, "application/jsonl", timeout_s)
        return read(RunStatus, told)

    async def estimate(
        self, items: Iterable[Item], *, judge: str, rubric: str | Rubric | None = None, **options: Unpack[RunOptions]
    ) -> Estimate:
        """What such a run would come to; nothing is made, and nothing is sent to the judge."""
        asked = asked_of(judge, rubric, options) | {"items": plain(items), "dry_run": True}
        return await self._ask(Estimate, "POST", "/v1/runs", asked)

    async def budgets(self) -> list[BudgetStanding]:
        """The budgets that limit what this key spends: its own, then its tenant's."""
        return await self._ask_all(BudgetStanding, "GET", "/v1/budgets")

    async def costs(
        self,
        by: Literal["run", "judge", "day"] = "run",
        begins: date | None = None,
        ends: date | None = None,
        limit: int = 100,
    ) -> answers.CostList:
        """What calls cost from one day to another, in UTC: the runs or judges that cost most, or the newest days."""
        asked = {"by": by, "from": begins, "to": ends, "limit": limit}
        return await self._ask(answers.CostList, "GET", "/v1/costs", query=asked)

    async def status(self, run: str) -> RunStatus:
        """How far a run is."""
        return await self._ask(RunStatus, "GET", f"/v1/runs/{run}")

    async def wait(self, run: str, every_s: float = 1.0) -> RunStatus:
        """The status of a run when it is completed, paused or cancelled."""
        while True:
            found = await self.status(run)
            if found.ended:
                return found
            await asyncio.sleep(every_s)

    async def runs(self, limit: int = 20, after: str | None = None) -> list[RunStatus]:
        """The newest runs, at most 100, or those before the one named `after`."""
        return await self._ask_all(RunStatus, "GET", "/v1/runs", query={"limit": limit, "after": after})

    async def cancel(self, run: str) -> RunStatus:
        """Sends nothing more for a run."""
        return await self._ask(RunStatus, "POST", f"/v1/runs/{run}/cancel")

    async def resume(
        self,
        run: str,
        *,
        budget_usd: float | None = None,
        mode: Literal["live", "batch"] | None = None,
        batch_window_s: float | None = None,
        resend_lost: bool = False,
        retry_failed: bool = False,
    ) -> RunStatus:
        """Goes on with a run, or asks again for what is lost or failed; None: as when it was submitted."""
        asked = {"budget_usd": budget_usd, "mode": mode, "batch_window_s": batch_window_s}
        asked |= {"resend_lost": resend_lost, "retry_failed": retry_failed}
        return await self._ask(RunStatus, "POST", f"/v1/runs/{run}/resume", asked, once=True)

    def grades(self, run: str, *outcomes: Outcome, calibration: str | None = None) -> AsyncIterator[Grade]:
        """The grades of a run so far, or those of some outcomes, in the order of its items, a page in memory at a time.

        While the run goes on, items before the ones that were told may still end: `events` tells these too.
        """
        return self._pages(Grade, f"/v1/runs/{run}/grades", PAGE, outcome=outcomes, calibration=calibration)

    async def summary(self, run: str, calibration: str | None = None) -> answers.RunSummary:
        """What a run comes to: means with their bounds, outcomes, cost; by a calibration too, if it has one."""
        path = f"/v1/runs/{run}/summary"
        return await self._ask(answers.RunSummary, "GET", path, query={"calibration": calibration})

    async def export(
        self, run: str, path: str | os.PathLike[str], *, format: answers.File = "jsonl", calibration: str | None = None
    ) -> Path:
        """Writes all grades of a run so far to a file, which is there when it is whole. Raises OSError too."""
        asked = {"format": format, "calibration": calibration}
        return await self._transport.download(f"/v1/runs/{run}/export", asked, Path(path))

    async def compare(self, before: str, after: str, most: int = 10) -> answers.Comparison:
        """Two runs item by item; `most` of those that differ most are told in full."""
        path = f"/v1/runs/{before}/compare/{after}"
        return await self._ask(answers.Comparison, "GET", path, query={"most": most})

    def rubrics(self) -> AsyncIterator[answers.RubricEntry]:
        """The rubrics that can be named: those that ship and the operator's, then registered ones."""
        return self._pages(answers.RubricEntry, "/v1/rubrics", PAGE_OF_NAMES)

    async def rubric(self, name: str) -> Rubric:
        """The whole of a rubric, by NAME, NAME@REVISION, or the hash that grades say."""
        return await self._ask(Rubric, "GET", f"/v1/rubrics/{part(name)}")

    async def lint(self, rubric: Rubric) -> tuple[Finding, ...]:
        """What to mend in a rubric before anything is spent on it. Nothing is kept."""
        return (await self._ask(answers.Findings, "POST", "/v1/rubrics/lint", {"rubric": plain_thing(rubric)})).data

    def judges(self) -> AsyncIterator[answers.JudgeEntry]:
        """The judges that can be named: the operator's, then registered ones."""
        return self._pages(answers.JudgeEntry, "/v1/judges", PAGE_OF_NAMES)

    async def providers(self) -> tuple[str, ...]:
        """The providers whose models can be named as judges too, as `provider/model`."""
        return (await self._ask(answers.JudgeList, "GET", "/v1/judges", query={"limit": 1})).providers

    async def judge(self, name: str) -> answers.DescribedJudge:
        """A judge as it is described, by NAME, NAME@REVISION, a hash, or a fingerprint that grades say."""
        return await self._ask(answers.DescribedJudge, "GET", f"/v1/judges/{part(name)}")

    async def register(self, thing: Rubric | Judge) -> str:
        """NAME@REVISION, that a rubric or a judge can be named by from then on; its name alone stands for the newest.

        A judge that would touch the service's own machine is refused.
        """
        kind = "rubric" if isinstance(thing, Rubric) else "judge"
        told = await self._transport.send("POST", f"/v1/{kind}s", {kind: plain_thing(thing)})
        return f"{told['name']}@{told['revision']}"

    async def label_sets(self, limit: int = 20, after: str | None = None) -> list[answers.LabelSet]:
        """The newest sets of labels, at most 100, or those before the one named `after`."""
        asked = {"limit": limit, "after": after}
        return await self._ask_all(answers.LabelSet, "GET", "/v1/label-sets", query=asked)

    async def label_set(self, name: str) -> answers.LabelSet:
        """A set of labels: how many there are, of how many items, and by how many people."""
        return await self._ask(answers.LabelSet, "GET", f"/v1/label-sets/{part(name)}")

    def labels(self, name: str) -> AsyncIterator[answers.StoredLabel]:
        """The labels of a set by item, criterion and person, a page in memory at a time."""
        return self._pages(answers.StoredLabel, f"/v1/label-sets/{part(name)}/labels", PAGE)

    async def add_labels(
        self,
        name: str,
        labels: Iterable[GivenLabel],
        *,
        run: str | None = None,
        rubric: str | Rubric | None = None,
        sampled_from: str | None = None,
    ) -> answers.AddedLabels:
        """Adds labels to a set: of the items of a run, or by a rubric. All of them are taken, or none."""
        asked = {"labels": list(labels), "run": run, "rubric": plain_thing(rubric), "sampled_from": sampled_from}
        return await self._ask(answers.AddedLabels, "POST", f"/v1/label-sets/{part(name)}/labels", asked)

    async def calibrations(
        self, name: str | None = None, limit: int = 20, after: str | None = None
    ) -> list[answers.CalibrationEntry]:
        """The newest calibrations, or versions of one, at most 100, or those before the one whose id is `after`."""
        asked = {"name": name, "limit": limit, "after": after}
        return await self._ask_all(answers.CalibrationEntry, "GET", "/v1/calibrations", query=asked)

    async def calibration(self, id: str) -> answers.CalibrationReport:
        """A calibration, with all that was fitted and measured."""
        return await self._ask(answers.CalibrationReport, "GET", f"/v1/calibrations/{id}")

    async def calibrate(self, run: str, labels: str, **options: Unpack[CalibrationOptions]) -> answers.CalibrationEntry:
        """Measures how far the judge of a run agrees with a label set, and keeps what corrects it."""
        asked = {"run": run, "labels": labels, **options}
        path, entry = "/v1/calibrations", answers.CalibrationEntry
        return await self._ask(entry, "POST", path, asked, longer_s=CALIBRATING_S, once=True)

    async def events(self, run: str, after: str | None = None) -> AsyncIterator[Event]:
        """Each grade of a run when it is there, and how the run stands whenever that changes, until it has ended.

        Where the connection breaks it goes on after the last event, by itself; `after` is the id of one to begin after.
        """
        failed = 0
        while True:
            error: ServiceError | None = None  # a service that stops ends its streams; another one goes on
            try:
                async with self._transport.stream(f"/v1/runs/{run}/events", after) as reply:
                    if reply.status == 204:
                        return
                    async for event in events_of(reply.content.iter_any()):
                        after, failed = event.id, 0
                        yield event
                        if event.last:
                            return
            except ServiceError as trouble:
                error = trouble
            failed = failed + 1 if error else 0
            await rest(error, failed)

"""How a run stands, in words for whoever asks."""

from __future__ import annotations

import pytest

from judge.grades import JudgeRef, RubricRef
from judge.statuses import RunStatus
from judge.store.results import RunInfo
from judge.store.submissions import Standing


@pytest.mark.parametrize(("state", "held", "told"), [("done", 2, True), ("done", 0, False), ("open", 2, False)])
def test_a_run_that_ended_says_that_answers_are_lost(state: str, held: int, told: bool) -> None:
    info = RunInfo(
        id="0" * 12,
        state=state,
        dataset="items",
        dataset_hash="d",
        rubric=RubricRef(name="r", hash="h"),
        judge=JudgeRef(name="j", fingerprint="f", kind="simulated"),
        round=0,
        samples=1,
        items=5,
        created_at=0.0,
        rescored_from=None,
        finished=3,
        held=held,
        cost_usd=None,
    )
    status = RunStatus.of(Standing(info, None, None, None))
    assert (status.status, status.held) == ("completed" if state == "done" else "paused", held)
    lost = "2 items wait for answers that are lost; resume it with `resend_lost` to ask again"
    assert status.why == (lost if told else None)

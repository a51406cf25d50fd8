"""The sets of the demonstration, and a calibration on each: on the way that anybody's labels go."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from judge.calibration.calibration import Calibration, calibrate
from judge.calibration.demo import simulation
from judge.calibration.judgements import of_recording
from judge.calibration.labelling.importing import import_file
from judge.calibration.labelling.sampling import Sampling
from judge.calibration.shelf import keep
from judge.errors import InputError
from judge.judges import Judge
from rubrics import Rubric

if TYPE_CHECKING:
    from judge.store.calibrations import CalibrationInfo
    from judge.store.store import Store

LABELS, JUDGEMENTS, RUBRIC = "labels.jsonl", "judgements.jsonl", "rubric.yaml"
#: What labels of the demonstration say that they are from.
SOURCE = "judge calibrations demo"


@dataclass(frozen=True, slots=True)
class DemoSet:
    """A set of labels and of what a judge said.

    Attributes
    ----------
    name
        Of its labels and its calibration.
    judge
        Who judged.
    told
        What it holds.
    credit
        Whose it is and under which licence; None for one that is simulated.
    group
        The column of the groups; None where every item is one.
    """

    name: str
    folder: Path
    judge: str
    title: str
    told: str
    credit: str | None = None
    group: str | None = None

    @property
    def rubric(self) -> Rubric:
        """What people and judge were asked."""
        return Rubric.load(self.folder / RUBRIC)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Its labels and its judgements, as files of JSON lines in a folder."""
        labels, judgements = folder / f"{self.name}-{LABELS}", folder / f"{self.name}-{JUDGEMENTS}"
        if self.credit is None:
            simulation.write(labels, judgements)
        else:
            labels.write_bytes(gzip.decompress((self.folder / f"{LABELS}.gz").read_bytes()))
            judgements.write_bytes(gzip.decompress((self.folder / f"{JUDGEMENTS}.gz").read_bytes()))
        return labels, judgements


_HERE = Path(__file__).parent
SETS = (
    DemoSet(
        name="demo-llm-rubric",
        folder=_HERE / "llm_rubric",
        judge="gpt-3.5-turbo-16k",
        title="LLM-Rubric",
        told="dialogues with an assistant: nine questions answered 1 to 4 by one person each, and by a model whose "
        "probabilities are known",
        credit="Hashemi et al., ACL 2024 · github.com/microsoft/LLM-Rubric · Copyright (c) Microsoft Corporation · MIT",
    ),
    DemoSet(
        name="demo-pandalm",
        folder=_HERE / "pandalm",
        judge="gpt-3.5-turbo",
        title="PandaLM",
        told="pairs of answers to an instruction: which is better, a, b or a tie, by three people each and by a model",
        credit="Wang et al., ICLR 2024 · github.com/WeOpenML/PandaLM · Copyright 2023 Yidong Wang, Zhuohao Yu · "
        "Apache-2.0",
        group="group",
    ),
    DemoSet(
        name="demo-simulated",
        folder=_HERE / "simulated",
        judge="simulated",
        title="Simulated",
        told=f"items without content: three simulated people, and a simulated judge that is asked {simulation.SAMPLES} "
        "times and less noisy than each of them",
    ),
)


def calibrated(
    store: Store, one: DemoSet, folder: Path, told: Callable[[str], None] = lambda _: None
) -> tuple[CalibrationInfo, Calibration]:
    """Imports the labels of a set into a store, and keeps there how its judge does on them.

    Parameters
    ----------
    folder
        For files that may go afterwards.

    Raises
    ------
    InputError
        Where the store has labels of other questions under the name of the set.
    """
    rubric = one.rubric
    if store.ask(store.labels.asked_hash, one.name) not in (None, rubric.asked_hash):
        raise InputError(f"{store.name} has other labels named {one.name}; leave --keep out, or use another database")
    labels, judgements = one.write(folder)
    import_file(store, labels, rubric, name=one.name, group=one.group, source=SOURCE)
    stored = store.ask(store.labels.of_set, one.name)
    recording = Judge(name=one.judge, provider="recorded", options={"file": str(judgements)})
    said = of_recording(recording, rubric)
    if one.credit is None:
        said = replace(said, judge=said.judge.model_copy(update={"kind": "simulated"}))
    made = calibrate(
        said,
        stored,
        Sampling.kept(store, said, stored),
        label_set=one.name,
        group=one.group,
        record=lambda purpose: store.change(store.calibrations.open_test, one.name, 0, purpose),
        told=told,
    )
    return keep(store, one.name, made), made

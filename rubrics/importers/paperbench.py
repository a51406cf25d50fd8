"""PaperBench: a tree of requirements with weights, whose leaves are met or not."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from pydantic import Field

from rubrics.importers.document import Foreign, shaped
from rubrics.importers.ids import Ids, name_of
from rubrics.importers.imported import Imported, Losses
from rubrics.rubric import Rubric

_TASK = "The output is an attempt to reproduce a paper. Say of each requirement whether it is met in full."
#: What a leaf's category asks for.
_CATEGORIES = {
    "Code Development": "is it implemented, in code that is there, and rightly?",
    "Code Execution": "did the run of the attempt carry it out without failure?",
    "Result Analysis": "do the results of that run bear it out?",
}


class _Task(Foreign):
    id: str
    requirements: str
    weight: float = Field(ge=0)
    sub_tasks: tuple[_Task, ...] = ()
    task_category: str | None = None
    finegrained_task_category: str | None = None


def recognises(data: object) -> bool:
    """Whether this is a tree of tasks."""
    return isinstance(data, dict) and "requirements" in data and "sub_tasks" in data


def convert(data: object, source: str) -> Imported:
    """One rubric: inner nodes are sections, leaves are binary criteria."""
    root = shaped(_Task, data, source)
    tree = _Tree()
    whole = tree.node(root) if root.sub_tasks else {"criteria": [tree.leaf(root)]}
    asked = [f"{category}: {asks}" for category, asks in _CATEGORIES.items() if category in tree.categories]
    instructions = "\n".join([root.requirements, "", _TASK, *asked])
    stem = PurePath(source).stem
    rubric = Rubric.parse({"name": name_of(stem), "instructions": instructions, **whole}, source)
    return Imported((rubric,), (), tree.losses.lines)


class _Tree:
    def __init__(self) -> None:
        self.losses = Losses()
        self.categories: set[str] = set()
        self._criteria = Ids()
        self._sections = Ids()

    def node(self, task: _Task) -> dict[str, Any]:
        """The criteria and sections of an inner node; neither where nothing in it counts."""
        self._tell(task)
        counting = [child for child in task.sub_tasks if self._counts(child)]
        leaves = [self.leaf(child) for child in counting if not child.sub_tasks]
        sections = [made for child in counting if child.sub_tasks and (made := self._section(child))]
        children = {"criteria": leaves, "sections": sections}
        return {name: made for name, made in children.items() if made}

    def _section(self, task: _Task) -> dict[str, Any] | None:
        id_ = self._sections.make(task.requirements)
        children = self.node(task)
        if not children:
            self.losses.left_out("nothing in it counts", f"node {task.id}")
            return None
        return {"id": id_, "description": task.requirements, "weight": task.weight, **children}

    def leaf(self, task: _Task) -> dict[str, Any]:
        """A criterion, its category in front of the question."""
        self._tell(task)
        category = task.task_category
        if category:
            self.categories.add(category)
        question = f"{category}: {task.requirements}" if category else task.requirements
        id_ = self._criteria.make(task.requirements)
        return {"id": id_, "question": question, "scale": "binary", "weight": task.weight or 1.0}

    def _counts(self, task: _Task) -> bool:
        if not task.weight:
            self.losses.left_out("weight 0, which counts for nothing", f"node {task.id}")
            return False
        if not task.sub_tasks and not task.requirements.strip():
            self.losses.left_out("a blank requirement", f"node {task.id}")
            return False
        return True

    def _tell(self, task: _Task) -> None:
        task.tell_extra(self.losses, f"node {task.id}")
        self.losses.changed("ids are made from the requirements", f"node {task.id}")
        if task.finegrained_task_category:
            self.losses.left_out("finegrained_task_category", f"node {task.id}")

"""Seeded work: outputs to grade, the rubric to grade them by, and the judge that does it.

An output carries its [ITEM-nnnn] and a criterion its CRIT-NAME. The stub judge hashes only these, so that a verdict
depends on the work and not on how a tool words its prompt.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

SYLLABLES = "ta re mi on ler ver con sta pro ment al ic ing er ob der lin mar sol ten que dis for ni cal"
COMMON = (
    "the of and to in a is that for it as was with be by on not this are at from or have an which can will more one "
    "their has"
)
CRITERIA: dict[str, tuple[str, tuple[str, ...]]] = {
    "accuracy": (
        "Claims in the output agree with the input and with general knowledge. (CRIT-ACCURACY)",
        (
            "Most claims are wrong or invented.",
            "Several claims are wrong.",
            "Mostly right, with one notable error.",
            "Right, with a trivial slip at most.",
            "Every claim is right and verifiable.",
        ),
    ),
    "coverage": (
        "The output deals with every part of what the input asks for. (CRIT-COVERAGE)",
        (
            "Misses the request.",
            "Covers under half of the parts.",
            "Covers most parts, some thinly.",
            "Covers all parts, one of them thinly.",
            "Covers all parts in full.",
        ),
    ),
    "clarity": (
        "The output is well organised and easy to follow for the intended reader. (CRIT-CLARITY)",
        (
            "Incoherent.",
            "Hard to follow in many places.",
            "Understandable with effort in places.",
            "Clear, with small lapses.",
            "Clear and well organised throughout.",
        ),
    ),
    "tone": (
        "Register and style suit the request and the reader. (CRIT-TONE)",
        (
            "Unsuitable or offensive.",
            "Mostly unsuitable.",
            "Acceptable, uneven.",
            "Suitable, with small lapses.",
            "Exactly right throughout.",
        ),
    ),
}
Item = dict[str, str]


@dataclass(frozen=True, slots=True)
class Work:
    """A folder with work.jsonl and bench.yaml."""

    folder: Path

    @property
    def items(self) -> Path:
        return self.folder / "work.jsonl"

    @property
    def rubric(self) -> Path:
        return self.folder / "bench.yaml"

    @property
    def bodies(self) -> Path:
        """Where the bodies of calls are put that are to be sent again as they are."""
        return self.folder / "bodies.jsonl"

    @classmethod
    def write(cls, folder: Path, items: Iterator[Item]) -> Work:
        """Writes the items one by one, so that their number does not matter to memory."""
        work = cls(folder)
        with work.items.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(item) + "\n" for item in items)
        work.rubric.write_text(rubric_text(), encoding="utf-8")
        return work

    def judge(self, url: str, concurrency: int, provider: str = "openai", more: str = "") -> Path:
        """Writes the description of the stub judge at `url`; `more` lines of it."""
        path = self.folder / "judge.yaml"
        model = "openai/stub-judge" if provider == "litellm" else "stub-judge"
        base_url = url if provider == "anthropic" else f"{url}/v1"
        path.write_text(
            f"name: stub\nprovider: {provider}\nmodel: {model}\nbase_url: {base_url}\napi_key_env: null\n"
            f"temperature: 0\nconcurrency: {concurrency}\nprice: {{input: 0.0, output: 0.0}}\n{more}",
            encoding="utf-8",
        )
        return path


def rubric_text() -> str:
    """The rubric as YAML. JSON strings are YAML, quoting and all."""
    lines = ["name: bench", "criteria:"]
    for name, (question, levels) in CRITERIA.items():
        lines += [f"  - id: {name}", f"    question: {json.dumps(question)}", "    scale: ordinal", "    levels:"]
        lines += [f"      {level}: {json.dumps(text)}" for level, text in enumerate(levels, 1)]
    return "\n".join(lines) + "\n"


def prose_items(count: int, seed: int = 7) -> Iterator[Item]:
    """Outputs of 150 to 600 made-up words: a Zipf vocabulary in which each word prefers a few followers."""
    rng = random.Random(seed)
    prose = _Prose(rng)
    for number in range(count):
        words = int(min(max(rng.lognormvariate(5.75, 0.38), 150), 600))
        asked = prose.text(rng.randint(40, 150))
        yield {"id": _id(number), "input": asked, "output": f"[{_id(number)}] {prose.text(words)}"}


def plain_items(count: int, output_bytes: int = 60) -> Iterator[Item]:
    """Outputs of one size, for measures of memory."""
    for number in range(count):
        output = f"[{_id(number)}] " + "word " * (output_bytes // 5)
        yield {"id": _id(number), "input": "Say something.", "output": output[:output_bytes]}


def _id(number: int) -> str:
    return f"ITEM-{number:04d}"


class _Prose:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words = [*COMMON.split(), *self._vocabulary(4000)]
        self._weights = list(accumulate(1 / (rank + 2) for rank in range(len(self._words))))
        self._followers: dict[str, list[str]] = {}

    def _vocabulary(self, size: int) -> list[str]:
        syllables = SYLLABLES.split()
        words: set[str] = set()
        while len(words) < size:
            words.add("".join(self._rng.choice(syllables) for _ in range(self._rng.choice((1, 2, 2, 3, 3, 4)))))
        shuffled = sorted(words)
        self._rng.shuffle(shuffled)
        return shuffled

    def text(self, count: int) -> str:
        """`count` words in sentences and paragraphs."""
        sentences, word = [], self._rng.choice(self._words)
        while count > 0:
            length = min(count, self._rng.randint(7, 24))
            sentence = []
            for _ in range(length):
                word = self._next(word)
                sentence.append(word)
            sentences.append(" ".join(sentence).capitalize() + ".")
            count -= length
        return "\n\n".join(" ".join(sentences[at : at + 5]) for at in range(0, len(sentences), 5))

    def _next(self, word: str) -> str:
        if word not in self._followers:
            self._followers[word] = self._rng.choices(self._words, cum_weights=self._weights, k=6)
        if self._rng.random() < 0.45:
            return self._rng.choice(self._followers[word])
        return self._rng.choices(self._words, cum_weights=self._weights)[0]

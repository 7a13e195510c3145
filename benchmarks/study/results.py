"""The file that a study grows in: a line of JSON for each finished training and measurement."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.study.cells import Question, Variant, key_of, with_seed

Line = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class Results:
    """What is known, and the file that keeps it."""

    path: Path
    """Made by the first line."""
    lines: list[Line] = field(default_factory=list)
    size: int = 0
    """Bytes of those lines; what a crash has left behind them is overwritten."""

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read what is there; a last line that a crash has cut off does not count, so that it is made again.

        Raises:
            ValueError: another line is no JSON.
        """
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        return cls(path=path, lines=[json.loads(line) for line in whole.splitlines()], size=len(whole))

    def add(self, line: Line) -> None:
        """Keep a line, in the file first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.truncate(self.size)
            file.write(json.dumps(line).encode() + b"\n")
            self.size = file.tell()
        self.lines.append(line)

    def training(self, key: str) -> Line | None:
        """Return the training of a spec, where it is finished."""
        return next((line for line in self.lines if line["kind"] == "training" and line["key"] == key), None)

    def measured(self, kind: str, key: str) -> Line | None:
        """Return a measurement of a trained model, `test` or `gradients`, where it was made."""
        return next((line for line in self.lines if line["kind"] == kind and line["key"] == key), None)

    def runs(self, variant: Variant) -> list[Line]:
        """Return a variant's finished trainings, first seed first; those that failed are among them."""
        keys = (key_of(with_seed(variant, seed)) for seed in range(variant.seeds))
        return [line for key in keys if (line := self.training(key)) is not None]

    def winner(self, question: Question) -> Variant | None:
        """Return the variant with the best mean validation accuracy; None until all trainings are finished."""
        if any(len(self.runs(variant)) < variant.seeds for variant in question.variants):
            return None
        return max(question.variants, key=lambda variant: (accuracy(self.runs(variant)) or Figure(-1.0, 0.0, 0)).mean)


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over seeds."""

    mean: float
    deviation: float
    """Standard deviation of single trainings (n - 1); 0 where there is one."""
    count: int

    def __str__(self) -> str:
        spread = f" ± {self.deviation:.3f}" if self.count > 1 else ""
        return f"{self.mean:.3f}{spread}"


def figure(values: Sequence[float]) -> Figure | None:
    """Return the mean and the spread; None of nothing."""
    if not values:
        return None
    return Figure(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


def accuracy(runs: Sequence[Line]) -> Figure | None:
    """Return the selected epochs' validation accuracy, measured on the exported graphs; failed runs have none."""
    return figure([run["val"]["accuracy"] for run in runs if run["state"] == "SUCCEEDED"])

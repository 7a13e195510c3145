"""Broken promises: each is written down with the files that show it."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SHOWN_BYTES = 200_000
"""Of a log, from its end."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken."""

    promise: str
    """Which, in a few words."""
    text: str
    """What was seen."""


@dataclass(slots=True)
class Violations:
    """All that were found so far, in a folder of evidence."""

    folder: Path
    found: list[Violation] = field(default_factory=list)
    _seen: set[Violation] = field(default_factory=set)

    def add(self, promise: str, text: str, evidence: Sequence[Path] = ()) -> None:
        """Write a violation down, and copy the files and folders that show it; a repeated one counts once."""
        violation = Violation(promise, text)
        if violation in self._seen:
            return
        self._seen.add(violation)
        self.found.append(violation)
        place = self.folder / f"{len(self.found):03d}-{promise.replace(' ', '-')}"
        place.mkdir(parents=True)
        body = {"promise": promise, "text": text, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        (place / "violation.json").write_text(json.dumps(body, indent=1) + "\n")
        for number, path in enumerate(evidence):
            _copy(path, place / f"{number}-{path.name}")


def _copy(source: Path, target: Path) -> None:
    """Copy what is there; processes work on it meanwhile, so parts may be gone."""
    try:
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.pt"))
        elif source.is_file():
            target.write_bytes(source.read_bytes()[-_SHOWN_BYTES:])
    except (OSError, shutil.Error):
        pass

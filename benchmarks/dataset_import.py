"""Times imports of a folder against a loop on one core that decodes, hashes and sums up the same files.

    python benchmarks/dataset_import.py FOLDER [--rounds 5]

Both in one process, in turns. An import also compares all pictures, splits them, writes them down and draws the
contact sheet; the loop does none of that.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cultivar_trainer.datasets import sources
from cultivar_trainer.datasets.inspection import inspect
from cultivar_trainer.datasets.sources import Source
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks.import_dataset import import_source


def main() -> None:
    """Print images per second of both, and how many times faster imports are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    source = sources.folder(asked.folder, None)
    rates: dict[str, list[float]] = {"one-core loop": [], "import": []}
    for _ in range(asked.rounds):
        rates["one-core loop"].append(_rate(source, _loop))
        rates["import"].append(_rate(source, _import))
    for name, found in rates.items():
        print(
            f"{name:14} {statistics.median(found):6.0f} images/s "
            f"({min(found):.0f} to {max(found):.0f}, {asked.rounds} rounds of {len(source.images)})"
        )
    ratios = [both / one for one, both in zip(*rates.values(), strict=True)]
    cores = len(os.sched_getaffinity(0))
    print(f"ratio          {statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f}) on {cores} cores")


def _rate(source: Source, work: Callable[[Source], None]) -> float:
    start = time.perf_counter()
    work(source)
    return len(source.images) / (time.perf_counter() - start)


def _loop(source: Source) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        for image in source.images:
            inspect(image)
    finally:
        os.sched_setaffinity(0, cores)


def _import(source: Source) -> None:
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "events.jsonl") as journal:
        import_source(source, Path(folder) / "dataset", Splitting(), journal)


if __name__ == "__main__":
    main()

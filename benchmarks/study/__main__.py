"""Trains what is missing of the study, then draws its tables and pictures: `python -m benchmarks.study`."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.study import page, running, sources
from benchmarks.study.cells import Cell, Question, in_order
from benchmarks.study.questions import questions
from benchmarks.study.results import Results
from benchmarks.study.scale import LARGE, SMALL

DOCS = Path(__file__).parents[2] / "docs"


def main() -> int:
    """Do what the command line asks for."""
    options = _parser().parse_args()
    scale, name = (LARGE, "large") if options.large else (SMALL, "small")
    everything = questions(scale)
    unknown = set(options.questions) - {question.key for question in everything}
    if unknown:
        print(f"no question {', '.join(sorted(unknown))}: there are {', '.join(one.key for one in everything)}")
        return 2
    asked = [question for question in everything if not options.questions or question.key in options.questions]
    results = Results.read(options.results or DOCS / "study" / ("large.jsonl" if options.large else "results.jsonl"))
    cells = [cell for cell in in_order(asked, options.seeds) if fnmatch(cell.id, options.cells)]
    if options.list:
        for cell in cells:
            print("missing" if results.training(cell.key) is None else "done   ", cell.id)
        return 0
    if not options.draw:
        if options.data is None:
            print("no images: set CULTIVAR_STUDY_DATA or --data to the folder that docs/study.md describes")
            return 2
        os.environ.setdefault("CULTIVAR_WEIGHTS_DIR", str(options.data.resolve() / "weights"))
        os.environ["CULTIVAR_MAX_RUNNING_JOBS"] = "1"
        folder = (options.folder / name).resolve()
        sources.lay_out(options.data, folder / "sources", species=scale.species, flowers=scale.flower_counts)
        try:
            asyncio.run(_until_stopped(_Study(folder=folder, cells=cells, asked=asked, results=results)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            print("stopped: the same command goes on where it was", file=sys.stderr)
            return 130
    if not options.large:  # the page tells of the small one
        page.write(DOCS / "study.md", DOCS / "study", asked, results)
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Study:
    """What is to be done."""

    folder: Path
    cells: Sequence[Cell]
    asked: Sequence[Question]
    results: Results


async def _until_stopped(study: _Study) -> None:
    """Carry a study out; SIGTERM ends it as Ctrl-C does, with all its processes."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with running.serving(study.folder) as (client, service):
        await running.train_missing(study.cells, study.results, client, service)
        await running.measure_gradients(study.asked, study.results, client, study.folder)
        await running.test_winners(study.asked, study.results, client)


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m benchmarks.study", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    data = os.environ.get("CULTIVAR_STUDY_DATA")
    flags.add_argument("--data", type=Path, default=Path(data) if data else None, help="archives and weights")
    flags.add_argument("--large", action="store_true", help="the long study, which takes days on two cores")
    flags.add_argument("--questions", nargs="*", default=[], metavar="KEY", help="only these (all)")
    flags.add_argument("--cells", default="*", metavar="PATTERN", help="only trainings whose names match, see --list")
    flags.add_argument("--seeds", type=int, default=0, help="at most so many of each variant; 0: as planned")
    flags.add_argument("--draw", action="store_true", help="train nothing: tables and pictures from the results alone")
    flags.add_argument("--list", action="store_true", help="train nothing: tell what is missing")
    flags.add_argument("--results", type=Path, help="where lines are added (docs/study/results.jsonl, large.jsonl)")
    flags.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "cultivar-study",
        help="keeps images and the service's data between runs",
    )
    return flags


if __name__ == "__main__":
    sys.exit(main())

"""Kills service and trainers while they work, and proves that nothing is lost: `python -m benchmarks.chaos`."""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos import campaign, report, workload
from benchmarks.chaos.campaign import Campaign, Outcome


def main() -> int:
    """Carry out the campaign that the command line describes; 0 without violations, 1 with some."""
    options = _parser().parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cultivar-chaos-", dir=options.folder)).resolve()
    print(f"seed {options.seed}, files in {folder}", flush=True)
    try:
        recipes = workload.chosen(options.recipes)
        outcome = asyncio.run(
            _until_stopped(
                Campaign(
                    seed=options.seed,
                    kills=options.kills,
                    minutes=options.minutes,
                    gap_s=(options.gap[0], options.gap[1]),
                    recipes=recipes,
                    folder=folder,
                )
            )
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"stopped; {folder} stays", file=sys.stderr)
        return 130
    text = report.markdown(outcome)
    print(text)
    if outcome.violations.found:
        (folder / "report.md").write_text(text + "\n")
        print(f"\nevidence, logs and data: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


async def _until_stopped(wanted: Campaign) -> Outcome:
    """Carry a campaign out; SIGTERM ends it as Ctrl-C does, with all its processes."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await campaign.run(wanted)


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    flags.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32), help="of places, targets and times")
    flags.add_argument("--kills", type=int, default=200)
    flags.add_argument("--minutes", type=float, default=60.0, help="the campaign ends within so many")
    flags.add_argument("--gap", type=float, nargs=2, default=(3.0, 20.0), metavar=("LEAST", "MOST"), help="seconds")
    flags.add_argument("--recipes", nargs="*", default=[], metavar="NAME", help="which jobs (all)")
    flags.add_argument("--folder", type=Path, help="where its files go (the system's temporary folder)")
    return flags


if __name__ == "__main__":
    sys.exit(main())

"""The table of fine-tuning modes on real flowers: mean and standard deviation of validation accuracy over seeds.

    python benchmarks/modes.py --sources DIR --weights DIR --results FILE [--modes M ...] [--seeds N ...]

DIR/flowers is an image folder with train/ and val/; `--images-per-class 10` takes as many training images. Each run
appends a line to FILE; those that it has are not run again, so that the table can grow over several calls. Every run is
a job of a real service at 128 px, 10 epochs and the mode's own defaults.
"""

import argparse
import json
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

from real_data import cultivar, service

WEIGHTS = {
    "mobilenet_v2": "mobilenet_v2-tf2ptq-5e11b11e.pth",
    "squeezenet1_0": "squeezenet1_0-deepcompression-2ce26058.pth",
}
COMMON = "--dataset flowers --epochs 10 --set input.size=128 --set publish=never --set test_evaluation=never"
MODES = {
    "A scratch": "--mode scratch",
    "B full": "--mode full",
    "C head": "--mode head",
    "last-blocks": "--mode last-blocks --set last_blocks=3",
    "gradual": "--mode gradual",
}


def main() -> None:
    """Make the runs that the results lack, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--architectures", nargs="+", choices=WEIGHTS, default=list(WEIGHTS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--images-per-class", type=int, default=0)
    options = parser.parse_args()
    done = read(options.results)
    wanted = [
        {"architecture": architecture, "mode": mode, "seed": seed}
        for seed, architecture, mode in product(options.seeds, options.architectures, options.modes)
    ]
    missing = [run for run in wanted if not any(run.items() <= one.items() for one in done)]
    if missing:
        with tempfile.TemporaryDirectory() as folder, service(Path(folder), options) as address:
            cultivar("datasets create flowers --folder flowers", address)
            for run in missing:
                done.append(train(run, address, options.images_per_class))
                with options.results.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
                print(json.dumps(done[-1]), flush=True)
    print_table(done)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the runs that are there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def train(run: dict[str, Any], address: str, images_per_class: int) -> dict[str, Any]:
    """Make one run."""
    weights = "" if "scratch" in run["mode"] else f"--weights {WEIGHTS[run['architecture']]}"
    started = time.monotonic()
    job = cultivar(
        f"train {COMMON} --architecture {run['architecture']} {MODES[run['mode']]} {weights} --set seed={run['seed']} "
        f"--set data.max_train_images_per_class={images_per_class}",
        address,
    )
    validation = next(one for one in job["metrics"] if one["split"] == "val")
    return {
        **run,
        "accuracy": validation["accuracy"],
        "best_epoch": job["bestEpoch"]["epoch"],
        "learning_rate": job["recipe"]["optimizer"]["learningRate"],
        "seconds": time.monotonic() - started,
    }


def print_table(done: list[dict[str, Any]]) -> None:
    """Print mean and standard deviation over seeds."""
    print("| network | mode | learning rate | validation accuracy | seeds |")
    print("| --- | --- | --- | --- | --- |")
    for architecture, mode in product(WEIGHTS, MODES):
        runs = [one for one in done if (one["architecture"], one["mode"]) == (architecture, mode)]
        if runs:
            values = [one["accuracy"] for one in runs]
            spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            rate = f"{runs[0]['learning_rate']:g}"
            print(f"| {architecture} | {mode} | {rate} | {statistics.mean(values):.4f}{spread} | {len(values)} |")


if __name__ == "__main__":
    main()

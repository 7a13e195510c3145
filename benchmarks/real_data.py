"""Trains on real images through a service of its own and prints what docs/benchmarks.md states.

    python benchmarks/real_data.py RUN... --sources DIR --weights DIR

DIR/flowers (with class-names.json beside it) and DIR/cifar10 are image folders with train/ and val/ or test/. RUN is
one of the names below; each prints one line a figure.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

BIN = Path(sys.executable).parent
WEIGHTS = "mobilenet_v2-tf2ptq-5e11b11e.pth"
HEAD = f"--dataset flowers --architecture mobilenet_v2 --mode head --weights {WEIGHTS}"
NO_DROPOUT = "--epochs 2 --set network.head_dropout=0 --set publish=never"
RUNS = {
    "flowers-head": f"{HEAD} --epochs 20",
    "flowers-full": f"{HEAD.replace('head', 'full')} --epochs 3 --set input.size=128 --set publish=never",
    "flowers-scratch": "--dataset flowers --architecture mobilenet_v2 --mode scratch --epochs 3 "
    "--set input.size=128 --set publish=never",
    "flowers-head-cached": f"{HEAD} {NO_DROPOUT}",
    "flowers-head-uncached": f"{HEAD} {NO_DROPOUT} --set execution.feature_cache=off",
    "cifar10-scratch": "--dataset cifar10 --architecture resnet18 --mode scratch --epochs 5 "
    "--set network.stem=cifar --set data.max_train_images=10000 "
    "--set augmentation.padded_crop=4 --set augmentation.horizontal_flip=0.5",
}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", choices=RUNS, help=", ".join(RUNS))
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), options) as address:
        for dataset in sorted({re.findall(r"--dataset (\S+)", RUNS[run])[0] for run in options.runs}):
            names = "--class-names class-names.json" if dataset == "flowers" else ""
            cultivar(f"datasets create {dataset} --folder {dataset} {names}", address)
        jobs = {run: train(run, address, Path(folder) / run) for run in options.runs}
        if {"flowers-head-cached", "flowers-head-uncached"} <= set(jobs):
            compare_heads(jobs["flowers-head-cached"], jobs["flowers-head-uncached"], Path(folder))
        for run in options.runs:
            check_skew(run, jobs[run], address, options.sources, Path(folder) / run)


@contextmanager
def service(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Run a service and yield its address."""
    log = folder / "service.log"
    environment = {
        **os.environ,
        "CULTIVAR_DATA_DIR": str(folder / "data"),
        "CULTIVAR_GRPC_ADDRESS": "127.0.0.1:0",
        "CULTIVAR_METRICS_ADDRESS": "127.0.0.1:0",
        "CULTIVAR_DATASETS_ROOT": str(options.sources),
        "CULTIVAR_WEIGHTS_DIR": str(options.weights),
    }
    with log.open("wb") as output:
        process = subprocess.Popen([str(BIN / "cultivar-service")], env=environment, stdout=output, stderr=output)
    try:
        while not (found := re.search(r"serving gRPC on ([^,]+),", log.read_text())):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield found.group(1)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def cultivar(arguments: str, address: str) -> Any:
    """Run the command and return the JSON that it prints."""
    command = [str(BIN / "cultivar"), *arguments.split(), "--json", "--address", address]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def train(run: str, address: str, folder: Path) -> dict[str, Any]:
    """Train, print the figures of the job, and fetch its model."""
    print(f"\n== {run}\n$ cultivar train {RUNS[run]}", flush=True)
    started = time.monotonic()
    job: dict[str, Any] = cultivar(f"train {RUNS[run]}", address)
    seconds = time.monotonic() - started
    cultivar(f"models download {job['modelVersion']} -o {folder}", address)
    history = json.loads((folder / "history.json").read_text())["epochs"]
    accuracies = " ".join(f"{epoch['val_accuracy']:.4f}" for epoch in history)
    print(f"validation accuracy by epoch: {accuracies}")
    for figures in job["metrics"]:
        print(f"{figures['split']}: accuracy {figures['accuracy']:.4f}, {figures['imageCount']} images")
    median = sorted(epoch["images_per_second"] for epoch in history)[len(history) // 2]
    print(f"training: median {median:.0f} images/s; the whole job {seconds:.0f} s")
    parity = job["exportVerified"]
    print(
        f"export: max |difference of probabilities| {parity['maxProbabilityDifference']:.2g}, "
        f"{parity['top1Differences']} other classes, {parity['imageCount']} validation images",
        flush=True,
    )
    return job


def compare_heads(cached: dict[str, Any], uncached: dict[str, Any], folder: Path) -> None:
    """Print how much faster cached epochs are, and how far the two heads are apart."""
    seconds = [
        [epoch["train_seconds"] for epoch in json.loads((folder / run / "history.json").read_text())["epochs"]]
        for run in ("flowers-head-cached", "flowers-head-uncached")
    ]
    heads = [np.load(folder / run / "weights.npz") for run in ("flowers-head-cached", "flowers-head-uncached")]
    difference = max(float(np.abs(heads[0][name] - heads[1][name]).max()) for name in heads[0].files)
    print("\n== feature cache")
    print(f"seconds per training epoch: cached {min(seconds[0]):.3f}, uncached {min(seconds[1]):.1f}")
    print(f"ratio {min(seconds[1]) / min(seconds[0]):.0f}; max |difference of any weight| {difference:.2g}")


def check_skew(run: str, job: dict[str, Any], address: str, sources: Path, folder: Path) -> None:
    """Send the raw validation files through Predict and print how far answers are from the package's."""
    import asyncio

    from cultivar_client import Client

    dataset = run.partition("-")[0]
    predictions = np.load(folder / "predictions.npz")
    paths = [sources / dataset / path for path in predictions["val_path"].tolist()]

    async def answers() -> list[list[float]]:
        found: list[list[float]] = []
        async with Client(address) as client:
            for start in range(0, len(paths), 64):
                images = [path.read_bytes() for path in paths[start : start + 64]]
                response = await client.predict(job["modelVersion"], images, all_probabilities=True)
                found += [list(result.classification.probabilities) for result in response.results]
        return found

    served = np.array(asyncio.run(answers()))
    expected = predictions["val_probabilities"]
    other = int((served.argmax(1) != expected.argmax(1)).sum())
    print(
        f"skew of {run}: max |difference| {np.abs(served - expected).max():.2g}, "
        f"{other} other classes, {len(paths)} images"
    )


if __name__ == "__main__":
    main()

"""Head search: 24 pairs of learning rate and weight decay in one job, against one pair, and against 24 trainings.

    python benchmarks/head_search.py --sources DIR --weights DIR

Whole jobs are compared at 224 px, each with cold caches; training phases, and every candidate with its own job, at
64 px on one cache, because a head does not know what its features cost.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from real_data import cultivar, service

WEIGHTS = "mobilenet_v2-tf2ptq-5e11b11e.pth"
TRAIN = f"train --dataset flowers --architecture mobilenet_v2 --mode head --weights {WEIGHTS} --epochs 20"
RATES = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3]
DECAYS = [0.0, 0.01, 0.1, 1.0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    pairs = [(rate, decay) for rate in RATES for decay in DECAYS]
    lists = (
        f"--set optimizer.learning_rates={','.join(map(str, RATES))} "
        f"--set optimizer.weight_decays={','.join(map(str, DECAYS))}"
    )
    with tempfile.TemporaryDirectory() as name, service(Path(name), options) as address:
        folder = Path(name)
        cultivar("datasets create flowers --folder flowers", address)
        one = cold(folder, "", address, folder / "one")
        many = cold(folder, lists, address, folder / "many")
        print(f"cold caches: one candidate {one['seconds']:.1f} s, 24 candidates {many['seconds']:.1f} s")
        print(f"ratio {many['seconds'] / one['seconds']:.3f}", flush=True)
        small = "--set input.size=64"
        many = train(f"{small} {lists}", address, folder / "many-small")
        separate = [
            train(
                f"{small} --set optimizer.learning_rate={rate} --set optimizer.weight_decay={decay}",
                address,
                folder / f"{rate}-{decay}",
            )
            for rate, decay in pairs
        ]
    training = sum(single["training"] for single in separate)
    print(f"training phases: 24 at once {many['training']:.1f} s, 24 jobs {training:.1f} s")
    print(f"ratio {many['training'] / training:.3f}")
    best = max(range(len(pairs)), key=lambda number: (separate[number]["accuracy"], -number))
    print(f"selected pair {many['pair']}, accuracy {many['accuracy']:.4f}; the best job's {pairs[best]}, ", end="")
    print(f"{separate[best]['accuracy']:.4f}")
    chosen = separate[pairs.index(many["pair"])]["weights"]
    difference = max(float(np.abs(many["weights"][name] - chosen[name]).max()) for name in chosen)
    print(f"max |difference| of the selected head's weights from those of its own job {difference:.2g}")
    apart = [np.abs(np.subtract(a, b["losses"][0])).max() for a, b in zip(many["losses"], separate, strict=True)]
    print(f"max |difference| of any candidate's validation loss in any epoch from its own job's {max(apart):.2g}")


def cold(folder: Path, settings: str, address: str, package: Path) -> dict[str, Any]:
    """Run one job without anything that an earlier one has cached."""
    shutil.rmtree(folder / "data" / "caches", ignore_errors=True)
    return train(settings, address, package)


def train(settings: str, address: str, folder: Path) -> dict[str, Any]:
    """Run one job; return its seconds, those of its training phase, its history and its head."""
    started = time.monotonic()
    job = cultivar(f"{TRAIN} --set publish=never {settings}", address)
    seconds = time.monotonic() - started
    cultivar(f"models download {job['modelVersion']} -o {folder}", address)
    history = json.loads((folder / "history.json").read_text())
    weights = np.load(folder / "weights.npz")
    manifest = json.loads((folder / "manifest.json").read_text())
    epochs = [epoch for candidate in history["candidates"] for epoch in candidate["epochs"]]
    selected = manifest["selected"]
    return {
        "seconds": seconds,
        "training": sum(epoch["train_seconds"] + epoch["val_seconds"] for epoch in epochs),
        "accuracy": next(one["accuracy"] for one in job["metrics"] if one["split"] == "val"),
        "losses": [[epoch["val_loss"] for epoch in one["epochs"]] for one in history["candidates"]],
        "pair": (selected["learning_rate"], selected["weight_decay"]),
        "weights": {name: weights[name] for name in weights.files if name.startswith("classifier")},
    }


if __name__ == "__main__":
    main()

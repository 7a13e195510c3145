"""Classifies in a loop without a server, on one core: what decoding and the network cost by themselves.

    python -m benchmarks.serving.in_process WORKLOAD --core 0

Prints one JSON line. `cultivar_contract` is that of the path it runs with.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.serving import processes
from benchmarks.serving.load import percentiles
from cultivar_contract import package, preprocessing

BATCHES = (1, 2, 4, 8, 16)


def main() -> None:
    """Measure as the command line says."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("workload", type=Path)
    flags.add_argument("--core", type=int)
    flags.add_argument("--seconds", type=float, default=1.0, help="of each measurement; the whole loop takes thrice")
    options = flags.parse_args()
    processes.pin(options.core)
    json.dump(measure(options.workload, options.seconds), sys.stdout)
    print()


def measure(workload: Path, seconds: float) -> dict[str, Any]:
    """Return the figures of decoding alone, the session alone by batch size, and both together."""
    opened = package.open_package(workload / "package")
    prepared = opened.preprocessing
    images = [path.read_bytes() for path in sorted((workload / "images").glob("*.jpg"))]
    pixels = np.load(workload / "pixels.npy")
    session = one_thread_session(opened.onnx)

    def decode(start: int, batch: int) -> np.ndarray:
        return np.stack([preprocessing.load(images[(start + one) % len(images)], prepared) for one in range(batch)])

    def run(inputs: np.ndarray) -> None:
        session.run(["logits", "probabilities"], {"image": inputs})

    foreign = processes.Usage.now(None)
    decoding = timed(lambda start: decode(start, 1), 1, seconds)
    sessions = {
        batch: timed(lambda start, batch=batch: run(pixels[start % 48 : start % 48 + batch]), batch, seconds)  # type: ignore[misc]
        for batch in BATCHES
    }
    both = {
        batch: timed(lambda start, batch=batch: run(decode(start, batch)), batch, seconds)  # type: ignore[misc]
        for batch in (1, 4, 8)
    }
    best = min(both, key=lambda one: both[one]["ms"])
    both[best] = timed(lambda start: run(decode(start, best)), best, 3 * seconds)
    used = processes.Usage.now(None).since(foreign)
    total_s = seconds * (1 + len(sessions) + len(both) + 3)
    return {
        "decode": decoding,
        "session": sessions,
        "both": both,
        "best_batch": best,
        "foreign_core_share": round(used.foreign_s / total_s, 3),
    }


def one_thread_session(path: Path) -> Any:
    """Open a graph as every server here does: one thread that doesn't spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def timed(step: Callable[[int], object], batch: int, seconds: float) -> dict[str, Any]:
    """Repeat a step of `batch` images; return CPU and wall ms per image and the spread of a step's time."""
    for number in range(3):
        step(number * batch)
    times, number = [], 0
    used, begin = time.process_time(), time.perf_counter()
    while (started := time.perf_counter()) - begin < seconds:
        step(number * batch)
        times.append(time.perf_counter() - started)
        number += 1
    images = number * batch
    return {
        "cpu_ms": round(1e3 * (time.process_time() - used) / images, 4),
        "ms": round(1e3 * (time.perf_counter() - begin) / images, 4),
        "step_ms": percentiles(times),
    }


if __name__ == "__main__":
    main()

"""What every peer runs: `as shipped` with Pillow and float input, `like for like` with our graph and decoder.

The environment says which (BENCH_VARIANT) and where the workload is (BENCH_WORKLOAD).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.serving.peers import by_hand

LIKE_FOR_LIKE = os.environ.get("BENCH_VARIANT") == "like for like"
PORT = int(os.environ.get("BENCH_PORT", "0"))
MODEL = "bench"
MAX_BATCH = 8
MAX_WAIT_S = 0.002


class Classifier:
    """A session of one thread with its preprocessing."""

    def __init__(self) -> None:
        workload = Path(os.environ["BENCH_WORKLOAD"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if LIKE_FOR_LIKE:
            # Our preprocessing is the decoder that all servers share in this variant.
            from cultivar_contract import package, preprocessing

            opened = package.open_package(workload / "package")
            self._load, self._prepared = preprocessing.load, opened.preprocessing
            graph = opened.onnx
        else:
            graph = workload / "float.onnx"
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def prepare(self, encoded: bytes) -> NDArray[Any]:
        """Return an image as the graph takes it."""
        return self._load(encoded, self._prepared) if LIKE_FOR_LIKE else by_hand.prepare(encoded)

    def run(self, inputs: Sequence[NDArray[Any]] | NDArray[Any]) -> list[dict[str, Any]]:
        """Classify a batch; return the five most probable classes and their probabilities of each."""
        batch = np.asarray(inputs)
        if LIKE_FOR_LIKE:
            (probabilities,) = self._session.run(["probabilities"], {"image": batch})
            return [by_hand.best(row) for row in probabilities]
        (logits,) = self._session.run(["logits"], {"input": batch})
        return by_hand.top5(logits)

    def classify(self, encoded: bytes) -> dict[str, Any]:
        """Classify one image."""
        return self.run([self.prepare(encoded)])[0]

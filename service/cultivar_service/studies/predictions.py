"""What two models say of each validation image, from the predictions that their packages keep."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cultivar.v1 import training_spec_pb2 as pb

_PREDICTIONS = "predictions.npz"
_MAX_BYTES = 1 << 30
"""Of the probabilities of one split."""


def image_differences(baseline: Path, variant: Path, metric: pb.SelectionMetric) -> NDArray[np.float64] | None:
    """Return by how much a figure differs on each validation image, (N,): the variant's less the baseline's. Blocks.

    None where the figure is no mean over images, or the packages' predictions can't be read or are of other images.

    Args:
        baseline: a package's folder.
        variant: another's.
        metric: TOP1 (whether the image is classified right) or LOSS (minus log of the true class's probability).
    """
    if metric not in (pb.SELECTION_METRIC_TOP1, pb.SELECTION_METRIC_LOSS):
        return None
    try:
        before, after = _figures(baseline, metric), _figures(variant, metric)
    except (OSError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile):
        return None
    if before[0] != after[0]:
        return None
    return after[1] - before[1]


def _figures(folder: Path, metric: pb.SelectionMetric) -> tuple[list[str], NDArray[np.float64]]:
    """Return the validation images' digests, and the figure of each, (N,)."""
    with (folder / _PREDICTIONS).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        digests = [str(one) for one in arrays["val_sha256"]]
        labels = np.asarray(arrays["val_label"], np.int64)
        probabilities = np.asarray(arrays["val_probabilities"])  # (N, K)
    if probabilities.nbytes > _MAX_BYTES or probabilities.shape[0] != len(labels):
        raise ValueError("predictions do not fit their labels")
    if metric == pb.SELECTION_METRIC_TOP1:
        return digests, (probabilities.argmax(axis=1) == labels).astype(np.float64)
    # As the trainer measures: a probability of zero counts as float32's smallest.
    true = np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(np.float32).tiny)
    return digests, -np.log(true.astype(np.float64))

"""What a request may say of how a source's images are split."""

import math

from cultivar.v1 import dataset_pb2
from cultivar_contract.violations import Violation

_MAX_HELD_OUT_FRACTION = 0.4
"""Of a validation and a test split: a fifth at least remains to learn from."""
_FOLDS = range(2, 21)


def check_splitting(source: dataset_pb2.DatasetSource) -> list[Violation]:
    """Tell what is wrong with the fields about splits."""
    problems = []
    if source.split_seed < 0:
        problems.append(("split_seed", f"{source.split_seed} is negative: use 0 or more"))
    fraction = source.held_out_fraction
    if source.HasField("held_out_fraction"):
        if not (math.isfinite(fraction) and 0 < fraction <= _MAX_HELD_OUT_FRACTION):
            message = f"{fraction:g} is out of range: use more than 0, at most {_MAX_HELD_OUT_FRACTION}"
            problems.append(("held_out_fraction", message))
        elif source.HasField("folds"):
            problems.append(("held_out_fraction", "folds decide how much is held out: leave it or folds out"))
    if source.HasField("folds") and source.folds not in _FOLDS:
        problems.append(("folds", f"{source.folds} is out of range: use {_FOLDS[0]} to {_FOLDS[-1]}"))
    if source.HasField("fold"):
        if not source.HasField("folds"):
            problems.append(("fold", f"{source.fold} of how many is not said: set folds too"))
        elif source.folds in _FOLDS and not 1 <= source.fold <= source.folds:
            problems.append(("fold", f"{source.fold} is out of range: use 1 to {source.folds}"))
    if source.drop_leaks not in dataset_pb2.LeakPolicy.values():
        problems.append(("drop_leaks", f"{source.drop_leaks} is unknown: use NONE, EXACT or NEAR"))
    return [Violation(field=f"source.{field}", message=message) for field, message in problems]

"""What diagnostics see changes no byte of what a job leaves."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from cultivar.v1 import training_spec_pb2 as pb

TIMES = ("train_seconds", "val_seconds", "images_per_second")


@pytest.mark.slow
def test_a_package_is_the_same_with_everything_measured_and_nothing(
    resolved: Callable[..., pb.TrainingSpec], run_trainer: Callable[..., Any]
) -> None:
    switches = ("sampleImages", "parameterHistograms", "gradientHistograms")
    everything = {**dict.fromkeys(switches, True), "everyEpochs": 1}
    nothing = dict.fromkeys(("tensorboard", "gradientNorms", "unitHealth"), False)
    augmented = {"horizontalFlip": 0.5, "brightness": 0.2}
    made = []

    for diagnostics in (everything, nothing):
        recipe = resolved(
            epochs=3,
            batchSize=16,
            augmentation=augmented,
            network={"batchNorm": True, "dropout": 0.3},
            diagnostics=diagnostics,
        )
        run, result = run_trainer(recipe)
        assert result.outcome == "SUCCEEDED", run.log(1).read_text()
        history = json.loads((run.package / "history.json").read_text())
        for epoch in (*history["epochs"], *(one for each in history["candidates"] for one in each["epochs"])):
            for name in TIMES:
                del epoch[name]
        files = ("model.onnx", "weights.npz", "predictions.npz")
        made.append((history, [hashlib.sha256((run.package / name).read_bytes()).hexdigest() for name in files]))

    assert made[0] == made[1]

"""Every field that a variant can change has its two sentences."""

import re

import pytest

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.spec_fields import FIELDS
from cultivar_service.studies.principles import principle_of, principles

SILENT = ("dataset", "model", "seed", "publish", "test_evaluation", "selection_metric")
"""Fields of the study itself, and the metric that all variants share."""
WITHOUT_EFFECT = ("data.", "ensemble.", "diagnostics.", "scheduling.")
TRAINING_IMAGES = ("data.max_train_images", "data.max_train_images_per_class")


@pytest.mark.parametrize("mode", pb.FineTuningMode.values()[1:])
def test_every_field_that_can_change_has_two_sentences(mode: int) -> None:
    recipe = pb.TrainingSpec(mode=mode)
    for row in FIELDS:
        text = principle_of(row.path, recipe)
        if row.path in SILENT or (row.path.startswith(WITHOUT_EFFECT) and row.path not in TRAINING_IMAGES):
            assert text is None, row.path
        else:
            assert text is not None, row.path
            assert len(re.findall(r"\.(?= |$)", text)) == 2, text


def test_a_group_of_fields_is_told_once() -> None:
    recipe = pb.TrainingSpec(mode=pb.FINE_TUNING_MODE_FULL)

    assert principles(["optimizer.clip_norm", "optimizer.clip_value"], recipe) == principle_of(
        "optimizer.clip_norm", recipe
    )
    assert principles(["mode", "epochs"], recipe).startswith("Mode full starts from pretrained weights")

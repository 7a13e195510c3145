from collections.abc import Callable

import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import execution, finetuning, tuning
from cultivar_trainer.networks.network import Network

Recipe = Callable[..., pb.TrainingSpec]
Random = Callable[[pb.TrainingSpec], Network]
IMAGES = torch.zeros(2, 3, 32, 32)


@pytest.mark.parametrize("mode", ["FULL", "HEAD"])
def test_only_a_backbone_that_learns_is_tried_in_shorter_types(
    network_recipe: Recipe, random_network: Random, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(tuning, "short_type", lambda _: "bfloat16")
    recipe = network_recipe("lenet5", mode)
    network = random_network(recipe)
    finetuning.freeze(network, recipe)

    _, figures = tuning.measured(execution.plan(recipe), network, IMAGES)

    assert "float32 channels_last" in figures
    assert ("bfloat16" in figures) == (mode == "FULL")


def test_the_tables_plan_stays_where_memory_suffices_for_no_trial(
    network_recipe: Recipe, random_network: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks_memory(*_: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tuning, "_images_per_second", lacks_memory)
    recipe = network_recipe("lenet5")
    plan = execution.plan(recipe)

    assert tuning.measured(plan, random_network(recipe), IMAGES)[0] == plan

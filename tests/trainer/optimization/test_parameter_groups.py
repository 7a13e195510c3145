import pytest
import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.optimization.groups import parameter_groups


def named() -> list[tuple[str, nn.Parameter]]:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    return list(model.named_parameters())


def decaying(named: list[tuple[str, nn.Parameter]], spec: pb.OptimizerSpec) -> set[str]:
    ids = {id(one) for group in parameter_groups(named, spec, {}) if group.decays for one in group.parameters}
    return {name for name, one in named if id(one) in ids}


def test_weights_decay_and_biases_and_normalisation_do_not() -> None:
    assert decaying(named(), pb.OptimizerSpec(layer_decay=1)) == {"0.weight", "3.weight"}


def test_factors_of_a_channel_do_not_decay_in_whatever_shape_they_come() -> None:
    shapes = {"layer_scale": (8, 1, 1), "class_token": (1, 1, 8), "pos_embedding": (1, 5, 8), "depthwise": (8, 1, 3, 3)}
    parameters = [(name, nn.Parameter(torch.ones(shape))) for name, shape in shapes.items()]

    assert decaying(parameters, pb.OptimizerSpec(layer_decay=1)) == {"pos_embedding", "depthwise"}


def test_all_decay_where_that_is_asked_for() -> None:
    assert len(decaying(named(), pb.OptimizerSpec(layer_decay=1, decay_all=True))) == 6


def test_each_parameter_is_in_one_group_and_no_group_is_empty() -> None:
    parameters = named()

    groups = parameter_groups(parameters, pb.OptimizerSpec(layer_decay=1), {})

    assert all(group.parameters for group in groups)
    members = [id(one) for group in groups for one in group.parameters]
    assert sorted(members) == sorted(id(one) for _, one in parameters)
    assert [group.is_filter for group in groups] == [True, False, False]


def test_the_learning_rate_shrinks_with_the_distance_from_the_head() -> None:
    depths = {"0.weight": 2, "0.bias": 2, "1.weight": 1, "1.bias": 1, "3.weight": 0, "3.bias": 0}
    parameters = named()

    groups = parameter_groups(parameters, pb.OptimizerSpec(layer_decay=0.5), depths)

    scales = {id(one): group.scale for group in groups for one in group.parameters}
    assert {name: scales[id(one)] for name, one in parameters} == {name: 0.5**depth for name, depth in depths.items()}


def test_training_nothing_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="trains nothing"):
        parameter_groups([], pb.OptimizerSpec(), {})

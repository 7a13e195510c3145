"""Which parameters share a learning rate, decay, and a form that update rules may treat apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from cultivar.v1 import training_spec_pb2 as pb


@dataclass(kw_only=True, slots=True)
class ParameterGroup:
    """Parameters that an update rule treats alike."""

    parameters: list[nn.Parameter]
    decays: bool
    """Whether weight decay and L1 act on them."""
    scale: float
    """Factor of the learning rate."""
    is_filter: bool
    """Whether they are filters of convolutions, (out, in, height, width)."""


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]], spec: pb.OptimizerSpec, depths: Mapping[str, int]
) -> list[ParameterGroup]:
    """Sort parameters that learn into groups; their order is the same in every process.

    Weights decay; biases, normalisation and other factors of one channel each don't, unless `decay_all`. The learning
    rate shrinks by `layer_decay` from each block to the one before it (Howard & Ruder 2018).

    Args:
        named: what learns, by name. Never a frozen parameter: momentum would move it.
        spec: resolved.
        depths: blocks between a parameter and the head, by name; 0 for the head. Names that are not there count as 0.
    """
    groups: dict[tuple[float, bool, bool], ParameterGroup] = {}
    for name, parameter in named:
        scale = spec.layer_decay ** depths.get(name, 0)
        is_filter = parameter.ndim == 4
        decays = spec.decay_all or not _is_vector(parameter)
        group = groups.setdefault(
            (scale, is_filter, decays),
            ParameterGroup(parameters=[], decays=decays, scale=scale, is_filter=is_filter),
        )
        group.parameters.append(parameter)
    assert groups, "an optimiser without parameters trains nothing"
    return list(groups.values())


def _is_vector(parameter: nn.Parameter) -> bool:
    """Tell a vector in any shape: ConvNeXt's layer scale is (C, 1, 1), the class token of a ViT (1, 1, D)."""
    return parameter.ndim <= 1 or parameter.numel() == max(parameter.shape)

"""Update rules, each without its own weight decay: penalties act outside, alike for all rules."""

from collections.abc import Sequence

import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.optimization.groups import ParameterGroup
from cultivar_trainer.optimization.muon import Muon


def build_optimizer(groups: Sequence[ParameterGroup], spec: pb.OptimizerSpec, *, fused: bool) -> torch.optim.Optimizer:
    """Build the update rule; each of its `param_groups` says `scale`, `decays` and `is_filter` as its source does.

    SGD: Sutskever et al. 2013. Adagrad: Duchi et al. 2011. RMSprop: Hinton 2012. Adam: Kingma & Ba 2015. AdamW is Adam
    whose decay `penalties.shrink` makes (Loshchilov & Hutter 2019). Muon: Jordan et al. 2024.

    All but Muon change a parameter by -learning_rate * update, where the update depends on gradients alone.

    Args:
        groups: from `parameter_groups`.
        spec: resolved.
        fused: whether one kernel updates all parameters, where the rule has such a kernel.
    """
    params = [
        {"params": one.parameters, "scale": one.scale, "decays": one.decays, "is_filter": one.is_filter}
        for one in groups
    ]
    optimizer = _build(params, spec, fused)
    set_learning_rate(optimizer, spec.learning_rate, spec)
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float, spec: pb.OptimizerSpec) -> None:
    """Give each group its learning rate.

    Args:
        optimizer: from `build_optimizer`.
        rate: of the head; that of Muon's filters, whose other parameters get the same share of `other_learning_rate`.
        spec: resolved.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
        if spec.kind == pb.OPTIMIZER_KIND_MUON and not group["is_filter"]:
            group["lr"] *= spec.other_learning_rate / spec.learning_rate


def _build(params: list[dict[str, object]], spec: pb.OptimizerSpec, fused: bool) -> torch.optim.Optimizer:
    match spec.kind:
        case pb.OPTIMIZER_KIND_SGD:
            return torch.optim.SGD(
                params, lr=0.0, momentum=spec.momentum, nesterov=spec.nesterov, weight_decay=0.0, fused=fused
            )
        case pb.OPTIMIZER_KIND_ADAGRAD:
            return torch.optim.Adagrad(params, lr=0.0, eps=spec.epsilon, weight_decay=0.0)
        case pb.OPTIMIZER_KIND_RMSPROP:
            return torch.optim.RMSprop(
                params, lr=0.0, alpha=spec.beta2, eps=spec.epsilon, momentum=spec.momentum, weight_decay=0.0
            )
        case pb.OPTIMIZER_KIND_ADAM | pb.OPTIMIZER_KIND_ADAMW:
            return torch.optim.Adam(
                params, lr=0.0, betas=(spec.beta1, spec.beta2), eps=spec.epsilon, weight_decay=0.0, fused=fused
            )
        case pb.OPTIMIZER_KIND_MUON:
            return Muon(params, momentum=spec.momentum, nesterov=spec.nesterov)
    raise AssertionError(f"optimizer.kind {spec.kind} is not resolved")

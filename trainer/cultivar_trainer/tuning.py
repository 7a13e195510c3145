"""A short timed trial of memory formats and product types, for jobs that ask for a measured plan."""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from cultivar_trainer.execution import Plan, autocast, free_memory, layout_of, short_type
from cultivar_trainer.networks.network import Network

_WARM_UPS = 2
_TRIALS = 5


def measured(plan: Plan, network: Network, images: Tensor) -> tuple[Plan, str]:
    """Return the plan under which a training pass is fastest, and the figures.

    A plan of the table stays unless another is faster by more than a twentieth: the clock is noisy.

    Args:
        plan: the table's.
        network: is not changed.
        images: one pass's inputs (N, C, S, S), on the plan's device.
    """
    speeds = {plan: _speed(plan, network, images)}
    for other in _others(plan, backbone_learns=any(one.requires_grad for one in network.backbone.parameters())):
        speeds[other] = _speed(other, network, images)
    fastest = max(speeds, key=lambda one: speeds[one])
    chosen = fastest if speeds[fastest] > 1.05 * speeds[plan] else plan
    figures = ", ".join(f"{one.autocast} {one.memory_format} {speed:.0f} images/s" for one, speed in speeds.items())
    return chosen, figures


def _others(plan: Plan, *, backbone_learns: bool) -> Iterator[Plan]:
    """Yield what else may be tried; the features of a frozen backbone, which may be cached, stay as they are."""
    types = dict.fromkeys(("float32", short_type(torch.device(plan.device))) if backbone_learns else (plan.autocast,))
    for memory_format in ("channels_last", "contiguous"):
        for product_type in types:
            other = replace(plan, memory_format=memory_format, autocast=product_type)
            if other != plan:
                yield other


def _speed(plan: Plan, network: Network, images: Tensor) -> float:
    """Return images per second; 0 where memory does not suffice, which training recovers from by itself."""
    try:
        return _images_per_second(plan, network, images)
    except torch.OutOfMemoryError:
        pass  # gone on outside: the exception holds the frames that hold the tensors
    free_memory()
    return 0.0


def _images_per_second(plan: Plan, network: Network, images: Tensor) -> float:
    """Time forward and backward passes of a copy."""
    device = torch.device(plan.device)
    trial = copy.deepcopy(network).to(memory_format=layout_of(plan))
    inputs = images.contiguous(memory_format=layout_of(plan))
    best = math.inf
    trial.train()
    for number in range(_WARM_UPS + _TRIALS):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        with autocast(plan):
            loss = trial(inputs).float().square().mean()
        loss.backward()
        trial.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= _WARM_UPS:
            best = min(best, time.perf_counter() - started)
    return len(images) / best

"""Checks of optimiser, schedule, selection and execution."""

import re
from itertools import pairwise

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe.facts import Resolution
from cultivar_contract.spec_fields.learning import schedule_epochs

DEVICE = re.compile(r"auto|cpu|cuda:(0|[1-9][0-9]?)")
MAX_CANDIDATES = 256
MAX_HEAD_PARAMETERS = 500_000_000
"""Of all heads of a search together: a bound on what one request can make a host allocate."""
MIN_MEMORY_BYTES = 256 << 20
"""Less holds no network with its gradients."""


def check(resolution: Resolution) -> None:
    """Check how the network learns."""
    recipe = resolution.recipe
    if not DEVICE.fullmatch(recipe.execution.device):
        resolution.violate("execution.device", f"{recipe.execution.device!r} is unknown: use auto, cpu or cuda:N")
    _check_optimizer(resolution)
    _check_schedule(resolution)
    if 0 < recipe.execution.memory_limit_bytes < MIN_MEMORY_BYTES:
        resolution.violate(
            "execution.memory_limit_bytes",
            f"{recipe.execution.memory_limit_bytes} is too little to train in: use {MIN_MEMORY_BYTES} or more",
        )
    if recipe.execution.micro_batch > recipe.batch_size > 0:
        resolution.violate(
            "execution.micro_batch",
            f"{recipe.execution.micro_batch} is more than batch_size {recipe.batch_size}: use less",
        )
    if recipe.execution.feature_views and not _augmented(recipe):
        resolution.violate("execution.feature_views", "needs augmentation, or all views are equal: set some")
    if recipe.execution.feature_views and recipe.execution.feature_cache == pb.FEATURE_CACHE_OFF:
        resolution.violate("execution.feature_views", "contradicts execution.feature_cache off: use auto, or 0 views")


def warn(resolution: Resolution) -> None:
    """Say what a careful reader should know of a recipe."""
    recipe, warnings = resolution.recipe, resolution.warnings
    if recipe.mode == pb.FINE_TUNING_MODE_HEAD and _augmented(recipe) and not recipe.execution.feature_views:
        warnings.append(
            "With augmentation the backbone runs in every epoch: without it, once; with execution.feature_views, once "
            "per view."
        )
    if 0 < recipe.execution.micro_batch < recipe.batch_size:
        warnings.append(
            "Gradient accumulation is exact, but BatchNorm layers that learn take their statistics from "
            f"{recipe.execution.micro_batch} images at a time, not {recipe.batch_size}."
        )


def _check_optimizer(resolution: Resolution) -> None:
    recipe, optimizer = resolution.recipe, resolution.recipe.optimizer
    if optimizer.nesterov and optimizer.momentum == 0:
        resolution.violate("optimizer.nesterov", "needs momentum: set it to false or momentum above 0")
    if optimizer.kind == pb.OPTIMIZER_KIND_MUON and recipe.mode != pb.FINE_TUNING_MODE_SCRATCH:
        resolution.violate("optimizer.kind", "muon needs mode scratch: use sgd or adamw for pretrained weights")
    candidates = max(1, len(optimizer.learning_rates)) * max(1, len(optimizer.weight_decays))
    if candidates > MAX_CANDIDATES:
        resolution.violate(
            "optimizer.learning_rates",
            f"{candidates} pairs of learning rate and weight decay are too many: use at most {MAX_CANDIDATES}",
        )
    hidden = sum(before * after for before, after in pairwise(recipe.network.head_hidden_sizes))
    if recipe.mode == pb.FINE_TUNING_MODE_HEAD and candidates > 1 and candidates * hidden > MAX_HEAD_PARAMETERS:
        resolution.violate(
            "optimizer.learning_rates",
            f"{candidates} heads of {hidden} parameters between their hidden layers, trained at once, are more than "
            f"{MAX_HEAD_PARAMETERS}: use fewer pairs or smaller network.head_hidden_sizes",
        )
    for name in ("learning_rates", "weight_decays"):
        values = list(getattr(optimizer, name))
        if len(set(values)) < len(values):
            resolution.violate(f"optimizer.{name}", "names a value twice: leave one out")


def _check_schedule(resolution: Resolution) -> None:
    recipe, schedule = resolution.recipe, resolution.recipe.schedule
    if recipe.epochs < 1:
        return
    if recipe.mode == pb.FINE_TUNING_MODE_GRADUAL and recipe.gradual.head_epochs >= recipe.epochs:
        resolution.violate(
            "gradual.head_epochs",
            f"{recipe.gradual.head_epochs} leaves none of the {recipe.epochs} epochs for the second phase: use less",
        )
        return
    epochs = schedule_epochs(recipe)
    spans = "epochs" if epochs == recipe.epochs else "epochs of the second phase"
    for name in ("warmup_epochs", "step_epochs", "cycle_epochs"):
        value = getattr(schedule, name)
        if value > epochs:
            resolution.violate(f"schedule.{name}", f"{value:g} is longer than the {epochs} {spans}: use less")
    if schedule.kind == pb.SCHEDULE_KIND_EXPONENTIAL and schedule.final_factor == 0:
        resolution.violate("schedule.final_factor", "0 is never reached by equal factors: use more, such as 0.01")
    milestones = list(schedule.milestones)
    if milestones != sorted(set(milestones)):
        resolution.violate("schedule.milestones", "do not rise: sort them and name each once")
    elif milestones and milestones[-1] >= epochs:
        resolution.violate(
            "schedule.milestones", f"{milestones[-1]} is not before the last of the {epochs} {spans}: use less"
        )


def _augmented(recipe: pb.TrainingSpec) -> bool:
    silent = {"randaugment_magnitude", "mixing_probability"}
    names = [one.name for one in recipe.augmentation.DESCRIPTOR.fields if one.name not in silent]
    return any(getattr(recipe.augmentation, name) for name in names)

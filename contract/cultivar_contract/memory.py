"""How much memory a training job takes at its peak, estimated from the table of architectures."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES, Architecture

CUDA_CONTEXT_BYTES = 500 << 20
"""What a process takes of a GPU's memory before its first tensor."""
PROCESS_BYTES = 700 << 20
"""Resident memory of a trainer that has loaded torch."""
CUDA_PROCESS_BYTES = 3 << 30
"""Resident memory of a trainer that has loaded torch with CUDA's libraries and decodes images."""
EVALUATION_PIXELS = 64 * 224**2
"""Pixels of one channel in a pass of evaluation, as the trainer chooses it."""
RESIDENT_SHARE = 4
"""Data stay on a GPU where they take at most one part in so many of its memory, as the trainer chooses it."""

_FLOAT = 4
"""Bytes of a number in float32."""
_COPIES = 4
"""A parameter that learns, its gradient and two numbers of the optimiser, at most."""
_WORKSPACE = 1.15
"""What libraries take for themselves, and what lies between tensors."""
_LAYERS_AT_ONCE = 0.5
"""Share of a pass's layers whose outputs are there at once where nothing learns, at most (VGG; the others a tenth)."""
_TENSORS_PER_LAYER = 4
"""A layer's output, normalised, activated and dropped out, at most."""
_GRAPH_COPIES = 5
"""A joined graph's weights: as files, as messages, joined, written, and in ONNX Runtime."""
_WIDEST_FEATURES = 4096
"""Numbers that enter the head of AlexNet and VGG; the others' heads take fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryNeed:
    """What a job takes at its peak."""

    gpu_bytes: int
    """Of its GPU; 0 on a CPU."""
    host_bytes: int
    """Of the host."""


def estimate(
    recipe: pb.TrainingSpec, counts: Mapping[str, int], num_classes: int, *, gpu_total_bytes: int
) -> MemoryNeed:
    """Estimate from above: as if products were float32, all blocks learnt and every optimiser kept two numbers.

    Where passes are bfloat16, it is up to twice of what is taken; with LAST_BLOCKS it can be several times.

    Args:
        recipe: resolved.
        counts: images of each split.
        num_classes: that the network tells apart.
        gpu_total_bytes: memory of the host's largest GPU; 0: the job runs on the CPU.
    """
    working = round(_WORKSPACE * (_states(recipe, num_classes) + _passes(recipe, counts)))
    if not gpu_total_bytes:
        return MemoryNeed(gpu_bytes=0, host_bytes=PROCESS_BYTES + working)
    gpu_bytes = CUDA_CONTEXT_BYTES + working + _resident(recipe, counts, gpu_total_bytes)
    if recipe.execution.memory_limit_bytes:
        gpu_bytes = min(gpu_bytes, CUDA_CONTEXT_BYTES + recipe.execution.memory_limit_bytes)
    return MemoryNeed(gpu_bytes=gpu_bytes, host_bytes=CUDA_PROCESS_BYTES)


def estimate_combination(recipe: pb.TrainingSpec, parameters: int, *, gpu_total_bytes: int) -> MemoryNeed:
    """Estimate from above what making one model of several takes.

    Args:
        recipe: resolved; of the largest member.
        parameters: of all members together.
        gpu_total_bytes: memory of the host's largest GPU; 0: the job runs on the CPU.
    """
    per_pass = max(1, min(64, EVALUATION_PIXELS // recipe.input.size**2))
    passes = round(_LAYERS_AT_ONCE * per_pass * activation_bytes(recipe))
    host_bytes = round(_WORKSPACE * (_GRAPH_COPIES * _FLOAT * parameters + passes))
    if not gpu_total_bytes:
        return MemoryNeed(gpu_bytes=0, host_bytes=PROCESS_BYTES + host_bytes)
    gpu_bytes = CUDA_CONTEXT_BYTES + round(_WORKSPACE * (_FLOAT * parameters + passes))
    if recipe.execution.memory_limit_bytes:
        gpu_bytes = min(gpu_bytes, CUDA_CONTEXT_BYTES + recipe.execution.memory_limit_bytes)
    return MemoryNeed(gpu_bytes=gpu_bytes, host_bytes=CUDA_PROCESS_BYTES + host_bytes)


def activation_bytes(recipe: pb.TrainingSpec) -> int:
    """Return what the backward pass needs of the forward pass of one image, in float32.

    Args:
        recipe: resolved.
    """
    architecture, spec, size = ARCHITECTURES[recipe.architecture], recipe.network, recipe.input.size
    if _is_configurable(architecture):
        numbers, side = recipe.input.channels * size**2 + _TENSORS_PER_LAYER * sum(spec.hidden_sizes), size
        for channels in spec.conv_channels:
            side = max(0, side + 2 * spec.padding - spec.kernel_size + 1)
            numbers += _TENSORS_PER_LAYER * channels * side**2
            side //= 2
        return _FLOAT * numbers
    # The other stem's convolution and pooling shrink both sides to a quarter.
    shrinks = 4 if spec.stem == pb.STEM_CIFAR else 1
    return round(architecture.activation_megabytes * 1e6 * (shrinks * size / architecture.default_input_size) ** 2)


def parameter_count(recipe: pb.TrainingSpec, num_classes: int) -> int:
    """Return how many parameters the network has, at most; biases, a hundredth of them, are left out.

    Args:
        recipe: resolved.
        num_classes: that it tells apart.
    """
    architecture, spec = ARCHITECTURES[recipe.architecture], recipe.network
    if not _is_configurable(architecture):
        return architecture.parameters + _head_count(recipe, num_classes)
    layers = [architecture.flat_features(recipe), *spec.hidden_sizes, *spec.head_hidden_sizes, num_classes]
    filters = _products([recipe.input.channels, *spec.conv_channels]) * spec.kernel_size**2
    return filters + _products(layers)


def _states(recipe: pb.TrainingSpec, num_classes: int) -> int:
    """Return the bytes of weights, gradients, the optimiser and the weights' average."""
    total = parameter_count(recipe, num_classes)
    learning = total
    if _backbone_rests(recipe):
        candidates = max(1, len(recipe.optimizer.learning_rates)) * max(1, len(recipe.optimizer.weight_decays))
        learning = candidates * _head_count(recipe, num_classes)
    average = total if recipe.optimizer.ema_share else 0
    return _FLOAT * (total + average + (_COPIES - 1) * learning)


def _passes(recipe: pb.TrainingSpec, counts: Mapping[str, int]) -> int:
    """Return the bytes of what the largest pass keeps: one that trains, or one that only answers."""
    per_image = activation_bytes(recipe)
    in_update = recipe.batch_size or counts.get("train", 0)
    in_pass = min(recipe.execution.micro_batch or in_update, in_update)
    kept = _LAYERS_AT_ONCE if _backbone_rests(recipe) else 1.0
    in_evaluation = max(1, min(64, EVALUATION_PIXELS // recipe.input.size**2))
    return round(per_image * max(kept * in_pass, _LAYERS_AT_ONCE * in_evaluation))


def _resident(recipe: pb.TrainingSpec, counts: Mapping[str, int], gpu_total_bytes: int) -> int:
    """Return the bytes of pixels and features that can stay on the GPU."""
    sizes = [counts.get(split, 0) * recipe.input.size**2 * recipe.input.channels for split in ("train", "val")]
    if _backbone_rests(recipe) or recipe.mode == pb.FINE_TUNING_MODE_GRADUAL:
        views = max(1, recipe.execution.feature_views)
        per_image = _FLOAT * _WIDEST_FEATURES
        sizes += [views * counts.get("train", 0) * per_image, counts.get("val", 0) * per_image]
    return sum(size for size in sizes if size * RESIDENT_SHARE <= gpu_total_bytes)


def _backbone_rests(recipe: pb.TrainingSpec) -> bool:
    return recipe.mode == pb.FINE_TUNING_MODE_HEAD and not recipe.trainable


def _head_count(recipe: pb.TrainingSpec, num_classes: int) -> int:
    return _products([_WIDEST_FEATURES, *recipe.network.head_hidden_sizes, num_classes])


def _products(widths: list[int]) -> int:
    return sum(before * after for before, after in pairwise(widths))


def _is_configurable(architecture: Architecture) -> bool:
    """Tell whether a recipe names the widths of all layers."""
    return "hidden_sizes" in architecture.family.configurable

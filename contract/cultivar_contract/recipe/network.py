"""Checks of the network: its shape, its weights, what of it learns."""

from fnmatch import fnmatchcase
from itertools import pairwise

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES, Architecture
from cultivar_contract.names import is_file_name
from cultivar_contract.recipe.facts import Facts, NetworkFacts, Resolution, SourceFacts
from cultivar_contract.spec_fields import FIELDS, enum_value_name

MAX_PARAMETERS = 500_000_000
"""Of the layers that one field makes: a bound on what one request can make a host allocate."""

_SHAPE = ("network.", "retain_blocks", "input.channels")
"""Fields that weights fix."""
_FREE = ("network.head_", "network.dropout", "network.batch_norm_", "network.zero_init_residual")
"""Those among them that a job may choose anew."""
_KEPT = ("network.batch_norm_",)
"""Those of these that stay unless it does: a frozen BatchNorm shall answer as it did."""


def inherit(resolution: Resolution, source: SourceFacts | None) -> None:
    """Take over the shape of the network that weights of a model version fit."""
    if source is None:
        return
    recipe = resolution.recipe
    recipe.weights = source.name
    if recipe.architecture != source.recipe.architecture:
        resolution.violate(
            "weights",
            f"{source.name} is a {source.recipe.architecture}, not a {recipe.architecture}: "
            f"use architecture {source.recipe.architecture}",
        )
        return
    for row in FIELDS:
        free = row.path.startswith(_FREE)
        kept = not free or row.path.startswith(_KEPT)
        if not row.path.startswith(_SHAPE) or not kept or not row.is_set(source.recipe):
            continue
        theirs = row.get(source.recipe)
        if row.path == "retain_blocks" and theirs == 0:
            continue  # a whole network can be cut
        if not row.is_set(recipe):
            row.set(recipe, theirs)
        elif not free and row.get(recipe) != theirs:
            resolution.violate(row.path, f"does not fit {source.name}, which has {_shown(theirs)}: leave it out")
    size = source.recipe.input.size
    if not recipe.input.HasField("size"):
        recipe.input.size = size
    elif recipe.input.size != size and "hidden_sizes" in ARCHITECTURES[recipe.architecture].family.configurable:
        # No pooling to one size comes before their fully connected layers.
        resolution.violate("input.size", f"does not fit {source.name}, which has {size}: leave it out")


def check(resolution: Resolution, architecture: Architecture) -> None:
    """Check the network's shape against its architecture."""
    recipe = resolution.recipe
    _check_input(resolution, architecture)
    stem = recipe.network.stem
    if stem == pb.STEM_CIFAR and "CIFAR" not in architecture.stems:
        able = ", ".join(sorted(name for name, one in ARCHITECTURES.items() if "CIFAR" in one.stems))
        resolution.violate("network.stem", f"cifar does not fit {architecture.name}: use {able}")
    elif stem == pb.STEM_CIFAR and recipe.weights in architecture.weights:
        resolution.violate("network.stem", "cifar has no such pretrained weights: use mode scratch")
    elif stem == pb.STEM_IMAGENET and not architecture.stems:
        resolution.violate("network.stem", f"{architecture.name} has one stem: leave the field out")
    _check_widths(resolution, architecture)


def check_weights(resolution: Resolution, architecture: Architecture, facts: Facts) -> None:
    """Check that weights are named where the mode needs them, and are there."""
    recipe = resolution.recipe
    members = ", ".join(sorted(architecture.weights))
    remedy = f"use {members or 'mode scratch'}, the name of a file in the service's weights folder or a model version"
    if recipe.mode == pb.FINE_TUNING_MODE_SCRATCH:
        if recipe.weights:
            resolution.violate("weights", f"{recipe.weights!r} contradicts mode scratch: leave it out")
        return
    if recipe.mode not in pb.FineTuningMode.values() or not recipe.mode:
        return  # the mode itself is refused
    if not recipe.weights:
        mode = enum_value_name(pb.TrainingSpec.DESCRIPTOR.fields_by_name["mode"], recipe.mode)
        resolution.violate("weights", f"is required by mode {mode}: {remedy}")
    elif facts.source is None and recipe.weights not in architecture.weights:
        if not is_file_name(recipe.weights):
            resolution.violate("weights", f"{recipe.weights!r} is no bare file name: {remedy}")
        elif recipe.weights not in facts.weight_files:
            resolution.violate("weights", f"{recipe.weights!r} is unknown: {remedy}")
    if facts.source is None and recipe.weights and recipe.input.channels == 1:
        resolution.violate(
            "input.channels", f"1 is for mode scratch and models trained so, not for {recipe.weights!r}: leave it out"
        )


def check_built(resolution: Resolution, facts: NetworkFacts | None) -> None:
    """Check what only the built network tells."""
    if facts is None:
        return
    recipe = resolution.recipe
    for path in ("last_blocks", "retain_blocks"):
        asked = getattr(recipe, path)
        if asked > facts.block_count:
            resolution.violate(
                path,
                f"{asked} is more than the {facts.block_count} blocks of {recipe.architecture}: use that or less",
            )
    for pattern in recipe.trainable:
        if not any(fnmatchcase(name, pattern) for name in facts.parameter_names):
            some = ", ".join(facts.parameter_names[-4:])
            resolution.violate("trainable", f"{pattern!r} matches no parameter: use names such as {some}")
    alone = 1 in (recipe.batch_size, recipe.execution.micro_batch)  # batch_size 0 is all images
    if recipe.HasField("batch_size") and alone and facts.learning_batch_norms:
        path = "batch_size" if recipe.batch_size == 1 else "execution.micro_batch"
        resolution.violate(
            path,
            f"1 gives the BatchNorm layer {facts.learning_batch_norms[0]}, which learns, nothing to average: use 2 or "
            "more, or a mode that freezes it",
        )


def _check_widths(resolution: Resolution, architecture: Architecture) -> None:
    """Check that the layers which lists of widths make can be allocated."""
    recipe, spec = resolution.recipe, resolution.recipe.network
    widths = {"head_hidden_sizes": list(spec.head_hidden_sizes)}
    if spec.hidden_sizes and "hidden_sizes" in architecture.family.configurable:
        widths["hidden_sizes"] = [architecture.flat_features(recipe), *spec.hidden_sizes]
    if spec.conv_channels and "conv_channels" in architecture.family.configurable:
        widths["conv_channels"] = [recipe.input.channels, *spec.conv_channels]
    for name, sizes in widths.items():
        places = spec.kernel_size**2 if name == "conv_channels" else 1
        weights = places * sum(before * after for before, after in pairwise(sizes))
        if weights > MAX_PARAMETERS:
            also = " or a smaller input.size" if name == "hidden_sizes" else ""
            resolution.violate(
                f"network.{name}",
                f"{weights} weights, from {' to '.join(str(size) for size in sizes[:4])}"
                f"{' ...' if len(sizes) > 4 else ''}, are more than {MAX_PARAMETERS}: use smaller layers{also}",
            )


def _check_input(resolution: Resolution, architecture: Architecture) -> None:
    recipe = resolution.recipe
    size, smallest = recipe.input.size, architecture.smallest_input(recipe.network)
    if 1 <= size < smallest:
        default = architecture.default_input_size
        other = f", or leave it out for {default}" if default > smallest else ""
        resolution.violate(
            "input.size",
            f"{size} is below the {smallest} px that {architecture.name} needs: use {smallest} or more{other}",
        )
    if architecture.family.fixed_input and size > smallest:
        resolution.violate(
            "input.size", f"{size} does not fit {architecture.name}, which takes {smallest} px alone: leave it out"
        )
    if recipe.input.channels == 2:
        resolution.violate("input.channels", "2 is no number of colour channels: use 3 (RGB) or 1 (grey)")


def _shown(value: object) -> str:
    return value if isinstance(value, str) else str(value)

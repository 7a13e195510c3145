"""Blocks: a backbone's modules in the order in which they run, in groups that freeze, learn and are cut off together.

Where blocks begin is one pattern per family (`Family.block`), except where a match has no weights but those of a
normalisation. What comes before the first match is a block of its own, the stem; every other module belongs to the
block before it, and a dropout to the block that it feeds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn
from torchvision.ops.misc import Permute

from cultivar_contract.architectures import Family
from cultivar_trainer.networks.network import Network

_BETWEEN = (nn.AdaptiveAvgPool2d, nn.Flatten, Permute, nn.Identity)
"""Layers without weights that any features may pass on their way to the head: they belong to no block."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Modules of a backbone that belong together."""

    name: str
    """Path of its module, or of the first of its modules."""
    modules: dict[str, nn.Module] = field(default_factory=dict)
    """By path, in the order in which they run; with all inside them."""
    parameters: list[str] = field(default_factory=list)
    """Names of its parameters, among them those that no module of its own holds, such as a class token."""


def blocks(network: Network) -> list[Block]:
    """Return a network's blocks from the input on; its head and auxiliary heads are in none."""
    return split(network.backbone, network.family)


def split(backbone: nn.Module, family: Family) -> list[Block]:
    """Return the blocks of a backbone whose head was taken off."""
    found: list[Block] = []
    parameters: list[str] = []  # that come before any module
    dropouts: dict[str, nn.Module] = {}  # that wait for what they feed
    for name, part in _parts(backbone, re.compile(family.block), tuple(family.auxiliary_heads), ""):
        if isinstance(part, nn.Parameter):
            (found[-1].parameters if found else parameters).append(name)
        elif isinstance(part, nn.Dropout):
            dropouts[name] = part
        elif not isinstance(part, _BETWEEN):
            if not found or (found[-1].parameters and _begins(name, part, family)):
                found.append(Block(name=name))
            found[-1].modules.update({**dropouts, name: part})
            found[-1].parameters.extend((*parameters, *(f"{name}.{one}" for one, _ in part.named_parameters())))
            parameters, dropouts = [], {}
    found[-1].modules.update(dropouts)
    return found


def cut(backbone: nn.Module, family: Family, keep: int) -> tuple[str, ...]:
    """Replace all blocks after the first `keep` by nothing; return the paths of what was replaced."""
    paths = tuple(path for block in split(backbone, family)[keep:] for path in block.modules)
    for path in paths:
        backbone.set_submodule(path, nn.Identity())
    return paths


def _parts(
    module: nn.Module, pattern: re.Pattern[str], without: tuple[str, ...], prefix: str
) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """Yield modules that match whole, other leaves, and the parameters of what contains both."""
    yield from ((prefix + name, one) for name, one in module.named_parameters(recurse=False))
    for name, child in module.named_children():
        path = prefix + name
        if path in without:
            continue
        if pattern.fullmatch(path) or not any(True for _ in child.children()):
            yield path, child
        else:
            yield from _parts(child, pattern, without, f"{path}.")


def _begins(name: str, module: nn.Module, family: Family) -> bool:
    return bool(re.fullmatch(family.block, name)) and any(one.ndim > 1 for one in module.parameters())

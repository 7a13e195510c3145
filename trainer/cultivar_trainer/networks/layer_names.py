"""Which modules of a network are its layers, and what people call them."""

from torch import nn
from torchvision.models.swin_transformer import ShiftedWindowAttention

from cultivar_trainer.networks.network import Network

WHOLE = (nn.MultiheadAttention, ShiftedWindowAttention)
"""Modules that use their parts' weights without calling the parts: each counts as one layer."""


def named_layers(network: Network) -> dict[str, nn.Module]:
    """Return a network's layers by the original network's names."""
    found = {}
    for part, original in ((network.backbone, str), (network.head, network.original_name)):
        for name, module in part.named_modules():
            if is_layer(module) and not is_inside_layer(part, name):
                found[original(name)] = module
    return found


def is_layer(module: nn.Module) -> bool:
    """Tell whether a module counts as a layer."""
    leaf = not list(module.children()) and not isinstance(module, nn.Identity | nn.Sequential)
    return leaf or isinstance(module, WHOLE)


def is_inside_layer(root: nn.Module, name: str) -> bool:
    """Tell whether a module, by its path, is part of a layer."""
    parents = [name[:position] for position, character in enumerate(name) if character == "."]
    return any(isinstance(root.get_submodule(parent), WHOLE) for parent in parents)

"""The fine-tuning modes: which weights learn, and the proof that the others did not move."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.networks.blocks import blocks
from cultivar_trainer.networks.network import Network


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeCertificate:
    """What every frozen tensor held at one moment."""

    tensors: dict[str, str]
    """sha256 of each frozen parameter and buffer, by name."""

    @property
    def digest(self) -> str:
        """sha256 over all of them; of nothing where all learn."""
        return hashlib.sha256("".join(f"{name} {one}\n" for name, one in self.tensors.items()).encode()).hexdigest()


def freeze(network: Network, recipe: pb.TrainingSpec, *, head_only: bool = False) -> None:
    """Make only what the recipe trains learn, and keep the rest in evaluation mode; the last call holds.

    SCRATCH, FULL and GRADUAL train everything, HEAD the head, LAST_BLOCKS the head and the last blocks; `trainable`
    names parameters instead, beside the head. A part none of whose weights learn is frozen whole, with its BatchNorm
    and its dropout.

    Args:
        network: any, frozen before or not.
        recipe: resolved.
        head_only: whether the head learns alone whatever the recipe says: GRADUAL's first phase.

    Raises:
        TaskFailed: TOO_FEW_BLOCKS, or UNKNOWN_PARAMETERS where a pattern matches none.
    """
    learning = _learning(network, recipe, head_only=head_only)
    for name, parameter in network.original_parameters().items():
        parameter.requires_grad_(name in learning)
    network.frozen = tuple(_frozen_modules(network))
    network.train()


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that learn."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def depths(network: Network) -> dict[str, int]:
    """Return how many blocks before the head each parameter lies, by original name; 0 for the head.

    Auxiliary heads count as heads. Learning rates that shrink with depth: Howard & Ruder 2018, section 3.2.
    """
    found = dict.fromkeys(network.original_parameters(), 0)
    for depth, block in enumerate(reversed(blocks(network)), start=1):
        found |= dict.fromkeys(block.parameters, depth)
    return found


def learning_batch_norms(network: Network) -> list[str]:
    """Return the original names of the BatchNorm layers that learn, which need two images or more per pass."""
    frozen = {id(inner) for module in network.frozen for inner in module.modules()}
    return [
        name
        for name, module in network.backbone.named_modules()
        if isinstance(module, _BatchNorm) and id(module) not in frozen
    ]


def frozen_tensors(network: Network) -> dict[str, Tensor]:
    """Return the parameters that don't learn and the buffers of frozen modules, by name."""
    frozen: dict[str, Tensor] = {
        name: tensor for name, tensor in network.named_parameters() if not tensor.requires_grad
    }
    names = {id(module): name for name, module in network.named_modules()}
    for module in network.frozen:
        frozen |= {f"{names[id(module)]}.{name}": tensor for name, tensor in module.named_buffers()}
    return frozen


def freeze_certificate(network: Network) -> FreezeCertificate:
    """Return the digests of every frozen parameter and buffer."""
    return FreezeCertificate(
        tensors={
            name: hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
            for name, tensor in sorted(frozen_tensors(network).items())
        }
    )


def freeze_digest(network: Network) -> str:
    """Return the sha256 over every frozen parameter and buffer; of nothing where all learn."""
    return freeze_certificate(network).digest


def check_frozen(network: Network, before: FreezeCertificate) -> str:
    """Compare with the certificate taken before training; return its digest.

    Raises:
        TaskFailed: FROZEN_WEIGHTS_CHANGED.
    """
    after = freeze_certificate(network)
    changed = [name for name, _ in sorted(before.tensors.items() ^ after.tensors.items())]
    if changed:
        raise TaskFailed(
            "FROZEN_WEIGHTS_CHANGED",
            f"the frozen tensor {changed[0]} changed during training (sha256 over all {before.digest[:12]} before, "
            f"{after.digest[:12]} after): this is a defect of the trainer, please report it",
        )
    return after.digest


def _learning(network: Network, recipe: pb.TrainingSpec, *, head_only: bool) -> set[str]:
    """Return the original names of the parameters that learn."""
    names = set(network.original_parameters())
    head = {name for name in names if network.in_head(name)}
    if head_only:
        return head
    if recipe.trainable:
        return head.union(*(_matching(names, pattern) for pattern in recipe.trainable))
    if recipe.mode == pb.FINE_TUNING_MODE_HEAD:
        return head
    if recipe.mode == pb.FINE_TUNING_MODE_LAST_BLOCKS:
        found = blocks(network)
        if recipe.last_blocks > len(found):
            raise TaskFailed(
                "TOO_FEW_BLOCKS",
                f"last_blocks {recipe.last_blocks} is more than the {len(found)} blocks of {recipe.architecture}: "
                "use that or less",
            )
        return head.union(*(block.parameters for block in found[len(found) - recipe.last_blocks :]))
    return names


def _matching(names: set[str], pattern: str) -> set[str]:
    found = {name for name in names if fnmatchcase(name, pattern)}
    if not found:
        raise TaskFailed(
            "UNKNOWN_PARAMETERS",
            f"trainable {pattern!r} matches no parameter of the network: use names such as {min(names)}",
        )
    return found


def _frozen_modules(network: Network) -> Iterator[nn.Module]:
    if not trainable_parameters(network.backbone):
        yield network.backbone
        return
    parameters = network.original_parameters()
    for block in blocks(network):
        learns = any(parameters[name].requires_grad for name in block.parameters)
        for module in block.modules.values():
            yield from _frozen_inside(module) if learns else (module,)


def _frozen_inside(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the largest parts none of whose weights learn; a part without weights does as what it is in."""
    own = [parameter.requires_grad for parameter in module.parameters()]
    if own and not any(own):
        yield module
    elif own:
        for child in module.children():
            yield from _frozen_inside(child)

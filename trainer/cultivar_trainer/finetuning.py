"""The fine-tuning modes: which weights learn, and the proof that the others did not move."""

import hashlib

from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.networks.network import Network


def freeze(network: Network, mode: pb.FineTuningMode) -> None:
    """Make only what the mode trains learn, and keep the rest in evaluation mode.

    SCRATCH and FULL train everything; HEAD trains the head alone.
    """
    if mode == pb.FINE_TUNING_MODE_HEAD:
        network.backbone.requires_grad_(False)
        # BatchNorm and dropout of a frozen backbone stay in evaluation mode: requires_grad alone would not stop them.
        network.frozen = (network.backbone,)
    network.train()


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that learn."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def frozen_tensors(network: Network) -> dict[str, Tensor]:
    """Return the parameters that don't learn and the buffers of frozen modules, by name."""
    frozen: dict[str, Tensor] = {
        name: tensor for name, tensor in network.named_parameters() if not tensor.requires_grad
    }
    for module in network.frozen:
        prefix = next(name for name, one in network.named_modules() if one is module)
        frozen |= {f"{prefix}.{name}": tensor for name, tensor in module.named_buffers()}
    return frozen


def freeze_digest(network: Network) -> str:
    """Return the sha256 over every frozen parameter and buffer; of nothing where all learn."""
    digest = hashlib.sha256()
    for name, tensor in sorted(frozen_tensors(network).items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_frozen(network: Network, before: str) -> str:
    """Compare with the digest taken before training; return it.

    Raises:
        TaskFailed: FROZEN_WEIGHTS_CHANGED.
    """
    after = freeze_digest(network)
    if after != before:
        raise TaskFailed(
            "FROZEN_WEIGHTS_CHANGED",
            f"a frozen parameter or buffer changed during training (sha256 {before[:12]} before, {after[:12]} after): "
            "this is a defect of the trainer, please report it",
        )
    return after

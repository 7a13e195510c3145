"""One shape for every network: normalisation, backbone, head."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from cultivar_contract.architectures import Family


class Network(nn.Module):
    """A classifier whose head can be trained, replaced and fed with cached features by itself.

    Parameters keep the names of the network that it was made of (`named_tensors`), so that weights travel.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        family: Family,
        *,
        input_size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self._family = family
        self.input_size = input_size
        whole = model.get_submodule(family.head)
        self.head = whole[family.head_start :] if isinstance(whole, nn.Sequential) else whole
        self.feature_shape = _input_shape(
            model, self.head[0] if isinstance(self.head, nn.Sequential) else self.head, input_size
        )
        """Shape of the head's input for one image."""
        rest = whole[: family.head_start] if isinstance(whole, nn.Sequential) else nn.Identity()
        model.set_submodule(family.head, rest)
        self.backbone = model
        self.frozen: tuple[nn.Module, ...] = ()
        """Modules that stay in evaluation mode whatever `train` asks for."""
        self.auxiliary_logits: tuple[tuple[float, Tensor], ...] = ()
        """Logits of auxiliary heads in the last forward pass, with the weights of their losses; empty in evaluation."""
        self.register_buffer("mean", torch.tensor(mean)[None, :, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[None, :, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, S, S), 0 to 1, to logits (N, K)."""
        return self.classify(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, 3, S, S), 0 to 1, to flat features (N, F)."""
        output = self.backbone((images - self.mean) / self.std)
        self.auxiliary_logits = ()
        if isinstance(output, tuple):  # GoogLeNet's and Inception's named tuples, in training mode
            self.auxiliary_logits = tuple(
                (weight, logits)
                for weight, logits in zip(self._family.auxiliary_heads.values(), output[1:], strict=True)
                if logits is not None
            )
            output = output[0]
        return torch.flatten(output, 1)

    def classify(self, features: Tensor) -> Tensor:
        """Map flat features (N, F) to logits (N, K)."""
        logits: Tensor = self.head(features.reshape(-1, *self.feature_shape))
        return torch.flatten(logits, 1)

    def train(self, mode: bool = True) -> "Network":
        """Set training mode; frozen modules stay in evaluation mode, or BatchNorm would move their statistics."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield parameters and buffers under the original network's names."""
        yield from self.backbone.state_dict(keep_vars=True).items()
        for name, tensor in self.head.state_dict(keep_vars=True).items():
            yield self.original_name(name), tensor

    def original_name(self, name: str) -> str:
        """Return what a module or tensor of the head is called in the original network."""
        return f"{self._family.head}.{name}".rstrip(".")  # a part of a sequence keeps its layers' numbers

    def in_head(self, name: str) -> bool:
        """Tell whether an original name is of the head."""
        head, _, rest = name.partition(f"{self._family.head}.")
        if head or not rest:
            return False
        return not isinstance(self.head, nn.Sequential) or int(rest.partition(".")[0]) >= self._family.head_start

    def in_auxiliary_head(self, name: str) -> bool:
        """Tell whether an original name is of a head that only training uses."""
        return any(name.startswith(f"{path}.") for path in self._family.auxiliary_heads)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Copy values into parameters and buffers, by the original network's names.

        Raises:
            KeyError: one is missing.
        """
        with torch.no_grad():
            for name, tensor in self.named_tensors():
                tensor.copy_(tensors[name])


def _input_shape(model: nn.Module, head: nn.Module, input_size: int) -> tuple[int, ...]:
    shapes: list[torch.Size] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape[1:]))
    was_training = model.training
    model.eval()  # a dry run must not move BatchNorm's statistics
    with torch.no_grad():
        model(torch.zeros(1, 3, input_size, input_size, device=next(model.parameters()).device))
    model.train(was_training)
    handle.remove()
    return tuple(shapes[0])

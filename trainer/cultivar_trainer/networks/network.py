"""One shape for every network: normalisation, backbone, head."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from cultivar_contract.architectures import Family
from cultivar_trainer.networks.heads import Head


class Network(nn.Module):
    """A classifier whose head can be trained, replaced and fed with cached features by itself.

    Parameters keep the names of the network that it was made of (`named_tensors`), so that weights travel: a head's
    last layer keeps its own, such as `fc` or `classifier.6`, and hidden layers before it are `fc.hidden.0.linear` and
    so on.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        family: Family,
        *,
        input_size: int,
        feature_shape: tuple[int, ...],
        mean: Sequence[float],
        std: Sequence[float],
        cut: Sequence[str] = (),
    ) -> None:
        """Put a network together.

        Args:
            backbone: maps normalised images to features; a module that does nothing is where its head was.
            head: maps features, in their own shape, to logits.
            family: the architecture's.
            input_size: height and width of images in pixels.
            feature_shape: shape of the head's input for one image.
            mean: subtracted from each channel, which is 0 to 1; as many as there are channels.
            std: divides each channel after that.
            cut: paths of modules that were cut off the backbone.
        """
        super().__init__()
        self.family = family
        self.input_size = input_size
        self.channels = len(mean)
        self.feature_shape = feature_shape
        self.backbone = backbone
        self.head = head
        self.frozen: tuple[nn.Module, ...] = ()
        """Modules that stay in evaluation mode whatever `train` asks for."""
        self.auxiliary_logits: tuple[tuple[float, Tensor], ...] = ()
        """Logits of auxiliary heads in the last forward pass, with the weights of their losses; empty in evaluation."""
        self._cut = tuple(cut)
        self.register_buffer("mean", torch.tensor(mean)[None, :, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[None, :, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, S, S), 0 to 1, to logits (N, K)."""
        return self.classify(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Map images (N, C, S, S), 0 to 1, to flat features (N, F)."""
        output = self.backbone((images - self.mean) / self.std)
        self.auxiliary_logits = ()
        if isinstance(output, tuple):  # GoogLeNet's and Inception's named tuples, in training mode
            self.auxiliary_logits = tuple(
                (weight, logits)
                for weight, logits in zip(self.family.auxiliary_heads.values(), output[1:], strict=True)
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

    def original_parameters(self) -> dict[str, nn.Parameter]:
        """Return parameters by the original network's names."""
        return {name: tensor for name, tensor in self.named_tensors() if isinstance(tensor, nn.Parameter)}

    def original_name(self, name: str) -> str:
        """Return what a module or tensor of the head is called in the original network."""
        first, _, rest = name.partition(".")
        return ".".join(part for part in (self.family.head, "" if first == "output" else first, rest) if part)

    def in_head(self, name: str) -> bool:
        """Tell whether an original name is of the head."""
        return name.startswith(f"{self.family.head}.")

    def in_auxiliary_head(self, name: str) -> bool:
        """Tell whether an original name is of a head that only training uses."""
        return any(name.startswith(f"{path}.") for path in self.family.auxiliary_heads)

    def in_cut(self, name: str) -> bool:
        """Tell whether an original name is of a block that was cut off."""
        return any(name.startswith(f"{path}.") for path in self._cut)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Copy values into parameters and buffers, by the original network's names.

        Raises:
            KeyError: one is missing.
        """
        with torch.no_grad():
            for name, tensor in self.named_tensors():
                tensor.copy_(tensors[name])

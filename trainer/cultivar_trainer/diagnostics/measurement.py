"""One look at a network on fixed images: gradients and units, with all that training goes on from left untouched."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.diagnostics.units import UnitHealth, UnitWatch
from cultivar_trainer.losses import loss_terms


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is looked at: a network, or a head on cached features."""

    forward: Callable[[Tensor], Tensor]
    """Maps inputs to logits (N, K); eager, as compiled code runs no hooks."""
    modules: Sequence[tuple[str, nn.Module]]
    """All modules with their original names, in the order in which they were made."""
    parameters: Mapping[str, nn.Parameter]
    """Those that learn, by their original names, from the input on."""
    frozen: Sequence[nn.Module] = ()
    """Modules that are in evaluation mode while the rest learns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What one look has shown."""

    gradients: Mapping[str, Tensor]
    """Of the mean loss, by parameter; those that the loss does not depend on are missing."""
    units: Sequence[UnitHealth]
    """Of each layer of ReLU, sigmoid or tanh that learning weights feed."""


@dataclass(frozen=True, slots=True)
class LayerGradient:
    """How large a layer's gradient is."""

    norm: float
    """Euclidean; infinite where it is no finite number."""
    count: int
    """Of its numbers."""

    @property
    def scale(self) -> float:
        """Root mean square, which layers of any size can be compared by."""
        return self.norm / math.sqrt(self.count)


def measure(
    subject: Subject,
    inputs: Callable[[Tensor], Tensor],
    labels: Tensor,
    *,
    loss: pb.LossSpec,
    class_weights: Tensor | None,
    batch_size: int,
    gradients: bool,
    units: bool,
) -> Measurement:
    """Look at a network as it learns: BatchNorm that learns takes each pass's statistics, dropout is off; float32.

    Weights, buffers, gradients, modes and torch's generators are afterwards what they were.

    Args:
        subject: what to look at.
        inputs: returns the network's inputs by their positions among `labels`, int64 (B,) on the CPU.
        labels: int64 (N,), of all images to look at, on the device.
        loss: what training minimises, penalties left out.
        class_weights: (K,).
        batch_size: images per pass; no pass has one image alone, unless there is but one.
        gradients: whether to find them.
        units: whether to watch those.

    Raises:
        torch.OutOfMemoryError, MemoryError, RuntimeError: memory does not suffice.
    """
    passes = torch.arange(len(labels)).tensor_split(_pass_count(len(labels), batch_size))
    parameters = dict(subject.parameters)
    found: dict[str, Tensor] = {}
    watch = UnitWatch(subject.modules if units else ())
    with _undisturbed(subject, labels.device, batch_statistics=len(passes[0]) > 1), watch:
        total = None
        for positions in passes:
            watch.begin_pass()
            targets = labels[positions.to(labels.device)]
            logits = subject.forward(inputs(positions)).float()
            if not gradients:
                continue
            terms, _ = loss_terms(logits, targets, loss, class_weights)
            if total is None:
                total = _total_weight(labels, loss, class_weights, logits.shape[1])
            part = torch.autograd.grad(terms.sum() / total, list(parameters.values()), allow_unused=True)
            for name, one in zip(parameters, part, strict=True):
                if one is not None:
                    found[name] = found[name] + one if name in found else one
    return Measurement(gradients=found, units=watch.health())


def uniform_loss(loss: pb.LossSpec, labels: Tensor, class_weights: Tensor | None, num_classes: int) -> float:
    """Return the mean loss of answers that favour no class: ln K for cross-entropy."""
    logits = torch.zeros(len(labels), num_classes, device=labels.device)
    terms, weights = loss_terms(logits, labels, loss, class_weights)
    return float(terms.sum() / weights.sum())


def gradient_norms(gradients: Mapping[str, Tensor]) -> dict[str, LayerGradient]:
    """Return how large each layer's gradient is, weights and bias together, from the input on.

    Layers are those with a weight of two dimensions or more: what a normalisation scales is no layer of its own.
    """
    layers: dict[str, list[Tensor]] = {}
    for name, one in gradients.items():
        layers.setdefault(name.rpartition(".")[0], []).append(one)
    weighted = {layer: parts for layer, parts in layers.items() if any(one.ndim > 1 for one in parts)}
    if not weighted:
        return {}
    norms = torch.stack(
        [torch.stack([one.detach().double().norm() for one in parts]).norm() for parts in weighted.values()]
    )
    values = norms.cpu().tolist()  # one wait for a GPU, not one for each layer
    return {
        layer: LayerGradient(norm if math.isfinite(norm) else math.inf, sum(one.numel() for one in parts))
        for (layer, parts), norm in zip(weighted.items(), values, strict=True)
    }


def _pass_count(images: int, batch_size: int) -> int:
    return max(1, min(math.ceil(images / batch_size), images // 2))


def _total_weight(labels: Tensor, loss: pb.LossSpec, class_weights: Tensor | None, num_classes: int) -> Tensor:
    _, weights = loss_terms(torch.zeros(len(labels), num_classes, device=labels.device), labels, loss, class_weights)
    return weights.sum()


@contextmanager
def _undisturbed(subject: Subject, device: torch.device, *, batch_statistics: bool) -> Iterator[None]:
    """Put modules into the modes of a look, and back."""
    modules = [module for _, module in subject.modules]
    frozen = {id(inner) for module in subject.frozen for inner in module.modules()}
    with ExitStack() as undo:
        undo.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        for module in modules:
            undo.callback(setattr, module, "training", module.training)
            module.training = False
            if isinstance(module, _BatchNorm) and id(module) not in frozen and batch_statistics:
                # In evaluation mode without statistics of its own, BatchNorm takes the batch's and moves none.
                undo.callback(setattr, module, "running_mean", module.running_mean)
                undo.callback(setattr, module, "running_var", module.running_var)
                module.running_mean = module.running_var = None
        undo.enter_context(torch.enable_grad())
        yield

"""Batches on the device: stored pixels, augmented or not, or cached features."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation import geometry
from cultivar_trainer.augmentation.pipeline import augment
from cultivar_trainer.datasets.stores import AspectStore, PixelStore
from cultivar_trainer.evaluation import evaluation_batch
from cultivar_trainer.randomness import Draw

FEATURE_BATCH = 64
"""Rows of features per evaluation of a head."""
CACHED_BYTES = 1 << 21
"""Size of the float images that a CPU augments at a time: what its caches hold, as memory is slower than arithmetic."""
RESIDENT_SHARE = 0.25
"""Share of a GPU's free memory that pixels, or features, may take to live there for the whole job."""


class TrainingData(Protocol):
    """Training samples that a loop can ask for."""

    labels: Tensor
    """int64 (N,), on the device."""

    def inputs(self, indices: Tensor, epoch: int) -> Tensor:
        """Return the inputs of samples as an epoch (0 for the first) sees them; indices int64 (B,), on the CPU."""
        ...


class ValidationData(Protocol):
    """Samples that are judged, each once."""

    labels: Tensor
    """int64 (N,), on the device."""

    def inputs(self, indices: Tensor, epoch: int = 0) -> Tensor:
        """Return the inputs of some samples, the same in every epoch; indices int64 (B,), on the CPU."""
        ...

    def in_order(self, batch_size: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and labels, at most so many at a time; 0: as many as the kind of input allows."""
        ...


@dataclass(kw_only=True)
class PlainPixels:
    """Pixels as the network sees them, without augmentation; also a validation or test split."""

    images: Tensor
    """uint8 (N, S, S, C)."""
    labels: Tensor
    device: torch.device
    memory_format: torch.memory_format

    def inputs(self, indices: Tensor, epoch: int = 0) -> Tensor:
        """Return images (B, C, S, S), 0 to 1."""
        return to_float(self.images[indices.to(self.images.device)].to(self.device), self.memory_format)

    def in_order(self, batch_size: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once with its label."""
        batch_size = batch_size or evaluation_batch(self.images.shape[1])
        for start in range(0, len(self.labels), batch_size):
            indices = torch.arange(start, min(start + batch_size, len(self.labels)))
            yield self.inputs(indices), self.labels[start : start + batch_size]


@dataclass(kw_only=True)
class AugmentedPixels:
    """Pixels changed at random, per sample and epoch, on the device."""

    plain: PlainPixels
    aspect: AspectStore | None
    """The source of resized crops; None where they are off."""
    labels: Tensor
    spec: pb.AugmentationSpec
    seed: int
    size: int
    positions: Tensor | None = None
    """Places of the images in the training split, which decide what is drawn, int64 (N,) on the CPU. None: all of the
    split is here, in its order."""

    def inputs(self, indices: Tensor, epoch: int) -> Tensor:
        """Return augmented images (B, C, S, S), 0 to 1."""
        channels = self.plain.images.shape[3]
        shape = (len(indices), channels, self.size, self.size)
        out = torch.empty(shape, device=self.plain.device, memory_format=self.plain.memory_format)
        at_a_time = len(indices)
        if out.device.type == "cpu":
            at_a_time = max(1, CACHED_BYTES // (4 * channels * self.size**2))
        # No image depends on its neighbours, so parts give what the whole would.
        for part in torch.split(torch.arange(len(indices)), at_a_time):
            out[part[0] : part[-1] + 1] = self._changed(indices[part], epoch)
        return out

    def _changed(self, indices: Tensor, epoch: int) -> Tensor:
        device = self.plain.device
        positions = indices if self.positions is None else self.positions[indices]
        draw = Draw(self.seed, epoch, positions.to(device), on_host=positions)
        if self.aspect is not None:
            images = self._resized_crops(self.aspect, indices, draw)
        else:
            stored = self.plain.images[indices.to(self.plain.images.device)].to(device)
            images = to_float(stored, torch.contiguous_format)
        return augment(images, self.spec, draw)

    def in_order(self, epoch: int, batch_size: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once with its label, as an epoch sees it."""
        batch_size = batch_size or evaluation_batch(self.size)
        for start in range(0, len(self.labels), batch_size):
            indices = torch.arange(start, min(start + batch_size, len(self.labels)))
            yield self.inputs(indices, epoch), self.labels[start : start + batch_size]

    def _resized_crops(self, aspect: AspectStore, indices: Tensor, draw: Draw) -> Tensor:
        rows = indices.tolist()
        shapes = torch.from_numpy(aspect.shapes[rows]).to(torch.float32)
        boxes = geometry.crop_boxes(shapes[:, 0], shapes[:, 1], self.spec.resized_crop, draw.host())
        images = [torch.from_numpy(aspect.image(row)) for row in rows]
        return geometry.cut_boxes(images, boxes, self.size, self.plain.device)


@dataclass(kw_only=True)
class CachedFeatures:
    """Features of a frozen backbone, computed once, of one view of each image or of several."""

    features: Tensor
    """float32 (N, F), or (V, N, F) of several views, with which epochs take turns."""
    labels: Tensor
    device: torch.device

    def inputs(self, indices: Tensor, epoch: int = 0) -> Tensor:
        """Return features (B, F) of the epoch's view."""
        return self._view(epoch)[indices.to(self.features.device)].to(self.device)

    def in_order(self, batch_size: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every sample's first view once with its label; rows are small, so that batches need no limit."""
        for start in range(0, len(self.labels), FEATURE_BATCH):
            rows = self._view(0)[start : start + FEATURE_BATCH].to(self.device)
            yield rows, self.labels[start : start + FEATURE_BATCH]

    def _view(self, epoch: int) -> Tensor:
        return self.features if self.features.ndim == 2 else self.features[epoch % len(self.features)]


def plain_pixels(
    store: PixelStore,
    labels: list[int],
    device: torch.device,
    memory_format: torch.memory_format,
    memory_limit_bytes: int = 0,
) -> PlainPixels:
    """Put a store on the device where there is room for it; else batches travel one by one."""
    return PlainPixels(
        images=resident(torch.from_numpy(store.images), device, memory_limit_bytes),
        labels=torch.tensor(labels, dtype=torch.int64, device=device),
        device=device,
        memory_format=memory_format,
    )


def resident(rows: Tensor, device: torch.device, memory_limit_bytes: int = 0) -> Tensor:
    """Return rows on a GPU where they fit in a quarter of the memory that is free and allowed; else where they are.

    Args:
        rows: on the CPU.
        device: that of the job.
        memory_limit_bytes: what the job may use of the GPU's memory; 0: all that is free.
    """
    if device.type != "cuda":
        return rows
    room = torch.cuda.mem_get_info(device)[0]
    if memory_limit_bytes:
        room = min(room, memory_limit_bytes)
    return rows.to(device) if rows.nbytes <= RESIDENT_SHARE * room else rows


def to_float(images: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Turn uint8 (N, H, W, C) into float32 (N, C, H, W), 0 to 1."""
    return (images.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=memory_format)

"""Batches on the device: stored pixels, augmented or not, or cached features."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation import color, geometry
from cultivar_trainer.datasets.stores import AspectStore, PixelStore
from cultivar_trainer.evaluation import evaluation_batch
from cultivar_trainer.randomness import Draw

FEATURE_BATCH = 64
"""Rows of features per evaluation of a head."""
RESIDENT_SHARE = 0.25
"""Share of a GPU's free memory that pixels may take to live there for the whole job."""


class TrainingData(Protocol):
    """Training samples that a loop can ask for."""

    labels: Tensor
    """int64 (N,), on the device."""

    def inputs(self, indices: Tensor, epoch: int) -> Tensor:
        """Return the inputs of samples as an epoch (0 for the first) sees them; indices int64 (B,), on the CPU."""
        ...


@dataclass(kw_only=True)
class PlainPixels:
    """Pixels as the network sees them, without augmentation; also a validation or test split."""

    images: Tensor
    """uint8 (N, S, S, 3)."""
    labels: Tensor
    device: torch.device
    memory_format: torch.memory_format

    def inputs(self, indices: Tensor, epoch: int = 0) -> Tensor:
        """Return images (B, 3, S, S), 0 to 1."""
        return to_float(self.images[indices.to(self.images.device)].to(self.device), self.memory_format)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once with its label."""
        batch_size = evaluation_batch(self.images.shape[1])
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

    def inputs(self, indices: Tensor, epoch: int) -> Tensor:
        """Return augmented images (B, 3, S, S), 0 to 1."""
        device = self.plain.device
        draw = Draw(self.seed, epoch, indices.to(device))
        if self.aspect is not None:
            images = self._resized_crops(self.aspect, indices, draw)
        else:
            images = self.plain.inputs(indices)
        if self.spec.padded_crop:
            images = geometry.padded_crop(images, self.spec.padded_crop, draw)
        if self.spec.horizontal_flip:
            images = geometry.horizontal_flip(images, self.spec.horizontal_flip, draw)
        images = color.color_jitter(
            images,
            brightness=self.spec.brightness,
            contrast=self.spec.contrast,
            saturation=self.spec.saturation,
            hue=self.spec.hue,
            draw=draw,
        )
        return images.contiguous(memory_format=self.plain.memory_format)

    def _resized_crops(self, aspect: AspectStore, indices: Tensor, draw: Draw) -> Tensor:
        device = self.plain.device
        rows = indices.tolist()
        shapes = torch.from_numpy(aspect.shapes[rows]).to(device, torch.float32)
        boxes = geometry.crop_boxes(shapes[:, 0], shapes[:, 1], self.spec.resized_crop, draw)
        images = [torch.from_numpy(np.array(aspect.image(row))).to(device) for row in rows]
        return geometry.cut_boxes(images, boxes, self.size)


@dataclass(kw_only=True)
class CachedFeatures:
    """Features of a frozen backbone, computed once."""

    features: Tensor
    """float32 (N, F)."""
    labels: Tensor
    device: torch.device

    def inputs(self, indices: Tensor, epoch: int = 0) -> Tensor:
        """Return features (B, F)."""
        return self.features[indices.to(self.features.device)].to(self.device)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every sample once with its label."""
        for start in range(0, len(self.labels), FEATURE_BATCH):
            rows = self.features[start : start + FEATURE_BATCH].to(self.device)
            yield rows, self.labels[start : start + FEATURE_BATCH]


def plain_pixels(
    store: PixelStore, labels: list[int], device: torch.device, memory_format: torch.memory_format
) -> PlainPixels:
    """Put a store on the device where it fits in a quarter of the free memory; else batches travel one by one."""
    images = torch.from_numpy(store.images)
    if device.type == "cuda" and store.images.nbytes <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        images = images.to(device)
    return PlainPixels(
        images=images,
        labels=torch.tensor(labels, dtype=torch.int64, device=device),
        device=device,
        memory_format=memory_format,
    )


def is_augmented(spec: pb.AugmentationSpec) -> bool:
    """Tell whether any augmentation is on."""
    return any(getattr(spec, field.name) for field in spec.DESCRIPTOR.fields)


def to_float(images: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Turn uint8 (N, H, W, 3) into float32 (N, 3, H, W), 0 to 1."""
    return (images.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=memory_format)

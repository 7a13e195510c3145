"""Mixing of the images and targets of one batch: mixup and cutmix."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.randomness import Draw, Stream, uniform


def is_mixed(spec: pb.AugmentationSpec) -> bool:
    """Tell whether batches are mixed."""
    return (spec.mixup > 0 or spec.cutmix > 0) and spec.mixing_probability > 0


def mix(
    images: Tensor, targets: Tensor, num_classes: int, spec: pb.AugmentationSpec, *, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Mix each image of a batch with the one before it; the first with the last.

    A batch is a random draw of images already, so its neighbours are random partners, and none is its own. As in both
    papers one lambda holds for the whole batch; it depends on (seed, step) alone. The whole batch of an update goes in,
    before it is cut into micro-batches.

    Args:
        images: float32 (N, C, H, W).
        targets: classes, int64 (N,).
        num_classes: K.
        spec: with both mixup and cutmix each batch gets one of them, with equal chances.
        seed: the job's.
        step: of the update, 0 for the first.

    Returns:
        Images and soft targets, float32 (N, K), whose rows sum to 1; one-hot where the batch is not mixed. Label
        smoothing is the loss's, afterwards.
    """
    hot = F.one_hot(targets, num_classes).to(torch.float32)
    # Steps take the place of epochs and one sample stands for the batch.
    draws = uniform(Draw(seed, step, torch.zeros(1, dtype=torch.int64)), Stream.MIXING, 5)[0].tolist()
    whether, which, share, *centre = draws
    if len(images) < 2 or whether >= spec.mixing_probability:
        return images, hot
    if spec.cutmix and (not spec.mixup or which < 0.5):
        images, own = _cutmix(images, _beta(spec.cutmix, share), centre[0], centre[1])
    else:
        own = _beta(spec.mixup, share)
        images = own * images + (1 - own) * _partners(images)
    return images, own * hot + (1 - own) * _partners(hot)


def _cutmix(images: Tensor, own: float, y: float, x: float) -> tuple[Tensor, float]:
    """Take a box of about 1 - own of the area from each partner; return the share that is really left.

    The box has the image's aspect ratio and a uniform centre; what sticks out is cut off (Yun et al. 2019).
    """
    height, width = images.shape[2:]
    half_height, half_width = (int(length * (1 - own) ** 0.5) // 2 for length in (height, width))
    middle = int(y * height), int(x * width)
    top, bottom = max(0, middle[0] - half_height), min(height, middle[0] + half_height)
    left, right = max(0, middle[1] - half_width), min(width, middle[1] + half_width)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = _partners(images[:, :, top:bottom, left:right])
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _partners(rows: Tensor) -> Tensor:
    return rows.roll(1, dims=0)


def _beta(alpha: float, share: float) -> float:
    """Return the number that a Beta(alpha, alpha) variable is below with probability `share`."""
    from scipy.special import betaincinv  # imported where used: most jobs mix nothing

    return float(betaincinv(alpha, alpha, share))

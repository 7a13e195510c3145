"""Random numbers that are a function of (seed, epoch, sample index, stream): the same on every device and restart.

DROPOUT and INITIALISATION only seed torch's own generator, whose numbers differ between CPU and GPU.

SplitMix64 (Steele, Lea & Flood 2014) over a counter; torch's 64-bit integers wrap around as its arithmetic needs.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import torch
from torch import Tensor

_GAMMA = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """What a draw is for: draws of different streams are independent. Never renumber: recipes would draw otherwise."""

    ORDER = 1
    DROPOUT = 2
    HORIZONTAL_FLIP = 3
    PADDED_CROP = 4
    RESIZED_CROP = 5
    COLOR_JITTER = 6
    INITIALISATION = 7
    VERTICAL_FLIP = 8
    ALTERNATING_FLIP = 9
    AFFINE = 10
    CHANNEL_SHIFT = 11
    COLOR_TEMPERATURE = 12
    NOISE_STRENGTH = 13
    NOISE = 14
    BLUR = 15
    ERASING = 16
    ERASED_PIXELS = 17
    RANDAUGMENT = 18
    TRIVIAL_AUGMENT = 19
    MIXING = 20
    NORMALISATION = 21
    DIAGNOSTICS = 22


@dataclass(frozen=True, slots=True)
class Draw:
    """Which samples draw, in which epoch of which job."""

    seed: int
    """The job's."""
    epoch: int
    """0 for the first."""
    indices: Tensor
    """Positions of samples in the training split, int64 (N,), on the device that the numbers are for."""
    on_host: Tensor | None = None
    """The same on the CPU, where the caller has them: asking a GPU for them would wait for it."""

    def host(self) -> "Draw":
        """Return the draw whose numbers come on the CPU, for choices that Python makes."""
        return Draw(self.seed, self.epoch, self.indices.cpu() if self.on_host is None else self.on_host)

    def take(self, rows: Tensor) -> "Draw":
        """Return the draw of some of the samples; rows int64 (M,), on the indices' device."""
        return Draw(self.seed, self.epoch, self.indices[rows])


def uniform(draw: Draw, stream: Stream, count: int = 1) -> Tensor:
    """Return `count` numbers in [0, 1) for each sample: float32 (N, count), on the indices' device.

    `count` is at most 1024; `lanes` has as many as an image has pixels.
    """
    key = _signed(scalar(draw.seed, draw.epoch, stream))
    lane = torch.arange(count, device=draw.indices.device, dtype=torch.int64)
    counter = draw.indices[:, None] * 1024 + lane  # (N, count)
    mixed = _mix(_mix(counter * _GAMMA + key) + key)
    return (_shift(mixed, 40)).to(torch.float32) * 2.0**-24  # the upper 24 bits fill a float32's mantissa


def lanes(draw: Draw, stream: Stream, count: int) -> Tensor:
    """Return `count` numbers of 16 bits for each sample: int64 (N, count), 0 to 65535, on the indices' device.

    Each sample's own hash starts a SplitMix64 sequence, and each of its 64-bit numbers fills four lanes: a sample has
    as many lanes as asked for, and the first ones do not depend on how many follow.
    """
    key = _signed(scalar(draw.seed, draw.epoch, stream))
    starts = _mix(_mix(draw.indices * _GAMMA + key) + key)  # (N,)
    words = starts[:, None] + torch.arange((count + 3) // 4, device=starts.device) * _GAMMA
    # In place: a whole batch's pixels are many numbers.
    words.bitwise_xor_(_shift(words, 30)).mul_(_MIX_1)
    words.bitwise_xor_(_shift(words, 27)).mul_(_MIX_2)
    words.bitwise_xor_(_shift(words, 31))
    quarters: Tensor = words.view(torch.int16)
    return quarters[:, :count].to(torch.int64) & 0xFFFF


def normal(draw: Draw, stream: Stream, count: int) -> Tensor:
    """Return `count` normally distributed numbers for each sample: float32 (N, count), on the indices' device.

    The inverse of the normal distribution at 65536 equally likely quantiles, with variance 1; the largest is 4.3. A
    table gives the same bits on every device, which the logarithm and cosine of Box and Muller would not.
    """
    ranks = lanes(draw, stream, count)
    return _normal_quantiles(ranks.device).index_select(0, ranks.flatten()).reshape(ranks.shape)


def permutation(seed: int, epoch: int, count: int, stream: Stream = Stream.ORDER) -> Tensor:
    """Return the order in which an epoch visits its samples: int64 (count,), on the CPU."""
    key = _signed(scalar(seed, epoch, stream))
    ranks = _mix(_mix(torch.arange(count, dtype=torch.int64) * _GAMMA + key) + key)
    return torch.argsort(ranks, stable=True)


def scalar(seed: int, epoch: int, stream: int) -> int:
    """Return one 64-bit number, 0 to 2**64 - 1, for a (seed, epoch, stream)."""
    value = 0
    for part in (seed, epoch, int(stream)):
        value = (value + (part & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        value ^= value >> 31
    return value


@cache
def _normal_quantiles(device: torch.device) -> Tensor:
    quantiles: Tensor = torch.special.ndtri((torch.arange(1 << 16, dtype=torch.float64) + 0.5) / (1 << 16))
    return (quantiles / quantiles.square().mean().sqrt()).to(torch.float32).to(device)


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)) * _MIX_1
    value = (value ^ _shift(value, 27)) * _MIX_2
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    """Shift right without copying the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value

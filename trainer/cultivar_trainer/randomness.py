"""Random numbers that are a function of (seed, epoch, sample index, stream): the same on every device and restart.

DROPOUT and INITIALISATION only seed torch's own generator, whose numbers differ between CPU and GPU.

SplitMix64 (Steele, Lea & Flood 2014) over a counter; torch's 64-bit integers wrap around as its arithmetic needs.
"""

from dataclasses import dataclass
from enum import IntEnum

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


@dataclass(frozen=True, slots=True)
class Draw:
    """Which samples draw, in which epoch of which job."""

    seed: int
    """The job's."""
    epoch: int
    """0 for the first."""
    indices: Tensor
    """Positions of samples in the training split, int64 (N,), on the device that the numbers are for."""


def uniform(draw: Draw, stream: Stream, count: int = 1) -> Tensor:
    """Return `count` numbers in [0, 1) for each sample: float32 (N, count), on the indices' device."""
    key = _signed(scalar(draw.seed, draw.epoch, stream))
    lane = torch.arange(count, device=draw.indices.device, dtype=torch.int64)
    counter = draw.indices[:, None] * 1024 + lane  # (N, count)
    mixed = _mix(_mix(counter * _GAMMA + key) + key)
    return (_shift(mixed, 40)).to(torch.float32) * 2.0**-24  # the upper 24 bits fill a float32's mantissa


def permutation(seed: int, epoch: int, count: int) -> Tensor:
    """Return the order in which an epoch visits its samples: int64 (count,), on the CPU."""
    key = _signed(scalar(seed, epoch, Stream.ORDER))
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


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)) * _MIX_1
    value = (value ^ _shift(value, 27)) * _MIX_2
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    """Shift right without copying the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value

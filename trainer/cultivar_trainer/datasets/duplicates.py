"""Which images are one picture: equal files, and pictures that are equal but for encoding, size or small changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cultivar_trainer.datasets.fingerprints import THUMBNAIL_SIDE
from cultivar_trainer.datasets.inspection import ImageFacts

MAX_DISTANCE = 6
"""Bits of the hash in which near copies differ at most."""
MIN_CORRELATION = 0.95
"""Of the thumbnails of near copies. Of the pairs that reach it in CIFAR-10 all that were looked at are one picture."""
MIN_CONTRAST = 2.0
"""Standard deviation of a thumbnail, in levels, below which a picture has nothing to be known by."""
_BANDS = MAX_DISTANCE + 1
"""Of two hashes that differ in fewer bits than there are bands, one band at least is the same."""
_BAND_BITS = 64 // _BANDS
_MAX_COMPARISONS = 100_000_000
"""Of hashes: some five seconds, thrice as many as the 60,000 images of CIFAR-10 take."""
_MAX_CHECKS = 5_000_000
"""Of thumbnails: some fifteen seconds."""
_CHUNK = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """Which images are one picture."""

    exact: NDArray[np.int64]
    """(N,): equal numbers where files are equal."""
    near: NDArray[np.int64]
    """(N,): equal numbers where pictures look alike, directly or by way of others; equal files always do."""
    is_complete: bool
    """False where there were too many like hashes to compare each with all of them, rather than with the nearest."""


def find_copies(images: Sequence[ImageFacts]) -> Copies:
    """Compare all images with each other, in a time that grows little faster than their number.

    Hashes are sorted once by each band of their bits and compared with those that follow while the band is the same:
    Manku et al., Detecting Near-Duplicates for Web Crawling (2007). Whose hashes are close is compared by thumbnail.
    """
    first: dict[str, int] = {}
    exact = np.array([first.setdefault(one.sha256, position) for position, one in enumerate(images)], np.int64)
    thumbnails = _thumbnails(images)
    usable = np.flatnonzero((exact == np.arange(len(images))) & (_contrast(thumbnails) >= MIN_CONTRAST))
    bits = np.array([images[position].fingerprint.bits for position in usable.tolist()], np.uint64)
    groups, is_complete = _alike(bits, thumbnails[usable])
    near = exact.copy()
    near[usable] = usable[groups]
    return Copies(exact=exact, near=near[exact], is_complete=is_complete)


def _alike(bits: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.int64], bool]:
    """Return for each picture the position of the first that looks like it, and whether all were compared."""
    groups = np.arange(len(bits))
    checks, is_complete = 0, True
    for band in range(_BANDS):
        turn = np.uint64(band * _BAND_BITS)
        turned = (bits << turn) | (bits >> (np.uint64(64) - turn)) if band else bits
        order = np.argsort(turned, kind="stable")
        ordered = turned[order]
        keys = ordered >> np.uint64(64 - _BAND_BITS)
        followers = np.searchsorted(keys, keys, side="right") - np.arange(len(keys)) - 1
        places, step, comparisons = np.flatnonzero(followers), 1, 0
        while len(places):
            comparisons += len(places)
            if comparisons > _MAX_COMPARISONS // _BANDS or checks > _MAX_CHECKS:
                is_complete = False
                break
            close = places[np.bitwise_count(ordered[places] ^ ordered[places + step]) <= MAX_DISTANCE]
            pairs = np.stack((order[close], order[close + step]))
            pairs = pairs[:, groups[pairs[0]] != groups[pairs[1]]]
            checks += pairs.shape[1]
            pairs = pairs[:, _correlation(thumbnails, pairs) >= MIN_CORRELATION]
            if pairs.shape[1]:
                groups = _joined(groups, pairs)
            step += 1
            places = places[followers[places] >= step]
    return groups, is_complete


def _joined(groups: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join the groups of both pictures of each pair; a group is called by its first picture."""
    one, other = groups[pairs]
    names = np.arange(len(groups))
    while True:
        former, latter = np.minimum(names[one], names[other]), np.maximum(names[one], names[other])
        if np.array_equal(former, latter):
            return names[groups]
        np.minimum.at(names, latter, former)
        while not np.array_equal(names, names[names]):  # a group that took a name may have lost its own
            names = names[names]


def _thumbnails(images: Sequence[ImageFacts]) -> NDArray[np.uint8]:
    joined = b"".join(one.fingerprint.thumbnail for one in images)
    return np.frombuffer(joined, np.uint8).reshape(len(images), THUMBNAIL_SIDE**2, 3)


def _contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    parts = [_centred(thumbnails[start : start + _CHUNK]) for start in range(0, len(thumbnails), _CHUNK)]
    return np.concatenate([np.sqrt(np.square(part).mean((1, 2))) for part in parts] or [np.zeros(0, np.float32)])


def _correlation(thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    found = [np.zeros(0, np.float32)]
    for start in range(0, pairs.shape[1], _CHUNK):
        one, other = (_centred(thumbnails[side]) for side in pairs[:, start : start + _CHUNK])
        product = (one * other).sum((1, 2))
        found.append(product / np.sqrt(np.square(one).sum((1, 2)) * np.square(other).sum((1, 2))))
    return np.concatenate(found)


def _centred(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return thumbnails without the mean of each channel: two pictures of a blue sky are not one."""
    values = thumbnails.astype(np.float32)
    centred: NDArray[np.float32] = values - values.mean(1, keepdims=True)
    return centred

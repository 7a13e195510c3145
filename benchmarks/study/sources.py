"""Lays out the study's images as folders, unpacked from the archives, drawn by a fixed seed."""

import random
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

SPLITS = ("train", "val", "test")
_SEED = 20261122
FLOWER_ARCHIVES = ("flowers-train.tar", "flowers-val.tar")
CIFAR_TRAIN, CIFAR_TEST = "cifar10-train.tar.gz", "cifar10-test.tar.gz"
CATS_AND_DOGS = ("cat", "dog")

Members = dict[str, list[tuple[str, str]]]
"""By class: archive and path of each image."""
Draw = dict[tuple[str, str], str]
"""Where an image goes, as SPLIT/CLASS/NAME, by its archive and path."""


def lay_out(archives: Path, folder: Path, *, species: int, flowers: tuple[int, int] | None) -> None:
    """Write folders `flowers`, `cifar10` (5,000 / 5,000 / 5,000 images) and `cat-dog` (500 of each class and split).

    Folders that are there stay as they are.

    Args:
        archives: holds the archives of flowers and CIFAR-10.
        folder: gets the folders.
        species: how many of the flowers' species, those with the most images first; 0: all.
        flowers: images of each species for training, and for each of validation and test; None: three fifths and one
            fifth of what there is.

    Raises:
        OSError: an archive is missing or can't be read.
        ValueError: a species has fewer images than asked for.
    """
    if not (folder / "flowers").exists():
        members = _members(archives, FLOWER_ARCHIVES)
        by_count = sorted(members, key=lambda one: (-len(members[one]), one))
        kept = {one: members[one] for one in by_count[: species or None]}
        _unpack(archives, folder / "flowers", draw_flowers(kept, flowers))
    if not (folder / "cifar10").exists():
        train, test = _members(archives, [CIFAR_TRAIN]), _members(archives, [CIFAR_TEST])
        _unpack(archives, folder / "cifar10", _draw_cifar(train, test))
    if not (folder / "cat-dog").exists():
        for split in SPLITS:
            for animal in CATS_AND_DOGS:
                shutil.copytree(folder / "cifar10" / split / animal, folder / "cat-dog" / split / animal)


def draw_flowers(members: Members, counts: tuple[int, int] | None) -> Draw:
    """Choose images of each species: a shuffled list's first for training, then validation, then test.

    Raises:
        ValueError: a species has too few.
    """
    draw: Draw = {}
    for species, images in sorted(members.items()):
        train, held_out = counts or (len(images) - 2 * (len(images) // 5), len(images) // 5)
        if train + 2 * held_out > len(images):
            raise ValueError(f"species {species} has {len(images)} images, {train} + 2 x {held_out} are wanted")
        draw |= _split(species, images, train, held_out, held_out)
    return draw


def _draw_cifar(train: Members, test: Members) -> Draw:
    draw: Draw = {}
    for name in sorted(train):
        draw |= _split(name, train[name], 500, 500, 0)
        draw |= _split(name, test[name], 0, 0, 500)
    return draw


def _split(name: str, images: list[tuple[str, str]], *counts: int) -> Draw:
    shuffled = sorted(images)
    random.Random(f"{_SEED} {name}").shuffle(shuffled)
    places = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    return {
        image: f"{split}/{name}/{PurePosixPath(image[1]).name}" for image, split in zip(shuffled, places, strict=False)
    }


def _members(archives: Path, names: Iterable[str]) -> Members:
    found: Members = defaultdict(list)
    for archive in names:
        with tarfile.open(archives / archive) as file:
            for member in file:
                if member.isfile() and member.name.endswith(".jpg"):
                    found[PurePosixPath(member.name).parts[-2]].append((archive, member.name))
    return dict(found)


def _unpack(archives: Path, folder: Path, draw: Draw) -> None:
    """Write the drawn images; the folder appears when it is complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for archive in sorted({archive for archive, _ in draw}):
        with tarfile.open(archives / archive) as file:
            for member in file:
                place = draw.get((archive, member.name))
                content = file.extractfile(member) if place else None
                if place and content:
                    target = partial / place
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read())
    partial.rename(folder)

"""Which split each image of a source belongs to: as the source says, drawn, or one fold of several."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets.draws import draw_fraction, draw_limited, shuffled
from cultivar_trainer.datasets.duplicates import Copies
from cultivar_trainer.datasets.sources import Source
from cultivar_trainer.datasets.version import SPLITS
from cultivar_trainer.errors import TaskFailed

HELD_OUT_FRACTION = 0.1
"""Share of each class that goes into a validation or test split that the source does not bring."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Splitting:
    """How splits come about."""

    seed: int = 0
    held_out_fraction: float | None = None
    """Share of each class that goes into a split that is drawn; None: as many images as the source says, or a tenth."""
    folds: int = 0
    """0: none."""
    fold: int = 1
    """Which fold is the validation split, 1 to `folds`."""
    drop_leaks: dataset_pb2.LeakPolicy = dataset_pb2.LEAK_POLICY_NONE
    """Which training images are left out because validation or test have them too."""

    @classmethod
    def of(cls, source: dataset_pb2.DatasetSource) -> "Splitting":
        """Read what a request says; what it does not say has its default."""
        return cls(
            seed=source.split_seed,
            held_out_fraction=source.held_out_fraction if source.HasField("held_out_fraction") else None,
            folds=source.folds,
            fold=source.fold if source.HasField("fold") else 1,
            drop_leaks=source.drop_leaks,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """The readable images of a source; each field has an entry for each."""

    labels: Sequence[int]
    splits: Sequence[str]
    """What the source says; empty where it says nothing."""
    digests: Sequence[str]
    """sha256 of the encoded bytes."""
    copies: Copies


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """Which image is in which split."""

    splits: list[str]
    """Of each image; empty where it is left out."""
    protocol: str
    """How that came about."""
    dropped: int
    """Images left out."""


def divide(source: Source, pictures: Pictures, splitting: Splitting) -> Division:
    """Give each image its split; copies of one picture are drawn into one.

    Raises:
        TaskFailed: TOO_FEW_IMAGES or EMPTY_CLASS.
    """
    if splitting.folds:
        splits, drawn = _fold(source, pictures, splitting)
    else:
        splits, drawn = _held_out(source, pictures, splitting)
    dropped = _leaks(splits, pictures.copies, splitting.drop_leaks)
    for position in dropped:
        splits[position] = ""
    _check_classes(source, pictures.labels, splits)
    kind = "exact" if splitting.drop_leaks == dataset_pb2.LEAK_POLICY_EXACT else "exact and near"
    left_out = f"{len(dropped)} left out of train: {kind} copies of val or test" if dropped else ""
    steps = (_given(source, pictures), drawn, left_out)
    return Division(splits=splits, protocol="; ".join(step for step in steps if step), dropped=len(dropped))


def _given(source: Source, pictures: Pictures) -> str:
    """Name the source's own splits: `official 1020/1020/6149`, `as given train+val 800/200`."""
    if not source.splits:
        return ""
    counts = Counter(pictures.splits)
    given = [split for split in SPLITS if split in source.splits]
    which = "" if len(given) == len(SPLITS) else f"{'+'.join(given)} "
    return f"{source.protocol} {which}{'/'.join(str(counts[split]) for split in given)}"


def _held_out(source: Source, pictures: Pictures, splitting: Splitting) -> tuple[list[str], str]:
    """Draw the splits that the source does not bring from its training images."""
    given = set(source.splits)
    missing = [split for split in ("val", "test") if split not in given]
    splits = [split or "train" for split in pictures.splits]
    if given == {"train", "val"} or not missing:
        return splits, ""
    pool = [position for position, split in enumerate(splits) if split == "train"]
    total = source.validation_images if splitting.held_out_fraction is None else 0
    # Of a fixed number of images none may come along because it looks like another.
    units = _units(pool, pictures, parts=1 + len(missing), near=not total)
    _check_enough(source, units, ("train", *missing))
    fraction = splitting.held_out_fraction or HELD_OUT_FRACTION
    for number, split in enumerate(missing):
        left = [unit for unit in units if splits[unit.images[0]] == "train"]
        keys, labels = [unit.key for unit in left], [unit.label for unit in left]
        # Without the second draw's own seed it would take the images next in the first draw's order.
        seed = splitting.seed + 1_000_003 * number
        if total:
            drawn = set(draw_limited(keys, labels, total=total, per_class=0, seed=seed))
        else:
            drawn = draw_fraction(keys, labels, fraction / (1 - number * fraction), seed)
        for unit in (left[position] for position in drawn):
            for position in unit.images:
                splits[position] = split
    share = str(total or f"{100 * fraction:g}% each")
    return splits, f"drawn: {', '.join(missing)} {share} of train, stratified, seed {splitting.seed}"


def _fold(source: Source, pictures: Pictures, splitting: Splitting) -> tuple[list[str], str]:
    """Share the images of train and val out over folds, one of which becomes val; test stays as it is."""
    folds = splitting.folds
    splits = ["test" if split == "test" else "train" for split in pictures.splits]
    pool = [position for position, split in enumerate(splits) if split == "train"]
    units = _units(pool, pictures, parts=folds, near=True)
    _check_enough(source, units, [f"fold {number + 1}" for number in range(folds)])
    by_label: defaultdict[int, list[_Unit]] = defaultdict(list)
    for unit in units:
        by_label[unit.label].append(unit)
    totals = [0] * folds
    for label in sorted(by_label):
        sizes = [0] * folds
        order = [by_label[label][i] for i in shuffled([unit.key for unit in by_label[label]], splitting.seed)]
        # The largest first, each to the fold that has least of the class: folds differ by as little as they can.
        for unit in sorted(order, key=lambda one: -len(one.images)):
            fold = min(range(folds), key=lambda number: (sizes[number], totals[number], number))
            sizes[fold] += len(unit.images)
            totals[fold] += len(unit.images)
            if fold == splitting.fold - 1:
                for position in unit.images:
                    splits[position] = "val"
    return splits, f"{folds}-fold, fold {splitting.fold}, stratified, seed {splitting.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unit:
    """Images that go together: in two splits they would let a model answer what it has learnt by heart."""

    label: int
    """Of the first image."""
    key: str
    """Least of the images' digests: what draws are seeded by."""
    images: list[int]
    """Positions."""


def _units(pool: Sequence[int], pictures: Pictures, *, parts: int, near: bool) -> list[_Unit]:
    """Group the images of a pool by what has to stay together when it is cut into so many parts.

    Pictures that look alike do where no class would go short: where they are at most one part of it.
    """
    counts = Counter(pictures.labels[position] for position in pool)
    alike: defaultdict[int, list[int]] = defaultdict(list)
    for position in pool:
        alike[int((pictures.copies.near if near else pictures.copies.exact)[position])].append(position)
    units = []
    for images in alike.values():
        if len(images) <= min(counts[pictures.labels[position]] for position in images) // parts:
            together = [images]
        else:
            equal: defaultdict[int, list[int]] = defaultdict(list)
            for position in images:
                equal[int(pictures.copies.exact[position])].append(position)
            together = list(equal.values())
        for members in together:
            key = min(pictures.digests[position] for position in members)
            units.append(_Unit(label=min(pictures.labels[position] for position in members), key=key, images=members))
    return units


def _leaks(splits: Sequence[str], copies: Copies, policy: dataset_pb2.LeakPolicy) -> list[int]:
    """Return the training images that validation or test have too."""
    if policy not in (dataset_pb2.LEAK_POLICY_EXACT, dataset_pb2.LEAK_POLICY_NEAR):
        return []
    groups = (copies.exact if policy == dataset_pb2.LEAK_POLICY_EXACT else copies.near).tolist()
    held_out = {group for group, split in zip(groups, splits, strict=True) if split in ("val", "test")}
    return [position for position, split in enumerate(splits) if split == "train" and groups[position] in held_out]


def _check_enough(source: Source, units: Sequence[_Unit], parts: Sequence[str]) -> None:
    counts = Counter(unit.label for unit in units)
    for label, class_id in enumerate(source.classes):
        if counts[label] < len(parts):
            raise TaskFailed(
                "TOO_FEW_IMAGES",
                f"class {class_id} has {counts[label]} image(s) for {len(parts)} splits ({', '.join(parts)}), copies "
                f"of a picture counted once: add images, or bring splits of your own",
            )


def _check_classes(source: Source, labels: Sequence[int], splits: Sequence[str]) -> None:
    learnt = {label for label, split in zip(labels, splits, strict=True) if split == "train"}
    for label, class_id in enumerate(source.classes):
        if label not in learnt:
            raise TaskFailed(
                "EMPTY_CLASS",
                f"all training images of class {class_id} are copies of validation or test images: add others, or "
                "leave drop_leaks out",
            )

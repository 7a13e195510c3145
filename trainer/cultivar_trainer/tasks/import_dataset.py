"""Task import_dataset: from files or a download to an immutable data set version."""

import hashlib
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import dataset_pb2
from cultivar_contract import preprocessing, tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.datasets import label_lists, sources, version
from cultivar_trainer.datasets.archives.files import open_archive
from cultivar_trainer.datasets.builtin import read_builtin
from cultivar_trainer.datasets.draws import draw_fraction, draw_limited
from cultivar_trainer.datasets.folders import DiskFiles
from cultivar_trainer.datasets.parallel import on_all_cores
from cultivar_trainer.datasets.sources import Source, SourceImage
from cultivar_trainer.datasets.version import DatasetClass, Sample
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

HELD_OUT_FRACTION = 0.1
"""Share of each class that goes into a validation or test split that the source does not bring."""
MAX_REJECTED_LISTED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    """An image that was read and decoded, or why it can't be."""

    image: SourceImage
    encoded: bytes
    sha256: str
    rejection: str


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Leave the version's files in RUN_DIR/dataset; the answer is a Dataset message as proto JSON."""
    asked = tasks.from_json(tasks.ImportRequest, request)
    target, scratch = run_directory.path / "dataset", run_directory.path / "scratch"
    for folder in (target, scratch):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        dataset = import_source(_source(asked, scratch, journal), target, asked.split_seed, journal)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)  # a version is there whole or not at all
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    value: dict[str, Any] = json_format.MessageToDict(dataset)
    return value


def import_source(source: Source, target: Path, split_seed: int, journal: Journal) -> dataset_pb2.Dataset:
    """Copy, hash, decode and split a source's images into `target`.

    Raises:
        TaskFailed: EMPTY_SPLIT, EMPTY_CLASS or TOO_FEW_IMAGES.
    """
    with version.Pack(target) as pack:
        kept: list[tuple[SourceImage, str, int, int]] = []
        rejected: list[dataset_pb2.RejectedFile] = []
        for done, checked in enumerate(on_all_cores(_check, source.images), start=1):
            if checked.rejection:
                path = os.fsencode(checked.image.path).decode(errors="backslashreplace")
                rejected.append(dataset_pb2.RejectedFile(path=path, reason=checked.rejection))
                journal.warning(f"rejected {path}: {checked.rejection}")
            else:
                kept.append((checked.image, checked.sha256, pack.add(checked.encoded), len(checked.encoded)))
            journal.progress("importing", done, len(source.images), "images")
        _check_splits(source, [image for image, *_ in kept], rejected)
        splits, protocol = _splits(source, [(image, sha256) for image, sha256, *_ in kept], split_seed)
        positions = {class_id: label for label, class_id in enumerate(source.classes)}
        samples = [
            Sample(
                path=image.path,
                label=positions[image.class_id],
                split=split,
                sha256=sha256,
                offset=offset,
                size=size,
            )
            for (image, sha256, offset, size), split in zip(kept, splits, strict=True)
        ]
        samples = list(version.in_label_order(samples))
        _warn_of_copies(samples, journal)
        classes = [DatasetClass(id=class_id, display_name=name) for class_id, name in source.classes.items()]
        digest = pack.finish(classes, samples, protocol)
    return dataset_pb2.Dataset(
        digest=digest,
        classes=[dataset_pb2.DatasetClass(id=one.id, display_name=one.display_name) for one in classes],
        splits=[
            dataset_pb2.DatasetSplit(
                split=f"SPLIT_{split.upper()}",
                image_count=len(part),
                class_counts=version.class_counts(part, len(classes)),
                digest=version.split_digest(part),
            )
            for split, part in version.by_split(samples).items()
        ],
        split_protocol=protocol,
        image_bytes=pack.size,
        rejected_files=rejected[:MAX_REJECTED_LISTED],
        rejected_count=len(rejected),
    )


def _source(asked: tasks.ImportRequest, scratch: Path, journal: Journal) -> Source:
    if asked.builtin:
        return read_builtin(asked.builtin, Path(asked.downloads), scratch, journal)
    described = json_format.ParseDict(asked.source, dataset_pb2.DatasetSource(), ignore_unknown_fields=True)
    if asked.archive:
        archive = open_archive(Path(asked.archive), scratch, journal)
        names = sources.read_class_names(archive, described.class_names) if described.class_names else {}
        if described.label_lists:
            return label_lists.listed_images(archive, described, top=".", names=names)
        return sources.class_folders(archive, names, reason="UNUSABLE_ARCHIVE")
    class_names = Path(asked.class_names) if asked.class_names else None
    if described.label_lists:
        root, names = Path(asked.root), sources.names_on_disk(class_names)
        top = Path(asked.folder).relative_to(root).as_posix()
        return label_lists.listed_images(DiskFiles(root), described, top=top, names=names)
    return sources.folder(Path(asked.folder), class_names)


def _check(image: SourceImage) -> _Checked:
    encoded, rejection = b"", ""
    try:
        if not sources.is_text(image.path):
            raise OSError("its name is no UTF-8: rename it")
        encoded = image.read()
        preprocessing.decode(encoded)
    except OSError as error:
        rejection = error.strerror or str(error)
    except preprocessing.UnreadableImage as error:
        rejection = str(error)
    return _Checked(image=image, encoded=encoded, sha256=hashlib.sha256(encoded).hexdigest(), rejection=rejection)


def _check_splits(source: Source, kept: list[SourceImage], rejected: list[dataset_pb2.RejectedFile]) -> None:
    first = f", such as {rejected[0].path} ({rejected[0].reason})" if rejected else ""
    lost = f" ({len(rejected)} files were rejected{first})" if rejected else ""
    for split in source.splits or ("",):
        if not any(image.split == split for image in kept):
            raise TaskFailed(
                "EMPTY_SPLIT", f"{split or 'the folder'} has no readable image{lost}: add some or repair them"
            )
    learnt = {image.class_id for image in kept if image.split in ("train", "")}
    for class_id in source.classes:
        if class_id not in learnt:
            raise TaskFailed(
                "EMPTY_CLASS", f"class {class_id} has no readable training image{lost}: add some or remove the class"
            )


def _splits(source: Source, images: list[tuple[SourceImage, str]], seed: int) -> tuple[list[str], str]:
    """Return each image's split and how it came about; missing splits are drawn from the training images."""
    given = set(source.splits)
    missing = [split for split in ("val", "test") if split not in given]
    if given == {"train", "val"} or not missing:
        return [image.split for image, _ in images], source.protocol
    if "test" in given:
        missing = ["val"]
    splits = [image.split or "train" for image, _ in images]
    _check_enough(
        source, [image for (image, _), split in zip(images, splits, strict=True) if split == "train"], missing
    )
    labels = {class_id: label for label, class_id in enumerate(source.classes)}
    for number, split in enumerate(missing):
        # Copies of one file go together: in two splits they would let a model answer what it has learnt by heart.
        pool = {
            (labels[image.class_id], sha256): None
            for (image, sha256), now in zip(images, splits, strict=True)
            if now == "train"
        }
        keys = list(pool)
        # Without the second draw's own seed it would take the images next in the first draw's order.
        digests, pool_labels = [sha256 for _, sha256 in keys], [label for label, _ in keys]
        draw_seed = seed + 1_000_003 * number
        if source.validation_images:
            total = source.validation_images
            drawn = set(draw_limited(digests, pool_labels, total=total, per_class=0, seed=draw_seed))
        else:
            fraction = HELD_OUT_FRACTION / (1 - number * HELD_OUT_FRACTION)
            drawn = draw_fraction(digests, pool_labels, fraction, draw_seed)
        chosen = {keys[position] for position in drawn}
        for position, (image, sha256) in enumerate(images):
            if splits[position] == "train" and (labels[image.class_id], sha256) in chosen:
                splits[position] = split
    share = f"{source.validation_images}" if source.validation_images else f"{HELD_OUT_FRACTION:.0%} each"
    drawn_text = f"drawn: {', '.join(missing)} {share} of train, stratified, seed {seed}"
    return splits, f"{source.protocol}; {drawn_text}" if source.protocol else drawn_text


def _check_enough(source: Source, images: list[SourceImage], missing: list[str]) -> None:
    needed = 1 + len(missing)
    counts = Counter(image.class_id for image in images)
    for class_id in source.classes:
        if counts[class_id] < needed:
            raise TaskFailed(
                "TOO_FEW_IMAGES",
                f"class {class_id} has {counts[class_id]} image(s) for {needed} splits (train, {', '.join(missing)}): "
                f"add images, or bring splits of your own",
            )


def _warn_of_copies(samples: list[Sample], journal: Journal) -> None:
    splits: dict[str, set[str]] = {}
    for sample in samples:
        splits.setdefault(sample.sha256, set()).add(sample.split)
    shared = sum(len(found) > 1 for found in splits.values())
    if shared:
        journal.warning(f"{shared} image(s) are in more than one split: figures on them say little")

"""Looks through a source: every image is read once, told apart from its copies, given a split and reported."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets import version
from cultivar_trainer.datasets.duplicate_report import duplicate_report
from cultivar_trainer.datasets.duplicates import Copies, find_copies
from cultivar_trainer.datasets.findings import findings
from cultivar_trainer.datasets.inspection import ImageFacts, inspect
from cultivar_trainer.datasets.parallel import on_all_cores
from cultivar_trainer.datasets.sources import Source, SourceImage
from cultivar_trainer.datasets.splits import Pictures, Splitting, divide
from cultivar_trainer.datasets.statistics import split_report
from cultivar_trainer.datasets.version import DatasetClass, Sample
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

MAX_REJECTED_LISTED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """What a source holds."""

    classes: list[DatasetClass]
    samples: list[Sample]
    """In label order."""
    report: dataset_pb2.DatasetReport


def examine(
    source: Source, splitting: Splitting, journal: Journal, *, stage: str, keep: Callable[[bytes], int]
) -> Examined:
    """Read and decode every image of a source.

    Args:
        source: what is looked through.
        splitting: how splits come about where the source brings none.
        journal: gets the progress and the warnings.
        stage: what the progress is called.
        keep: gets each readable image's bytes, in order, and returns the byte of the pack at which they start.

    Raises:
        TaskFailed: EMPTY_SPLIT, EMPTY_CLASS or TOO_FEW_IMAGES.
    """
    images: list[SourceImage] = []
    facts: list[ImageFacts] = []
    places: list[tuple[int, int]] = []
    rejected: list[dataset_pb2.RejectedFile] = []
    for done, one in enumerate(on_all_cores(inspect, source.images), start=1):
        if one.facts is None:
            path = os.fsencode(one.image.path).decode(errors="backslashreplace")
            rejected.append(dataset_pb2.RejectedFile(path=path, reason=one.rejection))
            journal.warning(f"rejected {path}: {one.rejection}")
        else:
            images.append(one.image)
            facts.append(one.facts)
            places.append((keep(one.encoded), len(one.encoded)))
        journal.progress(stage, done, len(source.images), "images")
    _check_readable(source, images, rejected)
    journal.progress("comparing", 0, len(facts), "images")
    copies = find_copies(facts)
    journal.progress("comparing", len(facts), len(facts), "images")
    positions = {class_id: label for label, class_id in enumerate(source.classes)}
    labels = [positions[image.class_id] for image in images]
    division = divide(
        source,
        Pictures(
            labels=labels,
            splits=[image.split for image in images],
            digests=[one.sha256 for one in facts],
            copies=copies,
        ),
        splitting,
    )
    samples = [
        Sample(path=image.path, label=label, split=split, sha256=one.sha256, offset=offset, size=size)
        for image, label, split, one, (offset, size) in zip(images, labels, division.splits, facts, places, strict=True)
    ]
    order = version.label_order(samples)
    order = [position for position in order if samples[position].split]
    samples, facts = [samples[position] for position in order], [facts[position] for position in order]
    classes = [DatasetClass(id=class_id, display_name=name) for class_id, name in source.classes.items()]
    report = _report(classes, samples, facts, _of(copies, order))
    report.split_protocol = division.protocol
    report.dropped_count = division.dropped
    report.rejected_files.extend(rejected[:MAX_REJECTED_LISTED])
    report.rejected_count = len(rejected)
    report.warnings.extend(findings(report, facts, is_compared=copies.is_complete))
    for text in report.warnings:
        journal.warning(text)
    return Examined(classes=classes, samples=samples, report=report)


def _check_readable(
    source: Source, images: Sequence[SourceImage], rejected: Sequence[dataset_pb2.RejectedFile]
) -> None:
    first = f", such as {rejected[0].path} ({rejected[0].reason})" if rejected else ""
    lost = f" ({len(rejected)} files were rejected{first})" if rejected else ""
    found = {image.split for image in images}
    for split in source.splits or ("",):
        if split not in found:
            raise TaskFailed(
                "EMPTY_SPLIT", f"{split or 'the folder'} has no readable image{lost}: add some or repair them"
            )
    learnt = {image.class_id for image in images if image.split in ("train", "")}
    for class_id in source.classes:
        if class_id not in learnt:
            raise TaskFailed(
                "EMPTY_CLASS", f"class {class_id} has no readable training image{lost}: add some or remove the class"
            )


def _of(copies: Copies, order: Sequence[int]) -> Copies:
    chosen = np.array(order, np.int64)
    return Copies(exact=copies.exact[chosen], near=copies.near[chosen], is_complete=copies.is_complete)


def _report(
    classes: Sequence[DatasetClass], samples: Sequence[Sample], facts: Sequence[ImageFacts], copies: Copies
) -> dataset_pb2.DatasetReport:
    report = dataset_pb2.DatasetReport(
        classes=[dataset_pb2.DatasetClass(id=one.id, display_name=one.display_name) for one in classes],
        duplicates=duplicate_report(samples, copies, [one.id for one in classes]),
    )
    digest = hashlib.sha256()
    for split, part in version.by_split(samples).items():
        counts = version.class_counts(part, len(classes))
        of_split = [one for one, sample in zip(facts, samples, strict=True) if sample.split == split]
        report.splits.append(split_report(split, of_split, counts))
        digest.update(f"{split} {version.split_digest(part)}\n".encode())
        if split == "train":
            report.imbalance = max(counts) / min(counts)
    report.protocol_digest = digest.hexdigest()
    return report

"""Task import_dataset: from files or a download to an immutable data set version."""

import shutil
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import dataset_pb2
from cultivar_contract import dataset_files, files, tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.datasets import label_lists, sources, version
from cultivar_trainer.datasets.archives.files import open_archive
from cultivar_trainer.datasets.builtin import read_builtin
from cultivar_trainer.datasets.contact_sheet import contact_sheet
from cultivar_trainer.datasets.examination import examine
from cultivar_trainer.datasets.folders import DiskFiles
from cultivar_trainer.datasets.sources import Source
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.journal import Journal


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Leave the version's files in RUN_DIR/dataset; the answer is a Dataset message as proto JSON."""
    asked = tasks.from_json(tasks.ImportRequest, request)
    target, scratch = run_directory.path / "dataset", run_directory.path / "scratch"
    for folder in (target, scratch):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        source = open_source(asked, scratch, journal)
        dataset = import_source(source, target, Splitting.of(asked.source_message()), journal)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)  # a version is there whole or not at all
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    value: dict[str, Any] = json_format.MessageToDict(dataset)
    return value


def open_source(asked: tasks.ImportRequest, scratch: Path, journal: Journal) -> Source:
    """Return what a request names.

    Raises:
        TaskFailed: it can't be read.
    """
    if asked.builtin:
        return read_builtin(asked.builtin, Path(asked.downloads), scratch, journal)
    described = asked.source_message()
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


def import_source(source: Source, target: Path, splitting: Splitting, journal: Journal) -> dataset_pb2.Dataset:
    """Copy, hash, decode and split a source's images into `target`, with a report and a contact sheet beside them.

    Raises:
        TaskFailed: EMPTY_SPLIT, EMPTY_CLASS or TOO_FEW_IMAGES.
    """
    with version.Pack(target) as pack:
        examined = examine(source, splitting, journal, stage="importing", keep=pack.add)
        report, classes, samples = examined.report, examined.classes, examined.samples
        files.write_json(target / dataset_files.REPORT, json_format.MessageToDict(report))
        sheet = contact_sheet(classes, samples, pack.read, splitting.seed)
        sheet.save(target / dataset_files.CONTACT_SHEET, quality=85)
        digest = pack.finish(classes, samples, report.split_protocol)
    return dataset_pb2.Dataset(
        digest=digest,
        classes=report.classes,
        splits=[
            dataset_pb2.DatasetSplit(
                split=f"SPLIT_{split.upper()}",
                image_count=len(part),
                class_counts=version.class_counts(part, len(classes)),
                digest=version.split_digest(part),
            )
            for split, part in version.by_split(samples).items()
        ],
        split_protocol=report.split_protocol,
        image_bytes=sum(one.size for one in samples),
        rejected_files=report.rejected_files,
        rejected_count=report.rejected_count,
    )

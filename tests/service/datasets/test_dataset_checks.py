"""Folders that are looked through without an import, and the reports of those that were imported."""

import sys
from pathlib import Path

import pytest
from running_service import drain, make_config, refused, running

from cultivar.v1 import artifact_pb2, dataset_pb2

REAL_TRAINER = (sys.executable, "-m", "cultivar_trainer")


def check(**source: object) -> dataset_pb2.CheckDatasetRequest:
    return dataset_pb2.CheckDatasetRequest(source=dataset_pb2.DatasetSource(**source))


async def test_a_folder_is_reported_as_its_import_reports_it(tmp_path: Path, flowers_folder: Path) -> None:
    (tmp_path / "sources").symlink_to(flowers_folder.parent)
    source = {"folder": flowers_folder.name, "folds": 4, "fold": 3, "split_seed": 5}
    async with running(make_config(tmp_path, trainer_command=REAL_TRAINER)) as (_, client):
        *progress, last = await drain(client.datasets.CheckDataset(check(**source)))
        left = [*(tmp_path / "data/scratch").iterdir(), *(tmp_path / "data/imports").iterdir()]
        begun = await client.datasets.CreateDataset(
            dataset_pb2.CreateDatasetRequest(dataset_id="flowers", source=dataset_pb2.DatasetSource(**source))
        )
        imported = await client.imported(begun.name)
        listed = (await client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest())).datasets
        artifacts = artifact_pb2.ListArtifactsRequest(parent="datasets/flowers")
        shown = await client.artifacts.ListArtifacts(artifacts)
        sheet = artifact_pb2.DownloadArtifactRequest(parent=shown.parent, path="contact-sheet.jpg")
        sent = b"".join([chunk.data for chunk in await drain(client.artifacts.DownloadArtifact(sheet))])

    assert {one.progress.stage for one in progress} == {"checking", "comparing"}
    assert last.report.split_protocol == "as given 60/20/20; 4-fold, fold 3, stratified, seed 5"
    assert left == []
    assert imported.report == last.report
    assert imported.split_protocol == last.report.split_protocol
    assert [(one.name, one.HasField("report")) for one in listed] == [("datasets/flowers/versions/1", False)]
    assert (shown.parent, [one.path for one in shown.artifacts]) == (
        "datasets/flowers/versions/1",
        ["contact-sheet.jpg", "report.json"],
    )
    assert sent.startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({}, "source"),
        ({"builtin": "cifar10"}, "source.builtin"),
        ({"folder": "../elsewhere"}, "source.folder"),
        ({"folder": "none"}, "source.folder"),
        ({"folder": "in", "held_out_fraction": 0.5}, "source.held_out_fraction"),
        ({"folder": "in", "held_out_fraction": float("nan")}, "source.held_out_fraction"),
        ({"folder": "in", "held_out_fraction": 0.2, "folds": 3}, "source.held_out_fraction"),
        ({"folder": "in", "folds": 1}, "source.folds"),
        ({"folder": "in", "folds": 3, "fold": 4}, "source.fold"),
        ({"folder": "in", "fold": 1}, "source.fold"),
        ({"folder": "in", "drop_leaks": 9}, "source.drop_leaks"),
        ({"folder": "in", "split_seed": -1}, "source.split_seed"),
    ],
)
async def test_a_check_and_an_import_refuse_the_same_fields(
    tmp_path: Path, source: dict[str, object], field: str
) -> None:
    for class_id in ("a", "b"):
        (tmp_path / "sources/in" / class_id).mkdir(parents=True)
        (tmp_path / "sources/in" / class_id / "1.png").touch()
    async with running(make_config(tmp_path)) as (_, client):
        asked = [await refused(drain(client.datasets.CheckDataset(check(**source))))]
        if "builtin" not in source:
            wanted = dataset_pb2.CreateDatasetRequest(dataset_id="in", source=dataset_pb2.DatasetSource(**source))
            asked.append(await refused(client.datasets.CreateDataset(wanted)))

    assert {(one.code, tuple(one.fields)) for one in asked} == {("INVALID_ARGUMENT", (field,))}


async def test_a_source_that_can_not_be_imported_fails_its_check_with_the_same_reason(tmp_path: Path) -> None:
    for class_id in ("a", "b"):
        (tmp_path / "sources/in" / class_id).mkdir(parents=True)
        (tmp_path / "sources/in" / class_id / "1.png").write_bytes(b"no image")
    async with running(make_config(tmp_path, trainer_command=REAL_TRAINER)) as (_, client):
        refusal = await refused(drain(client.datasets.CheckDataset(check(folder="in"))))
        left = list((tmp_path / "data/scratch").iterdir())

    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "EMPTY_SPLIT")
    assert "no readable image" in refusal.message
    assert left == []

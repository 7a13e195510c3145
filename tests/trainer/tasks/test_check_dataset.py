"""A check tells what an import finds, and leaves nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from PIL import Image

from cultivar.v1 import dataset_pb2
from cultivar_contract import dataset_files, tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks import check_dataset, import_dataset

SPECIES, IMAGES = 5, {"train": 12, "val": 4, "test": 4}


@pytest.fixture
def request_of(flowers_folder: Path) -> dict[str, Any]:
    source = dataset_pb2.DatasetSource(folder="flowers", drop_leaks=dataset_pb2.LEAK_POLICY_NEAR)
    return tasks.to_json(
        tasks.ImportRequest(
            builtin="",
            folder=str(flowers_folder),
            class_names="",
            split_seed=0,
            downloads="",
            source=json_format.MessageToDict(source),
        )
    )


def test_a_check_tells_what_an_import_reports_and_leaves_nothing(tmp_path: Path, request_of: dict[str, Any]) -> None:
    checked, imported = RunDirectory(tmp_path / "check"), RunDirectory(tmp_path / "import")
    for run in (checked, imported):
        run.path.mkdir()
    with Journal(tmp_path / "events") as journal:
        told = check_dataset.run(checked, request_of, journal)
        import_dataset.run(imported, request_of, journal)

    kept = json.loads((imported.path / "dataset" / dataset_files.REPORT).read_bytes())
    assert told == kept
    assert not list(checked.path.iterdir())
    report = json_format.ParseDict(told, dataset_pb2.DatasetReport())
    assert [(one.image_count, list(one.class_counts)) for one in report.splits] == [
        (SPECIES * count, [count] * SPECIES) for count in IMAGES.values()
    ]
    assert report.duplicates == dataset_pb2.DuplicateReport()
    assert report.split_protocol == "as given 60/20/20"


def test_a_version_has_a_contact_sheet_with_a_row_for_each_class(flowers: Path) -> None:
    with Image.open(flowers / dataset_files.CONTACT_SHEET) as sheet:
        assert sheet.size == (160 + 8 * 68, 4 + SPECIES * 68)
        cells = [
            sheet.crop((160 + 68 * column, 4 + 68 * row, 224 + 68 * column, 68 + 68 * row))
            for row in range(SPECIES)
            for column in range(8)
        ]
        assert all(len(cell.getcolors(64 * 64) or ()) > 100 for cell in cells)

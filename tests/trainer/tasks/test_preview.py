import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import json_format
from PIL import Image

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import preprocessing, tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.run_directory import Result, RunDirectory
from cultivar_trainer.augmentation.pipeline import augment
from cultivar_trainer.datasets.version import DatasetVersion, by_split
from cultivar_trainer.randomness import Draw
from cultivar_trainer.tasks.preview import contact_sheet

Preview = Callable[..., tuple[RunDirectory, Result]]


@pytest.fixture
def preview(flowers: Path, tmp_path: Path, resolved: Callable[..., pb.TrainingSpec]) -> Preview:
    def preview(images: int, columns: int, **fields: object) -> tuple[RunDirectory, Result]:
        run = RunDirectory(tmp_path)
        request = tasks.PreviewRequest(
            recipe=json_format.MessageToDict(resolved(**fields)), dataset=str(flowers), images=images, columns=columns
        )
        run.write_request(1, tasks.to_json(request))
        with run.log(1).open("wb") as log:
            subprocess.run(
                [sys.executable, "-m", "cultivar_trainer", "preview", str(run.path)],
                stdout=log,
                stderr=log,
                env=dict(os.environ),
                check=False,
            )
        result = run.read_result(1)
        assert result is not None, run.log(1).read_text()
        return run, result

    return preview


def test_the_sheet_shows_the_stored_images_and_what_epochs_make_of_them(
    preview: Preview, flowers: Path, resolved: Callable[..., pb.TrainingSpec]
) -> None:
    fields = {"augmentation": {"rotation": 30, "hue": 0.2}, "seed": 4}
    run, result = preview(5, 2, **fields)

    assert result.outcome == "SUCCEEDED", run.log(1).read_text()
    sheet = np.asarray(Image.open(run.path / "preview.png"))
    assert sheet.shape == (result.value["height"], result.value["width"], 3)
    recipe = resolved(**fields)
    with DatasetVersion(flowers) as version:
        samples = by_split(version.samples)["train"]
        places = torch.tensor([0, 15, 30, 44, 59])
        assert result.value["paths"] == [samples[place].path for place in places]
        assert {samples[place].label for place in places} == set(range(5))
        spec = ARCHITECTURES[recipe.architecture].preprocessing(recipe)
        pixels = np.stack([preprocessing.load(version.read(samples[place]), spec) for place in places])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    columns = [images, *(augment(images, recipe.augmentation, Draw(4, epoch, places)) for epoch in range(2))]
    for number, column in enumerate(columns):
        shown = sheet[4 + 16 : 4 + 16 + 96, 4 + number * 100 : 100 + number * 100]  # the first row, 3 x 3 enlarged
        expected = (column[0].permute(1, 2, 0) * 255).round().byte().numpy().repeat(3, 0).repeat(3, 1)
        assert np.abs(shown.astype(int) - expected).max() <= 1
    assert not (run.path / "scratch").exists()


def test_grey_images_and_names_make_a_sheet() -> None:
    column = torch.rand(2, 1, 100, 100)

    sheet = contact_sheet([column, column], ["original", "epoch 1"], ["cup", "saucer"])

    assert sheet.mode == "RGB"
    pixels = np.asarray(sheet)[20:120, 4:104]
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])
    assert np.array_equal(pixels[:, :, 0], (column[0, 0] * 255).round().byte().numpy())
    assert (np.asarray(sheet)[120:136, :60] < 100).any()  # the name below


@pytest.mark.all
def test_crops_and_mixing_are_shown_too(preview: Preview) -> None:
    run, result = preview(3, 3, augmentation={"resizedCrop": 0.3, "cutmix": 1.0, "alternatingFlip": True})

    assert result.outcome == "SUCCEEDED", run.log(1).read_text()
    assert (run.path / "preview.png").exists()

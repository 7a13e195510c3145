"""The real trainer draws a real model, through the command."""

import json
from pathlib import Path

import pytest
from end_to_end_service import RunningService
from PIL import Image


@pytest.mark.all
def test_every_view_of_a_finished_job_becomes_a_picture(service: RunningService, tmp_path: Path) -> None:
    job = json.loads(service.cultivar("jobs list --json"))["trainingJobs"][-1]["name"]
    image = next((service.folder / "sources/flowers/test").rglob("*.jpg"))
    classes = [one["id"] for one in json.loads(service.cultivar("models show flowers/versions/1 --json"))["classes"]]
    views = {
        f"feature-maps --image {image}": "features.0.activation",
        "filters": "features.0.conv",
        "exciting-images --channel 3": "features.1.conv",
        "gradient-ascent --channel 2 --layer classifier --steps 20": "classifier",
        f"separating-channels --class {classes[0]} --class {classes[1]}": "features.1.conv",
    }

    for view, layer in views.items():
        told = json.loads(service.cultivar(f"inspect {job} {view} -o {tmp_path / 'a.png'} --json"))["inspection"]

        assert (told["modelVersion"], told["layers"][0]) == ("models/flowers/versions/1", layer)
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.width == 900
        assert (tmp_path / "a.png").stat().st_size == int(told["sizeBytes"])


@pytest.mark.slow
def test_a_layer_that_does_not_exist_is_answered_with_those_that_do(service: RunningService, tmp_path: Path) -> None:
    told = service.cultivar(
        f"inspect flowers exciting-images --layer conv9 --channel 0 -o {tmp_path / 'a.png'}", expect=1
    )

    assert "layer: 'conv9' is no layer of this network: use features." in told

import asyncio
import json
import re
from pathlib import Path

import numpy as np
import pytest
from end_to_end_service import RunningService

from cultivar.v1 import prediction_pb2
from cultivar_client import Client


def probabilities(result: prediction_pb2.ImageResult) -> list[float]:
    return list(result.classification.probabilities)


def test_raw_validation_and_test_images_are_answered_as_the_package_predicts(
    service: RunningService, tmp_path: Path
) -> None:
    service.cultivar(f"models download flowers -o {tmp_path}")
    predictions = np.load(tmp_path / "predictions.npz")

    async def answers(paths: list[str]) -> prediction_pb2.PredictResponse:
        images = [(service.folder / "sources" / "flowers" / path).read_bytes() for path in paths]
        async with Client(service.address) as client:
            return await client.predict("flowers", images, all_probabilities=True)

    for split in ("val", "test"):
        response = asyncio.run(answers(predictions[f"{split}_path"].tolist()))

        expected = predictions[f"{split}_probabilities"]
        served = np.array([probabilities(result) for result in response.results])
        assert np.abs(served - expected).max() <= 1e-5
        assert (served.argmax(1) == expected.argmax(1)).all()
        assert [result.classification.classes[0].index for result in response.results] == expected.argmax(1).tolist()


def test_the_final_job_is_told_as_json_and_its_version_is_live(service: RunningService) -> None:
    job = json.loads(service.cultivar("jobs list --json"))["trainingJobs"][-1]
    version = json.loads(service.cultivar("models show flowers --json"))["modelVersions"][-1]

    assert job["state"] == "TRAINING_JOB_STATE_SUCCEEDED"
    assert job["modelVersion"] == version["name"] == "models/flowers/versions/1"
    assert version["live"]
    assert [one["split"] for one in version["metrics"]] == ["val", "test"]
    assert len(version["classes"]) == 5


def test_the_jobs_events_are_numbered_without_gaps_and_can_be_read_from_the_middle(service: RunningService) -> None:
    job = json.loads(service.cultivar("jobs list --json"))["trainingJobs"][-1]["name"]

    events = [json.loads(line) for line in service.cultivar(f"jobs watch {job} --json").splitlines()]
    later = [json.loads(line) for line in service.cultivar(f"jobs watch {job} --json --after 5").splitlines()]

    assert [int(event["number"]) for event in events] == list(range(1, len(events) + 1))
    assert later == events[5:]
    assert "epoch 2/2" in service.cultivar(f"jobs logs {job}")


def test_importing_equal_content_again_answers_the_first_version_and_other_content_makes_a_second(
    service: RunningService,
) -> None:
    again = json.loads(service.cultivar("datasets create flowers --folder flowers --json"))
    assert again["name"] == "datasets/flowers/versions/1"

    folder = service.folder / "sources" / "flowers"
    removed = sorted(folder.glob("test/*/*.jpg"))[0]
    content = removed.read_bytes()
    removed.unlink()
    try:
        other = json.loads(service.cultivar("datasets create flowers --folder flowers --json"))
    finally:
        removed.write_bytes(content)
    assert other["name"] == "datasets/flowers/versions/2"
    assert len(json.loads(service.cultivar("datasets list --json"))["datasets"]) == 2


def test_a_bad_image_among_good_ones_fails_alone(service: RunningService, tmp_path: Path) -> None:
    good = sorted((service.folder / "sources" / "flowers").glob("val/*/*.jpg"))[:2]
    for number, path in enumerate(good):
        (tmp_path / f"{number}.jpg").write_bytes(path.read_bytes())
    (tmp_path / "bad.jpg").write_bytes(b"no image")

    output = service.cultivar(f"predict {tmp_path} --csv --top-k 1", expect=1)

    rows = [line for line in output.splitlines() if line.startswith(str(tmp_path))]
    assert len(rows) == 3
    assert sum("are no image" in row for row in rows) == 1


def test_a_worse_model_is_published_but_does_not_go_live(service: RunningService) -> None:
    output = service.cultivar(
        "train --dataset datasets/flowers/versions/1 --architecture lenet5 --mode scratch --epochs 1 "
        "--learning-rate 1e-6 --set selection_metric=loss"
    )

    published = next(line for line in output.splitlines() if line.startswith("published"))
    assert re.search(r"flowers/versions/\d+ \(not live: not better: val loss", published)
    assert service.cultivar(f"predict {next((service.folder / 'sources').rglob('*.jpg'))}")


def test_metrics_count_what_happened_and_hide_jobs_that_have_ended(service: RunningService) -> None:
    text = service.metrics()

    assert re.search(r'cultivar_training_jobs\{state="SUCCEEDED"\} [1-9]', text)
    assert 'cultivar_training_jobs{state="RUNNING"} 0.0' in text
    assert 'job="' not in text
    assert "cultivar_gpu_" not in re.sub(r"^#.*$", "", text, flags=re.MULTILINE)  # absent without a GPU, not zero
    assert 'cultivar_grpc_request_seconds_bucket{le="0.001",method="Predict"}' in text


def test_a_network_is_described_by_the_trainer(service: RunningService) -> None:
    described = json.loads(service.cultivar("describe squeezenet1_0 --mode head --classes 10 --json"))

    assert described["trainableParameters"] == str(512 * 10 + 10)
    assert [layer["name"] for layer in described["layers"] if layer.get("trainable")] == ["classifier.1"]


@pytest.mark.slow
def test_a_trained_model_is_evaluated_as_its_package_states_and_anew_on_other_images(service: RunningService) -> None:
    own = json.loads(service.cultivar("evaluate --model flowers/versions/1 --dataset flowers/versions/1 --json"))
    stated = json.loads(service.cultivar("models show flowers/versions/1 --json"))["metrics"][1]
    anew = "evaluate --model flowers/versions/1 --dataset flowers/versions/1 --split train --json"
    first, again = (json.loads(service.cultivar(anew)) for _ in range(2))

    assert own["stored"] is True
    assert own["metrics"] == stated
    assert (first["stored"], again["stored"]) == (False, True)
    assert first["metrics"] == again["metrics"]
    assert first["metrics"]["imageCount"] == "60"


def test_a_layer_is_calculated_by_the_service(service: RunningService) -> None:
    output = service.cultivar("calculate conv --input 19,19 --kernel 7 --stride 3 --in-channels 32 --out-channels 64")

    assert "64 x 5 x 5" in output
    assert "100 416" in output
    assert "2 508 800" in output


@pytest.mark.slow
def test_augmented_images_are_drawn_into_a_file(service: RunningService, tmp_path: Path) -> None:
    service.cultivar(
        f"augment --dataset flowers/versions/1 --preview {tmp_path}/a.png --images 2 --columns 3 "
        "--set input.size=32 --set augmentation.rotation=30 --set augmentation.mixup=0.2"
    )

    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_parts_of_a_network_that_it_has_not_are_refused_before_anything_is_queued(service: RunningService) -> None:
    weights = service.folder / "weights" / "w.pth"
    weights.write_bytes(b"")
    options = "--dataset flowers --architecture squeezenet1_0 --weights w.pth --validate-only"
    blocks = service.cultivar(f"train {options} --mode last-blocks --set last_blocks=99", expect=1)
    pattern = service.cultivar(f"train {options} --mode full --set trainable=layer9.*", expect=1)

    assert "spec.last_blocks: 99 is more than" in blocks
    assert "'layer9.*' matches no parameter" in pattern

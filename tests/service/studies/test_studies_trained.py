"""Studies of the real trainer: their numbers computed again from what the jobs left, and a service killed half way."""

import asyncio
import json
import math
import re
import shutil
import statistics as reference
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_service import Client, connected, eventually, make_config, running
from scipy.special import stdtrit
from study_requests import create, finished, get, make_study, watch

from cultivar.v1 import dataset_pb2, state_pb2, study_pb2
from cultivar_service.catalog.study_record import EVALUATING, RUNNING, SUCCEEDED

TRAINER = (sys.executable, "-m", "cultivar_trainer")
BASE: Mapping[str, Any] = {
    "dataset": "flowers",
    "architecture": "lenet5",
    "mode": "FINE_TUNING_MODE_SCRATCH",
    "epochs": 2,
    "batch_size": 16,
    "execution": {"threads": 1},
}
VARIANTS = ({"variant": "two-epochs"}, {"variant": "one-epoch", "changes": {"epochs": 1}})
RUNNER = """
import asyncio, logging, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from running_service import make_config

from cultivar_service.__main__ import serve
logging.basicConfig(level=logging.INFO)
command = (sys.executable, "-m", "cultivar_trainer")
asyncio.run(serve(make_config(Path(sys.argv[2]), trainer_command=command)))
"""


def start_service(folder: Path) -> tuple[subprocess.Popen, Path]:
    log = folder / "service.log"
    with log.open("wb") as file:
        arguments = [sys.executable, "-c", RUNNER, str(Path(__file__).parents[1]), str(folder)]
        return subprocess.Popen(arguments, stderr=file), log


async def import_folder(client: Client, folder: Path, sources: Path) -> None:
    await asyncio.to_thread(shutil.copytree, folder, sources / "flowers")
    source = dataset_pb2.DatasetSource(folder="flowers")
    begun = await client.datasets.CreateDataset(dataset_pb2.CreateDatasetRequest(dataset_id="flowers", source=source))

    async def done() -> dataset_pb2.Dataset | None:
        found = await client.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=begun.name))
        return found if found.state != dataset_pb2.DATASET_STATE_IMPORTING else None

    imported = await eventually(done, within_s=60)
    assert imported.state == dataset_pb2.DATASET_STATE_READY, imported.error


def predictions_of(data: Path, trial: study_pb2.StudyTrial) -> tuple[list[bool], float]:
    """What is right of a version's own predictions of validation images, and their cross-entropy."""
    _, model, _, number = trial.model_version.split("/")
    arrays = np.load(data / "models" / model / number / "predictions.npz")
    probabilities, labels = arrays["val_probabilities"], arrays["val_label"]
    loss = -np.log(probabilities[np.arange(len(labels)), labels].astype(np.float64)).mean()
    return (probabilities.argmax(axis=1) == labels).tolist(), float(loss)


@pytest.mark.all
async def test_a_study_s_numbers_follow_from_what_its_jobs_left(tmp_path: Path, flowers_folder: Path) -> None:
    data = tmp_path / "data"
    async with running(make_config(tmp_path, trainer_command=TRAINER)) as (_, client):
        await import_folder(client, flowers_folder, tmp_path / "sources")
        several = await create(client, make_study(VARIANTS, base=BASE, seeds=[1, 2, 3]))
        study = await finished(client, several.name, within_s=280)

    assert study.state == SUCCEEDED, study.error
    values: dict[str, list[float]] = {"two-epochs": [], "one-epoch": []}
    losses: dict[str, list[float]] = {"two-epochs": [], "one-epoch": []}
    for trial in study.trials:
        right, loss = predictions_of(data, trial)
        values[trial.variant].append(reference.fmean(right))
        losses[trial.variant].append(loss)
        history = json.loads((data / "runs" / trial.training_job.split("/")[1] / "history.json").read_text())
        epochs = history["epochs"]
        assert trial.updates == epochs[-1]["step"]
        assert trial.images_seen == 60 * len(epochs)  # 5 species, 12 images each
        assert trial.seconds == pytest.approx(sum(epoch["train_seconds"] + epoch["val_seconds"] for epoch in epochs))
        best = next(epoch for epoch in epochs if epoch["epoch"] == trial.best_epoch)
        assert (trial.train_loss, trial.train_accuracy) == (best["train_loss"], best["train_accuracy"])
        assert trial.test.image_count == (20 if trial.variant == study.winner else 0)
    for row in study.rows:
        assert row.selection.mean == pytest.approx(reference.fmean(values[row.variant]))
        assert row.selection.std == pytest.approx(reference.stdev(values[row.variant]))
        assert row.validation_loss.mean == pytest.approx(reference.fmean(losses[row.variant]), rel=1e-5)
    differences = [one - two for two, one in zip(values["two-epochs"], values["one-epoch"], strict=True)]
    found = study.rows[1].difference
    half = float(stdtrit(2, 0.975)) * reference.stdev(differences) / math.sqrt(3)
    assert found.mean == pytest.approx(reference.fmean(differences))
    assert (found.low, found.high) == (
        pytest.approx(found.mean - half, abs=1e-6),
        pytest.approx(found.mean + half, abs=1e-6),
    )
    means = {name: reference.fmean(several) for name, several in values.items()}
    assert study.winner == ("one-epoch" if means["one-epoch"] > means["two-epochs"] else "two-epochs")


@pytest.mark.slow
async def test_with_one_seed_the_interval_is_that_of_the_images(tmp_path: Path, flowers_folder: Path) -> None:
    async with running(make_config(tmp_path, trainer_command=TRAINER)) as (_, client):
        await import_folder(client, flowers_folder, tmp_path / "sources")
        spec = make_study(VARIANTS, base=BASE, test=study_pb2.STUDY_TEST_NONE)
        study = await finished(client, (await create(client, spec)).name, within_s=200)

    assert study.state == SUCCEEDED, study.error
    first, second = ([float(right) for right in predictions_of(tmp_path / "data", one)[0]] for one in study.trials)
    per_image = [after - before for before, after in zip(first, second, strict=True)]
    difference = study.rows[1].difference
    half = 1.959964 * reference.stdev(per_image) / math.sqrt(len(per_image))
    assert difference.mean == pytest.approx(reference.fmean(per_image))
    assert (difference.low, difference.pairs) == (pytest.approx(difference.mean - half), 20)
    assert not any(trial.HasField("test") for trial in study.trials)


@pytest.mark.all
async def test_each_trial_is_tested_on_the_images_that_its_job_would_have_tested(
    tmp_path: Path, flowers_folder: Path
) -> None:
    some = {"classes": ["lancewheel", "heartwing", "steeple-star"], "max_test_images_per_class": 3}
    base = {**BASE, "data": some}
    async with running(make_config(tmp_path, trainer_command=TRAINER)) as (_, client):
        await import_folder(client, flowers_folder, tmp_path / "sources")
        spec = make_study(VARIANTS, base=base, test=study_pb2.STUDY_TEST_EACH)
        study = await finished(client, (await create(client, spec)).name, within_s=280)
        alone = await client.train(test_evaluation="TEST_EVALUATION_AT_END", **base)

    told = [trial.test for trial in study.trials]
    measured = next(one for one in alone.metrics if one.split == "test")
    assert [one.image_count for one in (*told, measured)] == [9, 9, 9]
    # The same recipe and seed, so the same model: one figure by the service's own measurement, one by the job's.
    assert (told[0].accuracy, told[0].loss) == (
        pytest.approx(measured.accuracy),
        pytest.approx(measured.loss, rel=1e-4),
    )
    assert study.rows[1].test_accuracy.mean == pytest.approx(told[1].accuracy)


@pytest.mark.slow
async def test_a_study_survives_a_kill_of_its_service_half_way(tmp_path: Path, flowers_folder: Path) -> None:
    process, log = start_service(tmp_path)

    async def address() -> str | None:
        found = re.search(r"serving gRPC on (\S+),", await asyncio.to_thread(log.read_text))
        return found and found[1]

    try:
        async with connected(await eventually(address, within_s=30)) as client:
            await import_folder(client, flowers_folder, tmp_path / "sources")
            study = await create(client, make_study(VARIANTS, base=BASE))

            async def first_is_over() -> bool | None:
                ended = (await get(client, study.name)).trials[0].state == state_pb2.TRAINING_JOB_STATE_SUCCEEDED
                return ended or None

            await eventually(first_is_over, within_s=120)
            seen = (await get(client, study.name)).last_event
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)

    async with running(make_config(tmp_path, trainer_command=TRAINER)) as (_, client):
        over = await finished(client, study.name, within_s=250)
        events = await watch(client, study.name)

    assert over.state == SUCCEEDED, over.error
    assert all(trial.state == state_pb2.TRAINING_JOB_STATE_SUCCEEDED for trial in over.trials)
    assert [trial.HasField("test") for trial in over.trials] == [trial.variant == over.winner for trial in over.trials]
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert len(events) > seen
    changes = [event.state_changed for event in events if event.HasField("state_changed")]
    assert changes == [RUNNING, EVALUATING, SUCCEEDED]

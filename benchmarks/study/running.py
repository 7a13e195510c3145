"""Trains the cells that are missing, one at a time, through a service of its own, and writes down what they show."""

import hashlib
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from benchmarks.chaos.service import ServiceProcess
from benchmarks.study.cells import Cell, Question
from benchmarks.study.results import Line, Results
from cultivar.v1 import dataset_pb2, state_pb2, training_pb2
from cultivar_client import Client, CultivarError

DATASETS = ("flowers", "cifar10", "cat-dog")
_START_S = 120.0
_FIGURES = (
    "epoch", "step", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1",
    "train_seconds", "val_seconds", "images_per_second",
)  # fmt: skip


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Client, ServiceProcess]]:
    """Run a service on a folder's `service`, with data sets from its `sources`; all are imported before it is given."""
    service = ServiceProcess(folder=folder / "service", sources=folder / "sources")
    service.start()
    try:
        await service.until_serving(_START_S)
        async with Client(service.address) as client:
            await _import(client)
            yield client, service
        await service.stop()
    finally:
        service.clear_away()


async def train_missing(cells: Iterable[Cell], results: Results, client: Client, service: ServiceProcess) -> None:
    """Train what the results lack, one cell after the other; a training that fails is a result."""
    missing = [cell for cell in cells if results.training(cell.key) is None]
    for number, cell in enumerate(missing, 1):
        line = await train(cell, client, service)
        results.add(line)
        shown = f"{line['val']['accuracy']:.4f}" if "val" in line else line["error"]
        print(f"{number}/{len(missing)} {cell.id}: {shown}, {line['seconds']:.0f} s", flush=True)


async def train(cell: Cell, client: Client, service: ServiceProcess) -> Line:
    """Train one cell; return its line. A job that an interrupted study left behind is gone on with.

    Raises:
        CultivarError: the service refuses the spec.
    """
    started, cpu = time.monotonic(), _children_seconds(service)
    job = await client.create_training_job(cell.spec, request_id=cell.key)
    watched = [event async for event in client.watch_training_job(job.name)]
    job = await client.get_training_job(job.name)
    line: Line = {
        "kind": "training",
        "cell": cell.id,
        "key": cell.key,
        "spec": dict(cell.spec),
        "recipe": _digest(job.recipe),
        "state": state_pb2.TrainingJobState.Name(job.state).removeprefix("TRAINING_JOB_STATE_"),
        "seconds": round(time.monotonic() - started, 2),
        "cpu_seconds": round(_children_seconds(service) - cpu, 2),
        **_surroundings(),
        "job": job.name,
        "epochs": [
            {name: _short(getattr(event.epoch_finished, name)) for name in _FIGURES}
            for event in watched
            if event.HasField("epoch_finished")
        ],
    }
    if job.state != state_pb2.TRAINING_JOB_STATE_SUCCEEDED:
        return {**line, "error": job.error.reason}
    return {**line, **_outcome(job)}


async def test_winners(questions: Iterable[Question], results: Results, client: Client) -> None:
    """Measure each finished question's winner on test images: once for each of its trainings, never to choose."""
    winners = [results.winner(question) for question in questions if question.test]
    for run in (run for winner in winners if winner for run in results.runs(winner)):
        if run["spec"].get("test_evaluation") == "never":
            print(f"{run['cell']}: was trained never to be tested, and is not", flush=True)
        elif results.measured("test", run["key"]) is None and (job := await _job(run, client)):
            answer = await _test(job, client)
            results.add({"kind": "test", "key": run["key"], "cell": run["cell"], **answer})


async def measure_gradients(questions: Iterable[Question], results: Results, client: Client, folder: Path) -> None:
    """Measure each layer's gradients in the first training of each variant, where the question asks for that."""
    variants = [variant for question in questions if question.gradients for variant in question.variants]
    for run in (run for variant in variants for run in results.runs(variant)[:1]):
        if results.measured("gradients", run["key"]) is None and (job := await _job(run, client)):
            from benchmarks.study import gradients  # torch takes seconds to load

            images = folder / "sources" / run["spec"]["dataset"] / "val"
            with tempfile.TemporaryDirectory() as name:
                weights = await client.download_artifact(job.model_version, "weights.npz", name)
                found = gradients.norms(job.recipe, images, weights)
            results.add({"kind": "gradients", "key": run["key"], "cell": run["cell"], **found})


async def _job(run: Line, client: Client) -> training_pb2.TrainingJob | None:
    """Return the job that a line tells of; None where it made no model, or the service's data are newer than it."""
    if run["state"] != "SUCCEEDED":
        return None
    try:
        return await client.get_training_job(run["job"])
    except CultivarError as error:
        if error.code != "NOT_FOUND":
            raise
        print(f"{run['cell']}: its model is gone, and is not measured further", flush=True)
        return None


async def _test(job: training_pb2.TrainingJob, client: Client) -> Line:
    async for update in client.evaluate_model_version(
        job.model_version, job.recipe.dataset, split=dataset_pb2.SPLIT_TEST
    ):
        if update.HasField("evaluation"):
            found = update.evaluation
    return {
        "test": _metrics(found.metrics),
        "split_digest": found.split_digest,
        "model_digest": found.model_digest,
        "models_measured": found.models_measured,
    }


async def _import(client: Client) -> None:
    ready = {
        dataset.name.split("/")[1]
        async for dataset in client.list_datasets()
        if dataset.state == dataset_pb2.DATASET_STATE_READY
    }
    for name in DATASETS:
        if name in ready:
            continue
        created = await client.create_dataset(name, folder=name)
        async for dataset in client.wait_for_dataset(created.name):
            found = dataset
        if found.state != dataset_pb2.DATASET_STATE_READY:
            raise SystemExit(f"data set {name} could not be imported: {found.error.message}")
        print(f"imported {name}", flush=True)


def _outcome(job: training_pb2.TrainingJob) -> Line:
    validation = next(one for one in job.metrics if one.split == "val")
    return {"best_epoch": job.best_epoch.epoch, "val": _metrics(validation)}


def _metrics(found: Any) -> Line:
    names = ("image_count", "loss", "accuracy", "top5_accuracy", "macro_f1")
    return {name: _short(getattr(found, name)) for name in names}


def _digest(recipe: Any) -> str:
    return hashlib.sha256(json.dumps(json_format.MessageToDict(recipe), sort_keys=True).encode()).hexdigest()


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _children_seconds(service: ServiceProcess) -> float:
    """Return the CPU seconds of all trainers that have ended, those of the tasks they start included."""
    assert service.process is not None
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _surroundings() -> Line:
    command = ["git", "describe", "--always", "--dirty=+"]
    return {
        "code": subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip(),
        "torch": version("torch"),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }

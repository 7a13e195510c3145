"""Jobs whose trainer is killed, stopped and started again: the same bytes come of them as of undisturbed ones."""

import hashlib
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from google.protobuf import json_format

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, recipe, tasks
from cultivar_contract.run_directory import Result, RunDirectory, read_events
from cultivar_trainer import execution
from cultivar_trainer.datasets import procedural_flowers
from cultivar_trainer.errors import TaskFailed

Resolved = Callable[..., pb.TrainingSpec]
Moment = Callable[[list[event_pb2.JobEvent]], bool]
TIMES = ("train_seconds", "val_seconds", "images_per_second")


def start(run: RunDirectory, attempt: int, request: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Start an attempt as the service does."""
    run.write_request(attempt, request)
    with run.log(attempt).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cultivar_trainer", "train", str(run.path)], stdout=log, stderr=log
        )


def end(run: RunDirectory, attempt: int, request: dict[str, Any]) -> Result:
    """Run an attempt to its end."""
    start(run, attempt, request).wait(300)
    result = run.read_result(attempt)
    assert result is not None, run.log(attempt).read_text()
    return result


def end_at(
    run: RunDirectory, attempt: int, request: dict[str, Any], moment: Moment, how: signal.Signals = signal.SIGKILL
) -> bool:
    """Start an attempt and signal it at a moment of its events; tell whether it came to that."""
    process = start(run, attempt, request)
    while process.poll() is None and not moment(read_events(run.events(attempt), 0)[0]):
        time.sleep(0.01)
    process.send_signal(how)
    process.wait(30)
    return run.read_result(attempt) is None or how == signal.SIGTERM


def entered(phase: str) -> Moment:
    """The moment at which a phase begins."""
    value = state_pb2.TrainingPhase.Value(f"TRAINING_PHASE_{phase}")
    return lambda events: any(one.HasField("phase_entered") and one.phase_entered == value for one in events)


def seconds_after(moment: Moment, seconds: float) -> Moment:
    """The moment some time after another."""
    reached: list[float] = []

    def later(events: list[event_pb2.JobEvent]) -> bool:
        if not reached and moment(events):
            reached.append(time.monotonic())
        return bool(reached) and time.monotonic() >= reached[0] + seconds

    return later


def result_of(run: RunDirectory) -> dict[str, Any]:
    """Return all that training came to, times and job names aside."""
    history = json.loads((run.package / "history.json").read_text())
    for epochs in (history["epochs"], *(one["epochs"] for one in history["candidates"])):
        for epoch in epochs:
            for name in TIMES:
                del epoch[name]
    manifest = json.loads((run.package / "manifest.json").read_text())
    names = ("variants", "parity", "best_epoch", "selected", "freeze_digest", "plan", "plans", "golden")
    hashes = {
        name: hashlib.sha256((run.package / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "weights.npz", "predictions.npz")
    }
    return {**hashes, "history": history, **{name: manifest[name] for name in names}}


def told(run: RunDirectory, attempts: int) -> Counter[tuple[Any, ...]]:
    """Count the results that all attempts told."""
    keys = []
    for event in run.earlier_events(attempts + 1):
        epoch, candidate = event.epoch_finished, event.candidate_finished
        match event.WhichOneof("event"):
            case "epoch_finished":
                keys.append(("epoch", epoch.candidate, epoch.epoch, epoch.val_loss, epoch.best))
            case "candidate_finished":
                keys.append(("candidate", candidate.candidate, candidate.value, candidate.best))
            case "split_evaluated":
                keys.append(("split", event.split_evaluated.split, event.split_evaluated.loss))
            case "export_verified" | "early_stopped" as kind:
                keys.append((kind,))
    return Counter(keys)


@pytest.mark.slow
def test_a_job_killed_while_it_exports_only_exports_again(trained: RunDirectory, tmp_path: Path) -> None:
    run, (_, request) = RunDirectory(tmp_path), trained.read_request()

    assert end_at(run, 1, request, entered("EXPORTING"))
    (run.package / "half.onnx").write_bytes(b"left behind")
    result = end(run, 2, request)

    assert result.outcome == "SUCCEEDED", run.log(2).read_text()
    assert result_of(run) == result_of(trained)
    assert result.value == trained.read_result(1).value  # type: ignore[union-attr]
    assert told(run, 2) == told(trained, 1)
    second, _ = read_events(run.events(2), 0)
    assert any(one.HasField("training_resumed") for one in second)
    assert not any(one.HasField("epoch_finished") or one.HasField("checkpoint_written") for one in second)
    assert not (run.package / "half.onnx").exists()


@pytest.mark.slow
def test_a_stopped_job_exports_what_it_has_which_can_be_repeated(trained: RunDirectory, tmp_path: Path) -> None:
    run, (_, request) = RunDirectory(tmp_path / "stopped"), trained.read_request()
    long = {**request, "recipe": {**request["recipe"], "epochs": 10_000}}

    end_at(run, 1, long, lambda events: any(one.HasField("epoch_finished") for one in events), signal.SIGTERM)
    stopped = run.read_result(1)
    result = end(run, 2, {**long, "export_only": True})

    assert stopped is not None
    assert stopped.outcome == "CANCELLED"
    assert result.outcome == "SUCCEEDED", run.log(2).read_text()
    epochs = json.loads((run.package / "history.json").read_text())["epochs"]
    assert len(epochs) == sum(kind[0] == "epoch" for kind in told(run, 2))
    events, _ = read_events(run.events(1), 0)
    last = [one.checkpoint_written for one in events if one.HasField("checkpoint_written")][-1]
    assert last.epoch == len(epochs)

    manifest = json.loads((run.package / "manifest.json").read_text())
    repeated = RunDirectory(tmp_path / "repeated")
    ended = {"plans": manifest["plans"], "stop_after_epochs": manifest["stopped_after_epochs"]}
    assert end(repeated, 1, {**long, **ended}).outcome == "SUCCEEDED", repeated.log(1).read_text()
    assert result_of(repeated) == result_of(run)
    assert json.loads((repeated.package / "manifest.json").read_text())["stopped_after_epochs"] == len(epochs)


@pytest.fixture
def attempt(flowers: Path, resolved: Resolved, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs an attempt at a small job in this process, with changes to the request."""
    from cultivar_trainer.journal import Journal
    from cultivar_trainer.tasks import train

    spec = resolved(epochs=1, batchSize=16)
    run = RunDirectory(tmp_path / "run")

    def attempt(number: int = 1, **changes: Any) -> dict[str, Any]:
        asked = tasks.TrainRequest(
            job="trainingJobs/test",
            recipe=json_format.MessageToDict(spec),
            dataset=str(flowers),
            caches=str(tmp_path / "caches"),
            cache_budget_bytes=1 << 30,
            weights="/nonexistent",
            downloads="/nonexistent",
            **changes,
        )
        with Journal(run.events(number), run.earlier_events(number)) as journal:
            return train.run(run, tasks.to_json(asked), journal)

    run.path.mkdir()
    return attempt


def test_a_job_without_an_epoch_has_nothing_to_export(attempt: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(TaskFailed) as caught:
        attempt(export_only=True)

    assert caught.value.reason == "NOTHING_TO_EXPORT"


def test_a_plan_that_this_host_does_not_have_is_refused(
    attempt: Callable[..., dict[str, Any]], resolved: Resolved, tmp_path: Path
) -> None:
    plan = execution.plan(resolved(batchSize=16))
    files.write_json(tmp_path / "run/plan.json", {**plan.to_json(), "threads": 1000})

    with pytest.raises(TaskFailed, match=r"1000 threads, and the trainer has \d+ core") as caught:
        attempt()

    assert caught.value.reason == "PLAN_NOT_AVAILABLE"


@pytest.mark.slow
def test_a_repeated_run_has_the_plans_of_the_first(
    attempt: Callable[..., dict[str, Any]], resolved: Resolved, tmp_path: Path
) -> None:
    plan = execution.plan(resolved(batchSize=16))
    records = [
        {
            "phase": "TRAINING",
            "candidate": 0,
            "step": step,
            "plan": {**plan.to_json(), "threads": 1, "micro_batch": size},
        }
        for step, size in ((0, 16), (2, 5))
    ]
    threads = torch.get_num_threads()
    try:
        attempt(plans=records)
    finally:
        torch.set_num_threads(threads)

    run = RunDirectory(tmp_path / "run")
    assert json.loads((run.package / "manifest.json").read_text())["plans"] == records
    assert json.loads(run.plan.read_text())["micro_batch"] == 5


def test_a_repeated_run_begins_with_the_plan_that_features_were_computed_under(
    attempt: Callable[..., dict[str, Any]], resolved: Resolved, tmp_path: Path
) -> None:
    plan = execution.plan(resolved(batchSize=16)).to_json()
    records = [
        {"phase": phase, "candidate": 0, "step": 0, "plan": {**plan, "micro_batch": size}}
        for phase, size in (("CACHING_FEATURES", 8), ("CACHING_FEATURES", 4), ("TRAINING", 4))
    ]

    attempt(plans=records)

    manifest = json.loads((tmp_path / "run/package/manifest.json").read_text())
    assert manifest["plans"] == records[2:]


CASES: dict[str, dict[str, Any]] = {
    "scratch": {
        "mode": "SCRATCH",
        "epochs": 300,
        "augmentation": {"horizontalFlip": 0.5, "rotation": 10, "mixup": 0.2},
        "optimizer": {"emaShare": 0.1},
    },
    "batch normalisation": {
        "mode": "SCRATCH",
        "architecture": "resnet20_cifar",
        "epochs": 3,
        "execution": {"microBatch": 7, "threads": 1},
        "schedule": {"kind": "SCHEDULE_KIND_PLATEAU", "plateauPatience": 2, "stepFactor": 0.5},
    },
    "heads at once": {
        "mode": "HEAD",
        "epochs": 150,
        "optimizer": {"learningRates": [1e-4, 1e-2], "weightDecays": [0, 0.1]},
        "execution": {"featureViews": 3},
        "augmentation": {"gaussianNoise": 0.2},
    },
    "heads on pixels": {
        "mode": "HEAD",
        "epochs": 60,
        "optimizer": {"learningRates": [1e-4, 1e-2], "kind": "OPTIMIZER_KIND_SGD", "clipNorm": 1.0, "l1": 1e-5},
        "execution": {"featureCache": "FEATURE_CACHE_OFF"},
    },
    "gradual": {
        "mode": "GRADUAL",
        "epochs": 100,
        "gradual": {"headEpochs": 30},
        "optimizer": {"learningRates": [1e-4, 1e-3]},
        "earlyStopping": {"patience": 40},
    },
    "last blocks": {"mode": "LAST_BLOCKS", "lastBlocks": 1, "epochs": 200, "network": {"headDropout": 0.3}},
}


def requested(case: dict[str, Any], trained: RunDirectory, flowers: Path, folder: Path) -> dict[str, Any]:
    """Return a request to train from the small model's weights, or without any."""
    parent = json.loads((trained.package / "manifest.json").read_text())
    spec = {"dataset": "flowers", "architecture": "lenet5", "weights": "parent", "batchSize": 16, **case}
    if case["mode"] == "SCRATCH":
        spec["weights"] = ""
    message = json_format.ParseDict({**spec, "mode": f"FINE_TUNING_MODE_{case['mode']}"}, pb.TrainingSpec())
    resolution = recipe.resolve(
        message,
        recipe.Facts(
            dataset=recipe.DatasetFacts(
                name="datasets/flowers/versions/1",
                class_ids=tuple(sorted(species.id for species in procedural_flowers.SPECIES)),
                counts={"train": (12,) * 5, "val": (4,) * 5, "test": (4,) * 5},
            ),
            source=recipe.SourceFacts(
                name="models/parent/versions/1", recipe=json_format.ParseDict(parent["recipe"], pb.TrainingSpec())
            )
            if spec["weights"]
            else None,
        ),
    )
    assert not resolution.violations, resolution.violations
    asked = tasks.TrainRequest(
        job="trainingJobs/test",
        recipe=json_format.MessageToDict(resolution.recipe),
        dataset=str(flowers),
        caches=str(folder / "caches"),
        cache_budget_bytes=1 << 30,
        weights="/nonexistent",
        downloads="/nonexistent",
        source=str(trained.package) if spec["weights"] else "",
    )
    return tasks.to_json(asked)


@pytest.mark.slow
def test_a_repetition_may_end_while_the_head_learns_alone(trained: RunDirectory, flowers: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    case = {"mode": "GRADUAL", "epochs": 3, "gradual": {"headEpochs": 2}}

    result = end(run, 1, {**requested(case, trained, flowers, tmp_path), "stop_after_epochs": 1})

    assert result.outcome == "SUCCEEDED", run.log(1).read_text()
    assert [one["phase"] for one in json.loads((run.package / "history.json").read_text())["epochs"]] == ["HEAD_WARMUP"]


def moments(seed: int) -> Iterator[tuple[Moment, signal.Signals]]:
    """Yield when and how attempts end: each phase once, and in between at random, half of them on request."""
    draw = random.Random(seed)
    for phase in ("PREPARING", "CACHING_FEATURES", "HEAD_WARMUP", "TRAINING", "EXPORTING", "EVALUATING"):
        how = draw.choice((signal.SIGKILL, signal.SIGTERM))
        yield seconds_after(entered("TRAINING"), draw.uniform(0, 3)), how
        yield entered(phase), signal.SIGKILL


@pytest.mark.all
@pytest.mark.parametrize("case", CASES)
def test_a_job_killed_in_each_phase_and_in_between_comes_to_the_same_bytes(
    case: str, trained: RunDirectory, flowers: Path, tmp_path: Path
) -> None:
    undisturbed, killed = (RunDirectory(tmp_path / name) for name in ("undisturbed", "killed"))
    requests = [requested(CASES[case], trained, flowers, one.path) for one in (undisturbed, killed)]
    assert end(undisturbed, 1, requests[0]).outcome == "SUCCEEDED", undisturbed.log(1).read_text()

    number = itertools.count(1)
    for moment, how in moments(seed=len(case)):
        attempt = next(number)
        end_at(killed, attempt, requests[1], moment, how)
        result = killed.read_result(attempt)
        assert result is None or result.outcome != "FAILED", killed.log(attempt).read_text()
    attempt = next(number)
    assert end(killed, attempt, requests[1]).outcome == "SUCCEEDED", killed.log(attempt).read_text()

    assert result_of(killed) == result_of(undisturbed)
    assert told(killed, attempt) == told(undisturbed, 1)

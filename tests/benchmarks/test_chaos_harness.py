"""The chaos harness itself: what it plans, and that it sees what it is there to see."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.chaos import aftermath, results, trainers, workload
from benchmarks.chaos.disturber import plan
from benchmarks.chaos.service import ServiceProcess
from benchmarks.chaos.trainers import LivingTrainer
from benchmarks.chaos.violations import Violations
from benchmarks.chaos.whereabouts import Place, Whereabouts
from cultivar.v1 import event_pb2, state_pb2
from cultivar_contract import files
from cultivar_contract.run_directory import EventWriter, Result, RunDirectory

KEY = "0" * 32


def package(folder: Path, *, weight: float = 1.0, seconds: float = 1.0) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    np.savez(folder / "weights.npz", weight=np.array([weight]))
    np.savez(folder / "predictions.npz", val_label=np.array([1]))
    files.write_json(folder / "history.json", {"epochs": [{"val_loss": 0.5, "train_seconds": seconds}]})
    manifest = {
        "variants": [{"metrics": {}}],
        "best_epoch": 1,
        "selected": {},
        "dataset": {"digest": "d"},
        "golden": [],
        "freeze_digest": "",
    }
    files.write_json(folder / "manifest.json", manifest)
    return folder


def epoch(number: int, **fields: float) -> event_pb2.JobEvent:
    return event_pb2.JobEvent(epoch_finished=event_pb2.EpochFinished(epoch=number, **fields))


def test_a_seed_draws_the_same_kills_again_within_their_gaps() -> None:
    kills = plan(random.Random(7), 50, (3.0, 20.0))

    assert kills == plan(random.Random(7), 50, (3.0, 20.0))
    assert all(3.0 <= kill.not_before_s <= kill.not_after_s <= 20.0 for kill in kills)
    assert {aim for kill in kills for aim in kill.aims} >= {
        Place.START_UP,
        Place.IMPORT,
        Place.CHECKPOINT,
        Place.EXPORT,
        Place.PUBLISH,
    }


def test_a_kill_that_aims_at_a_start_follows_one_that_ends_the_service() -> None:
    kills = plan(random.Random(8), 40, (3.0, 20.0))

    aimed = [number for number, kill in enumerate(kills) if kill.aims == (Place.START_UP,)]
    assert aimed
    assert all(number > 0 and kills[number - 1].takes_service for number in aimed)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[LivingTrainer]:
    """A process that the kernel lists as a trainer on data/runs/1."""
    data = tmp_path / "service" / "data"
    run = data / "runs" / "1"
    command = [sys.executable, "-c", "import time; time.sleep(60)", "cultivar_trainer", "train", str(run)]
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 10
    while not (found := trainers.living(data)) and time.monotonic() < deadline:
        time.sleep(0.01)
    yield found[0]
    process.kill()
    process.wait()


def test_a_living_trainer_is_found_by_its_run_directory_and_killed(sleeper: LivingTrainer) -> None:
    data = sleeper.run.parents[1]

    assert (sleeper.task, sleeper.run.name) == ("train", "1")
    assert trainers.kill(sleeper, data)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not trainers.kill(sleeper, data)
    assert not trainers.living(data)


def test_a_trainers_place_is_read_from_its_files(sleeper: LivingTrainer, tmp_path: Path) -> None:
    run = RunDirectory(sleeper.run)
    whereabouts = Whereabouts(ServiceProcess(folder=tmp_path / "service", sources=tmp_path))

    assert whereabouts.look() == {Place.PREPARATION: run.path}
    with EventWriter(run.events(2)) as events:
        events.write(event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_TRAINING))
        assert whereabouts.look() == {Place.TRAINING: run.path}
        run.checkpoint.mkdir()
        (run.checkpoint / f".last.pt.{KEY}").touch()
        assert Place.CHECKPOINT in whereabouts.look()
        (run.checkpoint / f".last.pt.{KEY}").rename(run.checkpoint / "last.pt")
        events.write(event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_EVALUATING))
        assert whereabouts.look() == {Place.EXPORT: run.path}
    run.write_result(Result(attempt=2, outcome="SUCCEEDED", value={}))
    assert Place.PUBLISH in whereabouts.look()


def test_times_may_differ_between_two_results_and_nothing_else(tmp_path: Path) -> None:
    first = results.result(package(tmp_path / "a"), [epoch(1, train_seconds=1.0)])
    slower = results.result(package(tmp_path / "b", seconds=9.0), [epoch(1, train_seconds=9.0)])
    other = results.result(package(tmp_path / "c", weight=1.0000001), [epoch(1), epoch(1)])

    assert results.differences(first, slower) == []
    assert [text.split(":")[0] for text in results.differences(first, other)] == ["weights.npz", "epoch_finished"]


def test_what_belongs_to_nobody_is_found_on_the_disk(tmp_path: Path) -> None:
    names = {"trainingJobs/known", "models/flowers/versions/1"}
    for folder in ("scratch", "imports/lost", "runs/known", "runs/unknown", "models/flowers/1", "models/flowers/2"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs" / "known" / f".plan.json.{KEY}").touch()
    (tmp_path / "runs" / "known" / "plan.json").touch()

    found = {str(path.relative_to(tmp_path)) for path in aftermath.leftovers(tmp_path, names)}

    assert found == {"imports/lost", "runs/unknown", "models/flowers/2", f"runs/known/.plan.json.{KEY}"}


def test_a_violation_keeps_its_evidence_and_counts_once(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("why\n")
    violations = Violations(tmp_path / "evidence")

    for _ in range(2):
        violations.add("no lost job", "a job is gone", [log, tmp_path / "gone"])

    assert [one.text for one in violations.found] == ["a job is gone"]
    assert (tmp_path / "evidence" / "001-no-lost-job" / "0-service.log").read_text() == "why\n"


def test_recipes_that_start_from_another_bring_it_along() -> None:
    assert [recipe.name for recipe in workload.chosen(["head", "residual"])] == ["residual", "head"]
    with pytest.raises(ValueError, match="'residual' is missing"):
        workload.chosen(["head"])

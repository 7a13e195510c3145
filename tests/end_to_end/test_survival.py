import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from end_to_end_service import TRAIN, RunningService

StartService = Callable[[], RunningService]


def trainers(service: RunningService) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-f", f"cultivar_trainer train {service.data}"], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def wait_for(service: RunningService, job: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        state: dict[str, Any] = json.loads(service.cultivar(f"jobs show {job} --json"))
        if condition(state):
            return state
        time.sleep(0.2)
    raise AssertionError(state)


@pytest.mark.slow
def test_a_job_survives_the_killing_of_the_service(start_service: StartService) -> None:
    service = start_service()
    service.cultivar("datasets create flowers --folder flowers")
    job = service.cultivar(f"{TRAIN} --epochs 300 --detach").split()[-1].strip()
    wait_for(service, job, lambda state: state.get("latestEpoch", {}).get("epoch", 0) >= 3)
    assert f'job="{job.removeprefix("trainingJobs/")}"' in service.metrics()
    trainer = trainers(service)
    assert len(trainer) == 1

    service.kill()
    assert trainers(service) == trainer
    service.start()

    assert trainers(service) == trainer
    events = [json.loads(line) for line in service.cultivar(f"jobs watch {job} --json").splitlines()]
    epochs = [event["epochFinished"]["epoch"] for event in events if "epochFinished" in event]
    assert epochs == list(range(1, 301))
    assert [int(event["number"]) for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["stateChanged"]["state"] == "TRAINING_JOB_STATE_SUCCEEDED"
    assert service.stop() == 0


@pytest.mark.slow
def test_a_cancelled_jobs_trainer_is_gone_within_ten_seconds_and_its_log_stays(start_service: StartService) -> None:
    service = start_service()
    service.cultivar("datasets create flowers --folder flowers")
    job = service.cultivar(f"{TRAIN} --epochs 10000 --detach").split()[-1].strip()
    wait_for(service, job, lambda state: state.get("latestEpoch", {}).get("epoch", 0) >= 1)

    service.cultivar(f"jobs cancel {job}")

    deadline = time.monotonic() + 10
    while trainers(service):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    wait_for(service, job, lambda state: state["state"] == "TRAINING_JOB_STATE_CANCELLED")
    assert "epoch 1/10000" in service.cultivar(f"jobs logs {job}")


@pytest.mark.slow
def test_a_trainer_that_is_killed_is_followed_by_another(start_service: StartService) -> None:
    service = start_service()
    service.cultivar("datasets create flowers --folder flowers")
    job = service.cultivar(f"{TRAIN} --epochs 30 --detach").split()[-1].strip()
    wait_for(service, job, lambda state: state.get("latestEpoch", {}).get("epoch", 0) >= 1)

    os.kill(trainers(service)[0], signal.SIGKILL)

    ended = wait_for(service, job, lambda state: state["state"] == "TRAINING_JOB_STATE_SUCCEEDED")
    assert ended["attempt"] == 2
    assert ended["latestEpoch"]["epoch"] == 30


@pytest.mark.slow
def test_a_paused_job_has_no_trainer_and_succeeds_when_it_is_resumed(start_service: StartService) -> None:
    service = start_service()
    service.cultivar("datasets create flowers --folder flowers")
    job = service.cultivar(f"{TRAIN} --epochs 30 --detach").split()[-1].strip()
    wait_for(service, job, lambda state: state.get("latestEpoch", {}).get("epoch", 0) >= 1)

    service.cultivar(f"jobs pause {job}")
    wait_for(service, job, lambda state: state["state"] == "TRAINING_JOB_STATE_PAUSED")
    while_paused = trainers(service)
    service.cultivar(f"jobs resume {job}")
    ended = wait_for(service, job, lambda state: state["state"] == "TRAINING_JOB_STATE_SUCCEEDED")

    assert while_paused == []
    assert ended["attempt"] == 2

"""`cultivar tensorboard` over a real job, with the real TensorBoard."""

import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from end_to_end_service import BIN, TRAIN, RunningService

STEPS = "Loss/validation"


@pytest.fixture
def show(service: RunningService) -> Iterator[Callable[..., str]]:
    """Starts `cultivar tensorboard` and returns its URL; it is interrupted at the end."""
    started: list[subprocess.Popen[str]] = []

    def show(*jobs: str) -> str:
        process = subprocess.Popen(
            [str(BIN / "cultivar"), "tensorboard", *jobs, "--port", "0", "--json"],
            env={**os.environ, "CULTIVAR_ADDRESS": service.address},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return str(json.loads(process.stdout.readline())["url"])

    yield show
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stdout is not None
        process.stdout.close()


def asked(url: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{url}data/plugin/{path}?{urllib.parse.urlencode(query)}", timeout=30) as response:
        return json.load(response)


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


@pytest.mark.slow
def test_tensorboard_shows_a_finished_job_and_one_that_runs(service: RunningService, show: Callable[..., str]) -> None:
    finished = json.loads(service.cultivar("jobs list --json"))["trainingJobs"][-1]["name"]
    running = service.cultivar(f"{TRAIN.replace('--epochs 2', '--epochs 2000')} --detach").split()[0]
    runs = [one.removeprefix("trainingJobs/") for one in (finished, running)]

    url = show(finished, running)

    def points(run: str) -> list[int]:
        if STEPS not in asked(url, "scalars/tags").get(run, {}):
            return []
        return [step for _, step, _ in asked(url, "scalars/scalars", tag=STEPS, run=run)]

    tags = wait_for(lambda: asked(url, "scalars/tags").get(runs[0]))
    assert {"Loss/train", "Accuracy/train", "Accuracy/validation", "Learning rate"} <= set(tags)
    assert wait_for(lambda: points(runs[0])) == [1, 2]
    early = wait_for(lambda: points(runs[1]))
    later = wait_for(lambda: (now := points(runs[1]))[-1] > early[-1] and now)
    assert later == list(range(1, later[-1] + 1)), "no point twice, none missing"
    service.cultivar(f"jobs cancel {running}")


@pytest.mark.slow
def test_a_job_without_points_is_told_of(service: RunningService) -> None:
    told = service.cultivar(f"{TRAIN} --set diagnostics.tensorboard=false --detach")
    job = told.split()[0]
    service.cultivar(f"jobs watch {job}")

    said = service.cultivar(f"tensorboard {job}", expect=1)

    assert "diagnostics.tensorboard" in said

"""A real service process with a real trainer."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from end_to_end_service import TRAIN, RunningService


@pytest.fixture(scope="session")
def start_service(
    flowers_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], RunningService]]:
    """Starts services that are stopped, with their trainers, at the end."""
    started: list[RunningService] = []

    def start() -> RunningService:
        service = RunningService(tmp_path_factory.mktemp("service"))
        (service.folder / "weights").mkdir()
        (service.folder / "sources").mkdir()
        shutil.copytree(flowers_folder, service.folder / "sources" / "flowers")
        service.start()
        started.append(service)
        return service

    yield start
    for service in started:
        if service.process.poll() is None:
            service.stop()
        subprocess.run(["pkill", "-KILL", "-f", f"cultivar_trainer .*{service.data}"], check=False)


@pytest.fixture(scope="session")
def service(start_service: Callable[[], RunningService]) -> RunningService:
    """A service with one data set and one model, made through the command."""
    service = start_service()
    service.cultivar("datasets create flowers --folder flowers")
    service.cultivar(TRAIN)
    return service

"""The jobs of a service without the rest of it, so that a test can bring its own placement or comparison."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from running_service import eventually, make_spec

from cultivar.v1 import training_pb2, training_spec_pb2
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.models import Publication
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.placement.gpus import GpuReader
from cultivar_service.placement.host import HostReader
from cultivar_service.placement.memory_needs import MemoryNeeds
from cultivar_service.placement.occupancy import Occupancy
from cultivar_service.placement.placement import Placement
from cultivar_service.telemetry.metrics import Metrics, PlacementMetrics
from cultivar_service.trainers.executor import Executor
from cultivar_service.training.jobs import Jobs
from cultivar_service.training.reproductions import Reproductions


class AnyPackage:
    """Makes a version of whatever a trainer leaves."""

    async def publish(self, job: training_pb2.TrainingJob, package: Path) -> Publication:
        return Publication(model_version="models/flowers/versions/1")


@asynccontextmanager
async def jobs_of(
    config: Config, *, placement: Placement | None = None, reproductions: Reproductions | None = None
) -> AsyncIterator[Jobs]:
    storage, catalog = DataDirectory(config), Catalog(config.catalog)
    executor = Executor(config.trainer_command, grace_s=1.0)
    found = Jobs(
        config,
        catalog,
        storage,
        executor,
        AnyPackage(),
        Metrics(),
        placement or placement_without_gpus(config, catalog),
        reproductions or Reproductions(config, catalog),
    )
    await found.start()
    try:
        yield found
    finally:
        await found.close()
        catalog.close()
        storage.close()


def placement_without_gpus(config: Config, catalog: Catalog) -> Placement:
    occupancy = Occupancy(config, GpuReader(visible=""), HostReader(config.runs), serves_on_gpu=False)
    return Placement(config, occupancy, MemoryNeeds(catalog), PlacementMetrics(CollectorRegistry()))


async def create(found: Jobs, *, reproduces: str = "", **fields: Any) -> str:
    recipe = make_spec(
        dataset="datasets/flowers/versions/1",
        batch_size=32,
        input=training_spec_pb2.InputSpec(size=32, channels=3),
        **fields,
    )
    return jobs.identifier(await found.creation.create(recipe, recipe, [], "", creator="", reproduces=reproduces))


async def when(
    found: Jobs, job_id: str, holds: Callable[[training_pb2.TrainingJob], object]
) -> training_pb2.TrainingJob:
    """Wait until something holds for a job."""

    async def seen() -> training_pb2.TrainingJob | None:
        job = await found.get(job_id)
        return job if holds(job) else None

    return await eventually(seen)

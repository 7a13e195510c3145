"""Publishes packages as finished jobs would, without the jobs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from running_service import Client, make_config, running

from cultivar.v1 import training_pb2, training_spec_pb2
from cultivar_service.catalog.models import Publication
from cultivar_service.server import Service

ALWAYS = training_spec_pb2.PUBLISH_POLICY_ALWAYS
NEVER = training_spec_pb2.PUBLISH_POLICY_NEVER
FIRST_OR_BETTER = training_spec_pb2.PUBLISH_POLICY_FIRST_OR_BETTER


async def publish(
    service: Service, folder: Path, *, policy: int = FIRST_OR_BETTER, model: str = "flowers", job: str | None = None
) -> Publication:
    """Publish a package as the job of that name would; the package moves away."""
    recipe = training_spec_pb2.TrainingSpec(model=model, publish=policy, architecture="lenet5")
    name = f"trainingJobs/{job or folder.name}"
    return await service.publisher.publish(training_pb2.TrainingJob(name=name, recipe=recipe), folder)


@asynccontextmanager
async def published(
    config_folder: Path, packages: Sequence[Path], **settings: object
) -> AsyncIterator[tuple[Service, Client]]:
    """Run a service whose model `flowers` has these versions; the first is live."""
    async with running(make_config(config_folder, **settings)) as (service, client):
        for index, folder in enumerate(packages):
            await publish(service, folder, policy=NEVER if index else FIRST_OR_BETTER)
        yield service, client

"""Who asks the service for data sets and models, repeats what was not acknowledged, and follows what was."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.chaos.results import Result, differences, result
from benchmarks.chaos.service import ServiceProcess
from benchmarks.chaos.violations import Violations
from benchmarks.chaos.workload import Import, Recipe
from cultivar.v1 import dataset_pb2, event_pb2, state_pb2, training_pb2
from cultivar_client import Client, CultivarError

_AGAIN_S = 0.3
"""Seconds between two tries to reach a service that is down."""
_GONE = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""Statuses of a call that a killed service leaves."""

_IMPORTING = dataset_pb2.DATASET_STATE_IMPORTING

ALIAS = "newest"
"""Points to the version that each model got last."""

Answer = TypeVar("Answer")


@dataclass(slots=True)
class JobOrder:
    """A job that was asked for, and what has become of it."""

    recipe: Recipe
    request_id: str
    weights: str = ""
    name: str = ""
    """Once acknowledged."""
    creates: int = 0
    """How often it was asked for."""
    events: list[event_pb2.JobEvent] = field(default_factory=list, repr=False)
    """As a watcher saw them who goes on after the last one seen."""
    job: training_pb2.TrainingJob | None = field(default=None, repr=False)
    """Once it has ended."""
    result: Result = field(default_factory=dict, repr=False)
    """What it made; empty where it made nothing."""
    seconds: float = 0.0
    """From the acknowledgement to the end."""


@dataclass(slots=True)
class ImportOrder:
    """An import that was asked for."""

    source: Import
    request_id: str
    name: str = ""
    digest: str = ""
    """Once READY."""
    lost: bool = False
    """Whether it ended because its trainer was killed."""


class Customer:
    """Asks for imports and jobs through the public API."""

    def __init__(
        self, service: ServiceProcess, violations: Violations, *, expected: dict[str, Result], digests: dict[str, str]
    ) -> None:
        """Take the service, and what must come out by recipe and by import; empty: whatever comes is right."""
        self._service = service
        self._violations = violations
        self._expected = expected
        self._digests = digests
        self._finished: dict[str, str] = {}
        self._client: Client | None = None
        self.jobs: list[JobOrder] = []
        self.imports: list[ImportOrder] = []
        self.heard = time.monotonic()
        """When the last event of any job came, by the monotonic clock."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Customer"]:
        """Keep a connection, which finds the service again after each start."""
        async with Client(self._service.address) as client:
            self._client = client
            yield self

    def can_order(self, recipe: Recipe) -> bool:
        """Tell whether what the recipe starts from is finished."""
        return not recipe.starts_from or recipe.starts_from in self._finished

    async def order_job(self, recipe: Recipe) -> JobOrder:
        """Ask for a job and follow it to its end; what is wrong with it becomes a violation."""
        weights = self._finished[recipe.starts_from] if recipe.starts_from else ""
        order = JobOrder(recipe, uuid.uuid4().hex, weights)
        self.jobs.append(order)
        order.name = (await self._create(order)).name
        asked = time.monotonic()
        await self._follow(order)
        order.job = await self.ask(lambda: self.client.get_training_job(order.name))
        order.seconds = time.monotonic() - asked
        repeated = await self._create(order)
        if repeated.name != order.name:
            self._violations.add(
                "one job per request", f"request {order.request_id} made {order.name}, {repeated.name}"
            )
        await self._judge(order, order.job)
        return order

    async def order_import(self, source: Import) -> ImportOrder:
        """Ask for an import and wait for its end."""
        order = ImportOrder(source, uuid.uuid4().hex)
        self.imports.append(order)

        def create() -> Awaitable[dataset_pb2.Dataset]:
            return self.client.create_dataset(
                source.name,
                builtin=source.builtin,
                folder=source.folder,
                split_seed=source.split_seed,
                request_id=order.request_id,
            )

        order.name = (await self.ask(create)).name
        found = await self.ask(lambda: self.client.get_dataset(order.name))
        while found.state == _IMPORTING:
            await asyncio.sleep(_AGAIN_S)
            found = await self.ask(lambda: self.client.get_dataset(order.name))
        order.digest = found.digest
        if found.state == dataset_pb2.DATASET_STATE_FAILED:
            order.lost = found.error.reason == "TRAINER_LOST"
            if not order.lost:
                evidence = self._service.data / "imports" / order.name.rpartition("/")[2]
                self._violations.add("no lost import", f"{order.name}: {found.error}", [evidence, self._service.log])
        elif self._digests and order.digest != self._digests[source.name]:
            self._violations.add("same data set", f"{found.name}: {order.digest}, not {self._digests[source.name]}")
        return order

    async def ask(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a call, again and again while the service is down.

        Raises:
            CultivarError: the service refused it.
        """
        while True:
            try:
                return await call()
            except CultivarError as error:
                if error.code not in _GONE:
                    raise
            await asyncio.sleep(_AGAIN_S)

    @property
    def client(self) -> Client:
        """The connection."""
        assert self._client is not None
        return self._client

    async def _create(self, order: JobOrder) -> training_pb2.TrainingJob:
        def create() -> Awaitable[training_pb2.TrainingJob]:
            order.creates += 1
            return self.client.create_training_job(order.recipe.request(order.weights), request_id=order.request_id)

        return await self.ask(create)

    async def _events(self, name: str) -> AsyncIterator[event_pb2.JobEvent]:
        """Yield a job's events to its end; each new stream goes on after the last event seen."""
        cursor = 0
        while True:
            try:
                async for event in self.client.watch_training_job(name, after_event=cursor):
                    if not event.HasField("heartbeat"):
                        cursor = event.number
                        yield event
                return
            except CultivarError as error:
                if error.code not in _GONE:
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self, order: JobOrder) -> None:
        async for event in self._events(order.name):
            last = order.events[-1].number if order.events else 0
            if event.number != last + 1:
                self._violations.add("events without gaps", f"{order.name}: event {event.number} came after {last}")
            order.events.append(event)
            self.heard = time.monotonic()

    async def _judge(self, order: JobOrder, job: training_pb2.TrainingJob) -> None:
        evidence = [self._service.data / "runs" / job.name.rpartition("/")[2], self._service.log]
        if job.state != state_pb2.TRAINING_JOB_STATE_SUCCEEDED:
            state = state_pb2.TrainingJobState.Name(job.state)
            text = f"{order.recipe.name}, {job.name}: {state} {job.error.reason}: {job.error.message}"
            self._violations.add("no lost job", text, evidence)
            return
        if [event async for event in self._events(order.name)] != order.events:
            self._violations.add("events stay", f"{job.name}: its log says other than its watcher saw", evidence)
        _, model, _, version = job.model_version.split("/")
        package = self._service.data / "models" / model / version
        try:
            order.result = await asyncio.to_thread(result, package, order.events)
        except (OSError, ValueError, KeyError) as error:
            self._violations.add("whole packages", f"{job.model_version}: {error!r}", [package, *evidence])
            return
        self._finished[order.recipe.name] = job.model_version
        await self.ask(lambda: self.client.set_model_alias(model, ALIAS, job.model_version))
        expected = self._expected.get(order.recipe.name, order.result)
        for difference in differences(expected, order.result):
            text = f"{order.recipe.name}, {job.name}, {job.model_version}: {difference}"
            self._violations.add("same result", text, [package, *evidence])

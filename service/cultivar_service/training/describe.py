"""Describes architectures by building them in a short-lived trainer process."""

import asyncio
import tempfile
from collections import OrderedDict
from pathlib import Path

from google.protobuf import json_format

from cultivar.v1 import architecture_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_contract.tasks import DescribeRequest, to_json
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import DeadlineExceeded, Unavailable
from cultivar_service.training.executor import Executor, launch

_MAX_RUNNING = 2
_MAX_REMEMBERED = 64


class Descriptions:
    """Descriptions that were asked for lately, and how to make others."""

    def __init__(self, config: Config, storage: DataDirectory, executor: Executor) -> None:
        self._config = config
        self._storage = storage
        self._executor = executor
        self._slots = asyncio.Semaphore(_MAX_RUNNING)
        self._remembered: OrderedDict[DescribeRequest, architecture_pb2.ArchitectureDescription] = OrderedDict()

    async def describe(self, request: DescribeRequest) -> architecture_pb2.ArchitectureDescription:
        """Return one network's description.

        Raises:
            TrainerNotInstalled, DeadlineExceeded, Unavailable: it can't be made.
        """
        if request not in self._remembered:
            self._executor.check_installed()
            self._storage.check_free_space()
            async with self._slots:
                if request not in self._remembered:
                    self._remembered[request] = await self._make(request)
        self._remembered.move_to_end(request)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return self._remembered[request]

    async def _make(self, request: DescribeRequest) -> architecture_pb2.ArchitectureDescription:
        name = request.spec().architecture
        with tempfile.TemporaryDirectory(dir=self._config.scratch) as folder:
            directory = RunDirectory(Path(folder))
            await asyncio.to_thread(directory.write_request, 1, to_json(request))
            trainer = await launch(lambda: self._executor.start("describe", directory, 1))
            try:
                async with asyncio.timeout(self._config.describe_deadline_s):
                    await trainer.supervise(cancel=asyncio.Event(), on_tick=_nothing)
            except TimeoutError as error:
                raise DeadlineExceeded(
                    f"{name} was not described within {self._config.describe_deadline_s:g} s: "
                    "try again when the host is less busy",
                    reason="DESCRIBE_TIMEOUT",
                ) from error
            finally:
                await trainer.kill()
            try:
                result = directory.read_result(1)
            except ValueError:
                result = None
            if result is None or result.outcome != "SUCCEEDED":
                raise Unavailable(
                    f"{name} could not be described: "
                    f"{result.message if result else 'the trainer ended without a result'}",
                    reason=(result.reason if result else "") or "TRAINER_LOST",
                    retry_after_s=5,
                )
            return json_format.ParseDict(
                result.value, architecture_pb2.ArchitectureDescription(), ignore_unknown_fields=True
            )


async def _nothing() -> None:
    """Describing tells nothing on its way."""

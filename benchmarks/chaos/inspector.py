"""Looks at the service from outside while it is disturbed: one trainer per run, whole versions, right answers."""

import asyncio
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.chaos import trainers
from benchmarks.chaos.service import ServiceProcess
from benchmarks.chaos.violations import Violations
from cultivar.v1 import model_pb2
from cultivar_client import Client, CultivarError
from cultivar_contract import package
from cultivar_contract.package import DamagedPackage

_TRAINERS_EVERY_S = 0.2
_MODELS_EVERY_S = 1.0
_REFUSALS = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
"""Statuses that a service which is killed, or has much to do, may answer."""
READY = model_pb2.MODEL_VERSION_STATE_READY


class Inspector:
    """Looks for what must never be seen."""

    def __init__(self, service: ServiceProcess, violations: Violations) -> None:
        self._service = service
        self._violations = violations
        self._verified: set[str] = set()
        self._verified_since = 0.0
        self.looks = 0
        """How often all models were looked at."""
        self.predictions = 0
        """Images that were classified right."""

    async def watch_trainers(self) -> None:
        """Look again and again that no two trainers live on one run directory."""
        while True:
            by_run = defaultdict(list)
            for trainer in await asyncio.to_thread(trainers.living, self._service.data):
                by_run[trainer.run].append(trainer)
            for run, found in by_run.items():
                if len(found) > 1:
                    text = f"{run.name}: {', '.join(f'{one.task} {one.pid}' for one in found)} at a time"
                    self._violations.add("no second trainer", text, [run, self._service.log])
            await asyncio.sleep(_TRAINERS_EVERY_S)

    async def watch_models(self) -> None:
        """Look again and again at all models, whenever the service answers."""
        async with Client(self._service.address, timeout_s=10.0) as client:
            while True:
                await asyncio.sleep(_MODELS_EVERY_S)
                if self._service.serving:
                    try:
                        await self.look_at_models(client)
                    except CultivarError as error:
                        if error.code not in _REFUSALS:
                            self._violations.add("clean answers", f"{error.code}: {error}", [self._service.log])

    async def look_at_models(self, client: Client) -> list[model_pb2.ModelVersion]:
        """Look at every model and version, and have an image classified by each live one; return all versions.

        Raises:
            CultivarError: the service has gone, or refused something.
        """
        if self._verified_since != self._service.started:  # a new service may have changed what an earlier one left
            self._verified.clear()
            self._verified_since = self._service.started
        everything = []
        makers: dict[str, str] = {}
        async for model in client.list_models():
            versions = [version async for version in client.list_model_versions(model.name)]
            everything += versions
            names = [version.name for version in versions]
            if len(names) != len(set(names)):
                self._violations.add("numbers without doubles", f"{model.name} has {', '.join(names)}")
            for version in versions:
                other = makers.setdefault(version.training_job, version.name)
                if other != version.name:
                    self._violations.add("one version per job", f"{version.training_job}: {other}, {version.name}")
                if version.state == READY and version.name not in self._verified:
                    await asyncio.to_thread(self._verify, version)
                    self._verified.add(version.name)
            await self._look_at_live(client, model, {version.name: version for version in versions})
        self.looks += 1
        return everything

    def _verify(self, version: model_pb2.ModelVersion) -> None:
        folder = self._folder(version.name)
        try:
            opened = package.open_package(folder)
            package.verify(opened)
        except DamagedPackage as error:
            self._violations.add("whole versions", f"{version.name} is READY: {error}", [folder, self._service.log])
            return
        told = opened.manifest["variants"][0]["sha256"]
        if told != version.onnx_sha256 or opened.manifest["training_job"] != version.training_job:
            text = f"{version.name} is told as {version.onnx_sha256}, its package says {told}"
            self._violations.add("whole versions", text, [folder / package.MANIFEST])

    async def _look_at_live(
        self, client: Client, model: model_pb2.Model, versions: dict[str, model_pb2.ModelVersion]
    ) -> None:
        targets = [model.live_version, *(alias.model_version for alias in model.aliases)]
        for name in filter(None, targets):
            # A version that was published between the two answers is not among `versions`.
            version = versions.get(name) or await client.get_model_version(name)
            if version.state != READY:
                state = model_pb2.ModelVersionState.Name(version.state)
                self._violations.add("aliases point to READY", f"{model.name}: {name} is {state}", [self._service.log])
        if model.live_version:
            await self._predict(client, model.name, model.live_version)

    async def _predict(self, client: Client, model: str, live: str) -> None:
        try:
            opened = package.open_package(self._folder(live))
            golden = opened.golden[0]
            image = (opened.path / golden.file).read_bytes()
        except (DamagedPackage, OSError) as error:
            self._violations.add("whole versions", f"{live} is live: {error}", [self._folder(live), self._service.log])
            return
        response = await client.predict(model.removeprefix("models/"), [image], all_probabilities=True)
        if response.model_version != live:
            return  # `live` has moved since it was asked for
        answer = response.results[0]
        found, expected = np.array(answer.classification.probabilities), np.array(golden.probabilities)
        if found.shape != expected.shape or np.abs(found - expected).max() > package.GOLDEN_TOLERANCE:
            self._violations.add("right answers", f"{live}: {answer}, not {golden.probabilities}", [self._service.log])
        self.predictions += 1

    def _folder(self, version: str) -> Path:
        _, model, _, number = version.split("/")
        return self._service.data / "models" / model / number

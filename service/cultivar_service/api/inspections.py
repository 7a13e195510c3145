"""The part of ModelService that draws what a network looks at."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import event_pb2
from cultivar.v1 import model_pb2 as pb
from cultivar_contract import package, preprocessing
from cultivar_contract.package import DamagedPackage, Package
from cultivar_contract.preprocessing import Preprocessing, UnreadableImage
from cultivar_contract.tasks import InspectRequest
from cultivar_contract.violations import Violation
from cultivar_service.api.weights import WeightSources
from cultivar_service.caller import Caller
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import parse_dataset, parse_version
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition, InvalidRequest, required, shown
from cultivar_service.serving.pipeline import MAX_IMAGE_BYTES
from cultivar_service.trainers.calls import Calls, Done

PICTURE = "inspection.png"
_WEIGHTS = "weights.npz"
_CHUNK_BYTES = 1 << 20
_MAX_LAYER = 200
"""Characters of a layer's name."""
_MAX_COUNT, _DEFAULT_COUNT = 64, 9
_MAX_STEPS, _DEFAULT_STEPS = 512, 128
_MOST = 2**31 - 1
_RANGES = {
    "channel": (0, _MOST),
    "validation_image": (0, _MOST),
    "count": (1, _MAX_COUNT),
    "steps": (1, _MAX_STEPS),
}
_OF_THE_NETWORK = {
    "INVALID_LAYER": "layer",
    "INVALID_CHANNEL": "channel",
    "INVALID_VALIDATION_IMAGE": "validation_image",
}
"""Fields that only the trainer can judge, by the reasons of its refusals."""
_FIELDS: dict[int, frozenset[str]] = {
    pb.INSPECTION_VIEW_FEATURE_MAPS: frozenset(("layer", "image", "validation_image", "count")),
    pb.INSPECTION_VIEW_FILTERS: frozenset(("count",)),
    pb.INSPECTION_VIEW_EXCITING_IMAGES: frozenset(("layer", "channel", "count")),
    pb.INSPECTION_VIEW_GRADIENT_ASCENT: frozenset(("layer", "channel", "steps", "seed")),
    pb.INSPECTION_VIEW_SEPARATING_CHANNELS: frozenset(("layer", "classes", "count")),
}
"""Fields that say something of each view, beside its name."""
_NEEDS_CHANNEL = (pb.INSPECTION_VIEW_EXCITING_IMAGES, pb.INSPECTION_VIEW_GRADIENT_ASCENT)
_WITHOUT_DATA = (pb.INSPECTION_VIEW_FILTERS, pb.INSPECTION_VIEW_GRADIENT_ASCENT)


class InspectionApi:
    """Answers what ModelService says of inspections."""

    def __init__(self, config: Config, catalog: Catalog, sources: WeightSources, calls: Calls) -> None:
        self._config = config
        self._catalog = catalog
        self._sources = sources
        self._calls = calls
        self._decoding = asyncio.Semaphore(1)

    async def inspect_model(self, request: pb.InspectModelRequest, _: Caller) -> AsyncIterator[pb.InspectionUpdate]:
        """Answer how far an inspection is, then what its picture shows, then the picture in pieces."""
        _check(request)
        version = await self._sources.version(required(request.name, "name"), "name")
        _check_classes(request, version)
        model, number = parse_version(version.name)
        opened = await asyncio.to_thread(_open, self._config.models / model / str(number), version.name)
        task = InspectRequest(
            package=str(opened.path.resolve()),
            dataset=await self._dataset(request, opened, version.name),
            view=request.view,
            layer=request.layer,
            channel=request.channel,
            pixels=await self._pixels(request, opened),
            validation_image=request.validation_image,
            count=request.count if request.HasField("count") else _default_count(request),
            classes=list(request.classes),
            steps=request.steps if request.HasField("steps") else _DEFAULT_STEPS,
            seed=request.seed,
        )
        async with aclosing(self._calls.run(task, what=f"inspecting {version.name}", output=PICTURE)) as updates:
            try:
                async for update in updates:
                    for answer in _answers(update, request, version.name):
                        yield answer
            except FailedPrecondition as error:
                field = _OF_THE_NETWORK.get(error.reason)
                if field is None:
                    raise
                raise InvalidRequest.at(field, error.message, reason=error.reason) from error

    async def _dataset(self, request: pb.InspectModelRequest, opened: Package, name: str) -> str:
        """Return the folder of the images that a version was validated on; empty where they are not needed."""
        if request.view in _WITHOUT_DATA or request.image:
            return ""
        try:
            wanted, digest = str(opened.manifest["recipe"]["dataset"]), str(opened.manifest["dataset"]["digest"])
        except (KeyError, TypeError) as error:
            raise _damaged(name, f"its manifest lacks {error}") from error
        found = await self._catalog.read(lambda connection: datasets.by_digest(connection, digest, wanted))
        if found is None:
            raise FailedPrecondition(
                f"the data set that {name} was trained on, {wanted} with digest {digest[:12]}, is gone: import it "
                "again, or ask for filters, gradient ascent or the feature maps of an image that you send",
                reason="DATASET_GONE",
            )
        reference = parse_dataset(found)
        return str((self._config.datasets / reference.dataset / str(reference.version)).resolve())

    async def _pixels(self, request: pb.InspectModelRequest, opened: Package) -> str:
        """Return the image that a request brings, as the network sees it, in base64; empty where it brings none."""
        if not request.image:
            return ""
        async with self._decoding:  # who waits for a large image holds no thread meanwhile
            return await asyncio.to_thread(_decode, request.image, opened.preprocessing)


def _check(request: pb.InspectModelRequest) -> None:
    used = _FIELDS.get(request.view)
    if used is None:
        names = ", ".join(pb.InspectionView.Name(view).removeprefix("INSPECTION_VIEW_") for view in _FIELDS)
        fact = f"{request.view} is unknown" if request.view else "is required"
        raise InvalidRequest.at("view", f"{fact}: use one of {names}")
    view = pb.InspectionView.Name(request.view).removeprefix("INSPECTION_VIEW_")
    violations = []
    for field, _ in request.ListFields():
        if field.name not in used and field.name not in ("name", "view"):
            message = f"says nothing of {view}: leave it out; {view} takes {', '.join(sorted(used))}"
            violations.append(Violation(field=field.name, message=message))
        elif field.name in _RANGES:
            (low, high), value = _RANGES[field.name], getattr(request, field.name)
            if not low <= value <= high:
                remedy = f"{low} or more" if high == _MOST else f"{low} to {high}"
                violations.append(Violation(field=field.name, message=f"{value} is out of range: use {remedy}"))
    if request.view in _NEEDS_CHANNEL and not request.HasField("channel"):
        violations.append(Violation(field="channel", message=f"is required by {view}: use 0 for the first"))
    if len(request.layer) > _MAX_LAYER:
        message = f"{len(request.layer)} characters: use a layer's name, as `cultivar describe` lists them"
        violations.append(Violation(field="layer", message=message))
    if request.image and request.HasField("validation_image"):
        violations.append(Violation(field="validation_image", message="an image is sent: leave one of the two out"))
    if len(request.image) > MAX_IMAGE_BYTES:
        message = f"the image has {len(request.image)} bytes, more than {MAX_IMAGE_BYTES}: send a smaller one"
        violations.append(Violation(field="image", message=message))
    if violations:
        raise InvalidRequest(violations)


def _check_classes(request: pb.InspectModelRequest, version: pb.ModelVersion) -> None:
    if request.view != pb.INSPECTION_VIEW_SEPARATING_CHANNELS:
        return
    known = {one.id for one in version.classes}
    if len(request.classes) != 2:
        raise InvalidRequest.at("classes", f"{len(request.classes)} are named: name two of the model's classes")
    unknown = [one for one in request.classes if one not in known]
    if unknown:
        some = ", ".join(shown(one.id) for one in version.classes[:5]) + (" ..." if len(known) > 5 else "")
        raise InvalidRequest.at(
            "classes", f"{shown(unknown[0])} is none of the model's {len(known)}: use two of {some}"
        )
    if request.classes[0] == request.classes[1]:
        raise InvalidRequest.at("classes", f"both are {shown(request.classes[0])}: name two different ones")


def _default_count(request: pb.InspectModelRequest) -> int:
    return _MAX_COUNT if request.view == pb.INSPECTION_VIEW_FILTERS else _DEFAULT_COUNT


def _open(folder: Path, name: str) -> Package:
    try:
        opened = package.open_package(folder)
        complete = _WEIGHTS in opened.manifest["files"]
        is_ensemble = opened.is_ensemble
        _ = opened.preprocessing
    except (DamagedPackage, KeyError, TypeError, ValueError) as error:
        raise _damaged(name, f"{type(error).__name__}: {error}") from error
    if is_ensemble:
        raise FailedPrecondition(
            f"{name} is several networks, an ensemble: inspect one of its members", reason="IS_ENSEMBLE"
        )
    if not complete:
        raise FailedPrecondition(
            f"the package of {name} has no {_WEIGHTS}: inspect another version", reason="PACKAGE_WITHOUT_WEIGHTS"
        )
    return opened


def _damaged(name: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(f"{name} can't be inspected: {why}"[:500], reason="PACKAGE_DAMAGED")


def _decode(image: bytes, inputs: Preprocessing) -> str:
    try:
        return base64.b64encode(preprocessing.load(image, inputs).tobytes()).decode()
    except UnreadableImage as error:
        raise InvalidRequest.at("image", str(error), reason=error.reason) from error


def _answers(
    update: event_pb2.Progress | Done, request: pb.InspectModelRequest, name: str
) -> list[pb.InspectionUpdate]:
    if not isinstance(update, Done):
        return [pb.InspectionUpdate(progress=update)]
    value: dict[str, Any] = update.value
    inspection = json_format.ParseDict(value, pb.Inspection(), ignore_unknown_fields=True)
    inspection.model_version, inspection.view = name, request.view
    inspection.size_bytes = len(update.output)
    pieces = (update.output[start : start + _CHUNK_BYTES] for start in range(0, len(update.output), _CHUNK_BYTES))
    return [
        pb.InspectionUpdate(inspection=inspection),
        *(pb.InspectionUpdate(data=piece) for piece in pieces),
    ]

"""The part of TrainingService that draws augmented images."""

from collections.abc import AsyncIterator

from google.protobuf import json_format

from cultivar.v1 import training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe import Facts, resolve
from cultivar_contract.tasks import PreviewRequest
from cultivar_contract.violations import Violation
from cultivar_service.api.lookup import missing_dataset, ready_dataset
from cultivar_service.caller import Caller
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import parse_dataset
from cultivar_service.config import Config
from cultivar_service.errors import InvalidRequest, NotBuilt
from cultivar_service.trainers.calls import Calls

_DEFAULT_COUNT = 8
_MAX_COUNT = 32
_MAX_PIXELS = 64_000_000
"""Of the picture: 192 MB while it is drawn."""
_CHUNK_BYTES = 1 << 20
_USED = ("dataset", "data", "input", "augmentation", "batch_size", "seed", "architecture")
"""Fields that decide what training images look like."""


class PreviewApi:
    """Answers what TrainingService says of augmentation."""

    def __init__(self, config: Config, catalog: Catalog, calls: Calls) -> None:
        self._config = config
        self._catalog = catalog
        self._calls = calls

    async def preview_augmentation(
        self, request: training_pb2.PreviewAugmentationRequest, _: Caller
    ) -> AsyncIterator[training_pb2.PreviewChunk]:
        """Answer a picture of augmented images, in pieces."""
        dataset = await ready_dataset(self._catalog, request.spec.dataset, "spec.dataset")
        facts = Facts(dataset=None if dataset is None else datasets.facts(dataset))
        resolution = resolve(_images_of(request.spec), facts)
        violations = [Violation(field=f"spec.{one.field}", message=one.message) for one in resolution.violations]
        if dataset is None:
            violations.insert(0, missing_dataset("spec.dataset"))
        images = request.images if request.HasField("images") else _DEFAULT_COUNT
        columns = request.columns if request.HasField("columns") else _DEFAULT_COUNT
        for name, value in (("images", images), ("columns", columns)):
            if not 1 <= value <= _MAX_COUNT:
                message = f"{value} is out of range: use 1 to {_MAX_COUNT}"
                violations.append(Violation(field=name, message=message))
        pixels = images * (columns + 1) * resolution.recipe.input.size**2
        if not violations and pixels > _MAX_PIXELS:
            message = f"{images} rows of {columns + 1} images are {pixels} pixels, more than {_MAX_PIXELS}: use fewer"
            violations.append(Violation(field="images", message=message))
        if dataset is None or violations:
            raise InvalidRequest(violations)
        if resolution.unbuilt:
            raise NotBuilt([Violation(field=f"spec.{one.field}", message=one.message) for one in resolution.unbuilt])
        reference = parse_dataset(dataset.name)
        task = PreviewRequest(
            recipe=json_format.MessageToDict(resolution.recipe),
            dataset=str((self._config.datasets / reference.dataset / str(reference.version)).resolve()),
            images=images,
            columns=columns,
        )
        done = await self._calls.result(task, what=f"drawing images of {dataset.name}", output="preview.png")
        for start in range(0, len(done.output), _CHUNK_BYTES):
            data = done.output[start : start + _CHUNK_BYTES]
            yield training_pb2.PreviewChunk(data=data, size_bytes=0 if start else len(done.output))


def _images_of(spec: pb.TrainingSpec) -> pb.TrainingSpec:
    """Return the part of a spec that decides what training images look like; the rest needs no weights."""
    part = pb.TrainingSpec(mode=pb.FINE_TUNING_MODE_SCRATCH)
    for name in _USED:
        if spec.DESCRIPTOR.fields_by_name[name].message_type is not None:
            getattr(part, name).CopyFrom(getattr(spec, name))
        elif spec.HasField(name):
            setattr(part, name, getattr(spec, name))
    # How numbers become the network's input shows in no picture, and may need weights.
    part.input.ClearField("normalisation")
    part.input.ClearField("normalisation_ratio")
    if not part.architecture:
        part.architecture = "lenet5" if 1 <= part.input.size < 32 else "resnet18"
    return part

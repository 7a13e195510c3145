"""The part of TrainingService that tells what can be asked for: networks and fields."""

from cultivar.v1 import architecture_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract.architectures import ARCHITECTURES, MAX_INPUT_SIZE, Architecture
from cultivar_contract.spec_fields import FIELDS
from cultivar_contract.tasks import DescribeRequest
from cultivar_contract.violations import Violation
from cultivar_service.api.caller import Caller
from cultivar_service.errors import InvalidRequest, NotBuilt, NotFound, required
from cultivar_service.training.describe import Descriptions

_MAX_CLASSES = 100_000
_MODES = {
    spec_pb2.FINE_TUNING_MODE_SCRATCH: "scratch",
    spec_pb2.FINE_TUNING_MODE_FULL: "full",
    spec_pb2.FINE_TUNING_MODE_HEAD: "head",
}


class ArchitecturesApi:
    """Answers what TrainingService says of networks."""

    def __init__(self, descriptions: Descriptions) -> None:
        self._descriptions = descriptions

    async def list_architectures(
        self, _: architecture_pb2.ListArchitecturesRequest, __: Caller
    ) -> architecture_pb2.ListArchitecturesResponse:
        """Answer all networks."""
        return architecture_pb2.ListArchitecturesResponse(
            architectures=[one.to_message() for _, one in sorted(ARCHITECTURES.items())]
        )

    async def describe_architecture(
        self, request: architecture_pb2.DescribeArchitectureRequest, _: Caller
    ) -> architecture_pb2.ArchitectureDescription:
        """Answer one network's layers."""
        architecture = ARCHITECTURES.get(required(request.name, "name"))
        if architecture is None:
            known = ", ".join(sorted(ARCHITECTURES))
            raise NotFound("architecture", request.name, field="name", remedy=f"use one of {known}")
        return await self._descriptions.describe(_resolve(request, architecture))

    async def describe_training_spec(
        self, _: training_pb2.DescribeTrainingSpecRequest, __: Caller
    ) -> training_pb2.DescribeTrainingSpecResponse:
        """Answer the table of fields."""
        return training_pb2.DescribeTrainingSpecResponse(fields=[field.to_message() for field in FIELDS])


def _resolve(request: architecture_pb2.DescribeArchitectureRequest, architecture: Architecture) -> DescribeRequest:
    violations = []
    mode = request.mode or spec_pb2.FINE_TUNING_MODE_FULL
    if mode not in _MODES:
        choices = ", ".join(_MODES.values())
        if mode in spec_pb2.FineTuningMode.values():
            raise NotBuilt([Violation(field="mode", message=f"is not built yet: use one of {choices}")])
        violations.append(Violation(field="mode", message=f"{mode} is unknown: use one of {choices}"))
    num_classes = request.num_classes if request.HasField("num_classes") else architecture.original_classes
    if not 2 <= num_classes <= _MAX_CLASSES:
        message = f"{num_classes} is out of range: use 2 to {_MAX_CLASSES}"
        violations.append(Violation(field="num_classes", message=message))
    stem = request.stem
    if stem not in spec_pb2.Stem.values() or (stem and spec_pb2.Stem.Name(stem)[5:] not in architecture.stems):
        choices = ", ".join(one.lower() for one in architecture.stems)
        remedy = f"use one of {choices}" if choices else "leave it out"
        violations.append(Violation(field="stem", message=f"does not fit {architecture.name}: {remedy}"))
    elif not stem and architecture.stems:
        stem = spec_pb2.STEM_IMAGENET
    default_size = 32 if stem == spec_pb2.STEM_CIFAR else architecture.default_input_size
    size = request.input_size if request.HasField("input_size") else default_size
    smallest = architecture.smallest_input(stem)
    if not smallest <= size <= MAX_INPUT_SIZE:
        message = f"{size} px is out of range for {architecture.name}: use {smallest} to {MAX_INPUT_SIZE}"
        violations.append(Violation(field="input_size", message=message))
    if violations:
        raise InvalidRequest(violations)
    return DescribeRequest(
        architecture=architecture.name, mode=mode, num_classes=num_classes, input_size=size, stem=stem
    )

"""The part of TrainingService that tells what can be asked for: networks, fields, and the figures of layers."""

from cultivar.v1 import architecture_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract.architectures import ARCHITECTURES, Architecture
from cultivar_contract.layer_figures import calculate
from cultivar_contract.recipe import Facts, resolve_network
from cultivar_contract.spec_fields import FIELDS
from cultivar_contract.tasks import DescribeRequest
from cultivar_contract.violations import Violation
from cultivar_service.caller import Caller
from cultivar_service.errors import InvalidRequest, NotBuilt, NotFound, required
from cultivar_service.training.describe import Descriptions, request_for

_MAX_CLASSES = 100_000
_MAX_BATCH = 65_536


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

    async def calculate_layer(
        self, request: architecture_pb2.CalculateLayerRequest, _: Caller
    ) -> architecture_pb2.CalculateLayerResponse:
        """Answer one layer's figures."""
        answer, violations = calculate(request)
        if violations:
            raise InvalidRequest(violations)
        return answer


def _resolve(request: architecture_pb2.DescribeArchitectureRequest, architecture: Architecture) -> DescribeRequest:
    spec = spec_pb2.TrainingSpec(
        architecture=architecture.name,
        mode=request.mode or spec_pb2.FINE_TUNING_MODE_FULL,
        network=request.network,
        trainable=request.trainable,
    )
    for name in ("last_blocks", "retain_blocks"):
        if request.HasField(name):
            setattr(spec, name, getattr(request, name))
    if request.stem:
        spec.network.stem = request.stem
    if request.HasField("input_size"):
        spec.input.size = request.input_size
    spec.input.channels = request.channels if request.HasField("channels") else architecture.original_channels
    resolution = resolve_network(spec, Facts())
    violations = [_in_request(one) for one in resolution.violations]
    num_classes = request.num_classes if request.HasField("num_classes") else architecture.original_classes
    if not 2 <= num_classes <= _MAX_CLASSES:
        violations.append(
            Violation(field="num_classes", message=f"{num_classes} is out of range: use 2 to {_MAX_CLASSES}")
        )
    batch_size = request.batch_size if request.HasField("batch_size") else 1
    if not 1 <= batch_size <= _MAX_BATCH:
        violations.append(Violation(field="batch_size", message=f"{batch_size} is out of range: use 1 to {_MAX_BATCH}"))
    if violations:
        raise InvalidRequest(violations)
    if resolution.unbuilt:
        raise NotBuilt([_in_request(one) for one in resolution.unbuilt])
    return request_for(resolution, num_classes, batch_size)


def _in_request(violation: Violation) -> Violation:
    """Name the request's field where it differs from the spec's."""
    names = {"input.size": "input_size", "input.channels": "channels", "network.stem": "stem"}
    return Violation(field=names.get(violation.field, violation.field), message=violation.message)

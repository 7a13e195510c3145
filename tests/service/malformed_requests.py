"""Requests gone wrong: messages with anything in their fields, tensors that don't fit, broken images."""

import random
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from image_kinds import KINDS

from cultivar.open_inference import open_inference_pb2
from cultivar.v1 import artifact_pb2, dataset_pb2, model_pb2, prediction_pb2, training_pb2

_FILES = (
    artifact_pb2,
    dataset_pb2,
    model_pb2,
    prediction_pb2,
    training_pb2,
    open_inference_pb2,
    health_pb2,
    reflection_pb2,
)
METHODS: tuple[MethodDescriptor, ...] = tuple(
    method for file in _FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
)
KEPT = "kept"
"""A model and a data set that no request can delete: good requests go to them."""

_WORDS = (
    "", "flowers", "flowers@live", "flowers@", "@", "flowers/versions/1", "flowers/versions/99999999999999999999",
    "models/flowers", "models/flowers/versions/1", "datasets/flowers", "datasets/flowers/versions/1",
    "trainingJobs/x", "trainingJobs/../../x", "../../../../etc/passwd", "/etc/passwd", "..", ".", "a/b", "a\\b",
    "live", "canary", "lenet5", "mlp", "resnet18", "mobilenet_v2", "procedural-flowers", "cifar10", "IMAGENET1K_V1",
    "train", "val", "test", "model.onnx", "manifest.json", "golden/0.png", "curves.svg", "1", "-1", "é", "日本", "\0",
    "\n", "%s%n", "{}", "a" * 64, "a" * 5000, "NaN", "1e999", "0x10", "' OR 1=1 --", "layer4.*", "(", "[", "a.b.c",
    "http://127.0.0.1/", "file:///etc/passwd",
)  # fmt: skip
_INTEGERS = (0, 1, 2, 3, 5, 8, 32, 100, -1, -2, 255, 256, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**53, 2**63 - 1)
_FLOATS = (0.0, -0.0, 1.0, 0.5, -1.0, 1e-300, 1e300, float("nan"), float("inf"), float("-inf"), 0.001, 2.0)
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
_SPEC = {"dataset": KEPT, "architecture": "lenet5", "mode": "FINE_TUNING_MODE_SCRATCH", "epochs": 2}
SOUND = {
    "CreateDataset": {"dataset_id": "other", "source": {"builtin": "procedural-flowers"}},
    "GetDataset": {"name": KEPT},
    "CreateUpload": {"size_bytes": 10, "sha256": "0" * 64, "request_id": "one"},
    "CreateTrainingJob": {"spec": _SPEC},
    "CreateTrainingStudy": {
        "spec": {
            "base": _SPEC,
            "variants": [{"variant": "one"}, {"variant": "two", "changes": {"epochs": 1}}],
            "seeds": [1, 2],
        },
    },
    "DescribeArchitecture": {"name": "lenet5", "num_classes": 3, "input_size": 32},
    "CalculateLayer": {
        "kind": "LAYER_KIND_CONV",
        "input_size": [32, 32],
        "kernel": [3, 3],
        "in_channels": 3,
        "out_channels": 8,
    },
    "EvaluateArchitecture": {"architecture": "mobilenet_v2", "dataset": KEPT},
    "PreviewAugmentation": {"spec": _SPEC},
    "EvaluateModelVersion": {"name": f"{KEPT}/versions/1", "dataset": KEPT, "split": "SPLIT_TEST"},
    "InspectModel": {"name": KEPT, "view": "INSPECTION_VIEW_FEATURE_MAPS", "validation_image": 1},
    "ListArtifacts": {"parent": f"models/{KEPT}/versions/1"},
    "DownloadArtifact": {"parent": f"models/{KEPT}/versions/1", "path": "model.onnx"},
    "SetModelAlias": {"name": KEPT, "alias": "canary", "model_version": f"models/{KEPT}/versions/1"},
    "DeleteModelAlias": {"name": KEPT, "alias": "canary"},
    "RollbackModel": {"name": "flowers"},
    "Predict": {"model": KEPT},
    "PredictStream": {"request": {"model": KEPT}},
    "ModelStatistics": {"name": KEPT},
    "ModelConfig": {"name": KEPT},
    "ModelMetadata": {"name": KEPT},
}
"""Requests that mean something, of which a field or two then go wrong, by method."""
_IMAGES = tuple(kind.encoded for kind in KINDS if len(kind.encoded) < 20_000)


def message(rng: random.Random, method: MethodDescriptor) -> bytes:
    """Return a request of a method: its message with random fields, the same with damaged bytes, or only bytes."""
    way = rng.random()
    if way < 0.1:
        return rng.randbytes(rng.randrange(200))
    if way < 0.5 and method.name in SOUND:
        sound = message_factory.GetMessageClass(method.input_type)()
        json_format.ParseDict(SOUND[method.name], sound)
        for _ in range(rng.choice((0, 1, 1, 2))):
            _spoil(rng, sound)
        return bytes(sound.SerializeToString())
    encoded: bytes = _message(rng, method.input_type, 0).SerializeToString()
    return damaged(rng, encoded) if way < 0.6 else encoded


def tensors(rng: random.Random) -> open_inference_pb2.ModelInferRequest:
    """Return a ModelInfer whose tensors and data mostly don't fit together."""
    pixels = 8 * 8 * 3
    count = rng.choice((0, 1, 2, 3, 255, 256, 257, -1, 2**31, 2**62, 2**63 - 1, -(2**63)))
    shape = rng.choice(
        (
            [count, 8, 8, 3],
            [count],
            [],
            [count] * rng.randrange(9),
            [2**21, 2**21, 2**21, 2],
            [1, 8, 8, 3],
            [1],
            [2],
            [1, 8, 8],
            [1, 8, 8, 3, 1],
            [1, 3, 8, 8],
            [0, 8, 8, 3],
        )
    )
    request = open_inference_pb2.ModelInferRequest(model_name=KEPT, id=_word(rng))
    if rng.random() < 0.1:
        request.model_version = _word(rng)
    for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 2))):
        tensor = request.inputs.add(
            name=rng.choice(("image",) * 8 + _WORDS),
            datatype=rng.choice(("UINT8", "UINT8", "BYTES", "BYTES", "FP32", "BOOL", "INT64", "uint8", "")),
            shape=shape,
        )
        if rng.random() < 0.4:
            size = rng.choice((0, 1, pixels, pixels, 2 * pixels, pixels + 1))
            tensor.contents.uint_contents.extend([rng.choice((0, 255, 256, 2**32 - 1))] * size)
        if rng.random() < 0.2:
            tensor.contents.bytes_contents.extend(image(rng) for _ in range(rng.randrange(3)))
        if rng.random() < 0.1:
            tensor.contents.CopyFrom(_message(rng, tensor.contents.DESCRIPTOR, 1))
        _parameters(rng, tensor.parameters)
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 1, 1, 0, 2))):
            elements = [image(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
            raw = b"".join(struct.pack("<I", _length(rng, one)) + one for one in elements)
            sized = rng.randbytes(max(0, rng.choice((pixels, pixels, 2 * pixels)) + rng.choice((0, 0, -1, 1))))
            request.raw_input_contents.append(rng.choice((raw, raw, sized, sized, rng.randbytes(rng.randrange(300)))))
    for _ in range(rng.choice((0, 0, 0, 1, 2, 3))):
        output = request.outputs.add(name=rng.choice(("probabilities", "logits", *_WORDS[:8])))
        _parameters(rng, output.parameters)
    _parameters(rng, request.parameters)
    return request


def image(rng: random.Random) -> bytes:
    """Return an encoded image with something wrong: cut, spliced, flipped, repeated, with other numbers in it."""
    encoded = rng.choice(_IMAGES)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        encoded = damaged(rng, encoded)
    return encoded


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with one thing changed."""
    # Headers are short and matter most.
    end = min(len(data), rng.choice((16, 64, 256, 1 << 30)))
    at = rng.randrange(end + 1)
    return _DAMAGES[rng.randrange(len(_DAMAGES))](rng, data, at)


def _flip(rng: random.Random, data: bytes, at: int) -> bytes:
    return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _number(rng: random.Random, data: bytes, at: int) -> bytes:
    size = rng.choice((1, 2, 4, 4, 8))
    number = rng.choice((0, 1, 7, 1000, 8000, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), rng.getrandbits(8 * size)))
    written = (number % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
    return data[:at] + written + data[at + size :]


def _splice(rng: random.Random, data: bytes, at: int) -> bytes:
    other = rng.choice(_IMAGES)
    start = rng.randrange(len(other) + 1)
    return data[:at] + other[start : start + rng.choice((4, 100, 1 << 30))] + data[at + rng.choice((0, 4, 100)) :]


_DAMAGES: tuple[Callable[[random.Random, bytes, int], bytes], ...] = (
    _flip,
    _flip,
    _number,
    _number,
    _number,
    _splice,
    lambda rng, data, at: data[:at],
    lambda rng, data, at: data[: rng.randrange(len(data) + 1)],
    lambda rng, data, at: data[:at] + data[at + rng.choice((1, 2, 4, 100)) :],
    lambda rng, data, at: data[:at] + data[at : at + 50] * rng.choice((2, 3, 100)) + data[at + 50 :],
    lambda rng, data, at: data[:at] + rng.randbytes(rng.choice((1, 4, 64))) + data[at:],
)


def _length(rng: random.Random, element: bytes) -> int:
    return rng.choice((len(element),) * 6 + (0, len(element) + 1, max(0, len(element) - 1), 2**32 - 1, 2**31))


def _word(rng: random.Random) -> str:
    return (
        "".join(chr(rng.choice((rng.randrange(1, 0x250), rng.randrange(0xE000, 0x10FFFF)))) for _ in range(4))
        if (rng.random() < 0.1)
        else rng.choice(_WORDS)
    )


def _parameters(rng: random.Random, parameters: Any) -> None:
    names = ("timeout", "classification", "priority", "shared_memory_region", "binary_data", "sequence_id", "x")
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        parameters[rng.choice(names)].CopyFrom(_message(rng, open_inference_pb2.InferParameter.DESCRIPTOR, 1))


def _message(rng: random.Random, descriptor: Descriptor, depth: int) -> Any:
    built = message_factory.GetMessageClass(descriptor)()
    share = rng.choice((0.1, 0.3, 0.7, 1.0)) if depth == 0 else 0.3
    for field in descriptor.fields:
        if rng.random() < share:
            _set(rng, built, field, depth)
    return built


def _spoil(rng: random.Random, built: Any) -> None:
    """Set one field, at any depth, to anything."""
    field = rng.choice(built.DESCRIPTOR.fields)
    nested = field.message_type is not None and not field.is_repeated
    if nested and built.HasField(field.name) and rng.random() < 0.9:
        _spoil(rng, getattr(built, field.name))
    else:
        _set(rng, built, field, 2)


def _set(rng: random.Random, built: Any, field: FieldDescriptor, depth: int) -> None:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        key, value = nested.fields_by_name["key"], nested.fields_by_name["value"]
        for _ in range(rng.randrange(3)):
            if value.message_type is None:
                getattr(built, field.name)[_scalar(rng, key)] = _scalar(rng, value)
            else:
                getattr(built, field.name)[_scalar(rng, key)].CopyFrom(_message(rng, value.message_type, depth + 1))
    elif field.is_repeated:
        for _ in range(rng.choice((0, 1, 2, 3, 40))):
            if nested is None:
                getattr(built, field.name).append(_scalar(rng, field))
            elif depth < 4:
                getattr(built, field.name).append(_message(rng, nested, depth + 1))
    elif nested is None:
        setattr(built, field.name, _scalar(rng, field))
    elif depth < 4:
        getattr(built, field.name).CopyFrom(_message(rng, nested, depth + 1))


def _scalar(rng: random.Random, field: FieldDescriptor) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return image(rng) if field.type == FieldDescriptor.TYPE_BYTES else _word(rng)
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        number = rng.choice(_FLOATS)
        return number if kind == FieldDescriptor.CPPTYPE_DOUBLE or abs(number) < 1e38 else 3e38
    low, high = _RANGES[kind]
    if kind == FieldDescriptor.CPPTYPE_ENUM and rng.random() < 0.8:
        return rng.choice(field.enum_type.values).number
    return min(max(rng.choice(_INTEGERS), low), high)


def full_name(method: MethodDescriptor) -> str:
    """Return a method's path on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"

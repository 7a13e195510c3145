"""Protobuf messages of streams and of other servers, in a pool of their own so that they clash with nobody's stubs."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
    "bool": _Field.TYPE_BOOL,
}
_PACKAGE = "cultivar_bench"

# Names are ours, numbers are the protocol's: numbers are all that travels. A map is a repeated pair of key and value.
_MESSAGES = {
    "Parameter": "bool bool_param=1; int64 int64_param=2; string string_param=3; double double_param=4",
    "Parameters": "string key=1; Parameter value=2",
    "Contents": (
        "*bool bool_contents=1; *int32 int_contents=2; *int64 int64_contents=3; *uint32 uint_contents=4; "
        "*uint64 uint64_contents=5; *float fp32_contents=6; *double fp64_contents=7; *bytes bytes_contents=8"
    ),
    "Tensor": "string name=1; string datatype=2; *int64 shape=3; *Parameters parameters=4; Contents contents=5",
    "RequestedOutput": "string name=1; *Parameters parameters=2",
    "InferRequest": (
        "string model_name=1; string model_version=2; string id=3; *Parameters parameters=4; *Tensor inputs=5; "
        "*RequestedOutput outputs=6; *bytes raw_input_contents=7"
    ),
    "InferResponse": (
        "string model_name=1; string model_version=2; string id=3; *Parameters parameters=4; *Tensor outputs=5; "
        "*bytes raw_output_contents=6"
    ),
    # Our stream's; the messages within stay bytes, which travel alike.
    "StreamRequest": "string id=1; bytes request=2",
    "StreamResponse": "string id=1; bytes response=2; StreamError error=3",
    "StreamError": "string code=1; string reason=2",
    # TorchServe's org.pytorch.serve.grpc.inference
    "NamedBytes": "string key=1; bytes value=2",
    "PredictionsRequest": "string model_name=1; string model_version=2; *NamedBytes input=3",
    "PredictionResponse": "bytes prediction=1",
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="cultivar_bench.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split("; "):
            kind, _, rest = field.partition(" ")
            label, number = rest.split("=")
            added = message.field.add(name=label, number=int(number), label=_Field.LABEL_OPTIONAL)
            if kind.startswith("*"):
                added.label = _Field.LABEL_REPEATED
            kind = kind.removeprefix("*")
            if kind in _TYPES:
                added.type = _TYPES[kind]
            else:
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _classes()
InferRequest = _CLASSES["InferRequest"]
"""Open Inference Protocol v2: ModelInferRequest."""
InferResponse = _CLASSES["InferResponse"]
"""Open Inference Protocol v2: ModelInferResponse."""
StreamRequest = _CLASSES["StreamRequest"]
"""Ours: PredictStreamRequest."""
StreamResponse = _CLASSES["StreamResponse"]
"""Ours: PredictStreamResponse."""
PredictionsRequest = _CLASSES["PredictionsRequest"]
"""TorchServe's."""
PredictionResponse = _CLASSES["PredictionResponse"]
"""TorchServe's."""

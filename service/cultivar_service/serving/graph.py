"""Reads an ONNX file's structure, without its weights, and refuses what a package must not bring along.

ONNX Runtime would follow external data to other files and look up operators of other domains in libraries. The file is
a protobuf message; only the few fields that say so are looked at (numbers from onnx.proto, which onnx.ai documents), so
that serving needs no `onnx` package and reads hundreds of megabytes of weights by stepping over them.
"""

from collections.abc import Iterator

from cultivar_contract.package import DamagedPackage

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Domains whose operators ONNX itself defines."""
_MAX_DEPTH = 32
"""Messages inside messages, three for every graph inside a graph: more is no network."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Field = tuple[int, int | memoryview]
"""Number and value; the value of a fixed-width field is left out as 0."""

# Fields that hold messages of interest, by message: number -> kind of message.
_GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING = range(7)
_MODEL_FIELDS = {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION}
_CHILDREN = {
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _TENSOR: {},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
_TEXTS: dict[int, dict[int, str]] = {kind: {} for kind in _CHILDREN}
_TEXTS[_NODE] = {4: "operator", 7: "domain"}
_TEXTS[_TENSOR] = {8: "name"}


def check(name: str, model: bytes) -> None:
    """Check that a model is one file of standard operators.

    Args:
        name: the file's, for messages.
        model: its bytes.

    Raises:
        DamagedPackage: it keeps weights elsewhere, uses other operators, or is no ONNX file.
    """
    try:
        has_graph = False
        for number, value in _fields(memoryview(model)):
            if number in _MODEL_FIELDS and isinstance(value, memoryview):
                has_graph |= number == 7
                _check(name, _MODEL_FIELDS[number], value, 0)
    except _NotProtobuf as error:
        raise DamagedPackage(f"{name} is no ONNX file: {error}", reason="graph") from None
    if not has_graph:
        raise DamagedPackage(f"{name} is no ONNX file: it has no graph", reason="graph")


class _NotProtobuf(ValueError):
    """The bytes are no message."""


def _check(name: str, kind: int, message: memoryview, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _NotProtobuf(f"graphs nest deeper than {_MAX_DEPTH}")
    children = _CHILDREN[kind]
    texts = {"domain": "", "name": "", "operator": ""}
    external = False
    for number, value in _fields(message):
        if number in children and isinstance(value, memoryview):
            _check(name, children[number], value, depth + 1)
        elif number in _TEXTS[kind] and isinstance(value, memoryview):
            texts[_TEXTS[kind][number]] = bytes(value[:80]).decode(errors="replace")
        elif kind == _TENSOR and (number == 13 or (number == 14 and value != 0)):
            external = True
    if external:
        raise DamagedPackage(
            f"{name} keeps the data of {texts['name']!r} in another file: export it as one file", reason="graph"
        )
    if texts["domain"] not in STANDARD_DOMAINS:
        raise DamagedPackage(
            f"{name} uses operator {texts['operator']!r} of domain {texts['domain']!r}: export it with ONNX's own ones",
            reason="graph",
        )


def _fields(message: memoryview) -> Iterator[_Field]:
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
        elif wire_type == _BYTES:
            size, position = _varint(message, position)
            if size > end - position:
                raise _NotProtobuf("it ends too early")
            yield number, message[position : position + size]
            position += size
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
            yield number, 0
        else:
            raise _NotProtobuf(f"it has a field of type {wire_type}")
    if position > end:
        raise _NotProtobuf("it ends too early")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise _NotProtobuf("it ends too early")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _NotProtobuf("it has a number of over 64 bits")

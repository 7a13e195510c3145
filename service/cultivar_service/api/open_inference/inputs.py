"""Reads the input of ModelInfer: `image`, as pixels or as encoded images."""

import math
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cultivar.open_inference import open_inference_pb2 as pb
from cultivar_contract.preprocessing import Preprocessing
from cultivar_service.api.open_inference.parameters import refuse_shared_memory
from cultivar_service.errors import InvalidRequest, shown

NAME = "image"

Images = Sequence[bytes | NDArray[np.uint8]]
"""Encoded images, or pixels (size, size, channels) of each."""

_FIELD = "inputs[0]"
_LENGTH = struct.Struct("<I")
"""Stands before every element of BYTES in a raw buffer."""


def has_typed_pixels(request: pb.ModelInferRequest) -> bool:
    """Tell whether pixels come as numbers one by one, which take long to read: 3 ms for 224 x 224 x 3."""
    return bool(request.inputs) and len(request.inputs[0].contents.uint_contents) > 0


def read_images(request: pb.ModelInferRequest, preprocessing: Preprocessing, max_images: int) -> Images:
    """Return a request's images. Blocks, for long where `has_typed_pixels`.

    Raises:
        InvalidRequest: names, data type, shape and data don't fit together, or don't fit the model.
    """
    tensor = _only_tensor(request)
    if tensor.datatype == "UINT8":
        shape = (preprocessing.size, preprocessing.size, preprocessing.channels)
        num_images = _num_images(tensor.shape, shape, max_images)
        if request.raw_input_contents:
            return _raw_pixels(request.raw_input_contents[0], (num_images, *shape))
        return _typed_pixels(_contents(tensor, "uint_contents"), (num_images, *shape))
    if tensor.datatype == "BYTES":
        num_images = _num_images(tensor.shape, (), max_images)
        if request.raw_input_contents:
            return _split(request.raw_input_contents[0], num_images)
        return _typed_bytes(_contents(tensor, "bytes_contents"), num_images)
    raise InvalidRequest.at(
        f"{_FIELD}.datatype",
        f"{shown(tensor.datatype)}: send UINT8 pixels [N, {preprocessing.size}, {preprocessing.size}, "
        f"{preprocessing.channels}] (the model itself scales and normalises them), or BYTES [N] of encoded images",
    )


def _only_tensor(request: pb.ModelInferRequest) -> pb.ModelInferRequest.InferInputTensor:
    if not request.inputs:
        raise InvalidRequest.at("inputs", f"is empty: send one input, named {NAME!r}")
    for position, tensor in enumerate(request.inputs):
        field = f"inputs[{position}]"
        if tensor.name != NAME:
            raise InvalidRequest.at(f"{field}.name", f"{shown(tensor.name)}: the model has one input, {NAME!r}")
        if position:
            raise InvalidRequest.at(f"{field}.name", f"{NAME!r} is there twice: put all images into one tensor")
    tensor = request.inputs[0]
    refuse_shared_memory(tensor.parameters, _FIELD)
    if request.raw_input_contents and tensor.HasField("contents"):
        raise InvalidRequest.at(f"{_FIELD}.contents", "is set beside raw_input_contents: use one of the two")
    if len(request.raw_input_contents) > 1:
        raise InvalidRequest.at(
            "raw_input_contents", f"{len(request.raw_input_contents)} buffers for one input: send one buffer"
        )
    return tensor


def _num_images(shape: Sequence[int], image: tuple[int, ...], max_images: int) -> int:
    """Return the batch's size, at most `max_images`: the product of the shape is bounded too then."""
    wanted = ", ".join(("N", *map(str, image)))
    if len(shape) != 1 + len(image) or tuple(shape[1:]) != image:
        some = ", ".join(map(str, shape[:8])) + (", ..." if len(shape) > 8 else "")
        remedy = "send images of other sizes encoded, as BYTES [N]" if image else "one element for each encoded image"
        raise InvalidRequest.at(f"{_FIELD}.shape", f"[{some}] is not [{wanted}]: {remedy}")
    if not 1 <= shape[0] <= max_images:
        raise InvalidRequest.at(f"{_FIELD}.shape", f"{shape[0]} images: send 1 to {max_images} in a request")
    return int(shape[0])


def _contents(tensor: pb.ModelInferRequest.InferInputTensor, name: str) -> pb.InferTensorContents:
    """Return typed contents that hold nothing but the field of that name."""
    for descriptor, _ in tensor.contents.ListFields():
        if descriptor.name != name:
            raise InvalidRequest.at(
                f"{_FIELD}.contents.{descriptor.name}",
                f"is not for {tensor.datatype}: use {name}, or raw_input_contents",
            )
    if not tensor.contents.ListFields():
        raise InvalidRequest.at("raw_input_contents", f"is empty: put the elements of {NAME!r} there")
    return tensor.contents


def _raw_pixels(raw: bytes, shape: tuple[int, ...]) -> Images:
    if len(raw) != math.prod(shape):
        raise InvalidRequest.at(
            "raw_input_contents[0]", f"{len(raw)} bytes: UINT8 {list(shape)} takes {math.prod(shape)}"
        )
    return list(np.frombuffer(raw, np.uint8).reshape(shape))


def _typed_pixels(contents: pb.InferTensorContents, shape: tuple[int, ...]) -> Images:
    field = f"{_FIELD}.contents.uint_contents"
    values = contents.uint_contents
    if len(values) != math.prod(shape):
        raise InvalidRequest.at(field, f"{len(values)} numbers: {list(shape)} takes {math.prod(shape)}")
    size = math.prod(shape[1:])
    try:
        # One image at a time: other threads get a turn between.
        images = [bytes(values[start : start + size]) for start in range(0, len(values), size)]
    except ValueError as error:
        raise InvalidRequest.at(field, "holds a number above 255: UINT8 goes from 0 to 255") from error
    return [np.frombuffer(image, np.uint8).reshape(shape[1:]) for image in images]


def _split(raw: bytes, count: int) -> Images:
    """Cut a raw buffer of BYTES into its elements."""
    field = "raw_input_contents[0]"
    elements, position = [], 0
    for index in range(count):
        if position + _LENGTH.size > len(raw):
            raise InvalidRequest.at(
                field, f"ends before element {index} of {count}: send each as its length in 4 bytes, then its bytes"
            )
        (length,) = _LENGTH.unpack_from(raw, position)
        position += _LENGTH.size
        if length > len(raw) - position:
            raise InvalidRequest.at(
                field, f"element {index} has {length} bytes by its length, {len(raw) - position} follow: send it whole"
            )
        elements.append(raw[position : position + length])
        position += length
    if position != len(raw):
        raise InvalidRequest.at(
            field, f"{len(raw) - position} bytes follow the last of {count} elements: leave them out"
        )
    return elements


def _typed_bytes(contents: pb.InferTensorContents, count: int) -> Images:
    if len(contents.bytes_contents) != count:
        raise InvalidRequest.at(
            f"{_FIELD}.contents.bytes_contents", f"{len(contents.bytes_contents)} elements: [{count}] takes {count}"
        )
    return list(contents.bytes_contents)

"""Writes the outputs of ModelInfer: `probabilities` and `logits`, or their largest values with labels."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cultivar.open_inference import open_inference_pb2 as pb
from cultivar_service.api.answering import largest
from cultivar_service.api.open_inference.parameters import refuse_shared_memory, whole_number
from cultivar_service.errors import InvalidRequest, shown
from cultivar_service.serving.engine import Outputs

NAMES = ("probabilities", "logits")
"""In the order of answers that nobody chose outputs for; each is a field of Outputs."""


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """A tensor to answer."""

    name: str
    """Of NAMES."""
    num_labels: int | None = None
    """Largest values to answer, with their labels; None: all values, without."""


def requested_outputs(request: pb.ModelInferRequest, num_classes: int) -> list[RequestedOutput]:
    """Return the outputs that a request asks for, in order.

    Raises:
        InvalidRequest: there is no such output, one is asked for twice, or more labels than there are classes.
    """
    outputs: list[RequestedOutput] = []
    for position, asked in enumerate(request.outputs):
        field = f"outputs[{position}]"
        if asked.name not in NAMES:
            raise InvalidRequest.at(f"{field}.name", f"{shown(asked.name)}: the model has {' and '.join(NAMES)}")
        if any(asked.name == output.name for output in outputs):
            raise InvalidRequest.at(f"{field}.name", f"{asked.name!r} is asked for twice: ask once")
        refuse_shared_memory(asked.parameters, field)
        field = f"{field}.parameters[classification]"
        num_labels = whole_number(asked.parameters, "classification", field)
        if num_labels is not None and not 1 <= num_labels <= num_classes:
            raise InvalidRequest.at(field, f"{num_labels}: the model has {num_classes} classes, use 1 to {num_classes}")
        outputs.append(RequestedOutput(asked.name, num_labels))
    return outputs or [RequestedOutput(name) for name in NAMES]


def write_outputs(
    response: pb.ModelInferResponse,
    outputs: Sequence[RequestedOutput],
    answers: Sequence[Outputs],
    class_names: Sequence[str],
) -> None:
    """Add tensors to a response, raw: clients of the ecosystem read no other."""
    for output in outputs:
        values = np.stack([getattr(answer, output.name) for answer in answers])  # (N, classes)
        if output.num_labels is None:
            response.outputs.add(name=output.name, datatype="FP32", shape=values.shape)
            response.raw_output_contents.append(values.astype("<f4", copy=False).tobytes())
        else:
            response.outputs.add(name=output.name, datatype="BYTES", shape=(len(values), output.num_labels))
            response.raw_output_contents.append(
                b"".join(
                    _element(f"{row[index]!s}:{index}:{class_names[index]}")
                    for row in values
                    for index in largest(row, output.num_labels)
                )
            )


def _element(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data

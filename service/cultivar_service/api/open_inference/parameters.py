"""Reads the parameters that requests and tensors carry."""

import time
from collections.abc import Mapping
from dataclasses import replace

from cultivar.open_inference import open_inference_pb2 as pb
from cultivar_service.caller import Caller
from cultivar_service.errors import InvalidRequest

Parameters = Mapping[str, pb.InferParameter]


def whole_number(parameters: Parameters, name: str, field: str) -> int | None:
    """Return a parameter that is a whole number; None where it is not set. `field` is its path.

    Raises:
        InvalidRequest: it is something else.
    """
    if name not in parameters:
        return None
    parameter = parameters[name]
    match parameter.WhichOneof("parameter_choice"):
        case "int64_param":
            return int(parameter.int64_param)
        case "uint64_param":
            return int(parameter.uint64_param)
    raise InvalidRequest.at(field, "is no whole number: use int64_param")


def refuse_shared_memory(parameters: Parameters, field: str) -> None:
    """Refuse tensors that would be elsewhere than in the message.

    Raises:
        InvalidRequest: a parameter names a region of shared memory.
    """
    for name in parameters:
        if name.startswith("shared_memory_"):
            raise InvalidRequest.at(
                f"{field}.parameters[{name[:40]}]", "shared memory is not supported: send tensors in the message"
            )


def in_time(caller: Caller, parameters: Parameters) -> Caller:
    """Return a caller who waits no longer than the parameter `timeout` says, in microseconds; 0: as long as before.

    Raises:
        InvalidRequest: it is negative, or no whole number.
    """
    timeout_us = whole_number(parameters, "timeout", "parameters[timeout]")
    if not timeout_us:
        return caller
    if timeout_us < 0:
        raise InvalidRequest.at("parameters[timeout]", f"{timeout_us}: use microseconds, 1 or more, or leave it out")
    deadline = time.monotonic() + timeout_us / 1e6
    return replace(caller, deadline=deadline if caller.deadline is None else min(caller.deadline, deadline))

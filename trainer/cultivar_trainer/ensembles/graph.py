"""One ONNX graph that answers with the mean of its members' probabilities (Hansen & Salamon 1990)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cultivar_trainer import export


def average(models: Sequence[bytes]) -> bytes:
    """Join graphs of one input and as many classes: uint8 `image` (N, S, S, C) to `logits` and `probabilities` (N, K).

    The members' own nodes stay as they are, under names of their own, so that each computes what it did alone. The
    logits are the logarithms of the mean: their softmax is the mean again, as it sums to one.

    Args:
        models: ONNX files that `export_onnx` has made.
    """
    import onnx  # two seconds that only exports pay
    from onnx import TensorProto, compose, helper, numpy_helper

    graph = onnx.GraphProto(name="cultivar")
    functions: list[Any] = []
    opsets: dict[str, int] = {}
    version = 0
    for number, model in enumerate(models):
        loaded = onnx.load_model_from_string(model)
        if number == 0:
            graph.input.extend(loaded.graph.input)
            graph.output.extend(loaded.graph.output)
        prefix = f"member_{number}/"
        member = compose.add_prefix(loaded, prefix, inplace=True)
        opsets |= {one.domain: max(one.version, opsets.get(one.domain, 0)) for one in member.opset_import}
        version = max(version, member.ir_version)
        functions.extend(member.functions)
        graph.node.append(helper.make_node("Identity", ["image"], [f"{prefix}image"], name=f"{prefix}input"))
        graph.node.extend(member.graph.node)
        graph.initializer.extend(member.graph.initializer)
        graph.value_info.extend(member.graph.value_info)
    answers = [f"member_{number}/probabilities" for number in range(len(models))]
    # A class that all members are sure it is not has a probability that float32 rounds to 0, whose logarithm is none.
    least = numpy_helper.from_array(np.array(np.finfo(np.float32).tiny, np.float32), "least_probability")
    graph.initializer.append(least)
    graph.node.append(helper.make_node("Mean", answers, ["probabilities"], name="mean"))
    graph.node.append(helper.make_node("Max", ["probabilities", least.name], ["positive"], name="positive"))
    graph.node.append(helper.make_node("Log", ["positive"], ["logits"], name="logits"))
    assert {one.name: one.type.tensor_type.elem_type for one in graph.output} == {
        "logits": TensorProto.FLOAT,
        "probabilities": TensorProto.FLOAT,
    }
    joined = helper.make_model(
        graph,
        functions=functions,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in sorted(opsets.items())],
        ir_version=version,
        producer_name="cultivar",
    )
    export.strip(joined)
    onnx.checker.check_model(joined, full_check=True)
    return bytes(joined.SerializeToString(deterministic=True))

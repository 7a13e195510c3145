"""Graphs joined into one that answers with their mean."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cultivar_trainer import export
from cultivar_trainer.ensembles import graph

SIZE, CLASSES = 4, 3


def classifier(weights: NDArray[np.float32]) -> bytes:
    """A graph whose mean colour decides."""
    body = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("logits", "probabilities")],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1, 2]), "axes")],
    )
    opsets = [helper.make_opsetid("", export.OPSET)]
    return helper.make_model(body, opset_imports=opsets, ir_version=10).SerializeToString()


@pytest.fixture(scope="module")
def members() -> list[bytes]:
    generator = np.random.default_rng(0)
    scales = (0.05, 0.05, 10.0)  # the last is so sure that float32 rounds to 0
    return [classifier(generator.normal(size=(3, CLASSES)).astype(np.float32) * scale) for scale in scales]


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (50, SIZE, SIZE, 3), np.uint8)


def test_the_graph_answers_with_the_mean_of_its_members(members: list[bytes], images: NDArray[np.uint8]) -> None:
    alone = [export.onnx_probabilities(export.session(one, 1), images) for one in members]

    together = export.onnx_probabilities(export.session(graph.average(members), 1), images)

    assert np.abs(together - np.mean(alone, axis=0)).max() < 1e-6


def test_logits_are_finite_and_their_softmax_is_the_answer(members: list[bytes], images: NDArray[np.uint8]) -> None:
    sure = export.session(graph.average(members[2:] * 2), 1)

    logits, probabilities = sure.run(["logits", "probabilities"], {"image": images})

    assert (probabilities == 0).any()
    assert np.isfinite(logits).all()
    exponentials = np.exp(logits.astype(np.float64))
    assert np.abs(exponentials / exponentials.sum(axis=1, keepdims=True) - probabilities).max() < 1e-6


def test_the_same_members_give_the_same_bytes_in_which_the_batch_alone_is_symbolic(members: list[bytes]) -> None:
    model = graph.average(members)
    joined = onnx.load_model_from_string(model)

    assert graph.average(members) == model
    (image,) = joined.graph.input
    assert image.name == "image"
    assert [one.dim_value for one in image.type.tensor_type.shape.dim] == [0, SIZE, SIZE, 3]
    assert not joined.metadata_props
    assert {one.domain for one in joined.opset_import} == {""}

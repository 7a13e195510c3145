"""What an ONNX file must not bring along."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from published_models import ALWAYS, publish
from running_service import make_config, refused, running
from tiny_package import RED, write_package

from cultivar_contract import files
from cultivar_contract.package import MANIFEST, DamagedPackage
from cultivar_service.serving import graph


@pytest.fixture
def model(package: Path) -> onnx.ModelProto:
    """A sound model to spoil."""
    return onnx.load(package / "model.onnx")


def refusal(model: onnx.ModelProto | bytes) -> str:
    with pytest.raises(DamagedPackage) as caught:
        graph.check("model.onnx", model if isinstance(model, bytes) else model.SerializeToString())
    assert caught.value.reason == "graph"
    return str(caught.value)


def outside(tensor: TensorProto) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    return tensor


def test_a_sound_model_passes_by_name_of_the_standard_domain_too(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.domain = "ai.onnx"

    graph.check("model.onnx", model.SerializeToString())


def test_weights_in_another_file_are_refused_by_name(model: onnx.ModelProto) -> None:
    outside(model.graph.initializer[0])

    assert refusal(model) == "model.onnx keeps the data of 'weights' in another file: export it as one file"


def test_either_mark_of_external_data_counts(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    assert "another file" in refusal(model)
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    model.graph.initializer[0].external_data.add(key="location", value="x")
    assert "another file" in refusal(model)


def test_external_data_is_found_in_attributes_subgraphs_and_sparse_tensors(model: onnx.ModelProto) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=outside(helper.make_tensor("c", 1, [1], [1.0])))
    branch = helper.make_graph([constant], "branch", [], [])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    sparse = onnx.ModelProto()
    sparse.CopyFrom(model)
    sparse.graph.sparse_initializer.add(values=outside(helper.make_tensor("s", 1, [1], [1.0])))
    model.graph.node.append(choice)

    assert "'c'" in refusal(model)
    assert "'s'" in refusal(sparse)


def test_operators_of_other_domains_are_refused_by_name(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.example"

    assert "operator 'ReduceMean' of domain 'com.example'" in refusal(model)


def test_operators_inside_functions_count(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Steal", ["x"], ["y"], domain="com.example")]
    model.functions.append(helper.make_function("local", "Inner", ["x"], ["y"], body, model.opset_import))

    assert "'Steal'" in refusal(model)


def test_what_is_no_model_is_refused(package: Path) -> None:
    whole = (package / "model.onnx").read_bytes()

    assert refusal(b"") == "model.onnx is no ONNX file: it has no graph"
    assert "it ends too early" in refusal(whole[:-9])
    assert "no ONNX file" in refusal(b"\x7fELF" + whole)
    assert "64 bits" in refusal(b"\xff" * 40)


def test_graphs_that_nest_without_end_are_refused(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    for _ in range(20):
        inner = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=inner)], "outer", [], [])
    model.graph.node.append(inner.node[0])

    assert "nest deeper" in refusal(model)


async def test_a_package_with_such_a_graph_is_rejected_and_the_old_version_answers(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    spoilt = write_package(tmp_path / "packages" / "spoilt")
    model = onnx.load(spoilt / "model.onnx")
    outside(model.graph.initializer[0])
    onnx.save(model, spoilt / "model.onnx")
    manifest = files.read_json(spoilt / MANIFEST)
    manifest["files"]["model.onnx"] = files.sha256_file(spoilt / "model.onnx")
    files.write_json(spoilt / MANIFEST, manifest)
    async with running(make_config(tmp_path)) as (service, client):
        await publish(service, make_package("sound"))
        publication = await publish(service, spoilt, policy=ALWAYS)
        refused_version = await refused(client.predict(RED, model="flowers/versions/2"))

        assert publication.error is not None
        assert "in another file" in publication.error.message
        assert refused_version.reason == "VERSION_REJECTED"
        assert (await client.predict(RED)).model_version == "models/flowers/versions/1"
        labels = {"model": "flowers", "reason": "graph"}
        assert service.metrics.registry.get_sample_value("cultivar_rejected_versions_total", labels) == 1

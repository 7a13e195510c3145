"""Weights averaged where that is better on validation images."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from combined_models import NAMES, combined

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, package, preprocessing
from cultivar_contract.package import Package
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import evaluation, export
from cultivar_trainer.datasets.stores import PixelStore
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.ensembles import soup
from cultivar_trainer.ensembles.members import open_members
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.networks.network import Network


def figures(one: Package) -> dict[str, Any]:
    return one.manifest["variants"][0]["metrics"]["val"]


def moved(folder: Path, source: Path, dataset: Path, by: float, **manifest: Any) -> Path:
    """Copy a package with its weights moved in a drawn direction, and the validation figures that they have there."""
    shutil.copytree(source, folder)
    generator = np.random.default_rng(0)
    with np.load(source / "weights.npz") as tensors:
        weights = {name: tensors[name] for name in tensors.files}
    for name, tensor in weights.items():
        weights[name] = (tensor + by * generator.normal(size=tensor.shape)).astype(tensor.dtype)
    np.savez(folder / "weights.npz", **weights)
    body = {**files.read_json(folder / "manifest.json"), **manifest}
    body["recipe"] = {**body["recipe"], "selectionMetric": "SELECTION_METRIC_LOSS"}
    (member,) = open_members(["it"], [str(package.finish(folder, body).path)])
    with DatasetVersion(dataset) as version, np.load(source / "predictions.npz") as predictions:
        of = {one.path: one for one in version.samples}
        encoded = [version.read(of[str(path)]) for path in predictions["val_path"]]
        labels = predictions["val_label"]
    images = [preprocessing.load(one, member.preprocessing) for one in encoded]
    found = export.torch_probabilities(member.network(), np.stack(images), torch.device("cpu"))
    body["variants"][0]["metrics"]["val"]["loss"] = evaluation.measure_probabilities(found, labels).loss
    package.finish(folder, body)
    return folder


@pytest.fixture
def beside(trained: RunDirectory, flowers: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a model whose weights lie beside those of the trained one."""

    def beside(name: str, by: float, **manifest: Any) -> Path:
        return moved(tmp_path / name, trained.package, flowers, by, **manifest)

    return beside


@pytest.mark.slow
def test_two_models_on_both_sides_of_a_better_one_become_that_one(
    beside: Callable[..., Path], trained: RunDirectory, flowers: Path, tmp_path: Path
) -> None:
    packages = [beside("left", -0.1), beside("right", 0.1)]

    run, events = combined(tmp_path / "soup", flowers, packages, "SOUP")
    made = package.open_package(run.package)
    compared = next(event.members_compared for event in events if event.HasField("members_compared"))
    with np.load(made.path / "weights.npz") as weights, np.load(trained.package / "weights.npz") as middle:
        for name in middle.files:
            assert np.abs(weights[name] - middle[name]).max() < 1e-6

    package.verify(made)
    assert [one.kept for one in compared.members] == [True, True]
    assert [one.model_version for one in compared.members] == [*NAMES[:2]]
    assert figures(made)["loss"] < min(figures(package.open_package(one))["loss"] for one in packages)
    assert not made.is_ensemble
    assert made.manifest["architecture"] == "lenet5"


@pytest.mark.slow
def test_a_soup_that_is_no_better_than_its_best_member_is_none(
    beside: Callable[..., Path], flowers: Path, tmp_path: Path
) -> None:
    packages = [beside("near", 0.0), beside("far", 1.0)]

    with pytest.raises(TaskFailed, match=f"{NAMES[0]} alone") as refused:
        combined(tmp_path / "soup", flowers, packages, "SOUP")

    assert refused.value.reason == "SOUP_NOT_BETTER"


def test_weights_of_other_starts_are_not_averaged(beside: Callable[..., Path], flowers: Path, tmp_path: Path) -> None:
    packages = [beside("one", 0.0), beside("other", 0.1, weights={"sha256": "b"})]

    with pytest.raises(TaskFailed, match="did not start from the same weights") as refused:
        combined(tmp_path / "soup", flowers, packages, "SOUP")

    assert refused.value.reason == "MEMBERS_DIFFER"


def test_statistics_are_measured_in_the_layers_that_learnt_alone(
    network_recipe: Callable[..., pb.TrainingSpec], random_network: Callable[..., Network]
) -> None:
    network = random_network(network_recipe("resnet20_cifar", "SCRATCH", input={"size": 32}))
    layers = [one for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    generator = np.random.default_rng(0)
    store = PixelStore(generator.integers(0, 256, (70, 32, 32, 3), np.uint8), "drawn")
    seen: list[torch.Tensor] = []
    handle = layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))

    soup.measure_statistics(network, layers[:1], store, 0, torch.device("cpu"))
    handle.remove()

    means = torch.stack([one.mean(dim=(0, 2, 3)) for one in seen])
    assert [len(one) for one in seen] == [64, 6]
    assert torch.allclose(layers[0].running_mean, means.mean(dim=0), atol=1e-5)
    assert torch.equal(layers[1].running_mean, torch.zeros_like(layers[1].running_mean))
    assert not any(one.training for one in layers)
    assert layers[0].momentum == layers[1].momentum

"""Evaluation of packages and published weights, against what training and torchvision say of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from cultivar_contract import tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.preprocessing import Preprocessing
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.datasets.version import DatasetClass
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.weights import WeightsFile
from cultivar_trainer.tasks import evaluate
from cultivar_trainer.tasks.classifier import Classifier, by_category, by_id


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "events.jsonl") as journal:
        yield journal


def request(dataset: Path, **fields: str) -> dict:
    defaults = {name: "" for name in ("architecture", "weights", "package", "weights_folder", "downloads")}
    return tasks.to_json(tasks.EvaluateRequest(**{**defaults, "dataset": str(dataset), "split": "test", **fields}))


def classifier(*names: str, num_classes: int | None = None) -> Classifier:
    inputs = Preprocessing(size=8, resize=8, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
    return Classifier(
        title="it",
        onnx=b"",
        preprocessing=inputs,
        classes=classes(*names),
        num_classes=num_classes or len(names),
    )


def classes(*names: str) -> tuple[DatasetClass, ...]:
    return tuple(DatasetClass(id=name, display_name=name) for name in names)


def test_a_trained_model_gets_the_figures_that_its_package_states(
    trained: RunDirectory, flowers: Path, tmp_path: Path, journal: Journal
) -> None:
    manifest = json.loads((trained.package / "manifest.json").read_text())
    stated = manifest["variants"][0]["metrics"]

    for split in ("val", "test"):
        found = evaluate.run(
            RunDirectory(tmp_path), request(flowers, package=str(trained.package), split=split), journal
        )

        assert found["imageCount"] == str(stated[split]["image_count"])
        assert found["loss"] == pytest.approx(stated[split]["loss"], rel=1e-9)
        assert found.get("accuracy", 0.0) == stated[split]["accuracy"]


def test_a_damaged_package_is_not_evaluated(
    trained: RunDirectory, flowers: Path, tmp_path: Path, journal: Journal
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for name in ("manifest.json", "model.onnx"):
        (package / name).write_bytes((trained.package / name).read_bytes())

    with pytest.raises(TaskFailed, match="can't be read"):
        evaluate.run(RunDirectory(tmp_path), request(flowers, package=str(package)), journal)


@pytest.mark.parametrize("name", ["squeezenet1_0", "shufflenet_v2_x0_5"])
def test_a_published_network_answers_as_torchvisions_own_with_its_transforms_normalisation(
    tmp_path: Path, name: str
) -> None:
    torch.manual_seed(0)
    original = torchvision.models.get_model(name, weights=None).eval()
    torch.save(original.state_dict(), tmp_path / "w.pth")
    inputs = ARCHITECTURES[name].preprocessing(recipe_of(name))
    file = WeightsFile(source="w.pth", path=tmp_path / "w.pth", sha256="")

    network, num_classes = evaluate.published_network(name, file, inputs)

    images = torch.rand(2, 3, 64, 64)
    normalised = torchvision.transforms.functional.normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    network_input = torch.nn.functional.interpolate(normalised, 224)
    with torch.no_grad():
        expected = original(network_input)
        answered = network(torch.nn.functional.interpolate(images, 224))
    assert num_classes == 1000
    assert torch.allclose(answered, expected, atol=1e-5)


def recipe_of(name: str):
    from cultivar.v1 import training_spec_pb2 as pb

    recipe = pb.TrainingSpec(architecture=name, weights="w.pth")
    recipe.input.size = 224
    return recipe


def test_weights_of_another_network_are_refused_with_what_differs(tmp_path: Path) -> None:
    tensors = torchvision.models.get_model("squeezenet1_0", weights=None).state_dict()
    del tensors["features.0.weight"]
    torch.save(tensors, tmp_path / "w.pth")
    file = WeightsFile(source="w.pth", path=tmp_path / "w.pth", sha256="")

    with pytest.raises(TaskFailed, match=r"no whole squeezenet1_0: features\.0\.weight is missing"):
        evaluate.published_network("squeezenet1_0", file, ARCHITECTURES["squeezenet1_0"].preprocessing(recipe_of("x")))


@pytest.mark.all
def test_a_data_set_of_a_fine_tuned_files_classes_is_evaluated_in_their_order(
    tmp_path: Path, flowers: Path, journal: Journal
) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model("shufflenet_v2_x0_5", weights=None, num_classes=5).eval()
    with torch.no_grad():
        network.fc.bias.copy_(torch.tensor([0.0, 0.0, 9.0, 0.0, 0.0]))  # answers the third class, always
        network.fc.weight.zero_()
    torch.save(network.state_dict(), tmp_path / "w.pth")

    found = evaluate.run(
        RunDirectory(tmp_path),
        request(flowers, architecture="shufflenet_v2_x0_5", weights="w.pth", weights_folder=str(tmp_path)),
        journal,
    )

    assert found["accuracy"] == 0.2
    p = np.exp(9) / (np.exp(9) + 4)
    assert found["loss"] == pytest.approx(-0.2 * np.log(p) - 0.8 * np.log((1 - p) / 4), rel=1e-5)


def test_classes_find_their_categories_by_id_or_name_whatever_their_spelling() -> None:
    found = by_category(
        (DatasetClass(id="c1", display_name="Great White_Shark"), DatasetClass(id="goldfish", display_name="x")),
        classifier("tench", "goldfish", "great white shark"),
    )

    assert found == [2, 1]


def test_as_many_classes_as_categories_are_taken_in_their_order_unless_a_name_contradicts() -> None:
    three = classifier("tench", "goldfish", "shark")

    assert by_category(classes("n01", "n02", "n03"), three) == [0, 1, 2]
    assert by_category(classes("n01", "goldfish", "n03"), three) == [0, 1, 2]
    assert by_category(classes("a", "b"), classifier(num_classes=2)) == [0, 1]
    with pytest.raises(TaskFailed, match="name classes as categories"):
        by_category(classes("goldfish", "n02", "n03"), three)


def test_a_name_that_two_categories_share_finds_neither() -> None:
    with pytest.raises(TaskFailed, match=r"1 of the data set's 2 classes .* crane"):
        by_category(classes("crane", "tench"), classifier("crane", "tench", "crane"))


def test_classes_that_a_model_does_not_know_are_named() -> None:
    assert by_id(classes("b"), classifier("a", "b")) == [1]
    with pytest.raises(TaskFailed, match="1 of the data set's 2 classes are none of the 2 of it: z"):
        by_id(classes("a", "z"), classifier("a", "b"))

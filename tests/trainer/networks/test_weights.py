from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks import weights
from cultivar_trainer.networks.builders import Built, build
from cultivar_trainer.networks.lenet5 import LeNet5
from cultivar_trainer.networks.network import Network
from cultivar_trainer.networks.weights import WeightsFile

Recipe = Callable[..., pb.TrainingSpec]
Make = Callable[..., Network]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "events.jsonl") as journal:
        yield journal


def lenet(num_classes: int) -> LeNet5:
    torch.manual_seed(1)
    return LeNet5(num_classes=num_classes, input_size=32, channels=3)


def load(recipe: pb.TrainingSpec, file: WeightsFile, *, keep_head: bool = False) -> Built:
    return build(recipe, 5, mean=(0.5,) * 3, std=(0.5,) * 3, weights=file, keep_head=keep_head)


def save(path: Path, state: object) -> WeightsFile:
    torch.save(state, path)
    return WeightsFile(source=path.name, path=path, sha256=files.sha256_file(path))


def test_the_backbone_is_loaded_and_the_head_replaced(network_recipe: Recipe, tmp_path: Path) -> None:
    pretrained = lenet(10)
    file = save(tmp_path / "lenet.pth", pretrained.state_dict())

    built = load(network_recipe("lenet5"), file)

    assert built.weights is not None
    assert built.weights.tensors_loaded == 8
    assert list(built.weights.tensors_replaced) == ["classifier.weight", "classifier.bias"]
    assert list(built.weights.tensors_missing) == []
    loaded = dict(built.network.named_tensors())
    assert torch.equal(loaded["features.0.conv.weight"], pretrained.state_dict()["features.0.conv.weight"])
    assert built.network.head.output.weight.shape == (5, 84)
    assert built.network.head.output.weight.std().item() == pytest.approx(0.01, rel=0.2)
    assert built.network.head.output.bias.abs().sum() == 0
    assert not built.head_kept


def test_a_package_of_tensors_loads_like_a_state_dictionary(tmp_path: Path) -> None:
    state = lenet(10).state_dict()
    np.savez(tmp_path / "weights.npz", **{name: tensor.numpy() for name, tensor in state.items()})

    read = weights.read(tmp_path / "weights.npz")

    assert set(read) == set(state)
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_weights_of_another_network_are_refused_by_tensor_name(network_recipe: Recipe, tmp_path: Path) -> None:
    file = save(tmp_path / "other.pth", {**lenet(10).state_dict(), "features.0.conv.weight": torch.zeros(1)})

    with pytest.raises(TaskFailed, match=r"features\.0\.conv\.weight has shape \(1,\)") as caught:
        load(network_recipe("lenet5"), file)

    assert caught.value.reason == "WEIGHTS_DO_NOT_FIT"


def test_a_larger_sisters_file_is_refused(network_recipe: Recipe, tmp_path: Path) -> None:
    file = save(tmp_path / "larger.pth", {**lenet(10).state_dict(), "features.2.conv.weight": torch.zeros(1)})

    with pytest.raises(TaskFailed, match=r"features\.2\.conv\.weight is unknown to this network"):
        load(network_recipe("lenet5"), file)


def test_values_that_are_no_numbers_are_refused(network_recipe: Recipe, tmp_path: Path) -> None:
    file = save(
        tmp_path / "nan.pth", {**lenet(10).state_dict(), "features.0.conv.bias": torch.full((6,), float("nan"))}
    )

    with pytest.raises(TaskFailed, match=r"features\.0\.conv\.bias has values that are no finite numbers"):
        load(network_recipe("lenet5"), file)


@pytest.mark.parametrize(
    "wrap", [lambda s: {"model": s, "epoch": 3}, lambda s: {f"module.{n}": t for n, t in s.items()}]
)
def test_the_usual_wrappings_of_a_state_dictionary_are_taken_off(tmp_path: Path, wrap: Any) -> None:
    state = lenet(10).state_dict()

    assert set(weights.read(save(tmp_path / "wrapped.pth", wrap(state)).path)) == set(state)


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("/tmp/cultivar-was-here", "w"))  # type: ignore[return-value]


@pytest.mark.parametrize("content", [b"garbage", Hostile(), {"a": 1}, [torch.zeros(1)]])
def test_a_file_that_is_no_dictionary_of_tensors_is_refused_and_not_run(tmp_path: Path, content: object) -> None:
    path = tmp_path / "x.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)

    with pytest.raises(TaskFailed) as caught:
        weights.read(path)

    assert caught.value.reason == "WEIGHTS_UNREADABLE"
    assert not Path("/tmp/cultivar-was-here").exists()


def test_a_file_is_found_by_its_bare_name_and_an_enum_member_in_the_same_folder(
    tmp_path: Path, journal: Journal
) -> None:
    (tmp_path / "mine.pth").write_bytes(b"x")

    found = weights.find("mobilenet_v2", "mine.pth", tmp_path, tmp_path, journal)

    assert found.path == tmp_path / "mine.pth"
    for name in ("../mine.pth", "missing.pth", "IMAGENET1K_V9"):
        with pytest.raises(TaskFailed, match="neither an enum member nor a file"):
            weights.find("mobilenet_v2", name, tmp_path, tmp_path, journal)


def package(network: Network, folder: Path) -> WeightsFile:
    path = folder / "weights.npz"
    np.savez(path, **{name: one.detach().numpy() for name, one in network.named_tensors()})
    return WeightsFile(source="flowers/versions/3", path=path, sha256=files.sha256_file(path))


HIDDEN = {"headHiddenSizes": [12, 6]}


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("lenet5", {"network": HIDDEN}),
        ("squeezenet1_1", {"network": HIDDEN, "input": {"size": 64}}),
        ("resnet20_cifar", {"network": {"shortcuts": False}}),
        ("mobilenet_v3_small", {"retainBlocks": 3, "input": {"size": 64}}),
    ],
)
def test_a_package_gives_back_the_network_that_it_was_made_of(
    network_recipe: Recipe, random_network: Make, tmp_path: Path, architecture: str, fields: dict[str, Any]
) -> None:
    trained = random_network(network_recipe(architecture, seed=1, **fields))
    file = package(trained, tmp_path)

    kept = load(network_recipe(architecture, seed=2, **fields), file, keep_head=True)
    renewed = load(network_recipe(architecture, seed=2, **fields), file)

    wanted = dict(trained.named_tensors())
    assert kept.head_kept
    assert all(torch.equal(one, wanted[name]) for name, one in kept.network.named_tensors())
    assert not renewed.head_kept
    for name, one in renewed.network.named_tensors():
        assert torch.equal(one, wanted[name]) != renewed.network.in_head(name)


def test_a_head_of_another_shape_is_new_even_if_it_was_to_be_kept(
    network_recipe: Recipe, random_network: Make, tmp_path: Path
) -> None:
    file = package(random_network(network_recipe("lenet5", network=HIDDEN)), tmp_path)

    built = load(network_recipe("lenet5"), file, keep_head=True)

    assert built.weights is not None
    assert not built.head_kept
    assert built.weights.tensors_loaded == 8


def test_a_cut_network_takes_what_is_left_of_the_file(network_recipe: Recipe, tmp_path: Path) -> None:
    state = lenet(10).state_dict()
    file = save(tmp_path / "lenet.pth", state)

    built = load(network_recipe("lenet5", retainBlocks=2), file)

    assert built.weights is not None
    assert built.weights.tensors_loaded == 4
    assert torch.equal(dict(built.network.named_tensors())["features.1.conv.weight"], state["features.1.conv.weight"])
    with pytest.raises(TaskFailed, match=r"features\.1\.conv\.weight is missing"):
        load(
            network_recipe("lenet5", retainBlocks=2),
            save(tmp_path / "cut.pth", {name: one for name, one in state.items() if "features.1" not in name}),
        )


def test_a_new_heads_weights_follow_the_recipe_and_the_backbones_stay(network_recipe: Recipe, tmp_path: Path) -> None:
    state = lenet(10).state_dict()
    recipe = network_recipe(
        "lenet5", network={"headHiddenSizes": [400]}, initialisation={"scheme": "INITIALISATION_SCHEME_LECUN"}
    )

    network = load(recipe, save(tmp_path / "lenet.pth", state)).network

    tensors = dict(network.named_tensors())
    assert torch.equal(tensors["hidden.1.linear.weight"], state["hidden.1.linear.weight"])
    assert tensors["classifier.hidden.0.linear.weight"].std().item() == pytest.approx(84**-0.5, rel=0.05)
    assert tensors["classifier.weight"].std().item() == pytest.approx(400**-0.5, rel=0.05)

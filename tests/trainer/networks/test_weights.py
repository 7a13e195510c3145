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
from cultivar_trainer.networks.builders import build, module
from cultivar_trainer.networks.weights import WeightsFile

Resolved = Callable[..., pb.TrainingSpec]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "events.jsonl") as journal:
        yield journal


def lenet(num_classes: int) -> torch.nn.Module:
    torch.manual_seed(1)
    return module("lenet5", num_classes=num_classes, input_size=32, stem=pb.STEM_UNSPECIFIED)


def save(path: Path, state: object) -> WeightsFile:
    torch.save(state, path)
    return WeightsFile(source=path.name, path=path, sha256=files.sha256_file(path))


def test_the_backbone_is_loaded_and_the_head_replaced(resolved: Resolved, tmp_path: Path) -> None:
    pretrained = lenet(10)
    file = save(tmp_path / "lenet.pth", pretrained.state_dict())

    built = build(resolved(), 5, file)

    assert built.weights is not None
    assert built.weights.tensors_loaded == 8
    assert list(built.weights.tensors_replaced) == ["classifier.weight", "classifier.bias"]
    assert list(built.weights.tensors_missing) == []
    assert torch.equal(built.network.backbone.features[0].weight, pretrained.features[0].weight)  # type: ignore[index]
    assert built.network.head.weight.shape == (5, 84)
    assert built.network.head.weight.std().item() == pytest.approx(0.01, rel=0.2)


def test_a_package_of_tensors_loads_like_a_state_dictionary(tmp_path: Path) -> None:
    state = lenet(10).state_dict()
    np.savez(tmp_path / "weights.npz", **{name: tensor.numpy() for name, tensor in state.items()})

    read = weights.read(tmp_path / "weights.npz")

    assert set(read) == set(state)
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_weights_of_another_network_are_refused_by_tensor_name(resolved: Resolved, tmp_path: Path) -> None:
    file = save(tmp_path / "other.pth", {**lenet(10).state_dict(), "features.0.weight": torch.zeros(1)})

    with pytest.raises(TaskFailed, match=r"features\.0\.weight has shape \(1,\)") as caught:
        build(resolved(), 5, file)

    assert caught.value.reason == "WEIGHTS_DO_NOT_FIT"


def test_a_larger_sisters_file_is_refused(resolved: Resolved, tmp_path: Path) -> None:
    file = save(tmp_path / "larger.pth", {**lenet(10).state_dict(), "features.6.weight": torch.zeros(1)})

    with pytest.raises(TaskFailed, match=r"features\.6\.weight is unknown to this network"):
        build(resolved(), 5, file)


def test_values_that_are_no_numbers_are_refused(resolved: Resolved, tmp_path: Path) -> None:
    file = save(tmp_path / "nan.pth", {**lenet(10).state_dict(), "features.0.bias": torch.full((6,), float("nan"))})

    with pytest.raises(TaskFailed, match=r"features\.0\.bias has values that are no finite numbers"):
        build(resolved(), 5, file)


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

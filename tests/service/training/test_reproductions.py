"""Repeating a version's training: what it takes, and how two packages of the real trainer compare."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_service import make_config

from cultivar.v1 import event_pb2, training_pb2
from cultivar_contract import files, package
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog.database import Catalog
from cultivar_service.errors import FailedPrecondition
from cultivar_service.training.comparison import compare
from cultivar_service.training.reproductions import Reproductions

VERSION = "models/flowers/versions/1"
DATASET = "datasets/flowers/versions/1"
SPEC = {"epochs": 2, "batchSize": 16, "augmentation": {"horizontalFlip": 0.5}}


def different(reproduction: event_pb2.Reproduction) -> list[str]:
    return [one.what for one in reproduction.comparisons if not one.same]


def change(folder: Path, **manifest: Any) -> None:
    body = files.read_json(folder / "manifest.json")
    files.write_json(folder / "manifest.json", {**body, **manifest})


@pytest.fixture
def keep(tmp_path: Path, trained: RunDirectory) -> Callable[[], Path]:
    """Puts a copy of the trained package into the place of a version."""

    def keep() -> Path:
        target = make_config(tmp_path).models / "flowers/1"
        shutil.copytree(trained.package, target)
        return target

    return keep


async def know_dataset(catalog: Catalog, digest: str) -> None:
    row = ("flowers", "import-1", 1, 2, digest, "", b"")
    columns = "dataset, import_id, version, state, digest, request_digest, resource"
    await catalog.write(
        lambda connection: connection.exec_driver_sql(
            f"INSERT INTO datasets ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row
        )
    )


@pytest.mark.slow
def test_the_same_recipe_again_gives_the_same_package_and_another_seed_does_not(
    trained: RunDirectory, resolved: Callable[..., Any], run_trainer: Callable[..., Any]
) -> None:
    same, other = (
        compare(package.open_package(trained.package), package.open_package(run_trainer(spec)[0].package))
        for spec in (resolved(**SPEC), resolved(**SPEC, seed=7))
    )

    assert different(same) == []
    assert same.identical
    assert not same.environment
    assert not other.identical
    assert {"model.onnx", "weights", "history", "val.loss"} <= {*different(other)}
    assert not {"data set", "train images", "val images"} & {*different(other)}


async def test_a_package_is_the_same_as_itself(tmp_path: Path, trained: RunDirectory, keep: Callable[[], Path]) -> None:
    keep()
    catalog = Catalog(tmp_path / "catalog.sqlite")
    reproductions = Reproductions(make_config(tmp_path), catalog)
    found = await reproductions.compare(training_pb2.TrainingJob(reproduces=VERSION), trained.package)
    with pytest.raises(FailedPrecondition, match="can't be repeated"):
        await reproductions.compare(training_pb2.TrainingJob(reproduces=f"{VERSION}2"), trained.package)
    catalog.close()

    assert found.identical
    compared = [one.what for one in found.comparisons]
    assert {"data set", "train images", "model.onnx", "weights", "history", "val.loss", "test.accuracy"} <= {*compared}


def test_what_differs_is_named_down_to_the_tensor(trained: RunDirectory, keep: Callable[[], Path]) -> None:
    other = keep()
    with np.load(other / "weights.npz") as tensors:
        changed = {name: tensors[name] for name in tensors.files}
    name = sorted(changed)[0]
    changed[name] = np.nextafter(changed[name], np.inf)
    np.savez(other / "weights.npz", **changed)
    history = json.loads((other / "history.json").read_text())
    history["epochs"][0]["train_seconds"] += 1
    files.write_json(other / "history.json", history)
    manifest = package.open_package(other).manifest
    libraries, plan = {**manifest["libraries"], "torch": "1.0"}, {**manifest["plan"], "threads": 77}
    change(other, libraries=libraries, plan=plan)

    found = compare(package.open_package(trained.package), package.open_package(other))

    assert not found.identical
    assert different(found) == ["weights", f"weights/{name}"]
    assert found.environment[0].endswith(" then, 1.0 now")
    assert found.environment[0].startswith("torch: ")
    assert found.environment[1].startswith("plan threads: ")


async def test_a_version_s_origin_is_its_recipe_its_plans_and_its_data(
    tmp_path: Path, keep: Callable[[], Path]
) -> None:
    manifest = package.open_package(keep()).manifest
    catalog = Catalog(tmp_path / "catalog.sqlite")
    reproductions = Reproductions(make_config(tmp_path), catalog)
    with pytest.raises(FailedPrecondition, match="is gone: import it again") as gone:
        await reproductions.origin(VERSION)
    await know_dataset(catalog, manifest["dataset"]["digest"])
    origin = await reproductions.origin(VERSION)
    change(make_config(tmp_path).models / "flowers/1", stopped_after_epochs=1)
    ended = await reproductions.course(VERSION)
    catalog.close()

    assert gone.value.reason == "DATASET_GONE"
    assert origin.recipe.dataset == DATASET
    assert (origin.recipe.epochs, origin.recipe.architecture) == (2, "lenet5")
    assert origin.recipe.HasField("seed")
    assert origin.course.plans == manifest["plans"]
    assert origin.course.plans[0]["plan"] == manifest["plan"]
    assert (origin.course.stop_after_epochs, ended.stop_after_epochs) == (0, 1)
    assert {*manifest["code"]} == {"version", "sha256"}
    assert {"python", "torch", "onnxruntime"} <= {*manifest["libraries"]}


async def test_weights_that_are_gone_or_other_ones_now_refuse_a_repetition(
    tmp_path: Path, keep: Callable[[], Path]
) -> None:
    folder, config = keep(), make_config(tmp_path)
    manifest = package.open_package(folder).manifest
    catalog = Catalog(tmp_path / "catalog.sqlite")
    await know_dataset(catalog, manifest["dataset"]["digest"])
    config.weights_dir.mkdir()
    (config.weights_dir / "mine.pth").write_bytes(b"others")
    reasons = []
    for weights in ("models/oaks/versions/2", "mine.pth", "lost.pth"):
        change(folder, recipe={**manifest["recipe"], "weights": weights}, weights={"sha256": "ab" * 32})
        with pytest.raises(FailedPrecondition, match=f"^{weights}, .* sha256 abababababab") as gone:
            await Reproductions(config, catalog).origin(VERSION)
        reasons.append(gone.value.reason)
    catalog.close()

    assert reasons == ["SOURCE_VERSION_GONE", "WEIGHTS_GONE", "WEIGHTS_GONE"]


@pytest.mark.parametrize("broken", [{"plans": []}, {"plans": 3}, {"recipe": {"epochs": "x"}}, {"dataset": {}}])
async def test_a_manifest_that_lacks_what_it_takes_is_told(
    tmp_path: Path, keep: Callable[[], Path], broken: dict
) -> None:
    change(keep(), **broken)
    catalog = Catalog(tmp_path / "catalog.sqlite")
    with pytest.raises(FailedPrecondition) as refused:
        await Reproductions(make_config(tmp_path), catalog).origin(VERSION)
    catalog.close()

    assert refused.value.reason == "PACKAGE_DAMAGED"

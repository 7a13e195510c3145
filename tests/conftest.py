"""One small data set and one small trained model, made once by the real trainer, for all tests that need one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import recipe, tasks
from cultivar_contract.run_directory import Result, RunDirectory

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"  # as the trainer sets it: spinning threads crawl on a busy host

IMAGES_PER_SPECIES = {"train": 12, "val": 4, "test": 4}
Trained = tuple[RunDirectory, Result]


@pytest.fixture(scope="session")
def flowers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn flowers in five species with train/, val/ and test/."""
    from cultivar_trainer.datasets import procedural_flowers

    folder = tmp_path_factory.mktemp("flowers")
    procedural_flowers.write_folder(folder, images_per_species=IMAGES_PER_SPECIES)
    return folder


@pytest.fixture(scope="session")
def flowers(flowers_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the data set version made of that folder."""
    from cultivar_trainer.datasets import sources
    from cultivar_trainer.datasets.splits import Splitting
    from cultivar_trainer.journal import Journal
    from cultivar_trainer.tasks.import_dataset import import_source

    root = tmp_path_factory.mktemp("imports")
    with Journal(root / "events.jsonl") as journal:
        import_source(sources.folder(flowers_folder, None), root / "dataset", Splitting(), journal)
    return root / "dataset"


@pytest.fixture(scope="session")
def resolved() -> Callable[..., pb.TrainingSpec]:
    """Resolves a spec for the drawn flowers, given as proto JSON."""

    from cultivar_trainer.datasets import procedural_flowers

    def resolved(weight_files: tuple[str, ...] = (), **fields: Any) -> pb.TrainingSpec:
        spec = {"dataset": "flowers", "architecture": "lenet5", "mode": "FINE_TUNING_MODE_SCRATCH", **fields}
        species = tuple(sorted(species.id for species in procedural_flowers.SPECIES))
        facts = recipe.DatasetFacts(
            name="datasets/flowers/versions/1",
            class_ids=species,
            counts={split: (count,) * 5 for split, count in IMAGES_PER_SPECIES.items()},
        )
        resolution = recipe.resolve(
            json_format.ParseDict(spec, pb.TrainingSpec()), recipe.Facts(dataset=facts, weight_files=weight_files)
        )
        assert not resolution.violations, resolution.violations
        assert not resolution.unbuilt, resolution.unbuilt
        return resolution.recipe

    return resolved


@pytest.fixture(scope="session")
def run_trainer(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    """Runs the real trainer process on a resolved recipe."""

    def run_trainer(
        spec: pb.TrainingSpec, weights: Path = Path("/nonexistent"), dataset: Path = flowers, **environment: str
    ) -> Trained:
        run = RunDirectory(tmp_path_factory.mktemp("run"))
        request = tasks.TrainRequest(
            job="trainingJobs/test",
            recipe=json_format.MessageToDict(spec),
            dataset=str(dataset),
            caches=str(run.path / "caches"),
            cache_budget_bytes=1 << 30,
            weights=str(weights),
            downloads=str(run.path / "downloads"),
        )
        run.write_request(1, tasks.to_json(request))
        with run.log(1).open("wb") as log:
            subprocess.run(
                [sys.executable, "-m", "cultivar_trainer", "train", str(run.path)],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                check=False,
            )
        result = run.read_result(1)
        assert result is not None, run.log(1).read_text()
        return run, result

    return run_trainer


@pytest.fixture(scope="session")
def trained(resolved: Callable[..., pb.TrainingSpec], run_trainer: Callable[..., Trained]) -> RunDirectory:
    """The run directory of a finished small job: LeNet-5 from scratch, two epochs."""
    run, result = run_trainer(resolved(epochs=2, batchSize=16, augmentation={"horizontalFlip": 0.5}))
    assert result.outcome == "SUCCEEDED", run.log(1).read_text()
    return run

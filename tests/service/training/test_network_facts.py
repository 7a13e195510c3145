"""Specs that are checked against the built network."""

import importlib.util
from pathlib import Path

import pytest
from running_service import Client, make_config, make_spec, refused, running

from cultivar.v1 import training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe import NetworkFacts
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.trainers.calls import Calls
from cultivar_service.trainers.executor import Executor
from cultivar_service.training.describe import Descriptions

NAMES = ("bn1.weight", "layer1.weight", "layer2.weight", "fc.weight")


async def validated(client: Client, **fields: object) -> training_pb2.TrainingJob:
    request = training_pb2.CreateTrainingJobRequest(spec=make_spec(**fields), validate_only=True)
    return await client.training.CreateTrainingJob(request)


async def test_single_images_are_refused_where_batch_norm_learns_and_taken_where_it_is_frozen(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        (tmp_path / "weights/w.pth").write_bytes(b"w")
        refusal = await refused(validated(client, architecture="resnet18", batch_size=1, epochs=-1))
        head = await validated(
            client, architecture="resnet18", batch_size=1, mode=pb.FINE_TUNING_MODE_HEAD, weights="w.pth"
        )
        plain = await validated(client, architecture="lenet5", batch_size=1)

        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ["spec.epochs", "spec.batch_size"])
        assert "bn1" in refusal.message
        assert head.recipe.batch_size == plain.recipe.batch_size == 1


async def test_where_the_network_can_not_be_built_a_spec_is_taken_with_a_warning(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="crash")) as (_, client):
        await client.import_flowers()

        answer = await validated(client, architecture="resnet18", batch_size=1)

        assert any("was not built beforehand" in warning for warning in answer.warnings)


async def test_without_a_trainer_a_spec_is_still_validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    async with running(make_config(tmp_path, trainer_command=())) as (_, client):
        answer = await validated(client, architecture="resnet18", batch_size=1)

        assert answer.recipe.batch_size == 1


async def test_the_facts_are_those_of_the_network_that_the_recipe_keeps(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    storage = DataDirectory(config)
    calls = Calls(config, storage, Executor(config.trainer_command, grace_s=1.0), "describe", deadline_s=20)
    descriptions = Descriptions(calls)

    async def facts(**fields: object) -> NetworkFacts | None:
        return await descriptions.network_facts(pb.TrainingSpec(architecture="resnet18", **fields), 3)

    full, blocks = pb.FINE_TUNING_MODE_FULL, pb.FINE_TUNING_MODE_LAST_BLOCKS
    plain = NetworkFacts(parameter_names=NAMES, block_count=2, learning_batch_norms=())
    try:
        assert await facts(mode=full, batch_size=2) is None
        assert await facts(mode=blocks, batch_size=2, last_blocks=9) == plain
        assert await facts(mode=full, batch_size=1, trainable=["nothing.*"]) == plain
        learning = await facts(mode=full, batch_size=1)
        assert learning is not None
        assert learning.learning_batch_norms == ("bn1",)
    finally:
        storage.close()

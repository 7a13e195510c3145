"""What CombineModels refuses, and where it says the fault is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from combinable_packages import combinable
from published_models import published
from running_service import Client, Refusal, make_spec, refused
from tiny_package import PREPROCESSING

from cultivar.v1 import model_pb2, training_pb2

ENSEMBLE, SOUP = training_pb2.COMBINATION_METHOD_ENSEMBLE, training_pb2.COMBINATION_METHOD_SOUP
VERSIONS = tuple(f"models/flowers/versions/{number}" for number in range(1, 20))


async def asked(client: Client, members: Sequence[str], method: int = ENSEMBLE, **fields: Any) -> Refusal:
    request = model_pb2.CombineModelsRequest(**{"model": "joined", **fields}, method=method, members=members)
    return await refused(client.models.CombineModels(request))


def different(folder: Path) -> list[Path]:
    """A package, and others that differ from it in one thing each."""
    preprocessing = PREPROCESSING.to_json()
    start = {"weights": {"sha256": "a"}}
    recipes: list[dict[str, Any]] = [
        {},
        {"recipe": {"input": {"size": 40, "channels": 3}}},
        {"recipe": {"input": {"size": 32, "channels": 1}}},
        {"preprocessing": {**preprocessing, "resize": 9}},
        {"digest": "other"},
        {"classes": [{"id": one, "display_name": one} for one in ("aster", "lily", "tulip")]},
        {"combination": {"method": "ENSEMBLE"}},
        {"recipe": {"architecture": "mlp"}},
        {"recipe": {"network": {"convChannels": [3, 4]}}},
        {"recipe": {"seed": "1"}},
        {"preprocessing": {**preprocessing, "mean": [0.4] * 3}},
        {"recipe": {"weights": "models/flowers/versions/1"}, **start},
        {"recipe": {"weights": "models/flowers/versions/1"}, "weights": {"sha256": "b"}},
    ]
    return [combinable(folder / str(number), **fields) for number, fields in enumerate(recipes)]


async def test_what_keeps_models_apart_is_said_at_the_member_s_field(tmp_path: Path) -> None:
    packages = different(tmp_path / "packages")
    async with published(tmp_path, packages, package=packages[0]) as (_, client):
        await client.import_flowers()
        refusals = [await asked(client, (VERSIONS[0], one)) for one in VERSIONS[1:7]]
        soups = [await asked(client, (VERSIONS[0], one), SOUP) for one in VERSIONS[7:12]]
        starts = await asked(client, (VERSIONS[11], VERSIONS[12]), SOUP)

    assert {one.code for one in (*refusals, *soups, starts)} == {"INVALID_ARGUMENT"}
    assert {tuple(one.fields) for one in (*refusals, *soups, starts)} == {("members[1]",)}
    said = ("40 px RGB", "32 px grey", "resized to 9 px", "another data set", "such as tulip", "is an ensemble")
    for refusal, words in zip(refusals, said, strict=True):
        assert words in refusal.message
    said = ("is a mlp", "other shapes", "did not start from", "normalises its images otherwise", "did not start from")
    for refusal, words in zip(soups, said, strict=True):
        assert words in refusal.message
    assert "did not start from" in starts.message


async def test_requests_that_say_too_little_too_much_or_nonsense_are_refused(tmp_path: Path) -> None:
    packages = [combinable(tmp_path / "packages/0"), combinable(tmp_path / "packages/1")]
    async with published(tmp_path, packages, package=packages[0]) as (_, client):
        await client.import_flowers()
        two = VERSIONS[:2]
        refusals = {
            "model": await asked(client, two, model="No Name"),
            "method": await asked(client, two, method=0),
            "members": await asked(client, two[:1]),
            "members ": await asked(client, VERSIONS[:1] * 33),
            "members[1]": await asked(client, ("flowers", two[0])),
            "publish": await asked(client, two, publish=99),
            "test_evaluation": await asked(client, two, test_evaluation=99),
            "request_id": await asked(client, two, request_id="x" * 200),
        }
        gone = await asked(client, (two[0], "trainingJobs/none"))
        nothing = await asked(client, (two[0], "models/none/versions/1"))
        hostile = await asked(client, (two[0], "trainingJobs/../../x"))

    for field, refusal in refusals.items():
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", [field.strip()])
    assert {one.code for one in (gone, nothing, hostile)} == {"NOT_FOUND"}
    assert {tuple(one.fields) for one in (gone, nothing, hostile)} == {("members[1]",)}


async def test_a_request_is_answered_again_and_another_with_its_id_is_refused(tmp_path: Path) -> None:
    packages = [combinable(tmp_path / f"packages/{number}") for number in range(3)]
    package = combinable(tmp_path / "joined")
    async with published(tmp_path, packages, package=package) as (_, client):
        await client.import_flowers()
        request = model_pb2.CombineModelsRequest(
            model="joined", method=ENSEMBLE, members=["flowers", "flowers/versions/2"], request_id="one"
        )
        first = await client.models.CombineModels(request)
        again = await client.models.CombineModels(request)
        other = await asked(client, VERSIONS[1:3], request_id="one")

    assert again.name == first.name
    assert list(first.combination.members) == [*VERSIONS[:2]]
    assert first.combination.parameters > 0
    assert first.recipe.test_evaluation == 2  # deferred
    assert (other.code, other.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


@pytest.mark.parametrize("method", ["ENSEMBLE", "SOUP"])
async def test_a_combined_version_is_not_reproduced_and_an_ensemble_starts_no_training(
    tmp_path: Path, method: str
) -> None:
    package = combinable(tmp_path / "packages/0", combination={"method": method})
    async with published(tmp_path, [package]) as (_, client):
        await client.import_flowers()
        reproduced = await refused(
            client.models.ReproduceModelVersion(model_pb2.ReproduceModelVersionRequest(name=VERSIONS[0]))
        )
        spec = make_spec(mode=2, weights=VERSIONS[0])
        create = client.training.CreateTrainingJob(training_pb2.CreateTrainingJobRequest(spec=spec, validate_only=True))
        if method == "SOUP":
            assert (await create).recipe.weights == VERSIONS[0]
        else:
            refusal = await refused(create)
            assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "IS_ENSEMBLE")
            assert refusal.fields == ["spec.weights"]

    assert (reproduced.code, reproduced.reason) == ("FAILED_PRECONDITION", "COMBINED_MODEL")

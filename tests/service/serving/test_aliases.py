"""Names such as `canary` that point to versions."""

from collections.abc import Callable
from pathlib import Path

from published_models import published
from running_service import Client, make_config, refused, running
from tiny_package import RED

from cultivar.v1 import model_pb2


async def put(client: Client, alias: str, version: str) -> model_pb2.Model:
    request = model_pb2.SetModelAliasRequest(name="flowers", alias=alias, model_version=version)
    return await client.models.SetModelAlias(request)


async def delete(client: Client, alias: str) -> model_pb2.Model:
    return await client.models.DeleteModelAlias(model_pb2.DeleteModelAliasRequest(name="flowers", alias=alias))


async def get_version(client: Client, number: int) -> model_pb2.ModelVersion:
    request = model_pb2.GetModelVersionRequest(name=f"flowers/versions/{number}")
    return await client.models.GetModelVersion(request)


async def test_an_alias_answers_moves_and_survives_a_restart(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    packages = [make_package(name) for name in ("one", "two", "three")]
    async with published(tmp_path, packages) as (_, client):
        await put(client, "canary", "flowers/versions/2")
        first = await client.predict(RED, model="flowers@canary")
        model = await put(client, "canary", "models/flowers/versions/3")
        await put(client, "baseline", "flowers/versions/3")

        assert first.model_version == "models/flowers/versions/2"
        assert [(one.alias, one.model_version) for one in model.aliases] == [("canary", "models/flowers/versions/3")]
    async with running(make_config(tmp_path)) as (_, client):
        assert (await client.predict(RED, model="flowers@canary")).model_version == "models/flowers/versions/3"
        assert list((await get_version(client, 3)).aliases) == ["baseline", "canary"]
        assert (await get_version(client, 1)).live
        assert not (await get_version(client, 1)).aliases
        listed = await client.models.ListModelVersions(model_pb2.ListModelVersionsRequest(parent="flowers"))
        assert [list(one.aliases) for one in listed.model_versions] == [["baseline", "canary"], [], []]


async def test_what_an_alias_points_to_is_not_deleted(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (_, client):
        await put(client, "canary", "flowers/versions/2")
        delete_version = model_pb2.DeleteModelVersionRequest(name="flowers/versions/2")
        delete_model = model_pb2.DeleteModelRequest(name="flowers")

        version = await refused(client.models.DeleteModelVersion(delete_version))
        model = await refused(client.models.DeleteModel(delete_model))
        after = await delete(client, "canary")
        gone = await refused(client.predict(RED, model="flowers@canary"))
        await client.models.DeleteModelVersion(delete_version)
        await client.models.DeleteModel(delete_model)

        assert (version.code, version.reason) == ("FAILED_PRECONDITION", "VERSION_HAS_ALIAS")
        assert "`canary` points to" in version.message
        assert (model.code, model.reason) == ("FAILED_PRECONDITION", "MODEL_HAS_ALIAS")
        assert not after.aliases
        assert gone.code == "NOT_FOUND"
        assert (await refused(client.predict(RED))).code == "NOT_FOUND"


async def test_what_can_be_no_alias_is_refused_at_its_field(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (_, client):

        async def refusal(alias: str, version: str) -> tuple[str, list[str]]:
            found = await refused(put(client, alias, version))
            return found.code, found.fields

        assert await refusal("live", "flowers/versions/2") == ("INVALID_ARGUMENT", ["alias"])
        assert await refusal("", "flowers/versions/2") == ("INVALID_ARGUMENT", ["alias"])
        assert await refusal("Canary!", "flowers/versions/2") == ("INVALID_ARGUMENT", ["alias"])
        assert await refusal("canary", "") == ("INVALID_ARGUMENT", ["model_version"])
        assert await refusal("canary", "flowers") == ("INVALID_ARGUMENT", ["model_version"])
        assert await refusal("canary", "trees/versions/2") == ("INVALID_ARGUMENT", ["model_version"])
        assert await refusal("canary", "flowers/versions/9") == ("NOT_FOUND", ["model_version"])


async def test_only_an_alias_that_is_there_and_not_live_is_deleted(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        live, missing = await refused(delete(client, "live")), await refused(delete(client, "canary"))

        assert (live.code, live.reason) == ("INVALID_ARGUMENT", "ALIAS_RESERVED")
        assert (missing.code, missing.resource) == ("NOT_FOUND", "flowers@canary")


async def test_an_alias_is_not_pointed_to_a_version_that_cannot_answer(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (_, client):
        (tmp_path / "data/models/flowers/2/model.onnx").write_bytes(b"damaged")

        refusal = await refused(put(client, "canary", "flowers/versions/2"))
        version = await get_version(client, 2)

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "VERSION_REJECTED")
        assert version.state == model_pb2.MODEL_VERSION_STATE_REJECTED
        assert "model.onnx has changed" in version.error.message

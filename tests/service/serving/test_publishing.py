"""Which packages become versions, and which version goes live."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_models import ALWAYS, FIRST_OR_BETTER, NEVER, publish, published
from running_service import make_config, refused, running
from tiny_package import RED, probabilities

from cultivar.v1 import model_pb2
from cultivar_service.serving import engine, sessions

READY = model_pb2.MODEL_VERSION_STATE_READY
REJECTED = model_pb2.MODEL_VERSION_STATE_REJECTED


def get_version(number: int) -> model_pb2.GetModelVersionRequest:
    return model_pb2.GetModelVersionRequest(name=f"flowers/versions/{number}")


LOSS = "SELECTION_METRIC_LOSS"
MACRO_F1 = "SELECTION_METRIC_MACRO_F1"


@pytest.mark.parametrize(
    ("first", "second", "policy", "live", "reason"),
    [
        ({"accuracy": 0.8}, {"accuracy": 0.9}, FIRST_OR_BETTER, True, "better"),
        ({"accuracy": 0.9}, {"accuracy": 0.8}, FIRST_OR_BETTER, False, "not better"),
        ({"accuracy": 0.9}, {"accuracy": 0.9}, FIRST_OR_BETTER, False, "not better"),
        ({"accuracy": 0.8, "val_digest": "other"}, {"accuracy": 0.9}, FIRST_OR_BETTER, False, "other validation"),
        ({"selection_metric": LOSS}, {"accuracy": 1.0}, FIRST_OR_BETTER, False, "selected by loss"),
        (
            {"selection_metric": LOSS, "loss": 0.5},
            {"selection_metric": LOSS, "loss": 0.4},
            FIRST_OR_BETTER,
            True,
            "better: val loss 0.4",
        ),
        (
            {"selection_metric": MACRO_F1, "macro_f1": 0.5},
            {"selection_metric": MACRO_F1, "macro_f1": 0.6},
            FIRST_OR_BETTER,
            True,
            "better: val macro_f1 0.6",
        ),
        ({"accuracy": 0.9}, {"accuracy": 0.1}, ALWAYS, True, "always"),
        ({"accuracy": 0.1}, {"accuracy": 0.9}, NEVER, False, "never"),
    ],
)
async def test_live_moves_by_the_publish_policy(
    tmp_path: Path, make_package: Callable[..., Path], first: dict, second: dict, policy: int, live: bool, reason: str
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        one = await publish(service, make_package("one", **first))
        two = await publish(service, make_package("two", **second), policy=policy)
        model = await client.models.GetModel(model_pb2.GetModelRequest(name="flowers"))

        assert one.live
        assert two.live == live
        assert reason in two.reason
        assert model.live_version == f"models/flowers/versions/{2 if live else 1}"
        assert model.version_count == 2
        assert (await client.predict(RED)).model_version == model.live_version


async def test_a_version_tells_what_it_is_and_its_manifest_knows_its_name(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        version = await client.models.GetModelVersion(get_version(1))

        assert version.state == READY
        assert version.live
        assert [one.display_name for one in version.classes] == ["Aster", "Lily", "Rose"]
        assert [one.split for one in version.metrics] == ["val", "test"]
        assert [one.macro_f1 for one in version.metrics] == [0.75, 0.75]
        assert (version.input_size, version.dataset) == (8, "datasets/flowers/versions/1")
        assert '"version": 1' in (tmp_path / "data/models/flowers/1/manifest.json").read_text()


async def test_publishing_again_gives_the_same_version(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path)) as (service, _):
        first = await publish(service, make_package("one"), job="a")
        again = await publish(service, tmp_path / "gone", job="a")

        assert again == first


async def test_a_package_that_answers_otherwise_than_exported_is_rejected(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish(service, make_package("good"))
        publication = await publish(service, make_package("drifted", golden_error=2e-4), policy=ALWAYS)
        version = await client.models.GetModelVersion(get_version(2))
        refusal = await refused(client.predict(RED, model="flowers/versions/2"))

        assert publication.error is not None
        assert publication.error.reason == "VERSION_REJECTED"
        assert "golden image" in publication.error.message
        assert (version.state, version.error.reason) == (REJECTED, "VERSION_REJECTED")
        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "VERSION_REJECTED")
        assert (await client.predict(RED)).model_version == "models/flowers/versions/1"


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden/0.png"])
async def test_a_damaged_live_version_is_rejected_at_start_and_the_rest_is_served(
    tmp_path: Path, make_package: Callable[..., Path], name: str
) -> None:
    async with published(tmp_path, [make_package("one")]) as (service, _):
        await publish(service, make_package("other"), model="other")
    damaged = tmp_path / "data/models/flowers/1" / name
    damaged.write_bytes(damaged.read_bytes()[:-9])

    async with running(make_config(tmp_path)) as (service, client):
        refusal = await refused(client.predict(RED))

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "NO_LIVE_VERSION")
        assert (await client.models.GetModelVersion(get_version(1))).state == REJECTED
        assert (await client.predict(RED, model="other")).model_version == "models/other/versions/1"
        assert (await publish(service, make_package("two"))).live


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("variants", None),
        ("variants", [{"file": "/model.onnx"}]),
        ("classes", 7),
        ("preprocessing", {"size": -1}),
        ("preprocessing", {"resize": 0}),
        ("preprocessing", {"size": 1_000_000, "resize": 1_000_000}),
        ("preprocessing", {"interpolation": "none"}),
        ("golden", [1]),
        ("files", {"model.onnx": 1, "\0": "x"}),
    ],
)
async def test_a_live_version_of_an_odd_manifest_is_rejected_at_start_and_the_rest_is_served(
    tmp_path: Path, make_package: Callable[..., Path], field: str, value: object
) -> None:
    async with published(tmp_path, [make_package("one")]) as (service, _):
        await publish(service, make_package("other"), model="other")
    path = tmp_path / "data/models/flowers/1/manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest[field] = {**manifest[field], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(manifest))

    async with running(make_config(tmp_path)) as (_, client):
        assert (await client.models.GetModelVersion(get_version(1))).state == REJECTED
        assert (await client.predict(RED, model="other")).model_version == "models/other/versions/1"


async def test_a_version_that_a_gpu_has_no_memory_for_runs_on_the_cpu(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session = sessions.open_session

    def full(onnx: Path, *, device: str, threads: int) -> Any:
        if device != "cpu":
            raise RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 4096")
        return open_session(onnx, device=device, threads=threads)

    monkeypatch.setattr(sessions, "open_session", full)

    loaded = engine.load(package, model="flowers", version=1, device="auto", threads=1)

    assert loaded.runs_on_cpu


async def test_promoting_moves_live_there_and_back(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    packages = [make_package("one", sharpness=2.0), make_package("two", sharpness=6.0)]
    async with published(tmp_path, packages) as (_, client):
        promote = model_pb2.PromoteModelVersionRequest(name="flowers/versions/2")
        model = await client.models.PromoteModelVersion(promote)
        after = await client.predict(RED)
        promote.name = "models/flowers/versions/1"
        await client.models.PromoteModelVersion(promote)
        back = await client.predict(RED)
        missing = await refused(client.models.PromoteModelVersion(get_missing()))

        assert model.live_version == after.model_version == "models/flowers/versions/2"
        assert back.model_version == "models/flowers/versions/1"
        for answer, sharpness in ((after, 6.0), (back, 2.0)):
            first = answer.results[0].classification.classes[0]
            assert first.probability == pytest.approx(probabilities(RED, sharpness)[0], abs=1e-6)
        assert missing.code == "NOT_FOUND"


async def test_what_is_live_is_not_deleted_the_rest_is(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (service, client):
        delete = client.models.DeleteModelVersion

        refusal = await refused(delete(model_pb2.DeleteModelVersionRequest(name="flowers/versions/1")))
        await delete(model_pb2.DeleteModelVersionRequest(name="flowers/versions/2"))
        third = await publish(service, make_package("three"), policy=NEVER)
        await client.models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers"))

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "VERSION_LIVE")
        assert third.model_version == "models/flowers/versions/3"
        assert (await refused(client.predict(RED))).code == "NOT_FOUND"
        assert not (tmp_path / "data/models/flowers").exists()


def get_missing() -> model_pb2.PromoteModelVersionRequest:
    return model_pb2.PromoteModelVersionRequest(name="flowers/versions/9")

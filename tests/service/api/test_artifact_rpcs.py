"""Files of jobs and model versions."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from published_models import published
from running_service import drain, make_config, refused, running

from cultivar.v1 import artifact_pb2
from cultivar_contract import package as packages


def download(parent: str, path: str, offset: int = 0) -> artifact_pb2.DownloadArtifactRequest:
    return artifact_pb2.DownloadArtifactRequest(parent=parent, path=path, offset=offset)


async def test_a_version_s_files_are_listed_with_digests_and_sent_whole(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    folder = make_package("one")
    (folder / "weights.npz").write_bytes(bytes(range(256)) * 10_000)
    async with published(tmp_path, [with_files_listed(folder)]) as (_, client):
        listed = await client.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent="flowers"))
        chunks = await drain(client.artifacts.DownloadArtifact(download(listed.parent, "weights.npz")))
        rest = await drain(client.artifacts.DownloadArtifact(download("flowers", "weights.npz", 2_559_999)))

        assert listed.parent == "models/flowers/versions/1"
        names = [one.path for one in listed.artifacts]
        assert names == ["golden/0.png", "golden/1.png", "manifest.json", "model.onnx", "weights.npz"]
        digests = {one.path: one.sha256 for one in listed.artifacts}
        assert [chunk.offset for chunk in chunks] == [0, 1 << 20, 2 << 20]
        assert [chunk.size_bytes for chunk in chunks] == [2_560_000, 0, 0]
        whole = b"".join(chunk.data for chunk in chunks)
        assert hashlib.sha256(whole).hexdigest() == digests["weights.npz"]
        assert [(chunk.offset, chunk.data, chunk.size_bytes) for chunk in rest] == [(2_559_999, b"\xff", 2_560_000)]


async def test_only_listed_files_leave_and_only_from_within(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        (tmp_path / "data/models/flowers/1/unlisted.txt").write_text("secret")

        for path in ("unlisted.txt", "../../../catalog.sqlite", "/etc/passwd", "golden"):
            refusal = await refused(drain(client.artifacts.DownloadArtifact(download("flowers", path))))
            assert (refusal.code, refusal.fields) == ("NOT_FOUND", ["path"])
        beyond = await refused(drain(client.artifacts.DownloadArtifact(download("flowers", "model.onnx", 1 << 40))))
        negative = await refused(drain(client.artifacts.DownloadArtifact(download("flowers", "model.onnx", -1))))
        assert (beyond.code, beyond.fields) == ("OUT_OF_RANGE", ["offset"])
        assert (negative.code, negative.fields) == ("INVALID_ARGUMENT", ["offset"])


async def test_a_job_shows_its_logs_and_keeps_its_request_and_lock(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
        job = await client.train()
        run = tmp_path / "data/runs" / job.name.split("/")[1]
        (run / "plan.json").write_text("{}")
        for folder in ("tensorboard", "tensorboard/candidate-2"):
            (run / folder).mkdir()
            (run / folder / "events.out.tfevents.0001").write_bytes(b"points")

        listed = await client.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=job.name))
        sent = await drain(client.artifacts.DownloadArtifact(download(job.name, "plan.json")))
        hidden = await refused(drain(client.artifacts.DownloadArtifact(download(job.name, "request.json"))))

        names = [one.path for one in listed.artifacts]
        assert names == [
            "attempts/1/events.jsonl",
            "attempts/1/trainer.log",
            "plan.json",
            "tensorboard/candidate-2/events.out.tfevents.0001",
            "tensorboard/events.out.tfevents.0001",
        ]
        assert [chunk.data for chunk in sent] == [b"{}"]
        assert hidden.code == "NOT_FOUND"


def with_files_listed(folder: Path) -> Path:
    """Complete a package again, after a file was added."""
    packages.finish(folder, {**packages.open_package(folder).manifest})
    return folder

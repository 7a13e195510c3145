"""Uploads: what arrives stays, what is wrong is refused, what nobody needs goes."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from certificates import bearer, client_with, make_tokens
from running_service import Client, eventually, make_config, refused, running

from cultivar.v1 import dataset_pb2
from cultivar_service.config import Security
from cultivar_service.datasets import incoming

RECEIVING, FINISHED = dataset_pb2.UPLOAD_STATE_RECEIVING, dataset_pb2.UPLOAD_STATE_FINISHED
DATA = bytes(range(256)) * 40
Chunk = dataset_pb2.UploadChunksRequest


async def announce(client: Client, data: bytes = DATA, request_id: str = "") -> dataset_pb2.Upload:
    request = dataset_pb2.CreateUploadRequest(
        size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), request_id=request_id
    )
    return await client.datasets.CreateUpload(request)


def chunks(name: str, data: bytes = DATA, offset: int = 0, size: int = 1 << 20) -> Iterator[Chunk]:
    # One chunk where nothing else is said: a write that meets the end of a refused call hides why it was refused.
    for start in range(offset, len(data), size):
        yield Chunk(upload=name, offset=start, data=data[start : start + size])


async def get(client: Client, name: str) -> dataset_pb2.Upload:
    return await client.datasets.GetUpload(dataset_pb2.GetUploadRequest(name=name))


async def finish(client: Client, name: str) -> dataset_pb2.Upload:
    return await client.datasets.FinishUpload(dataset_pb2.FinishUploadRequest(name=name))


async def delete(client: Client, name: str) -> None:
    await client.datasets.DeleteUpload(dataset_pb2.DeleteUploadRequest(name=name))


async def upload(client: Client, data: bytes = DATA) -> dataset_pb2.Upload:
    announced = await announce(client, data)
    await client.datasets.UploadChunks(chunks(announced.name, data))
    return await finish(client, announced.name)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "data/uploads").iterdir())


async def test_an_archive_arrives_in_several_calls_and_is_finished_once(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        announced = await announce(client)
        first = await client.datasets.UploadChunks(chunks(announced.name, DATA[:3000], size=1000))
        early = await refused(finish(client, announced.name))
        whole = await client.datasets.UploadChunks(chunks(announced.name, offset=3000, size=1000))
        finished = await finish(client, announced.name)

        assert (announced.state, announced.received_bytes) == (RECEIVING, 0)
        assert first.received_bytes == 3000
        assert (early.code, early.reason) == ("FAILED_PRECONDITION", "UPLOAD_INCOMPLETE")
        assert (whole.state, whole.received_bytes) == (RECEIVING, len(DATA))
        assert finished.state == FINISHED
        assert finished.expire_time.seconds - finished.create_time.seconds in (86400, 86401)
        assert await finish(client, announced.name) == finished
        assert (tmp_path / "data/uploads" / announced.name.split("/")[1]).read_bytes() == DATA
        late = await refused(client.datasets.UploadChunks(chunks(announced.name, offset=0)))
        assert late.reason == "UPLOAD_FINISHED"


async def test_a_chunk_at_a_wrong_offset_is_refused_with_the_right_one_and_nothing_is_lost(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        name = (await announce(client)).name
        wrong = [Chunk(upload=name, offset=0, data=DATA[:500]), Chunk(offset=700, data=b"x")]

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.datasets.UploadChunks(iter(wrong))

        refusal = await refused(client.datasets.UploadChunks(chunks(name, offset=499)))
        assert (refusal.code, refusal.reason, refusal.fields) == ("OUT_OF_RANGE", "OFFSET_MISMATCH", ["offset"])
        assert "from byte 500 on" in refusal.message
        assert b"expected_offset" in dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
        assert (await get(client, name)).received_bytes == 500


async def test_what_arrived_before_a_call_broke_stays_also_over_a_restart(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        name = (await announce(client)).name
        call = client.datasets.UploadChunks()
        await call.write(Chunk(upload=name, offset=0, data=DATA[:800]))

        async def written() -> bool | None:
            return any(path.stat().st_size == 800 for path in (tmp_path / "data/uploads").iterdir()) or None

        await eventually(written)
        busy = await refused(client.datasets.UploadChunks(chunks(name)))
        call.cancel()

        async def kept() -> bool | None:
            return (await get(client, name)).received_bytes == 800 or None

        await eventually(kept)
        assert (busy.code, busy.reason) == ("ABORTED", "UPLOAD_BUSY")

    async with running(make_config(tmp_path)) as (_, client):
        assert (await get(client, name)).received_bytes == 800
        await client.datasets.UploadChunks(chunks(name, offset=800))
        assert (await finish(client, name)).state == FINISHED


async def test_bytes_that_were_not_recorded_before_a_kill_are_sent_again(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        name = (await announce(client)).name
        await client.datasets.UploadChunks(chunks(name, DATA[:1000]))
    with (tmp_path / "data" / name).open("ab") as file:
        file.write(b"torn" * 100)

    async with running(make_config(tmp_path)) as (_, client):
        assert (await get(client, name)).received_bytes == 1000
        await client.datasets.UploadChunks(chunks(name, offset=1000))
        assert (await finish(client, name)).state == FINISHED


async def test_a_call_under_way_at_shutdown_ends_with_draining_and_keeps_its_bytes(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        name = (await announce(client)).name
        call = client.datasets.UploadChunks()
        await call.write(Chunk(upload=name, offset=0, data=DATA[:800]))
        await eventually(lambda: _size(tmp_path, 800))
        refusal, _ = await asyncio.gather(refused(call), service.drain())

        assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "DRAINING")
    async with running(make_config(tmp_path)) as (_, client):
        assert (await get(client, name)).received_bytes == 800


async def _size(folder: Path, size: int) -> bool | None:
    return any(path.stat().st_size == size for path in (folder / "data/uploads").iterdir()) or None


async def test_a_caller_who_leaves_while_the_file_is_opened_leaves_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    is_open = incoming.IncomingArchive.__init__

    def late(archive: incoming.IncomingArchive, path: Path, received_bytes: int) -> None:
        begun.set()
        go.wait(5)
        is_open(archive, path, received_bytes)

    monkeypatch.setattr(incoming.IncomingArchive, "__init__", late)
    async with running(make_config(tmp_path)) as (_, client):
        name = (await announce(client)).name
        call = client.datasets.UploadChunks()
        await call.write(Chunk(upload=name, offset=0, data=DATA[:800]))
        await asyncio.to_thread(begun.wait, 5)
        call.cancel()
        await asyncio.sleep(0.1)
        go.set()

        async def free() -> bool | None:
            return (await refused(finish(client, name))).reason == "UPLOAD_INCOMPLETE" or None

        await eventually(free)
        assert not open_files(tmp_path / "data/uploads")


def open_files(folder: Path) -> list[str]:
    links = (link for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return [target for link in links if (target := str(link.readlink())).startswith(str(folder))]


async def test_other_bytes_than_announced_are_refused_and_the_upload_starts_anew(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        name = (await announce(client)).name
        too_many = await refused(client.datasets.UploadChunks(chunks(name, DATA + b"x")))
        await client.datasets.DeleteUpload(dataset_pb2.DeleteUploadRequest(name=name))
        name = (await announce(client)).name
        await client.datasets.UploadChunks(chunks(name, DATA[::-1]))
        other = await refused(finish(client, name))

        assert (too_many.code, too_many.fields) == ("INVALID_ARGUMENT", ["data"])
        assert (other.code, other.reason) == ("FAILED_PRECONDITION", "CHECKSUM_MISMATCH")
        assert (await get(client, name)).received_bytes == 0
        await client.datasets.UploadChunks(chunks(name))
        assert (await finish(client, name)).state == FINISHED


async def test_bad_requests_are_refused_by_field(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, upload_silence_s=0.2)) as (_, client):
        name = (await announce(client)).name

        async def fields(*sent: Chunk) -> list[str]:
            return (await refused(client.datasets.UploadChunks(iter(sent)))).fields

        assert await fields() == ["upload"]
        assert await fields(Chunk(data=b"x")) == ["upload"]
        assert await fields(Chunk(upload="uploads/../../etc/passwd", data=b"x")) == ["upload"]
        assert await fields(Chunk(upload=name)) == ["data"]
        assert await fields(Chunk(upload=name, data=bytes((4 << 20) + 1))) == ["data"]
        assert await fields(Chunk(upload=name, offset=-1, data=b"x")) == ["offset"]
        assert await fields(Chunk(upload=name, data=b"x"), Chunk(upload="uploads/2", offset=1, data=b"y")) == ["upload"]
        create = client.datasets.CreateUpload(dataset_pb2.CreateUploadRequest(size_bytes=-1, sha256="x"))
        assert (await refused(create)).fields == ["size_bytes", "sha256"]
        assert (await refused(get(client, "uploads/none"))).reason == "UPLOAD_NOT_FOUND"
        silent = client.datasets.UploadChunks()
        await silent.write(Chunk(upload=name, offset=1, data=DATA[1:2]))
        refusal = await refused(silent)
        assert (refusal.code, refusal.reason) == ("DEADLINE_EXCEEDED", "UPLOAD_SILENT")


async def test_a_repeated_request_id_answers_with_the_first_upload(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        first = await announce(client, request_id="a")

        assert await announce(client, request_id="a") == first
        refusal = await refused(announce(client, DATA + b"x", request_id="a"))
        assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_nobody_takes_more_than_their_share_of_the_disk(tmp_path: Path) -> None:
    tokens, made = make_tokens(tmp_path, ann="train", ben="train", boss="admin")
    settings = {"max_upload_bytes": 2 * len(DATA), "max_uploads_bytes": 3 * len(DATA), "max_uploads": 2}
    config = make_config(tmp_path, security=Security(tokens_file=tokens), **settings)
    async with (
        running(config) as (service, _),
        client_with(service.grpc_address, made["ann"]) as ann,
        client_with(service.grpc_address, made["ben"]) as ben,
        client_with(service.grpc_address, made["boss"]) as boss,
    ):
        assert (await refused(announce(ann, DATA * 3))).fields == ["size_bytes"]
        first = await announce(ann, DATA * 2, request_id="same")
        assert (await refused(announce(ann, DATA * 2))).reason == "UPLOAD_QUOTA"
        await announce(ann)
        assert (await refused(announce(ann, b"x"))).reason == "TOO_MANY_UPLOADS"
        assert (await announce(ben, request_id="same")).creator == "ben"

        others = [
            (await refused(call)).reason
            for call in (
                ben.datasets.UploadChunks(chunks(first.name), metadata=bearer(made["ben"])),
                finish(ben, first.name),
                delete(ben, first.name),
                ben.datasets.CreateDataset(imports(first.name)),
            )
        ]
        assert others == ["NOT_CREATOR"] * 4
        await delete(boss, first.name)


async def test_a_full_disk_takes_no_uploads(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, min_free_bytes=1 << 60)) as (_, client):
        refusal = await refused(announce(client))

        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_DISK")


async def test_what_expired_and_files_without_a_record_are_discarded(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, upload_expiry_s=0.3)) as (service, client):
        name = (await announce(client)).name
        await client.datasets.UploadChunks(chunks(name, DATA[:10]))
        (tmp_path / "data/uploads/20260101-000000-abcdef").write_bytes(b"x")
        await service.uploads.sweep()
        assert files(tmp_path) == [name.split("/")[1]]
        await asyncio.sleep(0.3)
        await service.uploads.sweep()

        assert (await refused(get(client, name))).code == "NOT_FOUND"
        assert files(tmp_path) == []


async def test_what_is_none_of_the_service_s_files_stays_and_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "data/uploads/lost+found").mkdir(parents=True)
    async with running(make_config(tmp_path)) as (service, client):
        await service.uploads.sweep()

        assert (await upload(client)).state == FINISHED
        assert "lost+found" in files(tmp_path)


def imports(name: str, request_id: str = "") -> dataset_pb2.CreateDatasetRequest:
    return dataset_pb2.CreateDatasetRequest(
        dataset_id="flowers", source=dataset_pb2.DatasetSource(upload=name), request_id=request_id
    )


async def test_an_import_consumes_its_upload_and_keeps_it_meanwhile(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="slow-lock", upload_expiry_s=0.0)) as (service, client):
        unfinished = await announce(client, b"x")
        early = await refused(client.datasets.CreateDataset(imports(unfinished.name)))
        name = (await upload(client)).name
        begun = await client.datasets.CreateDataset(imports(name.removeprefix("uploads/"), "once"))
        in_use = await refused(delete(client, name))
        await service.uploads.sweep()
        assert (await get(client, name)).state == FINISHED
        ready = await client.imported(begun.name)

        async def gone() -> bool | None:
            return not files(tmp_path) or None

        await eventually(gone)
        assert early.reason == "UPLOAD_NOT_FINISHED"
        assert (in_use.code, in_use.reason) == ("FAILED_PRECONDITION", "UPLOAD_IN_USE")
        assert begun.name in in_use.message
        assert ready.state == dataset_pb2.DATASET_STATE_READY
        assert ready.source.upload == name
        assert (await refused(client.datasets.CreateDataset(imports(name)))).fields == ["source.upload"]
        assert await client.datasets.CreateDataset(imports(name.removeprefix("uploads/"), "once")) == ready


async def test_a_stream_of_requests_with_one_answer_is_known_to_the_audit_log(tmp_path: Path) -> None:
    from cultivar_service.catalog import audit

    async with running(make_config(tmp_path)) as (service, client):
        name = (await announce(client)).name
        await refused(client.datasets.UploadChunks(chunks(name, offset=5)))

        async def told() -> tuple[str, str] | None:
            rows = await service._catalog.read(lambda connection: audit.page(connection))
            found = [(row.resource, row.code) for _, row in rows if row.method.endswith("UploadChunks")]
            return found[0] if found else None

        assert await eventually(told) == (name, "OUT_OF_RANGE")

"""Folders and archives that the command sends."""

import asyncio
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from end_to_end_service import RunningService

from cultivar_client import Client, CultivarError
from cultivar_client.packing import archive_of

IMPORTED = "datasets create flowers --folder flowers --json"


def test_a_folder_that_is_sent_and_an_archive_of_it_become_the_version_that_the_service_has_of_it(
    service: RunningService, flowers_folder: Path, tmp_path: Path
) -> None:
    there = json.loads(service.cultivar(IMPORTED))
    with tarfile.open(tmp_path / "flowers.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(flowers_folder, "flowers")

    folder = json.loads(service.cultivar(f"datasets upload sent {flowers_folder} --json"))
    folded = json.loads(service.cultivar(f"datasets upload sent {flowers_folder} --folds 3 --drop-leaks near --json"))
    packed = service.cultivar(f"datasets upload packed {tmp_path}/flowers.tar.gz")

    assert folder["name"] == "datasets/sent/versions/1"
    assert folder["digest"] == there["digest"]
    assert "3-fold, fold 1, stratified, seed 0" in folded["splitProtocol"]
    assert packed.startswith("uploading ")
    assert there["digest"] in packed
    assert not list((service.data / "uploads").iterdir())


@pytest.mark.slow
def test_lists_are_read_where_the_command_says(service: RunningService, flowers_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(flowers_folder, tmp_path / "flowers")
    images = sorted(path.relative_to(tmp_path / "flowers") for path in (tmp_path / "flowers").rglob("*.jpg"))
    for split in ("train", "val"):
        rows = [f"/mine/{path},{path.parts[1]}" for path in images if path.parts[0] == split]
        (tmp_path / "flowers" / f"{split}.csv").write_text("\n".join(["image,label", *rows]))
    options = "--train-list train.csv --replace-prefix /mine/= --json"

    dataset = service.cultivar(f"datasets upload listed {tmp_path}/flowers {options} --val-list val.csv")
    shared = service.cultivar(
        f"datasets upload halves {tmp_path}/flowers {options} --val-list val.csv --test-list val.csv", expect=1
    )

    assert json.loads(dataset)["splitProtocol"] == "as listed train+val 60/20"
    assert "'val.csv' is validation and test list: set split_shared_list" in shared


def test_an_archive_that_leads_out_of_its_folder_is_refused_by_name(service: RunningService, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../../evil.jpg"))

    told = service.cultivar(f"datasets upload evil {tmp_path}/evil.tar", expect=1)

    assert "'../../evil.jpg' leads out of its folder" in told
    assert not list(service.folder.rglob("evil.jpg"))


def test_a_folder_is_packed_into_the_same_bytes_each_time(flowers_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(flowers_folder, tmp_path / "copy", copy_function=shutil.copyfile)

    with archive_of(flowers_folder) as one, archive_of(tmp_path / "copy") as other:
        assert one.read_bytes() == other.read_bytes()
    assert not one.exists()


@pytest.mark.slow
def test_an_upload_goes_on_where_it_ended_when_the_service_is_killed(
    start_service: Callable[[], RunningService], tmp_path: Path
) -> None:
    service = start_service()
    archive = tmp_path / "large"
    archive.write_bytes(bytes(range(256)) * 4096 * 200)  # 200 MiB
    sent: list[int] = []

    async def send() -> str:
        killed = False

        def progress(done: int, _: int) -> None:
            nonlocal killed
            sent.append(done)
            if done >= 150 << 20 and not killed:
                killed = True
                service.kill()
                service.start()

        async with Client(service.address) as client:
            finished = await client.upload_archive(archive, on_progress=progress)
            with pytest.raises(CultivarError):
                await client.create_upload(1, "x")
            return finished.name

    name = asyncio.run(send())

    resumed_at = min(done for done, before in zip(sent[1:], sent, strict=False) if done < before)
    assert resumed_at in (64 << 20, 128 << 20)
    assert (service.data / name).read_bytes() == archive.read_bytes()

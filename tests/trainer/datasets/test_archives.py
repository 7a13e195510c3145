"""Archives as sources: all kinds, whatever they are called, and none that could do harm."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archived_images import FLOWERS, edited, entry, jpeg, tar, zip_entry, zipped

from cultivar_contract.run_directory import RunDirectory
from cultivar_contract.tasks import ImportRequest, to_json
from cultivar_trainer.datasets.archives import members
from cultivar_trainer.datasets.archives.files import open_archive
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks import import_dataset

Make = Callable[[Path], Path]


def imported(archive: Path, folder: Path, **source: Any) -> dict[str, Any]:
    folder.mkdir()
    request = ImportRequest(
        builtin="", folder="", class_names="", split_seed=0, downloads="", archive=str(archive), source=source
    )
    with Journal(folder / "events.jsonl") as journal:
        return import_dataset.run(RunDirectory(folder), to_json(request), journal)


def refused(archive: Path, folder: Path) -> str:
    """Return why an archive is refused; nothing may be left of it."""
    around = set(archive.parent.rglob("*"))
    with pytest.raises(TaskFailed) as caught:
        imported(archive, folder)
    assert caught.value.reason == "UNUSABLE_ARCHIVE"
    assert set(archive.parent.rglob("*")) - around == {folder, folder / "events.jsonl"}
    return caught.value.message


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_archives_of_every_kind_give_the_same_version_under_any_name(tmp_path: Path, mode: str) -> None:
    archive = tmp_path / "no-suffix"
    zipped(archive, FLOWERS) if mode == "zip" else tar(archive, FLOWERS, mode=mode)

    dataset = imported(archive, tmp_path / "run")

    assert dataset["digest"] == imported(tar(tmp_path / "plain.tar", FLOWERS), tmp_path / "again")["digest"]
    assert dataset["splitProtocol"] == "as given train+val 8/8"
    assert [(one["split"], one["imageCount"]) for one in dataset["splits"]] == [
        ("SPLIT_TRAIN", "8"),
        ("SPLIT_VAL", "8"),
    ]
    assert not (tmp_path / "run/scratch").exists()


def test_a_folder_around_everything_and_what_systems_leave_behind_are_ignored(tmp_path: Path) -> None:
    wrapped = {f"./flowers/{path}": content for path, content in FLOWERS.items()}
    junk = {"flowers/.DS_Store": b"x", "__MACOSX/flowers/train/aster/._1.jpg": b"x", "flowers/train/.x/1.jpg": b"x"}

    dataset = imported(zipped(tmp_path / "a.zip", wrapped | junk), tmp_path / "run")

    assert dataset["digest"] == imported(tar(tmp_path / "b.tar", FLOWERS), tmp_path / "again")["digest"]
    assert "rejectedFiles" not in dataset


def test_a_file_that_is_no_image_or_too_large_is_rejected_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = {"train/aster/x.jpg": b"no image", "train/rose/notes.txt": b"for people"}
    large = entry("train/rose/large.jpg", (64 << 20) + 1)
    monkeypatch.setattr(members, "UNSUSPICIOUS_BYTES", 1 << 30)

    dataset = imported(tar(tmp_path / "a.tar", FLOWERS | odd, extra=[large]), tmp_path / "run")

    rejected = {one["path"]: one["reason"] for one in dataset["rejectedFiles"]}
    assert set(rejected) == {"train/aster/x.jpg", "train/rose/large.jpg"}
    assert "more than 67108864" in rejected["train/rose/large.jpg"]


def test_an_archive_that_is_deleted_meanwhile_is_no_archive_of_bad_images(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", FLOWERS)
    with Journal(tmp_path / "events.jsonl") as journal:
        opened = open_archive(archive, tmp_path / "scratch", journal)
    archive.unlink()

    with pytest.raises(TaskFailed, match="it was deleted while it was read"):
        opened.read("train/rose/0.jpg")


@pytest.mark.parametrize("name", [r'"\ud800"', f'"{"x" * 256}"'])
def test_class_names_that_nobody_could_show_are_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", FLOWERS | {"names.json": f'{{"rose": {name}}}'.encode()})

    with pytest.raises(TaskFailed, match="the name of class 'rose' is longer than 255 characters, or no Uni") as caught:
        imported(archive, tmp_path / "run", classNames="names.json")

    assert caught.value.reason == "UNUSABLE_CLASS_NAMES"


def test_class_names_are_read_from_the_archive(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", FLOWERS | {"names.json": b'{"rose": "Dog rose"}'})

    dataset = imported(archive, tmp_path / "run", classNames="names.json")

    assert [one["displayName"] for one in dataset["classes"]] == ["aster", "Dog rose"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.jpg", "leads out"),
        ("train/../../evil.jpg", "leads out"),
        ("/etc/evil.jpg", "no relative path"),
        ("C:/evil.jpg", "no relative path"),
        ("train\\aster\\evil.jpg", "no relative path"),
        ("train/aster/new\nline.jpg", "control characters"),
        ("train/aster/0.jpg", "twice"),
        ("train//aster/./0.jpg", "twice"),
        ("train/aster", "as a file and as a folder"),
        ("/".join("abcdefghi") + "/evil.jpg", "9 folders deep"),
        ("a" * 1100, "1100 characters"),
    ],
)
@pytest.mark.parametrize("pack", [tar, zipped])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_name_is_refused_by_name(tmp_path: Path, pack: Callable[..., Path], name: str, reason: str) -> None:
    extra = zip_entry(name) if pack is zipped else entry(name)

    message = refused(pack(tmp_path / "archive", FLOWERS, extra=[extra]), tmp_path / "run")

    assert reason in message
    assert repr(name)[1:40].partition("\\n")[0] in message


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"Q", "of type"),
    ],
)
def test_a_member_of_a_tar_that_is_no_file_is_refused_by_name(tmp_path: Path, kind: bytes, told: str) -> None:
    member = entry("train/aster/odd.jpg", type=kind, linkname="/etc/passwd")

    message = refused(tar(tmp_path / "a.tar", FLOWERS, extra=[member]), tmp_path / "run")

    assert "'train/aster/odd.jpg' is " + told in message


def test_a_sparse_file_behind_a_pax_header_is_refused_by_name(tmp_path: Path) -> None:
    headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}
    member = entry("train/aster/odd.jpg", 1, pax_headers=headers)

    message = refused(tar(tmp_path / "a.tar", FLOWERS, extra=[member]), tmp_path / "run")

    assert "'train/aster/odd.jpg' is a sparse file" in message


def test_a_pax_header_that_renames_a_member_does_not_hide_its_name(tmp_path: Path) -> None:
    member = entry("train/aster/9.jpg", pax_headers={"path": "../../evil.jpg"})

    assert "'../../evil.jpg' leads out" in refused(tar(tmp_path / "a.tar", {}, extra=[member]), tmp_path / "run")


def cut(path: Path) -> Path:
    return edited(path, lambda data: data[: len(data) // 2])


def without_end(path: Path) -> Path:
    with tarfile.open(path) as archive:
        archive.getmembers()
        end = archive.offset
    return edited(path, lambda data: data[:end])


def garbage_inside(path: Path) -> Path:
    with tarfile.open(path) as archive:
        offset = archive.getmembers()[3].offset
    return edited(path, lambda data: data[:offset] + b"x" * 512 + data[offset + 512 :])


def negative_size(path: Path) -> Path:
    """Give the second member a size of -1024, which sends a reader back to where it was."""

    def edit(data: bytearray) -> bytearray:
        with tarfile.open(path) as archive:
            offset = archive.getmembers()[1].offset
        data[offset + 124 : offset + 136] = b"\xff" * 8 + struct.pack(">i", -1024)
        data[offset + 148 : offset + 156] = b" " * 8
        data[offset + 148 : offset + 156] = b"%06o\0 " % sum(data[offset : offset + 512])
        return data

    return edited(path, edit)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "cut off or damaged"),
        (without_end, "end mark is due"),
        (garbage_inside, "end mark is due"),
        (negative_size, "size below zero"),
        (lambda path: edited(path, lambda data: data + data), "something follows its end mark"),
        (lambda path: edited(path, lambda data: gzip.compress(data)[:-100]), "cut off or damaged"),
        (lambda path: edited(path, lambda data: b"just text " * 100), "no tar or zip file"),
        (lambda path: edited(path, lambda data: b""), "no tar or zip file"),
        (lambda path: edited(path, lambda data: bytes(10240)), "holds no files"),
    ],
)
def test_a_damaged_tar_is_refused(tmp_path: Path, damage: Make, told: str) -> None:
    assert told in refused(damage(tar(tmp_path / "a.tar", FLOWERS)), tmp_path / "run")


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    member = entry("train/aster/odd.jpg", pax_headers={"comment": "x" * (17 << 20)})

    assert "headers of more than" in refused(tar(tmp_path / "a.tar", FLOWERS, extra=[member]), tmp_path / "run")


def test_a_compressed_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(65 << 20), compresslevel=1))

    assert "unpacks to more than 67108864 bytes" in refused(tmp_path / "bomb", tmp_path / "run")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 10)

    assert "more than 10 files" in refused(tar(tmp_path / "a.tar", FLOWERS), tmp_path / "run")
    assert "more than 10 files" in refused(zipped(tmp_path / "a.zip", FLOWERS), tmp_path / "again")


def test_a_link_in_a_zip_is_refused_by_name(tmp_path: Path) -> None:
    link = zip_entry("train/aster/link.jpg", stat.S_IFLNK | 0o777)

    message = refused(zipped(tmp_path / "a.zip", FLOWERS, extra=[link]), tmp_path / "run")

    assert "'train/aster/link.jpg' is a symbolic link" in message


def directory_field(offset: int, value: bytes) -> Make:
    """Return what overwrites a field of the first member in a zip's directory."""

    def damage(path: Path) -> Path:
        def edit(data: bytearray) -> bytearray:
            start = data.index(b"PK\x01\x02") + offset
            data[start : start + len(value)] = value
            return data

        return edited(path, edit)

    return damage


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "cut off or damaged"),
        (directory_field(8, b"\x01"), "'train/aster/0.jpg' is encrypted"),
        (directory_field(10, b"\x0c"), "'train/aster/0.jpg' is packed by method 12"),
        (directory_field(16, b"\0\0\0\0"), "'train/aster/0.jpg' is damaged"),
        (directory_field(24, struct.pack("<I", 100)), "'train/aster/0.jpg' is damaged"),
        (directory_field(20, struct.pack("<I", 5000)), "'train/aster/0.jpg' overlaps"),
        (directory_field(24, struct.pack("<I", 0x7FFFFFFF)), "unpacks to more than"),
    ],
)
def test_a_damaged_zip_is_refused_by_name(tmp_path: Path, damage: Make, told: str) -> None:
    assert told in refused(damage(zipped(tmp_path / "a.zip", FLOWERS)), tmp_path / "run")


def test_members_that_share_their_bytes_are_refused_by_name(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/aster/0.jpg", jpeg(0))
        copy = zipfile.ZipInfo("train/rose/0.jpg")
        first = archive.infolist()[0]
        for field in ("header_offset", "compress_size", "file_size", "CRC", "compress_type", "flag_bits"):
            setattr(copy, field, getattr(first, field))
        archive.filelist.append(copy)
        archive.NameToInfo[copy.filename] = copy
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())

    assert "overlaps what follows it" in refused(tmp_path / "a.zip", tmp_path / "run")

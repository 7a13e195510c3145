"""Label lists: CSV files and `image label` lines, of folders and of archives."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archived_images import jpeg, tar
from google.protobuf import json_format

from cultivar.v1 import dataset_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_contract.tasks import ImportRequest, to_json
from cultivar_trainer.datasets.folders import DiskFiles
from cultivar_trainer.datasets.label_lists import listed_images
from cultivar_trainer.datasets.sources import Source
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks import import_dataset

TRAIN, VAL, TEST = dataset_pb2.SPLIT_TRAIN, dataset_pb2.SPLIT_VAL, dataset_pb2.SPLIT_TEST


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data sets root with twelve images in flowers/jpg."""
    folder = tmp_path / "root/flowers/jpg"
    folder.mkdir(parents=True)
    for number in range(12):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    return tmp_path / "root"


Read = Callable[..., Source]


@pytest.fixture
def read(root: Path) -> Read:
    """Reads lists, given by their content, that lie beside the images' folder."""

    def read(*lists: tuple[str | bytes, int], suffix: str = ".txt", **source: Any) -> Source:
        named = []
        for number, (content, split) in enumerate(lists):
            name = f"list{number}{suffix}"
            data = content.encode() if isinstance(content, str) else content
            (root / "flowers" / name).write_bytes(data)
            named.append(dataset_pb2.LabelList(path=f"flowers/{name}", split=split))
        described = dataset_pb2.DatasetSource(folder="flowers", label_lists=named, **source)
        return listed_images(DiskFiles(root), described, top="flowers", names={})

    return read


def rows(source: Source) -> list[tuple[str, str, str]]:
    return [(image.path, image.class_id, image.split) for image in source.images]


def lines(numbers: range, *, label: Callable[[int], object] = lambda number: number % 2) -> str:
    return "".join(f"jpg/{number}.jpg {label(number)}\n" for number in numbers)


@pytest.mark.parametrize(
    "content",
    [
        "image,label\njpg/0.jpg,rose\njpg/1.jpg,dog rose\n",
        "\ufefffilename,class\r\njpg/0.jpg,rose\r\njpg/1.jpg,dog rose\r\n",
        'Target,size,"Path"\nrose,12,"jpg/0.jpg"\n"dog rose",9,./jpg/1.jpg',
        "file\ttarget\njpg/0.jpg\trose\n\njpg/1.jpg\tdog rose\n",
        "image;label\njpg/0.jpg; rose\njpg/1.jpg; dog rose\n",
    ],
)
def test_tables_with_a_header_are_read_in_any_order_of_columns(read: Read, content: str) -> None:
    assert rows(read((content, 0), suffix=".csv")) == [("jpg/0.jpg", "rose", ""), ("jpg/1.jpg", "dog rose", "")]


def test_lines_end_with_the_label_and_numbers_are_in_their_order(read: Read) -> None:
    source = read(("jpg/my rose.jpg 10\njpg/0.jpg\t9\n\njpg/1.jpg  100", 0))

    assert rows(source)[0] == ("jpg/my rose.jpg", "10", "")
    assert list(source.classes) == ["9", "10", "100"]


def test_each_split_has_its_list_or_the_table_tells(read: Read) -> None:
    lists = read((lines(range(4)), TRAIN), (lines(range(4, 6)), VAL))
    table = read(("path,label,split\njpg/0.jpg,a,train\njpg/1.jpg,b,valid\njpg/2.jpg,b,Test", 0))

    assert (lists.splits, lists.protocol) == (("train", "val"), "as listed")
    assert [split for *_, split in rows(table)] == ["train", "val", "test"]


def test_prefixes_are_replaced(read: Read) -> None:
    replaced = [dataset_pb2.PrefixReplacement(old_prefix="/home/ann/flowers/", new_prefix="jpg/")]

    found = rows(read(("/home/ann/flowers/0.jpg a\njpg/1.jpg b", 0), replace_prefixes=replaced))

    assert found == [("jpg/0.jpg", "a", ""), ("jpg/1.jpg", "b", "")]


def test_only_line_ends_end_a_line(read: Read) -> None:
    found = rows(read(("image,label\r\njpg/\x85.jpg,ro\u2028se\rjpg/\x0c.jpg,lily", 0), suffix=".csv"))

    assert found == [("jpg/\x85.jpg", "ro\u2028se", ""), ("jpg/\x0c.jpg", "lily", "")]


def test_a_list_shared_by_validation_and_test_is_split_in_stratified_halves_on_request(read: Read) -> None:
    shared = lines(range(4, 12))
    lists = ((lines(range(4)), TRAIN), (shared, VAL), (shared, TEST))

    with pytest.raises(TaskFailed, match=r"list1\.txt and flowers/list2\.txt are the same list") as caught:
        read(*lists)
    halves = read(*lists, split_shared_list=True)

    assert caught.value.reason == "SHARED_LABEL_LIST"
    assert halves.protocol == "as listed; val and test: halves of flowers/list1.txt, stratified, seed 0"
    counts = [sum(row[1:] == (label, split) for row in rows(halves)) for label in "01" for split in ("val", "test")]
    assert counts == [2, 2, 2, 2]
    assert rows(read(*lists, split_shared_list=True)) == rows(halves)
    assert rows(read(*lists, split_shared_list=True, split_seed=1)) != rows(halves)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("jpg/0.jpg a\njpg/1.jpg a\n./jpg/0.jpg b", r"line 3: jpg/0.jpg is 'b', and 'a' in flowers/list0.txt, line 1"),
        ("../../etc/passwd a", "line 1: '../../etc/passwd' leads outside"),
        ("/etc/passwd a", "'/etc/passwd' leads outside flowers: replace"),
        ("../other/0.jpg a", "leads outside flowers"),
        ("jpg/0.jpg", "line 1: write `image label`"),
        ("image,label\njpg/0.jpg,a,b", "line 2: it has 3 fields, the header 2"),
        ("image,label\njpg/0.jpg,", "line 2: it has no image or no label"),
        ("image,label,split\njpg/0.jpg,a,train\njpg/1.jpg,a,hold-out", "line 3: the split 'hold-out' is none of"),
        ("image,label,split\njpg/0.jpg,a,train\njpg/1.jpg,a,", "not for all"),
        ("image,label,split\njpg/0.jpg,a,val", "no training images"),
        (b"jpg/\xff.jpg a", "it is no UTF-8"),
        ("", "it names no images"),
        ("image,label\n", "it names no images"),
        ('image,label\njpg/0.jpg,"' + "x" * 200_000, "it is no CSV"),
        ("x" * 200_000, "line 1: write `image label`"),
        ("jpg/0.jpg a\njpg/1.jpg a", "the lists name the class 'a' alone"),
    ],
)
def test_an_unusable_list_is_refused_by_list_and_line(read: Read, content: str | bytes, told: str) -> None:
    with pytest.raises(TaskFailed, match=told) as caught:
        read((content, 0))

    assert caught.value.reason == "UNUSABLE_LABEL_LIST"


def test_a_table_without_a_header_is_refused(read: Read) -> None:
    with pytest.raises(TaskFailed, match="names no columns"):
        read(("jpg/0.jpg,a\n", 0), suffix=".csv")


def run(directory: Path, source: dataset_pb2.DatasetSource, **paths: str) -> dict[str, Any]:
    directory.mkdir()
    request = ImportRequest(
        **{"builtin": "", "folder": "", "class_names": "", "split_seed": 0, "downloads": "", **paths},
        source=json_format.MessageToDict(source),
    )
    with Journal(directory / "events.jsonl") as journal:
        return import_dataset.run(RunDirectory(directory), to_json(request), journal)


def test_missing_images_and_links_are_rejected_and_the_rest_is_imported(tmp_path: Path, root: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/9.jpg").write_bytes(jpeg(9))
    (root / "flowers/linked").symlink_to(tmp_path)
    (root / "flowers/jpg/link.jpg").symlink_to(tmp_path / "secret/9.jpg")
    odd = "jpg/missing.jpg 0\njpg/link.jpg 1\nlinked/secret/9.jpg 1\n"
    (root / "flowers/train.txt").write_text(lines(range(6)) + odd)
    (root / "flowers/val.txt").write_text(lines(range(6, 12)))
    source = dataset_pb2.DatasetSource(
        folder="flowers",
        label_lists=[
            dataset_pb2.LabelList(path="flowers/train.txt", split=TRAIN),
            dataset_pb2.LabelList(path="flowers/val.txt", split=VAL),
        ],
    )

    dataset = run(tmp_path / "run", source, folder=str(root / "flowers"), root=str(root))

    assert [one["imageCount"] for one in dataset["splits"]] == ["6", "6"]
    rejected = {one["path"]: one["reason"] for one in dataset["rejectedFiles"]}
    assert rejected == {
        "jpg/missing.jpg": "No such file or directory",
        "jpg/link.jpg": "is a link, and links are not followed",
        "linked/secret/9.jpg": "leads outside the folder",
    }


def test_lists_in_an_archive_give_what_they_give_in_a_folder(tmp_path: Path, root: Path) -> None:
    content = {f"jpg/{number}.jpg": jpeg(number) for number in range(12)}
    content["train.txt"] = lines(range(12)).encode() + b"jpg/missing.jpg 0"
    (root / "flowers/train.txt").write_bytes(content["train.txt"])
    archive = tar(tmp_path / "a.tar", {f"flowers/{path}": data for path, data in content.items()})

    def source(path: str) -> dataset_pb2.DatasetSource:
        return dataset_pb2.DatasetSource(label_lists=[dataset_pb2.LabelList(path=path)])

    packed = run(tmp_path / "packed", source("train.txt"), archive=str(archive))
    loose = run(tmp_path / "loose", source("flowers/train.txt"), folder=str(root / "flowers"), root=str(root))

    assert packed["digest"] == loose["digest"]
    assert packed["splitProtocol"] == "drawn: val, test 10% each of train, stratified, seed 0"
    assert packed["rejectedFiles"] == [{"path": "jpg/missing.jpg", "reason": "is not in the archive"}]


@pytest.mark.slow
def test_a_million_lines_are_read_in_less_than_a_minute_of_computing(read: Read) -> None:
    content = "".join(f"jpg/{number}.jpg {number % 100}\n" for number in range(1_000_000))
    started = time.process_time()

    source = read((content, 0))

    assert len(source.images) == 1_000_000
    assert time.process_time() - started < 60

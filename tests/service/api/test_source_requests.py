"""What CreateDataset refuses of label lists, class names and uploads before anything starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from running_service import make_config, refused, running

from cultivar.v1 import dataset_pb2

TRAIN, VAL, TEST = dataset_pb2.SPLIT_TRAIN, dataset_pb2.SPLIT_VAL, dataset_pb2.SPLIT_TEST


def lists(*named: tuple[str, int]) -> list[dataset_pb2.LabelList]:
    return [dataset_pb2.LabelList(path=path, split=split) for path, split in named]


FOLDER = {"folder": "flowers"}
UPLOAD = {"upload": "uploads/1"}
SOUND = lists(("flowers/train.txt", TRAIN))
CASES: list[tuple[dict[str, Any], Sequence[str], str]] = [
    ({**FOLDER, "label_lists": lists(("flowers/none.txt", TRAIN))}, ["label_lists[0].path"], "no such file"),
    ({**FOLDER, "label_lists": lists(("../secret.txt", TRAIN))}, ["label_lists[0].path"], "leads outside"),
    ({**FOLDER, "label_lists": lists(("flowers", 0))}, ["label_lists[0].path"], "no such file"),
    ({**UPLOAD, "label_lists": lists(("../x.txt", TRAIN))}, ["label_lists[0].path"], "outside the archive"),
    ({**UPLOAD, "label_lists": lists(("", TRAIN))}, ["label_lists[0].path"], "is empty"),
    ({**UPLOAD, "label_lists": lists(("a", TRAIN), ("b", 9))}, ["label_lists[1].split"], "9 is no split"),
    ({**UPLOAD, "label_lists": lists(("a", TRAIN), ("b", 0))}, ["label_lists"], "give each its split, or none"),
    ({**UPLOAD, "label_lists": lists(("a", VAL))}, ["label_lists"], "none is the training list"),
    ({**UPLOAD, "label_lists": lists(("a", TRAIN), ("b", TRAIN))}, ["label_lists"], "a split has two lists"),
    ({**UPLOAD, "label_lists": lists(("a", TRAIN), ("./a", VAL))}, ["label_lists"], "the training list and another"),
    (
        {**UPLOAD, "label_lists": lists(("a", TRAIN), ("b", VAL), ("./b", TEST))},
        ["label_lists"],
        "'b' is validation and test list: set split_shared_list",
    ),
    ({**UPLOAD, "label_lists": SOUND, "split_shared_list": True}, ["split_shared_list"], "no list is named as both"),
    ({**UPLOAD, "label_lists": lists(*[("a", 0)] * 21)}, ["label_lists"], "at most 20"),
    ({"builtin": "cifar10", "label_lists": SOUND}, ["label_lists"], "bring their labels"),
    ({**FOLDER, "split_shared_list": True}, ["folder", "split_shared_list"], "no list is named"),
    (
        {**FOLDER, "label_lists": SOUND, "replace_prefixes": [dataset_pb2.PrefixReplacement(new_prefix="a")]},
        ["replace_prefixes[0].old_prefix"],
        "is empty",
    ),
    ({**UPLOAD, "replace_prefixes": [dataset_pb2.PrefixReplacement(old_prefix="a")]}, ["replace_prefixes"], "nothing"),
    ({**UPLOAD, "class_names": "/etc/passwd"}, ["class_names"], "outside the archive"),
    ({"builtin": "cifar10", "class_names": "x.json"}, ["class_names"], "only folders and uploads"),
    ({"upload": ""}, ["upload"], "is required"),
    (UPLOAD, ["upload"], "upload 'uploads/1' does not exist"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    (folder / "sources/flowers").mkdir(parents=True)
    (folder / "sources/flowers/train.txt").write_text("a.jpg rose\n")
    (folder / "secret.txt").write_text("x")
    return folder


async def test_sources_that_can_not_work_are_refused_by_field(root: Path) -> None:
    async with running(make_config(root)) as (_, client):
        for source, fields, told in CASES:
            request = dataset_pb2.CreateDatasetRequest(dataset_id="flowers", source=dataset_pb2.DatasetSource(**source))
            refusal = await refused(client.datasets.CreateDataset(request))

            assert refusal.fields == [f"source.{field}" for field in fields], source
            assert told in refusal.message, source


async def test_a_folder_without_class_folders_is_taken_where_lists_name_its_images(root: Path) -> None:
    async with running(make_config(root)) as (_, client):
        source = dataset_pb2.DatasetSource(folder="flowers", label_lists=SOUND)
        request = dataset_pb2.CreateDatasetRequest(dataset_id="flowers", source=source)

        begun = await client.datasets.CreateDataset(request)

        assert (await client.imported(begun.name)).state == dataset_pb2.DATASET_STATE_READY

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets import sources
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.datasets.version import DatasetVersion, by_split
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks.import_dataset import import_source


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def write(root: Path, folder: str, count: int, first_seed: int = 0) -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        seed = hash_of(folder) + first_seed + number
        (root / folder / f"{number:03d}.jpg").write_bytes(jpeg(seed))
    return root


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()) % 100_000 * 1_000


Import = Callable[..., dataset_pb2.Dataset]


@pytest.fixture
def run(tmp_path: Path) -> Import:
    def run(root: Path, *, class_names: Path | None = None, seed: int = 0, name: str = "out") -> dataset_pb2.Dataset:
        with Journal(tmp_path / f"{name}.events") as journal:
            return import_source(sources.folder(root, class_names), tmp_path / name, Splitting(seed=seed), journal)

    return run


def counts(dataset: dataset_pb2.Dataset) -> dict[str, list[int]]:
    names = {1: "train", 2: "val", 3: "test"}
    return {names[split.split]: list(split.class_counts) for split in dataset.splits}


def test_one_folder_is_split_by_class_and_seed(tmp_path: Path, run: Import) -> None:
    write(write(tmp_path / "in", "a", 30), "b", 20)

    dataset = run(tmp_path / "in")

    assert counts(dataset) == {"train": [24, 16], "val": [3, 2], "test": [3, 2]}
    assert dataset.split_protocol == "drawn: val, test 10% each of train, stratified, seed 0"
    assert run(tmp_path / "in", name="again").digest == dataset.digest
    assert run(tmp_path / "in", seed=1, name="other").digest != dataset.digest


@pytest.mark.parametrize(
    ("given", "expected", "protocol"),
    [
        (("train", "val", "test"), {"train": [10, 10], "val": [4, 4], "test": [4, 4]}, "as given 20/8/8"),
        (("train", "val"), {"train": [10, 10], "val": [4, 4]}, "as given train+val 20/8"),
        (
            ("train", "test"),
            {"train": [9, 9], "val": [1, 1], "test": [4, 4]},
            "as given train+test 20/8; drawn: val 10% each of train, stratified, seed 0",
        ),
    ],
)
def test_splits_that_are_given_stay(
    tmp_path: Path, run: Import, given: tuple[str, ...], expected: dict[str, list[int]], protocol: str
) -> None:
    for split in given:
        for class_id in ("a", "b"):
            write(tmp_path / "in", f"{split}/{class_id}", 10 if split == "train" else 4)

    dataset = run(tmp_path / "in")

    assert counts(dataset) == expected
    assert dataset.split_protocol == protocol


def test_corrupt_files_are_rejected_by_name_with_a_reason(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "a", 12), "b", 12)
    (root / "a" / "empty.jpg").write_bytes(b"")
    (root / "a" / "half.jpg").write_bytes(jpeg(1)[:300])
    (root / "b" / "text.png").write_bytes(b"hello")
    (root / "b" / "link.jpg").symlink_to("/etc/passwd")

    dataset = run(root)

    rejected = {one.path: one.reason for one in dataset.rejected_files}
    assert set(rejected) == {"a/empty.jpg", "a/half.jpg", "b/text.png", "b/link.jpg"}
    assert rejected["a/empty.jpg"].startswith("the image has 0 bytes")
    assert "links are not followed" in rejected["b/link.jpg"]
    assert dataset.rejected_count == 4
    assert sum(split.image_count for split in dataset.splits) == 24


def test_a_split_left_empty_by_corrupt_files_ends_the_import(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "train/a", 5), "train/b", 5)
    (root / "val" / "a").mkdir(parents=True)
    (root / "val" / "a" / "broken.jpg").write_bytes(b"broken")

    with pytest.raises(TaskFailed, match=r"val has no readable image .*val/a/broken\.jpg") as caught:
        run(root)

    assert caught.value.reason == "EMPTY_SPLIT"


def test_a_split_folder_without_images_is_not_replaced_by_a_draw(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "Train/a", 20), "Train/b", 20)
    (root / "VAL" / "a").mkdir(parents=True)

    with pytest.raises(TaskFailed, match="val has no readable image"):
        run(root)


def test_copies_of_one_file_are_drawn_into_one_split(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "a", 20), "b", 20)
    for path in list(root.rglob("*.jpg")):
        (path.parent / f"copy-{path.name}").write_bytes(path.read_bytes())

    dataset = run(root)

    assert counts(dataset) == {"train": [32, 32], "val": [4, 4], "test": [4, 4]}
    with DatasetVersion(tmp_path / "out") as version:
        splits = by_split(version.samples)
        digests = [{one.sha256 for one in samples} for samples in splits.values()]
    assert sum(len(one) for one in digests) == len(set.union(*digests)) == 40


def test_odd_files_are_rejected_and_neither_hang_nor_end_the_import(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "train/a", 4), "train/b", 4)
    write(write(root, "val/a", 2), "val/b", 2)
    os.mkfifo(root / "train" / "a" / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(root / "train" / "b") + b"/caf\xe9.jpg")).write_bytes(jpeg(5))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.jpg").write_bytes(jpeg(6))
    (root / "val" / "c").symlink_to(tmp_path / "secret")

    dataset = run(root)

    rejected = {one.path: one.reason for one in dataset.rejected_files}
    assert rejected == {
        "train/a/pipe.jpg": "is no regular file",
        "train/b/caf\\xe9.jpg": "its name is no UTF-8: rename it",
    }
    assert sum(split.image_count for split in dataset.splits) == 12


def test_a_class_without_training_images_ends_the_import(tmp_path: Path, run: Import) -> None:
    root = write(tmp_path / "in", "a", 5)
    (root / "b").mkdir()

    with pytest.raises(TaskFailed, match="class b has no readable training image"):
        run(root)


def test_a_class_too_small_for_the_splits_ends_the_import(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "a", 5), "b", 2)

    with pytest.raises(TaskFailed, match=r"class b has 2 image\(s\) for 3 splits"):
        run(root)


def test_class_names_are_shown_where_there_are_some(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "002", 5), "010", 5)
    (tmp_path / "names.json").write_text(json.dumps({"002": "orchid", "999": "unused"}))

    dataset = run(root, class_names=tmp_path / "names.json")

    assert [(one.id, one.display_name) for one in dataset.classes] == [("002", "orchid"), ("010", "010")]


def test_a_class_name_file_that_is_no_object_is_refused(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "a", 5), "b", 5)
    (tmp_path / "names.json").write_text("[1, 2]")

    with pytest.raises(TaskFailed, match=r"names\.json is no JSON object"):
        run(root, class_names=tmp_path / "names.json")


def test_a_version_gives_the_original_bytes_back(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "train/a", 3), "train/b", 3)
    write(write(root, "val/a", 2), "val/b", 2)

    run(root)

    with DatasetVersion(tmp_path / "out") as version:
        assert {split: len(samples) for split, samples in by_split(version.samples).items()} == {"train": 6, "val": 4}
        for sample in version.samples:
            assert version.read(sample) == (root / sample.path).read_bytes()


def test_the_digest_changes_with_names_labels_and_bytes(tmp_path: Path, run: Import) -> None:
    root = write(write(tmp_path / "in", "a", 10), "b", 10)
    digests = [run(root, name="first").digest]

    (root / "a" / "000.jpg").rename(root / "a" / "zzz.jpg")
    digests.append(run(root, name="renamed").digest)
    (root / "a" / "zzz.jpg").write_bytes(jpeg(99))
    digests.append(run(root, name="changed").digest)
    (root / "b" / "000.jpg").rename(root / "a" / "from_b.jpg")
    digests.append(run(root, name="moved").digest)

    assert len(set(digests)) == 4


def test_the_same_files_and_seed_make_the_version_that_earlier_releases_made(tmp_path: Path, run: Import) -> None:
    for label, class_id in enumerate(("a", "b")):
        folder = tmp_path / "in" / class_id
        folder.mkdir(parents=True)
        for number in range(20 + 10 * label):
            pixels = np.random.default_rng([label, number]).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:02d}.bmp")
        (folder / "copy.bmp").write_bytes((folder / "03.bmp").read_bytes())

    digest = "93e28d5caf281af203d32af926768e91477d3fcaf6481dbc1e1212b424bd8ae8"
    assert run(tmp_path / "in").digest == digest

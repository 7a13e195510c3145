"""The downloaded data sets, from archives in their published formats, made small here and served as files."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import CIFAR10, MNIST, Flowers102

from cultivar_contract import preprocessing
from cultivar_trainer.datasets import builtin, download
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks.import_dataset import import_source

CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "events.jsonl") as journal:
        yield journal


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Publish an archive of 200 training and 20 test images; return the pixels of the first batch."""
    generator = np.random.default_rng(0)
    archive = tmp_path / "published.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        names = {b"label_names": [name.encode() for name in CIFAR_CLASSES]}
        batches = {"batches.meta": names}
        for batch, count in (("data_batch_1", 100), ("data_batch_2", 100), ("test_batch", 20)):
            batches[batch] = {
                b"data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
                b"labels": [number % 10 for number in range(count)],
                b"filenames": [f"{batch}_{number}.png".encode() for number in range(count)],
            }
        for name, content in batches.items():
            add(tar, f"cifar-10-batches-py/{name}", pickle.dumps(content))
    monkeypatch.setattr(CIFAR10, "url", archive.as_uri())
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    return np.asarray(batches["data_batch_1"][b"data"])


def test_cifar10_keeps_every_pixel_its_test_part_and_draws_a_tenth_for_validation(
    tmp_path: Path, cifar_pixels: np.ndarray, journal: Journal
) -> None:
    source = builtin.read_builtin("cifar10", tmp_path / "downloads", tmp_path / "scratch", journal)
    dataset = import_source(source, tmp_path / "out", Splitting(), journal)

    assert [one.id for one in dataset.classes] == CIFAR_CLASSES
    assert [list(split.class_counts) for split in dataset.splits] == [[18] * 10, [2] * 10, [2] * 10]
    assert dataset.split_protocol == "official train+test 200/20; drawn: val 10% each of train, stratified, seed 0"
    first = next(image for image in source.images if image.path == "train/airplane/data_batch_1_0.png")
    pixels = np.asarray(preprocessing.decode(first.read()))
    assert np.array_equal(pixels, cifar_pixels[0].reshape(3, 32, 32).transpose(1, 2, 0))


@pytest.fixture
def mnist_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Publish 240 training and 20 test digits behind a mirror that is gone; return the training pixels."""
    published = tmp_path / "published"
    published.mkdir()
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (240, 28, 28), dtype=np.uint8)
    files = {
        "train-images-idx3-ubyte.gz": pixels,
        "train-labels-idx1-ubyte.gz": (np.arange(240) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte.gz": generator.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte.gz": (np.arange(20) % 10).astype(np.uint8),
    }
    for name, values in files.items():
        header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
        (published / name).write_bytes(gzip.compress(header + values.tobytes()))
    monkeypatch.setattr(MNIST, "mirrors", [(tmp_path / "gone").as_uri() + "/", published.as_uri() + "/"])
    monkeypatch.setattr(MNIST, "resources", [(name, md5(published / name)) for name in files])
    monkeypatch.setattr(builtin, "MNIST_VALIDATION_IMAGES", 20)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    return pixels


def test_mnist_keeps_every_pixel_its_test_part_and_draws_its_validation_images_stratified(
    tmp_path: Path, mnist_pixels: np.ndarray, journal: Journal
) -> None:
    source = builtin.read_builtin("mnist", tmp_path / "downloads", tmp_path / "scratch", journal)
    dataset = import_source(source, tmp_path / "out", Splitting(), journal)

    assert [(one.id, one.display_name) for one in dataset.classes][:2] == [("0", "zero"), ("1", "one")]
    assert [list(split.class_counts) for split in dataset.splits] == [[22] * 10, [2] * 10, [2] * 10]
    assert dataset.split_protocol == "official train+test 240/20; drawn: val 20 of train, stratified, seed 0"
    for number in (0, 239):
        image = next(one for one in source.images if one.path == f"train/{number % 10}/{number:05d}.png")
        decoded = Image.open(io.BytesIO(image.read()))
        assert (decoded.format, decoded.mode) == ("PNG", "L")
        assert np.array_equal(np.asarray(decoded), mnist_pixels[number])
        assert np.array_equal(np.asarray(preprocessing.decode(image.read()))[:, :, 1], mnist_pixels[number])


def test_a_share_that_was_asked_for_goes_before_a_number_of_images(
    tmp_path: Path, mnist_pixels: np.ndarray, journal: Journal
) -> None:
    source = builtin.read_builtin("mnist", tmp_path / "downloads", tmp_path / "scratch", journal)
    dataset = import_source(source, tmp_path / "out", Splitting(held_out_fraction=0.25), journal)

    assert dataset.split_protocol == "official train+test 240/20; drawn: val 25% each of train, stratified, seed 0"


def test_a_file_that_is_no_idx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 7) + b"too few"[:5]))

    with pytest.raises(TaskFailed, match=r"labels\.gz is no IDX file"):
        builtin._read_idx(path)


def test_flowers102_keeps_the_official_splits_and_names_its_species(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: Journal
) -> None:
    published = tmp_path / "published"
    published.mkdir()
    count = 102 * 3
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(buffer, "JPEG")
    with tarfile.open(published / "102flowers.tgz", "w:gz") as tar:
        for number in range(1, count + 1):
            add(tar, f"jpg/image_{number:05d}.jpg", buffer.getvalue())
    savemat(published / "imagelabels.mat", {"labels": np.arange(count) % 102 + 1})
    thirds = np.arange(1, count + 1).reshape(3, 102)
    savemat(published / "setid.mat", {"trnid": thirds[0], "valid": thirds[1], "tstid": thirds[2]})
    monkeypatch.setattr(Flowers102, "_download_url_prefix", published.as_uri() + "/")
    monkeypatch.setattr(
        Flowers102,
        "_file_dict",
        {key: (name, md5(published / name)) for key, (name, _) in Flowers102._file_dict.items()},
    )

    source = builtin.read_builtin("flowers102", tmp_path / "downloads", tmp_path / "scratch", journal)
    dataset = import_source(source, tmp_path / "out", Splitting(), journal)

    assert dataset.split_protocol == "official 102/102/102"
    assert [list(split.class_counts) for split in dataset.splits] == [[1] * 102] * 3
    assert (dataset.classes[0].id, dataset.classes[0].display_name) == ("001", "pink primrose")
    assert (dataset.classes[1].id, dataset.classes[1].display_name) == ("002", "hard-leaved pocket orchid")
    assert dataset.classes[59].display_name == "pink-yellow dahlia"
    assert next(image.path for image in source.images if image.split == "val") == "val/001/image_00103.jpg"

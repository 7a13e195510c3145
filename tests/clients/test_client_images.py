"""Which images are found, and how they are grouped into requests."""

import pytest

from cultivar_client.image_files import REQUEST_BYTES, batches, find_images


def test_folders_give_their_images_sorted_and_files_stand_as_they_are(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", "deep/c.tiff", "file.bin"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).touch()

    found = find_images([tmp_path / "folder" / "file.bin", tmp_path / "folder"])

    assert [path.name for path in found] == ["file.bin", "a.jpg", "b.PNG", "c.tiff"]


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg does not exist"):
        find_images([tmp_path / "none.jpg"])


def test_a_request_holds_sixteen_images_at_most():
    assert [len(batch) for batch in batches([1] * 33)] == [16, 16, 1]


def test_a_large_image_goes_alone():
    assert list(batches([10, REQUEST_BYTES + 1, 10, 10])) == [[0], [1], [2, 3]]

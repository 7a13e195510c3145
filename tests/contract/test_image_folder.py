from pathlib import Path

import pytest

from cultivar_contract.image_folder import Folder, UnusableFolder, scan


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")
    return root


def in_folder(root: Path, *files: str) -> Folder:
    return Folder(make(root, *files))


def test_class_folders_alone_have_no_splits(tmp_path: Path) -> None:
    layout = scan(in_folder(tmp_path, "b/1.jpg", "a/1.jpg", ".ipynb_checkpoints/1.jpg", "readme.txt"))

    assert layout.splits == ()
    assert layout.class_ids == ("a", "b")


def test_split_folders_are_found_under_their_usual_names(tmp_path: Path) -> None:
    layout = scan(in_folder(tmp_path, "Train/a/1.jpg", "Train/b/1.jpg", "valid/a/1.jpg", "TEST/b/1.jpg"))

    assert layout.splits == ("train", "val", "test")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFolder, match="no such folder"):
        scan(Folder(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("a/1.jpg",), "1 class folder"),
        (("1.jpg",), "0 class folder"),
        (("train/a/1.jpg",), "train has 1 class folder"),
        (("val/a/1.jpg", "test/b/1.jpg"), "no train folder"),
        (("train/a/1.jpg", "train/b/1.jpg", "val/c/1.jpg"), "val has classes that train has not: c"),
        (("train/a/1.jpg", "train/b/1.jpg", "extra/a/1.jpg"), "beside its split folders it has extra"),
        (("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"), "two folders for the split val"),
    ],
)
def test_a_folder_that_can_not_become_a_data_set_is_refused(
    tmp_path: Path, files: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UnusableFolder, match=message):
        scan(in_folder(tmp_path, *files))


def test_a_link_to_a_class_elsewhere_is_not_followed(tmp_path: Path) -> None:
    elsewhere = make(tmp_path / "elsewhere", "1.jpg")
    root = make(tmp_path / "root", "a/1.jpg", "b/1.jpg")
    (root / "c").symlink_to(elsewhere)

    assert scan(Folder(root)).class_ids == ("a", "b")


def test_only_files_that_look_like_images_are_taken(tmp_path: Path) -> None:
    make(tmp_path, "2.JPG", "sub/1.png", ".hidden.jpg", "notes.txt", ".thumbs/3.jpg")

    assert Folder(tmp_path).images("") == ["2.JPG", "sub/1.png"]

"""Splits that are drawn, folded or cleaned of leaks."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from drawn_pictures import picture, write, write_class

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets import sources
from cultivar_trainer.datasets.examination import Examined, examine
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

Look = Callable[..., Examined]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    def look(**splitting: object) -> Examined:
        with Journal(tmp_path / "events") as journal:
            source = sources.folder(tmp_path / "in", None)
            return examine(source, Splitting(**splitting), journal, stage="checking", keep=lambda _: 0)

    return look


def paths(examined: Examined, *splits: str) -> set[str]:
    return {one.path for one in examined.samples if one.split in splits}


def counts(examined: Examined) -> list[list[int]]:
    return [list(split.class_counts) for split in examined.report.splits]


def write_split(root: Path, split: str, first: int, count: int) -> None:
    write_class(root, f"{split}/a", range(first, first + count))
    write_class(root, f"{split}/b", range(1000 + first, 1000 + first + count))


def test_folds_are_disjoint_cover_train_and_val_and_leave_test_alone(tmp_path: Path, look: Look) -> None:
    for split, first, count in (("train", 0, 8), ("val", 10, 3), ("test", 20, 2)):
        write_split(tmp_path / "in", split, first, count)

    folds = [look(folds=3, fold=fold) for fold in (1, 2, 3)]

    held_out = [paths(fold, "val") for fold in folds]
    assert set.union(*held_out) == paths(folds[0], "train", "val")
    assert sum(len(one) for one in held_out) == 22
    assert all(paths(fold, "train", "val") == set.union(*held_out) for fold in folds)
    assert [counts(fold)[1] for fold in folds] == [[4, 4], [4, 3], [3, 4]]
    assert all(paths(fold, "test") == paths(folds[0], "test") for fold in folds)
    assert folds[1].report.split_protocol == "as given 16/6/4; 3-fold, fold 2, stratified, seed 0"
    assert len({fold.report.protocol_digest for fold in folds}) == 3
    assert paths(look(folds=3, fold=1, seed=1), "val") != held_out[0]


def test_folds_of_one_folder_have_no_test_split(tmp_path: Path, look: Look) -> None:
    write_class(tmp_path / "in", "a", range(6))
    write_class(tmp_path / "in", "b", range(10, 16))

    examined = look(folds=2, fold=2)

    assert examined.report.split_protocol == "2-fold, fold 2, stratified, seed 0"
    assert counts(examined) == [[3, 3], [3, 3]]


@pytest.mark.parametrize("splitting", [{}, {"folds": 3}, {"held_out_fraction": 0.25}])
def test_copies_of_one_picture_are_drawn_into_one_split(
    tmp_path: Path, look: Look, splitting: dict[str, object]
) -> None:
    root = tmp_path / "in"
    for class_id, first in (("a", 0), ("b", 100)):
        write_class(root, class_id, range(first, first + 15))
        for seed in range(first, first + 15, 3):
            write(root, f"{class_id}/{seed:04d}-again.jpg", picture(seed), "JPEG", quality=70)

    examined = look(**splitting)

    split_of = {one.path: one.split for one in examined.samples}
    pairs = [(path, path.replace("-again.jpg", ".bmp")) for path in split_of if "again" in path]
    assert len(pairs) == 10
    assert all(split_of[again] == split_of[first] for again, first in pairs)
    assert examined.report.duplicates.near_within == 10
    assert not examined.report.duplicates.near_across


def test_as_much_is_held_out_as_was_asked_for(tmp_path: Path, look: Look) -> None:
    write_class(tmp_path / "in", "a", range(20))
    write_class(tmp_path / "in", "b", range(100, 140))

    examined = look(held_out_fraction=0.2, seed=3)

    assert counts(examined) == [[12, 24], [4, 8], [4, 8]]
    assert examined.report.split_protocol == "drawn: val, test 20% each of train, stratified, seed 3"


def plant_leaks(root: Path) -> None:
    for split, first, count in (("train", 0, 8), ("val", 10, 3), ("test", 20, 2)):
        write_split(root, split, first, count)
    write(root, "train/a/equal.bmp", picture(10))
    write(root, "train/b/again.jpg", picture(1010), "JPEG", quality=60)
    write(root, "train/b/smaller.bmp", picture(1020).resize((48, 40)))


def leaked(paths: Iterable[str]) -> set[str]:
    return {path for path in paths if Path(path).stem in ("equal", "again", "smaller")}


@pytest.mark.parametrize(
    ("policy", "remaining", "text"),
    [
        ("NONE", {"train/a/equal.bmp", "train/b/again.jpg", "train/b/smaller.bmp"}, ""),
        ("EXACT", {"train/b/again.jpg", "train/b/smaller.bmp"}, "; 1 left out of train: exact copies of val or test"),
        ("NEAR", set(), "; 3 left out of train: exact and near copies of val or test"),
    ],
)
def test_leaks_are_left_out_of_training_as_far_as_asked_for(
    tmp_path: Path, look: Look, policy: str, remaining: set[str], text: str
) -> None:
    plant_leaks(tmp_path / "in")

    examined = look(drop_leaks=dataset_pb2.LeakPolicy.Value(f"LEAK_POLICY_{policy}"))

    assert leaked(paths(examined, "train")) == remaining
    assert examined.report.dropped_count == 3 - len(remaining)
    assert examined.report.split_protocol == f"as given 19/6/4{text}"
    assert counts(examined)[1:] == [[3, 3], [2, 2]]


def test_planted_copies_are_counted_and_listed_leaks_first_and_nothing_else(tmp_path: Path, look: Look) -> None:
    root = tmp_path / "in"
    plant_leaks(root)
    write(root, "train/a/twice.bmp", picture(0))
    write(root, "train/b/other-class.bmp", picture(1))

    duplicates = look().report.duplicates

    figures = (duplicates.exact_within, duplicates.exact_across, duplicates.near_within, duplicates.near_across)
    assert figures == (2, 2, 0, 4)
    assert duplicates.label_conflicts == 2
    assert [(group.exact, list(group.images)) for group in duplicates.groups] == [
        (True, ["train/a/equal.bmp", "val/a/0010.bmp"]),
        (False, ["train/b/again.jpg", "val/b/1010.bmp"]),
        (False, ["train/b/smaller.bmp", "test/b/1020.bmp"]),
        (True, ["train/a/0001.bmp", "train/b/other-class.bmp"]),
        (True, ["train/a/0000.bmp", "train/a/twice.bmp"]),
    ]


def test_a_class_of_which_only_leaks_were_learnt_is_refused(tmp_path: Path, look: Look) -> None:
    write_split(tmp_path / "in", "train", 0, 3)
    write_split(tmp_path / "in", "val", 0, 3)

    with pytest.raises(TaskFailed, match="all training images of class a are copies") as caught:
        look(drop_leaks=dataset_pb2.LEAK_POLICY_EXACT)

    assert caught.value.reason == "EMPTY_CLASS"


def test_a_class_with_fewer_pictures_than_folds_is_refused(tmp_path: Path, look: Look) -> None:
    write_class(tmp_path / "in", "a", range(5))
    write_class(tmp_path / "in", "b", range(10, 13))

    with pytest.raises(TaskFailed, match=r"class b has 3 image\(s\) for 4 splits"):
        look(folds=4)


def test_a_report_warns_of_what_a_careful_reader_should_know(tmp_path: Path, look: Look) -> None:
    root = tmp_path / "in"
    write_class(root, "train/a", range(24))
    write_class(root, "train/b", range(100, 102))
    write_class(root, "val/a", range(30, 32))
    write(root, "val/b/grey.png", picture(200, 20, 20).convert("L"), "PNG")
    (root / "val/b/broken.jpg").write_bytes(b"broken")

    report = look().report

    assert report.imbalance == 12
    assert list(report.warnings) == [
        "1 class(es) have fewer than 10 training images, such as b (2): add some",
        "the largest class has 12.0 times the training images of the smallest",
        "1 of 29 images have a side shorter than 32 pixels",
        "1 of 29 images are grey",
        "1 file(s) were rejected",
    ]

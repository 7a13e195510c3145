import pytest
from histories import history, overfitted

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.datasets.selection import Selection
from cultivar_trainer.datasets.version import DatasetClass, Sample
from cultivar_trainer.reports.course import Setting, follow, margin, margin_of_difference, setting, turning_epoch

SETTING = Setting(train_images=1000, val_images=400, chance=0.1)


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [
        ([1.0, 0.9, 0.8, 0.9, 1.0, 1.1, 1.2], 3),
        ([0.5, 0.6, 0.7, 0.8, 0.9], 1),  # it never got better
        ([1.0, 0.9, 0.8, 0.9, 1.0, 1.1], None),  # too short to be for good
        ([1.0, 0.9, 0.8, 0.9, 1.0, 1.1, 0.81], None),  # came back
        ([1.0, 0.9, 0.8, 0.82, 0.83, 0.83, 0.83], None),  # by less than 5 %
        ([0.1, 0.01, 0.011, 0.012, 0.013, 0.014], None),  # by nothing that matters
        ([1.0, 1.1, 0.9, 1.0, 0.7, 1.0, 0.9, 1.1, 1.0, 0.95, 0.97], None),  # one low epoch among noisy ones
        ([1.0], None),
    ],
)
def test_validation_loss_turns_up_where_it_rises_for_good(losses: list[float], epoch: int | None) -> None:
    assert turning_epoch(losses) == epoch


def test_margins_are_those_of_the_textbook_and_never_nothing() -> None:
    # Agresti & Coull 1998: 95 % interval of 0 of 20 by adding two right and two wrong.
    assert margin(0.0, 20) == pytest.approx(1.96 * (2 / 24 * 22 / 24 / 24) ** 0.5)
    assert margin(1.0, 20) == pytest.approx(margin(0.0, 20))
    assert margin_of_difference(0.5, 98, 0.5, 98) == pytest.approx(1.96 * (2 * 0.25 / 100) ** 0.5)


def test_a_course_is_measured_over_the_last_epochs() -> None:
    found = follow(history(60, lambda number: (1 / number, number / 60, 2.0, number / 120)), SETTING)

    assert found.last_epochs == 3
    assert (found.train_accuracy, found.val_accuracy) == (pytest.approx(59 / 60), pytest.approx(59 / 120))
    assert found.gap == pytest.approx(59 / 120)
    assert found.level == 1.0
    assert not found.still_falling


def test_what_happens_after_the_turn_is_measured() -> None:
    found = follow(overfitted(20), SETTING)

    assert (found.turning_epoch, found.lowest_val_epoch, found.lowest_val_loss) == (8, 8, 1.0)
    assert (found.train_loss_fell_on, found.train_loss_rose) == (True, False)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_short_courses_are_measured_too(epochs: int) -> None:
    found = follow(history(epochs, lambda number: (1.0, 0.5, 1.0, 0.4)), SETTING)

    assert (found.last_epochs, found.turning_epoch, found.still_falling) == (1, None, False)


def selection() -> Selection:
    def samples(split: str, *counts: int) -> tuple[Sample, ...]:
        return tuple(
            Sample(path=f"{split}/{label}/{number}", label=label, split=split, sha256="0" * 64, offset=0, size=1)
            for label, count in enumerate(counts)
            for number in range(count)
        )

    classes = tuple(DatasetClass(id=one, display_name=one) for one in ("a", "b"))
    return Selection(classes=classes, splits={"train": samples("train", 5, 5), "val": samples("val", 3, 1)})


def test_a_recipe_tells_what_makes_training_figures_worse() -> None:
    recipe = pb.TrainingSpec(
        augmentation=pb.AugmentationSpec(horizontal_flip=0.5, mixup=0.2, mixing_probability=1.0, rotation=0.0),
        network=pb.NetworkSpec(head_dropout=0.2),
        loss=pb.LossSpec(label_smoothing=0.1),
    )
    plain = pb.TrainingSpec(
        augmentation=pb.AugmentationSpec(mixup=0.0, mixing_probability=1.0, randaugment_magnitude=9)
    )

    assert setting(recipe, selection()) == Setting(
        train_images=10,
        val_images=4,
        chance=0.75,
        harder=("augmentation", "mixup", "dropout", "label smoothing"),
        mixed=True,
    )
    assert setting(plain, selection()) == Setting(train_images=10, val_images=4, chance=0.75)

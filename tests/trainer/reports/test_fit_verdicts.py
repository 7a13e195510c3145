import random
from dataclasses import replace
from pathlib import Path

import pytest
from histories import Figures, history, overfitted

from cultivar.v1 import event_pb2 as ev
from cultivar_contract.run_directory import read_events
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.history import History
from cultivar_trainer.reports.course import Setting, follow
from cultivar_trainer.reports.fit import judge

GOOD, UNDER, OVER = ev.FIT_VERDICT_GOOD, ev.FIT_VERDICT_UNDERFITTING, ev.FIT_VERDICT_OVERFITTING
UNDETERMINED = ev.FIT_VERDICT_UNDETERMINED
SETTING = Setting(train_images=2000, val_images=400, chance=0.1)
MIXED = replace(SETTING, harder=("mixup",), mixed=True)


def verdict(made: History, setting: Setting = SETTING) -> ev.FitAssessed:
    return judge(follow(made, setting), setting)


def flat(train: float, val: float, epochs: int = 10) -> History:
    """A history that has come to rest at two accuracies."""
    return history(epochs, lambda _: (0.5, train, 0.5, val))


def falling(train: float, val: float) -> History:
    return history(10, lambda number: (2 / number, train, 2 / number, val))


def test_a_gap_while_validation_loss_turns_up_is_overfitting() -> None:
    found = verdict(overfitted())

    assert found.verdict == OVER
    assert found.turning_epoch == 8
    assert (
        "0.990 on 2000 training images as seen, 0.699 on 400 validation images, a gap of 0.290 +- 0.045" in found.reason
    )
    assert "lowest in epoch 8 (1.000), 55% higher" in found.reason
    assert "augmentation" in found.remedy
    assert "augmentation" not in verdict(overfitted(), replace(SETTING, harder=("augmentation",))).remedy


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (flat(1.0, 0.85), OVER),  # wide, though the loss stands still
        (flat(1.0, 0.93), GOOD),
        (flat(0.95, 0.97), GOOD),
        (flat(0.60, 0.58), UNDER),
        (flat(0.10, 0.11), UNDER),  # chance
        (flat(0.11, 0.00), UNDER),  # bad luck in validation is no overfitting
        (flat(0.60, 0.30), OVER),  # both: the gap comes first
        (falling(0.60, 0.55), UNDER),  # too short
        (falling(0.60, 0.45), UNDER),  # a gap, but validation still gains
        (falling(0.99, 0.97), UNDETERMINED),  # learnt, and not at its end
        (flat(0.99, 0.99, epochs=4), UNDETERMINED),
    ],
)
def test_verdicts_follow_the_rules(made: History, expected: ev.FitVerdict) -> None:
    found = verdict(made)

    assert found.verdict == expected, found.reason
    assert found.reason
    assert bool(found.remedy) == (expected != GOOD)


def test_a_remedy_fits_its_cause() -> None:
    diverging = history(10, lambda number: (0.5 + 0.1 * number, 0.3, 0.6 + 0.1 * number, 0.3))

    assert verdict(falling(0.6, 0.55)).remedy.startswith("more epochs")
    assert verdict(diverging).remedy.startswith("a smaller learning rate")
    assert verdict(flat(0.6, 0.58)).remedy.startswith("a larger network")


def test_few_validation_images_make_no_verdict_of_noise() -> None:
    few = replace(SETTING, val_images=20)

    assert verdict(flat(0.95, 0.85), few).verdict == UNDETERMINED
    assert verdict(flat(0.95, 0.95), few).verdict == UNDETERMINED
    assert verdict(flat(1.0, 0.4), few).verdict == OVER  # that much is no chance


def test_equal_errors_are_hardly_ever_called_overfitting() -> None:
    generator = random.Random(0)

    def drawn(images: int) -> ev.FitVerdict:
        right = sum(generator.random() < 0.9 for _ in range(images)) / images
        return verdict(flat(0.9, right), replace(SETTING, val_images=images)).verdict

    for images in (20, 100, 400):
        found = [drawn(images) for _ in range(200)]
        assert found.count(OVER) <= 0.025 * len(found)


def test_mixed_images_are_judged_by_validation_and_the_loss() -> None:
    def mixed(number: int) -> Figures:  # accuracy of mixed images is low and says little
        return 2 - number / 20, 0.5, 1 + abs(number - 6) / 20, 0.9

    turned = history(20, mixed)

    assert verdict(turned, MIXED).verdict == OVER
    assert verdict(flat(0.5, 0.93), MIXED).verdict == GOOD
    assert verdict(flat(0.5, 0.55), MIXED).verdict == UNDER
    assert verdict(turned, replace(MIXED, val_images=20)).verdict == UNDETERMINED
    assert "mixup make" in verdict(turned, MIXED).reason


def test_a_loss_that_rises_without_a_gap_is_told_as_overconfidence() -> None:
    found = verdict(history(20, lambda number: (0.1, 0.96, 0.3 + abs(number - 5) / 50, 0.94)))

    assert (found.verdict, found.turning_epoch) == (GOOD, 5)
    assert "too sure" in found.reason
    assert "select by loss" in found.remedy


@pytest.mark.parametrize("chance", [0.9, 1.0])
def test_chance_is_what_the_most_frequent_class_gets(chance: float) -> None:
    found = verdict(flat(0.9, 0.9), replace(SETTING, chance=chance))

    assert found.verdict == (UNDER if chance < 1 else UNDETERMINED)


def test_a_verdict_is_told_once_in_a_job_s_life(tmp_path: Path) -> None:
    told = ev.FitAssessed(verdict=OVER, reason="a gap", remedy="more images")
    with Journal(tmp_path / "1.jsonl") as journal:
        journal.fit_assessed(told)
    earlier, _ = read_events(tmp_path / "1.jsonl", 0)
    with Journal(tmp_path / "2.jsonl", earlier) as journal:
        journal.fit_assessed(told)

    assert [one.fit_assessed for one in earlier] == [told]
    assert read_events(tmp_path / "2.jsonl", 0)[0] == []

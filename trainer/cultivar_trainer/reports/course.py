"""What a training's curves measure: how much was learnt, the gap to validation, and where validation loss turns up."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.datasets import version
from cultivar_trainer.datasets.selection import Selection
from cultivar_trainer.loop.history import History

STRIP_EPOCHS = 3
"""Epochs whose figures are taken together against noise, or a twentieth of all where that is more.

Strips are Prechelt's ("Early stopping - but when?", 1998; of five epochs there): one epoch alone is too noisy. They are
no longer, because under a schedule that ends at 0 losses go on falling until shortly before the end."""
MIN_RISE = 0.05
"""By how much of its lowest value validation loss has to be higher at the end to have turned up: Prechelt's (1998)
generalisation loss of 5 %, the largest that he compares, which stops latest."""
MIN_CHANGE_NATS = 0.02
"""A change of validation loss below this is none, however small the loss: the right class's probability changes by a
fiftieth of itself."""
MIN_FALL = 0.05
"""By how much of themselves both losses have to fall from the last strip but one to the last, to be falling still."""
Z = 1.96
"""Standard errors to both sides of a share that hold it with 95 % confidence."""
_AIDS = frozenset(("mixup", "cutmix", "mixing_probability", "randaugment_magnitude"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What has to be known beside the curves to read them."""

    train_images: int
    val_images: int
    chance: float
    """Share of the validation images that answering their most frequent class always would get right."""
    harder: tuple[str, ...] = ()
    """What makes training figures worse than those of the same images unaltered, such as `augmentation`."""
    mixed: bool = False
    """Whether training images are mixed with each other, so that their accuracy says little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """Numbers of one training; accuracies are shares of images, those of training images as they were seen."""

    epochs: int
    last_epochs: int
    """Epochs at the end over which `train_accuracy` and `val_accuracy` are means."""
    train_accuracy: float
    val_accuracy: float
    gap: float
    """Training accuracy less validation accuracy, at the end."""
    gap_margin: float
    """Half the width of its 95 % interval."""
    level: float
    """What is learnt: the best of training and validation accuracy, at the end and in the selected epoch. Training
    images are not known worse than validation images, so where the figures of the former are spoilt the latter tell."""
    level_margin: float
    chance: float
    turning_epoch: int | None
    """The epoch of the lowest validation loss, where it rose for good after it."""
    lowest_val_loss: float
    lowest_val_epoch: int
    last_val_loss: float
    """Median over the last epochs."""
    still_falling: bool
    """Whether training loss and validation loss were both falling at the end."""
    train_loss_rose: bool
    """Whether training loss ends above its lowest: training itself got worse."""
    train_loss_fell_on: bool
    """Whether training loss fell on after `turning_epoch`."""


def setting(recipe: pb.TrainingSpec, selection: Selection) -> Setting:
    """Return what a resolved recipe and its images say of how to read their curves."""
    augmentation = recipe.augmentation
    mixing = [name for name in ("mixup", "cutmix") if getattr(augmentation, name) and augmentation.mixing_probability]
    harder = list(mixing)
    if any(value for field, value in augmentation.ListFields() if field.name not in _AIDS):
        harder.insert(0, "augmentation")
    if recipe.network.head_dropout or recipe.network.dropout:
        harder.append("dropout")
    if recipe.loss.label_smoothing:
        harder.append("label smoothing")
    validation = selection.splits["val"]
    return Setting(
        train_images=len(selection.splits["train"]),
        val_images=len(validation),
        chance=max(version.class_counts(validation, len(selection.classes))) / len(validation),
        harder=tuple(harder),
        mixed=bool(mixing),
    )


def follow(history: History, setting: Setting) -> Course:
    """Measure the curves of a candidate that has a selected epoch."""
    epochs = history.epochs
    strip = min(max(STRIP_EPOCHS, len(epochs) // 20), max(1, len(epochs) // 2))
    train_losses, val_losses = [one.train_loss for one in epochs], [one.val_loss for one in epochs]
    train = fmean(one.train_accuracy for one in epochs[-strip:])
    val = fmean(one.val_accuracy for one in epochs[-strip:])
    level, images = max(
        (train, setting.train_images),
        (history.best.train_accuracy, setting.train_images),
        (val, setting.val_images),
        (history.best.val_accuracy, setting.val_images),
    )
    turning = turning_epoch(val_losses)
    lowest = min(val_losses)
    return Course(
        epochs=len(epochs),
        last_epochs=strip,
        train_accuracy=train,
        val_accuracy=val,
        gap=train - val,
        gap_margin=margin_of_difference(train, setting.train_images, val, setting.val_images),
        level=level,
        level_margin=margin(level, images),
        chance=setting.chance,
        turning_epoch=turning,
        lowest_val_loss=lowest,
        lowest_val_epoch=val_losses.index(lowest) + 1,
        last_val_loss=median(val_losses[-strip:]),
        still_falling=_falls(train_losses, strip) and _falls(val_losses, strip, at_least=MIN_CHANGE_NATS),
        train_loss_rose=median(train_losses[-strip:]) > (1 + MIN_RISE) * min(train_losses) + MIN_CHANGE_NATS,
        train_loss_fell_on=turning is not None and median(train_losses[-strip:]) < train_losses[turning - 1],
    )


def turning_epoch(val_losses: Sequence[float]) -> int | None:
    """Return the epoch, 1 for the first, of the lowest loss, where all of the last epochs' are higher for good.

    A single low epoch among noisy ones is no turning point: the losses beside the lowest have to be exceeded, too.
    """
    lowest = val_losses.index(min(val_losses))
    if len(val_losses) - 1 - lowest <= STRIP_EPOCHS:
        return None
    around = median(val_losses[max(0, lowest - 1) : lowest + 2])
    end = min(val_losses[-STRIP_EPOCHS:])
    return lowest + 1 if end > around + max(MIN_RISE * around, MIN_CHANGE_NATS) else None


def margin(share: float, images: int) -> float:
    """Return half the width of a share's 95 % interval (Agresti & Coull 1998), which is not 0 at 0 and 1."""
    return Z * sqrt(_variance(share, images, added=4))


def margin_of_difference(one: float, one_images: int, other: float, other_images: int) -> float:
    """Return half the width of the 95 % interval of a difference of two groups' shares (Agresti & Caffo 2000)."""
    return Z * sqrt(_variance(one, one_images, added=2) + _variance(other, other_images, added=2))


def _variance(share: float, images: int, *, added: int) -> float:
    """Return the variance of a share after adding imaginary images, half of them right."""
    moderated = (share * images + added / 2) / (images + added)
    return moderated * (1 - moderated) / (images + added)


def _falls(losses: Sequence[float], strip: int, *, at_least: float = 0.0) -> bool:
    """Tell whether a loss was falling at the end of at least two strips."""
    if len(losses) < 2 * strip:
        return False
    before, after = median(losses[-2 * strip : -strip]), median(losses[-strip:])
    return before - after > max(MIN_FALL * before, at_least)

"""The diagnostics of one job: when a network is looked at, what is shown of it, and what is told.

They help whoever trains and decide nothing: where memory or the disk does not suffice they end with a warning.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation import mixing
from cultivar_trainer.batches import TrainingData, ValidationData
from cultivar_trainer.diagnostics import summaries, symptoms
from cultivar_trainer.diagnostics.event_file import EventFile
from cultivar_trainer.diagnostics.measurement import (
    LayerGradient,
    Measurement,
    Subject,
    gradient_norms,
    measure,
    uniform_loss,
)
from cultivar_trainer.diagnostics.schedule import is_due
from cultivar_trainer.execution import free_memory
from cultivar_trainer.randomness import Stream, permutation

IMAGES = 100
"""Validation images that are looked at, drawn by data.seed."""
LEAST_IMAGES = 32
SHARE_OF_EPOCH = 0.05
"""Where no histogram of gradients is asked for, of that many images at least no more are looked at than this share of
the training images: a look is then a small part of an epoch, on small data sets of large images too."""
SAMPLES = 8
"""Of each split, in a picture."""
MOST_BYTES = 128 << 20
"""Of a job's event files, from where on they take no more histograms and pictures: some hundred bytes of scalars for
each epoch alone go on."""


class Journal(Protocol):
    """Takes what is told."""

    def symptom_found(self, event: event_pb2.SymptomFound) -> None:
        """Say that training shows a sign of going wrong."""
        ...

    def warning(self, text: str) -> None:
        """Say something that a careful reader should know."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a look needs beside the job's recipe."""

    subject: Subject
    validation: ValidationData
    class_weights: Tensor | None
    """(K,), on the device."""
    batch_size: int
    """Images per pass with gradients."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What a look has shown."""

    measurement: Measurement
    layers: Mapping[str, LayerGradient]


class Diagnostics:
    """Looks at networks before the first update and after epochs, and shows and tells what it sees."""

    def __init__(
        self,
        recipe: pb.TrainingSpec,
        folder: Path,
        journal: Journal,
        *,
        candidates: int,
        train: TrainingData,
        validation: ValidationData,
        num_classes: int,
    ) -> None:
        """Begin an attempt's diagnostics; nothing is written before the first epoch.

        Args:
            recipe: resolved.
            folder: gets TensorBoard's event files, in a folder for each candidate where there are several.
            journal: gets symptoms and warnings.
            candidates: of learning rate and weight decay.
            train: pixels, for pictures.
            validation: pixels, for pictures.
            num_classes: of the data set.
        """
        self._recipe = recipe
        self._spec = recipe.diagnostics
        self._journal = journal
        self._pixels = {"training": train, "validation": validation}
        self._num_classes = num_classes
        few = max(LEAST_IMAGES, min(IMAGES, round(SHARE_OF_EPOCH * len(train.labels))))
        self._images = IMAGES if self._spec.gradient_histograms else few
        self._files = {
            number: EventFile(folder / f"candidate-{number}" if number else folder)
            for number in (range(1, candidates + 1) if candidates > 1 else (0,))
        }
        self._bytes = sum(one.stat().st_size for one in folder.rglob("*tfevents*"))
        self._full = False
        self._shows = self._spec.tensorboard
        self._looks = True
        self._exploded: set[int] = set()
        self._chance: float | None = None

    def before_training(self, candidate: int, look: Callable[[], Look]) -> None:
        """Look at a candidate's network before its first update.

        Args:
            candidate: number, 0 where there is one.
            look: makes what the look needs.
        """
        seen = self._look(look)
        self._tell(candidate, 0, seen, None)
        self._show(candidate, 0, {}, seen, look, measured=True)

    def after_epoch(
        self,
        candidate: int,
        look: Callable[[], Look],
        *,
        epoch: int,
        last: bool,
        scalars: Mapping[str, float],
        train_loss: float,
        val_loss: float,
    ) -> None:
        """Show an epoch's figures, and look at the network where it is time to.

        Args:
            candidate: number, 0 where there is one.
            look: makes what a look needs.
            epoch: that is over, 1 for the first.
            last: whether none follows.
            scalars: by tag.
            train_loss: as the recipe has it, penalties left out.
            val_loss: cross-entropy.
        """
        due = is_due(epoch, self._spec.every_epochs, last=last)
        ratio = self._loss_ratio(look, train_loss, val_loss) if self._spec.gradient_norms else 0.0
        explodes = ratio > symptoms.EXPLODING_LOSS
        seen = self._look(look) if due or (explodes and candidate not in self._exploded) else None
        if seen is not None or explodes:
            self._tell(candidate, epoch, seen, ratio)
        self._show(candidate, epoch, scalars, seen, look, measured=due)

    def diverged(self, candidate: int, look: Callable[[], Look], *, epoch: int) -> None:
        """Tell of a loss that is no finite number.

        Args:
            candidate: number, 0 where there is one.
            look: makes what a look needs.
            epoch: the last one that is over, 0 before the first.
        """
        if self._spec.gradient_norms:
            self._tell(candidate, epoch, self._look(look), math.inf)

    def _look(self, look: Callable[[], Look]) -> _Seen | None:
        shows_gradients = self._shows and self._spec.gradient_histograms
        gradients = self._spec.gradient_norms or shows_gradients
        if not self._looks or not (gradients or self._spec.unit_health):
            return None
        try:
            return self._measured(look(), gradients=gradients)
        except (MemoryError, RuntimeError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
        # Outside: the exception holds the frames that hold the tensors.
        free_memory()
        self._looks = False
        self._journal.warning(f"diagnostics end here, training goes on: {reason}")
        return None

    def _measured(self, look: Look, *, gradients: bool) -> _Seen:
        labels = look.validation.labels
        positions = permutation(self._recipe.data.seed, 0, len(labels), Stream.DIAGNOSTICS)[: self._images]
        measurement = measure(
            look.subject,
            lambda rows: look.validation.inputs(positions[rows], 0),
            labels[positions.to(labels.device)],
            loss=self._recipe.loss,
            class_weights=look.class_weights,
            batch_size=look.batch_size,
            gradients=gradients,
            units=self._spec.unit_health,
        )
        return _Seen(measurement=measurement, layers=gradient_norms(measurement.gradients))

    def _loss_ratio(self, look: Callable[[], Look], train_loss: float, val_loss: float) -> float:
        """Return how many times the loss of answers that favour no class the larger of two losses is."""
        if self._chance is None:
            needed = look()
            labels = needed.validation.labels[:IMAGES]
            self._chance = uniform_loss(self._recipe.loss, labels, needed.class_weights, self._num_classes)
        by_training = train_loss / self._chance if self._chance > 0 else 0.0
        ratios = (by_training, val_loss / math.log(max(2, self._num_classes)))
        return max(ratios) if all(map(math.isfinite, ratios)) else math.inf

    def _tell(self, candidate: int, epoch: int, seen: _Seen | None, ratio: float | None) -> None:
        layers = {} if seen is None or not self._spec.gradient_norms else seen.layers
        scales = {layer: one.scale for layer, one in layers.items()}
        units = () if seen is None else seen.measurement.units
        found = {one.symptom: one for one in symptoms.found(scales, units)}
        if ratio is not None:
            layer = max(scales, key=scales.__getitem__) if scales else ""
            by_loss = symptoms.exploding_loss(ratio, layer)
            if by_loss is not None:
                found[by_loss.symptom] = by_loss
                self._exploded.add(candidate)
        if candidate in self._exploded:
            found.pop(event_pb2.SYMPTOM_VANISHING_GRADIENT, None)  # what died of the explosion passes none
        who = f"candidate {candidate}, " if candidate else ""
        when = f"after epoch {epoch}" if epoch else "before the first epoch's end" if ratio else "before training"
        for one in found.values():
            one.epoch = epoch
            one.message = f"{who}{when}: {one.message}"
            self._journal.symptom_found(one)

    def _show(
        self,
        candidate: int,
        epoch: int,
        scalars: Mapping[str, float],
        seen: _Seen | None,
        look: Callable[[], Look],
        *,
        measured: bool,
    ) -> None:
        """Write what TensorBoard shows of an epoch."""
        if not self._shows:
            return
        numbers = dict(scalars)
        if seen is not None:
            if self._spec.gradient_norms:
                numbers |= {f"Gradient norm/{layer}": one.norm for layer, one in seen.layers.items()}
            numbers |= {f"{one.kind.value}/{one.layer}": one.share for one in seen.measurement.units}
        parts: list[Callable[[], Iterable[Any]]] = [partial(summaries.scalars, numbers)]
        if measured and not self._full:
            if self._spec.parameter_histograms:
                parts.append(lambda: summaries.histograms(look().subject.parameters))
            if self._spec.gradient_histograms and seen is not None:
                gradients = {f"{name}_grad": one for name, one in seen.measurement.gradients.items()}
                parts.append(partial(summaries.histograms, gradients))
            if self._spec.sample_images and candidate <= 1:
                parts.append(partial(self._pictures, epoch))
        self._write(candidate, epoch, parts)

    def _pictures(self, epoch: int) -> Iterator[Any]:
        """Yield pictures of training images as the epoch after `epoch` sees them, and of validation images."""
        recipe = self._recipe
        for name, pixels in self._pixels.items():
            indices = permutation(recipe.data.seed, 0, len(pixels.labels), Stream.DIAGNOSTICS)[:SAMPLES]
            images = pixels.inputs(indices, epoch)
            if name == "training" and mixing.is_mixed(recipe.augmentation):
                labels = pixels.labels[indices.to(pixels.labels.device)]
                images, _ = mixing.mix(
                    images, labels, self._num_classes, recipe.augmentation, seed=recipe.seed, step=epoch
                )
            yield summaries.picture(f"Images/{name}", images)

    def _write(self, candidate: int, epoch: int, parts: list[Callable[[], Iterable[Any]]]) -> None:
        try:
            with torch.no_grad():
                values = chain.from_iterable(part() for part in parts)
                self._bytes += self._files[candidate].write(epoch, values)
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except ImportError:
            reason = "tensorboard is not installed beside the trainer"
        except (MemoryError, RuntimeError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
        else:
            if self._bytes > MOST_BYTES and not self._full:
                self._full = True
                self._journal.warning(
                    f"TensorBoard's files have {MOST_BYTES >> 20} MiB: they get no more histograms and pictures; a "
                    "larger diagnostics.every_epochs makes them last longer"
                )
            return
        free_memory()
        self._shows = False
        self._journal.warning(f"TensorBoard's files end here, training goes on: {reason}")

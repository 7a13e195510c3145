"""One training of the study, and the questions that compare several of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Fields = Mapping[str, object]
"""Fields of a TrainingSpec by dotted path."""
ALWAYS: Fields = {"publish": "never", "test_evaluation": "deferred"}
"""Nothing goes live, and test images are kept for the variants that win."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One choice, trained with several seeds."""

    label: str
    """As tables and pictures call it."""
    spec: Fields
    """What is asked for, without the seed."""
    seeds: int = 1
    """Trainings, with seeds 0, 1 ..."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What several variants are compared for; the first is the baseline."""

    key: str
    """Short, for names of files and cells."""
    title: str
    """As the page's heading asks it."""
    variants: tuple[Variant, ...] = field(repr=False)
    factor: str = ""
    """What labels are values of, where they don't tell by themselves."""
    timed: bool = False
    """Whether seconds matter: its cells come last, when the host is quiet."""
    test: bool = True
    """Whether the winner is measured on test images."""
    gradients: bool = False
    """Whether each layer's gradients are measured, before and after training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One training."""

    id: str
    """QUESTION/LABEL/seed-N, of the first question that asks for it."""
    spec: Fields = field(repr=False)
    """What is sent."""

    @property
    def key(self) -> str:
        """What finds its result again: equal for equal specs, whatever question they belong to."""
        return key_of(self.spec)


def with_seed(variant: Variant, seed: int) -> Fields:
    """Return what is sent for one seed of a variant."""
    return {**ALWAYS, **variant.spec, "seed": seed}


def key_of(spec: Fields) -> str:
    """Return 16 hexadecimal digits that stand for what a spec trains, whatever the order of its fields."""
    trained = {path: value for path, value in spec.items() if path not in ALWAYS}
    return hashlib.sha256(json.dumps(trained, sort_keys=True).encode()).hexdigest()[:16]


def in_order(questions: Iterable[Question], seeds: int = 0) -> list[Cell]:
    """Return every training once: first seeds of all questions before second ones, timed questions at the end.

    Args:
        questions: whose variants are trained.
        seeds: at most this many of each variant; 0: all.
    """
    asked = [
        (question.timed, seed, position, variant)
        for position, question in enumerate(questions)
        for variant in question.variants
        for seed in range(min(variant.seeds, seeds or variant.seeds))
    ]
    keys = {position: question.key for position, question in enumerate(questions)}
    cells: dict[str, Cell] = {}
    for _, seed, position, variant in sorted(asked, key=lambda one: one[:3]):
        cell = Cell(id=f"{keys[position]}/{variant.label}/seed-{seed}", spec=with_seed(variant, seed))
        cells.setdefault(cell.key, cell)
    return list(cells.values())

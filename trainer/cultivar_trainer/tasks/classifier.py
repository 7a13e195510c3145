"""A graph as serving runs it, and which of its outputs means which class of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

from cultivar_contract.preprocessing import Preprocessing
from cultivar_trainer.datasets.version import DatasetClass
from cultivar_trainer.errors import TaskFailed


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """A graph as serving runs it."""

    title: str
    """What messages call it."""
    onnx: bytes
    """The graph."""
    preprocessing: Preprocessing
    """How images become its inputs."""
    classes: tuple[DatasetClass, ...]
    """What it tells apart, in the order of its outputs; empty where that is not known."""
    num_classes: int
    """Number of its outputs."""


def by_id(classes: Sequence[DatasetClass], classifier: Classifier) -> list[int]:
    """Return the output of each class of a data set, found by its id.

    Raises:
        TaskFailed: CLASSES_DIFFER.
    """
    outputs = {one.id: position for position, one in enumerate(classifier.classes)}
    unknown = [one.id for one in classes if one.id not in outputs]
    if unknown:
        raise _differ(unknown, len(classes), classifier, "use a data set of its classes")
    return [outputs[one.id] for one in classes]


def by_category(classes: Sequence[DatasetClass], classifier: Classifier) -> list[int]:
    """Return the output of each class of a data set: by its id or display name, else by order where counts are equal.

    Names are compared in lower case, with spaces for `_` and `-`. A name that two categories share finds neither.

    Raises:
        TaskFailed: CLASSES_DIFFER.
    """
    named: dict[str, list[int]] = {}
    for position, one in enumerate(classifier.classes):
        named.setdefault(_plain(one.display_name), []).append(position)
    found: list[int | None] = []
    for one in classes:
        positions = [
            named[text][0] for text in (_plain(one.id), _plain(one.display_name)) if len(named.get(text, ())) == 1
        ]
        found.append(positions[0] if positions else None)
    outputs = [position for position in found if position is not None]
    if len(outputs) == len(classes) and len(set(outputs)) == len(classes):
        return outputs
    # In the same order: nothing that a name says may contradict it.
    if len(classes) == classifier.num_classes and all(one in (None, position) for position, one in enumerate(found)):
        return list(range(len(classes)))
    unknown = [one.id for one, position in zip(classes, found, strict=True) if position is None]
    raise _differ(
        unknown or [one.id for one in classes],
        len(classes),
        classifier,
        "name classes as categories, such as "
        + ", ".join(one.display_name for one in classifier.classes[:3])
        + ", or train a model of the data set's own classes"
        if classifier.classes
        else f"use a data set of its {classifier.num_classes} classes, in their order",
    )


def _differ(unknown: Sequence[str], count: int, classifier: Classifier, remedy: str) -> TaskFailed:
    shown = f"{', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}"
    return TaskFailed(
        "CLASSES_DIFFER",
        f"{len(unknown)} of the data set's {count} classes are none of the {classifier.num_classes} of "
        f"{classifier.title}: {shown}: {remedy}",
    )


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())

"""Which images of a data set version take part in a job, and how they count."""

from dataclasses import dataclass, replace

from cultivar.v1 import event_pb2, training_spec_pb2
from cultivar_trainer.datasets import version
from cultivar_trainer.datasets.draws import draw_bootstrap, draw_limited
from cultivar_trainer.datasets.version import DatasetClass, DatasetVersion, Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The images of a job by split; labels count the classes kept."""

    classes: tuple[DatasetClass, ...]
    splits: dict[str, tuple[Sample, ...]]

    def summary(self) -> list[event_pb2.SplitSummary]:
        """Return counts per split and class."""
        return [
            event_pb2.SplitSummary(
                split=split,
                image_count=len(samples),
                class_counts=version.class_counts(samples, len(self.classes)),
            )
            for split, samples in self.splits.items()
        ]


def select(dataset: DatasetVersion, data: training_spec_pb2.DataSpec, *, with_test: bool) -> Selection:
    """Keep the classes named and draw what the limits leave, by the data seed alone.

    With a bootstrap seed the training split is a sample with replacement of what is left: an image may occur again.
    """
    kept_ids = set(data.classes) or {one.id for one in dataset.classes}
    classes = tuple(one for one in dataset.classes if one.id in kept_ids)
    new_label = {
        label: position
        for position, label in enumerate(label for label, one in enumerate(dataset.classes) if one.id in kept_ids)
    }
    splits = {}
    for split, samples in version.by_split(dataset.samples).items():
        if split == "test" and not with_test:
            continue
        candidates = [replace(one, label=new_label[one.label]) for one in samples if one.label in new_label]
        kept = draw_limited(
            [one.sha256 + one.path for one in candidates],
            [one.label for one in candidates],
            total=getattr(data, f"max_{split}_images"),
            per_class=getattr(data, f"max_{split}_images_per_class"),
            seed=data.seed,
        )
        if split == "train" and data.HasField("bootstrap_seed"):
            drawn = draw_bootstrap(
                [candidates[position].sha256 + candidates[position].path for position in kept],
                [candidates[position].label for position in kept],
                seed=data.bootstrap_seed,
            )
            kept = [kept[position] for position in drawn]
        if kept:
            splits[split] = tuple(candidates[position] for position in kept)
    return Selection(classes=classes, splits=splits)

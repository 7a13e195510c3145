"""Checks against the data set: classes, counts, limits."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe.facts import DatasetFacts, Resolution


def check(resolution: Resolution, dataset: DatasetFacts) -> None:
    """Check what a recipe takes of a data set, and name the data set's version and the model."""
    recipe = resolution.recipe
    recipe.dataset = dataset.name
    if not recipe.HasField("model"):
        recipe.model = dataset.default_model
    kept = _check_classes(resolution, dataset)
    if not kept:
        return
    _check_counts(resolution, dataset, kept)
    limit = recipe.data.max_train_images
    if 0 < limit < len(kept):
        resolution.violate(
            "data.max_train_images",
            f"{limit} leaves some of the {len(kept)} classes without an image: use {len(kept)} or more",
        )
    unknown = sorted(set(recipe.loss.class_weights) - kept)
    if unknown:
        resolution.violate("loss.class_weights", f"{', '.join(unknown[:5])}: no such class takes part: leave it out")
    if recipe.HasField("batch_size") and recipe.batch_size == 0:
        recipe.batch_size = _taken(dataset, recipe.data, kept)
    _warn(resolution, dataset, kept)


def _check_classes(resolution: Resolution, dataset: DatasetFacts) -> set[str]:
    """Put the kept classes in label order, so that the order in which a client names them changes nothing."""
    recipe = resolution.recipe
    unknown = sorted(set(recipe.data.classes) - set(dataset.class_ids))
    if unknown:
        resolution.violate(
            "data.classes",
            f"{', '.join(unknown[:5])}: no such class in {dataset.name}: "
            f"it has {', '.join(dataset.class_ids[:10])}{' ...' if len(dataset.class_ids) > 10 else ''}",
        )
        return set()
    kept = set(recipe.data.classes) or set(dataset.class_ids)
    if len(kept) < 2:
        resolution.violate("data.classes", "names 1 class: keep 2 or more")
    del recipe.data.classes[:]
    if len(kept) < len(dataset.class_ids):
        recipe.data.classes.extend(class_id for class_id in dataset.class_ids if class_id in kept)
    return kept


def _check_counts(resolution: Resolution, dataset: DatasetFacts, kept: set[str]) -> None:
    for split in ("train", "val"):
        counts = _counts(dataset, split, kept)
        missing = [class_id for class_id, count in counts.items() if not count]
        if not any(counts.values()):
            resolution.violate("dataset", f"{dataset.name} has no {split} images: import some")
        elif split == "train" and missing:
            resolution.violate("data.classes", f"{', '.join(missing[:5])}: no training images: leave these classes out")


def _taken(dataset: DatasetFacts, spec: pb.DataSpec, kept: set[str]) -> int:
    """Return how many training images take part."""
    per_class = spec.max_train_images_per_class
    total = sum(min(count, per_class or count) for count in _counts(dataset, "train", kept).values())
    return min(total, spec.max_train_images or total)


def _warn(resolution: Resolution, dataset: DatasetFacts, kept: set[str]) -> None:
    counts = [count for count in _counts(dataset, "train", kept).values() if count]
    if not any(_counts(dataset, "test", kept).values()):
        resolution.warnings.append("There are no test images, so there will be no test metrics.")
    unvalidated = [class_id for class_id, count in _counts(dataset, "val", kept).items() if not count]
    if unvalidated and len(unvalidated) < len(kept):
        resolution.warnings.append(f"No validation images: {', '.join(unvalidated[:5])}.")
    if counts and max(counts) > 10 * min(counts):
        resolution.warnings.append(
            f"Classes are imbalanced: {min(counts)} to {max(counts)} training images; loss.balance_classes weighs them."
        )


def _counts(dataset: DatasetFacts, split: str, kept: set[str]) -> dict[str, int]:
    counts = dataset.counts.get(split) or (0,) * len(dataset.class_ids)
    return {one: count for one, count in zip(dataset.class_ids, counts, strict=True) if one in kept}

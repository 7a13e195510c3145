"""Prints what an import or a check found, as tables."""

from collections.abc import Iterable, Sequence

import typer

from cultivar.v1 import dataset_pb2
from cultivar_client.cli import figures
from cultivar_client.cli.output import print_table
from cultivar_client.enums import enum_label

SPLIT = dataset_pb2.DESCRIPTOR.enum_types_by_name["Split"]


def facts(report: dataset_pb2.DatasetReport) -> list[tuple[str, object]]:
    """Returns name and value of what a report says of all images together, for print_facts."""
    duplicates = report.duplicates
    return [
        ("protocol digest", report.protocol_digest),
        ("imbalance", f"{report.imbalance:.2f}"),
        ("exact copies", f"{duplicates.exact_within} within a split, {duplicates.exact_across} across splits"),
        ("near copies", f"{duplicates.near_within} within a split, {duplicates.near_across} across splits"),
        ("label conflicts", duplicates.label_conflicts or ""),
        ("left out", figures.count(report.dropped_count) if report.dropped_count else ""),
        *(("warning", text) for text in report.warnings),
    ]


def print_splits(report: dataset_pb2.DatasetReport) -> None:
    """Prints the figures of each split, and which images are copies."""
    print_table(
        ("split", "images>", "mean", "std", "width", "height", "shorter sides"),
        [
            (
                enum_label(SPLIT, one.split),
                figures.count(one.image_count),
                _channels(one.mean),
                _channels(one.std),
                _range(one.width),
                _range(one.height),
                "  ".join(f"{side}+: {one.short_sides[side]}" for side in sorted(one.short_sides)),
            )
            for one in report.splits
        ],
    )
    if report.duplicates.groups:
        typer.echo()
        kinds = [("exact" if one.exact else "near", "  ".join(one.images)) for one in report.duplicates.groups]
        print_table(("copies", "images"), kinds)


def print_classes(
    classes: Sequence[dataset_pb2.DatasetClass], splits: Sequence[dataset_pb2.DatasetSplit | dataset_pb2.SplitReport]
) -> None:
    """Prints how many images each split has of each class."""
    rows: list[tuple[object, ...]] = [
        (label.id, label.display_name, *(split.class_counts[index] for split in splits))
        for index, label in enumerate(classes)
        if all(index < len(split.class_counts) for split in splits)
    ]
    rows.append(("all", "", *(split.image_count for split in splits)))
    print_table(("class", "display name", *(f"{enum_label(SPLIT, split.split)}>" for split in splits)), rows)


def print_rejected(rejected: Sequence[dataset_pb2.RejectedFile]) -> None:
    """Prints the files that can't be used, if any, and why."""
    if rejected:
        typer.echo()
        print_table(("rejected file", "reason"), [(file.path, file.reason) for file in rejected])


def _channels(values: Iterable[float]) -> str:
    return " ".join(f"{one:.4f}" for one in values)


def _range(sizes: dataset_pb2.SizeRange) -> str:
    return f"{sizes.min} to {sizes.max}, median {sizes.median}"

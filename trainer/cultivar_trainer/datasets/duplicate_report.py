"""What a data set's report says of images that are there more than once."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from cultivar.v1 import dataset_pb2
from cultivar_trainer.datasets.duplicates import Copies
from cultivar_trainer.datasets.version import SPLITS, Sample

MAX_GROUPS = 100
MAX_IMAGES_OF_A_GROUP = 6
"""Listed, of each group; each of its splits shows one at least."""


def duplicate_report(
    samples: Sequence[Sample], copies: Copies, class_ids: Sequence[str]
) -> dataset_pb2.DuplicateReport:
    """Count and list copies; `samples` and `copies` are of the same images."""
    report = dataset_pb2.DuplicateReport()
    groups = [members for members in _grouped(copies.near.tolist()) if len(members) > 1]
    for members in groups:
        _count(report, [samples[position] for position in members])
    groups.sort(key=lambda members: _rank([samples[position] for position in members]))
    for members in groups[:MAX_GROUPS]:
        images = [samples[position] for position in members]
        report.groups.append(
            dataset_pb2.DuplicateGroup(
                exact=len({one.sha256 for one in images}) == 1,
                images=[_told(one, class_ids) for one in _listed(images)],
            )
        )
    return report


def _count(report: dataset_pb2.DuplicateReport, images: Sequence[Sample]) -> None:
    """Add a group's images; an image that is an exact copy is not counted as a near one as well."""
    splits = {one.split for one in images}
    files_of: dict[str, set[str]] = {split: {one.sha256 for one in images if one.split == split} for split in splits}
    for split, files in files_of.items():
        report.exact_within += sum(one.split == split for one in images) - len(files)
        report.near_within += len(files) - 1
    for number in _grouped([one.sha256 for one in images]):
        equal = [images[position] for position in number]
        if len({one.split for one in equal}) > 1:
            report.exact_across += len(equal)
        elif len(splits) > 1:
            report.near_across += len(equal)
        if len({one.label for one in equal}) > 1:
            report.label_conflicts += len(equal)


def _grouped(keys: Sequence[Hashable]) -> list[list[int]]:
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        groups[key].append(position)
    return list(groups.values())


def _rank(images: Sequence[Sample]) -> tuple[bool, bool, bool, str]:
    """Leaks come first, then wrong labels, then equal files."""
    one_split = len({one.split for one in images}) == 1
    one_label = len({one.label for one in images}) == 1
    return one_split, one_label, len({one.sha256 for one in images}) > 1, _listed(images)[0].path


def _listed(images: Sequence[Sample]) -> list[Sample]:
    ordered = sorted(images, key=lambda one: (SPLITS.index(one.split), one.path))
    first = {one.split: one for one in reversed(ordered)}.values()
    rest = [one for one in ordered if one not in first]
    return sorted([*first, *rest][:MAX_IMAGES_OF_A_GROUP], key=ordered.index)


def _told(sample: Sample, class_ids: Sequence[str]) -> str:
    """Name an image by split, class and path, of which a folder's path often tells the first two itself."""
    path = sample.path
    for folder in (sample.split, class_ids[sample.label]):
        if path.lower().startswith(f"{folder.lower()}/"):
            path = path[len(folder) + 1 :]
    return f"{sample.split}/{class_ids[sample.label]}/{path}"

"""The models that a request wants to combine: found by name, and checked against each other."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from google.protobuf import json_format

from cultivar.v1 import dataset_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import package
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.memory import parameter_count
from cultivar_contract.package import DamagedPackage
from cultivar_contract.preprocessing import Preprocessing
from cultivar_contract.violations import Violation
from cultivar_service.api.weights import WeightSources
from cultivar_service.catalog import datasets, jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import job_not_found, parse_dataset, parse_job, parse_version
from cultivar_service.errors import FailedPrecondition, InvalidRequest

_ENSEMBLE = training_pb2.COMBINATION_METHOD_ENSEMBLE
_IS_ENSEMBLE = "is an ensemble: name its members"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """What is known of one of them. A job under way has no digests yet: its recipe says what they will be of."""

    name: str
    """`models/flowers/versions/3`, or `trainingJobs/<id>` of a job that will make one."""
    recipe: pb.TrainingSpec
    class_ids: tuple[str, ...]
    dataset_digest: str
    val_digest: str = ""
    preprocessing: Preprocessing | None = None
    weights_sha256: str = ""
    """Of the file that training started from."""

    @property
    def parameters(self) -> int:
        """About how many it has."""
        return parameter_count(self.recipe, len(self.class_ids))


class Members:
    """Finds the models that a request names."""

    def __init__(self, models_folder: Path, catalog: Catalog, sources: WeightSources) -> None:
        self._models = models_folder
        self._catalog = catalog
        self._sources = sources

    async def find(self, text: str, field: str) -> Member:
        """Return the READY version, finished job or job under way that a text names.

        Raises:
            NotFound, FailedPrecondition, InvalidRequest: there is none that can be combined.
        """
        if not text.startswith(jobs.JOBS):
            return await self._of_version((await self._sources.ready(text, field)).name, field)
        job_id = parse_job(text, field)
        job, dataset = await self._catalog.read(lambda connection: _job(connection, job_id))
        if job is None:
            raise job_not_found(text, field)
        if job.reproduces:
            raise InvalidRequest.at(field, f"{job.name} repeats {job.reproduces} and makes no version: name that one")
        if job.state in jobs.FINAL:
            return await self._of_version((await self._sources.of_job(text, field)).name, field)
        if job.combination.method == _ENSEMBLE:
            raise InvalidRequest.at(field, f"{job.name} {_IS_ENSEMBLE}")
        known = dataset or dataset_pb2.Dataset()
        return Member(
            name=job.name,
            recipe=job.recipe,
            class_ids=tuple(job.recipe.data.classes) or tuple(one.id for one in known.classes),
            dataset_digest=known.digest,
        )

    async def _of_version(self, name: str, field: str) -> Member:
        return await asyncio.to_thread(self._read, name, field)

    def _read(self, name: str, field: str) -> Member:
        model, version = parse_version(name)
        try:
            opened = package.open_package(self._models / model / str(version))
            if opened.is_ensemble:
                raise InvalidRequest.at(field, f"{name} {_IS_ENSEMBLE}")
            manifest: dict[str, Any] = opened.manifest
            recipe = json_format.ParseDict(manifest["recipe"], pb.TrainingSpec(), ignore_unknown_fields=True)
            if recipe.architecture not in ARCHITECTURES or "weights.npz" not in manifest["files"]:
                raise DamagedPackage("it has no weights of a known architecture", reason="manifest")
            return Member(
                name=name,
                recipe=recipe,
                class_ids=opened.class_ids,
                dataset_digest=str(manifest["dataset"]["digest"]),
                val_digest=str(manifest["dataset"]["splits"]["val"]["digest"]),
                preprocessing=opened.preprocessing,
                weights_sha256=str((manifest.get("weights") or {}).get("sha256", "")),
            )
        except (DamagedPackage, KeyError, TypeError, ValueError, AttributeError, json_format.ParseError) as error:
            message = f"the package of {name} can't be combined ({error}): use another version"
            raise FailedPrecondition(
                message, reason="PACKAGE_DAMAGED", violations=[Violation(field=field, message=message)]
            ) from error


def differences(members: Sequence[Member], method: training_pb2.CombinationMethod) -> list[Violation]:
    """Return what keeps members from being combined, each with the field of the member that differs from the first."""
    found: list[Violation] = []
    names: dict[str, int] = {}
    for number, member in enumerate(members):
        field, first = f"members[{number}]", members[0]
        if member.name in names:
            message = f"{member.name} is members[{names[member.name]}] already: leave one out"
            found.append(Violation(field=field, message=message))
            continue
        names[member.name] = number
        differs = _difference(first, member) or ("" if method == _ENSEMBLE else _difference_of_weights(first, member))
        if differs:
            found.append(Violation(field=field, message=f"{member.name} {differs}"))
    return found


def _difference(first: Member, other: Member) -> str:
    if other.class_ids != first.class_ids:
        unlike = next((one for one in other.class_ids if one not in first.class_ids), "the order")
        return (
            f"has other classes than {first.name} ({len(other.class_ids)}, not {len(first.class_ids)}; such as "
            f"{unlike}): combine models of the same classes"
        )
    if (theirs := _input(other)) != (ours := _input(first)):
        return f"takes images of {theirs}, {first.name} of {ours}: combine models of one input"
    if first.preprocessing and other.preprocessing:
        ways = [
            (one.preprocessing.resize, one.preprocessing.interpolation) for one in (first, other) if one.preprocessing
        ]
        if ways[0] != ways[1]:
            return f"has images resized to {ways[1][0]} px, {ways[1][1]}; {first.name} to {ways[0][0]} px, {ways[0][1]}"
    if other.dataset_digest != first.dataset_digest:
        return f"is of another data set ({other.recipe.dataset}) than {first.name}: validation can't compare them"
    known = first.val_digest and other.val_digest
    ours_val, theirs_val = (
        (first.val_digest, other.val_digest) if known else (_validation(first.recipe), _validation(other.recipe))
    )
    return "" if ours_val == theirs_val else f"was selected on other validation images than {first.name}"


def _difference_of_weights(first: Member, other: Member) -> str:
    if other.recipe.architecture != first.recipe.architecture:
        return f"is a {other.recipe.architecture}, {first.name} a {first.recipe.architecture}: make an ensemble"
    if (other.recipe.network, other.recipe.retain_blocks) != (first.recipe.network, first.recipe.retain_blocks):
        return f"has layers of other shapes or kinds than {first.name}: make an ensemble"
    if first.preprocessing and other.preprocessing:
        ours, theirs = ((one.mean, one.std) for one in (first.preprocessing, other.preprocessing))
        if ours != theirs:
            return f"normalises its images otherwise than {first.name}: make an ensemble"
    if _start(other, first) != _start(first, other):
        return f"did not start from the weights of {first.name}, so that their average means nothing: make an ensemble"
    return ""


def _start(member: Member, beside: Member) -> object:
    """Return what tells a member's initial weights from another's, as far as both are known."""
    if not member.recipe.weights:
        return member.recipe.seed, member.recipe.initialisation.SerializeToString(deterministic=True)
    return member.weights_sha256 if member.weights_sha256 and beside.weights_sha256 else member.recipe.weights


def _input(member: Member) -> str:
    spec = member.recipe.input
    return f"{spec.size} px {'grey' if spec.channels == 1 else 'RGB'}"


def _validation(recipe: pb.TrainingSpec) -> tuple[object, ...]:
    limits = recipe.data.max_val_images, recipe.data.max_val_images_per_class
    return *limits, recipe.data.seed if any(limits) else 0


def _job(connection: sa.Connection, job_id: str) -> tuple[training_pb2.TrainingJob | None, dataset_pb2.Dataset | None]:
    job = jobs.get(connection, job_id)
    return job, None if job is None else datasets.find(connection, parse_dataset(job.recipe.dataset))

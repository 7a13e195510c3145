"""From several packages to one: combined, proved, compared with its members."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from google.protobuf import json_format
from numpy.typing import NDArray

from cultivar.v1 import event_pb2, state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.package import ENSEMBLE, SOUP
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import evaluation, execution, export, packaging
from cultivar_trainer.datasets.stores import Caches, PixelStore, pixel_store
from cultivar_trainer.ensembles import graph, soup
from cultivar_trainer.ensembles.members import FIGURES, Member, value
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.evaluation import Metrics
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.history import is_better
from cultivar_trainer.packaging import Exported, PackageSubject


@dataclass(frozen=True, kw_only=True, slots=True)
class _Combined:
    """What the members became."""

    exported: Exported
    tensors: dict[str, torch.Tensor]
    """Its weights by name, on the CPU."""
    kept: frozenset[int]
    """Positions of the members that are part of it."""


def combine(
    run: RunDirectory, method: str, members: Sequence[Member], subject: PackageSubject, caches: Caches, journal: Journal
) -> dict[str, Any]:
    """Leave the package of an ensemble or a soup in the run directory; return a summary.

    Args:
        run: of the job.
        method: `ENSEMBLE` or `SOUP`.
        members: checked against each other.
        subject: what they have in common.
        caches: keep pixels.
        journal: gets events.

    Raises:
        TaskFailed: EXPORT_DIFFERS, or SOUP_NOT_BETTER.
    """
    folder = packaging.empty_folder(run)
    journal.phase(state_pb2.TRAINING_PHASE_EXPORTING)
    answers = [_answers(member, number, len(members), subject, journal) for number, member in enumerate(members, 1)]
    make = _ensemble if method == ENSEMBLE else _soup
    combined = make(members, answers, subject, caches, journal)
    metrics = evaluation.measure_probabilities(combined.exported.validation, _labels(subject))
    compared = _compare(members, answers, combined.kept, metrics)
    journal.members_compared(compared)
    if method == SOUP:
        _check_better(members, combined.kept, metrics, subject.recipe.selection_metric)
    names = " ".join(member.name for member in members)
    commands = (f"cultivar combine --model {subject.recipe.model} --method {method.lower()} {names}",)
    manifest = packaging.write_answers(folder, subject, combined.exported, journal, commands)
    packaging.write_weights(folder / "weights.npz", combined.tensors)
    return packaging.finish(folder, {**manifest, **_of_combination(method, members, combined.kept, compared)})


def _ensemble(
    members: Sequence[Member],
    answers: Sequence[NDArray[np.float32]],
    subject: PackageSubject,
    _: Caches,
    journal: Journal,
) -> _Combined:
    model = graph.average([member.package.onnx.read_bytes() for member in members])
    reference = np.stack(answers).astype(np.float64).mean(axis=0).astype(np.float32)
    return _Combined(
        exported=packaging.prove(subject, model, reference, journal),
        tensors={
            f"members/{number}/{name}": tensor
            for number, member in enumerate(members)
            for name, tensor in member.tensors().items()
        },
        kept=frozenset(range(len(members))),
    )


def _soup(
    members: Sequence[Member],
    _: Sequence[NDArray[np.float32]],
    subject: PackageSubject,
    caches: Caches,
    journal: Journal,
) -> _Combined:
    device = torch.device(subject.plan.device)

    def training() -> PixelStore:
        samples = subject.selection.splits["train"]
        return pixel_store(subject.dataset, samples, subject.preprocessing, caches, journal)

    made = soup.greedy_soup(
        members, subject.recipe.selection_metric, subject.stores["val"], _labels(subject), training, device, journal
    )
    reference = export.torch_probabilities(made.network, subject.stores["val"].images, device)
    exported = packaging.prove(subject, export.export_onnx(made.network), reference, journal)
    return _Combined(exported=exported, tensors=dict(made.network.named_tensors()), kept=frozenset(made.kept))


def _answers(member: Member, number: int, count: int, subject: PackageSubject, journal: Journal) -> NDArray[np.float32]:
    """Return a member's probabilities of the validation images by PyTorch in fp32, (N, K)."""
    device = torch.device(subject.plan.device)
    answers = export.torch_probabilities(member.network(), subject.stores["val"].images, device)
    execution.free_memory()
    journal.progress("classifying with each member", number, count, "members")
    return answers


def _labels(subject: PackageSubject) -> NDArray[np.int64]:
    return np.array([one.label for one in subject.selection.splits["val"]], np.int64)


def _compare(
    members: Sequence[Member], answers: Sequence[NDArray[np.float32]], kept: frozenset[int], combined: Metrics
) -> event_pb2.MembersCompared:
    classes = [one.argmax(axis=1) for one in answers]
    pairs = [float((one != other).mean()) for one, other in itertools.combinations(classes, 2)]
    return event_pb2.MembersCompared(
        members=[
            event_pb2.MembersCompared.Member(
                model_version=member.name, validation=member.validation, kept=position in kept
            )
            for position, member in enumerate(members)
        ],
        mean_accuracy=float(np.mean([member.validation.accuracy for member in members])),
        combined_accuracy=combined.accuracy,
        disagreement=float(np.mean(pairs)),
    )


def _check_better(
    members: Sequence[Member], kept: frozenset[int], combined: Metrics, metric: pb.SelectionMetric
) -> None:
    best = members[0]
    for member in members[1:]:
        if is_better(value(member.validation, metric), value(best.validation, metric), metric):
            best = member
    found, alone = float(getattr(combined, FIGURES[metric])), value(best.validation, metric)
    if is_better(found, alone, metric):
        return
    what, remedy = FIGURES[metric], "use that, or make an ensemble"
    if len(kept) == 1:
        fact = f"no average of weights is as good on validation images as {best.name} alone, {what} {alone:.4f}"
    else:
        fact = f"the best average of weights has validation {what} {found:.4f}, {best.name} alone {alone:.4f}"
    raise TaskFailed("SOUP_NOT_BETTER", f"{fact}: {remedy}")


def _of_combination(
    method: str, members: Sequence[Member], kept: frozenset[int], compared: event_pb2.MembersCompared
) -> dict[str, Any]:
    """Return what the manifest says of where the model comes from."""
    found: dict[str, Any] = {
        "combination": {
            "method": method,
            "members": [
                {
                    "model_version": member.name,
                    "training_job": str(member.package.manifest.get("training_job", "")),
                    "architecture": member.recipe.architecture,
                    "onnx_sha256": member.onnx_sha256,
                    "kept": position in kept,
                }
                for position, member in enumerate(members)
            ],
            "compared": json_format.MessageToDict(compared, preserving_proto_field_name=True),
        },
    }
    if method == ENSEMBLE:
        return {**found, "architecture": "ensemble"}
    # A soup is one network: it can be fine-tuned, and averaged again with others of its start.
    start = members[0].package.manifest
    return {**found, "weights": start.get("weights"), "lineage": start.get("lineage", [])}

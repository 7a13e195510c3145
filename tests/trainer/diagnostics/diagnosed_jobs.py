"""Small jobs with diagnostics, in this process: networks of 32 px on pictures of five colours with noise."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.run_directory import read_events
from cultivar_trainer import execution, finetuning
from cultivar_trainer.batches import CachedFeatures, PlainPixels
from cultivar_trainer.checkpoint import Checkpoints, Weights, digest, movable_names, tensors_of
from cultivar_trainer.diagnostics.job_diagnostics import Diagnostics
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.candidates import search
from cultivar_trainer.loop.head_search import search_heads
from cultivar_trainer.loop.history import candidates
from cultivar_trainer.loop.job import TRAINING, Job, Phase, Progress
from cultivar_trainer.loop.saving import resume
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

HALF = (0.5, 0.5, 0.5)


def pixels(count: int, seed: int, size: int = 32) -> PlainPixels:
    """Images of five classes, each a colour with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 5
    colours = torch.tensor([[200, 40, 40], [40, 200, 40], [40, 40, 200], [180, 180, 40], [180, 40, 180]])
    noise = torch.randint(-40, 41, (count, size, size, 3), generator=generator)
    images = (colours[labels][:, None, None] + noise).clamp(0, 255).to(torch.uint8)
    return PlainPixels(images=images, labels=labels, device=torch.device("cpu"), memory_format=torch.contiguous_format)


def network_of(recipe: pb.TrainingSpec) -> Network:
    """Build a recipe's network for five classes."""
    network = build(recipe, 5, mean=HALF, std=HALF, weights=None).network
    finetuning.freeze(network, recipe)
    return network


@torch.no_grad()
def _features(network: Network, images: PlainPixels) -> CachedFeatures:
    network.eval()
    features = network.features(images.inputs(torch.arange(len(images.labels))))
    return CachedFeatures(features=features, labels=images.labels, device=images.device)


class _WatchedCheckpoints(Checkpoints):
    """Checkpoints that keep a copy of what was written."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.states: list[dict[str, Any]] = []

    def save(self, state: Mapping[str, Any], weights: Mapping[str, Weights]) -> int:
        names = (
            "histories",
            "learner",
            "learners",
            "stacked",
            "tensors",
            "under_way",
            "epoch",
            "step",
            "bests",
            "selected",
        )
        kept = {name: state[name] for name in names if name in state}
        self.states.append(copy.deepcopy({**kept, "best": {role: one.tensors for role, one in weights.items()}}))
        return super().save(state, weights)


@dataclass(kw_only=True)
class Ended:
    """What a job came to."""

    job: Job
    failure: TaskFailed | None
    symptoms: list[event_pb2.SymptomFound]
    warnings: list[str]
    learned: list[dict[str, Any]]
    """What each checkpoint of a whole epoch held of optimiser, average and history."""


def train(
    recipe: pb.TrainingSpec,
    folder: Path,
    *,
    network: Network | None = None,
    diagnosed: bool = True,
    saves_each_update: bool = False,
    at_once: bool = False,
) -> Ended:
    """Train a recipe's network, or go on where a checkpoint in `folder` lets it; `at_once`: all heads alone."""
    folder.mkdir(exist_ok=True, parents=True)
    network = network or network_of(recipe)
    train, validation = pixels(60, 0, recipe.input.size), pixels(40, 1, recipe.input.size)
    forward: Callable[[Tensor], Tensor] = network.__call__
    learns_from: tuple[Any, Any] = (train, validation)
    if at_once:
        finetuning.freeze(network, recipe, head_only=True)
        forward, learns_from = network.classify, (_features(network, train), _features(network, validation))
    events = folder / "events.jsonl"
    told, _ = read_events(events, 0)
    often = {"interval_s": 0.0, "largest_share": float("inf")} if saves_each_update else {}
    checkpoints = _WatchedCheckpoints(folder / "checkpoint", **often)
    failure = None
    with Journal(events, told) as journal:
        saved = checkpoints.load(journal)
        movable = movable_names(network)
        job = Job(
            recipe=recipe,
            network=network,
            num_classes=5,
            class_weights=None,
            checkpoints=checkpoints,
            journal=journal,
            movable=movable,
            origin=digest(tensors_of(network, movable)),
            plan=execution.plan(recipe),
            plan_file=folder / "plan.json",
            progress=Progress(histories=candidates(recipe)),
            diagnostics=Diagnostics(
                recipe,
                folder / "tensorboard",
                journal,
                candidates=len(candidates(recipe)),
                train=train,
                validation=validation,
                num_classes=5,
            )
            if diagnosed
            else None,
        )
        if saved is not None:
            resume(job, saved)

        def phase() -> Phase:
            return Phase(
                kind=TRAINING,
                first_epoch=0,
                epochs=recipe.epochs,
                learning_rate=job.progress.history.learning_rate,
                weight_decay=job.progress.history.weight_decay,
                schedule=recipe.schedule,
                candidate=job.progress.number,
                forward=forward,
                train=learns_from[0],
                validation=learns_from[1],
            )

        try:
            if at_once:
                search_heads(job, replace(phase(), candidate=0), saved)
            else:
                search(job, lambda _: iter([phase()]), saved)
        except TaskFailed as error:
            failure = error
    happened, _ = read_events(events, 0)
    return Ended(
        job=job,
        failure=failure,
        symptoms=[one.symptom_found for one in happened if one.HasField("symptom_found")],
        warnings=[one.warning for one in happened if one.HasField("warning")],
        learned=checkpoints.states,
    )

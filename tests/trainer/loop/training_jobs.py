"""Small jobs for tests of the loop: LeNet-5's head on features of five classes around five centres."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.run_directory import read_events
from cultivar_trainer import execution, finetuning, losses
from cultivar_trainer.batches import CachedFeatures
from cultivar_trainer.checkpoint import Checkpoints, digest, movable_names, tensors_of
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.candidates import search
from cultivar_trainer.loop.head_search import search_heads
from cultivar_trainer.loop.history import Histories, candidates
from cultivar_trainer.loop.job import TRAINING, Job, Phase, PlanRecord, Progress
from cultivar_trainer.loop.saving import closed, resume
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

CPU = torch.device("cpu")
HALF = (0.5, 0.5, 0.5)


@dataclass(kw_only=True)
class WatchedFeatures(CachedFeatures):
    """Features that call somebody before they are handed out: once before each update and each validation."""

    before: Callable[[], None]

    def inputs(self, indices: Tensor, epoch: int = 0) -> Tensor:
        self.before()
        return super().inputs(indices, epoch)

    def in_order(self, batch_size: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        self.before()
        return super().in_order(batch_size)


def blobs(count: int, seed: int, spread: float = 1.0, before: Callable[[], None] = lambda: None) -> WatchedFeatures:
    """Features of five classes around five centres."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 5
    centres = torch.eye(5, 84) * 8
    features = centres[labels] + spread * torch.randn(count, 84, generator=generator)
    return WatchedFeatures(features=features, labels=labels, device=CPU, before=before)


def network_for(recipe: pb.TrainingSpec) -> Network:
    """A network whose head alone learns."""
    network = build(recipe, 5, mean=HALF, std=HALF, weights=None).network
    finetuning.freeze(network, recipe, head_only=True)
    return network


def train(
    recipe: pb.TrainingSpec,
    folder: Path,
    *,
    network: Network | None = None,
    forward: Callable[[Tensor], Tensor] | None = None,
    at_once: bool = False,
    spread: float = 1.0,
    before: Callable[[], None] = lambda: None,
    repeated: Sequence[PlanRecord] = (),
    saves_each_update: bool = False,
) -> tuple[Job, Histories]:
    """Train on blobs, candidates one after the other or all at once; go on where a checkpoint in `folder` lets it."""
    folder.mkdir(exist_ok=True, parents=True)
    network = network or network_for(recipe)
    train, validation = blobs(101, 0, spread, before), blobs(50, 1, spread, before)
    told, _ = read_events(folder / "events.jsonl", 0)
    often = {"interval_s": 0.0, "largest_share": math.inf} if saves_each_update else {}
    checkpoints = Checkpoints(folder / "checkpoint", **often)
    with Journal(folder / "events.jsonl", told) as journal:
        saved = checkpoints.load(journal)
        movable = movable_names(network)
        job = Job(
            recipe=recipe,
            network=network,
            num_classes=5,
            class_weights=losses.class_weights(recipe.loss, "abcde", [21, 20, 20, 20, 20]),
            checkpoints=checkpoints,
            journal=journal,
            movable=movable,
            origin=digest(tensors_of(network, movable)),
            plan=execution.plan(recipe),
            plan_file=folder / "plan.json",
            progress=Progress(histories=candidates(recipe)),
            repeated=repeated,
        )
        if saved is not None:
            resume(job, saved)
            if (histories := closed(job, saved.state)) is not None:
                return job, histories

        def phase(number: int) -> Phase:
            return Phase(
                kind=TRAINING,
                first_epoch=0,
                epochs=recipe.epochs,
                learning_rate=job.progress.history.learning_rate,
                weight_decay=job.progress.history.weight_decay,
                schedule=recipe.schedule,
                candidate=number,
                forward=forward or network.classify,
                train=train,
                validation=validation,
            )

        if at_once:
            return job, search_heads(job, phase(0), saved)
        return job, search(job, lambda _: iter([phase(job.progress.number)]), saved)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind that a job told."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event[kind] for event in map(json.loads, lines) if kind in event]

"""Small jobs for tests of the loop: LeNet-5's head on features of five classes around five centres."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import execution, finetuning, losses
from cultivar_trainer.batches import CachedFeatures
from cultivar_trainer.checkpoint import Checkpoints, movable_names
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.candidates import candidates, search
from cultivar_trainer.loop.head_search import search_heads
from cultivar_trainer.loop.history import Histories, History
from cultivar_trainer.loop.job import TRAINING, Job, Phase
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

CPU = torch.device("cpu")
HALF = (0.5, 0.5, 0.5)


def blobs(count: int, seed: int, spread: float = 1.0) -> CachedFeatures:
    """Features of five classes around five centres."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 5
    centres = torch.eye(5, 84) * 8
    features = centres[labels] + spread * torch.randn(count, 84, generator=generator)
    return CachedFeatures(features=features, labels=labels, device=CPU)


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
) -> tuple[Job, Histories]:
    """Train on blobs, candidates one after the other or all at once."""
    folder.mkdir(exist_ok=True, parents=True)
    network = network or network_for(recipe)
    train, validation = blobs(101, 0, spread), blobs(50, 1, spread)
    with Journal(folder / "events.jsonl") as journal:
        job = Job(
            recipe=recipe,
            network=network,
            num_classes=5,
            class_weights=losses.class_weights(recipe.loss, "abcde", [21, 20, 20, 20, 20]),
            checkpoints=Checkpoints(folder / "checkpoint"),
            journal=journal,
            movable=movable_names(network),
            plan=execution.plan(recipe),
        )

        def phase(history: History, number: int) -> Phase:
            return Phase(
                kind=TRAINING,
                first_epoch=0,
                epochs=recipe.epochs,
                learning_rate=history.learning_rate,
                weight_decay=history.weight_decay,
                schedule=recipe.schedule,
                candidate=number,
                forward=forward or network.classify,
                train=train,
                validation=validation,
            )

        if at_once:
            return job, search_heads(job, phase(candidates(recipe)[0], 0))
        return job, search(job, lambda history, number: iter([phase(history, number)]))


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind that a job told."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event[kind] for event in map(json.loads, lines) if kind in event]

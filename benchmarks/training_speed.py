"""Training speed side by side in one run: Cultivar's loop, a bare loop on preloaded tensors, a loop over JPEG files.

    python benchmarks/training_speed.py loops --sources DIR
    python benchmarks/training_speed.py head --sources DIR --weights DIR

`loops`: images per second of one training epoch, with the same network, dtype, memory format, threads, update rule and
augmentation on all sides. `head`: the seconds of a whole HEAD job of 20 epochs, from spec to package, against the same
number of epochs of a DataLoader loop over the JPEG files with a frozen backbone (2 epochs are measured).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the trainer sets it

import torch
import torch.nn.functional as F
import torchvision
from google.protobuf import json_format
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe import DatasetFacts, Facts, resolve
from cultivar_trainer import execution, finetuning
from cultivar_trainer.augmentation import pipeline
from cultivar_trainer.batches import AugmentedPixels, PlainPixels
from cultivar_trainer.checkpoint import Checkpoints, movable_names
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop.history import History
from cultivar_trainer.loop.job import TRAINING, Job, Phase, Progress
from cultivar_trainer.loop.learner import Learner
from cultivar_trainer.loop.updates import EpochUnderWay, epoch_batches, one_epoch
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network
from cultivar_trainer.randomness import Draw

CLASSES = 89
ROUNDS = 3
HALF = (0.5, 0.5, 0.5)
WEIGHTS = "mobilenet_v2-tf2ptq-5e11b11e.pth"
CROP = {"paddedCrop": 4, "horizontalFlip": 0.5}
CONFIGS: dict[str, dict[str, Any]] = {
    "resnet18, CIFAR stem, 32 px, batch 128": {
        "architecture": "resnet18",
        "network": {"stem": "STEM_CIFAR"},
        "batchSize": 128,
    },
    "mobilenet_v2, 128 px, batch 64": {"architecture": "mobilenet_v2", "input": {"size": 128}, "batchSize": 64},
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("loops", "head"))
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=int, default=1024)
    options = parser.parse_args()
    if options.what == "head":
        compare_head_jobs(options)
        return
    for title, spec in CONFIGS.items():
        for augmentation in ({}, CROP):
            print(f"\n== {title}, augmentation {'on' if augmentation else 'off'}", flush=True)
            compare_loops({**spec, "augmentation": augmentation}, options)


def compare_loops(fields: dict[str, Any], options: argparse.Namespace) -> None:
    """Print images per second of the three sides, measured in turns."""
    recipe = resolved(fields, options.images)
    plan = execution.plan(recipe)
    execution.apply(plan)
    size, layout = recipe.input.size, execution.layout_of(plan)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (options.images, size, size, 3), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (options.images,), generator=generator)
    plain = PlainPixels(images=pixels, labels=labels, device=torch.device("cpu"), memory_format=layout)
    sides: dict[str, Callable[[], float]] = {
        "Cultivar": lambda: cultivar_epoch(recipe, plan, plain),
        "bare loop, preloaded": lambda: bare_epoch(recipe, plan, plain.inputs(torch.arange(len(labels))), labels),
        "DataLoader over JPEGs": lambda: loader_epoch(recipe, plan, options),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            speeds[name].append(side())
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"plan: {plan.autocast}, {plan.memory_format}, {plan.threads} threads")
    for name, speed in medians.items():
        rounds = " ".join(f"{one:.1f}" for one in speeds[name])
        ratio = statistics.median(a / b for a, b in zip(speeds["Cultivar"], speeds[name], strict=True))
        print(f"{name}: {speed:.1f} images/s ({rounds}); Cultivar is {ratio:.2f} times that", flush=True)


def resolved(fields: dict[str, Any], images: int) -> pb.TrainingSpec:
    """Return the recipe of a SCRATCH job on as many images."""
    spec = {"dataset": "x", "mode": "FINE_TUNING_MODE_SCRATCH", "epochs": 20, **fields}
    counts = {"train": (images // CLASSES + 1,) * CLASSES, "val": (1,) * CLASSES}
    facts = DatasetFacts(
        name="datasets/x/versions/1", class_ids=tuple(f"{one:03d}" for one in range(CLASSES)), counts=counts
    )
    resolution = resolve(json_format.ParseDict(spec, pb.TrainingSpec()), Facts(dataset=facts))
    assert not resolution.violations, resolution.violations
    return resolution.recipe


def new_network(recipe: pb.TrainingSpec, plan: execution.Plan) -> Network:
    """Return the recipe's network with random weights."""
    network = build(recipe, CLASSES, mean=HALF, std=HALF, weights=None).network
    finetuning.freeze(network, recipe)
    network.to(memory_format=execution.layout_of(plan))  # type: ignore[call-overload]
    return network


def cultivar_epoch(recipe: pb.TrainingSpec, plan: execution.Plan, plain: PlainPixels) -> float:
    """Run one epoch of Cultivar's loop."""
    network = new_network(recipe, plan)
    train = plain
    if recipe.augmentation.padded_crop:
        train = AugmentedPixels(  # type: ignore[assignment]
            plain=plain, aspect=None, labels=plain.labels, spec=recipe.augmentation, seed=0, size=recipe.input.size
        )
    history = History(learning_rate=recipe.optimizer.learning_rate, weight_decay=recipe.optimizer.weight_decay)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "events.jsonl") as journal:
        job = Job(
            recipe=recipe,
            network=network,
            num_classes=CLASSES,
            class_weights=None,
            checkpoints=Checkpoints(Path(folder)),
            journal=journal,
            movable=movable_names(network),
            origin="",
            plan=plan,
            plan_file=Path(folder) / "plan.json",
            progress=Progress(histories=[history]),
        )
        phase = Phase(
            kind=TRAINING,
            first_epoch=0,
            epochs=recipe.epochs,
            learning_rate=history.learning_rate,
            weight_decay=history.weight_decay,
            schedule=recipe.schedule,
            candidate=0,
            forward=network.__call__,
            train=train,
            validation=plain,
        )
        learner = Learner(
            network,
            dict(network.named_parameters()),
            depths={},
            recipe=recipe,
            phase=phase,
            plan=plan,
            steps_per_epoch=len(epoch_batches(len(plain.labels), recipe, epoch=0)),
            history=history,
        )
        started = time.perf_counter()
        under_way = EpochUnderWay.begun(torch.device(plan.device))

        def between_updates() -> None:
            journal.progress("epoch", under_way.images, len(plain.labels), "images")

        one_epoch(job, phase, learner, under_way, between_updates)
        return len(plain.labels) / (time.perf_counter() - started)


def bare_epoch(recipe: pb.TrainingSpec, plan: execution.Plan, images: Tensor, labels: Tensor) -> float:
    """Run one epoch of the shortest loop that trains: everything is a tensor already."""
    network = new_network(recipe, plan)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    started = time.perf_counter()
    for indices in torch.randperm(len(labels)).split(recipe.batch_size):
        inputs = images[indices]
        if recipe.augmentation.padded_crop:
            inputs = pipeline.augment(inputs, recipe.augmentation, Draw(0, 0, indices))
        step(network, optimizer, inputs.contiguous(memory_format=execution.layout_of(plan)), labels[indices], plan)
    return len(labels) / (time.perf_counter() - started)


def loader_epoch(recipe: pb.TrainingSpec, plan: execution.Plan, options: argparse.Namespace) -> float:
    """Run part of an epoch of a loop as torchvision's reference script has it: a DataLoader over JPEG files."""
    network = new_network(recipe, plan)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    seen, started = 0, time.perf_counter()
    for inputs, labels in loader(options.sources, recipe.input.size, recipe.batch_size, augmented=True):
        step(network, optimizer, inputs.contiguous(memory_format=execution.layout_of(plan)), labels, plan)
        seen += len(labels)
        if seen >= options.images:
            break
    return seen / (time.perf_counter() - started)


def step(
    network: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor, plan: execution.Plan
) -> None:
    """Make one update."""
    with torch.autocast("cpu", torch.bfloat16, enabled=plan.autocast == "bfloat16"):
        logits = network(inputs).float()
    F.cross_entropy(logits, labels).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def loader(sources: Path, size: int, batch_size: int, *, augmented: bool) -> DataLoader[Any]:
    """Return torchvision's reference input pipeline for the flowers' JPEG files; normalisation is in the network."""
    crop = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
    plain = [v2.Resize(round(size * 256 / 224), antialias=True), v2.CenterCrop(size)]
    transforms = v2.Compose([*(crop if augmented else plain), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    folder = torchvision.datasets.ImageFolder(str(sources / "flowers" / "train"), transforms)
    return DataLoader(folder, batch_size=batch_size, shuffle=True, num_workers=2)


def compare_head_jobs(options: argparse.Namespace) -> None:
    """Print the seconds of a whole HEAD job and of the same epochs of a DataLoader loop."""
    from real_data import cultivar, service

    with tempfile.TemporaryDirectory() as folder, service(Path(folder), options) as address:
        cultivar("datasets create flowers --folder flowers", address)
        started = time.monotonic()
        command = f"train --dataset flowers --architecture mobilenet_v2 --mode head --weights {WEIGHTS} --epochs 20"
        job = cultivar(command, address)
        ours = time.monotonic() - started
    accuracy = next(one["accuracy"] for one in job["metrics"] if one["split"] == "val")
    print(f"Cultivar: {ours:.0f} s from spec to package, validation {accuracy:.4f}", flush=True)
    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(torch.load(options.weights / WEIGHTS, weights_only=True))
    model.classifier[1] = nn.Linear(model.last_channel, CLASSES)
    model.features.requires_grad_(False)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.classifier.parameters(), lr=1e-3)
    plan = execution.plan(resolved(CONFIGS["mobilenet_v2, 128 px, batch 64"], 1024))
    execution.apply(plan)
    started = time.monotonic()
    for _ in range(2):
        model.train()
        model.features.eval()
        for inputs, labels in loader(options.sources, 224, 64, augmented=False):
            step(model, optimizer, inputs.contiguous(memory_format=torch.channels_last), labels, plan)
    theirs = (time.monotonic() - started) * 10
    print(f"DataLoader loop, frozen backbone: {theirs:.0f} s for 20 epochs (2 measured), without validation or export")
    print(f"ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    main()

"""Combines packages of the real trainer, in this process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import package, tasks
from cultivar_contract.run_directory import RunDirectory, read_events
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks import combine

NAMES = tuple(f"models/flowers/versions/{number}" for number in range(1, 10))


def combined(
    folder: Path, dataset: Path, packages: Sequence[Path], method: str = "ENSEMBLE", **fields: Any
) -> tuple[RunDirectory, list[event_pb2.JobEvent]]:
    """Run task `combine`; return its run directory and what it told."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDirectory(folder)
    recipe = json_format.ParseDict(package.open_package(packages[0]).manifest["recipe"], pb.TrainingSpec())
    recipe.MergeFrom(json_format.ParseDict(fields, pb.TrainingSpec()))
    request = tasks.CombineRequest(
        job="trainingJobs/combined",
        recipe=json_format.MessageToDict(recipe),
        method=method,
        members=list(NAMES[: len(packages)]),
        packages=[str(one) for one in packages],
        dataset=str(dataset),
        caches=str(folder / "caches"),
        cache_budget_bytes=1 << 30,
    )
    events = folder / "events.jsonl"
    with Journal(events) as journal:
        combine.run(run, tasks.to_json(request), journal)
    return run, read_events(events, 0)[0]

"""Task combine: from several model packages to one."""

from pathlib import Path
from typing import Any

import torch

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, tasks
from cultivar_contract.package import SOUP
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import execution
from cultivar_trainer.datasets.selection import select
from cultivar_trainer.datasets.stores import Caches, pixel_store
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.ensembles import members as members_module
from cultivar_trainer.ensembles.combining import combine
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.packaging import PackageSubject


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Leave a model package in RUN_DIR/package; the answer summarises it."""
    asked = tasks.from_json(tasks.CombineRequest, request)
    try:
        return _run(run_directory, asked, journal)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise TaskFailed(
            "OUT_OF_MEMORY", f"memory does not suffice for {len(asked.members)} members: combine fewer or smaller ones"
        ) from error


def _run(run_directory: RunDirectory, asked: tasks.CombineRequest, journal: Journal) -> dict[str, Any]:
    recipe = asked.spec()
    journal.phase(state_pb2.TRAINING_PHASE_PREPARING)
    plan = execution.plan(recipe)
    execution.apply(plan, recipe.execution.memory_limit_bytes)
    files.write_json(run_directory.plan, plan.to_json())
    members = members_module.open_members(asked.members, asked.packages)
    caches = Caches(Path(asked.caches), asked.cache_budget_bytes)
    with DatasetVersion(Path(asked.dataset)) as dataset:
        selection = select(dataset, recipe.data, with_test=recipe.test_evaluation == pb.TEST_EVALUATION_AT_END)
        members_module.check(members, dataset, selection)
        if asked.method == SOUP:
            members_module.check_soup(members)
        preprocessing = members[0].preprocessing
        subject = PackageSubject(
            job=asked.job,
            recipe=recipe,
            plan=plan,
            dataset=dataset,
            selection=selection,
            preprocessing=preprocessing,
            stores={"val": pixel_store(dataset, selection.splits["val"], preprocessing, caches, journal)},
        )
        return combine(run_directory, asked.method, members, subject, caches, journal)

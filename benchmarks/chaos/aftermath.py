"""What must hold when all is over: nothing lost, nothing doubled, nobody at work, nothing left on the disk."""

import asyncio
import os
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from benchmarks.chaos import trainers
from benchmarks.chaos.customer import Customer
from benchmarks.chaos.inspector import READY, Inspector
from benchmarks.chaos.service import ServiceProcess
from benchmarks.chaos.violations import Violations
from cultivar.v1 import dataset_pb2

_TRAINERS_END_S = 20.0
"""Seconds that trainers get whose caller is gone, such as those that describe a network."""
_COLLECTED_S = 20.0
"""Seconds after a start in which orphans are collected."""
_OLD_S = 2 * 86_400.0
"""Age at which nobody can be working on a file any more."""
_TEMPORARY = re.compile(r"\..*[0-9a-f]{32}")


async def check_records(customer: Customer, inspector: Inspector, violations: Violations) -> set[str]:
    """Compare the records with what was asked for; return the names of all that there is.

    Raises:
        CultivarError: the service refused something.
    """
    client = customer.client
    jobs = {job.name async for job in client.list_training_jobs()}
    asked = [order.name for order in customer.jobs if order.name]
    if missing := set(asked) - jobs:
        violations.add("no lost job", f"acknowledged and gone: {', '.join(sorted(missing))}")
    if surplus := jobs - set(asked):
        violations.add("one job per request", f"asked for by nobody: {', '.join(sorted(surplus))}")
    if len(asked) != len(set(asked)):
        violations.add("one job per request", "two requests were answered with one job")
    versions = await inspector.look_at_models(client)
    for version in versions:
        if version.state != READY:
            violations.add("whole versions", f"{version.name} ended as {version.state}: {version.error}")
    makers = sorted(version.training_job for version in versions)
    if makers != sorted(order.name for order in customer.jobs if order.result):
        violations.add("one version per job", f"{len(makers)} versions of {len(set(makers))} jobs")
    datasets = [dataset async for dataset in client.list_datasets()]
    for dataset in datasets:
        if dataset.state == dataset_pb2.DATASET_STATE_IMPORTING:
            violations.add("no stuck state", f"{dataset.name} is still IMPORTING")
    return jobs | {version.name for version in versions} | {dataset.name for dataset in datasets}


async def check_processes(service: ServiceProcess, violations: Violations) -> None:
    """Stop the service in order, and look for trainers that nobody follows."""
    deadline = time.monotonic() + _TRAINERS_END_S
    # Another process's end sets no event, here and below.
    while (left := trainers.living(service.data)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    for trainer in left:
        violations.add("no trainer left", f"{trainer.task} {trainer.run.name}", [trainer.run, service.log])
    status = await service.stop()
    if status != 0:
        violations.add("ends in order", f"exit status {status} after SIGTERM", [service.log])


async def check_disk(
    service: ServiceProcess, names: Collection[str], violations: Violations, *, serving_within_s: float
) -> None:
    """Look for what killed processes left on the disk; what only waits to be old enough is made old first.

    Raises:
        NotServing: the service did not start again.
    """
    if not (found := list(leftovers(service.data, names))):
        return
    for path in found:
        for one in (path, *path.rglob("*")):
            os.utime(one, (time.time() - _OLD_S,) * 2, follow_symlinks=False)
    service.start()
    await service.until_serving(serving_within_s)
    deadline = time.monotonic() + _COLLECTED_S
    while (found := list(leftovers(service.data, names))) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    await service.stop()
    if found:
        shown = ", ".join(str(path.relative_to(service.data)) for path in found[:10])
        violations.add("clean disk", f"{len(found)} left behind, such as {shown}")


def leftovers(data: Path, names: Collection[str]) -> Iterator[Path]:
    """Yield what belongs to nobody below a data directory; `names` are those of all resources."""
    yield from (data / "scratch").iterdir()
    for root, folders, files in os.walk(data):
        yield from (Path(root) / name for name in (*folders, *files) if _TEMPORARY.fullmatch(name))
    for path in (data / "runs").iterdir():
        if f"trainingJobs/{path.name}" not in names:
            yield path
    imports = {name.rpartition("/")[2] for name in names if "/imports/" in name}
    yield from (path for path in (data / "imports").iterdir() if path.name not in imports)
    for kind in ("models", "datasets"):
        for path in (data / kind).glob("*/*"):
            if f"{kind}/{path.parent.name}/versions/{path.name}" not in names:
                yield path

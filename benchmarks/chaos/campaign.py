"""A campaign: the same work undisturbed, then under kills, then what must hold."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos import aftermath, disturber, workload
from benchmarks.chaos.customer import Customer
from benchmarks.chaos.demand import OPEN_JOBS, Demand, order_once
from benchmarks.chaos.disturber import Disturber
from benchmarks.chaos.inspector import Inspector
from benchmarks.chaos.results import Result
from benchmarks.chaos.service import NotServing, ServiceProcess
from benchmarks.chaos.violations import Violations
from benchmarks.chaos.whereabouts import Whereabouts
from benchmarks.chaos.workload import Recipe
from cultivar.v1 import state_pb2

_QUIET_S = 420.0
"""Seconds without any job's event after which what is open counts as stuck: the longest back-off is 360 s."""
_SLOWDOWN = 1.5
"""How much longer than undisturbed the jobs take that are open at the last kill, with what they lose by it."""
_COLLECT_S = 60.0
"""Seconds that the checks at the end may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """What is to be done."""

    seed: int
    """Of places, targets and times; what the host makes of them is not repeatable."""
    kills: int
    minutes: float
    """The campaign ends within so many, if need be with fewer kills."""
    gap_s: tuple[float, float]
    """Least and most seconds between two kills."""
    recipes: tuple[Recipe, ...]
    folder: Path
    """Data directories, logs and evidence; new."""
    serving_within_s: float = 30.0
    """Seconds after a start in which the service must be SERVING."""


@dataclass(kw_only=True, slots=True)
class Undisturbed:
    """What comes out when nobody disturbs."""

    results: dict[str, Result] = field(default_factory=dict)
    """By recipe."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of data sets, by import."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each job, by recipe."""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a campaign has seen."""

    campaign: Campaign
    undisturbed: Undisturbed
    disturber: Disturber
    customer: Customer
    inspector: Inspector
    violations: Violations
    seconds: float = 0.0
    """Of the whole campaign."""


async def run(campaign: Campaign) -> Outcome:
    """Carry a campaign out; no process of it is left, however it ends.

    Raises:
        RuntimeError: the undisturbed run failed, so that there is nothing to compare with.
    """
    begun = time.monotonic()
    sources = campaign.folder / "sources"
    await asyncio.to_thread(workload.draw_sources, sources)
    undisturbed = await _undisturbed(campaign, sources)
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in undisturbed.seconds.items())
    print(f"undisturbed: {took}", flush=True)
    service = ServiceProcess(folder=campaign.folder / "disturbed", sources=sources)
    violations = Violations(campaign.folder / "evidence")
    whereabouts = Whereabouts(service)
    outcome = Outcome(
        campaign=campaign,
        undisturbed=undisturbed,
        disturber=Disturber(
            service,
            whereabouts,
            violations,
            campaign.folder / "kills.jsonl",
            serving_within_s=campaign.serving_within_s,
        ),
        customer=Customer(service, violations, expected=undisturbed.results, digests=undisturbed.digests),
        inspector=Inspector(service, violations),
        violations=violations,
    )
    try:
        await _disturbed(outcome, service, until=begun + campaign.minutes * 60)
    except* NotServing:  # a violation, written down where it was seen
        pass
    finally:
        service.clear_away()
    if (count := len(outcome.disturber.struck)) < campaign.kills:
        violations.add("all kills", f"{count} of {campaign.kills} took place within {campaign.minutes:g} minutes")
    outcome.seconds = time.monotonic() - begun
    return outcome


async def _undisturbed(campaign: Campaign, sources: Path) -> Undisturbed:
    service = ServiceProcess(folder=campaign.folder / "undisturbed", sources=sources)
    violations = Violations(campaign.folder / "undisturbed" / "evidence")
    customer = Customer(service, violations, expected={}, digests={})
    try:
        service.start()
        await service.until_serving(campaign.serving_within_s)
        async with customer.connected():
            await order_once(customer, workload.IMPORTS, campaign.recipes)
        await service.stop()
    finally:
        service.clear_away()
    if violations.found:
        raise RuntimeError(f"the undisturbed run failed: {violations.found[0].text}")
    return Undisturbed(
        results={order.recipe.name: order.result for order in customer.jobs},
        digests={order.source.name: order.digest for order in customer.imports},
        seconds={order.recipe.name: order.seconds for order in customer.jobs},
    )


async def _disturbed(outcome: Outcome, service: ServiceProcess, *, until: float) -> None:
    """Ask, kill and look, all at a time; then wait for the end of what was asked for and look at what is left."""
    campaign, customer, inspector, violations = (
        outcome.campaign,
        outcome.customer,
        outcome.inspector,
        outcome.violations,
    )
    seconds = outcome.undisturbed.seconds.values()
    settle_s = _COLLECT_S + _SLOWDOWN * OPEN_JOBS * sum(seconds) / len(seconds)
    generator = random.Random(campaign.seed)
    kills = disturber.plan(generator, campaign.kills, campaign.gap_s)
    demand = Demand(customer, workload.IMPORTS, campaign.recipes, violations, generator)
    service.start()
    await service.until_serving(campaign.serving_within_s)
    async with customer.connected(), asyncio.TaskGroup() as group:
        watching = [group.create_task(one) for one in (inspector.watch_trainers(), inspector.watch_models())]
        demanding = group.create_task(demand.run())
        await outcome.disturber.carry_out(kills, until=until - settle_s)
        demand.enough.set()
        while not demanding.done() and time.monotonic() < min(until, customer.heard + _QUIET_S):
            await asyncio.wait({demanding}, timeout=1.0)
        await _check_ends(outcome, service)
        names = await aftermath.check_records(customer, inspector, violations)
        for task in (demanding, *watching):
            task.cancel()
    await aftermath.check_processes(service, violations)
    await aftermath.check_disk(service, names, violations, serving_within_s=campaign.serving_within_s)


async def _check_ends(outcome: Outcome, service: ServiceProcess) -> None:
    """Check that everything has ended, and that no import was lost but with its trainer."""
    for order in outcome.customer.jobs:
        if order.job is None:
            state = await _state(outcome.customer, order.name) if order.name else "not acknowledged"
            quiet_s = time.monotonic() - outcome.customer.heard
            text = f"{order.recipe.name}, {order.name}: {state}, and no job's event for {quiet_s:.0f} s"
            run = service.data / "runs" / order.name.rpartition("/")[2]
            outcome.violations.add("no stuck state", text, [run, service.log])
    for asked in outcome.customer.imports:
        if asked.lost and asked.name.rpartition("/")[2] not in outcome.disturber.killed_runs:
            text = f"{asked.name} was lost, though its trainer was not killed"
            outcome.violations.add("no lost import", text, [service.log])


async def _state(customer: Customer, name: str) -> str:
    job = await customer.ask(lambda: customer.client.get_training_job(name))
    return state_pb2.TrainingJobState.Name(job.state).removeprefix("TRAINING_JOB_STATE_")

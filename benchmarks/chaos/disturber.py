"""Kills the service, a trainer, or both, at places and after times that a seed has drawn."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

from benchmarks.chaos import trainers
from benchmarks.chaos.service import NotServing, ServiceProcess
from benchmarks.chaos.trainers import LivingTrainer
from benchmarks.chaos.violations import Violations
from benchmarks.chaos.whereabouts import Place, Whereabouts

_POLL_S = 0.001
"""Seconds between two looks for a place: a small network's checkpoint is written within milliseconds."""


class Target(StrEnum):
    """What is killed."""

    SERVICE = "service"
    TRAINER = "trainer"
    BOTH = "both"
    """The service and all trainers: what a host that restarts does."""


_TARGETS = {
    Place.START_UP: (Target.SERVICE, Target.BOTH),
    Place.IMPORT: (Target.TRAINER, Target.SERVICE, Target.BOTH),
    Place.PREPARATION: (Target.TRAINER, Target.BOTH),
    Place.TRAINING: (Target.TRAINER, Target.SERVICE, Target.BOTH),
    Place.CHECKPOINT: (Target.TRAINER, Target.TRAINER, Target.BOTH),
    Place.EXPORT: (Target.TRAINER, Target.SERVICE, Target.BOTH),
    Place.PUBLISH: (Target.SERVICE, Target.BOTH),
    Place.IDLE: (Target.SERVICE,),
}
_SPANS_S = {
    Place.START_UP: 1.5,
    Place.IMPORT: 1.5,
    Place.PREPARATION: 3.0,
    Place.CHECKPOINT: 0.0,
    Place.EXPORT: 1.5,
    Place.PUBLISH: 0.8,
}
"""Seconds from a place's beginning within which an aimed kill falls."""
_RARE = (Place.PUBLISH, Place.EXPORT)
"""Places that a job passes once: half of all kills wait for them, too."""
_AIMS: tuple[tuple[Place, ...], ...] = (
    (),
    (),
    (),
    (Place.CHECKPOINT,),
    (Place.CHECKPOINT,),
    (Place.IMPORT,),
    (Place.PREPARATION,),
    (Place.EXPORT,),
    (Place.PUBLISH,),
    (Place.START_UP,),
)
"""What each ten kills aim at, in an order of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """A kill that is to be."""

    aims: tuple[Place, ...]
    """Places to wait for; the first that is seen is taken."""
    not_before_s: float
    """Seconds after the kill before."""
    not_after_s: float
    """Seconds after the kill before at which it falls wherever things are."""
    delay: float
    """Share, 0 to 1, of a place's span after which it falls."""
    choice: float
    """0 to 1: which of a place's targets, and which trainer."""
    takes_service: bool
    """Whether the service is killed in any case: the next kill is aimed at its start."""
    pause_s: float
    """Seconds after which the service is started again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Struck:
    """A kill that was."""

    number: int
    time: float
    """Unix time."""
    target: Target
    place: Place
    aimed: bool
    """Whether it waited for that place."""
    run: str
    """Folder that it was about."""


def plan(generator: random.Random, count: int, gap_s: tuple[float, float]) -> list[Kill]:
    """Draw `count` kills, each between `gap_s` seconds after the one before."""
    aims = [one for _ in range(0, count, len(_AIMS)) for one in generator.sample(_AIMS, len(_AIMS))][:count]
    if aims and aims[0] == (Place.START_UP,):
        aims[0] = ()  # the service runs at first
    least, most = gap_s
    drawn: list[Kill] = []
    for number, wanted in enumerate(aims):
        not_before_s = generator.uniform(least, least + (most - least) / 4)
        last_look_s = max(not_before_s, most - max(_SPANS_S.values()))
        latest_s = last_look_s if wanted else generator.uniform(not_before_s, last_look_s)
        with_rare = generator.random() < 0.5 and wanted != (Place.START_UP,)
        drawn.append(
            Kill(
                aims=(*_RARE, *wanted) if with_rare else wanted,
                not_before_s=not_before_s,
                not_after_s=latest_s if wanted or with_rare else not_before_s,
                delay=generator.random(),
                choice=generator.random(),
                takes_service=aims[number + 1 : number + 2] == [(Place.START_UP,)],
                pause_s=generator.uniform(0.0, 1.0),
            )
        )
    return drawn


class Disturber:
    """Carries a plan out, and starts the service again after each kill."""

    def __init__(
        self,
        service: ServiceProcess,
        whereabouts: Whereabouts,
        violations: Violations,
        log: Path,
        *,
        serving_within_s: float,
    ) -> None:
        self._service = service
        self._whereabouts = whereabouts
        self._violations = violations
        self._log = log
        self._serving_within_s = serving_within_s
        self._last = time.monotonic()
        self._starting: asyncio.Task[None] | None = None
        self.struck: list[Struck] = []
        """Every kill so far."""
        self.killed_runs: set[str] = set()
        """Names of run directories whose trainer was killed."""
        self.starts_s: list[float] = []
        """Seconds of each start until the service was SERVING."""

    async def carry_out(self, kills: Sequence[Kill], *, until: float) -> None:
        """Kill as planned; no more after `until` by the monotonic clock.

        Raises:
            NotServing: the service did not come back.
        """
        self._last = time.monotonic()
        try:
            for kill, following in zip_longest(kills, kills[1:]):
                if self._last + kill.not_before_s > until:
                    break
                pause_s = following.not_before_s if kill.takes_service and following is not None else kill.pause_s
                await self._strike(kill, pause_s)
            if self._starting is not None:
                await self._starting
        finally:
            if self._starting is not None:
                self._starting.cancel()

    async def _strike(self, kill: Kill, pause_s: float) -> None:
        place, run, aimed = await self._wait(kill)
        target = _TARGETS[place][int(kill.choice * len(_TARGETS[place]))]
        if kill.takes_service and target is Target.TRAINER:
            target = Target.BOTH
        victims = self._whereabouts.trainers()
        if target is Target.TRAINER:
            victims = [one for one in victims if one.run == run] or victims[:1]
            if not victims:
                target = Target.SERVICE
        if target is not Target.SERVICE:
            self._kill_trainers(victims)
        if target is not Target.TRAINER:
            await self._until_alive()
            self._service.kill()
        if target is Target.BOTH:
            self._kill_trainers(trainers.living(self._service.data))  # also what was started meanwhile
        self._last = time.monotonic()
        self._record(
            Struck(number=len(self.struck) + 1, time=time.time(), target=target, place=place, aimed=aimed, run=run.name)
        )
        if target is not Target.TRAINER:
            if self._starting is not None:
                await self._starting  # it ends with the process; where that did not come back, killing on would hide it
            self._starting = asyncio.create_task(self._start_again(pause_s), name="start again")

    async def _until_alive(self) -> None:
        """Wait for the one who starts the service again."""
        while not self._service.alive:
            if self._starting is None or self._starting.done():
                self._violations.add("service stays", "it ended, and nobody had killed it", [self._service.log])
                raise NotServing("ended by itself")
            await asyncio.sleep(_POLL_S)

    async def _wait(self, kill: Kill) -> tuple[Place, Path, bool]:
        """Wait for the kill's moment; return where it falls, in which run, and whether it waited for that place."""
        await asyncio.sleep(max(0.0, self._last + kill.not_before_s - time.monotonic()))
        while time.monotonic() < self._last + kill.not_after_s:
            seen = self._whereabouts.look()
            place = next((one for one in kill.aims if one in seen), None)
            if place is not None and (delay_s := kill.delay * _SPANS_S[place]):
                await asyncio.sleep(delay_s)
                if place not in self._whereabouts.look():
                    continue  # over before its moment: the next one is awaited
            if place is not None:
                return place, seen[place], True
            await asyncio.sleep(_POLL_S)
        seen = self._whereabouts.look()
        place = sorted(seen)[int(kill.choice * len(seen))]
        return place, seen[place], False

    def _kill_trainers(self, victims: Sequence[LivingTrainer]) -> None:
        for victim in victims:
            if trainers.kill(victim, self._service.data):
                self.killed_runs.add(victim.run.name)

    async def _start_again(self, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        self._service.start()
        try:
            seconds = await self._service.until_serving(self._serving_within_s)
        except NotServing as error:
            self._violations.add("service comes back", str(error), [self._service.log])
            raise
        if self._service.serving:
            self.starts_s.append(seconds)

    def _record(self, struck: Struck) -> None:
        self.struck.append(struck)
        with self._log.open("a") as file:
            file.write(json.dumps(asdict(struck)) + "\n")

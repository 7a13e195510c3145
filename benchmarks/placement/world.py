"""A host of simulated GPUs: other tenants come and go, and jobs that were placed take memory as trainers do."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.placement.fake_nvml import GB, FakeGpu, FakeNvml
from cultivar.v1 import event_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import memory
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.config import Config
from cultivar_service.placement.gpus import GpuReader
from cultivar_service.placement.host import HostMemory
from cultivar_service.placement.memory_needs import MemoryNeeds
from cultivar_service.placement.occupancy import Occupancy
from cultivar_service.placement.placement import Placement
from cultivar_service.telemetry.metrics import Metrics

SIZES = (("resnet18", 64), ("resnet50", 64), ("resnet50", 256), ("vgg16", 128), ("densenet161", 128), ("vit_b_16", 256))
"""Networks and batches of the simulated jobs: 2 to 47 GB by estimate."""
ARRIVAL, DEPARTURE = 0.03, 0.02
"""Chances, in each second and on each GPU, that a tenant comes and that one goes."""
TENANT_BYTES = (1 * GB, 60 * GB)
RAMP_S = 20
"""Seconds in which tenants and jobs grow to their peaks."""


class FakeHost:
    """A host with plenty of everything but GPUs, and the trainers of the simulation."""

    def __init__(self, *, cores: int = 64, total_bytes: int = 2000 * GB, available_bytes: int | None = None) -> None:
        self.cores = cores
        self.total_bytes = total_bytes
        self.available_bytes = total_bytes if available_bytes is None else available_bytes
        self.pids: dict[str, int] = {}
        self.resident: dict[int, int] = {}

    def memory(self) -> HostMemory:
        """Return what was said at first."""
        return HostMemory(self.total_bytes, self.available_bytes)

    def trainer(self, job_id: str) -> int | None:
        """Return the pid of a job's trainer."""
        return self.pids.get(job_id)

    def resident_bytes(self, pid: int) -> int:
        """Return a trainer's resident memory."""
        return self.resident.get(pid, 0)


@contextmanager
def placed_on(
    folder: Path, nvml: FakeNvml, host: FakeHost, *, metrics: Metrics | None = None, **settings: object
) -> Iterator[Placement]:
    """Give a placement over simulated devices."""
    config = Config(data_dir=folder, weights_dir=folder, datasets_root=folder, **settings)  # type: ignore[arg-type]
    catalog = Catalog(config.catalog)
    try:
        occupancy = Occupancy(config, GpuReader(nvml=nvml), host, serves_on_gpu=False, fresh_s=0)
        yield Placement(config, occupancy, MemoryNeeds(catalog), (metrics or Metrics()).placement)
    finally:
        catalog.close()


def make_job(
    name: str, architecture: str = "resnet50", batch_size: int = 64, **execution: object
) -> training_pb2.TrainingJob:
    """Make a job that waits: everything learns, at 224 px."""
    recipe = pb.TrainingSpec(
        dataset="datasets/flowers/versions/1",
        architecture=architecture,
        mode=pb.FINE_TUNING_MODE_FULL,
        batch_size=batch_size,
        input=pb.InputSpec(size=224, channels=3),
        execution=pb.ExecutionSpec(**{"device": "auto", **execution}),  # type: ignore[arg-type]
    )
    return training_pb2.TrainingJob(name=f"trainingJobs/{name}", recipe=recipe)


def estimated_bytes(job: training_pb2.TrainingJob) -> int:
    """Return what a job of an unknown data set is expected to take before one of its shape was measured."""
    return memory.estimate(job.recipe, {}, 2, gpu_total_bytes=80 * GB).gpu_bytes


@dataclass
class Run:
    """A job that waits, runs or has run."""

    job: training_pb2.TrainingJob
    peak_bytes: int
    """What it takes in truth."""
    duration_s: int
    appears_after_s: int
    """Until the driver lists it."""
    predicted_bytes: int = 0
    """What placement expects it to take."""
    gpu: int = -1
    started: int = -1
    pid: int = 0

    def used_bytes(self, now: int) -> int:
        """Return what it has."""
        age = now - self.started - self.appears_after_s
        return 0 if age < 0 else min(self.peak_bytes, self.peak_bytes * (age + 1) // RAMP_S)


@dataclass
class World:
    """The host, second by second."""

    seed: int
    num_gpus: int = 8
    num_jobs: int = 60
    now: int = 0
    waiting: list[Run] = field(default_factory=list)
    running: list[Run] = field(default_factory=list)
    host: FakeHost = field(default_factory=FakeHost)

    def __post_init__(self) -> None:
        """Draw the jobs; those of one size take alike."""
        self._random = random.Random(self.seed)
        self.nvml = FakeNvml(*(FakeGpu() for _ in range(self.num_gpus)))
        self._tenants: list[dict[int, int]] = [{} for _ in range(self.num_gpus)]
        self._pids = iter(range(10_000_000, 20_000_000))
        shares = {size: self._random.uniform(0.35, 0.95) for size in SIZES}
        for number in range(self.num_jobs):
            size = self._random.choice(SIZES)
            job = make_job(str(number), *size)
            peak = int(estimated_bytes(job) * shares[size])
            run = Run(job, peak, self._random.randint(40, 200), self._random.randint(1, 8), estimated_bytes(job))
            self.waiting.append(run)

    def begin(self, run: Run, placed: event_pb2.Placed) -> None:
        """Start a job's trainer."""
        run.gpu, run.started, run.pid = int(placed.device.removeprefix("cuda:")), self.now, next(self._pids)
        self.waiting.remove(run)
        self.running.append(run)
        self.host.pids[jobs.identifier(run.job)] = run.pid

    def others_bytes(self, gpu: int) -> int:
        """Return what other tenants use."""
        return sum(self.nvml.gpus[gpu].processes.get(pid) or 0 for pid in self._tenants[gpu])

    def num_others(self, gpu: int) -> int:
        """Return how many other tenants there are."""
        return len(self._tenants[gpu])

    def jobs_on(self, gpu: int) -> list[Run]:
        """Return the running jobs of a GPU."""
        return [run for run in self.running if run.gpu == gpu]

    def advance(self) -> tuple[list[Run], list[Run]]:
        """Let a second pass; return the jobs that have told their memory in it, and those that have ended."""
        self.now += 1
        ended = [run for run in self.running if self.now - run.started >= run.duration_s]
        for run in ended:
            self.running.remove(run)
            self.nvml.gpus[run.gpu].processes.pop(run.pid, None)
        for run in self.running:
            if self.now - run.started >= run.appears_after_s:
                self.nvml.gpus[run.gpu].processes[run.pid] = run.used_bytes(self.now)
        for gpu in range(self.num_gpus):
            self._move_tenants(gpu)
        told = [run for run in self.running if self.now - run.started == run.appears_after_s + RAMP_S]
        for run in told:
            run.job.memory.gpu_bytes, run.job.memory.host_bytes = run.peak_bytes, 4 * GB
            for alike in (run, *(one for one in self.waiting if one.job.recipe == run.job.recipe)):
                alike.predicted_bytes = run.peak_bytes
        return told, ended

    def _move_tenants(self, index: int) -> None:
        """Let tenants come, grow and go; they take only what running jobs will not need, or nobody could be blamed."""
        tenants, gpu = self._tenants[index], self.nvml.gpus[index]
        if tenants and self._random.random() < DEPARTURE:
            gone = self._random.choice(list(tenants))
            del tenants[gone], gpu.processes[gone]
        if self._random.random() < ARRIVAL:
            pid = next(self._pids)
            tenants[pid], gpu.processes[pid] = self._random.randint(*TENANT_BYTES), 0
        for pid, peak in tenants.items():
            used = gpu.processes[pid] or 0
            promised = sum(run.peak_bytes - run.used_bytes(self.now) for run in self.jobs_on(index))
            left = gpu.total_bytes - gpu.used_bytes - promised
            gpu.processes[pid] = used + max(0, min(peak // RAMP_S, peak - used, left))

"""What a service tells of its GPUs."""

import os
from pathlib import Path

import pynvml
import pytest
from running_service import make_config, refused, running

from benchmarks.placement.fake_nvml import GB, FakeGpu, FakeNvml, uuid
from benchmarks.placement.world import FakeHost
from cultivar.v1 import training_pb2
from cultivar_service.api.gpus import GpuApi
from cultivar_service.caller import Caller
from cultivar_service.config import Config
from cultivar_service.errors import Unavailable
from cultivar_service.placement.gpus import GpuReader
from cultivar_service.placement.occupancy import Occupancy, Reservation

CALLER = Caller(request_id="1")


def occupancy(folder: Path, nvml: FakeNvml, *, serves_on_gpu: bool = True, visible: str | None = None) -> Occupancy:
    config = Config(data_dir=folder, weights_dir=folder, datasets_root=folder)
    host = FakeHost(cores=8, total_bytes=64 * GB)
    host.pids["a"] = 7
    return Occupancy(config, GpuReader(nvml=nvml, visible=visible), host, serves_on_gpu=serves_on_gpu, fresh_s=0)


async def test_processes_are_told_by_owner_and_memory_by_use(tmp_path: Path) -> None:
    nvml = FakeNvml(FakeGpu(processes={7: 3 * GB, os.getpid(): GB, 9: None}), FakeGpu())
    taken = occupancy(tmp_path, nvml)
    taken.reservations["a"] = Reservation(uuid=uuid(0), gpu_index=0, gpu_bytes=10 * GB, host_bytes=2 * GB, cores=0)

    answer = await GpuApi(taken).list_gpus(training_pb2.ListGpusRequest(memory_bytes=GB), CALLER)

    first = answer.gpus[0]
    serving_will_take = (1 << 30) - GB
    assert [(one.pid, one.owner, one.HasField("used_bytes")) for one in first.processes] == [
        (7, "trainingJobs/a", True),
        (os.getpid(), "serving", True),
        (9, "", False),
    ]
    assert (first.total_bytes, first.used_bytes, first.max_processes) == (80 * GB, 4 * GB, 5)
    assert first.reserved_bytes == 7 * GB + serving_will_take
    assert first.free_bytes == 76 * GB - first.reserved_bytes
    assert answer.placement == "GPU 1: 80.0 GB free, 1.0 GB needed, 0 of 5 processes (as asked)"
    assert (answer.cores, answer.cores_used, answer.host_free_bytes) == (8, 0, 62 * GB)


async def test_a_job_that_fits_nowhere_is_told_why(tmp_path: Path) -> None:
    api = GpuApi(occupancy(tmp_path, FakeNvml(FakeGpu()), serves_on_gpu=False))

    answer = await api.list_gpus(training_pb2.ListGpusRequest(memory_bytes=100 * GB), CALLER)

    assert answer.placement.startswith("no room: GPU 0: 80.0 GB free, 100.0 GB needed (as asked); more than any GPU")


async def test_gpus_are_listed_by_number_whatever_cuda_calls_them(tmp_path: Path) -> None:
    taken = occupancy(tmp_path, FakeNvml(FakeGpu(), FakeGpu()), visible="1,0")

    answer = await GpuApi(taken).list_gpus(training_pb2.ListGpusRequest(), CALLER)

    assert [(gpu.index, gpu.reserved_bytes) for gpu in answer.gpus] == [(0, 0), (1, 1 << 30)]
    assert answer.placement == ""


async def test_a_silent_driver_is_an_error_and_no_host_without_gpus(tmp_path: Path) -> None:
    nvml = FakeNvml(FakeGpu())
    api = GpuApi(occupancy(tmp_path, nvml))
    await api.list_gpus(training_pb2.ListGpusRequest(), CALLER)
    nvml.error = pynvml.NVML_ERROR_UNKNOWN

    with pytest.raises(Unavailable, match="Unknown Error: try again later"):
        await api.list_gpus(training_pb2.ListGpusRequest(), CALLER)


async def test_a_host_without_gpus_tells_its_cores_and_memory(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        answer = await client.training.ListGpus(training_pb2.ListGpusRequest(memory_bytes=1))
        refusal = await refused(client.training.ListGpus(training_pb2.ListGpusRequest(memory_bytes=-1)))

    assert answer.cores == len(os.sched_getaffinity(0))
    assert 0 < answer.host_free_bytes <= answer.host_total_bytes
    if not answer.gpus:
        assert answer.placement == "cpu: there is no GPU that jobs may use"
    assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ["memory_bytes"])

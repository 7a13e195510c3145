"""What NVML says, as placement reads it."""

import inspect
import os
import threading
import time

import pynvml
import pytest

from benchmarks.placement.fake_nvml import GB, FakeGpu, FakeNvml, uuid
from cultivar_service.placement.gpus import DriverSilent, GpuProcess, GpuReader


def test_the_fake_has_the_librarys_signatures() -> None:
    for name, function in inspect.getmembers(FakeNvml, inspect.isfunction):
        if name.startswith("nvml"):
            own = list(inspect.signature(function).parameters)[1:]
            assert own == list(inspect.signature(getattr(pynvml, name)).parameters), name


async def test_memory_and_processes_of_each_gpu_are_told() -> None:
    gpu = FakeGpu(total_bytes=10 * GB, processes={os.getpid(): 3 * GB, 2**31 - 1: None}, hidden_bytes=GB)

    (found,) = await GpuReader(nvml=FakeNvml(gpu)).read()

    assert (found.index, found.uuid, found.name) == (0, uuid(0), "NVIDIA H200")
    assert (found.total_bytes, found.used_bytes, found.free_bytes) == (10 * GB, 4 * GB, 6 * GB)
    assert found.processes == (GpuProcess(os.getpid(), 3 * GB, True), GpuProcess(2**31 - 1, None, False))


@pytest.mark.parametrize("error", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
async def test_a_host_without_a_driver_has_no_gpus(error: int) -> None:
    nvml = FakeNvml(FakeGpu())
    nvml.error = error

    assert await GpuReader(nvml=nvml).read() == []


async def test_gpus_that_stop_answering_are_not_taken_for_gone() -> None:
    nvml = FakeNvml(FakeGpu())
    reader = GpuReader(nvml=nvml)
    await reader.read()

    nvml.error = pynvml.NVML_ERROR_UNKNOWN
    for _ in range(2):  # the second look begins with a new start
        with pytest.raises(DriverSilent, match="Unknown Error"):
            await reader.read()
    nvml.error = None

    assert len(await reader.read()) == 1


async def test_partitioned_and_lost_gpus_are_left_out() -> None:
    nvml = FakeNvml(FakeGpu(is_partitioned=True), FakeGpu(is_lost=True), FakeGpu())

    assert [gpu.index for gpu in await GpuReader(nvml=nvml).read()] == [2]


async def test_the_last_gpu_that_is_lost_leaves_no_host_without_gpus() -> None:
    nvml = FakeNvml(FakeGpu())
    reader = GpuReader(nvml=nvml)
    await reader.read()
    nvml.gpus[0].is_lost = True

    with pytest.raises(DriverSilent, match="none of 1 GPUs"):
        await reader.read()


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        (f"{uuid(1)}", [1]),
        ("GPU-00000002", [2]),
        ("1, 2", [1, 2]),
        ("", []),
        ("-1", []),
        ("1,7,0", [1]),
        ("1,1,0", [1]),
        ("MIG-1", []),
    ],
)
async def test_cuda_visible_devices_is_read_as_cuda_does(visible: str | None, indices: list[int]) -> None:
    nvml = FakeNvml(FakeGpu(), FakeGpu(), FakeGpu())

    assert [gpu.index for gpu in await GpuReader(nvml=nvml, visible=visible).read()] == indices


async def test_a_hung_driver_holds_up_nobody_for_long_and_has_one_thread() -> None:
    release = threading.Event()

    class Hung(FakeNvml):
        def nvmlInit(self) -> None:
            release.wait()

    reader = GpuReader(nvml=Hung(FakeGpu()), patience_s=0.05)
    before, started = threading.active_count(), time.monotonic()
    for _ in range(3):
        with pytest.raises(DriverSilent, match="has not answered"):
            await reader.read()

    assert threading.active_count() == before + 1
    assert time.monotonic() - started < 1
    release.set()
    assert len(await GpuReader(nvml=FakeNvml(FakeGpu())).read()) == 1


@pytest.mark.gpu
async def test_a_real_driver_tells_of_its_gpus() -> None:
    gpus = await GpuReader().read()
    if not gpus:
        pytest.skip("needs a GPU")

    assert all(gpu.uuid.startswith("GPU-") and gpu.name for gpu in gpus)
    assert all(0 < gpu.free_bytes <= gpu.total_bytes for gpu in gpus)
    assert all(abs(gpu.total_bytes - gpu.used_bytes - gpu.free_bytes) < 1 << 30 for gpu in gpus)

"""Reserving devices for jobs, over simulated GPUs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pynvml
import pytest

from benchmarks.placement.fake_nvml import GB, FakeGpu, FakeNvml, uuid
from benchmarks.placement.world import FakeHost, estimated_bytes, make_job, placed_on
from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.placement.placement import NoRoom, Place, Placement
from cultivar_service.telemetry.metrics import Metrics


@contextmanager
def placement_on(folder: Path, *gpus: FakeGpu, host: FakeHost | None = None, **settings: object) -> Iterator[Placement]:
    with placed_on(folder, FakeNvml(*gpus), host or FakeHost(), **settings) as placement:
        yield placement


async def device_of(placement: Placement, name: str, **fields: object) -> str:
    found = await placement.place(make_job(name, **fields))  # type: ignore[arg-type]
    return found.event.device if isinstance(found, Place) else found.reason


async def test_a_trainer_sees_its_gpu_alone_and_the_event_says_why_it_is_there(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu(processes={1: 50 * GB}), FakeGpu()) as placement:
        job = make_job("a")

        found = await placement.place(job)

    needed = estimated_bytes(job)
    assert isinstance(found, Place)
    assert (found.event.device, found.event.uuid) == ("cuda:1", uuid(1))
    assert (found.event.predicted_bytes, found.event.free_bytes) == (needed, 80 * GB)
    assert found.event.reason == (
        f"GPU 1: 80.0 GB free, {needed / 1e9:.1f} GB needed, 0 of 5 processes "
        "(estimated for resnet50 full 224 px batch 64)"
    )
    assert found.environment == {"CUDA_VISIBLE_DEVICES": uuid(1)}


async def test_what_was_placed_is_reserved_until_it_is_released(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu(total_bytes=10 * GB)) as placement:
        assert await device_of(placement, "a") == "cuda:0"
        assert "GPU 0: 2.7 GB free, 7.3 GB needed" in await device_of(placement, "b")
        placement.release("a")
        assert await device_of(placement, "b") == "cuda:0"


async def test_placing_a_job_again_does_not_reserve_twice(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu(total_bytes=10 * GB)) as placement:
        assert [await device_of(placement, "a") for _ in range(2)] == ["cuda:0"] * 2


async def test_a_measured_peak_replaces_the_estimate_for_the_job_and_for_its_like(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu(total_bytes=10 * GB, processes={7: 3 * GB})) as placement:
        job = make_job("a", batch_size=32)
        await placement.place(job)
        job.memory.gpu_bytes, job.memory.host_bytes = 3 * GB, 2 * GB
        await placement.learn(job)
        placement.release("a")

        found = await placement.place(make_job("b", batch_size=32))
        other = await placement.place(make_job("c", batch_size=256))

    assert isinstance(found, Place)
    assert found.event.predicted_bytes == 3 * GB
    assert "(measured for resnet50 full 224 px batch 32)" in found.event.reason
    assert isinstance(other, NoRoom)
    assert "(estimated for resnet50 full 224 px batch 256)" in other.reason


async def test_the_largest_measured_peak_stays(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu()) as placement:
        for name, size in (("a", 9), ("b", 3)):
            job = make_job(name)
            await placement.place(job)
            job.memory.gpu_bytes = size * GB
            await placement.learn(job)
        found = await placement.place(make_job("c"))

    assert isinstance(found, Place)
    assert found.event.predicted_bytes == 9 * GB


async def test_what_a_job_took_in_validation_counts_as_well(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu()) as placement:
        job = make_job("a")
        await placement.place(job)
        job.memory.gpu_bytes, job.latest_epoch.gpu_memory_bytes = 3 * GB, 5 * GB
        await placement.learn(job)
        found = await placement.place(make_job("b"))

    assert isinstance(found, Place)
    assert found.event.predicted_bytes == 5 * GB + (500 << 20)


async def test_the_warm_up_of_a_gradual_job_teaches_nothing_of_its_peak(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu()) as placement:
        job, like = make_job("a"), make_job("b")
        job.recipe.mode = like.recipe.mode = pb.FINE_TUNING_MODE_GRADUAL
        estimate = (await placement.place(job)).event.predicted_bytes  # type: ignore[union-attr]
        job.memory.gpu_bytes = GB
        job.latest_epoch.phase = state_pb2.TRAINING_PHASE_HEAD_WARMUP
        await placement.learn(job)
        first = (await placement.place(like)).event  # type: ignore[union-attr]
        job.memory.gpu_bytes = 6 * GB
        job.latest_epoch.phase = state_pb2.TRAINING_PHASE_TRAINING
        await placement.learn(job)
        second = (await placement.place(like)).event  # type: ignore[union-attr]

    assert (first.predicted_bytes, first.free_bytes) == (estimate, 80 * GB - estimate + GB)
    assert second.predicted_bytes == 6 * GB


async def test_a_limit_caps_what_a_job_is_expected_to_take(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu()) as placement:
        found = await placement.place(make_job("a", memory_limit_bytes=GB))

    assert isinstance(found, Place)
    assert found.event.predicted_bytes == GB + (500 << 20)


async def test_a_named_gpu_is_waited_for_and_one_that_is_not_there_is_left_to_the_trainer(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu(), FakeGpu(processes={1: 79 * GB})) as placement:
        assert await device_of(placement, "a", device="cuda:0") == "cuda:0"
        assert (await device_of(placement, "b", device="cuda:1")).startswith("GPU 1: 1.0 GB free")
        missing = await placement.place(make_job("c", device="cuda:9"))

    assert isinstance(missing, Place)
    assert missing.event.reason == "cuda:9 is none of the GPUs that jobs may use here, which are cuda:0, cuda:1"
    assert missing.environment == {"CUDA_VISIBLE_DEVICES": ""}


async def test_a_job_for_the_cpu_takes_no_gpu(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu()) as placement:
        found = await placement.place(make_job("a", device="cpu"))

    assert isinstance(found, Place)
    assert (found.event.device, found.event.uuid) == ("cpu", "")
    assert found.environment == {"CUDA_VISIBLE_DEVICES": ""}


async def test_a_silent_driver_makes_jobs_wait_but_those_for_the_cpu(tmp_path: Path) -> None:
    nvml = FakeNvml(FakeGpu())
    with placed_on(tmp_path, nvml, FakeHost()) as placement:
        await device_of(placement, "a")
        nvml.error = pynvml.NVML_ERROR_UNKNOWN

        assert await device_of(placement, "b") == "the GPU driver says: Unknown Error"
        assert await device_of(placement, "c", device="cpu") == "cpu"


async def test_without_gpus_jobs_share_the_cores(tmp_path: Path) -> None:
    with placement_on(tmp_path, host=FakeHost(cores=4)) as placement:
        assert await device_of(placement, "a", threads=3) == "cpu"
        assert await device_of(placement, "b") == "cpu: 1 of 4 cores free, 4 needed"
        assert await device_of(placement, "c", threads=1) == "cpu"
        placement.release("a")
        placement.release("c")
        assert await device_of(placement, "b", threads=64) == "cpu"


async def test_without_gpus_jobs_share_the_memory(tmp_path: Path) -> None:
    host = FakeHost(cores=64, total_bytes=16 * GB, available_bytes=12 * GB)
    with placement_on(tmp_path, host=host) as placement:
        first = await placement.place(make_job("a", threads=1))
        refusal = await device_of(placement, "b", threads=1)
        host.pids["a"], host.resident[7] = 7, 8 * GB  # what it has by now is no longer available
        host.available_bytes = 4 * GB
        again = await device_of(placement, "b", threads=1)

    assert isinstance(first, Place)
    assert first.event.free_bytes == 12 * GB
    assert refusal.startswith("host: 4.5 GB free, 7.5 GB needed")
    assert again.startswith(f"host: {(4 * GB - max(0, first.event.predicted_bytes - 8 * GB)) / 1e9:.1f} GB free")


async def test_an_estimate_keeps_no_job_off_a_host_without_other_jobs_but_a_measured_peak_does(tmp_path: Path) -> None:
    with placement_on(tmp_path, host=FakeHost(total_bytes=4 * GB)) as placement:
        job = make_job("a")
        first = await placement.place(job)
        job.memory.host_bytes = 5 * GB
        await placement.learn(job)
        placement.release("a")
        second = await placement.place(make_job("b"))

    assert isinstance(first, Place)
    assert isinstance(second, NoRoom)
    assert "5.0 GB needed (measured for" in second.reason
    assert "more than its 4.0 GB: use a smaller execution.micro_batch" in second.reason


async def test_jobs_on_gpus_need_the_hosts_memory_too(tmp_path: Path) -> None:
    host = FakeHost(total_bytes=5 * GB)
    with placement_on(tmp_path, FakeGpu(), host=host) as placement:
        assert await device_of(placement, "a") == "cuda:0"
        assert (await device_of(placement, "b")).startswith("host: 1.8 GB free, 3.2 GB needed")


async def test_trainers_that_outlived_the_service_keep_their_devices(tmp_path: Path) -> None:
    gpu = FakeGpu(total_bytes=10 * GB)
    with placement_on(tmp_path, gpu) as placement:
        job = make_job("a")
        job.placement.CopyFrom((await placement.place(job)).event)  # type: ignore[union-attr]
    with placement_on(tmp_path, gpu) as placement:
        placement.adopt(job)
        assert "GPU 0: 2.7 GB free" in await device_of(placement, "b")
    with placement_on(tmp_path, host=FakeHost(cores=2)) as placement:
        job.ClearField("placement")
        placement.adopt(job)
        assert await device_of(placement, "b") == "cpu: 0 of 2 cores free, 2 needed"


async def test_a_job_that_is_not_placed_has_nothing_to_learn_or_to_give_back(tmp_path: Path) -> None:
    with placement_on(tmp_path, FakeGpu()) as placement:
        await placement.learn(make_job("a"))
        placement.release("a")


@pytest.mark.parametrize(("limit", "second"), [(0, "cuda:0"), (1, "1 job(s) run, as many as this host may run")])
async def test_the_number_of_running_jobs_can_be_limited(tmp_path: Path, limit: int, second: str) -> None:
    with placement_on(tmp_path, FakeGpu(), max_running_jobs=limit) as placement:
        await device_of(placement, "a")
        assert (await device_of(placement, "b")).startswith(second)


async def test_reserved_memory_and_refusals_are_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    with placement_on(tmp_path, FakeGpu(total_bytes=10 * GB), metrics=metrics) as placement:
        await device_of(placement, "a", memory_limit_bytes=GB)
        await device_of(placement, "b", memory_limit_bytes=GB)
        await device_of(placement, "c", batch_size=256)

        reserved = metrics.registry.get_sample_value("cultivar_placement_reserved_bytes", {"gpu": "0"})
        placement.release("a")
        placement.release("b")
        after = metrics.registry.get_sample_value("cultivar_placement_reserved_bytes", {"gpu": "0"})

    assert reserved == 2 * (GB + (500 << 20))
    assert after is None
    assert metrics.registry.get_sample_value("cultivar_placement_refusals_total") == 1


@pytest.mark.parametrize(("others_bytes", "ends_with_jobs"), [(0, True), (6 * GB, False)])
async def test_a_refusal_says_whether_the_end_of_our_jobs_will_make_room(
    tmp_path: Path, others_bytes: int, ends_with_jobs: bool
) -> None:
    gpu = FakeGpu(total_bytes=10 * GB)
    with placement_on(tmp_path, gpu) as placement:
        assert isinstance(await placement.place(make_job("a")), Place)  # of which NVML does not know yet
        gpu.processes[7] = others_bytes

        refused = await placement.place(make_job("b"))

    assert isinstance(refused, NoRoom)
    assert refused.ends_with_jobs is ends_with_jobs

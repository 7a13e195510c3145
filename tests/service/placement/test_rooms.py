"""Which GPU a job goes to, by the rules alone."""

from typing import Any

from benchmarks.placement.fake_nvml import GB, uuid
from cultivar_service.placement.gpus import Gpu, GpuProcess
from cultivar_service.placement.rooms import Prediction, Room, Tenant, choose, reason, refusals, rooms


def gpu(index: int = 0, *, used: int = 0, total: int = 80, pids: dict[int, int | None] | None = None) -> Gpu:
    """A GPU; sizes in GB, `pids` use what is said, all seen from here."""
    processes = tuple(
        GpuProcess(pid, None if size is None else size * GB, is_seen=True) for pid, size in (pids or {}).items()
    )
    return Gpu(
        index=index,
        uuid=uuid(index),
        name="H200",
        total_bytes=total * GB,
        used_bytes=used * GB,
        free_bytes=(total - used) * GB,
        processes=processes,
    )


def tenant(pid: int | None, needed: int, *, index: int = 0, held: int = 0, **fields: Any) -> Tenant:
    return Tenant(uuid=uuid(index), pid=pid, needed_bytes=needed * GB, held_bytes=held * GB, **fields)


def job(needed: int, *, is_measured: bool = True) -> Prediction:
    return Prediction(needed_bytes=needed * GB, is_measured=is_measured, source="measured for a test")


def room(of: Gpu, *tenants: Tenant) -> Room:
    return rooms([of], tenants, max_processes=5)[0]


def test_a_job_goes_where_fewest_compute_then_where_most_memory_is_left_then_to_the_first() -> None:
    busy, narrow, wide = gpu(0, pids={1: 0}), gpu(1, used=20), gpu(2, used=10)

    assert choose(rooms([busy, narrow, wide], [], max_processes=5), job(10)).gpu is wide  # type: ignore[union-attr]
    assert choose(rooms([busy, narrow], [], max_processes=5), job(70)).gpu is busy  # type: ignore[union-attr]
    assert choose(rooms([gpu(4), gpu(3)], [], max_processes=5), job(1)).gpu.index == 3  # type: ignore[union-attr]


def test_what_a_job_will_still_take_is_reserved() -> None:
    assert room(gpu(used=10, pids={7: 10}), tenant(7, 30)).free_bytes == 50 * GB
    assert room(gpu(used=10, pids={7: 10}), tenant(None, 30)).free_bytes == 40 * GB
    assert room(gpu(used=40, pids={7: 40}), tenant(7, 30)).free_bytes == 40 * GB


def test_a_process_whose_memory_is_not_told_has_what_its_trainer_measured() -> None:
    assert room(gpu(used=10, pids={7: None}), tenant(7, 30)).reserved_bytes == 30 * GB
    assert room(gpu(used=28, pids={7: None}), tenant(7, 30, held=28)).reserved_bytes == 2 * GB


def test_servings_share_is_kept_less_what_it_uses() -> None:
    serving = tenant(9, 8, is_serving=True)

    assert room(gpu(), serving).free_bytes == 72 * GB
    assert room(gpu(used=3, pids={9: 3}), serving).free_bytes == 72 * GB
    assert room(gpu(used=9, pids={9: 9}), serving).free_bytes == 71 * GB


def test_everybodys_processes_count_and_a_trainer_that_is_not_listed_yet_counts_once() -> None:
    others = {1: 1, 2: 1, 3: 1}

    assert room(gpu(pids=others), tenant(None, 1)).num_processes == 4
    assert room(gpu(pids=others), tenant(3, 1)).num_processes == 3
    assert room(gpu(pids=others), tenant(4, 1, is_serving=True)).num_processes == 3


def test_trainers_that_are_listed_under_the_hosts_pids_count_once() -> None:
    hidden = Gpu(
        index=0,
        uuid=uuid(0),
        name="H200",
        total_bytes=80 * GB,
        used_bytes=4 * GB,
        free_bytes=76 * GB,
        processes=(GpuProcess(4001, 2 * GB, is_seen=False), GpuProcess(4002, 2 * GB, is_seen=False)),
    )

    assert room(hidden, tenant(7, 2, held=2), tenant(8, 2, held=2)).num_processes == 2
    assert room(hidden, tenant(7, 2, held=2), tenant(8, 2)).num_processes == 3


def test_a_full_gpu_takes_no_job_and_the_refusal_names_gpu_count_free_and_needed_memory() -> None:
    full, narrow = gpu(0, pids={pid: 1 for pid in range(1, 6)}), gpu(1, used=77)
    offered = rooms([full, narrow], [], max_processes=5)

    assert choose(offered, job(6)) is None
    assert (
        refusals(offered, job(6)) == "GPU 0: 5 of 5 processes; GPU 1: 3.0 GB free, 6.0 GB needed (measured for a test)"
    )


def test_an_estimate_that_is_too_large_is_tried_where_nobody_computes() -> None:
    shared, empty = gpu(0, used=1, pids={1: 1}), gpu(1, used=1)
    serving = tenant(9, 1, index=1, is_serving=True)

    (taken, free) = rooms([shared, empty], [serving], max_processes=5)

    assert choose([taken, free], job(100, is_measured=False)) is free
    assert "it is an estimate and nobody else computes there" in reason(free, job(100, is_measured=False))
    assert choose([taken], job(100, is_measured=False)) is None
    assert "waits for one where nobody computes" in refusals([taken], job(100, is_measured=False))


def test_a_shared_gpu_that_suffices_is_better_than_an_empty_one_that_may_not() -> None:
    small, shared = gpu(0, total=10), gpu(1, pids={1: 0})

    assert choose(rooms([small, shared], [], max_processes=5), job(30, is_measured=False)).gpu is shared  # type: ignore[union-attr]


def test_a_gpu_with_much_hidden_use_is_not_taken_for_empty() -> None:
    assert not room(gpu(used=30)).is_empty
    assert not room(gpu(), tenant(None, 1)).is_empty
    assert room(gpu(used=30, pids={9: 29}), tenant(9, 1, is_serving=True)).is_empty


def test_a_measured_peak_that_no_gpu_has_is_refused_with_a_remedy() -> None:
    assert choose([room(gpu())], job(100)) is None
    assert "more than any GPU here has: use a smaller execution.micro_batch" in refusals([room(gpu())], job(100))

"""What jobs are expected to take before one of their shape was measured."""

from typing import Any

import pytest

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.memory import CUDA_CONTEXT_BYTES, CUDA_PROCESS_BYTES, PROCESS_BYTES, MemoryNeed, estimate
from cultivar_contract.recipe import Facts, resolve_network

GIB = 1 << 30
GPU = 80 * GIB
COUNTS = {"train": 1000, "val": 100}


def need(gpu: int = GPU, counts: dict[str, int] = COUNTS, **fields: Any) -> MemoryNeed:
    spec = pb.TrainingSpec(**{"architecture": "resnet50", "mode": pb.FINE_TUNING_MODE_FULL, **fields})
    if not spec.HasField("batch_size"):
        spec.batch_size = 64
    recipe = resolve_network(spec, Facts()).recipe
    recipe.batch_size = spec.batch_size
    return estimate(recipe, counts, 10, gpu_total_bytes=gpu)


def test_resnet50_with_64_images_takes_some_seven_gigabytes() -> None:
    assert 6 * GIB < need().gpu_bytes < 8 * GIB
    assert need().host_bytes == CUDA_PROCESS_BYTES


def test_without_a_gpu_the_host_has_it_all() -> None:
    assert need(gpu=0).gpu_bytes == 0
    assert 6 * GIB < need(gpu=0).host_bytes - PROCESS_BYTES < 8 * GIB


def test_memory_grows_with_the_images_of_a_pass_not_of_an_update() -> None:
    assert need(batch_size=128).gpu_bytes > 1.7 * need().gpu_bytes
    assert need(batch_size=1024, execution={"micro_batch": 64}).gpu_bytes == need().gpu_bytes
    assert need(batch_size=0).gpu_bytes == need(batch_size=1000).gpu_bytes  # all images at once
    assert need(batch_size=64, input={"size": 448}).gpu_bytes > 3 * need().gpu_bytes


@pytest.mark.parametrize(
    "less", [{"mode": pb.FINE_TUNING_MODE_HEAD}, {"execution": {"memory_limit_bytes": GIB}}, {"batch_size": 8}]
)
def test_what_takes_less_is_expected_to(less: dict[str, Any]) -> None:
    assert need(**less).gpu_bytes < need().gpu_bytes


def test_a_limit_leaves_room_for_the_context() -> None:
    assert need(execution={"memory_limit_bytes": GIB}).gpu_bytes == GIB + CUDA_CONTEXT_BYTES


def test_data_count_where_they_fit_in_a_quarter_of_the_gpu() -> None:
    image_bytes = 224 * 224 * 3
    more = need(counts={"train": 2000, "val": 100}).gpu_bytes - need().gpu_bytes

    assert more == 1000 * image_bytes
    assert need(counts={"train": 10**6, "val": 100}).gpu_bytes == need().gpu_bytes - 1000 * image_bytes


def test_networks_whose_layers_the_request_makes_are_counted_by_them() -> None:
    wide = {"hidden_sizes": [20_000, 20_000]}

    assert need(architecture="mlp", mode=pb.FINE_TUNING_MODE_SCRATCH).gpu_bytes < GIB
    assert need(architecture="mlp", mode=pb.FINE_TUNING_MODE_SCRATCH, network=wide).gpu_bytes > 4 * 4 * 4 * 10**8
    assert need(architecture="lenet5", mode=pb.FINE_TUNING_MODE_SCRATCH, input={"size": 256}).gpu_bytes < 2 * GIB

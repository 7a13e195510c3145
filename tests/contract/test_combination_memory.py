"""What combining models is expected to take."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.memory import CUDA_PROCESS_BYTES, PROCESS_BYTES, estimate_combination


def recipe(**execution: int) -> pb.TrainingSpec:
    return pb.TrainingSpec(
        architecture="resnet18",
        input=pb.InputSpec(size=224, channels=3),
        execution=pb.ExecutionSpec(**execution),
    )


def test_memory_grows_with_the_parameters_of_all_members() -> None:
    one, three = (estimate_combination(recipe(), count, gpu_total_bytes=0) for count in (11_000_000, 33_000_000))

    assert one.gpu_bytes == three.gpu_bytes == 0
    assert three.host_bytes - one.host_bytes > 4 * 22_000_000
    assert one.host_bytes > PROCESS_BYTES + 4 * 11_000_000


def test_on_a_gpu_the_graph_stays_on_the_host() -> None:
    free = estimate_combination(recipe(), 33_000_000, gpu_total_bytes=80 << 30)
    limited = estimate_combination(recipe(memory_limit_bytes=300 << 20), 33_000_000, gpu_total_bytes=80 << 30)

    assert free.gpu_bytes > 4 * 33_000_000
    assert free.host_bytes > CUDA_PROCESS_BYTES + 4 * 33_000_000
    assert limited.gpu_bytes < free.gpu_bytes

"""Where a job computes, by what it asks for and what its process is shown."""

from collections.abc import Callable

import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import execution
from cultivar_trainer.errors import TaskFailed

Resolved = Callable[..., pb.TrainingSpec]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets torch see some GPUs."""

    def see(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "GPU")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))

    return see


@pytest.mark.parametrize(
    ("shown", "count", "device"), [("GPU-5", 1, "cuda:0"), ("2,3,4,5", 4, "cuda:3"), ("", 4, "cuda:3")]
)
def test_the_only_gpu_that_a_process_is_shown_is_the_one_it_asked_for(
    resolved: Resolved,
    gpus: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    shown: str,
    count: int,
    device: str,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    gpus(count)

    recipe = resolved(execution={"device": "cuda:3"})

    assert execution.plan(recipe).device == device
    assert execution.keep(execution.plan(recipe), recipe).device == device


@pytest.mark.parametrize(("shown", "count"), [("", 0), ("GPU-7", 0), (None, 1), ("0,1", 2)])
def test_a_gpu_that_is_not_there_is_refused(
    resolved: Resolved,
    gpus: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    shown: str | None,
    count: int,
) -> None:
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    gpus(count)

    with pytest.raises(TaskFailed, match=rf"cuda:3: this host has {count} CUDA GPU") as caught:
        execution.plan(resolved(execution={"device": "cuda:3"}))

    assert caught.value.reason == "DEVICE_NOT_AVAILABLE"

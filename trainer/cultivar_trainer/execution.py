"""The execution plan: everything that changes bits, from a fixed table over device, architecture and size.

No clock takes part, so two runs of one request on one kind of host have one plan.
"""

import gc
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.evaluation import evaluation_batch

_SMALL_FAMILIES = frozenset({"lenet", "mlp"})
"""Too little work per layer for bf16 or channels_last to pay."""
_BFLOAT16_ON_CPU = frozenset({"resnet"})
"""Families whose dense convolutions train twice as fast in bf16 on CPUs that have it. Depthwise and 1x1 convolutions
gain a seventh at best, and lose to fp32 by far as soon as another process wants the same cores (docs/benchmarks.md)."""

_COMPILED_FROM_UPDATES = 10_000
"""Compiling takes a minute or two, which shorter jobs do not win back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a job computes. A resume keeps it; a reproduction takes it from the manifest."""

    device: str
    """`cpu` or `cuda:N`."""
    device_name: str
    """The processor's or GPU's own name; informative."""
    autocast: str
    """Type of the products while training: `bfloat16`, `float16` or `float32`. Evaluation is always float32."""
    memory_format: str
    """`channels_last` or `contiguous`."""
    threads: int
    """Threads that torch computes with on the CPU."""
    micro_batch: int
    """Images per forward and backward pass."""
    evaluation_batch: int
    """Images per forward pass in evaluation."""
    fused_optimizer: bool
    """Whether one kernel updates all parameters."""
    compiled: bool
    """Whether torch.compile is used."""
    world_size: int
    """Processes that train together."""

    def to_json(self) -> dict[str, Any]:
        """Return plan.json's form."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Plan":
        """Read the form that `to_json` gives; fields of newer writers are ignored.

        Raises:
            KeyError: a field is missing.
        """
        return cls(**{name: value[name] for name in cls.__slots__})

    def halved(self, smallest: int) -> "Plan | None":
        """Return the plan with half the images per pass; None where fewer than `smallest` would be left."""
        if self.micro_batch // 2 < smallest:
            return None
        return replace(self, micro_batch=self.micro_batch // 2, evaluation_batch=max(1, self.evaluation_batch // 2))


def plan(recipe: pb.TrainingSpec, train_images: int = 0) -> Plan:
    """Look the plan up.

    Args:
        recipe: resolved.
        train_images: training images that take part; long jobs are compiled.

    Raises:
        TaskFailed: DEVICE_NOT_AVAILABLE, THREADS_NOT_AVAILABLE.
    """
    device = _device(recipe.execution.device)
    small = ARCHITECTURES[recipe.architecture].family_name in _SMALL_FAMILIES
    # A frozen backbone computes features as evaluation does, in float32: caching them then changes nothing.
    frozen_backbone = recipe.mode == pb.FINE_TUNING_MODE_HEAD and not recipe.trainable
    pays = device.type == "cuda" or ARCHITECTURES[recipe.architecture].family_name in _BFLOAT16_ON_CPU
    updates = recipe.epochs * train_images // max(1, recipe.batch_size)
    shortened = pays and not small and not frozen_backbone
    return Plan(
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        autocast=short_type(device) if shortened else "float32",
        memory_format="contiguous" if small else "channels_last",
        threads=_threads(recipe.execution.threads),
        micro_batch=min(recipe.execution.micro_batch or recipe.batch_size, recipe.batch_size),
        evaluation_batch=evaluation_batch(recipe.input.size),
        fused_optimizer=True,
        compiled=device.type == "cuda" and not small and not frozen_backbone and updates >= _COMPILED_FROM_UPDATES,
        world_size=1,
    )


def keep(chosen: Plan, recipe: pb.TrainingSpec) -> Plan:
    """Return the plan of an earlier attempt, or of a run to repeat, for this host's devices.

    Raises:
        TaskFailed: PLAN_NOT_AVAILABLE where this host would compute other bits; DEVICE_NOT_AVAILABLE.
    """
    device = torch.device("cpu") if chosen.device == "cpu" else _device(recipe.execution.device)
    if device.type != torch.device(chosen.device).type:
        raise _not_available(f"device {chosen.device}", "this host has no GPU for it", "a GPU")
    threads, cores = recipe.execution.threads or chosen.threads, _cores()
    if chosen.threads > cores:
        raise _not_available(f"{chosen.threads} threads", f"the trainer has {cores} core(s)", "as many cores as then")
    if threads != chosen.threads:
        raise _not_available(
            f"{chosen.threads} threads", f"execution.threads is {threads}", "execution.threads as then"
        )
    if chosen.autocast not in ("float32", short_type(device)):
        raise _not_available(f"{chosen.autocast} products", f"this {device.type} has none", "a device of the same kind")
    return replace(chosen, device=str(device))


def _not_available(then: str, now: str, remedy: str) -> TaskFailed:
    return TaskFailed(
        "PLAN_NOT_AVAILABLE",
        f"the plan to keep has {then}, and {now}: other bits would result; give it {remedy}, or create it anew",
    )


def apply(chosen: Plan, memory_limit_bytes: int = 0) -> None:
    """Set the process up as the plan says; the plan is then the only source of numerical choices.

    Args:
        chosen: the plan.
        memory_limit_bytes: what torch may reserve on the GPU; the GPU's context comes on top. 0: no limit.
    """
    torch.set_num_threads(chosen.threads)
    # float32 means float32: TF32's shorter products would make evaluation and the exported graph differ.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    if chosen.compiled:
        torch._dynamo.config.suppress_errors = True  # what can't be compiled runs as it is
    if chosen.device.startswith("cuda"):
        device = torch.device(chosen.device)
        torch.cuda.set_device(device)
        if memory_limit_bytes:
            total = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, memory_limit_bytes / total), device)


def _device(asked: str) -> torch.device:
    if asked == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if asked.startswith("cuda:") and os.environ.get("CUDA_VISIBLE_DEVICES") and torch.cuda.device_count() == 1:
        return torch.device("cuda:0")  # a job that asks for a GPU of the host is shown that one alone
    # Counted before torch sees the number, which it would wrap around at 128.
    if asked.startswith("cuda:") and int(asked.removeprefix("cuda:")) >= torch.cuda.device_count():
        raise TaskFailed(
            "DEVICE_NOT_AVAILABLE", f"{asked}: this host has {torch.cuda.device_count()} CUDA GPU(s): use auto or cpu"
        )
    return torch.device(asked)


def short_type(device: torch.device) -> str:
    """Return the type of fast products: bfloat16 from Ampere on and on CPUs that have it, float16 on Volta, Turing."""
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32"
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & set(_cpu_info("flags").split()) else "float32"


def layout_of(chosen: Plan) -> torch.memory_format:
    """Return the memory format that a plan names."""
    return torch.channels_last if chosen.memory_format == "channels_last" else torch.contiguous_format


def autocast(chosen: Plan) -> torch.autocast:
    """Return the context in which forward passes of training run: their products have the plan's type."""
    dtype = torch.float16 if chosen.autocast == "float16" else torch.bfloat16
    return torch.autocast(torch.device(chosen.device).type, dtype, enabled=chosen.autocast != "float32")


def free_memory() -> None:
    """Give back what a step that lacked memory has left; the caller holds none of its tensors any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _threads(asked: int) -> int:
    cores = _cores()
    if asked > cores:
        raise TaskFailed(
            "THREADS_NOT_AVAILABLE", f"execution.threads {asked}: the trainer has {cores} core(s): use that or less"
        )
    return asked or cores


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _cpu_name() -> str:
    return _cpu_info("model name") or "cpu"


def _cpu_info(field: str) -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(field):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""

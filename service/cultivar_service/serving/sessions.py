"""ONNX Runtime sessions: on the GPU where there is one that works, else on the CPU, and known which of the two."""

import logging
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime as ort

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_CUDA_OPTIONS = {
    # Answers as the CPU's, which the golden images were made with.
    "use_tf32": "0",
    # The exhaustive search would run anew for every batch size, in the middle of serving.
    "cudnn_conv_algo_search": "HEURISTIC",
    # A shared GPU's memory is taken as needed, not in powers of two.
    "arena_extend_strategy": "kSameAsRequested",
}


def open_session(onnx: Path, *, device: str, threads: int) -> Any:
    """Open a graph.

    Args:
        onnx: its file, which is known to name no other; given as bytes, ONNX Runtime's wrapper would keep them.
        device: `auto`, `cpu` or `cuda`.
        threads: that one batch is computed with on a CPU.

    Raises:
        Exception: ONNX Runtime can't; its exceptions share no other base.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between requests would take the cores from decoding and from trainers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    on_gpu = device != "cpu" and _has_cuda(device)
    session = ort.InferenceSession(str(onnx), options, providers=[(CUDA, _CUDA_OPTIONS), CPU] if on_gpu else [CPU])
    if on_gpu and provider_of(session) == CPU:
        # ONNX Runtime falls back without an error, and everything is a hundred times slower.
        logger.error("CUDA was asked for and could not be used: this model runs on the CPU; see ONNX Runtime's log")
    return session


def wants_gpu(device: str) -> bool:
    """Tell whether sessions try to compute on a GPU.

    Args:
        device: `auto`, `cpu` or `cuda`.
    """
    return device != "cpu" and CUDA in ort.get_available_providers()


def provider_of(session: Any) -> str:
    """Return what computes: `CUDAExecutionProvider` or `CPUExecutionProvider`."""
    return str(session.get_providers()[0])


def lacks_memory(error: Exception) -> bool:
    """Tell whether a GPU's memory did not suffice: for ONNX Runtime itself, or for cuBLAS or cuDNN."""
    text = str(error).lower()
    return "memory" in text or "alloc_failed" in text


@cache
def _has_cuda(device: str) -> bool:
    if CUDA not in ort.get_available_providers():
        if device == "cuda":
            logger.error("device is cuda, but this ONNX Runtime knows no CUDA: install cultivar[service-gpu]")
        return False
    # The libraries of the nvidia packages lie beside it, where the loader does not look by itself.
    ort.preload_dlls()
    return True

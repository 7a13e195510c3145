"""What a package was made with: code, libraries, host. It explains differences between two runs of one recipe."""

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version
from pathlib import Path

import torch

import cultivar_contract
import cultivar_trainer

_LIBRARIES = ("torch", "torchvision", "onnx", "onnxscript", "numpy", "pillow", "protobuf", "scipy", "cykooz-resizer")


def code() -> dict[str, str]:
    """Return the version of this code, and the sha256 over all of its files that take part in a training."""
    digest = hashlib.sha256()
    for package in (cultivar_contract, cultivar_trainer):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    try:
        version = library_version("cultivar")
    except PackageNotFoundError:  # run from a checkout that is not installed
        version = ""
    return {"version": version, "sha256": digest.hexdigest()}


def libraries() -> dict[str, str]:
    """Return the versions of Python and of what computes."""
    import onnxruntime  # by import: the distribution is onnxruntime or onnxruntime-gpu

    found = {"python": platform.python_version(), "onnxruntime": str(onnxruntime.__version__)}
    found |= {name: library_version(name) for name in _LIBRARIES}
    if torch.version.cuda:
        found |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]
    return found


def host(device_name: str) -> dict[str, str | int]:
    """Return what of the host can change bits.

    Args:
        device_name: the processor's or GPU's own name.
    """
    return {
        "device_name": device_name,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
    }

"""Loads a model package into ONNX Runtime and proves, before it answers anybody, that it answers as it was exported."""

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cultivar_contract import package, preprocessing
from cultivar_contract.package import GOLDEN_TOLERANCE, DamagedPackage, Package
from cultivar_contract.preprocessing import Preprocessing, UnreadableImage
from cultivar_service.serving import graph, sessions
from cultivar_service.serving.statistics import VersionStatistics

logger = logging.getLogger(__name__)

MAX_BATCH = 4
"""Images that go through a network at a time on a CPU, where larger batches gain nothing."""
MAX_GPU_BATCH = 32
"""The same on a GPU."""


class Outputs(NamedTuple):
    """What a network says: of a batch (N, classes) each, of one image (classes,) each."""

    logits: NDArray[np.float32]
    """Before the softmax."""
    probabilities: NDArray[np.float32]
    """After it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, weakref_slot=True)
class LoadedVersion:
    """A version in memory. Whoever holds it can finish with it, whatever becomes live meanwhile."""

    model: str
    """Bare name."""
    version: int
    """Its number."""
    class_ids: tuple[str, ...]
    """In label order."""
    class_names: tuple[str, ...]
    """Names to show, in label order."""
    preprocessing: Preprocessing
    """How images become inputs."""
    manifest: dict[str, Any]
    """The package's manifest."""
    session: Any = field(repr=False)
    """The ONNX Runtime session."""
    provider: str
    """What computes: `CPUExecutionProvider` or `CUDAExecutionProvider`."""
    statistics: VersionStatistics = field(default_factory=VersionStatistics, repr=False)
    """What it has done since it was loaded."""

    @property
    def name(self) -> str:
        """The version's full name."""
        return f"models/{self.model}/versions/{self.version}"

    @property
    def runs_on_cpu(self) -> bool:
        """Whether no GPU computes."""
        return self.provider == sessions.CPU

    @property
    def max_batch(self) -> int:
        """Images that go through the network at a time."""
        return MAX_BATCH if self.runs_on_cpu else MAX_GPU_BATCH

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Classify a batch of pixels (N, S, S, channels). Blocks."""
        return Outputs(*self.session.run(["logits", "probabilities"], {"image": pixels}))


def load(folder: Path, *, model: str, version: int, device: str, threads: int) -> LoadedVersion:
    """Verify a package's files, load its graph, replay its golden images. Blocks.

    Raises:
        DamagedPackage: it must not answer.
        OSError: its files can't be read right now.
    """
    try:
        try:
            return _load(folder, model, version, device, threads)
        except _GpuMemory as error:
            # No fault of the package: it must not be rejected for what others have in a GPU.
            logger.error("models/%s/versions/%d runs on the CPU until it is loaded again: %s", model, version, error)
        return _load(folder, model, version, "cpu", threads)
    except DamagedPackage:
        raise  # a ValueError too, which says better what is wrong
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DamagedPackage(
            f"{package.MANIFEST} lacks what serving needs ({type(error).__name__}: {error})", reason="manifest"
        ) from error


class _GpuMemory(Exception):
    """The GPU's memory does not suffice."""


def _load(folder: Path, model: str, version: int, device: str, threads: int) -> LoadedVersion:
    opened = package.open_package(folder)
    package.verify(opened)
    session = _session(opened.onnx, device, threads)
    loaded = LoadedVersion(
        model=model,
        version=version,
        class_ids=opened.class_ids,
        class_names=opened.class_names,
        preprocessing=opened.preprocessing,
        manifest=opened.manifest,
        session=session,
        provider=sessions.provider_of(session),
    )
    golden = opened.golden
    if loaded.preprocessing.version > preprocessing.NEWEST_VERSION:
        raise DamagedPackage(
            f"preprocessing {loaded.preprocessing.version} is newer than this service: upgrade", reason="manifest"
        )
    _warm_up(loaded)
    _replay(loaded, opened, golden)
    return loaded


def _session(onnx: Path, device: str, threads: int) -> Any:
    graph.check(onnx.name, onnx.read_bytes())
    try:
        session = sessions.open_session(onnx, device=device, threads=threads)
    except Exception as error:  # ONNX Runtime's exceptions share no base but this one.
        if device != "cpu" and sessions.lacks_memory(error):
            raise _GpuMemory(str(error)) from None
        raise DamagedPackage(f"{onnx.name} can't be loaded ({type(error).__name__})", reason="graph") from error
    inputs = {one.name: one.type for one in session.get_inputs()}
    outputs = {one.name for one in session.get_outputs()}
    if inputs != {"image": "tensor(uint8)"} or not outputs >= {"logits", "probabilities"}:
        raise DamagedPackage(
            f"{onnx.name} has inputs {inputs} and outputs {sorted(outputs)}: export it again", reason="graph"
        )
    return session


def _warm_up(loaded: LoadedVersion) -> None:
    size, channels = loaded.preprocessing.size, loaded.preprocessing.channels
    answer = _probabilities(loaded, np.zeros((1, size, size, channels), np.uint8))
    if answer.shape != (1, len(loaded.class_ids)):
        raise DamagedPackage(
            f"the graph answers {answer.shape[-1]} classes, the manifest names {len(loaded.class_ids)}", reason="graph"
        )


def _replay(loaded: LoadedVersion, opened: Package, golden: tuple[package.GoldenImage, ...]) -> None:
    for start in range(0, len(golden), MAX_BATCH):
        batch = golden[start : start + MAX_BATCH]
        pixels = []
        for image in batch:
            try:
                pixels.append(preprocessing.load((opened.path / image.file).read_bytes(), loaded.preprocessing))
            except (OSError, UnreadableImage) as error:
                if package.is_shortage(error):
                    raise
                raise DamagedPackage(f"golden image {image.file} can't be read", reason="golden") from error
            if hashlib.sha256(pixels[-1].tobytes()).hexdigest() != image.pixels_sha256:
                # Another build of a decoder may differ in a last bit; what counts is the answer, below.
                logger.warning("%s: golden image %s has other pixels here", loaded.name, image.file)
        answers = _probabilities(loaded, np.stack(pixels))
        for image, answer in zip(batch, answers, strict=True):
            expected = np.asarray(image.probabilities, dtype=np.float64)
            difference = np.abs(answer - expected).max() if answer.shape == expected.shape else np.inf
            if not difference <= GOLDEN_TOLERANCE:  # also when it is NaN
                raise DamagedPackage(
                    f"golden image {image.file} is answered with a probability {difference:.2g} off the exported one, "
                    f"more than {GOLDEN_TOLERANCE:g}",
                    reason="golden",
                )


def _probabilities(loaded: LoadedVersion, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    try:
        return loaded.run(pixels).probabilities
    except Exception as error:  # As at the session: no other base to catch.
        if not loaded.runs_on_cpu and sessions.lacks_memory(error):
            raise _GpuMemory(str(error)) from None
        raise DamagedPackage(f"the graph does not run ({type(error).__name__})", reason="graph") from error

"""From a trained network to an ONNX file that is proved to answer like it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.evaluation import evaluation_batch
from cultivar_trainer.networks.network import Network

OPSET = 18
"""Pinned: a newer exporter must not change what serving gets."""
PARITY_TOLERANCE = 1e-4
"""Largest allowed |difference of a probability| between the export and fp32 PyTorch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How an export compares with PyTorch."""

    image_count: int
    max_probability_difference: float
    top1_differences: int
    """Images whose most probable class differs, ties left out."""


class _ServingGraph(nn.Module):
    """What serving runs: pixels in, logits and probabilities out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 (N, H, W, 3) to logits and probabilities (N, K)."""
        logits = self.network(image.permute(0, 3, 1, 2).to(torch.float32) / 255)
        return logits, torch.softmax(logits, dim=1)


def export_onnx(network: Network) -> bytes:
    """Return the network as one ONNX file: uint8 `image` (N, S, S, 3) to `logits` and `probabilities` (N, K).

    Normalisation and softmax are inside; the batch is the only symbolic dimension; names of source files and stack
    traces are removed, so that checkouts at different paths give identical bytes.
    """
    import onnx  # two seconds that only exports pay

    graph = _ServingGraph(network).eval().cpu().to(memory_format=torch.contiguous_format)
    example = torch.zeros(2, network.input_size, network.input_size, network.channels, dtype=torch.uint8)
    with torch.no_grad():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits", "probabilities"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def session(model: bytes, threads: int) -> Any:
    """Open an ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_probabilities(onnx_session: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Classify images (N, S, S, 3) as serving does; float32 (N, K)."""
    batches = [onnx_session.run(["probabilities"], {"image": batch})[0] for batch in _split(images)]
    return np.concatenate(batches)


@torch.no_grad()
def torch_probabilities(network: Network, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """Classify images (N, S, S, 3) with PyTorch in fp32; float32 (N, K)."""
    graph = _ServingGraph(network).eval().to(device)
    batches = [graph(torch.from_numpy(batch).to(device))[1].cpu().numpy() for batch in _split(images)]
    return np.concatenate(batches)


def compare(onnx: NDArray[np.float32], reference: NDArray[np.float32]) -> Parity:
    """Compare probabilities (N, K) of the export with PyTorch's.

    Two classes count as tied where an image's own differences, which are bounded by the tolerance, could swap them.
    """
    differences = np.abs(onnx - reference).max(axis=1)
    best_two = np.sort(reference, axis=1)[:, -2:]
    tied = best_two[:, 1] - best_two[:, 0] <= 2 * np.minimum(differences, PARITY_TOLERANCE)
    return Parity(
        image_count=len(onnx),
        max_probability_difference=float(differences.max()),
        top1_differences=int(((onnx.argmax(1) != reference.argmax(1)) & ~tied).sum()),
    )


def check_parity(parity: Parity) -> None:
    """Let only an export pass that answers like PyTorch.

    Raises:
        TaskFailed: EXPORT_DIFFERS.
    """
    # Written so that NaN fails.
    if not (parity.max_probability_difference <= PARITY_TOLERANCE and parity.top1_differences == 0):
        raise TaskFailed(
            "EXPORT_DIFFERS",
            f"the ONNX file differs from PyTorch by up to {parity.max_probability_difference:.3g} in a probability "
            f"(allowed: {PARITY_TOLERANCE:g}) and in the class of {parity.top1_differences} of {parity.image_count} "
            "images: it is not published; please report the architecture and recipe",
        )


def _split(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    batch_size = evaluation_batch(images.shape[1])
    for start in range(0, len(images), batch_size):
        yield np.ascontiguousarray(images[start : start + batch_size])


def strip(model: Any) -> None:
    """Remove what tells where and by what a graph was made."""
    model.doc_string = ""
    model.producer_version = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    graph.name = "cultivar"
    for part in (
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
        *model.functions,
    ):
        del part.metadata_props[:]
        part.doc_string = ""

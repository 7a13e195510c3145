"""Real model packages, small: the mean colour of an 8 x 8 image decides between three classes."""

import hashlib
import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cultivar_contract import files, package, preprocessing
from cultivar_contract.preprocessing import Preprocessing

SIZE = 8
CLASSES = ("aster", "lily", "rose")
"""Most probable for images that are mostly red, green, blue."""
PREPROCESSING = Preprocessing(
    size=SIZE, resize=SIZE, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)

GREY = Preprocessing(size=SIZE, resize=SIZE, interpolation="bilinear", mean=(0.5,), std=(0.5,), channels=1)


def encoded(colour: tuple[int, int, int], *, size: int = 16, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, format)
    return buffer.getvalue()


RED, GREEN, BLUE = encoded((220, 10, 20)), encoded((10, 220, 20)), encoded((20, 10, 220))


def write_package(
    folder: Path,
    *,
    sharpness: float = 4.0,
    accuracy: float = 0.9,
    loss: float = 0.5,
    macro_f1: float = 0.75,
    val_digest: str = "v",
    selection_metric: str = "SELECTION_METRIC_TOP1",
    golden_error: float = 0.0,
    channels: int = 3,
    recipe: dict | None = None,
    weights: bool = False,
    dataset_digest: str = "d",
    test_digest: str = "",
    tested: bool = True,
) -> Path:
    """Write a package whose `sharpness` shows in its probabilities; one channel is classified by its own brightness."""
    (folder / "golden").mkdir(parents=True)
    onnx.save(_graph(sharpness, channels), folder / "model.onnx")
    if weights:
        np.savez(folder / "weights.npz", weights=np.eye(3))
    inputs = PREPROCESSING if channels == 3 else GREY
    golden = []
    for index, image in enumerate((RED, GREEN)):
        name = f"golden/{index}.png"
        (folder / name).write_bytes(image)
        pixels = preprocessing.load(image, inputs)
        expected = probabilities(image, sharpness, channels) + golden_error
        golden.append(
            {
                "file": name,
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "probabilities": expected.tolist(),
            }
        )
    figures = {"image_count": 30, "loss": loss, "accuracy": accuracy, "top5_accuracy": 1.0, "macro_f1": macro_f1}
    manifest = {
        "training_job": "trainingJobs/x",
        "architecture": "lenet5",
        "classes": [{"id": one, "display_name": one.title()} for one in CLASSES],
        "dataset": {
            "name": "datasets/flowers/versions/1",
            "digest": dataset_digest,
            "splits": {"val": {"digest": val_digest}} | ({"test": {"digest": test_digest}} if test_digest else {}),
        },
        "preprocessing": inputs.to_json(),
        "input": {"size": SIZE, "shape": [None, SIZE, SIZE, channels]},
        "channels": channels,
        "golden": golden,
        "variants": [
            {
                "name": "fp32",
                "file": "model.onnx",
                "sha256": files.sha256_file(folder / "model.onnx"),
                "metrics": {"val": figures} | ({"test": figures} if tested else {}),
            }
        ],
        "recipe": recipe or {"selectionMetric": selection_metric},
        "create_time": "2026-01-01T00:00:00Z",
    }
    package.finish(folder, manifest)
    return folder


def probabilities(image: bytes, sharpness: float, channels: int = 3) -> np.ndarray:
    """What the graph answers, computed without it."""
    pixels = preprocessing.load(image, PREPROCESSING if channels == 3 else GREY).astype(np.float64)
    logits = pixels.mean(axis=(0, 1)) @ _weights(sharpness, channels)
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def _weights(sharpness: float, channels: int) -> np.ndarray:
    return (np.eye(3) if channels == 3 else np.array([[-1.0, 0.0, 1.0]])) * sharpness / 255


def _graph(sharpness: float, channels: int) -> onnx.ModelProto:
    weights = numpy_helper.from_array(_weights(sharpness, channels).astype(np.float32), "weights")
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
            helper.make_node("Gemm", ["means", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "mean_colour",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, channels])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3]),
        ],
        [weights, axes],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

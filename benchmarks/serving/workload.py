"""Makes what is sent and what answers: 64 JPEGs, a mobilenet_v3_small package, its float-input twin, a data directory.

    python -m benchmarks.serving.workload FOLDER --checkout DIR [--photographs FILE.tar]

Runs with the measured checkout's own code on the path: exporter, preprocessing and catalog are its own.
"""

import argparse
import asyncio
import hashlib
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COUNT = 64
SIZE = (500, 400)
SMALLEST, LARGEST = 40_000, 59_000
"""Bytes of a JPEG."""
CLASSES = 1000
ARCHITECTURE = "mobilenet_v3_small"
INPUT = 224


def main() -> None:
    """Make a workload in a folder."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("folder", type=Path)
    flags.add_argument("--checkout", type=Path, required=True)
    flags.add_argument("--photographs", type=Path, help="tar of photographs; without it, images are drawn")
    options = flags.parse_args()
    sys.path.insert(0, str(options.checkout / "tests" / "service"))
    folder: Path = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    write_images(folder / "images", options.photographs)
    images = [path.read_bytes() for path in sorted((folder / "images").glob("*.jpg"))]
    write_package(folder / "package", images, folder)
    asyncio.run(write_data_directory(folder / "data", folder / "package"))


def write_images(folder: Path, photographs: Path | None) -> None:
    """Write 64 JPEGs of 500 x 400 pixels and 40 to 59 kB."""
    folder.mkdir(parents=True)
    source = from_tar(photographs) if photographs is not None else drawn()
    for number, image in zip(range(COUNT), source, strict=False):
        target = SMALLEST + (LARGEST - SMALLEST) * (number + 0.5) / COUNT
        (folder / f"{number:02d}.jpg").write_bytes(_encode(image, target))


def from_tar(path: Path) -> Iterator[Image.Image]:
    """Yield photographs, spread evenly over an archive, cut and resized."""
    with tarfile.open(path) as archive:
        members = [one for one in archive.getmembers() if one.name.endswith(".jpg")]
        members = [members[index * len(members) // COUNT] for index in range(COUNT)]
        for member in members:
            content = archive.extractfile(member)
            assert content is not None
            image = Image.open(content).convert("RGB")
            scale = max(SIZE[0] / image.width, SIZE[1] / image.height)
            width, height = SIZE[0] / scale, SIZE[1] / scale
            left, top = (image.width - width) / 2, (image.height - height) / 2
            box = (left, top, left + width, top + height)
            yield image.resize(SIZE, Image.Resampling.BICUBIC, box=box)


def drawn() -> Iterator[Image.Image]:
    """Yield images of coloured noise in octaves, about as busy as photographs."""
    generator = np.random.default_rng(0)
    while True:
        total = np.zeros((SIZE[1], SIZE[0], 3))
        for octave in range(2, 8):
            cells = generator.normal(size=(3, 3 * 2**octave // 4, 4 * 2**octave // 4)).astype(np.float32)
            planes = [Image.fromarray(plane).resize(SIZE, Image.Resampling.BICUBIC) for plane in cells]
            total += np.stack([np.asarray(plane) for plane in planes], axis=2) / 1.6**octave
        yield Image.fromarray(np.clip(128 + 110 * total / total.std() / 2, 0, 255).astype(np.uint8))


def _encode(image: Image.Image, target: float) -> bytes:
    """Return the JPEG whose quality brings it nearest to a size in bytes, within the limits."""
    found = []
    for quality in range(50, 100):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        found.append(buffer.getvalue())
    allowed = [one for one in found if SMALLEST <= len(one) <= LARGEST]
    return min(allowed or found, key=lambda one: abs(len(one) - target))


def write_package(folder: Path, images: Sequence[bytes], beside: Path) -> None:
    """Write a package through the real exporter; beside it pixels, float-input graph and right answers.

    The weights are random; BatchNorm's statistics are those of the images and the head is scaled so that images get
    different and clear answers.
    """
    from cultivar_contract import files, package, preprocessing
    from cultivar_trainer import export

    network, prepared = _network()
    pixels = np.stack([preprocessing.load(image, prepared) for image in images])
    _calibrate(network, pixels)
    (folder / "golden").mkdir(parents=True)
    model = export.export_onnx(network)
    (folder / "model.onnx").write_bytes(model)
    probabilities = export.onnx_probabilities(export.session(model, 1), pixels)
    golden = []
    for number in range(16):
        name = f"golden/{number:02d}.jpg"
        (folder / name).write_bytes(images[number])
        digest = hashlib.sha256(pixels[number].tobytes()).hexdigest()
        golden.append({"file": name, "pixels_sha256": digest, "probabilities": probabilities[number].tolist()})
    figures = {"image_count": 64, "loss": 1.0, "accuracy": 1.0, "top5_accuracy": 1.0, "macro_f1": 1.0}
    manifest = {
        "training_job": "trainingJobs/bench",
        "architecture": ARCHITECTURE,
        "classes": [{"id": f"{one:04d}", "display_name": f"Class {one}"} for one in range(CLASSES)],
        "dataset": {"name": "datasets/bench/versions/1", "digest": "d", "splits": {"val": {"digest": "v"}}},
        "preprocessing": prepared.to_json(),
        "input": {"name": "image", "dtype": "uint8", "shape": [None, INPUT, INPUT, 3], "size": INPUT},
        "channels": 3,
        "golden": golden,
        "variants": [
            {
                "name": "fp32",
                "file": "model.onnx",
                "sha256": files.sha256_file(folder / "model.onnx"),
                "precision": "float32",
                "opset": export.OPSET,
                "metrics": {"val": figures},
            }
        ],
        "recipe": {"selectionMetric": "SELECTION_METRIC_TOP1"},
        "create_time": "2026-01-01T00:00:00Z",
    }
    package.finish(folder, manifest)
    np.save(beside / "pixels.npy", pixels)
    (beside / "expected.json").write_text(json.dumps(probabilities.argmax(1).tolist()))
    _write_float_graph(beside / "float.onnx", network)
    (beside / "expected_float.json").write_text(json.dumps(_float_answers(beside / "float.onnx", images)))


def _network() -> tuple[Any, Any]:
    """Return a mobilenet_v3_small with random weights, and the preprocessing that its recipe gives."""
    from cultivar.v1 import training_spec_pb2 as pb
    from cultivar_contract.preprocessing import Preprocessing
    from cultivar_contract.recipe import DatasetFacts, Facts, resolve
    from cultivar_trainer.networks.builders import build

    ids = tuple(f"{one:04d}" for one in range(CLASSES))
    counts = {"train": (1,) * CLASSES, "val": (1,) * CLASSES}
    spec = pb.TrainingSpec(dataset="bench", architecture=ARCHITECTURE, mode=pb.FINE_TUNING_MODE_SCRATCH, epochs=1)
    spec.input.size = INPUT
    facts = Facts(dataset=DatasetFacts(name="datasets/bench/versions/1", class_ids=ids, counts=counts))
    resolution = resolve(spec, facts)
    assert not resolution.violations, resolution.violations
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    prepared = Preprocessing(size=INPUT, resize=256, interpolation="bilinear", mean=mean, std=std)
    return build(resolution.recipe, CLASSES, mean=mean, std=std, weights=None).network, prepared


def _calibrate(network: Any, pixels: NDArray[np.uint8]) -> None:
    import torch
    from torch import nn

    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the statistics become the mean over batches
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    with torch.no_grad():
        network.train()
        network(inputs)
        network.eval()
        logits = network(inputs)
        last = [layer for layer in network.head.modules() if isinstance(layer, nn.Linear)][-1]
        # By class, or the few whose logits happen to vary most would win for most images.
        scale = 3 / logits.std(0)
        last.weight.mul_(scale[:, None])
        assert last.bias is not None
        last.bias.copy_((last.bias - logits.mean(0)) * scale)


def _write_float_graph(path: Path, network: Any) -> None:
    """Export the network as its documentation's users do: normalised float32 (N, 3, S, S) to logits."""
    import torch
    from torch import Tensor, nn

    class Plain(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            features: Tensor = network.backbone(image)
            return network.classify(torch.flatten(features, 1))  # type: ignore[no-any-return]

    plain = Plain()
    plain.network = network
    program = torch.onnx.export(
        plain.eval(),
        (torch.zeros(2, 3, INPUT, INPUT),),
        dynamo=True,
        opset_version=18,
        input_names=["input"],
        output_names=["logits"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        external_data=False,
        verbose=False,
    )
    assert program is not None
    path.write_bytes(program.model_proto.SerializeToString())


def _float_answers(path: Path, images: Sequence[bytes]) -> list[int]:
    import onnxruntime

    from benchmarks.serving.peers import by_hand

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [int(session.run(None, {"input": by_hand.prepare(one)[None]})[0][0].argmax()) for one in images]


async def write_data_directory(folder: Path, source: Path) -> None:
    """Publish the package as the checkout's own tests do, and keep the data directory."""
    from published_models import ALWAYS, publish
    from running_service import make_config, running

    from benchmarks.serving.protocols import MODEL

    copy = source.with_name("publishing")
    shutil.copytree(source, copy)
    config = make_config(folder.parent / "service", data_dir=folder)
    async with running(config) as (service, _):
        publication = await publish(service, copy, policy=ALWAYS, model=MODEL)
        assert publication.live, publication.reason
    shutil.rmtree(copy, ignore_errors=True)


if __name__ == "__main__":
    main()

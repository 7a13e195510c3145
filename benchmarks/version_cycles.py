"""Loads and unloads versions of one model, a third of them damaged, and prints what the service's memory grows by.

    python benchmarks/version_cycles.py

A cycle publishes a package of mobilenet_v3_small (random weights, 224 px), which makes it live, asks it for predictions
over gRPC and deletes the model: nothing stays in memory. Every third package can't be served: by turns its files have
changed, its graph is cut off, or it answers its golden images otherwise than it says. RSS is read from the kernel after
every cycle; the figure is its growth over the last 200 of 300, a straight line fitted through them, in kB a cycle. The
bound is 20.
"""

import argparse
import asyncio
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cultivar_service.server import Service

CLASSES = ("aster", "lily", "rose", "tulip", "violet")
SIZE = 224
BOUND_KB = 20.0
DAMAGES = ("files", "graph", "golden")


def main() -> None:
    """Measure and print; exit with 1 where memory grows by more than the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=300)
    parser.add_argument("--measured", type=int, default=200, help="cycles at the end that count")
    parser.add_argument("--write-package", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write_package:
        write_package(options.write_package)
        return
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with tempfile.TemporaryDirectory() as name:
        package = Path(name) / "package"
        # In a process of its own: torch's memory is not the service's.
        subprocess.run([sys.executable, __file__, "--write-package", str(package)], check=True)
        sizes = asyncio.run(run_cycles(Path(name), package, options.cycles))
    growth = slope(sizes[-options.measured :]) / 1000
    print(f"RSS after 1 cycle {sizes[0] / 1e6:.1f} MB, ", end="")
    print(f"after {len(sizes) - options.measured} {sizes[-options.measured] / 1e6:.1f} MB, ", end="")
    print(f"after {len(sizes)} {sizes[-1] / 1e6:.1f} MB")
    print(f"growth over the last {options.measured} cycles {growth:.1f} kB a cycle (bound {BOUND_KB:g})")
    sys.exit(growth > BOUND_KB)


async def run_cycles(folder: Path, package: Path, cycles: int) -> list[int]:
    """Run the cycles in a service of this process; return RSS after each, in bytes."""
    import logging

    import grpc

    from cultivar.v1 import model_pb2, model_pb2_grpc, prediction_pb2, prediction_pb2_grpc, training_pb2
    from cultivar.v1 import training_spec_pb2 as spec_pb2
    from cultivar_service.config import Address, Config
    from cultivar_service.server import Service

    logging.disable(logging.ERROR)  # the rejections are meant
    nowhere = Address("127.0.0.1", 0)
    config = Config(
        data_dir=folder / "data",
        weights_dir=folder / "weights",
        datasets_root=folder / "sources",
        grpc_address=nowhere,
        metrics_address=nowhere,
        min_free_bytes=0,
    )
    recipe = spec_pb2.TrainingSpec(model="flowers", publish=spec_pb2.PUBLISH_POLICY_ALWAYS, architecture="random")
    image = (package / "golden/0.jpg").read_bytes()
    service = Service(config)
    await service.start()
    sizes: list[int] = []
    loading_s: list[float] = []
    async with grpc.aio.insecure_channel(str(service.grpc_address)) as channel:
        models = model_pb2_grpc.ModelServiceStub(channel)
        predictions = prediction_pb2_grpc.PredictionServiceStub(channel)
        for cycle in range(cycles):
            damage = DAMAGES[cycle // 3 % len(DAMAGES)] if cycle % 3 == 2 else ""
            source = await asyncio.to_thread(copy_package, package, folder / "incoming", damage)
            job = training_pb2.TrainingJob(name=f"trainingJobs/{cycle}", recipe=recipe)
            started = time.perf_counter()
            publication = await service.publisher.publish(job, source)
            assert (publication.error is not None) == bool(damage), publication
            if not damage:
                loading_s.append(time.perf_counter() - started)
                for count in (1, 4):
                    request = prediction_pb2.PredictRequest(model="flowers", images=[image] * count)
                    answer = await predictions.Predict(request)
                    assert answer.model_version == publication.model_version, answer.model_version
            await models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers"))
            sizes.append(await settled_bytes(service))
            if (cycle + 1) % 25 == 0:
                print(f"cycle {cycle + 1}: RSS {sizes[-1] / 1e6:.1f} MB", flush=True)
        print(f"median time to publish {sorted(loading_s)[len(loading_s) // 2]:.2f} s")
    await service.close()
    return sizes


def copy_package(package: Path, target: Path, damage: str) -> Path:
    """Copy a package and damage the copy. Blocks."""
    shutil.copytree(package, target)
    manifest = json.loads((target / "manifest.json").read_text())
    onnx = target / "model.onnx"
    if damage == "files":
        data = bytearray(onnx.read_bytes())
        data[len(data) // 2] ^= 1
        onnx.write_bytes(data)
    elif damage == "graph":
        onnx.write_bytes(onnx.read_bytes()[:-1000])
        manifest["files"]["model.onnx"] = hashlib.sha256(onnx.read_bytes()).hexdigest()
    elif damage == "golden":
        manifest["golden"][-1]["probabilities"] = [1.0, 0.0, 0.0, 0.0, 0.0]
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


def write_package(folder: Path) -> None:
    """Write a package of mobilenet_v3_small with random weights."""
    import numpy as np
    import torch
    import torchvision
    from PIL import Image

    from cultivar_contract import files, package, preprocessing
    from cultivar_contract.preprocessing import Preprocessing
    from cultivar_trainer import export

    class Plain(torch.nn.Module):
        input_size, channels = SIZE, 3

        def __init__(self) -> None:
            super().__init__()
            self.inner = torchvision.models.mobilenet_v3_small(num_classes=len(CLASSES))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images)

    torch.manual_seed(0)
    (folder / "golden").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(export.export_onnx(Plain()))
    session = export.session((folder / "model.onnx").read_bytes(), 1)
    inputs = Preprocessing(size=SIZE, resize=256, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
    golden = []
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        (folder / f"golden/{number}.jpg").write_bytes(buffer.getvalue())
        pixels = preprocessing.load(buffer.getvalue(), inputs)
        golden.append(
            {
                "file": f"golden/{number}.jpg",
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "probabilities": export.onnx_probabilities(session, pixels[None])[0].tolist(),
            }
        )
    figures = {"image_count": 30, "loss": 1.6, "accuracy": 0.2, "top5_accuracy": 1.0, "macro_f1": 0.1}
    manifest = {
        "architecture": "mobilenet_v3_small",
        "classes": [{"id": name, "display_name": name.title()} for name in CLASSES],
        "dataset": {"name": "datasets/flowers/versions/1", "splits": {"val": {"digest": "v"}}},
        "preprocessing": inputs.to_json(),
        "golden": golden,
        "variants": [
            {
                "name": "fp32",
                "file": "model.onnx",
                "sha256": files.sha256_file(folder / "model.onnx"),
                "metrics": {"val": figures},
            }
        ],
        "recipe": {"selectionMetric": "SELECTION_METRIC_TOP1"},
    }
    package.finish(folder, manifest)


def slope(sizes: list[int]) -> float:
    """Return the slope of the straight line nearest to `sizes`, in bytes a step."""
    import numpy as np

    return float(np.polyfit(np.arange(len(sizes)), np.asarray(sizes, dtype=np.float64), 1)[0])


async def settled_bytes(service: "Service") -> int:
    """Return resident memory once no version is in it, what was freed has gone back, and it stays as it is."""
    sizes = [resident_bytes()]
    for _ in range(100):
        await asyncio.sleep(0.05)
        # A batch that is being warmed holds its version.
        if service.metrics.registry.get_sample_value("cultivar_loaded_versions"):
            sizes.clear()
        sizes.append(resident_bytes())
        if len(sizes) > 12 and max(sizes[-4:]) - min(sizes[-4:]) < 100_000:
            break
    return sizes[-1]


def resident_bytes() -> int:
    """Return this process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()

"""An unmodified `tritonclient[grpc]`, in an environment and a process of its own, against a running service."""

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_models import published
from tiny_package import BLUE, CLASSES, GREEN, PREPROCESSING, RED, SIZE, probabilities

from cultivar_contract import preprocessing

CLIENT = "tritonclient[grpc]==2.73.0"
SCRIPT = Path(__file__).parents[1] / "triton_calls.py"


@pytest.fixture(scope="session")
def triton_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has tritonclient, and nothing of ours: both have stubs of the same protocol."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("needs uv")
    environment = tmp_path_factory.mktemp("triton") / "venv"
    python = environment / "bin" / "python"
    for command in (
        [uv, "venv", "-q", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "-q", "--python", str(python), CLIENT],
    ):
        if subprocess.run(command, stderr=subprocess.DEVNULL, timeout=300, check=False).returncode:
            pytest.skip(f"{CLIENT} can't be installed here")
    return python


@pytest.mark.slow
async def test_an_unmodified_tritonclient_is_served(
    tmp_path: Path, make_package: Callable[..., Path], triton_python: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    images = [jpeg(one) for one in (RED, GREEN, BLUE)]
    for index, image in enumerate(images):
        (folder / f"{index}.jpg").write_bytes(image)
    np.save(folder / "pixels.npy", np.stack([preprocessing.load(image, PREPROCESSING) for image in images]))
    expected = np.stack([probabilities(image, 4.0) for image in images])

    async with published(tmp_path, [make_package("one"), make_package("two")]) as (service, _):
        process = await asyncio.create_subprocess_exec(
            str(triton_python),
            str(SCRIPT),
            str(service.grpc_address),
            str(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        )
        stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    answers = json.loads(stdout)

    assert answers["live"] is answers["ready"] is answers["model_ready"] is answers["version_ready"] is True
    assert {"classification", "statistics", "model_configuration"} < set(answers["server"]["extensions"])
    assert answers["metadata"]["inputs"] == [
        {"name": "image", "datatype": "UINT8", "shape": ["-1", str(SIZE), str(SIZE), "3"]}
    ]
    assert [one["name"] for one in answers["metadata"]["outputs"]] == ["probabilities", "logits"]
    config = answers["config"]["config"]
    assert (config["platform"], config["max_batch_size"]) == ("onnxruntime_onnx", 256)
    assert config["input"][0]["data_type"] == "TYPE_UINT8"
    assert config["input"][0]["format"] == "FORMAT_NHWC"
    assert [one["label_filename"] for one in config["output"]] == ["manifest.json"] * 2
    assert "dynamic_batching" in config
    assert [(one["version"], one["state"]) for one in answers["index"]["models"]] == [("1", "READY"), ("2", "READY")]
    assert answers["response"] == {"id": "seven", "version": "1", "training_job": "trainingJobs/x"}
    for name in ("pixels", "encoded", "named_version"):
        np.testing.assert_allclose(answers[name], expected, atol=1e-6)
    for one in (*answers["asynchronous"], *answers["aio"]):
        np.testing.assert_allclose(one, expected, atol=1e-6)
    logits = np.exp(np.array(answers["logits"]))
    np.testing.assert_allclose(logits / logits.sum(axis=1, keepdims=True), expected, atol=1e-5)
    for index, (row, name) in enumerate(zip(answers["labels"], CLASSES, strict=True)):
        assert len(row) == 2
        value, position, label = row[0].split(":")
        assert float(value) == pytest.approx(expected[index].max(), abs=1e-6)
        assert (position, label) == (str(index), name.title())
    (statistics,) = answers["statistics"]["model_stats"]
    assert int(statistics["inference_stats"]["success"]["count"]) == 1 + 1 + 1 + 1 + 8 + 8
    assert int(statistics["inference_count"]) == 20 * 3
    assert all(int(one["compute_infer"]["ns"]) > 0 for one in statistics["batch_stats"])
    assert {name: code.removeprefix("StatusCode.") for name, (code, _) in answers["errors"].items()} == {
        "floats": "INVALID_ARGUMENT",
        "shape": "INVALID_ARGUMENT",
        "image": "INVALID_ARGUMENT",
        "output": "INVALID_ARGUMENT",
        "model": "NOT_FOUND",
        "version": "NOT_FOUND",
        "load": "UNIMPLEMENTED",
        "shared_memory": "UNIMPLEMENTED",
    }
    assert "UINT8" in answers["errors"]["floats"][1]


def jpeg(image: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(image)).save(buffer, "JPEG")
    return buffer.getvalue()

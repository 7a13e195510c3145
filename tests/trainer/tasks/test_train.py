import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torchvision

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import package, preprocessing
from cultivar_contract.run_directory import Result, RunDirectory, read_events
from cultivar_trainer import export
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.networks.builders import build

Resolved = Callable[..., pb.TrainingSpec]
RunTrainer = Callable[..., tuple[RunDirectory, Result]]


def weights_file(folder: Path) -> Path:
    torch.manual_seed(5)
    model = torchvision.models.mobilenet_v2()
    torch.save(model.state_dict(), folder / "mine.pth")
    return folder / "mine.pth"


def test_events_tell_the_whole_story_in_order(trained: RunDirectory) -> None:
    events, _ = read_events(trained.events(1), 0)

    kinds = [event.WhichOneof("event") for event in events if event.WhichOneof("event") != "progress"]
    assert kinds == [
        "phase_entered",
        "data_prepared",
        "network_built",
        "phase_entered",
        "checkpoint_written",
        "memory_measured",
        "epoch_finished",
        "epoch_finished",
        "checkpoint_written",
        "fit_assessed",
        "phase_entered",
        "export_verified",
        "phase_entered",
        "split_evaluated",
        "split_evaluated",
    ]
    prepared = next(event.data_prepared for event in events if event.HasField("data_prepared"))
    assert [(split.split, split.image_count, list(split.class_counts)) for split in prepared.splits] == [
        ("train", 60, [12] * 5),
        ("val", 20, [4] * 5),
        ("test", 20, [4] * 5),
    ]
    assert list(prepared.sample_shape) == [3, 32, 32]
    verified = next(event.export_verified for event in events if event.HasField("export_verified"))
    assert verified.image_count == 20
    assert verified.max_probability_difference <= 1e-4


def test_the_package_is_whole_and_says_how_it_was_made(trained: RunDirectory) -> None:
    made = package.open_package(trained.package)

    package.verify(made)
    assert set(made.manifest["files"]) == {
        "model.onnx",
        "weights.npz",
        "predictions.npz",
        "history.json",
        "curves.json",
        "curves.png",
        "curves.svg",
        "report.html",
        "report.json",
        *(f"golden/{number:02d}.jpg" for number in range(16)),
    }
    assert made.manifest["plan"] == json.loads(trained.plan.read_text())
    assert made.manifest["recipe"]["optimizer"]["learningRate"] == 1e-3
    assert made.manifest["dataset"]["splits"]["val"]["image_count"] == 20
    assert made.manifest["test_evaluations"] == 1


def test_the_graph_takes_pixels_and_has_only_a_symbolic_batch(trained: RunDirectory) -> None:
    model = onnx.load(trained.package / "model.onnx", load_external_data=False)

    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": ["batch", 32, 32, 3], "logits": ["batch", 5], "probabilities": ["batch", 5]}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer)
    assert not any(len(node.metadata_props) or node.doc_string for node in model.graph.node)
    assert b".py" not in (trained.package / "model.onnx").read_bytes()


def test_predictions_are_what_the_graph_says_of_serving_pixels(trained: RunDirectory, flowers: Path) -> None:
    made = package.open_package(trained.package)
    session = export.session(made.onnx.read_bytes(), 1)
    predictions = np.load(made.path / "predictions.npz")

    with DatasetVersion(flowers) as version:
        for split in ("val", "test"):
            samples = [one for one in version.samples if one.split == split]
            pixels = np.stack([preprocessing.load(version.read(one), made.preprocessing) for one in samples])
            assert predictions[f"{split}_path"].tolist() == [one.path for one in samples]
            assert np.allclose(
                export.onnx_probabilities(session, pixels), predictions[f"{split}_probabilities"], atol=1e-6
            )


def test_the_weights_are_those_of_the_graph(trained: RunDirectory, resolved: Resolved) -> None:
    network = build(resolved(), 5, mean=(0.5,) * 3, std=(0.5,) * 3, weights=None).network
    arrays = np.load(trained.package / "weights.npz")
    network.load_tensors({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)

    session = export.session((trained.package / "model.onnx").read_bytes(), 1)

    ours = export.torch_probabilities(network, pixels, torch.device("cpu"))
    assert np.abs(export.onnx_probabilities(session, pixels) - ours).max() < 1e-5


@pytest.mark.slow
def test_head_mode_reports_the_weights_it_loaded_and_caching_features_changes_nothing(
    resolved: Resolved, run_trainer: RunTrainer, tmp_path: Path
) -> None:
    file = weights_file(tmp_path)
    heads = []
    for cache in ("FEATURE_CACHE_AUTO", "FEATURE_CACHE_OFF"):
        recipe = resolved(
            (file.name,),
            architecture="mobilenet_v2",
            mode="FINE_TUNING_MODE_HEAD",
            weights=file.name,
            epochs=2,
            batchSize=16,
            input={"size": 32},
            network={"headDropout": 0},
            execution={"featureCache": cache},
        )
        run, result = run_trainer(recipe, tmp_path)
        assert result.outcome == "SUCCEEDED", result
        heads.append(np.load(run.package / "weights.npz"))

    manifest = package.open_package(run.package).manifest
    assert manifest["weights"]["source"] == "mine.pth"
    assert manifest["weights"]["tensors_loaded"] == 312
    assert manifest["weights"]["tensors_replaced"] == ["classifier.1.weight", "classifier.1.bias"]
    original = torch.load(file, weights_only=True)
    for name in heads[0].files:
        assert np.abs(heads[0][name] - heads[1][name]).max() <= 1e-5
        if not name.startswith("classifier"):
            assert np.array_equal(heads[0][name], original[name].numpy())


@pytest.mark.all
def test_measured_normalisation_is_told_and_inside_the_graph_and_mixed_batches_train(
    resolved: Resolved, run_trainer: RunTrainer
) -> None:
    run, result = run_trainer(
        resolved(
            epochs=1,
            batchSize=16,
            input={"normalisation": "NORMALISATION_MEASURED", "normalisationRatio": 0.5},
            augmentation={"mixup": 0.2, "cutmix": 1.0},
            loss={"labelSmoothing": 0.1},
        )
    )

    assert result.outcome == "SUCCEEDED", run.log(1).read_text()
    events, _ = read_events(run.events(1), 0)
    measured = next(one.normalisation_measured for one in events if one.HasField("normalisation_measured"))
    assert measured.image_count == 30
    made = package.open_package(run.package)
    assert made.preprocessing.mean == pytest.approx(measured.mean)
    assert made.preprocessing.std == pytest.approx(measured.std)
    assert all(0.05 < one < 0.5 for one in measured.std)
    model = onnx.load(run.package / "model.onnx")
    constants = [onnx.numpy_helper.to_array(one).flatten() for one in model.graph.initializer]
    assert any(one.size == 3 and np.allclose(one, measured.mean, atol=1e-6) for one in constants)


@pytest.mark.all
def test_feature_views_train_the_head_that_augmentation_without_a_cache_trains(
    resolved: Resolved, run_trainer: RunTrainer, tmp_path: Path
) -> None:
    file = weights_file(tmp_path)
    heads = []
    for views in (2, 0):
        recipe = resolved(
            (file.name,),
            architecture="mobilenet_v2",
            mode="FINE_TUNING_MODE_HEAD",
            weights=file.name,
            epochs=2,
            batchSize=16,
            input={"size": 32},
            network={"headDropout": 0},
            augmentation={"rotation": 20, "hue": 0.1},
            execution={"featureViews": views},
        )
        run, result = run_trainer(recipe, tmp_path)
        assert result.outcome == "SUCCEEDED", run.log(1).read_text()
        heads.append(np.load(run.package / "weights.npz"))

    for name in heads[0].files:
        assert np.abs(heads[0][name] - heads[1][name]).max() <= 1e-5


def test_sigterm_ends_the_job_as_cancelled_and_keeps_its_log(
    resolved: Resolved, flowers: Path, trained: RunDirectory, tmp_path: Path
) -> None:
    attempt, request = trained.read_request()
    request["recipe"]["epochs"] = 10_000
    run = RunDirectory(tmp_path)
    run.write_request(attempt, request)
    with run.log(1).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cultivar_trainer", "train", str(tmp_path)], stdout=log, stderr=log
        )
    while not any(event.HasField("epoch_finished") for event in read_events(run.events(1), 0)[0]):
        assert process.poll() is None, run.log(1).read_text()
        time.sleep(0.05)

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(10) == 1
    result = run.read_result(1)
    assert result is not None
    assert result.outcome == "CANCELLED"
    assert "epoch 1/10000" in run.log(1).read_text()


@pytest.mark.slow
def test_two_runs_and_a_checkout_at_another_path_give_identical_bytes(
    resolved: Resolved, run_trainer: RunTrainer, tmp_path: Path
) -> None:
    root = Path(__file__).parents[3]
    for part in ("protos", "contract", "trainer"):
        shutil.copytree(root / part, tmp_path / "elsewhere" / part)
    elsewhere = os.pathsep.join(str(tmp_path / "elsewhere" / part) for part in ("protos", "contract", "trainer"))
    recipe = resolved(
        architecture="resnet18",
        network={"stem": "STEM_CIFAR"},
        epochs=2,
        batchSize=16,
        augmentation={"paddedCrop": 4, "horizontalFlip": 0.5, "hue": 0.1},
    )

    runs = [run_trainer(recipe)[0], run_trainer(recipe)[0], run_trainer(recipe, PYTHONPATH=elsewhere)[0]]

    graphs = [(run.package / "model.onnx").read_bytes() for run in runs]
    assert graphs[0] == graphs[1] == graphs[2]
    weights = [np.load(run.package / "weights.npz") for run in runs]
    assert all(np.array_equal(weights[0][name], weights[2][name]) for name in weights[0].files)

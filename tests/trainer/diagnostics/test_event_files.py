import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diagnosed_jobs import train
from PIL import Image

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.diagnostics import job_diagnostics, summaries
from cultivar_trainer.diagnostics.event_file import EventFile, record
from cultivar_trainer.diagnostics.schedule import is_due

Resolved = Callable[..., pb.TrainingSpec]
EVERYTHING = {"sampleImages": True, "parameterHistograms": True, "gradientHistograms": True}


def read(folder: Path) -> Any:
    """Read a folder as TensorBoard does."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def steps(folder: Path, tag: str = "Loss/train") -> list[int]:
    return [one.step for one in read(folder).Scalars(tag)]


@pytest.mark.parametrize(
    ("every", "epochs", "due"),
    [(0, 10, [0, 1, 2, 4, 8, 10]), (3, 7, [0, 3, 6, 7]), (1, 3, [0, 1, 2, 3]), (100, 2, [0, 2])],
)
def test_a_look_is_due(every: int, epochs: int, due: list[int]) -> None:
    assert [one for one in range(epochs + 1) if is_due(one, every, last=one == epochs)] == due


def test_tensorboard_reads_what_a_job_wrote(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=3, batchSize=16, diagnostics=EVERYTHING, augmentation={"horizontalFlip": 0.5})

    ended = train(recipe, tmp_path)

    found, history = read(tmp_path / "tensorboard"), ended.job.progress.histories[0]
    for tag, name in (
        ("Loss/train", "train_loss"),
        ("Loss/validation", "val_loss"),
        ("Accuracy/train", "train_accuracy"),
        ("Accuracy/validation", "val_accuracy"),
        ("Learning rate", "learning_rate"),
    ):
        points = found.Scalars(tag)
        assert [one.step for one in points] == [1, 2, 3]
        assert [one.value for one in points] == pytest.approx([getattr(one, name) for one in history.epochs])
    assert [one.step for one in found.Scalars("Gradient norm/features.0.conv")] == [0, 1, 2, 3]
    assert [one.step for one in found.Scalars("Dead units/features.1.activation")] == [0, 1, 2, 3]
    names = dict(ended.job.network.original_parameters())
    assert set(found.Tags()["histograms"]) == {*names, *(f"{name}_grad" for name in names)}
    weight = found.Histograms("features.0.conv.weight")[0].histogram_value
    assert weight.num == sum(weight.bucket) == names["features.0.conv.weight"].numel()
    assert set(found.Tags()["images"]) == {"Images/training", "Images/validation"}
    assert found.Images("Images/training")[0].width == 4 * 32


def test_heads_that_learn_at_once_have_a_folder_each(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(
        epochs=3, optimizer={"learningRates": [1e-3, 1e-2, 1e-1]}, diagnostics={"gradientHistograms": True}
    )

    ended = train(recipe, tmp_path, at_once=True)

    assert not ended.symptoms
    for number, history in enumerate(ended.job.progress.histories, start=1):
        found = read(tmp_path / f"tensorboard/candidate-{number}")
        assert [one.value for one in found.Scalars("Loss/train")] == pytest.approx(
            [one.train_loss for one in history.epochs]
        )
        assert [one.step for one in found.Scalars("Gradient norm/classifier")] == [0, 1, 2, 3]
        assert set(found.Tags()["histograms"]) == {"classifier.weight_grad", "classifier.bias_grad"}


@pytest.mark.slow
def test_the_sizes_that_the_fields_help_tells_hold(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=2, batchSize=16, diagnostics=EVERYTHING)
    ended = train(recipe, tmp_path)
    size = next((tmp_path / "tensorboard").iterdir()).stat().st_size

    tensors = len(ended.job.network.original_parameters())

    assert size < 3 * (2 * 1000 * tensors + 2_000_000 + 1000)
    assert size < 3 * (2 * 1000 * tensors + 1000) + 3 * 60_000, "eight pictures of 32 px each"


@pytest.mark.slow
def test_a_later_attempt_goes_on_without_a_point_twice(
    resolved: Resolved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = resolved(epochs=5, batchSize=16)
    train(recipe, tmp_path / "whole")

    class Killed(BaseException):
        pass

    # Killed when epoch 4 was shown and not yet saved: the newest checkpoint is of before.
    epochs = []
    original = job_diagnostics.Diagnostics.after_epoch

    def after_epoch(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        epochs.append(named["epoch"])
        if len(epochs) == 4:
            raise Killed

    monkeypatch.setattr(job_diagnostics.Diagnostics, "after_epoch", after_epoch)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed", saves_each_update=True)
    monkeypatch.undo()
    train(recipe, tmp_path / "killed")

    killed_at, whole = tmp_path / "killed/tensorboard", tmp_path / "whole/tensorboard"
    assert len(list(killed_at.iterdir())) == 2
    for tag in ("Loss/train", "Gradient norm/classifier"):
        assert steps(killed_at, tag) == steps(whole, tag)
        assert [one.value for one in read(killed_at).Scalars(tag)] == [one.value for one in read(whole).Scalars(tag)]


def test_a_step_that_comes_again_takes_the_earlier_ones_place(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    for step, value in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0)):
        file.write(step, summaries.scalars({"a": value}))

    assert [(one.step, one.value) for one in read(tmp_path).Scalars("a")] == [(1, 1.0), (2, 20.0)]


def test_a_record_is_as_tensorboards_own_writer_makes_it() -> None:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    data = bytes(range(256)) * 3

    made = record(data)

    assert made[8:12] == masked_crc32c(made[:8]).to_bytes(4, "little")
    assert made[-4:] == masked_crc32c(data).to_bytes(4, "little")


def test_a_full_disk_ends_tensorboard_and_not_the_job(resolved: Resolved, tmp_path: Path) -> None:
    folder = tmp_path / "tensorboard"
    folder.mkdir()
    (folder / "events.out.tfevents.0002").symlink_to("/dev/full")

    ended = train(resolved(epochs=2, batchSize=16), tmp_path)

    assert ended.failure is None
    assert len(ended.warnings) == 1
    assert ended.warnings[0].startswith("TensorBoard's files end here, training goes on: ")


def test_files_that_are_large_get_scalars_alone(
    resolved: Resolved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_diagnostics, "MOST_BYTES", 1000)

    ended = train(resolved(epochs=2, batchSize=16, diagnostics=EVERYTHING), tmp_path)

    found = read(tmp_path / "tensorboard")
    assert steps(tmp_path / "tensorboard") == [1, 2]
    assert [one.step for one in found.Histograms("classifier.weight")] == [0]
    assert len(ended.warnings) == 1


def test_histograms_leave_out_what_is_no_number() -> None:
    tensors = {"mixed": torch.tensor([1.0, math.inf, 2.0, math.nan]), "none": torch.tensor([math.nan])}

    (found,) = summaries.histograms(tensors)

    assert (found.histo.num, found.histo.min, found.histo.max) == (2, 1.0, 2.0)


@pytest.mark.parametrize("values", [torch.zeros(3), torch.full((3,), 1e-45), torch.tensor([1.0, 1.0000001, 3e38])])
def test_histograms_have_all_numbers(values: torch.Tensor) -> None:
    (found,) = summaries.histograms({"a": values})

    assert sum(found.histo.bucket) == 3


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_picture_has_its_images_side_by_side(channels: int, mode: str) -> None:
    import io

    found = summaries.picture("a", torch.ones(5, channels, 200, 200))

    image = Image.open(io.BytesIO(found.image.encoded_image_string))
    assert (image.mode, image.size) == (mode, (4 * 128, 2 * 128))
    assert image.getpixel((0, 0)) == (255 if channels == 1 else (255,) * 3)

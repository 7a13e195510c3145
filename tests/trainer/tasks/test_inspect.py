"""Pictures of what a network looks at, by ground truth that was planted in it."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from cultivar.v1 import model_pb2 as pb
from cultivar_contract import files, preprocessing, tasks
from cultivar_contract.package import open_package
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.datasets.version import DatasetVersion, by_split
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.reports.style import save
from cultivar_trainer.tasks.inspect import inspect

FEATURE_MAPS, FILTERS = pb.INSPECTION_VIEW_FEATURE_MAPS, pb.INSPECTION_VIEW_FILTERS
EXCITING, ASCENT = pb.INSPECTION_VIEW_EXCITING_IMAGES, pb.INSPECTION_VIEW_GRADIENT_ASCENT
SEPARATING = pb.INSPECTION_VIEW_SEPARATING_CHANNELS
FIRST = "features.0.conv"
Ask = Callable[..., pb.Inspection]


@pytest.fixture(scope="module")
def planted(trained: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained LeNet-5, the first filter of which adds up how red each of 5 x 5 pixels is."""
    folder = tmp_path_factory.mktemp("planted") / "package"
    shutil.copytree(trained.package, folder)
    with np.load(folder / "weights.npz") as arrays:
        tensors = {name: arrays[name].copy() for name in arrays.files}
    tensors[f"{FIRST}.weight"][0] = np.array([1, -0.5, -0.5], np.float32)[:, None, None]
    tensors[f"{FIRST}.bias"][0] = 0
    np.savez(folder / "weights.npz", **tensors)
    manifest = files.read_json(folder / "manifest.json")
    manifest["files"]["weights.npz"] = files.sha256_file(folder / "weights.npz")
    files.write_json(folder / "manifest.json", manifest)
    return folder


@pytest.fixture(scope="module")
def pixels(planted: Path, flowers: Path) -> np.ndarray:
    """All validation images as the network sees them, (N, S, S, C)."""
    inputs = open_package(planted).preprocessing
    with DatasetVersion(flowers) as version:
        return np.stack([preprocessing.load(version.read(one), inputs) for one in by_split(version.samples)["val"]])


@pytest.fixture
def ask(planted: Path, flowers: Path, tmp_path: Path) -> Iterator[Ask]:
    with Journal(tmp_path / "events.jsonl") as journal:

        def ask(view: int, *, finish: Any = lambda figure: None, **fields: Any) -> pb.Inspection:
            defaults = {
                "layer": "",
                "channel": 0,
                "pixels": "",
                "validation_image": 0,
                "count": 4,
                "steps": 16,
                "seed": 0,
            }
            request = {
                "package": str(planted),
                "dataset": str(flowers),
                "view": view,
                "classes": [],
                **defaults,
                **fields,
            }
            return inspect(tasks.InspectRequest(**request), finish, journal)

        yield ask


def redness(pixels: np.ndarray, planted: Path) -> np.ndarray:
    """What the planted filter answers at each place, (N, 28, 28), by another way."""
    inputs = open_package(planted).preprocessing
    normal = (pixels / 255.0 - np.array(inputs.mean)) / np.array(inputs.std)
    red = normal @ np.array([1, -0.5, -0.5])
    sums = np.pad(red, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    return sums[:, 5:, 5:] - sums[:, :-5, 5:] - sums[:, 5:, :-5] + sums[:, :-5, :-5]


def test_the_images_that_excite_a_red_filter_are_the_red_ones_and_its_box_is_where_they_are_red(
    ask: Ask, pixels: np.ndarray, planted: Path
) -> None:
    expected = redness(pixels, planted)
    best = expected.max(axis=(1, 2))

    found = ask(EXCITING, layer=FIRST)

    assert [one.position for one in found.images] == np.argsort(-best)[:4].tolist()
    for one in found.images:
        assert one.value == pytest.approx(best[one.position], rel=1e-4)
        row, column = np.unravel_index(expected[one.position].argmax(), (28, 28))
        assert list(one.box) == [column, row, column + 5, row + 5]
        assert one.path.split("/")[1] == one.class_id


def test_gradient_ascent_finds_an_input_redder_than_all_validation_images_and_finds_it_again(
    ask: Ask, pixels: np.ndarray, planted: Path, tmp_path: Path
) -> None:
    first, again, other = (
        ask(ASCENT, layer=FIRST, seed=seed, finish=partial(save, path=tmp_path / name))
        for seed, name in ((1, "a.png"), (1, "b.png"), (2, "c.png"))
    )

    assert first.channels[0].value > redness(pixels, planted).mean(axis=(1, 2)).max()
    assert first == again
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes() != (tmp_path / "c.png").read_bytes()
    assert first.channels[0].value != other.channels[0].value


def test_feature_maps_of_a_sent_image_are_those_of_the_same_validation_image_and_need_no_data_set(
    ask: Ask, pixels: np.ndarray, planted: Path
) -> None:
    there = ask(FEATURE_MAPS, validation_image=7)
    sent = ask(FEATURE_MAPS, pixels=base64.b64encode(pixels[7].tobytes()).decode(), dataset="")
    one = ask(FEATURE_MAPS, layer=FIRST, count=64, validation_image=7)

    assert list(there.layers) == ["features.0.activation", "features.1.activation", "features.1.pool"]
    assert (there.images[0].position, len(sent.images)) == (7, 0)
    assert there.channels == sent.channels
    values = [channel.value for channel in one.channels]
    assert values == sorted(values, reverse=True)
    planted_value = next(channel.value for channel in one.channels if channel.channel == 0)
    assert planted_value == pytest.approx(redness(pixels, planted)[7].mean(), rel=1e-4)


def test_channels_are_ranked_by_how_well_they_separate_two_classes(ask: Ask, pixels: np.ndarray, planted: Path) -> None:
    classes = [json.loads((planted / "manifest.json").read_text())["classes"][place]["id"] for place in (0, 3)]

    found = ask(SEPARATING, layer=FIRST, classes=classes, count=64)

    areas = [channel.value for channel in found.channels]
    assert [abs(area - 0.5) for area in areas] == sorted((abs(area - 0.5) for area in areas), reverse=True)
    means = redness(pixels, planted).mean(axis=(1, 2))
    pairs = means[:4, None] - means[None, 12:16]  # four images of each class, in their order
    assert next(one.value for one in found.channels if one.channel == 0) == (pairs > 0).mean()


def test_filters_are_all_shown_with_their_lengths_without_a_data_set(ask: Ask, tmp_path: Path) -> None:
    found = ask(FILTERS, count=64, dataset="", finish=partial(save, path=tmp_path / "filters.png"))

    assert [one.channel for one in found.channels] == list(range(6))
    assert found.channels[0].value == pytest.approx(np.sqrt(25 * 1.5), rel=1e-6)
    with Image.open(tmp_path / "filters.png") as picture:
        assert picture.width == 900


def test_what_can_not_be_inspected_is_refused_with_its_reason(ask: Ask, planted: Path, tmp_path: Path) -> None:
    def reason(view: int, **fields: Any) -> str:
        with pytest.raises(TaskFailed) as told:
            ask(view, **fields)
        return told.value.reason

    assert reason(EXCITING, layer="conv9") == "INVALID_LAYER"
    assert reason(EXCITING, channel=16) == "INVALID_CHANNEL"
    assert reason(FEATURE_MAPS, validation_image=20) == "INVALID_VALIDATION_IMAGE"
    assert reason(FEATURE_MAPS, dataset=str(tmp_path / "gone")) == "DATASET_GONE"
    damaged = tmp_path / "damaged"
    shutil.copytree(planted, damaged)
    (damaged / "weights.npz").write_bytes(b"other")
    assert reason(FILTERS, package=str(damaged)) == "PACKAGE_DAMAGED"
    (damaged / "manifest.json").write_text("{}")
    assert reason(FILTERS, package=str(damaged)) == "PACKAGE_DAMAGED"


@pytest.mark.slow
@pytest.mark.parametrize("view", [FEATURE_MAPS, FILTERS, EXCITING, ASCENT, SEPARATING])
def test_no_text_of_a_picture_meets_another_however_long_names_are(
    ask: Ask, planted: Path, tmp_path: Path, view: int
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(planted, folder)
    manifest = files.read_json(folder / "manifest.json")
    for number, one in enumerate(manifest["classes"]):
        one["display_name"] = f"$\\Wide$ {'W' * 40 * number} \n and more"
    files.write_json(folder / "manifest.json", manifest)
    classes = [one["id"] for one in manifest["classes"][1:3]]

    ask(view, package=str(folder), classes=classes, count=7, finish=check_texts)


def check_texts(figure: Figure) -> None:
    figure.canvas.draw()
    texts = [text for text in figure.texts if text.get_text()]
    for axes in figure.axes:
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label, *_tick_labels(axes)]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert len(boxes) > 1
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
    for one, other in combinations(boxes, 2):
        apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
        assert apart, (one, other)


def _tick_labels(axes: Any) -> Iterator[Text]:
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high:
                yield from (label for label in (tick.label1, tick.label2) if label.get_visible())

"""Task inspect: a picture of what a model's network looks at, and what the picture shows."""

import base64
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray

from cultivar.v1 import model_pb2 as pb
from cultivar_contract import tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.inspection import ascent, map_pictures, ranking_pictures, rankings
from cultivar_trainer.inspection.layers import Layer, Layers, check_channel
from cultivar_trainer.inspection.map_pictures import LayerMaps
from cultivar_trainer.inspection.page import Finish
from cultivar_trainer.inspection.ranking_pictures import Exciting
from cultivar_trainer.inspection.receptive_field import ReceptiveFields
from cultivar_trainer.inspection.subject import (
    MAX_IMAGES,
    Subject,
    ValidationImages,
    open_subject,
    to_input,
    validation_images,
)
from cultivar_trainer.journal import Journal
from cultivar_trainer.reports.style import save

PICTURE = "inspection.png"


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Leave RUN_DIR/inspection.png; answer an Inspection as proto JSON."""
    asked = tasks.from_json(tasks.InspectRequest, request)
    finish = partial(save, path=run_directory.path / PICTURE)
    value: dict[str, Any] = json_format.MessageToDict(inspect(asked, finish, journal))
    return value


def inspect(asked: tasks.InspectRequest, finish: Finish, journal: Journal) -> pb.Inspection:
    """Draw the view that is asked for; its figure goes to `finish`.

    Raises:
        TaskFailed: INVALID_LAYER, INVALID_CHANNEL, INVALID_VALIDATION_IMAGE, INVALID_CLASSES, NO_VALIDATION_IMAGES,
            DATASET_GONE, UNREADABLE_IMAGE, PACKAGE_DAMAGED.
    """
    subject = open_subject(Path(asked.package))
    layers = Layers(subject.network)
    layer = layers.find(asked.layer) if asked.layer else layers.default()
    match asked.view:
        case pb.INSPECTION_VIEW_FILTERS:
            return _filters(asked, layers, finish)
        case pb.INSPECTION_VIEW_GRADIENT_ASCENT:
            check_channel(layer, asked.channel)
            return _gradient_ascent(asked, subject, layer, finish, journal)
        case pb.INSPECTION_VIEW_EXCITING_IMAGES:
            check_channel(layer, asked.channel)
        case pb.INSPECTION_VIEW_FEATURE_MAPS if asked.pixels:
            size, channels = subject.network.input_size, subject.network.channels
            pixels = np.frombuffer(base64.b64decode(asked.pixels), np.uint8).reshape(size, size, channels)
            return _feature_maps(asked, layers, pixels, "your image", finish)
    with _dataset(asked.dataset) as dataset:
        images = validation_images(dataset, subject)
        if asked.view == pb.INSPECTION_VIEW_EXCITING_IMAGES:
            return _exciting_images(asked, subject, layers, layer, images, finish, journal)
        if asked.view == pb.INSPECTION_VIEW_SEPARATING_CHANNELS:
            return _separating_channels(asked, subject, layers, layer, images, finish, journal)
        place, count = asked.validation_image, len(images.samples)
        if place >= count:
            raise TaskFailed(
                "INVALID_VALIDATION_IMAGE", f"{place}: there are {count} validation images: use 0 to {count - 1}"
            )
        title = f"validation image {place} ({subject.class_names[images.samples[place].label]})"
        answer = _feature_maps(asked, layers, images.pixels(place), title, finish)
        answer.images.append(_image(subject, images, place))
        return answer


def _dataset(folder: str) -> DatasetVersion:
    try:
        return DatasetVersion(Path(folder))
    except FileNotFoundError as error:
        raise TaskFailed(
            "DATASET_GONE", "the data set was deleted: import it again, or ask for filters or for an image of yours"
        ) from error


def _feature_maps(
    asked: tasks.InspectRequest, layers: Layers, pixels: NDArray[np.uint8], what: str, finish: Finish
) -> pb.Inspection:
    shown = [layers.find(asked.layer)] if asked.layer else layers.stages()
    found = []
    answer = pb.Inspection(layers=[one.name for one in shown])
    for layer, maps in zip(shown, rankings.activations(layers.network, shown, to_input(pixels[None])), strict=True):
        values = maps[0].numpy()  # (C, H, W)
        # A stable order of negated means: of equal channels the first comes first.
        channels = np.argsort(-values.mean(axis=(1, 2)), kind="stable")[: asked.count].tolist()
        one = LayerMaps(layer=layer, heat=values.mean(axis=0), channels=channels, maps=values[channels])
        found.append(one)
        answer.channels.extend(
            pb.InspectedChannel(layer=layer.name, channel=channel, value=mean)
            for channel, mean in zip(channels, one.means, strict=True)
        )
    map_pictures.feature_maps(found, pixels, f"Feature maps of {what}", finish)
    return answer


def _filters(asked: tasks.InspectRequest, layers: Layers, finish: Finish) -> pb.Inspection:
    layer, network = layers.first_weights(), layers.network
    weights: NDArray[np.float32] = layer.module.weight.detach().numpy()  # type: ignore[operator]
    if weights.ndim == 2:  # a unit's weights are an image, as the input was one
        weights = weights.reshape(len(weights), network.channels, network.input_size, network.input_size)
    shown = list(range(min(asked.count, len(weights))))
    title = f"{len(shown)} of the {len(weights)} filters of the first layer"
    map_pictures.filters(layer, weights[shown], shown, title, finish)
    lengths = np.sqrt((weights[shown].astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
    return pb.Inspection(
        layers=[layer.name],
        channels=[
            pb.InspectedChannel(layer=layer.name, channel=number, value=length)
            for number, length in zip(shown, lengths.tolist(), strict=True)
        ],
    )


def _exciting_images(
    asked: tasks.InspectRequest,
    subject: Subject,
    layers: Layers,
    layer: Layer,
    images: ValidationImages,
    finish: Finish,
    journal: Journal,
) -> pb.Inspection:
    ranked, looked_at = rankings.exciting(layers, layer, asked.channel, images, asked.count, journal)
    fields = ReceptiveFields(subject.network, layer)
    answer = pb.Inspection(
        layers=[layer.name],
        channels=[pb.InspectedChannel(layer=layer.name, channel=asked.channel, value=ranked[0].value)],
    )
    found = []
    for one in ranked:
        box = fields.box(asked.channel, one.row, one.column)
        message = _image(subject, images, one.position)
        message.value = one.value
        message.box.extend(box)
        answer.images.append(message)
        found.append(
            Exciting(
                pixels=images.pixels(one.position),
                box=box,
                value=one.value,
                class_name=subject.class_names[images.samples[one.position].label],
                position=one.position,
            )
        )
    title = f"What excites channel {asked.channel} of {layer.name} ({layer.kind}) most"
    of_all = _of_all(looked_at, len(images.samples))
    note = f"{len(found)} of {of_all}, each with what the channel sees where it is most active (receptive field)."
    if fields.whole_because:
        note = f"{len(found)} of {of_all}. The channel sees the whole image: {fields.whole_because} mixes all places."
    ranking_pictures.exciting_images(found, title, note, finish)
    return answer


def _gradient_ascent(
    asked: tasks.InspectRequest, subject: Subject, layer: Layer, finish: Finish, journal: Journal
) -> pb.Inspection:
    found = ascent.ascend(subject.network, layer, asked.channel, steps=asked.steps, seed=asked.seed, journal=journal)
    pixels = (found.image.permute(1, 2, 0) * 255).round().byte().numpy()
    title = f"An input that excites channel {asked.channel} of {layer.name} ({layer.kind})"
    ranking_pictures.gradient_ascent(found, pixels, f"{title}: {asked.steps} steps, seed {asked.seed}", finish)
    return pb.Inspection(
        layers=[layer.name],
        channels=[pb.InspectedChannel(layer=layer.name, channel=asked.channel, value=found.value)],
    )


def _separating_channels(
    asked: tasks.InspectRequest,
    subject: Subject,
    layers: Layers,
    layer: Layer,
    images: ValidationImages,
    finish: Finish,
    journal: Journal,
) -> pb.Inspection:
    labels = [subject.class_ids.index(one) for one in asked.classes]
    # Half of the limit each, so that both classes together stay within it.
    first, second = (images.positions(label, limit=MAX_IMAGES // 2) for label in labels)
    for one, positions in zip(asked.classes, (first, second), strict=True):
        if not positions:
            raise TaskFailed("NO_VALIDATION_IMAGES", f"no validation image is of class {one!r}: use other classes")
    ranked = rankings.separating(layers, layer, images, first, second, journal)[: asked.count]
    names = subject.class_names[labels[0]], subject.class_names[labels[1]]
    title = f"The {len(ranked)} channels of {layer.name} ({layer.kind}) that separate two classes best"
    total = sum(one.label in labels for one in images.samples)
    note = (
        f"From {_of_all(len(first) + len(second), total)} of both classes. "
        "Area under ROC: the share of pairs in which the first class's image is more active."
    )
    ranking_pictures.separating_channels(ranked, names, title, note, finish)
    return pb.Inspection(
        layers=[layer.name],
        channels=[pb.InspectedChannel(layer=layer.name, channel=one.channel, value=one.area) for one in ranked],
    )


def _image(subject: Subject, images: ValidationImages, position: int) -> pb.InspectedImage:
    sample = images.samples[position]
    return pb.InspectedImage(path=sample.path, position=position, class_id=subject.class_ids[sample.label])


def _of_all(count: int, total: int) -> str:
    return f"all {total} validation images" if count == total else f"{count} of the {total} validation images"

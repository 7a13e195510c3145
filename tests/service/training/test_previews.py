"""Pictures of augmented images."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from running_service import Client, Refusal, make_config, running

from cultivar.v1 import training_pb2
from cultivar.v1 import training_spec_pb2 as pb


async def picture(client: Client, spec: pb.TrainingSpec, **fields: Any) -> list[training_pb2.PreviewChunk]:
    request = training_pb2.PreviewAugmentationRequest(spec=spec, **fields)
    return [chunk async for chunk in client.training.PreviewAugmentation(request)]


async def refusal_of(client: Client, spec: pb.TrainingSpec, **fields: Any) -> tuple[str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await picture(client, spec, **fields)
    found = Refusal(caught.value)
    return found.code, found.fields


async def test_a_picture_is_drawn_of_what_the_spec_says_of_images_alone(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        spec = pb.TrainingSpec(
            dataset="flowers",
            mode=pb.FINE_TUNING_MODE_HEAD,  # needs weights, which a picture does not
            epochs=-1,
            seed=7,
            input=pb.InputSpec(size=64, normalisation=pb.NORMALISATION_PRETRAINED),
            augmentation=pb.AugmentationSpec(horizontal_flip=0.5),
        )
        chunks = await picture(client, spec, images=3, columns=5)
        data = b"".join(chunk.data for chunk in chunks)

        assert chunks[0].size_bytes == len(data)
        assert data.startswith(b"PNG 3 5 ")
        assert b'"horizontalFlip": 0.5' in data
        assert b'"seed": "7"' in data
        assert b'"size": 64' in data
        assert not list((tmp_path / "data/scratch").iterdir())


async def test_a_picture_that_can_not_be_drawn_is_refused_with_all_reasons(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="silent-end")) as (_, client):
        await client.import_flowers()
        flips = pb.AugmentationSpec(horizontal_flip=1.5)

        everything = await refusal_of(client, pb.TrainingSpec(augmentation=flips), images=0, columns=33)
        assert everything == (
            "INVALID_ARGUMENT",
            ["spec.dataset", "spec.augmentation.horizontal_flip", "images", "columns"],
        )
        large = pb.TrainingSpec(dataset="flowers", input=pb.InputSpec(size=1024))
        assert await refusal_of(client, large, images=32, columns=32) == ("INVALID_ARGUMENT", ["images"])
        assert await refusal_of(client, pb.TrainingSpec(dataset="flowers")) == ("UNAVAILABLE", [])

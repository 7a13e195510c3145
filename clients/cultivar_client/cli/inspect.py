"""`cultivar inspect`: draws what a model's network looks at."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cultivar.v1 import model_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.options import Address, Json, Token, read_enum
from cultivar_client.cli.output import json_of, print_facts, print_json
from cultivar_client.cli.progress import result_of
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.image_files import LARGEST_IMAGE_BYTES

VIEW = model_pb2.DESCRIPTOR.enum_types_by_name["InspectionView"]
_SHOWN = 9


def inspect(
    name: Annotated[str, typer.Argument(help="NAME (its live version), NAME/versions/N, or trainingJobs/ID.")],
    view: Annotated[
        str,
        typer.Argument(help="feature-maps, filters, exciting-images, gradient-ascent or separating-channels."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file to write.")],
    layer: Annotated[str, typer.Option(help="Layer, as `cultivar describe` names it; default: the view's own.")] = "",
    channel: Annotated[int | None, typer.Option(help="Channel of the layer, 0 for the first.")] = None,
    image: Annotated[Path | None, typer.Option(help="Image for feature-maps, in place of a validation image.")] = None,
    validation_image: Annotated[
        int | None, typer.Option(help="Position of the validation image for feature-maps; default 0.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Images, channels or maps to show, 1 to 64; default 9, of filters 64.")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Class for separating-channels; give two.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of gradient-ascent, 1 to 512; default 128.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of gradient-ascent.")] = 0,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Draw what a network looks at: feature maps, filters, what excites a channel, what separates two classes."""
    # Any: the generated enum types are ints at run time.
    number: Any = read_enum(VIEW, view, "VIEW")
    if output.is_dir() or not output.parent.is_dir():
        raise typer.BadParameter(f"{output} can't be written: name a file in a folder", param_hint="--output")
    if image is not None and not image.is_file():
        raise typer.BadParameter(f"{image} is no file", param_hint="--image")
    if image is not None and image.stat().st_size > LARGEST_IMAGE_BYTES:
        raise typer.BadParameter(f"{image} is larger than a message may be", param_hint="--image")

    async def work(client: Client) -> int:
        pieces: list[bytes] = []
        updates = client.inspect_model(
            name,
            number,
            layer=layer,
            channel=channel,
            image=image.read_bytes() if image is not None else b"",
            validation_image=validation_image,
            count=count,
            classes=classes or (),
            steps=steps,
            seed=seed,
        )
        inspection = await result_of(_without_picture(updates, pieces), "inspection", quiet=as_json)
        output.write_bytes(b"".join(pieces))
        if as_json:
            print_json({"file": str(output), "inspection": json_of(inspection)})
        else:
            _print(inspection, output)
        return session.DONE

    session.run(address, token, work)


async def _without_picture(
    updates: AsyncIterator[model_pb2.InspectionUpdate], pieces: list[bytes]
) -> AsyncIterator[model_pb2.InspectionUpdate]:
    """Yields updates but for the picture's pieces, which are collected."""
    async for update in updates:
        if update.WhichOneof("update") == "data":
            pieces.append(update.data)
        else:
            yield update


def _print(inspection: model_pb2.Inspection, output: Path) -> None:
    images = [f"{one.path} ({one.class_id})" for one in inspection.images[:_SHOWN]]
    channels = [f"{one.channel} ({one.value:.4g})" for one in inspection.channels[:_SHOWN]]
    print_facts(
        [
            ("model", inspection.model_version),
            ("layers", ", ".join(inspection.layers)),
            ("channels", ", ".join(channels) if len(inspection.layers) == 1 else ""),
            ("images", ", ".join(images)),
            ("picture", f"{output}  {figures.size(inspection.size_bytes)}"),
        ]
    )

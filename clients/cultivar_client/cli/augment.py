"""`cultivar augment`: shows what augmentation makes of training images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cultivar_client.cli import figures, session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import print_json
from cultivar_client.cli.train import build_spec
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS


def augment(
    preview: Annotated[Path, typer.Option(help="PNG file to write: a row per image, the original first.")],
    recipe: Annotated[
        Path | None, typer.Option("--file", "-f", help="Recipe, YAML or JSON; other options override it.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set: its newest version, or datasets/D/versions/N.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any field, such as augmentation.rotation=15.", metavar="PATH=VALUE"),
    ] = None,
    images: Annotated[int | None, typer.Option(help="Training images, 1 to 32; default 8.")] = None,
    columns: Annotated[int | None, typer.Option(help="Augmented views of each, 1 to 32; default 8.")] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Draw training images beside augmented views of them."""
    options: dict[str, Any] = {"dataset": dataset}
    spec = build_spec(recipe, options, settings or [], required=("dataset",))
    if preview.is_dir() or not preview.parent.is_dir():
        raise typer.BadParameter(f"{preview} can't be written: name a file in a folder", param_hint="--preview")

    async def work(client: Client) -> int:
        picture = await client.preview_augmentation(spec, images=images, columns=columns)
        preview.write_bytes(picture)
        if as_json:
            print_json({"file": str(preview), "sizeBytes": len(picture)})
        else:
            typer.echo(f"{preview}  {figures.size(len(picture))}")
        return session.DONE

    session.run(address, token, work)

"""`cultivar models report`: fetches a version's evaluation report."""

from pathlib import Path
from typing import Annotated

import typer

from cultivar_client.cli import session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS


def report(
    name: str,
    file: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file that gets the report.")
    ] = Path("report.html"),
    evaluation: Annotated[
        str, typer.Option("--evaluation", help="A later one, as flowers-2-test: data set, its version, split.")
    ] = "",
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Fetch the evaluation report of a model's live version, or of one version, as one HTML file."""
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a directory: name a file", param_hint="--output")

    async def work(client: Client) -> int:
        version = await client.get_model_version(name)
        await client.download_report(version.name, file, evaluation=evaluation)
        if as_json:
            print_json({"modelVersion": version.name, "file": str(file)})
        else:
            typer.echo(f"{version.name}: its report is in {file}")
        return session.DONE

    session.run(address, token, work)

"""`cultivar models`: shows models, chooses their live version, and fetches their files."""

from pathlib import Path
from typing import Annotated

import typer

from cultivar.v1 import artifact_pb2, model_pb2
from cultivar_client.cli import figures, model_report, session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import json_of, print_facts, print_json, print_table
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.enums import enum_label

app = typer.Typer(help="Show models, choose their live version, fetch their files.", no_args_is_help=True)

app.command("report")(model_report.report)

Expect = Annotated[
    str | None,
    typer.Option("--expect", metavar="NAME/versions/N", help="Refuse where another version is live by now."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the model's history.")]

STATE = model_pb2.DESCRIPTOR.enum_types_by_name["ModelVersionState"]


@app.command("list")
def list_(address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """List models, by name."""

    async def work(client: Client) -> int:
        models = [model async for model in client.list_models()]
        if as_json:
            print_json(model_pb2.ListModelsResponse(models=models))
            return session.DONE
        rows = [
            (model.name, model.live_version or "-", model.version_count, figures.moment(model.create_time))
            for model in models
        ]
        print_table(("name", "live version", "versions>", "created (UTC)"), rows, empty="no models")
        return session.DONE

    session.run(address, token, work)


@app.command("show")
def show(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Show a model and its versions, or one version (NAME/versions/N)."""

    async def work(client: Client) -> int:
        if "/versions/" in name:
            version = await client.get_model_version(name)
            if as_json:
                print_json(version)
            else:
                _print_version(version)
            return session.DONE
        model = await client.get_model(name)
        versions = [version async for version in client.list_model_versions(name)]
        if as_json:
            print_json({"model": json_of(model), "modelVersions": [json_of(version) for version in versions]})
        else:
            _print_model(model, versions)
        return session.DONE

    session.run(address, token, work)


@app.command("promote")
def promote(
    name: str,
    expect: Expect = None,
    reason: Reason = "",
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Make a version (NAME/versions/N) the live one."""

    async def work(client: Client) -> int:
        _tell(await client.promote_model_version(name, expected_live_version=expect, reason=reason), as_json)
        return session.DONE

    session.run(address, token, work)


@app.command("rollback")
def rollback(
    name: str,
    expect: Expect = None,
    reason: Reason = "",
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Make the version live that was so before; again: the one before that."""

    async def work(client: Client) -> int:
        _tell(await client.rollback_model(name, expected_live_version=expect, reason=reason), as_json)
        return session.DONE

    session.run(address, token, work)


@app.command("alias")
def alias(
    name: str,
    alias: Annotated[str, typer.Argument(help="Such as canary; NAME@ALIAS then means the version.")],
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Point an alias to a version (NAME/versions/N)."""
    if "/versions/" not in name:
        raise typer.BadParameter(f"{name!r} names no version: use NAME/versions/N", param_hint="NAME")

    async def work(client: Client) -> int:
        model = await client.set_model_alias(name.partition("/versions/")[0], alias, name)
        if as_json:
            print_json(model)
        else:
            typer.echo(f"{model.name.removeprefix('models/')}@{alias}: {_target(model, alias)}")
        return session.DONE

    session.run(address, token, work)


@app.command("unalias")
def unalias(
    name: str,
    alias: Annotated[str, typer.Argument(help="The alias to delete.")],
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Delete an alias of a model; the version stays."""

    async def work(client: Client) -> int:
        model = await client.delete_model_alias(name, alias)
        if as_json:
            print_json(model)
        else:
            typer.echo(f"deleted {model.name.removeprefix('models/')}@{alias}")
        return session.DONE

    session.run(address, token, work)


@app.command("download")
def download(
    name: str,
    directory: Annotated[Path, typer.Option("--output", "-o", help="Directory that gets the files.")],
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Fetch all files of a model's live version, or of one version, and verify them."""
    if directory.exists() and not directory.is_dir():
        raise typer.BadParameter(f"{directory} is no directory", param_hint="--output")

    async def work(client: Client) -> int:
        listing = artifact_pb2.ListArtifactsResponse()

        def progress(artifact: artifact_pb2.Artifact) -> None:
            listing.artifacts.append(artifact)
            if not as_json:
                typer.echo(f"{directory / artifact.path}  {figures.size(artifact.size_bytes)}")

        version = await client.get_model_version(name)
        listing.parent = version.name
        await client.download_model(version.name, directory, progress=progress)
        if as_json:
            print_json(listing)
        else:
            typer.echo(f"{version.name}: {len(listing.artifacts)} files in {directory}")
        return session.DONE

    session.run(address, token, work)


@app.command("delete")
def delete(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Delete a model and all its versions, or one version (NAME/versions/N) that no alias points to."""

    async def work(client: Client) -> int:
        if "/versions/" in name:
            await client.delete_model_version(name)
        else:
            await client.delete_model(name)
        if as_json:
            print_json({})
        else:
            typer.echo(f"deleted {name}")
        return session.DONE

    session.run(address, token, work)


def _tell(model: model_pb2.Model, as_json: bool) -> None:
    if as_json:
        print_json(model)
        return
    back = f" (a rollback goes to {model.rollback_version})" if model.rollback_version else ""
    typer.echo(f"{model.name}: {model.live_version} is live{back}")


def _target(model: model_pb2.Model, alias: str) -> str:
    return next((one.model_version for one in model.aliases if one.alias == alias), "")


def _print_model(model: model_pb2.Model, versions: list[model_pb2.ModelVersion]) -> None:
    print_facts(
        [
            ("name", model.name),
            ("live", model.live_version or "-"),
            ("rollback", model.rollback_version),
            *((f"@{one.alias}", one.model_version) for one in model.aliases),
            ("created", figures.moment(model.create_time)),
        ]
    )
    typer.echo()
    rows = [
        (
            version.name,
            " ".join([enum_label(STATE, version.state), *(["live"] if version.live else []), *version.aliases]),
            version.architecture,
            figures.accuracy_of(list(version.metrics), "val"),
            figures.accuracy_of(list(version.metrics), "test"),
            version.dataset,
            version.training_job,
            figures.moment(version.create_time),
        )
        for version in versions
    ]
    columns = ("version", "state", "architecture", "val_acc>", "test_acc>", "data set", "job", "created (UTC)")
    print_table(columns, rows, empty="no versions")
    if model.live_history:
        typer.echo()
        moves = [(figures.moment(one.time), one.model_version, one.actor, one.reason) for one in model.live_history]
        print_table(("live since (UTC)", "version", "by", "why"), moves)


def _print_version(version: model_pb2.ModelVersion) -> None:
    is_ready = version.state == model_pb2.MODEL_VERSION_STATE_READY
    print_facts(
        [
            ("name", version.name),
            ("state", enum_label(STATE, version.state)),
            ("live", "yes" if version.live else "no"),
            ("aliases", ", ".join(version.aliases)),
            ("architecture", version.architecture),
            ("input", f"{version.input_size} x {version.input_size} px"),
            ("data set", version.dataset),
            ("job", version.training_job),
            ("created", figures.moment(version.create_time)),
            ("classes", ", ".join(label.display_name for label in version.classes)),
            *(("metrics", figures.metrics_line(metrics)) for metrics in version.metrics),
            *(("measured on", figures.evaluation_line(evaluation)) for evaluation in version.evaluations),
            ("report", f"cultivar models report {version.name.removeprefix('models/')}" if is_ready else ""),
            ("sha256", version.onnx_sha256),
            ("error", version.error.message),
        ]
    )

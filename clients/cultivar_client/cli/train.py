"""`cultivar train`: queues a training job from options or a recipe file and follows it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cultivar.v1 import training_spec_pb2
from cultivar_client.cli import session
from cultivar_client.cli.follow import follow, outcome
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import console, print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.enums import enum_labels
from cultivar_client.spec import SpecError, apply_settings, read_recipe, set_field

REQUIRED = ("dataset", "architecture", "mode")
MODES = enum_labels(training_spec_pb2.DESCRIPTOR.enum_types_by_name["FineTuningMode"])
MODE_HELP = f"Which weights learn: {', '.join(MODES[:-1])} or {MODES[-1]}."


def train(
    recipe: Annotated[
        Path | None, typer.Option("--file", "-f", help="Recipe, YAML or JSON; other options override it.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set: its newest version, or datasets/D/versions/N.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Network, as `cultivar architectures` lists it.")] = None,
    mode: Annotated[str | None, typer.Option(help=MODE_HELP)] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="IMAGENET1K_V1 or another member, a file name, MODEL[/versions/N], trainingJobs/ID."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Images per update; full: all training images.", metavar="N|full")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model that gets the version; default: the data set's name.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda:N.")] = None,
    ensemble: Annotated[
        int | None, typer.Option(help="Members of an ensemble: jobs of other seeds, combined into one model.")
    ] = None,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="Train each member on a bootstrap sample of its own (bagging).")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any field, such as schedule.kind=cosine.", metavar="PATH=VALUE")
    ] = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Print the resolved recipe and warnings; queue nothing.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job's name and return at once.")] = False,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Train a model and follow the job to its end; Ctrl-C leaves it running."""
    options: dict[str, Any] = {
        "dataset": dataset,
        "architecture": architecture,
        "mode": mode,
        "weights": weights,
        "epochs": epochs,
        "optimizer.learning_rate": learning_rate,
        "batch_size": 0 if batch_size == "full" else batch_size,
        "model": model,
        "execution.device": device,
        "ensemble.members": ensemble,
        "ensemble.sampling": "bootstrap" if bootstrap else None,
    }
    spec = build_spec(recipe, options, settings or [])

    async def work(client: Client) -> int:
        job = await client.create_training_job(spec, validate_only=validate_only)
        if validate_only:
            print_json(job if as_json else job.recipe)
            for warning in () if as_json else job.warnings:
                typer.echo(f"warning: {warning}", err=True)
            return session.DONE
        if detach:
            if as_json:
                print_json(job)
            else:
                typer.echo(job.name)
            return session.DONE
        job = await follow(client, job, console(stderr=as_json))
        if as_json:
            print_json(job)
        return outcome(job)

    session.run(address, token, work)


def build_spec(
    recipe: Path | None, options: dict[str, Any], settings: list[str], required: Sequence[str] = REQUIRED
) -> training_spec_pb2.TrainingSpec:
    """Returns the spec of a recipe file, options and settings, each over those before. Raises typer.BadParameter."""
    try:
        spec = training_spec_pb2.TrainingSpec() if recipe is None else read_recipe(recipe)
        for path, value in options.items():
            if value is not None:
                set_field(spec, path, value)
        apply_settings(spec, settings)
    except SpecError as error:
        raise typer.BadParameter(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{recipe} can't be read: {error}", param_hint="--file") from None
    missing = [f"--{field}" for field in required if not spec.HasField(field)]
    if missing:
        raise typer.BadParameter(f"{', '.join(missing)} missing: give it as an option or in a recipe file")
    return spec

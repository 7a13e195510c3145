"""`cultivar compare`: trains in several ways, compares them on the same validation images, and reports."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cultivar.v1 import study_pb2
from cultivar_client.cli import session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import console, print_json
from cultivar_client.cli.study_view import follow, outcome, print_comparison, print_plan
from cultivar_client.cli.train import MODE_HELP
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.spec import SpecError, apply_settings, set_field
from cultivar_client.studies import REPORTS
from cultivar_client.study_spec import add_variant, read_study, set_seeds, set_test


def compare(
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Study, YAML or JSON; other options override or add to it.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="What the report is called.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "--data", help="Data set: its newest version, or datasets/D/versions/N.")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option("--architecture", "--arch", help="Network, as `cultivar architectures` lists it.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help=MODE_HELP)] = None,
    weights: Annotated[str | None, typer.Option(help="Where training starts, as for `cultivar train`.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any field that all variants have in common.", metavar="PATH=VALUE"),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            help="One way to train: a name, and fields that differ; -PATH leaves out what the base sets. "
            "The first is the baseline.",
            metavar="'NAME[: PATH=VALUE ...]'",
        ),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Each variant is trained with each.", metavar="N,N,...")] = None,
    test: Annotated[
        str | None, typer.Option(help="Whose models are measured on test data, after the choice: winner, each, none.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="File of the report, .html or .md; pictures included.")] = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Print what each variant changes, and warnings; queue nothing.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print the study's name and return at once.")] = False,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Compare ways to train, each with several seeds; Ctrl-C leaves the study running."""
    options = {"dataset": dataset, "architecture": architecture, "mode": mode, "weights": weights, "epochs": epochs}
    spec = build_study(file, options, settings or [], variants or [])
    try:
        if seeds is not None:
            set_seeds(spec, [part.strip() for part in seeds.split(",") if part.strip()])
        if test is not None:
            set_test(spec, test)
    except SpecError as error:
        raise typer.BadParameter(str(error)) from None
    spec.title = title or spec.title
    if report is not None:
        if detach or validate_only:
            raise typer.BadParameter("there is no report yet: fetch it later with `cultivar studies report STUDY`")
        check_report(report, "--report")

    async def work(client: Client) -> int:
        study = await client.create_training_study(spec, validate_only=validate_only)
        if validate_only or detach:
            _print_made(study, validate_only=validate_only, as_json=as_json)
            return session.DONE
        study = await follow(client, study, console(stderr=as_json))
        if as_json:
            print_json(study)
        code = outcome(study)
        if code != session.DONE:
            return code
        if not as_json:
            print_comparison(study)
        if report is not None:
            await client.download_study_report(study.name, report)
        if not as_json:
            where = str(report) if report else f"cultivar studies report {study.name} -o report.html"
            typer.echo(f"report  {where}")
        return session.DONE

    session.run(address, token, work)


def build_study(
    file: Path | None, options: dict[str, Any], settings: list[str], variants: list[str]
) -> study_pb2.TrainingStudySpec:
    """Returns the study of a file, with options and settings over its base, and variants after its own.

    Raises typer.BadParameter (exit code 2).
    """
    try:
        study = study_pb2.TrainingStudySpec() if file is None else read_study(file)
        for path, value in options.items():
            if value is not None:
                set_field(study.base, path, value)
        apply_settings(study.base, settings)
        for text in variants:
            add_variant(study, text)
    except SpecError as error:
        raise typer.BadParameter(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} can't be read: {error}", param_hint="--file") from None
    if not study.base.dataset:
        raise typer.BadParameter("--dataset missing: give it as an option or in a study file")
    if len(study.variants) < 2:
        raise typer.BadParameter(
            f"{len(study.variants)} of at least 2 variants: add --variant baseline and --variant 'NAME: PATH=VALUE'"
        )
    return study


def check_report(path: Path, option: str) -> None:
    """Raises typer.BadParameter (exit code 2) where no report can be written under a name."""
    if path.suffix.lower() not in REPORTS:
        raise typer.BadParameter(f"{path} names no kind of report: end it with .html or .md", param_hint=option)
    if path.is_dir() or not path.parent.is_dir():
        raise typer.BadParameter(f"{path} can't be written: name a file in a folder", param_hint=option)


def _print_made(study: study_pb2.TrainingStudy, *, validate_only: bool, as_json: bool) -> None:
    if as_json:
        print_json(study)
        return
    if validate_only:
        print_plan(study)
    else:
        typer.echo(study.name)
    for warning in study.warnings:
        typer.echo(f"warning: {warning}", err=True)

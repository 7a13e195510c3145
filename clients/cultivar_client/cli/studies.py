"""`cultivar studies`: shows comparisons, follows them, stops them, and fetches their reports."""

from pathlib import Path
from typing import Annotated

import typer

from cultivar.v1 import study_pb2
from cultivar_client.cli import figures, session, study_view
from cultivar_client.cli.compare import check_report
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import console, print_facts, print_json, print_table
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS

app = typer.Typer(help="Show comparisons, follow them, stop them, fetch their reports.", no_args_is_help=True)


@app.command("list")
def list_(
    mine: Annotated[bool, typer.Option("--mine", help="Only studies that this token made.")] = False,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List studies, newest first."""

    async def work(client: Client) -> int:
        studies = [study async for study in client.list_training_studies(mine=mine)]
        if as_json:
            print_json(study_pb2.ListTrainingStudiesResponse(training_studies=studies))
            return session.DONE
        rows = [
            (
                study.name,
                study_view.state(study),
                study.spec.title,
                len(study.spec.variants),
                study_view.ended(study),
                study.winner,
                figures.moment(study.create_time),
            )
            for study in studies
        ]
        columns = ("name", "state", "title", "variants>", "trials over>", "winner", "created (UTC)")
        print_table(columns, rows, empty="no studies")
        return session.DONE

    session.run(address, token, work)


@app.command("show")
def show(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Show a study: its trials and the comparison so far."""

    async def work(client: Client) -> int:
        study = await client.get_training_study(name)
        if as_json:
            print_json(study)
        else:
            _print_study(study)
        return session.DONE

    session.run(address, token, work)


@app.command("watch")
def watch(
    name: str,
    after: Annotated[int, typer.Option(help="Number of the last event already seen.")] = 0,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Follow a study to its end; exit code 0 when it succeeded."""

    async def work(client: Client) -> int:
        # Asked for first, so that a wrong name or address is told at once.
        study = await client.get_training_study(name)
        if not as_json:
            study = await study_view.follow(client, study, console(), after_event=after)
            if study.rows:
                study_view.print_comparison(study)
            return study_view.outcome(study)
        async for event in client.watch_training_study(study.name, after_event=after):
            print_json(event, one_line=True)
        return study_view.outcome(await client.get_training_study(study.name))

    session.run(address, token, work)


@app.command("cancel")
def cancel(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Ask a study and its jobs to stop."""

    async def work(client: Client) -> int:
        study = await client.cancel_training_study(name)
        if as_json:
            print_json(study)
        else:
            typer.echo(f"{study.name} {study_view.state(study)}")
        return session.DONE

    session.run(address, token, work)


@app.command("report")
def report(
    name: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .html or .md; pictures included.")],
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Save a finished study's report in one file."""
    check_report(output, "--output")

    async def work(client: Client) -> int:
        # A study's full name is its files' parent.
        study = await client.get_training_study(name)
        await client.download_study_report(study.name, output)
        size_bytes = output.stat().st_size
        if as_json:
            print_json({"file": str(output), "sizeBytes": size_bytes})
        else:
            typer.echo(f"{output}  {figures.size(size_bytes)}")
        return session.DONE

    session.run(address, token, work)


@app.command("delete")
def delete(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Delete a finished study's record and report; its jobs and their models stay."""

    async def work(client: Client) -> int:
        await client.delete_training_study(name)
        if as_json:
            print_json({})
        else:
            typer.echo(f"deleted {name}")
        return session.DONE

    session.run(address, token, work)


def _print_study(study: study_pb2.TrainingStudy) -> None:
    print_facts(
        [
            ("name", study.name),
            ("title", study.spec.title),
            ("state", study_view.state(study)),
            ("trials over", study_view.ended(study)),
            ("compared on", study.validation_images),
            ("created", figures.moment(study.create_time)),
            ("ended", figures.moment(study.end_time)),
            *(("warning", warning) for warning in study.warnings),
            *(("trial", study_view.trial_line(trial)) for trial in study.trials),
            ("error", study.error.message),
        ]
    )
    typer.echo()
    if any(row.succeeded for row in study.rows):
        study_view.print_comparison(study)
    else:
        study_view.print_plan(study)
    if study.state == study_pb2.TRAINING_STUDY_STATE_RUNNING:
        typer.echo(f"\nfollow it with `cultivar studies watch {study.name}`")

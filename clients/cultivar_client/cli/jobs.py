"""`cultivar jobs`: shows training jobs, follows them, stops them and lets them go on."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from cultivar.v1 import training_pb2
from cultivar_client.cli import curves, figures, job_view, session
from cultivar_client.cli.follow import follow, outcome
from cultivar_client.cli.options import Address, Json, Token, read_enum
from cultivar_client.cli.output import console, print_json, print_table
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS

app = typer.Typer(help="Show training jobs, follow them, stop them, let them go on.", no_args_is_help=True)


@app.command("list")
def list_(
    states: Annotated[list[str] | None, typer.Option("--state", help="Only jobs in this state; repeatable.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only jobs that this token queued.")] = False,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    # Any: the generated enum types are ints at run time.
    numbers: Any = [read_enum(figures.STATE, state, "--state") for state in states or []]

    async def work(client: Client) -> int:
        jobs = [job async for job in client.list_training_jobs(states=numbers, mine=mine)]
        if as_json:
            print_json(training_pb2.ListTrainingJobsResponse(training_jobs=jobs))
            return session.DONE
        print_table(job_view.COLUMNS, [job_view.row(job) for job in jobs], empty="no jobs")
        return session.DONE

    session.run(address, token, work)


@app.command("show")
def show(
    name: str,
    with_curves: Annotated[
        bool | None,
        typer.Option("--curves/--no-curves", help="Draw loss and accuracy; default: on a terminal with room for it."),
    ] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Show a job: its recipe, latest and best epoch, figures, curves, and why it failed."""

    async def work(client: Client) -> int:
        job = await client.get_training_job(name)
        if as_json:
            print_json(job)
        else:
            job_view.print_job(job)
            if job.HasField("latest_epoch") and curves.wanted(with_curves):
                typer.echo("\n" + await curves.picture(client, job))
        return session.DONE

    session.run(address, token, work)


app.command("curves")(curves.save)


@app.command("watch")
def watch(
    name: str,
    after: Annotated[int, typer.Option(help="Number of the last event already seen.")] = 0,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Follow a job to its end; exit code 0 when it succeeded."""

    async def work(client: Client) -> int:
        # Asked for first, so that a wrong name or address is told at once.
        job = await client.get_training_job(name)
        if not as_json:
            return outcome(await follow(client, job, console(), after_event=after))
        async for event in client.watch_training_job(job.name, after_event=after):
            print_json(event, one_line=True)
        return outcome(await client.get_training_job(job.name))

    session.run(address, token, work)


@app.command("cancel")
def cancel(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Ask a job to stop."""
    _ask(lambda client: client.cancel_training_job(name), address, token, as_json=as_json)


@app.command("pause")
def pause(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Ask a job to write a checkpoint and give its device back."""
    _ask(lambda client: client.pause_training_job(name), address, token, as_json=as_json)


@app.command("resume")
def resume(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Queue a paused job again: it goes on where its checkpoint was written."""
    _ask(lambda client: client.resume_training_job(name), address, token, as_json=as_json)


@app.command("export")
def export(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Make a model version of a cancelled or failed job's best epoch so far."""
    _ask(lambda client: client.export_training_job(name), address, token, as_json=as_json)


@app.command("logs")
def logs(
    name: str,
    follow_: Annotated[bool, typer.Option("--follow", help="Go on until the job has ended.")] = False,
    attempt: Annotated[int | None, typer.Option(help="Which attempt's log; default: the newest.")] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Print the trainer's log."""

    async def work(client: Client) -> int:
        job = await client.get_training_job(name)
        async for chunk in client.stream_logs(job.name, follow=follow_, attempt=attempt):
            if as_json:
                print_json(chunk, one_line=True)
            else:
                typer.echo(chunk.text, nl=False)
        return session.DONE

    session.run(address, token, work)


@app.command("delete")
def delete(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Delete a finished job's record, log and checkpoints; its model version stays."""

    async def work(client: Client) -> int:
        await client.delete_training_job(name)
        if as_json:
            print_json({})
        else:
            typer.echo(f"deleted {name}")
        return session.DONE

    session.run(address, token, work)


def _ask(
    request: Callable[[Client], Awaitable[training_pb2.TrainingJob]],
    address: str,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Asks something of a job and prints the state that it has then."""

    async def work(client: Client) -> int:
        job = await request(client)
        if as_json:
            print_json(job)
        else:
            typer.echo(f"{job.name} {figures.state(job.state)}")
        return session.DONE

    session.run(address, token, work)

"""`cultivar combine`: makes one model version of several, and follows the job that does."""

from typing import Annotated, Any

import typer

from cultivar.v1 import training_spec_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.follow import follow, outcome
from cultivar_client.cli.options import Address, Json, Token, read_enum
from cultivar_client.cli.output import console, print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS

PUBLISH = training_spec_pb2.DESCRIPTOR.enum_types_by_name["PublishPolicy"]
TEST = training_spec_pb2.DESCRIPTOR.enum_types_by_name["TestEvaluation"]


def combine(
    members: Annotated[
        list[str], typer.Argument(help="Versions (flowers/versions/3) or jobs (trainingJobs/ID), also unfinished ones.")
    ],
    model: Annotated[str, typer.Option(help="Model that gets the version.")],
    method: Annotated[str, typer.Option(help="ensemble: probabilities are averaged; soup: weights are.")] = "ensemble",
    publish: Annotated[str | None, typer.Option(help="first-or-better, always or never: whether it goes live.")] = None,
    test: Annotated[
        str | None, typer.Option(help="at-end, deferred or never: when test data are read; default: deferred.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job's name and return at once.")] = False,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Make one version of several: an ensemble, or a soup of fine-tunings that share a start."""
    # Any: the generated enum types are ints at run time.
    how: Any = read_enum(figures.METHOD, method, "--method")
    when: Any = read_enum(PUBLISH, publish, "--publish")
    read: Any = read_enum(TEST, test, "--test")

    async def work(client: Client) -> int:
        job = await client.combine_models(model, members, method=how, publish=when, test_evaluation=read)
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

"""`cultivar reproduce`: repeats a model version's training and compares the results."""

import typer

from cultivar.v1 import event_pb2, state_pb2
from cultivar_client.cli import session
from cultivar_client.cli.follow import follow, outcome
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import console, print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS


def reproduce(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Train a version such as flowers/versions/3 again; exit code 0 when the result is the same, bit for bit."""

    async def work(client: Client) -> int:
        job = await client.reproduce_model_version(name)
        if as_json:
            async for _ in client.watch_training_job(job.name):
                pass
            ended = await client.get_training_job(job.name)
            print_json(ended)
        else:
            ended = await follow(client, job, console())
        if ended.state != state_pb2.TRAINING_JOB_STATE_SUCCEEDED:
            return outcome(ended)
        return _verdict(ended.reproduces, ended.reproduction, quiet=as_json)

    session.run(address, token, work)


def _verdict(version: str, reproduction: event_pb2.Reproduction, *, quiet: bool) -> int:
    if not reproduction.identical:
        different = [one.what for one in reproduction.comparisons if not one.same]
        return session.fail(f"{version} was not reproduced: {', '.join(different)} differ")
    if not quiet:
        typer.echo(f"{version} was reproduced bit for bit ({len(reproduction.comparisons)} compared)")
    return session.DONE

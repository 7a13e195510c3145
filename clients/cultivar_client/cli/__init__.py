"""The `cultivar` command."""

from pathlib import Path
from typing import Annotated

import typer

from cultivar_client.channel import Tls
from cultivar_client.cli import (
    architectures,
    augment,
    calculate,
    combine,
    compare,
    datasets,
    evaluate,
    gpus,
    inspect,
    jobs,
    models,
    predict,
    reproduce,
    session,
    studies,
    tensorboard,
    train,
    uploads,
)

app = typer.Typer(
    help="Fine-tunes image classifiers and serves them: sends requests to a Cultivar service.",
    no_args_is_help=True,
    add_completion=False,
    # Plain text: in boxes, messages break in the middle of names and paths.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
datasets.app.command("upload")(uploads.upload)
app.add_typer(datasets.app, name="datasets")
app.command("train")(train.train)
app.add_typer(jobs.app, name="jobs")
app.command("compare")(compare.compare)
app.add_typer(studies.app, name="studies")
app.command("tensorboard")(tensorboard.tensorboard)
app.command("gpus")(gpus.gpus)
app.add_typer(models.app, name="models")
app.command("predict")(predict.predict)
app.command("reproduce")(reproduce.reproduce)
app.command("combine")(combine.combine)
app.command("architectures")(architectures.architectures)
app.command("describe")(architectures.describe)
app.command("fields")(architectures.fields)
app.add_typer(calculate.app, name="calculate")
app.command("evaluate")(evaluate.evaluate)
app.command("inspect")(inspect.inspect)
app.command("augment")(augment.augment)


@app.callback()
def security(
    token_file: Annotated[
        Path | None, typer.Option(envvar="CULTIVAR_TOKEN_FILE", help="File of the token, in place of --token.")
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", envvar="CULTIVAR_TLS", help="Use TLS; implied by the other --tls options.")
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(envvar="CULTIVAR_TLS_CA", help="PEM file that vouches for the service; default: the public ones."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(envvar="CULTIVAR_CLIENT_CERTIFICATE", help="PEM file of this client's certificate.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(envvar="CULTIVAR_CLIENT_KEY", help="PEM file of its key.")] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", envvar="CULTIVAR_INSECURE", help="Send the token also where others can read it."),
    ] = False,
) -> None:
    """Fine-tunes image classifiers and serves them: sends requests to a Cultivar service."""
    try:
        files = Tls(ca=tls_ca, certificate=tls_certificate, key=tls_key)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    wanted = files if tls or files != Tls() else None
    session.SECURITY.set(session.Security(tls=wanted, token_file=token_file, insecure=insecure))


def main() -> None:
    """Runs the command and exits: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    app(prog_name="cultivar")

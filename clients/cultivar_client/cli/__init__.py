"""The `cultivar` command."""

import typer

from cultivar_client.cli import architectures, augment, calculate, datasets, evaluate, jobs, models, predict, train

app = typer.Typer(
    help="Fine-tunes image classifiers and serves them: sends requests to a Cultivar service.",
    no_args_is_help=True,
    add_completion=False,
    # Plain text: in boxes, messages break in the middle of names and paths.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(datasets.app, name="datasets")
app.command("train")(train.train)
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.command("predict")(predict.predict)
app.command("architectures")(architectures.architectures)
app.command("describe")(architectures.describe)
app.command("fields")(architectures.fields)
app.add_typer(calculate.app, name="calculate")
app.command("evaluate")(evaluate.evaluate)
app.command("augment")(augment.augment)


def main() -> None:
    """Runs the command and exits: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    app(prog_name="cultivar")

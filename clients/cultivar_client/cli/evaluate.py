"""`cultivar evaluate`: how good a model, or published weights, are on a data set."""

from typing import Annotated, Any

import typer

from cultivar.v1 import dataset_pb2, evaluation_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.options import Address, Json, Token, read_enum
from cultivar_client.cli.output import print_facts, print_json
from cultivar_client.cli.progress import result_of
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS

SPLIT = dataset_pb2.DESCRIPTOR.enum_types_by_name["Split"]


def evaluate(
    dataset: Annotated[str, typer.Option(help="Data set: its newest version, or datasets/D/versions/N.")],
    model: Annotated[str | None, typer.Option(help="NAME (its live version), or NAME/versions/N.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Network, as `cultivar architectures` lists it.")] = None,
    weights: Annotated[str | None, typer.Option(help="IMAGENET1K_V1 or another member, or a file name.")] = None,
    split: Annotated[str | None, typer.Option(help="train, val or test; default test, or val without one.")] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Measure a model, or published weights, on a data set, through the path that serves predictions."""
    if (model is None) == (architecture is None):
        raise typer.BadParameter("give exactly one of --model and --architecture")
    if (weights is None) != (architecture is None):
        raise typer.BadParameter("--architecture and --weights go together")
    # Any: the generated enum types are ints at run time.
    number: Any = read_enum(SPLIT, split, "--split")

    async def work(client: Client) -> int:
        if model is not None:
            updates = client.evaluate_model_version(model, dataset, split=number)
        else:
            updates = client.evaluate_architecture(architecture or "", weights or "", dataset, split=number)
        evaluation = await result_of(updates, "evaluation", quiet=as_json)
        if as_json:
            print_json(evaluation)
        else:
            _print(evaluation)
        return session.DONE

    session.run(address, token, work)


def _print(evaluation: evaluation_pb2.Evaluation) -> None:
    metrics = evaluation.metrics
    print_facts(
        [
            ("model", evaluation.model_version),
            ("architecture", evaluation.architecture),
            ("weights", evaluation.weights),
            ("data set", evaluation.dataset),
            ("split", metrics.split),
            ("images", figures.count(metrics.image_count)),
            ("top-1", f"{metrics.accuracy:.4f}"),
            ("top-5", f"{metrics.top5_accuracy:.4f}"),
            ("macro F1", f"{metrics.macro_f1:.4f}" if metrics.macro_f1 else ""),
            ("loss", f"{metrics.loss:.4f}"),
            ("models", f"{figures.count(evaluation.models_measured)} measured on these images so far"),
            ("measured", "before: the images were not read again" if evaluation.stored else "now"),
        ]
    )

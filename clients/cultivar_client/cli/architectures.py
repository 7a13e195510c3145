"""`cultivar architectures`, `describe` and `fields`: what a training request can name."""

from typing import Annotated, Any

import typer

from cultivar.v1 import architecture_pb2, training_pb2, training_spec_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.options import Address, Json, Token, read_enum
from cultivar_client.cli.output import print_facts, print_json, print_table
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.enums import enum_label
from cultivar_client.spec import SpecError, apply_settings

MODE = training_spec_pb2.DESCRIPTOR.enum_types_by_name["FineTuningMode"]
DESCRIBE_TIMEOUT_S = 90.0
STEM = training_spec_pb2.DESCRIPTOR.enum_types_by_name["Stem"]


def architectures(address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """List the networks that can be trained."""

    async def work(client: Client) -> int:
        networks = await client.list_architectures()
        if as_json:
            print_json(architecture_pb2.ListArchitecturesResponse(architectures=networks))
            return session.DONE
        rows = [
            (
                network.name,
                network.family,
                figures.count(network.parameters),
                figures.count(network.multiply_adds),
                figures.size(network.file_bytes),
                network.default_input_size,
                network.min_input_size,
                "; ".join(_weights(one) for one in network.weights) or "-",
                ", ".join(enum_label(STEM, stem) for stem in network.stems) or "-",
            )
            for network in networks
        ]
        columns = (
            "name",
            "family",
            "parameters>",
            "multiply-adds>",
            "file>",
            "input px>",
            "min px>",
            "weights (ImageNet acc@1, acc@5)",
            "stems",
        )
        print_table(columns, rows, empty="no architectures")
        return session.DONE

    session.run(address, token, work)


def _weights(one: architecture_pb2.PretrainedWeights) -> str:
    return f"{one.member} {100 * one.imagenet_top1_accuracy:.3f}, {100 * one.imagenet_top5_accuracy:.3f}"


def describe(
    name: str,
    mode: Annotated[str | None, typer.Option(help="Show what learns in this mode; default full.")] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes; default: as published, 1000.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of the input in pixels; default: its own.")] = None,
    stem: Annotated[str | None, typer.Option(help="First layers: imagenet or cifar.")] = None,
    channels: Annotated[int | None, typer.Option(help="Colour channels of the input: 3 or 1.")] = None,
    last_blocks: Annotated[
        int | None, typer.Option(help="Blocks before the head that learn; mode last-blocks.")
    ] = None,
    retain_blocks: Annotated[int | None, typer.Option(help="Blocks that are kept; later ones are cut off.")] = None,
    trainable: Annotated[
        list[str] | None, typer.Option(help="Parameters that learn, such as 'layer4.*'; repeatable.", metavar="PATTERN")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A field of the network, such as network.dropout=0.5.", metavar="PATH=VALUE"),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per pass that memory is estimated for.")] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Show a network's layers, its parameters, and what a mode trains."""
    # Any: the generated enum types are ints at run time.
    mode_number: Any = read_enum(MODE, mode, "--mode")
    stem_number: Any = read_enum(STEM, stem, "--stem")
    network = _network(settings or [])

    async def work(client: Client) -> int:
        description = await client.describe_architecture(
            name,
            mode=mode_number,
            num_classes=classes,
            input_size=size,
            stem=stem_number,
            channels=channels,
            last_blocks=last_blocks,
            retain_blocks=retain_blocks,
            trainable=trainable or [],
            network=network,
            batch_size=batch_size,
            timeout_s=DESCRIBE_TIMEOUT_S,
        )
        if as_json:
            print_json(description)
        else:
            _print_description(description)
        return session.DONE

    session.run(address, token, work)


def _network(settings: list[str]) -> training_spec_pb2.NetworkSpec:
    spec = training_spec_pb2.TrainingSpec()
    try:
        apply_settings(spec, settings)
    except SpecError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    others = sorted(field.name for field, _ in spec.ListFields() if field.name != "network")
    if others:
        raise typer.BadParameter(
            f"{others[0]} is no choice about the network: set network.NAME, or use the options", param_hint="--set"
        )
    return spec.network


def fields(address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """List the fields of a training request: type, range, default, help."""

    async def work(client: Client) -> int:
        table = await client.describe_training_spec()
        if as_json:
            print_json(training_pb2.DescribeTrainingSpecResponse(fields=table))
            return session.DONE
        rows = [
            (
                one.path,
                one.type,
                one.range,
                one.default_value,
                one.help if one.supported else f"Not built yet. {one.help}",
            )
            for one in table
        ]
        print_table(("path", "type", "range", "default", "help"), rows)
        return session.DONE

    session.run(address, token, work)


def _print_description(description: architecture_pb2.ArchitectureDescription) -> None:
    rows = [
        (
            layer.name,
            layer.kind,
            "x".join(str(extent) for extent in layer.output_shape),
            figures.count(layer.parameters),
            "yes" if layer.trainable else "",
            figures.count(layer.multiply_adds),
        )
        for layer in description.layers
    ]
    print_table(("layer", "kind", "output>", "parameters>", "learns", "multiply-adds>"), rows)
    typer.echo()
    if description.blocks:
        _print_blocks(description)
        typer.echo()
    memory = description.memory
    print_facts(
        [
            ("architecture", f"{description.architecture.name}: {description.architecture.description}"),
            ("mode", enum_label(MODE, description.mode)),
            ("input", f"{description.input_size} x {description.input_size} px"),
            ("classes", description.num_classes),
            ("parameters", figures.count(description.parameters)),
            ("  trainable", figures.count(description.trainable_parameters)),
            ("  frozen", figures.count(description.frozen_parameters)),
            ("multiply-adds", figures.count(description.multiply_adds)),
            *(_memory_facts(memory) if description.HasField("memory") else ()),
        ]
    )


def _print_blocks(description: architecture_pb2.ArchitectureDescription) -> None:
    rows = [
        (
            block.name,
            figures.count(block.parameters),
            f"--last-blocks {block.last_blocks}" if block.last_blocks else "head: in every mode",
            figures.count(block.trainable_parameters),
        )
        for block in description.blocks
    ]
    print_table(("block", "parameters>", "learns with", "trainable then>"), rows)


def _memory_facts(memory: architecture_pb2.MemoryEstimate) -> list[tuple[str, object]]:
    return [
        ("memory, estimated", f"{memory.batch_size} image(s) per pass, float32"),
        ("  parameters", figures.size(memory.parameter_bytes)),
        ("  gradients", figures.size(memory.gradient_bytes)),
        ("  optimiser (AdamW)", figures.size(memory.optimizer_bytes)),
        ("  activations", figures.size(memory.activation_bytes)),
        ("  training", figures.size(memory.training_bytes)),
        ("  inference", figures.size(memory.inference_bytes)),
    ]

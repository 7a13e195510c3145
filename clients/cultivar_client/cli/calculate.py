"""`cultivar calculate`: the figures of one layer, without a network."""

from typing import Annotated, Any

import typer

from cultivar.v1 import architecture_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import print_facts, print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS

app = typer.Typer(help="Calculate a layer's output size, parameters and operations.", no_args_is_help=True)

Input = Annotated[str | None, typer.Option("--input", help="Extents of the input, such as 78,84.", metavar="N[,N...]")]
Output = Annotated[
    str | None, typer.Option(help="Wanted extents of the output: list every input that gives them.", metavar="N[,N...]")
]
Kernel = Annotated[str, typer.Option(help="Extents of the kernel; one for all dimensions.", metavar="N[,N...]")]
Padding = Annotated[str | None, typer.Option(help="Zeros on each side; default 0.", metavar="N[,N...]")]


@app.command("conv")
def conv(
    kernel: Kernel,
    input_: Input = None,
    output: Output = None,
    stride: Annotated[str | None, typer.Option(help="Steps; default 1.", metavar="N[,N...]")] = None,
    padding: Padding = None,
    in_channels: Annotated[int | None, typer.Option(help="Channels of the input; default 1.")] = None,
    out_channels: Annotated[int | None, typer.Option(help="Filters; default 1.")] = None,
    bias: Annotated[bool | None, typer.Option("--bias/--no-bias", help="Whether each filter adds a bias.")] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Calculate a convolution."""
    request = _request(architecture_pb2.LAYER_KIND_CONV, input_, output, kernel, stride, padding)
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("bias", bias)):
        if value is not None:
            _set(request, name, value)
    _run(request, address, token, as_json)


@app.command("pool")
def pool(
    kernel: Kernel,
    input_: Input = None,
    output: Output = None,
    stride: Annotated[str | None, typer.Option(help="Steps; default: the kernel.", metavar="N[,N...]")] = None,
    padding: Padding = None,
    channels: Annotated[int | None, typer.Option(help="Channels; default 1.")] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Calculate a max or average pooling."""
    request = _request(architecture_pb2.LAYER_KIND_POOL, input_, output, kernel, stride, padding)
    if channels is not None:
        _set(request, "in_channels", channels)
    _run(request, address, token, as_json)


def _request(
    kind: architecture_pb2.LayerKind,
    input_: str | None,
    output: str | None,
    kernel: str,
    stride: str | None,
    padding: str | None,
) -> architecture_pb2.CalculateLayerRequest:
    request = architecture_pb2.CalculateLayerRequest(kind=kind)
    texts = (("input", input_), ("output", output), ("kernel", kernel), ("stride", stride), ("padding", padding))
    for option, text in texts:
        if text is not None:
            _set(request, f"{option}_size" if option in ("input", "output") else option, text, option)
    return request


def _set(request: architecture_pb2.CalculateLayerRequest, name: str, value: Any, option: str = "") -> None:
    option = f"--{option or name.replace('_', '-')}"
    try:
        if isinstance(value, str):
            getattr(request, name).extend(int(extent) for extent in value.split(","))
        else:
            setattr(request, name, value)
    except ValueError:
        raise typer.BadParameter(f"{value!r}: write whole numbers, such as 78,84", param_hint=option) from None


def _run(request: architecture_pb2.CalculateLayerRequest, address: str, token: str | None, as_json: bool) -> None:
    async def work(client: Client) -> int:
        answer = await client.calculate_layer(request)
        if as_json:
            print_json(answer)
            return session.DONE
        shape = " x ".join(str(extent) for extent in (answer.out_channels, *answer.output_size))
        inputs = "  x  ".join(", ".join(map(str, one.sizes)) for one in answer.input_sizes)
        print_facts(
            [
                ("output", f"{shape}  (channels x extents)"),
                ("inputs that give it", inputs),
                ("parameters", figures.count(answer.parameters)),
                ("multiplications", figures.count(answer.multiplications)),
                ("additions", figures.count(answer.additions)),
            ]
        )
        return session.DONE

    session.run(address, token, work)

"""Options that several commands take, and how their texts are read."""

from typing import TYPE_CHECKING, Annotated

import typer

from cultivar_client.enums import enum_number

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor

Address = Annotated[
    str, typer.Option("--address", envvar="CULTIVAR_ADDRESS", help="The service, as host:port.", metavar="HOST:PORT")
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="CULTIVAR_TOKEN", help="Sent with every call as a bearer token."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]


def read_enum(descriptor: "EnumDescriptor", text: str | None, option: str) -> int | None:
    """Returns the value that an option's text names, None for None. Raises typer.BadParameter (exit code 2)."""
    if text is None:
        return None
    try:
        return enum_number(descriptor, text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None

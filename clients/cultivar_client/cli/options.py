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

TrainList = Annotated[
    str | None,
    typer.Option(help="List of training images and their classes: CSV with a header, or `image label` lines."),
]
ValList = Annotated[str | None, typer.Option(help="The same of validation images.")]
TestList = Annotated[str | None, typer.Option(help="The same of test images.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(help="List of images whose splits are drawn, or told by its column `split`; may be given again."),
]
ReplacePrefix = Annotated[
    list[str] | None,
    typer.Option(metavar="OLD=NEW", help="Replace what paths in lists begin with; may be given again."),
]
SplitSharedList = Annotated[
    bool, typer.Option("--split-shared-list", help="Halve a list that is both validation and test list.")
]


def read_prefixes(texts: list[str] | None) -> dict[str, str]:
    """Returns the pairs that `OLD=NEW` texts name. Raises typer.BadParameter (exit code 2)."""
    pairs = [text.partition("=") for text in texts or ()]
    if any(not old or not separator for old, separator, _ in pairs):
        raise typer.BadParameter("write OLD=NEW", param_hint="--replace-prefix")
    return {old: new for old, _, new in pairs}


def read_enum(descriptor: "EnumDescriptor", text: str | None, option: str) -> int | None:
    """Returns the value that an option's text names, None for None. Raises typer.BadParameter (exit code 2)."""
    if text is None:
        return None
    try:
        return enum_number(descriptor, text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None

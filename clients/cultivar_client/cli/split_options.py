"""Options of commands that look through a folder: how its images are named and split."""

from typing import Annotated

import typer

from cultivar.v1 import dataset_pb2

LEAK_POLICY = dataset_pb2.DESCRIPTOR.enum_types_by_name["LeakPolicy"]

ClassNames = Annotated[str | None, typer.Option(help="JSON file {class id: display name}, relative to the same root.")]
SplitSeed = Annotated[int | None, typer.Option(help="Seed of splits that the source does not bring.")]
HeldOutFraction = Annotated[
    float | None, typer.Option(help="Share of each class in a split that the source does not bring; default 0.1.")
]
Folds = Annotated[int | None, typer.Option(help="Share train and val out over this many folds, 2 to 20.")]
Fold = Annotated[int | None, typer.Option(help="Which fold is val; default 1.")]
DropLeaks = Annotated[
    str | None, typer.Option(help="none, exact or near: training images to leave out that val or test have too.")
]

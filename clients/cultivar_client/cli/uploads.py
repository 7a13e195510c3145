"""`cultivar datasets upload`: sends a folder or an archive, and imports it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cultivar.v1 import dataset_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.datasets import see_import
from cultivar_client.cli.options import (
    Address,
    Json,
    Labels,
    ReplacePrefix,
    SplitSharedList,
    TestList,
    Token,
    TrainList,
    ValList,
    read_enum,
    read_prefixes,
)
from cultivar_client.cli.output import console
from cultivar_client.cli.split_options import LEAK_POLICY, DropLeaks, Fold, Folds, HeldOutFraction, SplitSeed
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.packing import archive_of


def upload(
    name: Annotated[str, typer.Argument(help="Name of the data set; the content becomes its next version.")],
    path: Annotated[Path, typer.Argument(help="A folder, or a .tar, .tar.gz, .tar.bz2, .tar.xz or .zip file.")],
    class_names: Annotated[
        str | None, typer.Option(help="JSON file {class id: display name}, relative to PATH.")
    ] = None,
    train_list: TrainList = None,
    val_list: ValList = None,
    test_list: TestList = None,
    labels: Labels = None,
    replace_prefix: ReplacePrefix = None,
    split_shared_list: SplitSharedList = False,
    split_seed: SplitSeed = None,
    held_out_fraction: HeldOutFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    drop_leaks: DropLeaks = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Send images to the service and import them as a new version of a data set.

    Run again after a break, it goes on where it ended. A folder is first packed in the system's temporary folder
    (TMPDIR). Files of options are named relative to PATH.
    """
    prefixes = read_prefixes(replace_prefix)
    # Any: the generated enum types are ints at run time.
    policy: Any = read_enum(LEAK_POLICY, drop_leaks, "--drop-leaks")

    async def work(client: Client) -> int:
        with archive_of(path) as archive:
            sent = await _send(client, archive, quiet=as_json)
        dataset = await client.create_dataset(
            name,
            upload=sent.name,
            class_names=class_names,
            split_seed=split_seed,
            train_list=train_list,
            val_list=val_list,
            test_list=test_list,
            labels=labels or (),
            replace_prefixes=prefixes,
            split_shared_list=split_shared_list,
            held_out_fraction=held_out_fraction,
            folds=folds,
            fold=fold,
            drop_leaks=policy,
        )
        return await see_import(client, dataset, as_json=as_json)

    session.run(address, token, work)


async def _send(client: Client, archive: Path, *, quiet: bool) -> dataset_pb2.Upload:
    target = console(stderr=quiet)
    columns = (TextColumn("uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, console=target, transient=True, disable=not target.is_terminal)
    task = bar.add_task("uploading", total=None)
    told = quiet or target.is_terminal

    def show(done_bytes: int, total_bytes: int) -> None:
        nonlocal told
        bar.update(task, completed=done_bytes, total=total_bytes)
        if not told:
            typer.echo(f"uploading {figures.size(total_bytes)}")
            told = True

    with bar:
        return await client.upload_archive(archive, on_progress=show)

"""`cultivar datasets`: imports data sets and shows what they hold."""

import asyncio
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from cultivar.v1 import dataset_pb2
from cultivar_client.cli import dataset_report, figures, session
from cultivar_client.cli.dataset_checks import check
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
from cultivar_client.cli.output import console, print_facts, print_json, print_table
from cultivar_client.cli.split_options import (
    LEAK_POLICY,
    ClassNames,
    DropLeaks,
    Fold,
    Folds,
    HeldOutFraction,
    SplitSeed,
)
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.enums import enum_label

app = typer.Typer(help="Import data sets and show what they hold.", no_args_is_help=True)

STATE = dataset_pb2.DESCRIPTOR.enum_types_by_name["DatasetState"]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Name of the data set; the content becomes its next version.")],
    builtin: Annotated[str | None, typer.Option(help="procedural-flowers, cifar10, flowers102 or mnist.")] = None,
    folder: Annotated[str | None, typer.Option(help="A folder, relative to the service's data sets root.")] = None,
    train_list: TrainList = None,
    val_list: ValList = None,
    test_list: TestList = None,
    labels: Labels = None,
    replace_prefix: ReplacePrefix = None,
    split_shared_list: SplitSharedList = False,
    class_names: ClassNames = None,
    split_seed: SplitSeed = None,
    held_out_fraction: HeldOutFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    drop_leaks: DropLeaks = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Import images as a new version of a data set, and wait until it is ready."""
    if (builtin is None) == (folder is None):
        raise typer.BadParameter("give exactly one of --builtin and --folder")
    if class_names is not None and folder is None:
        raise typer.BadParameter("--class-names needs --folder: built-in sources bring their names")
    prefixes = read_prefixes(replace_prefix)
    # Any: the generated enum types are ints at run time.
    policy: Any = read_enum(LEAK_POLICY, drop_leaks, "--drop-leaks")

    async def work(client: Client) -> int:
        dataset = await client.create_dataset(
            name,
            builtin=builtin,
            folder=folder,
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


async def see_import(client: Client, dataset: dataset_pb2.Dataset, *, as_json: bool) -> int:
    """Shows an import until it has ended, then what it made, and returns the exit code."""
    dataset = await _follow_import(client, dataset, quiet=as_json)
    if as_json:
        print_json(dataset)
    if dataset.state != dataset_pb2.DATASET_STATE_READY:
        return session.fail(dataset.error.message or f"{dataset.name} is {_state(dataset)}")
    if not as_json:
        _print_dataset(dataset)
    return session.DONE


app.command("check")(check)


@app.command("list")
def list_(address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """List all versions, and imports that run or failed, newest first."""

    async def work(client: Client) -> int:
        datasets = [dataset async for dataset in client.list_datasets()]
        if as_json:
            print_json(dataset_pb2.ListDatasetsResponse(datasets=datasets))
            return session.DONE
        rows = [
            (
                dataset.name,
                _state(dataset),
                len(dataset.classes) or "",
                *(_image_count(dataset, split) for split in (1, 2, 3)),
                figures.size(dataset.image_bytes) if dataset.image_bytes else "",
                figures.moment(dataset.create_time),
            )
            for dataset in datasets
        ]
        columns = ("name", "state", "classes>", "train>", "val>", "test>", "size>", "created (UTC)")
        print_table(columns, rows, empty="no data sets")
        return session.DONE

    session.run(address, token, work)


@app.command("show")
def show(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Show a data set: what its import found, its classes, the images of each split, and rejected files."""

    async def work(client: Client) -> int:
        dataset = await client.get_dataset(name)
        if as_json:
            print_json(dataset)
        else:
            _print_dataset(dataset)
        return session.DONE

    session.run(address, token, work)


@app.command("delete")
def delete(name: str, address: Address = DEFAULT_ADDRESS, token: Token = None, as_json: Json = False) -> None:
    """Delete one version (datasets/NAME/versions/N) or failed import, and its images."""

    async def work(client: Client) -> int:
        await client.delete_dataset(name)
        if as_json:
            print_json({})
        else:
            typer.echo(f"deleted {name}")
        return session.DONE

    session.run(address, token, work)


async def _follow_import(client: Client, dataset: dataset_pb2.Dataset, *, quiet: bool) -> dataset_pb2.Dataset:
    target = console(stderr=quiet)
    live = target.is_terminal
    name, stage = dataset.name, ""
    bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(), console=target, transient=True)
    task = bar.add_task("importing", total=None)
    bar.disable = not live
    try:
        with bar:
            async for dataset in client.wait_for_dataset(name):
                progress = dataset.progress
                if not dataset.HasField("progress"):
                    continue
                bar.update(
                    task,
                    description=figures.progress_line(progress),
                    completed=progress.done,
                    total=progress.total or None,
                )
                if not live and not quiet and progress.stage != stage:
                    stage = progress.stage
                    typer.echo(stage)
    except asyncio.CancelledError:
        typer.echo(f"the import goes on: see it with `cultivar datasets show {name}`", err=True)
        raise
    return dataset


def _print_dataset(dataset: dataset_pb2.Dataset) -> None:
    source = dataset.source
    rejected = figures.count(dataset.rejected_count) if dataset.rejected_count else ""
    print_facts(
        [
            ("name", dataset.name),
            ("state", _state(dataset)),
            ("source", source.builtin or source.folder or source.upload),
            ("splits", dataset.split_protocol),
            ("size", figures.size(dataset.image_bytes) if dataset.image_bytes else ""),
            ("created", figures.moment(dataset.create_time)),
            ("digest", dataset.digest),
            ("progress", figures.progress_line(dataset.progress)),
            ("rejected files", rejected),
            ("error", dataset.error.message),
            *(dataset_report.facts(dataset.report) if dataset.HasField("report") else ()),
        ]
    )
    if dataset.HasField("report"):
        typer.echo()
        dataset_report.print_splits(dataset.report)
    if dataset.classes:
        typer.echo()
        dataset_report.print_classes(dataset.classes, dataset.splits)
    dataset_report.print_rejected(dataset.rejected_files)


def _state(dataset: dataset_pb2.Dataset) -> str:
    return enum_label(STATE, dataset.state)


def _image_count(dataset: dataset_pb2.Dataset, number: int) -> object:
    return next((split.image_count for split in dataset.splits if split.split == number), "")

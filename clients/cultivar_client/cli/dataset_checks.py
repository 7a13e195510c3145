"""`cultivar datasets check`: what an import of a folder would find."""

from typing import Annotated, Any

import typer

from cultivar.v1 import dataset_pb2
from cultivar_client.cli import dataset_report, figures, session
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
from cultivar_client.cli.output import print_facts, print_json
from cultivar_client.cli.progress import result_of
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
from cultivar_client.datasets import label_lists, prefix_replacements


def check(
    folder: Annotated[str, typer.Argument(help="A folder, relative to the service's data sets root.")],
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
    """Look through a folder as an import would, and tell what is in it, without importing it."""
    policy: Any = read_enum(LEAK_POLICY, drop_leaks, "--drop-leaks")
    source = dataset_pb2.DatasetSource(
        folder=folder,
        class_names=class_names,
        split_seed=split_seed,
        label_lists=label_lists(train_list, val_list, test_list, labels or ()),
        replace_prefixes=prefix_replacements(read_prefixes(replace_prefix)),
        split_shared_list=split_shared_list,
        held_out_fraction=held_out_fraction,
        folds=folds,
        fold=fold,
        drop_leaks=policy,
    )

    async def work(client: Client) -> int:
        report = await result_of(client.check_dataset(source), "report", quiet=as_json)
        if as_json:
            print_json(report)
            return session.DONE
        rejected = figures.count(report.rejected_count) if report.rejected_count else ""
        print_facts([("splits", report.split_protocol), ("rejected files", rejected), *dataset_report.facts(report)])
        typer.echo()
        dataset_report.print_splits(report)
        typer.echo()
        dataset_report.print_classes(report.classes, report.splits)
        dataset_report.print_rejected(report.rejected_files)
        return session.DONE

    session.run(address, token, work)

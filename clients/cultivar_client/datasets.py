"""Calls about data sets."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from google.protobuf import empty_pb2

from cultivar.v1 import dataset_pb2, dataset_pb2_grpc
from cultivar_client.connection import Connection
from cultivar_client.resume import resumed

POLL_INTERVAL_S = 0.5


class DatasetCalls(Connection):
    """Imports data sets and tells what they hold."""

    async def create_dataset(
        self,
        dataset_id: str,
        *,
        builtin: str | None = None,
        folder: str | None = None,
        upload: str | None = None,
        class_names: str | None = None,
        split_seed: int | None = None,
        train_list: str | None = None,
        val_list: str | None = None,
        test_list: str | None = None,
        labels: Sequence[str] = (),
        replace_prefixes: Mapping[str, str] = MappingProxyType({}),
        split_shared_list: bool = False,
        held_out_fraction: float | None = None,
        folds: int | None = None,
        fold: int | None = None,
        drop_leaks: dataset_pb2.LeakPolicy | None = None,
        request_id: str | None = None,
    ) -> dataset_pb2.Dataset:
        """Starts an import of a built-in source, a folder or an upload and answers at once: see wait_for_dataset.

        `folder`, `class_names`, the lists of the splits and `labels`, lists of images whose splits are drawn or told by
        a column, are relative to the service's data sets root; with `upload`, the name of a finished one, all are
        relative to its archive. `replace_prefixes` are what paths in lists begin with, and shall begin with.
        Raises CultivarError.
        """
        source = dataset_pb2.DatasetSource(
            builtin=builtin,
            folder=folder,
            upload=upload,
            class_names=class_names,
            split_seed=split_seed,
            label_lists=label_lists(train_list, val_list, test_list, labels),
            replace_prefixes=prefix_replacements(replace_prefixes),
            split_shared_list=split_shared_list,
            held_out_fraction=held_out_fraction,
            folds=folds,
            fold=fold,
            drop_leaks=drop_leaks,
        )
        request = dataset_pb2.CreateDatasetRequest(
            dataset_id=dataset_id, source=source, request_id=request_id or uuid.uuid4().hex
        )
        return await self._unary(self._datasets.CreateDataset, request, dataset_pb2.Dataset)

    def check_dataset(self, source: dataset_pb2.DatasetSource) -> AsyncIterator[dataset_pb2.DatasetCheckUpdate]:
        """Yields how far the check of a folder or upload is, and at last its report. Raises CultivarError."""
        request = dataset_pb2.CheckDatasetRequest(source=source)
        return self._stream(self._datasets.CheckDataset, request, dataset_pb2.DatasetCheckUpdate)

    def wait_for_dataset(
        self, name: str, *, poll_interval_s: float = POLL_INTERVAL_S
    ) -> AsyncIterator[dataset_pb2.Dataset]:
        """Yields the import called `name` each time it is asked about; the last one is READY or FAILED.

        When the service goes away, waits up to 60 s for it to come back: it goes on with its imports. Raises
        CultivarError.
        """

        async def ask(_: None) -> AsyncGenerator[dataset_pb2.Dataset, None]:
            while True:
                dataset = await self.get_dataset(name)
                yield dataset
                if dataset.state != dataset_pb2.DATASET_STATE_IMPORTING:
                    return
                await asyncio.sleep(poll_interval_s)

        return resumed(ask, lambda _: None, None)

    async def get_dataset(self, name: str) -> dataset_pb2.Dataset:
        """Answers a version or an import; a bare name is its newest version. Raises CultivarError."""
        request = dataset_pb2.GetDatasetRequest(name=name)
        return await self._unary(self._datasets.GetDataset, request, dataset_pb2.Dataset)

    def list_datasets(self, *, page_size: int = 0) -> AsyncIterator[dataset_pb2.Dataset]:
        """Yields all versions, and imports that run or failed, newest first. Raises CultivarError."""
        request = dataset_pb2.ListDatasetsRequest(page_size=page_size)
        return self._pages(
            self._datasets.ListDatasets, request, dataset_pb2.ListDatasetsResponse, dataset_pb2.Dataset, "datasets"
        )

    async def delete_dataset(self, name: str) -> None:
        """Deletes a version or failed import. Raises CultivarError, for one where a job uses it."""
        request = dataset_pb2.DeleteDatasetRequest(name=name)
        await self._unary(self._datasets.DeleteDataset, request, empty_pb2.Empty)

    @property
    def _datasets(self) -> Any:
        return self._stub(dataset_pb2_grpc.DatasetServiceStub)


def label_lists(
    train_list: str | None, val_list: str | None, test_list: str | None, labels: Sequence[str]
) -> list[dataset_pb2.LabelList]:
    """Makes the lists of a source: one for each split that has one, and those whose splits are not said."""
    named = {"SPLIT_TRAIN": train_list, "SPLIT_VAL": val_list, "SPLIT_TEST": test_list}
    lists = [dataset_pb2.LabelList(path=path, split=split) for split, path in named.items() if path is not None]
    return [*lists, *(dataset_pb2.LabelList(path=path) for path in labels)]


def prefix_replacements(prefixes: Mapping[str, str]) -> list[dataset_pb2.PrefixReplacement]:
    """Makes a source's replacements of what paths in lists begin with: old ones, and what they become."""
    return [dataset_pb2.PrefixReplacement(old_prefix=old, new_prefix=new) for old, new in prefixes.items()]

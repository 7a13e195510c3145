"""Makes versions of what imports left."""

import asyncio
from pathlib import Path

from cultivar.v1 import dataset_pb2
from cultivar_contract import files
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.config import Config
from cultivar_service.datasets.failures import ImportFailed

READY = dataset_pb2.DATASET_STATE_READY


class Versions:
    """Gives imported images their number and place."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        self._config = config
        self._catalog = catalog

    async def make(self, import_id: str, directory: RunDirectory, found: dataset_pb2.Dataset) -> str:
        """Return the name of the version that an import has become, or of the one that has the same content.

        Args:
            import_id: whose record becomes the version's.
            directory: the import's, which holds the images.
            found: what the trainer tells of them.

        Raises:
            ImportFailed: the images can't be moved to their place.
        """
        resource = await self._catalog.read(lambda connection: datasets.get_importing(connection, import_id))
        dataset = resource.name.split("/")[1]
        # The number is taken before the files move and shown after: whoever dies in between, the next one goes on.
        reservation = await self._catalog.record(
            lambda connection: datasets.reserve(connection, dataset, import_id, found.digest)
        )
        name = f"datasets/{dataset}/versions/{reservation.version}"
        if reservation.is_new:
            target = self._config.datasets / dataset / str(reservation.version)
            try:
                await asyncio.to_thread(_move, directory.path / "dataset", target)
            except OSError as error:
                await self._catalog.record(lambda connection: datasets.release(connection, import_id))
                raise ImportFailed.by_os("the images could not be kept", error, reason="STORAGE") from error
            version = _version(resource, found, name)
            await self._catalog.record(lambda connection: datasets.update(connection, import_id, version))
        return name


def _version(resource: dataset_pb2.Dataset, found: dataset_pb2.Dataset, name: str) -> dataset_pb2.Dataset:
    version = dataset_pb2.Dataset(
        name=name,
        state=READY,
        source=resource.source,
        creator=resource.creator,
        create_time=resource.create_time,
        digest=found.digest,
        classes=found.classes,
        splits=found.splits,
        split_protocol=found.split_protocol,
        image_bytes=found.image_bytes,
        rejected_files=found.rejected_files,
        rejected_count=found.rejected_count,
    )
    version.end_time.GetCurrentTime()
    return version


def _move(source: Path, target: Path) -> None:
    if target.exists() and not source.exists():
        return  # moved already, before a restart
    files.sync_tree(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    files.sync_folder(target.parent)

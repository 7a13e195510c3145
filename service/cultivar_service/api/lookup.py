"""What requests name, found in the catalog: in the one way that several requests share."""

from pathlib import Path

from cultivar.v1 import dataset_pb2
from cultivar_contract.names import is_file_name
from cultivar_contract.violations import Violation
from cultivar_service.catalog import datasets
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import dataset_not_found, parse_dataset
from cultivar_service.errors import FailedPrecondition


async def ready_dataset(catalog: Catalog, name: str, field: str) -> dataset_pb2.Dataset | None:
    """Return the READY version that a request names; None where it names none.

    Raises:
        NotFound: there is no such data set.
        FailedPrecondition: it is not READY.
    """
    if not name:
        return None
    reference = parse_dataset(name, field)
    found = await catalog.read(lambda connection: datasets.find(connection, reference))
    if found is None:
        raise dataset_not_found(name, field)
    if found.state != dataset_pb2.DATASET_STATE_READY:
        state = dataset_pb2.DatasetState.Name(found.state).removeprefix("DATASET_STATE_")
        raise FailedPrecondition(
            f"data set {name!r} has no READY version, {found.name} is {state}: wait for a READY one",
            reason="DATASET_NOT_READY",
            violations=[Violation(field=field, message=f"{found.name} is {state}")],
        )
    return found


def missing_dataset(field: str) -> Violation:
    """Tell that a request names no data set."""
    return Violation(field=field, message="is required: `cultivar datasets list`")


def file_names(folder: Path) -> list[str]:
    """Return the names of the files in the weights folder that can be asked for. Blocks."""
    try:
        return [path.name for path in folder.iterdir() if is_file_name(path.name) and path.is_file()]
    except OSError:  # no folder, no files
        return []

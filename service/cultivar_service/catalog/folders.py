"""Which folders of the data directory the records speak of, and what becomes of records whose folder is gone."""

from collections.abc import Callable

import sqlalchemy as sa

from cultivar.v1 import dataset_pb2, event_pb2, model_pb2
from cultivar_service.catalog.evaluations import of_models
from cultivar_service.catalog.tables import datasets, jobs, studies, versions

FILES_MISSING = "FILES_MISSING"
"""Reason of a version's error where its folder is gone."""
_DATASET_READY, _DATASET_FAILED = dataset_pb2.DATASET_STATE_READY, dataset_pb2.DATASET_STATE_FAILED
_READY, _REJECTED = model_pb2.MODEL_VERSION_STATE_READY, model_pb2.MODEL_VERSION_STATE_REJECTED

HasFolder = Callable[[str, int], bool]
"""Tells of a name and a version number whether the folder is there."""


def runs(connection: sa.Connection) -> set[str]:
    """Return the identifiers of all jobs: each may have a run directory."""
    return set(connection.execute(sa.select(jobs.c.id)).scalars())


def study_reports(connection: sa.Connection) -> set[str]:
    """Return the identifiers of all studies: each may have a folder of its report."""
    return set(connection.execute(sa.select(studies.c.id)).scalars())


def imports(connection: sa.Connection) -> set[str]:
    """Return the identifiers of the imports that may have a run directory: one that became a version has none."""
    query = sa.select(datasets.c.import_id).where(datasets.c.state != _DATASET_READY)
    return set(connection.execute(query).scalars())


def dataset_versions(connection: sa.Connection) -> set[str]:
    """Return NAME/VERSION of every data set version, also of one that an import is about to make."""
    query = sa.select(datasets.c.dataset, datasets.c.version).where(datasets.c.version.is_not(None))
    return {f"{name}/{version}" for name, version in connection.execute(query)}


def model_versions(connection: sa.Connection) -> set[str]:
    """Return NAME/VERSION of every model version, also of one that is being published."""
    return {
        f"{name}/{version}" for name, version in connection.execute(sa.select(versions.c.model, versions.c.version))
    }


def evaluations(connection: sa.Connection) -> set[str]:
    """Return the folders of all evaluations of models that are still there."""
    resources = connection.execute(sa.select(versions.c.resource)).scalars()
    digests = {model_pb2.ModelVersion.FromString(one).onnx_sha256 for one in resources}
    return {one.key.folder for one in of_models(connection, digests)}


def compare_datasets(connection: sa.Connection, has_folder: HasFolder) -> list[str]:
    """Fail READY data set versions whose files are gone, and take those back whose files are there again.

    Returns:
        The names of those without files.
    """
    missing = []
    query = sa.select(datasets.c.sequence, datasets.c.dataset, datasets.c.version, datasets.c.resource).where(
        datasets.c.version.is_not(None), datasets.c.state.in_((_DATASET_READY, _DATASET_FAILED))
    )
    for sequence, name, version, data in connection.execute(query).all():
        resource, there = dataset_pb2.Dataset.FromString(data), has_folder(name, version)
        if not there:
            missing.append(resource.name)
        if there == (resource.state == _DATASET_READY):
            continue
        resource.ClearField("error")
        resource.state = _DATASET_READY if there else _DATASET_FAILED
        if not there:
            resource.error.CopyFrom(_gone(f"datasets/{name}/{version}", "import it again"))
        # Without the column's digest, an import of the same content becomes a version of its own.
        values = {
            "state": resource.state,
            "digest": resource.digest if there else None,
            "resource": resource.SerializeToString(),
        }
        connection.execute(datasets.update().where(datasets.c.sequence == sequence).values(**values))
    return missing


def compare_models(connection: sa.Connection, has_folder: HasFolder) -> list[str]:
    """Reject READY model versions whose files are gone, and take those back whose files are there again.

    Returns:
        The names of those without files.
    """
    missing = []
    query = sa.select(versions.c.model, versions.c.version, versions.c.resource).where(
        versions.c.state.in_((_READY, _REJECTED))
    )
    for name, version, data in connection.execute(query).all():
        resource, there = model_pb2.ModelVersion.FromString(data), has_folder(name, version)
        if resource.state == _REJECTED and resource.error.reason != FILES_MISSING:
            continue
        if not there:
            missing.append(resource.name)
        if there == (resource.state == _READY):
            continue
        resource.ClearField("error")
        resource.state = _READY if there else _REJECTED
        if not there:
            resource.error.CopyFrom(_gone(f"models/{name}/{version}", "train it again"))
        connection.execute(
            versions.update()
            .where(versions.c.model == name, versions.c.version == version)
            .values(state=resource.state, resource=resource.SerializeToString())
        )
    return missing


def _gone(folder: str, other_remedy: str) -> event_pb2.Failure:
    return event_pb2.Failure(
        reason=FILES_MISSING,
        message=f"folder {folder} of the data directory is gone: put it back and start the service, or {other_remedy}",
    )

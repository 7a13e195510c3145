"""READY versions by number: their records, and themselves, loaded."""

from cultivar.v1 import model_pb2
from cultivar_contract.package import DamagedPackage
from cultivar_service.catalog import models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import model_not_found
from cultivar_service.errors import FailedPrecondition
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.registry import Registry


class Versions:
    """Finds versions that can answer."""

    def __init__(self, catalog: Catalog, registry: Registry) -> None:
        self._catalog = catalog
        self._registry = registry

    async def ready(self, model: str, version: int, *, field: str) -> model_pb2.ModelVersion:
        """Return the record of a version that is READY.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it is being loaded, or was rejected.
        """
        name = models.version_name(model, version)
        resource = await self._catalog.read(lambda connection: models.get_version(connection, model, version))
        if resource is None:
            raise model_not_found(name, field)
        if resource.state == models.LOADING:
            raise FailedPrecondition(f"{name} is being loaded: wait until it is READY", reason="VERSION_LOADING")
        if resource.state == models.REJECTED:
            raise _rejected(name, resource.error.message)
        return resource

    async def load(self, model: str, version: int, *, field: str) -> LoadedVersion:
        """Return a version that can answer.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: it can't answer.
        """
        held = self._registry.held(model, version)
        if held is not None:
            return held
        await self.ready(model, version, field=field)
        try:
            return await self._registry.get(model, version)
        except DamagedPackage as error:
            await self.ready(model, version, field=field)  # it may have been deleted meanwhile
            raise _rejected(models.version_name(model, version), str(error)) from error


def _rejected(name: str, message: str) -> FailedPrecondition:
    return FailedPrecondition(f"{name} was rejected: {message}"[:500], reason="VERSION_REJECTED")

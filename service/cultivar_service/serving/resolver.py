"""From the name in a request to the version that it means: in this one place."""

from cultivar.v1 import model_pb2
from cultivar_service.catalog import aliases, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import LIVE, ModelReference, model_not_found, parse_model
from cultivar_service.errors import FailedPrecondition
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.registry import Registry
from cultivar_service.serving.versions import Versions


class Resolver:
    """Resolves names of models and versions."""

    def __init__(self, catalog: Catalog, registry: Registry, versions: Versions) -> None:
        self._catalog = catalog
        self._registry = registry
        self._versions = versions

    async def resolve(self, text: str, field: str) -> tuple[str, int]:
        """Return the model and the number of the version that a name means; that version need not exist.

        Raises:
            NotFound: there is no such model or alias.
            FailedPrecondition: the model has no live version.
        """
        reference = parse_model(text, field)
        if reference.version is None:
            return reference.model, await self._alias(reference, text, field)
        return reference.model, reference.version

    async def ready(self, text: str, field: str) -> model_pb2.ModelVersion:
        """Return the record of the READY version that a name means, without loading it.

        Raises:
            NotFound: there is no such model, alias or version.
            FailedPrecondition: it can't answer.
        """
        model, version = await self.resolve(text, field)
        return await self._versions.ready(model, version, field=field)

    async def load(self, text: str, field: str) -> LoadedVersion:
        """Return the version that a name means, ready to answer.

        Raises:
            NotFound: there is no such model, alias or version.
            FailedPrecondition: it can't answer.
        """
        reference = parse_model(text, field)
        if reference.version is None and reference.alias == LIVE:
            live = self._registry.live(reference.model)
            if live is not None:
                return live
        model, version = await self.resolve(text, field)
        return await self._versions.load(model, version, field=field)

    async def _alias(self, reference: ModelReference, text: str, field: str) -> int:
        version = await self._catalog.read(lambda connection: aliases.resolve(connection, reference))
        if version is not None:
            return version
        model = await self._catalog.read(lambda connection: models.get(connection, reference.model))
        if model is None or reference.alias != LIVE:
            raise model_not_found(text, field)
        raise FailedPrecondition(
            f"{model.name} has no live version: promote one of its {model.version_count} version(s), or train one",
            reason="NO_LIVE_VERSION",
        )

"""ModelService: tells which models there are and which version of each answers."""

import sqlalchemy as sa

from cultivar.v1 import model_pb2
from cultivar_service.caller import Caller
from cultivar_service.catalog import evaluations, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.paging import Page, PageRequest
from cultivar_service.catalog.references import model_not_found, parse_model
from cultivar_service.errors import InvalidRequest
from cultivar_service.serving.resolver import Resolver


class ModelApi:
    """Answers ModelService."""

    def __init__(self, catalog: Catalog, resolver: Resolver) -> None:
        self._catalog = catalog
        self._resolver = resolver

    async def get_model(self, request: model_pb2.GetModelRequest, _: Caller) -> model_pb2.Model:
        """Answer one model."""
        return await self._get(whole(request.name, "name"), request.name)

    async def list_models(self, request: model_pb2.ListModelsRequest, _: Caller) -> model_pb2.ListModelsResponse:
        """Answer a page of models."""
        wanted = PageRequest.parse(request.page_size, request.page_token, "models")
        page = await self._catalog.read(lambda connection: models.page(connection, wanted))
        return model_pb2.ListModelsResponse(models=page.items, next_page_token=page.next_token)

    async def get_model_version(self, request: model_pb2.GetModelVersionRequest, _: Caller) -> model_pb2.ModelVersion:
        """Answer one version."""
        model, version = await self._resolver.resolve(request.name, "name")

        def read(connection: sa.Connection) -> model_pb2.ModelVersion | None:
            found = models.get_version(connection, model, version)
            if found is not None:
                evaluations.join(connection, [found])
                found.evaluations.extend(evaluations.of_version(connection, found))
            return found

        found = await self._catalog.read(read)
        if found is None:
            raise model_not_found(request.name)
        return found

    async def list_model_versions(
        self, request: model_pb2.ListModelVersionsRequest, _: Caller
    ) -> model_pb2.ListModelVersionsResponse:
        """Answer a page of a model's versions."""
        model = whole(request.parent, "parent")
        wanted = PageRequest.parse(request.page_size, request.page_token, f"versions of {model}")
        await self._get(model, request.parent, field="parent")

        def read(connection: sa.Connection) -> Page[model_pb2.ModelVersion]:
            page = models.version_page(connection, wanted, model)
            evaluations.join(connection, page.items)
            return page

        page = await self._catalog.read(read)
        return model_pb2.ListModelVersionsResponse(model_versions=page.items, next_page_token=page.next_token)

    async def _get(self, model: str, name: str, field: str = "name") -> model_pb2.Model:
        found = await self._catalog.read(lambda connection: models.get(connection, model))
        if found is None:
            raise model_not_found(name, field)
        return found


def whole(text: str, field: str) -> str:
    """Return the bare name of a whole model.

    Raises:
        InvalidRequest, NotFound: the text is empty, names a version, or no model that could be.
    """
    reference = parse_model(text, field)
    if reference.version is not None or "@" in text:
        raise InvalidRequest.at(field, f"{text!r} names a version: use {reference.model}")
    return reference.model

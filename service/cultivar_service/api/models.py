"""ModelService: tells which models there are and which version of each answers."""

from google.protobuf.empty_pb2 import Empty

from cultivar.v1 import model_pb2
from cultivar_service.caller import Caller
from cultivar_service.catalog import models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.paging import PageRequest
from cultivar_service.catalog.references import model_not_found, parse_model, parse_version
from cultivar_service.errors import InvalidRequest
from cultivar_service.serving.publisher import Publisher
from cultivar_service.serving.resolver import Resolver


class ModelApi:
    """Answers ModelService."""

    def __init__(self, catalog: Catalog, resolver: Resolver, publisher: Publisher) -> None:
        self._catalog = catalog
        self._resolver = resolver
        self._publisher = publisher

    async def get_model(self, request: model_pb2.GetModelRequest, _: Caller) -> model_pb2.Model:
        """Answer one model."""
        return await self._get(_whole(request.name, "name"), request.name)

    async def list_models(self, request: model_pb2.ListModelsRequest, _: Caller) -> model_pb2.ListModelsResponse:
        """Answer a page of models."""
        wanted = PageRequest.parse(request.page_size, request.page_token, "models")
        page = await self._catalog.read(lambda connection: models.page(connection, wanted))
        return model_pb2.ListModelsResponse(models=page.items, next_page_token=page.next_token)

    async def delete_model(self, request: model_pb2.DeleteModelRequest, caller: Caller) -> Empty:
        """Delete a model and its versions."""
        model = _whole(request.name, "name")
        await self._check_owns(caller, model)
        await self._publisher.delete_model(model)
        return Empty()

    async def get_model_version(self, request: model_pb2.GetModelVersionRequest, _: Caller) -> model_pb2.ModelVersion:
        """Answer one version."""
        model, version = await self._resolver.resolve(request.name, "name")
        found = await self._catalog.read(lambda connection: models.get_version(connection, model, version))
        if found is None:
            raise model_not_found(request.name)
        return found

    async def list_model_versions(
        self, request: model_pb2.ListModelVersionsRequest, _: Caller
    ) -> model_pb2.ListModelVersionsResponse:
        """Answer a page of a model's versions."""
        model = _whole(request.parent, "parent")
        wanted = PageRequest.parse(request.page_size, request.page_token, f"versions of {model}")
        await self._get(model, request.parent, field="parent")
        page = await self._catalog.read(lambda connection: models.version_page(connection, wanted, model))
        return model_pb2.ListModelVersionsResponse(model_versions=page.items, next_page_token=page.next_token)

    async def promote_model_version(self, request: model_pb2.PromoteModelVersionRequest, _: Caller) -> model_pb2.Model:
        """Make a version live."""
        model, version = parse_version(request.name)
        await self._publisher.promote(model, version)
        return await self._get(model, request.name)

    async def delete_model_version(self, request: model_pb2.DeleteModelVersionRequest, caller: Caller) -> Empty:
        """Delete a version that is not live."""
        model, version = parse_version(request.name)
        await self._check_owns(caller, model, version)
        await self._publisher.delete_version(model, version)
        return Empty()

    async def _check_owns(self, caller: Caller, model: str, version: int | None = None) -> None:
        """Check that the caller may delete a version, or all of a model; what does not exist is for others to tell."""
        if not caller.is_admin:
            creators = await self._catalog.read(lambda connection: models.creators(connection, model))
            for name, creator in creators.items():
                if version is None or name == models.version_name(model, version):
                    caller.check_may_change(name, creator)

    async def _get(self, model: str, name: str, field: str = "name") -> model_pb2.Model:
        found = await self._catalog.read(lambda connection: models.get(connection, model))
        if found is None:
            raise model_not_found(name, field)
        return found


def _whole(text: str, field: str) -> str:
    """Return the name of a whole model."""
    reference = parse_model(text, field)
    if reference.version is not None or "@" in text:
        raise InvalidRequest.at(field, f"{text!r} names a version: use {reference.model}")
    return reference.model

"""ModelService's changes: which version answers for a model and its aliases, and which versions go."""

from google.protobuf.empty_pb2 import Empty

from cultivar.v1 import model_pb2
from cultivar_service.api.models import whole
from cultivar_service.caller import Caller
from cultivar_service.catalog import models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import model_not_found, parse_version
from cultivar_service.errors import InvalidRequest
from cultivar_service.serving.alias_moves import AliasMoves
from cultivar_service.serving.deletion import Deletion
from cultivar_service.serving.live import Expected, LiveVersions

_MAX_REASON = 200
"""Characters."""


class LiveApi:
    """Answers the RPCs of ModelService that change something."""

    def __init__(self, catalog: Catalog, live: LiveVersions, alias_moves: AliasMoves, deletion: Deletion) -> None:
        self._catalog = catalog
        self._live = live
        self._aliases = alias_moves
        self._deletion = deletion

    async def promote_model_version(
        self, request: model_pb2.PromoteModelVersionRequest, caller: Caller
    ) -> model_pb2.Model:
        """Make a version live."""
        model, version = parse_version(request.name)
        expected = _expected(request, model)
        await self._live.promote(
            model, version, actor=caller.name or caller.client, reason=_reason(request.reason), expected=expected
        )
        return await self._get(model)

    async def rollback_model(self, request: model_pb2.RollbackModelRequest, caller: Caller) -> model_pb2.Model:
        """Make the version live that was so before."""
        model = whole(request.name, "name")
        expected = _expected(request, model)
        await self._live.rollback(
            model, actor=caller.name or caller.client, reason=_reason(request.reason), expected=expected
        )
        return await self._get(model)

    async def set_model_alias(self, request: model_pb2.SetModelAliasRequest, _: Caller) -> model_pb2.Model:
        """Point an alias to a version."""
        model = whole(request.name, "name")
        await self._aliases.put(model, request.alias, _version_of(model, request.model_version, "model_version"))
        return await self._get(model)

    async def delete_model_alias(self, request: model_pb2.DeleteModelAliasRequest, _: Caller) -> model_pb2.Model:
        """Delete an alias."""
        model = whole(request.name, "name")
        await self._aliases.delete(model, request.alias)
        return await self._get(model)

    async def delete_model_version(self, request: model_pb2.DeleteModelVersionRequest, caller: Caller) -> Empty:
        """Delete a version that no alias points to."""
        model, version = parse_version(request.name)
        await self._check_owns(caller, model, version)
        await self._deletion.delete_version(model, version)
        return Empty()

    async def delete_model(self, request: model_pb2.DeleteModelRequest, caller: Caller) -> Empty:
        """Delete a model and its versions."""
        model = whole(request.name, "name")
        await self._check_owns(caller, model)
        await self._deletion.delete_model(model)
        return Empty()

    async def _check_owns(self, caller: Caller, model: str, version: int | None = None) -> None:
        """Check that the caller may delete a version, or all of a model; what does not exist is for others to tell."""
        if not caller.is_admin:
            creators = await self._catalog.read(lambda connection: models.creators(connection, model))
            for name, creator in creators.items():
                if version is None or name == models.version_name(model, version):
                    caller.check_may_change(name, creator)

    async def _get(self, model: str) -> model_pb2.Model:
        found = await self._catalog.read(lambda connection: models.get(connection, model))
        if found is None:
            raise model_not_found(f"models/{model}")
        return found


def _expected(
    request: model_pb2.PromoteModelVersionRequest | model_pb2.RollbackModelRequest, model: str
) -> Expected | None:
    if not request.HasField("expected_live_version"):
        return None
    if not request.expected_live_version:
        return Expected(None)
    return Expected(_version_of(model, request.expected_live_version, "expected_live_version"))


def _version_of(model: str, text: str, field: str) -> int:
    named, version = parse_version(text, field)
    if named != model:
        raise InvalidRequest.at(field, f"{text!r} is a version of another model: use one of models/{model}")
    return version


def _reason(text: str) -> str:
    if len(text) > _MAX_REASON:
        raise InvalidRequest.at("reason", f"{len(text)} characters: use at most {_MAX_REASON}")
    return text

"""Points aliases such as `canary` to versions."""

import logging

import sqlalchemy as sa

from cultivar_contract.names import NAME_RULE, is_name
from cultivar_service.catalog import aliases, models
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import LIVE, model_not_found
from cultivar_service.errors import FailedPrecondition, InvalidRequest, NotFound, shown
from cultivar_service.serving.live import LiveVersions
from cultivar_service.serving.versions import Versions

logger = logging.getLogger(__name__)

_MAX_ALIASES = 50
"""Of one model: every answer about it lists them."""


class AliasMoves:
    """Sets and deletes every alias but `live`."""

    def __init__(self, catalog: Catalog, versions: Versions, live: LiveVersions) -> None:
        self._catalog = catalog
        self._versions = versions
        self._live = live

    async def put(self, model: str, alias: str, version: int) -> None:
        """Point an alias to a version.

        Raises:
            InvalidRequest: the alias is no name, or is `live`.
            NotFound: there is no such version.
            FailedPrecondition: the version can't answer, or the model has too many aliases.
        """
        check_alias(alias)

        def put(connection: sa.Connection) -> None:
            known = aliases.of_model(connection, model)
            if alias not in known and len(known) >= _MAX_ALIASES:
                raise FailedPrecondition(
                    f"models/{model} has {len(known)} aliases, the most that a model may have: delete one first",
                    reason="TOO_MANY_ALIASES",
                )
            aliases.put(connection, model, alias, version)

        async with self._live.moving(model):
            await self._versions.load(model, version, field="model_version")  # proven before anyone is sent there
            await self._catalog.write(put)
        logger.info("models/%s: %s points to version %d", model, alias, version)

    async def delete(self, model: str, alias: str) -> None:
        """Delete an alias.

        Raises:
            InvalidRequest: it is `live`, or no name.
            NotFound: there is no such model or alias.
        """
        check_alias(alias)
        async with self._live.moving(model):
            if not await self._catalog.read(lambda connection: models.exists(connection, model)):
                raise model_not_found(f"models/{model}")
            if not await self._catalog.write(lambda connection: aliases.delete(connection, model, alias)):
                raise NotFound(
                    "alias", f"{model}@{alias}", field="alias", remedy=f"`cultivar models show {model}` lists them"
                )
        logger.info("models/%s: %s is deleted", model, alias)


def check_alias(alias: str) -> None:
    """Check an alias that a request sets or deletes.

    Raises:
        InvalidRequest: it is `live`, or no name.
    """
    if alias == LIVE:
        raise InvalidRequest.at(
            "alias",
            "'live' is reserved: PromoteModelVersion and RollbackModel move it, and publishing does",
            reason="ALIAS_RESERVED",
        )
    if not is_name(alias):
        raise InvalidRequest.at("alias", f"{shown(alias)} can't name an alias: {NAME_RULE}" if alias else "is required")

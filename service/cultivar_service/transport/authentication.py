"""Lets requests in by their token: in front of all handlers, before a request's body is read."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from cultivar_service.caller import Scope
from cultivar_service.config import Security
from cultivar_service.errors import CultivarError, PermissionDenied, StartupRefused, Unauthenticated
from cultivar_service.tokens import Token, TokenTable, UnusableTokens
from cultivar_service.transport.methods import scope_of

Refusal = Callable[[str, str, CultivarError, Token | None, grpc.aio.ServicerContext], Any]
"""Ends a call of (service, method) with an error."""

_SCHEME = "bearer "


class Authentication:
    """Finds the token of a request, and what it allows."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table

    def token(self, metadata: Any) -> Token:
        """Return what is known of the token in a request's metadata.

        Raises:
            Unauthenticated: there is none that is let in.
        """
        for key, value in metadata or ():
            if key == "authorization":
                if not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
                    break
                return self._table.find(value[len(_SCHEME) :].strip())
        raise Unauthenticated(
            "no token: send it as metadata `authorization: Bearer TOKEN` (CULTIVAR_TOKEN for the command `cultivar`)",
            reason="TOKEN_MISSING",
        )


def authentication(security: Security) -> Authentication | None:
    """Return what lets requests in; None: all are.

    Raises:
        StartupRefused: the tokens file can't be used.
    """
    if security.tokens_file is None:
        return None
    try:
        return Authentication(TokenTable(security.tokens_file))
    except UnusableTokens as error:
        raise StartupRefused(str(error), exit_status=2) from error


def check_scope(token: Token, scope: Scope, method: str) -> None:
    """Check that a token allows a method.

    Raises:
        PermissionDenied: it does not.
    """
    if token.scope < scope:
        raise PermissionDenied(
            f"{method} needs scope {scope.name.lower()}, the token {token.name!r} has {token.scope.name.lower()}",
            reason="SCOPE_MISSING",
        )


class Guard(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Stands before other handlers.

    gRPC looks for a handler when a request's headers are there, and handlers of one message get it once it is whole. So
    the guard hands refused requests to a handler of many messages, which reads none: who has no token can't make the
    service hold their messages.
    """

    def __init__(
        self, handlers: Sequence[grpc.GenericRpcHandler], authentication: Authentication, refuse: Refusal
    ) -> None:
        self._handlers = handlers
        self._authentication = authentication
        self._refuse = refuse

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a request."""
        name = handler_call_details.method
        handler = next((found for one in self._handlers if (found := one.service(handler_call_details))), None)
        if handler is None:
            return None  # UNIMPLEMENTED
        service, _, method = name.lstrip("/").partition("/")
        scope = scope_of(service, method)
        if scope is None:
            return handler
        token = None
        try:
            token = self._authentication.token(handler_call_details.invocation_metadata)
            check_scope(token, scope, method)
        except CultivarError as error:
            return self._refusing(service, method, error, token)
        return handler

    def _refusing(self, service: str, method: str, error: CultivarError, token: Token | None) -> grpc.RpcMethodHandler:
        async def refuse(_: object, context: grpc.aio.ServicerContext) -> None:
            await self._refuse(service, method, error, token, context)

        return grpc.stream_unary_rpc_method_handler(refuse)

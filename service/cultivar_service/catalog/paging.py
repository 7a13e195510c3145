"""Pages of a list: sizes, and tokens that only fit the request that they came from."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cultivar_service.errors import InvalidRequest

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
MAX_PAGE_BYTES = 2 << 20
"""A page ends early here: clients receive 4 MiB by default."""

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class PageRequest:
    """Which page of which list."""

    size: int
    """Items on it, at most."""
    cursor: str
    """Where it starts: after this key; empty for the first page."""
    scope: str
    """The list and its filter."""

    @classmethod
    def parse(cls, page_size: int, page_token: str, scope: str) -> "PageRequest":
        """Read a request's fields.

        Raises:
            InvalidRequest: a negative size, or a token of another list or filter.
        """
        if page_size < 0:
            raise InvalidRequest.at("page_size", f"{page_size} is negative: use 1 to {MAX_PAGE_SIZE}, or leave it out")
        size = min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        if not page_token:
            return cls(size=size, cursor="", scope=scope)
        try:
            token_scope, cursor = json.loads(base64.b64decode(page_token, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, TypeError) as error:
            raise _foreign_token() from error
        if token_scope != scope or not isinstance(cursor, str) or not cursor:
            raise _foreign_token()
        return cls(size=size, cursor=cursor, scope=scope)

    def number(self) -> int | None:
        """Return the cursor as a number; None on the first page.

        Raises:
            InvalidRequest: it is no number.
        """
        try:
            return int(self.cursor) if self.cursor else None
        except ValueError as error:
            raise _foreign_token() from error


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list."""

    items: list[Item]
    next_token: str
    """Empty on the last page."""


def cut(rows: Iterable[tuple[str, bytes]], request: PageRequest, read: Callable[[bytes], Item]) -> Page[Item]:
    """Make a page of rows (key, resource), of which there is one more than the page holds if there are more pages."""
    items: list[Item] = []
    size, last = 0, ""
    for key, resource in rows:
        if len(items) == request.size or (items and size + len(resource) > MAX_PAGE_BYTES):
            token = base64.urlsafe_b64encode(json.dumps([request.scope, last]).encode()).decode()
            return Page(items, token)
        items.append(read(resource))
        size, last = size + len(resource), key
    return Page(items, "")


def _foreign_token() -> InvalidRequest:
    return InvalidRequest.at(
        "page_token", "does not come from this list with this filter: use the next_page_token of its last page"
    )

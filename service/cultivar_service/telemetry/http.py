"""The metrics page, on its own address and thread: it answers also while the event loop is busy."""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from cultivar_service.config import Address

_MAX_CONNECTIONS = 32
"""Connections, and so threads, at a time; more are closed at once."""


class MetricsServer:
    """Serves /metrics and /healthz."""

    def __init__(self, address: Address, registry: CollectorRegistry, is_serving: Callable[[], bool]) -> None:
        """Bind the address.

        Raises:
            OSError: it can't be bound.
        """
        server = _Server6 if ":" in address.host else _Server
        self._server = server((address.host, address.port), _handler(registry, is_serving))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="metrics", daemon=True)
        self.address = Address(address.host, self._server.server_address[1])
        """The address that was bound."""

    def start(self) -> None:
        """Answer requests."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own, where there is one left."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Server6(_Server):
    address_family = socket.AF_INET6


def _handler(registry: CollectorRegistry, is_serving: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds; a connection that says nothing holds no thread for longer

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, content_type, encode(registry))
            elif path == "/healthz":
                serving = is_serving()
                self._answer(200 if serving else 503, "text/plain", b"serving\n" if serving else b"not serving\n")
            else:
                self._answer(404, "text/plain", b"not found: use /metrics or /healthz\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are no news."""

    return Handler

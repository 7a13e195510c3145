import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cultivar_trainer.datasets import download as module
from cultivar_trainer.datasets.download import download
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /file; the first connections break off half way where `breaks` says so."""

    breaks = 0
    ranges: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path != "/file":
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        body = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.ranges = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "events.jsonl") as journal:
        yield journal


def fetch(server: Server, path: Path, journal: Journal, name: str = "file", digest: str = SHA256) -> Path:
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    return download(url, path, algorithm="sha256", digest=digest, journal=journal)


def test_a_broken_download_goes_on_where_it_broke_off(server: Server, tmp_path: Path, journal: Journal) -> None:
    server.breaks = 2

    path = fetch(server, tmp_path / "file", journal)

    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=524288-", "bytes=786432-"]
    assert not (tmp_path / "file.part").exists()
    assert '"unit": "bytes"' in (tmp_path / "events.jsonl").read_text()


def test_a_checked_file_is_not_fetched_again(server: Server, tmp_path: Path, journal: Journal) -> None:
    fetch(server, tmp_path / "file", journal)
    fetch(server, tmp_path / "file", journal, digest=SHA256[:8])

    assert len(server.ranges) == 1


def test_a_file_that_does_not_match_its_digest_is_refused_and_removed(
    server: Server, tmp_path: Path, journal: Journal
) -> None:
    with pytest.raises(TaskFailed, match="does not match its sha256 00000000") as caught:
        fetch(server, tmp_path / "file", journal, digest="00000000")

    assert caught.value.reason == "DOWNLOAD_CORRUPT"
    assert not (tmp_path / "file").exists()
    assert not (tmp_path / "file.part").exists()


def test_a_missing_file_fails_at_once(server: Server, tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(TaskFailed, match="404") as caught:
        fetch(server, tmp_path / "file", journal, name="nothing")

    assert caught.value.reason == "DOWNLOAD_FAILED"


def test_a_server_that_is_not_there_fails_after_a_few_tries(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 2)

    with pytest.raises(TaskFailed, match="check the network"):
        download("http://127.0.0.1:9/file", tmp_path / "f", algorithm="md5", digest="0", journal=journal)

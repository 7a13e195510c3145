"""Thousands of requests gone wrong, against a service in a process of its own: it neither falls, hangs nor breaks."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import malformed_requests as malformed
import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from image_kinds import encode
from PIL import Image
from tiny_package import RED, write_package

from cultivar.v1 import prediction_pb2, prediction_pb2_grpc
from cultivar_service.__main__ import ENVIRONMENT

DEADLINE_S = 20.0
_BATCH = 50
_MAX_RESPONSES = 20
_MAX_GROWTH_MB = 250
BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)


class Fuzzed:
    """The service, and what is counted about it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("tmp", "cwd", "home", "sources", "weights"):
            (folder / name).mkdir()
        for name in ("kept", "flowers", "trained"):
            write_package(folder / name)
        environment = {
            **os.environ,
            **ENVIRONMENT,
            "TMPDIR": str(folder / "tmp"),
            "HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self.log = folder / "service.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    str(Path(__file__).with_name("fuzzed_service.py")),
                    str(folder),
                    str(folder / "trained"),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder / "cwd",
                env=environment,
            )
        assert self.process.stdout is not None
        printed = self.process.stdout.readline().decode().split()
        assert printed, self.log.read_text()
        address, job = printed
        for method in ("GetTrainingJob", "WatchTrainingJob", "StreamTrainingLogs", "CancelTrainingJob"):
            malformed.SOUND[method] = {"name": job}
        self.channel = grpc.insecure_channel(address)
        self.predictions = prediction_pb2_grpc.PredictionServiceStub(self.channel)
        self.codes: Counter[str] = Counter()
        self.sent = 0
        self.before = self.files_outside()
        self.is_well()
        self.memory_mb = self.resident_mb()

    def files_outside(self) -> set[str]:
        """List what is there beside the service's own folder."""
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if not path.is_relative_to(self.folder / "data") and "__pycache__" not in path.parts
        }

    def resident_mb(self, what: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{what}:")[1].split()[0]) / 1024

    def is_well(self) -> None:
        """Check that a good request is answered."""
        request = prediction_pb2.PredictRequest(model=malformed.KEPT, images=[RED])
        answer = self.predictions.Predict(request, timeout=DEADLINE_S)
        assert answer.results[0].classification.classes[0].class_id == "aster"

    def send(self, method: MethodDescriptor, *requests: bytes) -> None:
        """Send a request, or several where the method takes a stream; look at how it ends."""
        self.sent += 1
        path, started = malformed.full_name(method), time.monotonic()
        error = self._call(method, path, requests)
        seconds = time.monotonic() - started
        code = grpc.StatusCode.OK if error is None else error.code()
        self.codes[code.name] += 1
        if error is not None:
            told = f"{path}: {code.name} after {seconds:.1f} s: {error.details()}\n{self.log.read_text()[-3000:]}"
            assert code not in BROKEN, told
            assert seconds < DEADLINE_S - 1, told
            if code is grpc.StatusCode.UNAVAILABLE:
                assert any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ()), told
        if self.sent % _BATCH == 0:
            self.is_well()

    def _call(self, method: MethodDescriptor, path: str, requests: tuple[bytes, ...]) -> grpc.RpcError | None:
        try:
            if method.client_streaming:
                self._read(path, self.channel.stream_stream(path)(iter(requests), timeout=DEADLINE_S))
            elif method.server_streaming:
                self._read(path, self.channel.unary_stream(path)(requests[0], timeout=DEADLINE_S))
            else:
                self.channel.unary_unary(path)(requests[0], timeout=DEADLINE_S)
        except grpc.RpcError as error:
            return error
        return None

    def _read(self, path: str, responses: grpc.Call) -> None:
        for number, _ in enumerate(responses):
            if number == _MAX_RESPONSES or path == "/grpc.health.v1.Health/Watch":  # which goes on for ever
                responses.cancel()
                return

    def close(self) -> None:
        """Check what shows at the end, and stop the service."""
        try:
            self.is_well()
            grown_mb = self.resident_mb() - self.memory_mb
            print(
                f"\n{self.sent} requests: {dict(self.codes)}, {grown_mb:.0f} MB grown, log {self.log.stat().st_size} B"
            )
            assert grown_mb < _MAX_GROWTH_MB
            assert self.files_outside() == self.before
            assert self.log.stat().st_size < 1 << 20 or self.log.stat().st_size < 2000 * self.sent
            assert "Traceback" not in self.log.read_text(errors="replace")
        finally:
            self.channel.close()
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process.stdout.close()
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    service = Fuzzed(tmp_path_factory.mktemp("fuzzed"))
    yield service
    service.close()


def messages(fuzzed: Fuzzed, rng: random.Random) -> None:
    method = rng.choice(malformed.METHODS)
    fuzzed.send(method, *(malformed.message(rng, method) for _ in range(rng.choice((1, 1, 2, 3)))))


def tensors(fuzzed: Fuzzed, rng: random.Random) -> None:
    method = next(one for one in malformed.METHODS if one.name == "ModelInfer")
    encoded = malformed.tensors(rng).SerializeToString()
    fuzzed.send(method, malformed.damaged(rng, encoded) if rng.random() < 0.1 else encoded)


def images(fuzzed: Fuzzed, rng: random.Random) -> None:
    method = next(one for one in malformed.METHODS if one.name == "Predict")
    request = prediction_pb2.PredictRequest(
        model=malformed.KEPT, images=[malformed.image(rng) for _ in range(rng.choice((1, 2, 4)))]
    )
    fuzzed.send(method, request.SerializeToString())


@pytest.mark.slow
def test_the_largest_images_at_once_take_no_more_memory_than_one(fuzzed: Fuzzed) -> None:
    largest = encode(Image.new("RGB", (10_000, 8_000)), "WEBP", lossless=True, method=0)
    request = prediction_pb2.PredictRequest(model=malformed.KEPT, images=[largest] * 4)

    calls = [fuzzed.predictions.Predict.future(request, timeout=60) for _ in range(2)]
    answers = [call.result() for call in calls]

    assert all(not result.HasField("error") for answer in answers for result in answer.results)
    assert fuzzed.resident_mb("VmHWM") - fuzzed.memory_mb < 1400
    assert fuzzed.resident_mb() - fuzzed.memory_mb < 100


Sender = Callable[[Fuzzed, random.Random], None]


def send(fuzzed: Fuzzed, sender: Sender, count: int) -> None:
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=count < 100,
        phases=[Phase.generate],  # a smaller seed is no simpler request
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64 - 1))
    def one(seed: int) -> None:
        sender(fuzzed, random.Random(seed))

    one()


@pytest.mark.parametrize("sender", [messages, tensors, images])
def test_requests_gone_wrong_are_refused_or_answered(fuzzed: Fuzzed, sender: Sender) -> None:
    send(fuzzed, sender, 20)


@pytest.mark.slow
@pytest.mark.parametrize(("sender", "count"), [(messages, 800), (tensors, 600), (images, 600)])
def test_two_thousand_requests_gone_wrong_are_refused_or_answered(fuzzed: Fuzzed, sender: Sender, count: int) -> None:
    send(fuzzed, sender, count)


@pytest.mark.all
@pytest.mark.parametrize(("sender", "count"), [(messages, 8000), (tensors, 6000), (images, 6000)])
def test_twenty_thousand_requests_gone_wrong_are_refused_or_answered(
    fuzzed: Fuzzed, sender: Sender, count: int
) -> None:
    send(fuzzed, sender, count)

"""`cultivar-service` as a user starts it, and the `cultivar` command against it."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
TRAIN = (
    "train --dataset flowers --architecture lenet5 --mode scratch --epochs 2 --batch-size 16 "
    "--learning-rate 3e-3 --set selection_metric=loss --set augmentation.horizontal_flip=0.5"
)


@dataclass
class RunningService:
    """`cultivar-service` as a user starts it, on ports of its own."""

    folder: Path
    process: subprocess.Popen[bytes] = field(init=False)
    address: str = ""
    metrics_url: str = ""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        log_path = self.folder / "service.log"
        already = log_path.stat().st_size if log_path.exists() else 0
        command = [str(BIN / "cultivar-service")]
        # Where it was started before it keeps its port, so that clients find it again.
        environment = {
            **os.environ,
            "CULTIVAR_DATA_DIR": str(self.data),
            "CULTIVAR_GRPC_ADDRESS": self.address or "127.0.0.1:0",
            "CULTIVAR_METRICS_ADDRESS": "127.0.0.1:0",
            "CULTIVAR_WEIGHTS_DIR": str(self.folder / "weights"),
            "CULTIVAR_DATASETS_ROOT": str(self.folder / "sources"),
            "CULTIVAR_RETRY_DELAY_S": "0.2",
        }
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            text = log_path.read_bytes()[already:].decode()
            if found := re.search(r"serving gRPC on (\S+), metrics on (\S+)", text):
                self.address, self.metrics_url = found.groups()
                return
            assert self.process.poll() is None, text
            time.sleep(0.05)
        raise AssertionError(log_path.read_text())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def metrics(self) -> str:
        with urllib.request.urlopen(self.metrics_url, timeout=10) as response:
            return str(response.read().decode())

    def cultivar(self, arguments: str, *, expect: int = 0, timeout_s: float = 900) -> str:
        """Run the command and return what it prints; its exit code must be the expected one."""
        done = subprocess.run(
            [str(BIN / "cultivar"), *shlex.split(arguments)],
            env={**os.environ, "CULTIVAR_ADDRESS": self.address},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout if expect == 0 else done.stdout + done.stderr

"""Shows Cultivar end to end: starts the service, trains on drawn flowers, classifies one, prints the metrics."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from cultivar_trainer.datasets import procedural_flowers

DATA = Path(".cultivar-demo")
BIN = Path(sys.executable).parent
TRAIN = (
    "train --dataset flowers --architecture lenet5 --mode scratch --epochs 80 --batch-size 32 "
    "--set input.size=48 --set augmentation.horizontal_flip=0.5 --set augmentation.padded_crop=6"
)


def main() -> int:
    """Run the demonstration; 0 when every step succeeded and the figures are as promised."""
    started = time.monotonic()
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    environment = {**os.environ, "CULTIVAR_DATA_DIR": str(DATA / "data")}
    command = [str(BIN / "cultivar-service"), "--grpc-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
    log_path = DATA / "service.log"
    print(f"$ cultivar-service    (its log: {log_path})")
    with log_path.open("wb") as log:
        service = subprocess.Popen(command, env=environment, stderr=log, stdout=log, start_new_session=True)
    try:
        address, metrics_url = wait_until_serving(service, log_path)
        environment["CULTIVAR_ADDRESS"] = address
        cultivar("datasets create flowers --builtin procedural-flowers", environment)
        accuracy = trained_accuracy(cultivar(TRAIN, environment))
        image = DATA / "never-seen.jpg"
        species = procedural_flowers.SPECIES[2]
        image.write_bytes(procedural_flowers.draw(species, seed=20_261_121))
        print(f"\nAn image that no one trained on: a {species.display_name}.")
        cultivar(f"predict {image} --model flowers --top-k 5", environment)
        cultivar(f"models download flowers -o {DATA / 'model'}", environment)
        show_metrics(metrics_url)
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(30)
    print(f"\nCurves: {DATA / 'model' / 'curves.svg'}    ONNX: {DATA / 'model' / 'model.onnx'}")
    print(f"Done in {time.monotonic() - started:.0f} s.")
    if min(accuracy.values()) < 0.95:
        print(f"The accuracies {accuracy} are below the 0.95 that this demonstration promises.", file=sys.stderr)
        return 1
    return 0


def wait_until_serving(service: subprocess.Popen[bytes], log_path: Path) -> tuple[str, str]:
    """Return the gRPC address and the metrics URL that the service's log names."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and service.poll() is None:
        found = re.search(r"serving gRPC on (\S+), metrics on (\S+)", log_path.read_text())
        if found:
            print(found.group(0))
            return found.group(1), found.group(2)
        time.sleep(0.1)
    raise SystemExit(f"the service did not start: see {log_path}")


def cultivar(arguments: str, environment: dict[str, str]) -> str:
    """Run the command as a user would, showing what it prints; return that."""
    print(f"\n$ cultivar {arguments}", flush=True)
    lines = []
    with subprocess.Popen(
        [str(BIN / "cultivar"), *arguments.split()], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise SystemExit(f"cultivar {arguments.split()[0]} failed with exit code {process.returncode}")
    return "".join(lines)


def trained_accuracy(output: str) -> dict[str, float]:
    """Return the accuracies of validation and test images that `train` printed."""
    return {
        split: float(value) for split, value in re.findall(r"^(val|test)\b.*?acc\w* ([0-9.]+)", output, re.MULTILINE)
    }


def show_metrics(url: str) -> None:
    """Print some of what Prometheus sees."""
    print(f"\n$ curl {url}    (an excerpt)")
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
    wanted = (
        "cultivar_training_jobs{",
        "cultivar_prediction_images_total{",
        "cultivar_prediction_seconds_count",
        "cultivar_loaded_versions",
        "cultivar_grpc_requests_total{",
    )
    for line in text.splitlines():
        if line.startswith(wanted) and not line.endswith(" 0.0"):
            print(line)


if __name__ == "__main__":
    sys.exit(main())

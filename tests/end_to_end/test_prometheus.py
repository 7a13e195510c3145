"""A real Prometheus scrapes a real service while it trains."""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from end_to_end_service import TRAIN, RunningService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

ADDRESS = "127.0.0.1:19464"


@pytest.fixture
def query(service: RunningService, tmp_path: Path) -> Iterator[Callable[[str], dict[str, float]]]:
    """Asks a Prometheus that scrapes the service every second; answers values by the job label."""
    target = service.metrics_url.removeprefix("http://").removesuffix("/metrics")
    config = {
        "scrape_configs": [{"job_name": "cultivar", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}]
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={ADDRESS}",
            ],
            stdout=log,
            stderr=log,
        )

    def query(expression: str) -> dict[str, float]:
        url = f"http://{ADDRESS}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=5) as response:
            rows = json.load(response)["data"]["result"]
        return {row["metric"].get("exported_job", ""): float(row["value"][1]) for row in rows}

    yield query
    process.terminate()
    process.wait()


def eventually(query: Callable[[str], dict[str, float]], expression: str) -> dict[str, float]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if found := query(expression):
                return found
        except OSError:
            pass  # it still starts
        time.sleep(0.2)
    raise AssertionError(f"no answer to {expression}")


def test_prometheus_sees_a_job_train_and_disappear(
    service: RunningService, query: Callable[[str], dict[str, float]]
) -> None:
    assert eventually(query, 'up{job="cultivar"} == 1')

    job = service.cultivar(f"{TRAIN} --epochs 10000 --detach").strip().removeprefix("trainingJobs/")
    assert list(eventually(query, "cultivar_training_epoch > 2")) == [job]
    assert eventually(query, "cultivar_training_host_memory_bytes > 1e7")
    assert eventually(query, 'cultivar_training_jobs{state="RUNNING"} == 1')
    service.cultivar(f"jobs cancel {job}")

    assert eventually(query, 'cultivar_training_jobs{state="CANCELLED"} == 1')
    assert eventually(query, "absent(cultivar_training_epoch)")
    assert eventually(query, "histogram_quantile(0.99, sum by (le) (cultivar_grpc_request_seconds_bucket)) > 0")


def test_the_metrics_page_passes_prometheus_own_lint(service: RunningService) -> None:
    service.cultivar(f"predict {next((service.folder / 'sources').rglob('*.jpg'))} --model flowers")

    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=service.metrics(), capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr

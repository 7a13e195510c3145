"""What Prometheus reads."""

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from published_models import ALWAYS, publish
from running_service import eventually, make_config, running
from tiny_package import RED

from cultivar_service.config import Address
from cultivar_service.telemetry.gpu import GpuCollector
from cultivar_service.telemetry.http import MetricsServer


async def scrape(address: Address, path: str = "/metrics") -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(get)


def samples(page: str) -> dict[str, float]:
    return {
        one.name + "".join(f",{key}={value}" for key, value in sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


async def test_a_running_job_is_shown_and_an_ended_one_leaves_no_labels(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="stubborn", package=package)) as (service, client):
        await client.import_flowers()
        job, waiting = await client.create_job(), await client.create_job()
        await client.first_epoch(job.name)
        _, page = await scrape(service.metrics_address)
        shown = samples(page)
        for one in (job, waiting):
            await client.first_epoch(one.name)
            (tmp_path / "data/runs" / one.name.split("/")[1] / "go").touch()
            await client.events(one.name)

        async def both_counted() -> dict[str, float] | None:
            page = samples((await scrape(service.metrics_address))[1])
            return page if page["cultivar_training_jobs,state=SUCCEEDED"] == 2 else None

        after = await eventually(both_counted)

        label = f",job={job.name.split('/')[1]}"
        assert shown[f"cultivar_training_epoch{label}"] == 1
        assert shown[f"cultivar_training_epochs{label}"] == 2
        assert shown[f"cultivar_training_learning_rate{label}"] == 0.1
        assert shown[f"cultivar_training_images_per_second{label}"] == 100
        assert shown[f"cultivar_training_host_memory_bytes{label}"] == 1 << 20
        assert f"cultivar_training_gpu_memory_bytes{label}" not in shown
        assert shown["cultivar_training_jobs,state=RUNNING"] == 1
        assert shown["cultivar_training_queue_length"] == 1
        assert not [name for name in after if ",job=" in name]
        assert after["cultivar_training_jobs,state=FAILED"] == 0
        assert after["cultivar_training_queue_wait_seconds_count"] == 2
        assert after["cultivar_grpc_requests_total,code=OK,method=WatchTrainingJob"] == 2
        assert not [name for name in after if name.startswith("cultivar_gpu")]


async def test_predictions_are_counted_and_unknown_names_become_no_labels(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish(service, make_package("one"))
        await publish(service, make_package("two"), policy=ALWAYS)
        await publish(service, make_package("bad", golden_error=1))
        await client.predict(RED, RED, b"none")
        with pytest.raises(Exception, match="does not exist"):
            await client.predict(RED, model="chosen-by-a-client")
        _, page = await scrape(service.metrics_address)
        shown = samples(page)

        assert shown["cultivar_prediction_images_total,model=flowers,outcome=classified"] == 2
        assert shown["cultivar_prediction_images_total,model=flowers,outcome=unreadable"] == 1
        assert shown["cultivar_prediction_seconds_count,model=flowers"] == 1
        assert shown["cultivar_prediction_stage_seconds_count,model=flowers,stage=queue"] == 3
        assert shown["cultivar_prediction_stage_seconds_count,model=flowers,stage=decode"] == 3
        assert 1 <= shown["cultivar_prediction_stage_seconds_count,model=flowers,stage=inference"] <= 2
        assert shown["cultivar_prediction_batch_size_sum,model=flowers"] == 2
        assert shown["cultivar_prediction_confidence_count,model=flowers"] == 2
        assert shown["cultivar_prediction_seconds_bucket,le=0.001,model=flowers"] in (0, 1)
        assert shown["cultivar_loaded_versions,provider=CPUExecutionProvider"] == 2
        assert shown["cultivar_model_swaps_total,model=flowers"] == 1
        assert shown["cultivar_rejected_versions_total,model=flowers,reason=golden"] == 1
        assert shown["cultivar_version_load_seconds_count"] == 2
        assert shown["cultivar_grpc_requests_total,code=NOT_FOUND,method=Predict"] == 1
        assert "chosen-by-a-client" not in page
        assert "cultivar_build_info" in page


async def test_healthz_is_200_only_while_serving(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (service, _):
        assert (await scrape(service.metrics_address, "/healthz"))[0] == 200
        assert (await scrape(service.metrics_address, "/other"))[0] == 404
    serving = [False]
    server = MetricsServer(Address("127.0.0.1", 0), CollectorRegistry(), lambda: serving[0])
    server.start()
    assert (await scrape(server.address, "/healthz"))[0] == 503
    server.close()


def test_a_gpu_without_a_figure_lacks_only_that_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_told(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    pretend_gpu(monkeypatch)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", not_told)

    page = page_of(GpuCollector())

    assert 'cultivar_gpu_temperature_celsius{gpu="0",uuid="GPU-1"} 40.0' in page
    assert "cultivar_gpu_power_watts" not in page


def test_no_driver_means_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)

    assert page_of(GpuCollector()) == ""


def test_a_hung_driver_holds_up_no_scrape_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(pynvml, "nvmlInit", release.wait)
    pretend_gpu(monkeypatch)
    collector = GpuCollector(patience_s=0.1)

    page_of(collector)
    started = time.monotonic()
    page = page_of(collector)

    assert page == ""
    assert time.monotonic() - started < 0.05
    release.set()


def page_of(collector: GpuCollector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def pretend_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver with one GPU: there may be none here."""
    answers = {
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "gpu",
        "nvmlDeviceGetUUID": "GPU-1",
        "nvmlDeviceGetUtilizationRates": pynvml.c_nvmlUtilization_t(gpu=50),
        "nvmlDeviceGetMemoryInfo": pynvml.c_nvmlMemory_t(used=1, total=2),
        "nvmlDeviceGetPowerUsage": 300_000,
        "nvmlDeviceGetTemperature": 40,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, lambda *_, answer=answer: answer)
    if not isinstance(pynvml.nvmlInit, type(threading.Event().wait)):
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)

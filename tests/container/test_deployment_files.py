"""The image's settings, compose file, alert rules and dashboard fit the service. No container engine is needed."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cultivar_service.__main__ import read_config
from cultivar_service.telemetry import gpu
from cultivar_service.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.fixture
def image_settings() -> dict[str, str]:
    """What the Dockerfile sets of the service's settings."""
    return dict(re.findall(r"\b(CULTIVAR_[A-Z_]+)=(\S+)", (ROOT / "Dockerfile").read_text()))


@pytest.fixture
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return content


def test_the_image_listens_everywhere_but_only_when_told_that_the_network_is_trusted(
    image_settings: dict[str, str],
) -> None:
    with pytest.raises(ValueError, match="CULTIVAR_INSECURE"):
        read_config([], image_settings)

    config = read_config([], {**image_settings, "CULTIVAR_INSECURE": "true"})

    assert str(config.grpc_address) == "0.0.0.0:50051"
    assert str(config.metrics_address) == "0.0.0.0:9464"
    assert [str(one) for one in (config.data_dir, config.datasets_root, config.weights_dir)] == [
        "/data",
        "/datasets",
        "/weights",
    ]


def test_every_container_is_read_only_without_capabilities_and_of_a_fixed_version(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "build" in service or re.fullmatch(r"\S+:v?\d+\.\d+\.\d+", service["image"]), name


def test_compose_publishes_to_its_own_host_alone_and_mounts_files_that_are_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service["volumes"]:
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).exists(), volume


class _ComposeLoader(yaml.SafeLoader):
    """Reads compose's own tag as what stands behind it."""


_ComposeLoader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def test_compose_with_tls_lets_the_service_start_on_a_public_address(
    compose: dict[str, Any], image_settings: dict[str, str]
) -> None:
    text = (ROOT / "deploy/compose.tls.yaml").read_text()
    over = yaml.load(text, Loader=_ComposeLoader)["services"]["cultivar"]
    settings = {**image_settings, **compose["services"]["cultivar"]["environment"], **over["environment"]}

    config = read_config([], settings)

    assert not config.security.insecure
    assert not config.grpc_address.is_loopback
    assert over["ports"] == ["50051:50051"]


def metrics() -> Iterator[str]:
    for family in Metrics().registry.collect():
        yield from (family.name + suffix for suffix in SUFFIXES.get(family.type, ("",)))
    yield from (name for name, _, _ in gpu._FIGURES)


def test_rules_and_dashboard_ask_for_metrics_that_the_service_has() -> None:
    rules = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((ROOT / "deploy/grafana/cultivar.json").read_text())
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]

    names = {name for expression in asked for name in re.findall(r"\bcultivar_\w+", expression)}

    assert len(names) > 20
    assert names <= set(metrics())


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check config prometheus.yml", "test rules rules_test.yml"])
def test_promtool_accepts_configuration_and_rules(command: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, *command.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""Settings: read once, checked once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cultivar_service.__main__ import read_config
from cultivar_service.config import Address


def test_defaults_are_loopback_and_below_the_data_directory(tmp_path: Path) -> None:
    config = read_config([], {"CULTIVAR_DATA_DIR": str(tmp_path)})

    assert str(config.grpc_address) == "127.0.0.1:50051"
    assert str(config.metrics_address) == "127.0.0.1:9464"
    assert config.weights_dir == tmp_path / "weights"
    assert config.datasets_root == tmp_path / "sources"
    assert not config.security.insecure


def test_flags_win_over_the_environment() -> None:
    environment = {"CULTIVAR_GRPC_ADDRESS": "127.0.0.1:1", "CULTIVAR_METRICS_ADDRESS": "0.0.0.0:2"}
    config = read_config(["--grpc-address", "localhost:3"], environment)

    assert (str(config.grpc_address), str(config.metrics_address)) == ("localhost:3", "0.0.0.0:2")


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:50051", "example.org:1"])
def test_a_public_grpc_address_needs_to_be_asked_for(address: str) -> None:
    with pytest.raises(ValueError, match="CULTIVAR_INSECURE"):
        read_config([], {"CULTIVAR_GRPC_ADDRESS": address})

    assert read_config([], {"CULTIVAR_GRPC_ADDRESS": address, "CULTIVAR_INSECURE": "true"}).security.insecure
    assert read_config(["--insecure", "--grpc-address", address], {}).security.insecure


def test_a_public_grpc_address_needs_a_certificate_and_tokens() -> None:
    public = ["--grpc-address", "0.0.0.0:50051"]
    certificate = ["--tls-certificate", "server.pem", "--tls-key", "server.key"]

    with pytest.raises(ValueError, match=r"without a certificate .* and without tokens"):
        read_config(public, {})
    with pytest.raises(ValueError, match=r"without tokens \(--tokens-file\): set"):
        read_config(public + certificate, {})
    with pytest.raises(ValueError, match=r"without a certificate [^t]*tls-certificate, --tls-key\): set"):
        read_config(public, {"CULTIVAR_TOKENS_FILE": "tokens.json"})
    config = read_config(public + certificate, {"CULTIVAR_TOKENS_FILE": "tokens.json"})

    assert not config.security.insecure
    assert config.security.certificate == Path("server.pem").absolute()
    assert config.security.tokens_file == Path("tokens.json").absolute()


def test_what_belongs_together_is_set_together() -> None:
    with pytest.raises(ValueError, match="belong together"):
        read_config(["--tls-certificate", "server.pem"], {})
    with pytest.raises(ValueError, match="--tls-client-ca"):
        read_config([], {"CULTIVAR_TLS_CLIENT_CA": "ca.pem"})


@pytest.mark.parametrize("text", ["50051", "localhost", "localhost:x", "localhost:65536", ":1", "::1:50051", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(text)


def test_an_ipv6_address_keeps_its_brackets() -> None:
    address = Address.parse("[::1]:50051")

    assert address.is_loopback
    assert str(address) == "[::1]:50051"


def test_how_jobs_wait_can_be_set() -> None:
    config = read_config(["--priority-ageing", "0.5"], {"CULTIVAR_RETRY_DELAY_S": "0.1"})

    assert (config.retry_delay_s, config.priority_ageing) == (0.1, 0.5)
    with pytest.raises(ValueError, match="CULTIVAR_RETRY_DELAY_S 'soon': use a number"):
        read_config([], {"CULTIVAR_RETRY_DELAY_S": "soon"})
    for text in ("-1", "nan", "inf"):
        with pytest.raises(ValueError, match=r"retry_delay_s .*: use 0 or more"):
            read_config([], {"CULTIVAR_RETRY_DELAY_S": text})


def test_an_odd_boolean_is_refused() -> None:
    with pytest.raises(ValueError, match="true or false"):
        read_config([], {"CULTIVAR_INSECURE": "maybe"})


def test_the_command_refuses_a_public_address_with_one_line_and_status_2(tmp_path: Path) -> None:
    environment = {**os.environ, "CULTIVAR_GRPC_ADDRESS": "0.0.0.0:0", "CULTIVAR_DATA_DIR": str(tmp_path / "data")}
    ended = subprocess.run([sys.executable, "-m", "cultivar_service"], env=environment, capture_output=True, text=True)

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "CULTIVAR_INSECURE" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_how_gpus_are_shared_can_be_set() -> None:
    environment = {"CULTIVAR_MAX_JOBS_PER_GPU": "2", "CULTIVAR_SERVING_GPU_BYTES": "0", "CUDA_VISIBLE_DEVICES": "1"}

    config = read_config(["--max-running-jobs", "3"], environment)

    assert (config.max_running_jobs, config.max_jobs_per_gpu, config.serving_gpu_bytes) == (3, 2, 0)
    assert (config.visible_gpus, read_config([], {}).visible_gpus) == ("1", None)
    for name, value in (("MAX_JOBS_PER_GPU", "0"), ("SERVING_GPU_BYTES", "-1"), ("MAX_RUNNING_JOBS", "-1")):
        with pytest.raises(ValueError, match=f"{name.lower()} {value}: use"):
            read_config([], {f"CULTIVAR_{name}": value})


def test_disk_limits_and_retention_are_settings() -> None:
    environment = {"CULTIVAR_MIN_FREE_BYTES": "4000", "CULTIVAR_KEEP_RUNS_DAYS": "7", "CULTIVAR_KEEP_VERSIONS": "3"}
    config = read_config([], environment)
    assert (config.critical_bytes, config.keep_runs_days, config.keep_versions) == (1000, 7, 3)
    assert read_config(["--critical-free-bytes", "10"], environment).critical_bytes == 10

    with pytest.raises(ValueError, match="keep_versions -1: use 0 or more"):
        read_config(["--keep-versions=-1"], {})
    with pytest.raises(ValueError, match="critical_free_bytes 5000: use 0 to min_free_bytes, which is 4000"):
        read_config([], {**environment, "CULTIVAR_CRITICAL_FREE_BYTES": "5000"})


def test_what_uploads_may_take_can_be_set() -> None:
    environment = {"CULTIVAR_MAX_UPLOAD_BYTES": "1000", "CULTIVAR_UPLOAD_EXPIRY_S": "1.5"}
    config = read_config(["--max-uploads-bytes", "5000"], environment)

    assert (config.max_upload_bytes, config.max_uploads_bytes, config.upload_expiry_s) == (1000, 5000, 1.5)
    assert read_config([], {}).upload_expiry_s == 86400
    for name, value in (("MAX_UPLOAD_BYTES", "0"), ("MAX_UPLOADS_BYTES", "-1"), ("UPLOAD_EXPIRY_S", "nan")):
        with pytest.raises(ValueError, match=f"{name.lower()} {value}: use"):
            read_config([], {f"CULTIVAR_{name}": value})

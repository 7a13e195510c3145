"""`cultivar gpus`."""

import json

import pytest
from fake_cultivar import FakeCultivar, serving
from typer.testing import CliRunner

from cultivar_client.cli import app


@pytest.fixture
def fake():
    with serving(FakeCultivar()) as fake:
        yield fake


def gpus(fake, *arguments):
    return CliRunner().invoke(app, ["gpus", *arguments, "--address", fake.address])


def test_gpus_are_shown_with_their_memory_and_processes(fake):
    lines = [line.split() for line in gpus(fake, "--memory", "6GiB").stdout.splitlines()]

    assert fake.requests[0].memory_bytes == 6 << 30
    assert ["0", "NVIDIA", "H200", "12.0", "GB", "4.0", "GB", "125.0", "GB", "141.0", "GB", "2/5"] in lines
    assert ["0", "41", "11.0", "GB", "trainingJobs/1"] in lines
    assert ["0", "42", "?", "somebody", "else"] in lines
    assert ["cores", "12", "of", "16", "free"] in lines
    assert ["placement", "GPU", "0:", "125.0", "GB", "free"] in lines


def test_gpus_as_json(fake):
    assert json.loads(gpus(fake, "--json").stdout)["gpus"][0]["totalBytes"] == str(141 * 10**9)
    assert fake.requests[0].memory_bytes == 0


@pytest.mark.parametrize(("text", "size"), [("500MB", 500 * 10**6), ("1.5 gib", 3 << 29), ("2048", 2048), ("3k", 3000)])
def test_sizes_are_read_with_their_units(fake, text, size):
    assert gpus(fake, "--memory", text).exit_code == 0
    assert fake.requests[0].memory_bytes == size


@pytest.mark.parametrize("text", ["", "0", "much", "6 bits", "-1GB", "9" * 40, "٣GB"])
def test_what_is_no_size_is_refused(fake, text):
    result = gpus(fake, "--memory", text)

    assert result.exit_code == 2
    assert "write a size such as 6GiB" in result.output

"""Downloads arrive whole, verified, and inside their directory."""

import asyncio

import pytest
from fake_cultivar import FakeCultivar, serving

from cultivar_client import Client, CultivarError
from cultivar_client.download import path_inside


@pytest.fixture
def fake():
    with serving(FakeCultivar()) as fake:
        yield fake


def download(fake, directory):
    async def session():
        async with Client(fake.address) as client:
            return await client.download_model("flowers", directory)

    return asyncio.run(session())


def files_below(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_all_files_of_a_version_arrive(fake, tmp_path):
    download(fake, tmp_path / "new")

    assert files_below(tmp_path / "new") == ["golden/0.jpg", "model.onnx"]
    assert (tmp_path / "new" / "model.onnx").read_bytes() == b"onnx"
    assert fake.requests[0].parent == "models/flowers/versions/3"


def test_a_broken_download_goes_on_where_it_stopped(fake, tmp_path):
    fake.break_after = 2

    download(fake, tmp_path)

    assert (tmp_path / "model.onnx").read_bytes() == b"onnx"
    assert [request.offset for request in fake.requests[:2]] == [0, 2]


def test_a_wrong_digest_leaves_no_file(fake, tmp_path):
    fake.wrong_digests = True

    with pytest.raises(CultivarError, match="sha256") as caught:
        download(fake, tmp_path)

    assert caught.value.code == "DATA_LOSS"
    assert files_below(tmp_path) == []


def test_a_path_that_leads_out_is_refused_before_any_file_is_written(fake, tmp_path):
    fake.files = {"model.onnx": b"onnx", "../outside": b"x"}

    with pytest.raises(CultivarError, match="outside the directory"):
        download(fake, tmp_path / "inside")

    assert files_below(tmp_path) == []


@pytest.mark.parametrize("path", ["", "/etc/passwd", "..", "a/../../b", "./a", "a//b", "C:\\a", "a\\..\\b", "a\0b"])
def test_unsafe_paths_are_refused(path, tmp_path):
    with pytest.raises(CultivarError):
        path_inside(tmp_path, path)


def test_a_link_out_of_the_directory_is_not_followed(tmp_path):
    directory = tmp_path / "inside"
    directory.mkdir()
    (directory / "link").symlink_to(tmp_path)

    with pytest.raises(CultivarError):
        path_inside(directory, "link/a")

from pathlib import Path
from typing import Any

import pytest

from cultivar_contract import files, package
from cultivar_contract.names import OutsideFolder, inside, is_file_name, is_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "00.jpg").write_bytes(b"image")
    package.finish(tmp_path, {"variants": [{"file": "model.onnx"}], "classes": [], "golden": []})
    return tmp_path


def change(folder: Path, **fields: Any) -> None:
    path = folder / package.MANIFEST
    files.write_json(path, {**files.read_json(path), **fields})


def test_a_whole_package_passes_and_keeps_unknown_fields(folder: Path) -> None:
    change(folder, from_the_future=1)

    package.verify(package.open_package(folder))
    package.assign_version(folder, model="flowers", version=3)

    manifest = package.open_package(folder).manifest
    assert (manifest["model"], manifest["version"], manifest["from_the_future"]) == ("flowers", 3, 1)
    package.verify(package.open_package(folder))


def test_a_changed_file_is_named(folder: Path) -> None:
    (folder / "golden" / "00.jpg").write_bytes(b"other")

    with pytest.raises(package.DamagedPackage, match=r"golden/00\.jpg has changed"):
        package.verify(package.open_package(folder))


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.onnx").unlink()

    with pytest.raises(package.DamagedPackage, match=r"model\.onnx can't be read"):
        package.verify(package.open_package(folder))


def test_a_manifest_that_names_a_file_elsewhere_is_refused(folder: Path) -> None:
    change(folder, files={"model.onnx": files.sha256_file(folder / "model.onnx"), "../../etc/passwd": ""})

    with pytest.raises(package.DamagedPackage, match="outside the package"):
        package.verify(package.open_package(folder))


def test_a_newer_schema_is_refused(folder: Path) -> None:
    change(folder, schema_version=2)

    with pytest.raises(package.DamagedPackage, match="newer"):
        package.open_package(folder)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "link", "a\0b", "a" * 5000])
def test_no_path_leaves_its_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)

    with pytest.raises(OutsideFolder):
        inside(root, name)


def test_names_are_lower_case_words() -> None:
    assert [one for one in ("flowers", "a", "cifar-10.v2", "A", "", "-a", "a/b", "a" * 65) if is_name(one)] == [
        "flowers",
        "a",
        "cifar-10.v2",
    ]
    assert not any(is_file_name(one) for one in ("", ".hidden", "a/b", "..", "a\0"))

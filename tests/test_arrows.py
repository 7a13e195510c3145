"""The arrows of the house: who may import whom, and what stays unloaded until it is used."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PACKAGES = {
    "contract/cultivar_contract": {"cultivar", "cultivar_contract"},
    "trainer/cultivar_trainer": {"cultivar", "cultivar_contract", "cultivar_trainer"},
    "service/cultivar_service": {"cultivar", "cultivar_contract", "cultivar_service"},
    "clients/cultivar_client": {"cultivar", "cultivar_client"},
}

# Each room may import itself and the rooms below it.
TRAINER = [
    {"__main__"},
    {"tasks"},
    {"ensembles"},
    {"phases", "packaging"},
    {"preparation"},
    {"export", "inspection"},
    {"reports"},
    {"loop"},
    {"diagnostics"},
    {"features"},
    {"batches"},
    {"tuning"},
    {"execution"},
    {"finetuning", "optimization", "losses", "evaluation", "checkpoint"},
    {"augmentation", "networks", "normalisation"},
    {"datasets"},
    {"randomness", "journal", "provenance"},
    {"told"},
    {"errors"},
]


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_package_imports_only_those_it_may(folder: str) -> None:
    ours = {name.split("/")[1] for name in PACKAGES} | {"cultivar"}
    for file in (ROOT / folder).rglob("*.py"):
        used = {name.split(".")[0] for name in imports(file)} & ours
        assert used <= PACKAGES[folder], file


def test_only_the_service_imports_the_open_inference_protocol() -> None:
    # A process that imports another client's stubs of it can't import ours: both would be called `inference`.
    for folder in set(PACKAGES) - {"service/cultivar_service"}:
        for file in (ROOT / folder).rglob("*.py"):
            assert not [name for name in imports(file) if name.startswith("cultivar.open_inference")], file


def test_inside_the_trainer_arrows_go_down() -> None:
    # The service's own table is in tests/service/test_service_arrows.py.
    floors, folder = TRAINER, ROOT / "trainer/cultivar_trainer"
    level = {room: number for number, floor in enumerate(floors) for room in floor}
    rooms = {path.stem for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert rooms == set(level), "every room has a floor"
    for file in folder.rglob("*.py"):
        room = file.relative_to(folder).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == folder.name and len(parts) > 1 and parts[1] in level and parts[1] != room:
                assert level[parts[1]] > level[room], f"{file} imports {name}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("cultivar_service.server", ("torch", "torchvision", "onnx", "matplotlib")),
        ("cultivar_contract.recipe", ("torch", "grpc", "sqlalchemy")),
        ("cultivar_contract.package", ("torch", "grpc", "sqlalchemy")),
        ("cultivar_trainer.tasks.train", ("grpc", "sqlalchemy", "onnx", "onnxruntime", "matplotlib", "tensorboard")),
        ("cultivar_trainer.tasks.import_dataset", ("torch", "grpc")),
        ("cultivar_client.cli", ("plotext",)),
        ("cultivar_client", ("numpy", "torch", "rich", "typer", "yaml", "cultivar.open_inference")),
    ],
)
def test_importing_a_module_leaves_what_it_does_not_need_unloaded(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    assert loaded == "[]"

"""The host's cores, memory and trainers."""

import os
import subprocess
import sys
from pathlib import Path

from cultivar_service.placement.host import HostMemory, HostReader

MEMINFO = "MemTotal:       16000 kB\nMemFree:  1000 kB\nMemAvailable:   8000 kB\n"
HOLDER = """
import sys
from pathlib import Path
from cultivar_contract.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def reader(folder: Path, **limits: str) -> HostReader:
    (folder / "meminfo").write_text(MEMINFO)
    for name, text in limits.items():
        (folder / f"memory.{name}").write_text(text)
    return HostReader(folder, meminfo=folder / "meminfo", cgroup=folder)


def test_memory_is_the_kernels(tmp_path: Path) -> None:
    assert reader(tmp_path).memory() == HostMemory(16000 << 10, 8000 << 10)
    assert reader(tmp_path, max="max\n").memory() == HostMemory(16000 << 10, 8000 << 10)
    assert HostReader(tmp_path).memory().total_bytes > 0


def test_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    limits = {"max": str(4000 << 10), "current": str(3000 << 10), "stat": f"anon 5\ninactive_file {500 << 10}\n"}

    assert reader(tmp_path, **limits).memory() == HostMemory(4000 << 10, 1500 << 10)


def test_resident_memory_is_told_of_processes_that_are_there(tmp_path: Path) -> None:
    assert HostReader(tmp_path).resident_bytes(os.getpid()) > 1 << 20
    assert HostReader(tmp_path).resident_bytes(2**31 - 1) == 0


def test_a_trainer_is_who_holds_the_run_directory(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert HostReader(tmp_path).trainer("a") is None
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = HostReader(tmp_path).trainer("a")
        assert process.stdin is not None
        process.stdin.close()

    assert found == process.pid

"""Compares our service with other servers: `python -m benchmarks.serving`, or `make bench-serving`."""

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from benchmarks.serving import lineup, report, side_by_side
from benchmarks.serving.servers import checkout_path, ours
from benchmarks.serving.side_by_side import Bench

HERE = Path(__file__).resolve().parents[2]


def main() -> None:
    """Measure as the command line says, then print the report."""
    options = _parser().parse_args()
    with (Path(tempfile.gettempdir()) / "cultivar-bench-serving.lock").open("w") as lock:
        _wait_for_others(lock)
        results = _run(options)
    text = report.markdown(report.read(results))
    results.with_suffix(".md").write_text(text + "\n")
    print(f"{text}\n\n{results}")


def _run(options: argparse.Namespace) -> Path:
    """Measure; return the file of results."""
    folder: Path = options.folder.absolute()
    checkout: Path = options.checkout.absolute()
    workload = make_workload(folder, checkout, options.photographs, options.python)
    settings = dict(one.split("=", 1) for one in options.setting)
    servers = [ours(checkout, workload, options.python, settings)]
    site = lineup.Site(
        repository=HERE, checkout=checkout, workload=workload, folder=folder, uv=shutil.which("uv") or options.uv
    )
    servers += lineup.peers(site, lineup.REQUIREMENTS if "all" in options.peers else options.peers)
    results = options.results or folder / f"results-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    with results.open("w") as out:
        bench = Bench(
            workload=workload,
            checkout=checkout,
            logs=folder / "logs",
            server_core=options.server_core,
            client_core=options.client_core,
            seconds=options.seconds or (2.0 if options.quick else 10.0),
            warm_up_s=0.5 if options.quick else 2.0,
            foreign_limit=options.foreign_limit,
            repeats=0 if options.quick else 2,
            out=out,
        )
        bench.write(kind="run", **_conditions(checkout, options))
        cells = side_by_side.cells(options.concurrency, extras=options.extras or not options.quick)
        side_by_side.measure(bench, servers, cells, rounds=options.rounds or (1 if options.quick else 3))
        times = options.starts if options.starts is not None else 0 if options.quick else 3
        side_by_side.start_and_terminate(bench, servers, times=times)
    return results


def _wait_for_others(lock: TextIO) -> None:
    """Wait until no other run measures on this host: two would measure each other."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another run is measuring on this host: waiting for its end", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _conditions(checkout: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the figures depend on."""
    described = subprocess.run(
        ["git", "-C", str(checkout), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "revision": described.stdout.strip(),
        "settings": options.setting,
        "queue_bound": options.queue_bound,
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("grpcio", "onnxruntime", "numpy", "pillow")},
    }


def make_workload(folder: Path, checkout: Path, photographs: Path | None, python: str) -> Path:
    """Return a workload made with a checkout; kept until something that shapes it changes."""
    digest = hashlib.sha256(str(photographs).encode())
    sources = [*(checkout / "contract").rglob("*.py"), *(checkout / "service/cultivar_service/catalog").glob("*.py")]
    sources += [checkout / "trainer/cultivar_trainer/export.py", checkout / "protos/cultivar/v1/model.proto"]
    sources += (checkout / "trainer/cultivar_trainer/networks").glob("*.py")
    for path in (*sorted(sources), Path(__file__).with_name("workload.py")):
        digest.update(path.read_bytes())
    workload = folder / "workloads" / digest.hexdigest()[:12]
    if not (workload / "made").exists():
        print(f"making the workload {workload}", file=sys.stderr)
        command = [python, "-m", "benchmarks.serving.workload", str(workload), "--checkout", str(checkout)]
        command += ["--photographs", str(photographs)] if photographs is not None else []
        environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{checkout_path(checkout)}"}
        subprocess.run(command, env=environment, check=True)
        (workload / "made").touch()
    return workload


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    flags.add_argument("--checkout", type=Path, default=HERE, help="whose service is measured")
    flags.add_argument("--python", default=sys.executable, help="what runs our service")
    flags.add_argument(
        "--setting", action="append", default=[], metavar="NAME=VALUE", help="environment of our service; repeatable"
    )
    flags.add_argument("--peers", nargs="*", choices=("all", *lineup.REQUIREMENTS), default=[], help="beside ours")
    flags.add_argument("--uv", default=str(Path(sys.executable).with_name("uv")))
    flags.add_argument("--quick", action="store_true", help="one round of 2 s windows: shows that it runs")
    flags.add_argument("--rounds", type=int, help="default: 3")
    flags.add_argument("--seconds", type=float, help="of a window (default: 10)")
    flags.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    flags.add_argument("--server-core", type=int, default=0)
    flags.add_argument("--client-core", type=int, default=1)
    flags.add_argument("--foreign-limit", type=float, default=0.1, help="share of a core that others may take")
    flags.add_argument(
        "--photographs",
        type=Path,
        default=os.environ.get("CULTIVAR_BENCH_PHOTOGRAPHS"),
        metavar="FILE.tar",
        help="JPEGs to send, cut and resized; without them images are drawn. CULTIVAR_BENCH_PHOTOGRAPHS sets it too",
    )
    flags.add_argument("--results", type=Path, metavar="FILE.jsonl", help="default: by time, in the folder")
    flags.add_argument("--extras", action="store_true", help="with --quick: bursts, pixels, streams, overload too")
    flags.add_argument("--starts", type=int, help="cold starts and SIGTERMs of each server (default: 3; quick: 0)")
    flags.add_argument("--queue-bound", type=int, default=64, help="images that our service lets wait, for the report")
    flags.add_argument(
        "--folder",
        type=Path,
        default=Path(os.environ.get("CULTIVAR_BENCH_DIR", HERE / "benchmarks" / ".serving")),
        help="environments, workloads and results; CULTIVAR_BENCH_DIR sets it too",
    )
    return flags


if __name__ == "__main__":
    main()

"""Compares our service with other servers: `python -m benchmarks.serving`, or `make bench-serving`."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.serving import lineup, report, side_by_side
from benchmarks.serving.servers import checkout_path, ours
from benchmarks.serving.side_by_side import Bench

HERE = Path(__file__).resolve().parents[2]
FLOWERS = Path("/work/shared/data/flowers-val.tar")


def main() -> None:
    """Measure as the command line says, then print the report."""
    options = _parser().parse_args()
    folder: Path = options.folder.absolute()
    checkout: Path = options.checkout.absolute()
    workload = make_workload(folder, checkout, options.flowers, options.python)
    settings = dict(one.split("=", 1) for one in options.setting)
    servers = [ours(checkout, workload, options.python, settings, port=18100)]
    site = lineup.Site(
        repository=HERE, checkout=checkout, workload=workload, folder=folder, uv=shutil.which("uv") or options.uv
    )
    servers += lineup.peers(site, options.peers)
    results = options.results or folder / "results.jsonl"
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
        side_by_side.measure(
            bench,
            servers,
            options.concurrency,
            rounds=options.rounds or (1 if options.quick else 3),
            extras=not options.quick,
        )
    print(report.markdown(report.read(results)))


def make_workload(folder: Path, checkout: Path, flowers: Path | None, python: str) -> Path:
    """Return a workload made with a checkout; kept until something that shapes it changes."""
    digest = hashlib.sha256(str(flowers).encode())
    sources = [*(checkout / "contract").rglob("*.py"), *(checkout / "service/cultivar_service/catalog").glob("*.py")]
    sources += [checkout / "trainer/cultivar_trainer/export.py", checkout / "protos/cultivar/v1/model.proto"]
    sources += (checkout / "trainer/cultivar_trainer/networks").glob("*.py")
    for path in (*sorted(sources), Path(__file__).with_name("workload.py")):
        digest.update(path.read_bytes())
    workload = folder / "workloads" / digest.hexdigest()[:12]
    if not (workload / "made").exists():
        print(f"making the workload {workload}", file=sys.stderr)
        command = [python, "-m", "benchmarks.serving.workload", str(workload), "--checkout", str(checkout)]
        command += ["--flowers", str(flowers)] if flowers is not None and flowers.exists() else []
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
    flags.add_argument("--peers", nargs="*", choices=lineup.REQUIREMENTS, default=[], help="beside ours")
    flags.add_argument("--uv", default=str(Path(sys.executable).with_name("uv")))
    flags.add_argument("--quick", action="store_true", help="one round of 2 s windows: shows that it runs")
    flags.add_argument("--rounds", type=int, help="default: 3")
    flags.add_argument("--seconds", type=float, help="of a window (default: 10)")
    flags.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    flags.add_argument("--server-core", type=int, default=0)
    flags.add_argument("--client-core", type=int, default=1)
    flags.add_argument("--foreign-limit", type=float, default=0.1, help="share of a core that others may take")
    flags.add_argument("--flowers", type=Path, default=FLOWERS, help="tar of photographs; absent: images are drawn")
    flags.add_argument("--results", type=Path, metavar="FILE.jsonl", help="default: results.jsonl in the folder")
    flags.add_argument(
        "--folder",
        type=Path,
        default=Path(os.environ.get("CULTIVAR_BENCH_DIR", HERE / "benchmarks" / ".serving")),
        help="environments, workloads and results; CULTIVAR_BENCH_DIR sets it too",
    )
    return flags


if __name__ == "__main__":
    main()

"""Runs one task in one run directory: `python -m cultivar_trainer TASK RUN_DIR`."""

import logging
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from cultivar_contract import files
from cultivar_contract.run_directory import AlreadyRunning, Result, RunDirectory
from cultivar_trainer.errors import Cancelled, TaskFailed
from cultivar_trainer.journal import Journal

logger = logging.getLogger("cultivar_trainer")


def main() -> int:
    """Run the task named on the command line; 0 when it succeeded, 1 when not, 2 for bad usage."""
    if len(sys.argv) != 3:
        print("usage: python -m cultivar_trainer TASK RUN_DIR", file=sys.stderr)
        return 2
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # its wheel phones home otherwise
    # Read when torch loads its OpenMP: threads that spin while they wait make a shared host up to 30 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its results only with this
    # Libraries only warn: the exporter alone would add a page of its own steps to every log.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    logger.setLevel(logging.INFO)
    task, run = sys.argv[1], RunDirectory(Path(sys.argv[2]).resolve())
    signal.signal(signal.SIGTERM, _cancel)
    try:
        with run.locked():
            attempt, request = run.read_request()
            run.take_reserve()
            result = _run(task, run, attempt, request)
            run.write_result(result)
            return 0 if result.outcome == "SUCCEEDED" else 1
    except AlreadyRunning:
        logger.error("another trainer holds this run directory")
        return 1


def _run(task: str, run: RunDirectory, attempt: int, request: dict[str, Any]) -> Result:
    try:
        with Journal(run.events(attempt), run.earlier_events(attempt)) as journal:
            value = _perform(task, run, request, journal)
        return Result(attempt=attempt, outcome="SUCCEEDED", value=value)
    except Cancelled:
        logger.info("cancelled")
        return Result(attempt=attempt, outcome="CANCELLED", value={})
    except TaskFailed as error:
        logger.error("%s: %s", error.reason, error.message)
        return Result(attempt=attempt, outcome="FAILED", reason=error.reason, message=error.message, value={})
    except Exception as error:  # The only catch-all: whatever happens, the run directory tells what.
        return _failed(run, attempt, error)


def _failed(run: RunDirectory, attempt: int, error: Exception) -> Result:
    """Say in a result what a task did not foresee."""
    name = getattr(error, "filename", None)
    file = f" ({Path(os.fsdecode(name)).name})" if isinstance(name, (str, bytes)) else ""
    if files.is_disk_full(error):
        free = shutil.disk_usage(run.path).free  # what was half written is removed already
        reason = "INSUFFICIENT_DISK"
        text = f"the disk is full{file}, {free >> 20} MiB are free now: delete data sets, jobs or model versions"
    elif isinstance(error, OSError):
        reason = "OS_ERROR"
        text = f"{error.strerror or type(error).__name__}{file}: see the job's log"
    else:
        reason = "TRAINER_ERROR"
        text = f"{type(error).__name__} in the trainer: see the job's log"
    logger.error("%s: %s", reason, text, exc_info=error)
    return Result(attempt=attempt, outcome="FAILED", reason=reason, message=text, value={})


def _perform(task: str, run: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    # Imported where used: an import of a data set does not wait for torch.
    if task == "import_dataset":
        from cultivar_trainer.tasks import import_dataset

        return import_dataset.run(run, request, journal)
    if task == "check_dataset":
        from cultivar_trainer.tasks import check_dataset

        return check_dataset.run(run, request, journal)
    if task == "train":
        from cultivar_trainer.tasks import train

        return train.run(run, request, journal)
    if task == "combine":
        from cultivar_trainer.tasks import combine

        return combine.run(run, request, journal)
    if task == "describe":
        from cultivar_trainer.tasks import describe

        return describe.run(request)
    if task == "evaluate":
        from cultivar_trainer.tasks import evaluate

        return evaluate.run(run, request, journal)
    if task == "preview":
        from cultivar_trainer.tasks import preview

        return preview.run(run, request, journal)
    if task == "inspect":
        from cultivar_trainer.tasks import inspect

        return inspect.run(run, request, journal)
    if task == "report_study":
        from cultivar_trainer.tasks import report_study

        return report_study.run(run, request)
    raise TaskFailed(
        "UNKNOWN_TASK",
        f"{task!r} is unknown: use import_dataset, check_dataset, train, combine, describe, evaluate, preview, inspect "
        "or report_study",
    )


def _cancel(signum: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the result is being written
    raise Cancelled


if __name__ == "__main__":
    sys.exit(main())

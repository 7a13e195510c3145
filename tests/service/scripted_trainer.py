"""A trainer that follows a script in place of the real one: `scripted_trainer.py BEHAVIOUR PACKAGE TASK RUN_DIR`.

Behaviours of `train`: succeed, crash (after an epoch), stubborn (ignores SIGTERM), gated (waits for RUN_DIR/go after
its first epoch; stops when told to), silent-end (no result), foreign (writes what a trainer must not), slow-lock (takes
its lock late), fail, out-of-memory, mortal (dies after every epoch, and goes on after the last checkpoint), flaky (dies
in its first attempt only), graded (figures that follow from learning rate and seed; fails with 3 epochs),
without-report (draws no study's report). All but fail export when they are asked to.

Task `combine` leaves the package at once; where it is gated, when RUN_DIR/go is there.

Behaviours of `import_dataset`: succeed, stubborn, slow-lock, lost-once (dies in its first attempt only), lost-always.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from google.protobuf import json_format

from cultivar.v1 import dataset_pb2, event_pb2, state_pb2
from cultivar_contract.run_directory import EventWriter, Result, RunDirectory


class Told(Exception):
    """SIGTERM came."""


def main() -> None:
    behaviour, package, task, folder = sys.argv[1:5]
    run = RunDirectory(Path(folder))
    if behaviour == "slow-lock":
        time.sleep(1.0)
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, tell)
    with run.locked():
        attempt, request = run.read_request()
        print(f"trainer {os.getpid()}: {task}", flush=True)
        events = EventWriter(run.events(attempt))
        try:
            value = TASKS[task](behaviour, Path(package), run, request, events)
        except Told:
            print("told to stop", flush=True)
            run.write_result(Result(attempt=attempt, outcome="CANCELLED", value={}))
            return
        if value is None:
            reason = "OUT_OF_MEMORY" if behaviour == "out-of-memory" else "EMPTY_SPLIT"
            run.write_result(Result(attempt=attempt, outcome="FAILED", reason=reason, message="val is empty", value={}))
        else:
            run.write_result(Result(attempt=attempt, outcome="SUCCEEDED", value=value))


def tell(*_: object) -> None:
    raise Told


def import_dataset(behaviour: str, _: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict | None:
    events.write(event_pb2.JobEvent(progress=event_pb2.Progress(stage="hashing", done=1, total=2, unit="files")))
    if behaviour == "lost-always" or (behaviour, run.read_request()[0]) == ("lost-once", 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if request["builtin"] == "cifar10":
        return None
    (run.path / "dataset").mkdir()
    content = json.dumps([request["builtin"], request["folder"], request["split_seed"]])
    (run.path / "dataset" / "content.json").write_text(content)
    return json_format.MessageToDict(
        dataset_pb2.Dataset(
            digest=hashlib.sha256(content.encode()).hexdigest(),
            classes=[dataset_pb2.DatasetClass(id=one, display_name=one.title()) for one in ("aster", "lily", "rose")],
            splits=[
                dataset_pb2.DatasetSplit(split=split, image_count=30, class_counts=[10, 10, 10], digest=str(split))
                for split in (1, 2, 3)
            ],
            split_protocol="official",
            image_bytes=1234,
        )
    )


def train(behaviour: str, package: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict | None:
    if behaviour == "foreign":
        state = event_pb2.StateChanged(state=state_pb2.TRAINING_JOB_STATE_FAILED)
        events.write(event_pb2.JobEvent(state_changed=state, number=77, attempt=9))
        with (run.events(1)).open("a") as file:
            file.write("{half a line\n")
    graded = behaviour == "graded"
    if behaviour in ("fail", "out-of-memory") or (graded and request["recipe"]["epochs"] == 3):
        return None
    attempt, epochs, checkpoint = run.read_request()[0], request["recipe"]["epochs"], run.path / "epochs"
    events.write(event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_PREPARING))
    events.write(event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_TRAINING))
    if graded:
        splits = [event_pb2.SplitSummary(split="train", image_count=30)]
        events.write(event_pb2.JobEvent(data_prepared=event_pb2.DataPrepared(splits=splits)))
    trained = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in () if request["export_only"] else range(trained + 1, epochs + 1):
        finished = event_pb2.EpochFinished(
            epoch=epoch,
            epochs=epochs,
            learning_rate=0.1,
            train_loss=1 / epoch,
            val_accuracy=0.5,
            best=epoch == 1,
            images_per_second=100,
            host_memory_bytes=1 << 20,
            train_seconds=2.0 if graded else 0.0,
            val_seconds=0.5 if graded else 0.0,
            step=3 * epoch if graded else 0,
        )
        events.write(event_pb2.JobEvent(epoch_finished=finished))
        print(f"epoch {epoch}/{epochs}", flush=True)
        if behaviour in ("gated", "stubborn") and epoch == 1:
            wait_for(run.path / "go")
        if behaviour == "mortal":
            checkpoint.write_text(str(epoch))
            events.write(event_pb2.JobEvent(checkpoint_written=event_pb2.CheckpointWritten(epoch=epoch, step=epoch)))
        if behaviour in ("crash", "mortal") or (behaviour, attempt) == ("flaky", 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "silent-end":
            os._exit(3)
    events.write(event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_EXPORTING))
    accuracy = grade(request["recipe"]) if graded else 0.9
    metrics = event_pb2.SplitMetrics(split="val", image_count=30, loss=0.5, accuracy=accuracy, top5_accuracy=1)
    events.write(event_pb2.JobEvent(split_evaluated=metrics))
    shutil.copytree(package, run.package)
    return {}


def combine(behaviour: str, package: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict:
    events.write(event_pb2.JobEvent(phase_entered=state_pb2.TRAINING_PHASE_EXPORTING))
    compared = [event_pb2.MembersCompared.Member(model_version=one, kept=True) for one in request["members"]]
    told = event_pb2.MembersCompared(members=compared, mean_accuracy=0.5, combined_accuracy=0.75, disagreement=0.25)
    events.write(event_pb2.JobEvent(members_compared=told))
    if behaviour == "gated":
        wait_for(run.path / "go")
    shutil.copytree(package, run.package)
    return {}


def grade(recipe: dict) -> float:
    return 0.5 + recipe["optimizer"]["learningRate"] + 0.01 * int(recipe["seed"])


def describe(behaviour: str, _: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict:
    if behaviour == "gated":
        wait_for(run.path / "go")
    if behaviour == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    recipe = json.loads(request["recipe_json"])
    head_only = recipe["mode"] == "FINE_TUNING_MODE_HEAD"
    return {
        "parameters": "42",
        "numClasses": request["num_classes"],
        "inputSize": recipe["input"]["size"],
        "layers": [
            {"name": "bn1", "kind": "BatchNorm2d", "trainable": not head_only},
            {"name": "fc", "kind": "Linear", "trainable": True},
        ],
        "blocks": [{"name": "layer1", "lastBlocks": 2}, {"name": "layer2", "lastBlocks": 1}, {"name": "fc"}],
        "parameterNames": ["bn1.weight", "layer1.weight", "layer2.weight", "fc.weight"],
    }


def evaluate(behaviour: str, _: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict | None:
    print(f"trainer {os.getpid()}", flush=True)
    readings = Path(request["dataset"]) / "readings"  # what a test counts
    readings.write_text((readings.read_text() if readings.exists() else "") + f"{os.getpid()} {request['split']}\n")
    events.write(event_pb2.JobEvent(progress=event_pb2.Progress(stage="evaluating", done=1, total=2, unit="images")))
    if behaviour == "gated":
        wait_for(readings.with_name("go"))
    if behaviour == "fail":
        return None
    if request["package"]:
        (run.path / "report.html").write_text(f"<html>{request['dataset_name']} {request['split']}")
        (run.path / "report.json").write_text("{}")
    return {"split": request["split"], "imageCount": "30", "loss": 0.25, "accuracy": 0.875, "top5Accuracy": 1.0}


def preview(behaviour: str, _: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict:
    if behaviour != "silent-end":
        recipe = json.dumps(request["recipe"], sort_keys=True).encode()
        (run.path / "preview.png").write_bytes(b"PNG %d %d " % (request["images"], request["columns"]) + recipe)
    return {}


def inspect(behaviour: str, _: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict:
    refusal = {"fail": "NO_VALIDATION_IMAGES", "crash": "INVALID_LAYER"}.get(behaviour)
    if refusal:
        result = Result(attempt=1, outcome="FAILED", reason=refusal, message="it names what there is", value={})
        run.write_result(result)
        os._exit(1)
    events.write(event_pb2.JobEvent(progress=event_pb2.Progress(stage="reading", done=1, total=2, unit="images")))
    (run.path / "inspection.png").write_bytes(b"PNG" + json.dumps(request).encode() + bytes(3 << 20))
    return {"layers": ["conv"], "channels": [{"layer": "conv", "channel": 2, "value": 0.5}], "newer": 1}


def report_study(behaviour: str, _: Path, run: RunDirectory, request: dict, events: EventWriter) -> dict | None:
    if behaviour == "without-report":
        return None
    for name in ("report.html", "report.md", "curves.svg", "curves.png"):
        (run.path / name).write_text(name)
    (run.path / "study.json").write_text(json.dumps(request))
    return {}


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


TASKS = {
    "import_dataset": import_dataset,
    "train": train,
    "combine": combine,
    "describe": describe,
    "evaluate": evaluate,
    "preview": preview,
    "inspect": inspect,
    "report_study": report_study,
}

if __name__ == "__main__":
    main()

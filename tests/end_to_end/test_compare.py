"""`cultivar compare` on drawn flowers, its numbers computed once more from the jobs' histories."""

import asyncio
import json
import math
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from end_to_end_service import RunningService

from cultivar_client import Client

SEEDS = (1, 2, 3)
T_95_OF_2 = 4.302652729911275
"""The 97.5 % quantile of Student's t with two degrees of freedom."""


async def _histories(service: RunningService, jobs: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    histories = {}
    async with Client(service.address) as client:
        for job in jobs:
            path = await client.download_artifact(job, "history.json", folder / job)
            histories[job] = json.loads(path.read_text())
    return histories


@pytest.mark.slow
def test_a_comparison_s_numbers_are_those_of_the_jobs_histories(service: RunningService, tmp_path: Path) -> None:
    jobs = json.loads(service.cultivar("jobs list --state succeeded --json"))["trainingJobs"]
    start = next(job["name"] for job in reversed(jobs) if job["recipe"]["mode"] == "FINE_TUNING_MODE_SCRATCH")

    printed = service.cultivar(
        "compare --data flowers --arch lenet5 --mode scratch --set epochs=3 --set batch_size=16 "
        "--set optimizer.learning_rate=3e-3 --variant scratch "
        f"--variant 'head: mode=head weights={start}' --seeds 1,2,3 "
        f"--set execution.threads=1 --report {tmp_path}/report.html",
        timeout_s=1200,
    )

    found = re.search(r"study (trainingStudies/\S+)  6 trials", printed)
    assert found, printed
    study = json.loads(service.cultivar(f"studies show {found[1]} --json"))
    assert study["state"] == "TRAINING_STUDY_STATE_SUCCEEDED"
    assert [(one["variant"], int(one["seed"])) for one in study["trials"]] == [
        (variant, seed) for variant in ("scratch", "head") for seed in SEEDS
    ]
    histories = asyncio.run(_histories(service, [one["trainingJob"] for one in study["trials"]], tmp_path))
    accuracies: dict[str, list[float]] = {"scratch": [], "head": []}
    for row in study["rows"]:
        trials = [one for one in study["trials"] if one["variant"] == row["variant"]]
        epochs = [histories[one["trainingJob"]]["epochs"] for one in trials]
        best = [its[histories[one["trainingJob"]]["best_epoch"] - 1] for its, one in zip(epochs, trials, strict=True)]
        accuracies[row["variant"]] = values = [one["val_accuracy"] for one in best]
        losses = [one["val_loss"] for one in best]
        seconds = [sum(one["train_seconds"] + one["val_seconds"] for one in its) for its in epochs]
        for name, expected in (
            ("validationAccuracy", values),
            ("selection", values),
            ("validationLoss", losses),
            ("updates", [its[-1]["step"] for its in epochs]),
            ("imagesSeen", [60 * len(its) for its in epochs]),
            ("seconds", seconds),
        ):
            # Of the exported graph there, of PyTorch here.
            assert row[name]["mean"] == pytest.approx(statistics.fmean(expected), rel=1e-4, abs=1e-6), name
            assert row[name]["std"] == pytest.approx(statistics.stdev(expected), rel=1e-3, abs=1e-5), name
        shown = f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"
        assert re.search(rf"^{row['variant']}( \*)? +3/3 +{shown} ", printed, re.MULTILINE), printed

    differences = [head - scratch for scratch, head in zip(*accuracies.values(), strict=True)]
    mean, half = statistics.fmean(differences), T_95_OF_2 * statistics.stdev(differences) / math.sqrt(3)
    told = study["rows"][1]["difference"]
    assert "difference" not in study["rows"][0]
    assert told["mean"] == pytest.approx(mean, abs=1e-6)
    assert (told["low"], told["high"]) == (pytest.approx(mean - half, abs=1e-5), pytest.approx(mean + half, abs=1e-5))
    means = {name: statistics.fmean(values) for name, values in accuracies.items()}
    assert study["winner"] == max(means, key=lambda name: means[name])
    assert {one["variant"] for one in study["trials"] if "test" in one} == {study["winner"]}
    assert study["conclusion"] in printed
    page = (tmp_path / "report.html").read_text()
    assert "data:image/svg+xml;base64," in page
    assert not re.search(r"(src|href)=.http", page)


@pytest.mark.slow
def test_ways_to_train_that_can_not_be_compared_are_refused_before_anything_is_queued(service: RunningService) -> None:
    before = len(json.loads(service.cultivar("jobs list --json"))["trainingJobs"])
    base = "compare --data flowers --arch lenet5 --mode scratch --set epochs=1 --variant a"

    same_seed = service.cultivar(f"{base} --variant 'b: batch_size=8' --seeds 1,1", expect=1)
    others = service.cultivar(f"{base} --variant 'b: data.max_val_images_per_class=2'", expect=1)
    nothing = service.cultivar(f"{base} --variant b", expect=1)

    assert "spec.seeds" in same_seed
    assert "spec.variants[1]" in others
    assert "spec.variants[1]" in nothing
    assert len(json.loads(service.cultivar("jobs list --json"))["trainingJobs"]) == before

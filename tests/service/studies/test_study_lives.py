"""Studies from their first trial to their report, stopped or killed on the way."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from certificates import client_with, make_tokens
from running_service import Client, drain, eventually, make_config, refused, running
from study_requests import RATES, base, cancel, create, delete, finished, get, make_study, reached, watch

from cultivar.v1 import artifact_pb2, model_pb2, state_pb2, study_pb2, training_pb2
from cultivar_service.backup.restoring import restore
from cultivar_service.backup.writing import back_up
from cultivar_service.catalog.study_record import CANCELLED, CANCELLING, EVALUATING, FAILED, RUNNING, SUCCEEDED
from cultivar_service.config import Security

EACH, NONE = study_pb2.STUDY_TEST_EACH, study_pb2.STUDY_TEST_NONE


def graded(folder: Path, package: Path, **settings: Any) -> Any:
    return make_config(folder, behaviour="graded", package=package, **settings)


def readings(folder: Path) -> list[str]:
    path = folder / "data/datasets/flowers/1/readings"
    return [line.split()[1] for line in path.read_text().splitlines()] if path.exists() else []


def allow(folder: Path, study: study_pb2.TrainingStudy) -> None:
    for trial in study.trials:
        run = folder / "data/runs" / trial.training_job.split("/")[1]
        run.mkdir(parents=True, exist_ok=True)
        (run / "go").touch()


async def live_version(client: Client) -> str:
    return (await client.models.GetModel(model_pb2.GetModelRequest(name="flowers"))).live_version


async def artifacts(client: Client, parent: str) -> list[str]:
    answer = await client.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=parent))
    return [one.path for one in answer.artifacts]


@pytest.mark.slow
async def test_a_study_chooses_on_validation_tests_the_winner_and_draws_its_report(
    tmp_path: Path, package: Path
) -> None:
    async with running(graded(tmp_path, package)) as (service, client):
        await client.import_flowers()
        made = await create(client, make_study(seeds=[1, 2], title="rates"))
        events = await watch(client, made.name)
        study = await get(client, made.name)
        low, high = study.rows

        assert study.state == SUCCEEDED
        assert (study.winner, study.winner_model_version) == ("high", study.trials[3].model_version)
        assert low.selection.mean == pytest.approx(0.5 + 0.001 + 0.015)
        assert (high.difference.mean, high.difference.low) == (pytest.approx(0.099), pytest.approx(0.099))
        assert high.difference.pairs == 2
        assert (high.updates.mean, high.images_seen.mean, high.seconds.mean) == (6, 60, 5)
        assert (high.test_accuracy.mean, high.test_accuracy.count, low.HasField("test_accuracy")) == (0.875, 2, False)
        assert readings(tmp_path) == ["test"]  # the scripted models are one and the same, so it is read once
        assert await live_version(client) == study.winner_model_version
        assert f"{study.winner_model_version} went live" in study.conclusion
        assert not study.warnings
        files = ["curves.png", "curves.svg", "report.html", "report.md", "study.json"]
        assert await artifacts(client, study.name) == files
        told = json.loads((tmp_path / "data/studies" / study.name.split("/")[1] / "study.json").read_text())
        assert told["study"]["rows"][1]["testAccuracy"]["count"] == 2
        assert told["study"]["spec"]["title"] == "rates"
        assert told["study"]["spec"]["base"]["dataset"] == "datasets/flowers/versions/1"  # and not the newest one
        assert set(told["runs"].values()) == {str(folder) for folder in (tmp_path / "data/runs").iterdir()}
        assert sorted(told["runs"]) == sorted(one.training_job for one in study.trials)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert [event.state_changed for event in events if event.HasField("state_changed")] == [
            RUNNING,
            EVALUATING,
            SUCCEEDED,
        ]
        kinds = [event.WhichOneof("event") for event in events]
        assert kinds.index("winner_chosen") < kinds.index("trial_tested")
        assert kinds.count("trial_tested") == 2
        assert await watch(client, made.name, after_event=3) == events[3:]
        assert service.metrics.registry.get_sample_value("cultivar_training_studies", {"state": "SUCCEEDED"}) == 1


@pytest.mark.slow
async def test_each_trial_is_tested_once_where_that_is_asked_and_none_where_not(tmp_path: Path, package: Path) -> None:
    async with running(graded(tmp_path, package)) as (_, client):
        await client.import_flowers()
        none = await create(client, make_study(test=NONE))
        untested = await finished(client, none.name)
        assert readings(tmp_path) == []
        each = await create(client, make_study(test=EACH))
        tested = await finished(client, each.name)

    assert not any(one.HasField("test") for one in untested.trials)
    assert [one.test.accuracy for one in tested.trials] == [0.875, 0.875]
    assert [row.test_accuracy.count for row in tested.rows] == [1, 1]


@pytest.mark.slow
async def test_failed_trials_are_left_out_and_one_variant_alone_is_no_comparison(tmp_path: Path, package: Path) -> None:
    failing = {"variant": "failing", "changes": {"epochs": 3}}
    async with running(graded(tmp_path, package)) as (_, client):
        await client.import_flowers()
        three = await finished(client, (await create(client, make_study([*RATES, failing]))).name)
        two = await finished(client, (await create(client, make_study([RATES[0], failing]))).name)

    assert (three.state, three.winner, three.rows[2].failed) == (SUCCEEDED, "high", 1)
    assert "failing (0 of 1)" in three.conclusion
    assert three.trials[2].error.reason == "EMPTY_SPLIT"
    assert (two.state, two.error.reason, two.winner) == (FAILED, "TOO_FEW_SUCCEEDED", "")
    assert "val is empty" in two.error.message


@pytest.mark.slow
async def test_a_study_without_a_report_succeeds_and_says_so(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="without-report", package=package)) as (_, client):
        await client.import_flowers()
        study = await create(client, make_study(test=NONE))
        found = await finished(client, study.name)
        shown = await artifacts(client, study.name)

    assert (found.state, shown) == (SUCCEEDED, [])
    assert list(found.warnings) == ["There is no report: val is empty"]


@pytest.mark.slow
async def test_the_base_s_policy_decides_whether_the_winner_goes_live(tmp_path: Path, package: Path) -> None:
    async with running(graded(tmp_path, package)) as (_, client):
        await client.import_flowers()
        await client.train()
        before = await live_version(client)
        kept = await finished(client, (await create(client)).name)
        after = await live_version(client)
        always = make_study(base=base(publish="PUBLISH_POLICY_ALWAYS"))
        moved = await finished(client, (await create(client, always)).name)
        model = await client.models.GetModel(model_pb2.GetModelRequest(name="flowers"))

    assert before == after
    assert f"{kept.winner_model_version} did not go live: not better" in kept.conclusion
    assert model.live_version == moved.winner_model_version
    assert (model.live_history[0].actor, model.live_history[0].reason) == (moved.name, "publish is always")


async def test_cancelling_a_study_cancels_its_jobs_and_what_is_under_way_can_not_be_deleted(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package, max_running_jobs=1)
    async with running(config) as (_, client):
        await client.import_flowers()
        study = await create(client, make_study(seeds=[1, 2]))
        await client.first_epoch(study.trials[0].training_job)
        early = await refused(delete(client, study.name))
        await client.cancel(study.trials[3].training_job)
        trial = training_pb2.DeleteTrainingJobRequest(name=study.trials[3].training_job)
        kept = await refused(client.training.DeleteTrainingJob(trial))

        first = await cancel(client, study.name)
        again = await cancel(client, study.name)
        over = await finished(client, study.name)

        assert (early.code, early.reason) == ("FAILED_PRECONDITION", "STUDY_NOT_FINISHED")
        assert (kept.code, kept.reason) == ("FAILED_PRECONDITION", "TRIAL_OF_STUDY")
        assert first.state == CANCELLING
        assert again.state in (CANCELLING, CANCELLED)
        assert over.state == CANCELLED
        assert {one.state for one in over.trials} == {state_pb2.TRAINING_JOB_STATE_CANCELLED}
        assert (await cancel(client, study.name)).state == CANCELLED
        await client.training.DeleteTrainingJob(trial)
        await delete(client, study.name)
        assert (await refused(get(client, study.name))).code == "NOT_FOUND"


@pytest.mark.slow
async def test_a_study_is_picked_up_where_it_was_while_trials_run_and_while_it_evaluates(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        study = await create(client)
        await client.first_epoch(study.trials[0].training_job)
    allow(tmp_path, study)

    async with running(config) as (_, client):
        await reached(client, study.name, EVALUATING)

        async def reading() -> bool | None:
            return bool(readings(tmp_path)) or None

        await eventually(reading)
        kept = await get(client, study.name)
        version = model_pb2.DeleteModelVersionRequest(name=kept.trials[1].model_version)
        in_use = await refused(client.models.DeleteModelVersion(version))
    (tmp_path / "data/datasets/flowers/1/go").touch()

    async with running(config) as (_, client):
        over = await finished(client, study.name)
        events = await watch(client, study.name)
        model = await client.models.GetModel(model_pb2.GetModelRequest(name="flowers"))
        await asyncio.to_thread(back_up, config, tmp_path / "backup")

    assert (in_use.code, in_use.reason) == ("FAILED_PRECONDITION", "VERSION_IN_USE")
    assert (over.state, over.winner) == (SUCCEEDED, "low")
    kinds = [event.WhichOneof("event") for event in events]
    assert (kinds.count("winner_chosen"), kinds.count("trial_tested")) == (1, 1)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [move.actor for move in model.live_history] == [study.name]

    elsewhere = make_config(tmp_path / "elsewhere", behaviour="succeed", package=package)
    await asyncio.to_thread(restore, elsewhere, tmp_path / "backup")
    async with running(elsewhere) as (_, client):
        assert await get(client, study.name) == over
        assert "report.html" in await artifacts(client, study.name)


@pytest.mark.slow
async def test_a_study_can_be_cancelled_while_it_evaluates_also_over_a_restart(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        study = await create(client)
        allow(tmp_path, study)
        await reached(client, study.name, EVALUATING)

        await cancel(client, study.name)
        over = await finished(client, study.name)

    assert over.state == CANCELLED
    assert not any(one.HasField("test") for one in over.trials)
    async with running(config) as (_, client):
        assert await get(client, study.name) == over


@pytest.mark.slow
async def test_only_who_made_a_study_or_an_admin_may_stop_it(tmp_path: Path, package: Path) -> None:
    path, made = make_tokens(tmp_path, ann="train", ben="train", boss="admin")
    config = make_config(tmp_path, behaviour="gated", package=package, security=Security(tokens_file=path))
    async with (
        running(config) as (service, _),
        client_with(service.grpc_address, made["ann"]) as ann,
        client_with(service.grpc_address, made["ben"]) as ben,
        client_with(service.grpc_address, made["boss"]) as boss,
    ):
        await ann.import_flowers()
        study = await create(ann)
        refusals = [(await refused(act(ben, study.name))).reason for act in (cancel, delete)]
        mine = await ben.training.ListTrainingStudies(study_pb2.ListTrainingStudiesRequest(mine=True))
        job = await ann.job(study.trials[0].training_job)
        await cancel(boss, study.name)
        await finished(boss, study.name)

    assert (study.creator, job.creator) == ("ann", "ann")
    assert refusals == ["NOT_CREATOR"] * 2
    assert not mine.training_studies


@pytest.mark.slow
async def test_a_quiet_watch_sends_heartbeats(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        study = await create(client)
        request = study_pb2.WatchTrainingStudyRequest(name=study.name, heartbeat_seconds=1)
        watching = client.training.WatchTrainingStudy(request)
        async for event in watching:
            if event.HasField("heartbeat"):
                break
        watching.cancel()
        wrong = study_pb2.WatchTrainingStudyRequest(name=study.name, after_event=99)
        refusal = await refused(drain(client.training.WatchTrainingStudy(wrong)))
        await cancel(client, study.name)
        await finished(client, study.name)

    assert event.number == 0
    assert refusal.fields == ["after_event"]


@pytest.mark.slow
async def test_a_studys_report_is_no_orphan_and_one_without_a_study_is(tmp_path: Path, package: Path) -> None:
    config = graded(tmp_path, package)
    async with running(config) as (service, client):
        await client.import_flowers()
        study = await finished(client, (await create(client)).name)
        report = config.studies / study.name.split("/")[1]
        orphan = config.studies / "20260101-000000-0a1b2c"
        await asyncio.to_thread(shutil.copytree, report, orphan)
        make_old(orphan)
        make_old(report)
        await service.housekeeper.tidy()

        assert (report.is_dir(), orphan.is_dir()) == (True, False)
        await delete(client, study.name)
        assert not report.exists()


def make_old(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (0, 0))

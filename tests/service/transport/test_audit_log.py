"""The audit log: who asked for which change, and what came of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from certificates import client_with, make_tokens
from running_service import eventually, make_config, refused, running

from cultivar.open_inference import open_inference_pb2
from cultivar.v1 import artifact_pb2, dataset_pb2, model_pb2, prediction_pb2, training_pb2
from cultivar_service import administration
from cultivar_service.catalog import audit
from cultivar_service.catalog.audit import Entry
from cultivar_service.catalog.database import Catalog, read_only
from cultivar_service.config import Security
from cultivar_service.transport.methods import changes_something


def test_the_methods_in_the_audit_log_are_those_that_change_something() -> None:
    files = (artifact_pb2, dataset_pb2, model_pb2, prediction_pb2, training_pb2, open_inference_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    reading = {
        method.name
        for service in services
        for method in service.methods
        if not changes_something(service.full_name, method.name)
    }
    verbs = ("Create", "Delete", "Cancel", "Promote", "Rollback", "Set")

    assert {"Predict", "GetModel", "ListDatasets", "WatchTrainingJob", "DownloadArtifact"} <= reading
    assert [name for name in reading if name.startswith(verbs)] == []


async def test_changes_and_refused_changes_leave_a_row_and_reads_none(
    tmp_path: Path, package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path, made = make_tokens(tmp_path, ann="train", eve="predict")
    config = make_config(tmp_path, package=package, security=Security(tokens_file=path))
    deletion = model_pb2.DeleteModelRequest(name="flowers\nroot: OK")
    async with running(config) as (service, stranger):
        async with (
            client_with(service.grpc_address, made["ann"]) as ann,
            client_with(service.grpc_address, made["eve"]) as eve,
        ):
            dataset = await ann.import_flowers()
            await ann.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=dataset.name))
            await refused(ann.models.DeleteModel(deletion))
            await refused(eve.models.DeleteModel(deletion))
            await refused(stranger.models.DeleteModel(deletion))

        async def written() -> list[tuple[int, Entry]] | None:
            rows = read_only(config.catalog, audit.page)
            return rows if len(rows) >= 3 else None

        rows = [entry for _, entry in await eventually(written)]

    assert [(one.caller, one.method.rpartition("/")[2], one.code) for one in rows] == [
        ("eve", "DeleteModel", "PERMISSION_DENIED"),
        ("ann", "DeleteModel", "NOT_FOUND"),
        ("ann", "CreateDataset", "OK"),
    ]
    assert rows[2].resource.startswith("datasets/flowers/imports/")
    assert all(one.peer.startswith("ipv4:127.0.0.1:") and len(one.request_id) == 16 for one in rows)
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("api.audit")]
    assert len(lines) == 3
    assert not any("\n" in line for line in lines)


async def test_what_only_asks_whether_it_could_be_done_leaves_no_row(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    async with running(config) as (_, client):
        await refused(client.training.CreateTrainingJob(training_pb2.CreateTrainingJobRequest(validate_only=True)))
        await refused(client.training.CreateTrainingJob(training_pb2.CreateTrainingJobRequest()))

    assert [entry.code for _, entry in read_only(config.catalog, audit.page)] == ["INVALID_ARGUMENT"]


def entry(number: int) -> Entry:
    return Entry(time_ns=number, request_id="", caller="ann", peer="", method="m", resource=str(number), code="OK")


async def test_rows_are_never_changed_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    try:
        await catalog.write(lambda one: audit.insert(one, [entry(number) for number in range(5)], max_entries=3))
        await catalog.write(lambda one: audit.insert(one, [entry(5)], max_entries=3))
        with pytest.raises(sa.exc.IntegrityError, match="never changed"):
            await catalog.write(lambda one: one.exec_driver_sql("UPDATE audit SET caller = 'eve'"))
        first = await catalog.read(lambda one: audit.page(one, limit=2))
        rest = await catalog.read(lambda one: audit.page(one, limit=2, before=first[-1][0], caller="ann"))
    finally:
        catalog.close()

    assert [one.resource for _, one in first + rest] == ["5", "4", "3"]


async def test_the_command_prints_rows_while_the_service_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(tmp_path)
    async with running(config) as (_, client):
        await refused(client.models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers")))

        async def printed() -> list[str] | None:
            administration.run(["audit", "--limit", "5"], {"CULTIVAR_DATA_DIR": str(config.data_dir)})
            return capsys.readouterr().out.splitlines() or None

        (line,) = await eventually(printed)

    row = json.loads(line)
    assert (row["caller"], row["resource"], row["code"]) == ("", "flowers", "NOT_FOUND")
    assert row["method"] == "cultivar.v1.ModelService/DeleteModel"


def test_tokens_are_made_listed_and_revoked_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {**os.environ, "CULTIVAR_TOKENS_FILE": str(tmp_path / "tokens.json")}

    def service(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cultivar_service", "tokens", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    added = service("add", "ci", "--scope", "train", "--expires-in", "90d")
    again = service("add", "ci", "--scope", "predict")

    assert added.stdout.startswith("cultivar_")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert "revoke it first" in again.stderr
    administration.run(["tokens", "list"], environment)
    assert capsys.readouterr().out.split()[:2] == ["ci", "train"]
    administration.run(["tokens", "revoke", "ci"], environment)
    administration.run(["tokens", "list"], environment)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tokens", "add", "x", "--scope", "root"], "no scope"),
        (["tokens", "add", "X Y", "--scope", "train"], "can't name a token"),
        (["tokens", "add", "x", "--scope", "train", "--expires-in", "soon"], "no time"),
        (["tokens", "revoke", "x"], "no token named"),
        (["audit"], "no catalog"),
    ],
)
def test_what_can_not_be_done_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    environment = {"CULTIVAR_TOKENS_FILE": str(tmp_path / "tokens.json"), "CULTIVAR_DATA_DIR": str(tmp_path)}
    with pytest.raises(ValueError, match=said):
        administration.run(arguments, environment)

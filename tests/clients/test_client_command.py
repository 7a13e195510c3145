"""The `cultivar` command: what it prints, and its exit codes."""

import csv
import io
import json

import pytest
import typer
from fake_cultivar import REPORT, VERSION, FakeCultivar, epoch, serving
from rich.console import Console
from typer.testing import CliRunner

from cultivar.v1 import dataset_pb2, event_pb2, state_pb2, training_pb2, training_spec_pb2
from cultivar_client.cli import app, job_view, session
from cultivar_client.cli.follow import JobView

TRAIN = ("train", "--dataset", "flowers", "--architecture", "resnet18", "--mode", "head")


@pytest.fixture
def fake():
    with serving(FakeCultivar()) as fake:
        yield fake


@pytest.fixture
def cultivar(fake):
    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--address", fake.address])

    return run


def test_a_reproduction_is_compared_and_fails_where_it_differs(fake, cultivar):
    onnx = {"what": "model.onnx", "expected": "ab" * 32, "found": "ab" * 32, "same": True}
    loss = {"what": "val.loss", "expected": "0.5", "found": "0.25", "same": False}
    fake.job.reproduction.CopyFrom(event_pb2.Reproduction(identical=True, comparisons=[onnx]))
    same = cultivar("reproduce", VERSION)
    fake.job.reproduction.CopyFrom(
        event_pb2.Reproduction(comparisons=[onnx, loss], environment=["torch: 2.11.0 then, 2.12.1 now"])
    )
    fake.events = [event_pb2.JobEvent(number=1, reproduced=fake.job.reproduction)]
    other = cultivar("reproduce", VERSION)

    assert same.exit_code == 0
    assert same.stdout.splitlines()[-1] == f"{VERSION} was reproduced bit for bit (1 compared)"
    assert other.exit_code == 1
    assert other.stdout.splitlines()[1:] == [
        "same    model.onnx  abababababababab",
        "DIFFERS val.loss  0.5 then, 0.25 now",
        "environment  torch: 2.11.0 then, 2.12.1 now",
    ]
    assert other.stderr == f"error: {VERSION} was not reproduced: val.loss differ\n"


def test_models_are_combined_and_compared_with_their_members(fake, cultivar):
    members = ["flowers/versions/1", "trainingJobs/2"]
    compared = event_pb2.MembersCompared(mean_accuracy=0.8, combined_accuracy=0.875, disagreement=0.25)
    for name, kept in (("models/flowers/versions/1", True), ("models/flowers/versions/2", False)):
        figures = {"split": "val", "image_count": 200, "loss": 0.5, "accuracy": 0.8, "top5_accuracy": 1}
        compared.members.add(model_version=name, validation=figures, kept=kept)
    fake.job.members_compared.CopyFrom(compared)
    fake.events = [event_pb2.JobEvent(number=1, members_compared=compared)]

    result = cultivar("combine", *members, "--model", "soups", "--method", "soup", "--publish", "never")
    shown = cultivar("jobs", "show", "trainingJobs/1").stdout
    wrong = cultivar("combine", *members, "--model", "soups", "--method", "stew")

    asked = fake.requests[0]
    assert (asked.model, asked.method, asked.publish, list(asked.members)) == ("soups", 2, 3, members)
    assert asked.request_id
    lines = [
        "models/flowers/versions/1  val  loss 0.5000  acc 0.8000  top5 1.0000  (200 images)",
        "models/flowers/versions/2  val  loss 0.5000  acc 0.8000  top5 1.0000  (200 images)  left out",
        "mean of members  acc 0.8000  disagreement 0.2500",
        "combined  acc 0.8750",
    ]
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == lines
    assert all(line in shown for line in lines)
    assert "soup of flowers/versions/1, trainingJobs/2" in shown
    assert "epochs" not in shown  # it trains nothing
    assert job_view.row(fake.job)[3:7] == ("soup", "", "", "0.8750")
    assert wrong.exit_code == 2


def test_an_ensemble_is_asked_for_in_two_options(fake, cultivar):
    cultivar(*TRAIN, "--ensemble", 5, "--bootstrap", "--detach")

    assert fake.requests[0].spec.ensemble == training_spec_pb2.EnsembleSpec(members=5, sampling=2)


def test_training_prints_a_line_per_epoch_and_ends_with_the_published_version(fake, cultivar):
    prepared = event_pb2.DataPrepared(sample_shape=[3, 224, 224], splits=[{"split": "train", "image_count": 1200}])
    figures = event_pb2.SplitMetrics(
        split="val", image_count=200, loss=0.038, accuracy=0.995, top5_accuracy=1, macro_f1=0.9949
    )
    published = event_pb2.VersionPublished(model_version=VERSION, live=True, reason="first version")
    fake.job.warnings.append("few images")
    fake.events = [
        event_pb2.JobEvent(number=1, data_prepared=prepared),
        event_pb2.JobEvent(number=2, warning="few images"),
        epoch(3, best=True),
        event_pb2.JobEvent(number=4, split_evaluated=figures),
        event_pb2.JobEvent(number=5, version_published=published),
    ]

    result = cultivar(*TRAIN)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "job trainingJobs/1",
        "warning: few images",
        "data  train 1 200 images  sample 3 x 224 x 224  (0 s)",
        "epoch  3/20  lr 0.00098  loss 0.4312  acc 0.8711  val_loss 0.3920  val_acc 0.8802  val_top5 0.9710"
        "  612 images/s  eta 12 s  *",
        "val  loss 0.0380  acc 0.9950  top5 1.0000  macro_f1 0.9949  (200 images)",
        f"published {VERSION} (live: first version)",
    ]


def test_candidates_early_stops_and_new_plans_are_told(fake, cultivar):
    first = event_pb2.CandidateFinished(
        candidate=1, candidates=2, learning_rate=0.1, weight_decay=0.01, best_epoch=4, value=0.75, best=True
    )
    second = event_pb2.CandidateFinished(candidate=2, candidates=2, learning_rate=9, weight_decay=0.01)
    changed = event_pb2.PlanChanged(
        reason="out of memory", phase=state_pb2.TRAINING_PHASE_TRAINING, step=7, plan_json='{"micro_batch": 8}'
    )
    measured = event_pb2.NormalisationMeasured(mean=[0.5, 0.25], std=[0.2, 0.1], image_count=3000)
    fake.job.candidates.extend([first, second])
    fake.events = [
        event_pb2.JobEvent(number=1, normalisation_measured=measured),
        event_pb2.JobEvent(number=2, plan_changed=changed),
        event_pb2.JobEvent(number=3, early_stopped=event_pb2.EarlyStopped(epoch=9, best_epoch=4)),
        event_pb2.JobEvent(number=4, candidate_finished=first),
        event_pb2.JobEvent(number=5, candidate_finished=second),
    ]
    lines = [
        "candidate 1/2  lr 0.1  weight decay 0.01  best epoch 4  0.7500  *",
        "candidate 2/2  lr 9  weight decay 0.01  diverged",
    ]

    assert cultivar(*TRAIN).stdout.splitlines()[1:] == [
        "normalisation  mean 0.5000, 0.2500  std 0.2000, 0.1000  (3 000 images)",
        'another plan (out of memory) from training, update 7: {"micro_batch": 8}',
        "stopped early after epoch 9: the best was epoch 4",
        *lines,
    ]
    shown = cultivar("jobs", "show", "trainingJobs/1").stdout
    assert all(line in shown for line in lines)


def test_a_batch_may_be_all_training_images(fake, cultivar):
    cultivar(*TRAIN, "--batch-size", "full", "--detach")

    assert fake.requests[0].spec.HasField("batch_size")
    assert fake.requests[0].spec.batch_size == 0


def test_a_network_is_described_with_its_blocks_and_memory(fake, cultivar):
    result = cultivar(
        *("describe", "resnet18", "--mode", "last-blocks", "--last-blocks", 2, "--trainable", "layer4.*"),
        *("--trainable", "*.bias", "--set", "network.head_hidden_sizes=64,32", "--batch-size", 16, "--channels", 1),
    )

    request = fake.requests[0]
    assert (request.last_blocks, request.batch_size, request.channels) == (2, 16, 1)
    assert list(request.trainable) == ["layer4.*", "*.bias"]
    assert list(request.network.head_hidden_sizes) == [64, 32]
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["layer1", "1", "000", "--last-blocks", "1", "1", "200"] in lines
    assert ["trainable", "200"] in lines
    assert ["training", "2.5", "MB"] in lines


def test_a_layer_is_calculated(fake, cultivar):
    result = cultivar("calculate", "conv", "--output", 16, "--kernel", 9, "--stride", "3", "--no-bias")

    request = fake.requests[0]
    assert (list(request.output_size), list(request.kernel), list(request.stride)) == ([16], [9], [3])
    assert (request.HasField("bias"), request.bias, request.HasField("out_channels")) == (True, False, False)
    assert "52, 53, 54" in result.stdout


def test_published_weights_are_evaluated_with_their_progress(fake, cultivar):
    arguments = ("evaluate", "--architecture", "resnet18", "--weights", "IMAGENET1K_V1", "--dataset", "flowers")
    result = cultivar(*arguments, "--split", "val")

    assert fake.requests[0].split == dataset_pb2.SPLIT_VAL
    assert result.stdout.splitlines()[0] == "evaluating"
    assert {"top-1         0.7500", "images        1 200", "measured      now"} <= set(result.stdout.splitlines())


def test_a_model_s_evaluation_is_told_as_json_alone(cultivar):
    result = cultivar("evaluate", "--model", "flowers", "--dataset", "flowers", "--json")

    assert json.loads(result.stdout)["stored"] is True


def test_an_evaluation_tells_how_many_models_saw_its_images(cultivar):
    result = cultivar("evaluate", "--model", "flowers", "--dataset", "flowers")

    assert "3 measured on these images so far" in result.stdout


def test_a_version_tells_what_was_measured_of_it_and_how_to_fetch_its_report(fake, cultivar, tmp_path):
    fake.evaluations = [
        {"dataset": "datasets/f/versions/2", "metrics": {"split": "test", "accuracy": 0.875}, "models_measured": 4}
    ]
    fake.files["report.html"] = b"<html>"
    fake.files["evaluations/f-2-test/report.html"] = b"<html>later"

    shown = cultivar("models", "show", "flowers/versions/3").stdout
    told = cultivar("models", "report", "flowers", "-o", tmp_path / "r.html")
    cultivar("models", "report", "flowers", "-o", tmp_path / "later.html", "--evaluation", "f-2-test")

    assert "datasets/f/versions/2 test  acc 0.8750  models measured on these images: 4" in shown
    assert "cultivar models report flowers/versions/3" in shown
    assert told.stdout == f"{VERSION}: its report is in {tmp_path / 'r.html'}\n"
    assert (tmp_path / "r.html").read_bytes() == b"<html>"
    assert (tmp_path / "later.html").read_bytes() == b"<html>later"


def test_augmented_images_are_written_to_a_file(fake, cultivar, tmp_path):
    result = cultivar(
        *("augment", "--dataset", "flowers", "--preview", tmp_path / "a.png", "--images", 3),
        *("--set", "augmentation.rotation=15"),
    )

    assert result.exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == b"PNG"
    assert (fake.requests[0].images, fake.requests[0].spec.augmentation.rotation) == (3, 15)


def test_an_inspection_s_picture_is_written_to_a_file_and_told(fake, cultivar, tmp_path):
    (tmp_path / "me.jpg").write_bytes(b"jpeg")
    arguments = ("inspect", "flowers", "feature-maps", "-o", tmp_path / "a.png", "--image", tmp_path / "me.jpg")

    result = cultivar(*arguments, "--layer", "conv1", "--count", 4)
    as_json = json.loads(cultivar(*arguments, "--json").stdout)

    assert (tmp_path / "a.png").read_bytes() == b"PNG"
    sent = fake.requests[0]
    assert (sent.view, sent.layer, sent.count, sent.image) == (1, "conv1", 4, b"jpeg")
    assert not sent.HasField("channel")
    assert {"reading", f"model     {VERSION}", "channels  2 (0.5)"} <= set(result.stdout.splitlines())
    assert as_json["inspection"]["layers"] == ["conv1"]


def test_a_layer_that_does_not_exist_writes_no_file(cultivar, tmp_path):
    result = cultivar("inspect", "flowers", "filters", "-o", tmp_path / "a.png", "--layer", "conv9")

    assert result.exit_code == 1
    assert "'conv9' is no layer: use conv1" in result.stderr
    assert not (tmp_path / "a.png").exists()


def test_a_terminal_of_80_columns_gets_one_bar_with_loss_accuracy_and_eta():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)

    with JobView(console) as view:
        view.show(epoch(3))

    last_line = screen.getvalue().rpartition("\r")[2]
    assert "epoch 3/20  loss 0.4312  val_acc 0.8802  eta 12 s ━" in last_line


def test_an_interrupted_command_exits_with_130(fake):
    async def work(client):
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as caught:
        session.run(fake.address, None, work)

    assert caught.value.exit_code == 130


def test_options_override_the_recipe_and_settings_override_options(fake, cultivar, tmp_path):
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"dataset": "flowers", "architecture": "lenet5", "mode": "scratch", "epochs": 1}')

    result = cultivar("train", "-f", recipe, "--epochs", 2, "--set", "batch_size=8", "--detach")

    spec = fake.requests[0].spec
    assert (result.exit_code, result.stdout) == (0, "trainingJobs/1\n")
    assert (spec.architecture, spec.epochs, spec.batch_size) == ("lenet5", 2, 8)


def test_training_with_json_prints_the_final_job_alone(fake, cultivar):
    fake.events = [epoch(1)]

    result = cultivar(*TRAIN, "--json")

    assert json.loads(result.stdout)["state"] == "TRAINING_JOB_STATE_SUCCEEDED"


def test_a_failed_job_exits_with_1_and_says_why(fake, cultivar):
    fake.job.state = state_pb2.TRAINING_JOB_STATE_FAILED
    fake.job.error.message = "loss is not finite"

    result = cultivar(*TRAIN)

    assert result.exit_code == 1
    assert result.stderr == "error: trainingJobs/1 failed: loss is not finite\n"


def test_a_refused_spec_prints_each_violation(cultivar):
    result = cultivar("train", "--dataset", "flowers", "--architecture", "resnet19", "--mode", "head")

    assert result.exit_code == 1
    assert result.stderr == (
        "error: the spec has 1 mistake\n  spec.architecture: resnet19 is unknown: choose resnet18\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--mode", "head"), "--dataset, --architecture missing"),
        ((*TRAIN, "--mode", "heads"), "'heads' is none of scratch, full, head, last-blocks, gradual"),
        ((*TRAIN, "--set", "learning_rate=1"), "did you mean optimizer.learning_rate"),
        ((*TRAIN, "--epochs", "many"), "'--epochs'"),
        ((*TRAIN, "-f", "missing.yaml"), "missing.yaml can't be read"),
        (("jobs", "list", "--state", "done"), "'done' is none of queued, running"),
        (("describe", "resnet18", "--stem", "big"), "'big' is none of imagenet, cifar"),
        (("evaluate", "--dataset", "d"), "exactly one of --model and --architecture"),
        (("evaluate", "--dataset", "d", "--architecture", "a"), "--architecture and --weights go together"),
        (("augment", "--dataset", "d", "--preview", "no/such/folder/a.png"), "can't be written"),
        (("inspect", "flowers", "faces", "-o", "a.png"), "'faces' is none of feature-maps, filters, exciting-images"),
        (("inspect", "flowers", "filters", "-o", "no/such/folder/a.png"), "can't be written"),
        (("inspect", "flowers", "feature-maps", "-o", "a.png", "--image", "missing.jpg"), "missing.jpg is no file"),
        (("calculate", "conv", "--kernel", "5x5"), "'5x5': write whole numbers"),
        (("describe", "resnet18", "--set", "epochs=3"), "epochs is no choice about the network"),
        (("datasets", "create", "flowers"), "exactly one of --builtin and --folder"),
        (("datasets", "create", "f", "--builtin", "cifar10", "--class-names", "x"), "--class-names needs --folder"),
        (("predict", "missing.jpg"), "missing.jpg does not exist"),
        (("models", "download", "flowers"), "-o"),
        (("models", "alias", "flowers", "canary"), "'flowers' names no version: use NAME/versions/N"),
    ],
)
def test_a_local_mistake_exits_with_2_and_names_the_remedy(cultivar, arguments, message):
    result = cultivar(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_no_service_exits_with_1_and_says_how_to_start_one():
    result = CliRunner().invoke(app, ["jobs", "delete", "1", "--address", "127.0.0.1:1"])

    assert result.exit_code == 1
    assert "error: no service answers at 127.0.0.1:1" in result.stderr
    assert "`cultivar-service`" in result.stderr


def test_the_address_and_token_may_come_from_the_environment(fake):
    environment = {"CULTIVAR_ADDRESS": fake.address, "CULTIVAR_TOKEN": "secret"}

    result = CliRunner().invoke(app, ["jobs", "show", "trainingJobs/1"], env=environment)

    assert result.exit_code == 0
    assert fake.metadata["authorization"] == "Bearer secret"


@pytest.mark.parametrize(("verb", "state"), [("pause", "pausing"), ("resume", "queued"), ("export", "queued")])
def test_a_job_is_asked_for_something_and_its_state_is_told(fake, cultivar, verb, state):
    result = cultivar("jobs", verb, "trainingJobs/1")

    assert (result.exit_code, result.stdout) == (0, f"trainingJobs/1 {state}\n")
    assert fake.requests[0].name == "trainingJobs/1"


def test_my_own_jobs_are_asked_for(fake, cultivar):
    cultivar("jobs", "list", "--mine")

    assert fake.requests[0].mine


def test_a_waiting_job_tells_what_it_waits_for(fake, cultivar):
    fake.job.MergeFrom(
        training_pb2.TrainingJob(
            state=state_pb2.TRAINING_JOB_STATE_QUEUED,
            attempt=2,
            attempts_without_progress=1,
            queue_position=3,
            waiting_reason="GPU 0: 5 of 5 processes",
            run_seconds=75,
            placement=event_pb2.Placed(device="cuda:0", predicted_bytes=3_200_000_000, free_bytes=20_100_000_000),
        )
    )
    fake.job.expected_start_time.FromSeconds(0x60000000)

    lines = [line.split(maxsplit=1) for line in cultivar("jobs", "show", "trainingJobs/1").stdout.splitlines()]

    assert ["attempt", "2, the last 1 without a newer checkpoint"] in lines
    assert ["ran", "1 min 15 s"] in lines
    assert ["position", "3"] in lines
    assert ["expected", "start  2021-01-14 08:25:36"] in lines
    assert ["waits", "for       GPU 0: 5 of 5 processes"] in lines
    assert ["placed", "on       cuda:0 (3.2 GB expected, 20.1 GB were free)"] in lines


def test_a_failed_attempt_and_a_resume_are_told(fake, cultivar):
    cause = event_pb2.Failure(reason="TRAINER_LOST", message="the trainer was killed")
    failed = event_pb2.AttemptFailed(cause=cause, attempts_without_progress=1, retry_seconds=10)
    resumed = event_pb2.TrainingResumed(epoch=3, step=120)
    refused = event_pb2.PlacementRefused(reason="GPU 0: 5 of 5 processes")
    fake.events = [
        event_pb2.JobEvent(number=1, attempt=1, attempt_failed=failed),
        event_pb2.JobEvent(number=2, attempt=1, placement_refused=refused),
        event_pb2.JobEvent(number=3, attempt=2, training_resumed=resumed),
    ]

    assert cultivar(*TRAIN).stdout.splitlines()[1:] == [
        "attempt 1 failed: the trainer was killed; another follows in 10 s",
        "waits for GPU 0: 5 of 5 processes",
        "goes on from epoch 3, update 120",
    ]


def test_jobs_list_prints_json_alone(cultivar):
    result = cultivar("jobs", "list", "--json")

    assert [job["name"] for job in json.loads(result.stdout)["trainingJobs"]][-1] == "trainingJobs/5"


def test_watching_with_json_prints_one_event_a_line(fake, cultivar):
    fake.events = [epoch(1), epoch(2)]

    result = cultivar("jobs", "watch", "trainingJobs/1", "--after", 1, "--json")

    assert [json.loads(line)["number"] for line in result.stdout.splitlines()] == ["2"]


def test_watching_an_unknown_job_exits_with_1(cultivar):
    result = cultivar("jobs", "watch", "trainingJobs/9")

    assert (result.exit_code, result.stderr) == (1, "error: no job trainingJobs/9\n")


def test_a_ready_data_set_is_shown_with_its_counts(fake, cultivar):
    ready = dataset_pb2.Dataset(
        name="datasets/flowers/versions/1",
        state=dataset_pb2.DATASET_STATE_READY,
        classes=[{"id": "rose", "display_name": "Rose [red]"}],
        splits=[{"split": dataset_pb2.SPLIT_TRAIN, "image_count": 70, "class_counts": [70]}],
    )
    fake.imports = [ready]

    result = cultivar("datasets", "create", "flowers", "--builtin", "procedural-flowers")

    assert result.exit_code == 0
    assert "datasets/flowers/versions/1" in result.stdout
    assert ["rose", "Rose", "[red]", "70"] in [line.split() for line in result.stdout.splitlines()]


def test_a_version_is_shown_with_its_report(fake, cultivar):
    fake.imports = [dataset_pb2.Dataset(name="datasets/flowers/versions/1", report=REPORT)]

    result = cultivar("datasets", "show", "flowers")

    assert result.exit_code == 0
    assert "near copies   0 within a split, 2 across splits" in result.stdout
    assert "train/rose/1.jpg  val/rose/[2].jpg" in result.stdout


def test_a_folder_is_checked_as_it_would_be_imported(fake, cultivar):
    result = cultivar("datasets", "check", "roses", "--folds", 3, "--fold", 2, "--drop-leaks", "near")

    assert result.exit_code == 0
    source = fake.requests[0].source
    assert (source.folder, source.folds, source.fold) == ("roses", 3, 2)
    assert source.drop_leaks == dataset_pb2.LEAK_POLICY_NEAR
    assert not source.HasField("held_out_fraction")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["checking", "splits          3-fold, fold 2, stratified, seed 0"]
    assert "warning         2 look alike" in lines
    assert "train   1 200  0.5000 0.2500 0.1250  0.2500 0.2500 0.2500  64 to 128, median 96" in result.stdout
    assert ["rose/3.jpg", "the", "image", "has", "0", "bytes"] in [line.split() for line in lines]


def test_a_folder_with_lists_is_checked_too(fake, cultivar):
    lists = ("--train-list", "train.csv", "--val-list", "held.csv", "--test-list", "held.csv", "--split-shared-list")
    result = cultivar("datasets", "check", "roses", *lists, "--replace-prefix", "/home/me=.")

    assert result.exit_code == 0
    source = fake.requests[0].source
    assert [(one.path, one.split) for one in source.label_lists] == [("train.csv", 1), ("held.csv", 2), ("held.csv", 3)]
    assert source.split_shared_list
    assert (source.replace_prefixes[0].old_prefix, source.replace_prefixes[0].new_prefix) == ("/home/me", ".")


def test_a_check_as_json_is_the_report_alone(fake, cultivar):
    result = cultivar("datasets", "check", "roses", "--json")

    assert json.loads(result.stdout)["splitProtocol"] == REPORT.split_protocol


def test_a_failed_import_exits_with_1(fake, cultivar):
    failed = dataset_pb2.Dataset(state=dataset_pb2.DATASET_STATE_FAILED, error={"message": "no images in x"})
    fake.imports = [failed]

    result = cultivar("datasets", "create", "flowers", "--folder", "x")

    assert (result.exit_code, result.stderr) == (1, "error: no images in x\n")


def test_a_model_is_downloaded_into_a_folder(cultivar, tmp_path):
    result = cultivar("models", "download", "flowers", "-o", tmp_path)

    assert result.exit_code == 0
    assert (tmp_path / "golden" / "0.jpg").read_bytes() == b"jpeg"


def test_live_is_promoted_and_rolled_back_with_a_reason_and_what_is_expected(fake, cultivar):
    told = f"models/flowers: {VERSION} is live (a rollback goes to models/flowers/versions/2)\n"

    promoted = cultivar("models", "promote", "flowers/versions/3", "--reason", "it is better")
    back = cultivar("models", "rollback", "flowers", "--expect", VERSION)
    late = cultivar("models", "rollback", "flowers", "--expect", "flowers/versions/1")

    assert promoted.stdout == back.stdout == told
    assert (late.exit_code, late.stderr) == (1, f"error: {VERSION} is live by now\n")
    assert (fake.requests[0].name, fake.requests[0].reason) == ("flowers/versions/3", "it is better")
    assert not fake.requests[0].HasField("expected_live_version")
    assert (fake.requests[1].name, fake.requests[1].expected_live_version) == ("flowers", VERSION)


def test_an_alias_is_set_and_deleted(fake, cultivar):
    made = cultivar("models", "alias", "flowers/versions/3", "canary")
    deleted = cultivar("models", "unalias", "flowers", "canary")

    assert made.stdout == "flowers@canary: flowers/versions/3\n"
    assert deleted.stdout == "deleted flowers@canary\n"
    assert (fake.requests[0].name, fake.requests[0].model_version) == ("flowers", "flowers/versions/3")
    assert (fake.requests[1].name, fake.requests[1].alias) == ("flowers", "canary")


def test_a_model_is_shown_with_its_aliases_and_who_moved_live(cultivar):
    lines = [line.split() for line in cultivar("models", "show", "flowers").stdout.splitlines()]

    assert ["@canary", VERSION] in lines
    assert ["rollback", "models/flowers/versions/2"] in lines
    assert [VERSION, "ready", "live", "canary"] in [line[:4] for line in lines]
    assert [VERSION, "ada", "it", "is", "better"] in lines


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"fine")
    (tmp_path / "b.jpg").write_bytes(b"broken")
    return tmp_path


def test_predicting_prints_each_images_classes(cultivar, pictures):
    result = cultivar("predict", pictures / "a.jpg")

    assert (result.exit_code, result.stdout) == (0, f"{pictures / 'a.jpg'}  rose 0.7500\n")


def test_one_failed_image_exits_with_1_and_the_others_are_answered(cultivar, pictures):
    result = cultivar("predict", pictures, "--csv")

    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.exit_code == 1
    assert [(row["rank"], row["class_id"], row["error"]) for row in rows] == [("1", "n1", ""), ("", "", "no image")]


def test_predictions_as_json_name_the_version_and_each_path(cultivar, pictures):
    answer = json.loads(cultivar("predict", pictures, "--json").stdout)

    assert answer["modelVersion"] == VERSION
    assert answer["results"][0]["path"] == str(pictures / "a.jpg")
    assert answer["results"][0]["classification"]["classes"][0]["classId"] == "n1"
    assert answer["results"][1]["error"]["message"] == "no image"


def test_an_image_too_large_for_a_request_does_not_harm_the_others(cultivar, pictures, tmp_path):
    with open(tmp_path / "c.jpg", "wb") as file:
        file.truncate(65 * 1024 * 1024)

    result = cultivar("predict", pictures / "c.jpg", pictures / "a.jpg")

    assert result.exit_code == 1
    assert "rose 0.7500" in result.stdout
    assert "fit a request" in result.stderr


def test_predicting_needs_a_model_where_there_are_several(fake, cultivar, pictures):
    fake.models = ["flowers", "cars"]

    result = cultivar("predict", pictures)

    assert result.exit_code == 2
    assert "choose one of flowers, cars" in result.stderr


def test_predicting_without_any_model_exits_with_1(fake, cultivar, pictures):
    fake.models = []

    result = cultivar("predict", pictures)

    assert result.exit_code == 1
    assert "no model yet" in result.stderr


def test_a_folder_without_images_exits_with_1(cultivar, tmp_path):
    result = cultivar("predict", tmp_path)

    assert (result.exit_code, result.stderr) == (1, f"error: no images in {tmp_path}\n")

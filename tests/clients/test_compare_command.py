"""`cultivar compare` and `cultivar studies`: what is asked for, what is printed, and the exit codes."""

import io
import json
from pathlib import Path

import pytest
from fake_cultivar import serving
from fake_studies import STUDY, FakeStudies
from google.protobuf import json_format
from rich.console import Console
from typer.testing import CliRunner

from cultivar.v1 import study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_client.cli import app
from cultivar_client.cli.study_view import StudyView, print_comparison

COMPARE = (
    *("compare", "--data", "flowers", "--arch", "lenet5", "--mode", "scratch", "--set", "epochs=3"),
    *("--variant", "baseline", "--variant", "head: mode=head weights=trainingJobs/1 -epochs"),
    *("--seeds", "1,2", "--test", "each"),
)


@pytest.fixture
def fake():
    with serving(FakeStudies()) as fake:
        yield fake


@pytest.fixture
def cultivar(fake):
    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--address", fake.address])

    return run


def test_options_make_a_base_and_variants_that_hold_only_what_differs(fake, cultivar):
    result = cultivar(*COMPARE, "--title", "Which?", "--detach")

    assert (result.exit_code, result.stdout) == (0, f"{STUDY}\n")
    assert result.stderr == "warning: budgets differ\n"
    assert fake.requests[0].request_id
    assert fake.requests[0].spec == study_pb2.TrainingStudySpec(
        title="Which?",
        base={"dataset": "flowers", "architecture": "lenet5", "mode": pb.FINE_TUNING_MODE_SCRATCH, "epochs": 3},
        variants=[
            {"variant": "baseline"},
            {
                "variant": "head",
                "changes": {"mode": pb.FINE_TUNING_MODE_HEAD, "weights": "trainingJobs/1"},
                "cleared": ["epochs"],
            },
        ],
        seeds=[1, 2],
        test=study_pb2.STUDY_TEST_EACH,
    )


def test_a_study_file_in_yaml_or_as_a_report_tells_it_asks_for_the_same_and_options_go_over_it(
    fake, cultivar, tmp_path
):
    (tmp_path / "study.yaml").write_text(
        "title: Which?\nbase: {dataset: flowers, optimizer: {learning_rate: 1e-3}}\nseeds: [1, 2]\ntest: none\n"
        "variants:\n- variant: baseline\n- variant: no-rate\n  changes: {batch_size: 8}\n"
        "  cleared: [optimizer.learning_rate]\n"
    )
    cultivar("compare", "-f", tmp_path / "study.yaml", "--detach")
    (tmp_path / "study.json").write_text(json_format.MessageToJson(fake.requests[0].spec))
    cultivar("compare", "-f", tmp_path / "study.json", "--detach")
    more = ("--data", "trees", "--seeds", "5", "--variant", "big: batch_size=64")
    cultivar("compare", "-f", tmp_path / "study.yaml", "--detach", *more)

    first, second, third = (request.spec for request in fake.requests)
    assert first == second
    assert first.test == study_pb2.STUDY_TEST_NONE
    assert (first.variants[1].changes.batch_size, list(first.variants[1].cleared)) == (8, ["optimizer.learning_rate"])
    assert (third.base.dataset, list(third.seeds)) == ("trees", [5])
    assert [one.variant for one in third.variants] == ["baseline", "no-rate", "big"]


def test_a_study_is_followed_line_by_line_to_its_table_and_report_and_goes_on_after_a_break(fake, cultivar, tmp_path):
    fake.break_after = 3

    result = cultivar(*COMPARE, "--report", tmp_path / "which.html")

    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[:8] == [
        f"study {STUDY}  4 trials",
        "warning: budgets differ",
        "baseline  seed 2  failed  trainingJobs/baseline-2: loss is not finite",
        "head  seed 1  succeeded  trainingJobs/head-1  val_loss 0.3920  val_acc 0.8800  (12 s)",
        "all trials are over: choosing the winner, reading test data, reporting",
        "winner: head",
        "head  seed 1  test  loss 0.3920  acc 0.8800  top5 1.0000  (200 images)",
        "variant   trials        val acc       val loss        difference [95 %]       test acc",
    ]
    assert lines[8:10] == [
        "baseline     1/2          0.750       1.23e+04",
        "head *       2/2  0.912 ± 0.008  0.250 ± 0.012  -0.125 [-0.200, +0.050]  0.900 ± 0.010",
    ]
    assert "baseline      3 min 20 s    1 200       19 200" in lines
    assert lines[-4:] == [
        "means over seeds ± standard deviation; difference: to the baseline, in val loss",
        "head is better than the seeds' spread.",
        "winner (*)  head  models/flowers/versions/3",
        f"report  {tmp_path}/which.html",
    ]
    assert (tmp_path / "which.html").read_bytes() == b"<html>"
    assert [path.name for path in tmp_path.iterdir()] == ["which.html"]


def test_the_comparison_fits_100_columns(fake, capsys, monkeypatch):
    monkeypatch.setattr("cultivar_client.cli.output.PIPE_WIDTH", 100)
    fake.study.rows[1].variant = "a-variant-whose-name-has-40-characters-0"

    print_comparison(fake.study)

    printed = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 100
    assert "-0.125 [-0.200, +0.050]" in printed


def test_a_terminal_gets_a_bar_of_the_trials_that_are_over(fake):
    screen = io.StringIO()
    view = StudyView(Console(file=screen, force_terminal=True, width=80, color_system=None), fake.study)

    with view.bar:
        for event in fake.study_events:
            view.show(event)

    assert "2/4 trials over ━" in screen.getvalue().rpartition("\r")[2]


def test_validate_only_tells_what_each_variant_changes(fake, cultivar):
    result = cultivar(*COMPARE, "--validate-only")

    assert fake.requests[0].validate_only
    assert result.stdout.splitlines() == [
        "baseline  (as the base)",
        "head",
        "  mode: SCRATCH -> HEAD",
        "  Only the head learns. The rest stays.",
    ]


def test_with_json_the_finished_study_alone_is_printed(cultivar):
    result = cultivar(*COMPARE, "--json")

    assert json.loads(result.stdout)["winner"] == "head"


@pytest.mark.parametrize("command", [COMPARE, ("studies", "watch", STUDY)])
def test_a_study_that_failed_exits_with_1_and_says_why(fake, cultivar, command):
    fake.study.state = study_pb2.TRAINING_STUDY_STATE_FAILED
    fake.study.error.message = "fewer than two variants succeeded"

    result = cultivar(*command)

    assert result.exit_code == 1
    assert result.stderr == f"error: {STUDY} failed: fewer than two variants succeeded\n"


def test_a_report_that_is_not_there_is_said_and_none_is_left_half_written(fake, cultivar, tmp_path):
    del fake.files["report.md"]
    missing = cultivar("studies", "report", STUDY, "-o", tmp_path / "a.md")
    fake.wrong_digests = True
    damaged = cultivar("studies", "report", STUDY, "-o", tmp_path / "a.html")

    assert (missing.exit_code, damaged.exit_code) == (1, 1)
    assert f"{STUDY} has no report.md" in missing.stderr
    assert "download it again" in damaged.stderr
    assert list(Path(tmp_path).iterdir()) == []


def test_studies_are_listed_shown_cancelled_and_deleted(fake, cultivar):
    listed = cultivar("studies", "list", "--mine")
    shown = cultivar("studies", "show", STUDY)
    cancelled = cultivar("studies", "cancel", STUDY)
    deleted = cultivar("studies", "delete", STUDY)

    assert fake.requests[0].mine
    assert [line.split()[:5] for line in listed.stdout.splitlines()[1:]] == 2 * [
        [STUDY, "succeeded", "Head", "or", "all"]
    ]
    assert "winner (*)  head" in shown.stdout
    assert "trial        head  seed 2" in shown.stdout
    assert cancelled.stdout == f"{STUDY} cancelling\n"
    assert deleted.stdout == f"deleted {STUDY}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variant", "a", "--variant", "b: mode=head"), "--dataset missing"),
        (("--data", "d", "--variant", "a"), "1 of at least 2 variants"),
        (("--data", "d", "--variant", "a", "--variant", "B"), "'B' is no name of a variant"),
        (("--data", "d", "--variant", "a", "--variant", "mode=head"), "'mode=head' is no name of a variant"),
        (("--data", "d", "--variant", "a", "--variant", "b: epoch=3"), "variant b: epoch is no field"),
        (("--data", "d", "--variant", "a", "--variant", "b: mode='x"), "No closing quotation"),
        ((*COMPARE[1:], "--seeds", "1,x"), "seeds: 'x' is no whole number"),
        ((*COMPARE[1:], "--seeds", str(2**63)), "is no whole number of 64 bits"),
        ((*COMPARE[1:], "--test", "all"), "'all' is none of winner, each, none"),
        ((*COMPARE[1:], "--report", "a.pdf"), "end it with .html or .md"),
        ((*COMPARE[1:], "--report", "no/such/a.md"), "can't be written"),
        ((*COMPARE[1:], "--report", "a.md", "--detach"), "there is no report yet"),
        (("-f", "missing.yaml"), "missing.yaml can't be read"),
    ],
)
def test_a_local_mistake_in_a_comparison_exits_with_2_and_names_the_remedy(fake, cultivar, arguments, message):
    result = cultivar("compare", *arguments)

    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert fake.requests == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants: 3", "variants: 3 is no list"),
        ("variants: [3]", "variants[0]: 3 is no mapping"),
        ("variants: [{variant: a, mode: head}]", "variants[0].mode is no field: choose of variant, changes, cleared"),
        ("variants: [{variant: a, changes: {epoch: 1}}]", "variants[0].changes: epoch is no field"),
        ("variants: [{variant: a, cleared: [[1]]}]", "variants[0].cleared: [1] is no text"),
        ("base: x", "base: 'x' is no mapping"),
        ("seed: 3", "seed is no field: choose of title, base, variants, seeds, test"),
        ("seeds: [true]", "seeds: True is no whole number"),
        ("test: 7", "test: '7' is none of winner"),
        ("- 1", "is no mapping of field names"),
        ("title: [", "is neither JSON nor YAML"),
    ],
)
def test_a_mistake_in_a_study_file_is_told_with_its_path(cultivar, tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)

    result = cultivar("compare", "-f", tmp_path / "study.yaml")

    assert result.exit_code == 2, result.output
    assert message in result.stderr

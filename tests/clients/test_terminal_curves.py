"""Curves in the terminal: what is drawn, when, and what is saved."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from fake_cultivar import FakeCultivar, serving
from typer.testing import CliRunner

from cultivar.v1 import event_pb2
from cultivar_client.cli import app
from cultivar_client.cli.curves import draw


def epochs(count, candidate=0):
    return [
        event_pb2.EpochFinished(
            epoch=number,
            epochs=count,
            train_loss=2 / number,
            train_accuracy=1 - 1 / (number + 1),
            val_loss=1 + abs(number - 3) / 10,
            val_accuracy=0.7 - 0.5 / number,
            candidate=candidate,
        )
        for number in range(1, count + 1)
    ]


@pytest.fixture
def fake():
    with serving(FakeCultivar()) as fake:
        told = [*epochs(4, candidate=1), *epochs(6, candidate=2)]
        fake.events = [event_pb2.JobEvent(number=number, epoch_finished=one) for number, one in enumerate(told, 1)]
        fake.job.last_event = len(told)
        fake.job.latest_epoch.CopyFrom(told[-1])
        fake.job.best_epoch.CopyFrom(told[-2])
        fake.job.fit.verdict = event_pb2.FIT_VERDICT_OVERFITTING
        fake.job.fit.reason = "a gap of 0.290 +- 0.045"
        fake.job.fit.remedy = "more training images"
        fake.job.fit.turning_epoch = 3
        yield fake


@pytest.fixture
def cultivar(fake):
    def run(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--address", fake.address])

    return run


@pytest.mark.parametrize("count", [1, 2, 12, 400])
@pytest.mark.parametrize("columns", [60, 80, 120, 300])
def test_any_number_of_epochs_fits_any_width(count, columns):
    picture = draw(epochs(count), selected=count, turning=3, columns=columns)

    assert max(map(len, picture.splitlines()[:-1])) <= columns
    assert all(text in picture for text in ("loss (nats)", "top-1 accuracy (share of images)", "epoch", "o", "⠒"))
    assert f"best epoch {count}" in picture
    assert "\x1b" not in picture


def test_colours_mark_the_curves_and_nothing_else():
    plain, coloured = (draw(epochs(9), selected=5, coloured=one) for one in (False, True))

    assert "\x1b[36m" in coloured
    assert "\x1b[33mo\x1b[0m" in coloured
    for code in ("\x1b[36m", "\x1b[33m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_figures_that_are_no_numbers_are_left_out():
    broken = epochs(3)
    broken[1].val_loss = float("nan")

    assert "loss (nats)" in draw(broken)
    assert draw([]) == draw([broken[1]]) == "no epochs yet"


def test_a_job_shows_its_verdict_and_on_request_the_curves_of_its_best_candidate(cultivar):
    silent, shown = cultivar("jobs", "show", "trainingJobs/1"), cultivar("jobs", "show", "trainingJobs/1", "--curves")

    assert silent.exit_code == shown.exit_code == 0
    assert "overfitting: a gap of 0.290 +- 0.045" in silent.stdout
    assert "more training images" in silent.stdout
    assert "loss (nats)" not in silent.stdout
    assert "loss (nats)" in shown.stdout
    assert "best epoch 5   ┊ validation loss turns up after epoch 3" in shown.stdout
    assert shown.stdout.count("6") >= 2  # the sixth epoch is the second candidate's


def test_a_job_that_runs_shows_what_there_is_and_does_not_wait_for_more(fake, cultivar):
    fake.job.last_event = 8
    fake.silent_after = 9  # from here on there are heartbeats only

    assert "best epoch 5" in cultivar("jobs", "curves", "trainingJobs/1").stdout


def test_watching_tells_the_verdict(fake, cultivar):
    fake.events = [event_pb2.JobEvent(number=1, fit_assessed=fake.job.fit)]

    lines = cultivar("jobs", "watch", "trainingJobs/1").stdout.splitlines()

    assert lines[1:] == ["fit  overfitting: a gap of 0.290 +- 0.045", "try  more training images"]


def test_curves_are_saved_as_the_trainer_drew_them(fake, cultivar, tmp_path):
    fake.files = {"curves.svg": b"<svg/>", "curves.json": b'{"selected_epoch": 5}'}

    saved = cultivar("jobs", "curves", "trainingJobs/1", "-o", tmp_path / "new/mine.svg")
    told = cultivar("jobs", "curves", "trainingJobs/1", "--json")

    assert (saved.exit_code, saved.stdout.strip()) == (0, str(tmp_path / "new/mine.svg"))
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["mine.svg"]
    assert (tmp_path / "new/mine.svg").read_bytes() == b"<svg/>"
    assert json.loads(told.stdout) == {"selected_epoch": 5}


def test_an_unknown_kind_of_file_is_refused(cultivar, tmp_path):
    result = cultivar("jobs", "curves", "trainingJobs/1", "-o", tmp_path / "mine.gif")

    assert result.exit_code == 2
    assert ".svg, .png, .json" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "environment", "drawn", "coloured"),
    [(120, {}, True, True), (120, {"NO_COLOR": "1"}, True, False), (50, {}, False, False)],
)
def test_a_terminal_gets_curves_where_there_is_room(fake, columns, environment, drawn, coloured):
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: one for name, one in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-c", "from cultivar_client.cli import main; main()", "jobs", "show", "trainingJobs/1"]
    process = subprocess.Popen(
        [*command, "--address", fake.address],
        stdout=follower,
        stdin=follower,
        env={**inherited, "TERM": "xterm", "PYTHONUTF8": "1", **environment},
    )
    os.close(follower)
    screen = b""
    try:
        while chunk := os.read(leader, 1 << 16):
            screen += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(leader)

    assert process.wait(10) == 0
    assert (b"loss (nats)" in screen) == drawn
    assert (b"\x1b[36m" in screen) == coloured

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cultivar.v1 import event_pb2
from cultivar_contract import files
from cultivar_contract.run_directory import AlreadyRunning, EventWriter, Result, RunDirectory, read_events

HOLD = """
import sys, time
from pathlib import Path
from cultivar_contract.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def write(run: RunDirectory, warning: str) -> None:
    with EventWriter(run.events(1)) as writer:
        writer.write(event_pb2.JobEvent(warning=warning))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def test_the_holder_of_the_lock_is_seen_while_it_lives_and_no_longer(run: RunDirectory) -> None:
    assert run.holder() is None
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

        holder = run.holder()
        with pytest.raises(AlreadyRunning), run.locked(patience_s=0.2):
            pass
        os.kill(process.pid, signal.SIGKILL)

    assert holder is not None
    assert holder.pid == process.pid
    assert not holder.exists()
    assert run.holder() is None
    with run.locked():
        pass


def test_a_result_belongs_to_its_attempt(run: RunDirectory) -> None:
    run.write_request(1, {"a": 1})
    assert run.read_result(1) is None

    run.write_result(Result(attempt=1, outcome="FAILED", reason="BROKEN", message="it broke: mend it", value={}))

    assert run.read_result(1) == Result(
        attempt=1, outcome="FAILED", reason="BROKEN", message="it broke: mend it", value={}
    )
    assert run.read_result(2) is None
    run.write_request(2, {"a": 1})
    assert run.read_result(1) is None
    assert run.read_request() == (2, {"a": 1})


def test_a_result_of_a_newer_version_is_refused(run: RunDirectory) -> None:
    files.write_json(run.path / "result.json", {"schema_version": 99})

    with pytest.raises(ValueError, match="newer version"):
        run.read_result(1)


def test_events_are_read_from_where_the_last_reading_ended(run: RunDirectory) -> None:
    write(run, "one")
    first, offset = read_events(run.events(1), 0)
    write(run, "two")
    with run.events(1).open("ab") as file:
        file.write(b'{"warning": "thr')

    second, after = read_events(run.events(1), offset)
    nothing, still = read_events(run.events(1), after)

    assert [one.warning for one in first] == ["one"]
    assert [one.warning for one in second] == ["two"]
    assert nothing == []
    assert still == after


def test_half_a_line_of_a_killed_trainer_does_not_stop_the_reading(run: RunDirectory) -> None:
    write(run, "one")
    with run.events(1).open("ab") as file:
        file.write(b'{"warning": "tw\n')
    write(run, "three")

    assert [one.warning for one in read_events(run.events(1), 0)[0]] == ["one", "three"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    files.write_json(path, {"n": 1})
    files.write_json(path, {"n": 2})

    assert files.read_json(path) == {"n": 2}
    assert [one.name for one in tmp_path.iterdir()] == ["value.json"]
    assert time.time() - path.stat().st_mtime < 60


def test_an_event_that_a_full_disk_cuts_short_leaves_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with EventWriter(run.events(1)) as writer:
        writer.write(event_pb2.JobEvent(warning="first"))
        whole = run.events(1).read_bytes()
        try:
            # The kernel writes up to the limit, as it does up to the last free block of a disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, limits[1]))
            with pytest.raises(OSError, match="No space left") as caught:
                writer.write(event_pb2.JobEvent(warning="second"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert run.events(1).read_bytes() == whole
        writer.write(event_pb2.JobEvent(warning="third"))

    events, _ = read_events(run.events(1), 0)
    assert [one.warning for one in events] == ["first", "third"]
    assert files.is_disk_full(caught.value)


def test_the_reserve_becomes_the_results_room(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.take_reserve()
    assert run.reserve.stat().st_blocks * 512 >= 64 << 10

    run.write_result(Result(attempt=1, outcome="FAILED", reason="INSUFFICIENT_DISK", value={}))

    assert not run.reserve.exists()


def test_a_full_disk_is_told_from_other_errors() -> None:
    def raised(cause: Exception) -> Exception:
        error = ValueError("closing failed")
        error.__context__ = cause
        return error

    assert files.is_disk_full(raised(OSError(errno.EDQUOT, "Disk quota exceeded")))
    assert files.is_disk_full(OSError("1024 requested and 512 written"))
    assert not files.is_disk_full(raised(OSError(errno.EIO, "Input/output error")))
    assert not files.is_disk_full(OSError("its name is no UTF-8: rename it"))

"""Turns a run's lines into Markdown tables: `python -m benchmarks.serving.report FILE.jsonl`."""

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]
OURS = "Cultivar"


def read(path: Path) -> list[Line]:
    """Read a results file."""
    return [json.loads(one) for one in path.read_text().splitlines()]


def markdown(lines: Sequence[Line]) -> str:
    """Return the whole report."""
    windows: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line["kind"] == "window" and line["counts"]:
            windows[line["server"]][line["cell"]].append(line)
    parts = [_throughput(windows), _overhead(windows, [one for one in lines if one["kind"] == "in_process"])]
    return "\n\n".join(part for part in parts if part)


def _throughput(windows: dict[str, dict[str, list[Line]]]) -> str:
    cells = list(dict.fromkeys(cell for one in windows.values() for cell in one))
    rows = [
        [
            server,
            *(
                f"{_median(found.get(cell, []), lambda one: one['goodput']):.0f}" if cell in found else ""
                for cell in cells
            ),
        ]
        for server, found in windows.items()
    ]
    return _table(["right answers/s", *cells], rows)


def _overhead(windows: dict[str, dict[str, list[Line]]], loops: Sequence[Line]) -> str:
    if not loops:
        return ""
    decode = _median(loops, lambda one: one["decode"]["cpu_ms"])
    sessions = {
        batch: _median(loops, lambda one, batch=batch: one["session"][batch]["cpu_ms"]) for batch in loops[0]["session"]
    }
    best = min(sessions, key=lambda one: sessions[one])
    loop = _median(loops, lambda one: 1e3 / min(each["ms"] for each in one["both"].values()))
    lines = [
        f"In process on the server's core: decode {decode:.3f} ms, session "
        + ", ".join(f"{value:.3f} ({batch})" for batch, value in sessions.items())
        + f" ms per image (batch); both at the best batch {loop:.0f} images/s."
    ]
    rows = []
    for server, found in windows.items():
        if "c=32" in found:
            used = _median(found["c=32"], lambda one: one["server_ms_per_answer"])
            share = _median(found["c=32"], lambda one: one["goodput"]) / loop
            rows.append([server, f"{used:.3f}", f"{used - decode - sessions[best]:.3f}", f"{share:.3f}"])
    header = ["at c=32", "server CPU ms/request", "beyond decode and session", "share of the in-process loop"]
    return "\n\n".join([*lines, _table(header, rows)])


def _median(lines: Sequence[Line], value: Callable[[Line], float]) -> float:
    return statistics.median(value(one) for one in lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


if __name__ == "__main__":
    print(markdown(read(Path(sys.argv[1]))))

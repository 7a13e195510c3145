"""Turns a run's lines into Markdown tables: `python -m benchmarks.serving.report FILE.jsonl`."""

import json
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]
OURS = "Cultivar"
MOST = 32
"""Concurrency at which throughput, memory and overhead are told."""


@dataclass(slots=True)
class Results:
    """A run's lines by kind."""

    conditions: Line = field(default_factory=dict)
    windows: dict[tuple[str, str], list[Line]] = field(default_factory=dict)
    """By server and cell; those that were repeated are left out."""
    repeated: int = 0
    loops: list[Line] = field(default_factory=list)
    starts: dict[str, list[Line]] = field(default_factory=dict)
    sigterms: dict[str, list[Line]] = field(default_factory=dict)
    failures: list[Line] = field(default_factory=list)

    @property
    def servers(self) -> list[str]:
        """Names, ours first."""
        return list(dict.fromkeys([*(server for server, _ in self.windows), *self.starts]))

    def rates(self, server: str, cell: str) -> dict[int, float]:
        """Return right answers a second by round."""
        return {one["round"]: one["goodput"] for one in self.windows.get((server, cell), ())}

    def ratio(self, cell: str, others: Iterable[str]) -> tuple[float, str] | None:
        """Return the median over rounds of ours against the best other, and which that is; None: there is none."""
        rates = {one: seen for one in others if (seen := self.rates(one, cell))}
        ours = self.rates(OURS, cell)
        if not rates or not ours:
            return None
        best = max(rates, key=lambda one: statistics.median(rates[one].values()))
        found = [ours[one] / rates[best][one] for one in ours if rates[best].get(one)]
        return (_median(found), best) if found else None

    def loop(self, value: Callable[[Line], float]) -> float:
        """Return the median over rounds of a figure of the in-process loop."""
        return _median([value(one) for one in self.loops])

    def figure(self, server: str, cell: str, value: Callable[[Line], float | None]) -> float | None:
        """Return the median over rounds of a window's figure; None: there is none."""
        found = [one for line in self.windows.get((server, cell), ()) if (one := value(line)) is not None]
        return _median(found) if found else None


def read(path: Path) -> Results:
    """Read a results file."""
    results = Results()
    for line in map(json.loads, path.read_text().splitlines()):
        match line["kind"]:
            case "run":
                results.conditions = line
            case "window" if not line["counts"]:
                results.repeated += 1
            case "window":
                results.windows.setdefault((line["server"], line["cell"]), []).append(line)
            case "in_process":
                results.loops.append(line)
            case "start":
                results.starts.setdefault(line["server"], []).append(line)
            case "sigterm":
                results.sigterms.setdefault(line["server"], []).append(line)
            case "failed":
                results.failures.append(line)
    return results


def markdown(results: Results) -> str:
    """Return the whole report."""
    parts = (_conditions, _throughput, _latency, _costs, _ends, _overload, _bars)
    return "\n\n".join(text for part in parts if (text := part(results)))


def _conditions(results: Results) -> str:
    run = results.conditions
    windows = [one for lines in results.windows.values() for one in lines]
    busy = sum(not one["quiet"] for one in windows)
    versions = ", ".join(f"{name} {value}" for name, value in run.get("versions", {}).items())
    told = [
        f"Revision {run.get('revision')} on {run.get('processor')}, {run.get('cores')} cores; Python "
        f"{run.get('python')}, {versions}.",
        f"{len(windows)} windows of {_median([one['seconds'] for one in windows]) if windows else 0:.0f} s; "
        f"{results.repeated} were measured again because others used the host, {busy} counted although they did.",
        *(f"**{one['server']} failed**: {one['error']}." for one in results.failures),
    ]
    return "\n".join(told)


def _throughput(results: Results) -> str:
    cells = _cells(results, lambda one: "256" not in one)
    rows = [
        [server, *(_number(results.figure(server, cell, lambda one: one["goodput"]), 0) for cell in cells)]
        for server in results.servers
    ]
    return _table(["right answers/s, median", *cells], rows)


def _latency(results: Results) -> str:
    cells = _cells(results, lambda one: "256" not in one)
    rows = []
    for server in results.servers:
        row = [server]
        for cell in cells:
            p50, p99 = (
                results.figure(server, cell, lambda one, name=name: one["latency_ms"].get(name))  # type: ignore[misc]
                for name in ("p50", "p99")
            )
            row.append(f"{p50:.1f} / {p99:.1f}" if p50 and p99 else "")
        rows.append(row)
    return _table(["p50 / p99 ms", *cells], rows)


def _costs(results: Results) -> str:
    if not results.loops:
        return ""
    decode, sessions = _parts(results)
    best = min(sessions, key=lambda one: sessions[one])
    loop = _loop_rate(results)
    told = (
        f"In process, on the server's core, in the same rounds: decode {decode:.3f} ms of CPU per image, session "
        + ", ".join(f"{value:.3f} (batch {batch})" for batch, value in sessions.items())
        + f"; both together at the best batch {loop:.0f} images/s, p99/p50 of a batch {_loop_spread(results):.2f}."
    )
    rows = []
    for server in results.servers:
        used = results.figure(server, f"c={MOST}", lambda one: one["server_ms_per_answer"])
        rate = results.figure(server, f"c={MOST}", lambda one: one["goodput"])
        if used is None or rate is None:
            continue
        memory = results.figure(server, f"c={MOST}", lambda one: one["memory_mb"][-1] if one["memory_mb"] else None)
        spread = results.figure(server, f"c={MOST}", _spread)
        cells = [_number(used, 3), _number(used - decode - sessions[best], 3), _number(rate / loop, 3)]
        rows.append([server, *cells, _number(spread, 2), _number(memory, 0)])
    header = [
        f"at c={MOST}",
        "server CPU, ms per answer",
        "beyond decode and session",
        "share of the loop's images/s",
        "p99/p50",
        "PSS, MB",
    ]
    return f"{told}\n\n{_table(header, rows)}"


def _ends(results: Results) -> str:
    if not results.starts:
        return ""
    rows = []
    for server, lines in results.starts.items():
        ends = results.sigterms.get(server, [])
        outcomes: Counter[str] = Counter()
        for one in ends:
            outcomes.update(one["outcomes"])
        lost = ", ".join(f"{code} {count}" for code, count in outcomes.items() if code != "OK")
        left = max((one["processes_left"] for one in ends), default=0)
        seconds = _number(_median([one["ended_s"] for one in ends]), 1) if ends else ""
        total = f"{sum(one['lost'] for one in ends)} of {sum(one['in_flight'] for one in ends)}"
        rows.append([server, _number(_median([one["seconds"] for one in lines]), 2), total, lost, seconds, str(left)])
    header = ["exec to first right answer, s", "lost at SIGTERM", "not answered", "ended after s", "processes left"]
    return _table(["", *header], rows)


def _overload(results: Results) -> str:
    cells = [cell for cell in _cells(results, lambda one: "256" in one)]
    best = _best_rate(results)
    rows = []
    for cell in cells:
        for server in results.servers:
            lines = results.windows.get((server, cell))
            if not lines:
                continue
            errors: Counter[str] = Counter()
            for one in lines:
                errors.update(one["errors"])
            rate = _median([one["goodput"] for one in lines])
            rows.append(
                [
                    f"{server}, {cell}",
                    _number(rate, 0),
                    _number(rate / best if best else None, 2),
                    _number(results.figure(server, cell, lambda one: one["latency_ms"].get("p99")), 0),
                    ", ".join(f"{code} {count}" for code, count in errors.most_common()),
                    _number(_growth(results, cell), 1),
                ]
            )
    if not rows:
        return ""
    header = ["overload", "right answers/s", "of its best", "accepted p99 ms", "refused", "memory growth, MB"]
    return _table(header, rows)


def _bars(results: Results) -> str:
    """Return what was promised beside what was measured."""
    peers = [one for one in results.servers if one != OURS]
    shipped = [one for one in peers if one.endswith("as shipped")]
    alike = [one for one in peers if one.endswith("like for like")]
    rows: list[list[str]] = []

    def add(what: str, value: float | None, wanted: float, *, least: bool, beside: str = "") -> None:
        if value is None:
            return
        met = value >= wanted if least else value <= wanted
        rows.append(
            [what + beside, f"{'>=' if least else '<='} {wanted:g}", f"{value:.3g}", "yes" if met else "**no**"]
        )

    for what, cell, others, wanted in (
        ("as shipped, c=32", "c=32", shipped, 1.3),
        ("like for like, c=32", "c=32", alike, 1.15),
        ("like for like, c=1", "c=1", alike, 1.0),
        ("like for like, c=1 after a burst", "c=1 after burst", alike, 1.0),
        *((f"uint8, c={one}", f"uint8 c={one}", ["KServe, like for like"], 1.2) for one in (1, 8, 32)),
    ):
        if (found := results.ratio(cell, others)) is not None:
            add(f"{what}: times ", found[0], wanted, least=True, beside=found[1])
    if results.loops:
        decode, sessions = _parts(results)
        used = results.figure(OURS, f"c={MOST}", lambda one: one["server_ms_per_answer"])
        rate = results.figure(OURS, f"c={MOST}", lambda one: one["goodput"])
        spread = results.figure(OURS, f"c={MOST}", _spread)
        beyond = used - decode - min(sessions.values()) if used is not None else None
        add("ms of CPU beyond decode and session", beyond, 0.45, least=False)
        add("share of the in-process loop", rate / _loop_rate(results) if rate else None, 0.9, least=True)
        add("p99/p50 above the loop's", spread - _loop_spread(results) if spread else None, 0.25, least=False)
    starts = [one["seconds"] for one in results.starts.get(OURS, ())]
    add("exec to first right answer, s", _median(starts) if starts else None, 1.5, least=False)
    memory = results.figure(OURS, f"c={MOST}", lambda one: one["memory_mb"][-1] if one["memory_mb"] else None)
    add("PSS, MB", memory, 160, least=False)
    best, bound = _best_rate(results), results.conditions.get("queue_bound", 64)
    for retry, wanted in (("honour", 0.9), ("at-once", 0.5)):
        cell = f"c=256 {retry}"
        rate = results.figure(OURS, cell, lambda one: one["goodput"])
        if rate is None:
            continue
        others = sum(
            count
            for line in results.windows[OURS, cell]
            for code, count in line["errors"].items()
            if not code.startswith("RESOURCE_EXHAUSTED")
        )
        p99 = results.figure(OURS, cell, lambda one: one["latency_ms"].get("p99"))
        add(f"{cell}: goodput of its best", rate / best if best else None, wanted, least=True)
        add(f"{cell}: accepted p99 ms", p99, round(2e3 * bound / rate) if rate else 0, least=False)
        add(f"{cell}: refusals other than RESOURCE_EXHAUSTED", others, 0, least=False)
        add(f"{cell}: memory growth, MB", _growth(results, cell), 30, least=False)
    ends = results.sigterms.get(OURS, ())
    if ends:
        add("lost at SIGTERM", sum(one["lost"] for one in ends), 0, least=False)
        add("processes left", max(one["processes_left"] for one in ends), 0, least=False)
    return _table(["promise", "wanted", "measured", "met"], rows) if rows else ""


def _cells(results: Results, wanted: Callable[[str], bool]) -> list[str]:
    return [cell for cell in dict.fromkeys(cell for _, cell in results.windows) if wanted(cell)]


def _parts(results: Results) -> tuple[float, dict[str, float]]:
    """Return ms of CPU per image of decoding, and of the session by batch size."""
    sizes = list(results.loops[0]["session"])
    return (
        results.loop(lambda one: one["decode"]["cpu_ms"]),
        {size: results.loop(lambda one, size=size: one["session"][size]["cpu_ms"]) for size in sizes},  # type: ignore[misc]
    )


def _loop_rate(results: Results) -> float:
    return results.loop(lambda one: 1e3 / float(one["both"][str(one["best_batch"])]["ms"]))


def _loop_spread(results: Results) -> float:
    def spread(line: Line) -> float:
        times = line["both"][str(line["best_batch"])]["step_ms"]
        return float(times["p99"] / times["p50"])

    return results.loop(spread)


def _spread(line: Line) -> float | None:
    latency = line["latency_ms"]
    return latency["p99"] / latency["p50"] if latency else None


def _best_rate(results: Results) -> float | None:
    """Return our best throughput with clients that are never refused."""
    rates = (results.figure(OURS, f"c={one}", lambda line: line["goodput"]) for one in (8, 32, 64))
    return max((one for one in rates if one is not None), default=None)


def _growth(results: Results, cell: str) -> float | None:
    """Return the largest growth in MB from the same round's ordinary load to the end of an overload."""
    before = {one["round"]: one["memory_mb"][-1] for one in results.windows.get((OURS, f"c={MOST}"), ())}
    grown = [
        one["memory_mb"][-1] - before[one["round"]]
        for one in results.windows.get((OURS, cell), ())
        if one["round"] in before
    ]
    return max(grown, default=None)


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def _number(value: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" if value is not None else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


if __name__ == "__main__":
    print(markdown(read(Path(sys.argv[1]))))

"""The report, of lines as a run writes them."""

import json
from pathlib import Path
from typing import Any

from benchmarks.serving import report


def window(server: str, cell: str, goodput: float, **fields: Any) -> dict[str, Any]:
    figures = {
        "round": 0,
        "counts": True,
        "quiet": True,
        "seconds": 10.0,
        "goodput": goodput,
        "latency_ms": {"p50": 10.0, "p90": 11.0, "p99": 12.0, "max": 13.0},
        "server_ms_per_answer": 4.0,
        "memory_mb": [100.0, 110.0],
        "errors": {},
    }
    return {"kind": "window", "server": server, "cell": cell, **figures, **fields}


def loop(number: int) -> dict[str, Any]:
    timed = {"cpu_ms": 2.0, "ms": 4.0, "step_ms": {"p50": 8.0, "p99": 9.0}}
    session = {"1": {"cpu_ms": 2.0}, "8": {"cpu_ms": 1.6}}
    return {
        "kind": "in_process",
        "round": number,
        "decode": timed,
        "session": session,
        "both": {"8": timed},
        "best_batch": 8,
    }


def written(tmp_path: Path, *lines: dict[str, Any]) -> report.Results:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return report.read(path)


def test_ratios_are_medians_over_rounds_against_the_best_peer(tmp_path: Path) -> None:
    rates = {"Cultivar": (200, 300, 220), "A, as shipped": (100, 200, 100), "B, as shipped": (90, 90, 90)}
    lines = [
        window(server, "c=32", rate, round=number)
        for server, found in rates.items()
        for number, rate in enumerate(found)
    ]

    results = written(tmp_path, *lines)

    assert results.ratio("c=32", ["A, as shipped", "B, as shipped"]) == (2.0, "A, as shipped")
    assert "| as shipped, c=32: times A, as shipped | >= 1.3 | 2 | yes |" in report.markdown(results)


def test_the_overhead_is_what_decode_and_session_leave(tmp_path: Path) -> None:
    told = report.markdown(written(tmp_path, loop(0), window("Cultivar", "c=32", 240)))

    # 4.0 ms in all, 2.0 of them decode and 1.6 the session at its best batch; the loop makes 250 images/s.
    assert "| Cultivar | 4.000 | 0.400 | 0.960 | 1.20 | 110 |" in told
    assert "| ms of CPU beyond decode and session | <= 0.45 | 0.4 | yes |" in told


def test_a_window_that_was_repeated_does_not_count_and_a_missed_promise_is_said(tmp_path: Path) -> None:
    noisy = window("Cultivar", "c=32", 1, counts=False, quiet=False)
    overload = window(
        "Cultivar",
        "c=256 honour",
        100,
        errors={"RESOURCE_EXHAUSTED/QUEUE_FULL": 9, "UNAVAILABLE": 1},
        memory_mb=[1, 150],
    )

    told = report.markdown(written(tmp_path, noisy, window("Cultivar", "c=32", 200), overload))

    assert "1 were measured again" in told
    assert "| c=256 honour: goodput of its best | >= 0.9 | 0.5 | **no** |" in told
    assert "| c=256 honour: refusals other than RESOURCE_EXHAUSTED | <= 0 | 1 | **no** |" in told
    assert "| c=256 honour: memory growth, MB | <= 30 | 40 | **no** |" in told

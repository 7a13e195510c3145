"""Generates load on one core and prints one JSON line: `python -m benchmarks.serving.load --help`."""

import argparse
import asyncio
import gc
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving import processes
from benchmarks.serving.processes import Usage
from benchmarks.serving.protocols import PROTOCOLS, Connection, Inputs, Refused

_REQUESTS_PER_CONNECTION = 32
"""Concurrent gRPC calls on a channel; HTTP/1.1 carries one request at a time."""
_RETRY_AT_ONCE_S = 0.001
_DRAIN_S = 30.0
_UNDER_WAY_S = 0.05
"""From sending to SIGTERM: long enough to arrive, too short to be answered."""


@dataclass(kw_only=True, slots=True)
class Window:
    """What was seen between `begin` and `end`; nothing before or after counts."""

    begin: float = float("inf")
    end: float = float("inf")
    latencies_s: list[float] = field(default_factory=list)
    """Of answered attempts, from their start to their answer; open loop: from the intended start."""
    whole_s: list[float] = field(default_factory=list)
    """Of answered requests, from the first attempt on."""
    wrong: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Failed attempts by `CODE/REASON`."""
    unsent: int = 0
    """Arrivals that were not sent because too many were under way."""

    def answered(self, attempt: float, first: float, now: float, *, right: bool) -> None:
        """Count an answer."""
        if self.begin <= now < self.end:
            self.latencies_s.append(now - attempt)
            self.whole_s.append(now - first)
            self.wrong += not right

    def refused(self, error: Refused, now: float) -> None:
        """Count a failed attempt."""
        if self.begin <= now < self.end:
            self.errors[str(error)] += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What to send."""

    connections: Sequence[Connection]
    expected: Sequence[int] | None
    """The right class of each request; None: answers aren't checked."""
    count: int
    """Different requests."""
    honour_retry: bool
    """Whether a refused client waits as long as the server says; it tries again after 1 ms otherwise."""

    async def classify(self, number: int, started: float, window: Window, stop: Callable[[], bool]) -> None:
        """Send a request until it is answered; `started` is the (intended) start of its first attempt."""
        connection, index = self.connections[number % len(self.connections)], number % self.count
        attempt = started
        while True:
            try:
                answer = await connection.ask(index)
            except Refused as error:
                window.refused(error, time.perf_counter())
                if stop():
                    return
                await asyncio.sleep(self._pause_s(error))
                attempt = time.perf_counter()
                continue
            right = self.expected is None or answer == self.expected[index]
            window.answered(attempt, started, time.perf_counter(), right=right)
            return

    def _pause_s(self, error: Refused) -> float:
        if not self.honour_retry or error.retry_s is None:
            return _RETRY_AT_ONCE_S
        return error.retry_s * random.uniform(1.0, 1.25)  # never before, and not all at the same time


async def closed_loop(load: Load, concurrency: int, window: Window) -> None:
    """Keep `concurrency` requests under way until the window ends."""
    stop = False

    async def client(number: int) -> None:
        # Each begins elsewhere, or all would send the same image at the same time.
        while not stop:
            await load.classify(number, time.perf_counter(), window, lambda: stop)
            number += concurrency

    clients = [asyncio.create_task(client(number)) for number in range(concurrency)]
    await _until(lambda: window.end, clients)
    stop = True
    await asyncio.wait(clients, timeout=_DRAIN_S)
    _end(clients)


async def open_loop(load: Load, rate: float, window: Window, *, most: int) -> None:
    """Send requests at random times, `rate` a second on average, whether or not earlier ones were answered.

    An answer's latency counts from when its request should have been sent, so that a client that falls behind, or a
    server that stalls, hides nothing.
    """
    under_way: set[asyncio.Task[None]] = set()
    number, due = 0, time.perf_counter()
    while due < window.end:
        due += random.expovariate(rate)
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        if len(under_way) >= most:
            window.unsent += window.begin <= due < window.end
            continue
        task = asyncio.create_task(load.classify(number, due, window, lambda: time.perf_counter() >= window.end))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        number += 1
    if under_way:
        await asyncio.wait(under_way, timeout=_DRAIN_S)
    _end(list(under_way))


async def measure(load: Load, options: argparse.Namespace) -> dict[str, Any]:
    """Warm up, measure a window, return its figures."""
    if options.burst:
        concurrency, seconds = options.burst
        begin = time.perf_counter()
        await closed_loop(load, int(concurrency), Window(begin=begin, end=begin + seconds))
    window = Window(end=time.perf_counter() + 3600)
    driving = asyncio.create_task(
        open_loop(load, options.rate, window, most=options.most)
        if options.rate
        else closed_loop(load, options.concurrency, window)
    )
    await _seconds(options.warm_up, driving)
    gc.collect()
    gc.disable()
    memory = [processes.proportional_memory_mb(options.watch)] if options.memory else []
    before = Usage.now(options.watch)
    window.begin = time.perf_counter()
    await _seconds(options.seconds, driving)
    seconds = time.perf_counter() - window.begin
    window.end = window.begin + seconds
    used = Usage.now(options.watch).since(before)
    if options.memory:
        memory.append(processes.proportional_memory_mb(options.watch))
    gc.enable()
    await driving
    return {**_figures(window, seconds), **_usage(used, seconds, len(window.latencies_s)), "memory_mb": memory}


async def terminate_under_way(load: Load, options: argparse.Namespace) -> dict[str, Any]:
    """Send `concurrency` requests, SIGTERM the server while they are under way, and tell what became of them."""
    await asyncio.gather(*(_once(load, number) for number in range(options.concurrency)))
    family = processes.family(options.watch)
    sent = [asyncio.create_task(_once(load, number)) for number in range(options.concurrency)]
    await asyncio.sleep(_UNDER_WAY_S)
    already = sum(one.done() for one in sent)
    processes.signal_all([options.watch], signal.SIGTERM)
    started = time.perf_counter()
    outcomes = Counter(await asyncio.gather(*sent))
    await asyncio.to_thread(processes.wait_for_end, options.watch, _DRAIN_S)
    ended_s = time.perf_counter() - started
    await asyncio.sleep(1.0)  # for its children
    return {
        "in_flight": options.concurrency - already,
        "refused": sum(count for one, count in outcomes.items() if one.endswith("told to try again")),
        "lost": sum(count for one, count in outcomes.items() if one != "OK" and not one.endswith("told to try again")),
        "outcomes": dict(outcomes),
        "ended_s": round(ended_s, 2),
        "processes_left": len(processes.alive(family)),
    }


async def _once(load: Load, number: int) -> str:
    try:
        await load.connections[number % len(load.connections)].ask(number % load.count)
    except Refused as error:
        return str(error) if error.retry_s is None else f"{error}, told to try again"
    return "OK"


async def _seconds(seconds: float, driving: asyncio.Task[None]) -> None:
    done, _ = await asyncio.wait([driving], timeout=seconds)
    if done:
        driving.result()
        raise RuntimeError("the load ended before its window")


async def _until(end: Callable[[], float], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until a time that may be moved; a task that fails, fails all."""
    while (left := end() - time.perf_counter()) > 0:
        done, _ = await asyncio.wait(tasks, timeout=min(left, 0.05), return_when=asyncio.FIRST_EXCEPTION)
        for one in done:
            one.result()


def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for one in tasks:
        one.cancel()


def _figures(window: Window, seconds: float) -> dict[str, Any]:
    answered = len(window.latencies_s)
    return {
        "seconds": round(seconds, 3),
        "answered": answered,
        "goodput": round((answered - window.wrong) / seconds, 2),
        "latency_ms": percentiles(window.latencies_s),
        "with_retries_ms": percentiles(window.whole_s),
        "wrong": window.wrong,
        "errors": dict(window.errors),
        "unsent": window.unsent,
    }


def _usage(used: Usage, seconds: float, answered: int) -> dict[str, Any]:
    return {
        "server_ms_per_answer": round(1e3 * used.server_s / answered, 3) if answered else None,
        "server_core_share": round(used.server_s / seconds, 3),
        "client_core_share": round(used.client_s / seconds, 3),
        "foreign_core_share": round(used.foreign_s / seconds, 3),
    }


def percentiles(values_s: Sequence[float]) -> dict[str, float]:
    """Return p50, p90, p99 and the largest in ms; empty where there are none."""
    if not values_s:
        return {}
    ordered = sorted(values_s)
    last = len(ordered) - 1
    named = {f"p{one}": ordered[round(one / 100 * last)] for one in (50, 90, 99)} | {"max": ordered[-1]}
    return {name: round(1e3 * value, 3) for name, value in named.items()}


def parser() -> argparse.ArgumentParser:
    """Return the flags."""
    flags = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.load",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    flags.add_argument("--address", required=True, metavar="HOST:PORT")
    flags.add_argument("--protocol", choices=PROTOCOLS, default="cultivar")
    flags.add_argument("--images", type=Path, required=True, metavar="DIR", help="*.jpg, sent in turns")
    flags.add_argument("--pixels", type=Path, metavar="FILE.npy", help="uint8 (N, S, S, 3), for tensor protocols")
    flags.add_argument("--expected", type=Path, metavar="FILE.json", help="the right class of each image, in order")
    flags.add_argument("--concurrency", type=int, default=32, help="closed loop: requests under way")
    flags.add_argument("--rate", type=float, help="open loop: requests a second, Poisson arrivals")
    flags.add_argument("--most", type=int, default=5000, help="open loop: requests under way; more are not sent")
    flags.add_argument("--seconds", type=float, default=10.0, help="the window")
    flags.add_argument("--warm-up", type=float, default=1.0, metavar="SECONDS", help="before the window")
    flags.add_argument(
        "--burst", type=float, nargs=2, metavar=("CONCURRENCY", "SECONDS"), help="a closed loop before the warm-up"
    )
    flags.add_argument(
        "--retry", choices=("honour", "at-once"), default="honour", help="wait as RetryInfo says, or 1 ms"
    )
    flags.add_argument("--connections", type=int, help="default: one per 32 gRPC calls, one per HTTP request")
    flags.add_argument("--watch", type=int, metavar="PID", help="the server's first process: its CPU time is told")
    flags.add_argument("--memory", action="store_true", help="tell the server's PSS before and at the window's end")
    flags.add_argument("--terminate", action="store_true", help="instead: SIGTERM the server with requests under way")
    flags.add_argument("--core", type=int, help="stay on this core")
    return flags


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Generate the load that was asked for; return its figures."""
    pixels = None
    if options.pixels is not None:
        import numpy as np

        pixels = np.load(options.pixels)
    images = [path.read_bytes() for path in sorted(options.images.glob("*.jpg"))]
    inputs = Inputs(images, pixels)
    # With arrivals at random, any number may be under way: as many connections as the protocol would need for 32.
    under_way = options.concurrency if not options.rate else 64
    per_connection = 1 if options.protocol.startswith("http") else _REQUESTS_PER_CONNECTION
    under_way = max(under_way, int(options.burst[0])) if options.burst else under_way
    count = options.connections or -(-under_way // per_connection)
    connections = [PROTOCOLS[options.protocol](options.address, inputs) for _ in range(count)]
    load = Load(
        connections=connections,
        expected=json.loads(options.expected.read_text()) if options.expected else None,
        count=len(images),
        honour_retry=options.retry == "honour",
    )
    measuring: Callable[[Load, argparse.Namespace], Awaitable[dict[str, Any]]]
    measuring = terminate_under_way if options.terminate else measure
    figures = await measuring(load, options)
    for one in connections:
        await one.close()
    asked = {"concurrency": options.concurrency} if not options.rate else {"rate": options.rate}
    return {"protocol": options.protocol, **asked, "retry": options.retry, **figures}


def main() -> None:
    """Generate load as the command line says."""
    options = parser().parse_args()
    processes.pin(options.core)
    json.dump(asyncio.run(run(options)), sys.stdout)
    print()


if __name__ == "__main__":
    main()

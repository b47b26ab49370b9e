"""Measure one case: CPU seconds to build, to simulate, and bytes of memory a message."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import collsim as cs
from benchmarks.cases import PARAMETERS, SIZE, WORKS, network
from collsim.errors import CollsimError

# Repeat until this much CPU time has gone into it: below, the clock and the caches are what is measured. The same code
# takes up to 1.7 times as long from one second to the next on a shared machine, so a few times in any case.
_ENOUGH = 1.0
_LEAST_TIMES, _MOST_TIMES = 3, 8


def cpu_seconds(run: Callable[[], Any]) -> float:
    """Return the least CPU time of a few runs."""
    least, spent = float("inf"), 0.0
    for turn in range(_MOST_TIMES):
        began = time.process_time()
        run()
        seconds = time.process_time() - began
        least, spent = min(least, seconds), spent + seconds
        if spent > _ENOUGH and turn + 1 >= _LEAST_TIMES:
            break
    return least


def measure(work: str, where: str, ranks: int, model: str, engine: str, ordering: str = "step") -> dict[str, Any]:
    """Return the figures of one case, or why there are none."""
    record: dict[str, Any] = {"work": work, "network": where, "ranks": ranks, "model": model, "engine": engine}
    record["ordering"] = ordering
    try:
        net = network(where, ranks)
        schedule = WORKS[work].build(ranks)
        settings: dict[str, Any] = {"model": model, "engine": engine, "parameters": PARAMETERS.get(model)}
        settings["ordering"] = ordering
        cs.simulate(schedule, net, SIZE, **settings)  # routes are found, code is compiled
        record["messages"] = schedule.messages
        record["build_s"] = cpu_seconds(lambda: WORKS[work].build(ranks))
        record["simulate_s"] = cpu_seconds(lambda: cs.simulate(schedule, net, SIZE, **settings))
    except CollsimError as error:
        record["refused"] = str(error)
    return record


def bytes_a_message(work: str, where: str, ranks: int, model: str, engine: str, ordering: str) -> float:
    """Return the growth of a fresh process's memory, over schedule and simulation, a message."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth, (work, where, ranks, model, engine, ordering))


def _growth(work: str, where: str, ranks: int, model: str, engine: str, ordering: str) -> float:
    measure(work, where, 8, model, engine, ordering)  # imports and compiled code are not the messages' own
    net = network(where, ranks)
    before = _peak()
    schedule = WORKS[work].build(ranks)
    cs.simulate(schedule, net, SIZE, model=model, engine=engine, ordering=ordering, parameters=PARAMETERS.get(model))
    return (_peak() - before) * 1024 / schedule.messages


def _peak() -> int:
    """Return the most memory that this process has had, in KiB.

    Linux counts in ``ru_maxrss`` what a process had before it became this program, too: that of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.M)):
        return int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def start_up() -> dict[str, float]:
    """Return wall seconds of small commands, the least of five, and of the first and the second compiled run."""
    small = ["run", "all_reduce", "-a", "ring", "-n", "8", "-s", "4MB", "--alpha", "5us", "--beta", "0.1ns"]
    found = {"collsim --help": _wall(["--help"], 5), "collsim run, 8 ranks": _wall(small, 5)}
    if "compiled" in _engines():
        large = [*small[:5], "64", "-s", "4MB", "-t", "star", "--bandwidth", "10GB/s", "--latency", "1us"]
        large += ["--engine", "compiled"]
        with tempfile.TemporaryDirectory() as cache:
            for name in ("first compiled run on a machine", "second"):
                found[name] = _wall(large, 1, NUMBA_CACHE_DIR=cache)
    return found


def _engines() -> list[str]:
    from collsim.engines import ENGINES

    return list(ENGINES)


def _wall(arguments: list[str], times: int, **more: str) -> float:
    least = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        command = [sys.executable, "-m", "collsim", *arguments]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **more})
        least = min(least, time.perf_counter() - began)
    return least

"""Print messages per second of every engine, on the same schedules, in one run."""

from __future__ import annotations

import os
import platform
import time

import collsim as cs

CASES = (
    # name, settings, numbers of ranks
    ("stepwise, alpha-beta", {"alpha": 5e-6, "beta": 1e-10, "engine": "stepwise"}, (8, 64, 256, 1024)),
    ("events, alpha-beta", {"alpha": 5e-6, "beta": 1e-10, "engine": "events"}, (8, 64, 128)),
    ("events, maxmin on a star", {"topology": "star", "engine": "events"}, (8, 64, 128)),
)


def main() -> None:
    """Time ring, tree and naive under every engine."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(f"{'engine and model':26} {'algorithm':10} {'ranks':>6} {'messages':>9} {'seconds':>9} {'messages/s':>11}")
    for name, settings, counts in CASES:
        for algorithm in ("naive", "tree", "ring"):
            for ranks in counts:
                schedule = cs.make_schedule("all_reduce", algorithm, ranks)
                given = dict(settings)
                if "topology" in given:
                    given["topology"] = cs.star(ranks, bandwidth="10GB/s", latency="2.5us")
                seconds = min(_timed(schedule, given) for _ in range(3))
                rate = schedule.messages / seconds
                print(f"{name:26} {algorithm:10} {ranks:6} {schedule.messages:9} {seconds:9.4f} {rate:11.0f}")


def _timed(schedule: cs.Schedule, settings: dict[str, object]) -> float:
    began = time.perf_counter()
    cs.simulate(schedule, nbytes="64MiB", **settings)  # type: ignore[arg-type]
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

"""The same input gives the same bytes: in one process, in another, and whatever Python's hashes are."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import oracles

import collsim as cs

ROOT = Path(__file__).parents[1]


def random_graph(rng):
    """Ranks and switches in no particular order: routes have many ties."""
    graph = nx.Graph(name="random")
    names = [*range(6), *(f"switch {i}" for i in range(5))]
    names = [names[i] for i in rng.permutation(len(names))]
    for i in range(1, len(names)):
        for j in rng.permutation(i)[:3]:
            graph.add_edge(names[i], names[j], bandwidth=float(rng.integers(1, 5)), latency=float(rng.integers(0, 3)))
    return graph


def fingerprints(seed=1):
    """A line for each schedule, result and timeline, with a hash of all its bytes."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    lines = []

    def note(what, *arrays):
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        lines.append(f"{what} {digest.hexdigest()}")

    for name in oracles.ALL_REDUCE:
        schedule = cs.make_schedule("all_reduce", name, ranks=6)
        columns = ("step", "src", "dst", "chunk", "count", "op", "seconds", "after")
        note(f"schedule {name}", *(getattr(schedule, column) for column in columns))
        note(f"values {name}", cs.execute(schedule, rng.standard_normal((6, 1001), dtype=np.float32)))
        offsets = rng.random(6)
        for model in ("maxmin", "alpha-beta"):
            for ordering in ("step", "dataflow"):
                result = cs.simulate(
                    schedule, graph, nbytes=1001, model=model, ordering=ordering, gamma=0.1, offsets=offsets
                )
                times = (getattr(result.timeline, part) for part in ("ready", "start", "arrive", "finish"))
                note(f"times {name} {model} {ordering}", *times, np.array([result.bound.seconds]))
    return lines


def in_a_fresh_process(hash_seed):
    paths = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(paths)}
    code = "import test_determinism as t; print(hash('switch')); print(*t.fingerprints(), sep='\\n')"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def test_the_same_input_gives_the_same_bytes_in_any_process():
    here = fingerprints()
    assert len(here) == len(set(here)) == 3 * (2 + 4)
    (hash_1, *fresh_1), (hash_2, *fresh_2) = in_a_fresh_process("1"), in_a_fresh_process("4242")
    assert hash_1 != hash_2  # else the two are no different at all
    assert fresh_1 == here
    assert fresh_2 == here


def test_another_input_gives_other_bytes():
    here, other = fingerprints(), fingerprints(seed=2)
    same = [line for line in here if line in other]
    assert all(line.startswith("schedule") for line in same)
    assert len(same) == 3

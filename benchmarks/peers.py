"""Other simulators on the same work: a ring all-reduce on a star, where they are installed (found on PATH).

Each returns CPU seconds, of the simulator and what it starts, without making its input.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import SIZE

_SECONDS = 600

# SMPI runs the real program; its buffers are one shared piece of memory, so that it need not have SIZE x ranks bytes.
_PROGRAM = """
#include <mpi.h>
int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  float *in = SMPI_SHARED_MALLOC(%(size)d), *out = SMPI_SHARED_MALLOC(%(size)d);
  MPI_Allreduce(in, out, %(size)d / 4, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  MPI_Finalize();
  return 0;
}
"""

_PLATFORM = """<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="c" prefix="h" suffix="" radical="0-%(last)d" speed="1Gf" bw="10GBps" lat="2us"/>
</platform>
"""

# The same ring with SimGrid's own messages, one actor a rank.
_ACTORS = """
import sys
from simgrid import Actor, Comm, Engine, Host, Mailbox

ranks, size = int(sys.argv[2]), int(sys.argv[3])

def rank(me):
    here, there = Mailbox.by_name(str(me)), Mailbox.by_name(str((me + 1) % ranks))
    for _ in range(2 * (ranks - 1)):
        sent = there.put_async("x", size // ranks)
        here.get()
        sent.wait()

engine = Engine(["ring", "--log=root.thres:error", "--cfg=network/model:CM02"])
engine.load_platform(sys.argv[1])
for me in range(ranks):
    Actor.create(str(me), Host.by_name("h" + str(me)), rank, me)
engine.run()
"""


def _cpu(command: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _smpi(ranks: int, folder: Path) -> float:
    (folder / "ring.c").write_text(_PROGRAM % {"size": SIZE})
    (folder / "star.xml").write_text(_PLATFORM % {"last": ranks - 1})
    (folder / "hosts").write_text("".join(f"h{rank}\n" for rank in range(ranks)))
    subprocess.run(["smpicc", "-O2", "ring.c", "-o", "ring"], cwd=folder, check=True, capture_output=True)
    options = ["--cfg=smpi/allreduce:lr", "--cfg=smpi/simulate-computation:no", "--log=root.thres:error"]
    options.append("--cfg=network/model:CM02")
    run = ["smpirun", "-np", str(ranks), "-hostfile", "hosts", "-platform", "star.xml", *options, "./ring"]
    return _cpu(run, folder)


def _python_with_simgrid() -> str | None:
    for python in (sys.executable, shutil.which("python3", path=os.defpath), shutil.which("python3")):
        if python and not subprocess.run([python, "-c", "import simgrid"], capture_output=True).returncode:
            return python
    return None


def _actors(ranks: int, folder: Path) -> float:
    python = _python_with_simgrid()
    assert python is not None
    (folder / "ring.py").write_text(_ACTORS)
    (folder / "star.xml").write_text(_PLATFORM % {"last": ranks - 1})
    return _cpu([python, "ring.py", "star.xml", str(ranks), str(SIZE)], folder)


def _loggopsim(ranks: int, folder: Path) -> float:
    lines = [f"num_ranks {ranks}"]
    for me in range(ranks):
        lines.append(f"rank {me} {{")
        for step in range(2 * (ranks - 1)):
            lines.append(f"s{step}: send {SIZE // ranks}b to {(me + 1) % ranks} tag {step}")
            lines.append(f"r{step}: recv {SIZE // ranks}b from {(me - 1) % ranks} tag {step}")
            if step:
                lines += [f"s{step} requires r{step - 1}", f"r{step} requires s{step - 1}"]
        lines.append("}")
    (folder / "ring.goal").write_text("\n".join(lines) + "\n")
    subprocess.run(["txt2bin", "-i", "ring.goal", "-o", "ring.bin"], cwd=folder, check=True, capture_output=True)
    return _cpu(["LogGOPSim", "-f", "ring.bin", "--batchmode"], folder)


def _found(*names: str) -> bool:
    return all(shutil.which(name) for name in names)


# Name, whether it is here, and its run.
PEERS: dict[str, tuple[Callable[[], bool], Callable[[int, Path], float]]] = {
    "SimGrid, smpirun": (lambda: _found("smpirun", "smpicc"), _smpi),
    "SimGrid, Python": (lambda: _python_with_simgrid() is not None, _actors),
    "LogGOPSim": (lambda: _found("LogGOPSim", "txt2bin"), _loggopsim),
}


def peer_seconds(name: str, ranks: int) -> float:
    """Return CPU seconds of one peer for the ring all-reduce of so many ranks."""
    with tempfile.TemporaryDirectory() as folder:
        return PEERS[name][1](ranks, Path(folder))

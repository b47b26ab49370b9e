"""Exercises of lesson 8: algorithms to write."""

from __future__ import annotations

from collections import Counter

from collsim.lessons.exercise import Code
from collsim.schedule import Schedule


def _few_steps(schedule: Schedule) -> str:
    most = (schedule.ranks - 1).bit_length()
    if schedule.steps > most:
        return f"it takes {schedule.steps} steps, and {most} are enough."
    sent = Counter(zip(schedule.step.tolist(), schedule.src.tolist(), strict=True))
    for (step, rank), count in sent.items():
        if count > 1:
            return f"in step {step} rank {rank} sends {count} messages, and one is allowed: who else could send them?"
    return ""


def _neighbours(schedule: Schedule) -> str:
    far = abs(schedule.src - schedule.dst) != 1
    if not far.any():
        return ""
    row = int(far.argmax())
    return f"in step {schedule.step[row]} rank {schedule.src[row]} sends to rank {schedule.dst[row]}, no neighbour."


def _few_bytes(schedule: Schedule) -> str:
    if schedule.steps > 2:
        return f"it takes {schedule.steps} steps, and two are enough."
    sent = [0.0] * schedule.ranks
    for source, size in zip(schedule.src.tolist(), schedule.message_bytes(schedule.ranks).tolist(), strict=True):
        sent[source] += size
    most = 2 * (schedule.ranks - 1)
    if max(sent) <= most * (1 + 1e-9):
        return ""
    return (
        f"rank {sent.index(max(sent))} sends {max(sent) / schedule.ranks:.4g} vectors, and "
        f"2(K-1)/K = {most / schedule.ranks:.4g} are enough."
    )


_CHAIN = """\
import collsim as cs


def there_and_back(ranks):
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    for rank in range(ranks - 1):  # there: everybody adds its own and passes it on
        plan.reduce(step=rank, src=rank, dst=rank + 1)
    for rank in range(ranks - 1, 0, -1):  # and back: the sum
        plan.copy(step=2 * (ranks - 1) - rank, src=rank, dst=rank - 1)
    return plan.build()
"""
_DOUBLING = """\
import collsim as cs


def twice_as_many(ranks, root=0):
    plan = cs.ScheduleBuilder(cs.get_collective("broadcast", root=root), ranks)
    step, have = 0, 1
    while have < ranks:  # counted from the root, the ranks 0 to have - 1 have it
        for rank in range(min(have, ranks - have)):
            plan.copy(step=step, src=(root + rank) % ranks, dst=(root + rank + have) % ranks)
        step, have = step + 1, 2 * have
    return plan.build()
"""
_OWNERS = """\
import collsim as cs


def everybody_owns_a_part(ranks):
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks=ranks)
    for owner in range(ranks):
        others = [rank for rank in range(ranks) if rank != owner]
        if others:
            plan.reduce(step=0, src=others, dst=owner, chunk=owner)
            plan.copy(step=1, src=owner, dst=others, chunk=owner)
    return plan.build()
"""

EXERCISES = (
    Code(
        "Write an all-reduce that is a chain: rank 0 sends to 1, which adds its own and sends to 2, and so on; from "
        "the last rank the sum comes back the same way. It must be right for every number of ranks, 1 among them.",
        "K - 1 steps there and K - 1 back, each with a whole vector: simple, and slow.",
        also=_neighbours,
        model=_CHAIN,
    ),
    Code(
        "Write a broadcast, `your_function(ranks, root=0)`, that takes no more than lg K steps (log2 K, rounded up), "
        "and in which no rank sends more than one message a step.",
        "Whoever has the vector passes it on, so that with each step twice as many have it.",
        collective="broadcast",
        also=_few_steps,
        model=_DOUBLING,
    ),
    Code(
        "Write an all-reduce in which no rank sends more than 2(K-1)/K vectors, as little as in the ring, but which "
        "takes two steps only. (Cut the vector with `chunks=ranks`.)",
        "Every rank sums one part and sends it back: two steps, and as few bytes as can be. What it costs: K - 1 "
        "messages come to every port at once.",
        also=_few_bytes,
        model=_OWNERS,
    ),
)

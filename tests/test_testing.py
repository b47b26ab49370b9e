from __future__ import annotations

import functools
import itertools
import json
import re
import signal
import threading
import time

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.catalog import ALGORITHMS
from collsim.cli import main
from collsim.diagnosis import diagnose
from collsim.testing import DEFAULT_RANKS, check_algorithm, examine_algorithm, examine_file, spell

FEW = (1, 2, 3, 4, 5, 8)


def never(t, rank, ranks):
    return False


def ring(ranks, *, chunks=None, rounds=None, skip=never, turn=never, twice=never, to=never, late=None):
    """A student's ring, and the ways to get it wrong: `skip` a message, `turn` COPY into REDUCE and back, and so on."""
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks or ranks)
    half = ranks - 1 if rounds is None else rounds(ranks)
    for t in range(half + ranks - 1):
        for rank in range(ranks):
            move = plan.reduce if (t < half) != bool(turn(t, rank, ranks)) else plan.copy
            peer = (rank + (2 if to(t, rank, ranks) else 1)) % ranks
            step = late(t, ranks) if late else t
            for _ in range(0 if skip(t, rank, ranks) else 2 if twice(t, rank, ranks) else 1):
                move(step=step, src=rank, dst=peer, chunk=(rank - t) % ranks)
    return plan.build()


def tree(ranks, *, wrong=None):
    """A student's binomial tree of whole vectors; `wrong` maps a child to the parent that it sends to instead."""
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    rounds = (ranks - 1).bit_length()
    for t in range(rounds):
        for child in range(1 << t, ranks, 2 << t):
            parent = child - (1 << t)
            plan.reduce(step=t, src=child, dst=(wrong or {}).get(child, parent))
            plan.copy(step=2 * rounds - 1 - t, src=parent, dst=child)
    return plan.build()


def hypercube(ranks):
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    for t in range((ranks - 1).bit_length()):
        for rank in range(ranks):
            plan.reduce(step=t, src=rank, dst=(rank + (1 << t)) % ranks)
    return plan.build()


def fault_of(f, ranks=FEW, collective="all_reduce", **arguments):
    report = examine_algorithm(f, collective, ranks, **arguments)
    assert report.fault is not None, f"{f} passed"
    assert not report.passed
    assert all("\n" not in part for part in report.explanation())
    return report


def where(fault):
    return fault.ranks, fault.rank, fault.step, fault.chunk


# ---- what is right passes


def test_a_right_algorithm_passes_for_all_the_default_numbers_of_ranks():
    report = check_algorithm(ring)
    assert report.passed
    assert report.right == report.ranks == DEFAULT_RANKS == (*range(1, 18), 32, 33, 64)
    assert (report.wrong, report.explanation()) == ((), [])
    for case in report.cases:
        assert case.steps == 2 * (case.ranks - 1)
        assert case.sent == pytest.approx(2 * (case.ranks - 1) / case.ranks)
        assert case.least_sent == pytest.approx(case.sent)
        assert (case.depth, case.ranks_agree, case.simulated) == (case.ranks - 1, True, True)


COLLECTIVES = sorted({collective for collective, _ in ALGORITHMS})


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_an_algorithm_of_every_collective_passes(collective):
    name = next(name for owner, name in ALGORITHMS if owner == collective)
    report = examine_file(name, collective, [1, 2, 3, 6])
    assert report.passed, report.explanation()


def test_ranks_that_add_in_different_orders_are_noticed():
    assert [case.ranks_agree for case in examine_file("direct", ranks=[2, 7]).cases] == [True, False]


def test_a_power_of_two_may_be_declared_and_then_others_must_be_refused_with_advice():
    assert examine_file("recursive_doubling", "all_gather", FEW).refused == (3, 5)
    declared = examine_algorithm(ring, ranks=FEW, admits="power of two")
    assert (declared.fault.kind, declared.fault.ranks) == ("should refuse", 3)
    assert "must refuse 3 ranks" in declared.fault.message
    assert "It returns Schedule(all_reduce" in declared.fault.message

    def curt(ranks):
        if ranks == 3:
            raise cs.InputError("no")
        return ring(ranks)

    assert "It only says: no" in fault_of(curt, ranks=[2, 3, 4], admits="power of two").fault.message


def test_the_options_reach_the_function_and_a_root_is_cut_to_what_exists():
    seen = []

    def rooted(ranks, *, root=0, note=""):
        seen.append((ranks, root, note))
        return cs.make_schedule("broadcast", "binomial", ranks, root=root)

    assert check_algorithm(rooted, "broadcast", [2, 5], {"root": 3, "note": "x"}).passed
    assert set(seen) == {(2, 1, "x"), (5, 3, "x")}
    # Without a root given, the last rank is tried too.
    seen.clear()
    assert check_algorithm(rooted, "broadcast", [5]).passed
    assert set(seen) == {(5, 0, ""), (5, 4, "")}


def test_a_collective_of_ones_own_can_be_asked_for():
    spread = cs.Collective(
        "spread",
        "every rank ends with what rank 0 had",
        before=lambda ranks, chunks, rank: np.full(chunks, rank == 0),
        after=lambda ranks, chunks, rank: np.tile(np.arange(ranks) == 0, (chunks, 1)),
        bus_factor=lambda ranks: 1.0,
    )

    def flat(ranks):
        plan = cs.ScheduleBuilder(spread, ranks)
        plan.copy(step=0, src=0, dst=np.arange(1, ranks))
        return plan.build()

    assert check_algorithm(flat, spread, [1, 2, 3]).passed


# ---- what is wrong is told


def ring_without_a_chunk(ranks):
    return ring(ranks, skip=lambda t, rank, ranks: ranks > 2 and (rank - t) % ranks == 1)


def test_a_chunk_forgotten():
    fault = fault_of(ring_without_a_chunk).fault
    assert where(fault) == (3, 0, 0, 1)
    assert "Rank 0 ends without the values of ranks 1 and 2 for chunk 1" in fault.message
    assert "Chunk 1 is never sent by any rank, though others are, from step 0 on" in fault.message


def test_a_message_forgotten_while_summing():
    fault = fault_of(functools.partial(ring, skip=lambda t, rank, ranks: ranks > 3 and (t, rank) == (1, 2))).fault
    assert where(fault) == (4, 0, 1, 1)
    # Rank 1 has sent chunk 1 to rank 2, which did not pass it on.
    assert "without the values of ranks 1 and 2 for chunk 1 (so do ranks 1, 2 and 3)" in fault.message
    assert "both at rank 2 from step 0 on (the last came by the REDUCE from rank 1 (line " in fault.message
    assert "before rank 2 has sent them on" in fault.message
    assert "In step 1 rank 2 sends nothing and rank 3 receives nothing, though all other ranks do." in fault.message


def test_a_message_forgotten_while_spreading():
    fault = fault_of(functools.partial(ring, skip=lambda t, rank, ranks: ranks > 2 and (t, rank) == (3, 2))).fault
    assert (fault.ranks, fault.rank, fault.chunk) == (3, 0, 2)
    assert "They reach rank 2 in step 2 by the COPY from rank 1" in fault.message
    assert "go no further: rank 2 does not send chunk 2 after that" in fault.message
    assert "In step 3 rank 2 sends nothing and rank 0 receives nothing" in fault.message


def test_one_round_too_few():
    fault = fault_of(functools.partial(ring, rounds=lambda ranks: max(0, ranks - 2)), ranks=[4]).fault
    assert (fault.ranks, fault.step) == (4, 2)
    assert re.search(r"rank \d itself in step 2 by the COPY from rank \d", fault.message)
    assert re.search(r"That COPY carries those of ranks \d and \d only|before rank \d has sent them", fault.message)


def test_copy_where_reduce_was_meant():
    fault = fault_of(functools.partial(ring, turn=lambda t, rank, ranks: ranks > 2 and (t, rank) == (1, 2))).fault
    assert where(fault) == (3, 0, 1, 1)
    assert "Rank 0 ends without its own values for chunk 1" in fault.message
    assert "overwritten at rank 0 itself in step 1 by the COPY from rank 2" in fault.message
    assert "A REDUCE would have added to them." in fault.message


def test_reduce_where_copy_was_meant():
    fault = fault_of(functools.partial(ring, turn=lambda t, rank, ranks: t >= ranks - 1), ranks=[1, 3]).fault
    assert where(fault) == (3, 0, 2, 0)
    assert "counts" in fault.message
    assert "twice" in fault.message
    assert "come back to rank 0, which has them from the start, in step 2 by the REDUCE from rank 2" in fault.message
    assert "rank 0 -> rank 1 (step 0) -> rank 2 (step 1) -> rank 0 (step 2)" in fault.message
    assert "already the complete sum: a COPY would put it in the place of what is there" in fault.message


def test_one_counted_twice():
    fault = fault_of(functools.partial(ring, twice=lambda t, rank, ranks: ranks > 2 and (t, rank) == (0, 1))).fault
    assert where(fault) == (3, 0, 0, 1)
    assert "counts rank 1's values for chunk 1 twice" in fault.message
    assert re.search(
        r"In step 0 chunk 1 goes from rank 1 to rank 2 twice, each time by REDUCE \(line \d+\)", fault.message
    )


def test_one_counted_twice_on_two_ways():
    def diamond(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        if ranks == 4:
            plan.reduce(step=0, src=3, dst=[1, 2])
            plan.reduce(step=1, src=1, dst=0)
            plan.reduce(step=2, src=2, dst=0)
            plan.copy(step=3, src=0, dst=[1, 2, 3])
            return plan.build()
        return ring(ranks)

    fault = fault_of(diamond).fault
    assert where(fault) == (4, 0, 2, 0)
    assert "Rank 0 counts rank 3's values for chunk 0 twice. They come together at rank 0" in fault.message
    assert "once by rank 3 -> rank 1 (step 0) -> rank 0 (step 1)" in fault.message
    assert "again by rank 3 -> rank 2 (step 0) -> rank 0 (step 2)" in fault.message


def test_a_wrong_peer_while_summing():
    fault = fault_of(functools.partial(tree, wrong={2: 1})).fault
    assert where(fault) == (3, 0, 3, 0)
    assert "Rank 0 ends without rank 2's values for chunk 0" in fault.message
    assert "They reach rank 1 in step 1 by the REDUCE from rank 2" in fault.message
    assert "overwritten there in step 3 by the COPY from rank 0" in fault.message


def test_a_wrong_peer_while_spreading():
    fault = fault_of(functools.partial(ring, to=lambda t, rank, ranks: ranks > 3 and (t, rank) == (4, 2))).fault
    assert (fault.ranks, fault.rank, fault.step, fault.chunk) == (4, 0, 4, 2)
    assert "overwritten there in step 5 by the COPY from rank 3" in fault.message
    assert "In step 4 rank 3 receives nothing, though all other ranks do" in fault.message


def test_all_in_one_step_reads_what_was_there_before():
    def chain(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        for rank in range(ranks - 1):
            plan.reduce(step=0, src=rank, dst=rank + 1)
        plan.copy(step=1, src=ranks - 1, dst=np.arange(ranks - 1))
        return plan.build()

    fault = fault_of(chain).fault
    assert where(fault) == (3, 0, 0, 0)
    assert "They reach rank 1 in step 0 by the REDUCE from rank 0" in fault.message
    assert "sends it to rank 2 in the same step 0" in fault.message
    assert "all moves of a step read what was there before the step" in fault.message


def test_a_copy_before_its_sender_has_the_sum():
    fault = fault_of(functools.partial(ring, late=lambda t, ranks: min(t, ranks - 2)), ranks=[1, 2]).fault
    assert where(fault) == (2, 0, 0, 0)
    assert "Rank 1 sends chunk 0 to rank 0 in step 0" in fault.message
    assert "too early: it gets them in that same step 0" in fault.message


def test_sending_what_one_has_not_got():
    def gather_ring(ranks):
        plan = cs.ScheduleBuilder("all_gather", ranks, ranks)
        rank = np.arange(ranks)
        for t in range(ranks - 1):
            chunk = (rank - t) % ranks if ranks < 4 else (rank - t - 1) % ranks
            plan.copy(step=t, src=rank, dst=(rank + 1) % ranks, chunk=chunk)
        return plan.build()

    fault = fault_of(gather_ring, collective="all_gather").fault
    assert where(fault) == (4, 0, 0, 3)
    assert "In step 0 rank 0 sends chunk 3 to rank 1" in fault.message
    assert "it has nothing of it then: it never gets it (rank 3 has it then)" in fault.message

    def too_early(ranks):
        plan = cs.ScheduleBuilder("broadcast", ranks)
        for rank in range(ranks - 1):
            plan.copy(step=ranks - rank, src=rank, dst=rank + 1)
        return plan.build()

    fault = fault_of(too_early, collective="broadcast").fault
    assert where(fault) == (3, 1, 2, 0)
    assert "but it has nothing of it then: it gets it only in step 3, from rank 0" in fault.message


def test_reduce_into_nothing():
    def flat(ranks):
        plan = cs.ScheduleBuilder("broadcast", ranks)
        plan.reduce(step=0, src=0, dst=np.arange(1, ranks))
        return plan.build()

    fault = fault_of(flat, collective="broadcast").fault
    assert where(fault) == (2, 1, 0, 0)
    assert "nothing to add to: use COPY" in fault.message


def test_two_writes_at_once():
    fault = fault_of(functools.partial(ring, twice=lambda t, rank, ranks: ranks > 2 and (t, rank) == (3, 1))).fault
    assert where(fault) == (3, 2, 3, 1)
    assert "In step 3 two moves write chunk 1 at rank 2, and one of them is a COPY" in fault.message


def test_a_place_that_nothing_reaches():
    def star(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        plan.reduce(step=0, src=np.arange(1, ranks), dst=0)
        plan.copy(step=1, src=0, dst=np.arange(1, min(ranks, 4)))
        return plan.build()

    fault = fault_of(star).fault
    assert where(fault) == (5, 4, 1, 0)
    assert "Ranks 0, 1, 2 and 3 have them in the end (the last, rank 3, from step 1 on)" in fault.message
    assert "rank 4 does not: no move brings chunk 0 to it" in fault.message


def test_values_that_do_not_belong_there():
    def scan(ranks):
        plan = cs.ScheduleBuilder("scan", ranks)
        for t in range((ranks - 1).bit_length()):
            plan.reduce(step=t, src=np.arange(ranks), dst=(np.arange(ranks) + (1 << t)) % ranks)
        return plan.build()

    fault = fault_of(scan, collective="scan").fault
    assert where(fault) == (2, 0, 0, 0)
    assert "Rank 0 ends with rank 1's values for chunk 0, which do not belong there" in fault.message
    assert "rank 1 -> rank 0 (step 0)" in fault.message


def test_a_peer_that_does_not_exist():
    def line(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks, ranks)
        for rank in range(ranks if ranks > 3 else 0):
            plan.reduce(step=0, src=rank, dst=rank + 1, chunk=rank)
        return plan.build() if ranks > 3 else ring(ranks)

    fault = fault_of(line).fault
    assert where(fault) == (4, 3, 0, 3)
    assert re.search(r"In step 0 rank 3 sends chunk 3 to rank 4 \(line \d+\), which does not exist", fault.message)
    assert "the ranks are 0..3" in fault.message
    assert re.fullmatch(r"test_testing.py, line \d+", fault.line)


def test_a_message_to_oneself():
    def star(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        plan.reduce(step=0, src=np.arange(ranks), dst=0)
        return plan.build()

    fault = fault_of(star).fault
    assert where(fault) == (1, 0, 0, 0)
    assert "In step 0 rank 0 sends chunk 0 to itself" in fault.message


@pytest.mark.parametrize(("chunks", "chunk"), [(2, 2), (7, 3)])
def test_a_wrong_number_of_chunks(chunks, chunk):
    # Too few: one that does not exist is sent. Too many: some are never sent.
    fault = fault_of(functools.partial(ring, chunks=chunks), ranks=[3]).fault
    assert (fault.ranks, fault.chunk) == (3, chunk)
    assert ("does not exist: the chunks are 0..1" if chunks == 2 else "Chunk 3 is never sent") in fault.message


@pytest.mark.parametrize(
    ("collective", "chunks", "message"),
    [("all_gather", 4, "multiple of 3, got 4"), ("all_to_all", 3, "needs 9"), ("send_recv", 1, "needs 3")],
)
def test_chunks_that_do_not_fit_the_collective(collective, chunks, message):
    def build(ranks):
        return cs.ScheduleBuilder(collective, ranks, chunks).build()

    assert message in fault_of(build, [3], collective).fault.message


def test_a_deadlock_by_a_circle_of_dependencies():
    def polite(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        if ranks != 2:
            return ring(ranks)
        here = plan.reduce(step=0, src=0, dst=1, after=[1])
        plan.reduce(step=0, src=1, dst=0, after=here)
        return plan.build()

    fault = fault_of(polite).fault
    assert fault.kind == "deadlock"
    assert where(fault) == (2, 0, 0, 0)
    assert re.search(
        r"Deadlock: The REDUCE of chunk 0 from rank 0 to rank 1 in step 0 \(line \d+\) waits \(after=\) for the REDUCE "
        r"of chunk 0 from rank 1 to rank 0 in step 0 \(line \d+\), which waits for the first \(after=\)",
        fault.message,
    )


def test_a_deadlock_with_the_order_of_steps():
    def impatient(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        if ranks > 1:
            last = plan.copy(step=1, src=0, dst=1)
            plan.reduce(step=0, src=1, dst=0, after=last)
        return plan.build()

    fault = fault_of(impatient).fault
    assert fault.kind == "deadlock"
    assert where(fault) == (2, 1, 0, 0)
    assert "waits for the first (rank 0 must finish step 0 first)" in fault.message


def test_a_message_that_waits_for_its_own_part():
    def packed(ranks):
        if ranks != 2:
            return ring(ranks)
        plan = cs.ScheduleBuilder("all_reduce", 2, 3)
        plan.reduce(step=0, src=[0, 0, 1, 1], dst=[1, 1, 0, 0], chunk=[0, 2, 0, 2], packed=True)
        plan.reduce(step=0, src=[0, 1], dst=[1, 0], chunk=1)
        schedule = plan.build()
        return cs.Schedule(
            **{
                name: getattr(schedule, name)
                for name in ("collective", "ranks", "chunks", "step", "src", "dst", "chunk", "count", "op", "message")
            },
            after=[(1, 0)],
        )

    try:
        packed(2)
    except cs.InputError:
        pytest.skip("the table itself refuses it now")
    fault = fault_of(packed).fault
    assert fault.kind == "deadlock"
    assert where(fault) == (2, 0, 0, 2)
    assert "a packed message from rank 0 to rank 1 waits (after=) for itself" in fault.message


def test_a_dependency_on_a_later_move_that_is_no_circle():
    def forward(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        if ranks != 4:
            return ring(ranks)
        later = plan.copy(step=1, src=0, dst=1)
        plan.reduce(step=0, src=2, dst=3, after=later)
        return plan.build()

    fault = fault_of(forward).fault
    assert where(fault) == (4, 2, 0, 0)
    assert "That is no circle, but a move can only wait for moves before it" in fault.message


def test_powers_of_two_only():
    report = fault_of(hypercube, ranks=range(1, 10))
    assert report.right == (1, 2, 4, 8)
    assert report.wrong == (3, 5, 6, 7, 9)
    assert where(report.fault) == (3, 0, 1, 0)
    text = " ".join(report.explanation())
    assert "right for K = 1, 2, 4, 8 and wrong for K = 3, 5..7, 9." in text
    assert "K = 3: Rank 0 counts its own values for chunk 0 twice" in text
    assert "It works for powers of two only" in text
    assert "admits='power of two'" in text


def test_even_numbers_only():
    def even(ranks):
        return ring(ranks) if ranks % 2 == 0 or ranks == 1 else tree(ranks, wrong={2: 1})

    assert "It works for even numbers of ranks only" in fault_of(even, ranks=range(1, 9)).advice


def test_a_refusal_that_was_not_declared():
    def refuses(ranks):
        if ranks & (ranks - 1):
            raise cs.InputError(f"mine needs a power of two, got {ranks} ranks; use 'ring' instead")
        return ring(ranks)

    report = fault_of(refuses)
    assert report.fault.kind == "refused ranks"
    assert re.search(
        r"It refuses to work \(test_testing.py, line \d+\): mine needs a power of two", report.fault.message
    )
    assert report.right == (1, 2, 4, 8)
    assert check_algorithm(refuses, ranks=FEW, admits="power of two").refused == (3, 5)


def test_a_crash_for_one_rank():
    def crashes(ranks):
        portion = 1 // (ranks - 1)
        return ring(ranks + 0 * portion)

    report = fault_of(crashes)
    assert (report.fault.kind, report.fault.ranks, report.wrong) == ("crash", 1, (1,))
    line = crashes.__code__.co_firstlineno + 1
    expected = f"ZeroDivisionError: integer division or modulo by zero (test_testing.py, line {line}: portion = 1 // "
    assert expected in report.fault.message
    assert report.fault.line == f"test_testing.py, line {line}"
    assert "One rank has nothing to do" in report.advice


def helper(ranks):
    return [0, 1][ranks]


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda ranks: helper(7), "IndexError: list index out of range (test_testing.py, line"),
        (lambda ranks: helper("x"), "TypeError: list indices must be integers"),
        (lambda ranks: cs.ScheduleBuilder("all_reduce", ranks).reduce(step=0, source=1, dst=0), "argument 'source'"),
        (lambda ranks: cs.ScheduleBuilder("all_reduce", ranks).reduce(0.5, 1, 0), "Step must be whole numbers"),
        (lambda ranks: exit(3), "SystemExit: 3"),
        (lambda: None, "cannot be called as f(3)"),
        (lambda ranks, groups: None, "missing a required argument: 'groups'"),
        (lambda ranks: None, "It returns None: is 'return plan.build()' missing"),
        (lambda ranks: 17, "It returns 17: a Schedule is wanted"),
        (lambda ranks: cs.ScheduleBuilder("all_reduce", ranks), "return plan.build(), not the builder itself"),
        (lambda ranks: ring(2), "called for 3 ranks and returns a schedule for 2"),
        (lambda ranks: cs.make_schedule("broadcast", "flat", ranks), "a schedule of broadcast, and all_reduce was"),
    ],
)
def test_what_is_no_schedule_of_the_kind_is_told_in_one_line(f, message):
    assert message in fault_of(f, ranks=[3]).fault.message


def test_another_root_does_not_slip_through():
    def deaf(ranks, *, root=0):
        return cs.make_schedule("broadcast", "flat", ranks)

    report = fault_of(deaf, collective="broadcast")
    assert (report.fault.ranks, report.fault.options) == (2, {"root": 1})
    assert "a schedule of broadcast with root 0; root 1 was asked for" in report.fault.message
    assert "K = 2, root=1: " in report.explanation()[1]

    def mislabelled(ranks, *, root=0):
        plan = cs.ScheduleBuilder(cs.get_collective("broadcast", root=root), ranks)
        plan.copy(step=0, src=0, dst=np.arange(1, ranks))
        return plan.build()

    assert where(fault_of(mislabelled, collective="broadcast").fault) == (2, 0, 0, 0)


def test_a_collective_object_of_ones_own_does_not_slip_through():
    lax = cs.Collective(
        "all_reduce",
        "promises nothing",
        before=lambda ranks, chunks, rank: np.ones(chunks, dtype=bool),
        after=lambda ranks, chunks, rank: np.zeros((chunks, ranks), dtype=bool),
        bus_factor=lambda ranks: 1.0,
    )

    def cheat(ranks):
        return cs.ScheduleBuilder(lax, ranks).build()

    cs.verify(cheat(4))
    assert "called 'all_reduce' but promises something else" in fault_of(cheat, ranks=[4]).fault.message


def test_random_numbers_are_noticed():
    rng = np.random.default_rng()

    def shuffled(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        root, *others = rng.permutation(ranks).tolist()
        plan.reduce(step=0, src=others, dst=root)
        plan.copy(step=1, src=root, dst=others)
        return plan.build() if ranks > 2 else ring(ranks)

    fault = fault_of(shuffled, ranks=[1, 2, 33]).fault
    assert (fault.kind, fault.ranks, fault.step) == ("not repeatable", 33, 0)
    assert "Two calls give different schedules: row " in fault.message
    assert "fixed seed" in fault.message


def test_what_is_kept_between_calls_is_noticed():
    calls = []

    def remembers(ranks):
        calls.append(ranks)
        return ring(ranks, chunks=ranks * len(calls)) if len(calls) > 1 else ring(ranks)

    fault = fault_of(remembers, ranks=[2]).fault
    assert fault.kind == "not repeatable"
    assert "first 4 moves of 2 chunks, then 4 of 4" in fault.message


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system cannot interrupt a call")
def test_a_loop_without_end_is_stopped_and_the_clock_put_back():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")

    def endless(ranks):
        while True:
            try:
                ranks += 1
            except Exception:
                break

    before = signal.getsignal(signal.SIGALRM)
    began = time.perf_counter()
    fault = fault_of(endless, max_seconds=0.2).fault
    assert time.perf_counter() - began < 5
    assert (fault.kind, fault.ranks) == ("too slow", 1)
    assert "had not returned after 0.2 s (test_testing.py, line " in fault.message
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_it_works_beside_the_main_thread_where_there_are_no_signals():
    passed = []
    thread = threading.Thread(target=lambda: passed.append(check_algorithm(ring, ranks=[1, 2, 3]).passed))
    thread.start()
    thread.join()
    assert passed == [True]


@pytest.mark.parametrize(
    ("moves", "what"),
    [({"step": 10**9, "dst": 1}, "1000000001 steps"), ({"step": np.arange(500), "dst": 1}, "500 moves")],
)
def test_what_is_too_large_is_refused_before_it_is_tried(moves, what):
    def large(ranks):
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        plan.copy(src=0, **moves)
        return plan.build()

    fault = fault_of(large, ranks=[2], max_moves=100).fault
    assert fault.kind == "too large"
    assert f"It has {what}" in fault.message


def test_check_algorithm_raises_with_the_explanation_and_the_place():
    with pytest.raises(cs.VerificationError) as refused:
        check_algorithm(ring_without_a_chunk, ranks=FEW)
    assert (refused.value.rank, refused.value.step, refused.value.chunk) == (0, 0, 1)
    message = str(refused.value)
    assert message.startswith("ring_without_a_chunk is not a right all_reduce: it is right for K = 1, 2 and wrong for")
    assert "K = 3: Rank 0 ends without the values of ranks 1 and 2 for chunk 1" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"f": 3}, "an algorithm must be a function"),
        ({"collective": "all_redcue"}, "did you mean 'all_reduce'"),
        ({"ranks": []}, "at least one number of ranks"),
        ({"ranks": [0]}, "ranks must be a whole number of at least 1, got 0"),
        ({"admits": "odd"}, "unknown kind of numbers of ranks 'odd'"),
        ({"options": {"colour": 1}}, "the algorithm has no option 'colour' (it takes: wrong)"),
    ],
)
def test_a_wrong_question_is_the_askers_fault(arguments, message):
    with pytest.raises(cs.InputError, match=re.escape(message)):
        check_algorithm(**{"f": tree, **arguments})


def test_runs_of_numbers_are_drawn_together():
    assert spell([1, 2, 3, 4, 8, 10, 11, 33]) == "1..4, 8, 10, 11, 33"
    assert spell([]) == ""


# ---- the explanations are true, whatever the schedule


def held_after(schedule, collective, step):
    """Who holds whose values of each chunk after a step, worked out by the oracle."""
    ranks, chunks = schedule.ranks, schedule.chunks
    own = {
        (r, c): {r} if collective.before(ranks, chunks, r)[c] else set() for r in range(ranks) for c in range(chunks)
    }
    history = oracles.replay(schedule, own, lambda here, arriving: here | arriving)
    return history[min(step + 1, len(history) - 1)]


def mutated(data):
    name = data.draw(st.sampled_from(["ring", "tree", "naive", "recursive_doubling"]))
    schedule = cs.make_schedule("all_reduce", name, data.draw(st.integers(2, 9)))
    row = data.draw(st.integers(0, len(schedule) - 1))
    how = data.draw(st.sampled_from(["drop", "double", "dst", "src", "op", "chunk"]))
    rows = list(range(len(schedule)))
    if how == "drop":
        return oracles.with_rows(schedule, rows[:row] + rows[row + 1 :])
    if how == "double":
        return oracles.with_rows(schedule, rows[: row + 1] + rows[row:])
    limit = {"dst": schedule.ranks, "src": schedule.ranks, "op": 2, "chunk": schedule.chunks}[how]
    return oracles.with_columns(schedule, **{how: {row: (int(getattr(schedule, how)[row]) + 1) % limit}})


def assert_true(schedule, message, chunk):
    """Hold every sentence about who has what, and when, to the oracle."""
    collective = schedule.collective
    end = held_after(schedule, collective, schedule.steps)
    if found := re.match(
        r"Rank (\d+) ends without (its own|rank (\d+)'s|the values of ranks ([\d, and]+?) for)", message
    ):
        rank = int(found[1])
        whose = [rank] if found[2] == "its own" else [int(n) for n in re.findall(r"\d+", found[3] or found[4])]
        assert not end[rank, chunk] & set(whose)
        for there, step in re.findall(r"They reach rank (\d+) in step (\d+)", message)[:1]:
            assert set(whose) <= held_after(schedule, collective, int(step))[int(there), chunk]
        for there, step in re.findall(r"They are (?:both|all) at rank (\d+) from step (\d+) on", message)[:1]:
            assert set(whose) <= held_after(schedule, collective, int(step))[int(there), chunk]
        for step, src in re.findall(r"overwritten there in step (\d+) by the COPY from rank (\d+)", message)[:1]:
            assert not set(whose) & held_after(schedule, collective, int(step) - 1)[int(src), chunk]
        for step, src in re.findall(r"itself in step (\d+) by the COPY from rank (\d+)", message)[:1]:
            assert not set(whose) & held_after(schedule, collective, int(step) - 1)[int(src), chunk]
        for others in re.findall(r"\(so do(?:es)? ranks? ([\d, and]+)[;)]", message):
            for other in re.findall(r"\d+", others):
                assert not end[int(other), chunk] & set(whose)
        return "missing"
    for route in re.findall(r"rank \d+(?: -> rank \d+ \(step \d+\))+", message):
        places = [int(n) for n in re.findall(r"rank (\d+)", route)]
        steps = [int(n) for n in re.findall(r"step (\d+)", route)]
        assert steps == sorted(steps)
        for (src, dst), step in zip(itertools.pairwise(places), steps, strict=True):
            rows = (schedule.src == src) & (schedule.dst == dst) & (schedule.step == step) & (schedule.chunk <= chunk)
            assert (rows & (chunk < schedule.chunk + schedule.count)).any()
    return "twice" if "twice" in message else "in a step"


def refusal(schedule):
    """Return what `verify` raises, or None."""
    try:
        cs.verify(schedule)
    except cs.VerificationError as error:
        return error
    return None


@settings(max_examples=250)
@given(st.data())
def test_an_explanation_is_true(data):
    try:
        schedule = mutated(data)
    except cs.InputError:
        return  # sends to itself
    error = refusal(schedule)
    if error is not None:
        found = diagnose(schedule, error)
        assert (found.rank, found.chunk) == (error.rank, error.chunk)
        assert f"chunk {error.chunk}" in found.message.lower()
        assert_true(schedule, found.message, error.chunk)


def test_the_check_of_explanations_notices_a_lie():
    schedule = oracles.with_rows(cs.make_schedule("all_reduce", "ring", 4), list(range(1, 24)))
    with pytest.raises(cs.VerificationError) as refused:
        cs.verify(schedule)
    message = diagnose(schedule, refused.value).message
    chunk = refused.value.chunk
    assert assert_true(schedule, message, chunk) == "missing"
    assert message.startswith("Rank 0 ends without its own values")
    with pytest.raises(AssertionError):
        assert_true(schedule, message.replace("its own values", "rank 1's values", 1), chunk)


@given(oracles.schedules(compute=False))
def test_no_schedule_is_beyond_explanation(schedule):
    error = refusal(schedule)
    if error is not None:
        found = diagnose(schedule, error)
        assert found.message.endswith(".")
        assert assert_true(schedule, found.message, error.chunk)


# ---- the command


@pytest.fixture
def collsim(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["check", *arguments])
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return run


@pytest.fixture
def student(tmp_path):
    def write(text):
        file = tmp_path / "student.py"
        file.write_text(text)
        return str(file)

    return write


RIGHT = """\
import collsim as cs
print("loading")
def mine(ranks):
    print("called")
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    for rank in range(1, ranks):
        plan.reduce(step=0, src=rank, dst=0)
        plan.copy(step=1, src=0, dst=rank)
    return plan.build()
"""
WRONG = RIGHT.replace("src=0, dst=rank", "src=0, dst=1")


def test_the_command_says_what_was_shown(collsim, student):
    status, out, err = collsim(f"{student(RIGHT)}:mine", "-n", "1,2,3,4")
    assert status == 0
    assert "error" not in err
    assert "student.py:mine is a right all_reduce for K = 1..4." in out
    for fact in ("proved", "executed", "simulated", "repeatable", "all ranks end with the same bits"):
        assert fact in out
    row = next(line.split() for line in out.splitlines() if line.split()[:1] == ["4"])
    # Whole vectors through one rank: 3 of them out, where 2 (K-1)/K would do.
    assert row == ["4", "2", "6", "1", "3", "1.5", "3"]
    assert "called" not in out


def test_the_command_explains_what_is_wrong(collsim, student):
    status, out, err = collsim(f"{student(WRONG)}:mine", "-n", "1,2,3,4", "--collective", "all_reduce")
    assert status == 1
    assert "it is right for K = 1, 2 and wrong for K = 3, 4." in out
    assert "K = 3: In step 1 two moves write chunk 0 at rank 1" in out
    assert "(line 8)" in out
    assert err.splitlines()[-1].endswith("is not a right all_reduce (K = 3: shows at rank 1, chunk 0)")


def test_the_record_of_a_grade(collsim, student):
    status, out, err = collsim(f"{student(WRONG)}:mine", "-n", "2,3", "--json")
    record = json.loads(out)
    assert status == 1
    assert "collsim: error" not in err
    assert (record["passed"], record["right"], record["wrong"]) == (False, [2], [3])
    assert {key: record["fault"][key] for key in ("kind", "ranks", "rank", "step", "chunk")} == {
        "kind": "wrong",
        "ranks": 3,
        "rank": 1,
        "step": 1,
        "chunk": 0,
    }
    status, out, _ = collsim(f"{student(RIGHT)}:mine", "-n", "2,3", "--json")
    record = json.loads(out)
    assert (status, record["passed"], record["fault"], len(record["cases"])) == (0, True, None, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def mine(ranks)\n    pass\n", "SyntaxError: expected ':' (student.py, line 1: def mine(ranks))"),
        ("import os\nx = 1 / 0\n", "ZeroDivisionError: division by zero (student.py, line 2: x = 1 / 0)"),
        ("raise SystemExit(0)\n", "SystemExit: 0 (student.py, line 1"),
        (
            "def mine(ranks):\n    x = 1\n    return y\n",
            "NameError: name 'y' is not defined (student.py, line 3: return y)",
        ),
    ],
)
def test_what_a_file_raises_is_one_line_with_its_number(collsim, student, text, message):
    status, out, err = collsim(f"{student(text)}:mine", "-n", "2")
    assert status == 1
    assert message in out
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("nowhere.py:mine", (), "cannot read 'nowhere.py'"),
        ("nowhere.py", (), "names a file and no function in it"),
        ("rign", (), "did you mean 'ring'"),
        ("ring", ("-n", "two"), "ranks must be a whole number"),
        ("ring", ("-c", "all_redcue"), "did you mean 'all_reduce'"),
        ("ring", ("-o", "root=1"), "has no option 'root'"),
        ("ring", ("--admits", "odd"), "odd"),
    ],
)
def test_bad_usage_has_status_2_and_one_line(collsim, target, arguments, message):
    status, out, err = collsim(target, *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1

"""What waits for what: the three orderings, by schedules small enough to be worked out by hand.

Unless a test says otherwise, alpha = 1 s, beta = 1 s/B and a message is 1 byte: alone it takes 2 s, and
its ports are busy for 1 s.
"""

from __future__ import annotations

import itertools

import numpy as np
import oracles
import pytest
from hypothesis import given

import collsim as cs
from collsim.engines import ENGINES
from collsim.graph import AFTER_SENT, BOTH, ORDERINGS, RECEIVER, SENDER, lower
from collsim.models import AlphaBeta


def plan_of(*moves, ranks=4, chunks=1):
    """Build a schedule of (kind, step, src, dst, chunk, count) rows, or (kind, step, rank, seconds) for work."""
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks)
    for kind, *where in moves:
        getattr(plan, kind)(*where)
    return plan.build()


def times(schedule, ordering, **settings):
    settings = {"alpha": 1, "beta": 1, "nbytes": schedule.chunks} | settings
    timeline = cs.simulate(schedule, ordering=ordering, **settings).timeline
    return list(zip(timeline.start.tolist(), timeline.finish.tolist(), strict=True))


def test_the_orderings_are_these_three():
    assert set(ORDERINGS) == {"step", "dataflow", "explicit"}


def test_by_step_a_rank_waits_for_all_its_moves_of_earlier_steps():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 2, 0), ("copy", 1, 2, 3))
    # 2 -> 0 waits for rank 0, which sends until 2; ranks 2 and 3 have nothing before it: no global barrier.
    assert times(schedule, "step") == [(0, 2), (2, 4), (0, 2)]


def test_by_step_both_ends_must_be_there():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 0, 2, 3, 0, 3), ("copy", 1, 1, 2), chunks=3)
    # Rank 1 is ready at 2, rank 2 at 4.
    assert times(schedule, "step") == [(0, 2), (0, 4), (4, 6)]


def test_by_step_a_step_without_own_moves_is_passed_through():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 2, 3), ("copy", 5, 0, 1))
    assert times(schedule, "step") == [(0, 2), (0, 2), (2, 4)]


def test_dataflow_reads_after_writes():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 1, 2))
    assert times(schedule, "dataflow") == [(0, 2), (2, 4)]


def test_dataflow_writes_after_reads():
    schedule = plan_of(("copy", 0, 1, 2), ("copy", 1, 0, 1))
    assert times(schedule, "dataflow") == [(0, 2), (2, 4)]


def test_dataflow_writes_after_writes():
    schedule = plan_of(("copy", 0, 0, 2), ("copy", 1, 1, 2))
    assert times(schedule, "dataflow") == [(0, 2), (2, 4)]


def test_dataflow_reads_do_not_wait_for_reads():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 0, 2))
    # Only the send port: free again at 1.
    assert times(schedule, "dataflow") == [(0, 2), (1, 3)]
    assert times(schedule, "step") == [(0, 2), (2, 4)]


def test_dataflow_knows_chunks_apart():
    schedule = plan_of(("copy", 0, 0, 1, 0), ("copy", 1, 1, 2, 1), ("copy", 2, 1, 3, 0), chunks=2)
    # Chunk 1 is ready at rank 1 at once; chunk 0 only when it has come.
    assert times(schedule, "dataflow") == [(0, 2), (0, 2), (2, 4)]


def test_dataflow_waits_for_every_chunk_of_a_message():
    schedule = plan_of(("copy", 0, 0, 1, 2), ("copy", 1, 1, 2, 0, 3), chunks=3)
    assert times(schedule, "dataflow") == [(0, 2), (2, 6)]


def test_dataflow_waits_for_every_earlier_read_of_what_it_overwrites():
    schedule = plan_of(("copy", 0, 1, 2, 0), ("copy", 1, 1, 3, 0, 3), ("copy", 2, 0, 1, 0), chunks=3)
    # The read of 3 bytes begins at 1 behind the first and ends at 1 + 1 + 3.
    assert times(schedule, "dataflow") == [(0, 2), (1, 5), (5, 7)]


def test_dataflow_reductions_into_one_place_come_one_after_another_in_the_order_of_rows():
    schedule = plan_of(("reduce", 0, [2, 1, 3], 0))
    assert times(schedule, "dataflow") == [(0, 2), (2, 4), (4, 6)]
    assert times(schedule, "step") == [(0, 2), (0, 3), (0, 4)]


def test_dataflow_moves_of_a_step_read_the_state_before_it_and_do_not_wait_for_each_other():
    swap = plan_of(("copy", 0, [0, 1], [1, 0]))
    assert times(swap, "dataflow") == [(0, 2), (0, 2)]


def test_dataflow_the_last_of_several_writes_counts():
    schedule = plan_of(("reduce", 0, [1, 2], 0), ("copy", 1, 0, 3))
    assert times(schedule, "dataflow") == [(0, 2), (2, 4), (4, 6)]


def test_dataflow_work_waits_for_the_chunks_that_it_names_and_they_for_it():
    schedule = plan_of(("copy", 0, 0, 1), ("compute", 1, 1, 5.0, 0, 1), ("compute", 1, 2, 5.0), ("copy", 2, 1, 3))
    assert times(schedule, "dataflow") == [(0, 2), (2, 7), (0, 5), (7, 9)]


@pytest.mark.parametrize("model", ["alpha-beta", "maxmin"])
def test_dataflow_pipelines_a_ring_on_an_uneven_network(model):
    # Three ranks in a one-way ring; 0 -> 1 has a latency of 10 s, the others of 1 s; 1 byte takes 1 s.
    links = [cs.Link(0, 1, 1.0, 10.0), cs.Link(1, 2, 1.0, 1.0), cs.Link(2, 0, 1.0, 1.0)]
    net = cs.Topology("uneven", 3, links)
    ring = cs.make_schedule("all_reduce", "ring", ranks=3)
    assert list(zip(ring.src.tolist(), ring.chunk.tolist(), strict=True))[:6] == [
        (0, 0), (1, 1), (2, 2), (0, 2), (1, 0), (2, 1),
    ]  # fmt: skip
    by_step = cs.simulate(ring, net, nbytes=3, model=model)
    # Rank 0 and 1 are 11 s in each of the four steps; rank 2 waits for them.
    assert by_step.timeline.start.tolist() == [0, 0, 0, 11, 11, 11, 22, 22, 22, 33, 33, 33]
    assert by_step.time == 44
    by_data = cs.simulate(ring, net, nbytes=3, model=model, ordering="dataflow")
    # Chunk 0 crosses the slow link first and last: 0-11, 11-13, 13-15, 15-26. Chunk 1 is there third (4-15),
    # chunk 2 second (2-13), while chunk 0 is still on its way.
    starts = {0: [0, 11, 13, 15], 1: [0, 2, 4, 15], 2: [0, 2, 13, 15]}
    for chunk, expected in starts.items():
        assert by_data.timeline.start[ring.chunk == chunk].tolist() == expected
    assert by_data.time == 26


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_explicit_dependencies_count_in_every_ordering(ordering):
    plan = cs.ScheduleBuilder("all_reduce", ranks=4)
    first = plan.copy(step=0, src=0, dst=1)
    second = plan.copy(step=0, src=2, dst=3, after=first)
    plan.compute(step=0, rank=2, seconds=4.0, after=[*first, *second])
    plan.compute(step=0, rank=0, seconds=1.0)
    assert times(plan.build(), ordering) == [(0, 2), (2, 4), (4, 8), (0, 1)]


def test_explicit_ordering_knows_neither_steps_nor_chunks():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 1, 2), ("copy", 2, 2, 3))
    assert times(schedule, "explicit") == [(0, 2)] * 3


def test_an_unknown_ordering_is_refused_with_the_nearest():
    with pytest.raises(cs.InputError, match=r"unknown ordering 'dataflo'; did you mean 'dataflow'\?"):
        lower(plan_of(), np.zeros(0), ordering="dataflo")


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_move_starts_when_both_of_its_ranks_have(ordering):
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 0, 2, 3), ("compute", 0, 3, 1.0))
    assert times(schedule, ordering, offsets=[0, 5, 7, 2.5]) == [(5, 7), (7, 9), (2.5, 3.5)]


@pytest.mark.parametrize("ordering", ["step", "dataflow"])
def test_a_late_rank_holds_up_those_who_wait_for_it(ordering):
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 1, 2), ranks=3)
    assert times(schedule, ordering, offsets=[1, 0, 0]) == [(1, 3), (3, 5)]


def test_a_graph_has_sizes_work_and_release_of_each_move():
    schedule = plan_of(("copy", 0, 0, 1, 0, 2), ("reduce", 0, 1, 0, 1), ("compute", 1, 2, 3.0), chunks=2)
    graph = lower(schedule, schedule.message_bytes(8), gamma=0.5, offsets=np.array([1.0, 2.0, 3.0, 0.0]))
    assert graph.transfer.tolist() == [True, True, False]
    assert graph.nbytes.tolist() == [8.0, 4.0, 0.0]
    assert graph.work.tolist() == [0.0, 2.0, 3.0]
    assert graph.release.tolist() == [[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]]  # of senders, of receivers


def test_edges_grow_with_the_moves_not_with_their_square():
    ranks = 40
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    src, dst = np.nonzero(~np.eye(ranks, dtype=bool))
    for step in range(3):
        plan.copy(step=step, src=src, dst=dst, chunk=0)
    schedule = plan.build()
    graph = lower(schedule, schedule.message_bytes(1))
    joins, edges, ends = graph.waiting
    assert len(edges) == len(ends) <= 4 * len(schedule)
    assert ends.itemsize == 1
    assert joins <= ranks * schedule.steps
    assert graph.nodes == len(schedule) + joins
    assert len(graph.followers.gates) == graph.waits.sum() == len(edges)


def test_by_step_each_end_waits_for_its_own_rank_and_is_done_at_its_own_time():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 1, 2), ("compute", 2, 1, 1.0), ("copy", 3, 2, 1), ranks=3)
    joins, edges, ends = lower(schedule, schedule.message_bytes(1)).waiting
    into = {(a, bool(end & AFTER_SENT)) for (a, b), end in zip(edges.tolist(), ends.tolist(), strict=True) if b >= 4}
    out = {(b, end & BOTH) for (a, b), end in zip(edges.tolist(), ends.tolist(), strict=True) if a >= 4}
    # Row 0 has a next step at its receiver only, row 1 at both ends.
    assert into == {(0, False), (1, True), (1, False), (2, True)}
    assert out == {(1, SENDER), (2, SENDER), (3, SENDER), (3, RECEIVER)}
    assert joins == 7  # visits: rank 0 one, rank 1 four, rank 2 two


def test_dataflow_says_which_end_of_a_move_waits_for_which_of_another():
    rows = {
        "read after write": (("copy", 0, 0, 1), ("copy", 1, 1, 2)),
        "write after read": (("copy", 0, 1, 2), ("copy", 1, 0, 1)),
        "write after write": (("copy", 0, 0, 2), ("copy", 1, 1, 2)),
    }
    expected = {"read after write": SENDER, "write after read": RECEIVER | AFTER_SENT, "write after write": RECEIVER}
    for what, moves in rows.items():
        schedule = plan_of(*moves)
        _, edges, ends = lower(schedule, schedule.message_bytes(1), ordering="dataflow").waiting
        assert (edges.tolist(), ends.tolist()) == ([[0, 1]], [expected[what]]), what


def test_gates_and_moments_are_those_of_the_ends():
    plan = cs.ScheduleBuilder("all_reduce", ranks=4)
    first = plan.copy(0, 0, 1)
    work = plan.compute(0, 2, 1.0, after=first)
    plan.copy(0, 2, 3, after=work)
    schedule = plan.build()
    graph = lower(schedule, schedule.message_bytes(1), ordering="explicit")
    assert graph.gates.tolist() == [0, 1, 2, 4, 5]  # work has one
    assert graph.waits.tolist() == [0, 0, 1, 0, 1, 1]
    first_of, gates = graph.followers
    followers = [gates[a:b].tolist() for a, b in itertools.pairwise(first_of)]
    assert followers == [[], [2], [], [4, 5], [], []]


@given(oracles.schedules())
def test_by_step_the_waiting_is_what_the_definition_says(schedule):
    # In the definition's own words, at the cost of a square: all moves of a rank in its earlier steps.
    ends = [{int(s), int(d)} for s, d in zip(schedule.src, schedule.dst, strict=True)]
    size = len(schedule)
    expected = {
        (a, b) for a in range(size) for b in range(size) if schedule.step[a] < schedule.step[b] and ends[a] & ends[b]
    }
    graph = lower(schedule, schedule.message_bytes(1))
    closure = transitive(graph)
    assert {(a, b) for a, b in closure if b < size} == transitive_pairs(expected)


@given(oracles.schedules())
def test_dataflow_the_waiting_is_what_the_definition_says(schedule):
    def places(rank, row):
        return {(int(rank), c) for c in range(schedule.chunk[row], schedule.chunk[row] + schedule.count[row])}

    size = len(schedule)
    reads = [places(schedule.src[row], row) for row in range(size)]
    writes = [places(schedule.dst[row], row) for row in range(size)]
    expected = set()
    for a in range(size):
        for b in range(a + 1, size):
            earlier = schedule.step[a] < schedule.step[b]
            if writes[a] & writes[b] or (earlier and (writes[a] & reads[b] or reads[a] & writes[b])):
                expected.add((a, b))
    graph = lower(schedule, schedule.message_bytes(1), ordering="dataflow")
    assert transitive(graph) == transitive_pairs(expected)


def any_schedule(rng, *, single):
    """Messages of several chunks (not if `single`), packed ones, work with and without chunks, what `after` names."""
    ranks, chunks = int(rng.integers(2, 6)), int(rng.integers(1, 5))
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks)
    rows = []
    step = 0
    for _ in range(rng.integers(0, 60)):
        step += int(rng.integers(0, 2))
        chunk = int(rng.integers(0, chunks))
        count = 1 if single else int(rng.integers(1, chunks - chunk + 1))
        after = [rows[int(rng.integers(len(rows)))]] if rows and rng.random() < 0.1 else []
        src, dst = rng.choice(ranks, 2, replace=False).tolist()
        kind = 2 if single else int(rng.integers(0, 6))
        if kind == 0:
            rows += plan.compute(step, src, 1.0, chunk, int(rng.integers(0, count + 1)), after=after).tolist()
        elif kind == 1:
            rows += plan.reduce(step, src, dst, [chunk, 0, chunk], packed=True, after=after).tolist()
        else:
            rows += plan.copy(step, src, dst, chunk, count, after=after).tolist()
    return plan.build()


@pytest.mark.parametrize("single", [False, True])
def test_compiled_dependencies_are_those_of_the_plain_ones(single, monkeypatch):
    pytest.importorskip("numba")
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        schedule = any_schedule(rng, single=single)
        payload = schedule.message_bytes(8)
        plain = lower(schedule, payload, ordering="dataflow")
        assert plain.gating is None  # small
        with monkeypatch.context() as patch:
            patch.setattr("collsim.graph._pays_to_compile", lambda schedule: True)
            quick = lower(schedule, payload, ordering="dataflow")
        assert quick.nodes == plain.nodes
        assert quick.followers.first.tolist() == plain.followers.first.tolist()
        assert quick.followers.gates.tolist() == plain.followers.gates.tolist()
        assert quick.waits.tolist() == plain.waits.tolist()
        found += len(plain.followers.gates)
    assert found > 5000


@pytest.mark.parametrize("readers", [253, 254, 255, 256])
def test_who_waits_for_many_readers_waits_for_all_of_them(readers, monkeypatch):
    pytest.importorskip("numba")
    plan = cs.ScheduleBuilder("all_reduce", readers + 1, chunks=1)
    plan.copy(0, 0, range(1, readers + 1))
    plan.copy(1, 1, 0)  # overwrites what all of them read
    schedule = plan.build()
    monkeypatch.setattr("collsim.graph._pays_to_compile", lambda schedule: True)
    graph = lower(schedule, schedule.message_bytes(8), ordering="dataflow")
    assert int(graph.waits.max()) == readers
    slow, quick = (ENGINES[name].run(graph, AlphaBeta(1.0, 1.0)) for name in ("events", "compiled"))
    assert slow.finish.tolist() == quick.finish.tolist()
    assert quick.start[-1] >= quick.sent[:-1].max()


def test_dependencies_of_large_schedules_are_compiled_and_of_no_others():
    pytest.importorskip("numba")
    large = cs.make_schedule("all_reduce", "ring", ranks=256)  # 130 560 rows: large enough once numba is imported
    few_of_many_places = plan_of(("copy", 0, 0, 1), chunks=10_000)
    for schedule, ordering, expected in (
        (large, "dataflow", True),
        (large, "step", False),
        (few_of_many_places, "dataflow", False),
    ):
        graph = lower(schedule, schedule.message_bytes(0), ordering=ordering)
        assert (graph.gating is not None) == expected


def transitive(graph):
    """Pairs of moves of which the second waits, directly or not, for the first."""
    edges = {(a, b) for a, b in graph.waiting.edges.tolist()}
    return {(a, b) for a, b in transitive_pairs(edges) if a < len(graph) and b < len(graph)}


def transitive_pairs(edges):
    following = {}
    for a, b in edges:
        following.setdefault(a, set()).add(b)
    pairs = set()
    for start in following:
        frontier = [start]
        while frontier:
            for node in following.get(frontier.pop(), ()):
                if (start, node) not in pairs:
                    pairs.add((start, node))
                    frontier.append(node)
    return pairs

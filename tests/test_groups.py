"""Collectives on some of the ranks: rows, columns, both at once, in any order, on a star and on a ring."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_collectives import is_right, mutants

import collsim as cs
from collsim.schedule import Op

GRID = np.arange(12).reshape(3, 4)
ROWS, COLUMNS = GRID.tolist(), GRID.T.tolist()


def ring(ranks, collective="all_reduce"):
    return cs.make_schedule(collective, "ring", ranks)


def vectors(ranks, elements):
    """Entries that tell ranks and places apart in every sum."""
    return 1000 ** np.arange(elements) + (1 << np.arange(ranks))[:, None] * 1000 ** np.arange(elements)


@pytest.mark.parametrize("groups", [ROWS, COLUMNS, [row[::-1] for row in ROWS], [[11, 0, 5, 6]], [[7], [3]]])
@pytest.mark.parametrize("algorithm", ["naive", "tree", "ring"])
def test_each_group_has_the_sum_of_its_own_ranks(groups, algorithm):
    schedule = cs.on_groups(cs.make_schedule("all_reduce", algorithm, len(groups[0])), groups, ranks=12)
    cs.verify(schedule)
    x = vectors(12, 5)
    y = cs.execute(schedule, x)
    expected = x.copy()  # a rank in no group keeps its vector
    for group in groups:
        expected[group] = x[group].sum(axis=0)
    assert y.tolist() == expected.tolist()


def test_groups_of_different_sizes_and_collectives():
    to_third = cs.make_schedule("gather", "binomial", 3, root=2)
    schedule = cs.on_groups(
        [ring(4), ring(3, "all_gather"), cs.make_schedule("scan", "linear", 2), to_third],
        [[9, 1, 4, 0], [8, 3, 2], [5, 6], [10, 7, 12]],
        14,
    )
    cs.verify(schedule)
    x = vectors(14, 6)
    y = cs.execute(schedule, x)
    assert (y[[9, 1, 4, 0]] == x[[9, 1, 4, 0]].sum(axis=0)).all()
    gathered = np.concatenate([x[8, 0:2], x[3, 2:4], x[2, 4:6]])
    assert (y[[8, 3, 2]] == gathered).all()
    assert y[5].tolist() == x[5].tolist()
    assert y[6].tolist() == (x[5] + x[6]).tolist()
    assert y[12].tolist() == np.concatenate([x[10, 0:2], x[7, 2:4], x[12, 4:6]]).tolist()
    assert y[[11, 13]].tolist() == x[[11, 13]].tolist()
    assert "all_reduce and all_gather and scan" in schedule.collective.name
    assert schedule.steps == 6  # of the longest: the ring of four


def test_rows_and_columns_at_once_have_a_vector_each():
    schedule = cs.on_groups([ring(4)] * 3 + [ring(3)] * 4, ROWS + COLUMNS, ranks=12)
    cs.verify(schedule)
    x = vectors(12, 6)
    y = cs.execute(schedule, x)
    for rank in range(12):
        row, column = GRID[rank // 4], GRID[:, rank % 4]
        assert y[rank, :3].tolist() == x[row, :3].sum(axis=0).tolist()
        assert y[rank, 3:].tolist() == x[column, 3:].sum(axis=0).tolist()
    with pytest.raises(cs.InputError, match="up to 2 vectors of the same length: 5 elements are not divisible by 2"):
        cs.execute(schedule, vectors(12, 5))


def test_a_rank_in_fewer_groups_has_fewer_vectors():
    schedule = cs.on_groups(ring(2), [[0, 1], [1, 2]], ranks=4)
    cs.verify(schedule)
    assert cs.execute(schedule, [[1, 0], [2, 30], [40, 0], [5, 6]]).tolist() == [[3, 0], [3, 70], [70, 0], [5, 6]]


def test_the_size_is_that_of_all_vectors_of_a_rank():
    one = cs.on_groups(ring(4), ROWS, ranks=12)
    both = cs.on_groups([ring(4)] * 3 + [ring(3)] * 4, ROWS + COLUMNS, ranks=12)
    assert one.message_bytes(120).sum() == pytest.approx(3 * 2 * 3 * 120)
    assert both.message_bytes(120).sum() == pytest.approx(3 * 2 * 3 * 60 + 4 * 2 * 2 * 60)
    assert both.message_bytes(240, itemsize=2).sum() == pytest.approx(3 * 2 * 3 * 120 + 4 * 2 * 2 * 120)


def test_a_grouped_schedule_can_be_sent_to_another_process():
    schedule = cs.on_groups([ring(4)] * 3 + [ring(3)] * 4, ROWS + COLUMNS, ranks=12)
    copy = pickle.loads(pickle.dumps(schedule))
    cs.verify(copy)
    x = vectors(12, 6)
    assert cs.execute(copy, x).tolist() == cs.execute(schedule, x).tolist()
    run = {"alpha": 3, "beta": 1, "nbytes": 120}
    assert cs.simulate(copy, **run).bound == cs.simulate(schedule, **run).bound


def test_packed_messages_stay_packed():
    part = cs.make_schedule("all_to_all", "bruck", 6)
    schedule = cs.on_groups(part, [[0, 2, 4, 6, 8, 10], [11, 9, 7, 5, 3, 1]], ranks=12)
    assert part.packed
    assert schedule.messages == 2 * part.messages
    cs.verify(schedule)
    alone, both = (cs.simulate(one, alpha=1, beta=1, nbytes=60).time for one in (part, schedule))
    assert both == pytest.approx(alone, rel=1e-12)


def test_dependencies_go_with_their_rows():
    plan = cs.ScheduleBuilder("all_reduce", 3)
    first = plan.reduce(step=0, src=1, dst=0)
    second = plan.reduce(step=1, src=2, dst=0, after=first)
    plan.copy(step=2, src=0, dst=[1, 2], after=second)
    part = plan.build()
    schedule = cs.on_groups(part, [[2, 0, 1], [5, 4, 3]], ranks=6)
    for later, earlier in schedule.after.tolist():
        assert schedule.step[later] == schedule.step[earlier] + 1
        assert schedule.src[later] // 3 == schedule.dst[earlier] // 3
    assert len(schedule.after) == 2 * len(part.after)
    run = {"alpha": 2, "beta": 1, "nbytes": 5, "ordering": "explicit"}
    assert cs.simulate(schedule, **run).time == cs.simulate(part, **run).time


def test_groups_of_groups():
    inner = cs.on_groups(ring(2), [[0, 2], [3, 1]], ranks=4)
    schedule = cs.on_groups(inner, [[4, 5, 6, 7], [3, 2, 1, 0]], ranks=8)
    cs.verify(schedule)
    x = vectors(8, 3)
    y = cs.execute(schedule, x)
    for pair in ([4, 6], [7, 5], [3, 1], [0, 2]):
        assert (y[pair] == x[pair].sum(axis=0)).all()
    assert cs.simulate(schedule, alpha=1, beta=1, nbytes=6).bound.seconds > 1


def test_barriers_in_groups():
    schedule = cs.on_groups(
        [cs.make_schedule("barrier", "dissemination", 3), cs.make_schedule("barrier", "tree", 2)],
        [[0, 4, 2], [1, 3]],
        5,
    )
    cs.verify(schedule)
    assert cs.simulate(schedule, alpha=1, beta=1, nbytes=0).time == 2
    with pytest.raises(cs.InputError, match="barrier in groups moves no data: its size must be 0, got 8 bytes"):
        cs.simulate(schedule, alpha=1, beta=1, nbytes=8)


def test_counts_in_groups():
    of_three = cs.make_schedule("all_gatherv", "ring", 3, counts=[3, 0, 1])
    of_two = cs.make_schedule("all_gatherv", "ring", 2, counts=[2, 2])
    schedule = cs.on_groups([of_three, of_two], [[4, 1, 2], [3, 0]], ranks=5)
    cs.verify(schedule)
    x = np.arange(20).reshape(5, 4)
    y = cs.execute(schedule, x)
    assert y[[4, 1, 2]].tolist() == [[16, 17, 18, 11]] * 3
    assert y[[3, 0]].tolist() == [[12, 13, 2, 3]] * 2
    with pytest.raises(cs.InputError, match="counts add up to 4 elements, the vectors have 5"):
        cs.execute(schedule, np.zeros((5, 5)))


@pytest.mark.parametrize("model", ["alpha-beta", "maxmin"])
def test_on_a_star_groups_do_not_get_in_each_others_way(model):
    star = cs.star(12, "1GB/s", "1us")
    for groups in (ROWS, COLUMNS, [row[::-1] for row in ROWS], [[11, 0, 5, 6], [1, 7, 3, 2]]):
        size = len(groups[0])
        result = cs.simulate(cs.on_groups(ring(size), groups, 12), star, nbytes=24_000, model=model)
        assert result.time == pytest.approx(2 * (size - 1) * (2e-6 + 24_000 / size * 1e-9), rel=1e-9)
        assert result.time >= result.bound.seconds


def test_on_a_star_the_larger_group_of_two_decides():
    star = cs.star(8, "1GB/s", "1us")
    schedule = cs.on_groups([ring(5), ring(3)], [[7, 2, 0, 1, 4], [3, 6, 5]], ranks=8)
    result = cs.simulate(schedule, star, nbytes=30_000)
    assert result.time == pytest.approx(8 * (2e-6 + 6_000e-9), rel=1e-9)
    frame = result.to_frame()
    small = frame[frame["src"].isin([3, 6, 5])]
    assert small["finish_s"].max() == pytest.approx(4 * (2e-6 + 10_000e-9), rel=1e-9)


def test_on_a_ring_neighbours_are_undisturbed_and_ranks_apart_share_links():
    net = cs.ring(4, "1GB/s", "1us")
    swap = cs.make_schedule("all_gather", "ring", 2)  # each of two sends half a vector to the other
    near = cs.simulate(cs.on_groups(swap, [[0, 1], [3, 2]], 4), net, nbytes=8000)
    assert near.time == pytest.approx(1e-6 + 4000e-9, rel=1e-9)
    # 0 -> 1 -> 2, 2 -> 3 -> 0, 1 -> 2 -> 3 and 3 -> 0 -> 1: every link upwards carries two flows.
    far = cs.simulate(cs.on_groups(swap, [[0, 2], [1, 3]], 4), net, nbytes=8000)
    assert far.time == pytest.approx(2e-6 + 2 * 4000e-9, rel=1e-9)
    # Alone, one pair has the links to itself.
    alone = cs.simulate(cs.on_groups(swap, [[0, 2]], 4), net, nbytes=8000)
    assert alone.time == pytest.approx(2e-6 + 4000e-9, rel=1e-9)
    # Ports only: nothing is shared on the way.
    ports = cs.simulate(cs.on_groups(swap, [[0, 2], [1, 3]], 4), net, nbytes=8000, model="alpha-beta")
    assert ports.time == pytest.approx(2e-6 + 4000e-9, rel=1e-9)


def test_rows_and_columns_at_once_share_the_ports():
    star = cs.star(12, "1GB/s", 0)
    both = cs.simulate(cs.on_groups([ring(4)] * 3 + [ring(3)] * 4, ROWS + COLUMNS, 12), star, nbytes=24_000)
    # Every port sends all that it must without a break only if nobody waits; at best 2 (3/4 + 2/3) n/2 bytes.
    assert both.time >= 2 * (3 / 4 + 2 / 3) * 12_000e-9 * (1 - 1e-12)
    assert both.bound.seconds == pytest.approx(2 * (3 / 4 + 2 / 3) * 12_000e-9, rel=1e-9)


# Negative controls


def test_a_contribution_from_another_group_is_refused():
    schedule = cs.on_groups(ring(3), [[0, 1, 2], [3, 4, 5]], 6)
    plan = cs.ScheduleBuilder(schedule.collective, 6, schedule.chunks)
    plan.reduce(schedule.step, schedule.src, schedule.dst, schedule.chunk)  # columns are kept, all as REDUCE
    with pytest.raises(cs.VerificationError):
        cs.verify(plan.build())


GROUPED = cs.on_groups([ring(3), ring(3, "all_gather")], [[4, 0, 2], [5, 1, 6]], 8)


def test_a_grouped_schedule_with_one_wrong_row_is_refused():
    assert is_right(GROUPED)
    cs.verify(GROUPED)
    refused, right = Counter(), Counter()
    for how, mutant in mutants(GROUPED):
        if is_right(mutant):
            right[how] += 1
            cs.verify(mutant)
        else:
            refused[how] += 1
            with pytest.raises(cs.VerificationError):
                cs.verify(mutant)
    assert set(refused) == {"dropped", "doubled", "sent elsewhere", "from elsewhere", "other chunk", "other op"}
    # Every row counts; only a way round may be exchanged for another one, of the same group.
    assert set(right) == {"sent elsewhere", "from elsewhere"}
    assert right.total() < refused.total() / 10


def test_a_barrier_does_not_excuse_a_sum_that_counts_twice():
    # Of a barrier it is enough that a contribution comes at least once; that must not pass on to its neighbours.
    barrier = cs.make_schedule("barrier", "dissemination", 3)
    with pytest.raises(cs.InputError, match="barrier cannot share a schedule with other collectives"):
        cs.on_groups([ring(3), barrier], [[0, 1, 2], [3, 4, 5]], 6)


def test_ranks_outside_may_help_but_not_add_their_own():
    promise = cs.on_groups(cs.make_schedule("all_reduce", "naive", 2), [[0, 1]], ranks=3).collective
    plan = cs.ScheduleBuilder(promise, 3)
    plan.copy(step=0, src=0, dst=2)
    plan.reduce(step=1, src=1, dst=2)
    plan.copy(step=2, src=2, dst=[0, 1])
    cs.verify(plan.build())
    result = cs.simulate(plan.build(), alpha=1, beta=1, nbytes=10)
    assert result.bound.seconds <= result.time
    plan = cs.ScheduleBuilder(promise, 3)
    plan.reduce(step=0, src=0, dst=2)  # rank 2 holds nothing to which it could be added
    plan.reduce(step=1, src=1, dst=2)
    plan.copy(step=2, src=2, dst=[0, 1])
    with pytest.raises(cs.VerificationError, match="rank 2 adds to chunk 0, of which it holds nothing"):
        cs.verify(plan.build())


# What is refused


@pytest.mark.parametrize(
    ("schedules", "groups", "ranks", "reason"),
    [
        (ring(3), [], 6, "one schedule for each group, got 0 for 0 groups"),
        ([ring(3)], [[0, 1, 2], [3, 4, 5]], 6, "one schedule for each group, got 1 for 2 groups"),
        (ring(3), [[0, 1]], 6, r"schedule for 3 ranks was given for a group of 2: \[0, 1\]"),
        (ring(3), [[]], 6, r"schedule for 3 ranks was given for a group of 0: \[\]"),
        (ring(3), [[0, 1, 6]], 6, r"a group names rank 6, but there are only 0\.\.5"),
        (ring(3), [[0, 1, -1]], 6, "a rank of a group must be a whole number of at least 0, got -1"),
        (ring(3), [[0, 1, 1.5]], 6, "a rank of a group .*, got 1.5"),
        (ring(3), [[0, 1, 0]], 6, r"can stand in a group only once, got \[0, 1, 0\]"),
        (ring(3), [7], 6, "a group must be a list of ranks, got 7"),
        (ring(3), [[0, 1, 2]], 0, "ranks must be a whole number of at least 1, got 0"),
        (["ring"], [[0, 1, 2]], 6, "a group needs a Schedule, got str"),
    ],
)
def test_impossible_groups_are_refused(schedules, groups, ranks, reason):
    with pytest.raises(cs.InputError, match=reason) as refused:
        cs.on_groups(schedules, groups, ranks)
    assert "\n" not in str(refused.value)


def test_arrays_are_taken_as_groups():
    schedule = cs.on_groups(ring(4), GRID, ranks=12)
    assert schedule.options["groups"] == ROWS
    assert schedule.collective.options["groups"] == ROWS


def test_names_and_options_say_what_was_joined():
    same = cs.on_groups(cs.make_schedule("all_reduce", "tree", 2, root=1), [[0, 1], [2, 3]], 4)
    assert repr(same).startswith("Schedule(all_reduce in groups, tree, ranks=4, chunks=2, ")
    assert same.options == {"root": 1, "groups": [[0, 1], [2, 3]]}
    mixed = cs.on_groups([ring(2), cs.make_schedule("scan", "linear", 2)], [[0, 1], [2, 3]], 4)
    assert repr(mixed).startswith("Schedule(all_reduce and scan in groups, ring and linear, ")
    assert mixed.options == {"groups": [[0, 1], [2, 3]]}


@given(st.data())
def test_any_disjoint_groups_work(data):
    ranks = data.draw(st.integers(1, 9))
    order = data.draw(st.permutations(range(ranks)))
    edges = sorted(data.draw(st.sets(st.integers(1, ranks), min_size=1, max_size=4)))
    groups = [order[a:b] for a, b in zip([0, *edges[:-1]], edges, strict=True)]
    names = [data.draw(st.sampled_from(["naive", "tree", "ring"])) for _ in groups]
    parts = [cs.make_schedule("all_reduce", name, len(group)) for name, group in zip(names, groups, strict=True)]
    schedule = cs.on_groups(parts, groups, ranks)
    cs.verify(schedule)
    assert schedule.messages == sum(part.messages for part in parts)
    assert np.count_nonzero(schedule.op == Op.REDUCE) == sum(np.count_nonzero(part.op == Op.REDUCE) for part in parts)
    x = vectors(ranks, 4)
    y = cs.execute(schedule, x)
    for group in groups:
        assert (y[group] == x[group].sum(axis=0)).all()
    outside = sorted(set(range(ranks)) - {rank for group in groups for rank in group})
    assert (y[outside] == x[outside]).all()
    # Groups run beside each other: on ports of their own the slowest decides.
    run = {"alpha": 3, "beta": 1, "nbytes": 120}
    result = cs.simulate(schedule, **run)
    assert result.time == pytest.approx(max(cs.simulate(part, **run).time for part in parts), rel=1e-9)
    assert result.bound.seconds <= result.time * (1 + 1e-12)

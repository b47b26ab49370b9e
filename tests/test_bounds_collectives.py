"""Lower bounds of every collective: what they ask for, against the definition; and that nothing is faster."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.algorithms.table import ADMITS, TABLE
from collsim.bounds import lower_bound
from collsim.collectives import COLLECTIVES
from collsim.demands import DEMANDS, demand_of, supplies, whole_vector
from collsim.models import AlphaBeta

RANKS = (2, 5, 8)
NETWORKS = {
    "alpha-beta": cache(lambda ranks: {"alpha": 5e-6, "beta": 1e-10}),
    "alpha-beta ring": cache(lambda ranks: {"topology": cs.ring(ranks, "10GB/s", "2.5us"), "model": "alpha-beta"}),
    "maxmin star": cache(lambda ranks: {"topology": cs.star(ranks, "10GB/s", "2.5us")}),
    "maxmin ring": cache(lambda ranks: {"topology": cs.ring(ranks, "10GB/s", "2.5us")}),
    "maxmin full": cache(lambda ranks: {"topology": cs.full(ranks, "10GB/s", "2.5us")}),
}
CASES = [(row, ranks) for row in TABLE for ranks in RANKS if ADMITS[row.admits](ranks)]


def schedule_of(row, ranks, rng):
    """Build it with counts as unequal as can be, and any root that the algorithm takes."""
    options = {}
    if "counts" in row.options:
        shape = (ranks, ranks) if row.collective == "all_to_allv" else ranks
        options["counts"] = rng.integers(0, 9, shape) * rng.integers(0, 2, shape)
    if "root" in row.options:
        options["root"] = int(rng.integers(ranks))
    return cs.make_schedule(row.collective, row.name, ranks, **options)


def sizes(schedule):
    if schedule.collective.name == "barrier" or not np.any(schedule.collective.options.get("counts", 1)):
        return (0,)
    return (0, 100_003, 10**9)


def assert_bound_holds(result):
    assert result.bound.seconds <= result.time * (1 + 1e-12), (result, result.bound)
    assert result.bound.reason


def test_every_collective_has_a_line():
    assert set(DEMANDS) == set(COLLECTIVES)
    assert {row.collective for row, _ in CASES} == set(COLLECTIVES)


@pytest.mark.parametrize(("row", "ranks"), CASES, ids=[f"{row.collective}-{row.name}-{k}" for row, k in CASES])
def test_no_algorithm_beats_the_bound(row, ranks):
    rng = np.random.default_rng(ranks)
    schedule = schedule_of(row, ranks, rng)
    late = {"gamma": 3e-10, "offsets": rng.random(ranks) * rng.choice([1e-6, 1e-1])}
    for network in NETWORKS.values():
        for nbytes, more in zip(sizes(schedule), ({}, late, {}), strict=False):
            assert_bound_holds(cs.simulate(schedule, nbytes=nbytes, **network(ranks), **more))


@settings(max_examples=50)
@given(st.sampled_from(TABLE), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_no_algorithm_beats_the_bound_on_an_uneven_network(row, ranks, seed):
    if not ADMITS[row.admits](ranks):
        return
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph(name="uneven")
    for a in range(ranks):
        for b in range(a + 1, ranks + 2):
            if b == a + 1 or rng.random() < 0.5:
                for pair in ((a, b), (b, a)):
                    ends = [node if node < ranks else f"s{node}" for node in pair]
                    graph.add_edge(*ends, bandwidth=rng.uniform(1, 9), latency=rng.uniform(0, 9))
    schedule = schedule_of(row, ranks, rng)
    for model in ("maxmin", "alpha-beta"):
        for ordering in ("step", "dataflow"):
            more = {"gamma": rng.uniform(0, 3), "offsets": rng.uniform(0, 20, ranks), "ordering": ordering}
            assert_bound_holds(cs.simulate(schedule, graph, nbytes=sizes(schedule)[-1] and 60, model=model, **more))


# What the table asks for, against the definition: contributions that must come and go, chunk by chunk


def from_the_promise(collective, ranks, chunks, sizes):
    """Return the bytes that each rank must receive and send: those in which others, or it for others, contribute."""
    receive, send = [0] * ranks, [0] * ranks
    for chunk in range(chunks):
        needed_from = set()
        for rank in range(ranks):
            held = collective.outputs(ranks, chunks, rank).tolist()
            if chunk in held:
                promised = np.flatnonzero(collective.after(ranks, chunks, rank)[held.index(chunk)])
                others = set(promised.tolist()) - {rank}
                receive[rank] += bool(others) * sizes[chunk]
                needed_from |= others
        for rank in needed_from:
            send[rank] += sizes[chunk]
    return receive, send


CHUNKS = {"all_to_all": lambda ranks: ranks * ranks, "all_to_allv": lambda ranks: ranks * ranks}
WHOLE = ("all_reduce", "reduce", "broadcast", "scan", "exscan", "barrier")


@pytest.mark.parametrize("ranks", [2, 3, 4, 5])
@pytest.mark.parametrize("name", COLLECTIVES)
def test_ranks_must_move_what_the_definition_says(name, ranks):
    chunks = 1 if name in WHOLE else CHUNKS.get(name, lambda ranks: ranks)(ranks)
    options = [{"root": root} for root in range(ranks)] if name in ("reduce", "broadcast") else [{}]
    if name in ("gather", "scatter"):
        options = [{"root": root} for root in range(ranks)]
    if name in ("gatherv", "scatterv"):
        options = [{"root": root, "counts": [(3 * r + 2) % 5 for r in range(ranks)]} for root in range(ranks)]
    if name in ("all_gatherv", "reduce_scatterv"):
        options = [{"counts": [(3 * r + 2) % 5 for r in range(ranks)]}]
    if name == "all_to_allv":
        options = [{"counts": [[(3 * s + 5 * d) % 4 for d in range(ranks)] for s in range(ranks)]}]
    if name == "send_recv":
        options = [{}, {"to": list(range(ranks))}, {"to": [1, 0, *range(2, ranks)]}]
    for some in options:
        collective = cs.get_collective(name, **some)
        elements = {"barrier": 0}.get(name, 30)
        if "counts" in some:
            elements = int(np.array(some["counts"]).sum(axis=-1).max())
        size = collective.cut(ranks, chunks, elements)
        receive, send = from_the_promise(collective, ranks, chunks, size.tolist())
        demand = DEMANDS[name](collective, ranks, lambda n, c=collective, e=elements: c.cut(ranks, n, e).astype(float))
        assert demand.receive.tolist() == receive
        assert demand.send.tolist() == send
        assert demand.total >= max(sum(receive), sum(send))
        if name != "barrier":  # of which it takes messages without bytes
            nothing = from_the_promise(collective, ranks, chunks, [1] * chunks)
            assert demand.taking_part.tolist() == [bool(a or b) for a, b in zip(*nothing, strict=True)]


def across_from_the_promise(collective, ranks, chunks, sizes, inside):
    """Return the bytes for which a rank outside needs a contribution from inside."""
    total = 0
    for chunk in range(chunks):
        crosses = False
        for rank in np.flatnonzero(~inside).tolist():
            held = collective.outputs(ranks, chunks, rank).tolist()
            if chunk in held:
                crosses |= bool((collective.after(ranks, chunks, rank)[held.index(chunk)] & inside).any())
        total += crosses * sizes[chunk]
    return total


def some_promises(ranks):
    counts = [(3 * r + 2) % 5 for r in range(ranks)]
    for name in COLLECTIVES:
        options = {}
        if name in ("all_gatherv", "reduce_scatterv", "gatherv", "scatterv"):
            options["counts"] = counts
        if name == "all_to_allv":
            options["counts"] = [[(3 * s + 5 * d) % 4 for d in range(ranks)] for s in range(ranks)]
        if name.removesuffix("v") in ("broadcast", "reduce", "gather", "scatter"):
            options["root"] = ranks - 2
        if name == "send_recv":
            options["to"] = [1, 0, *range(3, ranks), 2]
        collective = cs.get_collective(name, **options)
        chunks = 1 if name in WHOLE else CHUNKS.get(name, lambda k: k)(ranks)
        yield collective, chunks, whole_vector(collective, ranks)


@pytest.mark.parametrize("ranks", [4, 5])
def test_bytes_that_must_leave_a_set_are_those_of_the_definition(ranks):
    for collective, chunks, elements in some_promises(ranks):
        nothing = collective.name == "barrier"
        size = [0] * chunks if nothing else collective.cut(ranks, chunks, elements).tolist()
        demand = demand_of(collective, ranks, elements, 1)
        for number in range(2**ranks):
            inside = np.array([bool(number >> rank & 1) for rank in range(ranks)])
            assert demand.leaving(inside) == across_from_the_promise(collective, ranks, chunks, size, inside)
        for rank in range(ranks):
            alone = np.arange(ranks) == rank
            assert demand.leaving(alone) == demand.send[rank], collective
            assert demand.leaving(~alone) == demand.receive[rank], collective


@pytest.mark.parametrize("ranks", [4, 5])
def test_who_hears_of_whom_is_that_of_the_definition(ranks):
    for collective, chunks, elements in some_promises(ranks):
        demand = demand_of(collective, ranks, elements, 1)
        for src in range(ranks):
            alone = np.arange(ranks) == src
            heard = [dst != src and bool(collective.after(ranks, chunks, dst)[:, alone].any()) for dst in range(ranks)]
            assert demand.hearing(src).tolist() == heard, collective


def hearing_table(demand):
    return np.stack([demand.hearing(rank) for rank in range(len(demand.receive))])


def some_groups():
    schedules = [cs.make_schedule("broadcast", "flat", 3, root=1), cs.make_schedule("reduce", "flat", 3)]
    yield cs.on_groups(schedules, [[4, 0, 2], [5, 1, 3]], ranks=7).collective
    yield cs.on_groups(schedules, [[4, 0, 2], [2, 4, 3]], ranks=7).collective  # rank 2 must hear of rank 0 twice over
    yield cs.on_groups(cs.make_schedule("all_reduce", "ring", 3), [[0, 1, 2], [3, 4, 5]], ranks=7).collective


def some_demands(ranks):
    for collective, _, elements in some_promises(ranks):
        yield demand_of(collective, ranks, elements, 1)
    for collective in some_groups():
        yield demand_of(collective, 7, 60)


@pytest.mark.parametrize("ranks", [4, 5, 9])
def test_who_hears_of_whom_is_the_same_asked_from_either_end_and_at_once(ranks):
    for demand in some_demands(ranks):
        table = hearing_table(demand)
        by = np.stack([demand.hearing.by(rank) for rank in range(len(table))])
        assert by.T.tolist() == table.tolist()
        listeners, heard = demand.hearing.counts()
        assert listeners.tolist() == table.sum(axis=1).tolist()
        assert heard.tolist() == table.sum(axis=0).tolist()
        assert demand.hearing.speakers.tolist() == table.any(axis=1).tolist()


@pytest.mark.parametrize("ranks", [4, 5])
def test_no_set_must_send_more_than_the_most(ranks):
    for demand in some_demands(ranks):
        total = len(demand.receive)
        sets = [np.array([bool(number >> rank & 1) for rank in range(total)]) for number in range(2**total)]
        assert max(map(demand.leaving, sets)) <= demand.most
        if demand.traffic is None and demand.most < np.inf:
            assert max(map(demand.leaving, sets)) == demand.most


def test_what_all_move_together_is_known_without_every_rank_as_a_set():
    for demand in some_demands(5):
        if demand.together is not None:
            assert demand.together == demand.among(list(np.eye(len(demand.receive), dtype=bool)))


def test_what_a_rank_has_for_each_other_alone_adds_up():
    for collective, _, elements in some_promises(5):
        demand = demand_of(collective, 5, elements, 1)
        if demand.traffic is not None:
            assert demand.traffic.sum(axis=0).tolist() == demand.receive.tolist()
            assert demand.traffic.sum(axis=1).tolist() == demand.send.tolist()
    assert demand_of(cs.get_collective("all_gather"), 5, 25).traffic is None


def test_the_cuts_that_matter_are_asked_for():
    # Over all sets of ranks, no set asks more of itself than one that leaves out a target of some question does.
    for collective, _, elements in some_promises(4):
        questions = supplies(collective, 4)
        if questions is None or collective.name == "barrier":
            continue
        demand = demand_of(collective, 4, elements, 1)
        scale = 1 if "counts" in collective.options else elements if collective.name in WHOLE else elements // 4
        for number in range(1, 15):
            inside = np.array([bool(number >> rank & 1) for rank in range(4)])
            asked = []
            for weights, targets, reverse in questions:
                side = ~inside if reverse else inside
                if not all(side[list(targets)]):
                    asked.append(scale * sum(weight for weight, within in zip(weights, side, strict=True) if within))
            assert max(asked, default=0) == demand.leaving(inside), collective


def test_bytes_of_all_together_are_those_of_the_best_algorithms():
    # A bound that is too high would exclude an algorithm that exists: none may send less.
    for row, ranks in CASES:
        schedule = schedule_of(row, ranks, np.random.default_rng(1))
        nbytes = sizes(schedule)[-1]
        payload = schedule.message_bytes(nbytes)
        demand = DEMANDS[row.collective](
            schedule.collective, ranks, lambda n, s=schedule, b=nbytes: s.collective.shares(s.ranks, n) * b
        )
        received = np.bincount(schedule.dst, weights=payload, minlength=ranks)
        sent = np.bincount(schedule.src, weights=payload, minlength=ranks)
        slack = 1 + 1e-9
        assert (demand.receive <= received * slack).all(), row.name
        assert (demand.send <= sent * slack).all(), row.name
        assert demand.total <= payload.sum() * slack, row.name
        assert demand.added <= payload[schedule.op == cs.Op.REDUCE].sum() * slack, row.name


# Where it is reached


@pytest.mark.parametrize("ranks", [2, 3, 8])
@pytest.mark.parametrize(
    ("collective", "algorithm"),
    [
        ("all_gather", "ring"),
        ("reduce_scatter", "ring"),
        ("all_to_all", "pairwise"),
        ("all_to_all", "spread"),
        ("all_reduce", "ring"),
        ("gather", "flat"),
        ("scatter", "flat"),
        ("send_recv", "direct"),
    ],
)
def test_algorithms_that_are_optimal_in_bandwidth_reach_it(collective, algorithm, ranks):
    schedule = cs.make_schedule(collective, algorithm, ranks)
    for network in ({"alpha": 0, "beta": 1e-10}, {"topology": cs.star(ranks, "10GB/s", 0)}):
        result = cs.simulate(schedule, nbytes=840_000, **network)
        assert result.efficiency == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("alpha", [0, 5e-6])
def test_one_message_alone_reaches_it(alpha):
    for row in TABLE:
        if row.collective not in ("barrier", "all_reduce") and ADMITS[row.admits](2):
            schedule = schedule_of(row, 2, np.random.default_rng(4))
            if schedule.messages == 1 and sizes(schedule) != (0,):
                result = cs.simulate(schedule, alpha=alpha, beta=1e-10, nbytes=10_000)
                assert result.efficiency == pytest.approx(1, rel=1e-9), row.name


# Each by hand: alpha 5 s, beta 1 s/B, n = 12 B, K = 4


@pytest.mark.parametrize(
    ("name", "options", "seconds", "reason"),
    [
        ("all_reduce", {}, 5 + 18, "all ranks receive 2(K-1)n bytes together"),
        ("reduce", {"root": 2}, 5 + 12, "rank 2 must receive n bytes"),
        ("broadcast", {"root": 1}, 5 + 12, "rank 0 must receive n bytes"),
        ("all_gather", {}, 5 + 9, "the slowest rank must receive all parts but its own"),
        ("reduce_scatter", {}, 5 + 9, "the slowest rank must send all parts but its own"),
        ("gather", {"root": 3}, 5 + 9, "rank 3 must receive all parts but its own"),
        ("scatter", {"root": 3}, 5 + 9, "rank 3 must send all parts but its own"),
        ("all_to_all", {}, 5 + 9, "the slowest rank must receive what all others have for it"),
        ("send_recv", {"to": [0, 2, 1, 3]}, 5 + 12, "rank 1 must receive n bytes"),
        ("send_recv", {"to": [0, 1, 2, 3]}, 0, "no rank needs anything from another"),
        ("scan", {}, 5 + 12, "rank 1 must receive n bytes"),
        ("exscan", {}, 5 + 12, "rank 1 must receive n bytes"),
        ("all_gatherv", {"counts": [6, 0, 3, 3]}, 5 + 12, "rank 1 must receive all parts but its own"),
        ("reduce_scatterv", {"counts": [6, 0, 3, 3]}, 5 + 12, "rank 1 must send all parts but its own"),
        ("gatherv", {"counts": [6, 0, 3, 3], "root": 0}, 5 + 6, "rank 0 must receive all parts but its own"),
        ("scatterv", {"counts": [6, 0, 3, 3], "root": 1}, 5 + 12, "rank 1 must send all parts but its own"),
        (
            "all_to_allv",
            {"counts": [[0, 6, 6, 0], [0] * 4, [0, 6, 6, 0], [0] * 4]},
            5 + 12,
            "rank 1 must receive what all others have for it",
        ),
    ],
)
def test_each_bound_by_hand(name, options, seconds, reason):
    found = lower_bound(cs.get_collective(name, **options), 4, 12, AlphaBeta(5, 1))
    assert found.seconds == pytest.approx(seconds, rel=1e-12)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("name", "terms"),
    [("reduce", 3), ("reduce_scatter", 3), ("all_reduce", 3), ("scan", 3), ("exscan", 2), ("broadcast", 0)],
)
def test_additions_by_hand(name, terms):
    # 12 B at 100 s/B, on four processors.
    found = lower_bound(cs.get_collective(name), 4, 12, AlphaBeta(5, 0), gamma=100)
    assert found.seconds == pytest.approx(5 + terms * 12 * 100 / 4, rel=1e-12)
    if terms:
        assert found.reason == f"all ranks add (K-{4 - terms})n bytes together"


def test_a_barrier_takes_one_latency():
    assert lower_bound(cs.get_collective("barrier"), 4, 0, AlphaBeta(5, 1)).seconds == 5
    # All tell all at once: it can be done.
    plan = cs.ScheduleBuilder("barrier", 4)
    src, dst = np.nonzero(~np.eye(4, dtype=bool))
    plan.reduce(step=0, src=src, dst=dst)
    cs.verify(plan.build())
    result = cs.simulate(plan.build(), alpha=5, beta=1, nbytes=0)
    assert result.time == result.bound.seconds == 5


def test_a_rank_that_takes_no_part_may_come_late_and_then_is_the_last():
    schedule = cs.make_schedule("send_recv", "direct", 4, to=[1, 0, 2, 3])
    for late, end in ((10, 2 + 5 + 8), (100, 100)):
        result = cs.simulate(schedule, alpha=5, beta=1, nbytes=8, offsets=[0, 2, late, late])
        assert result.time == result.bound.seconds == end


def test_a_rank_that_needs_no_bytes_still_has_to_be_there():
    schedule = cs.make_schedule("scatter", "flat", 3, root=0)
    result = cs.simulate(schedule, alpha=5, beta=1, nbytes=0, offsets=[0, 0, 7])
    assert result.time == result.bound.seconds == 7 + 5


def test_nothing_moves_before_two_ranks_have_started():
    schedule = cs.make_schedule("all_reduce", "ring", 4)
    result = cs.simulate(schedule, alpha=5, beta=1, nbytes=8, offsets=[0, 50, 50, 50])
    assert result.bound.seconds == 50 + 5 + 2 * 3 / 4 * 8


def test_whole_elements_count_where_parts_are_cut_between_them():
    # Five elements of 4 B on four ranks: parts of 8, 4, 4 and 4 B. Rank 0, the slow one, needs the other three only.
    star = cs.star(4, 8.0, 0.0)
    links = [cs.Link(link.tail, link.head, 1.0 if link.head == 0 else 8.0, 0.0) for link in star.links]
    slow = cs.Topology("one slow rank", 4, links)
    schedule = cs.make_schedule("all_gather", "ring", 4)
    model = cs.models.MaxMin(slow)
    assert lower_bound(schedule.collective, 4, 20, model).seconds == 15
    assert lower_bound(schedule.collective, 4, 20, model, itemsize=4).seconds == 12


def test_of_a_collective_of_your_own_nothing_is_claimed():
    own = cs.Collective(
        "mine", "", *(getattr(cs.get_collective("all_reduce"), n) for n in ("before", "after", "bus_factor"))
    )
    found = lower_bound(own, 4, 12, AlphaBeta(5, 1))
    assert (found.seconds, found.reason) == (0, "no bound is known for mine")


def test_one_rank_has_nothing_to_do():
    for name in set(COLLECTIVES) - {name for name in COLLECTIVES if name.endswith("v") and name != "send_recv"}:
        assert lower_bound(cs.get_collective(name), 1, 0, AlphaBeta(5, 1)).seconds == 0


# Groups


def ring(ranks):
    return cs.make_schedule("all_reduce", "ring", ranks)


def test_groups_together_need_what_each_needs():
    groups = [[0, 1, 2], [5, 4, 3]]
    schedule = cs.on_groups(ring(3), groups, ranks=6)
    for network in ({"alpha": 0, "beta": 1}, {"topology": cs.star(6, 1.0, 0)}):
        result = cs.simulate(schedule, nbytes=12, **network)
        assert result.time == pytest.approx(result.bound.seconds, rel=1e-12)
        assert result.bound.seconds == pytest.approx(2 * 2 / 3 * 12, rel=1e-12)
    assert result.bound.reason == "all ranks receive all that the groups must move together"


def test_ranks_outside_might_help_so_their_ports_count_too():
    schedule = cs.on_groups(ring(3), [[0, 1, 2]], ranks=6)
    # 2 (K-1) n = 48 B through six ports is 8 s; but each of the three must receive its 12 B.
    bound = cs.simulate(schedule, alpha=0, beta=1, nbytes=12).bound
    assert bound.seconds == 12
    assert bound.reason == "rank 0 must receive what its groups have for it"


def test_ranks_of_groups_of_one_and_of_none_have_nothing_to_do():
    schedule = cs.on_groups([ring(2), ring(1)], [[0, 1], [2]], ranks=4)
    result = cs.simulate(schedule, alpha=5, beta=1, nbytes=8, offsets=[0, 1, 3, 4])
    assert result.bound.seconds == 1 + 5 + 8
    assert result.time == 1 + 2 * (5 + 4)
    alone = cs.on_groups(ring(1), [[2]], ranks=4)
    assert cs.simulate(alone, alpha=5, beta=1, nbytes=8).bound.seconds == 0
    late = cs.simulate(alone, alpha=5, beta=1, nbytes=8, offsets=[0, 0, 0, 7])
    assert (late.bound.seconds, late.bound.reason) == (7, "no rank needs anything from another")


def test_a_rank_in_two_groups_must_move_for_both():
    schedule = cs.on_groups([ring(2), ring(2)], [[0, 1], [1, 2]], ranks=3)
    bound = cs.simulate(schedule, alpha=0, beta=1, nbytes=20).bound
    assert Fraction(bound.seconds) == 20  # rank 1: 10 B for either vector
    assert bound.reason == "rank 1 must receive what its groups have for it"


def test_groups_of_a_collective_of_your_own_have_no_bound():
    own = cs.Collective(
        "mine", "", *(getattr(cs.get_collective("all_reduce"), n) for n in ("before", "after", "bus_factor"))
    )
    plan = cs.ScheduleBuilder(own, 2)
    plan.reduce(step=0, src=[0, 1], dst=[1, 0])
    schedule = cs.on_groups([plan.build(), ring(2)], [[0, 1], [2, 3]], ranks=4)
    assert cs.simulate(schedule, alpha=5, beta=1, nbytes=8).bound.seconds == 0


@settings(max_examples=50)
@given(st.data())
def test_no_groups_beat_their_bound(data):
    ranks = data.draw(st.integers(2, 8))
    rows = [row for row in TABLE if "counts" not in row.options and row.collective != "barrier"]
    groups, parts = [], []
    for _ in range(data.draw(st.integers(1, 4))):
        group = data.draw(st.permutations(range(ranks)))[: data.draw(st.integers(1, ranks))]
        row = data.draw(st.sampled_from([row for row in rows if ADMITS[row.admits](len(group))]))
        groups.append(group)
        parts.append(cs.make_schedule(row.collective, row.name, len(group)))
    schedule = cs.on_groups(parts, groups, ranks)
    cs.verify(schedule)
    offsets = [data.draw(st.sampled_from([0, 1e-6, 1e-3])) for _ in range(ranks)]
    for network in NETWORKS.values():
        assert_bound_holds(cs.simulate(schedule, nbytes=1_000_000, gamma=2e-10, offsets=offsets, **network(ranks)))

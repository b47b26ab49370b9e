"""When things happen: ports, processors, ties and fair shares; and that the engines agree."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from unittest import mock

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.engines import ENGINES, choose_engine, events, maxmin, stepwise
from collsim.engines.maxmin import max_min_shares
from collsim.graph import MoveGraph, Waiting, lower
from collsim.models import MODELS, AlphaBeta, MaxMin
from collsim.topology import Route

TIMES = ("ready", "start", "arrive", "finish", "sent")


def graph_of(src, dst, nbytes, *, ranks=4, release=None, work=None, transfer=None, edges=()):
    """Moves that wait for nothing but what `edges` says."""
    moves = len(src)
    return MoveGraph(
        ranks=ranks,
        transfer=np.ones(moves, dtype=bool) if transfer is None else np.array(transfer),
        src=np.array(src, dtype=np.int32),
        dst=np.array(dst, dtype=np.int32),
        nbytes=np.array(nbytes, dtype=float),
        work=np.zeros(moves) if work is None else np.array(work, dtype=float),
        release=np.tile(np.zeros(moves) if release is None else np.array(release, dtype=float), (2, 1)),
        dependencies=lambda: Waiting(0, np.array(edges, dtype=np.int64).reshape(-1, 2)),
    )


def start_and_finish(timeline):
    return list(zip(timeline.start.tolist(), timeline.finish.tolist(), strict=True))


def both(schedule, nbytes, *, alpha=1.0, beta=1.0, gamma=0.0, offsets=None):
    """Run both engines, see that they agree to the last bit, and return start and finish of each move."""
    starts = None if offsets is None else np.array(offsets, dtype=float)
    graph = lower(schedule, schedule.message_bytes(nbytes), gamma=gamma, offsets=starts)
    one, other = (engine.run(graph, AlphaBeta(alpha, beta)) for engine in (events, stepwise))
    for name in TIMES:
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    return start_and_finish(one)


def plan_of(*moves, ranks=4, chunks=1):
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks)
    for kind, *where in moves:
        getattr(plan, kind)(*where)
    return plan.build()


# Ports (alpha-beta)


def test_a_message_alone_takes_alpha_and_its_bytes():
    assert both(plan_of(("copy", 0, 0, 1)), 5, alpha=2.0, beta=0.5) == [(0, 2 + 2.5)]


def test_a_send_port_serves_one_message_at_a_time_and_latency_overlaps_with_the_next():
    schedule = plan_of(("copy", 0, 0, [1, 2, 3]))
    assert both(schedule, 2, alpha=10.0) == [(0, 12), (2, 14), (4, 16)]


def test_a_receive_port_serves_one_message_at_a_time_and_does_not_hold_up_the_senders():
    schedule = plan_of(("copy", 0, [1, 2, 3], 0), ("copy", 0, 3, 1))
    # Three heads come at 10; rank 3 has sent its first by 2 and then sends its second.
    assert both(schedule, 2, alpha=10.0) == [(0, 12), (0, 14), (0, 16), (2, 14)]


def test_sending_and_receiving_go_on_at_once():
    assert both(plan_of(("copy", 0, [0, 1], [1, 0])), 3) == [(0, 4), (0, 4)]


def test_those_who_come_at_one_instant_are_served_by_row():
    schedule = plan_of(("copy", 0, [3, 1, 2], 0), ("copy", 0, 0, [3, 2, 1]))
    assert both(schedule, 2) == [(0, 3), (0, 5), (0, 7), (0, 3), (2, 5), (4, 7)]


def test_who_comes_first_is_served_first_whatever_the_row():
    schedule = plan_of(("copy", 0, 1, 0), ("copy", 0, 2, 0))
    assert both(schedule, 2, offsets=[0, 0.5, 0, 0]) == [(0.5, 5), (0, 3)]


def test_a_message_without_bytes_takes_alpha_alone_and_no_port():
    schedule = plan_of(("copy", 0, 0, [1, 2, 3]))
    assert both(schedule, 0, alpha=3.0) == [(0, 3)] * 3


def test_a_topology_gives_alpha_and_beta_of_each_pair_and_only_ports_are_shared():
    net = cs.Topology("line", 3, [cs.Link(0, 1, 4.0, 1.0), cs.Link(1, 2, 2.0, 3.0), cs.Link(2, 0, 1.0, 0.5)])
    schedule = plan_of(("copy", 0, 0, 2), ("copy", 0, 1, 2), ranks=3)
    graph = lower(schedule, schedule.message_bytes(4))
    for engine in (events, stepwise):
        # 0 -> 2: alpha 1 + 3, beta 1/2; 1 -> 2: alpha 3, beta 1/2. The second head comes first.
        timeline = engine.run(graph, AlphaBeta(topology=net))
        assert start_and_finish(timeline) == [(0, 7), (0, 5)]


# Processors


def test_a_reduction_costs_its_receiver_gamma_a_byte_after_it_has_arrived():
    schedule = plan_of(("reduce", 0, 0, 1), ("copy", 0, 2, 3))
    assert both(schedule, 4, gamma=0.25) == [(0, 6), (0, 5)]


def test_the_reductions_of_a_rank_take_turns():
    schedule = plan_of(("reduce", 0, [1, 2, 3], 0))
    # Arrivals at 2, 3, 4; the processor is busy for 5 with each.
    assert both(schedule, 1, gamma=5.0) == [(0, 7), (0, 12), (0, 17)]


def test_the_work_of_a_rank_takes_turns_by_row_and_ranks_do_not_wait_for_each_other():
    schedule = plan_of(("compute", 0, 1, 3.0), ("compute", 0, 0, 1.0), ("compute", 0, 1, 2.0))
    assert both(schedule, 0) == [(0, 3), (0, 1), (3, 5)]


def test_work_and_reductions_share_one_processor_first_come_first_served():
    schedule = plan_of(("reduce", 0, 0, 1), ("compute", 0, 1, 3.0), ("compute", 0, 1, 3.0), ("reduce", 0, 2, 1))
    # The two works come at 0: until 6. Reductions come at 2 and 3: from 6 on, 10 s each.
    assert both(schedule, 1, gamma=10.0) == [(0, 16), (0, 3), (3, 6), (0, 26)]


def test_work_and_a_reduction_at_one_instant_are_served_by_row():
    offsets = [0, 0, 0, 2]
    first = plan_of(("reduce", 0, 0, 3), ("compute", 0, 3, 3.0))
    # The message starts at 2 when rank 3 does and comes at 4, when the work is still on until 5.
    assert both(first, 1, gamma=1.0, offsets=offsets) == [(2, 6), (2, 5)]
    plan = plan_of(("compute", 0, 0, 2.0), ("reduce", 0, 1, 0), ("compute", 0, 0, 3.0))
    # The reduction arrives at 2, when the first work ends; the second has waited since 0.
    assert both(plan, 1, gamma=1.0) == [(0, 2), (0, 6), (2, 5)]


def test_a_port_is_free_while_the_processor_works():
    schedule = plan_of(("compute", 0, 0, 9.0), ("copy", 0, 0, 1), ("copy", 0, 2, 0))
    assert both(schedule, 1) == [(0, 9), (0, 2), (0, 2)]


# The engines agree

eighths = st.integers(0, 40).map(lambda eighth: eighth / 8)  # exact in binary: ties are real ties
positive = st.integers(1, 40).map(lambda eighth: eighth / 8)
numbers = st.floats(1e-3, 10)
or_none = st.just(0.0) | numbers


def assert_engines_agree(schedule, payload, alpha, beta, gamma, offsets):
    graph = lower(schedule, payload, gamma=gamma, offsets=offsets)
    model = AlphaBeta(alpha, beta)
    one, other = events.run(graph, model), stepwise.run(graph, model)
    for name in TIMES:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=0, err_msg=name)
    assert not np.isnan(one.finish).any()


@settings(max_examples=150)
@given(oracles.schedules(), st.integers(0, 12), positive, eighths, eighths, st.lists(eighths, min_size=5, max_size=5))
def test_stepwise_and_events_agree_on_any_schedule_with_ties(schedule, elements, alpha, beta, gamma, offsets):
    payload = schedule.message_bytes(elements, itemsize=1)  # some messages have no bytes, some one more
    assert_engines_agree(schedule, payload, alpha, beta, gamma, np.array(offsets)[: schedule.ranks])


@given(oracles.schedules(), or_none, numbers, or_none, or_none)
def test_stepwise_and_events_agree_on_any_schedule_and_numbers(schedule, nbytes, alpha, beta, gamma):
    assert_engines_agree(schedule, schedule.message_bytes(1) * nbytes, alpha, beta, gamma, None)


@given(oracles.schedules(), positive, positive)
def test_stepwise_and_events_agree_without_latency(schedule, nbytes, beta):
    assert_engines_agree(schedule, schedule.message_bytes(1) * nbytes, 0.0, beta, 0.5, None)


@given(oracles.schedules(ranks=5), st.integers(0, 2**32 - 1))
def test_stepwise_and_events_agree_on_a_topology(schedule, seed):
    rng = np.random.default_rng(seed)
    links = [
        cs.Link(a, b, int(rng.integers(1, 9)), int(rng.integers(1, 9)) / 8)
        for a in range(schedule.ranks)
        for b in range(schedule.ranks)
        if a != b
    ]
    graph = lower(schedule, schedule.message_bytes(8), gamma=0.25)
    model = AlphaBeta(topology=cs.Topology("random", schedule.ranks, links))
    one, other = events.run(graph, model), stepwise.run(graph, model)
    for name in TIMES:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=0, err_msg=name)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 8, 17, 33])
@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_stepwise_and_events_agree_on_the_algorithms(algorithm, ranks, rng):
    schedule = cs.make_schedule("all_reduce", algorithm, ranks=ranks)
    offsets = rng.random(ranks) * 1e-3
    for itemsize in (None, 4):
        payload = schedule.message_bytes(4 * 1001, itemsize)
        assert_engines_agree(schedule, payload, 5e-6, 1e-10, 3e-10, offsets)


def test_a_difference_between_the_engines_would_be_noticed(monkeypatch):
    schedule = plan_of(("copy", 0, [1, 2, 3], 0))
    assert_engines_agree(schedule, schedule.message_bytes(2), 1.0, 1.0, 0.0, None)
    right = stepwise.run

    def slightly_wrong(graph, model):
        timeline = right(graph, model)
        timeline.finish[1] *= 1 + 1e-8
        return timeline

    monkeypatch.setattr(stepwise, "run", slightly_wrong)
    with pytest.raises(AssertionError, match="finish"):
        assert_engines_agree(schedule, schedule.message_bytes(2), 1.0, 1.0, 0.0, None)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_ties_are_settled_by_row_after_messages_that_take_no_time(beta):
    # Row 0 has no bytes and alpha is 0, so both messages of rank 1 are ready at 0, the lower row second.
    schedule = plan_of(("copy", 0, 0, 2, 2), ("copy", 1, 1, 2), ("copy", 1, 1, 3, 1), chunks=3)
    assert schedule.message_bytes(2, itemsize=1).tolist() == [0, 1, 1]
    if beta:
        assert_engines_agree(schedule, schedule.message_bytes(2, itemsize=1), 0.0, beta, 0.0, None)
    else:
        schedule = plan_of(("reduce", 0, 0, 1), ("compute", 0, 1, 3.0))
        assert_engines_agree(schedule, schedule.message_bytes(2), 0.0, 0.0, 1.0, None)


def test_a_release_that_is_waited_for_is_met_to_the_last_bit():
    # 0.3 + (0.9 - 0.3) is not 0.9. Rows 1 and 2 both wait for rank 2, which starts at 0.9.
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 1, 2), ("copy", 1, 3, 2))
    payload = np.array([0.25, 5.0, 1.0])
    assert_engines_agree(schedule, payload, 0.05, 1.0, 0.0, np.array([0.0, 0.0, 0.9, 0.0]))


def test_ties_are_settled_by_row_where_a_message_that_takes_no_time_stands_before():
    # At 2 rank 0's send port is free for row 3, which came at 0, has no bytes and is gone at once, and then for
    # row 1, which came at 1. So rows 1 and 2 both reach rank 4 at 2.
    schedule = plan_of(("copy", 0, 0, [1, 4]), ("copy", 0, 3, 4), ("copy", 0, 0, 2), ranks=5)
    assert_engines_agree(schedule, np.array([2.0, 1.0, 1.0, 0.0]), 0.0, 1.0, 0.0, np.array([0.0, 0.0, 0.0, 2.0, 1.0]))


# Max-min fair shares


def assert_fair(routes, bandwidth, rates, fatpipe=None):
    """The definition: nothing exceeds a link, and each flow has a bottleneck.

    A flow that crosses a link twice counts twice there; on a fatpipe every flow counts alone.
    """
    shared = [fatpipe is None or not fatpipe[link] for link in range(len(bandwidth))]
    used = [
        sum(rate * route.count(link) for route, rate in zip(routes, rates, strict=True))
        for link in range(len(bandwidth))
    ]
    for link, capacity in enumerate(bandwidth):
        alone = [rate for route, rate in zip(routes, rates, strict=True) if link in route]
        load = used[link] if shared[link] else max(alone, default=0)
        assert load <= capacity * (1 + 1e-9), "a link carries more than it can"
    for route, rate in zip(routes, rates, strict=True):
        assert any(
            used[link] >= bandwidth[link] * (1 - 1e-9)
            and all(other <= rate * (1 + 1e-9) for path, other in zip(routes, rates, strict=True) if link in path)
            if shared[link]
            else rate >= bandwidth[link] * (1 - 1e-9)
            for link in route
        ), "a flow has no bottleneck: a full link on which no other is faster"


def with_private_links(routes, bandwidth, fatpipe):
    """The same flows without fatpipes: each crossing of one is a link that no other flow crosses."""
    bandwidth, found = list(bandwidth), []
    for route in routes:
        found.append([])
        for link in route:
            found[-1].append(len(bandwidth) if fatpipe[link] else link)
            if fatpipe[link]:
                bandwidth.append(bandwidth[link])
    return found, bandwidth


@st.composite
def flows(draw, most=8):
    """Routes over links, bandwidths, and which links are fatpipes; a route may cross a link several times."""
    links = draw(st.integers(1, 6))
    number = st.integers(0, links - 1)
    once = draw(st.booleans())
    routes = draw(st.lists(st.lists(number, min_size=1, max_size=6, unique=once), min_size=1, max_size=most))
    speed = draw(st.sampled_from([st.integers(1, 8).map(float), st.floats(1e-3, 1e12)]))
    fatpipe = draw(st.none() | st.lists(st.booleans(), min_size=links, max_size=links))
    return routes, draw(st.lists(speed, min_size=links, max_size=links)), fatpipe


@settings(max_examples=150)
@given(flows())
def test_shares_are_max_min_fair(drawn):
    routes, bandwidth, fatpipe = drawn
    assert_fair(routes, bandwidth, max_min_shares(routes, bandwidth, fatpipe), fatpipe)


@given(flows())
def test_shares_are_those_of_exact_arithmetic(drawn):
    routes, bandwidth, fatpipe = drawn
    private, speeds = (routes, bandwidth) if fatpipe is None else with_private_links(routes, bandwidth, fatpipe)
    exact = oracles.max_min(private, [Fraction(speed) for speed in speeds])
    assert max_min_shares(routes, bandwidth, fatpipe) == pytest.approx([float(rate) for rate in exact], rel=1e-12)


@given(flows(), st.randoms(use_true_random=False))
def test_shares_do_not_depend_on_the_order_of_the_flows(drawn, random):
    routes, bandwidth, fatpipe = drawn
    order = list(range(len(routes)))
    random.shuffle(order)
    rates = max_min_shares(routes, bandwidth, fatpipe)
    again = max_min_shares([list(reversed(routes[flow])) for flow in order], bandwidth, fatpipe)
    assert again == [rates[flow] for flow in order]


def test_a_flow_that_crosses_a_link_twice_takes_twice_its_rate_of_it():
    assert max_min_shares([[0, 0]], [6.0]) == [3.0]
    assert max_min_shares([[0], [0, 0]], [6.0]) == [2.0, 2.0]
    # The second is held back by its own slow link and leaves 6 - 2 of the first.
    assert max_min_shares([[0], [0, 0, 1]], [6.0, 1.0]) == [4.0, 1.0]


def test_nobody_shares_a_fatpipe():
    assert max_min_shares([[0], [0], [0, 0]], [6.0], fatpipe=[True]) == [6.0, 6.0, 6.0]
    assert max_min_shares([[0, 1], [0, 1], [0]], [6.0, 10.0], fatpipe=[True, False]) == [5.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("rates", "fault"),
    [
        ([4.0, 1.0, 5.0], None),
        ([4.5, 1.0, 5.0], "more than it can"),  # 4.5 + 2 * 1 on link 0
        ([4.0, 1.0, 5.5], "more than it can"),  # of the fatpipe
        ([3.0, 1.0, 5.0], "no bottleneck"),
        ([4.0, 1.0, 4.0], "no bottleneck"),
    ],
)
def test_unfair_shares_of_links_crossed_twice_and_of_fatpipes_would_be_noticed(rates, fault):
    routes, bandwidth, fatpipe = [[0], [0, 0, 1], [2]], [6.0, 1.0, 5.0], [False, False, True]
    if fault is None:
        assert max_min_shares(routes, bandwidth, fatpipe) == rates
        assert_fair(routes, bandwidth, rates, fatpipe)
    else:
        with pytest.raises(AssertionError, match=fault):
            assert_fair(routes, bandwidth, rates, fatpipe)


@pytest.mark.parametrize(
    ("rates", "fault"),
    [
        ([8.0, 2.0], None),
        ([8.0, 2.5], "more than it can"),
        ([5.0, 2.0], "no bottleneck"),  # flow 0 could be faster
        ([9.0, 1.0], "no bottleneck"),  # flow 1 is held back by a faster one
    ],
)
def test_unfair_shares_would_be_noticed(rates, fault):
    routes, bandwidth = [[0], [0, 1]], [10.0, 2.0]
    if fault is None:
        assert_fair(routes, bandwidth, rates)
    else:
        with pytest.raises(AssertionError, match=fault):
            assert_fair(routes, bandwidth, rates)


# Five flows over a chain 0 -> 1 -> 2 -> 3 of links L0, L1, L2 with 10, 6 and 5 bytes a second:
#
#   A: 0 -> 1 (L0)   B: 0 -> 2 (L0, L1)   C: 1 -> 2 (L1)   D: 1 -> 3 (L1, L2)   E: 2 -> 3 (L2)
CHAIN = [[0], [0, 1], [1], [1, 2], [2]]
SPEEDS = [10.0, 6.0, 5.0]


def test_the_shares_of_five_flows_over_a_chain_are_those_worked_out_by_hand():
    # Per flow L0 has 10/2, L1 6/3, L2 5/2. The least is L1: B = C = D = 2. Then A = 10 - 2, E = 5 - 2.
    assert max_min_shares(CHAIN, SPEEDS) == pytest.approx([8, 2, 2, 2, 3], rel=1e-12)


def test_five_flows_over_a_chain_finish_when_worked_out_by_hand():
    # Bytes: A 16, B 6, C 2, D 6, E 12.
    # From 0, rates 8 2 2 2 3: C is the first to end, at 1. Left: A 8, B 4, D 4, E 9.
    # From 1: L2 has 5/2 for D and E, the least; L1 then has 6 - 5/2 = 7/2 for B; L0 10 - 7/2 = 13/2 for A.
    #   B ends at 1 + 4/(7/2) = 15/7. Left: A 8 - 13/2*8/7 = 4/7, D 4 - 5/2*8/7 = 8/7, E 9 - 20/7 = 43/7.
    # From 15/7: A alone on L0 at 10 ends 2/35 later, at 11/5. D and E keep 5/2: D ends 16/35 later, at 13/5.
    # From 13/5: E has left 43/7 - 5/2*16/35 = 5, alone at 5: ends at 18/5.
    net = cs.Topology("chain", 4, [cs.Link(i, i + 1, speed, 0.0) for i, speed in enumerate(SPEEDS)])
    graph = graph_of([0, 0, 1, 1, 2], [1, 2, 2, 3, 3], [16, 6, 2, 6, 12])
    timeline = events.run(graph, MaxMin(net))
    assert timeline.finish.tolist() == pytest.approx([11 / 5, 15 / 7, 1, 13 / 5, 18 / 5], rel=1e-12)
    assert timeline.start.tolist() == [0] * 5
    # L0 and L2 are full from the first byte to the last, so their bytes over their bandwidth is when they end.
    assert timeline.finish[0] == pytest.approx((16 + 6) / 10, rel=1e-12)
    assert timeline.finish[4] == pytest.approx((6 + 12) / 5, rel=1e-12)


def test_a_message_alone_takes_its_latencies_and_its_bytes_over_the_least_bandwidth():
    net = cs.Topology("line", 3, [cs.Link(0, 1, 8.0, 1.0), cs.Link(1, 2, 2.0, 0.5)])
    timeline = events.run(graph_of([0], [2], [6], ranks=3), MaxMin(net))
    assert (timeline.start[0], timeline.finish[0]) == (0, 1 + 0.5 + 6 / 2)


def test_a_message_uses_no_bandwidth_during_its_latency():
    # Two on one link of 1 B/s with latencies 0 and 3 by different first links: the first has it alone until 3.
    links = [cs.Link(0, 2, 9.0, 0.0), cs.Link(1, 2, 9.0, 3.0), cs.Link(2, 3, 1.0, 0.0)]
    timeline = events.run(graph_of([0, 1], [3, 3], [4, 4]), MaxMin(cs.Topology("merge", 4, links)))
    # From 3 on each has 1/2: the first ends its last byte at 5, the second has 3 left and the link alone.
    assert timeline.finish.tolist() == [5, 8]


def test_a_message_without_bytes_takes_its_latency_and_no_share():
    net = cs.Topology("pair", 2, [cs.Link(0, 1, 1.0, 2.0)])
    timeline = events.run(graph_of([0, 0], [1, 1], [0, 3], ranks=2), MaxMin(net))
    assert timeline.finish.tolist() == [2, 5]


@st.composite
def traffic(draw):
    """Messages between ranks of a chain, released at different times."""
    moves = draw(st.integers(1, 7))
    speeds = [draw(st.integers(1, 12)) for _ in range(3)]
    src = [draw(st.integers(0, 2)) for _ in range(moves)]
    dst = [draw(st.integers(s + 1, 3)) for s in src]
    nbytes = [draw(st.integers(0, 30)) for _ in range(moves)]
    release = [draw(st.integers(0, 24)) / 8 for _ in range(moves)]
    return speeds, src, dst, nbytes, release


@settings(max_examples=200)
@given(traffic())
def test_messages_finish_when_exact_arithmetic_says(drawn):
    speeds, src, dst, nbytes, release = drawn
    delays = [0.5, 0.25, 1.0]
    net = cs.Topology("chain", 4, [cs.Link(i, i + 1, float(speeds[i]), delays[i]) for i in range(3)])
    timeline = events.run(graph_of(src, dst, nbytes, release=release), MaxMin(net))
    routes = [list(range(s, d)) for s, d in zip(src, dst, strict=True)]
    begin = [Fraction(r) + sum(Fraction(delays[i]) for i in route) for r, route in zip(release, routes, strict=True)]
    exact = oracles.fluid_finish(routes, [Fraction(s) for s in speeds], [Fraction(n) for n in nbytes], begin)
    assert timeline.start.tolist() == release
    assert timeline.finish.tolist() == pytest.approx([float(end) for end in exact], rel=1e-9)


# Random networks with half-duplex cables, fatpipes and spread routes


def both_ways(topology, src, dst):
    """Round a ring of cables, 2i upwards and 2i+1 downwards from rank i+1: a quarter of the bytes the one way."""
    ranks = topology.ranks
    up = tuple(2 * ((src + i) % ranks) for i in range((dst - src) % ranks))
    down = tuple(2 * ((src - 1 - i) % ranks) + 1 for i in range((src - dst) % ranks))
    return [Route(0.25, up), Route(0.75, down)]


@st.composite
def random_traffic(draw):
    """A ring of cables and some links across it; messages between any ranks, released at any time."""
    ranks = draw(st.integers(3, 6))
    speed, delay = st.integers(1, 9), st.integers(0, 8).map(lambda eighth: eighth / 8)
    links = []
    for i in range(ranks):
        kind = draw(st.sampled_from(["cable", "half-duplex", "bus", "fatpipe"]))
        medium = {"half-duplex": f"wire {i}", "bus": "bus"}.get(kind)
        rate = 3.0 if kind == "bus" else float(draw(speed))
        for tail, head in ((i, (i + 1) % ranks), ((i + 1) % ranks, i)):
            links.append(cs.Link(tail, head, rate, draw(delay), medium, kind == "fatpipe"))
    for _ in range(draw(st.integers(0, 3))):
        tail = draw(st.integers(0, ranks - 1))
        links.append(cs.Link(tail, (tail + draw(st.integers(1, ranks - 1))) % ranks, float(draw(speed)), draw(delay)))
    net = cs.Topology("random", ranks, links, routes=both_ways if draw(st.booleans()) else None)
    moves = draw(st.integers(1, 7))
    src = [draw(st.integers(0, ranks - 1)) for _ in range(moves)]
    dst = [(s + draw(st.integers(1, ranks - 1))) % ranks for s in src]
    nbytes = [draw(st.integers(0, 30)) for _ in range(moves)]
    return net, src, dst, nbytes, [draw(st.integers(0, 24)) / 8 for _ in range(moves)]


def exact_finish(net, src, dst, nbytes, release):
    """When each message ends, by exact arithmetic on its parts."""
    parts = [(row, *route) for row in range(len(src)) for route in net.routes(src[row], dst[row])]
    channels = [[net.channel[link] for link in links] for *_, links in parts]
    private, speeds = with_private_links(channels, net.bandwidth.tolist(), net.fatpipe.tolist())
    begin = [
        Fraction(release[row]) + sum(Fraction(net.links[link].latency) for link in links) for row, _, links in parts
    ]
    size = [Fraction(nbytes[row]) * Fraction(share) for row, share, _ in parts]
    ends = oracles.fluid_finish(private, [Fraction(speed) for speed in speeds], size, begin)
    return [max(float(end) for end, part in zip(ends, parts, strict=True) if part[0] == row) for row in range(len(src))]


@settings(max_examples=120)
@given(random_traffic())
def test_on_random_networks_messages_finish_when_exact_arithmetic_says(drawn):
    net, src, dst, nbytes, release = drawn
    timeline = events.run(graph_of(src, dst, nbytes, ranks=net.ranks, release=release), MaxMin(net))
    assert timeline.finish.tolist() == pytest.approx(exact_finish(*drawn), rel=1e-9)


@given(random_traffic(), st.randoms(use_true_random=False))
def test_on_random_networks_the_order_of_rows_does_not_matter(drawn, random):
    net, src, dst, nbytes, release = drawn
    order = list(range(len(src)))
    random.shuffle(order)
    columns = [[column[row] for row in order] for column in (src, dst, nbytes)]
    one = events.run(graph_of(src, dst, nbytes, ranks=net.ranks, release=release), MaxMin(net))
    graph = graph_of(*columns, ranks=net.ranks, release=[release[row] for row in order])
    assert events.run(graph, MaxMin(net)).finish.tolist() == one.finish[order].tolist()


def watched(net, src, dst, nbytes, release):
    """Run, and return bytes of every part by (row, route), carried at the rates that were set."""
    carried, since = Counter(), {}
    share = maxmin.MaxMinNetwork._share

    def watch(network, event):
        for key, (begin, rate, done) in list(since.items()):
            until = network.env.now
            carried[key] += rate * (until - begin)
            if done.triggered:
                del since[key]
        share(network, event)
        for key, flow in network.flows.items():
            since[key] = network.env.now, flow.rate, flow.done
            routes = [part.route for part in network.flows.values()]
            rates = [part.rate for part in network.flows.values()]
        if network.flows:
            assert_fair(routes, network.bandwidth, rates, network.fatpipe)

    with mock.patch.object(maxmin.MaxMinNetwork, "_share", watch):
        events.run(graph_of(src, dst, nbytes, ranks=net.ranks, release=release), MaxMin(net))
    return carried


@given(random_traffic())
def test_on_random_networks_shares_are_fair_at_every_moment_and_all_bytes_are_carried(drawn):
    net, src, dst, nbytes, _ = drawn
    carried = watched(*drawn)
    parts = {
        (row, i): route.share * nbytes[row]
        for row in range(len(src))
        for i, route in enumerate(net.routes(src[row], dst[row]))
    }
    for part, size in parts.items():
        assert carried[part] == pytest.approx(size, rel=1e-9)
    assert sum(carried.values()) == pytest.approx(sum(nbytes), rel=1e-9)


def test_bytes_that_are_lost_would_be_noticed(monkeypatch):
    net = cs.ring(3, 2.0, 0.5)
    case = net, [0, 0], [1, 1], [6, 3], [0.0, 0.0]
    assert watched(*case) == {(0, 0): pytest.approx(6), (1, 0): pytest.approx(3)}
    right = maxmin.Flow.set_rate

    def forgetful(flow, rate, now):
        right(flow, rate, now)
        flow.end = now + 0.9 * flow.left / rate

    monkeypatch.setattr(maxmin.Flow, "set_rate", forgetful)
    assert sum(watched(*case).values()) < 8.5


def test_a_message_spread_over_two_routes_has_arrived_when_both_parts_have():
    net = cs.Topology("ring", 3, cs.ring(3, 1.0, 0.0).links, routes=both_ways)
    timeline = events.run(graph_of([0], [1], [8], ranks=3), MaxMin(net))
    assert timeline.finish.tolist() == [6]


def test_both_directions_of_a_half_duplex_cable_share_it():
    wire = [cs.Link(0, 1, 2.0, 0.0, "wire"), cs.Link(1, 0, 2.0, 0.0, "wire")]
    graph = graph_of([0, 1], [1, 0], [4, 4], ranks=2)
    assert events.run(graph, MaxMin(cs.Topology("wire", 2, wire))).finish.tolist() == [4, 4]
    assert events.run(graph, MaxMin(cs.ring(2, 2.0, 0.0))).finish.tolist() == [2, 2]


def test_headers_are_bytes_of_every_message_in_both_engines():
    schedule = plan_of(("copy", 0, 0, 1), ("reduce", 1, 1, 2), ("compute", 1, 0, 1.0))
    graph = lower(schedule, np.array([0.0, 4.0, 0.0]), gamma=10, header_bytes=3)
    assert graph.nbytes.tolist() == [3, 7, 0]
    for engine in (events, stepwise):
        timeline = engine.run(graph, AlphaBeta(1, 1))
        assert start_and_finish(timeline) == [(0, 4), (4, 4 + 8 + 40), (4, 5)]


def test_headers_are_one_a_message_whatever_it_is_packed_from():
    schedule = cs.make_schedule("all_gather", "bruck", ranks=5)
    graph = lower(schedule, schedule.message_bytes(5), header_bytes=16)
    assert graph.nbytes.sum() == 5 * 4 + 16 * schedule.messages


# Which engine runs what


def small(ordering="step"):
    schedule = cs.make_schedule("all_reduce", "ring", ranks=3)
    return lower(schedule, schedule.message_bytes(3), ordering=ordering)


def test_auto_takes_the_fastest_that_can():
    star = cs.star(3, 1e9, 1e-6)
    assert choose_engine("auto", small(), AlphaBeta(1, 1)).name == "stepwise"
    assert choose_engine("auto", small(), AlphaBeta(topology=star)).name == "stepwise"
    assert choose_engine("auto", small(), MaxMin(star)).name == "events"
    for ordering in ("dataflow", "explicit"):
        assert choose_engine("auto", small(ordering), AlphaBeta(1, 1)).name == "events"


def test_the_reference_engine_runs_everything():
    for ordering in ("step", "dataflow", "explicit"):
        star = cs.star(3, 1e9, 1e-6)
        for model in (AlphaBeta(1, 1), MaxMin(star), cs.Fifo(star), cs.LogGP(topology=star)):
            assert ENGINES["events"].refusal(small(ordering), model) is None
            assert events.run(small(ordering), model).end > 0


def test_every_model_has_its_network():
    assert set(events.NETWORKS) == set(MODELS.values())


def test_an_engine_that_cannot_is_refused_not_replaced():
    with pytest.raises(
        cs.InputError, match="'stepwise' cannot run this: it knows the model alpha-beta only, not maxmin"
    ):
        choose_engine("stepwise", small(), MaxMin(cs.star(3, 1e9, 1e-6)))
    with pytest.raises(cs.InputError, match="'stepwise' cannot run this: it knows moves ordered by step only"):
        choose_engine("stepwise", small("dataflow"), AlphaBeta(1, 1))
    with pytest.raises(cs.InputError, match=r"unknown engine 'event'; did you mean 'events'\?"):
        choose_engine("event", small(), AlphaBeta(1, 1))


def test_explicit_dependencies_are_beyond_stepwise():
    plan = cs.ScheduleBuilder("all_reduce", ranks=3)
    plan.copy(step=0, src=2, dst=1, after=plan.copy(step=0, src=0, dst=1))
    schedule = plan.build()
    graph = lower(schedule, schedule.message_bytes(1))
    assert choose_engine("auto", graph, AlphaBeta(1, 1)).name == "events"


def test_moves_that_wait_for_each_other_are_an_error_and_no_endless_run():
    graph = graph_of([0, 1, 2], [1, 2, 3], [1, 1, 1], edges=[(1, 2), (2, 1)])
    with pytest.raises(cs.SimulationError, match=r"2 of 3 moves can never run.*first is row 1, rank 1 to rank 2"):
        events.run(graph, AlphaBeta(1, 1))


@pytest.mark.parametrize("engine", [events, stepwise])
def test_no_moves_take_no_time(engine):
    schedule = cs.make_schedule("all_reduce", "ring", ranks=1)
    timeline = engine.run(lower(schedule, schedule.message_bytes(8)), AlphaBeta(1, 1))
    assert len(timeline.finish) == 0
    assert timeline.end == 0


@pytest.mark.parametrize("engine", [events, stepwise])
def test_progress_is_told_and_ends_with_all_moves(engine):
    schedule = cs.make_schedule("all_reduce", "ring", ranks=33)
    told = []
    engine.run(
        lower(schedule, schedule.message_bytes(33)), AlphaBeta(1, 1), lambda done, all_: told.append((done, all_))
    )
    moves = len(schedule)
    assert len(told) > 1
    assert told == sorted(told)
    assert {total for _, total in told} == {moves}
    assert told[-1] == (moves, moves)

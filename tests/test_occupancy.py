"""Who is on which link, port, card and processor: by hand, and held against what the engines say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import random_run

import collsim as cs
from collsim.engines import events
from collsim.engines.queues import Visit, serve
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin
from collsim.occupancy import PROCESSOR, RANK_PARTS, RECEIVE, SEND, Life, levels, link_use, rank_use
from collsim.topology import Link, Route, Topology

SEEDS = st.integers(0, 2**32 - 1)


def life_of(run):
    """The life of a random run, by the reference engine."""
    times = events.run(run.graph, run.model)
    return Life(run.graph, run.model, times, np.arange(len(run.graph)), 0.0, times.end)


def intervals(use, row):
    """(link, start, finish) of a message, sorted."""
    mine = use.row == row
    return sorted(zip(use.link[mine].tolist(), use.start[mine].tolist(), use.finish[mine].tolist(), strict=True))


# By hand


@pytest.mark.parametrize("ranks", [2, 5, 8])
def test_a_ring_on_a_star_keeps_every_link_busy_but_for_latencies(ranks):
    net = cs.star(ranks, "1GB/s", "1us")
    result = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks), net, 1000 * ranks)
    use = link_use(result)
    rounds = 2 * (ranks - 1)
    assert len(use) == 2 * rounds * ranks
    assert use.carried == pytest.approx([rounds * 1000] * 2 * ranks)
    assert use.busy == pytest.approx([rounds * 1e-6] * 2 * ranks)
    assert use.most_at_once.tolist() == [1] * 2 * ranks
    assert use.utilisation == pytest.approx([1 / 3] * 2 * ranks)  # 1 us of bytes after 2 us of latency
    assert rank_use(result).utilisation == pytest.approx([1.0] * ranks)


def test_flows_share_the_link_of_their_root_from_the_end_of_their_latency_on():
    net = cs.star(5, "1GB/s", "1us")
    result = cs.simulate(cs.make_schedule("gather", "flat", 5), net, 5000)
    use = link_use(result)
    into_root = next(i for i, link in enumerate(net.links) if link.head == 0)
    assert use.most_at_once[into_root] == use.messages[into_root] == 4
    assert set(use.start.tolist()) == {2e-6}
    assert use.finish == pytest.approx([6e-6] * len(use))
    assert use.utilisation[into_root] == pytest.approx(4 / 6)
    assert use.shared


def test_links_serve_one_message_after_another_and_pass_it_on_in_full():
    # Two messages of 4 s each from rank 0; the second link takes 1 s for each, the latency is 10 s.
    net = Topology("line", 2, [Link(0, "hub", 1.0, 10.0), Link("hub", 1, 4.0, 10.0), Link(1, 0, 1.0, 0.0)])
    plan = cs.ScheduleBuilder("broadcast", 2, chunks=2)
    plan.copy(0, 0, 1, [0, 1])
    use = link_use(cs.simulate(plan.build(), net, 8, model="fifo"))
    assert intervals(use, 0) == [(0, 0.0, 4.0), (1, 14.0, 15.0)]
    assert intervals(use, 1) == [(0, 4.0, 8.0), (1, 18.0, 19.0)]
    in_packets = link_use(cs.simulate(plan.build(), net, 8, model="fifo", parameters={"packet_bytes": 2}))
    assert intervals(in_packets, 0) == [(0, 0.0, 2.0), (0, 2.0, 4.0), (1, 12.0, 12.5), (1, 14.0, 14.5)]
    assert in_packets.messages.tolist() == [2, 2, 0]


def test_ports_are_busy_for_beta_a_byte_and_latency_is_in_neither():
    plan = cs.ScheduleBuilder("all_reduce", 3)
    plan.reduce(0, [1, 2], 0)
    result = cs.simulate(plan.build(), nbytes=4, alpha=10, beta=1, gamma=0.5)
    use = rank_use(result)
    found = sorted(zip(use.rank, use.part, use.row, use.start, use.finish, strict=True))
    assert found == [
        (0, RECEIVE, 0, 10, 14),
        (0, RECEIVE, 1, 14, 18),
        (0, PROCESSOR, 0, 14, 16),
        (0, PROCESSOR, 1, 18, 20),
        (1, SEND, 0, 0, 4),
        (2, SEND, 1, 0, 4),
    ]
    assert use.busy.tolist() == [[0, 8, 4], [4, 0, 0], [4, 0, 0]]
    assert use.occupied.tolist() == [10, 4, 4]
    assert len(link_use(result)) == 0


def test_a_message_is_taken_in_before_its_receive_is_posted():
    # Rank 1 starts at 20; its card takes the message of o + L + o = 1 + 5 + 1 at 6, as the model has it.
    plan = cs.ScheduleBuilder("broadcast", 2)
    plan.copy(0, 0, 1)
    result = cs.simulate(plan.build(), nbytes=3, model=LogGP(L=5, o=1, g=2, G=1), offsets=[0, 20])
    use = rank_use(result)
    found = sorted(zip(use.rank, use.part, use.start, use.finish, strict=True))
    assert found == [(0, SEND, 0, 4), (0, PROCESSOR, 0, 1), (1, RECEIVE, 6, 10), (1, PROCESSOR, 6, 9)]
    assert result.time == 20


def test_a_card_that_is_busy_when_all_is_over_counts_until_then():
    # g keeps both cards busy for 2 us a message, which is there after 1 us.
    plan = cs.ScheduleBuilder("all_reduce", 2)
    plan.copy(0, 0, 1)
    result = cs.simulate(plan.build(), nbytes=1, model=LogGP(L=1e-6, o=0.0, g=2e-6, G=0.0))
    use = rank_use(result)
    assert use.finish.max() > result.time == pytest.approx(1e-6)
    assert use.utilisation.tolist() == [1.0, 0.0]
    assert use.busy[:, 0].tolist() == [result.time, 0.0]


def test_models_that_share_ports_only_say_so_and_place_bytes_where_they_are_received():
    net = cs.star(4, "1GB/s", "1us")
    schedule = cs.make_schedule("all_reduce", "naive", 4)
    for model in ("alpha-beta", "loggp"):
        result = cs.simulate(schedule, net, 1000, model=model)
        use = link_use(result)
        assert not use.shared
        assert (use.finish <= result.time).all()
        lasts = use.finish - use.start
        assert lasts == pytest.approx([1e-6] * len(use), rel=2e-3, abs=0)  # loggp: the first byte is free


def test_packed_messages_go_by_their_first_row_and_carry_headers():
    plan = cs.ScheduleBuilder("all_reduce", 2, chunks=4)
    plan.copy(0, 0, 1, [0, 2], packed=True)
    plan.copy(1, 1, 0, 3)
    use = link_use(cs.simulate(plan.build(), cs.star(2, "1GB/s", 0), 400, header_bytes=16))
    assert use.row.tolist() == [0, 0, 2, 2]
    assert use.nbytes.tolist() == [216, 216, 116, 116]


def test_parts_of_a_message_carry_their_shares():
    def both_ways(topology, src, dst):
        return [Route(0.25, (0,)), Route(0.75, (1,))] if (src, dst) == (0, 1) else [Route(1.0, (2,))]

    net = Topology("two ways", 2, [Link(0, 1, 1.0, 0.0), Link(0, 1, 1.0, 5.0), Link(1, 0, 1.0, 0.0)], routes=both_ways)
    plan = cs.ScheduleBuilder("broadcast", 2)
    plan.copy(0, 0, 1)
    use = link_use(cs.simulate(plan.build(), net, 8))
    assert use.carried.tolist() == [2, 6, 0]
    assert use.messages.tolist() == [1, 1, 0]
    assert use.start.tolist() == [0, 5]


def test_packets_that_would_not_fit_into_memory_are_refused_before_they_are_followed():
    schedule, net = cs.make_schedule("broadcast", "flat", 2), cs.star(2, "1GB/s", 0)
    whole = cs.simulate(schedule, net, 10**18, model="fifo")
    packets = replace(whole, parameters=Fifo(net, packet_bytes=1))
    with pytest.raises(
        cs.InputError, match=r"each packet, 2000000000000000000 times in all, would need .* larger packets"
    ):
        link_use(packets)
    assert len(link_use(whole)) == 2


def test_without_times_there_is_no_occupancy():
    result = cs.simulate(cs.make_schedule("all_reduce", "ring", 4), alpha=1, beta=1, nbytes=4, timeline=False)
    for use in (link_use, rank_use):
        with pytest.raises(cs.InputError, match="the times of single moves were not kept"):
            use(result)


# Whatever is run


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_queues_that_are_run_again_give_the_times_that_the_engine_gave(seed):
    run = random_run(np.random.default_rng(seed))
    life = life_of(run)
    messages, times = life.transfers, life.times
    if isinstance(run.model, Fifo):
        hops = life.hops
        there = (hops.start + hops.nbytes / run.model.topology.bandwidth[hops.link]) + run.model.topology.latency[
            hops.link
        ]
        arrive = np.zeros(len(run.graph))
        np.maximum.at(arrive, hops.move, there)
        assert (arrive[messages] == times.arrive[messages]).all()
        assert (hops.start >= hops.come).all()
    elif isinstance(run.model, LogGP):
        taken_in = (life.received + life.receiving)[messages]
        assert (taken_in <= times.arrive[messages]).all()
        assert (life.begun + run.graph.work == times.finish)[life.works].all()
    elif isinstance(run.model, AlphaBeta):
        assert (life.received + life.port_seconds)[messages] == pytest.approx(times.arrive[messages], rel=1e-14)
        assert (life.received >= life.head)[messages].all()


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_nothing_serves_two_at_once_and_no_link_carries_more_than_it_can(seed):
    run = random_run(np.random.default_rng(seed))
    life = life_of(run)
    links, parts = life.links, life.parts
    assert (links.start <= links.finish).all()
    assert (parts.start <= parts.finish).all()
    assert (links.finish <= life.seconds).all()
    if isinstance(run.model, Fifo | MaxMin):
        assert (links.utilisation <= 1 + 1e-12)[~run.model.topology.fatpipe].all()
    if isinstance(run.model, Fifo):
        shared = ~run.model.topology.fatpipe[links.link]
        served = levels(links.channel[shared], links.start[shared], links.finish[shared], len(links.topology.links))
        assert (served.most <= 1).all()
    if isinstance(run.model, AlphaBeta | LogGP):
        served = levels(parts.rank * 3 + parts.part, parts.start, parts.finish, parts.ranks * len(RANK_PARTS))
        assert (served.most <= 1).all()


def test_two_at_once_would_be_seen():
    assert levels(np.array([0, 0]), np.array([0.0, 1.0]), np.array([1.5, 2.0]), 1).most.tolist() == [2]


def test_other_figures_would_not_give_the_times_of_the_engine():
    net = cs.star(4, 1.0, 0.5)
    plan = cs.ScheduleBuilder("gather", 4, chunks=4)
    plan.copy(0, [1, 2, 3], 0, [1, 2, 3])
    result = cs.simulate(plan.build(), net, 16, model="fifo")
    wrong = replace(result, parameters=Fifo(net, packet_bytes=1))
    assert link_use(result).finish.max() == result.timeline.end - 0.5
    assert link_use(wrong).finish.max() != result.timeline.end - 0.5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 5)), max_size=12))
def test_levels_are_what_counting_second_by_second_gives(found):
    place, start, lasts = (
        (np.array(column, dtype=np.int64) for column in zip(*found, strict=True))
        if found
        else (np.zeros(0, dtype=np.int64),) * 3
    )
    got = levels(place, start.astype(float), (start + lasts).astype(float), 3)
    count = np.zeros((3, 16), dtype=int)
    for where, begin, length in zip(place, start, lasts, strict=True):
        count[where, begin : begin + length] += 1
    assert got.busy.tolist() == (count > 0).sum(axis=1).tolist()
    assert got.most.tolist() == count.max(axis=1).tolist()


def test_who_comes_first_is_served_first_and_ties_go_by_order():
    one = [Visit("desk", ((1, 3.0),))]
    assert serve([1.0, 0.0, 1.0], [2, 1, 0], [one, one, one]) == [[6.0], [0.0], [3.0]]


def test_who_needs_what_nobody_uses_does_not_wait():
    both, other = [Visit("host", ((1, 2.0), (2, 5.0)))], [Visit("host", ((1, 1.0), (4, 1.0)))]
    assert serve([0.0, 0.0, 0.0], [0, 1, 2], [both, both, other]) == [[0.0], [5.0], [2.0]]

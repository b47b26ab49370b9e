"""The fifo model: store-and-forward link by link, packets, and an oracle of one loop."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.engines import events, fifo
from collsim.graph import MoveGraph, Waiting, lower
from collsim.topology import Route

MIB = 2**20


def one_message(ranks=16, src=1, dst=4):
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    plan.copy(0, src, dst)
    return plan.build()


def run(topology, src, dst, nbytes, release=None, packet_bytes=None):
    """Start and finish of messages that wait for nothing."""
    moves = len(src)
    graph = MoveGraph(
        ranks=topology.ranks,
        transfer=np.ones(moves, dtype=bool),
        src=np.array(src, dtype=np.int32),
        dst=np.array(dst, dtype=np.int32),
        nbytes=np.array(nbytes, dtype=float),
        work=np.zeros(moves),
        release=np.tile(np.zeros(moves) if release is None else np.array(release, dtype=float), (2, 1)),
        dependencies=lambda: Waiting(0, np.zeros((0, 2), dtype=np.int64)),
    )
    timeline = events.run(graph, cs.Fifo(topology, packet_bytes))
    return list(zip(timeline.start.tolist(), timeline.finish.tolist(), strict=True))


def line(*figures, **more):
    """Ranks 0, 1, 2, ... joined one way by links of (bandwidth, latency)."""
    links = [cs.Link(i, i + 1, float(speed), float(delay), **more) for i, (speed, delay) in enumerate(figures)]
    return cs.Topology("line", len(links) + 1, links)


@pytest.mark.parametrize(("shape", "nanoseconds"), [("full", 20031), ("star", 40062), ("ring", 60093)])
def test_a_mebibyte_from_rank_1_to_rank_4_of_16_takes_what_is_known(shape, nanoseconds):
    net = getattr(cs, shape)(16, "50GiB/s", "500ns")
    result = cs.simulate(one_message(), net, "1MiB", model="fifo")
    assert math.floor(result.time * 1e9) == nanoseconds
    hops = len(net.route(1, 4))
    assert result.time == pytest.approx(hops * (MIB / (50 * 2**30) + 5e-7), rel=1e-12)


@pytest.mark.parametrize("packets", [1, 2, 16, 256, 4096])
@pytest.mark.parametrize("shape", ["full", "star", "ring"])
def test_packets_come_close_to_cut_through(shape, packets):
    # With equal packets the last one waits only behind its own: latencies + n/bandwidth + (hops-1) packet/bandwidth.
    net = getattr(cs, shape)(16, "50GiB/s", "500ns")
    parameters = {"packet_bytes": MIB // packets}
    time = cs.simulate(one_message(), net, MIB, model="fifo", parameters=parameters).time
    hops, speed = len(net.route(1, 4)), 50 * 2**30
    assert time == pytest.approx(hops * 5e-7 + MIB / speed + (hops - 1) * MIB / packets / speed, rel=1e-12)


def test_the_last_packet_has_the_rest():
    # 7 bytes in packets of 3, 3, 1 over two links of 1 B/s: they leave the first at 3, 6, 7, the second at 6, 9, 10.
    assert run(line((1, 0), (1, 0)), [0], [2], [7], packet_bytes=3) == [(0, 10)]
    # A slow second link is busy from 3 on, without a gap.
    assert run(line((1, 0), (0.5, 0)), [0], [2], [7], packet_bytes=3) == [(0, 3 + 14)]
    assert run(line((1, 0), (1, 0)), [0], [2], [7], packet_bytes=100) == [(0, 14)]


def test_a_link_serves_one_message_at_a_time_and_latency_overlaps_with_the_next():
    assert run(line((2, 10)), [0, 0, 0], [1, 1, 1], [4, 4, 4]) == [(0, 12), (2, 14), (4, 16)]


def test_first_come_first_served_whatever_the_row_and_ties_by_row():
    assert run(line((1, 0)), [0, 0], [1, 1], [3, 3], release=[1, 0]) == [(3, 6), (0, 3)]
    # Both reach link 1 at 2.
    links = [cs.Link(0, 2, 1.0, 0.0), cs.Link(1, 2, 0.5, 0.0), cs.Link(2, 3, 1.0, 0.0)]
    net = cs.Topology("merge", 4, links)
    assert run(net, [0, 1], [3, 3], [2, 1]) == [(0, 4), (0, 5)]
    assert run(net, [1, 0], [3, 3], [1, 2]) == [(0, 3), (0, 5)]


def test_packets_of_a_message_are_queued_together_and_travel_on_their_own():
    net = line((1, 0), (1, 0))
    # Row 0 has the first link until 4. Row 1 is behind it there; on the second link it is right behind the last.
    assert run(net, [0, 0], [2, 2], [4, 2], packet_bytes=1) == [(0, 5), (4, 7)]
    # A message that starts in the middle at 1 comes with the first packet of row 0, and so between that and the rest.
    assert run(net, [0, 1], [2, 2], [4, 2], release=[0, 1], packet_bytes=1) == [(0, 7), (2, 4)]


def test_both_directions_of_a_half_duplex_cable_take_turns():
    links = [cs.Link(0, 1, 1.0, 0.0, "wire"), cs.Link(1, 0, 1.0, 0.0, "wire")]
    assert run(cs.Topology("pair", 2, links), [0, 1], [1, 0], [3, 2]) == [(0, 3), (3, 5)]
    assert run(cs.ring(2, 1.0, 0.0), [0, 1], [1, 0], [3, 2]) == [(0, 3), (0, 2)]


def test_a_fatpipe_serves_any_number_at_once():
    assert run(line((1, 2), fatpipe=True), [0, 0], [1, 1], [3, 5]) == [(0, 5), (0, 7)]


def test_the_packets_of_a_message_have_the_bandwidth_of_a_fatpipe_once_and_other_messages_do_not_matter():
    net = line((1, 2), (1, 0), fatpipe=True)
    # Its last packet of 2 bytes leaves the first link at 6, is at the second at 8 and through that at 10.
    assert run(net, [0], [2], [6], packet_bytes=2) == [(0, 10)]
    assert run(net, [0, 0], [2, 2], [6, 3], packet_bytes=2) == [(0, 10), (0, 7)]


def two_ways(topology, src, dst):
    return [Route(0.25, (0,)), Route(0.75, (1,))]


def test_a_message_spread_over_routes_has_arrived_when_all_parts_have():
    links = [cs.Link(0, 1, 1.0, 0.0), cs.Link(0, 1, 1.0, 2.0)]
    net = cs.Topology("two ways", 2, links, routes=two_ways)
    assert run(net, [0, 0], [1, 1], [8, 4]) == [(0, 8), (2, 11)]
    assert run(net, [0], [1], [8], packet_bytes=1) == [(0, 8)]


def test_a_message_without_bytes_takes_its_latencies_and_keeps_nobody_waiting():
    net = line((1, 2), (1, 3))
    # Row 2 waits for its turn: on the first link until 4, on the second until 9.
    assert run(net, [0, 0, 0], [2, 2, 2], [0, 4, 0], packet_bytes=3) == [(0, 5), (0, 12), (4, 12)]


def test_headers_are_bytes_on_every_link():
    net = cs.star(2, 1.0, 0.0)
    result = cs.simulate(one_message(2, 0, 1), net, 4, model="fifo", header_bytes=2)
    assert result.time == 12


def test_more_packets_than_anybody_wants_are_refused_with_the_number_and_a_way_out(monkeypatch):
    monkeypatch.setattr(fifo, "MOST_PACKETS", 100)
    net = cs.ring(16, 1e9, 0.0)
    with pytest.raises(cs.InputError) as refused:
        cs.simulate(one_message(), net, 1000, model="fifo", parameters={"packet_bytes": 3})
    text = str(refused.value)
    assert "packets of 3 bytes would be 334 packets in all, more than 100" in text
    assert "packet_bytes=12" in text
    assert cs.simulate(one_message(), net, 1000, model="fifo", parameters={"packet_bytes": 12}).time > 0


@pytest.mark.parametrize("packet", [None, 1000])
def test_messages_that_are_not_cut_are_never_too_many(monkeypatch, packet):
    monkeypatch.setattr(fifo, "MOST_PACKETS", 1)
    schedule = cs.make_schedule("all_reduce", "ring", ranks=4)
    assert cs.simulate(schedule, nbytes=4000, model=cs.Fifo(cs.ring(4, 1e9, 0.0), packet)).time > 0


# An oracle of one loop: who comes to a link first is served first, so it is enough to go through all who come in time


def by_one_loop(net, src, dst, nbytes, release, packet_bytes, first_come=True):
    finish = [0.0] * len(src)
    coming = []
    order = 0
    for row, size in enumerate(nbytes):
        for route, (share, links) in enumerate(net.routes(src[row], dst[row])):
            left = size * share
            while True:
                part = min(left, packet_bytes or left)
                coming.append((release[row], order if first_come else -order, row, route, part, links))
                order += 1
                left -= part
                if left <= 0:
                    break
    heapq.heapify(coming)
    free = {}
    while coming:
        now, number, row, route, part, links = heapq.heappop(coming)
        if not links:
            finish[row] = max(finish[row], now)
            continue
        link = net.links[links[0]]
        busy = part / link.bandwidth
        what = (links[0], row, route) if link.fatpipe else link.medium or links[0]
        begin = max(now, free.get(what, 0.0))
        free[what] = begin + busy
        heapq.heappush(coming, (begin + busy + link.latency, number, row, route, part, links[1:]))
    return finish


def both_ways(topology, src, dst):
    """Round a ring of cables, 2i upwards and 2i+1 downwards from rank i+1: three quarters the one way."""
    ranks = topology.ranks
    up = tuple(2 * ((src + i) % ranks) for i in range((dst - src) % ranks))
    down = tuple(2 * ((src - 1 - i) % ranks) + 1 for i in range((src - dst) % ranks))
    return [Route(0.75, up), Route(0.25, down)]


@st.composite
def traffic(draw):
    """Messages on a ring of cables, some half-duplex, some fatpipes; all figures are binary fractions."""
    ranks = draw(st.integers(3, 5))
    links = []
    for i in range(ranks):
        kind = draw(st.sampled_from(["cable", "cable", "half-duplex", "fatpipe"]))
        speed, delay = 2.0 ** draw(st.integers(-1, 2)), draw(st.integers(1, 8)) / 8
        more = {"medium": f"wire {i}"} if kind == "half-duplex" else {"fatpipe": kind == "fatpipe"}
        other = (i + 1) % ranks
        links += [cs.Link(i, other, speed, delay, **more), cs.Link(other, i, speed, delay, **more)]
    net = cs.Topology("cables", ranks, links, routes=both_ways if draw(st.booleans()) else None)
    moves = draw(st.integers(1, 7))
    src = [draw(st.integers(0, ranks - 1)) for _ in range(moves)]
    dst = [(s + draw(st.integers(1, ranks - 1))) % ranks for s in src]
    nbytes = [draw(st.integers(0, 12)) for _ in range(moves)]
    release = [draw(st.integers(0, 24)) / 8 for _ in range(moves)]
    return net, src, dst, nbytes, release, draw(st.sampled_from([None, 1, 2, 5]))


@settings(max_examples=150)
@given(traffic())
def test_any_traffic_finishes_when_one_loop_says(drawn):
    net, src, dst, nbytes, release, packet = drawn
    found = run(net, src, dst, nbytes, release, packet)
    assert [finish for _, finish in found] == by_one_loop(net, src, dst, nbytes, release, packet)


def test_another_order_of_service_would_be_noticed():
    case = line((1, 1)), [0, 0], [1, 1], [3, 2], [0, 0], None
    found = [finish for _, finish in run(*case)]
    assert found == by_one_loop(*case)
    assert found != by_one_loop(*case, first_come=False)


@pytest.mark.parametrize("packet", [None, 64])
def test_a_whole_collective_on_a_full_network_takes_what_alpha_beta_says(packet):
    # Of ring all-reduce every message has a link of its own, so there is nothing to share.
    ring = cs.make_schedule("all_reduce", "ring", ranks=5)
    time = cs.simulate(ring, cs.full(5, 1e6, 1e-3), 5 * 640, model="fifo", parameters={"packet_bytes": packet or 640})
    assert time.time == pytest.approx(2 * 4 * (1e-3 + 640 / 1e6), rel=1e-12)


def test_it_does_not_matter_in_which_order_rows_stand_if_none_come_at_once():
    net = cs.star(4, 2.0, 0.25)
    src, dst, nbytes, release = [0, 1, 2, 3], [3, 3, 3, 0], [4, 5, 6, 7], [0.0, 0.3, 0.7, 1.1]
    forward = run(net, src, dst, nbytes, release)
    assert run(net, src[::-1], dst[::-1], nbytes[::-1], release[::-1]) == forward[::-1]


def test_lowering_with_no_packets_at_all_works():
    schedule = cs.make_schedule("all_reduce", "ring", ranks=1)
    assert len(events.run(lower(schedule, schedule.message_bytes(8)), cs.Fifo(cs.star(1, 1e9, 0))).finish) == 0

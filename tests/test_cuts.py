"""Cuts are the tightest there are: against all subsets, against networkx, and as fractions from the literature."""

from __future__ import annotations

import itertools
import sys
from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collsim as cs
from collsim import cuts
from collsim.cuts import Cut, crossing_links, leaving_capacity, smallest_cut, tightest_cut
from collsim.errors import InputError
from collsim.topology import Link, Topology, cable

GB = 10**9
CUBE_MESH = ["02112000", "20120100", "11020020", "12200001", "20000211", "01002012", "00201102", "00011220"]


def grid(rows, columns, wrap):
    links = []
    for i, j in itertools.product(range(rows), range(columns)):
        for di, dj in ((0, 1), (1, 0)):
            if wrap or (i + di < rows and j + dj < columns):
                links += cable(i * columns + j, (i + di) % rows * columns + (j + dj) % columns, 1.0, 0)
    return Topology("grid", rows * columns, links)


def chassis(nodes, gpu, nic, on_gpu=True):
    """GPUs behind an NVSwitch; eight NICs a node to one network switch, at the GPUs or at the NVSwitch."""
    links = []
    for node, place in itertools.product(range(nodes), range(8)):
        links += cable(8 * node + place, f"nvswitch {node}", gpu * GB, 0)
        if nodes > 1:
            links += cable(8 * node + place if on_gpu else f"nvswitch {node}", "network", nic * GB, 0)
    return Topology("chassis", 8 * nodes, links)


def all_gather_throughput(net):
    return Fraction(net.ranks) / tightest_cut(net, [1] * net.ranks).ratio


def cube_mesh():
    links = []
    for a, b in itertools.combinations(range(8), 2):
        for _ in range(int(CUBE_MESH[a][b])):
            links += cable(a, b, 25 * GB, 0)
    return Topology("hybrid cube mesh", 8, links)


@pytest.mark.parametrize(
    ("net", "optimum"),
    [
        (chassis(1, 300, 25), Fraction(2400, 7) * GB),  # DGX A100
        (cube_mesh(), Fraction(1200, 7) * GB),  # DGX-1
        (chassis(1, 450, 50), Fraction(3600, 7) * GB),  # HGX H100
        (chassis(4, 300, 25), Fraction(800, 3) * GB),
        (chassis(4, 300, 25, on_gpu=False), Fraction(800, 3) * GB),  # eight NICs a node are what counts
        (chassis(8, 450, 50), Fraction(3200, 7) * GB),
        (chassis(8, 450, 50, on_gpu=False), Fraction(3200, 7) * GB),
        (grid(4, 4, wrap=True), Fraction(64, 15)),
        (grid(5, 5, wrap=False), Fraction(25, 12)),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_optima_of_the_literature_as_exact_fractions(net, optimum):
    assert all_gather_throughput(net) == optimum
    backwards = tightest_cut(net, [1] * net.ranks, reverse=True)
    assert Fraction(net.ranks) / backwards.ratio == optimum
    assert backwards.exact


@st.composite
def networks(draw, media=False):
    ranks, switches = draw(st.integers(2, 5)), draw(st.integers(0, 2))
    nodes = [*range(ranks), *(f"s{i}" for i in range(switches))]
    bandwidth = st.one_of(st.sampled_from([1.0, 2.0, 3.0]), st.floats(0.1, 9))
    links = []
    for a, b in itertools.combinations(range(len(nodes)), 2):
        if b == a + 1 or draw(st.booleans()):
            there = draw(bandwidth)
            kind = draw(st.sampled_from(["plain", "plain", "half", "fat"])) if media else "plain"
            back = there if kind == "half" or draw(st.booleans()) else draw(bandwidth)
            medium = f"{a}-{b}" if kind == "half" else None
            links.append(Link(nodes[a], nodes[b], there, 0.0, medium, kind == "fat"))
            links.append(Link(nodes[b], nodes[a], back, 0.0, medium, kind == "fat"))
    return Topology("random", ranks, links)


def capacity_by_hand(net, inside):
    total, seen = Fraction(0), set()
    for link in net.links:
        if link.tail in inside and link.head not in inside:
            if link.fatpipe:
                return None
            if link.medium is None or link.medium not in seen:
                total += Fraction(link.bandwidth)
                seen.add(link.medium)
    return total


def tightest_by_hand(net, weights, targets):
    nodes, best = [*range(net.ranks), *net.switches], Fraction(0)
    for size in range(1, len(nodes)):
        for inside in itertools.combinations(nodes, size):
            if any(target not in inside for target in targets):
                capacity = capacity_by_hand(net, set(inside))
                weight = sum(weights[rank] for rank in inside if rank in range(len(weights)))
                if capacity is not None:
                    best = max(best, Fraction(weight) / capacity)
    return best


@given(st.data())
def test_the_tightest_cut_is_the_tightest_of_all_subsets(data):
    net = data.draw(networks(media=True))
    used = data.draw(st.integers(1, net.ranks))  # the other ranks are switches
    weights = data.draw(st.lists(st.integers(0, 3), min_size=used, max_size=used))
    targets = data.draw(st.sets(st.integers(0, used - 1), min_size=1))
    found = tightest_cut(net, weights, sorted(targets))
    assert found.ratio == tightest_by_hand(net, weights, targets)
    assert found.exact
    if found.ratio:
        assert not targets <= found.inside
        assert found.capacity == capacity_by_hand(net, found.inside)
        assert found.weight == sum(weights[rank] for rank in found.inside if rank in range(used))

    turned = Topology(
        "turned", net.ranks, [Link(x.head, x.tail, x.bandwidth, 0.0, x.medium, x.fatpipe) for x in net.links]
    )
    assert tightest_cut(turned, weights, sorted(targets), reverse=True).ratio == found.ratio


@given(networks(), st.data())
def test_the_smallest_cut_is_that_of_networkx(net, data):
    inside = data.draw(st.sets(st.integers(0, net.ranks - 1), min_size=1, max_size=net.ranks - 1))
    outside = data.draw(st.sets(st.sampled_from(sorted(set(range(net.ranks)) - inside)), min_size=1))
    graph = nx.DiGraph()
    for link in net.links:
        graph.add_edge(link.tail, link.head, capacity=Fraction(link.bandwidth))
    for rank in inside:
        graph.add_edge("source", rank)
    for rank in outside:
        graph.add_edge(rank, "sink")
    found = smallest_cut(net, inside, outside)
    assert found.capacity == nx.maximum_flow_value(graph, "source", "sink")
    assert inside <= found.inside
    assert not outside & found.inside
    back = smallest_cut(net, outside, inside, reverse=True)
    assert back.capacity == found.capacity


def test_a_bus_counts_once_and_a_fatpipe_not_at_all():
    bus = Topology("bus", 3, [Link(a, b, 2.0, 0.0, "bus") for a, b in itertools.permutations(range(3), 2)])
    assert tightest_cut(bus, [1, 1, 1]).ratio == Fraction(2, 2)
    assert tightest_cut(bus, [1, 1, 1]).exact
    fat = Topology("fat", 2, [Link(a, b, 2.0, 0.0, None, True) for a, b in ((0, 1), (1, 0))])
    found = tightest_cut(fat, [1, 1])
    assert (found.ratio, found.capacity) == (0, None)
    assert smallest_cut(fat, [0], [1]).capacity is None


def test_a_medium_whose_links_do_not_join_all_its_ends_gives_a_bound_that_is_said_to_be_one():
    # 0 -> 2 and 1 -> 3 on one medium: drawn as one link, it would also carry 0 -> 3.
    links = [Link(0, 2, 1.0, 0.0, "m"), Link(1, 3, 1.0, 0.0, "m")]
    links += [Link(a, b, 5.0, 0.0) for a, b in ((2, 1), (3, 0), (2, 0), (3, 1), (1, 0), (0, 1), (2, 3), (3, 2))]
    net = Topology("odd", 4, links)
    found = tightest_cut(net, [1] * 4)
    assert not found.exact
    assert found.ratio <= tightest_by_hand(net, [1] * 4, range(4))
    assert found.ratio == found.weight / capacity_by_hand(net, found.inside)


def test_a_spent_budget_gives_a_valid_cut_and_says_so():
    net = grid(8, 8, wrap=False)
    whole = tightest_cut(net, [1] * 64)
    assert whole.exact
    for work in (0, 100, 500):
        part = tightest_cut(net, [1] * 64, work=work)
        assert not part.exact
        assert 0 < part.ratio <= whole.ratio
        assert part == tightest_cut(net, [1] * 64, work=work)
    assert tightest_cut(net, [1] * 64, work=10**9) == whole
    assert smallest_cut(net, range(32), range(32, 64), budget=cuts.Budget(10)) is None


def test_what_cannot_be_reached_is_said():
    net = Topology("one way", 3, [*cable(0, 1, 1.0, 0), Link(0, 2, 1.0, 0.0)])
    with pytest.raises(InputError, match="cannot be reached from every rank"):
        tightest_cut(net, [1, 1, 1])
    assert tightest_cut(net, [1, 0, 0]).ratio == 1  # from rank 0 all can be


def test_links_across_a_cut_are_found_from_either_side():
    net = cs.star(6, "1GB/s", 0)
    for inside in ({0}, {0, 1, 2, 3, 4}, {"switch"}, {5, "switch"}, set(range(6))):
        out = [i for i, x in enumerate(net.links) if x.tail in inside and x.head not in inside]
        into = [i for i, x in enumerate(net.links) if x.head in inside and x.tail not in inside]
        assert crossing_links(net, inside) == out
        assert crossing_links(net, inside, reverse=True) == into
        assert leaving_capacity(net, inside) == len(out) * GB


def test_a_thousand_ranks_take_little_work():
    # Looked at, not timed: flows must stay short, or a large network would take minutes.
    for net, most in ((grid(32, 32, wrap=True), 2_000_000), (cs.star(1024, "1GB/s", 0), 3_000_000)):
        found = tightest_cut(net, [1] * 1024, work=most)
        assert found.exact
        assert found.weight == 1023


def test_a_long_ring_needs_no_deep_recursion():
    assert tightest_cut(cs.ring(sys.getrecursionlimit() // 2, 1.0, 0), [1, 2], [0, 1]).exact


def test_networks_are_forgotten_with_their_topology():
    before = len(cuts._KNOWN)
    net = cs.star(4, 1.0, 0)
    tightest_cut(net, [1] * 4)
    assert len(cuts._KNOWN) == before + 1
    del net
    assert len(cuts._KNOWN) == before


def test_a_cut_without_limit_asks_nothing():
    assert Cut(frozenset([0]), None, Fraction(5), True).ratio == 0


@pytest.mark.parametrize("spec", ["star:6", "torus:3x4", "fat-tree:4", "leaf-spine:3x4,spines=2", "backbone:4"])
def test_a_network_turned_round_is_the_one_made_from_links_turned_round(spec):
    net = cs.override(cs.load_topology(spec, bandwidth="10GB/s", latency="1us"), 1, bandwidth="3GB/s")
    for reverse in (False, True):
        turned, made = cuts.Network(net, not reverse).turned(), cuts.Network(net, reverse)
        assert (turned.entering, turned.base, turned.units) == (made.entering, made.base, made.units)
        assert (turned.into_each, turned.balanced) == (made.into_each, made.balanced)

"""Bisection bandwidth: known forms, every half of small networks, and what is said when it is not exact."""

from __future__ import annotations

import itertools
import math
import random

import pytest

import collsim as cs
from collsim.bisection import _exact_halves, _halves_tried, _least, _Network, bisection
from collsim.errors import InputError
from collsim.topology import Link, Node, Topology, cable

B = 10e9
FIGURES = {"bandwidth": "10GB/s", "latency": "1us"}

# Leighton 1992, and from the shapes themselves, in bandwidths of a link.
KNOWN = [
    ("ring:8", 2),
    ("ring:9", 2),
    ("ring:64", 2),
    ("line:7", 1),
    ("line:64", 1),
    ("torus:4x4", 8),
    ("torus:6x6", 12),
    ("torus:8x8", 16),
    ("torus:4x8", 8),
    ("torus:4x4x4", 32),
    ("torus:12x12", 24),
    ("mesh:4x4", 4),
    ("mesh:5x6", 5),
    ("mesh:8x8", 8),
    ("hypercube:16", 8),
    ("hypercube:128", 64),
    ("star:8", 4),
    ("star:9", 4),
    ("star:500", 250),
    ("full:8", 16),
    ("full:9", 20),
    ("full:40", 400),
    ("fat-tree:4", 8),
    ("fat-tree:8", 64),
    ("fat-tree:down=4x4,up=1x2,parallel=1x2", 8),
    ("tree:2x4", 1),
    ("bus:8", 1),
    ("bus:40", 1),
    ("backbone:8", 1),
]


@pytest.mark.parametrize(("spec", "links"), KNOWN)
def test_known_networks_have_their_textbook_bisection_and_it_is_called_exact(spec, links):
    found = bisection(cs.load_topology(spec, **FIGURES))
    assert found.exact
    assert found.capacity == pytest.approx(links * B, rel=1e-12)


@pytest.mark.parametrize(("leaves", "hosts", "over"), [(4, 8, 1), (4, 8, 4), (8, 16, 2)])
def test_oversubscription_divides_what_two_halves_of_a_leaf_spine_exchange(leaves, hosts, over):
    net = cs.load_topology(f"leaf-spine:{leaves}x{hosts},spines=4,oversubscription={over}", bandwidth=B, latency=0)
    assert bisection(net).capacity == pytest.approx(leaves * hosts * B / (2 * over), rel=1e-12)


def test_two_bandwidths_of_a_torus_are_cut_where_it_costs_least():
    net = cs.torus("8x8", bandwidth="10GB/s,40GB/s", latency=0)
    assert bisection(net).capacity == pytest.approx(2 * 8 * B)
    assert bisection(net).exact


def leaving(topology: Topology, inside: set[Node]) -> float:
    """What leaves a set of nodes, by the definition of media and fatpipes."""
    channels = {}
    for number, link in enumerate(topology.links):
        if link.tail in inside and link.head not in inside:
            channels[link.medium or number] = math.inf if link.fatpipe else link.bandwidth
    return sum(channels.values())


def brute_force(topology: Topology) -> float:
    """The least of all halves, with the switches on all sides."""
    ranks = range(topology.ranks)
    sizes = {topology.ranks // 2, topology.ranks - topology.ranks // 2}
    return min(
        leaving(topology, {*half, *switches})
        for size in sizes
        for half in itertools.combinations(ranks, size)
        for count in range(len(topology.switches) + 1)
        for switches in itertools.combinations(topology.switches, count)
    )


def random_network(seed: int) -> Topology:
    """A connected network with switches, parallel links, media, fatpipes and directions that differ."""
    chance = random.Random(seed)
    ranks = chance.randint(2, 6)
    nodes: list[Node] = [*range(ranks), *("a", "b", "c")[: chance.randint(0, 3)]]
    around = chance.sample(nodes, len(nodes))
    links = [
        Link(tail, head, chance.choice([1.0, 2.0, 5.0]), 0.0)
        for tail, head in zip(around, around[1:] + around[:1], strict=True)
    ]
    for _ in range(chance.randint(0, 9)):
        a, b = chance.sample(nodes, 2)
        what = chance.random()
        if what < 0.2:
            links += cable(a, b, 3.0, 0.0, medium=chance.choice("xy"))
        elif what < 0.3:
            links.append(Link(a, b, 1.0, 0.0, fatpipe=True))
        else:
            links.append(Link(a, b, chance.choice([1.0, 2.0, 5.0]), 0.0))
    return Topology(f"random {seed}", ranks, links)


def test_no_half_of_any_small_random_network_is_below_what_is_claimed_and_exact_means_exact():
    exact = 0
    for seed in range(120):
        net = random_network(seed)
        found, least = bisection(net), brute_force(net)
        assert found.least <= least * (1 + 1e-12)
        assert found.capacity >= least * (1 - 1e-12)
        assert found.capacity == leaving(net, set(found.inside))
        assert len([node for node in found.inside if isinstance(node, int)]) in (net.ranks // 2, -(-net.ranks // 2))
        if found.exact:
            exact += 1
            assert found.capacity == pytest.approx(least, rel=1e-12)
    assert exact > 80


@pytest.mark.parametrize(
    "spec", ["torus:4x4", "mesh:4x4", "hypercube:16", "fat-tree:4", "rail:2x4", "full:9", "ring:7"]
)
def test_bounds_and_halves_tried_agree_with_the_exact_way_where_both_can_be_had(spec):
    net = cs.load_topology(spec, **FIGURES)
    network = _Network(net)
    halves = _exact_halves(network)
    exact = leaving(net, set(halves))
    tried = {words: leaving(net, set(inside)) for words, inside in _halves_tried(net, network).items()}
    assert min(tried.values()) >= exact * (1 - 1e-12)
    assert min(tried.values()) <= exact * 1.2
    assert _least(net)[0] <= exact * (1 + 1e-12)


def test_switches_that_cannot_be_told_apart_are_merged_and_a_fat_tree_becomes_a_tree():
    network = _Network(cs.fat_tree(8, bandwidth=B, latency=0))
    edges = len({frozenset(pair) for pair in network.capacity})
    assert edges == len(network.members) - 1
    assert len(network.members) == 128 + 32 + 8 + 1


def test_one_slow_uplink_is_not_merged_with_its_neighbours_and_lowers_the_bisection():
    net = cs.fat_tree(4, bandwidth=B, latency=0)
    links = [
        Link(link.tail, link.head, B / 2, 0.0) if {link.tail, link.head} == {"aggregation 0", "core 0"} else link
        for link in net.links
    ]
    found = bisection(net.with_links(links))
    assert found.exact
    assert found.capacity == pytest.approx(7.5 * B)


def test_a_direction_that_is_slower_counts_whichever_half_it_leaves():
    links = [*cable(0, "s", 4.0, 0.0), Link(1, "s", 4.0, 0.0), Link("s", 1, 1.0, 0.0)]
    found = bisection(Topology("uneven", 2, links))
    assert (found.capacity, found.exact) == (1.0, True)


def test_fatpipes_between_all_halves_leave_it_unlimited():
    found = bisection(Topology("ideal", 2, [Link(0, 1, 1.0, 0.0, fatpipe=True), Link(1, 0, 1.0, 0.0, fatpipe=True)]))
    assert math.isinf(found.capacity)
    assert found.exact


def test_a_half_duplex_cable_counts_once_and_a_bus_is_one_capacity_for_all():
    assert bisection(cs.load_topology("ring:8,half_duplex=true", **FIGURES)).capacity == 2 * B
    assert bisection(cs.load_topology("star:8,half_duplex=true", **FIGURES)).capacity == 4 * B


def test_where_it_is_not_known_exactly_both_bounds_are_given_with_their_reasons():
    found = bisection(cs.dragonfly(h=3, bandwidth=B, latency=0))
    assert not found.exact
    assert 0 < found.least < found.capacity
    above, below = found.reason.split("; ")
    assert above.startswith("halves by")
    assert below.startswith("loads of")


def test_the_same_network_gives_the_same_halves():
    net = cs.dragonfly(h=2, bandwidth=B, latency=0)
    assert bisection(net) == bisection(cs.dragonfly(h=2, bandwidth=B, latency=0))


def test_one_rank_and_a_disconnected_network_are_refused():
    with pytest.raises(InputError, match="no halves"):
        bisection(cs.star(1, **FIGURES))
    with pytest.raises(InputError, match="disconnected"):
        bisection(Topology("two", 2, [Link(0, 1, 1.0, 0.0)]))

"""Figures of networks: hops, injection, kinds of links, against networkx and against the shapes' own formulas."""

from __future__ import annotations

import math

import networkx as nx
import pytest

import collsim as cs
from collsim.metrics import (
    cables,
    group_sizes,
    injection,
    link_kinds,
    node_kind,
    one_directional,
    parallel_links,
    route_figures,
    switch_kinds,
)
from collsim.topology import Link, Topology, cable

B = 10e9
FIGURES = {"bandwidth": "10GB/s", "latency": "1us"}


@pytest.mark.parametrize(
    ("spec", "hops"),
    [
        ("ring:8", 4),
        ("ring:9", 4),
        ("line:9", 8),
        ("torus:4x6", 5),
        ("mesh:3x5", 6),
        ("hypercube:32", 5),
        ("star:7", 2),
        ("full:6", 1),
        ("fat-tree:4", 6),
        ("tree:2x3", 6),
        ("leaf-spine:4x2,spines=2", 4),
    ],
)
def test_diameter_is_that_of_the_textbook_and_of_networkx(spec, hops):
    net = cs.load_topology(spec, **FIGURES)
    found = route_figures(net)
    away = dict(nx.all_pairs_shortest_path_length(nx.Graph(net.graph)))
    lengths = [away[src][dst] for src in range(net.ranks) for dst in range(net.ranks) if src != dst]
    assert found.hops == hops == max(lengths)
    assert found.mean_hops == pytest.approx(sum(lengths) / len(lengths))
    assert found.latency == pytest.approx(hops * 1e-6)
    assert found.least_latency == pytest.approx(min(lengths) * 1e-6)
    assert found.pairs == found.all_pairs == net.ranks * (net.ranks - 1)
    src, dst = found.farthest
    assert len(net.route(src, dst)) == hops


def test_the_route_with_most_links_need_not_be_the_slowest():
    links = [*cable(0, 1, B, 9e-6)]
    for ends in ((1, "a"), ("a", "b"), ("b", 2), (0, "c"), ("c", "d"), ("d", 2)):
        links += cable(*ends, B, 1e-6)
    found = route_figures(Topology("uneven", 3, links))
    assert found.hops == 3
    assert found.latency == pytest.approx(9e-6)
    assert found.farthest == (0, 2)


def test_a_message_that_is_spread_counts_each_of_its_ways_by_its_share():
    net = cs.load_topology("leaf-spine:2x2,spines=2", **FIGURES, routing="spread")
    assert route_figures(net).mean_hops == pytest.approx((2 * 1 + 4 * 2) / 3)


def test_many_ranks_are_sampled_and_it_is_said():
    found = route_figures(cs.ring(200, **FIGURES))
    assert found.pairs <= 20_000 < found.all_pairs == 200 * 199
    assert found.hops == 100


def test_one_rank_has_no_routes():
    assert route_figures(cs.star(1, **FIGURES)) is None


def test_injection_is_the_sum_of_a_ranks_links_and_media_count_once():
    assert injection(cs.torus("4x4x4", **FIGURES)).least_out == 6 * B
    assert injection(cs.line(4, **FIGURES)).least_out == B
    assert injection(cs.line(4, **FIGURES)).most_in == 2 * B
    assert injection(cs.load_topology("bus:5", **FIGURES)).most_out == B
    uneven = Topology("uneven", 2, [Link(0, 1, 1.0, 0.0), Link(0, 1, 2.0, 0.0), Link(1, 0, 5.0, 0.0)])
    assert (injection(uneven).least_out, injection(uneven).most_out) == (3.0, 5.0)
    assert (injection(uneven).least_in, injection(uneven).most_in) == (3.0, 5.0)
    ideal = Topology("ideal", 2, [Link(0, 1, 1.0, 0.0, fatpipe=True), Link(1, 0, 5.0, 0.0)])
    assert math.isinf(injection(ideal).most_out)


def test_kinds_of_links_say_what_they_join_and_how_they_are_shared():
    kinds = link_kinds(cs.rail("4x8", bandwidth="300GB/s,25GB/s", latency="1us,2us"))
    assert [(kind.between, kind.links, kind.bandwidth, kind.latency) for kind in kinds] == [
        (("rank", "nvswitch"), 64, 300e9, 1e-6),
        (("rank", "rail"), 64, 25e9, 2e-6),
    ]
    assert all(kind.both_ways for kind in kinds)
    links = [
        *cable(0, 1, 1.0, 0.0, medium="wire"),
        *cable(1, 2, 1.0, 0.0, medium="bus"),
        *cable(0, 2, 1.0, 0.0, medium="bus"),
        Link(0, "s", 1.0, 0.0, fatpipe=True),
        Link("s", 1, 1.0, 0.0),
    ]
    found = {(kind.between, kind.shared): (kind.links, kind.both_ways) for kind in link_kinds(Topology("x", 3, links))}
    assert found == {
        (("rank", "rank"), "half-duplex"): (2, True),
        (("rank", "rank"), "medium"): (4, True),
        (("rank", "s"), "fatpipe"): (1, False),
        (("rank", "s"), ""): (1, False),
    }
    assert sum(kind.links for kind in link_kinds(cs.dragonfly(h=2, **FIGURES))) == 324


@pytest.mark.parametrize(
    ("node", "kind"),
    [(0, "rank"), ("leaf 3", "leaf"), ("router 1.2", "router"), ("card 0.3", "card"), ("sw12", "sw"), ("7", "7")],
)
def test_a_kind_of_node_is_its_name_without_numbers(node, kind):
    assert node_kind(node) == kind


def test_cables_parallel_links_and_directions_are_counted():
    double = Topology("double", 2, [*cable(0, 1, 1.0, 0.0), *cable(0, 1, 1.0, 0.0)])
    assert (cables(double), parallel_links(double), one_directional(double)) == (2, 2, [])
    uneven = Topology("uneven", 2, [Link(0, 1, 1.0, 0.0), Link(1, 0, 2.0, 0.0)])
    assert (cables(uneven), one_directional(uneven)) == (1, [(0, 1)])
    circle = Topology("circle", 3, [Link(r, (r + 1) % 3, 1.0, 0.0) for r in range(3)])
    assert (cables(circle), one_directional(circle)) == (None, [(0, 1), (1, 2), (2, 0)])


def test_switches_and_groups_are_counted_by_kind():
    net = cs.fat_tree(4, **FIGURES)
    assert switch_kinds(net) == {"edge": 8, "aggregation": 8, "core": 4}
    assert group_sizes(net) == [(2, 8)]
    assert sum(size * count for size, count in group_sizes(cs.dragonfly(h=2, **FIGURES))) == 72

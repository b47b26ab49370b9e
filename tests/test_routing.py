"""Routes chosen anew on networks that are there already."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
from collections import Counter

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.routing import ROUTINGS
from collsim.topology import Route, Topology, cable

SPEED, DELAY = 1e10, 1e-6
SHORTEST = ("shortest", "d-mod-k", "ecmp", "ecmp:seed=5", "spread:most=1000")


def leaf_spine(leaves=2, hosts=4, spines=4):
    return cs.leaf_spine(leaves, hosts, spines=spines, bandwidth="10GB/s", latency="1us")


def nodes_of(net, links):
    return [net.links[links[0]].tail, *(net.links[i].head for i in links)]


def pairs(net):
    return itertools.permutations(range(net.ranks), 2)


@st.composite
def networks(draw):
    """A connected network of ranks and switches, with parallel cables and figures that differ."""
    size = draw(st.integers(2, 8))
    ranks = draw(st.integers(2, size))
    names = draw(st.permutations([*range(ranks), *(f"s{i}" for i in range(size - ranks))]))
    ends = [(draw(st.integers(0, i - 1)), i) for i in range(1, size)]  # a tree: connected
    ends += draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=10))
    links = []
    for a, b in ends:
        if a != b:
            links += cable(names[a], names[b], SPEED * draw(st.integers(1, 3)), draw(st.integers(0, 3)) / 1e6)
    return Topology("drawn", ranks, links)


@given(networks(), st.sampled_from(SHORTEST))
def test_routes_are_paths_with_the_fewest_links(net, routing):
    changed = cs.reroute(net, routing)
    assert changed.links == net.links
    for src, dst in pairs(net):
        hops = nx.shortest_path_length(net.graph, src, dst)
        routes = changed.routes(src, dst)
        assert sum(route.share for route in routes) == pytest.approx(1.0, rel=1e-12)
        for _, links in routes:
            nodes = nodes_of(net, links)
            assert (nodes[0], nodes[-1], len(links)) == (src, dst, hops)


@settings(max_examples=50)
@given(networks())
def test_spread_takes_every_shortest_path_once_and_evenly(net):
    changed = cs.reroute(net, "spread:most=1000")
    for src, dst in pairs(net):
        routes = changed.routes(src, dst)
        between = Counter((link.tail, link.head) for link in net.links)
        expected = 0
        for path in nx.all_shortest_paths(nx.DiGraph(net.graph), src, dst):
            ways = 1
            for pair in itertools.pairwise(path):
                ways *= between[pair]
            expected += ways
        assert len({route.links for route in routes}) == len(routes) == expected
        assert {route.share for route in routes} == {1 / expected}
        assert routes[0].links == cs.reroute(net, "shortest").route(src, dst)


@settings(max_examples=50)
@given(networks())
def test_least_latency_is_what_dijkstra_finds_and_has_the_fewest_links_of_these(net):
    changed = cs.reroute(net, "least-latency")
    for src, dst in pairs(net):
        # Whole microseconds, so that sums are exact; a small part for every link counts them.
        best = nx.shortest_path_length(
            net.graph, src, dst, weight=lambda a, b, data: min(round(d["latency"] * 1e6) + 1e-3 for d in data.values())
        )
        links = changed.route(src, dst)
        assert sum(round(net.latency[i] * 1e6) + 1e-3 for i in links) == pytest.approx(best, rel=1e-9)


def test_least_latency_adds_up_latencies_exactly():
    # 0.1 + 0.2 is not 0.3 in floating point, and more than that; still the path with fewer links is taken.
    links = [*cable(0, "a", 1, 0.1), *cable("a", 1, 1, 0.2), *cable(0, "b", 1, 0.3), *cable("b", 1, 1, 0)]
    net = cs.reroute(Topology("two", 2, [*links, *cable(0, 1, 1, 0.3)]), "least-latency")
    assert (net.route(0, 1), net.route(1, 0)) == ((8,), (9,))
    # Of two paths with as many links and the same latency the first is taken.
    net = cs.reroute(Topology("two", 2, links), "least-latency")
    assert (net.route(0, 1), net.route(1, 0)) == ((0, 2), (3, 1))
    net = cs.reroute(Topology("two", 2, [*links[4:], *links[:4]]), "least-latency")
    assert (net.route(0, 1), net.route(1, 0)) == ((0, 2), (3, 1))


def test_shortest_takes_the_first_in_the_order_of_links():
    net = leaf_spine()
    changed = cs.reroute(net, "shortest")
    assert {nodes_of(net, changed.route(src, dst))[2] for src in range(4) for dst in range(4, 8)} == {"spine 0"}


# d-mod-k


def worst_link(net, shift):
    """The most messages on one link when every rank r sends to r + shift."""
    used = Counter(i for src in range(net.ranks) for i in net.route(src, (src + shift) % net.ranks))
    return max(used.values())


@pytest.mark.parametrize(
    "net",
    [
        cs.fat_tree(4, bandwidth=SPEED, latency=DELAY),
        cs.fat_tree(6, bandwidth=SPEED, latency=DELAY),
        leaf_spine(4, 4, 4),
    ],
    ids=lambda net: net.name,
)
def test_d_mod_k_shifts_without_contention_on_a_full_fat_tree(net):
    # Zahavi et al. 2010: in every phase of a shift all-to-all no link has two messages.
    changed = cs.reroute(net, "d-mod-k")
    assert {worst_link(changed, shift) for shift in range(1, net.ranks)} == {1}
    assert max(worst_link(cs.reroute(net, "shortest"), shift) for shift in range(1, net.ranks)) > 1


@pytest.mark.parametrize(
    "spec",
    [
        "4",
        "down=4x4,up=1x2,parallel=1x2",
        "down=2x3x2,up=2x2x3,parallel=2x1x2",
        "down=3x2x2,up=1x2x2,parallel=3x2x1",
        "down=4x2x3,up=1x2x2,parallel=1x2x3",
    ],
)
def test_d_mod_k_finds_the_routes_that_a_fat_tree_has_by_itself_parallel_cables_too(spec):
    net = cs.load_topology(f"fat-tree:{spec}", bandwidth=SPEED, latency=DELAY)
    changed = cs.reroute(net, "d-mod-k")
    assert all(changed.routes(src, dst) == net.routes(src, dst) for src, dst in pairs(net))


def test_d_mod_k_brings_all_messages_to_a_rank_down_one_path():
    net = cs.reroute(cs.fat_tree(4, bandwidth=SPEED, latency=DELAY), "d-mod-k")
    for dst in range(16):
        from_other_pods = [src for src in range(16) if src // 4 != dst // 4]
        assert len({nodes_of(net, net.route(src, dst))[3] for src in from_other_pods}) == 1


# ECMP


def test_ecmp_uses_equal_paths_about_equally_often():
    net = cs.reroute(leaf_spine(8, 8, 8), "ecmp")
    spines = Counter(nodes_of(net, net.route(s, d))[2] for s, d in pairs(net) if s // 8 != d // 8)
    total, expected = sum(spines.values()), sum(spines.values()) / 8
    assert (total, len(spines)) == (64 * 56, 8)
    # Chi-squared with 7 degrees of freedom is above 24.3 in one of 1000 draws.
    assert sum((count - expected) ** 2 / expected for count in spines.values()) < 24.3
    # A hash that does not look at the pair would take one spine for each leaf.
    alone = Counter(nodes_of(net, net.route(0, d))[2] for d in range(8, 64))
    assert len(alone) > 4


def test_ecmp_of_another_seed_is_another_draw_and_of_the_same_seed_the_same():
    net = leaf_spine()
    routes = [[cs.reroute(net, "ecmp", seed=seed).route(s, d) for s, d in pairs(net)] for seed in (0, 1, 1)]
    assert routes[1] == routes[2]
    assert routes[0] != routes[1]
    assert cs.reroute(net, "ecmp").route(0, 5) == cs.reroute(net, "ecmp:seed=0").route(0, 5)
    assert cs.reroute(net, "ecmp:7").name == cs.reroute(net, "ecmp", seed="7").name


def test_ecmp_of_a_node_does_not_depend_on_what_was_chosen_before():
    # Two levels of choices: were both made by one hash, half of the paths would never be taken.
    net = cs.reroute(cs.fat_tree(4, bandwidth=SPEED, latency=DELAY), "ecmp")
    cores = Counter(tuple(nodes_of(net, net.route(s, d))[2:4]) for s in range(4) for d in range(4, 16))
    assert len(cores) == 4  # two aggregation switches with two cores each


def test_ecmp_and_random_placement_are_the_same_in_every_process():
    code = (
        "import collsim as cs\n"
        "net = cs.load_topology('leaf-spine:4x4,spines=4', bandwidth=1, latency=0, routing='ecmp:seed=3',"
        " placement='random:9')\n"
        "print([net.route(s, d) for s in range(16) for d in range(16) if s != d], net.groups)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


# Spread


def test_a_spread_message_uses_all_spines_and_gets_all_their_bandwidth():
    net = cs.leaf_spine(2, 1, spines=4, bandwidth=["40GB/s", "10GB/s"], latency="1us")
    assert net.route_bandwidth(0, 1) == 1e10
    changed = cs.reroute(net, "spread")
    assert {nodes_of(net, route.links)[2] for route in changed.routes(0, 1)} == {f"spine {i}" for i in range(4)}
    assert changed.route_bandwidth(0, 1) == 4e10
    schedule = cs.make_schedule("broadcast", "binomial", ranks=2)
    assert cs.simulate(schedule, changed, "40GB").time == pytest.approx(1 + 4e-6, rel=1e-9)
    assert cs.simulate(schedule, net, "40GB").time == pytest.approx(4 + 4e-6, rel=1e-9)


def test_more_paths_than_stated_are_refused_with_their_number_and_a_way_out():
    net = cs.torus("8x8", bandwidth=SPEED, latency=DELAY)
    with pytest.raises(cs.InputError, match=r"there are 280 shortest paths from rank 0 to rank 36 .*'spread:most=280'"):
        cs.reroute(net, "spread").routes(0, 36)
    assert len(cs.reroute(net, "spread:most=280").routes(0, 36)) == 280
    # Counting is quick where listing would not be: 12 choose 6 times 4 ways round, and so on.
    wide = cs.torus("24x24", bandwidth=SPEED, latency=DELAY)
    with pytest.raises(cs.InputError, match=f"there are {4 * 2704156} shortest paths"):
        cs.reroute(wide, "spread").routes(0, 12 * 24 + 12)


# Explicit routes


def test_explicit_routes_are_taken_and_the_others_stay():
    net = cs.ring(4, SPEED, DELAY)
    way = [Route(0.25, net.links_along([0, 1, 2])), Route(0.75, net.links_along([0, 3, 2]))]
    changed = cs.reroute(net, {(0, 1): [0, 3, 2, 1], (0, 2): way})
    assert nodes_of(net, changed.route(0, 1)) == [0, 3, 2, 1]
    assert changed.routes(0, 2) == tuple(way)
    assert all(changed.routes(s, d) == net.routes(s, d) for s, d in pairs(net) if (s, d) not in {(0, 1), (0, 2)})
    assert changed.name == "ring:4 (explicit routes)"
    assert changed.routing == "explicit for 2 pairs, else the shorter way round"


def test_explicit_routes_come_from_a_file(tmp_path):
    file = tmp_path / "routes.toml"
    file.write_text('[[route]]\nfrom = 0\nto = "4-5"\nvia = ["leaf 0", "spine 3", "leaf 1"]\n')
    net = cs.reroute(leaf_spine(), f"explicit:{file}")
    assert [nodes_of(net, net.route(0, dst))[2] for dst in (4, 5, 6)] == ["spine 3", "spine 3", "spine 2"]
    for text, part in [
        ("", "there is no [[route]]"),
        ("[[rout]]\nfrom = 0\n", "'rout'; did you mean 'route'?"),
        ('[[route]]\nfrom = 0\nto = 4\nvia = ["leaf 0", "spine 9", "leaf 1"]\n', "route 1: unknown node in 'via':"),
        ('[[route]]\nfrom = 0\nto = 4\nvia = ["leaf 1"]\n', "route 1: a route of topology"),
    ]:
        file.write_text(text)
        with pytest.raises(cs.InputError) as refused:
            cs.reroute(leaf_spine(), f"explicit:{file}")
        assert part in str(refused.value)
        assert "routes.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("routes", "part"),
    [
        ({(0, 1): [0, 2, 1]}, "from rank 0 to rank 1: a route of topology 'ring:4' uses a link from 0 to 2"),
        ({(0, 1): [1, 2]}, "must begin with 0 and end with 1"),
        ({(0, 1): [0, 1, 0, 1]}, "it comes to rank 0 twice"),
        ({(0, 1): [0, "x", 1]}, "has no node 'x'"),
        ({(0, 1): []}, "must be the nodes on the way"),
        ({(0, 1): "01"}, "must be the nodes on the way"),
        ({(0, 1): [Route(0.5, (0,))]}, "must be positive and add up to 1"),
        ({(0, 1): [Route(1.0, (2,))]}, "do not join up"),
        ({(0, 1): [Route(1.0, (99,))]}, "has no link 99 (there are 0-7)"),
        ({(0, 9): [0, 9]}, "has ranks 0-3"),
        ({(0, 0): [0]}, "from one rank to another"),
        ({0: [0, 1]}, "from one rank to another"),
    ],
)
def test_a_wrong_explicit_route_is_refused_at_once(routes, part):
    with pytest.raises(cs.InputError) as refused:
        cs.reroute(cs.ring(4, SPEED, DELAY), routes)
    assert part in str(refused.value)


# All of them


def test_native_changes_nothing():
    net = cs.torus("3x3", bandwidth=SPEED, latency=DELAY)
    assert cs.reroute(net, "native") is net


@pytest.mark.parametrize("name", [name for name in ROUTINGS if name not in ("native", "explicit")])
def test_the_name_says_that_routes_are_others_and_the_network_can_be_sent_elsewhere(name):
    net = leaf_spine()
    changed = cs.reroute(net, ROUTINGS[name].example)
    assert changed.name.startswith(f"{net.name} ({name}")
    assert changed.routing != net.routing
    assert (changed.groups, changed.placement) == (net.groups, "linear")
    again = pickle.loads(pickle.dumps(changed))
    assert all(again.routes(s, d) == changed.routes(s, d) for s, d in pairs(net))


@pytest.mark.parametrize(
    ("routing", "part"),
    [
        ("ecpm", "unknown routing 'ecpm'; did you mean 'ecmp'?"),
        ("", "unknown routing ''"),
        ("ecmp:seed=-1", "the seed of ecmp must be a whole number of at least 0, got '-1'"),
        ("ecmp:seed=x", "got 'x'"),
        ("ecmp:sed=1", "unknown option of routing 'ecmp': 'sed'; did you mean 'seed'?"),
        ("ecmp:seed=1,seed=2", "'seed' comes twice"),
        ("spread:most=0", "the most paths of a spread message must be a whole number of at least 1, got '0'"),
        ("shortest:1", "'shortest' has no options"),
        ("explicit", "routing 'explicit' needs a file of routes, such as explicit:routes.toml"),
        ("explicit:/no,where=.toml", "cannot read topology file '/no,where=.toml'"),
        ("explicit:/nowhere.toml", "cannot read topology file '/nowhere.toml'"),
        (5, "a routing must be a name"),
    ],
)
def test_a_wrong_routing_is_refused_in_one_line(routing, part):
    with pytest.raises(cs.InputError) as refused:
        cs.reroute(leaf_spine(), routing)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(cs.InputError, match="must be a Topology, got str"):
        cs.reroute("star:8", "ecmp")


@settings(max_examples=50)
@given(networks(), st.sampled_from(["ecmp", "spread:most=1000", "least-latency"]), st.integers(0, 5))
def test_changes_can_be_put_together(net, routing, seed):
    changed = cs.load_topology(
        net, routing=routing, placement=f"random:{seed}", overrides=["*:latency=x2"], injection="1GB/s"
    )
    assert changed.ranks == net.ranks
    for src, dst in pairs(changed):
        for _, links in changed.routes(src, dst):
            nodes = nodes_of(changed, links)
            assert (nodes[0], nodes[-1]) == (src, dst)
            assert len(set(nodes)) == len(nodes)
        assert changed.route_bandwidth(src, dst) <= 1e9

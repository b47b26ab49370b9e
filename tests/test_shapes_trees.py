"""Trees, fat trees, leaf and spine: counts by formula, cuts by max-flow, d-mod-k by what its paper proves."""

from __future__ import annotations

import itertools
import math
import pickle
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collsim as cs
from collsim.shapes import SHAPES
from collsim.shapes.trees import fit_fat_tree, fit_tree
from collsim.topology import Route

SPEED, DELAY = 1e10, 1e-6
SIMGRID = Path(__file__).parents[2] / "shared" / "data" / "simgrid" / "routes"


def build(spec, bandwidth=SPEED, latency=DELAY):
    return cs.load_topology(spec, bandwidth=bandwidth, latency=latency)


def capacities(net):
    """The network as networkx sees it, made from the links alone; parallel links add up."""
    graph = nx.DiGraph()
    for link in net.links:
        known = graph.edges[link.tail, link.head]["capacity"] if graph.has_edge(link.tail, link.head) else 0
        graph.add_edge(link.tail, link.head, capacity=known + link.bandwidth)
    return graph


def max_flow(net, sources, sinks):
    """What the sources can send to the sinks at once."""
    graph = capacities(net)
    graph.add_edges_from(("source", rank) for rank in sources)
    graph.add_edges_from((rank, "sink") for rank in sinks)
    return nx.maximum_flow_value(graph, "source", "sink")


def nodes_of(net, src, dst):
    links = [net.links[i] for i in net.route(src, dst)]
    return [src, *(link.head for link in links)]


def pairs(net):
    return itertools.permutations(range(net.ranks), 2)


def shift_load(net, shift):
    """The most messages that a link carries when every rank sends to the one `shift` further."""
    load = Counter()
    for src in range(net.ranks):
        load.update(net.route(src, (src + shift) % net.ranks))
    return max(load.values())


# Trees


@pytest.mark.parametrize(("arity", "depth"), [(2, 1), (2, 3), (3, 2), (4, 2), (1, 2)])
def test_a_tree_has_its_ranks_as_leaves(arity, depth):
    net = cs.tree(arity, depth, bandwidth=SPEED, latency=DELAY)
    assert (net.name, net.ranks) == (f"tree:{arity}x{depth}", arity**depth)
    assert len(net.switches) == sum(arity**level for level in range(depth))
    graph = capacities(net)
    assert nx.is_tree(graph.to_undirected())
    assert [node for node in graph if graph.out_degree(node) == 1 and isinstance(node, int)] == [*range(net.ranks)]
    assert {graph.out_degree(node) for node in net.switches} <= {arity, arity + 1}
    for src, dst in pairs(net):
        assert nodes_of(net, src, dst) == nx.shortest_path(graph, src, dst)
    if arity > 1:
        assert len(net.route(0, net.ranks - 1)) == 2 * depth == nx.diameter(graph)


def test_the_levels_of_a_tree_have_their_own_figures():
    net = build("tree:2x3", "40GB/s,20GB/s,10GB/s", "1us,2us,4us")
    assert Counter(link.bandwidth for link in net.links) == {40e9: 16, 20e9: 8, 10e9: 4}
    assert [net.route_bandwidth(0, dst) for dst in (1, 2, 4)] == [40e9, 20e9, 10e9]
    assert [net.route_latency(0, dst) for dst in (1, 2, 4)] == pytest.approx([2e-6, 6e-6, 14e-6], rel=1e-12)
    assert net.groups == ((0, 1), (2, 3), (4, 5), (6, 7))


# Fat trees


@pytest.mark.parametrize("k", [2, 4, 6, 8])
def test_a_k_ary_fat_tree_has_the_switches_of_its_paper(k):
    net = cs.fat_tree(k, bandwidth=SPEED, latency=DELAY)
    assert (net.name, net.ranks, len(net.links)) == (f"fat-tree:{k}", k**3 // 4, 2 * 3 * k**3 // 4)
    kinds = Counter(name.split()[0] for name in net.switches)
    assert kinds == {"edge": k * k // 2, "aggregation": k * k // 2, "core": (k // 2) ** 2}
    graph = capacities(net)
    assert {graph.out_degree(switch) for switch in net.switches} == {k}
    assert nx.diameter(graph) == 6
    # A pod: its edge switches reach its aggregation switches and no others, each core switch reaches every pod.
    for core in (name for name in net.switches if name.startswith("core")):
        assert {int(below.split()[1]) // (k // 2) for below in graph[core]} == {*range(k)}
    assert net.groups == tuple(tuple(range(i, i + k // 2)) for i in range(0, net.ranks, k // 2))


@given(st.permutations(range(16)))
def test_a_k_ary_fat_tree_has_full_bisection_between_any_two_halves(order):
    assert max_flow(build("fat-tree:4"), order[:8], order[8:]) == 8 * SPEED


def test_a_tree_that_is_not_fat_has_not():
    assert max_flow(build("tree:2x4"), range(8), range(8, 16)) == SPEED


def by_definition(down, up, parallel):
    """A PGFT as Zahavi writes it: a node has a level and one digit a level; neighbours differ in one digit at most."""
    graph = nx.Graph()
    nodes = [
        [(level, digits) for digits in itertools.product(*map(range, (*up[:level], *down[level:])))]
        for level in range(len(down) + 1)
    ]
    for level, (low, high) in enumerate(itertools.pairwise(nodes)):
        for (_, a), (_, b) in itertools.product(low, high):
            if a[:level] == b[:level] and a[level + 1 :] == b[level + 1 :]:
                graph.add_edge((level, a), (level + 1, b), capacity=parallel[level] * SPEED)
    return graph


SIZES = [
    ((4, 4), (1, 2), (1, 2)),
    ((4, 2), (1, 4), (1, 1)),
    ((2, 2, 3), (1, 2, 2), (1, 1, 1)),
    ((2, 3, 2), (1, 3, 2), (1, 1, 3)),
    ((3, 2), (2, 2), (1, 3)),
    ((2, 2, 2), (2, 2, 1), (1, 1, 1)),
    ((2, 1, 2, 2), (1, 2, 2, 2), (1, 1, 2, 1)),
    ((5,), (1,), (2,)),
]


def spec_of(down, up, parallel):
    given = {"down": down, "up": up, "parallel": parallel}
    return "fat-tree:" + ",".join(f"{key}={'x'.join(map(str, sizes))}" for key, sizes in given.items())


@pytest.mark.parametrize(("down", "up", "parallel"), SIZES)
def test_a_general_fat_tree_is_the_graph_of_its_definition(down, up, parallel):
    net = build(spec_of(down, up, parallel))
    height = len(down)
    assert net.ranks == math.prod(down)
    assert len(net.switches) == sum(math.prod(up[:i]) * math.prod(down[i:]) for i in range(1, height + 1))
    assert len(net.links) == 2 * sum(math.prod(up[: i + 1]) * math.prod(down[i:]) * parallel[i] for i in range(height))
    defined, found = by_definition(down, up, parallel), capacities(net).to_undirected()
    assert nx.is_isomorphic(defined, found, edge_match=lambda a, b: a["capacity"] == b["capacity"])


def test_a_k_ary_fat_tree_is_a_general_one():
    general = build("fat-tree:down=2x2x4,up=1x2x2")
    assert nx.is_isomorphic(capacities(build("fat-tree:4")), capacities(general))


@pytest.mark.parametrize("spec", [*(spec_of(*sizes) for sizes in SIZES), "fat-tree:4", "leaf-spine:3x4,spines=2"])
def test_the_routes_of_a_tree_are_shortest_paths(spec):
    net = build(spec)
    hops = dict(nx.all_pairs_shortest_path_length(capacities(net)))
    for src, dst in pairs(net):
        assert len(net.route(src, dst)) == hops[src][dst]


@pytest.mark.parametrize(("down", "up", "parallel"), SIZES)
def test_d_mod_k_takes_the_ports_of_its_formula(down, up, parallel):
    # Link by link: which parent, counted in the order of links, and which of the parallel ones.
    net = build(spec_of(down, up, parallel))
    for src, dst in pairs(net):
        route = [net.links[i] for i in net.route(src, dst)]
        for level, link in enumerate(route[: len(route) // 2]):
            port = dst // math.prod(up[:level]) % (up[level] * parallel[level])
            leaving = net.leaving[link.tail][-up[level] * parallel[level] :]  # those up come after those down
            parents = list(dict.fromkeys(net.links[i].head for i in leaving))
            assert link.head == parents[port % up[level]]
            taken = [i for i in leaving if net.links[i].head == link.head].index(net.route(src, dst)[level])
            assert taken == port // up[level]


# As much goes up from every switch as comes from below, and every rank has one link: Zahavi's "real life fat tree".
FULL = [
    "fat-tree:4",
    "fat-tree:6",
    "fat-tree:down=4x4,up=1x2,parallel=1x2",
    "fat-tree:down=4x2,up=1x4",
    "fat-tree:down=4x4x2,up=1x4x2,parallel=1x1x2",
    "fat-tree:down=6x6,up=1x3,parallel=1x2",
    "leaf-spine:4x8",
    "leaf-spine:3x4,spines=4",
]


@pytest.mark.parametrize("spec", FULL)
def test_d_mod_k_carries_every_shift_without_sharing_a_link(spec):
    net = build(spec)
    assert {shift_load(net, shift) for shift in range(1, net.ranks)} == {1}


@pytest.mark.parametrize("spec", FULL)
def test_a_link_down_carries_messages_to_one_rank_only(spec):
    net = build(spec)
    heads = {}
    for src, dst in pairs(net):
        route = net.route(src, dst)
        for i in route[len(route) // 2 :]:
            heads.setdefault(i, set()).add(dst)
    assert {len(ranks) for ranks in heads.values()} == {1}


def lowest_port(net, src, dst):
    """Up over the first port always, which is no good."""
    graph = capacities(net)
    path = nx.shortest_path(graph, src, dst)
    return [Route(1.0, net.links_along(path))]


def test_other_routes_do_share_links_on_shifts():
    net = build("fat-tree:4").with_routes(lowest_port, "first found")
    assert shift_load(net, 4) > 1


@pytest.mark.parametrize(("spec", "ratio"), [("fat-tree:down=4x4,up=1x2", 2), ("leaf-spine:4x8,spines=2", 4)])
def test_on_an_oversubscribed_tree_shifts_share_links_evenly(spec, ratio):
    net = build(spec)
    assert shift_load(net, net.ranks // 4) == ratio


@pytest.mark.parametrize("spec", [*FULL, "leaf-spine:4x8,spines=2", "fat-tree:down=4x4,up=1x2"])
def test_all_pairs_together_load_the_links_of_a_level_evenly(spec):
    net = build(spec)
    load = Counter(i for src, dst in pairs(net) for i in net.route(src, dst))
    height = nx.multi_source_dijkstra_path_length(capacities(net), set(range(net.ranks)), weight=None)
    by_level = {}
    for i, link in enumerate(net.links):
        by_level.setdefault((height[link.tail], height[link.head]), set()).add(load[i])
    assert len(by_level) == max(len(net.route(*pair)) for pair in pairs(net))
    assert all(len(loads) == 1 for loads in by_level.values())


# Each file of the other simulator, and ours: its notation 2;4,2;1,4;1,1 is our down=4x2,up=1x4.
@pytest.mark.parametrize(("ranks", "spec"), [(4, "down=2x2,up=1x2"), (5, "down=4x2,up=1x4"), (8, "down=4x2,up=1x4")])
@pytest.mark.parametrize("figures", ["1.25e9_1e-5", "12.5e9_0", "12.5e9_1e-6"])
def test_routes_share_links_exactly_as_in_simgrid(ranks, spec, figures):
    path = SIMGRID / f"fattree_{ranks}_{figures}.routes"
    if not path.exists():
        pytest.skip("the results of the other simulator are not here")
    bandwidth, latency = map(float, figures.split("_"))
    net = build(f"fat-tree:{spec}", bandwidth, latency)
    theirs, ours = {}, {}
    for words in map(str.split, path.read_text().splitlines()):
        if words[0] == "route":
            pair = int(words[1][1:]), int(words[2][1:])
            assert net.route_latency(*pair) == pytest.approx(float(words[3]), rel=1e-12)
            for link in words[4:]:
                theirs.setdefault(link, set()).add(pair)
            for link in net.route(*pair):
                ours.setdefault(link, set()).add(pair)
    assert len(theirs) >= 2 * ranks
    assert sorted(map(sorted, ours.values())) == sorted(map(sorted, theirs.values()))


def test_a_fat_tree_of_a_thousand_ranks_carries_shifts_too():
    net = build("fat-tree:16")
    assert (net.ranks, len(net.switches)) == (1024, 320)
    for shift in (1, 8, 64, 511, 1000):
        assert shift_load(net, shift) == 1


# Leaf and spine


@pytest.mark.parametrize(
    ("parameters", "bandwidth", "spines", "uplink", "ratio"),
    [
        ("", "10GB/s", 8, 10e9, "1:1"),
        ("", "10GB/s,40GB/s", 2, 40e9, "1:1"),
        (",spines=4", "10GB/s", 4, 10e9, "2:1"),
        (",spines=3", "10GB/s", 3, 10e9, "8:3"),
        (",spines=2", "10GB/s,20GB/s", 2, 20e9, "2:1"),
        (",oversubscription=4", "10GB/s", 2, 10e9, "4:1"),
        (",oversubscription=2:1", "10GB/s,20GB/s", 2, 20e9, "2:1"),
        (",spines=2,oversubscription=2", "10GB/s", 2, 20e9, "2:1"),
        (",spines=3,oversubscription=4", "10GB/s", 3, 20e9 / 3, "4:1"),
        (",spines=4,oversubscription=4:3", "10GB/s,15GB/s", 4, 15e9, "4:3"),
        (",spines=1,oversubscription=0.5", "10GB/s", 1, 160e9, "1:2"),
    ],
)
def test_of_spines_oversubscription_and_uplinks_two_give_the_third(parameters, bandwidth, spines, uplink, ratio):
    net = build(f"leaf-spine:4x8{parameters}", bandwidth, "1us,2us")
    assert net.name == f"leaf-spine:4x8,spines={spines},oversubscription={ratio}"
    assert (net.ranks, len(net.switches), len(net.links)) == (32, 4 + spines, 2 * (32 + 4 * spines))
    # Measured: what the ranks of a leaf put in, over what leaves for the spines.
    up = [link for link in net.links if link.tail == "leaf 2" and str(link.head).startswith("spine")]
    assert len(up) == spines
    assert [link.bandwidth for link in up] == pytest.approx([uplink] * spines, rel=1e-12)
    inward = sum(link.bandwidth for link in net.links if link.head == "leaf 2" and isinstance(link.tail, int))
    first, second = map(int, ratio.split(":"))
    assert inward / sum(link.bandwidth for link in up) == pytest.approx(first / second, rel=1e-12)
    # And by max-flow: a leaf to all others gets the lesser of both.
    others = [rank for rank in range(32) if rank // 8 != 2]
    assert max_flow(net, range(16, 24), others) == pytest.approx(min(inward, inward * second / first), rel=1e-12)
    assert (net.route_latency(0, 1), net.route_latency(0, 9)) == (pytest.approx(2e-6), pytest.approx(6e-6))


def test_the_spine_is_chosen_by_the_destination():
    net = build("leaf-spine:4x8,spines=3")
    assert nodes_of(net, 0, 13) == [0, "leaf 0", "spine 1", "leaf 1", 13]
    assert nodes_of(net, 31, 8) == [31, "leaf 3", "spine 2", "leaf 1", 8]
    assert nodes_of(net, 8, 15) == [8, "leaf 1", 15]
    assert net.groups == tuple(tuple(range(i, i + 8)) for i in range(0, 32, 8))


@pytest.mark.parametrize(("parameters", "factor"), [("", 1), (",spines=2", 4), (",spines=1,oversubscription=2", 2)])
def test_oversubscription_is_the_factor_by_which_traffic_between_leaves_is_slower(parameters, factor):
    net = build(f"leaf-spine:4x8{parameters}", latency=0)
    plan = cs.ScheduleBuilder("all_reduce", ranks=32)
    plan.reduce(0, range(32), [(rank + 8) % 32 for rank in range(32)])
    assert cs.simulate(plan.build(), net, nbytes="1GB").time == pytest.approx(factor * 0.1, rel=1e-9)


# What all have in common


@pytest.mark.parametrize("spec", ["tree:2x3", "fat-tree:4", "fat-tree:down=3x2,up=2x2,parallel=1x3", "leaf-spine:2x4"])
def test_a_tree_can_be_sent_to_another_process(spec):
    net = build(spec)
    again = pickle.loads(pickle.dumps(net))
    assert (again.name, again.links, again.groups) == (net.name, net.links, net.groups)
    assert [again.routes(*pair) for pair in pairs(net)] == [net.routes(*pair) for pair in pairs(net)]


@pytest.mark.parametrize(
    ("spec", "function", "arguments"),
    [
        ("tree:arity=2,depth=3", cs.tree, ((2, 3), None)),
        ("tree:2x3", cs.tree, (2, 3)),
        ("fat-tree:k=4", cs.fat_tree, (4,)),
        ("fat_tree:down=4x4,up=1x2", cs.fat_tree, (None, [4, 4], (1, 2))),
        ("leaf-spine:leaves=2,ranks-per-leaf=4,spines=2", cs.leaf_spine, (2, 4, 2)),
    ],
)
def test_a_spec_and_a_function_build_the_same(spec, function, arguments):
    net = function(*arguments, bandwidth=[SPEED], latency=DELAY)
    assert (net.name, net.links) == (build(spec).name, build(spec).links)


def test_a_number_of_ranks_is_enough_where_it_fits():
    for ranks in (1, 2, 8, 64):
        assert SHAPES["tree"].make({}, ranks, SPEED, DELAY).ranks == ranks
    assert fit_tree(64) == {"arity": 2, "depth": 6}
    for k in (2, 4, 6, 16, 30):
        assert fit_fat_tree(k**3 // 4) == {"k": k}
    assert cs.load_topology("fat-tree", 16, bandwidth=SPEED, latency=DELAY).name == "fat-tree:4"


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("tree:2", "arity and depth must be one number each, as in tree:2x3, got '2'"),
        ("tree:2x3x4", "must be one number each, as in tree:2x3, got '2x3x4'"),
        ("tree:2x3,depth=3", "got '2x3' and '3'"),
        ("tree:2x0", "depth must be a whole number of at least 1, got '0'"),
        ("tree:0x2", "arity must be a whole number of at least 1, got '0'"),
        ("tree:2x1000000", "take fewer ranks"),
        ("tree:9999999999x999999999999", "take fewer ranks"),
        ("fat-tree:3", "k must be even: half the ports of a switch go down and half up, got '3'"),
        ("fat-tree:0", "k must be a whole number of at least 2, got '0'"),
        ("fat-tree:4,up=1x2", "give either k, as in fat-tree:4, or down and up"),
        ("fat-tree:down=4x4", "up is missing; write it as in fat-tree:4 or"),
        ("fat-tree:parallel=4x4", "its size is missing; write it as in"),
        ("fat-tree:down=4x4,up=1", "up must have one number a level, as many as down, which has 2, got '1'"),
        ("fat-tree:down=4x4,up=1x2,parallel=1x2x1", "parallel must have one number a level"),
        ("fat-tree:down=4xq,up=1x2", "down must be a whole number of at least 1, got 'q'"),
        ("fat-tree:20000", "take fewer ranks"),
        ("leaf-spine", "its size is missing; write it as in leaf-spine:4x8"),
        ("leaf-spine:4", "leaves and ranks_per_leaf must be one number each, as in leaf-spine:4x8, got '4'"),
        ("leaf-spine:4x8,spines=0", "spines must be a whole number of at least 1, got '0'"),
        ("leaf-spine:4x8,oversubscription=0", "oversubscription must be a positive number such as 4 or 4:1, got '0'"),
        ("leaf-spine:4x8,oversubscription=4:0", "oversubscription must be a positive number such as 4 or 4:1"),
        ("leaf-spine:4x8,oversubscription=much", "oversubscription must be a positive number such as 4 or 4:1"),
        ("leaf-spine:4x8,oversubscription=3", "oversubscription of 3 need 2.66667 spines; give the number of spines"),
    ],
)
def test_a_wrong_tree_is_refused(spec, part):
    with pytest.raises(cs.InputError) as refused:
        build(spec)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_figures_that_contradict_each_other_are_refused():
    with pytest.raises(cs.InputError, match=r"need uplinks of 1e\+10 B/s, got 2e\+10; leave one of the three out"):
        build("leaf-spine:4x8,spines=2,oversubscription=4", "10GB/s,20GB/s")
    assert build("leaf-spine:4x8,spines=2,oversubscription=4", "10GB/s,10GB/s").ranks == 32
    with pytest.raises(cs.InputError, match="bandwidth must be one value or 2, from the ranks outward"):
        build("leaf-spine:4x8", "10GB/s,20GB/s,5GB/s")
    with pytest.raises(cs.InputError, match="latency must be one value or 3, from the ranks outward"):
        build("fat-tree:4", latency=[1e-6, 1e-6])
    for ranks, name in ((6, "tree"), (6, "fat-tree"), (0, "tree")):
        with pytest.raises(cs.InputError, match=f"topology '{name}'|ranks must be"):
            cs.load_topology(name, ranks, bandwidth=SPEED, latency=DELAY)

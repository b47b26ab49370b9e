"""Dragonflies, rail-optimised clusters, the cube mesh: counts by formula, exact optima by max-flow, rules of routes."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from fractions import Fraction

import networkx as nx
import pytest

import collsim as cs
from collsim.shapes import SHAPES
from collsim.shapes.dragonfly import fit_dragonfly

SPEED, DELAY = 1e10, 1e-6


def build(spec, bandwidth=SPEED, latency=DELAY):
    return cs.load_topology(spec, bandwidth=bandwidth, latency=latency)


def capacities(net, denominator=1):
    """The network as networkx sees it, in whole GB/s times `denominator`; parallel links add up."""
    graph = nx.DiGraph()
    for link in net.links:
        known = graph.edges[link.tail, link.head]["capacity"] if graph.has_edge(link.tail, link.head) else 0
        graph.add_edge(link.tail, link.head, capacity=known + round(link.bandwidth / 1e9) * denominator)
    return graph


def reaches(net, throughput):
    """Whether an all_gather can have this throughput in GB/s, exactly: every rank gets its part from every other one.

    ForestColl (arXiv 2402.06787): a source with capacity x to each of N ranks has a flow of N x to every rank.
    """
    throughput = Fraction(throughput) / net.ranks
    graph = capacities(net, throughput.denominator)
    graph.add_edges_from((("source", rank) for rank in range(net.ranks)), capacity=throughput.numerator)
    needed = net.ranks * throughput.numerator
    return all(nx.maximum_flow_value(graph, "source", rank) >= needed for rank in {0, net.ranks // 2, net.ranks - 1})


def nodes_of(net, src, dst):
    links = [net.links[i] for i in net.route(src, dst)]
    return [src, *(link.head for link in links)]


def pairs(net):
    return itertools.permutations(range(net.ranks), 2)


# Dragonflies

DRAGONFLIES = [(2, 4, 2, 9), (1, 2, 1, 3), (2, 4, 2, 5), (1, 3, 2, 4), (2, 2, 3, 3), (1, 4, 1, 1), (3, 1, 4, 5)]
arrangements = pytest.mark.parametrize("arrangement", ["consecutive", "palmtree"])


def dragonfly(p, a, h, g, arrangement="consecutive", bandwidth=SPEED):
    return build(f"dragonfly:p={p},a={a},h={h},g={g},arrangement={arrangement}", bandwidth)


def group_of(router):
    return int(router.removeprefix("router ").split(".")[0])


@arrangements
@pytest.mark.parametrize(("p", "a", "h", "g"), DRAGONFLIES)
def test_a_dragonfly_has_the_links_of_its_letters(p, a, h, g, arrangement):
    net = dragonfly(p, a, h, g, arrangement, "1GB/s,2GB/s,3GB/s")
    each = a * h // (g - 1) if g > 1 else 0
    assert (net.ranks, len(net.switches)) == (p * a * g, a * g)
    kinds = Counter(link.bandwidth for link in net.links)
    assert kinds == +Counter({1e9: 2 * p * a * g, 2e9: g * a * (a - 1), 3e9: g * (g - 1) * each})
    ends = Counter((link.tail, link.head) for link in net.links)
    assert ends == Counter((head, tail) for tail, head in ends.elements())  # cables
    groups = Counter((group_of(x), group_of(y)) for x, y in ends.elements() if str in {type(x)} & {type(y)})
    for x, y in itertools.product(range(g), repeat=2):
        assert groups[x, y] == (a * (a - 1) if x == y else each)
    outward = Counter(link.tail for link in net.links if link.bandwidth == 3e9)
    assert max(outward.values(), default=0) <= h
    assert net.groups == tuple(tuple(range(i, i + p * a)) for i in range(0, p * a * g, p * a))
    if g == a * h + 1:
        assert set(outward.values()) == {h}


def layered(net):
    """Twice the network, before and after the one global link that a minimal route may take."""
    graph = nx.DiGraph()
    for link in net.links:
        if link.bandwidth == 3e9:
            graph.add_edge((link.tail, 0), (link.head, 1))
        else:
            graph.add_edges_from(((link.tail, side), (link.head, side)) for side in (0, 1))
    return graph


@arrangements
@pytest.mark.parametrize(("p", "a", "h", "g"), DRAGONFLIES)
def test_a_minimal_route_has_one_global_link_and_is_the_shortest_such(p, a, h, g, arrangement):
    net = dragonfly(p, a, h, g, arrangement, "1GB/s,2GB/s,3GB/s")
    hops = dict(nx.all_pairs_shortest_path_length(layered(net)))
    for src, dst in pairs(net):
        route = [net.links[i].bandwidth / 1e9 for i in net.route(src, dst)]
        across = src // (p * a) != dst // (p * a)
        assert route[0] == route[-1] == 1
        assert route[1:-1].count(3) == across
        assert route[1:-1] in ([], [2], [3], [2, 3], [3, 2], [2, 3, 2])
        assert len(route) == hops[src, 0][dst, int(across)] <= 5


def test_of_two_cables_between_groups_the_nearer_is_taken_or_else_the_one_of_the_destination():
    # 8 global ports for 4 other groups: routers 0 and 2 of group 0 have a cable each to those of group 1.
    net = dragonfly(2, 4, 2, 5)
    for rank, dst, router in [
        *((0, dst, "router 0.0") for dst in range(8, 12)),
        *((4, dst, "router 0.2") for dst in range(12, 16)),
        (2, 8, "router 0.0"),
        (2, 9, "router 0.0"),
        (2, 12, "router 0.2"),
        (2, 13, "router 0.2"),
        (2, 10, "router 0.0"),  # as far over both
        (2, 11, "router 0.2"),
        (6, 14, "router 0.0"),
        (6, 15, "router 0.2"),
    ]:
        across = [
            link.tail
            for link in map(net.links.__getitem__, net.route(rank, dst))
            if link.head in {"router 1.0", "router 1.2"}
        ]
        assert across[0] == router


@pytest.mark.parametrize(
    ("arrangement", "heads"),
    [
        # Groups that the ports of groups 0 and 4 lead to, one after the other.
        ("consecutive", ([1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 3, 5, 6, 7, 8])),
        ("palmtree", ([8, 7, 6, 5, 4, 3, 2, 1], [3, 2, 1, 0, 8, 7, 6, 5])),
    ],
)
def test_global_ports_are_arranged_as_named(arrangement, heads):
    net = dragonfly(2, 4, 2, 9, arrangement, "1GB/s,2GB/s,3GB/s")
    for group, expected in zip((0, 4), heads, strict=True):
        far = [link.head for link in net.links if link.bandwidth == 3e9 and group_of(link.tail) == group]
        near = [link.tail for link in net.links if link.bandwidth == 3e9 and group_of(link.tail) == group]
        assert [group_of(router) for router in far] == expected
        assert near == [f"router {group}.{port // 2}" for port in range(8)]


def test_a_balanced_dragonfly_is_the_default():
    assert build("dragonfly:2").name == build("dragonfly:p=2,a=4,h=2").name == "dragonfly:p=2,a=4,h=2,g=9"
    assert cs.dragonfly(1, bandwidth=SPEED, latency=DELAY).ranks == 6
    for h in (1, 2, 3, 4):
        assert fit_dragonfly(2 * h * h * (2 * h * h + 1)) == {"h": h}
    assert SHAPES["dragonfly"].make({}, 72, SPEED, DELAY).name == "dragonfly:p=2,a=4,h=2,g=9"


# Rail-optimised clusters


@pytest.mark.parametrize(("nodes", "gpus", "nics", "spines"), [(4, 8, 8, 0), (2, 8, 4, 0), (3, 4, 4, 2), (2, 4, 1, 3)])
def test_a_rail_cluster_has_a_switch_a_node_a_rail_and_a_spine(nodes, gpus, nics, spines):
    net = build(f"rail:{nodes}x{gpus},nics={nics},spines={spines}", "300GB/s,25GB/s" + ",50GB/s" * (spines > 0))
    assert net.ranks == nodes * gpus
    kinds = Counter(name.split()[0] for name in net.switches)
    assert kinds == +Counter({"nvswitch": nodes, "rail": nics, "spine": spines})
    links = Counter(link.bandwidth for link in net.links)
    assert links == +Counter({300e9: 2 * net.ranks, 25e9: 2 * net.ranks, 50e9: 2 * nics * spines})
    assert net.groups == tuple(tuple(range(i, i + gpus)) for i in range(0, net.ranks, gpus))
    # Every card is on its rail; together they take in and send what they are made for.
    for i in range(nics):
        below = {link.tail for link in net.links if link.head == f"rail {i}" and isinstance(link.tail, int)}
        assert {rank % gpus * nics // gpus for rank in below} == {i}
        assert len(below) == net.ranks // nics
    cards = {int(net.channel[i]) for i, link in enumerate(net.links) if link.bandwidth == 25e9}
    assert len(cards) == 2 * nodes * nics


@pytest.mark.parametrize("spec", ["rail:3x4", "rail:3x4,nics=2", "rail:3x4,spines=2"])
def test_messages_change_rails_inside_their_node(spec):
    net = build(spec)
    sharing = 2 if "nics" in spec else 1
    for src, dst in pairs(net):
        nodes = nodes_of(net, src, dst)
        rails = [node for node in nodes if str(node).startswith("rail")]
        if src // 4 == dst // 4:
            assert nodes == [src, f"nvswitch {src // 4}", dst]
        else:
            assert rails == [f"rail {dst % 4 // sharing}"]
            same = src % 4 // sharing == dst % 4 // sharing
            relay = [] if same else [f"nvswitch {src // 4}", src // 4 * 4 + dst % 4]
            assert nodes == [src, *relay, *rails, dst]


def test_without_pxn_messages_change_rails_over_a_spine():
    net = build("rail:2x4,spines=3,pxn=false", "300GB/s,25GB/s,50GB/s", "1us,2us,4us")
    assert net.name == "rail:2x4,spines=3,pxn=false"
    assert nodes_of(net, 0, 7) == [0, "rail 0", "spine 1", "rail 3", 7]
    assert nodes_of(net, 0, 4) == [0, "rail 0", 4]
    assert nodes_of(net, 0, 3) == [0, "nvswitch 0", 3]
    assert net.route_latency(0, 7) == pytest.approx(2 * 2e-6 + 2 * 4e-6, rel=1e-12)
    assert build("rail:2x4", latency="1us,2us").route_latency(0, 7) == pytest.approx(2 * 1e-6 + 2 * 2e-6, rel=1e-12)


def test_gpus_that_share_a_card_share_its_bandwidth():
    # Both GPUs of a node send 1 GB to their partners in the other node; each end has two cards, or one.
    plan = cs.ScheduleBuilder("all_reduce", ranks=4)
    plan.reduce(0, [0, 1], [2, 3])
    for spec, cards, seconds in (("rail:2x2", 8, 0.1), ("rail:2x2,nics=1", 4, 0.2)):
        net = build(spec, latency=0)
        across = [i for i, link in enumerate(net.links) if "rail" in f"{link.tail}{link.head}"]
        assert len({int(net.channel[i]) for i in across}) == cards
        assert net.route_bandwidth(0, 2) == SPEED
        assert cs.simulate(plan.build(), net, nbytes="1GB").time == pytest.approx(seconds, rel=1e-9)


@pytest.mark.parametrize(
    ("spec", "bandwidth", "optimum"),
    [
        # reference optima of all_gather in GB/s: DGX A100 x1 and x4, HGX H100 x1 and x8
        ("rail:1x8", "300GB/s,25GB/s", Fraction(2400, 7)),
        ("rail:4x8", "300GB/s,25GB/s", Fraction(800, 3)),
        ("rail:1x8", "450GB/s,50GB/s", Fraction(3600, 7)),
        ("rail:8x8", "450GB/s,50GB/s", Fraction(3200, 7)),
        ("hybrid-cube-mesh", "25GB/s", Fraction(1200, 7)),
    ],
)
def test_the_optimum_of_a_machine_is_the_published_one(spec, bandwidth, optimum):
    net = build(spec, bandwidth)
    assert reaches(net, optimum)
    assert not reaches(net, optimum * Fraction(1001, 1000))


# The cube mesh of the DGX-1

ROWS = ["02112000", "20120100", "11020020", "12200001", "20000211", "01002012", "00201102", "00011220"]


def test_the_cube_mesh_has_the_nvlinks_of_the_dgx_1():
    net = build("hybrid-cube-mesh", "25GB/s")
    assert (net.name, net.ranks, net.switches) == ("hybrid-cube-mesh", 8, ())
    found = {(link.tail, link.head): link.bandwidth / 25e9 for link in net.links}
    wanted = {(a, b): int(ROWS[a][b]) for a, b in pairs(net)}
    assert found == {pair: links for pair, links in wanted.items() if links}
    assert all(wanted[a, b] == wanted[b, a] for a, b in wanted)
    for rank in range(8):
        assert sum(link.bandwidth for link in net.links if link.tail == rank) == 6 * 25e9
    graph = capacities(net)
    assert nx.diameter(graph) == 2
    # Two quads, each fully connected, and one cable from every GPU to the other quad.
    assert net.groups == ((0, 1, 2, 3), (4, 5, 6, 7))
    for quad in net.groups:
        assert all(graph.has_edge(a, b) for a, b in itertools.permutations(quad, 2))
        assert {len(set(graph[rank]) - set(quad)) for rank in quad} == {1}


def test_gpus_without_an_nvlink_are_joined_over_the_widest_path():
    net = build("hybrid-cube-mesh", "25GB/s")
    graph = capacities(net)
    for src, dst in pairs(net):
        ways = [*nx.all_shortest_paths(graph, src, dst)]
        width = [min(graph.edges[pair]["capacity"] for pair in itertools.pairwise(way)) for way in ways]
        assert nodes_of(net, src, dst) == min(way for way, wide in zip(ways, width, strict=True) if wide == max(width))
    assert nodes_of(net, 0, 5) == [0, 4, 5]  # over 1 it would be half as wide


# What all have in common

SPECS = ["dragonfly:2", "dragonfly:p=1,a=4,h=2,g=4,arrangement=palmtree", "rail:2x4", "rail:2x4,nics=2,spines=2"]


@pytest.mark.parametrize("spec", [*SPECS, "rail:2x4,spines=2,pxn=false", "hybrid-cube-mesh"])
def test_a_cluster_can_be_sent_to_another_process_and_its_name_is_its_spec(spec):
    net = build(spec)
    for again in (pickle.loads(pickle.dumps(net)), build(net.name)):
        assert (again.name, again.links, again.groups) == (net.name, net.links, net.groups)
        assert [again.routes(*pair) for pair in pairs(net)] == [net.routes(*pair) for pair in pairs(net)]


@pytest.mark.parametrize(
    ("spec", "function", "arguments"),
    [
        ("dragonfly:h=2,p=1,g=4", cs.dragonfly, {"h": 2, "p": 1, "g": 4}),
        ("rail:nodes=2,gpus=4,spines=1", cs.rail, {"nodes": 2, "gpus": 4, "spines": 1}),
        ("rail:2x4,spines=1,pxn=false", cs.rail, {"nodes": [2, 4], "spines": 1, "pxn": False}),
        ("hybrid_cube_mesh", cs.hybrid_cube_mesh, {}),
    ],
)
def test_a_spec_and_a_function_build_the_same(spec, function, arguments):
    net = function(**arguments, bandwidth=SPEED, latency=DELAY)
    assert (net.name, net.links) == (build(spec).name, build(spec).links)


@pytest.mark.parametrize("spec", [*SPECS, "hybrid-cube-mesh"])
def test_collectives_run_on_a_cluster(spec):
    net = build(spec)
    schedule = cs.make_schedule("all_reduce", "ring", ranks=net.ranks)
    for model in ("maxmin", "alpha-beta"):
        result = cs.simulate(schedule, net, nbytes="1MB", model=model)
        assert result.time >= 2 * (net.ranks - 1) / net.ranks * 1e6 / SPEED


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("dragonfly:h=0", "h must be a whole number of at least 1, got '0'"),
        ("dragonfly:h=1,a=2,g=4", "2 routers a group with 1 global links each join at most a h + 1 = 3 groups, got 4"),
        ("dragonfly:2,arrangement=palm", "unknown arrangement 'palm'; did you mean 'palmtree'?"),
        ("dragonfly:2,q=3", "unknown parameter 'q'"),
        ("dragonfly:300", "take fewer ranks"),
        ("dragonfly", "it needs its number of ranks, for example dragonfly:p=2,a=4,h=2"),
        ("rail", "its size is missing; write it as in rail:4x8"),
        ("rail:4", "nodes and gpus must be one number each, as in rail:4x8, got '4'"),
        ("rail:4x0", "gpus must be a whole number of at least 1, got '0'"),
        ("rail:4x8,nics=3", "nics must divide the GPUs of a node evenly, got 3 for 8 GPUs"),
        ("rail:4x8,nics=16", "nics must divide the GPUs of a node evenly, got 16 for 8 GPUs"),
        ("rail:4x8,spines=-1", "spines must be a whole number of at least 0, got '-1'"),
        ("rail:4x8,pxn=false", "without pxn messages change rails over spines, but spines is 0"),
        ("rail:4x8,pxn=maybe", "pxn must be true or false, got 'maybe'"),
        ("rail:100000x100000", "take fewer ranks"),
        ("hybrid-cube-mesh:8", "it takes no parameters; write it as hybrid-cube-mesh"),
    ],
)
def test_a_wrong_cluster_is_refused(spec, part):
    with pytest.raises(cs.InputError) as refused:
        build(spec)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_level_too_many_is_refused():
    for spec, levels in (("dragonfly:2", 3), ("rail:2x4", 2), ("rail:2x4,spines=1", 3)):
        with pytest.raises(cs.InputError, match=f"bandwidth must be one value or {levels}, from the ranks outward"):
            build(spec, "4GB/s,3GB/s,2GB/s,1GB/s")
    for name, ranks, part in (
        ("dragonfly", 8, "has 6, 72, 342, 1056, ... ranks, not 8"),
        ("hybrid-cube-mesh", 9, "has 8"),
    ):
        with pytest.raises(cs.InputError, match=part):
            cs.load_topology(name, ranks, bandwidth=SPEED, latency=DELAY)
    assert cs.load_topology("hybrid-cube-mesh", 4, bandwidth=SPEED, latency=DELAY).ranks == 8

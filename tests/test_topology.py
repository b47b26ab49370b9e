"""Graphs, shapes and files."""

from __future__ import annotations

import itertools
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collsim as cs
from collsim.topology import Link, Route, Topology, cable, exact_sums
from collsim.topology_files import BASES, describe_preset, presets

TOPOLOGIES = Path(__file__).parents[1] / "topologies"
SPEED, DELAY = 1e10, 1e-6


def directed(topology):
    """The graph as networkx sees it, made from the links alone."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(topology.ranks))
    graph.add_weighted_edges_from((link.tail, link.head, link.bandwidth) for link in topology.links)
    return graph


def nodes_of(topology, src, dst):
    """The nodes of a route; fails if its links are not joined end to end."""
    links = [topology.links[number] for number in topology.route(src, dst)]
    for link, following in itertools.pairwise(links):
        assert link.head == following.tail
    return [link.tail for link in links] + [links[-1].head]


def message_of(error):
    text = str(error.value)
    assert "\n" not in text
    return text


# Shapes


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 17])
def test_a_star_has_one_switch_and_two_links_a_rank(ranks):
    net = cs.star(ranks, bandwidth="10GB/s", latency="1us")
    assert (net.name, net.ranks, net.switches, len(net.links)) == (f"star:{ranks}", ranks, ("switch",), 2 * ranks)
    assert nx.is_isomorphic(directed(net), nx.star_graph(ranks).to_directed())
    assert set(net.bandwidth) == {1e10}
    assert set(net.latency) == {1e-6}


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 17])
def test_a_full_network_has_a_cable_between_each_two_ranks(ranks):
    net = cs.full(ranks, bandwidth=SPEED, latency=DELAY)
    assert (net.name, net.ranks, net.switches) == (f"full:{ranks}", ranks, ())
    assert len(net.links) == ranks * (ranks - 1)
    assert nx.is_isomorphic(directed(net), nx.complete_graph(ranks).to_directed())


@pytest.mark.parametrize("ranks", [3, 4, 8, 17])
def test_a_ring_has_a_cable_from_each_rank_to_the_next(ranks):
    net = cs.ring(ranks, bandwidth=SPEED, latency=DELAY)
    assert (net.name, net.ranks, net.switches, len(net.links)) == (f"ring:{ranks}", ranks, (), 2 * ranks)
    assert set(directed(net).edges) == {(r, (r + s) % ranks) for r in range(ranks) for s in (1, -1)}


def test_a_ring_of_two_has_one_cable_and_a_ring_of_one_has_none():
    assert [(link.tail, link.head) for link in cs.ring(2, SPEED, DELAY).links] == [(0, 1), (1, 0)]
    assert cs.ring(1, SPEED, DELAY).links == ()


@pytest.mark.parametrize("shape", [cs.star, cs.full, cs.ring])
@pytest.mark.parametrize("ranks", [2, 3, 6, 7])
def test_the_routes_of_a_shape_are_shortest_paths(shape, ranks):
    net = shape(ranks, SPEED, DELAY)
    hops = dict(nx.all_pairs_shortest_path_length(directed(net)))
    for src in range(ranks):
        for dst in set(range(ranks)) - {src}:
            nodes = nodes_of(net, src, dst)
            assert (nodes[0], nodes[-1], len(nodes) - 1) == (src, dst, hops[src][dst])
            assert net.route_latency(src, dst) == pytest.approx(hops[src][dst] * DELAY, rel=1e-12)
            assert net.route_bandwidth(src, dst) == SPEED


@pytest.mark.parametrize(
    ("ranks", "src", "dst", "nodes"),
    [
        (4, 0, 2, [0, 1, 2]),
        (4, 1, 3, [1, 2, 3]),
        (4, 2, 0, [2, 3, 0]),
        (4, 3, 1, [3, 0, 1]),
        (6, 5, 2, [5, 0, 1, 2]),
        (5, 0, 3, [0, 4, 3]),
        (5, 3, 0, [3, 4, 0]),
        (2, 1, 0, [1, 0]),
    ],
)
def test_a_ring_goes_the_shorter_way_and_upwards_where_both_are_equal(ranks, src, dst, nodes):
    assert nodes_of(cs.ring(ranks, SPEED, DELAY), src, dst) == nodes


# Any graph


def path_graph(ranks=3, kind=nx.Graph, **attributes):
    graph = nx.path_graph(ranks, create_using=kind)
    nx.set_edge_attributes(graph, {edge: {"bandwidth": SPEED, "latency": DELAY} | attributes for edge in graph.edges})
    return graph


def test_an_edge_of_an_undirected_graph_is_a_full_duplex_cable():
    net = Topology.from_graph(path_graph(3, bandwidth="10GB/s", latency="5us"), "line")
    assert net.name == "line"
    assert {(link.tail, link.head) for link in net.links} == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert {(link.bandwidth, link.latency) for link in net.links} == {(1e10, 5e-6)}


def test_an_edge_of_a_directed_graph_is_one_link():
    graph = nx.DiGraph(name="one way")
    graph.add_edge(0, 1, bandwidth=2e9, latency=1e-6)
    graph.add_edge(1, "hub", bandwidth=3e9, latency=2e-6)
    graph.add_edge("hub", 0, bandwidth=1e9, latency=4e-6)
    net = cs.load_topology(graph)
    assert (net.name, net.ranks, net.switches) == ("one way", 2, ("hub",))
    assert nodes_of(net, 1, 0) == [1, "hub", 0]
    assert (net.route_latency(1, 0), net.route_bandwidth(1, 0)) == (6e-6, 1e9)
    assert (net.route_latency(0, 1), net.route_bandwidth(0, 1)) == (1e-6, 2e9)


@st.composite
def graphs(draw):
    """Any connected graph of ranks and switches, some of the latter with odd names."""
    size = draw(st.integers(2, 9))
    ranks = draw(st.integers(2, size))
    names = [*range(ranks), *[("switch", i) if i % 2 else f"s{i}" for i in range(size - ranks)]]
    names = draw(st.permutations(names))
    graph = nx.Graph(name="drawn")
    pairs = {(draw(st.integers(0, i - 1)), i) for i in range(1, size)}  # a tree: connected
    pairs |= set(draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=8)))
    for a, b in sorted(pairs):
        if a != b:
            speed, delay = draw(st.integers(1, 8)) * 1e9, draw(st.integers(0, 4)) * 1e-6
            graph.add_edge(names[a], names[b], bandwidth=speed, latency=delay)
    return graph.to_directed() if draw(st.booleans()) else graph


@given(graphs())
def test_any_connected_graph_is_accepted_and_its_routes_are_shortest(graph):
    net = cs.load_topology(graph)
    assert net.ranks == sum(isinstance(node, int) for node in graph)
    assert set(net.switches) == {node for node in graph if not isinstance(node, int)}
    for src in range(net.ranks):
        for dst in set(range(net.ranks)) - {src}:
            nodes = nodes_of(net, src, dst)
            assert len(nodes) - 1 == nx.shortest_path_length(graph, src, dst)
            edges = [graph.edges[pair] for pair in itertools.pairwise(nodes)]
            assert net.route_bandwidth(src, dst) == min(edge["bandwidth"] for edge in edges)
            assert net.route_latency(src, dst) == pytest.approx(sum(edge["latency"] for edge in edges), rel=1e-12)
    schedule = cs.make_schedule("all_reduce", "ring", ranks=net.ranks)
    for model in ("maxmin", "alpha-beta"):
        assert cs.simulate(schedule, graph, nbytes=1000, model=model).time > 0


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
def test_the_graph_of_a_topology_gives_the_topology_back(kind):
    net = cs.star(4, SPEED, DELAY)
    graph = net.graph if kind is nx.DiGraph else net.graph.to_undirected()
    again = Topology.from_graph(graph)
    assert (again.name, again.ranks, again.switches) == ("star:4", 4, ("switch",))
    assert sorted(map(repr, again.links)) == sorted(map(repr, net.links))


def test_a_route_of_ones_own_is_taken():
    links = [link for pair in ((0, 1), (1, 2), (0, 2)) for link in cable(*pair, SPEED, DELAY)]
    net = Topology("detour", 3, links, route=lambda src, dst: (src, 3 - src - dst, dst))
    assert nodes_of(net, 0, 2) == [0, 1, 2]


def test_ranks_that_are_numpy_integers_are_ranks():
    graph = nx.relabel_nodes(path_graph(2), {0: np.int64(0), 1: np.int64(1)})
    net = cs.load_topology(graph)
    assert net.ranks == 2
    assert cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=2), net, nbytes=100).time > 0


@pytest.mark.parametrize("key", ["bandwidth", "latency"])
def test_an_edge_without_a_figure_is_refused(key):
    graph = path_graph(3)
    del graph.edges[1, 2][key]
    with pytest.raises(cs.InputError) as refused:
        cs.load_topology(graph)
    assert f"edge 1-2 of graph 'graph' has no '{key}'" in message_of(refused)


def toml(value):
    return repr(value) if isinstance(value, str) else str(value).lower()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bandwidth", 0),
        ("bandwidth", -1e9),
        ("bandwidth", float("nan")),
        ("bandwidth", float("inf")),
        ("bandwidth", "10 GBs"),
        ("bandwidth", "0GB/s"),
        ("latency", -1e-6),
        ("latency", float("nan")),
        ("latency", "5 uss"),
        ("latency", True),
    ],
)
@pytest.mark.parametrize("source", ["graph", "star", "full", "ring", "spec", "file"])
def test_a_wrong_figure_is_refused_with_its_value(source, key, value, tmp_path):
    figures = {"bandwidth": SPEED, "latency": DELAY} | {key: value}
    lines = "".join(f"{name} = {toml(figure)}\n" for name, figure in figures.items())
    (tmp_path / "net.toml").write_text(f'shape = "star"\nranks = 4\n{lines}')
    load = {
        "graph": lambda: cs.load_topology(path_graph(3, **{key: value})),
        "spec": lambda: cs.load_topology("ring:4", **figures),
        "file": lambda: cs.load_topology(tmp_path / "net.toml"),
    }.get(source, lambda: getattr(cs, source)(4, **figures))
    with pytest.raises(cs.InputError) as refused:
        load()
    assert key in message_of(refused)
    assert repr(value) in message_of(refused)


@pytest.mark.parametrize(("bandwidth", "latency"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (1.0, -1.0)])
def test_a_wrong_figure_of_a_link_is_refused(bandwidth, latency):
    with pytest.raises(cs.InputError):
        Topology("pair", 2, cable(0, 1, bandwidth, latency))


@pytest.mark.parametrize("ranks", [0, -1, 2.5, "x", float("nan"), True])
@pytest.mark.parametrize("shape", [cs.star, cs.full, cs.ring])
def test_a_wrong_number_of_ranks_is_refused(shape, ranks):
    with pytest.raises(cs.InputError, match="ranks must be a whole number of at least 1") as refused:
        shape(ranks, SPEED, DELAY)
    assert repr(ranks) in message_of(refused)


@pytest.mark.parametrize(("nodes", "shown"), [([0, 2], "[0, 2]"), ([1, 2], "[1, 2]"), (["a", "b"], "[]")])
def test_ranks_that_are_not_numbered_from_0_on_are_refused(nodes, shown):
    graph = nx.relabel_nodes(path_graph(2), dict(enumerate(nodes)), copy=True)
    with pytest.raises(cs.InputError) as refused:
        cs.load_topology(graph)
    assert shown in message_of(refused)


def test_an_edge_to_itself_is_refused():
    graph = path_graph(3)
    graph.add_edge(1, 1, bandwidth=SPEED, latency=DELAY)
    with pytest.raises(cs.InputError, match="an edge from 1 to itself"):
        cs.load_topology(graph)


def test_parallel_links_are_taken_in_turn_by_receiver():
    links = [*cable(0, "a", SPEED, DELAY), *cable(1, "b", SPEED, DELAY), *cable(2, "b", SPEED, DELAY)]
    uplinks = [*cable("a", "b", SPEED, DELAY), *cable("a", "b", SPEED / 2, DELAY)]
    net = Topology("double", 3, [*links, *uplinks], route=lambda src, dst: [src, "a", "b", dst] if src == 0 else [])
    assert [net.route(0, dst)[1] for dst in (1, 2)] == [8, 6]
    assert [net.route_bandwidth(0, dst) for dst in (1, 2)] == [SPEED / 2, SPEED]
    again = Topology.from_graph(net.graph)
    assert sorted(map(repr, again.links)) == sorted(map(repr, net.links))
    assert again.route(0, 1) == again.links_along([0, "a", "b", 1], 0)  # the first found


def test_links_of_one_medium_have_one_bandwidth_and_are_no_fatpipes():
    half = cable(0, 1, SPEED, DELAY, medium="m")
    assert Topology("half", 2, half).channel.tolist() == [0, 0]
    assert Topology("full", 2, cable(0, 1, SPEED, DELAY)).channel.tolist() == [0, 1]
    for wrong in (cs.Link(1, 0, SPEED / 2, DELAY, "m"), cs.Link(1, 0, SPEED, DELAY, "m", fatpipe=True)):
        with pytest.raises(cs.InputError, match="links of medium 'm' must have the same bandwidth"):
            Topology("half", 2, [half[0], wrong])


def test_a_path_that_does_not_join_up_is_refused_and_so_are_shares_that_are_no_whole():
    links = [*cable(0, 1, SPEED, DELAY), *cable(1, 2, SPEED, DELAY), *cable(0, 2, SPEED, DELAY)]
    ways = {
        (0, 1): [Route(0.5, (0,)), Route(0.5, (4, 3))],
        (0, 2): [Route(1.0, (0,))],
        (1, 0): [Route(0.5, (1,)), Route(0.4, (2, 5))],
        (1, 2): [Route(1.5, (2,)), Route(-0.5, (1, 4))],
    }
    net = Topology("ways", 3, links, routes=lambda _, src, dst: ways[src, dst])
    assert net.route_bandwidth(0, 1) == 2 * SPEED
    assert net.route_latency(0, 1) == 2 * DELAY
    with pytest.raises(cs.InputError, match="from rank 0 to rank 2 of topology 'ways' do not join up"):
        net.routes(0, 2)
    for src, dst in ((1, 0), (1, 2)):
        with pytest.raises(cs.InputError, match="must be positive and add up to 1"):
            net.routes(src, dst)


def test_ranks_on_the_same_switches_are_a_group():
    links = [link for rank, name in enumerate("aabb") for link in cable(rank, name, SPEED, DELAY)]
    net = Topology("two", 5, [*links, *cable("a", "b", SPEED, DELAY), *cable(4, 0, SPEED, DELAY)])
    assert net.groups == ((0,), (1,), (2, 3), (4,))
    assert net.group_of.tolist() == [0, 1, 2, 2, 3]
    with pytest.raises(cs.InputError, match="every rank must be in one group"):
        Topology("two", 5, links, groups=[[0, 1], [2, 3]])


def test_a_disconnected_network_is_refused_and_the_pair_is_named():
    graph = path_graph(4)
    graph.remove_edge(1, 2)
    with pytest.raises(cs.InputError, match="'graph' has no path from rank 0 to rank 2: it is disconnected"):
        cs.load_topology(graph)
    one_way = Topology("one way", 2, [cs.Link(0, 1, SPEED, DELAY)])
    schedule = cs.make_schedule("all_reduce", "ring", ranks=2)
    with pytest.raises(cs.InputError, match="'one way' has no path from rank 1 to rank 0: it is disconnected"):
        cs.simulate(schedule, one_way, nbytes=8)
    with pytest.raises(cs.InputError, match="'one way' has no path from rank 1 to rank 0: it is disconnected"):
        one_way.route(1, 0)


def test_ranks_that_take_no_part_may_be_cut_off():
    graph = path_graph(4)
    graph.remove_edge(2, 3)
    net = Topology.from_graph(graph)
    assert cs.load_topology(net, 3) is net
    with pytest.raises(cs.InputError, match="from rank 0 to rank 3"):
        cs.load_topology(net, 4)


def test_fewer_ranks_than_asked_for_are_refused():
    for spec, ranks in ((cs.star(4, SPEED, DELAY), 5), ("nvidia/dgx-a100", 9), (path_graph(3), 4)):
        with pytest.raises(cs.InputError, match=f"fewer than the {ranks} asked for"):
            cs.load_topology(spec, ranks)
    with pytest.raises(cs.InputError, match="'star:4' has 4 ranks, fewer than the 5 asked for"):
        cs.load_topology("star:4", 5, bandwidth=SPEED, latency=DELAY)


@pytest.mark.parametrize("value", [None, 8, 3.5, b"star", ["star:8"]])
def test_what_is_no_network_is_refused(value):
    with pytest.raises(cs.InputError, match=f"got {type(value).__name__}"):
        cs.load_topology(value)


# Specs and names


def test_a_spec_names_a_shape_and_its_number_of_ranks():
    net = cs.load_topology("ring:5", bandwidth="10GB/s", latency="1us")
    assert [*map(repr, net.links)] == [*map(repr, cs.ring(5, 1e10, 1e-6).links)]
    assert cs.load_topology("full", 6, bandwidth=SPEED, latency=DELAY).name == "full:6"
    assert cs.load_topology("star:8", 3, bandwidth=SPEED, latency=DELAY).ranks == 8


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("stra:8", r"unknown topology 'stra'; did you mean 'star'\?"),
        ("nvidia/dgx-a10", r"unknown topology 'nvidia/dgx-a10'; did you mean 'nvidia/dgx-a100'\?"),
        ("", "unknown topology ''"),
        ("star:x", "topology 'star:x': ranks must be a whole number of at least 1, got 'x'"),
        ("star:0", "topology 'star:0': ranks must be a whole number of at least 1, got '0'"),
        ("star:", "topology 'star:': parameter 'ranks' has no value; write it as in star:8"),
        ("star:width=3", "topology 'star:width=3': unknown parameter 'width'"),
        ("star:3,4", "parameter 'ranks' comes twice"),
        ("star", "topology 'star': it needs its number of ranks, for example star:8"),
    ],
)
def test_a_wrong_spec_is_refused(spec, part):
    with pytest.raises(cs.InputError, match=part) as refused:
        cs.load_topology(spec, bandwidth=SPEED, latency=DELAY)
    message_of(refused)


@pytest.mark.parametrize("missing", ["bandwidth", "latency"])
def test_a_shape_needs_both_figures(missing):
    figures = {"bandwidth": SPEED, "latency": DELAY}
    del figures[missing]
    with pytest.raises(cs.InputError, match=f"topology 'star:8': a {missing} is needed"):
        cs.load_topology("star:8", **figures)


@pytest.mark.parametrize("spec", ["nvidia/dgx-a100", cs.star(8, SPEED, DELAY), path_graph(3)])
def test_what_has_its_own_figures_takes_no_others(spec):
    with pytest.raises(cs.InputError, match="a bandwidth cannot be given too"):
        cs.load_topology(spec, bandwidth=SPEED)
    with pytest.raises(cs.InputError, match="a latency cannot be given too"):
        cs.load_topology(spec, latency=DELAY)


# Files

TWO_SWITCHES = """
name = "two switches"
summary = "four ranks on two switches"
source = "made up"
ranks = 4
switches = ["a", "b"]

[[cable]]
from = "0-1"
to = "a"
bandwidth = "10GB/s"
latency = { value = "2us", basis = "measured", source = "our own ping-pong" }

[[cable]]
from = [2, 3]
to = ["b"]
bandwidth = 5e9
latency = 0

[[link]]
from = "a"
to = "b"
bandwidth = "1GB/s"
latency = "1us"

[[link]]
from = "b"
to = "a"
bandwidth = "2GB/s"
latency = "1us"
"""


def load_text(tmp_path, text, **options):
    file = tmp_path / "net.toml"
    file.write_text(text, encoding="utf-8")
    return cs.load_topology(file, **options)


def test_a_file_lists_cables_and_links(tmp_path):
    net = load_text(tmp_path, TWO_SWITCHES)
    assert (net.name, net.ranks, set(net.switches)) == ("two switches", 4, {"a", "b"})
    figures = {(link.tail, link.head): (link.bandwidth, link.latency) for link in net.links}
    both = {(0, "a"): (1e10, 2e-6), (1, "a"): (1e10, 2e-6), (2, "b"): (5e9, 0.0), (3, "b"): (5e9, 0.0)}
    one = {("a", "b"): (1e9, 1e-6), ("b", "a"): (2e9, 1e-6)}
    assert figures == both | {(head, tail): figure for (tail, head), figure in both.items()} | one
    assert net.route_bandwidth(0, 3) == 1e9
    assert net.route_bandwidth(3, 0) == 2e9
    assert cs.load_topology(str(tmp_path / "net.toml")).name == "two switches"


def test_a_cable_among_ranks_joins_each_two_of_them(tmp_path):
    text = 'ranks = 3\n[[link]]\nfrom = "0-2"\nto = "0-2"\nbandwidth = 1\nlatency = 0\n'
    net = load_text(tmp_path, text)
    assert (net.name, len(net.links)) == ("net", 6)


def test_a_file_may_name_a_shape_and_its_figures_can_be_changed(tmp_path):
    text = 'name = "lab"\nshape = "ring"\nranks = 4\nbandwidth = "1GB/s"\nlatency = "1us"\n'
    assert repr(load_text(tmp_path, text)) == "Topology('lab', ranks=4, switches=0, links=8)"
    other = load_text(tmp_path, text, ranks=6, bandwidth="2GB/s", latency="3us")
    assert (other.name, other.ranks, len(other.links)) == ("lab:6", 6, 12)
    assert (set(other.bandwidth), set(other.latency)) == ({2e9}, {3e-6})


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("summary", "sumary", "unknown key in a file that lists its links: 'sumary'; did you mean 'summary'?"),
        ("[[cable]]", "[[cabel]]", "'cabel'; did you mean 'cable'?"),
        ('from = "a"', 'form = "a"', "link 1: unknown key in a link: 'form'; did you mean 'from'?"),
        ("basis =", "basics =", "cable 1: unknown key in latency: 'basics'; did you mean 'basis'?"),
        ("measured", "mesured", "unknown basis 'mesured'; did you mean 'measured'?"),
        ('value = "2us", ', "", "cable 1: latency has no 'value'"),
        ("bandwidth = 5e9\n", "", "cable 2: the key 'bandwidth' is missing"),
        ('to = "b"\nbandwidth = "1GB/s"', 'bandwidth = "1GB/s"', "link 1: the key 'to' is missing"),
        ("5e9", "-5e9", "cable 2: bandwidth must be positive, got -5000000000.0"),
        ("5e9", "nan", "cable 2: bandwidth must be finite, got nan"),
        ('"10GB/s"', '"10 GBs"', "cable 1: bandwidth '10 GBs' has the unknown unit 'GBs'"),
        ('"1us"', '"-1us"', "link 1: latency must not be negative, got '-1us'"),
        ("[2, 3]", "[2, 4]", "cable 2: 'from' names the ranks 4, but there are only 0-3"),
        ('"0-1"', '"1-0"', "cable 1: 'from' names the ranks '1-0', but there are only 0-3"),
        ('"0-1"', '"0-"', "unknown node in 'from': '0-'"),
        ('["b"]', '["c"]', "unknown node in 'to': 'c'"),
        ('["b"]', "[true]", "unknown node in 'to': True"),
        ("ranks = 4", "ranks = 0", "ranks must be a whole number of at least 1, got 0"),
        ("ranks = 4", "", "the key 'ranks' is missing"),
        ('["a", "b"]', '"a"', "switches must be a list of names, got 'a'"),
        ('["a", "b"]', "[1]", "switches must be a list of names, got [1]"),
        ("ranks = 4", "ranks = 4\nranks = 5", "is not TOML"),
        (" = 4", "", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path_and_the_reason(old, new, part, tmp_path):
    assert old in TWO_SWITCHES
    with pytest.raises(cs.InputError) as refused:
        load_text(tmp_path, TWO_SWITCHES.replace(old, new, 1))
    assert part in message_of(refused)
    assert "net.toml" in message_of(refused)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("ranks = 2\n", "neither a shape nor a [[cable]] nor a [[link]]"),
        ("ranks = 2\n[cable]\nfrom = 0\nto = 1\n", "write [[cable]] with two brackets"),
        ("ranks = 2\ncable = [1]\n", "cable 1: a cable must be a table, got 1"),
        ('shape = "str"\nranks = 2\n', "unknown shape 'str'; did you mean 'star'?"),
        ('shape = "star"\nranks = 2\nlatency = 0\n', "the key 'bandwidth' is missing"),
        ('shape = "star"\nrank = 2\n', "'rank'; did you mean 'ranks'?"),
        ('shape = "star"\nbandwidth = 1\nlatency = 0\n', "the key 'ranks' is missing"),
        ("ranks = 3\n[[cable]]\nfrom = 0\nto = 1\nbandwidth = 1\nlatency = 0\n", "no path from rank 0 to rank 2"),
    ],
)
def test_a_file_that_makes_no_network_is_refused(text, part, tmp_path):
    with pytest.raises(cs.InputError) as refused:
        load_text(tmp_path, text)
    assert part in message_of(refused)


def test_an_unreadable_file_is_refused_with_its_path(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("nowhere.toml", "No such file"), ("folder.toml", "Is a directory"), ("binary.toml", "TOML")):
        for path in (tmp_path / name, str(tmp_path / name)):
            with pytest.raises(cs.InputError) as refused:
                cs.load_topology(path)
            assert name in message_of(refused)
            assert reason in message_of(refused)


# The machines that come with collsim


def figures(table, where=""):
    """Every bandwidth and latency in a file, with its place."""
    for key, value in table.items():
        if key in ("bandwidth", "latency", "reverse_bandwidth", "reverse_latency", "injection"):
            for number, part in enumerate(value if isinstance(value, list) else [value]):  # one a level
                yield f"{where}{key}[{number}]" if isinstance(value, list) else f"{where}{key}", part
        elif isinstance(value, dict):
            yield from figures(value, f"{where}{key}.")
        elif isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, dict):
                    yield from figures(item, f"{where}{key}[{number}].")


def without_source(table):
    """The places of figures that do not say where they come from."""
    return [
        place
        for place, figure in figures(table)
        if not isinstance(figure, dict)
        or figure.get("basis") not in ("datasheet", "measured", "definition", "assumed")
        or len(figure.get("source", "").split()) < 2
        or "tbd" in figure["source"].lower()
    ]


FILES = sorted(path.relative_to(TOPOLOGIES).with_suffix("").as_posix() for path in TOPOLOGIES.rglob("*.toml"))


def test_every_file_is_a_preset():
    assert [*presets()] == FILES
    assert {"book", "nvidia/dgx-a100"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_figure_of_a_preset_has_a_basis_and_a_source(name):
    table = tomllib.loads((TOPOLOGIES / f"{name}.toml").read_text(encoding="utf-8"))
    assert len([*figures(table)]) >= 2
    assert without_source(table) == []
    assert table["name"] == name
    assert table["source"]
    assert describe_preset(name) == table["summary"]


def test_a_figure_without_basis_or_source_is_noticed():
    good = {"value": "1GB/s", "basis": "measured", "source": "our own ping-pong"}
    assert set(BASES) == {"datasheet", "measured", "definition", "assumed"}
    assert without_source({"cable": [{"bandwidth": good, "latency": good}]}) == []
    for change in ({"basis": "guess"}, {"basis": None}, {"source": ""}, {"source": "tbd later"}):
        assert without_source({"cable": [{"bandwidth": good}, {"latency": good | change}]}) == ["cable[1].latency"]
    assert without_source({"bandwidth": "1GB/s"}) == ["bandwidth"]
    assert without_source({"bandwidth": [good, "1GB/s"], "injection": 1}) == ["bandwidth[1]", "injection"]


@pytest.mark.parametrize("name", FILES)
def test_a_preset_loads_by_name_and_is_connected(name):
    net = cs.load_topology(name)
    assert net.name == name
    assert nx.is_strongly_connected(directed(net))


def test_the_books_network_is_what_exercise_1_1_3_says():
    # 8 workers on a switch, 10 GB/s each way: 16 links, 160 GB/s in all, two hops between any two workers.
    net = cs.load_topology("book")
    graph = directed(net)
    assert (net.ranks, len(net.switches), len(net.links)) == (8, 1, 16)
    assert net.bandwidth.sum() == pytest.approx(160e9, rel=1e-12)
    assert nx.diameter(graph) == 2
    assert net.route_latency(0, 7) == pytest.approx(5e-6, rel=1e-12)
    # Any number of workers.
    assert cs.load_topology("book", 3).ranks == 3
    assert cs.load_topology("book:17").ranks == 17
    assert cs.load_topology("book", bandwidth="1GB/s").bandwidth[0] == 1e9


def test_the_dgx_a100_is_what_its_datasheet_says():
    # 8 GPUs with 12 NVLinks of 25 GB/s each way: 300 GB/s a GPU, 4.8 TB/s in all, two hops over NVSwitch.
    net = cs.load_topology("nvidia/dgx-a100")
    assert (net.ranks, len(net.switches), len(net.links)) == (8, 1, 16)
    assert net.bandwidth.sum() == pytest.approx(8 * 2 * 12 * 25e9, rel=1e-12)
    assert nx.diameter(directed(net)) == 2
    for rank in range(8):
        assert [link.bandwidth for link in net.links if link.tail == rank] == [12 * 25e9]
        assert [link.bandwidth for link in net.links if link.head == rank] == [12 * 25e9]
    assert net.route_latency(3, 5) == pytest.approx(0.7e-6, rel=1e-12)


def test_a_machine_of_fixed_size_is_not_taken_for_a_larger_one():
    with pytest.raises(cs.InputError, match="fewer than the 16 asked for"):
        cs.load_topology("nvidia/dgx-a100:16")


def test_a_latency_beyond_all_numbers_is_refused_when_it_is_asked_for():
    net = cs.star(2, bandwidth=1, latency=1e308)
    with pytest.raises(cs.InputError, match="latency from rank 0 to rank 1 of topology 'star:2' is too large"):
        net.route_latency(0, 1)


def test_whether_messages_take_one_path_is_said_only_where_it_is_known():
    ring = cs.ring(4, bandwidth="1GB/s", latency="1us")
    assert ring.takes_one_path
    assert cs.reroute(ring, "shortest").takes_one_path
    assert not cs.reroute(ring, "spread").takes_one_path


# Many at once

SPECS = (
    "star:7",
    "star:5,half_duplex=true",
    "full:6",
    "bus:5",
    "backbone:6",
    "ring:2",
    "ring:3",
    "ring:8",
    "line:2",
    "line:7",
    "torus:3x4x5",
    "torus:2x2",
    "torus:4x4,half_duplex=true",
    "mesh:2x1x5",
    "hypercube:16",
    "product:full5xline3xswitch2",
    "product:switch3xfull4xring2",
    "product:switch1xfull4",
    "fat-tree:4",
    "fat-tree:down=4x3x2,up=1x2x3,parallel=2x1x2",
    "leaf-spine:4x8,spines=3",
    "tree:3x2",
    "dragonfly:p=2,a=4,h=2",
)
CHANGED = {
    "as it is": lambda net: net,
    "placed": lambda net: cs.place(net, list(reversed(range(net.ranks)))),
    "other figures": lambda net: cs.override(net, "0", latency="3us"),
    "other routes": lambda net: cs.reroute(net, "ecmp:seed=1"),
    "spread": lambda net: cs.reroute(net, "spread:most=1000"),
}


@pytest.mark.parametrize("change", CHANGED)
@pytest.mark.parametrize("spec", SPECS)
def test_routes_of_many_pairs_are_those_of_each(spec, change):
    net = CHANGED[change](cs.load_topology(spec, bandwidth="10GB/s", latency="2us"))
    src, dst = (ends.ravel() for ends in np.meshgrid(np.arange(net.ranks), np.arange(net.ranks)))
    found = net.paths(src, dst)
    pairs = list(zip(src.tolist(), dst.tolist(), strict=True))
    routes = [net.routes(*pair) if pair[0] != pair[1] else () for pair in pairs]
    every = list(itertools.chain.from_iterable(routes))
    assert found.amount.tolist() == [len(several) for several in routes]
    assert found.share.tolist() == [route.share for route in every]
    ends = itertools.pairwise(found.first.tolist())
    assert [tuple(found.link[begin:end].tolist()) for begin, end in ends] == [route.links for route in every]
    latency = [math.fsum(net.links[i].latency for i in route.links) for route in every]
    assert net.path_latency(found).tolist() == latency


@given(st.lists(st.lists(st.integers(0, 7), max_size=12)), st.lists(st.floats(0, 1e300), min_size=8, max_size=8))
def test_sums_are_rounded_once(rows, values):
    first = np.cumsum([0, *map(len, rows)])
    which = np.array([place for row in rows for place in row], dtype=np.int32)
    found = exact_sums(np.array(values), first, which)
    assert found.tolist() == [math.fsum(values[place] for place in row) for row in rows]


@pytest.mark.parametrize(
    ("kinds", "terms", "rows"), [(1, 40, 50), (2, 40, 50), (30, 40, 50), (6, 200, 2000), (3, 300, 3000)]
)
def test_sums_are_rounded_once_however_many_values_there_are(kinds, terms, rows, rng):
    values = np.resize(rng.random(kinds), 60)
    first = np.concatenate([[0], np.cumsum(rng.integers(0, terms, rows))])
    which = rng.integers(0, 60, first[-1]).astype(np.int32)
    expected = [math.fsum(values[which[a:b]]) for a, b in itertools.pairwise(first.tolist())]
    assert exact_sums(values, first, which).tolist() == expected


@pytest.mark.parametrize("kinds", [1, 3, 30])
def test_sums_that_are_too_large_for_a_number_are_infinite(kinds):
    values = np.linspace(1.0, 1.5, kinds) * 1e308
    assert exact_sums(values, np.array([0, 1, 3]), np.zeros(3, dtype=np.int32)).tolist() == [1e308, math.inf]


def test_latencies_of_long_routes_over_links_of_many_kinds_are_those_of_each_route():
    net = cs.ring(300, "10GB/s", "1us")
    seconds = [1.1e-6, 2.3e-6, 3.7e-6, 5.9e-6, 7.3e-6, 11.9e-6]
    net = net.with_links([replace(link, latency=seconds[i // 2 % 6]) for i, link in enumerate(net.links)])
    src, dst = (end.ravel() for end in np.meshgrid(np.arange(300), np.arange(0, 300, 7)))
    src, dst = src[src != dst], dst[src != dst]
    found = net.path_latency(net.paths(src, dst))
    assert found.tolist() == [net.route_latency(*pair) for pair in zip(src.tolist(), dst.tolist(), strict=True)]


@pytest.mark.parametrize("pair", [(0, 4), (4, 0), (-1, 2)])
def test_routes_of_ranks_that_are_not_there_are_refused(pair):
    src, dst = (np.array([end]) for end in pair)
    with pytest.raises(cs.InputError, match=r"'star:4' has ranks 0 to 3, got (4|-1)"):
        cs.star(4, "1GB/s", "1us").paths(src, dst)


@pytest.mark.parametrize("rounds", [0, 1, 3, 600])
@pytest.mark.parametrize("spec", ["ring:9", "torus:4x5", "leaf-spine:4x3,spines=2", "line:8"])
def test_ways_from_a_rank_are_the_shortest(spec, rounds, rng, monkeypatch):
    monkeypatch.setattr("collsim.topology._MOST_ROUNDS", rounds)
    net = cs.load_topology(spec, bandwidth="10GB/s", latency="2us")
    length = rng.integers(0, 10, len(net.links)).astype(float)
    graph = nx.DiGraph()
    for tail, head, far in zip(*net.ends, length, strict=True):
        graph.add_edge(int(tail), int(head), weight=far)
    for rank in range(net.ranks):
        for reverse, seen in ((False, graph), (True, graph.reverse())):
            expected = nx.single_source_dijkstra_path_length(seen, rank)
            found = net.distances(rank, length, reverse=reverse)
            assert found.tolist() == [expected[node] for node in range(len(found))]


@pytest.mark.parametrize("spec", ["ring:9", "torus:4x5", "leaf-spine:4x3,spines=2", "star:7"])
def test_ways_from_several_ranks_to_the_nearest_of_others(spec, rng):
    net = cs.load_topology(spec, bandwidth="10GB/s", latency="2us")
    length = rng.random(len(net.links))
    each = np.stack([net.distances(rank, length) for rank in range(net.ranks)])
    for _ in range(20):
        inside = rng.permutation(net.ranks) < rng.integers(1, net.ranks)
        ranks, others = np.flatnonzero(inside), np.flatnonzero(~inside)
        assert (net.distances(ranks, length) == each[ranks].min(axis=0)).all()
        nearest = net.distances(ranks, length, until=others)[others].min()
        assert nearest == each[np.ix_(ranks, others)].min()


def test_where_no_way_leads_is_infinitely_far():
    net = Topology("apart", 4, [*cable(0, 1, 1.0, 1.0), *cable(2, 3, 1.0, 1.0), Link(1, 2, 1.0, 1.0)])
    assert net.distances(2, net.latency).tolist() == [math.inf, math.inf, 0, 1]
    assert net.distances(2, net.latency, reverse=True).tolist() == [2, 1, 0, 1]


@pytest.mark.parametrize("spec", SPECS)
def test_groups_follow_from_the_dimensions(spec):
    net = cs.load_topology(spec, bandwidth="10GB/s", latency="2us")
    number = {rank: place for place, group in enumerate(net.groups) for rank in group}
    assert net.group_of.tolist() == [number[rank] for rank in range(net.ranks)]

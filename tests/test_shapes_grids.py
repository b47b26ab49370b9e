"""Star, full, bus, backbone, line, ring, mesh, torus, hypercube and products of small networks."""

from __future__ import annotations

import itertools
import math
import pickle
import re
from functools import partial

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collsim as cs
from collsim.cli import main
from collsim.shapes import SHAPES, Shape
from collsim.shapes.basic import parse_flag

SPEED, DELAY = 1e10, 1e-6


def edges(net):
    """The cables of a network as a set of pairs; fails if a link has no partner or comes twice."""
    directed = [(link.tail, link.head) for link in net.links]
    assert len(set(directed)) == len(directed)
    assert {(head, tail) for tail, head in directed} == set(directed)
    return {frozenset(pair) for pair in directed}


def nodes_of(net, src, dst):
    """The nodes of a route; fails if its links are not joined end to end."""
    links = [net.links[number] for number in net.route(src, dst)]
    for link, following in itertools.pairwise(links):
        assert link.head == following.tail
    return [link.tail for link in links] + [links[-1].head]


def pairs(net):
    return itertools.permutations(range(net.ranks), 2)


def from_networkx(graph, dims):
    """The edges of a grid graph of networkx, whose nodes are coordinates, in our numbering."""
    number = {tuple(index): rank for rank, index in enumerate(itertools.product(*map(range, dims)))}
    # In one dimension its nodes are numbers.
    as_tuple = {node: node if isinstance(node, tuple) else (node,) for node in graph}
    return {frozenset((number[as_tuple[a]], number[as_tuple[b]])) for a, b in graph.edges if a != b}


def assert_shortest(net):
    graph = nx.DiGraph([(link.tail, link.head) for link in net.links])
    hops = dict(nx.all_pairs_shortest_path_length(graph))
    for src, dst in pairs(net):
        nodes = nodes_of(net, src, dst)
        assert (nodes[0], nodes[-1], len(nodes) - 1) == (src, dst, hops[src][dst])


def same(a, b):
    """Whether two networks have the same links and routes, whatever they are called."""
    return (
        a.ranks == b.ranks
        and a.links == b.links
        and all(nodes_of(a, *pair) == nodes_of(b, *pair) for pair in pairs(a))
        and a.groups == b.groups
    )


# Line, mesh and torus

DIMS = [(1,), (2,), (5,), (3, 4), (4, 3), (2, 2), (1, 3), (3, 1, 2), (2, 3, 4), (4, 4, 2), (2, 2, 2, 3)]


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize(("shape", "periodic"), [(cs.mesh, False), (cs.torus, True)])
def test_a_mesh_and_a_torus_are_grid_graphs_numbered_row_by_row(shape, periodic, dims):
    net = shape(dims, SPEED, DELAY)
    graph = nx.grid_graph(dim=[range(side) for side in reversed(dims)], periodic=periodic)
    assert edges(net) == from_networkx(graph, dims)
    assert (net.ranks, net.switches) == (math.prod(dims), ())
    assert net.name == f"{shape.__name__}:{'x'.join(map(str, dims))}"
    assert net.groups == tuple((rank,) for rank in range(net.ranks))


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("shape", [cs.mesh, cs.torus])
def test_the_routes_of_a_grid_are_shortest_paths(shape, dims):
    assert_shortest(shape(dims, SPEED, DELAY))


@pytest.mark.parametrize("dims", [(5,), (6,), (3, 4), (4, 4), (2, 3, 4), (5, 2, 6)])
@pytest.mark.parametrize("shape", [cs.mesh, cs.torus])
def test_a_route_settles_the_last_dimension_first_and_goes_upwards_where_both_ways_are_equal(shape, dims):
    net = shape(dims, SPEED, DELAY)
    for src, dst in pairs(net):
        position = [np.array(np.unravel_index(node, dims)) for node in nodes_of(net, src, dst)]
        target = position[-1]
        moved = []
        for here, there in itertools.pairwise(position):
            (axis,) = np.flatnonzero(here != there)
            moved.append(int(axis))
            assert (here[axis + 1 :] == target[axis + 1 :]).all()
            if shape is cs.mesh:
                assert there[axis] - here[axis] == np.sign(target[axis] - here[axis])
            elif dims[axis] > 2:  # with two ranks up is down
                ahead = (target[axis] - position[0][axis]) % dims[axis]
                up = there[axis] == (here[axis] + 1) % dims[axis]
                assert up == (ahead <= dims[axis] - ahead)
        assert moved == sorted(moved, reverse=True)


def test_a_ring_is_a_torus_and_a_line_a_mesh_of_one_dimension():
    for ranks in (1, 2, 3, 6, 7):
        assert same(cs.ring(ranks, SPEED, DELAY), cs.torus(ranks, SPEED, DELAY))
        assert same(cs.line(ranks, SPEED, DELAY), cs.mesh([ranks], SPEED, DELAY))
    assert not same(cs.ring(3, SPEED, DELAY), cs.line(3, SPEED, DELAY))
    assert edges(cs.line(4, SPEED, DELAY)) == {frozenset(pair) for pair in ((0, 1), (1, 2), (2, 3))}


def test_each_dimension_has_its_own_figures_in_the_order_of_dims():
    for shape in (cs.mesh, cs.torus):
        net = shape("2x3", bandwidth="25GB/s,50GB/s", latency=["1us", 2e-6])
        for link in net.links:
            along_first = abs(link.tail - link.head) == 3
            assert (link.bandwidth, link.latency) == ((25e9, 1e-6) if along_first else (50e9, 2e-6))
        assert net.route_latency(0, 4) == pytest.approx(3e-6, rel=1e-12)
        assert net.route_bandwidth(0, 4) == 25e9


@pytest.mark.parametrize("name", ["mesh", "torus"])
def test_dims_may_be_written_in_several_ways(name):
    shape = getattr(cs, name)
    for dims in ("2x3x2", "2,3,2", (2, 3, 2), ["2", 3, 2.0], np.array([2, 3, 2])):
        assert same(shape(dims, SPEED, DELAY), shape([2, 3, 2], SPEED, DELAY))
    assert same(shape("6", SPEED, DELAY), shape(6, SPEED, DELAY))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4).filter(lambda dims: math.prod(dims) <= 200), st.data())
def test_every_step_of_a_torus_route_comes_one_nearer(dims, data):
    net = cs.torus(dims, SPEED, DELAY)
    src, dst = (data.draw(st.integers(0, net.ranks - 1)) for _ in range(2))
    if src == dst:
        return
    distance = [
        sum(
            min((a - b) % side, (b - a) % side)
            for a, b, side in zip(np.unravel_index(node, dims), np.unravel_index(dst, dims), dims, strict=True)
        )
        for node in nodes_of(net, src, dst)
    ]
    assert distance == list(range(len(distance) - 1, -1, -1))


def least_halving(net):
    """The least bandwidth between two halves of the ranks, by trying all of them."""
    ranks = range(net.ranks)
    return min(
        sum(link.bandwidth for link in net.links if link.tail in half and link.head not in half)
        for half in map(set, itertools.combinations(ranks, net.ranks // 2))
        if 0 in half
    )


@pytest.mark.parametrize(
    ("net", "links"),
    [
        (cs.line(6, SPEED, DELAY), 1),
        (cs.ring(6, SPEED, DELAY), 2),
        (cs.full(6, SPEED, DELAY), 9),
        (cs.mesh("4x3", SPEED, DELAY), 3),
        (cs.torus("4x3", SPEED, DELAY), 6),
        (cs.torus("4x2", SPEED, DELAY), 4),
        (cs.mesh("2x2x3", SPEED, DELAY), 6),
        (cs.hypercube(8, SPEED, DELAY), 4),
        (cs.product("full4xline2", SPEED, DELAY), 4),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_bisection_of_small_networks(net, links):
    assert least_halving(net) == links * SPEED


def test_a_large_torus_has_six_cables_a_rank():
    net = cs.torus((16, 16, 16), SPEED, DELAY)
    assert (net.ranks, len(net.links)) == (4096, 6 * 4096)
    assert {len(net.leaving[rank]) for rank in range(net.ranks)} == {6}
    assert len(net.route(0, 8 * 256 + 8 * 16 + 8)) == 24  # to the opposite corner


# Hypercube


@pytest.mark.parametrize("bits", range(6))
def test_a_hypercube_joins_ranks_that_differ_in_one_bit(bits):
    net = cs.hypercube(2**bits, SPEED, DELAY)
    expected = from_networkx(nx.hypercube_graph(bits), [2] * bits) if bits else set()
    assert edges(net) == expected
    assert {(a ^ b).bit_count() for a, b in edges(net)} == ({1} if bits else set())


def test_a_hypercube_corrects_the_lowest_bit_first():
    net = cs.hypercube(16, SPEED, DELAY)
    for src, dst in pairs(net):
        nodes = nodes_of(net, src, dst)
        flipped = [a ^ b for a, b in itertools.pairwise(nodes)]
        assert flipped == [1 << bit for bit in range(4) if (src ^ dst) >> bit & 1]
    assert nodes_of(net, 0b0000, 0b1011) == [0, 0b0001, 0b0011, 0b1011]


def test_a_hypercube_is_a_mesh_and_a_torus_of_sides_two():
    for shape in (cs.mesh, cs.torus):
        grid, cube = shape((2, 2, 2), SPEED, DELAY), cs.hypercube(8, SPEED, DELAY)
        assert edges(grid) == edges(cube)
        assert all(nodes_of(grid, *pair) == nodes_of(cube, *pair) for pair in pairs(cube))


# Products

RING4_SWITCH2 = {  # two rings of four; rank i of each ring is on switch i
    *[(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4)],
    *[(rank, f"switch 2.{rank % 4}") for rank in range(8)],
}
FULL3_LINE3 = {
    *[(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (6, 7), (6, 8), (7, 8)],
    *[(0, 3), (3, 6), (1, 4), (4, 7), (2, 5), (5, 8)],
}
SWITCH2_SWITCH2_FULL2 = {
    *[(0, "switch 1.0"), (1, "switch 1.0"), (2, "switch 1.1"), (3, "switch 1.1")],
    *[(4, "switch 1.2"), (5, "switch 1.2"), (6, "switch 1.3"), (7, "switch 1.3")],
    *[(0, "switch 2.0"), (2, "switch 2.0"), (1, "switch 2.1"), (3, "switch 2.1")],
    *[(4, "switch 2.2"), (6, "switch 2.2"), (5, "switch 2.3"), (7, "switch 2.3")],
    *[(0, 4), (1, 5), (2, 6), (3, 7)],
}


@pytest.mark.parametrize(
    ("dims", "cables"),
    [
        ("ring4xswitch2", RING4_SWITCH2),
        ("full3xline3", FULL3_LINE3),
        ("switch2xswitch2xfull2", SWITCH2_SWITCH2_FULL2),
        ("ring2", {(0, 1)}),
        ("switch1xring1xline1xfull1", set()),
    ],
)
def test_a_product_is_the_graph_drawn_by_hand(dims, cables):
    net = cs.product(dims, SPEED, DELAY)
    assert edges(net) == set(map(frozenset, cables))
    assert net.name == f"product:{dims}"
    if cables:
        assert_shortest(net)


@pytest.mark.parametrize("kinds", list(itertools.product(["ring", "line", "full"], repeat=2)))
def test_a_product_is_the_cartesian_product_of_its_dimensions(kinds):
    of = {"ring": nx.cycle_graph, "line": nx.path_graph, "full": nx.complete_graph}
    inner, outer = (of[kind](size) for kind, size in zip(kinds, (4, 3), strict=True))
    net = cs.product(list(zip(kinds, (4, 3), strict=True)), SPEED, DELAY)
    # networkx names a node (of the outer graph, of the inner one).
    graph = nx.cartesian_product(outer, inner)
    assert edges(net) == {frozenset((4 * a[0] + a[1], 4 * b[0] + b[1])) for a, b in graph.edges}
    assert_shortest(net)


def test_a_product_goes_along_the_innermost_dimension_first():
    net = cs.product("ring4xswitch3xfull2", SPEED, DELAY)
    # 23 = 3 + 4 * (2 + 3 * 1): up or down the ring, over the switch of its row, then across.
    assert nodes_of(net, 0, 23) == [0, 3, "switch 2.3", 11, 23]
    assert nodes_of(net, 0, 2) == [0, 1, 2]
    assert nodes_of(net, 23, 0) == [23, 20, "switch 2.4", 12, 0]
    assert net.groups == tuple(tuple(range(first, first + 4)) for first in range(0, 24, 4))


def test_each_dimension_of_a_product_has_its_own_figures_from_the_ranks_outward():
    net = cs.product("ring4xswitch3xfull2", bandwidth="300GB/s,50GB/s,25GB/s", latency="1us,2us,4us")
    for link in net.links:
        if isinstance(link.tail, str) or isinstance(link.head, str):
            expected = 50e9, 2e-6
        else:
            expected = (25e9, 4e-6) if abs(link.tail - link.head) == 12 else (300e9, 1e-6)
        assert (link.bandwidth, link.latency) == expected
    assert net.route_latency(0, 23) == pytest.approx(1e-6 + 2 * 2e-6 + 4e-6, rel=1e-12)
    assert net.route_bandwidth(0, 3) == 300e9


def test_a_product_of_rings_is_a_torus_with_its_dims_the_other_way_round():
    product, torus = cs.product("ring3xring4xring2", SPEED, DELAY), cs.torus("2x4x3", SPEED, DELAY)
    assert edges(product) == edges(torus)
    assert all(nodes_of(product, *pair) == nodes_of(torus, *pair) for pair in pairs(torus))


def test_dims_of_a_product_may_be_written_in_several_ways():
    expected = cs.product("ring4xfull2", SPEED, DELAY)
    for dims in ([("ring", 4), ("full", 2)], [["ring", "4"], ["full", 2.0]], ["ring4", "full2"], "ring 4 x full 2"):
        assert same(cs.product(dims, SPEED, DELAY), expected)


# Shared media


def channels(net):
    """Which links share a capacity: a set of sets of (tail, head), those that are alone left out."""
    found = {}
    for number, link in enumerate(net.links):
        found.setdefault(int(net.channel[number]), set()).add((link.tail, link.head))
    return {frozenset(shared) for shared in found.values() if len(shared) > 1}


HALF_DUPLEX = {
    "star": partial(cs.star, 4),
    "full": partial(cs.full, 4),
    "line": partial(cs.line, 4),
    "ring": partial(cs.ring, 5),
    "mesh": partial(cs.mesh, "3x3"),
    "torus": partial(cs.torus, "3x4"),
    "hypercube": partial(cs.hypercube, 8),
    "product": partial(cs.product, "ring3xswitch2xfull3"),
}


@pytest.mark.parametrize("name", HALF_DUPLEX)
def test_the_two_directions_of_a_half_duplex_cable_share_one_capacity(name):
    half, plain = (HALF_DUPLEX[name](SPEED, DELAY, half_duplex=flag) for flag in (True, False))
    assert channels(plain) == set()
    assert channels(half) == {frozenset((pair, pair[::-1])) for pair in map(tuple, edges(half))}
    assert edges(half) == edges(plain)
    assert half.name == f"{plain.name},half_duplex=true"
    assert cs.load_topology(half.name, bandwidth=SPEED, latency=DELAY).links == half.links


def test_every_link_of_a_bus_is_of_one_medium():
    net = cs.bus(4, SPEED, DELAY)
    assert channels(net) == {frozenset(pairs(net))}
    assert net.route_latency(0, 3) == DELAY
    assert net.route_bandwidth(0, 3) == SPEED
    assert cs.bus(1, SPEED, DELAY).links == ()


def test_every_message_crosses_the_backbone_once():
    net = cs.backbone(4, bandwidth="10GB/s,25GB/s", latency="1us,3us")
    for src, dst in pairs(net):
        assert nodes_of(net, src, dst) == [src, "in", "out", dst]
        assert net.route_latency(src, dst) == pytest.approx(5e-6, rel=1e-12)
        assert net.route_bandwidth(src, dst) == 10e9
    assert {(link.bandwidth, link.latency) for link in net.links if link.tail == "in"} == {(25e9, 3e-6)}
    assert not net.fatpipe.any()
    assert channels(net) == set()
    assert net.groups == ((0, 1, 2, 3),)
    ideal = cs.backbone(4, SPEED, DELAY, fatpipe=True, half_duplex=True)
    assert [ideal.links[i].tail for i in np.flatnonzero(ideal.fatpipe)] == ["in"]
    assert channels(ideal) == {frozenset(((rank, "in"), ("out", rank))) for rank in range(4)}
    assert ideal.name == "backbone:4,fatpipe=true,half_duplex=true"


def ends(net, *messages, model="maxmin"):
    """When messages of 1 MB each, all of which start at once, have arrived."""
    plan = cs.ScheduleBuilder("all_reduce", net.ranks, chunks=len(messages))
    for chunk, (src, dst) in enumerate(messages):
        plan.copy(0, src, dst, chunk=chunk)
    result = cs.simulate(plan.build(), net, nbytes=10**6 * len(messages), model=model)
    return result.timeline.finish.tolist()


ALONE = 10**6 / SPEED


@pytest.mark.parametrize("name", HALF_DUPLEX)
def test_opposite_messages_take_twice_as_long_on_a_half_duplex_cable(name):
    half, plain = (HALF_DUPLEX[name](SPEED, 0, half_duplex=flag) for flag in (True, False))
    assert ends(plain, (0, 1), (1, 0)) == pytest.approx([ALONE] * 2, rel=1e-9)
    assert ends(half, (0, 1), (1, 0)) == pytest.approx([2 * ALONE] * 2, rel=1e-9)
    assert ends(half, (0, 1)) == pytest.approx([ALONE], rel=1e-9)


def test_all_messages_on_a_bus_share_it():
    net = cs.bus(6, SPEED, DELAY)
    for count in range(1, 7):
        messages = [(rank, (rank + 3) % 6) for rank in range(count)]
        assert ends(net, *messages) == pytest.approx([DELAY + count * ALONE] * count, rel=1e-9)
    assert ends(net, (0, 1), (2, 3), (4, 5)) == pytest.approx([DELAY + 3 * ALONE] * 3, rel=1e-9)


def test_messages_queue_for_a_bus_and_for_a_half_duplex_cable_where_links_serve_one_at_a_time():
    bus = cs.bus(6, SPEED, DELAY)
    assert ends(bus, (0, 1), (2, 3), (1, 4), model="fifo") == pytest.approx(
        [DELAY + count * ALONE for count in (1, 2, 3)], rel=1e-9
    )
    ring = cs.ring(4, SPEED, DELAY, half_duplex=True)
    assert ends(ring, (0, 1), (1, 0), (2, 3), model="fifo") == pytest.approx(
        [DELAY + count * ALONE for count in (1, 2, 1)], rel=1e-9
    )


def test_messages_share_a_backbone_unless_it_is_a_fatpipe():
    messages = [(0, 4), (1, 5), (2, 6), (3, 7)]
    for flag, factor in ((False, 2), (True, 1)):
        # Twice the bandwidth of a cable: half of what four messages want.
        net = cs.backbone(8, [SPEED, 2 * SPEED], 0, fatpipe=flag)
        assert ends(net, *messages) == pytest.approx([factor * ALONE] * 4, rel=1e-9)
        assert ends(net, *messages[:2]) == pytest.approx([ALONE] * 2, rel=1e-9)


def test_a_fatpipe_is_no_faster_for_one_message_than_its_bandwidth():
    net = cs.backbone(4, [SPEED, SPEED / 4], 0, fatpipe=True)
    assert ends(net, (0, 1), (2, 3)) == pytest.approx([4 * ALONE] * 2, rel=1e-9)


def test_the_algorithm_for_a_torus_has_every_link_for_itself_there():
    # Both number ranks row by row, so each message goes to a neighbour and meets no other.
    for dims in ("4x4", "2x3x4"):
        net = cs.torus(dims, SPEED, DELAY)
        schedule = cs.make_schedule("all_reduce", "torus", ranks=net.ranks, dims=dims)
        steps = 2 * sum(int(side) - 1 for side in dims.split("x"))
        expected = steps * DELAY + 2 * (net.ranks - 1) * 10**5 / SPEED
        result = cs.simulate(schedule, net, nbytes=net.ranks * 10**5, model="maxmin")
        assert result.time == pytest.approx(expected, rel=1e-9)


# Specs, figures, errors

SPECS = [
    ("line:5", partial(cs.line, 5)),
    ("mesh:2x3", partial(cs.mesh, (2, 3))),
    ("mesh:dims=2x3", partial(cs.mesh, (2, 3))),
    ("torus:2x3x3,half-duplex=true", partial(cs.torus, (2, 3, 3), half_duplex=True)),
    ("torus:4x4,half_duplex=false", partial(cs.torus, (4, 4))),
    ("hypercube:8", partial(cs.hypercube, 8)),
    ("product:ring3xswitch2", partial(cs.product, [("ring", 3), ("switch", 2)])),
    ("bus:4", partial(cs.bus, 4)),
    ("backbone:4,fatpipe=true", partial(cs.backbone, 4, fatpipe=True)),
    ("star:4,half_duplex=True", partial(cs.star, 4, half_duplex=True)),
    ("ring:4", partial(cs.ring, 4)),
    ("full:4", partial(cs.full, 4)),
]


@pytest.mark.parametrize(("spec", "build"), SPECS, ids=[spec for spec, _ in SPECS])
def test_a_spec_and_python_give_the_same_network_and_it_survives_pickling(spec, build):
    net = build(bandwidth="10GB/s", latency="1us")
    loaded = cs.load_topology(spec, bandwidth="10GB/s", latency="1us")
    assert same(loaded, net)
    assert loaded.name == net.name
    again = pickle.loads(pickle.dumps(loaded))
    assert same(again, net)
    assert (again.name, again.routing) == (net.name, net.routing)


OURS = ["backbone", "bus", "full", "hypercube", "line", "mesh", "product", "ring", "star", "torus"]


@pytest.mark.parametrize("name", OURS)
def test_the_name_of_a_network_is_its_spec(name):
    net = cs.load_topology(SHAPES[name].example, bandwidth=SPEED, latency=DELAY)
    assert net.name == SHAPES[name].example
    assert SHAPES[name].build is getattr(cs, name)


@pytest.mark.parametrize(
    ("spec", "ranks", "name"),
    [
        ("torus", 12, "torus:4x3"),
        ("torus", 7, "torus:7"),
        ("mesh", 16, "mesh:4x4"),
        ("hypercube", 8, "hypercube:8"),
        ("line", 3, "line:3"),
        ("bus", 3, "bus:3"),
        ("backbone", 3, "backbone:3"),
        ("backbone:fatpipe=true", 3, "backbone:3,fatpipe=true"),
        ("torus:half_duplex=true", 6, "torus:3x2,half_duplex=true"),
    ],
)
def test_a_number_of_ranks_alone_is_enough(spec, ranks, name):
    assert cs.load_topology(spec, ranks, bandwidth=SPEED, latency=DELAY).name == name


def test_a_number_of_ranks_never_completes_a_size_that_is_half_given():
    def rows(number, width, bandwidth, latency, *, half_duplex=False):
        return cs.mesh((number, width), bandwidth, latency, half_duplex=half_duplex)

    shape = Shape(rows, "rows", "rows:number=2,width=3", "number", lambda ranks: {"number": 2, "width": ranks // 2})
    assert shape.make({"half_duplex": True}, 6, SPEED, DELAY).name == "mesh:2x3,half_duplex=true"
    with pytest.raises(cs.InputError, match="its width is missing; write it as in rows:number=2,width=3"):
        shape.make({"number": 3}, 6, SPEED, DELAY)


def test_a_file_may_name_them(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text(
        'shape = "product"\ndims = [["ring", 4], ["switch", 2]]\nhalf_duplex = true\n'
        'bandwidth = ["300GB/s", "25GB/s"]\nlatency = 1e-6\n'
    )
    net = cs.load_topology(file)
    assert same(net, cs.product("ring4xswitch2", "300GB/s,25GB/s", "1us", half_duplex=True))
    assert net.name == "lab"


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("torus:4xx4", "a side in dims must be a whole number of at least 1, got ''"),
        ("torus:4x0", "a side in dims must be a whole number of at least 1, got '0'"),
        ("mesh:4xy", "a side in dims must be a whole number of at least 1, got 'y'"),
        ("mesh:4.5", "a side in dims must be a whole number of at least 1, got '4.5'"),
        ("torus", "it needs its number of ranks, for example torus:4x4x4"),
        ("torus:half_duplex=true", "it needs its number of ranks, for example torus:4x4x4"),
        ("torus:4x4,half_duplex=yes", "half_duplex must be true or false, got 'yes'"),
        ("backbone:4,fatpipe=2", "fatpipe must be true or false, got '2'"),
        ("bus:4,half_duplex=true", "unknown parameter 'half_duplex'"),
        (
            "hypercube:12",
            "ranks of a hypercube must be a power of two, such as 8 or 16, got 12; a torus takes any number",
        ),
        ("hypercube:0", "ranks must be a whole number of at least 1, got '0'"),
        ("line:-1", "ranks must be a whole number of at least 1, got '-1'"),
        ("product", "its size is missing; write it as in product:ring4xswitch8"),
        ("product:half_duplex=true", "its size is missing; write it as in product:ring4xswitch8"),
        ("product:rnig4", "unknown kind of dimension 'rnig'; did you mean 'ring'? (known: full, line, ring, switch)"),
        ("product:ring", "dims must be kinds and sizes, such as ring4xswitch8 or [['ring', 4]], got 'ring'"),
        ("product:4x4", "dims must be kinds and sizes, such as ring4xswitch8 or [['ring', 4]], got '4x4'"),
        ("product:ring4x", "dims must be kinds and sizes, such as ring4xswitch8 or [['ring', 4]], got 'ring4x'"),
        ("product:ring0", "the size of 'ring' in dims must be a whole number of at least 1, got '0'"),
        ("product:ring2.5", "the size of 'ring' in dims must be a whole number of at least 1, got '2.5'"),
        ("torus:100000x100000x1000", "a network of 60000000000000 links would need about"),
        ("full:100000000", "of memory"),
        ("bus:100000000", "of memory"),
        ("star:1000000000000", "of memory"),
        (f"full:{'9' * 300}", "a network of more than 1000000000000000000 links would need about"),
        (f"hypercube:{'9' * 4300}", "of memory"),
        (f"torus:{'x'.join(['9' * 300] * 20)}", "of memory"),
        (f"dragonfly:{'9' * 300}", "of memory"),
        (f"leaf-spine:{'9' * 300}x{'9' * 300}", "of memory"),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line(spec, part):
    with pytest.raises(cs.InputError, match=re.escape(part)) as refused:
        cs.load_topology(spec, bandwidth=SPEED, latency=DELAY)
    assert str(refused.value).startswith(f"topology {spec!r}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("build", "part"),
    [
        (partial(cs.torus, []), "dims must be one whole number or more, such as 4x4, got []"),
        (partial(cs.torus, None), "a side in dims must be a whole number of at least 1, got None"),
        (partial(cs.mesh, [[2, 2]]), "a side in dims must be a whole number of at least 1, got [2, 2]"),
        (partial(cs.mesh, [True]), "a side in dims must be a whole number of at least 1, got True"),
        (partial(cs.product, []), "dims must be kinds and sizes, such as ring4xswitch8"),
        (partial(cs.product, 4), "dims must be kinds and sizes, such as ring4xswitch8"),
        (partial(cs.product, [4]), "dims must be kinds and sizes, such as ring4xswitch8"),
        (partial(cs.product, [(4, "ring")]), "dims must be kinds and sizes, such as ring4xswitch8"),
        (partial(cs.product, [("ring", 4, 5)]), "dims must be kinds and sizes, such as ring4xswitch8"),
        (partial(cs.product, [("ring", None)]), "the size of 'ring' in dims must be a whole number"),
        (partial(cs.star, 4, half_duplex=None), "half_duplex must be true or false, got None"),
        (partial(cs.full, 4, half_duplex=1), "half_duplex must be true or false, got 1"),
    ],
)
def test_wrong_arguments_are_refused(build, part):
    with pytest.raises(cs.InputError, match=re.escape(part)) as refused:
        build(bandwidth=SPEED, latency=DELAY)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "figures", "part"),
    [
        ("torus:4x4", {"bandwidth": "1GB/s,2GB/s,3GB/s"}, "bandwidth must be one value or 2"),
        ("mesh:2x2x2", {"latency": "1us,2us"}, "latency must be one value or 3"),
        (
            "torus:4x4",
            {"bandwidth": "1GB/s,2GB/s,3GB/s"},
            "bandwidth must be one value or 2, in the order of dims, got",
        ),
        ("product:ring4xring4", {"latency": "1us,2us,1us"}, "latency must be one value or 2, in the order of dims"),
        ("backbone:4", {"bandwidth": [1, 2, 3]}, "bandwidth must be one value or 2"),
        ("ring:4", {"bandwidth": "1GB/s,2GB/s"}, "bandwidth must be one value, got '1GB/s,2GB/s'"),
        ("bus:4", {"latency": "-1us"}, "latency must not be negative, got '-1us'"),
        ("hypercube:4", {"bandwidth": "0GB/s"}, "bandwidth must be positive, got '0GB/s'"),
        ("line:4", {"bandwidth": None}, "a bandwidth is needed"),
    ],
)
def test_wrong_figures_are_refused(spec, figures, part):
    with pytest.raises(cs.InputError, match=re.escape(part)):
        cs.load_topology(spec, **{"bandwidth": SPEED, "latency": DELAY} | figures)


def test_flags_are_bools_or_their_names():
    for value in (True, np.True_, "true", " True "):
        assert parse_flag(value, "flag") is True
    for value in (False, np.False_, "false", "FALSE"):
        assert parse_flag(value, "flag") is False


# The command line


def test_a_torus_runs_and_the_shapes_are_listed(capsys):
    figures = ["--bandwidth", "10GB/s", "--latency", "1us"]
    for arguments, words in (
        (["run", "all_reduce", "-a", "ring", "-t", "torus:4x4", "-s", "4MB", *figures], ["torus:4x4"]),
        (["list", "topologies"], [SHAPES[name].example for name in OURS]),
    ):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        printed = capsys.readouterr()
        assert (exit_.value.code or 0, printed.err) == (0, "")
        assert all(word in printed.out for word in words)

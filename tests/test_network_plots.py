"""Pictures of networks: where nodes stand, what is drawn thick, and the same bytes each time."""

from __future__ import annotations

import itertools
import math
from typing import Any

import networkx as nx
import pytest

import collsim as cs
from collsim.errors import InputError
from collsim.layouts import Wire, layers, layout
from collsim.topology import Link, Topology, cable

pytest.importorskip("matplotlib.figure")

from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch

from collsim.plots import plot_topology, save_figure

FIGURES = {"bandwidth": "10GB/s", "latency": "1us"}
SPECS = [
    "star:1",
    "star:8",
    "star:40",
    "full:5",
    "line:2",
    "ring:9",
    "mesh:1x3",
    "mesh:3x4",
    "torus:4x4",
    "torus:3x3x3",
    "torus:2x2x2x2x2x2",
    "hypercube:32",
    "product:ring4xswitch3",
    "bus:6",
    "backbone:5",
    "tree:2x3",
    "fat-tree:4",
    "leaf-spine:3x4,spines=2",
    "dragonfly:p=2,a=4,h=2",
    "rail:2x4",
    "hybrid-cube-mesh",
]


def net_of(spec: str, **changes: Any) -> Topology:
    figures = {**FIGURES, "bandwidth": "300GB/s,25GB/s"} if spec.startswith("rail") else FIGURES
    return cs.load_topology(spec, **figures, **changes)


@pytest.mark.parametrize("spec", SPECS)
def test_every_node_has_a_place_of_its_own_and_none_is_far_away(spec):
    net = net_of(spec)
    places = layout(net)
    assert set(places) - {Wire("bus")} == {*range(net.ranks), *net.switches}
    apart = [math.dist(a, b) for a, b in itertools.combinations(places.values(), 2)]
    assert min(apart, default=1) > 0.2
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in places.values())
    assert max(apart, default=0) < 4 * len(places) + 4


def test_neighbours_on_a_grid_stand_next_to_each_other_and_a_row_is_a_row():
    places = layout(net_of("torus:4x5"))
    for row in range(4):
        assert [places[5 * row + column] for column in range(5)] == [(column, -row) for column in range(5)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_grid_stays_a_grid_wherever_its_ranks_were_placed(seed):
    plain, placed = net_of("torus:4x4"), net_of("torus:4x4", placement=f"random:{seed}")
    places = layout(placed)
    assert sorted(places.values()) == sorted(layout(plain).values())
    where = {place: rank for rank, place in layout(plain).items()}
    moved = {(where[places[link.tail]], where[places[link.head]]) for link in placed.links}
    assert moved == {(link.tail, link.head) for link in plain.links}
    assert places != layout(plain)


def test_a_grid_with_another_name_is_still_a_grid():
    for spec in ("torus:4x5", "mesh:3x4", "torus:3x3x3", "mesh:2x7"):
        net = net_of(spec)
        assert layout(Topology("machine", net.ranks, net.links)) == layout(net)


def test_a_name_that_only_looks_like_a_grid_is_not_believed():
    ring = [link for r in range(6) for link in cable(r, (r + 1) % 6, 1.0, 0.0)]
    assert layout(Topology("mesh:2x3", 6, ring)) == layout(Topology("something", 6, ring))
    assert layout(Topology("torus:nonsense", 6, ring)) == layout(Topology("something", 6, ring))


def test_a_ring_with_its_ranks_in_any_order_is_drawn_around_a_circle():
    order = [0, 3, 1, 4, 2]
    net = Topology(
        "mine", 5, [link for a, b in zip(order, [*order[1:], 0], strict=True) for link in cable(a, b, 1.0, 0)]
    )
    places = layout(net)
    lengths = {round(math.dist(places[link.tail], places[link.head]), 4) for link in net.links}
    assert lengths == {1.0}


def test_tiers_stand_above_each_other_and_layers_are_distances_from_the_ranks():
    net = net_of("fat-tree:4")
    places = layout(net)
    heights = [{places[node][1] for node in layer} for layer in layers(net)]
    assert all(len(found) == 1 for found in heights)
    assert sorted(heights, key=min) == heights
    nearest = nx.multi_source_dijkstra_path_length(nx.Graph(net.graph), set(range(16)), weight=None)
    assert all(nearest[node] == number for number, layer in enumerate(layers(net)) for node in layer)


def test_switches_inside_a_node_stand_below_its_ranks_and_those_between_nodes_above():
    net = net_of("rail:2x4")
    places = layout(net)
    assert all(places[node][1] < 0 for node in net.switches if str(node).startswith("nvswitch"))
    assert all(places[node][1] > 0 for node in net.switches if str(node).startswith("rail"))


def test_ranks_behind_an_injection_limit_leave_the_grid_to_their_ports():
    net = net_of("torus:3x3", injection="5GB/s")
    places = layout(net)
    ports = sorted(places[node] for node in net.switches)
    assert ports == sorted(layout(net_of("torus:3x3")).values())


def test_networks_without_a_structure_are_placed_by_distance_and_huge_ones_refused():
    graph = nx.random_regular_graph(3, 24, seed=1)
    nx.set_edge_attributes(graph, "1GB/s", "bandwidth")
    nx.set_edge_attributes(graph, 0, "latency")
    net = Topology.from_graph(graph, "random")
    places = layout(net)
    assert places == layout(Topology.from_graph(graph, "random"))
    joined = [math.dist(places[link.tail], places[link.head]) for link in net.links]
    apart = [math.dist(a, b) for a, b in itertools.combinations(places.values(), 2)]
    assert sum(joined) / len(joined) < 0.6 * sum(apart) / len(apart)
    links = [link for r in range(700) for step in (1, 7, 30) for link in cable(r, (r + step) % 700, 1.0, 0.0)]
    with pytest.raises(InputError, match="smaller one"):
        layout(Topology("chords", 700, links))


def lines_of(figure: Any, colour: str) -> int:
    """How many lines of a colour there are, arrows included."""
    axes = figure.axes[0]
    found = 0
    for artist in axes.collections:
        if isinstance(artist, LineCollection) and to_hex(artist.get_colors()[0]).upper() == colour:
            found += len(artist.get_paths())
    return found + sum(
        to_hex(patch.get_edgecolor()).upper() == colour for patch in axes.patches if isinstance(patch, FancyArrowPatch)
    )


def nodes_of(figure: Any, colour: str) -> int:
    collections = [artist for artist in figure.axes[0].collections if isinstance(artist, PatchCollection)]
    return sum(len(a.get_paths()) for a in collections if to_hex(a.get_facecolor()[0]).upper() == colour)


@pytest.mark.parametrize("spec", SPECS)
def test_every_cable_is_a_line_and_every_node_is_drawn(spec):
    net = net_of(spec)
    figure = plot_topology(net)
    drawn = sum(len(a.get_paths()) for a in figure.axes[0].collections if isinstance(a, LineCollection))
    drawn += sum(isinstance(patch, FancyArrowPatch) for patch in figure.axes[0].patches)
    pairs = len({frozenset((link.tail, link.head)) for link in net.links})
    if spec == "bus:6":
        pairs = 6
    assert drawn >= pairs
    assert nodes_of(figure, "#FFFFFF") == net.ranks
    assert spec in figure.axes[0].get_title("left")


def test_labels_name_ranks_and_switches_and_the_legend_has_the_figures():
    axes = plot_topology(net_of("rail:2x4")).axes[0]
    words = [text.get_text() for text in axes.texts]
    assert {str(rank) for rank in range(8)} | {"nvswitch 0", "rail 3"} <= set(words)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:2] == ["16 links, 300 GB/s, 1 us", "16 links, 25 GB/s, 1 us"]
    assert {"rank", "switch"} <= set(legend)
    handles = axes.get_legend().legend_handles
    assert len({(line.get_color(), line.get_linestyle()) for line in handles[:2]}) == 2


def test_parallel_links_have_their_number_beside_them_and_wider_pipes_thicker_lines():
    net = Topology(
        "two", 2, [*cable(0, 1, 1e9, 0.0), *cable(0, 1, 1e9, 0.0), *cable(0, "s", 1e8, 0.0), *cable("s", 1, 1e8, 0.0)]
    )
    axes = plot_topology(net).axes[0]
    assert "×2" in [text.get_text() for text in axes.texts]
    widths = {
        to_hex(a.get_colors()[0]): a.get_linewidths()[0] for a in axes.collections if isinstance(a, LineCollection)
    }
    assert max(widths.values()) > 1.5 * min(widths.values())


def test_directions_that_differ_are_two_arrows_and_one_way_links_one():
    def arrows(net: Topology) -> int:
        return sum(isinstance(patch, FancyArrowPatch) for patch in plot_topology(net).axes[0].patches)

    assert arrows(net_of("star:4")) == 0
    assert arrows(net_of("star:4", overrides=["3>switch:bandwidth=1GB/s"])) == 2
    assert arrows(Topology("circle", 3, [Link(r, (r + 1) % 3, 1.0, 0.0) for r in range(3)])) == 3


def test_a_route_is_drawn_along_its_links():
    net = net_of("fat-tree:4")
    assert lines_of(plot_topology(net), "#D55E00") == 0
    assert lines_of(plot_topology(net, route=(0, 13)), "#D55E00") == len(net.route(0, 13)) == 6
    assert "rank 13" in plot_topology(net, route=(0, 13)).axes[0].get_title("left")


def test_a_cut_fills_its_inside_and_marks_the_cables_that_cross():
    net = net_of("mesh:4x4")
    figure = plot_topology(net, inside=range(8))
    assert nodes_of(figure, "#F2C200") == nodes_of(figure, "#FFFFFF") == 8
    assert lines_of(figure, "#D55E00") == 4
    marked = plot_topology(net, highlight=[0, 1])
    assert lines_of(marked, "#D55E00") == 1  # the two directions of one cable


def test_a_large_network_is_drawn_without_labels_and_a_huge_one_refused():
    assert not plot_topology(net_of("torus:20x20")).axes[0].texts
    with pytest.raises(InputError, match="too many to draw"):
        plot_topology(cs.star(2000, **FIGURES))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"inside": [0, "nowhere"]}, "no node 'nowhere'"),
        ({"inside": [99]}, "no node 99"),
        ({"highlight": [16]}, "links 0..15, not 16"),
        ({"route": (0, 8)}, "ranks 0..7, not 8"),
        ({"route": (-1, 2)}, "ranks 0..7, not -1"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        plot_topology(cs.star(8, **FIGURES), **arguments)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_picture_is_the_same_bytes(tmp_path, suffix):
    for name in ("a", "b"):
        save_figure(plot_topology(net_of("fat-tree:4"), route=(0, 13)), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_router_with_one_rank_is_no_port_of_an_injection_limit():
    net = net_of("dragonfly:h=1")
    places = layout(net)
    away = {node: math.hypot(*place) for node, place in places.items()}
    assert max(away[node] for node in net.switches) < min(away[rank] for rank in range(net.ranks))
    assert min(math.dist(places[a], places[b]) for a, b in itertools.combinations(places, 2)) > 1


def test_a_bus_is_one_medium_and_not_a_cable_for_each_pair():
    assert plot_topology(net_of("bus:6")).axes[0].get_title("left") == "bus:6: 6 ranks, 1 shared medium"
    assert plot_topology(net_of("star:6,half_duplex=true")).axes[0].get_title("left").endswith("1 switch, 6 cables")

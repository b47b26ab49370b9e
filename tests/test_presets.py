"""The machines in topologies/, against a table that was written down from what the machines are, not from the files."""

from __future__ import annotations

import itertools
import tomllib
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

import collsim as cs
from collsim.topology_files import BASES, describe_preset, presets

TOPOLOGIES = Path(__file__).parents[1] / "topologies"
GB = 1e9


class Machine(NamedTuple):
    """What must come out of a file; bandwidths in GB/s and each way, latencies in microseconds."""

    ranks: int
    links: int  # a cable counts twice
    injection: float  # all links that leave a rank
    bisection: float  # least of all ways to halve the ranks
    diameter: int  # links
    near: tuple[float, float]  # bandwidth and latency from rank 0 to rank 1
    far: tuple[float, float]  # from rank 0 to the last one
    groups: tuple[int, ...]  # sizes


def star(ranks, bandwidth, latency):
    """K ranks on one switch: half of them send to the other half."""
    pair = (bandwidth, 2 * latency)
    return Machine(ranks, 2 * ranks, bandwidth, ranks // 2 * bandwidth, 2, pair, pair, (ranks,))


def torus(sides, bandwidth, across, latency=1):
    """Every side at least 4: a rank has two links a dimension, a cut across one dimension crosses each ring twice.

    `bandwidth` is one a dimension, `across` the dimension of the least cut.
    """
    ranks = 1
    for side in sides:
        ranks *= side
    return Machine(
        ranks,
        2 * len(sides) * ranks,
        sum(2 * each for each in bandwidth),
        2 * ranks // sides[across] * bandwidth[across],
        sum(side // 2 for side in sides),
        (bandwidth[-1], latency),
        (min(bandwidth), len(sides) * latency),  # the last rank is one step back in every ring
        (1,) * ranks,
    )


def nodes(count, gpus, nvlink, card, latency, nvlatency=0.7):
    """Nodes behind NVSwitches, each GPU with a card of its own on one network switch."""
    ranks = count * gpus
    return Machine(
        ranks,
        4 * ranks,
        nvlink + card,
        ranks // 2 * card,
        2,
        (nvlink, nvlatency),
        (card, latency),
        (gpus,) * count,
    )


def sharing(count, gpus, nvlink, pcie, card, latency):
    """Nodes behind NVSwitches, each two neighbouring GPUs with a card, over PCIe."""
    ranks = count * gpus
    return Machine(
        ranks,
        2 * ranks + 2 * ranks + 2 * ranks // 2,
        nvlink + pcie,
        ranks // 4 * card,
        4,
        (nvlink, 0.7),
        (card, latency),
        (gpus,) * count,
    )


def leaves(hosts, host, spines, uplink, near, far):
    """Four leaf switches: two of them send to the other two."""
    return Machine(
        4 * hosts, 8 * hosts + 8 * spines, host, 2 * spines * uplink, 4, (host, near), (host, far), (hosts,) * 4
    )


CUBE_MESH = [
    [int(links) for links in row]
    for row in ("02112000", "20120100", "11020020", "12200001", "20000211", "01002012", "00201102", "00011220")
]
HALVES = [half for half in itertools.combinations(range(8), 4) if 0 in half]
CUBE_BISECTION = 25 * min(sum(CUBE_MESH[a][b] for a in half for b in set(range(8)) - set(half)) for half in HALVES)
DGX_1 = Machine(8, 32, 150, CUBE_BISECTION, 2, (50, 0.7), (25, 1.4), (8,))
MESHED = Machine(16, 2 * 32 + 2 * 16 + 2 * 8, 165.75, 50, 4, (50, 0.7), (12.5, 2.6), (8, 8))

EXPECTED = {
    "amd/mi300x": Machine(8, 56, 7 * 64, 16 * 64, 1, (64, 0.7), (64, 0.7), (8,)),
    "amd/mi350x": Machine(8, 56, 535.5, 1224, 1, (76.5, 0.7), (76.5, 0.7), (8,)),
    "aws/p4d": sharing(4, 8, 300, 31.5, 12.5, 15),
    "aws/p5": nodes(4, 8, 450, 50, 15),
    "aws/p5en": nodes(4, 8, 450, 50, 9.8),
    "aws/trainium2": torus([4, 4], [128, 128], 0)._replace(groups=(16,)),
    "aws/trainium2-ultra": torus([4, 4, 4], [64, 128, 128], 0)._replace(groups=(16,) * 4),
    "azure/ndv2": DGX_1,
    "azure/ndv2x2": MESHED._replace(links=2 * 32 + 2 * 16 + 2 * 2, bisection=12.5),
    "azure/ndv4": star(8, 300, 0.35),
    "azure/ndv4x4": nodes(4, 8, 300, 25, 2.6),
    "book": star(8, 10, 2.5),
    "ethernet/100gbe": leaves(16, 12.5, 2, 50, 4, 5),
    "ethernet/10gbe": leaves(32, 1.25, 2, 5, 20, 22),
    "ethernet/25gbe": leaves(24, 3.125, 2, 12.5, 20, 22),
    "ethernet/400gbe": leaves(16, 50, 16, 50, 2, 3),
    "gcp/a3-high": sharing(4, 8, 450, 63, 25, 20),
    "gcp/a3-mega": nodes(4, 8, 450, 25, 15),
    "google/tpu-v3": torus([16, 16], [100, 100], 0),
    "google/tpu-v4": torus([4, 4, 4], [45, 45, 45], 0),
    "google/tpu-v5e": torus([16, 16], [45, 45], 0),
    "google/tpu-v5p": torus([4, 4, 4], [90, 90, 90], 0),
    "google/tpu-v6e": torus([16, 16], [90, 90], 0),
    "infiniband/edr": star(36, 12.5, 0.5),
    "infiniband/hdr": star(40, 25, 0.6),
    "infiniband/ndr": star(64, 50, 0.6),
    "infiniband/xdr": star(144, 100, 0.6),
    "nvidia/dgx-1": DGX_1,
    "nvidia/dgx-1x2": MESHED,
    "nvidia/dgx-2": star(16, 150, 0.35),
    "nvidia/dgx-2x2": sharing(2, 16, 150, 15.75, 12.5, 2.6),
    "nvidia/dgx-a100": star(8, 300, 0.35),
    "nvidia/dgx-a100x4": nodes(4, 8, 300, 25, 2.6),
    "nvidia/dgx-h100": star(8, 450, 0.35),
    "nvidia/dgx-h100x8": nodes(8, 8, 450, 50, 2.6),
    "nvidia/gb200-nvl72": star(72, 900, 0.35),
    "nvidia/gb200-nvl72x2": nodes(2, 72, 900, 50, 2.6),
    "nvidia/hgx-h100": star(8, 450, 0.35),
    "nvidia/hgx-h100x8": nodes(8, 8, 450, 50, 2.6),
}
by_name = pytest.mark.parametrize("name", sorted(EXPECTED))


# What is counted is counted here from the links, not asked from the topology.


def graph_of(net):
    """Nodes and links as networkx has them; parallel links are one edge with the sum of their bandwidths."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(net.ranks))
    for link in net.links:
        known = graph.get_edge_data(link.tail, link.head, {"capacity": 0.0})
        graph.add_edge(link.tail, link.head, capacity=known["capacity"] + link.bandwidth)
    return graph


def flow_out(graph, ranks, half):
    """The most that the ranks of a half can send to the others, switches on either side."""
    if len(graph) == ranks:  # no switches: it is what crosses
        return sum(capacity for a, b, capacity in graph.edges.data("capacity") if a in half and b not in half)
    ends = graph.copy()
    ends.add_edges_from(("source", rank) for rank in half)  # without a capacity: infinite
    ends.add_edges_from((rank, "sink") for rank in range(ranks) if rank not in half)
    return nx.maximum_flow_value(ends, "source", "sink")


def halvings(net, groups):
    """All halvings of eight ranks; for more of them the first half against the second, and every second rank.

    In a product of rings, in nodes and under leaves the first half is a least cut where groups are not halved.
    """
    if net.ranks == 8:
        return HALVES
    return [range(net.ranks // 2), range(0, net.ranks, 2)] if len(groups) > 1 else [range(net.ranks // 2)]


def problems(net, expected):
    """Everything in which a network differs from what it should be, in words."""
    graph = graph_of(net)
    found = []

    def compare(what, got, wanted):
        if got != (pytest.approx(wanted, rel=1e-9) if not isinstance(wanted, Counter) else wanted):
            found.append(f"{what}: {got}, not {wanted}")

    compare("ranks", net.ranks, expected.ranks)
    compare("links", len(net.links), expected.links)
    if net.ranks != expected.ranks:
        return found
    for rank in range(net.ranks):
        for word, ends in (("sends", graph.out_edges), ("receives", graph.in_edges)):
            rate = sum(capacity for *_, capacity in ends(rank, "capacity")) / GB
            compare(f"rank {rank} {word}", rate, expected.injection)
    there = Counter((link.tail, link.head, link.bandwidth, link.latency) for link in net.links)
    back = Counter((link.head, link.tail, link.bandwidth, link.latency) for link in net.links)
    if there != back:
        found.append(f"directions differ: {list((there - back).elements())[:4]}")
    if not nx.is_strongly_connected(graph):
        return [*found, "disconnected"]
    sources = range(net.ranks) if net.ranks <= 100 else range(0, net.ranks, 37)
    hops = {source: nx.single_source_shortest_path_length(graph, source) for source in sources}
    compare("diameter", max(found[rank] for found in hops.values() for rank in range(net.ranks)), expected.diameter)
    for source in list(sources)[:: max(1, len(sources) // 8)]:
        detours = [
            rank for rank in range(net.ranks) if rank != source and len(net.route(source, rank)) != hops[source][rank]
        ]
        compare(f"ranks that rank {source} does not reach over the fewest links", detours, [])
    compare(
        "bisection",
        min(flow_out(graph, net.ranks, set(half)) for half in halvings(net, expected.groups)) / GB,
        expected.bisection,
    )
    for word, other, (bandwidth, latency) in (("near", 1, expected.near), ("far", net.ranks - 1, expected.far)):
        compare(f"{word} bandwidth", net.route_bandwidth(0, other) / GB, bandwidth)
        compare(f"{word} latency", net.route_latency(0, other) * 1e6, latency)
    sizes = tuple(len(group) for group in net.groups)
    if sizes != expected.groups:
        found.append(f"groups: {sizes}, not {expected.groups}")
    return found


def figures(table, where=""):
    """Every figure of a file: its place, and what stands there."""
    for key, value in table.items():
        place = f"{where}{key}"
        if key in ("bandwidth", "latency"):
            yield place, value
        elif isinstance(value, dict):
            yield from figures(value, f"{place}.")
        elif isinstance(value, list):
            for number, entry in enumerate(value):
                if isinstance(entry, dict):
                    yield from figures(entry, f"{place}.{number}.")


def undocumented(table):
    """The figures of a file that lack a basis or a source."""
    return [
        place
        for place, figure in figures(table)
        if not isinstance(figure, dict) or figure.get("basis") not in BASES or not str(figure.get("source", "")).strip()
    ]


def read(name):
    return (TOPOLOGIES / f"{name}.toml").read_text(encoding="utf-8")


def test_every_file_is_in_the_table_and_the_other_way_round():
    assert len(EXPECTED) > 30
    assert set(presets()) == set(EXPECTED)


@by_name
def test_a_machine_is_what_it_should_be(name):
    assert problems(cs.load_topology(name), EXPECTED[name]) == []


@by_name
def test_a_file_says_what_it_is_and_where_its_figures_come_from(name):
    table = tomllib.loads(read(name))
    assert table["name"] == name
    assert table["summary"].strip() == describe_preset(name) != ""
    assert table["source"].strip()
    assert list(figures(table))
    assert undocumented(table) == []
    assert read(name).startswith("# ")
    assert max(map(len, read(name).splitlines())) <= 120


def test_a_figure_without_a_source_is_noticed():
    text = read("nvidia/dgx-a100")
    assert undocumented(tomllib.loads(text.replace('basis = "assumed"', ""))) == ["cable.0.latency"]
    assert undocumented(tomllib.loads(text.replace('basis = "assumed"', 'basis = "known"'))) == ["cable.0.latency"]
    shape = read("book").replace('source = "exercise 1.1.3"\n', "")
    assert undocumented(tomllib.loads(shape)) == ["bandwidth"]


BROKEN = [
    ("nvidia/dgx-a100", '"300GB/s"', '"301GB/s"', "rank 0 sends"),
    ("nvidia/dgx-a100", '"0-7"', '"0-6"', "no path"),
    ("nvidia/dgx-a100", "ranks = 8", "ranks = 9", "no path"),
    ("nvidia/dgx-a100", '"0.35us"', '"0.7us"', "near latency"),
    ("nvidia/dgx-a100x4", '"25GB/s"', '"26GB/s"', "bisection"),
    ("nvidia/dgx-a100x4", 'from = "0-31"\nto = "network"', 'from = "0-30"\nto = "network"', "links"),
    ("nvidia/dgx-a100x4", 'pairing = "blocks"', 'pairing = "cyclic"', "near bandwidth"),
    ("nvidia/dgx-h100x8", "{0-7}", "{0-3}", "groups"),
    ("nvidia/dgx-1x2", "from = [0, 1, 3, 2, 6,", "from = [6, 1, 3, 2, 0,", "near latency"),
    ("nvidia/dgx-1x2", "groups = 8\n", "", "groups"),
    ("nvidia/dgx-1", '"25GB/s"', '"20GB/s"', "far bandwidth"),
    ("aws/p4d", "card {0-15}", "card {0-7}", "links"),
    ("aws/p4d", '"12.5GB/s"', '"12GB/s"', "bisection"),
    ("google/tpu-v4", "[4, 4, 4]", "[4, 4, 8]", "ranks"),
    ("google/tpu-v4", "[4, 4, 4]", "[2, 4, 8]", "diameter"),
    ("google/tpu-v4", '"torus"', '"mesh"', "links"),
    ("google/tpu-v5e", '"45GB/s"', '"46GB/s"', "bisection"),
    ("aws/trainium2-ultra", '["64GB/s", "128GB/s", "128GB/s"]', '["128GB/s", "128GB/s", "64GB/s"]', "near bandwidth"),
    ("ethernet/25gbe", "spines = 2\n", "spines = 6\n", "uplinks"),
    ("ethernet/25gbe", "spines = 2\noversubscription = 3\n", "spines = 6\n", "bisection"),
]


@pytest.mark.parametrize(("name", "old", "new", "notice"), BROKEN)
def test_a_broken_file_is_noticed(tmp_path, name, old, new, notice):
    text = read(name)
    assert old in text
    broken = tmp_path / "broken.toml"
    broken.write_text(text.replace(old, new), encoding="utf-8")
    try:
        found = problems(cs.load_topology(broken), EXPECTED[name])
    except cs.CollsimError as error:
        found = [str(error)]  # some are refused when they are read
    assert any(notice in problem for problem in found), found


def test_a_direction_that_is_slower_than_the_other_is_noticed(tmp_path):
    text = read("nvidia/dgx-a100") + '\n[[link]]\nfrom = 3\nto = "nvswitch"\nbandwidth = "1GB/s"\nlatency = "1us"\n'
    (tmp_path / "uneven.toml").write_text(text, encoding="utf-8")
    found = problems(cs.load_topology(tmp_path / "uneven.toml"), EXPECTED["nvidia/dgx-a100"])
    assert any("directions differ" in problem for problem in found)


# What the machines are known for


@pytest.mark.parametrize("name", ["nvidia/dgx-1", "azure/ndv2", "nvidia/dgx-1x2", "azure/ndv2x2"])
def test_the_cube_mesh_has_the_links_of_the_whitepaper(name):
    net = cs.load_topology(name)
    between = Counter()
    for link in net.links:
        if isinstance(link.tail, int) and isinstance(link.head, int):
            between[link.tail, link.head] += link.bandwidth / 25e9
    for first in range(0, net.ranks, 8):
        assert [[between[first + a, first + b] for b in range(8)] for a in range(8)] == CUBE_MESH
    assert sum(between.values()) == 2 * 24 * (net.ranks // 8)  # 24 NVLinks a node, each both ways


@pytest.mark.parametrize("name", [name for name, machine in EXPECTED.items() if len(machine.groups) in range(2, 9)])
def test_messages_within_a_node_stay_there(name):
    """Nothing on the way is reached by a rank of another node over one link: no network, no GPU, no other switch."""
    net = cs.load_topology(name)
    for group in net.groups[:: len(net.groups) - 1]:
        foreign = {link.head for link in net.links if link.tail in set(range(net.ranks)) - set(group)}
        for src, dst in itertools.permutations(group[:9], 2):
            way = {net.links[number].head for number in net.route(src, dst)}
            if not name.startswith("aws/trainium2"):  # there the chips themselves pass messages on
                assert not foreign & way - set(group)
            assert way & set(range(net.ranks)) <= set(group)


# algbw of all_gather in GB/s on the whole machine: Zhao et al., "ForestColl" (arXiv 2402.06787), and reference tables.
OPTIMA = {
    "nvidia/dgx-1": Fraction(1200, 7),
    "nvidia/dgx-a100": Fraction(2400, 7),
    "nvidia/dgx-a100x4": Fraction(800, 3),
    "nvidia/hgx-h100": Fraction(3600, 7),
    "nvidia/hgx-h100x8": Fraction(3200, 7),
}


def feasible(graph, ranks, rate):
    """Whether all ranks can send to all at `rate` GB/s each: as much flow reaches a rank as all send together."""
    flows = nx.DiGraph()
    unit = rate.denominator  # whole numbers make the answer exact
    for tail, head, capacity in graph.edges.data("capacity"):
        flows.add_edge(tail, head, capacity=int(capacity / 1e8) * unit)
    for rank in range(ranks):
        flows.add_edge("source", rank, capacity=10 * rate.numerator)
    return all(
        nx.maximum_flow_value(flows, "source", rank) == 10 * rate.numerator * ranks
        for rank in {0, ranks // 3, ranks - 1}
    )


@pytest.mark.parametrize("name", OPTIMA)
def test_the_published_optimum_is_reached_and_no_more(name):
    net = cs.load_topology(name)
    rate = OPTIMA[name] / net.ranks
    assert feasible(graph_of(net), net.ranks, rate)
    assert not feasible(graph_of(net), net.ranks, rate * Fraction(10**6 + 1, 10**6))


def test_a_file_with_a_shape_takes_any_number_of_ranks():
    assert cs.load_topology("infiniband/hdr", ranks=12).ranks == 12

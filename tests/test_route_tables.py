from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.errors import InputError
from collsim.route_tables import NamedLink, network_of_routes

FAST, SLOW = NamedLink(10e9, 1e-6), NamedLink(2e9, 5e-6)


def star(ranks: int) -> cs.Topology:
    links = {f"{way} {rank}": FAST for rank in range(ranks) for way in ("up", "down")}
    routes = {(a, b): [f"up {a}", f"down {b}"] for a in range(ranks) for b in range(ranks) if a != b}
    return network_of_routes("table", ranks, links, routes)


def named(network: cs.Topology, links: dict[str, NamedLink], src: int, dst: int) -> list[str]:
    """The links of the table on a route; what was added to join them up is left out."""
    return [list(links)[number] for number in network.route(src, dst) if number < len(links)]


def test_ends_are_found_where_there_is_a_picture():
    network = star(5)
    assert (len(network.switches), len(network.links)) == (1, 10)
    [switch] = network.switches
    assert {(link.tail, link.head) for link in network.links} == {
        pair for rank in range(5) for pair in ((rank, switch), (switch, rank))
    }


@pytest.mark.parametrize("nbytes", ["1kB", "1MB"])
def test_a_table_is_the_network_that_it_was_printed_from(nbytes):
    schedule = cs.make_schedule("all_to_all", "spread", ranks=5)
    ours = cs.simulate(schedule, cs.star(5, bandwidth=FAST.bandwidth, latency=FAST.latency), nbytes=nbytes)
    assert cs.simulate(schedule, star(5), nbytes=nbytes).time == ours.time


def test_one_name_for_both_directions_is_one_link_that_both_share():
    links = {"a": FAST, "wire": SLOW, "b": FAST}
    network = network_of_routes("half duplex", 2, links, {(0, 1): ["a", "wire", "b"], (1, 0): ["b", "wire", "a"]})
    assert named(network, links, 0, 1) == ["a", "wire", "b"]
    assert named(network, links, 1, 0) == ["b", "wire", "a"]
    assert network.route_latency(0, 1) == pytest.approx(7e-6)
    assert network.route_bandwidth(1, 0) == 2e9
    one_way = cs.simulate(cs.make_schedule("broadcast", "flat", ranks=2), network, nbytes=2_000_000)
    both_ways = cs.simulate(cs.make_schedule("all_reduce", "recursive_doubling", ranks=2), network, nbytes=2_000_000)
    assert one_way.time == pytest.approx(7e-6 + 1e-3)
    assert both_ways.time == pytest.approx(7e-6 + 2e-3)


def test_links_that_join_up_others_never_hold_up_a_message():
    # All three share the bus, whose ends cannot be ends of every message.
    links = {"bus": SLOW, "fast": NamedLink("100GB/s", 0)}
    routes = {(a, b): ["fast", "bus"] if a == 0 else ["bus"] for a in range(3) for b in range(3) if a != b}
    network = network_of_routes("bus", 3, links, routes)
    added = network.links[len(links) :]
    assert added
    assert all(link.fatpipe and link.latency == 0 and link.bandwidth == 100e9 for link in added)
    assert {network.route_bandwidth(*pair) for pair in routes} == {2e9}
    assert {network.route_latency(*pair) for pair in routes} == {5e-6}


def test_links_that_no_route_names_are_kept():
    network = network_of_routes("spare", 2, {"a": FAST, "b": FAST, "spare": SLOW}, {(0, 1): ["a"], (1, 0): ["b"]})
    assert [link.bandwidth for link in network.links] == [10e9, 10e9, 2e9]
    assert (network.links[0].tail, network.links[0].head) == (0, 1)


def test_a_fatpipe_stays_one():
    network = network_of_routes("pipe", 2, {"a": NamedLink("1GB/s", "1us", fatpipe=True)}, {(0, 1): ["a"]})
    assert network.fatpipe.tolist() == [True]


def test_it_can_be_pickled():
    network = pickle.loads(pickle.dumps(star(3)))
    assert network.route(0, 2) == star(3).route(0, 2)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_table_gives_a_network_with_its_routes(data):
    ranks = data.draw(st.integers(2, 5))
    links = {
        f"l{i}": NamedLink(data.draw(st.integers(1, 9)), data.draw(st.integers(0, 9)), data.draw(st.booleans()))
        for i in range(data.draw(st.integers(1, 6)))
    }
    pairs = [(a, b) for a in range(ranks) for b in range(ranks) if a != b]
    some = st.lists(st.sampled_from(sorted(links)), min_size=1, unique=True)
    routes = {pair: data.draw(some) for pair in pairs}
    network = network_of_routes("any", ranks, links, routes)
    for pair, names in routes.items():
        assert named(network, links, *pair) == names  # routes() itself checks that they join up
        assert network.route_latency(*pair) == sum(links[name].latency for name in names)
        assert network.route_bandwidth(*pair) == min(links[name].bandwidth for name in names)
    network.check_connected(ranks)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ({(0, 1): ["b"]}, r"unknown link on the route from rank 0 to rank 1 of topology 'x': 'b'"),
        ({(0, 1): []}, r"must name one link or more, each once, got \[\]"),
        ({(0, 1): ["a", "a"]}, r"each once, got \['a', 'a'\]"),
        ({(0, 2): ["a"]}, r"one of the ranks 0..1 to another, got 0 to 2"),
        ({(1, 1): ["a"]}, r"got 1 to 1"),
    ],
)
def test_a_table_that_is_not_right_is_refused(routes, message):
    with pytest.raises(InputError, match=message):
        network_of_routes("x", 2, {"a": FAST}, routes)


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (NamedLink("10GB", 0), "bandwidth of link 'a'"),
        (NamedLink("10GB/s", -1), "latency of link 'a'"),
    ],
)
def test_figures_of_a_link_are_checked_by_its_name(link, message):
    with pytest.raises(InputError, match=message):
        network_of_routes("x", 2, {"a": link}, {(0, 1): ["a"]})


def test_a_pair_without_a_route_is_refused_when_it_is_asked_for():
    network = network_of_routes("x", 2, {"a": FAST}, {(0, 1): ["a"]})
    assert network.route(0, 1) == (0,)
    with pytest.raises(InputError, match="topology 'x' has no route from rank 1 to rank 0 in its table"):
        network.route(1, 0)

"""Other figures for some links, and limits to what a rank sends."""

from __future__ import annotations

import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.overrides import apply_overrides, find_links, parse_override
from collsim.topology import Topology, cable

SPEED, DELAY = 1e10, 1e-6


def star(ranks=4):
    return cs.star(ranks, bandwidth=SPEED, latency=DELAY)


def figures(net):
    return {(link.tail, link.head): (link.bandwidth, link.latency, link.medium) for link in net.links}


def named(*names):
    """A rank on each of the switches of these names, which are all joined to each other."""
    links = [link for rank, name in enumerate(names) for link in cable(rank, name, SPEED, DELAY)]
    for pair in itertools.combinations(names, 2):
        links += cable(*pair, SPEED, DELAY)
    return Topology("named", len(names), links)


@pytest.mark.parametrize(
    ("where", "changed"),
    [
        ("3-switch", {(3, "switch"), ("switch", 3)}),
        ("switch-3", {(3, "switch"), ("switch", 3)}),
        (" 3 - switch ", {(3, "switch"), ("switch", 3)}),
        ((3, "switch"), {(3, "switch"), ("switch", 3)}),
        ([3, "switch"], {(3, "switch"), ("switch", 3)}),
        ("3>switch", {(3, "switch")}),
        ("switch>3", {("switch", 3)}),
        ("*>3", {("switch", 3)}),
        ("3>*", {(3, "switch")}),
        ("3", {(3, "switch"), ("switch", 3)}),
        (3, {(3, "switch"), ("switch", 3)}),
        ("*", {(rank, "switch") for rank in range(4)} | {("switch", rank) for rank in range(4)}),
        ("switch", {(rank, "switch") for rank in range(4)} | {("switch", rank) for rank in range(4)}),
        ("sw*>*", {("switch", rank) for rank in range(4)}),
    ],
)
def test_exactly_the_links_that_are_named_are_changed(where, changed):
    net = cs.override(star(), where, bandwidth="1GB/s", latency="x3")
    assert figures(net) == {
        ends: (1e9, 3 * DELAY, None) if ends in changed else old for ends, old in figures(star()).items()
    }
    assert [(link.tail, link.head) for link in net.links] == [(link.tail, link.head) for link in star().links]
    assert all(net.route(s, d) == star().route(s, d) for s, d in itertools.permutations(range(4), 2))


@pytest.mark.parametrize(
    ("value", "bandwidth"),
    [("x0.5", SPEED / 2), ("x2", 2 * SPEED), ("x1e-1", SPEED / 10), ("8Gbit/s", 1e9), (5e9, 5e9)],
)
def test_a_bandwidth_is_given_anew_or_as_a_factor(value, bandwidth):
    assert figures(cs.override(star(), "0>switch", bandwidth=value))[0, "switch"] == (bandwidth, DELAY, None)


@pytest.mark.parametrize(("value", "latency"), [("x0", 0.0), ("x2.5", 2.5 * DELAY), ("4us", 4e-6), (0, 0.0)])
def test_a_latency_is_given_anew_or_as_a_factor(value, latency):
    assert figures(cs.override(star(), "0>switch", latency=value))[0, "switch"] == (SPEED, latency, None)


def test_one_override_after_the_other():
    net = apply_overrides(star(), ["*:bandwidth=x0.5", "3:bandwidth=x0.5", "0>switch:latency=0"])
    assert figures(net)[1, "switch"] == (SPEED / 2, DELAY, None)
    assert figures(net)["switch", 3] == (SPEED / 4, DELAY, None)
    assert figures(net)[0, "switch"] == (SPEED / 2, 0.0, None)
    by_mapping = {"*": {"bandwidth": "x0.5"}, 3: {"bandwidth": "x0.5"}, "0>switch": {"latency": 0}}
    assert apply_overrides(star(), by_mapping).links == net.links
    assert apply_overrides(star(), "3:latency=0").links == cs.override(star(), 3, latency=0).links


@settings(max_examples=40)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 9))
def test_an_override_makes_exactly_the_messages_over_its_link_slower(tail, head, part):
    net = cs.ring(6, SPEED, 0)
    if (tail - head) % 6 not in (1, 5):
        return
    slow = cs.override(net, f"{tail}>{head}", bandwidth=f"x{part / 10}")
    for src, dst in itertools.permutations(range(6), 2):
        crosses = any((net.links[i].tail, net.links[i].head) == (tail, head) for i in net.route(src, dst))
        assert slow.route_bandwidth(src, dst) == pytest.approx(SPEED * (part / 10 if crosses else 1), rel=1e-12)


def test_the_name_says_what_was_changed():
    assert cs.override(star(), "3", bandwidth="x0.5").name == "star:4 (3:bandwidth=x0.5)"
    assert cs.override(star(), (3, "switch"), latency="1us").name == "star:4"  # it was 1 us before
    many = apply_overrides(star(), [f"{rank}-switch:bandwidth=1GB/s,latency=10us" for rank in range(4)])
    assert many.name == "star:4 (8 links changed)"
    assert pickle.loads(pickle.dumps(many)).links == many.links


def test_all_parallel_links_between_two_nodes_are_changed():
    links = [*cable(0, 1, SPEED, DELAY), *cable(0, 1, SPEED, DELAY)]
    net = cs.override(Topology("double", 2, links), "0>1", bandwidth=1)
    assert net.bandwidth.tolist() == [1, SPEED, 1, SPEED]


def test_names_with_spaces_dashes_and_more_are_found():
    net = named("leaf 0", "leaf-1", "x:y", "a>b")
    for where, ends in [
        ("leaf 0-leaf-1", ("leaf 0", "leaf-1")),
        ("leaf-1-leaf 0", ("leaf-1", "leaf 0")),
        ("leaf-1-1", ("leaf-1", 1)),
        ("a>b-leaf-1", ("a>b", "leaf-1")),
        ("x:y-a>b", ("x:y", "a>b")),
    ]:
        both = {ends, ends[::-1]}
        assert {(net.links[i].tail, net.links[i].head) for i in find_links(net, where)} == both
    assert {(net.links[i].tail, net.links[i].head) for i in find_links(net, "leaf-1>leaf 0")} == {("leaf-1", "leaf 0")}
    assert {net.links[i].head for i in find_links(net, "leaf 0>*")} == {0, "leaf-1", "x:y", "a>b"}
    assert parse_override("x:y-2:latency=1us") == ("x:y-2", {"latency": "1us"})
    tuples = Topology("tuples", 2, [*cable(0, ("s", 1), SPEED, DELAY), *cable(("s", 1), 1, SPEED, DELAY)])
    assert find_links(tuples, ("s", 1)) == [0, 1, 2, 3]
    assert find_links(tuples, (0, ("s", 1))) == [0, 1]


def test_what_can_be_read_in_two_ways_is_refused():
    net = named("a", "b-c", "a-b", "c")
    with pytest.raises(cs.InputError, match="'a-b-c' can be read in 2 ways; write each direction with '>'"):
        find_links(net, "a-b-c")
    assert len(find_links(net, "a>b-c")) == len(find_links(net, "a-b>c")) == 1
    with pytest.raises(cs.InputError, match="'a-b' can be read in 2 ways"):
        find_links(named("a", "b", "a-b"), "a-b")
    twins = Topology("twins", 2, [*cable(0, "1", SPEED, DELAY), *cable("1", 1, SPEED, DELAY)])
    with pytest.raises(cs.InputError, match="'1' could be rank 1 or '1'"):
        find_links(twins, "1")
    assert len(find_links(twins, 1)) == 2


# Half duplex


def test_half_duplex_makes_each_cable_a_medium_of_its_own():
    net = cs.override(star(), "*", duplex="half")
    media = [link.medium for link in net.links]
    assert media[::2] == media[1::2]
    assert len(set(media)) == 4
    assert net.channel.tolist() == [0, 0, 2, 2, 4, 4, 6, 6]
    assert cs.override(net, "*", duplex="full").links == star().links
    assert cs.override(net, "0-switch", duplex="half") is net
    # Both ends of an exchange send at once, and so take twice as long.
    schedule = cs.make_schedule("all_reduce", "ring", ranks=2)
    pair = cs.full(2, SPEED, 0)
    both = cs.simulate(schedule, pair, "1GB").time
    assert cs.simulate(schedule, cs.override(pair, "0-1", duplex="half"), "1GB").time == pytest.approx(2 * both)


def test_half_duplex_needs_both_directions_with_one_bandwidth_and_no_other_medium():
    with pytest.raises(
        cs.InputError, match="half duplex needs both directions of a cable, and from rank 3 to 'switch'"
    ):
        cs.override(star(), "3>switch", duplex="half")
    with pytest.raises(cs.InputError, match="must have the same bandwidth"):
        cs.override(cs.override(star(), "3>switch", bandwidth="x2"), "3-switch", duplex="half")
    both = [cs.Link(0, 1, SPEED, 0, "m"), cs.Link(1, 0, SPEED, 0)]
    with pytest.raises(cs.InputError, match="from rank 0 to rank 1 is a medium already"):
        cs.override(Topology("mixed", 2, both), "0-1", duplex="half")


# Nonsense


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("3-switch", "an override must be WHERE:KEY=VALUE, such as 3-switch:bandwidth=1GB/s, got '3-switch'"),
        (":bandwidth=1", "an override must be WHERE:KEY=VALUE"),
        ("3:bandwidth", "an override must be WHERE:KEY=VALUE"),
        ("3:bandwidth=", "an override must be WHERE:KEY=VALUE"),
        ("", "an override must be WHERE:KEY=VALUE"),
        ("3:bandwith=1", "unknown key 'bandwith'; did you mean 'bandwidth'?"),
        ("3:bandwidth=1,bandwidth=2", "gives 'bandwidth' twice"),
        ("3:bandwidth=0", "override '3:bandwidth=0': bandwidth must be positive, got '0'"),
        ("3:bandwidth=-1", "bandwidth must be positive, got '-1'"),
        ("3:bandwidth=nan", "bandwidth 'nan' is not a quantity"),
        ("3:bandwidth=10 GBs", "has the unknown unit 'GBs'"),
        ("3:bandwidth=x", "the factor of a bandwidth must be 'x' and a number of at least 0, such as x0.5, got 'x'"),
        ("3:bandwidth=x-1", "got 'x-1'"),
        ("3:bandwidth=xnan", "got 'xnan'"),
        ("3:bandwidth=x0", "must be positive, got 'x0'"),
        ("3:bandwidth=x1e300", "a link without a positive finite bandwidth"),
        ("3:latency=-1us", "latency must not be negative, got '-1us'"),
        ("3:latency=x1e400", "got 'x1e400'"),
        ("3:duplex=both", "unknown duplex 'both'"),
        ("9:bandwidth=1", "topology 'star:4' has no node '9' (it has ranks 0-3 and switch 'switch')"),
        ("3-swich:bandwidth=1", "has no node 'swich'; did you mean 'switch'?"),
        ("swich-3:bandwidth=1", "has no node 'swich'; did you mean 'switch'?"),
        ("9>switch:bandwidth=1", "has no node '9'"),
        ("2-3:bandwidth=1", "topology 'star:4' has no such link; from rank 2 they lead to 'switch'"),
        ("x*:bandwidth=1", "has no node 'x*'"),
        (3, "an override must be text such as '3-switch:bandwidth=1GB/s', got 3"),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(text, part):
    with pytest.raises(cs.InputError) as refused:
        cs.load_topology(star(), overrides=[text])
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("where", [9, True, 1.0, (3, "switch", 1), (3, 9), [1], {}, None])
def test_what_is_no_node_is_refused(where):
    with pytest.raises(cs.InputError, match="has no node"):
        cs.override(star(), where, bandwidth=1)


def test_an_override_that_says_nothing_is_refused():
    with pytest.raises(cs.InputError, match="the override of 3 changes nothing; give bandwidth, latency, duplex"):
        cs.override(star(), 3)
    with pytest.raises(cs.InputError, match="changes nothing"):
        apply_overrides(star(), {3: "1GB/s"})
    with pytest.raises(cs.InputError, match="or a mapping, got 5"):
        apply_overrides(star(), 5)
    with pytest.raises(cs.InputError, match="must be a Topology, got str"):
        cs.override("star:4", 3, bandwidth=1)


def test_of_a_large_network_not_every_node_is_listed():
    with pytest.raises(cs.InputError) as refused:
        cs.override(cs.leaf_spine(16, 16, bandwidth=1, latency=0), "spine 99", bandwidth=1)
    assert "did you mean 'spine 9'" in str(refused.value)
    assert len(str(refused.value)) < 250


# Injection limits


def test_an_injection_limit_holds_for_what_a_rank_sends_and_receives_and_not_for_what_passes():
    net = cs.limit_injection(cs.ring(4, SPEED, DELAY), [SPEED, 1e9, SPEED, SPEED])
    plain = cs.ring(4, SPEED, DELAY)
    assert (net.ranks, len(net.switches), len(net.links)) == (4, 4, 16)
    for src, dst in itertools.permutations(range(4), 2):
        assert net.route_latency(src, dst) == plain.route_latency(src, dst)
        assert net.route_bandwidth(src, dst) == (1e9 if 1 in (src, dst) else SPEED)
        assert net.route(src, dst)[1:-1] == plain.route(src, dst)
    assert [net.links[i].head for i in net.route(0, 2)] == ["port 0", "port 1", "port 2", 2]
    assert net.links[8:10] == cable(0, "port 0", SPEED, 0.0)
    assert net.groups == plain.groups
    assert pickle.loads(pickle.dumps(net)).route(0, 2) == net.route(0, 2)


def test_a_rank_with_many_links_sends_no_more_than_its_limit_at_a_time():
    # Rank 0 sends 1 GB to each of 3 others over cables of its own: 0.1 s, with a limit of 10 GB/s in all 0.3 s.
    schedule = cs.make_schedule("broadcast", "flat", ranks=4)
    net = cs.full(4, SPEED, 0)
    alone = cs.simulate(schedule, net, "1GB", ordering="dataflow").time
    limited = cs.simulate(schedule, cs.load_topology(net, injection="10GB/s"), "1GB", ordering="dataflow").time
    assert (alone, limited) == (pytest.approx(0.1), pytest.approx(0.3))


def test_routes_follow_through_ports_also_when_they_are_spread_or_placed():
    net = cs.limit_injection(cs.reroute(cs.ring(4, SPEED, DELAY), "spread"), "1GB/s")
    assert [route.share for route in net.routes(0, 2)] == [0.5, 0.5]
    moved = cs.place(net, "1,0,2,3")
    assert moved.routes(1, 2) == net.routes(0, 2)
    assert moved.links[8:10] == cable(1, "port 0", 1e9, 0.0)


def test_the_name_says_the_limit():
    assert cs.limit_injection(star(), "5GB/s").name == "star:4 (injection 5 GB/s)"
    assert cs.limit_injection(star(), "1GB/s,2GB/s,3GB/s,4GB/s").name == "star:4 (injection 1 GB/s to 4 GB/s)"


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (0, "injection must be positive, got 0"),
        ("-1GB/s", "injection must be positive, got '-1GB/s'"),
        ("nan", "injection 'nan' is not a quantity"),
        ("50 GBs", "has the unknown unit 'GBs'"),
        ([1, 2], "must be one bandwidth, or one for each of 4 ranks, got 2"),
        ("1GB/s,2GB/s,,1", "injection '' is not a quantity"),
        ({}, "injection must be a number or text"),
    ],
)
def test_a_wrong_injection_limit_is_refused(value, part):
    with pytest.raises(cs.InputError) as refused:
        cs.load_topology(star(), injection=value)
    assert part in str(refused.value)
    with pytest.raises(cs.InputError, match="has a switch 'port 0' already"):
        cs.limit_injection(cs.limit_injection(star(), 1), 1)
    with pytest.raises(cs.InputError, match="must be a Topology, got str"):
        cs.limit_injection("star:4", 1)

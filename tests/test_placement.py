"""Which rank sits where."""

from __future__ import annotations

import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.placement import PLACEMENTS
from collsim.topology import Topology, cable

SPEED = 1e10


def two_leaves(spines=1):
    """Two leaf switches with four ranks each; every link has 10 GB/s and no latency."""
    return cs.leaf_spine(2, 4, spines=spines, bandwidth=SPEED, latency=0)


def places(net, changed):
    """The place where each rank sits, found by comparing the ends of links alone."""
    found = {}
    for old, new in zip(net.links, changed.links, strict=True):
        for before, after in ((old.tail, new.tail), (old.head, new.head)):
            assert isinstance(before, int) == isinstance(after, int)
            if isinstance(before, int):
                assert found.setdefault(after, before) == before
            else:
                assert before == after
    return [found[rank] for rank in range(changed.ranks)]


NETWORKS = [
    two_leaves(3),
    cs.torus("3x4", bandwidth=SPEED, latency=1e-6),
    cs.rail(3, 4, bandwidth=SPEED, latency=1e-6),
    cs.reroute(two_leaves(3), "spread"),
    cs.limit_injection(cs.ring(6, SPEED, 0), 1e9),
]


@settings(max_examples=40)
@given(st.sampled_from(NETWORKS), st.data())
def test_links_routes_and_groups_follow_the_ranks(net, data):
    order = data.draw(st.permutations(range(net.ranks)))
    changed = cs.place(net, order)
    assert places(net, changed) == order
    assert [(link.bandwidth, link.latency) for link in changed.links] == [
        (link.bandwidth, link.latency) for link in net.links
    ]
    for src, dst in itertools.permutations(range(net.ranks), 2):
        assert changed.routes(src, dst) == net.routes(order[src], order[dst])
    assert [{order[rank] for rank in group} for group in changed.groups] == [set(group) for group in net.groups]
    if order != list(range(net.ranks)):
        assert changed.placement == ",".join(map(str, order))
        assert changed.name.startswith(net.name.removesuffix(")"))
        assert "placement" in changed.name
    again = pickle.loads(pickle.dumps(changed))
    assert again.route(0, 1) == changed.route(0, 1)


def test_linear_changes_nothing():
    net = two_leaves()
    assert cs.place(net, "linear") is net
    assert cs.place(net, range(8)) is net
    assert net.placement == "linear"


def test_round_robin_gives_every_group_one_rank_in_turn():
    net = two_leaves()
    changed = cs.place(net, "round_robin")
    assert places(net, changed) == [0, 4, 1, 5, 2, 6, 3, 7]
    assert changed.groups == ((0, 2, 4, 6), (1, 3, 5, 7))
    assert (changed.name, changed.placement) == (f"{net.name} (placement round-robin)", "round-robin")
    # Groups of different sizes: whoever has no more is passed over.
    links = [link for rank in range(6) for link in cable(rank, "aaabbc"[rank], 1, 0)]
    links += [link for leaf in "abc" for link in cable(leaf, "top", 1, 0)]
    uneven = Topology("uneven", 6, links)
    assert places(uneven, cs.place(uneven, "round-robin")) == [0, 3, 5, 1, 4, 2]


def test_random_needs_its_seed_and_repeats_with_it():
    net = cs.ring(30, SPEED, 0)
    orders = [places(net, cs.place(net, f"random:{seed}")) for seed in (7, 7, 8)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(order) == list(range(30)) != order for order in orders)
    assert places(net, cs.place(net, "random:seed=7")) == orders[0]
    # Every rank gets everywhere: over 200 seeds rank 0 sits on each of 4 places in a quarter of the draws.
    small = cs.ring(4, SPEED, 0)
    where = [places(small, cs.place(small, f"random:{seed}"))[0] for seed in range(200)]
    assert all(30 < where.count(spot) < 70 for spot in range(4))


def test_a_list_may_leave_places_out_and_have_ranges():
    net = cs.ring(8, SPEED, 0)
    assert places(net, cs.place(net, "0,4,1,5")) == [0, 4, 1, 5, 2, 3, 6, 7]
    assert places(net, cs.place(net, "4-6, 0")) == [4, 5, 6, 0, 1, 2, 3, 7]
    assert places(net, cs.place(net, (7,))) == [7, 0, 1, 2, 3, 4, 5, 6]
    # Three ranks on three neighbours of a ring of 8: nobody else takes part.
    few = cs.load_topology(net, 3, placement=[5, 6, 7])
    assert few.route_latency(0, 1) == 0
    assert len(few.route(0, 2)) == 2


def test_a_placement_of_a_placement_is_both():
    net = cs.ring(4, SPEED, 0)
    twice = cs.place(cs.place(net, "1,2,3,0"), "1,2,3,0")
    assert places(net, twice) == [2, 3, 0, 1]
    assert twice.placement == "1,2,3,0, then 1,2,3,0"


def test_a_long_list_is_short_in_the_name_and_whole_in_the_placement():
    net = cs.ring(40, SPEED, 0)
    changed = cs.place(net, range(39, -1, -1))
    assert len(changed.name) < 80
    assert changed.placement.count(",") == 39


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ("round-robbin", "unknown placement 'round-robbin'; did you mean 'round-robin'?"),
        ("", "unknown placement ''"),
        ("random", "a random placement needs its seed, such as random:7"),
        ("random:", "a random placement needs its seed"),
        ("random:x", "the seed of a random placement must be a whole number of at least 0, got 'x'"),
        ("linear:3", "placement 'linear' takes nothing after it, got '3'"),
        ("0,1,8", "place 8 does not exist: topology 'ring:8' has 0-7"),
        ("0,1,1", "place 1 is given to two ranks"),
        ("0,1,x", "a place must be a whole number of at least 0, got 'x'"),
        ("0,,1", "a place must be a whole number of at least 0, got ''"),
        ("3-1", "a range of places must go upwards, such as 0-3, got '3-1'"),
        ("-1,0", "unknown placement '-1,0'"),
        ([0, -1], "a place must be a whole number of at least 0, got -1"),
        ([0, 1.5], "a place must be a whole number of at least 0, got 1.5"),
        ([0, True], "a place must be a whole number of at least 0, got True"),
        (5, "a placement must be a name such as 'round-robin' or a list of places, got 5"),
    ],
)
def test_a_wrong_placement_is_refused_in_one_line(how, part):
    with pytest.raises(cs.InputError) as refused:
        cs.place(cs.ring(8, SPEED, 0), how)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_list_has_a_place_for_every_rank_that_is_used():
    net = cs.ring(8, SPEED, 0)
    with pytest.raises(cs.InputError, match="placement '0,1' has 2 places for the 3 ranks asked for"):
        cs.load_topology(net, 3, placement="0,1")
    assert cs.load_topology(net, 2, placement="0,1").ranks == 8
    with pytest.raises(cs.InputError, match="must be a Topology, got str"):
        cs.place("ring:8", "linear")


@pytest.mark.parametrize("how", ["0-99999999999999", "5-99999999999999", "99999999999-99999999999999"])
def test_a_range_far_too_long_is_refused_without_writing_it_down(how):
    with pytest.raises(cs.InputError, match=r"place \d+ does not exist: topology '.*' has 0-7"):
        cs.place(two_leaves(1), how)


def test_an_unknown_placement_names_those_that_there_are_and_lists():
    known = r"known: linear, random, round-robin, the places of the ranks, such as 0,4,1,5\)"
    with pytest.raises(cs.InputError, match=known):
        cs.place(two_leaves(1), "roundrobin")


# What it does to a ring


@pytest.mark.parametrize(
    ("spines", "placement", "crossing", "slowdown"),
    [
        # 8 ranks in a ring, 14 rounds, in each of which rank i sends S/8 to rank i + 1.
        # In order, only 3 -> 4 and 7 -> 0 cross; every message has all of its links for itself.
        (1, "linear", 2, 1),
        # In turn, all cross: the four messages that leave a leaf share its one uplink ...
        (1, "round-robin", 8, 4),
        # ... or two of them each of its two uplinks (the spine is the destination's place mod 2).
        (2, "round-robin", 8, 2),
        # Mixed up within each leaf: again 3 -> 4 and 7 -> 0 alone.
        (1, [0, 2, 1, 3, 4, 6, 5, 7], 2, 1),
        # Pairs: 1 -> 2, 3 -> 4, 5 -> 6 and 7 -> 0 cross, two in each direction.
        (1, [0, 1, 4, 5, 2, 3, 6, 7], 4, 2),
    ],
)
def test_the_time_of_a_ring_follows_from_what_crosses(spines, placement, crossing, slowdown):
    size = 8_000_000
    schedule = cs.make_schedule("all_reduce", "ring", ranks=8)
    net = cs.load_topology(two_leaves(spines), placement=placement)
    result = cs.simulate(schedule, net, size)
    assert result.time == pytest.approx(14 * (size / 8) / SPEED * slowdown, rel=1e-9)
    assert result.messages_between_groups == 14 * crossing
    assert result.bytes_between_groups == 14 * crossing * size / 8


def test_every_placement_of_the_table_has_an_example_that_works():
    for entry in PLACEMENTS.values():
        assert sorted(places(NETWORKS[0], cs.place(NETWORKS[0], entry.example))) == list(range(8))

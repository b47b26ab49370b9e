"""Lower bounds hold: nothing that is simulated is faster."""

from __future__ import annotations

import networkx as nx
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collsim as cs

RANKS = (1, 2, 3, 4, 5, 8, 13, 16)
NETWORKS = {
    "alpha-beta": lambda ranks: {"alpha": 5e-6, "beta": 1e-10},
    **{
        f"{model} {shape}": lambda ranks, shape=shape, model=model: {
            "topology": getattr(cs, shape)(ranks, "10GB/s", "2.5us"),
            "model": model,
        }
        for model in ("alpha-beta", "maxmin")
        for shape in ("star", "full", "ring")
    },
}


def assert_bound_holds(result):
    assert result.bound.seconds <= result.time * (1 + 1e-12), result.bound.reason
    assert result.bound.reason
    assert 0 <= result.efficiency <= 1 + 1e-12


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_no_algorithm_beats_the_bound(algorithm, network, rng):
    for ranks in RANKS:
        schedule = cs.make_schedule("all_reduce", algorithm, ranks=ranks)
        settings = NETWORKS[network](ranks)
        for nbytes in (0, 1, 4096, 10**9):
            for gamma in (0.0, 3e-10):
                offsets = [None, rng.random(ranks) * rng.choice([1e-6, 1e-1])]
                for starts in offsets if ranks > 1 else [None]:
                    ordering = str(rng.choice(["step", "dataflow"]))
                    assert_bound_holds(
                        cs.simulate(schedule, nbytes=nbytes, gamma=gamma, offsets=starts, ordering=ordering, **settings)
                    )


@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_no_algorithm_beats_the_bound_on_an_uneven_network(ranks, seed):
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph(name="uneven")
    for a in range(ranks):
        for b in range(a + 1, ranks + 2):
            if b == a + 1 or rng.random() < 0.5:
                for pair in ((a, b), (b, a)):
                    ends = [node if node < ranks else f"s{node}" for node in pair]
                    graph.add_edge(*ends, bandwidth=rng.uniform(1, 9), latency=rng.uniform(0, 9))
    algorithm = rng.choice(oracles.ALL_REDUCE)
    used = int(rng.integers(2, ranks + 1))  # the others are there, and messages may pass through them
    schedule = cs.make_schedule("all_reduce", algorithm, ranks=used)
    for model in ("maxmin", "alpha-beta"):
        for ordering in ("step", "dataflow"):
            offsets = rng.uniform(0, 20, used)
            assert_bound_holds(
                cs.simulate(
                    schedule, graph, nbytes=60, model=model, gamma=rng.uniform(0, 3), offsets=offsets, ordering=ordering
                )
            )


def bound(ranks=4, nbytes=0, **settings):
    schedule = cs.make_schedule("all_reduce", "ring", ranks=ranks)
    return cs.simulate(schedule, nbytes=nbytes, **settings).bound


def test_the_bound_is_reached_where_latency_and_work_cost_nothing():
    for settings in ({"alpha": 0, "beta": 1e-10}, {"topology": cs.star(8, "10GB/s", 0)}):
        result = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=8), nbytes=8_000_000, **settings)
        # 2 (K-1)/K n b: a bound any higher would be wrong, and the check above would see it.
        assert result.bound.seconds == pytest.approx(2 * 7 / 8 * 8e6 * 1e-10, rel=1e-12)
        assert result.efficiency == pytest.approx(1, rel=1e-12)
    too_high = type(result)(**{**result.__dict__, "bound": type(result.bound)(result.time * 1.000001, "wrong")})
    with pytest.raises(AssertionError, match="wrong"):
        assert_bound_holds(too_high)


@pytest.mark.parametrize(
    ("settings", "seconds", "reason"),
    [
        # K = 4 throughout; alpha 5 s unless said.
        ({"alpha": 5, "beta": 0}, 5, "heard of one latency later"),
        ({"alpha": 5, "beta": 0, "offsets": [0, 9, 0, 0]}, 9 + 5, "the last rank to start"),
        ({"alpha": 5, "beta": 1, "nbytes": 8}, 5 + 2 * 3 / 4 * 8, "2(K-1)n bytes together"),
        ({"alpha": 5, "beta": 1, "nbytes": 8, "gamma": 10}, 5 + 3 / 4 * 8 * 10, "add (K-1)n bytes together"),
    ],
)
def test_each_bound_by_hand(settings, seconds, reason):
    found = bound(**settings)
    assert found.seconds == pytest.approx(seconds, rel=1e-12)
    assert reason in found.reason


def test_the_slowest_link_bounds_where_it_is_far_slower():
    star = cs.star(4, 8.0, 1.0)
    links = [cs.Link(link.tail, link.head, 1.0 if link.tail == 2 else 8.0, 1.0) for link in star.links]
    found = bound(nbytes=80, topology=cs.Topology("one slow rank", 4, links))
    assert found.seconds == pytest.approx(2 + 80 / 1, rel=1e-12)
    assert found.reason == "the slowest rank must send n bytes"


def test_one_rank_has_nothing_to_do():
    assert bound(ranks=1, nbytes=10**9, alpha=1, beta=1).seconds == 0


def test_a_rank_with_several_links_can_use_all_of_them_but_one_port_only():
    full = cs.full(4, 1.0, 1.0)
    # Three links of 1 B/s in and out of each rank: 12 B/s together. Under alpha-beta one message at a time.
    assert bound(nbytes=8, topology=full).seconds == pytest.approx(1 + 2 * 3 * 8 / 12, rel=1e-12)
    assert bound(nbytes=8, topology=full, model="alpha-beta").seconds == pytest.approx(1 + 2 * 3 * 8 / 4, rel=1e-12)

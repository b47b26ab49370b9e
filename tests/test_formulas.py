"""Closed forms are oracles: what the engines give must be what theory says."""

from __future__ import annotations

import math

import oracles
import pytest

import collsim as cs
from collsim.catalog import get_algorithm
from collsim.formulas import Formula

ALPHA, BETA = 5e-6, 1e-10
SIZES = (1001, 4_000_000_007)
GAMMAS = (0.0, 0.4 * BETA, 3 * BETA)  # none, cheaper and dearer than the wire
CLOSE = {"rel": 1e-9, "abs": 0}


# Written out once more, by hand and in plain Python, so that the table's formulas are tested too.
BY_HAND = {
    "naive": lambda k, s, g: 2 * ALPHA + (k - 1) * s * BETA + s * BETA + s * g + (k - 2) * s * max(BETA, g),
    "tree": lambda k, s, g: 2 * math.ceil(math.log2(k)) * (ALPHA + s * BETA) + math.ceil(math.log2(k)) * s * g,
    "ring": lambda k, s, g: (k - 1) * (2 * (ALPHA + s / k * BETA) + s / k * g),
}


def schedule_of(algorithm, ranks):
    return cs.make_schedule("all_reduce", algorithm, ranks=ranks)


@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_stepwise_gives_the_closed_form_for_1_to_64_ranks(algorithm):
    formula = get_algorithm("all_reduce", algorithm).time
    for ranks in range(1, 65):
        schedule = schedule_of(algorithm, ranks)
        size = SIZES[ranks % 2]
        for gamma in GAMMAS:
            result = cs.simulate(schedule, alpha=ALPHA, beta=BETA, gamma=gamma, nbytes=size, engine="stepwise")
            by_hand = BY_HAND[algorithm](ranks, size, gamma) if ranks > 1 else 0.0
            assert result.time == pytest.approx(by_hand, **CLOSE)
            assert formula(ranks, size, ALPHA, BETA, gamma) == pytest.approx(by_hand, **CLOSE)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 8, 17, 33, 64])
@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_events_gives_the_closed_form(algorithm, ranks):
    schedule = schedule_of(algorithm, ranks)
    formula = get_algorithm("all_reduce", algorithm).time
    for gamma in GAMMAS[: 1 if ranks > 20 else 3]:
        result = cs.simulate(schedule, alpha=ALPHA, beta=BETA, gamma=gamma, nbytes=1001, engine="events")
        assert result.time == pytest.approx(formula(ranks, 1001, ALPHA, BETA, gamma), **CLOSE)


def test_a_ring_of_4_gigabytes_takes_what_the_book_says():
    for ranks in range(2, 65):
        result = cs.simulate(schedule_of("ring", ranks), alpha="5us", beta="0.1ns/B", nbytes="4GB")
        assert result.time == pytest.approx(2 * (ranks - 1) * (5e-6 + 4e9 / ranks * 1e-10), **CLOSE)


@pytest.mark.parametrize("ranks", [*range(2, 17), 23, 32, 33, 47, 64])
def test_a_ring_on_a_star_with_fair_shares_takes_the_same(ranks):
    # No two messages of a step share a link, and two links of 2.5 us make 5 us from end to end.
    star = cs.star(ranks, bandwidth="10GB/s", latency="2.5us")
    result = cs.simulate(schedule_of("ring", ranks), star, nbytes="4GB", model="maxmin")
    assert result.time == pytest.approx(2 * (ranks - 1) * (5e-6 + 4e9 / ranks * 1e-10), **CLOSE)


@pytest.mark.parametrize("ranks", [2, 3, 4, 5, 7, 8, 16, 33, 64])
def test_a_tree_on_a_star_with_fair_shares_takes_the_same(ranks):
    star = cs.star(ranks, bandwidth="10GB/s", latency="2.5us")
    result = cs.simulate(schedule_of("tree", ranks), star, nbytes="4GB", model="maxmin", gamma="0.3ns/B")
    expected = math.ceil(math.log2(ranks)) * (2 * (5e-6 + 0.4) + 4e9 * 0.3e-9)
    assert result.time == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("ranks", [*range(2, 18), 23, 32, 33, 47, 64])
def test_naive_on_a_star_shows_the_incast_at_the_root(ranks):
    star = cs.star(ranks, bandwidth="10GB/s", latency="2.5us")
    result = cs.simulate(schedule_of("naive", ranks), star, nbytes="4GB", model="maxmin")
    assert result.time == pytest.approx(2 * (5e-6 + (ranks - 1) * 4e9 * 1e-10), **CLOSE)
    # All share the root's link until the end, in either direction: they finish together.
    half = result.time / 2
    assert result.timeline.finish[: ranks - 1] == pytest.approx([half] * (ranks - 1), **CLOSE)
    assert result.timeline.finish[ranks - 1 :] == pytest.approx([2 * half] * (ranks - 1), **CLOSE)


@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_a_wrong_closed_form_would_be_noticed(algorithm):
    result = cs.simulate(schedule_of(algorithm, 5), alpha=ALPHA, beta=BETA, nbytes=1001)
    for wrong in (BY_HAND[algorithm](9, 1001, 0.0), BY_HAND[algorithm](5, 1002, 0.0), result.time * (1 + 1e-8)):
        assert result.time != pytest.approx(wrong, **CLOSE)


def test_a_formula_is_text_that_can_be_read_and_evaluated():
    formula = Formula("lg(K)*(a + n*b) + max(0, g)", "made up")
    assert str(formula) == "lg(K)*(a + n*b) + max(0, g)"
    assert formula(5, nbytes=10, alpha=1.0, beta=2.0, gamma=0.5) == 3 * (1 + 20) + 0.5
    assert formula(1, nbytes=10, alpha=1.0) == 0.0


@pytest.mark.parametrize(("ranks", "rounds"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (1024, 10), (1025, 11)])
def test_lg_is_the_logarithm_rounded_up(ranks, rounds):
    assert Formula("lg(K)")(ranks) == rounds


def test_a_formula_can_reach_nothing_but_its_letters_and_functions():
    for text in ("__import__('os')", "open('x')", "x"):
        with pytest.raises(NameError):
            Formula(text)(2)

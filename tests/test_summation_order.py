"""In which order algorithms add: it decides the last bits, which are compared here in float32, not approximately."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import collsim as cs

COUNTS = (*range(1, 34), 64, 100, 128)
# Agreement is a statement about every vector; a difference needs only one, and these are long enough to have it.
ELEMENTS = 301


def vectors(ranks: int) -> np.ndarray:
    return np.random.default_rng(ranks).normal(size=(ranks, ELEMENTS)).astype(np.float32)


@functools.cache
def bits(name: str, ranks: int, **options: str) -> np.ndarray:
    """Return what every rank ends with, as integers: 0.0 and -0.0 are not the same bits."""
    return cs.execute(cs.make_schedule("all_reduce", name, ranks, **options), vectors(ranks)).view(np.uint32)


def test_the_data_tell_orders_apart():
    x = vectors(8)
    forth, back = np.add.accumulate(x)[-1], np.add.accumulate(x[::-1])[-1]
    assert not np.array_equal(forth, back)


@pytest.mark.parametrize("fold", ["mpich", "openmpi"])
@pytest.mark.parametrize("ranks", COUNTS)
def test_rabenseifner_adds_in_the_order_of_recursive_doubling(ranks, fold):
    assert np.array_equal(bits("halving_doubling", ranks, fold=fold), bits("recursive_doubling", ranks))


@pytest.mark.parametrize("ranks", COUNTS)
def test_recursive_doubling_is_a_balanced_tree_over_folded_pairs(ranks):
    power = 1 << (ranks.bit_length() - 1)
    folded = ranks - power
    level = list(vectors(ranks))
    level = [level[2 * i] + level[2 * i + 1] for i in range(folded)] + level[2 * folded :]
    while len(level) > 1:
        level = [left + right for left, right in zip(level[::2], level[1::2], strict=True)]
    assert np.array_equal(bits("recursive_doubling", ranks)[0], level[0].view(np.uint32))


# Counts with ones in front of zeros in binary; the reference names the powers of two, 3, 6, 7, 12 and 5, 11, 13, 17.
SAME_TREE = {1, 2, 3, 4, 6, 7, 8, 12, 14, 15, 16, 24, 28, 30, 31, 32, 64, 128}


@pytest.mark.parametrize("ranks", COUNTS)
def test_binomial_adds_in_the_order_of_recursive_doubling_for_some_counts_only(ranks):
    assert np.array_equal(bits("tree", ranks), bits("recursive_doubling", ranks)) == (ranks in SAME_TREE)


@pytest.mark.parametrize("ranks", COUNTS)
def test_ring_adds_block_b_from_rank_b_on(ranks):
    x = vectors(ranks)
    expected = []
    for block, columns in enumerate(np.array_split(np.arange(ELEMENTS), ranks)):
        total = x[block, columns]
        for distance in range(1, ranks):
            total = total + x[(block + distance) % ranks, columns]
        expected.append(total)
    assert np.array_equal(bits("ring", ranks)[0], np.concatenate(expected).view(np.uint32))


@pytest.mark.parametrize("ranks", COUNTS[1:])
def test_ring_adds_in_the_order_of_recursive_doubling_for_two_ranks_only(ranks):
    assert np.array_equal(bits("ring", ranks), bits("recursive_doubling", ranks)) == (ranks == 2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ring", {}),
        ("recursive_doubling", {}),
        ("halving_doubling", {"fold": "mpich"}),
        ("halving_doubling", {"fold": "openmpi"}),
        ("bine", {}),
        ("hierarchical", {}),
        ("torus", {}),
        ("torus_bucket", {}),
        ("parameter_server", {}),
        ("sharded_parameter_server", {}),
    ],
)
@pytest.mark.parametrize("ranks", COUNTS)
def test_all_ranks_get_the_same_bits(name, options, ranks):
    result = bits(name, ranks, **options)
    assert (result == result[0]).all()


@pytest.mark.parametrize("ranks", [ranks for ranks in COUNTS if ranks % 2 == 0])
def test_all_ranks_get_the_same_bits_from_swing(ranks):
    result = bits("swing", ranks)
    assert (result == result[0]).all()


@pytest.mark.parametrize("name", ["swing", "bine"])
@pytest.mark.parametrize("ranks", [2, 4, 8, 16, 32, 64])
def test_ranks_differ_in_the_last_bits_when_who_met_whom_differs(name, ranks):
    result = bits(name, ranks, form="latency")
    assert (result == result[0]).all() == (ranks < 8)

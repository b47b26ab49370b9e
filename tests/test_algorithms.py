"""Every line of the table of algorithms: proved, executed, and held to its stated figures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import collsim as cs
from collsim.algorithms.table import ADMITS, TABLE, VECTOR_FORMS, Algorithm

COUNTS = (*range(1, 34), 64, 100, 128, 255)
COUNTS_WITH_OPTIONS = (*range(1, 18), 24, 29, 31, 32, 33, 64)  # options are tried around powers of two and primes
LARGE = 64  # from here on the defaults, one size: time and memory grow with the cube of this
ALPHA, BETA = 5e-6, 1e-10
GAMMAS = (0.0, 0.05e-9, 0.3e-9)  # nothing, less and more than beta
NBYTES = 4_000_000


def variants(row: Algorithm) -> tuple[dict[str, Any], ...]:
    return ({}, *(dict(variant) for variant in row.variants))


CASES = [
    (row, variant, ranks)
    for row in TABLE
    for variant in variants(row)
    for ranks in (COUNTS_WITH_OPTIONS if variant else COUNTS)
]
ADMITTED = [case for case in CASES if ADMITS[case[0].admits](case[2])]
REFUSED = [case for case in CASES if not ADMITS[case[0].admits](case[2])]


def name(case: tuple[Algorithm, dict[str, Any], int]) -> str:
    row, variant, ranks = case
    return "-".join([row.collective, row.name, *(f"{key}={value}" for key, value in variant.items()), str(ranks)])


def make(row: Algorithm, variant: dict[str, Any], ranks: int) -> cs.Schedule:
    """Build a schedule; options that are ranks or lists of them are cut to what exists."""
    options = fit(variant, ranks)
    if row.collective == "all_to_allv":
        options = {**options, "counts": [[(3 * src + 5 * dst) % 4 for dst in range(ranks)] for src in range(ranks)]}
    elif row.collective.removesuffix("v") in VECTOR_FORMS and row.collective.endswith("v"):
        options = {**options, "counts": [(3 * rank + 2) % 5 for rank in range(ranks)]}
    return cs.make_schedule(row.collective, row.name, ranks, **options)


def fit(variant: dict[str, Any], ranks: int) -> dict[str, Any]:
    return {**variant, "root": variant["root"] % ranks} if "root" in variant else variant


def expected(schedule: cs.Schedule, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the collective promises, worked out by numpy, and where it promises anything."""
    ranks, elements = x.shape
    name, options = schedule.collective.name, schedule.collective.options
    root = options.get("root", 0)
    counts = options.get("counts")
    base, longer = divmod(elements, ranks)
    parts = counts if counts is not None and name != "all_to_allv" else [base + (r < longer) for r in range(ranks)]
    edges = [0, *itertools.accumulate(parts)]
    own = np.zeros((ranks, elements), dtype=bool)
    for rank in range(ranks):
        own[rank, edges[rank] : edges[rank + 1]] = True
    everywhere = np.ones_like(own)
    at_root = np.zeros_like(own)
    at_root[root] = True
    total = np.broadcast_to(x.sum(axis=0), x.shape)
    gathered = np.broadcast_to(np.where(own, x, 0).sum(axis=0), x.shape)
    at_root_row = np.broadcast_to(x[root], x.shape)
    plain = name.removesuffix("v") if name.endswith("v") and name != "send_recv" else name
    if plain == "all_to_all":
        return all_to_all(x, counts)
    if plain == "send_recv":
        to = options.get("to", [(rank + 1) % ranks for rank in range(ranks)])
        moved = np.empty_like(x)
        moved[to] = x
        return moved, everywhere
    return {
        "all_reduce": (total, everywhere),
        "reduce": (total, at_root),
        "reduce_scatter": (total, own),
        "broadcast": (at_root_row, everywhere),
        "scatter": (at_root_row, own),
        "all_gather": (gathered, everywhere),
        "gather": (gathered, at_root),
        "scan": (np.cumsum(x, axis=0), everywhere),
        "exscan": (np.cumsum(x, axis=0) - x, everywhere & (np.arange(ranks) > 0)[:, None]),
    }[plain]


def all_to_all(x: np.ndarray, counts: list[list[int]] | None) -> tuple[np.ndarray, np.ndarray]:
    ranks, elements = x.shape
    if counts is None:
        base, longer = divmod(elements, ranks)
        counts = [[base + ((dst - src) % ranks < longer) for dst in range(ranks)] for src in range(ranks)]
    edges = [[0, *itertools.accumulate(row)] for row in counts]
    rows = [np.concatenate([x[src, e[dst] : e[dst + 1]] for src, e in enumerate(edges)]) for dst in range(ranks)]
    width = max(elements, *(len(row) for row in rows))
    out = np.zeros((ranks, width), dtype=x.dtype)
    there = np.zeros((ranks, width), dtype=bool)
    for rank, row in enumerate(rows):
        out[rank, : len(row)] = row
        there[rank, : len(row)] = True
    return out, there


def sizes(schedule: cs.Schedule) -> Iterator[int]:
    ranks = schedule.ranks
    if schedule.collective.name == "barrier":
        return iter((0,))
    counts = schedule.collective.options.get("counts")
    if counts is not None:
        return iter((int(np.array(counts).sum(axis=-1).max()),))
    all_sizes = (0, 1, ranks - 1, ranks, ranks + 1, 3 * ranks + 2)
    return iter(all_sizes if ranks < LARGE else (ranks + 1,))


def test_the_generated_cases_are_complete():
    assert len({(row.collective, row.name) for row in TABLE}) == len(TABLE)
    with_options = len(COUNTS_WITH_OPTIONS) * sum(len(row.variants) for row in TABLE)
    assert len(ADMITTED) + len(REFUSED) == len(COUNTS) * len(TABLE) + with_options
    assert {case[0].name for case in ADMITTED} == {row.name for row in TABLE}
    assert {case[2] for case in ADMITTED if case[0].admits == "any"} == set(COUNTS)


@pytest.mark.parametrize("case", ADMITTED, ids=name)
def test_an_algorithm_keeps_its_promise_and_its_stated_figures(case):
    row, variant, ranks = case
    schedule = make(row, variant, ranks)
    cs.verify(schedule)

    rng = np.random.default_rng(ranks)
    for elements in sizes(schedule):
        x = rng.integers(-(2**40), 2**40, (ranks, elements))
        y = cs.execute(schedule, x)
        if schedule.collective.name != "barrier":
            values, promised = expected(schedule, x)
            assert np.array_equal(y[promised], values[promised])

    options = {**row.options, **fit(variant, ranks)}
    nbytes = NBYTES if schedule.collective.shares(ranks, schedule.chunks).any() else 0
    payload = schedule.message_bytes(nbytes)
    sent = np.bincount(schedule.src, weights=payload, minlength=ranks)
    assert schedule.steps == row.steps(ranks, nbytes, **options)
    if row.wire is not None:
        assert payload.sum() == pytest.approx(row.wire(ranks, nbytes, **options), rel=1e-12, abs=1e-6)
        stated = row.sent(ranks, nbytes, **options)
        assert math.isnan(stated) or sent.max(initial=0) == pytest.approx(stated, rel=1e-12, abs=1e-6)
    if row.time is not None:
        for gamma in GAMMAS if ranks <= 17 else GAMMAS[ranks % 3 :][:1]:
            stated = row.time(ranks, nbytes, ALPHA, BETA, gamma, **options)
            result = cs.simulate(schedule, alpha=ALPHA, beta=BETA, gamma=gamma, nbytes=nbytes)
            if not math.isnan(stated):
                assert result.time == pytest.approx(stated, rel=1e-9, abs=1e-18)
            assert result.time >= result.bound.seconds * (1 - 1e-12)


@pytest.mark.parametrize("case", REFUSED, ids=name)
def test_a_number_of_ranks_that_is_not_admitted_is_refused_with_advice(case):
    row, variant, ranks = case
    with pytest.raises(cs.InputError, match=rf"{ranks}.*(use|instead)"):
        make(row, variant, ranks)

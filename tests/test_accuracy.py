"""How exact a result is: for every collective, against what its promise says, worked out by hand here."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import oracles
import pytest

import collsim as cs
from collsim import accuracy
from collsim.accuracy import CHECKED_DTYPES, check, exact_sums
from collsim.algorithms.table import ADMITS, TABLE
from collsim.schedule import Op

ADDING = {"all_reduce", "reduce", "reduce_scatter", "reduce_scatterv", "scan", "exscan"}
COUNTS = {5: [3, 0, 4, 0, 2], 4: [3, 0, 4, 2]}
TABLES = {k: [[(3 * src + 5 * dst) % 4 for dst in range(k)] for src in range(k)] for k in COUNTS}


def schedule_of(row, ranks):
    options = {}
    if row.collective == "all_to_allv":
        options = {"counts": TABLES[ranks]}
    elif "counts" in row.options:
        options = {"counts": COUNTS[ranks]}
    return cs.make_schedule(row.collective, row.name, ranks, **options)


def elements_of(schedule):
    counts = schedule.collective.options.get("counts")
    if schedule.collective.name == "barrier":
        return 0
    return 13 if counts is None else int(np.array(counts).sum(axis=-1).max())


CASES = [(row, ranks) for row in TABLE for ranks in COUNTS if ADMITS[row.admits](ranks)]
# The default type on all numbers of ranks, every other on one.
TYPED = [
    (row, ranks, dtype)
    for row, ranks in CASES
    for dtype in CHECKED_DTYPES
    if dtype == "float32" or ranks == 5 or not ADMITS[row.admits](5)
]


def test_the_cases_are_complete():
    assert {row.collective for row, _ in CASES} == set(cs.collectives.COLLECTIVES)
    assert {row.name for row, _ in CASES} == {row.name for row in TABLE}
    assert {(row.name, dtype) for row, _, dtype in TYPED} == set(product({r.name for r in TABLE}, CHECKED_DTYPES))


@pytest.mark.parametrize(
    ("row", "ranks", "dtype"), TYPED, ids=[f"{r.collective}-{r.name}-{k}-{dtype}" for r, k, dtype in TYPED]
)
def test_every_algorithm_of_every_collective_passes(row, ranks, dtype):
    schedule = schedule_of(row, ranks)
    elements = elements_of(schedule)
    report = check(schedule, elements * np.dtype(dtype).itemsize, dtype=dtype)
    assert report.passed, report.fault
    assert report.verified
    assert report.within_bound
    assert (report.elements, report.dtype) == (elements, dtype)
    if row.collective not in ADDING or not dtype.startswith("float"):
        # Copies and sums of integers are exact to the last bit.
        assert report.max_abs_error == report.relative_error == report.max_ulp == 0
        assert report.ranks_agree
    if row.collective == "all_reduce" and row.name in ("ring", "tree", "recursive_doubling", "halving_doubling"):
        assert report.ranks_agree


def fractions(x):
    """The exact value of each element: doubles are fractions."""
    return [[Fraction(float(value)) for value in vector] for vector in x]


def expected(name, x, root):
    """What each rank must end with, exactly; None where nothing is promised. Three ranks, six elements."""
    total = [sum(column) for column in zip(*x, strict=True)]
    nothing = [None] * 6
    return {
        "all_reduce": [total] * 3,
        "reduce": [total if rank == root else nothing for rank in range(3)],
        "reduce_scatter": [[total[i] if i // 2 == rank else None for i in range(6)] for rank in range(3)],
        "scan": [[sum(column[: rank + 1]) for column in zip(*x, strict=True)] for rank in range(3)],
        "exscan": [nothing] + [[sum(column[:rank]) for column in zip(*x, strict=True)] for rank in (1, 2)],
    }[name]


@pytest.mark.parametrize(
    ("collective", "algorithm", "options"),
    [
        ("all_reduce", "ring", {}),
        ("all_reduce", "tree", {"root": 1}),
        ("scan", "linear", {}),
        ("scan", "recursive_doubling", {}),
        ("exscan", "linear", {}),
        *((row.collective, row.name, {}) for row in TABLE if row.collective in ("reduce", "reduce_scatter")),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_figures_are_those_of_exact_fractions(collective, algorithm, options, dtype, monkeypatch):
    if not ADMITS[cs.catalog.get_algorithm(collective, algorithm).admits](3):
        pytest.skip("not for three ranks")
    # Rounding that shows: terms of very different size, and a rank order that matters.
    x = np.array([[1e3, 0.1, 1, -7, 1 / 3, 2], [-1e3, 0.2, 1e-3, 7, 1 / 7, 2], [0.123, 0.3, 1e3, 1e-3, 1 / 9, 2]])
    x = x.astype(dtype)
    monkeypatch.setattr(accuracy, "_random_vectors", lambda *_: x)
    schedule = cs.make_schedule(collective, algorithm, 3, **options)
    y = cs.execute(schedule, x)
    report = check(schedule, 6 * x.itemsize, dtype=dtype)
    due = expected(collective, fractions(x), schedule.collective.options.get("root", 0))
    pairs = [
        [(Fraction(float(y[rank, i])), value) for i, value in enumerate(due[rank]) if value is not None]
        for rank in range(3)
    ]
    errors = [abs(got - want) for rank in pairs for got, want in rank]
    # Against fsum: the exact sum itself is rounded to a double.
    slack = 2.0**-53 * float(max(abs(want) for rank in pairs for _, want in rank))
    assert report.max_abs_error == pytest.approx(float(max(errors)), rel=1e-9, abs=slack)
    relative = [
        float(sum((got - want) ** 2 for got, want in rank)) ** 0.5 / float(sum(want**2 for _, want in rank)) ** 0.5
        for rank in pairs
        if rank
    ]
    assert report.relative_error == pytest.approx(max(relative), rel=1e-6, abs=4 * 2.0**-53)
    assert report.passed


def test_the_exact_sum_of_columns_is_rounded_once():
    x = np.array([[1e16, 1.0], [1.0, 2.0**-53], [-1e16, 2.0**-53]])
    assert exact_sums(x).tolist() == [1.0, 1.0 + 2.0**-52]
    assert exact_sums(np.zeros((3, 0))).tolist() == []


def test_many_columns_are_summed_in_blocks(monkeypatch):
    x = np.arange(30.0).reshape(3, 10)
    whole = exact_sums(x).tolist()
    monkeypatch.setattr(accuracy, "_BLOCK", 3)
    assert exact_sums(x).tolist() == whole == x.sum(axis=0).tolist()


def test_the_same_seed_gives_the_same_report_and_another_one_another():
    schedule = cs.make_schedule("all_reduce", "ring", ranks=5)
    one, again, other = (check(schedule, 4000, seed=seed) for seed in (3, "3", 4))
    assert one == again
    assert one != other


# Negative controls: a wrong result is not passed, whatever the proof says.


@pytest.fixture
def unproved(monkeypatch):
    """`check` without its proof: what the numbers alone tell."""
    monkeypatch.setattr(accuracy, "verify", lambda schedule: None)


CONTROLS = [(row, 5) for row in TABLE if row.collective != "barrier" and ADMITS[row.admits](5)]


@pytest.mark.parametrize(("row", "ranks"), CONTROLS, ids=[f"{row.collective}-{row.name}" for row, _ in CONTROLS])
def test_a_wrong_element_is_noticed_wherever_it_is(row, ranks, unproved, monkeypatch):
    schedule = schedule_of(row, ranks)
    elements = elements_of(schedule)
    promised = np.array(
        [
            np.pad(
                np.repeat(
                    schedule.collective.after(ranks, schedule.chunks, rank).any(axis=1),
                    schedule.collective.cut(ranks, schedule.chunks, elements)[
                        schedule.collective.outputs(ranks, schedule.chunks, rank)
                    ],
                ),
                (0, 99),
            )[:99]
            for rank in range(ranks)
        ]
    )
    places = np.argwhere(promised).tolist()
    assert places
    for rank, element in [*places[::4], places[-1]]:  # 4 and 13 elements: other places at every rank

        def wrong(schedule, x, rank=rank, element=element):
            y = cs.execute(schedule, x)
            y[rank, element] += 0.5
            return y

        monkeypatch.setattr(accuracy, "execute", wrong)
        report = check(schedule, elements * 4)
        assert report.fault == f"rank {rank}, element {element} is off by 0.5, more than rounding can explain"
        assert not report.within_bound
        assert report.verified
        assert report.max_abs_error == pytest.approx(0.5, rel=1e-5)


def test_what_is_not_a_number_is_a_fault(unproved, monkeypatch):
    def wrong(schedule, x):
        y = cs.execute(schedule, x)
        y[2, 7] = np.nan
        return y

    monkeypatch.setattr(accuracy, "execute", wrong)
    report = check(cs.make_schedule("all_reduce", "ring", ranks=4), 400)
    assert report.fault == "rank 2, element 7 is off by inf, more than rounding can explain"
    assert report.to_dict()["max_abs_error"] is None
    assert not report.ranks_agree


@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "broadcast"])
def test_ranks_that_differ_in_the_last_bit_do_not_agree(collective, monkeypatch):
    def differ(schedule, x):
        y = cs.execute(schedule, x)
        y[3, 0] = np.nextafter(y[3, 0], np.float32(9))
        return y

    monkeypatch.setattr(accuracy, "execute", differ)
    name = next(row.name for row in TABLE if row.collective == collective and ADMITS[row.admits](5))
    schedule = cs.make_schedule(collective, name, ranks=5)
    report = check(schedule, 400)
    assert not report.ranks_agree
    assert report.passed == (collective == "all_reduce")  # a copy must be exact, a sum need not


def test_groups_are_compared_within_each_group_only():
    of_two = cs.make_schedule("all_reduce", "ring", ranks=2)
    schedule = cs.on_groups(of_two, [[0, 2], [3, 1]], ranks=5)
    report = check(schedule, 400)
    assert report.passed
    assert report.ranks_agree


def test_a_scan_has_nothing_on_which_ranks_could_agree():
    assert check(cs.make_schedule("scan", "linear", ranks=5), 400).ranks_agree


FOUR = [row for row in TABLE if ADMITS[row.admits](4)]


@pytest.mark.parametrize("row", FOUR, ids=lambda row: f"{row.collective}-{row.name}")
def test_a_schedule_without_its_first_row_is_not_verified(row):
    schedule = schedule_of(row, 4)
    rows = list(range(1, len(schedule)))
    if row.collective == "barrier" and row.name == "double_ring":
        rows = rows[:-2]  # the token goes further than it must: twice round, from any rank, is enough
    report = check(oracles.with_rows(schedule, rows), elements_of(schedule) * 4)
    assert not report.passed
    assert not report.verified
    assert report.fault.startswith("not verified: ")


def test_a_sum_that_counts_a_rank_twice_fails_on_its_numbers_too(unproved):
    schedule = cs.make_schedule("all_reduce", "tree", ranks=4)
    rows = [0, *range(len(schedule))]
    assert schedule.op[0] == Op.REDUCE
    report = check(oracles.with_rows(schedule, rows), 400, dtype="int64")
    assert report.verified  # since it was not asked
    assert "more than rounding can explain" in report.fault
    assert not report.within_bound


def test_a_bound_that_says_nothing_is_no_fault(monkeypatch):
    # float16 has a unit roundoff of 2^-11: from 2049 terms on, gamma is no longer defined.
    terms = np.ones((2050, 1), dtype=np.float16)
    exact, bound, place = accuracy._exact(terms)
    assert exact.tolist() == [2050]
    assert bound.tolist() == [np.inf]
    assert place.tolist() == [2]


# What is refused


@pytest.mark.parametrize(
    ("collective", "algorithm", "options", "nbytes", "dtype", "reason"),
    [
        ("all_reduce", "ring", {}, 10, "float32", "size of 10 bytes is not a whole number of float32"),
        ("all_reduce", "ring", {}, 8, "bfloat32", "dtype must be one of float64, .* got 'bfloat32'"),
        (
            "all_gatherv",
            "ring",
            {"counts": [1, 2, 3]},
            28,
            "float32",
            "counts add up to 6 elements, the vectors have 7",
        ),
        ("barrier", "ring", {}, 8, "float32", "barrier moves no data: its size must be 0, got 8 bytes"),
    ],
)
def test_what_cannot_be_checked_is_refused(collective, algorithm, options, nbytes, dtype, reason):
    schedule = cs.make_schedule(collective, algorithm, ranks=3, **options)
    with pytest.raises(cs.InputError, match=reason):
        check(schedule, nbytes, dtype=dtype)


def test_vectors_that_do_not_fit_are_refused_with_the_numbers():
    schedule = cs.make_schedule("all_to_all", "pairwise", ranks=64)
    with pytest.raises(cs.InputError, match=r"4 TB on each of 64 ranks, would need about .* use a smaller size"):
        check(schedule, 4 * 10**12)


def test_a_barrier_is_checked_without_data():
    report = check(cs.make_schedule("barrier", "tree", ranks=5), 0)
    assert report.passed
    assert report.elements == 0
    assert replace(report, fault="x").passed is False

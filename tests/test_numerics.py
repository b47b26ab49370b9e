from __future__ import annotations

import json
from fractions import Fraction

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given

import collsim as cs
from collsim.algorithms.table import ADMITS
from collsim.catalog import ALGORITHMS
from collsim.cli import main
from collsim.rounding import DATA, DTYPES, SUMMING, get_format, summation_depth

ALL_REDUCE = [name for collective, name in ALGORITHMS if collective == "all_reduce"]
SMALL = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
# Reference: unit roundoff is 2^-digits (IEEE 754; OCP 8-bit floating point).
DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8, "float8_e4m3fn": 4, "float8_e5m2": 3}


def dtype_of(name):
    return np.dtype(name) if hasattr(np, name) else np.dtype(getattr(ml_dtypes, name))


def exactly(value):
    return Fraction(float(value))


@pytest.mark.parametrize("name", DTYPES)
def test_a_format_knows_its_digits_and_its_range(name):
    found = get_format(name)
    assert found.dtype == dtype_of(name)
    assert found.unit == 2.0 ** -DIGITS[name]
    one = np.ones((), found.dtype)
    below, above = (np.asarray(1 + factor * found.unit).astype(found.dtype) for factor in (1, 2))
    assert below == one  # half way between two neighbours: to the even one
    assert above != one
    assert np.asarray(found.largest).astype(found.dtype).astype(np.float64) == found.largest


@pytest.mark.parametrize("name", [name for name in DTYPES if name != "float64"])
def test_ulp_is_the_distance_to_the_next_number(name, rng):
    found = get_format(name)
    width = np.dtype(f"uint{8 * found.dtype.itemsize}")
    last = int(np.asarray(found.largest).astype(found.dtype).view(width))
    bits = np.arange(last) if last < 2**16 else np.unique(rng.integers(0, last, 5000))
    here, there = (numbers.astype(width).view(found.dtype).astype(np.float64) for numbers in (bits, bits + 1))
    assert found.ulp(here).tolist() == (there - here).tolist()
    assert found.ulp(-here).tolist() == (there - here).tolist()


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 13, 33])
def test_depth_of_known_orders(ranks):
    def depth(name):
        return int(summation_depth(cs.make_schedule("all_reduce", name, ranks)).max())

    assert depth("ring") == depth("naive") == ranks - 1
    assert depth("tree") == (ranks - 1).bit_length()


@given(oracles.schedules())
def test_depth_is_the_height_of_the_summation_tree(schedule):
    own = {(rank, chunk): 0 for rank in range(schedule.ranks) for chunk in range(schedule.chunks)}
    final = oracles.replay(schedule, own, lambda here, arriving: max(here, arriving) + 1)[-1]
    found = summation_depth(schedule)
    assert {(r, c): int(found[r, c]) for r in range(schedule.ranks) for c in range(schedule.chunks)} == final


# Every type with every kind of data, every type on three numbers of ranks.
BOUNDED = [(dtype, data, (2, 5, 8)[(i + j) % 3]) for i, dtype in enumerate(DTYPES) for j, data in enumerate(DATA)]


@pytest.mark.parametrize(("dtype", "data", "ranks"), BOUNDED)
def test_every_algorithm_stays_within_its_bound(ranks, dtype, data):
    rows = cs.numerics("all_reduce", ranks, dtype=dtype, data=data, elements=11)
    assert [row["algorithm"] for row in rows] == [
        name for name in ALL_REDUCE if ADMITS[ALGORITHMS["all_reduce", name].admits](ranks)
    ]
    for row in rows:
        assert 1 <= row["depth"] <= ranks - 1 or row["algorithm"] == "hierarchical"
        assert row["overflowed"] == 0
        bounded = row["depth"] * 2.0 ** -DIGITS[dtype] < 1
        assert (row["error_over_bound"] is not None) == (row["bound"] is not None) == bounded
        if bounded:
            assert 0 <= row["error_over_bound"] <= 1
            assert row["relative_error"] <= row["bound"]


def by_hand(records, x, y, depth):
    """Work the figures of a record out in exact arithmetic."""
    ranks, elements = x.shape
    number_format = get_format(records["dtype"])
    unit = Fraction(1, 2 ** DIGITS[records["dtype"]])
    exact = [sum((exactly(v) for v in x[:, i]), Fraction(0)) for i in range(elements)]
    size = [sum((abs(exactly(v)) for v in x[:, i]), Fraction(0)) for i in range(elements)]
    bound = [depth[i] * unit / (1 - depth[i] * unit) * size[i] for i in range(elements)]
    norm = float(sum(total**2 for total in exact)) ** 0.5
    ulp, absolute, relative, over = 0.0, 0.0, 0.0, 0.0
    for rank in range(ranks):
        error = [abs(exactly(y[rank, i]) - exact[i]) for i in range(elements)]
        spacing = number_format.ulp(np.array([float(total) for total in exact]))
        ulp = max([ulp, *(float(e / exactly(s)) for e, s in zip(error, spacing, strict=True))])
        absolute = max(absolute, float(max(error)))
        relative = max(relative, float(sum(e**2 for e in error)) ** 0.5 / norm)
        over = max([over, *(float(e / b) for e, b in zip(error, bound, strict=True))])
    allowed = float(sum(b**2 for b in bound)) ** 0.5 / norm
    return {
        "max_ulp": ulp,
        "max_abs_error": absolute,
        "relative_error": relative,
        "bound": allowed,
        "error_over_bound": over,
    }


@pytest.mark.parametrize("algorithm", ["naive", "direct", "ring"])
@pytest.mark.parametrize("dtype", ["float64", "float32", *SMALL[:2]])
def test_the_figures_are_those_of_exact_arithmetic(dtype, algorithm):
    ranks, elements, seed = 5, 7, 3
    [row] = cs.numerics("all_reduce", ranks, algorithms=[algorithm], dtype=dtype, elements=elements, seed=seed)
    x = np.random.default_rng(seed).standard_normal((ranks, elements)).astype(dtype_of(dtype))
    schedule = cs.make_schedule("all_reduce", algorithm, ranks)
    figures = by_hand(row, x, cs.execute(schedule, x), [ranks - 1] * elements)
    assert {name: row[name] for name in figures} == pytest.approx(figures, rel=1e-9)


def test_ranks_agree_where_all_add_in_one_order():
    rows = cs.numerics("all_reduce", 7, algorithms=["ring", "tree", "naive", "direct"], dtype="float32")
    assert [row["ranks_agree"] for row in rows] == [True, True, True, False]


def shared_out(samples, workers):
    """Give each worker a block of neighbouring samples, which it adds from left to right."""
    shares = []
    for block in np.array_split(np.arange(len(samples)), workers):
        total = samples[block[0]]
        for sample in block[1:]:
            total = total + samples[sample]
        shares.append(total)
    return np.stack(shares)


@pytest.mark.parametrize(
    ("algorithm", "ranks", "other", "same"),
    [
        ("tree", 8, 16, True),  # pairs of neighbours, then pairs of pairs: the same tree
        ("tree", 8, 4, True),
        ("naive", 6, 3, False),
        ("ring", 8, 16, False),
        ("tree", 8, 7, False),
    ],
)
def test_the_same_result_on_another_number_of_ranks(algorithm, ranks, other, same):
    [row] = cs.numerics("all_reduce", ranks, algorithms=[algorithm], other_ranks=other, elements=200, seed=1)
    assert row["same_for_other_ranks"] is same
    samples = np.random.default_rng(1).standard_normal((max(ranks, other), 200)).astype(np.float32)
    here, there = (
        cs.execute(cs.make_schedule("all_reduce", algorithm, count), shared_out(samples, count))[0]
        for count in (ranks, other)
    )
    assert (here.tobytes() == there.tobytes()) is same


def test_what_is_exact_is_the_same_everywhere():
    # One addition, at home or between two ranks: there is only one order.
    rows = cs.numerics("all_reduce", 2, other_ranks=1, dtype="bfloat16")
    assert all(row["same_for_other_ranks"] for row in rows)


def test_an_algorithm_that_does_not_work_for_the_other_number_says_nothing_of_it():
    [row] = cs.numerics("all_reduce", 4, algorithms=["swing"], other_ranks=5, elements=3)
    assert row["same_for_other_ranks"] is None


def test_float8_stagnates_in_sequence_and_not_in_a_tree():
    # Past 2^digits times a term the sum does not grow any more.
    ring, tree = cs.numerics("all_reduce", 64, algorithms=["ring", "tree"], dtype="float8_e4m3fn", data="uniform")
    assert ring["relative_error"] > 0.3
    assert tree["relative_error"] < 0.1
    assert ring["bound"] is None
    assert tree["bound"] > tree["relative_error"]


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("ranks", [3, 700])
def test_by_default_nothing_overflows(ranks, dtype):
    for data in DATA if ranks == 3 else ["uniform"]:
        [row] = cs.numerics(
            "all_reduce", ranks, algorithms=["tree"], dtype=dtype, data=data, elements=2, other_ranks=ranks // 3
        )
        assert row["overflowed"] == 0
        assert row["relative_error"] is not None
    assert row["scale"] < 1 or ranks == 3 or dtype != "float8_e4m3fn"  # where 448 would not be enough


@pytest.mark.parametrize(("dtype", "scale"), [("float16", 8000.0), ("float8_e4m3fn", 200.0), ("float8_e5m2", 2e4)])
def test_overflow_is_said_and_is_no_crash(dtype, scale):
    [row] = cs.numerics(
        "all_reduce", 16, algorithms=["ring"], dtype=dtype, data="uniform", scale=scale, elements=50, seed=2
    )
    x = (np.random.default_rng(2).random((16, 50)) * scale).astype(dtype_of(dtype))
    with np.errstate(all="ignore"):
        y = cs.execute(cs.make_schedule("all_reduce", "ring", 16), x)
    assert row["overflowed"] == int((~np.isfinite(y.astype(np.float64))).sum()) > 0
    names = ("max_ulp", "max_abs_error", "relative_error", "error_over_bound", "same_for_other_ranks")
    assert [row[name] for name in names] == [None] * len(names)


def test_cancelling_data_cancel():
    [row] = cs.numerics("all_reduce", 9, algorithms=["ring"], data="cancelling", dtype="float64")
    [plain] = cs.numerics("all_reduce", 9, algorithms=["ring"], data="uniform", dtype="float64")
    assert row["relative_error"] > 10 * plain["relative_error"]
    assert row["bound"] > 50 * plain["bound"]


def test_the_seed_decides_the_data():
    first, again, other = (cs.numerics("all_reduce", 5, algorithms=["ring"], seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0]["max_abs_error"] != other[0]["max_abs_error"]


@pytest.mark.parametrize("collective", SUMMING)
def test_every_collective_that_sums_is_measured(collective):
    rows = cs.numerics(collective, 6, dtype="float32", elements=40)
    assert {row["algorithm"] for row in rows} == {
        name for owner, name in ALGORITHMS if owner == collective and ADMITS[ALGORITHMS[owner, name].admits](6)
    }
    for row in rows:
        assert 0 < row["error_over_bound"] <= 1
        assert (row["ranks_agree"] is None) == (collective != "all_reduce")
        assert (row["same_for_other_ranks"] is None) == ("scan" in collective)


def test_reduce_to_another_root_and_its_own_order():
    x = np.random.default_rng(0).standard_normal((4, 30)).astype(np.float32)
    [row] = cs.numerics("reduce", 4, algorithms=["flat"], elements=30, root=2)
    y = cs.execute(cs.make_schedule("reduce", "flat", 4, root=2), x)[2]
    exact = x.astype(np.float64).sum(axis=0)
    assert row["max_abs_error"] == pytest.approx(np.abs(y - exact).max(), rel=1e-6)
    assert row["depth"] == 3


def test_one_rank_adds_nothing():
    for row in cs.numerics("all_reduce", 1, dtype="float8_e5m2", elements=5):
        assert (row["depth"], row["max_abs_error"], row["bound"], row["error_over_bound"]) == (0, 0, 0, 0)
        assert row["ranks_agree"] is True


def test_a_wrong_algorithm_of_ones_own_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import collsim as cs\ndef lost(ranks):\n    plan = cs.ScheduleBuilder('all_reduce', ranks)\n"
        "    plan.reduce(0, 1, 0)\n    return plan.build()\n"
    )
    with pytest.raises(cs.VerificationError, match="rank 0"):
        cs.numerics("all_reduce", 3, algorithms=[f"{file}:lost"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"collective": "all_gather"}, "all_gather adds nothing up"),
        ({"dtype": "bfloat61"}, "unknown dtype 'bfloat61'; did you mean 'bfloat16'"),
        ({"data": "gauss"}, "unknown data 'gauss'"),
        ({"elements": 0}, "elements must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"ranks": 0}, "ranks must be a whole number of at least 1, got 0"),
        ({"other_ranks": 8}, "other_ranks must be another number than ranks, got 8"),
        ({"scale": 0}, "scale must be a positive number, got 0"),
        ({"scale": float("nan")}, "scale must be a positive number, got nan"),
        ({"scale": 1e9, "dtype": "float16"}, "do not fit into float16, whose largest number is 65504"),
        ({"algorithms": ["rign"]}, "unknown all_reduce algorithm 'rign'; did you mean 'ring'"),
        ({"group": 2, "root": 1}, "no algorithm of all_reduce works for 8 ranks with the options"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(arguments, message):
    with pytest.raises(cs.InputError) as refused:
        cs.numerics(**{"ranks": 8, **arguments})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
def collsim(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["numerics", *arguments])
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return run


def test_the_command_prints_the_records_as_json(collsim):
    status, out, err = collsim("allreduce", "-n", "4", "-a", "ring,tree", "--dtype", "bfloat16", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == cs.numerics("all_reduce", 4, algorithms=["ring", "tree"], dtype="bfloat16")


def test_the_command_prints_a_table_that_says_what_its_columns_are(collsim):
    status, out, _ = collsim("all_reduce", "-n", "8", "-a", "ring,tree,direct", "--data", "uniform", "--elements", "50")
    assert status == 0
    assert "all_reduce on 8 ranks: 50 float32 a rank, uniform data (uniform in [0, 1); seed 0)" in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line[:1].isalpha() and line.split()}
    assert lines["ring"][1] == "7"
    assert lines["tree"][1] == "3"
    assert lines["tree"][-2:] == ["yes", "yes"]
    assert lines["direct"][-2:] == ["NO", "NO"]
    assert "u = 5.96046e-08" in out


def test_the_command_says_what_overflowed(collsim):
    arguments = ("-n", "16", "-a", "ring", "--dtype", "float16", "--data", "uniform", "--scale", "8000")
    status, out, err = collsim("all_reduce", *arguments)
    assert (status, err) == (0, "")
    assert "multiplied by 8000" in out
    assert "ring overflows: " in out
    assert "float16 ends at 65504" in out


@pytest.mark.parametrize("arguments", [("-n", "0"), ("-n", "4", "--scale", "x"), ("-n", "4", "--dtype", "f32"), ()])
def test_bad_usage_has_status_2_and_one_line(collsim, arguments):
    status, out, err = collsim("all_reduce", *arguments)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1

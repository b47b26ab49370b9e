from __future__ import annotations

import functools
import itertools
import math
from collections import Counter

import numpy as np
import oracles
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import collsim as cs
from collsim.schedule import Op

RANKS = [*range(1, 34), 64]
DTYPES = ("float32", "float64", "int64")

# How many additions the longest chain of a sum has (reference.md section 7, after Higham): one rank or one
# ring adds K terms in sequence, K - 1 additions; in a binomial tree each term passes at most ceil(log2 K).
LONGEST_CHAIN = {
    "naive": lambda ranks: ranks - 1,
    "ring": lambda ranks: ranks - 1,
    "tree": lambda ranks: (ranks - 1).bit_length(),
}


def gamma(additions, dtype):
    unit = np.finfo(dtype).eps / 2
    return additions * unit / (1 - additions * unit)


def random_vectors(rng, ranks, elements, dtype):
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal((ranks, elements), dtype=dtype)
    x = rng.integers(-(2**40), 2**40, (ranks, elements))
    # A sum of different powers of two shows which ranks were counted, and how often.
    x[:, ::2] = (np.uint64(1) << np.arange(ranks, dtype=np.uint64)).view(np.int64)[:, None]
    return x


def assert_all_reduced(algorithm, x, y, columns=slice(None)):
    """Every rank holds the same bits; integers are exact, floats within the algorithm's bound of fsum."""
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    bits = y.view(f"u{y.itemsize}")  # not the values: 0.0 == -0.0
    assert all((row == bits[0]).all() for row in bits)
    x, y = x[:, columns], y[0, columns]
    if x.dtype.kind != "f":
        exact = [sum(column) for column in x.T.tolist()]
        assert y.tolist() == [(total + 2**63) % 2**64 - 2**63 for total in exact]
        return
    ranks = len(x)
    chain = LONGEST_CHAIN[algorithm](ranks)
    exact = np.array([math.fsum(column) for column in x.T.tolist()])
    bound = gamma(chain, x.dtype) * np.abs(x.astype(np.float64)).sum(axis=0)
    # fsum is rounded once itself: half a unit of a double.
    slack = 0 if ranks == 1 else 2.0**-53 * np.abs(exact)
    assert (np.abs(y.astype(np.float64) - exact) <= bound + slack).all()


CASES = [(name, ranks, dtype) for name in oracles.ALL_REDUCE for ranks in RANKS for dtype in DTYPES]


def test_the_list_of_cases_is_complete():
    assert len(set(CASES)) == len(CASES) == 3 * 34 * 3
    assert {algorithm for algorithm, _, _ in CASES} == {"naive", "tree", "ring"}
    assert {ranks for _, ranks, _ in CASES} == {*range(1, 34), 64}
    assert {dtype for _, _, dtype in CASES} == {"float32", "float64", "int64"}


@pytest.mark.parametrize(("algorithm", "ranks", "dtype"), CASES)
def test_an_all_reduce_is_proved_and_exact(algorithm, ranks, dtype, rng):
    schedule = cs.make_schedule("all_reduce", algorithm, ranks=ranks)
    cs.verify(schedule)
    for elements in sorted({0, 1, ranks - 1, ranks, ranks + 1}):
        x = random_vectors(rng, ranks, elements, dtype)
        assert_all_reduced(algorithm, x, cs.execute(schedule, x))


# 64 ranks by one algorithm only, to keep time and memory in hand; sorted by what shares its vectors.
LARGE = [
    *(
        (ranks, dtype, algorithm)
        for ranks, dtype in ((1, "float64"), (2, "int64"), (33, "float32"))
        for algorithm in oracles.ALL_REDUCE
    ),
    *((7, dtype, algorithm) for dtype in DTYPES for algorithm in oracles.ALL_REDUCE),
    (64, "float32", "ring"),
]


@functools.lru_cache(maxsize=1)
def large_vectors(ranks, dtype):
    return random_vectors(np.random.default_rng(ranks), ranks, 10**6 + 3, dtype)


@pytest.mark.parametrize(("ranks", "dtype", "algorithm"), LARGE)
def test_an_all_reduce_of_a_million_elements_is_exact(ranks, dtype, algorithm):
    x = large_vectors(ranks, dtype)
    y = cs.execute(cs.make_schedule("all_reduce", algorithm, ranks=ranks), x)
    # fsum takes Python floats, so a sample; both sides of every edge between chunks are in it.
    edges = np.cumsum([len(part) for part in np.array_split(np.zeros(10**6 + 3), ranks)])[:-1]
    sample = np.unique(np.concatenate([[0, 10**6 + 2], edges, edges - 1, np.arange(17, 10**6, 9973)]))
    assert_all_reduced(algorithm, x, y, sample)
    if dtype == "int64":
        assert (y[0] == x.sum(axis=0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_check_of_results_notices_one_wrong_bit_a_double_count_and_a_lost_one(dtype, rng):
    x = random_vectors(rng, 5, 6, dtype)
    y = cs.execute(cs.make_schedule("all_reduce", "ring", ranks=5), x)
    assert_all_reduced("ring", x, y)
    one_bit = y.copy()
    one_bit.view(np.uint8)[3, 0] ^= 1
    for wrong in (one_bit, y + x[2], y - x[4]):
        with pytest.raises(AssertionError):
            assert_all_reduced("ring", x, wrong)


@pytest.mark.parametrize("ranks", [2, 3, 5, 8, 13])
def test_ring_adds_each_chunk_in_ring_order_starting_at_its_own_rank(ranks, rng):
    x = rng.standard_normal((ranks, 4 * ranks + 1), dtype=np.float32)
    expected = []
    for first, chunk in enumerate(np.array_split(x, ranks, axis=1)):
        total = chunk[first]
        for i in range(1, ranks):
            total = total + chunk[(first + i) % ranks]
        expected.append(total)
    y = cs.execute(cs.make_schedule("all_reduce", "ring", ranks=ranks), x)
    assert y.tobytes() == np.tile(np.concatenate(expected), (ranks, 1)).tobytes()


@pytest.mark.parametrize("ranks", [2, 3, 5, 8, 13])
@pytest.mark.parametrize("root", [0, 1])
def test_naive_adds_in_rank_order_to_the_root(ranks, root, rng):
    x = rng.standard_normal((ranks, 9), dtype=np.float32)
    total = x[root]
    for rank in (rank for rank in range(ranks) if rank != root):
        total = total + x[rank]
    y = cs.execute(cs.make_schedule("all_reduce", "naive", ranks=ranks, root=root), x)
    assert y.tobytes() == np.tile(total, (ranks, 1)).tobytes()


@pytest.mark.parametrize("ranks", [2, 3, 5, 8, 13])
def test_tree_adds_neighbouring_halves(ranks, rng):
    x = rng.standard_normal((ranks, 9), dtype=np.float32)
    sums = list(x)
    while len(sums) > 1:
        sums = [sums[i] + sums[i + 1] if i + 1 < len(sums) else sums[i] for i in range(0, len(sums), 2)]
    y = cs.execute(cs.make_schedule("all_reduce", "tree", ranks=ranks), x)
    assert y.tobytes() == np.tile(sums[0], (ranks, 1)).tobytes()


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("sum", [3, -9]),
        ("prod", [-60, 0]),
        ("max", [5, 0]),
        ("min", [-4, -9]),
        ("avg", [0, -2]),  # 3/4 and -9/4 towards zero
    ],
)
@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_each_operation_reduces(algorithm, op, expected):
    x = np.array([[5, 0], [-4, -9], [3, 0], [-1, 0]])
    x[3, 0] = 1 if op == "prod" else x[3, 0]
    y = cs.execute(cs.make_schedule("all_reduce", algorithm, ranks=4), x, op=op)
    assert y.tolist() == [expected] * 4
    assert y.dtype == x.dtype


def test_the_average_of_floats_is_the_sum_over_the_ranks():
    x = np.array([[1.0], [2.0], [4.0]], dtype=np.float32)
    y = cs.execute(cs.make_schedule("all_reduce", "ring", ranks=3), x, op="avg")
    assert y.tobytes() == np.full((3, 1), np.float32(7) / np.float32(3)).tobytes()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "float16", "float32", "complex64", "complex128"])
def test_the_dtype_is_kept(dtype):
    y = cs.execute(cs.make_schedule("all_reduce", "tree", ranks=3), np.ones((3, 5), dtype=dtype))
    assert y.dtype == dtype
    assert (y == 3).all()


def test_the_input_is_neither_changed_nor_returned(rng):
    for ranks in (1, 4):
        x = rng.standard_normal((ranks, 7))
        kept = x.copy()
        y = cs.execute(cs.make_schedule("all_reduce", "ring", ranks=ranks), x)
        y[:] = 0
        assert (x == kept).all()


def test_lists_and_transposed_arrays_are_taken():
    schedule = cs.make_schedule("all_reduce", "ring", ranks=2)
    assert cs.execute(schedule, [[1, 2, 3], [10, 20, 30]]).tolist() == [[11, 22, 33]] * 2
    assert cs.execute(schedule, np.array([[1, 10], [2, 20], [3, 30]]).T).tolist() == [[11, 22, 33]] * 2


@pytest.mark.parametrize(
    ("x", "value"),
    [
        ([[1.0], [1.0, 2.0]], "ragged"),
        ([["a"], ["b"]], "<U1"),
        (np.array([[None], [None]]), "object"),
        (np.ones((2, 2), dtype=bool), "bool"),
        (np.array([["2020-01-01"], ["2020-01-02"]], dtype="datetime64[D]"), "datetime64"),
        (np.zeros((2, 2), dtype=[("a", "f4")]), "a"),
        (np.ones((3, 4)), "(3, 4)"),
        (np.ones(2), "(2,)"),
        (np.ones((2, 2, 2)), "(2, 2, 2)"),
        (5, "()"),
    ],
)
def test_what_is_not_one_numeric_vector_a_rank_is_refused(x, value):
    with pytest.raises(cs.InputError) as refused:
        cs.execute(cs.make_schedule("all_reduce", "ring", ranks=2), x)
    assert value in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_operation_is_refused_with_the_nearest():
    with pytest.raises(cs.InputError, match=r"unknown operation 'summ'; did you mean 'sum'\?"):
        cs.execute(cs.make_schedule("all_reduce", "ring", ranks=1), [[1]], op="summ")


def plan_of(*moves, ranks=3, chunks=1, collective="all_reduce"):
    plan = cs.ScheduleBuilder(collective, ranks, chunks)
    for op, *where in moves:
        getattr(plan, op)(*where)
    return plan.build()


def test_moves_of_a_step_read_the_state_before_it():
    swap = plan_of(("copy", 0, [0, 1], [1, 0]), ranks=2)
    assert cs.execute(swap, [[1], [2]]).tolist() == [[2], [1]]
    rotate = plan_of(("copy", 0, [0, 1, 2], [1, 2, 0]))
    assert cs.execute(rotate, [[1], [2], [3]]).tolist() == [[3], [1], [2]]


def test_a_reduction_that_is_both_read_and_written_in_a_step_reads_the_state_before_it():
    chain = plan_of(("reduce", 0, [0, 1], [1, 2]))
    assert cs.execute(chain, [[1], [10], [100]]).tolist() == [[1], [11], [110]]


def test_reductions_into_one_place_are_added_in_the_order_of_rows():
    big = [[0.0], [1e16], [1.0], [-1e16]]
    kept = plan_of(("reduce", 0, [1, 3, 2], 0), ranks=4)
    lost = plan_of(("reduce", 0, [1, 2, 3], 0), ranks=4)
    assert cs.execute(kept, big)[0] == 1.0
    assert cs.execute(lost, big)[0] == 0.0


def test_count_moves_neighbouring_chunks_as_one_row():
    x = np.arange(8).reshape(2, 4) + 1
    together = plan_of(("copy", 0, 0, 1, 1, 2), ranks=2, chunks=4)
    assert cs.execute(together, x).tolist() == [[1, 2, 3, 4], [5, 2, 3, 8]]


def test_a_step_larger_than_a_block_is_moved_in_parts(monkeypatch, rng):
    from collsim import replay

    x = rng.standard_normal((9, 50))
    schedules = [cs.make_schedule("all_reduce", name, ranks=9) for name in oracles.ALL_REDUCE]
    expected = [cs.execute(schedule, x).tobytes() for schedule in schedules]
    monkeypatch.setattr(replay, "_BLOCK_BYTES", 1)
    assert [cs.execute(schedule, x).tobytes() for schedule in schedules] == expected
    for schedule in schedules:
        cs.verify(schedule)


@given(oracles.schedules(), st.integers(0, 7))
def test_execute_does_what_a_plain_loop_does(schedule, elements):
    rng = np.random.default_rng(elements)
    x = rng.integers(-9, 10, (schedule.ranks, elements))
    parts = [np.array_split(row, schedule.chunks) for row in x]
    state = {(rank, chunk): part for rank, row in enumerate(parts) for chunk, part in enumerate(row)}
    final = oracles.replay(schedule, state, np.add)[-1]
    expected = [np.concatenate([final[rank, c] for c in range(schedule.chunks)]) for rank in range(schedule.ranks)]
    assert cs.execute(schedule, x).tolist() == [row.tolist() for row in expected]


@given(oracles.schedules(), st.data())
def test_verify_accepts_exactly_what_a_plain_loop_finds(schedule, data):
    assume(not oracles.has_race(schedule))
    final = oracles.contributions(schedule)[-1]
    promised = {
        place: [held[rank] == 1 for rank in range(schedule.ranks)]
        for place, held in final.items()
        if max(held.values()) == 1 and data.draw(st.booleans())
    }
    everything = cs.get_collective("all_reduce")

    def promising(table):
        def after(ranks, chunks, rank):
            return np.array([table.get((rank, chunk), [False] * ranks) for chunk in range(chunks)])

        changed = cs.Collective("test", "a test", everything.before, after, everything.bus_factor)
        return cs.Schedule(
            changed,
            schedule.ranks,
            schedule.chunks,
            *(getattr(schedule, name) for name in ("step", "src", "dst", "chunk", "count", "op", "seconds")),
        )

    cs.verify(promising(promised))
    for place in list(promised)[:1]:
        rank = data.draw(st.integers(0, schedule.ranks - 1))
        other = [here != (i == rank) for i, here in enumerate(promised[place])]
        if any(other):  # a row without any is no promise
            with pytest.raises(cs.VerificationError) as refused:
                cs.verify(promising({**promised, place: other}))
            assert (refused.value.rank, refused.value.chunk) == place


@given(oracles.schedules(compute=False))
def test_two_writes_of_a_place_in_a_step_are_refused_if_one_is_a_copy(schedule):
    if oracles.has_race(schedule):
        with pytest.raises(cs.VerificationError, match="is written twice in one step, once by a COPY") as refused:
            cs.verify(schedule)
        assert refused.value.step is not None
    else:
        try:
            cs.verify(schedule)
        except cs.VerificationError as error:
            assert "written twice" not in str(error)  # noqa: PT017


@st.composite
def schedule_and_row(draw, least=2, ops=(Op.COPY, Op.REDUCE)):
    schedule = cs.make_schedule("all_reduce", draw(st.sampled_from(oracles.ALL_REDUCE)), draw(st.integers(least, 11)))
    rows = np.flatnonzero(np.isin(schedule.op, ops)).tolist()
    return schedule, draw(st.sampled_from(rows))


def outcome(schedule):
    """Run it on vectors of powers of two and say whether every rank has the sum of all."""
    x = np.repeat(2 ** np.arange(schedule.ranks)[:, None], schedule.chunks, axis=1)
    return bool((cs.execute(schedule, x) == 2**schedule.ranks - 1).all())


def is_complete(schedule, held):
    return all(held[place] == Counter(range(schedule.ranks)) for place in held)


def assert_refused(schedule):
    with pytest.raises(cs.VerificationError):
        cs.verify(schedule)


@given(schedule_and_row())
def test_a_schedule_with_one_row_dropped_is_refused(drawn):
    schedule, row = drawn
    dropped = oracles.with_rows(schedule, [other for other in range(len(schedule)) if other != row])
    assert len(dropped) == len(schedule) - 1
    assert_refused(dropped)
    assert not outcome(dropped)


@given(schedule_and_row())
def test_a_schedule_with_one_row_doubled_is_refused(drawn):
    schedule, row = drawn
    doubled = oracles.with_rows(schedule, [*range(row + 1), *range(row, len(schedule))])
    assert len(doubled) == len(schedule) + 1
    assert_refused(doubled)
    # The same COPY twice gives the right numbers, but is a race all the same.
    assert outcome(doubled) == (schedule.op[row] == Op.COPY)


@given(schedule_and_row(ops=(Op.REDUCE,)))
def test_a_schedule_with_one_reduce_turned_into_a_copy_is_refused(drawn):
    schedule, row = drawn
    turned = oracles.with_columns(schedule, op={row: Op.COPY})
    assert_refused(turned)
    assert not outcome(turned)


@given(schedule_and_row(ops=(Op.COPY,)))
def test_a_schedule_with_one_copy_turned_into_a_reduce_is_refused(drawn):
    schedule, row = drawn
    turned = oracles.with_columns(schedule, op={row: Op.REDUCE})
    assert_refused(turned)
    assert not outcome(turned)


@given(schedule_and_row(least=3), st.data())
def test_a_schedule_with_one_row_sent_elsewhere_is_refused(drawn, data):
    schedule, row = drawn
    others = sorted(set(range(schedule.ranks)) - {int(schedule.src[row]), int(schedule.dst[row])})
    other = data.draw(st.sampled_from(others))
    redirected = oracles.with_columns(schedule, dst={row: other})
    # A partial sum that is sent to a rank which has still to pass its own on is summed all the same: in the
    # tree to any such rank, in the ring to one further along. That is correct, and the plain loop finds it so.
    final = oracles.contributions(redirected)[-1]
    if schedule.op[row] == Op.REDUCE and schedule.algorithm != "naive" and is_complete(redirected, final):
        cs.verify(redirected)
        assert outcome(redirected)
    else:
        assert_refused(redirected)
        assert not outcome(redirected)


@given(schedule_and_row(least=3), st.data())
def test_a_row_from_another_source_is_refused_unless_that_held_the_same(drawn, data):
    schedule, row = drawn
    right = int(schedule.src[row])
    other = data.draw(st.sampled_from(sorted(set(range(schedule.ranks)) - {right, int(schedule.dst[row])})))
    redirected = oracles.with_columns(schedule, src={row: other})
    held = oracles.contributions(schedule)[int(schedule.step[row])]
    chunks = range(int(schedule.chunk[row]), int(schedule.chunk[row] + schedule.count[row]))
    if all(held[other, chunk] == held[right, chunk] for chunk in chunks):
        cs.verify(redirected)
        assert outcome(redirected)
    else:
        assert_refused(redirected)
        assert not outcome(redirected)


@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_redirected_rows_of_either_kind_occur(algorithm):
    # Else the two properties above could hold by never taking one of their branches.
    schedule = cs.make_schedule("all_reduce", algorithm, ranks=5)
    verdicts = {"src": set(), "dst": set()}
    for row, column, other in itertools.product(range(len(schedule)), verdicts, range(5)):
        if other not in (schedule.src[row], schedule.dst[row]):
            try:
                cs.verify(oracles.with_columns(schedule, **{column: {row: other}}))
            except cs.VerificationError:
                verdicts[column].add("refused")
            else:
                verdicts[column].add("accepted")
    # In naive only the root ever holds the sum before it is sent, and nobody passes anything on.
    refused = {"refused"}
    both = refused if algorithm == "naive" else {"refused", "accepted"}
    assert verdicts == {"src": both, "dst": both}


@pytest.mark.parametrize("ranks", [64, 65, 130])
def test_contributors_beyond_one_machine_word_are_told_apart(ranks):
    schedule = cs.make_schedule("all_reduce", "naive", ranks=ranks)
    cs.verify(schedule)
    row = int(np.flatnonzero((schedule.src == ranks - 1) & (schedule.op == Op.REDUCE))[0])
    dropped = oracles.with_rows(schedule, [other for other in range(len(schedule)) if other != row])
    with pytest.raises(cs.VerificationError, match=f"lacks the contribution of rank {ranks - 1}$"):
        cs.verify(dropped)
    again = oracles.with_rows(schedule, [row, *range(len(schedule))])
    with pytest.raises(cs.VerificationError, match=f"counts more than once the contribution of rank {ranks - 1}$"):
        cs.verify(again)


def test_a_refusal_names_the_first_wrong_rank_and_chunk():
    plan = plan_of(("reduce", 0, [0, 1], [1, 0], 0, 3), ("reduce", 0, 0, 1, 3), ranks=2, chunks=4)
    with pytest.raises(cs.VerificationError, match=r"^rank 0, chunk 3 lacks the contribution of rank 1$") as refused:
        cs.verify(plan)
    assert (refused.value.rank, refused.value.chunk, refused.value.step) == (0, 3, None)


def test_many_missing_contributors_are_listed_shortly():
    with pytest.raises(cs.VerificationError, match=r"contributions of ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more$"):
        cs.verify(plan_of(ranks=20))


def test_a_second_count_that_is_overwritten_is_no_fault():
    schedule = plan_of(("reduce", 0, 0, 1), ("reduce", 1, 0, 1), ("reduce", 0, 1, 0), ("copy", 2, 0, 1), ranks=2)
    cs.verify(schedule)
    with pytest.raises(cs.VerificationError, match="counts more than once"):
        cs.verify(oracles.with_rows(schedule, [0, 1, 2]))


def test_three_contributions_of_one_rank_are_still_more_than_one():
    with pytest.raises(
        cs.VerificationError, match=r"rank 1, chunk 0 counts more than once the contributions of ranks 0, 1$"
    ):
        cs.verify(plan_of(("reduce", 0, [0, 1], [1, 0]), ("reduce", [1, 2], 0, 1), ranks=2))


def test_local_work_changes_no_value():
    schedule = plan_of(("compute", 0, 0, 1.0, 0, 1), ("reduce", 0, [0, 1], [1, 0]), ranks=2)
    cs.verify(schedule)
    assert cs.execute(schedule, [[1], [2]]).tolist() == [[3], [3]]


# A collective of our own: `verify` knows preconditions and postconditions, not all_reduce.
SPREAD = cs.Collective(
    name="spread",
    summary="every rank ends with what rank 0 had",
    before=lambda ranks, chunks, rank: np.full(chunks, rank == 0),
    after=lambda ranks, chunks, rank: np.tile(np.arange(ranks) == 0, (chunks, 1)),
    bus_factor=lambda ranks: 1.0,
)


def spread(ranks, chunks=2):
    plan = cs.ScheduleBuilder(SPREAD, ranks, chunks)
    reached, step = 1, 0
    while reached < ranks:
        senders = np.arange(min(reached, ranks - reached))
        plan.copy(step=step, src=senders, dst=senders + reached, chunk=0, count=chunks)
        reached, step = 2 * reached, step + 1
    return plan.build()


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 13, 70])
def test_a_tree_proves_a_collective_of_our_own(ranks):
    schedule = spread(ranks)
    cs.verify(schedule)
    x = np.arange(3 * ranks).reshape(ranks, 3)
    assert cs.execute(schedule, x).tolist() == [[0, 1, 2]] * ranks


def test_sending_what_one_does_not_hold_is_refused_where_it_happens():
    too_early = plan_of(("copy", 0, 1, 2), ("copy", 1, 0, [1, 2]), collective=SPREAD)
    with pytest.raises(
        cs.VerificationError, match="step 0: rank 1 sends chunk 0, of which it holds nothing"
    ) as refused:
        cs.verify(too_early)
    assert (refused.value.rank, refused.value.chunk, refused.value.step) == (1, 0, 0)


def test_a_chunk_that_never_comes_is_refused():
    with pytest.raises(cs.VerificationError, match="rank 2, chunk 0 lacks the contribution of rank 0"):
        cs.verify(plan_of(("copy", 0, 0, 1), collective=SPREAD))


def test_a_contribution_that_does_not_belong_there_is_refused():
    only_the_root = cs.Collective("x", "", lambda k, c, r: np.ones(c, bool), SPREAD.after, SPREAD.bus_factor)
    plan = plan_of(("copy", 0, 0, 2), ("reduce", 0, 0, 1), collective=only_the_root)
    with pytest.raises(cs.VerificationError, match="rank 1, chunk 0 has the unwanted contribution of rank 1"):
        cs.verify(plan)


def test_a_reduce_into_a_chunk_that_holds_nothing_is_refused():
    # What stands there is not known, so the sum would not be either.
    with pytest.raises(cs.VerificationError, match="rank 1"):
        cs.verify(plan_of(("reduce", 0, 0, 1), ("copy", 1, 0, 2), collective=SPREAD))


def test_an_average_is_rounded_once_in_a_narrow_type():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype, ranks, one in ((ml_dtypes.float8_e4m3fn, 19, 240), (ml_dtypes.bfloat16, 261, 1), (np.float16, 2049, 1)):
        x = np.zeros((ranks, 1), dtype=dtype)
        x[0] = one
        mean = cs.execute(cs.make_schedule("all_reduce", "naive", ranks), x, "avg")
        assert mean[0, 0] == np.float64(one / ranks).astype(dtype)


@pytest.mark.parametrize("verb", [cs.verify, lambda schedule: cs.execute(schedule, [[1]])])
def test_only_a_schedule_can_be_replayed(verb):
    with pytest.raises(cs.InputError, match="needs a Schedule"):
        verb("ring")

"""What each collective promises, written out by hand for three ranks; and that nothing less is taken for it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import oracles
import pytest

import collsim as cs
from collsim.algorithms.table import ADMITS, TABLE
from collsim.collectives import COLLECTIVES, collective_name, split, summary
from collsim.schedule import Op

# For three ranks: the chunks that each rank brings, and for each rank what it ends with, chunk by chunk in the
# order of its vector: who contributes. "" is a chunk of which nothing is promised.
ALL = "012"
PROMISES = {
    "all_reduce": (1, ["0", "0", "0"], [{0: ALL}, {0: ALL}, {0: ALL}], {}),
    "all_reduce in two chunks": (2, ["01", "01", "01"], [{0: ALL, 1: ALL}] * 3, {}),
    "reduce": (1, ["0", "0", "0"], [{0: ""}, {0: ALL}, {0: ""}], {"root": 1}),
    "broadcast": (1, ["", "", "0"], [{0: "2"}, {0: "2"}, {0: "2"}], {"root": 2}),
    "all_gather": (3, ["0", "1", "2"], [{0: "0", 1: "1", 2: "2"}] * 3, {}),
    "all_gatherv": (3, ["0", "1", "2"], [{0: "0", 1: "1", 2: "2"}] * 3, {"counts": [2, 0, 1]}),
    "reduce_scatter": (
        3,
        [ALL, ALL, ALL],
        [{0: ALL, 1: "", 2: ""}, {0: "", 1: ALL, 2: ""}, {0: "", 1: "", 2: ALL}],
        {},
    ),
    "reduce_scatter in two chunks a part": (
        6,
        ["012345"] * 3,
        [{c: ALL if c // 2 == rank else "" for c in range(6)} for rank in range(3)],
        {},
    ),
    "gather": (
        3,
        ["0", "1", "2"],
        [{0: "", 1: "", 2: ""}, {0: "", 1: "", 2: ""}, {0: "0", 1: "1", 2: "2"}],
        {"root": 2},
    ),
    "scatter": (
        3,
        ["", ALL, ""],
        [{0: "1", 1: "", 2: ""}, {0: "", 1: "1", 2: ""}, {0: "", 1: "", 2: "1"}],
        {"root": 1},
    ),
    "all_to_all": (
        9,
        ["012", "345", "678"],
        [{0: "0", 3: "1", 6: "2"}, {1: "0", 4: "1", 7: "2"}, {2: "0", 5: "1", 8: "2"}],
        {},
    ),
    "send_recv": (3, ["0", "1", "2"], [{2: "2"}, {0: "0"}, {1: "1"}], {}),
    "send_recv with a fixed point": (3, ["0", "1", "2"], [{1: "1"}, {0: "0"}, {2: "2"}], {"to": [1, 0, 2]}),
    "scan": (1, ["0", "0", "0"], [{0: "0"}, {0: "01"}, {0: ALL}], {}),
    "exscan": (1, ["0", "0", "0"], [{0: ""}, {0: "0"}, {0: "01"}], {}),
    "barrier": (1, ["0", "0", "0"], [{0: ALL}, {0: ALL}, {0: ALL}], {}),
}


@pytest.mark.parametrize("case", PROMISES)
def test_a_collective_promises_what_its_definition_says(case):
    chunks, brings, ends, options = PROMISES[case]
    collective = cs.get_collective(case.partition(" ")[0], **options)
    for rank in range(3):
        assert np.flatnonzero(collective.before(3, chunks, rank)).tolist() == [int(chunk) for chunk in brings[rank]]
        held = collective.outputs(3, chunks, rank).tolist()
        promised = collective.after(3, chunks, rank)
        assert promised.shape == (len(held), 3)
        found = {c: "".join(map(str, np.flatnonzero(row))) for c, row in zip(held, promised, strict=True)}
        assert list(found.items()) == list(ends[rank].items())
        # A rank's own values stand in its vector.
        assert set(brings[rank]) <= {str(chunk) for chunk in collective.inputs(3, chunks, rank)}


def test_every_collective_is_written_out():
    plain = {name for name in COLLECTIVES if not (name.endswith("v") and name != "send_recv")}
    assert {case.partition(" ")[0] for case in PROMISES} >= plain


@pytest.mark.parametrize("root", range(4))
@pytest.mark.parametrize("name", ["reduce", "broadcast", "gather", "scatter", "gatherv", "scatterv"])
def test_any_rank_can_be_the_root(name, root):
    counts = {"counts": [1, 0, 2, 3]} if name.endswith("v") else {}
    collective = cs.get_collective(name, root=root, **counts)
    chunks = 1 if name in ("reduce", "broadcast") else 4
    brings = [int(collective.before(4, chunks, rank).sum()) for rank in range(4)]
    promised = [int(collective.after(4, chunks, rank).sum()) for rank in range(4)]
    at_root = [rank == root for rank in range(4)]
    assert collective.options == {"root": root, **counts}
    assert {
        "reduce": brings == [1] * 4 and promised == [4 * there for there in at_root],
        "broadcast": brings == at_root and promised == [1] * 4,
        "gather": brings == [1] * 4 and promised == [4 * there for there in at_root],
        "scatter": brings == [4 * there for there in at_root] and promised == [1] * 4,
    }[name.removesuffix("v")]


# The same by numbers. Rows of x are the ranks' vectors; None stands for what is not promised.

X = [[1, 2, 3, 4], [10, 20, 30, 40], [100, 200, 300, 400]]
S = [111, 222, 333, 444]
_ = None
# Four elements on three ranks: parts of 2, 1 and 1.
VALUES = {
    "all_reduce": ({}, [S, S, S]),
    "reduce": ({"root": 2}, [[_] * 4, [_] * 4, S]),
    "broadcast": ({"root": 1}, [X[1], X[1], X[1]]),
    "all_gather": ({}, [[1, 2, 30, 400]] * 3),
    "reduce_scatter": ({}, [[111, 222, _, _], [_, _, 333, _], [_, _, _, 444]]),
    "gather": ({"root": 1}, [[_] * 4, [1, 2, 30, 400], [_] * 4]),
    "scatter": ({"root": 2}, [[100, 200, _, _], [_, _, 300, _], [_, _, _, 400]]),
    # Of four elements every rank keeps two and gives one to each of the others.
    "all_to_all": ({}, [[1, 2, 10, 100], [3, 20, 30, 200], [4, 40, 300, 400]]),
    "send_recv": ({}, [X[2], X[0], X[1]]),
    "scan": ({}, [X[0], [11, 22, 33, 44], S]),
    "exscan": ({}, [[_] * 4, X[0], [11, 22, 33, 44]]),
    "all_gatherv": ({"counts": [1, 0, 3]}, [[1, 200, 300, 400]] * 3),
    "reduce_scatterv": ({"counts": [0, 4, 0]}, [[_] * 4, S, [_] * 4]),
    "gatherv": ({"counts": [0, 1, 3], "root": 2}, [[_] * 4, [_] * 4, [10, 200, 300, 400]]),
    "scatterv": ({"counts": [3, 1, 0], "root": 1}, [[10, 20, 30, _], [_, _, _, 40], [_] * 4]),
    # Row s says how much s has for each rank. Rank 0 gets 1 + 0 + 3, rank 1 nothing, rank 2 3 + 2 + 0.
    "all_to_allv": (
        {"counts": [[1, 0, 3], [0, 0, 2], [3, 0, 0]]},
        [[1, 100, 200, 300, _], [_] * 5, [2, 3, 4, 10, 20]],
    ),
}


def three(row):
    return ADMITS[row.admits](3)


BY_NUMBERS = [row for row in TABLE if three(row) and row.collective != "barrier"]


def test_every_collective_is_worked_out():
    assert set(VALUES) == {row.collective for row in BY_NUMBERS} == set(COLLECTIVES) - {"barrier"}


@pytest.mark.parametrize("row", BY_NUMBERS, ids=lambda row: f"{row.collective}-{row.name}")
def test_values_are_those_worked_out_by_hand(row):
    options, expected = VALUES[row.collective]
    if "root" in options and "root" not in row.options:
        pytest.skip("has no root")
    schedule = cs.make_schedule(row.collective, row.name, 3, **options)
    cs.verify(schedule)
    y = cs.execute(schedule, X).tolist()
    for got, due in zip(y, expected, strict=True):
        assert [here if there is not None else None for here, there in zip(got, due, strict=True)] == due


VECTOR_FORMS = [row for row in TABLE if "counts" in row.options and three(row)]


@pytest.mark.parametrize("row", VECTOR_FORMS, ids=lambda row: f"{row.collective}-{row.name}")
def test_counts_may_all_be_zero(row):
    counts = np.zeros((3, 3) if row.collective == "all_to_allv" else 3, dtype=int)
    schedule = cs.make_schedule(row.collective, row.name, 3, counts=counts)
    cs.verify(schedule)
    assert cs.execute(schedule, np.zeros((3, 0))).shape == (3, 0)
    assert (schedule.message_bytes(0) == 0).all()
    with pytest.raises(cs.InputError, match=f"{row.collective} moves no data: its size must be 0, got 12 bytes"):
        schedule.message_bytes(12)


# How vectors are cut


def test_a_cut_is_that_of_numpy():
    for elements in range(20):
        for chunks in range(1, 8):
            parts = [len(part) for part in np.array_split(np.zeros(elements), chunks)]
            assert np.diff(split(elements, chunks)).tolist() == parts


@pytest.mark.parametrize(
    ("name", "options", "chunks", "elements", "expected"),
    [
        ("all_reduce", {}, 4, 10, [3, 3, 2, 2]),
        ("all_gather", {}, 3, 7, [3, 2, 2]),
        ("all_gather", {}, 6, 7, [2, 1, 1, 1, 1, 1]),
        ("reduce_scatter", {}, 3, 2, [1, 1, 0]),
        ("scatterv", {"counts": [4, 0, 3]}, 3, 7, [4, 0, 3]),
        ("scatterv", {"counts": [4, 0, 3]}, 6, 7, [2, 2, 0, 0, 2, 1]),
        ("send_recv", {}, 3, 5, [5, 5, 5]),
        ("all_to_all", {}, 9, 3, [1] * 9),
        ("all_to_all", {}, 9, 4, [2, 1, 1, 1, 2, 1, 1, 1, 2]),
        ("all_to_all", {}, 9, 5, [2, 2, 1, 1, 2, 2, 2, 1, 2]),
        ("all_to_allv", {"counts": [[0, 5, 0], [1, 1, 1], [0, 0, 2]]}, 9, 5, [0, 5, 0, 1, 1, 1, 0, 0, 2]),
        ("barrier", {}, 1, 8, [0]),
    ],
)
def test_chunks_have_the_elements_worked_out_by_hand(name, options, chunks, elements, expected):
    assert cs.get_collective(name, **options).cut(3, chunks, elements).tolist() == expected


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("elements", range(16))
def test_in_all_to_all_every_rank_receives_as_much_as_it_sends(ranks, elements):
    table = cs.get_collective("all_to_all").cut(ranks, ranks * ranks, elements).reshape(ranks, ranks)
    assert (table.sum(axis=0) == elements).all()
    assert (table.sum(axis=1) == elements).all()
    assert table.max() - table.min() <= 1


@pytest.mark.parametrize(
    ("name", "options", "chunks", "expected"),
    [
        ("all_reduce", {}, 4, [1 / 4] * 4),
        ("all_gather", {}, 6, [1 / 6] * 6),
        ("all_gatherv", {"counts": [3, 0, 1]}, 3, [3 / 4, 0, 1 / 4]),
        ("all_gatherv", {"counts": [3, 0, 1]}, 6, [3 / 8, 3 / 8, 0, 0, 1 / 8, 1 / 8]),
        ("all_to_all", {}, 9, [1 / 3] * 9),
        # Of the longest vector, rank 0's six elements.
        ("all_to_allv", {"counts": [[1, 2, 3], [0, 0, 0], [0, 3, 0]]}, 9, [1 / 6, 1 / 3, 1 / 2, 0, 0, 0, 0, 1 / 2, 0]),
        ("send_recv", {}, 3, [1, 1, 1]),
        ("barrier", {}, 1, [0]),
    ],
)
def test_chunks_are_the_shares_worked_out_by_hand(name, options, chunks, expected):
    assert cs.get_collective(name, **options).shares(3, chunks).tolist() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("all_reduce", 2 * 3 / 4),
        *((name, 3 / 4) for name in ("reduce_scatter", "all_gather", "all_to_all", "gather", "scatter")),
        *((name, 1) for name in ("broadcast", "reduce", "send_recv")),
    ],
)
def test_bus_factors_are_those_of_nccl_tests(name, factor):
    assert cs.get_collective(name).bus_factor(4) == factor


# Names and errors


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("allreduce", "all_reduce"),
        ("AllReduce", "all_reduce"),
        ("all-reduce", "all_reduce"),
        ("alltoall", "all_to_all"),
        ("alltoallv", "all_to_allv"),
        ("reducescatter", "reduce_scatter"),
        ("ALLGATHERV", "all_gatherv"),
        ("sendrecv", "send_recv"),
        ("exscan", "exscan"),
        *((name, name) for name in COLLECTIVES),
    ],
)
def test_other_spellings_are_taken(spelling, name):
    assert collective_name(spelling) == name


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known():
    with pytest.raises(cs.InputError, match=r"unknown collective 'all_gahter'; did you mean 'all_gather'\?") as refused:
        cs.get_collective("all_gahter")
    assert all(name in str(refused.value) for name in COLLECTIVES)


def test_every_collective_has_a_summary_of_one_line():
    for name in COLLECTIVES:
        assert summary(name)
        assert "\n" not in summary(name)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: cs.get_collective("all_reduce", root=1), "collective 'all_reduce': .*'root'"),
        (lambda: cs.get_collective("all_gatherv"), "collective 'all_gatherv': missing .*'counts'"),
        (lambda: cs.make_schedule("all_gatherv", "ring", 3), "algorithm 'ring' needs the option counts"),
        (lambda: cs.make_schedule("all_gatherv", "ring", 3, counts=[1, 2]), "one for each of the 3 ranks, got 2"),
        (lambda: cs.make_schedule("all_gatherv", "ring", 3, counts=[1, 2, 3, 4]), "of the 3 ranks, got 4"),
        (lambda: cs.make_schedule("all_gatherv", "ring", 3, counts=[1, -2, 3]), "none negative, got"),
        (lambda: cs.make_schedule("all_gatherv", "ring", 3, counts=[1, 2.5, 3]), "a list of numbers, .* got"),
        (lambda: cs.make_schedule("all_gatherv", "ring", 3, counts=7), "a list of numbers, one a rank, .* got 7"),
        (lambda: cs.make_schedule("all_to_allv", "ring", 3, counts=[1, 2, 3]), "a square table of numbers"),
        (lambda: cs.make_schedule("all_to_allv", "ring", 3, counts=[[1, 2], [3, 4]]), "a table of 3 rows of 3, got 2"),
        (lambda: cs.make_schedule("all_to_allv", "ring", 2, counts=[[1, 2, 3], [3, 4, 5]]), "a square table"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, to=[0, 0, 1]), r"permutation .* 0\.\.2, got \[0, 0, 1\]"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, to=[0, 1]), r"permutation .*, got \[0, 1\]"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, to=[1, 2, 3]), r"permutation .*, got \[1, 2, 3\]"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, to=[1, -1, 0]), "a rank in 'to' .* at least 0, got -1"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, to="0,x,1"), "a rank in 'to' .*, got 'x'"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, to=2), "'to' must be a list of ranks, got 2"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, to=[1, 2, 0], shift=2), "'to' or 'shift', not both"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, shift=-3), "shift .* at least -2, got -3"),
        (lambda: cs.make_schedule("send_recv", "direct", 3, shift=1.5), "shift must be a whole number .*, got 1.5"),
        (lambda: cs.make_schedule("all_to_all", "bruck", 3, radix=1), "radix .* at least 2, got 1"),
        (lambda: cs.make_schedule("scan", "linear", 3, segments=0), "segments .* at least 1, got 0"),
        (lambda: cs.make_schedule("exscan", "linear", 3, segments="x"), "segments .*, got 'x'"),
        (lambda: cs.make_schedule("barrier", "tree", 0), "ranks must be a whole number of at least 1, got 0"),
        (lambda: cs.verify(cs.ScheduleBuilder("all_gather", 3, 4).build()), "a multiple of 3, got 4"),
        (lambda: cs.ScheduleBuilder("all_to_all", 3, 3).build().message_bytes(8), "on 3 ranks needs 9 chunks, got 3"),
        (
            lambda: cs.execute(cs.make_schedule("all_gatherv", "ring", 3, counts=[1, 2, 3]), np.zeros((3, 5))),
            "counts add up to 6 elements, the vectors have 5",
        ),
        (
            lambda: cs.execute(cs.make_schedule("all_to_allv", "ring", 2, counts=[[1, 2], [0, 0]]), np.zeros((2, 4))),
            "counts add up to 3 elements, the vectors have 4",
        ),
        (
            lambda: cs.simulate(cs.make_schedule("all_gatherv", "ring", 2, counts=[0, 0]), alpha=1, beta=1, nbytes=4),
            "all_gatherv moves no data: its size must be 0, got 4 bytes",
        ),
        (
            lambda: cs.simulate(cs.make_schedule("barrier", "ring", 3), alpha=1, beta=1, nbytes=4),
            "barrier moves no data: its size must be 0, got 4 bytes",
        ),
        (
            lambda: cs.simulate(cs.make_schedule("barrier", "ring", 3), alpha=1, beta=1, nbytes=4, itemsize=4),
            "barrier moves no data: its size must be 0, got 4 bytes",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(make, reason):
    with pytest.raises(cs.InputError, match=reason) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["broadcast", "reduce", "gather", "scatter"])
def test_a_root_that_does_not_exist_is_refused(name):
    with pytest.raises(cs.InputError, match="root"):
        cs.verify(cs.ScheduleBuilder(cs.get_collective(name, root=5), ranks=3, chunks=3).build())


# Options of the algorithms of this file's collectives


def test_blocks_of_bruck_are_those_of_the_reference():
    blocks = [1, 2, 4, 5, 7, 9, 12, 13, 15, 17, 20, 22, 25, 28, 32, 33]
    for ranks, expected in zip(range(2, 18), blocks, strict=True):
        schedule = cs.make_schedule("all_to_all", "bruck", ranks)
        assert np.bincount(schedule.src).tolist() == [expected] * ranks
        assert schedule.messages == ranks * (ranks - 1).bit_length()  # one message a round


@pytest.mark.parametrize("ranks", [2, 5, 9, 16, 27, 30])
@pytest.mark.parametrize("radix", [2, 3, 4, 7, 16, 100])
def test_bruck_sends_one_message_a_round_and_digit_value(ranks, radix):
    schedule = cs.make_schedule("all_to_all", "bruck", ranks, radix=radix)
    ways = {v * radix**w for w in range(5) for v in range(1, radix) if v * radix**w < ranks}
    assert schedule.messages == ranks * len(ways)
    assert set(((schedule.dst - schedule.src) % ranks).tolist()) == ways
    assert radix ** (schedule.steps - 1) < ranks <= radix**schedule.steps


def test_pairwise_pairs_up_powers_of_two_and_shifts_others():
    for ranks in (2, 4, 8, 16):
        schedule = cs.make_schedule("all_to_all", "pairwise", ranks)
        assert ((schedule.src ^ schedule.dst) == schedule.step + 1).all()
    for ranks in (3, 6, 7):
        schedule = cs.make_schedule("all_to_all", "pairwise", ranks)
        assert ((schedule.dst - schedule.src) % ranks == schedule.step + 1).all()


@pytest.mark.parametrize("collective", ["all_to_all", "all_gather"])
def test_pairwise_shifts_powers_of_two_too_if_asked_to(collective):
    schedule = cs.make_schedule(collective, "pairwise", 8, partners="shift")
    assert ((schedule.dst - schedule.src) % 8 == schedule.step + 1).all()
    with pytest.raises(cs.InputError, match=r"unknown partners 'xor' \(known: auto, shift\)"):
        cs.make_schedule(collective, "pairwise", 8, partners="xor")


def test_rings_talk_to_the_next_rank_only():
    for collective in ("all_to_all", "barrier"):
        schedule = cs.make_schedule(collective, "ring", 7)
        assert ((schedule.dst - schedule.src) % 7 == 1).all()
    assert cs.make_schedule("all_to_all", "ring", 7).messages == 7 * 6


@pytest.mark.parametrize("to", ["1,2,0", [1, 2, 0], ("1", 2, 0.0), np.array([1, 2, 0])])
def test_a_permutation_is_taken_in_any_form(to):
    assert cs.execute(cs.make_schedule("send_recv", "direct", 3, to=to), [[1], [2], [3]]).ravel().tolist() == [3, 1, 2]


@pytest.mark.parametrize("shift", range(-4, 12))
def test_a_shift_goes_round(shift):
    schedule = cs.make_schedule("send_recv", "direct", 5, shift=shift)
    cs.verify(schedule)
    x = np.arange(10).reshape(5, 2)
    assert cs.execute(schedule, x).tolist() == np.roll(x, shift, axis=0).tolist()
    assert schedule.messages == (0 if shift % 5 == 0 else 5)


def test_fixed_points_stay_where_they_are():
    schedule = cs.make_schedule("send_recv", "direct", 4, to=[0, 3, 2, 1])
    cs.verify(schedule)
    assert sorted(zip(schedule.src.tolist(), schedule.dst.tolist(), strict=True)) == [(1, 3), (3, 1)]
    assert cs.execute(schedule, [[1], [2], [3], [4]]).ravel().tolist() == [1, 4, 3, 2]


@pytest.mark.parametrize("to", [[0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0]])
def test_the_stated_figures_hold_for_any_permutation(to):
    schedule = cs.make_schedule("send_recv", "direct", 4, to=to)
    row = cs.catalog.get_algorithm("send_recv", "direct")
    options = {"to": to, "shift": 1}
    payload = schedule.message_bytes(100)
    assert schedule.steps == row.steps(4, 100, **options)
    assert payload.sum() == row.wire(4, 100, **options)
    assert payload.max(initial=0) == row.sent(4, 100, **options)
    assert cs.simulate(schedule, alpha=5, beta=1, nbytes=100).time == row.time(4, 100, 5, 1, **options)


@pytest.mark.parametrize("ranks", [2, 3, 9])
@pytest.mark.parametrize(("name", "algorithm"), [("scan", "linear"), ("exscan", "linear")])
def test_segments_change_when_not_what(name, algorithm, ranks, rng):
    x = rng.standard_normal((ranks, 11), dtype=np.float32)
    whole = cs.execute(cs.make_schedule(name, algorithm, ranks), x)
    for segments in (2, 3, 20):
        schedule = cs.make_schedule(name, algorithm, ranks, segments=segments)
        cs.verify(schedule)
        assert cs.execute(schedule, x).tobytes() == whole.tobytes()


def test_a_linear_scan_adds_in_the_order_of_ranks(rng):
    x = rng.standard_normal((6, 9), dtype=np.float32)
    sums = [x[0]]
    for vector in x[1:]:
        sums.append(sums[-1] + vector)
    assert cs.execute(cs.make_schedule("scan", "linear", 6), x).tobytes() == np.array(sums).tobytes()
    exclusive = cs.execute(cs.make_schedule("exscan", "linear", 6), x)
    assert exclusive[1:].tobytes() == np.array(sums[:-1]).tobytes()


@pytest.mark.parametrize("ranks", [2, 3, 5, 8])
@pytest.mark.parametrize("name", [row.name for row in TABLE if row.collective == "barrier"])
def test_no_rank_leaves_a_barrier_before_the_last_has_come(name, ranks):
    schedule = cs.make_schedule("barrier", name, ranks)
    for late in range(ranks):
        result = cs.simulate(schedule, alpha=1, beta=0, offsets=[100 * (rank == late) for rank in range(ranks)])
        finish = result.timeline.finish
        for rank in set(range(ranks)) - {late}:
            mine = (schedule.src == rank) | (schedule.dst == rank)
            assert finish[mine].max() >= 101


# Negative controls: every schedule that differs in one row, judged by a plain loop over the definition


def is_right(schedule):
    """Say whether a schedule keeps its collective's promise: Counters of contributions, one loop over the rows."""
    ranks, chunks, collective = schedule.ranks, schedule.chunks, schedule.collective
    state = {
        (rank, int(chunk)): Counter([rank])
        for rank in range(ranks)
        for chunk in np.flatnonzero(collective.before(ranks, chunks, rank))
    }
    for step in range(schedule.steps):
        before, copied, written = dict(state), set(), set()
        for row in np.flatnonzero(schedule.step == step).tolist():
            src, dst, first = int(schedule.src[row]), int(schedule.dst[row]), int(schedule.chunk[row])
            for chunk in range(first, first + int(schedule.count[row])):
                place, copy = (dst, chunk), schedule.op[row] == Op.COPY
                if (src, chunk) not in before or (not copy and place not in state):
                    return False  # sends, or adds to, what is not there
                if place in copied or (copy and place in written):
                    return False  # only the order of rows would decide
                state[place] = before[src, chunk] if copy else state[place] + before[src, chunk]
                written.add(place)
                copied |= {place} if copy else set()
    for rank in range(ranks):
        for chunk, promised in zip(
            collective.outputs(ranks, chunks, rank).tolist(), collective.after(ranks, chunks, rank), strict=True
        ):
            due = Counter(np.flatnonzero(promised).tolist())
            held = state.get((rank, chunk), Counter())
            if due and (set(held) != set(due) if collective.at_least_once else held != due):
                return False
    return True


def mutants(schedule):
    """Every schedule that differs in one row, with how: dropped, doubled, sent elsewhere, from elsewhere, other op."""
    rows = list(range(len(schedule)))
    for row in rows:
        yield "dropped", oracles.with_rows(schedule, rows[:row] + rows[row + 1 :])
        yield "doubled", oracles.with_rows(schedule, [*rows[: row + 1], *rows[row:]])
        alone = oracles.with_rows(schedule, rows)  # every row a message of its own: packing changes no value
        src, dst = int(schedule.src[row]), int(schedule.dst[row])
        for other in sorted(set(range(schedule.ranks)) - {src, dst}):
            yield "sent elsewhere", oracles.with_columns(alone, dst={row: other})
            yield "from elsewhere", oracles.with_columns(alone, src={row: other})
        for chunk in {int(schedule.chunk[row]) - 1, int(schedule.chunk[row]) + 1}:
            if chunk >= 0 and chunk + int(schedule.count[row]) <= schedule.chunks:
                yield "other chunk", oracles.with_columns(alone, chunk={row: chunk})
        yield "other op", oracles.with_columns(alone, op={row: 1 - int(schedule.op[row])})


def schedule_of(row, ranks):
    options = {}
    if row.collective == "all_to_allv":
        options = {"counts": [[(3 * src + 5 * dst) % 4 for dst in range(ranks)] for src in range(ranks)]}
    elif "counts" in row.options:
        options = {"counts": [(3 * rank + 2) % 5 for rank in range(ranks)]}
    return cs.make_schedule(row.collective, row.name, ranks, **options)


# All algorithms on the fewest ranks on which one can go astray, 3, or 4 for those that need an even number; of the
# v-forms, whose moves are the plain ones', one each.
ONCE = {(row.collective, row.name) for row in {row.collective: row for row in TABLE}.values()}
MUTATED = [
    (row, 3 if three(row) else 4) for row in TABLE if "counts" not in row.options or (row.collective, row.name) in ONCE
]


def test_all_collectives_are_mutated():
    assert {row.collective for row, _ in MUTATED} == set(COLLECTIVES)
    assert {row.name for row, _ in MUTATED} == {row.name for row in TABLE}


@pytest.mark.parametrize(("row", "ranks"), MUTATED, ids=[f"{row.collective}-{row.name}-{k}" for row, k in MUTATED])
def test_a_schedule_with_one_wrong_row_is_refused(row, ranks):
    schedule = schedule_of(row, ranks)
    assert is_right(schedule)
    cs.verify(schedule)
    refused = Counter()
    for how, mutant in mutants(schedule):
        if is_right(mutant):
            cs.verify(mutant)
        else:
            refused[how] += 1
            with pytest.raises(cs.VerificationError):
                cs.verify(mutant)
    # That some are wrong is no accident of the oracle: most are.
    assert refused.total() > 0
    if row.collective != "barrier":
        assert refused["dropped"] > 0
        assert refused["doubled"] == len(schedule)
        assert refused["other op"] == len(schedule)


def test_the_mutants_that_are_right_have_reasons():
    # A barrier's contributions may come twice, in other words and by other ways.
    schedule = cs.make_schedule("barrier", "dissemination", 3)
    right = Counter(how for how, mutant in mutants(schedule) if is_right(mutant))
    assert right["doubled"] == len(schedule)
    # A token that goes round twice goes one round further than it must from the second rank on.
    schedule = cs.make_schedule("barrier", "double_ring", 3)
    assert Counter(how for how, mutant in mutants(schedule) if is_right(mutant))["dropped"] > 0
    # A copy may come from any rank that has it: in a ring's last round both others have the part.
    schedule = cs.make_schedule("all_gather", "ring", 3)
    right = Counter(how for how, mutant in mutants(schedule) if is_right(mutant))
    assert right == {"from elsewhere": 3}
    # Where every value has one way only, nothing else is right.
    for name, algorithm in (("scan", "linear"), ("send_recv", "direct"), ("all_to_all", "spread")):
        schedule = cs.make_schedule(name, algorithm, 3)
        assert not [how for how, mutant in mutants(schedule) if is_right(mutant)]


@pytest.mark.parametrize("root", [-1, 3, 0.5, "a"])
def test_a_root_must_be_a_rank(root):
    with pytest.raises(cs.InputError, match="root"):
        cs.ScheduleBuilder(cs.get_collective("broadcast", root=root), ranks=3).build()

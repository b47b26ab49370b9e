"""What every buffer holds after every step: against plain loops, against what is promised, and against real sums."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collsim as cs
from collsim.algorithms.table import ADMITS
from collsim.catalog import ALGORITHMS, make_schedule
from collsim.contents import Contents, history, rank_name, values_by_step

COUNTS = {"all_to_allv": lambda k: [[(i * j) % 4 for i in range(k)] for j in range(k)]}


def options_of(collective: str, ranks: int) -> dict:
    if not collective.endswith("v") or collective == "send_recv":
        return {}
    return {"counts": COUNTS.get(collective, lambda k: [(3 * i) % 5 for i in range(k)])(ranks)}


def table(*ranks: int) -> list[tuple[str, str, int]]:
    return [(c, name, k) for (c, name), row in ALGORITHMS.items() for k in ranks if ADMITS[row.admits](k)]


def counted(held: Contents) -> Counter[int]:
    return Counter(dict(zip(held.ranks, held.times, strict=True)))


def own(schedule: cs.Schedule) -> dict[tuple[int, int], Counter[int]]:
    """What every rank brings, as multisets of contributors."""
    state = {}
    for rank in range(schedule.ranks):
        for chunk, brings in enumerate(schedule.collective.before(schedule.ranks, schedule.chunks, rank)):
            state[rank, chunk] = Counter([rank] if brings else [])
    return state


def combine(schedule: cs.Schedule):
    if schedule.collective.at_least_once:
        return lambda here, arriving: here | arriving
    return lambda here, arriving: here + arriving


def places(state) -> dict[tuple[int, int], Counter[int]]:
    return {(rank, chunk): counted(held) for rank, row in enumerate(state) for chunk, held in enumerate(row)}


def assert_is_what_loops_find(schedule: cs.Schedule) -> None:
    found = history(schedule)
    expected = oracles.replay(schedule, own(schedule), combine(schedule))
    assert places(found.start) == expected[0]
    assert [places(step.after) for step in found] == expected[1:]
    assert [step.before for step in found] == [found.start, *(step.after for step in found)][: len(found)]
    # Every row, in the order of the table, with what it carries and what it leaves.
    assert [move.row for step in found for move in step.moves] == list(range(len(schedule)))
    for step in found:
        now = dict(expected[step.number])
        for move in step.moves:
            row = move.row
            assert (move.src, move.dst, move.op) == (schedule.src[row], schedule.dst[row], schedule.op[row])
            assert (move.message, step.number) == (schedule.message[row], schedule.step[row])
            first = int(schedule.chunk[row])
            moved = range(first, first + int(schedule.count[row])) if move.op != cs.Op.COMPUTE else ()
            assert [piece.chunk for piece in move.pieces] == list(moved)
            for piece in move.pieces:
                arriving, here = expected[step.number][move.src, piece.chunk], now[move.dst, piece.chunk]
                left = arriving if move.op == cs.Op.COPY else combine(schedule)(here, arriving)
                seen = [counted(held) for held in (piece.carried, piece.before, piece.after)]
                assert seen == [arriving, here, left]
                now[move.dst, piece.chunk] = left
        assert {place for place in now if now[place] != expected[step.number][place]} <= step.written


@pytest.mark.parametrize(("collective", "name", "ranks"), table(1, 3, 4))
def test_every_algorithm_of_the_table_goes_as_loops_find_it_and_ends_as_promised(collective, name, ranks):
    schedule = make_schedule(collective, name, ranks, **options_of(collective, ranks))
    assert_is_what_loops_find(schedule)
    found = history(schedule)
    ends = [
        (held, wanted)
        for row, must in zip(found.end, found.promised, strict=True)
        for held, wanted in zip(row, must, strict=True)
    ]
    assert all(held == wanted for held, wanted in ends if wanted)
    assert any(wanted for _, wanted in ends) or (collective, ranks) == ("exscan", 1)


@given(oracles.schedules())
def test_any_schedule_goes_as_loops_find_it_right_or_wrong(schedule):
    assert_is_what_loops_find(schedule)


@given(oracles.schedules())
def test_numbers_are_the_sums_of_what_contents_say(schedule):
    # A number whose digits, to the base of 10^3, say how often each rank's value is in it.
    x = np.array(
        [[(10**3) ** rank * (chunk + 1) for chunk in range(schedule.chunks)] for rank in range(schedule.ranks)]
    )
    found = history(schedule)
    for step, numbers in enumerate(values_by_step(schedule, x), start=-1):
        for rank, row in enumerate(found.state(step)):
            for chunk, held in enumerate(row):
                expected = sum(times * x[who, chunk] for who, times in counted(held).items())
                assert numbers[rank][chunk].tolist() == [expected]


@pytest.mark.parametrize(("collective", "name", "ranks"), table(5))
def test_numbers_end_as_execute_says(collective, name, ranks):
    if collective == "barrier":
        return
    schedule = make_schedule(collective, name, ranks, **options_of(collective, ranks))
    counts = options_of(collective, ranks).get("counts")
    elements = 7 if counts is None else int(np.max(np.sum(counts, axis=-1)))
    x = np.random.default_rng(0).integers(1, 99, (ranks, elements))
    *_, last = values_by_step(schedule, x)
    y, found = cs.execute(schedule, x), history(schedule)
    for rank in range(ranks):
        outputs = schedule.collective.outputs(ranks, schedule.chunks, rank).tolist()
        kept = [last[rank][c] * bool(found.promised[rank][c]) for c in outputs]
        assert np.concatenate(kept).tolist() == y[rank][: sum(map(len, kept))].tolist()


def test_groups_are_followed_rank_by_rank():
    of_two = make_schedule("all_reduce", "ring", 2)
    grid = cs.on_groups([of_two] * 4, [[0, 1], [2, 3], [0, 2], [1, 3]], ranks=4)
    assert_is_what_loops_find(grid)
    end = [[str(held) for held in row] for row in history(grid).end]
    assert end[0] == ["a+b", "a+b", "", "", "a+c", "a+c", "", ""]
    assert end[3] == ["", "", "c+d", "c+d", "", "", "b+d", "b+d"]


def test_a_wrong_schedule_shows_what_is_counted_twice_and_what_is_missing():
    right = make_schedule("all_reduce", "ring", 3)
    assert history(right).end == history(right).promised
    # The first message of the second round is added where it must replace, and what it makes is sent on.
    found = history(oracles.with_columns(right, op={6: cs.Op.REDUCE}))
    wrong = {(rank, chunk): str(held) for rank, row in enumerate(found.end) for chunk, held in enumerate(row)}
    assert {place: text for place, text in wrong.items() if text != "a+b+c"} == {(1, 1): "a+2b+c", (2, 1): "a+2b+c"}


def test_only_schedules_have_a_history():
    with pytest.raises(cs.InputError, match="history needs a Schedule"):
        history("ring")


def test_a_count_stops_growing_somewhere():
    plan = cs.ScheduleBuilder("all_reduce", 2)
    for step in range(70):  # doubles in every step: 2^70 fits into no integer
        plan.reduce(step=step, src=[0, 1], dst=[1, 0])
    (held,) = history(plan.build()).end[0]
    assert (held.ranks, held.once) == ((0, 1), False)
    assert held.times == (2**20, 2**20)


def test_local_work_and_steps_without_moves_change_nothing():
    plan = cs.ScheduleBuilder("all_reduce", 2)
    plan.compute(step=2, rank=1, seconds="5us", chunk=0, count=1)
    found = history(plan.build())
    assert [len(step.moves) for step in found] == [0, 0, 1]
    assert found.end == found.start
    (work,) = found[2].moves
    assert (work.op, work.src, work.dst, work.seconds, work.pieces, work.count) == (cs.Op.COMPUTE, 1, 1, 5e-6, (), 1)


@given(st.dictionaries(st.integers(0, 40), st.sampled_from([1, 1, 1, 2, 3]), max_size=20))
def test_sums_can_be_read_back_written_out_or_short(times):
    held = Contents(tuple(sorted(times)), tuple(times[rank] for rank in sorted(times)))
    ranks = {rank_name(rank): rank for rank in range(41)}
    for text in (str(held), held.short):
        read = Counter()
        for part in filter(None, text.split("+")):
            many, first, last = re.fullmatch(r"(\d*)\(?([a-z]\d*)(?:\.\.([a-z]\d*)\)?)?", part).groups()
            for rank in range(ranks[first], ranks[last or first] + 1):
                read[rank] += int(many or 1)
        assert read == Counter(times)
    assert len(held.short) <= len(str(held)) + 4


@pytest.mark.parametrize("step", [-2, 4, "x", 1.5, None])
def test_a_step_that_does_not_exist_is_refused(step):
    found = history(make_schedule("all_reduce", "ring", 3))
    with pytest.raises(cs.InputError, match="step"):
        found.state(step)
    assert (found.state(-1), found.state(3)) == (found.start, found.end)


def test_values_need_a_reduction_that_exists():
    with pytest.raises(cs.InputError, match="operation"):
        next(values_by_step(make_schedule("all_reduce", "ring", 2), [[1], [2]], op="mean"))


def test_what_would_not_fit_is_refused_before_it_is_begun(monkeypatch):
    monkeypatch.setattr("collsim.memory.available_bytes", lambda: 10_000)
    with pytest.raises(cs.InputError, match="use fewer ranks"):
        history(make_schedule("all_gather", "ring", 16))

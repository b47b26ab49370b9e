from __future__ import annotations

import numpy as np
import pytest

import collsim as cs
from collsim.schedule import Op

ROW = {"step": [0], "src": [0], "dst": [1], "chunk": [0], "count": [1], "op": [Op.COPY]}


def table(ranks=2, chunks=2, **columns):
    return cs.Schedule(collective=cs.get_collective("all_reduce"), ranks=ranks, chunks=chunks, **{**ROW, **columns})


def test_arguments_are_broadcast_to_one_row_each():
    plan = cs.ScheduleBuilder("all_reduce", ranks=4, chunks=8)
    handles = plan.reduce(step=2, src=[1, 2, 3], dst=0, chunk=[0, 2, 4], count=2)
    schedule = plan.build()
    assert handles.tolist() == [0, 1, 2]
    assert schedule.step.tolist() == [2, 2, 2]
    assert schedule.src.tolist() == [1, 2, 3]
    assert schedule.dst.tolist() == [0, 0, 0]
    assert schedule.chunk.tolist() == [0, 2, 4]
    assert schedule.count.tolist() == [2, 2, 2]
    assert schedule.op.tolist() == [Op.REDUCE] * 3
    assert (schedule.steps, schedule.messages, len(schedule)) == (3, 3, 3)


def test_rows_are_sorted_by_step_and_keep_their_order_within_one():
    plan = cs.ScheduleBuilder("all_reduce", ranks=3)
    for step, src in ((1, 0), (0, 2), (1, 2), (0, 0), (0, 1)):
        plan.copy(step=step, src=src, dst=(src + 1) % 3)
    schedule = plan.build()
    assert list(zip(schedule.step.tolist(), schedule.src.tolist(), strict=True)) == [
        (0, 2),
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 2),
    ]


def test_dependencies_follow_their_rows_when_these_are_sorted():
    plan = cs.ScheduleBuilder("all_reduce", ranks=4)
    late = plan.copy(step=1, src=0, dst=1)
    early = plan.copy(step=0, src=1, dst=2)
    plan.copy(step=2, src=[2, 3], dst=0, after=[*late, *early])
    # Sorted, `early` is row 0 and `late` row 1; each of the last two rows waits for both.
    assert sorted(map(tuple, plan.build().after.tolist())) == [(2, 0), (2, 1), (3, 0), (3, 1)]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"step": [-1]}, "negative step"),
        ({"src": [2]}, r"src outside 0\.\.1"),
        ({"src": [-1]}, r"src outside 0\.\.1"),
        ({"dst": [2]}, r"dst outside 0\.\.1"),
        ({"dst": [0]}, "sends to itself"),
        ({"op": [Op.COMPUTE]}, "computes on one rank for another"),
        ({"chunk": [2]}, r"chunks outside 0\.\.1"),
        ({"chunk": [-1]}, r"chunks outside 0\.\.1"),
        ({"chunk": [1], "count": [2]}, r"chunks outside 0\.\.1"),
        ({"count": [0]}, "moves no chunk"),
        ({"count": [-1]}, "moves no chunk"),
        ({"op": [3]}, "unknown op"),
        ({"op": [-1]}, "unknown op"),
        ({"seconds": [-1.0]}, "negative or infinite seconds"),
        ({"seconds": [np.nan]}, "negative or infinite seconds"),
        ({"seconds": [np.inf]}, "negative or infinite seconds"),
        ({"src": [0, 1]}, r"column 'src' has shape \(2,\), expected \(1,\)"),
    ],
)
def test_a_wrong_row_is_refused_and_described(columns, reason):
    with pytest.raises(cs.InputError, match=reason):
        table(**columns)


def test_the_first_wrong_row_is_named():
    two = {name: values * 2 for name, values in ROW.items()}
    with pytest.raises(cs.InputError, match=r"row 1 sends to itself: step 0: COPY of chunk 0 \(count 1\) from rank 1"):
        table(**{**two, "src": [0, 1], "dst": [1, 1]})


def test_steps_that_decrease_are_refused():
    two = {name: values * 2 for name, values in ROW.items()}
    with pytest.raises(cs.InputError, match="row 1 stands after a row of a later step"):
        table(**{**two, "step": [1, 0]})


@pytest.mark.parametrize("pair", [(0, 1), (0, 0), (1, 1)])
def test_a_forward_dependency_or_a_cycle_is_refused(pair):
    two = {name: values * 2 for name, values in ROW.items()}
    with pytest.raises(cs.InputError, match=f"row {pair[0]} waits for row {pair[1]}, which does not stand before it"):
        table(**two, after=[pair])


@pytest.mark.parametrize("pair", [(1, -1), (2, 0)])
def test_a_dependency_on_or_of_no_row_is_refused(pair):
    two = {name: values * 2 for name, values in ROW.items()}
    with pytest.raises(cs.InputError, match=str(max(pair))):
        table(**two, after=[pair])


def test_the_builder_refuses_a_dependency_on_a_later_step():
    plan = cs.ScheduleBuilder("all_reduce", ranks=4)
    later = plan.copy(step=1, src=0, dst=1)
    plan.copy(step=0, src=2, dst=3, after=later)
    with pytest.raises(cs.InputError, match="a cycle or a forward dependency"):
        plan.build()


def test_the_builder_refuses_a_handle_that_it_never_gave():
    plan = cs.ScheduleBuilder("all_reduce", ranks=2)
    plan.copy(step=0, src=0, dst=1, after=[5])
    with pytest.raises(cs.InputError, match=r"'after' names row 5, but the rows written are 0\.\.0"):
        plan.build()


@pytest.mark.parametrize("value", [0.5, "a", [0, 1.5]])
def test_the_builder_refuses_what_is_not_whole(value):
    with pytest.raises(cs.InputError, match="step must be whole numbers"):
        cs.ScheduleBuilder("all_reduce", ranks=2).copy(step=value, src=0, dst=1)


@pytest.mark.parametrize(("ranks", "chunks"), [(0, 1), (2.5, 1), (-3, 1), (2, 0), (2, "x")])
def test_the_builder_refuses_impossible_sizes(ranks, chunks):
    with pytest.raises(cs.InputError, match="must be a whole number of at least 1"):
        cs.ScheduleBuilder("all_reduce", ranks=ranks, chunks=chunks)


@pytest.mark.parametrize("columns", [{"step": [0.7]}, {"step": [2**32]}, {"chunk": [2**32]}, {"count": [2**32 + 1]}])
def test_a_value_that_does_not_fit_its_column_is_refused(columns):
    with pytest.raises(cs.InputError):
        table(**columns)


def test_a_schedule_cannot_be_written_to_nor_through_what_it_was_made_of():
    mine = np.array([0], dtype=np.int32)
    schedule = table(src=mine)
    mine[0] = 1
    assert schedule.src.tolist() == [0]
    with pytest.raises(ValueError, match="read-only"):
        schedule.src[0] = 1
    with pytest.raises(AttributeError):
        schedule.ranks = 3


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("elements", [0, 1, 2, 6, 7, 8, 1001])
def test_messages_of_whole_elements_are_cut_as_numpy_cuts(chunks, elements):
    plan = cs.ScheduleBuilder("all_reduce", ranks=2, chunks=chunks)
    plan.copy(step=0, src=0, dst=1, chunk=np.arange(chunks))
    plan.copy(step=1, src=0, dst=1, chunk=0, count=chunks)
    parts = [4.0 * len(part) for part in np.array_split(np.zeros(elements), chunks)]
    assert plan.build().message_bytes(4 * elements, itemsize=4).tolist() == [*parts, 4.0 * elements]


def test_by_default_messages_are_equal_shares_even_of_a_byte():
    plan = cs.ScheduleBuilder("all_reduce", ranks=2, chunks=3)
    plan.copy(step=0, src=0, dst=1, chunk=[0, 1, 1], count=[1, 1, 2])
    assert plan.build().message_bytes(10).tolist() == pytest.approx([10 / 3, 10 / 3, 20 / 3], rel=1e-15)


def test_a_size_that_is_not_whole_elements_is_refused():
    with pytest.raises(cs.InputError, match="size of 10 bytes is not a whole number of elements of 4 bytes"):
        table().message_bytes(10, itemsize=4)


def test_local_work_moves_no_bytes_and_is_no_message():
    plan = cs.ScheduleBuilder("all_reduce", ranks=2)
    plan.compute(step=0, rank=[0, 1], seconds=[1.0, 2.0], count=1)
    plan.copy(step=1, src=0, dst=1)
    schedule = plan.build()
    assert schedule.transfers.tolist() == [False, False, True]
    assert schedule.messages == 1
    assert schedule.message_bytes(8).tolist() == [0.0, 0.0, 8.0]
    assert schedule.seconds.tolist() == [1.0, 2.0, 0.0]


def test_a_schedule_without_moves_has_no_steps():
    schedule = cs.ScheduleBuilder("all_reduce", ranks=1).build()
    assert (len(schedule), schedule.steps, schedule.messages) == (0, 0, 0)
    assert schedule.message_bytes(8).tolist() == []
    assert schedule.to_frame().empty


def test_the_frame_has_the_table_with_ops_by_name():
    plan = cs.ScheduleBuilder("all_reduce", ranks=2, chunks=2)
    plan.reduce(step=0, src=0, dst=1, chunk=1)
    plan.compute(step=1, rank=1, seconds=0.5)
    frame = plan.build().to_frame()
    assert list(frame.columns) == ["step", "src", "dst", "chunk", "count", "message", "op", "seconds"]
    assert frame.to_numpy().tolist() == [[0, 0, 1, 1, 1, 0, "REDUCE", 0.0], [1, 1, 1, 0, 0, 1, "COMPUTE", 0.5]]


def test_its_repr_says_what_it_is():
    expected = "Schedule(all_reduce, ring, ranks=8, chunks=8, steps=14, messages=112)"
    assert repr(cs.make_schedule("all_reduce", "ring", ranks=8)) == expected

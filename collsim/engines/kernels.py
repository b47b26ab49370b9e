"""The compiled engine's inner loops: the same models as in `collsim.engines.events`, in numba.

Everything is an array that the caller has made: a kernel allocates nothing. So it can be left whenever something is to
be said (progress), made larger, or stopped, and entered again where it was.

Two things make it quick. Events that come a fixed time after they were ordered come in the order in which they were
ordered; so each such delay has a *lane*, a list that is sorted by itself, and only what has a delay of its own goes
through a heap. And max-min shares are worked out anew only for flows that are connected, by links that they share,
with a flow that starts or ends.

All compiled code is in this one file: numba keeps it on disk for as long as the file is the same, and does not look at
others.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np
from llvmlite import ir
from numba import njit as _njit
from numba.core import cgutils, types
from numba.core.typing.templates import AttributeTemplate, signature
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    models,
    register_model,
    type_callable,
)
from numpy.typing import NDArray

Array = NDArray[Any]

# What kernels see of a block of arrays is one address: of a table with the address and the length of each array.
# Numba's own way, tuples of arrays, hands some 300 numbers to every function: 3 times slower, and twice as long to
# compile (measured).
Floats = Annotated[Array, types.float64, 1]
Ints = Annotated[Array, types.int32, 1]
Longs = Annotated[Array, types.int64, 1]
Bytes = Annotated[Array, types.uint8, 1]
Flags = Annotated[Array, types.boolean, 1]
Pairs = Annotated[Array, types.int32, 2]


class Column(types.Type):
    """An array in a block; numbers that are not floats come out of it as int64."""

    def __init__(self, dtype: Any, width: int) -> None:
        self.dtype, self.width = dtype, width
        self.item = types.int64 if isinstance(dtype, types.Integer) else dtype
        super().__init__(f"Column({dtype}, {width})")


@cache
def _fields(kind: type) -> dict[str, tuple[Any, int] | None]:
    """Return what a block has, by name: of an array its type and width, of a whole number None."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: None if hint is int else hint.__metadata__ for name, hint in hints.items()}


class BlockType(types.Type):
    """A block of arrays, and whole numbers, by their names."""

    def __init__(self, kind: type) -> None:
        self.place: dict[str, int] = {}
        self.field: dict[str, Any] = {}
        for number, (name, column) in enumerate(_fields(kind).items()):
            self.place[name] = 2 * number
            self.field[name] = types.int64 if column is None else Column(*column)
        super().__init__(f"Block({kind.__name__})")


@register_model(BlockType)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager: Any, block: Any) -> None:
        super().__init__(manager, block, ir.IntType(64))


@register_model(Column)
class _ColumnModel(models.StructModel):
    def __init__(self, manager: Any, column: Any) -> None:
        super().__init__(manager, column, [("data", types.int64), ("size", types.int64)])


@infer_getattr
class _BlockAttribute(AttributeTemplate):
    key = BlockType

    def generic_resolve(self, block: Any, name: str) -> Any:
        return block.field.get(name)


def _word(builder: Any, address: Any, place: int) -> Any:
    pointer = builder.inttoptr(address, ir.IntType(64).as_pointer())
    word = builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), place)]))
    word.set_metadata("invariant.load", builder.module.add_metadata([]))  # nobody writes there while a kernel runs
    return word


@lower_getattr_generic(BlockType)
def _get_field(context: Any, builder: Any, block: Any, address: Any, name: str) -> Any:
    data = _word(builder, address, block.place[name])
    if block.field[name] is types.int64:
        return data
    column = cgutils.create_struct_proxy(block.field[name])(context, builder)
    column.data, column.size = data, _word(builder, address, block.place[name] + 1)
    return column._getvalue()


@type_callable(len)
def _type_len(context: Any) -> Any:
    return lambda column: types.int64 if isinstance(column, Column) else None


@lower_builtin(len, Column)
def _len(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).size


def _index_type(column: Any, index: Any) -> Any:
    if isinstance(column, Column):
        if column.width == 1 and isinstance(index, types.Integer):
            return types.int64
        if column.width > 1 and isinstance(index, types.BaseTuple) and len(index) == 2:
            return types.UniTuple(types.int64, 2)
    return None


@type_callable(operator.getitem)
def _type_getitem(context: Any) -> Any:
    def typer(column: Any, index: Any) -> Any:
        place = _index_type(column, index)
        return None if place is None else signature(column.item, column, place)

    return typer


@type_callable(operator.setitem)
def _type_setitem(context: Any) -> Any:
    def typer(column: Any, index: Any, value: Any) -> Any:
        place = _index_type(column, index)
        return None if place is None else signature(types.none, column, place, column.item)

    return typer


def _place(context: Any, builder: Any, column_type: Any, column: Any, index: Any) -> Any:
    """Return a pointer to an element."""
    data = cgutils.create_struct_proxy(column_type)(context, builder, column).data
    if column_type.width > 1:
        row, place = cgutils.unpack_tuple(builder, index)
        index = builder.add(builder.mul(row, ir.Constant(ir.IntType(64), column_type.width)), place)
    kept = types.uint8 if column_type.dtype is types.boolean else column_type.dtype
    return builder.gep(builder.inttoptr(data, context.get_data_type(kept).as_pointer()), [index])


@lower_builtin(operator.getitem, Column, types.Any)
def _getitem(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    column = signature.args[0]
    value = builder.load(_place(context, builder, column, *arguments))
    if column.dtype is types.boolean:
        return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
    return context.cast(builder, value, column.dtype, column.item)


@lower_builtin(operator.setitem, Column, types.Any, types.Any)
def _setitem(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    column = signature.args[0]
    value = arguments[2]
    if column.dtype is types.boolean:
        value = builder.zext(value, ir.IntType(8))
    else:
        value = context.cast(builder, value, column.item, column.dtype)
    builder.store(value, _place(context, builder, column, arguments[0], arguments[1]))
    return context.get_dummy_value()


def _at(kind: type) -> Any:
    """Return what makes, in a kernel, a block of an address."""
    block = BlockType(kind)

    @intrinsic
    def at(typing: Any, address: Any) -> Any:
        return block(types.int64), lambda context, builder, signature, arguments: arguments[0]

    return at


class Blocks:
    """The blocks of a run, as a kernel takes them."""

    def __init__(self, *blocks: Any) -> None:
        self.blocks = blocks  # kept alive: kernels know addresses only
        self.words = [_words(block) for block in blocks]
        self.where = np.array([words.ctypes.data for words in self.words], dtype=np.int64)


def _words(block: Any) -> Array:
    words: list[int] = []
    kind: type = type(block)
    for name, column in _fields(kind).items():
        value = getattr(block, name)
        if column is None:
            words += [int(value), 0]
            continue
        dtype, width = column
        expected = np.dtype(bool if dtype is types.boolean else dtype.name)
        if (
            value.dtype != expected
            or not value.flags.c_contiguous
            or value.shape[1:] != ((width,) if width > 1 else ())
        ):
            raise TypeError(
                f"{type(block).__name__}.{name} must be {expected} x {width}, got {value.dtype} {value.shape}"
            )
        words += [value.__array_interface__["data"][0], len(value)]
    return np.array(words, dtype=np.int64)


def njit(function: Any) -> Any:
    """Compile a function that kernels call."""
    return _njit(error_model="numpy")(function)


def inlined(function: Any) -> Any:
    """Compile a function that kernels call often, into each place where they do: a call costs as much as it does."""
    return _njit(error_model="numpy", forceinline=True)(function)


ADDRESSES = types.Array(types.int64, 1, "C")


def kernel(function: Any) -> Any:
    """Compile a kernel, or a function of arrays, and keep it on disk."""
    return _njit(cache=True, error_model="numpy")(function)


INF = np.inf
LANES, RECENT = 8, 4
# The lane of what takes no time: it comes after all else of an instant, in the order in which it was ordered.
AT_ONCE = 0
HEAD, TAIL = 0, 1  # of a lane
NEXT, PREV = 0, 1  # of an event, or a customer
NUMBER, ROUTE = 0, 1  # of a slot

# Why a kernel comes back.
DONE, TELL, MORE_SLOTS, MORE_DECISIONS = range(4)

# Where a message stands on its way: what its next event means.
FLYING, FLOWING = 1, 2
# Under LogGP: what has happened to it.
POSTED, OWN_PART, MATCHED, TAKEN_IN = 1, 2, 4, 8

# Places in State.count
READY_HEAD, READY_TAIL, FINISHED, TURNS, DECISIONS, FREE_SLOTS, USED_SLOTS = range(7)
RELEASES, MOMENTS, POSTS, TOUCHED, STARTED, LINE_HEAD, LINE_TAIL, ENDED, ASIDE = range(7, 16)
COUNTS = 16

# Places in Queue.size
HEAPED, LOOKED_AT, USED_LAST, NOT_EMPTY, LANES_USED, HOLE, OLDEST = range(7)


class Queue(NamedTuple):
    """Events in the order of time. An event is a number; it is in the queue at most once."""

    time: Floats  # of each event
    link: Pairs  # (events, 2): next and previous in its lane
    # Where each event is: lane, or LANES + place in the heap. Only where events are taken out; elsewhere it is empty,
    # and nobody keeps what is previous.
    place: Ints
    lane: Pairs  # (LANES, 2): first and last event
    delay: Floats  # of each lane
    key: Floats  # times in the heap; infinite behind its end, and there are more of them than events
    heap: Ints  # events in the heap
    # Events in the heap, lane `due` looks at, lane used last, lanes not empty, lanes ever used, whether the first place
    # of the heap is a hole (the next event fills it: one round through the heap instead of two), the oldest delay.
    size: Longs
    recent: Floats  # the last delays that had no lane, each of which gets one if it comes again soon


queue_at = _at(Queue)


def new_queue(events: int, *, taken_out: bool) -> Queue:
    """Return an empty queue for so many events."""
    return Queue(
        np.empty(events),  # written before it is read, as all that is empty here
        np.empty((events, 2), dtype=np.int32),
        np.empty(events if taken_out else 0, dtype=np.int32),
        np.full((LANES, 2), -1, dtype=np.int32),
        np.full(LANES, np.nan),
        np.full(events + 5, INF),
        np.empty(events, dtype=np.int32),
        np.array([0, 1, 1, 0, 2, 0, 0]),
        np.full(RECENT, np.nan),
    )


def larger_queue(q: Queue, events: int) -> Queue:
    """Return the same queue, with room for so many events."""
    return q._replace(
        time=longer(q.time, events),
        link=longer(q.link, events),
        place=longer(q.place, events) if len(q.place) else q.place,
        key=longer(q.key, events + 5, INF),
        heap=longer(q.heap, events),
    )


def longer(array: Array, length: int, fill: float = 0) -> Array:
    """Return an array with more rows behind it."""
    more = np.full((length - len(array), *array.shape[1:]), fill, dtype=array.dtype)
    return np.concatenate([array, more])


@njit
def _up(q: Queue, i: int, event: int, t: float) -> None:
    kept = len(q.place) > 0
    while i > 0:
        parent = (i - 1) >> 2
        if q.key[parent] <= t:
            break
        other = q.heap[parent]
        q.key[i] = q.key[parent]
        q.heap[i] = other
        if kept:
            q.place[other] = LANES + i
        i = parent
    q.key[i] = t
    q.heap[i] = event
    if kept:
        q.place[event] = LANES + i


@njit
def _down(q: Queue, i: int, event: int, t: float) -> None:
    n, kept = q.size[HEAPED], len(q.place) > 0
    while True:
        child = 4 * i + 1
        if child >= n:
            break
        # Which is the least is worked out without a branch, for nobody can foresee it.
        one, two = q.key[child], q.key[child + 1]
        three, four = q.key[child + 2], q.key[child + 3]
        best, best_of_others = child + int(two < one), child + 2 + int(four < three)
        least, least_of_others = min(one, two), min(three, four)
        best += (best_of_others - best) * int(least_of_others < least)
        least = min(least, least_of_others)
        if least >= t:
            break
        other = q.heap[best]
        q.key[i] = least
        q.heap[i] = other
        if kept:
            q.place[other] = LANES + i
        i = best
    q.key[i] = t
    q.heap[i] = event
    if kept:
        q.place[event] = LANES + i


@inlined
def _into_heap(q: Queue, event: int, t: float) -> None:
    if q.size[HOLE]:
        q.size[HOLE] = 0
        _down(q, 0, event, t)
    else:
        i = q.size[HEAPED]
        q.size[HEAPED] = i + 1
        _up(q, i, event, t)


@inlined
def _first_in_heap(q: Queue) -> float:
    """Return the time of the first event in the heap; infinite if there is none."""
    return min(min(q.key[1], q.key[2]), min(q.key[3], q.key[4])) if q.size[HOLE] else q.key[0]


@inlined
def _out_of_heap(q: Queue) -> int:
    """Take the first event out of the heap, which has one."""
    if q.size[HOLE]:
        _fill(q, 0)
    event = q.heap[0]
    q.size[HOLE] = 1
    q.key[0] = -INF  # so nothing goes there but what is put there
    return event


@inlined
def _fill(q: Queue, i: int) -> None:
    """Put the last in the heap to a place that is free."""
    n = q.size[HEAPED] - 1
    q.size[HEAPED] = n
    last, t = q.heap[n], q.key[n]
    q.key[n] = INF
    if i == n:
        return
    if i > 0 and q.key[(i - 1) >> 2] > t:
        _up(q, i, last, t)
    else:
        _down(q, i, last, t)


@njit
def _find_lane(q: Queue, delay: float) -> int:
    """Return the lane of a delay, -1 if there is none; a delay that comes again soon gets an empty one."""
    for lane in range(1, q.size[LANES_USED]):
        if q.delay[lane] == delay:
            return lane
    known = False
    for i in range(RECENT):
        known |= q.recent[i] == delay
    if known:
        for lane in range(1, LANES):
            if q.lane[lane, HEAD] < 0:
                q.delay[lane] = delay
                q.size[LANES_USED] = max(q.size[LANES_USED], lane + 1)
                return lane
    else:
        i = q.size[OLDEST]
        q.recent[i] = delay
        q.size[OLDEST] = (i + 1) % RECENT
    return -1


@inlined
def add(q: Queue, event: int, now: float, delay: float) -> None:
    """Let an event come `delay` after `now`."""
    add_at(q, event, now, now + delay, delay)


@inlined
def add_at(q: Queue, event: int, now: float, t: float, kind: float) -> None:
    """Let an event come at `t`; it shares a lane with others of its kind, as a rule those of the same delay."""
    q.time[event] = t
    lane = q.size[USED_LAST]
    if t <= now:
        lane = AT_ONCE
    elif q.delay[lane] != kind:
        lane = _find_lane(q, kind)
    last = q.lane[lane, TAIL] if lane >= 0 else -1
    if lane < 0 or (last >= 0 and q.time[last] > t):
        _into_heap(q, event, t)
        return
    if lane != AT_ONCE:
        q.size[USED_LAST] = lane
    if last >= 0:
        q.link[last, NEXT] = event
    else:
        q.lane[lane, HEAD] = event
        q.size[NOT_EMPTY] += 1
    q.link[event, NEXT] = -1
    if len(q.place):
        q.link[event, PREV] = last
        q.place[event] = lane
    q.lane[lane, TAIL] = event


@njit
def remove(q: Queue, event: int) -> None:
    """Take an event out of the queue."""
    where = q.place[event]
    if where >= LANES:
        _fill(q, where - LANES)
        return
    before, after = q.link[event, PREV], q.link[event, NEXT]
    if before >= 0:
        q.link[before, NEXT] = after
    else:
        q.lane[where, HEAD] = after
    if after >= 0:
        q.link[after, PREV] = before
    else:
        q.lane[where, TAIL] = before
        if before < 0:
            q.size[NOT_EMPTY] -= 1


@inlined
def next_time(q: Queue) -> float:
    """Return the time of the next event; infinite if there is none."""
    t = _first_in_heap(q)
    if q.size[NOT_EMPTY]:
        for lane in range(q.size[LANES_USED]):
            event = q.lane[lane, HEAD]
            if event >= 0 and q.time[event] < t:
                t = q.time[event]
    return t


@inlined
def due(q: Queue, limit: float) -> int:
    """Take an event of a time up to `limit` out of the queue; -1 if there is none."""
    if q.size[NOT_EMPTY]:
        lane, lanes = q.size[LOOKED_AT], q.size[LANES_USED]
        for _ in range(1, lanes):
            event = q.lane[lane, HEAD]
            if event >= 0 and q.time[event] <= limit:
                _leave_lane(q, lane, event)
                q.size[LOOKED_AT] = lane
                return event
            lane = lane + 1 if lane + 1 < lanes else 1
    if _first_in_heap(q) <= limit:
        return _out_of_heap(q)
    event = q.lane[AT_ONCE, HEAD]
    if event >= 0:
        _leave_lane(q, AT_ONCE, event)
    return event


@inlined
def _leave_lane(q: Queue, lane: int, event: int) -> None:
    after = q.link[event, NEXT]
    q.lane[lane, HEAD] = after
    if after >= 0:
        if len(q.place):
            q.link[after, PREV] = -1
    else:
        q.lane[lane, TAIL] = -1
        q.size[NOT_EMPTY] -= 1


class Graph(NamedTuple):
    """The moves, and what waits for what: ordered by step in short, anything else by lists of gates."""

    transfer: Flags  # bool (moves,); empty if all moves are messages
    owner: Ints  # the move that each number in `Slots.what` is part of; empty if these are the moves
    pair: Ints  # of each move: its sender and receiver, in the next two
    src: Ints
    dst: Ints
    nbytes: Floats  # of each move; of all of them if it is the same
    same: int  # 1 if it is
    work: Floats  # seconds; empty if no move has any
    # What each counter still waits for, in one of two widths; by step and without releases it can only be one thing
    # for each end of a move, and then there are no counters.
    waits: Ints
    few: Bytes
    apart: int  # 1 if each end of a move has a counter of its own
    by_step: int  # 1 if moves are ordered by step
    first: Ints  # else: of each moment's gates in `item`
    # By step: of each gate the next one of the same rank, if that is of a later step as -2 less its number; -1 after
    # the last. Else gates.
    item: Ints
    at: Ints  # by step: the gate at which each rank enters its next step; -1 if it has none
    left: Ints  # by step: moves of its step that each rank has still to finish
    release_time: Floats  # in ascending order
    release_gate: Longs


graph_at = _at(Graph)


class Times(NamedTuple):
    """When things happened; the arrays of single moves are empty if nobody asks for them."""

    ready: Floats
    start: Floats
    sent: Floats
    arrive: Floats
    finish: Floats
    rank: Floats  # when each rank was done last


times_at = _at(Times)


class Costs(NamedTuple):
    """What messages cost."""

    route: Ints  # max-min, fifo: of each message, or of each of its parts; elsewhere routes have the numbers of pairs
    fixed: Floats  # of each pair of ranks: alpha, or LogGP's L
    per_byte: Floats  # of each pair: beta, or G
    figures: Floats  # LogGP's o, g, O, S
    hops: int  # of the longest route
    in_order: int  # 1 if anything may take no time, or so little that the clock does not show it


costs_at = _at(Costs)


class State(NamedTuple):
    """What a kernel must know when it is entered again."""

    now: Floats
    count: Longs
    ready: Ints  # moves that are ready and were not told yet, in the order in which they became so
    posted: Ints  # messages that waited until their receiver was ready, and were not told so yet
    pile: Ints  # of moments that have come and were not told yet
    happened: Bytes  # LogGP: what has happened to each message


state_at = _at(State)


class Slots(NamedTuple):
    """What is on its way. Whatever waits or moves has a slot for as long as it does, and `servers` + slot is its event.

    So what is known of it only meanwhile takes room only then; and there is so little of it that it stays in the cache.
    """

    # (slots, 2): number of the move (where messages come in parts that of its first one), or of the part of a message,
    # and number of the route.
    what: Pairs
    stage: Bytes  # max-min: FLYING or FLOWING
    hop: Ints  # fifo: how far it is on its route
    free: Ints  # slots that were given back


slots_at = _at(Slots)


def new_slots(slots: int) -> Slots:
    """Return so many slots."""
    return Slots(
        np.empty((slots, 2), dtype=np.int32),
        np.empty(slots, dtype=np.uint8),
        np.empty(slots, dtype=np.int32),
        np.empty(slots, dtype=np.int32),
    )


def larger_slots(slots: Slots, length: int) -> Slots:
    """Return the same slots, and more."""
    return Slots(*(longer(column, length) for column in slots))


@inlined
def take_slot(slots: Slots, state: State, number: int, route: int) -> int:
    """Return a free slot; `_turns` has seen that there are enough."""
    if state.count[FREE_SLOTS]:
        state.count[FREE_SLOTS] -= 1
        slot = slots.free[state.count[FREE_SLOTS]]
    else:
        slot = state.count[USED_SLOTS]
        state.count[USED_SLOTS] += 1
    slots.what[slot, NUMBER] = number
    slots.what[slot, ROUTE] = route
    return slot


@inlined
def give_back(slots: Slots, state: State, slot: int) -> None:
    """Let others have a slot."""
    slots.free[state.count[FREE_SLOTS]] = slot
    state.count[FREE_SLOTS] += 1


@inlined
def size_of(g: Graph, row: int) -> float:
    """Return the bytes of a message."""
    return g.nbytes[0] if g.same else g.nbytes[row]


@inlined
def row_of(g: Graph, slots: Slots, slot: int) -> int:
    """Return the move that has a slot, or whose part has it."""
    number = slots.what[slot, NUMBER]
    return g.owner[number] if len(g.owner) else number


@inlined
def is_transfer(g: Graph, row: int) -> bool:
    """Whether a move is a message."""
    return not len(g.transfer) or g.transfer[row]


@inlined
def _become_ready(state: State, row: int) -> None:
    state.ready[state.count[READY_TAIL]] = row
    state.count[READY_TAIL] += 1


@inlined
def take_ready(state: State) -> int:
    """Return a move that is ready and was not told yet; -1 if there is none."""
    head = state.count[READY_HEAD]
    if head == state.count[READY_TAIL]:
        return -1
    row = state.ready[head]
    head += 1
    if head == state.count[READY_TAIL]:
        head = state.count[READY_TAIL] = 0
    state.count[READY_HEAD] = head
    return row


@inlined
def _waits_still(g: Graph, counter: int) -> bool:
    """Count down what a gate waits for, and say whether that is not all."""
    if len(g.waits):
        g.waits[counter] -= 1
        return g.waits[counter] > 0
    if len(g.few):
        g.few[counter] -= 1
        return g.few[counter] > 0
    return False


@njit
def _count_down(g: Graph, state: State, gate: int) -> None:
    moves = len(g.pair)
    if _waits_still(g, gate if g.apart else gate >> 1):
        return
    row = gate >> 1
    if gate & 1 and g.apart and (row >= moves or not is_transfer(g, row)):
        return  # joins and local work have one end
    if row >= moves:
        state.pile[state.count[MOMENTS]] = gate | 1
        state.count[MOMENTS] += 1
    elif g.apart and gate & 1:
        _post(state, row)
    else:
        _become_ready(state, row)


@inlined
def _post(state: State, row: int) -> None:
    """Take note that a receiver is ready for a message."""
    state.happened[row] |= POSTED
    if state.happened[row] & MATCHED:
        state.posted[state.count[POSTS]] = row
        state.count[POSTS] += 1


@inlined
def take_posted(state: State) -> int:
    """Return a message that waited until its receiver was ready, and was not told so yet; -1 if there is none."""
    if state.count[POSTS] == 0:
        return -1
    state.count[POSTS] -= 1
    return state.posted[state.count[POSTS]]


@njit
def enter(g: Graph, state: State, rank: int) -> None:
    """Let a rank enter the next step in which it has moves."""
    gate, gates = g.at[rank], 0
    while gate >= 0:
        after = g.item[gate]
        _count_down(g, state, gate)
        gates += 1
        gate = after
    g.left[rank] = gates
    g.at[rank] = -2 - gate if gate < -1 else -1


@njit
def passed(g: Graph, state: State, moment: int, rank: int) -> None:
    """Tell all that wait for a moment of a move: 2 row, its sender is done; 2 row + 1, it has finished (at `rank`)."""
    if g.by_step:
        if moment & 1 or is_transfer(g, moment >> 1):
            g.left[rank] -= 1
            if g.left[rank] == 0:
                enter(g, state, rank)
        return
    state.pile[state.count[MOMENTS]] = moment
    state.count[MOMENTS] += 1
    _tell(g, state)


@njit
def _tell(g: Graph, state: State) -> None:
    """Tell all that wait for the moments on the pile."""
    while state.count[MOMENTS]:
        state.count[MOMENTS] -= 1
        told = state.pile[state.count[MOMENTS]]
        for i in range(g.first[told], g.first[told + 1]):
            _count_down(g, state, g.item[i])


@njit
def begin(g: Graph, state: State) -> None:
    """Let everything start that waits for nothing."""
    if state.count[STARTED]:
        return
    state.count[STARTED] = 1
    if g.by_step:
        for rank in range(len(g.at)):
            enter(g, state, rank)
    else:
        for counter in range(max(len(g.waits), len(g.few))):  # each waits for the start, too
            _count_down(g, state, counter if g.apart else 2 * counter)
        _tell(g, state)


@njit
def release(g: Graph, state: State, now: float) -> None:
    """Tell the gates that wait for this time of the clock."""
    i = state.count[RELEASES]
    while i < len(g.release_time) and g.release_time[i] <= now:
        _count_down(g, state, g.release_gate[i])
        i += 1
    state.count[RELEASES] = i


@njit
def next_release(g: Graph, state: State) -> float:
    """Return the next time of the clock that gates wait for; infinite if there is none."""
    i = state.count[RELEASES]
    return g.release_time[i] if i < len(g.release_time) else INF


class Stations(NamedTuple):
    """Servers, one customer at a time: who came first is served first, of those at one instant the lowest number.

    Events below the number of servers are theirs: the one served is done, or somebody's turn has come.
    """

    busy: Flags  # bool (servers,); of those that have an `until`: somebody waits for it, so there is an event
    until: Floats  # how long each is busy: send ports, links of fifo, and the parts of LogGP's hosts
    queue: Pairs  # (servers, 2): first and last customer
    serving: Ints  # slot of the customer of each server; under LogGP what it is, as `_SENDING` and so on say
    # Customers have the numbers of events. Nobody is a customer that waits and an event under way at once: the next
    # two are the queue's own columns.
    came: Floats  # of each customer
    link: Pairs  # (customers, 2): next and previous in the queue
    quick: Flags  # bool (customers,): takes no time; empty where none may
    # Servers that may serve at the end of an instant, as a customer's number << 32 | server: a list that is sorted
    # by itself, for mostly they come so, and a heap for the others. Where their order makes no difference all are in
    # the list, each once, as they came: so what they send is in order too where it meets.
    line: Longs
    decision: Longs
    pending: Flags  # bool (servers,): in the list


stations_at = _at(Stations)


def new_stations(servers: int, q: Queue, decisions: int, *, quick: bool) -> Stations:
    """Return idle servers, with room for so many decisions at first."""
    return Stations(
        np.zeros(servers, dtype=np.bool_),
        np.full(servers, -1.0),
        np.full((servers, 2), -1, dtype=np.int32),
        np.full(servers, -1, dtype=np.int32),
        q.time,
        q.link,
        np.zeros(len(q.time) if quick else 0, dtype=np.bool_),
        np.zeros(decisions, dtype=np.int64),
        np.zeros(decisions, dtype=np.int64),
        np.zeros(servers, dtype=np.bool_),
    )


def at_larger_queue(st: Stations, q: Queue) -> Stations:
    """Return the same servers, for the events of a queue that was made larger."""
    quick = longer(st.quick, len(q.time)) if len(st.quick) else st.quick
    return st._replace(came=q.time, link=q.link, quick=quick)


@inlined
def _number(st: Stations, slots: Slots, customer: int) -> int:
    return slots.what[customer - len(st.busy), NUMBER]


@inlined
def come(
    st: Stations, state: State, slots: Slots, server: int, slot: int, now: float, seconds: float, in_order: bool
) -> None:
    """Queue up whoever has this slot, and let the server decide."""
    queue_up(st, slots, server, slot, now, seconds)
    decide(st, state, server, slots.what[slot, NUMBER], in_order)


@inlined
def queue_up(st: Stations, slots: Slots, server: int, slot: int, now: float, seconds: float) -> None:
    """Put a customer into a queue: by when it comes, then by number."""
    customer = len(st.busy) + slot
    st.came[customer] = now
    if len(st.quick):
        st.quick[customer] = seconds <= 0
    after, before = -1, st.queue[server, TAIL]
    while before >= 0 and st.came[before] == now and _number(st, slots, before) > slots.what[slot, NUMBER]:
        after, before = before, st.link[before, PREV]
    st.link[customer, NEXT] = after
    st.link[customer, PREV] = before
    if before >= 0:
        st.link[before, NEXT] = customer
    else:
        st.queue[server, HEAD] = customer
    if after >= 0:
        st.link[after, PREV] = customer
    else:
        st.queue[server, TAIL] = customer


@inlined
def decide(st: Stations, state: State, server: int, number: int, in_order: bool) -> None:
    """Have a server look for its next customer at the end of this instant.

    In what order servers do so matters only where something takes no time (or so little that the clock does not show
    it), so that one brings about another at this same instant: `in_order` is by the number of the customer.
    """
    key = (np.int64(number) << 32) | server
    tail = state.count[LINE_TAIL]
    if not in_order:
        if st.pending[server]:
            return
        st.pending[server] = True
    if tail == state.count[LINE_HEAD]:
        state.count[LINE_HEAD] = tail = 0
    if not in_order or tail == 0 or st.line[tail - 1] <= key:
        st.line[tail] = key
        state.count[LINE_TAIL] = tail + 1
        return
    i = state.count[DECISIONS]
    state.count[DECISIONS] = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        if st.decision[parent] <= key:
            break
        st.decision[i] = st.decision[parent]
        i = parent
    st.decision[i] = key


@inlined
def next_decision(st: Stations, state: State, in_order: bool) -> int:
    """Return the next decision, number << 32 | server; -1 if there is none."""
    n = state.count[DECISIONS]
    head = state.count[LINE_HEAD]
    if head < state.count[LINE_TAIL] and (n == 0 or st.line[head] <= st.decision[0]):
        state.count[LINE_HEAD] = head + 1
        if not in_order:
            st.pending[st.line[head] & 0xFFFFFFFF] = False
        return st.line[head]
    if n == 0:
        return -1
    n -= 1
    state.count[DECISIONS] = n
    first = st.decision[0]
    key = st.decision[n]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and st.decision[child + 1] < st.decision[child]:
            child += 1
        if st.decision[child] >= key:
            break
        st.decision[i] = st.decision[child]
        i = child
    st.decision[i] = key
    return first


@inlined
def _decisions(state: State) -> bool:
    """Whether any server may serve at the end of this instant."""
    return state.count[DECISIONS] > 0 or state.count[LINE_HEAD] < state.count[LINE_TAIL]


@inlined
def _stirred(q: Queue, state: State) -> bool:
    """Whether a decision has brought about anything at this same instant."""
    return state.count[READY_TAIL] > 0 or state.count[POSTS] > 0 or q.lane[AT_ONCE, HEAD] >= 0


@inlined
def _turn(st: Stations, slots: Slots, server: int, in_order: bool) -> int:
    """Return the number that says when a server decides; -1 if it is busy or has no customer."""
    customer = st.queue[server, HEAD]
    if st.busy[server] or customer < 0:
        return -1
    if not in_order:
        return 0
    # One that takes no time lets those behind it through at this same instant.
    return _least(st, slots, server) if st.quick[customer] else _number(st, slots, customer)


@njit
def _least(st: Stations, slots: Slots, queue: int) -> int:
    """Return the least number of all in a queue, where there is somebody."""
    customer, last = st.queue[queue, HEAD], st.queue[queue, TAIL]
    least = _number(st, slots, customer)
    if st.came[customer] < st.came[last]:  # those who come together stand by number
        while customer >= 0:
            least = min(least, _number(st, slots, customer))
            customer = st.link[customer, NEXT]
    return least


@inlined
def serve(st: Stations, state: State, slots: Slots, decision: int, in_order: bool) -> int:
    """Return the slot of whom a server now serves; -1 if there is none, or if its turn is later in this instant."""
    server = decision & 0xFFFFFFFF
    turn = _turn(st, slots, server, in_order)
    if turn < 0:
        return -1
    if in_order and turn > decision >> 32:
        decide(st, state, server, turn, in_order)
        return -1
    slot = _take(st, server) - len(st.busy)
    st.busy[server] = True
    st.serving[server] = slot
    return slot


@inlined
def _take(st: Stations, queue: int) -> int:
    customer = st.queue[queue, HEAD]
    after = st.link[customer, NEXT]
    st.queue[queue, HEAD] = after
    if after >= 0:
        st.link[after, PREV] = -1
    else:
        st.queue[queue, TAIL] = -1
    return customer


@inlined
def free(st: Stations, state: State, slots: Slots, server: int, in_order: bool) -> None:
    """Let a server be done with its customer."""
    st.busy[server] = False
    turn = _turn(st, slots, server, in_order)
    if turn >= 0:
        decide(st, state, server, turn, in_order)


@inlined
def _finish(g: Graph, state: State, times: Times, row: int, now: float) -> None:
    if len(times.finish):
        times.finish[row] = now
    dst = g.dst[g.pair[row]]
    times.rank[dst] = now
    state.count[FINISHED] += 1
    if not g.apart or not is_transfer(g, row):
        _sent(g, state, times, row, now)
    passed(g, state, 2 * row + 1, dst)


@inlined
def _sent(g: Graph, state: State, times: Times, row: int, now: float) -> None:
    if len(times.sent):
        times.sent[row] = now
    src = g.src[g.pair[row]]
    times.rank[src] = now
    passed(g, state, 2 * row, src)


@inlined
def _begin_work(times: Times, row: int, now: float) -> None:
    if len(times.start):
        times.start[row] = now
    if len(times.arrive):
        times.arrive[row] = now


@inlined
def _leave(g: Graph, state: State, slots: Slots, times: Times, slot: int, now: float) -> None:
    """Let what has a slot be finished."""
    row = row_of(g, slots, slot)
    give_back(slots, state, slot)
    _finish(g, state, times, row, now)


@inlined
def _arrive(
    g: Graph,
    state: State,
    slots: Slots,
    times: Times,
    st: Stations,
    processors: int,
    slot: int,
    now: float,
    in_order: bool,
) -> None:
    """Hand a message that is there, or local work, to the processor of its rank."""
    row = row_of(g, slots, slot)
    if len(times.arrive) and is_transfer(g, row):
        times.arrive[row] = now
    work = g.work[row] if len(g.work) else 0.0
    if work > 0:
        come(st, state, slots, processors + g.dst[g.pair[row]], slot, now, work, in_order)
        return
    if not is_transfer(g, row):
        _begin_work(times, row, now)
    _leave(g, state, slots, times, slot, now)


@njit
def _work(g: Graph, q: Queue, times: Times, server: int, row: int, now: float) -> None:
    """Let a processor begin with a move."""
    if not is_transfer(g, row):
        _begin_work(times, row, now)
    add(q, server, now, g.work[row])


@njit
def _advance(g: Graph, q: Queue, state: State) -> float:
    """Return the next time at which anything happens; infinite if nothing does."""
    now = min(next_time(q), next_release(g, state))
    if now < INF:
        state.now[0] = now
        release(g, state, now)
    return now


@njit
def _turns(state: State, slots: Slots, st: Stations, adding: int) -> int:
    """Return how many turns a kernel may take before it must ask again: each may add `adding` slots and decisions.

    Less than one, it is why the kernel must be left for a moment, negated. To ask at every turn costs a tenth of the
    time.
    """
    turns = state.count[TURNS]
    if turns <= 0:
        return -TELL
    turns = min(turns, (len(slots.stage) - state.count[USED_SLOTS] + state.count[FREE_SLOTS]) // adding)
    if turns <= 0:
        return -MORE_SLOTS
    used = max(state.count[DECISIONS], state.count[LINE_TAIL])
    turns = min(turns, (len(st.decision) - used) // adding)
    if turns <= 0:
        return -MORE_DECISIONS
    state.count[TURNS] -= turns
    return turns


@inlined
def _await(q: Queue, st: Stations, server: int, now: float, kind: float) -> None:
    """Let a server decide again when it is free, if anybody waits for that; nobody else asks."""
    if st.queue[server, HEAD] >= 0 and not st.busy[server]:
        st.busy[server] = True
        add_at(q, server, now, st.until[server], kind)


_AT_A_PORT = -1.0  # the kind of the events at which it is free


@kernel
def alpha_beta(where: Array) -> int:
    """Ports at the ranks (see `collsim.engines.alpha_beta`); alpha and beta of each route."""
    g, q, state, slots = graph_at(where[0]), queue_at(where[1]), state_at(where[2]), slots_at(where[3])
    times, st, costs = times_at(where[4]), stations_at(where[5]), costs_at(where[6])
    alpha, beta = costs.fixed, costs.per_byte
    in_order = costs.in_order != 0
    ranks = len(times.rank)
    servers = len(st.busy)
    begin(g, state)
    now = state.now[0]
    release(g, state, now)
    turns = 0
    while True:
        while True:
            if turns == 0:
                turns = _turns(state, slots, st, 4)
                if turns < 0:
                    return -turns
            turns -= 1
            row = take_ready(state)
            if row >= 0:
                if len(times.ready):
                    times.ready[row] = now
                pair = g.pair[row]
                slot = take_slot(slots, state, row, pair)
                if is_transfer(g, row):
                    port = g.src[pair]
                    queue_up(st, slots, port, slot, now, beta[pair] * size_of(g, row) if in_order else 1.0)
                    if st.until[port] > now:
                        _await(q, st, port, now, _AT_A_PORT)
                    else:
                        decide(st, state, port, row, in_order)
                else:
                    _arrive(g, state, slots, times, st, 2 * ranks, slot, now, in_order)
                continue
            event = due(q, now)
            if event >= servers:
                slot = event - servers
                pair = slots.what[slot, ROUTE]
                busy = beta[pair] * size_of(g, slots.what[slot, NUMBER]) if in_order else 1.0
                come(st, state, slots, ranks + g.dst[pair], slot, now, busy, in_order)
                continue
            if event >= 0:
                slot = st.serving[event]
                free(st, state, slots, event, in_order)
                if event >= 2 * ranks:
                    _leave(g, state, slots, times, slot, now)
                elif event >= ranks:
                    _arrive(g, state, slots, times, st, 2 * ranks, slot, now, in_order)
                continue
            if not _decisions(state):
                break
            state.count[TURNS] += turns  # asked again, for there may be many decisions in this one
            turns = 0
            while True:
                decision = next_decision(st, state, in_order)
                if decision < 0:
                    break
                server = decision & 0xFFFFFFFF
                if st.until[server] > now:
                    _await(q, st, server, now, _AT_A_PORT)
                    continue
                slot = serve(st, state, slots, decision, in_order)
                if slot >= 0:
                    row = slots.what[slot, NUMBER]
                    if server >= 2 * ranks:
                        _work(g, q, times, server, row, now)
                    else:
                        pair = slots.what[slot, ROUTE]
                        busy = beta[pair] * size_of(g, row)
                        if server < ranks:
                            if len(times.start):
                                times.start[row] = now
                            add(q, servers + slot, now, alpha[pair])
                        if server < ranks and not in_order:  # an end that takes no time has its turn among the others
                            st.busy[server] = False
                            st.until[server] = now + busy
                            _await(q, st, server, now, _AT_A_PORT)
                        else:
                            add(q, server, now, busy)
                if in_order:
                    break  # see first what that brings about
        now = _advance(g, q, state)
        if now == INF:
            return DONE


class Parts(NamedTuple):
    """What messages are cut into, on routes: empty arrays if every message is one part on one route.

    Local work counts as one part, so that it has a place in their order.
    """

    first: Longs  # of each move
    nbytes: Floats
    left: Ints  # parts of each message that are under way
    own: Ints  # fifo: first of the servers that each part has to itself, or to its message, on fatpipes, else -1
    most: int  # parts of one message


parts_at = _at(Parts)


class Net(NamedTuple):
    """Routes: the channels that each crosses."""

    first: Longs  # of each route, in `channel`
    channel: Ints  # fifo: -1, -2, ... for the fatpipes of a route
    link: Ints
    latency: Floats  # max-min: of each route; fifo: of each link
    bandwidth: Floats  # of each link; a channel has the number of a link
    cap: Floats  # max-min: least bandwidth of the fatpipes of each route


net_at = _at(Net)


@kernel
def fifo(where: Array) -> int:
    """Links serve packets one at a time (see `collsim.engines.fifo`)."""
    g, q, state, slots = graph_at(where[0]), queue_at(where[1]), state_at(where[2]), slots_at(where[3])
    times, st, costs = times_at(where[4]), stations_at(where[5]), costs_at(where[6])
    parts, net = parts_at(where[7]), net_at(where[8])
    in_order = costs.in_order != 0
    whole = len(g.owner) == 0
    servers = len(st.busy)
    processors = servers - len(times.rank)  # the servers before are links, and fatpipes that packets take turns on
    begin(g, state)
    now = state.now[0]
    release(g, state, now)
    turns = 0
    while True:
        while True:
            if turns == 0:
                turns = _turns(state, slots, st, 4 + parts.most)
                if turns < 0:
                    return -turns
            turns -= 1
            row = take_ready(state)
            if row >= 0:
                if len(times.ready):
                    times.ready[row] = now
                if not is_transfer(g, row):
                    slot = take_slot(slots, state, row if whole else parts.first[row], 0)
                    _arrive(g, state, slots, times, st, processors, slot, now, in_order)
                    continue
                first = row if whole else parts.first[row]
                for part in range(first, row + 1 if whole else parts.first[row + 1]):
                    slot = take_slot(slots, state, part, costs.route[part])
                    slots.hop[slot] = 0
                    _next_hop(g, q, state, slots, times, st, parts, net, slot, now, in_order)
                continue
            event = due(q, now)
            if event >= servers:
                slot = event - servers
                route = slots.what[slot, ROUTE]
                slots.hop[slot] += 1
                if net.first[route] + slots.hop[slot] < net.first[route + 1]:
                    _next_hop(g, q, state, slots, times, st, parts, net, slot, now, in_order)
                elif _is_last(g, parts, slots, state, slot):
                    _arrive(g, state, slots, times, st, processors, slot, now, in_order)
                continue
            if event >= 0:
                slot = st.serving[event]
                free(st, state, slots, event, in_order)
                if event >= processors:
                    _leave(g, state, slots, times, slot, now)
                continue
            if not _decisions(state):
                break
            state.count[TURNS] += turns  # asked again, for there may be many decisions in this one
            turns = 0
            while True:
                decision = next_decision(st, state, in_order)
                if decision < 0:
                    break
                server = decision & 0xFFFFFFFF
                if server < processors and st.until[server] > now:
                    _await(q, st, server, now, st.until[server] - now)
                    continue
                slot = serve(st, state, slots, decision, in_order)
                if slot < 0:
                    if in_order:
                        break  # it may have put itself off
                    continue
                if server >= processors:
                    _work(g, q, times, server, row_of(g, slots, slot), now)
                else:
                    st.busy[server] = False
                    st.until[server] = _cross(g, q, slots, times, parts, net, servers, slot, now)
                    if st.queue[server, HEAD] >= 0:
                        if st.until[server] > now:
                            _await(q, st, server, now, st.until[server] - now)
                        else:
                            free(st, state, slots, server, in_order)
                            break
                if _stirred(q, state):
                    break  # see first what that brings about
        now = _advance(g, q, state)
        if now == INF:
            return DONE


@inlined
def _is_last(g: Graph, parts: Parts, slots: Slots, state: State, slot: int) -> bool:
    """Whether a part that has come is the last of its message, whose slot it then is; any other's is given back."""
    if len(g.owner):
        row = row_of(g, slots, slot)
        parts.left[row] -= 1
        if parts.left[row]:
            give_back(slots, state, slot)
            return False
        slots.what[slot, NUMBER] = parts.first[row]
    return True


@inlined
def _bytes(g: Graph, parts: Parts, part: int) -> float:
    return parts.nbytes[part] if len(parts.nbytes) else size_of(g, part)


@njit
def _cross(
    g: Graph, q: Queue, slots: Slots, times: Times, parts: Parts, net: Net, servers: int, slot: int, now: float
) -> float:
    """Let a packet cross its next link, and return until when that is busy with it."""
    part, hop = slots.what[slot, NUMBER], slots.hop[slot]
    if hop == 0 and len(times.start):
        row = row_of(g, slots, slot)
        if not times.start[row] <= now:
            times.start[row] = now
    link = net.link[net.first[slots.what[slot, ROUTE]] + hop]
    busy = _bytes(g, parts, part) / net.bandwidth[link]
    until = now + busy
    add_at(q, servers + slot, now, until + net.latency[link], busy + net.latency[link])
    return until


@inlined
def _server(parts: Parts, part: int, channel: int) -> int:
    """Return the server of a channel; -1 if a packet is alone on a fatpipe."""
    if channel >= 0:
        return channel
    if len(parts.own) and parts.own[part] >= 0:
        return parts.own[part] - 1 - channel
    return -1


@njit
def _next_hop(
    g: Graph,
    q: Queue,
    state: State,
    slots: Slots,
    times: Times,
    st: Stations,
    parts: Parts,
    net: Net,
    slot: int,
    now: float,
    in_order: bool,
) -> None:
    part = slots.what[slot, NUMBER]
    at = net.first[slots.what[slot, ROUTE]] + slots.hop[slot]
    server = _server(parts, part, net.channel[at])
    if server < 0:
        _cross(g, q, slots, times, parts, net, len(st.busy), slot, now)
        return
    busy = _bytes(g, parts, part) / net.bandwidth[net.link[at]] if in_order else 1.0
    queue_up(st, slots, server, slot, now, busy)
    if st.until[server] > now:
        _await(q, st, server, now, st.until[server] - now)
    else:
        decide(st, state, server, part, in_order)


class Flows(NamedTuple):
    """Flows that are under way, each in its slot, and where each stands in the lists of its channels."""

    left: Floats  # bytes left at `since`
    since: Floats
    rate: Floats
    fresh: Floats  # the rate that is being worked out
    next: Ints  # of each slot and hop, in the channel's list
    prev: Ints
    list: Ints
    marked: Bytes


flows_at = _at(Flows)


class Channels(NamedTuple):
    """What flows share, and the flows on each."""

    first: Ints  # slot and hop of the first flow
    flows: Ints  # how many; one that crosses it twice counts twice
    mark: Bytes  # 1: a flow has started or ended here; 2: looked at
    touched: Ints
    list: Ints
    left: Floats  # bandwidth that is not given away yet
    growing: Ints  # flows that have no rate yet
    gone: Ints  # flows that have just got theirs


channels_at = _at(Channels)


_UNMARKED, _TOUCHED, _LISTED = 0, 1, 2
_SAME_TIME = 1 + 1e-14  # as in collsim.engines.maxmin
_SAME_SHARE = 1 + 1e-13


def new_flows(slots: int, hops: int) -> Flows:
    """Return room for so many flows at once, on routes of at most so many hops."""
    return Flows(
        np.empty(slots),
        np.empty(slots),
        np.empty(slots),
        np.empty(slots),
        np.empty(slots * hops, dtype=np.int32),
        np.empty(slots * hops, dtype=np.int32),
        np.empty(slots, dtype=np.int32),
        np.zeros(slots, dtype=np.uint8),
    )


def larger_flows(flows: Flows, slots: int, hops: int) -> Flows:
    """Return the same flows, and room for so many."""
    length = {"next": slots * hops, "prev": slots * hops}
    return Flows(*(longer(column, length.get(name, slots)) for name, column in flows._asdict().items()))


def new_channels(channels: int) -> Channels:
    """Return channels on which nothing flows."""
    return Channels(
        np.full(channels, -1, dtype=np.int32),
        np.zeros(channels, dtype=np.int32),
        np.zeros(channels, dtype=np.uint8),
        np.zeros(channels, dtype=np.int32),
        np.zeros(channels, dtype=np.int32),
        np.zeros(channels),
        np.zeros(channels, dtype=np.int32),
        np.zeros(channels, dtype=np.int32),
    )


@njit
def _touch(ch: Channels, state: State, channel: int) -> None:
    if ch.mark[channel] == _UNMARKED:
        ch.mark[channel] = _TOUCHED
        ch.touched[state.count[TOUCHED]] = channel
        state.count[TOUCHED] += 1


@inlined
def _set_rate(q: Queue, fl: Flows, servers: int, slot: int, rate: float, now: float) -> None:
    """Let a flow go on at another rate; the same rate changes nothing, not even the last bit."""
    if rate != fl.rate[slot]:
        if fl.rate[slot] > 0:
            fl.left[slot] = max(0.0, fl.left[slot] - fl.rate[slot] * (now - fl.since[slot]))
            remove(q, servers + slot)
        fl.since[slot] = now
        fl.rate[slot] = rate
        add(q, servers + slot, now, fl.left[slot] / rate)


@inlined
def _start_flow(
    state: State, net: Net, fl: Flows, ch: Channels, hops: int, slot: int, route: int, nbytes: float
) -> None:
    fl.left[slot] = nbytes
    fl.rate[slot] = 0.0
    begin = net.first[route]
    for hop in range(net.first[route + 1] - begin):
        channel = net.channel[begin + hop]
        place, first = slot * hops + hop, ch.first[channel]
        fl.prev[place] = -1
        fl.next[place] = first
        if first >= 0:
            fl.prev[first] = place
        ch.first[channel] = place
        ch.flows[channel] += 1
        _touch(ch, state, channel)


@inlined
def _end_flow(state: State, net: Net, fl: Flows, ch: Channels, hops: int, slot: int, route: int) -> None:
    begin = net.first[route]
    for hop in range(net.first[route + 1] - begin):
        channel = net.channel[begin + hop]
        place = slot * hops + hop
        before, after = fl.prev[place], fl.next[place]
        if before >= 0:
            fl.next[before] = after
        else:
            ch.first[channel] = after
        if after >= 0:
            fl.prev[after] = before
        ch.flows[channel] -= 1
        if ch.flows[channel] > 0:
            _touch(ch, state, channel)


@inlined
def _share_all(
    q: Queue, state: State, slots: Slots, net: Net, fl: Flows, ch: Channels, hops: int, servers: int, now: float
) -> None:
    """Work out the rates of all flows that are connected with one that has started or ended at this instant."""
    for i in range(state.count[TOUCHED]):
        channel = ch.touched[i]
        if ch.mark[channel] != _TOUCHED:
            continue
        if ch.flows[channel] == 0:
            ch.mark[channel] = _UNMARKED
            continue
        if ch.flows[channel] == 1:
            # Often a flow is alone on its whole route.
            slot = ch.first[channel] // hops
            r = slots.what[slot, ROUTE]
            rate = net.cap[r]
            for h in range(net.first[r], net.first[r + 1]):
                if ch.flows[net.channel[h]] != 1:
                    rate = -1.0
                    break
                rate = min(rate, net.bandwidth[net.channel[h]])
            if rate > 0:
                for h in range(net.first[r], net.first[r + 1]):
                    ch.mark[net.channel[h]] = _UNMARKED
                _set_rate(q, fl, servers, slot, rate, now)
                continue
        _share(q, slots, net, fl, ch, hops, servers, channel, now)
    state.count[TOUCHED] = 0


@njit
def _share(
    q: Queue, slots: Slots, net: Net, fl: Flows, ch: Channels, hops: int, servers: int, channel: int, now: float
) -> None:
    """Work out the max-min fair rates of all flows that are connected with a channel (progressive filling)."""
    channels, flows, seen = 1, 0, 0
    capped = False
    ch.list[0] = channel
    ch.mark[channel] = _LISTED
    while seen < channels:
        c = ch.list[seen]
        seen += 1
        ch.growing[c] = ch.flows[c]
        ch.left[c] = net.bandwidth[c]
        place = ch.first[c]
        while place >= 0:
            slot = place // hops
            if not fl.marked[slot]:
                fl.marked[slot] = 1
                fl.fresh[slot] = -1.0
                fl.list[flows] = slot
                flows += 1
                r = slots.what[slot, ROUTE]
                capped |= net.cap[r] < INF
                for h in range(net.first[r], net.first[r + 1]):
                    other = net.channel[h]
                    if ch.mark[other] != _LISTED:
                        ch.mark[other] = _LISTED
                        ch.list[channels] = other
                        channels += 1
            place = fl.next[place]
    growing = flows
    while growing > 0:
        fair, open_channels = INF, 0
        for j in range(channels):
            c = ch.list[j]
            if ch.growing[c] > 0:
                ch.list[j] = ch.list[open_channels]
                ch.list[open_channels] = c
                open_channels += 1
                fair = min(fair, ch.left[c] / ch.growing[c])
        if capped:
            for j in range(flows):
                slot = fl.list[j]
                if fl.fresh[slot] < 0:
                    fair = min(fair, net.cap[slots.what[slot, ROUTE]])
        limit = fair * _SAME_SHARE
        # Which are full is asked before any flow gets its rate: the order of channels must make no difference.
        full = 0
        for j in range(open_channels):
            c = ch.list[j]
            if ch.left[c] / ch.growing[c] <= limit:
                ch.list[j] = ch.list[full]
                ch.list[full] = c
                full += 1
        for j in range(full):
            place = ch.first[ch.list[j]]
            while place >= 0:
                slot = place // hops
                if fl.fresh[slot] < 0:
                    growing -= _stop(slots, net, fl, ch, slot, fair)
                place = fl.next[place]
        if capped:
            for j in range(flows):
                slot = fl.list[j]
                if fl.fresh[slot] < 0 and net.cap[slots.what[slot, ROUTE]] <= limit:
                    growing -= _stop(slots, net, fl, ch, slot, fair)
        for j in range(open_channels):  # at once, as in collsim.engines.maxmin: the same to the last bit
            c = ch.list[j]
            ch.left[c] = max(0.0, ch.left[c] - ch.gone[c] * fair)
            ch.gone[c] = 0
    for j in range(channels):
        ch.mark[ch.list[j]] = _UNMARKED
    for j in range(flows):
        slot = fl.list[j]
        fl.marked[slot] = 0
        _set_rate(q, fl, servers, slot, fl.fresh[slot], now)


@njit
def _stop(slots: Slots, net: Net, fl: Flows, ch: Channels, slot: int, rate: float) -> int:
    """Give a flow, which has reached it, its rate."""
    fl.fresh[slot] = rate
    r = slots.what[slot, ROUTE]
    for h in range(net.first[r], net.first[r + 1]):
        c = net.channel[h]
        ch.growing[c] -= 1
        ch.gone[c] += 1
    return 1


# Flows that end within rounding of one that ends now end with it; nothing else comes before its time.


@njit
def _put_aside(q: Queue, state: State, event: int) -> None:
    q.link[event, NEXT] = state.count[ASIDE]
    state.count[ASIDE] = event + 1


@njit
def _put_back(q: Queue, state: State) -> None:
    while state.count[ASIDE]:
        event = state.count[ASIDE] - 1
        state.count[ASIDE] = q.link[event, NEXT]
        _into_heap(q, event, q.time[event])


@kernel
def maxmin(where: Array) -> int:
    """Fluid flows with max-min fair shares (see `collsim.engines.maxmin`)."""
    g, q, state, slots = graph_at(where[0]), queue_at(where[1]), state_at(where[2]), slots_at(where[3])
    times, st, costs = times_at(where[4]), stations_at(where[5]), costs_at(where[6])
    parts, net, hops = parts_at(where[7]), net_at(where[8]), costs.hops
    fl, ch = flows_at(where[9]), channels_at(where[10])
    in_order = costs.in_order != 0
    whole = len(g.owner) == 0
    servers = len(st.busy)
    begin(g, state)
    now = state.now[0]
    release(g, state, now)
    turns = 0
    while True:
        while True:
            if turns == 0:
                turns = _turns(state, slots, st, 4 + parts.most)
                if turns < 0:
                    return -turns
            turns -= 1
            event = due(q, now * _SAME_TIME if state.count[ENDED] else now)
            flows = event >= servers and slots.stage[event - servers] == FLOWING
            if event >= 0 and not flows and q.time[event] > now:
                _put_aside(q, state, event)
                continue
            if event >= servers:
                slot = event - servers
                if not flows:
                    nbytes = _bytes(g, parts, slots.what[slot, NUMBER])
                    if nbytes > 0:
                        slots.stage[slot] = FLOWING
                        route = slots.what[slot, ROUTE]
                        _start_flow(state, net, fl, ch, hops, slot, route, nbytes)
                        if net.first[route] == net.first[route + 1]:  # fatpipes only: nothing is shared
                            _set_rate(q, fl, servers, slot, net.cap[route], now)
                        continue
                else:
                    state.count[ENDED] = 1
                    _end_flow(state, net, fl, ch, hops, slot, slots.what[slot, ROUTE])
                if _is_last(g, parts, slots, state, slot):
                    _arrive(g, state, slots, times, st, 0, slot, now, in_order)
                continue
            if event >= 0:
                slot = st.serving[event]
                free(st, state, slots, event, in_order)
                _leave(g, state, slots, times, slot, now)
                continue
            row = take_ready(state)
            if row >= 0:
                while True:
                    if len(times.ready):
                        times.ready[row] = now
                    if not is_transfer(g, row):
                        slot = take_slot(slots, state, row if whole else parts.first[row], 0)
                        _arrive(g, state, slots, times, st, 0, slot, now, in_order)
                    else:
                        if len(times.start):
                            times.start[row] = now
                        first = row if whole else parts.first[row]
                        for part in range(first, row + 1 if whole else parts.first[row + 1]):
                            route = costs.route[part]
                            slot = take_slot(slots, state, part, route)
                            slots.stage[slot] = FLYING
                            add(q, servers + slot, now, net.latency[route])
                    if turns == 0:
                        break
                    row = take_ready(state)
                    if row < 0:
                        break
                    turns -= 1
                continue
            decision = next_decision(st, state, in_order)
            if decision >= 0:
                slot = serve(st, state, slots, decision, in_order)
                if slot >= 0:
                    _work(g, q, times, decision & 0xFFFFFFFF, row_of(g, slots, slot), now)
                continue
            if state.count[TOUCHED] == 0:
                break
            _share_all(q, state, slots, net, fl, ch, hops, servers, now)
        state.count[ENDED] = 0
        if state.count[ASIDE]:
            _put_back(q, state)
        now = _advance(g, q, state)
        if now == INF:
            return DONE


# Hosts have three queues and three parts, host h's at h, ranks + h and 2 ranks + h: what it has to send, to receive and
# to work on; its processor, its card that sends and its card that receives. So the queue at i needs, beside the
# processor, the card at ranks + i, and work needs none. The move that a processor is busy with is at h in `serving`,
# and at ranks + h what it does with it.
_SENDING, _TAKING_IN, _WORKING = range(3)
_AT_A_CARD = -1.0  # the kind of the events at which it is free


@inlined
def _host(ranks: int, place: int) -> int:
    while place >= ranks:
        place -= ranks
    return place


@inlined
def _able(st: Stations, slots: Slots, ranks: int, host: int, now: float) -> int:
    """Return the queue of a host whose first customer is served next; -1 if none can be."""
    best, first = -1, -1
    if st.until[host] > now:
        return -1
    for queue in range(host, 3 * ranks, ranks):
        customer = st.queue[queue, HEAD]
        if customer < 0 or (queue < 2 * ranks and st.until[ranks + queue] > now):
            continue
        if (
            first < 0
            or st.came[customer] < st.came[first]
            or (st.came[customer] == st.came[first] and _number(st, slots, customer) < _number(st, slots, first))
        ):
            best, first = queue, customer
    return best


@inlined
def _host_turn(st: Stations, slots: Slots, ranks: int, host: int, queue: int, now: float) -> int:
    """Return the number that says when a host decides, where the first of a queue is served next."""
    first = st.queue[queue, HEAD]
    least = _number(st, slots, first)
    if len(st.quick) and st.quick[first]:
        for other in range(host, 3 * ranks, ranks):
            if other < 2 * ranks and st.until[ranks + other] > now:
                continue
            if st.queue[other, HEAD] >= 0:
                least = min(least, _least(st, slots, other))
    return least


@inlined
def _come_to_host(
    st: Stations,
    state: State,
    slots: Slots,
    ranks: int,
    queue: int,
    slot: int,
    now: float,
    seconds: float,
    in_order: bool,
) -> None:
    queue_up(st, slots, queue, slot, now, seconds)
    host = _host(ranks, queue)
    if st.until[host] <= now:  # else it decides when its processor is free
        decide(st, state, host, slots.what[slot, NUMBER], in_order)


@inlined
def _await_cards(q: Queue, st: Stations, ranks: int, host: int, now: float) -> None:
    """Let a host decide again when a card is free, if only that is in the way of a customer; nobody else asks."""
    if st.until[host] > now:
        return
    for queue in range(host, 2 * ranks, ranks):
        card = ranks + queue
        if st.queue[queue, HEAD] >= 0 and st.until[card] > now and not st.busy[card]:
            st.busy[card] = True
            add_at(q, card, now, st.until[card], _AT_A_CARD)


@inlined
def _look_again(
    q: Queue, st: Stations, state: State, slots: Slots, ranks: int, host: int, now: float, in_order: bool
) -> None:
    """Let a host decide again, if there is anybody to serve, when a part of it is free."""
    queue = _able(st, slots, ranks, host, now)
    if queue >= 0:
        decide(st, state, host, _host_turn(st, slots, ranks, host, queue, now) if in_order else 0, in_order)
    else:
        _await_cards(q, st, ranks, host, now)


@inlined
def _eager(g: Graph, costs: Costs, row: int) -> bool:
    return size_of(g, row) <= costs.figures[3]


@inlined
def _route(costs: Costs, pair: int) -> int:
    """Return the place of what messages between a pair of ranks cost: one for all, or one a pair."""
    return pair if len(costs.fixed) > 1 else 0


@inlined
def _come_to_processor(
    g: Graph, state: State, slots: Slots, times: Times, st: Stations, row: int, now: float, in_order: bool
) -> None:
    """Hand a message that is there, or local work, to the processor of its rank: it has no slot."""
    if len(times.arrive) and is_transfer(g, row):
        times.arrive[row] = now
    if len(g.work) and g.work[row] > 0:
        pair, ranks = g.pair[row], len(times.rank)
        slot = take_slot(slots, state, row, pair)
        _come_to_host(st, state, slots, ranks, 2 * ranks + g.dst[pair], slot, now, g.work[row], in_order)
        return
    if not is_transfer(g, row):
        _begin_work(times, row, now)
    _finish(g, state, times, row, now)


@njit
def _happened(
    g: Graph, state: State, slots: Slots, times: Times, st: Stations, costs: Costs, row: int, what: int, now: float
) -> None:
    """Something has happened to a message: see whether its sender is done, and whether it has arrived."""
    after = state.happened[row] | what
    state.happened[row] = after
    if _eager(g, costs, row):
        sent = what == OWN_PART
    else:
        sent = what != TAKEN_IN and after & (POSTED | OWN_PART | MATCHED) == POSTED | OWN_PART | MATCHED
    if sent:
        _sent(g, state, times, row, now)
    if what & (POSTED | TAKEN_IN) and after & (POSTED | TAKEN_IN) == POSTED | TAKEN_IN:
        _come_to_processor(g, state, slots, times, st, row, now, costs.in_order != 0)


@inlined
def _serve_at_host(
    g: Graph, q: Queue, state: State, slots: Slots, times: Times, st: Stations, costs: Costs, queue: int, now: float
) -> None:
    """Let a host serve the first of a queue."""
    ranks = len(times.rank)
    host, slot = _host(ranks, queue), _take(st, queue) - len(st.busy)
    row = slots.what[slot, NUMBER]
    st.serving[host] = row
    if queue >= 2 * ranks:
        st.serving[ranks + host] = _WORKING
        st.until[host] = now + g.work[row]
        give_back(slots, state, slot)
        _work(g, q, times, host, row, now)
        return
    r = _route(costs, slots.what[slot, ROUTE])
    o, gap = costs.figures[0], costs.per_byte[r]
    more = max(size_of(g, row) - 1, 0.0)
    st.until[ranks + queue] = now + (costs.figures[1] + more * gap)
    if queue < ranks:
        if len(times.start):
            times.start[row] = now
        st.serving[ranks + host] = _SENDING
        add(q, len(st.busy) + slot, now, o + costs.fixed[r])
        busy = o + more * costs.figures[2]
    else:
        st.serving[ranks + host] = _TAKING_IN
        give_back(slots, state, slot)
        busy = o + more * max(costs.figures[2], gap)
    st.until[host] = now + busy
    add(q, host, now, busy)
    if queue >= ranks:
        _happened(g, state, slots, times, st, costs, row, MATCHED, now)


@inlined
def _seconds_of_a_part(g: Graph, st: Stations, costs: Costs, row: int, pair: int, per_byte: float) -> float:
    """Return for how long a message keeps a part of a host at least; asked only where that may be no time."""
    if not len(st.quick):
        return 1.0
    more = max(size_of(g, row) - 1, 0.0)
    return min(costs.figures[0] + more * per_byte, costs.figures[1] + more * costs.per_byte[_route(costs, pair)])


@kernel
def loggp(where: Array) -> int:
    """Hosts with a processor and two cards (see `collsim.engines.loggp`); figures: o, g, O, S."""
    g, q, state, slots = graph_at(where[0]), queue_at(where[1]), state_at(where[2]), slots_at(where[3])
    times, st, costs = times_at(where[4]), stations_at(where[5]), costs_at(where[6])
    in_order = costs.in_order != 0
    ranks = len(times.rank)
    servers = len(st.busy)
    begin(g, state)
    now = state.now[0]
    release(g, state, now)
    turns = 0
    while True:
        while True:
            if turns == 0:
                turns = _turns(state, slots, st, 4)
                if turns < 0:
                    return -turns
            turns -= 1
            row = take_ready(state)
            if row >= 0:
                if len(times.ready):
                    times.ready[row] = now
                if is_transfer(g, row):
                    pair = g.pair[row]
                    slot = take_slot(slots, state, row, pair)
                    least = _seconds_of_a_part(g, st, costs, row, pair, costs.figures[2])
                    _come_to_host(st, state, slots, ranks, g.src[pair], slot, now, least, in_order)
                else:
                    _come_to_processor(g, state, slots, times, st, row, now, in_order)
                continue
            row = take_posted(state)
            if row >= 0:
                _happened(g, state, slots, times, st, costs, row, POSTED, now)
                continue
            event = due(q, now)
            if event >= servers:
                slot = event - servers
                row, pair = slots.what[slot, NUMBER], slots.what[slot, ROUTE]
                gap = costs.per_byte[_route(costs, pair)]
                least = _seconds_of_a_part(g, st, costs, row, pair, max(costs.figures[2], gap))
                _come_to_host(st, state, slots, ranks, ranks + g.dst[pair], slot, now, least, in_order)
                continue
            if event >= ranks:  # a card is free
                st.busy[event] = False
                _look_again(q, st, state, slots, ranks, _host(ranks, event), now, in_order)
                continue
            if event >= 0:
                row, done = st.serving[event], st.serving[ranks + event]
                _look_again(q, st, state, slots, ranks, event, now, in_order)
                if done == _WORKING:
                    _finish(g, state, times, row, now)
                else:
                    what = OWN_PART if done == _SENDING else TAKEN_IN
                    _happened(g, state, slots, times, st, costs, row, what, now)
                continue
            if not _decisions(state):
                break
            state.count[TURNS] += turns  # asked again, for there may be many decisions in this one
            turns = 0
            while True:
                decision = next_decision(st, state, in_order)
                if decision < 0:
                    break
                host = _host(ranks, decision & 0xFFFFFFFF)
                queue = _able(st, slots, ranks, host, now)
                if queue < 0:
                    _await_cards(q, st, ranks, host, now)
                    continue
                if in_order:
                    turn = _host_turn(st, slots, ranks, host, queue, now)
                    if turn > decision >> 32:
                        decide(st, state, host, turn, in_order)
                        break
                _serve_at_host(g, q, state, slots, times, st, costs, queue, now)
                if _stirred(q, state):
                    break  # see first what that brings about
        now = _advance(g, q, state)
        if now == INF:
            return DONE


@kernel
def _chain_gates(src: Array, dst: Array, transfer: Array, step: Array, last: Array, head: Array, item: Array) -> None:
    for i in range(len(src)):
        row = len(src) - 1 - i
        for receiving in range(2 if transfer[row] else 1):
            rank = dst[row] if receiving else src[row]
            after = head[rank]
            item[2 * row + receiving] = after if after < 0 or last[rank] == step[row] else -2 - after
            head[rank], last[rank] = 2 * row + receiving, step[row]


def chain_gates(ranks: int, src: Array, dst: Array, transfer: Array, step: Array) -> tuple[Array, Array]:
    """Return the first gate of each rank, and of each gate the next, as `Graph` has them in `at` and `item`."""
    head, item = np.full(ranks, -1, dtype=np.int32), np.empty(2 * len(src), dtype=np.int32)
    columns = (_fixed(column) for column in (src, dst, transfer, step))
    _chain_gates(*columns, np.zeros(ranks, dtype=np.int32), head, item)
    return head, item


@kernel
def _number_pairs(src: Array, dst: Array, ranks: int, table: Array, number: Array, keys: Array) -> int:
    found = 0
    for row in range(len(src)):
        key = np.int64(src[row]) * ranks + dst[row]
        if table[key] < 0:
            table[key] = found
            keys[found] = key
            found += 1
        number[row] = table[key]
    return found


def number_pairs(src: Array, dst: Array, ranks: int) -> tuple[Array, Array]:
    """Return the number of the pair of ranks of each move, in the order in which they come, and each pair's key."""
    number = np.empty(len(src), dtype=np.int32)
    keys = np.empty(min(len(src), ranks * ranks), dtype=np.int64)
    found = _number_pairs(_fixed(src), _fixed(dst), ranks, np.full(ranks * ranks, -1, dtype=np.int32), number, keys)
    return number, keys[:found]


def _fixed(column: Array) -> Array:
    """Return a column as one that cannot be written, of whatever kind it is: numba compiles for each kind anew."""
    fixed = np.ascontiguousarray(column).view()
    fixed.flags.writeable = False
    return fixed

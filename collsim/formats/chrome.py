"""A Chrome trace: JSON that Perfetto and chrome://tracing open.

Every rank is a process with a track for what it sends, for what it receives and for its processor; the links of the
network are the tracks of one more process. What overlaps is put on several tracks of one name ("send", "send 2"), so
slices of a track never overlap. An arrow leads from where a message is sent to where it is received.

The format counts microseconds and Perfetto cuts them to whole nanoseconds. So we round to these, and only then look
what overlaps; the exact times are among the arguments of each slice.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import collsim
from collsim.activities import DOING, RECEIVING, SENDING, Indices, activities, chunks_in_words, lanes, message_bytes
from collsim.engines.timeline import TIMES
from collsim.errors import InputError
from collsim.occupancy import LinkUse, link_use
from collsim.results import Result
from collsim.schedule import Op
from collsim.topology import Link, node_name

_LONGEST = 9e9  # seconds, as nanoseconds in a 64-bit number
_TRACKS = ("send", "receive", "processor")
_TRACK_OF = (0, 1, 2, 2, 2)  # of each of `DOING`
_KINDS = (*DOING, "link")
_ON_LINK = len(DOING)


class _Slices(NamedTuple):
    """What takes time: columns of one length, sorted by place and begin; times in nanoseconds.

    A place is a process and what stands below it there: one of `_TRACKS` of a rank, or a link of the last process.
    """

    process: Indices
    place: Indices
    start: Indices
    finish: Indices
    row: Indices
    kind: Indices  # one of `_KINDS`


def encode(result: Result) -> Iterator[bytes]:
    """Return the file, piece by piece: an event a line.

    Raises
    ------
    InputError
        If the times of moves were not kept, or are too long for the clock of the format.
    """
    _ = result.timeline  # a run without says so itself
    if result.time > _LONGEST:
        raise InputError(f"a trace counts nanoseconds and ends after {_LONGEST:g} s; this run takes {result.time:g} s")
    return _encode(result)


def _encode(result: Result) -> Iterator[bytes]:
    about = {key: value for key, value in result.to_dict().items() if key != "wall_s"}  # the clock's, not the run's
    head = _json({"collsim": collsim.__version__, **about})
    yield f'{{"displayTimeUnit":"ns","otherData":{head},"traceEvents":[\n'.encode()
    for number, event in enumerate(_events(result)):
        yield f",\n{event}".encode() if number else event.encode()
    yield b"\n]}\n"


_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


def _microseconds(nanoseconds: int) -> float:
    """Return the number that a reader who multiplies it by 1000 and cuts off the rest takes for these nanoseconds."""
    value = nanoseconds / 1000
    return value if int(value * 1000) == nanoseconds else math.nextafter(value, math.inf)


def _events(result: Result) -> Iterator[str]:
    """Yield names first, then slices as they begin, each end of a message with its end of the arrow.

    There are six events a message and more, so slices and arrows are put together as text: a dict and an encoder for
    each would take several times as long.
    """
    ranks, links = result.schedule.ranks, link_use(result)
    slices = _slices(result, links)
    link_names = [] if links.topology is None else _link_names(links.topology.links)
    # No process or thread is 0, which stands for the idle task, and none has another's number.
    number = ranks + 2
    numbers, threads = [], []
    begins = np.flatnonzero(np.diff(slices.process, prepend=-1) | np.diff(slices.place, prepend=-1)).tolist()
    for begin, end in itertools.pairwise([*begins, len(slices.row)]):
        process, place = int(slices.process[begin]), int(slices.place[begin])
        taken = lanes(slices.start[begin:end].tolist(), slices.finish[begin:end].tolist())
        numbers += [number + lane for lane in taken]
        name = link_names[place] if process == ranks else _TRACKS[place]
        for lane in range(max(taken) + 1):
            threads.append((process, number, f"{name} {lane + 1}" if lane else name))
            number += 1

    for process in dict.fromkeys(process for process, *_ in threads):
        yield _about("process_name", process, name="links" if process == ranks else f"rank {process}")
        yield _about("process_sort_index", process, sort_index=process)
    for process, number, name in threads:
        yield _about("thread_name", process, number, name=name)
        yield _about("thread_sort_index", process, number, sort_index=number)

    name_of, arguments, message = _names(result), _arguments(result), result.schedule.message.tolist()
    arrows = {SENDING: '"ph":"s"', RECEIVING: '"ph":"f","bp":"e"'}
    # At one instant senders come before receivers, so that no arrow ends before it has begun.
    tracks = np.array(numbers, dtype=int)
    order = np.lexsort((tracks, slices.kind == RECEIVING, slices.start))
    columns = (slices.process, tracks, slices.start, slices.finish, slices.row, slices.kind)
    for process, number, start, finish, row, kind in zip(*(column[order].tolist() for column in columns), strict=True):
        where = f'"ts":{_microseconds(start)},"pid":{process + 1},"tid":{number}'
        what = f'"ph":"X","name":"{name_of(kind, row)}","cat":"{_KINDS[kind]}"'
        yield f'{{{what},{where},"dur":{_microseconds(finish - start)},"args":{arguments(row)}}}'
        if kind in arrows:
            yield f'{{{arrows[kind]},"name":"message","cat":"message","id":{message[row]},{where}}}'


def _about(what: str, process: int, thread: int | None = None, **args: Any) -> str:
    place = {"pid": process + 1, **({} if thread is None else {"tid": thread})}
    return _json({"ph": "M", "name": what, **place, "args": args})


def _arguments(result: Result) -> Callable[[int], str]:
    """Return what gives the arguments of a slice: what stands in the table, and the exact times."""
    schedule, chunks = result.schedule, chunks_in_words(result.schedule)
    columns = [getattr(schedule, name).tolist() for name in ("step", "src", "dst", "op", "message")]
    nbytes = message_bytes(result).tolist()
    times = {f"{name}_s": getattr(result.timeline, name).tolist() for name in TIMES}

    @cache  # a message has a slice at its sender, at its receiver and on every link
    def arguments(row: int) -> str:
        step, src, dst, op, message = (column[row] for column in columns)
        exact = {name: column[row] for name, column in times.items()}
        if op == Op.COMPUTE:
            return _json({"step": step, "rank": src, "op": "COMPUTE", **exact})
        told = {"step": step, "src": src, "dst": dst, "op": Op(op).name, "message": message}
        return _json({**told, "chunks": chunks[row], "bytes": nbytes[row], **exact})

    return arguments


def _slices(result: Result, links: LinkUse) -> _Slices:
    """Return what every rank does and what every link carries; no links where the run had no network."""
    done, number = activities(result), len(links.row)
    start, finish = (
        np.rint(np.concatenate([getattr(done, name), getattr(links, name)]) * 1e9).astype(np.int64)
        for name in ("start", "finish")
    )
    found = _Slices(
        np.concatenate([done.rank, np.full(number, result.schedule.ranks)]),
        np.concatenate([np.array(_TRACK_OF)[done.what], links.link]),
        start,
        finish,
        np.concatenate([done.row, links.row]),
        np.concatenate([done.what, np.full(number, _ON_LINK)]),
    )
    order = np.lexsort((found.kind, found.row, finish, start, found.place, found.process))
    return _Slices(*(column[order] for column in found))


def _names(result: Result) -> Callable[[int, int], str]:
    """Return what gives the name of a slice from its kind and row; there is nothing in it that JSON would escape."""
    schedule = result.schedule
    src, dst = schedule.src.tolist(), schedule.dst.tolist()
    loads = {row: _load(words) for row, words in chunks_in_words(schedule).items()}
    names: tuple[Callable[[int], str], ...] = (  # of each of `_KINDS`
        lambda row: f"{loads[row]} to {dst[row]}",
        lambda row: f"{loads[row]} from {src[row]}",
        lambda row: f"reduce {loads[row]} from {src[row]}",
        lambda row: "compute",
        lambda row: f"overhead of {loads[row]}, {src[row]} to {dst[row]}",
        lambda row: f"{loads[row]}, {src[row]} to {dst[row]}",
    )
    return lambda kind, row: names[kind](row)


def _load(chunks: str) -> str:
    """Return ``chunk 3``, ``chunks 0-1``, or ``8 chunks``."""
    return chunks if " " in chunks else f"chunk {chunks}" if chunks.isdigit() else f"chunks {chunks}"


def _link_names(links: Sequence[Link]) -> list[str]:
    """Return a name for every link; parallel ones are numbered."""
    seen: dict[str, int] = {}
    found = []
    for link in links:
        name = f"{node_name(link.tail)} -> {node_name(link.head)}"
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} (parallel {seen[name]})")
    return found

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
from typing import Any, NamedTuple

import numpy as np

import collsim
from collsim.activities import DOING, activities, chunks_in_words, lanes, message_bytes
from collsim.engines.timeline import TIMES
from collsim.errors import InputError
from collsim.occupancy import LinkUse, link_use
from collsim.results import Result
from collsim.schedule import Floats, Op
from collsim.topology import Link, node_name

Event = dict[str, Any]

_LONGEST = 9e9  # seconds, as nanoseconds in a 64-bit number
_TRACKS = ("send", "receive", "processor")
_TRACK_OF = (0, 1, 2, 2, 2)  # of each of `DOING`


class _Track(NamedTuple):
    """A place for slices: a process, the place within it, and which of several there."""

    process: int
    place: int
    lane: int


class _Slice(NamedTuple):
    """Something that takes time, in nanoseconds, at a place of a process."""

    process: int
    place: int
    start: int
    finish: int
    row: int
    kind: str
    name: str


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
    yield b'{"displayTimeUnit":"ns","otherData":'
    yield _json({"collsim": collsim.__version__, **about})
    yield b',"traceEvents":[\n'
    for number, event in enumerate(_events(result)):
        yield b",\n" * (number > 0) + _json(event)
    yield b"\n]}\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def _nanoseconds(seconds: Floats) -> list[int]:
    return [int(number) for number in np.rint(seconds * 1e9)]


def _microseconds(nanoseconds: int) -> float:
    """Return the number that a reader who multiplies it by 1000 and cuts off the rest takes for these nanoseconds."""
    value = nanoseconds / 1000
    return value if int(value * 1000) == nanoseconds else math.nextafter(value, math.inf)


def _events(result: Result) -> Iterator[Event]:
    """Yield names first, then slices as they begin, each end of a message with its end of the arrow."""
    places = {(rank, place): name for rank in range(result.schedule.ranks) for place, name in enumerate(_TRACKS)}
    links = link_use(result)
    if links.topology is not None:
        names = _link_names(links.topology.links)
        places |= {(result.schedule.ranks, link): names[link] for link in np.unique(links.link).tolist()}
    slices = sorted([*_of_ranks(result), *_of_links(result, links)])
    tracks: list[_Track] = []
    for (process, place), group in itertools.groupby(slices, key=lambda one: one[:2]):
        some = list(group)
        taken = lanes([one.start for one in some], [one.finish for one in some])
        tracks += [_Track(process, place, lane) for lane in taken]
    # No process or thread is 0, which stands for the idle task, and none has another's number.
    first = result.schedule.ranks + 2
    numbers = {track: number for number, track in enumerate(sorted(set(tracks)), first)}

    for process in sorted({track.process for track in tracks}):
        name = "links" if process == result.schedule.ranks else f"rank {process}"
        yield _about("process_name", process, name=name)
        yield _about("process_sort_index", process, sort_index=process)
    for track, number in numbers.items():
        name = places[track.process, track.place]
        lane = f" {track.lane + 1}" if track.lane else ""
        yield _about("thread_name", track.process, number, name=f"{name}{lane}")
        yield _about("thread_sort_index", track.process, number, sort_index=number)

    arguments = _arguments(result)
    arrows = {"send": {"ph": "s"}, "receive": {"ph": "f", "bp": "e"}}
    # At one instant senders come before receivers, so that no arrow ends before it has begun.
    order = sorted(range(len(slices)), key=lambda i: (slices[i].start, slices[i].kind == "receive", tracks[i], i))
    for place in order:
        one, track = slices[place], tracks[place]
        where = {"ts": _microseconds(one.start), "pid": one.process + 1, "tid": numbers[track]}
        length = {"dur": _microseconds(one.finish - one.start)}
        yield {"ph": "X", "name": one.name, "cat": one.kind, **where, **length, "args": arguments(one.row)}
        if one.kind in arrows:
            number = int(result.schedule.message[one.row])
            yield {**arrows[one.kind], "name": "message", "cat": "message", "id": number, **where}


def _about(what: str, process: int, thread: int | None = None, **args: Any) -> Event:
    return {"ph": "M", "name": what, "pid": process + 1, **({} if thread is None else {"tid": thread}), "args": args}


def _arguments(result: Result) -> Callable[[int], dict[str, Any]]:
    """Return what gives the arguments of a slice: what stands in the table, and the exact times."""
    schedule, chunks = result.schedule, chunks_in_words(result.schedule)
    columns = {name: getattr(schedule, name).tolist() for name in ("step", "src", "dst", "op")}
    nbytes = message_bytes(result).tolist()
    times = {f"{name}_s": getattr(result.timeline, name).tolist() for name in TIMES}

    def arguments(row: int) -> dict[str, Any]:
        step, src, dst, op = (column[row] for column in columns.values())
        exact = {name: column[row] for name, column in times.items()}
        if op == Op.COMPUTE:
            return {"step": step, "rank": src, "op": "COMPUTE", **exact}
        message = int(schedule.message[row])
        return {
            **{"step": step, "src": src, "dst": dst, "op": Op(op).name, "message": message},
            **{"chunks": chunks[row], "bytes": nbytes[row], **exact},
        }

    return arguments


def _of_ranks(result: Result) -> Iterator[_Slice]:
    """Yield what every rank does."""
    done, schedule = activities(result), result.schedule
    src, dst = schedule.src.tolist(), schedule.dst.tolist()
    loads = {row: _load(words) for row, words in chunks_in_words(schedule).items()}
    names: tuple[Callable[[int], str], ...] = (  # of each of `DOING`
        lambda row: f"{loads[row]} to {dst[row]}",
        lambda row: f"{loads[row]} from {src[row]}",
        lambda row: f"reduce {loads[row]} from {src[row]}",
        lambda row: "compute",
        lambda row: f"overhead of {loads[row]}, {src[row]} to {dst[row]}",
    )
    kinds = list(DOING)
    columns = (done.rank.tolist(), done.what.tolist(), done.row.tolist())
    times = (_nanoseconds(done.start), _nanoseconds(done.finish))
    for rank, what, row, start, finish in zip(*columns, *times, strict=True):
        yield _Slice(rank, _TRACK_OF[what], start, finish, row, kinds[what], names[what](row))


def _of_links(result: Result, use: LinkUse) -> Iterator[_Slice]:
    """Yield what every link carries; nothing where the run had no network."""
    schedule = result.schedule
    src, dst = schedule.src.tolist(), schedule.dst.tolist()
    loads = {row: _load(words) for row, words in chunks_in_words(schedule).items()}
    columns = (use.row.tolist(), use.link.tolist(), _nanoseconds(use.start), _nanoseconds(use.finish))
    for row, link, start, finish in zip(*columns, strict=True):
        yield _Slice(schedule.ranks, link, start, finish, row, "link", f"{loads[row]}, {src[row]} to {dst[row]}")


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

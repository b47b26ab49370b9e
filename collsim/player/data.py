"""What the player's page knows of a run: everything that it shows, as a dict that goes into JSON.

Times are those of `Result.timeline`, to the last bit; nothing is worked out a second time in the page. Where
things stand in the picture comes from `collsim.layouts`, what buffers hold from `collsim.contents`, what is on
which link from `collsim.occupancy`. Of a run that is too large for a page the data says what it leaves out, and
leaves it out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.activities import first_rows
from collsim.contents import Contents, Move, Piece, State, history, rank_name
from collsim.errors import InputError
from collsim.layouts import Position, Wire, layout, shared_media
from collsim.occupancy import RECEIVE, SEND, link_use, rank_use
from collsim.results import Result, SymmetricResult
from collsim.schedule import Op, Schedule
from collsim.topology import Node, Topology, node_name
from collsim.units import format_bandwidth, format_size, format_time

# A page with so much of each is some megabytes at most, and moves smoothly on a small computer.
MOST_MESSAGES = 4000
_MOST_CARRIED = 40_000  # chunks, by all messages together
_MOST_CELLS, _MOST_COLUMNS, _MOST_ROWS = 2048, 256, 64
_MOST_STATE = 1 << 24  # contributors of all chunks shown, at all ranks
_MOST_STAYS = 40_000  # of messages on links
_MOST_FOLLOWED = 300_000  # moves of which it is worked out which is on which link when
_MOST_NODES = 1500
_MOST_LINES = 3000

_TIMES = ("ready", "start", "sent", "arrive", "finish")
_CHANGE = ("place", "set", "before", "message")  # of a buffer

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


def player_data(result: Result) -> dict[str, Any]:
    """Return what the page shows of one run.

    Parameters
    ----------
    result : Result
        The run, with the times of its moves.

    Returns
    -------
    dict
        Lists, numbers and text only. Times of messages are places in ``times``, contents of buffers places in
        ``sets``: each distinct one stands there once. What else there is, is said where it is made.

    Raises
    ------
    InputError
        If the times of single moves were not kept.

    Examples
    --------
    >>> import collsim as cs
    >>> run = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=2), alpha=1, beta=0, nbytes=8)
    >>> found = player_data(run)
    >>> found["times"], found["messages"]["src"], [text for text, *_ in found["sets"]]
    ([0.0, 1.0, 2.0], [0, 1, 0, 1], ['', 'a', 'b', 'a+b'])
    """
    if not isinstance(result, Result):
        raise InputError(f"a page is made of results, as simulate returns them, got {result!r}")
    if isinstance(result, SymmetricResult):
        raise InputError(
            "one rank was simulated for all, so there are no single messages to show: simulate what make_schedule "
            "returns, not a symmetric schedule"
        )
    return _Page(result).data()


class _Numbers(dict[Any, int]):
    """Gives each distinct thing a number, in the order in which they are first asked for."""

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        return number


@dataclass(frozen=True)
class _Kept:
    """What of a run is shown.

    Attributes
    ----------
    rows : ndarray of int
        The first row of each message.
    until : float
        When the clock stops.
    ranks : int
        All messages to the ranks 0..ranks-1 that start before that are among them.
    left_out : str or None
        What is not shown, in words.
    """

    rows: Indices
    until: float
    ranks: int
    left_out: str | None = None


def _choose(result: Result, first: Indices) -> _Kept:
    """Choose the messages that are shown: all, the first ones, or those to some ranks; `first` are their rows."""
    schedule, whole = result.schedule, result.time
    start = result.timeline.start[first]
    order = np.lexsort((first, start))
    carried = np.cumsum(np.add.reduceat(schedule.count, first)[order]) if len(first) else first
    fit = min(MOST_MESSAGES, int(np.searchsorted(carried, _MOST_CARRIED, side="right")))
    if fit >= len(first):
        return _Kept(first, whole, schedule.ranks)
    until = float(start[order[fit]])
    early = start < until
    if early.any():
        words = f"Only the first {early.sum()} of {len(first)} messages are shown, those that start before "
        words += f"{format_time(until)}. There the clock stops; the whole run takes {format_time(whole)}."
        return _Kept(first[early], until, schedule.ranks, words)
    # Too many at one instant: those to some of the ranks, so that what is shown of these is complete.
    to = schedule.dst[first]
    ranks = int(np.searchsorted(np.cumsum(np.bincount(to, minlength=schedule.ranks)), fit, side="right"))
    rows = first[to < ranks] if ranks else first[:fit]
    words = f"Only {len(rows)} of {len(first)} messages are shown, "
    words += f"those to ranks 0 to {ranks - 1}." if ranks else "the first in the schedule's table, and no buffers."
    return _Kept(rows, whole, ranks, words)


class _Page:
    """Builds the data of one run."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.schedule = schedule = result.schedule
        # Rows of one message travel together: the first one stands for it.
        first = first_rows(schedule)
        self.kept = _choose(result, first)
        self.left_out = [self.kept.left_out] if self.kept.left_out else []
        ends = np.append(first, len(schedule))[np.searchsorted(first, self.kept.rows) + 1]
        self.messages = [range(row, end) for row, end in zip(self.kept.rows.tolist(), ends.tolist(), strict=True)]
        self.columns, self.ranks = self._window()
        self.sets = _Numbers({Contents(): 0})
        self.start: State = ()
        self.promised: State = ()
        self.routes = _Numbers()  # by (src, dst)
        self.number_of_link: dict[int, int] = {}

    def data(self) -> dict[str, Any]:
        result, schedule = self.result, self.schedule
        found = self._history()
        messages = self._messages(found)
        cells = self._cells(found)
        network = self._network()
        on_links, in_ranks = self._uses(network)
        clocks = [(messages, _TIMES), (cells, ("when",)), (on_links, ("begin", "end")), (in_ranks, ("begin", "end"))]
        known = [table[name] for table, names in clocks for name in names]
        times = np.unique(np.concatenate([[0.0, self.kept.until, result.time], *known]))
        for table, names in clocks:
            for name in names:
                table[name] = np.searchsorted(times, table[name]).tolist()
        return {
            "algorithm": schedule.algorithm,
            "collective": schedule.collective.name,
            "ranks": schedule.ranks,
            "chunks": schedule.chunks,
            "stepCount": schedule.steps,
            "total": schedule.messages,
            "size": format_size(result.nbytes),
            "topology": result.topology,
            "model": result.model,
            "ordering": result.ordering,
            "time": result.time,
            "bound": result.bound.seconds,
            "reason": result.bound.reason,
            "efficiency": result.efficiency,
            "until": self.kept.until,
            "names": [rank_name(rank) for rank in range(schedule.ranks)],
            "leftOut": self.left_out,
            "times": times.tolist(),
            "messages": messages,
            "cells": cells,
            "network": network,
            "onLinks": on_links,
            "inRanks": in_ranks,
            "sets": [_in_short(one) for one in self.sets],
        }

    # --- Messages ---

    def _messages(self, found: dict[int, Move]) -> dict[str, Any]:
        """Return the messages as columns; ``carried`` is chunk, set, chunk, set, ... of the chunks that are shown."""
        schedule, rows, payload = self.schedule, self.kept.rows, self.result.payload
        columns: dict[str, Any] = {
            name: getattr(schedule, name)[rows].tolist() for name in ("step", "src", "dst", "op")
        }
        columns |= {name: getattr(self.result.timeline, name)[rows] for name in _TIMES}
        columns["row"] = rows.tolist()
        columns["size"] = [format_size(math.fsum(payload[part.start : part.stop])) for part in self.messages]
        columns["chunks"] = [_as_runs(self._moved(part)) for part in self.messages]
        columns["carried"] = [
            [
                number
                for row in part
                for piece in _pieces(found, row)
                for number in (piece.chunk, self.sets[piece.carried])
            ]
            for part in self.messages
        ]
        columns["route"] = [
            -1 if op == Op.COMPUTE else self.routes[src, dst]
            for src, dst, op in zip(columns["src"], columns["dst"], columns["op"], strict=True)
        ]
        return columns

    def _moved(self, rows: Iterable[int]) -> list[int]:
        """Return the chunks of some rows, in order."""
        chunk, count = self.schedule.chunk, self.schedule.count
        return sorted(number for row in rows for number in range(chunk[row], chunk[row] + count[row]))

    # --- Buffers ---

    def _window(self) -> tuple[int, int]:
        """Return of how many chunks and ranks the buffers are shown."""
        schedule = self.schedule
        ranks = min(self.kept.ranks, _MOST_ROWS)
        if not ranks:
            return 0, 0
        columns = min(schedule.chunks, _MOST_COLUMNS, _MOST_CELLS // ranks, _MOST_STATE // schedule.ranks**2)
        if not columns:
            self.left_out.append("The buffers are left out.")
        elif columns < schedule.chunks or ranks < schedule.ranks:
            self.left_out.append(
                f"Of the buffers {columns} of {schedule.chunks} chunks are shown, of {ranks} of {schedule.ranks} ranks."
            )
        return columns, ranks

    def _history(self) -> dict[int, Move]:
        """Return what the rows do, up to the last step that is shown, to the chunks that are shown."""
        schedule, columns, collective = self.schedule, self.columns, self.schedule.collective
        if not columns:
            return {}
        seen = schedule.step <= schedule.step[self.kept.rows].max(initial=-1)
        rows = np.flatnonzero(seen & schedule.transfers & (schedule.chunk < columns))

        def shown(rank: int) -> NDArray[np.bool_]:
            return np.asarray(collective.outputs(schedule.ranks, schedule.chunks, rank) < columns)

        window = replace(
            collective,
            name=f"{collective.name} of some chunks",  # another one than that of its name
            before=lambda ranks, chunks, rank: collective.before(ranks, schedule.chunks, rank)[:chunks],
            after=lambda ranks, chunks, rank: collective.after(ranks, schedule.chunks, rank)[shown(rank)],
            outputs=lambda ranks, chunks, rank: collective.outputs(ranks, schedule.chunks, rank)[shown(rank)],
        )
        chunk = schedule.chunk[rows]
        part = Schedule(
            window,
            schedule.ranks,
            columns,
            schedule.step[rows],
            schedule.src[rows],
            schedule.dst[rows],
            chunk,
            np.minimum(schedule.count[rows], columns - chunk),
            schedule.op[rows],
        )
        told = history(part)
        self.start, self.promised = told.start, told.promised
        moves = itertools.chain.from_iterable(step.moves for step in told)
        return {int(rows[move.row]): move for move in moves}

    def _cells(self, found: dict[int, Move]) -> dict[str, Any]:
        """Return what the buffers hold first, what changes when, and what they should hold in the end.

        ``start``, ``promised`` are sets, rank by rank, chunk by chunk; ``brings`` the ranks that have a part in each
        chunk. The other columns are the changes in order: at which time, in which place of the table (rank by rank),
        the set then and the one before, and the number of the message.
        """
        at_least_once = self.schedule.collective.at_least_once
        finish, step = self.result.timeline.finish, self.schedule.step
        # A place shows what a move brings when that has finished, but never before an earlier step's moves.
        writes: dict[tuple[int, int], list[tuple[int, float, int, int, Piece]]] = {}
        for number, part in enumerate(self.messages):
            for row in part:
                for piece in _pieces(found, row):
                    where = int(self.schedule.dst[row]), piece.chunk
                    writes.setdefault(where, []).append((int(step[row]), float(finish[row]), row, number, piece))
        changes: list[tuple[float, int, tuple[int, int, int, int]]] = []
        for (rank, chunk), several in writes.items():
            if rank >= self.ranks:
                continue
            held, when = self.start[rank][chunk], 0.0
            for _, finished, row, number, piece in sorted(several, key=lambda one: one[:3]):
                copied = self.schedule.op[row] == Op.COPY
                left = piece.carried if copied else _combined(held, piece.carried, at_least_once)
                when = max(when, finished)
                place = rank * self.columns + chunk
                changes.append((when, row, (place, self.sets[left], self.sets[held], number)))
                held = left
        changes = [change for change in sorted(changes) if change[0] <= self.kept.until]
        brings: list[set[int]] = [set() for _ in range(self.columns)]
        for held_by_rank in self.start:
            for who, held in zip(brings, held_by_rank, strict=True):
                who.update(held.ranks)
        return {
            "ranks": self.ranks,
            "chunks": self.columns,
            "brings": [_as_runs(sorted(who)) for who in brings],
            "start": [[self.sets[held] for held in row] for row in self.start[: self.ranks]],
            "promised": [[self.sets[held] for held in row] for row in self.promised[: self.ranks]],
            "when": np.array([when for when, *_ in changes]),
            **{name: [change[i] for *_, change in changes] for i, name in enumerate(_CHANGE)},
        }

    # --- The network ---

    def _network(self) -> dict[str, Any]:
        """Return where nodes stand, which links there are, and the routes of messages in the order of their numbers.

        A node is label, name, kind (0 a rank, 1 a switch, 2 a shared medium), x and y (downwards); a link tail, head,
        the medium that it goes through or -1, how far its line is bent to its left, and its figures in words; a line
        without figures is not used by what is shown. A route is a list of share and links.
        """
        topology = self.result.parameters.topology
        if topology is None or topology.ranks + len(topology.switches) > _MOST_NODES:
            return self._without_topology(topology)
        found = layout(topology)
        places = {node: found[node] for node in (*range(topology.ranks), *found)}  # a rank has its own number
        nodes = {node: number for number, node in enumerate(places)}
        wires = shared_media(topology)
        ways = [topology.routes(src, dst) for src, dst in self.routes]
        used = list(dict.fromkeys(link for way in ways for route in way for link in route.links))
        self.number_of_link = number = {link: place for place, link in enumerate(used)}
        bends = _Bends(places)
        links: list[list[Any]] = []
        drawn: set[tuple[Node, Node]] = set()
        for link in (*(topology.links[i] for i in used), *topology.links):
            wire = wires.get(link.medium)
            seen = (link.tail, link.head) in drawn or (link.head, link.tail) in drawn
            if len(links) >= len(used) and (seen or len(links) >= _MOST_LINES):
                continue
            drawn.add((link.tail, link.head))
            words = f"{format_bandwidth(link.bandwidth)}, {format_time(link.latency)}" if len(links) < len(used) else ""
            via = -1 if wire is None else nodes[wire]
            bend = bends.of(link.tail, link.head) if wire is None else 0.0
            links.append([nodes[link.tail], nodes[link.head], via, bend, words, link.latency])
        if len(links) >= _MOST_LINES:
            self.left_out.append(f"Of the network {len(links)} of {len(topology.links)} links are drawn.")
        return {
            "nodes": [[*_labelled(node), x, -y] for node, (x, y) in places.items()],
            "links": links,
            "routes": [[[route.share, [number[link] for link in route.links]] for route in way] for way in ways],
            "real": True,
        }

    def _without_topology(self, topology: Topology | None) -> dict[str, Any]:
        """Return ranks on a circle, and a straight line from sender to receiver for each route."""
        ranks = self.schedule.ranks
        if topology is not None:
            nodes = topology.ranks + len(topology.switches)
            self.left_out.append(f"The network has {nodes} nodes, too many to draw: ranks stand on a circle instead.")
        radius = max(1.0, ranks / (2 * math.pi))
        turns = (2 * math.pi * rank / ranks for rank in range(ranks))
        return {
            "nodes": [
                [*_labelled(rank), round(radius * math.sin(turn), 6) + 0.0, round(-radius * math.cos(turn), 6) + 0.0]
                for rank, turn in enumerate(turns)
            ],
            "links": [[src, dst, -1, 0.0, "", 0.0] for src, dst in self.routes],
            "routes": [[[1.0, [number]]] for number in range(len(self.routes))],
            "real": False,
        }

    # --- Who is where ---

    def _uses(self, network: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return which message is on which link, and which keeps which part of which rank busy; times in seconds.

        Parts of a rank are numbered as in `collsim.occupancy.RANK_PARTS`.
        """
        number = np.full(len(self.schedule), -1)
        number[self.kept.rows] = np.arange(len(self.kept.rows))
        links: dict[str, Any] = {"message": [], "link": [], "begin": [], "end": []}
        if len(self.schedule) > _MOST_FOLLOWED:
            self.left_out.append("Of the timeline the lanes of links are left out; those of ranks show whole messages.")
            rows = self.kept.rows[self.schedule.transfers[self.kept.rows]]
            start, arrive = self.result.timeline.start[rows], self.result.timeline.arrive[rows]
            return links, {
                "message": np.tile(number[rows], 2).tolist(),
                "rank": [*self.schedule.src[rows].tolist(), *self.schedule.dst[rows].tolist()],
                "part": [SEND] * len(rows) + [RECEIVE] * len(rows),
                "begin": np.tile(start, 2),
                "end": np.tile(arrive, 2),
            }
        on, within = link_use(self.result), rank_use(self.result)
        some = (number[on.row] >= 0) & (on.finish > on.start)
        if some.sum() > _MOST_STAYS:
            self.left_out.append("Of the timeline the lanes of links are left out: these are too many packets.")
        elif network["real"]:
            links = {
                "message": number[on.row[some]].tolist(),
                "link": [self.number_of_link[link] for link in on.link[some].tolist()],
                "begin": on.start[some],
                "end": on.finish[some],
            }
        some = (number[within.row] >= 0) & (within.finish > within.start)
        return links, {
            "message": number[within.row[some]].tolist(),
            "rank": within.rank[some].tolist(),
            "part": within.part[some].tolist(),
            "begin": within.start[some],
            "end": within.finish[some],
        }


# --- Small things ---


def _pieces(found: dict[int, Move], row: int) -> tuple[Piece, ...]:
    return found[row].pieces if row in found else ()


def _combined(here: Contents, arriving: Contents, at_least_once: bool) -> Contents:
    """Return what a REDUCE leaves."""
    counts = dict(zip(here.ranks, here.times, strict=True))
    for rank, times in zip(arriving.ranks, arriving.times, strict=True):
        counts[rank] = max(counts.get(rank, 0), times) if at_least_once else counts.get(rank, 0) + times
    ranks = tuple(sorted(counts))
    return Contents(ranks, tuple(counts[rank] for rank in ranks))


def _as_runs(numbers: Iterable[int]) -> list[int]:
    """Return ascending numbers as first, last, first, last, ... of runs of neighbours.

    Examples
    --------
    >>> _as_runs([0, 1, 2, 5])
    [0, 2, 5, 5]
    """
    found: list[int] = []
    for number in numbers:
        if found and number == found[-1] + 1:
            found[-1] = number
        else:
            found += [number, number]
    return found


def _in_short(held: Contents) -> list[Any]:
    """Return contents as text, the ranks as runs, and 1 if one is counted twice."""
    return [held.short, _as_runs(held.ranks), *([] if held.once else [1])]


def _labelled(node: Node) -> tuple[str, str, int]:
    """Return the label of a node in the picture, its name and its kind."""
    if isinstance(node, Wire):
        return str(node.medium), f"shared medium {node.medium}", 2
    if isinstance(node, int):
        return str(node), node_name(node), 0
    return str(node), str(node) if str(node).startswith("switch") else f"switch {node}", 1


class _Bends:
    """Says how far a line must be bent so as not to run through nodes that it has nothing to do with."""

    _NEAR, _ASIDE = 0.25, 0.42  # neighbours are about 1 apart

    def __init__(self, places: dict[Hashable, Position]) -> None:
        self.places = places
        self.points = np.array(list(places.values()))

    def of(self, tail: Node, head: Node) -> float:
        """Return by how much its middle is off the straight line, to the left of its way, in the picture's units."""
        (x0, y0), (x1, y1) = self.places[tail], self.places[head]
        length = math.dist((x0, y0), (x1, y1)) or 1.0
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        along = (self.points[:, 0] - x0) * ux + (self.points[:, 1] - y0) * uy
        off = (self.points[:, 1] - y0) * ux - (self.points[:, 0] - x0) * uy
        if not ((along > 0.05) & (along < length - 0.05) & (abs(off) < self._NEAR)).any():
            return 0.0
        # Away from the middle of the picture; both directions of a cable to the same side.
        centre = (self.points.min(axis=0) + self.points.max(axis=0)) / 2
        side = (centre[1] - y0) * ux - (centre[0] - x0) * uy
        left = side < -1e-9 or (abs(side) <= 1e-9 and (ux, uy) > (0.0, 0.0))
        return self._ASIDE if left else -self._ASIDE

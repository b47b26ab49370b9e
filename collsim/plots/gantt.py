"""The Gantt chart: what every rank is doing when. One lane a rank."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from collsim.activities import (
    COMPUTING,
    DOING,
    OVERHEAD,
    RECEIVING,
    REDUCING,
    SENDING,
    Activities,
    activities,
    chunks_in_words,
    idle,
    lanes,
)
from collsim.errors import InputError
from collsim.plots.files import require_matplotlib
from collsim.plots.style import DOTS_PER_INCH, FONT_SIZE, time_unit, title_of
from collsim.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Look(NamedTuple):
    """How something is drawn, told apart by its hatch too, and what it is called."""

    colour: str
    hatch: str
    ink: str
    name: str


LOOKS: dict[int, Look] = {
    SENDING: Look("#0072B2", "", "white", "sending"),
    RECEIVING: Look("#8CCBEF", "", "black", "receiving"),
    REDUCING: Look("#E69F00", "////", "black", "reducing"),
    COMPUTING: Look("#009E73", "....", "white", "computing"),
    OVERHEAD: Look("#CC79A7", "xxxx", "black", "overhead"),
}
WAITING = Look("0.9", "", "black", "waiting")

_BANDS = ((SENDING,), (RECEIVING,), (REDUCING, COMPUTING, OVERHEAD))  # within a lane, from its top
_LANE, _LEAST_LANE, _TALLEST, _AROUND = 0.62, 0.16, 7.5, 1.15  # inches
_FULL = 0.84  # of a lane
_MOST_BARS = 6000
_LETTER = 0.62  # width over height


def plot_gantt(result: Result) -> Figure:
    """Draw what every rank is doing when: sending, receiving, reducing, computing, or waiting.

    Parameters
    ----------
    result : Result
        A simulated run with few ranks; above about 40 lanes become thin.

    Returns
    -------
    matplotlib.figure.Figure
        One lane a rank, time to the right. In a lane sending is above, receiving in the middle, and what the
        processor does below, if there is anything; what overlaps is stacked. A bar is labelled with its chunks where
        there is room. Pale is where a rank waits: for another rank, for a message on its way, or for its turn.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If nothing moves, or so much that no bar could be seen.

    Examples
    --------
    >>> import collsim as cs
    >>> schedule = cs.make_schedule("all_reduce", "tree", ranks=4)
    >>> plot_gantt(cs.simulate(schedule, alpha="10us", beta="0.1ns/B", nbytes="1MB")).axes[0].get_xlabel()
    'time (us)'
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    done, ranks = activities(result), result.schedule.ranks
    if not len(done):
        raise InputError(f"nothing to draw: {result.schedule!r} moves nothing")
    if len(done) > _MOST_BARS:
        raise InputError(f"{len(done)} bars are too many to draw, the most is {_MOST_BARS}; use fewer ranks or chunks")
    second, unit = time_unit(result.time)
    lane = max(_LEAST_LANE, min(_LANE, _TALLEST / ranks))
    height = lane * ranks + _AROUND
    figure = Figure(figsize=(9, height), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0.06, 0.55 / height, 0.925, lane * ranks / height))
    axes.set_xlim(0, max(result.time / second, 1e-9) * 1.01)
    axes.set_ylim(ranks - 0.5, -0.5)  # rank 0 on top
    gaps = [
        (begin / second, rank - _FULL / 2, (end - begin) / second, _FULL)
        for rank, of_rank in enumerate(idle(result, done))
        for begin, end in of_rank
    ]
    _bars(axes, gaps, WAITING)
    _draw(axes, result, done, second, lane)
    axes.set_yticks(range(ranks))
    axes.tick_params(labelsize=FONT_SIZE - 1 if lane > 0.2 else FONT_SIZE - 4)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("rank", fontsize=FONT_SIZE)
    axes.set_xlabel(f"time ({unit})", fontsize=FONT_SIZE)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title_of(result), loc="left", fontsize=FONT_SIZE + 1.5, pad=FONT_SIZE * 2)
    explain(axes, [*(LOOKS[what] for what in range(len(DOING)) if (done.what == what).any()), *[WAITING] * bool(gaps)])
    return figure


def _draw(axes: Axes, result: Result, done: Activities, second: float, lane: float) -> None:
    """Draw all bars: those of a rank and of one band of its lane beside or, where they overlap, above each other."""
    used = [band for band in _BANDS if any((done.what == what).any() for what in band)]
    band_of = {what: number for number, band in enumerate(used) for what in band}
    full = _FULL / len(used)
    words = chunks_in_words(result.schedule) if result.schedule.chunks > 1 else {}
    inch = axes.get_window_extent().width / DOTS_PER_INCH / (axes.get_xlim()[1] - axes.get_xlim()[0])
    bars: dict[int, list[tuple[float, float, float, float]]] = {what: [] for what in range(len(DOING))}
    columns = (done.rank.tolist(), done.what.tolist(), done.start.tolist(), done.finish.tolist(), done.row.tolist())
    entries = sorted(
        (rank, band_of[what], start, finish, what, row) for rank, what, start, finish, row in zip(*columns, strict=True)
    )
    for (rank, band), group in itertools.groupby(entries, key=lambda entry: entry[:2]):
        some = list(group)
        places = lanes([entry[2] for entry in some], [entry[3] for entry in some])
        thick = full / (max(places) + 1)
        for (_, _, start, finish, what, row), place in zip(some, places, strict=True):
            top = rank - _FULL / 2 + band * full + place * thick
            bars[what].append((start / second, top, (finish - start) / second, thick))
            size = min(FONT_SIZE - 3, 0.72 * 72 * thick * lane)
            wide = (finish - start) / second * inch * 72
            if size >= 4.5 and row in words and wide > size * (_LETTER * len(words[row]) + 0.4):
                _label(axes, (start + finish) / 2 / second, top + thick / 2, words[row], size, LOOKS[what])
    for what, found in bars.items():
        _bars(axes, found, LOOKS[what])


def _label(axes: Axes, x: float, y: float, text: str, size: float, look: Look) -> None:
    behind = {"boxstyle": "square,pad=0.05", "facecolor": look.colour, "edgecolor": "none"} if look.hatch else None
    axes.text(x, y, text, fontsize=size, color=look.ink, ha="center", va="center_baseline", bbox=behind, zorder=4)


def _bars(axes: Axes, bars: list[tuple[float, float, float, float]], look: Look) -> None:
    """Draw rectangles (left, top, width, height) as one artist, labelled with what they are."""
    from matplotlib.collections import PolyCollection

    corners = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h)] for x, y, w, h in bars]
    style: dict[str, Any] = {"facecolors": look.colour, "edgecolors": "white", "linewidths": 0.5, "hatch": look.hatch}
    if look is WAITING:
        style |= {"linewidths": 0, "zorder": 1}
    axes.add_collection(PolyCollection(corners, label=look.name, **{"zorder": 2, **style}), autolim=False)


def explain(axes: Axes, looks: list[Look]) -> None:
    """Write under the title what each colour and hatch means."""
    from matplotlib.patches import Patch

    axes.legend(
        handles=[Patch(facecolor=look.colour, edgecolor="white", hatch=look.hatch, label=look.name) for look in looks],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.1,
        ncols=len(looks),
        frameon=False,
        fontsize=FONT_SIZE - 1.5,
        handlelength=1.8,
        columnspacing=1.2,
    )

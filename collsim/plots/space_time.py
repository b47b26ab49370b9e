"""The space-time diagram: who sends what to whom, and when. One lane a rank, one arrow a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from collsim.activities import COMPUTING, REDUCING, activities, chunks_in_words
from collsim.errors import InputError
from collsim.plots.files import require_matplotlib
from collsim.plots.style import COMPUTE_COLOUR, DOTS_PER_INCH, FONT_SIZE, time_unit, title_of
from collsim.results import Result
from collsim.schedule import Op

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour and dashes of each kind of message.
_ARROWS: dict[Op, tuple[str, Any]] = {
    Op.REDUCE: ("#0072B2", "-"),
    Op.COPY: ("#D55E00", (0, (4, 1.5))),
}
# Colour, width and name of what a processor does, on the lane of its rank.
_BARS: dict[int, tuple[str, float, str]] = {
    REDUCING: ("#CC79A7", 4.0, "reducing"),
    COMPUTING: (COMPUTE_COLOUR, 6.0, "COMPUTE"),
}
# Sizes in inches.
_LANE, _LEAST_LANE, _TALLEST = 0.62, 0.2, 7.5
_AROUND_LANES = 1.15  # title, legend and axis
_HEAD = 16  # of an arrow, in pixels
_MOST_ARROWS = 2000
_ARROW_LABEL: dict[str, Any] = {
    "fontsize": FONT_SIZE - 2,
    "horizontalalignment": "center",
    "verticalalignment": "center",
    "bbox": {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    "zorder": 4,
}
_PLACES = (0.3, 0.22, 0.38, 0.5, 0.62, 0.7, 0.78)  # of a label along its arrow


def plot_schedule(result: Result) -> Figure:
    """Draw who sends what to whom, and when: one lane a rank, one arrow a message.

    Parameters
    ----------
    result : Result
        A simulated run with few ranks; above about 16 it becomes a web.

    Returns
    -------
    matplotlib.figure.Figure
        Time runs to the right. An arrow goes from the lane of the sender, when the message starts, to the
        lane of the receiver, when it has arrived. Solid blue arrows are combined with what is there (REDUCE),
        dashed orange ones replace it (COPY); thick bars are reducing, where that takes time, and local work
        (COMPUTE). Where there is room and the vector is cut, an arrow is labelled with its chunks.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If nothing moves, or so much that no arrow could be seen.

    Examples
    --------
    >>> import collsim as cs
    >>> schedule = cs.make_schedule("all_reduce", "ring", ranks=4)
    >>> figure = plot_schedule(cs.simulate(schedule, alpha="10us", beta="0.1ns/B", nbytes="400kB"))
    >>> figure.axes[0].get_xlabel()
    'time (us)'
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    schedule, timeline = result.schedule, result.timeline
    if not len(schedule):
        raise InputError(f"nothing to draw: {schedule!r} moves nothing")
    if schedule.messages > _MOST_ARROWS:
        raise InputError(
            f"{schedule.messages} messages are too many to draw, the most is {_MOST_ARROWS}; use fewer ranks or chunks"
        )
    second, unit = time_unit(result.time)
    start, arrive = timeline.start / second, timeline.arrive / second
    _, first = np.unique(schedule.message, return_index=True)  # row of each move; those of one message move as one

    lane = max(_LEAST_LANE, min(_LANE, _TALLEST / schedule.ranks))
    height = lane * schedule.ranks + _AROUND_LANES
    figure = Figure(figsize=(9, height), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0.06, 0.55 / height, 0.925, lane * schedule.ranks / height))
    axes.set_xlim(0, max(result.time / second, 1e-9) * 1.01)
    axes.set_ylim(schedule.ranks - 0.6, -0.4)  # rank 0 on top
    axes.hlines(range(schedule.ranks), *axes.get_xlim(), color="0.8", linewidth=1, zorder=1)
    done = activities(result)
    for what, (colour, width, _) in _BARS.items():
        some = done[done.what == what]
        for rank, begin, end in zip(some.rank, some.start / second, some.finish / second, strict=True):
            axes.hlines(rank, begin, end, color=colour, linewidth=width, zorder=2)
    messages = first[schedule.op[first] != Op.COMPUTE].tolist()
    words = chunks_in_words(schedule)
    _draw_arrows(
        axes,
        [((start[row], schedule.src[row]), (arrive[row], schedule.dst[row])) for row in messages],
        [Op(schedule.op[row]) for row in messages],
        [words[row] for row in messages] if schedule.chunks > 1 else [""] * len(messages),
    )
    axes.set_yticks(range(schedule.ranks))
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("rank", fontsize=FONT_SIZE)
    axes.set_xlabel(f"time ({unit})", fontsize=FONT_SIZE)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title_of(result), loc="left", fontsize=FONT_SIZE + 1.5, pad=FONT_SIZE * 2)
    _explain(axes, set(schedule.op.tolist()), [what for what in _BARS if (done.what == what).any()])
    return figure


def _explain(axes: Axes, ops: set[int], bars: Sequence[int]) -> None:
    """Write under the title what each kind of line means."""
    from matplotlib.lines import Line2D

    names = {Op.REDUCE: "REDUCE: combined with what is there", Op.COPY: "COPY: replaces it"}
    if Op.REDUCE not in ops:
        names[Op.COPY] = "COPY"
    drawn = [op for op in names if op in ops]
    looks = [_BARS[what] for what in bars]
    axes.legend(
        [
            *(Line2D([], [], color=_ARROWS[op][0], linestyle=_ARROWS[op][1], linewidth=1.3) for op in drawn),
            *(Line2D([], [], color=colour, linewidth=width) for colour, width, _ in looks),
        ],
        [*(names[op] for op in drawn), *(name for *_, name in looks)],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.1,
        ncols=len(drawn) + len(looks),
        frameon=False,
        fontsize=FONT_SIZE - 1,
        handlelength=3,
    )


def _draw_arrows(axes: Axes, ends: Sequence[tuple[Any, Any]], kinds: Sequence[Op], labels: Sequence[str]) -> None:
    """Draw arrows from tails to heads, each with its label, if any, where that hides the least."""
    # In pixels, with (x, y) in the last axis: how long an arrow is, and what is in the way of what.
    tail, head = (axes.transData.transform([end[side] for end in ends]) for side in (0, 1))
    length = np.hypot(*(head - tail).T)[:, None]
    neck = head - (head - tail) * np.minimum(1, _HEAD / np.maximum(length, 1e-9))
    back = axes.transData.inverted()
    for (begin, end), middle, kind in zip(ends, back.transform(neck), kinds, strict=True):
        colour, dashes = _ARROWS[kind]
        axes.plot(*zip(begin, middle, strict=True), color=colour, linestyle=dashes, linewidth=1.3, zorder=2)
        # The head has a line of its own, so that its edge is never dashed.
        axes.annotate(
            "",
            xy=end,
            xytext=middle,
            arrowprops={
                "arrowstyle": "-|>,head_length=0.5,head_width=0.22",
                "color": colour,
                "linewidth": 1.3,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=3,
        )

    sizes = {label: _label_size(axes, label) for label in set(labels) if label}
    places = np.array(_PLACES)[:, None]
    dots = tail[:, None] + np.linspace(0, 1, 60)[:, None] * (head - tail)[:, None]
    middles, extents = np.zeros((0, 2)), np.zeros((0, 2))  # of the labels written so far
    for number, label in enumerate(labels):
        if not label or length[number] < 2 * sizes[label].min():
            continue
        size, candidates = sizes[label], tail[number] + places * (head[number] - tail[number])
        free = ~(abs(candidates[:, None] - middles) < (size + extents) / 2).all(axis=2).any(axis=1)
        if not free.any():
            continue
        others = np.delete(dots, number, axis=0).reshape(-1, 2)
        hidden = [(abs(others - middle) < size / 2).all(axis=1).sum() for middle in candidates]
        best = candidates[np.argmin(np.where(free, hidden, np.inf))]
        x, y = back.transform(best)
        axes.text(x, y, label, **_ARROW_LABEL)
        middles, extents = np.vstack([middles, best]), np.vstack([extents, size])


def _label_size(axes: Axes, label: str) -> Any:
    """Return the width and height of an arrow's label in pixels, with some space around it."""
    text = axes.text(0, 0, label, **_ARROW_LABEL)
    extent = text.get_window_extent()
    text.remove()
    return np.array([extent.width, extent.height]) + 0.3 * FONT_SIZE * DOTS_PER_INCH / 72

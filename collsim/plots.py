"""Pictures: functions that return a matplotlib `Figure`, and one that writes it to a file.

`plot_schedule` and `plot_scaling` draw what has been simulated; `plot_costs` asks for what it draws. Nothing needs
a display: figures are made without pyplot.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collsim.bounds import lower_bound
from collsim.catalog import ALGORITHMS, get_algorithm, make_schedule
from collsim.collectives import collective_name, get_collective
from collsim.errors import InputError, MissingDependencyError
from collsim.models import AlphaBeta
from collsim.schedule import Op
from collsim.simulation import simulate
from collsim.units import (
    Quantity,
    format_bandwidth,
    format_size,
    format_time,
    parse_count,
    parse_size,
    parse_time,
    parse_time_per_byte,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collsim.book.exercise_1_1_3 import ScalingFigures
    from collsim.results import Result

# What a file of that kind must not contain, so that the same picture is the same bytes.
FORMATS: dict[str, dict[str, Any]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}

# The palette of Okabe and Ito (2008), told apart by colour-blind readers too; markers differ as well.
_COLOURS = ("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#56B4E9", "#E69F00")
_DARKER = ("#A84A00", "#00704F", "#005A90", "#A0487A", "#1F77A8", "#8A5F00")  # for words
_MARKERS = ("s", "^", "o", "D", "v", "P")
_COMPUTE_COLOUR = "#E69F00"
_FONT_SIZE = 10.5
_LINE_HEIGHT = 1.25  # of labels beside the picture, in font sizes
_DOTS_PER_INCH = 160

# Space-time diagrams: colour and dashes of each kind of move, and sizes in inches.
_ARROWS: dict[Op, tuple[str, Any]] = {
    Op.REDUCE: ("#0072B2", "-"),
    Op.COPY: ("#D55E00", (0, (4, 1.5))),
    Op.COMPUTE: (_COMPUTE_COLOUR, "-"),
}
_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_LANE, _LEAST_LANE, _TALLEST = 0.62, 0.2, 7.5
_AROUND_LANES = 1.15  # title, legend and axis
_HEAD = 16  # of an arrow, in pixels
_MOST_ARROWS = 2000
_MOST_RUNS = 4  # of chunks in a label
_LONGEST_OPTIONS = 50  # letters in a title
_ARROW_LABEL: dict[str, Any] = {
    "fontsize": _FONT_SIZE - 2,
    "horizontalalignment": "center",
    "verticalalignment": "center",
    "bbox": {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    "zorder": 4,
}
_PLACES = (0.3, 0.22, 0.38, 0.5, 0.62, 0.7, 0.78)  # of a label along its arrow


def plot_scaling(figures: ScalingFigures) -> Figure:
    """Draw the time of an all-reduce against the number of workers, beside the compute time.

    Parameters
    ----------
    figures : ScalingFigures
        What `collsim.book.exercise_1_1_3.answer` returns.

    Returns
    -------
    matplotlib.figure.Figure
        Markers are simulated, lines are closed forms; the time of one gradient over one link, the least
        time of any all-reduce and the compute time are drawn for comparison. Both axes are logarithmic.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If no number of workers is above 1, so that there is nothing to draw.

    Examples
    --------
    >>> from collsim.book.exercise_1_1_3 import answer
    >>> plot_scaling(answer(workers=[2, 4, 8])).axes[0].get_ylabel()
    'time of one all-reduce (s)'
    """
    require_matplotlib()
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    counts = [count for count in figures.workers if count > 1]
    if not counts:
        raise InputError(f"nothing to draw: no number of workers is above 1 (got {figures.workers})")
    figure = Figure(figsize=(9, 5), dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0.085, 0.115, 0.635, 0.79))
    last = counts[-1]
    smooth = np.unique(np.geomspace(counts[0], last, 5000).round().astype(int)).tolist()
    labels: list[tuple[float, str, str]] = []

    lowest, highest = min(figures.compute), max(figures.compute)
    if lowest < highest:
        axes.axhspan(lowest, highest, color=_COMPUTE_COLOUR, alpha=0.25, linewidth=0)
    for cost in (lowest, highest):
        axes.axhline(cost, color=_COMPUTE_COLOUR, linewidth=1.6)
        labels.append((cost, f"compute, {format_time(cost)}", "#8A5F00"))
    if lowest == highest:
        labels.pop()
    axes.axhline(figures.once, color="0.35", linewidth=1.2, linestyle=(0, (1, 1.5)))
    labels.append((figures.once, f"one gradient once, {format_time(figures.once)}", "0.25"))
    # Above the lines of the algorithms: a good one lies on it.
    axes.plot(smooth, [figures.bound(k) for k in smooth], color="black", linewidth=1.1, linestyle=(0, (4, 4)), zorder=3)
    labels.append((figures.bound(last), "least possible, 2(K−1)/K · n/B", "black"))

    for number, name in enumerate(figures.algorithms):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        form = get_algorithm("all_reduce", name).time
        if form is not None:
            costs = {"nbytes": figures.size, "alpha": figures.latency, "beta": 1 / figures.bandwidth}
            axes.plot(smooth, [form(k, **costs) for k in smooth], color=colour, linewidth=1.8)
        times = [figures.at(name, count)[0].time for count in counts]
        axes.plot(
            counts, times, marker, color=colour, markersize=6.5, markeredgecolor="white", markeredgewidth=0.7, zorder=4
        )
        labels.append((times[-1], f"{name}, {format_time(times[-1])}", colour))

    _draw_axes(axes, counts)
    axes.set_title(
        f"All-reduce of one gradient ({format_size(figures.size)}) at {format_bandwidth(figures.bandwidth)} "
        f"and {format_time(figures.latency)} a message; times at K = {last}",
        loc="left",
        fontsize=_FONT_SIZE + 1.5,
    )
    axes.legend(
        handles=[
            Line2D([], [], color="0.3", marker="o", linestyle="", label="simulated"),
            Line2D([], [], color="0.3", linewidth=1.8, label="closed form"),
        ],
        loc="upper left",
        frameon=False,
        fontsize=_FONT_SIZE,
    )
    _label_beside(axes, labels)
    return figure


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
        lane of the receiver, when it has arrived and been reduced. Solid blue arrows are combined with
        what is there (REDUCE), dashed orange ones replace it (COPY); thick bars are local work (COMPUTE).
        Where there is room and the vector is cut, an arrow is labelled with its chunks.

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
    import numpy as np
    from matplotlib.figure import Figure

    schedule, timeline = result.schedule, result.timeline
    if not len(schedule):
        raise InputError(f"nothing to draw: {schedule!r} moves nothing")
    if schedule.messages > _MOST_ARROWS:
        raise InputError(
            f"{schedule.messages} messages are too many to draw, the most is {_MOST_ARROWS}; use fewer ranks or chunks"
        )
    second, unit = next((entry for entry in _TIME_UNITS if entry[0] <= result.time), _TIME_UNITS[-1])
    start, finish = timeline.start / second, timeline.finish / second
    _, first = np.unique(schedule.message, return_index=True)  # row of each move; those of one message move as one

    lane = max(_LEAST_LANE, min(_LANE, _TALLEST / schedule.ranks))
    height = lane * schedule.ranks + _AROUND_LANES
    figure = Figure(figsize=(9, height), dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0.06, 0.55 / height, 0.925, lane * schedule.ranks / height))
    axes.set_xlim(0, max(result.time / second, 1e-9) * 1.01)
    axes.set_ylim(schedule.ranks - 0.6, -0.4)  # rank 0 on top
    axes.hlines(range(schedule.ranks), *axes.get_xlim(), color="0.8", linewidth=1, zorder=1)
    for row in first[schedule.op[first] == Op.COMPUTE].tolist():
        axes.hlines(schedule.src[row], start[row], finish[row], color=_ARROWS[Op.COMPUTE][0], linewidth=6, zorder=2)
    messages = first[schedule.op[first] != Op.COMPUTE].tolist()
    _draw_arrows(
        axes,
        [((start[row], schedule.src[row]), (finish[row], schedule.dst[row])) for row in messages],
        [Op(schedule.op[row]) for row in messages],
        [_chunks_of(result, row) if schedule.chunks > 1 else "" for row in messages],
    )
    axes.set_yticks(range(schedule.ranks))
    axes.tick_params(labelsize=_FONT_SIZE - 1)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("rank", fontsize=_FONT_SIZE)
    axes.set_xlabel(f"time ({unit})", fontsize=_FONT_SIZE)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(_title_of(result), loc="left", fontsize=_FONT_SIZE + 1.5, pad=_FONT_SIZE * 2)
    _explain_arrows(axes, set(schedule.op.tolist()))
    return figure


def _title_of(result: Result) -> str:
    schedule = result.schedule
    known = ALGORITHMS.get((schedule.collective.name, schedule.algorithm))
    defaults = known.options if known else {}
    options = [f"{key}={value}" for key, value in schedule.options.items() if value != defaults.get(key)]
    parts = [f"{schedule.collective.name} by {schedule.algorithm}", f"K = {schedule.ranks}"]
    if options:
        parts.append(textwrap.shorten(", ".join(options), _LONGEST_OPTIONS, placeholder=" ..."))
    return ", ".join([*parts, f"{format_size(result.nbytes)} in {format_time(result.time)}"])


def _explain_arrows(axes: Axes, ops: set[int]) -> None:
    """Write under the title what each kind of line means."""
    from matplotlib.lines import Line2D

    names = {Op.REDUCE: "REDUCE: combined with what is there", Op.COPY: "COPY: replaces it", Op.COMPUTE: "COMPUTE"}
    if Op.REDUCE not in ops:
        names[Op.COPY] = "COPY"
    drawn = [op for op in names if op in ops]
    width = {Op.COMPUTE: 6.0}
    axes.legend(
        [Line2D([], [], color=_ARROWS[op][0], linestyle=_ARROWS[op][1], linewidth=width.get(op, 1.3)) for op in drawn],
        [names[op] for op in drawn],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.1,
        ncols=len(drawn),
        frameon=False,
        fontsize=_FONT_SIZE - 1,
        handlelength=3,
    )


def _chunks_of(result: Result, row: int) -> str:
    """Return which chunks the message that begins with a row carries, in few letters."""
    schedule = result.schedule
    rows = slice(row, row + int((schedule.message == schedule.message[row]).sum()))
    pieces = sorted(zip(schedule.chunk[rows].tolist(), schedule.count[rows].tolist(), strict=True))
    runs: list[list[int]] = []
    for chunk, count in pieces:
        if runs and runs[-1][1] == chunk:
            runs[-1][1] += count
        else:
            runs.append([chunk, chunk + count])
    if len(runs) > _MOST_RUNS:
        return f"{sum(count for _, count in pieces)} chunks"
    return ",".join(str(begin) if end == begin + 1 else f"{begin}–{end - 1}" for begin, end in runs)


def _draw_arrows(axes: Axes, ends: Sequence[tuple[Any, Any]], kinds: Sequence[Op], labels: Sequence[str]) -> None:
    """Draw arrows from tails to heads, each with its label, if any, where that hides the least."""
    import numpy as np

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
    import numpy as np

    text = axes.text(0, 0, label, **_ARROW_LABEL)
    extent = text.get_window_extent()
    text.remove()
    return np.array([extent.width, extent.height]) + 0.3 * _FONT_SIZE * _DOTS_PER_INCH / 72


def plot_costs(
    collective: str,
    algorithms: Iterable[str | tuple[str, Mapping[str, Any]]],
    ranks: int,
    sizes: Iterable[Quantity],
    alpha: Quantity,
    beta: Quantity,
    *,
    gamma: Quantity = 0.0,
) -> Figure:
    """Draw the time of a collective against the size of the vector, one line an algorithm.

    Parameters
    ----------
    collective : str
        For example ``"all_reduce"``.
    algorithms : iterable of str or (str, mapping)
        Names in the table; with options as ``("chain", {"segments": 64})``.
    ranks : int
        K, at least 2.
    sizes : iterable of int or str
        Sizes of the whole vector in bytes, above 0, or text such as ``"1MB"``.
    alpha, beta : float or str
        Seconds a message, seconds a byte.
    gamma : float or str
        Seconds a byte that a reduction costs its receiver.

    Returns
    -------
    matplotlib.figure.Figure
        Markers are simulated, lines are closed forms (an algorithm that has none gets a thin dotted line
        from marker to marker); the lower bound is dashed. Both axes are logarithmic.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If a name is not known, a value is out of range, or there is nothing to draw.

    Examples
    --------
    >>> figure = plot_costs("all_reduce", ["ring", "tree"], 8, ["1kB", "1MB", "1GB"], alpha="5us", beta="0.1ns/B")
    >>> figure.axes[0].get_ylabel()
    'time of one all_reduce'
    """
    require_matplotlib()
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    promise, number = get_collective(collective_name(collective)), parse_count(ranks, "ranks", minimum=2)
    chosen = [(entry, {}) if isinstance(entry, str) else (entry[0], dict(entry[1])) for entry in algorithms]
    counts = sorted({parse_size(size) for size in sizes})
    if not chosen or len(counts) < 2 or counts[0] < 1:
        raise InputError(f"nothing to draw: give an algorithm and two sizes above 0 (got {chosen} and {counts})")
    costs: dict[str, Any] = {
        "alpha": parse_time(alpha, "alpha"),
        "beta": parse_time_per_byte(beta),
        "gamma": parse_time_per_byte(gamma, "gamma"),
    }
    figure = Figure(figsize=(9, 5), dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0.085, 0.115, 0.635, 0.79))
    smooth = np.geomspace(counts[0], counts[-1], 80)
    labels: list[tuple[float, str, str]] = []

    model = AlphaBeta(costs["alpha"], costs["beta"])
    bounds = [lower_bound(promise, number, size, model, gamma=costs["gamma"]).seconds for size in smooth.tolist()]
    axes.plot(smooth, bounds, color="black", linewidth=1.1, linestyle=(0, (4, 4)), zorder=3)
    labels.append((bounds[-1], f"lower bound, {format_time(bounds[-1])}", "black"))
    for turn, (name, options) in enumerate(chosen):
        colour, marker = _COLOURS[turn % len(_COLOURS)], _MARKERS[turn % len(_MARKERS)]
        schedule = make_schedule(collective, name, number, **options)
        times = [simulate(schedule, nbytes=size, **costs).time for size in counts]
        form = get_algorithm(collective, name).time
        drawn = [math.nan] if form is None else [form(number, n, **costs, **schedule.options) for n in smooth.tolist()]
        if math.isnan(drawn[0]):
            axes.plot(counts, times, color=colour, linewidth=0.9, linestyle=(0, (1, 2)))
        else:
            axes.plot(smooth, drawn, color=colour, linewidth=1.8)
        axes.plot(
            counts, times, marker, color=colour, markersize=6.5, markeredgecolor="white", markeredgewidth=0.7, zorder=4
        )
        given = "".join(f", {key}={value}" for key, value in options.items())
        labels.append((times[-1], f"{name}{given}, {format_time(times[-1])}", _DARKER[turn % len(_COLOURS)]))

    _draw_cost_axes(axes, counts, f"time of one {promise.name}")
    reduction = f", γ = {_per_byte(costs['gamma'])}" if costs["gamma"] else ""
    axes.set_title(
        f"{promise.name} on K = {number} ranks, α = {format_time(costs['alpha'])}, β = {_per_byte(costs['beta'])}"
        f"{reduction}; times at {format_size(counts[-1])}",
        loc="left",
        fontsize=_FONT_SIZE + 1.5,
    )
    axes.legend(
        handles=[
            Line2D([], [], color="0.3", marker="o", linestyle="", label="simulated"),
            Line2D([], [], color="0.3", linewidth=1.8, label="closed form"),
        ],
        loc="upper left",
        frameon=False,
        fontsize=_FONT_SIZE,
    )
    _label_beside(axes, labels)
    return figure


def _per_byte(seconds: float) -> str:
    return f"{seconds * 1e9:.4g} ns/B"


def _draw_cost_axes(axes: Axes, sizes: Sequence[int], label: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    low, high = axes.get_ylim()
    if high < 20 * low:  # so that there are two powers of ten to read off
        axes.set_ylim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_size(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_time(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("size n of the vector", fontsize=_FONT_SIZE)
    axes.set_ylabel(label, fontsize=_FONT_SIZE)
    _draw_grid(axes)


def _draw_axes(axes: Axes, counts: Sequence[int]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(counts[0] / 1.15, counts[-1] * 1.15)
    axes.set_xticks(_thinned(counts))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    if high < 20 * low:  # so that there are two powers of ten to read off
        axes.set_ylim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
    axes.set_xlabel("workers K", fontsize=_FONT_SIZE)
    axes.set_ylabel("time of one all-reduce (s)", fontsize=_FONT_SIZE)
    _draw_grid(axes)


def _draw_grid(axes: Axes) -> None:
    axes.tick_params(labelsize=_FONT_SIZE - 1)
    axes.grid(which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _power_of_ten(value: float, _: Any) -> str:
    return f"{value:g}" if 1e-3 <= value < 1e5 else f"$10^{{{math.log10(value):.0f}}}$"


def _thinned(counts: Sequence[int]) -> list[int]:
    """Return the numbers that have room for a label each on a logarithmic axis."""
    span = max(counts) / min(counts)
    kept = [counts[-1]]
    for count in reversed(counts[:-1]):
        if kept[-1] / count >= span ** (1 / 14):
            kept.append(count)
    return kept[::-1]


def _label_beside(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write each label to the right of the picture at the height of its value, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)
    height = axes.get_window_extent().height
    gap = _FONT_SIZE * _LINE_HEIGHT * _DOTS_PER_INCH / 72 / height
    ordered = sorted(labels)
    values = [axes.transAxes.inverted().transform(axes.transData.transform((1, value)))[1] for value, _, _ in ordered]
    for (_, text, colour), value, place in zip(ordered, values, spread(values, gap), strict=True):
        axes.annotate(
            text,
            xy=(1.0, value),
            xytext=(1.045, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            fontsize=_FONT_SIZE,
            verticalalignment="center",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return ascending places moved apart until they are `gap` from each other, each group about its own mean.

    Examples
    --------
    >>> [round(place, 3) for place in spread([0.1, 0.5, 0.5, 0.9], 0.1)]
    [0.1, 0.45, 0.55, 0.9]
    """
    groups: list[tuple[float, int]] = []  # mean of the places wanted, and how many
    for place in places:
        mean, size = place, 1
        while groups and mean - groups[-1][0] < gap * (size + groups[-1][1]) / 2:
            other, count = groups.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        groups.append((mean, size))
    return [mean + gap * (i - (size - 1) / 2) for mean, size in groups for i in range(size)]


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as SVG or PNG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or path
        Where to; its suffix, ``.svg`` or ``.png``, says what.

    Raises
    ------
    InputError
        If the suffix is another, or the file cannot be written.
    """
    target = check_target(path)
    import matplotlib

    buffer = BytesIO()
    suffix = target.suffix.lower()
    with matplotlib.rc_context({"svg.hashsalt": "collsim"}):
        figure.savefig(buffer, format=suffix[1:], metadata=FORMATS[suffix], bbox_inches="tight", pad_inches=0.12)
    try:
        target.write_bytes(buffer.getvalue())
    except OSError as error:
        raise InputError(f"cannot write the picture to {str(path)!r}: {error.strerror}") from None


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the path of a picture to be written, or say before any work is done why it cannot be.

    Raises
    ------
    InputError
        If the suffix is not known, or there is no such folder.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> check_target("scaling.svg").name
    'scaling.svg'
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"a picture must be an .svg or a .png file, got {str(path)!r}")
    if target.is_dir():
        raise InputError(f"cannot write the picture to {str(path)!r}: it is a folder")
    if not target.parent.is_dir():
        raise InputError(f"cannot write the picture to {str(path)!r}: there is no folder {str(target.parent)!r}")
    require_matplotlib()
    return target


def require_matplotlib() -> None:
    """Raise a `MissingDependencyError` that says how to install matplotlib, unless it can be imported."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"pictures need matplotlib ({error}); install it with: pip install 'collsim[plot]'"
        ) from None

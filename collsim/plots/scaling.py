"""The picture of exercise 1.1.3: the time of an all-reduce against the number of workers, beside the compute time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from collsim.catalog import get_algorithm
from collsim.errors import InputError
from collsim.plots.files import require_matplotlib
from collsim.plots.style import (
    COLOURS,
    COMPUTE_COLOUR,
    DOTS_PER_INCH,
    FONT_SIZE,
    MARKERS,
    draw_grid,
    label_beside,
    thinned,
)
from collsim.units import format_bandwidth, format_size, format_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collsim.book.exercise_1_1_3 import ScalingFigures


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
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    counts = [count for count in figures.workers if count > 1]
    if not counts:
        raise InputError(f"nothing to draw: no number of workers is above 1 (got {figures.workers})")
    figure = Figure(figsize=(9, 5), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0.085, 0.115, 0.635, 0.79))
    last = counts[-1]
    smooth = np.unique(np.geomspace(counts[0], last, 5000).round().astype(int)).tolist()
    labels: list[tuple[float, str, str]] = []

    lowest, highest = min(figures.compute), max(figures.compute)
    if lowest < highest:
        axes.axhspan(lowest, highest, color=COMPUTE_COLOUR, alpha=0.25, linewidth=0)
    for cost in (lowest, highest):
        axes.axhline(cost, color=COMPUTE_COLOUR, linewidth=1.6)
        labels.append((cost, f"compute, {format_time(cost)}", "#8A5F00"))
    if lowest == highest:
        labels.pop()
    axes.axhline(figures.once, color="0.35", linewidth=1.2, linestyle=(0, (1, 1.5)))
    labels.append((figures.once, f"one gradient once, {format_time(figures.once)}", "0.25"))
    # Above the lines of the algorithms: a good one lies on it.
    axes.plot(smooth, [figures.bound(k) for k in smooth], color="black", linewidth=1.1, linestyle=(0, (4, 4)), zorder=3)
    labels.append((figures.bound(last), "least possible, 2(K−1)/K · n/B", "black"))

    for number, name in enumerate(figures.algorithms):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
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
        fontsize=FONT_SIZE + 1.5,
    )
    axes.legend(
        handles=[
            Line2D([], [], color="0.3", marker="o", linestyle="", label="simulated"),
            Line2D([], [], color="0.3", linewidth=1.8, label="closed form"),
        ],
        loc="upper left",
        frameon=False,
        fontsize=FONT_SIZE,
    )
    label_beside(axes, labels)
    return figure


def _draw_axes(axes: Axes, counts: Sequence[int]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(counts[0] / 1.15, counts[-1] * 1.15)
    axes.set_xticks(thinned(counts))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    if high < 20 * low:  # so that there are two powers of ten to read off
        axes.set_ylim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
    axes.set_xlabel("workers K", fontsize=FONT_SIZE)
    axes.set_ylabel("time of one all-reduce (s)", fontsize=FONT_SIZE)
    draw_grid(axes)


def _power_of_ten(value: float, _: Any) -> str:
    return f"{value:g}" if 1e-3 <= value < 1e5 else f"$10^{{{math.log10(value):.0f}}}$"

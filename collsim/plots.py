"""Pictures of results: functions that return a matplotlib `Figure`, and one that writes it to a file.

Nothing here simulates, and nothing needs a display: figures are made without pyplot.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collsim.catalog import get_algorithm
from collsim.errors import InputError, MissingDependencyError
from collsim.units import format_bandwidth, format_size, format_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from collsim.book.exercise_1_1_3 import ScalingFigures

# What a file of that kind must not contain, so that the same picture is the same bytes.
FORMATS: dict[str, dict[str, Any]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}

# The palette of Okabe and Ito (2008), told apart by colour-blind readers too; markers differ as well.
_COLOURS = ("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("s", "^", "o", "D", "v", "P")
_COMPUTE_COLOUR = "#E69F00"
_FONT_SIZE = 10.5
_LINE_HEIGHT = 1.25  # of labels beside the picture, in font sizes
_DOTS_PER_INCH = 160


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

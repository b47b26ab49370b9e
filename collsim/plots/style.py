"""What pictures have in common: colours, sizes, grids, labels beside lines, units on axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from collsim.catalog import ALGORITHMS
from collsim.results import Result
from collsim.units import format_size, format_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The palette of Okabe and Ito (2008), told apart by colour-blind readers too; markers differ as well.
COLOURS = ("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#56B4E9", "#E69F00")
DARKER = ("#A84A00", "#00704F", "#005A90", "#A0487A", "#1F77A8", "#8A5F00")  # for words
MARKERS = ("s", "^", "o", "D", "v", "P")
COMPUTE_COLOUR = "#E69F00"
FONT_SIZE = 10.5
DOTS_PER_INCH = 160

_LINE_HEIGHT = 1.25  # of labels beside the picture, in font sizes
_LONGEST_OPTIONS = 50  # letters in a title
_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def time_unit(longest: float) -> tuple[float, str]:
    """Return the unit for an axis of time that goes up to `longest` seconds: its seconds, and its name.

    Examples
    --------
    >>> time_unit(0.02), time_unit(0)
    ((0.001, 'ms'), (1e-09, 'ns'))
    """
    return next((entry for entry in _TIME_UNITS if entry[0] <= longest), _TIME_UNITS[-1])


def title_of(result: Result) -> str:
    """Return what ran, on how many ranks, how much and how long, for a title."""
    schedule = result.schedule
    known = ALGORITHMS.get((schedule.collective.name, schedule.algorithm))
    defaults = known.options if known else {}
    options = [f"{key}={value}" for key, value in schedule.options.items() if value != defaults.get(key)]
    parts = [f"{schedule.collective.name} by {schedule.algorithm}", f"K = {schedule.ranks}"]
    if options:
        parts.append(textwrap.shorten(", ".join(options), _LONGEST_OPTIONS, placeholder=" ..."))
    return ", ".join([*parts, f"{format_size(result.nbytes)} in {format_time(result.time)}"])


def per_byte(seconds: float) -> str:
    """Return seconds a byte for people."""
    return f"{seconds * 1e9:.4g} ns/B"


def draw_grid(axes: Axes) -> None:
    """Draw a pale grid, and no frame above and to the right."""
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.grid(which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def thinned(counts: Sequence[int]) -> list[int]:
    """Return the numbers that have room for a label each on a logarithmic axis."""
    span = max(counts) / min(counts)
    kept = [counts[-1]]
    for count in reversed(counts[:-1]):
        if kept[-1] / count >= span ** (1 / 14):
            kept.append(count)
    return kept[::-1]


def label_beside(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write each label to the right of the picture at the height of its value, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)
    height = axes.get_window_extent().height
    gap = FONT_SIZE * _LINE_HEIGHT * DOTS_PER_INCH / 72 / height
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
            fontsize=FONT_SIZE,
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

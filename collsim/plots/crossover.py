"""The crossover map: which algorithm is best, for every number of ranks and every size."""

from __future__ import annotations

import itertools
import math
import string
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from collsim.errors import InputError
from collsim.plots.costs import Costs, costs_in_words, networks_in_words
from collsim.plots.files import require_matplotlib
from collsim.plots.style import DOTS_PER_INCH, FONT_SIZE
from collsim.sweeps import Record
from collsim.units import format_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Pale enough to be written on; with the letters there is no meaning in colour alone.
_PALE = ("#F2B48C", "#7FCDB0", "#8FBFE3", "#E3BCD2", "#F7F0A0", "#BFBFBF", "#C4E5F7", "#F5D48A")
_TIE = 1e-9  # relative: engines agree to this
_MOST_CELLS = 4000
_LETTERS = string.ascii_uppercase
_WIDTH = 8.0  # inches
_WITH_MARGIN = 0.42  # inches: the height from which a cell also says by how much


@dataclass(frozen=True)
class Crossover:
    """Which algorithm is best where.

    Attributes
    ----------
    algorithms : list of str
        In the order in which they came.
    ranks, sizes : list of int
        Ascending.
    times : dict
        Seconds by (algorithm, ranks, size).
    """

    algorithms: list[str]
    ranks: list[int]
    sizes: list[int]
    times: dict[tuple[str, int, int], float]

    def best(self, ranks: int, size: int) -> list[str]:
        """Return the best algorithm there: several where they take equally long, none where none was tried."""
        found = {name: self.times[name, ranks, size] for name in self.algorithms if (name, ranks, size) in self.times}
        least = min(found.values(), default=math.inf)
        return [name for name, time in found.items() if time <= least * (1 + _TIE)]

    def margin(self, ranks: int, size: int) -> float:
        """Return how many times as long the second best takes; 1 where several are best, infinite without another."""
        found = sorted(self.times[name, ranks, size] for name in self.algorithms if (name, ranks, size) in self.times)
        if len(found) < 2 or not found[0]:
            return 1.0 if len(found) > 1 and found[0] == found[1] else math.inf
        return found[1] / found[0]


def crossover(rows: Iterable[Record]) -> Crossover:
    """Return which algorithm is best where, from the rows of a sweep.

    Parameters
    ----------
    rows : iterable of dict
        What `collsim.sweep` returns for one collective and one kind of network.

    Raises
    ------
    InputError
        If there are no rows, or they have several collectives, networks or models.

    Examples
    --------
    >>> import collsim as cs
    >>> found = crossover(
    ...     cs.sweep(algorithm=["tree", "ring"], ranks=[8, 64], nbytes=["1kB", "1GB"], alpha="5us", beta="0.1ns/B")
    ... )
    >>> [found.best(ranks, size) for ranks in found.ranks for size in found.sizes]
    [['tree'], ['ring'], ['tree'], ['ring']]
    """
    several = list(rows)
    for key, what in (("collective", "collective"), ("model", "model"), ("ordering", "ordering")):
        values = list(dict.fromkeys(row[key] for row in several))
        if len(values) != 1:
            raise InputError(f"a crossover map has one {what}, got {', '.join(map(str, values)) or 'no rows'}")
    networks = networks_in_words(several)
    if len(networks) > 1:
        raise InputError(f"a crossover map has one network, got {', '.join(networks)}")
    return Crossover(
        list(dict.fromkeys(row["algorithm"] for row in several)),
        sorted({row["ranks"] for row in several}),
        sorted({row["size_bytes"] for row in several}),
        {(row["algorithm"], row["ranks"], row["size_bytes"]): row["time_s"] for row in several},
    )


def plot_crossover(rows: Iterable[Record], *, costs: Costs | None = None) -> Figure:
    """Draw which algorithm is best for every number of ranks and every size.

    Parameters
    ----------
    rows : iterable of dict
        What `collsim.sweep` returns for one collective and one kind of network, with several numbers of ranks above 1
        and several sizes above 0.
    costs : Costs, optional
        What a message costs where there is no topology; for the title.

    Returns
    -------
    matplotlib.figure.Figure
        One cell a number of ranks and size, both logarithmic: its colour and its letter name the best algorithm
        (``A=B`` if they take equally long); below it, where there is room, how many times as long the second best
        takes. Thick lines are where the best one changes. Cells of which no algorithm was tried are empty.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If there are fewer than two numbers of ranks or sizes, or several collectives, networks or models.

    Examples
    --------
    >>> import collsim as cs
    >>> rows = cs.sweep(algorithm=["ring", "tree"], ranks=[4, 8], nbytes=["1kB", "1MB"], alpha="5us", beta="0.1ns/B")
    >>> axes = plot_crossover(rows).axes[0]
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('size n of the vector', 'number of ranks K')
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    given = list(rows)
    found = crossover(row for row in given if row["ranks"] > 1 and row["size_bytes"] > 0)
    if len(found.ranks) < 2 or len(found.sizes) < 2:
        raise InputError(
            f"a crossover map needs two numbers of ranks above 1 and two sizes above 0, got {found.ranks} and "
            f"{[format_size(size) for size in found.sizes]}"
        )
    if len(found.ranks) * len(found.sizes) > _MOST_CELLS:
        raise InputError(f"{len(found.ranks) * len(found.sizes)} cells are too many to draw, the most is {_MOST_CELLS}")
    winners = [
        name for name in found.algorithms if any(name in found.best(k, n) for k in found.ranks for n in found.sizes)
    ]
    if len(winners) > len(_PALE):
        raise InputError(f"{len(winners)} algorithms are best somewhere, too many colours (the most is {len(_PALE)})")
    first = given[0]
    height = min(0.55, 6.0 / len(found.ranks)) * len(found.ranks)
    figure = Figure(figsize=(9, height + 1.6), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0.085, 0.6 / (height + 1.6), _WIDTH / 9, height / (height + 1.6)))
    _draw_cells(axes, found, winners, height)
    _draw_axes(axes, found)
    where = f"model {first['model']}"
    if first["topology"] is not None:
        where = f"{networks_in_words(given)[0]}, {where}"
    elif costs is not None:
        where = costs_in_words(costs)
    lines = _explain(axes, found, winners)
    title = f"the best {first['collective']}, {where}"
    axes.set_title(title, loc="left", fontsize=FONT_SIZE + 1.5, pad=FONT_SIZE * (0.5 + 1.5 * lines))
    return figure


def edges(values: Sequence[int]) -> list[float]:
    """Return the edges of cells around values on a logarithmic axis.

    Examples
    --------
    >>> [round(edge, 3) for edge in edges([2, 8, 32])]
    [1.0, 4.0, 16.0, 64.0]
    """
    inner = [math.sqrt(a * b) for a, b in itertools.pairwise(values)]
    return [values[0] ** 2 / inner[0], *inner, values[-1] ** 2 / inner[-1]]


def _draw_cells(axes: Axes, found: Crossover, winners: Sequence[str], inches: float) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    best = [[found.best(k, n) for n in found.sizes] for k in found.ranks]
    number = np.array([[winners.index(names[0]) if names else -1 for names in row] for row in best])
    wide, high = edges(found.sizes), edges(found.ranks)
    axes.pcolormesh(
        wide,
        high,
        np.ma.masked_less(number, 0),
        cmap=ListedColormap(_PALE[: len(winners)]),
        norm=BoundaryNorm(np.arange(len(winners) + 1) - 0.5, len(winners)),
        edgecolors="white",
        linewidth=0.6,
    )
    wide_inches, high_inches = (_lengths(side, whole) for side, whole in ((wide, _WIDTH), (high, inches)))
    for i, ranks in enumerate(found.ranks):
        for j, nbytes in enumerate(found.sizes):
            if not best[i][j]:
                continue
            text = "=".join(_LETTERS[winners.index(name)] for name in best[i][j])
            small = min(FONT_SIZE + 1, 36 * high_inches[i], 29 * wide_inches[j] * min(1.0, 3 / len(text)))
            margin = found.margin(ranks, nbytes)
            with_margin = high_inches[i] >= _WITH_MARGIN and wide_inches[j] > 0.5 and 1 < margin < math.inf
            middle = math.sqrt(wide[j] * wide[j + 1]), math.sqrt(high[i] * high[i + 1])
            axes.annotate(
                text,
                middle,
                xytext=(0, 4 if with_margin else 0),
                textcoords="offset points",
                fontsize=small,
                fontweight="bold",
                ha="center",
                va="center",
            )
            if with_margin:
                axes.annotate(
                    f"×{margin:.2f}" if margin < 9.995 else f"×{margin:.3g}",
                    middle,
                    xytext=(0, -8),
                    textcoords="offset points",
                    fontsize=FONT_SIZE - 4,
                    color="0.25",
                    ha="center",
                    va="center",
                )
    for i in range(len(found.ranks)):
        for j in range(len(found.sizes)):
            if j and best[i][j] != best[i][j - 1]:
                axes.plot([wide[j]] * 2, high[i : i + 2], color="0.15", linewidth=1.6, solid_capstyle="round")
            if i and best[i][j] != best[i - 1][j]:
                axes.plot(wide[j : j + 2], [high[i]] * 2, color="0.15", linewidth=1.6, solid_capstyle="round")


def _lengths(sides: Sequence[float], inches: float) -> list[float]:
    """Return the lengths of cells on a logarithmic axis of so many inches."""
    whole = math.log(sides[-1] / sides[0])
    return [inches * math.log(b / a) / whole for a, b in itertools.pairwise(sides)]


def _draw_axes(axes: Axes, found: Crossover) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    for axis, values, words in (
        (axes.xaxis, found.sizes, lambda value, _: format_size(value)),
        (axes.yaxis, found.ranks, lambda value, _: f"{value:.0f}"),
    ):
        step = -(-len(values) // (14 if axis is axes.xaxis else 24))
        axis.set_major_locator(FixedLocator(values[::step]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(words))
    axes.set_xlim(edges(found.sizes)[0], edges(found.sizes)[-1])
    axes.set_ylim(edges(found.ranks)[0], edges(found.ranks)[-1])
    axes.tick_params(labelsize=FONT_SIZE - 1, length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("size n of the vector", fontsize=FONT_SIZE)
    axes.set_ylabel("number of ranks K", fontsize=FONT_SIZE)


def _explain(axes: Axes, found: Crossover, winners: Sequence[str]) -> int:
    """Write under the title which letter and colour is which algorithm, and below what else is to be known.

    Returns how many rows the former takes.
    """
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=_PALE[i], label=f"{_LETTERS[i]}  {name}") for i, name in enumerate(winners)]
    rows = 1 + sum(len(name) + 8 for name in winners) // 100
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.1,
        ncols=-(-len(handles) // rows),
        frameon=False,
        fontsize=FONT_SIZE - 1.5,
        handlelength=1.6,
        columnspacing=1.2,
    )
    notes = ["×: second best / best"] if any(text.get_text().startswith("×") for text in axes.texts) else []
    never = [name for name in found.algorithms if name not in winners]
    if never:
        notes.append(f"nowhere best: {', '.join(never)}")
    if notes:
        axes.annotate(
            textwrap.fill("; ".join(notes), 130),
            (0, 0),
            xytext=(0, -FONT_SIZE * 3.6),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=FONT_SIZE - 2.5,
            color="0.25",
            va="top",
        )
    return rows

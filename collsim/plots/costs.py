"""Time against size, and time against the number of ranks: simulated, with the closed form and the lower bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from collsim.algorithms.table import ADMITS
from collsim.bounds import lower_bound
from collsim.catalog import get_algorithm, make_schedule
from collsim.collectives import collective_name, get_collective
from collsim.errors import InputError
from collsim.models import AlphaBeta
from collsim.plots.files import require_matplotlib
from collsim.plots.style import (
    COLOURS,
    DARKER,
    DOTS_PER_INCH,
    FONT_SIZE,
    MARKERS,
    draw_grid,
    label_beside,
    per_byte,
    thinned,
)
from collsim.simulation import simulate
from collsim.sweeps import Record
from collsim.topology import Topology
from collsim.units import Quantity, format_size, format_time, parse_count, parse_size, parse_time, parse_time_per_byte

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Line = tuple[Sequence[float], Sequence[float]]  # places on the axis below, and seconds

_DASHED, _DOTTED = (0, (4, 4)), (0, (1, 2))
_MOST_RANKS = 128  # of networks whose pairs are all looked at
_SMOOTH_SIZES, _SMOOTH_RANKS = 80, 400  # points of a closed form


class Costs(NamedTuple):
    """What closed forms take: seconds a message, seconds a byte, seconds a reduced byte.

    Examples
    --------
    >>> Costs.parse("5us", "0.1ns/B")
    Costs(alpha=5e-06, beta=1e-10, gamma=0.0)
    """

    alpha: float
    beta: float
    gamma: float = 0.0

    @classmethod
    def parse(cls, alpha: Quantity, beta: Quantity, gamma: Quantity = 0.0) -> Costs:
        """Return them from numbers or text."""
        return cls(parse_time(alpha, "alpha"), parse_time_per_byte(beta), parse_time_per_byte(gamma, "gamma"))


def equal_costs(networks: Mapping[int, Topology]) -> Costs | None:
    """Return what a message costs between any two ranks, if that is the same for all of them.

    Parameters
    ----------
    networks : mapping of int to Topology
        By number of ranks.

    Returns
    -------
    Costs or None
        None if some pairs are farther apart than others, or there are more than 128 ranks: then all pairs are too
        many to look at.

    Examples
    --------
    >>> import collsim as cs
    >>> equal_costs({8: cs.star(8, "10GB/s", "5us")})
    Costs(alpha=1e-05, beta=1e-10, gamma=0.0)
    >>> equal_costs({8: cs.ring(8, "10GB/s", "5us")}) is None
    True
    """
    found: set[tuple[float, float]] = set()
    for ranks, network in networks.items():
        if ranks > _MOST_RANKS:
            return None
        src, dst = (ends.ravel().astype(np.int32) for ends in np.indices((ranks, ranks)))
        apart = src != dst
        alpha, beta = AlphaBeta(topology=network).costs(src[apart], dst[apart])
        found |= set(zip(alpha.tolist(), beta.tolist(), strict=True))
        if len(found) > 1:
            return None
    return Costs(*found.pop()) if found else None


@dataclass(frozen=True)
class _Curve:
    """The simulated times of one algorithm, and its closed form as a line, if there is one."""

    label: str
    times: Mapping[int, float]
    form: _Line | None


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

    See Also
    --------
    plot_against_size : the same from the rows of a sweep, on any network.

    Examples
    --------
    >>> figure = plot_costs("all_reduce", ["ring", "tree"], 8, ["1kB", "1MB", "1GB"], alpha="5us", beta="0.1ns/B")
    >>> figure.axes[0].get_ylabel()
    'time of one all_reduce'
    """
    require_matplotlib()
    name, number = collective_name(collective), parse_count(ranks, "ranks", minimum=2)
    chosen = [(entry, {}) if isinstance(entry, str) else (entry[0], dict(entry[1])) for entry in algorithms]
    counts = sorted({parse_size(size) for size in sizes})
    if not chosen or len(counts) < 2 or counts[0] < 1:
        raise InputError(f"nothing to draw: give an algorithm and two sizes above 0 (got {chosen} and {counts})")
    costs = Costs.parse(alpha, beta, gamma)
    curves = []
    for algorithm, options in chosen:
        schedule = make_schedule(name, algorithm, number, **options)
        times = {size: simulate(schedule, nbytes=size, **costs._asdict()).time for size in counts}
        given = "".join(f", {key}={value}" for key, value in options.items())
        form = _form_of_sizes(name, algorithm, number, counts, costs, schedule.options)
        curves.append(_Curve(f"{algorithm}{given}", times, form))
    title = f"{name} on K = {number} ranks, {costs_in_words(costs)}; times at {format_size(counts[-1])}"
    bound = _bound_of_sizes(name, number, counts, costs)
    return _picture(curves, bound, "closed form", _sizes_below(counts), name, title)


def plot_against_size(
    rows: Iterable[Record], *, costs: Costs | None = None, options: Mapping[str, Any] | None = None, share: bool = False
) -> Figure:
    """Draw the rows of a sweep over sizes: time against the size of the vector, one line an algorithm.

    Parameters
    ----------
    rows : iterable of dict
        What `collsim.sweep` returns for one collective on one network with one number of ranks.
    costs : Costs, optional
        For closed forms: what a message costs between any two ranks. Without them none is drawn.
    options : mapping, optional
        The options of the algorithms, for closed forms.
    share : bool
        Whether to draw below it which share of the time the lower bound is.

    Returns
    -------
    matplotlib.figure.Figure
        Markers are the rows; solid lines closed forms, where there are costs; the lower bound is dashed. Both axes
        are logarithmic.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If there are fewer than two sizes, or something else differs, too.

    Examples
    --------
    >>> import collsim as cs
    >>> rows = cs.sweep(algorithm=["ring", "tree"], ranks=8, nbytes=["1kB", "1MB"], alpha="5us", beta="0.1ns/B")
    >>> plot_against_size(rows).axes[0].get_title("left")
    'all_reduce on K = 8 ranks, model alpha-beta; times at 1 MB'
    """
    require_matplotlib()
    table = _table(rows, "size_bytes", "sizes", ("ranks", "number of ranks"))
    if table.counts[0] < 1:
        raise InputError("a size of 0 has no place on a logarithmic axis: leave it out")
    ranks = table.first["ranks"]
    curves = []
    for name, times in table.times.items():
        form = costs and _form_of_sizes(table.collective, name, ranks, table.counts, costs, options)
        curves.append(_Curve(name, times, form or None))
    bound: _Line = list(table.bounds), list(table.bounds.values())
    if costs and table.first["topology"] is None:
        bound = _bound_of_sizes(table.collective, ranks, table.counts, costs)
    title = f"{table.collective} on K = {ranks} ranks, {table.where(costs)}; times at {format_size(table.last)}"
    below = table.bounds if share else None
    form_name = _legend_of(table.first)
    return _picture(curves, bound, form_name, _sizes_below(table.counts), table.collective, title, below)


def plot_against_ranks(
    rows: Iterable[Record], *, costs: Costs | None = None, options: Mapping[str, Any] | None = None, share: bool = False
) -> Figure:
    """Draw the rows of a sweep over numbers of ranks: time against K, one line an algorithm.

    Parameters
    ----------
    rows : iterable of dict
        What `collsim.sweep` returns for one collective, one size, and one kind of network.
    costs, options, share
        As for `plot_against_size`.

    Returns
    -------
    matplotlib.figure.Figure
        As `plot_against_size`, with K on the logarithmic axis below; one rank, which has nothing to do, is left out.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If there are fewer than two numbers of ranks above 1, or something else differs, too.

    Examples
    --------
    >>> import collsim as cs
    >>> rows = cs.sweep(algorithm=["ring", "tree"], ranks=[2, 4, 8], nbytes="1MB", alpha="5us", beta="0.1ns/B")
    >>> plot_against_ranks(rows, costs=Costs.parse("5us", "0.1ns/B")).axes[0].get_title("left")
    'all_reduce of 1 MB, α = 5 us, β = 0.1 ns/B; times at K = 8'
    """
    require_matplotlib()
    several = [row for row in rows if row["ranks"] > 1]
    table = _table(several, "ranks", "numbers of ranks above 1", ("size_bytes", "size"))
    size = table.first["size_bytes"]
    smooth = np.unique(np.geomspace(table.counts[0], table.last, _SMOOTH_RANKS).round().astype(int)).tolist()
    curves = []
    for name, times in table.times.items():
        form = None
        if costs:
            entry = get_algorithm(table.collective, name)
            admits = ADMITS[entry.admits]
            points = [(k, k, size) for k in smooth if admits(k)]
            form = _form(entry.time, points, costs, {**entry.options, **(options or {})})
        curves.append(_Curve(name, times, form))
    bound: _Line = list(table.bounds), list(table.bounds.values())
    if costs and table.first["topology"] is None:
        model, promise = AlphaBeta(costs.alpha, costs.beta), get_collective(table.collective)
        bound = smooth, [lower_bound(promise, k, size, model, gamma=costs.gamma).seconds for k in smooth]
    title = f"{table.collective} of {format_size(size)}, {table.where(costs)}; times at K = {table.last}"
    below = table.bounds if share else None
    form_name = _legend_of(table.first)
    return _picture(curves, bound, form_name, _ranks_below(table.counts), table.collective, title, below)


@dataclass(frozen=True)
class _Table:
    """The rows of a sweep by algorithm and place on the axis."""

    first: Record
    network: str
    counts: list[int]
    times: dict[str, dict[int, float]]
    bounds: dict[int, float]

    @property
    def collective(self) -> str:
        return str(self.first["collective"])

    @property
    def last(self) -> int:
        return self.counts[-1]

    def where(self, costs: Costs | None) -> str:
        """Return the network in words."""
        if self.first["topology"] is not None:
            return f"{self.network}, model {self.first['model']}"
        return f"model {self.first['model']}" if costs is None else costs_in_words(costs)


def networks_in_words(rows: Sequence[Record]) -> list[str]:
    """Return the different networks of rows, without the numbers of ranks that a sweep puts there.

    Examples
    --------
    >>> networks_in_words([{"topology": "star:8", "ranks": 8}, {"topology": "star:4", "ranks": 4}])
    ['star']
    >>> networks_in_words([{"topology": "star:8", "ranks": 8}, {"topology": "star:8", "ranks": 4}])
    ['star:8']
    >>> networks_in_words([{"topology": "torus:2x2", "ranks": 4}, {"topology": "torus:4x2", "ranks": 8}])
    ['torus']
    """
    names = list(dict.fromkeys(str(row["topology"]) for row in rows))
    if len(names) > 1:
        names = list(dict.fromkeys(_without_ranks(str(row["topology"]), row["ranks"]) for row in rows))
    return names


def _without_ranks(name: str, ranks: int) -> str:
    """Return the name of a shape, if behind it stand no more than dimensions with so many ranks."""
    shape, _, dimensions = name.rpartition(":")
    numbers = dimensions.split("x")
    whole = all(number.isdecimal() for number in numbers)
    return shape if shape and whole and math.prod(map(int, numbers)) == ranks else name


def _table(rows: Iterable[Record], axis: str, plural: str, same: tuple[str, str]) -> _Table:
    found = list(rows)
    counts = sorted({row[axis] for row in found})
    if len(counts) < 2:
        raise InputError(f"nothing to draw: give at least two {plural}, got {counts}")
    for key, what in (("collective", "collective"), same, ("model", "model"), ("ordering", "ordering")):
        values = list(dict.fromkeys(row[key] for row in found))
        if len(values) > 1:
            raise InputError(f"this picture has one {what}, got {', '.join(map(str, values))}")
    networks = networks_in_words(found)
    if len(networks) > 1:
        raise InputError(f"this picture has one network, got {', '.join(networks)}")
    times: dict[str, dict[int, float]] = {}
    for row in sorted(found, key=lambda row: row[axis]):
        times.setdefault(row["algorithm"], {})[row[axis]] = row["time_s"]
    ordered = {name: times[name] for name in dict.fromkeys(row["algorithm"] for row in found)}
    bounds = {row[axis]: row["lower_bound_s"] for row in sorted(found, key=lambda row: row[axis])}
    return _Table(found[0], networks[0], counts, ordered, bounds)


def _form_of_sizes(
    collective: str, algorithm: str, ranks: int, sizes: Sequence[int], costs: Costs, options: Mapping[str, Any] | None
) -> _Line | None:
    entry = get_algorithm(collective, algorithm)
    smooth = np.geomspace(sizes[0], sizes[-1], _SMOOTH_SIZES).tolist()
    return _form(entry.time, [(size, ranks, size) for size in smooth], costs, {**entry.options, **(options or {})})


def _form(
    form: Callable[..., float] | None,
    points: Iterable[tuple[float, int, float]],
    costs: Costs,
    options: Mapping[str, Any],
) -> _Line | None:
    """Return the line of a closed form at points (place on the axis, ranks, size); None if there is none."""
    if form is None:
        return None
    places = list(points)
    values = [form(ranks, nbytes, **costs._asdict(), **options) for _, ranks, nbytes in places]
    return None if any(map(math.isnan, values)) else ([place for place, *_ in places], values)


def _bound_of_sizes(collective: str, ranks: int, sizes: Sequence[int], costs: Costs) -> _Line:
    model, promise = AlphaBeta(costs.alpha, costs.beta), get_collective(collective)
    smooth = np.geomspace(sizes[0], sizes[-1], _SMOOTH_SIZES).tolist()
    return smooth, [lower_bound(promise, ranks, size, model, gamma=costs.gamma).seconds for size in smooth]


def costs_in_words(costs: Costs) -> str:
    """Return what messages cost, for a title.

    Examples
    --------
    >>> costs_in_words(Costs.parse("5us", "0.1ns/B"))
    'α = 5 us, β = 0.1 ns/B'
    """
    reduction = f", γ = {per_byte(costs.gamma)}" if costs.gamma else ""
    return f"α = {format_time(costs.alpha)}, β = {per_byte(costs.beta)}{reduction}"


def _legend_of(row: Record) -> str:
    """Return what to call closed forms, which hold under alpha-beta, ordered by step."""
    return "closed form" if (row["model"], row["ordering"]) == ("alpha-beta", "step") else "closed form (alpha-beta)"


def _picture(
    curves: Sequence[_Curve],
    bound: _Line,
    form: str,
    set_up: Callable[[Axes], None],
    collective: str,
    title: str,
    bounds: Mapping[int, float] | None = None,
) -> Figure:
    """Draw the bound, each closed form and each simulated point; below it bound over time, where there are `bounds`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    figure = Figure(figsize=(9, 7.5 if bounds else 5), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0.085, 0.5, 0.635, 0.45) if bounds else (0.085, 0.115, 0.635, 0.79))
    axes.set_yscale("log")
    labels = _draw(axes, curves, bound, form)
    set_up(axes)
    low, high = axes.get_ylim()
    if high < 20 * low:  # so that there are two powers of ten to read off
        axes.set_ylim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_time(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(f"time of one {collective}", fontsize=FONT_SIZE)
    axes.set_title(title, loc="left", fontsize=FONT_SIZE + 1.5)
    if bounds:
        below = figure.add_axes((0.085, 0.08, 0.635, 0.33))
        shares = []
        for turn, curve in enumerate(curves):
            share = np.array([bounds[count] / time if time else 1.0 for count, time in curve.times.items()])
            colour = COLOURS[turn % len(COLOURS)]
            below.plot(list(curve.times), share, color=colour, linewidth=1.8, zorder=4, clip_on=False, **_marker(turn))
            shares.append((share[-1], f"{curve.label}, {100 * share[-1]:.3g} %", DARKER[turn % len(COLOURS)]))
        set_up(below)
        below.set_ylim(0, 1.05)
        below.yaxis.set_major_formatter(PercentFormatter(1))
        below.set_ylabel("lower bound / time", fontsize=FONT_SIZE)
        label_beside(below, shares)
    label_beside(axes, labels)
    if bounds:
        axes.set_xlabel("")
    return figure


def _draw(axes: Axes, curves: Sequence[_Curve], bound: _Line, form: str) -> list[tuple[float, str, str]]:
    """Draw lines and points, and return the label of each: where its last value is, the words and their colour."""
    from matplotlib.lines import Line2D

    axes.plot(*map(np.array, bound), color="black", linewidth=1.1, linestyle=_DASHED, zorder=3)
    labels = [(bound[1][-1], f"lower bound, {format_time(bound[1][-1])}", "black")]
    any_form = any(curve.form for curve in curves)
    for turn, curve in enumerate(curves):
        colour, counts, times = (
            COLOURS[turn % len(COLOURS)],
            np.array(list(curve.times)),
            np.array(list(curve.times.values())),
        )
        line: dict[str, Any] = {"linestyle": ""}
        if curve.form:
            axes.plot(*curve.form, color=colour, linewidth=1.8)
        else:
            line = {"linewidth": 0.9, "linestyle": _DOTTED} if any_form else {"linewidth": 1.8}
        axes.plot(counts, times, color=colour, zorder=4, **_marker(turn), **line)
        labels.append((times[-1], f"{curve.label}, {format_time(times[-1])}", DARKER[turn % len(COLOURS)]))
    simulated = Line2D([], [], color="0.3", marker="o", linestyle="" if any_form else "-", label="simulated")
    closed = [Line2D([], [], color="0.3", linewidth=1.8, label=form)] if any_form else []
    axes.legend(handles=[simulated, *closed], loc="upper left", frameon=False, fontsize=FONT_SIZE)
    return labels


def _marker(turn: int) -> dict[str, Any]:
    return {
        "marker": MARKERS[turn % len(MARKERS)],
        "markersize": 6.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.7,
    }


def _sizes_below(sizes: Sequence[int]) -> Callable[[Axes], None]:
    """Return what sets up an axis of sizes."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    def set_up(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
        axes.xaxis.set_major_locator(LogLocator(numticks=12))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_size(value)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("size n of the vector", fontsize=FONT_SIZE)
        draw_grid(axes)

    return set_up


def _ranks_below(counts: Sequence[int]) -> Callable[[Axes], None]:
    """Return what sets up an axis of numbers of ranks."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    def set_up(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_xlim(counts[0] / 1.15, counts[-1] * 1.15)
        axes.set_xticks(thinned(counts))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("number of ranks K", fontsize=FONT_SIZE)
        draw_grid(axes)

    return set_up

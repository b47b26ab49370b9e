"""Bars: what the ranks spend each step of a schedule with. Communication, computation, both at once, waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from collsim.activities import COMPUTING, REDUCING, activities
from collsim.errors import InputError
from collsim.plots.files import require_matplotlib
from collsim.plots.gantt import Look, explain
from collsim.plots.style import DOTS_PER_INCH, FONT_SIZE, draw_grid, time_unit, title_of
from collsim.results import Result
from collsim.schedule import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# From below; told apart by their hatches too.
PARTS: tuple[Look, ...] = (
    Look("#0072B2", "", "white", "communication"),
    Look("#56B4E9", "xxxx", "black", "both at once"),
    Look("#E69F00", "////", "black", "computation"),
    Look("0.88", "", "black", "waiting"),
)
_MOST_STEPS = 400


def plot_steps(result: Result) -> Figure:
    """Draw what the ranks spend each step with, as the mean of all ranks.

    Parameters
    ----------
    result : Result
        A simulated run.

    Returns
    -------
    matplotlib.figure.Figure
        One bar a step: communication (a message leaves or comes in), computation (reducing and local work), both at
        once, and waiting (for another rank, for a message on its way, for a turn). All bars together are as high
        as the mean time of a rank; the legend has the shares.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If nothing moves, or there are too many steps to draw.

    Examples
    --------
    >>> import collsim as cs
    >>> schedule = cs.make_schedule("all_reduce", "ring", ranks=4)
    >>> result = cs.simulate(schedule, alpha="10us", beta="0.1ns/B", gamma="0.05ns/B", nbytes="4MB")
    >>> plot_steps(result).axes[0].get_ylabel()
    'mean time of a rank (us)'
    """
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    steps = result.schedule.steps
    if not steps:
        raise InputError(f"nothing to draw: {result.schedule!r} moves nothing")
    if steps > _MOST_STEPS:
        raise InputError(f"{steps} steps are too many to draw, the most is {_MOST_STEPS}; use fewer ranks or chunks")
    spent = step_parts(result).mean(axis=0)
    second, unit = time_unit(float(spent.sum(axis=1).max()))
    figure = Figure(figsize=(9, 4.2), dpi=DOTS_PER_INCH)
    axes = figure.add_axes((0.085, 0.13, 0.895, 0.71))
    below = np.zeros(steps)
    looks = []
    for number, look in enumerate(PARTS):
        seconds = spent[:, number]
        if not seconds.any():
            continue
        axes.bar(
            np.arange(steps),
            seconds / second,
            bottom=below / second,
            width=0.82 if steps < 60 else 1.0,
            color=look.colour,
            edgecolor="white",
            linewidth=0.4,
            hatch=look.hatch,
            zorder=2,
            label=look.name,
        )
        below += seconds
        share = seconds.sum() / spent.sum()
        looks.append(look._replace(name=f"{look.name}, {100 * share:.3g} %"))
    axes.set_xlim(-0.6, steps - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True, min_n_ticks=1))
    draw_grid(axes)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("step", fontsize=FONT_SIZE)
    axes.set_ylabel(f"mean time of a rank ({unit})", fontsize=FONT_SIZE)
    axes.set_title(title_of(result), loc="left", fontsize=FONT_SIZE + 1.5, pad=FONT_SIZE * 2)
    explain(axes, looks)
    return figure


def step_parts(result: Result) -> NDArray[np.float64]:
    """Return the seconds that every rank spends in each step with each of `PARTS`, shape (ranks, steps, parts).

    A rank is in the first step of which it has not finished all moves, so the sum over steps and parts is the time from
    its start until it is done with its last move, whatever the ordering.

    Examples
    --------
    >>> import collsim as cs
    >>> result = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=2), alpha=1, beta=1, gamma=1, nbytes=4)
    >>> step_parts(result)[0].tolist()
    [[3.0, 0.0, 2.0, 0.0], [3.0, 0.0, 0.0, 0.0]]
    """
    schedule, timeline, done = result.schedule, result.timeline, activities(result)
    begun = np.zeros(schedule.ranks) if result.offsets is None else result.offsets
    ends = np.zeros((schedule.ranks, schedule.steps))
    np.maximum.at(ends, (schedule.src, schedule.step), timeline.sent)
    np.maximum.at(ends, (schedule.dst, schedule.step), timeline.finish)
    ends = np.maximum(np.maximum.accumulate(ends, axis=1), begun[:, None])
    computes = np.isin(done.what, (REDUCING, COMPUTING))
    first = np.searchsorted(done.rank, np.arange(schedule.ranks + 1))
    found = np.zeros((schedule.ranks, schedule.steps, len(PARTS)))
    for rank in range(schedule.ranks):
        own = slice(first[rank], first[rank + 1])
        start, finish, works = done.start[own], done.finish[own], computes[own]
        edges = np.unique(np.concatenate([[begun[rank]], start, finish, ends[rank]]))
        edges = edges[(edges >= begun[rank]) & (edges <= ends[rank, -1])]
        if len(edges) < 2:
            continue
        talking, working = (_covered(edges, start[some], finish[some]) for some in (~works, works))
        part = np.select([talking & working, talking, working], [1, 0, 2], 3)
        step = np.searchsorted(ends[rank], edges[:-1], side="right")  # the first that ends later
        np.add.at(found[rank], (step, part), np.diff(edges))
    return found


def _covered(edges: Floats, start: Floats, finish: Floats) -> NDArray[np.bool_]:
    """Return which intervals between edges are within at least one of others, whose ends are edges."""
    change = np.zeros(len(edges) + 1, dtype=np.int64)
    np.add.at(change, np.searchsorted(edges, start), 1)
    np.add.at(change, np.searchsorted(edges, finish), -1)
    return np.asarray(np.cumsum(change)[: len(edges) - 1] > 0)

"""Pictures: functions that return a matplotlib `Figure`, and one that writes it to a file. One file a kind.

All are drawn from results or from rows of a sweep, never from numbers of their own. Nothing needs a display: figures
are made without pyplot, and a notebook shows what a function returns. The kinds that ``collsim plot`` knows stand in
`PLOTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from collsim.plots.costs import Costs, plot_against_ranks, plot_against_size, plot_costs
from collsim.plots.crossover import plot_crossover
from collsim.plots.files import check_target, save_figure
from collsim.plots.gantt import plot_gantt
from collsim.plots.links import plot_links
from collsim.plots.network import plot_topology
from collsim.plots.scaling import plot_scaling
from collsim.plots.space_time import plot_schedule
from collsim.plots.steps import plot_steps

__all__ = [
    "PLOTS",
    "Costs",
    "Plot",
    "check_target",
    "plot_against_ranks",
    "plot_against_size",
    "plot_costs",
    "plot_crossover",
    "plot_gantt",
    "plot_links",
    "plot_scaling",
    "plot_schedule",
    "plot_steps",
    "plot_topology",
    "save_figure",
]


class Plot(NamedTuple):
    """One kind of picture.

    Attributes
    ----------
    draw : callable
        Returns the figure.
    summary : str
        One line for people.
    several : tuple of str
        What it takes several of, ``"ranks"`` and ``"sizes"``: then `draw` takes the rows of a sweep, with several
        algorithms, and ``costs``. A picture of one run has none, and `draw` takes its `Result`.
    closed_forms : bool
        Whether `draw` takes ``options`` and ``share``, too.
    """

    draw: Callable[..., Any]
    summary: str
    several: tuple[str, ...] = ()
    closed_forms: bool = False


PLOTS: dict[str, Plot] = {
    "space-time": Plot(plot_schedule, "who sends what to whom, and when: one lane a rank, one arrow a message"),
    "gantt": Plot(plot_gantt, "what every rank is doing when: sending, receiving, reducing, waiting"),
    "steps": Plot(plot_steps, "what the ranks spend each step with: communication, computation, waiting"),
    "links": Plot(plot_links, "the network, every link in the colour of its utilisation"),
    "ranks": Plot(plot_against_ranks, "time against the number of ranks, closed form and bound", ("ranks",), True),
    "sizes": Plot(plot_against_size, "time against the size, closed form and bound", ("sizes",), True),
    "crossover": Plot(
        plot_crossover, "which algorithm is best, for every size and number of ranks", ("ranks", "sizes")
    ),
}

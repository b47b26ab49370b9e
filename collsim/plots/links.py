"""The heat map of links: which part of its capacity each link of the network used, drawn on the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collsim.errors import InputError
from collsim.occupancy import link_use
from collsim.plots.files import require_matplotlib
from collsim.plots.network import Heat, plot_topology
from collsim.plots.style import title_of
from collsim.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_WORDS = 40  # links with a number beside them; of more only the busiest
_BUSIEST = 12


def plot_links(result: Result) -> Figure:
    """Draw the network of a run, every link in the colour of its utilisation.

    Parameters
    ----------
    result : Result
        A simulated run on a topology, of at most 1500 nodes.

    Returns
    -------
    matplotlib.figure.Figure
        Each direction of a cable is a line of its own, on its left; the darker and thicker, the more of what it could
        have carried in the time of the run it did carry. Beside a link stands its number where there is room; the
        busiest come first. Links that share one medium have its number.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If the run had no topology, or its times were not kept.

    Examples
    --------
    >>> import collsim as cs
    >>> net = cs.star(4, bandwidth="10GB/s", latency="1us")
    >>> plot_links(cs.simulate(cs.make_schedule("all_reduce", "naive", 4), net, "1MB")).axes[1].get_ylabel()
    'utilisation: bytes carried / possible (%)'
    """
    require_matplotlib()
    use = link_use(result)
    topology = use.topology
    if topology is None:
        raise InputError("a picture of links needs a topology (-t star:8); this run had alpha and beta instead")
    percent = 100 * use.utilisation[topology.channel]
    ordered = np.argsort(-percent, kind="stable").tolist()
    busy = [number for number in ordered if percent[number] > 0]
    written = busy if len(busy) <= _MOST_WORDS else busy[:_BUSIEST]
    words = {number: f"{percent[number]:.0f} %" if percent[number] >= 0.5 else "<1 %" for number in written}
    where = f" on {result.topology}" if result.topology else ""
    return plot_topology(
        topology,
        heat=Heat(
            percent.tolist(),
            "utilisation: bytes carried / possible (%)",
            max(100.0, float(percent.max(initial=0.0))),
            words,
        ),
        title=f"{title_of(result)}{where}",
    )

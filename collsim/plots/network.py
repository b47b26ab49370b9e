"""Pictures of networks: nodes and links, a route, a cut, what a link carries.

Where the nodes stand is the business of `collsim.layouts`; files are written by `collsim.plots.files.save_figure`.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from collsim.errors import InputError
from collsim.layouts import Position, Wire, is_grid, layout, shared_media
from collsim.plots.files import require_matplotlib
from collsim.topology import Link, Node, Topology, node_name
from collsim.units import format_bandwidth, format_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008) again. Links get these by kind, the widest pipes first; dashes differ as well.
_KINDS: tuple[tuple[str, Any], ...] = (
    ("#0072B2", "-"),
    ("#E69F00", (0, (5, 1.5))),
    ("#009E73", (0, (1.5, 1))),
    ("#CC79A7", (0, (6, 1.5, 1, 1.5))),
    ("#56B4E9", (0, (3, 1, 1, 1, 1, 1))),
    ("0.45", (0, (1, 2))),
)
_ROUTE, _CROSSING = "#D55E00", "#D55E00"
_INSIDE, _OUTSIDE = "#F2C200", "#FFFFFF"
_RANK_FILL, _SWITCH_FILL = "#FFFFFF", "#E4E9F0"
_INK = "0.2"
_HEAT_COLOURS, _UNUSED = "viridis_r", ("0.8", (0, (1, 2)))

_FONT_SIZE = 10.5
_DOTS_PER_INCH = 160
_MOST_NODES = 1500
_MOST_LABELLED = 300
_WIDEST, _TALLEST, _NARROWEST, _LEAST_TALL = 13.0, 8.5, 6.0, 2.0
_MOST_ARROWS = 400  # heads are drawn on so many cables at most
_MOST_AROUND = 40  # lines that lead around other nodes
_MOST_COUNTS = 60  # cables with a number of parallel links beside them


@dataclass
class _Cable:
    """All links between two nodes, drawn as one line."""

    a: Node
    b: Node
    there: list[int] = field(default_factory=list)
    back: list[int] = field(default_factory=list)


def plot_topology(
    topology: Topology,
    *,
    inside: Iterable[Node] | None = None,
    highlight: Iterable[int] | None = None,
    route: tuple[int, int] | None = None,
    heat: Heat | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a network: ranks as circles, switches as squares, links by their kind.

    Parameters
    ----------
    topology : Topology
        The network, of at most 1500 nodes; above 300 they have no labels.
    inside : iterable of nodes, optional
        One side of a cut: it is filled and has thick edges, and the links that leave it are drawn thick.
    highlight : iterable of int, optional
        Numbers of links to be drawn thick.
    route : (int, int), optional
        Two ranks; the routes from the first to the second are drawn thick, with arrows.
    heat : Heat, optional
        A number for every link: links are then coloured by it, each direction for itself, instead of by kind.
    title : str, optional
        Default: the name of the topology and what there is of it.

    Returns
    -------
    matplotlib.figure.Figure
        One line is a cable or several parallel ones (their number stands beside it); it has an arrow if it leads
        one way only. The legend says how many links of each kind there are, each way, their bandwidth and latency.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    InputError
        If the network is too large, or a node, a rank or a link does not exist.

    Examples
    --------
    >>> from collsim import fat_tree
    >>> plot_topology(fat_tree(4, bandwidth="10GB/s", latency="1us"), route=(0, 15)).axes[0].get_title("left")
    'fat-tree:4: 16 ranks, 20 switches, 48 cables; route from rank 0 to rank 15'
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    chosen = None if inside is None else set(inside)
    marked = set(highlight or ())
    nodes = topology.ranks + len(topology.switches)
    if nodes > _MOST_NODES:
        raise InputError(
            f"topology {topology.name!r} has {nodes} nodes, too many to draw (the most is {_MOST_NODES}); "
            "draw a smaller one of its kind"
        )
    for node in chosen or ():
        if node not in topology.leaving:
            raise InputError(f"topology {topology.name!r} has no node {node!r} to stand inside a cut")
    for number in marked:
        if number not in range(len(topology.links)):
            raise InputError(f"topology {topology.name!r} has the links 0..{len(topology.links) - 1}, not {number!r}")
    along: tuple[int, ...] = ()
    if route is not None:
        for rank in route:
            if rank not in range(topology.ranks):
                raise InputError(f"topology {topology.name!r} has the ranks 0..{topology.ranks - 1}, not {rank!r}")
        if route[0] != route[1]:
            along = tuple(dict.fromkeys(i for way in topology.routes(*route) for i in way.links))

    places = layout(topology)
    picture = _Picture(topology, places, heat)
    figure = Figure(figsize=picture.size, dpi=_DOTS_PER_INCH)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    picture.set_up(axes)
    picture.shade_groups(axes)
    crossing = set() if chosen is None else _leaving(topology, chosen)
    picture.draw_links(axes, marked | crossing, along)
    picture.draw_nodes(axes, chosen, route)
    _explain(axes, picture, chosen, bool(marked), crossing, along)
    if heat is not None:
        picture.write_words(axes)
        _draw_scale(figure, axes, heat)
    if title is None:
        parts = [f"{_counted(topology.ranks, 'rank')}"]
        if topology.switches:
            parts.append(_counted(len(topology.switches), "switch"))
        title = f"{topology.name}: {', '.join([*parts, _links_in_words(topology)])}"
        if route is not None:
            title += f"; route from {node_name(route[0])} to {node_name(route[1])}"
    letters = int(picture.size[0] * 72 / (0.54 * (_FONT_SIZE + 1.5)))
    axes.set_title(textwrap.fill(title, letters), loc="left", fontsize=_FONT_SIZE + 1.5)
    return figure


def _leaving(topology: Topology, chosen: Collection[Node]) -> set[int]:
    return {i for i, link in enumerate(topology.links) if link.tail in chosen and link.head not in chosen}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun + ('es' if noun.endswith('ch') else 's')}"


def _links_in_words(topology: Topology) -> str:
    wires = shared_media(topology)
    there: dict[tuple[Node, Node], int] = {}
    for link in topology.links:
        if link.medium not in wires:
            there[link.tail, link.head] = there.get((link.tail, link.head), 0) + 1
    number, words = sum(there.values()), []
    if number or not wires:
        both_ways = all(there.get((head, tail)) == count for (tail, head), count in there.items())
        words.append(_counted(number // 2, "cable") if both_ways else _counted(number, "link"))
    if wires:
        words.append(f"{len(wires)} shared {'medium' if len(wires) == 1 else 'media'}")
    return ", ".join(words)


class Heat:
    """A number for every link, as a colour.

    Parameters
    ----------
    values : sequence of float
        One for every link of the topology; 0 for one that is not used.
    label : str
        What they are, with their unit.
    most : float
        What is drawn darkest.
    words : mapping of int to str
        What is written beside a link, by its number.

    Raises
    ------
    InputError
        If a value is negative, or not finite.
    """

    def __init__(self, values: Sequence[float], label: str, most: float, words: Mapping[int, str]) -> None:
        if any(not 0 <= value < math.inf for value in values):
            raise InputError(f"what links are coloured by must be numbers of at least 0, got {list(values)}")
        self.values, self.label, self.most, self.words = values, label, most, words

    def colour(self, value: float) -> tuple[float, float, float, float]:
        """Return the colour of a value: pale for little, dark for much, also where no colours are seen."""
        from matplotlib import colormaps

        # The palest tenth cannot be seen on white.
        return colormaps[_HEAT_COLOURS](0.1 + 0.9 * min(1.0, value / self.most if self.most else 0.0))


Kind = tuple[float, float, bool, bool]


def _kind(link: Link) -> Kind:
    return link.bandwidth, link.latency, link.medium is not None, link.fatpipe


class _Picture:
    """What is drawn where: the sizes of things, and which lines must bend around nodes."""

    def __init__(self, topology: Topology, places: Mapping[Node, Position], heat: Heat | None = None) -> None:
        import numpy as np

        self.topology, self.places, self.heat = topology, places, heat
        xs, ys = [x for x, _ in places.values()], [y for _, y in places.values()]
        margin = 0.9
        self.left, self.right = min(xs) - margin, max(xs) + margin
        self.bottom, self.top = min(ys) - margin, max(ys) + margin
        across, up = self.right - self.left, self.top - self.bottom
        self.inch = min(_WIDEST / across, _TALLEST / up, 0.95)
        self.size = (max(across * self.inch, _NARROWEST), max(up * self.inch, _LEAST_TALL))
        self.node = self._radius(xs, ys)
        self.labelled = len(places) <= _MOST_LABELLED and self.node * self.inch * 72 > 4.2
        counts: dict[Kind, int] = {}
        for link in topology.links:
            counts[_kind(link)] = counts.get(_kind(link), 0) + 1
        self.kinds = dict(sorted(counts.items(), key=lambda item: (-item[0][0], item[0][1:])))
        self.style = {kind: _KINDS[min(number, len(_KINDS) - 1)] for number, kind in enumerate(self.kinds)}
        self.most = max((link.bandwidth for link in topology.links), default=1.0)
        self.wires = shared_media(topology)
        self.lines: dict[Any, list[Sequence[Position]]] = {}
        self.beside: list[tuple[int, Sequence[Position]]] = []  # links with words, and the points of their lines
        self.points = np.array(list(places.values()))
        self.cables = self._cables()
        self.aside = {(cable.a, cable.b): self._aside(cable) for cable in self.cables}
        self.apart = {
            ends: True
            for cable in self.cables
            if self._differ(cable)
            for ends in ((cable.a, cable.b), (cable.b, cable.a))
        }
        # Many lines around the back hide everything else: then only their ends are drawn.
        behind = [cable for cable in self.cables if self.aside[cable.a, cable.b] != 0]
        self.stubs: set[tuple[Node, Node]] = set()
        if len(behind) > _MOST_AROUND and is_grid(topology):
            self.stubs = {(cable.a, cable.b) for cable in behind if not self._differ(cable)}

    def _radius(self, xs: Sequence[float], ys: Sequence[float]) -> float:
        """Return the radius of a node, in the layout's unit: so that the nearest two do not touch."""
        import numpy as np

        points = np.array([xs, ys]).T
        least = 1.0
        for i in range(len(points) - 1):
            least = min(least, float(np.hypot(*(points[i + 1 :] - points[i]).T).min()))
        crowded = least * self.inch < 0.3 and len(points) <= _MOST_LABELLED  # then every point counts for the label
        share = 0.36 if crowded else 0.28
        return max(share * least, 0.02)

    def _cables(self) -> list[_Cable]:
        found: dict[tuple[Node, Node], _Cable] = {}
        for number, link in enumerate(self.topology.links):
            wire = self.wires.get(link.medium)
            for tail, head in ((link.tail, link.head),) if wire is None else ((link.tail, wire), (wire, link.head)):
                if (head, tail) in found:
                    found[head, tail].back.append(number)
                else:
                    found.setdefault((tail, head), _Cable(tail, head)).there.append(number)
        return list(found.values())

    def set_up(self, axes: Axes) -> None:
        axes.set_aspect("equal")
        axes.set_axis_off()
        width, height = (length / self.inch for length in self.size)
        middle, centre = (self.left + self.right) / 2, (self.bottom + self.top) / 2
        axes.set_xlim(middle - width / 2, middle + width / 2)
        axes.set_ylim(centre - height / 2, centre + height / 2)

    def shade_groups(self, axes: Axes) -> None:
        """Shade groups of ranks, where they stand together."""
        from matplotlib.patches import Polygon
        from matplotlib.path import Path

        groups = [group for group in self.topology.groups if len(group) > 1]
        reach = self.node + 0.12
        hulls = [_hull([self.places[rank] for rank in group]) for group in groups]
        for group, hull in zip(groups, hulls, strict=True):
            others = [place for node, place in self.places.items() if isinstance(node, int) and node not in group]
            around = Path([*hull, hull[0]])
            near = any(
                _from_line(place, p, q) < reach for place in others for p, q in itertools.pairwise([*hull, hull[0]])
            )
            if near or (len(hull) > 2 and others and around.contains_points(others).any()):
                return  # the shade of one group would also hold ranks of another
        if len(groups) > 1:
            for hull in hulls:
                shade = Polygon(hull, facecolor="0.93", edgecolor="0.93", joinstyle="round", zorder=0)
                shade.set(linewidth=2 * reach * self.inch * 72, capstyle="round")
                axes.add_patch(shade)

    def _width(self, numbers: Sequence[int]) -> float:
        """Return the width of a line: its area of ink grows with bandwidth, but thin ones stay visible."""
        together = sum(self.topology.links[i].bandwidth for i in numbers)
        scale = max(0.5, min(1.0, 1.2 * math.sqrt(60 / (len(self.cables) + 30))))
        return float(min(5.0, 0.7 + 1.9 * math.sqrt(together / self.most)) * scale)

    def draw_links(self, axes: Axes, marked: Collection[int], along: Sequence[int]) -> None:
        from matplotlib.collections import LineCollection

        special = bool(marked) or bool(along)
        for cable in self.cables:
            strong = {i for i in (*cable.there, *cable.back) if i in marked}
            aside = self.aside[cable.a, cable.b]
            one_way = not cable.there or not cable.back
            if self._differ(cable):
                for ends, numbers, side in (
                    ((cable.a, cable.b), cable.there, aside),
                    ((cable.b, cable.a), cable.back, -aside),
                ):
                    points = self._points(*ends, side, apart=True)
                    self._line(axes, points, numbers, True, special, bool(strong & set(numbers)))
            elif (cable.a, cable.b) in self.stubs:
                for ends in ((cable.a, cable.b), (cable.b, cable.a)):
                    self._line(axes, self._stub(*ends), cable.there or cable.back, False, special, bool(strong))
            else:
                ends = (cable.a, cable.b) if cable.there else (cable.b, cable.a)
                points = self._points(*ends, aside if cable.there else -aside)
                self._line(axes, points, cable.there or cable.back, one_way, special, bool(strong))
            if len(cable.there) > 1 and len(self.cables) <= _MOST_COUNTS and not self._is_wire(cable):
                self._count(axes, cable)
        # All lines that look the same are one artist: a picture of a thousand of them takes no time then.
        for (colour, dashes, width, alpha, zorder), lines in self.lines.items():
            drawn = LineCollection([list(points) for points in lines], colors=colour, linewidths=width, zorder=zorder)
            drawn.set(linestyle=[dashes], alpha=alpha, capstyle="butt")
            axes.add_collection(drawn, autolim=False)
        for number in along:
            link = self.topology.links[number]
            wire = self.wires.get(link.medium)
            pairs = ((link.tail, link.head),) if wire is None else ((link.tail, wire), (wire, link.head))
            for tail, head in pairs:
                self._arrow(axes, tail, head)

    def _is_wire(self, cable: _Cable) -> bool:
        return isinstance(cable.a, Wire) or isinstance(cable.b, Wire)

    def _differ(self, cable: _Cable) -> bool:
        """Return whether the two directions of a cable are drawn apart: they have different figures, or loads."""
        if self._is_wire(cable):
            return False
        if not cable.there or not cable.back:
            return False
        if self.heat is not None:
            return True
        there, back = (sorted(_kind(self.topology.links[i]) for i in side) for side in (cable.there, cable.back))
        return there != back

    def _points(self, a: Node, b: Node, aside: float, *, apart: bool = False) -> list[Position]:
        """Return the points of a line from a to b that keeps `aside` to the left of the straight way.

        Of two lines in opposite directions, `apart` from each other, each is on its own left.
        """
        (x0, y0), (x1, y1) = self.places[a], self.places[b]
        length = math.dist((x0, y0), (x1, y1)) or 1.0
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        shift = min(0.3 * self.node, 0.08 * length) if apart else 0.0

        def at(along: float, off: float) -> Position:
            off += shift
            return (x0 + along * ux - off * uy, y0 + along * uy + off * ux)

        if not aside:
            return [at(0.0, 0.0), at(length, 0.0)]
        # A bracket: aside before the first node in between, and back after the last.
        reach, turn = min(0.62, 0.45 * length), 0.12
        found = []
        for corner in (0, 1):
            for number in range(13):
                t = number / 12
                along = 2 * t * (1 - t) * turn + t * t * reach
                off = (1 - (1 - t) ** 2) * aside
                found.append(at(along, off) if corner == 0 else at(length - along, off))
        return [*found[:13], *found[:12:-1]]

    def _stub(self, a: Node, b: Node) -> list[Position]:
        """Return the points of the first bit of a line that leads away from b, around the back."""
        (x0, y0), (x1, y1) = self.places[a], self.places[b]
        length = math.dist((x0, y0), (x1, y1)) or 1.0
        far = self.node + 0.16
        return [(x0, y0), (x0 - far * (x1 - x0) / length, y0 - far * (y1 - y0) / length)]

    def _line(
        self,
        axes: Axes,
        points: Sequence[Position],
        numbers: Sequence[int],
        arrow: bool,
        special: bool,
        strong: bool,
    ) -> None:
        widest = max(numbers, key=lambda i: self.topology.links[i].bandwidth)
        colour, dashes = self.style[_kind(self.topology.links[widest])]
        width, alpha, zorder = self._width(numbers), 1.0, 1.0
        if self.heat is not None:
            colour, dashes, width, zorder = self._heated(numbers)
            self.beside += [(i, points) for i in numbers[:1] if i in self.heat.words]
        elif strong:
            colour, dashes, width, zorder = _CROSSING, "-", max(2.2, 1.5 * width), 2.0
        elif special:
            alpha = 0.45
        if arrow and len(self.cables) <= _MOST_ARROWS:
            shape = self._shortened(points)
            shape.set(facecolor=colour, edgecolor=colour, linestyle=dashes, linewidth=width, alpha=alpha, zorder=zorder)
            axes.add_patch(shape)
        else:
            self.lines.setdefault((colour, dashes, width, alpha, zorder), []).append(points)

    def _heated(self, numbers: Sequence[int]) -> tuple[Any, Any, float, float]:
        """Return colour, dashes, width and order of links that have a number: the hottest of them counts."""
        assert self.heat is not None
        value = max(self.heat.values[i] for i in numbers)
        if not value:
            return *_UNUSED, 0.8, 0.5
        share = min(1.0, value / self.heat.most)
        scale = max(0.5, min(1.0, 1.2 * math.sqrt(60 / (len(self.cables) + 30))))
        return self.heat.colour(value), "-", (1.2 + 2.4 * share) * scale, 1.0 + share

    def write_words(self, axes: Axes) -> None:
        """Write the words of links beside them, the hottest first; none that would cover a node or other words."""
        from matplotlib.patheffects import withStroke

        assert self.heat is not None
        size = _FONT_SIZE - 3
        unit = 1 / (72 * self.inch)  # a point in the layout's unit
        taken: list[tuple[float, float, float, float]] = []  # middles and half extents
        values = self.heat.values
        entries = sorted(self.beside, key=lambda entry: -values[entry[0]])
        for number, points in entries:
            text = self.heat.words[number]
            half, up = 0.3 * size * len(text) * unit, 0.6 * size * unit
            for share in (0.4, 0.5, 0.3, 0.6, 0.7):
                at = share * (len(points) - 1)
                (x0, y0), (x1, y1) = points[int(at)], points[min(int(at) + 1, len(points) - 1)]
                length = math.dist((x0, y0), (x1, y1)) or 1.0
                left = (y0 - y1) / length, (x1 - x0) / length
                # Aside by as much as the words reach towards the line.
                off = abs(left[0]) * half + abs(left[1]) * up + 2.5 * unit
                x = x0 + (at - int(at)) * (x1 - x0) + off * left[0]
                y = y0 + (at - int(at)) * (y1 - y0) + off * left[1]
                clear = all(abs(x - a) > half + w or abs(y - b) > up + h for a, b, w, h in taken)
                near = (abs(self.points[:, 0] - x) < half + self.node) & (abs(self.points[:, 1] - y) < up + self.node)
                if clear and not near.any():
                    break
            else:
                continue
            taken.append((x, y, half, up))
            axes.text(
                x,
                y,
                text,
                fontsize=size,
                color=_INK,
                horizontalalignment="center",
                verticalalignment="center",
                path_effects=[withStroke(linewidth=2.0, foreground="white")],
                zorder=6,
            )

    def _shortened(self, points: Sequence[Position]) -> Any:
        """Return an arrow along a line, from the edge of the first node to the edge of the last."""
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        samples = [
            (p[0] + (q[0] - p[0]) * number / 40, p[1] + (q[1] - p[1]) * number / 40)
            for p, q in itertools.pairwise(points)
            for number in range(41)
        ]
        reach = 1.06 * self.node
        kept = [
            point
            for point in samples
            if math.dist(point, points[0]) >= 0.9 * reach and math.dist(point, points[-1]) >= reach
        ]
        head = min(8.0, max(3.0, 0.9 * self.node * self.inch * 72))
        return FancyArrowPatch(
            path=Path(kept if len(kept) > 1 else samples),
            arrowstyle=f"-|>,head_length={head / 2:.2f},head_width={head / 4:.2f}",
        )

    def _arrow(self, axes: Axes, tail: Node, head: Node) -> None:
        aside = self.aside[tail, head] if (tail, head) in self.aside else -self.aside[head, tail]
        arrow = self._shortened(self._points(tail, head, aside, apart=self.apart.get((tail, head), False)))
        arrow.set(edgecolor=_ROUTE, facecolor=_ROUTE, linewidth=2.4, zorder=2.5, mutation_scale=1.6, joinstyle="miter")
        axes.add_patch(arrow)

    def _aside(self, cable: _Cable) -> float:
        """Return how far a line must keep aside so as not to run through nodes that it has nothing to do with."""
        (x0, y0), (x1, y1) = self.places[cable.a], self.places[cable.b]
        dx, dy = x1 - x0, y1 - y0
        length = math.hypot(dx, dy)
        x, y = self.points.T
        along = ((x - x0) * dx + (y - y0) * dy) / length
        off = ((y - y0) * dx - (x - x0) * dy) / length
        if not ((along > 0.05) & (along < length - 0.05) & (abs(off) < 0.6 * self.node)).any():
            return 0.0
        # Away from the middle of the picture, on the left if it goes through there.
        centre = self.points.mean(axis=0)
        side = dx * ((y0 + y1) / 2 - centre[1]) - dy * ((x0 + x1) / 2 - centre[0])
        left = side > 1e-9 or (abs(side) <= 1e-9 and dx - dy > 0)
        return (1 if left else -1) * 1.6 * self.node

    def _count(self, axes: Axes, cable: _Cable) -> None:
        points = self._points(cable.a, cable.b, self.aside[cable.a, cable.b])
        (x0, y0), (x1, y1) = points[(len(points) - 1) // 2], points[len(points) // 2]
        axes.text(
            # Not in the middle, where the lines of a dense network cross.
            x0 + 0.36 * (x1 - x0),
            y0 + 0.36 * (y1 - y0),
            f"×{len(cable.there)}",
            fontsize=_FONT_SIZE - 3.5,
            color=_INK,
            horizontalalignment="center",
            verticalalignment="center",
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none"},
            zorder=3,
        )

    def draw_nodes(self, axes: Axes, chosen: Collection[Node] | None, route: tuple[int, int] | None) -> None:
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Circle, FancyBboxPatch, Patch

        points = self.node * self.inch * 72
        line = min(1.2, max(0.5, points / 7))
        drawn: dict[tuple[str, str, float], list[Patch]] = {}
        for node, (x, y) in self.places.items():
            fill = _RANK_FILL if isinstance(node, int) else _SWITCH_FILL
            edge, width = _INK, line
            if chosen is not None and not isinstance(node, Wire):
                fill = _INSIDE if node in chosen else _OUTSIDE
                width = 2.2 * line if node in chosen else line
            if route is not None and node in route:
                edge, width = _ROUTE, 2.4
            shape: Patch
            if isinstance(node, int):
                shape = Circle((x, y), self.node)
            elif isinstance(node, Wire):
                shape = FancyBboxPatch((x - 1, y - 0.06), 2, 0.12, boxstyle="round,pad=0.04")
            else:
                side = 1.55 * self.node
                corner = (x - side / 2, y - side / 2)
                shape = FancyBboxPatch(
                    corner, side, side, boxstyle=f"round,pad={0.12 * side},rounding_size={0.1 * side}"
                )
            drawn.setdefault((fill, edge, width), []).append(shape)
            if self.labelled:
                self._label(axes, node, x, y, points)
        for (fill, edge, width), shapes in drawn.items():
            nodes = PatchCollection(shapes, facecolor=fill, edgecolor=edge, linewidth=width, zorder=4)
            axes.add_collection(nodes, autolim=False)

    def _label(self, axes: Axes, node: Node, x: float, y: float, points: float) -> None:
        from matplotlib.patheffects import withStroke

        text = str(node.medium) if isinstance(node, Wire) else str(node)
        size = min(_FONT_SIZE - 1.5, points * 2.6 / max(2.0, len(text)) * 1.05)
        within = isinstance(node, int) or (size >= 6 and not isinstance(node, Wire))
        below = y < 0 and self.bottom < y < self.bottom + 1  # the lowest row, if it is not the ranks'
        above = 0.22 if isinstance(node, Wire) else 1.3 * self.node
        place = y if within else y - above if below else y + above
        axes.text(
            x,
            place,
            text,
            fontsize=size if within else min(_FONT_SIZE - 2.5, max(5.5, 0.7 * points)),
            color=_INK,
            horizontalalignment="center",
            verticalalignment="center_baseline" if within else "top" if below else "bottom",
            path_effects=[] if within else [withStroke(linewidth=2.2, foreground="white")],
            zorder=5,
        )


def _hull(points: Sequence[Position]) -> list[Position]:
    """Return the corners of the smallest convex polygon around points (A. M. Andrew, IPL 9(5), 1979)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    found: list[Position] = []
    for way in (ordered, ordered[::-1]):
        chain: list[Position] = []
        for x, y in way:
            while len(chain) > 1 and (
                (chain[-1][0] - chain[-2][0]) * (y - chain[-2][1]) - (chain[-1][1] - chain[-2][1]) * (x - chain[-2][0])
                <= 1e-9
            ):
                chain.pop()
            chain.append((x, y))
        found += chain[:-1]
    return found


def _from_line(point: Position, start: Position, end: Position) -> float:
    """Return the distance of a point from a piece of a straight line."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = dx * dx + dy * dy
    part = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / square if square else 0.0
    part = min(1.0, max(0.0, part))
    return math.dist(point, (start[0] + part * dx, start[1] + part * dy))


def _explain(
    axes: Axes,
    picture: _Picture,
    chosen: Collection[Node] | None,
    marked: bool,
    crossing: Collection[int],
    along: Sequence[int],
) -> None:
    """Write under the picture what each kind of line and marker means."""
    from matplotlib.lines import Line2D

    lines: list[Line2D] = []
    shown = [] if picture.heat is not None else list(picture.kinds.items())[: len(_KINDS)]
    if picture.heat is not None and not all(picture.heat.values):
        lines.append(Line2D([], [], color=_UNUSED[0], linestyle=_UNUSED[1], linewidth=1.2, label="not used"))
    for kind, count in shown:
        colour, dashes = picture.style[kind]
        bandwidth, latency, shared, fatpipe = kind
        words = f"{_counted(count, 'link')}, {format_bandwidth(bandwidth)}, {format_time(latency)}"
        words += ", shared or half-duplex" if shared else ""
        words += ", fatpipe" if fatpipe else ""
        lines.append(Line2D([], [], color=colour, linestyle=dashes, linewidth=1.8, label=words))
    if len(picture.kinds) > len(shown) > 0:
        lines[-1].set_label(f"{len(picture.kinds) - len(_KINDS) + 1} other kinds of links")
    if along:
        lines.append(Line2D([], [], color=_ROUTE, linewidth=2.4, marker=">", markersize=5, label="route"))
    if crossing or marked:
        lines.append(
            Line2D(
                [], [], color=_CROSSING, linewidth=2.6, label="links that leave the inside" if crossing else "marked"
            )
        )
    markers = [("o", _RANK_FILL, "rank")]
    if picture.stubs:
        lines.append(Line2D([], [], linestyle="", label="short ends: to the opposite side"))
    if picture.topology.switches:
        markers.append(("s", _SWITCH_FILL, "switch"))
    if chosen is not None:
        markers = [("o", _INSIDE, "inside"), ("o", _OUTSIDE, "outside")]
    for marker, fill, words in markers:
        edge = 2.0 if words == "inside" else 0.9
        lines.append(
            Line2D(
                [],
                [],
                linestyle="",
                marker=marker,
                markersize=8,
                markerfacecolor=fill,
                markeredgecolor=_INK,
                markeredgewidth=edge,
                label=words,
            )
        )
    axes.legend(
        handles=lines,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        borderaxespad=0.2,
        ncols=_columns([str(line.get_label()) for line in lines], picture.size[0]),
        frameon=False,
        fontsize=_FONT_SIZE - 1.5,
        handlelength=2.6,
    )


def _draw_scale(figure: Figure, axes: Axes, heat: Heat) -> None:
    """Draw beside the picture which colour is which number."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    colours = ListedColormap([heat.colour(heat.most * i / 255) for i in range(256)])
    scale = ScalarMappable(cmap=colours)
    scale.set_clim(0, heat.most)
    bar = figure.colorbar(scale, ax=axes, fraction=0.035, pad=0.02, aspect=18)
    bar.set_label(heat.label, fontsize=_FONT_SIZE - 1)
    bar.ax.tick_params(labelsize=_FONT_SIZE - 1.5)


def _columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns of a legend fit into so many inches."""
    letter, sample = 0.6 * (_FONT_SIZE - 1.5) / 72, 0.75
    for columns in range(len(labels), 1, -1):
        rows = -(-len(labels) // columns)
        widest = [max(map(len, labels[i : i + rows])) for i in range(0, len(labels), rows)]
        if sum(sample + letter * count for count in widest) <= width:
            return columns
    return 1

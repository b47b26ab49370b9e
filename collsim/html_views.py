"""What a notebook shows of schedules, networks and results: small tables, and a picture of a network.

Plain HTML and SVG, without matplotlib; colours are those of the page, light or dark. Whatever a user has named is
escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from collsim.errors import InputError
from collsim.layouts import Position, layout, shared_media
from collsim.metrics import link_kinds, switch_kinds
from collsim.schedule import Op, Schedule
from collsim.topology import Topology
from collsim.units import format_bandwidth, format_time

_MOST_ROWS = 8
_MOST_NODES = 130  # in a picture
_MOST_LISTED = 4096  # ranks of a network whose links are counted
_WIDE, _HIGH, _UNIT = 420.0, 320.0, 60.0  # pixels: of a picture at most, and between two neighbours


def facts_table(title: str, facts: Mapping[str, str | tuple[str, str]]) -> str:
    """Return names, values and remarks as an HTML table with a title.

    Examples
    --------
    >>> facts_table("<a>", {"time": ("1 s", "& more")})
    '<table><caption>&lt;a&gt;</caption><tr><th>time</th><td>1 s</td><td>&amp; more</td></tr></table>'
    """
    rows = [(name, *((value, "") if isinstance(value, str) else value)) for name, value in facts.items()]
    return _table(title, [], rows)


def schedule_html(schedule: Schedule) -> str:
    """Return a schedule as HTML: what it is, and its first moves.

    Examples
    --------
    >>> import collsim as cs
    >>> cs.make_schedule("all_reduce", "tree", ranks=8)._repr_html_().count("<tr>")
    9
    """
    title = f"{schedule.collective.name} by {schedule.algorithm}: {schedule.ranks} ranks, {schedule.chunks} chunks, "
    title += f"{schedule.steps} steps, {schedule.messages} messages"
    names = ("step", "src", "dst", "chunk", "count")
    shown = min(len(schedule), _MOST_ROWS)
    rows = [
        [*(str(getattr(schedule, name)[row]) for name in names), Op(int(schedule.op[row])).name] for row in range(shown)
    ]
    if shown < len(schedule):
        title += f"; the first {shown} of {len(schedule)} moves"
    return _table(title, [*names, "op"], rows)


def topology_html(topology: Topology) -> str:
    """Return a network as HTML: what it has, and a picture if it is small.

    Examples
    --------
    >>> import collsim as cs
    >>> html = cs.star(4, bandwidth="10GB/s", latency="1us")._repr_html_()
    >>> html.count("<circle"), html.count("<path"), "10 GB/s" in html
    (4, 4, True)
    """
    rows = [("ranks", str(topology.ranks), "")]
    few = topology.ranks <= _MOST_LISTED
    if few:
        rows += [("switches", str(count), kind) for kind, count in switch_kinds(topology).items()]
        for kind in link_kinds(topology):
            paired = kind.both_ways and kind.shared != "medium"
            number = f"{kind.links // 2} cables" if paired else f"{kind.links} links"
            figures = f"{format_bandwidth(kind.bandwidth)}, {format_time(kind.latency)} each way"
            rows.append((" - ".join(kind.between), number, f"{figures}, {kind.shared}" if kind.shared else figures))
    rows += [("routing", topology.routing, ""), ("placement", topology.placement, "")]
    return f"<div>{_table(topology.name, [], rows)}{_picture(topology) if few else ''}</div>"


def _table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table; without names of columns the first cell of each row is one of its row."""
    head = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr>" if names else ""
    body = []
    for first, *others in rows:
        tag = "td" if names else "th"
        body.append(f"<tr><{tag}>{escape(first)}</{tag}>{''.join(f'<td>{escape(cell)}</td>' for cell in others)}</tr>")
    return f"<table><caption>{escape(title)}</caption>{head}{''.join(body)}</table>"


def _picture(topology: Topology) -> str:
    """Return an SVG picture of a network; nothing if it is too large, or nobody knows where to put its nodes."""
    if topology.ranks + len(topology.switches) > _MOST_NODES:
        return ""
    try:
        places = layout(topology)
    except InputError:
        return ""
    xs, ys = [x for x, _ in places.values()], [y for _, y in places.values()]
    left, top = min(xs) - 0.6, max(ys) + 0.6
    across, up = max(xs) + 0.6 - left, top - min(ys) + 0.6
    unit = min(_WIDE / across, _HIGH / up, _UNIT)
    at = {node: ((x - left) * unit, (top - y) * unit) for node, (x, y) in places.items()}
    wires = shared_media(topology)
    pairs: dict[frozenset[object], tuple[object, object]] = {}
    for link in topology.links:
        wire = wires.get(link.medium)
        for ends in ((link.tail, link.head),) if wire is None else ((link.tail, wire), (wire, link.head)):
            pairs.setdefault(frozenset(ends), ends)
    points = np.array(list(at.values()))
    parts = [
        f'<path d="{_line(at[a], at[b], points, unit)}" fill="none" stroke="currentColor" stroke-opacity="0.45"/>'
        for a, b in pairs.values()
    ]
    size = min(11.0, 0.28 * unit)
    style = 'fill="Canvas" stroke="currentColor"'
    for node, (x, y) in at.items():
        if isinstance(node, int):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" {style}/>')
            if size >= 6:
                parts.append(
                    f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" text-anchor="middle" '
                    f'dominant-baseline="central" fill="currentColor">{node}</text>'
                )
        else:
            parts.append(
                f'<rect x="{x - size:.1f}" y="{y - 0.7 * size:.1f}" width="{2 * size:.1f}" height="{1.4 * size:.1f}" '
                f"{style}><title>{escape(str(node))}</title></rect>"
            )
    wide, high = across * unit, up * unit
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="0 0 {wide:.1f} {high:.1f}" role="img" aria-label="{escape(topology.name)}: its ranks (circles), '
        f'switches (boxes) and links">{"".join(parts)}</svg>'
    )


def _line(start: Position, end: Position, points: NDArray[np.float64], unit: float) -> str:
    """Return the path of a line, bent if it would run through other nodes: away from the middle of the picture."""
    (x0, y0), (x1, y1) = start, end
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    along = (points[:, 0] - x0) * ux + (points[:, 1] - y0) * uy
    off = (points[:, 0] - x0) * uy - (points[:, 1] - y0) * ux
    if not ((along > 0.05 * unit) & (along < length - 0.05 * unit) & (abs(off) < 0.2 * unit)).any():
        return f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"
    middle = points.mean(axis=0)
    side = (middle[0] - x0) * uy - (middle[1] - y0) * ux
    bend = (-1.0 if side > 1e-9 else 1.0) * 0.75 * unit
    return f"M{x0:.1f} {y0:.1f}Q{(x0 + x1) / 2 + bend * uy:.1f} {(y0 + y1) / 2 - bend * ux:.1f} {x1:.1f} {y1:.1f}"

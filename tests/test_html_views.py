"""What a notebook shows: well-formed, with the figures of the thing itself, and safe whatever it is called."""

from __future__ import annotations

import dataclasses
import re
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

import collsim as cs
from collsim.cli import main
from collsim.html_views import topology_html
from collsim.topology import Link, Topology, cable

FIGURES = {"bandwidth": "10GB/s", "latency": "1us"}
NASTY = "<script>alert('x')</script>\"&"


def parsed(thing: Any) -> ElementTree.Element:
    return ElementTree.fromstring(thing._repr_html_())


def cells(element: ElementTree.Element) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in element.iter("tr")]


def count(element: ElementTree.Element, tag: str) -> int:
    return sum(1 for _ in element.iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def result(**settings: Any) -> cs.Result:
    return cs.simulate(cs.make_schedule("all_reduce", "ring", 8), cs.star(8, **FIGURES), "4MB", **settings)


def test_a_result_shows_the_lines_of_the_command(capsys):
    shown = {name: (value, remark) for name, value, remark in cells(parsed(result()))}
    assert shown["time"] == ("728 us", "")
    assert shown["busbw"][0] == "9.615 GB/s"
    with pytest.raises(SystemExit):
        main(
            [
                "run",
                "all_reduce",
                "-a",
                "ring",
                "-s",
                "4MB",
                "-t",
                "star:8",
                "--bandwidth",
                "10GB/s",
                "--latency",
                "1us",
            ]
        )
    printed = capsys.readouterr().out
    for name, (value, remark) in shown.items():
        if name != "simulated in":
            assert re.search(rf"^{name} +{re.escape(value)}  {re.escape(remark)}$".replace("  $", "$"), printed, re.M)


def test_a_schedule_shows_its_first_moves():
    schedule = cs.make_schedule("all_reduce", "ring", 8)
    head, *rows = cells(parsed(schedule))
    assert head == ["step", "src", "dst", "chunk", "count", "op"]
    for row, shown in enumerate(rows):
        assert shown[:5] == [str(getattr(schedule, name)[row]) for name in head[:5]]
    assert len(rows) == 8
    caption = parsed(schedule).find("caption")
    assert caption is not None
    assert caption.text == "all_reduce by ring: 8 ranks, 8 chunks, 14 steps, 112 messages; the first 8 of 112 moves"
    assert len(cells(parsed(cs.make_schedule("all_reduce", "tree", 2)))) == 3


@pytest.mark.parametrize(
    ("spec", "ranks", "switches", "lines"),
    [("star:8", 8, 1, 8), ("torus:4x4", 16, 0, 32), ("leaf-spine:4x4,spines=2", 16, 6, 24), ("bus:5", 5, 1, 5)],
)
def test_a_network_shows_its_nodes_and_links(spec, ranks, switches, lines):
    net = cs.load_topology(spec, **FIGURES)
    shown = parsed(net)
    assert (count(shown, "circle"), count(shown, "rect"), count(shown, "path")) == (ranks, switches, lines)
    assert [count(shown, "text"), cells(shown)[0]] == [ranks, ["ranks", str(ranks), ""]]
    assert any("10 GB/s, 1 us each way" in row[2] for row in cells(shown))


def test_a_line_that_would_run_through_other_nodes_is_bent():
    paths = [path.get("d") for path in parsed(cs.load_topology("torus:4x4", **FIGURES)).iter() if path.get("d")]
    assert sum("Q" in path for path in paths) == 8  # those around the back


def test_a_large_network_has_no_picture_and_a_huge_one_is_not_built():
    assert count(parsed(cs.load_topology("torus:16x16", **FIGURES)), "svg") == 0
    huge = cs.load_topology("torus:1024x1024", **FIGURES)
    assert cells(parsed(huge))[0] == ["ranks", "1048576", ""]
    assert "links" not in vars(huge)


def test_names_are_escaped():
    net = Topology(NASTY, 2, [*cable(0, NASTY, 1e9, 0.0), *cable(1, NASTY, 1e9, 0.0)])
    schedule = dataclasses.replace(cs.make_schedule("all_reduce", "ring", 2), algorithm=NASTY)
    for thing in (net, schedule, cs.simulate(schedule, net, 8)):
        html = thing._repr_html_()
        assert "<script" not in html
        assert NASTY in "".join(ElementTree.fromstring(html).itertext())


def test_a_network_that_nobody_can_draw_has_a_table():
    lonely = Topology("lonely", 2, [Link(0, 1, 1e9, 0.0)])
    assert "lonely" in topology_html(lonely)


def test_nothing_here_needs_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for thing in (result(), result().schedule, cs.star(3, **FIGURES)):
        assert thing._repr_html_()

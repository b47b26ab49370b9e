"""Pictures: what is drawn where, that it can be read, and that the same picture is the same bytes."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import collsim as cs
from collsim.book.exercise_1_1_3 import ScalingFigures, answer
from collsim.catalog import ALGORITHMS, Algorithm
from collsim.plots import check_target, plot_scaling, save_figure, spread

Text = pytest.importorskip("matplotlib.text").Text

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def figures() -> ScalingFigures:
    return answer(workers=[2, 4, 8, 16, 32], up_to=32)


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_axes_have_units_and_scales(figures: ScalingFigures) -> None:
    axes = plot_scaling(figures).axes[0]
    assert axes.get_ylabel() == "time of one all-reduce (s)"
    assert axes.get_xlabel() == "workers K"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "4", "8", "16", "32"]
    assert "4 GB" in axes.get_title("left")
    assert "10 GB/s" in axes.get_title("left")


def test_every_simulated_point_lies_on_its_closed_form(figures: ScalingFigures) -> None:
    axes = plot_scaling(figures).axes[0]
    lines = {}
    points = {}
    for line in axes.lines:
        where = points if line.get_marker() not in ("None", None) else lines
        where[line.get_color()] = dict(zip(line.get_xdata(), line.get_ydata(), strict=False))
    assert len(points) == 3
    for (colour, drawn), name in zip(points.items(), figures.algorithms, strict=True):
        for count in figures.workers:
            assert drawn[count] == figures.at(name, count)[0].time
            assert drawn[count] == pytest.approx(lines[colour][count], rel=1e-9)


def test_markers_and_colours_differ(figures: ScalingFigures) -> None:
    drawn = [line for line in plot_scaling(figures).axes[0].lines if line.get_marker() not in ("None", None)]
    assert len({line.get_marker() for line in drawn}) == len({line.get_color() for line in drawn}) == 3


def test_everything_has_a_label(figures: ScalingFigures) -> None:
    said = texts(plot_scaling(figures).axes[0])
    for start in ("naive, 24.8 s", "tree, 4 s", "ring, 775.3 ms", "compute, 300 ms", "one gradient once", "least"):
        assert any(text.startswith(start) for text in said)


def test_a_range_is_a_band() -> None:
    axes = plot_scaling(answer(workers=[2, 8], compute="100ms..500ms", up_to=8)).axes[0]
    assert len(axes.patches) == 1
    assert {"compute, 100 ms", "compute, 500 ms"} <= set(texts(axes))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"compute": "399ms..401ms"},
        {"parameters": 1000, "compute": "10us..20us"},
        {"workers": [8], "algorithms": "ring"},
        {"workers": [1, 3, 5, 7], "compute": "1000s"},
    ],
)
def test_labels_do_not_overlap(arguments: dict[str, Any]) -> None:
    figure = plot_scaling(answer(**{"workers": [2, 4, 8], "up_to": 8, **arguments}))
    figure.draw_without_rendering()
    # The words alone, without the lines that lead to them.
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_an_algorithm_without_a_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Algorithm("all_reduce", "own", ALGORITHMS["all_reduce", "ring"].build)
    monkeypatch.setitem(ALGORITHMS, ("all_reduce", "own"), own)
    axes = plot_scaling(answer(workers=[2, 4], algorithms="own", up_to=4)).axes[0]
    assert any(text.startswith("own") for text in texts(axes))


def test_nothing_to_draw() -> None:
    with pytest.raises(cs.InputError, match="nothing to draw"):
        plot_scaling(answer(workers=[1], algorithms="naive", up_to=2))


def test_files_are_what_their_names_say(figures: ScalingFigures, tmp_path: Path) -> None:
    picture = plot_scaling(figures)
    save_figure(picture, tmp_path / "a.png")
    save_figure(picture, str(tmp_path / "a.SVG"))
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    assert ElementTree.parse(tmp_path / "a.SVG").getroot().tag.endswith("svg")


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_picture_same_bytes(figures: ScalingFigures, tmp_path: Path, suffix: str) -> None:
    once, again = tmp_path / f"once{suffix}", tmp_path / f"again{suffix}"
    save_figure(plot_scaling(figures), once)
    save_figure(plot_scaling(figures), again)
    assert once.read_bytes() == again.read_bytes()
    assert b"Matplotlib v" not in once.read_bytes()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("x.xyz", "must be an .svg or a .png file, got 'x.xyz'"),
        ("x", "must be an .svg or a .png"),
        ("", "must be an .svg or a .png"),
        ("/nonexistent/x.png", "no folder '/nonexistent'"),
    ],
)
def test_bad_paths(path: str, message: str) -> None:
    with pytest.raises(cs.InputError, match=message):
        check_target(path)


def test_unwritable_files(figures: ScalingFigures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder.png"
    folder.mkdir()
    with pytest.raises(cs.InputError, match="it is a folder"):
        save_figure(plot_scaling(figures), folder)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(cs.InputError, match="No space left"):
        save_figure(plot_scaling(figures), tmp_path / "x.png")


def test_spread() -> None:
    assert spread([], 1) == []
    assert spread([1.0, 5.0], 1) == [1.0, 5.0]
    assert spread([1.0, 1.0, 1.0], 1) == [0.0, 1.0, 2.0]
    places = spread([0.0, 0.1, 0.2, 0.25, 2.0], 0.5)
    assert all(after - before >= 0.5 - 1e-12 for before, after in itertools.pairwise(places))

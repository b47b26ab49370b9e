"""Pictures: what is drawn where, that it can be read, and that the same picture is the same bytes."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import collsim as cs
from collsim.book.exercise_1_1_3 import ScalingFigures, answer
from collsim.catalog import ALGORITHMS, Algorithm
from collsim.plots import check_target, plot_costs, plot_scaling, plot_schedule, save_figure, spread

Text = pytest.importorskip("matplotlib.text").Text
Annotation = pytest.importorskip("matplotlib.text").Annotation

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


NETWORK: dict[str, Any] = {"alpha": "10us", "beta": "0.1ns/B", "nbytes": "400kB"}


def run(collective: str, algorithm: str, ranks: int, **options: Any) -> cs.Result:
    network = {**NETWORK, "nbytes": 0} if collective == "barrier" else NETWORK
    return cs.simulate(cs.make_schedule(collective, algorithm, ranks, **options), **network)


def arrows(axes: Any) -> list[tuple[float, float]]:
    """Return where each arrow ends, in the order of the table."""
    return [text.xy for text in axes.texts if isinstance(text, Annotation)]


def labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts if not isinstance(text, Annotation)]


def boxes(axes: Any) -> list[Any]:
    return [text.get_window_extent() for text in axes.texts if not isinstance(text, Annotation)]


def overlapping(found: list[Any]) -> bool:
    return any(one.overlaps(other) for one, other in itertools.combinations(found, 2))


def test_an_arrow_goes_from_start_and_sender_to_finish_and_receiver() -> None:
    result = run("all_reduce", "tree", 5)
    axes = plot_schedule(result).axes[0]
    ends = zip((1e6 * result.timeline.finish).tolist(), result.schedule.dst.tolist(), strict=True)
    for drawn, expected in zip(arrows(axes), ends, strict=True):
        assert drawn == pytest.approx(expected)
    begins = zip((1e6 * result.timeline.start).tolist(), result.schedule.src.tolist(), strict=True)
    for line, expected in zip(axes.lines, begins, strict=True):
        assert (line.get_xdata()[0], line.get_ydata()[0]) == pytest.approx(expected)


def test_reduce_and_copy_differ_in_colour_and_in_dashes() -> None:
    result = run("all_reduce", "ring", 4)
    axes = plot_schedule(result).axes[0]
    for op in (cs.Op.COPY, cs.Op.REDUCE):
        drawn = [line for line, kind in zip(axes.lines, result.schedule.op, strict=True) if kind == op]
        assert {line.get_linestyle() for line in drawn} == {"--" if op == cs.Op.COPY else "-"}
        assert len({line.get_color() for line in drawn}) == 1
    assert len({line.get_color() for line in axes.lines}) == 2
    assert [text.get_text().split(":")[0] for text in axes.get_legend().get_texts()] == ["REDUCE", "COPY"]


def test_lanes_run_from_rank_0_down_and_time_to_the_right() -> None:
    axes = plot_schedule(run("all_reduce", "ring", 4)).axes[0]
    bottom, top = axes.get_ylim()
    assert top < 0 < 3 < bottom
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] == pytest.approx(120, rel=0.02)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "1", "2", "3"]
    assert axes.get_ylabel() == "rank"


@pytest.mark.parametrize(("alpha", "unit"), [("2s", "s"), ("2ms", "ms"), ("2us", "us"), ("2ns", "ns"), ("2e-12", "ns")])
def test_time_has_a_unit(alpha: str, unit: str) -> None:
    result = cs.simulate(cs.make_schedule("barrier", "dissemination", 2), alpha=alpha, beta=0)
    assert plot_schedule(result).axes[0].get_xlabel() == f"time ({unit})"


def test_the_title_says_what_it_is() -> None:
    title = plot_schedule(run("all_reduce", "chain", 4, segments=3)).axes[0].get_title("left")
    assert title == "all_reduce by chain, K = 4, segments=3, 400 kB in 233.3 us"
    assert "root" not in plot_schedule(run("all_reduce", "naive", 3)).axes[0].get_title("left")
    counts = plot_schedule(
        cs.simulate(
            cs.make_schedule("all_to_allv", "pairwise", 8, counts=[[1] * 8] * 8), alpha="1us", beta="1ns", nbytes=8
        )
    )
    assert len(counts.axes[0].get_title("left")) < 120


def test_an_algorithm_of_ones_own_can_be_drawn() -> None:
    plan = cs.ScheduleBuilder("all_reduce", 2)
    plan.compute(step=0, rank=0, seconds=5e-6)
    plan.reduce(step=1, src=[0, 1], dst=[1, 0])
    axes = plot_schedule(cs.simulate(plan.build(), **NETWORK)).axes[0]
    assert "by custom" in axes.get_title("left")
    assert [text.get_text().split(":")[0] for text in axes.get_legend().get_texts()] == ["REDUCE", "COMPUTE"]
    (bar,) = (lines for lines in axes.collections if lines.get_linewidth()[0] > 2)
    assert bar.get_segments()[0] == pytest.approx(np.array([[0, 0], [5, 0]]))


def test_one_arrow_a_message_with_the_chunks_that_it_carries() -> None:
    assert labels(plot_schedule(run("all_reduce", "tree", 8)).axes[0]) == []  # one chunk: nothing to tell apart
    result = run("all_gather", "pat", 6)
    axes = plot_schedule(result).axes[0]
    assert len(arrows(axes)) == result.schedule.messages < len(result.schedule)
    assert {"0", "0,2,4", "1,3,5"} <= set(labels(axes))
    assert {"0–3", "4–7", "0–1", "5"} <= set(labels(plot_schedule(run("all_reduce", "halving_doubling", 8)).axes[0]))
    assert "8 chunks" in labels(plot_schedule(run("all_to_all", "bruck", 16)).axes[0])


@pytest.mark.parametrize(
    ("collective", "algorithm", "ranks", "options"),
    [
        ("all_reduce", "ring", 4, {}),
        ("all_reduce", "bidirectional_ring", 4, {}),
        ("all_reduce", "swing", 8, {}),
        ("all_reduce", "double_tree", 6, {"segments": 2}),
        ("all_to_all", "spread", 10, {}),
        ("all_gather", "ring", 2, {}),
    ],
)
def test_labels_of_arrows_do_not_overlap(collective: str, algorithm: str, ranks: int, options: dict[str, Any]) -> None:
    axes = plot_schedule(run(collective, algorithm, ranks, **options)).axes[0]
    found = boxes(axes)
    assert found
    assert not overlapping(found)


def test_labels_are_left_out_where_there_is_no_room() -> None:
    result = run("all_to_all", "spread", 17)
    axes = plot_schedule(result).axes[0]
    assert 0 < len(labels(axes)) < result.schedule.messages == len(arrows(axes))


def test_messages_that_take_no_time_can_be_drawn(tmp_path: Path) -> None:
    result = cs.simulate(cs.make_schedule("all_reduce", "ring", 3), alpha=0, beta=0, nbytes=1)
    save_figure(plot_schedule(result), tmp_path / "x.svg")


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(cs.InputError, match="nothing to draw"):
        plot_schedule(run("all_reduce", "ring", 1))
    with pytest.raises(cs.InputError, match="2256 messages are too many to draw, the most is 2000"):
        plot_schedule(run("all_to_all", "pairwise", 48))


SIZES = ["1kB", "100kB", "10MB", "1GB"]


def costs(collective: str = "all_reduce", names: Any = ("ring", "tree"), ranks: int = 8, **more: Any) -> Any:
    return plot_costs(collective, names, ranks, more.pop("sizes", SIZES), alpha="5us", beta="0.1ns/B", **more).axes[0]


def drawn_points(axes: Any) -> list[Any]:
    return [line for line in axes.lines if line.get_marker() not in ("None", None)]


@pytest.mark.parametrize("gamma", [0, "0.05ns/B"])
def test_costs_are_simulated_and_lie_on_their_closed_forms(gamma: Any) -> None:
    axes = costs(gamma=gamma)
    bound, *lines = [line for line in axes.lines if line.get_marker() in ("None", None)]
    for points, line, name in zip(drawn_points(axes), lines, ("ring", "tree"), strict=True):
        form = ALGORITHMS["all_reduce", name].time
        schedule = cs.make_schedule("all_reduce", name, 8)
        for size, time in zip(points.get_xdata(), points.get_ydata(), strict=True):
            result = cs.simulate(schedule, alpha=5e-6, beta=1e-10, gamma=gamma, nbytes=int(size))
            assert time == result.time
        for size, time in zip(line.get_xdata(), line.get_ydata(), strict=True):
            assert time == form(8, size, 5e-6, 1e-10, 0 if gamma == 0 else 0.05e-9)
        assert (line.get_ydata() >= bound.get_ydata()).all()
        assert line.get_color() == points.get_color()
    assert ("γ = 0.05 ns/B" in axes.get_title("left")) == bool(gamma)


def test_costs_have_units_and_logarithmic_axes() -> None:
    axes = costs()
    axes.figure.draw_without_rendering()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert {"1 kB", "1 MB", "1 GB"} <= {tick.get_text() for tick in axes.get_xticklabels()}
    assert {"100 us", "10 ms"} <= {tick.get_text() for tick in axes.get_yticklabels()}
    assert axes.get_ylabel() == "time of one all_reduce"
    title = axes.get_title("left")
    assert title == "all_reduce on K = 8 ranks, α = 5 us, β = 0.1 ns/B; times at 1 GB"
    assert [text.split(",")[0] for text in texts(axes)] == ["lower bound", "ring", "tree"]


def test_costs_of_options_and_of_what_has_no_closed_form() -> None:
    axes = costs(names=[("chain", {"segments": 2}), ("chain", {"segments": 64}), "torus_bucket"], ranks=16)
    said = texts(axes)
    assert any(text.startswith("chain, segments=64, ") for text in said)
    dotted = axes.lines[-2]  # from marker to marker
    assert list(dotted.get_ydata()) == list(drawn_points(axes)[-1].get_ydata())
    first, second = drawn_points(axes)[:2]
    assert first.get_ydata()[0] < second.get_ydata()[0]
    assert first.get_ydata()[-1] > second.get_ydata()[-1]


@pytest.mark.parametrize("names", [["ring"], ["ring", "torus", "swing", "bine", "halving_doubling", "tree", "chain"]])
def test_labels_of_costs_do_not_overlap(names: list[str]) -> None:
    axes = costs(names=names)
    axes.figure.draw_without_rendering()
    assert not overlapping([Text.get_window_extent(text) for text in axes.texts])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": []}, "nothing to draw"),
        ({"sizes": ["1MB"]}, "nothing to draw"),
        ({"sizes": [0, "1MB"]}, "nothing to draw"),
        ({"ranks": 1}, "ranks must be a whole number of at least 2, got 1"),
        ({"names": ["rang"]}, "rang"),
        ({"names": [("ring", {"segments": 2})]}, "segments"),
        ({"collective": "all_redoce"}, "all_redoce"),
    ],
)
def test_costs_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(cs.InputError, match=message):
        costs(**arguments)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_diagrams_same_bytes(tmp_path: Path, suffix: str) -> None:
    for draw in (lambda: plot_schedule(run("all_reduce", "ring", 4)), lambda: costs().figure):
        once, again = tmp_path / f"once{suffix}", tmp_path / f"again{suffix}"
        save_figure(draw(), once)
        save_figure(draw(), again)
        assert once.read_bytes() == again.read_bytes()


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

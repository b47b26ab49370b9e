"""Pictures: what is drawn where, that it can be read, and that the same picture is the same bytes."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_runs import random_model, random_schedule, random_topology

import collsim as cs
from collsim.activities import COMPUTING, REDUCING, activities, idle
from collsim.book.exercise_1_1_3 import ScalingFigures, answer
from collsim.catalog import ALGORITHMS, Algorithm
from collsim.cli import main
from collsim.occupancy import levels, link_use
from collsim.plots import (
    PLOTS,
    Costs,
    check_target,
    network,
    plot_against_ranks,
    plot_against_size,
    plot_costs,
    plot_crossover,
    plot_gantt,
    plot_links,
    plot_scaling,
    plot_schedule,
    plot_steps,
    plot_topology,
    save_figure,
)
from collsim.plots.costs import equal_costs, networks_in_words
from collsim.plots.crossover import crossover, edges
from collsim.plots.gantt import LOOKS
from collsim.plots.network import Heat
from collsim.plots.steps import PARTS, step_parts
from collsim.plots.style import spread

Text = pytest.importorskip("matplotlib.text").Text
Annotation = pytest.importorskip("matplotlib.text").Annotation
to_hex = pytest.importorskip("matplotlib.colors").to_hex

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


def test_an_arrow_ends_when_the_message_has_arrived_and_a_bar_shows_the_reducing_after_it() -> None:
    result = on_a_star("tree", 4)
    axes = plot_schedule(result).axes[0]
    ends = zip((1e6 * result.timeline.arrive).tolist(), result.schedule.dst.tolist(), strict=True)
    for drawn, expected in zip(arrows(axes), ends, strict=True):
        assert drawn == pytest.approx(expected)
    bars = sorted(tuple(bar.get_segments()[0].ravel()) for bar in axes.collections if bar.get_linewidth()[0] > 2)
    reduced = result.schedule.op == cs.Op.REDUCE
    expected = 1e6 * np.sort(result.timeline.finish[reduced])
    assert sorted(end for _, _, end, _ in bars) == pytest.approx(expected.tolist())
    assert all(end - begin == pytest.approx(20) for begin, _, end, _ in bars)
    assert [text.get_text() for text in axes.get_legend().get_texts()][-1] == "reducing"


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
    *closed, dotted = drawn_points(axes)  # dotted from marker to marker
    assert [line.get_linestyle() for line in (*closed, dotted)] == ["None", "None", "--"]
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


# ---- what a rank does when


STAR: dict[str, Any] = {"bandwidth": "10GB/s", "latency": "5us"}


def on_a_star(name: str = "ring", ranks: int = 5, **settings: Any) -> cs.Result:
    schedule = cs.make_schedule("all_reduce", name, ranks)
    return cs.simulate(schedule, cs.star(ranks, **STAR), "400kB", **{"gamma": "0.05ns/B", **settings})


def rectangles(axes: Any) -> dict[str, list[tuple[float, float, float, float]]]:
    """Return (left, right, top, bottom) of all bars by what they are."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for collection in axes.collections:
        for path in collection.get_paths():
            (left, top), (right, bottom) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            found.setdefault(collection.get_label(), []).append((left, right, top, bottom))
    return found


@pytest.mark.parametrize("model", ["maxmin", "loggp"])
def test_a_gantt_chart_has_a_bar_in_its_ranks_lane_for_all_that_a_rank_does(model: str) -> None:
    result = on_a_star("halving_doubling", model=model, parameters={"o": "9us"} if model == "loggp" else None)
    axes = plot_gantt(result).axes[0]
    drawn, done = rectangles(axes), activities(result)
    for what, look in LOOKS.items():
        some = done[done.what == what]
        expected = sorted(zip(1e6 * some.start, 1e6 * some.finish, some.rank, strict=True))
        bars = sorted((left, right, round((top + bottom) / 2)) for left, right, top, bottom in drawn.get(look.name, []))
        assert np.array(bars) == pytest.approx(np.array(expected))
    gaps = [gap for rank in idle(result, done) for gap in rank]
    waiting = sorted(bar[:2] for bar in drawn["waiting"])
    assert np.array(waiting) == pytest.approx(1e6 * np.array(sorted(gaps)))
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert shown == ["sending", "receiving", "reducing", *["overhead"] * (model == "loggp"), "waiting"]


def test_bars_of_a_gantt_chart_never_cover_each_other() -> None:
    drawn = rectangles(plot_gantt(on_a_star("naive", 6)).axes[0])
    bars = [bar for name, of_kind in drawn.items() if name != "waiting" for bar in of_kind]
    for one, other in itertools.combinations(bars, 2):
        wide, high = (min(one[i + 1], other[i + 1]) - max(one[i], other[i]) for i in (0, 2))
        assert wide < 1e-6 or high < 1e-9


def test_what_is_drawn_is_told_apart_without_colours_too() -> None:
    for looks in (LOOKS.values(), PARTS):
        assert len({(look.hatch, luminance(look.colour) > 0.4) for look in looks}) == len(looks)


def luminance(colour: str) -> float:
    red, green, blue = pytest.importorskip("matplotlib.colors").to_rgb(colour)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


# ---- steps


def test_the_bars_of_the_steps_add_up_to_what_the_ranks_did() -> None:
    result = on_a_star("ring", 6, offsets=[0, 0, 3e-5, 0, 0, 0])
    parts = step_parts(result)
    assert parts.sum(axis=(1, 2)) == pytest.approx(result.rank_times - np.array([0, 0, 3e-5, 0, 0, 0]))
    axes = plot_steps(result).axes[0]
    for look, bars in zip((PARTS[0], PARTS[2], PARTS[3]), axes.containers, strict=True):  # never both at once
        heights = [bar.get_height() for bar in bars]
        assert heights == pytest.approx(1e6 * parts[:, :, PARTS.index(look)].mean(axis=0))
    assert axes.get_ylabel() == "mean time of a rank (us)"


@pytest.mark.parametrize("seed", range(8))
def test_what_a_rank_spends_its_time_with_is_what_keeps_it_busy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    model = random_model(rng, topology)
    schedule = random_schedule(rng, topology.ranks)
    result = cs.simulate(schedule, nbytes=40, model=model, gamma=0.37, ordering=str(rng.choice(["step", "dataflow"])))
    parts, done = step_parts(result).sum(axis=1), activities(result)
    works = np.isin(done.what, (REDUCING, COMPUTING))
    for columns, some in (((0, 1), ~works), ((1, 2), works), ((0, 1, 2), works | True)):
        busy = levels(done.rank[some], done.start[some], done.finish[some], schedule.ranks).busy
        assert parts[:, columns].sum(axis=1) == pytest.approx(busy)


# ---- links


def test_links_have_the_colour_and_the_number_of_their_utilisation() -> None:
    result = on_a_star("naive", 4, gamma=0)
    figure = plot_links(result)
    use = link_use(result)
    to_root = next(i for i, link in enumerate(use.topology.links) if link.head == 0)
    assert use.utilisation[to_root] == pytest.approx(0.5, rel=0.1)
    said = [text for text in texts(figure.axes[0]) if text.endswith("%")]
    assert sorted(said) == sorted(f"{100 * share:.0f} %" for share in use.utilisation)
    heat = Heat([0.0, 50.0, 100.0], "", 100.0, {})
    shades = [luminance(heat.colour(value)) for value in (0, 25, 50, 75, 100)]
    assert shades == sorted(shades, reverse=True)  # darker is more, also on paper
    drawn = [to_hex(patch.get_edgecolor()) for patch in figure.axes[0].patches]
    assert sorted(drawn) == sorted(to_hex(heat.colour(100 * share)) for share in use.utilisation)
    assert "(%)" in figure.axes[1].get_ylabel()


def test_lines_to_the_opposite_side_are_said_to_be_cut_only_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_MOST_AROUND", 4)
    net = cs.load_topology("torus:3x3", bandwidth="1GB/s", latency="1us")
    for heat, cut in ((None, True), (Heat([1.0] * len(net.links), "share", 2.0, {}), False)):
        said = [text.get_text() for text in plot_topology(net, heat=heat).axes[0].get_legend().get_texts()]
        assert ("short ends: to the opposite side" in said) == cut


def test_links_that_are_not_used_are_dotted_and_said_to_be() -> None:
    plan = cs.ScheduleBuilder("broadcast", ranks=3)
    plan.copy(0, 0, 1)
    figure = plot_links(cs.simulate(plan.build(), cs.star(3, **STAR), "1MB"))
    assert "not used" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert [text for text in texts(figure.axes[0]) if text.endswith("%")] == ["91 %", "91 %"]  # 100 us of 110


# ---- sweeps


def rows_of(**changes: Any) -> list[dict[str, Any]]:
    given = {"algorithm": ["ring", "tree"], "ranks": 8, "nbytes": ["1kB", "1MB", "1GB"], "alpha": 5e-6, "beta": 1e-10}
    return cs.sweep(**{**given, **changes})


def test_points_of_a_sweep_are_its_rows_and_lines_the_closed_forms() -> None:
    costs_between = Costs(5e-6, 1e-10)
    by_size = rows_of()
    by_ranks = rows_of(ranks=[1, 2, 3, 8, 16], nbytes="1MB")
    for draw, rows, axis in ((plot_against_size, by_size, "size_bytes"), (plot_against_ranks, by_ranks, "ranks")):
        axes = draw(rows, costs=costs_between).axes[0]
        bound, *lines = [line for line in axes.lines if line.get_marker() in ("None", None)]
        for name, points, line in zip(("ring", "tree"), drawn_points(axes), lines, strict=True):
            own = [row for row in rows if row["algorithm"] == name and row["ranks"] > 1]
            assert list(points.get_xdata()) == [row[axis] for row in own]
            assert list(points.get_ydata()) == [row["time_s"] for row in own]
            closed = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
            form = ALGORITHMS["all_reduce", name].time
            for place, time in closed.items():
                ranks, nbytes = (8, place) if axis == "size_bytes" else (place, 1e6)
                assert time == form(ranks, nbytes, *costs_between)
        drawn = dict(zip(bound.get_xdata(), bound.get_ydata(), strict=True))
        for row in rows:
            if row[axis] in drawn:
                assert drawn[row[axis]] == pytest.approx(row["lower_bound_s"])
        assert axes.get_ylabel() == "time of one all_reduce"


def test_a_closed_form_is_drawn_only_where_all_pairs_of_ranks_cost_the_same() -> None:
    assert equal_costs({2: cs.star(2, **STAR), 9: cs.star(9, **STAR)}) == pytest.approx((1e-5, 1e-10, 0))
    assert equal_costs({4: cs.torus((2, 2), **STAR)}) is None
    assert equal_costs({2: cs.star(2, **STAR), 3: cs.star(3, bandwidth="1GB/s", latency="5us")}) is None
    assert equal_costs({1: cs.star(1, **STAR)}) is None
    axes = plot_against_size(rows_of(topology="torus:4x2", alpha=None, beta=None, **STAR), share=True).axes
    assert len(drawn_points(axes[0])) == len(axes[0].lines) - 1  # the other one is the bound
    assert axes[1].get_ylabel() == "lower bound / time"
    assert all((line.get_ydata() <= 1).all() for line in axes[1].lines)


GRID: dict[str, Any] = {
    "algorithm": ["naive", "tree", "ring", "swing"],
    "ranks": [2, 4, 8, 16],
    "nbytes": ["1kB", "64kB", "1MB", "1GB"],
}


def test_the_best_of_the_crossover_map_is_the_best_of_the_sweep() -> None:
    rows = rows_of(**GRID)
    found = crossover(rows)
    axes = plot_crossover(rows).axes[0]
    said = {
        tuple(np.round(np.log2(text.xy), 6)): text.get_text() for text in axes.texts if text.get_text()[0] in "ABCD"
    }
    legend = dict(text.get_text().split("  ") for text in axes.get_legend().get_texts())
    (mesh,) = axes.collections
    numbers = mesh.get_array().reshape(len(found.ranks), len(found.sizes))
    colours: dict[str, set[str]] = {}
    assert len(said) == 16
    for i, j in itertools.product(range(4), range(4)):
        ranks, size = found.ranks[i], found.sizes[j]
        times = {row["algorithm"]: row["time_s"] for row in rows if (row["ranks"], row["size_bytes"]) == (ranks, size)}
        least = min(times.values())
        best = [name for name in GRID["algorithm"] if times[name] == pytest.approx(least, rel=1e-9)]
        assert found.best(ranks, size) == best
        wide, high = edges(found.sizes), edges(found.ranks)
        where = np.round(np.log2([math.sqrt(wide[j] * wide[j + 1]), math.sqrt(high[i] * high[i + 1])]), 6)
        text = said[tuple(where)]
        assert [legend[letter] for letter in text.split("=")] == best
        colours.setdefault(text[0], set()).add(str(mesh.to_rgba(numbers[i, j])))
        second = sorted(times.values())[1]
        assert found.margin(ranks, size) == pytest.approx(second / least)
    assert len(colours) > 1
    assert len(set.union(*colours.values())) == len(colours)


def test_lines_of_the_crossover_map_are_where_the_best_changes() -> None:
    rows = rows_of(algorithm=["tree", "ring"], ranks=[4, 8], nbytes=["1kB", "10kB", "10MB", "100MB"])
    found = crossover(rows)
    axes = plot_crossover(rows).axes[0]
    across = sum(found.best(k, a) != found.best(k, b) for k in found.ranks for a, b in itertools.pairwise(found.sizes))
    up = sum(found.best(4, n) != found.best(8, n) for n in found.sizes)
    assert (across, len(axes.lines)) == (2, across + up)
    assert "nowhere" not in " ".join(texts(axes))
    assert any(
        "nowhere best: naive" in text
        for text in texts(plot_crossover(rows_of(**GRID | {"nbytes": [10**6, 10**9]})).axes[0])
    )


def test_a_crossover_map_may_have_holes_and_ties() -> None:
    rows = [row for row in rows_of(algorithm=["ring"], ranks=[2, 4]) if (row["ranks"], row["size_bytes"]) != (2, 1000)]
    rows += [{**row, "algorithm": "copy"} for row in rows]
    found = crossover(rows)
    assert found.best(2, 1000) == []
    assert found.best(4, 1000) == ["ring", "copy"]
    assert found.margin(4, 1000) == 1
    said = [text for text in texts(plot_crossover(rows).axes[0]) if not text.startswith("nowhere")]
    assert said == ["A=B"] * 5


def test_a_shape_is_one_network_whatever_its_dimensions_are() -> None:
    def names(*shapes: str) -> list[str]:
        nets = [cs.load_topology(shape, bandwidth="1GB/s", latency="1us") for shape in shapes]
        return networks_in_words(
            [row for net in nets for row in rows_of(topology=net, ranks=net.ranks, alpha=None, beta=None)]
        )

    assert names("torus:2x2", "torus:4x2", "torus:2x2x2") == ["torus"]
    assert names("torus:2x2", "mesh:4x2") == ["torus", "mesh"]
    assert names("torus:2x2") == ["torus:2x2"]
    assert names("leaf-spine:2x2", "star:4")[1:] == ["star"]


@pytest.mark.parametrize(
    ("draw", "rows", "message"),
    [
        (plot_against_size, {"nbytes": "1MB"}, "at least two sizes, got"),
        (plot_against_size, {"nbytes": [0, 8]}, "size of 0"),
        (plot_against_size, {"ranks": [2, 4]}, "one number of ranks, got 2, 4"),
        (plot_against_ranks, {"ranks": [1, 2]}, "numbers of ranks above 1, got"),
        (plot_against_ranks, {"ranks": [2, 4]}, "one size, got"),
        (plot_against_size, {"collective": ["all_reduce", "broadcast"], "algorithm": "chain"}, "one collective"),
        (plot_crossover, {}, "two numbers of ranks above 1"),
        (plot_crossover, {"ranks": []}, "one collective, got no rows"),
        (plot_crossover, {"collective": ["all_reduce", "broadcast"], "algorithm": "chain"}, "one collective"),
    ],
)
def test_sweeps_that_cannot_be_drawn(draw: Any, rows: dict[str, Any], message: str) -> None:
    with pytest.raises(cs.InputError, match=message):
        draw(rows_of(**rows))


# ---- every kind


EXAMPLES: dict[str, tuple[str, ...]] = {
    "space-time": ("-a", "ring", "-n", "3", "-s", "1MB", "--alpha", "5us", "--beta", "0.1ns"),
    "gantt": ("-a", "tree", "-n", "4", "-s", "1MB", "--alpha", "5us", "--beta", "0.1ns"),
    "steps": (
        "-a",
        "ring",
        "-s",
        "1MB",
        "-t",
        "star:3",
        "--bandwidth",
        "1GB/s",
        "--latency",
        "5us",
        "--offset",
        "1=1ms",
    ),
    "links": ("-a", "ring", "-s", "1MB", "-t", "star:3", "--bandwidth", "1GB/s", "--latency", "5us"),
    "ranks": ("-a", "ring,chain", "-n", "2,4", "-s", "1MB", "-t", "star", "--bandwidth", "1GB/s", "--latency", "5us"),
    "sizes": ("-a", "tree", "-n", "4", "-s", "1kB,1MB", "--alpha", "5us", "--beta", "0.1ns", "--share"),
    "crossover": ("-a", "ring,swing", "-n", "2,3,4", "-s", "1kB,1GB", "--alpha", "5us", "--beta", "0.1ns"),
}


@pytest.fixture
def collsim(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        return (stop.value.code, *capsys.readouterr())

    return call


@pytest.mark.parametrize("kind", PLOTS)
def test_every_kind_has_units_and_gives_the_same_bytes_again(
    kind: str, collsim: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    draw = PLOTS[kind].draw

    def keep(*arguments: Any, **settings: Any) -> Any:
        kept.append(draw(*arguments, **settings))
        return kept[-1]

    monkeypatch.setitem(PLOTS, kind, PLOTS[kind]._replace(draw=keep))
    for name in ("once", "again"):
        status, out, err = collsim("plot", kind, "allreduce", *EXAMPLES[kind], "-o", str(tmp_path / f"{name}.svg"))
        assert (status, err) == (0, "")
        assert out.endswith(f"{name}.svg: {PLOTS[kind].summary}\n")
    once = (tmp_path / "once.svg").read_bytes()
    assert once == (tmp_path / "again.svg").read_bytes()
    assert ElementTree.fromstring(once).tag.endswith("svg")
    figure = kept[0]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axes.axison and axis.get_visible() and axis.get_ticklabels() and axis.get_label_text():
                ticks = " ".join(tick.get_text() for tick in axis.get_ticklabels())
                label = axis.get_label_text()
                counted = re.search(r"\b(rank|ranks K|step)$", label)
                assert (
                    counted or re.search(r"\((s|ms|us|ns|%)\)|bound / time", label) or re.search(r"\d .?(s|B)", ticks)
                )
    # What lies around a picture is small: no label stands far outside.
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.width < 1.25 * figure.get_figwidth()
    assert box.height < 1.25 * figure.get_figheight()


def test_one_who_cannot_take_part_is_left_out_and_it_is_said(collsim: Any, tmp_path: Path) -> None:
    _, out, _ = collsim("plot", "crossover", "all_reduce", *EXAMPLES["crossover"], "-o", str(tmp_path / "x.png"))
    assert out.startswith("swing is left out at K = 3: it is made for a number of ranks that is even\n")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gant",), "unknown kind of picture 'gant'; did you mean 'gantt'?"),
        (("gantt", "-a", "ring,tree"), "one value of -a, got ring,tree"),
        (("gantt", "-n", "2,4"), "one value of -n, got 2,4"),
        (("gantt", "-s", ""), "the size is missing"),
        (("gantt", "-n", ""), "the number of ranks is missing"),
        (("gantt", "-o", "root=3"), "is --option root=3"),
        (("gantt", "-o", "x.pdf"), "must be an .svg or a .png file"),
        (("gantt", "-n", "1"), "nothing to draw"),
        (("gantt", "-n", "60"), "too many to draw"),
        (("gantt", "-t", "star:4"), "give either those or -t"),
        (("gantt", "--share"), "--share is for ranks and sizes, not gantt"),
        (("gantt", "--bandwidth", "1GB/s"), "needs a topology"),
        (("gantt", "-a", ""), "-a names nothing"),
        (("links",), "needs a topology"),
        (("steps", "-n", "300"), "598 steps are too many"),
        (("sizes", "-n", "3", "-a", "swing", "-s", ""), "needs an even number of ranks, got 3"),
        (("ranks", "--offset", "1=3us"), "--offset is for pictures of one run"),
        (("ranks", "-s", ""), "the size is missing"),
        (("crossover", "-a", "ring,rng"), "did you mean 'ring'?"),
        (("crossover", "-n", "x,2"), "ranks must be a whole number"),
    ],
)
def test_a_picture_that_makes_no_sense_is_one_line(
    words: tuple[str, ...], message: str, collsim: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, *changes = words
    given = {"-a": "ring", "-n": "4", "-s": "1MB", "--alpha": "5us", "--beta": "0.1ns", "-o": "x.svg"}
    flags = [word for pair in given.items() for word in pair if pair[0] not in changes]
    status, out, err = collsim("plot", kind, "all_reduce", *flags, *changes)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not list(tmp_path.iterdir())

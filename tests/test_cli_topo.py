"""``collsim topo``: what it prints, what it refuses, what a file leaves open."""

from __future__ import annotations

import json

import pytest

import collsim as cs
from collsim.cli import main
from collsim.topology_check import examine_topology_file, file_figures
from collsim.topology_files import presets

FIGURES = ("--bandwidth", "10GB/s", "--latency", "1us")


@pytest.fixture
def collsim(capsys):
    """Run a command; return its status and what it wrote to stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(("topo", *arguments))
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return run


@pytest.fixture
def show(collsim):
    """Return what ``topo show --json`` says of a network."""

    def run(*arguments: str) -> dict:
        status, out, err = collsim("show", *arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return run


def test_the_figures_of_a_torus_are_those_of_the_textbook(show):
    found = show("torus:4x4", *FIGURES)
    assert (found["ranks"], found["switches"], found["links"], found["cables"]) == (16, 0, 64, 32)
    assert found["diameter"] == {
        "links": 4,
        "mean_links": pytest.approx(32 / 15),
        "latency_s": pytest.approx(4e-6),
        "pairs_tried": 240,
        "pairs": 240,
    }
    assert found["injection_Bps"]["least_out"] == found["injection_Bps"]["most_in"] == 40e9
    assert (found["bisection"]["capacity_Bps"], found["bisection"]["exact"]) == (80e9, True)
    assert len(found["bisection"]["inside"]) == 8
    assert found["assumed"] == {}


def test_the_route_asked_for_is_shown_link_by_link(collsim, show):
    net = cs.load_topology("fat-tree:4", bandwidth="10GB/s", latency="1us")
    found = show("fat-tree:4", *FIGURES, "--route", "0,13")["route"]
    nodes = [0, *(net.links[i].head for i in net.route(0, 13))]
    assert [way["nodes"] for way in found["ways"]] == [nodes]
    assert (found["latency_s"], found["bandwidth_Bps"]) == (pytest.approx(6e-6), 10e9)
    status, out, _ = collsim("show", "fat-tree:4", *FIGURES, "--route", "0,13")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0
    assert "From rank 0 to rank 13: 6 us, 10 GB/s for a message alone" in out
    assert ["rank", "0", "edge", "0", "10", "GB/s", "1", "us"] in lines
    assert ["edge", "6", "rank", "13", "10", "GB/s", "1", "us"] in lines


def test_without_a_route_it_is_that_to_the_farthest_rank(show):
    assert (show("line:5", *FIGURES)["route"]["src"], show("line:5", *FIGURES)["route"]["dst"]) == (0, 4)
    assert show("ring:7", *FIGURES, "--placement", "3,4,5,6,0,1,2")["route"]["src"] == 0


def test_a_message_that_is_spread_shows_all_its_ways_with_their_shares(collsim, show):
    found = show("leaf-spine:2x2,spines=2", *FIGURES, "--routing", "spread")["route"]
    assert [way["share"] for way in found["ways"]] == [0.5, 0.5]
    _, out, _ = collsim("show", "leaf-spine:2x2,spines=2", *FIGURES, "--routing", "spread")
    assert "way 2 of 2, 0.5 of the bytes" in out


def test_figures_that_are_assumed_are_said_to_be(collsim, show):
    assert show("star:4")["assumed"] == {"bandwidth": "1GB/s", "latency": "0"}
    assert show("star:4", "--latency", "1us")["assumed"] == {"bandwidth": "1GB/s"}
    _, out, _ = collsim("show", "star:4")
    assert "Assumed for every link: 1 GB/s and no latency; give --bandwidth and --latency." in out
    _, out, _ = collsim("show", "star:4", *FIGURES)
    assert "Assumed" not in out


# Those of 256 ranks take seconds each; what is shown of them comes from the same code.
SHOWN = [name for name in sorted(presets()) if cs.load_topology(name).ranks <= 64]


def test_there_are_machines_to_show():
    assert len(SHOWN) > 15


@pytest.mark.parametrize("name", SHOWN)
def test_every_machine_can_be_shown_with_the_basis_of_each_figure(show, name):
    found = show(name)
    assert found["name"] == name
    assert found["summary"]
    assert found["figures"]
    assert all(figure["basis"] for figure in found["figures"])
    assert 0 < found["bisection"]["least_Bps"] <= found["bisection"]["capacity_Bps"]
    assert sum(kind["links"] for kind in found["link_kinds"]) == found["links"]


def test_basis_and_source_of_a_machine_are_printed(collsim):
    _, out, _ = collsim("show", "nvidia/dgx-a100")
    assert "12 NVLinks x 25 GB/s per direction" in out
    assert "datasheet" in out
    assert "1.2 TB/s each way, exactly" in out


def test_a_bisection_that_is_not_known_exactly_says_at_most_and_at_least(collsim, show):
    found = show("dragonfly:h=3", *FIGURES)["bisection"]
    assert not found["exact"]
    assert found["least_Bps"] < found["capacity_Bps"]
    _, out, _ = collsim("show", "dragonfly:h=3", *FIGURES)
    line = next(line for line in out.splitlines() if line.startswith("bisection"))
    assert "at most" in line
    assert "at least" in line
    assert "pairs tried" in next(line for line in out.splitlines() if line.startswith("diameter"))


def test_a_fatpipe_is_unlimited_and_null_in_json(collsim, tmp_path, show):
    path = tmp_path / "ideal.toml"
    path.write_text(
        'ranks = 2\n[[cable]]\nfrom = 0\nto = 1\nbandwidth = "1GB/s"\nlatency = "0"\nfatpipe = true\n', encoding="utf-8"
    )
    assert show(str(path))["bisection"]["capacity_Bps"] is None
    _, out, _ = collsim("show", str(path))
    assert "unlimited (a fatpipe) each way" in out


def test_one_rank_has_no_route_and_no_halves(collsim, show):
    found = show("star:1", *FIGURES)
    assert (found["diameter"], found["bisection"], found["route"]) == (None, None, None)
    assert collsim("show", "star:1", *FIGURES)[0] == 0


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plot_writes_a_picture(collsim, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"net.{suffix}"
    status, _, err = collsim("show", "torus:4x4", "--plot", str(path), "--route", "0,5")
    assert (status, err) == (0, "")
    assert path.stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "torsu:4x4"], "torus"),
        (["show", "torus:0x4"], "0"),
        (["show", "torus"], "number of ranks"),
        (["show", "star:4", "--route", "0"], "two ranks, such as 0,5"),
        (["show", "star:4", "--route", "0,4"], "ranks 0..3, not 4"),
        (["show", "star:4", "--route", "1,1"], "from one rank to another"),
        (["show", "star:4", "--route", "a,b"], "a rank of the route"),
        (["show", "star:4", "--plot", "net.gif"], ".svg or a .png"),
        (["show", "star:4", "--plot", "/no/such/folder/net.png"], "no folder"),
        (["show", "star:4", "--bandwidth", "fast"], "fast"),
        (["show", "nvidia/dgx-a100", "--bandwidth", "1GB/s"], "has its own"),
        (["show"], "Missing argument"),
        (["shwo"], "show"),
        (["check", "star:4"], ".toml"),
        (["check", "missing.toml"], "cannot read"),
    ],
)
def test_nonsense_ends_in_one_clear_line_and_status_2(collsim, arguments, words):
    status, out, err = collsim(*arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("collsim: error: ")
    assert words in err


GOOD = """
name = "mine"
summary = "two ranks"
ranks = 2
[[cable]]
from = 0
to = 1
bandwidth = {value = "1GB/s", basis = "measured", source = "our own"}
latency = {value = "1us", basis = "measured", source = "our own"}
"""


def checked(collsim, tmp_path, text: str) -> tuple[int, str, str]:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return collsim("check", str(path))


def test_a_good_file_is_said_to_be_one(collsim, tmp_path):
    status, out, err = checked(collsim, tmp_path, GOOD)
    assert (status, err) == (0, "")
    assert "mine.toml can be used: mine" in out
    assert "2, 2 with a source of their own" in out
    assert out.endswith("no warnings\n")


@pytest.mark.parametrize("name", sorted(presets()))
def test_no_machine_has_a_figure_without_basis_or_source(name):
    warnings = examine_topology_file(presets()[name]).warnings
    assert not [warning for warning in warnings if "source" in warning or "measured" in warning]


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ('summary = "two ranks"\n', "", "there is no summary"),
        (', source = "our own"', "", "2 of 2 figures have no source, the first is bandwidth 1GB/s"),
        ('{value = "1us", basis = "measured", source = "our own"}', '"1us"', "1 of 2 figures do not say whether"),
        (
            "[[cable]]",
            "[[link]]\nfrom=1\nto=0\nbandwidth='2GB/s'\nlatency='1us'\n[[link]]",
            "the two directions differ",
        ),
        (
            "ranks = 2\n",
            'ranks = 2\nswitches = ["s"]\n[[cable]]\nfrom="0-1"\nto="s"\nbandwidth="1GB/s"\nlatency="1us"\n',
            "no route uses the links rank 0 to 's'; rank 1 to 's'; 's' to rank 0 and 1 more",
        ),
    ],
)
def test_what_looks_odd_is_a_warning_and_no_error(collsim, tmp_path, old, new, warning):
    assert old in GOOD
    status, out, _ = checked(collsim, tmp_path, GOOD.replace(old, new))
    assert status == 0
    assert f"warning: {warning}" in out
    assert "no warnings" not in out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ranks = 2", "ranks = 3", "no path from rank 0 to rank 2"),
        ("to = 1", "to = 7", "7"),
        ("to = 1", "too = 1", "too"),
        ("1GB/s", "1GB", "bandwidth"),
        ("measured", "guessed", "guessed"),
        ("[[cable]]", "[[cable]", "not TOML"),
        ("[[cable]]", "[[link]]", "no path from rank 1 to rank 0"),
    ],
)
def test_a_wrong_file_ends_in_one_line_that_names_it(collsim, tmp_path, old, new, words):
    assert old in GOOD
    status, out, err = checked(collsim, tmp_path, GOOD.replace(old, new))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "mine.toml" in err
    assert words in err


def test_a_file_of_ones_own_is_shown_with_its_summary_and_figures_as_a_machine_is(collsim, tmp_path, show):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert (found := show(str(path)))["summary"] == "two ranks"
    assert [figure["source"] for figure in found["figures"]] == ["our own", "our own"]
    assert "mine: two ranks" in collsim("show", str(path))[1]


def test_check_prints_json_with_figures_and_warnings(collsim, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    found = json.loads(collsim("check", str(path), "--json")[1])
    assert (found["name"], found["ranks"], found["links"], found["warnings"]) == ("mine", 2, 2, [])
    assert found["figures"][0] == {
        "of": "cable 1: 0 to 1",
        "figure": "bandwidth",
        "value": "1GB/s",
        "basis": "measured",
        "source": "our own",
    }


def test_figures_of_several_levels_are_told_apart(tmp_path):
    path = tmp_path / "levels.toml"
    path.write_text(
        'shape = "rail"\nnodes = 2\ngpus = 4\ninjection = "1TB/s"\nlatency = "1us"\n'
        'bandwidth = [{value = "300GB/s", basis = "datasheet"}, "25GB/s"]\n',
        encoding="utf-8",
    )
    found = [(figure.where, figure.key, figure.value, figure.basis) for figure in file_figures(path)]
    assert found == [
        ("level 1", "bandwidth", "300GB/s", "datasheet"),
        ("level 2", "bandwidth", "25GB/s", ""),
        ("all links", "latency", "1us", ""),
        ("every rank", "injection", "1TB/s", ""),
    ]

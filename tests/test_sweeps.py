from __future__ import annotations

import itertools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import collsim as cs
from collsim import sweeps
from collsim.cli import main
from collsim.errors import InputError
from collsim.sweeps import iter_sweep
from collsim.topology_files import load_topology

GRID = {"algorithm": ["ring", "tree", "naive"], "ranks": [2, 5], "nbytes": ["1MB", 0]}
PORTS = {"alpha": "5us", "beta": "0.1ns/B"}


def untimed(rows):
    """Records without what differs from run to run."""
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in rows]


def test_there_is_one_record_for_each_combination_the_last_varying_fastest():
    rows = cs.sweep("all_reduce", **GRID, **PORTS)
    assert [(row["algorithm"], row["ranks"], row["size_bytes"]) for row in rows] == list(
        itertools.product(["ring", "tree", "naive"], [2, 5], [10**6, 0])
    )


def test_networks_vary_fastest_of_all():
    nets = ["star", "ring:6", cs.full(8, "1GB/s", "1us"), "book"]
    rows = cs.sweep(ranks=[2, 3], topology=nets[:2], nbytes=8, bandwidth="10GB/s", latency="1us")
    assert [row["topology"] for row in rows] == ["star:2", "ring:6", "star:3", "ring:6"]
    rows = cs.sweep(ranks=3, topology=nets[2:], nbytes=8)
    assert [row["topology"] for row in rows] == ["full:8", "book:3"]


def test_a_record_is_what_simulate_gives():
    (row,) = cs.sweep(algorithm="tree", ranks=5, nbytes="1MB", gamma="1ns", ordering="dataflow", **PORTS)
    schedule = cs.make_schedule("all_reduce", "tree", ranks=5)
    alone = cs.simulate(schedule, nbytes="1MB", gamma="1ns", ordering="dataflow", **PORTS)
    assert untimed([row]) == untimed([alone.to_dict()])


@pytest.mark.parametrize("single", ["star", cs.star(3, 1e9, 0), cs.star(3, 1e9, 0).graph], ids=["spec", "net", "graph"])
def test_one_value_need_not_stand_in_a_list(single):
    figures = {"bandwidth": 1e9, "latency": 0} if single == "star" else {}
    (row,) = cs.sweep("allreduce", "ring", 3, "1kB", topology=single, **figures)
    assert (row["collective"], row["ranks"], row["size_bytes"]) == ("all_reduce", 3, 1000)


def test_values_may_come_from_anything_that_can_be_gone_through():
    rows = cs.sweep(algorithm=(name for name in ("ring", "tree")), ranks=range(2, 4), nbytes=iter([8]), **PORTS)
    assert [(row["algorithm"], row["ranks"]) for row in rows] == [("ring", 2), ("ring", 3), ("tree", 2), ("tree", 3)]
    assert cs.sweep(ranks=[], **PORTS) == []


def test_threads_and_processes_give_the_same_records_in_the_same_order():
    settings = {"topology": ["star", "ring"], "bandwidth": "10GB/s", "latency": "1us", "model": ["maxmin"][0]}
    alone = cs.sweep(**GRID, **settings)
    with ThreadPoolExecutor(2) as threads:
        assert untimed(cs.sweep(**GRID, **settings, executor=threads)) == untimed(alone)
    # spawn: a fresh interpreter, that has nothing but what it is sent.
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert untimed(cs.sweep(**GRID, **settings, executor=processes)) == untimed(alone)
        graph = cs.star(5, "10GB/s", "1us").graph
        by_graph = cs.sweep(ranks=5, topology=graph, nbytes=8, executor=processes)
        assert untimed(by_graph) == untimed(cs.sweep(ranks=5, topology=graph, nbytes=8))
        with pytest.raises(cs.InputError, match="unknown model 'maxmim'"):
            cs.sweep(**GRID, **settings | {"model": "maxmim"}, executor=processes)


@pytest.fixture
def runs(monkeypatch):
    """The numbers of ranks of the simulations that have begun."""
    noted = []

    def noting(schedule, *arguments, **settings):
        noted.append(schedule.ranks)
        return cs.simulate(schedule, *arguments, **settings)

    monkeypatch.setattr("collsim.sweeps.simulate", noting)
    return noted


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"collective": ["all_reduce", "all_reduse"]}, "unknown collective 'all_reduse'; did you mean 'all_reduce'?"),
        ({"algorithm": ["ring", "rign"]}, "unknown all_reduce algorithm 'rign'; did you mean 'ring'?"),
        ({"algorithm": ["ring", "nowhere.py:f"]}, "cannot read 'nowhere.py'"),
        ({"ranks": [2, 0]}, "ranks must be a whole number of at least 1, got 0"),
        ({"ranks": [2, 2.5]}, "ranks must be a whole number of at least 1, got 2.5"),
        ({"nbytes": [8, -1]}, "size must not be negative, got -1"),
        ({"nbytes": [8, "1gig"]}, "size '1gig' has the unknown unit 'gig'"),
        ({"topology": ["star", "sta"]}, "unknown topology 'sta'; did you mean 'star'?"),
        ({"topology": ["star", "nvidia/dgx-a100"]}, "a bandwidth cannot be given too"),
        ({"topology": ["star", "star:1"]}, "'star:1' has 1 ranks, fewer than the 2 asked for"),
        ({"topology": None}, "a bandwidth needs a topology (without one give alpha and beta)"),
        ({"topology": None, "bandwidth": None, "latency": None, "routing": "ecmp"}, "a routing needs a topology"),
        ({"topology": None, "bandwidth": None, "latency": None, "overrides": ["1:latency=0"]}, "an override needs a"),
        ({"routing": "ecpm"}, "unknown routing 'ecpm'; did you mean 'ecmp'?"),
        ({"placement": "random"}, "a random placement needs its seed"),
        ({"ranks": [2, 3], "placement": "1,0"}, "placement '1,0' has 2 places for the 3 ranks asked for"),
        ({"overrides": ["5:latency=0"]}, "has no node '5'"),
        ({"injection": "0"}, "injection must be positive, got '0'"),
        ({"orderin": "step"}, "unknown setting of sweep: 'orderin'; did you mean 'ordering'?"),
        ({"parameters": {"packet_bytes": 5}}, "packet_bytes"),
        ({"bandwidth": "10 GBs"}, "bandwidth '10 GBs' has the unknown unit 'GBs'"),
        ({"latency": None}, "a latency is needed"),
        ({"algorithm": ["ring", "swing"], "ranks": [2, 3]}, "3"),
        ({"options": {"root": 1}}, "algorithm 'ring' has no option 'root'"),
        ({"options": ["root"]}, "options must be a mapping such as {'root': 1}, got ['root']"),
        ({"overrides": 5}, "overrides must be texts such as"),
        ({"collective": "all_gatherv"}, "needs the option counts"),
    ],
)
def test_every_value_is_checked_before_anything_runs(runs, values, part):
    good = {"algorithm": "ring", "ranks": 2, "nbytes": 8, "topology": "star", "bandwidth": 1e9, "latency": 0}
    assert len(cs.sweep(**good)) == len(runs) == 1  # the fixture does notice a run
    runs.clear()
    with pytest.raises(cs.InputError) as refused:
        cs.sweep(**good | values)
    assert part in str(refused.value)
    assert runs == []


@pytest.mark.parametrize(
    "values",
    [
        {"nbytes": [8, 10], "itemsize": 4},
        {"ranks": [2, 3], "offsets": [0, 0]},
        {"nbytes": 8, "model": "maxmim"},
        {"nbytes": 8, "gamma": "1 parsec"},
    ],
    ids=str,
)
def test_settings_are_checked_before_anything_runs(runs, values):
    with pytest.raises(cs.InputError):
        cs.sweep(**{"algorithm": "ring", "ranks": 2} | PORTS | values)
    assert runs == []


def test_records_can_be_had_one_by_one_and_values_are_checked_at_once(runs):
    rows = iter_sweep("all_reduce", "ring", [2, 3, 4], 8, **PORTS)
    assert runs == []
    assert next(rows)["ranks"] == 2
    assert runs == [2]
    with pytest.raises(cs.InputError, match="got 0"):
        iter_sweep("all_reduce", "ring", [2, 0], 8, **PORTS)


def test_what_is_changed_about_a_network_is_changed_at_every_point():
    changes = {"placement": "1,0,2", "overrides": ["2-switch:bandwidth=x0.5"], "injection": "1GB/s", "routing": "ecmp"}
    star = {"topology": ["star", cs.star(4, "10GB/s", "1us")], "nbytes": "1MB", "ranks": 3}
    rows = cs.sweep(**star | {"topology": "star"}, bandwidth="10GB/s", latency="1us", **changes)
    rows += cs.sweep(**star | {"topology": star["topology"][1]}, **changes)
    note = "(2-switch:bandwidth=x0.5, ecmp:seed=0, injection 1 GB/s, placement 1,0,2)"
    assert [row["topology"] for row in rows] == [f"star:3 {note}", f"star:4 {note}"]
    assert {row["placement"] for row in rows} == {"1,0,2"}
    net = cs.load_topology("star:3", bandwidth="10GB/s", latency="1us", **changes)
    alone = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=3), net, "1MB")
    assert untimed(rows[:1]) == untimed([alone.to_dict()])


def test_points_on_one_network_share_it(monkeypatch):
    loaded = []

    def noting(spec, *arguments, **changes):
        loaded.append(spec)
        return cs.load_topology(spec, *arguments, **changes)

    monkeypatch.setattr("collsim.sweeps.load_topology", noting)
    rows = cs.sweep(
        algorithm=["ring", "tree"], ranks=[2, 3], nbytes=[8, 80], topology=["star", "ring"], bandwidth=1, latency=0
    )
    assert (len(rows), len(loaded)) == (16, 4)


def test_the_parameters_of_a_model_are_settings_too():
    star = {"topology": "star", "ranks": 3, "nbytes": "1MB", "bandwidth": "10GB/s", "latency": "1us"}
    rows = [
        *cs.sweep(**star, model="fifo", parameters={"packet_bytes": "1kB"}, header_bytes=16),
        *cs.sweep(**star, model="fifo"),
    ]
    assert rows[0]["time_s"] != rows[1]["time_s"]
    assert rows[0]["wire_bytes"] == rows[1]["wire_bytes"] + 16 * rows[0]["messages"]


def test_options_go_to_the_algorithms():
    rows = cs.sweep("all_gatherv", "ring", 3, 12, options={"counts": [1, 0, 2]}, **PORTS)
    assert rows[0]["wire_bytes"] == 24


def test_a_sweep_keeps_no_times_of_moves_and_reports_the_same(monkeypatch):
    asked = []
    real = sweeps.simulate

    def simulate(*args, timeline, **given):
        asked.append(timeline)
        return real(*args, timeline=timeline, **given)

    monkeypatch.setattr(sweeps, "simulate", simulate)
    rows = cs.sweep(algorithm=["ring", "tree"], ranks=[2, 4], nbytes="1MB", **PORTS)
    assert asked == [False] * 4
    run = real(cs.make_schedule("all_reduce", "tree", 4), nbytes="1MB", **PORTS)
    assert untimed(rows[3:]) == untimed([run.to_dict()])


def on_the_command_line(capsys, line):
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    written = capsys.readouterr()
    return stop.value.code, written.out, written.err


@pytest.mark.parametrize(
    ("text", "counts"),
    [("2..5", [2, 3, 4, 5]), ("2..9+3,16", [2, 5, 8, 16]), ("2..16*2", [2, 4, 8, 16]), ("3..3", [3])],
)
def test_numbers_of_ranks_can_be_ranges_on_the_command_line(capsys, text, counts):
    line = f"sweep all_reduce -a ring -n {text} -s 1MB --alpha 5us --beta 0 --json"
    status, out, _ = on_the_command_line(capsys, line)
    assert (status, [row["ranks"] for row in json.loads(out)]) == (0, counts)


@pytest.mark.parametrize("text", ["9..2", "0..4", "2..8*1", "2..8+0", "1..1000000", "2..", "2...4"])
def test_ranges_that_are_none_are_refused_in_one_line(capsys, text):
    line = f"sweep all_reduce -a ring -n {text} -s 1MB --alpha 5us --beta 0"
    status, out, err = on_the_command_line(capsys, line)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert text in err


def test_symmetric_algorithms_up_to_65536_ranks_take_one_line(capsys):
    line = "sweep all_reduce -a ring,halving_doubling,swing -n 4096..65536*4 -s 4GB -t star"
    _, out, _ = on_the_command_line(capsys, f"{line} --bandwidth 1GB/s --latency 0 --json")
    rows = json.loads(out)
    assert len(rows) == 9
    assert {row["engine"] for row in rows} == {"symmetric"}


def test_a_network_of_a_given_size_is_made_once_for_all_numbers_of_ranks(monkeypatch):
    asked = []
    monkeypatch.setattr(
        sweeps, "load_topology", lambda *given, **more: asked.append(given) or load_topology(*given, **more)
    )
    figures = {"bandwidth": "10GB/s", "latency": "1us"}
    rows = cs.sweep(ranks=[2, 4, 3, 8], topology=["torus:4x4", "star"], **figures)
    assert asked == [("torus:4x4", 2), ("star", 2), ("star", 4), ("star", 3), ("star", 8)]
    alone = [
        cs.sweep(ranks=row["ranks"], topology=name, **figures)[0]
        for row, name in zip(rows, ["torus:4x4", "star"] * 4, strict=True)
    ]
    assert untimed(rows) == untimed(alone)
    with pytest.raises(InputError, match="fewer than the 17 asked for"):
        cs.sweep(ranks=[2, 17], topology="torus:4x4", **figures)

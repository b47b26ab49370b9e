"""``collsim bound``: the optimum as a fraction, the bottleneck in words, the bounds of a size, a picture."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import collsim as cs
from collsim.cli import cli

TORUS = ["-t", "torus:4x4", "--bandwidth", "1GB/s", "--latency", "1us"]


def run(*args):
    result = CliRunner().invoke(cli, ["bound", *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def record(*args):
    return json.loads(run(*args, "--json"))


@pytest.mark.parametrize(
    ("topology", "optimum"),
    [("nvidia/dgx-a100", "2400/7"), ("nvidia/dgx-1", "1200/7"), ("nvidia/hgx-h100", "3600/7")],
)
def test_the_optimum_of_machines_is_an_exact_fraction(topology, optimum):
    found = record("all_gather", "-t", topology)
    assert found["algbw_exact_GBps"] == optimum
    assert found["status"] == "optimum"
    assert f"optimum      {optimum} GB/s" in run("all_gather", "-t", topology)


def test_a_torus_and_a_mesh_of_unit_links():
    assert record("all_gather", *TORUS)["algbw_exact_GBps"] == "64/15"
    mesh = record("allgather", "-t", "mesh:5x5", "--bandwidth", "1GB/s", "--latency", "0")
    assert mesh["algbw_exact_GBps"] == "25/12"
    assert mesh["ranks_inside"] == list(range(1, 25))
    assert {(link["from"], link["to"]) for link in mesh["links"]} == {("rank 1", "rank 0"), ("rank 5", "rank 0")}


def test_the_cut_is_told_in_words():
    text = run("all_gather", *TORUS)
    assert "64/15 GB/s  = 4.267 GB/s algbw" in text
    assert "15/16 n must enter rank 0 over 4 GB/s" in text
    assert "ranks 1-15 | the rest" in text
    assert "4 of 1 GB/s" in text


def test_with_a_size_it_shows_every_bound_and_the_largest():
    found = record("all_to_all", *TORUS, "-s", "1MB")
    kinds = {bound["kind"]: bound["seconds"] for bound in found["bounds"]}
    assert set(kinds) == {"start", "latency", "injection", "cut", "partition", "distance"}
    assert found["lower_bound_s"] == max(kinds.values())
    assert found["status"] == "upper bound"
    net = cs.torus("4x4", "1GB/s", "1us")
    result = cs.simulate(cs.make_schedule("all_to_all", "pairwise", 16), net, "1MB")
    assert result.time > found["lower_bound_s"]
    text = run("all_to_all", *TORUS, "-s", "1MB")
    assert "No schedule for 1 MB takes less than" in text
    assert "(the tightest of the cuts tried)" in text


def test_all_reduce_names_the_best_known_where_the_bound_may_be_out_of_reach():
    text = run("all_reduce", "-t", "mesh:5x5", "--bandwidth", "1GB/s", "--latency", "0")
    assert "upper bound    5/3 GB/s" in text
    assert "25/24 GB/s" in text
    assert "by reduce_scatter and then all_gather" in text


def test_fewer_ranks_options_and_the_network_s_own_options_are_taken():
    assert record("gather", *TORUS, "-n", "5", "-o", "root=2")["ranks"] == 5
    slow = record(
        "all_gather", "-t", "star:4", "--bandwidth", "1GB/s", "--latency", "0", "--override", "3:bandwidth=x0.5"
    )
    assert slow["algbw_exact_GBps"] == "2/3"  # three quarters have to enter rank 3 at half the rate
    assert slow["ranks_inside"] == [0, 1, 2]


def test_where_nothing_moves_nothing_limits():
    assert "throughput  no limit" in run("send_recv", *TORUS, "-n", "3", "-o", "to=0,1,2")
    text = run("all_gather", *TORUS, "-n", "1", "-s", "1MB")
    assert "1 rank\n" in text
    assert "one rank has nothing to do" in text
    assert "No schedule for 1 MB takes less than 0 s (model maxmin)\n" in text
    found = record("all_gather", *TORUS, "-n", "1")
    assert (found["status"], found["algbw_Bps"], found["links"]) == ("no limit", None, [])


def test_it_draws_the_cut(tmp_path):
    pytest.importorskip("matplotlib")
    first, second = tmp_path / "cut.svg", tmp_path / "again.svg"
    for path in (first, second):
        run("all_gather", *TORUS, "--plot", str(path))
    assert first.read_bytes() == second.read_bytes()
    assert "links that leave the inside" in first.read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["barrier", *TORUS], "barrier has no throughput"),
        (["all_gather", "-t", "star:4"], "a bandwidth is needed"),
        (["all_gathr", *TORUS], "did you mean 'all_gather'"),
        (["all_gather", *TORUS, "-n", "17"], "17"),
        (["all_gather", *TORUS, "--plot", "cut.txt"], "svg"),
        (["all_gather", *TORUS, "-s", "1 parsec"], "parsec"),
        (["broadcast", *TORUS, "-o", "root=16"], "root of broadcast must be one of 0..15, got 16"),
        (["gather", *TORUS, "-o", "root=x"], "root must be a whole number of at least 0, got 'x'"),
        (["send_recv", *TORUS, "-o", "to=1,0"], "'to' must be a permutation of the ranks 0..15, got [1, 0]"),
        (["send_recv", *TORUS, "-n", "3", "-o", "to=0,0,1"], "'to' must be a permutation of the ranks 0..2"),
    ],
)
def test_wrong_input_is_refused_in_a_line(args, message):
    result = CliRunner().invoke(cli, ["bound", *args])
    assert isinstance(result.exception, cs.errors.InputError)
    assert message in str(result.exception)

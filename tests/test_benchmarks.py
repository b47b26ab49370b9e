"""``python -m benchmarks``: what it measures is there, grows as it says, and can be saved and compared."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as benchmarks
from benchmarks.cases import ALL_RANKS, NETWORKS, UNEVEN, WORKS, network
from benchmarks.peers import PEERS

SMALL = ["--works", "tree", "--networks", "star", "--engines", "stepwise", "--models", "alpha-beta", "--ranks", "4,8"]


@pytest.fixture(autouse=True)
def _no_fresh_processes(monkeypatch):
    monkeypatch.setattr(benchmarks, "start_up", lambda: {"collsim --help": 0.1})


def run(*arguments):
    return CliRunner().invoke(benchmarks.main, arguments)


@pytest.mark.parametrize("work", WORKS.values(), ids=lambda work: work.name)
def test_the_number_of_messages_is_known_before_they_are_built(work):
    for ranks in (8, 16, 32):
        assert work.build(ranks).messages == work.messages(ranks)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_ranks_that_were_asked_for(name):
    for ranks in ALL_RANKS[:4]:
        assert network(name, ranks).ranks == ranks


def test_all_links_of_the_uneven_star_differ_and_are_always_the_same():
    links = network(UNEVEN, 8).links
    assert len({link.bandwidth for link in links}) == len({link.latency for link in links}) == len(links)
    assert links == network(UNEVEN, 8).links


def test_cost_that_grows_as_a_power_is_found_out():
    records = [{"messages": m, "simulate_s": 3e-9 * m**1.5} for m in (1000, 4000, 20_000, 100_000)]
    assert benchmarks.exponent(records) == pytest.approx(1.5)
    assert benchmarks.growing(records) == pytest.approx(5**0.5)


def test_a_run_can_be_saved_and_another_compared_with_it(tmp_path):
    file = tmp_path / "saved.json"
    first = run(*SMALL, "--save", str(file))
    assert first.exit_code == 0, first.output
    saved = json.loads(file.read_text())
    assert [case["messages"] for case in saved["cases"]] == [6, 14]
    assert all(case["simulate_s"] > 0 for case in saved["cases"])
    for case in saved["cases"]:
        case["simulate_s"] *= 1e6
    file.write_text(json.dumps(saved))
    again = run(*SMALL, "--against", str(file))
    assert again.exit_code == 0, again.output
    shown = again.output.partition("against:")[2].splitlines()
    ratios = [float(line.split()[-1]) for line in shown if line.startswith("tree ")]
    assert len(ratios) == 2
    assert min(ratios) > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--works", "rang"], "unknown name 'rang'"),
        (["--ranks", "6"], "powers of two"),
        (["--ordering", "chaos"], "chaos"),
    ],
)
def test_nonsense_is_refused(arguments, words):
    done = run(*SMALL, *arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_peers_that_are_not_installed_are_named(monkeypatch):
    for name, (_, cpu) in PEERS.items():
        monkeypatch.setitem(PEERS, name, (lambda: False, cpu))
    done = run(*SMALL, "--peers")
    assert done.exit_code == 0, done.output
    assert "LogGOPSim: not installed" in done.output


def test_what_an_engine_refuses_is_left_out():
    schedule_refused = run(*SMALL, "--models", "maxmin")
    assert schedule_refused.exit_code == 0
    assert "\ntree " not in schedule_refused.output

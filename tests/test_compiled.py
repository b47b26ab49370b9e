"""The compiled engine: the reference's answers for every model, ordering and network, and how it is chosen and stopped.

``COLLSIM_CASES=10000 python -m pytest tests/test_compiled.py`` is the nightly size of the random comparison.
"""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import random_model, random_run, random_schedule, random_topology

import collsim as cs
from collsim.engines import ENGINES, Timeline, choose_engine, events, stepwise
from collsim.graph import Followers, MoveGraph, Waiting, lower
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin

pytest.importorskip("numba", reason="the compiled engine needs numba")

from collsim.engines import compiled

CASES = int(os.environ.get("COLLSIM_CASES", "300"))
TIMES = ("ready", "start", "sent", "arrive", "finish")


def differing(one: Timeline, other: Timeline) -> list[str]:
    """The columns in which two timelines differ by more than 1e-9."""
    return [name for name in TIMES if not np.allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12)]


def same_bits(one: Timeline, other: Timeline) -> bool:
    return all((getattr(one, name) == getattr(other, name)).all() for name in TIMES)


def ring_graph(ranks=8, nbytes=1 << 20, **settings):
    schedule = cs.make_schedule("all_reduce", "ring", ranks=ranks)
    return lower(schedule, schedule.message_bytes(nbytes), **settings)


def every_model(ranks):
    star = cs.star(ranks, "10GB/s", "1us")
    return [
        AlphaBeta(1e-6, 1e-10),
        AlphaBeta(topology=star),
        LogGP(L=1e-6, o=1e-6, g=2e-6, G=1e-10),
        MaxMin(star),
        Fifo(star),
        Fifo(star, packet_bytes=1 << 14),
    ]


# The same answers as the reference


@settings(max_examples=CASES)
@given(seed=st.integers(0, 2**63))
def test_compiled_and_events_agree_on_any_run(seed):
    graph, model = random_run(np.random.default_rng(seed))
    assert not differing(events.run(graph, model), compiled.run(graph, model)), model


@settings(max_examples=CASES)
@given(seed=st.integers(0, 2**63))
def test_compiled_and_events_agree_where_messages_without_bytes_come_among_others(seed):
    rng = np.random.default_rng(seed)
    graph, model = random_run(rng)
    graph = dataclasses.replace(graph, nbytes=rng.choice([0.0, 0.0, 1.0, 2.0, 3.0], len(graph)) * graph.transfer)
    if isinstance(model, Fifo) and rng.random() < 0.7:  # packets that are there at once, on links and fatpipes
        links = [dataclasses.replace(link, latency=0.0, bandwidth=1.0) for link in model.topology.links]
        model = Fifo(cs.Topology("quick", model.topology.ranks, links), packet_bytes=1)
    assert not differing(events.run(graph, model), compiled.run(graph, model)), model


@settings(max_examples=CASES)
@given(seed=st.integers(0, 2**63))
def test_compiled_and_events_agree_on_what_the_clock_does_not_show(seed):
    # To the time of a day, 1e-11 s more is the same number.
    rng = np.random.default_rng(seed)
    ranks, moves = 3, int(rng.integers(2, 8))
    src, dst = rng.integers(0, ranks, (2, moves)).astype(np.int32)
    before = np.array([(rng.integers(i), i) for i in range(1, moves) if rng.random() < 0.4], dtype=np.int64)
    graph = MoveGraph(
        ranks,
        transfer=src != dst,
        src=src,
        dst=dst,
        nbytes=(src != dst) * rng.choice([1.0, 4.0], moves),
        work=rng.choice([0.0, 1.0, 2.0, 1e-12], moves),
        release=np.full((2, moves), 86400.0),
        dependencies=lambda: Waiting(0, before.reshape(-1, 2)),
    )
    for model in (
        Fifo(cs.star(ranks, 4e11, 0.0)),
        AlphaBeta(1e-12, 1e-13),
        LogGP(L=1e-12, o=1e-12, g=1e-12, G=0.0, S=int(rng.choice([0, 9]))),
    ):
        assert not differing(events.run(graph, model), compiled.run(graph, model)), model


def test_only_flows_end_with_those_that_end_within_rounding_of_them():
    # What has no bytes comes a last bit after the flow, and has its turn then.
    after = math.nextafter(1.5, 2)
    there = [cs.Link(0, 2, 1.0, after), cs.Link(1, 2, 4.0, 1.0)]
    net = cs.Topology("near", 3, [*there, cs.Link(2, 0, 1.0, 0.0), cs.Link(2, 1, 1.0, 0.0)])
    graph = MoveGraph(
        ranks=3,
        transfer=np.ones(2, dtype=bool),
        src=np.array([0, 1], dtype=np.int32),
        dst=np.array([2, 2], dtype=np.int32),
        nbytes=np.array([0.0, 2.0]),
        work=np.ones(2),
        release=np.zeros((2, 2)),
        dependencies=lambda: Waiting(0, np.zeros((0, 2), dtype=np.int64)),
    )
    for engine in (events, compiled):
        times = engine.run(graph, MaxMin(net))
        assert times.arrive.tolist() == [after, 1.5]
        assert times.finish.tolist() == [3.5, 2.5]


@settings(max_examples=min(CASES, 60))
@given(seed=st.integers(0, 2**63), packet=st.integers(1, 6))
def test_packets_of_one_message_take_turns_on_fatpipes(seed, packet):
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    wide = [dataclasses.replace(link, medium=None, fatpipe=bool(rng.random() < 0.7)) for link in topology.links]
    net = cs.Topology("wide", topology.ranks, wide)
    net = cs.reroute(net, "spread") if rng.random() < 0.5 else net
    schedule = random_schedule(rng, net.ranks)
    graph = lower(schedule, schedule.message_bytes(int(rng.choice([12, 37]))), ordering="dataflow", gamma=0.5)
    model = Fifo(net, packet_bytes=packet)
    assert not differing(events.run(graph, model), compiled.run(graph, model))


def test_a_fatpipe_that_packets_of_one_message_do_not_share_is_noticed(monkeypatch):
    monkeypatch.setattr(compiled._Packets, "turns_on_fatpipes", lambda run, links, fatpipes: 0)
    net = cs.Topology("wide", 2, [cs.Link(0, 1, 1e9, 0.0, fatpipe=True), cs.Link(1, 0, 1e9, 0.0)])
    graph = lower(cs.make_schedule("all_reduce", "ring", 2), np.full(4, 4.0))
    model = Fifo(net, packet_bytes=1)
    assert "finish" in differing(events.run(graph, model), compiled.run(graph, model))


@pytest.mark.parametrize("ordering", ["step", "dataflow"])
@pytest.mark.parametrize("algorithm", ["naive", "ring", "tree", "halving_doubling", "swing"])
def test_compiled_and_events_agree_on_algorithms_under_every_model(algorithm, ordering):
    schedule = cs.make_schedule("all_reduce", algorithm, ranks=8)
    graph = lower(schedule, schedule.message_bytes(1 << 20), ordering=ordering, gamma=1e-11, header_bytes=64)
    for model in every_model(8):
        assert not differing(events.run(graph, model), compiled.run(graph, model)), model


@pytest.mark.parametrize("network", ["torus:3x3", "fat-tree:4", "dragonfly:p=1,a=2,h=1"])
def test_compiled_and_events_agree_on_long_routes(network):
    topology = cs.load_topology(network, bandwidth="10GB/s", latency="1us")
    schedule = cs.make_schedule("all_to_all", "pairwise", ranks=topology.ranks)
    graph = lower(schedule, schedule.message_bytes(1 << 20))
    for model in (MaxMin(topology), Fifo(topology, packet_bytes=1 << 13), LogGP(o=1e-6, topology=topology)):
        assert not differing(events.run(graph, model), compiled.run(graph, model)), model


def test_a_wrong_figure_in_the_last_digits_is_noticed(monkeypatch):
    right = compiled._Ports.costs
    monkeypatch.setattr(compiled._Ports, "costs", lambda run: right(run)._replace(fixed=right(run).fixed * (1 + 1e-7)))
    graph, model = ring_graph(), AlphaBeta(1e-6, 1e-10)
    assert "finish" in differing(events.run(graph, model), compiled.run(graph, model))


def test_a_wrong_order_of_those_who_come_at_once_is_noticed(monkeypatch):
    schedule = cs.make_schedule("reduce", "flat", ranks=6)
    graph, model = lower(schedule, schedule.message_bytes(60)), AlphaBeta(1.0, 1.0)
    turned = np.arange(len(graph))[::-1]
    assert not differing(events.run(graph, model), compiled.run(graph, model))
    assert "finish" in differing(events.run(graph, model), compiled.run(graph, model).at(turned))


# The same bits


@settings(max_examples=min(CASES, 60))
@given(seed=st.integers(0, 2**63))
def test_a_second_run_gives_the_same_bits(seed):
    graph, model = random_run(np.random.default_rng(seed))
    assert same_bits(compiled.run(graph, model), compiled.run(graph, model))


@settings(max_examples=min(CASES, 60))
@given(seed=st.integers(0, 2**63))
def test_max_min_gives_the_same_bits_for_any_order_of_rows_within_a_step(seed):
    # No server, no turns: then the order of rows within a step means nothing.
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    schedule = random_schedule(rng, topology.ranks)
    order = np.lexsort((rng.random(len(schedule)), schedule.step))
    plans = [cs.ScheduleBuilder("all_reduce", topology.ranks, chunks=4) for _ in range(2)]
    for plan, rows in zip(plans, (np.arange(len(schedule)), order), strict=True):
        for row in rows[schedule.transfers[rows]]:
            plan.copy(*(int(getattr(schedule, name)[row]) for name in ("step", "src", "dst", "chunk", "count")))
    one, other = (
        compiled.run(lower(schedule, schedule.message_bytes(37)), MaxMin(topology))
        for schedule in (plan.build() for plan in plans)
    )
    moved = np.argsort(np.argsort(np.arange(len(schedule))[schedule.transfers]))
    place = np.argsort(order[schedule.transfers[order]])  # where the second plan has each row of the first
    assert same_bits(one.at(moved), other.at(place))


def test_rows_written_in_another_order_of_steps_give_the_same_bits():
    steps = range(6)
    plans = [cs.ScheduleBuilder("all_gather", 4, chunks=4) for _ in range(2)]
    for plan, order in zip(plans, (steps, reversed(steps)), strict=True):
        for step in order:
            plan.copy(step, [0, 1, 2, 3], [1, 2, 3, 0], step % 4)
    one, other = (lower(plan.build(), np.full(24, 100.0)) for plan in plans)
    for model in every_model(4):
        assert same_bits(compiled.run(one, model), compiled.run(other, model))


# Long runs


@pytest.mark.parametrize("model", every_model(8), ids=str)
def test_leaving_and_entering_a_kernel_changes_nothing(model, monkeypatch):
    graph = ring_graph()
    whole = compiled.run(graph, model)
    told = []
    monkeypatch.setattr(compiled, "_TURNS", 7)
    parts = compiled.run(graph, model, lambda done, moves: told.append((done, moves)))
    assert same_bits(whole, parts)
    assert len(told) > 10
    assert told == sorted(told)
    assert told[-1] == (len(graph), len(graph))


def test_many_flows_at_once_and_long_queues_make_room_for_themselves():
    plan = cs.ScheduleBuilder("all_to_all", 24)
    for src in range(24):  # nothing waits: more flows at once than there are slots to begin with
        plan.copy(0, src, [dst for dst in range(24) if dst != src])
    schedule = plan.build()
    graph = lower(schedule, np.full(len(schedule), 10.0), ordering="explicit")
    for model in (MaxMin(cs.star(24, 1e9, 1e-6)), Fifo(cs.star(24, 1e9, 1e-6), packet_bytes=3)):
        assert not differing(events.run(graph, model), compiled.run(graph, model))


def test_control_c_stops_a_run(monkeypatch):
    monkeypatch.setattr(compiled, "_TURNS", 100)
    told = []

    def interrupt(done, moves):
        told.append(done)
        signal.raise_signal(signal.SIGINT)

    graph = ring_graph(32)
    with pytest.raises(KeyboardInterrupt):
        compiled.run(graph, AlphaBeta(1, 1), interrupt)
    assert told[0] < len(graph)
    assert len(told) == 1


def test_moves_that_wait_for_each_other_are_an_error_and_no_endless_run():
    zeros = np.zeros(3)
    graph = MoveGraph(
        ranks=4,
        transfer=np.ones(3, dtype=bool),
        src=np.array([0, 1, 2], dtype=np.int32),
        dst=np.array([1, 2, 3], dtype=np.int32),
        nbytes=zeros + 1,
        work=zeros,
        release=np.zeros((2, 3)),
        dependencies=lambda: Waiting(0, np.array([(1, 2), (2, 1)])),
    )
    with pytest.raises(cs.SimulationError, match=r"2 of 3 moves can never run.*first is row 1, rank 1 to rank 2"):
        compiled.run(graph, AlphaBeta(1, 1))
    with pytest.raises(cs.SimulationError, match="2 of 3 moves can never run"):
        compiled.rank_ends(graph, AlphaBeta(1, 1))


def test_no_moves_take_no_time():
    graph = ring_graph(1)
    for model in every_model(2):
        assert len(compiled.run(graph, model).finish) == 0


def test_packets_that_would_not_fit_into_memory_are_refused_in_one_line():
    with pytest.raises(cs.InputError, match=r"packets would need about .* of memory.*packet_bytes"):
        compiled.run(ring_graph(nbytes=1 << 50), Fifo(cs.star(8, "10GB/s", "1us"), packet_bytes=1))


def test_more_messages_at_once_than_fit_into_memory_are_refused_in_one_line(monkeypatch):
    plan = cs.ScheduleBuilder("all_to_all", 24)
    for src in range(24):
        plan.copy(0, src, [dst for dst in range(24) if dst != src])
    graph = lower(plan.build(), np.full(24 * 23, 10.0))
    monkeypatch.setattr(compiled, "_BYTES_A_SLOT", 1 << 60)
    with pytest.raises(cs.InputError, match=r"under way at once would need about .* of memory.*use fewer ranks"):
        compiled.run(graph, MaxMin(cs.star(24, 1e9, 1e-6)))


def test_more_dependencies_than_have_numbers_are_refused_in_one_line():
    many = Followers(np.zeros(3, dtype=np.int64), np.broadcast_to(np.int32(0), (1 << 31,)))  # takes no memory
    with pytest.raises(cs.InputError, match=r"2147483648 dependencies .*use fewer ranks"):
        compiled._in_32_bits(many)
    few = Followers(np.zeros(3, dtype=np.int64), np.zeros(4, dtype=np.int32))
    assert compiled._in_32_bits(few) is few


# Without times of moves


@settings(max_examples=min(CASES, 60))
@given(seed=st.integers(0, 2**63))
def test_without_a_timeline_every_rank_ends_when_it_does_with_one(seed):
    graph, model = random_run(np.random.default_rng(seed))
    times = compiled.run(graph, model)
    ends = dataclasses.replace(times, ranks_done=None).rank_ends(graph.ranks, graph.src, graph.dst)
    assert (times.rank_ends(graph.ranks, graph.src, graph.dst) == ends).all()
    assert (compiled.rank_ends(graph, model) == ends).all()


@pytest.mark.parametrize("engine", ["compiled", "stepwise", "events"])
def test_a_result_without_a_timeline_has_all_figures_but_those_of_moves(engine):
    schedule = cs.make_schedule("all_reduce", "ring", ranks=8)
    run = {"alpha": "5us", "beta": "0.1ns/B", "nbytes": "4MB", "engine": engine, "offsets": [0, 0, 1e-3, *[0] * 5]}
    full, lean = cs.simulate(schedule, **run), cs.simulate(schedule, **run, timeline=False)
    assert (lean.rank_times == full.rank_times).all()
    assert lean.to_dict() | {"wall_s": 0} == full.to_dict() | {"wall_s": 0}
    for ask in (lambda: lean.timeline, lean.to_frame):
        with pytest.raises(cs.InputError, match="not kept: simulate with timeline=True"):
            ask()


@pytest.mark.parametrize("model", ["alpha-beta", "loggp", "maxmin", "fifo"])
@pytest.mark.parametrize(
    ("ordering", "timeline", "most"), [("step", True, 90), ("step", False, 60), ("dataflow", True, 100)]
)
def test_a_message_takes_few_bytes_in_all(model, ordering, timeline, most):
    net = cs.star(256, "10GB/s", "1us")
    run = {"nbytes": "64MiB", "model": model, "engine": "compiled", "ordering": ordering, "timeline": timeline}
    if model == "loggp":
        run["parameters"] = {"o": "1.5us", "g": "1us"}
    cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=256), net, **run)  # compiled, and routes are known
    tracemalloc.start()
    try:
        schedule = cs.make_schedule("all_reduce", "ring", ranks=256)
        cs.simulate(schedule, net, **run)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    table_of_pairs = 4 * 256**2  # and what else does not grow with the messages
    assert (peak - table_of_pairs - 500_000) / schedule.messages <= most


# Which engine


def test_auto_takes_what_answers_first_and_always_the_same():
    star = cs.star(64, 1e9, 1e-6)
    small, large = ring_graph(16), ring_graph(64, offsets=np.arange(64.0))  # in which no two ranks are alike
    assert choose_engine("auto", small, MaxMin(star)).name == "events"
    assert choose_engine("auto", large, MaxMin(star)).name == "compiled"
    assert choose_engine("auto", large, LogGP(o=1e-6, topology=star)).name == "compiled"
    assert choose_engine("auto", large, AlphaBeta(1, 1)).name == "stepwise"
    assert choose_engine("auto", small, Fifo(star, packet_bytes=1)).name == "compiled"  # for its packets


def test_the_engines_that_auto_takes_agree_where_it_changes_over():
    star = cs.star(64, 1e9, 1e-6)
    graph = ring_graph(64)
    assert not differing(stepwise.run(graph, AlphaBeta(1, 1)), compiled.run(graph, AlphaBeta(1, 1)))
    assert not differing(events.run(ring_graph(20), MaxMin(star)), compiled.run(ring_graph(20), MaxMin(star)))


@pytest.fixture
def without_numba(monkeypatch):
    import collsim.engines

    for name in ("compiled", "kernels"):
        monkeypatch.delitem(sys.modules, f"collsim.engines.{name}")
        monkeypatch.delattr(collsim.engines, name, raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)


@pytest.mark.usefixtures("without_numba")
def test_without_numba_everything_runs_and_compiled_says_what_to_install():
    star = cs.star(64, 1e9, 1e-6)
    assert choose_engine("auto", ring_graph(64, offsets=np.arange(64.0)), MaxMin(star)).name == "events"
    assert choose_engine("auto", ring_graph(64), AlphaBeta(1, 1)).name == "stepwise"
    with pytest.raises(cs.InputError, match=r"engine 'compiled' cannot run this: .*pip install numba") as error:
        choose_engine("compiled", ring_graph(), AlphaBeta(1, 1))
    assert "\n" not in str(error.value)
    assert ENGINES["compiled"].missing()


def test_neither_collsim_nor_a_small_run_imports_numba():
    code = (
        "import sys, collsim as cs\n"
        "s = cs.make_schedule('all_reduce', 'ring', ranks=4)\n"
        "cs.simulate(s, cs.star(4, '1GB/s', '1us'), '1MB')\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_every_model_has_a_kernel_and_is_among_the_random_runs():
    assert set(compiled._MODELS) == set(events.NETWORKS)
    rng = np.random.default_rng(0)
    assert {type(random_model(rng, cs.star(2, 1, 1))) for _ in range(100)} == set(events.NETWORKS)

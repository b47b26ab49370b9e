"""One move for each class is the same as all moves: on runs in which all is alike, nearly all, or hardly anything.

``COLLSIM_CASES=10000 python -m pytest tests/test_quotient.py`` is the nightly size of the random comparison.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import Run, random_run

import collsim as cs
from collsim.engines import Timeline, choose_engine, events, fifo, quotient, refinement
from collsim.engines.refinement import refine
from collsim.graph import lower
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin

CASES = int(os.environ.get("COLLSIM_CASES", "60"))
TIMES = ("ready", "start", "sent", "arrive", "finish")
NETWORKS = (
    "star:{k}",
    "star:{k},half_duplex=true",
    "full:{k}",
    "bus:{k}",
    "backbone:{k}",
    "backbone:{k},fatpipe=true",
    "ring:{k}",
    "ring:{k},half_duplex=true",
    "line:{k}",
    "torus:{a}x{b}",
    "mesh:{a}x{b}",
    "fat-tree:down={a}x{b},up=1x{a}",
    "fat-tree:down={a}x{b},up=1x1",
    "leaf-spine:{a}x{b}",
    "rail:{a}x{b}",
    "dragonfly:p=1,a={a},h=1",
)
CHANGES = ("nothing", "link", "receiver", "missing", "size", "offset", "order")


def differing(one: Timeline, other: Timeline) -> list[str]:
    """The columns in which two timelines differ by more than 1e-9."""
    return [name for name in TIMES if not np.allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-15)]


def random_model(rng, topology):
    kind = rng.integers(6)
    if kind == 0:
        return AlphaBeta(float(rng.choice([0, 1e-6])), float(rng.choice([1e-9, 3.7e-9])))
    if kind == 1:
        return AlphaBeta(topology=topology)
    if kind == 2:
        own = {"o": float(rng.choice([0, 3e-7])), "g": float(rng.choice([1e-7, 2.7e-6, 1e-4])), "S": 800}
        return LogGP(topology=topology, O=float(rng.choice([0, 3e-10])), **own)
    if kind == 3:
        return Fifo(topology, packet_bytes=None if rng.random() < 0.5 else 700)
    return MaxMin(topology)


def nearly_symmetric_run(rng: np.random.Generator, change: str) -> Run | None:
    """A run in which all ranks send to those at the same distances, of which one thing is changed."""
    a, b = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    ranks = a * b
    spec = str(rng.choice(NETWORKS)).format(k=ranks, a=a, b=b)
    figures = {"bandwidth": float(rng.choice([1e9, 3.7e8])), "latency": float(rng.choice([0, 1e-6]))}
    try:
        topology = cs.load_topology(spec, **figures)
    except cs.InputError:
        return None
    if ranks < 2 or topology.ranks < ranks:
        return None
    if rng.random() < 0.2:
        topology = cs.reroute(topology, "spread")
    if change == "link":
        link = topology.links[rng.integers(len(topology.links))]
        figure = "latency=3us" if link.medium is not None else "bandwidth=x0.5"
        topology = cs.load_topology(topology, overrides=[f"{link.tail}-{link.head}:{figure}"])
    # Who hears whom: all ranks, or those of one class in a tree, at one distance.
    rows: list[tuple[int, int, int, int, bool]] = []
    step = 0
    for _ in range(rng.integers(1, 6)):
        distance, mask = int(rng.integers(1, ranks)), bool(rng.random() < 0.3)
        count, stride, reduces = int(rng.integers(1, 4)), int(rng.choice([1, 1, 1, 2])), bool(rng.random() < 0.5)
        for src in range(0, ranks, stride):
            dst = src ^ distance if mask else (src + distance) % ranks
            if dst != src and dst < ranks:
                rows.append((step, src, dst, count, reduces))
        step += int(rng.integers(0, 2))
    if not rows:
        return None
    place = int(rng.integers(len(rows)))
    at, src, dst, count, reduces = rows[place]
    if change == "receiver":
        rows[place] = at, src, next(r for r in (*range(dst + 1, ranks), *range(ranks)) if r != src), count, reduces
    elif change == "missing":
        del rows[place]
    elif change == "size":
        rows[place] = at, src, dst, count + 1, reduces
    elif change == "order":
        rows = [rows[i] for i in rng.permutation(len(rows))]
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks=4)
    for at, src, dst, count, reduces in rows:
        (plan.reduce if reduces else plan.copy)(at, src, dst, 0, count)
    schedule = plan.build()
    offsets = None
    if change == "offset" or rng.random() < 0.2:
        offsets = np.full(ranks, float(rng.choice([0, 2e-6])))
        offsets[rng.integers(ranks)] += 1e-6 if change == "offset" else 0
    graph = lower(
        schedule,
        schedule.message_bytes(int(rng.choice([0, 400, 10_000]))),
        ordering=str(rng.choice(["step", "step", "dataflow", "explicit"])),
        gamma=float(rng.choice([0, 1e-10, 3.3e-9])),
        offsets=offsets,
        header_bytes=float(rng.choice([0, 16])),
    )
    return Run(graph, random_model(rng, topology))


@settings(max_examples=CASES)
@given(seed=st.integers(0, 2**63), change=st.sampled_from((*CHANGES, "anything")))
def test_one_move_for_each_class_gives_the_times_of_all(seed, change):
    rng = np.random.default_rng(seed)
    run = random_run(rng) if change == "anything" else nearly_symmetric_run(rng, change)
    if run is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "most_kinds", lambda moves: moves)  # also where nothing is gained
        if quotient.can_run(*run) is not None:
            return
    one, other = events.run(*run), quotient.run(*run)
    assert not differing(one, other), run.model
    if not isinstance(run.model, MaxMin):  # the same operations on the same numbers
        assert all((getattr(one, name) == getattr(other, name)).all() for name in TIMES)


def test_the_random_runs_are_hardly_ever_refused_and_many_have_classes(rng):
    found = dict.fromkeys(CHANGES, 0)
    for change in CHANGES:
        for _ in range(8):
            run = nearly_symmetric_run(rng, change)
            found[change] += run is not None and quotient.can_run(*run) is None
    assert found["nothing"] >= 3
    assert sum(found.values()) >= 12


# Without any of what is looked at, times are wrong: each is needed.


def ring_on(net, ranks=6, nbytes=6_000_000, **settings):
    schedule = cs.make_schedule("all_reduce", "ring", ranks)
    return lower(schedule, schedule.message_bytes(nbytes), **settings), MaxMin(net)


def test_a_slow_link_is_seen(monkeypatch):
    monkeypatch.setattr(refinement, "most_kinds", lambda moves: moves)
    slow = cs.load_topology(cs.star(6, "1GB/s", "1us"), overrides=["3-switch:bandwidth=x0.5"])
    graph, model = ring_on(slow)
    wanted = events.run(graph, model)
    assert not differing(wanted, quotient.run(graph, model))

    def blind(graph, model, pairs):
        columns, times, servers = refinement._of_flows(graph, model, pairs)
        return columns, times, [kind._replace(figure=None) for kind in servers]

    monkeypatch.setitem(refinement._KINDS, MaxMin, blind)
    assert refine(graph, model, sliced=True).moves == 10
    monkeypatch.setattr(quotient, "weighted_shares", lambda crossed, cap, _: [1e9 for _ in crossed])
    graph, model = ring_on(slow)
    assert "finish" in differing(wanted, quotient.run(graph, model))


def test_who_shares_a_link_is_seen(monkeypatch):
    plan = cs.ScheduleBuilder("all_reduce", 4)
    plan.copy(0, [0, 1, 2], [3, 3, 1], 0)  # two to rank 3, and one alone
    schedule = plan.build()
    model = MaxMin(cs.star(4, 1.0, 0.0))
    graph = lower(schedule, np.full(3, 10.0))
    monkeypatch.setattr(refinement, "most_kinds", lambda moves: moves)
    assert refine(graph, model, sliced=True).moves > 1
    assert quotient.run(graph, model).finish.tolist() == [20.0, 20.0, 10.0]


def test_those_who_take_turns_are_of_different_classes_in_the_order_of_rows():
    plan = cs.ScheduleBuilder("all_reduce", 4, chunks=2)
    for first in (0, 2):  # two pairs: each rank sends twice to the other
        for src, dst in ((first, first + 1), (first + 1, first)):
            plan.copy(0, [src, src], [dst, dst], [0, 1])
    graph = lower(plan.build(), np.full(8, 10.0))
    classes = refine(graph, AlphaBeta(1, 1), sliced=True)
    assert classes.node[:8].tolist() == [0, 1] * 4
    assert quotient.run(graph, AlphaBeta(1, 1)).finish.tolist() == [11.0, 21.0] * 4


def test_rows_that_take_turns_in_other_orders_are_not_alike():
    plan = cs.ScheduleBuilder("all_reduce", 4, chunks=2)
    for src, sizes in ((0, (1, 2)), (1, (2, 1)), (2, (1, 2)), (3, (2, 1))):
        plan.copy(0, [src, src], [src ^ 1, src ^ 1], 0, list(sizes))
    schedule = plan.build()
    graph, model = lower(schedule, schedule.count * 10.0), AlphaBeta(1, 1)
    assert refine(graph, model, sliced=True).node[:8].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert not differing(events.run(graph, model), quotient.run(graph, model))


def test_steps_that_share_a_link_after_all_are_noticed():
    # Rank 2 has nothing to do in step 0, so its message of step 1 shares the trunk with that of step 0.
    trunk = [cs.Link("a", "b", 1.0, 0.0), *(cs.Link(rank, "a", 9.0, 0.0) for rank in (0, 2))]
    net = cs.Topology("trunk", 4, [*trunk, *(cs.Link("b", rank, 9.0, 0.0) for rank in (1, 3))])
    plan = cs.ScheduleBuilder("all_reduce", 4)
    plan.copy(0, 0, 1, 0)
    plan.copy(1, 2, 3, 0)
    graph = lower(plan.build(), np.full(2, 10.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "most_kinds", lambda moves: moves)
        classes = refine(graph, MaxMin(net), sliced=True)
        with pytest.raises(refinement.NoClasses, match="moves of several steps share"):
            quotient._simulated(graph, MaxMin(net), classes, None)
        assert quotient.run(graph, MaxMin(net)).finish.tolist() == [20.0, 20.0]


# What one can ask for


@pytest.mark.parametrize("ordering", ["step", "dataflow"])
def test_a_schedule_of_ones_own_runs_on_symmetric_with_the_times_of_all_its_moves(ordering):
    plan = cs.ScheduleBuilder("all_gather", 8, chunks=8)
    for step in range(7):
        plan.copy(step, range(8), [(rank + 1) % 8 for rank in range(8)], [(rank - step) % 8 for rank in range(8)])
    schedule = plan.build()
    net = cs.load_topology("leaf-spine:2x4", bandwidth="10GB/s", latency="1us")
    told = []
    settings_ = {"nbytes": "8MB", "ordering": ordering, "engine": "symmetric"}
    result = cs.simulate(schedule, net, **settings_, progress=lambda done, moves: told.append((done, moves)))
    wanted = cs.simulate(schedule, net, **settings_ | {"engine": "events"})
    assert result.engine == "symmetric"
    assert result.wall_seconds > 0
    assert told[-1] == (56, 56)
    assert not differing(result.timeline, wanted.timeline)
    assert result.to_dict() | {"engine": "", "wall_s": 0} == wanted.to_dict() | {"engine": "", "wall_s": 0}
    lean = cs.simulate(schedule, net, **settings_, timeline=False)
    assert (lean.rank_times == result.rank_times).all()


@pytest.mark.parametrize("net", ["rail:4x4", "leaf-spine:4x4"])
@pytest.mark.parametrize("model", ["maxmin", "fifo", "loggp"])
def test_ranks_that_drift_apart_in_several_orbits_are_run_by_classes(net, model):
    swing = cs.symmetric_schedule("all_reduce", "swing", 16)
    topology = cs.load_topology(net, bandwidth="10GB/s", latency="1us")
    own = {"parameters": {"o": 1e-6, "g": 1e-6}} if model == "loggp" else {}
    run = {"nbytes": "16MB", "model": model, "gamma": 1e-10, **own}
    result = cs.simulate(swing, topology, **run, engine="symmetric")
    assert not isinstance(result.schedule, cs.SymmetricSchedule)
    wanted = cs.simulate(result.schedule, topology, **run, engine="events")
    assert not differing(result.timeline, wanted.timeline)


def test_moves_that_are_not_alike_are_refused_in_one_line():
    with pytest.raises(cs.InputError) as error:
        cs.simulate(cs.make_schedule("reduce", "flat", 6), cs.star(6, 1e9, 1e-6), 600, engine="symmetric", gamma=1e-9)
    assert str(error.value) == (
        "engine 'symmetric' cannot run this: its 5 moves hardly do the same: they are of 5 kinds or more; "
        "use engine 'auto'"
    )


def test_moves_that_keep_nobody_waiting_are_refused_only_where_others_do():
    plan = cs.ScheduleBuilder("all_reduce", 4, chunks=2)
    plan.copy(0, range(4), [1, 2, 3, 0], 0)
    plan.copy(0, range(4), [3, 0, 1, 2], 1)
    schedule, model = plan.build(), AlphaBeta(1, 1)
    assert "keep no port" in quotient.can_run(lower(schedule, np.repeat([0.0, 10.0], 4)), model)
    assert quotient.can_run(lower(schedule, np.zeros(8)), model) is None


def test_auto_takes_it_where_it_answers_first():
    star = cs.star(64, 1e9, 1e-6)
    assert choose_engine("auto", ring_on(star, 16)[0], MaxMin(star)).name == "events"
    assert choose_engine("auto", ring_on(star, 64)[0], MaxMin(star)).name == "symmetric"
    assert choose_engine("auto", ring_on(star, 64)[0], AlphaBeta(1, 1)).name == "stepwise"
    known = len(quotient._known)
    graph = ring_on(star, 64)[0]
    assert quotient.can_run(graph, MaxMin(star)) is None
    assert len(quotient._known) == known + 1
    del graph
    assert len(quotient._known) == known  # nothing is kept of a graph that is gone


def test_packets_that_are_too_many_for_the_reference_are_a_reason_and_no_error(monkeypatch):
    monkeypatch.setattr(fifo, "MOST_PACKETS", 20)
    graph, model = ring_on(cs.star(6, 1e9, 1e-6))[0], Fifo(cs.star(6, 1e9, 1e-6), packet_bytes=1000)
    assert "more than 20: choose larger ones" in quotient.can_run(graph, model)
    assert choose_engine("auto", graph, model).name != "symmetric"


def test_no_moves_take_no_time():
    assert len(quotient.run(ring_on(cs.star(1, 1e9, 0), 1)[0], AlphaBeta(1, 1)).finish) == 0
    with pytest.raises(refinement.NoClasses, match="hardly do the same"):
        quotient.run(lower(cs.make_schedule("reduce", "flat", 6), np.ones(5)), AlphaBeta(1, 1))


def test_those_who_come_to_a_link_by_different_hops_take_turns_too():
    # Messages meet at the same instant, one at its second link and one at its third.
    net = cs.load_topology("dragonfly:p=1,a=4,h=1", bandwidth="10GB/s", latency="1us")
    schedule = cs.make_schedule("all_gather", "neighbour_exchange", 20)
    with pytest.raises(cs.InputError, match="hardly do the same"):
        cs.simulate(schedule, net, 4096, model="fifo", engine="symmetric")


@settings(max_examples=max(20, CASES // 3), deadline=None)
@given(
    algorithm=st.sampled_from(
        [
            ("all_reduce", "ring"),
            ("all_reduce", "halving_doubling"),
            ("all_gather", "neighbour_exchange"),
            ("all_gather", "bruck"),
            ("all_to_all", "pairwise"),
            ("all_reduce", "direct"),
        ]
    ),
    ranks=st.sampled_from([8, 12, 16, 20]),
    spec=st.sampled_from(NETWORKS),
    model=st.sampled_from(["fifo", "maxmin", "alpha-beta", "loggp"]),
    ordering=st.sampled_from(["step", "dataflow"]),
    nbytes=st.sampled_from([0, 4096, 10**6]),
)
def test_algorithms_of_the_table_have_the_times_of_the_compiled_engine_or_are_refused(
    algorithm, ranks, spec, model, ordering, nbytes
):
    pytest.importorskip("numba")
    try:
        net = cs.load_topology(spec.format(k=ranks, a=4, b=ranks // 4), bandwidth="10GB/s", latency="1us")
        schedule = cs.make_schedule(*algorithm, ranks)
        asked = {"model": model, "ordering": ordering}
        found = cs.simulate(schedule, net, nbytes, engine="symmetric", **asked)
    except cs.InputError:
        return
    assert not differing(found.timeline, cs.simulate(schedule, net, nbytes, engine="compiled", **asked).timeline)


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("spec", ["star:7", "torus:3x4", "product:switch3xring4", "backbone:6,fatpipe=true"])
def test_ways_of_many_pairs_are_those_of_each(spec, in_order, monkeypatch):
    for figures in ({}, {"latency": "5us"}, {"latency": "7us", "bandwidth": "1GB/s"}):
        net = cs.load_topology(spec, bandwidth="10GB/s", latency="2us")
        net = cs.override(net, "1-in" if "backbone" in spec else "1", **figures) if figures else net
        schedule = cs.make_schedule("all_reduce", "tree", net.ranks)
        pairs = refinement._Pairs(lower(schedule, schedule.message_bytes(4096)))
        at_once = refinement._ways(MaxMin(net), pairs, in_order=in_order)
        monkeypatch.setattr(net, "_paths", None)
        one_by_one = refinement._ways(MaxMin(net), pairs, in_order=in_order)
        for found, expected in zip(at_once, one_by_one, strict=True):
            assert found.tolist() == expected.tolist()

"""Why a run takes as long as it does: parts by hand, and held against simulations with something changed."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import random_model, random_schedule, random_topology

import collsim as cs
from collsim.cli import main
from collsim.critical_path import PARTS, WAITING, Stretch, critical_path
from collsim.explanation import CANDIDATES, RULES, adding_up, explain
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin
from collsim.topology import Link, Topology
from collsim.units import format_time

SEEDS = st.integers(0, 2**32 - 1)
US = 1e-6
STAR = cs.star(8, "10GB/s", "5us")


def run_of(collective, algorithm, ranks, nbytes, network=None, options=None, **settings):
    """A simulated run."""
    schedule = cs.make_schedule(collective, algorithm, ranks, **(options or {}))
    return cs.simulate(schedule, network, nbytes, **settings)


def parts_of(result):
    """Its parts in microseconds, rounded; those of no time left out."""
    found = explain(result, advice=False).parts
    return {part: round(seconds / US, 6) for part, seconds in found.items() if seconds}


def faults_of(path: list[Stretch], end: float) -> list[str]:
    """What is wrong with a path as a line through time: gaps, overlaps, pieces that are no time or no part."""
    now, found = 0.0, []
    for stretch in path:
        for piece in stretch.pieces:
            if piece.start != now:
                found.append(f"{piece} does not begin at {now}")
            if not piece.finish > piece.start:
                found.append(f"{piece} is empty or goes backwards")
            if piece.part not in PARTS:
                found.append(f"{piece} is no known part")
            if piece.part in WAITING and not piece.others:
                found.append(f"{piece} waits for nobody")
            if stretch.move in piece.others:
                found.append(f"{piece} waits for itself")
            now = piece.finish
    if now != end:
        found.append(f"it ends at {now}, not at {end}")
    return found


# By hand


@pytest.mark.parametrize(("ranks", "nbytes"), [(2, 8e3), (8, 64e6), (7, 7e5)])
def test_a_ring_pays_its_latency_in_each_round_and_the_bytes_of_a_link_once(ranks, nbytes):
    net = cs.star(ranks, "10GB/s", "5us")
    found = explain(run_of("all_reduce", "ring", ranks, int(nbytes), net))
    rounds = 2 * (ranks - 1)
    assert len(found.path) == rounds
    assert found.parts["latency"] == pytest.approx(rounds * 10e-6)
    assert found.parts["serialisation"] == pytest.approx(rounds * nbytes / ranks / 10e9)
    assert math.fsum(found.parts.values()) == found.result.time
    assert {part for part, seconds in found.parts.items() if seconds} == {"latency", "serialisation"}
    # One chunk goes round: every message waits for the one that its sender received.
    assert [one.because for one in found.moves] == [
        "the start",
        *(f"rank {one.src} had to receive" for one in found.moves[1:]),
    ]
    assert {one.chunk for one in found.moves} == {found.moves[0].chunk}


def test_in_a_naive_all_reduce_everybody_shares_the_links_of_rank_0():
    found = explain(run_of("all_reduce", "naive", 8, "80kB", STAR))
    assert {part: round(s / US, 6) for part, s in found.parts.items() if s} == {
        "latency": 20,
        "serialisation": 16,
        "sharing": 96,
    }
    assert [(one.name, one.messages, len(one.rows)) for one in found.waits] == [
        ("'switch' -> rank 0", 7, 6),
        ("rank 0 -> 'switch'", 7, 6),
    ]
    shared = [one.others for one in found.moves]
    assert sorted([found.moves[0].row, *shared[0]]) == list(range(7))
    assert sorted([found.moves[1].row, *shared[1]]) == list(range(7, 14))
    assert found.rule == "sharing"
    assert found.advice.startswith("7 of 14 messages go over one link, ")
    assert (found.links[0].messages, found.links[0].most_at_once) == (7, 7)
    assert found.links[0].utilisation == pytest.approx(56 / 132)


def test_under_ports_the_last_of_an_incast_waits_for_all_others():
    found = explain(run_of("gather", "flat", 5, 5000, alpha="1us", beta="1ns"))
    assert parts_of(found.result) == {"latency": 1, "serialisation": 1, "port": 3}
    assert [(one.name, len(one.rows), one.messages) for one in found.waits] == [("rank 0's receive port", 3, 4)]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({}, {"latency": 4, "serialisation": 4}),
        ({"gamma": "0.5ns"}, {"latency": 4, "serialisation": 4, "reduction": 1}),
        ({"header_bytes": 100}, {"latency": 4, "serialisation": 4, "overhead": 0.4}),
        ({"offsets": [0, 0, 7e-6, 0]}, {"late rank": 7, "latency": 4, "serialisation": 4}),
        ({"gamma": "0.5ns", "header_bytes": 100}, {"latency": 4, "serialisation": 4, "overhead": 0.4, "reduction": 1}),
    ],
)
def test_every_setting_has_its_part(settings, parts):
    # A binomial reduce of 4 ranks has two rounds of 1 kB, then a broadcast two more.
    assert parts_of(run_of("all_reduce", "tree", 4, 1000, alpha="1us", beta="1ns", **settings)) == parts


def test_a_binomial_broadcast_under_loggp_is_overheads_and_latencies():
    result = run_of("broadcast", "binomial", 4, 1, model=LogGP(L=2e-6, o=1e-6, g=0.0, G=0.0))
    assert result.time == pytest.approx(8 * US)
    assert parts_of(result) == {"latency": 4, "overhead": 4}


def test_who_waits_for_a_posted_receive_under_loggp_waits_on_the_path_of_the_receiver():
    # Rank 0's message is taken in at 4 us, but rank 1 is in that step only when rank 2's has come, who starts at 50.
    plan = cs.ScheduleBuilder("all_reduce", 3)
    plan.copy(0, 2, 1)
    plan.copy(1, 0, 1)
    result = cs.simulate(plan.build(), nbytes=1, model=LogGP(L=2e-6, o=1e-6, G=0.0), offsets=[0, 0, 50e-6])
    assert parts_of(result) == {"late rank": 50, "latency": 2, "overhead": 2}
    assert [one.row for one in explain(result).moves] == [-1, 0]


def test_the_sender_of_a_long_message_waits_until_it_is_taken_in():
    # Rank 1 works until 50 us; rank 0's first message is let go only then, and with it rank 0's second.
    plan = cs.ScheduleBuilder("all_reduce", 3)
    plan.compute(0, 1, 50e-6)
    plan.copy(0, 0, 1)
    plan.copy(1, 0, 2)
    result = cs.simulate(plan.build(), nbytes=1, model=LogGP(L=2e-6, o=1e-6, G=0.0, S=0))
    found = explain(result, advice=False)
    assert [(one.src, one.dst, one.op) for one in found.moves] == [(0, 1, "COPY"), (0, 2, "COPY")]
    assert parts_of(result) == {"latency": 4, "port": 47, "overhead": 3}
    assert found.waits[0].rows == (0,)


def test_under_fifo_each_link_takes_a_message_in_full_and_a_queue_is_named():
    # Two messages of 4 s from rank 0, one after the other; the second link takes 2 s for each.
    net = Topology("line", 2, [Link(0, "hub", 1.0, 10.0), Link("hub", 1, 2.0, 10.0), Link(1, 0, 1.0, 0.0)])
    plan = cs.ScheduleBuilder("broadcast", 2, chunks=2)
    plan.copy(0, 0, 1, [0, 1])
    found = explain(cs.simulate(plan.build(), net, 8, model="fifo"), advice=False)
    assert {part: s for part, s in found.parts.items() if s} == {
        "latency": 20,
        "serialisation": 4,
        "store-and-forward": 2,
        "sharing": 4,
    }
    assert found.waits[0].rows == (0,)
    # In packets of 2 bytes the second link takes but the last one more.
    packets = explain(cs.simulate(plan.build(), net, 8, model="fifo", parameters={"packet_bytes": 2}), advice=False)
    assert {part: s for part, s in packets.parts.items() if s} == {
        "latency": 20,
        "serialisation": 4,
        "store-and-forward": 1,
        "sharing": 4,
    }


def test_of_a_rank_that_starts_when_all_is_over_there_is_nothing_else_to_say():
    plan = cs.ScheduleBuilder("all_reduce", 3)
    plan.copy(0, 0, 1)
    found = explain(cs.simulate(plan.build(), alpha=1, beta=0, nbytes=4, offsets=[0, 0, 9]))
    assert found.parts["late rank"] == found.result.time == 9
    assert found.moves[0].src == 2
    assert found.rule == "promise"  # nobody sums anything


def test_the_order_of_a_processor_is_a_queue_too():
    plan = cs.ScheduleBuilder("reduce", 3)
    plan.reduce(0, [1, 2], 0)
    found = explain(cs.simulate(plan.build(), nbytes=4, alpha=1, beta=0, gamma=1), advice=False)
    assert {part: s for part, s in found.parts.items() if s} == {"latency": 1, "port": 4, "reduction": 4}
    assert found.waits[0].name == "rank 0's processor"


# Whatever is run


def random_result(seed, engine="events"):
    """A run of everything that there is: models, orderings, late ranks, sums, headers, spread and shared links."""
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    schedule = random_schedule(rng, topology.ranks)
    return cs.simulate(
        schedule,
        nbytes=int(rng.choice([0, 4, 8, 12, 40, 37])),
        model=random_model(rng, topology),
        ordering=str(rng.choice(["step", "dataflow", "explicit"])),
        gamma=float(rng.choice([0, 0, 0.5, 0.33])),
        offsets=rng.choice([0, 0, 1.0, 2.3], topology.ranks) if rng.random() < 0.5 else None,
        header_bytes=int(rng.choice([0, 0, 3])),
        engine=engine,
    )


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_parts_add_up_to_the_time_to_the_last_bit_and_none_is_negative(seed):
    result = random_result(seed)
    found = explain(result, advice=False)
    assert math.fsum(found.parts.values()) == result.time
    assert list(found.parts) == list(PARTS)
    assert min(found.parts.values()) >= 0
    assert faults_of(list(found.path), result.time) == []
    if found.gap_parts:
        assert math.fsum(found.gap_parts.values()) == found.gap == result.time - result.bound.seconds
        assert min(found.gap_parts.values()) >= 0


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_move_on_the_path_takes_what_the_model_says_and_begins_when_the_one_before_ends(seed):
    result = random_result(seed)
    life = result.life
    times, graph, model = life.times, life.graph, life.model
    path = critical_path(life, result.time, result.offsets)
    for stretch in path:
        if stretch.move < 0:
            continue
        move = stretch.move
        assert stretch.finish in (times.finish[move], times.sent[move])
        spent = {part: sum(p.finish - p.start for p in stretch.pieces if p.part == part) for part in PARTS}
        if graph.transfer[move] and stretch.start == times.ready[move] and stretch.finish == times.finish[move]:
            one_way = (
                isinstance(model, AlphaBeta | LogGP)
                or len(model.topology.routes(graph.src[move], graph.dst[move])) == 1
            )
            if one_way:
                assert spent["latency"] == pytest.approx(life.latency[move], abs=1e-9)
            wire = graph.nbytes[move] - life.header
            if isinstance(model, MaxMin | Fifo):
                alone = wire / model.topology.route_bandwidth(graph.src[move], graph.dst[move])
                assert spent["serialisation"] <= alone + 1e-9 or not one_way
                if one_way and isinstance(model, MaxMin):
                    assert spent["serialisation"] == pytest.approx(alone, abs=1e-9)
            elif isinstance(model, AlphaBeta):
                beta = life.port_seconds[move] / graph.nbytes[move] if graph.nbytes[move] else 0.0
                assert spent["serialisation"] == pytest.approx(wire * beta, abs=1e-9)
            assert spent["reduction"] == pytest.approx(graph.work[move], abs=1e-9)
    ends = [0.0, *(stretch.finish for stretch in path)]
    for end, stretch in zip(ends, path, strict=False):
        assert stretch.start == end


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_every_engine_gives_the_same_parts(seed):
    reference = explain(random_result(seed), advice=False)
    model = reference.result.parameters
    engines = [] if isinstance(model, Fifo) and model.topology.fatpipe.any() else ["compiled"]
    if reference.result.model == "alpha-beta" and reference.result.graph.step is not None:
        engines.append("stepwise")
    for engine in engines:
        other = explain(random_result(seed, engine), advice=False)
        assert math.fsum(other.parts.values()) == other.result.time
        assert other.parts == pytest.approx(reference.parts, rel=1e-9, abs=1e-9)


def test_a_path_with_a_gap_or_without_an_end_would_be_seen():
    result = run_of("all_reduce", "ring", 4, 4000, STAR)
    path = list(explain(result, advice=False).path)
    assert faults_of(path, result.time) == []
    assert len(faults_of(path[:-1], result.time)) == 1
    assert len(faults_of([path[0], *path[2:]], result.time)) == 1
    piece = path[0].pieces[0]
    wrong = [replace(path[0], pieces=(piece._replace(part="luck"), *path[0].pieces[1:])), *path[1:]]
    assert len(faults_of(wrong, result.time)) == 1


def work_and_messages(rng, ranks, steps):
    """Work of every rank in each step, of lengths that no two sums of have alike, and a ring of messages behind it."""
    seconds = rng.random((steps, ranks)) + 1
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    for step in range(steps):
        plan.compute(2 * step, np.arange(ranks), seconds[step], 0, 1)
        plan.copy(2 * step + 1, np.arange(ranks), (np.arange(ranks) + 1 + step) % ranks)
    return plan.build()


@pytest.mark.parametrize("ordering", ["step", "dataflow"])
@pytest.mark.parametrize("seed", range(4))
def test_only_what_is_on_the_path_makes_a_run_shorter(seed, ordering):
    schedule = work_and_messages(np.random.default_rng(seed), 4, 3)

    def time_of(changed):
        return cs.simulate(changed, nbytes=0, alpha=0.5, beta=0, ordering=ordering)

    found = explain(time_of(schedule), advice=False)
    on_path = {one.row for one in found.moves}
    worked = np.flatnonzero(~schedule.transfers).tolist()
    assert 0 < len(on_path & set(worked)) < len(worked)
    for row in worked:
        seconds = schedule.seconds.copy()
        seconds[row] -= 1e-6
        saved = found.result.time - time_of(replace(schedule, seconds=seconds)).time
        assert saved == pytest.approx(1e-6 if row in on_path else 0, abs=1e-12), row


@pytest.mark.parametrize("seed", range(3))
def test_only_links_on_the_path_matter_where_each_message_has_its_own(seed):
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(5) for b in range(5) if a != b]
    late = dict(zip(pairs, (rng.random(len(pairs)) + 1).tolist(), strict=True))
    schedule = cs.make_schedule("all_to_all", "pairwise", 5)

    def time_of(latencies):
        net = Topology("own", 5, [Link(*pair, 1.0, latencies[pair]) for pair in pairs])
        return cs.simulate(schedule, net, 0, model="alpha-beta")

    found = explain(time_of(late), advice=False)
    on_path = {(one.src, one.dst) for one in found.moves}
    assert 0 < len(on_path) < len(pairs)
    for pair in pairs:
        saved = found.result.time - time_of(late | {pair: late[pair] - 1e-6}).time
        assert saved == pytest.approx(1e-6 if pair in on_path else 0, abs=1e-12), pair


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(1e-12, 1e3), min_size=1, max_size=8), st.integers(-4, 4))
def test_parts_are_made_to_add_up_with_changes_of_rounding_only(values, off):
    parts = {str(i): value for i, value in enumerate(values)} | {"none": 0.0}
    total = math.fsum(values)
    for _ in range(abs(off)):
        total = math.nextafter(total, math.inf if off > 0 else 0)
    found = adding_up(parts, total)
    assert math.fsum(found.values()) == total
    assert found == pytest.approx(parts, rel=1e-2, abs=1e-11)
    assert found["none"] == 0


# What is said about it

NEAR = cs.star(16, "10GB/s", "5us")
SAID = {
    "promise": lambda: cs.simulate(cs.ScheduleBuilder("all_reduce", 4).build(), nbytes=4, alpha=0, beta=1),
    "nothing": lambda: run_of("all_reduce", "ring", 1, 4, alpha=1, beta=1),
    "bound": lambda: run_of("all_reduce", "ring", 8, "4GB", STAR),
    "sharing": lambda: run_of("all_reduce", "naive", 16, "1MB", NEAR),
    "port": lambda: run_of("reduce", "flat", 16, "1MB", alpha="1us", beta="1ns"),
    "latency": lambda: run_of("all_reduce", "ring", 16, "1kB", NEAR),
    "overhead": lambda: run_of("all_reduce", "ring", 8, 8, model=LogGP(L="1us", o="5us", G="1ns/B")),
    "store-and-forward": lambda: run_of("all_reduce", "ring", 4, "1MB", cs.line(4, "1GB/s", 0), model="fifo"),
    "late rank": lambda: run_of("all_reduce", "ring", 4, "1kB", alpha="1us", beta="1ns", offsets=[0, 0, "20us", 0]),
    "reduction": lambda: run_of("all_reduce", "tree", 8, "1MB", STAR, gamma="9ns"),
    "serialisation": lambda: run_of("all_reduce", "tree", 8, "100MB", STAR),
}


@pytest.mark.parametrize("rule", SAID)
def test_every_rule_has_a_run_that_it_speaks_of_in_one_sentence(rule):
    found = explain(SAID[rule]())
    assert found.rule == rule
    assert found.advice.endswith(".")
    assert not re.search(r"\. [A-Z]", found.advice)


def test_a_slow_link_is_named():
    slow = cs.override(STAR, 3, bandwidth="x0.1")
    said = explain(run_of("all_reduce", "ring", 8, "64MB", slow)).advice
    assert "most of it over 'switch' -> rank 3 of 1 GB/s" in said
    assert "most of it over" not in explain(run_of("all_reduce", "ring", 8, "1MB", STAR)).advice


def test_packets_that_are_advised_take_what_is_said():
    result = SAID["store-and-forward"]()
    said = re.search(r"\(packet_bytes=(\d+)\) it takes ([\d.]+ \w+)", explain(result).advice)
    again = cs.simulate(
        result.schedule, cs.line(4, "1GB/s", 0), "1MB", model="fifo", parameters={"packet_bytes": int(said[1])}
    )
    assert format_time(again.time) == said[2]
    assert again.time < result.time


def test_local_work_is_said_to_be_what_decides():
    plan = cs.ScheduleBuilder("all_reduce", 2)
    plan.compute(0, [0, 1], [1.0, 2.0])
    plan.copy(1, 0, 1)
    found = explain(cs.simulate(plan.build(), nbytes=4, alpha=0.1, beta=0))
    assert (found.rule, found.largest) == ("compute", "compute")
    assert "rank 1" in found.advice
    assert set(SAID) | {"compute"} == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("collective", "algorithm", "nbytes"),
    [
        ("all_reduce", "naive", "4MB"),
        ("all_reduce", "ring", "1kB"),
        ("broadcast", "flat", "8MB"),
        ("gather", "flat", 64),
    ],
)
@pytest.mark.parametrize("model", ["maxmin", "alpha-beta"])
def test_what_advice_says_of_another_algorithm_is_so(collective, algorithm, nbytes, model):
    result = run_of(collective, algorithm, 8, nbytes, STAR, model=model)
    said = explain(result).advice
    faster = re.search(r"on this network (\w+) takes ([\d.]+ \w+)", said)
    times = {
        name: run_of(collective, name, 8, nbytes, STAR, model=model).time
        for name in CANDIDATES[collective]
        if name != algorithm
    }
    if faster is None:
        assert min(times.values()) >= 0.99 * result.time
    else:
        assert format_time(times[faster[1]]) == faster[2]
        assert times[faster[1]] == min(times.values()) < result.time


def test_candidates_keep_the_root_and_leave_out_who_cannot_do_it():
    found = explain(run_of("broadcast", "flat", 6, "8MB", STAR, options={"root": 3}))
    name = re.search(r"on this network (\w+) takes", found.advice)[1]
    other = run_of("broadcast", name, 6, "8MB", STAR, options={"root": 3})
    assert f"{found.result.time / other.time:.3g} times less" in found.advice
    without = explain(run_of("all_gather", "ring", 6, 60, cs.star(6, "10GB/s", "5us")))  # doubling needs 2^k ranks
    assert "bruck takes" in without.advice


def test_where_the_bound_is_met_nothing_is_to_be_saved():
    met = explain(run_of("send_recv", "direct", 2, "1MB", alpha="1us", beta="1ns"))
    assert met.gap == 0
    assert met.advice.startswith("no algorithm is faster here, for ")


def test_parts_of_different_sizes_have_other_algorithms_too():
    counts = {"counts": [1, 0, 2, 5, 0, 1]}
    found = explain(run_of("all_gatherv", "ring", 6, 36, STAR, options=counts))
    other = run_of("all_gatherv", "bruck", 6, 36, STAR, options=counts)
    assert f"bruck takes {format_time(other.time)}" in found.advice


def test_others_are_tried_in_whole_elements_too():
    # 5 elements of 4 bytes in 4 chunks: in whole elements one chunk has 8 bytes, divided evenly each has 5.
    whole, even = (run_of("all_reduce", "naive", 4, 20, alpha=1e-9, beta=1, itemsize=size) for size in (4, None))
    assert (whole.itemsize, even.itemsize) == (4, None)
    assert "here recursive_doubling takes 40 s" in explain(whole).advice
    assert run_of("all_reduce", "halving_doubling", 4, 20, alpha=1e-9, beta=1, itemsize=4).time > 40
    assert "here halving_doubling takes 30 s" in explain(even).advice


def test_who_is_as_busy_as_others_comes_in_the_order_of_numbers():
    # 1/3 of the time each, up to rounding.
    found = explain(run_of("all_reduce", "naive", 4, "1GB", alpha="5us", beta="0.1ns"), advice=False)
    assert [one.name for one in found.ranks] == ["rank 0", "rank 1", "rank 2", "rank 3"]


def test_the_gap_is_what_the_path_has_more_than_the_bound():
    found = explain(run_of("all_reduce", "ring", 8, 8000, alpha="5us", beta="1ns"))
    # The bound is one latency and the bytes; the ring pays 13 latencies more.
    assert {part: round(s / US, 6) for part, s in found.gap_parts.items() if s} == {"latency": 65}
    late = explain(run_of("all_reduce", "ring", 4, 4000, alpha="5us", beta="1ns", offsets=[0, 0, 0, "1ms"]))
    assert late.gap_parts["late rank"] == 0
    assert late.gap_parts["latency"] > 0


def test_less_than_the_bound_is_said_to_be_less_than_promised():
    plan = cs.ScheduleBuilder("all_reduce", 4)
    plan.copy(0, 0, 1)
    found = explain(cs.simulate(plan.build(), nbytes=4, alpha=0, beta=1))
    assert found.gap < 0
    assert found.gap_parts == {}
    assert "the schedule does less than its collective promises" in str(found)


def test_a_run_of_one_rank_for_all_is_written_out_or_refused_with_the_way_out():
    net = cs.star(16, "10GB/s", "5us")
    alike = cs.simulate(cs.symmetric_schedule("all_reduce", "ring", 16), net, "1MB")
    assert alike.engine == "symmetric"
    assert alike.explain().parts == explain(run_of("all_reduce", "ring", 16, "1MB", net)).parts
    many = cs.simulate(cs.symmetric_schedule("all_reduce", "ring", 1024), cs.star(1024, "10GB/s", "5us"), "1MB")
    with pytest.raises(cs.InputError, match="explain one with fewer ranks"):
        many.explain()


def test_what_is_no_result_or_has_no_times_is_refused():
    with pytest.raises(cs.InputError, match="explain needs a Result"):
        explain("ring")
    with pytest.raises(cs.InputError, match="the times of single moves were not kept"):
        cs.simulate(cs.make_schedule("all_reduce", "ring", 4), alpha=1, beta=1, nbytes=4, timeline=False).explain()


def test_the_frame_has_a_column_for_every_part_and_a_row_for_every_move():
    found = explain(run_of("all_reduce", "tree", 8, 8000, STAR, gamma="1ns"))
    frame = found.to_frame()
    parts = frame[[f"{part.replace('-', '_').replace(' ', '_')}_s" for part in PARTS]]
    assert len(frame) == len(found.path) == 6
    assert parts.to_numpy().sum(axis=1) == pytest.approx((frame["finish_s"] - frame["start_s"]).to_numpy())
    assert frame["finish_s"].iloc[-1] == found.result.time


# The command

ON_STAR = ("-t", "star", "--bandwidth", "10GB/s", "--latency", "5us")


@pytest.fixture
def collsim(capsys):
    """Run ``collsim explain``; return its status and what it wrote to stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(("explain", *arguments))
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return run


def test_the_command_says_what_the_function_says(collsim):
    status, out, err = collsim("all_reduce", "-a", "naive", "-n", "8", "-s", "80kB", *ON_STAR, "--json", "--moves")
    assert (status, err) == (0, "")
    found = json.loads(out)
    same = explain(run_of("all_reduce", "naive", 8, "80kB", STAR)).to_dict(moves=True)
    assert found == json.loads(json.dumps(same)) | {"topology": found["topology"]}
    assert math.fsum(found["parts_s"].values()) == found["time_s"]
    assert found["path"][-1]["finish_s"] == found["time_s"]
    assert "path" not in json.loads(collsim("all_reduce", "-a", "ring", "-n", "4", "-s", "8", *ON_STAR, "--json")[1])


def test_people_read_every_part_with_its_meaning(collsim):
    status, out, _ = collsim(
        "all_reduce", "-a", "naive", "-n", "8", "-s", "80kB", *ON_STAR, "--moves", "--gamma", "1ns"
    )
    assert status == 0
    for part in ("latency", "serialisation", "sharing", "reduction"):
        assert PARTS[part] in out
    assert "1 -> 0 chunk 0 +" in out or "7 -> 0 chunk 0 +" in out
    assert "'switch' -> rank 0" in out
    assert "more than the lower bound" in out


def test_moves_can_be_read_in_80_columns(collsim, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = collsim(
        *("all_reduce", "-a", "ring", "-n", "4", "-s", "1MB", "-t", "line:4", "--bandwidth", "10GB/s"),
        *("--latency", "1us", "--model", "fifo", "-p", "packet_bytes=4kB", "--gamma", "1ns", "--header-bytes", "64"),
        "--moves",
    )
    assert "\u2026" not in out  # nothing is cut off
    assert max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in out.splitlines()) <= 80
    assert len(re.findall(r"\d -> \d chunk \d", out)) == 6
    assert "store-and-forward 800 ns" in out


def test_links_that_carry_little_for_long_are_told_from_busy_ones(collsim):
    _, out, _ = collsim("all_reduce", "-a", "naive", "-n", "16", "-s", "64MB", *ON_STAR)
    links, ranks = re.findall(r"^busiest \w+ .*$", out, re.MULTILINE)
    assert links.split()[2:4] == ["busy", "utilisation"]
    assert ranks.split()[2:6] == ["busy", "of", "the", "time"]
    assert re.search(r"^rank 1 -> 'switch' +96 ms +3\.3 % ", out, re.MULTILINE)


def test_advice_can_be_left_out(collsim):
    said = json.loads(collsim("all_reduce", "-a", "naive", "-n", "8", "-s", "8", *ON_STAR, "--json", "--no-advice")[1])
    assert (said["rule"], said["advice"]) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("all_reduce", "-a", "rign", "-n", "4", "-s", "1MB", *ON_STAR), "did you mean 'ring'"),
        (("all_reduce", "-a", "ring", "-s", "1MB"), "the number of ranks is missing"),
        (("all_reduce", "-a", "ring", "-n", "4", "-s", "1MX", *ON_STAR), "1MX"),
        (("all_reduce", "-a", "ring", "-n", "4", "-s", "1MB", *ON_STAR, "--alpha", "1us"), "give either those or -t"),
        (("all_reduce", "-a", "ring", "-n", "4", "-s", "1MB", *ON_STAR, "--model", "magic"), "magic"),
        (("all_reduce", "-a", "ring", "-n", "4", "-s", "1MB", *ON_STAR, "--offset", "9=1ms"), "does not exist"),
        (("all_reduce", "-a", "ring", "-n", "4", "-s", "1MB", "--bandwidth", "1GB/s"), "--bandwidth needs a topology"),
    ],
)
def test_nonsense_is_refused_in_one_line(collsim, arguments, words):
    status, out, err = collsim(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1

"""The LogGP model: processors and cards of hosts, eager and rendezvous messages, and an oracle of plain loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.engines import choose_engine, events
from collsim.graph import lower

TIMES = ("start", "sent", "arrive", "finish")


def plan_of(*moves, ranks=4, chunks=1):
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks)
    for kind, *where in moves:
        getattr(plan, kind)(*where)
    return plan.build()


def times(schedule, nbytes, *, ordering="step", gamma=0.0, offsets=None, **parameters):
    """Start, sent and finish of each row."""
    starts = None if offsets is None else np.array(offsets, dtype=float)
    payload = schedule.message_bytes(1) * nbytes * schedule.chunks
    graph = lower(schedule, payload, ordering=ordering, gamma=gamma, offsets=starts)
    timeline = events.run(graph, cs.LogGP(**parameters)).at(schedule.message)
    return list(zip(timeline.start.tolist(), timeline.sent.tolist(), timeline.finish.tolist(), strict=True))


# A rank's own time for a message of 4 bytes: 1 s to send it, 1 + 3 * 2 s to take it in; its cards need 3 + 3 * 2 s.
WORDS = {"L": 5, "o": 1, "g": 3, "G": 2}


def test_a_binomial_reduce_ends_rank_by_rank_as_loggopsim_says():
    schedule = cs.make_schedule("reduce", "binomial", ranks=8)
    model = cs.LogGP(L="2500ns", o="1500ns", g="1000ns", G="6ns/B", O=0)
    result = cs.simulate(schedule, nbytes=1024, model=model)
    ends = sorted((result.rank_times * 1e9).tolist(), reverse=True)
    assert ends == pytest.approx([34914, 24776, 13138, 13138, 1500, 1500, 1500, 1500], rel=1e-12)
    assert result.time == result.rank_times.max()
    # In whole nanoseconds there is nothing to round.
    exact = lower(schedule, schedule.message_bytes(1024))
    timeline = events.run(exact, cs.LogGP(L=2500, o=1500, g=1000, G=6))
    assert timeline.finish.max() == 34914


def test_a_message_alone_takes_o_and_l_and_o_and_its_bytes_but_the_first():
    assert times(plan_of(("copy", 0, 0, 1)), 4, **WORDS) == [(0, 1, 1 + 5 + 1 + 3 * 2)]
    assert times(plan_of(("copy", 0, 0, 1)), 4, **WORDS, O=1) == [(0, 1 + 3, 1 + 5 + 1 + 3 * 2)]
    assert times(plan_of(("copy", 0, 0, 1)), 4, **WORDS, O=10) == [(0, 1 + 30, 1 + 5 + 1 + 3 * 10)]


@pytest.mark.parametrize("nbytes", [0, 0.5, 1])
def test_a_message_of_a_byte_or_less_takes_no_gap_per_byte(nbytes):
    assert times(plan_of(("copy", 0, 0, 1)), nbytes, **WORDS, O=1) == [(0, 1, 1 + 5 + 1)]


def test_a_send_waits_until_the_card_is_free():
    assert times(plan_of(("copy", 0, 0, [1, 2, 3])), 4, **WORDS) == [(0, 1, 13), (9, 10, 22), (18, 19, 31)]


def test_a_send_waits_until_the_processor_is_free():
    schedule = plan_of(("copy", 0, 0, [1, 2]))
    assert times(schedule, 4, L=5, o=1, g=0, G=0, O=2) == [(0, 7, 13), (7, 14, 20)]


def test_a_receiver_takes_in_one_message_at_a_time_by_row():
    schedule = plan_of(("copy", 0, [3, 1, 2], 0))
    # Three heads at 6; the card is free again at 6 + 9.
    assert times(schedule, 4, **WORDS) == [(0, 1, 13), (0, 1, 22), (0, 1, 31)]


def test_who_needs_nothing_that_is_busy_does_not_wait_behind_who_does():
    schedule = plan_of(("copy", 0, 0, [1, 2]), ("copy", 0, 3, 0))
    # The second send came at 0 and waits for the card until 9; the message that comes at 6 is taken in before, and
    # then has the processor until 13.
    assert times(schedule, 4, **WORDS) == [(0, 1, 13), (13, 14, 26), (0, 1, 13)]


def test_a_send_and_a_receive_that_need_the_same_processor_go_by_when_they_came_then_by_row():
    late = [6, 0, 0, 0]
    # Rank 0 starts at 6, when the head from rank 1 is there too.
    assert times(plan_of(("copy", 0, 1, 0), ("copy", 0, 0, 2)), 4, offsets=late, **WORDS)[1][0] == 13
    assert times(plan_of(("copy", 0, 0, 2), ("copy", 0, 1, 0)), 4, offsets=late, **WORDS) == [(6, 7, 19), (0, 1, 14)]


def test_an_eager_sender_does_not_wait_for_its_receiver():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 0, 2))
    # Rank 1 starts at 50: the message is taken in before, and complete when the receive is posted.
    assert times(schedule, 4, offsets=[0, 50, 0, 0], **WORDS) == [(0, 1, 50), (9, 10, 22)]


def test_a_receiver_that_is_not_ready_yet_takes_messages_in_all_the_same():
    schedule = plan_of(("copy", 0, [1, 2], 0))
    assert times(schedule, 4, offsets=[20, 0, 0, 0], **WORDS) == [(0, 1, 20), (0, 1, 22)]


def test_the_sender_of_a_long_message_waits_until_it_is_matched():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 0, 2))
    # Posted at once: matched when the receiver begins to take it in, at 6. Posted at 50: then.
    assert times(schedule, 4, S=3, **WORDS) == [(0, 6, 13), (9, 15, 22)]
    assert times(schedule, 4, S=3, offsets=[0, 50, 0, 0], **WORDS) == [(0, 50, 50), (50, 56, 63)]
    assert times(schedule, 4, S=4, **WORDS) == times(schedule, 4, **WORDS)


def test_the_sender_of_a_long_message_is_not_done_before_its_own_part():
    assert times(plan_of(("copy", 0, 0, 1)), 4, S=0, L=2, o=1, g=0, G=0, O=10) == [(0, 31, 34)]


def test_reductions_and_work_take_the_same_processor():
    schedule = plan_of(("reduce", 0, [1, 2], 0), ("compute", 0, 0, 8.0))
    # The work first, then the first message from 8 to 15. Its reduction comes at 15, when the second message has
    # waited since 6; that has to wait for the card until 17.
    assert times(schedule, 4, gamma=1, **WORDS) == [(0, 1, 19), (0, 1, 30), (0, 8, 8)]


def test_in_dataflow_a_place_may_be_overwritten_when_it_has_been_sent():
    schedule = plan_of(("copy", 0, 1, 2), ("copy", 1, 0, 1))
    # Row 1 is sent at once; it is taken in at 13, long after rank 1 has sent what was there before.
    assert times(schedule, 4, ordering="dataflow", **WORDS) == [(0, 1, 13), (0, 1, 13)]
    late = times(schedule, 4, ordering="dataflow", offsets=[0, 30, 0, 0], **WORDS)
    assert late == [(30, 31, 43), (0, 1, 31)]  # complete when the receive is posted, after the send


def test_in_dataflow_what_has_come_is_sent_on_when_it_has_finished():
    schedule = plan_of(("copy", 0, 0, 1), ("copy", 1, 1, 2))
    assert times(schedule, 4, ordering="dataflow", **WORDS) == [(0, 1, 13), (13, 14, 26)]


def test_in_dataflow_a_second_write_is_complete_after_the_first():
    schedule = plan_of(("copy", 0, 0, 2), ("copy", 1, 1, 2))
    assert times(schedule, 4, ordering="dataflow", offsets=[20, 0, 0, 0], **WORDS) == [(20, 21, 33), (0, 1, 33)]


def test_explicit_dependencies_hold_up_both_ends():
    plan = cs.ScheduleBuilder("all_reduce", ranks=4)
    plan.copy(0, 2, 3, after=plan.copy(0, 0, 1))
    assert times(plan.build(), 4, ordering="explicit", **WORDS) == [(0, 1, 13), (13, 14, 26)]


def test_a_topology_gives_l_and_g_of_each_pair():
    links = [cs.Link(0, 1, 4.0, 1.0), cs.Link(1, 2, 2.0, 3.0), cs.Link(2, 0, 1.0, 0.5)]
    net = cs.Topology("line", 3, links)
    schedule = plan_of(("copy", 0, 0, 2), ranks=3)
    assert times(schedule, 5, topology=net, o=1) == [(0, 1, 1 + (1 + 3) + 1 + 4 * 0.5)]


def test_headers_are_bytes_like_others_but_are_not_reduced():
    schedule = plan_of(("reduce", 0, 0, 1))
    graph = lower(schedule, np.array([3.0]), gamma=10, header_bytes=1)
    timeline = events.run(graph, cs.LogGP(**WORDS))
    assert timeline.arrive.tolist() == [13]
    assert timeline.finish.tolist() == [13 + 30]


def test_only_the_events_engine_knows_it():
    schedule = cs.make_schedule("all_reduce", "ring", ranks=3)
    graph = lower(schedule, schedule.message_bytes(3))
    assert choose_engine("auto", graph, cs.LogGP(**WORDS)).name == "events"
    with pytest.raises(cs.InputError, match="alpha-beta only, not loggp"):
        choose_engine("stepwise", graph, cs.LogGP(**WORDS))


# An oracle of plain loops, ordered by step: no graph, no joins, no SimPy


def by_plain_loops(schedule, payload, model, gamma, offsets):
    """Walk through all instants; at each one first see what has come, then let every host serve who is next.

    Times are whole or binary fractions, so nothing is rounded. A host serves with o > 0, so that what it does changes
    nothing else at the same instant.
    """
    rows = range(len(schedule))
    src, dst, step = schedule.src.tolist(), schedule.dst.tolist(), schedule.step.tolist()
    message = schedule.transfers.tolist()
    nbytes = payload.tolist()
    work = [gamma * nbytes[i] if schedule.op[i] == cs.Op.REDUCE else float(schedule.seconds[i]) for i in rows]
    more = [max(n - 1, 0) for n in nbytes]
    out_cpu = [model.o + m * model.O for m in more]
    in_cpu = [model.o + m * max(model.O, model.G) for m in more]
    card = [model.g + m * model.G for m in more]
    free = Counter()  # (host, part) -> when it is free again
    found = {name: {} for name in (*TIMES, "begun", "taken", "ready", "posted")}
    ranks = range(schedule.ranks)
    entered = dict.fromkeys(ranks, 0)  # how many steps each rank has entered

    def own_end(rank, i):
        return found["sent"].get(i) if message[i] and src[i] == rank else found["finish"].get(i)

    def see(now):
        """Note all that follows from what is known; say whether there was anything."""
        before = sum(map(len, found.values())), sum(entered.values())
        for rank in ranks:
            earlier = [own_end(rank, i) for i in rows if rank in (src[i], dst[i]) and step[i] < entered[rank]]
            on_time = offsets[rank] <= now and all(end is not None and end <= now for end in earlier)
            if on_time and entered[rank] < schedule.steps:
                for i in rows:
                    if step[i] == entered[rank]:
                        if src[i] == rank:
                            found["ready"][i] = now
                        if dst[i] == rank:
                            found["posted"][i] = now
                entered[rank] += 1
        for i in rows:
            if message[i]:
                if i in found["start"]:
                    own_part = found["start"][i] + out_cpu[i]
                    matched = [found[name].get(i) for name in ("begun", "posted")]
                    if nbytes[i] <= model.S:
                        found["sent"][i] = own_part
                    elif None not in matched:
                        found["sent"][i] = max(own_part, *matched)
                if i in found["taken"] and i in found["posted"]:
                    found["arrive"][i] = max(found["taken"][i], found["posted"][i])
                    if not work[i]:
                        found["finish"][i] = found["arrive"][i]
            elif i in found["ready"] and not work[i]:
                found["start"][i] = found["sent"][i] = found["arrive"][i] = found["finish"][i] = found["ready"][i]
        return before != (sum(map(len, found.values())), sum(entered.values()))

    def waiting(host, now):
        """(came, row, what, needs) of those who could be served."""
        for i in rows:
            if message[i] and src[i] == host and i in found["ready"] and i not in found["start"]:
                yield found["ready"][i], i, "send", {"cpu": out_cpu[i], "out": card[i]}
            if message[i] and dst[i] == host and i in found["start"] and i not in found["begun"]:
                yield found["start"][i] + model.o + model.L, i, "take in", {"cpu": in_cpu[i], "in": card[i]}
            came = found["arrive" if message[i] else "ready"].get(i)
            if dst[i] == host and work[i] and came is not None and i not in found["finish"]:
                yield came, i, "work", {"cpu": work[i]}

    now, served = 0.0, True
    while True:
        while see(now):
            pass
        served = False
        for host in ranks:
            able = [
                (came, i, what, needs)
                for came, i, what, needs in waiting(host, now)
                if came <= now and all(free[host, part] <= now for part in needs)
            ]
            if able:
                _, i, what, needs = min(able, key=lambda one: one[:2])
                for part, seconds in needs.items():
                    free[host, part] = now + seconds
                if what == "send":
                    found["start"][i] = now
                elif what == "take in":
                    found["begun"][i], found["taken"][i] = now, now + in_cpu[i]
                else:
                    if not message[i]:
                        found["start"][i] = found["arrive"][i] = now
                        found["sent"][i] = now + work[i]
                    found["finish"][i] = now + work[i]
                served = True
        if served:
            continue
        heads = [found["start"][i] + model.o + model.L for i in found["start"] if message[i]]
        later = [
            t for t in (*offsets, *free.values(), *heads, *(t for d in found.values() for t in d.values())) if t > now
        ]
        if not later:
            break
        now = min(later)
    return {name: [found[name][i] for i in rows] for name in TIMES}


whole = st.integers(0, 4).map(float)


@st.composite
def cases(draw):
    schedule = draw(oracles.schedules(ranks=4, chunks=2, steps=3, moves=10))
    model = cs.LogGP(
        L=draw(whole), o=draw(st.integers(1, 3)), g=draw(whole), G=draw(whole), O=draw(whole), S=draw(st.integers(0, 5))
    )
    payload = schedule.count * float(draw(st.integers(0, 4))) * schedule.transfers
    offsets = draw(st.lists(st.integers(0, 12).map(float), min_size=schedule.ranks, max_size=schedule.ranks))
    return schedule, payload, model, draw(whole), np.array(offsets)


def assert_like_plain_loops(schedule, payload, model, gamma, offsets):
    expected = by_plain_loops(schedule, payload, model, gamma, offsets.tolist())
    timeline = events.run(lower(schedule, payload, gamma=gamma, offsets=offsets), model)
    for name in TIMES:
        assert getattr(timeline, name).tolist() == expected[name], name


@settings(max_examples=150)
@given(cases())
def test_any_schedule_runs_as_plain_loops_say(case):
    assert_like_plain_loops(*case)


def test_a_wrong_parameter_would_be_noticed():
    schedule = plan_of(("copy", 0, [1, 2], 0), ("copy", 1, 0, 3))
    case = schedule, np.full(3, 4.0), cs.LogGP(**WORDS), 0.0, np.zeros(4)
    assert_like_plain_loops(*case)
    expected = by_plain_loops(*case)
    for name, value in (("L", 4), ("o", 2), ("g", 9), ("G", 3), ("O", 4), ("S", 3)):
        wrong = events.run(lower(schedule, case[1]), cs.LogGP(**{**WORDS, name: value}))
        assert any(getattr(wrong, column).tolist() != expected[column] for column in TIMES), name


@pytest.mark.parametrize("ordering", ["step", "dataflow"])
@settings(max_examples=50)
@given(oracles.schedules(), st.integers(0, 8), st.integers(0, 5))
def test_every_move_comes_to_its_end_also_where_much_takes_no_time(ordering, schedule, nbytes, longest):
    model = cs.LogGP(L=0, o=0, g=0, G=1, S=longest)  # zeros: many things at one instant
    graph = lower(schedule, schedule.message_bytes(1) * nbytes, ordering=ordering)
    timeline = events.run(graph, model)
    for name in TIMES:
        assert not np.isnan(getattr(timeline, name)).any()
    assert (timeline.start <= timeline.sent).all()
    assert (timeline.sent <= timeline.finish).all()
    assert (timeline.arrive <= timeline.finish).all()

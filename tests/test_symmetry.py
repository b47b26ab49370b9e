"""All ranks at once is the same as all ranks one by one: the messages, what they cross, and how long they take.

``COLLSIM_CASES=10000 python -m pytest tests/test_symmetry.py`` is the nightly size of the random comparison.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.algorithms.symmetric import SYMMETRIC
from collsim.bounds import bound_of_alike, lower_bound
from collsim.catalog import ALGORITHMS
from collsim.engines import symmetric
from collsim.engines.hosts import Kind, serve, serve_one
from collsim.engines.maxmin import max_min_shares, weighted_shares
from collsim.engines.symmetric import Refused, Stage, _LogGPClock, _served, _Unclear, run_schedule
from collsim.results import SymmetricResult
from collsim.schedule import Op
from collsim.simulation import choose_schedule
from collsim.symmetric import MIRROR, SHIFT, XOR, Phase

CASES = int(os.environ.get("COLLSIM_CASES", "50"))

# ranks, sides of a grid, and the two factors of a product
SIZES = (
    (2, "2x1", 1, 2),
    (3, "3", 3, 1),
    (4, "2x2", 2, 2),
    (5, "5", 1, 5),
    (6, "3x2", 2, 3),
    (8, "2x2x2", 4, 2),
    (9, "3x3", 3, 3),
    (12, "4x3", 3, 4),
    (16, "4x4", 4, 4),
)
LATTICES = (
    "star:{k}",
    "star:{k},half_duplex=true",
    "full:{k}",
    "full:{k},half_duplex=true",
    "bus:{k}",
    "backbone:{k}",
    "backbone:{k},fatpipe=true",
    "backbone:{k},half_duplex=true",
    "ring:{k}",
    "ring:{k},half_duplex=true",
    "line:{k}",
    "torus:{d}",
    "torus:{d},half_duplex=true",
    "mesh:{d}",
    "hypercube:{k}",
    "product:ring{a}xswitch{b}",
    "product:dims=switch{a}xring{b},half_duplex=true",
    "product:full{a}xswitch{b}",
    "product:dims=full{a}xfull{b},half_duplex=true",
)
OTHERS = ("fat-tree:down={a}x{b},up=1x{a}", "leaf-spine:{a}x{b}", "rail:{a}x{b}", "dragonfly:p=1,a={a},h=1")


def variants(key):
    grids = ({"dims": "2x2"}, {"dims": "4x3"}) if key[1].startswith("torus") else ()
    nested = {"groups": "4x3", "reduce_scatter": "pat", "all_reduce": "bidirectional_ring", "all_gather": "bruck"}
    levels = ({"groups": "2x2x2", "all_reduce": "halving_doubling"}, nested) if key[1] == "hierarchical" else ()
    servers = tuple({"servers": k} for k in (1, 2, 5)) if key[1] == "parameter_server" else ()
    return ({}, *ALGORITHMS[key].variants, *grids, *levels, *servers)


def both(key, ranks, options):
    """The symmetric schedule and that with rows, or None where there is no such schedule."""
    try:
        rows = cs.make_schedule(*key, ranks, **options)
    except cs.InputError:
        return None, None
    return cs.symmetric_schedule(*key, ranks, **options), rows


def network(spec, size, **figures):
    k, d, a, b = size
    try:
        return cs.load_topology(spec.format(k=k, d=d, a=a, b=b), **{"bandwidth": 1e9, "latency": 1e-6, **figures})
    except cs.InputError:
        return None


@pytest.mark.parametrize("key", SYMMETRIC, ids="-".join)
def test_the_hops_are_the_messages_of_the_schedule_rank_by_rank_in_the_same_order(key):
    compared = 0
    for ranks, options in itertools.product((*range(1, 9), 12, 33), variants(key)):
        found, schedule = both(key, ranks, options)
        if found is None:
            continue
        compared += 1
        assert (found.steps, found.chunks, found.messages) == (schedule.steps, schedule.chunks, schedule.messages)
        assert found.options == schedule.options
        assert found.collective.options == schedule.collective.options
        if ranks == 1:
            continue
        assert set(schedule.collective.shares(ranks, schedule.chunks).tolist()) == {found.share}
        head = np.flatnonzero(np.diff(schedule.message, prepend=-1))
        count = np.add.reduceat(schedule.count, head) if len(head) else schedule.count
        columns = [column[head] for column in (schedule.step, schedule.src, schedule.dst)]
        wanted = np.stack([*columns, count, schedule.op[head]], axis=1).astype(np.int64)
        rows = np.stack(list(found.rows()), axis=1).astype(np.int64)
        for end in (1, 2):  # by sender and by receiver; of each, the order of rows stays
            assert np.array_equal(
                rows[np.lexsort((rows[:, end], rows[:, 0]))], wanted[np.lexsort((wanted[:, end], wanted[:, 0]))]
            )
    assert compared >= 3


def test_a_name_that_is_registered_anew_is_not_taken_for_the_old_one(monkeypatch):
    assert cs.symmetric_schedule("all_reduce", "ring", 4) is not None
    monkeypatch.setitem(ALGORITHMS, ("all_reduce", "ring"), ALGORITHMS["all_reduce", "tree"])
    assert cs.symmetric_schedule("all_reduce", "ring", 4) is None


@pytest.mark.parametrize("spec", LATTICES)
def test_what_a_hop_crosses_by_the_dimensions_is_what_it_crosses_link_by_link(spec):
    algorithms = [
        ("all_reduce", "bidirectional_ring", {}),
        ("all_reduce", "halving_doubling", {}),
        ("all_reduce", "swing", {}),
        ("all_reduce", "torus_bucket", {}),
        ("all_reduce", "hierarchical", {}),
        ("all_gather", "pairwise", {"partners": "shift"}),
    ]
    compared = 0
    for size, (collective, name, options) in itertools.product((*SIZES[:2], *SIZES[4::2]), algorithms):
        topology = network(spec, size)
        found = None if topology is None else both((collective, name), size[0], options)[0]
        for phase in () if found is None else found.phases:
            legs = topology.lattice.legs(phase)
            if isinstance(legs, str):
                continue
            rank = np.arange(found.ranks)
            for step, hop in itertools.product(range(phase.steps), range(phase.hops)):
                receivers = phase.receivers(rank, step, hop).tolist()
                routes = [topology.route(src, dst) for src, dst in enumerate(receivers)]
                crossed = Counter(int(topology.channel[i]) for route in routes for i in route)
                wanted = Counter()
                for leg in legs:
                    times = found.ranks if leg.fatpipe else int(leg.times[step, hop])
                    wanted[times, leg.bandwidth, leg.latency] += int(leg.links[step, hop])
                for route in routes:
                    links = [(crossed[int(topology.channel[i])], topology.links[i]) for i in route]
                    assert Counter((times, link.bandwidth, link.latency) for times, link in links) == +wanted
                compared += 1
    assert compared > 5


@settings(max_examples=CASES, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_all_at_once_takes_as_long_as_one_by_one(data):
    draw = data.draw
    size = draw(st.sampled_from(SIZES))
    key = draw(st.sampled_from(list(SYMMETRIC)))
    found, rows = both(key, size[0], draw(st.sampled_from(variants(key))))
    assume(found is not None)
    model = draw(st.sampled_from(["alpha-beta", "loggp", "maxmin", "fifo"]))
    topology = None
    if model in ("maxmin", "fifo") or draw(st.booleans()):
        figures = {"bandwidth": draw(st.sampled_from([1e9, 3.7e8])), "latency": draw(st.sampled_from([0, 1e-6]))}
        topology = network(draw(st.sampled_from(LATTICES + OTHERS)), size, **figures)
        assume(topology is not None and topology.ranks >= size[0])
    own = {}
    if model == "alpha-beta" and topology is None:
        own = {"alpha": draw(st.sampled_from([0, 2.2e-5])), "beta": draw(st.sampled_from([0, 4.4e-9]))}
    elif model == "loggp":
        own = {"o": draw(st.sampled_from([0, 3e-7])), "g": draw(st.sampled_from([0, 2.7e-6, 1e-4])), "O": 3e-10}
        own |= {"S": draw(st.sampled_from([0, 65535]))} | ({"L": 1e-6, "G": 6e-9} if topology is None else {})
    elif model == "fifo":
        own = draw(st.sampled_from([{}, {"packet_bytes": 1000}]))
    given_ = {
        "nbytes": 0 if key[0] == "barrier" else draw(st.sampled_from([0, 1, 10_000])),
        "gamma": draw(st.sampled_from([0, 1e-10, 3.3e-9])),
        "header_bytes": draw(st.sampled_from([0, 16])),
        "model": model,
        "parameters": own,
    }
    try:
        result = cs.simulate(found, topology, engine="symmetric", **given_)
    except cs.InputError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal is not None:
        assert "engine 'symmetric' cannot run this" in refusal
        return
    wanted = cs.simulate(rows, topology, engine="events", **given_)
    assert result.engine == "symmetric"
    for name, value in wanted.to_dict().items():
        if name not in ("engine", "wall_s"):
            mine = result.to_dict()[name]
            same = mine == value if isinstance(value, str | None) else math.isclose(mine, value, rel_tol=1e-9)
            assert same, (name, mine, value)
    assert np.allclose(result.rank_times, wanted.rank_times, rtol=1e-9, atol=0)
    assert np.allclose(result.sent_bytes, wanted.sent_bytes, rtol=1e-9, atol=0)


# To everybody at once; and two with messages of different sizes at once, some of them packed.
AT_ONCE = (
    ("all_reduce", "direct"),
    ("all_reduce", "sharded_parameter_server"),
    ("all_gather", "direct"),
    ("all_to_all", "spread"),
    ("all_to_all", "bruck"),
    ("all_reduce", "torus_bucket"),
)


def hosts(rng):
    """Round figures, so that many times are the same, and now and then one that is not round."""

    def seconds(*round_figures):
        return float(rng.uniform(0, 3e-6) if rng.random() < 0.2 else rng.choice(round_figures))

    own = {"o": seconds(0, 1e-6, 3e-7, 2e-6), "g": seconds(0, 1e-6, 2e-6, 5e-7), "S": int(rng.choice([0, 100, 65535]))}
    return own | {
        "O": float(rng.choice([0, 1e-10, 1e-9])),
        "G": float(rng.choice([1e-10, 1e-9])),
        "L": seconds(5e-7, 1e-6),
    }


def figures_of_a_run(rng, ranks):
    nbytes = int(rng.choice([1, ranks, 100 * ranks, 10_000]))
    return nbytes, {"gamma": float(rng.choice([0, 1e-10, 1e-9])), "header_bytes": int(rng.choice([0, 16]))}


@pytest.mark.parametrize("key", AT_ONCE, ids="-".join)
def test_a_host_serves_any_number_of_messages_at_once_as_the_full_engine_does(key, rng):
    ran = 0
    for ranks in (7, 64, 320):
        found, rows = both(key, ranks, {"radix": 4} if key[1] == "bruck" else {})
        for spec in (None, "star", "ring") if ranks < 300 else ("star",):
            nbytes, others = figures_of_a_run(rng, ranks)
            own = hosts(rng)
            topology = (
                None if spec is None else cs.load_topology(f"{spec}:{ranks}", bandwidth=1e9, latency=own.pop("L"))
            )
            if topology is not None:
                del own["G"]
            try:
                mine = run_schedule(found, nbytes, cs.LogGP(topology=topology, **own), **others).time
            except Refused:
                continue
            ran += 1
            wanted = cs.simulate(
                rows, topology, nbytes, model="loggp", parameters=own, engine="compiled", timeline=False, **others
            )
            assert mine == pytest.approx(wanted.time, rel=1e-9, abs=0)
    assert ran >= 4


@settings(max_examples=CASES)
@given(seed=st.integers(0, 2**32 - 1))
def test_where_figures_are_certain_a_host_has_the_times_of_the_reference_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    key, ranks = AT_ONCE[int(rng.choice([0, 1, 2, 3, 5]))], int(rng.integers(2, 10))
    found, rows = both(key, ranks, {})
    nbytes, others = figures_of_a_run(rng, ranks)
    own = hosts(rng)
    clocks = []

    class Clock(_LogGPClock):
        def __init__(self, model):
            super().__init__(model)
            clocks.append(self)

        def _each_kind(self, costs):
            raise _Unclear

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symmetric, "_LogGPClock", Clock)
        run_schedule(found, nbytes, cs.LogGP(**own), **others)
    wanted = cs.simulate(rows, nbytes=nbytes, model="loggp", parameters=own, engine="events", **others)
    assert wanted.rank_times.tolist() == [clocks[0].now] * ranks


@pytest.mark.parametrize(("spec", "nbytes"), [("star", 2**17), ("ring", 2**26)])
def test_where_rounding_decides_who_is_served_it_decides_as_in_the_full_engine(spec, nbytes, monkeypatch):
    # The send card is free when two overheads have passed since it began: one to send, one to take in.
    found, rows = both(("all_reduce", "sharded_parameter_server"), 128, {})
    topology = cs.load_topology(f"{spec}:128", bandwidth="10GB/s", latency="2us")
    given_ = {"model": "loggp", "parameters": {"o": 1e-6, "g": 2e-6}, "gamma": 1e-11}
    wanted = cs.simulate(rows, topology, nbytes, engine="compiled", **given_)
    assert cs.simulate(found, topology, nbytes, engine="symmetric", **given_).time == pytest.approx(
        wanted.time, rel=1e-9
    )
    monkeypatch.setattr(symmetric, "_is_certain", lambda phase, legs: False)
    with pytest.raises(Refused, match="messages that differ come to one host at the same instant"):
        run_schedule(found, nbytes, cs.LogGP(o=1e-6, g=2e-6, topology=topology), gamma=1e-11)


def test_where_rounding_decides_and_figures_are_not_certain_it_is_refused():
    bruck, rows = both(("all_to_all", "bruck"), 6, {"radix": 4})
    model = {"L": 1e-6, "G": 1e-9, "g": 1e-6}
    with pytest.raises(Refused, match="messages that differ come to one host at the same instant"):
        run_schedule(bruck, 6, cs.LogGP(**model))
    wanted = cs.simulate(rows, nbytes=6, model="loggp", parameters=model, engine="events")
    assert cs.simulate(bruck, nbytes=6, model="loggp", parameters=model).time == pytest.approx(wanted.time, rel=1e-9)


@pytest.mark.parametrize("key", SYMMETRIC, ids="-".join)
def test_messages_of_as_many_chunks_have_as_many_bytes_to_the_last_bit(key):
    for ranks, options in itertools.product((3, 7, 12, 33), variants(key)):
        found, rows = both(key, ranks, options)
        if found is None or key[0] == "barrier" or all(phase.hops == 1 for phase in found.phases):
            continue
        head = np.flatnonzero(np.diff(rows.message, prepend=-1))
        payload, count = rows.message_bytes(1_000_003), rows.count
        if rows.packed:
            payload, count = np.add.reduceat(payload, head), np.add.reduceat(count, head)
        for chunks in np.unique(count).tolist():
            assert len(set(payload[count == chunks].tolist())) == 1
        first = 0
        for phase in found.phases:
            here = (rows.step[head] >= first) & (rows.step[head] < first + phase.steps)
            first += phase.steps
            if phase.neighbours or (phase.count == 1).all():
                assert np.diff(np.append(head, len(rows.message)))[here].max() == 1 or (count[here] == 1).all()
                assert set(payload[here].tolist()) == set(found.payload(phase, 1_000_003).ravel().tolist())


@pytest.mark.parametrize("ranks", [2, 300, 301, 302, 65536])
def test_to_everybody_at_once_takes_what_the_closed_form_says(ranks):
    spread = cs.symmetric_schedule("all_to_all", "spread", ranks)
    n, others = 1001.0, ranks - 1
    # The processor is the bottleneck: all is sent, then all is taken in.
    busy = cs.simulate(
        spread, nbytes=1001 * ranks, model="loggp", parameters={"L": 1e-7, "G": 1e-9, "o": 3e-6, "g": 1e-6}
    )
    first = max(3e-6 * others, 3.1e-6)
    assert busy.time == pytest.approx(first + others * (3e-6 + (n - 1) * 1e-9), rel=1e-9)
    assert isinstance(busy, SymmetricResult)
    # The card is: in the pause after each message one is taken in.
    idle = cs.simulate(
        spread, nbytes=1001 * ranks, model="loggp", parameters={"L": 3e-6, "G": 1e-9, "o": 1e-6, "g": 9e-6}
    )
    assert idle.time == pytest.approx((others - 1) * 1e-5 + 4e-6 + 2e-6, rel=1e-9)


def test_one_message_is_served_as_if_it_were_one_of_many():
    kind = Kind(flight=5.0, sending=1.0, receiving=3.0, card=7.0, work=2.0, surely_sending=1.0, surely_receiving=3.0)
    for cards in ((0.0, 0.0), (4.0, 0.0), (0.0, 11.0), (6.0, 8.0)):
        assert serve_one(kind, 2.0, cards) == serve([kind], [0], 2.0, cards, 1e-9)


@pytest.mark.parametrize("key", AT_ONCE[:4], ids="-".join)
def test_one_changed_link_turns_one_host_for_all_off(key):
    found, rows = both(key, 6, {})
    slow = cs.load_topology(cs.star(6, "1GB/s", "1us"), overrides=["3-switch:bandwidth=x0.5"])
    model = {"o": 1.1e-6, "g": 1.7e-6}
    with pytest.raises(Refused, match="hosts may still be busy with the step before"):
        run_schedule(found, 6000, cs.LogGP(topology=slow, **model))
    result = cs.simulate(found, slow, 6000, model="loggp", parameters=model)
    wanted = cs.simulate(rows, slow, 6000, model="loggp", parameters=model, engine="events")
    even = cs.simulate(rows, cs.star(6, "1GB/s", "1us"), 6000, model="loggp", parameters=model, engine="events")
    assert result.time == pytest.approx(wanted.time, rel=1e-12)
    assert result.time > even.time * 1.01


@pytest.mark.parametrize("model", ["alpha-beta", "maxmin", "fifo"])
def test_one_changed_link_turns_it_off_where_it_matters_and_the_time_is_that_of_the_full_engine(model):
    ring = cs.symmetric_schedule("all_reduce", "ring", 6)
    star = cs.star(6, "1GB/s", "1us")
    slow = cs.load_topology(star, overrides=["3-switch:bandwidth=x0.5"])
    assert star.lattice is not None
    assert slow.lattice is None
    with pytest.raises(cs.InputError, match=r"ranks do not end a step together; and its 60 moves hardly do the same"):
        cs.simulate(ring, slow, "6MB", model=model, engine="symmetric")
    result = cs.simulate(ring, slow, "6MB", model=model)
    wanted = cs.simulate(cs.make_schedule("all_reduce", "ring", 6), slow, "6MB", model=model, engine="events")
    assert result.engine != "symmetric"
    assert result.time == pytest.approx(wanted.time, rel=1e-12)
    assert cs.simulate(ring, star, "6MB", model=model).engine == "symmetric"
    # A link that no message crosses changes nothing, and all ranks still end every step together.
    spare = cs.load_topology(cs.full(6, "1GB/s", "1us"), overrides=["0-3:bandwidth=x0.5"])
    same = cs.simulate(ring, spare, "6MB", model=model, engine="symmetric")
    assert same.time == pytest.approx(cs.simulate(ring, cs.full(6, "1GB/s", "1us"), "6MB", model=model).time)


def test_large_steps_are_looked_at_where_writing_all_out_would_take_longer(monkeypatch):
    monkeypatch.setattr(symmetric, "_FEW_MESSAGES", 10)
    monkeypatch.setattr(symmetric, "_MANY_TIMES", 50)
    net = cs.limit_injection(cs.star(64, "10GB/s", "1us"), "1GB/s")
    assert net.lattice is None
    ring = cs.simulate(cs.symmetric_schedule("all_reduce", "ring", 64), net, "64MB")  # two kinds of steps, 126 in all
    assert isinstance(ring, SymmetricResult)
    assert ring.time == pytest.approx(126 * (2e-6 + 1e6 / 1e9), rel=1e-9)
    swing = cs.simulate(cs.symmetric_schedule("all_reduce", "swing", 64), net, "64MB")
    assert not isinstance(swing, SymmetricResult)
    monkeypatch.setattr(symmetric, "_MOST_MESSAGES", 127)
    assert not isinstance(cs.simulate(ring.schedule, net, "64MB"), SymmetricResult)


def test_other_routes_and_other_places_have_no_dimensions():
    torus = cs.torus("4x4", "1GB/s", "1us")
    assert torus.lattice is not None
    assert cs.reroute(torus, "ecmp:seed=1").lattice is None
    assert cs.place(torus, "random:3").lattice is None
    assert cs.limit_injection(torus, "1GB/s").lattice is None
    assert torus.with_groups([range(16)]).lattice is None


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({"ordering": "dataflow"}, None),
        ({"offsets": [0, 0, 0, 1e-6]}, "do not start together"),
        ({"itemsize": 3, "nbytes": 999}, "not all of one size"),
        ({"topology": "line:4"}, "ranks of a line of 4 are not alike"),
    ],
)
def test_what_is_not_the_same_for_all_is_refused_with_the_reason_and_run_otherwise(given_, reason):
    ring = cs.symmetric_schedule("all_reduce", "ring", 4)
    values = {"topology": "star:4", "nbytes": 1000, **given_}
    values["topology"] = cs.load_topology(values["topology"], bandwidth="1GB/s", latency="1us")
    if reason is None:  # its moves written out are alike nevertheless
        assert cs.simulate(ring, engine="symmetric", **values).engine == "symmetric"
    else:
        with pytest.raises(cs.InputError, match=f"{reason}.*; and its 24 moves hardly do the same"):
            cs.simulate(ring, engine="symmetric", **values)
    result = cs.simulate(ring, **values)
    wanted = cs.simulate(cs.make_schedule("all_reduce", "ring", 4), engine="events", **values)
    assert result.time == pytest.approx(wanted.time, rel=1e-12)


def test_an_engine_that_is_asked_for_gets_the_rows():
    ring = cs.symmetric_schedule("all_reduce", "ring", 4)
    assert cs.simulate(ring, cs.star(4, 1e9, 0), 1000, engine="events").engine == "events"
    rows = cs.simulate(cs.make_schedule("all_reduce", "ring", 4), cs.star(4, 1e9, 0), 1000, engine="symmetric")
    assert len(rows.timeline.finish) == 24
    with pytest.raises(cs.InputError, match="cannot run this: its 6 moves hardly do the same"):
        cs.simulate(cs.make_schedule("all_reduce", "tree", 4), cs.star(4, 1e9, 0), 1000, engine="symmetric")
    with pytest.raises(cs.InputError, match="moves no data: its size must be 0"):
        cs.simulate(cs.symmetric_schedule("barrier", "ring", 4), cs.star(4, 1e9, 0), 1)


@pytest.mark.parametrize("topology", [None, "star", "ring", "backbone", "full"])
def test_a_million_ranks_take_what_the_closed_form_says(topology):
    ranks, n, latency, beta = 2**20, 4e9, 5e-6, 1e-10
    hops = {None: 1, "star": 2, "ring": 1, "backbone": 3, "full": 1}[topology]
    ring = cs.symmetric_schedule("all_reduce", "ring", ranks)
    if topology is None:
        result = cs.simulate(ring, alpha=latency, beta=beta, nbytes=int(n))
    else:
        figures = ["10GB/s,1000000GB/s", "5us"] if topology == "backbone" else ["10GB/s", "5us"]
        net = cs.load_topology(f"{topology}:{ranks}", bandwidth=figures[0], latency=figures[1])
        result = cs.simulate(ring, net, int(n))
        assert "links" not in vars(net)  # never made
    wide = max(beta, ranks / 1e15) if topology == "backbone" else beta
    assert result.time == pytest.approx(2 * (ranks - 1) * (hops * latency + n / ranks * wide), rel=1e-9)
    assert result.bound.seconds <= result.time
    assert result.messages_between_groups == {None: None, "star": 0, "backbone": 0}.get(topology, ring.messages)
    assert result.engine == "symmetric"


def test_sweeps_and_runs_choose_it_for_many_messages_only():
    assert isinstance(choose_schedule("all_reduce", "ring", 64), cs.Schedule)
    assert isinstance(choose_schedule("all_reduce", "ring", 64, None, {"engine": "symmetric"}), cs.SymmetricSchedule)
    assert isinstance(choose_schedule("all_reduce", "ring", 128), cs.SymmetricSchedule)
    assert isinstance(choose_schedule("all_reduce", "ring", 128, None, {"ordering": "dataflow"}), cs.Schedule)
    assert isinstance(choose_schedule("all_reduce", "tree", 4096), cs.Schedule)
    names = ["ring", "halving_doubling", "swing"]
    rows = cs.sweep(algorithm=names, ranks=[4, 65536], nbytes="1GB", topology="star", bandwidth="1GB/s", latency="1us")
    assert [row["engine"] for row in rows] == ["events", "symmetric"] * 3
    for row in rows:
        entry = ALGORITHMS["all_reduce", row["algorithm"]]
        wanted = entry.time(row["ranks"], 1e9, 2e-6, 1e-9, **entry.options)
        assert row["time_s"] == pytest.approx(wanted, rel=1e-9)


def test_what_does_not_fit_when_written_out_is_refused_with_the_reason():
    ring = cs.symmetric_schedule("all_reduce", "ring", 2**20)
    with pytest.raises(cs.InputError, match=r"one for all ranks does not do: it knows moves ordered by step only"):
        cs.simulate(ring, alpha="1us", beta=0, ordering="dataflow")


def test_the_steps_of_a_run_add_up():
    result = cs.simulate(cs.symmetric_schedule("all_to_all", "ring", 5), alpha="1us", beta="1ns/B", nbytes=1000)
    frame = result.to_frame()
    assert frame["nbytes"].tolist() == [800.0, 600.0, 400.0, 200.0]
    assert frame["finish_s"].to_numpy() == pytest.approx(np.cumsum([1.8e-6, 1.6e-6, 1.4e-6, 1.2e-6]))
    assert frame["start_s"].to_numpy()[1:] == pytest.approx(frame["finish_s"].to_numpy()[:-1])
    assert frame["finish_s"].iloc[-1] == pytest.approx(result.time)


@pytest.mark.parametrize("spec", ["star:{k}", "ring:{k}", "torus:{d}", "full:{k}", "bus:{k}", "hypercube:{k}"])
@pytest.mark.parametrize("half_duplex", [False, True])
def test_the_bound_that_takes_no_time_is_never_above_the_one_that_looks_at_every_link(spec, half_duplex):
    if half_duplex and spec.startswith("bus"):
        pytest.skip("a bus has no cables")
    for size, name in itertools.product(
        SIZES[1:6:2], ("all_reduce", "reduce_scatter", "all_gather", "all_to_all", "barrier")
    ):
        topology = network(spec + (",half_duplex=true" if half_duplex else ""), size)
        if topology is None:
            continue
        for model in (
            cs.MaxMin(topology),
            cs.AlphaBeta(topology=topology),
            cs.LogGP(o=1e-6, g=2e-6, topology=topology),
        ):
            collective, nbytes = cs.get_collective(name), 0 if name == "barrier" else 1_000_000
            given_ = (collective, size[0], nbytes, model)
            assert bound_of_alike(*given_, gamma=1e-9).seconds <= lower_bound(*given_, gamma=1e-9).seconds * (1 + 1e-12)


@settings(max_examples=50)
@given(st.data())
def test_shares_of_flows_that_count_several_times_are_those_of_so_many_flows(data):
    channels = range(3)
    bandwidth = {channel: float(data.draw(st.integers(1, 20))) for channel in channels}
    crossings = st.dictionaries(st.sampled_from(channels), st.integers(1, 3), min_size=1)
    kinds = data.draw(st.lists(st.tuples(crossings, st.integers(1, 4)), min_size=1, max_size=4))
    together = [{channel: times * many for channel, times in own.items()} for own, many in kinds]
    rates = weighted_shares(together, [math.inf] * len(kinds), bandwidth)
    routes = [[c for c, times in own.items() for _ in range(times)] for own, many in kinds for _ in range(many)]
    wanted = iter(max_min_shares(routes, [bandwidth[channel] for channel in channels]))
    for rate, (_, many) in zip(rates, kinds, strict=True):
        assert [next(wanted) for _ in range(many)] == pytest.approx([rate] * many)


def test_a_server_takes_who_came_first_and_then_who_stands_first():
    stage = Stage(np.array([0, 0, 1, 0]), np.array([2.0, 1.0, 5.0, 3.0]), np.zeros(4))
    assert _served(stage, np.array([1.0, 0.0, 0.5, 1.0])).tolist() == [1.0, 0.0, 0.5, 3.0]


def test_each_action_is_a_permutation_and_zero_stays():
    rank = np.arange(24)
    for sides, actions in (
        ((24,), (SHIFT,)),
        ((24,), (MIRROR,)),
        ((3, 8), (SHIFT, XOR)),
        ((2, 3, 4), (XOR, SHIFT, MIRROR)),
    ):
        for by in itertools.product(*(range(side) for side in sides)):
            there = Phase.of(sides, actions, by=by, count=[[1]], op=Op.COPY).receivers(rank, 0, 0)
            assert sorted(there.tolist()) == rank.tolist()
            assert (there == rank).all() == (not any(by))


@pytest.mark.parametrize("model", ["alpha-beta", "loggp", "maxmin", "fifo"])
@pytest.mark.parametrize("algorithm", ["ring", "direct"])
def test_a_latency_that_is_too_large_for_a_number_is_said_and_no_endless_run(algorithm, model):
    schedule = cs.symmetric_schedule("all_reduce", algorithm, 300)
    with pytest.raises(cs.InputError, match="too large for a number"):
        cs.simulate(schedule, cs.star(300, "10GB/s", 1e308), "1MB", model=model)

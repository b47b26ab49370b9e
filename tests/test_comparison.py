"""One schedule under several models: what each effect costs, by hand, and what is said about it."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collsim as cs
from collsim.cli import main
from collsim.comparison import EFFECTS, busiest_link, verdict
from collsim.models import MODELS
from collsim.topology import Link, Route, Topology

MS = 1e-3


def taken_apart(found):
    """Model -> (time, what adds to the time alone), in milliseconds and rounded."""
    return {
        one.result.model: (
            round(one.result.time / MS, 9),
            {effect: round(seconds / MS, 9) for effect, seconds in one.effects.items()},
        )
        for one in found
    }


def pair(*links):
    """Both directions of each link (tail, head, bandwidth, latency)."""
    return [Link(*ends, *figures) for a, b, *figures in links for ends in ((a, b), (b, a))]


# What each effect costs, worked out by hand


def test_a_gather_on_a_star_is_held_up_at_its_root_whatever_the_model_calls_that():
    # Four messages of 10 ms want the root's port, or its link. Fifo also takes them in at the switch, 10 ms more.
    found = cs.compare("gather", "flat", cs.star(5, "10GB/s", 0), "500MB")
    assert {one.alone for one in found} == {0.01}
    assert taken_apart(found) == {
        "alpha-beta": (40, {"ports": 30}),
        # Of every message the first byte, 0.1 ns, is free.
        "loggp": (39.9999996, {"ports": 30, "eager": -4e-7, "overhead": 0}),
        "maxmin": (40, {"sharing": 30}),
        "fifo": (50, {"store-and-forward": 10, "queueing": 30}),
    }


def test_a_gather_on_a_full_network_meets_in_ports_alone():
    found = cs.compare("gather", "flat", cs.full(5, "10GB/s", 0), "500MB", models=["maxmin", "fifo", "alpha-beta"])
    assert taken_apart(found) == {
        "maxmin": (10, {"sharing": 0}),
        "fifo": (10, {"store-and-forward": 0, "queueing": 0}),
        "alpha-beta": (40, {"ports": 30}),
    }
    assert verdict(found) == (
        "flat: alpha-beta takes 4 times as long as maxmin, for 30 ms of its 40 ms (75 %) are ports: ranks that send, "
        "or receive, one message after another."
    )


def test_packets_take_most_of_store_and_forward_away():
    # Three links of 10 ms: 10 + 2 more, or with a hundred packets two packets more.
    line = cs.load_topology("line:4", bandwidth="1GB/s", latency="1ms")
    settings = {"options": {"to": [3, 1, 2, 0]}, "models": ["maxmin", "fifo"]}
    found = cs.compare("send_recv", "direct", line, "10MB", **settings)
    assert taken_apart(found) == {
        "maxmin": (13, {"sharing": 0}),
        "fifo": (33, {"store-and-forward": 20, "queueing": 0}),
    }
    assert "fifo takes 2.54 times as long as maxmin" in verdict(found)
    assert "20 ms of its 33 ms (61 %) are store-and-forward" in verdict(found)
    found = cs.compare("send_recv", "direct", line, "10MB", parameters={"packet_bytes": "100kB"}, **settings)
    assert taken_apart(found)["fifo"] == (13.2, {"store-and-forward": 0.2, "queueing": 0})
    assert found[0].alone == found[1].alone == pytest.approx(13 * MS, rel=1e-12)


def test_overhead_is_what_processors_take():
    # Three rounds of a binomial broadcast: each is o + L + (n-1)G + o.
    found = cs.compare(
        "broadcast", "binomial", cs.star(8, "1GB/s", "1us"), 1001, models=["loggp", "maxmin"], parameters={"o": "50us"}
    )
    assert taken_apart(found) == {
        "loggp": (0.309, {"ports": 0, "eager": -3e-6, "overhead": 0.3}),
        "maxmin": (0.009003, {"sharing": 0}),
    }
    assert "loggp takes 34.3 times as long as maxmin" in verdict(found)
    assert "300 us of its 309 us (97 %) are overhead" in verdict(found)


def test_sharing_is_found_where_a_network_is_oversubscribed():
    # Ranks 0-3 and 4-7 behind one link each way of a quarter of what their cables have together.
    ranks = [(rank, f"leaf {rank // 4}", 1e9, 0.0) for rank in range(8)]
    net = Topology("two leaves", 8, pair(*ranks, ("leaf 0", "leaf 1", 1e9, 0.0)))
    found = cs.compare("all_to_all", "spread", net, "8MB", models=["alpha-beta", "maxmin"])
    # 7 messages of 1 MB a rank, one of which needs 1 ms alone; 16 of them cross from leaf to leaf.
    assert taken_apart(found)["alpha-beta"] == (7, {"ports": 6})
    assert taken_apart(found)["maxmin"] == (16, {"sharing": 15})
    words = verdict(found)
    assert "maxmin takes 2.29 times as long as alpha-beta, for 15 ms of its 16 ms (94 %) are sharing" in words
    assert words.endswith(
        "The most shared link, from 'leaf 0' to 'leaf 1', carries 16 MB, up to 16 messages a step, and needs 16 ms for "
        "that alone."
    )


def test_the_same_is_said_of_a_leaf_spine():
    net = cs.load_topology("leaf-spine:4x4,oversubscription=4", bandwidth="10GB/s", latency="1us")
    found = cs.compare("all_to_all", "pairwise", net, "4MB", models=["alpha-beta", "maxmin"])
    assert "are sharing: messages that cross a link at the same time" in verdict(found)
    assert "The most shared link, from 'leaf 0' to 'spine 0'" in verdict(found)
    # The same network without oversubscription shows that it is that.
    net = cs.load_topology("leaf-spine:4x4,oversubscription=1", bandwidth="10GB/s", latency="1us")
    assert "are sharing" not in verdict(cs.compare("all_to_all", "pairwise", net, "4MB"))


def test_what_two_models_have_alike_is_not_what_makes_them_disagree():
    # On a star the root's link holds up maxmin as much as fifo: 30 ms. What fifo has besides is store-and-forward.
    found = cs.compare("gather", "flat", cs.star(5, "10GB/s", 0), "500MB", models=["maxmin", "fifo"])
    assert found[1].effects["queueing"] > found[1].effects["store-and-forward"]
    assert "10 ms of its 50 ms (20 %) are store-and-forward" in verdict(found)


def test_a_model_that_is_fast_because_it_does_not_wait_is_said_to_save():
    # Ring 0, 1, 2, and the way from 2 to 0 is long. Steps that wait for each other pay for it in each of 2; sends that
    # go on pay for it once, since a message crosses every cable once at most.
    net = Topology("long", 3, pair((0, 1, 1e9, 1 * MS), (1, 2, 1e9, 1 * MS), (2, 0, 1e9, 10 * MS)))
    found = cs.compare("all_gather", "ring", net, 3, models=["alpha-beta", "loggp"])
    assert taken_apart(found)["alpha-beta"] == (pytest.approx(20, rel=1e-4), {"ports": 0})
    assert found[1].effects["eager"] == pytest.approx(-9 * MS, rel=1e-4)
    assert "alpha-beta takes 1.82 times as long as loggp, which saves 9 ms by eager: senders that go on" in verdict(
        found
    )


def test_a_calibration_is_no_effect_but_another_network():
    star = cs.star(4, "10GB/s", "1ms")
    found = cs.compare(
        "all_reduce", "ring", star, 4, models=["alpha-beta", "maxmin"], parameters={"calibration": "LV08"}
    )
    assert found[1].alone == pytest.approx(13.01 * found[0].alone, rel=1e-6)
    assert found[1].effects == {"sharing": 0}
    assert verdict(found) == (
        "ring: maxmin takes 13 times as long as alpha-beta, for without any effect they take 156.1 ms and 12 ms "
        "already."
    )


@pytest.mark.parametrize(("size", "latency"), [("4MB", "1us"), (0, 0)])
def test_models_that_agree_are_said_to(size, latency):
    found = cs.compare("all_reduce", "ring", cs.full(4, "10GB/s", latency), size)
    assert verdict(found) == "ring: the models agree within 1 %."


def test_one_model_has_nobody_to_disagree_with_and_none_says_nothing():
    found = cs.compare("all_reduce", "ring", cs.full(4, "10GB/s", 0), 4, models="fifo")
    assert verdict(found) == "ring: fifo is the only model."
    with pytest.raises(cs.InputError, match="at least one model"):
        verdict([])


def test_where_the_fastest_takes_no_time_there_is_no_ratio():
    found = cs.compare(
        "barrier", "dissemination", cs.star(2, "1GB/s", 0), 0, models=["maxmin", "loggp"], parameters={"o": "1us"}
    )
    assert verdict(found).startswith("dissemination: loggp takes 2 us, maxmin no time, for 2 us of its 2 us (100 %)")


# The busiest link


def test_the_busiest_link_is_the_one_that_needs_longest_not_the_one_with_most_bytes():
    net = Topology("slow", 3, pair((0, 1, 1e9, 0.0), (1, 2, 1e6, 0.0)))
    plan = cs.ScheduleBuilder("all_reduce", 3)
    plan.copy(0, 0, 1)
    plan.copy(1, 1, 2)
    result = cs.simulate(plan.build(), net, 1000, header_bytes=500)
    # Each message has 1000 bytes and 500 of header.
    assert busiest_link(result) == (
        "The busiest link, from rank 1 to rank 2, carries 1.5 kB, up to 1 message a step, and needs 1.5 ms for that "
        "alone."
    )


def test_links_of_one_medium_are_busy_together():
    net = cs.load_topology("bus:3", bandwidth="1GB/s", latency=0)
    result = cs.simulate(cs.make_schedule("all_gather", "ring", ranks=3), net, "3MB")
    assert "carries 6 MB, up to 3 messages a step, and needs 6 ms" in busiest_link(result)


def both_ways(topology, src, dst):
    return [Route(0.5, (0,)), Route(0.5, (1,))] if (src, dst) == (0, 1) else [Route(1.0, (2,))]


def test_a_message_that_crosses_a_medium_in_two_parts_is_one_message():
    links = [Link(0, 1, 1e6, 0.0, "air"), Link(0, 1, 1e6, 0.0, "air"), Link(1, 0, 1e9, 0.0)]
    net = Topology("air", 2, links, routes=both_ways)
    result = cs.simulate(cs.make_schedule("all_gather", "ring", ranks=2), net, 2000)
    assert "from rank 0 to rank 1, carries 1 kB, up to 1 message a step, and needs 1 ms" in busiest_link(result)


def test_without_a_network_or_a_message_there_is_no_busiest_link():
    alone = cs.make_schedule("all_reduce", "ring", ranks=1)
    for result in (
        cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=2), nbytes=8, alpha=1, beta=1),
        cs.simulate(alone, cs.star(1, 1e9, 0), 8),
    ):
        with pytest.raises(cs.InputError, match="there is no link"):
            busiest_link(result)


# Whatever is compared


@st.composite
def networks(draw):
    """Ranks and switches in a random tree of cables, with some links more: half-duplex, fatpipes, parallel ones."""
    ranks = draw(st.integers(1, 6))
    nodes = [*range(ranks), *(f"switch {i}" for i in range(draw(st.integers(0 if ranks > 1 else 1, 2))))]
    speeds, delays = st.sampled_from([1e6, 3e6, 7e6]), st.sampled_from([0.0, 1e-6, 1e-3])
    links = []
    for i in range(1, len(nodes)):
        links += pair((nodes[draw(st.integers(0, i - 1))], nodes[i], draw(speeds), draw(delays)))
    for i in range(draw(st.integers(0, 4))):
        a, b = draw(st.permutations(nodes))[:2]
        kind = draw(st.sampled_from([{}, {"medium": i}, {"fatpipe": True}]))
        links += [Link(*ends, draw(speeds) if not kind.get("medium") else 1e6, 1e-6, **kind) for ends in ((a, b),)]
    return Topology("any", ranks, links)


@settings(max_examples=40)
@given(
    net=networks(),
    case=st.sampled_from(
        [("all_reduce", "ring"), ("all_reduce", "tree"), ("all_gather", "bruck"), ("all_to_all", "pairwise")]
    ),
    size=st.sampled_from([0, 1, 777, 60_000]),
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "o": st.sampled_from([0, 1e-6, 1e-3]),
            "S": st.sampled_from([0, 100]),
            "packet_bytes": st.sampled_from([1000, 60_000]),
            "latency_factor": st.just(2),
        },
    ),
    run=st.fixed_dictionaries(
        {}, optional={"gamma": st.just("1ns"), "ordering": st.just("dataflow"), "header_bytes": st.just(64)}
    ),
)
def test_effects_add_up_to_what_lies_between_alone_and_the_time(net, case, size, parameters, run):
    found = cs.compare(*case, net, size, parameters=parameters, **run)
    assert [one.result.model for one in found] == list(MODELS)
    for one in found:
        total = math.fsum([one.alone, *one.effects.values()])
        assert total == pytest.approx(one.result.time, rel=1e-11, abs=1e-18)
        assert one.effects.keys() <= EFFECTS.keys()
        json.dumps(one.to_dict(), allow_nan=False)
    same = {one.alone for one in found if one.result.model != "maxmin" or "latency_factor" not in parameters}
    assert len(same) == 1
    # These can only hold a message up.
    for one in found:
        for effect in ("ports", "overhead"):
            if "ordering" not in run and not run.get("gamma"):
                assert one.effects.get(effect, 0.0) >= -1e-12 * one.result.time
    assert verdict(found).startswith(f"{case[1]}: ")


def test_the_comparison_is_of_the_runs_that_simulate_makes():
    net = cs.star(4, "1GB/s", "1us")
    settings = {"gamma": "1ns", "offsets": [0, 0, "1ms", 0], "itemsize": 4, "header_bytes": 16}
    schedule = cs.make_schedule("all_reduce", "tree", ranks=3)
    for one in cs.compare("allreduce", "tree", net, 4000, ranks=3, **{**settings, "offsets": [0, 0, "1ms"]}):
        alone = cs.simulate(schedule, net, 4000, model=one.result.model, **{**settings, "offsets": [0, 0, "1ms"]})
        assert one.result.to_dict() | {"wall_s": 0} == alone.to_dict() | {"wall_s": 0}


def test_several_algorithms_come_one_after_the_other_each_under_all_models():
    found = cs.compare("all_reduce", ["ring", "tree"], cs.star(4, 1e9, 0), 8, models=("fifo", "maxmin"))
    assert [(one.algorithm, one.result.model) for one in found] == [
        ("ring", "fifo"),
        ("ring", "maxmin"),
        ("tree", "fifo"),
        ("tree", "maxmin"),
    ]


def test_fewer_ranks_than_the_network_has_and_one_rank_are_fine():
    assert {one.result.schedule.ranks for one in cs.compare("all_reduce", "ring", cs.star(4, 1e9, 0), 8, ranks=3)} == {
        3
    }
    assert {one.result.time for one in cs.compare("all_reduce", "ring", cs.star(4, 1e9, 0), 8, ranks=1)} == {0.0}


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"topology": "star:4"}, "models are compared on a Topology, as load_topology returns it, got 'star:4'"),
        ({"algorithm": "rings"}, "did you mean 'ring'?"),
        ({"algorithm": []}, "no algorithm to compare"),
        ({"algorithm": 5}, "unknown all_reduce algorithm 5"),
        ({"models": []}, "no model to compare: give one or several names, or 'all'"),
        ({"models": ["maxmin", "loggb"]}, "unknown model 'loggb'; did you mean 'loggp'?"),
        ({"models": None}, "unknown model None"),
        ({"model": "maxmin"}, "unknown setting of compare: 'model'"),
        ({"alpha": 1}, "unknown setting of compare: 'alpha'"),
        ({"parameters": {"packets": 1}}, "unknown parameter of alpha-beta, loggp, maxmin, fifo: 'packets'"),
        ({"parameters": {"o": 1}, "models": "fifo"}, "unknown parameter of fifo: 'o'"),
        ({"parameters": {"L": 1}}, "takes L and G from the topology"),
        ({"parameters": ["o"]}, "parameters must be a mapping such as"),
        ({"options": ["root"]}, "options must be a mapping such as {'root': 1}, got ['root']"),
        ({"options": {"root": 1}}, "has no option 'root'"),
        ({"engine": "stepwise"}, "engine 'stepwise' cannot run this: it knows the model alpha-beta only"),
        ({"ranks": 9}, "topology 'star:4' has 4 ranks, fewer than the 9 asked for"),
        ({"nbytes": "4XB"}, "unknown unit"),
        ({"offsets": [1]}, "offsets must be one for each of the 4 ranks, got 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changed, part):
    given = {
        "collective": "all_reduce",
        "algorithm": "ring",
        "topology": cs.star(4, 1e9, 0),
        "nbytes": 8,
        **changed,
    }
    with pytest.raises(cs.InputError) as refused:
        cs.compare(**given)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


# The command


@pytest.fixture
def collsim(capsys):
    """Run ``collsim compare``; return its status and what it wrote to stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(("compare", *arguments))
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return run


STAR = ("-t", "star:4", "--bandwidth", "10GB/s", "--latency", "0", "-s", "400MB")


def test_the_command_prints_times_effects_and_a_verdict_for_each_algorithm(collsim):
    status, out, err = collsim("gather", "-a", "flat,binomial", *STAR)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "gather: 4 ranks, 400 MB on star:4 (ordering step)"
    assert lines[2].split() == [
        "algorithm", "model", "time", "alone", "ports", "sharing", "queueing", "store-and-forward", "overhead", "eager",
    ]  # fmt: skip
    row = next(line for line in lines if line.startswith("flat") and " fifo " in line)
    assert row.split() == ["flat", "fifo", "40", "ms", "10", "ms", "+20", "ms", "+10", "ms"]
    words = " ".join(out.split())
    assert "flat: fifo takes 1.33 times as long as loggp, for 10 ms of its 40 ms (25 %) are store-and-forward" in words
    assert "binomial: fifo takes" in words


def test_the_json_is_one_array_with_what_run_says_and_more(collsim):
    settings = ("--models", "fifo,maxmin", "-p", "packet_bytes=100MB", "--header-bytes", "1kB")
    status, out, err = collsim("gather", "-a", "flat", *STAR, *settings, "--json")
    assert (status, err) == (0, "")
    rows = json.loads(out)
    assert [row["model"] for row in rows] == ["fifo", "maxmin"]
    for row in rows:
        assert row["wire_bytes"] == 3 * (100_000_000 + 1000)
        assert row["time_s"] == pytest.approx(row["alone_s"] + sum(row["effects_s"].values()), rel=1e-12)
        assert row["alone_s"] == pytest.approx(0.0100001, rel=1e-12)
    assert rows[0]["effects_s"].keys() == {"store-and-forward", "queueing"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("gather", "-a", "flat", *STAR, "--models", "maxmin,foo"), "unknown model 'foo'"),
        (("gather", "-a", "flat", *STAR, "--models", ","), "no model to compare"),
        (("gather", "-a", ",", *STAR), "-a names nothing"),
        (("gather", "-a", "flat", *STAR, "--alpha", "1us"), "--alpha does not go with compare"),
        (("gather", "-a", "flat", *STAR, "--model", "fifo"), "--model does not go with compare"),
        (("gather", "-a", "flat", *STAR, "-p", "packet_bytes"), "a parameter must be KEY=VALUE"),
        (("gather", "-a", "flat", *STAR, "-n", "5"), "star:4"),
        (("gather", "-a", "flat", "-s", "1MB"), "Missing option"),
    ],
)
def test_bad_usage_ends_in_one_line_and_status_2(collsim, arguments, part):
    status, out, err = collsim(*arguments)
    assert (status, out) == (2, "")
    assert part in err
    assert err.count("\n") == 1

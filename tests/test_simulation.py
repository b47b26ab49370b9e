"""The front door and what comes out of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import oracles
import pytest

import collsim as cs
from collsim.catalog import get_algorithm

RING = cs.make_schedule("all_reduce", "ring", ranks=4)
PORTS = {"alpha": "5us", "beta": "0.1ns/B"}
STAR = cs.star(4, "10GB/s", "2.5us")

FIELDS = [
    "collective",
    "algorithm",
    "ranks",
    "size_bytes",
    "topology",
    "placement",
    "model",
    "engine",
    "ordering",
    "time_s",
    "algbw_Bps",
    "busbw_Bps",
    "steps",
    "messages",
    "wire_bytes",
    "max_sent_bytes",
    "messages_between_groups",
    "bytes_between_groups",
    "lower_bound_s",
    "lower_bound_kind",
    "lower_bound_reason",
    "efficiency",
    "wall_s",
]


def test_text_and_numbers_are_the_same_quantities():
    text = cs.simulate(
        RING, alpha="5us", beta="0.1ns/B", gamma="0.2ns", nbytes="4MB", offsets=["1us", "0s", "2us", "3us"]
    )
    numbers = cs.simulate(RING, alpha=5e-6, beta=1e-10, gamma=2e-10, nbytes=4_000_000, offsets=[1e-6, 0, 2e-6, 3e-6])
    assert text.timeline.finish.tolist() == numbers.timeline.finish.tolist()
    assert text.nbytes == 4_000_000


def test_a_network_may_be_a_topology_a_graph_a_name_a_file_or_a_spec(tmp_path):
    file = tmp_path / "net.toml"
    file.write_text('shape = "star"\nranks = 4\nbandwidth = "10GB/s"\nlatency = "2.5us"\n')
    expected = cs.simulate(RING, STAR, nbytes="4MB").time
    for network in (STAR.graph, str(file), file, "book", "book:4"):
        assert cs.simulate(RING, network, nbytes="4MB").time == pytest.approx(expected, rel=1e-12)


def test_more_ranks_in_the_network_than_in_the_schedule_are_left_idle():
    assert (
        cs.simulate(RING, cs.star(9, "10GB/s", "2.5us"), nbytes="4MB").time
        == cs.simulate(RING, STAR, nbytes="4MB").time
    )


@pytest.mark.parametrize(
    ("settings", "model", "engine", "topology"),
    [
        (PORTS, "alpha-beta", "stepwise", None),
        ({"topology": STAR}, "maxmin", "events", "star:4"),
        ({"topology": STAR, "model": "alpha-beta"}, "alpha-beta", "stepwise", "star:4"),
        (PORTS | {"ordering": "dataflow"}, "alpha-beta", "events", None),
        (PORTS | {"engine": "events"}, "alpha-beta", "events", None),
    ],
)
def test_the_defaults_fit_the_network_and_the_result_says_what_was_used(settings, model, engine, topology):
    result = cs.simulate(RING, nbytes=4096, **settings)
    assert (result.model, result.engine, result.topology) == (model, engine, topology)
    assert result.ordering == settings.get("ordering", "step")


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "no network: give a topology, or alpha and beta (alpha and beta missing)"),
        ({"alpha": 1}, "(beta missing)"),
        ({"beta": 1}, "(alpha missing)"),
        ({"topology": STAR, "alpha": 1}, "give either those or a topology"),
        ({"topology": STAR, "beta": 0}, "give either those or a topology"),
        (PORTS | {"model": "maxmin"}, "model 'maxmin' needs a topology"),
        (PORTS | {"model": "maxmim"}, "unknown model 'maxmim'; did you mean 'maxmin'?"),
        (PORTS | {"engine": "stepwize"}, "unknown engine 'stepwize'; did you mean 'stepwise'?"),
        (PORTS | {"ordering": "steps"}, "unknown ordering 'steps'; did you mean 'step'?"),
        ({"topology": STAR, "engine": "stepwise"}, "engine 'stepwise' cannot run this"),
        (PORTS | {"nbytes": -1}, "size must not be negative, got -1"),
        (PORTS | {"nbytes": 1.5}, "size must be a whole number of bytes, got 1.5"),
        (PORTS | {"nbytes": "4 gigs"}, "size '4 gigs' has the unknown unit 'gigs'"),
        (PORTS | {"nbytes": None}, "got None"),
        ({"alpha": "5 uss", "beta": 0}, "alpha '5 uss' has the unknown unit 'uss'"),
        ({"alpha": -1, "beta": 0}, "alpha must not be negative, got -1"),
        ({"alpha": 0, "beta": float("nan")}, "beta must be finite, got nan"),
        (PORTS | {"gamma": "-1ns"}, "gamma must not be negative, got '-1ns'"),
        (PORTS | {"offsets": [0, 1]}, "offsets must be one for each of the 4 ranks, got 2"),
        (PORTS | {"offsets": 5}, "offsets must be one for each of the 4 ranks, got 1"),
        (PORTS | {"offsets": [0, 0, 0, -1]}, "offset must not be negative, got -1"),
        (PORTS | {"offsets": ["0s", "0s", "0s", "late"]}, "'late'"),
        (PORTS | {"itemsize": 4, "nbytes": 10}, "size of 10 bytes is not a whole number of elements of 4 bytes"),
        (PORTS | {"itemsize": 0}, "itemsize must be a whole number of at least 1, got 0"),
        (PORTS | {"itemsize": 2.5}, "itemsize must be a whole number of at least 1, got 2.5"),
        ({"topology": "book:3"}, "'book:3' has 3 ranks, fewer than the 4 asked for"),
        ({"topology": "star:4"}, "a bandwidth is needed"),
        ({"topology": cs.star(3, 1e9, 0)}, "'star:3' has 3 ranks, fewer than the 4 asked for"),
        ({"topology": "nowhere.toml"}, "cannot read topology file 'nowhere.toml'"),
        ({"topology": 7}, "got int"),
    ],
)
def test_what_is_wrong_is_refused_with_its_value_in_one_line(settings, part):
    with pytest.raises(cs.InputError) as refused:
        cs.simulate(RING, **settings)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_a_schedule_can_be_simulated():
    with pytest.raises(cs.InputError, match="simulate needs a Schedule, as make_schedule returns it, got 'ring'"):
        cs.simulate("ring", **PORTS)


def test_ragged_offsets_are_refused():
    try:
        cs.simulate(RING, **PORTS, offsets=[[1], [1, 2]])
    except cs.InputError as error:
        assert "offsets" in str(error)  # noqa: PT017


def test_whole_elements_make_messages_of_whole_elements():
    result = cs.simulate(RING, **PORTS, nbytes=40, itemsize=4)
    assert sorted(set(result.payload.tolist())) == [8.0, 12.0]  # 10 elements in 4 chunks: 3, 3, 2, 2
    assert result.to_dict()["wire_bytes"] == 2 * 3 * 40


def test_progress_is_told():
    told = []
    cs.simulate(RING, **PORTS, nbytes=8, progress=lambda done, moves: told.append((done, moves)))
    assert told[-1] == (24, 24)


# Results


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_algbw_is_size_over_time_and_busbw_the_wire_rate_of_nccl_tests(ranks):
    schedule = cs.make_schedule("all_reduce", "ring", ranks=ranks)
    result = cs.simulate(schedule, **PORTS, nbytes="1GB")
    assert result.algbw == pytest.approx(1e9 / result.time, rel=1e-15)
    assert result.busbw == pytest.approx(result.algbw * 2 * (ranks - 1) / ranks, rel=1e-15)
    # A ring keeps every port busy: without latency its bus bandwidth is the link's.
    assert cs.simulate(schedule, alpha=0, beta=1e-10, nbytes="1GB").busbw == pytest.approx(1e10, rel=1e-12)


def test_the_time_is_when_the_last_move_has_finished():
    result = cs.simulate(RING, STAR, nbytes=4096, offsets=[0, 1, 0, 0])
    assert result.time == result.timeline.finish.max() > 1
    timeline = result.timeline
    assert (timeline.ready <= timeline.start).all()
    assert (timeline.start < timeline.arrive).all()
    assert (timeline.arrive <= timeline.finish).all()


def test_the_frame_joins_the_times_on_the_table():
    result = cs.simulate(RING, **PORTS, nbytes=4096, gamma="1ns")
    frame = result.to_frame()
    table = list(RING.to_frame().columns)
    assert list(frame.columns) == [*table, "nbytes", "ready_s", "start_s", "sent_s", "arrive_s", "finish_s"]
    assert frame[table].equals(RING.to_frame()[table])
    assert frame["nbytes"].tolist() == [1024.0] * 24
    for name in ("ready", "start", "sent", "arrive", "finish"):
        assert frame[f"{name}_s"].tolist() == getattr(result.timeline, name).tolist()
    assert cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=1), **PORTS).to_frame().empty


def test_the_dict_has_the_fields_of_the_command_line_in_their_order():
    record = cs.simulate(RING, STAR, nbytes="4MB").to_dict()
    assert list(record) == FIELDS
    assert record["collective"] == "all_reduce"
    assert record["algorithm"] == "ring"
    assert (record["ranks"], record["size_bytes"], record["topology"]) == (4, 4_000_000, "star:4")
    assert (record["model"], record["engine"], record["ordering"]) == ("maxmin", "events", "step")
    assert (record["steps"], record["messages"], record["wire_bytes"]) == (6, 24, 24_000_000)
    assert record["max_sent_bytes"] == 6_000_000
    assert record["efficiency"] == record["lower_bound_s"] / record["time_s"]
    assert record["wall_s"] > 0


@pytest.mark.parametrize("settings", [PORTS, {"alpha": 0, "beta": 0}, {"topology": "book"}], ids=str)
@pytest.mark.parametrize("nbytes", [0, 1, 4096])
@pytest.mark.parametrize("ranks", [1, 2, 5])
@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_the_dict_is_strict_json_also_where_nothing_takes_time(algorithm, ranks, nbytes, settings):
    result = cs.simulate(cs.make_schedule("all_reduce", algorithm, ranks=ranks), nbytes=nbytes, **settings)
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert list(record) == FIELDS
    numbers = [value for key, value in record.items() if key.endswith(("_s", "_bytes", "_Bps"))]
    assert all(value is None or value >= 0 for value in numbers)
    assert 0 <= record["efficiency"] <= 1
    # What takes no time has no finite bandwidth, which JSON cannot say; nothing at all has none.
    assert (record["algbw_Bps"] is None) == (result.time == 0 and nbytes > 0)
    if ranks == 1:
        assert (record["time_s"], record["busbw_Bps"], record["messages"], record["wire_bytes"]) == (0, 0, 0, 0)


def test_a_vector_that_takes_no_time_has_infinite_bandwidth_and_none_has_0():
    one = cs.make_schedule("all_reduce", "ring", ranks=1)
    assert cs.simulate(one, **PORTS, nbytes=8).algbw == math.inf
    assert cs.simulate(one, **PORTS, nbytes=0).algbw == 0
    assert cs.simulate(one, **PORTS, nbytes=8).efficiency == 1


@pytest.mark.parametrize("algorithm", oracles.ALL_REDUCE)
def test_bytes_sent_are_what_the_catalog_says(algorithm):
    entry = get_algorithm("all_reduce", algorithm)
    for ranks in [*range(1, 34), 64]:
        result = cs.simulate(cs.make_schedule("all_reduce", algorithm, ranks=ranks), **PORTS, nbytes=1001)
        record = result.to_dict()
        assert record["steps"] == entry.steps(ranks)
        assert record["wire_bytes"] == pytest.approx(entry.wire(ranks, 1001), rel=1e-12)
        assert record["max_sent_bytes"] == pytest.approx(entry.sent(ranks, 1001), rel=1e-12)
        # The same from the table itself, row by row.
        sent = np.zeros(ranks)
        for src, count in zip(result.schedule.src.tolist(), result.schedule.count.tolist(), strict=True):
            sent[src] += count * 1001 / result.schedule.chunks
        assert result.sent_bytes == pytest.approx(sent, rel=1e-12)


def test_headers_are_on_the_wire_and_in_the_figures_but_not_in_the_payload():
    result = cs.simulate(RING, **PORTS, nbytes=4096, header_bytes=16)
    record = result.to_dict()
    assert record["wire_bytes"] == result.wire_bytes == 2 * 3 * 4096 + 24 * 16
    assert record["max_sent_bytes"] == 6 * (1024 + 16)
    assert result.payload.sum() == 2 * 3 * 4096
    assert result.time == pytest.approx(6 * (5e-6 + 1040e-10), rel=1e-12)
    assert cs.simulate(RING, **PORTS, nbytes=4096, header_bytes="16B").time == result.time
    assert cs.simulate(RING, **PORTS, nbytes=4096).header_bytes == 0


def test_empty_messages_have_headers_too_and_packed_ones_only_one():
    barrier = cs.make_schedule("barrier", "dissemination", ranks=4)
    assert cs.simulate(barrier, **PORTS, header_bytes=16).wire_bytes == 16 * barrier.messages > 0
    bruck = cs.make_schedule("all_gather", "bruck", ranks=5)
    assert bruck.packed
    result = cs.simulate(bruck, **PORTS, nbytes=50, header_bytes=16)
    assert result.wire_bytes == 4 * 50 + 16 * bruck.messages
    assert result.sent_bytes.tolist() == [40 + 3 * 16] * 5


def test_gamma_works_on_the_payload_alone():
    one = cs.simulate(RING, alpha=1, beta=0, gamma=1, nbytes=4)
    assert cs.simulate(RING, alpha=1, beta=0, gamma=1, nbytes=4, header_bytes=100).time == one.time == 6 + 3


def test_messages_between_groups_are_counted_where_there_is_a_topology():
    links = cs.star(4, 1e9, 1e-6).links
    net = cs.Topology("pairs", 4, links, groups=[[0, 1], [2, 3]])
    result = cs.simulate(RING, net, nbytes=4096, header_bytes=16)
    # Of the ring's four neighbours 1 -> 2 and 3 -> 0 are in different groups, in each of its 6 steps.
    assert result.messages_between_groups == result.to_dict()["messages_between_groups"] == 12
    assert result.bytes_between_groups == result.to_dict()["bytes_between_groups"] == 12 * (1024 + 16)
    assert cs.simulate(RING, STAR, nbytes=4096).messages_between_groups == 0  # one switch, one group
    bruck = cs.make_schedule("all_gather", "bruck", ranks=4)
    alone = cs.Topology("alone", 4, links, groups=[[0], [1], [2], [3]])
    packed = cs.simulate(bruck, alone, nbytes=40, header_bytes=1)
    assert packed.messages_between_groups == bruck.messages
    assert packed.bytes_between_groups == packed.wire_bytes
    without = cs.simulate(RING, **PORTS, nbytes=4096)
    assert without.messages_between_groups is without.to_dict()["bytes_between_groups"] is None


def test_efficiency_is_one_where_bound_and_time_differ_by_rounding_and_no_more_is_forgiven():
    result = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=4), nbytes=8, alpha=1, beta=1)
    for bound, efficiency in ((result.time * (1 + 4e-16), 1.0), (result.time * 1.5, 1.5), (result.time / 2, 0.5)):
        assert replace(result, bound=replace(result.bound, seconds=bound)).efficiency == efficiency


def test_rank_times_say_when_each_rank_has_finished():
    chain = cs.ScheduleBuilder("broadcast", ranks=4)
    chain.copy(0, 0, 1)
    chain.copy(1, 1, 2)
    result = cs.simulate(chain.build(), alpha=1, beta=1, nbytes=2, offsets=[0, 0, 0, 9])
    assert result.rank_times.tolist() == [3, 6, 6, 9]
    assert result.time == 9
    eager = cs.simulate(chain.build(), nbytes=2, model=cs.LogGP(L=5, o=1, G=0))
    assert eager.rank_times.tolist() == [1, 8, 14, 0]
    assert eager.timeline.sent.tolist() == [1, 8]
    assert eager.to_frame()["sent_s"].tolist() == [1, 8]
    one = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=1), **PORTS)
    assert one.rank_times.tolist() == [0]


def test_the_result_has_the_model_with_its_parameters():
    assert cs.simulate(RING, **PORTS, nbytes=8).parameters == cs.AlphaBeta("5us", "0.1ns")
    assert cs.simulate(RING, STAR, nbytes=8).parameters.topology is STAR


@pytest.mark.parametrize("name", ["alpha-beta", "loggp", "maxmin", "fifo"])
def test_every_model_runs_on_a_topology_and_says_so(name):
    result = cs.simulate(RING, STAR, nbytes="4MB", model=name)
    assert (result.model, result.topology) == (name, "star:4")
    assert result.parameters.name == name
    assert 0 < result.efficiency <= 1


def test_its_repr_has_the_figures_with_units():
    text = "Result(all_reduce, ring, ranks=4, nbytes=4000000000, time=600 ms, busbw=10 GB/s)"
    assert repr(cs.simulate(RING, **PORTS, nbytes="4GB")) == text


def test_the_public_names_are_there_and_no_others():
    for name in cs.__all__:
        assert getattr(cs, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        cs.simulat  # noqa: B018


@pytest.mark.parametrize("engine", ["auto", "events", "compiled"])
@pytest.mark.parametrize("model", ["alpha-beta", "loggp", "maxmin", "fifo"])
def test_a_latency_that_is_too_large_for_a_number_is_said_in_one_line(model, engine):
    if engine == "compiled":
        pytest.importorskip("numba")
    schedule = cs.make_schedule("all_reduce", "naive", ranks=4)
    with pytest.raises(cs.InputError, match="too large for a number"):
        cs.simulate(schedule, cs.star(4, "10GB/s", 1e308), "1MB", model=model, engine=engine)

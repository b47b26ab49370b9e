"""Traces: a parser that refuses what is not in order, times that equal the timeline, and a word for every column."""

from __future__ import annotations

import copy
import csv
import gzip
import importlib
import json
import sys
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_runs import random_model, random_schedule, random_topology

import collsim as cs
from collsim.activities import activities, idle, lanes
from collsim.formats import FORMATS, check_trace
from collsim.formats.chrome import _microseconds
from collsim.glossary import GLOSSARY, TABLES
from collsim.occupancy import PROCESSOR, link_use, rank_use

STAR = {"bandwidth": "10GB/s", "latency": "5us"}


def run(name: str = "ring", ranks: int = 5, model: str = "maxmin", **settings: Any) -> cs.Result:
    schedule = cs.make_schedule("all_reduce", name, ranks)
    parameters = {"o": "2us", "g": "1us"} if model == "loggp" else None
    return cs.simulate(
        schedule, cs.star(ranks, **STAR), "100kB", model=model, parameters=parameters, gamma="0.05ns/B", **settings
    )


def trace(result: cs.Result, tmp_path: Any) -> dict[str, Any]:
    cs.write_trace(result, tmp_path / "x.json")
    return json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))


# ---- the parser


def nanoseconds(microseconds: float) -> int:
    """What Perfetto makes of a time: it multiplies and cuts off the rest."""
    return int(microseconds * 1000)


def parsed(document: dict[str, Any]) -> dict[str, Any]:
    """Return slices by track and arrows by number, or raise a ValueError that says what is not in order."""
    if document.get("displayTimeUnit") not in ("ms", "ns"):
        raise ValueError("no unit to display")
    names: dict[str, dict[Any, str]] = {"process_name": {}, "thread_name": {}}
    tracks: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    arrows: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for event in document["traceEvents"]:
        where = (event["pid"], event.get("tid"))
        if event["ph"] == "M":
            if event["name"] in names:
                names[event["name"]][where if event["name"] == "thread_name" else where[0]] = event["args"]["name"]
            continue
        if 0 in where:
            raise ValueError("process or thread 0 is the idle task")
        if event["ts"] < 0:
            raise ValueError("a time before the start")
        if event["ph"] == "X":
            begin, length = nanoseconds(event["ts"]), nanoseconds(event["dur"])
            if length < 0:
                raise ValueError("a slice that ends before it begins")
            tracks[where].append({**event, "begin": begin, "end": begin + length})
        elif event["ph"] in "sf":
            if event["ph"] in arrows[event["id"]]:
                raise ValueError(f"arrow {event['id']} has two ends of one kind")
            if event["ph"] == "f" and event.get("bp") != "e":
                raise ValueError("an arrow that ends at the next slice, not at the one around it")
            if not tracks[where] or not slice_at(tracks[where], nanoseconds(event["ts"])):
                raise ValueError(f"arrow {event['id']} has an end outside of any slice")
            arrows[event["id"]][event["ph"]] = {**event, "slice": tracks[where][-1]}
        else:
            raise ValueError(f"unknown event {event['ph']!r}")
    for where, slices in tracks.items():
        if where not in names["thread_name"] or where[0] not in names["process_name"]:
            raise ValueError(f"track {where} has no name")
        check_nesting(slices)
    for number, ends in arrows.items():
        if set(ends) != {"s", "f"}:
            raise ValueError(f"arrow {number} has one end only")
        if ends["f"]["ts"] < ends["s"]["ts"]:
            raise ValueError(f"arrow {number} ends before it begins")
    return {"names": names, "tracks": dict(tracks), "arrows": dict(arrows)}


def slice_at(slices: list[dict[str, Any]], time: int) -> bool:
    """Whether the slice that was begun last on a track is there at a time: the one that Perfetto takes."""
    return slices[-1]["begin"] <= time <= slices[-1]["end"]


def check_nesting(slices: list[dict[str, Any]]) -> None:
    open_ends: list[int] = []
    for one in sorted(slices, key=lambda one: (one["begin"], -one["end"])):
        while open_ends and open_ends[-1] <= one["begin"]:
            open_ends.pop()
        if open_ends and one["end"] > open_ends[-1]:
            raise ValueError(f"slices of a track overlap without nesting: {one['name']}")
        open_ends.append(one["end"])


def breaks(document: dict[str, Any], how: str) -> dict[str, Any]:
    """Return a trace with one thing wrong."""
    broken = copy.deepcopy(document)
    events = broken["traceEvents"]
    first = {kind: next(i for i, event in enumerate(events) if event["ph"] == kind) for kind in "MXsf"}
    longest = max((e for e in events if e["ph"] == "X" and e["cat"] == "send"), key=lambda e: e["dur"])
    match how:
        case "overlap":
            events.append({**longest, "ts": longest["ts"] + longest["dur"] / 2})
        case "no end":
            del events[first["f"]]
        case "no beginning":
            del events[first["s"]]
        case "twice":
            events.insert(first["f"], dict(events[first["f"]]))
        case "outside":
            events[first["f"]]["ts"] += 1e9
        case "before":
            events[first["X"]]["ts"] = -1.0
        case "negative":
            events[first["X"]]["dur"] = -1.0
        case "nameless":
            events[:] = [event for event in events if event["name"] != "thread_name"]
        case "next slice":
            del events[first["f"]]["bp"]
        case "idle task":
            events[first["X"]]["tid"] = 0
        case "unit":
            del broken["displayTimeUnit"]
        case "open":
            events[first["X"]]["ph"] = "B"
    return broken


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("overlap", "overlap without nesting"),
        ("no end", "one end only"),
        ("no beginning", "one end only"),
        ("twice", "two ends of one kind"),
        ("outside", "outside of any slice"),
        ("before", "before the start"),
        ("negative", "ends before it begins"),
        ("nameless", "has no name"),
        ("next slice", "next slice"),
        ("idle task", "idle task"),
        ("unit", "no unit"),
        ("open", "unknown event 'B'"),
    ],
)
def test_the_parser_refuses_a_broken_trace(how, message, tmp_path):
    document = trace(run(), tmp_path)
    parsed(document)
    with pytest.raises(ValueError, match=message):
        parsed(breaks(document, how))


# ---- what is written


@pytest.mark.parametrize("model", ["maxmin", "fifo", "alpha-beta", "loggp"])
@pytest.mark.parametrize("name", ["naive", "ring", "halving_doubling"])
def test_every_message_is_there_at_both_ends_and_on_its_links_at_its_times(name, model, tmp_path):
    result = run(name, model=model, ordering="dataflow" if name == "ring" else "step")
    found = parsed(trace(result, tmp_path))
    schedule, timeline = result.schedule, result.timeline
    assert len(found["arrows"]) == schedule.messages
    first = {int(message): row for row, message in reversed(list(enumerate(schedule.message)))}
    for message, ends in found["arrows"].items():
        row = first[message]
        sent, received = ends["s"]["slice"], ends["f"]["slice"]
        assert found["names"]["process_name"][sent["pid"]] == f"rank {schedule.src[row]}"
        assert found["names"]["process_name"][received["pid"]] == f"rank {schedule.dst[row]}"
        assert found["names"]["thread_name"][sent["pid"], sent["tid"]].split()[0] == "send"
        assert found["names"]["thread_name"][received["pid"], received["tid"]].split()[0] == "receive"
        assert sent["begin"] == pytest.approx(1e9 * timeline.start[row], abs=0.51)
        if model != "loggp":  # there a card is free before the message has been taken in
            assert received["end"] == pytest.approx(1e9 * timeline.arrive[row], abs=0.51)
        for one in (sent, received):
            assert one["args"]["start_s"] == timeline.start[row]
            assert one["args"]["finish_s"] == timeline.finish[row]
            assert one["args"]["bytes"] == pytest.approx(result.payload[schedule.message == message].sum())
            assert one["args"]["step"] == schedule.step[row]
    slices = [one for track in found["tracks"].values() for one in track]
    links, parts = link_use(result), rank_use(result)
    lasting = (parts.finish > parts.start) | (parts.part != PROCESSOR)
    for use, some, is_link in ((links, links.row >= 0, True), (parts, lasting, False)):
        expected = zip(np.rint(1e9 * use.start[some]), np.rint(1e9 * use.finish[some]), strict=True)
        assert sorted((one["begin"], one["end"]) for one in slices if (one["cat"] == "link") == is_link) == sorted(
            expected
        )


def test_tracks_are_named_after_what_they_show_and_sorted(tmp_path):
    found = parsed(trace(run("naive", 4), tmp_path))
    processes = found["names"]["process_name"]
    assert list(processes.values()) == ["rank 0", "rank 1", "rank 2", "rank 3", "links"]
    tracks = {(processes[pid], name) for (pid, _), name in found["names"]["thread_name"].items()}
    assert {("rank 0", "receive"), ("rank 0", "receive 3"), ("rank 0", "processor"), ("rank 1", "send")} <= tracks
    assert ("links", "rank 1 -> 'switch'") in tracks
    assert ("rank 1", "processor") not in tracks  # it has none to show
    numbers = [tid for _, tid in found["names"]["thread_name"]]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers).isdisjoint(processes)


def test_work_and_packets_and_messages_without_bytes_have_slices(tmp_path):
    plan = cs.ScheduleBuilder("all_reduce", 2, chunks=2)
    plan.compute(step=0, rank=0, seconds=5e-6)
    plan.reduce(step=1, src=[0, 1], dst=[1, 0], chunk=[0, 1])
    plan.copy(step=2, src=[0, 1], dst=[1, 0], chunk=[1, 0])
    net = cs.star(2, **STAR)
    result = cs.simulate(plan.build(), net, "10kB", model="fifo", parameters={"packet_bytes": "1kB"})
    found = parsed(trace(result, tmp_path))
    slices = [one for track in found["tracks"].values() for one in track]
    (work,) = (one for one in slices if one["cat"] == "compute")
    assert (work["begin"], work["end"], work["args"]["op"]) == (0, 5000, "COMPUTE")
    assert sum(one["cat"] == "link" for one in slices) == 4 * 2 * 5
    empty = cs.simulate(cs.make_schedule("barrier", "dissemination", 4), alpha=0, beta=0)
    assert len(parsed(trace(empty, tmp_path))["arrows"]) == empty.schedule.messages


@pytest.mark.parametrize("seed", range(12))
def test_any_run_gives_a_trace_in_order(seed, tmp_path):
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    schedule = random_schedule(rng, topology.ranks)
    settings = {"model": random_model(rng, topology), "ordering": str(rng.choice(["step", "dataflow"]))}
    result = cs.simulate(schedule, nbytes=int(rng.integers(0, 200)), gamma=float(rng.choice([0, 0.37])), **settings)
    found = parsed(trace(result, tmp_path))
    assert len(found["arrows"]) == schedule.messages


@given(st.integers(0, 10**15))
def test_a_reader_gets_the_nanoseconds_that_were_meant(number):
    assert nanoseconds(json.loads(json.dumps(_microseconds(number)))) == number


def test_some_nanoseconds_would_be_lost_without_care():
    assert any(nanoseconds(number / 1000) != number for number in range(100_000))


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_run_gives_the_same_bytes(ending, tmp_path):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    for name in ("once", "again"):
        cs.write_trace(run(), tmp_path / f"{name}{ending}")
    assert (tmp_path / f"once{ending}").read_bytes() == (tmp_path / f"again{ending}").read_bytes()


def test_packed_is_the_same_packed(tmp_path):
    result = run()
    cs.write_trace(result, tmp_path / "x.json.gz")
    cs.write_trace(result, tmp_path / "x.json")
    assert gzip.decompress((tmp_path / "x.json.gz").read_bytes()) == (tmp_path / "x.json").read_bytes()


def test_csv_and_parquet_have_every_number_in_full(tmp_path):
    result = run("halving_doubling")
    frame = result.to_frame()
    cs.write_trace(result, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["finish_s"]) for row in rows] == result.timeline.finish.tolist()
    assert list(rows[0]) == list(frame)
    parquet = pytest.importorskip("pyarrow.parquet")
    cs.write_trace(result, tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), frame)
    field = parquet.read_schema(tmp_path / "x.parquet").field("arrive_s")
    assert field.metadata == {b"unit": b"s", b"meaning": GLOSSARY["moves"]["arrive_s"].meaning.encode()}


def test_a_run_of_one_rank_for_all_has_steps_and_no_messages(tmp_path):
    result = cs.simulate(cs.symmetric_schedule("all_reduce", "ring", 64), alpha="5us", beta="0.1ns/B", nbytes="1MB")
    cs.write_trace(result, tmp_path / "x.csv")
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 126
    with pytest.raises(cs.InputError, match="only of steps"):
        cs.write_trace(result, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    untimed = run(timeline=False)
    with pytest.raises(cs.InputError, match="were not kept"):
        cs.write_trace(untimed, tmp_path / "x.json")
    for path, message in (
        ("x.txt", r"must end in .json or .json.gz or .csv or .parquet, got 'x.txt'"),
        ("", "must end in"),
        ("/nonexistent/x.csv", "no folder '/nonexistent'"),
        (tmp_path, "must end in"),
    ):
        with pytest.raises(cs.InputError, match=message):
            check_trace(path)
    (tmp_path / "x.json").mkdir()
    with pytest.raises(cs.InputError, match="it is a folder"):
        cs.write_trace(run(), tmp_path / "x.json")
    if sys.platform == "linux":
        (tmp_path / "full.csv").symlink_to("/dev/full")
        with pytest.raises(cs.InputError, match="No space left"):
            cs.write_trace(run(), tmp_path / "full.csv")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(cs.MissingDependencyError, match=r"pip install 'collsim\[parquet\]'"):
        check_trace("x.parquet")


def test_a_trace_longer_than_its_clock_is_refused(tmp_path):
    result = cs.simulate(cs.make_schedule("all_reduce", "ring", 2), alpha=1e10, beta=0, nbytes=8)
    with pytest.raises(cs.InputError, match="counts nanoseconds"):
        cs.write_trace(result, tmp_path / "x.json")


# ---- activities


def test_lanes_are_as_few_as_can_be(rng):
    start = np.sort(rng.integers(0, 50, 80)).tolist()
    finish = [begin + int(length) for begin, length in zip(start, rng.integers(0, 12, 80), strict=True)]
    found = lanes(start, finish)
    for lane in set(found):
        own = [(begin, end) for begin, end, one in zip(start, finish, found, strict=True) if one == lane]
        assert all(end <= begin for (_, end), (begin, _) in pairwise(own))
    most = max(sum(begin <= time < end for begin, end in zip(start, finish, strict=True)) for time in range(70))
    assert max(found) + 1 in (most, most + 1)  # one that takes no time needs a lane, too


def test_a_rank_is_idle_where_it_does_nothing():
    result = run("tree", 6)
    done = activities(result)
    for rank, gaps in enumerate(idle(result, done)):
        own = done[done.rank == rank]
        for begin, end in gaps:
            assert begin < end <= result.rank_times[rank]
            assert not ((own.start < end) & (own.finish > begin)).any()
        busy = sum(end - begin for begin, end in gaps)
        use = rank_use(result).occupied[rank]
        assert busy + use == pytest.approx(result.rank_times[rank])


# ---- the glossary


def test_every_column_stands_in_the_glossary_and_nothing_else():
    result = run()
    alike = cs.simulate(cs.symmetric_schedule("all_reduce", "ring", 8), alpha=1, beta=1, nbytes=8)
    report = importlib.import_module("collsim.accuracy").check(result.schedule, 1000)
    row = cs.sweep(algorithm="ring", ranks=4, nbytes=8, alpha=1, beta=1)[0]
    for table, found in {
        "run": result.to_dict(),
        "check": report.to_dict(),
        "moves": result.to_frame(),
        "steps": alike.to_frame(),
    }.items():
        assert list(found) == list(GLOSSARY[table]), table
    assert list(row) == list(alike.to_dict()) == list(GLOSSARY["run"])
    why = run("naive").explain()
    told = why.to_dict(moves=True)
    in_json_only = ["parts_s", "others"]
    assert list(GLOSSARY["explanation"]) == list(told)
    assert list(GLOSSARY["path"]) == [*why.to_frame(), *in_json_only]
    assert set(told["path"][0]) == {*list(why.to_frame())[:9], *in_json_only}
    assert [list(told[name][0]) for name in ("waits", "busiest_links", "busiest_ranks")] == [
        list(GLOSSARY["waits"]),
        *[list(GLOSSARY["busiest"])] * 2,
    ]
    assert set(TABLES) == set(GLOSSARY)


def test_units_are_those_that_names_say():
    ends = {"_s": "s", "_Bps": "B/s", "_bytes": "B"}
    for columns in GLOSSARY.values():
        for name, column in columns.items():
            assert column.meaning
            assert column.unit in ("", "s", "B", "B/s", "ulp")
            for end, unit in ends.items():
                assert not name.endswith(end) or column.unit == unit


# ---- the command


@pytest.fixture
def collsim(capsys):
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            importlib.import_module("collsim.cli").main(list(words))
        return (stop.value.code, *capsys.readouterr())

    return call


RUN = ("run", "all_reduce", "-a", "ring", "-n", "4", "-s", "1MB", "--alpha", "5us", "--beta", "0.1ns")


def test_run_writes_a_trace_and_still_prints_json(collsim, tmp_path):
    path = tmp_path / "ring.json"
    status, out, _ = collsim(*RUN, "--json", "--trace", str(path))
    assert status == 0
    assert json.loads(out)["messages"] == 24
    assert len(parsed(json.loads(path.read_text()))["arrows"]) == 24


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trace", "x.txt"], "must end in .json or"),
        (["--trace", "/nonexistent/x.json"], "no folder"),
        (["--trace", "."], "must end in"),
        (["--trace", ""], "must end in"),
        (["--trace", "x.json", "--engine", "symmetric"], "only of steps"),
        (["--trace"], "requires an argument"),
    ],
)
def test_a_trace_that_makes_no_sense_is_one_line(collsim, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = collsim(*RUN, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("end", FORMATS)
def test_a_run_without_messages_has_a_trace(end, tmp_path):
    if end == ".parquet":
        pytest.importorskip("pyarrow")
    alone = cs.simulate(cs.make_schedule("all_reduce", "ring", 1), cs.star(1, **STAR), "1MB")
    assert len(alone.schedule) == 0
    cs.write_trace(alone, tmp_path / f"x{end}")
    if end == ".json":
        found = parsed(json.loads((tmp_path / "x.json").read_text()))
        assert not found["arrows"]
        assert not found["tracks"]


def test_list_has_the_glossary(collsim):
    found = json.loads(collsim("list", "columns", "--json")[1])["columns"]
    assert {(entry["of"], entry["name"]) for entry in found} == {(t, name) for t, c in GLOSSARY.items() for name in c}
    assert "busbw_Bps" in collsim("list", "columns")[1]

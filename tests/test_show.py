"""``collsim show``: the page says what is true, fits, and is plain where colour would be lost."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import collsim as cs
from collsim.algorithms.table import ADMITS
from collsim.catalog import ALGORITHMS, make_schedule
from collsim.cli import main
from collsim.contents import history, values_by_step
from collsim.showing import select, show_lines, show_text, small_values

WRONG = """
import collsim as cs

def lost(ranks):
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    plan.reduce(step=0, src=2, dst=1)
    plan.copy(step=1, src=1, dst=0)
    plan.copy(step=2, src=0, dst=[1, 2])
    return plan.build()

def race(ranks):
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    plan.copy(step=0, src=[1, 2], dst=0)
    return plan.build()

def early(ranks):
    plan = cs.ScheduleBuilder("all_gather", ranks, ranks)
    plan.copy(step=1, src=0, dst=1, chunk=2)
    return plan.build()

def twice(ranks):
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    for step in range(3):
        plan.reduce(step=step, src=range(ranks), dst=[(rank + 1) % ranks for rank in range(ranks)])
    return plan.build()
"""


@pytest.fixture
def show(capsys):
    """Run ``collsim show``; return its status and what it wrote to stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(("show", *arguments))
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return run


@pytest.fixture
def wrong(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(WRONG)
    return file


def options_of(collective: str, ranks: int) -> dict:
    if collective == "all_to_allv":
        return {"counts": [[(i * j) % 4 for i in range(ranks)] for j in range(ranks)]}
    return (
        {"counts": [(3 * i + 1) % 5 for i in range(ranks)]}
        if collective.endswith("v") and collective[-2] != "c"
        else {}
    )


def tables(text: str) -> dict[str, dict[tuple[int, int], str]]:
    """Read the page back: under each title, what stands at (rank, chunk), its mark included."""
    found: dict[str, dict[tuple[int, int], str]] = {}
    title, chunks = "", [0]
    for line in text.splitlines():
        words = line.split()
        if line and not line.startswith(" "):
            title = line.partition(":")[0]
        elif re.match(r" +chunk", line):
            chunks = [int(word) for word in words if word != "chunk"]
        elif words[:1] == ["holds"]:
            chunks = [0]
        elif title.startswith("what each rank must"):
            continue  # with gaps
        elif re.match(r"  rank +\d+ *[ *!]", line) and "sends" not in line and "computes" not in line:
            label, cells = re.match(r"  rank +(\d+)(.*)", line).groups()
            cells = re.findall(r"[*!]?[^ *!]+", cells)
            assert len(cells) == len(chunks), line
            found.setdefault(title, {}).update({(int(label), c): cell for c, cell in zip(chunks, cells, strict=True)})
    return found


def admitted(ranks: int) -> list[tuple[str, str]]:
    return [(c, name) for (c, name), row in ALGORITHMS.items() if ADMITS[row.admits](ranks)]


@pytest.mark.parametrize(("ranks", "numbers"), [(1, False), (2, True), (3, False), (5, True), (6, False), (8, False)])
def test_every_algorithm_fits_into_80_columns_and_is_verified(ranks, numbers):
    for collective, name in admitted(ranks):
        if numbers and collective == "barrier":
            continue
        schedule = make_schedule(collective, name, ranks, **options_of(collective, ranks))
        text = show_text(schedule, values=small_values(schedule) if numbers else None)
        lines = text.splitlines()
        assert max(map(len, lines)) <= 80, (collective, name)
        assert lines[-1].endswith("verified."), (collective, name)
        assert not any("Wrong" in line or "!" in line or line != line.rstrip() for line in lines), (collective, name)


@pytest.mark.parametrize(
    ("collective", "name", "ranks"),
    [
        (c, name, k)
        for k in (4, 8)
        for c, name in admitted(k)
        if not c.startswith("all_to_all") and (k == 4 or name == "ring")
    ],
)
def test_what_the_tables_show_is_what_buffers_hold_and_stars_are_what_was_written(collective, name, ranks):
    schedule = make_schedule(collective, name, ranks, **options_of(collective, ranks))
    found, shown = history(schedule), tables(show_text(schedule, width=300))
    assert [title for title in shown if title.startswith("step")] == [f"step {n}" for n in range(len(found))]
    for title, step in [("at the start", -1), *((f"step {n}", n) for n in range(len(found)))]:
        assert len(shown[title]) == schedule.ranks * schedule.chunks
        written = found[step].written if step >= 0 else set()
        for (rank, chunk), cell in shown[title].items():
            held = found.state(step)[rank][chunk]
            assert cell.lstrip("*") in ({str(held), held.short} if held else {"-"})
            assert cell.startswith("*") == ((rank, chunk) in written)


@pytest.mark.parametrize("name", ["ring", "halving_doubling", "naive", "double_tree"])
def test_the_numbers_shown_are_those_that_execute_computes(name):
    schedule = make_schedule("all_reduce", name, 6)
    x = small_values(schedule, seed=7)
    assert (x.min() >= 1, x.max() <= 9, x.shape) == (True, True, (6, schedule.chunks))
    shown = tables(show_text(schedule, values=x, width=300))
    for step, numbers in enumerate(values_by_step(schedule, x), start=-1):
        cells = shown["at the start" if step < 0 else f"step {step}"]
        assert {place: int(cell.lstrip("*")) for place, cell in cells.items()} == {
            (rank, chunk): int(numbers[rank][chunk][0]) for rank in range(6) for chunk in range(schedule.chunks)
        }
    last = shown[f"step {schedule.steps - 1}"]
    assert [int(last[0, c].lstrip("*")) for c in range(schedule.chunks)] == cs.execute(schedule, x)[0].tolist()


def test_a_ring_of_three_reads_as_the_textbook_tells_it(show):
    status, out, err = show("ring", "-n", "3")
    assert (status, err) == (0, "")
    assert "  rank 0 sends chunk 0 (a) to rank 1, which adds it to b\n" in out
    assert "  rank 0 sends chunk 2 (a+c) to rank 1, which adds it to b\n" in out
    assert "  rank 2 sends chunk 0 (a+b+c) to rank 0, which puts it in place of a\n" in out
    assert "  rank 1 *a+b      b        b\n" in out
    assert out.endswith("Every rank ends with a+b+c in every chunk: verified.\n")
    assert "\x1b" not in out


def test_sentences_name_every_message_once_and_draw_together_what_goes_to_many(show):
    _, out, _ = show("naive", "-n", "8")
    assert "rank 3 sends d to rank 0, which adds it to a+b+c\n" in out
    assert "rank 0 sends a+b+c+d+e+f+g+h to ranks 1..7, which put it in place of their own\n" in out
    _, out, _ = show("all_reduce", "direct", "-n", "3")
    assert len(re.findall(r"rank \d sends \w to ranks [\d, ]+, which add it to their own", out)) == 3
    _, out, _ = show("halving_doubling", "-n", "4", "--step", "0")
    assert "rank 1 sends chunks 0, 1 (b each) to rank 0, which adds them to a\n" in out
    _, out, _ = show("broadcast", "binomial", "-n", "2")
    assert "rank 0 sends a to rank 1, which stores it\n" in out


def test_the_letters_are_those_of_ranks_that_bring_something(show):
    def legend(*arguments: str) -> str:
        return " ".join(show(*arguments)[1].split("\n\n")[1].split())

    assert "a, b, c are what ranks 0, 1, 2 bring, a+b is the sum of the two." in legend("ring", "-n", "3")
    assert "a to f are what ranks 0 to 5 bring, a+b is" in legend("ring", "-n", "6")
    assert "a is what rank 0 brings. *" in legend("broadcast", "flat", "-n", "6")
    assert "c is what rank 2 brings. *" in legend("broadcast", "flat", "-o", "root=2")
    assert "a, b say that ranks 0, 1 have come, a+b that both have." in legend("barrier", "ring", "-n", "2")
    assert "- a place of which a rank has nothing" in legend("broadcast", "flat")
    assert "nothing" not in legend("ring")


def test_all_to_all_names_the_parts_from_whom_for_whom(show):
    _, out, _ = show("all_to_all", "pairwise", "-n", "3")
    assert "  rank 0   aa  ab  ac\n" in out
    assert "rank 0 sends ab to rank 1, which stores it" in out
    assert out.split("what each rank must end with\n")[1].splitlines()[:3] == [
        "  rank 0   aa  ba  ca",
        "  rank 1   ab  bb  cb",
        "  rank 2   ac  bc  cc",
    ]
    _, out, _ = show("all_to_all", "pairwise", "-n", "30", "--step", "0", "--rank", "29")
    assert "r29>r28" in out
    assert max(map(len, out.splitlines())) <= 80


def test_steps_and_ranks_can_be_picked(show):
    _, out, _ = show("ring", "-n", "5", "--step", "1,3..4", "--rank", "2")
    titles = [line for line in out.splitlines() if re.match(r"(step|after|at)", line)]
    assert titles == ["after step 0", "step 1", "after step 2", "step 3", "step 4"]
    assert set(re.findall(r"rank (\d) sends", out)) == {"1", "2"}
    assert set(re.findall(r"^  rank (\d)  ?[ *]", out, re.M)) - set(re.findall(r"rank (\d) sends", out)) == set()
    rows = [line for line in out.splitlines() if re.match(r"  rank \d +\*?[a-e+]+ ", line)]
    assert {line[:8] for line in rows} == {"  rank 2"}
    whole = show("ring", "-n", "5")[1]
    assert all(line in whole for line in out.splitlines() if "sends" in line)


def test_a_pick_can_be_a_number_text_or_a_list():
    assert select(2, "step", 4) == select("2", "step", 4) == select([2], "step", 4) == [2]
    assert select("0..1, 3", "step", 4) == select([3, 0, 1, 1], "step", 4) == [0, 1, 3]
    assert select(None, "step", 3) == [0, 1, 2]
    schedule = make_schedule("all_reduce", "tree", 4)
    assert show_text(schedule, steps=[1], ranks=0) == show_text(schedule, steps="1", ranks=["0"])


@pytest.mark.parametrize(
    "pick", ["", "x", "1..", "..2", "3..1", "-1", "9", "0..9", "1.5", 9, -1, 1.5, [], [0, 9], True]
)
def test_a_pick_that_means_nothing_is_refused(pick):
    with pytest.raises(cs.InputError, match="step"):
        select(pick, "step", 4)


def test_of_many_chunks_a_step_shows_those_that_it_changes():
    schedule = make_schedule("all_reduce", "segmented_ring", 8)
    assert schedule.chunks == 32
    text = show_text(schedule, steps=3)
    written = {chunk for _, chunk in history(schedule)[3].written}
    assert {chunk for _, chunk in tables(text)["step 3"]} == written
    assert {chunk for _, chunk in tables(text)["after step 2"]} == set(range(32))


@pytest.mark.parametrize(
    ("name", "where", "marks", "fault"),
    [
        ("lost", "step 1", ["!b+c", "!b+c", "!b+c"], "rank 0, chunk 0 lacks the contribution of rank 0"),
        ("race", "step 0", ["!c", "!b", "!c"], "rank 0, chunk 0 is written twice in one step"),
        ("twice", "step 2", ["!2a+3b+3c", "!3a+2b+3c", "!3a+3b+2c"], "rank 0, chunk 0 counts more than once"),
    ],
)
def test_a_wrong_schedule_is_shown_with_where_it_is_wrong(show, wrong, name, where, marks, fault):
    status, out, err = show(f"{wrong}:{name}", "-n", "3")
    assert status == 1
    assert err.startswith(f"collsim: error: {fault}")
    assert err.count("\n") == 1
    step = re.search(rf"^{where}\n(.*?)(\n\n|\Z)", out, re.M | re.S)[1]
    assert "! Here it goes wrong:" in step
    assert out.count("goes wrong") == 1
    assert list(tables(out)[f"step {history_of(wrong, name).steps - 1}"].values()) == marks
    assert re.search(r"^Wrong: rank 0", out, re.M)
    assert "verified" not in out


def history_of(file: Path, name: str) -> cs.Schedule:
    return make_schedule("all_reduce", f"{file}:{name}", 3)


def test_a_message_without_contents_says_so(show, wrong):
    status, out, _ = show("all_gather", f"{wrong}:early", "-n", "3")
    assert status == 1
    assert "rank 0 sends chunk 2 (nothing) to rank 1, which stores it" in out
    assert "(nothing moves)" in out  # step 0


def test_with_a_network_every_step_has_its_times(show):
    net = cs.star(4, bandwidth="10GB/s", latency="5us")
    result = cs.simulate(make_schedule("all_reduce", "ring", 4), net, "4MB")
    ends = [f"{result.timeline.finish[result.schedule.step == step].max() * 1e6:.4g} us" for step in range(6)]
    _, out, _ = show("ring", "-s", "4MB", "-t", "star:4", "--bandwidth", "10GB/s", "--latency", "5us")
    assert [line.split(" to ")[1] for line in out.splitlines() if line.startswith("step")] == ends
    assert "Times: 4 MB on star:4 (model maxmin, ordering step) take 660 us in all." in " ".join(out.split())
    _, out, _ = show("ring", "-n", "3", "-s", "3MB", "--alpha", "1us", "--beta", "1ns")
    assert "step 0: 0 s to 1.001 ms\n" in out
    _, out, _ = show("ring", "-n", "3")
    assert "step 0\n" in out


def test_several_algorithms_follow_each_other(show):
    _, out, _ = show("ring,tree", "-n", "3", "--step", "0")
    assert out == show("ring", "-n", "3", "--step", "0")[1] + "\n" + show("tree", "-n", "3", "--step", "0")[1]


def test_an_algorithm_can_be_named_in_each_way_that_other_commands_know(show):
    expected = show("all_gather", "bruck", "-n", "3")
    assert expected[0] == 0
    assert show("allgather", "-a", "bruck", "-n", "3") == show("bruck", "-c", "all_gather", "-n", "3") == expected
    assert show("ring") == show("all_reduce", "ring", "-n", "4")
    assert show("naive", "-n", "4", "-o", "root=2")[1].count("to rank 2") == 3


def test_on_a_terminal_there_is_colour_and_nothing_else_differs(show, monkeypatch):
    plain = show("halving_doubling", "-n", "4")[1]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr("_pytest.capture.CaptureIO.isatty", lambda self: True, raising=False)
        patch.setattr("_pytest.capture.EncodedFile.isatty", lambda self: True, raising=False)
        coloured = show("halving_doubling", "-n", "4")[1]
    assert "\x1b[1;33m*a+b" in coloured
    bare = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_spans_join_to_the_text():
    schedule = make_schedule("scan", "linear", 3)
    lines = ["".join(span.text for span in line).rstrip() for line in show_lines(schedule)]
    assert "\n".join(lines) == show_text(schedule)
    assert {span.style for line in show_lines(schedule) for span in line} >= {"title", "changed", "done", ""}


def test_small_values_come_from_their_seed(show):
    schedule = make_schedule("all_reduce", "ring", 4)
    assert (small_values(schedule, 1) == small_values(schedule, 1)).all()
    assert (small_values(schedule, 1) != small_values(schedule, 2)).any()
    assert show("ring", "--values", "--seed", "3") == show("ring", "--values", "--seed", "3")
    assert show("ring", "--values", "--seed", "3") != show("ring", "--values", "--seed", "4")
    of_parts = make_schedule("all_gatherv", "ring", 3, counts=[4, 0, 2])
    assert small_values(of_parts).shape == (3, 6)
    on_groups = cs.on_groups([schedule] * 2, [[0, 1, 2, 3], [0, 2, 4, 6]], ranks=7)
    assert small_values(on_groups).shape == (7, 8)


def test_long_chunks_and_fractions_are_shortened():
    schedule = make_schedule("all_reduce", "naive", 2)
    text = show_text(schedule, values=np.arange(12.0).reshape(2, 6) / 3)
    assert "  rank 0  0 0.333333 0.666667 ..\n" in text


def test_the_page_is_written_and_what_it_is_of_is_said(show, tmp_path):
    file = tmp_path / "player.html"
    status, out, err = show("ring,tree", "-n", "3", "--html", str(file))
    assert (status, err) == (0, "")
    assert out == f"{file}: all_reduce by ring, tree, 3 ranks, 4 GB on book:3; open it in a browser\n"
    assert file.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name an algorithm"),
        (("rign",), "did you mean 'ring'"),
        (("all_gather",), "all_gather is a collective: name an algorithm of it"),
        (("bruck",), "not of all_reduce: use 'collsim show"),
        (("broadcst", "flat"), "unknown collective 'broadcst'"),
        (("all_gather", "ring", "tree"), "show takes a collective and an algorithm"),
        ((",",), "names no algorithm"),
        (("ring", "-n", "many"), "ranks must be a whole number"),
        (("ring", "-n", "0"), "ranks must be a whole number of at least 1"),
        (("ring", "--step", "6"), "there is no step 6 (there are 0..5)"),
        (("ring", "--rank", "1-2"), "rank must be numbers or ranges"),
        (("ring", "-n", "1", "--step", "0"), "there is no step 0 (there is none)"),
        (("barrier", "ring", "--values"), "barrier moves no data"),
        (("ring", "--values", "--seed", "one"), "seed must be a whole number"),
        (("ring", "-s", "4MB"), "--size is for times, which need a network"),
        (("ring", "--ordering", "dataflow"), "--ordering is for times"),
        (("ring", "--header-bytes", "4"), "--header-bytes is for times"),
        (("ring", "--bandwidth", "1GB/s"), "--bandwidth needs a topology"),
        (("ring", "-t", "book", "--alpha", "1us"), "--alpha and --beta describe a network without a topology"),
        (("ring", "-s", "4 parsecs", "-t", "book"), "size"),
        (("ring", "--html", "x.html", "--values"), "--values is for the text"),
        (("ring", "--html", "x.txt"), "call it something.html, got 'x.txt'"),
        (("ring,ring", "-n", "3"), "names an algorithm twice"),
        (("ring", "--html", "/no/such/folder/x.html"), "cannot write '/no/such/folder/x.html'"),
        (("ring", "-o", "speed=9"), "has no option 'speed'"),
        (("nowhere.py:ring",), "cannot read 'nowhere.py'"),
        (("ring", "--colour"), "No such option"),
    ],
)
def test_nonsense_ends_in_one_line_and_status_2(show, arguments, message):
    status, out, err = show(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("collsim: error: ")
    assert err.count("\n") == 1
    assert message in err


def test_only_a_schedule_or_a_result_can_be_shown():
    with pytest.raises(cs.InputError, match="needs a Schedule"):
        show_text("ring")
    with pytest.raises(cs.InputError, match="width"):
        show_text(make_schedule("all_reduce", "ring", 2), width=5)
    alike = cs.simulate(cs.symmetric_schedule("all_reduce", "ring", 4), alpha="1us", beta="1ns", nbytes="4MB")
    with pytest.raises(cs.InputError):
        show_text(alike)

"""The player: what its page says is what was simulated, and every control of it works in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import time
from itertools import pairwise

import numpy as np
import pytest

import collsim as cs
from collsim.contents import rank_name
from collsim.occupancy import link_use
from collsim.player import MOST_RUNS, data, player_page
from collsim.player.data import player_data
from collsim.schedule import Op
from collsim.units import format_time

WIDE, PHONE = (1280, 900), (390, 844)
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")


def star(ranks):
    return cs.star(ranks, bandwidth="10GB/s", latency="5us")


def run(collective, algorithm, ranks, net=None, nbytes="4MB", **options):
    schedule = cs.make_schedule(collective, algorithm, ranks)
    if net is None:
        return cs.simulate(schedule, nbytes=nbytes, alpha="5us", beta="0.1ns", **options)
    return cs.simulate(schedule, net, nbytes, **options)


def torus(**options):
    return run("all_reduce", "ring", 8, cs.torus("2x4", bandwidth="10GB/s", latency="1us"), **options)


def skewed():
    """A run in which ranks start at odd times, reductions cost, and messages wait for each other."""
    offsets = [0, 3e-4, 1e-5, 0, 2e-4, 0, 7e-5, 0]
    return run("all_reduce", "naive", 8, star(8), offsets=offsets, gamma="0.05ns")


def packed():
    return run("all_to_all", "bruck", 6, star(6), model="fifo", parameters={"packet_bytes": "100kB"})


def worked():
    plan = cs.ScheduleBuilder("all_reduce", ranks=2)
    plan.compute(0, rank=1, seconds="20us")
    plan.reduce(1, src=[0, 1], dst=[1, 0])
    return cs.simulate(plan.build(), star(2), "1MB")


RUNS = {
    "ring on a torus": torus,
    "uneven naive": skewed,
    "packed in packets": packed,
    "tree without a network": lambda: run("all_reduce", "tree", 9),
    "under loggp": lambda: cs.simulate(
        cs.make_schedule("all_gather", "bruck", 5), nbytes="1kB", model=cs.LogGP(L="2us", o="1us", g="1us", G="1ns/B")
    ),
    "scan by dataflow": lambda: run("scan", "recursive_doubling", 6, star(6), ordering="dataflow"),
    "barrier": lambda: run("barrier", "dissemination", 5, star(5), 0),
    "with work": worked,
    "one rank": lambda: run("all_reduce", "ring", 1, star(1)),
    "spread over paths": lambda: run(
        "all_to_all", "pairwise", 8, cs.reroute(cs.fat_tree(4, bandwidth="1GB/s", latency="1us"), "spread:most=4")
    ),
}


def first_rows(schedule):
    return np.flatnonzero(np.diff(schedule.message, prepend=-1))


def name(ranks):
    """A set of ranks as people write it, with runs of three and more shortened."""
    parts, ordered = [], sorted(ranks)
    while ordered:
        length = 1
        while length < len(ordered) and ordered[length] == ordered[0] + length:
            length += 1
        run, ordered = ordered[:length], ordered[length:]
        letters = [rank_name(rank) for rank in run]
        parts += [f"{letters[0]}..{letters[-1]}"] if length > 2 else letters
    return "+".join(parts)


def buffers_at(result, t):
    """What is in the buffers at a time, worked out with nothing but sets and the table of moves."""
    schedule, finish = result.schedule, result.timeline.finish
    ranks, chunks, before = schedule.ranks, schedule.chunks, schedule.collective.before
    start = [[{rank} if held else set() for held in before(ranks, chunks, rank)] for rank in range(ranks)]
    sent, state = {}, [[set(held) for held in row] for row in start]
    for step in range(schedule.steps):
        rows = np.flatnonzero((schedule.step == step) & schedule.transfers)
        moved = [
            (row, c) for row in rows for c in range(schedule.chunk[row], schedule.chunk[row] + schedule.count[row])
        ]
        for row, c in moved:
            sent[row, c] = set(state[schedule.src[row]][c])
        for row, c in moved:
            here = state[schedule.dst[row]][c]
            state[schedule.dst[row]][c] = sent[row, c] | (here if schedule.op[row] == Op.REDUCE else set())
    for (row, c), held in sent.items():
        if finish[row] <= t:
            here = start[schedule.dst[row]][c]
            start[schedule.dst[row]][c] = held | (here if schedule.op[row] == Op.REDUCE else set())
    return [name(held) for row in start for held in row]


def moving_at(result, t):
    timeline, rows = result.timeline, first_rows(result.schedule)
    return [
        row
        for row in rows.tolist()
        if result.schedule.transfers[row] and timeline.start[row] <= t < timeline.arrive[row]
    ]


def instants(result, count):
    """Times of events, times between them, the first and the last."""
    timeline = result.timeline
    events = np.unique(np.concatenate([timeline.start, timeline.arrive, timeline.finish, [0.0, result.time]]))
    events = events[events <= result.time]
    some = np.concatenate([events, [(a + b) / 2 for a, b in pairwise(events) if b - a > 1e-6 * result.time]])
    return np.sort(some)[np.linspace(0, len(some) - 1, count).astype(int)].tolist()


# What is in the page


@pytest.mark.parametrize("made", RUNS.values(), ids=RUNS)
def test_the_page_has_the_times_of_the_timeline_to_the_last_bit(made):
    result = made()
    found = json.loads(json.dumps(player_data(result)))
    times, rows = np.array(found["times"]), first_rows(result.schedule)
    assert found["messages"]["row"] == rows.tolist()
    for column in ("ready", "start", "sent", "arrive", "finish"):
        assert times[found["messages"][column]].tolist() == getattr(result.timeline, column)[rows].tolist()
    assert (found["time"], found["bound"], found["leftOut"]) == (result.time, result.bound.seconds, [])


def held_by_the_data(found, t):
    cells = [held for row in found["cells"]["start"] for held in row]
    for when, place, held, before in zip(
        *(found["cells"][key] for key in ("when", "place", "set", "before")), strict=True
    ):
        if found["times"][when] <= t:
            assert cells[place] == before  # so that going back is exact too
            cells[place] = held
    return [found["sets"][held][0] for held in cells]


@pytest.mark.parametrize("made", RUNS.values(), ids=RUNS)
def test_the_page_has_what_the_buffers_hold_at_any_time(made):
    result = made()
    found = player_data(result)
    for t in instants(result, 20):
        assert held_by_the_data(found, t) == buffers_at(result, t)


def test_a_buffer_ends_with_what_the_collective_promises():
    found = player_data(torus())
    assert held_by_the_data(found, found["time"]) == [
        found["sets"][held][0] for row in found["cells"]["promised"] for held in row
    ]
    assert set(held_by_the_data(found, found["time"])) == {"a..h"}


def test_the_routes_are_those_of_the_topology():
    result = torus()
    found, topology = player_data(result), result.parameters.topology
    network, messages = found["network"], found["messages"]
    for src, dst, route in zip(messages["src"], messages["dst"], messages["route"], strict=True):
        ((share, links),) = network["routes"][route]
        passed = [[network["nodes"][node][0] for node in network["links"][link][:2]] for link in links]
        assert share == 1.0
        assert passed == [[str(topology.links[i].tail), str(topology.links[i].head)] for i in topology.route(src, dst)]


@pytest.mark.parametrize("net", [star(8), cs.fat_tree(4, bandwidth="10GB/s", latency="1us"), cs.bus(8, "1GB/s", 0)])
def test_nodes_have_the_numbers_of_their_ranks(net):
    nodes = player_data(run("all_reduce", "ring", 8, net))["network"]["nodes"]
    assert [node[0] for node in nodes[: net.ranks]] == [str(rank) for rank in range(net.ranks)]
    assert {node[2] for node in nodes[: net.ranks]} == {0}
    assert all(node[2] for node in nodes[net.ranks :])


def test_switches_are_called_so_once():
    nodes = player_data(run("all_reduce", "ring", 8, star(8)))["network"]["nodes"]
    assert [node[1] for node in nodes[7:]] == ["rank 7", "switch"]
    net = cs.load_topology("leaf-spine:2x4", bandwidth="1GB/s", latency="1us")
    nodes = player_data(run("all_reduce", "ring", 8, net))["network"]["nodes"]
    assert {"switch leaf 0", "switch spine 0"} <= {node[1] for node in nodes}


def test_a_doubled_contribution_is_told():
    plan = cs.ScheduleBuilder("all_reduce", ranks=2)
    plan.reduce(0, src=0, dst=1)
    plan.reduce(1, src=0, dst=1)
    assert ["2a+b", [0, 1], 1] in player_data(cs.simulate(plan.build(), star(2), "1kB"))["sets"]


def test_the_same_run_gives_the_same_bytes_and_asks_for_nothing():
    page = player_page(torus())
    assert page == player_page([torus()])
    assert "http" not in page
    assert not re.search(r"(src|href)=\"(?!data:,|#)", page)
    assert 60_000 < len(page) < 130_000


def test_what_looks_like_an_end_of_the_script_does_not_end_it():
    title = "</script><script>alert(1)</script> & {{data}} <!--"
    page = player_page(torus(), title=title)
    assert "<title>&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; {{data}} &lt;!--</title>" in page
    inside = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(inside)["title"] == title
    assert "<" not in inside


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (lambda: [], "a page shows 1 to 4 runs side by side, got 0"),
        (lambda: [torus()] * (MOST_RUNS + 1), "a page shows 1 to 4 runs side by side, got 5"),
        (lambda: ["ring"], "a page is made of results, as simulate returns them, got 'ring'"),
        (lambda: torus(timeline=False), "the times of single moves were not kept"),
        (
            lambda: cs.simulate(cs.symmetric_schedule("all_reduce", "ring", 8), cs.ring(8, "1GB/s", "1us"), "1MB"),
            "one rank was simulated for all",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(results, words):
    with pytest.raises(cs.InputError, match=re.escape(words)):
        player_page(results())


# What is left out


def test_of_many_messages_the_first_are_shown_and_the_others_are_not_in_the_page(monkeypatch):
    result = torus()
    whole = len(json.dumps(player_data(result)))
    monkeypatch.setattr(data, "MOST_MESSAGES", 30)
    found = player_data(result)
    start, until = result.timeline.start, found["until"]
    assert 20 < len(found["messages"]["row"]) <= 30
    assert found["messages"]["row"] == np.flatnonzero(start < until).tolist()
    assert until in start
    assert found["time"] == result.time > until
    assert found["leftOut"] == [
        f"Only the first {len(found['messages']['row'])} of 112 messages are shown, those that start before "
        f"{format_time(until)}. There the clock stops; the whole run takes {format_time(result.time)}."
    ]
    assert len(json.dumps(found)) < 0.6 * whole
    # Until the clock stops the buffers are right all the same.
    for t in [t for t in instants(result, 40) if t <= until]:
        assert held_by_the_data(found, t) == buffers_at(result, t)


def test_of_many_messages_at_once_those_to_some_ranks_are_shown(monkeypatch):
    plan = cs.ScheduleBuilder("all_to_all", ranks=6, chunks=36)
    pairs = [(a, b) for a in range(6) for b in range(6) if a != b]
    plan.copy(0, [a for a, _ in pairs], [b for _, b in pairs], chunk=[6 * a + b for a, b in pairs])
    result = cs.simulate(plan.build(), star(6), "1MB")
    monkeypatch.setattr(data, "MOST_MESSAGES", 12)
    found = player_data(result)
    assert set(found["messages"]["dst"]) == {0, 1}
    assert found["cells"]["ranks"] == 2
    assert held_by_the_data(found, result.time) == buffers_at(result, result.time)[: 2 * 36]
    assert found["leftOut"][0] == "Only 10 of 30 messages are shown, those to ranks 0 to 1."


def test_of_large_buffers_a_part_is_shown_and_what_messages_carry_of_the_rest_is_not_in_the_page(monkeypatch):
    result = torus()
    monkeypatch.setattr(data, "_MOST_COLUMNS", 3)
    found = player_data(result)
    assert held_by_the_data(found, result.time) == ["a..h"] * 8 * 3
    half = result.time / 2
    assert held_by_the_data(found, half) == [
        held for place, held in enumerate(buffers_at(result, half)) if place % 8 < 3
    ]
    assert {chunk for carried in found["messages"]["carried"] for chunk in carried[::2]} == {0, 1, 2}
    assert found["leftOut"] == ["Of the buffers 3 of 8 chunks are shown, of 8 of 8 ranks."]


def test_a_network_too_large_to_draw_is_left_out(monkeypatch):
    monkeypatch.setattr(data, "_MOST_NODES", 5)
    found = player_data(torus())
    assert not found["network"]["real"]
    assert found["leftOut"] == ["The network has 8 nodes, too many to draw: ranks stand on a circle instead."]


def test_lanes_of_links_are_left_out_where_that_is_too_much(monkeypatch):
    monkeypatch.setattr(data, "_MOST_FOLLOWED", 50)
    found = player_data(torus())
    assert found["onLinks"]["message"] == []
    assert sorted(set(found["inRanks"]["rank"])) == list(range(8))
    assert len(found["leftOut"]) == 1


# In a browser


class Browser:
    """A page in a headless Chromium, and what it asked for and complained about."""

    def __init__(self, folder):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "hide-scrollbars",
            f"user-data-dir={folder / 'profile'}",
        ):
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
        self.folder = folder
        self.pages = {}
        self.command("Emulation.setFocusEmulationEnabled", enabled=True)

    def open(self, page, size=WIDE, **media):
        """Show a page, in a window of that size, and a viewer with these preferences."""
        if page not in self.pages:
            self.pages[page] = self.folder / f"{len(self.pages)}.html"
            self.pages[page].write_text(page, encoding="utf-8")
        self.resize(*size)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.command("Emulation.setEmulatedMedia", features=features)
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(self.pages[page].as_uri())

    def resize(self, width, height):
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def ask(self, code):
        return self.js(f"return {code}")

    @property
    def state(self):
        return self.ask("collsim.state")

    def click(self, where):
        """Press and release the mouse in the middle of what is there, unless something else is over it."""
        x, y, hit = self.js(
            "const found = document.querySelector(arguments[0]); found.scrollIntoView({block: 'center'});"
            "const {x, y, width, height} = found.getBoundingClientRect(), at = [x + width / 2, y + height / 2];"
            "return [...at, found.contains(document.elementFromPoint(...at))]",
            where,
        )
        assert hit, f"{where} is covered or out of sight"
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *keys):
        """Press keys, one after another; ``"Shift+ArrowLeft"`` together."""
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.keys import Keys

        names = {"ArrowLeft": Keys.LEFT, "ArrowRight": Keys.RIGHT, "ArrowDown": Keys.DOWN, "ArrowUp": Keys.UP}
        names |= {"Home": Keys.HOME, "End": Keys.END, "Tab": Keys.TAB, "Escape": Keys.ESCAPE, "Enter": Keys.ENTER}
        names |= {"Space": Keys.SPACE}
        actions = ActionChains(self.driver, duration=0)
        for key in keys:
            *held, last = [key] if key == "+" else key.split("+")
            for _ in held:
                actions.key_down(Keys.SHIFT)
            actions.send_keys(names.get(last, last))
            for _ in held:
                actions.key_up(Keys.SHIFT)
        actions.perform()

    def focused(self):
        return self.ask(
            "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
            " || document.activeElement.className || document.activeElement.tagName"
        )

    def wait(self, code, seconds=20.0):
        """Wait until something is true in the page."""
        end = time.monotonic() + seconds
        while not self.ask(code):
            assert time.monotonic() < end, f"{code} is not true after {seconds} s"
            time.sleep(0.02)

    def complaints(self):
        """What stands in the console, and what was asked of a network."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        asked = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                asked += [] if url.startswith(("file:", "data:")) else [url]
        return said + asked


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs chromium and chromedriver on the PATH")
    pytest.importorskip("selenium")
    shown = Browser(tmp_path_factory.mktemp("player"))
    yield shown
    shown.driver.quit()


@pytest.fixture(autouse=True)
def nothing_to_complain_about(request):
    """No test in the browser leaves a word in the console or asks anything of a network."""
    yield
    if "browser" in request.fixturenames and request.function is not test_complaints_are_noticed:
        assert request.getfixturevalue("browser").complaints() == []


@pytest.fixture(scope="module")
def ring_page():
    return player_page(torus())


@pytest.fixture(scope="module")
def pair_page():
    return player_page([run("all_reduce", name, 8, star(8)) for name in ("ring", "tree")])


def test_complaints_are_noticed(browser, tmp_path):
    browser.open(
        "<!doctype html><link rel=icon href='data:,'><script>console.warn('so')</script>"
        "<img src='http://127.0.0.1:9/x.png'><script>undefined.x</script>"
    )
    browser.wait("document.readyState === 'complete'")
    found = " ".join(browser.complaints())
    for word in ("so", "http://127.0.0.1:9/x.png", "TypeError"):
        assert word in found


@pytest.mark.parametrize(
    "which", ["ring on a torus", "uneven naive", "packed in packets", "with work", "one rank", "spread over paths"]
)
def test_what_is_shown_is_what_was_simulated(browser, which):
    result = RUNS[which]()
    browser.open(player_page(result))
    times = instants(result, 20)
    times += times[::-1][:10]  # backwards too
    shown = browser.js(
        "return arguments[0].map((t) => { collsim.seek(t); return [collsim.state.t, collsim.state.runs[0]]; })", times
    )
    for t, (at, state) in zip(times, shown, strict=True):
        assert at == t
        assert sorted(state["moving"]) == moving_at(result, t)
        assert state["holds"] == buffers_at(result, t)
        # What stands in a cell is the same, a letter a rank.
        for cell, held in zip(state["shown"], state["holds"], strict=True):
            assert set(cell) - set("\u00b7\u2713") == set(spelled(held)) or cell in ("\u2713", str(len(spelled(held))))


def spelled(held):
    """All letters of contents: abcd of a..d."""
    parts = [part.split("..") for part in held.split("+") if part]
    return "".join("".join(map(chr, range(ord(part[0]), ord(part[-1]) + 1))) for part in parts)


def test_a_message_is_drawn_on_the_link_that_serves_it(browser):
    result = packed()
    use, times = link_use(result), instants(result, 60)
    links = result.parameters.topology.links
    browser.open(player_page(result))
    shown = browser.js(
        "return arguments[0].map((t) => { collsim.seek(t); return collsim.state.runs[0].heads; })", times
    )
    nodes = player_data(result)["network"]
    seen = 0
    for t, heads in zip(times, shown, strict=True):
        for row, ((link, part),) in heads:
            ends = tuple(nodes["nodes"][node][0] for node in nodes["links"][link][:2])
            route = result.parameters.topology.route(result.schedule.src[row], result.schedule.dst[row])
            first = {i: use.start[(use.row == row) & (use.link == i)].min() for i in route}
            served = links[max((i for i in route if first[i] <= t), key=lambda i: first[i])]
            assert ends == (str(served.tail), str(served.head))
            assert 0 <= part <= 1
            seen += 1
    assert seen > 100


def test_a_message_moves_along_its_whole_route_in_its_time(browser):
    result = torus()
    browser.open(player_page(result))
    row = next(
        row
        for row in range(112)
        if len(result.parameters.topology.route(*(int(x[row]) for x in (result.schedule.src, result.schedule.dst))))
        == 2
    )
    start, arrive = float(result.timeline.start[row]), float(result.timeline.arrive[row])
    passed = []
    for share in (0, 0.25, 0.9, 0.999):
        browser.js(f"collsim.seek({start + share * (arrive - start)!r})")
        passed.append(dict(browser.state["runs"][0]["heads"])[row][0])
    assert passed[0][1] == 0
    assert passed[0][0] == passed[1][0] != passed[2][0] == passed[3][0]
    assert passed[3][1] > 0.99


def test_times_are_written_as_in_the_tables(browser, ring_page):
    browser.open(ring_page)
    times = instants(torus(), 40)
    shown = browser.js(
        "return arguments[0].map((t) => { collsim.seek(t); return document.getElementById('clock').textContent; })",
        times,
    )
    assert shown == [format_time(t) for t in times]


def test_every_button_does_what_it_says(browser, ring_page):
    browser.open(ring_page)
    events, steps = browser.ask("collsim.instants"), browser.ask("collsim.stepTimes")
    assert browser.state["t"] == 0
    assert len(steps) == 14 + 1
    for button, there in (
        ("forward", events[1]),
        ("forward", events[2]),
        ("back", events[1]),
        ("first", 0),
        ("step-forward", steps[1]),
        ("step-forward", steps[2]),
        ("step-back", steps[1]),
        ("last", torus().time),
        ("forward", torus().time),
        ("first", 0),
        ("back", 0),
    ):
        browser.click(f"#{button}")
        assert browser.state["t"] == there, button
    for button, speed in (("faster", 2), ("slower", 1), ("slower", 0.5)):
        browser.click(f"#{button}")
        assert browser.state["speed"] == speed
    assert browser.ask("document.getElementById('speed').textContent") == "1/2\u00d7"
    assert browser.ask("document.getElementById('play').getAttribute('aria-label')") == "Play"
    browser.click("#play")
    assert browser.state["playing"]
    assert browser.ask("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    browser.wait("collsim.state.t > 0")
    browser.click("#play")
    there = browser.state["t"]
    assert not browser.state["playing"]
    time.sleep(0.05)
    assert browser.state["t"] == there > 0
    browser.click("#help-open")
    assert browser.ask("document.getElementById('help').open")
    browser.click("#help-close")
    assert not browser.ask("document.getElementById('help').open")


def test_the_buttons_of_the_details_choose_a_message_and_go_to_it(browser, ring_page):
    browser.open(ring_page)
    starts = torus().timeline.start
    details = "document.querySelector('.details .text').textContent"
    assert browser.ask("document.querySelector('.go').disabled")
    browser.click(".go")
    assert browser.state["selected"] is None
    for button, row in (("next", 0), ("next", 1), ("next", 2), ("before", 1), ("before", 0), ("before", 0)):
        browser.click(f".details .{button}")
        assert browser.state["selected"] == [0, row], button
        assert f"step 0: rank {row} to rank {row + 1}" in browser.ask(details)
    assert browser.state["t"] == 0
    browser.click("#last")
    browser.click(".details .next")
    _, row = browser.state["selected"]
    browser.click(".go")
    assert browser.state["t"] == starts[row] == starts[1]
    browser.press(*"]" * 20)
    _, row = browser.state["selected"]
    browser.click("#play")
    browser.click(".go")
    assert browser.state["t"] == starts[row] > 0
    assert not browser.state["playing"]
    assert row in browser.state["runs"][0]["moving"]


def test_the_zoom_makes_the_timeline_wider_and_the_cursor_stays_in_sight(browser, ring_page):
    browser.open(ring_page)
    wide = "document.querySelector('.timeline').scrollWidth"
    seen = browser.ask(wide)
    browser.click(".zoom input")  # in the middle: 2^3
    inner = seen - 92 - 30
    assert browser.ask(wide) == pytest.approx(92 + 8 * inner + 30, abs=2)
    browser.press("ArrowRight", "ArrowLeft", "ArrowLeft")
    assert browser.ask(wide) == pytest.approx(92 + 2**2.5 * inner + 30, abs=2)
    assert browser.state["t"] == 0  # the keys are those of the slider
    cursor, box = (f"document.querySelector('.timeline{part}').getBoundingClientRect()" for part in (" .cursor", ""))
    for share in (0.5, 1.0, 0.1):
        browser.js(f"collsim.seek({share * torus().time!r})")
        browser.wait(f"{box}.left + 92 <= {cursor}.left && {cursor}.right <= {box}.right")
    # A click where no bar is goes to that time, by the scale of the zoom.
    place = browser.ask(f"(({{left, right, top}}) => [left, right, top])({box})")
    scrolled = browser.ask("document.querySelector('.timeline').scrollLeft")
    x = (place[0] + place[1]) / 2
    for kind in ("mousePressed", "mouseReleased"):
        browser.command("Input.dispatchMouseEvent", type=kind, x=x, y=place[2] + 12, button="left", clickCount=1)
    t = (x - place[0] - 1 - 92 + scrolled) / (2**2.5 * inner) * torus().time
    assert browser.state["t"] == pytest.approx(t, rel=0.02)
    browser.js("document.querySelector('.zoom input').focus()")
    browser.press("Home")
    assert browser.ask(wide) == seen
    assert browser.state["t"] == pytest.approx(t, rel=0.02)


def test_it_plays_to_the_end_and_from_there_from_the_start(browser, ring_page):
    browser.open(ring_page)
    for _ in range(3):
        browser.click("#faster")
    browser.js(f"collsim.seek({0.97 * torus().time!r}); collsim.play()")
    browser.wait("!collsim.state.playing")
    assert browser.state["t"] == torus().time
    assert "finished" in browser.ask("document.querySelector('.state').textContent")
    assert "finished" in browser.ask("document.getElementById('live').textContent")
    browser.click("#play")
    assert browser.state["t"] < 0.5 * torus().time


def test_the_keyboard_does_it_all(browser, ring_page):
    browser.open(ring_page)
    events, steps, end = browser.ask("collsim.instants"), browser.ask("collsim.stepTimes"), torus().time
    for keys, there in (
        (["ArrowRight"], events[1]),
        (["ArrowRight", "ArrowRight"], events[3]),
        (["ArrowLeft"], events[2]),
        (["Home", "Shift+ArrowRight", "Shift+ArrowRight"], steps[2]),
        (["Shift+ArrowLeft"], steps[1]),
        (["End"], end),
        (["Home"], 0),
    ):
        browser.press(*keys)
        assert browser.state["t"] == there, keys
    browser.press("+")
    assert browser.state["speed"] == 2
    browser.press("-", "-")
    assert browser.state["speed"] == 0.5
    browser.press("Space")
    assert browser.state["playing"]
    browser.press("Space")
    assert not browser.state["playing"]
    browser.press("]", "]", "]", "[")
    assert browser.state["selected"] == [0, 1]
    dark = browser.ask("document.documentElement.dataset.theme")
    browser.press("d")
    assert {dark, browser.ask("document.documentElement.dataset.theme")} == {"dark", "light"}
    browser.press("?")
    assert browser.ask("document.getElementById('help').open")
    browser.press("ArrowRight")
    assert browser.state["t"] <= events[1]  # keys are those of the dialogue now
    browser.press("Escape")
    assert not browser.ask("document.getElementById('help').open")


def test_the_slider_seeks_and_has_the_same_keys(browser, ring_page):
    browser.open(ring_page)
    browser.js("const s = document.getElementById('scrub'); s.value = 500; s.dispatchEvent(new Event('input'))")
    assert browser.state["t"] == pytest.approx(torus().time / 2)
    browser.js("document.getElementById('scrub').focus()")
    events = browser.ask("collsim.instants")
    browser.press("Home", "ArrowRight")
    assert browser.state["t"] == events[1]
    assert browser.ask("document.getElementById('scrub').getAttribute('aria-valuetext')") == (
        f"{format_time(events[1])} of {format_time(torus().time)}"
    )


def test_each_step_is_told_in_words(browser, ring_page):
    browser.open(ring_page)
    live = "document.getElementById('live').textContent"
    browser.press("ArrowRight")
    result, first = torus(), browser.ask("collsim.instants[1]")
    arrived = int((np.abs(result.timeline.finish - first) < 1e-9 * result.time).sum())
    assert browser.ask(live).startswith(f"{format_time(first)}. steps 0 to 1, ")
    assert f"{arrived} messages have been delivered: step 0, rank 0 to rank 1, chunk 0 (a); " in browser.ask(live)
    assert browser.ask("document.querySelector('.now').textContent").startswith(f"At {format_time(first)}")
    browser.press("]")
    assert browser.ask(live).startswith("step 1: rank ")


def test_focus_goes_through_the_page_in_order(browser, ring_page):
    browser.open(ring_page)
    found = []
    for _ in range(21):
        browser.press("Tab")
        found.append(browser.focused())
    assert found == [
        "skip",
        "theme",
        "help-open",
        "rank 0",  # the network: one stop, arrows from there
        "a",  # the first cell, which holds a
        "What happens now in ring",
        "The message before",
        "The next message",
        "Zoom of the timeline",
        browser.ask("document.querySelector('.timeline').getAttribute('aria-label')"),
        "SUMMARY",
        "scrub",
        *["first", "step-back", "back", "play", "forward", "step-forward", "last", "slower", "faster"],
    ]
    browser.js("document.querySelector('.skip').focus()")
    browser.press("Enter")
    assert browser.focused() == "controls"


PRESSED = (
    "#theme #help-open #help-close #first #step-back #back #play #forward #step-forward #last #slower #faster #scrub "
    ".skip .node .before .next .go .zoom>input summary .buffers>tbody>tr>td .timeline .now .moment>.scroll #controls"
)


def test_there_is_no_control_that_these_tests_do_not_press(browser, pair_page):
    browser.open(pair_page)
    left = "[...document.querySelectorAll('button, input, select, summary, a, [tabindex]')]"
    assert browser.ask(f"{left}.length") > 50
    assert (
        browser.ask(f"{left}.filter((e) => !e.matches('{PRESSED.replace(' ', ', ')}')).map((e) => e.outerHTML)") == []
    )


def test_arrows_walk_through_nodes_and_cells_and_tell_about_them(browser, ring_page):
    browser.open(ring_page)
    details = "document.querySelector('.details .text').textContent"
    browser.js("document.querySelector('.node').focus()")
    assert "its values are called a" in browser.ask(details)
    browser.press("ArrowRight", "ArrowDown")
    assert browser.focused() == "rank 5"
    assert "rank 5" in browser.ask(details)
    browser.js("document.querySelector('.buffers td').focus()")
    browser.press("ArrowDown", "ArrowRight", "ArrowRight")
    assert "rank 1, chunk 2" in browser.ask(details)
    assert "Holdsb (1 of 8)" in browser.ask(details)
    assert "Promiseda..h" in browser.ask(details)
    assert browser.state["t"] == 0
    browser.js(f"collsim.seek({torus().time!r})")
    assert "a..h: it is there" in browser.ask(details)
    assert "step 8: rank 0 sends chunk 2 (a..h) to rank 1" not in browser.ask(details)
    assert "Changed" in browser.ask(details)


def test_the_pointer_finds_messages_links_and_bars(browser, ring_page):
    from selenium.webdriver import ActionChains

    browser.open(ring_page)
    result = torus()
    row = 0
    browser.js(f"collsim.seek({float(result.timeline.start[row] + result.timeline.arrive[row]) / 2!r})")
    details = "document.querySelector('.details .text').textContent"
    nodes = browser.ask(
        "[...document.querySelectorAll('.node')].slice(0, 2).map((n) => { const b = n.getBoundingClientRect();"
        " return [b.x + b.width / 2, b.y + b.height / 2] })"
    )
    (x0, y0), (x1, _) = nodes
    pointer = ActionChains(browser.driver, duration=0)
    pointer.w3c_actions.pointer_action.move_to_location(int((x0 + x1) / 2), int(y0 + 3))
    pointer.perform()
    assert "step 0: rank 0 to rank 1" in browser.ask(details)
    assert "Routerank 0 \u2192 rank 1" in browser.ask(details)
    pointer = ActionChains(browser.driver, duration=0)
    pointer.w3c_actions.pointer_action.move_to_location(int(x0 + 0.25 * (x1 - x0)), int(y0 + 3))
    pointer.perform()
    assert "Linkrank 0 to rank 1" in browser.ask(details)
    assert "10 GB/s, 1 us" in browser.ask(details)
    # A click on a bar of the timeline chooses its message.
    browser.js("document.querySelector('.timeline').scrollIntoView({block: 'center'})")
    box = browser.ask("(({x, y}) => [x, y])(document.querySelector('.timeline').getBoundingClientRect())")
    pointer = ActionChains(browser.driver, duration=0)
    pointer.w3c_actions.pointer_action.move_to_location(int(box[0] + 92 + 30), int(box[1] + 24 + 22 + 8))
    pointer.w3c_actions.pointer_action.click()
    pointer.perform()
    assert browser.state["selected"] == [0, 0]
    assert "adds" not in browser.ask(details)
    assert "is added to what is there" in browser.ask(details)


def test_the_messages_of_a_moment_are_there_as_a_table(browser, ring_page):
    browser.open(ring_page)
    browser.click("details.moment summary")
    result = torus()
    t = float(result.timeline.start[40])
    browser.js(f"collsim.seek({t!r})")
    rows = browser.ask(
        "[...document.querySelectorAll('.moment tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    moving = [row for row in rows if row[0] == "on its way"]
    schedule = result.schedule
    assert [row[1:4] for row in moving] == [
        [str(schedule.step[i]), str(schedule.src[i]), str(schedule.dst[i])] for i in moving_at(result, t)
    ]


def test_two_runs_share_a_clock_and_the_first_to_finish_is_named(browser, pair_page):
    browser.open(pair_page)
    ring, tree = (run("all_reduce", name, 8, star(8)) for name in ("ring", "tree"))
    assert browser.ask("document.getElementById('verdict').textContent") == (
        f"ring finishes first, after {format_time(ring.time)}: {format_time(tree.time - ring.time)} before tree, "
        f"which takes {tree.time / ring.time:.3g} times as long."
    )
    assert browser.state["until"] == tree.time
    for t in (ring.time / 3, (ring.time + tree.time) / 2):
        browser.js(f"collsim.seek({t!r})")
        for state, result in zip(browser.state["runs"], (ring, tree), strict=True):
            assert sorted(state["moving"]) == moving_at(result, t)
            assert state["holds"] == buffers_at(result, t)
    assert browser.ask("[...document.querySelectorAll('.state')].map((s) => s.textContent)") == [
        f"finished, {format_time(ring.time)}",
        "running",
    ]
    one, two = browser.ask("[...document.querySelectorAll('.run')].map((r) => r.getBoundingClientRect().x)")
    assert two > one + 500


@pytest.mark.parametrize("which", ["ring_page", "pair_page"])
def test_nothing_sticks_out_of_the_page(browser, request, which):
    browser.open(request.getfixturevalue(which), PHONE)
    for width, height in (PHONE, WIDE, PHONE):  # opened on a phone, then turned and turned back
        browser.resize(width, height)
        browser.wait(f"window.innerWidth === {width}")
        browser.js("collsim.seek(0.3 * collsim.state.until)")
        assert browser.ask("document.documentElement.scrollWidth") == width
        places = browser.ask(
            "[...document.querySelectorAll('button, input, canvas, .now, .details')]"
            ".filter((b) => !b.closest('dialog')).map((b) => b.getBoundingClientRect()).map((r) => [r.left, r.right])"
        )
        for left, right in places:
            assert 0 <= left < right <= width
        # The timeline and the network have the whole width of their boxes.
        for box in ("timeline", "net"):
            found = browser.ask(
                f"[...document.querySelectorAll('.{box}')].map((b) => [b.clientWidth, b.querySelector('canvas').width])"
            )
            assert found
            assert all(room == drawn for room, drawn in found)
    # Large enough for a finger.
    assert min(browser.ask("[...document.querySelectorAll('.icon')].map((b) => b.getBoundingClientRect().height)")) > 35


def brightness(browser, what):
    colour = browser.ask(f"getComputedStyle(document.querySelector('{what}')).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_light_and_dark_are_those_of_the_system_until_switched(browser, ring_page):
    browser.open(ring_page, prefers_color_scheme="dark")
    assert brightness(browser, "body") < 60
    assert browser.ask("document.getElementById('theme').textContent") == "Light"
    browser.click("#theme")
    assert brightness(browser, "body") > 240
    browser.open(ring_page, prefers_color_scheme="light")
    assert brightness(browser, "body") > 240
    browser.click("#theme")
    assert brightness(browser, "body") < 60


def test_with_less_motion_it_goes_from_event_to_event(browser, ring_page):
    browser.open(ring_page, prefers_reduced_motion="reduce")
    for _ in range(3):
        browser.click("#faster")
    browser.click("#play")
    browser.wait(f"collsim.state.t > {0.05 * torus().time!r}")
    browser.click("#play")
    assert browser.state["t"] in browser.ask("collsim.instants")


def test_what_is_there_has_a_name(browser, pair_page):
    browser.open(pair_page)
    nameless = browser.ask(
        "[...document.querySelectorAll('button, input, [role=img], [role=group], [role=region], section, dialog')]"
        ".filter((e) => !(e.getAttribute('aria-label') || document.getElementById(e.getAttribute('aria-labelledby'))"
        " || (e.labels && e.labels[0]) || (e.tagName === 'BUTTON' && e.textContent.trim()))).map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert browser.ask("document.getElementById('live').getAttribute('aria-live')") == "polite"
    assert browser.ask("document.querySelectorAll('.net svg[role=img]').length") == 2
    assert browser.ask("document.querySelectorAll('h1').length") == 1


def test_what_is_left_out_is_said(browser, monkeypatch):
    monkeypatch.setattr(data, "MOST_MESSAGES", 30)
    browser.open(player_page(torus()))
    words = player_data(torus())["leftOut"][0]
    assert words in browser.ask("document.querySelector('.left-out').textContent")
    browser.press("End")
    assert browser.state["t"] == browser.state["until"] < torus().time
    assert "Here the page ends" in browser.ask("document.querySelector('.now').textContent")


def test_thousands_of_messages_move(browser):
    result = run("all_reduce", "ring", 40, cs.torus("5x8", bandwidth="10GB/s", latency="1us"))
    browser.open(player_page(result))
    assert result.schedule.messages == 3120
    assert len(browser.state["runs"][0]["holds"]) == 1600
    browser.js("collsim.play()")
    browser.wait(f"collsim.state.t > {0.01 * result.time!r}")
    browser.js("collsim.pause()")
    t = browser.state["t"]
    assert sorted(browser.state["runs"][0]["moving"]) == moving_at(result, t)

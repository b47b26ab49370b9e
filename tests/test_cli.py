"""The command line as its users meet it: what it prints, what it refuses, and with which status."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from importlib import import_module

import pytest
from click import Context

import collsim as cs
from collsim import sweeps
from collsim.cli import COMMANDS, cli, main

PORTS = ("--alpha", "5us", "--beta", "0.1ns")
RUN = ("run", "all_reduce", "-a", "ring", "-n", "8", "-s", "4MB")
STAR = ("-t", "star", "--bandwidth", "10GB/s", "--latency", "5us")


@pytest.fixture
def collsim(capsys):
    """Run a command; return its status and what it wrote to stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return run


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


def test_run_prints_one_json_object_with_the_fields_of_the_design_and_nothing_else(collsim):
    status, out, err = collsim(*RUN, *PORTS, "--json")
    record = json.loads(out)
    assert (status, err) == (0, "")
    assert list(record) == FIELDS
    assert record["time_s"] == pytest.approx(2 * 7 * (5e-6 + 4e6 / 8 * 1e-10), rel=1e-9)
    assert (record["steps"], record["messages"], record["wire_bytes"]) == (14, 112, 56_000_000)


def test_check_adds_the_errors_of_a_sum_of_real_data(collsim):
    status, out, _ = collsim(*RUN, *PORTS, "--check", "--dtype", "float32", "--json")
    record = json.loads(out)
    assert status == 0
    assert list(record)[: len(FIELDS)] == FIELDS
    assert record["verified"] is True
    assert record["ranks_agree"] is True
    assert 0 < record["max_abs_error"] < 1e-5
    assert 0 < record["relative_error"] < 1e-6
    assert record["max_ulp"] > 0


@pytest.mark.parametrize(
    ("options", "network"),
    [
        ((), "book"),
        (("--model", "fifo", "-p", "packet_bytes=4kB"), "book"),
        (PORTS, None),
        (("-p", "alpha=5us", "-p", "beta=0.1ns"), None),
        (("--model", "loggp", "-p", "L=2us", "-p", "G=0.1ns"), None),
    ],
)
def test_check_needs_a_network_of_its_own_only_if_none_is_given(collsim, options, network):
    status, out, _ = collsim(*RUN[:-1], "4kB", *options, "--check", "--json")
    assert (status, json.loads(out)["topology"]) == (0, network)


def test_a_failed_check_has_status_1_and_still_prints_its_object(collsim, tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import collsim as cs\n"
        "def forgets(ranks):\n"
        "    plan = cs.ScheduleBuilder('all_reduce', ranks)\n"
        "    plan.reduce(step=0, src=list(range(2, ranks)), dst=0)\n"
        "    plan.copy(step=1, src=0, dst=list(range(1, ranks)))\n"
        "    return plan.build()\n"
    )
    status, out, err = collsim(
        "run", "all_reduce", "-a", f"{wrong}:forgets", "-n", "4", "-s", "4kB", *PORTS, "--check", "--json"
    )
    assert status == 1
    assert json.loads(out)["verified"] is False
    assert "lacks the contribution of rank 1" in err
    status, out, err = collsim("verify", "all_reduce", "-a", f"{wrong}:forgets", "-n", "4", "--json")
    assert status == 1
    assert {"verified": False, "rank": 0, "chunk": 0}.items() <= json.loads(out).items()


def test_run_for_people_names_every_figure_with_its_unit(collsim):
    status, out, err = collsim(*RUN, *STAR)
    assert (status, err) == (0, "")
    assert "all_reduce by ring: 8 ranks, 4 MB on star:8" in out
    for words in ("time", "840 us", "algbw", "GB/s", "lower bound", "efficiency", "messages", "112", "engine events"):
        assert words in out


CROSSING = ("run", "all_reduce", "-a", "ring", "-s", "8MB", "-t", "leaf-spine:2x4,spines=1")
CROSSING = (*CROSSING, "--bandwidth", "10GB/s", "--latency", "0")


def test_run_shows_the_placement_and_what_crosses_because_of_it(collsim):
    record = json.loads(collsim(*CROSSING, "--json")[1])
    spread = json.loads(collsim(*CROSSING, "--placement", "round-robin", "--json")[1])
    assert (record["placement"], spread["placement"]) == ("linear", "round-robin")
    assert (record["messages_between_groups"], spread["messages_between_groups"]) == (28, 112)
    assert (record["bytes_between_groups"], spread["bytes_between_groups"]) == (28e6, 112e6)
    # In turn, the four messages that leave a leaf share one uplink.
    assert (record["time_s"], spread["time_s"]) == (pytest.approx(1.4e-3), pytest.approx(5.6e-3))
    text = collsim(*CROSSING, "--placement", "round-robin")[1]
    assert "placement" in text
    assert "112 of 112 messages, 112 MB" in text
    assert "28 of 112 messages, 28 MB" in collsim(*CROSSING)[1]
    assert "between groups" not in collsim(*RUN, *STAR)[1]


def test_run_and_sweep_take_what_is_changed_about_a_network(collsim):
    changes = ("--override", "3-leaf 0:bandwidth=1GB/s", "--override", "5:latency=1us", "--injection", "8GB/s")
    changes += ("--routing", "ecmp:seed=2", "--placement", "random:3")
    record = json.loads(collsim(*CROSSING, *changes, "--json")[1])
    shape, _, note = record["topology"].partition(" (")
    assert shape.startswith("leaf-spine:2x4")
    assert note == "3-leaf 0:bandwidth=1GB/s, 5:latency=1us, ecmp:seed=2, injection 8 GB/s, placement random:3)"
    arguments = ("sweep", *CROSSING[1:], "-n", "8", *changes, "--json")
    (row,) = json.loads(collsim(*arguments)[1])
    assert {key: row[key] for key in row if key != "wall_s"} == {key: record[key] for key in record if key != "wall_s"}
    status, _, err = collsim("sweep", "all_reduce", "-a", "ring", "-n", "2", "-s", "1", *PORTS, "--routing", "ecmp")
    assert (status, "--routing needs a topology" in err) == (2, True)


def test_sweep_tells_the_parameters_of_a_topology_from_the_next_topology(collsim):
    nets = "star,leaf-spine:2x4,spines=1,oversubscription=4,ring:8"
    rows = json.loads(
        collsim("sweep", "all_reduce", "-a", "ring", "-n", "8", "-s", "1", "-t", nets, *STAR[2:], "--json")[1]
    )
    assert [row["topology"].partition(":")[0] for row in rows] == ["star", "leaf-spine", "ring"]
    status, _, err = collsim("sweep", "all_reduce", "-a", "ring", "-n", "8", "-s", "1", "-t", "x=1", *STAR[2:])
    assert (status, "unknown topology 'x=1'" in err) == (2, True)


def test_sweep_prints_rows_as_csv_in_the_order_of_its_values(collsim):
    status, out, _ = collsim("sweep", "all_reduce", "-a", "naive,ring", "-n", "2,4", "-s", "1MB", *STAR, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert [(row["algorithm"], row["ranks"]) for row in rows] == [
        ("naive", "2"),
        ("naive", "4"),
        ("ring", "2"),
        ("ring", "4"),
    ]
    assert list(rows[0]) == FIELDS


@pytest.mark.parametrize(
    ("stopped", "expected", "said"),
    [
        (KeyboardInterrupt(), 130, ["collsim: interrupted after 2 of 3; what was done is printed"]),
        (
            cs.InputError("no room"),
            2,
            ["collsim: stopped after 2 of 3; what was done is printed", "collsim: error: no room"],
        ),
        (MemoryError("out"), 2, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["--csv", "--json", ""])
def test_a_sweep_that_is_stopped_keeps_what_is_done(collsim, monkeypatch, stopped, expected, said, form):
    right, calls = sweeps._record, []

    def stop_at_the_third(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise stopped
        return right(*arguments)

    monkeypatch.setattr(sweeps, "_record", stop_at_the_third)
    arguments = ("sweep", "all_reduce", "-a", "ring", "-n", "2,4,8", "-s", "1MB", *PORTS, *([form] if form else []))
    status, out, err = collsim(*arguments)
    assert status == expected
    assert said is None or err.splitlines() == said
    assert "Traceback" not in err
    if form == "--json":
        assert [record["ranks"] for record in json.loads(out)] == [2, 4]
    elif form == "--csv":
        assert [record["ranks"] for record in csv.DictReader(io.StringIO(out))] == ["2", "4"]
    else:
        assert len(out.splitlines()) == 4  # names, a rule, two rows


def test_a_sweep_that_fails_at_once_prints_nothing_but_the_error(collsim, monkeypatch):
    def fail(*arguments):
        raise cs.InputError("no room")

    monkeypatch.setattr(sweeps, "_record", fail)
    status, out, err = collsim("sweep", "all_reduce", "-a", "ring", "-n", "2", "-s", "1MB", *PORTS, "--json")
    assert (status, out, err) == (2, "", "collsim: error: no room\n")


def test_sweep_prints_json_and_a_table(collsim):
    arguments = ("sweep", "allreduce", "-a", "ring", "-n", "2,4", "-s", "1MB", *PORTS)
    assert [row["ranks"] for row in json.loads(collsim(*arguments, "--json")[1])] == [2, 4]
    assert "ring" in collsim(*arguments)[1]


def test_list_has_the_ways_of_routing_and_of_placing(collsim):
    found = json.loads(collsim("list", "--json")[1])
    assert "ecmp:seed=3" in {entry["name"] for entry in found["routings"]}
    assert {"round-robin", "random:7", "0,4,1,5"} <= {entry["name"] for entry in found["placements"]}
    assert "spread:most=64" in collsim("list", "routings")[1]


def test_run_says_which_bound_it_is_and_why(collsim):
    record = json.loads(collsim(*CROSSING, "--json")[1])
    assert record["lower_bound_kind"] in ("cut", "injection", "partition", "distance")
    assert f"{record['lower_bound_kind']}: {record['lower_bound_reason']}" in collsim(*CROSSING)[1]


def test_a_seed_is_read_also_where_no_data_are_drawn(collsim):
    status, out, err = collsim(*RUN, *PORTS, "--seed", "x")
    assert (status, out, "seed must be a whole number" in err) == (2, "", True)


def test_list_names_everything_and_one_section_alone(collsim):
    everything = collsim("list")[1]
    for words in (
        "naive",
        "tree",
        "ring",
        "star:8",
        "book",
        "nvidia/dgx-a100",
        "alpha-beta",
        "maxmin",
        "events",
        "dataflow",
    ):
        assert words in everything
    assert "maxmin" not in collsim("list", "algorithms")[1]
    assert set(json.loads(collsim("list", "models", "--json")[1])) == {"models"}


def test_verify_says_what_it_has_proved(collsim):
    status, out, _ = collsim("verify", "all_reduce", "-a", "ring", "-n", "17")
    assert status == 0
    assert "verified" in out


def test_a_plugin_registers_algorithms_for_every_command(collsim, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import collsim as cs\n"
        "from collsim.algorithms import ring\n"
        "cs.register('all_reduce', 'mine', ring.all_reduce, 'a ring of my own')\n"
    )
    try:
        assert "a ring of my own" in collsim("--load", str(plugin), "list", "algorithms")[1]
        assert collsim("--load", str(plugin), "verify", "all_reduce", "-a", "mine", "-n", "5")[0] == 0
        assert (
            collsim("--load", str(plugin), "sweep", "all_reduce", "-a", "mine", "-n", "5", "-s", "1kB", *PORTS)[0] == 0
        )
    finally:
        from collsim.catalog import ALGORITHMS

        ALGORITHMS.pop(("all_reduce", "mine"), None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*RUN, *PORTS, "-a", "rang"), "'rang'; did you mean 'ring'"),
        ((*RUN, "-t", "stra"), "unknown topology 'stra'; did you mean 'star'"),
        ((*RUN, "-t", "star", "--bandwidth", "10 GBs", "--latency", "0"), "'10 GBs' has the unknown unit 'GBs'"),
        ((*RUN, "-t", "star", "--bandwidth", "-1", "--latency", "0"), "bandwidth must be positive, got '-1'"),
        ((*RUN, "-t", "star", "--bandwidth", "0", "--latency", "0"), "bandwidth must be positive, got '0'"),
        ((*RUN, "-t", "star:4", "--bandwidth", "1", "--latency", "0"), "has 4 ranks, fewer than the 8"),
        ((*RUN, "-t", "nvidia/dgx-a100", "-n", "16"), "has 8 ranks, fewer than the 16"),
        ((*RUN, "-t", "nvidia/dgx-a100", "--bandwidth", "1GB/s"), "has its own bandwidths"),
        ((*RUN, "-t", "/nowhere/machine.toml"), "cannot read topology file '/nowhere/machine.toml'"),
        ((*RUN, *PORTS, "-n", "0"), "ranks must be a whole number of at least 1, got '0'"),
        ((*RUN, *PORTS, "-n", "2.5"), "got '2.5'"),
        ((*RUN, *PORTS, "-n", "nan"), "got 'nan'"),
        ((*RUN, *PORTS, "-s", "-1"), "size must not be negative, got '-1'"),
        ((*RUN, *PORTS, "-s", "NaN"), "'NaN' is not a quantity"),
        ((*RUN, *PORTS, "-s", "1e308GB"), "below 2^63"),
        ((*RUN, "--alpha", "1e308", "--beta", "1"), "too large"),
        ((*RUN, *PORTS, *STAR), "--alpha and --beta"),
        (RUN, "no network"),
        ((*RUN, "--alpha", "5us"), "beta missing"),
        (
            (*RUN, *PORTS, "--latency", "1us"),
            "--latency needs a topology (-t star); without one give --alpha and --beta",
        ),
        ((*RUN, *PORTS, "--routing", "ecmp"), "--routing needs a topology"),
        ((*RUN, *PORTS, "--placement", "linear"), "--placement needs a topology"),
        ((*RUN, *PORTS, "--override", "3:latency=0"), "--override needs a topology"),
        ((*RUN, *PORTS, "--injection", "1GB/s"), "--injection needs a topology"),
        ((*RUN, *STAR, "--routing", "ecpm"), "unknown routing 'ecpm'; did you mean 'ecmp'?"),
        ((*RUN, *STAR, "--routing", "ecmp:seed=x"), "the seed of ecmp must be a whole number of at least 0, got 'x'"),
        ((*RUN, *STAR, "--routing", "spread:most=-1"), "got '-1'"),
        ((*RUN, *STAR, "--routing", ""), "unknown routing ''"),
        ((*RUN, *STAR, "--routing", "explicit"), "needs a file of routes, such as explicit:routes.toml"),
        ((*RUN, *STAR, "--routing", "explicit:/nowhere"), "cannot read"),
        ((*RUN, *STAR, "--placement", "random"), "a random placement needs its seed, such as random:7"),
        ((*RUN, *STAR, "--placement", "0,1,9"), "place 9 does not exist"),
        ((*RUN, *STAR, "--placement", "0,1,1"), "place 1 is given to two ranks"),
        ((*RUN, *STAR, "--placement", "0,1"), "placement '0,1' has 2 places for the 8 ranks asked for"),
        ((*RUN, *STAR, "--placement", ""), "unknown placement ''"),
        ((*RUN, *STAR, "--override", "3"), "WHERE:KEY=VALUE"),
        ((*RUN, *STAR, "--override", "9:latency=0"), "topology 'star:8' has no node '9'"),
        ((*RUN, *STAR, "--override", "3:bandwith=1"), "unknown key 'bandwith'; did you mean 'bandwidth'?"),
        ((*RUN, *STAR, "--override", "3-4:bandwidth=1"), "has no such link"),
        ((*RUN, *STAR, "--override", "3:bandwidth=x"), "the factor of a bandwidth"),
        ((*RUN, *STAR, "--injection", "0"), "injection must be positive, got '0'"),
        ((*RUN, *STAR, "--injection", "fast"), "injection 'fast' is not a quantity"),
        ((*RUN, *STAR, "--injection", "50 GBs"), "unknown unit 'GBs'"),
        ((*RUN, *STAR, "--injection", "1,2"), "one for each of 8 ranks, got 2"),
        ((*RUN, *STAR, "--injection", ""), "injection '' is not a quantity"),
        ((*RUN, *PORTS, "--model", "maxmin"), "needs a topology"),
        ((*RUN, *STAR, "--engine", "stepwise"), "engine 'stepwise' cannot run this"),
        ((*RUN, *PORTS, "--ordering", "any"), "unknown ordering 'any'"),
        ((*RUN, *PORTS, "-o", "root=1"), "has no option 'root'"),
        ((*RUN, *PORTS, "-o", "root"), "KEY=VALUE"),
        ((*RUN, *PORTS, "--offset", "8=1s"), "does not exist"),
        ((*RUN, *PORTS, "--offset", "1=soon"), "'soon'"),
        ((*RUN, *PORTS, "--offset", "1=1s", "--offset", "1=2s"), "the offset of rank 1 is given twice"),
        ((*RUN, *PORTS, "--itemsize", "3"), "not a whole number of elements"),
        ((*RUN, *PORTS, "--check", "--dtype", "text"), "'text' is not one of"),
        ((*RUN, *PORTS, "--dtype", "int32"), "--dtype says what --check moves: add --check"),
        ((*RUN, *PORTS, "--colour"), "No such option"),
        (("run",), "Missing argument"),
        (("fly",), "unknown command 'fly'"),
        (("sweep", "all_reduce", "-a", "ring", "-n", "2,x", "-s", "1MB", *PORTS), "got 'x'"),
        (("sweep", "all_reduce", "-a", "ring", "-n", ",", "-s", "1MB", *PORTS), "-n names nothing"),
        (("sweep", "all_reduce", "-a", "ring", "-n", "2", "-s", "1MB", *PORTS, "--csv", "--json"), "not both"),
        (("verify", "all_reduce", "-a", "/nowhere/a.py:f", "-n", "3"), "cannot read '/nowhere/a.py'"),
        (("list", "colours"), "'colours' is not one of"),
        (("--load", "/nowhere/a.py", "list"), "cannot read"),
        (("completion", "tcsh"), "'tcsh' is not one of"),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_line_and_status_2(collsim, arguments, words):
    status, out, err = collsim(*arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("collsim: error: ")
    assert words in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("this is no TOML", "is not TOML"),
        ('shape = "star"\nranks = 8\nbandwith = "1GB/s"\nlatency = "0s"\n', "'bandwith'; did you mean 'bandwidth'"),
        ('ranks = 3\n[[cable]]\nfrom = 0\nto = 1\nbandwidth = "1GB/s"\nlatency = "0s"\n', "disconnected"),
    ],
)
def test_a_bad_topology_file_gets_one_line_and_status_2(collsim, tmp_path, text, words):
    path = tmp_path / "machine.toml"
    path.write_text(text)
    status, out, err = collsim("run", "all_reduce", "-a", "ring", "-n", "3", "-s", "1MB", "-t", str(path))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_every_command_has_help_with_an_example(collsim):
    for name in COMMANDS:
        status, out, _ = collsim(name, "--help")
        assert status == 0
        assert "collsim" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(collsim, shell):
    status, out, _ = collsim("completion", shell)
    assert status == 0
    assert "_COLLSIM_COMPLETE" in out


def test_completion_completes_commands_and_options():
    environment = {**os.environ, "_COLLSIM_COMPLETE": "bash_complete", "COMP_WORDS": "collsim ve", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "collsim"], env=environment, capture_output=True, text=True, check=False
    )
    assert "verify" in done.stdout


def test_help_is_printed_without_importing_numpy():
    code = (
        "import sys; sys.argv = ['collsim', '--help']\n"
        "try:\n    from collsim.cli import main; main()\n"
        "finally:\n    print('numpy' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "False"


def test_output_into_a_closed_pipe_is_not_an_error():
    command = f"{sys.executable} -m collsim list | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_public_names_are_those_that_type_checkers_see():
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(cs))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in ast.walk(guarded) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(cs.__all__)
    assert all(getattr(cs, name) is not None for name in cs.__all__)
    assert not hasattr(cs, "no_such_name")


def test_the_designs_own_line_for_check_needs_no_network(collsim):
    status, out, _ = collsim(
        "run", "all_reduce", "-a", "ring", "-n", "8", "-s", "4kB", "--check", "--dtype", "float32", "--json"
    )
    assert status == 0
    assert {"topology": "book", "verified": True}.items() <= json.loads(out).items()


def test_an_algorithm_that_leaves_the_interpreter_does_not_pass(collsim, tmp_path):
    path = tmp_path / "leaves.py"
    path.write_text("import sys\ndef mine(ranks):\n    sys.exit(0)\n")
    for command in (
        ("verify", "all_reduce", "-a", f"{path}:mine", "-n", "4"),
        ("check", f"{path}:mine", "--collective", "all_reduce"),
    ):
        assert collsim(*command)[0] != 0
    path.write_text("import sys\nsys.exit(0)\n")
    assert collsim("verify", "all_reduce", "-a", f"{path}:mine", "-n", "4")[0] == 2


def test_sweep_takes_options_of_the_algorithms(collsim):
    arguments = ("sweep", "broadcast", "-a", "binomial", "-n", "2,4", "-s", "1MB", *PORTS, "-o", "root=1", "--json")
    assert [row["ranks"] for row in json.loads(collsim(*arguments)[1])] == [2, 4]


def test_the_module_list_does_not_hide_what_the_group_needs():
    import_module("collsim.cli.list")
    assert cli.list_commands(Context(cli)) == [*COMMANDS]
    assert "compare" in cli.get_help(Context(cli))

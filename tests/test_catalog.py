from __future__ import annotations

import numpy as np
import oracles
import pytest

import collsim as cs
from collsim.catalog import get_algorithm, load_plugin

GOOD = '''
import collsim as cs

def neighbours(ranks, *, back=False):
    """Pass everything to the right, K - 1 times."""
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks=ranks)
    for step in range(ranks - 1):
        for rank in range(ranks):
            plan.reduce(step, rank, (rank + 1) % ranks, (rank - step) % ranks)
            plan.copy(ranks - 1 + step, rank, (rank + 1) % ranks, (rank + 1 - step) % ranks)
    return plan.build()

def wrong_type(ranks):
    return [ranks]

def wrong_ranks(ranks):
    return neighbours(ranks + 1)

def fails(ranks):
    return [0][ranks]

def refuses(ranks):
    raise cs.InputError(f"even ranks only, got {ranks}")

not_a_function = 3
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    return path


def all_to_one(ranks, *, root=0):
    """Add all at one rank, then copy.

    More text.
    """
    plan = cs.ScheduleBuilder("all_reduce", ranks)
    others = [rank for rank in range(ranks) if rank != root]
    plan.reduce(0, others, root)
    plan.copy(1, root, others)
    return plan.build()


def test_the_three_algorithms_are_there_with_all_their_figures():
    for name in oracles.ALL_REDUCE:
        entry = get_algorithm("all_reduce", name)
        assert (entry.collective, entry.name) == ("all_reduce", name)
        assert entry.summary
        assert None not in (entry.steps, entry.sent, entry.wire, entry.time)


@pytest.mark.parametrize("spelling", ["all_reduce", "allreduce", "all-reduce", "AllReduce", "ALL_REDUCE"])
def test_a_collective_may_be_spelt_in_several_ways(spelling):
    assert cs.make_schedule(spelling, "ring", ranks=2).collective.name == "all_reduce"
    assert cs.get_collective(spelling).name == "all_reduce"


def test_a_schedule_knows_what_made_it():
    schedule = cs.make_schedule("all_reduce", "tree", ranks=5, root=3)
    assert (schedule.algorithm, dict(schedule.options), schedule.ranks) == ("tree", {"root": 3}, 5)
    assert dict(cs.make_schedule("all_reduce", "tree", ranks=5).options) == {"root": 0}
    assert dict(cs.make_schedule("all_reduce", "ring", ranks=5).options) == {}


@pytest.mark.parametrize("algorithm", ["naive", "tree"])
@pytest.mark.parametrize("ranks", [1, 2, 5, 8])
def test_any_rank_can_be_the_root(algorithm, ranks):
    for root in range(ranks):
        schedule = cs.make_schedule("all_reduce", algorithm, ranks=ranks, root=root)
        cs.verify(schedule)
        x = 2 ** np.arange(ranks)[:, None]
        assert (cs.execute(schedule, x) == 2**ranks - 1).all()
        last = schedule.step == schedule.steps // 2 - 1
        assert set(schedule.dst[last].tolist()) <= {root}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("all_reduse", "ring", 4), "unknown collective 'all_reduse'; did you mean 'all_reduce'?"),
        (("all_reduce", "rign", 4), "unknown all_reduce algorithm 'rign'; did you mean 'ring'?"),
        (("all_reduce", "ring", 0), "ranks must be a whole number of at least 1, got 0"),
        (("all_reduce", "ring", -2), "got -2"),
        (("all_reduce", "ring", 2.5), "ranks must be a whole number of at least 1, got 2.5"),
        (("all_reduce", "ring", "four"), "got 'four'"),
        (("all_reduce", "ring", None), "got None"),
    ],
)
def test_a_wrong_name_or_number_of_ranks_is_refused(arguments, part):
    with pytest.raises(cs.InputError) as refused:
        cs.make_schedule(*arguments)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"rot": 1}, "algorithm 'naive' has no option 'rot' (it takes: root=0)"),
        ({"root": 4}, "root must be one of the ranks 0..3, got 4"),
        ({"root": -1}, "root must be a whole number of at least 0, got -1"),
        ({"root": 1.5}, "got 1.5"),
    ],
)
def test_a_wrong_option_is_refused(options, part):
    with pytest.raises(cs.InputError) as refused:
        cs.make_schedule("all_reduce", "naive", ranks=4, **options)
    assert part in str(refused.value)


def test_an_algorithm_of_ones_own_is_one_line_and_all_works_with_it(catalog):
    entry = cs.register("all_reduce", "mine", all_to_one)
    assert (entry.name, entry.summary) == ("mine", "Add all at one rank, then copy.")
    assert catalog["all_reduce", "mine"] is entry
    schedule = cs.make_schedule("allreduce", "mine", ranks=5, root=2)
    cs.verify(schedule)
    assert (schedule.algorithm, dict(schedule.options)) == ("mine", {"root": 2})
    assert cs.execute(schedule, np.ones((5, 3), dtype=int)).tolist() == [[5] * 3] * 5
    naive = cs.make_schedule("all_reduce", "naive", ranks=5, root=2)
    net = cs.star(5, 1e9, 1e-6)
    assert cs.simulate(schedule, net, nbytes=8).time == cs.simulate(naive, net, nbytes=8).time
    rows = cs.sweep(algorithm=["mine", "naive"], ranks=[2, 5], nbytes=8, topology=net)
    assert [row["algorithm"] for row in rows] == ["mine", "mine", "naive", "naive"]
    assert [row["time_s"] for row in rows[:2]] == [row["time_s"] for row in rows[2:]]


def test_a_registered_name_can_be_replaced_and_is_suggested(catalog):
    cs.register("all_reduce", "mine", all_to_one, "first")
    assert cs.register("all_reduce", "mine", all_to_one, "second").summary == "second"
    with pytest.raises(cs.InputError, match=r"did you mean 'mine'\?"):
        cs.make_schedule("all_reduce", "mne", ranks=2)


def test_an_algorithm_for_a_collective_of_ones_own(catalog):
    everything = cs.get_collective("all_reduce")
    mine = cs.Collective("mine", "as all_reduce", everything.before, everything.after, everything.bus_factor)

    def exchange(ranks):
        plan = cs.ScheduleBuilder(mine, ranks)
        plan.reduce(0, [0, 1], [1, 0])
        return plan.build()

    cs.register(mine, "exchange", exchange)
    schedule = cs.make_schedule(mine, "exchange", ranks=2)
    cs.verify(schedule)
    assert cs.simulate(schedule, alpha=1, beta=0, nbytes=8).to_dict()["collective"] == "mine"


@pytest.mark.parametrize("build", [None, 3, "ring"])
def test_what_cannot_be_called_is_no_algorithm(build, catalog):
    with pytest.raises(cs.InputError, match=f"an algorithm must be a function .* got {build!r}"):
        cs.register("all_reduce", "mine", build)


@pytest.mark.parametrize("name", ["", None, 3])
def test_an_algorithm_needs_a_name(name, catalog):
    with pytest.raises(cs.InputError, match=f"needs a name, got {name!r}"):
        cs.register("all_reduce", name, all_to_one)


def test_an_algorithm_can_come_from_a_file(file):
    schedule = cs.make_schedule("all_reduce", f"{file}:neighbours", ranks=4, back=True)
    cs.verify(schedule)
    assert schedule.algorithm == f"{file}:neighbours"
    assert dict(schedule.options) == {"back": True}
    (row,) = cs.sweep(algorithm=f"{file}:neighbours", ranks=4, nbytes=8, alpha=1, beta=0)
    assert row["time_s"] == 6


@pytest.mark.parametrize(
    ("function", "part"),
    [
        ("neighbors", "mine.py has no function 'neighbors'"),
        ("not_a_function", "mine.py has no function 'not_a_function'"),
        ("wrong_type", "must return a Schedule, it returned list"),
        ("wrong_ranks", "must return a schedule of all_reduce for 3 ranks, it returned Schedule("),
        ("fails", "failed for 3 ranks: IndexError: list index out of range"),
        ("refuses", "even ranks only, got 3"),
    ],
)
def test_a_fault_of_a_function_of_ones_own_is_said_with_its_reason(file, function, part):
    with pytest.raises(cs.InputError) as refused:
        cs.make_schedule("all_reduce", f"{file}:{function}", ranks=3)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_original_error_of_a_function_is_kept_as_the_cause(catalog):
    def fails(ranks):
        raise KeyError("no such thing")

    cs.register("all_reduce", "fails", fails)
    with pytest.raises(cs.InputError, match="KeyError: 'no such thing'") as refused:
        cs.make_schedule("all_reduce", "fails", ranks=2)
    assert isinstance(refused.value.__cause__, KeyError)


def test_an_option_without_a_default_must_be_given(catalog):
    cs.register("all_reduce", "mine", lambda ranks, *, root: all_to_one(ranks, root=root))
    cs.verify(cs.make_schedule("all_reduce", "mine", ranks=2, root=1))
    with pytest.raises(cs.InputError, match="algorithm 'mine' needs the option root"):
        cs.make_schedule("all_reduce", "mine", ranks=2)


def test_a_function_that_takes_no_number_of_ranks_is_refused_for_that(catalog):
    cs.register("all_reduce", "mine", lambda: None)
    with pytest.raises(cs.InputError, match="ranks"):
        cs.make_schedule("all_reduce", "mine", ranks=2)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def f(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        (None, "cannot read"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused_with_the_reason(tmp_path, text, part):
    path = tmp_path / "broken.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(cs.InputError) as refused:
        cs.make_schedule("all_reduce", f"{path}:f", ranks=2)
    assert part in str(refused.value)
    assert "broken.py" in str(refused.value)


def test_a_plugin_may_register_what_it_likes(tmp_path, catalog):
    path = tmp_path / "plugin.py"
    path.write_text(GOOD + '\ncs.register("all_reduce", "neighbours", neighbours)\n')
    load_plugin(path)
    cs.verify(cs.make_schedule("all_reduce", "neighbours", ranks=3))
    with pytest.raises(cs.InputError, match="not a Python file"):
        load_plugin(tmp_path / "plugin.txt")


def test_a_plugin_may_define_dataclasses(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 0\n"
    )
    load_plugin(path)

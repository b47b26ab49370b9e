"""The textbook's answers: figures against independent computation, words against figures, and the commands."""

from __future__ import annotations

import itertools
import json
import math
import sys
from typing import Any

import numpy as np
import pytest

import collsim as cs
from collsim.book import EXAMPLES, EXERCISES, example_1_1_1, exercise_1_1_2, exercise_1_1_3
from collsim.catalog import ALGORITHMS, Algorithm
from collsim.cli import main
from collsim.cli.example import command as example_command
from collsim.cli.example import print_words
from collsim.cli.exercise import command as exercise_command

GIGABYTES_4 = 4e9


def lg(ranks: int) -> int:
    return math.ceil(math.log2(ranks))


# Written down here again, independently of collsim.formulas: K, n bytes, alpha, beta.
CLOSED_FORMS = {
    "naive": lambda k, n, a, b: 2 * (a + (k - 1) * n * b),
    "tree": lambda k, n, a, b: 2 * lg(k) * (a + n * b),
    "ring": lambda k, n, a, b: 2 * (k - 1) * (a + n / k * b),
}


def data(examples: int = 100_000) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    inputs = random.standard_normal((examples, 50))
    weights = random.standard_normal(50)
    return inputs, inputs @ weights + 0.1 * random.standard_normal(examples)


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """What a JSON parser that follows the standard makes of it: no NaN, no infinity, no numpy."""
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    return again  # type: ignore[no-any-return]


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(args))
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


# the tables


def test_tables_name_what_can_be_loaded() -> None:
    for number, entry in {**EXAMPLES, **EXERCISES}.items():
        assert entry.number == number
        assert callable(entry.load().answer)
        assert callable(entry.load().explain)


def test_every_entry_has_a_command() -> None:
    assert list(example_command.commands) == list(EXAMPLES)
    assert list(exercise_command.commands) == list(EXERCISES)


# example 1.1.1


@pytest.fixture(scope="module")
def gradient() -> example_1_1_1.GradientFigures:
    return example_1_1_1.answer()


def test_gradient_is_that_of_the_single_machine(gradient: example_1_1_1.GradientFigures) -> None:
    inputs, targets = data()
    assert gradient.gradient_norm == pytest.approx(np.linalg.norm(2 / 100_000 * inputs.T @ targets), rel=1e-12)
    assert [record.algorithm for record in gradient.algorithms][:3] == ["naive", "tree", "ring"]
    for record in gradient.algorithms:
        assert 0 < record.max_abs_difference < 1e-12
        assert 0 < record.relative_error < 1e-13
        assert record.workers_agree == (record.algorithm != "direct")  # there each adds in an order of its own


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 13, 33, 64])
def test_gradient_for_any_number_of_workers(workers: int) -> None:
    figures = example_1_1_1.answer(workers, examples=50)  # some have no example if there are more than 50
    assert figures.largest_shard - figures.smallest_shard == (50 % workers > 0)
    for record in figures.algorithms:
        assert record.relative_error < 1e-13
        assert record.workers_agree or record.algorithm == "direct"


def test_gradient_times_are_those_of_the_books_network(gradient: example_1_1_1.GradientFigures) -> None:
    for record in gradient.algorithms[:3]:
        schedule = cs.make_schedule("all_reduce", record.algorithm, ranks=8)
        default_model = cs.simulate(schedule, "book", 400, itemsize=8)
        assert record.time == pytest.approx(default_model.time, rel=1e-9)
    by_name = {record.algorithm: record.time for record in gradient.algorithms}
    assert by_name["naive"] == pytest.approx(CLOSED_FORMS["naive"](8, 400, 5e-6, 1e-10), rel=1e-9)
    assert by_name["tree"] == pytest.approx(CLOSED_FORMS["tree"](8, 400, 5e-6, 1e-10), rel=1e-9)


def test_gradient_depends_on_the_seed_and_repeats() -> None:
    first, again, other = (example_1_1_1.answer(3, examples=100, seed=seed).gradient_norm for seed in (1, 1, 2))
    assert first == again != other


def test_gradient_by_an_algorithm_of_your_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def everyone_to_everyone(ranks: int) -> cs.Schedule:
        plan = cs.ScheduleBuilder("all_reduce", ranks)
        for src, dst in itertools.permutations(range(ranks), 2):
            plan.reduce(step=0, src=src, dst=dst)
        return plan.build()

    def forgetful(ranks: int) -> cs.Schedule:
        return cs.ScheduleBuilder("all_reduce", ranks).build()

    for build in (everyone_to_everyone, forgetful):
        row = Algorithm("all_reduce", build.__name__, build)
        monkeypatch.setitem(ALGORITHMS, ("all_reduce", build.__name__), row)
    # Right, but each worker adds in an order of its own.
    figures = example_1_1_1.answer(16, examples=1000, algorithms="everyone_to_everyone")
    assert figures.algorithms[0].relative_error < 1e-13
    assert not figures.algorithms[0].workers_agree
    assert "With everyone_to_everyone the workers do not all hold the same bits" in " ".join(
        example_1_1_1.explain(figures)
    )
    with pytest.raises(cs.VerificationError, match="lacks the contribution"):
        example_1_1_1.answer(4, examples=100, algorithms=["forgetful"])


def test_gradient_words(gradient: example_1_1_1.GradientFigures) -> None:
    words = " ".join(example_1_1_1.explain(example_1_1_1.answer(algorithms=["naive", "tree", "ring"])))
    assert "12 500 examples" in words
    assert "3.91e-14 and 6.43e-15" in words
    assert "BLAS" in words
    assert "All workers hold the same bits" in words
    assert "naive (2 steps)" in words
    assert "ring (14 steps)" in words
    uneven = " ".join(example_1_1_1.explain(example_1_1_1.answer(3, examples=100)))
    assert "33 or 34 examples" in uneven


def test_gradient_as_json(gradient: example_1_1_1.GradientFigures) -> None:
    document = strict(gradient.to_dict())
    assert document["size_bytes"] == 400
    assert document["latency_s"] == pytest.approx(5e-6)
    assert document["algorithms"][0]["time_s"] == gradient.algorithms[0].time
    assert "time" not in document["algorithms"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        ({"workers": 2.5}, "got 2.5"),
        ({"examples": 0}, "examples"),
        ({"features": "x"}, "features"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"algorithms": ["rong"]}, "did you mean 'ring'"),
        ({"algorithms": []}, "no algorithm is named"),
    ],
)
def test_gradient_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(cs.InputError, match=message):
        example_1_1_1.answer(**arguments)


# exercise 1.1.2


@pytest.mark.parametrize("algorithm", ["naive", "tree", "ring"])
@pytest.mark.parametrize("shards", [exercise_1_1_2.SHARDS, (1, 1, 5000), (300, 200, 100, 17)])
def test_plain_average_is_wrong_and_weighted_right(shards: tuple[int, ...], algorithm: str) -> None:
    figures = exercise_1_1_2.answer(shards, algorithm=algorithm)
    inputs, targets = data(sum(shards))
    whole = -2 / sum(shards) * inputs.T @ targets
    edges = np.cumsum(shards)[:-1]
    means = [-2 / len(t) * x.T @ t for x, t in zip(np.split(inputs, edges), np.split(targets, edges), strict=True)]
    error = np.mean(means, axis=0) - whole

    plain, weighted, equal = figures.combinations
    assert plain.max_abs_error == pytest.approx(np.abs(error).max(), rel=1e-9)
    assert plain.relative_error == pytest.approx(np.linalg.norm(error) / np.linalg.norm(whole), rel=1e-9)
    assert plain.relative_error > 0.05
    assert weighted.relative_error < 1e-12
    assert weighted.max_abs_error < 1e-12
    assert max(equal.shards) - min(equal.shards) <= 1
    assert sum(equal.shards) == sum(shards)
    if sum(shards) % len(shards) == 0:
        assert equal.relative_error < 1e-12
    else:
        assert 1e-12 < equal.relative_error < plain.relative_error


@pytest.mark.parametrize("shards", [(500, 500), (70,) * 7, (12,)])
def test_equal_shards_agree(shards: tuple[int, ...]) -> None:
    figures = exercise_1_1_2.answer(shards)
    plain, weighted = figures.combinations
    assert plain.relative_error < 1e-12
    assert weighted.relative_error < 1e-12
    assert figures.equal
    assert figures.overweight(shards[0]) == 1
    assert figures.effective_examples == pytest.approx(figures.examples)


def test_weights_of_the_plain_average() -> None:
    figures = exercise_1_1_2.answer()
    assert figures.examples == 100_000
    assert figures.overweight(100) == 200
    assert figures.overweight(99_000) == pytest.approx(100 / 495)
    # The weights of all examples must add up to 1, and Kish's number is 1 / sum of their squares.
    weights = [record["plain_weight"] for record in figures.to_dict()["shards"]]
    assert sum(n * w for n, w in zip(figures.shards, weights, strict=True)) == pytest.approx(1)
    squares = sum(n * w**2 for n, w in zip(figures.shards, weights, strict=True))
    assert figures.effective_examples == pytest.approx(1 / squares)


def test_shard_words() -> None:
    words = " ".join(exercise_1_1_2.explain(exercise_1_1_2.answer()))
    assert "smallest shard (100 examples) 200 times too much" in words
    assert "largest (99 000) 5.0 times too little" in words
    assert "4 shards below the average size hold 1 % of the examples and have 80 % of the say" in words
    assert "about 1200 examples" in words
    nearly = " ".join(exercise_1_1_2.explain(exercise_1_1_2.answer([334, 333, 333])))
    assert "0.1 % too much" in nearly
    assert "do not divide by 3" in nearly
    one_small = " ".join(exercise_1_1_2.explain(exercise_1_1_2.answer([30, 10, 32])))
    assert "The one shard below the average size holds 14 % of the examples and has 33 % of the say" in one_small
    assert "nothing to combine" in exercise_1_1_2.explain(exercise_1_1_2.answer([5]))[0]


def test_shards_as_json() -> None:
    document = strict(exercise_1_1_2.answer([50, 10]).to_dict())
    assert [shard["examples"] for shard in document["shards"]] == [50, 10]
    assert [shard["overweight"] for shard in document["shards"]] == [0.6, 3.0]
    assert [one["name"] for one in document["combinations"]] == ["plain", "weighted", "plain, equal shards"]


@pytest.mark.parametrize("shards", [[], [0, 5], ["abc"], [1.5], [-1], "abc"])
def test_shards_refused(shards: Any) -> None:
    with pytest.raises(cs.InputError):
        exercise_1_1_2.answer(shards)


# exercise 1.1.3


@pytest.fixture(scope="module")
def scaling() -> exercise_1_1_3.ScalingFigures:
    return exercise_1_1_3.answer()


def test_one_gradient_once_is_exactly_the_books(scaling: exercise_1_1_3.ScalingFigures) -> None:
    assert scaling.size == 4_000_000_000
    assert scaling.once == 0.4
    assert exercise_1_1_3.format_once(scaling) == "0.4 s"


def test_scaling_against_closed_forms(scaling: exercise_1_1_3.ScalingFigures) -> None:
    assert scaling.workers == (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    assert len(scaling.records) == 30
    for record in scaling.records:
        time = CLOSED_FORMS[record.algorithm](record.workers, GIGABYTES_4, 5e-6, 1e-10)
        assert record.time == pytest.approx(time, rel=1e-9)
        assert record.time >= scaling.bound(record.workers)
        assert record.ratio == pytest.approx(time / 0.3, rel=1e-9)
        assert record.share == pytest.approx(time / (time + 0.3), rel=1e-9)
        assert record.exposed_share == pytest.approx(1 - 0.3 / time, rel=1e-8)
    assert [crossing.workers for crossing in scaling.crossings] == [2, 2, 2]


def test_what_is_hidden_is_not_exposed() -> None:
    record = exercise_1_1_3.Record("ring", 8, compute=1.0, time=0.25)
    assert (record.ratio, record.share, record.exposed_share) == (0.25, 0.2, 0.0)


@pytest.mark.parametrize(
    ("parameters", "bandwidth", "latency", "compute"),
    [
        (1e9, 10e9, 5e-6, 0.3),  # always, all three
        (1e9, 10e9, 5e-6, 0.55),
        (1e9, 10e9, 5e-6, 0.75),
        (1e9, 10e9, 5e-6, 5.0),  # ring never
        (1e9, 900e9, 1e-6, 0.3),  # naive alone
        (1e3, 10e9, 5e-6, 1e-4),  # latency decides
        (1e3, 10e9, 5e-6, 1e-5),
        (1e9, 10e9, 5e-6, 1e4),  # never, all three
        (1e9, 10e9, 0.0, 0.8),  # as long as the compute is not longer: a tie
    ],
)
def test_crossings_against_brute_force(parameters: float, bandwidth: float, latency: float, compute: float) -> None:
    figures = exercise_1_1_3.answer(
        parameters, bandwidth=bandwidth, latency=latency, compute=compute, workers=[2], up_to=200
    )
    for crossing in figures.crossings:
        form = CLOSED_FORMS[crossing.algorithm]
        slower = (k for k in range(2, 201) if form(k, 4 * parameters, latency, 1 / bandwidth) > compute * (1 + 1e-9))
        assert crossing.workers == next(slower, None)


def test_crossings_of_times_that_fall_at_powers_of_two() -> None:
    def folded(ranks: int) -> float:  # rounds of recursive doubling
        power = ranks.bit_length() - 1
        return float(power + 2 * (ranks > 2**power))

    for limit, compute in itertools.product([2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 100], range(1, 10)):
        brute = next((k for k in range(2, limit + 1) if folded(k) > compute), None)
        assert exercise_1_1_3._first_above(folded, compute, limit) == brute


def test_a_range_of_compute_times() -> None:
    figures = exercise_1_1_3.answer(compute="100ms..500ms", workers=[8, 2], up_to=16)
    assert figures.compute == (0.1, 0.5)
    assert figures.workers == (2, 8)
    for name, low, high in (("naive", 2, 2), ("tree", 2, 2), ("ring", 2, 3)):
        found = [crossing.workers for crossing in figures.crossings if crossing.algorithm == name]
        assert found == [low, high]
    hard, easy = figures.at("ring", 2)
    assert hard.time == easy.time
    assert hard.ratio == pytest.approx(5 * easy.ratio)
    assert (hard.exposed_share > 0, easy.exposed_share) == (True, 0)
    assert exercise_1_1_3.answer(compute=("100ms", 0.5), workers=[8, 2], up_to=16) == figures
    assert exercise_1_1_3.answer(compute="1s..1000ms", workers=[2], up_to=2).compute == (1.0,)


def test_looks_up_to_the_largest_number_of_workers_at_least() -> None:
    fast: dict[str, Any] = {"algorithms": "tree", "compute": "9s"}
    assert exercise_1_1_3.answer(workers=[2], **fast).up_to == 1024
    figures = exercise_1_1_3.answer(workers=[2, 2048], **fast)
    assert figures.up_to == 2048
    assert figures.crossings[0].workers is None
    assert exercise_1_1_3.answer(workers=[2, 4096], **fast).crossings[0].workers == 2049


CONCLUSIONS = [
    (
        {"workers": [64]},
        ["dominates the compute (300 ms) from K = 2 on with naive, tree and ring", "once (0.4 s) takes longer already"],
        ["never", "hides"],
    ),
    (
        {"compute": "1s", "workers": [64]},
        [
            "from K = 3 on with naive and tree, but never up to K = 64 with ring",
            "the fastest, ring, takes 788.1 ms, 0.79 times the compute",
            "perfect overlap hides all of it",
        ],
        ["takes longer already", "would help"],
    ),
    (
        {"compute": "60s", "workers": [64]},
        ["Up to K = 64 communication never dominates the compute (60 s) with naive, tree or ring"],
        ["from K", "would help"],
    ),
    (
        {"compute": "500ms..900ms", "workers": [64]},
        [
            "from K = 2 on at 500 ms and from K = 3 on at 900 ms with naive and tree",
            "from K = 3 on at 500 ms and never up to K = 64 at 900 ms with ring",
            "hides all of it behind 900 ms of compute, but leaves 37 % behind 500 ms",
        ],
        ["takes longer already"],
    ),
    (
        {"parameters": 1000, "compute": "10us", "workers": [64]},
        ["the fastest, naive,", "a faster network or more compute between two exchanges would help"],
        ["fewer bytes"],
    ),
    ({"algorithms": "ring", "workers": [8]}, ["With K = 8 workers ring takes 700.1 ms, 2.3 times"], ["the fastest"]),
    ({"workers": [1]}, ["A single worker has nothing to send."], ["With K"]),
]


@pytest.mark.parametrize(("arguments", "said", "unsaid"), CONCLUSIONS)
def test_conclusion_follows_the_figures(arguments: dict[str, Any], said: list[str], unsaid: list[str]) -> None:
    conclusion = exercise_1_1_3.conclude(exercise_1_1_3.answer(**arguments, up_to=64))
    for text in said:
        assert text in conclusion
    for text in unsaid:
        assert text not in conclusion
    assert conclusion.count(". ") == 1  # two sentences
    assert conclusion.endswith(".")


def test_scaling_as_json(scaling: exercise_1_1_3.ScalingFigures) -> None:
    document = strict(scaling.to_dict())
    assert document["once_s"] == 0.4
    assert document["compute_s"] == [0.3]
    assert [record["workers"] for record in document["records"] if record["algorithm"] == "ring"] == list(
        scaling.workers
    )
    assert document["dominates_from"][2] == {"algorithm": "ring", "compute_s": 0.3, "workers": 2}
    assert document["conclusion"] == exercise_1_1_3.explain(scaling)[-1]
    strict(exercise_1_1_3.answer(workers=[1, 3], compute="1ms..1s", up_to=8).to_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"compute": "-3ms"}, "compute must not be negative, got '-3ms'"),
        ({"compute": "5parsecs"}, "unknown unit 'parsecs'"),
        ({"compute": 0}, "compute must be positive, got 0"),
        ({"compute": "500ms..100ms"}, "must ascend"),
        ({"compute": "100..500ms"}, "each with its unit"),
        ({"compute": "..500ms"}, "a range such as 100ms..500ms, got '..500ms'"),
        ({"compute": (1, 2, 3)}, "a range such as"),
        ({"compute": float("nan")}, "finite"),
        ({"compute": 1e-320}, "too far apart"),
        ({"parameters": 0}, "parameters"),
        ({"parameters": "1e400"}, "got '1e400'"),
        ({"parameters": "1e30"}, "larger than 1e24 bytes"),
        ({"itemsize": 0}, "itemsize"),
        ({"bandwidth": "10 GBs"}, "unknown unit 'GBs'"),
        ({"latency": "-1us"}, "latency must not be negative"),
        ({"workers": []}, "no numbers of workers"),
        ({"workers": [2, 0]}, "workers must be a whole number of at least 1, got 0"),
        ({"algorithms": ["rong"]}, "did you mean 'ring'"),
        ({"up_to": 1}, "up_to"),
    ],
)
def test_scaling_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(cs.InputError, match=message):
        exercise_1_1_3.answer(**arguments)


# the commands


def test_example_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "example", "1.1.1", "--workers", "3", "--examples", "1000")
    assert (status, err) == (0, "")
    assert "N = 1000 examples" in out
    assert "6.43e-15" in out
    assert max(map(len, out.splitlines())) <= 100
    status, out, err = run(capsys, "example", "1.1.1", "--algorithms", "ring,tree", "--examples", "1000", "--json")
    assert (status, err) == (0, "")
    assert [record["algorithm"] for record in json.loads(out)["algorithms"]] == ["ring", "tree"]


def test_shards_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "exercise", "1.1.2")
    assert (status, err) == (0, "")
    assert "200 times too much" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100
    many = ",".join(str(size) for size in range(1, 21))
    status, out, _ = run(capsys, "exercise", "1.1.2", "--shards", many, "--algorithm", "tree")
    assert status == 0
    assert "(8 more sizes)" in out
    status, out, _ = run(capsys, "exercise", "1.1.2", "--shards", "50,50", "--json")
    assert json.loads(out)["equal_shards"] is True


def test_scaling_command(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("exercise", "1.1.3", "--workers", "2,8", "--up-to", "16")
    status, out, err = run(capsys, *small)
    assert (status, err) == (0, "")
    assert "0.4 s  n/B = 4 GB / 10 GB/s" in out
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("8 "))
    assert row == ["8", "5.6", "s", "19", "2.4", "s", "8.0", "700.1", "ms", "2.3", "700", "ms"]
    assert max(map(len, out.splitlines())) <= 100
    status, out, _ = run(capsys, *small, "--compute", "500ms..2s", "--algorithms", "ring")
    assert "0.35 .. 1.4" in out
    assert "26 .. 58 %" in out
    assert "never up to K = 16" in out
    status, out, _ = run(capsys, *small, "--parameters", "1e6", "--json")
    assert json.loads(out)["size_bytes"] == 4_000_000


def test_scaling_command_draws(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "scaling.svg"
    status, out, _ = run(capsys, "exercise", "1.1.3", "--workers", "2,4", "--up-to", "4", "--plot", str(target))
    assert status == 0
    assert out.endswith(f"The picture is in {target}\n")
    assert target.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("example 1.1.1 --workers 0", "got '0'"),
        ("example 1.1.1 --workers 2.5", "got '2.5'"),
        ("example 1.1.1 --algorithms rong", "did you mean 'ring'"),
        ("example 9.9.9", "unknown example '9.9.9' (known: 1.1.1)"),
        ("exercise 1.1.4", "(known: 1.1.2, 1.1.3)"),
        ("exercise 1.1.2 --shards 0,5", "got '0'"),
        ("exercise 1.1.2 --shards abc", "got 'abc'"),
        ("exercise 1.1.2 --shards ,", "no shards"),
        ("exercise 1.1.3 --compute -3ms", "must not be negative, got '-3ms'"),
        ("exercise 1.1.3 --compute 5parsecs", "unknown unit 'parsecs'"),
        ("exercise 1.1.3 --plot file.xyz", "'file.xyz'"),
        ("exercise 1.1.3 --plot /nonexistent/x.png", "'/nonexistent/x.png'"),
        ("exercise 1.1.3 --bandwidth 0", "bandwidth must be positive"),
        ("exercise 1.1.3 --nonsense", "No such option"),
    ],
)
def test_bad_usage_is_one_line(capsys: pytest.CaptureFixture[str], line: str, message: str) -> None:
    status, out, err = run(capsys, *line.split())
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_missing_matplotlib_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    status, out, err = run(capsys, "exercise", "1.1.3", "--plot", "x.png")
    assert (status, out) == (2, "")
    assert "pip install 'collsim[plot]'" in err


def test_lines_are_not_broken_within_a_quantity(capsys: pytest.CaptureFixture[str]) -> None:
    words = "x" * 83 + " 12 500 300 ms 99.96 % K = 8 400 B"
    for shift in range(12):
        print_words([words[shift:]])
        lines = capsys.readouterr().out.splitlines()
        assert " ".join(line for line in lines if line) == words[shift:]
        for broken in ("12", "300", "99.96", "K", "K =", "400"):
            assert not any(line.endswith(f" {broken}") or line == broken for line in lines)

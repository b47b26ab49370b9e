"""The lessons: what their pages show is what comes out, their exercises are judged rightly, notebooks are the pages."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from collsim.cli import main
from collsim.errors import CollsimError, InputError
from collsim.lessons import FOLDER, LESSONS, get_exercise, get_lesson
from collsim.lessons.exercise import UNITS, Choice, Code, Number, Slip
from collsim.lessons.notebook import faults, notebook, sources
from collsim.lessons.page import LessonError, command, differences, index, made, parse, render, run
from collsim.units import format_size

ROOT = Path(__file__).parent.parent
LARGEST = 250_000  # bytes of a picture
by_lesson = pytest.mark.parametrize("lesson", LESSONS.values(), ids=LESSONS)

EXERCISES = {
    f"{lesson.number}.{place}": exercise
    for lesson in LESSONS.values()
    for place, exercise in enumerate(lesson.exercises(), start=1)
}


def of_kind(kind):
    return [exercise for exercise in EXERCISES.values() if isinstance(exercise, kind)]


@pytest.fixture
def collsim(capsys):
    """Run ``collsim lesson``; return its status and what it wrote to stdout and stderr."""

    def ask(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(("lesson", *arguments))
        written = capsys.readouterr()
        return stop.value.code, written.out, written.err

    return ask


# ---- pages


def test_the_path_leads_from_nothing_to_the_exercises_of_the_book():
    assert [lesson.number for lesson in LESSONS.values()] == list(range(1, len(LESSONS) + 1))
    assert list(LESSONS)[:8] == ["exact", "gather", "tree", "ring", "crossover", "network", "uneven", "own"]
    assert list(LESSONS)[8:] == ["gradient", "shards", "scaling"]
    for lesson in LESSONS.values():
        assert all(LESSONS[name].number < lesson.number for name in lesson.needs)
    pages = {path.name for path in FOLDER.glob("*.md")}
    assert pages == {lesson.path.name for lesson in LESSONS.values()} | {"README.md"}


@by_lesson
def test_what_a_page_shows_is_what_comes_out(lesson):
    pytest.importorskip("matplotlib")
    if found := differences(lesson):
        pytest.fail("\n".join([*found, "if that is right, run `python docs/generate.py`"]), pytrace=False)


@by_lesson
def test_a_page_has_code_pictures_and_three_exercises_and_can_be_read_in_ten_minutes(lesson):
    cells = parse(lesson.text())
    assert sum(cell.kind in ("python", "console") for cell in cells) >= 4
    assert any(cell.picture for cell in cells)
    assert len(lesson.exercises()) == 3
    for place in (1, 2, 3):
        assert f"\n**{lesson.number}.{place}** " in lesson.text()
    assert 60 <= len(lesson.text().splitlines()) <= 180
    for cell in cells:
        if cell.kind in ("python", "file"):
            assert max(map(len, cell.source.splitlines())) <= 100, "wider than a terminal shows"


def test_the_page_that_lists_the_lessons_is_made_from_the_table():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == index()


def test_pictures_are_those_that_the_pages_show():
    shown = {FOLDER / cell.picture for lesson in LESSONS.values() for cell in parse(lesson.text()) if cell.picture}
    assert shown == set((FOLDER / "pictures").iterdir())
    for picture in shown:
        assert picture.stat().st_size < LARGEST, picture.name
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target


def test_commands_of_the_list_of_lessons_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("nbformat")
    monkeypatch.chdir(tmp_path)
    block = next(re.finditer(r"^```console\n(.*?)^```$", index(), re.M | re.S))[1]
    commands = [line.removeprefix("$ ") for line in block.splitlines()]
    assert len(commands) == 5
    for line in commands:
        with pytest.raises(SystemExit) as stop:
            main(shlex.split(line)[1:])
        assert (stop.value.code, capsys.readouterr().err) == (0, ""), line
    assert (tmp_path / "ring.ipynb").is_file()


# ---- what is wrong with a page is noticed


PAGE = made(
    LESSONS["exact"],
    "# A\n\nText.\n\n```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n\n"
    f"```console\n$ collsim verify all_reduce -a ring -n 2\n{command('collsim verify all_reduce -a ring -n 2')}```\n",
)


def changed(*change: str) -> list[str]:
    assert change[0] in PAGE
    return differences(LESSONS["exact"], PAGE.replace(*change))


def test_a_page_that_shows_what_is_not_so_is_noticed():
    (said,) = changed("```text\n2\n", "```text\n3\n")
    assert "-3" in said
    assert "+2" in said
    (said,) = changed("After 2 steps", "After 9 steps")
    assert "+all_reduce by ring on 2 ranks" in said
    (said,) = changed("print(1 + 1)", "print(1 + 1)\nprint('more')")
    assert "+more" in said
    (said,) = changed("```text\n2\n```\n\n", "")
    assert "+2" in said


def test_other_exercises_another_heading_and_sloppy_form_are_noticed():
    assert "other exercises" in changed("**1.2**", "**1.7**")[0]
    assert "another heading" in changed("# Lesson 1", "# Lesson 2")[0]
    assert "as it would be made" in changed("Text.\n\n", "Text.\n\n\n")[0]


def test_a_picture_without_a_drawing_and_a_drawing_without_a_picture_are_noticed():
    pytest.importorskip("matplotlib")
    drawing = "from matplotlib.figure import Figure\n\nFigure()"
    assert "draws a picture and shows none" in changed("print(1 + 1)\n```\n\n```text\n2\n```", f"{drawing}\n```")[0]
    assert "picture that is not drawn" in changed("```text\n2\n```", "```text\n2\n```\n\n![A](pictures/a.svg)")[0]
    figure = f"{drawing}\n```\n\n![A](pictures/a.svg)"
    assert changed("print(1 + 1)\n```\n\n```text\n2\n```", figure) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\n1\n", "has no end"),
        ("```sh\nls\n```\n", "known are python, text and console"),
        ("```console\ncollsim list\n```\n", "and not with"),
        ("```python\n1 / 0\n```\n", "ZeroDivisionError: division by zero"),
        ("```python\n1 +\n```\n", "SyntaxError"),
        ("```console\n$ rm -r x\n```\n", "not collsim's"),
        ("```console\n$ collsim teach\n```\n", "unknown command 'teach'"),
        ("```console\n$ collsim run all_reduce -a rong -n 2 -s 1\n```\n", "unknown"),
    ],
)
def test_a_page_that_cannot_be_run_is_refused(text, message):
    with pytest.raises(LessonError, match=re.escape(message)):
        list(run(parse(text)))


def test_code_is_run_as_a_notebook_runs_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = (
        "```python\nx = 2\n```\n\n```python\nx\n```\n\n```text\n2\n```\n\n```python\nNone\n```\n\n"
        "```python mine.py\ny = 3\n```\n\n```python\nfrom pathlib import Path\n\n"
        "print(Path('mine.py').read_text())\n```\n\n"
        "```text\ny = 3\n\n```\n\n"
        "```python\nimport collsim as cs\n\n_ = cs.register('all_reduce', 'mine', lambda ranks: None)\n```\n"
    )
    ran = list(run(parse(text)))
    assert [one.same for one in ran] == [True] * 6
    assert render([one.cell for one in ran]) == text
    assert list(tmp_path.iterdir()) == []
    (list_of_engines,) = run(parse("```console\n$ collsim list engines\n```\n"))
    assert "\x1b" not in list_of_engines.cell.output
    from collsim.catalog import ALGORITHMS

    assert ("all_reduce", "mine") not in ALGORITHMS


# ---- exercises


def spellings(exercise: Number, value: float) -> list[str]:
    """Ways to write a number: as collsim does, with more digits, in SI units, in a smaller unit."""
    if exercise.unit == "time":
        return [f"{value}", f"{value * 1e3:.9g}ms", f"{value * 1e3:.9g} ms", f"{value * 1e6:.12g}us"]
    if exercise.unit == "size":
        return [f"{value:.0f}", f"{value:.0f} B", format_size(value), format_size(value).replace(" ", "")]
    if exercise.unit == "share":
        return [f"{value}", f"{100 * value}%", f"{100 * value:.4g} %"]
    if exercise.unit == "ratio":
        return [f"{value}", f"{value:.4g}", f"{value:.6g}x", f"{value:.6g} times"]
    return [f"{value:.0f}", f" {value:.0f} "]


def test_the_right_number_is_accepted_in_each_spelling_and_others_are_not():
    for exercise in of_kind(Number):
        right = exercise.right
        for text in spellings(exercise, right):
            assert exercise.check(text).right, text
        form = UNITS[exercise.unit].form
        assert exercise.solution().startswith(form(right))
        if exercise.unit != "size":  # whose text has four digits, which may not be a whole number of bytes
            assert exercise.check(form(right).replace(" %", "%")).right
        for wrong in (0.9 * right, 1.1 * right) if exercise.unit != "count" else (right - 1, right + 1):
            text = f"{wrong:.0f}" if exercise.unit in ("count", "size") else f"{wrong}"
            assert not exercise.check(text).right, text
        with pytest.raises(InputError):
            exercise.check("about half")


def test_a_usual_mistake_gets_its_own_hint():
    for exercise in of_kind(Number):
        right = exercise.right
        assert exercise.slips
        hints = set()
        for slip in exercise.slips:
            wrong = slip.answer(**exercise.given)
            text = f"{wrong:.0f}" if exercise.unit in ("count", "size") else repr(wrong)
            verdict = exercise.check(text)
            assert not verdict.right, f"{slip.hint} leads to the right answer, {right}"
            hints.add(verdict.message)
            assert "{" not in verdict.message
        assert len(hints) == len(exercise.slips), "two mistakes lead to the same number"


def test_one_word_is_right_and_all_others_get_a_hint():
    for exercise in of_kind(Choice):
        verdicts = {option: exercise.check(option.upper()) for option in exercise.options}
        assert [option for option, verdict in verdicts.items() if verdict.right] == [exercise.right]
        assert all(verdict.message for verdict in verdicts.values())
        assert set(exercise.hints) <= set(exercise.options) - {exercise.right}
        with pytest.raises(InputError, match="unknown answer"):
            exercise.check("perhaps")


def test_the_model_solution_is_right(tmp_path):
    for exercise in of_kind(Code):
        name = re.search(r"^def (\w+)", exercise.model, re.M)[1]
        (tmp_path / f"{name}.py").write_text(exercise.model, encoding="utf-8")
        assert exercise.check(f"{tmp_path / name}.py:{name}").right


# Solutions that are wrong, or not what is asked for.
OTHERS = {
    "8.1": [
        ("return plan.build()", "return cs.make_schedule('broadcast', 'chain', ranks)", "all_reduce"),
        ("dst=rank + 1", "dst=ranks - 1", "no neighbour"),
        ("ranks - 1, 0, -1", "ranks - 1, 1, -1", "Rank 0"),
    ],
    "8.2": [
        ("copy(step=step,", "copy(step=2 * step + 1,", "are enough"),
        ("while have < ranks", "while 2 * have < ranks", "K = "),
        ("return plan.build()", "return cs.make_schedule('broadcast', 'flat', ranks, root=root)", "one is allowed"),
    ],
    "8.3": [
        ("chunks=ranks", "chunks=2 * ranks", ""),
        ("step=1,", "step=2,", "two are enough"),
        (", chunk=owner)", ")", ""),
    ],
}


@pytest.mark.parametrize("number", OTHERS)
def test_code_that_is_wrong_or_not_what_was_asked_is_told_why(number, tmp_path):
    for turn, (before, after, why) in enumerate(OTHERS[number]):
        model = EXERCISES[number].model
        assert before in model
        file = tmp_path / f"mine{turn}.py"
        file.write_text(model.replace(before, after), encoding="utf-8")
        name = re.search(r"^def (\w+)", model, re.M)[1]
        verdict = EXERCISES[number].check(f"{file}:{name}")
        assert not verdict.right
        assert why in verdict.message
        assert verdict.message


A, B = 5e-6, 1e-10  # alpha and beta of the lessons' network


# By paper and pencil, for the figures stated and for others: none of the answers is written down.
CLOSED_FORMS = (
    ("1.1", {}, 2**6 - 1),
    ("1.1", {"workers": 3}, 7),
    ("1.2", {}, 3),
    ("1.2", {"found": 33}, 1),
    ("2.1", {}, 2 * (A + 4 * 1e9 * B)),
    ("2.1", {"workers": 3, "size": "1MB"}, 2 * (A + 2 * 1e6 * B)),
    ("2.2", {}, 8 * 200e6),
    ("2.3", {}, 51),
    ("2.3", {"limit": "2s"}, 101),
    ("3.1", {"workers": 33}, 12),
    ("3.2", {}, 10 * (A + 5e8 * B)),
    ("3.3", {"size": "1MB"}, "tree"),
    ("4.1", {}, 22),
    ("4.2", {}, 14 * (A + 4e9 / 8 * B)),
    ("4.2", {"workers": 3, "size": "30MB"}, 4 * (A + 1e7 * B)),
    ("4.3", {}, 8 / 5 * 1e9),
    ("5.1", {}, 14 * A / (8 - 22 / 12) / B),
    ("5.1", {"workers": 8}, 8 * A / (6 - 14 / 8) / B),
    ("5.2", {"bandwidth": "1GB/s"}, "smaller"),
    ("5.2", {"bandwidth": "10GB/s"}, "the same"),
    ("5.3", {}, (62 * (A + 8 / 32 * B)) / (10 * (A + 8 * B))),
    ("6.1", {}, 4e-6 + 6 * 1e8 * B),
    ("6.1", {"leaf": 2}, 4e-6 + 2 * 1e8 * B),
    ("6.2", {"size": "100MB"}, "ring"),
    ("6.3", {}, (30 * (4e-6 + 8 * 1e8 / 16 * B)) / (30 * (4e-6 + 1e8 / 16 * B))),
    ("7.1", {}, 20e-3 + 14 * (A + 2e8 / 8 * B)),
    ("7.2", {}, (14 * (A + 4e8 / 8 * B)) / (14 * (A + 1e8 / 8 * B))),
    ("7.3", {}, 300 / 1600),
    ("7.3", {"computes": "100, 300"}, 200 / 600),
    ("9.1", {}, 14286),
    ("9.2", {"features": 7}, 56),
    ("9.3", {"dtype": "float64"}, "1e-15"),
    ("9.3", {"dtype": "float16"}, "1e-3"),
    ("10.1", {}, 50),
    ("10.1", {"shards": "75 and 25"}, 2),
    ("10.2", {}, 3),
    ("10.3", {"shards": "600 and 400"}, "weighted"),
    ("11.1", {}, 2 * (A + 31 * 0.4) / 0.3),
    ("11.2", {}, 8),
    ("11.2", {"compute": "500ms"}, 3),
    ("11.3", {"bandwidth": "30GB/s"}, "compute"),
)


def test_answers_are_worked_out_from_the_figures_of_the_question():
    for number, given, expected in CLOSED_FORMS:
        exercise = EXERCISES[number]
        assert set(given) <= set(exercise.given)
        exercise = dataclasses.replace(exercise, given={**exercise.given, **given})
        found = exercise.right
        assert found == (expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-4)), number
        assert exercise.question()
    assert {number for number, _, _ in CLOSED_FORMS} >= set(EXERCISES) - {"1.3", "8.1", "8.2", "8.3"}


def test_a_question_states_its_figures_and_is_on_the_page():
    for number, exercise in EXERCISES.items():
        asked = " ".join(exercise.question().split())
        assert asked in " ".join(get_lesson(number.partition(".")[0]).text().split())
        assert "{" not in asked
        assert "{" not in exercise.solution().partition("\n\n")[0]


def test_a_bare_number_is_asked_for_its_unit():
    said = get_exercise("4.2").check("700").message
    assert "Did you leave out the unit" in said
    assert "unit" in get_exercise("2.2").check("5").message


def test_a_share_may_be_a_fraction_and_per_cent_must_say_so():
    waiting = get_exercise("7.3")
    assert waiting.check("3/16").right
    assert waiting.check("0.1875").right
    assert "more than the whole" in waiting.check("18.75").message
    assert "too much" in waiting.check("120 %").message
    with pytest.raises(InputError, match="must be a number"):
        waiting.check("3/0")


def test_an_exercise_of_ones_own():
    double = Number("Twice {n}?", "{n} and {n}.", {"n": 4}, lambda n: 2 * n, "count", [Slip(lambda n: n, "Once.")])
    assert double.check("8") == dataclasses.replace(double.check("8"), right=True, message="4 and 4.")
    assert double.check("4").message == "Once."
    assert double.check("9").message == "9 is too much."
    assert double.check("7").message == "7 is too little."


# ---- the command


def test_the_list_has_a_line_a_lesson(collsim):
    status, out, err = collsim()
    assert (status, err) == (0, "")
    for lesson in LESSONS.values():
        assert re.search(rf"^ *{lesson.number} +{re.escape(lesson.title)} ", out, re.M)
    listed = json.loads(collsim("--json")[1])
    assert [one["name"] for one in listed] == list(LESSONS)


@pytest.mark.parametrize("name", ["4", "ring", "RING"])
def test_a_lesson_is_shown_by_number_or_name(collsim, name):
    assert collsim(name) == (0, LESSONS["ring"].text(), "")


def test_on_a_terminal_a_lesson_is_set(collsim, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    status, out, err = collsim("4")
    assert (status, err) == (0, "")
    assert "```" not in out
    words = " ".join(re.sub(r"\x1b\[[\d;]*m", "", out).split())
    assert "(A picture: Ring all-reduce on four ranks" in words
    assert "and from where on (collsim lesson 5). collsim lesson lists all of them." in words
    assert "\x1b]8" not in out, "a link, which leads nowhere in a terminal"


def test_a_lesson_is_run_live(collsim, tmp_path):
    pytest.importorskip("matplotlib")
    status, out, err = collsim("3", "--run", "--pictures", str(tmp_path))
    assert (status, err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["tree.svg"]
    assert f"It is in {tmp_path / 'tree.svg'}." in out
    shown = LESSONS["tree"].text()
    assert [line for line in shown.splitlines() if line not in out and not line.startswith("![")] == []


def test_without_matplotlib_a_lesson_runs_on_and_says_what_is_missing(collsim, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("3", "10"):  # by collsim.plots, and by matplotlib itself
        status, out, err = collsim(name, "--run")
        assert (status, err) == (0, "")
        assert out.count("Not drawn: ") == 1
        assert "matplotlib" in out.partition("Not drawn: ")[2].partition("\n")[0]
        assert "## Exercises" in out
    with pytest.raises(CollsimError, match="matplotlib"):
        list(run(parse("```python\nfrom collsim.plots import check_target\n\ncheck_target('a.svg')\n```\n")))


def test_an_exercise_is_asked_answered_and_solved(collsim):
    status, out, err = collsim("4.2")
    assert (status, err) == (0, "")
    assert out.startswith("\n4.2  8 workers sum vectors of 4 GB by `ring`")
    assert "\n'collsim lesson 4.2 ANSWER' says whether yours is right" in out
    assert collsim("4.2", "700", "ms") == (0, "\nRight. 14 steps of 500 MB, which take 50 ms and 5 us each.\n", "")
    status, out, err = collsim("4.2", "350ms")
    assert (status, err) == (1, "collsim: error: 350ms is not the answer to exercise 4.2\n")
    assert out.startswith("\nNot yet. That is the first half.")
    assert "\n700.1 ms. 14 steps" in collsim("4.2", "--solution")[1]
    assert "\ndef there_and_back(ranks):\n" in collsim("8.1", "--solution")[1]
    status, out, err = collsim("4.2", "350ms", "--json")
    assert (status, err) == (1, "")
    assert json.loads(out)["right"] is False


BAD_INPUT = (
    (("12",), "there is no lesson 12; there are 1 to 11"),
    (("0",), "there is no lesson 0"),
    (("rink",), "unknown lesson 'rink'; did you mean 'ring'?"),
    (("4.4",), "there is no exercise 4.4; lesson 4 has 4.1 to 4.3"),
    (("4.x",), "there is no exercise 4.x"),
    ((".2",), "there is no exercise .2"),
    (("99.1",), "there is no lesson 99"),
    (("4.2", "soon"), "the answer 'soon' is not a quantity"),
    (("4.1", "2.5"), "the answer must be a whole number"),
    (("7.3", "a lot"), "the answer must be a number"),
    (("1.3", "both"), "unknown answer 'both'"),
    (("8.1", "ring"), "my_file.py:my_function, got 'ring'"),
    (("8.1", "no_such_file.py:f"), "no_such_file.py"),
    (("4", "700ms"), "an answer is for an exercise: collsim lesson 4.2 700ms"),
    (("4", "--solution"), "--solution is for an exercise"),
    (("4.2", "--run"), "--run is for a lesson"),
    (("4.2", "--notebook", "x.ipynb"), "--notebook is for a lesson"),
    (("--run",), "--run needs the number of a lesson"),
    (("4", "--pictures", "."), "--pictures needs --run"),
    (("4", "--run", "--pictures", "no/such/folder"), "there is no folder 'no/such/folder'"),
    (("4", "--run", "--json"), "give it or --json"),
    (("4", "--run", "--notebook", "x.ipynb"), "give it or --notebook"),
    (("--notebook", "x.ipynb"), "for the notebooks of all lessons give a folder"),
    (("4", "--notebook", "x.txt"), "must be an .ipynb file"),
    (("4", "--notebook", "no/such/x.ipynb"), "cannot write the notebook"),
)


def test_bad_input_is_one_clear_line(collsim):
    pytest.importorskip("nbformat")
    for arguments, message in BAD_INPUT:
        status, out, err = collsim(*arguments)
        assert (status, out) == (2, ""), arguments
        assert err.startswith("collsim: error: ")
        assert message in err
        assert err.count("\n") == 1


# ---- notebooks


@by_lesson
def test_a_notebook_is_its_page(lesson):
    nbformat = pytest.importorskip("nbformat")
    text = notebook(lesson)
    assert notebook(lesson) == text
    document = nbformat.reads(text, as_version=4)
    nbformat.validate(document)
    assert len({cell.id for cell in document.cells}) == len(document.cells)
    opening, setup, *rest = document.cells
    assert opening.source.startswith(f"# {lesson.heading}\n")
    assert "%load_ext" in setup.source
    code = [cell.source for cell in rest if cell.cell_type == "code"]
    expected = []
    for cell in parse(lesson.text()):
        if cell.kind == "python":
            expected.append(cell.source)
        elif cell.kind == "file":
            expected.append(f"%%writefile {cell.name}\n{cell.source}")
        elif cell.kind == "console":
            expected.append("\n".join(f"%{line}" for line in cell.source.splitlines()))
    assert code == expected
    words = "".join(cell.source for cell in document.cells if cell.cell_type == "markdown")
    assert all(f"**{lesson.number}.{place}**" in words for place in (1, 2, 3))
    assert all(target.endswith(".ipynb") for target in re.findall(r"\]\(([^)]+)\)", words))


def test_commands_in_a_notebook_print_what_the_page_shows(capsys):
    from collsim.lessons.notebook import load_ipython_extension

    class Shell:
        def register_magic_function(self, function, kind):
            assert kind == "line"
            self.magic = function

    shell = Shell()
    load_ipython_extension(shell)
    cell = next(cell for cell in parse(LESSONS["exact"].text()) if cell.kind == "console")
    shell.magic(cell.source.removeprefix("collsim "))
    assert capsys.readouterr().out == cell.output
    shell.magic("teach")
    assert "unknown command 'teach'" in capsys.readouterr().out


def test_without_nbformat_it_is_said_what_to_install(collsim, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    status, _, err = collsim("4", "--notebook", str(tmp_path))
    assert status == 2
    assert "pip install 'collsim[notebook]'" in err


def test_what_a_notebook_shows_otherwise_than_its_page_is_noticed(monkeypatch):
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lesson = LESSONS["exact"]
    monkeypatch.setattr(type(lesson), "text", lambda self: PAGE.replace("\n2\n```", "\n3\n```"))
    (said,) = faults(lesson)  # all but that is as on the page
    assert "prints in its notebook:\n2" in said


def test_errors_are_those_of_collsim():
    assert issubclass(LessonError, CollsimError)
    assert len(sources(LESSONS["ring"])) > 5

"""``collsim lesson``: the lessons, their exercises, and what is said of an answer."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collsim.cli.output import print_json, print_table, print_words
from collsim.errors import InputError
from collsim.lessons import LESSONS, get_exercise, get_lesson

if TYPE_CHECKING:
    from collsim.lessons import Lesson

_IMAGE = re.compile(r"!\[([^]]*)\]\([^)]*\)")
_LESSON = re.compile(r"\[([^]]*)\]\(0?(\d+)-\w+\.md\)")
_LINK = re.compile(r"\[([^]]*)\]\([\w./-]+\.md\)")
_WIDEST = 122  # so wide are the tables of some pages, with a margin


@click.command(
    "lesson",
    epilog="""\b
Examples:
  collsim lesson                          all of them
  collsim lesson 4                        the page of lesson 4
  collsim lesson 4 --run                  the same, and its code is run as you read
  collsim lesson 4.2                      an exercise of lesson 4
  collsim lesson 4.2 700ms                is that the answer?
  collsim lesson 8.1 my_file.py:my_chain  an answer may be code
  collsim lesson 4.2 --solution           the answer, and why
  collsim lesson 4 --notebook ring.ipynb  to run it in Jupyter

\b
Exit status: 0, 1 if an answer is wrong, 2 for bad usage.
""",
)
@click.argument("number", required=False)
@click.argument("answer", nargs=-1)
@click.option("--run", "live", is_flag=True, help="Run the code of the page, and show what it prints now.")
@click.option("--pictures", metavar="FOLDER", help="With --run: write the pictures that the code draws there.")
@click.option("--solution", is_flag=True, help="Of an exercise: show the answer, and how it comes about.")
@click.option(
    "--notebook",
    metavar="FILE",
    help="Write the lesson (without a number: each) as a notebook, FILE.ipynb or a folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(
    number: str | None,
    answer: tuple[str, ...],
    live: bool,
    pictures: str | None,
    solution: bool,
    notebook: str | None,
    as_json: bool,
) -> None:
    """Learn what an all-reduce is and what it costs, lesson by lesson; NUMBER is a lesson or an exercise."""
    exercise = number is not None and "." in number
    for given, needs_exercise, option in (
        (answer, True, "an answer"),
        (solution, True, "--solution"),
        (live, False, "--run"),
        (pictures, False, "--pictures"),
        (notebook, False, "--notebook"),
    ):
        if given and needs_exercise and not exercise:
            raise InputError(f"{option} is for an exercise: collsim lesson 4.2 {' '.join(answer) or option}".rstrip())
        if given and not needs_exercise and exercise:
            raise InputError(f"{option} is for a lesson, not for an exercise of one, got {number!r}")
    if pictures is not None and not live:
        raise InputError("--pictures needs --run: collsim lesson 4 --run --pictures .")
    if live and (notebook is not None or as_json):
        raise InputError(f"--run shows a page in the terminal: give it or {'--json' if as_json else '--notebook'}")
    if exercise and number is not None:
        _exercise(number, " ".join(answer), solution, as_json)
    elif notebook is not None:
        _notebooks(number, notebook, as_json)
    elif number is None:
        _list(live, as_json)
    elif live:
        _run(get_lesson(number), pictures)
    else:
        _show(get_lesson(number), as_json)


def _list(live: bool, as_json: bool) -> None:
    if live:
        raise InputError("--run needs the number of a lesson: collsim lesson 1 --run")
    if as_json:
        print_json([_in_short(lesson) for lesson in LESSONS.values()])
        return
    print_table(
        ("", "lesson", "needs"),
        [
            (str(one.number), one.title, ", ".join(str(LESSONS[name].number) for name in one.needs) or "-")
            for one in LESSONS.values()
        ],
        left=(1, 2),
    )
    print_words(
        [
            "New to all this? Begin with 'collsim lesson 1'; ten minutes each. Each ends with three exercises: "
            "'collsim lesson 4.2' shows one, and 'collsim lesson 4.2 700ms' says whether that is the answer."
        ]
    )


def _in_short(lesson: Lesson) -> dict[str, object]:
    return {"number": lesson.number, "name": lesson.name, "title": lesson.title, "needs": list(lesson.needs)}


def _show(lesson: Lesson, as_json: bool) -> None:
    if as_json:
        asked = [
            {"number": f"{lesson.number}.{place}", "question": one.question()}
            for place, one in enumerate(lesson.exercises(), start=1)
        ]
        print_json({**_in_short(lesson), "text": lesson.text(), "exercises": asked})
        return
    _print_markdown(lesson.text())


def _print_markdown(text: str) -> None:
    """Print Markdown: set on a terminal, as it is elsewhere."""
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.width = min(console.width, _WIDEST)
    text = _IMAGE.sub(r"*(A picture: \1.)*", text)
    # In a terminal one cannot follow a link, but one can type a command.
    text = _LESSON.sub(r"\1 (`collsim lesson \2`)", text)
    console.print(Markdown(_LINK.sub(r"\1", text)))


def _run(lesson: Lesson, pictures: str | None) -> None:
    from collsim.lessons.page import parse, run, save_picture

    if pictures is not None and not Path(pictures).is_dir():
        raise InputError(f"there is no folder {pictures!r} for the pictures")
    # Each cell is shown as it is done, pictures by the place they were written to.
    for ran in run(parse(lesson.text()), lesson.name):
        text = ran.cell.markdown()
        if ran.cell.picture:
            where = "With --pictures FOLDER it is written there."
            if ran.figure is None:
                where = f"Not drawn: {ran.missing}."
            elif pictures is not None:
                where = f"It is in {save_picture(ran.figure, Path(pictures) / Path(ran.cell.picture).name)}."
            alt, picture = ran.cell.alt, ran.cell.picture
            text = text.replace(f"![{alt}]({picture})", f"(A picture: {alt}. {where})")
        _print_markdown(f"{text}\n\n")
        if sys.stdout.isatty():
            click.echo()


def _exercise(number: str, answer: str, solution: bool, as_json: bool) -> None:
    exercise = get_exercise(number)
    document: dict[str, object] = {"exercise": number, "question": exercise.question()}
    paragraphs = [f"{number}  {exercise.question()}"]
    status = 0
    if answer:
        verdict = exercise.check(answer)
        document |= {"answer": answer, "right": verdict.right, "message": verdict.message}
        paragraphs = [f"{'Right.' if verdict.right else 'Not yet.'} {verdict.message}"]
        status = 0 if verdict.right else 1
    elif not solution:
        paragraphs.append(
            f"'collsim lesson {number} ANSWER' says whether yours is right, and --solution how it comes about."
        )
    if solution:
        document["solution"] = exercise.solution()
        paragraphs.append(exercise.solution())
    if as_json:
        print_json(document)
    else:
        _print_paragraphs(paragraphs)
    if status and not as_json:
        click.echo(f"collsim: error: {answer} is not the answer to exercise {number}", err=True)
    sys.exit(status)


def _print_paragraphs(paragraphs: list[str]) -> None:
    for paragraph in paragraphs:
        words, _, code = paragraph.partition("\n\n")
        print_words([words])
        if code:
            click.echo(f"\n{code}", nl=False)


def _notebooks(number: str | None, target: str, as_json: bool) -> None:
    from collsim.lessons.notebook import write_notebook

    if number is None and not Path(target).is_dir():
        raise InputError(f"for the notebooks of all lessons give a folder that exists, got {target!r}")
    lessons = list(LESSONS.values()) if number is None else [get_lesson(number)]
    written = [str(write_notebook(lesson, target)) for lesson in lessons]
    if as_json:
        print_json({"notebooks": written})
    else:
        click.echo("\n".join(written))

"""A lesson as a Jupyter notebook, made from its page: the same text, code and commands, without outputs."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from collsim.errors import InputError, MissingDependencyError
from collsim.lessons import LESSONS, Lesson
from collsim.lessons.page import PASSING, Cell, LessonError, command, parse

# What the cells below it take for granted: commands, and that a figure is shown where a cell ends with it.
SETUP = """\
# Run this first: %collsim is then the command, here.
%load_ext collsim.lessons.notebook
%matplotlib inline"""

_LINK = re.compile(r"\[([^]]*)\]\(([^):]+)\)")


def notebook(lesson: Lesson) -> str:
    """Return a lesson as a notebook; the same page gives the same text.

    Raises
    ------
    MissingDependencyError
        If nbformat is not installed.

    Examples
    --------
    >>> from collsim.lessons import LESSONS
    >>> notebook(LESSONS["ring"]) == notebook(LESSONS["ring"])
    True
    """
    nbformat, v4 = _library("nbformat"), _library("nbformat.v4")
    opening, *rest = sources(lesson)
    # An identifier of its own for each cell: nbformat's would be another one each time.
    cells = [
        (v4.new_markdown_cell if kind == "text" else v4.new_code_cell)(source, id=f"cell-{place}")
        for place, (kind, source) in enumerate([opening, ("code", SETUP), *rest])
    ]
    metadata: dict[str, Any] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "title": lesson.heading,
    }
    document = v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(document)
    return str(nbformat.writes(document)) + "\n"


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"notebooks need {name} ({error}); install it with: pip install 'collsim[notebook]'"
        ) from None


def sources(lesson: Lesson) -> list[tuple[str, str]]:
    """Return the cells of a notebook, but for the one that sets up: ``"text"`` or ``"code"``, and what is in it."""
    return [("text" if cell.kind == "text" else "code", _source(cell)) for cell in parse(lesson.text())]


def _source(cell: Cell) -> str:
    if cell.kind == "text":
        return _LINK.sub(_link, cell.source)
    if cell.kind == "file":
        return f"%%writefile {cell.name}\n{cell.source}"
    if cell.kind == "console":
        return "\n".join(f"%{line}" for line in cell.source.splitlines())
    return cell.source


def _link(match: re.Match[str]) -> str:
    """Return a link to another lesson as one to its notebook, and to another page as words."""
    words, path = match[1], Path(match[2])
    others = {lesson.path.name for lesson in LESSONS.values()}
    return f"[{words}]({path.stem}.ipynb)" if path.name in others else words


def load_ipython_extension(ipython: Any) -> None:
    """Add ``%collsim``, for ``%load_ext collsim.lessons.notebook``.

    A shell need not find the ``collsim`` that belongs to the Python of the notebook; and it is a terminal, for which
    tables are cut. This prints what the page shows.
    """

    def collsim(line: str) -> None:
        try:
            print(command(f"collsim {line}"), end="")
        except LessonError as error:
            print(error)

    ipython.register_magic_function(collsim, "line")


def write_notebook(lesson: Lesson, path: str | os.PathLike[str]) -> Path:
    """Write a lesson as a notebook, and return where it is.

    Parameters
    ----------
    lesson : Lesson
        Which.
    path : str or path
        An ``.ipynb`` file, or a folder, in which it is called as its page is.

    Raises
    ------
    InputError
        If it is neither, or cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        target /= f"{lesson.path.stem}.ipynb"
    if target.suffix != ".ipynb":
        raise InputError(f"a notebook must be an .ipynb file or a folder that exists, got {str(path)!r}")
    text = notebook(lesson)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the notebook to {str(path)!r}: {error.strerror}") from None
    return target


def faults(lesson: Lesson, timeout: float = 300) -> list[str]:
    """Execute a lesson's notebook in Jupyter, and return what comes out otherwise than on its page.

    Parameters
    ----------
    lesson : Lesson
        Which.
    timeout : float
        Seconds that one cell may take.

    Raises
    ------
    MissingDependencyError
        If nbclient or a kernel is not installed.
    """
    nbformat, nbclient = _library("nbformat"), _library("nbclient")
    document = nbformat.reads(notebook(lesson), as_version=4)
    with tempfile.TemporaryDirectory() as place:
        client = nbclient.NotebookClient(document, timeout=timeout, resources={"metadata": {"path": place}})
        try:
            client.execute()
        except nbclient.exceptions.CellExecutionError as error:
            return [f"the notebook of lesson {lesson.number} fails: {error}"]
    ran = [cell for cell in document.cells if cell.cell_type == "code"][1:]
    wanted = [cell for cell in parse(lesson.text()) if cell.kind != "text"]
    found = []
    for cell, shown in zip(wanted, ran, strict=True):
        text, pictures = _shown(shown.outputs)
        if cell.kind != "file" and text != cell.output:
            found.append(f"lesson {lesson.number} prints in its notebook:\n{text}\nand not:\n{cell.output}")
        if cell.kind == "python" and bool(cell.picture) != bool(pictures):
            found.append(f"lesson {lesson.number} shows {pictures} pictures in its notebook:\n{cell.source}")
    return found


def _shown(outputs: Any) -> tuple[str, int]:
    """Return the text of a cell's outputs, as a page has it, and how many pictures there are."""
    text, pictures = "", 0
    for output in outputs:
        if output.output_type == "stream":
            text += output.text
        elif "image/png" in output.data:
            pictures += 1
        else:
            text += f"{output.data['text/plain']}\n"
    return PASSING.sub("", text), pictures


def main() -> None:
    """Execute all notebooks, and say which lessons come out otherwise than on their pages."""
    wrong = 0
    for lesson in LESSONS.values():
        found = faults(lesson)
        wrong += bool(found)
        print("\n".join([f"lesson {lesson.number}: {'as on its page' if not found else 'NOT as on its page'}", *found]))
    if wrong:
        raise SystemExit(f"{wrong} of {len(LESSONS)} notebooks are not as their pages")


if __name__ == "__main__":
    main()

"""The README's own code blocks, run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from collsim.catalog import ALGORITHMS
from collsim.cli import main

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


COMMANDS = [
    line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")
]


def test_the_readme_opens_with_two_commands_that_set_themselves_up():
    first, second = blocks("sh")[:2]
    for block in (first, second):
        assert block.count("\n") == 1
        assert "python3 -m venv" in block
        assert "pip install" in block
    assert "exercise 1.1.3" in first
    assert "pytest" in second


def test_the_readme_shows_a_picture_that_exists():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", README.read_text(encoding="utf-8"))
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some write files
    words = shlex.split(command)
    assert words[0] == "collsim"
    if words[1] == "plot":
        pytest.importorskip("matplotlib.figure")
    with pytest.raises(SystemExit) as stop:
        main(words[1:])
    written = capsys.readouterr()
    assert (stop.value.code, written.err) == (0, "")
    assert written.out


@pytest.mark.parametrize("code", blocks("python"))
def test_python_of_the_readme_runs(code):
    before = dict(ALGORITHMS)
    try:
        exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    finally:
        ALGORITHMS.clear()
        ALGORITHMS.update(before)

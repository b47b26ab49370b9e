"""The pages in docs: generated parts are up to date, nothing is missing, and all that they show runs."""

from __future__ import annotations

import dataclasses
import doctest
import importlib.util
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import collsim
from collsim.algorithms.table import TABLE, Algorithm
from collsim.cli import COMMANDS, main
from collsim.formulas import Formula

DOCS = Path(__file__).parent.parent / "docs"
spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)

PAGES = generate.pages()
LARGEST = 250_000  # bytes of a picture
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(page: Path) -> list[tuple[str, str]]:
    """Return each command of a page and the output that is shown below it, which may be none.

    Not those between markers: whoever compares these with what is there has run them.
    """
    text = re.sub(r"<!-- generated: .*?<!-- end -->", "", read(page), flags=re.S)
    shown = [re.split(r"^\$ ", block, flags=re.M)[1:] for block in blocks(text, "console")]
    return [tuple(command.split("\n", 1)) for block in shown for command in block]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", read(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages():
    names = {page.name for page in PAGES}
    assert {"README.md", "rings.md", "trees.md", "all_to_all.md", "barrier_scan.md"} <= names
    assert {"machines.md", "networks.md", "models.md", "bounds.md"} <= names


@by_page
def test_generated_parts_are_what_the_generator_makes_now(page):
    text = read(page)
    assert text.count("<!-- generated: ") == text.count("<!-- end -->")
    if generate.generated(text) != text:
        pytest.fail(f"{page.name} is out of date: run `{generate.COMMAND}`", pytrace=False)


def test_every_public_name_stands_once_in_the_reference():
    listed = re.findall(r"^   (\w+)$", read(DOCS / "reference.md"), re.M)
    assert sorted(listed) == sorted(collsim.__all__)


def test_every_command_stands_in_the_reference():
    text = read(DOCS / "commands.md")
    for name in COMMANDS:
        assert re.search(rf"^## collsim {name}( |$)", text, re.M), name


def test_every_algorithm_stands_on_exactly_one_page():
    for (collective, name), found in generate.page_of().items():
        if len(found) != 1:
            pytest.fail(
                f"{collective}/{name} stands on {found or 'no page'}: name it in one '<!-- generated: table ... -->' "
                f"of docs/algorithms, write about it there, and run `{generate.COMMAND}`",
                pytrace=False,
            )


def test_a_new_algorithm_is_noticed(monkeypatch):
    new = dataclasses.replace(TABLE[0], name="brand_new")
    monkeypatch.setattr(generate, "TABLE", (*TABLE, new))
    assert generate.page_of()["all_reduce", "brand_new"] == []
    readme = DOCS / "algorithms" / "README.md"
    assert generate.generated(read(readme)) != read(readme)


def test_a_changed_figure_is_noticed(monkeypatch):
    row = generate._ROW["all_reduce", "ring"]
    monkeypatch.setitem(generate._ROW, ("all_reduce", "ring"), dataclasses.replace(row, steps=Formula("3*K")))
    (block,) = re.findall(
        r"<!-- generated: table all_reduce/ring .*?<!-- end -->", read(DOCS / "algorithms/rings.md"), re.S
    )
    assert "| 3K |" not in block
    assert "| 3K |" in generate.generated(block)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("table all_reduce/rang", "not in the table"),
        ("output rm -r x", "not a collsim command"),
        ("output collsim list nothing", "failed"),
        ("known poems", "known are shapes"),
        ("poem ring", "not known"),
    ],
)
def test_a_marker_that_makes_no_sense_is_refused(marker, message):
    with pytest.raises(SystemExit, match=message):
        generate.generated(f"<!-- generated: {marker} -->\n<!-- end -->")


def test_the_pictures_are_those_that_the_pages_show():
    shown = {page.parent / name for page in PAGES for name in re.findall(r"!\[[^]]+\]\(([^)]+\.svg)\)", read(page))}
    there = {*DOCS.glob("*.svg"), *(DOCS / "algorithms").glob("*.svg")}
    if not (shown == set(generate.figures()) == there):
        pytest.fail(f"pictures are missing or left over: run `{generate.COMMAND}`", pytrace=False)
    for picture in there:
        assert picture.stat().st_size < LARGEST, picture.name
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")


@by_page
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"(?<!!)\[[^]]+\]\(([^)\s]+)\)", read(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.is_file(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize(
    ("page", "command", "output"),
    [(page, *shown) for page in PAGES for shown in commands(page)],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_a_command_of_a_page_runs(page, command, output, capsys):
    words = shlex.split(command)
    assert words[0] == "collsim"
    with pytest.raises(SystemExit) as stop:
        main(words[1:])
    written = capsys.readouterr()
    assert (stop.value.code, written.err) == (0, "")
    assert written.out
    if output:
        assert written.out == output


@by_page
def test_python_of_a_page_runs(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    runner = doctest.DocTestRunner()
    for number, code in enumerate(blocks(read(page), "python")):
        if "collsim.plots" in code:
            pytest.importorskip("matplotlib")
        if ">>>" in code:
            test = doctest.DocTestParser().get_doctest(code, names, f"{page.name}, block {number}", str(page), 0)
            report: list[str] = []
            runner.run(test, out=report.append, clear_globs=False)
            names = test.globs  # what one block defines, the next one uses
            assert not report, "".join(report)
        else:
            exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize(
    "text", [text for name in ("networks.md", "howto.md") for text in blocks(read(DOCS / name), "toml")]
)
def test_a_file_that_a_page_shows_can_be_used(text, tmp_path, capsys):
    file = tmp_path / "shown.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["topo", "check", str(file)])
    assert stop.value.code == 0
    assert "can be used" in capsys.readouterr().out


def test_terminals_and_clocks_do_not_change_a_page(monkeypatch):
    command = "compare all_reduce -a halving_doubling -t ring:8 -s 8MB --bandwidth 10GB/s --latency 1us"
    wide = generate.run(f"collsim {command}")
    monkeypatch.setenv("COLUMNS", "50")
    assert generate.run(f"collsim {command}") == wide
    shown = generate.generated(
        "<!-- generated: output collsim run all_reduce -a ring -n 4 -s 1MB --alpha 1us --beta 1ns -->\n<!-- end -->"
    )
    assert "lower bound" in shown
    assert "simulated in" not in shown


def test_curves_show_all_times_and_the_bound():
    pytest.importorskip("matplotlib")
    command = "collsim sweep all_reduce -a ring,tree -n 4 -s 1kB,1MB,1GB -t star --bandwidth 10GB/s --latency 1us"
    above, below = generate.draw_curves(*shlex.split(command)).axes
    bound, ring, tree = above.lines[:3]
    assert [*ring.get_xdata()] == [*tree.get_xdata()] == [*bound.get_xdata()] == [1e3, 1e6, 1e9]
    assert ring.get_ydata()[-1] == pytest.approx(2 * 3 * (2e-6 + 1e9 / 4 / 1e10))
    assert below.lines[0].get_ydata() == pytest.approx(bound.get_ydata() / ring.get_ydata())
    assert max(below.lines[0].get_ydata()) <= 1


@by_page
def test_every_page_has_its_parts(page):
    text = read(page)
    wanted = ["## Definition", "## From the definition to the closed form", "## When to use it", "## Sources"]
    assert (
        page.parent != DOCS / "algorithms"
        or page.name == "README.md"
        or all(f"\n{heading}\n" in text for heading in wanted)
    )


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("2*(K-1)*(a + n/K*b) + (K-1)*n/K*g", "2(K−1)(α + n/K · β) + (K−1)n/K · γ"),
        ("n/(2*segments)*(b + g)", "n/(2 · segments) · (β + γ)"),
        ("K - (n - 1)", "K − (n−1)"),
        ("2*lg(p2(K)) + 2*(K>p2(K))", "2 lg p + 2[K > p]"),
        ("(K>p2(K))*(a + n*b)", "[K > p] · (α + nβ)"),
        ("2 if fold=='mpich' else 3/2", "2 if fold = mpich, else 3/2"),
        ("K*(1 if K%4 == 0 else 2)", "K(1 if K mod 4 = 0, else 2)"),
        ("max(0, n*g - n*b)", "max(0, nγ − nβ)"),
        ("sum(d-1 for d in grid(K, dims))", "Σ_{d in dims} (d−1)"),
        ("sum(2**t for t in range(lg(K)) if radix**t < K)", "Σ_{t < lg K; radix^t < K} 2^t"),
        ("len([t for t in range(lg(K)) if radix**t < K])", "#{t < lg K : radix^t < K}"),
        ("sum(radix**w < K for w in range(lg(K)))", "#{w < lg K : radix^w < K}"),
        ("max(popcount(i) for i in range(1, K+1))", "max_{1 ≤ i < K+1} popcount(i)"),
        ("(K-1)//radix**t", "⌊(K−1)/radix^t⌋"),
    ],
)
def test_formulas_are_written_as_people_write_them(text, readable):
    assert generate.readable(Formula(text)) == readable


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.collective}-{row.name}")
def test_no_formula_breaks_a_table_or_becomes_a_link(row: Algorithm):
    for formula in (row.steps, row.sent, row.wire, row.time):
        text = generate.readable(formula) if formula else ""
        assert not re.search(r"[|*`<>](?! )|\]\(", text), text

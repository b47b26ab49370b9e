"""Write the generated parts of the pages in docs and docs/algorithms: tables, outputs of commands, figures.

A page is text with markers ``<!-- generated: KIND WORDS -->`` ... ``<!-- end -->``. What stands between them is made
here from the table of algorithms and from simulations, and is written over. Run it in a checkout as
``python docs/generate.py`` after ``pip install -e '.[plot]'``; running it twice changes nothing.

===========================================  ===================================================================
``overview``                                 every line of the table of algorithms, with a link to its page
``table COLLECTIVE/NAME ...``                the figures of some algorithms; their page is where this stands
``known KIND``                               shapes, routings, placements, models or effects: those there are
``output COMMAND``                           a collsim command and what it prints (but how long that took)
``plot COMMAND``                             the same for a command with ``--plot FILE``, and the picture
``picture COMMAND``                          a ``collsim plot ... -o FILE`` command, and the picture
``times COMMAND``                            a collsim sweep, as one column an algorithm
``curves FILE COMMAND``                      a picture of a collsim sweep: time against size
``schedule FILE COLLECTIVE NAME K ...``      a picture of who sends what to whom, and when
``costs FILE COLLECTIVE K NAME ...``         a picture of time against size; options as ``NAME:key=value``
``machines``                                 every file in topologies/: ranks, figures and where they come from
``columns``                                  every column and field: its unit and its meaning
``commands``                                 every collsim command and what its ``--help`` prints
===========================================  ===================================================================
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

import collsim as cs
from collsim.algorithms.compose import Composed
from collsim.algorithms.table import TABLE, VECTOR_FORMS, Algorithm
from collsim.cli import cli
from collsim.cli import main as collsim_main
from collsim.cli.options import parse_options
from collsim.comparison import EFFECTS
from collsim.formulas import Formula
from collsim.glossary import GLOSSARY, TABLES
from collsim.lessons.page import write as write_lessons
from collsim.models import MODELS
from collsim.placement import PLACEMENTS
from collsim.routing import ROUTINGS
from collsim.shapes import SHAPES
from collsim.topology_files import presets
from collsim.units import format_size, format_time

DOCS = Path(__file__).parent
FOLDER = DOCS / "algorithms"
COMMAND = "python docs/generate.py"

# What all pictures of schedules have in common: latency and bandwidth can both be seen.
SCHEDULE_NETWORK: dict[str, Any] = {"alpha": "10us", "beta": "0.1ns/B"}
SCHEDULE_SIZE = "400kB"
# What all pictures of costs have in common: 10 GB/s.
COSTS_NETWORK: dict[str, Any] = {"alpha": "5us", "beta": "0.1ns/B"}
COSTS_SIZES = [10**power for power in range(2, 10)]
# Paragraphs are wrapped to the terminal; on a page to this.
_COLUMNS = "92"

_BLOCK = re.compile(r"<!-- generated: (.*?) -->\n(.*?)<!-- end -->", re.S)
_ROW = {(row.collective, row.name): row for row in TABLE}


def main() -> None:
    """Write every page and every picture, and remove the pictures that no page asks for."""
    texts = {path: path.read_text(encoding="utf-8") for path in pages()}
    for path, text in texts.items():
        path.write_text(generated(text), encoding="utf-8")
    pictures = figures()
    for path, write in pictures.items():
        write(path)
    for path in [*DOCS.glob("*.svg"), *FOLDER.glob("*.svg")]:
        if path not in pictures:
            path.unlink()
    lessons = write_lessons()
    print(f"{len(texts)} pages and {len(pictures)} pictures in {DOCS}, and {len(lessons)} pictures of lessons")


def pages() -> list[Path]:
    """Return all pages, in the order of their names."""
    return sorted([*DOCS.glob("*.md"), *FOLDER.glob("*.md")])


def generated(text: str) -> str:
    """Return a page's text with everything between markers made anew."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- generated: {match[1]} -->\n\n{_made(match[1])}\n\n<!-- end -->"

    return _BLOCK.sub(block, text)


def figures() -> dict[Path, Callable[[Path], None]]:
    """Return what writes each picture that a page asks for, by its place, which is beside the page."""
    found: dict[Path, Callable[[Path], None]] = {}
    for page in pages():
        for kind, *words in _markers(*_DRAWN, *_BY_COMMAND, path=page):
            name = _target(words) if kind in _BY_COMMAND else words[0]
            if page.parent / name in found:
                raise SystemExit(f"two pictures are called {name}")
            write = (
                partial(_run_to, words) if kind in _BY_COMMAND else partial(_save, partial(_DRAWN[kind], *words[1:]))
            )
            found[page.parent / name] = write
    return found


def _save(draw: Callable[[], Any], path: Path) -> None:
    from collsim.plots import save_figure

    save_figure(draw(), path)


def _run_to(words: list[str], path: Path) -> None:
    run(shlex.join([str(path) if word == _target(words) else word for word in words]))


def _target(words: list[str]) -> str:
    return words[words.index("-o" if words[1] == "plot" else "--plot") + 1]


def page_of() -> dict[tuple[str, str], list[str]]:
    """Return the pages on which each line of the table of algorithms stands; that should be one."""
    found: dict[tuple[str, str], list[str]] = {(row.collective, row.name): [] for row in TABLE}
    for path in pages():
        for line in _markers("table", path=path):
            for row in _rows(line[1:]):
                found[row.collective, row.name].append(path.name)
                if vector := _ROW.get((f"{row.collective}v", row.name)):
                    found[vector.collective, vector.name].append(path.name)
    return found


def draw_schedule(collective: str, name: str, ranks: str, *options: str) -> Any:
    """Return the picture of a schedule; options as ``key=value``."""
    from collsim.plots import plot_schedule

    schedule = cs.make_schedule(collective, name, int(ranks), **parse_options(options))
    size = 0 if collective == "barrier" else SCHEDULE_SIZE
    return plot_schedule(cs.simulate(schedule, nbytes=size, **SCHEDULE_NETWORK))


def draw_costs(collective: str, ranks: str, *names: str) -> Any:
    """Return the picture of time against size; names as ``name`` or ``name:key=value,key=value``."""
    from collsim.plots import plot_costs

    chosen = []
    for name in names:
        algorithm, _, options = name.partition(":")
        chosen.append((algorithm, parse_options(tuple(options.split(","))) if options else {}))
    return plot_costs(collective, chosen, int(ranks), COSTS_SIZES, **COSTS_NETWORK)


def draw_curves(*command: str) -> Any:
    """Return the picture of a sweep over sizes, one line an algorithm: time above, bound over time below."""
    from collsim.plots import plot_against_size

    return plot_against_size(json.loads(run(shlex.join([*command, "--json"]))), share=True)


# Kinds of markers whose picture a command of ours draws.
_BY_COMMAND = ("plot", "picture")

_DRAWN: dict[str, Callable[..., Any]] = {"schedule": draw_schedule, "costs": draw_costs, "curves": draw_curves}


def _markers(*kinds: str, path: Path | None = None) -> Iterator[list[str]]:
    for page in [path] if path else pages():
        for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            words = shlex.split(match[1])
            if words[0] in kinds:
                yield words


def _made(marker: str) -> str:
    kind, *words = shlex.split(marker)
    command = marker.partition(" ")[2]
    if kind == "overview":
        return overview()
    if kind == "table":
        return table(_rows(words))
    if kind == "machines":
        return machines()
    if kind == "columns":
        return columns()
    if kind == "commands":
        return commands()
    if kind == "known":
        return known(*words)
    if kind == "output":
        return f"```console\n$ {command}\n{_lasting(run(command))}```"
    if kind == "plot":
        # The picture is drawn by `figures`; here we want what is printed.
        at = words.index("--plot")
        printed = _lasting(run(shlex.join([*words[:at], *words[at + 2 :]])))
        return f"```console\n$ {command}\n{printed}```\n\n![Drawn by {shlex.join(words[:at])}]({_target(words)})"
    if kind == "picture":
        return f"```console\n$ {command}\n```\n\n![Drawn by {shlex.join(words[:4])}]({_target(words)})"
    if kind == "times":
        return f"```console\n$ {command}\n```\n\n{times(command)}"
    if kind == "schedule":
        name, collective, algorithm, ranks, *_ = words
        return f"![{collective} by {algorithm} on {ranks} ranks: who sends what to whom, and when]({name})"
    if kind == "costs":
        name, collective, ranks, *_ = words
        return f"![Time of {collective} on {ranks} ranks against the size of the vector]({name})"
    if kind == "curves":
        name, _, _, collective, *rest = words
        network = rest[rest.index("-t") + 1]
        return f"![Time of {collective} on {network} against the size of the vector]({name})"
    raise SystemExit(f"a page asks for {kind!r}, which is not known")


def _rows(names: list[str]) -> list[Algorithm]:
    for name in names:
        if tuple(name.split("/")) not in _ROW:
            raise SystemExit(f"a page asks for {name!r}, which is not in the table of algorithms")
    return [_ROW[tuple(name.split("/"))] for name in names]  # type: ignore[index]


def overview() -> str:
    """Return the figures of every algorithm, a table a collective."""
    where, parts = page_of(), []
    plain = [row for row in TABLE if (row.collective[:-1], row.name) not in _ROW]
    for collective in dict.fromkeys(row.collective for row in plain):
        vector = f" and {collective}v" if collective in VECTOR_FORMS else ""
        lines = [["algorithm", "K", "steps", "sent at most", "time", "source"]]
        for row in plain:
            if row.collective == collective:
                link = f"[{row.name}]({where[collective, row.name][0]})" if where[collective, row.name] else row.name
                lines.append([link, row.admits, *_figures(row, "steps", "sent", "time"), row.source])
        parts.append(f"### {collective}{vector}\n\n{_table(lines)}")
    return "\n\n".join(parts)


def table(rows: list[Algorithm]) -> str:
    """Return the figures of some algorithms."""
    lines = [["collective", "algorithm", "options", "K", "steps", "sent at most", "on the wire", "time"]]
    for row in rows:
        vector = f", {row.collective}v" if (f"{row.collective}v", row.name) in _ROW else ""
        options = ", ".join(f"{key}={value}" for key, value in row.options.items()) or "-"
        lines.append(
            [
                f"{row.collective}{vector}",
                f"`{row.name}`",
                options,
                row.admits,
                *_figures(row, "steps", "sent", "wire", "time"),
            ]
        )
    if len({line[0] for line in lines[1:]}) == 1:  # then the heading says it
        lines = [line[1:] for line in lines]
    return _table(lines)


def known(kind: str) -> str:
    """Return what there is of a kind, a line each."""
    rows: dict[str, Callable[[], list[list[str]]]] = {
        "shapes": lambda: [
            ["written", "what it is", "parameters"],
            *(
                [f"`{shape.example}`", shape.summary, ", ".join(f"`{name}`" for name in shape.parameters) or "-"]
                for shape in SHAPES.values()
            ),
        ],
        "routings": lambda: [["written", "routes"], *([f"`{row.example}`", row.summary] for row in ROUTINGS.values())],
        "placements": lambda: [
            ["written", "which rank sits where"],
            *([f"`{row.example}`", row.summary] for row in PLACEMENTS.values()),
        ],
        "models": lambda: [
            ["model", "how messages share", "parameters"],
            *(
                [f"`{name}`", model.summary, ", ".join(f"`{key}`" for key in model.parsers)]
                for name, model in MODELS.items()
            ),
        ],
        "effects": lambda: [["effect", "what it is"], *([name, summary] for name, summary in EFFECTS.items())],
    }
    if kind not in rows:
        raise SystemExit(f"a page asks for the {kind!r} there are; known are {', '.join(rows)}")
    return _table(rows[kind]())


def machines() -> str:
    """Return what stands in the files of topologies/, a line a machine."""
    lines = [["machine", "ranks", "what it is", "bandwidth", "latency", "source"]]
    for name, path in presets().items():
        file = tomllib.loads(path.read_text(encoding="utf-8"))
        parts = file.get("cable", []) + file.get("link", []) or [file]
        lines.append(
            [
                f"[{name}](../topologies/{name}.toml)",
                str(cs.load_topology(name).ranks),
                file["summary"],
                *("; ".join(_stated(part[key]) for part in parts) for key in ("bandwidth", "latency")),
                file["source"],
            ]
        )
    return _table(lines)


def _stated(figure: dict[str, Any]) -> str:
    """Return a figure of a file and its basis."""
    value = figure["value"]
    return f"{', '.join(value) if isinstance(value, list) else value} {figure['basis']}"


def columns() -> str:
    """Return the glossary, a table for each of its tables."""
    parts = []
    for name, found in GLOSSARY.items():
        lines = [["column", "unit", "meaning"]]
        lines += [[f"`{column}`", row.unit or "-", row.meaning] for column, row in found.items()]
        parts.append(f"## {name}\n\nOf {TABLES[name]}.\n\n{_table(lines)}")
    return "\n\n".join(parts)


def commands(group: click.Group = cli, name: str = "collsim") -> str:
    """Return what every command of a group, and of the groups in it, prints when it is asked for help."""
    context, parts = click.Context(group, info_name=name), []
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        if isinstance(command, click.Group):
            parts.append(commands(command, f"{name} {word}"))
        else:
            parts.append(f"## {name} {word}\n\n```text\n{run(f'{name} {word} --help')}```")
    return "\n\n".join(parts)


def times(command: str) -> str:
    """Return the times of a sweep: one column an algorithm, one row whatever else varies."""
    records = json.loads(run(f"{command} --json"))
    names = list(dict.fromkeys(record["algorithm"] for record in records))
    shown: dict[str, tuple[str, Callable[[Any], str]]] = {
        "collective": ("collective", str),
        "topology": ("topology", str),
        "ranks": ("K", str),
        "size_bytes": ("size", format_size),
    }
    varying = [key for key in shown if len({record[key] for record in records}) > 1]
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for record in records:
        where = tuple(shown[key][1](record[key]) for key in varying)
        found.setdefault(where, {"lower bound": record["lower_bound_s"]})[record["algorithm"]] = record["time_s"]
    lines = [[*(shown[key][0] for key in varying), *names, "lower bound"]]
    for where, seconds in found.items():
        least = min(seconds[name] for name in names)
        cells = [format_time(seconds[name]) for name in names]
        cells = [
            f"**{cell}**" if seconds[name] <= least * (1 + 1e-9) else cell
            for name, cell in zip(names, cells, strict=True)
        ]
        lines.append([*where, *cells, format_time(seconds["lower bound"])])
    return _table(lines)


def run(command: str) -> str:
    """Return what a collsim command prints when it is called in the checkout."""
    words = shlex.split(command)
    if words[0] != "collsim":
        raise SystemExit(f"a page asks for {command!r}, which is not a collsim command")
    printed, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _COLUMNS
    try:
        with contextlib.redirect_stdout(printed), contextlib.chdir(DOCS.parent):
            collsim_main(words[1:])
    except SystemExit as stop:
        if stop.code:
            raise SystemExit(f"{command!r} failed") from None
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return printed.getvalue()


def _lasting(printed: str) -> str:
    """Return what a command prints without the line that is another one each time."""
    return re.sub(r"^simulated in .*\n", "", printed, flags=re.M)


def _table(lines: list[list[str]]) -> str:
    head, *rest = lines
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rest])


def _figures(row: Algorithm, *names: str) -> list[str]:
    return [readable(formula) if (formula := getattr(row, name)) else "-" for name in names]


# ---- formulas as text

_GREEK = {"a": "α", "b": "β", "g": "γ"}
_COMPARED = {ast.Lt: "<", ast.Gt: ">", ast.LtE: "≤", ast.GtE: "≥", ast.Eq: "=", ast.NotEq: "≠"}


def readable(formula: Formula) -> str:
    """Return a formula as people write it.

    ``p`` stands for p2(K), ``[condition]`` for 1 if it holds and 0 if not, ``#{...}`` for how many there are, and
    ``Σ_{...}`` for a sum.

    Examples
    --------
    >>> readable(Formula("2*(K-1)*(a + n/K*b) + (K > p2(K))*n*g"))
    '2(K−1)(α + n/K · β) + [K > p]nγ'
    """
    if isinstance(formula, Composed):
        return "sum of its parts"
    return _text(ast.parse(formula.text, mode="eval").body)


def _text(node: ast.expr) -> str:
    """Return an expression as text."""
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.Name(id=name):
            return _GREEK.get(name, name)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return _sum(node)
        case ast.BinOp(op=ast.Mult() | ast.Div()):
            return _product(node)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_atom(left)}^{_atom(right)}"
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return f"⌊{_factor(left)}/{_factor(right)}⌋"
        case ast.BinOp(left=left, op=ast.Mod(), right=right):
            return f"{_factor(left)} mod {_factor(right)}"
        case ast.Compare(left=left, ops=[compared], comparators=[right]):
            return f"{_text(left)} {_COMPARED[type(compared)]} {_text(right)}"
        case ast.BoolOp(op=ast.Or(), values=values):
            return " or ".join(_text(value) for value in values)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition = f"{_text(test)} is given" if isinstance(test, ast.Name) else _text(test)
            return f"{_text(body)} if {condition}, else {_text(orelse)}"
        case ast.Subscript(value=value, slice=place):
            return f"{_text(value)}[{_text(place)}]"
        case ast.Call(func=ast.Name(id=name), args=args):
            return _call(name, args)
    raise SystemExit(f"a formula has {ast.unparse(node)!r}, which cannot be written down here")


def _call(name: str, args: list[ast.expr]) -> str:
    match name, args:
        case "p2", [ast.Name(id="K")]:
            return "p"
        case "lg", [argument] if len(inner := _text(argument)) == 1:
            return f"lg {inner}"
        case "grid", [_, sides]:
            return _text(sides)
        case (("sum" | "len" | "max"), [ast.GeneratorExp() | ast.ListComp() as each]):
            over = "; ".join(_domain(generator) for generator in each.generators)
            conditions = [_text(condition) for generator in each.generators for condition in generator.ifs]
            if isinstance(each.elt, ast.Compare):
                conditions.append(_text(each.elt))
                name = "len"
            if name == "len":
                return f"#{{{over} : {' and '.join(conditions)}}}"
            where = "; ".join([over, *conditions])
            return f"{'Σ' if name == 'sum' else name}_{{{where}}} {_factor(each.elt)}"
    return f"{name}({', '.join(_text(argument) for argument in args)})"


def _domain(generator: ast.comprehension) -> str:
    variable = _text(generator.target)
    match generator.iter:
        case ast.Call(func=ast.Name(id="range"), args=[end]):
            return f"{variable} < {_text(end)}"
        case ast.Call(func=ast.Name(id="range"), args=[begin, end]):
            return f"{_text(begin)} ≤ {variable} < {_text(end)}"
    return f"{variable} in {_text(generator.iter)}"


def _sum(node: ast.expr) -> str:
    terms = list(_terms(node))
    close = all(_text(term).isalnum() and _text(term).isascii() for _, term in terms)
    first, *others = ((sign, _term(term)) for sign, term in terms)
    return first[1] + "".join(f"{sign}{text}" if close else f" {sign} {text}" for sign, text in others)


def _terms(node: ast.expr, sign: str = "+") -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield from _terms(node.left, sign)
        yield "+" if isinstance(node.op, ast.Add) else "−", node.right
    else:
        yield sign, node


def _term(node: ast.expr) -> str:
    """Return an expression as a term of a sum: in brackets if it must."""
    loose = isinstance(node, ast.IfExp) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub))
    return f"({_text(node)})" if loose else f"[{_text(node)}]" if _is_condition(node) else _text(node)


def _is_condition(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare | ast.BoolOp)


def _product(node: ast.expr) -> str:
    text = before = ""
    for op, part in _factors(node):
        written = _factor(part, divisor=op == "/")
        kind = _kind(written)
        if op == "/":
            text, before = f"{text}/{written}", "quotient"
            continue
        if before:
            close = before in ("number", "letter", "bracket") and kind in ("letter", "bracket")
            # A round bracket after a square one might be a link in Markdown.
            close = close and not (text.endswith("]") and kind == "bracket")
            text += "" if close else " " if before == "number" and written.startswith("lg") else " · "
        text, before = text + written, kind
    return text


def _factors(node: ast.expr, op: str = "*") -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        yield from _factors(node.left, op)
        yield "*" if isinstance(node.op, ast.Mult) else "/", node.right
    else:
        yield op, node


def _kind(text: str) -> str:
    if text.isdigit():
        return "number"
    if len(text) == 1:
        return "letter"
    return "bracket" if text[0] in "([" and text[-1] in ")]" else "word"


def _factor(node: ast.expr, *, divisor: bool = False) -> str:
    """Return an expression as a factor of a product: in brackets if it must."""
    if _is_condition(node):
        return f"[{_text(node)}]"
    loose: tuple[type[ast.operator], ...] = (ast.Add, ast.Sub, ast.Mod)
    if divisor:
        loose = (*loose, ast.Mult, ast.Div)
    if isinstance(node, ast.IfExp) or (isinstance(node, ast.BinOp) and isinstance(node.op, loose)):
        return f"({_text(node)})"
    return _text(node)


def _atom(node: ast.expr) -> str:
    return _text(node) if isinstance(node, ast.Name | ast.Constant) else f"({_text(node)})"


if __name__ == "__main__":
    main()

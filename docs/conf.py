"""How Sphinx builds the documentation site: ``sphinx-build -W docs site`` after ``pip install -e '.[docs]'``.

The pages are those that one reads on GitHub. What stands elsewhere in the repository (the lessons, DESIGN.md,
CHANGES.md) is copied to `_copied` at the beginning of a build, with its links turned round.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import collsim

DOCS = Path(__file__).parent
ROOT = DOCS.parent
COPIES = DOCS / "_copied"
PLAYED = "ring-and-tree.html"  # a page that plays, to which index.md leads
# The site has its own list of the lessons.
INSTEAD = {ROOT / "collsim" / "lessons" / "README.md": DOCS / "tutorial.md"}

project = "collsim"
author = copyright = "the collsim authors"
version = release = collsim.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "site"]
# The main page of the algorithms is README.md, as GitHub has it.
html_theme = "furo"
html_title = f"collsim {version}"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# In docstrings a single backtick is a name of Python if it is one, and else just code.
default_role = "py:obj"
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say more
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def copied() -> dict[Path, Path]:
    """Return the pages from elsewhere: where each is, and where in `docs` it goes."""
    lessons = sorted((ROOT / "collsim" / "lessons").glob("[0-9]*.md"))
    return {
        ROOT / "DESIGN.md": COPIES / "design.md",
        ROOT / "CHANGES.md": COPIES / "changes.md",
        **{page: COPIES / "lessons" / page.name for page in lessons},
    }


def copy_pages(_: Any) -> None:
    """Copy the pages from elsewhere, and the pictures beside them."""
    shutil.rmtree(COPIES, ignore_errors=True)
    pages = copied()
    for source, target in pages.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(turned(source.read_text(encoding="utf-8"), source, target, pages), encoding="utf-8")


def turn_links(_: Any, name: str, text: list[str]) -> None:
    """Let the links of a page in `docs` lead to the copies."""
    page = DOCS / f"{name}.md"
    if page.is_file() and not page.is_relative_to(COPIES):
        text[0] = turned(text[0], page, page, copied())


def turned(text: str, source: Path, target: Path, pages: dict[Path, Path]) -> str:
    """Return a page's text with relative links as they must be at its new place."""

    def link(match: re.Match[str]) -> str:
        words, path, anchor = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", path) or not path:
            return match[0]
        there = (source.parent / path).resolve()
        if there.suffix in (".svg", ".png"):
            if source == target:
                return match[0]
            # pictures come along
            shutil.copy(there, target.parent / there.name)
            return f"{words}({there.name}{anchor})"
        there = {**INSTEAD, **pages}.get(there, there)
        if not there.is_relative_to(DOCS):
            return match[0]
        return f"{words}({os.path.relpath(there, target.parent)}{anchor})"

    return re.sub(r"(!?\[[^]]*\])\(([^)\s#]*)(#[^)\s]*)?\)", link, text)


def write_player(app: Any, problem: Exception | None) -> None:
    """Make a page that plays, as ``collsim show --html`` does, beside the pages of the site."""
    if problem is None and app.builder.format == "html":
        network = collsim.load_topology("torus:2x4", bandwidth="10GB/s", latency="1us")
        schedules = [collsim.make_schedule("all_reduce", name, 8) for name in ("ring", "tree")]
        page = collsim.player_page([collsim.simulate(schedule, network, "4MB") for schedule in schedules])
        (Path(app.outdir) / PLAYED).write_text(page, encoding="utf-8")


def setup(app: Any) -> None:
    """Tell Sphinx what to do when."""
    app.connect("builder-inited", copy_pages, priority=100)
    app.connect("source-read", turn_links)
    app.connect("build-finished", write_player)

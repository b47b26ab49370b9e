"""A module imports only from its own layer or lower ones (DESIGN.md, "Who imports whom")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "collsim"

# A folder stands for all that is in it.
LAYERS = {
    name: layer
    for layer, names in enumerate(
        (
            "errors units memory",
            "collectives schedule symmetric lattice topology formulas glossary",
            "replay contents algorithms catalog groups shapes routing placement overrides route_tables topology_files "
            "models dataflow graph cuts demands limits throughput bisection metrics layouts bounds topology_check "
            "accuracy rounding diagnosis html_views",
            "engines",
            "results simulation occupancy critical_path explanation activities",
            "sweeps showing player comparison testing formats plots book lessons cli __init__ __main__",
        )
    )
    for name in names.split()
}


# A notebook asks a thing itself how it looks (`_repr_html_`). In these modules that method may import what draws it.
HOOKS = {"schedule": "html_views", "topology": "html_views"}


def modules(package: Path) -> dict[str, Path]:
    """Every module of a package under its dotted name, the package itself included."""
    files = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def entry(package: str, module: str) -> str:
    """The name under which a module stands in the table."""
    return module.removeprefix(package).lstrip(".").partition(".")[0] or "__init__"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node: ast.AST, without: str = "") -> Iterator[ast.AST]:
    """Everything in a file, also in functions, but for one of that name and what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            for other in child.orelse:
                yield other
                yield from statements(other, without)
        elif not (isinstance(child, ast.FunctionDef) and child.name == without):
            yield child
            yield from statements(child, without)


def imported(name: str, path: Path, known: dict[str, Path], without: str = "") -> set[str]:
    """The modules of the same package that a module imports, but for what only one function of it does."""
    found = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8")), without):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")
            if node.level:
                base = base[: len(base) - node.level + (path.name == "__init__.py")]
            source = ".".join([*(base if node.level else []), *([node.module] if node.module else [])])
            # `from package import module` needs the module; `from package import name` the package itself.
            found |= {f"{source}.{a.name}" if f"{source}.{a.name}" in known else source for a in node.names}
    return found & set(known)


def allowed(package: Path, name: str, path: Path, known: dict[str, Path], hooks: dict[str, str]) -> set[str]:
    """What the hook of a module may import although it stands further up."""
    here = entry(package.name, name)
    if here not in hooks:
        return set()
    only_there = imported(name, path, known) - imported(name, path, known, without="_repr_html_")
    return only_there & {f"{package.name}.{hooks[here]}"}


def faults(package: Path, layers: dict[str, int], hooks: dict[str, str]) -> list[str]:
    """What is wrong with a package: modules that no layer has, and imports that point upwards."""
    known = modules(package)
    missing = [f"{name} is in no layer" for name in known if entry(package.name, name) not in layers]
    upwards = [
        f"{name} imports {other}"
        for name, path in known.items()
        for other in sorted(imported(name, path, known) - allowed(package, name, path, known, hooks))
        if layers.get(entry(package.name, name), 99) < layers.get(entry(package.name, other), 99)
    ]
    return missing + upwards


def test_every_module_stands_in_a_layer_and_imports_none_from_above():
    assert len(modules(PACKAGE)) > 25
    assert faults(PACKAGE, LAYERS, HOOKS) == []


def test_the_table_names_nothing_that_is_gone():
    known = modules(PACKAGE)
    assert {entry("collsim", name) for name in known} == set(LAYERS)
    for name, other in HOOKS.items():
        path = known[f"collsim.{name}"]
        assert allowed(PACKAGE, f"collsim.{name}", path, known, HOOKS) == {f"collsim.{other}"}


def test_imports_are_found_at_all():
    known = modules(PACKAGE)
    found = imported("collsim.engines.stepwise", known["collsim.engines.stepwise"], known)
    assert found >= {"collsim.engines.timeline", "collsim.graph", "collsim.models", "collsim.schedule"}


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "demo"
    (folder / "sub").mkdir(parents=True)
    for name in ("__init__", "low", "high", "sub/__init__", "sub/inner"):
        (folder / f"{name}.py").write_text("")
    return folder


DEMO = {"low": 0, "sub": 1, "high": 2, "__init__": 3}
HOOK = "class C:\n    def _repr_html_(self):\n        from demo.high import x"


@pytest.mark.parametrize(
    ("where", "text", "fault"),
    [
        ("high", "from demo import low\nfrom demo.sub.inner import x", None),
        ("low", "import os\nimport demonstration.high\nfrom demo.low import x", None),
        ("sub/inner", "from demo.sub import x\nfrom . import inner", None),
        ("low", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from demo.high import x", None),
        ("low", "import typing\nif typing.TYPE_CHECKING:\n    import demo.high", None),
        ("low", "from demo.high import x", "demo.low imports demo.high"),
        ("low", "from demo import high", "demo.low imports demo.high"),
        ("low", "from demo import x", "demo.low imports demo"),
        ("low", "import demo.high as h", "demo.low imports demo.high"),
        ("low", "def f():\n    from demo.high import x", "demo.low imports demo.high"),
        ("low", "try:\n    import demo.sub.inner\nexcept ImportError:\n    pass", "demo.low imports demo.sub.inner"),
        ("low", "if TYPE_CHECKING:\n    pass\nelse:\n    import demo.high", "demo.low imports demo.high"),
        ("sub/inner", "from ..high import x", "demo.sub.inner imports demo.high"),
        ("sub/__init__", "from .. import high", "demo.sub imports demo.high"),
        ("other", "", "demo.other is in no layer"),
        # A hook: of a module that has one, in that method only, of that one module only.
        ("sub/inner", HOOK, None),
        ("low", HOOK, "demo.low imports demo.high"),
        ("sub/inner", HOOK.replace("_repr_html_", "show"), "demo.sub.inner imports demo.high"),
        ("sub/inner", f"{HOOK}\nimport demo.high", "demo.sub.inner imports demo.high"),
        ("sub/inner", HOOK.replace("demo.high", "demo"), "demo.sub.inner imports demo"),
    ],
)
def test_the_check_notices_an_import_that_points_upwards_and_a_module_without_a_layer(package, where, text, fault):
    (package / f"{where}.py").write_text(text)
    assert faults(package, DEMO, {"sub": "high"}) == ([] if fault is None else [fault])

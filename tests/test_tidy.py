"""What a linter does not see: the rules of this house, read off the source."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tidings.engine.settings import Settings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tidings"
MODULES = sorted(SOURCE.rglob("*.py"))
PURE = [path for path in MODULES if path.relative_to(SOURCE).parts[0] in ("core", "engine")]
LINES_MAX = 500
"""A longer file is about more than one thing."""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

INVARIANT = re.compile(r"^\s*(?:- )?([A-Z]\d)  \S", re.MULTILINE)
"""How an invariant is defined in a docstring: its number and two spaces."""

UNFINISHED = re.compile("TO" + "DO|FIX" + "ME|XX" + "X")


def modules(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "path", paths, ids=[str(path.relative_to(ROOT)) for path in paths]
    )


def public_definitions(tree: ast.Module) -> Iterator[Definition]:
    """Yield public classes and functions, and the public methods of public classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef) and not getattr(node, "name", "").startswith(
            "_"
        ):
            for inner in node.body:
                if isinstance(inner, Definition) and inner.name[0] != "_":
                    yield inner


@modules(MODULES)
def test_module_and_what_is_public_in_it_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert path.stat().st_size == 0 or ast.get_docstring(tree), (
        f"{path.name} does not say what it is"
    )
    for node in public_definitions(tree):
        assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name}"


def is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, right=right):
            return is_set(left) or is_set(right)
        case _:
            return False


def set_iterations(tree: ast.Module) -> list[int]:
    """Return the lines where something iterates over what is plainly a set."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.For(iter=source) | ast.AsyncFor(iter=source) | ast.comprehension(iter=source):
                found += [source.lineno] if is_set(source) else []
            case ast.Call(
                func=ast.Name(id="list" | "tuple" | "enumerate" | "iter"), args=[first, *_]
            ):
                found += [first.lineno] if is_set(first) else []
            case _:
                pass
    return found


@modules(PURE)
def test_core_and_engine_do_not_iterate_over_sets(path: Path) -> None:
    assert set_iterations(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    ["for a in {1, 2}: b", "[a for a in set(b)]", "list({a for a in b})", "for a in c | set(b): d"],
)
def test_iteration_over_a_set_is_found(source: str) -> None:
    assert set_iterations(ast.parse(source)) == [1]


def test_every_engine_setting_is_used() -> None:
    used = "\n".join(path.read_text() for path in PURE if path.name != "settings.py")
    for setting in dataclasses.fields(Settings):
        assert re.search(rf"ettings\.{setting.name}\b", used), f"nobody reads {setting.name}"


@cache
def defined_invariants() -> dict[str, str]:
    """Return every invariant that a docstring defines, and the file where."""
    found: dict[str, str] = {}
    for path in MODULES:
        for number in INVARIANT.findall(ast.get_docstring(ast.parse(path.read_text())) or ""):
            assert number not in found, f"{number} is defined twice"
            found[number] = str(path.relative_to(SOURCE))
    return found


def test_invariants_of_the_architecture_are_those_of_the_code() -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Numbered invariants")[1]
    told = {}
    for first, last, file in re.findall(
        r"^\| ([A-Z]\d)(?:\u2013([A-Z]\d))? `([\w/.]+)` \|", section, re.MULTILINE
    ):
        for digit in range(int(first[1]), int((last or first)[1]) + 1):
            told[f"{first[0]}{digit}"] = file
    assert told == defined_invariants()


@modules(MODULES)
def test_invariant_that_code_names_is_defined(path: Path) -> None:
    defined = defined_invariants()
    for number in re.findall(r'f?"([A-Z]\d): ', path.read_text()):
        assert number in defined, f"{path.name} names {number}"


@modules(sorted([*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]))
def test_file_is_short_and_finished(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    assert not UNFINISHED.search(text)

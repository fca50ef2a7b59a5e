"""The documents tell the truth: commands, names, settings and links in them exist."""

import ast
import dataclasses
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import click
import pytest

import tidings.errors
from tidings.cli import main
from tidings.cli.settings import settings_of
from tidings.core import state
from tidings.engine.settings import Settings
from tidings.errors import TidingsError
from tidings.maelstrom.designs import MODULES
from tidings.maelstrom.protocol import CODE_OF_ERROR

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/checker/oracle/*.md")]
)
SOURCE = ROOT / "src" / "tidings"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TEST_NAME = re.compile(r"`(test_\w+)`")


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(document: Path, language: str) -> list[str]:
    """Return the fenced blocks of that language."""
    return [body for found, body in _FENCE.findall(document.read_text()) if found == language]


COMMANDS = [
    pytest.param(line, id=f"{document.name}: {line}")
    for document in DOCUMENTS
    for block in blocks(document, "sh")
    for line in block.splitlines()
    if line.strip()
]
PYTHON = [
    pytest.param(block, id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, block in enumerate(blocks(document, "python"))
]


def row_of(document: str, first_cell: str) -> list[str]:
    """Return the cells of the one table row that begins with `first_cell`."""
    rows = [line for line in text_of(document).splitlines() if line.startswith(f"| {first_cell} |")]
    assert len(rows) == 1, f"{document} has {len(rows)} rows for {first_cell}"
    return [cell.strip() for cell in rows[0].strip("|").split("|")]


# Commands ---------------------------------------------------------------------------------------


def commands() -> dict[str, click.Command]:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def all_commands(found: Mapping[str, click.Command]) -> Iterator[click.Command]:
    """Yield commands, and those that stand in groups of commands."""
    for command in found.values():
        yield command
        if isinstance(command, click.Group):
            yield from all_commands(command.commands)


def check_tidings(arguments: list[str]) -> None:
    """Parse as click does, but for files, which need not exist here."""
    name, *rest = arguments
    command = commands()[name]
    context = click.Context(command, info_name=name)
    while isinstance(command, click.Group):
        name, *rest = rest
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context)
    values, left, _ = command.make_parser(context).parse_args(rest)
    assert not left, f"{left} is left over"
    for parameter in command.params:
        if parameter.name in values and not isinstance(parameter.type, click.Path):
            parameter.process_value(context, values[parameter.name])


def check_make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
    for argument in arguments:
        variable, is_set, value = argument.partition("=")
        if is_set:
            assert f"$({variable})" in text_of("Makefile")
            if variable == "OPTIONS":
                command = "serve" if "run" in arguments else "challenge"
                check_tidings([command, *shlex.split(value)])
        else:
            assert argument in targets


def check_variable(name: str) -> None:
    settings = settings_of(commands()["serve"])
    assert name in [setting.variable for setting in settings]


def check_extras(what: str) -> None:
    """Check a name such as `.[etcd,s3]`."""
    match = re.fullmatch(r"\.(?:\[(.+)\])?", what)
    assert match
    if match[1]:
        extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
        assert set(match[1].split(",")) <= set(extras)


def check_command(words: list[str]) -> None:
    match words:
        case ["tidings", *arguments]:
            check_tidings(arguments)
        case ["make", *arguments]:
            check_make(arguments)
        case [".venv/bin/pytest", *arguments]:
            for argument in arguments:
                assert not argument.startswith("tests") or (ROOT / argument).exists()
        case ["python", script, *_]:
            assert (ROOT / script).exists()
        case ["echo" | "seq", _, "|", "tidings", *arguments]:
            check_tidings(arguments)
        case [assignment, "tidings", *arguments] if assignment.startswith("TIDINGS_"):
            check_variable(assignment.partition("=")[0])
            check_tidings(arguments)
        case ["export" | "eval", *_]:
            pass
        case ["kcat", *_] | ["echo", _, "|", "kcat", *_]:
            pass
        case ["./maelstrom", "test", *_] | ["etcdctl", *_]:
            pass
        case ["pip", "install", what, *_] if what.startswith("."):
            check_extras(what)
        case [program, *_] if program.startswith(("bin/", "examples/")):
            assert (ROOT / program).exists()
        case _:
            pytest.fail(f"nobody checks the command {words}: teach this test what it is")


@pytest.mark.parametrize("line", COMMANDS)
def test_command_in_a_document_exists_with_its_options(line: str) -> None:
    check_command(shlex.split(line))
    for file in re.findall(r"(?<![\w./-])bin/[\w-]+", line):
        assert (ROOT / file).exists()
    for script in re.findall(r"\btidings-maelstrom[\w-]*", line):
        assert f"\n{script} = " in text_of("pyproject.toml")


@pytest.mark.parametrize(
    "line",
    [
        "tidings challange",
        "tidings challenge --latency-distribution uniform",
        "tidings challenge --design logbook",
        "tidings challenge --nemesis earthquake",
        "TIDINGS_SERVE_PROT=1 tidings serve",
        "make rum",
        'make run OPTIONS="--rates 3"',
        ".venv/bin/pytest tests/nowhere",
        "bin/tidings-maelstrom-logbook",
        "rm -rf build",
    ],
)
def test_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises((KeyError, AssertionError, click.ClickException, pytest.fail.Exception)):
        check_command(shlex.split(line))


@pytest.mark.parametrize("source", PYTHON)
def test_python_in_a_document_runs(source: str) -> None:
    exec(compile(source, "document", "exec"), {"__name__": "document"})


def test_documents_hold_commands_and_python() -> None:
    assert len(COMMANDS) > 20
    assert PYTHON


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", MODULES)
@pytest.mark.parametrize("document", ["README.md", "docs/designs.md", "docs/stored-data.md"])
def test_every_design_is_in_the_documents(design: str, document: str) -> None:
    assert f"`{design}`" in text_of(document)
    assert re.search(rf"^## `{design}`", text_of("docs/designs.md"), re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"tidings {command}" in text_of("README.md")


def test_every_option_is_in_the_documents() -> None:
    pages = ("testing", "workbench", "settings", "command-line")
    documents = "".join(text_of(f"docs/{name}.md") for name in pages)
    for command in all_commands(commands()):
        for option in command.params:
            if isinstance(option, click.Option):
                for name in (*option.opts, *option.secondary_opts):
                    assert f"`{name}" in documents, name


def anomaly_names() -> list[str]:
    """Return what the judges report, and what they allow, read off their string constants."""
    names: dict[str, None] = {}
    pattern = re.compile(
        r"(int-)?(nonmonotonic-)?(send|poll)(-skip)?|[a-z]+-(read|write|offsets)"
        r"|phantom|duplicate|unseen|G\d[a-z]?(-[a-z]+)?|(strong-)?PL-\d(-cycle-exists)?"
    )
    for module in ("polls", "sends", "records", "cycles", "verdict"):
        for node in ast.walk(ast.parse((SOURCE / "checker" / f"{module}.py").read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and pattern.fullmatch(node.value)
                and node.value not in ("send", "poll")
            ):
                names[node.value] = None
    for level in [name for name in names if re.fullmatch(r"(strong-)?PL-\d", name)]:
        del names[level]
        names[f"{level}-cycle-exists"] = None
    return sorted(names)


def test_every_anomaly_is_explained() -> None:
    names = anomaly_names()
    assert len(names) >= 20
    rows = re.findall(r"^\| (`.*?) \| \S", text_of("docs/checker.md"), re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert sorted(explained) == names


def test_every_error_is_in_the_guarantees_with_its_code() -> None:
    errors = [
        kind
        for kind in vars(tidings.errors).values()
        if isinstance(kind, type) and issubclass(kind, TidingsError)
    ]
    for kind in errors:
        if kind is TidingsError:
            assert "`TidingsError`" in text_of("docs/guarantees.md")
            continue
        _, code, definite, _ = row_of("docs/guarantees.md", f"`{kind.__name__}`")
        expected = CODE_OF_ERROR[kind]
        assert code == f"{int(expected)} {expected.name.lower().replace('_', '-')}"
        assert definite == ("yes" if kind.definite else "no")


def test_every_engine_setting_is_in_the_architecture_with_its_default() -> None:
    for setting in dataclasses.fields(Settings):
        _, default, meaning = row_of("ARCHITECTURE.md", f"`{setting.name}`")
        assert default == repr(setting.default), setting.name
        assert meaning


def test_every_stored_structure_is_described_with_its_fields() -> None:
    described = text_of("docs/stored-data.md")
    for module in (
        "entry",
        "topics",
        "collection",
        "groups",
        "pages",
        "checkpoint",
        "producers",
        "membership/document",
    ):
        tree = ast.parse((SOURCE / "core" / f"{module}.py").read_text())
        for structure in tree.body:
            if (
                isinstance(structure, ast.ClassDef)
                and structure.name[0] != "_"
                and "Struct" in ast.unparse(structure)
            ):
                fields = [
                    node.target.id
                    for node in structure.body
                    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
                ]
                (row,) = re.findall(
                    rf"^\| {structure.name}(?:, tag \d+)? \| (.*) \|$", described, re.MULTILINE
                )
                places = [row.find(f"`{field}`") for field in fields]
                assert -1 not in places, f"{structure.name}: {fields} in {row}"
                assert all(before < after for before, after in pairwise(places)), structure.name


def test_every_test_that_a_document_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")))
    for document in DOCUMENTS:
        for name in _TEST_NAME.findall(document.read_text()):
            if not name.endswith("_"):
                assert f"def {name}(" in tests, f"{document.name} names {name}"


# Files and links --------------------------------------------------------------------------------


def mapped_files() -> list[str]:
    section = text_of("ARCHITECTURE.md").split("## File map")[1].split("\n## ")[0]
    return re.findall(r"^\| `([\w/]+\.py)` \|", section, re.MULTILINE)


def test_file_map_names_only_files_that_exist_each_once() -> None:
    files = mapped_files()
    assert len(files) == len(dict.fromkeys(files))
    for file in files:
        assert (SOURCE / file).is_file(), file


def test_file_map_begins_with_the_heart_and_holds_all_of_core_and_engine() -> None:
    files = mapped_files()
    assert files[0] == str(Path(state.__file__).relative_to(SOURCE))
    for folder in ("core", "engine"):
        for path in sorted((SOURCE / folder).glob("*.py")):
            if path.name != "__init__.py":
                assert f"{folder}/{path.name}" in files


def test_file_that_a_document_names_exists() -> None:
    for document in DOCUMENTS:
        for file in re.findall(
            r"`((?:src|tests|docs|bin|requirements)/[\w/.-]+)`", document.read_text()
        ):
            if "<" not in file:
                assert (ROOT / file).exists(), f"{document.name} names {file}"


def anchors(document: Path) -> list[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return [
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    ]


def test_relative_links_lead_somewhere() -> None:
    count = 0
    for document in DOCUMENTS:
        for link in _LINK.findall(document.read_text()):
            if link.startswith("http"):
                continue
            count += 1
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), f"{document.name} links to {link}"
            assert not anchor or anchor in anchors(target), f"{document.name} links to {link}"
    assert count > 20


def test_every_decision_is_in_the_list_of_decisions() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [path.name[:4] for path in decisions] == [
        f"{number:04}" for number in range(1, len(decisions) + 1)
    ]
    for path in decisions:
        assert f"({path.name})" in text_of("docs/decisions/README.md")
        headings = re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Rejected", "Consequences"], path.name


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    """`make docs` finds more, but is not run with the tests."""
    lines = text_of("docs/index.md").splitlines()
    for path in sorted((ROOT / "docs").glob("*.md")):
        assert path.name == "index.md" or path.stem in lines, f"docs/index.md lacks {path.stem}"

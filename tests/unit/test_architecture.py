# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the house, read from the source: arrows run down, and what no file may do."""

from __future__ import annotations

import ast
import sys
import typing as t
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils" / "engine"

# Packages and files of the engine, by the floor on which they stand. A file imports from its own
# package and from lower floors; packages of one floor do not know each other.
FLOORS = {
    "errors": 1,
    "log": 1,
    "dependency": 1,
    "version": 1,
    "process": 1,
    "resident": 1,
    "config": 2,
    "transform": 2,
    "worker": 2,
    "postgres": 3,
    "storage": 3,
    "repository": 4,
    "command": 5,
    "archiver": 6,
    "runner": 6,
    "cli": 7,
    "start": 8,
}

# On the ground floor only errors are for everybody: whoever raises them says what they are.
GROUND = {"dependency": {"errors"}, "process": {"errors"}}

FILES = sorted(ENGINE.rglob("*.py"))

STARTS_PROCESSES = {
    "system", "popen", "posix_spawn", "posix_spawnp", "execl", "execle", "execlp", "execlpe",
    "execv", "execve", "execvp", "execvpe", "spawnl", "spawnle", "spawnlp", "spawnlpe", "spawnv",
    "spawnve", "spawnvp", "spawnvpe", "startfile",
}  # fmt: skip
PROCESS_MODULES = {"subprocess", "pty", "commands"}


class Import(t.NamedTuple):
    """One import of a file of the engine."""

    target: tuple[str, ...]  # ('config', 'options'); the module or package imported
    outside: str | None  # the top module when it is not ours
    line: int
    typing_only: bool


def name_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


def typing_blocks(tree: ast.Module) -> set[ast.stmt]:
    found: set[ast.stmt] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for statement in node.body:
                found.update(t.cast("ast.stmt", sub) for sub in ast.walk(statement))
    return found


def imports(path: Path) -> list[Import]:
    tree = tree_of(path)
    only_types = typing_blocks(tree)
    package = name_of(path) if path.name == "__init__.py" else name_of(path)[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [
                Import((), alias.name.split(".")[0], node.lineno, node in only_types)
                for alias in node.names
            ]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(
                Import((), str(node.module).partition(".")[0], node.lineno, node in only_types)
            )
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            base += tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                full = (*base, alias.name)
                target = full if exists(full) else base
                found.append(Import(target, None, node.lineno, node in only_types))
    return found


def exists(name: tuple[str, ...]) -> bool:
    path = ENGINE.joinpath(*name)
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def ours(path: Path) -> list[Import]:
    return [row for row in imports(path) if row.outside is None]


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(ENGINE)))
def file(request) -> Path:
    return request.param


def test_every_part_of_the_engine_has_a_floor():
    tops = {name_of(path)[0] for path in FILES if name_of(path)}
    assert tops <= set(FLOORS)


def test_arrows_run_down(file):
    name = name_of(file)
    if not name:
        assert not ours(file)
        return
    for row in ours(file):
        assert row.target, f"line {row.line} imports the engine as a whole"
        assert exists(row.target), f"line {row.line} imports what is not there: {row.target}"
        top, other = name[0], row.target[0]
        allowed = (
            top == other
            or FLOORS[other] < FLOORS[top]
            or (FLOORS[top] == 1 and other in GROUND.get(top, set()))
        )
        assert allowed, f"line {row.line}: {'.'.join(name)} imports {'.'.join(row.target)}"


def test_no_arrow_runs_in_a_circle():
    graph = {
        name_of(path): {row.target for row in ours(path) if not row.typing_only} for path in FILES
    }
    done: set[tuple[str, ...]] = set()

    def visit(name: tuple[str, ...], way: tuple[tuple[str, ...], ...]) -> None:
        circle = way[way.index(name) :] if name in way else ()
        assert not circle, " -> ".join(".".join(step) for step in (*circle, name))
        if name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, (*way, name))
            done.add(name)

    for start in sorted(graph):
        visit(start, ())


def test_what_comes_from_outside(file):
    for row in imports(file):
        if row.outside is None:
            continue
        assert not row.outside.startswith("ansible"), f"line {row.line} imports {row.outside}"
        standard = row.outside in sys.stdlib_module_names
        if not standard and not row.typing_only:
            assert name_of(file) == ("dependency",), f"line {row.line} imports {row.outside}"
        if name_of(file) != ("process",):
            assert row.outside not in PROCESS_MODULES, f"line {row.line} imports {row.outside}"


def test_a_library_is_imported_when_it_is_needed():
    tree = tree_of(ENGINE / "dependency.py")
    only_types = typing_blocks(tree)
    for node in tree.body:
        for sub in ast.walk(node) if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            if isinstance(sub, ast.ImportFrom) and sub.level == 0 and sub not in only_types:
                assert str(sub.module).partition(".")[0] in sys.stdlib_module_names
            if isinstance(sub, ast.Import):
                assert {alias.name for alias in sub.names} <= sys.stdlib_module_names


def test_what_no_file_may_do(file):
    for node in ast.walk(tree_of(file)):
        line = getattr(node, "lineno", 0)
        assert not isinstance(node, ast.Assert), f"line {line}: assert"
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            called = node.func.id
            assert called not in ("print", "exit", "quit", "eval", "exec", "breakpoint"), line
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            called = f"{node.func.value.id}.{node.func.attr}"
            assert called not in ("sys.exit", "importlib.import_module"), f"line {line}: {called}"
            if node.func.value.id == "os" and name_of(file) != ("process",):
                assert node.func.attr not in STARTS_PROCESSES, f"line {line}: {called}"


def test_what_every_file_begins_with(file):
    text = file.read_text(encoding="utf-8")
    if not text:
        assert file.name == "__init__.py"
        return
    lines = text.splitlines()
    assert lines[0].startswith("# Copyright (c) ")
    assert lines[1].startswith("# GNU General Public License v3.0+")
    assert lines[2] == "# SPDX-License-Identifier: GPL-3.0-or-later"
    tree = tree_of(file)
    assert ast.get_docstring(tree)
    first = next((node for node in tree.body[1:] if not isinstance(node, ast.Expr)), None)
    if first is not None:
        assert isinstance(first, ast.ImportFrom)
        assert first.module == "__future__"


def test_every_file_is_python_3_9(file):
    """The grammar, which `tree_of` asks for, and what the grammar does not know."""
    tree = tree_of(file)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = {word.arg for word in node.keywords}
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called == "zip":
                assert "strict" not in words, f"line {node.lineno}: zip(strict=)"
            if called == "dataclass":
                assert not words & {"slots", "kw_only"}, f"line {node.lineno}: dataclass({words})"
        if isinstance(node, ast.ClassDef):
            bases = " ".join(ast.unparse(base) for base in node.bases)
            both = "NamedTuple" in bases and "Generic" in bases
            assert not both, f"line {node.lineno}: a generic NamedTuple is for Python 3.11"
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            names = {sub.id for sub in ast.walk(node.value) if isinstance(sub, ast.Name)}
            union = isinstance(node.value.op, ast.BitOr) and names & {"str", "int", "bytes", "None"}
            assert not union, f"line {node.lineno}: a union of types is not for Python 3.9"


def test_public_functions_say_what_they_do(file):
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            # Those of the tree of errors that have but a code and a hint speak for themselves.
            said = {ast.unparse(row).split(" ", maxsplit=1)[0] for row in node.body}
            short = said <= {"code", "usual_hint"}
            assert short or ast.get_docstring(node), f"line {node.lineno}: class {node.name}"
    for node in tree_of(file).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"line {node.lineno}: {node.name}"
            assert node.returns is not None, f"line {node.lineno}: {node.name} without types"


TOP = ENGINE.parents[2]
EVERYWHERE = sorted(
    path
    for place in ("plugins", "tests", "scripts")
    for path in (TOP / place).rglob("*.py")
    if "output" not in path.parts
)


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: str(path.relative_to(TOP)))
def test_ansible_sanity_would_take_it(path):
    """What `make sanity` complains about most, and the faster linters do not know."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        assert not (stored and node.id == "_"), (
            f"line {node.lineno}: call it _dummy; in Ansible, _ is gettext's"
        )
    modules = (TOP / "plugins" / "modules", TOP / "plugins" / "action")
    assert path.parent in modules or not text.startswith("#!"), "only modules have a first line"
    if "noqa: F401" in text:
        assert "pylint: disable=unused-import" in text, "or name what it hands on in __all__"

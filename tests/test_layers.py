"""api > judge > rubrics, and no import of our own packages where it cannot be seen."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("api", "judge", "rubrics")
SOURCES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))

#: The modules that load others by name, so that a small program does not pay for what it does not use.
BY_NAME = {
    "api/calibrating.py",
    "judge/__init__.py",
    "judge/store/__init__.py",
    "judge/single.py",
    "judge/trust.py",
    "judge/workers.py",
    "judge/providers/__init__.py",
    "judge/cli/__init__.py",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def hidden(tree: ast.Module) -> Iterator[str]:
    """Imports of our own packages inside functions."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    modules = [node.module or ""] if not node.level else [OURS[0]]
                yield from (module for module in modules if module.split(".")[0] in OURS)


def loads_by_name(tree: ast.Module) -> bool:
    words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    words |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return bool({"import_module", "__import__"} & words)


def test_the_layers_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 kept, 0 broken" in found.stdout


@pytest.mark.parametrize("package", OURS)
def test_there_is_something_to_look_at(package: str) -> None:
    assert any(name(path).startswith(f"{package}/") for path in SOURCES)


def test_no_function_imports_our_own_packages() -> None:
    assert {name(path): found for path in SOURCES if (found := list(hidden(ast.parse(path.read_text("utf-8")))))} == {}


def test_modules_are_loaded_by_name_where_it_is_listed_and_nowhere_else() -> None:
    found = {name(path) for path in SOURCES if loads_by_name(ast.parse(path.read_text("utf-8")))}
    assert found == BY_NAME


def test_a_hidden_import_would_be_found() -> None:
    tree = ast.parse("import judge\ndef f():\n    from rubrics.scales import x\n    import os, judge.items\n")
    assert list(hidden(tree)) == ["rubrics.scales", "judge.items"]

"""Check the architecture: imports point down, files stay short, names say what they hold, lists are complete.

Run by ``make lint``. Reads the source with ``ast`` and imports nothing of it. An import counts wherever it
stands: at the top of a module, in a function, under ``TYPE_CHECKING``, or as the start of the string that
``import_module`` is given.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = "fuserec"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("testing",),
    ("__main__", "cli"),
    ("server",),
    ("store",),
    ("agent",),
    ("language",),
    ("evaluation", "tuning"),
    ("policy",),
    ("explain",),
    (
        "persistence",
        "questions",
        "recommender",
        "fitted",
        "additions",
        "answers",
        "config",
        "features",
        "control",
        "filters",
        "judged",
        "reasons",
        "requests",
        "search",
        "tracked",
    ),
    ("rerank",),
    ("fusion",),
    ("scorers",),
    ("metrics",),
    ("neural",),
    ("llm",),
    ("encoders",),
    ("data",),
    ("numerics",),
    ("tracking",),
    ("settings", "alone", "run", "types", "errors"),
)
"""Rooms from top to bottom: a module may import from its own layer and from those below.

``testing`` serves tests, so no room may import it.
"""

FACADE = -1
"""The layer of ``fuserec`` itself, the public API: it may import anything, and nothing may import it."""

BASES = frozenset(
    {"base", "history", "factors", "implicit", "ratings", "attribution", "ordered", "structured", "wrapped"}
)
"""Modules of ``scorers/`` that scorers share; every other one is a scorer, and no scorer imports another."""

MAX_LINES = 400
VAGUE = re.compile(r"^_?(utils?|helpers?|commons?|misc)$")


@dataclass(frozen=True)
class Fault:
    """One breach of a rule, at a line of a file."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Module:
    """A source file.

    Parameters
    ----------
    path : Path
    name : str
        Dotted; a package's ``__init__.py`` has the name of the package.
    tree : ast.Module
    lines : int
    """

    path: Path
    name: str
    tree: ast.Module
    lines: int

    @property
    def package(self) -> str:
        """Dotted name of the package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def modules_of(source: Path) -> list[Module]:
    """Return every module below ``source``, the folder that holds the package."""
    found = []
    for path in sorted((source / ROOT).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Module(path, name, ast.parse(text, str(path)), len(text.splitlines())))
    return found


def layer_of(module: str) -> int | None:
    """Return the place of a module in :data:`LAYERS` (0 is the top), or None; FACADE for the package."""
    if module == ROOT:
        return FACADE
    room = module.split(".")[1]
    return next((place for place, rooms in enumerate(LAYERS) if room in rooms), None)


def imports_of(module: Module, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, imported module of ours) for every import in a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, name) for name in sorted({*_from_targets(node, module, known)}))
        elif isinstance(node, ast.Call):
            name = _dynamic_target(node)
            if name is not None:
                yield node.lineno, name


def is_ours(name: str) -> bool:
    """Return whether a dotted name is of this package."""
    return name == ROOT or name.startswith(f"{ROOT}.")


def _from_targets(node: ast.ImportFrom, module: Module, known: frozenset[str]) -> Iterator[str]:
    """Yield the modules that ``from X import a, b`` reaches: X.a where that is a module, else X."""
    base = node.module or ""
    if node.level:
        parts = module.package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    if not is_ours(base):
        return
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        if inner in known:
            yield inner
        elif inner != f"{ROOT}.__version__":
            yield base


def _dynamic_target(node: ast.Call) -> str | None:
    """Return the module that ``import_module`` is given, as far as its string is constant."""
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name not in ("import_module", "__import__") or not node.args:
        return None
    first: ast.expr = node.args[0]
    if isinstance(first, ast.JoinedStr) and first.values:
        first = first.values[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return None
    target = first.value.rstrip(".")
    return target if is_ours(target) else None


def upward_imports(modules: list[Module]) -> Iterator[Fault]:
    """Yield imports that point up, and rooms that have no place in the order."""
    known = frozenset(module.name for module in modules)
    for module in modules:
        own = layer_of(module.name)
        if own is None:
            yield Fault(module.path, 1, f"{module.name} is in no layer: give it a place in LAYERS")
            continue
        if own == FACADE:
            continue
        for line, target in imports_of(module, known):
            other = layer_of(target)
            if other is None:
                yield Fault(module.path, line, f"imports {target}, which is in no layer of LAYERS")
            elif other < own:
                yield Fault(
                    module.path,
                    line,
                    f"{module.name} imports {target}: imports may only point down ({_order(own, other)})",
                )


def _order(own: int, other: int) -> str:
    """Return which of two layers stands above the other, in words."""
    above = "the package itself" if other == FACADE else LAYERS[other][0]
    return f"{above} is above {LAYERS[own][0]}"


def scorers_apart(modules: list[Module]) -> Iterator[Fault]:
    """Yield scorers that know another one, and files of the room that are neither scorer nor shared base."""
    known = frozenset(module.name for module in modules)
    room = f"{ROOT}.scorers"
    listed = {f"{room}.{file}" for file in registered(modules).values()}
    for module in modules:
        if not module.name.startswith(room):
            continue
        stem = module.name.removeprefix(room).lstrip(".")
        if stem and stem not in BASES and module.name not in listed:
            yield Fault(
                module.path, 1, f"{module.name} is not in SCORERS (scorers/__init__.py) and no shared base"
            )
        for line, target in imports_of(module, known):
            if target in listed and target != module.name:
                yield Fault(
                    module.path,
                    line,
                    f"{module.name} imports {target}: no scorer knows another; share through a base",
                )


def registered(modules: list[Module]) -> dict[str, str]:
    """Return the literal ``SCORERS`` of scorers/__init__.py: name of a scorer to its file."""
    home = next((module for module in modules if module.name == f"{ROOT}.scorers"), None)
    for node in home.tree.body if home else []:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == "SCORERS" and node.value is not None:
            table: dict[str, str] = ast.literal_eval(node.value)
            return {name: place.partition(":")[0] for name, place in table.items()}
    return {}


def long_or_vague(modules: list[Module]) -> Iterator[Fault]:
    """Yield files above the limit, and names that say nothing."""
    for module in modules:
        if module.lines > MAX_LINES:
            yield Fault(
                module.path, MAX_LINES, f"{module.lines} lines: at most {MAX_LINES}; split it by what it does"
            )
        if VAGUE.match(module.name.rpartition(".")[2]):
            yield Fault(module.path, 1, f"{module.name}: name the module after what it holds")


def table_of_scorers(readme: Path) -> dict[str, list[str]]:
    """Return the rows of a README's table of scorers: name to the other cells."""
    text = readme.read_text(encoding="utf-8")
    table = text.partition("<!-- scorers -->")[2].partition("<!-- /scorers -->")[0]
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in table.splitlines()
        if line.strip()
    ]
    return {cells[0].strip("`"): cells[1:] for cells in rows if cells[0].startswith("`")}


def documented(modules: list[Module], readmes: list[Path]) -> Iterator[Fault]:
    """Yield scorers that the READMEs' tables leave out, and rows of those that are no more."""
    names = set(registered(modules))
    for readme in readmes:
        rows = set(table_of_scorers(readme))
        for name in sorted(names - rows):
            yield Fault(readme, 1, f"scorer {name!r} has no row in the table of scorers")
        for name in sorted(rows - names):
            yield Fault(readme, 1, f"the table of scorers has a row {name!r}, which is not in SCORERS")


def faults(repository: Path) -> tuple[list[Module], list[Fault]]:
    """Return the modules of a repository and every breach."""
    modules = modules_of(repository / "src")
    readmes = [repository / "README.md", repository / "README.zh-CN.md"]
    found = [
        *upward_imports(modules),
        *scorers_apart(modules),
        *long_or_vague(modules),
        *documented(modules, readmes),
    ]
    return modules, found


def main() -> int:
    """Print the breaches, one a line; return the exit status."""
    repository = Path(__file__).resolve().parents[1]
    modules, found = faults(repository)
    for fault in found:
        print(Fault(fault.path.relative_to(repository), fault.line, fault.message))
    if found:
        print(f"architecture: {len(found)} faults (the rules: ARCHITECTURE.md)")
        return 1
    print(f"architecture: {len(modules)} modules, every import points down")
    return 0


if __name__ == "__main__":
    sys.exit(main())

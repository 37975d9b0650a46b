"""The house itself: rooms of a readable size, modules and functions of a readable length, true paths in docs."""

import ast
import re
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("adapters", "catalogs", "configs", "rl_strategies", "run", "training")
MODULES = sorted(path for top in (*PRODUCT, "benchmarks") for path in (ROOT / top).rglob("*.py"))
DOCS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FILES_PER_ROOM = 12
LINES_PER_MODULE = 400
MEDIAN_FUNCTION = 6
HISTORY = "CHANGELOG.md"  # speaks of files as they were
PATH = re.compile(
    r"`((?:\.\./)?(?:adapters|benchmarks|catalogs|configs|docs|rl_strategies|run|tests|training)/[\w./*-]*)`"
)
MADE_BY_USERS = ("catalogs/store",)


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_room_holds_more_files_than_a_reader_takes_in() -> None:
    rooms = Counter(_relative(path.parent) for path in MODULES if path.name != "__init__.py")
    assert {room: count for room, count in rooms.items() if count > FILES_PER_ROOM} == {}


def test_every_room_says_what_it_holds() -> None:
    rooms = {path.parent for path in MODULES}
    faces = {room: room / "__init__.py" for room in rooms}
    silent = [
        _relative(room)
        for room, face in faces.items()
        if not face.is_file() or not ast.get_docstring(ast.parse(face.read_text(encoding="utf-8")))
    ]
    assert sorted(silent) == []


def test_no_module_is_too_long() -> None:
    lengths = {_relative(path): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > LINES_PER_MODULE} == {}


def test_functions_are_short() -> None:
    assert median(_function_lengths()) <= MEDIAN_FUNCTION


def _function_lengths() -> list[int]:
    lengths = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                lengths.append(node.end_lineno - body[0].lineno + 1)  # type: ignore[operator]
    return lengths


@pytest.mark.parametrize("page", DOCS, ids=_relative)
def test_paths_in_docs_exist(page: Path) -> None:
    if page.name == HISTORY:
        pytest.skip("history names files as they were")
    named = PATH.findall(page.read_text(encoding="utf-8"))
    missing = [path for path in named if not path.startswith(MADE_BY_USERS) and not _exists(path)]
    assert missing == []


def _exists(path: str) -> bool:
    return any(ROOT.glob(path.rstrip("/")))


@pytest.mark.parametrize("page", DOCS, ids=_relative)
def test_links_in_docs_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert dead == []

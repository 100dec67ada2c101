"""The rooms of src/ and what each may lean on, read from the table in ARCHITECTURE.md."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def read_table(text: str) -> dict[str, set[str]]:
    """Room -> rooms that it names, top of the house first. `everything` and `the services below` are all rooms below it."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        rooms = re.findall(r"`([a-z]+)`", cells[0])
        if len(cells) == 3 and rooms and re.fullmatch(r"(`[a-z]+`(, )?)+", cells[0]):
            rows.append((rooms, cells[2]))
    order = [room for rooms, _ in rows for room in rooms]
    table = {}
    for rooms, leans in rows:
        below = set(order[order.index(rooms[-1]) + 1:])
        for room in rooms:
            named = set(re.findall(r"[a-z]+", leans)) & set(order)
            table[room] = below if re.search(r"everything|services below", leans) else named
    return table


def closure(table: dict[str, set[str]], room: str) -> set[str]:
    """`room`, what it leans on, what that leans on …"""
    seen, waiting = set(), [room]
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting += table.get(here, ())
    return seen


def sources(*suffixes: str) -> list[Path]:
    return sorted(path for path in SOURCES.rglob("*") if path.suffix in suffixes and path.is_file())


def includes(path: Path) -> list[tuple[str, str]]:
    """Each include of a file as (`<` or `"`, path)."""
    return INCLUDE.findall(path.read_text(errors="replace"))

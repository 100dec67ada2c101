#!/usr/bin/env python3
"""Writes the table of web packages in docs/licenses.md from web/package-lock.json; --check only compares."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licenses.md"
BEGIN, END = "<!-- web packages: written by tools/licenses.py -->", "<!-- end of web packages -->"


def table() -> str:
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    shipped = {}
    for path, package in packages.items():
        if path and not package.get("dev") and not package.get("devOptional") and not package.get("optional"):
            name = path.rpartition("node_modules/")[2]
            shipped[(name, package["version"])] = package.get("license", "see the package")
    rows = [f"| {name} | {version} | {licence} |\n" for (name, version), licence in sorted(shipped.items())]
    return "| package | version | licence |\n|---|---|---|\n" + "".join(rows)


def main() -> int:
    text = PAGE.read_text()
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    fresh = f"{head}{BEGIN}\n\n{table()}\n{END}{tail}"
    if fresh == text:
        return 0
    if "--check" in sys.argv:
        print("docs/licenses.md is behind web/package-lock.json: run tools/licenses.py", file=sys.stderr)
        return 1
    PAGE.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())

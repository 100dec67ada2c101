#!/usr/bin/env python3
"""Makes bench/results.md of the files in bench/results/; with `--check` it only says whether the page is as they are."""

import sys

import record


def main() -> None:
    text = record.page(record.entries())
    if "--check" in sys.argv[1:]:
        if not record.PAGE.exists() or record.PAGE.read_text() != text:
            sys.exit("bench/results.md is not what bench/results/ says: ./dev bench report")
        return
    record.PAGE.write_text(text)
    print(f"wrote {record.PAGE.relative_to(record.ROOT)}")


if __name__ == "__main__":
    main()

"""Compares answers: the same columns and values, doubles to twelve digits, rows of one time in any order."""

import json
import math
import re


def same_value(a, b) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return a == b


def row_key(row):
    return json.dumps([round(v, 6) if isinstance(v, float) else v for v in row], sort_keys=True, default=str)


def same_rows(a: list, b: list) -> bool:
    if len(a) != len(b):
        return False
    if all(len(x) == len(y) and all(map(same_value, x, y)) for x, y in zip(a, b)):
        return True
    times = [row[0] for row in a]
    if times != [row[0] for row in b]:
        return False
    ours, theirs = sorted(a, key=row_key), sorted(b, key=row_key)
    return len(set(times)) < len(times) and all(len(x) == len(y) and all(map(same_value, x, y)) for x, y in zip(ours, theirs))


def error_text(text: str) -> str:
    # Go's panics and types of iterators are no part of the language.
    text = re.sub(r"\*query\.(\w+?)(Interrupt|Close|Sorted|Merge|Finalizer|Parallel|nil)?Iterator", r"*query.\1Iterator", text or "")
    return text


def difference(theirs, ours) -> str | None:
    """Of two whole answers (parsed JSON); nothing when they are the same."""
    if ("error" in theirs) != ("error" in ours):
        return "one refuses the query"
    if "error" in theirs:
        return None if error_text(theirs["error"]) == error_text(ours["error"]) else "another error"
    if len(theirs["results"]) != len(ours["results"]):
        return "another number of results"
    for number, (a, b) in enumerate(zip(theirs["results"], ours["results"])):
        if a.get("statement_id") != b.get("statement_id"):
            return f"result {number}: another statement_id"
        if error_text(a.get("error", "")) != error_text(b.get("error", "")):
            return f"result {number}: another error"
        first, second = a.get("series", []), b.get("series", [])
        if [s.get("name") for s in first] != [s.get("name") for s in second]:
            return f"result {number}: other series"
        for x, y in zip(first, second):
            for key in ("tags", "columns", "partial"):
                if x.get(key) != y.get(key):
                    return f"result {number}, series {x.get('name')}: {key} differ"
            if not same_rows(x.get("values", []), y.get("values", [])):
                return f"result {number}, series {x.get('name')} {x.get('tags')}: values differ"
    return None

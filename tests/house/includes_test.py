"""Who includes whom: rooms lean only downwards, and heavy third-party headers stay where they are paid for."""

import functools
import re
import unittest

from room_table import ROOT, SOURCES, closure, includes, read_table, sources

TABLE = read_table((ROOT / "ARCHITECTURE.md").read_text())

# Third-party headers that no header of ours may read: what they cost, every reader would pay. A header within a room
# may, where only sources beside it read it.
ONLY_IN_SOURCES = re.compile(r"^(nlohmann/json\.hpp|yaml-cpp/|spdlog/|fmt/|simdjson\.h|sqlite3\.h|cjose/|jansson\.h|curl/|grpcpp/|CLI/)")
ASIO = re.compile(r"^boost/(asio|beast)([/.]|$)")
ASIO_ROOMS = {"net", "runtime"}


def room_of(path):
    return path.relative_to(SOURCES).parts[0]


@functools.cache
def reaches_asio(path) -> bool:
    """Whether a file reads Asio or Beast itself or through headers of ours."""
    for kind, name in includes(path):
        if ASIO.match(name):
            return True
        header = SOURCES / name
        if kind == '"' and header.is_file() and header != path and reaches_asio(header):
            return True
    return False


@functools.cache
def readers() -> dict:
    """Which files include a header of ours."""
    found = {}
    for path in sources(".h", ".cc"):
        for kind, name in includes(path):
            if kind == '"':
                found.setdefault(SOURCES / name, []).append(path)
    return found


def is_inner(header) -> bool:
    """Whether only files beside it read a header, and of those only sources and other inner headers."""
    return all(path.parent == header.parent and (path.suffix == ".cc" or is_inner(path)) for path in readers().get(header, []))


class Includes(unittest.TestCase):
    def test_the_table_lists_the_rooms_that_exist(self):
        rooms = {path.name for path in SOURCES.iterdir() if path.is_dir()}
        self.assertEqual(rooms - set(TABLE), set(), "rooms without a row in ARCHITECTURE.md")
        self.assertGreaterEqual(len(TABLE), 15, "ARCHITECTURE.md holds no table of rooms")

    def test_the_table_has_no_circle(self):
        for room, leans in TABLE.items():
            for below in leans:
                self.assertNotIn(room, closure(TABLE, below), f"{room} and {below} lean on each other")

    def test_rooms_include_only_what_they_lean_on(self):
        wrong = []
        for path in sources(".h", ".cc"):
            if path.parent == SOURCES:
                continue
            allowed = closure(TABLE, room_of(path))
            for kind, name in includes(path):
                room = name.split("/")[0]
                if kind == '"' and room in TABLE and room not in allowed:
                    wrong.append(f"{path.relative_to(ROOT)} includes {name}: {room_of(path)} does not lean on {room}")
        self.assertEqual(wrong, [])

    def test_rooms_link_only_what_they_lean_on(self):
        wrong = []
        for room in TABLE:
            lists = SOURCES / room / "CMakeLists.txt"
            if not lists.exists():
                continue
            call = re.search(r"flux_room\(\s*(\w+)([^)]*)\)", lists.read_text())
            self.assertIsNotNone(call, f"{lists} declares no room")
            leans = re.search(r"LEANS\s+([a-z\s]+)", call[2])
            for name in leans[1].split() if leans else []:
                if name not in closure(TABLE, room):
                    wrong.append(f"src/{room}/CMakeLists.txt links {name}")
        self.assertEqual(wrong, [])

    def test_own_headers_are_included_from_src_and_exist(self):
        wrong = []
        for path in sources(".h", ".cc"):
            for kind, name in includes(path):
                if kind == '"' and not (SOURCES / name).is_file() and not name.startswith("embedded/") and not name.endswith(".pb.h"):
                    wrong.append(f'{path.relative_to(ROOT)}: "{name}" is no path below src/')
        self.assertEqual(wrong, [])

    def test_headers_are_guarded(self):
        unguarded = [str(path.relative_to(ROOT)) for path in sources(".h") if "#pragma once" not in path.read_text()]
        self.assertEqual(unguarded, [])

    def test_asio_and_beast_stay_in_net_and_runtime(self):
        wrong = [str(path.relative_to(ROOT)) for path in sources(".h", ".cc")
                 if path.parent != SOURCES and room_of(path) not in ASIO_ROOMS and reaches_asio(path)]
        self.assertEqual(wrong, [])

    def test_nobody_includes_the_whole_of_asio_or_beast(self):
        whole = {"boost/asio.hpp", "boost/beast.hpp", "boost/beast/core.hpp", "boost/beast/http.hpp",
                 "boost/beast/websocket.hpp", "boost/beast/ssl.hpp"}
        wrong = [f"{path.relative_to(ROOT)}: {name}" for path in sources(".h", ".cc")
                 for _, name in includes(path) if name in whole]
        self.assertEqual(wrong, [])

    def test_heavy_third_party_headers_stay_in_sources(self):
        wrong = [f"{path.relative_to(ROOT)}: {name}" for path in sources(".h")
                 for _, name in includes(path) if ONLY_IN_SOURCES.match(name) and not is_inner(path)]
        self.assertEqual(wrong, [])


class TheTableReader(unittest.TestCase):
    TEXT = """
| room | what lives there | leans on |
|---|---|---|
| `app` | `main` and all | everything |
| `net` | sockets | runtime |
| `runtime` | shards | observe, config |
| `config`, `observe` | settings; logs | core |
| `core` | ids | the standard library |
"""

    def test_reads_rows_and_transitive_leaning(self):
        table = read_table(self.TEXT)
        self.assertEqual(table["app"], {"net", "runtime", "config", "observe", "core"})
        self.assertEqual(table["observe"], {"core"})
        self.assertEqual(table["core"], set())
        self.assertEqual(closure(table, "net"), {"net", "runtime", "config", "observe", "core"})
        self.assertNotIn("config", closure(table, "observe"))


if __name__ == "__main__":
    unittest.main()

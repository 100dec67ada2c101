#!/usr/bin/env python3
"""Turns a folder of files into C++: NAME.bin with all bytes, NAME.S that takes it in, NAME.cc and NAME.h with the table.

Each text file also gets a gzip and a brotli form, kept only where at least 5 % smaller. Forms are remembered by content
in OUT/NAME.cache, so a changed file costs only its own compression.
"""

import argparse
import gzip
import hashlib
import re
import subprocess
import sys
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".xml": "application/xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".woff": "font/woff",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".pbf": "application/x-protobuf",
    ".pmtiles": "application/vnd.pmtiles",
}
PACKED = {".png", ".jpg", ".webp", ".avif", ".woff2", ".woff", ".pmtiles"}
# Vite puts the hash of the content before the extension: assets/index-DiwrgTda.js
HASHED = re.compile(r"^/assets/.+-[A-Za-z0-9_-]{8}\.[a-z0-9.]+$")


def smaller(form: bytes, identity: bytes) -> bytes:
    return form if len(form) < 0.95 * len(identity) else b""


def forms(path: Path, content: bytes, digest: str, cache: Path) -> tuple[bytes, bytes]:
    """gzip and brotli forms, empty where not worth it."""
    if path.suffix in PACKED or len(content) < 200:
        return b"", b""
    kept = [cache / f"{digest}.gz", cache / f"{digest}.br"]
    if not all(form.exists() for form in kept):
        kept[0].write_bytes(smaller(gzip.compress(content, 9, mtime=0), content))
        brotli = subprocess.run(["brotli", "-q", "10", "-w", "22", "-c"], input=content, stdout=subprocess.PIPE, check=True)
        kept[1].write_bytes(smaller(brotli.stdout, content))
    return kept[0].read_bytes(), kept[1].read_bytes()


def write_if_changed(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--depfile", type=Path, required=True)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    name, out = options.name, options.out
    cache = out / f"{name}.cache"
    cache.mkdir(parents=True, exist_ok=True)

    blob, rows, digests = bytearray(), [], set()
    files = sorted((path for path in options.folder.rglob("*") if path.is_file() and not path.name.startswith(".")),
                   key=lambda path: "/" + path.relative_to(options.folder).as_posix())
    for path in files:
        url = "/" + path.relative_to(options.folder).as_posix()
        if path.suffix not in TYPES:
            print(f"{url}: no content type is known for '{path.suffix}'; add it to tools/embed.py", file=sys.stderr)
            return 1
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        digests.add(digest)
        spans = []
        for form in (content, *forms(path, content, digest, cache)):
            spans.append(f"{{kBytes + {len(blob)}, {len(form)}}}" if form else "{}")
            blob += form
        immutable = "true" if HASHED.match(url) else "false"
        rows.append(f'    {{"{url}", "{TYPES[path.suffix]}", "{digest[:20]}", {immutable}, {", ".join(spans)}}},\n')
    for kept in cache.iterdir():  # forms of files that are gone
        if kept.stem not in digests:
            kept.unlink()

    header = f"""#pragma once

#include <span>

#include "core/embedded_file.h"

namespace flux::embedded {{

/// Sorted by path.
std::span<const EmbeddedFile> {name}();

}}  // namespace flux::embedded
"""
    source = f"""#include "embedded/{name}.h"

extern "C" const char flux_embedded_{name}[];

namespace flux::embedded {{

static const char* const kBytes = flux_embedded_{name};

std::span<const EmbeddedFile> {name}() {{
  static const EmbeddedFile files[] = {{
{"".join(rows)}  }};
  return files;
}}

}}  // namespace flux::embedded
"""
    assembly = f"""  .section .rodata
  .global flux_embedded_{name}
  .balign 16
flux_embedded_{name}:
  .incbin "{out.resolve().as_posix()}/{name}.bin"
  .byte 0
  .section .note.GNU-stack,"",%progbits
"""
    write_if_changed(out / f"{name}.h", header.encode())
    write_if_changed(out / f"{name}.S", assembly.encode())
    write_if_changed(out / f"{name}.cc", source.encode())
    write_if_changed(out / f"{name}.bin", bytes(blob))
    inputs = " ".join(str(path).replace(" ", "\\ ") for path in files)
    options.depfile.write_text(f"{out / (name + '.cc')}: {inputs}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

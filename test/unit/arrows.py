#!/usr/bin/python3
"""Fails on an include that crosses an arrow ARCHITECTURE.md does not have.

The table under "Rooms and arrows" is the truth: each src/ROOM/ includes only itself, the rooms of its row, and system
headers; each include names its room. "(os)" allows too; "everything but X and Y" is what it says. An operator's tbl.h
is rows of macros and nothing else; model/operators.h alone includes those."""

import pathlib
import re
import sys

TOP = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
TOP = TOP if TOP.is_dir() else TOP.parents[2]


def table():
    text = (TOP / "ARCHITECTURE.md").read_text()
    section = text.split("## Rooms and arrows", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", section, re.M)
    names = [name for name, _ in rows]
    allowed = {}
    for name, may in rows:
        words = re.findall(r"\w+", may)
        if may.startswith("everything but"):
            allowed[name] = set(names) - set(words[2:])
        else:
            allowed[name] = set(words) & set(names)
    return allowed


def violations(allowed):
    rooms = sorted(p.name for p in (TOP / "src").iterdir() if p.is_dir())
    for room in rooms:
        if room not in allowed:
            yield f"src/{room}: this room is not in the table of ARCHITECTURE.md"
            continue
        for file in sorted((TOP / "src" / room).rglob("*.[ch]")):
            text, name = file.read_text(), file.relative_to(TOP)
            if name.name == "tbl.h" and not re.fullmatch(r'(/\*.*?\*/\s*|[A-Z]+\(("[^"]*"|[^()"])*\)\s*)*', text, re.S):
                yield f"{name}: holds more than rows"
            for n, line in enumerate(text.splitlines(), 1):
                m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if not m or (m[1].endswith("/tbl.h") and str(name) == "src/model/operators.h"):
                    continue
                target = m[1].split("/")[0]
                where = f"{name}:{n}: includes {m[1]}"
                if "/" not in m[1] or target not in rooms:
                    yield f"{where}, which names no room"
                elif target != room and target not in allowed[room]:
                    yield f"{where}: {room} may include only from {' '.join(sorted(allowed[room])) or 'itself'}"


def main():
    allowed = table()
    assert len(allowed) >= 10, "the table of ARCHITECTURE.md was not understood"
    found = list(violations(allowed))
    print("\n".join(found) or f"{len(allowed)} rooms, every include follows an arrow")
    return 1 if found else 0


sys.exit(main())

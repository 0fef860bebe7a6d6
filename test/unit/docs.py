#!/usr/bin/python3
"""Fails when the manual misses something that the tables of the code have: a verb, a setting or its default, an operator; or
when a link leads nowhere."""

import pathlib
import re
import sys

TOP = pathlib.Path(sys.argv[1])
DOCS = TOP / "docs"


def missing():
    commands = (DOCS / "commands.md").read_text()
    for words, what in re.findall(r'^VERB\("([^"]+)".*"([^"]*)"\)$', (TOP / "src/cli/verbs.h").read_text(), re.M):
        if what and f"`davit {words}" not in commands:
            yield f"docs/commands.md says nothing of `davit {words}`"
    settings = (DOCS / "settings.md").read_text()
    table = (TOP / "src/model/config.h").read_text()
    for name, default in re.findall(r'(?:TEXT|NUMBER)\((\w+), ([^,]+),', table):
        if name in ("name", "setting"):
            continue
        shown = default.strip('"') or "empty"
        if f"| `{name}` | {shown} |" not in settings:
            yield f"docs/settings.md does not say that {name} is {shown}"
    for name in re.findall(r"^OPERATOR\((\w+),", (TOP / "src/daemon/operators.h").read_text(), re.M):
        if f"`{name}`" not in (DOCS / "operate.md").read_text():
            yield f"docs/operate.md says nothing of the operator {name}"


def dead_links():
    for page in [*DOCS.glob("*.md"), TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "ARCHITECTURE.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            if not (page.parent / link).exists():
                yield f"{page.relative_to(TOP)} links to {link}, which is not there"


found = [*missing(), *dead_links()]
print("\n".join(found) or "the manual has it all")
sys.exit(1 if found else 0)

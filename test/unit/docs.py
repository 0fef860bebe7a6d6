#!/usr/bin/python3
"""Fails when the manual misses something that the tables of the code have: a verb, a setting, its default or bounds, an operator;
when tools/packages doesn't install what operators need; when an example of CONTRIBUTING.md isn't the one that is built, or no
longer applies; when a file or function that docs/a-push.md names is gone; when a link leads nowhere; or when any
tracked file holds what a merge left undecided."""

import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(sys.argv[1])
DOCS = TOP / "docs"


def missing():
    commands = (DOCS / "commands.md").read_text()
    for words, what in re.findall(r'^VERB\("([^"]+)".*"([^"]*)"\)$', (TOP / "src/cli/verbs.h").read_text(), re.M):
        if what and f"`davit {words}" not in commands:
            yield f"docs/commands.md says nothing of `davit {words}`"
    settings = (DOCS / "settings.md").read_text()
    for name, default, bounds, text in rows(r'(?:TEXT|NUMBER)\((\w+), ([^,]+), ((?:\d+, )*)"(.*)"\)'):
        shown = default.strip('"') or "empty"
        between = "–".join(bounds.split(", ")[:2])
        row = re.search(rf"^\| `{name}` \| {re.escape(shown)} \| {re.escape(text)}(.*) \|$", settings, re.M)
        if not row or between not in row[1]:
            yield f"docs/settings.md does not say `{name}` | {shown} | {text}; {between}"
    for name in rows(r"OPERATOR\((\w+)\)"):
        if f"`{name}`" not in (DOCS / "operate.md").read_text():
            yield f"docs/operate.md says nothing of the operator {name}"


def rows(pattern):
    """Of the operators' tables and that of no single operator."""
    for table in sorted((TOP / "src").glob("*/tbl.h")):
        yield from re.findall("^" + pattern + "$", re.sub(r"\n +", " ", table.read_text()), re.M)


def examples():
    """The worked examples of CONTRIBUTING.md are the patches that `tools/test examples` builds."""
    page = (TOP / "CONTRIBUTING.md").read_text()
    for patch in sorted((TOP / "test/examples").glob("*.patch")):
        if f"```diff\n{patch.read_text()}```\n" not in page:
            yield f"CONTRIBUTING.md does not show {patch.relative_to(TOP)} as it is"
        checks = [subprocess.run(["git", "apply", "--check", *way, patch], cwd=TOP, text=True, capture_output=True)
                  for way in ([], ["--reverse"])]  # where it is built it has been applied
        if all(done.returncode for done in checks):
            yield f"{patch.relative_to(TOP)} does not apply any more: {checks[0].stderr.strip()}"


def lost():
    """What docs/a-push.md names: the files, and in them (or that which was named last) the functions."""
    file, text = "", ""
    for name, call in re.findall(r"`(src/[\w./]+)`|`(\w+)\(\)`", (DOCS / "a-push.md").read_text()):
        if name and not (TOP / name).is_file():
            yield f"docs/a-push.md names {name}, which is not there"
        elif name:
            file, text = name, (TOP / name).read_text()
        elif not re.search(rf"\b{call}\(", text):
            yield f"docs/a-push.md looks for {call}() in {file}, which has none"


def dead_links():
    for page in [*DOCS.glob("*.md"), TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "ARCHITECTURE.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
            if not (page.parent / link).exists():
                yield f"{page.relative_to(TOP)} links to {link}, which is not there"


def packages():
    """What operators say they need is what tools/packages installs to run Davit."""
    section = re.search(r"^\[run\]$(.*?)(?=^\[|\Z)", (TOP / "tools/packages").read_text(), re.M | re.S)[1]
    needed = {*rows(r'PROGRAM\(\w+, "(.*)"\)'), *rows(r'PACKAGE\("(.*)"\)')}
    for package in needed ^ set(section.split()):
        yield f"{package} is needed by an operator's tbl.h or installed by [run] of tools/packages, but not both"


def undecided():
    """Marks of a merge. A source tree that isn't a checkout has nothing to look at."""
    tracked = subprocess.run(["git", "-c", "safe.directory=*", "-C", TOP, "ls-files", "-z"], capture_output=True)
    for name in filter(None, tracked.stdout.split(b"\0")):
        path = TOP / name.decode()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        if b"\0" in content:
            continue
        for number, line in enumerate(content.splitlines(), 1):
            if re.match(rb"(<{7}|={7}|>{7}|\|{7})( |$)", line):
                yield f"{name.decode()}:{number} is the mark of a merge: {line[:40].decode(errors='replace')}"


found = [*missing(), *packages(), *examples(), *lost(), *dead_links(), *undecided()]
print("\n".join(found) or "the manual has it all")
sys.exit(1 if found else 0)

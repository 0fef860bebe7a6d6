#!/usr/bin/python3
"""Fails when the manual misses something that the tables of the code have: a verb, a setting or its default, an operator;
when `davit doctor` doesn't look for a package that Davit runs on; when a link leads nowhere; or when any tracked file
holds what a merge left undecided."""

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
    table = (TOP / "src/model/config.h").read_text()
    for name, default in re.findall(r'(?:TEXT|NUMBER)\((\w+), ([^,]+),', table):
        if name in ("name", "setting"):
            continue
        shown = default.strip('"') or "empty"
        if f"| `{name}` | {shown} |" not in settings:
            yield f"docs/settings.md does not say that {name} is {shown}"
    for name in re.findall(r"^OPERATOR\((\w+)\)", (TOP / "src/daemon/operators.h").read_text(), re.M):
        if f"`{name}`" not in (DOCS / "operate.md").read_text():
            yield f"docs/operate.md says nothing of the operator {name}"


def dead_links():
    for page in [*DOCS.glob("*.md"), TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "ARCHITECTURE.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            if not (page.parent / link).exists():
                yield f"{page.relative_to(TOP)} links to {link}, which is not there"


def forgotten():
    """Of the packages that running Davit takes, what `davit doctor` doesn't look for. Certificates are no program."""
    section = re.search(r"^\[run\]$(.*?)(?=^\[|\Z)", (TOP / "tools/packages").read_text(), re.M | re.S)[1]
    doctor = (TOP / "src/cli/doctor.c").read_text()
    for package in section.split():
        if package != "ca-certificates" and f'"{package}"}}' not in doctor:
            yield f"tools/packages installs {package} to run Davit, and src/cli/doctor.c does not look for it"


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


found = [*missing(), *forgotten(), *dead_links(), *undecided()]
print("\n".join(found) or "the manual has it all")
sys.exit(1 if found else 0)

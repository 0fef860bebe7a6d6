"""Git itself: which histories are taken, and what becomes of pushes that meet."""
import json
import subprocess

import apps
import pytest

IDENTITY = b"A U Thor <author@example.com> 1112911993 -0700"


def create(davit, name, files):
    folder = davit.checkout(files, name)
    davit.create_app(name, folder)
    return folder


def write_object(davit, folder, kind, content):
    """The id of an object that git itself would never make."""
    return subprocess.run(["git", "-C", folder, "hash-object", "-t", kind, "-w", "--literally", "--stdin"], env=davit.env,
                          input=content, check=True, capture_output=True).stdout.decode().strip()


def tree(davit, folder, *entries):
    """A tree of (mode, name, id), as they are."""
    return write_object(davit, folder, "tree",
                        b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for mode, name, oid in entries))


def commit(davit, folder, tree_id, parent=None, author=IDENTITY):
    head = f"tree {tree_id}\n" + (f"parent {parent}\n" if parent else "")
    return write_object(davit, folder, "commit", head.encode() + b"author %s\ncommitter %s\n\nold\n" % (author, IDENTITY))


ODD_AUTHORS = [
    b"A U Thor <author@example.com> 1112911993 +051800",
    b"A U Thor <author@example.com> 1112911993 -700",
    b"A U Thor <author@example.com>",
    b"A U Thor <author@example.com>1112911993 -0700",
    b"A U Thor<author@example.com> 1112911993 -0700",
    b"<author@example.com> 1112911993 -0700",
    b"A U Thor 1112911993 -0700",
    b"A U Thor <author <at> example.com> 1112911993 -0700",
    b"A U Thor <author@example.com> 01112911993 -0700",
    b"A U Thor <author@example.com> 99999999999999999999 -0700",
    b"A U Thor <author@example.com> yesterday -0700",
    IDENTITY + b"\nauthor " + IDENTITY,
]


def test_odd_histories_that_forges_take_are_taken(davit, history):
    folder, page = history
    sub = tree(davit, folder, ("100664", "page.html", page))
    top = tree(davit, folder, ("100644", "index.html", page), ("040000", "sub", sub))
    head = None
    for author in ODD_AUTHORS:
        head = commit(davit, folder, top, head, author)
    davit.push(folder, True, f"{head}:refs/heads/main", "--force")
    assert davit.get("history", "/sub/page.html")[:2] == (200, "a page")


@pytest.mark.parametrize("name, modules", [
    (".git", None), (".GIT", None), ("GIT~1", None), (".g\u200cit", None), ("..", None), (".", None), ("a/b", None),
    (".gitmodules", '[submodule "a"]\n\tpath = a\n\turl = -u./payload\n'),
    (".gitmodules", '[submodule "../../hooks"]\n\tpath = a\n\turl = https://example.com/a\n'),
    (".gitmodules", '[submodule "a"]\n\tpath = -a\n\turl = https://example.com/a\n'),
    (".gitmodules", '[submodule "a"]\n\tpath = a\n\turl = https://example.com/a\n\tupdate = !true\n'),
])
def test_trees_that_attack_are_refused(davit, history, name, modules):
    folder, page = history
    if modules is None:
        entry = ("40000", name, tree(davit, folder, ("100644", "config", page)))
    else:
        entry = ("100644", name, write_object(davit, folder, "blob", modules.encode()))
    entries = sorted([entry, ("100644", "index.html", page)], key=lambda e: e[1] + "/" * (e[0] == "40000"))
    before = davit.git(folder, "ls-remote", "davit").stdout
    done = davit.push(folder, False, commit(davit, folder, tree(davit, folder, *entries)) + ":refs/heads/main", "--force")
    assert done.returncode != 0 and "fsck error" in done.stderr, done.stderr
    assert davit.git(folder, "ls-remote", "davit").stdout == before


@pytest.fixture(scope="module")
def history(davit):
    """A checkout whose app is deployed, and the blob of a page."""
    folder = create(davit, "history", apps.static("a page"))
    davit.push(folder)
    return folder, davit.git(folder, "rev-parse", "HEAD:index.html").stdout.strip()


def clone(davit, source, name, *options):
    """A clone that pushes to the same app."""
    target = davit.root / name
    davit.git(davit.root, "clone", "-q", *options, f"file://{source}", str(target))
    for line in davit.git(source, "config", "--get-regexp", "^(remote.davit|credential)").stdout.splitlines():
        davit.git(target, "config", "--add", *line.split(" ", 1))
    return target


@pytest.mark.parametrize("there", ["left", "right"])
def test_every_place_where_history_is_cut_off_counts(davit, there):
    """A merge whose clone ends at both parents, of which the app has one."""
    folder = create(davit, f"cut-{there}", apps.static("base"))
    for side in ("left", "right"):
        davit.git(folder, "checkout", "-q", "-b", side, "main")
        davit.commit(folder, {f"{side}.html": "before"})
        davit.commit(folder, {f"{side}.html": side})
    davit.push(folder, True, f"{there}:main")
    davit.git(folder, "checkout", "-q", "left")
    davit.git(folder, "merge", "-q", "-m", "both", "right")
    shallow = clone(davit, folder, f"shallow-{there}", "--depth", "2", "-b", "left")
    assert len((shallow / ".git/shallow").read_text().splitlines()) == 2
    done = davit.push(shallow, False, "left:main")
    assert done.returncode != 0 and "comes from a shallow clone" in done.stderr, done.stderr
    assert len(json.loads(davit.cli("releases", "-a", f"cut-{there}", "--json"))["items"]) == 1

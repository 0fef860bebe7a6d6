"""Git itself: which histories are taken, and what becomes of pushes that meet."""
import contextlib
import fcntl
import json
import os
import subprocess
from pathlib import Path

import apps
import pytest
from davit import wait_for

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


@contextlib.contextmanager
def turn_held(davit, app):
    """Pushes of the app wait, as behind another one, until the block ends."""
    with open(davit.state / f"git/{app}.git/davit.turn") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield turn


def waiting(turn):
    """How many processes the kernel has queued at the lock."""
    inode = f":{os.fstat(turn.fileno()).st_ino} "
    return sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def start_push(davit, turn, folder, *what):
    """A push that has come to wait for its turn; queued pushes get it in the order they came."""
    before = waiting(turn)
    push = subprocess.Popen(["git", "-C", folder, "push", "davit", *what], env=davit.env, stderr=subprocess.PIPE, text=True)
    said = ""
    while "Waiting for" not in said:
        line = push.stderr.readline()
        assert line, f"the push ended: {said}"
        said += line
    wait_for(lambda: waiting(turn) > before, "the push at the lock")
    return push


def head(davit, folder):
    return davit.git(folder, "rev-parse", "HEAD").stdout.strip()


def meeting(davit, name):
    """A deployed app with two checkouts, each a commit further: the first, and a clone of it from before."""
    first = create(davit, name, apps.static("zero"))
    davit.push(first)
    davit.commit(first, apps.static("first"))
    return first, clone(davit, first, f"{name}-second")


def push_both(davit, app, first, second, *what):
    with turn_held(davit, app) as turn:
        pushes = [start_push(davit, turn, first, "main"), start_push(davit, turn, second, *(what or ["main"]))]
    return [(push.stderr.read(), push.wait())[::-1] for push in pushes]


def test_a_waiting_push_that_contains_the_first_lands(davit):
    first, second = meeting(davit, "meet")
    davit.commit(second, apps.static("second"))
    (one, _), (two, said) = push_both(davit, "meet", first, second)
    assert (one, two) == (0, 0), said
    assert f"   {head(davit, first)[:7]}..{head(davit, second)[:7]}  main -> main" in said
    assert head(davit, second) in davit.git(first, "ls-remote", "davit", "refs/heads/main").stdout
    assert davit.git(second, "rev-parse", "davit/main").stdout.strip() == head(davit, second)
    assert davit.get("meet")[1] == "second"


def test_a_waiting_push_that_lacks_the_first_is_told_so(davit):
    first, second = meeting(davit, "miss")
    davit.git(second, "reset", "-q", "--hard", "HEAD~1")
    davit.commit(second, apps.static("second"))
    (one, _), (two, said) = push_both(davit, "miss", first, second)
    assert one == 0 and two != 0
    assert f"moved 'main' to {head(davit, first)[:7]} meanwhile, which this one lacks" in said and "git pull davit main" in said
    assert "! [remote rejected] main -> main (pre-receive hook declined)" in said
    assert davit.get("miss")[1] == "first"
    # A forced one that waits overwrites what it saw, nothing that came since.
    davit.git(first, "reset", "-q", "--hard", "HEAD~1")
    davit.commit(first, apps.static("forced"))
    davit.commit(second, apps.static("third"))
    with turn_held(davit, "miss") as turn:
        pushes = [start_push(davit, turn, folder, "--force", "main") for folder in (first, second)]
    assert [push.communicate() and push.returncode for push in pushes] == [0, 1]
    assert davit.get("miss")[1] == "forced"
    davit.push(second, True, "main", "--force")
    assert davit.get("miss")[1] == "third"


def test_a_waiting_push_of_the_same_commit_deploys_once(davit):
    first, second = meeting(davit, "twice")
    (one, _), (two, said) = push_both(davit, "twice", first, second)
    assert (one, two) == (0, 0) and "Another push has deployed" in said and "main -> main" in said
    assert len(json.loads(davit.cli("releases", "-a", "twice", "--json"))["items"]) == 2


def test_refs_pushed_atomically_move_together(davit):
    first, second = meeting(davit, "atomic")
    davit.commit(second, apps.static("second"))
    davit.git(second, "tag", "v1")
    (one, _), (two, said) = push_both(davit, "atomic", first, second, "--atomic", "main", "v1")
    assert one == 0 and two != 0 and "meanwhile" in said and "lacks" not in said
    assert "v1" not in davit.git(first, "ls-remote", "davit").stdout
    davit.push(second, True, "--atomic", "main", "v1")
    assert davit.get("atomic")[1] == "second"


def test_a_lock_that_a_power_loss_left_stops_no_push(davit):
    folder = create(davit, "locked", apps.INDEX)
    davit.push(folder)
    heads = davit.state / "git/locked.git/refs/heads"
    old, new = heads / "main.lock", heads / "other.lock"
    davit.stop()
    for lock in (old, new):
        lock.touch()
    os.utime(old, (1, 1))
    davit.start()
    assert new.exists(), "one from after the boot is somebody's"
    davit.commit(folder)
    davit.push(folder)
    new.unlink()

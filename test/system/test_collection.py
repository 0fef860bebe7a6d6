"""Images are kept as long as somebody may want them, and no longer: releases one can go back to, what runs, and nothing else."""
import contextlib
import json
import subprocess
from pathlib import Path

import apps
import pytest
from davit import wait_for

RETAINED = 3


@pytest.fixture
def davit(new_davit):
    return new_davit(retain_releases=RETAINED)


def layers(davit):
    return {p.name for p in (davit.state / "images/layers").iterdir() if "." not in p.name}


def source_layer(davit, text):
    """The layer in which index.html says that; None if there is none."""
    for layer in layers(davit):
        with contextlib.suppress(OSError):
            if (davit.state / "images/layers" / layer / "app/index.html").read_text() == text:
                return layer


def manifests(davit):
    return {p.name for p in (davit.state / "images/blobs/sha256").iterdir()}


def releases(davit, app):
    return {r["number"]: r for r in json.loads(davit.cli("releases", "-a", app, "--json"))["items"]}


def image_of(davit, app, number):
    return releases(davit, app)[number]["image"].partition(":")[2]


def operator_pid(davit):
    """Of `davitd builder`, None while there is none."""
    with contextlib.suppress(OSError, StopIteration):
        parent = lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return next(p for p in davit.pids() if davit.processes()[p][-1] == "builder" and parent(p) == davit.process.pid)


def push_many(davit, folder, first, last):
    for n in range(first, last + 1):
        davit.commit(folder, apps.static(f"number {n}"))
        davit.push(folder)


def test_images_of_retained_releases_stay_and_others_go(davit):
    folder = davit.checkout(apps.static("number 1"), "many")
    davit.create_app("many", folder)
    davit.push(folder)
    push_many(davit, folder, 2, 11)
    davit.cli("rollback", "v9", "-a", "many")  # v12 is v9 again; v13 comes after
    push_many(davit, folder, 13, 13)
    made = releases(davit, "many")
    done = davit.cli("rollback", "v1", "-a", "many", ok=False)  # its image may still be there, or be on its way out
    assert done.returncode and "the image of v1 is no longer kept" in done.stderr
    assert releases(davit, "many") == made
    kept = {"number 9", "number 11", "number 13"}  # of v13, v12, v11: the last three
    gone = {f"number {n}" for n in (*range(1, 9), 10)}
    assert all(source_layer(davit, text) for text in kept | gone)
    wait_for(lambda: not any(source_layer(davit, text) for text in gone), "the collection", 120)
    assert all(source_layer(davit, text) for text in kept)
    images = {n: image_of(davit, "many", n) for n in releases(davit, "many")}
    assert manifests(davit) >= {images[n] for n in (11, 12, 13)}
    assert not manifests(davit) & {images[n] for n in (1, 2, 8, 10)}
    # What was kept can be gone back to, what was not says why it can't.
    done = davit.cli("rollback", "v10", "-a", "many", ok=False)
    assert done.returncode and "retain_releases" in done.stderr
    for number, text in ((11, "number 11"), (12, "number 9"), (13, "number 13")):
        davit.cli("rollback", f"v{number}", "-a", "many")
        assert davit.get("many")[1] == text
    davit.commit(folder, apps.static("after all"))
    davit.push(folder)
    assert davit.get("many")[1] == "after all"


@pytest.mark.slow
def test_a_collection_that_is_killed_leaves_all_that_is_needed(davit, tmp_path):
    folder = davit.checkout(apps.static("number 1"), "killed")
    davit.create_app("killed", folder)
    davit.push(folder)
    push_many(davit, folder, 2, 8)
    # Killed when it has renamed one thing out of the way; the next one starts from there.
    build = operator_pid(davit)
    strace = subprocess.Popen(["strace", "-f", "-qq", "-o", tmp_path / "trace", "-e", "trace=renameat",
                               "-e", "inject=renameat:signal=SIGKILL:when=2", "-p", str(build)])
    try:
        wait_for(lambda: not Path(f"/proc/{build}").exists(), "the operator's end in the midst of a collection", 120)
    finally:
        strace.terminate()
        strace.wait()
    wait_for(lambda: operator_pid(davit) not in (build, None), "a new operator")
    kept, gone = {f"number {n}" for n in (6, 7, 8)}, {f"number {n}" for n in range(1, 6)}
    wait_for(lambda: not any(source_layer(davit, text) for text in gone), "the collection", 120)
    assert all(source_layer(davit, text) for text in kept)
    wait_for(lambda: not list((davit.state / "images/tmp").iterdir()), "nothing on its way out")
    for number, text in ((6, "number 6"), (8, "number 8")):
        davit.cli("rollback", f"v{number}", "-a", "killed")
        assert davit.get("killed")[1] == text

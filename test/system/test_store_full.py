"""A full disk: a clear error, nothing half done, and the same handle goes on once there is room."""
import os
import re
from pathlib import Path

import pytest

from davit import wait_for
from store_peers import Peer, disk, listing, needs_root, no_peer_outlives_its_test  # noqa: F401


def fill(path):
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(bytes(4096)):
                pass
        except OSError:
            pass


@needs_root
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
@pytest.mark.parametrize("size", [100, 9000, 200000])
def test_a_full_store_goes_on_once_there_is_room(disk, kind, size):  # noqa: F811
    drive = disk(kind, 24)
    db, filler = drive.path / "state.db", drive.path / "filler"
    watcher = Peer(db, "watch", "/", 1, 0, 0)
    assert watcher.line() == "watching"
    writer = Peer(db, "insist", "/chain/0", 0, size)
    last = 0
    for _ in range(3):
        fill(filler)
        for text in writer.lines():
            if text.startswith("no_space"):
                break
            last = int(text.split()[0])
        assert "no space left for" in text and str(db) in text
        # Reading goes on, and shows what was acknowledged, not what failed.
        assert listing(db) == {"/chain/0": last}
        filler.unlink()
        writer.process.stdin.write(b"go on\n")
        writer.process.stdin.flush()
        for _ in range(5):
            last += 1
            assert writer.number() == last
    writer.kill()
    seen = 0
    while seen < last:
        text = watcher.line()
        seen += 1
        assert text.split()[2] == str(seen)
    watcher.kill()


@needs_root
def test_a_new_store_on_a_full_disk(disk):  # noqa: F811
    drive = disk("ext4", 16)
    fill(drive.path / "filler")
    db = drive.path / "state.db"
    status, complaint = Peer(db, "append", "/a", 1, 20).end()
    assert status != 0 and "no_space" in complaint
    (drive.path / "filler").unlink()
    status, complaint = Peer(db, "append", "/a", 1, 20).end()
    assert status == 0, complaint
    assert listing(db) == {"/a": 1}


@needs_root
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_store_whose_log_is_to_be_made_again(disk, kind):  # noqa: F811
    drive = disk(kind, 16)
    db = drive.path / "state.db"
    assert Peer(db, "append", "/a", 1, 20).end()[0] == 0
    for suffix in "-wal", "-shm":
        Path(f"{db}{suffix}").unlink()
    fill(drive.path / "filler")
    status, complaint = Peer(db, "append", "/a", 1, 20).end()
    assert status != 0 and "no_space" in complaint, complaint
    (drive.path / "filler").unlink()
    assert listing(db) == {"/a": 1}


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pauses(pid):
    """How often it has gone to sleep."""
    return int(re.search(r"^voluntary_ctxt_switches:\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


@needs_root
def test_a_lease_that_ends_on_a_full_disk(disk):  # noqa: F811
    """Its keys can't be deleted yet: readers read on, watchers neither give up nor spin."""
    drive = disk("ext4", 24)
    db = drive.path / "state.db"
    owner = Peer(db, "lease", "/leader", 1)
    assert owner.line()
    watcher = Peer(db, "watch", "/", 1, 0, 0)
    assert watcher.line() == "watching" and watcher.line().endswith("/leader held")
    fill(drive.path / "filler")
    writer = Peer(db, "insist", "/a", 0, 4000)
    assert any(text.startswith("no_space") for text in writer.lines())
    owner.kill()
    before, rest = cpu_seconds(watcher.process.pid), pauses(watcher.process.pid)
    wait_for(lambda: pauses(watcher.process.pid) >= rest + 4, "the lease's end, and some tries to delete its keys")
    assert Peer(db, "list", "/leader").end()[0] == 0
    assert cpu_seconds(watcher.process.pid) - before < 0.5
    (drive.path / "filler").unlink()
    while not (text := watcher.line()).endswith("/leader deleted"):
        assert "/a " in text
    writer.kill()
    watcher.kill()

"""Writers killed, or their system calls failing, at every single point of a commit (strace's fault injection).
What was acknowledged is there, the lock is free, and watchers hear of what was committed though the writer never
got to tell anybody."""
import shutil

import pytest

from store_peers import Peer, listing, no_peer_outlives_its_test  # noqa: F401

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")

CALLS = ["pwrite64", "fdatasync", "fcntl", "close", "ftruncate", "pread64"]


def strace(call, fault, nth):
    return ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={nth}"]


def next_events(watcher, seen, there):
    """Reads the watcher up to what is there; each number once, in order."""
    while seen < there:
        seen += 1
        assert watcher.line().split()[2] == str(seen)
    return seen


def run_with_faults(db, fault, calls, complaints):
    """Appends with the fault at the n-th call, for n = 1, 2, … until a run gets through without meeting it."""
    watcher = Peer(db, "watch", "/", 1, 0, 0)
    assert watcher.line() == "watching"
    seen, faults = 0, 0
    for call in calls:
        for nth in range(1, 400):
            writer = Peer(db, "append", "/chain/0", 4, 3000, wrap=strace(call, fault, nth))
            acknowledged = [int(text.split()[0]) for text in writer.lines()]
            status, complaint = writer.end()
            there = listing(db).get("/chain/0", 0)
            low = acknowledged[-1] if acknowledged else seen
            assert low <= there <= low + 1, (call, nth)
            assert acknowledged == list(range(seen + 1, low + 1)), (call, nth)
            seen = next_events(watcher, seen, there)
            if status == 0 and len(acknowledged) == 4:
                break
            faults += 1
            assert not complaints or any(c in complaint for c in complaints), (call, nth, status, complaint)
    watcher.kill()
    return faults


def test_a_writer_may_be_killed_at_every_call(tmp_path):
    assert run_with_faults(tmp_path / "state.db", "signal=KILL", CALLS, ()) > 50


def test_disk_full_at_every_write(tmp_path):
    assert run_with_faults(tmp_path / "state.db", "error=ENOSPC", ["pwrite64"], ("no_space",)) > 10


def test_broken_disk_at_every_write(tmp_path):
    assert run_with_faults(tmp_path / "state.db", "error=EIO", ["pwrite64", "fdatasync"], (": io:",)) > 10

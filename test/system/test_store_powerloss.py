"""What the store acknowledged survives power loss. ext4's shutdown ioctl stops the file system dead: nothing that
was not yet synced reaches the disk any more, the journal is not flushed."""
import fcntl
import os
import random
import struct
import time

from store_peers import Peer, disk, listing, needs_root, no_peer_outlives_its_test  # noqa: F401

EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2
ROUNDS = 12
WRITERS = 3


def shut_down(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    finally:
        os.close(fd)


def listen(writers, seconds):
    """What each was told is written, until now: the world outside saw no more of it."""
    acknowledged = {w: w.number() for w in writers}
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for w in writers:
            if w.ready(left / len(writers)):
                acknowledged[w] = w.number()
    return acknowledged


def lose_power_while_writing(drive, db):
    """For each key what was acknowledged before, and what the writer believed at its end. An fdatasync that is under
    way at the ioctl may return 0 though its journal is gone (plain appending shows it as well): a real machine
    without power tells nobody, so only what was told before counts."""
    sizes = [random.choice([20, 500, 5000, 20000]) for _ in range(WRITERS)]
    writers = [Peer(db, "append", f"/chain/{i}", 0, sizes[i]) for i in range(WRITERS)]
    before = listen(writers, random.uniform(0, 0.15))
    shut_down(drive.path)
    result = {}
    for i, w in enumerate(writers):
        believed = [before[w], *(int(text.split()[0]) for text in w.lines())][-1]
        status, complaint = w.end()
        assert status != 0 and "store_peer: append: io:" in complaint, complaint
        result[f"/chain/{i}"] = before[w], believed
    drive.unmount()
    drive.mount()
    return result


@needs_root
def test_what_was_acknowledged_survives_power_loss(disk):  # noqa: F811
    drive = disk("ext4", 512)
    db = drive.path / "state.db"
    for _ in range(ROUNDS):
        told = lose_power_while_writing(drive, db)
        there = listing(db)
        for key, (before, believed) in told.items():
            assert before <= there[key] <= believed + 1, key


@needs_root
def test_power_may_be_lost_at_the_very_first_write(disk):  # noqa: F811
    """A store just made, with one write: neither the file nor its name in the folder may be lost."""
    drive = disk("ext4", 64)
    for i in range(3):
        db = drive.path / f"state{i}.db"
        assert Peer(db, "append", "/a", 1, 20).end()[0] == 0
        shut_down(drive.path)
        drive.unmount()
        drive.mount()
        assert listing(db) == {"/a": 1}

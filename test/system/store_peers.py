"""What the store's system tests share: other processes that use a store (test/lib/store_peer.c), and small file
systems of their own. Needs root and a build (DAVIT_BUILD, default: build/)."""
import contextlib
import ctypes
import os
import pathlib
import select
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DAVIT_BUILD", ROOT / "build"))
PEER = BUILD / "test" / "unit" / "store_peer"
PATIENCE = 20  # seconds for what happens at once, on a busy machine

CLONE_NEWNS = 0x20000

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


class Peer:
    """A store_peer process and its lines."""

    running = []

    def __init__(self, db, verb, *args, wrap=()):
        argv = [*wrap, PEER, verb, f"sqlite://{db}", *args]
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.pending = b""
        self.running.append(self.process)

    def ready(self, seconds):
        """Whether line() has something within that time."""
        return b"\n" in self.pending or bool(select.select([self.process.stdout], [], [], seconds)[0])

    def line(self):
        """The next line; None at the end."""
        fd = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            assert self.ready(PATIENCE), "the other process is silent"
            chunk = os.read(fd, 65536)
            if not chunk:
                return None
            self.pending += chunk
        text, self.pending = self.pending.split(b"\n", 1)
        return text.decode()

    def number(self):
        """The number that the next line begins with."""
        text = self.line()
        assert text is not None, self.end()
        return int(text.split()[0])

    def lines(self):
        while (text := self.line()) is not None:
            yield text

    def end(self):
        """Waits for its end: its exit status and what it complained of."""
        complaint = self.process.stderr.read().decode()
        return self.process.wait(PATIENCE), complaint

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)


@pytest.fixture(autouse=True)
def no_peer_outlives_its_test():
    yield
    while Peer.running:
        Peer.running.pop().kill()


def listing(db, prefix="/"):
    """The numbers that the keys hold."""
    peer = Peer(db, "list", prefix)
    found = {}
    for text in peer.lines():
        _, key, number = text.split()
        found[key] = int(number)
    status, complaint = peer.end()
    assert status == 0, complaint
    return found


def run(*argv):
    subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.DEVNULL)


class Disk:
    """A file system in a file, or on tmpfs, mounted at .path."""

    def __init__(self, tmp_path, kind, megabytes):
        self.path = tmp_path / "mnt"
        self.image = tmp_path / "disk"
        self.kind = kind
        self.megabytes = megabytes
        self.path.mkdir()
        if kind != "tmpfs":
            with open(self.image, "wb") as f:
                f.truncate(megabytes << 20)
            run(f"mkfs.{kind}", "-q", self.image)
        self.mount()

    def mount(self):
        if self.kind == "tmpfs":
            run("mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "tmpfs", self.path)
        else:
            run("mount", "-o", "loop", self.image, self.path)

    def unmount(self):
        run("umount", self.path)


@contextlib.contextmanager
def own_mounts():
    """A mount namespace for the test: what others start meanwhile doesn't copy our mounts, which would keep a file
    system alive that we unmounted; and none is left behind."""
    libc = ctypes.CDLL(None, use_errno=True)
    cwd, outside = os.getcwd(), os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    assert libc.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
    try:
        run("mount", "--make-rprivate", "/")
        yield
    finally:
        assert libc.setns(outside, CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
        os.chdir(cwd)
        os.close(outside)


@pytest.fixture
def disk(tmp_path):
    """disk("ext4", 64) mounts one for the test."""
    with own_mounts():
        yield lambda kind, megabytes: Disk(tmp_path, kind, megabytes)

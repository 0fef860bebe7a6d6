"""A full disk, met at every stage of a push: a clear word, nothing half done, and all well once there is room again."""
import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import apps
import pytest
from davit import Davit, wait_for


@pytest.fixture
def small():
    """A Davit whose state lies on a small file system of its own; small.fill(leave) leaves that many bytes on it."""
    work = Path(tempfile.mkdtemp(prefix="df.", dir="/tmp"))
    image = work / "disk"
    with open(image, "wb") as f:
        f.truncate(2 << 30)  # sparse; the shared stacks take a third of it
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    d = Davit(start=False, stacks=False)
    d.state.mkdir(parents=True)
    subprocess.run(["mount", "-o", "loop", image, d.state], check=True)
    subprocess.run(["rmdir", d.state / "lost+found"], check=True)
    d._share_images(copied=["stack-run", "stack-build"])
    ballast = d.state / "ballast"

    def free():
        st = os.statvfs(d.state)
        return st.f_bavail * st.f_frsize

    def fill(leave):
        ballast.unlink(missing_ok=True)
        os.sync()
        if leave is None:
            return
        with open(ballast, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, max(free() - leave - (32 << 20), 1))
            f.seek(0, os.SEEK_END)
            with contextlib.suppress(OSError):  # its own bookkeeping may take the last of it
                while free() > leave:
                    f.write(bytes(4096))
                    f.flush()

    d.fill = fill
    try:
        d.start()
        yield d
    finally:
        fill(None)
        try:
            d.stop()
            subprocess.run([d.davitd, "--root", d.root, "teardown"], env=d.env, check=True, timeout=120)
        finally:
            subprocess.run(["umount", d.state], check=True)
            subprocess.run(["rm", "-rf", "--one-file-system", d.root, work])


def test_pushes_into_a_disk_that_fills(small):
    folder = small.checkout(apps.web("before"))
    small.create_app("full", folder)
    small.push(folder)
    noise = os.urandom(6 << 20)
    for leave in (0, 64 << 10, 1 << 20, 5 << 20, 9 << 20):
        small.commit(folder, {"version.txt": f"left {leave}", "noise.bin": noise})
        small.fill(leave)
        done = small.push(folder, ok=False)
        if done.returncode:
            assert "space" in done.stderr.lower(), f"with {leave} bytes left the push said:\n{done.stderr}"
            assert small.get("full")[:2] == (200, "before")
        else:
            assert small.get("full")[:2] == (200, f"left {leave}")
            break
    else:
        leave = None
    small.fill(None)
    small.commit(folder, {"version.txt": "after"})
    small.push(folder)
    assert small.get("full")[:2] == (200, "after")


def test_the_store_on_a_full_disk(small):
    folder = small.checkout(apps.web("one"))
    small.create_app("store", folder)
    small.push(folder)
    small.fill(0)
    done = small.cli("config", "set", "-a", "store", "BIG=" + "x" * 30000, ok=False)
    for n in range(40):  # the write-ahead log may still have room of its own
        if done.returncode:
            break
        done = small.cli("config", "set", "-a", "store", f"BIG={n}" + "x" * 30000, ok=False)
    assert done.returncode == 1 and "space" in done.stderr.lower(), done.stderr
    assert small.get("store")[:2] == (200, "one")
    small.fill(None)
    small.cli("config", "set", "-a", "store", "BIG=fits")
    assert "fits" in small.cli("config", "-a", "store")
    wait_for(lambda: small.get("store")[:2] == (200, "one"), "the app in its new release")

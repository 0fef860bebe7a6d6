"""Stacks: made by whoever needs them first, and anew when Debian has newer packages. The packages are Debian's, from its
mirror, but for the suite -updates: that is ours, and what is in it rises."""
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import apps
import pytest
from davit import Davit, free_port, wait_for

UPSTREAM = "http://deb.debian.org"
UNCHANGED = "Dependencies unchanged, using the cached ones"


class Mirror:
    """Debian's mirror, at a port of ours. offer() puts a package into bookworm-updates."""

    def __init__(self, folder):
        self.folder, self.port, self.server = folder, free_port(), None
        self.suite = folder / "debian/dists/bookworm-updates"
        self.publish()
        self.up()

    @property
    def url(self):
        return f"[trusted=yes] http://127.0.0.1:{self.port}/debian"

    def offer(self, name, version):
        package = Path(tempfile.mkdtemp(dir=self.folder))
        (package / "DEBIAN").mkdir(mode=0o755)
        (package / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: t <t@localhost>\nDescription: a test\n")
        package.chmod(0o755)
        (self.folder / "debian/pool").mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", package, self.folder / "debian/pool"], check=True,
                       stdout=subprocess.DEVNULL)
        self.publish()

    def publish(self):
        index = self.suite / "main/binary-amd64/Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "debian/pool").mkdir(exist_ok=True)
        packages = subprocess.run(["dpkg-scanpackages", "-m", "pool"], cwd=self.folder / "debian", check=True,
                                  capture_output=True).stdout
        index.write_bytes(packages)
        digest = subprocess.run(["sha256sum", index], check=True, capture_output=True, text=True).stdout.split()[0]
        (self.suite / "Release").write_text(
            f"Suite: oldstable-updates\nCodename: bookworm-updates\nArchitectures: amd64 arm64\nComponents: main\n"
            f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S UTC', time.gmtime())}\n"
            f"SHA256:\n {digest} {len(packages)} main/binary-amd64/Packages\n")

    def up(self):
        folder, suite = self.folder, "/debian/dists/bookworm-updates/"

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(folder))

            def do_GET(self):
                if self.path.startswith(suite) or (folder / self.path[1:]).is_file():
                    return super().do_GET()
                self.send_response(302)
                self.send_header("Location", UPSTREAM + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def down(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


@pytest.fixture
def mirror(tmp_path):
    try:
        urllib.request.urlopen(UPSTREAM + "/debian/dists/bookworm/Release", timeout=10).close()
    except OSError as e:
        pytest.skip(f"{UPSTREAM} can't be reached: {e}")
    m = Mirror(tmp_path)
    yield m
    m.down()


@pytest.fixture
def davit(mirror):
    # Users of its own: what other Davits on this machine forbid their builds is nothing to these.
    d = Davit(start=False, stacks=False, debian_mirror=mirror.url, stack_refresh=24,
              uid_base=2_000_000_000 + (os.getpid() % 10000) * 65536)
    d._keep_images = lambda: None  # they are no other test's
    try:
        yield d
    finally:
        log = d.root / "var/cache/davit/build/stacks.log"
        print(log.read_text()[-4000:] if log.exists() else "")  # pytest shows it for a test that failed
        d.close()


def stacks(davit):
    return {s["name"]: s for s in json.loads(davit.cli("stacks", "--json"))["items"]}


def pid_of(davit, app):
    """Of its one instance, once those of the release before are gone."""
    return wait_for(lambda: (pids := davit.instance_pids(app)) and len(pids) == 1 and pids[0], "one instance")


def version_inside(davit, app, package):
    """Of the package, in the file system of the app's instance."""
    pid = pid_of(davit, app)
    status = Path(f"/proc/{pid}/root/var/lib/dpkg/status").read_text()
    (stanza,) = [s for s in status.split("\n\n") if s.startswith(f"Package: {package}\n")]
    return stanza.partition("\nVersion: ")[2].split("\n")[0]


def age(davit, days):
    """As if the run stack had been made that long ago."""
    then = time.time() - days * 86400
    os.utime(davit.state / "images/refs/stack-run", (then, then))


@pytest.mark.slow
def test_stacks_are_made_once_and_kept_fresh(davit, mirror):
    # Two that need the same stack at once, and one of them an operator that tidies up when it starts.
    ahead = subprocess.Popen([davit.davitd, "--root", davit.root, "stacks"], env=davit.env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(lambda: list((davit.state / "images/tmp").glob("*")), "the making of the run stack")
    davit.start()
    folder = davit.checkout(apps.static("one"), "site")
    davit.create_app("site", folder)
    out = davit.push(folder)
    assert ahead.wait(60) == 0, ahead.stdout.read()
    assert "Preparing the run stack" in ahead.stdout.read()
    assert "Preparing the run stack" not in out and "Waiting for a stack" in out
    assert "Preparing the nginx runtime" in out
    assert not list((davit.state / "images/tmp").glob("*"))
    before = stacks(davit)["stack-run"]
    assert before["made"] and not before.get("checked")
    pid = pid_of(davit, "site")

    # Debian can't be reached: nothing breaks, and it is said once.
    mirror.down()
    davit.stop()
    age(davit, days=2)
    davit.start()
    said = lambda: davit.diagnosis().count("stay in use")
    wait_for(said, "the complaint", 60)
    assert "apt-get" in wait_for(lambda: stacks(davit)["stack-run"].get("error"), "the reason")
    assert "stacks" in davit.cli("doctor", ok=False).stdout
    davit.commit(folder, apps.static("two"))
    assert UNCHANGED in davit.push(folder) and davit.get("site")[1] == "two"
    assert said() == 1
    pid = pid_of(davit, "site")

    # A package rises: what has it is made anew, running apps stay, the next push is compiled on it.
    mirror.up()
    mirror.offer("netbase", "99:1")
    davit.stop()
    age(davit, days=2)
    davit.start()
    wait_for(lambda: stacks(davit)["stack-run"].get("checked"), "the look after the stacks", 240)
    after = stacks(davit)
    assert after["stack-run"]["made"] > before["made"]
    assert not any(s.get("error") or s.get("updates") for s in after.values()), after
    assert pid_of(davit, "site") == pid and version_inside(davit, "site", "netbase") != "99:1"
    davit.commit(folder, apps.static("three"))
    out = davit.push(folder)
    assert UNCHANGED not in out and "Preparing" not in out
    assert davit.get("site")[1] == "three" and version_inside(davit, "site", "netbase") == "99:1"
    davit.commit(folder, apps.static("four"))
    assert UNCHANGED in davit.push(folder)

    # By hand, where nothing is newer: nothing is made.
    said = subprocess.run([davit.davitd, "--root", davit.root, "stacks", "--refresh"], env=davit.env, text=True,
                          check=True, capture_output=True).stdout
    assert "newest packages" in said and "anew" not in said
    again = stacks(davit)["stack-run"]
    assert again["made"] == after["stack-run"]["made"] and again["checked"] > after["stack-run"]["checked"]
    assert not list((davit.state / "images/refs").glob("next.*"))

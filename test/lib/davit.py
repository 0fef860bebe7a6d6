"""A real Davit for a test: its own root, ports, bridge and HAProxy; driven by command line, HTTP and git only.

    with Davit() as davit:
        davit.cli("apps", "create", "shop")

What runs is what is installed: `meson install` of $DAVIT_BUILD (default: build/) into a folder of its own, once a
process. Stacks and runtimes are made once a machine (below $DAVIT_TEST_CACHE) and hard-linked into every root.
close() ends everything and raises AssertionError if processes, mounts, interfaces, nft tables or cgroups are left.
"""
import contextlib
import fcntl
import http.client
import ipaddress
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("DAVIT_BUILD", REPO / "build"))
# Roots are linked to it, so both must lie in one file system.
CACHE = Path(os.environ.get("DAVIT_TEST_CACHE") or
             ("/var/tmp" if os.stat("/var/tmp").st_dev == os.stat("/tmp").st_dev else "/tmp") + "/davit-test")


def wait_for(condition, what, seconds=30.0):
    """The condition's first true value; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def free_port():
    """A port nobody listens on, outside the range that outgoing connections get theirs from."""
    while True:
        port = random.randrange(18000, 32000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def free_network():
    """A /16 no interface of this machine is in, and the file whose lock claims it while it is open."""
    addresses = json.loads(subprocess.run(["ip", "-4", "-j", "addr"], check=True, capture_output=True).stdout or "[]")
    taken = [ipaddress.ip_network(f"{a['local']}/{a['prefixlen']}", strict=False)
             for i in addresses for a in i.get("addr_info", []) if "local" in a]
    CACHE.mkdir(parents=True, exist_ok=True)
    for n in random.sample(range(11, 210), 199):
        network, claim = ipaddress.ip_network(f"10.{n}.0.0/16"), open(CACHE / f"network.{n}", "w")
        with contextlib.suppress(OSError):
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not any(network.overlaps(t) for t in taken):
                return network, claim
        claim.close()
    raise AssertionError("no free network")


_stage = None


def stage():
    """The folder with the installed tree of this build."""
    global _stage
    if not _stage:
        _stage = Path(tempfile.mkdtemp(prefix="davit-stage.", dir="/tmp"))
        os.chmod(_stage, 0o755)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", _stage], check=True)
        import atexit
        atexit.register(shutil.rmtree, _stage, ignore_errors=True)
    return _stage


def _usr():
    """What is /usr/local on a user's machine."""
    return stage() / "usr/local"


def _ensure_user():
    try:
        pwd.getpwnam("davit")
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "davit"], check=True)


@contextlib.contextmanager
def _cache_lock():
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _link_tree(source, target):
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-aln", f"{source}/.", str(target)], check=True)


class Davit:
    domain = "localhost"

    def __init__(self, start=True, stacks=True, **settings):
        _ensure_user()
        self.root = Path(tempfile.mkdtemp(prefix="dv.", dir="/tmp"))
        os.chmod(self.root, 0o755)
        self.network, self._claim = free_network()
        self.settings = {"http_port": free_port(), "https_port": free_port(), "network": str(self.network),
                         "stack_refresh": 0, **settings}
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("DAVIT_", "GIT_", "XDG_"))}
        self.env = {**ours, "DAVIT_ROOT": str(self.root), "DAVIT_DATA": str(_usr() / "share/davit"),
                    "DAVIT_LIBEXEC": str(_usr() / "libexec/davit"), "HOME": str(self.root / "home"),
                    "PATH": f"{_usr()}/bin:{_usr()}/sbin:{os.environ['PATH']}",
                    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "gc.auto", "GIT_CONFIG_VALUE_0": "0",  # it outlives the test
                    "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "NO_COLOR": "1",
                    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@localhost",
                    "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@localhost"}
        self.log = self.root / "var/log/davit"
        self.run_dir = self.root / "run/davit"
        self.state = self.root / "var/lib/davit"
        self.http = ("127.0.0.1", self.settings["http_port"])
        (self.root / "etc/davit").mkdir(parents=True)
        (self.root / "home").mkdir()
        self.configure()
        self.process = None
        if stacks:
            self._share_images()
        if start:
            self.start()

    # -- stacks ---------------------------------------------------------------------------------

    def _share_images(self):
        with _cache_lock():
            if (CACHE / "images").exists():
                _link_tree(CACHE / "images", self.state / "images")
            subprocess.run([self.davitd, "--root", self.root, "stacks"], env=self.env, check=True)
            self._keep_images()

    def _keep_images(self):
        """Stacks and runtimes made in this root, for the first time or by a new recipe, serve the next one too."""
        ours, kept = self.state / "images", CACHE / "images"
        refs = {r.name: r.read_text() for r in (ours / "refs").glob("*")}
        known = {r.name: r.read_text() for r in (kept / "refs").glob("*")}
        if all(known.get(name) == digest for name, digest in refs.items()):
            return
        for part in ("layers", "blobs"):
            _link_tree(ours / part, kept / part)
        (kept / "refs").mkdir(exist_ok=True)
        for name, digest in refs.items():
            (kept / "refs" / f"{name}.new").write_text(digest)
            (kept / "refs" / f"{name}.new").rename(kept / "refs" / name)

    # -- life -----------------------------------------------------------------------------------

    def configure(self, **settings):
        """Writes davit.conf anew; read at the next start. None takes a setting out."""
        self.settings = {k: v for k, v in {**self.settings, **settings}.items() if v is not None}
        (self.root / "etc/davit/davit.conf").write_text("".join(f"{k} = {v}\n" for k, v in self.settings.items()))

    @property
    def davitd(self):
        return _usr() / "sbin/davitd"

    def start(self):
        self.process = subprocess.Popen([self.davitd, "--root", self.root, "--foreground"], env=self.env, cwd="/",
                                        stdin=subprocess.DEVNULL, stdout=open(self.root / "davitd.out", "a"),
                                        stderr=subprocess.STDOUT, start_new_session=True)
        wait_for(self.answers, f"davitd in {self.root}")
        return self

    def answers(self):
        assert self.process.poll() is None, f"davitd ended: {(self.root / 'davitd.out').read_text()}"
        try:
            return self.request("GET", "/v1/status", host=f"api.{self.domain}")[0] in (200, 401)
        except OSError:
            return False

    def stop(self, number=signal.SIGTERM):
        """Ends davitd and its operators; instances and HAProxy go on."""
        pids = self.pids()
        self.process.send_signal(number)
        self.process.wait(30)
        for pid in pids[1:]:
            if number == signal.SIGKILL:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        wait_for(lambda: not any(Path(f"/proc/{p}").exists() for p in pids), "the operators' end")

    def close(self):
        try:
            if self.process and self.process.poll() is None:
                self.stop()
            subprocess.run([self.davitd, "--root", self.root, "teardown"], env=self.env, check=True, timeout=120)
            with _cache_lock():
                self._keep_images()
            left = wait_for_nothing(self)
            assert not left, f"left behind: {left}"
        finally:
            subprocess.run(["rm", "-rf", "--one-file-system", self.root])
            self._claim.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- looking from outside ---------------------------------------------------------------------

    def processes(self):
        """pid → argument vector of everything that names this root or stands in it."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                argv = entry.read_bytes().decode(errors="replace").split("\0")[:-1]
                if argv and (any(str(self.root) in a for a in argv) or
                             str(self.root) in os.readlink(entry.parent / "cwd")):
                    found[int(entry.parent.name)] = argv
        return found

    def pids(self):
        """davitd first, then its operators."""
        ours = [p for p, argv in self.processes().items() if Path(argv[0]).name == "davitd" and "--root" in argv]
        return sorted(ours, key=lambda p: (p != self.process.pid, p))

    def shim_pids(self):
        return [p for p, argv in self.processes().items() if Path(argv[0]).name == "davit-shim"]

    def instances(self, app):
        return json.loads(self.cli("ps", "-a", app, "--json"))["items"]

    def instance_pids(self, app):
        return sorted(i["pid"] for i in self.instances(app) if i.get("pid"))

    def bridge_name(self):
        """As src/model/config.c derives it."""
        if "bridge" in self.settings:
            return self.settings["bridge"]
        h = 2166136261
        for c in str(self.root).encode():
            h = ((h ^ c) * 16777619) & 0xFFFFFFFF
        return f"davit-{h & 0xFFFFFF:06x}"

    # -- talking ------------------------------------------------------------------------------------

    def cli(self, *args, ok=True, **kw):
        """stdout of `davit ARGS`; with ok=False the finished process."""
        done = subprocess.run(["davit", *map(str, args)], env=self.env, capture_output=True, text=True,
                              timeout=kw.pop("timeout", 300), **kw)
        if not ok:
            return done
        assert done.returncode == 0, f"davit {' '.join(map(str, args))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def get(self, app, path="/", headers=None, method="GET", timeout=40):
        """(status, body, headers) of a request through the gateway; headers.get() takes any case."""
        return self.request(method, path, host=f"{app}.{self.domain}", headers=headers, timeout=timeout)

    def request(self, method, path, body=None, host=None, headers=None, timeout=40):
        """Through the gateway if a host is named, else the API's socket (where the body is JSON)."""
        if host:
            connection = http.client.HTTPConnection(*self.http, timeout=timeout)
        else:
            connection = http.client.HTTPConnection("localhost", timeout=timeout)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(self.run_dir / "davit.sock"))
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, {**({"Host": host} if host else {}), **(headers or {})})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, text, answer.headers

    # -- apps ---------------------------------------------------------------------------------------

    def create_app(self, name, folder):
        """Creates the app in a checkout, as a user would; returns the git remote's name."""
        self.cli("apps", "create", name, cwd=folder)
        return "davit"

    def checkout(self, files, name="app"):
        """A new git checkout with these files ({path: text or bytes}), committed on main."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.root))
        self.write(folder, files)
        self.git(folder, "init", "-q", "-b", "main")
        self.commit(folder)
        return folder

    @staticmethod
    def write(folder, files):
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
            if path.startswith("bin/"):
                target.chmod(0o755)

    def git(self, folder, *args, ok=True):
        done = subprocess.run(["git", "-C", str(folder), *args], env=self.env, capture_output=True, text=True,
                              errors="replace", timeout=300)
        assert not ok or done.returncode == 0, f"git {' '.join(args)}: {done.stdout}{done.stderr}"
        return done

    def commit(self, folder, files=None, message="change"):
        self.write(folder, files or {})
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "--allow-empty", "-m", message)

    def push(self, folder, ok=True, ref="main", *more):
        """git push davit: what the pusher sees (stderr), or with ok=False the finished process."""
        done = self.git(folder, "push", "davit", ref, *more, ok=False)
        if not ok:
            return done
        assert done.returncode == 0, f"git push: {done.stderr}\n{self.diagnosis()}"
        return done.stderr

    def diagnosis(self):
        log = self.log / "davitd.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""


def leftovers(davit):
    """What of this root is still on the machine, as texts."""
    name = davit.root.name
    found = [f"process {p}: {' '.join(argv)}" for p, argv in davit.processes().items() if p != os.getpid()]
    found += [f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if str(davit.root) in line]
    bridge = davit.bridge_name()
    for i in json.loads(subprocess.run(["ip", "-j", "addr"], check=True, capture_output=True).stdout or "[]"):
        addresses = [ipaddress.ip_address(a["local"]) for a in i.get("addr_info", []) if a.get("family") == "inet"]
        if i.get("ifname") == bridge or i.get("master") == bridge or any(a in davit.network for a in addresses):
            found.append(f"interface {i.get('ifname')}")
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, errors="backslashreplace").stdout
    found += [f"{chain}, which nobody made knowingly" for chain in re.findall(r"chain (DAVIT-(?!davit)\S*)", rules)]
    found += [f"nft: {line.strip()}" for line in rules.splitlines()
              if bridge.replace("-", "_") in line.replace("-", "_") or str(davit.network) in line]
    for folder, below, _ in os.walk("/sys/fs/cgroup"):
        found += [f"cgroup {folder}/{b}" for b in below if name in b or name[3:] in b or bridge in b]
    return found


def wait_for_nothing(davit, seconds=10):
    deadline = time.monotonic() + seconds
    while (left := leftovers(davit)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


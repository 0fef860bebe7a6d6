"""A real Davit for a test: its own root, ports, bridge and HAProxy; driven by command line, HTTP and git only.

    with Davit() as davit:
        davit.cli("apps", "create", "shop")

What runs is what is installed: `meson install` of $DAVIT_BUILD (default: build/) into a folder of its own, once a
process. Stacks and runtimes are made once a machine (below $DAVIT_TEST_CACHE) and hard-linked into a folder of images that goes
from one root to the next.
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
SPARE = CACHE / "spare"


def wait_for(condition, what, seconds=30.0):
    """The condition's first true value; AssertionError after `seconds`. Looks again and again, as most of what tests wait
    for tells nobody: the only place where they do."""
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


_stage, removals = None, []


def stage():
    """The folder with the installed tree of this build."""
    global _stage
    if not _stage and "DAVIT_TEST_STAGE" in os.environ:
        _stage = Path(os.environ["DAVIT_TEST_STAGE"])
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
def _cache_lock(kind=fcntl.LOCK_EX):
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as f:
        fcntl.flock(f, kind)
        yield


def _needed(images, refs=None):
    """What these refs (all, if none are named) stand on: paths below the folder of images."""
    found = set()
    for ref in images.glob("refs/*"):
        if refs is None or ref.name in refs:
            blob = lambda digest: "blobs/sha256/" + digest.removeprefix("sha256:")
            manifest = blob(ref.read_text().strip())
            config = blob(json.loads((images / manifest).read_text())["config"]["digest"])
            layers = [d.removeprefix("sha256:") for d in json.loads((images / config).read_text())["rootfs"]["diff_ids"]]
            found |= {f"refs/{ref.name}", manifest, config}
            found |= {f"layers/{name}{end}" for name in layers for end in ("", ".tar", ".recipe")
                      if (images / f"layers/{name}{end}").exists()}
    return found


def _there(images):
    """What lies there, in the same words; anything else that is there, by its name."""
    return {str(p.relative_to(images)) for p in images.glob("*") if p.name not in ("refs", "blobs", "layers")} | {
        str(p.relative_to(images)) for pattern in ("refs/*", "blobs/sha256/*", "layers/*") for p in images.glob(pattern)}


def _remove(images, paths):
    subprocess.run(["rm", "-rf", "--one-file-system", "--", *(images / p for p in paths)], check=True)


def _add(images, paths, source, how="-al"):
    """Links (or, with "-a", copies) them from another folder of images; the refs, which make the rest count, come last."""
    for part in ("blobs/sha256", "layers", "refs"):
        (images / part).mkdir(parents=True, exist_ok=True)
        if some := [source / p for p in paths if p.startswith(part)]:
            subprocess.run(["cp", how if part != "refs" else "-a", "--remove-destination", *some, images / part], check=True)


def commands():
    """pid → argument vector of what runs on this machine. A process may end while it is looked at."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argv := entry.read_bytes().decode(errors="replace").split("\0")[:-1]:
                found[int(entry.parent.name)] = argv
    return found


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
        self.process, self.stacks = None, stacks
        if stacks:
            self._share_images()
        if start:
            self.start()

    # -- stacks ---------------------------------------------------------------------------------

    def _share_images(self, copied=None):
        """The folder of one that was closed, brought up to date: to link 100,000 files, and to remove them again, takes
        longer than most tests. `copied`: copies of these refs, for a state on a file system of its own."""
        self.state.mkdir(parents=True, exist_ok=True)
        for spare in [] if copied else SPARE.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # another one took it
                spare.rename(self.state / "images")
                break
        with _cache_lock(fcntl.LOCK_SH):
            self._fetch_images(copied)
        with _cache_lock():
            self._fetch_images(copied)  # what was made meanwhile
            subprocess.run([self.davitd, "--root", self.root, "stacks"], env=self.env, check=True)
            self._keep_images()

    def _new_refs(self):
        """Those of stacks and runtimes that the cache hasn't, or has of another recipe."""
        found = []
        for ref in (self.state / "images/refs").glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if (CACHE / "images/refs" / ref.name).read_text() == ref.read_text():
                    continue
            found.append(ref.name)
        return found

    def _fetch_images(self, copied):
        ours, kept = self.state / "images", CACHE / "images"
        needed = _needed(kept, copied)
        _remove(ours, {p for p in _there(ours) if p not in needed or p.startswith("refs/")})
        _add(ours, needed - _there(ours), kept, "-a" if copied else "-al")

    def _keep_images(self):
        """Stacks and runtimes made in this root, for the first time or by a new recipe, serve the next one too."""
        ours, kept = self.state / "images", CACHE / "images"
        if new := self._new_refs():
            needed = _needed(ours, new)
            _add(kept, needed - (_there(kept) - {f"refs/{name}" for name in new}), ours)
            _remove(kept, _there(kept) - _needed(kept))

    def _leave_images(self):
        """To the next one; as many as run at once."""
        SPARE.mkdir(exist_ok=True)
        if self.stacks and len(list(SPARE.glob("*"))) < 8:
            (self.state / "images").rename(SPARE / self.root.name)

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
            if self._new_refs():
                with _cache_lock():
                    self._keep_images()
            left = wait_for_nothing(self)
            assert not left, f"left behind: {left}"
            self._leave_images()
        finally:
            removals.append(subprocess.Popen(["rm", "-rf", "--one-file-system", self.root]))  # nobody need wait for it
            self._claim.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- looking from outside ---------------------------------------------------------------------

    def processes(self):
        """pid → argument vector of everything that names this root or stands in it."""
        found = {}
        for pid, argv in commands().items():
            with contextlib.suppress(OSError):
                if any(str(self.root) in a for a in argv) or str(self.root) in os.readlink(f"/proc/{pid}/cwd"):
                    found[pid] = argv
        return found

    def pids(self):
        """davitd first, then its operators."""
        ours = [p for p, argv in self.processes().items() if Path(argv[0]).name == "davitd" and "--root" in argv]
        return sorted(ours, key=lambda p: (p != self.process.pid, p))

    def operator(self, name):
        """The pid of `davitd NAME`."""
        parent = lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        (pid,) = [p for p, argv in self.processes().items()
                  if Path(argv[0]).name == "davitd" and argv[-1] == name and parent(p) == self.process.pid]
        return pid

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
        """stdout of `davit ARGS`, run where no checkout is; with ok=False the finished process."""
        kw.setdefault("cwd", self.root)
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

    def app(self, name, files):
        """A new app and its checkout, not pushed yet."""
        folder = self.checkout(files, name)
        self.create_app(name, folder)
        return folder

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
    """What is left in spite of it."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not leftovers(davit), "nothing left", seconds)
    return leftovers(davit)

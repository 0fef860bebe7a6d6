"""davit-shim on its own: a machine to run it on (a folder, a bridge, an image layer), and instances whose config.json
and spec are written by hand, as `run` would."""
import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from davit import BUILD, free_network, wait_for

SHIM = Path(os.environ.get("DAVIT_SHIM", BUILD / "src/shim/davit-shim"))
INIT = BUILD / "src/init/davit-init"
UID_BASE = 1879048192
APPLETS = "sh cat dd echo head httpd id ip kill ls mkdir mount nc ping printf seq sleep test touch true wc yes".split()


class Machine:
    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="sh.", dir="/tmp"))
        os.chmod(self.root, 0o755)
        self.network, self._claim = free_network()
        self.tag = self.root.name[3:7]
        self.bridge, self.cgroup = f"shb{self.tag}", f"davit-{self.root.name}"
        self.gateway = str(self.network[1])
        self.instances = []
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.gateway}/16", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        (self.root / "run/davit/crun").mkdir(parents=True)
        self.userns = self.root / "run/davit/userns"
        self.userns.touch()
        self.sysfs = self.root / "run/davit/sysfs"
        self.sysfs.mkdir()
        self.layer = self.make_layer("base", {"bin/busybox": Path("/bin/busybox").read_bytes(), ".davit-init": INIT.read_bytes()})
        for name in APPLETS:
            (self.layer / "bin" / name).symlink_to("busybox")

    def make_layer(self, name, files):
        layer = self.root / "layers" / name
        for folder in ("bin", "dev", "proc", "sys", "tmp", "etc"):
            (layer / folder).mkdir(parents=True)
        (layer / "tmp").chmod(0o1777)
        for path, data in files.items():
            (layer / path).write_bytes(data)
            (layer / path).chmod(0o755)
        run("chown", "-hR", f"{UID_BASE}:{UID_BASE}", layer)
        return layer

    def instance(self, *argv, **settings):
        """An instance that isn't started yet. Settings are those of spec (memory in bytes), and init: with davit-init first."""
        self.instances.append(Instance(self, len(self.instances) + 2, argv, settings, settings.pop("init", True)))
        return self.instances[-1]

    def leftovers(self, most=5):
        """What is on the machine although no instance runs."""
        links = json.loads(run("ip", "-j", "link"))
        found = [f"interface {i['ifname']}" for i in links if i["ifname"].startswith(f"shi{self.tag}")]
        found += [f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines()
                  if str(self.root) in line]
        found += [f"cgroup {p}" for group in self.cgroups() for p in group.iterdir() if p.is_dir()]
        found += [f"crun's {p}" for p in (self.root / "run/davit/crun").iterdir()]
        found += [f"process {p}" for p in self.processes()]
        return found[:most]

    def cgroups(self):
        """The folders of its cgroup, in each hierarchy."""
        top = Path("/sys/fs/cgroup")
        return [p for p in (top / self.cgroup, *(h / self.cgroup for h in top.iterdir())) if p.is_dir()]

    def processes(self):
        """Those whose root or command line is this machine's."""
        for p in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ") Z " in (p / "stat").read_text():
                    continue  # its parent's to reap
                if any(self.cgroup in line for line in (p / "cgroup").read_text().splitlines()):
                    yield p.name
                elif str(self.root) in (p / "cmdline").read_text():
                    yield p.name

    def close(self):
        for i in self.instances:
            i.end()
        wait_for(lambda: not self.leftovers(), f"nothing left of {self.root}; there is {self.leftovers()}")
        run("ip", "link", "delete", self.bridge)
        for group in self.cgroups():
            group.rmdir()
        shutil.rmtree(self.root)
        self._claim.close()


class Instance:
    def __init__(self, machine, number, argv, settings, init=True):
        self.machine, self.process = machine, None
        self.ip = str(machine.network[number])
        self.name = f"shop.web.{machine.tag}{number}"
        self.dir = machine.root / "run/davit/instances" / self.name
        self.log_path = machine.root / f"log/shop/web.{number}.log"
        self.source = f"web.{number}"
        self.cgroup = f"{machine.cgroup}/{self.name}"
        state = machine.root / "state" / self.name
        for folder in ("upper", "work", "rootfs"):
            (state / folder).mkdir(parents=True)
            os.chown(state / folder, UID_BASE, UID_BASE)
        self.dir.mkdir(parents=True)
        self.spec = {"name": self.name, "app": "shop", "process": self.source, "layer": [machine.layer],
                     "upper": state / "upper", "work": state / "work", "rootfs": state / "rootfs",
                     "bridge": machine.bridge, "ip": f"{self.ip}/16", "gateway": machine.gateway,
                     "hostif": f"shi{machine.tag}{number}", "cgroup": self.cgroup, "log": self.log_path,
                     "log_max": 10 << 20, "log_files": 3, "grace": 3, "signal": 15, "restart": "always",
                     "memory": 64 << 20, "pids": 200, "userns": machine.userns, "sysfs": machine.sysfs,
                     "uid_base": UID_BASE, "uid_owner": UID_BASE + 65536 + number, **settings}
        self.write_spec()
        self.config = config(argv, state / "rootfs", init, machine.userns)
        self.write_config()

    def write_spec(self):
        lines = []
        for name, value in self.spec.items():
            lines += [f"{name} {v}" for v in (value if isinstance(value, list) else [value]) if v is not None]
        (self.dir / "spec").write_text("\n".join(lines) + "\n")

    def write_config(self):
        (self.dir / "config.json").write_text(json.dumps(self.config))

    def start(self, **how):
        self.process = subprocess.Popen([SHIM, self.dir], stdin=subprocess.DEVNULL,
                                        stderr=open(self.dir / "stderr", "w"), **how)
        return self

    def wait_for_lock(self):
        """From here on it answers signals."""
        lock = self.dir / "lock"
        wait_for(lambda: lock.exists() and lock.read_text() == f"{self.process.pid}\n", "the lock")

    def status(self):
        try:
            text = (self.dir / "status").read_text()
        except FileNotFoundError:
            return {}
        return dict(line.split(" ", 1) for line in text.splitlines())

    def wait(self, seconds=10, **wanted):
        """The status, once these values are in it (None: not in it)."""
        def there():
            now = self.status()
            return now if now and all(now.get(k) == (v if v is None else str(v)) for k, v in wanted.items()) else None
        try:
            return wait_for(there, f"{wanted} of {self.name}", seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}; it is {self.status()}, {self.said('davit')[-4:]}") from None

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def said(self, source="app"):
        """The messages of the app, or of the shim (`davit`)."""
        mark = f" {source}[{self.source}]: "
        return [line.split(mark, 1)[1] for line in self.log().splitlines() if mark in line]

    def signal(self, number):
        self.process.send_signal(number)

    def exec(self, *argv, **how):
        """Runs argv in it, as `run` does for a health check."""
        return subprocess.Popen(["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "--", "crun",
                                 "--cgroup-manager=cgroupfs", "--root", self.machine.root / "run/davit/crun", "exec",
                                 self.name, *argv], stdin=subprocess.DEVNULL, **how)

    def stop(self, seconds=20):
        self.signal(signal.SIGTERM)
        assert self.process.wait(seconds) == 0
        return self.status()

    def end(self):
        """Ends it somehow: the test is over."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            self.process.wait(60)


def owner(pid):
    """The host's uid to which the kernel counts what a process's user namespace uses."""
    uid = bytearray(4)
    with open(f"/proc/{pid}/ns/user") as f:
        fcntl.ioctl(f, 0xb704, uid)  # NS_GET_OWNER_UID
    return int.from_bytes(uid, "little")


def config(argv, rootfs, init=True, userns=None):
    """As `run` writes it, with what matters to the shim."""
    ids = [{"containerID": 0, "hostID": UID_BASE, "size": 65536}]
    none = {k: [] for k in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    return {
        "ociVersion": "1.0.0", "hostname": "web",
        "process": {"terminal": False, "user": {"uid": 1000, "gid": 1000}, "args": ["/.davit-init"] * init + list(argv), "cwd": "/",
                    "env": ["PATH=/bin"], "noNewPrivileges": True, "capabilities": none},
        "root": {"path": str(rootfs)},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                    "options": ["nosuid", "mode=755", "size=64k"]},
                   {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                    "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]}],
        "linux": {"uidMappings": ids, "gidMappings": ids,
                  "namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "cgroup")] +
                  [{"type": "user", **({"path": str(userns)} if userns else {})}],
                  "maskedPaths": ["/proc/kcore", "/proc/keys"], "readonlyPaths": ["/proc/sys"]}}


def run(*argv):
    return subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.PIPE, text=True).stdout

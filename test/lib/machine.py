"""A real Debian 12 to try Davit on: systemd, cgroup v2, Debian's kernel, under QEMU.

    with Machine() as machine:
        machine.run("systemctl is-system-running --wait")

The disk is made of Debian's packages once and kept in the harness's CACHE; each machine writes to an overlay of its own.
It is reached by ssh over a forwarded port on loopback. Where KVM can't run Debian's kernel, QEMU emulates it: the same
machine, some ten times slower. A boot takes a minute then, and going back to a saved state (save, load) some seconds.
"""
import contextlib
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from davit import BUILD, CACHE, REPO, _cache_lock, free_port

SYSTEM = "systemd systemd-sysv udev dbus initramfs-tools zstd linux-image-cloud-amd64 openssh-server ifupdown"
# What the tests' packages would start: not part of what is tried here.
MASKED = ("haproxy", "varnish", "varnishncsa", "docker-registry", "apt-daily.timer", "apt-daily-upgrade.timer")
FILES = {
    "etc/hostname": "davit-machine\n",
    "etc/hosts": "127.0.0.1 localhost davit-machine\n",
    "etc/fstab": "/dev/vda / ext4 errors=remount-ro 0 1\n/dev/vdb /var/lib/davit ext4 defaults 0 2\n",
    # What QEMU's user network would say by DHCP, whose scripts take minutes where it emulates.
    "etc/network/interfaces": "auto lo eth0\niface lo inet loopback\n"
                              "iface eth0 inet static\naddress 10.0.2.15/24\ngateway 10.0.2.2\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    # Where QEMU emulates, and others are at work, udev needs more than 90 s to see the disks.
    "etc/systemd/system.conf.d/patient.conf": "[Manager]\nDefaultDeviceTimeoutSec=30min\n",
    "root/.gitconfig": "[user]\n\tname = t\n\temail = t@localhost\n[init]\n\tdefaultBranch = main\n"
                       "[core]\n\tfsync = all\n",  # checkouts outlive the plug, too
}
SUITES = ("bookworm main", "bookworm-updates main")
GIGABYTES = {"vda": 24, "vdb": 16}


def sh(*argv, **how):
    return subprocess.run([str(a) for a in argv], check=True, **how)


def packages():
    """All that tools/packages lists for building, running and testing; of names joined by | the first is Debian 12's."""
    wanted, section = [], None
    for line in (REPO / "tools/packages").read_text().splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif section in ("build", "run", "test") and not line.startswith("#"):
            wanted += [names.split("|")[0] for names in line.split()]
    return wanted


def file_system(path, folder, size):
    with open(path, "wb") as f:
        f.truncate(size << 30)
    sh("mkfs.ext4", "-q", "-d", folder, path)


def make_image(folder):
    """Into `folder`: vda (the root), vmlinuz, initrd, and the key to come in by."""
    root = folder / "root"
    mirror, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    sh("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(SYSTEM.split() + packages())}", "bookworm", root,
       *(f"deb {mirror} {suite}" for suite in SUITES), f"deb {security} bookworm-security main")
    for path, text in FILES.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
    for unit in MASKED:
        unit = unit if "." in unit else f"{unit}.service"
        (root / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "davit-test", "-f", folder / "key")
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(folder / "key.pub", root / "root/.ssh/authorized_keys")
    (root / "var/lib/davit").mkdir(exist_ok=True)
    for name, stem in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        shutil.copy(next((root / "boot").glob(stem)), folder / name)
    file_system(folder / "vda", root, GIGABYTES["vda"])
    sh("rm", "-rf", "--one-file-system", root)


def image():
    """The folder of the image for this list of packages, made if there is none yet."""
    recipe = repr((SYSTEM, sorted(packages()), MASKED, FILES, SUITES, GIGABYTES))
    folder = CACHE / f"machine-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    print("making the machine's disk from Debian's packages", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix="machine.new.", dir=CACHE))
    try:
        make_image(new)
        for old in CACHE.glob("machine-*"):
            shutil.rmtree(old)
        new.rename(folder)
    finally:
        sh("rm", "-rf", "--one-file-system", new)
    return folder


def accelerators():
    """What to try, the best first."""
    if wish := os.environ.get("DAVIT_TEST_ACCEL"):
        return [wish]
    return (["kvm"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else []) + ["tcg"]


class Machine:
    ACCELERATORS = {"kvm": ["-accel", "kvm", "-cpu", "host"],
                    "tcg": ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max"]}
    FIRST_WORD = 30  # s until the kernel has said something, where it can be run at all

    def __init__(self):
        self.image, self.dir, self.port = image(), Path(tempfile.mkdtemp(prefix="machine.run.", dir=CACHE)), free_port()
        self.qemu = self.accel = None
        sh("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.image / "vda", "-F", "raw", self.dir / "vda")
        try:
            self._make_state()
            self._first_start()
        except BaseException:
            self.close()
            raise

    def _first_start(self):
        for accel in accelerators():
            self.accel = accel
            if self._starts():
                return self._wait_for_ssh()
            self.power_off()
        raise AssertionError(f"Debian's kernel can't be run here: {self.console()}")

    def _make_state(self):
        """/var/lib/davit: a file system of its own, with the stacks the tests of this machine have made already."""
        with _cache_lock():
            state = self.dir / "state"
            state.mkdir()
            if (CACHE / "images").exists():
                sh("cp", "-al", CACHE / "images", state / "images")
            file_system(self.dir / "state.ext4", state, GIGABYTES["vdb"])
            sh("rm", "-rf", "--one-file-system", state)
        sh("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.dir / "state.ext4", "-F", "raw", self.dir / "vdb")

    # -- power --------------------------------------------------------------------------------------

    def power_on(self, *more):
        drive = [a for name in GIGABYTES for a in ("-drive", f"file={self.dir}/{name},if=virtio,format=qcow2")]
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35", *self.ACCELERATORS[self.accel], "-smp", "2", "-m", "4096",
             "-display", "none", "-nodefaults", "-serial", f"file:{self.dir}/console", "-kernel", self.image / "vmlinuz",
             "-initrd", self.image / "initrd", "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=10", *drive,
             "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=n",
             "-device", "virtio-rng-pci", "-monitor", f"unix:{self.dir}/monitor,server=on,wait=off", *more],
            stdin=subprocess.DEVNULL, stdout=open(self.dir / "qemu", "a"), stderr=subprocess.STDOUT)

    def power_off(self):
        """As if the plug were pulled."""
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
            self.qemu = None

    def _starts(self):
        """Whether this accelerator can run the kernel: it says something, soon."""
        self.power_on()
        deadline = time.monotonic() + self.FIRST_WORD
        while self.qemu.poll() is None and time.monotonic() < deadline:
            if "Linux version" in self.console():
                return True
            time.sleep(0.1)  # a console is a file that grows
        print(f"{self.accel} can't run Debian's kernel here", flush=True)
        return False

    def restart(self):
        """Power off and on again."""
        self.power_off()
        self.power_on()
        self._wait_for_ssh()

    def save(self):
        """All of it, memory and disks, to be there again after load()."""
        assert not (said := self._monitor("savevm saved")), said

    def load(self):
        """As it was when it was saved, whatever it does now."""
        if self.qemu and self.qemu.poll() is None:
            assert not (said := self._monitor("loadvm saved")), said
        else:
            self.power_on("-loadvm", "saved")
        self._wait_for_ssh()

    def _monitor(self, command):
        """What QEMU answers."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(300)
            s.connect(str(self.dir / "monitor"))
            s.sendall(f"{command}\n".encode())
            said = b""
            while said.count(b"(qemu) ") < 2:  # before the command, which is echoed, and behind the answer
                assert (more := s.recv(4096)), f"QEMU ended: {said}"
                said += more
        return said.split(b"(qemu) ")[1].decode(errors="replace").partition("\n")[2].strip()

    def reboot(self):
        """As its administrator does it."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.run("systemctl reboot", ok=False)
        deadline = time.monotonic() + 600
        while (now := self.run("cat /proc/sys/kernel/random/boot_id", ok=False, timeout=10)) in ("", before):
            assert time.monotonic() < deadline, f"no new boot: {now!r}\n{self.console()[-2000:]}"
            time.sleep(1)  # between tries to reach it
        self._wait_for_ssh()

    def _wait_for_ssh(self):
        deadline = time.monotonic() + 1800  # where others are at work, too, QEMU gets little of the CPUs
        while not self.run("systemctl is-system-running --wait", ok=False, timeout=300):
            assert self.qemu.poll() is None and time.monotonic() < deadline, f"it doesn't come up: {self.console()[-2000:]}"
            time.sleep(1)  # between tries to reach it

    def close(self):
        self.power_off()
        sh("rm", "-rf", "--one-file-system", self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- talking ------------------------------------------------------------------------------------

    def console(self):
        with contextlib.suppress(OSError):
            return (self.dir / "console").read_text(errors="replace")
        return ""

    def ssh(self, command):
        return ["ssh", "-q", "-i", self.image / "key", "-p", str(self.port), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=20",
                "root@127.0.0.1", command]

    def run(self, command, ok=True, timeout=900):
        """stdout and stderr of a shell's command there, stripped; with ok=False also if it fails, "" if it can't be reached."""
        try:
            done = subprocess.run(self.ssh(f"cd /; {command}"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout)
        except subprocess.TimeoutExpired:
            assert not ok, f"{command}: not done after {timeout} s"
            return ""
        assert not ok or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout.strip()

    def wait(self, command, seconds=300):
        """Until the command succeeds there."""
        deadline = time.monotonic() + seconds
        while not (said := self.run(f"{{ {command}; }} && echo yes", ok=False, timeout=60)).endswith("yes"):
            assert time.monotonic() < deadline, f"{command}: not within {seconds} s: {said}"
            time.sleep(0.5)  # between tries: the command is anything

    def copy_project(self):
        """This checkout and what was built from it, to the same places: the same Debian, so nothing is compiled again."""
        with subprocess.Popen(["tar", "-C", "/", "-cf", "-", "--exclude=.git", "--exclude=build-*", str(REPO)[1:],
                               *([str(BUILD)[1:]] if REPO not in BUILD.parents else [])], stdout=subprocess.PIPE) as tar:
            sh(*self.ssh("tar -C / -xf -"), stdin=tar.stdout)
        assert tar.returncode == 0

    def make(self, target):
        return self.run(f"cd {shlex.quote(str(REPO))} && make BUILD={shlex.quote(str(BUILD))} {target}")

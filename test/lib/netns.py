"""Machines for tests of the network: network namespaces, joined by cables. What this thread does inside
`with namespace:`, and whatever it starts there, has the namespace's interfaces, routes and firewall, and mounts of
its own: nobody else sees what it mounts."""
import ctypes
import os
import random
import subprocess

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def run(*argv, **how):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True, **how).stdout


class Namespace:
    def __init__(self, name):
        self.name = f"dvt-{name}-{random.randrange(1 << 24):06x}"
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self):
        self._home = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt")]
        self._enter(os.open(f"/run/netns/{self.name}", os.O_RDONLY), CLONE_NEWNET)
        check(libc.unshare(CLONE_NEWNS))
        run("mount", "--make-rprivate", "/")
        return self

    def __exit__(self, *_):
        for fd, kind in zip(self._home, (CLONE_NEWNET, CLONE_NEWNS)):
            self._enter(fd, kind)

    @staticmethod
    def _enter(fd, kind):
        check(libc.setns(fd, kind))
        os.close(fd)

    def run(self, *argv, **how):
        return run("ip", "netns", "exec", self.name, *argv, **how)

    def start(self, *argv, **how):
        return subprocess.Popen(["ip", "netns", "exec", self.name, *argv], **how)

    def cable(self, interface, address, other, others_interface, others_address):
        """A veth pair between this namespace and the other, both ends up."""
        run("ip", "link", "add", interface, "netns", self.name, "type", "veth", "peer", "name", others_interface,
            "netns", other.name)
        for ns, link, with_prefix in ((self, interface, address), (other, others_interface, others_address)):
            if with_prefix:
                ns.run("ip", "addr", "add", with_prefix, "dev", link)
            ns.run("ip", "link", "set", link, "up")

    def close(self):
        run("ip", "netns", "delete", self.name)

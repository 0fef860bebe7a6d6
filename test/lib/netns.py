"""Machines for tests of the network: network namespaces, joined by cables. What this thread does inside
`with namespace:`, and whatever it starts there, has the namespace's interfaces, routes and firewall."""
import ctypes
import os
import random
import subprocess

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def run(*argv, **how):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True, **how).stdout


class Namespace:
    def __init__(self, name):
        self.name = f"dvt-{name}-{random.randrange(1 << 24):06x}"
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self):
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._enter(os.open(f"/run/netns/{self.name}", os.O_RDONLY))
        return self

    def __exit__(self, *_):
        self._enter(self._home)

    @staticmethod
    def _enter(fd):
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
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

"""The instances' network on a machine of its own: a network namespace, with another one for the world outside."""
import contextlib
import ipaddress
import json
import re
import subprocess
import threading
from pathlib import Path

import pytest

import apps
from davit import Davit, wait_for
from netns import Namespace, run

SERVER = """
import socket
s = socket.create_server(("0.0.0.0", 80))
print("up", flush=True)
while True:
    c, peer = s.accept()
    c.sendall(peer[0].encode())
    c.close()
"""
ASK = ["/usr/bin/python3", "-c", "import socket, sys; s = socket.create_connection((sys.argv[1], 80), float(sys.argv[2]));"
       "print(s.recv(100).decode())"]
METADATA = "169.254.169.254"


@contextlib.contextmanager
def server(namespace):
    """One on port 80 that tells who asks."""
    with namespace.start("/usr/bin/python3", "-c", SERVER, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"up\n"
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def outside(machine, name, interface, address, theirs):
    """A namespace at the other end of a cable, with a server."""
    there = Namespace(name)
    machine.cable(interface, address, there, "eth0", f"{theirs}/24")
    with server(there):
        yield there
    there.close()


RESOLVED = Path("/run/systemd/resolve/resolv.conf")


@pytest.fixture(scope="module")
def stocked():
    """What is built with is in the harness's cache before there is no way to Debian any more."""
    with Davit() as d:
        folder = d.checkout({"Dockerfile": "FROM davit/run\nCMD sleep 1000\n", "Procfile": "worker: sleep 1000\n"})
        d.create_app("stock", folder)
        d.push(folder)


@pytest.fixture(scope="module")
def machine(stocked, resolvers):
    ns = Namespace("machine")
    with ns:
        run("mount", "--bind", resolvers, RESOLVED if RESOLVED.exists() else "/etc/resolv.conf")
        yield ns
    ns.close()


@pytest.fixture(scope="module")
def resolvers(tmp_path_factory):
    """The machine's resolv.conf, to be written to in place."""
    file = tmp_path_factory.mktemp("etc") / "resolv.conf"
    file.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.53\n")
    return file


@pytest.fixture(scope="module")
def world(machine):
    with outside(machine, "world", "up0", "203.0.113.1/24", "203.0.113.2") as there:
        there.run("ip", "addr", "add", f"{METADATA}/32", "dev", "lo")
        machine.run("ip", "route", "add", METADATA, "via", "203.0.113.2")
        yield there


@pytest.fixture(scope="module")
def davit(machine, world):
    with Davit() as d:
        folder = d.checkout(apps.web("one"), "inside")
        d.create_app("inside", folder)
        d.push(folder)
        yield d


@pytest.fixture
def firewall(machine):
    """Chains as Docker makes them at its start; gone after the test."""
    def docker(*then):
        machine.run("iptables-restore", "--noflush", input="\n".join([
            "*filter", ":FORWARD DROP", ":DOCKER-USER -", "-I FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN", *then,
            "COMMIT", ""]))
    yield docker
    machine.run("nft", "flush", "ruleset")


def ask(davit, address, seconds=2):
    """What the server at `address` says the first instance's address is; None if it can't be reached."""
    (pid,) = davit.instance_pids("inside")
    asked = subprocess.run(["nsenter", "-t", str(pid), "-n", *ASK, address, str(seconds)], capture_output=True, text=True)
    return asked.stdout.strip() or None


def reaches(davit):
    return ask(davit, "203.0.113.2", 0.5) == "203.0.113.1"


def doctor(davit):
    return {i["check"]: i for i in json.loads(davit.cli("doctor", "--json", ok=False).stdout)["items"]}


def test_instances_go_out_with_the_hosts_address(davit):
    assert ask(davit, "203.0.113.2") == "203.0.113.1", "masqueraded"


def test_metadata_and_the_host_stay_closed(davit, machine, firewall):
    gateway = str(davit.network[1])
    with server(machine):
        for beside_docker in (False, True):
            if beside_docker:
                firewall()
                wait_for(lambda: reaches(davit), "the way out beside Docker")
            for address in (METADATA, gateway, "203.0.113.1"):
                assert subprocess.run([*ASK, address, "5"], capture_output=True).stdout.strip(), "the host itself reaches it"
                assert ask(davit, address, 1) is None, address


def test_the_way_out_is_there_beside_docker(davit, firewall, machine):
    firewall()
    wait_for(lambda: reaches(davit), "the way out beside Docker")
    assert ask(davit, METADATA) is None
    machine.run("iptables", "-F", "FORWARD")
    machine.run("iptables", "-F", "DOCKER-USER")
    firewall()
    wait_for(lambda: reaches(davit), "the way out after a restart of Docker")
    assert doctor(davit)["way out"]["state"] == "ok"


def test_dockers_own_networks_stay_dockers(davit, firewall, machine):
    with outside(machine, "docker", "docker0", "172.31.7.1/24", "172.31.7.2"):
        firewall()
        wait_for(lambda: reaches(davit), "the way out")
        assert ask(davit, "172.31.7.2") is None
        machine.run("iptables", "-A", "FORWARD", "-o", "docker0", "-j", "ACCEPT")
        assert ask(davit, "172.31.7.2") == "172.31.7.1", "if Docker lets it in"


def test_rules_that_were_flushed_come_back(davit, machine):
    machine.run("nft", "flush", "ruleset")
    wait_for(lambda: reaches(davit), "the way out")
    assert ask(davit, METADATA) is None
    wait_for(lambda: "somebody removed nft table" in (davit.log / "davitd.log").read_text(), "a word about it")


# What a process could try in order to look like another one on the network; says what it got away with. For 192.0.2.7
# read: the address of somebody else on the bridge.
SPOOF = r"""
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *what, int failed) { printf("SPOOF %s %s\n", what, failed ? strerror(errno) : "worked"); }

static int send_from(int option, int level)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(VICTIM)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = inet_addr("203.0.113.2")};
    if (setsockopt(s, level, option, &on, sizeof(on)) || bind(s, (void *)&me, sizeof(me)))
        return -1;
    return sendto(s, "x", 1, 0, (void *)&to, sizeof(to)) < 0 ? -1 : 0;
}

int main(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {.ifr_name = "eth0"};
    struct arpreq a = {.arp_pa.sa_family = AF_INET, .arp_ha.sa_family = ARPHRD_ETHER, .arp_flags = ATF_COM | ATF_PERM, .arp_dev = "eth0"};
    say("packet", socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP)) < 0);
    say("raw", socket(AF_INET, SOCK_RAW, IPPROTO_RAW) < 0);
    say("freebind", send_from(IP_FREEBIND, IPPROTO_IP));
    say("transparent", send_from(IP_TRANSPARENT, IPPROTO_IP));
    ((struct sockaddr_in *)&r.ifr_addr)->sin_family = AF_INET;
    ((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr = inet_addr(VICTIM);
    say("address", ioctl(s, SIOCSIFADDR, &r));
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    say("mac", ioctl(s, SIOCSIFHWADDR, &r));
    ((struct sockaddr_in *)&a.arp_pa)->sin_addr.s_addr = inet_addr(VICTIM);
    say("neighbour", ioctl(s, SIOCSARP, &a));
    fflush(stdout);
    return 0;
}
"""


@pytest.mark.parametrize("user", ["app", "root"])
def test_no_instance_can_pretend_to_be_another(davit, tmp_path, user):
    victim = davit.instances("inside")[0]["ip"]
    web = apps.web("one")
    make = web["Makefile"].replace("all: web.c\n", f"all: web.c\n\tcc -DVICTIM='\"{victim}\"' -o spoof spoof.c\n")
    command = "web: id -un; ./spoof; exec ./web\n"
    files = {**web, "spoof.c": SPOOF, "Makefile": make, "Procfile": command}
    if user == "root":
        (checkout := tmp_path / "built").mkdir()
        davit.write(checkout, {**files, "Makefile": make.replace("\tcc ", "\tcc -static ")})
        run("make", "-C", checkout)
        files = {name: (checkout / name).read_bytes() for name in ("spoof", "web", "version.txt")}
        files |= {"Dockerfile": "FROM davit/run\nWORKDIR /src\nCOPY --chmod=755 . .\nUSER root\n", "Procfile": command}
    folder = davit.checkout(files, "liar")
    davit.create_app(f"liar-{user}", folder)
    davit.push(folder)
    said = wait_for(lambda: "listening" in (log := davit.cli("logs", "-a", f"liar-{user}")) and log, "its log")
    assert f"app[web.1]: {user}\n" in said
    tried = dict(re.findall(r"SPOOF (\w+) (.*)", said))
    assert len(tried) == 7 and "worked" not in tried.values(), tried


def test_new_resolvers_reach_new_instances(davit, resolvers):
    def asked(pid):
        return Path(f"/proc/{pid}/root/etc/resolv.conf").read_text()

    (pid,) = davit.instance_pids("inside")
    assert asked(pid) == "nameserver 192.0.2.53\n", "the one on loopback is out of reach"
    resolvers.write_text("nameserver 192.0.2.99\n")
    davit.cli("restart", "-a", "inside")
    pid = wait_for(lambda: (pids := davit.instance_pids("inside")) and pids[0] != pid and len(pids) == 1 and pids[0], "a new one")
    assert asked(pid) == "nameserver 192.0.2.99\n"


def test_doctor_names_a_firewall_that_is_left_alone(davit, firewall, machine):
    machine.run("nft", "-f", "-", input="table inet mine { chain to { type filter hook forward priority 10; policy drop; }; }")
    found = doctor(davit)["way out"]
    assert found["state"] == "warning" and "table inet mine, chain to" in found["found"]
    assert not reaches(davit), "it says so because it is so"
    machine.run("nft", "add", "rule", "inet", "mine", "to", "iifname", davit.bridge_name(), "accept")
    machine.run("nft", "add", "rule", "inet", "mine", "to", "oifname", davit.bridge_name(), "accept")
    wait_for(lambda: reaches(davit), "the way out")
    assert doctor(davit)["way out"]["state"] == "ok"


def network_of(davit):
    """What its bridge has, which may be another than it was configured with."""
    def addresses():
        links = json.loads(run("ip", "-4", "-j", "addr"))
        return [a for i in links if i.get("ifname") == davit.bridge_name() for a in i["addr_info"]]

    (address,) = wait_for(addresses, "its bridge")
    davit.network = ipaddress.ip_network(f"{address['local']}/{address['prefixlen']}", strict=False)
    return str(davit.network)


def test_two_that_start_at_once_with_the_same_network(machine, world):
    two = [Davit(start=False, stacks=False, network="10.66.0.0/16") for _ in range(2)]
    try:
        starts = [threading.Thread(target=d.start) for d in two]
        for s in starts:
            s.start()
        for s in starts:
            s.join()
        assert sorted(map(network_of, two)) == ["10.66.0.0/16", "10.67.0.0/16"]
        two[0].stop()
        two[0].start()
        assert sorted(map(network_of, two)) == ["10.66.0.0/16", "10.67.0.0/16"], "kept over a restart"
    finally:
        for d in two:
            d.close()


def test_a_network_somebody_has_a_route_to_is_not_taken(machine, world):
    run("ip", "route", "add", "10.66.5.0/24", "via", "203.0.113.2")
    run("ip", "route", "add", "blackhole", "10.67.0.0/16")
    run("ip", "route", "add", "10.68.0.0/16", "via", "203.0.113.2", "table", "52")  # as Tailscale does
    with Davit(stacks=False, network="10.66.0.0/16") as d:
        assert network_of(d) == "10.69.0.0/16"
        wait_for(lambda: "10.66.0.0/16 is in use" in (d.log / "davitd.log").read_text(), "a word about it")


def test_teardown_takes_back_what_it_put_into_dockers_chains(machine, world):
    machine.run("iptables", "-P", "FORWARD", "DROP")
    with Davit(stacks=False) as d:
        wait_for(lambda: f"-i {d.bridge_name()} -j DAVIT-" in machine.run("iptables", "-S"), "the way out")
        machine.run("iptables", "-F", "FORWARD")
        d.stop()  # nobody puts it back
    assert d.bridge_name() not in machine.run("iptables", "-S")
    machine.run("nft", "flush", "ruleset")

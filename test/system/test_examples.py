"""The examples, deployed as they are. Those with dependencies ask npm, PyPI and the Go module proxy."""
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def deploy(davit, name):
    folder = davit.checkout({}, name)
    subprocess.run(["cp", "-a", f"{EXAMPLES / name}/.", folder], check=True)
    davit.commit(folder)
    davit.create_app(name, folder)
    return folder, davit.push(folder)


def needs(host):
    try:
        trust = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
        with socket.create_connection((host, 443), timeout=10) as plain:
            trust.wrap_socket(plain, server_hostname=host).close()
    except OSError as e:
        pytest.skip(f"{host} can't be reached: {e}")


@pytest.mark.parametrize("name, says", [("hello", "Hello from hello, release v1"), ("static", "Hello from a static site"),
                                        ("c", "Hello from C"), ("worker", "Hello from release v1"),
                                        ("websocket", "<title>WebSocket</title>")])
def test_examples_without_dependencies(davit, name, says):
    deploy(davit, name)
    status, body, _ = davit.get(name)
    assert status == 200 and says in body


@pytest.mark.registries
@pytest.mark.parametrize("name, host, says", [("node", "registry.npmjs.org", "Hello from Node.js v18"),
                                              ("python", "pypi.org", "Hello from Python 3"),
                                              ("go", "proxy.golang.org", "Hello from Go go1")])
def test_examples_with_dependencies(davit, name, host, says):
    needs(host)
    folder, _ = deploy(davit, name)
    status, body, _ = davit.get(name)
    assert status == 200 and says in body
    davit.commit(folder, {"unrelated.txt": "a small change"})
    again = davit.push(folder)
    assert "Downloading" not in again and "downloading" not in again
    if name != "go":
        assert "Dependencies unchanged" in again
    assert davit.get(name)[0] == 200


@pytest.mark.registries
def test_newer_node(davit):
    needs("registry.npmjs.org")
    folder = davit.checkout({"package.json": '{"engines": {"node": "20.x"}, "scripts": {"start": "node server.js"}}',
                             "server.js": "require('http').createServer((q, s) => s.end(process.version))"
                                          ".listen(process.env.PORT)"}, "newer")
    davit.create_app("newer", folder)
    assert "Node.js v20." in davit.push(folder)
    assert davit.get("newer")[1].startswith("v20.")

"""A git host, file server and registry of images on loopback: what buildpacks and images are fetched from.

    with Forge(port) as forge:
        forge.repositories = folder     # http://127.0.0.1:PORT/NAME.git
        forge.layout = folder           # docker://127.0.0.1:PORT/any/name:any is the one image of that OCI layout
        forge.redirect = url            # /away/REST leads to url/REST
        forge.realm = url               # where registry clients are sent for a token
        forge.password = "user:secret"  # what the registry wants
    forge.heard                         # the requests' paths
"""
import base64
import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

from davit import Davit, free_port


class Forge:
    def __init__(self, port=0):
        self.repositories = self.layout = self.redirect = self.realm = self.password = None
        self.heard = []
        forge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                forge.heard.append(self.path)
                if forge.redirect and self.path.startswith("/away/"):
                    self.answer(302, {"Location": forge.redirect + self.path[5:]})
                elif self.path.startswith("/v2/"):
                    self.registry()
                elif forge.repositories and ".git/" in self.path:
                    self.git()
                else:
                    self.answer(404)

            do_POST = do_HEAD = do_GET

            def answer(self, status, headers=None, body=b""):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def git(self):
                path, _, query = self.path.partition("?")
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                env = {**os.environ, "GIT_PROJECT_ROOT": str(forge.repositories), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                       "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(sent)),
                       "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": "",
                       "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                       "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
                head, _, body = subprocess.run(["git", "-c", "safe.directory=*", "http-backend"], env=env, input=sent,
                                               stdout=subprocess.PIPE).stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
                self.answer(int(headers.pop("Status", "200").split()[0]), headers, body)

            def registry(self):
                if forge.realm:
                    return self.answer(401, {"WWW-Authenticate": f'Bearer realm="{forge.realm}",service="x"'})
                wanted = forge.password and "Basic " + base64.b64encode(forge.password.encode()).decode()
                if wanted and self.headers.get("Authorization") != wanted:
                    return self.answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
                kind, _, name = self.path.rpartition("/")
                if kind == "/v2":
                    return self.answer(200)
                if not forge.layout:
                    return self.answer(404)
                (entry,) = json.loads((Path(forge.layout) / "index.json").read_text())["manifests"]
                digest = name if name.startswith("sha256:") else entry["digest"]
                body = (Path(forge.layout) / "blobs/sha256" / digest.partition(":")[2]).read_bytes()
                self.answer(200, {"Content-Type": entry["mediaType"] if kind.endswith("/manifests") else "application/octet-stream",
                                  "Docker-Content-Digest": digest}, body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextlib.contextmanager
def davit_with_forge():
    """A Davit whose builds may reach its .forge, and the port of its .forge.silent, a socket that doesn't listen yet."""
    with Forge(free_port()) as forge, socket.socket() as silent:
        silent.bind(("127.0.0.1", free_port()))
        forge.silent = silent
        with Davit(build_services=f"127.0.0.1:{forge.port} 127.0.0.1:{silent.getsockname()[1]}") as d:
            d.forge = forge
            yield d

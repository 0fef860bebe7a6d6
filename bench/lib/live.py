"""Measuring from outside what a user sees: when does the new version answer, and was any request lost?"""
import http.client
import shutil
import statistics
import subprocess
import sys
import threading
import time


class Watcher(threading.Thread):
    """Asks one address over and over on one keep-alive connection and notes when each new body was first seen; only
    while somebody waits for one, so that two of them don't disturb each other."""

    def __init__(self, address, path="/"):
        super().__init__(daemon=True)
        (self.host, self.port, self.name_), self.path = address, path
        self.seen, self.stopping, self.last = {}, False, None
        self.news, self.wanted = threading.Condition(), threading.Event()

    def run(self):
        connection = None
        while not self.stopping:
            if not self.wanted.wait(0.1):
                continue
            try:
                connection = connection or http.client.HTTPConnection(self.host, self.port, timeout=5)
                connection.request("GET", self.path, headers={"Host": self.name_})
                answer = connection.getresponse()
                body = answer.read().decode(errors="replace").strip()
                now = time.perf_counter()
                self.last = (answer.status, body[:200])
                if answer.status == 200 and body not in self.seen:
                    with self.news:
                        self.seen[body] = now
                        self.news.notify_all()
            except (OSError, http.client.HTTPException) as e:
                connection, self.last = None, e
            time.sleep(0.002)

    def wait(self, body, seconds=60):
        with self.news:
            if not self.news.wait_for(lambda: body in self.seen, seconds):
                raise TimeoutError(f"'{body}' was not served at {self.name_}, port {self.port}, within {seconds} s; "
                                   f"last: {self.last}")
        return self.seen[body]

    def close(self):
        self.stopping = True
        self.join()


def bench(main, *programs):
    """Runs a benchmark that needs these programs beside Davit. What goes wrong is said in words and ends it: there is no
    figure without a peer that did its job."""
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        sys.exit(f"error: not installed: {' '.join(missing)}\nhint: tools/install build run test bench")
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as e:
        sys.exit(f"error: {e}\n{e.stdout or ''}{e.stderr or ''}")
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as e:
        sys.exit(f"error: {e}")


def git(folder, *args, env=None):
    return subprocess.run(["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@localhost", *args],
                          check=True, capture_output=True, text=True, env=env)


def push_until_live(folder, remote, watcher, body, env=None):
    """Seconds from the start of `git push` until the body is served, and until the push has ended."""
    watcher.wanted.set()
    begin = time.perf_counter()
    push = subprocess.Popen(["git", "-C", str(folder), "push", "-q", remote, "HEAD:main"], env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out, _ = push.communicate(timeout=120)
    end = time.perf_counter()
    if push.returncode or "hook failed" in out:  # git doesn't mind what becomes of a post-receive hook
        raise RuntimeError(f"git push to {remote} failed:\n{out}")
    live = watcher.wait(body)
    watcher.wanted.clear()
    return live - begin, end - begin


def summary(seconds):
    """p50 and the largest, in milliseconds."""
    return statistics.median(seconds) * 1000, max(seconds) * 1000


def row(what, davit, peer, goal, unit="ms", peer_name="peer"):
    ratio = davit / peer if peer else float("nan")
    print(f"{what:<52} davit {davit:9.2f} {unit:<5} {peer_name} {peer:9.2f} {unit:<5} ratio {ratio:6.3f}  goal {goal}",
          flush=True)

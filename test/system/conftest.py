import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from davit import Davit, stage  # noqa: E402
from gateway import Gateway  # noqa: E402

signal.signal(signal.SIGINT, signal.default_int_handler)  # of a shell's background job it is ignored, and what it starts inherits that


# What begins last shall be short. The first four workers take a file each of the first four, and then of the next four.
LONG = ["test_build_images", "test_bad_input", "test_network", "test_build", "test_gateway_timeouts", "test_languages",
        "test_collection", "test_gateway_swaps", "test_build_walls", "test_push", "test_shim", "test_daemon", "test_disk_full"]


def pytest_configure(config):
    """What is installed once is every worker's."""
    if getattr(config.option, "numprocesses", None):
        os.environ["DAVIT_TEST_STAGE"] = str(stage())


def pytest_collection_modifyitems(items):
    items.sort(key=lambda i: LONG.index(i.path.stem) if i.path.stem in LONG else len(LONG))


def pytest_make_parametrize_id(val):
    """Names of cases stay readable, whatever monsters they are about."""
    return repr(val)[:40] if isinstance(val, (str, bytes)) and len(val) > 40 else None


@pytest.fixture(scope="module")
def davit():
    """One Davit for the tests of a file, each with apps of its own; torn down and checked for leftovers."""
    assert os.getuid() == 0, "the system tests need root"
    with Davit() as d:
        yield d


@pytest.fixture
def new_davit():
    """Makes further Davits, with settings of their own: new_davit(http_port=…)."""
    made = []

    def make(**settings):
        made.append(Davit(**settings))
        return made[-1]

    yield make
    for d in made:
        d.close()


@pytest.fixture(scope="module")
def shared():
    """One gateway for tests that leave it as it was, each with an app of its own."""
    g = Gateway()
    yield g
    g.close()


@pytest.fixture
def gateway():
    g = Gateway()
    yield g
    g.close()

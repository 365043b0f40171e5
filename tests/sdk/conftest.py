"""One server for most tests, and the clients that ask it."""

import anthropic
import httpx2
import openai
import pytest

from serving import Server

KEY = "sk-everything-0123456789"
METRICS_KEY = "sk-metrics-0123456789"
# One request a minute; a test uses up one of them.
LIMITED_KEYS = {name: f"sk-limited-{name}-0123456789" for name in ("openai", "anthropic")}

# Numerics `plain` give the same answers on every processor.
CONFIG = f"""
[model]
numerics = "plain"
context = 8192
[limits]
parallel = 8
max_body = "1MiB"
[aliases]
"gpt-4o" = "minnow"
"claude-sonnet-5" = "minnow"
[[keys]]
name = "everything"
key = "{KEY}"
scopes = ["inference", "metrics"]
[[keys]]
name = "metrics"
key = "{METRICS_KEY}"
scopes = ["metrics"]
""" + "".join(
    f'[[keys]]\nname = "limited-{name}"\nkey = "{key}"\nrequests_per_minute = 1\n'
    for name, key in LIMITED_KEYS.items()
)


FIGURES = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash[FIGURES]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures(pytestconfig):
    """A list of lines that are printed when all tests are over."""
    return pytestconfig.stash[FIGURES]


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server"), CONFIG)
    yield running
    running.close()


@pytest.fixture(scope="package")
def openai_client(server):
    """Without retries, so that every refusal is seen."""
    with openai.OpenAI(base_url=server.url + "/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="package")
def anthropic_client(server):
    with anthropic.Anthropic(base_url=server.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="package")
def http(server):
    """Without a package between the test and the bytes."""
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=120) as client:
        yield client

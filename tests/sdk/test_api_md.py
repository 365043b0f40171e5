"""docs/API.md: every block in it is run, or read, as it is printed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib

import anthropic
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion

import grammar
from serving import PROGRAM, ROOT, Server
from strict import strict

PAGE = (ROOT / "docs" / "API.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
HELLO = [{"role": "user", "content": "Who are you?"}]


def blocks(language, part=""):
    found = [text for kind, text in BLOCKS if kind == language and part in text]
    assert found, f"docs/API.md has no block of {language} with {part!r}"
    return found


CURL = blocks("sh", "curl")
PYTHON = blocks("python")


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """Without keys, and with what the page says about agents."""
    options = re.findall(r"`(--\w[^`]*)`", PAGE[PAGE.index("## Set up an agent"):][:600])
    assert len(options) == 3, options
    arguments = [word.strip("'") for option in options for word in option.split()]
    running = Server(tmp_path_factory.mktemp("agents"), "", *arguments)
    yield running
    running.close()


def here(text, server):
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")


def run(command, text, **more):
    done = subprocess.run([*command, text], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, check=False, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_block_is_known():
    known = CURL + PYTHON + blocks("toml") + blocks("json") + blocks("sh", "export")
    known += blocks("sh", "plumb serve")
    assert sorted(text for _, text in BLOCKS) == sorted(known)


@pytest.mark.parametrize("number", range(len(CURL)))
def test_requests_with_curl(agents, number):
    out = run(["bash", "-ec"], here(CURL[number], agents))
    if out.startswith("event: "):
        assert grammar.check_messages(out.encode()).text
    else:
        assert strict(ChatCompletion, out).choices[0].message.content


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_programs_in_python(agents, number):
    assert run([sys.executable, "-c"], here(PYTHON[number], agents)).strip()


def test_the_variables_of_claude_code_reach_the_server(agents):
    block, = blocks("sh", "ANTHROPIC_")
    ask = ("import anthropic, os; print(anthropic.Anthropic().messages.create("
           "model=os.environ['ANTHROPIC_MODEL'], max_tokens=8, messages="
           "[{'role': 'user', 'content': 'Who are you?'}]).content[0].text)")
    environment = os.environ | {"ANTHROPIC_API_KEY": "sk-preferred"}
    script = here(block, agents) + f'\n"{sys.executable}" -c "{ask}"'
    assert run(["bash", "-ec"], script, env=environment).strip()
    with anthropic.Anthropic(base_url=agents.url, api_key="none") as client:
        client.messages.create(model="claude-sonnet-5", max_tokens=8, messages=HELLO)


def test_codexs_configuration(agents):
    config = tomllib.loads(here(blocks("toml")[0], agents))
    provider = config["model_providers"][config["model_provider"]]
    assert provider["wire_api"] == "responses"
    with openai.OpenAI(base_url=provider["base_url"], api_key="none") as client:
        assert client.responses.create(model=config["model"], input="Who are you?").output_text


def test_opencodes_configuration(agents):
    provider = json.loads(here(blocks("json")[0], agents))["provider"]["plumb"]
    model, = provider["models"]
    with openai.OpenAI(base_url=provider["options"]["baseURL"], api_key="none") as client:
        assert client.chat.completions.create(model=model, messages=HELLO, max_tokens=8).choices


def test_every_address_in_the_page_is_a_base_that_lists_models(agents):
    bases = set(re.findall(r"http://127\.0\.0\.1:8080(?:/v1)?(?=[\s`\"]|$)", PAGE, re.M))
    assert len(bases) == 2
    for base in bases:
        assert httpx2.get(here(base, agents) + "/models").status_code == 200


def start(command, directory):
    """The process of a `plumb serve`, when it serves."""
    words = command.split()
    words[0] = PROGRAM
    words = ["0" if word == "8080" else word for word in words]
    if "--port" not in words:
        words += ["--port", "0"]
    err = directory / "err"
    with open(err, "wb") as file:
        process = subprocess.Popen(words, stderr=file, cwd=directory)
    for _ in range(2400):
        found = re.search(r"^Serving .*127\.0\.0\.1:(\d+)", err.read_text(), re.M)
        if found or process.poll() is not None:
            break
        time.sleep(0.05)
    assert found, err.read_text()
    return process, int(found[1])


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_the_first_command_serves(tmp_path):
    process, port = start(blocks("sh", "build/plumb serve")[0], tmp_path)
    assert httpx2.get(f"http://127.0.0.1:{port}/ready").status_code == 200
    stop(process)


def test_an_answer_is_proved_as_the_page_says(tmp_path):
    serve, replay = blocks("sh", "plumb replay")[0].splitlines()
    process, port = start(serve, tmp_path)
    request_id = re.search(r"req_\w+", replay)[0]
    answer = httpx2.post(f"http://127.0.0.1:{port}/v1/chat/completions", timeout=60,
                         headers={"x-request-id": request_id}, json={"messages": HELLO})
    stop(process)
    again = run(["bash", "-ec"], replay.replace("plumb", f'"{PROGRAM}"', 1), cwd=tmp_path)
    assert again == answer.text

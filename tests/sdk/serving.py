"""`plumb serve` as a process of its own, on a free port."""

import os
import pathlib
import re
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("PLUMB_PROGRAM", str(ROOT / "build" / "plumb"))
START_S = 120  # on a machine that is busy with other things


def eventually(holds, seconds: float = 30) -> None:
    """For what the server does behind its answers: logs, records, noticing that a client has gone."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "This did not come true in time."
        time.sleep(0.02)


class Server:
    """Running when constructed. close() stops it and wants every request to have been answered."""

    def __init__(self, directory: pathlib.Path, config: str = "", *arguments: str):
        self.records = directory / "records"
        self.log = directory / "requests.log"
        path = directory / "plumb.toml"
        path.write_text(config)
        self._err = directory / "err"
        command = [PROGRAM, "serve", "--config", str(path), "--port", "0", *arguments]
        command += ["--record", str(self.records), "--log", str(self.log)]
        with open(self._err, "wb") as err:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=err)
        self.port = self._wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def _wait_for_port(self) -> int:
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            found = re.search(r"^Serving .* on http://127\.0\.0\.1:(\d+) ", self.err(), re.M)
            if found:
                return int(found[1])
            time.sleep(0.05)
        self._process.kill()
        raise RuntimeError(f"The server did not begin to serve:\n{self.err()}")

    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(60)
        assert status == 0, self.err()
        assert "Every request was answered." in self.err(), self.err()

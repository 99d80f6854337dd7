"""
Start and stop servers in one container, and tell what has gathered meanwhile.

Runs in it, by ``python cycles.py NUMBER SERVER...``; prints a JSON object. One
container, and not one for each start: its processes, its sockets and its /dev/shm
stay, so that what is left behind adds up.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ENTRYPOINT = "/opt/prodserver/bin/prodserver-entrypoint"
FOLDERS = ("/run/prodserver", "/dev/shm", "/tmp", "/app")
#: A second is usual; this is a machine that does more than one thing.
PATIENCE = 120


def cycle(name: str) -> float:
    """Start it, ask it, stop it; return the seconds."""
    began = time.monotonic()
    env = {**os.environ, "PROCESS_NAME": name}
    server = subprocess.Popen([ENTRYPOINT], env=env, stdout=2)
    while subprocess.run(["prodserver-probe", name], stdout=2).returncode:
        assert server.poll() is None, f"{name} exited with {server.returncode}"
        assert time.monotonic() - began < PATIENCE, f"{name} is not ready"
    with urllib.request.urlopen("http://127.0.0.1:8000/about") as response:
        assert response.status == 200
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE) in (0, -signal.SIGTERM), server.returncode
    return time.monotonic() - began


def seen() -> dict[str, object]:
    """Return what there is of files, sockets and processes."""
    proc = Path("/proc")
    # What is of this container only, and in use: "tw" and "alloc" are not.
    counts = [
        " ".join(line.split()[:3])
        for line in (proc / "net/sockstat").read_text().splitlines()
    ]
    return {
        "files": sorted(
            str(path)
            for folder in FOLDERS
            for path in Path(folder).rglob("*")
            if "__pycache__" not in path.parts
        ),
        # Zombies are among them.
        "processes": sorted(path.name for path in proc.glob("[0-9]*")),
        "sockets": counts,
        "unix": len((proc / "net/unix").read_text().splitlines()) - 1,
        "descriptors": len(list((proc / "self/fd").iterdir())),
    }


def main(cycles: int, *names: str) -> None:
    for name in names:  # what is there from the first time on is no leak
        cycle(name)
    before = seen()
    took = [cycle(names[number % len(names)]) for number in range(cycles)]
    deadline = time.monotonic() + 10
    while (after := seen()) != before and time.monotonic() < deadline:
        time.sleep(0.1)  # the kernel closes what was open
    print(json.dumps({"seconds": took, "before": before, "after": after}))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])

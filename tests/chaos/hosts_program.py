"""Makes a network and shows what comes through; for `test_hosts.py`, which starts it alone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from hosts import Host, Network

_PORT = 5000

_ECHO = """
import socket
with socket.create_server(("0.0.0.0", 5000)) as server:
    print("ready", flush=True)
    connections = []
    while True:
        connections.append(server.accept()[0])
        connections[-1].sendall(connections[-1].recv(100))
"""

_ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], 5000), timeout=float(sys.argv[2])) as connection:
    connection.sendall(b"x")
    sys.exit(0 if connection.recv(1) == b"x" else 2)
"""


def echo(host: Host) -> None:
    """Let a host answer."""
    server = subprocess.Popen(
        [*host.enter, sys.executable, "-c", _ECHO], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"


def reaches(sender: Host, receiver: Host, patience_s: float) -> bool:
    """Return whether one host gets an answer from another."""
    command = [*sender.enter, sys.executable, "-c", _ASK, receiver.address, str(patience_s)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def show_ways() -> None:
    """Print what reaches whom, whole, cut in one direction, and mended."""
    network = Network()
    hosts = {"here": network.here, "one": network.add("one"), "two": network.add("two")}
    for host in hosts.values():
        echo(host)

    def show(situation: str, patience_s: float) -> None:
        ways = [
            f"{sender}-{receiver}"
            for sender in hosts
            for receiver in hosts
            if sender != receiver and reaches(hosts[sender], hosts[receiver], patience_s)
        ]
        print(situation, *ways)  # noqa: T201 -- what the test reads

    show("whole", 20.0)
    network.cut(hosts["one"], hosts["two"])
    show("cut", 0.5)
    network.mend(hosts["one"], hosts["two"])
    show("mended", 20.0)


def show_that_a_cut_is_silent() -> None:
    """Print what a connection shows that is cut after it was opened, and then mended."""
    network = Network()
    far = network.add("far")
    echo(far)
    with socket.create_connection((far.address, _PORT), timeout=0.5) as connection:
        network.cut(far, network.here)
        connection.sendall(b"x")
        try:
            connection.recv(1)
        except TimeoutError:
            print("silence")  # noqa: T201
        network.mend(far, network.here)
        connection.settimeout(20.0)
        print(connection.recv(1).decode())  # noqa: T201


def show_what_is_left(note: str) -> None:
    """Start a process that would live for long on a host of its own, and end without it."""
    far = Network().add("far")
    # Holds the lock, which nobody takes from it while it lives.
    subprocess.Popen([*far.enter, "flock", note, "sleep", "600"], start_new_session=True)
    while subprocess.run(["flock", "--nonblock", note, "true"], check=False).returncode == 0:
        pass
    Path(f"{note}.hosts").write_text(" ".join(os.listdir("/run/netns")))  # noqa: PTH208
    os._exit(0)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ways"]:
            show_ways()
        case ["silence"]:
            show_that_a_cut_is_silent()
        case ["left", note]:
            show_what_is_left(note)
        case unknown:
            sys.exit(f"nothing shows {unknown}")

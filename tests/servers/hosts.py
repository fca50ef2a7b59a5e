"""Several hosts on one machine, each a network namespace, with ways between them that can be cut.

Whoever wants a network starts a program of its own with `alone`: nothing in it is seen outside, and
the kernel ends its processes and removes its hosts when the program ends, however it ends. In
there `Network` makes hosts on one bridge, to which the program itself is connected as well.

A way is cut by a lie: the sender believes the receiver to have a hardware address that nobody has.
Packets vanish as they do in a broken network, with no error anywhere; connections stay open.
"""

import os
import socket
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

HOSTS_MAX = 200

START_PATIENCE_S = 10.0

_PREFIX = "10.77.0"
_NOBODY = "02:00:00:00:00:ff"


class Host(NamedTuple):
    """Where a program can run."""

    address: str
    """The IP address of the host."""
    enter: tuple[str, ...] = ()
    """What to write before a command, so that it runs there."""


LOOPBACK = Host("127.0.0.1")
"""Where this program runs, on a machine with no network at all."""


def alone(command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` where it can make a `Network`.

    It sees no process from outside; those that it leaves behind are killed when it ends, and it is
    killed when what this returns is.
    """
    # To others than root the kernel allows this as root of a world of their own, if at all.
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    spaces = ["--net", "--mount-proc", "--pid", "--fork", "--kill-child=KILL"]
    return ["unshare", *as_root, *spaces, *command]


def why_not() -> str | None:
    """Return why networks cannot be made here, or None if they can."""
    try:
        # All that `Network` needs: a place for names, a bridge, another namespace.
        attempt = "mount -t tmpfs none /run && ip link add try type bridge && ip netns add try"
        subprocess.run(
            alone(["sh", "-c", attempt]), check=True, capture_output=True, timeout=START_PATIENCE_S
        )
    except FileNotFoundError as error:
        return f"there is no program {error.filename}, which Debian has in util-linux"
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        return f"network namespaces cannot be made: {told or error}"
    return None


class Network:
    """Hosts on one bridge. Only for a program that `alone` has started."""

    def __init__(self) -> None:
        """Make a network of one host, `here`."""
        if any(name != "lo" for _, name in socket.if_nameindex()):
            raise AssertionError("this is a real network: start the program with `alone`")
        # Names of namespaces are files below /run: here they are seen by nobody else.
        _run("mount", "-t", "tmpfs", "none", "/run")
        self._interfaces: dict[Host, tuple[list[str], str]] = {}
        self.here = Host(f"{_PREFIX}.1")
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "bridge", "type", "bridge")
        _run("ip", "link", "set", "bridge", "address", _hardware(self.here))
        _run("ip", "address", "add", f"{self.here.address}/24", "dev", "bridge")
        _run("ip", "link", "set", "bridge", "up")
        self._introduce(self.here, ["ip"], "bridge")

    def add(self, name: str) -> Host:
        """Make a host that is connected to all others; `name` has up to 15 characters."""
        number = len(self._interfaces) + 1
        assert number <= HOSTS_MAX
        host = Host(f"{_PREFIX}.{number}", ("nsenter", f"--net=/run/netns/{name}"))
        ip = ["ip", "-n", name]
        _run("ip", "netns", "add", name)
        peer = ["peer", "name", "wire", "address", _hardware(host), "netns", name]
        _run("ip", "link", "add", name, "type", "veth", *peer)
        _run("ip", "link", "set", name, "master", "bridge", "up")
        _run(*ip, "link", "set", "lo", "up")
        _run(*ip, "address", "add", f"{host.address}/24", "dev", "wire")
        _run(*ip, "link", "set", "wire", "up")
        self._introduce(host, ip, "wire")
        return host

    def cut(self, sender: Host, receiver: Host) -> None:
        """Lose what `sender` sends to `receiver` from now on; the way back is another."""
        self._tell(sender, receiver, _NOBODY)

    def mend(self, sender: Host, receiver: Host) -> None:
        """Lose no more of what `sender` sends to `receiver`."""
        self._tell(sender, receiver, _hardware(receiver))

    def _introduce(self, host: Host, ip: list[str], interface: str) -> None:
        """Let a new host and all others know each other's hardware address."""
        self._interfaces[host] = ip, interface
        for other in self._interfaces:
            if other != host:
                self.mend(host, other)
                self.mend(other, host)

    def _tell(self, sender: Host, receiver: Host, hardware: str) -> None:
        ip, interface = self._interfaces[sender]
        neighbour = [receiver.address, "lladdr", hardware, "dev", interface, "nud", "permanent"]
        _run(*ip, "neighbour", "replace", *neighbour)


def _hardware(host: Host) -> str:
    """Return the hardware address of a host; the bridge must be told, or it takes another's."""
    return f"02:00:00:00:00:{int(host.address.rpartition('.')[2]):02x}"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")

"""The addresses on which a broker listens, and what clients are told that ask there."""

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

from tidings.errors import InvalidRequest
from tidings.kafka.known_brokers import Address, Listener
from tidings.kafka.settings import BrokerSettings, ListenerSettings

BACKLOG = 1024
"""Connections that the system accepts before the broker has seen them."""


NAMED = "--listen"
"""The option that says both, host and port."""


class Listening(NamedTuple):
    """A listener that has its address."""

    settings: ListenerSettings
    socket: socket.socket

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(*self.socket.getsockname()[:2])

    @property
    def told(self) -> Listener:
        """What others tell clients of it."""
        return self.settings.reached_at(self.address)


def listen(host: str, port: int) -> socket.socket:
    """Take an address; port 0 takes any that is free.

    Raises:
        OSError: It is taken, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def listen_as_told(settings: BrokerSettings) -> Sequence[Listening]:
    """Take the addresses of all listeners; the first is the one without a name.

    Raises:
        InvalidRequest: One cannot be taken; the text says what to do.
    """
    with ExitStack() as stack:
        found = []
        for each in settings.every_listener:
            option = NAMED if each.name else "--port"
            taken = stack.enter_context(listen_or_advise(each.host, each.port, option))
            port = int(taken.getsockname()[1])
            found.append(Listening(replace(each, port=port), taken))
        stack.pop_all()
        return found


def listen_or_advise(host: str, port: int, option: str) -> socket.socket:
    """Take an address; `option` is what says the port.

    Raises:
        InvalidRequest: It cannot be taken; the text says what to do.
    """
    try:
        return listen(host, port)
    except OSError as error:
        raise InvalidRequest(_advice(error, f"{host}:{port}", option)) from error


def _advice(error: OSError, where: str, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Something listens on {where} already. Stop it, or choose another port with {option}; "
            "0 takes one that is free."
        )
    options = option if option == NAMED else f"--host and {option}"
    return f"Cannot listen on {where}: {error.strerror}. Say where else with {options}."

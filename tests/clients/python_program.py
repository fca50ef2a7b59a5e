"""The program that is the three Python clients.

    python python_program.py LIBRARY run HOST:PORT PREFIX SCENARIO…
    python python_program.py LIBRARY member HOST:PORT TOPIC GROUP

scenarios.py says what these print.
"""

import select
import sys
from collections.abc import Sequence
from importlib import import_module

import msgspec
from python_admin import ADMIN_SCENARIOS, Unable
from python_client import SCENARIOS, Library, text

from tidings.types import Json


def say(said: Json) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def run(library: Library, prefix: str, names: Sequence[str]) -> None:
    """Carry out scenarios, and print what was seen."""
    for name in names:
        scenario = {**SCENARIOS, **ADMIN_SCENARIOS}[name]
        try:
            said: Json = {"observed": scenario(library, f"{prefix}-{name}")}
        except Unable as unable:
            said = {"unsupported": str(unable)}
        except Exception as error:  # noqa: BLE001 -- whatever a library raises is an outcome
            said = {"error": repr(error)}
        say({"scenario": name, **said})


def be_member(library: Library, topic: str, group: str) -> None:
    """Be a member of a group until the input ends; print what is assigned, and what was read."""
    known: list[int] = []

    def tell_if_new() -> None:
        nonlocal known
        if (assigned := member.assigned()) != known:
            known = assigned
            say({"assigned": known})

    member = library.member(topic, group, tell_if_new)
    while not select.select([sys.stdin], [], [], 0)[0]:
        read = [text(value) for value in member.poll()]
        tell_if_new()
        if read:
            member.commit()
            say({"read": read})
    member.leave()
    say({"left": True})


def main(name: str, command: str, address: str, *arguments: str) -> None:
    """Do what the command line says."""
    library = import_module(f"{name}_library").library(address)
    if command == "member":
        be_member(library, *arguments)
    else:
        run(library, arguments[0], arguments[1:])


if __name__ == "__main__":
    main(*sys.argv[1:])

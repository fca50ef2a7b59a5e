"""Hosts in network namespaces: what is cut, what is not, and that nothing is left of them."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import Network, alone, why_not

PROGRAM = Path(__file__).with_name("hosts_program.py")
SERVERS = PROGRAM.parents[1] / "servers"

PATIENCE_S = 120.0

needs_namespaces = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


def run(*arguments: str) -> list[list[str]]:
    """Run the program where it can make a network; return the words of each line."""
    done = subprocess.run(
        alone([sys.executable, str(PROGRAM), *arguments]),
        env={"PYTHONPATH": str(SERVERS), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.real
@needs_namespaces
def test_network_way_that_is_cut_loses_what_goes_there_and_no_other_does() -> None:
    whole, cut, mended = run("ways")
    everybody = ["here-one", "here-two", "one-here", "one-two", "two-here", "two-one"]
    assert whole == ["whole", *everybody]
    # Who is asked by the other cannot answer either: both need both ways.
    assert cut == ["cut", "here-one", "here-two", "one-here", "two-here"]
    assert mended == ["mended", *everybody]


@pytest.mark.real
@needs_namespaces
def test_network_cut_is_silent_and_what_was_on_its_way_comes_when_it_is_mended() -> None:
    assert run("silence") == [["silence"], ["x"]]


@pytest.mark.real
@needs_namespaces
def test_network_nothing_is_left_when_its_program_ends(tmp_path: Path) -> None:
    note = tmp_path / "lock"
    run("left", str(note))
    assert Path(f"{note}.hosts").read_text() == "far"
    # Its sleeper is dead, or nobody could take the lock.
    taken = subprocess.run(["flock", "--timeout", "60", note, "true"], check=False)
    assert taken.returncode == 0
    assert not Path("/run/netns/far").exists()


def test_network_is_refused_beside_real_ones() -> None:
    if all(name == "lo" for _, name in socket.if_nameindex()):
        pytest.skip("this machine has no network")
    with pytest.raises(AssertionError, match="start the program with `alone`"):
        Network()

"""kcat as a client of the kind that scenarios.py describes. It does not administer."""

import subprocess
import sys
from collections.abc import Callable

import msgspec

from tidings.types import Json

TIMEOUT_S = 30.0


def kcat(broker: str, *options: str, given: str = "") -> str:
    """Run kcat; return what it prints."""
    done = subprocess.run(
        ["kcat", "-b", broker, "-q", *options],
        input=given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def produce(broker: str, topic: str, *options: str, given: str | None = None) -> None:
    """Produce the ten records, or lines of KEY:VALUE."""
    lines = given or "".join(f"k{number}:v{number}\n" for number in range(10))
    kcat(broker, "-P", "-t", topic, "-p", "0", "-K:", *options, given=lines)


def read(broker: str, topic: str, start: str) -> list[tuple[int, str]]:
    """Return offsets and values from a place on to the end."""
    told = kcat(broker, "-C", "-t", topic, "-p", "0", "-o", start, "-e", "-f", "%o %s\n")
    pairs = [line.split(" ", 1) for line in told.splitlines()]
    return [(int(offset), value) for offset, value in pairs]


def values(records: list[tuple[int, str]]) -> list[str]:
    """Return the values alone."""
    return [value for _, value in records]


def produce_with(codec: str) -> Callable[[str, str], Json]:
    """Return the scenario for a compression."""

    def scenario(broker: str, topic: str) -> Json:
        produce(broker, topic, "-z", codec)
        records = read(broker, topic, "beginning")
        return {"offsets": [offset for offset, _ in records], "read": values(records)}

    return scenario


def read_from(start: str) -> Callable[[str, str], Json]:
    """Return the scenario that reads from a place on."""

    def scenario(broker: str, topic: str) -> Json:
        produce(broker, topic)
        return {"read": values(read(broker, topic, start))}

    return scenario


def idempotent(broker: str, topic: str) -> Json:
    """Produce with idempotence, one request for each record."""
    produce(broker, topic, "-X", "enable.idempotence=true", "-X", "batch.num.messages=1")
    end = kcat(broker, "-Q", "-t", f"{topic}:0:-1").split()[-1]
    return {"read": values(read(broker, topic, "beginning")), "end": int(end)}


SCENARIOS: dict[str, Callable[[str, str], Json]] = {
    **{
        f"produce-{codec}": produce_with(codec)
        for codec in ("none", "gzip", "snappy", "lz4", "zstd")
    },
    "earliest": read_from("beginning"),
    "offset": read_from("7"),
    "idempotent": idempotent,
}


def main(broker: str, prefix: str, wanted: list[str]) -> None:
    """Carry out scenarios; print what came of each."""
    for name in wanted:
        line: Json = {"scenario": name}
        try:
            if name in SCENARIOS:
                line["observed"] = SCENARIOS[name](broker, f"{prefix}-{name}")
            else:
                line["unsupported"] = "kcat cannot do this, or cannot say what it saw"
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            line["error"] = str(error)
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3], sys.argv[4:])

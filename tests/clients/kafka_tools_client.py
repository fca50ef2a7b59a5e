"""Kafka's command-line tools as a client of the kind that scenarios.py describes.

kafka-topics, kafka-configs, kafka-consumer-groups, kafka-delete-records, the console producer and
consumer: a scenario does what users of these tools do, and no more.
"""

import base64
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from tidings.types import Json

QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"

TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "produce": "org.apache.kafka.tools.ConsoleProducer",
    "consume": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "offsets": "org.apache.kafka.tools.GetOffsetShell",
}

CODES = {
    "TopicExistsException": 36,
    "InvalidTopicException": 17,
    "InvalidReplicationFactorException": 38,
    "InvalidPartitionsException": 37,
    "InvalidConfigurationException": 40,
    "GroupNotEmptyException": 68,
    "GroupIdNotFoundException": 69,
    "does not exist as expected": 3,
}
"""What the tools print of an error, and the code that it stands for."""


class Tools:
    """The tools, in one Java process: see java/Tools.java."""

    def __init__(self, classpath: str) -> None:
        self._process = subprocess.Popen(
            ["java", QUIET, "-XX:TieredStopAtLevel=1", "-cp", classpath, "Tools"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, name: str, *options: str, given: str = "") -> str:
        """Run a tool; return all that it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = [TOOLS[name], *options, given]
        line = b" ".join(base64.b64encode(word.encode()) for word in words) + b"\n"
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return base64.b64decode(self._process.stdout.readline()).decode()


TOOLS_PROCESS = Tools(sys.argv[1])


def tool(name: str, broker: str, *options: str, given: str = "") -> str:
    """Run a tool; return all that it prints."""
    return TOOLS_PROCESS.run(name, "--bootstrap-server", broker, *options, given=given)


def code(printed: str) -> int:
    """Return the code of the first error in what a tool printed; 0 if there is none."""
    found = [number for text, number in CODES.items() if text in printed]
    return found[0] if found else 0


def number(pattern: str, printed: str) -> int:
    """Return the number that a pattern finds.

    Raises:
        RuntimeError: It finds none; the text is what was printed.
    """
    found = re.search(pattern, printed)
    if found is None:
        raise RuntimeError(printed.strip()[-500:])
    return int(found[1])


def produce_with(codec: str) -> Callable[[str, str], Json]:
    """Return the scenario of the console producer and consumer."""

    def scenario(broker: str, topic: str) -> Json:
        lines = "".join(f"v{index}\n" for index in range(10))
        tool("produce", broker, "--topic", topic, "--compression-codec", codec, given=lines)
        options = ["--topic", topic, "--from-beginning", "--max-messages", "10"]
        form = ["--formatter-property", "print.offset=true", "--timeout-ms", "20000"]
        printed = tool("consume", broker, *options, *form)
        pairs = re.findall(r"^Offset:(\d+)\t(.*)$", printed, re.MULTILINE)
        return {
            "offsets": [int(offset) for offset, _ in pairs],
            "read": [value for _, value in pairs],
        }

    return scenario


def admin_topics(broker: str, topic: str) -> Json:
    """Create, grow and delete a topic, and do what cannot be done."""

    def topics(verb: str, name: str, *options: str) -> str:
        return tool("topics", broker, f"--{verb}", "--topic", name, *options)

    def count() -> int:
        return number(r"PartitionCount: (\d+)", topics("describe", topic))

    topics("create", topic, "--partitions", "3")
    created = count()
    again = code(topics("create", topic))
    invalid = code(topics("create", "not-ä-name"))
    copies = code(topics("create", f"{topic}-copies", "--replication-factor", "3"))
    topics("alter", topic, "--partitions", "5")
    grown = count()
    shrunk = code(topics("alter", topic, "--partitions", "4"))
    topics("delete", topic)
    return {
        "created": created,
        "again": again,
        "invalid": invalid,
        "copies": copies,
        "grown": grown,
        "shrunk": shrunk,
        "missing": code(topics("delete", topic)),
    }


def admin_configs(broker: str, topic: str) -> Json:
    """Read and change retention.ms, and do what cannot be done."""
    entity = ["--entity-type", "topics", "--entity-name", topic]

    def retention() -> list[str]:
        printed = tool("configs", broker, "--describe", "--all", *entity)
        found = re.search(
            r"^ +retention\.ms=(-?\d+) sensitive=\w+ synonyms=\{(\w*)", printed, re.MULTILINE
        )
        if found is None:
            raise RuntimeError(printed.strip()[-500:])
        return [found[1], found[2]]

    def alter(setting: str) -> int:
        return code(tool("configs", broker, "--alter", "--add-config", setting, *entity))

    tool("topics", broker, "--create", "--topic", topic)
    before = retention()
    alter("retention.ms=12345")
    return {
        "before": before,
        "after": retention(),
        "malformed": alter("retention.ms=soon"),
        "unknown": alter("no.such.config=1"),
    }


def admin_records(broker: str, topic: str) -> Json:
    """Delete records with the tool, and read what is left."""

    def delete(before: int) -> str:
        partition = {"topic": topic, "partition": 0, "offset": before}
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            Path(file.name).write_bytes(msgspec.json.encode({"partitions": [partition]}))
            return tool("records", broker, "--offset-json-file", file.name)

    lines = "".join(f"v{index}\n" for index in range(10))
    tool("produce", broker, "--topic", topic, given=lines)
    # The producer ends with the process, not with its tool: wait until all has arrived.
    tool("consume", broker, "--topic", topic, "--from-beginning", "--max-messages", "10")
    low = number(r"low_watermark: (\d+)", delete(4))
    beyond = 1 if "OffsetOutOfRangeException" in delete(99) else 0
    start = number(rf"{topic}:0:(\d+)", tool("offsets", broker, "--topic", topic, "--time", "-2"))
    options = ["--topic", topic, "--from-beginning", "--max-messages", "1"]
    printed = tool("consume", broker, *options, "--timeout-ms", "20000")
    found = re.search(r"^v\d$", printed, re.MULTILINE)
    return {
        "low_watermark": low,
        "beyond": beyond,
        "start": start,
        "first": found[0] if found else printed,
    }


def admin_groups(broker: str, topic: str) -> Json:
    """Read with a group; describe, list and delete it."""
    group = f"{topic}-group"
    lines = "".join(f"v{index}\n" for index in range(10))
    tool("produce", broker, "--topic", topic, given=lines)
    jvm = ["java", QUIET, "-XX:TieredStopAtLevel=1", "-cp", sys.argv[1], TOOLS["consume"]]
    options = ["--bootstrap-server", broker, "--topic", topic, "--from-beginning"]
    command = [
        *jvm,
        *options,
        "--group",
        group,
        "--command-property",
        "auto.commit.interval.ms=100",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as consumer:
        assert consumer.stdout is not None
        for _ in range(10):
            consumer.stdout.readline()
        stable = _state(broker, group)
        busy = code(tool("groups", broker, "--delete", "--group", group))
        consumer.terminate()
    empty, _ = _state(broker, group)
    listed = group in tool("groups", broker, "--list").split()
    printed = tool("groups", broker, "--describe", "--group", group)
    committed = number(rf"{group} +{topic} +0 +(\d+)", printed)
    tool("groups", broker, "--delete", "--group", group)
    return {
        "stable": stable,
        "busy": busy,
        "empty": empty,
        "listed": listed,
        "committed": committed,
        "gone": code(tool("groups", broker, "--delete", "--group", group)),
    }


def _state(broker: str, group: str) -> list[Json]:
    printed = tool("groups", broker, "--describe", "--state", "--group", group)
    found = re.search(r" (Stable|Empty) +(\d+) *$", printed, re.MULTILINE)
    if found is None:
        raise RuntimeError(printed.strip()[-500:])
    return [found[1], int(found[2])]


SCENARIOS: dict[str, Callable[[str, str], Json]] = {
    **{f"produce-{codec}": produce_with(codec) for codec in ("none", "zstd")},
    "admin-topics": admin_topics,
    "admin-configs": admin_configs,
    "admin-groups": admin_groups,
    "admin-records": admin_records,
}


def main(broker: str, prefix: str, wanted: list[str]) -> None:
    """Carry out scenarios; print what came of each."""
    for name in wanted:
        line: Json = {"scenario": name}
        try:
            if name in SCENARIOS:
                line["observed"] = SCENARIOS[name](broker, f"{prefix}-{name}")
            else:
                line["unsupported"] = "the Java client is tried for this"
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            line["error"] = str(error)
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[3], sys.argv[4], sys.argv[5:])

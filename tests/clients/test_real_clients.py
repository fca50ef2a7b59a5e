"""Unmodified clients of other languages against a broker: each has to see what Kafka would show it.

A client that cannot be had on this machine is skipped; where CI is set to true, that is a failure.
"""

from collections.abc import Callable, Iterator, Sequence

import brokers
import pytest
from client_run import run_scenarios
from group_scenarios import GROUP_SCENARIOS, run_group_scenario
from obtaining import needed
from real_clients import CLIENTS, GROUP_CLIENTS
from scenarios import EXPECTED

from tidings.kafka.apis import API_OF_KEY

pytestmark = pytest.mark.real

TOPIC_APIS = (19, 20, 32, 37, 44)
DATA_APIS = (0, 1, 2, 8, 9, 11, 12, 13, 14, 15, 16, 21, 22, 42)
"""Produce, Fetch, ListOffsets, groups, DeleteRecords, InitProducerId: what the rest needs."""

ADMINISTRATION = ("admin-topics", "admin-configs")


def is_served(*keys: int) -> bool:
    return all(key in API_OF_KEY for key in keys)


WANTED = list(EXPECTED) if is_served(*DATA_APIS) else list(ADMINISTRATION)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of one broker for all clients; each has topics of its own."""
    with brokers.tidings() as broker:
        yield broker.address


def obtained(client: Callable[[], Sequence[str]]) -> Sequence[str]:
    with needed():
        return client()


@pytest.mark.parametrize("client", CLIENTS)
def test_client_sees_what_kafka_would_show_it(client: str, address: str) -> None:
    seen = run_scenarios(obtained(CLIENTS[client]), address, client.split(maxsplit=1)[0], WANTED)
    able = {name: line for name, line in seen.items() if "unsupported" not in line}
    assert able
    expected = {name: {"scenario": name, "observed": EXPECTED[name]} for name in able}
    assert able == expected


@pytest.mark.skipif(not is_served(*DATA_APIS), reason="groups are not served yet")
@pytest.mark.parametrize("scenario", GROUP_SCENARIOS)
@pytest.mark.parametrize("client", [name for name in GROUP_CLIENTS if name in CLIENTS])
def test_members_of_a_group_share_take_over_and_resume(
    client: str, scenario: str, address: str
) -> None:
    command = obtained(CLIENTS[client])
    _, expected = GROUP_SCENARIOS[scenario]
    assert run_group_scenario(command, address, client.split(maxsplit=1)[0], scenario) == expected

from typing import Any

import pytest
from broker_in_memory import broker_on, call
from kio.schema.errors import ErrorCode
from topics_log import TopicsLog

from tidings.kafka.apis import API_OF_KEY
from tidings.testing.loop import run

FIND_COORDINATOR = API_OF_KEY[10]


def ask(version: int, **values: Any) -> Any:
    return run(call(broker_on(TopicsLog()), "find_coordinator", version, **values))


@pytest.mark.parametrize("version", range(4))
def test_coordinator_of_a_group_is_this_broker(version: int) -> None:
    found = ask(version, key="readers")
    assert found.error_code == ErrorCode.none
    assert (found.node_id, found.host, found.port) == (1, "broker.test", 9092)


@pytest.mark.parametrize("version", range(4, FIND_COORDINATOR.highest + 1))
def test_coordinator_of_each_of_many_groups_is_this_broker(version: int) -> None:
    answer = ask(version, coordinator_keys=["a", "b"])
    assert [found.key for found in answer.coordinators] == ["a", "b"]
    for found in answer.coordinators:
        assert found.error_code == ErrorCode.none
        assert (found.node_id, found.host, found.port) == (1, "broker.test", 9092)


def test_coordinator_of_a_transaction_is_refused_for_good() -> None:
    found = ask(2, key="payments", key_type=1)
    assert found.error_code == ErrorCode.transactional_id_authorization_failed
    assert "transactions" in found.error_message
    assert found.node_id == -1


def test_coordinator_of_anything_else_is_refused() -> None:
    (found,) = ask(6, coordinator_keys=["g:t:0"], key_type=2).coordinators
    assert (found.error_code, found.key) == (ErrorCode.invalid_request, "g:t:0")

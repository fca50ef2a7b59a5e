import tidings.errors
from tidings.core.membership.messages import GroupError
from tidings.errors import Corrupt, Indeterminate, TidingsError, Unavailable
from tidings.kafka.errors import CODE_OF_ERROR, code_of
from tidings.kafka.group_errors import code_of_refusal


def test_every_error_has_a_code_of_its_own() -> None:
    leaves = [
        kind
        for kind in vars(tidings.errors).values()
        if isinstance(kind, type) and issubclass(kind, TidingsError) and kind is not TidingsError
    ]
    assert sorted(map(str, CODE_OF_ERROR)) == sorted(map(str, leaves))
    assert len(dict.fromkeys(CODE_OF_ERROR.values())) == len(leaves)


def test_code_that_invites_a_retry_is_given_where_a_retry_may_help() -> None:
    assert code_of(Unavailable("")).retriable
    assert code_of(Indeterminate("")).retriable
    assert code_of(Corrupt("")).value == 2


def test_every_refusal_of_a_group_has_a_code_of_its_own() -> None:
    assert len({code_of_refusal(refusal) for refusal in GroupError}) == len(GroupError)

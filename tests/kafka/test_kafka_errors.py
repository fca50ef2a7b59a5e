import tidings.errors
from tidings.errors import Corrupt, Indeterminate, TidingsError, Unavailable
from tidings.kafka.errors import CODE_OF_ERROR, code_of


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

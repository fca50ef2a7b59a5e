"""The suite for order stores."""

from tidings.ports import OrderStore
from tidings.testing.contract import order_examples, order_races
from tidings.testing.contract.check import Check, Make, named


def order_store_checks() -> dict[str, Check[OrderStore]]:
    """Return every check of an order store by its name.

    Examples need a store that answers in time. Those that end with `linearizable` also stand
    `Unsettled`, `Unavailable` and `Indeterminate` answers.
    """
    return named(
        order_examples.new_store_is_empty,
        order_examples.exclusive_store_has_one_client,
        order_examples.append_fills_an_empty_slot,
        order_examples.append_to_a_filled_slot_changes_nothing,
        order_examples.read_stops_at_the_count,
        order_examples.read_stops_at_the_first_empty_slot,
        order_examples.read_of_many_slots_is_in_order,
        order_examples.entries_come_back_byte_for_byte,
        order_examples.largest_entry_fits,
        order_examples.too_large_entry_is_refused_or_kept_whole,
        order_examples.append_that_is_repeated_fills_one_slot,
        order_examples.append_that_arrives_late_changes_nothing,
        order_examples.trim_lets_go_or_does_nothing,
        order_examples.trimmed_slot_is_never_filled_again,
        order_examples.trim_boundary_never_moves_back,
        order_examples.cell_is_set_only_from_what_it_holds,
        order_examples.cells_of_different_names_are_different,
        order_races.appends_that_race_are_linearizable,
        order_races.trims_that_race_are_linearizable,
        order_races.swaps_that_race_are_linearizable,
    )


async def check_order_store(make: Make[OrderStore], seed: int = 0) -> None:
    """Run every check, each on a store of its own.

    Raises:
        ContractError: The contract is broken.
    """
    for check in order_store_checks().values():
        await check(make, seed)

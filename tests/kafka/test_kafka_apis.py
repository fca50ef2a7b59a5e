from itertools import pairwise
from pathlib import Path

import pytest
from kio.index import load_request_schema
from kio.schema.index import api_key_map, schema_name_map

from tidings.cli import settings_page
from tidings.kafka import configs_page
from tidings.kafka.apis import APIS, Api
from tidings.kafka.support import page

ROOT = Path(__file__).parents[2]


def test_table_is_in_the_order_of_keys_each_once() -> None:
    assert all(one.key < other.key for one, other in pairwise(APIS))


@pytest.mark.parametrize("api", APIS, ids=[api.module for api in APIS])
def test_row_names_what_the_schema_knows(api: Api) -> None:
    assert api_key_map[api.key] == api.module
    versions = schema_name_map[api.module]
    assert min(versions) <= api.lowest <= api.highest <= max(versions)
    assert api.advertised_from is None or api.advertised_from < api.lowest
    assert load_request_schema(api.key, api.lowest).__api_key__ == api.key


def test_pages_that_are_written_from_code_are_current() -> None:
    """If not: make docs."""
    assert (ROOT / "docs" / "kafka-support.md").read_text() == page()
    assert (ROOT / "docs" / "configs.md").read_text() == configs_page.page()
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page.page()

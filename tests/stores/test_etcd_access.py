"""Where an etcd is, and how to be let in."""

import asyncio
from pathlib import Path

import databases
import pytest
from obtaining import obtained
from real_loop import run_real
from remote_stores import Ear, etcd_stores, read, settled

from tidings.errors import InvalidRequest, Unavailable
from tidings.ports import Appended
from tidings.stores.etcd import EtcdAddress
from tidings.stores.etcd.client import EtcdClient
from tidings.stores.etcd.messages import _bytes
from tidings.types import Slot

pytestmark = pytest.mark.real


def test_etcd_with_users_lets_in_who_has_the_password_also_after_a_restart() -> None:
    async def main(server: databases.Server) -> None:
        async with etcd_stores(f"etcd://{server.address}", 1) as (store,):
            await demand_passwords(store._client)
        url = f"etcd://root:s%40cret@{server.address}"
        async with etcd_stores(url, 2) as (store, other):
            assert await store.append(Slot(0), b"a") == Appended()
            heard = Ear()
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(other.follow(heard))
                await heard.of(0)
                following.cancel()
            # It has forgotten its tokens.
            server.kill()
            server.start()
            assert await read(store) == [b"a"]
            assert await settled(store, Slot(1), b"b") == Appended()
        for wrong in ("etcd://", "etcd://root:guess@"):
            with pytest.raises(Unavailable):
                async with etcd_stores(f"{wrong}{server.address}", 1):
                    pass

    with obtained(databases.etcd) as server:
        run_real(main(server))


async def demand_passwords(client: EtcdClient) -> None:
    for method, request in [
        ("UserAdd", _bytes(1, b"root") + _bytes(2, b"s@cret")),
        ("RoleAdd", _bytes(1, b"root")),
        ("UserGrantRole", _bytes(1, b"root") + _bytes(2, b"root")),
        ("AuthEnable", b""),
    ]:
        await client.call(f"/etcdserverpb.Auth/{method}", request)


def test_etcd_with_tls_on_both_sides_lets_in_who_has_a_certificate(tmp_path: Path) -> None:
    cert, key = databases.make_certificate(tmp_path)

    async def main(address: str) -> None:
        shown = f"ca={cert}&cert={cert}&key={key}"
        async with etcd_stores(f"etcds://{address}?{shown}", 1) as (store,):
            assert await store.append(Slot(0), b"a") == Appended()
        for wrong in (f"etcds://{address}", f"etcds://{address}?ca={cert}", f"etcd://{address}"):
            with pytest.raises(Unavailable):
                async with etcd_stores(wrong, 1, timeout_s=2.0):
                    pass

    options = [f"--cert-file={cert}", f"--key-file={key}", f"--trusted-ca-file={cert}"]
    options.append("--client-cert-auth")
    with obtained(lambda: databases.etcd(*options, scheme="https")) as server:
        run_real(main(server.address))


def test_etcd_address_has_members_prefix_and_credentials() -> None:
    assert EtcdAddress.parse("etcd://a,b:1,[::1]:2,[::1]") == EtcdAddress(
        ("a:2379", "b:1", "[::1]:2", "[::1]:2379"), "tidings"
    )
    found = EtcdAddress.parse("etcd://me:p%2Fw@a:1/some/where/")
    assert (found.prefix, found.user, found.password) == ("some/where", "me", "p/w")
    assert "p/w" not in repr(found)


@pytest.mark.parametrize(
    "wrong",
    [
        "http://a",
        "etcd://",
        "etcd://a,,b",
        "etcd://a:b",
        "etcd://a?ca=x",
        "etcds://a?cas=x",
        "etcds://a?ca=/nowhere",
        "etcds://a?cert=/dev/null",
    ],
)
def test_etcd_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidRequest):
        EtcdAddress.parse(wrong)

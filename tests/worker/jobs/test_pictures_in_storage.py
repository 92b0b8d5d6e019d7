"""Suppliers' pictures in the stack's own Storage: anyone can load them, until they are removed."""

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from edge_workers.config import Settings
from tests.conftest import wait_until
from tests.worker.jobs.supply import SupplyShop, supply_shop
from worker.jobs.pictures import copy_pictures
from worker.pictures import BUCKET

ITEMS = 12


@pytest.fixture
def shop(
    stack_env: dict[str, str],
    stack_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SupplyShop]:
    """A shop with a few goods whose pictures are still at the supplier."""
    key = stack_env["SUPABASE_SERVICE_ROLE_KEY"]
    made = httpx.post(
        f"{stack_env['SUPABASE_URL']}/storage/v1/bucket",
        headers={"apikey": key, "authorization": f"Bearer {key}"},
        json={"id": BUCKET, "name": BUCKET, "public": True},
        trust_env=False,
    )
    assert made.is_success or "already exists" in made.text, made.text
    with supply_shop(stack_env, stack_settings, tmp_path_factory.mktemp("supply")) as opened:
        opened.map_categories()
        opened.consent()
        opened.set_catalogue(items=ITEMS)
        assert opened.run()["status"] == "done"
        yield opened


def copy_all(shop: SupplyShop) -> None:
    """As many runs of the job as it takes."""

    def is_done() -> bool:
        copy_pictures(shop.task)
        return not shop.read(
            "select from private.supplier_pictures "
            "where status = 'waiting' and next_try_at <= now()"
        )

    wait_until(is_done, 120)


def test_pictures_are_there_once_copied_and_gone_with_their_product(
    shop: SupplyShop, stack_env: dict[str, str], http: httpx.Client
) -> None:
    public = f"{stack_env['SUPABASE_URL']}/storage/v1/object/public"

    copy_all(shop)

    shown = shop.read(
        "select storage_path, byte_size, content_hash from public.product_media "
        "order by storage_path"
    )
    copied = shop.value("select count(*) from private.supplier_pictures where status = 'copied'")
    assert len(shown) == copied > 0
    for picture in shown:
        answer = http.get(f"{public}/{picture['storage_path']}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("image/")
        assert len(answer.content) == picture["byte_size"]
        assert hashlib.sha256(answer.content).hexdigest() == picture["content_hash"]

    shop.admin.execute("delete from public.products")
    copy_all(shop)

    assert shop.value("select count(*) from private.picture_leftovers where not is_removed") == 0
    for picture in shown:
        # asked in another way: the gateway keeps what it has given out
        answer = http.get(f"{public}/{picture['storage_path']}", params={"again": "1"})
        assert answer.status_code in (400, 404)

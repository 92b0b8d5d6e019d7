"""Suppliers' pictures come into Storage and go from it: here one that notes what it is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter

from edge_workers.config import BaseUrl, Settings
from tests.worker.jobs.supply import SupplyShop, supply_shop
from worker.jobs.pictures import copy_pictures
from worker.task import Task

KEY = "service-role"


@dataclass
class Storage:
    """What a bucket holds, and what it answers to a removal."""

    url: str = ""
    files: set[str] = field(default_factory=set)
    removal_status: int = 200


@contextmanager
def running_storage() -> Iterator[Storage]:
    """Storage's upload and removal on a port of its own."""
    storage = Storage()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.read()
            storage.files.add(self.path.removeprefix("/storage/v1/object/"))
            self.answer(200, {"size": len(body)})

        def do_DELETE(self) -> None:
            names = json.loads(self.read())["prefixes"]
            bucket = self.path.removeprefix("/storage/v1/object/")
            if storage.removal_status == 200:
                storage.files -= {f"{bucket}/{name}" for name in names}
            self.answer(storage.removal_status, [{"name": name} for name in names])

        def read(self) -> bytes:
            assert self.headers["authorization"] == f"Bearer {KEY}"
            return self.rfile.read(int(self.headers["content-length"]))

        def answer(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    storage.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield storage
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def storage() -> Iterator[Storage]:
    with running_storage() as running:
        yield running


@pytest.fixture(scope="module")
def opened(
    stack_env: dict[str, str],
    stack_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SupplyShop]:
    with supply_shop(stack_env, stack_settings, tmp_path_factory.mktemp("supply")) as shop:
        yield shop


@pytest.fixture
def shop(opened: SupplyShop) -> SupplyShop:
    """A shop with a few dozen goods whose pictures are still at the supplier."""
    opened.clear()
    opened.map_categories()
    opened.set_catalogue(items=48, wholesale_items=0)
    opened.run()
    return opened


@pytest.fixture
def task(shop: SupplyShop, storage: Storage) -> Task:
    settings = shop.settings.model_copy(
        update={
            "supabase_url": TypeAdapter(BaseUrl).validate_python(storage.url),
            "supabase_service_role_key": SecretStr(KEY),
        }
    )
    return replace(shop.task, settings=settings)


def copy_all(shop: SupplyShop, task: Task) -> None:
    """Every picture that waits is tried, and every file that is left over."""
    shop.admin.execute("update private.supplier_pictures set next_try_at = now()")
    shop.admin.execute(
        "update private.picture_leftovers set claimed_at = claimed_at - interval '11 minutes'"
    )
    while True:
        copy_pictures(task)
        if not shop.value(
            "select count(*) from private.supplier_pictures "
            "where status = 'waiting' and next_try_at <= now()"
        ):
            return


def shown(shop: SupplyShop) -> set[str]:
    rows = shop.read("select storage_path from public.product_media")
    return {str(row["storage_path"]) for row in rows}


def test_what_waits_is_copied_and_shown(shop: SupplyShop, task: Task, storage: Storage) -> None:
    copy_all(shop, task)

    assert storage.files
    assert shown(shop) == storage.files
    states = shop.read("select distinct status, failure from private.supplier_pictures order by 1")
    assert [tuple(row.values()) for row in states] == [
        ("copied", None),
        ("failed", "picture_missing"),  # some have no file at the supplier
    ]


def test_one_that_the_tables_refuse_does_not_hold_up_the_others(
    shop: SupplyShop, task: Task
) -> None:
    listing_id = shop.value("select min(listing_id::text) from private.supplier_pictures")
    shop.admin.execute(
        "alter table public.product_media add constraint product_media_refuses_one "
        f"check (listing_id <> '{listing_id}')"
    )
    try:
        copy_all(shop, task)
    finally:
        shop.admin.execute(
            "alter table public.product_media drop constraint product_media_refuses_one"
        )

    rows = shop.read(
        "select distinct status, failure, listing_id = %s as is_refused "
        "from private.supplier_pictures where failure is distinct from 'picture_missing' "
        "order by status",
        listing_id,
    )
    assert [tuple(row.values()) for row in rows] == [
        ("copied", None, False),
        ("waiting", "value_not_allowed", True),
    ]


def test_what_the_supplier_takes_away_goes_from_storage_too(
    shop: SupplyShop, task: Task, storage: Storage
) -> None:
    copy_all(shop, task)
    before = set(storage.files)
    shop.admin.execute(
        "update private.supplier_pictures set status = 'gone' where position = 0 "
        "and listing_id = (select min(listing_id::text)::uuid from private.supplier_pictures)"
    )

    storage.removal_status = 503
    copy_all(shop, task)
    left = before - shown(shop)
    assert len(left) == 1
    assert storage.files == before

    storage.removal_status = 200
    copy_all(shop, task)

    assert storage.files == shown(shop) == before - left
    assert shop.value("select count(*) from private.picture_leftovers where not is_removed") == 0


def test_a_deleted_product_leaves_no_file_behind(
    shop: SupplyShop, task: Task, storage: Storage
) -> None:
    copy_all(shop, task)
    assert storage.files

    shop.admin.execute("delete from public.products")
    copy_all(shop, task)

    assert storage.files == set()

"""The catalogue fills itself: a run of a supplier's goods, in slices that may end at any point.

What is still to be read are rows, what was read is staged by COPY, and every recording call either
happened or did not: a slice that is killed is done again from where the last call stood. Judging,
folding and taking in happen in the database, a batch a transaction.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_UP, Decimal
from typing import Any, Final

from edge_workers.errors import AppError, AuthorizationError
from edge_workers.log import bind_context, get_logger
from edge_workers.providers import registry
from edge_workers.providers.contracts.suppliers import (
    FoundProduct,
    FreightOption,
    Language,
    SupplierPage,
    SupplierProduct,
    SupplierProvider,
    SupplierQuery,
    SupplierVariant,
)
from edge_workers.providers.errors import Misconfigured, Rejected, Unavailable
from edge_workers.providers.transport import ending_within
from worker.html_text import one_line, plain_text
from worker.suppliers import open_supplier
from worker.task import Task

SLICE_SECONDS: Final = 15.0
"""How long a slice works; the next is planned at once."""
QUESTION_SECONDS: Final = 8.0
"""How long the supplier may take over one question."""
PAGES_AT_ONCE: Final = 10
ITEMS_AT_ONCE: Final = 40
"""Goods that are staged together: what a killed slice asks for again at most."""
TAKEN_AT_ONCE: Final = 500
CLEARED_AT_ONCE: Final = 5_000
ITEM_SECONDS: Final = 12.0
"""How long all questions about one good may take: with a slice below a job's own limit."""
SILENCES: Final = 4
"""Goods in a row that are not answered before the slice waits."""
PAGE_SIZE: Final = 50

STAGED_TABLE: Final = "staged_products"
STAGED_COLUMNS: Final = (
    "run_id",
    "external_id",
    "aliases",
    "title",
    "description",
    "description_fr",
    "category_path",
    "category_name",
    "status",
    "rating",
    "review_count",
    "order_count",
    "price",
    "currency",
    "stock",
    "image_urls",
    "variants",
    "tiers",
    "freight",
    "weight_grams",
    "seller_external_id",
    "seller_name",
    "seller_rating",
    "min_order_quantity",
    "order_increment",
)

_LARGEST: Final = 2_147_483_647
_CENT: Final = Decimal("0.01")
_LARGEST_PRICE: Final = Decimal(10_000_000)
"""Above it nothing is a price: the database keeps ten digits before the point."""
_OPTION_BYTES: Final = 3_600
_RESTING: Final = frozenset({"rate_limited", "supplier_resting", "gateway_resting"})
"""The supplier wants to be left alone: no other good would be answered either."""

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One attempt's share of a run."""

    run_id: str
    number: int
    platform: str
    status: str
    is_planned: bool
    currency: str
    countries: tuple[str, ...]
    """Where the shop sells, those asked for first in front."""
    deadline: float

    def is_over(self) -> bool:
        """Whether its time has run out."""
        return time.monotonic() >= self.deadline


@dataclass
class Batch:
    """Goods read in full and not yet staged, and those that were not answered."""

    rows: list[Sequence[Any]] = field(default_factory=list)
    failures: dict[str, Any] = field(default_factory=dict)
    silences: int = 0


def sync_products(task: Task, *, run_id: str | None = None) -> None:
    """Work on a run for a slice of time and plan the next; without an id, start what is due.

    A supplier that does not answer is no failure of the job: the run waits and goes on. One that
    refuses our keys or our consent ends the run, and the admins are told.
    """
    if run_id is None:
        platforms = list(registry.configured_suppliers(task.settings))
        started = task.database.call("begin_due_syncs", platforms=platforms)
        log.info("syncs.started", count=len(started))
        return
    bind_context(run_id=run_id)
    begun: dict[str, Any] | None = task.database.call("begin_sync_slice", run_id=run_id)
    if begun is None:
        log.info("sync.skipped")
        return
    work = Slice(
        run_id=run_id,
        number=int(begun["slice"]),
        platform=str(begun["platform"]),
        status=str(begun["status"]),
        is_planned=bool(begun["is_planned"]),
        currency=str(begun["currency"]),
        countries=tuple(begun["countries"]),
        deadline=time.monotonic() + SLICE_SECONDS,
    )
    try:
        is_over = _take_in(task, work) if work.status == "applying" else _collect(task, work)
    except Misconfigured as error:
        task.database.call("fail_sync", run_id=run_id, reason=f"{error.code}: {error}")
        log.error("sync.failed", code=error.code)
        return
    except Unavailable as error:
        task.database.call(
            "continue_sync",
            run_id=run_id,
            slice=work.number,
            wait_seconds=error.retry_after or 0,
            reason=error.code,
        )
        log.warning("sync.paused", code=error.code, seconds=error.retry_after)
        return
    if not is_over:
        task.database.call("continue_sync", run_id=run_id, slice=work.number)


def _collect(task: Task, work: Slice) -> bool:
    """Read pages, then goods; whether the run waits for a person."""
    with open_supplier(work.platform, task.settings, task.database) as supplier:
        if not work.is_planned:
            _plan(task, work, supplier)
        if not _read_pages(task, work, supplier):
            return False
        if not _read_items(task, work, supplier):
            return False
    if work.deadline - time.monotonic() < SLICE_SECONDS - 3:
        return False  # judging takes a slice of its own
    decided: dict[str, Any] = task.database.call("decide_sync", run_id=work.run_id)
    log.info("sync.decided", status=decided["status"], change_share=str(decided["change_share"]))
    return bool(decided["status"] == "waiting")


def _plan(task: Task, work: Slice, supplier: SupplierProvider) -> None:
    """Bring the supplier's tree up to date, then note which searches the run makes."""
    with ending_within(QUESTION_SECONDS):
        english = supplier.categories("en")
    with ending_within(QUESTION_SECONDS):
        french = {one.id: one.name for one in supplier.categories("fr")}
    if english:
        task.database.call(
            "record_supplier_categories",
            platform=work.platform,
            categories=[
                {
                    "id": one.id,
                    "parent_id": one.parent_id,
                    "name": one_line(one.name),
                    "name_fr": one_line(french.get(one.id, "")) or None,
                }
                for one in english
            ],
        )
    planned = task.database.call("plan_sync", run_id=work.run_id, has_tree=bool(english))
    if not planned["searches"]:
        raise Misconfigured("No category is to be read.", code="nothing_planned")
    log.info("sync.planned", searches=planned["planned"], categories=len(english))


def _read_pages(task: Task, work: Slice, supplier: SupplierProvider) -> bool:
    """Read the pages that are open; whether none is left."""
    while True:
        pages: list[dict[str, Any]] = task.database.call(
            "claim_sync_pages", run_id=work.run_id, batch=PAGES_AT_ONCE
        )
        if not pages:
            return True
        for page in pages:
            if work.is_over():
                return False
            _read_page(task, work, supplier, page)


def _read_page(task: Task, work: Slice, supplier: SupplierProvider, page: dict[str, Any]) -> None:
    place = {name: page[name] for name in ("keyword", "category", "page")}
    try:
        english = _search(work, supplier, page, "en")
        french = _search(work, supplier, page, "fr")
    except Rejected as error:
        task.database.call("record_sync_page_failed", run_id=work.run_id, is_fact=True, **place)
        log.warning("sync_page.refused", code=error.code, **place)
        return
    except Unavailable as error:
        if error.code not in _RESTING:
            task.database.call(
                "record_sync_page_failed", run_id=work.run_id, is_fact=False, **place
            )
        raise
    french_titles = {one.external_id: one.title for one in french.items}
    items = {
        one.external_id: _found(one, one.title, french_titles.get(one.external_id))
        for one in english.items
    }
    items |= {
        one.external_id: _found(one, None, one.title)
        for one in french.items
        if one.external_id not in items
    }
    try:
        task.database.call(
            "record_sync_page",
            run_id=work.run_id,
            items=items,
            next_page=english.next_page or french.next_page,
            **place,
        )
    except AppError as error:
        if not _is_of_the_supplier(error):
            raise
        task.database.call("record_sync_page_failed", run_id=work.run_id, is_fact=True, **place)
        log.warning("sync_page.not_kept", code=error.code, **place)


def _search(
    work: Slice, supplier: SupplierProvider, page: dict[str, Any], language: Language
) -> SupplierPage:
    with ending_within(QUESTION_SECONDS):
        return supplier.search(
            SupplierQuery(
                country=work.countries[0],
                currency=work.currency,
                language=language,
                keyword=page["keyword"],
                category_id=page["category"] or None,
                page=page["page"],
                page_size=PAGE_SIZE,
            )
        )


def _found(one: FoundProduct, english: str | None, french: str | None) -> dict[str, Any]:
    return {
        "title_en": one_line(english or "") or None,
        "title_fr": one_line(french or "") or None,
        "rating": one.rating,
        "order_count": _count(one.orders),
        "image_count": int(one.image_url is not None),
        "price": one.price,
        "category_path": list(one.category_path),
    }


def _read_items(task: Task, work: Slice, supplier: SupplierProvider) -> bool:
    """Read goods in full and stage them; whether none is left.

    Begins with what an attempt before has staged but not marked.
    """
    if _record(task, work, Batch()):
        return True
    while not work.is_over():
        items: list[dict[str, Any]] = task.database.call(
            "claim_sync_items", run_id=work.run_id, batch=ITEMS_AT_ONCE
        )
        batch = Batch()
        try:
            for item in items:
                if work.is_over():
                    break
                _read_item(work, supplier, item, batch)
        finally:
            is_complete = _record(task, work, batch)
        if is_complete:
            return True
        if not items:
            return False
    return False


def _record(task: Task, work: Slice, batch: Batch) -> bool:
    """Stage a batch and mark its goods, in that order; whether the run has read everything."""
    if batch.rows:
        _stage(task, batch)
    recorded = task.database.call(
        "record_sync_details", run_id=work.run_id, failures=batch.failures
    )
    return bool(recorded["is_complete"])


def _stage(task: Task, batch: Batch) -> None:
    """Put a batch down at once; where a row of it is refused, one by one without that."""
    try:
        task.database.copy(STAGED_TABLE, STAGED_COLUMNS, batch.rows)
    except AppError as error:
        if not _is_of_the_supplier(error):
            raise
    else:
        return
    for row in batch.rows:
        try:
            task.database.copy(STAGED_TABLE, STAGED_COLUMNS, [row])
        except AppError as error:
            if not _is_of_the_supplier(error):
                raise
            batch.failures[row[1]] = {"code": "not_kept", "is_fact": False}
            log.warning("sync_item.refused", external_id=row[1], code=error.code)


def _is_of_the_supplier(error: AppError) -> bool:
    """Whether what a supplier wrote is refused, and not we, nor a run that is decided."""
    return (
        error.http_status < 500
        and error.code != "sync_transition_refused"
        and not isinstance(error, AuthorizationError)
    )


def _read_item(work: Slice, supplier: SupplierProvider, item: dict[str, Any], batch: Batch) -> None:
    external_id = str(item["external_id"])
    try:
        with ending_within(ITEM_SECONDS):
            product, country = _detail(work, supplier, external_id)
            if product.external_id != external_id:
                # Asked by one of its other ids: it stays under the one that the run has noted.
                aliases = (product.external_id, *product.aliases)
                product = replace(product, external_id=external_id, aliases=aliases)
            french = None
            if item["wants_french"] and product.status == "selling":
                french = _french(work, supplier, external_id, country)
            freight = {}
            if product.status == "selling":
                freight = {
                    code: _freight(work, supplier, product, code) for code in item["countries"]
                }
    except Rejected as error:
        code = "not_shipped" if error.code == "not_sold_here" else error.code
        batch.failures[external_id] = {"code": code, "is_fact": True}
        batch.silences = 0
    except Unavailable as error:
        if error.code in _RESTING:
            raise
        batch.failures[external_id] = {"code": error.code, "is_fact": False}
        batch.silences += 1
        if batch.silences >= SILENCES:
            raise
    else:
        batch.rows.append(staged_row(work.run_id, product, french, freight))
        batch.silences = 0


def _detail(
    work: Slice, supplier: SupplierProvider, external_id: str
) -> tuple[SupplierProduct, str]:
    """The product as one of our countries sees it: what the first is not sold, another may be."""
    refused: Rejected | None = None
    for country in work.countries:
        try:
            with ending_within(QUESTION_SECONDS):
                product = supplier.detail(
                    external_id, country=country, currency=work.currency, language="en"
                )
        except Rejected as error:
            if error.code != "not_sold_here":
                raise
            refused = error
        else:
            return product, country
    raise refused or Rejected("The shop sells to no country.", code="not_sold_here")


def _french(
    work: Slice, supplier: SupplierProvider, external_id: str, country: str
) -> SupplierProduct | None:
    try:
        with ending_within(QUESTION_SECONDS):
            return supplier.detail(
                external_id, country=country, currency=work.currency, language="fr"
            )
    except Rejected:
        return None


def _freight(
    work: Slice, supplier: SupplierProvider, product: SupplierProduct, country: str
) -> FreightOption | None:
    """The cheapest way to send the least quantity there; None: nothing is sent there."""
    cheapest = _cheapest(product.variants)
    try:
        with ending_within(QUESTION_SECONDS):
            options = supplier.freight(
                product.external_id,
                variant_id=None if cheapest is None else cheapest.external_id,
                quantity=product.min_order_quantity,
                country=country,
                currency=work.currency,
                language="en",
            )
    except Rejected:
        return None
    return options[0] if options else None


def staged_row(
    run_id: str,
    product: SupplierProduct,
    french: SupplierProduct | None,
    freight: dict[str, FreightOption | None],
) -> tuple[Any, ...]:
    """A product as a row of `staged_products`, its values in the order of STAGED_COLUMNS."""
    variants = _priced(product.variants)
    cheapest = _cheapest(variants)
    seller = product.seller
    images = [url for url in map(_address, product.image_urls) if url is not None]
    quantity = max(product.min_order_quantity, 1)
    return (
        run_id,
        product.external_id,
        [alias for alias in product.aliases if alias != product.external_id],
        one_line(product.title) or product.external_id,
        plain_text(product.description),
        None if french is None else plain_text(french.description),
        [*product.category_path] or [one for one in (product.category_id,) if one is not None],
        one_line(product.category_name or "") or None,
        product.status,
        product.rating,
        _count(product.review_count),
        _count(product.order_count),
        None if cheapest is None else cheapest.price,
        product.currency,
        _stock(product.variants),
        images[:20],
        tuple(_variant(one) for one in _distinct(variants)),
        _tiers(product, cheapest),
        tuple(_freight_json(code, one, quantity) for code, one in freight.items()),
        _count(product.weight_grams) or None,
        None if seller is None else seller.external_id,
        None if seller is None else one_line(seller.name) or seller.external_id,
        None if seller is None else seller.rating,
        _count(product.min_order_quantity) or 1,
        _count(product.order_increment) or 1,
    )


def _cheapest(variants: Sequence[SupplierVariant]) -> SupplierVariant | None:
    priced = [one for one in variants if one.price > 0]
    return min(priced, key=lambda one: one.price) if priced else None


def _priced(variants: Sequence[SupplierVariant]) -> list[SupplierVariant]:
    """Those whose price can be one, in whole cents rounded up: no cost is kept too low."""
    return [
        replace(
            one,
            price=one.price.quantize(_CENT, ROUND_UP),
            bulk_price=_in_cents(one.bulk_price),
        )
        for one in variants
        if 0 < one.price <= _LARGEST_PRICE
    ]


def _in_cents(price: Decimal | None) -> Decimal | None:
    return None if price is None or price > _LARGEST_PRICE else price.quantize(_CENT, ROUND_UP)


def _options(one: SupplierVariant) -> list[dict[str, str]]:
    """What a variant is, as much of it as the database keeps."""
    kept: list[dict[str, str]] = []
    for name, value in one.options[:10]:
        more = [*kept, {"name": one_line(name, 100), "value": one_line(value, 200)}]
        if len(json.dumps(more, ensure_ascii=False).encode()) > _OPTION_BYTES:
            break
        kept = more
    return kept


def _distinct(variants: Iterable[SupplierVariant]) -> list[SupplierVariant]:
    """Variants with a price, each id once."""
    found: dict[str, SupplierVariant] = {}
    for one in variants:
        if one.price > 0:
            found.setdefault(one.external_id, one)
    return list(found.values())[:200]


def _stock(variants: Sequence[SupplierVariant]) -> int | None:
    """Pieces of all variants together; None when the supplier does not say."""
    known = [one.stock for one in variants if one.stock is not None]
    if not known or (len(known) < len(variants) and sum(known) == 0):
        return None
    return _count(sum(known))


def _variant(one: SupplierVariant) -> dict[str, Any]:
    return {
        "external_id": one.external_id,
        "attributes": one_line(one.attributes, 500),
        "options": _options(one),
        "price": one.price,
        "bulk_price": one.bulk_price if one.bulk_price and one.bulk_quantity else None,
        "bulk_quantity": _count(one.bulk_quantity)
        if one.bulk_price and one.bulk_quantity
        else None,
        "stock": _count(one.stock),
        "image_url": None if one.image_url is None else _address(one.image_url),
    }


def _tiers(product: SupplierProduct, cheapest: SupplierVariant | None) -> tuple[Any, ...]:
    """The ladder, its prices put in proportion to those of the cheapest variant."""
    if cheapest is None or not product.tiers or product.tiers[0].price <= 0:
        return ()
    first = product.tiers[0].price
    return tuple(
        {
            "min_quantity": _count(one.min_quantity),
            "max_quantity": _count(one.max_quantity),
            "price": one.price * cheapest.price / first,
        }
        for one in product.tiers
    )


def _freight_json(country: str, option: FreightOption | None, quantity: int) -> dict[str, Any]:
    """For one piece, rounded up."""
    if option is None or option.fee > _LARGEST_PRICE:
        return {"country": country, "fee": None}
    return {
        "country": country,
        "fee": (option.fee / quantity).quantize(_CENT, ROUND_UP),
        "currency": option.currency,
        "min_days": _count(option.min_days, 365),
        "max_days": _count(option.max_days, 365),
    }


def _count(value: int | None, largest: int = _LARGEST) -> int | None:
    return None if value is None else max(0, min(value, largest))


def _address(url: str) -> str | None:
    """A picture's address; suppliers leave the scheme out."""
    text = f"https:{url}" if url.startswith("//") else url
    if not text.startswith(("http://", "https://")) or not text.isascii() or len(text) > 1_000:
        return None
    return text if text.isprintable() and " " not in text else None


def _take_in(task: Task, work: Slice) -> bool:
    """Take in batch by batch; whether the run has ended."""
    while not work.is_over():
        applied: dict[str, Any] = task.database.call(
            "apply_sync", run_id=work.run_id, batch=TAKEN_AT_ONCE
        )
        if applied["is_done"]:
            break
    while not work.is_over():
        report = task.database.call("finish_sync", run_id=work.run_id, batch=TAKEN_AT_ONCE)
        if report is not None and not report["is_done"]:
            continue
        if report is not None:
            log.info("sync.finished", **report)
        _clear(task, work)
        return True
    return False


def _clear(task: Task, work: Slice) -> None:
    """Forget what was staged; what is left over goes after the next run."""
    while not work.is_over():
        cleared: dict[str, int] = task.database.call("clear_syncs", batch=CLEARED_AT_ONCE)
        if not any(cleared.values()):
            return

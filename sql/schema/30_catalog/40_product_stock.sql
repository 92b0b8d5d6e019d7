-- Stock stands beside the product, not in it: an order rewrites a narrow row, not the page of a
-- product with its search vectors.

create table public.product_stock (
    listing_id uuid primary key generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    on_hand integer not null default 0,
    reserved integer not null default 0,
    available integer not null generated always as (on_hand - reserved) stored,
    updated_at timestamptz not null default now(),
    constraint product_stock_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_stock_on_hand_not_negative check (on_hand >= 0),
    constraint product_stock_reserved_not_negative check (reserved >= 0),
    constraint product_stock_never_oversold check (reserved <= on_hand)
)
with (fillfactor = 50);

alter table public.product_stock enable row level security;

create index product_stock_product_id_idx on public.product_stock (product_id);
create index product_stock_retailer_product_id_idx on public.product_stock (retailer_product_id);

comment on table public.product_stock is
'Pieces of a product: on hand, held by unpaid orders (reserved), and free (available).';
comment on column public.product_stock.listing_id is
'product_id or retailer_product_id, whichever is filled.';

create policy select_listed on public.product_stock
for select to anon, authenticated
using (
    exists (select from public.products as p where p.id = product_id)
    or exists (select from public.products_retailer as r where r.id = retailer_product_id)
);
comment on policy select_listed on public.product_stock is
'Stock is public, as on any shelf, of the goods that the reader sees.';

grant select on public.product_stock to anon, authenticated;
grant select, insert, update, delete on public.product_stock to service_role;

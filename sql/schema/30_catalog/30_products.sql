create type public.product_channel as enum ('retail', 'wholesale');

comment on type public.product_channel is
'Which product table a row points at: retail = products, wholesale = products_retailer.';

create table public.products (
    id uuid primary key default gen_random_uuid(),
    external_id text,
    supplier_id uuid references public.suppliers (id) on delete restrict,
    category_id uuid not null references public.categories (id) on delete restrict,
    name text not null,
    name_fr text,
    description text,
    description_fr text,
    price_mallgram numeric(12, 2) not null,
    currency text not null default 'USD',
    is_retailer boolean not null default false,
    seller_rating numeric(3, 2),
    review_count integer not null default 0,
    max_order_quantity integer not null default 100,
    weight_grams integer,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint products_supplier_id_external_id_key unique (supplier_id, external_id),
    constraint products_names_are_one_line
    check (
        name ~ '^[^[:cntrl:]]+$' and char_length(name) <= 300
        and name_fr ~ '^[^[:cntrl:]]+$' and char_length(name_fr) <= 300
    ),
    constraint products_price_positive check (price_mallgram > 0),
    constraint products_currency_is_base check (currency = 'USD'),
    constraint products_is_not_retailer check (is_retailer = false),
    constraint products_seller_rating_is_stars check (seller_rating between 0 and 5),
    constraint products_review_count_not_negative check (review_count >= 0),
    constraint products_max_order_quantity_positive check (max_order_quantity between 1 and 10000),
    constraint products_weight_positive check (weight_grams > 0)
);

alter table public.products enable row level security;

create index products_category_id_idx on public.products (category_id);

create trigger products_10_update_updated_at
before update on public.products
for each row execute function public.update_updated_at_column();

comment on table public.products is 'Retail goods (B2C), sold by the piece.';
comment on column public.products.external_id is
'The supplier''s id of it; who reads more of where it comes from are admins, by product_source.';
comment on column public.products.price_mallgram is
'The shop''s base price in currency; what a shopper pays is in product_prices.';
comment on column public.products.currency is
'The shop''s base currency, which costs and exchange rates are reckoned in: the US dollar.';
comment on column public.products.seller_rating is 'Supplier''s stars, 0 to 5.';

create policy select_active_or_admin on public.products
for select to anon, authenticated
using (is_active or (select private.is_admin()));

comment on policy select_active_or_admin on public.products is
'Everyone sees what is on sale, an admin everything.';

grant select on public.products to anon, authenticated;
grant select, insert, update, delete on public.products to service_role;

create table public.products_retailer (
    id uuid primary key default gen_random_uuid(),
    external_id text,
    supplier_id uuid references public.suppliers (id) on delete restrict,
    category_id uuid not null references public.categories (id) on delete restrict,
    name text not null,
    name_fr text,
    description text,
    description_fr text,
    price_mallgram numeric(12, 2) not null,
    currency text not null default 'USD',
    is_retailer boolean not null default true,
    seller_rating numeric(3, 2),
    review_count integer not null default 0,
    min_order_quantity integer not null default 2,
    order_increment integer not null default 1,
    max_order_quantity integer not null default 10000,
    bulk_discount_percent numeric(5, 2) not null default 0,
    bulk_min_quantity integer not null default 100,
    weight_grams integer,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint products_retailer_supplier_id_external_id_key unique (supplier_id, external_id),
    constraint products_retailer_names_are_one_line
    check (
        name ~ '^[^[:cntrl:]]+$' and char_length(name) <= 300
        and name_fr ~ '^[^[:cntrl:]]+$' and char_length(name_fr) <= 300
    ),
    constraint products_retailer_price_positive check (price_mallgram > 0),
    constraint products_retailer_currency_is_base check (currency = 'USD'),
    constraint products_retailer_is_retailer check (is_retailer = true),
    constraint products_retailer_seller_rating_is_stars check (seller_rating between 0 and 5),
    constraint products_retailer_review_count_not_negative check (review_count >= 0),
    constraint products_retailer_min_order_quantity_is_wholesale check (min_order_quantity >= 2),
    constraint products_retailer_quantities_fit
    check (
        order_increment >= 1
        and max_order_quantity between min_order_quantity and 10000
        and bulk_min_quantity >= min_order_quantity
    ),
    constraint products_retailer_bulk_starts_above_minimum
    check (bulk_discount_percent = 0 or bulk_min_quantity > min_order_quantity),
    constraint products_retailer_bulk_discount_is_percent
    check (bulk_discount_percent >= 0 and bulk_discount_percent <= 90),
    constraint products_retailer_weight_positive check (weight_grams > 0)
);

alter table public.products_retailer enable row level security;

create index products_retailer_category_id_idx on public.products_retailer (category_id);

create trigger products_retailer_10_update_updated_at
before update on public.products_retailer
for each row execute function public.update_updated_at_column();

comment on table public.products_retailer is
'Wholesale goods (B2B), sold from min_order_quantity in steps of order_increment.';
comment on column public.products_retailer.external_id is 'As products.external_id.';
comment on column public.products_retailer.price_mallgram is
'The shop''s base price of one piece in currency; what a buyer pays is in product_prices.';
comment on column public.products_retailer.currency is 'As products.currency.';
comment on column public.products_retailer.bulk_discount_percent is
'Taken off the unit price from bulk_min_quantity pieces, unless a price tier gives more.';

create policy select_active_or_admin on public.products_retailer
for select to anon, authenticated
using (is_active or (select private.is_admin()));

comment on policy select_active_or_admin on public.products_retailer is
'Everyone sees what is on sale, an admin everything.';

grant select on public.products_retailer to anon, authenticated;
grant select, insert, update, delete on public.products_retailer to service_role;

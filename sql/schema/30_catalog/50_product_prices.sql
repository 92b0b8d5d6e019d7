create table public.product_prices (
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    amount numeric(12, 2) not null,
    source text not null default 'manual',
    channel public.product_channel not null generated always as (
        case
            when product_id is not null then 'retail'::public.product_channel
            else 'wholesale'::public.product_channel
        end
    ) stored,
    category_id uuid not null references public.categories (id) on delete restrict,
    rating numeric(3, 2) not null default 0,
    is_held boolean not null default false,
    is_listed boolean not null default true,
    listed_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (listing_id, country),
    constraint product_prices_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_prices_amount_positive check (amount > 0),
    constraint product_prices_source_is_known check (source in ('rule', 'manual')),
    constraint product_prices_held_is_not_listed check (not (is_held and is_listed))
);

alter table public.product_prices enable row level security;

-- One index a sort, over the whole shop and within a category: a list is read off in its order.
create index product_prices_amount_idx
on public.product_prices (country, amount, listing_id);
create index product_prices_listed_at_idx
on public.product_prices (country, listed_at, listing_id) where is_listed;
create index product_prices_rating_idx
on public.product_prices (country, rating, listing_id) where is_listed;
create index product_prices_category_id_amount_idx
on public.product_prices (country, category_id, amount, listing_id) where is_listed;
create index product_prices_category_id_listed_at_idx
on public.product_prices (country, category_id, listed_at, listing_id) where is_listed;
create index product_prices_category_id_rating_idx
on public.product_prices (country, category_id, rating, listing_id) where is_listed;
create index product_prices_category_id_idx on public.product_prices (category_id);
create index product_prices_currency_idx on public.product_prices (currency);
create index product_prices_product_id_idx on public.product_prices (product_id);
create index product_prices_retailer_product_id_idx
on public.product_prices (retailer_product_id);

create trigger product_prices_10_update_updated_at
before update on public.product_prices
for each row execute function public.update_updated_at_column();

comment on table public.product_prices is
'What a piece costs in a country: final, tax included, rounded. Alone listed, sorted, charged.';
comment on column public.product_prices.category_id is
'Kept from the product, as rating (0 without one), is_listed and listed_at are: a list is sorted '
'and cut on this table alone.';
comment on column public.product_prices.source is
'rule = kept by the price rule, manual = set by hand and never overwritten.';
comment on column public.product_prices.is_held is
'Not for sale: its floor has overtaken it, until somebody sets another or the floor falls.';

create or replace function private.tg_product_prices__check_currency()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.currency is distinct from (
        select c.currency from public.countries as c where c.code = new.country
    ) then
        perform private.fail('price_currency_mismatch', new.country || ' ' || new.currency);
    end if;
    if new.amount is distinct from private.round_money(new.amount, new.currency) then
        perform private.fail('price_not_rounded', new.amount || ' ' || new.currency);
    end if;
    return new;
end
$$;

revoke all on function private.tg_product_prices__check_currency() from public;

comment on function private.tg_product_prices__check_currency() is
'Trigger: a price is in its country''s currency and at that currency''s decimals. Errors: '
'price_currency_mismatch, price_not_rounded.';

create trigger product_prices_50_check_currency
before insert or update on public.product_prices
for each row execute function private.tg_product_prices__check_currency();

create or replace function private.tg_product_prices__copy_product()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.product_id is not null then
        select
            p.category_id, coalesce(p.seller_rating, 0), p.is_active and not new.is_held,
            p.created_at
        into new.category_id, new.rating, new.is_listed, new.listed_at
        from public.products as p
        where p.id = new.product_id;
    else
        select
            p.category_id, coalesce(p.seller_rating, 0), p.is_active and not new.is_held,
            p.created_at
        into new.category_id, new.rating, new.is_listed, new.listed_at
        from public.products_retailer as p
        where p.id = new.retailer_product_id;
    end if;
    return new;
end
$$;

create or replace function private.tg_products__list_prices()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.product_prices as pp
    set category_id = n.category_id,
        rating = coalesce(n.seller_rating, 0),
        is_listed = n.is_active and not pp.is_held,
        listed_at = n.created_at
    from changed as n
    where pp.listing_id = n.id
        and (pp.category_id, pp.rating, pp.is_listed, pp.listed_at)
        is distinct from (
            n.category_id, coalesce(n.seller_rating, 0), n.is_active and not pp.is_held,
            n.created_at
        );
    return null;
end
$$;

revoke all on function private.tg_product_prices__copy_product() from public;
revoke all on function private.tg_products__list_prices() from public;

comment on function private.tg_product_prices__copy_product() is
'Trigger: a price has its product''s category, rating and state from the start.';
comment on function private.tg_products__list_prices() is
'Trigger: prices follow their products'' category, rating and state. Definer because prices have '
'no update grant for everyone who may change a product.';

create trigger product_prices_10_copy_product
before insert on public.product_prices
for each row execute function private.tg_product_prices__copy_product();

create trigger products_80_list_prices
after update on public.products
referencing new table as changed
for each statement execute function private.tg_products__list_prices();

create trigger products_retailer_80_list_prices
after update on public.products_retailer
referencing new table as changed
for each statement execute function private.tg_products__list_prices();

create policy select_listed_or_admin on public.product_prices
for select to anon, authenticated
using (is_listed or (select private.is_admin()));

comment on policy select_listed_or_admin on public.product_prices is
'Prices that goods are sold at are public; an admin sees as well those that are held or of goods '
'off sale.';

grant select on public.product_prices to anon, authenticated;
grant select, insert, update, delete on public.product_prices to service_role;

create table public.price_tiers (
    id uuid primary key default gen_random_uuid(),
    retailer_product_id uuid not null references public.products_retailer (id) on delete cascade,
    quantities int4range not null,
    discount_percent numeric(5, 2) not null,
    constraint price_tiers_quantities_are_wholesale
    check (coalesce(lower(quantities) >= 2, false)),
    constraint price_tiers_discount_is_percent
    check (discount_percent > 0 and discount_percent <= 90),
    constraint price_tiers_no_overlap
    exclude using gist (retailer_product_id with =, quantities with &&)
);

alter table public.price_tiers enable row level security;

comment on table public.price_tiers is
'Wholesale breaks: percent off the listed unit price for a range of quantities; no two overlap.';

create policy select_listed on public.price_tiers
for select to anon, authenticated
using (exists (select from public.products_retailer as r where r.id = retailer_product_id));
comment on policy select_listed on public.price_tiers is
'Listed prices are public, of the goods that the reader sees.';

grant select on public.price_tiers to anon, authenticated;
grant select, insert, update, delete on public.price_tiers to service_role;

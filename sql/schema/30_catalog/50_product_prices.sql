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
    updated_at timestamptz not null default now(),
    primary key (listing_id, country),
    constraint product_prices_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_prices_amount_positive check (amount > 0),
    constraint product_prices_source_is_known check (source in ('rule', 'manual'))
);

alter table public.product_prices enable row level security;

create index product_prices_country_amount_idx
on public.product_prices (country, amount, listing_id);
create index product_prices_currency_idx on public.product_prices (currency);
create index product_prices_product_id_idx on public.product_prices (product_id);
create index product_prices_retailer_product_id_idx
on public.product_prices (retailer_product_id);

create trigger product_prices_10_update_updated_at
before update on public.product_prices
for each row execute function public.update_updated_at_column();

comment on table public.product_prices is
'What a piece costs in a country: final, tax included, rounded. Alone listed, sorted, charged.';
comment on column public.product_prices.source is
'rule = kept by the price rule, manual = set by hand and never overwritten.';

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

create policy select_all on public.product_prices for select to anon, authenticated using (true);
comment on policy select_all on public.product_prices is 'Listed prices are public.';

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

create policy select_all on public.price_tiers for select to anon, authenticated using (true);
comment on policy select_all on public.price_tiers is 'Listed prices are public.';

grant select on public.price_tiers to anon, authenticated;
grant select, insert, update, delete on public.price_tiers to service_role;

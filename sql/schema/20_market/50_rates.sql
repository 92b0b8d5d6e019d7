create table public.shipping_rates (
    id uuid primary key default gen_random_uuid(),
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    amount numeric(12, 2) not null,
    free_from numeric(12, 2),
    valid_from date not null default '2026-01-01',
    valid_until date,
    constraint shipping_rates_amount_not_negative check (amount >= 0),
    constraint shipping_rates_free_from_positive check (free_from > 0),
    constraint shipping_rates_no_overlap exclude using gist (
        country with =, daterange(valid_from, valid_until) with &&
    )
);

alter table public.shipping_rates enable row level security;

create index shipping_rates_currency_idx on public.shipping_rates (currency);

comment on table public.shipping_rates is
'Delivery charge of an order, tax included, by country and date.';
comment on column public.shipping_rates.free_from is
'Subtotal after discount from which delivery is free; null = never.';
comment on column public.shipping_rates.valid_until is 'First day it no longer holds; null = open.';

create policy select_all on public.shipping_rates for select to anon, authenticated using (true);
comment on policy select_all on public.shipping_rates is 'Public reference data.';
grant select on public.shipping_rates to anon, authenticated, service_role;

create table public.tax_rates (
    id uuid primary key default gen_random_uuid(),
    country text not null references public.countries (code) on delete restrict,
    name text not null,
    name_fr text not null,
    rate numeric(6, 4) not null,
    valid_from date not null default '2026-01-01',
    valid_until date,
    constraint tax_rates_rate_is_share check (rate >= 0 and rate < 1),
    constraint tax_rates_no_overlap exclude using gist (
        country with =, daterange(valid_from, valid_until) with &&
    )
);

alter table public.tax_rates enable row level security;

comment on table public.tax_rates is
'Value-added tax contained in listed prices, by country and date: 0.1500 is 15 percent.';

create policy select_all on public.tax_rates for select to anon, authenticated using (true);
comment on policy select_all on public.tax_rates is 'Public reference data.';
grant select on public.tax_rates to anon, authenticated, service_role;

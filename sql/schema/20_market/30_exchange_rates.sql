create table public.exchange_rates (
    base_currency text not null references public.currencies (code) on delete restrict,
    quote_currency text not null references public.currencies (code) on delete restrict,
    rate numeric(18, 8) not null,
    as_of timestamptz not null,
    source text not null,
    primary key (base_currency, quote_currency, as_of),
    constraint exchange_rates_rate_positive check (rate > 0),
    constraint exchange_rates_pair_differs check (base_currency <> quote_currency)
);

alter table public.exchange_rates enable row level security;

create index exchange_rates_quote_currency_idx on public.exchange_rates (quote_currency);

comment on table public.exchange_rates is
'Units of quote_currency for one of base_currency, as of a moment; the newest row counts.';

create policy select_all on public.exchange_rates for select to anon, authenticated using (true);
comment on policy select_all on public.exchange_rates is 'Public reference data.';
grant select on public.exchange_rates to anon, authenticated, service_role;

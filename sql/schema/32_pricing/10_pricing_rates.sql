-- What a shopper pays does not move four times a day with the market: prices are made with the
-- rate below, which follows the newest good one only when that is more than a percent away. The
-- buffer for exchange in the price rules covers what lies between.

create table private.pricing_rates (
    currency text primary key references public.currencies (code) on delete restrict,
    per_dollar numeric(18, 8) not null,
    quoted_at timestamptz not null,
    source text not null,
    adopted_at timestamptz not null default now(),
    constraint pricing_rates_per_dollar_positive check (per_dollar > 0 and per_dollar <> 'NaN')
);

alter table private.pricing_rates enable row level security;

comment on table private.pricing_rates is
'The rate that prices are made with: units of currency for one dollar.';
comment on column private.pricing_rates.quoted_at is 'When the source quoted it.';

create or replace function private.rate_tolerance()
returns numeric
language sql
immutable
set search_path = ''
as $$
    select 0.01
$$;

create or replace function private.adopt_exchange_rates()
returns text []
language plpgsql
set search_path = ''
as $$
declare
    v_adopted text [];
begin
    with adopted as (
        insert into private.pricing_rates as p (currency, per_dollar, quoted_at, source)
        select r.quote_currency, r.rate, r.as_of, r.source
        from public.currencies as c
        cross join lateral private.newest_exchange_rate(c.code) as r
        where r.rate is not null
        on conflict on constraint pricing_rates_pkey do update
        set per_dollar = excluded.per_dollar,
            quoted_at = excluded.quoted_at,
            source = excluded.source,
            adopted_at = now()
        where abs(excluded.per_dollar / p.per_dollar - 1) > private.rate_tolerance()
        returning p.currency
    )

    select coalesce(array_agg(a.currency order by a.currency), '{}') into v_adopted
    from adopted as a;
    if cardinality(v_adopted) > 0 then
        perform private.request_repricing();
    end if;
    return v_adopted;
end
$$;

revoke all on function private.rate_tolerance() from public;
revoke all on function private.adopt_exchange_rates() from public;

comment on function private.rate_tolerance() is
'How far the market may move away before prices follow, as a share.';
comment on function private.adopt_exchange_rates() is
'Lets prices follow the newest good rates; which currencies moved. Every price is then made anew, '
'by a job.';

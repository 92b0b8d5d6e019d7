-- Which exchange rates do prices rest on, who said so, and which were refused?
with newest as (
    select distinct on (x.base_currency, x.quote_currency) x.*
    from public.exchange_rates as x
    order by x.base_currency, x.quote_currency, x.as_of desc
)

select
    n.base_currency as base,
    n.quote_currency as quote,
    n.rate,
    n.source,
    n.as_of,
    justify_interval(date_trunc('minute', now() - n.as_of)) as age,
    now() - n.as_of > interval '72 hours' as is_old,
    (
        select string_agg(f.rate || ' ' || f.source || ' (' || f.reason || ')', ', ' order by f.id)
        from private.refused_exchange_rates as f
        where f.base_currency = n.base_currency
            and f.quote_currency = n.quote_currency
            and f.accepted_at is null
            and f.observed_at > n.as_of
    ) as refused_since
from newest as n
order by base, quote

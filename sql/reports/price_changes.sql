-- Which prices moved most in the last seven days, and are they kept by a rule or by hand?
select
    coalesce(p.name, r.name) as product,
    h.country,
    h.currency,
    h.previous_amount,
    h.amount,
    round(100 * (h.amount / h.previous_amount - 1), 1) as percent,
    h.source,
    h.changed_at
from public.price_history as h
left join public.products as p on h.product_id = p.id
left join public.products_retailer as r on h.retailer_product_id = r.id
where h.changed_at > now() - interval '7 days' and h.previous_amount is not null
order by abs(h.amount / h.previous_amount - 1) desc, h.changed_at desc
limit 50

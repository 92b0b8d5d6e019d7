-- No price is live under its floor, and every live one is the last of its history.
-- Breaks of wholesale prices begin above the least quantity, whose price is the listed one.
select
    'prices' as check_name,
    pp.listing_id as subject_id,
    format('%s %s is under its floor %s', pp.country, pp.amount, f.amount) as detail
from public.product_prices as pp
inner join private.price_floors as f on pp.listing_id = f.listing_id and pp.country = f.country
where not pp.is_held and pp.amount < f.amount
union all
select
    'prices',
    pp.listing_id,
    format(
        '%s is live at %s, its history says %s', pp.country, pp.amount,
        coalesce(h.amount::text, 'nothing')
    )
from public.product_prices as pp
left join lateral (
    select l.amount
    from public.price_history as l
    where l.listing_id = pp.listing_id and l.country = pp.country
    order by l.changed_at desc
    limit 1
) as h on true
where not pp.is_held and pp.amount is distinct from h.amount
union all
select
    'prices',
    p.id,
    format(
        'a break begins at %s, the least quantity is %s', lower(t.quantities),
        p.min_order_quantity
    )
from public.price_tiers as t
inner join public.products_retailer as p on t.retailer_product_id = p.id
where lower(t.quantities) <= p.min_order_quantity

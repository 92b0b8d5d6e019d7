-- Which goods on sale earn least above their floor, and at what cost?
select
    p.channel,
    coalesce(g.name, r.name) as product,
    p.country,
    p.amount as price,
    f.amount as floor,
    p.currency,
    round(100 * (p.amount / f.amount - 1), 1) as percent_above,
    f.cost as supplier_asks,
    f.cost_currency,
    p.source as kept_by
from public.product_prices as p
inner join private.price_floors as f
    on p.listing_id = f.listing_id and p.country = f.country and p.currency = f.currency
left join public.products as g on p.product_id = g.id
left join public.products_retailer as r on p.retailer_product_id = r.id
where p.is_listed
order by p.amount / f.amount, product, p.country
limit 50

-- What do people wish for that we do not have?
select
    n.channel,
    coalesce(p.name, r.name) as product,
    count(*) as wishes,
    count(distinct u.country) as countries,
    min(n.created_at) as since,
    coalesce(s.available, 0) as available,
    coalesce(p.is_active, r.is_active) as is_on_sale
from public.wishlist_items as n
inner join public.users as u on n.user_id = u.id
left join public.products as p on n.product_id = p.id
left join public.products_retailer as r on n.retailer_product_id = r.id
left join public.product_stock as s on n.listing_id = s.listing_id
where not private.is_in_stock(n.listing_id)
group by n.channel, p.id, r.id, s.available
order by wishes desc, product
limit 100

-- The pieces held of a product are those of its unpaid orders.
select
    'stock' as check_name,
    s.listing_id as subject_id,
    format('reserved %s, unpaid orders hold %s', s.reserved, coalesce(h.held, 0)) as detail
from public.product_stock as s
left join (
    select
        coalesce(i.product_id, i.retailer_product_id) as listing_id,
        sum(i.quantity) as held
    from public.order_items as i
    inner join public.orders as o on i.order_id = o.id
    where o.status = 'pending'
    group by 1
) as h on s.listing_id = h.listing_id
where s.reserved <> coalesce(h.held, 0)

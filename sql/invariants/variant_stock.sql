-- The pieces held of a variant are those of its unpaid orders.
select
    'variant_stock' as check_name,
    v.id as subject_id,
    format('reserved %s, unpaid orders hold %s', v.reserved, coalesce(h.held, 0)) as detail
from public.product_variants as v
left join (
    select
        i.variant_id,
        sum(i.quantity) as held
    from public.order_items as i
    inner join public.orders as o on i.order_id = o.id
    where o.status = 'pending' and i.variant_id is not null
    group by i.variant_id
) as h on v.id = h.variant_id
where v.reserved <> coalesce(h.held, 0)

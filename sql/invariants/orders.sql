-- Lines, discounts and taxes of an order sum to the order.
select
    'orders' as check_name,
    o.id as subject_id,
    format(
        'subtotal %s of lines %s, discount %s of %s, tax %s of %s',
        o.subtotal_price, i.subtotal, o.discount_amount, i.discount, o.tax_amount,
        i.tax + o.shipping_tax_amount
    ) as detail
from public.orders as o
cross join lateral (
    select
        coalesce(sum(x.subtotal), 0) as subtotal,
        coalesce(sum(x.discount_amount), 0) as discount,
        coalesce(sum(x.tax_amount), 0) as tax
    from public.order_items as x
    where x.order_id = o.id
) as i
where (o.subtotal_price, o.discount_amount, o.tax_amount)
    is distinct from (i.subtotal, i.discount, i.tax + o.shipping_tax_amount)

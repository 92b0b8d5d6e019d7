-- A paid order has the payment that won it, an open payment its next check, other money a person.
select
    'payments' as check_name,
    o.id as subject_id,
    format('order is %s with %s winning payments', o.status, count(p.id)) as detail
from public.orders as o
left join public.payments as p
    on o.id = p.order_id and p.is_winner and p.amount = o.total_price and p.currency = o.currency
group by o.id
having (o.paid_at is not null) <> (count(p.id) = 1)
union all
select
    'payments',
    p.id,
    'open, and no check is planned'
from public.payments as p
where p.status in ('pending', 'processing')
    and p.next_check_at is null
    and not exists (
        select from private.payment_exceptions as e
        where e.payment_id = p.id and e.resolved_at is null
    )
union all
select
    'payments',
    p.id,
    'money arrived, paid no order and stands before nobody'
from public.payments as p
where p.paid_at is not null
    and not p.is_winner
    and not exists (select from private.payment_exceptions as e where e.payment_id = p.id)

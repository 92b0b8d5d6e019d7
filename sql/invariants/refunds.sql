-- No line is refunded twice, no refund waits for nobody.
select
    'refunds' as check_name,
    i.id as subject_id,
    format('%s of %s pieces refunded', r.quantity, i.quantity) as detail
from public.order_items as i
cross join lateral (
    select coalesce(sum(x.quantity), 0) as quantity
    from public.refund_items as x
    inner join public.refunds as f on x.refund_id = f.id
    where x.order_item_id = i.id and f.status in ('pending', 'processing', 'refunded')
) as r
where r.quantity > i.quantity
union all
select
    'refunds',
    r.id,
    format('%s, and neither a check nor a person waits for it', r.status)
from public.refunds as r
where r.next_check_at is null
    and r.status in ('pending', 'processing')
    and r.way <> 'manual'
    and not exists (
        select from private.payment_exceptions as e
        where e.refund_id = r.id and e.resolved_at is null
    )
union all
select
    'refunds',
    r.id,
    'waits for hands and stands before nobody'
from public.refunds as r
where r.status = 'pending'
    and r.way = 'manual'
    and not exists (
        select from private.payment_exceptions as e
        where e.refund_id = r.id and e.resolved_at is null
    )
union all
select
    'refunds',
    r.id,
    'failed, and nobody was told'
from public.refunds as r
where r.status = 'failed'
    and not exists (select from private.payment_exceptions as e where e.refund_id = r.id)
    and not exists (
        select from public.refunds as n
        where n.payment_id = r.payment_id and n.created_at >= r.created_at and n.id <> r.id
    )

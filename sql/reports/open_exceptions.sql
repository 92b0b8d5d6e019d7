-- What waits for a person, and for how long?
select
    e.created_at,
    justify_interval(date_trunc('minute', now() - e.created_at)) as age,
    e.kind,
    e.gateway,
    e.amount,
    e.currency,
    o.order_number,
    e.detail,
    private.safe_actions(e) as actions,
    e.id
from private.payment_exceptions as e
left join public.orders as o on e.order_id = o.id
where e.resolved_at is null
order by e.created_at

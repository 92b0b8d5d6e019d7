-- Do orders and payments say the same? Sums of what was sold, paid for and given back.
select
    date_trunc('day', o.paid_at at time zone 'UTC')::date as day,
    o.currency,
    count(*) as orders,
    sum(o.total_price) as sold,
    sum(p.collected_amount) as collected,
    sum(p.refunded_amount) as refunded,
    sum(p.collected_amount - p.refunded_amount) as kept
from public.orders as o
inner join public.payments as p on o.id = p.order_id and p.is_winner
group by 1, 2
order by 1 desc, 2

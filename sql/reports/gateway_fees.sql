-- What does each gateway cost, by month and as a share of what it collected?
select
    date_trunc('month', p.paid_at at time zone 'UTC')::date as month,
    p.gateway,
    p.collected_currency as currency,
    count(*) as payments,
    count(p.fee_amount) as fees_known,
    sum(p.collected_amount) as collected,
    coalesce(sum(p.fee_amount), 0) as fees,
    round(
        100 * sum(p.fee_amount) / nullif(
            sum(p.collected_amount) filter (where p.fee_amount is not null), 0
        ),
        2
    ) as percent
from public.payments as p
where p.paid_at is not null
group by 1, 2, 3
order by 1 desc, 2, 3

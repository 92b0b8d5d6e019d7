-- What did each gateway take each day, less what went back and what it kept?
select
    date_trunc('day', t.created_at at time zone 'UTC')::date as day,
    e.gateway,
    e.currency,
    count(distinct t.payment_id) filter (where t.kind = 'receipt') as payments,
    coalesce(sum(e.amount) filter (where t.kind = 'receipt'), 0) as collected,
    coalesce(-sum(e.amount) filter (where t.kind = 'refund'), 0) as refunded,
    coalesce(-sum(e.amount) filter (where t.kind = 'fee'), 0) as fees,
    sum(e.amount) filter (where t.kind in ('receipt', 'refund', 'fee')) as net
from private.ledger_entries as e
inner join private.ledger_transactions as t on e.transaction_id = t.id
where e.account = 'gateway_receivable' and t.kind in ('receipt', 'refund', 'fee')
group by day, e.gateway, e.currency
order by day desc, e.gateway, e.currency

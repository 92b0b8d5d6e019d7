-- Who holds our money, and whom do we owe?
select
    a.kind,
    e.account,
    e.gateway,
    e.currency,
    case when a.kind = 'asset' then sum(e.amount) else -sum(e.amount) end as amount,
    min(t.created_at) as since
from private.ledger_entries as e
inner join private.ledger_accounts as a on e.account = a.code
inner join private.ledger_transactions as t on e.transaction_id = t.id
where a.kind in ('asset', 'liability') and e.account <> 'bank'
group by a.kind, e.account, e.gateway, e.currency
having sum(e.amount) <> 0
order by a.kind, e.account, e.gateway, e.currency

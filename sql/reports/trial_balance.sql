-- Do the books balance? The last line of each currency must say zero.
select
    e.currency,
    coalesce(e.account, 'balance') as account,
    coalesce(sum(e.amount) filter (where e.amount > 0), 0) as debit,
    coalesce(-sum(e.amount) filter (where e.amount < 0), 0) as credit,
    sum(e.amount) as balance
from private.ledger_entries as e
group by grouping sets ((e.currency, e.account), (e.currency))
order by e.currency, (e.account is null), e.account

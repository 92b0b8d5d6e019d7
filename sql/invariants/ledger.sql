-- The books balance, and say the same of every order and payment as the rows do.
select
    'ledger' as check_name,
    e.transaction_id as subject_id,
    format('%s %s do not balance', sum(e.amount), e.currency) as detail
from private.ledger_entries as e
group by e.transaction_id, e.currency
having sum(e.amount) <> 0
union all
select
    'ledger',
    p.id,
    format(
        'gateway collected %s, gave back %s, kept %s: the books say %s',
        p.collected_amount, p.refunded_amount, coalesce(p.fee_amount, 0), coalesce(b.held, 0)
    )
from public.payments as p
left join lateral (
    select sum(e.amount) as held
    from private.ledger_transactions as t
    inner join private.ledger_entries as e on t.id = e.transaction_id
    where t.payment_id = p.id and e.account = 'gateway_receivable'
) as b on true
where coalesce(p.collected_amount, 0) - p.refunded_amount - coalesce(p.fee_amount, 0)
    <> coalesce(b.held, 0)
union all
select
    'ledger',
    o.id,
    format('sold for %s, the books say %s', o.total_price, coalesce(b.sold, 0))
from public.orders as o
left join lateral (
    -- What the buyer gave for it: the receipt, and what was waived of it.
    select sum(e.amount) as sold
    from private.ledger_transactions as t
    inner join private.ledger_entries as e on t.id = e.transaction_id
    where t.kind = 'sale'
        and t.subject_id = o.id
        and e.account in ('unallocated_receipts', 'payment_differences')
) as b on true
where case when o.paid_at is not null then o.total_price else 0 end <> coalesce(b.sold, 0)
union all
select
    'ledger',
    p.id,
    format('refunds of %s went through, the payment says %s', r.refunded, p.refunded_amount)
from public.payments as p
cross join lateral (
    select coalesce(sum(x.amount), 0) as refunded
    from public.refunds as x
    where x.payment_id = p.id and x.status = 'refunded'
) as r
where r.refunded <> p.refunded_amount
union all
select
    'ledger',
    u.payment_id,
    format('%s %s bought nothing and is owed', u.amount, u.currency)
from (
    select t.payment_id, e.currency, -sum(e.amount) as amount
    from private.ledger_transactions as t
    inner join private.ledger_entries as e on t.id = e.transaction_id
    where e.account = 'unallocated_receipts'
    group by t.payment_id, e.currency
) as u
where u.amount < 0
    or (
        u.amount > 0
        and not exists (
            select from private.payment_exceptions as x where x.payment_id = u.payment_id
        )
        and not exists (
            select from public.refunds as x
            where x.payment_id = u.payment_id and x.status in ('pending', 'processing')
        )
    )
union all
select
    'ledger',
    p.id,
    format('%s %s owed to an affiliate, the books say %s', d.owed, p.currency, coalesce(b.owed, 0))
from public.affiliate_payouts as p
cross join lateral (
    select
        case when p.payout_status in ('paid', 'cancelled') then 0 else p.payout_amount end as owed
) as d
left join lateral (
    select -sum(e.amount) as owed
    from private.ledger_transactions as t
    inner join private.ledger_entries as e on t.id = e.transaction_id
    where t.subject_id = p.id and e.account = 'commissions_payable'
) as b on true
where d.owed <> coalesce(b.owed, 0)

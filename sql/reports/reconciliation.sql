-- Where do a gateway's statements and our books differ?
select
    s.gateway,
    s.file_name,
    l.line_number,
    l.kind,
    l.occurred_at,
    l.outcome,
    coalesce(l.transaction_id, l.reference) as gateway_says,
    l.gross as statement_amount,
    coalesce(r.amount, p.collected_amount) as our_amount,
    l.fee as statement_fee,
    p.fee_amount as our_fee,
    l.currency,
    p.id as payment_id
from private.gateway_statement_lines as l
inner join private.gateway_statements as s on l.statement_id = s.id
left join public.payments as p on l.payment_id = p.id
left join public.refunds as r on l.refund_id = r.id
where l.outcome in ('differs', 'unknown')
union all
select
    p.gateway,
    null,
    null,
    'payment',
    p.paid_at,
    'missing',
    coalesce(p.gateway_transaction_id, p.reference),
    null,
    p.collected_amount,
    null,
    p.fee_amount,
    p.collected_currency,
    p.id
from private.payment_exceptions as e
inner join public.payments as p on e.payment_id = p.id
where e.kind = 'missing_in_statement' and e.resolved_at is null
order by gateway, occurred_at

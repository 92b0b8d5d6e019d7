create type private.ledger_line as (
    account text,
    gateway text,
    currency text,
    amount numeric
);

comment on type private.ledger_line is
'An entry to be: amount in currency, debit positive; zero is left out.';

create or replace function private.post(
    kind text,
    subject_id uuid,
    lines private.ledger_line [],
    order_id uuid default null,
    payment_id uuid default null,
    refund_id uuid default null,
    part integer default 1
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_transaction_id uuid;
begin
    insert into private.ledger_transactions (
        kind, subject_id, part, order_id, payment_id, refund_id, request_id
    )
    values (
        post.kind, post.subject_id, post.part, post.order_id, post.payment_id, post.refund_id,
        nullif(current_setting('mallgram.request_id', true), '')
    )
    returning id into v_transaction_id;
    insert into private.ledger_entries (transaction_id, account, gateway, currency, amount)
    select v_transaction_id, l.account, l.gateway, l.currency, l.amount
    from unnest(post.lines) as l
    where l.amount <> 0;
end
$$;

create or replace function private.next_part(kind text, subject_id uuid)
returns integer
language sql
stable
set search_path = ''
as $$
    select coalesce(max(t.part), 0) + 1
    from private.ledger_transactions as t
    where t.kind = next_part.kind and t.subject_id = next_part.subject_id
$$;

create or replace function private.unallocated_money(payment_id uuid, currency text)
returns numeric
language sql
stable
set search_path = ''
as $$
    select coalesce(-sum(e.amount), 0)
    from private.ledger_transactions as t
    inner join private.ledger_entries as e on t.id = e.transaction_id
    where t.payment_id = unallocated_money.payment_id
        and e.account = 'unallocated_receipts'
        and e.currency = unallocated_money.currency
$$;

create or replace function private.post_receipt(payment public.payments)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_posted record;
begin
    -- The gateway's word may change while it is in quarantine: only the difference is posted.
    for v_posted in
        select c.currency, sum(c.amount) as missing
        from (
            select post_receipt.payment.collected_currency, post_receipt.payment.collected_amount
            union all
            select e.currency, -e.amount
            from private.ledger_transactions as t
            inner join private.ledger_entries as e on t.id = e.transaction_id
            where t.kind = 'receipt'
                and t.subject_id = post_receipt.payment.id
                and e.account = 'gateway_receivable'
        ) as c (currency, amount)
        where c.currency is not null
        group by c.currency
        having sum(c.amount) <> 0
    loop
        perform private.post(
            'receipt', post_receipt.payment.id,
            array[
                row('gateway_receivable', post_receipt.payment.gateway, v_posted.currency,
                    v_posted.missing),
                row('unallocated_receipts', null, v_posted.currency, -v_posted.missing)
            ]::private.ledger_line [],
            order_id => post_receipt.payment.order_id,
            payment_id => post_receipt.payment.id,
            part => private.next_part('receipt', post_receipt.payment.id)
        );
    end loop;
end
$$;

create or replace function private.post_sale(sold public.orders, payment public.payments)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_currency text := post_sale.sold.currency;
    v_received numeric := least(
        coalesce(post_sale.payment.collected_amount, post_sale.payment.amount),
        post_sale.sold.total_price
    );
begin
    perform private.post(
        'sale', post_sale.sold.id,
        array[
            row('unallocated_receipts', null, v_currency, v_received),
            row('payment_differences', null, v_currency, post_sale.sold.total_price - v_received),
            row('sales', null, v_currency,
                -(post_sale.sold.subtotal_price
                    - (post_sale.sold.tax_amount - post_sale.sold.shipping_tax_amount))),
            row('discounts', null, v_currency, post_sale.sold.discount_amount),
            row('shipping_income', null, v_currency,
                -(post_sale.sold.shipping_amount - post_sale.sold.shipping_tax_amount)),
            row('duty_payable', null, v_currency, -post_sale.sold.duty_amount),
            row('vat_payable', null, v_currency, -post_sale.sold.tax_amount)
        ]::private.ledger_line [],
        order_id => post_sale.sold.id,
        payment_id => post_sale.payment.id
    );
end
$$;

create or replace function private.record_fee(payment public.payments, fee numeric)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_fee numeric := coalesce(
        private.round_money(record_fee.fee, record_fee.payment.collected_currency),
        round(record_fee.fee, 2)
    );
begin
    -- A fee that is no part of the money says something else than a fee.
    if v_fee is null
        or v_fee < 0
        or v_fee > record_fee.payment.collected_amount
        or v_fee is not distinct from record_fee.payment.fee_amount then
        return;
    end if;
    update public.payments as p set fee_amount = v_fee where p.id = record_fee.payment.id;
    if v_fee = coalesce(record_fee.payment.fee_amount, 0) then
        return;
    end if;
    perform private.post(
        'fee', record_fee.payment.id,
        array[
            row('gateway_fees', null, record_fee.payment.collected_currency,
                v_fee - coalesce(record_fee.payment.fee_amount, 0)),
            row('gateway_receivable', record_fee.payment.gateway,
                record_fee.payment.collected_currency,
                coalesce(record_fee.payment.fee_amount, 0) - v_fee)
        ]::private.ledger_line [],
        order_id => record_fee.payment.order_id,
        payment_id => record_fee.payment.id,
        part => private.next_part('fee', record_fee.payment.id)
    );
end
$$;

create or replace function private.post_refund(refund public.refunds)
returns void
language plpgsql
set search_path = ''
as $$
declare
    -- Money that bought nothing goes back first.
    v_unallocated numeric := least(
        post_refund.refund.amount,
        private.unallocated_money(post_refund.refund.payment_id, post_refund.refund.currency)
    );
    v_tax numeric := least(
        post_refund.refund.tax_amount, post_refund.refund.amount - v_unallocated
    );
begin
    perform private.post(
        'refund', post_refund.refund.id,
        array[
            row('unallocated_receipts', null, post_refund.refund.currency, v_unallocated),
            row('refunds', null, post_refund.refund.currency,
                post_refund.refund.amount - v_unallocated - v_tax),
            row('vat_payable', null, post_refund.refund.currency, v_tax),
            row('gateway_receivable', post_refund.refund.gateway, post_refund.refund.currency,
                -post_refund.refund.amount)
        ]::private.ledger_line [],
        order_id => post_refund.refund.order_id,
        payment_id => post_refund.refund.payment_id,
        refund_id => post_refund.refund.id
    );
end
$$;

create or replace function private.settle_gateway(
    subject_id uuid,
    gateway text,
    amount numeric,
    currency text,
    settled_amount numeric,
    settled_currency text
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_expected numeric;
begin
    if settle_gateway.currency = settle_gateway.settled_currency then
        v_expected := settle_gateway.amount;
    else
        -- Units of the bank's currency for one of the gateway's, by the newest known rates.
        v_expected := private.round_money(
            private.convert_money(
                settle_gateway.amount, settle_gateway.currency,
                settle_gateway.settled_currency
            ),
            settle_gateway.settled_currency
        );
        v_expected := coalesce(v_expected, settle_gateway.settled_amount);
    end if;
    perform private.post(
        'settlement', settle_gateway.subject_id,
        array[
            row('gateway_receivable', settle_gateway.gateway, settle_gateway.currency,
                -settle_gateway.amount),
            row('exchange_clearing', null, settle_gateway.currency, settle_gateway.amount),
            row('exchange_clearing', null, settle_gateway.settled_currency, -v_expected),
            row('bank', null, settle_gateway.settled_currency, settle_gateway.settled_amount),
            row('exchange_differences', null, settle_gateway.settled_currency,
                v_expected - settle_gateway.settled_amount)
        ]::private.ledger_line []
    );
end
$$;

create or replace function private.convert_money(
    amount numeric, from_currency text, to_currency text
)
returns numeric
language sql
stable
set search_path = ''
as $$
    with newest as (
        select distinct on (r.base_currency, r.quote_currency)
            r.base_currency, r.quote_currency, r.rate
        from public.exchange_rates as r
        order by r.base_currency, r.quote_currency, r.as_of desc
    ),

    direct as (
        select n.base_currency, n.quote_currency, n.rate from newest as n
        union all
        select n.quote_currency, n.base_currency, 1 / n.rate from newest as n
    )

    -- Straight, or over one other currency.
    select convert_money.amount * p.rate
    from (
        select 1::numeric as rate, 0 as steps
        where convert_money.from_currency = convert_money.to_currency
        union all
        select d.rate, 1
        from direct as d
        where d.base_currency = convert_money.from_currency
            and d.quote_currency = convert_money.to_currency
        union all
        select a.rate * b.rate, 2
        from direct as a
        inner join direct as b on a.quote_currency = b.base_currency
        where a.base_currency = convert_money.from_currency
            and b.quote_currency = convert_money.to_currency
    ) as p
    order by p.steps
    limit 1
$$;

create or replace function private.post_commission(
    kind text, payout_id uuid, amount numeric, currency text
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_debit text := case post_commission.kind
        when 'commission' then 'commission_expense' else 'commissions_payable' end;
    v_credit text := case post_commission.kind
        when 'commission' then 'commissions_payable'
        when 'payout' then 'payout_clearing'
        else 'commission_expense' end;
begin
    perform private.post(
        post_commission.kind, post_commission.payout_id,
        array[
            row(v_debit, null, post_commission.currency, post_commission.amount),
            row(v_credit, null, post_commission.currency, -post_commission.amount)
        ]::private.ledger_line [],
        part => private.next_part(post_commission.kind, post_commission.payout_id)
    );
end
$$;

revoke all on function private.post(
    text, uuid, private.ledger_line [], uuid, uuid, uuid, integer
) from public;
revoke all on function private.next_part(text, uuid) from public;
revoke all on function private.unallocated_money(uuid, text) from public;
revoke all on function private.post_receipt(public.payments) from public;
revoke all on function private.post_sale(public.orders, public.payments) from public;
revoke all on function private.record_fee(public.payments, numeric) from public;
revoke all on function private.post_refund(public.refunds) from public;
revoke all on function private.settle_gateway(uuid, text, numeric, text, numeric, text)
from public;
revoke all on function private.convert_money(numeric, text, text) from public;
revoke all on function private.post_commission(text, uuid, numeric, text) from public;

comment on function private.post(
    text, uuid, private.ledger_line [], uuid, uuid, uuid, integer
) is
'Posts one balanced transaction; the same (kind, subject, part) twice is refused by its key.';
comment on function private.next_part(text, uuid) is
'The next free part of a subject that is posted in steps; its row is locked by the caller.';
comment on function private.unallocated_money(uuid, text) is
'What a payment brought, in currency, that bought nothing and has not gone back.';
comment on function private.post_receipt(public.payments) is
'Posts what a gateway collected for a payment, less what is posted already: it is the payer''s '
'until a sale takes it.';
comment on function private.post_sale(public.orders, public.payments) is
'Turns the receipt of the winning payment into sale, shipping, duty, tax and discount.';
comment on function private.record_fee(public.payments, numeric) is
'Keeps and posts the gateway''s fee, in the collected currency; a corrected one by its difference.';
comment on function private.post_refund(public.refunds) is
'Posts a refund that went through, out of what bought nothing first, then out of the sale.';
comment on function private.settle_gateway(uuid, text, numeric, text, numeric, text) is
'Posts a gateway''s payment to the bank: amount in currency left the gateway, settled_amount in '
'settled_currency came; what the newest rates do not explain is an exchange difference.';
comment on function private.convert_money(numeric, text, text) is
'An amount in another currency by the newest rates, not rounded; null without a rate.';
comment on function private.post_commission(text, uuid, numeric, text) is
'Posts an affiliate''s commission (kind commission), its end unpaid (commission_reversal) or paid '
'(payout).';

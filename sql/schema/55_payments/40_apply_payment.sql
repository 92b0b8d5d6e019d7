create or replace function private.lock_payment(payment_id uuid)
returns public.payments
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
begin
    -- Order before payment, everywhere: two attempts of one order meet at the order's row.
    perform
    from public.orders as o
    inner join public.payments as p on o.id = p.order_id
    where p.id = lock_payment.payment_id
    for no key update of o;
    select p.* into v_payment
    from public.payments as p
    where p.id = lock_payment.payment_id
    for no key update;
    if not found then
        perform private.fail('payment_not_found', lock_payment.payment_id::text);
    end if;
    return v_payment;
end
$$;

revoke all on function private.lock_payment(uuid) from public;

comment on function private.lock_payment(uuid) is
'A payment, locked after its order. Error: payment_not_found.';

create or replace function private.is_foreign_transaction(
    payment public.payments, gateway_transaction_id text
)
returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select
        from public.payments as p
        where p.gateway = is_foreign_transaction.payment.gateway
            and p.gateway_transaction_id = is_foreign_transaction.gateway_transaction_id
            and p.id <> is_foreign_transaction.payment.id
    )
$$;

revoke all on function private.is_foreign_transaction(public.payments, text) from public;

comment on function private.is_foreign_transaction(public.payments, text) is
'Whether the gateway''s transaction belongs to another attempt: money that came once pays once.';

create or replace function private.settle_order(payment public.payments)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    -- Held stock leaves the shelf, the promo use becomes final, the affiliate's statistic counts.
    perform
    from public.product_stock as s
    where s.listing_id in (
        select coalesce(i.product_id, i.retailer_product_id)
        from public.order_items as i
        where i.order_id = settle_order.payment.order_id
    )
    order by s.listing_id
    for no key update;

    update public.orders as o
    set status = 'paid', payment_status = 'paid', paid_at = now()
    where o.id = settle_order.payment.order_id
    returning o.* into strict v_order;

    update public.product_stock as s
    set on_hand = s.on_hand - l.quantity,
        reserved = s.reserved - l.quantity,
        updated_at = now()
    from private.ordered_pieces(v_order.id) as l
    where s.listing_id = l.listing_id;
    perform private.count_variants(v_order.id, -1, -1);

    perform private.post_sale(v_order, settle_order.payment);
    if v_order.promo_code_id is not null then
        perform private.use_promo_code(v_order);
    end if;
end
$$;

revoke all on function private.settle_order(public.payments) from public;

comment on function private.settle_order(public.payments) is
'Turns the pending order of a winning payment paid and posts the sale. The caller holds the '
'order''s row lock.';

create or replace function private.is_money_returned(payment public.payments)
returns boolean
language sql
stable
set search_path = ''
as $$
    -- Given back, or on its way back: nothing is left that a new refund could take.
    select coalesce(
        sum(r.amount) >= coalesce(
            is_money_returned.payment.collected_amount, is_money_returned.payment.amount
        ), false
    )
    from public.refunds as r
    where r.payment_id = is_money_returned.payment.id
        and r.status in ('pending', 'processing', 'refunded')
$$;

create or replace function private.receive_payment(
    payment public.payments,
    collected_amount numeric,
    collected_currency text,
    gateway_transaction_id text,
    fee numeric,
    saved_method jsonb,
    event_id uuid
)
returns public.payments
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_order_status public.order_status;
    v_refund_id uuid;
begin
    select o.status into strict v_order_status
    from public.orders as o where o.id = receive_payment.payment.order_id;
    update public.payments as p
    set status = 'paid',
        paid_at = now(),
        evidence_at = now(),
        -- whatever led here: another sum never pays an order
        is_winner = v_order_status = 'pending'
        and receive_payment.collected_amount = p.amount
        and receive_payment.collected_currency = p.currency,
        collected_amount = receive_payment.collected_amount,
        collected_currency = receive_payment.collected_currency,
        failure_reason = null,
        next_check_at = null,
        gateway_transaction_id = coalesce(
            receive_payment.gateway_transaction_id, p.gateway_transaction_id
        )
    where p.id = receive_payment.payment.id
    returning p.* into strict v_payment;
    perform private.log_payment_event(
        v_payment, 'paid',
        jsonb_build_object(
            'amount', v_payment.collected_amount, 'currency', v_payment.collected_currency,
            'fee', receive_payment.fee, 'is_winner', v_payment.is_winner,
            'gateway_transaction_id', v_payment.gateway_transaction_id
        ),
        event_id => receive_payment.event_id
    );
    perform private.post_receipt(v_payment);
    perform private.record_fee(v_payment, receive_payment.fee);
    perform private.settle_payment_exceptions(
        array['unknown_outcome', 'ambiguous_reference'], v_payment.id
    );
    if exists (
        select from private.payment_events as e
        where e.payment_id = v_payment.id and e.kind = 'voided'
    ) then
        perform private.open_payment_exception(
            kind => 'reversed_by_gateway', payment_id => v_payment.id,
            event_id => receive_payment.event_id, detail => 'the gateway had voided it before'
        );
    end if;
    if v_payment.save_method then
        perform private.save_payment_method(
            v_payment.user_id, v_payment.gateway, v_payment.method, receive_payment.saved_method
        );
    end if;
    if v_payment.is_winner then
        perform private.settle_order(v_payment);
        return v_payment;
    end if;

    -- Money that buys nothing goes back by itself where the rail can; else a person sends it.
    v_refund_id := private.return_money(v_payment);
    perform private.open_payment_exception(
        kind => case when v_order_status = 'cancelled' then 'late_payment'
            else 'duplicate_payment' end,
        payment_id => v_payment.id,
        event_id => receive_payment.event_id,
        detail => 'order is ' || v_order_status,
        evidence => jsonb_build_object('refund_id', v_refund_id),
        is_handled => v_refund_id is not null
    );
    return v_payment;
end
$$;

create or replace function private.is_money(amount numeric, currency text)
returns boolean
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        is_money.amount > 0
        and is_money.amount < 10000000000
        and is_money.amount = round(is_money.amount, 2)
        and is_money.currency ~ '^[A-Z]{3}$',
        false
    )
$$;

create or replace function private.quarantine_payment(
    payment public.payments,
    kind text,
    collected_amount numeric,
    collected_currency text,
    gateway_transaction_id text,
    event_id uuid
)
returns public.payments
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments := quarantine_payment.payment;
    v_is_money boolean := private.is_money(
        quarantine_payment.collected_amount, quarantine_payment.collected_currency
    );
begin
    update public.payments as p
    set evidence_at = now(),
        collected_amount = case
            when v_is_money then quarantine_payment.collected_amount else p.collected_amount
        end,
        collected_currency = case
            when v_is_money then quarantine_payment.collected_currency else p.collected_currency
        end,
        -- so that other money on the same attempt is known for other money
        gateway_transaction_id = case
            when v_is_money and not private.is_foreign_transaction(
                p, quarantine_payment.gateway_transaction_id
            ) then coalesce(p.gateway_transaction_id, quarantine_payment.gateway_transaction_id)
            else p.gateway_transaction_id
        end
    where p.id = v_payment.id
    returning p.* into strict v_payment;
    perform private.post_receipt(v_payment);
    perform private.log_payment_event(
        v_payment, 'quarantined',
        jsonb_build_object(
            'exception', quarantine_payment.kind,
            'amount', quarantine_payment.collected_amount,
            'currency', quarantine_payment.collected_currency,
            'gateway_transaction_id', quarantine_payment.gateway_transaction_id
        ),
        event_id => quarantine_payment.event_id
    );
    perform private.open_payment_exception(
        kind => quarantine_payment.kind,
        payment_id => v_payment.id,
        event_id => quarantine_payment.event_id,
        amount => case when v_is_money then quarantine_payment.collected_amount end,
        currency => case when v_is_money then quarantine_payment.collected_currency end,
        detail => format('gateway says %s %s, order says %s %s',
            coalesce(quarantine_payment.collected_amount::text, 'nothing'),
            coalesce(quarantine_payment.collected_currency, ''),
            v_payment.amount, v_payment.currency),
        evidence => jsonb_build_object(
            'gateway_transaction_id', quarantine_payment.gateway_transaction_id
        )
    );
    return v_payment;
end
$$;

create or replace function private.receive_second_transaction(
    payment public.payments,
    collected_amount numeric,
    collected_currency text,
    gateway_transaction_id text,
    fee numeric,
    event_id uuid
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
begin
    -- One page paid on twice: the second money is an attempt of its own.
    insert into public.payments as p (
        order_id, user_id, gateway, method, reference, payer_account, amount, currency,
        superseded_at
    )
    values (
        receive_second_transaction.payment.order_id, receive_second_transaction.payment.user_id,
        receive_second_transaction.payment.gateway, receive_second_transaction.payment.method,
        'mg-' || encode(extensions.gen_random_bytes(12), 'hex'),
        receive_second_transaction.payment.payer_account,
        receive_second_transaction.payment.amount,
        receive_second_transaction.payment.currency,
        now()
    )
    returning p.* into strict v_payment;
    if (v_payment.amount, v_payment.currency) is distinct from (
            receive_second_transaction.collected_amount,
            receive_second_transaction.collected_currency
        )
        and exists (
            select from public.orders as o where o.id = v_payment.order_id and o.status = 'pending'
        ) then
        perform private.quarantine_payment(
            v_payment, 'amount_mismatch', receive_second_transaction.collected_amount,
            receive_second_transaction.collected_currency,
            receive_second_transaction.gateway_transaction_id, receive_second_transaction.event_id
        );
    else
        perform private.receive_payment(
            v_payment, receive_second_transaction.collected_amount,
            receive_second_transaction.collected_currency,
            receive_second_transaction.gateway_transaction_id, receive_second_transaction.fee,
            null, receive_second_transaction.event_id
        );
    end if;
end
$$;

create or replace function service.apply_payment_result(
    payment_id uuid,
    status text,
    amount numeric,
    currency text,
    gateway_transaction_id text,
    reason text,
    fee numeric,
    source text,
    request_id text,
    event_id uuid default null,
    saved_method jsonb default null
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments := private.lock_payment(apply_payment_result.payment_id);
    v_status public.payment_status := apply_payment_result.status::public.payment_status;
    v_reason text := private.clean_words(apply_payment_result.reason);
    v_outcome text := 'applied';
begin
    perform private.act_as(
        case when apply_payment_result.source = 'operator' then 'system' else 'gateway' end
    );
    perform set_config('mallgram.request_id', coalesce(apply_payment_result.request_id, ''), true);

    if v_status = 'refunded' and v_payment.collected_amount is not null then
        v_outcome := 'unchanged';
        if not private.is_money_returned(v_payment) then
            perform private.open_payment_exception(
                kind => 'reversed_by_gateway', payment_id => v_payment.id,
                event_id => apply_payment_result.event_id, detail => v_reason
            );
            v_outcome := 'quarantined';
        end if;
    elsif v_status = 'refunded' then
        -- Voided before it was ever ours: the attempt came to nothing. Remembered, should a stale
        -- word of money come later.
        v_status := 'cancelled';
        perform private.log_payment_event(
            v_payment, 'voided', jsonb_build_object('reason', v_reason),
            event_id => apply_payment_result.event_id
        );
    end if;

    if v_status = 'refunded' then
        null;
    elsif v_status = 'paid'
        and v_payment.collected_amount is not null
        and private.is_money(apply_payment_result.amount, apply_payment_result.currency)
        and apply_payment_result.gateway_transaction_id <> v_payment.gateway_transaction_id
        and exists (
            select from private.payment_gateways as g
            where g.code = v_payment.gateway and g.takes_twice
        )
        and not private.is_foreign_transaction(
            v_payment, apply_payment_result.gateway_transaction_id
        ) then
        -- Other money on an attempt that has its own.
        perform private.receive_second_transaction(
            v_payment, apply_payment_result.amount, apply_payment_result.currency,
            apply_payment_result.gateway_transaction_id, apply_payment_result.fee,
            apply_payment_result.event_id
        );
    elsif v_payment.paid_at is not null then
        -- Money that arrived stays arrived, whatever is said later.
        v_outcome := 'unchanged';
    elsif v_status = 'paid' and private.is_foreign_transaction(
        v_payment, apply_payment_result.gateway_transaction_id
    ) then
        perform private.quarantine_payment(
            v_payment, 'ambiguous_reference', null, null,
            apply_payment_result.gateway_transaction_id, apply_payment_result.event_id
        );
        v_outcome := 'quarantined';
    elsif v_status = 'paid'
        and apply_payment_result.currency is distinct from v_payment.currency then
        v_payment := private.quarantine_payment(
            v_payment, 'currency_mismatch', apply_payment_result.amount,
            apply_payment_result.currency, apply_payment_result.gateway_transaction_id,
            apply_payment_result.event_id
        );
        v_outcome := 'quarantined';
    elsif v_status = 'paid' and apply_payment_result.amount is distinct from v_payment.amount then
        v_payment := private.quarantine_payment(
            v_payment, 'amount_mismatch', apply_payment_result.amount,
            apply_payment_result.currency, apply_payment_result.gateway_transaction_id,
            apply_payment_result.event_id
        );
        v_outcome := 'quarantined';
    elsif v_status = 'paid' then
        v_payment := private.receive_payment(
            v_payment, apply_payment_result.amount, apply_payment_result.currency,
            apply_payment_result.gateway_transaction_id, apply_payment_result.fee,
            apply_payment_result.saved_method, apply_payment_result.event_id
        );
        perform private.settle_payment_exceptions(
            array['amount_mismatch', 'currency_mismatch'], v_payment.id
        );
    elsif v_status in ('failed', 'cancelled')
        and v_payment.status in ('pending', 'processing')
        and v_payment.collected_amount is null then
        update public.payments as p
        set status = v_status, failure_reason = v_reason, evidence_at = now(), next_check_at = null
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
        perform private.log_order_event(
            v_payment.order_id, v_payment.user_id, 'payment_' || v_status, null, null, v_reason
        );
        perform private.log_payment_event(
            v_payment, v_status::text, jsonb_build_object('reason', v_reason),
            event_id => apply_payment_result.event_id
        );
        perform private.settle_payment_exceptions(array['unknown_outcome'], v_payment.id);
    elsif v_status = 'processing' and v_payment.status = 'pending' then
        update public.payments as p
        set status = 'processing', evidence_at = now()
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
    else
        v_outcome := 'unchanged';
    end if;

    if v_outcome = 'unchanged' and apply_payment_result.event_id is not null then
        perform private.log_payment_event(
            v_payment, 'notice_changed_nothing',
            jsonb_build_object('status', apply_payment_result.status),
            event_id => apply_payment_result.event_id
        );
    end if;
    return private.payment_as_json(private.lock_payment(v_payment.id))
        || jsonb_build_object('payment_status', v_payment.status, 'outcome', v_outcome);
end
$$;

revoke all on function private.is_money_returned(public.payments) from public;
revoke all on function private.receive_payment(
    public.payments, numeric, text, text, numeric, jsonb, uuid
) from public;
revoke all on function private.is_money(numeric, text) from public;
revoke all on function private.quarantine_payment(
    public.payments, text, numeric, text, text, uuid
) from public;
revoke all on function private.receive_second_transaction(
    public.payments, numeric, text, text, numeric, uuid
) from public;
revoke all on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text, uuid, jsonb
) from public;
grant execute on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text, uuid, jsonb
) to mallgram_service;

comment on function private.is_money_returned(public.payments) is
'Whether refunds that went through or are under way cover all that a payment collected.';
comment on function private.receive_payment(
    public.payments, numeric, text, text, numeric, jsonb, uuid
) is
'Money of the right sum came: it wins a pending order, and goes back (or to the desk) when the '
'order was paid or cancelled before. The caller holds order and payment.';
comment on function private.is_money(numeric, text) is
'Whether what a gateway says can be booked: a positive sum of at most two decimals and a currency.';
comment on function private.quarantine_payment(
    public.payments, text, numeric, text, text, uuid
) is
'Keeps the gateway''s word about other money than asked for, and puts it before a person.';
comment on function private.receive_second_transaction(
    public.payments, numeric, text, text, numeric, uuid
) is
'A second transaction on one attempt becomes an attempt of its own: it wins a pending order if its '
'sum is right, else it goes back or before a person.';
comment on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text, uuid, jsonb
) is
'Applies the gateway''s own answer (never a webhook''s word): paid with equal amount and currency '
'settles a pending order; after it was paid or cancelled the money is given back or goes before a '
'person; a different amount or currency, or a transaction that is another attempt''s, is '
'quarantined; failed and cancelled end an open attempt; refunded without a refund of ours goes '
'before a person. Applying it again changes nothing. amount in currency, fee likewise. source: '
'webhook, poll, operator; event_id: the notice behind it; saved_method {token, label, '
'expires_on}. Answers the payment with order_status, payment_status and outcome: applied, '
'unchanged, quarantined. Definer because orders and payments are closed to the service. Error: '
'payment_not_found.';

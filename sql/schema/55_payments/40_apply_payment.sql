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

create or replace function private.open_payment_exception(payment_id uuid, kind text, detail text)
returns void
language sql
set search_path = ''
as $$
    insert into private.payment_exceptions (payment_id, kind, detail)
    values (
        open_payment_exception.payment_id,
        open_payment_exception.kind,
        open_payment_exception.detail
    )
    on conflict on constraint payment_exceptions_payment_id_kind_key do nothing
$$;

revoke all on function private.open_payment_exception(uuid, text, text) from public;

comment on function private.open_payment_exception(uuid, text, text) is
'Puts a payment before a person, once a kind.';

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
    set on_hand = s.on_hand - i.quantity,
        reserved = s.reserved - i.quantity,
        updated_at = now()
    from public.order_items as i
    where i.order_id = v_order.id
        and s.listing_id = coalesce(i.product_id, i.retailer_product_id);

    if v_order.promo_code_id is not null then
        perform private.use_promo_code(v_order);
    end if;
end
$$;

revoke all on function private.settle_order(public.payments) from public;

comment on function private.settle_order(public.payments) is
'Turns the pending order of a winning payment paid. The caller holds the order''s row lock.';

create or replace function service.apply_payment_result(
    payment_id uuid,
    status text,
    amount numeric,
    currency text,
    gateway_transaction_id text,
    reason text,
    fee numeric,
    source text,
    request_id text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments := private.lock_payment(apply_payment_result.payment_id);
    v_status public.payment_status := apply_payment_result.status::public.payment_status;
    v_order_status public.order_status;
    v_reason text := left(
        regexp_replace(apply_payment_result.reason, '[[:cntrl:]]+', ' ', 'g'), 300
    );
    v_outcome text := 'unchanged';
begin
    perform private.act_as(
        case when apply_payment_result.source = 'operator' then 'system' else 'gateway' end
    );
    perform set_config('mallgram.request_id', coalesce(apply_payment_result.request_id, ''), true);
    select o.status into strict v_order_status
    from public.orders as o where o.id = v_payment.order_id;

    if v_payment.paid_at is not null then
        -- Money that arrived stays arrived, whatever is said later.
        v_outcome := 'unchanged';
    elsif v_status = 'paid' and (
        apply_payment_result.amount is distinct from v_payment.amount
        or apply_payment_result.currency is distinct from v_payment.currency
    ) then
        perform private.open_payment_exception(
            v_payment.id, 'amount_mismatch',
            format('gateway says %s %s, order says %s %s',
                apply_payment_result.amount, apply_payment_result.currency,
                v_payment.amount, v_payment.currency)
        );
        update public.payments as p set evidence_at = now() where p.id = v_payment.id;
        v_outcome := 'quarantined';
    elsif v_status = 'paid' and private.is_foreign_transaction(
        v_payment, apply_payment_result.gateway_transaction_id
    ) then
        perform private.open_payment_exception(
            v_payment.id, 'ambiguous_reference', apply_payment_result.gateway_transaction_id
        );
        update public.payments as p set evidence_at = now() where p.id = v_payment.id;
        v_outcome := 'quarantined';
    elsif v_status = 'paid' then
        update public.payments as p
        set status = 'paid',
            paid_at = now(),
            evidence_at = now(),
            is_winner = v_order_status = 'pending',
            fee_amount = apply_payment_result.fee,
            failure_reason = null,
            next_check_at = null,
            gateway_transaction_id = coalesce(
                apply_payment_result.gateway_transaction_id, p.gateway_transaction_id
            )
        where p.id = v_payment.id
        returning p.* into v_payment;
        if v_payment.is_winner then
            perform private.settle_order(v_payment);
        else
            perform private.open_payment_exception(
                v_payment.id,
                case when v_order_status = 'cancelled' then 'late_payment'
                    else 'duplicate_payment' end,
                'order is ' || v_order_status
            );
        end if;
        v_outcome := 'applied';
    elsif v_status in ('failed', 'cancelled') and v_payment.status in ('pending', 'processing') then
        update public.payments as p
        set status = v_status, failure_reason = v_reason, evidence_at = now(), next_check_at = null
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
        perform private.log_order_event(
            v_payment.order_id, v_payment.user_id, 'payment_' || v_status, null, null, v_reason
        );
        v_outcome := 'applied';
    elsif v_status = 'processing' and v_payment.status = 'pending' then
        update public.payments as p
        set status = 'processing', evidence_at = now()
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
        v_outcome := 'applied';
    end if;

    return private.payment_as_json(private.lock_payment(v_payment.id))
        || jsonb_build_object('payment_status', v_payment.status, 'outcome', v_outcome);
end
$$;

revoke all on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text
) from public;
grant execute on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text
) to mallgram_service;

comment on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text
) is
'Applies the gateway''s own answer (never a webhook''s word): paid with equal amount and currency '
'settles a pending order; after it was paid or cancelled the money becomes an exception; a '
'different amount, or a transaction that is another attempt''s, is quarantined; failed and '
'cancelled end an open attempt. Applying it again changes nothing. amount in currency, fee '
'likewise. source: webhook, poll, operator. Answers the payment with order_status, payment_status '
'and outcome: applied, unchanged, quarantined. Definer because orders and payments are closed to '
'the service. Error: payment_not_found.';

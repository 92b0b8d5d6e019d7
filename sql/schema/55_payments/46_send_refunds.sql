create or replace function private.lock_refund(refund_id uuid)
returns public.refunds
language plpgsql
set search_path = ''
as $$
declare
    v_payment_id uuid;
    v_refund public.refunds;
begin
    select r.payment_id into v_payment_id
    from public.refunds as r where r.id = lock_refund.refund_id;
    if not found then
        perform private.fail('refund_not_found', lock_refund.refund_id::text);
    end if;
    -- Order, payment, refund: everywhere in this order.
    perform private.lock_payment(v_payment_id);
    select r.* into strict v_refund
    from public.refunds as r
    where r.id = lock_refund.refund_id
    for no key update;
    return v_refund;
end
$$;

create or replace function service.begin_refund(
    actor_id uuid,
    payment_id uuid,
    amount numeric,
    items jsonb,
    reason text,
    idempotency_key text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_hash bytea := sha256(convert_to(jsonb_build_array(
        begin_refund.payment_id, trim_scale(begin_refund.amount), begin_refund.items,
        begin_refund.reason
    )::text, 'utf8'));
    v_answer jsonb;
    v_reason text;
    v_payment public.payments;
    v_refund public.refunds;
begin
    if not private.is_admin(begin_refund.actor_id) then
        perform private.fail('admin_required');
    end if;
    v_answer := private.replay_idempotent(
        begin_refund.actor_id, 'refund', begin_refund.idempotency_key, v_hash
    );
    if v_answer is not null then
        return v_answer;
    end if;
    v_reason := private.check_reason(begin_refund.reason);
    perform private.act_as('admin', begin_refund.actor_id);
    v_payment := private.lock_payment(begin_refund.payment_id);
    v_refund := private.refund_payment(
        v_payment, begin_refund.amount, begin_refund.items, v_reason, begin_refund.actor_id
    );
    v_answer := private.refund_as_json(v_refund);
    insert into private.idempotency_keys (
        user_id, operation, idempotency_key, request_hash, response
    )
    values (
        begin_refund.actor_id, 'refund', begin_refund.idempotency_key, v_hash, v_answer
    );
    return v_answer;
end
$$;

create or replace function private.schedule_refund_check(refund_id uuid, wait interval)
returns timestamptz
language plpgsql
set search_path = ''
as $$
declare
    v_refund public.refunds;
begin
    select r.* into strict v_refund
    from public.refunds as r where r.id = schedule_refund_check.refund_id;
    -- One chain of checks: what is planned and not begun is moved, a check under way plans the next.
    update private.outbox as o
    set available_at = now() + schedule_refund_check.wait
    where o.dedupe_key = format('check_refund/%s/%s', v_refund.id, v_refund.checks)
        and o.attempts = 0
        and o.done_at is null
        and o.failed_at is null;
    if not found then
        update public.refunds as r set checks = r.checks + 1 where r.id = v_refund.id;
        perform private.emit(
            'check_refund', jsonb_build_object('refund_id', v_refund.id),
            format('check_refund/%s/%s', v_refund.id, v_refund.checks + 1),
            now() + schedule_refund_check.wait
        );
    end if;
    update public.refunds as r
    set next_check_at = now() + schedule_refund_check.wait
    where r.id = v_refund.id;
    return now() + schedule_refund_check.wait;
end
$$;

revoke all on function private.schedule_refund_check(uuid, interval) from public;

comment on function private.schedule_refund_check(uuid, interval) is
'Plans the refund''s next check after a wait, moving one that is planned and not begun.';

create or replace function service.begin_refund_attempt(refund_id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_refund public.refunds := private.lock_refund(begin_refund_attempt.refund_id);
    v_payment public.payments;
    v_is_first boolean := false;
begin
    -- Marked sent before it is: a process that dies in between leaves an unknown outcome to ask
    -- about, never one to send again.
    if v_refund.status = 'pending' and not private.is_refund_left(v_refund) then
        -- The last guard before money leaves: what it was to give back is gone already.
        perform private.cancel_refund(v_refund.id);
        select r.* into strict v_refund from public.refunds as r where r.id = v_refund.id;
    elsif v_refund.status = 'pending' and v_refund.way <> 'manual' then
        update public.refunds as r
        set status = 'processing', sent_at = now()
        where r.id = v_refund.id;
        perform private.schedule_refund_check(v_refund.id, interval '15 seconds');
        select r.* into strict v_refund from public.refunds as r where r.id = v_refund.id;
        v_is_first := true;
    end if;
    select p.* into strict v_payment from public.payments as p where p.id = v_refund.payment_id;
    return private.refund_as_json(v_refund) || (
        select
            jsonb_build_object(
                'is_first', v_is_first,
                'is_ended', v_refund.status in ('refunded', 'failed', 'cancelled'),
                'country', o.country,
                'language', o.language,
                'order_number', o.order_number,
                'payment_reference', v_payment.reference,
                'gateway_transaction_id', v_payment.gateway_transaction_id,
                'gateway_refund_id', v_refund.gateway_refund_id,
                'webhook_token', (
                    select t.webhook_token
                    from private.payment_tokens as t
                    where t.payment_id = v_payment.id and not t.is_of_gateway
                ),
                'account', case when v_refund.way = 'payout' then v_payment.payer_account end,
                'channel', case when v_refund.way = 'payout' then 'mobile_money' end,
                'institution',
                case when v_refund.way = 'payout' then g.payout_institution end,
                'recipient_name', u.full_name,
                'recipient_email', u.email
            )
        from public.orders as o
        inner join public.users as u on o.user_id = u.id
        inner join private.payment_gateways as g on g.code = v_payment.gateway
        where o.id = v_refund.order_id
    );
end
$$;

create or replace function private.complete_refund(refund public.refunds, event_id uuid)
returns public.refunds
language plpgsql
set search_path = ''
as $$
declare
    v_refund public.refunds;
    v_payment public.payments;
begin
    update public.refunds as r
    set status = 'refunded', refunded_at = now(), next_check_at = null, failure_reason = null
    where r.id = complete_refund.refund.id
    returning r.* into strict v_refund;
    update public.payments as p
    set refunded_amount = p.refunded_amount + v_refund.amount,
        status = case
            when p.refunded_amount + v_refund.amount = coalesce(p.collected_amount, p.amount)
                then 'refunded'::public.payment_status
            else 'partially_refunded'::public.payment_status
        end,
        evidence_at = now()
    where p.id = v_refund.payment_id
    returning p.* into strict v_payment;
    if v_payment.is_winner then
        update public.orders as o
        set payment_status = v_payment.status
        where o.id = v_payment.order_id and o.payment_status is distinct from v_payment.status;
    end if;
    perform private.post_refund(v_refund);
    perform private.log_order_event(
        v_refund.order_id, v_refund.user_id, 'refunded', null, null,
        v_refund.amount || ' ' || v_refund.currency
    );
    perform private.log_payment_event(
        v_payment, 'refunded',
        jsonb_build_object('amount', v_refund.amount, 'currency', v_refund.currency),
        refund_id => v_refund.id, event_id => complete_refund.event_id
    );
    perform private.settle_payment_exceptions(
        array['failed_refund', 'manual_refund', 'unknown_refund', 'refund_mismatch'],
        refund_id => v_refund.id
    );
    if v_payment.status = 'refunded' then
        perform private.settle_payment_exceptions(
            array[
                'late_payment', 'duplicate_payment', 'amount_mismatch', 'currency_mismatch',
                'reversed_by_gateway'
            ],
            v_payment.id
        );
    end if;
    perform private.emit_refunded(v_refund);
    if v_payment.is_winner and v_payment.status = 'refunded' then
        perform private.return_promo_use(v_payment.order_id);
    end if;
    return v_refund;
end
$$;

create or replace function private.cancel_refund(refund_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    update public.refunds as r
    set status = 'cancelled', next_check_at = null
    where r.id = cancel_refund.refund_id and r.status = 'pending';
    perform private.log_payment_event(
        p, 'refund_cancelled', jsonb_build_object('amount', r.amount, 'currency', r.currency),
        refund_id => r.id
    )
    from public.refunds as r
    inner join public.payments as p on r.payment_id = p.id
    where r.id = cancel_refund.refund_id and r.status = 'cancelled';
end
$$;

create or replace function private.make_room(refund public.refunds)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_other_id uuid;
begin
    -- A refund that was given up for failed went through after all: those that were to take its
    -- place and have not been sent make way, the newest first.
    while not private.is_refund_left(make_room.refund) loop
        select r.id into v_other_id
        from public.refunds as r
        inner join public.payments as p on r.payment_id = p.id
        cross join lateral (
            select exists (
                select
                from public.refund_items as i
                inner join public.refund_items as j on i.order_item_id = j.order_item_id
                where i.refund_id = r.id and j.refund_id = make_room.refund.id
            ) as is_shared
        ) as i
        where r.payment_id = make_room.refund.payment_id
            and r.status = 'pending'
            and r.id <> make_room.refund.id
            -- what wants other pieces makes way only when the money is not enough for both
            and (i.is_shared or make_room.refund.amount > private.refund_open_amount(p))
        order by i.is_shared desc, r.created_at desc, r.id
        limit 1;
        if not found then
            return false;
        end if;
        perform private.cancel_refund(v_other_id);
        perform private.settle_payment_exceptions(
            array['manual_refund', 'failed_refund', 'unknown_refund'], refund_id => v_other_id
        );
    end loop;
    return true;
end
$$;

create or replace function private.fail_refund(
    refund public.refunds, reason text, event_id uuid, is_handled boolean default false
)
returns public.refunds
language plpgsql
set search_path = ''
as $$
declare
    v_refund public.refunds;
    v_payment public.payments;
begin
    update public.refunds as r
    set status = 'failed', failure_reason = fail_refund.reason, next_check_at = null
    where r.id = fail_refund.refund.id
    returning r.* into strict v_refund;
    select p.* into strict v_payment from public.payments as p where p.id = v_refund.payment_id;
    perform private.log_payment_event(
        v_payment, 'refund_failed', jsonb_build_object('reason', fail_refund.reason),
        refund_id => v_refund.id, event_id => fail_refund.event_id
    );
    perform private.settle_payment_exceptions(
        array['unknown_refund', 'manual_refund'], refund_id => v_refund.id
    );
    if not fail_refund.is_handled then
        perform private.open_payment_exception(
            kind => 'failed_refund', refund_id => v_refund.id,
            event_id => fail_refund.event_id, detail => fail_refund.reason
        );
    end if;
    return v_refund;
end
$$;

create or replace function service.apply_refund_result(
    refund_id uuid,
    status text,
    amount numeric,
    currency text,
    gateway_refund_id text,
    reason text,
    source text,
    request_id text,
    event_id uuid default null
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_refund public.refunds := private.lock_refund(apply_refund_result.refund_id);
    v_reason text := private.clean_words(apply_refund_result.reason);
    v_outcome text := 'applied';
begin
    perform private.act_as(
        case when apply_refund_result.source = 'operator' then 'system' else 'gateway' end
    );
    perform set_config('mallgram.request_id', coalesce(apply_refund_result.request_id, ''), true);
    if v_refund.gateway_refund_id is null
        and apply_refund_result.gateway_refund_id is not null
        and not exists (
            select from public.refunds as r
            where r.gateway = v_refund.gateway
                and r.gateway_refund_id = apply_refund_result.gateway_refund_id
        ) then
        update public.refunds as r
        set gateway_refund_id = apply_refund_result.gateway_refund_id
        where r.id = v_refund.id
        returning r.* into v_refund;
    end if;

    if v_refund.status in ('refunded', 'cancelled') then
        v_outcome := 'unchanged';
    elsif apply_refund_result.status = 'refunded' and (
        apply_refund_result.amount <> v_refund.amount
        or apply_refund_result.currency <> v_refund.currency
    ) then
        perform private.open_payment_exception(
            kind => 'refund_mismatch', refund_id => v_refund.id,
            event_id => apply_refund_result.event_id,
            amount => apply_refund_result.amount, currency => apply_refund_result.currency,
            detail => format('gateway says %s %s, we asked for %s %s',
                apply_refund_result.amount, apply_refund_result.currency,
                v_refund.amount, v_refund.currency)
        );
        v_outcome := 'quarantined';
    elsif apply_refund_result.status = 'refunded' and not private.make_room(v_refund) then
        -- Given up for failed, sent again, and now both are there: more went back than came.
        perform private.open_payment_exception(
            kind => 'refund_mismatch', refund_id => v_refund.id,
            event_id => apply_refund_result.event_id,
            detail => 'went through after another took its place'
        );
        v_outcome := 'quarantined';
    elsif apply_refund_result.status = 'refunded' then
        v_refund := private.complete_refund(v_refund, apply_refund_result.event_id);
    elsif apply_refund_result.status = 'failed' and v_refund.status <> 'failed' then
        v_refund := private.fail_refund(
            v_refund, coalesce(v_reason, 'refused_by_gateway'), apply_refund_result.event_id
        );
    else
        v_outcome := 'unchanged';
    end if;
    return private.refund_as_json(v_refund) || jsonb_build_object('outcome', v_outcome);
end
$$;

create or replace function service.record_refund_refused(refund_id uuid, code text, reason text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_refund public.refunds := private.lock_refund(record_refund_refused.refund_id);
    v_payment public.payments;
    v_next text;
    v_text text := private.clean_words(
        concat_ws(': ', record_refund_refused.code, record_refund_refused.reason)
    );
begin
    if v_refund.status not in ('pending', 'processing') then
        return private.refund_as_json(v_refund);
    end if;
    perform private.act_as('gateway');
    select p.* into strict v_payment from public.payments as p where p.id = v_refund.payment_id;
    -- The rail has no refunds: the same sum goes the next way, this row ends without an alarm.
    if record_refund_refused.code = 'refund_unsupported'
        and v_refund.way = 'gateway'
        and v_refund.gateway_refund_id is null then
        v_next := case
            when v_payment.payer_account is not null and exists (
                select from private.payment_gateways as g
                where g.code = v_payment.gateway and g.payout_gateway is not null
            ) then 'payout'
            else 'manual'
        end;
    end if;
    v_refund := private.fail_refund(v_refund, v_text, null, v_next is not null);
    if v_next is not null then
        v_refund := private.replace_refund(v_refund, v_payment, v_next, v_refund.requested_by);
    end if;
    return private.refund_as_json(v_refund);
end
$$;

create or replace function private.replace_refund(
    failed public.refunds, payment public.payments, way text, requested_by uuid
)
returns public.refunds
language plpgsql
set search_path = ''
as $$
declare
    v_refund public.refunds;
begin
    v_refund := private.create_refund(
        replace_refund.payment, replace_refund.failed.amount, replace_refund.failed.tax_amount,
        replace_refund.failed.reason, replace_refund.requested_by, replace_refund.way
    );
    insert into public.refund_items (
        refund_id, order_item_id, quantity, amount, tax_amount, currency
    )
    select v_refund.id, i.order_item_id, i.quantity, i.amount, i.tax_amount, i.currency
    from public.refund_items as i
    where i.refund_id = replace_refund.failed.id;
    return v_refund;
end
$$;

create or replace function service.record_refund_check(refund_id uuid, outcome text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_refund public.refunds := private.lock_refund(record_refund_check.refund_id);
    v_wait interval;
begin
    if v_refund.status not in ('pending', 'processing') or v_refund.way = 'manual' then
        update public.refunds as r set next_check_at = null where r.id = v_refund.id;
        return jsonb_build_object('next_check_at', null);
    end if;
    if record_refund_check.outcome = 'nothing_created'
        and v_refund.status = 'processing'
        and v_refund.gateway_refund_id is null then
        -- Surely not taken: the next attempt is the first again.
        update public.refunds as r
        set status = 'pending', sent_at = null
        where r.id = v_refund.id;
    end if;
    if v_refund.created_at < now() - interval '72 hours' then
        update public.refunds as r set next_check_at = null where r.id = v_refund.id;
        perform private.open_payment_exception(
            kind => 'unknown_refund', refund_id => v_refund.id,
            detail => record_refund_check.outcome
        );
        return jsonb_build_object('next_check_at', null);
    end if;
    -- Refunds take banks hours or days: minutes at first, then hourly for three days.
    v_wait := coalesce(
        (array['15 seconds', '1 minute', '5 minutes', '15 minutes', '30 minutes'])[v_refund.checks],
        '1 hour'
    )::interval;
    return jsonb_build_object(
        'next_check_at', private.schedule_refund_check(v_refund.id, v_wait)
    );
end
$$;

create or replace function service.claim_refund_sweep(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_refund_id uuid;
    v_swept jsonb := '[]'::jsonb;
begin
    -- A check that was lost (its outbox row died) is asked for anew; too old, it is a person's.
    for v_refund_id in
        select r.id
        from public.refunds as r
        where r.next_check_at < now() - interval '15 minutes'
        order by r.next_check_at
        limit claim_refund_sweep.batch
    loop
        perform private.lock_refund(v_refund_id);
        perform service.record_refund_check(v_refund_id, 'unavailable');
        v_swept := v_swept || to_jsonb(v_refund_id);
    end loop;
    return v_swept;
end
$$;

revoke all on function private.lock_refund(uuid) from public;
revoke all on function private.complete_refund(public.refunds, uuid) from public;
revoke all on function private.make_room(public.refunds) from public;
revoke all on function private.cancel_refund(uuid) from public;
revoke all on function private.fail_refund(public.refunds, text, uuid, boolean) from public;
revoke all on function private.replace_refund(public.refunds, public.payments, text, uuid)
from public;
revoke all on function service.begin_refund(uuid, uuid, numeric, jsonb, text, text) from public;
revoke all on function service.begin_refund_attempt(uuid) from public;
revoke all on function service.apply_refund_result(
    uuid, text, numeric, text, text, text, text, text, uuid
) from public;
revoke all on function service.record_refund_refused(uuid, text, text) from public;
revoke all on function service.record_refund_check(uuid, text) from public;
revoke all on function service.claim_refund_sweep(integer) from public;
grant execute on function service.begin_refund(uuid, uuid, numeric, jsonb, text, text)
to mallgram_service;
grant execute on function service.begin_refund_attempt(uuid) to mallgram_service;
grant execute on function service.apply_refund_result(
    uuid, text, numeric, text, text, text, text, text, uuid
) to mallgram_service;
grant execute on function service.record_refund_refused(uuid, text, text) to mallgram_service;
grant execute on function service.record_refund_check(uuid, text) to mallgram_service;
grant execute on function service.claim_refund_sweep(integer) to mallgram_service;

comment on function private.lock_refund(uuid) is
'A refund, locked after its order and payment. Error: refund_not_found.';
comment on function private.complete_refund(public.refunds, uuid) is
'The money went back: refund, payment, order, ledger, trail and messages in one.';
comment on function private.cancel_refund(uuid) is
'A refund of which nothing was sent is not needed any more.';
comment on function private.make_room(public.refunds) is
'Whether a refund that went through fits beside the others, once what is not sent has made way.';
comment on function private.fail_refund(public.refunds, text, uuid, boolean) is
'Nothing went back: the refund ends and stands before a person unless is_handled.';
comment on function private.replace_refund(public.refunds, public.payments, text, uuid) is
'A new refund of the same sum and pieces as a failed one.';
comment on function service.begin_refund(uuid, uuid, numeric, jsonb, text, text) is
'An admin refunds a payment: all that is left, an amount in its currency, or pieces [{'
'order_item_id, quantity}]. The same key and body answer the same refund. Definer because refunds '
'are closed to the service. Errors: admin_required, idempotency_key_invalid, '
'idempotency_key_reused, reason_invalid, card_number_refused, payment_not_found, '
'payment_not_refundable, refund_amount_invalid, refund_amount_too_large, refund_items_invalid.';
comment on function service.begin_refund_attempt(uuid) is
'A refund as its rail needs it; is_first: nothing was sent before this call, which marks it sent. '
'Definer because refunds are closed to the service. Error: refund_not_found.';
comment on function service.apply_refund_result(
    uuid, text, numeric, text, text, text, text, text, uuid
) is
'Applies the rail''s own answer about a refund: refunded (of the sum asked for, else it is '
'quarantined), failed (goes before a person), pending. Answers the refund and outcome: applied, '
'unchanged, quarantined. Definer because refunds are closed to the service. Error: '
'refund_not_found.';
comment on function service.record_refund_refused(uuid, text, text) is
'The rail surely did not take it: refund_unsupported goes the next way (a payout, a person), all '
'else before a person. Answers the refund that counts now. Definer because refunds are closed to '
'the service. Error: refund_not_found.';
comment on function service.claim_refund_sweep(integer) is
'Ids of refunds whose check was lost, each asked for anew or given to a person. Definer because '
'refunds are closed to the service.';
comment on function service.record_refund_check(uuid, text) is
'Counts a poll of a refund and plans the next: {next_check_at}; outcome nothing_created: the rail '
'surely did not take it, the next attempt sends it; after 72 hours it goes before a person. '
'Definer because refunds are closed to the service. Error: refund_not_found.';

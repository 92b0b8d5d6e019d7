create type public.payment_exception as (
    id uuid,
    kind text,
    title text,
    status text,
    age_seconds integer,
    order_id uuid,
    order_number text,
    payment_id uuid,
    refund_id uuid,
    event_id uuid,
    gateway text,
    amount numeric(12, 2),
    currency text,
    detail text,
    evidence jsonb,
    actions text [],
    created_at timestamptz,
    resolved_at timestamptz,
    resolved_by uuid,
    resolution text,
    note text,
    cursor text
);

comment on type public.payment_exception is
'A row of the exception desk: title in the reader''s language, age_seconds until it was resolved '
'or until now, evidence (payment, notice, refund as they are known), actions that are safe now.';

create or replace function private.exception_as_row(exception private.payment_exceptions)
returns public.payment_exception
language plpgsql
stable
set search_path = ''
as $$
declare
    v_row public.payment_exception;
begin
    select
        exception_as_row.exception.id,
        k.kind,
        case when private.caller_language() = 'fr' then k.title_fr else k.title_en end,
        case when exception_as_row.exception.resolved_at is null then 'open' else 'resolved' end,
        extract(
            epoch from coalesce(exception_as_row.exception.resolved_at, now())
            - exception_as_row.exception.created_at
        )::integer,
        exception_as_row.exception.order_id,
        o.order_number,
        exception_as_row.exception.payment_id,
        exception_as_row.exception.refund_id,
        exception_as_row.exception.event_id,
        exception_as_row.exception.gateway,
        exception_as_row.exception.amount,
        exception_as_row.exception.currency,
        exception_as_row.exception.detail,
        jsonb_strip_nulls(
            exception_as_row.exception.evidence || jsonb_build_object(
                'payment', jsonb_build_object(
                    'reference', p.reference,
                    'gateway_transaction_id', p.gateway_transaction_id,
                    'status', p.status,
                    'amount', p.amount,
                    'currency', p.currency,
                    'collected_amount', p.collected_amount,
                    'collected_currency', p.collected_currency,
                    'refunded_amount', p.refunded_amount,
                    'is_winner', p.is_winner,
                    'evidence_at', p.evidence_at
                ),
                'refund', jsonb_build_object(
                    'reference', r.reference,
                    'gateway_refund_id', r.gateway_refund_id,
                    'way', r.way,
                    'status', r.status,
                    'failure_reason', r.failure_reason
                ),
                'notice', jsonb_build_object(
                    'event_type', v.event_type,
                    'received_at', v.received_at,
                    'raw', left(v.raw, 2000)
                )
            )
        ),
        case
            when exception_as_row.exception.resolved_at is null
                then private.safe_actions(exception_as_row.exception)
            else '{}'
        end,
        exception_as_row.exception.created_at,
        exception_as_row.exception.resolved_at,
        exception_as_row.exception.resolved_by,
        exception_as_row.exception.resolution,
        exception_as_row.exception.note,
        replace(encode(convert_to(jsonb_build_object(
            's', 'exceptions',
            'k', extract(epoch from exception_as_row.exception.created_at),
            'i', exception_as_row.exception.id
        )::text, 'utf8'), 'base64'), E'\n', '')
    into v_row
    from private.payment_exception_kinds as k
    left join public.orders as o on o.id = exception_as_row.exception.order_id
    left join public.payments as p on p.id = exception_as_row.exception.payment_id
    left join public.refunds as r on r.id = exception_as_row.exception.refund_id
    left join private.webhook_events as v on v.id = exception_as_row.exception.event_id
    where k.kind = exception_as_row.exception.kind;
    return v_row;
end
$$;

create or replace function private.safe_actions(exception private.payment_exceptions)
returns text []
language plpgsql
stable
set search_path = ''
as $$
begin
    -- The kind's actions, less those that the payment or refund no longer allows.
    return (
        select array(
            select a.action
            from unnest(k.actions) with ordinality as a (action, position)
            where case a.action
                when 'refund' then coalesce(p.paid_at::text, p.collected_currency) is not null
                    and private.refund_open_amount(p) > 0
                when 'accept' then p.id is not null
                    and (
                        (
                            safe_actions.exception.kind = 'reversed_by_gateway'
                            and private.refund_open_amount(p) > 0
                        )
                        or (
                            p.paid_at is null
                            and p.collected_currency = p.currency
                            and o.status = 'pending'
                        )
                    )
                when 'retry' then private.is_refund_left(r)
                    and (r.status = 'failed' or r.status = 'processing' and r.next_check_at is null)
                when 'pay_out' then p.payer_account is not null
                    and g.payout_gateway is not null
                    and r.status in ('failed', 'pending')
                    and private.is_refund_left(r)
                when 'mark_refunded' then (
                        r.id is null
                        and coalesce(p.paid_at::text, p.collected_currency) is not null
                        and private.refund_open_amount(p) > 0
                    )
                    or (
                        r.status in ('failed', 'pending', 'processing')
                        and private.is_refund_left(r)
                    )
                when 'recheck' then r.status in ('pending', 'processing')
                    or r.id is null and p.id is not null and p.paid_at is null
                -- Money in quarantine is somebody's, a refund under way is no past matter.
                when 'dismiss' then (
                        p.paid_at is not null
                        or p.collected_amount is null
                        or not 'refund' = any(k.actions)
                    )
                    and r.status is distinct from 'processing'
                else true
            end
            order by a.position
        )
        from private.payment_exception_kinds as k
        left join public.payments as p on p.id = safe_actions.exception.payment_id
        left join public.orders as o on p.order_id = o.id
        left join public.refunds as r on r.id = safe_actions.exception.refund_id
        left join private.payment_gateways as g on p.gateway = g.code
        where k.kind = safe_actions.exception.kind
    );
end
$$;

create or replace function private.require_admin()
returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
begin
    if not private.is_admin(v_user_id) then
        perform private.fail('admin_required');
    end if;
    return v_user_id;
end
$$;

create or replace function private.exceptions(status text, cursor text, page_size integer)
returns setof public.payment_exception
language plpgsql
stable
security definer
set search_path = ''
-- Planned for the status that is asked for: the open ones have an index of their own.
set plan_cache_mode = 'force_custom_plan'
as $$
declare
    v_cursor jsonb;
    v_after_at timestamptz := timestamptz '-infinity';
    v_after_id uuid := uuid '00000000-0000-0000-0000-000000000000';
begin
    perform private.require_admin();
    if exceptions.status is null or exceptions.status not in ('open', 'resolved', 'all') then
        perform private.fail('input_invalid', 'status');
    end if;
    if exceptions.page_size is null or exceptions.page_size not between 1 and 100 then
        perform private.fail('input_invalid', 'page_size');
    end if;
    if exceptions.cursor is not null then
        v_cursor := private.read_cursor(exceptions.cursor, 'exceptions');
        v_after_at := to_timestamp((v_cursor ->> 'k')::numeric);
        v_after_id := (v_cursor ->> 'i')::uuid;
    end if;
    -- The oldest first: what has waited longest; each row is made once, for the page alone.
    return query
    select shown.*
    from (
        select e as entry
        from private.payment_exceptions as e
        where (
            exceptions.status = 'all'
            or (e.resolved_at is null) = (exceptions.status = 'open')
        )
        and (e.created_at, e.id) > (v_after_at, v_after_id)
        order by e.created_at, e.id
        limit exceptions.page_size
    ) as page
    cross join lateral private.exception_as_row(page.entry) as shown
    order by shown.created_at, shown.id;
end
$$;

create or replace function private.take_mismatched(payment public.payments)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_excess numeric;
begin
    -- An admin takes the sum that came as the price: the difference is the shop's.
    update public.payments as p
    set status = 'paid', paid_at = now(), evidence_at = now(), is_winner = true,
        failure_reason = null, next_check_at = null
    where p.id = take_mismatched.payment.id
    returning p.* into strict v_payment;
    perform private.log_payment_event(
        v_payment, 'accepted',
        jsonb_build_object(
            'amount', v_payment.collected_amount, 'asked', v_payment.amount
        )
    );
    perform private.settle_order(v_payment);
    v_excess := v_payment.collected_amount - v_payment.amount;
    if v_excess > 0 then
        perform private.create_refund(v_payment, v_excess, 0::numeric, 'overpaid', null);
    end if;
end
$$;

create or replace function private.give_back(
    exception private.payment_exceptions, action text, admin_id uuid
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_refund public.refunds;
begin
    select p.* into strict v_payment
    from public.payments as p where p.id = give_back.exception.payment_id;
    if v_payment.paid_at is null then
        -- Quarantined money is received before it goes back.
        update public.payments as p
        set status = 'paid', paid_at = now(), evidence_at = now(), next_check_at = null,
            failure_reason = null
        where p.id = v_payment.id
        returning p.* into strict v_payment;
        perform private.follow_payment(v_payment.id);
    end if;
    select r.* into v_refund
    from public.refunds as r where r.id = give_back.exception.refund_id;

    if v_refund.id is null then
        v_refund := private.create_refund(
            v_payment, private.refund_open_amount(v_payment),
            private.refund_tax(v_payment, private.refund_open_amount(v_payment)),
            give_back.exception.kind,
            give_back.admin_id,
            case when give_back.action = 'mark_refunded' then 'manual' end,
            give_back.action = 'mark_refunded'
        );
    elsif give_back.action in ('retry', 'pay_out') then
        -- The admin has seen at the rail that nothing went back.
        if v_refund.status = 'pending' then
            perform private.cancel_refund(v_refund.id);
        elsif v_refund.status = 'processing' then
            v_refund := private.fail_refund(v_refund, 'replaced', null, true);
        end if;
        v_refund := private.replace_refund(
            v_refund, v_payment,
            case when give_back.action = 'pay_out' then 'payout' else v_refund.way end,
            give_back.admin_id
        );
    end if;
    if give_back.action = 'mark_refunded' then
        perform private.complete_refund(v_refund, null);
    end if;
end
$$;

create or replace function private.resolve_exception(id uuid, action text, note text)
returns public.payment_exception
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_admin_id uuid := private.require_admin();
    v_exception private.payment_exceptions;
    v_note text := nullif(btrim(resolve_exception.note), '');
begin
    if v_note is not null then
        v_note := private.check_reason(v_note);
    end if;
    select e.* into v_exception
    from private.payment_exceptions as e where e.id = resolve_exception.id;
    if not found then
        perform private.fail('exception_not_found', resolve_exception.id::text);
    end if;
    -- Order, payment, refund, then the row of the desk: as everywhere.
    if v_exception.refund_id is not null then
        perform private.lock_refund(v_exception.refund_id);
    elsif v_exception.payment_id is not null then
        perform private.lock_payment(v_exception.payment_id);
    end if;
    select e.* into strict v_exception
    from private.payment_exceptions as e
    where e.id = resolve_exception.id
    for no key update;
    if v_exception.resolved_at is not null then
        -- Said twice is done once.
        if v_exception.resolution = resolve_exception.action then
            return private.exception_as_row(v_exception);
        end if;
        perform private.fail('exception_resolved', v_exception.resolution);
    end if;
    if resolve_exception.action is null
        or not resolve_exception.action = any(private.safe_actions(v_exception)) then
        perform private.fail('exception_action_refused', left(resolve_exception.action, 40));
    end if;
    if v_note is null
        and resolve_exception.action in ('dismiss', 'mark_refunded', 'accept', 'retry') then
        perform private.fail('exception_note_required', resolve_exception.action);
    end if;

    perform private.act_as('admin', v_admin_id);
    update private.payment_exceptions as e
    set resolved_at = now(), resolved_by = v_admin_id, resolution = resolve_exception.action,
        note = v_note
    where e.id = v_exception.id
    returning e.* into v_exception;
    perform private.log_payment_event(
        p, 'exception_resolved',
        jsonb_build_object(
            'exception', v_exception.kind, 'action', resolve_exception.action, 'note', v_note
        ),
        refund_id => v_exception.refund_id, event_id => v_exception.event_id
    )
    from public.payments as p
    where p.id = v_exception.payment_id;

    case resolve_exception.action
        when 'recheck' then
            perform private.recheck(v_exception);
        when 'accept' then
            if v_exception.kind = 'reversed_by_gateway' then
                perform private.give_back(v_exception, 'mark_refunded', v_admin_id);
            else
                perform private.take_mismatched(p)
                from public.payments as p where p.id = v_exception.payment_id;
            end if;
        when 'dismiss' then
            -- A refund that waits for hands nobody will lend is no refund, a payment that nobody
            -- asks about any more is over.
            perform private.cancel_refund(r.id)
            from public.refunds as r
            where r.id = v_exception.refund_id and r.status = 'pending' and r.way = 'manual';
            perform private.end_payment(p)
            from public.payments as p
            where p.id = v_exception.payment_id
                and p.status in ('pending', 'processing')
                and p.next_check_at is null;
        else
            perform private.give_back(v_exception, resolve_exception.action, v_admin_id);
    end case;
    return private.exception_as_row(v_exception);
end
$$;

create or replace function private.end_payment(payment public.payments)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
begin
    update public.payments as p
    set status = 'failed', failure_reason = 'dismissed'
    where p.id = end_payment.payment.id
    returning p.* into strict v_payment;
    perform private.follow_payment(v_payment.id);
    perform private.log_payment_event(
        v_payment, 'failed', jsonb_build_object('reason', v_payment.failure_reason)
    );
end
$$;

create or replace function private.recheck(exception private.payment_exceptions)
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- Planned on the row as well: the sweep finds it should the job die.
    if recheck.exception.refund_id is not null then
        update public.refunds as r
        set next_check_at = now()
        where r.id = recheck.exception.refund_id and r.status in ('pending', 'processing');
        perform private.emit(
            'check_refund', jsonb_build_object('refund_id', recheck.exception.refund_id),
            null, now(), null, true
        );
    else
        update public.payments as p
        set next_check_at = now()
        where p.id = recheck.exception.payment_id and p.status in ('pending', 'processing');
        perform private.emit(
            'reconcile_payments', jsonb_build_object('payment_id', recheck.exception.payment_id),
            null, now(), null, true
        );
    end if;
end
$$;

revoke all on function private.exception_as_row(private.payment_exceptions) from public;
revoke all on function private.safe_actions(private.payment_exceptions) from public;
revoke all on function private.end_payment(public.payments) from public;
revoke all on function private.require_admin() from public;
revoke all on function private.exceptions(text, text, integer) from public;
revoke all on function private.take_mismatched(public.payments) from public;
revoke all on function private.give_back(private.payment_exceptions, text, uuid) from public;
revoke all on function private.resolve_exception(uuid, text, text) from public;
revoke all on function private.recheck(private.payment_exceptions) from public;
grant execute on function private.exceptions(text, text, integer) to authenticated;
grant execute on function private.resolve_exception(uuid, text, text) to authenticated;

comment on function private.exception_as_row(private.payment_exceptions) is
'A row of the desk as admins read it.';
comment on function private.safe_actions(private.payment_exceptions) is
'What may be done about it now.';
comment on function private.end_payment(public.payments) is
'An admin gives up on an attempt that no gateway speaks of; late evidence still finds it.';
comment on function private.require_admin() is
'The caller''s id. Errors: authentication_required, admin_required.';
comment on function private.exceptions(text, text, integer) is
'Core of exceptions. Definer because the desk is closed; only for admins.';
comment on function private.take_mismatched(public.payments) is
'Another sum of the right currency becomes the price of the pending order; an excess goes back.';
comment on function private.give_back(private.payment_exceptions, text, uuid) is
'Sends money back, again, another way, or notes that it went back by hand. The shopper reads the '
'kind of the exception as the reason, never the admin''s note.';
comment on function private.resolve_exception(uuid, text, text) is
'Core of resolve_exception. Definer because the desk, payments and refunds are closed; only for '
'admins.';
comment on function private.recheck(private.payment_exceptions) is
'Asks for the gateway''s word on the payment or refund; if it still does not fit, the row opens '
'again.';

create or replace function public.exceptions(
    status text default 'open', cursor text default null, page_size integer default 50
)
returns setof public.payment_exception
language sql
stable
set search_path = ''
as $$
    select e.*
    from private.exceptions(exceptions.status, exceptions.cursor, exceptions.page_size) as e
$$;

create or replace function public.resolve_exception(id uuid, action text, note text default null)
returns public.payment_exception
language sql
set search_path = ''
as $$
    select private.resolve_exception(
        resolve_exception.id, resolve_exception.action, resolve_exception.note
    )
$$;

revoke all on function public.exceptions(text, text, integer) from public;
revoke all on function public.resolve_exception(uuid, text, text) from public;
grant execute on function public.exceptions(text, text, integer) to authenticated;
grant execute on function public.resolve_exception(uuid, text, text) to authenticated;

comment on function public.exceptions(text, text, integer) is
'Admins: the exception desk, oldest first; status open, resolved or all. Errors: '
'authentication_required, admin_required, input_invalid, cursor_invalid.';
comment on function public.resolve_exception(uuid, text, text) is
'Admins: one of the row''s actions (recheck, refund, accept, retry, pay_out, mark_refunded, '
'dismiss); note is needed for accept, mark_refunded, retry and dismiss. The same action twice is '
'once. Errors: authentication_required, admin_required, exception_not_found, exception_resolved, '
'exception_action_refused, exception_note_required, reason_invalid, card_number_refused.';

create or replace function private.payment_as_json(payment public.payments)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'payment_id', payment_as_json.payment.id,
            'order_id', payment_as_json.payment.order_id,
            'gateway', payment_as_json.payment.gateway,
            'method', payment_as_json.payment.method,
            'reference', payment_as_json.payment.reference,
            'gateway_transaction_id', payment_as_json.payment.gateway_transaction_id,
            'amount', payment_as_json.payment.amount,
            'currency', payment_as_json.payment.currency,
            'status', payment_as_json.payment.status,
            'order_status', (
                select o.status from public.orders as o
                where o.id = payment_as_json.payment.order_id
            ),
            'action', payment_as_json.payment.action,
            'failure_reason', payment_as_json.payment.failure_reason,
            'expires_at', payment_as_json.payment.expires_at,
            'created_at', payment_as_json.payment.created_at,
            'checks', payment_as_json.payment.checks,
            'is_settled', payment_as_json.payment.paid_at is not null
        )
$$;

revoke all on function private.payment_as_json(public.payments) from public;

comment on function private.payment_as_json(public.payments) is
'A payment as service functions answer it, with the state of its order.';

create or replace function private.follow_payment(payment_id uuid)
returns void
language sql
set search_path = ''
as $$
    -- orders.payment_status tells of the best attempt: paid, else one under way, else the last end.
    with best as (
        select p.order_id, b.status
        from public.payments as p
        cross join lateral (
            select q.status
            from public.payments as q
            where q.order_id = p.order_id and (q.paid_at is null or q.is_winner)
            order by
                q.is_winner desc, (q.status in ('pending', 'processing')) desc, q.created_at desc
            limit 1
        ) as b
        where p.id = follow_payment.payment_id
    )

    update public.orders as o
    set payment_status = case when b.status = 'pending' then 'processing' else b.status end
    from best as b
    where o.id = b.order_id
        and o.status = 'pending'
        and o.payment_status is distinct from
        case when b.status = 'pending' then 'processing' else b.status end
$$;

revoke all on function private.follow_payment(uuid) from public;

comment on function private.follow_payment(uuid) is
'Brings orders.payment_status of a pending order in line with its attempts.';

create or replace function service.begin_payment(
    actor_id uuid,
    order_id uuid,
    method text,
    phone text,
    gateways text [],
    excluded text [] default '{}'
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_order public.orders;
    v_user public.users;
    v_route public.payment_routes;
    v_payment public.payments;
    v_phone text := regexp_replace(begin_payment.phone, '[\s().-]', '', 'g');
    v_is_new boolean := false;
begin
    select o.* into v_order
    from public.orders as o
    where o.id = begin_payment.order_id and o.user_id = begin_payment.actor_id
    for no key update;
    if not found then
        perform private.fail('order_not_found', begin_payment.order_id::text);
    end if;
    if v_order.status <> 'pending' or v_order.expires_at <= now() then
        perform private.fail('order_not_payable', v_order.status::text);
    end if;
    if begin_payment.method is not null and not exists (
        select from public.payment_methods as m where m.code = begin_payment.method
    ) then
        perform private.fail('payment_method_unknown', begin_payment.method);
    end if;

    select r.* into v_route
    from public.payment_routes as r
    where r.country = v_order.country
        and r.is_enabled
        and (begin_payment.method is null or r.method = begin_payment.method)
        and r.gateway = any(begin_payment.gateways)
        and r.gateway <> all(coalesce(begin_payment.excluded, '{}'))
        -- nobody asked for a method: take none that would have to ask for a number first
        and (begin_payment.method is not null or v_phone is not null or not r.needs_phone)
    order by r.priority
    limit 1;
    if not found then
        perform private.fail('payment_method_unavailable', begin_payment.method);
    end if;
    if v_route.needs_phone and v_phone is null then
        perform private.fail('payment_phone_required');
    end if;
    if v_phone is not null and not v_phone ~ '^\+[1-9][0-9]{6,14}$' then
        perform private.fail('payment_phone_invalid');
    end if;

    select u.* into strict v_user from public.users as u where u.id = v_order.user_id;
    -- A page that has expired cannot be paid on, and a start without an answer for a minute has no
    -- page that anybody saw: a new attempt takes their place, the polls follow the old one on.
    update public.payments as p
    set superseded_at = now()
    where p.order_id = v_order.id
        and p.method = v_route.method
        and p.gateway = v_route.gateway
        and p.status in ('pending', 'processing')
        and p.superseded_at is null
        and (
            p.expires_at <= now()
            or p.action is null and p.created_at <= now() - interval '1 minute'
        );
    select p.* into v_payment
    from public.payments as p
    where p.order_id = v_order.id
        and p.method = v_route.method
        and p.gateway = v_route.gateway
        and p.status in ('pending', 'processing')
        and p.superseded_at is null;
    if not found then
        insert into public.payments as p (
            order_id, user_id, gateway, method, reference, amount, currency
        )
        values (
            v_order.id, v_order.user_id, v_route.gateway, v_route.method,
            -- 27 characters: the shortest limit among the gateways is 30
            'mg-' || encode(extensions.gen_random_bytes(12), 'hex'),
            v_order.total_price, v_order.currency
        )
        returning p.* into v_payment;
        v_is_new := true;
        update public.orders as o
        set expires_at = greatest(
            o.expires_at, least(now() + private.hold_duration(), o.created_at + interval '2 hours')
        )
        where o.id = v_order.id;
        perform private.follow_payment(v_payment.id);
        perform private.act_as('user', v_order.user_id);
        perform private.log_order_event(v_order.id, v_order.user_id, 'payment_begun');
        -- Polled from here on: whatever happens to the caller next, somebody asks the gateway.
        perform private.schedule_payment_check(v_payment.id, interval '15 seconds');
    end if;

    return private.payment_as_json(v_payment) || jsonb_build_object(
        'is_new', v_is_new,
        'order_number', v_order.order_number,
        'country', v_order.country,
        'language', v_order.language,
        'customer_email', v_user.email,
        'customer_name', v_user.full_name,
        'phone', v_phone
    );
end
$$;

create or replace function service.record_payment_started(
    payment_id uuid,
    gateway_transaction_id text,
    action jsonb,
    expires_at timestamptz,
    webhook_token text default null
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_transaction_id text := record_payment_started.gateway_transaction_id;
begin
    v_payment := private.lock_payment(record_payment_started.payment_id);
    if record_payment_started.webhook_token is not null then
        insert into private.payment_tokens as t (payment_id, webhook_token)
        values (record_payment_started.payment_id, record_payment_started.webhook_token)
        on conflict on constraint payment_tokens_pkey do update
        set webhook_token = excluded.webhook_token;
    end if;
    if private.is_foreign_transaction(
        v_payment, record_payment_started.gateway_transaction_id
    ) then
        v_transaction_id := null;
        perform private.open_payment_exception(
            v_payment.id, 'ambiguous_reference', record_payment_started.gateway_transaction_id
        );
    end if;
    -- The webhook may have been faster: an end that is known already stays.
    update public.payments as p
    set status = case when p.status = 'pending' then 'processing' else p.status end,
        gateway_transaction_id = coalesce(p.gateway_transaction_id, v_transaction_id),
        action = record_payment_started.action,
        expires_at = record_payment_started.expires_at
    where p.id = record_payment_started.payment_id
    returning p.* into strict v_payment;
    perform private.follow_payment(v_payment.id);
    return private.payment_as_json(v_payment);
end
$$;

create or replace function service.record_payment_start_failed(
    payment_id uuid, outcome text, reason text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_reason text := left(
        regexp_replace(record_payment_start_failed.reason, '[[:cntrl:]]+', ' ', 'g'), 300
    );
begin
    v_payment := private.lock_payment(record_payment_start_failed.payment_id);
    if record_payment_start_failed.outcome = 'nothing_created' and v_payment.status = 'pending' then
        update public.payments as p
        set status = 'failed', failure_reason = v_reason, next_check_at = null
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
    else
        update public.payments as p
        set failure_reason = v_reason
        where p.id = v_payment.id and p.status = 'pending'
        returning p.* into v_payment;
    end if;
    return private.payment_as_json(private.lock_payment(record_payment_start_failed.payment_id));
end
$$;

create or replace function service.payment_status(actor_id uuid, payment_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_payment public.payments;
begin
    select p.* into v_payment
    from public.payments as p
    where p.id = payment_status.payment_id
        and (p.user_id = payment_status.actor_id or private.is_admin(payment_status.actor_id));
    if not found then
        perform private.fail('payment_not_found', payment_status.payment_id::text);
    end if;
    return private.payment_as_json(v_payment);
end
$$;

create or replace function service.payment_return(payment_id uuid)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select jsonb_build_object('payment_id', p.id, 'order_id', p.order_id)
    from public.payments as p
    where p.id = payment_return.payment_id
$$;

revoke all on function service.begin_payment(uuid, uuid, text, text, text [], text []) from public;
revoke all on function service.record_payment_started(
    uuid, text, jsonb, timestamptz, text
) from public;
revoke all on function service.record_payment_start_failed(uuid, text, text) from public;
revoke all on function service.payment_status(uuid, uuid) from public;
revoke all on function service.payment_return(uuid) from public;
grant execute on function service.begin_payment(uuid, uuid, text, text, text [], text [])
to mallgram_service;
grant execute on function service.record_payment_started(uuid, text, jsonb, timestamptz, text)
to mallgram_service;
grant execute on function service.record_payment_start_failed(uuid, text, text)
to mallgram_service;
grant execute on function service.payment_status(uuid, uuid) to mallgram_service;
grant execute on function service.payment_return(uuid) to mallgram_service;

comment on function service.begin_payment(uuid, uuid, text, text, text [], text []) is
'Opens (or finds again, is_new false) the attempt to pay actor_id''s order on the first route '
'among '
'gateways less excluded, and schedules the first check. Definer because payments are closed to the '
'service. Errors: order_not_found, order_not_payable, payment_method_unknown, '
'payment_method_unavailable, payment_phone_required, payment_phone_invalid.';
comment on function service.record_payment_started(uuid, text, jsonb, timestamptz, text) is
'The gateway accepted: what the payer does next is kept for whoever asks again. Definer because '
'payments are closed to the service.';
comment on function service.record_payment_start_failed(uuid, text, text) is
'The gateway did not accept: nothing_created ends the attempt, unknown leaves it to the polls. '
'Definer because payments are closed to the service.';
comment on function service.payment_status(uuid, uuid) is
'A payment of actor_id''s own, or any for an admin. Definer because payments are closed to the '
'service. Error: payment_not_found.';
comment on function service.payment_return(uuid) is
'{payment_id, order_id}, null when unknown; for the redirect after a hosted page. Definer because '
'payments are closed to the service.';

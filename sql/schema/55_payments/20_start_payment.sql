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
            'gateway_session', payment_as_json.payment.gateway_session,
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
            'refunded_amount', payment_as_json.payment.refunded_amount,
            'created_at', payment_as_json.payment.created_at,
            'started_at', payment_as_json.payment.created_at,
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
    excluded text [] default '{}',
    save_method boolean default false,
    saved_method_id uuid default null
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
    v_method text := begin_payment.method;
    v_gateways text [] := begin_payment.gateways;
    v_saved public.saved_payment_methods;
    v_webhook_token text;
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
    if begin_payment.saved_method_id is not null then
        -- A token is good at the gateway that gave it, and for whom it was given.
        select m.* into v_saved
        from public.saved_payment_methods as m
        where m.id = begin_payment.saved_method_id
            and m.user_id = begin_payment.actor_id
            and m.method = coalesce(begin_payment.method, m.method);
        if not found then
            perform private.fail('saved_method_not_found', begin_payment.saved_method_id::text);
        end if;
        v_method := v_saved.method;
        v_gateways := array(
            select g from unnest(begin_payment.gateways) as g where g = v_saved.gateway
        );
    end if;

    select r.* into v_route
    from public.payment_routes as r
    where r.country = v_order.country
        and r.is_enabled
        and (v_method is null or r.method = v_method)
        and r.gateway = any(v_gateways)
        and r.gateway <> all(coalesce(begin_payment.excluded, '{}'))
        -- nobody asked for a method: take none that would have to ask for a number first
        and (v_method is not null or v_phone is not null or not r.needs_phone)
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
        -- a card that may be charged already is not charged again under another name
        and not p.charges_saved_method
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
            order_id, user_id, gateway, method, reference, payer_account, save_method,
            charges_saved_method, saved_payment_method_id, amount, currency
        )
        values (
            v_order.id, v_order.user_id, v_route.gateway, v_route.method,
            -- 27 characters: the shortest limit among the gateways is 30
            'mg-' || encode(extensions.gen_random_bytes(12), 'hex'),
            case when v_route.needs_phone then v_phone end,
            coalesce(begin_payment.save_method, false), v_saved.id is not null, v_saved.id,
            v_order.total_price, v_order.currency
        )
        returning p.* into v_payment;
        -- Known before any gateway is: its notices may come before its answer.
        v_webhook_token := encode(extensions.gen_random_bytes(16), 'hex');
        insert into private.payment_tokens (payment_id, webhook_token)
        values (v_payment.id, v_webhook_token);
        update public.orders as o
        set expires_at = greatest(
            o.expires_at, least(now() + private.hold_duration(), o.created_at + interval '2 hours')
        )
        where o.id = v_order.id;
        perform private.follow_payment(v_payment.id);
        perform private.act_as('user', v_order.user_id);
        perform private.log_order_event(v_order.id, v_order.user_id, 'payment_begun');
        perform private.log_payment_event(
            v_payment, 'begun',
            jsonb_build_object(
                'gateway', v_payment.gateway, 'method', v_payment.method,
                'amount', v_payment.amount, 'currency', v_payment.currency
            )
        );
        -- Polled from here on: whatever happens to the caller next, somebody asks the gateway.
        perform private.schedule_payment_check(v_payment.id, interval '15 seconds');
    end if;

    return private.payment_as_json(v_payment) || jsonb_build_object(
        'is_new', v_webhook_token is not null,
        'webhook_token', v_webhook_token,
        'save_method', v_payment.save_method,
        'saved_method_token', (
            select t.token
            from private.saved_payment_method_tokens as t
            where t.saved_payment_method_id = v_payment.saved_payment_method_id
        ),
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
    webhook_token text default null,
    gateway_session text default null
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_transaction_id text := record_payment_started.gateway_transaction_id;
    v_session text := record_payment_started.gateway_session;
begin
    v_payment := private.lock_payment(record_payment_started.payment_id);
    if record_payment_started.webhook_token is not null then
        insert into private.payment_tokens (payment_id, webhook_token, is_of_gateway)
        values (record_payment_started.payment_id, record_payment_started.webhook_token, true)
        on conflict on constraint payment_tokens_pkey do nothing;
    end if;
    if private.is_foreign_transaction(
        v_payment, record_payment_started.gateway_transaction_id
    ) then
        v_transaction_id := null;
        perform private.open_payment_exception(
            kind => 'ambiguous_reference', payment_id => v_payment.id,
            detail => 'the gateway gave a transaction that is another attempt''s',
            evidence => jsonb_build_object(
                'gateway_transaction_id', record_payment_started.gateway_transaction_id
            )
        );
    end if;
    if exists (
        select from public.payments as p
        where p.gateway = v_payment.gateway
            and p.gateway_session = v_session
            and p.id <> v_payment.id
    ) then
        perform private.open_payment_exception(
            kind => 'ambiguous_reference', payment_id => v_payment.id,
            detail => 'the gateway gave a session that is another attempt''s',
            evidence => jsonb_build_object('gateway_session', v_session)
        );
        v_session := null;
    end if;
    -- The webhook may have been faster: an end that is known already stays.
    update public.payments as p
    set status = case when p.status = 'pending' then 'processing' else p.status end,
        gateway_transaction_id = coalesce(p.gateway_transaction_id, v_transaction_id),
        gateway_session = coalesce(p.gateway_session, v_session),
        action = record_payment_started.action,
        expires_at = record_payment_started.expires_at
    where p.id = record_payment_started.payment_id
    returning p.* into strict v_payment;
    perform private.follow_payment(v_payment.id);
    perform private.act_as('gateway');
    perform private.log_payment_event(
        v_payment, 'started',
        jsonb_build_object(
            'action', v_payment.action ->> 'action',
            'gateway_transaction_id', v_payment.gateway_transaction_id,
            'gateway_session', v_payment.gateway_session,
            'expires_at', v_payment.expires_at
        )
    );
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
    v_reason text := private.clean_words(record_payment_start_failed.reason);
begin
    v_payment := private.lock_payment(record_payment_start_failed.payment_id);
    if record_payment_start_failed.outcome = 'nothing_created' and v_payment.status = 'pending' then
        update public.payments as p
        set status = 'failed', failure_reason = v_reason, next_check_at = null
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
    else
        -- Nobody saw a page to pay on: once the gateway denies it, it need not be waited for long.
        update public.payments as p
        set failure_reason = v_reason,
            expires_at = coalesce(p.expires_at, now() + interval '15 minutes')
        where p.id = v_payment.id and p.status = 'pending';
    end if;
    perform private.act_as('gateway');
    perform private.log_payment_event(
        v_payment, 'not_started',
        jsonb_build_object('outcome', record_payment_start_failed.outcome, 'reason', v_reason)
    );
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
    return private.payment_as_json(v_payment) || jsonb_build_object(
        'refunds', (
            select coalesce(jsonb_agg(private.refund_as_json(r) order by r.created_at), '[]')
            from public.refunds as r
            where r.payment_id = v_payment.id
        )
    );
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

revoke all on function service.begin_payment(
    uuid, uuid, text, text, text [], text [], boolean, uuid
) from public;
revoke all on function service.record_payment_started(
    uuid, text, jsonb, timestamptz, text, text
) from public;
revoke all on function service.record_payment_start_failed(uuid, text, text) from public;
revoke all on function service.payment_status(uuid, uuid) from public;
revoke all on function service.payment_return(uuid) from public;
grant execute on function service.begin_payment(
    uuid, uuid, text, text, text [], text [], boolean, uuid
) to mallgram_service;
grant execute on function service.record_payment_started(
    uuid, text, jsonb, timestamptz, text, text
) to mallgram_service;
grant execute on function service.record_payment_start_failed(uuid, text, text)
to mallgram_service;
grant execute on function service.payment_status(uuid, uuid) to mallgram_service;
grant execute on function service.payment_return(uuid) to mallgram_service;

comment on function service.begin_payment(
    uuid, uuid, text, text, text [], text [], boolean, uuid
) is
'Opens (or finds again, is_new false) the attempt to pay actor_id''s order on the first route '
'among gateways less excluded, and schedules the first check. webhook_token (with a new attempt '
'only) belongs into the address that the gateway is given. saved_method_id: pay with that saved '
'method. Definer because payments are closed to the service. Errors: order_not_found, '
'order_not_payable, payment_method_unknown, payment_method_unavailable, payment_phone_required, '
'payment_phone_invalid, saved_method_not_found.';
comment on function service.record_payment_started(
    uuid, text, jsonb, timestamptz, text, text
) is
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

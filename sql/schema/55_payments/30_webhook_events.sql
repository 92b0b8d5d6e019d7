-- The inbox of gateways' notices, kept raw. A row is stored once, acknowledged, then worked on.

create table private.payment_tokens (
    payment_id uuid primary key references public.payments (id) on delete cascade,
    webhook_token text not null
);

alter table private.payment_tokens enable row level security;

comment on table private.payment_tokens is
'Secrets that a gateway gave for one payment, by which its notices are known to be genuine.';

create table private.webhook_events (
    id uuid primary key default gen_random_uuid(),
    gateway text not null,
    dedupe_key text not null,
    event_type text not null,
    payment_id uuid references public.payments (id) on delete restrict,
    raw text not null,
    headers jsonb not null default '{}',
    request_id text,
    received_at timestamptz not null default now(),
    handled_at timestamptz,
    outcome text,
    detail text,
    constraint webhook_events_dedupe_key_key unique (gateway, dedupe_key),
    constraint webhook_events_handled_has_outcome
    check ((handled_at is null) = (outcome is null))
);

alter table private.webhook_events enable row level security;

create index webhook_events_payment_id_idx on private.webhook_events (payment_id);
create index webhook_events_received_at_idx on private.webhook_events (received_at);

comment on table private.webhook_events is
'Verified notices of gateways, as received. payment_id is null when no payment has their '
'reference.';

create or replace function service.webhook_secrets(gateway text, "references" text [])
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        coalesce(
            jsonb_agg(
                jsonb_build_object('payment_id', p.id, 'webhook_token', t.webhook_token)
            ), '[]'
        )
    from public.payments as p
    inner join private.payment_tokens as t on p.id = t.payment_id
    where p.gateway = webhook_secrets.gateway
        and (
            p.reference = any(webhook_secrets."references")
            or p.gateway_transaction_id = any(webhook_secrets."references")
        )
$$;

create or replace function service.record_webhook_event(
    gateway text,
    dedupe_key text,
    event_type text,
    payment_references text [],
    raw text,
    headers jsonb,
    request_id text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payments uuid [];
    v_event_id uuid;
begin
    select array_agg(p.id)
    into v_payments
    from public.payments as p
    where p.gateway = record_webhook_event.gateway
        and (
            p.reference = any(record_webhook_event.payment_references)
            or p.gateway_transaction_id = any(record_webhook_event.payment_references)
        );

    insert into private.webhook_events (
        gateway, dedupe_key, event_type, payment_id, raw, headers, request_id, handled_at, outcome
    )
    values (
        record_webhook_event.gateway,
        record_webhook_event.dedupe_key,
        record_webhook_event.event_type,
        case when cardinality(v_payments) = 1 then v_payments[1] end,
        record_webhook_event.raw,
        record_webhook_event.headers,
        record_webhook_event.request_id,
        case when cardinality(v_payments) > 1 then now() end,
        case when cardinality(v_payments) > 1 then 'ambiguous_reference' end
    )
    on conflict on constraint webhook_events_dedupe_key_key do nothing
    returning id into v_event_id;

    if v_event_id is null then
        select e.id into strict v_event_id
        from private.webhook_events as e
        where e.gateway = record_webhook_event.gateway
            and e.dedupe_key = record_webhook_event.dedupe_key;
        return jsonb_build_object('event_id', v_event_id, 'is_new', false);
    end if;

    if cardinality(v_payments) > 1 then
        insert into private.payment_exceptions (payment_id, kind, detail)
        select p, 'ambiguous_reference', v_event_id::text from unnest(v_payments) as p
        on conflict on constraint payment_exceptions_payment_id_kind_key do nothing;
    else
        perform private.emit(
            'handle_webhook', jsonb_build_object('event_id', v_event_id),
            'handle_webhook/' || v_event_id, now(), record_webhook_event.request_id, true
        );
    end if;
    return jsonb_build_object('event_id', v_event_id, 'is_new', true);
end
$$;

create or replace function service.begin_webhook_event(event_id uuid)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'event_id', e.id,
            'gateway', e.gateway,
            'event_type', e.event_type,
            'payment_id', e.payment_id,
            'reference', p.reference,
            'gateway_transaction_id', p.gateway_transaction_id,
            'handled', e.handled_at is not null
        )
    from private.webhook_events as e
    left join public.payments as p on e.payment_id = p.id
    where e.id = begin_webhook_event.event_id
$$;

create or replace function service.record_webhook_handled(
    event_id uuid, outcome text, detail text default null
)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.webhook_events as e
    set handled_at = now(),
        outcome = record_webhook_handled.outcome,
        detail = left(record_webhook_handled.detail, 500)
    where e.id = record_webhook_handled.event_id and e.handled_at is null
    returning null::jsonb
$$;

revoke all on function service.webhook_secrets(text, text []) from public;
revoke all on function service.record_webhook_event(
    text, text, text, text [], text, jsonb, text
) from public;
revoke all on function service.begin_webhook_event(uuid) from public;
revoke all on function service.record_webhook_handled(uuid, text, text) from public;
grant execute on function service.webhook_secrets(text, text []) to mallgram_service;
grant execute on function service.record_webhook_event(
    text, text, text, text [], text, jsonb, text
) to mallgram_service;
grant execute on function service.begin_webhook_event(uuid) to mallgram_service;
grant execute on function service.record_webhook_handled(uuid, text, text) to mallgram_service;

comment on function service.webhook_secrets(text, text []) is
'[{payment_id, webhook_token}] of the payments with these references at the gateway. Definer '
'because tokens are closed to everyone.';
comment on function service.record_webhook_event(
    text, text, text, text [], text, jsonb, text
) is
'Stores a verified notice once under (gateway, dedupe_key) and emits its job: {event_id, is_new}. '
'References of two payments open an exception and apply nothing. Definer because the inbox is '
'closed to the service.';
comment on function service.begin_webhook_event(uuid) is
'{event_id, gateway, event_type, payment_id, reference, gateway_transaction_id, handled}. Definer '
'because the inbox is closed to the service.';
comment on function service.record_webhook_handled(uuid, text, text) is
'Stamps handled_at, once. Definer because the inbox is closed to the service.';

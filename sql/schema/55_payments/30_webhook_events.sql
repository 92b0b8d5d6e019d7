-- The inbox of gateways' notices, kept raw. A row is stored once, acknowledged, then worked on.

create table private.payment_tokens (
    payment_id uuid not null references public.payments (id) on delete cascade,
    webhook_token text not null,
    is_of_gateway boolean not null default false,
    primary key (payment_id, webhook_token)
);

alter table private.payment_tokens enable row level security;

create unique index payment_tokens_payment_id_key on private.payment_tokens (payment_id)
where not is_of_gateway;
create index payment_tokens_webhook_token_idx on private.payment_tokens (webhook_token);

comment on table private.payment_tokens is
'Secrets by which notices of one payment are known to be genuine: ours, a part of the address that '
'the gateway was given, and the gateway''s own where it has one.';

create table private.webhook_events (
    id uuid primary key default gen_random_uuid(),
    gateway text not null,
    dedupe_key text not null,
    event_type text not null,
    kind text not null default 'payment',
    payment_id uuid references public.payments (id) on delete restrict,
    refund_id uuid references public.refunds (id) on delete restrict,
    raw text not null,
    headers jsonb not null default '{}',
    request_id text,
    received_at timestamptz not null default now(),
    handled_at timestamptz,
    outcome text,
    detail text,
    constraint webhook_events_dedupe_key_key unique (gateway, dedupe_key),
    constraint webhook_events_kind_is_known
    check (kind in ('payment', 'refund', 'payout', 'other')),
    constraint webhook_events_handled_has_outcome
    check ((handled_at is null) = (outcome is null)),
    constraint webhook_events_holds_no_card_number check (not private.holds_card_number(raw))
);

alter table private.webhook_events enable row level security;

create index webhook_events_payment_id_idx on private.webhook_events (payment_id);
create index webhook_events_refund_id_idx on private.webhook_events (refund_id)
where refund_id is not null;
create index webhook_events_received_at_idx on private.webhook_events (received_at);

comment on table private.webhook_events is
'Verified notices of gateways, as received. payment_id is null when no payment has their '
'reference.';

create or replace function private.named_payments(
    gateway text, payment_references text [], tokens text []
)
returns uuid []
language plpgsql
stable
set search_path = ''
as $$
begin
    -- Each look-up by itself: whatever is known of how the tables are filled, an index finds a row
    -- by all its columns, and never all payments of a gateway.
    return (
        select array_agg(distinct k.id) filter (where k.id is not null)
        from (
            select u.id
            from unnest(named_payments.payment_references) as g (reference)
            cross join lateral (
                values
                ((
                    select p.id from public.payments as p
                    where p.gateway = named_payments.gateway and p.reference = g.reference
                )),
                ((
                    select p.id from public.payments as p
                    where p.gateway = named_payments.gateway
                        and p.gateway_transaction_id = g.reference
                )),
                ((
                    select p.id from public.payments as p
                    where p.gateway = named_payments.gateway and p.gateway_session = g.reference
                ))
            ) as u (id)
            union all
            select t.payment_id
            from unnest(named_payments.tokens) as w (webhook_token)
            inner join private.payment_tokens as t on w.webhook_token = t.webhook_token
            where (
                select p.gateway from public.payments as p where p.id = t.payment_id
            ) = named_payments.gateway
        ) as k
    );
end
$$;

create or replace function service.webhook_secrets(
    gateway text, "references" text [], tokens text [] default '{}'
)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        coalesce(
            jsonb_agg(
                jsonb_build_object('payment_id', t.payment_id, 'webhook_token', t.webhook_token)
            ), '[]'
        )
    from private.payment_tokens as t
    where t.payment_id = any(
        private.named_payments(
            webhook_secrets.gateway, webhook_secrets."references", webhook_secrets.tokens
        )
    )
$$;

create or replace function service.record_webhook_events(events jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
set plan_cache_mode = 'force_generic_plan'
as $$
declare
    v_stored jsonb;
    v_ambiguous jsonb;
begin
    with noticed as materialized (
        select n.*
        from rows from (
            jsonb_to_recordset(record_webhook_events.events) as (
                gateway text, dedupe_key text, event_type text, kind text,
                payment_references text [], webhook_token text, raw text, headers jsonb,
                request_id text
            )
        ) with ordinality as n (
            gateway, dedupe_key, event_type, kind, payment_references, webhook_token, raw, headers,
            request_id, place
        )
    ),

    matched as (
        select
            n.*,
            r.id as refund_id,
            coalesce(
                f.payments, case when r.id is not null then array[r.payment_id] end
            ) as payments
        from noticed as n
        cross join lateral (
            select
                private.named_payments(
                    n.gateway, n.payment_references, array_remove(array[n.webhook_token], null)
                ) as payments
        ) as f
        left join lateral (
            select q.id, q.payment_id
            from public.refunds as q
            where n.kind in ('refund', 'payout')
                and q.gateway = n.gateway
                and (
                    q.reference = any(n.payment_references)
                    or q.gateway_refund_id = any(n.payment_references)
                )
            limit 1
        ) as r on true
    ),

    -- In the order of their key: two calls at once wait for each other one way round only.
    stored as (
        insert into private.webhook_events as e (
            gateway, dedupe_key, event_type, kind, payment_id, refund_id, raw, headers, request_id,
            handled_at, outcome
        )
        select
            m.gateway, m.dedupe_key, m.event_type, coalesce(m.kind, 'payment'),
            case when cardinality(m.payments) = 1 then m.payments[1] end,
            m.refund_id,
            -- one odd notice must not keep the others of its batch out
            case
                when private.holds_card_number(m.raw) then regexp_replace(m.raw, '[0-9]+', '…', 'g')
                else coalesce(m.raw, '')
            end,
            case
                when private.holds_card_number(m.headers::text) then '{}'
                else coalesce(m.headers, '{}')
            end,
            m.request_id,
            case when cardinality(m.payments) > 1 then now() end,
            case when cardinality(m.payments) > 1 then 'ambiguous_reference' end
        from matched as m
        order by m.gateway, m.dedupe_key, m.place
        on conflict on constraint webhook_events_dedupe_key_key do nothing
        returning e.id, e.gateway, e.dedupe_key, e.request_id, e.outcome
    ),

    emitted as (
        -- before every poll that is due: a payer waits for this
        insert into private.outbox (job, args, dedupe_key, request_id, available_at)
        select
            'handle_webhook', jsonb_build_object('event_id', s.id), 'handle_webhook/' || s.id,
            s.request_id, now() - interval '1 hour'
        from stored as s
        where s.outcome is null
    )

    select
        jsonb_agg(
            jsonb_build_object(
                'event_id', s.id,
                'is_new', s.id is not null
                and m.place = (
                    select min(o.place) from noticed as o
                    where o.gateway = m.gateway and o.dedupe_key = m.dedupe_key
                )
            )
            order by m.place
        ),
        jsonb_agg(jsonb_build_object('event_id', s.id, 'payments', to_jsonb(m.payments)))
        filter (where s.outcome is not null)
    into v_stored, v_ambiguous
    from matched as m
    left join stored as s on m.gateway = s.gateway and m.dedupe_key = s.dedupe_key;

    if v_stored @> '[{"is_new": true}]' then
        notify outbox;
    end if;
    if v_ambiguous is not null then
        perform private.open_payment_exception(
            kind => 'ambiguous_reference', payment_id => p::uuid,
            event_id => (a ->> 'event_id')::uuid, detail => 'one notice names several payments'
        )
        from jsonb_array_elements(v_ambiguous) as a,
            jsonb_array_elements_text(a -> 'payments') as p;
    end if;
    -- What was stored before: its id is seen by a statement that begins after the other's commit.
    if v_stored @> '[{"event_id": null}]' then
        select
            jsonb_agg(
                case
                    when s.stored ->> 'event_id' is not null then s.stored
                    else jsonb_build_object('event_id', e.id, 'is_new', false)
                end
                order by s.place
            )
        into v_stored
        from jsonb_array_elements(v_stored) with ordinality as s (stored, place)
        inner join jsonb_array_elements(record_webhook_events.events)
            with ordinality as n (event, place) on s.place = n.place
        left join private.webhook_events as e
            on e.gateway = n.event ->> 'gateway' and e.dedupe_key = n.event ->> 'dedupe_key';
    end if;
    return v_stored;
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
            'kind', e.kind,
            'payment_id', e.payment_id,
            'refund_id', e.refund_id,
            'raw', e.raw,
            'reference', p.reference,
            'gateway_transaction_id', p.gateway_transaction_id,
            'gateway_session', p.gateway_session,
            'amount', p.amount,
            'currency', p.currency,
            'method', p.method,
            'started_at', p.created_at,
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
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_event private.webhook_events;
begin
    update private.webhook_events as e
    set handled_at = now(),
        outcome = record_webhook_handled.outcome,
        detail = case
            when private.holds_card_number(record_webhook_handled.detail)
                then private.clean_words(record_webhook_handled.detail)
            else left(record_webhook_handled.detail, 500)
        end
    where e.id = record_webhook_handled.event_id and e.handled_at is null
    returning e.* into v_event;
    -- Money, perhaps, and nobody here it belongs to.
    if v_event.payment_id is null and v_event.kind in ('payment', 'refund') then
        perform private.open_payment_exception(
            kind => 'unmatched_notice', event_id => v_event.id,
            detail => v_event.gateway || ' speaks of a payment that is not known here'
        );
    end if;
    return null;
end
$$;

revoke all on function private.named_payments(text, text [], text []) from public;
revoke all on function service.webhook_secrets(text, text [], text []) from public;
revoke all on function service.record_webhook_events(jsonb) from public;
revoke all on function service.begin_webhook_event(uuid) from public;
revoke all on function service.record_webhook_handled(uuid, text, text) from public;
grant execute on function service.webhook_secrets(text, text [], text []) to mallgram_service;
grant execute on function service.record_webhook_events(jsonb) to mallgram_service;
grant execute on function service.begin_webhook_event(uuid) to mallgram_service;
grant execute on function service.record_webhook_handled(uuid, text, text) to mallgram_service;

comment on function private.named_payments(text, text [], text []) is
'The gateway''s payments with these references, ours or its own, or tokens; null if there is none.';
comment on function service.webhook_secrets(text, text [], text []) is
'[{payment_id, webhook_token}] of the gateway''s payments with these references or tokens. Definer '
'because tokens are closed to everyone.';
comment on function service.record_webhook_events(jsonb) is
'Stores verified notices once each under (gateway, dedupe_key) and emits their jobs, all or none: '
'[{event_id, is_new}] in the order of events [{gateway, dedupe_key, event_type, kind, '
'payment_references [], webhook_token, raw, headers, request_id}]. kind: payment, refund or payout '
'(references are looked up among refunds, too), other. References of two payments open an '
'exception and apply nothing. Definer because the inbox is closed to the service.';
comment on function service.begin_webhook_event(uuid) is
'{event_id, gateway, event_type, kind, payment_id, refund_id, raw, reference, '
'gateway_transaction_id, gateway_session, amount, currency, method, started_at, handled}. Definer '
'because the inbox is closed to the service.';
comment on function service.record_webhook_handled(uuid, text, text) is
'Stamps handled_at, once; a notice of a payment or refund that belongs to nobody goes before a '
'person. Definer because the inbox is closed to the service.';

-- The exception desk: money that does not fit, and outcomes that nobody can tell. One row each,
-- until a person or a later fact resolves it.

create table private.payment_exception_kinds (
    kind text primary key,
    title_en text not null,
    title_fr text not null,
    actions text [] not null,
    constraint payment_exception_kinds_kind_is_snake_case check (kind ~ '^[a-z][a-z_]{2,40}$'),
    constraint payment_exception_kinds_actions_are_known
    check (
        actions <@ array[
            'recheck', 'refund', 'accept', 'retry', 'pay_out', 'mark_refunded', 'dismiss'
        ]
    )
);

alter table private.payment_exception_kinds enable row level security;

comment on table private.payment_exception_kinds is
'What can go wrong with money, and which actions are safe then. recheck: ask the gateway again. '
'refund: give back what was collected. accept: take it as it is. retry: a refund anew. pay_out: '
'the refund as a transfer to the account that paid. mark_refunded: it was given back by hand. '
'dismiss: nothing is to be done, the note says why.';

create table private.payment_exceptions (
    id uuid primary key default gen_random_uuid(),
    kind text not null references private.payment_exception_kinds (kind) on delete restrict,
    subject_id uuid not null,
    order_id uuid references public.orders (id) on delete restrict,
    payment_id uuid references public.payments (id) on delete restrict,
    refund_id uuid references public.refunds (id) on delete restrict,
    event_id uuid references private.webhook_events (id) on delete restrict,
    gateway text,
    amount numeric(12, 2),
    currency text,
    detail text,
    evidence jsonb not null default '{}',
    created_at timestamptz not null default now(),
    resolved_at timestamptz,
    resolved_by uuid references public.users (id) on delete restrict,
    resolution text,
    note text,
    constraint payment_exceptions_subject_id_key unique (kind, subject_id),
    constraint payment_exceptions_evidence_is_object check (jsonb_typeof(evidence) = 'object'),
    constraint payment_exceptions_resolved_has_resolution
    check ((resolved_at is null) = (resolution is null)),
    constraint payment_exceptions_dismissed_has_note
    check (resolution <> 'dismiss' or note is not null),
    constraint payment_exceptions_note_is_one_line
    check (note ~ '^[^[:cntrl:]]+$' and char_length(note) <= 300),
    constraint payment_exceptions_holds_no_card_number
    check (not private.holds_card_number(concat_ws(' / ', detail, note, evidence::text)))
);

alter table private.payment_exceptions enable row level security;

create index payment_exceptions_created_at_open_idx
on private.payment_exceptions (created_at, id)
where resolved_at is null;
create index payment_exceptions_created_at_idx on private.payment_exceptions (created_at, id);
create index payment_exceptions_payment_id_idx on private.payment_exceptions (payment_id);
create index payment_exceptions_order_id_idx on private.payment_exceptions (order_id);
create index payment_exceptions_refund_id_idx on private.payment_exceptions (refund_id);
create index payment_exceptions_event_id_idx on private.payment_exceptions (event_id);
create index payment_exceptions_resolved_by_idx on private.payment_exceptions (resolved_by);

comment on table private.payment_exceptions is
'Payments, refunds and notices that a person must look at, one row a kind and subject.';
comment on column private.payment_exceptions.subject_id is
'The refund, notice, statement line or payment it is about.';
comment on column private.payment_exceptions.resolution is
'The action taken, or settled: a later fact made it moot.';

create or replace function private.open_payment_exception(
    kind text,
    payment_id uuid default null,
    refund_id uuid default null,
    event_id uuid default null,
    subject_id uuid default null,
    gateway text default null,
    amount numeric default null,
    currency text default null,
    detail text default null,
    evidence jsonb default '{}',
    is_handled boolean default false
)
returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_exception_id uuid;
begin
    insert into private.payment_exceptions as e (
        kind, subject_id, order_id, payment_id, refund_id, event_id, gateway, amount, currency,
        detail, evidence
    )
    select
        open_payment_exception.kind,
        coalesce(
            open_payment_exception.subject_id, open_payment_exception.refund_id,
            -- one notice may name several payments: each has its row
            open_payment_exception.payment_id, open_payment_exception.event_id
        ),
        p.order_id, p.id, open_payment_exception.refund_id,
        coalesce(open_payment_exception.event_id, v.id),
        coalesce(p.gateway, v.gateway, open_payment_exception.gateway),
        coalesce(open_payment_exception.amount, r.amount, p.collected_amount, p.amount),
        coalesce(open_payment_exception.currency, r.currency, p.collected_currency, p.currency),
        private.clean_words(open_payment_exception.detail),
        case
            when private.holds_card_number(open_payment_exception.evidence::text) then '{}'
            else jsonb_strip_nulls(open_payment_exception.evidence)
        end
    from (select 1) as one
    left join public.refunds as r on r.id = open_payment_exception.refund_id
    left join public.payments as p
        on p.id = coalesce(open_payment_exception.payment_id, r.payment_id)
    left join private.webhook_events as v on v.id = open_payment_exception.event_id
    on conflict on constraint payment_exceptions_subject_id_key do update
    -- What was asked about again and is still so comes back; what a person decided stays decided.
    set resolved_at = null, resolution = null, resolved_by = null, note = null,
        detail = excluded.detail, evidence = excluded.evidence,
        event_id = coalesce(excluded.event_id, e.event_id),
        amount = coalesce(excluded.amount, e.amount),
        currency = coalesce(excluded.currency, e.currency)
    where e.resolution in ('recheck', 'retry', 'settled')
        or e.kind = 'invariant_violated' and e.resolved_at < now() - interval '12 hours'
    returning e.id into v_exception_id;
    if v_exception_id is not null and not open_payment_exception.is_handled then
        perform private.alert_admins(v_exception_id);
    end if;
    return v_exception_id;
end
$$;

create or replace function private.settle_payment_exceptions(
    kinds text [], payment_id uuid default null, refund_id uuid default null
)
returns void
language sql
set search_path = ''
as $$
    update private.payment_exceptions as e
    set resolved_at = now(), resolution = 'settled'
    where e.resolved_at is null
        and e.kind = any(settle_payment_exceptions.kinds)
        and (
            e.payment_id = settle_payment_exceptions.payment_id
            or e.refund_id = settle_payment_exceptions.refund_id
        )
$$;

revoke all on function private.open_payment_exception(
    text, uuid, uuid, uuid, uuid, text, numeric, text, text, jsonb, boolean
) from public;
revoke all on function private.settle_payment_exceptions(text [], uuid, uuid) from public;

comment on function private.open_payment_exception(
    text, uuid, uuid, uuid, uuid, text, numeric, text, text, jsonb, boolean
) is
'Puts a payment, refund or notice before a person, once a kind, and alerts the admins unless the '
'shop is already mending it (is_handled). Its id, null when it stands there already.';
comment on function private.settle_payment_exceptions(text [], uuid, uuid) is
'Closes open rows of these kinds that a later fact made moot.';

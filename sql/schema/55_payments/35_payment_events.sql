create table private.payment_events (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references public.orders (id) on delete restrict,
    payment_id uuid not null references public.payments (id) on delete restrict,
    refund_id uuid references public.refunds (id) on delete restrict,
    event_id uuid references private.webhook_events (id) on delete restrict,
    kind text not null,
    actor_type text not null,
    actor_id uuid,
    request_id text,
    detail jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    constraint payment_events_kind_is_snake_case check (kind ~ '^[a-z][a-z_]{2,40}$'),
    constraint payment_events_actor_type_is_known
    check (actor_type in ('user', 'admin', 'gateway', 'system')),
    constraint payment_events_detail_is_object check (jsonb_typeof(detail) = 'object')
);

alter table private.payment_events enable row level security;

create index payment_events_order_id_created_at_idx
on private.payment_events (order_id, created_at);
create index payment_events_payment_id_idx on private.payment_events (payment_id);
create index payment_events_refund_id_idx on private.payment_events (refund_id)
where refund_id is not null;
create index payment_events_event_id_idx on private.payment_events (event_id)
where event_id is not null;

comment on table private.payment_events is
'The trail of a payment: what was said or done about it, by whom, on which notice; append-only.';
comment on column private.payment_events.event_id is 'The gateway''s notice that caused it.';

create trigger payment_events_50_refuse_change
before update or delete on private.payment_events
for each row execute function private.tg__refuse_change();

create trigger payment_events_50_refuse_truncate
before truncate on private.payment_events
for each statement execute function private.tg__refuse_change();

create or replace function private.log_payment_event(
    payment public.payments,
    kind text,
    detail jsonb default '{}',
    refund_id uuid default null,
    event_id uuid default null
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_caller uuid := auth.uid();
    v_type text := nullif(current_setting('mallgram.actor_type', true), '');
    v_id uuid := nullif(current_setting('mallgram.actor_id', true), '')::uuid;
begin
    if v_type is null then
        v_type := case when v_caller is null then 'system' else 'user' end;
        v_id := v_caller;
    end if;
    insert into private.payment_events (
        order_id, payment_id, refund_id, event_id, kind, actor_type, actor_id, request_id, detail
    )
    values (
        log_payment_event.payment.order_id, log_payment_event.payment.id,
        log_payment_event.refund_id, log_payment_event.event_id, log_payment_event.kind,
        v_type, v_id, nullif(current_setting('mallgram.request_id', true), ''),
        jsonb_strip_nulls(log_payment_event.detail)
    );
end
$$;

revoke all on function private.log_payment_event(public.payments, text, jsonb, uuid, uuid)
from public;

comment on function private.log_payment_event(public.payments, text, jsonb, uuid, uuid) is
'Appends to the payment''s trail with the actor: as said by act_as, else the caller, else the '
'system.';

-- Who acts: RPCs of people are known by their token; the service says it for its transaction.

create or replace function private.act_as(actor_type text, actor_id uuid default null)
returns void
language sql
set search_path = ''
as $$
    select
        set_config('mallgram.actor_type', act_as.actor_type, true),
        set_config('mallgram.actor_id', coalesce(act_as.actor_id::text, ''), true)
$$;

create or replace function private.log_order_event(
    order_id uuid,
    user_id uuid,
    kind text,
    from_status public.order_status default null,
    to_status public.order_status default null,
    note text default null
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
    insert into public.order_events (
        order_id, user_id, kind, from_status, to_status, actor_type, actor_id, note
    )
    values (
        log_order_event.order_id, log_order_event.user_id, log_order_event.kind,
        log_order_event.from_status, log_order_event.to_status, v_type, v_id, log_order_event.note
    );
end
$$;

revoke all on function private.act_as(text, uuid) from public;
revoke all on function private.log_order_event(
    uuid, uuid, text, public.order_status, public.order_status, text
) from public;

comment on function private.act_as(text, uuid) is
'Names the actor of this transaction''s events: user, admin, gateway or system.';
comment on function private.log_order_event(
    uuid, uuid, text, public.order_status, public.order_status, text
) is
'Appends an event with the actor: as said by act_as, else the caller, else the system.';

create or replace function private.tg_orders__check_transition()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        if new.status <> 'pending' or new.payment_status <> 'pending' then
            perform private.fail(
                'order_transition_refused', new.status || ' / ' || new.payment_status
            );
        end if;
        return new;
    end if;
    if new.status is distinct from old.status and not exists (
        select from private.order_transitions as t
        where t.from_status = old.status and t.to_status = new.status
    ) then
        perform private.fail('order_transition_refused', old.status || ' -> ' || new.status);
    end if;
    if new.payment_status is distinct from old.payment_status and not exists (
        select from private.payment_transitions as t
        where t.subject = 'order'
            and t.from_status = old.payment_status
            and t.to_status = new.payment_status
    ) then
        perform private.fail(
            'payment_transition_refused', old.payment_status || ' -> ' || new.payment_status
        );
    end if;
    return new;
end
$$;

revoke all on function private.tg_orders__check_transition() from public;

comment on function private.tg_orders__check_transition() is
'Trigger: an order starts pending and moves along the transition tables only. Definer because the '
'tables are closed. Errors: order_transition_refused, payment_transition_refused.';

create trigger orders_50_check_transition
before insert or update of status, payment_status on public.orders
for each row execute function private.tg_orders__check_transition();

create or replace function private.tg_orders__log_transition()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.log_order_event(
        new.id, new.user_id, new.status::text, old.status, new.status, new.cancel_reason
    );
    return null;
end
$$;

revoke all on function private.tg_orders__log_transition() from public;

comment on function private.tg_orders__log_transition() is
'Trigger: every move leaves an event row (placing leaves its own, emit_placed). Definer because '
'events have no insert grant.';

create trigger orders_80_log_transition
after update of status on public.orders
for each row when (old.status is distinct from new.status)
execute function private.tg_orders__log_transition();

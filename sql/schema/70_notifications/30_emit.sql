-- What people are told, and when.

create or replace function private.emit_placed(placed public.orders)
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- One statement for the event, the mail and its job: every order pays for each statement more.
    with event as (
        insert into public.order_events (order_id, user_id, kind, to_status, actor_type, actor_id)
        values (
            emit_placed.placed.id, emit_placed.placed.user_id, 'placed', emit_placed.placed.status,
            'user', emit_placed.placed.user_id
        )
    ),

    email as (
        insert into private.emails (template, user_id, order_id)
        values ('order_placed', emit_placed.placed.user_id, emit_placed.placed.id)
        returning id
    )

    insert into private.outbox (job, args, request_id)
    select
        'send_email',
        jsonb_build_object('email_id', e.id),
        nullif(current_setting('mallgram.request_id', true), '')
    from email as e;
end
$$;

revoke all on function private.emit_placed(public.orders) from public;

comment on function private.emit_placed(public.orders) is
'What place_order leaves behind: the event and the mail of a new order of the caller''s own.';

create or replace function private.alert_admins(exception_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into public.notifications (user_id, kind, data)
    select
        a.user_id, 'exception_opened',
        jsonb_build_object(
            'exception_id', e.id, 'kind', e.kind, 'order_id', e.order_id, 'detail', e.detail
        )
    from private.payment_exceptions as e
    cross join public.admins as a
    where e.id = alert_admins.exception_id;
    perform private.emit_email('exception_opened', a.user_id, null, alert_admins.exception_id)
    from public.admins as a;
end
$$;

create or replace function private.emit_refunded(refund public.refunds)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into public.notifications (user_id, kind, data)
    values (
        emit_refunded.refund.user_id, 'refund_sent',
        jsonb_build_object(
            'order_id', emit_refunded.refund.order_id,
            'amount', emit_refunded.refund.amount,
            'currency', emit_refunded.refund.currency
        )
    );
    perform private.emit_email(
        'refund_sent', emit_refunded.refund.user_id, emit_refunded.refund.order_id,
        null, emit_refunded.refund.id
    );
end
$$;

revoke all on function private.alert_admins(uuid) from public;
revoke all on function private.emit_refunded(public.refunds) from public;

comment on function private.alert_admins(uuid) is
'A mail and a message to every admin about a row of the exception desk.';
comment on function private.emit_refunded(public.refunds) is
'A mail and a message to the shopper whose money went back.';

create or replace function private.tg_orders__emit_messages()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.status = 'paid' then
        perform private.emit_email('payment_received', new.user_id, new.id);
    end if;
    insert into public.notifications (user_id, kind, data)
    values (
        new.user_id,
        'order_' || new.status,
        jsonb_build_object('order_id', new.id, 'order_number', new.order_number)
    );
    return null;
end
$$;

create or replace function private.tg_users__emit_welcome()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.emit_email('welcome', new.id, null);
    return null;
end
$$;

revoke all on function private.tg_orders__emit_messages() from public;
revoke all on function private.tg_users__emit_welcome() from public;

comment on function private.tg_orders__emit_messages() is
'Trigger: the mail for paid, a message in the shop for every move. Definer because '
'mails and messages have no insert grant.';
comment on function private.tg_users__emit_welcome() is
'Trigger: a welcome when the address is confirmed. Definer because mails have no insert grant.';

create trigger orders_90_emit_moved
after update of status on public.orders
for each row when (old.status is distinct from new.status)
execute function private.tg_orders__emit_messages();

create trigger users_90_emit_welcome
after insert or update of email_confirmed_at on public.users
for each row when (new.email_confirmed_at is not null)
execute function private.tg_users__emit_welcome();

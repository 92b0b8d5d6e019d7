-- What people are told, and when.

create or replace function private.tg_orders__emit_messages()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        perform private.emit_email('order_placed', new.user_id, new.id);
        return null;
    end if;
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
'Trigger: mails for placed and paid, a message in the shop for every later move. Definer because '
'mails and messages have no insert grant.';
comment on function private.tg_users__emit_welcome() is
'Trigger: a welcome when the address is confirmed. Definer because mails have no insert grant.';

create trigger orders_90_emit_placed
after insert on public.orders
for each row execute function private.tg_orders__emit_messages();

create trigger orders_90_emit_moved
after update of status on public.orders
for each row when (old.status is distinct from new.status)
execute function private.tg_orders__emit_messages();

create trigger users_90_emit_welcome
after insert or update of email_confirmed_at on public.users
for each row when (new.email_confirmed_at is not null)
execute function private.tg_users__emit_welcome();

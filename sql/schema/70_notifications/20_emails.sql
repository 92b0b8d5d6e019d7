-- Intent to write to somebody is a row; the mail itself is made when it is sent.

create table private.emails (
    id uuid primary key default gen_random_uuid(),
    template text not null,
    user_id uuid not null references public.users (id) on delete cascade,
    order_id uuid references public.orders (id) on delete cascade,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    message_id text,
    rejected_at timestamptz,
    reject_reason text,
    constraint emails_template_is_known
    check (template in ('welcome', 'order_placed', 'payment_received')),
    constraint emails_template_key unique nulls not distinct (template, user_id, order_id),
    constraint emails_sent_has_message_id check ((sent_at is null) = (message_id is null)),
    constraint emails_rejected_has_reason check ((rejected_at is null) = (reject_reason is null)),
    constraint emails_end_once check (sent_at is null or rejected_at is null)
);

alter table private.emails enable row level security;

create index emails_user_id_idx on private.emails (user_id);
create index emails_order_id_idx on private.emails (order_id);

comment on table private.emails is
'One mail a (template, recipient, order): asked for twice, sent once.';

create or replace function private.emit_email(template text, user_id uuid, order_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    with email as (
        insert into private.emails (template, user_id, order_id)
        values (emit_email.template, emit_email.user_id, emit_email.order_id)
        on conflict on constraint emails_template_key do nothing
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

revoke all on function private.emit_email(text, uuid, uuid) from public;

comment on function private.emit_email(text, uuid, uuid) is
'Asks for a mail, once a (template, recipient, order).';

create or replace function service.begin_email(email_id uuid)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'email_id', e.id,
            'template', e.template,
            'recipient', u.email,
            'recipient_name', u.full_name,
            'language', coalesce(o.language, u.language),
            'data',
            case
                when o.id is null then jsonb_build_object(
                    'first_name', split_part(u.full_name, ' ', 1)
                )
                else jsonb_build_object(
                    'first_name', split_part(u.full_name, ' ', 1),
                    'order_id', o.id,
                    'order_number', o.order_number,
                    'placed_at', o.created_at,
                    'expires_at', o.expires_at,
                    'paid_at', o.paid_at,
                    'currency', o.currency,
                    'minor_unit', c.minor_unit,
                    'subtotal', o.subtotal_price,
                    'discount', o.discount_amount,
                    'shipping', o.shipping_amount,
                    'tax', o.tax_amount,
                    'total', o.total_price,
                    'promo_code', o.promo_code,
                    'address', o.shipping_address,
                    'gateway', (
                        select p.gateway
                        from public.payments as p
                        where p.order_id = o.id and p.is_winner
                    ),
                    'lines', (
                        select
                            jsonb_agg(
                                jsonb_build_object(
                                    'name',
                                    case
                                        when o.language = 'fr' then coalesce(i.name_fr, i.name)
                                        else i.name
                                    end,
                                    'quantity', i.quantity,
                                    'unit_price', i.unit_price,
                                    'subtotal', i.subtotal
                                )
                                order by i.line_number
                            )
                        from public.order_items as i
                        where i.order_id = o.id
                    )
                )
            end
        )
    from private.emails as e
    inner join public.users as u on e.user_id = u.id
    left join public.orders as o on e.order_id = o.id
    left join public.currencies as c on o.currency = c.code
    where e.id = begin_email.email_id
        and e.sent_at is null
        and e.rejected_at is null
        and u.email is not null
$$;

create or replace function service.record_email_sent(email_id uuid, message_id text)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.emails as e
    set sent_at = now(), message_id = record_email_sent.message_id
    where e.id = record_email_sent.email_id and e.sent_at is null and e.rejected_at is null
    returning null::jsonb
$$;

create or replace function service.record_email_rejected(email_id uuid, reason text)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.emails as e
    set rejected_at = now(), reject_reason = left(record_email_rejected.reason, 300)
    where e.id = record_email_rejected.email_id and e.sent_at is null and e.rejected_at is null
    returning null::jsonb
$$;

revoke all on function service.begin_email(uuid) from public;
revoke all on function service.record_email_rejected(uuid, text) from public;
revoke all on function service.record_email_sent(uuid, text) from public;
grant execute on function service.begin_email(uuid) to mallgram_service;
grant execute on function service.record_email_rejected(uuid, text) to mallgram_service;
grant execute on function service.record_email_sent(uuid, text) to mallgram_service;

comment on function service.begin_email(uuid) is
'{email_id, template, recipient, recipient_name, language, data}, null when it is sent, refused or '
'its recipient is gone. Definer because mails are closed to the service.';
comment on function service.record_email_rejected(uuid, text) is
'Ends a mail that its recipient''s server refuses for good. Definer because mails are closed to '
'the '
'service.';
comment on function service.record_email_sent(uuid, text) is
'Stamps a mail sent, once. Definer because mails are closed to the service.';

-- Intent to write to somebody is a row; the mail itself is made when it is sent.

create table private.emails (
    id uuid primary key default gen_random_uuid(),
    template text not null,
    user_id uuid not null references public.users (id) on delete cascade,
    order_id uuid references public.orders (id) on delete cascade,
    exception_id uuid references private.payment_exceptions (id) on delete cascade,
    refund_id uuid references public.refunds (id) on delete cascade,
    notification_id uuid references public.notifications (id) on delete cascade,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    message_id text,
    rejected_at timestamptz,
    reject_reason text,
    constraint emails_template_is_known
    check (
        template in (
            'welcome', 'order_placed', 'payment_received', 'exception_opened', 'refund_sent',
            'back_in_stock'
        )
    ),
    constraint emails_template_key
    unique nulls not distinct (
        template, user_id, order_id, exception_id, refund_id, notification_id
    ),
    constraint emails_sent_has_message_id check ((sent_at is null) = (message_id is null)),
    constraint emails_rejected_has_reason check ((rejected_at is null) = (reject_reason is null)),
    constraint emails_end_once check (sent_at is null or rejected_at is null)
);

alter table private.emails enable row level security;

create index emails_user_id_idx on private.emails (user_id);
create index emails_order_id_idx on private.emails (order_id);
create index emails_exception_id_idx on private.emails (exception_id)
where exception_id is not null;
create index emails_refund_id_idx on private.emails (refund_id) where refund_id is not null;
create index emails_notification_id_idx on private.emails (notification_id)
where notification_id is not null;

comment on table private.emails is
'One mail a (template, recipient, order, exception, refund, message): asked for twice, sent '
'once.';

create or replace function private.emit_email(
    template text,
    user_id uuid,
    order_id uuid,
    exception_id uuid default null,
    refund_id uuid default null
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    with email as (
        insert into private.emails (template, user_id, order_id, exception_id, refund_id)
        values (
            emit_email.template, emit_email.user_id, emit_email.order_id,
            emit_email.exception_id, emit_email.refund_id
        )
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

create or replace function private.exception_mail_data(exception_id uuid, language text)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'exception_id', e.id,
            'kind', e.kind,
            'title',
            case when exception_mail_data.language = 'fr' then k.title_fr else k.title_en end,
            'detail', e.detail,
            'gateway', e.gateway,
            'amount', e.amount,
            'currency', e.currency,
            'minor_unit', c.minor_unit,
            'order_number', o.order_number,
            'opened_at', e.created_at,
            'actions', to_jsonb(private.safe_actions(e))
        )
    from private.payment_exceptions as e
    inner join private.payment_exception_kinds as k on e.kind = k.kind
    left join public.orders as o on e.order_id = o.id
    left join public.currencies as c on e.currency = c.code
    where e.id = exception_mail_data.exception_id
$$;

create or replace function private.refund_mail_data(refund_id uuid, language text)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'refund_amount', r.amount,
            'refund_currency', r.currency,
            'refunded_at', r.refunded_at,
            'is_full', p.status = 'refunded',
            'way', r.way,
            'refund_items', (
                select
                    jsonb_agg(
                        jsonb_build_object(
                            'name',
                            case
                                when refund_mail_data.language = 'fr'
                                    then coalesce(i.name_fr, i.name)
                                else i.name
                            end,
                            'quantity', x.quantity,
                            'amount', x.amount
                        )
                        order by i.line_number
                    )
                from public.refund_items as x
                inner join public.order_items as i on x.order_item_id = i.id
                where x.refund_id = r.id
            )
        )
    from public.refunds as r
    inner join public.payments as p on r.payment_id = p.id
    where r.id = refund_mail_data.refund_id
$$;

create or replace function private.product_mail_data(notification_id uuid, language text)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'product_id', l.listing_id,
            'product_name',
            case
                when product_mail_data.language = 'fr'
                    then coalesce(p.name_fr, w.name_fr, p.name, w.name, n.data ->> 'name')
                else coalesce(p.name, w.name, n.data ->> 'name')
            end,
            'price', pp.amount,
            'currency', pp.currency,
            'minor_unit', c.minor_unit,
            'min_order_quantity', coalesce(w.min_order_quantity, 1),
            'available', coalesce(s.available, 0),
            'image', (
                select m.storage_path
                from public.product_media as m
                where m.listing_id = l.listing_id and m.position < 100
                order by m.position
                limit 1
            )
        )
    from public.notifications as n
    inner join public.users as u on n.user_id = u.id
    cross join lateral (select (n.data ->> 'product_id')::uuid as listing_id) as l
    left join public.products as p on l.listing_id = p.id
    left join public.products_retailer as w on l.listing_id = w.id
    left join public.product_stock as s on l.listing_id = s.listing_id
    left join public.product_prices as pp
        on l.listing_id = pp.listing_id and pp.country = coalesce(u.country, 'ZA')
    left join public.currencies as c on pp.currency = c.code
    where n.id = product_mail_data.notification_id
$$;

revoke all on function private.emit_email(text, uuid, uuid, uuid, uuid) from public;
revoke all on function private.exception_mail_data(uuid, text) from public;
revoke all on function private.refund_mail_data(uuid, text) from public;
revoke all on function private.product_mail_data(uuid, text) from public;

comment on function private.emit_email(text, uuid, uuid, uuid, uuid) is
'Asks for a mail, once a (template, recipient, order, exception, refund).';
comment on function private.exception_mail_data(uuid, text) is
'What a mail about a row of the exception desk says.';
comment on function private.refund_mail_data(uuid, text) is
'What a mail about a refund says beside the order.';
comment on function private.product_mail_data(uuid, text) is
'What a mail about a message that names a product says of it, as it is now.';

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
            coalesce(
                private.exception_mail_data(e.exception_id, coalesce(o.language, u.language)), '{}'
            )
            || coalesce(
                private.refund_mail_data(e.refund_id, coalesce(o.language, u.language)), '{}'
            )
            || coalesce(private.product_mail_data(e.notification_id, u.language), '{}')
            || case
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

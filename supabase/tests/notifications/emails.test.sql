-- Mails: asked for once a (template, recipient, order, exception, refund, message), in the
-- recipient's language, ended once.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(78);

-- given amina, who reads French, and bongani, who reads English, both confirmed
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_user('unconfirmed', confirmed => false);
select tests.make_product('shoe', 100, 100.00, 5000, name_fr => 'Chaussure');
select tests.make_wholesale_product('box', 1000, 50.00, 2333, 10, name_fr => null);
select tests.make_affiliate('pat');
select tests.make_promo_code('PAT10', 'pat');

create function tests.mail(template text, recipient text, order_name text default null)
returns private.emails
language sql stable security definer as $$
    select e
    from private.emails as e
    where e.template = mail.template and e.user_id = tests.id(mail.recipient)
        and e.order_id is not distinct from
        case when mail.order_name is not null then tests.id(mail.order_name) end
$$;
create function tests.mails(recipient text) returns text
language sql stable security definer as $$
    select string_agg(concat_ws(' ', e.template, n.name), ', ' order by e.template, n.name)
    from private.emails as e
    left join tests.names as n on e.order_id = n.id
    where e.user_id = tests.id(mails.recipient)
$$;
create function tests.begin_email(template text, recipient text, order_name text default null)
returns jsonb
language sql as $$
    select tests.as_service(format('service.begin_email(%L)', (
        tests.mail(begin_email.template, begin_email.recipient, begin_email.order_name)
    ).id))
$$;

-- Welcome -----------------------------------------------------------------------------------------

select is(tests.mails('amina'), 'welcome', 'a person who is confirmed is welcomed');
select is(tests.mails('unconfirmed'), null, 'one who is not is not');
select results_eq(
    $$ select o.job from private.outbox as o
       where o.args = jsonb_build_object('email_id', (tests.mail('welcome', 'amina')).id) $$,
    $$ values ('send_email') $$,
    'one row of work sends it'
);
update public.users set full_name = 'Aïcha Ngoé Mbarga' where id = tests.id('amina');
select is(
    tests.begin_email('welcome', 'amina'),
    (
        select jsonb_build_object(
            'email_id', e.id, 'template', 'welcome', 'recipient', u.email,
            'recipient_name', 'Aïcha Ngoé Mbarga', 'language', 'fr',
            'data', '{"first_name": "Aïcha"}'::jsonb
        )
        from public.users as u, tests.mail('welcome', 'amina') as e
        where u.id = tests.id('amina')
    ),
    'it is in her language, by her first name'
);
update public.users set full_name = null where id = tests.id('bongani');
select is(
    tests.begin_email('welcome', 'bongani') -> 'data', '{"first_name": null}',
    'a person without a name is welcomed without one'
);
select is(tests.begin_email('welcome', 'bongani') ->> 'language', 'en', 'in English');
update public.users set full_name = 'Bongani Test' where id = tests.id('bongani');
update auth.users set email_confirmed_at = now() where id = tests.id('unconfirmed');
select is(tests.mails('unconfirmed'), 'welcome', 'a person who confirms later is welcomed then');
update auth.users set email_confirmed_at = now() - interval '1 hour'
where id = tests.id('unconfirmed');
update public.users set email_confirmed_at = now() + interval '1 hour'
where id = tests.id('unconfirmed');
select is(
    (select count(*) from private.emails as e where e.user_id = tests.id('unconfirmed')), 1::bigint,
    'and once'
);

-- An order ----------------------------------------------------------------------------------------

delete from private.outbox;
select tests.place_order(
    'order', 'amina', jsonb_build_array(tests.item('shoe', 2), tests.item('box', 10)),
    promo_code => 'pat10'
);
select tests.place_order('his', 'bongani', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select is(
    tests.mails('amina'), 'order_placed order, welcome', 'a placed order is confirmed by mail'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'send_email'), 2::bigint,
    'two orders are two mails'
);
select is(
    tests.begin_email('order_placed', 'amina', 'order'),
    (
        select jsonb_build_object(
            'email_id', e.id, 'template', 'order_placed', 'recipient', u.email,
            'recipient_name', 'Aïcha Ngoé Mbarga', 'language', 'fr',
            'data', jsonb_build_object(
                'first_name', 'Aïcha', 'order_id', o.id, 'order_number', o.order_number,
                'placed_at', o.created_at, 'expires_at', o.expires_at, 'paid_at', null,
                'currency', 'XAF', 'minor_unit', 0, 'subtotal', 33330.00, 'discount', 3333.00,
                'shipping', 3500.00, 'tax', o.tax_amount, 'total', 33497.00,
                'promo_code', 'PAT10', 'address', tests.address('CM'), 'gateway', null,
                'lines', jsonb_build_array(
                    jsonb_build_object(
                        'name', 'Chaussure', 'quantity', 2, 'unit_price', 5000.00,
                        'subtotal', 10000.00
                    ),
                    jsonb_build_object(
                        'name', 'box', 'quantity', 10, 'unit_price', 2333.00,
                        'subtotal', 23330.00
                    )
                )
            )
        )
        from public.users as u, public.orders as o,
        tests.mail('order_placed', 'amina', 'order') as e
        where u.id = tests.id('amina') and o.id = tests.id('order')
    ),
    'it tells the order in French, a name without a translation as it is'
);
select is(
    tests.begin_email('order_placed', 'bongani', 'his') #- '{data,placed_at}'
    #- '{data,expires_at}' #- '{data,order_number}',
    (
        select jsonb_build_object(
            'email_id', e.id, 'template', 'order_placed', 'recipient', u.email,
            'recipient_name', 'Bongani Test', 'language', 'en',
            'data', jsonb_build_object(
                'first_name', 'Bongani', 'order_id', tests.id('his'), 'paid_at', null,
                'currency', 'ZAR', 'minor_unit', 2, 'subtotal', 100.00, 'discount', 0.00,
                'shipping', 99.00, 'tax', 25.96, 'total', 199.00, 'promo_code', null,
                'address', tests.address('ZA'), 'gateway', null,
                'lines', jsonb_build_array(jsonb_build_object(
                    'name', 'shoe', 'quantity', 1, 'unit_price', 100.00, 'subtotal', 100.00
                ))
            )
        )
        from public.users as u, tests.mail('order_placed', 'bongani', 'his') as e
        where u.id = tests.id('bongani')
    ),
    'and in English'
);

-- Amounts arrive with their decimals: a mail writes what the row says.
select is(
    (tests.begin_email('order_placed', 'bongani', 'his') #> '{data,total}')::text, '199.00',
    'amounts keep their decimals'
);

-- A mail is of the language the order was placed in, and of what was ordered then
update public.users set language = 'en' where id = tests.id('amina');
update public.products set name_fr = 'Soulier', name = 'sandal' where id = tests.id('shoe');
select is(
    tests.begin_email('order_placed', 'amina', 'order') ->> 'language', 'fr',
    'a person who changes their language gets this order''s mails in its own'
);
select is(
    tests.begin_email('order_placed', 'amina', 'order') #>> '{data,lines,0,name}', 'Chaussure',
    'with the names that were ordered'
);
select is(
    tests.begin_email('welcome', 'amina') ->> 'language', 'en',
    'mails of no order follow the person'
);

-- Paid --------------------------------------------------------------------------------------------

select is(tests.pay('order') ->> 'order_status', 'paid', 'given it is paid');
select is(
    tests.mails('amina'), 'order_placed order, payment_received order, welcome',
    'the payment is confirmed by mail'
);
select is(
    (tests.begin_email('payment_received', 'amina', 'order') -> 'data')
        - 'placed_at' - 'expires_at' - 'lines' - 'address' - 'tax',
    (
        select jsonb_build_object(
            'first_name', 'Aïcha', 'order_id', o.id, 'order_number', o.order_number,
            'paid_at', o.paid_at, 'currency', 'XAF', 'minor_unit', 0, 'subtotal', 33330.00,
            'discount', 3333.00, 'shipping', 3500.00, 'total', 33497.00, 'promo_code', 'PAT10',
            'gateway', 'kora'
        )
        from public.orders as o where o.id = tests.id('order')
    ),
    'with who took the money and when'
);
select is(
    (tests.begin_email('payment_received', 'amina', 'order') #>> '{data,paid_at}')::timestamptz,
    now(), 'which is now'
);
select tests.act_as('bongani');
select is(
    (public.cancel_order(tests.id('his'))).status::text, 'cancelled', 'given his is cancelled'
);
select tests.act_as_owner();
select is(tests.mails('bongani'), 'order_placed his, welcome', 'no mail says so');

-- Once --------------------------------------------------------------------------------------------

delete from private.outbox;
select tests.remember();
select private.emit_email('welcome', tests.id('amina'), null);
select private.emit_email('order_placed', tests.id('amina'), tests.id('order'));
select private.emit_email('payment_received', tests.id('amina'), tests.id('order'));
select tests.nothing_changed('asked for again, no mail and no work is made');
select private.emit_email('order_placed', tests.id('bongani'), tests.id('order'));
select is(
    tests.mails('bongani'), 'order_placed his, order_placed order, welcome',
    'another recipient is another mail'
);

-- Ended -------------------------------------------------------------------------------------------

create function tests.ended(template text, recipient text, order_name text) returns text
language sql stable as $$
    select concat_ws(
        ' ', case when e.sent_at is not null then 'sent' end, e.message_id,
        case when e.rejected_at is not null then 'rejected' end, e.reject_reason
    )
    from tests.mail(ended.template, ended.recipient, ended.order_name) as e
$$;
create function tests.sent(template text, recipient text, order_name text, message_id text)
returns jsonb
language sql as $$
    select tests.as_service(format('service.record_email_sent(%L, %L)', (
        tests.mail(sent.template, sent.recipient, sent.order_name)
    ).id, sent.message_id))
$$;
create function tests.rejected(template text, recipient text, order_name text, reason text)
returns jsonb
language sql as $$
    select tests.as_service(format('service.record_email_rejected(%L, %L)', (
        tests.mail(rejected.template, rejected.recipient, rejected.order_name)
    ).id, rejected.reason))
$$;
select is(tests.sent('order_placed', 'amina', 'order', '<1@shop>'), null, 'a mail is sent');
select is(tests.ended('order_placed', 'amina', 'order'), 'sent <1@shop>', 'its number is kept');
select is((tests.mail('order_placed', 'amina', 'order')).sent_at, now(), 'and its time');
select is(tests.begin_email('order_placed', 'amina', 'order'), null, 'it is not sent again');
select is(tests.sent('order_placed', 'amina', 'order', '<2@shop>'), null, 'said to be sent again');
select is(tests.rejected('order_placed', 'amina', 'order', 'no'), null, 'or refused');
select is(
    tests.ended('order_placed', 'amina', 'order'), 'sent <1@shop>', 'it stays as it was sent'
);
select is(
    tests.rejected('payment_received', 'amina', 'order', repeat('x', 400)), null,
    'a mail is refused'
);
select is(
    tests.ended('payment_received', 'amina', 'order'), 'rejected ' || repeat('x', 300),
    'with a reason of at most 300 characters'
);
select is(tests.begin_email('payment_received', 'amina', 'order'), null, 'it is not tried again');
select is(tests.sent('payment_received', 'amina', 'order', '<3@shop>'), null, 'said to be sent');
select is(
    tests.ended('payment_received', 'amina', 'order'), 'rejected ' || repeat('x', 300),
    'it stays refused'
);
select is(
    tests.as_service(format('service.begin_email(%L)', gen_random_uuid())), null,
    'an unknown mail is nothing'
);
select is(
    tests.as_service(format('service.record_email_sent(%L, %L)', gen_random_uuid(), '<4@shop>')),
    null, 'nor can it be sent'
);

-- Somebody who is gone ----------------------------------------------------------------------------

delete from auth.users where id = tests.id('bongani');
select is(
    tests.begin_email('order_placed', 'bongani', 'his'), null,
    'a person whose account is gone is written to no more'
);
select is(tests.begin_email('welcome', 'bongani'), null, 'about nothing');
select is(tests.mails('bongani'), 'order_placed his, order_placed order, welcome',
    'what was to be sent is known still');

-- Money that went back ----------------------------------------------------------------------------
-- given one of two shoes of amina's order is refunded, and then the rest

create function tests.refund(name text, items jsonb) returns uuid
language plpgsql as $$
begin
    return tests.name_it(refund.name, (tests.as_service(format(
        'service.begin_refund(%L, %L, null, %L, ''scratched'', %L)', tests.id('chioma'),
        tests.id('payment-of-order'), refund.items, 'key-' || refund.name
    )) ->> 'refund_id')::uuid);
end
$$;
create function tests.refund_done(name text) returns text
language sql as $$
    select tests.as_service(format(
        'service.apply_refund_result(%L, ''refunded'', %s, ''XAF'', null, null, ''poll'', null)',
        r.id, r.amount
    )) ->> 'status'
    from public.refunds as r where r.id = tests.id(refund_done.name)
$$;
create function tests.refund_mail(name text) returns private.emails
language sql stable security definer as $$
    select e from private.emails as e
    where e.template = 'refund_sent' and e.refund_id = tests.id(refund_mail.name)
$$;
create function tests.begin_refund_mail(name text) returns jsonb
language sql as $$
    select tests.as_service(format(
        'service.begin_email(%L)', (tests.refund_mail(begin_refund_mail.name)).id
    ))
$$;
select tests.make_admin('chioma', 'fr');
select tests.make_admin('dora', 'en');
select tests.refund('one-shoe', jsonb_build_array(jsonb_build_object(
    'order_item_id', i.id, 'quantity', 1
)))
from public.order_items as i where i.order_id = tests.id('order') and i.line_number = 1;
delete from private.outbox;
select is(tests.mails('amina'), 'order_placed order, payment_received order, welcome',
    'a refund that is asked for is no mail yet');
select is(tests.refund_done('one-shoe'), 'refunded', 'given it went through');
select is(
    tests.mails('amina'), 'order_placed order, payment_received order, refund_sent order, welcome',
    'the shopper is told by mail'
);
select results_eq(
    $$ select o.job, o.args from private.outbox as o $$,
    $$ values ('send_email', jsonb_build_object(
           'email_id', (tests.refund_mail('one-shoe')).id)) $$,
    'one row of work sends it'
);
select is(
    tests.begin_refund_mail('one-shoe') #- '{data,placed_at}' #- '{data,expires_at}'
    #- '{data,lines}' #- '{data,address}' #- '{data,tax}',
    (
        select jsonb_build_object(
            'email_id', (tests.refund_mail('one-shoe')).id, 'template', 'refund_sent',
            'recipient', u.email, 'recipient_name', 'Aïcha Ngoé Mbarga', 'language', 'fr',
            'data', jsonb_build_object(
                'first_name', 'Aïcha', 'order_id', o.id, 'order_number', o.order_number,
                'paid_at', o.paid_at, 'currency', 'XAF', 'minor_unit', 0, 'subtotal', 33330.00,
                'discount', 3333.00, 'shipping', 3500.00, 'total', 33497.00,
                'promo_code', 'PAT10', 'gateway', 'kora',
                -- half of 10000 less 1000 of discount, with 1050 of the delivery
                'refund_amount', 5025.00, 'refund_currency', 'XAF', 'refunded_at', now(),
                'is_full', false, 'way', 'gateway',
                'refund_items', jsonb_build_array(jsonb_build_object(
                    'name', 'Chaussure', 'quantity', 1, 'amount', 5025.00
                ))
            )
        )
        from public.users as u, public.orders as o
        where u.id = tests.id('amina') and o.id = tests.id('order')
    ),
    'in the order''s language: how much, for which pieces, and that it is a part'
);
select is(
    (tests.begin_refund_mail('one-shoe') #> '{data,refund_amount}')::text, '5025.00',
    'its amount keeps its decimals'
);
select count(tests.refund('rest', null));
select is(tests.refund_done('rest'), 'refunded', 'given the rest goes back, too');
select is(
    (
        select jsonb_build_object(
            'refund_amount', d.data -> 'refund_amount', 'is_full', d.data -> 'is_full',
            'refund_items', d.data -> 'refund_items'
        )
        from (select tests.begin_refund_mail('rest') -> 'data' as data) as d
    ),
    '{"refund_amount": 28472.00, "is_full": true, "refund_items": null}',
    'it has a mail of its own, which says that now all of it went back'
);
select is(
    tests.begin_refund_mail('one-shoe') #> '{data,refund_amount}', '5025.00',
    'and the first one stays the first one''s'
);
select tests.remember();
select is(tests.refund_done('rest'), 'refunded', 'said again');
select tests.nothing_changed('nobody is written to again');

-- What a person must decide -----------------------------------------------------------------------
-- given another sum came for an order of amina's

create function tests.alert(recipient text) returns private.emails
language sql stable security definer as $$
    select e from private.emails as e
    where e.template = 'exception_opened' and e.user_id = tests.id(alert.recipient)
$$;
create function tests.begin_alert(recipient text) returns jsonb
language sql as $$
    select tests.as_service(format('service.begin_email(%L)', (tests.alert(recipient)).id))
$$;
select tests.place_order('odd', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.begin_payment('odd-payment', 'odd'));
delete from private.outbox;
select is(tests.apply('odd-payment', 'paid', 8000) ->> 'outcome', 'quarantined', 'given it is so');
select is(tests.mails(m.name), 'exception_opened, welcome', format('%s, an admin, is told', m.name))
from (values ('chioma'), ('dora')) as m (name);
select is(
    (select count(*) from private.emails as e
     where e.template = 'exception_opened'
         and not exists (select from public.admins as a where a.user_id = e.user_id)),
    0::bigint, 'and nobody who is none'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'send_email'
     and o.args ->> 'email_id' in (
         (tests.alert('chioma')).id::text, (tests.alert('dora')).id::text)),
    2::bigint, 'two rows of work send them'
);
select is(
    tests.begin_alert('dora'),
    (
        select jsonb_build_object(
            'email_id', (tests.alert('dora')).id, 'template', 'exception_opened',
            'recipient', u.email, 'recipient_name', 'Dora Test', 'language', 'en',
            'data', jsonb_build_object(
                'first_name', 'Dora', 'exception_id', x.id, 'kind', 'amount_mismatch',
                'title', 'Another sum was collected than the order asks for.',
                'detail', 'gateway says 8000 XAF, order says 8500.00 XAF', 'gateway', 'kora',
                'amount', 8000.00, 'currency', 'XAF', 'minor_unit', 0,
                'order_number', o.order_number, 'opened_at', now(),
                'actions', '["recheck", "accept", "refund", "mark_refunded"]'::jsonb
            )
        )
        from public.users as u, public.orders as o, private.payment_exceptions as x
        where u.id = tests.id('dora') and o.id = tests.id('odd')
            and x.payment_id = tests.id('odd-payment')
    ),
    'what is wrong, with which order and how much money, and what may be done'
);
select is(
    (select concat_ws(' | ', a.mail ->> 'language', a.mail #>> '{data,title}')
     from (select tests.begin_alert('chioma') as mail) as a),
    'fr | Une autre somme que celle de la commande a été encaissée.',
    'each in their own language, whatever the order''s'
);
select tests.remember();
select count(tests.apply('odd-payment', 'paid', 8000));
select is(
    tests.changed_tables(), 'private.payment_events', 'the same again is no second mail'
);
-- given something that is about no order
select private.open_payment_exception(
    kind => 'invariant_violated', subject_id => tests.id('shoe'), detail => 'stock: off by one'
);
select is(
    (
        select (tests.as_service(format('service.begin_email(%L)', e.id)) -> 'data')
            - 'exception_id'
        from private.emails as e
        inner join private.payment_exceptions as x on e.exception_id = x.id
        where x.kind = 'invariant_violated' and x.subject_id = tests.id('shoe')
            and e.user_id = tests.id('dora')
    ),
    jsonb_build_object(
        'first_name', 'Dora', 'kind', 'invariant_violated',
        'title', 'The books or the stock do not agree with themselves.',
        'detail', 'stock: off by one', 'gateway', null, 'amount', null, 'currency', null,
        'minor_unit', null, 'order_number', null, 'opened_at', now(),
        'actions', '["dismiss"]'::jsonb
    ),
    'it says so without an order or a sum'
);

-- What cannot be ----------------------------------------------------------------------------------

create table tests.breaks (constraint_name text, assignment text, title text);
insert into tests.breaks values
('emails_pkey', 'id = (tests.mail(''welcome'', ''amina'')).id', 'two mails of one id'),
('emails_template_key', 'user_id = tests.id(''amina'')', 'one mail twice'),
('emails_template_is_known', 'template = ''newsletter''', 'a mail of an odd template'),
('emails_sent_has_message_id', 'sent_at = now()', 'a mail that was sent without a number'),
('emails_sent_has_message_id', 'message_id = ''<5@shop>''', 'a number of a mail not sent'),
('emails_rejected_has_reason', 'rejected_at = now()', 'a mail refused for nothing'),
('emails_end_once',
    'sent_at = now(), message_id = ''x'', rejected_at = now(), reject_reason = ''x''',
    'a mail sent and refused'),
('emails_user_id_fkey', 'user_id = gen_random_uuid()', 'a mail to nobody'),
('emails_order_id_fkey', 'order_id = gen_random_uuid()', 'a mail about no order'),
('emails_exception_id_fkey', 'exception_id = gen_random_uuid()', 'a mail about no exception'),
('emails_refund_id_fkey', 'refund_id = gen_random_uuid()', 'a mail about no refund'),
('emails_notification_id_fkey', 'notification_id = gen_random_uuid()', 'a mail about no message');
select tests.violates(
    format('update private.emails set %s where id = %L', b.assignment,
        (tests.mail('order_placed', 'bongani', 'order')).id),
    b.constraint_name, b.title || ' cannot be'
)
from tests.breaks as b;
select tests.violates(
    $$ insert into private.emails (template, user_id) values ('welcome', tests.id('amina')) $$,
    'emails_template_key', 'nor can one without an order be twice'
);
select tests.violates(
    $$ insert into private.emails (template, user_id, order_id, refund_id)
       values ('refund_sent', tests.id('amina'), tests.id('order'), tests.id('rest')) $$,
    'emails_template_key', 'nor one about a refund'
);
select tests.violates(
    $$ insert into private.emails (template, user_id, exception_id)
       values ('exception_opened', tests.id('dora'), (tests.alert('dora')).exception_id) $$,
    'emails_template_key', 'nor one about an exception'
);
insert into public.notifications (id, user_id, kind)
values (tests.name_it('message', gen_random_uuid()), tests.id('amina'), 'back_in_stock');
insert into private.emails (template, user_id, notification_id)
values ('back_in_stock', tests.id('amina'), tests.id('message'));
select tests.violates(
    $$ insert into private.emails (template, user_id, notification_id)
       values ('back_in_stock', tests.id('amina'), tests.id('message')) $$,
    'emails_template_key', 'nor one about a message'
);
select set_eq(
    $$ select c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid = 'private.emails'::regclass $$,
    $$ select b.constraint_name from tests.breaks as b $$,
    'these are all its constraints'
);

select * from finish();
rollback;

-- Mails: asked for once a (template, recipient, order), in the recipient's language, ended once.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(52);

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
('emails_order_id_fkey', 'order_id = gen_random_uuid()', 'a mail about no order');
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
select set_eq(
    $$ select c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid = 'private.emails'::regclass $$,
    $$ select b.constraint_name from tests.breaks as b $$,
    'these are all its constraints'
);

select * from finish();
rollback;

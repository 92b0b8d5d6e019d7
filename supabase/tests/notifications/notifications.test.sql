-- Messages in the shop: one for every move of an order, one for money that went back, and one for
-- each admin about what they must decide; marked read by their owner alone.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(26);

-- given amina and bongani, with an order each
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_product('shoe');
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('his', 'bongani', jsonb_build_array(tests.item('shoe', 1)), 'ZA');

create function tests.kinds(name text) returns text
language sql stable security definer as $$
    select string_agg(n.kind, ' ' order by n.kind)
    from public.notifications as n where n.user_id = tests.id(kinds.name)
$$;

-- What makes one ----------------------------------------------------------------------------------

select is(tests.kinds('amina'), null, 'an order that is placed makes none: its page says so');
select is(tests.pay('order') ->> 'order_status', 'paid', 'given it is paid');
select is(tests.kinds('amina'), 'order_paid', 'one says paid');
update public.orders set status = 'shipped', shipped_at = now() where id = tests.id('order');
select is(tests.kinds('amina'), 'order_paid order_shipped', 'one says shipped');
update public.orders set status = 'delivered', delivered_at = now() where id = tests.id('order');
select is(tests.kinds('amina'), 'order_delivered order_paid order_shipped', 'one says delivered');
update public.orders set status = 'delivered', tracking_number = 'x' where id = tests.id('order');
select is(
    tests.kinds('amina'), 'order_delivered order_paid order_shipped',
    'a change that is no move makes none'
);
select tests.act_as('bongani');
select is(
    (public.cancel_order(tests.id('his'))).status::text, 'cancelled', 'given his is cancelled'
);
select is(tests.kinds('bongani'), 'order_cancelled', 'one says so to him');
select tests.act_as_owner();
select results_eq(
    $$ select n.kind, n.data, n.read_at, n.created_at = now()
       from public.notifications as n where n.user_id = tests.id('bongani') $$,
    $$ select 'order_cancelled',
           jsonb_build_object('order_id', o.id, 'order_number', o.order_number),
           null::timestamptz, true
       from public.orders as o where o.id = tests.id('his') $$,
    'a message has the facts, the words are the frontend''s'
);

-- Money -------------------------------------------------------------------------------------------
-- given two admins, and money of amina's order of which a part goes back

select tests.make_admin('chioma');
select tests.make_admin('dora');
create table tests.refunded as
select (tests.as_service(format(
    'service.begin_refund(%L, %L, 500, null, ''scratched'', ''refund-key'')', tests.id('chioma'),
    tests.id('payment-of-order')
)) ->> 'refund_id')::uuid as refund_id;
select is(tests.kinds('amina'), 'order_delivered order_paid order_shipped',
    'a refund that is asked for makes none');
select count(tests.as_service(format(
    'service.apply_refund_result(%L, ''refunded'', 500, ''XAF'', null, null, ''poll'', null)',
    r.refund_id
)))
from tests.refunded as r;
select results_eq(
    $$ select n.data from public.notifications as n
       where n.user_id = tests.id('amina') and n.kind = 'refund_sent' $$,
    $$ values (jsonb_build_object(
           'order_id', tests.id('order'), 'amount', 500.00, 'currency', 'XAF')) $$,
    'one says that money went back, and how much'
);
select is(tests.kinds('chioma'), null, 'an admin has none of it');
select private.open_payment_exception(
    kind => 'unknown_outcome', payment_id => tests.id('payment-of-order'), detail => 'no answer'
);
select results_eq(
    $$ select u.name, n.data
       from public.notifications as n
       inner join tests.names as u on n.user_id = u.id
       where n.kind = 'exception_opened' order by u.name $$,
    $$ select a.name, jsonb_build_object(
           'exception_id', e.id, 'kind', 'unknown_outcome', 'order_id', tests.id('order'),
           'detail', 'no answer')
       from (values ('chioma'), ('dora')) as a (name)
       cross join private.payment_exceptions as e
       where e.payment_id = tests.id('payment-of-order') order by a.name $$,
    'each admin has one about what they must decide'
);
select is(tests.kinds('amina'), 'order_delivered order_paid order_shipped refund_sent',
    'of which the shopper has none');
delete from public.notifications where kind = 'refund_sent';

-- Marking read ------------------------------------------------------------------------------------

create function tests.message(kind text, owner text) returns uuid
language sql stable security definer as $$
    select n.id from public.notifications as n
    where n.kind = message.kind and n.user_id = tests.id(message.owner)
$$;
create function tests.unread() returns text
language sql stable security definer as $$
    select string_agg(n.kind, ' ' order by n.kind)
    from public.notifications as n
    where n.user_id in (tests.id('amina'), tests.id('bongani')) and n.read_at is null
$$;

select tests.act_as('amina');
select results_eq(
    $$ select n.id, n.kind, n.read_at from public.mark_notifications_read(array[
           tests.message('order_paid', 'amina'), tests.message('order_cancelled', 'bongani'),
           gen_random_uuid()
       ]) as n $$,
    $$ values (tests.message('order_paid', 'amina'), 'order_paid', now()) $$,
    'of hers, his and nobody''s she marks hers, and gets it back'
);
select is(
    tests.unread(), 'order_cancelled order_delivered order_shipped', 'the others are unread'
);
select tests.act_as_owner();
update public.notifications set read_at = '2026-01-01' where kind = 'order_paid'
    and user_id = tests.id('amina');
select tests.act_as('amina');
select results_eq(
    $$ select n.read_at from public.mark_notifications_read(array[
           tests.message('order_paid', 'amina'), tests.message('order_paid', 'amina')]) as n $$,
    $$ values (timestamptz '2026-01-01') $$,
    'read twice is read once, at the first time'
);
select is_empty('select public.mark_notifications_read(''{}'')', 'none are none');
select is_empty('select public.mark_notifications_read(null)', 'nor is no list');
select tests.become('authenticated', '{"role": "authenticated"}');
select is_empty(
    $$ select public.mark_notifications_read(array[tests.message('order_shipped', 'amina')]) $$,
    'a token without a subject marks none'
);
select is(
    tests.unread(), 'order_cancelled order_delivered order_shipped', 'and they stay unread'
);

-- What cannot be ----------------------------------------------------------------------------------

select tests.act_as_owner();
create table tests.breaks (constraint_name text, assignment text, title text);
insert into tests.breaks values
('notifications_pkey', 'id = tests.message(''order_shipped'', ''amina'')',
    'two messages of one id'),
('notifications_user_id_fkey', 'user_id = gen_random_uuid()', 'a message to nobody'),
('notifications_kind_is_snake_case', 'kind = ''Paid!''', 'a message of an odd kind'),
('notifications_data_is_object', 'data = ''[]''', 'a message whose facts are a list');
select tests.violates(
    format('update public.notifications set %s where id = %L', b.assignment,
        tests.message('order_paid', 'amina')),
    b.constraint_name, b.title || ' cannot be'
)
from tests.breaks as b;
select set_eq(
    $$ select c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid = 'public.notifications'::regclass $$,
    $$ select b.constraint_name from tests.breaks as b $$,
    'these are all its constraints'
);

select * from finish();
rollback;

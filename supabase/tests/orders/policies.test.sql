-- Who may do what with orders, their lines and their events: people read their own, admins all,
-- nobody writes but the RPCs.
begin;
\ir ../_helpers.psql
select plan(146);

-- given two people with an order each, and an admin
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.make_product('shirt');
select tests.place_order(
    'amina-order', 'amina', jsonb_build_array(tests.item('shoe', 1), tests.item('shirt', 2))
);
select tests.place_order(
    'bongani-order', 'bongani', jsonb_build_array(tests.item('shoe', 3)), 'ZA'
);

create table tests.everything as
select 'orders' as table_name, o.id from public.orders as o
union all
select 'order_items', i.id from public.order_items as i
union all
select 'order_events', e.id from public.order_events as e;
grant select on tests.everything to public;

create table tests.owned as
select 'orders' as table_name, o.user_id, o.id from public.orders as o
union all
select 'order_items', o.user_id, i.id
from public.order_items as i
inner join public.orders as o on i.order_id = o.id
union all
select 'order_events', o.user_id, e.id
from public.order_events as e
inner join public.orders as o on e.order_id = o.id;
grant select on tests.owned to public;

create table tests.tables (place, table_name, insert_columns, insert_values) as
values
(1, 'orders', 'user_id, country, currency, language, subtotal_price, total_price, '
    'shipping_address, expires_at',
    format('%L, ''CM'', ''XAF'', ''en'', 1, 1, ''{}'', now()', tests.id('amina'))),
(2, 'order_items', 'order_id, user_id, line_number, product_id, name, quantity, unit_price, '
    'currency',
    format('%L, %L, 9, %L, ''shoe'', 1, 1, ''XAF''',
        tests.id('amina-order'), tests.id('amina'), tests.id('shoe'))),
(3, 'order_events', 'order_id, user_id, kind, actor_type',
    format('%L, %L, ''paid'', ''system''', tests.id('amina-order'), tests.id('amina')));
grant select on tests.tables to public;

-- Each table's writes, as somebody would try them from outside.
create table tests.writes (place, table_name, verb, sql) as
select
    t.place * 10 + 1, t.table_name, 'insert',
    format('insert into public.%I (%s) values (%s)', t.table_name, t.insert_columns, t.insert_values)
from tests.tables as t
union all
select t.place * 10 + 3, t.table_name, 'delete', format('delete from public.%I', t.table_name)
from tests.tables as t
union all
values
(12, 'orders', 'update the status of', 'update public.orders set status = ''paid'', paid_at = now()'),
(12, 'orders', 'update the total of', 'update public.orders set total_price = 1'),
(12, 'orders', 'update the address of', 'update public.orders set shipping_address = ''{}'''),
(12, 'orders', 'update the owner of', 'update public.orders set user_id = auth.uid()'),
(22, 'order_items', 'update the price of', 'update public.order_items set unit_price = 1'),
(22, 'order_items', 'update the quantity of', 'update public.order_items set quantity = 100'),
(32, 'order_events', 'update', 'update public.order_events set note = ''x''');
grant select on tests.writes to public;

-- The exact policies and rights --------------------------------------------------------------------

select policies_are('public', t.table_name::name, array['select_own_or_admin']::name [])
from tests.tables as t
order by t.place;
select policy_cmd_is('public'::name, t.table_name::name, 'select_own_or_admin'::name, 'select')
from tests.tables as t
order by t.place;
select policy_roles_are(
    'public'::name, t.table_name::name, 'select_own_or_admin'::name, array['authenticated']::name []
)
from tests.tables as t
order by t.place;
select is(
    (select c.relrowsecurity from pg_catalog.pg_class as c
     where c.oid = ('public.' || t.table_name)::regclass),
    true,
    format('row level security is on for %s', t.table_name)
)
from tests.tables as t
order by t.place;
select table_privs_are('public'::name, t.table_name::name, r.role_name::name, r.privileges)
from tests.tables as t
cross join (
    values
    ('anon', array[]::text []),
    ('authenticated', array['SELECT']),
    ('service_role', array['SELECT']),
    ('mallgram_service', array[]::text [])
) as r (role_name, privileges)
order by t.place, r.role_name;
select is(
    has_any_column_privilege(r.role_name, 'public.' || t.table_name, 'insert, update, references'),
    false,
    format('%s may write no column of %s', r.role_name, t.table_name)
)
from tests.tables as t
cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
    as r (role_name)
order by t.place, r.role_name;
select is(
    has_table_privilege(r.role_name, 'private.' || t.table_name, 'select, insert, update, delete')
    or has_any_column_privilege(r.role_name, 'private.' || t.table_name, 'select, insert, update'),
    false,
    format('%s has no right on private.%s', r.role_name, t.table_name)
)
from unnest(array['order_transitions', 'payment_transitions']) as t (table_name)
cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
    as r (role_name)
order by t.table_name, r.role_name;

-- Reading ------------------------------------------------------------------------------------------
-- each actor reads exactly these rows

select tests.act_as_anon();
select tests.denies(
    format('select id from public.%I', t.table_name), 'anon cannot select ' || t.table_name
)
from tests.tables as t
order by t.place;

select tests.act_as('amina');
select set_eq(
    format('select id from public.%I', t.table_name),
    format('select id from tests.owned where table_name = %L and user_id = %L',
        t.table_name, tests.id('amina')),
    'the owner selects their own ' || t.table_name || ' and no other'
)
from tests.tables as t
order by t.place;
select is(
    (select count(*) from public.orders)::text || ' ' || (select count(*) from public.order_items)
    || ' ' || (select count(*) from public.order_events),
    '1 2 1',
    'the owner sees one order, two lines and one event'
);

select tests.act_as('bongani');
select set_eq(
    format('select id from public.%I', t.table_name),
    format('select id from tests.owned where table_name = %L and user_id = %L',
        t.table_name, tests.id('bongani')),
    'another user selects their own ' || t.table_name || ' and no other'
)
from tests.tables as t
order by t.place;
select is_empty(
    format('select id from public.%I where user_id = %L', t.table_name, tests.id('amina')),
    'another user finds none of the owner''s ' || t.table_name
)
from tests.tables as t
order by t.place;

select tests.act_as('chioma');
select set_eq(
    format('select id from public.%I', t.table_name),
    format('select id from tests.everything where table_name = %L', t.table_name),
    'an admin selects all ' || t.table_name
)
from tests.tables as t
order by t.place;

select tests.act_as_service_role();
select set_eq(
    format('select id from public.%I', t.table_name),
    format('select id from tests.everything where table_name = %L', t.table_name),
    'service_role selects all ' || t.table_name
)
from tests.tables as t
order by t.place;

select tests.act_as_service();
select tests.denies(
    format('select id from public.%I', t.table_name),
    'mallgram_service cannot select ' || t.table_name
)
from tests.tables as t
order by t.place;

-- Writing ------------------------------------------------------------------------------------------
-- no actor writes a row of any of them

select tests.act_as_owner();
select tests.remember();

select tests.act_as_anon();
select tests.denies(w.sql, format('anon cannot %s %s', w.verb, w.table_name))
from tests.writes as w
order by w.place, w.verb;

select tests.act_as('amina');
select tests.denies(w.sql, format('the owner cannot %s %s', w.verb, w.table_name))
from tests.writes as w
order by w.place, w.verb;

select tests.act_as('bongani');
select tests.denies(w.sql, format('another user cannot %s %s', w.verb, w.table_name))
from tests.writes as w
order by w.place, w.verb;

select tests.act_as('chioma');
select tests.denies(w.sql, format('an admin cannot %s %s', w.verb, w.table_name))
from tests.writes as w
order by w.place, w.verb;

select tests.act_as_service_role();
select tests.denies(w.sql, format('service_role cannot %s %s', w.verb, w.table_name))
from tests.writes as w
order by w.place, w.verb;

select tests.act_as_service();
select tests.denies(w.sql, format('mallgram_service cannot %s %s', w.verb, w.table_name))
from tests.writes as w
order by w.place, w.verb;

select tests.act_as_owner();
select tests.nothing_changed('and no row of the shop is another one');

-- Functions ----------------------------------------------------------------------------------------
-- who may call what, exactly

select set_eq(
    $$ select p.proname::text, r.role_name
       from pg_catalog.pg_proc as p
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where p.proname in (
               'quote_cart', 'place_order', 'cancel_order', 'update_order_address',
               'claim_expired_orders', 'release_order_hold'
           )
           and p.pronamespace in ('public'::regnamespace, 'service'::regnamespace)
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    $$ values
       ('quote_cart', 'authenticated'),
       ('place_order', 'authenticated'),
       ('cancel_order', 'authenticated'),
       ('update_order_address', 'authenticated'),
       ('claim_expired_orders', 'mallgram_service'),
       ('release_order_hold', 'mallgram_service') $$,
    'order RPCs are for signed-in people, the expiry of holds for the service'
);

select * from finish();
rollback;

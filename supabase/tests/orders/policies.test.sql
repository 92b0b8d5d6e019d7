-- People read their own orders, lines and events, an admin reads all; nobody writes but the RPCs.
begin;
\ir ../_helpers.psql
select plan(114);

-- given two shoppers with an order each, and an admin
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

create function tests.seen_orders() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.orders as o inner join tests.names as n on o.id = n.id
$$;
create function tests.seen_lines() returns text []
language sql stable as $$
    select array_agg(concat_ws(' ', n.name, i.name, i.quantity) order by n.name, i.line_number)
    from public.order_items as i inner join tests.names as n on i.order_id = n.id
$$;
create function tests.seen_events() returns text []
language sql stable as $$
    select array_agg(concat_ws(' ', n.name, e.kind) order by n.name)
    from public.order_events as e inner join tests.names as n on e.order_id = n.id
$$;
create function tests.seen_strangers() returns bigint
language sql stable as $$
    select
        (select count(*) from public.orders as o where o.user_id <> auth.uid())
        + (select count(*) from public.order_items as i where i.user_id <> auth.uid())
        + (select count(*) from public.order_events as e where e.user_id <> auth.uid())
$$;

select tests.has_policies('public.orders', 'select_own_or_admin: select to authenticated');
select tests.has_policies('public.order_items', 'select_own_or_admin: select to authenticated');
select tests.has_policies('public.order_events', 'select_own_or_admin: select to authenticated');
select tests.has_policies('private.order_transitions');
select tests.has_policies('private.payment_transitions');
select tests.remember();

-- a guest
select tests.act_as_anon();
select tests.closed('public.orders');
select tests.closed('public.order_items');
select tests.closed('public.order_events');
select tests.closed('private.order_transitions');
select tests.closed('private.payment_transitions');

-- the owner
select tests.act_as('amina');
select is(tests.seen_orders(), '{amina-order}', 'a shopper sees her own order');
select is(
    tests.seen_lines(), '{"amina-order shoe 1","amina-order shirt 2"}', 'and its lines'
);
select is(tests.seen_events(), '{"amina-order placed"}', 'and what happened to it');
select is(tests.seen_strangers(), 0::bigint, 'and nobody else''s, named or not');
select tests.closed('public.orders', 'insert', 'update', 'delete');
select tests.closed('public.order_items', 'insert', 'update', 'delete');
select tests.closed('public.order_events', 'insert', 'update', 'delete');
select tests.closed('private.order_transitions');
select tests.closed('private.payment_transitions');

-- another shopper
select tests.act_as('bongani');
select is(tests.seen_orders(), '{bongani-order}', 'another shopper sees his own order');
select is(tests.seen_lines(), '{"bongani-order shoe 3"}', 'and its line');
select is(tests.seen_events(), '{"bongani-order placed"}', 'and what happened to it');
select is(tests.seen_strangers(), 0::bigint, 'and nobody else''s');
select is_empty(
    $$ select o.id from public.orders as o where o.id = tests.id('amina-order') $$,
    'an order asked for by its id is not there for him'
);

-- somebody whose token names nobody
select tests.become('authenticated', '{"role": "authenticated"}');
select is(
    num_nonnulls(tests.seen_orders(), tests.seen_lines(), tests.seen_events()), 0,
    'a token without a subject sees nothing'
);

-- an admin
select tests.act_as('chioma');
select is(tests.seen_orders(), '{amina-order,bongani-order}', 'an admin sees every order');
select is(
    tests.seen_lines(),
    '{"amina-order shoe 1","amina-order shirt 2","bongani-order shoe 3"}', 'and every line'
);
select is(
    tests.seen_events(), '{"amina-order placed","bongani-order placed"}', 'and every event'
);
select tests.closed('public.orders', 'insert', 'update', 'delete');
select tests.closed('public.order_items', 'insert', 'update', 'delete');
select tests.closed('public.order_events', 'insert', 'update', 'delete');
select tests.closed('private.order_transitions');
select tests.closed('private.payment_transitions');

-- the API key's role
select tests.act_as_service_role();
select is(tests.seen_orders(), '{amina-order,bongani-order}', 'service_role sees every order');
select is(cardinality(tests.seen_lines()), 3, 'and every line');
select is(cardinality(tests.seen_events()), 2, 'and every event');
select tests.closed('public.orders', 'insert', 'update', 'delete');
select tests.closed('public.order_items', 'insert', 'update', 'delete');
select tests.closed('public.order_events', 'insert', 'update', 'delete');
select tests.closed('private.order_transitions');
select tests.closed('private.payment_transitions');

-- the service's login has functions, not tables
select tests.act_as_service();
select tests.closed('public.orders');
select tests.closed('public.order_items');
select tests.closed('public.order_events');
select tests.closed('private.order_transitions');
select tests.closed('private.payment_transitions');

select tests.act_as_owner();
select tests.nothing_changed('and no row of the shop is another one');

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

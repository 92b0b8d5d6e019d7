begin;
\ir ../_helpers.psql
select plan(47);

-- given two shoppers with a cart each, and an admin with none
select tests.make_user('amina');
select tests.make_user('binta');
select tests.make_admin('ada');
select tests.make_product('shoe');
select tests.act_as('amina');
select public.add_to_cart(tests.id('shoe'), 'retail', 1);
select tests.act_as('binta');
select public.add_to_cart(tests.id('shoe'), 'retail', 2);
select tests.act_as_owner();

-- Whose carts and lines the actor sees.
create function tests.seen_carts() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.carts as c inner join tests.names as n on c.user_id = n.id
$$;
create function tests.seen_lines() returns text []
language sql stable as $$
    select array_agg(n.name || ' ' || c.quantity order by n.name)
    from public.cart_items as c inner join tests.names as n on c.user_id = n.id
$$;

select tests.has_policies('public.carts', 'select_own: select to authenticated');
select tests.has_policies('public.cart_items', 'select_own: select to authenticated');
select tests.remember();

-- a guest
select tests.act_as_anon();
select tests.closed('public.carts');
select tests.closed('public.cart_items');

-- the owner reads, and writes by RPC only
select tests.act_as('amina');
select is(tests.seen_carts(), '{amina}', 'a shopper sees her own cart');
select is(tests.seen_lines(), '{amina 1}', 'and her own lines');
select tests.closed('public.carts', 'insert', 'update', 'delete');
select tests.closed('public.cart_items', 'insert', 'update', 'delete');

-- another shopper, and an admin: carts are nobody else's business
select tests.act_as('binta');
select is(tests.seen_carts(), '{binta}', 'another shopper sees his own cart');
select is(tests.seen_lines(), '{binta 2}', 'and his own lines');
select tests.act_as('ada');
select is(tests.seen_carts(), null, 'an admin sees nobody''s cart');
select is(tests.seen_lines(), null, 'and nobody''s lines');
select tests.closed('public.carts', 'insert', 'update', 'delete');
select tests.closed('public.cart_items', 'insert', 'update', 'delete');

-- the API key's role reads
select tests.act_as_service_role();
select is(tests.seen_carts(), '{amina,binta}', 'service_role sees the carts');
select is(tests.seen_lines(), '{"amina 1","binta 2"}', 'and the lines');
select tests.closed('public.carts', 'insert', 'update', 'delete');
select tests.closed('public.cart_items', 'insert', 'update', 'delete');

-- the service
select tests.act_as_service();
select tests.closed('public.carts');
select tests.closed('public.cart_items');
select tests.nothing_changed('nobody wrote a row');

-- what a line may hold
select tests.act_as_owner();
select tests.violates(
    $$update public.cart_items set quantity = 0 where user_id = tests.id('amina')$$,
    'cart_items_quantity_in_range', 'a line holds a piece at least'
);
select tests.violates(
    $$update public.cart_items set quantity = 10001 where user_id = tests.id('amina')$$,
    'cart_items_quantity_in_range', 'and 10000 at most'
);

select * from finish();
rollback;

-- People see their own wishes and write them through their RPCs only.
begin;
\ir ../_helpers.psql
select plan(28);

-- given two people with a wish each
select tests.make_user('amina');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe');
insert into public.wishlist_items (user_id, product_id)
values (tests.id('amina'), tests.id('shoe')), (tests.id('bongani'), tests.id('shoe'));

create function tests.seen() returns text
language sql stable as $$
    select string_agg(n.name, ' ' order by n.name)
    from public.wishlist_items as w inner join tests.names as n on w.user_id = n.id
$$;

select tests.has_policies('public.wishlist_items', 'select_own: select to authenticated');
select tests.remember();

select tests.act_as_anon();
select tests.closed('public.wishlist_items');
select tests.denies(
    'select public.add_to_wishlist(tests.id(''shoe''), ''retail'')', 'a guest wishes nothing'
);
select tests.denies(
    'select public.remove_from_wishlist(tests.id(''shoe''), ''retail'')', 'unwishes nothing'
);
select tests.denies('select public.wishlist()', 'and has no wishlist');

select tests.act_as('amina');
select is(tests.seen(), 'amina', 'a shopper sees her own');
select tests.closed('public.wishlist_items', 'insert', 'update', 'delete');

select tests.act_as('chioma');
select is(tests.seen(), null, 'an admin nobody''s');
select tests.closed('public.wishlist_items', 'insert', 'update', 'delete');

select tests.act_as_service_role();
select is(tests.seen(), 'amina bongani', 'service_role sees all');
select tests.closed('public.wishlist_items', 'insert', 'update', 'delete');
select tests.denies('select public.wishlist()', 'and has none of its own');

select tests.act_as_service();
select tests.closed('public.wishlist_items');
select tests.denies('select public.wishlist()', 'the service has none either');

select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');

select tests.violates(
    $$ insert into public.wishlist_items (user_id, product_id)
       values (tests.id('amina'), tests.id('shoe')) $$,
    'wishlist_items_pkey', 'one wish a person and product'
);

select * from finish();
rollback;

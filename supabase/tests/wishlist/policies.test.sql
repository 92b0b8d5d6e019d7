-- People see and write their own wishes and nobody else's.
begin;
\ir ../_helpers.psql
select plan(30);

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

select tests.make_product('hidden');
update public.products set is_active = false where id = tests.id('hidden');
select tests.make_product('lamp');

select tests.has_policies(
    'public.wishlist_items',
    'delete_own: delete to authenticated', 'insert_own: insert to authenticated',
    'select_own: select to authenticated'
);
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
select tests.closed('public.wishlist_items', 'update');
select tests.denies(
    $$ insert into public.wishlist_items (user_id, product_id)
       values (tests.id('bongani'), tests.id('lamp')) $$, 'she wishes nothing for others'
);
select tests.denies(
    $$ insert into public.wishlist_items (product_id) values (tests.id('hidden')) $$,
    'nor what is not on sale'
);
select tests.denies(
    $$ insert into public.wishlist_items (product_id, notified_at)
       values (tests.id('lamp'), now()) $$, 'nor says that she was told'
);
delete from public.wishlist_items where product_id = tests.id('shoe');
select is(tests.seen(), null, 'takes back her own');
insert into public.wishlist_items (product_id) values (tests.id('shoe'));
select is(tests.seen(), 'amina', 'and wishes again');

select tests.act_as('chioma');
select is(tests.seen(), null, 'an admin nobody''s');
delete from public.wishlist_items;
select tests.closed('public.wishlist_items', 'update');

select tests.act_as_service_role();
select is(tests.seen(), 'amina bongani', 'service_role sees all');
select tests.closed('public.wishlist_items', 'insert', 'update', 'delete');
select tests.denies('select public.wishlist()', 'and has none of its own');

select tests.act_as_service();
select tests.closed('public.wishlist_items');
select tests.denies('select public.wishlist()', 'the service has none either');

select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');
select tests.make_user('gone');
delete from auth.users where id = tests.id('gone');
select tests.act_as('gone');
select tests.denies(
    $$ insert into public.wishlist_items (product_id) values (tests.id('lamp')) $$,
    'a token that outlives its account wishes nothing'
);
select tests.act_as_owner();

select tests.violates(
    $$ insert into public.wishlist_items (user_id, product_id)
       values (tests.id('amina'), tests.id('shoe')) $$,
    'wishlist_items_pkey', 'one wish a person and product'
);

select * from finish();
rollback;

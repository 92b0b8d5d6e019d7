-- What people look at is theirs: nobody else reads it, nobody writes it by hand.
begin;
\ir ../_helpers.psql
select plan(25);

-- given two people who looked at a shoe
select tests.make_user('amina');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe');
insert into public.product_views (user_id, product_id)
values (tests.id('amina'), tests.id('shoe')), (tests.id('bongani'), tests.id('shoe'));

create function tests.seen() returns text
language sql stable as $$
    select string_agg(n.name, ' ' order by n.name)
    from public.product_views as v inner join tests.names as n on v.user_id = n.id
$$;

select tests.has_policies('public.product_views', 'select_own: select to authenticated');
select tests.remember();

select tests.act_as_anon();
select tests.closed('public.product_views');
select tests.denies(
    'select public.record_product_view(tests.id(''shoe''), ''retail'')',
    'a guest''s views are not kept'
);
select tests.denies('select public.recently_viewed()', 'nor shown');

select tests.act_as('amina');
select is(tests.seen(), 'amina', 'a shopper sees her own');
select tests.closed('public.product_views', 'insert', 'update', 'delete');

select tests.act_as('chioma');
select is(tests.seen(), null, 'an admin nobody''s');
select tests.closed('public.product_views', 'insert', 'update', 'delete');

select tests.act_as_service_role();
select is(tests.seen(), 'amina bongani', 'service_role sees all');
select tests.closed('public.product_views', 'insert', 'update', 'delete');

select tests.act_as_service();
select tests.closed('public.product_views');

select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');
select set_eq(
    $$ select r.role_name
       from unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where has_function_privilege(
           r.role_name, 'public.record_product_view(uuid, public.product_channel)', 'execute') $$,
    array['authenticated'], 'people who are signed in note what they look at'
);

select * from finish();
rollback;

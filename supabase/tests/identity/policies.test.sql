begin;
\ir ../_helpers.psql
select plan(63);

-- given two shoppers, an admin, and an address of each shopper
select tests.make_user('amina');
select tests.make_user('binta');
select tests.make_admin('ada');
select tests.make_address('amina_home', 'amina');
select tests.make_address('binta_home', 'binta');

create function tests.seen_users() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.users as u inner join tests.names as n on u.id = n.id
$$;
create function tests.seen_admins() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.admins as a inner join tests.names as n on a.user_id = n.id
$$;
create function tests.seen_addresses() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.addresses as a inner join tests.names as n on a.id = n.id
$$;

-- the exact policies
select tests.has_policies(
    'public.users',
    'select_own_or_admin: select to authenticated', 'update_own: update to authenticated'
);
select tests.has_policies('public.admins', 'select_own_or_admin: select to authenticated');
select tests.has_policies(
    'public.addresses',
    'select_own_or_admin: select to authenticated', 'insert_own: insert to authenticated',
    'update_own: update to authenticated', 'delete_own: delete to authenticated'
);

-- a guest
select tests.act_as_anon();
select tests.closed('public.users');
select tests.closed('public.admins');
select tests.closed('public.addresses');

-- a shopper, on what is hers
select tests.act_as_owner();
select tests.remember();
select tests.act_as('amina');
select is(tests.seen_users(), '{amina}', 'a shopper sees her own row');
select is(tests.seen_admins(), null, 'a shopper sees no admin');
select is(tests.seen_addresses(), '{amina_home}', 'a shopper sees her own addresses');
select tests.closed('public.users', 'insert', 'delete');
select tests.closed('public.admins', 'insert', 'update', 'delete');
select set_eq(
    $$
    select c from tests.columns('public.users') as c
    where has_column_privilege('public.users', c, 'update')
    $$,
    array['full_name', 'phone', 'country', 'language'],
    'of users she may write four columns'
);
select tests.denies(
    $$update public.users set is_admin = true where id = tests.id('amina')$$,
    'a shopper cannot make herself admin'
);
select tests.denies(
    $$update public.users set is_affiliate = true where id = tests.id('amina')$$,
    'a shopper cannot make herself affiliate'
);
select tests.denies(
    $$insert into public.admins (user_id) values (tests.id('amina'))$$,
    'nor through the table of admins'
);

-- a shopper, on what is somebody else's
select tests.affects(
    $$update public.users set full_name = 'Hacked' where id = tests.id('binta')$$,
    0, 'a shopper edits no other row'
);
select tests.affects(
    $$update public.addresses set city = 'Hacked' where id = tests.id('binta_home')$$,
    0, 'a shopper edits no other address'
);
select tests.affects(
    $$delete from public.addresses where id = tests.id('binta_home')$$,
    0, 'a shopper deletes no other address'
);
select tests.denies(
    $$
    insert into public.addresses (user_id, recipient_name, phone, country, city, line1)
    values (tests.id('binta'), 'A', '+237650000000', 'CM', 'Douala', 'Rue 1')
    $$,
    'a shopper adds no address for somebody else'
);
select tests.denies(
    $$update public.addresses set user_id = tests.id('binta') where id = tests.id('amina_home')$$,
    'a shopper gives no address away'
);
select tests.nothing_changed('none of it changed a row');

-- an admin sees all, and edits as any shopper does
select tests.act_as('ada');
select is(tests.seen_users(), '{ada,amina,binta}', 'an admin sees everyone');
select is(tests.seen_admins(), '{ada}', 'an admin sees the admins');
select is(
    tests.seen_addresses(), '{amina_home,binta_home}', 'an admin sees everyone''s addresses'
);
select tests.closed('public.admins', 'insert', 'update', 'delete');
select tests.affects(
    $$update public.users set full_name = 'Hacked' where id = tests.id('amina')$$,
    0, 'an admin edits nobody else''s row'
);
select tests.affects(
    $$delete from public.addresses where id = tests.id('amina_home')$$,
    0, 'an admin deletes nobody else''s address'
);

-- an edit without a filter, which asks no select policy, reaches the own rows
select tests.act_as('binta');
select tests.affects(
    $$update public.addresses set label = 'mine'$$, 1, 'an edit of all reaches the own address'
);
select tests.affects('delete from public.addresses', 1, 'so does a deletion of all');

-- a token that names nobody
select tests.become('authenticated', '{"role": "authenticated"}');
select is(tests.seen_users(), null, 'a token without a person sees nobody');
select is(tests.seen_addresses(), null, 'and no address');

-- the API key's role: DBAs and tests
select tests.act_as_service_role();
select is(tests.seen_addresses(), '{amina_home}', 'service_role sees every address');
select is(tests.seen_users(), '{ada,amina,binta}', 'service_role sees everyone');
select tests.closed('public.users', 'insert', 'delete');
select tests.denies(
    'update public.users set is_admin = true', 'not even service_role writes the mirrored role'
);
select tests.affects(
    $$insert into public.admins (user_id) values (tests.id('binta'))$$,
    1, 'service_role appoints an admin'
);

-- the service has functions, no tables
select tests.act_as_service();
select tests.closed('public.users');
select tests.closed('public.admins');
select tests.closed('public.addresses');

select * from finish();
rollback;

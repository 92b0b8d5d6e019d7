begin;
\ir ../_helpers.psql
select plan(13);

-- given two people
select tests.make_user('amina');
select tests.make_user('binta');

create function tests.is_admin(name text) returns boolean
language sql stable security definer as $$
    select u.is_admin from public.users as u where u.id = tests.id(is_admin.name)
$$;

-- users.is_admin follows the table
select is(private.is_admin(tests.id('amina')), false, 'nobody is admin at first');
insert into public.admins (user_id) values (tests.id('amina'));
select is(tests.is_admin('amina'), true, 'a row makes an admin');
select is(private.is_admin(tests.id('amina')), true, 'and the predicate agrees');
select is(tests.is_admin('binta'), false, 'of that person only');
update public.admins set user_id = tests.id('binta') where user_id = tests.id('amina');
select is(
    array[tests.is_admin('amina'), tests.is_admin('binta')], array[false, true],
    'a row that moves takes the role along'
);
delete from public.admins where user_id = tests.id('binta');
select is(tests.is_admin('binta'), false, 'a row that goes takes the role away');
select is(private.is_admin(tests.id('binta')), false, 'and the predicate agrees again');

-- the predicate asks for the caller unless told otherwise, and nobody is no admin
insert into public.admins (user_id) values (tests.id('amina'));
select tests.act_as('amina');
select is(private.is_admin(), true, 'an admin is admin');
select tests.act_as('binta');
select is(private.is_admin(), false, 'a shopper is not');
select tests.act_as_anon();
select is(private.is_admin(), false, 'a guest is not');
select tests.become('authenticated', '{"role": "authenticated"}');
select is(private.is_admin(), false, 'a token without a person is not');

-- constraints
select tests.act_as_owner();
select tests.violates(
    $$insert into public.admins (user_id) values (tests.id('amina'))$$,
    'admins_user_id_key', 'nobody is admin twice'
);
select tests.violates(
    $$delete from public.users where id = tests.id('amina')$$,
    'admins_user_id_fkey', 'an admin''s row cannot be deleted'
);

select * from finish();
rollback;

-- People see their own messages and mark them read, nothing more; mails are nobody's to read.
begin;
\ir ../_helpers.psql
select plan(56);

-- given two shoppers with a message each, an admin, and mails
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
insert into public.notifications (id, user_id, kind, data)
select tests.name_it(n.name || '-message', gen_random_uuid()), tests.id(n.name), 'order_paid', '{}'
from (values ('amina'), ('bongani')) as n (name);

create function tests.seen() returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.notifications as m inner join tests.names as n on m.id = n.id
$$;

select tests.has_policies(
    'public.notifications', 'select_own: select to authenticated',
    'update_own: update to authenticated'
);
select tests.has_policies('private.emails');
select is(
    (select array_agg(a.attname::text)
     from pg_catalog.pg_attribute as a
     where a.attrelid = 'public.notifications'::regclass and a.attnum > 0 and not a.attisdropped
         and has_column_privilege('authenticated', a.attrelid, a.attnum, 'update')),
    '{read_at}', 'read_at is the one column that people write'
);
select tests.remember();

-- a guest
select tests.act_as_anon();
select tests.closed('public.notifications');
select tests.closed('private.emails');
select tests.denies('select public.mark_notifications_read(''{}'')', 'anon marks nothing read');

-- another shopper
select tests.act_as('bongani');
select is(tests.seen(), '{bongani-message}', 'another shopper sees his own message');
select tests.affects(
    $$ update public.notifications set read_at = now() where id = tests.id('amina-message') $$, 0,
    'and cannot mark hers'
);

-- an admin
select tests.act_as('chioma');
select is(tests.seen(), null, 'an admin sees nobody''s messages');
select tests.affects('update public.notifications set read_at = now()', 0, 'and marks none');
select tests.closed('public.notifications', 'insert', 'delete');
select tests.closed('private.emails');

-- the API key's role
select tests.act_as_service_role();
select is(tests.seen(), '{amina-message,bongani-message}', 'service_role sees every message');
select tests.closed('public.notifications', 'insert', 'update', 'delete');
select tests.closed('private.emails');
select tests.denies('select public.mark_notifications_read(''{}'')', 'and marks none read');

-- the service's login has functions, not tables
select tests.act_as_service();
select tests.closed('public.notifications');
select tests.closed('private.emails');
select tests.denies('select public.mark_notifications_read(''{}'')',
    'mallgram_service marks none read');

select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');

-- the owner
select tests.act_as('amina');
select is(tests.seen(), '{amina-message}', 'a shopper sees her own message');
select is(
    (select count(*) from public.notifications as n where n.user_id <> auth.uid()), 0::bigint,
    'and nobody else''s'
);
select tests.closed('public.notifications', 'insert', 'delete');
select tests.closed('private.emails');
select tests.denies(
    format('update public.notifications set %I = %I', c.column_name, c.column_name),
    'she does not write its ' || c.column_name
)
from unnest(array['id', 'user_id', 'kind', 'data', 'created_at']) as c (column_name);
select tests.affects('update public.notifications set read_at = now()', 1,
    'she marks hers read, and only hers');

select tests.act_as_owner();
select set_eq(
    $$ select p.proname::text, r.role_name
       from pg_catalog.pg_proc as p
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where p.proname ~ '(email|notification)'
           and p.pronamespace in (
               'public'::regnamespace, 'service'::regnamespace, 'private'::regnamespace)
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    $$ values
       ('mark_notifications_read', 'authenticated'),
       ('begin_email', 'mallgram_service'),
       ('record_email_sent', 'mallgram_service'),
       ('record_email_rejected', 'mallgram_service') $$,
    'people mark messages, the service handles mails'
);

select * from finish();
rollback;

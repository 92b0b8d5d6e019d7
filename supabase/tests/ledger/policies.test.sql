-- The books, statements and what proves them are nobody's: admins read an order's money by
-- payment_trail, the service posts by its functions, people see their own payments and refunds.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
select plan(190);

-- given a paid order and a statement
select tests.make_user('amina', 'fr', 'CM');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select count(tests.pay('order'));
select is(
    tests.as_service(format(
        'service.import_statement(%L, ''kora'', ''a.csv'', %L)', tests.id('chioma'),
        '[{"kind": "settlement", "gross": "5", "currency": "XAF", "occurred_at": "2026-11-22"}]'
    )) -> 'lines',
    '1', 'given a statement'
);

create table tests.closed_tables (place serial, name text, commands text []);
insert into tests.closed_tables (name, commands) values
('private.ledger_accounts', '{select, insert, update, delete}'),
('private.ledger_transactions', '{select, insert, update, delete}'),
('private.ledger_entries', '{select, insert, update, delete}'),
('private.gateway_statements', '{select, insert, update, delete}'),
('private.gateway_statement_lines', '{select, insert, update, delete}'),
('private.payment_gateways', '{select, insert, update, delete}');
insert into tests.closed_tables (name, commands)
select 'private.' || v.viewname, '{select}'
from pg_catalog.pg_views as v
where v.schemaname = 'private' and v.viewname like 'invariant\_%'
order by v.viewname;
grant select on tests.closed_tables to public;
create function tests.all_closed() returns setof text
language sql as $$
    select c.line
    from tests.closed_tables as t
    cross join lateral tests.closed(t.name, variadic t.commands) as c (line)
    order by t.place
$$;

select tests.has_policies(t.name) from tests.closed_tables as t
where t.name !~ 'invariant' order by t.place;
select tests.remember();
select tests.act_as_anon();
select tests.all_closed();
select tests.act_as('amina');
select tests.all_closed();
select tests.act_as('chioma');
select tests.all_closed();
select tests.act_as_service_role();
select tests.all_closed();
select tests.act_as_service();
select tests.all_closed();
select tests.act_as_owner();
select tests.nothing_changed('and no row of the shop is another one');

select is_empty(
    $$ select format('%s: %s', r.role_name, p.oid::regprocedure)
       from pg_catalog.pg_proc as p
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where p.pronamespace = 'private'::regnamespace
           and p.proname ~ '^(post|record_fee|next_part|unallocated|settle_|convert_money'
               '|check_balance|read_statement|match_statement|find_missing|statement_as_json)'
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    'nobody posts, matches or converts but through what the shop does'
);
select set_eq(
    $$ select format('%s: %s.%s', r.role_name, n.nspname, p.proname)
       from pg_catalog.pg_proc as p
       inner join pg_catalog.pg_namespace as n on p.pronamespace = n.oid
       cross join unnest(array['anon', 'authenticated', 'service_role', 'mallgram_service'])
           as r (role_name)
       where n.nspname in ('public', 'service', 'private')
           and p.proname ~ '(statement|trail|ledger|invariant)'
           and has_function_privilege(r.role_name, p.oid, 'execute') $$,
    array[
        'authenticated: public.payment_trail', 'authenticated: private.payment_trail',
        'mallgram_service: service.import_statement', 'mallgram_service: service.check_invariants'
    ],
    'admins read the trail, the service brings statements and checks'
);

select * from finish();
rollback;

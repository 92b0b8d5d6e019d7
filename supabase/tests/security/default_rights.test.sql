begin;
\ir ../_helpers.psql
select plan(37);

-- given objects made as a migration makes them, without a word about rights
select tests.make_user('amina');
set local role postgres;
create table public.test_table (id integer, note text);
insert into public.test_table values (1, 'secret');
create view public.test_view as select t.note from public.test_table as t;
create sequence public.test_sequence;
create function public.test_function() returns text language sql as $$ select 'secret' $$;
create procedure public.test_procedure() language sql as $$ select 1 $$;
create table private.test_table (id integer, note text);
create function private.test_function() returns text language sql as $$ select 'secret' $$;
create function service.test_function() returns text language sql as $$ select 'secret' $$;
reset role;

create temp table attempts (sql text, title text);
grant select on attempts to public;
insert into attempts values
('select * from public.test_table', 'a new table'),
('insert into public.test_table values (2)', 'a new table by insert'),
('select * from public.test_view', 'a new view'),
($$select nextval('public.test_sequence')$$, 'a new sequence'),
('select public.test_function()', 'a new function'),
('call public.test_procedure()', 'a new procedure'),
('select * from private.test_table', 'a new private table'),
('select private.test_function()', 'a new private function'),
('select service.test_function()', 'a new service function');

-- then they are closed to every role that the outside can take
select tests.act_as_anon();
select tests.denies(a.sql, 'a guest cannot enter ' || a.title) from attempts as a;
select tests.act_as('amina');
select tests.denies(a.sql, 'a shopper cannot enter ' || a.title) from attempts as a;
select tests.act_as_service_role();
select tests.denies(a.sql, 'service_role cannot enter ' || a.title) from attempts as a;
select tests.act_as_service();
select tests.denies(a.sql, 'the service cannot enter ' || a.title) from attempts as a;

-- and it is the missing word, not the missing object: with one they open
select tests.act_as_owner();
grant execute on function public.test_function() to anon;
select tests.act_as_anon();
select is(public.test_function(), 'secret', 'a function opens when it is granted');

select * from finish();
rollback;

begin;
\ir ../_helpers.psql
select plan(7 * (1 + 4 * 4 + 4) + 1 + 5 * 4);

-- reference data is public to read and closed to write, for everyone; what the shop knows of its
-- gateways is nobody's
select tests.make_user('amina');
select tests.make_admin('ada');
create function tests.market_tables() returns setof text
language sql immutable as $$
    values ('public.countries'), ('public.currencies'), ('public.exchange_rates'),
    ('public.payment_methods'), ('public.payment_routes'), ('public.shipping_rates'),
    ('public.tax_rates')
$$;
insert into public.exchange_rates (base_currency, quote_currency, rate, as_of, source)
values ('USD', 'XAF', 600, now(), 'test');

-- How many rows the actor sees in a table, and how many there are.
create function tests.seen(table_name text) returns bigint
language plpgsql as $$
declare
    v_count bigint;
begin
    execute 'select count(*) from ' || seen.table_name into v_count;
    return v_count;
end
$$;
create temp table stored as
select t as table_name, tests.seen(t) as rows from tests.market_tables() as t;
grant select on stored to public;

select tests.has_policies(t, 'select_all: select to anon, authenticated')
from tests.market_tables() as t;
select tests.has_policies('private.payment_gateways');

select tests.act_as_anon();
select is(tests.seen(s.table_name), s.rows, 'a guest reads ' || s.table_name) from stored as s;
select tests.closed(t, 'insert', 'update', 'delete') from tests.market_tables() as t;
select tests.closed('private.payment_gateways');

select tests.act_as('amina');
select is(tests.seen(s.table_name), s.rows, 'a shopper reads ' || s.table_name) from stored as s;
select tests.closed(t, 'insert', 'update', 'delete') from tests.market_tables() as t;
select tests.closed('private.payment_gateways');

select tests.act_as('ada');
select is(tests.seen(s.table_name), s.rows, 'an admin reads ' || s.table_name) from stored as s;
select tests.closed(t, 'insert', 'update', 'delete') from tests.market_tables() as t;
select tests.closed('private.payment_gateways');

select tests.act_as_service_role();
select is(tests.seen(s.table_name), s.rows, 'service_role reads ' || s.table_name)
from stored as s;
select tests.closed(t, 'insert', 'update', 'delete') from tests.market_tables() as t;
select tests.closed('private.payment_gateways');

select tests.act_as_service();
select tests.closed(t) from tests.market_tables() as t;
select tests.closed('private.payment_gateways');

select * from finish();
rollback;

begin;
\ir ../_helpers.psql
select plan(29);

-- Rules over the tables themselves, each shown to see a breach.
create view tests.tables as
select c.oid, c.oid::regclass::text as called, c.relname
from pg_catalog.pg_class as c
where c.relkind in ('r', 'p')
    and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace);

create view tests.table_columns as
select
    t.oid, t.called, a.attname::text as column_name, a.attnum,
    format_type(a.atttypid, a.atttypmod) as type
from tests.tables as t
inner join pg_catalog.pg_attribute as a on t.oid = a.attrelid
where a.attnum > 0 and not a.attisdropped;

create function tests.without_primary_key() returns setof text
language sql as $$
    select t.called
    from tests.tables as t
    where not exists (
        select from pg_catalog.pg_constraint as c where c.conrelid = t.oid and c.contype = 'p'
    )
$$;
select tests.proves(
    'without_primary_key', 'create table private.test_heap (id integer)', 'private.test_heap',
    'drop table private.test_heap', 'every table has a primary key'
);

-- An index helps a foreign key when it begins with its columns and leaves out only their nulls.
create function tests.foreign_keys_without_index() returns setof text
language sql as $$
    select c.conrelid::regclass || ' ' || c.conname
    from pg_catalog.pg_constraint as c
    inner join tests.tables as t on c.conrelid = t.oid
    where c.contype = 'f'
        and not exists (
            select
            from pg_catalog.pg_index as i
            where i.indrelid = c.conrelid
                and i.indisvalid
                and (i.indkey::smallint [])[0:cardinality(c.conkey) - 1] @> c.conkey
                and (
                    i.indpred is null
                    or cardinality(c.conkey) = 1
                    and pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', (
                        select a.attname from pg_catalog.pg_attribute as a
                        where a.attrelid = c.conrelid and a.attnum = c.conkey[1]
                    ))
                )
        )
        -- jobs are rows of the schema and never deleted, its index is for open work only
        and c.conrelid::regclass || ' ' || c.conname <> 'private.outbox outbox_job_fkey'
$$;
select tests.proves(
    'foreign_keys_without_index', 'drop index public.orders_country_idx',
    'public.orders orders_country_fkey',
    'create index orders_country_idx on public.orders (country)',
    'every foreign key has an index'
);
select tests.proves(
    'foreign_keys_without_index',
    'drop index public.payments_order_id_created_at_idx',
    'public.payments payments_order_id_fkey',
    'create index payments_order_id_created_at_idx on public.payments (order_id, created_at)',
    'an index of some of the rows does not help it'
);

create function tests.foreign_keys_that_do_not_say() returns setof text
language sql as $$
    select c.conrelid::regclass || ' ' || c.conname
    from pg_catalog.pg_constraint as c
    inner join tests.tables as t on c.conrelid = t.oid
    where c.contype = 'f' and c.confdeltype not in ('r', 'c', 'n')
$$;
select tests.proves(
    'foreign_keys_that_do_not_say',
    'create table private.test_child (id uuid primary key references public.users (id))',
    'private.test_child test_child_id_fkey',
    'drop table private.test_child',
    'every foreign key says what happens on delete'
);
select is_empty(
    $$
    select c.conrelid::regclass, c.conname
    from pg_catalog.pg_constraint as c
    inner join tests.tables as t on c.conrelid = t.oid
    where c.contype = 'f'
        and c.confdeltype = 'c'
        and c.conrelid in (
            'public.orders'::regclass, 'public.order_items'::regclass,
            'public.order_events'::regclass, 'public.payments'::regclass,
            'public.affiliate_stats'::regclass, 'public.affiliate_payouts'::regclass,
            'public.refunds'::regclass, 'public.refund_items'::regclass,
            'private.payment_exceptions'::regclass, 'private.payment_events'::regclass,
            'private.webhook_events'::regclass, 'private.ledger_transactions'::regclass,
            'private.ledger_entries'::regclass, 'private.gateway_statements'::regclass,
            'private.gateway_statement_lines'::regclass
        )
    $$,
    'the books are never deleted along with something else'
);

create function tests.constraints_named_by_chance() returns setof text
language sql as $$
    select c.conrelid::regclass || ' ' || c.conname
    from pg_catalog.pg_constraint as c
    inner join tests.tables as t on c.conrelid = t.oid
    where c.contype = 'c' and c.conname ~ '_check[0-9]*$'
        or c.conname not like t.relname || '\_%'
        or not c.convalidated
$$;
select tests.proves(
    'constraints_named_by_chance',
    'alter table public.orders add check (total_price < 1e9)',
    'public.orders orders_total_price_check',
    'alter table public.orders drop constraint orders_total_price_check',
    'every constraint is named after its table and its rule, and holds for every row'
);

create function tests.triggers_named_by_chance() returns setof text
language sql as $$
    select t.called || ' ' || g.tgname
    from pg_catalog.pg_trigger as g
    inner join tests.tables as t on g.tgrelid = t.oid
    where not g.tgisinternal and g.tgname !~ ('^' || t.relname || '_[0-9]{2}_[a-z_]+$')
$$;
select tests.proves(
    'triggers_named_by_chance',
    'create trigger touch before update on public.orders '
    'for each row execute function public.update_updated_at_column()',
    'public.orders touch',
    'drop trigger touch on public.orders',
    'every trigger is named after its table, its place and its task'
);

-- Moments know their zone, amounts are exact and stand beside their currency.
create function tests.odd_types() returns setof text
language sql as $$
    select format('%s.%s %s', c.called, c.column_name, c.type)
    from tests.table_columns as c
    where c.type ~ '^(timestamp without|time |money|real|double|json$|char|character)'
        and (c.called, c.column_name) <> ('private.rate_limits', 'tokens')
        or (c.column_name ~ '_at$') <> (c.type = 'timestamp with time zone')
        and (c.called, c.column_name) <> ('public.exchange_rates', 'as_of')
$$;
select tests.proves(
    'odd_types', 'alter table public.orders add column seen_at timestamp',
    'public.orders.seen_at timestamp without time zone',
    'alter table public.orders drop column seen_at',
    'moments are timestamptz and called so, nothing is a float, a money or a varchar'
);
create function tests.money_without_currency() returns setof text
language sql as $$
    select c.called || '.' || c.column_name
    from tests.table_columns as c
    where c.type in ('numeric(12,2)', 'numeric(14,2)')
        and not exists (
            select from tests.table_columns as k
            where k.oid = c.oid
                and k.type = 'text'
                and k.column_name in ('currency', replace(c.column_name, 'unit_price', 'currency'))
        )
        -- the table of currencies itself, whose code is the currency
        and c.called <> 'public.currencies'
$$;
select tests.proves(
    'money_without_currency', 'alter table public.product_stock add column value numeric(12, 2)',
    'public.product_stock.value', 'alter table public.product_stock drop column value',
    'money stands beside its currency'
);

-- Whoever points at a product points at exactly one.
create function tests.product_pointers() returns setof text
language sql as $$
    select t.called
    from tests.tables as t
    where exists (
        select from tests.table_columns as c
        where c.oid = t.oid and c.column_name = 'retailer_product_id'
    )
    and exists (
        select from tests.table_columns as c where c.oid = t.oid and c.column_name = 'product_id'
    )
    and not exists (
        select
        from pg_catalog.pg_constraint as c
        where c.conrelid = t.oid
            and c.conname = t.relname || '_points_at_one_product'
            and pg_get_constraintdef(c.oid)
            = 'CHECK ((num_nonnulls(product_id, retailer_product_id) = 1))'
    )
$$;
select tests.proves(
    'product_pointers',
    'alter table public.cart_items drop constraint cart_items_points_at_one_product',
    'public.cart_items',
    'alter table public.cart_items add constraint cart_items_points_at_one_product '
    'check (num_nonnulls(product_id, retailer_product_id) = 1)',
    'every row that points at a product points at exactly one'
);

-- 63 bytes are what Postgres keeps of a name: a longer one was cut without a word.
select is_empty(
    $$
    select c.relname from pg_catalog.pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and octet_length(c.relname) >= 63
    union all
    select c.conname from pg_catalog.pg_constraint as c
    inner join tests.tables as t on c.conrelid = t.oid
    where octet_length(c.conname) >= 63
    $$,
    'no name is so long that it was cut'
);

select * from finish();
rollback;

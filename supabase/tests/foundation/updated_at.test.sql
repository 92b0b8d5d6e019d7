begin;
\ir ../_helpers.psql
select plan(4);

-- given a row that was last touched long ago
select tests.make_category('test-goods');
alter table public.categories disable trigger categories_10_update_updated_at;
update public.categories
set created_at = '2026-01-01', updated_at = '2026-01-01'
where id = tests.id('test-goods');
alter table public.categories enable trigger categories_10_update_updated_at;

-- when it is edited, and somebody says when
update public.categories set position = 5, updated_at = '2030-01-01'
where id = tests.id('test-goods');

-- then the database says when
select results_eq(
    $$
    select c.updated_at, c.created_at from public.categories as c
    where c.id = tests.id('test-goods')
    $$,
    $$values (now(), '2026-01-01'::timestamptz)$$,
    'an edit is stamped with the transaction''s time, whatever was said'
);

-- every table that says when it was edited has the stamp; stock is stamped by its functions
select results_eq(
    $$
    select a.attrelid::regclass::text
    from pg_catalog.pg_attribute as a
    inner join pg_catalog.pg_class as c on a.attrelid = c.oid
    where a.attname = 'updated_at'
        and c.relkind = 'r'
        and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and not exists (
            select from pg_catalog.pg_trigger as t
            where t.tgrelid = c.oid
                and t.tgname = c.relname || '_10_update_updated_at'
                and t.tgfoid = 'public.update_updated_at_column()'::regprocedure
        )
    order by 1
    $$,
    $$values ('public.product_stock')$$,
    'every table with updated_at is stamped by trigger, but for the hot stock row'
);
select is(
    (
        select p.prorettype::regtype::text
        from pg_catalog.pg_proc as p
        where p.oid = 'public.update_updated_at_column()'::regprocedure
    ),
    'trigger', 'the stamp is a trigger function and no RPC'
);
select tests.act_as_anon();
select tests.denies(
    'select public.update_updated_at_column()', 'and nobody calls it'
);

select * from finish();
rollback;

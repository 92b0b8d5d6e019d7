-- What a run has not found, or nobody answered for: when it counts, and what it takes.
begin;
\ir ../_helpers.psql
\ir _runs.psql
select plan(31);

create function tests.link(external_id text) returns text
language sql stable as $$
    select concat_ws(' ', l.absences, l.silences, p.is_active, l.delist_reason)
    from private.supplier_listings as l
    inner join public.products as p on l.product_id = p.id
    where l.external_id = link.external_id
$$;
create function tests.passes(hours interval) returns void
language sql as $$
    update private.supplier_listings set missed_at = missed_at - passes.hours
$$;
-- A run in which nobody answered for these, and no other was found.
create function tests.hears_nothing(external_ids text []) returns jsonb
language plpgsql as $$
begin
    perform tests.reads('{}');
    insert into private.sync_items (run_id, external_id)
    select tests.run(), n.id from unnest(external_ids) as n (id);
    for i in 1..3 loop
        perform service.record_sync_details(
            tests.run(),
            (
                select jsonb_object_agg(n.id, '{"code": "timed_out", "is_fact": false}'::jsonb)
                from unnest(external_ids) as n (id)
            )
        );
    end loop;
    return tests.takes_in();
end
$$;
-- A run that has one search, of which page 1 showed these goods.
create function tests.searches(shown text []) returns jsonb
language plpgsql as $$
begin
    perform tests.reads('{}');
    insert into private.sync_pages (run_id, keyword, category, page)
    values (tests.run(), 'Lamps', '11', 1);
    return service.record_sync_page(
        tests.run(), 'Lamps', '11', 1,
        (select jsonb_object_agg(n.id, jsonb_build_object('title_en', 'Lamp ' || n.id))
        from unnest(searches.shown) as n (id)), null
    );
end
$$;

-- Two absences, some time apart -------------------------------------------------------------------

select tests.syncs('{"a": {}, "b": {}}');
select is(
    tests.syncs('{"b": {}}') @> '{"absent": 1, "delisted": 0}', true,
    'one that is missed is counted'
);
select is(
    tests.syncs('{"b": {}}') @> '{"absent": 0, "delisted": 0}', true, 'once in a bad hour'
);
select tests.passes('11 hours');
select tests.syncs('{"b": {}}');
select is(tests.link('a'), '1 0 t', 'whatever the number of runs in it');
select tests.passes('1 hour');
select is(
    tests.syncs('{"b": {}}') @> '{"absent": 1, "delisted": 1}', true,
    'missed again half a day later'
);
select is(tests.link('a'), '2 0 f vanished', 'it goes off the shelf');
select tests.syncs('{"a": {}, "b": {}}');
select is(tests.link('a'), '0 0 t', 'found again it comes back, and nothing is held against it');
select tests.reads('{"b": {}}');
update private.sync_runs set is_scheduled = false where id = tests.run();
select tests.takes_in();
select tests.reads('{"b": {}}');
update private.sync_runs set is_scheduled = false where id = tests.run();
select is(
    tests.takes_in() @> '{"absent": 1, "delisted": 1}', true,
    'who asks for a run twice need not wait half a day between'
);
select tests.syncs('{"a": {}, "b": {}}');
update private.sync_sources set absence_limit = 3, absence_gap = '0' where platform = 'aliexpress';
select tests.syncs('{"b": {}}');
select tests.syncs('{"b": {}}');
select is(tests.link('a'), '2 0 t', 'how often and how far apart are settings');
select tests.syncs('{"b": {}}');
select is(tests.link('a'), '3 0 f vanished', 'of the platform');
update private.sync_sources set absence_limit = 2, absence_gap = '12 hours';

-- Nobody answers ----------------------------------------------------------------------------------

select tests.syncs('{"a": {}, "b": {}}');
select is(
    tests.hears_nothing('{a,b}') @> '{"absent": 0, "rejected": {"not_answered": 2}}', true,
    'what did not answer is neither there nor gone'
);
select is(tests.link('a'), '0 1 t', 'but the silence is counted');
select results_eq(
    $$select i.reasons from private.sync_items as i
    inner join private.sync_runs as r on i.run_id = r.id
    where r.ended_at = (select max(n.ended_at) from private.sync_runs as n)
        and i.external_id = 'a'$$,
    $$values ('{not_answered,timed_out}'::text [])$$, 'with what was heard instead'
);
select tests.hears_nothing('{a,b}') from generate_series(1, 3);
select is(tests.link('a'), '0 4 t', 'four times in a row it stays');
select is(
    tests.hears_nothing('{a,b}') @> '{"absent": 2, "delisted": 0}', true,
    'the fifth time it is an absence'
);
select tests.syncs('{"b": {}, "a": {}}');
select is(tests.link('a'), '0 0 t', 'an answer ends the row');
select tests.hears_nothing('{a,b}') from generate_series(1, 5);
select tests.passes('12 hours');
select is(
    tests.hears_nothing('{a,b}') @> '{"absent": 2, "delisted": 2}', true,
    'and the one after half a day takes it off'
);
select is(tests.link('a'), '2 6 f not_answered', 'with its reason');
select tests.syncs('{"a": {}, "b": {}, "c": {}}');

-- Not found in a search ---------------------------------------------------------------------------

select tests.searches('{a}');
select is(
    service.record_sync_details(tests.run(), '{}') ->> 'is_complete', 'false',
    'what is on the shelf and stood on no page is still to be read'
);
select is(
    service.claim_sync_items(tests.run(), 10) @> '[{"external_id": "b"}, {"external_id": "c"}]',
    true, 'by its id'
);
select is(
    jsonb_array_length(service.claim_sync_items(tests.run(), 10)), 3,
    'once'
);
select tests.stages('a', '{}'), tests.stages('b', '{"price": 12}');
select is(
    service.record_sync_details(
        tests.run(), '{"c": {"code": "product_gone", "is_fact": true}}'
    ),
    '{"fetched": 2, "is_complete": true}'::jsonb, 'until each has answered'
);
select is(
    tests.takes_in() @> '{"taken_in": 2, "absent": 1, "repriced": 1}', true,
    'what answers is taken in, what does not exist is absent'
);
select is(
    (
        select c.cost from private.product_costs as c
        inner join public.products as p on c.product_id = p.id where p.external_id = 'b'
    ),
    12.00, 'at its new price'
);
select tests.passes('12 hours');
select tests.searches('{a}');
select service.record_sync_details(tests.run(), '{}');
select tests.stages('a', '{}'), tests.stages('b', '{}');
update private.sync_pages set is_given_up = true where run_id = tests.run();
select service.record_sync_details(
    tests.run(), '{"c": {"code": "product_gone", "is_fact": true}}'
);
select is(
    tests.takes_in() @> '{"pages_given_up": 1, "absent": 1, "delisted": 1}', true,
    'a search that is refused every time keeps nothing on the shelf that is gone'
);
select tests.searches('{a}');
select service.record_sync_details(tests.run(), '{}');
select is(
    (
        select string_agg(i.external_id, ',' order by i.external_id)
        from private.sync_items as i where i.run_id = tests.run()
    ),
    'a,b', 'what is off the shelf is not asked for'
);
update private.sync_runs set status = 'failed', failure = 'test', ended_at = now()
where id = tests.run();

-- Batch after batch -------------------------------------------------------------------------------

update public.products set is_active = true, updated_at = now() where external_id = 'c';
update private.supplier_listings
set held_columns = '{}', absences = 1, missed_at = null, delisted_at = null, delist_reason = null;
select tests.reads('{}');
select service.decide_sync(tests.run());
select service.apply_sync(tests.run(), 10);
select is(service.finish_sync(tests.run(), 2), '{"is_done": false}', 'two absences at a time');
select is(
    (select count(*) from public.products as p where p.is_active), 1::bigint,
    'leave one for the next call'
);
select is(
    service.finish_sync(tests.run(), 2) @> '{"is_done": true, "absent": 3, "delisted": 3}', true,
    'that ends the run with all of them'
);
select is(
    (select count(*) from public.products as p where p.is_active), 0::bigint, 'taken off'
);

-- Too slow ----------------------------------------------------------------------------------------

update private.supplier_listings
set absences = 1, missed_at = null, delisted_at = null, delist_reason = null;
select set_config('mallgram.sync_run_id', 'test', true);
update public.products set is_active = true;
select set_config('mallgram.sync_run_id', '', true);
create function tests.dawdles() returns trigger
language plpgsql as $$
begin
    perform pg_sleep(0.4);
    return new;
end
$$;
create trigger products_99_dawdles before update on public.products
for each row execute function tests.dawdles();
select tests.reads('{}');
select service.decide_sync(tests.run());
select service.apply_sync(tests.run(), 10);
set local statement_timeout = '1s';
select is(
    service.finish_sync(tests.run(), 10), '{"is_done": false}',
    'a batch that takes longer than a statement may is given up'
);
set local statement_timeout = '5s';
select is(
    service.finish_sync(tests.run(), 3) @> '{"is_done": false}'
    and service.finish_sync(tests.run(), 3) @> '{"is_done": true, "delisted": 3}',
    true, 'and a smaller one taken'
);

select * from finish();
rollback;

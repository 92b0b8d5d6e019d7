-- What a person has set or deleted: the sync neither changes it nor brings it back.
begin;
\ir ../_helpers.psql
\ir _runs.psql
select plan(22);

create function tests.on_sale() returns text
language sql stable as $$
    select string_agg(p.external_id, ',' order by p.external_id)
    from public.products as p where p.is_active and p.external_id is not null
$$;
create function tests.reasons(external_id text) returns text []
language sql stable as $$
    select i.reasons from private.sync_items as i
    inner join private.sync_runs as r on i.run_id = r.id
    where i.external_id = reasons.external_id
    order by r.started_at desc, r.ended_at desc nulls first limit 1
$$;

-- Set by hand -------------------------------------------------------------------------------------

select tests.syncs('{"a": {}, "b": {}, "c": {}}');
update public.products
set price_mallgram = 99, seller_rating = 1.5, review_count = 7, supplier_id = null
where external_id = 'a';
select is(
    (select l.held_columns from private.supplier_listings as l where l.external_id = 'a'),
    '{price_mallgram,review_count,seller_rating,supplier_id}', 'what a person sets is held'
);
select tests.syncs('{"a": {"price": 20}, "b": {}, "c": {}}');
select results_eq(
    $$select p.price_mallgram, p.seller_rating, p.review_count, p.supplier_id, c.cost
    from public.products as p inner join private.product_costs as c on p.id = c.product_id
    where p.external_id = 'a'$$,
    $$values (99.00::numeric(12, 2), 1.50::numeric(3, 2), 7, null::uuid, 20.00::numeric(12, 2))$$,
    'and stays, whatever it costs now'
);
select tests.names_good('a');
select tests.act_as('ada');
select public.release_held_columns(
    tests.id('a'), '{price_mallgram,review_count,seller_rating,supplier_id}'
);
select tests.act_as_owner();
select tests.syncs('{"a": {"price": 21}, "b": {}, "c": {}}');
select results_eq(
    $$select p.price_mallgram <> 99, p.seller_rating, p.review_count, s.name
    from public.products as p inner join public.suppliers as s on p.supplier_id = s.id
    where p.external_id = 'a'$$,
    $$values (true, 4.60::numeric(3, 2), 90, 'Shop 1')$$, 'until it is given back'
);

-- Deleted by hand ---------------------------------------------------------------------------------

delete from public.products where external_id = 'b';
select is(
    tests.syncs('{"a": {}, "b": {}, "c": {}}') @> '{"new": 0, "rejected": {"removed_by_hand": 1}}',
    true, 'a product that a person has deleted is not new again the next night'
);
select is(tests.on_sale(), 'a,c', 'and is not sold');
select tests.reads('{}');
insert into private.sync_pages (run_id, keyword, category, page)
values (tests.run(), 'Lamps', '11', 1);
select service.record_sync_page(
    tests.run(), 'Lamps', '11', 1, '{"b": {"title_en": "Lamp", "image_count": 0}}', null
);
select is(
    tests.reasons('b'), '{removed_by_hand,image_missing}', 'nor even asked for in full'
);
update private.sync_runs set status = 'failed', failure = 'test', ended_at = now()
where id = tests.run();
select tests.syncs('{"a": {}, "c": {}, "d": {"aliases": ["b"]}}');
select is(tests.reasons('d'), '{removed_by_hand}', 'under another of its ids neither');
select tests.syncs('{"a": {"aliases": ["b"]}, "c": {}}');
select is(
    tests.on_sale(), 'a,c', 'what is on the shelf itself is not taken off by the one deleted'
);

-- While a run waits to be taken in
select tests.syncs('{"a": {}, "c": {}, "e": {}}');
select tests.reads('{"a": {}, "c": {}, "e": {}}');
select service.decide_sync(tests.run());
delete from public.products where external_id = 'e';
select is(
    (service.apply_sync(tests.run(), 100) ->> 'taken')::integer, 2,
    'what a person deletes while a run is being taken in is left out of it'
);
select service.finish_sync(tests.run());
select is(tests.on_sale(), 'a,c', 'and does not come back');
delete from private.supplier_refused where external_id = 'e';
select tests.syncs('{"a": {}, "c": {}, "e": {}}');
select tests.reads('{"a": {}, "c": {}, "e-new": {"aliases": ["e"]}}');
select service.decide_sync(tests.run());
delete from public.products where external_id = 'e';
select service.apply_sync(tests.run(), 100);
select service.finish_sync(tests.run());
select is(tests.on_sale(), 'a,c', 'nor under another of its ids');
select is(tests.reasons('e-new'), '{removed_by_hand}', 'which the report says');
delete from private.supplier_refused where external_id = 'e';

-- The sync's own deletions are no person's
select set_config('mallgram.sync_run_id', 'test', true);
delete from public.products where external_id = 'c';
select set_config('mallgram.sync_run_id', '', true);
select is(
    (select string_agg(r.external_id, ',') from private.supplier_refused as r), 'b',
    'only what a person deletes is refused'
);

-- Readmitted --------------------------------------------------------------------------------------

select tests.act_as_anon();
select tests.denies(
    $$select public.readmit_product('aliexpress', 'b')$$, 'a visitor readmits nothing'
);
select tests.act_as('amina');
select tests.refuses(
    $$select public.readmit_product('aliexpress', 'b')$$, 'PT403 admin_required', 'nor a shopper'
);
select tests.closed('private.supplier_refused');
select tests.act_as('ada');
select tests.refuses(
    $$select public.readmit_product('aliexpress', 'a')$$, 'PT404 product_not_found',
    'an admin only what was deleted'
);
select is(
    public.readmit_product('aliexpress', 'b'), '{"platform": "aliexpress", "external_id": "b"}',
    'which may then come back'
);
select tests.act_as_owner();
select tests.syncs('{"a": {}, "b": {}}');
select is(tests.on_sale(), 'a,b', 'with the next sync');

select * from finish();
rollback;

-- What a run takes in, and what it leaves alone: sold pieces, unknown counts, impossible goods.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir _runs.psql
select plan(41);

create function tests.pieces(external_id text) returns text
language sql stable as $$
    select string_agg(concat_ws(' ', coalesce(s.on_hand::text, '?'), s.reserved), ', ')
    from (
        select k.on_hand, k.reserved
        from public.product_stock as k
        inner join public.products as p on k.product_id = p.id
        where p.external_id = pieces.external_id
        union all
        select v.on_hand, v.reserved
        from public.product_variants as v
        inner join public.products as p on v.product_id = p.id
        where p.external_id = pieces.external_id
    ) as s
$$;

-- Sold pieces -------------------------------------------------------------------------------------

select tests.syncs(
    '{"a": {"stock": 5, "variants": [{"external_id": "a-1", "price": 10, "stock": 5}]}}'
);
select tests.names_good('a');
select tests.name_it('a-1', v.id) from public.product_variants as v where v.external_id = 'a-1';
select is(tests.pieces('a'), '5 0, 5 0', 'given a lamp of which the supplier has five');
create function tests.lamps(quantity integer) returns jsonb
language sql stable as $$
    select jsonb_build_array(
        tests.item('a', lamps.quantity) || jsonb_build_object('variant_id', tests.id('a-1'))
    )
$$;
select tests.place_order('hers', 'amina', tests.lamps(3), 'ZA');
select tests.pay('hers');
select tests.place_order('held', 'amina', tests.lamps(1), 'ZA');
select is(tests.pieces('a'), '2 1, 2 1', 'three of them sold, one held');
select tests.syncs(
    '{"a": {"stock": 5, "variants": [{"external_id": "a-1", "price": 10, "stock": 5}]}}'
);
select is(
    tests.pieces('a'), '2 1, 2 1',
    'what is sold and not yet bought at the supplier does not come back with a sync'
);
select tests.act_as('amina');
select tests.refuses(
    format('select public.place_order(%L, %L, %L, items => %L)', md5('two'), 'ZA',
        tests.address('ZA'), tests.lamps(2)),
    'PT409 stock_insufficient', 'nor can it be sold again'
);
select tests.act_as_owner();
select tests.syncs(
    '{"a": {"stock": 3, "variants": [{"external_id": "a-1", "price": 10, "stock": 2}]}}'
);
select is(
    tests.pieces('a'), '1 1, 0 1',
    'counted at fewer than are sold and held, what is held stays held'
);
update public.orders set status = 'shipped', shipped_at = now() where id = tests.id('hers');
select tests.syncs(
    '{"a": {"stock": 4, "variants": [{"external_id": "a-1", "price": 10, "stock": 4}]}}'
);
select is(
    tests.pieces('a'), '4 1, 4 1', 'once they are sent, the supplier''s count is without them'
);

-- Unknown stock -----------------------------------------------------------------------------------

select tests.syncs('{"a": {}, "b": {}}');
select is(tests.pieces('a'), '4 1, ? 1', 'a count that is not told leaves what was known');
select is(tests.pieces('b'), '0 0, ? 0', 'of a new good nothing is known, and nothing sold');
select tests.syncs('{"a": {"stock": 0}, "b": {"stock": 7}}');
select is(tests.pieces('a'), '1 1, ? 1', 'none is told, and is none but what is held');
select is(tests.pieces('b'), '7 0, ? 0', 'a count that is told is taken');
update private.sync_sources set unknown_stock = 50 where platform = 'aliexpress';
select tests.syncs('{"a": {"stock": 4}, "b": {}}');
select is(
    tests.pieces('b'), '50 0, ? 0', 'where something is assumed of what is not told, it is assumed'
);
update private.sync_sources set unknown_stock = 0;

-- What else is not told ---------------------------------------------------------------------------

create function tests.facts(external_id text) returns text
language sql stable as $$
    select concat_ws(
        ' ', coalesce(p.seller_rating::text, '?'), p.review_count, coalesce(u.external_id, '?')
    )
    from public.products as p
    left join public.suppliers as u on p.supplier_id = u.id
    where p.external_id = facts.external_id
$$;
select tests.reads('{"a": {"stock": 4}, "b": {}}');
update private.staged_products
set rating = null, seller_rating = null, review_count = null, seller_external_id = null
where run_id = tests.run();
select tests.takes_in();
select is(tests.facts('a'), '4.60 90 s1', 'what is not told this time leaves what was known');
update private.quality_rules set is_enabled = false where rule in ('reviews_few', 'orders_few');
select tests.reads('{"new": {}}');
update private.staged_products
set rating = null, seller_rating = null, review_count = null, seller_external_id = null
where run_id = tests.run();
select tests.takes_in();
select is(tests.facts('new'), '? 0 ?', 'what nobody rated has no stars, which is not none of five');
update private.quality_rules set is_enabled = true where rule in ('reviews_few', 'orders_few');
delete from public.products where external_id = 'new';
delete from private.supplier_refused;
select tests.reads('{"a": {"stock": 4}, "b": {}}');
update private.staged_products set freight = '[{"country": "ZA", "fee": 2, "currency": "EUR"}]'
where run_id = tests.run();
select tests.takes_in();
select results_eq(
    $$select f.fee, f.currency from private.product_freights as f
    inner join public.products as p on f.listing_id = p.id where p.external_id = 'a'$$,
    $$values (2.00, 'EUR')$$, 'as many euros are not as many dollars'
);

-- One bad good ------------------------------------------------------------------------------------

select is(
    tests.syncs('{"a": {"stock": 4}, "b": {"stock": 7}, "c": {"stock": 1},
        "d": {"stock": 1, "variants":
            [{"external_id": "d-1", "price": 10, "options": {"no": "list"}}]},
        "e": {"stock": 1}, "f": {"stock": 1}, "g": {"stock": 1}}')
    @> '{"taken_in": 6, "not_kept": 1, "new": 4, "absent": 0}',
    true, 'of seven goods, one that the tables refuse, six are taken in'
);
select set_eq(
    $$select p.external_id from public.products as p where p.external_id is not null$$,
    $$values ('a'), ('b'), ('c'), ('e'), ('f'), ('g')$$, 'all but that one'
);
select results_eq(
    $$select i.external_id, i.reason, i.reasons from private.sync_items as i
    where i.run_id = (select r.id from private.sync_runs as r order by r.ended_at desc limit 1)
        and i.reason is not null$$,
    $$values ('d', 'not_answered',
        array['not_kept', 'product_variants_options_are_named_values'])$$,
    'of which a person reads why'
);
select is(
    tests.syncs('{"b": {"stock": 7}, "c": {"stock": 1}, "e": {"stock": 1}, "f": {"stock": 1},
        "g": {"stock": 1}, "a": {"stock": 4, "variants":
        [{"external_id": "a-1", "price": 10, "options": {"no": "list"}}]}}')
    @> '{"taken_in": 5, "not_kept": 1, "absent": 0}',
    true, 'one that is on the shelf is not taken for gone'
);
select is(
    (
        select concat_ws(' ', l.absences, p.is_active)
        from private.supplier_listings as l
        inner join public.products as p on l.product_id = p.id
        where l.external_id = 'a'
    ),
    '0 t', 'and stays there as it was'
);

-- Variants that cannot be sold beside their listing -----------------------------------------------

select tests.syncs('{"b": {"stock": 7, "variants": [{"external_id": "b-1", "price": 10},
    {"external_id": "b-2", "price": 10000}, {"external_id": "b-3", "price": 10001},
    {"external_id": "b-4", "price": null}]}}');
select results_eq(
    $$select v.external_id, v.price_ratio, v.is_active from public.product_variants as v
    inner join public.products as p on v.product_id = p.id
    where p.external_id = 'b' order by 1$$,
    $$values ('b-1', 1.0000, true), ('b-2', 1000.0000, true)$$,
    'a variant without a price, or a thousand times dearer, is not sold at another one''s'
);
select tests.syncs('{"b": {"stock": 7, "variants": [{"external_id": "b-1", "price": 10},
    {"external_id": "b-2", "price": 10001}]}}');
select results_eq(
    $$select v.external_id, v.is_active from public.product_variants as v
    inner join public.products as p on v.product_id = p.id
    where p.external_id = 'b' order by 1$$,
    $$values ('b-1', true), ('b-2', false)$$, 'one that becomes so goes off sale'
);
select tests.names_good('b');
update public.product_variants set is_active = true where external_id = 'b-2';
update public.product_prices set amount = 90000000
where listing_id = tests.id('b') and country = 'ZA';
select results_eq(
    $$ select l.unit_price, l.problem
       from private.price_lines(
           array[tests.id('b')], '{retail}', '{1}', 'ZA',
           array(select v.id from public.product_variants as v where v.external_id = 'b-2')
       ) as l $$,
    $$ values (null::numeric(12, 2), 'product_not_sold_in_country') $$,
    'a variant dearer than a price can be has none, and takes no cart along'
);

-- What is not taken in ----------------------------------------------------------------------------

delete from private.pricing_rates where currency = 'EUR';
select is(
    tests.syncs('{"h": {"currency": "EUR"}, "i": {"title_fr": "Lampe replica"}}') -> 'rejected',
    '{"currency_unknown": 1, "title_banned": 1}',
    'goods at a price in money without a rate, or with a banned word in French'
);
select is_empty(
    $$select p.id from public.products as p where p.external_id in ('h', 'i')$$,
    'are not taken in, nor published at a cent'
);

-- A slice that was thought dead -------------------------------------------------------------------

select tests.reads('{"j": {}}');
insert into private.sync_items (run_id, external_id) values (tests.run(), 'k');
select is(
    service.decide_sync(tests.run()), '{"status": "collecting", "change_share": null}'::jsonb,
    'a run that somebody has noted more for is not decided'
);
select tests.stages('k', '{}');
select service.record_sync_details(tests.run(), '{}');
select is(service.decide_sync(tests.run()) ->> 'status', 'applying', 'it is when it is read');
select tests.name_it('run', tests.run());
select tests.act_as_service();
select tests.refuses(
    $$
    insert into private.staged_products (run_id, external_id, title, status, currency)
    values (tests.id('run'), 'j', 'Lamp j', 'selling', 'USD')
    $$,
    'PT409 sync_transition_refused', 'what is staged after the decision is refused', 'staged'
);
select tests.act_as_owner();
select is(
    (select count(*) from private.staged_products as s where s.run_id = tests.id('run')),
    2::bigint, 'and not kept'
);
select is(
    tests.takes_in() @> '{"taken_in": 2, "new": 2}', true, 'the run takes in what was decided'
);

-- By hand -----------------------------------------------------------------------------------------

select tests.names_good('j');
update public.products set name = 'By hand', is_active = false where id = tests.id('j');
select is(
    (tests.syncs('{"j": {"price": 12, "title": "Lamp, the new one"}}') ->> 'taken_in')::integer, 1,
    'given a run that has a new price and name for what a person has taken off sale'
);
select results_eq(
    $$select p.name, p.is_active, l.held_columns, c.cost
    from public.products as p
    inner join private.supplier_listings as l on p.id = l.product_id
    inner join private.product_costs as c on p.id = c.product_id
    where p.id = tests.id('j')$$,
    $$values ('By hand', false, '{is_active,name}'::text [], 12.00::numeric(12, 2))$$,
    'the hand edit stays, and is held'
);
select tests.act_as('ada');
select tests.refuses(
    format('select public.release_held_columns(tests.id(''j''), %s)', c.columns),
    'PT400 input_invalid', c.title, 'columns'
)
from (
    values ('null', 'no columns are not all of them'),
    ('array[''name'', null]', 'nor is one that is none')
) as c (columns, title);
select tests.refuses(
    format('select public.set_quality_rule(''rating_low'', %s, true)', r.bounds),
    'PT400 input_invalid', 'a quality rule is not from ' || r.bounds, 'minimum, maximum, is_enabled'
)
from (values ('''NaN'', null'), ('null, ''Infinity''')) as r (bounds);
select tests.act_as_owner();
select results_eq(
    $$select p.name, l.held_columns from public.products as p
    inner join private.supplier_listings as l on p.id = l.product_id where p.id = tests.id('j')$$,
    $$values ('By hand', '{is_active,name}'::text [])$$, 'so it is still held'
);

-- Too slow ----------------------------------------------------------------------------------------

create function tests.dawdles() returns trigger
language plpgsql as $$
begin
    perform pg_sleep(case when new.name = 'Lamp slowest' then 3 else 0.3 end);
    return new;
end
$$;
create trigger products_99_dawdles before insert on public.products
for each row execute function tests.dawdles();
select tests.reads('{"l": {}, "m": {}, "n": {}, "o": {"title": "Lamp slowest"}}');
select service.decide_sync(tests.run());
set local statement_timeout = '1s';
select is(
    service.apply_sync(tests.run(), 10), '{"taken": 0, "written": 0, "is_done": false}',
    'a batch that takes longer than a statement may is given up'
);
set local statement_timeout = '1500ms';
select is(
    service.apply_sync(tests.run(), 10) ->> 'taken', '2', 'the next one is half as large'
);
set local statement_timeout = '1s';
select service.apply_sync(tests.run(), 10);
select is(
    (select r.batch_limit from private.sync_runs as r where r.id = tests.run()), 1,
    'down to one'
);
select service.apply_sync(tests.run(), 10);
select service.apply_sync(tests.run(), 10);
select service.apply_sync(tests.run(), 10);
set local statement_timeout = 0;
select results_eq(
    $$select i.external_id, i.reasons from private.sync_items as i
    where i.run_id = tests.run() and i.reason is not null$$,
    $$values ('o', '{not_kept,too_slow}'::text [])$$,
    'which is left out when it takes as long alone'
);
select is(
    tests.takes_in() @> '{"taken_in": 3, "not_kept": 1}', true, 'and the others are taken in'
);

select * from finish();
rollback;

-- Wholesale breaks that a person has set, beside a supplier who changes the least quantity.
begin;
\ir ../_helpers.psql
\ir _runs.psql
select plan(4);

select service.record_supplier_categories('alibaba', '[{"id": "11", "name": "Lamps"}]');
select tests.act_as('ada');
select public.map_supplier_category('alibaba', '11', tests.id('lamps'));
select tests.act_as_owner();
create function tests.syncs_wholesale(minimum integer) returns jsonb
language plpgsql as $$
begin
    update private.sync_runs set started_at = started_at - interval '1 hour',
        decided_at = decided_at - interval '1 hour', ended_at = ended_at - interval '1 hour';
    perform private.start_sync('alibaba');
    insert into private.sync_items (run_id, external_id) values
    (tests.run(), 'a'), (tests.run(), 'b');
    perform tests.stages(n.id, '{"stock": 900}') from unnest('{a,b}'::text []) as n (id);
    update private.staged_products
    set min_order_quantity = syncs_wholesale.minimum
    where run_id = tests.run();
    perform service.record_sync_details(tests.run(), '{}');
    return tests.takes_in();
end
$$;

-- given two wholesale goods from two pieces on, one with a break by hand
select is(tests.syncs_wholesale(2) @> '{"taken_in": 2}', true, 'wholesale goods come');
insert into public.price_tiers (retailer_product_id, quantities, discount_percent)
select p.id, '[3,10)', 5 from public.products_retailer as p where p.external_id = 'a';

-- when the supplier sells no fewer than five
select is(
    tests.syncs_wholesale(5) @> '{"taken_in": 1, "not_kept": 1}', true,
    'a good whose break by hand does not fit any more stops no other'
);
select results_eq(
    $$select i.reasons from private.sync_items as i
    where i.external_id = 'a'
        and i.run_id = (select r.id from private.sync_runs as r order by r.ended_at desc limit 1)$$,
    $$values (array['not_kept', 'price_tier_too_low'])$$, 'a person reads why'
);
select results_eq(
    $$select p.external_id, p.min_order_quantity from public.products_retailer as p
    where p.external_id in ('a', 'b') order by 1$$,
    $$values ('a', 2), ('b', 5)$$, 'it stays as it was, and the other follows its supplier'
);

select * from finish();
rollback;

-- Batches of goods with many variants and breaks, on tables that nobody has counted yet: the
-- planner knows nothing of them, and what is written grows while a statement runs.
begin;
\ir ../_helpers.psql
select plan(16);

-- given three hundred goods in thirty variants, and as many wholesale ones with twelve breaks
select tests.make_admin('ada');
select tests.make_category('lamps', name => 'Lamps');
update private.sync_sources set next_run_at = now() + interval '1 day';
select service.record_exchange_rates(
    '{"ZAR": "17.12", "XAF": "577.07", "EUR": "0.8797"}', 'test', now()
);
insert into private.supplier_categories (platform, external_id, name, status, category_id)
select p.platform, '11', 'Lamps', 'mapped', tests.id('lamps')
from private.sync_sources as p;

create function tests.run() returns uuid
language sql security definer as $$
    select r.id from private.sync_runs as r where r.status in ('collecting', 'applying')
$$;
-- Goods of a new run, the stock of each variant as given.
create function tests.reads(platform text, stock integer) returns void
language plpgsql as $$
begin
    update private.sync_runs set started_at = started_at - interval '1 hour',
        decided_at = decided_at - interval '1 hour', ended_at = ended_at - interval '1 hour';
    perform private.start_sync(reads.platform);
    insert into private.sync_items (run_id, external_id)
    select tests.run(), to_char(n, 'FM0000') from generate_series(1, 300) as n;
    insert into private.staged_products (
        run_id, external_id, title, category_path, status, rating, review_count, order_count,
        price, currency, stock, image_urls, variants, tiers, freight, min_order_quantity,
        seller_external_id, seller_name, seller_rating
    )
    select
        tests.run(), i.external_id, 'Lamp ' || md5(i.external_id), '{11}', 'selling', 4.6, 90, 500,
        10, 'USD', 30 * reads.stock, array['https://img.example/' || i.external_id || '.jpg'],
        (
            select jsonb_agg(jsonb_build_object(
                'external_id', i.external_id || '-' || v, 'price', 10 + v % 3,
                'stock', reads.stock,
                'image_url', format('https://img.example/%s-%s.jpg', i.external_id, v),
                'options', jsonb_build_array(jsonb_build_object('name', 'Size', 'value', v::text))
            ))
            from generate_series(1, 30) as v
        ),
        case
            when reads.platform = 'alibaba' then (
                select jsonb_agg(jsonb_build_object(
                    'min_quantity', 10 * t, 'max_quantity', 10 * t + 9, 'price', 10 - 0.1 * t
                ))
                from generate_series(1, 12) as t
            )
            else '[]'
        end,
        '[{"country": "ZA", "fee": 2, "currency": "USD"}]',
        case when reads.platform = 'alibaba' then 5 else 1 end, 's1', 'Shop 1', 4.8
    from private.sync_items as i
    where i.run_id = tests.run();
    perform service.record_sync_details(tests.run(), '{}');
end
$$;
create function tests.written(relation regclass) returns bigint
language sql stable as $$
    select pg_stat_get_xact_tuples_inserted(relation) + pg_stat_get_xact_tuples_updated(relation)
        + pg_stat_get_xact_tuples_deleted(relation)
$$;

-- when the first run takes them in, in the time that the service has for a statement
select tests.reads('aliexpress', 9);
set local statement_timeout = '15s';
select is(
    service.decide_sync(tests.run()) ->> 'status', 'applying', 'the goods are judged'
);
select is(
    service.apply_sync(tests.run(), 1000),
    '{"taken": 300, "written": 300, "is_done": false}', 'a first batch of new goods ends in time'
);
select is(
    (select count(*) from public.product_variants as v where v.is_active), 9000::bigint,
    'with all their variants'
);
select service.apply_sync(tests.run(), 1000);
select service.finish_sync(tests.run());

-- then one that finds nothing new writes no variant and no piece; judged in several steps, it
-- takes nothing more in between
select tests.reads('aliexpress', 9);
update private.sync_runs as r set judged_through = '0100' where r.id = tests.run();
select is(
    service.record_sync_page(
        tests.run(), 'lamps', '11', 1, '{"late": {"title_en": "Late", "image_count": 1}}', null
    ),
    '{"found": 0}'::jsonb, 'a page that comes while a run is judged adds nothing'
);
select tests.refuses(
    $$insert into private.staged_products (run_id, external_id, title, status, currency)
    values (tests.run(), '0001', 'Late', 'selling', 'USD')$$,
    'PT409 sync_transition_refused', 'nor does a good'
);
select is(
    private.judge_sync(tests.run(), '0100', 150), '0250', 'so many goods are judged at a time'
);
update private.sync_runs as r set judged_through = null where r.id = tests.run();
select is(service.decide_sync(tests.run()) ->> 'status', 'applying', 'and all in the end');
select tests.written('public.product_variants') as variants \gset
select tests.written('public.product_stock') as pieces \gset
select service.apply_sync(tests.run(), 1000);
select is(
    array[tests.written('public.product_variants'), tests.written('public.product_stock')],
    array[:variants, :pieces]::bigint [], 'a second run writes no row of them'
);
select service.apply_sync(tests.run(), 1000);
select service.finish_sync(tests.run());

-- and one in which all have changed and some are gone takes no more at once than its rows allow
select tests.reads('aliexpress', 8);
update private.staged_products as s set variants = s.variants - 29
where s.run_id = tests.run();
update private.staged_products as s set seller_external_id = 's2', seller_name = 'Shop 2'
where s.run_id = tests.run() and s.external_id <= '0100';
update private.sync_sources set change_limit = 1;
select service.decide_sync(tests.run());
select is(
    service.apply_sync(tests.run(), 100) ->> 'taken', '34',
    'goods with many variants make a shorter batch'
);
select is(
    service.apply_sync(tests.run(), 1) ->> 'taken', '1', 'one at least'
);
select is(
    service.apply_sync(tests.run(), 1000) ->> 'taken', '265', 'and the others follow'
);
select results_eq(
    $$select v.is_active, v.on_hand, count(*) from public.product_variants as v
    group by 1, 2 order by 1, 2$$,
    $$values (false, 9, 300::bigint), (true, 8, 8700::bigint)$$,
    'each variant has its new count, what is gone is off sale'
);
select service.apply_sync(tests.run(), 1000);
select service.finish_sync(tests.run());

select results_eq(
    $$select u.name, count(*) from public.products as p
    inner join public.suppliers as u on p.supplier_id = u.id group by 1 order by 1$$,
    $$values ('Shop 1', 200::bigint), ('Shop 2', 100::bigint)$$,
    'what another seller has now is theirs'
);

-- wholesale: the breaks as well
select tests.reads('alibaba', 9);
select service.decide_sync(tests.run());
select is(
    service.apply_sync(tests.run(), 1000) ->> 'taken', '300', 'wholesale goods end in time'
);
select is(
    (select count(*) from public.price_tiers), 3600::bigint, 'with all their breaks'
);
select service.apply_sync(tests.run(), 1000);
select service.finish_sync(tests.run());
select tests.reads('alibaba', 9);
update private.staged_products as s set tiers = s.tiers - 11
where s.run_id = tests.run();
select service.decide_sync(tests.run());
select service.apply_sync(tests.run(), 1000);
select results_eq(
    $$select count(*), max(upper(t.quantities)) from public.price_tiers as t$$,
    $$values (3300::bigint, 120)$$, 'and a break that is gone goes'
);

select * from finish();
rollback;

begin;
\ir ../_helpers.psql
select plan(58);

-- given an admin, a shopper, two categories of ours and a small tree of the supplier's
select tests.make_admin('ada');
select tests.make_user('amina');
select tests.make_category('lamps', name => 'Lamps');
select tests.make_category('chairs', name => 'Chairs');
delete from private.outbox;
update private.sync_sources set next_run_at = now() + interval '1 day', change_limit = 0.3;
select service.record_exchange_rates(
    '{"ZAR": "17.12", "XAF": "577.07", "EUR": "0.8797"}', 'test', now()
);

create function tests.run() returns uuid
language sql security definer as $$
    select r.id from private.sync_runs as r order by r.started_at desc, r.id limit 1
$$;
create function tests.counts() returns jsonb
language sql security definer as $$
    select r.counts from private.sync_runs as r where r.id = tests.run()
$$;

-- categories: the supplier's tree, what is decided and what waits
select tests.act_as_service();
select is(
    service.record_supplier_categories(
        'aliexpress',
        '[{"id": "1", "parent_id": null, "name": "Home", "name_fr": "Maison"},
          {"id": "11", "parent_id": "1", "name": "Lamps", "name_fr": "Lampes"},
          {"id": "12", "parent_id": "1", "name": "Rugs", "name_fr": "Tapis"}]'
    ),
    '{"written": 3}'::jsonb, 'a tree is kept'
);
select is(
    service.record_supplier_categories(
        'aliexpress', '[{"id": "1", "parent_id": null, "name": "Home", "name_fr": "Maison"}]'
    ),
    '{"written": 0}'::jsonb, 'and again writes nothing'
);
select tests.act_as('amina');
select tests.refuses(
    $$select public.map_supplier_category('aliexpress', '11', tests.id('lamps'))$$,
    'PT403 admin_required', 'a shopper maps nothing'
);
select tests.act_as('ada');
select is(
    public.supplier_categories('aliexpress') -> 1 ->> 'suggested_category_id',
    tests.id('lamps')::text, 'the most alike name is suggested'
);
select is(
    jsonb_array_length(public.supplier_categories('aliexpress', page_size => 2)), 2,
    'a page of those that wait'
);
select is(
    public.supplier_categories(
        'aliexpress',
        cursor => public.supplier_categories('aliexpress', page_size => 2) -> 1 ->> 'cursor'
    ) -> 0 ->> 'external_id',
    '12', 'and the next one'
);
select tests.refuses(
    $$select public.supplier_categories('aliexpress', cursor => 'nonsense')$$,
    'PT400 cursor_invalid', 'only with a cursor of this list'
);
select is(
    public.map_supplier_category('aliexpress', '11', tests.id('lamps')) ->> 'status', 'mapped',
    'an admin maps a category'
);
select tests.refuses(
    $$select public.map_supplier_category('aliexpress', '99', tests.id('lamps'))$$,
    'PT404 supplier_category_not_found', 'one that the supplier does not have is not found'
);
select tests.refuses(
    $$select public.map_supplier_category('aliexpress', '11', gen_random_uuid())$$,
    'PT404 category_not_found', 'one of ours that we do not have neither'
);
select is(
    public.map_supplier_category('aliexpress', '12') ->> 'status', 'ignored',
    'without one of ours its goods are not wanted'
);

-- a run by request, one at a time
select tests.refuses(
    $$select public.request_sync('ebay')$$, 'PT400 input_invalid', 'only of a known platform'
);
select is(public.request_sync('aliexpress') ->> 'status', 'collecting', 'an admin starts a run');
select is(
    (public.request_sync('aliexpress') ->> 'id')::uuid, tests.run(), 'asked twice it is the same'
);
select tests.act_as_owner();
select is(
    (select count(*) from private.outbox as o where o.job = 'sync_products'), 1::bigint,
    'with one job'
);
select tests.refuses(
    $$update private.sync_runs set status = 'done', ended_at = now() where id = tests.run()$$,
    'PT409 sync_transition_refused', 'no run is done before it was applied', 'collecting -> done'
);
select tests.refuses(
    $$insert into private.sync_runs (platform, channel, status)
    values ('alibaba', 'wholesale', 'applying')$$,
    'PT409 sync_transition_refused', 'no run is born applying', 'applying'
);
select tests.violates(
    $$insert into private.sync_runs (platform, channel) values ('aliexpress', 'retail')$$,
    'sync_runs_platform_active_key', 'one run a platform at a time'
);

-- pages: what is wanted is planned, what a line already rules out is not asked for
select tests.act_as_service();
select is(
    service.plan_sync(tests.run(), true), '{"planned": 1, "searches": 1}'::jsonb,
    'a leaf that is not ignored is searched'
);
select is(
    service.plan_sync(tests.run(), true), '{"planned": 0, "searches": 1}'::jsonb, 'once'
);
select is(
    service.claim_sync_pages(tests.run(), 5),
    '[{"keyword": "Lamps", "category": "11", "page": 1}]'::jsonb, 'its first page is open'
);
select is(
    service.record_sync_page(
        tests.run(), 'Lamps', '11', 1,
        '{"a": {"title_en": "Lamp A", "title_fr": "Lampe A", "image_count": 1, "order_count": 500,
                "price": 10, "category_path": ["1", "11"]},
          "b": {"title_en": "Replica lamp", "image_count": 1, "order_count": 500, "price": 10,
                "category_path": ["1", "11"]},
          "c": {"title_en": "Lamp C", "image_count": 0, "order_count": 3, "price": 10,
                "category_path": ["1", "11"]},
          "d": {"title_en": "Rug D", "image_count": 1, "price": 10,
                "category_path": ["1", "12"]},
          "e": {"title_en": "Lamp E", "image_count": 1, "price": 10,
                "category_path": ["1", "11"]},
          "f": {"title_en": "Lamp F", "image_count": 1, "order_count": 500, "price": 10,
                "category_path": ["1", "11"]}}',
        null
    ),
    '{"found": 6}'::jsonb, 'a page is kept'
);
select tests.act_as_owner();
select results_eq(
    $$select i.external_id, i.reason, i.reasons from private.sync_items as i
    where i.run_id = tests.run() and i.reason is not null order by i.external_id$$,
    $$
    values
    ('b', 'title_banned', array['title_banned']),
    ('c', 'image_missing', array['image_missing', 'orders_few']),
    ('d', 'category_ignored', array['category_ignored'])
    $$,
    'each that is ruled out has its reasons, what is not known is none'
);
select tests.act_as_service();
select is(
    service.claim_sync_items(tests.run(), 5) #>> '{0,external_id}', 'a', 'the others are asked for'
);
select is(
    service.claim_sync_items(tests.run(), 5) -> 0 -> 'countries', '["ZA", "CM"]'::jsonb,
    'with the freight to all countries'
);
select tests.act_as_owner();
insert into private.supplier_freight (platform, external_id, country, fee, currency, asked_at)
values
('aliexpress', 'a', 'ZA', 2, 'USD', now() - interval '6 days'),
('aliexpress', 'a', 'CM', 2, 'USD', now() - interval '7 days');
select is(
    service.claim_sync_items(tests.run(), 5) -> 0 -> 'countries', '["CM"]'::jsonb,
    'but what was asked within the week'
);
delete from private.supplier_freight;
select tests.act_as_service();

-- staging: INSERT and nothing else
select tests.denies('select external_id from private.staged_products', 'the service reads nothing');
insert into private.staged_products (
    run_id, external_id, title, category_path, status, rating, review_count, order_count, price,
    currency, stock, image_urls, variants, freight, seller_external_id, seller_name, seller_rating
)
select
    tests.run(), v.id, v.title, '{1,11}', v.status, v.rating, v.reviews, 500, v.price, 'USD',
    v.stock, array['https://img.example/' || v.id || '.jpg'],
    jsonb_build_array(jsonb_build_object('external_id', v.id || '-1', 'price', v.price)),
    '[{"country": "ZA", "fee": 2, "currency": "USD"}, {"country": "CM", "fee": null}]',
    's1', 'Shop 1', 4.8
from (
    values
    ('a', 'Lamp A', 'selling', 4.6, 90, 10.00, 30),
    ('a', 'Lamp A, newer', 'selling', 4.6, 90, 11.00, 30),
    ('e', 'Lamp E', 'selling', 2.0, 3, 12.00, null),
    ('f', 'Lamp F', 'selling', 3.1, 90, 9.00, 5)
) as v (id, title, status, rating, reviews, price, stock);
select is(
    service.record_sync_details(tests.run(), '{}'), '{"fetched": 3, "is_complete": true}'::jsonb,
    'what is staged is marked, twice staged once'
);

-- deciding and taking in
select is(
    service.decide_sync(tests.run()) ->> 'status', 'applying', 'a first run changes nothing live'
);
select is(
    service.decide_sync(tests.run()) -> 'status', 'null'::jsonb, 'a run is decided once'
);
select tests.act_as_owner();
select results_eq(
    $$select i.external_id, i.reason from private.sync_items as i
    where i.run_id = tests.run() and i.is_fetched order by i.external_id$$,
    $$values ('a', null), ('e', 'reviews_few'), ('f', 'rating_low')$$,
    'a bad rating by three people is no bad rating, but three reviews are few'
);
select tests.act_as_service();
select is(
    service.apply_sync(tests.run(), 10) ->> 'taken', '1', 'what is good is taken in'
);
select is(service.apply_sync(tests.run(), 10) ->> 'is_done', 'true', 'until nothing is left');
select is(
    service.finish_sync(tests.run()) -> 'rejected',
    '{"title_banned": 1, "image_missing": 1, "category_ignored": 1, "reviews_few": 1,
      "rating_low": 1}'::jsonb,
    'the report counts every reason'
);
select is(service.finish_sync(tests.run()), null, 'once');
select tests.act_as_owner();
select results_eq(
    $$select p.name, p.name_fr, p.category_id, k.on_hand, c.cost
    from public.products as p
    inner join public.product_stock as k on p.id = k.product_id
    inner join private.product_costs as c on p.id = c.listing_id
    where p.external_id = 'a'$$,
    $$values ('Lamp A, newer', 'Lampe A', tests.id('lamps'), 30, 11.00::numeric(12, 2))$$,
    'as it was staged last'
);
select results_eq(
    $$select a.country from public.product_prices as a
    inner join public.products as p on a.product_id = p.id where p.external_id = 'a'$$,
    $$values ('ZA')$$, 'for sale only where it is sent to'
);

-- by hand
update public.products set name = 'By hand' where external_id = 'a';
select is(
    (select l.held_columns from private.supplier_listings as l where l.external_id = 'a'),
    '{name}', 'what a person changes is held'
);
select tests.name_it('lamp', (select p.id from public.products as p where p.external_id = 'a'));
select tests.act_as('ada');
select is(
    public.release_held_columns(tests.id('lamp'), '{name}'), '{"held_columns": []}'::jsonb,
    'until an admin gives it back'
);
select tests.refuses(
    $$select public.release_held_columns(gen_random_uuid(), '{name}')$$,
    'PT404 product_not_found', 'of a product that came from a supplier'
);

-- what was found once too seldom
select tests.act_as_owner();
create function tests.empty_run() returns jsonb
language plpgsql security definer as $$
begin
    perform private.start_sync('aliexpress');
    perform service.decide_sync(r.id), service.finish_sync(r.id)
    from private.sync_runs as r where r.status = 'collecting';
    return (
        select r.counts from private.sync_runs as r order by r.ended_at desc nulls last limit 1
    );
end
$$;
update private.sync_runs set started_at = started_at - interval '2 hours',
    ended_at = ended_at - interval '2 hours';
select is(tests.empty_run() -> 'absent', '1'::jsonb, 'a run that does not find it counts');
select is(
    (select p.is_active from public.products as p where p.external_id = 'a'), true,
    'once is not enough'
);
update private.sync_runs set started_at = started_at - interval '1 hour',
    ended_at = ended_at - interval '1 hour';
update private.supplier_listings set missed_at = missed_at - interval '1 day';
select is(tests.empty_run() -> 'delisted', '1'::jsonb, 'twice takes it off');
select results_eq(
    $$select p.is_active, l.delist_reason, l.held_columns from public.products as p
    inner join private.supplier_listings as l on p.id = l.product_id
    where p.external_id = 'a'$$,
    $$values (false, 'vanished', '{}'::text [])$$, 'with its reason, and not as if by hand'
);

-- rules and rejections, for admins
select tests.act_as('ada');
select is(
    public.set_quality_rule('rating_low', 3.0, null, true) ->> 'minimum', '3.0', 'a rule is changed'
);
select is(jsonb_array_length(public.quality_rules()), 9, 'and read');
select tests.refuses(
    $$select public.set_quality_rule('no_such_rule', 1, null, true)$$,
    'PT404 quality_rule_not_found', 'only one that there is'
);
select tests.refuses(
    $$select public.set_quality_rule('rating_low', 5, 1, true)$$,
    'PT400 input_invalid', 'and not to an empty range'
);
select is(jsonb_array_length(public.sync_runs('aliexpress')), 3, 'an admin sees the runs');
select is(
    public.sync_rejections(
        (public.sync_runs('aliexpress') -> 2 ->> 'id')::uuid, 'rating_low'
    ) -> 0 ->> 'external_id',
    'f', 'and what was rejected, by reason'
);
select tests.refuses(
    $$select public.review_sync_run(gen_random_uuid(), 'approve')$$,
    'PT404 sync_run_not_found', 'a run that there is not is not reviewed'
);
select tests.refuses(
    $$select public.review_sync_run(tests.run(), 'approve')$$,
    'PT409 sync_run_not_waiting', 'nor one that has ended', 'done'
);

-- a run that waits
select tests.act_as_owner();
select private.start_sync('alibaba');
update private.sync_runs set status = 'waiting', decided_at = now() where platform = 'alibaba';
delete from private.outbox;
select tests.name_it('waiting', (select r.id from private.sync_runs as r where r.status = 'waiting'));
select tests.act_as('ada');
select tests.refuses(
    $$select public.review_sync_run(tests.id('waiting'), 'perhaps')$$,
    'PT400 input_invalid', 'a decision is approve or discard', 'decision'
);
select is(
    public.review_sync_run(tests.id('waiting'), 'approve', 'Seen') ->> 'status', 'applying',
    'approved it goes on'
);
select tests.act_as_owner();
select is(
    (select count(*) from private.outbox as o where o.job = 'sync_products'), 1::bigint,
    'with a job'
);
select tests.act_as('amina');
select tests.refuses(
    'select public.' || call, 'PT403 admin_required', 'a shopper calls no ' || call
)
from unnest(array[
    'sync_runs()', 'request_sync(''aliexpress'')', 'quality_rules()'
]) as call;

select * from finish();
rollback;

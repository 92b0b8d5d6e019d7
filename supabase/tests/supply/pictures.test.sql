begin;
\ir ../_helpers.psql
select plan(18);

-- given a product of a supplier with two pictures, one of them also that of a variant
delete from private.supplier_pictures;
select tests.make_product('lamp');
insert into private.supplier_listings (product_id, platform, external_id)
values (tests.id('lamp'), 'aliexpress', 'lamp');
insert into private.supplier_pictures (listing_id, position, source_url)
values
(tests.id('lamp'), 0, 'https://img.example/0.jpg'),
(tests.id('lamp'), 100, 'https://img.example/red.jpg');
insert into public.product_variants (product_id, external_id) values (tests.id('lamp'), 'red');
insert into private.product_variant_sources (variant_id, image_url)
select v.id, 'https://img.example/red.jpg' from public.product_variants as v
where v.product_id = tests.id('lamp');

create function tests.copied("position" integer, name text) returns jsonb
language sql as $$
    select service.record_picture(
        tests.id('lamp'), copied.position, 'https://img.example/' || copied.name || '.jpg',
        'products/sync/' || copied.name || '.jpg', 64, 48, 1000, repeat('a', 64)
    )
$$;

-- claiming is a lease
select tests.act_as_service();
select is(jsonb_array_length(service.claim_pictures(5)), 2, 'what waits is claimed');
select is(service.claim_pictures(5), '[]'::jsonb, 'by one at a time');

-- copied: shown, by the variant as well; the product's stock is locked before, as orders do it
select tests.act_as_owner();
select is(
    (select k.xmax::text from public.product_stock as k where k.listing_id = tests.id('lamp')),
    '0', 'given stock that nobody has locked'
);
select tests.act_as_service();
select is(tests.copied(0, '0'), '{"is_shown": true}'::jsonb, 'a copied picture is shown');
select is(tests.copied(0, '0'), '{"is_shown": true}'::jsonb, 'again it is the same');
select is(tests.copied(100, 'red'), '{"is_shown": true}'::jsonb, 'that of a variant too');
select is(
    tests.copied(0, 'other'), '{"is_shown": false}'::jsonb,
    'one that the supplier has taken back meanwhile is not'
);
select tests.act_as_owner();
select is(
    (select k.xmax::text from public.product_stock as k where k.listing_id = tests.id('lamp')),
    txid_current()::text, 'whoever records a picture holds the stock'
);
select results_eq(
    $$select m.position::integer, m.storage_path, m.alt, m.width from public.product_media as m
    where m.product_id = tests.id('lamp') order by m.position$$,
    $$
    values
    (0, 'products/sync/0.jpg', 'lamp', 64), (100, 'products/sync/red.jpg', 'lamp', 64)
    $$,
    'each in its place'
);
select is(
    (
        select m.storage_path from public.product_variants as v
        inner join public.product_media as m on v.media_id = m.id
        where v.product_id = tests.id('lamp')
    ),
    'products/sync/red.jpg', 'the variant shows its own'
);

-- by hand
update public.product_media set storage_path = 'products/hand.jpg'
where product_id = tests.id('lamp') and position = 0;
select is(
    tests.copied(0, '0'), '{"is_shown": false}'::jsonb, 'a picture put there by hand stays'
);

-- failing: later, then never
insert into private.supplier_pictures (listing_id, position, source_url)
values (tests.id('lamp'), 1, 'https://img.example/1.jpg');
select tests.act_as_service();
select is(
    service.record_picture_failed(
        tests.id('lamp'), 1, 'https://img.example/1.jpg', 'timed_out', false
    ),
    '{"status": "waiting"}'::jsonb, 'one that did not answer waits'
);
select is(service.claim_pictures(5), '[]'::jsonb, 'for a while');
select is(
    service.record_picture_failed(
        tests.id('lamp'), 1, 'https://img.example/1.jpg', 'picture_missing', true
    ),
    '{"status": "failed"}'::jsonb, 'one that is lost is given up'
);
select is(service.continue_pictures(), '{"is_planned": false}'::jsonb, 'and nothing is planned');

-- while more wait, one job plans the next, and only one
select tests.act_as_owner();
update private.supplier_pictures set status = 'waiting', next_try_at = now();
delete from private.outbox where job = 'copy_pictures';
insert into private.outbox (job, args) values ('copy_pictures', '{}');
select tests.act_as_service();
select is(service.continue_pictures(), '{"is_planned": true}'::jsonb, 'the next is planned');
select is(
    service.continue_pictures(), '{"is_planned": false}'::jsonb,
    'a second beside it is not'
);
select tests.act_as_owner();
select is(
    (select count(*) from private.outbox as o where o.job = 'copy_pictures'), 2::bigint,
    'the one that asked and the one after it'
);

select * from finish();
rollback;

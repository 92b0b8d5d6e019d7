-- Pictures that the supplier takes away, and variants that come to show another.
begin;
\ir ../_helpers.psql
\ir _runs.psql
select plan(29);

delete from private.supplier_pictures;
create function tests.url(name text) returns text
language sql immutable as $$ select 'https://img.example/' || url.name || '.jpg' $$;
create function tests.path(name text) returns text
language sql stable as $$
    select format('products/sync/%s/%s.jpg', tests.id('a'), path.name)
$$;
-- A run that finds the lamp with these pictures, and one variant with this one.
create function tests.shows(images text [], variant text default null) returns jsonb
language sql as $$
    select tests.syncs(jsonb_build_object('a', jsonb_build_object(
        'images', array(
            select tests.url(i.name) from unnest(images) with ordinality as i (name, place)
            order by i.place
        ),
        'variants', jsonb_build_array(jsonb_build_object(
            'external_id', 'a-1', 'price', 10, 'image_url', tests.url(variant)
        ))
    )))
$$;
-- The job copies whatever waits, each file under the name that the supplier gave it.
create function tests.copies() returns text
language sql as $$
    select string_agg(c.name, ',' order by c.name)
    from (
        select substring(p ->> 'source_url' from '([^/]+)[.]jpg$') as name
        from jsonb_array_elements(service.claim_pictures(20)) as p
        cross join lateral (
            select service.record_picture(
                (p ->> 'listing_id')::uuid, (p ->> 'position')::integer, p ->> 'source_url',
                tests.path(substring(p ->> 'source_url' from '([^/]+)[.]jpg$')), 64, 48, 1000,
                repeat('a', 64)
            )
        ) as r
    ) as c
$$;
create function tests.gallery() returns text
language sql stable as $$
    select string_agg(
        m.position || ' ' || substring(m.storage_path from '([^/]+)[.]jpg$'), ', '
        order by m.position
    )
    from public.product_media as m where m.listing_id = tests.id('a')
$$;
create function tests.of_variant() returns text
language sql stable as $$
    select substring(m.storage_path from '([^/]+)[.]jpg$')
    from public.product_variants as v
    left join public.product_media as m on v.media_id = m.id
    where v.listing_id = tests.id('a')
$$;

-- given a lamp with four pictures, and a variant that shows one of them
select tests.syncs('{"a": {}}');
select tests.names_good('a');
select tests.shows('{front,back,red,box}', 'red');
select is(tests.copies(), 'back,box,front,red', 'given a lamp whose pictures are copied');
select is(tests.gallery(), '0 front, 1 back, 2 red, 3 box', 'which the product shows');
select is(tests.of_variant(), 'red', 'and its variant');
insert into public.product_media (product_id, position, storage_path)
values (tests.id('a'), 50, 'products/hand.jpg');

-- taken away
select is(
    tests.shows('{front,back}', 'red') @> '{"pictures": 3}', true,
    'pictures that the supplier takes away are noted, and one that moves'
);
select is(
    (select count(*) from private.outbox as o where o.job = 'copy_pictures' and o.done_at is null)
    > 0, true, 'with a job'
);
select tests.act_as_service();
select is(service.drop_gone_pictures(5), '{"dropped": 2}', 'they go');
select is(service.drop_gone_pictures(5), '{"dropped": 0}', 'once');
select tests.act_as_owner();
select is(
    tests.gallery(), '0 front, 1 back, 50 hand',
    'the product shows what is left, and what a person has added'
);
select is(tests.of_variant(), null, 'the variant waits for its own');
select is(tests.copies(), 'red', 'which is copied to where it stands now');
select is(tests.of_variant(), 'red', 'and shown by the variant');
select tests.shows('{front,back}', 'red');
select is(tests.copies(), null, 'the same again and nothing is to be copied');

-- the files
select results_eq(
    'select f.storage_path from private.picture_leftovers as f order by 1',
    $$ select tests.path(n) from unnest(array['box']) as n $$,
    'a file that no product shows is left over, one that is shown again is not'
);
select tests.act_as_service();
select is(
    service.claim_picture_leftovers(5), jsonb_build_array(tests.path('box')), 'it is claimed'
);
select is(service.claim_picture_leftovers(5), '[]'::jsonb, 'by one at a time');
select tests.act_as_owner();
select tests.shows('{front,back,box}', 'red');
select is(tests.copies(), 'box', 'copied again while it is being removed');
select is(
    tests.gallery(), '0 front, 1 back, 50 hand, 100 red', 'it is not shown: its file may be going'
);
select tests.act_as_service();
select is(
    service.record_pictures_removed(array[tests.path('box')]), '{"removed": 1}', 'once it is gone'
);
select tests.act_as_owner();
update private.picture_leftovers set claimed_at = now() - interval '11 minutes';
update private.supplier_pictures set next_try_at = now();
select is(tests.copies(), 'box', 'it is copied anew');
select is(
    tests.gallery(), '0 front, 1 back, 2 box, 50 hand, 100 red', 'and shown'
);
select is(
    (select count(*) from private.picture_leftovers), 0::bigint, 'and no longer left over'
);

-- a variant whose picture is another one now, copied long ago
select tests.shows('{front,back,box}', 'back');
select is(tests.copies(), 'back', 'a variant with another picture has it looked at again');
select is(tests.of_variant(), 'back', 'and shows it');
update public.product_variants as v set media_id = m.id
from public.product_media as m
where v.listing_id = tests.id('a') and m.listing_id = tests.id('a') and m.position = 0;
select tests.shows('{front,back,box}', 'back'), tests.copies();
select is(tests.of_variant(), 'front', 'one that a person has chosen stays');

-- a new variant with a picture that was copied long ago
select tests.syncs(jsonb_build_object('a', jsonb_build_object(
    'images', array[tests.url('front'), tests.url('back'), tests.url('box')],
    'variants', format(
        '[{"external_id": "a-1", "price": 10, "image_url": "%s"},
          {"external_id": "a-2", "price": 10, "image_url": "%s"}]',
        tests.url('back'), tests.url('box')
    )::jsonb
)));
select is(tests.copies(), 'box', 'a new variant has its picture looked at again');
select is(
    (
        select substring(m.storage_path from '([^/]+)[.]jpg$')
        from public.product_variants as v
        inner join public.product_media as m on v.media_id = m.id
        where v.external_id = 'a-2'
    ),
    'box', 'and shows it'
);

-- a deleted product leaves no file behind
delete from public.products where id = tests.id('a');
select results_eq(
    $$ select substring(f.storage_path from '([^/]+)[.]jpg$')
       from private.picture_leftovers as f order by 1 $$,
    $$ values ('back'), ('box'), ('front'), ('red') $$, 'the files of a deleted product go too'
);

-- what never answers
select tests.syncs('{"b": {}}');
select tests.act_as_service();
select jsonb_array_length(service.claim_pictures(5));
select tests.act_as_owner();
update private.supplier_pictures set tries = 12, next_try_at = now();
insert into private.supplier_pictures (listing_id, position, source_url, next_try_at)
select p.listing_id, 1, p.source_url, now() + interval '1 hour'
from private.supplier_pictures as p;
update private.supplier_pictures set next_try_at = now() where tries = 0;
select tests.act_as_service();
select is(
    jsonb_array_length(service.claim_pictures(1)), 1,
    'a picture that stopped its job twelve times does not hold up the next'
);
select tests.act_as_owner();
select results_eq(
    'select p.status, p.failure from private.supplier_pictures as p order by p.position',
    $$ values ('failed', 'never_answered'), ('waiting', null) $$, 'and is given up'
);

select * from finish();
rollback;

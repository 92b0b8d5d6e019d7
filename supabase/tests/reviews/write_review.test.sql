-- Reviews: only of what was delivered to their author, one a product, seen by others once approved.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir _delivered.psql
select plan(53);

-- given amina, to whom shoes and a box were delivered, and who waits for a lamp; and bongani
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.make_product('lamp');
select tests.make_wholesale_product('box');
select tests.place_order(
    'order', 'amina', jsonb_build_array(tests.item('shoe', 1), tests.item('box', 10))
);
select tests.deliver('order');
select tests.place_order('open', 'amina', jsonb_build_array(tests.item('lamp', 1)));
select tests.place_order('his', 'bongani', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select tests.deliver('his');

create function tests.stars(listing text) returns text
language sql stable security definer as $$
    select format(
        '%s (%s): %s %s %s %s %s', coalesce(r.rating::text, 'none'), r.review_count, r.stars_1,
        r.stars_2, r.stars_3, r.stars_4, r.stars_5
    )
    from public.product_ratings as r where r.listing_id = tests.id(stars.listing)
$$;
create function tests.review(name text, line_number integer default 1)
returns public.product_reviews
language sql stable security definer as $$
    select r
    from public.product_reviews as r
    where r.order_item_id = tests.line(review.name, review.line_number)
$$;

-- What cannot be reviewed -------------------------------------------------------------------------

select tests.remember();
select tests.act_as('amina');
select tests.refuses(
    format('select public.write_review(%L, 5)', tests.line('open')),
    'PT409 review_not_delivered', 'what is not delivered yet is not reviewed',
    tests.line('open')::text
);
select tests.refuses(
    format('select public.write_review(%L, 5)', tests.line('his')),
    'PT404 order_item_not_found', 'nor a line of somebody else''s order', tests.line('his')::text
);
select tests.refuses(
    'select public.write_review(gen_random_uuid(), 5)', 'PT404 order_item_not_found',
    'nor a line that is not there'
);
select tests.refuses(
    format('select public.write_review(%L, %s)', tests.line('order'), a.arguments),
    a.refusal, a.title, a.detail
)
from (
    values
    ('0', 'PT400 review_invalid', 'rating', 'no review has no stars'),
    ('6', 'PT400 review_invalid', 'rating', 'nor six'),
    ('null', 'PT400 review_invalid', 'rating', 'nor none'),
    ($s$5, E'a\nb'$s$, 'PT400 review_invalid', 'title', 'a title is one line'),
    ('5, repeat(''a'', 121)', 'PT400 review_invalid', 'title', 'of at most 120 characters'),
    ($s$5, null, E'a\u0007b'$s$, 'PT400 review_invalid', 'body',
        'a text has no control characters'),
    ('5, null, repeat(''a'', 4001)', 'PT400 review_invalid', 'body', 'and at most 4000 characters'),
    ('5, null, null, ''de''', 'PT400 language_unknown', 'de', 'it is in a language of the shop'),
    ('5, null, ''mine is 4111 1111 1111 1111''', 'PT400 card_number_refused', '',
        'and without a card number')
) as a (arguments, refusal, detail, title);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    format('select public.write_review(%L, 5)', tests.line('order')),
    'PT401 authentication_required', 'nobody reviews nothing'
);
select tests.refuses(
    'select public.my_reviews()', 'PT401 authentication_required', 'and nobody has reviews'
);
select tests.refuses(
    'select public.delete_review(gen_random_uuid())', 'PT401 authentication_required',
    'nor takes one away'
);
select tests.act_as_owner();
select tests.nothing_changed('and nothing was written');

-- Writing -----------------------------------------------------------------------------------------

select tests.act_as('amina');
select results_eq(
    format(
        $$ select r.product_id, r.channel, r.rating, r.title, r.body, r.language, r.author_name,
               r.order_item_id, r.status, r.note
           from public.write_review(%L, 4, '  Très jolies ', E' Un peu petites.\r\n\tSinon bien. ')
               as r $$,
        tests.line('order')
    ),
    $$ values (
           tests.id('shoe'), 'retail'::public.product_channel, 4::smallint, 'Très jolies',
           E'Un peu petites.\n Sinon bien.', 'fr', 'Amina', tests.line('order'),
           'pending'::public.review_status, null::text
       ) $$,
    'she reviews what was delivered, in her language, by her first name'
);
select is((tests.review('order')).id, (select r.review_id from public.my_reviews() as r),
    'it is hers');
select is(tests.stars('shoe'), null, 'and counts nowhere while it is pending');
select tests.act_as_anon();
select is_empty(
    $$ select r.id from public.product_reviews as r where r.listing_id = tests.id('shoe') $$,
    'others do not see it'
);
select is_empty($$ select public.list_reviews(tests.id('shoe')) $$, 'in no list');

select tests.act_as('amina');
select results_eq(
    format(
        $$ select r.product_id, r.channel, r.rating, r.title, r.body, r.language
           from public.write_review(%L, 5, '', ' ', 'en') as r $$,
        tests.line('order', 2)
    ),
    $$ values (
           tests.id('box'), 'wholesale'::public.product_channel, 5::smallint, null::text,
           null::text, 'en'
       ) $$,
    'stars alone are a review, of goods in bulk as well'
);
select is((select count(*) from public.my_reviews()), 2::bigint, 'each line has its own');

-- Approved, changed, taken away -------------------------------------------------------------------

select tests.act_as('chioma');
select is(
    tests.approve((tests.review('order')).id), 'approved', 'given an admin approves one'
);
select is(tests.stars('shoe'), '4.00 (1): 0 0 0 1 0', 'then its stars count');
select tests.act_as('amina');
select is(
    (public.write_review(
        tests.line('order'), 4, 'Très jolies', E'Un peu petites.\n Sinon bien.'
    )).status::text,
    'approved', 'said again it stays as it is'
);
select is(
    (public.write_review(tests.line('order'), 2, 'Déchirées', 'Au bout de deux jours.')).status,
    'pending', 'changed it goes before an admin again'
);
select is(tests.stars('shoe'), 'none (0): 0 0 0 0 0', 'and counts no longer');
select results_eq(
    $$ select r.moderated_by, r.moderated_at, r.note, r.created_at = r.updated_at
       from tests.review('order') as r $$,
    $$ values (null::uuid, null::timestamptz, null::text, true) $$,
    'nothing is left of the decision'
);
select tests.act_as('bongani');
select is(
    (public.write_review(tests.line('his'), 5)).author_name, 'Bongani', 'given he reviews as well'
);
select tests.act_as('chioma');
select tests.approve((tests.review('order')).id);
select tests.approve((tests.review('his')).id);
select is(tests.stars('shoe'), '3.50 (2): 0 1 0 0 1', 'stars are the mean of what is approved');
select tests.act_as('bongani');
select public.delete_review((tests.review('order')).id);
select is(tests.stars('shoe'), '3.50 (2): 0 1 0 0 1', 'nobody takes away another''s review');
select public.delete_review((tests.review('his')).id);
select is(tests.stars('shoe'), '2.00 (1): 0 1 0 0 0', 'his own he does');
select lives_ok('select public.delete_review(gen_random_uuid())', 'what is not there is gone');
select is((tests.review('his')).id, null, 'it is gone');

-- One buyer has one opinion of a product, whatever they bought of it -----------------------------

select tests.act_as_owner();
insert into public.product_variants (id, product_id, external_id)
select tests.name_it(n, gen_random_uuid()), tests.id('shoe'), n
from unnest(array['small', 'large']) as n;
select tests.place_order(
    'again', 'bongani', jsonb_build_array(
        tests.item('shoe', 1) || jsonb_build_object('variant_id', tests.id('small')),
        tests.item('shoe', 1) || jsonb_build_object('variant_id', tests.id('large'))
    ), 'ZA'
);
select tests.deliver('again');
select tests.act_as('bongani');
select is(
    (
        select count(distinct w.review_id)
        from (
            values
            (tests.line('his'), 5), (tests.line('again'), 5), (tests.line('again', 2), 1)
        ) as l (id, stars)
        cross join lateral public.write_review(l.id, l.stars) as w
    ),
    1::bigint, 'three lines of one product are one review'
);
select results_eq(
    'select r.rating, r.order_item_id from public.my_reviews() as r',
    $$values (1::smallint, tests.line('again', 2))$$, 'as it was written last'
);
select tests.act_as('chioma');
select tests.approve((tests.review('again', 2)).id);
select is(tests.stars('shoe'), '1.50 (2): 1 1 0 0 0', 'and count once');
select tests.act_as('bongani');
select is(
    (public.write_review(tests.line('his'), 1)).status::text, 'approved',
    'the same for another line is the same'
);
select public.delete_review((tests.review('again', 2)).id);
select tests.act_as_owner();
select is((tests.review('again', 2)).id, null, 'taken away it is gone');
select tests.violates(
    $$
    insert into public.product_reviews (order_item_id, user_id, product_id, rating, language)
    values (tests.line('his'), tests.id('amina'), tests.id('shoe'), 5, 'en')
    $$,
    'product_reviews_user_id_listing_id_key', 'nobody has two'
);

-- How often ---------------------------------------------------------------------------------------

select tests.act_as_owner();
update private.rate_limits set tokens = 0 where action = 'review';
select tests.act_as('amina');
select tests.refuses(
    format('select public.write_review(%L, 5)', tests.line('order')),
    'PGRST rate_limit_exceeded', 'whoever writes all the time waits'
);

-- What cannot be ----------------------------------------------------------------------------------

select tests.act_as_owner();
create table tests.breaks (constraint_name text, assignment text, title text);
insert into tests.breaks values
('product_reviews_points_at_one_product', 'retailer_product_id = tests.id(''box'')',
    'a review of two products'),
('product_reviews_rating_is_stars', 'rating = 6', 'six stars'),
('product_reviews_title_is_one_line', 'title = E''a\nb''', 'a title of two lines'),
('product_reviews_body_is_text', 'body = ''''', 'an empty text'),
('product_reviews_language_is_known', 'language = ''de''', 'a review in German'),
('product_reviews_author_name_is_one_line', 'author_name = E''a\nb''', 'an author of two lines'),
('product_reviews_note_is_one_line', 'note = E''a\nb''', 'a note of two lines'),
('product_reviews_holds_no_card_number', 'title = ''4111111111111111''', 'a card number'),
('product_reviews_decision_has_admin_and_time', 'moderated_by = null', 'a decision of nobody'),
('product_reviews_rejected_has_note', 'status = ''rejected''', 'a rejection without a reason');
select tests.violates(
    format('update public.product_reviews set %s where id = %L', b.assignment,
        (tests.review('order')).id),
    b.constraint_name, b.title || ' cannot be'
)
from tests.breaks as b;
select set_eq(
    $$ select c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid = 'public.product_reviews'::regclass and c.contype = 'c' $$,
    $$ select b.constraint_name from tests.breaks as b $$,
    'these are all its rules'
);

select * from finish();
rollback;

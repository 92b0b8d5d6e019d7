-- An admin approves or rejects what buyers write; the author is told, the stars follow.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir _delivered.psql
select plan(40);

-- given two reviews of delivered goods, written one after the other
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.place_order('hers', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.deliver('hers');
select tests.place_order('his', 'bongani', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select tests.deliver('his');
select tests.make_review('good', 'amina', 'hers', 5, 'Bien');
select tests.make_review('rude', 'bongani', 'his', 1, 'Rude');
delete from public.notifications;
alter table public.product_reviews disable trigger product_reviews_10_update_updated_at;
update public.product_reviews set updated_at = now() - interval '1 hour'
where id = tests.id('rude');
alter table public.product_reviews enable trigger product_reviews_10_update_updated_at;

create function tests.told(recipient text) returns text
language sql stable security definer as $$
    select string_agg(n.kind || ' ' || coalesce(n.data ->> 'note', '-'), ', ' order by n.kind)
    from public.notifications as n where n.user_id = tests.id(told.recipient)
$$;
create function tests.rating() returns text
language sql stable security definer as $$
    select concat_ws(' of ', r.rating, r.review_count)
    from public.product_ratings as r where r.listing_id = tests.id('shoe')
$$;

-- Who may not -------------------------------------------------------------------------------------

select tests.remember();
select tests.act_as('amina');
select tests.refuses('select public.reviews()', 'PT403 admin_required', 'a buyer has no queue');
select tests.refuses(
    $$ select public.moderate_review(tests.id('good'), 'approved') $$, 'PT403 admin_required',
    'and does not approve her own'
);
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    $$ select public.moderate_review(tests.id('good'), 'approved') $$,
    'PT401 authentication_required', 'nobody approves nothing'
);
select tests.act_as('chioma');
select tests.refuses(
    format('select public.moderate_review(%s)', a.arguments), a.refusal, a.title, a.detail
)
from (
    values
    ('gen_random_uuid(), ''approved''', 'PT404 review_not_found', null,
        'a review that is not there'),
    ('tests.id(''good''), ''maybe''', 'PT400 input_invalid', 'decision', 'a decision between two'),
    ('tests.id(''good''), null', 'PT400 input_invalid', 'decision', 'no decision'),
    ('tests.id(''rude''), ''rejected''', 'PT400 reason_invalid', null,
        'a rejection that does not say why'),
    ('tests.id(''rude''), ''rejected'', E''a\nb''', 'PT400 reason_invalid', E'a\nb',
        'a reason of two lines'),
    ('tests.id(''rude''), ''rejected'', ''4111 1111 1111 1111''', 'PT400 card_number_refused', '',
        'a reason with a card number')
) as a (arguments, refusal, detail, title);
select tests.refuses(
    format('select public.reviews(%s)', a.arguments), 'PT400 ' || a.code, a.title
)
from (
    values
    ('''all''', 'input_invalid', 'a queue of an odd state'),
    ('null', 'input_invalid', 'a queue of no state'),
    ('page_size => 0', 'page_size_invalid', 'a page of nothing'),
    ('page_size => 101', 'page_size_invalid', 'a page of too much'),
    ('cursor => ''x''', 'cursor_invalid', 'a cursor of its own making')
) as a (arguments, code, title);
select tests.act_as_owner();
select tests.nothing_changed('none of it changed a row');

-- The queue ---------------------------------------------------------------------------------------

select tests.act_as('chioma');
select results_eq(
    $$ select r.review_id, r.title, r.rating, r.status, r.order_item_id
       from public.reviews() as r $$,
    $$ values
       (tests.id('rude'), 'Rude', 1::smallint, 'pending'::public.review_status,
           tests.line('his')),
       (tests.id('good'), 'Bien', 5::smallint, 'pending', tests.line('hers')) $$,
    'what waited longest stands first'
);
select results_eq(
    $$ select r.review_id
       from public.reviews('pending',
           (select f.cursor from public.reviews(page_size => 1) as f)) as r $$,
    $$ values (tests.id('good')) $$,
    'the page after it begins with the next'
);

-- Only what was read ------------------------------------------------------------------------------

select tests.act_as_owner();
select tests.remember();
select tests.act_as('chioma');
select tests.refuses(
    $$ select public.moderate_review(tests.id('good'), 'approved') $$, 'PT400 value_missing',
    'who does not say which words they read approves nothing', 'seen_at'
);
create temp table read_earlier as
select r.review_id, r.updated_at as seen_at from public.reviews() as r where r.title = 'Rude';
select tests.act_as_owner();
select tests.nothing_changed('nor changes anything');
select tests.act_as('bongani');
select is(
    (public.write_review(tests.line('his'), 1, 'Buy at evil.example')).status, 'pending',
    'given its author writes another while it is read'
);
select tests.act_as_owner();
select tests.remember();
select tests.act_as('chioma');
select tests.refuses(
    format(
        'select public.moderate_review(%L, %L, %L, %L)', r.review_id, d.decision, d.note, r.seen_at
    ),
    'PT409 review_changed', d.title
)
from read_earlier as r, (
    values
    ('approved', null, 'approving what was read does not approve the other'),
    ('rejected', 'No swearing.', 'nor is the other rejected for it')
) as d (decision, note, title);
select tests.act_as_owner();
select tests.nothing_changed('it waits, unseen');
select tests.act_as('bongani');
select public.write_review(tests.line('his'), 1, 'Rude');

-- Deciding ----------------------------------------------------------------------------------------

select tests.act_as('chioma');
select is(tests.approve(tests.id('good')), 'approved', 'an admin approves');
select is(tests.told('amina'), 'review_approved -', 'its author is told');
select is(tests.rating(), '5.00 of 1', 'its stars count');
select is(
    (public.moderate_review(
        tests.id('good'), 'approved', seen_at => now() - interval '1 minute'
    )).status::text,
    'approved', 'approved twice, as it was read then'
);
select is(tests.told('amina') || '; ' || tests.rating(), 'review_approved -; 5.00 of 1',
    'is told and counted once');
select is(
    (public.moderate_review(tests.id('rude'), 'rejected', ' No swearing. ')).note,
    'No swearing.', 'and rejects, saying why'
);
select is(tests.told('bongani'), 'review_rejected No swearing.', 'which its author reads');
select is(tests.rating(), '5.00 of 1', 'its stars do not count');
select is_empty('select public.reviews()', 'nothing waits any more');
select results_eq(
    $$ select r.review_id from public.reviews('rejected') as r $$,
    $$ values (tests.id('rude')) $$, 'what was rejected can be looked at'
);
select tests.act_as_owner();
select results_eq(
    $$ select r.moderated_by, r.moderated_at = now()
       from public.product_reviews as r where r.id = tests.id('good') $$,
    $$ values (tests.id('chioma'), true) $$, 'who decided is kept'
);
select tests.act_as('bongani');
select is(
    (select r.note from public.my_reviews() as r), 'No swearing.', 'he reads the reason with it'
);
select tests.act_as('chioma');
select public.moderate_review(tests.id('good'), 'rejected', 'Bought by a friend.');
select is(tests.rating(), '0', 'a decision that is taken back takes its stars back');
select is(tests.told('amina'), 'review_approved -, review_rejected Bought by a friend.',
    'and its author is told');
select tests.approve(tests.id('rude'));
select is(tests.rating(), '1.00 of 1', 'what was rejected can be approved');

-- The count can be made anew ----------------------------------------------------------------------

select tests.act_as_owner();
select is_empty('select * from private.invariant_product_ratings', 'stars are what was approved');
update public.product_ratings set stars_1 = 3, stars_5 = 1;
select results_eq(
    $$ select v.check_name, v.subject_id, v.detail from private.invariant_product_ratings as v $$,
    $$ values ('product_ratings', tests.id('shoe'),
           'stars 3 0 0 0 1, approved reviews have 1 0 0 0 0') $$,
    'stars that do not agree are seen'
);

select * from finish();
rollback;

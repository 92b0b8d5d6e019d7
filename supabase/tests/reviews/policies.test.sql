-- Reviews are read by everyone once approved, written by nobody but their RPCs; nobody reads who
-- wrote one.
begin;
\ir ../_helpers.psql
\ir ../payments/_payments.psql
\ir _delivered.psql
select plan(48);

-- given a review that is approved and one that waits, of two people
select tests.make_user('amina');
select tests.make_user('bongani');
select tests.make_user('thandi');
select tests.make_admin('chioma');
select tests.make_product('shoe');
select tests.place_order('hers', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.deliver('hers');
select tests.place_order('his', 'bongani', jsonb_build_array(tests.item('shoe', 1)), 'ZA');
select tests.deliver('his');
select tests.make_review('approved', 'amina', 'hers', 5);
select tests.make_review('waiting', 'bongani', 'his', 1);
select tests.act_as('chioma');
select tests.approve(tests.id('approved'));
select tests.act_as_owner();

create function tests.seen() returns text
language sql stable as $$
    select string_agg(n.name, ' ' order by n.name)
    from public.product_reviews as r inner join tests.names as n on r.id = n.id
$$;

select tests.has_policies(
    'public.product_reviews',
    'select_approved_or_own_or_admin: select to anon, authenticated'
);
select tests.has_policies(
    'public.product_ratings', 'select_listed: select to anon, authenticated'
);
select tests.remember();

-- a guest
select tests.act_as_anon();
select is(tests.seen(), 'approved', 'a guest sees what is approved');
select is((select r.review_count from public.product_ratings as r), 1, 'and the stars');
select tests.closed('public.product_reviews', 'insert', 'update', 'delete');
select tests.closed('public.product_ratings', 'insert', 'update', 'delete');
select tests.denies('select public.write_review(tests.line(''hers''), 1)', 'a guest writes none');
select tests.denies('select public.delete_review(tests.id(''approved''))', 'takes none away');
select tests.denies('select public.my_reviews()', 'has none');
select tests.denies('select public.reviews()', 'moderates none');
select tests.denies(
    'select public.moderate_review(tests.id(''waiting''), ''approved'')', 'and decides nothing'
);

-- people
select tests.act_as('thandi');
select is(tests.seen(), 'approved', 'a shopper sees what is approved');
select is_empty('select public.my_reviews()', 'and has no review');
select tests.denies(
    format('select r.%I from public.product_reviews as r', c.column_name),
    'nobody reads ' || c.column_name
)
from unnest(array['user_id', 'order_item_id', 'moderated_by', 'moderated_at', 'note'])
    as c (column_name);
select tests.closed('public.product_reviews', 'insert', 'update', 'delete');
select tests.closed('public.product_ratings', 'insert', 'update', 'delete');
select tests.act_as('bongani');
select is(tests.seen(), 'approved waiting', 'an author sees his own as well');
select is(
    (select r.review_id from public.my_reviews() as r), tests.id('waiting'), 'which is his'
);

-- an admin
select tests.act_as('chioma');
select is(tests.seen(), 'approved waiting', 'an admin sees all');
select tests.closed('public.product_reviews', 'insert', 'update', 'delete');
select tests.denies(
    'select r.user_id from public.product_reviews as r', 'but not who wrote them'
);

-- the API key's role
select tests.act_as_service_role();
select is(tests.seen(), 'approved waiting', 'service_role sees all');
select tests.closed('public.product_reviews', 'insert', 'update', 'delete');

-- the service's login
select tests.act_as_service();
select tests.closed('public.product_reviews');
select tests.closed('public.product_ratings');

select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');

select * from finish();
rollback;

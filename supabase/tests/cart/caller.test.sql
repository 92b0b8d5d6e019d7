begin;
\ir ../_helpers.psql
select plan(26);

-- Every RPC of the cart acts for the person of the token, and for nobody else.
select tests.make_user('amina');
select tests.make_product('shoe');
create temp table calls (name text, sql text);
grant select on calls to public;
insert into calls values
('add_to_cart', $$select public.add_to_cart(tests.id('shoe'), 'retail', 1)$$),
('remove_from_cart', $$select public.remove_from_cart(tests.id('shoe'), 'retail')$$),
('merge_cart', $$select public.merge_cart(jsonb_build_array(tests.item('shoe', 1)))$$),
('quote_cart', $$select public.quote_cart('ZA')$$);
select tests.remember();

-- a guest may not call them
select tests.act_as_anon();
select tests.denies(c.sql, 'a guest may not ' || c.name) from calls as c;

-- a token without a person, or of a person who is gone, is nobody's
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(
    c.sql, 'PT401 authentication_required', c.name || ' refuses a token without a person'
)
from calls as c;
select tests.become(
    'authenticated',
    jsonb_build_object('role', 'authenticated', 'sub', '00000000-0000-4000-8000-000000000000')
);
select tests.refuses(
    c.sql, 'PT401 authentication_required', c.name || ' refuses a person who is not there'
)
from calls as c;

select tests.act_as_owner();
select tests.make_user('gone');
delete from auth.users where id = tests.id('gone');
select tests.remember();
select tests.act_as('gone');
select tests.refuses(
    c.sql, 'PT401 authentication_required', c.name || ' refuses a person whose login was deleted'
)
from calls as c;

-- the API key's role and the service have no cart
select tests.act_as_service_role();
select tests.denies(c.sql, 'service_role may not ' || c.name) from calls as c;
select tests.act_as_service();
select tests.denies(c.sql, 'the service may not ' || c.name) from calls as c;
select tests.nothing_changed('none of it made a cart');

-- the cores are no way around: what they do is what the RPC does, for the same person
select tests.act_as('amina');
select results_eq(
    $$
    select c.user_id
    from private.set_cart_items(jsonb_build_array(
        tests.item('shoe', 1) || jsonb_build_object('user_id', gen_random_uuid())
    )) as c
    $$,
    $$values (tests.id('amina'))$$, 'a cart''s owner comes from the token alone'
);

select * from finish();
rollback;

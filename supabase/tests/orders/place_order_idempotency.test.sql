-- The same key and body answer the same again, whatever became of the order meanwhile.
begin;
\ir ../_helpers.psql
select plan(31);

-- given amina with a cart, a code, and an order placed from it
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_product('shoe', 20);
select tests.make_product('shirt', 20);
select tests.make_affiliate('pat');
select tests.make_promo_code('PAT10', 'pat');
select tests.make_address('home', 'amina');
delete from private.outbox;

create table tests.answers (place serial, answer text);
grant insert, select on tests.answers to public;
grant usage on sequence tests.answers_place_seq to public;

create function tests.buy(
    idempotency_key text default 'amina-0001',
    country text default 'CM',
    address jsonb default tests.address('CM'),
    promo_code text default 'PAT10',
    items jsonb default null,
    expected_total numeric default null
)
returns text
language sql as $$
    select format(
        'insert into tests.answers (answer) '
        'select o::text from public.place_order(%L, %L, %L, %L, %L, %L) as o',
        buy.idempotency_key, buy.country, buy.address, buy.promo_code, buy.items,
        buy.expected_total
    )
$$;
create function tests.holds() returns text
language sql stable security definer as $$
    select format(
        'orders %s, keys %s, reserved %s, promo uses %s, mails %s, work %s',
        (select count(*) from public.orders as o
         where o.user_id in (tests.id('amina'), tests.id('bongani'))),
        (select count(*) from private.idempotency_keys as k
         where k.user_id in (tests.id('amina'), tests.id('bongani'))),
        (select sum(s.reserved) from public.product_stock as s
         where s.listing_id in (tests.id('shoe'), tests.id('shirt'))),
        (select p.reserved_count from public.promo_codes as p where p.id = tests.id('PAT10')),
        (select count(*) from private.emails as e where e.order_id is not null
            and e.user_id in (tests.id('amina'), tests.id('bongani'))),
        (select count(*) from private.outbox)
    )
$$;

select tests.act_as('amina');
select count(*) from public.add_to_cart(tests.id('shoe'), 'retail', 2);
select lives_ok(tests.buy(), 'a cart is ordered');
select is(
    tests.holds(),
    'orders 1, keys 1, reserved 2, promo uses 1, mails 1, work 1',
    'one order, holding its goods and a use of the code'
);

-- Again at once: the cart is empty by now, and it does not matter ---------------------------------

select lives_ok(tests.buy(), 'the same again is answered');
select is(
    (select a.answer from tests.answers as a where a.place = 2),
    (select a.answer from tests.answers as a where a.place = 1),
    'with the same order, every column'
);
select is(
    tests.holds(),
    'orders 1, keys 1, reserved 2, promo uses 1, mails 1, work 1',
    'and nothing is held twice'
);

-- Again after a new cart --------------------------------------------------------------------------

select count(*) from public.add_to_cart(tests.id('shirt'), 'retail', 5);
select lives_ok(tests.buy(), 'a late repetition is answered');
select is(
    (select a.answer from tests.answers as a where a.place = 3),
    (select a.answer from tests.answers as a where a.place = 1),
    'with the first order, not with one of the new cart'
);
select results_eq(
    $$ select c.listing_id, c.quantity from public.cart_items as c $$,
    $$ values (tests.id('shirt'), 5) $$,
    'whose lines stay'
);

-- Again after the order changed -------------------------------------------------------------------

select isnt(
    public.update_order_address(o.id, tests.address('CM', '{"city": "Yaoundé"}'))::text,
    (select a.answer from tests.answers as a where a.place = 1),
    'given the order goes to another city now'
)
from public.orders as o;
select lives_ok(tests.buy(), 'the repetition is answered');
select is(
    (select a.answer from tests.answers as a where a.place = 4),
    (select a.answer from tests.answers as a where a.place = 1),
    'as it was answered first'
);
select is((public.cancel_order(o.id)).status::text, 'cancelled', 'given the order is cancelled')
from public.orders as o;
select lives_ok(tests.buy(), 'the repetition is answered still');
select is(
    (select a.answer from tests.answers as a where a.place = 5),
    (select a.answer from tests.answers as a where a.place = 1),
    'as it was answered first, pending then'
);
select is(
    tests.holds(),
    'orders 1, keys 1, reserved 0, promo uses 0, mails 1, work 1',
    'and the goods stay given back'
);

-- Again when it could not be placed any more ------------------------------------------------------

select tests.act_as_owner();
update public.products set is_active = false where id = tests.id('shoe');
update public.promo_codes set status = 'archived' where id = tests.id('PAT10');
select tests.act_as('amina');
select lives_ok(tests.buy(), 'what would be refused today is answered as it was');
select is(
    (select a.answer from tests.answers as a where a.place = 6),
    (select a.answer from tests.answers as a where a.place = 1),
    'every column'
);
select tests.act_as_owner();
update public.products set is_active = true where id = tests.id('shoe');
update public.promo_codes set status = 'active' where id = tests.id('PAT10');

-- Another body ------------------------------------------------------------------------------------

select tests.remember();
select tests.act_as('amina');
select tests.refuses(b.sql, 'PT409 idempotency_key_reused', 'another ' || b.title || ' is refused',
    'amina-0001')
from (
    values
    (tests.buy(country => 'ZA'), 'country'),
    (tests.buy(address => tests.address('CM', '{"city": "Yaoundé"}')), 'address'),
    (tests.buy(address => jsonb_build_object('id', tests.id('home'))), 'kind of address'),
    (tests.buy(promo_code => null), 'promo code'),
    (tests.buy(promo_code => 'pat10'), 'spelling of the promo code'),
    (tests.buy(items => jsonb_build_array(tests.item('shoe', 2))), 'list of items'),
    (tests.buy(items => '[]'), 'empty list of items'),
    (tests.buy(expected_total => 12500), 'expected total')
) as b (sql, title);
select tests.act_as_owner();
select tests.nothing_changed('and changes nothing');

-- The key of somebody else ------------------------------------------------------------------------

select tests.act_as('bongani');
select lives_ok(
    tests.buy(items => jsonb_build_array(tests.item('shoe', 1))),
    'a key is its owner''s: another person orders under the same'
);
select is(
    tests.holds(),
    'orders 2, keys 2, reserved 1, promo uses 1, mails 2, work 2',
    'an order of their own'
);
select is_empty(
    $$ select o.id from public.orders as o where o.user_id <> tests.id('bongani') $$,
    'and sees no other'
);

-- The order of keys in an object is no other body -------------------------------------------------

select lives_ok(
    format(
        $$ insert into tests.answers (answer)
           select o::text
           from public.place_order('amina-0001', 'CM', %L, 'PAT10', %L) as o $$,
        (select json_object_agg(k.key, k.value order by k.key desc)
         from jsonb_each(tests.address('CM')) as k),
        format('[{"quantity":1,  "channel":"retail","product_id":"%s"}]', tests.id('shoe'))
    ),
    'the same body written otherwise is the same'
);
select is(
    (select a.answer from tests.answers as a where a.place = 8),
    (select a.answer from tests.answers as a where a.place = 7),
    'and answered so'
);

select * from finish();
rollback;

-- Where an order goes: an address of the book or its fields, checked, copied, changed till payment.
begin;
\ir ../_helpers.psql
select plan(112);

-- given amina with addresses at home and abroad, bongani with his own
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('bongani');
select tests.make_admin('chioma');
select tests.make_product('shoe', 1000);
select tests.make_address('home', 'amina', 'CM');
select tests.make_address('abroad', 'amina', 'ZA');
select tests.make_address('his', 'bongani', 'CM');
update public.addresses
set label = 'Maison', district = 'Akwa', line1 = 'Rue 12', latitude = 4.051100,
    longitude = 9.767900, is_default = true
where id = tests.id('home');

create function tests.buy(address jsonb, idempotency_key text default 'amina-key') returns text
language sql as $$
    select format(
        'select o.shipping_address from public.place_order(%L, ''CM'', %L, null, %L) as o',
        buy.idempotency_key, buy.address, jsonb_build_array(tests.item('shoe', 1))
    )
$$;
create function tests.move(order_name text, address jsonb) returns text
language sql as $$
    select format(
        'select o.shipping_address from public.update_order_address(%L, %L) as o',
        tests.id(move.order_name), move.address
    )
$$;

-- Fields that are refused -------------------------------------------------------------------------

create table tests.bad (place serial, fields jsonb, detail text, title text);
insert into tests.bad (fields, detail, title)
select
    case b.kind
        when 'missing' then null
        else jsonb_build_object(f.field, case b.kind
            when 'null' then 'null'::jsonb
            when 'empty' then '""'
            when 'blank' then '"   "'
            when 'a number' then '7'
            when 'an object' then '{"a": "b"}'
            when 'an array' then '["x"]'
            when 'with a line break' then to_jsonb(E'a\nb'::text)
            when 'with a tab' then to_jsonb(E'a\tb'::text)
            when 'with a delete character' then to_jsonb(E'a\u007fb'::text)
            when 'too long' then to_jsonb(repeat('a', f.longest + 1))
        end)
    end,
    'address.' || f.field,
    f.field || ' is ' || b.kind
from (
    values
    ('recipient_name', 120, true), ('phone', 16, true), ('city', 120, true),
    ('district', 120, false), ('landmark', 200, false), ('line1', 200, false)
) as f (field, longest, is_required)
cross join (
    values
    ('null', true), ('empty', true), ('blank', true), ('a number', false), ('an object', false),
    ('an array', false), ('with a line break', false), ('with a tab', false),
    ('with a delete character', false), ('too long', false)
) as b (kind, needs_required)
where f.is_required or not b.needs_required;
insert into tests.bad (fields, detail, title)
select jsonb_build_object('phone', p.phone), 'address.phone', format('phone is %s', p.phone)
from (values ('650000000'), ('+0650000000'), ('+237 650'), ('+23765x'), ('+12345')) as p (phone);
insert into tests.bad (fields, detail, title) values
('{"latitude": 91, "longitude": 9}', 'address.latitude', 'latitude is above 90'),
('{"latitude": -90.1, "longitude": 9}', 'address.latitude', 'latitude is below -90'),
('{"latitude": "4.05", "longitude": 9}', 'address.latitude', 'latitude is a text'),
('{"latitude": "north", "longitude": 9}', 'address.latitude', 'latitude is a word'),
('{"latitude": 4, "longitude": 181}', 'address.longitude', 'longitude is above 180'),
('{"latitude": 4, "longitude": -180.1}', 'address.longitude', 'longitude is below -180'),
('{"latitude": 4, "longitude": true}', 'address.longitude', 'longitude is true'),
('{"latitude": 4}', 'address.longitude', 'longitude is missing'),
('{"longitude": 9}', 'address.latitude', 'latitude is missing'),
('{"landmark": null}', 'address.line1', 'nothing says where'),
('{"landmark": " ", "district": "", "line1": " "}', 'address.line1', 'only blanks say where');
grant select on tests.bad to public;

select tests.place_order('order', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.remember();
select tests.act_as('amina');
select tests.refuses(
    tests.buy(tests.address('CM', b.fields)), 'PT400 address_invalid',
    'place_order refuses an address whose ' || b.title, b.detail
)
from tests.bad as b
order by b.place;
select tests.refuses(
    tests.buy(tests.address('CM') - f.field), 'PT400 address_invalid',
    'place_order refuses an address without ' || f.field, 'address.' || f.field
)
from unnest(array['recipient_name', 'phone', 'city']) as f (field);
select tests.refuses(
    tests.buy('{}'), 'PT400 address_invalid', 'place_order refuses an address of nothing',
    'address.recipient_name'
);
select tests.refuses(
    tests.buy(tests.address('CM', c.fields)), 'PT400 address_country_mismatch',
    'place_order refuses an address in ' || c.title, c.detail
)
from (
    values
    ('{"country": "ZA"}'::jsonb, 'another country', 'ZA'),
    ('{"country": "cm"}', 'cm', 'cm'),
    ('{"country": null}', 'no country', '')
) as c (fields, title, detail);
select tests.refuses(
    tests.buy(jsonb_build_object('id', i.id)), i.refusal,
    'place_order refuses the id of ' || i.title, i.detail
)
from (
    values
    (tests.id('his')::text, 'PT404 address_not_found', 'somebody else''s address',
        tests.id('his')::text),
    (tests.id('abroad')::text, 'PT400 address_country_mismatch', 'an own address elsewhere', 'ZA'),
    (tests.id('order')::text, 'PT404 address_not_found', 'no address', tests.id('order')::text),
    (null, 'PT404 address_not_found', 'null', ''),
    (''' or true', 'PT404 address_not_found', 'an attack', ''' or true')
) as i (id, refusal, title, detail);
select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');

-- Fields that are taken ---------------------------------------------------------------------------

select tests.act_as('amina');
select results_eq(
    tests.buy(t.address, 'amina-' || t.place), format('select %L::jsonb', t.wanted), t.title
)
from (
    values
    (1001, tests.address('CM') - 'country', tests.address('CM'), 'the country is the order''s'),
    (1002, tests.address('CM', '{"landmark": null, "latitude": -4.05, "longitude": 180}'),
        tests.address('CM', '{"latitude": -4.05, "longitude": 180}') - 'landmark',
        'a position alone says where'),
    (1003, tests.address('CM', '{"landmark": null, "district": "Akwa"}'),
        tests.address('CM', '{"district": "Akwa"}') - 'landmark', 'a district alone says where'),
    (1004, tests.address('CM', '{"landmark": null, "line1": "Rue 12"}'),
        tests.address('CM', '{"line1": "Rue 12"}') - 'landmark', 'a street alone says where'),
    (1005, tests.address('CM') || jsonb_build_object(
            'recipient_name', repeat('é', 120), 'city', repeat('a', 120), 'phone', '+1234567'),
        tests.address('CM') || jsonb_build_object(
            'recipient_name', repeat('é', 120), 'city', repeat('a', 120), 'phone', '+1234567'),
        'the longest texts and the shortest number are taken'),
    (1006, jsonb_build_object('id', tests.id('home')),
        '{"recipient_name": "Amina", "phone": "+237650000000", "country": "CM", "city": "Douala", '
        '"district": "Akwa", "landmark": "Total station", "line1": "Rue 12", '
        '"latitude": 4.051100, "longitude": 9.767900}'::jsonb,
        'an own address by id is copied, without its label'),
    (1007,
        jsonb_build_object('id', upper(tests.id('home')::text), 'city', 'Paris', 'country', 'FR'),
        '{"recipient_name": "Amina", "phone": "+237650000000", "country": "CM", "city": "Douala", '
        '"district": "Akwa", "landmark": "Total station", "line1": "Rue 12", '
        '"latitude": 4.051100, "longitude": 9.767900}'::jsonb,
        'fields beside an id are not read')
) as t (place, address, wanted, title);

-- The copy outlives the book ----------------------------------------------------------------------

select lives_ok(
    $$ delete from public.addresses where id = tests.id('home') $$, 'given the address is deleted'
);
select is(
    (select count(*) from public.orders as o where o.shipping_address ->> 'line1' = 'Rue 12'
     and o.shipping_address ->> 'district' = 'Akwa'),
    2::bigint,
    'the orders to it keep their copies'
);

-- Changing it before payment ----------------------------------------------------------------------

select results_eq(
    tests.move('order', tests.address('CM', '{"city": "Yaoundé"}')),
    $$ values (tests.address('CM', '{"city": "Yaoundé"}')) $$,
    'the owner of a pending order moves it to another city'
);
select results_eq(
    $$ select e.kind, e.from_status::text, e.to_status::text, e.actor_type, e.actor_id, e.note
       from public.order_events as e
       where e.order_id = tests.id('order') and e.kind <> 'placed' $$,
    $$ values ('address_changed', null, null, 'user', tests.id('amina'), null) $$,
    'which leaves an event without the address'
);
select results_eq(
    tests.move('order', tests.address('CM', '{"city": "Yaoundé"}')),
    $$ values (tests.address('CM', '{"city": "Yaoundé"}')) $$,
    'the same again is taken'
);
select is(
    (select count(*) from public.order_events as e
     where e.order_id = tests.id('order') and e.kind = 'address_changed'),
    1::bigint,
    'and is no second event'
);
select tests.act_as_owner();
select tests.make_address('office', 'amina', 'CM');
select tests.act_as('amina');
select results_eq(
    tests.move('order', jsonb_build_object('id', tests.id('office'))),
    $$ values ('{"recipient_name": "Amina", "phone": "+237650000000", "country": "CM",
        "city": "Douala", "landmark": "Total station"}'::jsonb) $$,
    'it can be moved to an address of the book'
);
select results_eq(
    $$ select o.subtotal_price, o.total_price, o.status::text, o.country
       from public.orders as o where o.id = tests.id('order') $$,
    $$ values (5000.00, 8500.00, 'pending', 'CM') $$,
    'nothing else of the order changes'
);

-- Changing it is refused --------------------------------------------------------------------------

select tests.act_as_owner();
select tests.place_order('paid', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('shipped', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('delivered', 'amina', jsonb_build_array(tests.item('shoe', 1)));
select tests.place_order('cancelled', 'amina', jsonb_build_array(tests.item('shoe', 1)));
update public.orders set status = 'paid', paid_at = now()
where id in (tests.id('paid'), tests.id('shipped'), tests.id('delivered'));
update public.orders set status = 'shipped', shipped_at = now()
where id in (tests.id('shipped'), tests.id('delivered'));
update public.orders set status = 'delivered', delivered_at = now()
where id = tests.id('delivered');
update public.orders set status = 'cancelled', cancelled_at = now(), cancel_reason = 'test'
where id = tests.id('cancelled');
select tests.remember();

select tests.act_as('amina');
select tests.refuses(
    tests.move(s.status, tests.address('CM')), 'PT409 order_not_editable',
    format('a %s order is not moved', s.status), s.status
)
from (values ('paid'), ('shipped'), ('delivered'), ('cancelled')) as s (status);
select tests.refuses(tests.move('order', tests.address('ZA')), 'PT400 address_country_mismatch',
    'an order is not moved to another country', 'ZA');
select tests.refuses(tests.move('order', jsonb_build_object('id', tests.id('his'))),
    'PT404 address_not_found', 'an order is not moved to somebody else''s address');
select tests.refuses(tests.move('order', tests.address('CM', '{"phone": "1"}')),
    'PT400 address_invalid', 'an order is not moved to half an address', 'address.phone');
select tests.refuses(tests.move('order', null), 'PT400 address_invalid',
    'an order is not moved to nowhere', 'address is not an object');
select tests.refuses(
    'select public.update_order_address(null, tests.address(''CM''))', 'PT404 order_not_found',
    'no order is not found', ''
);
select tests.refuses(
    format('select public.update_order_address(%L, tests.address(''CM''))', tests.id('shoe')),
    'PT404 order_not_found', 'an unknown order is not found', tests.id('shoe')::text
);
select tests.act_as('bongani');
select tests.refuses(tests.move('order', tests.address('CM')), 'PT404 order_not_found',
    'another user''s order is not found', tests.id('order')::text);
select tests.act_as('chioma');
select tests.refuses(tests.move('order', tests.address('CM')), 'PT404 order_not_found',
    'nor is it for an admin, who is not its owner');
select tests.become('authenticated', '{"role": "authenticated"}');
select tests.refuses(tests.move('order', tests.address('CM')), 'PT401 authentication_required',
    'nobody moves nothing');
select tests.act_as_anon();
select tests.denies(tests.move('order', tests.address('CM')), 'anon may not call it');
select tests.act_as_service_role();
select tests.denies(tests.move('order', tests.address('CM')), 'service_role may not call it');
select tests.act_as_service();
select tests.denies(tests.move('order', tests.address('CM')), 'mallgram_service may not call it');
select tests.act_as_owner();
select tests.nothing_changed('none of these changed a row');

select * from finish();
rollback;

begin;
\ir ../_helpers.psql
select plan(38);

-- given an address as it is given in Douala
select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('binta', 'fr', 'CM');
select tests.make_address('home', 'amina');
select tests.act_as('amina');

-- Writes one field of amina's address.
create temp table fields (field text, value text, rule text, title text);
grant select on fields to public;
insert into fields values
('label', E'a\nb', 'addresses_texts_are_one_line', 'a label is one line'),
('recipient_name', E'a\tb', 'addresses_texts_are_one_line', 'a name is one line'),
('city', E'a\rb', 'addresses_texts_are_one_line', 'a city is one line'),
('district', E'a\nb', 'addresses_texts_are_one_line', 'a district is one line'),
('landmark', E'a\nb', 'addresses_texts_are_one_line', 'a landmark is one line'),
('line1', E'a\x7Fb', 'addresses_texts_are_one_line', 'a street is one line'),
('label', repeat('a', 61), 'addresses_texts_are_short', 'a label is short'),
('recipient_name', repeat('a', 121), 'addresses_texts_are_short', 'a name is short'),
('recipient_name', '', 'addresses_texts_are_short', 'a name is something'),
('city', repeat('a', 121), 'addresses_texts_are_short', 'a city is short'),
('city', '', 'addresses_texts_are_short', 'a city is something'),
('district', repeat('a', 121), 'addresses_texts_are_short', 'a district is short'),
('landmark', repeat('a', 201), 'addresses_texts_are_short', 'a landmark is short'),
('line1', repeat('a', 201), 'addresses_texts_are_short', 'a street is short'),
('recipient_name', null, 'not null', 'somebody receives it'),
('phone', null, 'not null', 'the courier has a number'),
('country', null, 'not null', 'it is in a country'),
('city', null, 'not null', 'it is in a city'),
('phone', '650000000', 'addresses_phone_is_e164', 'a number has its country code'),
('country', 'FR', 'addresses_country_fkey', 'the shop sells to its country'),
('landmark', null, 'addresses_say_where', 'something says where it is'),
('latitude', '4.05', 'addresses_position_is_on_earth', 'a latitude has its longitude'),
('longitude', '9.7', 'addresses_position_is_on_earth', 'a longitude has its latitude');

select tests.act_as_owner();
select tests.remember();
select tests.act_as('amina');
select tests.violates(
    format(
        'update public.addresses set %I = %L where id = tests.id(%L)', f.field, f.value, 'home'
    ),
    f.rule, f.title
)
from fields as f;
select tests.refuses(
    format(
        'update public.addresses set %I = %L where id = tests.id(%L)', f.field,
        'by 4111-1111-1111-1111', 'home'
    ),
    'PT400 card_number_refused',
    format('no card number in %s, and the refusal repeats none', f.field), ''
)
from unnest(array['label', 'recipient_name', 'city', 'district', 'landmark', 'line1'])
    as f (field);
select tests.violates(
    $$update public.addresses set latitude = 90.1, longitude = 0 where id = tests.id('home')$$,
    'addresses_position_is_on_earth', 'a latitude is on earth'
);
select tests.violates(
    $$update public.addresses set latitude = 0, longitude = -180.1 where id = tests.id('home')$$,
    'addresses_position_is_on_earth', 'a longitude is on earth'
);
select tests.nothing_changed('nothing of it was stored');
select tests.affects(
    $$
    update public.addresses set landmark = null, latitude = 4.05, longitude = 9.7
    where id = tests.id('home')
    $$,
    1, 'a position is enough to be found'
);

-- one default a person
select tests.affects(
    $$update public.addresses set is_default = true where id = tests.id('home')$$,
    1, 'an address is made the default'
);
select tests.violates(
    $$
    insert into public.addresses (recipient_name, phone, country, city, line1, is_default)
    values ('A', '+237650000000', 'CM', 'Douala', 'Rue 1', true)
    $$,
    'addresses_user_id_default_key', 'a second default is refused'
);
select results_eq(
    $$
    insert into public.addresses (recipient_name, phone, country, city, line1)
    values ('A', '+237650000000', 'CM', 'Douala', 'Rue 1')
    returning user_id, is_default
    $$,
    $$select tests.id('amina'), false$$, 'another address is the caller''s own and no default'
);
select tests.act_as('binta');
select lives_ok(
    $$
    insert into public.addresses (recipient_name, phone, country, city, line1, is_default)
    values ('B', '+237650000001', 'CM', 'Douala', 'Rue 2', true)
    $$,
    'somebody else has a default of their own'
);

-- an erased person takes the address book along
select tests.act_as_owner();
delete from public.users where id = tests.id('binta');
select is(
    (select count(*) from public.addresses as a where a.recipient_name = 'B'), 0::bigint,
    'addresses go with their person'
);

select * from finish();
rollback;

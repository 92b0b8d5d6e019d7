begin;
\ir ../_helpers.psql
select plan(33);

-- Signs somebody up with this metadata and answers the row that the shop keeps.
create function tests.sign_up(name text, metadata jsonb, email text default null)
returns table (email text, full_name text, phone text, country text, language text)
language sql as $$
    insert into auth.users (id, email, raw_user_meta_data)
    values (
        tests.name_it(sign_up.name, gen_random_uuid()),
        coalesce(sign_up.email, sign_up.name || '.mirror@example.test'),
        sign_up.metadata
    );
    select u.email, u.full_name, u.phone, u.country, u.language
    from public.users as u
    where u.id = tests.id(sign_up.name)
$$;

-- as hosted Supabase stores metadata, and as the local auth server does
select results_eq(
    $$
    select * from tests.sign_up('hosted', '{
        "full_name": "Aïcha Ngoé", "phone": "+237 650-00.00(00)", "country": "CM", "language": "fr"
    }')
    $$,
    $$values ('hosted.mirror@example.test', 'Aïcha Ngoé', '+237650000000', 'CM', 'fr')$$,
    'metadata that is an object is read'
);
select results_eq(
    $$
    select * from tests.sign_up('local', to_jsonb(
        '{
            "full_name": "Aïcha Ngoé", "phone": "+27821234567", "country": "ZA", "language": "en"
        }'::text
    ))
    $$,
    $$values ('local.mirror@example.test', 'Aïcha Ngoé', '+27821234567', 'ZA', 'en')$$,
    'metadata that is an object written into a JSON string is read'
);
select results_eq(
    $$
    select * from tests.sign_up('card', '{
        "full_name": "4111 1111 1111 1111", "phone": "4111111111111111", "language": "4111"
    }')
    $$,
    $$values ('card.mirror@example.test', null::text, null::text, null::text, 'en')$$,
    'a card number in metadata is not kept, and keeps nobody from signing up'
);
select results_eq(
    $$
    select u.is_admin, u.is_affiliate, u.email_confirmed_at, u.created_at, u.updated_at
    from public.users as u where u.id = tests.id('hosted')
    $$,
    'values (false, false, null::timestamptz, now(), now())',
    'nobody is anything by signing up'
);
select results_eq(
    $$
    select * from tests.sign_up('greedy', '{
        "is_admin": true, "is_affiliate": true, "role": "admin", "email": "x@example.test"
    }')
    $$,
    $$values ('greedy.mirror@example.test', null::text, null::text, null::text, 'en')$$,
    'metadata that asks for more is read for what it may say'
);
select is(
    (select u.is_admin or u.is_affiliate from public.users as u where u.id = tests.id('greedy')),
    false, 'roles are not taken from metadata'
);

-- bad metadata never blocks a sign-up: what is odd is left out
create temp table odd (name text, metadata jsonb);
insert into odd values
('odd_null', null),
('odd_json_null', 'null'),
('odd_array', '[1, 2]'),
('odd_number', '42'),
('odd_empty_text', '""'),
('odd_broken_text', '"{broken"'),
('odd_scalar_text', to_jsonb('"only words"'::text)),
('odd_zero_byte', to_jsonb('{"full_name": "a\u0000b"}'::text)),
('odd_nested', '{"full_name": null, "phone": {"a": 1}, "country": [], "language": 7}'),
('odd_values', '{"full_name": "   ", "phone": "0650", "country": "cm", "language": "de"}'),
('odd_unknown', '{"full_name": "\n\t", "phone": "call me", "country": "XX", "language": "FR"}');
select results_eq(
    format('select * from tests.sign_up(%L, %L)', o.name, o.metadata),
    format(
        'values (%L, null::text, null::text, null::text, %L)',
        o.name || '.mirror@example.test', 'en'
    ),
    format('metadata %s is left out', coalesce(left(o.metadata::text, 40), 'null'))
)
from odd as o;
select is(
    (select s.full_name from tests.sign_up('lines', '{"full_name": " A\nB\r\n\tC "}') as s),
    'A B C', 'line breaks in a name become spaces'
);
select is(
    (
        select char_length(s.full_name)
        from tests.sign_up('long', jsonb_build_object('full_name', repeat('é', 500))) as s
    ),
    120, 'a long name is cut'
);
select lives_ok(
    $$insert into auth.users (id, email, phone) values (gen_random_uuid(), null, '+237650000001')$$,
    'a login without an address is no error'
);

-- when the login changes later
update auth.users set email = 'new.mirror@example.test' where id = tests.id('hosted');
select results_eq(
    $$select u.email, u.full_name from public.users as u where u.id = tests.id('hosted')$$,
    $$values ('new.mirror@example.test', 'Aïcha Ngoé')$$,
    'a changed address is mirrored, the rest stays'
);
update public.users set full_name = 'Own Choice', language = 'en' where id = tests.id('hosted');
update auth.users set email_confirmed_at = '2026-02-03 04:05:06+00' where id = tests.id('hosted');
select results_eq(
    $$
    select u.email_confirmed_at, u.full_name, u.language
    from public.users as u where u.id = tests.id('hosted')
    $$,
    $$values ('2026-02-03 04:05:06+00'::timestamptz, 'Own Choice', 'en')$$,
    'a confirmation is mirrored and writes over nothing that the person chose'
);
update auth.users set email_confirmed_at = null where id = tests.id('hosted');
select is(
    (select u.email_confirmed_at from public.users as u where u.id = tests.id('hosted')),
    '2026-02-03 04:05:06+00'::timestamptz, 'once confirmed stays confirmed'
);

-- when single sign-on brings a second login with the same address
select lives_ok(
    $$
    insert into auth.users (id, email, is_sso_user, raw_user_meta_data)
    values (
        tests.name_it('sso', gen_random_uuid()), 'new.mirror@example.test', true,
        '{"full_name": "Second Login"}'
    )
    $$,
    'the sign-up is not refused'
);
select results_eq(
    $$
    select n.name, u.email, u.full_name
    from public.users as u inner join tests.names as n on u.id = n.id
    where n.name in ('hosted', 'sso') order by n.name
    $$,
    $$
    values
    ('hosted', 'new.mirror@example.test', 'Own Choice'), ('sso', null, 'Second Login')
    $$,
    'the first keeps the address, the second is mirrored without it'
);

-- when the login is deleted
select tests.make_product('shoe');
select tests.make_address('home', 'hosted');
select tests.make_address('elsewhere', 'local');
select tests.act_as('hosted');
select public.add_to_cart(tests.id('shoe'), 'retail', 1);
select tests.act_as_owner();
select tests.place_order('o1', 'hosted', jsonb_build_array(tests.item('shoe', 1)));
delete from auth.users where id = tests.id('hosted');
select results_eq(
    $$
    select u.email, u.full_name, u.phone, u.country, u.language
    from public.users as u where u.id = tests.id('hosted')
    $$,
    $$values (null::text, null::text, null::text, 'CM', 'en')$$,
    'the row stays for the books, without its personal columns'
);
select is(
    array(
        select n.name from public.addresses as a inner join tests.names as n on a.id = n.id
        order by n.name
    ),
    '{elsewhere}', 'the person''s address book goes, nobody else''s'
);
select results_eq(
    $$
    select
        (select count(*) from public.carts as c where c.user_id = tests.id('hosted')),
        (select count(*) from public.cart_items as c where c.user_id = tests.id('hosted'))
    $$,
    'values (0::bigint, 0::bigint)', 'so does the cart'
);
select is(
    (select o.user_id from public.orders as o where o.id = tests.id('o1')),
    tests.id('hosted'), 'and the order that points at it stays'
);
select is(
    (
        select s.email
        from tests.sign_up('again', '{}', 'new.mirror@example.test') as s
    ),
    'new.mirror@example.test', 'the address can sign up anew'
);
select tests.act_as('hosted');
select tests.refuses(
    $$select public.add_to_cart(tests.id('shoe'), 'retail', 1)$$,
    'PT401 authentication_required', 'a token that outlived its login is nobody''s'
);
select tests.affects(
    $$update public.users set full_name = 'Back Again' where id = tests.id('hosted')$$, 0,
    'and writes no name back'
);
select tests.denies(
    $$insert into public.addresses (recipient_name, phone, country, city, landmark)
      values ('Back', '+237650000000', 'CM', 'Douala', 'Akwa')$$,
    'nor an address'
);
select tests.act_as_owner();

select * from finish();
rollback;

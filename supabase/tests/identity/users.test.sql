begin;
\ir ../_helpers.psql
select plan(13);

select tests.make_user('amina', 'fr', 'CM');
select tests.make_user('binta');

-- what a row may hold
select tests.remember();
select tests.violates(
    $$update public.users set full_name = E'a\nb' where id = tests.id('amina')$$,
    'users_full_name_is_one_line', 'a name is one line'
);
select tests.violates(
    $$update public.users set full_name = repeat('a', 121) where id = tests.id('amina')$$,
    'users_full_name_is_one_line', 'a name is short'
);
select tests.violates(
    $$update public.users set full_name = 'A 4111 1111 1111 1111' where id = tests.id('amina')$$,
    'users_holds_no_card_number', 'a name is no card number'
);
select tests.violates(
    $$update public.users set phone = '0650000000' where id = tests.id('amina')$$,
    'users_phone_is_e164', 'a phone number has its country code'
);
select tests.violates(
    $$update public.users set phone = '+0650000000' where id = tests.id('amina')$$,
    'users_phone_is_e164', 'no country code begins with 0'
);
select tests.violates(
    $$update public.users set language = 'de' where id = tests.id('amina')$$,
    'users_language_is_known', 'a language is en or fr'
);
select tests.violates(
    $$update public.users set language = null where id = tests.id('amina')$$,
    'not null', 'everyone has a language'
);
select tests.violates(
    $$update public.users set country = 'FR' where id = tests.id('amina')$$,
    'users_country_fkey', 'a country is one that the shop sells to'
);
select tests.violates(
    $$
    update public.users as a set email = b.email
    from public.users as b
    where a.id = tests.id('amina') and b.id = tests.id('binta')
    $$,
    'users_email_key', 'an address is one person''s'
);
select tests.nothing_changed('nothing of it was stored');

-- what a person may say of themselves
select tests.act_as('amina');
select results_eq(
    $$
    update public.users
    set full_name = 'Amina Nkeng', phone = '+237699999999', country = 'ZA', language = 'en'
    where id = tests.id('amina')
    returning full_name, phone, country, language
    $$,
    $$values ('Amina Nkeng', '+237699999999', 'ZA', 'en')$$,
    'a person edits name, phone, country and language'
);
select tests.affects(
    $$update public.users set phone = null, country = null where id = tests.id('amina')$$,
    1, 'and may leave phone and country empty'
);
select tests.affects(
    $$update public.users set full_name = 'Hacked'$$,
    1, 'an edit without a filter reaches the own row'
);

select * from finish();
rollback;

begin;
\ir ../_helpers.psql
select plan(24);

-- given goods whose names begin alike
select tests.make_product(
    'Zorblax kettle', seller_rating => 4, name_fr => 'Bouilloire zorblax'
);
select tests.make_product('Zorblax kettledrum', seller_rating => 5, name_fr => 'Timbale zorblax');
select tests.make_wholesale_product('Zorblax mugs by the box', seller_rating => 3.5);
select tests.make_product('Zorblax hidden kettle', is_active => false);
select tests.make_product('Zorbling');
select tests.make_product(
    'Kettle brush', description => 'Fits any zorblax.', seller_rating => 4.9
);
update private.search_terms as t
set listings = c.listings
from (values ('zorblax', 900), ('zorbling', 1000), ('kettle', 7), ('kettledrum', 5))
    as c (word, listings)
where t.word = c.word;

create function tests.suggested(prefix text, language text default 'en') returns text []
language sql stable as $$
    select array_agg(
        s.suggestion || case when s.product_id is null then '' else ' *' end order by s.place
    )
    from (
        select s.*, row_number() over () as place
        from public.suggest_products(suggested.prefix, suggested.language) as s
    ) as s
    where s.suggestion ~* 'zorbl' or s.suggestion ~* 'kettle'
$$;

create function tests.completed(prefix text, language text) returns text []
language sql stable as $$
    select array(
        select s.suggestion from public.suggest_products(completed.prefix, completed.language) as s
        where s.product_id is null
    )
$$;

select tests.act_as_anon();
select is(
    (tests.suggested('zorbl'))[1:2], '{zorbling,zorblax}',
    'a beginning is completed, what most names have first'
);
select is(
    (tests.suggested('zorbl'))[3:],
    '{Zorblax kettledrum *,Zorblax kettle *,Zorblax mugs by the box *,Zorbling *}',
    'then the products, popular first'
);
select is(
    tests.suggested('zorblax ket'),
    '{zorblax kettle,zorblax kettledrum,Zorblax kettledrum *,Zorblax kettle *}',
    'the last word is completed, those before it are kept'
);
select is(tests.suggested('ZÓRBLAX KET'), tests.suggested('zorblax ket'), 'in any case and accent');
select is(
    tests.suggested('zorblax bouill', 'fr'),
    '{zorblax bouilloire,Bouilloire zorblax *}', 'in French as well'
);
select tests.act_as_owner();
select tests.make_product('Zorbmug', name_fr => 'Zorbétasse');
select tests.make_product('Zorbmugs', name_fr => 'Zorbetasse');
update private.search_terms set listings = 2000 where word = 'zorbetasse';
select tests.act_as_anon();
select is(
    (tests.completed('zorb', 'fr'))[1], 'zorbétasse',
    'what names of the language have comes first, with its accents'
);
select is(
    tests.completed('zorbm', 'fr'), '{zorbmug,zorbmugs}', 'words of the other language fill up'
);
select is(
    tests.completed('zorb', 'en'), '{zorbling,zorblax,zorbmug,zorbmugs,zorbétasse}',
    'for either language'
);
select is(
    tests.completed('kettle z', 'en'), '{"kettle zorblax"}',
    'words that no name has beside those before are not proposed'
);
select is(
    tests.suggested('zorblax kettles'), '{Zorblax kettle *}',
    'a word that is written out finds its other forms'
);
select is(
    tests.suggested('the zorblax kettledr'), '{the zorblax kettledrum,Zorblax kettledrum *}',
    'a stop word hides nothing'
);
select results_eq(
    $$
    select s.suggestion, s.product_id, s.channel
    from public.suggest_products('zorblax mug', 'en') as s where s.product_id is not null
    $$,
    $$
    values (
        'Zorblax mugs by the box', tests.id('Zorblax mugs by the box'),
        'wholesale'::public.product_channel
    )
    $$,
    'a product is named with its id and channel'
);
select is(
    'Kettle brush *' = any(tests.suggested('zorblax')), false,
    'nor one that only speaks of the word in its description'
);
select is(tests.suggested('zorblax hid'), null, 'what is off sale is not suggested');
select tests.act_as_owner();
update public.product_prices set is_listed = false
where product_id = tests.id('Zorblax kettledrum') and country = 'ZA';
select tests.act_as_anon();
select is(
    (tests.suggested('zorblax kettled'))[2], 'Zorblax kettledrum *', 'what one country has is'
);
select tests.act_as_owner();
update public.product_prices set is_listed = false
where product_id = tests.id('Zorblax kettledrum');
select tests.act_as_anon();
select is(
    'Zorblax kettledrum *' = any(tests.suggested('zorblax kettled')), false,
    'what no country has is not'
);
select is(tests.suggested('zorblaxqq'), null, 'what nothing begins with is not completed');
select is((select count(*) from public.suggest_products('   ')), 0::bigint, 'blanks begin nothing');
select is((select count(*) from public.suggest_products(null)), 0::bigint, 'nor does nothing');
select is(
    tests.suggested($$zorblax' & | ! ( ) : * \ _ % " kettl$$), tests.suggested('zorblax kettl'),
    'signs are no syntax error'
);
select is(
    (select count(*) from public.suggest_products(repeat('zorblax ', 100000)) as s) <= 10, true,
    'a book is read to its first 80 characters'
);
select is(
    (select max(char_length(s.suggestion)) < 300 from public.suggest_products('z') as s), true,
    'a letter is completed too'
);
select is(
    (select count(*) filter (where s.product_id is not null) from public.suggest_products('z') as s),
    0::bigint, 'but begins too many products to name any'
);
select tests.refuses(
    $$select * from public.suggest_products('z', 'de')$$, 'PT400 language_unknown',
    'a language that is neither is refused', 'de'
);

select * from finish();
rollback;

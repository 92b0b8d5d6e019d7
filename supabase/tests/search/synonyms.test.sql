-- Words that mean the same find the same, across the two languages, and widen a query once only.
begin;
\ir ../_helpers.psql
select plan(38);

-- as shipped
select is(
    private.read_query(w.word)::text like '%' || quote_literal(w.stem) || '%', true,
    w.word || ' finds ' || w.meant
)
from (
    values
    ('chaussure', 'shoe', 'shoe'), ('shoes', 'chaussur', 'chaussures'),
    ('frigo', 'fridg', 'fridge'), ('wireless headset', 'casqu', 'casque sans fil')
) as w (word, stem, meant);

-- given words of two concepts that share one, and goods of each
delete from private.search_synonyms where true;
insert into private.search_synonyms (concept, language, term)
values
('gronk', 'en', 'gronk'), ('gronk', 'en', 'side table'), ('gronk', 'fr', 'gronquière'),
('plimb', 'en', 'plimb'), ('plimb', 'fr', 'gronquière'), ('plimb', 'fr', 'plimb-à-main');
select tests.make_product('Zorblax gronk');
select tests.make_product('Zorblax side table', name_fr => 'Zorblax guéridon');
select tests.make_product('Zorblax stool', name_fr => 'Zorblax gronquière');
select tests.make_product('Zorblax plimb', name_fr => 'Zorblax plimb-à-main');
select tests.make_product('Zorblax side of a table');

create function tests.found(query text, language text default 'en') returns text []
language sql stable as $$
    select array_agg(n.name order by n.name)
    from public.search_products(found.query, 'test-goods', 'ZA', found.language, sort => 'newest')
        as s
    inner join tests.names as n on s.product_id = n.id
$$;

select tests.act_as_anon();
select is(
    tests.found('zorblax gronk'),
    '{Zorblax gronk,Zorblax side of a table,Zorblax side table,Zorblax stool}',
    'a word finds its concept in both languages'
);
select is(tests.found('ZORBLAX GRONKS'), tests.found('zorblax gronk'), 'in any case and number');
select is(
    tests.found('side table zorblax'), tests.found('zorblax gronk'),
    'so does a synonym of two words, wherever they stand'
);
select is(
    tests.found('zorblax table'), '{Zorblax side of a table,Zorblax side table}',
    'half of a synonym is none'
);
select is(
    tests.found('zorblax gronquiere', 'fr'), tests.found('zorblax gronquière', 'fr'),
    'accents may be left out'
);
select is(
    tests.found('zorblax gronquière', 'fr') @> '{Zorblax gronk,Zorblax stool}', true,
    'a French word finds what only has an English name'
);
select is(
    tests.found('plimb-à-main zorblax', 'fr'), '{Zorblax plimb,Zorblax stool}',
    'a word with hyphens is a synonym too'
);
select is(
    'Zorblax gronk' = any(tests.found('zorblax plimb')), false,
    'what a synonym brings in is not widened again'
);
select is(
    tests.found('zorblax -gronk'), '{Zorblax plimb}', 'what is left out is left out with its concept'
);

-- words of a query are read once, however many concepts there are
select tests.act_as_owner();
insert into private.search_synonyms (concept, language, term)
select 'ring' || n, l.language, w.word
from generate_series(1, 300) as n
cross join (values ('en'), ('fr')) as l (language)
cross join lateral (values ('word' || n), ('word' || n % 300 + 1)) as w (word)
on conflict do nothing;
select is(
    length(private.read_query('word1 word2 word3')::text) < 1000, true,
    'a ring of three hundred concepts widens a query by its neighbours alone'
);
select is(
    length(private.read_query(repeat('word7 word8 ', 16))::text) < 10000, true,
    'however often its words stand there'
);

-- what a synonym is
select tests.violates(
    $$insert into private.search_synonyms values ('x', 'de', 'wort')$$,
    'search_synonyms_language_is_known', 'a synonym is English or French'
);
select tests.violates(
    $$insert into private.search_synonyms values ('x', 'en', E'two\nlines')$$,
    'search_synonyms_term_is_one_line', 'and one line'
);
select tests.violates(
    $$insert into private.search_synonyms values ('gronk', 'en', 'gronk')$$,
    'search_synonyms_pkey', 'and stands there once'
);
select lives_ok(
    $$insert into private.search_synonyms values ('stop', 'en', 'the'), ('stop', 'en', 'and')$$,
    'a stop word is nobody''s synonym and harms nothing'
);
select is(
    (select count(*) from private.search_rewrites as r where numnode(r.target) = 0),
    0::bigint, 'it rewrites nothing'
);
delete from private.search_synonyms where concept = 'gronk';
select tests.act_as_anon();
select is(tests.found('zorblax gronk'), '{Zorblax gronk}', 'a concept that is gone widens no more');
select tests.act_as_owner();
update private.search_synonyms set term = 'gronk' where concept = 'plimb' and term = 'plimb';
select tests.act_as_anon();
select is(
    tests.found('zorblax gronk'), '{Zorblax gronk,Zorblax plimb,Zorblax stool}',
    'a synonym that changes leads elsewhere at once'
);

-- nothing but words to leave out
select is(tests.found('-zorblax'), tests.found('zorblax'), 'a query of a minus alone is its word');
select tests.act_as_owner();
select is(private.read_query('-zorblax'), null, 'for all that lacks a word is the whole shop');
select is(private.read_query('on'), null, 'stop words of both languages are no query');
select is(private.read_query(''), null, 'nor is nothing');
select is(
    private.read_query('zorblax OR -plimble'), '(zorblax | zorblax & or) & !plimbl',
    'what is left out is so whatever stands before it'
);
select is(
    private.read_query('zorblax or'), 'zorblax | zorblax & or',
    'or is a word, in French gold: it asks for one of two in capitals only'
);
select is(private.read_query('zorblax OR plimble'), 'zorblax | plimbl', 'as here');
select is(
    'or'::tsquery <@ private.any_word('zorblax or glimmer'), true,
    'where any word will do it is one of them'
);

-- what is left out is so with all that means the same, however the rest is spelt
select tests.act_as_anon();
select is(
    tests.found('zorblax -gronk'), '{Zorblax side of a table,Zorblax side table}',
    'a minus leaves out a word''s concept'
);
select is(
    tests.found('zorblaxx -gronk'), tests.found('zorblax -gronk'), 'beside a misspelt word too'
);
select is(
    tests.found('zorblax brontolith -gronk'), tests.found('zorblax -gronk'),
    'and where any word must do'
);
select is(
    tests.found('zorblax -"side of"') && '{Zorblax side of a table}', false, 'or quoted words'
);

-- of a synonym of two words one alone says nothing
select tests.act_as_owner();
insert into private.search_synonyms (concept, language, term)
values ('zork', 'en', 'zork'), ('zork', 'en', 'side table');
select tests.make_product('Zork chair');
select tests.make_product('Zork table');
select tests.act_as_anon();
select is(
    (
        select count(distinct s.relevance)
        from public.search_products('zork', 'test-goods', 'ZA', 'en') as s
        where s.name in ('Zork chair', 'Zork table')
    ),
    1::bigint, 'a match is as relevant with half of a synonym as without'
);
select is(
    (
        select min(s.relevance) > 0.1
        from public.search_products('zork', 'test-goods', 'ZA', 'en') as s
        where s.name = 'Zorblax side table'
    ),
    true, 'and with all of it as with a word'
);

-- closed to everyone
select tests.act_as_anon();
select tests.denies('select * from private.search_synonyms', 'a guest does not read the synonyms');
select tests.denies('select * from private.search_rewrites', 'nor what is made of them');

select * from finish();
rollback;

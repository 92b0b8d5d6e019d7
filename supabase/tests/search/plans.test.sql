-- How the planner goes about the statements behind search: by index, whatever is asked.
begin;
\ir ../_helpers.psql
select plan(10);

-- given some thousand listings, of which a word is in all, one in few and one in a single one
select tests.make_category('zorb');
insert into private.search_documents (
    listing_id, channel, category_id, rating, popularity, is_popular, search_en, search_fr
)
select
    d.id, 'retail', tests.id('zorb'), 4, n % 50, n % 50 = 0,
    d.words, d.words
from generate_series(1, 5000) as n
cross join lateral (
    select
        ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid as id,
        to_tsvector('simple', concat_ws(
            ' ', 'zorball', case when n % 500 = 0 then 'zorbsome' end, 'zorb' || n
        )) as words
) as d;
insert into private.search_terms (word)
select distinct chr(97 + n % 26) || substr(md5(n::text), 1, 8) from generate_series(1, 40000) as n
on conflict do nothing;
analyze private.search_documents, private.search_terms;

-- The indexes that the plan of a statement uses, and the tables that it reads whole.
create function tests.reads(statement text) returns text []
language plpgsql as $$
declare
    v_plan jsonb;
begin
    execute 'explain (format json) ' || reads.statement into v_plan;
    return array(
        select distinct
            coalesce(n ->> 'Index Name', 'whole ' || (n ->> 'Relation Name'))
        from jsonb_path_query(v_plan, 'strict $.** ? (@."Node Type" starts with "")') as n
        where n ? 'Index Name' or n ->> 'Node Type' = 'Seq Scan'
        order by 1
    );
end
$$;
create function tests.matching(words text, more text default '') returns text []
language sql as $$
    select tests.reads(format(
        'select d.listing_id from private.search_documents as d '
        'where (d.search_en || d.search_fr) @@ %L::tsquery %s limit 400', matching.words, more
    ))
$$;

select set_config('enable_seqscan', 'off', true);
select set_config('random_page_cost', '1.1', true);
select is(
    tests.matching('zorbsome'),
    '{search_documents_words_idx}',
    'words are looked up'
);
select is(
    tests.matching('zorball'),
    '{search_documents_words_idx}',
    'those of all listings too'
);
select is(
    tests.matching('zorball', 'and d.is_popular'),
    '{search_documents_popular_words_idx}',
    'and among the popular in an index of their own'
);
select is(
    tests.matching('zorball', 'and d.is_popular = true'),
    '{search_documents_popular_words_idx}',
    'as match_words asks for them'
);
select is(
    tests.reads(
        'select t.word from private.search_terms as t '
        'where t.word operator(extensions.%) ''zorblax'''
    ),
    '{search_terms_word_trgm_idx}',
    'words spelt nearly so are looked up by their trigrams'
);
select is(
    tests.reads('select t.word from private.search_terms as t where t.word like ''zorbl%'''),
    '{search_terms_word_prefix_idx}',
    'and beginnings by their letters'
);

-- a list is read off its index, in order, from any place on
select set_config('enable_sort', 'off', true);
select is(
    tests.reads(
        'select pp.listing_id from public.product_prices as pp '
        'where pp.country = ''ZA'' and pp.is_listed ' || l.more
        || format(' order by pp.%1$s %2$s, pp.listing_id %2$s limit 24', l.key, l.way)
    ),
    array[l.index],
    l.title
)
from (
    values
    ('', 'listed_at', 'desc', 'product_prices_listed_at_idx', 'the newest'),
    (
        'and (pp.listed_at, pp.listing_id) < (now(), gen_random_uuid())', 'listed_at', 'desc',
        'product_prices_listed_at_idx', 'the newest from a cursor on'
    ),
    ('', 'rating', 'desc', 'product_prices_rating_idx', 'the best'),
    ('', 'amount', 'asc', 'product_prices_amount_idx', 'the cheapest')
) as l (more, key, way, index, title);

select * from finish();
rollback;

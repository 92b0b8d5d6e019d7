-- From what somebody typed to the words that are looked for.

create or replace function private.split_query(query text, out wanted text, out unwanted text [])
language plpgsql
immutable
set search_path = ''
as $$
begin
    if strpos(split_query.query, '-') = 0 then
        wanted := split_query.query;
        return;
    end if;
    -- A minus before a word or before quoted ones; within either it is a hyphen.
    select
        string_agg(t.term [1], ' ' order by t.place) filter (where t.term [1] !~ '^-+[^-]'),
        array_agg(t.term [1] order by t.place) filter (where t.term [1] ~ '^-+[^-]')
    into wanted, unwanted
    from regexp_matches(split_query.query, '-*"[^"]*"?|[^[:space:]"]+', 'g')
        with ordinality as t (term, place);
end
$$;

create or replace function private.read_words(query text)
returns tsquery
language plpgsql
stable
set search_path = ''
as $$
declare
    -- In capitals it lets one choose; else it is a word, and French for gold.
    v_text text := case
        when strpos(read_words.query, '"') > 0 then read_words.query
        else regexp_replace(
            read_words.query, '(?<![^[:space:]])(or|Or|oR)(?![^[:space:]])', '"\1"', 'g'
        )
    end;
    v_query tsquery := websearch_to_tsquery('private.search_en'::regconfig, v_text);
    v_fr tsquery := websearch_to_tsquery('private.search_fr'::regconfig, v_text);
begin
    if v_query <> v_fr then
        v_query := v_query || v_fr;
    end if;
    -- A word with a hyphen is read as a phrase, and so it would be nobody's synonym.
    if strpos(read_words.query, '"') = 0 then
        v_query := regexp_replace(v_query::text, '<[-0-9]+>', '&', 'g')::tsquery;
    end if;
    return v_query;
end
$$;

create or replace function private.read_query(query text)
returns tsquery
language plpgsql
stable
set search_path = ''
as $$
declare
    v_split record := private.split_query(read_query.query);
    v_query tsquery := private.read_words(v_split.wanted);
    v_unwanted tsquery;
    v_targets tsquery [];
    v_substitutes tsquery [];
begin
    -- Nothing but words to leave out would be nearly the whole shop.
    if v_query is null or querytree(v_query) in ('', 'T') then
        return null;
    end if;
    select
        array_agg(r.target order by numnode(r.target) desc, r.target::text),
        array_agg(r.substitute order by numnode(r.target) desc, r.target::text)
    into v_targets, v_substitutes
    from private.search_rewrites as r
    where r.target <@ v_query;
    -- First each synonym gives way to a mark that is no word, then each mark to its concept: so
    -- what a synonym brings in is not itself widened, again and again.
    for i in 1 .. coalesce(cardinality(v_targets), 0) loop
        v_query := ts_rewrite(v_query, v_targets[i], format('%L', ' ' || i)::tsquery);
    end loop;
    for i in 1 .. coalesce(cardinality(v_targets), 0) loop
        v_query := ts_rewrite(v_query, format('%L', ' ' || i)::tsquery, v_substitutes[i]);
    end loop;
    -- What is left out is so in either language and by all its synonyms.
    for v_unwanted in
        select private.read_query(ltrim(u.term, '-')) from unnest(v_split.unwanted) as u (term)
    loop
        v_query := coalesce(v_query && !! v_unwanted, v_query);
    end loop;
    return v_query;
end
$$;

create or replace function private.rank_query(
    query text, out words tsquery, out phrases tsquery []
)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_query tsquery := private.read_words((private.split_query(rank_query.query)).wanted);
    v_words text [];
    v_terms text [];
    v_synonyms text [];
    v_phrases text [];
begin
    v_words := array(
        select distinct w.word [1]
        from regexp_matches(v_query::text, '''(?:[^'']|'''')*''', 'g') as w (word)
    );
    -- Of a synonym of several words ("portable charger") one alone says nothing: they count
    -- together, unless the same concept has one of them alone.
    select
        array_agg(distinct c.target) filter (where numnode(c.target::tsquery) > 1),
        array_agg(distinct c.term) filter (where c.is_word),
        array_agg(distinct c.term) filter (where not c.is_word and not c.has_word)
    into v_terms, v_synonyms, v_phrases
    from (
        select
            r.target::text as target,
            s.term,
            s.term !~ '[&<]' as is_word,
            exists (
                select
                from regexp_split_to_table(r.substitute::text, ' \| ') as o (term)
                where o.term !~ '[&<]' and o.term::tsquery <@ s.term::tsquery
            ) as has_word
        from private.search_rewrites as r
        cross join lateral regexp_split_to_table(r.substitute::text, ' \| ') as s (term)
        where r.target <@ v_query
    ) as c;
    words := (
        select string_agg(distinct w.word, ' | ')::tsquery
        from (
            select u.word
            from unnest(v_words) as u (word)
            where not exists (
                select from unnest(v_terms) as t (term) where u.word::tsquery <@ t.term::tsquery
            )
            union
            select s.term from unnest(v_synonyms) as s (term)
        ) as w
    );
    phrases := v_phrases::tsquery [];
end
$$;

create or replace function private.is_known_word(word text)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
declare
    v_en tsquery := plainto_tsquery('private.search_en'::regconfig, is_known_word.word);
    v_fr tsquery := plainto_tsquery('private.search_fr'::regconfig, is_known_word.word);
begin
    return numnode(v_en) = 0
        or numnode(v_fr) = 0
        or exists (select from private.search_rewrites as r where r.target in (v_en, v_fr));
end
$$;

create or replace function private.mend_query(query text)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_word text;
    v_near text;
    v_mended text := '';
    v_split record;
begin
    perform set_config('pg_trgm.similarity_threshold', '0.3', true);
    v_split := private.split_query(mend_query.query);
    -- A minus alone leaves nothing out.
    if v_split.wanted is null then
        v_split.wanted := mend_query.query;
        v_split.unwanted := null;
    end if;
    -- Each word that no name has gives way to the nearest of those spelt nearly so.
    foreach v_word in array regexp_split_to_array(
        lower(extensions.unaccent(coalesce(left(v_split.wanted, 64), ''))), '[^[:alnum:]]+'
    ) loop
        continue when v_word = '' or char_length(v_word) > 40;
        v_near := null;
        if char_length(v_word) >= 3
            and v_word ~ '[[:alpha:]]'
            and not exists (select from private.search_terms as t where t.word = v_word)
            and not private.is_known_word(v_word) then
            select t.word into v_near
            from private.search_terms as t
            where t.word operator(extensions.%) v_word
            order by
                extensions.similarity(t.word, v_word) desc,
                abs(char_length(t.word) - char_length(v_word)), t.listings desc, t.word
            limit 1;
        end if;
        v_mended := v_mended || ' ' || coalesce(v_near, v_word);
    end loop;
    return concat_ws(' ', v_mended, array_to_string(v_split.unwanted, ' '));
end
$$;

revoke all on function private.split_query(text) from public;
revoke all on function private.read_words(text) from public;
revoke all on function private.read_query(text) from public;
revoke all on function private.rank_query(text) from public;
revoke all on function private.is_known_word(text) from public;
revoke all on function private.mend_query(text) from public;

comment on function private.split_query(text) is
'What a query asks for, and each term that it leaves out, with its minus; null for nothing.';
comment on function private.read_words(text) is
'The words of a query as either language stems them.';
comment on function private.rank_query(text) is
'What makes a match of a query relevant: any of its words and of their synonyms, and synonyms of '
'several words, each of which counts as a whole.';
comment on function private.read_query(text) is
'A query as either language stems it, each word widened to its synonyms of both; null without a '
'word that counts.';
comment on function private.is_known_word(text) is
'Whether a word that no name has is spelt right all the same: a stop word, or one with synonyms.';
comment on function private.mend_query(text) is
'The query with words that no name has replaced by those spelt nearly so.';

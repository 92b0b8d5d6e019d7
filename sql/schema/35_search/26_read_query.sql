-- From what somebody typed to the words that are looked for.

create or replace function private.read_query(query text)
returns tsquery
language plpgsql
stable
set search_path = ''
as $$
declare
    -- In capitals it lets one choose; else it is a word, and French for gold.
    v_text text := case
        when strpos(read_query.query, '"') > 0 then read_query.query
        else regexp_replace(
            read_query.query, '(?<![^[:space:]])(or|Or|oR)(?![^[:space:]])', '"\1"', 'g'
        )
    end;
    v_query tsquery := websearch_to_tsquery('private.search_en'::regconfig, v_text);
    v_fr tsquery := websearch_to_tsquery('private.search_fr'::regconfig, v_text);
    v_targets tsquery [];
    v_substitutes tsquery [];
begin
    if v_query <> v_fr then
        v_query := v_query || v_fr;
    end if;
    -- Nothing but words to leave out would be nearly the whole shop.
    if querytree(v_query) in ('', 'T') then
        return null;
    end if;
    -- A word with a hyphen is read as a phrase, and so it would be nobody's synonym.
    if strpos(read_query.query, '"') = 0 then
        v_query := regexp_replace(v_query::text, '<[-0-9]+>', '&', 'g')::tsquery;
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
    return v_query;
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
begin
    perform set_config('pg_trgm.similarity_threshold', '0.3', true);
    -- Each word that no name has gives way to the nearest of those spelt nearly so.
    foreach v_word in array regexp_split_to_array(
        lower(extensions.unaccent(mend_query.query)), '[^[:alnum:]]+'
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
    return v_mended;
end
$$;

revoke all on function private.read_query(text) from public;
revoke all on function private.is_known_word(text) from public;
revoke all on function private.mend_query(text) from public;

comment on function private.read_query(text) is
'A query as either language stems it, each word widened to its synonyms of both; null without a '
'word that counts.';
comment on function private.is_known_word(text) is
'Whether a word that no name has is spelt right all the same: a stop word, or one with synonyms.';
comment on function private.mend_query(text) is
'The query with words that no name has replaced by those spelt nearly so.';

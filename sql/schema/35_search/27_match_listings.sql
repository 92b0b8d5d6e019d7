-- The listings that have the words, the popular first and no more than somebody looks through.

create type private.search_filters as (
    categories uuid [],
    channel public.product_channel,
    min_rating numeric,
    country text,
    min_price numeric,
    max_price numeric,
    in_stock boolean,
    listing_ids uuid []
);

comment on type private.search_filters is
'What a listing must be besides: a field that is null asks for nothing. Prices are of country; '
'listing_ids are those between them, where they are few: private.narrow_by_price.';

create type private.search_matches as (
    words tsquery,
    listing_ids uuid [],
    relevances real [],
    is_cut boolean,
    query text,
    is_fused boolean
);

comment on type private.search_matches is
'What a query came to: the words that were looked for, the listings that have them with their '
'relevance, whether there are more than were taken, the query as it was read, and whether what '
'means the same is among them: relevance is another measure then.';

create or replace function private.narrow_by_price(filters private.search_filters)
returns private.search_filters
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_filters private.search_filters := narrow_by_price.filters;
    v_most integer := 5000;
    v_ids uuid [];
begin
    -- Prices that few have: these few are looked at. Else every listing with the words would be
    -- asked for its price, and a common word's nearly all in vain.
    if num_nonnulls(v_filters.min_price, v_filters.max_price) = 0 then
        return v_filters;
    end if;
    select array_agg(f.listing_id) into v_ids
    from (
        select pp.listing_id
        from public.product_prices as pp
        where pp.country = v_filters.country
            and pp.amount >= coalesce(v_filters.min_price, 0)
            and pp.amount <= coalesce(v_filters.max_price, 'Infinity')
        limit v_most + 1
    ) as f;
    if coalesce(cardinality(v_ids), 0) <= v_most then
        v_filters.listing_ids := coalesce(v_ids, '{}');
    end if;
    return v_filters;
end
$$;

create or replace function private.match_words(
    words tsquery,
    parts tsquery [],
    query text,
    filters private.search_filters,
    language text
)
returns private.search_matches
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_filters private.search_filters := match_words.filters;
    -- Twenty pages. Who narrows a search has fewer to look through, each row of which costs
    -- more to find.
    v_most integer := case
        when match_words.parts is null and num_nonnulls(
            v_filters.categories, v_filters.channel, v_filters.min_rating, v_filters.min_price,
            v_filters.max_price, v_filters.in_stock
        ) > 0 then 400
        else 480
    end;
    v_en real := case when match_words.language = 'en' then 2 else 1 end;
    v_fr real := case when match_words.language = 'fr' then 2 else 1 end;
    -- Words joined by OR are ranked by how many and where, those joined by AND by how near.
    v_ranked record := private.rank_query(match_words.query);
    v_wanted text := (private.split_query(match_words.query)).wanted;
    v_phrase_en tsquery := phraseto_tsquery('private.search_en'::regconfig, v_wanted);
    v_phrase_fr tsquery := phraseto_tsquery('private.search_fr'::regconfig, v_wanted);
    v_is_popular boolean;
    v_ids uuid [] := '{}'::uuid [];
    v_relevances real [] := '{}'::real [];
    v_more_ids uuid [];
    v_more_relevances real [];
begin
    if numnode(v_phrase_en) < 2 and numnode(v_phrase_fr) < 2 then
        v_phrase_en := null;
        v_phrase_fr := null;
    end if;
    -- The popular first: a common word is not looked for beyond them. The reader's own language
    -- counts double, the words side by side more than scattered, a piece more than a carton of
    -- the same; popularity breaks ties. Where any word will do, each one that is there counts.
    foreach v_is_popular in array '{true, false}'::boolean [] loop
        exit when cardinality(v_ids) >= v_most;
        select array_agg(f.listing_id), array_agg(f.relevance)
        into v_more_ids, v_more_relevances
        from (
            select
                d.listing_id,
                (
                    (
                        coalesce(
                            ts_rank(d.search_en, v_ranked.words) * v_en
                            + ts_rank(d.search_fr, v_ranked.words) * v_fr, 0
                        )
                        + case when v_ranked.phrases is null then 0 else (
                            select
                                sum(
                                    ts_rank(d.search_en, p.words) * v_en
                                    + ts_rank(d.search_fr, p.words) * v_fr
                                )
                            from unnest(v_ranked.phrases) as p (words)
                        ) end
                        + case when match_words.parts is null then 0 else (
                            select count(*)
                            from unnest(match_words.parts) as p (words)
                            where d.search_en @@ p.words or d.search_fr @@ p.words
                        ) end
                    )
                    * case
                        when d.search_en @@ v_phrase_en or d.search_fr @@ v_phrase_fr
                            then 1.3::real
                        else 1::real
                    end
                    * case d.channel when 'wholesale' then 0.8::real else 1::real end
                    * (1 + d.popularity::real / 200)
                )::real as relevance
            from private.search_documents as d
            where d.is_popular = v_is_popular
                and (d.search_en || d.search_fr) @@ match_words.words
                and (v_filters.categories is null or d.category_id = any(v_filters.categories))
                and (v_filters.channel is null or d.channel = v_filters.channel)
                and (v_filters.min_rating is null or d.rating >= v_filters.min_rating)
                and (v_filters.listing_ids is null or d.listing_id = any(v_filters.listing_ids))
                -- Scalar on purpose: each listing is looked up, and none where nothing is asked.
                and (
                    num_nonnulls(v_filters.min_price, v_filters.max_price) = 0
                    or coalesce(
                        (
                            select
                                (v_filters.min_price is null or pp.amount >= v_filters.min_price)
                                and (v_filters.max_price is null or pp.amount <= v_filters.max_price)
                            from public.product_prices as pp
                            where pp.listing_id = d.listing_id
                                and pp.country = v_filters.country
                                and pp.is_listed
                        ),
                        false
                    )
                )
                and (
                    v_filters.in_stock is null
                    or v_filters.in_stock = coalesce(
                        (
                            select
                                s.available >= coalesce(
                                    (
                                        select p.min_order_quantity
                                        from public.products_retailer as p
                                        where p.id = s.retailer_product_id
                                    ),
                                    1
                                )
                            from public.product_stock as s
                            where s.listing_id = d.listing_id
                        ),
                        false
                    )
                )
            limit v_most - cardinality(v_ids)
        ) as f;
        v_ids := v_ids || v_more_ids;
        v_relevances := v_relevances || v_more_relevances;
    end loop;
    return row(
        match_words.words, nullif(v_ids, '{}'), nullif(v_relevances, '{}'),
        cardinality(v_ids) >= v_most, match_words.query, false
    )::private.search_matches;
end
$$;

create or replace function private.any_word(query text)
returns tsquery
language plpgsql
stable
set search_path = ''
as $$
declare
    v_split record := private.split_query(any_word.query);
begin
    return private.read_query((
        select string_agg(distinct w.word, ' OR ')
        from regexp_split_to_table(lower(v_split.wanted), '[^[:alnum:]]+') as w (word)
        where w.word <> ''
    ) || coalesce(' ' || array_to_string(v_split.unwanted, ' '), ''));
end
$$;

create or replace function private.match_any_word(
    query text, filters private.search_filters, language text
)
returns private.search_matches
language plpgsql
stable
set search_path = ''
as $$
begin
    return private.match_words(
        private.any_word(match_any_word.query),
        array(
            select private.read_query(w.word)
            from (
                select distinct s.word
                from regexp_split_to_table(
                    lower((private.split_query(match_any_word.query)).wanted), '[^[:alnum:]]+'
                ) as s (word)
                where s.word <> ''
            ) as w
        ),
        match_any_word.query, match_any_word.filters, match_any_word.language
    );
end
$$;

create or replace function private.is_filtered_out(words tsquery, filters private.search_filters)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
    return num_nonnulls(
        is_filtered_out.filters.min_price, is_filtered_out.filters.max_price,
        is_filtered_out.filters.in_stock
    ) > 0
    and private.gather_words(is_filtered_out.words, is_filtered_out.filters, 1) is not null;
end
$$;

create or replace function private.match_listings(
    query text, filters private.search_filters, language text
)
returns private.search_matches
language plpgsql
stable
set search_path = ''
as $$
declare
    v_matches private.search_matches;
    v_mended text;
begin
    v_matches := private.match_words(
        private.read_query(match_listings.query), null, match_listings.query,
        match_listings.filters, match_listings.language
    );
    if v_matches.listing_ids is not null
        or private.is_filtered_out(v_matches.words, match_listings.filters) then
        return v_matches;
    end if;
    -- Nothing has these words: perhaps they are misspelt.
    v_mended := private.mend_query(match_listings.query);
    v_matches := private.match_words(
        private.read_query(v_mended), null, v_mended, match_listings.filters,
        match_listings.language
    );
    if v_matches.listing_ids is not null
        or private.is_filtered_out(v_matches.words, match_listings.filters) then
        return v_matches;
    end if;
    -- Or there are too many of them: then any.
    return private.match_any_word(v_mended, match_listings.filters, match_listings.language);
end
$$;

create or replace function private.gather_words(
    words tsquery, filters private.search_filters, most integer
)
returns uuid []
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_filters private.search_filters := gather_words.filters;
    v_ids uuid [];
begin
    select array_agg(f.listing_id) into v_ids
    from (
        select d.listing_id
        from private.search_documents as d
        where (d.search_en || d.search_fr) @@ gather_words.words
            and (v_filters.categories is null or d.category_id = any(v_filters.categories))
            and (v_filters.channel is null or d.channel = v_filters.channel)
            and (v_filters.min_rating is null or d.rating >= v_filters.min_rating)
        limit gather_words.most
    ) as f;
    return v_ids;
end
$$;

create or replace function private.is_common(words tsquery, filters private.search_filters)
returns boolean
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_filters private.search_filters := is_common.filters;
begin
    return (
        select count(*) >= 400
        from (
            select 1
            from private.search_documents as d
            where d.is_popular
                and (d.search_en || d.search_fr) @@ is_common.words
                and (v_filters.categories is null or d.category_id = any(v_filters.categories))
                and (v_filters.channel is null or d.channel = v_filters.channel)
                and (v_filters.min_rating is null or d.rating >= v_filters.min_rating)
            limit 400
        ) as f
    );
end
$$;

create or replace function private.gather_listings(
    query text, filters private.search_filters, most integer
)
returns private.search_matches
language plpgsql
stable
set search_path = ''
as $$
declare
    v_query text := gather_listings.query;
    v_words tsquery := private.read_query(v_query);
    v_ids uuid [] := private.gather_words(v_words, gather_listings.filters, gather_listings.most);
begin
    if v_ids is null then
        v_query := private.mend_query(v_query);
        v_words := private.read_query(v_query);
        v_ids := private.gather_words(v_words, gather_listings.filters, gather_listings.most);
    end if;
    if v_ids is null then
        v_words := private.any_word(v_query);
        v_ids := private.gather_words(v_words, gather_listings.filters, gather_listings.most);
    end if;
    return row(
        v_words, v_ids, null, coalesce(cardinality(v_ids), 0) >= gather_listings.most, v_query,
        false
    )::private.search_matches;
end
$$;

create or replace function private.fill_matches(
    matches private.search_matches,
    filters private.search_filters,
    language text
)
returns private.search_matches
language plpgsql
stable
set search_path = ''
as $$
declare
    v_matches private.search_matches := fill_matches.matches;
    v_more private.search_matches;
    v_few integer := 10;
    v_page integer := 24;
    v_least real;
begin
    -- Who uses quotes or a minus means it; and one word has no part.
    if v_matches.listing_ids is null
        or cardinality(v_matches.listing_ids) >= v_few
        or v_matches.query ~ '"|(^|[[:space:]])-'
        or btrim(v_matches.query) !~ '[^[:alnum:]]' then
        return v_matches;
    end if;
    v_more := private.match_any_word(
        left(v_matches.query, 64), fill_matches.filters, fill_matches.language
    );
    -- Behind the least of those that have all words, in their own order.
    select min(u.relevance) into v_least from unnest(v_matches.relevances) as u (relevance);
    select
        v_matches.listing_ids || array_agg(m.id),
        v_matches.relevances || array_agg((v_least * m.relevance / (m.most + 1))::real)
    into v_matches.listing_ids, v_matches.relevances
    from (
        select u.id, u.relevance, max(u.relevance) over () as most
        from unnest(v_more.listing_ids, v_more.relevances) as u (id, relevance)
        where u.id <> all(fill_matches.matches.listing_ids)
        order by u.relevance desc, u.id
        limit v_page - cardinality(v_matches.listing_ids)
    ) as m;
    return v_matches;
end
$$;

revoke all on function private.narrow_by_price(private.search_filters) from public;
revoke all on function private.match_words(
    tsquery, tsquery [], text, private.search_filters, text
) from public;
revoke all on function private.any_word(text) from public;
revoke all on function private.match_any_word(text, private.search_filters, text) from public;
revoke all on function private.is_filtered_out(tsquery, private.search_filters) from public;
revoke all on function private.match_listings(text, private.search_filters, text) from public;
revoke all on function private.gather_words(tsquery, private.search_filters, integer) from public;
revoke all on function private.is_common(tsquery, private.search_filters) from public;
revoke all on function private.gather_listings(text, private.search_filters, integer) from public;
revoke all on function private.fill_matches(
    private.search_matches, private.search_filters, text
) from public;

comment on function private.narrow_by_price(private.search_filters) is
'The filters, with the listings between their prices where these are no more than five thousand.';
comment on function private.match_words(
    tsquery, tsquery [], text, private.search_filters, text
) is
'At most 480 listings with these words (400 with filters) and how relevant they are, popular '
'ones first; null for none. With parts, those that have more of them come first.';
comment on function private.any_word(text) is
'A query of which any word will do.';
comment on function private.match_any_word(text, private.search_filters, text) is
'Listings that have any word of the query, most words first.';
comment on function private.is_filtered_out(tsquery, private.search_filters) is
'Whether listings have the words, and prices or stock alone leave none: then the words are right, '
'and no others are looked for.';
comment on function private.match_listings(text, private.search_filters, text) is
'The listings that a query means: all its words, else as mended, else any of its words.';
comment on function private.gather_words(tsquery, private.search_filters, integer) is
'At most so many listings with these words, in no order; null for none. Prices and stock are not '
'asked.';
comment on function private.is_common(tsquery, private.search_filters) is
'Whether four hundred of the popular listings have the words, and so at least one listing in fifty '
'of a large shop: then any order comes upon them soon.';
comment on function private.gather_listings(text, private.search_filters, integer) is
'As match_listings for those who sort or count by something else: without relevance.';
comment on function private.fill_matches(
    private.search_matches, private.search_filters, text
) is
'The matches, and behind them, where they are fewer than ten, listings that have a part of the '
'words: as many as fill a page.';

create type public.product_suggestion as (
    suggestion text,
    product_id uuid,
    channel public.product_channel
);

comment on type public.product_suggestion is
'A completed search, or with product_id a product itself.';

create or replace function private.suggest_products(prefix text, language text)
returns setof public.product_suggestion
language plpgsql
stable
security definer
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_language text := coalesce(suggest_products.language, private.caller_language());
    v_words text [] := array(
        select w.word
        from regexp_split_to_table(
            lower(extensions.unaccent(left(suggest_products.prefix, 80))), '[^[:alnum:]]+'
        ) as w (word)
        where w.word <> ''
    );
    v_last text := v_words[cardinality(v_words)];
    v_before text := array_to_string(v_words[: cardinality(v_words) - 1], ' ');
    v_word text;
    v_en tsquery;
    v_fr tsquery;
    v_typed tsquery;
    v_query tsquery;
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', left(v_language, 200));
    end if;
    if coalesce(char_length(v_last), 0) = 0 then
        return;
    end if;
    foreach v_word in array v_words[: cardinality(v_words) - 1] loop
        v_en := plainto_tsquery('private.search_en'::regconfig, v_word);
        v_fr := plainto_tsquery('private.search_fr'::regconfig, v_word);
        if numnode(v_en) > 0 and numnode(v_fr) > 0 then
            v_typed := coalesce(v_typed && (v_en || v_fr), v_en || v_fr);
        end if;
    end loop;
    if v_typed is null then
        -- The word that is being typed, completed by what names of the reader's language have most;
        -- words of the other one, which find the same, fill up.
        return query
        select
            btrim(v_before || ' ' || coalesce(t.own, t.other, t.word)),
            null::uuid,
            null::public.product_channel
        from (
            select
                s.word,
                s.listings,
                case v_language when 'fr' then s.french else s.english end as own,
                case v_language when 'fr' then s.english else s.french end as other
            from private.search_terms as s
            where s.word like v_last || '%' and s.word <> v_last
        ) as t
        order by t.own is null, t.listings desc, t.word
        limit 5;
    else
        -- After other words by what the names have that go with them.
        return query
        select v_before || ' ' || w.spelling, null::uuid, null::public.product_channel
        from (
            select d.listing_id
            from private.search_documents as d
            where d.is_popular and (d.search_en || d.search_fr) @@ v_typed
            limit 300
        ) as n
        cross join lateral (
            select p.name, p.name_fr from public.products as p where p.id = n.listing_id
            union all
            select p.name, p.name_fr from public.products_retailer as p where p.id = n.listing_id
        ) as l
        cross join lateral unnest(tsvector_to_array(to_tsvector(
            'pg_catalog.simple'::regconfig,
            case when v_language = 'fr' then coalesce(l.name_fr, l.name) else l.name end
        ))) as w (spelling)
        where extensions.unaccent(w.spelling) like v_last || '%'
            and extensions.unaccent(w.spelling) <> v_last
        group by w.spelling
        order by count(*) desc, w.spelling
        limit 5;
    end if;
    -- And the popular products that have these words; a single letter begins everything.
    if char_length(v_last) < 2 and v_before = '' then
        return;
    end if;
    v_query := to_tsquery('private.search_words'::regconfig, v_last || ':*')
        || private.as_search_query(v_last);
    v_query := coalesce(v_query && v_typed, v_query);
    return query
    select case when v_language = 'fr' then coalesce(l.name_fr, l.name) else l.name end,
        n.listing_id, n.channel
    from (
        select f.listing_id, f.channel, f.popularity
        from (
            select m.listing_id, m.channel, m.popularity
            from (
                select d.listing_id, d.channel, d.popularity
                from private.search_documents as d
                where d.is_popular and (d.search_en || d.search_fr) @@ v_query
                limit 1000
            ) as m
            order by m.popularity desc, m.listing_id
        ) as f
        -- Down from the most popular, and no further than five are sold somewhere.
        cross join lateral (
            select 1
            from public.product_prices as pp
            inner join public.categories as g on pp.category_id = g.id and g.is_active
            where pp.listing_id = f.listing_id and pp.is_listed
            limit 1
        ) as x
        -- A description may speak of anything: the words must be of the name or the category.
        cross join lateral (
            select 1
            from private.search_documents as d
            where d.listing_id = f.listing_id
                and ts_filter(d.search_en || d.search_fr, '{a,b}') @@ v_query
            limit 1
        ) as y
        limit 5
    ) as n
    cross join lateral (
        select p.name, p.name_fr from public.products as p where p.id = n.listing_id
        union all
        select p.name, p.name_fr from public.products_retailer as p where p.id = n.listing_id
    ) as l
    order by n.popularity desc, n.listing_id;
end
$$;

create or replace function public.suggest_products(prefix text, language text default null)
returns setof public.product_suggestion
language plpgsql
stable
set search_path = ''
as $$
begin
    if private.is_not_modified() then
        return;
    end if;
    return query
    select s.*
    from private.suggest_products(suggest_products.prefix, suggest_products.language) as s;
end
$$;

revoke all on function private.suggest_products(text, text) from public;
revoke all on function public.suggest_products(text, text) from public;
grant execute on function private.suggest_products(text, text)
to anon, authenticated, service_role;
grant execute on function public.suggest_products(text, text) to anon, authenticated, service_role;

comment on function private.suggest_products(text, text) is
'Core of suggest_products. Definer because search is closed; it shows only what is on sale.';
comment on function public.suggest_products(text, text) is
'What a beginning may become: at most five searches that find something, those in the reader''s '
'language first, then at most five popular products. Error: language_unknown.';

-- Where a query's meaning is known, what is near to it is fused with what has its words: by place
-- in either list (reciprocal ranks), since the two measures cannot be compared.

create or replace function private.near_listings(
    embedding extensions.halfvec, model text, filters private.search_filters, most integer
)
returns uuid []
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
    v_filters private.search_filters := near_listings.filters;
    v_farthest double precision := (
        select s.farthest_meaning from private.search_settings as s
    );
begin
    -- Of the nearest, 97 in 100 are found when the graph is read twice as far as rows are wanted,
    -- and 81 when not; it goes on from there where filters left too few.
    perform set_config('hnsw.ef_search', least(1000, 2 * near_listings.most)::text, true);
    perform set_config('hnsw.iterative_scan', 'relaxed_order', true);
    return (
        select array_agg(f.listing_id order by f.distance, f.listing_id)
        from (
            select e.listing_id, e.embedding operator(extensions.<=>) near_listings.embedding
                as distance
            from private.product_embeddings as e
            inner join private.search_documents as d on e.listing_id = d.listing_id
            where e.model = near_listings.model
                and (v_filters.categories is null or d.category_id = any(v_filters.categories))
                and (v_filters.channel is null or d.channel = v_filters.channel)
                and (v_filters.min_rating is null or d.rating >= v_filters.min_rating)
            order by e.embedding operator(extensions.<=>) near_listings.embedding
            limit near_listings.most
        ) as f
        where f.distance <= v_farthest
    );
end
$$;

create or replace function private.fuse_embedding(
    matches private.search_matches,
    embedding extensions.halfvec,
    model text,
    filters private.search_filters
)
returns private.search_matches
language plpgsql
stable
set search_path = ''
as $$
declare
    v_matches private.search_matches := fuse_embedding.matches;
begin
    if fuse_embedding.embedding is null then
        return v_matches;
    end if;
    select array_agg(s.id), array_agg(s.relevance)
    into v_matches.listing_ids, v_matches.relevances
    from (
        select r.id, sum(1.0 / (60 + r.place))::real as relevance
        from (
            select u.id, row_number() over (order by u.relevance desc, u.id) as place
            from unnest(
                fuse_embedding.matches.listing_ids, fuse_embedding.matches.relevances
            ) as u (id, relevance)
            union all
            select n.id, n.place
            from unnest(
                private.near_listings(
                    fuse_embedding.embedding, fuse_embedding.model, fuse_embedding.filters, 100
                )
            ) with ordinality as n (id, place)
        ) as r
        group by r.id
    ) as s;
    v_matches.is_fused := true;
    return v_matches;
end
$$;

create or replace function private.fuse_matches(
    matches private.search_matches, query text, filters private.search_filters
)
returns private.search_matches
language plpgsql
stable
set search_path = ''
as $$
declare
    v_embedded private.query_embeddings;
begin
    -- Who uses quotes or a minus means the words.
    if fuse_matches.query ~ '"|(^|[[:space:]])-' then
        return fuse_matches.matches;
    end if;
    select q.* into v_embedded
    from private.query_embeddings as q
    where q.query = private.search_key(fuse_matches.query);
    return private.fuse_embedding(
        fuse_matches.matches, v_embedded.embedding, v_embedded.model, fuse_matches.filters
    );
end
$$;

revoke all on function private.near_listings(
    extensions.halfvec, text, private.search_filters, integer
) from public;
revoke all on function private.fuse_embedding(
    private.search_matches, extensions.halfvec, text, private.search_filters
) from public;
revoke all on function private.fuse_matches(
    private.search_matches, text, private.search_filters
) from public;

comment on function private.near_listings(
    extensions.halfvec, text, private.search_filters, integer
) is
'The listings on sale whose meaning, by the same model, is nearest; nearest first, null for none.';
comment on function private.fuse_embedding(
    private.search_matches, extensions.halfvec, text, private.search_filters
) is
'The matches and what is near to an embedding, fused by reciprocal rank: relevance is then the sum '
'of 1 / (60 + place). Without an embedding the matches as they were.';
comment on function private.fuse_matches(
    private.search_matches, text, private.search_filters
) is
'The matches and what means the same as the query, where it has been embedded.';

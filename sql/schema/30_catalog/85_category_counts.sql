-- How much there is of everything, counted once for all who ask: a menu shows it on every page.

create table private.listing_counts (
    country text not null references public.countries (code) on delete cascade,
    category_id uuid not null references public.categories (id) on delete cascade,
    channel public.product_channel not null,
    listings integer not null,
    rated_3 integer not null,
    rated_4 integer not null,
    rated_45 integer not null,
    primary key (country, category_id, channel),
    constraint listing_counts_listings_positive check (listings > 0)
);

alter table private.listing_counts enable row level security;

create index listing_counts_category_id_idx on private.listing_counts (category_id);

comment on table private.listing_counts is
'Listings on sale by country, category and channel, made anew by the job count_catalogue when the '
'catalogue has changed. A category counts its own listings, not those below it.';
comment on column private.listing_counts.rated_3 is 'Of those, with three stars or more.';
comment on column private.listing_counts.rated_45 is 'Of those, with four and a half or more.';

create table private.counted_catalogue (
    is_only boolean primary key default true,
    version bigint not null,
    counted_at timestamptz not null default now(),
    constraint counted_catalogue_is_one_row check (is_only)
);

alter table private.counted_catalogue enable row level security;

comment on table private.counted_catalogue is
'One row: the catalogue''s version when its listings were last counted; none before that.';

create or replace function service.count_catalogue()
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_version bigint := private.catalogue_version();
    v_changed integer;
begin
    if exists (select from private.counted_catalogue as n where n.version = v_version) then
        return jsonb_build_object('is_counted', false, 'changed', 0);
    end if;
    with counted as (
        select
            pp.country,
            pp.category_id,
            pp.channel,
            count(*) as listings,
            count(*) filter (where pp.rating >= 3) as rated_3,
            count(*) filter (where pp.rating >= 4) as rated_4,
            count(*) filter (where pp.rating >= 4.5) as rated_45
        from public.product_prices as pp
        where pp.is_listed
        group by pp.country, pp.category_id, pp.channel
    ),

    gone as (
        delete from private.listing_counts as l
        where not exists (
            select from counted as n
            where n.country = l.country
                and n.category_id = l.category_id
                and n.channel = l.channel
        )
        returning l.category_id
    ),

    stored as (
        insert into private.listing_counts as l (
            country, category_id, channel, listings, rated_3, rated_4, rated_45
        )
        select
            n.country, n.category_id, n.channel, n.listings, n.rated_3, n.rated_4, n.rated_45
        from counted as n
        on conflict on constraint listing_counts_pkey do update
        set listings = excluded.listings,
            rated_3 = excluded.rated_3,
            rated_4 = excluded.rated_4,
            rated_45 = excluded.rated_45
        where (l.listings, l.rated_3, l.rated_4, l.rated_45)
            is distinct from (
                excluded.listings, excluded.rated_3, excluded.rated_4, excluded.rated_45
            )
        returning l.category_id
    )

    select (select count(*) from gone) + (select count(*) from stored) into v_changed;
    -- The counts are part of what is shown: they make a version of their own. The next run finds
    -- nothing new in it and the one after that has nothing to do.
    if v_changed > 0 then
        perform private.note_catalogue_change();
    end if;
    insert into private.counted_catalogue as n (version)
    values (v_version)
    on conflict on constraint counted_catalogue_pkey do update
    set version = excluded.version, counted_at = excluded.counted_at;
    return jsonb_build_object('is_counted', true, 'changed', v_changed);
end
$$;

create type public.category_count as (
    category text,
    products integer
);

comment on type public.category_count is
'A category''s slug and how many products are on sale in it and below it.';

create or replace function private.category_counts(
    country text, channel public.product_channel
)
returns setof public.category_count
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_country text := coalesce(category_counts.country, private.caller_country());
begin
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', left(v_country, 200));
    end if;
    return query
    with recursive branch as (
        select g.id as top_id, g.id, 1 as depth
        from public.categories as g
        where g.is_active
        union all
        select b.top_id, g.id, b.depth + 1
        from branch as b
        inner join public.categories as g on b.id = g.parent_id
        where g.is_active and b.depth < 16
    )

    select g.slug, coalesce(sum(l.listings), 0)::integer
    from branch as b
    inner join public.categories as g on b.top_id = g.id
    left join private.listing_counts as l
        on b.id = l.category_id
            and l.country = v_country
            and (category_counts.channel is null or l.channel = category_counts.channel)
    group by g.slug
    order by g.slug;
end
$$;

create or replace function public.category_counts(
    country text default null,
    channel public.product_channel default null
)
returns setof public.category_count
language plpgsql
stable
set search_path = ''
as $$
begin
    if private.is_not_modified() then
        return;
    end if;
    return query
    select n.* from private.category_counts(category_counts.country, category_counts.channel) as n;
end
$$;

revoke all on function service.count_catalogue() from public;
revoke all on function private.category_counts(text, public.product_channel) from public;
revoke all on function public.category_counts(text, public.product_channel) from public;
grant execute on function service.count_catalogue() to mallgram_service;
grant execute on function private.category_counts(text, public.product_channel)
to anon, authenticated, service_role;
grant execute on function public.category_counts(text, public.product_channel)
to anon, authenticated, service_role;

comment on function service.count_catalogue() is
'Counts listings anew if the catalogue has changed since: {is_counted, changed}, changed being the '
'counts that differ. Definer because the counts are closed to the service.';
comment on function private.category_counts(text, public.product_channel) is
'Core of category_counts. Definer because the counts are closed to callers; they are of goods that '
'everybody may see.';
comment on function public.category_counts(text, public.product_channel) is
'How many products each active category holds, those below it included, in a country (default: the '
'caller''s, else ZA) and one channel or both; counted every few minutes. Error: country_unknown.';

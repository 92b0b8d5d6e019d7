-- Pictures stay at the supplier until a job has copied them into the shop's own storage; only then
-- does a product show them.

create table private.supplier_pictures (
    listing_id uuid not null references private.supplier_listings (listing_id) on delete cascade,
    position smallint not null,
    source_url text not null,
    status text not null default 'waiting',
    tries smallint not null default 0,
    next_try_at timestamptz not null default now(),
    failure text,
    primary key (listing_id, position),
    constraint supplier_pictures_position_in_range check (position between 0 and 199),
    constraint supplier_pictures_source_url_is_web check (source_url ~ '^https?://[[:graph:]]+$'),
    constraint supplier_pictures_status_is_known
    check (status in ('waiting', 'copied', 'failed', 'gone'))
);

alter table private.supplier_pictures enable row level security;

create index supplier_pictures_waiting_idx on private.supplier_pictures (next_try_at)
where status = 'waiting';
create index supplier_pictures_gone_idx on private.supplier_pictures (listing_id)
where status = 'gone';

comment on table private.supplier_pictures is
'Pictures at the supplier: 0 to 99 the gallery, from 100 on those of single variants. waiting: to '
'be copied. copied: in Storage, a row of product_media. failed: tried often enough. gone: the '
'supplier has taken it away, and so shall we.';

create table private.picture_leftovers (
    storage_path text primary key,
    claimed_at timestamptz,
    is_removed boolean not null default false,
    constraint picture_leftovers_storage_path_is_ours
    check (storage_path ~ '^products/sync/[0-9a-f-]{36}/[a-z0-9.]+$')
);

alter table private.picture_leftovers enable row level security;

comment on table private.picture_leftovers is
'Copied pictures that no product shows any more, to be removed from Storage; for ten minutes after '
'a claim none is shown again, for its file may just be going.';

create or replace function private.tg_product_media__leave_over()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    insert into private.picture_leftovers (storage_path)
    values (old.storage_path)
    on conflict on constraint picture_leftovers_pkey do nothing;
    return null;
end
$$;

revoke all on function private.tg_product_media__leave_over() from public;

comment on function private.tg_product_media__leave_over() is
'Trigger: the file of a copied picture that is no longer shown is to go. Definer because what is '
'left over is closed to everyone.';

create trigger product_media_70_leave_over
after delete on public.product_media
for each row
when (old.storage_path ~ '^products/sync/[0-9a-f-]{36}/[a-z0-9.]+$')
execute function private.tg_product_media__leave_over();

create trigger product_media_71_leave_over
after update of storage_path on public.product_media
for each row
when (
    old.storage_path ~ '^products/sync/[0-9a-f-]{36}/[a-z0-9.]+$'
    and new.storage_path <> old.storage_path
)
execute function private.tg_product_media__leave_over();

create or replace function private.tg_product_variant_sources__show_picture()
returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as $$
begin
    -- Copied already, for the gallery or another variant: it is looked at once more, and shown.
    if exists (select from changed as c where c.image_url is not null) then
        update private.supplier_pictures as p
        set status = 'waiting', tries = 0, next_try_at = now(), failure = null
        from (
            select distinct v.listing_id, c.image_url
            from changed as c
            inner join public.product_variants as v on c.variant_id = v.id
            where c.image_url is not null
        ) as n
        where p.listing_id = n.listing_id
            and p.source_url = n.image_url
            and p.status in ('copied', 'failed');
    end if;
    return null;
end
$$;

create or replace function private.tg_product_variant_sources__show_new_picture()
returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as $$
begin
    if exists (
        select from changed as c
        inner join before as o on c.variant_id = o.variant_id
        where c.image_url <> coalesce(o.image_url, '')
    ) then
        update private.supplier_pictures as p
        set status = 'waiting', tries = 0, next_try_at = now(), failure = null
        from (
            select distinct v.listing_id, c.image_url
            from changed as c
            inner join before as o on c.variant_id = o.variant_id
            inner join public.product_variants as v on c.variant_id = v.id
            where c.image_url <> coalesce(o.image_url, '')
        ) as n
        where p.listing_id = n.listing_id
            and p.source_url = n.image_url
            and p.status in ('copied', 'failed');
    end if;
    return null;
end
$$;

revoke all on function private.tg_product_variant_sources__show_picture() from public;
revoke all on function private.tg_product_variant_sources__show_new_picture() from public;

comment on function private.tg_product_variant_sources__show_picture() is
'Trigger: a new variant comes to show a picture that its product has already.';
comment on function private.tg_product_variant_sources__show_new_picture() is
'Trigger: a variant whose picture at the supplier is now another one comes to show that.';

create trigger product_variant_sources_70_show_picture
after insert on private.product_variant_sources
referencing new table as changed
for each statement execute function private.tg_product_variant_sources__show_picture();

create trigger product_variant_sources_71_show_new_picture
after update on private.product_variant_sources
referencing old table as before new table as changed
for each statement execute function private.tg_product_variant_sources__show_new_picture();

create or replace function private.wanted_pictures(batch private.sync_batch)
returns table (listing_id uuid, "position" smallint, url text)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    return query
    with good as (
        select i.listing_id, s.image_urls[1:8] as image_urls, s.variants
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        inner join private.supplier_listings as l on i.listing_id = l.listing_id
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    ),

    gallery as (
        select g.listing_id, (u.place - 1)::smallint as place, u.url
        from good as g
        cross join lateral unnest(g.image_urls) with ordinality as u (url, place)
        union all
        select
            g.listing_id,
            (99 + row_number() over (partition by g.listing_id order by v.place))::smallint,
            v.url
        from good as g
        cross join lateral (
            select w.value ->> 'image_url' as url, min(w.place) as place
            from jsonb_array_elements(g.variants) with ordinality as w (value, place)
            where not (w.value ->> 'image_url') = any(g.image_urls)
            group by w.value ->> 'image_url'
            order by min(w.place)
            limit 30
        ) as v
    )

    select w.listing_id, w.place, w.url
    from gallery as w
    where w.url ~ '^https?://[[:graph:]]+$';
end
$$;

create or replace function private.is_copying_pictures(jobs integer)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        select count(*)
        from private.outbox as o
        where o.job = 'copy_pictures' and o.done_at is null and o.failed_at is null
    ) >= is_copying_pictures.jobs;
end
$$;

create or replace function private.lose_pictures(batch private.sync_batch)
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_gone integer;
begin
    -- A picture that the supplier takes away may be one that nobody may show.
    with wanted as materialized (
        select g.listing_id, g.position from private.wanted_pictures(batch) as g
    )

    update private.supplier_pictures as p
    set status = 'gone'
    from private.sync_items as i
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and p.listing_id = i.listing_id
        and p.status <> 'gone'
        and (p.listing_id, p.position) not in (
            select w.listing_id, w.position from wanted as w
        );
    get diagnostics v_gone = row_count;
    return v_gone;
end
$$;

revoke all on function private.lose_pictures(private.sync_batch) from public;

comment on function private.lose_pictures(private.sync_batch) is
'Pictures of a batch that the supplier no longer shows are to go: how many.';

create or replace function private.take_in_pictures(batch private.sync_batch)
returns integer
language plpgsql
set search_path = ''
set jit = 'off'
as $$
declare
    v_written integer;
    v_gone integer;
begin
    insert into private.supplier_pictures as p (listing_id, position, source_url)
    select g.listing_id, g.position, g.url
    from private.wanted_pictures(batch) as g
    left join private.supplier_pictures as o
        on g.listing_id = o.listing_id and g.position = o.position
    where o.source_url is distinct from g.url or o.status = 'gone'
    order by g.listing_id, g.position
    on conflict on constraint supplier_pictures_pkey do update
    set source_url = excluded.source_url,
        status = 'waiting',
        tries = 0,
        next_try_at = now(),
        failure = null;
    get diagnostics v_written = row_count;
    v_gone := private.lose_pictures(batch);
    -- One job at a time copies: more of them would stand in the queue before the run's own slices.
    if v_written + v_gone > 0 and not private.is_copying_pictures(1) then
        perform private.emit('copy_pictures', '{}', 'copy_pictures/' || batch.run_id || '/'
            || batch.upto);
    end if;
    return v_written + v_gone;
end
$$;

create or replace function service.claim_pictures(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_claimed jsonb := '[]'::jsonb;
    v_due integer := 1;
begin
    -- What is on sale and shown first comes first; a claim is a lease of five minutes. What was
    -- claimed twelve times and never answered for stops the work itself, and no longer gets any.
    while v_claimed = '[]' and v_due > 0 loop
        with due as (
            select p.listing_id, p.position
            from private.supplier_pictures as p
            where p.status = 'waiting' and p.next_try_at <= now()
            order by p.next_try_at, p.position
            limit claim_pictures.batch
            for update skip locked
        ),

        claimed as (
            update private.supplier_pictures as p
            set status = case when p.tries >= 12 then 'failed' else 'waiting' end,
                failure = case
                    when p.tries >= 12 then coalesce(p.failure, 'never_answered') else p.failure
                end,
                tries = least(p.tries + 1, 12),
                next_try_at = now() + interval '5 minutes'
            from due as d
            where p.listing_id = d.listing_id and p.position = d.position
            returning p.listing_id, p.position, p.source_url, p.status
        )

        select
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'listing_id', c.listing_id, 'position', c.position,
                        'source_url', c.source_url
                    )
                ) filter (where c.status = 'waiting'),
                '[]'
            ),
            count(*)
        into v_claimed, v_due
        from claimed as c;
    end loop;
    return v_claimed;
end
$$;

create or replace function service.drop_gone_pictures(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_listing_ids uuid [];
    v_dropped integer;
begin
    select array_agg(n.listing_id)
    into v_listing_ids
    from (
        select distinct p.listing_id
        from private.supplier_pictures as p
        where p.status = 'gone'
        order by p.listing_id
        limit drop_gone_pictures.batch
    ) as n;
    -- A variant that shows one forgets it: before it comes its product's row, as orders have it.
    perform
    from public.product_stock as k
    where k.listing_id = any(v_listing_ids)
    order by k.listing_id
    for no key update;
    with gone as (
        select p.listing_id, p.position
        from private.supplier_pictures as p
        where p.listing_id = any(v_listing_ids) and p.status = 'gone'
        for update skip locked
    ),

    forgotten as (
        delete from private.supplier_pictures as p
        using gone as g
        where p.listing_id = g.listing_id and p.position = g.position
        returning p.listing_id, p.position
    ),

    hidden as (
        delete from public.product_media as m
        using forgotten as f
        where m.listing_id = f.listing_id
            and m.position = f.position
            and m.storage_path like 'products/sync/%'
    )

    select count(*) into v_dropped from forgotten as f;
    return jsonb_build_object('dropped', v_dropped);
end
$$;

create or replace function service.claim_picture_leftovers(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_claimed jsonb;
begin
    -- Shown again before anybody came for it, or gone for so long that no upload meets its removal.
    delete from private.picture_leftovers as f
    where f.is_removed and f.claimed_at < now() - interval '10 minutes'
        or f.claimed_at is null and exists (
            select from public.product_media as m
            where m.listing_id = split_part(f.storage_path, '/', 3)::uuid
                and m.storage_path = f.storage_path
        );
    with due as (
        select f.storage_path
        from private.picture_leftovers as f
        where not f.is_removed
            and coalesce(f.claimed_at < now() - interval '10 minutes', true)
            and not exists (
                select from public.product_media as m
                where m.listing_id = split_part(f.storage_path, '/', 3)::uuid
                    and m.storage_path = f.storage_path
            )
        order by f.storage_path
        limit claim_picture_leftovers.batch
        for update skip locked
    ),

    claimed as (
        update private.picture_leftovers as f
        set claimed_at = now()
        from due as d
        where f.storage_path = d.storage_path
        returning f.storage_path
    )

    select coalesce(jsonb_agg(c.storage_path order by c.storage_path), '[]')
    into v_claimed
    from claimed as c;
    return v_claimed;
end
$$;

create or replace function service.record_pictures_removed(storage_paths text [])
returns jsonb
language sql
security definer
set search_path = ''
as $$
    with removed as (
        update private.picture_leftovers as f
        set is_removed = true
        where f.storage_path = any(record_pictures_removed.storage_paths)
            and f.claimed_at is not null
            and not f.is_removed
        returning f.storage_path
    )

    select jsonb_build_object('removed', count(*)) from removed as r
$$;

create or replace function service.record_picture(
    listing_id uuid,
    "position" integer,
    source_url text,
    storage_path text,
    width integer,
    height integer,
    byte_size integer,
    content_hash text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_listing private.supplier_listings;
    v_media_id uuid;
    v_shown_before text;
begin
    -- Before a variant comes its product's row, as orders have it.
    perform
    from public.product_stock as k
    where k.listing_id = record_picture.listing_id
    for no key update;
    -- Its file was left over and may be going at this moment: it is copied again afterwards.
    delete from private.picture_leftovers as f
    where f.storage_path = record_picture.storage_path
        and coalesce(f.claimed_at < now() - interval '10 minutes', true);
    if exists (
        select from private.picture_leftovers as f
        where f.storage_path = record_picture.storage_path
    ) then
        update private.supplier_pictures as p
        set next_try_at = now() + interval '10 minutes'
        where p.listing_id = record_picture.listing_id
            and p.position = record_picture.position
            and p.status = 'waiting';
        return jsonb_build_object('is_shown', false);
    end if;
    update private.supplier_pictures as p
    set status = 'copied', failure = null
    where p.listing_id = record_picture.listing_id
        and p.position = record_picture.position
        and p.source_url = record_picture.source_url
        and p.status <> 'gone';
    if not found then
        return jsonb_build_object('is_shown', false);
    end if;
    select l.* into v_listing
    from private.supplier_listings as l
    where l.listing_id = record_picture.listing_id;
    v_shown_before := (
        select m.storage_path from public.product_media as m
        where m.listing_id = record_picture.listing_id and m.position = record_picture.position
    );
    -- A picture that somebody has put in that place by hand stays.
    insert into public.product_media as m (
        product_id, retailer_product_id, position, storage_path, alt, alt_fr, width, height,
        byte_size, content_hash
    )
    select
        v_listing.product_id, v_listing.retailer_product_id, record_picture.position::smallint,
        record_picture.storage_path, coalesce(p.name, r.name),
        coalesce(p.name_fr, r.name_fr), record_picture.width, record_picture.height,
        record_picture.byte_size, record_picture.content_hash
    from (select 1) as one
    left join public.products as p on p.id = v_listing.product_id
    left join public.products_retailer as r on r.id = v_listing.retailer_product_id
    on conflict on constraint product_media_position_key do update
    set storage_path = excluded.storage_path,
        alt = excluded.alt,
        alt_fr = excluded.alt_fr,
        width = excluded.width,
        height = excluded.height,
        byte_size = excluded.byte_size,
        content_hash = excluded.content_hash
    where m.storage_path like 'products/sync/%'
    returning m.id into v_media_id;
    -- A variant that showed what stood in this place before waits for its own.
    update public.product_variants as v
    set media_id = case when s.image_url = record_picture.source_url then v_media_id end
    from private.product_variant_sources as s
    where v.listing_id = record_picture.listing_id
        and s.variant_id = v.id
        and v_media_id is not null
        and case
            when s.image_url = record_picture.source_url
                then v.media_id is distinct from v_media_id
            else v.media_id = v_media_id and v_shown_before <> record_picture.storage_path
        end;
    return jsonb_build_object('is_shown', v_media_id is not null);
end
$$;

create or replace function service.record_picture_failed(
    listing_id uuid, "position" integer, source_url text, reason text, is_fact boolean
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_status text;
begin
    update private.supplier_pictures as p
    set status = case
            when record_picture_failed.is_fact or p.tries >= 6 then 'failed' else 'waiting'
        end,
        failure = left(record_picture_failed.reason, 200),
        next_try_at = now() + make_interval(mins => (2 ^ least(p.tries, 10))::integer)
    where p.listing_id = record_picture_failed.listing_id
        and p.position = record_picture_failed.position
        and p.source_url = record_picture_failed.source_url
        and p.status = 'waiting'
    returning p.status into v_status;
    return jsonb_build_object('status', v_status);
end
$$;

create or replace function service.continue_pictures()
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- The job that asks is still open itself; another one goes on in its place.
    if private.is_copying_pictures(2) or not exists (
        select from private.supplier_pictures as p
        where p.status = 'waiting' and p.next_try_at <= now()
    ) then
        return jsonb_build_object('is_planned', false);
    end if;
    perform private.emit(
        'copy_pictures', '{}', 'copy_pictures/' || to_char(now(), 'YYYYMMDDHH24MISSMS')
    );
    return jsonb_build_object('is_planned', true);
end
$$;

revoke all on function private.wanted_pictures(private.sync_batch) from public;
revoke all on function private.is_copying_pictures(integer) from public;
revoke all on function private.take_in_pictures(private.sync_batch) from public;
revoke all on function service.claim_picture_leftovers(integer) from public;
revoke all on function service.drop_gone_pictures(integer) from public;
revoke all on function service.record_pictures_removed(text []) from public;
revoke all on function service.claim_pictures(integer) from public;
revoke all on function service.continue_pictures() from public;
revoke all on function service.record_picture(
    uuid, integer, text, text, integer, integer, integer, text
) from public;
revoke all on function service.record_picture_failed(uuid, integer, text, text, boolean)
from public;
grant execute on function service.claim_picture_leftovers(integer) to mallgram_service;
grant execute on function service.claim_pictures(integer) to mallgram_service;
grant execute on function service.drop_gone_pictures(integer) to mallgram_service;
grant execute on function service.record_pictures_removed(text []) to mallgram_service;
grant execute on function service.continue_pictures() to mallgram_service;
grant execute on function service.record_picture(
    uuid, integer, text, text, integer, integer, integer, text
) to mallgram_service;
grant execute on function service.record_picture_failed(uuid, integer, text, text, boolean)
to mallgram_service;

comment on function private.is_copying_pictures(integer) is
'Whether at least so many jobs that copy pictures are planned or at work.';
comment on function private.take_in_pictures(private.sync_batch) is
'Notes which pictures goods have at the supplier; new ones and changed ones wait to be copied, '
'those that it has taken away to be dropped. How many.';
comment on function private.wanted_pictures(private.sync_batch) is
'Pictures of a batch with their places: eight of the gallery, then those of variants.';
comment on function service.claim_picture_leftovers(integer) is
'Files to be removed from Storage, for ten minutes: [storage_path]. Definer because the table is '
'closed to the service.';
comment on function service.drop_gone_pictures(integer) is
'Products no longer show what the supplier has taken away, so many products at a time: {dropped}. '
'Definer because the tables are closed to the service.';
comment on function service.record_pictures_removed(text []) is
'Files that are no longer in Storage: {removed}. Definer because the table is closed to the '
'service.';
comment on function service.claim_pictures(integer) is
'Pictures to be copied, for five minutes: [{listing_id, position, source_url}]; the twelfth claim '
'is the last. Definer because the table is closed to the service.';
comment on function service.continue_pictures() is
'Plans the next run while pictures wait that are due: {is_planned}. Definer because the table is '
'closed to the service.';
comment on function service.record_picture(
    uuid, integer, text, text, integer, integer, integer, text
) is
'A picture is in Storage: the product and its variants show it, unless somebody has put another in '
'its place by hand: {is_shown}. Again, nothing changes. Definer because the tables are closed to '
'the service.';
comment on function service.record_picture_failed(uuid, integer, text, text, boolean) is
'A picture could not be copied: tried again later, or never when that is certain or it was tried '
'six times: {status}. Definer because the table is closed to the service.';

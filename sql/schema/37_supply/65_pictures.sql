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
    constraint supplier_pictures_status_is_known check (status in ('waiting', 'copied', 'failed'))
);

alter table private.supplier_pictures enable row level security;

create index supplier_pictures_waiting_idx on private.supplier_pictures (next_try_at)
where status = 'waiting';

comment on table private.supplier_pictures is
'Pictures at the supplier: 0 to 99 the gallery, from 100 on those of single variants. waiting: to '
'be copied. copied: in Storage, a row of product_media. failed: tried often enough.';

create or replace function private.take_in_pictures(batch private.sync_batch)
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_written integer;
begin
    with gallery as (
        select i.listing_id, (g.place - 1)::smallint as position, g.url
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        cross join lateral unnest(s.image_urls[1:8]) with ordinality as g (url, place)
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
        union all
        select
            i.listing_id,
            (99 + row_number() over (partition by i.listing_id order by v.place))::smallint,
            v.url
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        cross join lateral (
            select w.value ->> 'image_url' as url, min(w.place) as place
            from jsonb_array_elements(s.variants) with ordinality as w (value, place)
            where not (w.value ->> 'image_url') = any(s.image_urls[1:8])
            group by w.value ->> 'image_url'
            order by min(w.place)
            limit 30
        ) as v
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    )

    insert into private.supplier_pictures as p (listing_id, position, source_url)
    select g.listing_id, g.position, g.url
    from gallery as g
    inner join private.supplier_listings as l on g.listing_id = l.listing_id
    left join private.supplier_pictures as o
        on g.listing_id = o.listing_id and g.position = o.position
    where g.url ~ '^https?://[[:graph:]]+$' and o.source_url is distinct from g.url
    order by g.listing_id, g.position
    on conflict on constraint supplier_pictures_pkey do update
    set source_url = excluded.source_url,
        status = 'waiting',
        tries = 0,
        next_try_at = now(),
        failure = null;
    get diagnostics v_written = row_count;
    if v_written > 0 then
        perform private.emit('copy_pictures', '{}', 'copy_pictures/' || batch.run_id || '/'
            || batch.upto);
    end if;
    return v_written;
end
$$;

create or replace function service.claim_pictures(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_claimed jsonb;
begin
    -- What is on sale and shown first comes first; a claim is a lease of five minutes.
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
        set tries = p.tries + 1, next_try_at = now() + interval '5 minutes'
        from due as d
        where p.listing_id = d.listing_id and p.position = d.position
        returning p.listing_id, p.position, p.source_url
    )

    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'listing_id', c.listing_id, 'position', c.position, 'source_url', c.source_url
                )
            ),
            '[]'
        )
    into v_claimed
    from claimed as c;
    return v_claimed;
end
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
begin
    update private.supplier_pictures as p
    set status = 'copied', failure = null
    where p.listing_id = record_picture.listing_id
        and p.position = record_picture.position
        and p.source_url = record_picture.source_url;
    if not found then
        return jsonb_build_object('is_shown', false);
    end if;
    select l.* into v_listing
    from private.supplier_listings as l
    where l.listing_id = record_picture.listing_id;
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
    update public.product_variants as v
    set media_id = v_media_id
    from private.product_variant_sources as s
    where v.listing_id = record_picture.listing_id
        and s.variant_id = v.id
        and s.image_url = record_picture.source_url
        and v_media_id is not null
        and v.media_id is distinct from v_media_id;
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
    if not exists (
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

revoke all on function private.take_in_pictures(private.sync_batch) from public;
revoke all on function service.claim_pictures(integer) from public;
revoke all on function service.continue_pictures() from public;
revoke all on function service.record_picture(
    uuid, integer, text, text, integer, integer, integer, text
) from public;
revoke all on function service.record_picture_failed(uuid, integer, text, text, boolean)
from public;
grant execute on function service.claim_pictures(integer) to mallgram_service;
grant execute on function service.continue_pictures() to mallgram_service;
grant execute on function service.record_picture(
    uuid, integer, text, text, integer, integer, integer, text
) to mallgram_service;
grant execute on function service.record_picture_failed(uuid, integer, text, text, boolean)
to mallgram_service;

comment on function private.take_in_pictures(private.sync_batch) is
'Notes which pictures goods have at the supplier; new ones and changed ones wait to be copied. How '
'many do.';
comment on function service.claim_pictures(integer) is
'Pictures to be copied, for five minutes: [{listing_id, position, source_url}]. Definer because '
'the table is closed to the service.';
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

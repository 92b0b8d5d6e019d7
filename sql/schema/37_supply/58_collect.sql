-- The first half of a run: which searches it makes, and what it keeps of their pages.

create or replace function service.plan_sync(run_id uuid, has_tree boolean)
returns jsonb
language plpgsql
security definer
set search_path = ''
set jit = 'off'
as $$
declare
    v_platform text := (select r.platform from private.sync_runs as r where r.id = plan_sync.run_id);
    v_planned integer;
    v_searches integer;
begin
    if plan_sync.has_tree then
        -- The leaves of the supplier's tree that nobody has said are not wanted.
        insert into private.sync_pages (run_id, keyword, category, page)
        select plan_sync.run_id, c.name, c.external_id, 1
        from private.supplier_categories as c
        inner join private.mapped_categories(v_platform) as m on c.external_id = m.external_id
        where c.platform = v_platform
            and c.name is not null
            and m.status <> 'ignored'
            and not exists (
                select from private.supplier_categories as d
                where d.platform = v_platform and d.parent_external_id = c.external_id
            )
        on conflict on constraint sync_pages_pkey do nothing;
    else
        insert into private.sync_pages (run_id, keyword, category, page)
        select plan_sync.run_id, k.keyword, '', 1
        from private.sync_keywords as k
        where k.platform = v_platform
        union
        select plan_sync.run_id, c.name, '', 1
        from public.categories as c
        where c.is_active
            and not exists (
                select from public.categories as d where d.parent_id = c.id and d.is_active
            )
            and not exists (
                select from private.sync_keywords as k where k.platform = v_platform
            )
        on conflict on constraint sync_pages_pkey do nothing;
    end if;
    get diagnostics v_planned = row_count;
    v_searches := (
        select count(*) from private.sync_pages as p
        where p.run_id = plan_sync.run_id and p.page = 1
    );
    return jsonb_build_object('planned', v_planned, 'searches', v_searches);
end
$$;

create or replace function service.record_sync_page(
    run_id uuid, keyword text, category text, page integer, items jsonb, next_page integer
)
returns jsonb
language plpgsql
security definer
set search_path = ''
set jit = 'off'
as $$
declare
    v_run private.sync_runs;
    v_banned text := private.banned_pattern();
    v_found integer;
begin
    select r.* into v_run
    from private.sync_runs as r
    where r.id = record_sync_page.run_id
        and r.status = 'collecting'
        and r.judged_through is null;
    if not found then
        return jsonb_build_object('found', 0);
    end if;
    with listed as (
        select
            j.external_id, f.title_en, f.title_fr, f.rating, f.order_count, f.image_count, f.price,
            f.category_path
        from jsonb_each(record_sync_page.items) as j (external_id, item)
        cross join lateral jsonb_to_record(j.item) as f (
            title_en text, title_fr text, rating numeric, order_count integer, image_count integer,
            price numeric, category_path text []
        )
        where j.external_id ~ '^[[:graph:]]{1,100}$'
    ),

    told as materialized (
        select l.external_id, row_number() over (order by l.external_id) as place,
            row(
                concat_ws(' / ', l.title_en, l.title_fr) ~* v_banned, l.rating, null,
                l.order_count, null, l.image_count, null, null, l.price, null
            )::private.supplier_facts as facts
        from listed as l
    ),

    broken as (
        select b.place, b.reasons
        from private.broken_rules(
            (select array_agg(t.facts order by t.place) from told as t), v_run.channel
        ) as b
    )

    -- What a line of a search already rules out is not asked for in full.
    insert into private.sync_items as i (run_id, external_id, title_en, title_fr, reason, reasons)
    select
        v_run.id, l.external_id, left(l.title_en, 300), left(l.title_fr, 300), r.reasons[1],
        r.reasons
    from listed as l
    inner join told as t on l.external_id = t.external_id
    left join broken as b on t.place = b.place
    left join private.mapped_categories(v_run.platform) as m
        on m.external_id = l.category_path[cardinality(l.category_path)]
    left join private.supplier_refused as h
        on h.platform = v_run.platform and l.external_id = h.external_id
    cross join lateral (
        select
            case when h.external_id is not null then array['removed_by_hand'] else '{}' end
            || case
                when m.status = 'ignored' then array['category_ignored']
                when m.status = 'waiting' then array['category_unmapped']
                else '{}'
            end
            || coalesce(b.reasons, '{}') as reasons
    ) as r
    on conflict on constraint sync_items_pkey do update
    set title_en = coalesce(i.title_en, excluded.title_en),
        title_fr = coalesce(i.title_fr, excluded.title_fr)
    where (i.title_en is null and excluded.title_en is not null)
        or (i.title_fr is null and excluded.title_fr is not null);
    v_found := (select count(*) from jsonb_object_keys(record_sync_page.items));
    update private.sync_pages as p
    set done_at = now(), found = v_found
    where p.run_id = v_run.id
        and p.keyword = record_sync_page.keyword
        and p.category = record_sync_page.category
        and p.page = record_sync_page.page
        and p.done_at is null;
    insert into private.sync_pages (run_id, keyword, category, page)
    select
        v_run.id, record_sync_page.keyword, record_sync_page.category, record_sync_page.next_page
    from private.sync_sources as s
    where s.platform = v_run.platform
        and v_found > 0
        and record_sync_page.next_page between 2 and s.page_limit
    on conflict on constraint sync_pages_pkey do nothing;
    update private.sync_runs as r
    set pauses = 0, paused_at = null, pause_reason = null
    where r.id = v_run.id and r.pauses > 0;
    return jsonb_build_object('found', v_found);
end
$$;

create or replace function service.record_sync_page_failed(
    run_id uuid, keyword text, category text, page integer, is_fact boolean
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_tries integer;
begin
    -- The others first; a page that nobody answers is given up after eight tries, and the run then
    -- calls nothing absent.
    update private.sync_pages as p
    set tries = p.tries + 1,
        is_given_up = record_sync_page_failed.is_fact or p.tries >= 7,
        found = case when record_sync_page_failed.is_fact or p.tries >= 7 then 0 end,
        done_at = case when record_sync_page_failed.is_fact or p.tries >= 7 then now() end
    where p.run_id = record_sync_page_failed.run_id
        and p.keyword = record_sync_page_failed.keyword
        and p.category = record_sync_page_failed.category
        and p.page = record_sync_page_failed.page
        and p.done_at is null
    returning p.tries into v_tries;
    return jsonb_build_object('tries', v_tries);
end
$$;

create or replace function service.claim_sync_items(run_id uuid, batch integer)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    with run as (
        select r.id, r.platform, s.freight_age
        from private.sync_runs as r
        inner join private.sync_sources as s on r.platform = s.platform
        where r.id = claim_sync_items.run_id and r.status = 'collecting'
    ),

    taken as (
        select i.external_id, i.tries, r.platform, r.freight_age
        from run as r
        inner join private.sync_items as i on r.id = i.run_id
        where not i.is_fetched and i.reason is null
        order by i.tries, i.external_id
        limit claim_sync_items.batch
    )

    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'external_id', t.external_id,
                    'wants_french', l.french_at is null or l.french_at < now() - interval '30 days',
                    'countries', coalesce(
                        (
                            select jsonb_agg(c.code order by c.code desc)
                            from public.countries as c
                            where not exists (
                                select from private.supplier_freight as f
                                where f.platform = t.platform
                                    and f.external_id = t.external_id
                                    and f.country = c.code
                                    and f.asked_at > now() - t.freight_age
                            )
                        ),
                        '[]'
                    )
                )
                order by t.tries, t.external_id
            ),
            '[]'
        )
    from taken as t
    left join private.supplier_listings as l
        on t.platform = l.platform and t.external_id = l.external_id
$$;

revoke all on function service.claim_sync_items(uuid, integer) from public;
revoke all on function service.plan_sync(uuid, boolean) from public;
revoke all on function service.record_sync_page(uuid, text, text, integer, jsonb, integer)
from public;
revoke all on function service.record_sync_page_failed(uuid, text, text, integer, boolean)
from public;
grant execute on function service.claim_sync_items(uuid, integer) to mallgram_service;
grant execute on function service.plan_sync(uuid, boolean) to mallgram_service;
grant execute on function service.record_sync_page(uuid, text, text, integer, jsonb, integer)
to mallgram_service;
grant execute on function service.record_sync_page_failed(uuid, text, text, integer, boolean)
to mallgram_service;

comment on function service.claim_sync_items(uuid, integer) is
'Goods still to be read in full: [{external_id, wants_french, countries}], countries being those '
'whose freight is not known or too old. Definer because the tables are closed to the '
'service.';
comment on function service.plan_sync(uuid, boolean) is
'The first page of each search of a run: {planned, searches}, those that are new and all; again, '
'none is doubled. Definer because the tables are closed to the service.';
comment on function service.record_sync_page(uuid, text, text, integer, jsonb, integer) is
'Keeps what a page shows {external id: {title_en, title_fr, rating, order_count, image_count, '
'price, category_path}} and plans the next page, both at once: {found}. Definer because the tables '
'are closed to the service.';
comment on function service.record_sync_page_failed(uuid, text, text, integer, boolean) is
'Puts a page behind the others, or gives it up for good: {tries}. Definer because the tables are '
'closed to the service.';

-- A sync of a supplier's catalogue, resumable at every point: what is to be fetched are rows, what
-- was fetched is staged, and each step either happened or did not.

create table private.sync_sources (
    platform text primary key,
    channel public.product_channel not null,
    is_enabled boolean not null default true,
    every interval not null default interval '1 day',
    next_run_at timestamptz not null default now() + interval '1 day',
    currency text not null default 'USD' references public.currencies (code) on delete restrict,
    change_limit numeric(4, 3) not null default 0.300,
    page_limit integer not null default 50,
    unknown_stock integer not null default 0,
    absence_limit smallint not null default 2,
    absence_gap interval not null default '12 hours',
    silence_limit smallint not null default 5,
    freight_age interval not null default '7 days',
    constraint sync_sources_platform_is_known check (platform in ('alibaba', 'aliexpress')),
    constraint sync_sources_every_positive check (every >= interval '1 hour'),
    constraint sync_sources_change_limit_is_share check (change_limit between 0 and 1),
    constraint sync_sources_page_limit_positive check (page_limit between 1 and 10000),
    constraint sync_sources_unknown_stock_not_negative check (unknown_stock >= 0),
    constraint sync_sources_limits_positive
    check (absence_limit between 1 and 100 and silence_limit between 1 and 100),
    constraint sync_sources_times_not_negative
    check (absence_gap >= interval '0' and freight_age >= interval '0')
);

alter table private.sync_sources enable row level security;

create index sync_sources_currency_idx on private.sync_sources (currency);

comment on table private.sync_sources is
'Platforms whose goods fill the shop, each its channel, and when its next sync is due.';
comment on column private.sync_sources.change_limit is
'Share of the live listings that a run may change without asking a person.';
comment on column private.sync_sources.page_limit is
'Pages of one search that a run reads at most.';
comment on column private.sync_sources.unknown_stock is
'Pieces to sell of goods whose stock is not told: wholesale is made to order.';
comment on column private.sync_sources.absence_limit is
'Absences in a row that take a good off the shelf.';
comment on column private.sync_sources.absence_gap is
'Time between two absences that scheduled runs count: what a supplier''s bad hour hides is missed '
'once, whatever the number of runs in it. A run that a person asks for counts at once.';
comment on column private.sync_sources.silence_limit is
'From that many runs in a row on in which nobody answered for a good, each is an absence.';
comment on column private.sync_sources.freight_age is
'How long what sending costs is known: after it, it is asked anew. It is a call for each good and '
'country: at one call a second a day''s age would make a run of 20,000 goods last 17 hours.';
comment on column private.sync_sources.currency is 'What prices are asked for in.';

create table private.sync_keywords (
    platform text not null references private.sync_sources (platform) on delete cascade,
    keyword text not null,
    primary key (platform, keyword),
    constraint sync_keywords_keyword_is_one_line
    check (keyword ~ '^[^[:cntrl:]]+$' and char_length(keyword) <= 100)
);

alter table private.sync_keywords enable row level security;

comment on table private.sync_keywords is
'What is looked for on a platform that shows no tree of categories; without a row, the names of '
'the shop''s own categories.';

create type private.sync_status as enum (
    'collecting', 'waiting', 'applying', 'done', 'discarded', 'failed'
);

comment on type private.sync_status is
'collecting: pages and details are fetched. waiting: from collecting, it would change too much and '
'a person decides. applying: from collecting or waiting. done: from applying. discarded: from '
'waiting, by a person. failed: from collecting or applying.';

create table private.sync_transitions (
    from_status private.sync_status not null,
    to_status private.sync_status not null,
    primary key (from_status, to_status)
);

alter table private.sync_transitions enable row level security;

comment on table private.sync_transitions is
'Every allowed move of sync_runs.status; what is not here is refused.';

create table private.sync_runs (
    id uuid primary key default gen_random_uuid(),
    platform text not null references private.sync_sources (platform) on delete restrict,
    channel public.product_channel not null,
    status private.sync_status not null default 'collecting',
    requested_by uuid references public.users (id) on delete restrict,
    is_scheduled boolean not null default false,
    slices integer not null default 0,
    pauses integer not null default 0,
    paused_at timestamptz,
    pause_reason text,
    losses smallint not null default 0,
    is_shelf_asked boolean not null default false,
    judged_through text,
    batch_limit integer,
    applied_through text,
    absences_through text,
    counts jsonb not null default '{}',
    change_share numeric(6, 4),
    reviewed_by uuid references public.users (id) on delete restrict,
    note text,
    failure text,
    started_at timestamptz not null default now(),
    decided_at timestamptz,
    ended_at timestamptz,
    -- One run a platform at a time, whoever asks for it.
    constraint sync_runs_platform_active_key
    exclude using btree (platform with =)
    where (status in ('collecting', 'waiting', 'applying')),
    constraint sync_runs_counts_are_object check (jsonb_typeof(counts) = 'object'),
    constraint sync_runs_ended_has_time
    check ((status in ('done', 'discarded', 'failed')) = (ended_at is not null)),
    constraint sync_runs_failed_has_reason check ((status = 'failed') = (failure is not null)),
    constraint sync_runs_collecting_is_undecided
    check (status <> 'collecting' or decided_at is null),
    constraint sync_runs_paused_has_time check ((pauses > 0) = (paused_at is not null)),
    constraint sync_runs_note_is_one_line
    check (note ~ '^[^[:cntrl:]]+$' and char_length(note) <= 300)
);

alter table private.sync_runs enable row level security;

create index sync_runs_platform_started_at_idx on private.sync_runs (platform, started_at);
create index sync_runs_requested_by_idx on private.sync_runs (requested_by);
create index sync_runs_reviewed_by_idx on private.sync_runs (reviewed_by);

comment on table private.sync_runs is
'Syncs of a supplier''s catalogue, the newest ones with their items; a row stays as the report.';
comment on column private.sync_runs.requested_by is
'The admin who asked; null = the schedule, or somebody at the terminal.';
comment on column private.sync_runs.slices is 'Attempts of the job that worked on it.';
comment on column private.sync_runs.pauses is
'Slices in a row that the supplier ended by not answering.';
comment on column private.sync_runs.paused_at is 'When the first of the pauses in a row began.';
comment on column private.sync_runs.losses is
'Times in a row that its work died and was taken up anew.';
comment on column private.sync_runs.is_shelf_asked is
'Whether what is on the shelf and stood on no page was noted, to be asked for by its id.';
comment on column private.sync_runs.batch_limit is
'Goods of a batch at most, after one took too long; doubled by each that does not.';
comment on column private.sync_runs.judged_through is
'The last external id judged, in order; null before, and what is staged from then on is refused.';
comment on column private.sync_runs.applied_through is
'The last external id taken in, in order; the next batch begins after it.';
comment on column private.sync_runs.absences_through is
'The same for what was missed: the last external id whose absence was counted.';
comment on column private.sync_runs.counts is
'The report: found, accepted, rejected by reason, new, changed, unchanged, delisted, returned.';
comment on column private.sync_runs.change_share is
'Part of the live listings that the run changes in name, category or cost, or takes off.';

create or replace function private.tg_sync_runs__check_transition()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        if new.status <> 'collecting' then
            perform private.fail('sync_transition_refused', new.status::text);
        end if;
    elsif new.status <> old.status and not exists (
        select from private.sync_transitions as t
        where t.from_status = old.status and t.to_status = new.status
    ) then
        perform private.fail('sync_transition_refused', old.status || ' -> ' || new.status);
    end if;
    return new;
end
$$;

revoke all on function private.tg_sync_runs__check_transition() from public;

comment on function private.tg_sync_runs__check_transition() is
'Trigger: a run begins collecting and moves along sync_transitions only. Error: '
'sync_transition_refused.';

create trigger sync_runs_50_check_transition
before insert or update of status on private.sync_runs
for each row execute function private.tg_sync_runs__check_transition();

create table private.sync_pages (
    run_id uuid not null references private.sync_runs (id) on delete cascade,
    keyword text not null,
    category text not null,
    page integer not null,
    found integer,
    tries smallint not null default 0,
    is_given_up boolean not null default false,
    done_at timestamptz,
    primary key (run_id, category, keyword, page),
    constraint sync_pages_page_positive check (page >= 1),
    constraint sync_pages_done_has_count check ((done_at is null) = (found is null))
);

alter table private.sync_pages enable row level security;

create index sync_pages_open_idx on private.sync_pages (run_id, category, keyword, page)
where done_at is null;

comment on table private.sync_pages is
'Pages of searches that a run reads; a page that was read adds the one after it.';
comment on column private.sync_pages.is_given_up is
'Nobody answered: what may stand on it, or on those after it, counts neither as there nor as gone.';
comment on column private.sync_pages.category is
'The supplier''s category searched in; empty for a platform without a tree.';

create table private.sync_items (
    run_id uuid not null references private.sync_runs (id) on delete cascade,
    external_id text not null,
    title_en text,
    title_fr text,
    is_fetched boolean not null default false,
    tries smallint not null default 0,
    reason text,
    reasons text [] not null default '{}',
    duplicate_of text,
    category_id uuid references public.categories (id) on delete set null,
    listing_id uuid,
    primary key (run_id, external_id),
    constraint sync_items_external_id_is_short check (external_id ~ '^[[:graph:]]{1,100}$'),
    constraint sync_items_duplicate_has_original
    check ((reason is not distinct from 'duplicate') = (duplicate_of is not null))
);

alter table private.sync_items enable row level security;

create index sync_items_open_idx on private.sync_items (run_id, external_id)
where not is_fetched and reason is null;
create index sync_items_reason_idx on private.sync_items (run_id, reason, external_id);
create index sync_items_category_id_idx on private.sync_items (category_id);
create index sync_items_listing_id_idx on private.sync_items (run_id, listing_id);

comment on table private.sync_items is
'Goods that a run has found, each once whatever the number of pages it stood on.';
comment on column private.sync_items.reason is
'Why it is not taken in, the first of reasons; null while nothing speaks against it.';
comment on column private.sync_items.category_id is 'Our category, found by the category map.';
comment on column private.sync_items.listing_id is
'Our product; a new one has its id from when the run was decided and no foreign key, for it does '
'not exist yet.';

create or replace function private.start_sync(
    platform text, requested_by uuid default null, is_scheduled boolean default false
)
returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_run_id uuid;
begin
    insert into private.sync_runs as r (platform, channel, requested_by, is_scheduled)
    select s.platform, s.channel, start_sync.requested_by, start_sync.is_scheduled
    from private.sync_sources as s
    where s.platform = start_sync.platform
    on conflict on constraint sync_runs_platform_active_key do nothing
    returning r.id into v_run_id;
    update private.sync_sources as s
    set next_run_at = now() + s.every
    where s.platform = start_sync.platform and v_run_id is not null;
    if v_run_id is not null then
        perform private.emit(
            'sync_products', jsonb_build_object('run_id', v_run_id),
            'sync_products/' || v_run_id || '/0', wakes_relay => true
        );
    end if;
    return v_run_id;
end
$$;

create or replace function service.begin_due_syncs(platforms text [])
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_source record;
    v_lost record;
    v_started jsonb := '[]'::jsonb;
begin
    for v_source in
        select s.platform
        from private.sync_sources as s
        where s.is_enabled
            and s.next_run_at <= now()
            and s.platform = any(begin_due_syncs.platforms)
        order by s.platform
        for update skip locked
    loop
        v_started := v_started || coalesce(
            to_jsonb(private.start_sync(v_source.platform, is_scheduled => true)),
            '[]'::jsonb
        );
    end loop;
    -- A run whose work got lost on the way (dead after its attempts) is taken up again, twice. What
    -- has died three times in a row would die for ever, and keep every other run out.
    for v_lost in
        select r.id, r.losses
        from private.sync_runs as r
        where r.status in ('collecting', 'applying')
            and not exists (
                select from private.outbox as o
                where o.job = 'sync_products'
                    and o.done_at is null
                    and o.failed_at is null
                    and o.args ->> 'run_id' = r.id::text
            )
        order by r.id
        for update skip locked
    loop
        if v_lost.losses >= 2 then
            perform private.end_sync(
                v_lost.id, 'failed', concat_ws(
                    ': ', 'work_lost', (
                        select o.last_error
                        from private.outbox as o
                        where o.job = 'sync_products'
                            and o.failed_at is not null
                            and o.args ->> 'run_id' = v_lost.id::text
                        order by o.failed_at desc
                        limit 1
                    )
                )
            );
            continue;
        end if;
        update private.sync_runs as r set losses = r.losses + 1 where r.id = v_lost.id;
        perform private.emit(
            'sync_products', jsonb_build_object('run_id', v_lost.id),
            'sync_products/' || v_lost.id || '/again/' || to_char(now(), 'YYYYMMDDHH24')
        );
    end loop;
    return v_started;
end
$$;

create or replace function service.begin_sync_slice(run_id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_run private.sync_runs;
begin
    update private.sync_runs as r
    set slices = r.slices + 1
    where r.id = begin_sync_slice.run_id and r.status in ('collecting', 'applying')
    returning r.* into v_run;
    if not found then
        return null;
    end if;
    return jsonb_build_object(
        'run_id', v_run.id,
        'slice', v_run.slices,
        'platform', v_run.platform,
        'channel', v_run.channel,
        'status', v_run.status,
        'is_planned', exists (
            select from private.sync_pages as p where p.run_id = v_run.id
        ),
        'currency', (
            select s.currency from private.sync_sources as s where s.platform = v_run.platform
        ),
        'countries', (select jsonb_agg(c.code order by c.code desc) from public.countries as c)
    );
end
$$;

create or replace function service.claim_sync_pages(run_id uuid, batch integer)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        coalesce(
            jsonb_agg(
                jsonb_build_object('keyword', p.keyword, 'category', p.category, 'page', p.page)
            ),
            '[]'
        )
    from (
        select w.keyword, w.category, w.page
        from private.sync_pages as w
        where w.run_id = claim_sync_pages.run_id and w.done_at is null
        order by w.tries, w.category, w.keyword, w.page
        limit claim_sync_pages.batch
    ) as p
$$;

create or replace function service.record_sync_details(run_id uuid, failures jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_fetched integer;
begin
    update private.sync_items as i
    set is_fetched = true
    where i.run_id = record_sync_details.run_id
        and not i.is_fetched
        and exists (
            select from private.staged_products as s
            where s.run_id = i.run_id and s.external_id = i.external_id
        );
    get diagnostics v_fetched = row_count;
    -- What is surely gone is a fact. What did not answer is asked twice more, then left for the
    -- next run: unknown is neither on sale nor gone.
    update private.sync_items as i
    set tries = i.tries + 1,
        reason = case
            when (f.failure ->> 'is_fact')::boolean then f.failure ->> 'code'
            when i.tries >= 2 then 'not_answered'
        end,
        reasons = case
            when (f.failure ->> 'is_fact')::boolean then array[f.failure ->> 'code']
            when i.tries >= 2
                then array_remove(
                    array['not_answered', nullif(f.failure ->> 'code', 'not_answered')], null
                )
            else '{}'
        end
    from jsonb_each(record_sync_details.failures) as f (external_id, failure)
    where i.run_id = record_sync_details.run_id
        and i.external_id = f.external_id
        and not i.is_fetched
        and i.reason is null;
    update private.sync_runs as r
    set pauses = 0, paused_at = null, pause_reason = null
    where r.id = record_sync_details.run_id and v_fetched > 0 and r.pauses > 0;
    -- Not to stand on a page says little: a search is cut after so many pages, refused, or shows
    -- others today. What is on the shelf and was not found is asked for by its id.
    update private.sync_runs as r
    set is_shelf_asked = true
    where r.id = record_sync_details.run_id
        and r.status = 'collecting'
        and not r.is_shelf_asked
        and exists (select from private.sync_pages as p where p.run_id = r.id)
        and not exists (
            select from private.sync_pages as p where p.run_id = r.id and p.done_at is null
        );
    if found then
        insert into private.sync_items (run_id, external_id)
        select r.id, l.external_id
        from private.sync_runs as r
        inner join private.supplier_listings as l on r.platform = l.platform
        where r.id = record_sync_details.run_id and l.delisted_at is null
        on conflict on constraint sync_items_pkey do nothing;
    end if;
    return jsonb_build_object(
        'fetched', v_fetched,
        'is_complete', not exists (
            select from private.sync_items as i
            where i.run_id = record_sync_details.run_id
                and not i.is_fetched
                and i.reason is null
        )
        and not exists (
            select from private.sync_pages as p
            where p.run_id = record_sync_details.run_id and p.done_at is null
        )
    );
end
$$;

create or replace function private.end_sync(run_id uuid, status private.sync_status, failure text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    update private.sync_runs as r
    set status = end_sync.status,
        ended_at = now(),
        failure = left(end_sync.failure, 500)
    where r.id = end_sync.run_id;
    if end_sync.status = 'failed' then
        perform private.open_payment_exception(
            kind => 'sync_failed', subject_id => end_sync.run_id, detail => end_sync.failure
        );
    end if;
end
$$;

create or replace function service.continue_sync(
    run_id uuid, slice integer, wait_seconds integer default 0, reason text default null
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_run private.sync_runs;
begin
    update private.sync_runs as r
    set pauses = case when continue_sync.reason is null then 0 else r.pauses + 1 end,
        paused_at = case
            when continue_sync.reason is not null then coalesce(r.paused_at, now())
        end,
        losses = 0,
        pause_reason = left(continue_sync.reason, 200)
    where r.id = continue_sync.run_id
        -- An attempt that was thought dead leaves the run to the one that followed it.
        and r.slices = continue_sync.slice
        and r.status in ('collecting', 'applying')
    returning r.* into v_run;
    if not found then
        return jsonb_build_object('is_active', false);
    end if;
    -- A platform that has not answered so often and for so long is looked after by a person; its
    -- goods stay as they are. How long a number of pauses takes depends on what the supplier says.
    if v_run.pauses >= 60 and v_run.paused_at <= now() - interval '12 hours' then
        perform private.end_sync(v_run.id, 'failed', continue_sync.reason);
        return jsonb_build_object('is_active', false);
    end if;
    perform private.emit(
        'sync_products', jsonb_build_object('run_id', v_run.id),
        'sync_products/' || v_run.id || '/' || v_run.slices,
        -- As long as the supplier says; if it does not, longer each time: 1 to 2 s, 2 to 4 s …
        -- 30 to 60 s, the exact time by chance.
        now() + make_interval(secs => case
            when continue_sync.reason is null or continue_sync.wait_seconds > 0
                then continue_sync.wait_seconds
            else least(60, 2 ^ least(v_run.pauses, 10)) * (1 + random()) / 2
        end),
        wakes_relay => continue_sync.reason is null
    );
    return jsonb_build_object('is_active', true, 'pauses', v_run.pauses);
end
$$;

create or replace function service.fail_sync(run_id uuid, reason text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
begin
    if not exists (
        select from private.sync_runs as r
        where r.id = fail_sync.run_id and r.status in ('collecting', 'applying')
        for update
    ) then
        return jsonb_build_object('is_failed', false);
    end if;
    perform private.end_sync(fail_sync.run_id, 'failed', fail_sync.reason);
    return jsonb_build_object('is_failed', true);
end
$$;

revoke all on function private.start_sync(text, uuid, boolean) from public;
revoke all on function private.end_sync(uuid, private.sync_status, text) from public;
revoke all on function service.begin_due_syncs(text []) from public;
revoke all on function service.begin_sync_slice(uuid) from public;
revoke all on function service.claim_sync_pages(uuid, integer) from public;
revoke all on function service.record_sync_details(uuid, jsonb) from public;
revoke all on function service.continue_sync(uuid, integer, integer, text) from public;
revoke all on function service.fail_sync(uuid, text) from public;
grant execute on function service.begin_due_syncs(text []) to mallgram_service;
grant execute on function service.begin_sync_slice(uuid) to mallgram_service;
grant execute on function service.claim_sync_pages(uuid, integer) to mallgram_service;
grant execute on function service.record_sync_details(uuid, jsonb) to mallgram_service;
grant execute on function service.continue_sync(uuid, integer, integer, text) to mallgram_service;
grant execute on function service.fail_sync(uuid, text) to mallgram_service;

comment on function private.start_sync(text, uuid, boolean) is
'A new run of a platform with its job; null when one is under way or there is no such platform.';
comment on function private.end_sync(uuid, private.sync_status, text) is
'Ends a run; a failed one goes before the admins.';
comment on function service.begin_due_syncs(text []) is
'Starts the runs that are due on these platforms and takes up lost ones: [run_id]; one whose work '
'has died three times in a row has failed. Definer because the tables are closed to the service.';
comment on function service.begin_sync_slice(uuid) is
'{run_id, slice, platform, channel, status, is_planned, currency, countries}; null when the run '
'has ended or waits for a person. Definer because the tables are closed to the service.';
comment on function service.claim_sync_pages(uuid, integer) is
'Pages still to be read: [{keyword, category, page}]. Definer because the tables are closed to the '
'service.';
comment on function service.record_sync_details(uuid, jsonb) is
'Marks what has been staged, notes failures {external id: {code, is_fact}}: {fetched, '
'is_complete}. Once the pages are read it adds what is on the shelf and stood on none. Doing it '
'again changes nothing. Definer because the tables are closed to the service.';
comment on function service.continue_sync(uuid, integer, integer, text) is
'Plans the next slice, later when there is a reason to wait: {is_active, pauses}; after sixty '
'pauses in a row and half a day the run has failed. Definer because the tables are closed to the '
'service.';
comment on function service.fail_sync(uuid, text) is
'Ends a run that cannot go on and tells the admins: {is_failed}. Definer because the tables are '
'closed to the service.';

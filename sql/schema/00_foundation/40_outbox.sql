-- Work that leaves the database. A row is written in the transaction that causes the work, the
-- relay hands it to a queue, the worker reports back. The row is the one retry layer: while it is
-- neither done nor dead it is handed out again when its lease or its back-off has run out.

create table private.jobs (
    job text primary key,
    queue text not null,
    max_attempts smallint not null default 8,
    constraint jobs_job_is_snake_case check (job ~ '^[a-z][a-z_]{2,62}$'),
    constraint jobs_max_attempts_positive check (max_attempts > 0)
);

alter table private.jobs enable row level security;

comment on table private.jobs is
'Jobs of the workers: the queue each runs on and how many attempts a row gets before it is dead.';

create table private.outbox (
    id uuid primary key default gen_random_uuid(),
    job text not null references private.jobs (job) on delete restrict,
    args jsonb not null default '{}',
    dedupe_key text,
    request_id text,
    attempts smallint not null default 0,
    available_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    done_at timestamptz,
    failed_at timestamptz,
    last_error text,
    constraint outbox_dedupe_key_key unique (dedupe_key),
    constraint outbox_args_are_object check (jsonb_typeof(args) = 'object'),
    constraint outbox_ends_once check (done_at is null or failed_at is null)
)
with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0
);

alter table private.outbox enable row level security;

create index outbox_available_at_open_idx on private.outbox (available_at)
where done_at is null and failed_at is null;
create index outbox_job_idx on private.outbox (job) where done_at is null and failed_at is null;
create index outbox_ended_at_idx on private.outbox (coalesce(done_at, failed_at))
where done_at is not null or failed_at is not null;

comment on table private.outbox is
'Work to do, ids only in args. Open until done_at or failed_at (dead after max_attempts).';

create or replace function private.emit(
    job text,
    args jsonb,
    dedupe_key text default null,
    available_at timestamptz default now(),
    request_id text default null,
    wakes_relay boolean default false
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into private.outbox (job, args, dedupe_key, available_at, request_id)
    values (
        emit.job, emit.args, emit.dedupe_key, emit.available_at,
        coalesce(emit.request_id, nullif(current_setting('mallgram.request_id', true), ''))
    )
    on conflict on constraint outbox_dedupe_key_key do nothing;
    -- NOTIFY makes committing transactions queue for one lock: only work that somebody waits for
    -- asks for it, the rest is found by the relay's half-second sweep.
    if emit.wakes_relay then
        notify outbox;
    end if;
end
$$;

revoke all on function private.emit(text, jsonb, text, timestamptz, text, boolean) from public;

comment on function private.emit(text, jsonb, text, timestamptz, text, boolean) is
'Writes one outbox row, with the request it stems from; a second with the same dedupe_key writes '
'nothing.';

create or replace function service.claim_outbox(
    batch integer, lease_seconds integer, queues text [] default null
)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    with due as (
        select o.id
        from private.outbox as o
        inner join private.jobs as j on o.job = j.job
        where o.done_at is null
            and o.failed_at is null
            and o.available_at <= now()
            and (claim_outbox.queues is null or j.queue = any(claim_outbox.queues))
        order by o.available_at
        limit claim_outbox.batch
        for update of o skip locked
    ),

    claimed as (
        update private.outbox as o
        set attempts = o.attempts + 1,
            available_at = now() + make_interval(secs => claim_outbox.lease_seconds)
        from due
        where o.id = due.id and o.attempts < (
            select j.max_attempts from private.jobs as j where j.job = o.job
        )
        returning o.id, o.job, o.attempts, o.request_id, o.created_at
    ),

    dead as (
        update private.outbox as o
        set failed_at = now(), last_error = coalesce(o.last_error, 'no worker finished it')
        from due
        where o.id = due.id and o.attempts >= (
            select j.max_attempts from private.jobs as j where j.job = o.job
        )
    )

    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'outbox_id', c.id,
                    'job', c.job,
                    'queue', j.queue,
                    'attempt', c.attempts,
                    'request_id', c.request_id
                )
                order by c.created_at
            ),
            '[]'
        )
    from claimed as c
    inner join private.jobs as j on c.job = j.job
$$;

create or replace function service.begin_job(outbox_id uuid, attempt integer)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'outbox_id', o.id,
            'job', o.job,
            'args', o.args,
            'attempt', o.attempts,
            'is_last', o.attempts >= j.max_attempts,
            'request_id', o.request_id
        )
    from private.outbox as o
    inner join private.jobs as j on o.job = j.job
    where o.id = begin_job.outbox_id
        and o.attempts = begin_job.attempt
        and o.done_at is null
        and o.failed_at is null
$$;

create or replace function service.record_job_done(outbox_id uuid, attempt integer)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.outbox as o
    set done_at = now(), last_error = null
    where o.id = record_job_done.outbox_id
        and o.attempts = record_job_done.attempt
        and o.done_at is null
        and o.failed_at is null
    returning null::jsonb
$$;

create or replace function service.record_job_failed(
    outbox_id uuid, attempt integer, error text, retry_after_seconds integer default null
)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.outbox as o
    set last_error = case
            when private.holds_card_number(record_job_failed.error)
                then private.clean_words(record_job_failed.error)
            else left(record_job_failed.error, 500)
        end,
        failed_at = case when o.attempts >= j.max_attempts then now() end,
        -- 2 s, 4 s, 8 s … up to 10 minutes, unless the outside asked for its own wait
        available_at = now() + make_interval(secs => greatest(
            coalesce(record_job_failed.retry_after_seconds, 0),
            least(600, 2 ^ least(o.attempts, 10))
        ))
    from private.jobs as j
    where o.id = record_job_failed.outbox_id
        and o.attempts = record_job_failed.attempt
        and j.job = o.job
        and o.done_at is null
        and o.failed_at is null
    returning jsonb_build_object(
        'attempts', o.attempts,
        'is_dead', o.failed_at is not null,
        'next_attempt_at', case when o.failed_at is null then o.available_at end
    )
$$;

revoke all on function service.claim_outbox(integer, integer, text []) from public;
revoke all on function service.begin_job(uuid, integer) from public;
revoke all on function service.record_job_done(uuid, integer) from public;
revoke all on function service.record_job_failed(uuid, integer, text, integer) from public;
grant execute on function service.claim_outbox(integer, integer, text []) to mallgram_service;
grant execute on function service.begin_job(uuid, integer) to mallgram_service;
grant execute on function service.record_job_done(uuid, integer) to mallgram_service;
grant execute on function service.record_job_failed(uuid, integer, text, integer)
to mallgram_service;

comment on function service.claim_outbox(integer, integer, text []) is
'Leases due rows (of those queues; null = all): [{outbox_id, job, queue, attempt, request_id}]; '
'rows whose attempts are used up become dead. Definer because the outbox is closed to its callers.';
comment on function service.begin_job(uuid, integer) is
'{outbox_id, job, args, attempt, is_last, request_id} when this attempt is still the newest of an '
'open row, else null: skip. Definer because the outbox is closed to its callers.';
comment on function service.record_job_done(uuid, integer) is
'Ends a row well, unless a newer attempt is on its way. Definer because the outbox is closed to '
'its callers.';
comment on function service.record_job_failed(uuid, integer, text, integer) is
'Schedules the next attempt or ends the row dead: {attempts, is_dead, next_attempt_at}; null when '
'a newer attempt is on its way. Definer because the outbox is closed to its callers.';

\echo /work/main/sql/schema/00_foundation/00_schemas.sql
-- Three doors: public for frontends under RLS, service for the edge and the workers, private for
-- nobody's tables. Nothing privileged is implicit: what hosted Supabase grants by default on new
-- objects is taken back here, once, before the first object is made.

create schema if not exists extensions;
create schema if not exists service;
create schema if not exists private;

comment on schema service is
'Functions for the edge and the workers: each answers one jsonb value. Executable by '
'mallgram_service alone; holds no tables.';
comment on schema private is
'Cores of RPCs, predicates of policies, transition tables, inbox, outbox, schedules. No table '
'right for anyone; EXECUTE only where a grant below says so.';

-- The form without a schema is the only one that takes EXECUTE from public.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences
from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions
from anon, authenticated, service_role;

create extension if not exists pgcrypto with schema extensions;
create extension if not exists pg_trgm with schema extensions;
create extension if not exists unaccent with schema extensions;
create extension if not exists btree_gist with schema extensions;
create extension if not exists vector with schema extensions;
\echo /work/main/sql/schema/00_foundation/05_roles.sql
-- Roles belong to the cluster: made once, without a password, which whoever deploys sets.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'mallgram_service') then
        create role mallgram_service login noinherit;
    end if;
end
$$;

comment on role mallgram_service is
'Login of the edge and the workers. EXECUTE on service functions and nothing else.';

-- Hosted Supabase cuts anon at 3 s and authenticated at 8 s; the service waits for locks briefly,
-- because a webhook that waits is better answered with an error and sent again.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role mallgram_service set statement_timeout = '15s';
alter role mallgram_service set lock_timeout = '5s';
alter role mallgram_service set idle_in_transaction_session_timeout = '15s';

grant usage on schema public to anon, authenticated, service_role;
grant usage on schema private to anon, authenticated, service_role;
grant usage on schema service to mallgram_service;
\echo /work/main/sql/schema/00_foundation/10_error_codes.sql
-- Every refusal of the shop: its code, HTTP status and texts. PostgREST puts the message into the
-- HTTP status line, so a text never holds a control character and never holds input.

create table private.error_codes (
    code text primary key,
    status smallint not null,
    message_en text not null,
    message_fr text not null,
    constraint error_codes_code_is_snake_case check (code ~ '^[a-z][a-z0-9_]{2,62}$'),
    constraint error_codes_status_is_error check (status between 400 and 599),
    constraint error_codes_messages_are_one_line
    check (message_en ~ '^[^[:cntrl:]]+$' and message_fr ~ '^[^[:cntrl:]]+$')
);

alter table private.error_codes enable row level security;

comment on table private.error_codes is
'Catalogue of refusals: code (in hint), HTTP status, English and French text (in message).';

create or replace function private.request_language()
returns text
language sql
stable
set search_path = ''
as $$
    select
        (regexp_match(
            lower(nullif(current_setting('request.headers', true), '')::jsonb ->> 'accept-language'),
            '(?:^|[\s,])(en|fr)(?:[-;,\s]|$)'
        ))[1]
$$;

comment on function private.request_language() is
'en or fr, whichever the request''s Accept-Language names first; null when it names neither.';

create or replace function private.fail(code text, detail text default null)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_error private.error_codes;
begin
    select * into v_error from private.error_codes as e where e.code = fail.code;
    if not found then
        raise exception 'unknown error code %', fail.code using errcode = 'P0001';
    end if;
    raise exception using
        errcode = 'PT' || v_error.status,
        message = case
            when private.caller_language() = 'fr' then v_error.message_fr else v_error.message_en
        end,
        detail = coalesce(fail.detail, ''),
        hint = v_error.code;
end
$$;

revoke all on function private.request_language() from public;
revoke all on function private.fail(text, text) from public;
grant execute on function private.fail(text, text) to anon, authenticated, service_role;

comment on function private.fail(text, text) is
'Refuses: raises SQLSTATE PTnnn with the catalogue''s status and text, the code in hint and the '
'input in detail. Definer because the catalogue is closed to its callers.';

create or replace function service.error_catalogue()
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select jsonb_agg(to_jsonb(e) order by e.code) from private.error_codes as e
$$;

revoke all on function service.error_catalogue() from public;
grant execute on function service.error_catalogue() to mallgram_service;

comment on function service.error_catalogue() is
'[{code, status, message_en, message_fr}]. Definer because the table is closed to everyone.';
\echo /work/main/sql/schema/00_foundation/20_updated_at.sql
create or replace function public.update_updated_at_column()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at = now();
    return new;
end
$$;

revoke all on function public.update_updated_at_column() from public;

comment on function public.update_updated_at_column() is
'Trigger: stamps updated_at with the transaction''s time.';
\echo /work/main/sql/schema/00_foundation/30_idempotency_keys.sql
-- What a client's key already did. A key belongs to a user and an operation and is kept 30 days.

create table private.idempotency_keys (
    user_id uuid not null,
    operation text not null,
    idempotency_key text not null,
    request_hash bytea not null,
    response jsonb not null,
    created_at timestamptz not null default now(),
    primary key (user_id, operation, idempotency_key),
    constraint idempotency_keys_key_is_printable
    check (char_length(idempotency_key) between 8 and 200 and idempotency_key !~ '[^!-~]')
);

alter table private.idempotency_keys enable row level security;

create index idempotency_keys_created_at_idx on private.idempotency_keys (created_at);

comment on table private.idempotency_keys is
'Answers already given, by (user, operation, key): the same body gets the same answer again.';

create or replace function private.replay_idempotent(
    user_id uuid, operation text, idempotency_key text, request_hash bytea
)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_key private.idempotency_keys;
begin
    -- A bounded repeat in the pattern would cost fifty times the two conditions.
    if replay_idempotent.idempotency_key is null
        or char_length(replay_idempotent.idempotency_key) not between 8 and 200
        or replay_idempotent.idempotency_key ~ '[^!-~]' then
        perform private.fail('idempotency_key_invalid', replay_idempotent.idempotency_key);
    end if;
    -- One holder of a key at a time: the second waits here and then reads the first one's answer.
    perform pg_advisory_xact_lock(hashtextextended(
        concat_ws('/', replay_idempotent.user_id, replay_idempotent.operation,
            replay_idempotent.idempotency_key), 0
    ));
    select * into v_key
    from private.idempotency_keys as k
    where k.user_id = replay_idempotent.user_id
        and k.operation = replay_idempotent.operation
        and k.idempotency_key = replay_idempotent.idempotency_key;
    if v_key.request_hash is distinct from replay_idempotent.request_hash and found then
        perform private.fail('idempotency_key_reused', replay_idempotent.idempotency_key);
    end if;
    return v_key.response;
end
$$;

revoke all on function private.replay_idempotent(uuid, text, text, bytea) from public;

comment on function private.replay_idempotent(uuid, text, text, bytea) is
'The stored answer of a key, null when it is new; holds the key until the transaction ends. '
'Errors: idempotency_key_invalid, idempotency_key_reused.';
\echo /work/main/sql/schema/00_foundation/40_outbox.sql
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

create or replace function service.record_job_done(outbox_id uuid)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.outbox as o
    set done_at = now(), last_error = null
    where o.id = record_job_done.outbox_id and o.done_at is null and o.failed_at is null
    returning null::jsonb
$$;

create or replace function service.record_job_failed(
    outbox_id uuid, error text, retry_after_seconds integer default null
)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.outbox as o
    set last_error = left(record_job_failed.error, 500),
        failed_at = case when o.attempts >= j.max_attempts then now() end,
        -- 2 s, 4 s, 8 s … up to 10 minutes, unless the outside asked for its own wait
        available_at = now() + make_interval(secs => greatest(
            coalesce(record_job_failed.retry_after_seconds, 0),
            least(600, 2 ^ least(o.attempts, 10))
        ))
    from private.jobs as j
    where o.id = record_job_failed.outbox_id
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
revoke all on function service.record_job_done(uuid) from public;
revoke all on function service.record_job_failed(uuid, text, integer) from public;
grant execute on function service.claim_outbox(integer, integer, text []) to mallgram_service;
grant execute on function service.begin_job(uuid, integer) to mallgram_service;
grant execute on function service.record_job_done(uuid) to mallgram_service;
grant execute on function service.record_job_failed(uuid, text, integer) to mallgram_service;

comment on function service.claim_outbox(integer, integer, text []) is
'Leases due rows (of those queues; null = all): [{outbox_id, job, queue, attempt, request_id}]; '
'rows whose attempts are used up become dead. Definer because the outbox is closed to its callers.';
comment on function service.begin_job(uuid, integer) is
'{outbox_id, job, args, attempt, is_last, request_id} when this attempt is still the newest of an '
'open row, else null: skip. Definer because the outbox is closed to its callers.';
comment on function service.record_job_done(uuid) is
'Ends a row well. Definer because the outbox is closed to its callers.';
comment on function service.record_job_failed(uuid, text, integer) is
'Schedules the next attempt or ends the row dead: {attempts, is_dead, next_attempt_at}. Definer '
'because the outbox is closed to its callers.';
\echo /work/main/sql/schema/00_foundation/50_schedules.sql
-- Schedules are rows. A due one becomes an outbox row with a period key, so that two relays or a
-- relay that died can neither double nor lose a tick.

create table private.schedules (
    job text primary key references private.jobs (job) on delete restrict,
    every interval not null,
    next_run_at timestamptz not null default now(),
    last_run_at timestamptz,
    is_enabled boolean not null default true,
    constraint schedules_every_positive check (every >= interval '1 second')
);

alter table private.schedules enable row level security;

comment on table private.schedules is
'When each recurring job is next due. Missed periods are caught up, at most the last 24.';

create or replace function service.claim_schedules()
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_schedule private.schedules;
    v_missed integer;
    v_claimed integer := 0;
begin
    for v_schedule in
        select *
        from private.schedules as s
        where s.is_enabled and s.next_run_at <= now()
        order by s.next_run_at
        for update skip locked
    loop
        v_missed := floor(
            extract(epoch from now() - v_schedule.next_run_at)
            / extract(epoch from v_schedule.every)
        )::integer;
        insert into private.outbox (job, dedupe_key)
        select
            v_schedule.job,
            v_schedule.job || '/' || to_char(
                (v_schedule.next_run_at + n * v_schedule.every) at time zone 'utc',
                'YYYY-MM-DD"T"HH24:MI:SS.US'
            )
        from generate_series(greatest(0, v_missed - 23), v_missed) as n
        on conflict on constraint outbox_dedupe_key_key do nothing;
        update private.schedules as s
        set last_run_at = now(),
            next_run_at = v_schedule.next_run_at + (v_missed + 1) * v_schedule.every
        where s.job = v_schedule.job;
        v_claimed := v_claimed + 1;
    end loop;
    return jsonb_build_object('claimed', v_claimed);
end
$$;

revoke all on function service.claim_schedules() from public;
grant execute on function service.claim_schedules() to mallgram_service;

comment on function service.claim_schedules() is
'Turns due schedules into outbox rows: {claimed}. Definer because both tables are closed.';
\echo /work/main/sql/schema/00_foundation/60_rate_limits.sql
-- Token buckets: `capacity` at once, refilled evenly over `refill`. They live in Postgres so that
-- a limit holds when Redis is away and however many edges run.

create table private.rate_limit_rules (
    action text primary key,
    capacity integer not null,
    refill interval not null,
    constraint rate_limit_rules_capacity_positive check (capacity > 0),
    constraint rate_limit_rules_refill_positive check (refill > interval '0')
);

alter table private.rate_limit_rules enable row level security;

comment on table private.rate_limit_rules is
'How often a subject may do an action: a full bucket holds capacity and fills in refill.';

create unlogged table private.rate_limits (
    action text not null references private.rate_limit_rules (action) on delete cascade,
    subject text not null,
    tokens double precision not null,
    refilled_at timestamptz not null default clock_timestamp(),
    primary key (action, subject)
)
with (fillfactor = 70);

alter table private.rate_limits enable row level security;

create index rate_limits_refilled_at_idx on private.rate_limits (refilled_at);

comment on table private.rate_limits is
'Buckets in use, by (action, subject). Unlogged: a crash forgives.';

create or replace function private.take_rate_limit(
    action text, subject text, tokens integer default 1
)
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_rule private.rate_limit_rules;
    v_rate double precision;
    v_tokens double precision;
begin
    select * into strict v_rule
    from private.rate_limit_rules as r
    where r.action = take_rate_limit.action;
    v_rate := v_rule.capacity / extract(epoch from v_rule.refill)::double precision;

    insert into private.rate_limits as l (action, subject, tokens)
    values (take_rate_limit.action, take_rate_limit.subject, v_rule.capacity - take_rate_limit.tokens)
    on conflict on constraint rate_limits_pkey do update
    set tokens = least(
            v_rule.capacity,
            l.tokens + v_rate * extract(epoch from clock_timestamp() - l.refilled_at)
        ) - take_rate_limit.tokens,
        refilled_at = clock_timestamp()
    where least(
        v_rule.capacity,
        l.tokens + v_rate * extract(epoch from clock_timestamp() - l.refilled_at)
    ) >= 1;
    if found then
        return 0;
    end if;

    select least(
        v_rule.capacity,
        l.tokens + v_rate * extract(epoch from clock_timestamp() - l.refilled_at)
    )
    into v_tokens
    from private.rate_limits as l
    where l.action = take_rate_limit.action and l.subject = take_rate_limit.subject;
    return greatest(1, ceil((1 - v_tokens) / v_rate)::integer);
end
$$;

create or replace function service.take_rate_limit(action text, subject text)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    select jsonb_build_object('allowed', t.wait = 0, 'retry_after', t.wait)
    from private.take_rate_limit(
        take_rate_limit.action, take_rate_limit.subject
    ) as t (wait)
$$;

create or replace function private.require_rate_limit(
    action text, subject text, tokens integer default 1
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_wait integer;
    v_error private.error_codes;
begin
    v_wait := private.take_rate_limit(
        require_rate_limit.action, require_rate_limit.subject, require_rate_limit.tokens
    );
    if v_wait > 0 then
        select * into strict v_error
        from private.error_codes as e where e.code = 'rate_limit_exceeded';
        -- Only SQLSTATE PGRST carries a response header through PostgREST.
        raise exception using
            errcode = 'PGRST',
            message = jsonb_build_object(
                'code', 'PT' || v_error.status,
                'message', case
                    when private.caller_language() = 'fr' then v_error.message_fr
                    else v_error.message_en
                end,
                'details', require_rate_limit.action,
                'hint', v_error.code
            )::text,
            detail = jsonb_build_object(
                'status', v_error.status,
                'headers', jsonb_build_object('Retry-After', v_wait::text)
            )::text,
            hint = v_error.code;
    end if;
end
$$;

revoke all on function private.take_rate_limit(text, text, integer) from public;
revoke all on function private.require_rate_limit(text, text, integer) from public;
revoke all on function service.take_rate_limit(text, text) from public;
grant execute on function service.take_rate_limit(text, text) to mallgram_service;

comment on function private.take_rate_limit(text, text, integer) is
'Takes tokens from a bucket that holds at least one (0 = only looks): answers 0, else the seconds '
'until there is one.';
comment on function private.require_rate_limit(text, text, integer) is
'As take_rate_limit, refusing with rate_limit_exceeded and Retry-After.';
comment on function service.take_rate_limit(text, text) is
'{allowed, retry_after in seconds}. Definer because the buckets are closed to their callers.';
\echo /work/main/sql/schema/00_foundation/90_rows.sql
insert into private.error_codes (code, status, message_en, message_fr)
values
(
    'address_country_mismatch', 400,
    'The address is not in the country of the order.',
    'L''adresse n''est pas dans le pays de la commande.'
),
(
    'address_invalid', 400,
    'The address is not complete or not valid. The details name the field.',
    'L''adresse est incomplète ou invalide. Le détail indique le champ.'
),
(
    'address_not_found', 404,
    'There is no such address in your address book.',
    'Cette adresse n''est pas dans votre carnet.'
),
(
    'already_exists', 409,
    'This exists already.',
    'Cela existe déjà.'
),
(
    'auth_unavailable', 503,
    'The sign-in service does not answer. Please try again in a moment.',
    'Le service de connexion ne répond pas. Réessayez dans un instant.'
),
(
    'authentication_required', 401,
    'Sign in to do this.',
    'Connectez-vous pour faire cela.'
),
(
    'body_too_large', 413,
    'The request body is too large.',
    'Le corps de la requête est trop grand.'
),
(
    'cart_empty', 400,
    'There is nothing to order.',
    'Il n''y a rien à commander.'
),
(
    'category_not_found', 404,
    'There is no such category.',
    'Cette catégorie n''existe pas.'
),
(
    'conflict', 409,
    'This does not fit the current state. Look again and retry.',
    'Cela ne va pas avec l''état actuel. Regardez à nouveau puis réessayez.'
),
(
    'country_unknown', 400,
    'The shop does not sell to this country.',
    'La boutique ne vend pas dans ce pays.'
),
(
    'cursor_invalid', 400,
    'The cursor is not one that this list gave out.',
    'Ce curseur ne vient pas de cette liste.'
),
(
    'data_api_unavailable', 503,
    'The data service does not answer. Please try again in a moment.',
    'Le service de données ne répond pas. Réessayez dans un instant.'
),
(
    'database_busy', 503,
    'Many people want the same thing at once. Please try again.',
    'Beaucoup de monde veut la même chose à la fois. Veuillez réessayer.'
),
(
    'database_timeout', 503,
    'The database took too long. Please try again in a moment.',
    'La base de données a mis trop de temps. Réessayez dans un instant.'
),
(
    'database_unavailable', 503,
    'The database does not answer. Please try again in a moment.',
    'La base de données ne répond pas. Réessayez dans un instant.'
),
(
    'email_not_confirmed', 403,
    'Confirm your e-mail address first, with the code that we mailed to you.',
    'Confirmez d''abord votre adresse e-mail avec le code que nous vous avons envoyé.'
),
(
    'field_unknown', 400,
    'There is no such field.',
    'Ce champ n''existe pas.'
),
(
    'idempotency_key_invalid', 400,
    'An idempotency key is 8 to 200 printable characters, the same in header and body.',
    'Une clé d''idempotence compte de 8 à 200 caractères imprimables, les mêmes dans l''en-tête et le corps.'
),
(
    'idempotency_key_required', 400,
    'Send an Idempotency-Key header, a new one for each order.',
    'Envoyez un en-tête Idempotency-Key, nouveau pour chaque commande.'
),
(
    'idempotency_key_reused', 409,
    'This idempotency key was used for another request.',
    'Cette clé d''idempotence a servi à une autre requête.'
),
(
    'input_invalid', 400,
    'The request is not valid. See the errors for each field.',
    'La requête n''est pas valide. Voyez les erreurs de chaque champ.'
),
(
    'internal_error', 500,
    'Something went wrong on our side. Please try again.',
    'Une erreur est survenue de notre côté. Veuillez réessayer.'
),
(
    'invalid_credentials', 401,
    'The e-mail address or the password is wrong.',
    'L''adresse e-mail ou le mot de passe est faux.'
),
(
    'json_malformed', 400,
    'The request body is not valid JSON.',
    'Le corps de la requête n''est pas du JSON valide.'
),
(
    'language_unknown', 400,
    'The language must be en or fr.',
    'La langue doit être en ou fr.'
),
(
    'media_type_unsupported', 415,
    'Send the body as application/json.',
    'Envoyez le corps en application/json.'
),
(
    'method_not_allowed', 405,
    'This address does not take this method.',
    'Cette adresse n''accepte pas cette méthode.'
),
(
    'not_allowed', 403,
    'You may not do this.',
    'Vous n''avez pas le droit de faire cela.'
),
(
    'not_found', 404,
    'There is nothing here.',
    'Il n''y a rien ici.'
),
(
    'order_items_invalid', 400,
    'The list of items is not valid. The details name the place.',
    'La liste d''articles n''est pas valide. Le détail indique l''endroit.'
),
(
    'order_not_cancellable', 409,
    'This order can no longer be cancelled.',
    'Cette commande ne peut plus être annulée.'
),
(
    'order_not_editable', 409,
    'This order can no longer be changed.',
    'Cette commande ne peut plus être modifiée.'
),
(
    'order_not_found', 404,
    'There is no such order of yours.',
    'Vous n''avez pas de telle commande.'
),
(
    'order_not_payable', 409,
    'This order cannot be paid: it is paid, cancelled or has expired.',
    'Cette commande ne peut pas être payée : elle est payée, annulée ou expirée.'
),
(
    'order_total_too_small', 409,
    'After the discount there is nothing left to pay.',
    'Après la remise, il ne reste rien à payer.'
),
(
    'order_transition_refused', 409,
    'The order cannot move to this state.',
    'La commande ne peut pas passer à cet état.'
),
(
    'page_size_invalid', 400,
    'A page has 1 to 100 rows.',
    'Une page compte de 1 à 100 lignes.'
),
(
    'payment_gateway_unavailable', 503,
    'No payment service took the payment; nothing was charged. Please try again.',
    'Aucun service n''a pris le paiement ; rien n''a été débité. Veuillez réessayer.'
),
(
    'payment_gateway_unknown', 404,
    'There is no such payment service.',
    'Ce service de paiement n''existe pas.'
),
(
    'payment_method_unavailable', 409,
    'This payment method is not available just now. Please choose another.',
    'Ce moyen de paiement n''est pas disponible en ce moment. Choisissez-en un autre.'
),
(
    'payment_method_unknown', 400,
    'There is no such payment method.',
    'Ce moyen de paiement n''existe pas.'
),
(
    'payment_not_found', 404,
    'There is no such payment of yours.',
    'Vous n''avez pas de tel paiement.'
),
(
    'payment_outcome_unknown', 503,
    'The payment service has not answered yet. Ask for the payment''s status; do not pay twice.',
    'Le service de paiement n''a pas encore répondu. Demandez l''état du paiement ; ne payez pas deux fois.'
),
(
    'payment_phone_invalid', 400,
    'A phone number begins with + and the country code.',
    'Un numéro de téléphone commence par + et l''indicatif du pays.'
),
(
    'payment_phone_required', 400,
    'This payment method needs the phone number that pays.',
    'Ce moyen de paiement demande le numéro de téléphone qui paie.'
),
(
    'payment_rejected', 409,
    'The payment service refused the payment; nothing was charged. Please choose another way.',
    'Le service a refusé le paiement ; rien n''a été débité. Choisissez un autre moyen.'
),
(
    'payment_transition_refused', 409,
    'The payment cannot move to this state.',
    'Le paiement ne peut pas passer à cet état.'
),
(
    'price_currency_mismatch', 400,
    'A price must be in the currency of its country.',
    'Un prix doit être dans la devise de son pays.'
),
(
    'price_not_rounded', 400,
    'The amount has more decimals than its currency.',
    'Le montant a plus de décimales que sa devise.'
),
(
    'product_not_found', 404,
    'There is no such product on sale.',
    'Ce produit n''est pas en vente.'
),
(
    'product_not_sold_in_country', 409,
    'This product is not sold in this country.',
    'Ce produit n''est pas vendu dans ce pays.'
),
(
    'promo_code_currency_mismatch', 409,
    'This promo code holds for another currency.',
    'Ce code promo vaut pour une autre devise.'
),
(
    'promo_code_exhausted', 409,
    'This promo code has been used up.',
    'Ce code promo est épuisé.'
),
(
    'promo_code_expired', 409,
    'This promo code has expired.',
    'Ce code promo a expiré.'
),
(
    'promo_code_inactive', 409,
    'This promo code is not active.',
    'Ce code promo n''est pas actif.'
),
(
    'promo_code_not_found', 404,
    'There is no such promo code.',
    'Ce code promo n''existe pas.'
),
(
    'promo_code_not_started', 409,
    'This promo code is not valid yet.',
    'Ce code promo n''est pas encore valable.'
),
(
    'promo_code_own', 409,
    'Your own promo code is for others.',
    'Votre propre code promo est pour les autres.'
),
(
    'promo_code_used_up', 409,
    'You have used this promo code as often as it allows.',
    'Vous avez utilisé ce code promo autant de fois que permis.'
),
(
    'quantity_above_maximum', 400,
    'More than the largest quantity sold of this product at once.',
    'Plus que la plus grande quantité vendue de ce produit en une fois.'
),
(
    'quantity_below_minimum', 400,
    'Less than the smallest quantity sold of this product.',
    'Moins que la plus petite quantité vendue de ce produit.'
),
(
    'quantity_invalid', 400,
    'A quantity is a whole number from 1 to 10000.',
    'Une quantité est un nombre entier de 1 à 10000.'
),
(
    'quantity_not_in_steps', 400,
    'This product is sold in fixed steps of quantity.',
    'Ce produit se vend par paliers de quantité.'
),
(
    'rate_limit_exceeded', 429,
    'Too many attempts. Wait a little and try again.',
    'Trop de tentatives. Patientez un peu puis réessayez.'
),
(
    'reason_invalid', 400,
    'A reason is one line of at most 300 characters.',
    'Un motif tient sur une ligne de 300 caractères au plus.'
),
(
    'reference_unknown', 400,
    'Something that the request refers to does not exist.',
    'La requête désigne quelque chose qui n''existe pas.'
),
(
    'service_unavailable', 503,
    'A service that we need does not answer. Please try again in a moment.',
    'Un service dont nous avons besoin ne répond pas. Réessayez dans un instant.'
),
(
    'shipping_unavailable', 409,
    'There is no delivery to this country just now.',
    'Il n''y a pas de livraison vers ce pays en ce moment.'
),
(
    'sort_unknown', 400,
    'There is no such sort order.',
    'Cet ordre de tri n''existe pas.'
),
(
    'still_referenced', 409,
    'This is still in use.',
    'Ceci est encore utilisé.'
),
(
    'stock_insufficient', 409,
    'There is not enough of this product in stock.',
    'Il n''y a pas assez de ce produit en stock.'
),
(
    'text_not_one_line', 400,
    'The text must be one line without control characters.',
    'Le texte doit tenir sur une ligne, sans caractères de contrôle.'
),
(
    'token_expired', 401,
    'Your session has ended. Sign in again.',
    'Votre session est terminée. Reconnectez-vous.'
),
(
    'token_invalid', 401,
    'The access token is not valid.',
    'Le jeton d''accès n''est pas valide.'
),
(
    'total_changed', 409,
    'The total has changed since you last saw it. The details hold the new quote.',
    'Le total a changé depuis votre dernier regard. Le détail contient le nouveau devis.'
),
(
    'value_malformed', 400,
    'A value has the wrong form or is out of range.',
    'Une valeur a une forme incorrecte ou est hors limites.'
),
(
    'value_missing', 400,
    'A required value is missing.',
    'Une valeur obligatoire manque.'
),
(
    'value_not_allowed', 400,
    'A value breaks a rule of the shop.',
    'Une valeur enfreint une règle de la boutique.'
),
(
    'value_out_of_range', 400,
    'The value is too small, too large, too short or too long.',
    'La valeur est trop petite, trop grande, trop courte ou trop longue.'
),
(
    'verification_code_invalid', 400,
    'The code is wrong or has expired. Ask for a new one.',
    'Le code est faux ou a expiré. Demandez-en un nouveau.'
),
(
    'weak_password', 400,
    'This password is too weak. Take a longer one.',
    'Ce mot de passe est trop faible. Choisissez-en un plus long.'
),
(
    'webhook_signature_invalid', 401,
    'The notification is not signed as it should be.',
    'La notification n''est pas signée comme il le faut.'
)
on conflict (code) do update
set status = excluded.status,
    message_en = excluded.message_en,
    message_fr = excluded.message_fr;

insert into private.jobs (job, queue, max_attempts)
values
('archive', 'maintenance', 3),
('handle_webhook', 'payments', 12),
('reconcile_payments', 'payments', 8),
('release_holds', 'maintenance', 3),
('send_email', 'mail', 12)
on conflict (job) do update
set queue = excluded.queue, max_attempts = excluded.max_attempts;

insert into private.schedules (job, every)
values
('archive', interval '7 days'),
('reconcile_payments', interval '15 minutes'),
('release_holds', interval '1 minute')
on conflict (job) do update
set every = excluded.every;

insert into private.rate_limit_rules (action, capacity, refill)
values
('login', 10, interval '5 minutes'),
('password_reset', 5, interval '15 minutes'),
('payment_initialize', 20, interval '5 minutes'),
('promo_check', 20, interval '10 minutes'),
('register', 10, interval '1 hour'),
('verify', 10, interval '15 minutes'),
('webhook_unverified', 60, interval '1 minute')
on conflict (action) do update
set capacity = excluded.capacity, refill = excluded.refill;
\echo /work/main/sql/schema/10_identity/10_users.sql
-- The shop's mirror of auth.users: what orders and mails need, without reaching into auth.

create table public.users (
    id uuid primary key,
    email text,
    full_name text,
    phone text,
    country text,
    language text not null default 'en',
    is_admin boolean not null default false,
    is_affiliate boolean not null default false,
    email_confirmed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint users_email_key unique (email),
    constraint users_full_name_is_one_line
    check (full_name ~ '^[^[:cntrl:]]*$' and char_length(full_name) <= 120),
    constraint users_phone_is_e164 check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    constraint users_language_is_known check (language in ('en', 'fr'))
);

alter table public.users enable row level security;

create trigger users_10_update_updated_at
before update on public.users
for each row execute function public.update_updated_at_column();

comment on table public.users is
'One row a person, kept from auth.users by trigger (no foreign key: erasure keeps the row).';
comment on column public.users.phone is 'E.164 with the plus sign.';
comment on column public.users.country is 'ISO 3166-1 alpha-2 of the shop the person buys in.';
comment on column public.users.language is 'Language of mails and messages: en or fr.';
comment on column public.users.is_admin is 'Kept by trigger from admins; writable by nobody.';
comment on column public.users.is_affiliate is
'Kept by trigger from approved affiliates; writable by nobody.';

create or replace function private.caller_language()
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select
        coalesce(
            private.request_language(),
            (select u.language from public.users as u where u.id = (select auth.uid())),
            'en'
        )
$$;

revoke all on function private.caller_language() from public;
grant execute on function private.caller_language() to anon, authenticated, service_role;

comment on function private.caller_language() is
'Language of an answer: the request''s, else the person''s, else en. Definer because the asker may '
'have no row to see.';
\echo /work/main/sql/schema/10_identity/20_admins.sql
create table public.admins (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete restrict,
    created_at timestamptz not null default now(),
    constraint admins_user_id_key unique (user_id)
);

alter table public.admins enable row level security;

comment on table public.admins is
'Who is admin. users.is_admin follows it; nothing else decides.';

create or replace function private.tg_admins__mirror_is_admin()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op in ('UPDATE', 'DELETE') then
        update public.users as u set is_admin = false where u.id = old.user_id;
    end if;
    if tg_op in ('INSERT', 'UPDATE') then
        update public.users as u set is_admin = true where u.id = new.user_id;
    end if;
    return null;
end
$$;

revoke all on function private.tg_admins__mirror_is_admin() from public;

comment on function private.tg_admins__mirror_is_admin() is
'Trigger: keeps users.is_admin. Definer because nobody may write that column.';

create trigger admins_90_mirror_is_admin
after insert or update or delete on public.admins
for each row execute function private.tg_admins__mirror_is_admin();

create or replace function private.is_admin(user_id uuid default auth.uid())
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select exists (select from public.admins as a where a.user_id = is_admin.user_id)
$$;

revoke all on function private.is_admin(uuid) from public;
grant execute on function private.is_admin(uuid) to anon, authenticated;

comment on function private.is_admin(uuid) is
'Whether the person (by default the caller) is admin. Definer because policies of admins itself '
'would otherwise ask themselves.';

create policy select_own_or_admin on public.admins
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.admins is
'An admin sees all admins, anyone else at most that they are one.';

create policy select_own_or_admin on public.users
for select to authenticated
using (id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.users is
'A person sees their own row, an admin all.';

create policy update_own on public.users
for update to authenticated
using (id = (select auth.uid()))
with check (id = (select auth.uid()));

comment on policy update_own on public.users is
'A person edits their own row: name, phone, country and language only (column grants).';

grant select on public.admins to authenticated, service_role;
grant select on public.users to authenticated, service_role;
grant update (full_name, phone, country, language) on public.users to authenticated, service_role;
grant insert, delete on public.admins to service_role;
\echo /work/main/sql/schema/10_identity/30_auth_users.sql
-- auth.users is Supabase Auth's table. Its insert is the sign-up itself, so what stands here never
-- refuses: odd metadata is left out, not complained about.

create or replace function private.read_user_metadata(metadata jsonb)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- Hosted Supabase stores an object; the local auth server stores the object as a JSON string.
    if jsonb_typeof(read_user_metadata.metadata) = 'string' then
        return (read_user_metadata.metadata #>> '{}')::jsonb;
    end if;
    return coalesce(read_user_metadata.metadata, '{}'::jsonb);
exception
    when others then
        return '{}'::jsonb;
end
$$;

create or replace function private.tg_users__mirror_auth_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_metadata jsonb := private.read_user_metadata(new.raw_user_meta_data);
    v_full_name text := btrim(regexp_replace(
        left(v_metadata ->> 'full_name', 120), '[[:cntrl:]]+', ' ', 'g'
    ));
    v_phone text := regexp_replace(v_metadata ->> 'phone', '[\s().-]', '', 'g');
begin
    insert into public.users as u (
        id, email, full_name, phone, country, language, email_confirmed_at
    )
    values (
        new.id,
        new.email,
        nullif(v_full_name, ''),
        case when v_phone ~ '^\+[1-9][0-9]{6,14}$' then v_phone end,
        (select c.code from public.countries as c where c.code = v_metadata ->> 'country'),
        case when v_metadata ->> 'language' = 'fr' then 'fr' else 'en' end,
        new.email_confirmed_at
    )
    on conflict on constraint users_pkey do update
    set email = excluded.email,
        email_confirmed_at = coalesce(u.email_confirmed_at, excluded.email_confirmed_at);
    return null;
end
$$;

create or replace function private.tg_users__forget_auth_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.users as u
    set email = null, full_name = null, phone = null
    where u.id = old.id;
    return null;
end
$$;

revoke all on function private.read_user_metadata(jsonb) from public;
revoke all on function private.tg_users__mirror_auth_user() from public;
revoke all on function private.tg_users__forget_auth_user() from public;

comment on function private.read_user_metadata(jsonb) is
'User metadata as an object, {} when it is unreadable.';
comment on function private.tg_users__mirror_auth_user() is
'Trigger: keeps public.users. Definer because Auth''s role has no right on the shop''s tables.';
comment on function private.tg_users__forget_auth_user() is
'Trigger: a deleted login leaves the row that orders point at, without its personal columns. '
'Definer because Auth''s role has no right on the shop''s tables.';

create trigger users_90_mirror_auth_user
after insert or update of email, email_confirmed_at on auth.users
for each row execute function private.tg_users__mirror_auth_user();

create trigger users_90_forget_auth_user
after delete on auth.users
for each row execute function private.tg_users__forget_auth_user();
\echo /work/main/sql/schema/10_identity/40_addresses.sql
-- Addresses as they are given in Douala and Soweto: a landmark and a district, no postcode needed.

create table public.addresses (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    label text,
    recipient_name text not null,
    phone text not null,
    country text not null,
    city text not null,
    district text,
    landmark text,
    line1 text,
    latitude numeric(9, 6),
    longitude numeric(9, 6),
    is_default boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint addresses_texts_are_one_line
    check (concat(label, recipient_name, city, district, landmark, line1) ~ '^[^[:cntrl:]]*$'),
    constraint addresses_texts_are_short
    check (
        char_length(label) <= 60
        and char_length(recipient_name) between 1 and 120
        and char_length(city) between 1 and 120
        and char_length(district) <= 120
        and char_length(landmark) <= 200
        and char_length(line1) <= 200
    ),
    constraint addresses_phone_is_e164 check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    constraint addresses_say_where
    check (coalesce(line1, landmark, district) is not null or latitude is not null),
    constraint addresses_position_is_on_earth
    check (
        num_nonnulls(latitude, longitude) in (0, 2)
        and latitude between -90 and 90
        and longitude between -180 and 180
    )
);

alter table public.addresses enable row level security;

create index addresses_user_id_idx on public.addresses (user_id);
create unique index addresses_user_id_default_key on public.addresses (user_id) where is_default;

create trigger addresses_10_update_updated_at
before update on public.addresses
for each row execute function public.update_updated_at_column();

comment on table public.addresses is
'A person''s address book. An order keeps its own copy (orders.shipping_address).';
comment on column public.addresses.phone is 'E.164 with the plus sign: the courier calls it.';
comment on column public.addresses.latitude is 'WGS 84, degrees.';

create policy select_own_or_admin on public.addresses
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

create policy insert_own on public.addresses
for insert to authenticated
with check (user_id = (select auth.uid()));

create policy update_own on public.addresses
for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

create policy delete_own on public.addresses
for delete to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own_or_admin on public.addresses is
'A person sees their own addresses, an admin all.';
comment on policy insert_own on public.addresses is 'A person adds addresses of their own.';
comment on policy update_own on public.addresses is 'A person edits their own addresses.';
comment on policy delete_own on public.addresses is 'A person deletes their own addresses.';

grant select, delete on public.addresses to authenticated;
grant insert (
    id, label, recipient_name, phone, country, city, district, landmark, line1, latitude, longitude,
    is_default
), update (
    label, recipient_name, phone, country, city, district, landmark, line1, latitude, longitude,
    is_default
) on public.addresses to authenticated;
grant select, insert, update, delete on public.addresses to service_role;
\echo /work/main/sql/schema/20_market/10_currencies.sql
create table public.currencies (
    code text primary key,
    name text not null,
    name_fr text not null,
    minor_unit smallint not null,
    cash_step numeric(12, 2) not null,
    constraint currencies_code_is_iso_4217 check (code ~ '^[A-Z]{3}$'),
    constraint currencies_minor_unit_is_known check (minor_unit between 0 and 2),
    constraint currencies_cash_step_positive check (cash_step > 0)
);

alter table public.currencies enable row level security;

comment on table public.currencies is 'Currencies of prices and payments (ISO 4217).';
comment on column public.currencies.minor_unit is 'Decimals of an amount: 0 for XAF, 2 for ZAR.';
comment on column public.currencies.cash_step is
'Smallest step a listed price moves by, in the currency: what coins make possible.';

create policy select_all on public.currencies for select to anon, authenticated using (true);
comment on policy select_all on public.currencies is 'Public reference data.';
grant select on public.currencies to anon, authenticated, service_role;

-- Functions of the checkout are plpgsql where SQL would read as well: plpgsql keeps its plans for
-- the session, a SQL function with a pinned search_path is planned anew at every call.

create or replace function private.round_money(amount numeric, currency text)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        select round(round_money.amount, c.minor_unit)
        from public.currencies as c
        where c.code = round_money.currency
    );
end
$$;

create or replace function private.split_money(total numeric, weights numeric [], currency text)
returns numeric []
language plpgsql
stable
set search_path = ''
as $$
declare
    v_step numeric;
    v_whole numeric;
begin
    if split_money.total = 0 then
        return array_fill(0::numeric, array[cardinality(split_money.weights)]);
    end if;
    select 10::numeric ^ -c.minor_unit into strict v_step
    from public.currencies as c where c.code = split_money.currency;
    select sum(x) into strict v_whole from unnest(split_money.weights) as x;

    return (
        with part as (
            select
                w.position,
                split_money.total * w.weight / v_whole as exact,
                trunc(split_money.total * w.weight / v_whole / v_step) * v_step as floored
            from unnest(split_money.weights) with ordinality as w (weight, position)
        ),

        ranked as (
            select
                p.position,
                p.floored,
                row_number() over (order by p.exact - p.floored desc, p.position) as place,
                round((split_money.total - sum(p.floored) over ()) / v_step) as missing
            from part as p
        )

        select
            array_agg(
                r.floored + case when r.place <= r.missing then v_step else 0 end
                order by r.position
            )
        from ranked as r
    );
end
$$;

revoke all on function private.round_money(numeric, text) from public;
revoke all on function private.split_money(numeric, numeric [], text) from public;
grant execute on function private.round_money(numeric, text) to authenticated, service_role;

comment on function private.round_money(numeric, text) is
'An amount at its currency''s decimals, half away from zero. The only place that rounds money.';
comment on function private.split_money(numeric, numeric [], text) is
'A non-negative total split by positive weights, largest remainder first: the parts sum to it.';
\echo /work/main/sql/schema/20_market/20_countries.sql
create table public.countries (
    code text primary key,
    name text not null,
    name_fr text not null,
    currency text not null references public.currencies (code) on delete restrict,
    languages text [] not null,
    phone_prefix text not null,
    constraint countries_code_is_iso_3166 check (code ~ '^[A-Z]{2}$'),
    constraint countries_languages_are_known
    check (languages <@ array['en', 'fr'] and cardinality(languages) > 0),
    constraint countries_phone_prefix_is_e164 check (phone_prefix ~ '^\+[1-9][0-9]{0,3}$')
);

alter table public.countries enable row level security;

create index countries_currency_idx on public.countries (currency);

comment on table public.countries is 'Countries the shop sells to (ISO 3166-1 alpha-2).';
comment on column public.countries.languages is 'Languages spoken there, the first is the default.';

create policy select_all on public.countries for select to anon, authenticated using (true);
comment on policy select_all on public.countries is 'Public reference data.';
grant select on public.countries to anon, authenticated, service_role;

alter table public.users
add constraint users_country_fkey
foreign key (country) references public.countries (code) on delete restrict;
create index users_country_idx on public.users (country);

alter table public.addresses
add constraint addresses_country_fkey
foreign key (country) references public.countries (code) on delete restrict;
create index addresses_country_idx on public.addresses (country);

create or replace function private.caller_country()
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select
        coalesce((select u.country from public.users as u where u.id = (select auth.uid())), 'ZA')
$$;

revoke all on function private.caller_country() from public;
grant execute on function private.caller_country() to anon, authenticated, service_role;

comment on function private.caller_country() is
'Country whose prices the caller sees when none is asked for: their own, else ZA. Definer because a '
'guest has no row to see.';
\echo /work/main/sql/schema/20_market/30_exchange_rates.sql
create table public.exchange_rates (
    base_currency text not null references public.currencies (code) on delete restrict,
    quote_currency text not null references public.currencies (code) on delete restrict,
    rate numeric(18, 8) not null,
    as_of timestamptz not null,
    source text not null,
    primary key (base_currency, quote_currency, as_of),
    constraint exchange_rates_rate_positive check (rate > 0),
    constraint exchange_rates_pair_differs check (base_currency <> quote_currency)
);

alter table public.exchange_rates enable row level security;

create index exchange_rates_quote_currency_idx on public.exchange_rates (quote_currency);

comment on table public.exchange_rates is
'Units of quote_currency for one of base_currency, as of a moment; the newest row counts.';

create policy select_all on public.exchange_rates for select to anon, authenticated using (true);
comment on policy select_all on public.exchange_rates is 'Public reference data.';
grant select on public.exchange_rates to anon, authenticated, service_role;
\echo /work/main/sql/schema/20_market/40_payment_routes.sql
create table public.payment_methods (
    code text primary key,
    name text not null,
    name_fr text not null,
    constraint payment_methods_code_is_snake_case check (code ~ '^[a-z][a-z_]{2,30}$')
);

alter table public.payment_methods enable row level security;

comment on table public.payment_methods is 'Ways a shopper can pay.';

create policy select_all on public.payment_methods for select to anon, authenticated using (true);
comment on policy select_all on public.payment_methods is 'Public reference data.';
grant select on public.payment_methods to anon, authenticated, service_role;

create table public.payment_routes (
    country text not null references public.countries (code) on delete restrict,
    method text not null references public.payment_methods (code) on delete restrict,
    gateway text not null,
    priority smallint not null,
    needs_phone boolean not null default false,
    is_enabled boolean not null default true,
    primary key (country, method, gateway),
    constraint payment_routes_priority_key unique (country, priority),
    constraint payment_routes_gateway_is_snake_case check (gateway ~ '^[a-z][a-z_]{1,30}$')
);

alter table public.payment_routes enable row level security;

create index payment_routes_method_idx on public.payment_routes (method);

comment on table public.payment_routes is
'Which gateway takes which method in which country, tried by rising priority.';
comment on column public.payment_routes.needs_phone is
'Whether the payer''s number is needed before the payment starts (push to the handset).';

create policy select_all on public.payment_routes for select to anon, authenticated using (true);
comment on policy select_all on public.payment_routes is 'Public reference data.';
grant select on public.payment_routes to anon, authenticated, service_role;
\echo /work/main/sql/schema/20_market/50_rates.sql
create table public.shipping_rates (
    id uuid primary key default gen_random_uuid(),
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    amount numeric(12, 2) not null,
    free_from numeric(12, 2),
    valid_from date not null default '2026-01-01',
    valid_until date,
    constraint shipping_rates_amount_not_negative check (amount >= 0),
    constraint shipping_rates_free_from_positive check (free_from > 0),
    constraint shipping_rates_no_overlap exclude using gist (
        country with =, daterange(valid_from, valid_until) with &&
    )
);

alter table public.shipping_rates enable row level security;

create index shipping_rates_currency_idx on public.shipping_rates (currency);

comment on table public.shipping_rates is
'Delivery charge of an order, tax included, by country and date.';
comment on column public.shipping_rates.free_from is
'Subtotal after discount from which delivery is free; null = never.';
comment on column public.shipping_rates.valid_until is 'First day it no longer holds; null = open.';

create policy select_all on public.shipping_rates for select to anon, authenticated using (true);
comment on policy select_all on public.shipping_rates is 'Public reference data.';
grant select on public.shipping_rates to anon, authenticated, service_role;

create table public.tax_rates (
    id uuid primary key default gen_random_uuid(),
    country text not null references public.countries (code) on delete restrict,
    name text not null,
    name_fr text not null,
    rate numeric(6, 4) not null,
    valid_from date not null default '2026-01-01',
    valid_until date,
    constraint tax_rates_rate_is_share check (rate >= 0 and rate < 1),
    constraint tax_rates_no_overlap exclude using gist (
        country with =, daterange(valid_from, valid_until) with &&
    )
);

alter table public.tax_rates enable row level security;

comment on table public.tax_rates is
'Value-added tax contained in listed prices, by country and date: 0.1500 is 15 percent.';

create policy select_all on public.tax_rates for select to anon, authenticated using (true);
comment on policy select_all on public.tax_rates is 'Public reference data.';
grant select on public.tax_rates to anon, authenticated, service_role;
\echo /work/main/sql/schema/20_market/90_rows.sql
insert into public.currencies (code, name, name_fr, minor_unit, cash_step)
values
('USD', 'US dollar', 'Dollar américain', 2, 0.01),
('XAF', 'Central African CFA franc', 'Franc CFA (CEMAC)', 0, 5),
('ZAR', 'South African rand', 'Rand sud-africain', 2, 0.10)
on conflict (code) do update
set name = excluded.name,
    name_fr = excluded.name_fr,
    minor_unit = excluded.minor_unit,
    cash_step = excluded.cash_step;

insert into public.countries (code, name, name_fr, currency, languages, phone_prefix)
values
('CM', 'Cameroon', 'Cameroun', 'XAF', array['fr', 'en'], '+237'),
('ZA', 'South Africa', 'Afrique du Sud', 'ZAR', array['en'], '+27')
on conflict (code) do update
set name = excluded.name,
    name_fr = excluded.name_fr,
    currency = excluded.currency,
    languages = excluded.languages,
    phone_prefix = excluded.phone_prefix;

insert into public.payment_methods (code, name, name_fr)
values
('mtn_momo', 'MTN Mobile Money', 'MTN Mobile Money'),
('orange_money', 'Orange Money', 'Orange Money'),
('card', 'Bank card', 'Carte bancaire'),
('eft', 'Instant bank transfer (EFT)', 'Virement bancaire instantané (EFT)'),
('kora_checkout', 'Kora checkout', 'Paiement Kora')
on conflict (code) do update
set name = excluded.name, name_fr = excluded.name_fr;

insert into public.payment_routes (country, method, gateway, priority, needs_phone)
values
('ZA', 'card', 'paygate', 10, false),
('ZA', 'card', 'payfast', 20, false),
('ZA', 'eft', 'paygate', 30, false),
('ZA', 'eft', 'payfast', 40, false),
('ZA', 'kora_checkout', 'kora', 50, false),
('ZA', 'eft', 'kora', 60, false),
('CM', 'orange_money', 'orange', 10, false),
('CM', 'mtn_momo', 'mtn', 20, true),
('CM', 'kora_checkout', 'kora', 30, false),
('CM', 'orange_money', 'kora', 40, true),
('CM', 'mtn_momo', 'kora', 50, true)
on conflict (country, method, gateway) do update
set priority = excluded.priority, needs_phone = excluded.needs_phone;

insert into public.shipping_rates (id, country, currency, amount, free_from)
values
('5a000000-0000-4000-8000-000000000001', 'ZA', 'ZAR', 99.00, 1500.00),
('5a000000-0000-4000-8000-000000000002', 'CM', 'XAF', 3500, 60000)
on conflict (id) do update
set amount = excluded.amount, free_from = excluded.free_from;

insert into public.tax_rates (id, country, name, name_fr, rate)
values
('7a000000-0000-4000-8000-000000000001', 'ZA', 'VAT', 'TVA', 0.1500),
('7a000000-0000-4000-8000-000000000002', 'CM', 'VAT', 'TVA', 0.1925)
on conflict (id) do update
set name = excluded.name, name_fr = excluded.name_fr, rate = excluded.rate;
\echo /work/main/sql/schema/30_catalog/10_categories.sql
create table public.categories (
    id uuid primary key default gen_random_uuid(),
    parent_id uuid references public.categories (id) on delete restrict,
    slug text not null,
    name text not null,
    name_fr text not null,
    position integer not null default 0,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint categories_slug_key unique (slug),
    constraint categories_slug_is_kebab_case check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    constraint categories_names_are_one_line
    check (name ~ '^[^[:cntrl:]]+$' and name_fr ~ '^[^[:cntrl:]]+$'),
    constraint categories_is_not_own_parent check (parent_id is distinct from id)
);

alter table public.categories enable row level security;

create index categories_parent_id_position_idx on public.categories (parent_id, position);

create trigger categories_10_update_updated_at
before update on public.categories
for each row execute function public.update_updated_at_column();

comment on table public.categories is 'The tree of categories; a root has no parent.';
comment on column public.categories.position is 'Order among siblings, low first.';

create policy select_active_or_admin on public.categories
for select to anon, authenticated
using (is_active or (select private.is_admin()));

comment on policy select_active_or_admin on public.categories is
'Everyone sees the active categories, an admin all.';

grant select on public.categories to anon, authenticated;
grant select, insert, update, delete on public.categories to service_role;

create or replace function private.category_and_descendants(category uuid)
returns uuid []
language sql
stable
set search_path = ''
as $$
    with recursive tree as (
        select c.id, 1 as depth
        from public.categories as c
        where c.id = category_and_descendants.category
        union all
        select c.id, t.depth + 1
        from tree as t
        inner join public.categories as c on t.id = c.parent_id
        where t.depth < 16
    )

    select coalesce(array_agg(t.id), '{}') from tree as t
$$;

revoke all on function private.category_and_descendants(uuid) from public;
grant execute on function private.category_and_descendants(uuid)
to anon, authenticated, service_role;

comment on function private.category_and_descendants(uuid) is
'Ids of a category and everything below it that the caller may see.';
\echo /work/main/sql/schema/30_catalog/20_suppliers.sql
create table public.suppliers (
    id uuid primary key default gen_random_uuid(),
    platform text not null,
    external_id text not null,
    name text not null,
    seller_rating numeric(3, 2),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint suppliers_platform_external_id_key unique (platform, external_id),
    constraint suppliers_platform_is_known check (platform in ('alibaba', 'aliexpress')),
    constraint suppliers_seller_rating_is_stars check (seller_rating between 0 and 5)
);

alter table public.suppliers enable row level security;

create trigger suppliers_10_update_updated_at
before update on public.suppliers
for each row execute function public.update_updated_at_column();

comment on table public.suppliers is 'Sellers on Alibaba and AliExpress that goods come from.';

create policy select_admin on public.suppliers
for select to authenticated
using ((select private.is_admin()));

comment on policy select_admin on public.suppliers is
'Who supplies what is the shop''s own business: admins only.';

grant select on public.suppliers to authenticated;
grant select, insert, update, delete on public.suppliers to service_role;
\echo /work/main/sql/schema/30_catalog/30_products.sql
create type public.product_channel as enum ('retail', 'wholesale');

comment on type public.product_channel is
'Which product table a row points at: retail = products, wholesale = products_retailer.';

create table public.products (
    id uuid primary key default gen_random_uuid(),
    external_id text,
    supplier_id uuid references public.suppliers (id) on delete restrict,
    category_id uuid not null references public.categories (id) on delete restrict,
    name text not null,
    name_fr text,
    description text,
    description_fr text,
    price_mallgram numeric(12, 2) not null,
    currency text not null default 'USD' references public.currencies (code) on delete restrict,
    is_retailer boolean not null default false,
    seller_rating numeric(3, 2),
    review_count integer not null default 0,
    max_order_quantity integer not null default 100,
    weight_grams integer,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint products_supplier_id_external_id_key unique (supplier_id, external_id),
    constraint products_names_are_one_line
    check (
        name ~ '^[^[:cntrl:]]+$' and char_length(name) <= 300
        and name_fr ~ '^[^[:cntrl:]]+$' and char_length(name_fr) <= 300
    ),
    constraint products_price_positive check (price_mallgram > 0),
    constraint products_is_not_retailer check (is_retailer = false),
    constraint products_seller_rating_is_stars check (seller_rating between 0 and 5),
    constraint products_review_count_not_negative check (review_count >= 0),
    constraint products_max_order_quantity_positive check (max_order_quantity between 1 and 10000),
    constraint products_weight_positive check (weight_grams > 0)
);

alter table public.products enable row level security;

create index products_category_id_idx on public.products (category_id);
create index products_currency_idx on public.products (currency);

create trigger products_10_update_updated_at
before update on public.products
for each row execute function public.update_updated_at_column();

comment on table public.products is 'Retail goods (B2C), sold by the piece.';
comment on column public.products.price_mallgram is
'The shop''s base price in currency; what a shopper pays is in product_prices.';
comment on column public.products.seller_rating is 'Supplier''s stars, 0 to 5.';

create policy select_active_or_admin on public.products
for select to anon, authenticated
using (is_active or (select private.is_admin()));

comment on policy select_active_or_admin on public.products is
'Everyone sees what is on sale, an admin everything.';

grant select on public.products to anon, authenticated;
grant select, insert, update, delete on public.products to service_role;

create table public.products_retailer (
    id uuid primary key default gen_random_uuid(),
    external_id text,
    supplier_id uuid references public.suppliers (id) on delete restrict,
    category_id uuid not null references public.categories (id) on delete restrict,
    name text not null,
    name_fr text,
    description text,
    description_fr text,
    price_mallgram numeric(12, 2) not null,
    currency text not null default 'USD' references public.currencies (code) on delete restrict,
    is_retailer boolean not null default true,
    seller_rating numeric(3, 2),
    review_count integer not null default 0,
    min_order_quantity integer not null default 2,
    order_increment integer not null default 1,
    max_order_quantity integer not null default 10000,
    bulk_discount_percent numeric(5, 2) not null default 0,
    bulk_min_quantity integer not null default 100,
    weight_grams integer,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint products_retailer_supplier_id_external_id_key unique (supplier_id, external_id),
    constraint products_retailer_names_are_one_line
    check (
        name ~ '^[^[:cntrl:]]+$' and char_length(name) <= 300
        and name_fr ~ '^[^[:cntrl:]]+$' and char_length(name_fr) <= 300
    ),
    constraint products_retailer_price_positive check (price_mallgram > 0),
    constraint products_retailer_is_retailer check (is_retailer = true),
    constraint products_retailer_seller_rating_is_stars check (seller_rating between 0 and 5),
    constraint products_retailer_review_count_not_negative check (review_count >= 0),
    constraint products_retailer_min_order_quantity_is_wholesale check (min_order_quantity >= 2),
    constraint products_retailer_quantities_fit
    check (
        order_increment >= 1
        and max_order_quantity between min_order_quantity and 10000
        and bulk_min_quantity >= min_order_quantity
    ),
    constraint products_retailer_bulk_discount_is_percent
    check (bulk_discount_percent >= 0 and bulk_discount_percent <= 90),
    constraint products_retailer_weight_positive check (weight_grams > 0)
);

alter table public.products_retailer enable row level security;

create index products_retailer_category_id_idx on public.products_retailer (category_id);
create index products_retailer_currency_idx on public.products_retailer (currency);

create trigger products_retailer_10_update_updated_at
before update on public.products_retailer
for each row execute function public.update_updated_at_column();

comment on table public.products_retailer is
'Wholesale goods (B2B), sold from min_order_quantity in steps of order_increment.';
comment on column public.products_retailer.price_mallgram is
'The shop''s base price of one piece in currency; what a buyer pays is in product_prices.';
comment on column public.products_retailer.bulk_discount_percent is
'Taken off the unit price from bulk_min_quantity pieces, unless a price tier gives more.';

create policy select_active_or_admin on public.products_retailer
for select to anon, authenticated
using (is_active or (select private.is_admin()));

comment on policy select_active_or_admin on public.products_retailer is
'Everyone sees what is on sale, an admin everything.';

grant select on public.products_retailer to anon, authenticated;
grant select, insert, update, delete on public.products_retailer to service_role;
\echo /work/main/sql/schema/30_catalog/40_product_stock.sql
-- Stock stands beside the product, not in it: an order rewrites a narrow row, not the page of a
-- product with its search vectors.

create table public.product_stock (
    listing_id uuid primary key generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    on_hand integer not null default 0,
    reserved integer not null default 0,
    available integer not null generated always as (on_hand - reserved) stored,
    updated_at timestamptz not null default now(),
    constraint product_stock_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_stock_on_hand_not_negative check (on_hand >= 0),
    constraint product_stock_reserved_not_negative check (reserved >= 0),
    constraint product_stock_never_oversold check (reserved <= on_hand)
)
with (fillfactor = 50);

alter table public.product_stock enable row level security;

create index product_stock_product_id_idx on public.product_stock (product_id);
create index product_stock_retailer_product_id_idx on public.product_stock (retailer_product_id);

comment on table public.product_stock is
'Pieces of a product: on hand, held by unpaid orders (reserved), and free (available).';
comment on column public.product_stock.listing_id is
'product_id or retailer_product_id, whichever is filled.';

create policy select_all on public.product_stock for select to anon, authenticated using (true);
comment on policy select_all on public.product_stock is 'Stock is public, as on any shelf.';

grant select on public.product_stock to anon, authenticated;
grant select, insert, update, delete on public.product_stock to service_role;
\echo /work/main/sql/schema/30_catalog/50_product_prices.sql
create table public.product_prices (
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    amount numeric(12, 2) not null,
    source text not null default 'manual',
    updated_at timestamptz not null default now(),
    primary key (listing_id, country),
    constraint product_prices_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_prices_amount_positive check (amount > 0),
    constraint product_prices_source_is_known check (source in ('rule', 'manual'))
);

alter table public.product_prices enable row level security;

create index product_prices_country_amount_idx
on public.product_prices (country, amount, listing_id);
create index product_prices_currency_idx on public.product_prices (currency);
create index product_prices_product_id_idx on public.product_prices (product_id);
create index product_prices_retailer_product_id_idx
on public.product_prices (retailer_product_id);

create trigger product_prices_10_update_updated_at
before update on public.product_prices
for each row execute function public.update_updated_at_column();

comment on table public.product_prices is
'What a piece costs in a country: final, tax included, rounded. Alone listed, sorted, charged.';
comment on column public.product_prices.source is
'rule = kept by the price rule, manual = set by hand and never overwritten.';

create or replace function private.tg_product_prices__check_currency()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.currency is distinct from (
        select c.currency from public.countries as c where c.code = new.country
    ) then
        perform private.fail('price_currency_mismatch', new.country || ' ' || new.currency);
    end if;
    if new.amount is distinct from private.round_money(new.amount, new.currency) then
        perform private.fail('price_not_rounded', new.amount || ' ' || new.currency);
    end if;
    return new;
end
$$;

revoke all on function private.tg_product_prices__check_currency() from public;

comment on function private.tg_product_prices__check_currency() is
'Trigger: a price is in its country''s currency and at that currency''s decimals. Errors: '
'price_currency_mismatch, price_not_rounded.';

create trigger product_prices_50_check_currency
before insert or update on public.product_prices
for each row execute function private.tg_product_prices__check_currency();

create policy select_all on public.product_prices for select to anon, authenticated using (true);
comment on policy select_all on public.product_prices is 'Listed prices are public.';

grant select on public.product_prices to anon, authenticated;
grant select, insert, update, delete on public.product_prices to service_role;

create table public.price_tiers (
    id uuid primary key default gen_random_uuid(),
    retailer_product_id uuid not null references public.products_retailer (id) on delete cascade,
    quantities int4range not null,
    discount_percent numeric(5, 2) not null,
    constraint price_tiers_quantities_are_wholesale
    check (coalesce(lower(quantities) >= 2, false)),
    constraint price_tiers_discount_is_percent
    check (discount_percent > 0 and discount_percent <= 90),
    constraint price_tiers_no_overlap
    exclude using gist (retailer_product_id with =, quantities with &&)
);

alter table public.price_tiers enable row level security;

comment on table public.price_tiers is
'Wholesale breaks: percent off the listed unit price for a range of quantities; no two overlap.';

create policy select_all on public.price_tiers for select to anon, authenticated using (true);
comment on policy select_all on public.price_tiers is 'Listed prices are public.';

grant select on public.price_tiers to anon, authenticated;
grant select, insert, update, delete on public.price_tiers to service_role;
\echo /work/main/sql/schema/30_catalog/60_product_media.sql
create table public.product_media (
    id uuid primary key default gen_random_uuid(),
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    position smallint not null default 0,
    storage_path text not null,
    alt text,
    alt_fr text,
    width integer,
    height integer,
    created_at timestamptz not null default now(),
    constraint product_media_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_media_position_key unique (listing_id, position),
    constraint product_media_storage_path_is_relative
    check (storage_path ~ '^[a-z0-9][a-z0-9/_.-]*$'),
    constraint product_media_texts_are_one_line check (concat(alt, alt_fr) ~ '^[^[:cntrl:]]*$'),
    constraint product_media_size_positive check (width > 0 and height > 0)
);

alter table public.product_media enable row level security;

create index product_media_product_id_idx on public.product_media (product_id);
create index product_media_retailer_product_id_idx on public.product_media (retailer_product_id);

comment on table public.product_media is 'Pictures of a product, in Storage; position 0 is shown first.';
comment on column public.product_media.storage_path is
'bucket/path: the picture is at /storage/v1/object/public/<storage_path>.';
comment on column public.product_media.width is 'Pixels.';

create policy select_all on public.product_media for select to anon, authenticated using (true);
comment on policy select_all on public.product_media is 'Pictures are public.';

grant select on public.product_media to anon, authenticated;
grant select, insert, update, delete on public.product_media to service_role;
\echo /work/main/sql/schema/35_search/10_product_search.sql
-- Two stored vectors a product, one stemmed as English and one as French, both without accents.

create text search configuration private.search_en (copy = pg_catalog.english);
alter text search configuration private.search_en
alter mapping for hword, hword_part, word with extensions.unaccent, pg_catalog.english_stem;

create text search configuration private.search_fr (copy = pg_catalog.french);
alter text search configuration private.search_fr
alter mapping for hword, hword_part, word with extensions.unaccent, pg_catalog.french_stem;

comment on text search configuration private.search_en is 'English stems, accents folded.';
comment on text search configuration private.search_fr is 'French stems, accents folded.';

alter table public.products
add column search_en tsvector not null generated always as (
    setweight(to_tsvector('private.search_en'::regconfig, name), 'A')
    || setweight(to_tsvector('private.search_en'::regconfig, coalesce(description, '')), 'C')
) stored,
add column search_fr tsvector not null generated always as (
    setweight(to_tsvector('private.search_fr'::regconfig, coalesce(name_fr, name)), 'A')
    || setweight(to_tsvector('private.search_fr'::regconfig, coalesce(description_fr, '')), 'C')
) stored;

create index products_search_en_idx on public.products using gin (search_en);
create index products_search_fr_idx on public.products using gin (search_fr);
create index products_names_trgm_idx on public.products
using gin ((name || ' ' || coalesce(name_fr, '')) extensions.gin_trgm_ops);

alter table public.products_retailer
add column search_en tsvector not null generated always as (
    setweight(to_tsvector('private.search_en'::regconfig, name), 'A')
    || setweight(to_tsvector('private.search_en'::regconfig, coalesce(description, '')), 'C')
) stored,
add column search_fr tsvector not null generated always as (
    setweight(to_tsvector('private.search_fr'::regconfig, coalesce(name_fr, name)), 'A')
    || setweight(to_tsvector('private.search_fr'::regconfig, coalesce(description_fr, '')), 'C')
) stored;

create index products_retailer_search_en_idx on public.products_retailer using gin (search_en);
create index products_retailer_search_fr_idx on public.products_retailer using gin (search_fr);
create index products_retailer_names_trgm_idx on public.products_retailer
using gin ((name || ' ' || coalesce(name_fr, '')) extensions.gin_trgm_ops);
\echo /work/main/sql/schema/35_search/20_category_tree.sql
create type public.category_node as (
    id uuid,
    parent_id uuid,
    slug text,
    name text,
    depth integer,
    path text [],
    cursor text
);

comment on type public.category_node is
'One category of the tree: path holds the slugs from the root, depth starts at 1.';

create or replace function public.category_tree(language text default null)
returns setof public.category_node
language sql
stable
set search_path = ''
as $$
    with recursive tree as (
        select c.id, c.parent_id, c.slug, c.name, c.name_fr, 1 as depth,
            array[c.slug] as path, array[lpad(c.position::text, 8, '0') || c.slug] as place
        from public.categories as c
        where c.parent_id is null
        union all
        select c.id, c.parent_id, c.slug, c.name, c.name_fr, t.depth + 1,
            t.path || c.slug, t.place || (lpad(c.position::text, 8, '0') || c.slug)
        from tree as t
        inner join public.categories as c on t.id = c.parent_id
        where t.depth < 16
    )

    select
        t.id,
        t.parent_id,
        t.slug,
        case
            when coalesce(category_tree.language, private.caller_language()) = 'fr'
                then t.name_fr
            else t.name
        end,
        t.depth,
        t.path,
        array_to_string(t.path, '/')
    from tree as t
    order by t.place
$$;

revoke all on function public.category_tree(text) from public;
grant execute on function public.category_tree(text) to anon, authenticated, service_role;

comment on function public.category_tree(text) is
'All active categories, parents before children, in the shop''s order; names in en or fr.';
\echo /work/main/sql/schema/35_search/30_search_products.sql
create type public.product_listing as (
    product_id uuid,
    channel public.product_channel,
    name text,
    category text,
    price numeric(12, 2),
    currency text,
    country text,
    rating numeric(3, 2),
    review_count integer,
    min_order_quantity integer,
    in_stock boolean,
    image text,
    created_at timestamptz,
    relevance real,
    cursor text
);

comment on type public.product_listing is
'A product as a list shows it: name in the reader''s language, price of one piece in the country, '
'category as its slug, image as bucket/path in Storage, cursor for the page after this row.';

create or replace function private.read_cursor(cursor text, sort text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_cursor jsonb;
begin
    v_cursor := convert_from(decode(read_cursor.cursor, 'base64'), 'utf8')::jsonb;
    if v_cursor ->> 's' is distinct from read_cursor.sort
        or (v_cursor ->> 'k')::numeric is null
        or (v_cursor ->> 'i')::uuid is null then
        perform private.fail('cursor_invalid', read_cursor.cursor);
    end if;
    return v_cursor;
exception
    when data_exception then
        perform private.fail('cursor_invalid', read_cursor.cursor);
        return null;
end
$$;

revoke all on function private.read_cursor(text, text) from public;
grant execute on function private.read_cursor(text, text) to anon, authenticated, service_role;

comment on function private.read_cursor(text, text) is
'A list''s cursor {s: sort, k: key, i: id}. Error: cursor_invalid.';

create or replace function public.search_products(
    query text default null,
    category text default null,
    country text default null,
    language text default null,
    channel public.product_channel default null,
    min_price numeric default null,
    max_price numeric default null,
    min_rating numeric default null,
    in_stock boolean default null,
    sort text default null,
    cursor text default null,
    page_size integer default 24
)
returns setof public.product_listing
language plpgsql
stable
set search_path = ''
as $$
declare
    v_language text := coalesce(search_products.language, private.caller_language());
    v_query text := nullif(
        btrim(regexp_replace(left(search_products.query, 200), '[[:cntrl:]]+', ' ', 'g')), ''
    );
    v_sort text := coalesce(
        search_products.sort, case when v_query is null then 'newest' else 'relevance' end
    );
    v_country text := coalesce(search_products.country, private.caller_country());
    v_en tsquery := websearch_to_tsquery('private.search_en'::regconfig, v_query);
    v_fr tsquery := websearch_to_tsquery('private.search_fr'::regconfig, v_query);
    v_categories uuid [];
    v_cursor jsonb;
    v_is_typo boolean := false;
begin
    if v_language not in ('en', 'fr') then
        perform private.fail('language_unknown', v_language);
    end if;
    if v_sort not in ('relevance', 'price_asc', 'price_desc', 'newest', 'rating') then
        perform private.fail('sort_unknown', v_sort);
    end if;
    if search_products.page_size is null or search_products.page_size not between 1 and 100 then
        perform private.fail('page_size_invalid', search_products.page_size::text);
    end if;
    if not exists (select from public.countries as c where c.code = v_country) then
        perform private.fail('country_unknown', v_country);
    end if;
    if search_products.category is not null then
        select private.category_and_descendants(c.id)
        into v_categories
        from public.categories as c
        where c.slug = search_products.category;
        if not found then
            perform private.fail('category_not_found', search_products.category);
        end if;
    end if;
    if search_products.cursor is not null then
        v_cursor := private.read_cursor(search_products.cursor, v_sort);
    end if;
    if v_query is not null then
        -- Nothing found by words: look for words that are spelt nearly so.
        v_is_typo := not exists (
            select from public.products as p where p.search_en @@ v_en or p.search_fr @@ v_fr
        ) and not exists (
            select
            from public.products_retailer as p
            where p.search_en @@ v_en or p.search_fr @@ v_fr
        );
        perform set_config('pg_trgm.word_similarity_threshold', '0.45', true);
    end if;

    return query
    with candidate as (
        -- Ranking costs by the match: a common word is ranked over 2,000 of its matches at most.
        (
            select
                p.id, 'retail'::public.product_channel as channel, p.name, p.name_fr,
                p.category_id, p.seller_rating, p.review_count, 1 as min_order_quantity,
                p.created_at, p.search_en, p.search_fr
            from public.products as p
            where search_products.channel is distinct from 'wholesale'
                and (
                    v_query is null
                    or not v_is_typo and (p.search_en @@ v_en or p.search_fr @@ v_fr)
                    or v_is_typo
                    and (p.name || ' ' || coalesce(p.name_fr, ''))
                    operator(extensions.%>) v_query
                )
                and (v_categories is null or p.category_id = any(v_categories))
                and (
                    search_products.min_rating is null
                    or p.seller_rating >= search_products.min_rating
                )
            limit case when v_query is not null then 2000 end
        )
        union all
        (
            select
                p.id, 'wholesale', p.name, p.name_fr,
                p.category_id, p.seller_rating, p.review_count, p.min_order_quantity,
                p.created_at, p.search_en, p.search_fr
            from public.products_retailer as p
            where search_products.channel is distinct from 'retail'
                and (
                    v_query is null
                    or not v_is_typo and (p.search_en @@ v_en or p.search_fr @@ v_fr)
                    or v_is_typo
                    and (p.name || ' ' || coalesce(p.name_fr, ''))
                    operator(extensions.%>) v_query
                )
                and (v_categories is null or p.category_id = any(v_categories))
                and (
                    search_products.min_rating is null
                    or p.seller_rating >= search_products.min_rating
                )
            limit case when v_query is not null then 2000 end
        )
    ),

    priced as (
        select
            c.id, c.channel, c.name, c.name_fr, g.slug, c.seller_rating, c.review_count,
            c.min_order_quantity, c.created_at, pp.amount, pp.currency,
            coalesce(s.available >= c.min_order_quantity, false) as is_available,
            case
                when v_query is null then 0
                when v_is_typo then extensions.word_similarity(
                    v_query, c.name || ' ' || coalesce(c.name_fr, '')
                )
                -- the reader's own language counts double
                else ts_rank(c.search_en, v_en) * case when v_language = 'en' then 2 else 1 end
                    + ts_rank(c.search_fr, v_fr) * case when v_language = 'fr' then 2 else 1 end
            end::real as relevance
        from candidate as c
        -- joined before the page is cut: a category that is off sale must not shorten a page
        inner join public.categories as g on c.category_id = g.id
        inner join public.product_prices as pp
            on c.id = pp.listing_id and pp.country = v_country
        left join public.product_stock as s on c.id = s.listing_id
        where (search_products.min_price is null or pp.amount >= search_products.min_price)
            and (search_products.max_price is null or pp.amount <= search_products.max_price)
            and (
                search_products.in_stock is null
                or coalesce(s.available >= c.min_order_quantity, false) = search_products.in_stock
            )
    ),

    keyed as (
        select
            p.*,
            case v_sort
                when 'relevance' then -p.relevance::numeric
                when 'price_asc' then p.amount
                when 'price_desc' then -p.amount
                when 'newest' then -extract(epoch from p.created_at)
                when 'rating' then -coalesce(p.seller_rating, 0)
            end as sort_key
        from priced as p
    ),

    page as (
        select k.*
        from keyed as k
        where v_cursor is null
            or (k.sort_key, k.id) > ((v_cursor ->> 'k')::numeric, (v_cursor ->> 'i')::uuid)
        order by k.sort_key, k.id
        limit search_products.page_size
    )

    select
        p.id,
        p.channel,
        case when v_language = 'fr' then coalesce(p.name_fr, p.name) else p.name end,
        p.slug,
        p.amount,
        p.currency,
        v_country,
        p.seller_rating,
        p.review_count,
        p.min_order_quantity,
        p.is_available,
        m.storage_path,
        p.created_at,
        p.relevance,
        translate(
            encode(
                convert_to(
                    jsonb_build_object('s', v_sort, 'k', p.sort_key, 'i', p.id)::text, 'utf8'
                ), 'base64'
            ), e'\n', ''
        )
    from page as p
    left join public.product_media as m on p.id = m.listing_id and m.position = 0
    order by p.sort_key, p.id;
end
$$;

revoke all on function public.search_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) from public;
grant execute on function public.search_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) to anon, authenticated, service_role;

comment on function public.search_products(
    text, text, text, text, public.product_channel, numeric, numeric, numeric, boolean, text, text,
    integer
) is
'Products of both channels (channel null) or one, ranked, English and French, spelt nearly so when '
'nothing else matches. Prices are those of country (default: the caller''s, else ZA). sort: '
'relevance, price_asc, price_desc, newest, rating. The next page is asked with the last row''s '
'cursor. Errors: language_unknown, sort_unknown, page_size_invalid, country_unknown, '
'category_not_found, cursor_invalid.';
\echo /work/main/sql/schema/40_cart/10_carts.sql
create table public.carts (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint carts_user_id_key unique (user_id)
);

alter table public.carts enable row level security;

create trigger carts_10_update_updated_at
before update on public.carts
for each row execute function public.update_updated_at_column();

comment on table public.carts is 'One cart a person. Written by the cart RPCs.';

create policy select_own on public.carts
for select to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.carts is 'A person sees their own cart.';

grant select on public.carts to authenticated, service_role;

create table public.cart_items (
    cart_id uuid not null references public.carts (id) on delete cascade,
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    channel public.product_channel not null generated always as (
        case
            when product_id is not null then 'retail'::public.product_channel
            else 'wholesale'::public.product_channel
        end
    ) stored,
    quantity integer not null,
    seen_unit_price numeric(12, 2),
    seen_currency text references public.currencies (code) on delete restrict,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (cart_id, listing_id),
    constraint cart_items_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint cart_items_quantity_in_range check (quantity between 1 and 10000),
    constraint cart_items_seen_price_has_currency
    check (num_nonnulls(seen_unit_price, seen_currency) in (0, 2))
);

alter table public.cart_items enable row level security;

create index cart_items_user_id_idx on public.cart_items (user_id);
create index cart_items_product_id_idx on public.cart_items (product_id);
create index cart_items_retailer_product_id_idx on public.cart_items (retailer_product_id);
create index cart_items_seen_currency_idx on public.cart_items (seen_currency);

create trigger cart_items_10_update_updated_at
before update on public.cart_items
for each row execute function public.update_updated_at_column();

comment on table public.cart_items is
'Lines of carts. Prices are read anew at each look; seen_unit_price is the one last quoted.';
comment on column public.cart_items.listing_id is
'product_id or retailer_product_id, whichever is filled.';

create policy select_own on public.cart_items
for select to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.cart_items is 'A person sees the lines of their own cart.';

grant select on public.cart_items to authenticated, service_role;
\echo /work/main/sql/schema/40_cart/20_order_lines.sql
-- The one resolver from (product, channel, quantity, country) to a price or the reason why not.
-- Cart, quote and order all ask it, so what is shown is what is charged.

create type private.order_line as (
    line_number integer,
    listing_id uuid,
    channel public.product_channel,
    quantity integer,
    name text,
    name_fr text,
    currency text,
    list_price numeric(12, 2),
    unit_price numeric(12, 2),
    available integer,
    problem text,
    problem_detail text
);

comment on type private.order_line is
'A priced line; problem is an error code when the line cannot be ordered so.';

create or replace function private.read_items(items jsonb)
returns table (line_number integer, listing_id uuid, channel public.product_channel, quantity integer)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_item jsonb;
    v_position integer := 0;
begin
    if jsonb_typeof(read_items.items) is distinct from 'array' then
        perform private.fail('order_items_invalid', 'items is not an array');
    end if;
    if jsonb_array_length(read_items.items) > 500 then
        perform private.fail('order_items_invalid', 'more than 500 items');
    end if;
    for v_item in select * from jsonb_array_elements(read_items.items) loop
        if coalesce(v_item ->> 'product_id', '')
            !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
            perform private.fail('order_items_invalid', format('items[%s].product_id', v_position));
        end if;
        if coalesce(v_item ->> 'channel', '') not in ('retail', 'wholesale') then
            perform private.fail('order_items_invalid', format('items[%s].channel', v_position));
        end if;
        if jsonb_typeof(v_item -> 'quantity') is distinct from 'number'
            or (v_item ->> 'quantity') !~ '^[0-9]{1,5}$'
            or (v_item ->> 'quantity')::integer not between 1 and 10000 then
            perform private.fail('quantity_invalid', format('items[%s].quantity', v_position));
        end if;
        v_position := v_position + 1;
    end loop;
    -- Two lines of one product are one demand: checked alone, each would pass.
    return query
    select
        min(e.ordinal)::integer,
        (e.item ->> 'product_id')::uuid,
        (e.item ->> 'channel')::public.product_channel,
        least(sum((e.item ->> 'quantity')::integer), 1000000)::integer
    from jsonb_array_elements(read_items.items) with ordinality as e (item, ordinal)
    group by 2, 3;
end
$$;

create or replace function private.price_lines(
    listing_ids uuid [],
    channels public.product_channel [],
    quantities integer [],
    country text
)
returns setof private.order_line
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
    select
        i.line_number::integer,
        i.listing_id,
        i.channel,
        i.quantity,
        l.name,
        l.name_fr,
        pp.currency,
        pp.amount,
        -- a listed price is rounded already: only a discounted one is rounded again
        case
            when greatest(t.discount_percent, b.discount_percent) > 0 then private.round_money(
                pp.amount * (100 - greatest(t.discount_percent, b.discount_percent)) / 100,
                pp.currency
            )
            else pp.amount
        end::numeric(12, 2),
        coalesce(s.available, 0),
        case
            when l.id is null then 'product_not_found'
            when i.quantity < l.min_order_quantity then 'quantity_below_minimum'
            when i.quantity > l.max_order_quantity then 'quantity_above_maximum'
            when (i.quantity - l.min_order_quantity) % l.order_increment <> 0
                then 'quantity_not_in_steps'
            when pp.amount is null then 'product_not_sold_in_country'
            when i.quantity > coalesce(s.available, 0) then 'stock_insufficient'
        end,
        jsonb_build_object(
            'product_id', i.listing_id,
            'channel', i.channel,
            'quantity', i.quantity,
            'minimum', l.min_order_quantity,
            'maximum', l.max_order_quantity,
            'increment', l.order_increment,
            'available', coalesce(s.available, 0)
        )::text
    from unnest(
        price_lines.listing_ids, price_lines.channels, price_lines.quantities
    ) with ordinality as i (listing_id, channel, quantity, line_number)
    left join lateral (
        select
            p.id, p.name, p.name_fr, 1 as min_order_quantity, 1 as order_increment,
            p.max_order_quantity, 0::numeric as bulk_discount_percent, 1 as bulk_min_quantity
        from public.products as p
        where i.channel = 'retail' and p.id = i.listing_id and p.is_active
        union all
        select
            p.id, p.name, p.name_fr, p.min_order_quantity, p.order_increment,
            p.max_order_quantity, p.bulk_discount_percent, p.bulk_min_quantity
        from public.products_retailer as p
        where i.channel = 'wholesale' and p.id = i.listing_id and p.is_active
    ) as l on true
    left join public.product_prices as pp
        on l.id = pp.listing_id and pp.country = price_lines.country
    left join public.product_stock as s on l.id = s.listing_id
    left join lateral (
        select l.bulk_discount_percent as discount_percent
        where i.quantity >= l.bulk_min_quantity
    ) as b on true
    left join lateral (
        select pt.discount_percent
        from public.price_tiers as pt
        where i.channel = 'wholesale'
            and pt.retailer_product_id = l.id
            and pt.quantities @> i.quantity
    ) as t on true;
end
$$;

revoke all on function private.read_items(jsonb) from public;
revoke all on function private.price_lines(
    uuid [], public.product_channel [], integer [], text
) from public;

comment on function private.read_items(jsonb) is
'items as rows, one a product, quantities of the same product summed. Keys other than product_id, '
'channel, quantity are not read: prices come from nobody. Errors: order_items_invalid, '
'quantity_invalid.';
comment on function private.price_lines(
    uuid [], public.product_channel [], integer [], text
) is
'The lines, priced for the country, in the order given, each with its problem if it has one.';
\echo /work/main/sql/schema/40_cart/30_cart_rpcs.sql
create or replace function private.require_user()
returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_user_id uuid := auth.uid();
begin
    -- A token outlives its account: a deleted person is nobody. public.users keeps a row for the
    -- books, so Auth is asked.
    if v_user_id is null or not exists (
        select from auth.users as u where u.id = v_user_id
    ) then
        perform private.fail('authentication_required');
    end if;
    return v_user_id;
end
$$;

revoke all on function private.require_user() from public;

comment on function private.require_user() is
'The caller''s id. Error: authentication_required.';

create or replace function private.lock_cart(user_id uuid)
returns uuid
language sql
set search_path = ''
as $$
    insert into public.carts (user_id)
    values (lock_cart.user_id)
    on conflict on constraint carts_user_id_key do update set updated_at = now()
    returning id
$$;

revoke all on function private.lock_cart(uuid) from public;

comment on function private.lock_cart(uuid) is
'The person''s cart, made if need be, locked until the transaction ends: edits come one by one.';

create or replace function private.set_cart_items(items jsonb)
returns setof public.cart_items
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_cart_id uuid;
    v_item record;
    v_problem private.order_line;
begin
    v_cart_id := private.lock_cart(v_user_id);
    for v_item in select * from private.read_items(set_cart_items.items) order by line_number loop
        -- A cart may hold what is not in stock just now; it may never hold an unsellable quantity.
        select l.* into v_problem
        from private.price_lines(
            array[v_item.listing_id], array[v_item.channel], array[v_item.quantity],
            private.caller_country()
        ) as l
        where l.problem not in ('stock_insufficient', 'product_not_sold_in_country');
        if found then
            perform private.fail(v_problem.problem, v_problem.problem_detail);
        end if;
        insert into public.cart_items as c (
            cart_id, user_id, product_id, retailer_product_id, quantity
        )
        values (
            v_cart_id,
            v_user_id,
            case when v_item.channel = 'retail' then v_item.listing_id end,
            case when v_item.channel = 'wholesale' then v_item.listing_id end,
            v_item.quantity
        )
        on conflict on constraint cart_items_pkey do update set quantity = excluded.quantity;
    end loop;
    if (select count(*) from public.cart_items as c where c.cart_id = v_cart_id) > 500 then
        perform private.fail('order_items_invalid', 'more than 500 items');
    end if;
    return query
    select c.* from public.cart_items as c where c.cart_id = v_cart_id order by c.created_at, c.listing_id;
end
$$;

revoke all on function private.set_cart_items(jsonb) from public;
grant execute on function private.set_cart_items(jsonb) to authenticated;

comment on function private.set_cart_items(jsonb) is
'Sets the quantities of these products in the caller''s cart and returns the whole cart. Definer '
'because carts are written by their RPCs only; acts for auth.uid() alone.';

create or replace function public.add_to_cart(
    product_id uuid, channel public.product_channel, quantity integer
)
returns setof public.cart_items
language sql
set search_path = ''
as $$
    select * from private.set_cart_items(jsonb_build_array(jsonb_build_object(
        'product_id', add_to_cart.product_id,
        'channel', add_to_cart.channel,
        'quantity', add_to_cart.quantity
    )))
$$;

create or replace function public.merge_cart(items jsonb)
returns setof public.cart_items
language sql
set search_path = ''
as $$
    select * from private.set_cart_items(merge_cart.items)
$$;

create or replace function private.remove_cart_item(
    product_id uuid, channel public.product_channel
)
returns setof public.cart_items
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_cart_id uuid := private.lock_cart(private.require_user());
begin
    delete from public.cart_items as c
    where c.cart_id = v_cart_id
        and c.listing_id = remove_cart_item.product_id
        and c.channel = remove_cart_item.channel;
    return query
    select c.* from public.cart_items as c where c.cart_id = v_cart_id order by c.created_at, c.listing_id;
end
$$;

revoke all on function private.remove_cart_item(uuid, public.product_channel) from public;
grant execute on function private.remove_cart_item(uuid, public.product_channel) to authenticated;

comment on function private.remove_cart_item(uuid, public.product_channel) is
'Removes a product from the caller''s cart and returns what is left. Definer because carts are '
'written by their RPCs only; acts for auth.uid() alone.';

create or replace function public.remove_from_cart(
    product_id uuid, channel public.product_channel
)
returns setof public.cart_items
language sql
set search_path = ''
as $$
    select * from private.remove_cart_item(remove_from_cart.product_id, remove_from_cart.channel)
$$;

revoke all on function public.add_to_cart(uuid, public.product_channel, integer) from public;
revoke all on function public.merge_cart(jsonb) from public;
revoke all on function public.remove_from_cart(uuid, public.product_channel) from public;
grant execute on function public.add_to_cart(uuid, public.product_channel, integer)
to authenticated;
grant execute on function public.merge_cart(jsonb) to authenticated;
grant execute on function public.remove_from_cart(uuid, public.product_channel) to authenticated;

comment on function public.add_to_cart(uuid, public.product_channel, integer) is
'Sets the quantity of a product in the caller''s cart (twice the same is once) and returns the '
'cart. Errors: product_not_found, quantity_invalid, quantity_below_minimum, '
'quantity_above_maximum, quantity_not_in_steps.';
comment on function public.merge_cart(jsonb) is
'Takes a guest''s cart over at sign-in: items [{product_id, channel, quantity}] set the '
'quantities, all or none. Errors as add_to_cart and order_items_invalid.';
comment on function public.remove_from_cart(uuid, public.product_channel) is
'Removes a product from the caller''s cart, if it is there, and returns the cart.';
\echo /work/main/sql/schema/50_orders/10_order_status.sql
create type public.order_status as enum ('pending', 'paid', 'shipped', 'delivered', 'cancelled');
create type public.payment_status as enum (
    'pending', 'processing', 'paid', 'failed', 'cancelled', 'partially_refunded', 'refunded'
);

comment on type public.order_status is
'pending: placed, stock held. paid: from pending, by the gateway''s own answer. shipped: from '
'paid. delivered: from shipped. cancelled: from pending (or, refunded, from paid).';
comment on type public.payment_status is
'pending: a row only. processing: the gateway accepted. paid, failed, cancelled: the gateway''s '
'answer. partially_refunded, refunded: from paid.';

create table private.order_transitions (
    from_status public.order_status not null,
    to_status public.order_status not null,
    primary key (from_status, to_status)
);

alter table private.order_transitions enable row level security;

comment on table private.order_transitions is
'Every allowed move of orders.status; what is not here is refused.';

create table private.payment_transitions (
    subject text not null,
    from_status public.payment_status not null,
    to_status public.payment_status not null,
    needs_evidence boolean not null default false,
    primary key (subject, from_status, to_status),
    constraint payment_transitions_subject_is_known check (subject in ('payment', 'order'))
);

alter table private.payment_transitions enable row level security;

comment on table private.payment_transitions is
'Every allowed move of payments.status (subject payment: one attempt, forward only) and of '
'orders.payment_status (subject order: a new attempt may follow a failed one). needs_evidence: '
'only on a fresh answer of the gateway itself.';
\echo /work/main/sql/schema/50_orders/20_orders.sql
create sequence private.order_numbers as bigint start with 100001;

comment on sequence private.order_numbers is 'Counts orders for people; gaps are normal.';

create table public.orders (
    id uuid primary key default gen_random_uuid(),
    order_number text not null default 'MG-' || nextval('private.order_numbers'::regclass),
    user_id uuid not null references public.users (id) on delete restrict,
    status public.order_status not null default 'pending',
    payment_status public.payment_status not null default 'pending',
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    language text not null,
    subtotal_price numeric(12, 2) not null,
    discount_amount numeric(12, 2) not null default 0,
    shipping_amount numeric(12, 2) not null default 0,
    duty_amount numeric(12, 2) not null default 0,
    tax_amount numeric(12, 2) not null default 0,
    shipping_tax_amount numeric(12, 2) not null default 0,
    total_price numeric(12, 2) not null,
    promo_code_id uuid,
    promo_code text,
    shipping_address jsonb not null,
    tracking_number text,
    expires_at timestamptz,
    cancel_reason text,
    paid_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint orders_order_number_key unique (order_number),
    constraint orders_language_is_known check (language in ('en', 'fr')),
    constraint orders_amounts_not_negative
    check (
        subtotal_price > 0 and discount_amount >= 0 and shipping_amount >= 0 and duty_amount >= 0
        and tax_amount >= shipping_tax_amount and shipping_tax_amount >= 0
    ),
    constraint orders_total_positive check (total_price > 0),
    constraint orders_total_adds_up
    check (total_price = subtotal_price - discount_amount + shipping_amount + duty_amount),
    constraint orders_promo_code_is_whole check (num_nonnulls(promo_code_id, promo_code) in (0, 2)),
    constraint orders_discount_has_promo_code
    check (discount_amount = 0 or promo_code_id is not null),
    constraint orders_shipping_address_is_object check (jsonb_typeof(shipping_address) = 'object'),
    constraint orders_cancel_reason_is_one_line
    check (cancel_reason ~ '^[^[:cntrl:]]*$' and char_length(cancel_reason) <= 300),
    constraint orders_pending_has_expiry check (status <> 'pending' or expires_at is not null),
    constraint orders_paid_has_time
    check (status not in ('paid', 'shipped', 'delivered') or paid_at is not null),
    constraint orders_shipped_has_time
    check (status not in ('shipped', 'delivered') or shipped_at is not null),
    constraint orders_delivered_has_time check (status <> 'delivered' or delivered_at is not null),
    constraint orders_cancelled_has_time_and_reason
    check ((status = 'cancelled') = (cancelled_at is not null and cancel_reason is not null))
)
with (fillfactor = 85);

alter table public.orders enable row level security;

create index orders_user_id_created_at_idx on public.orders (user_id, created_at desc, id desc);
create index orders_expires_at_pending_idx on public.orders (expires_at) where status = 'pending';
create index orders_promo_code_id_user_id_idx on public.orders (promo_code_id, user_id)
where promo_code_id is not null;
create index orders_country_idx on public.orders (country);
create index orders_currency_idx on public.orders (currency);

create trigger orders_10_update_updated_at
before update on public.orders
for each row execute function public.update_updated_at_column();

comment on table public.orders is
'Orders. Placed first, paid after; every amount is in currency, tax included.';
comment on column public.orders.tax_amount is
'Value-added tax contained in total_price; the sum of the lines'' tax and shipping_tax_amount.';
comment on column public.orders.expires_at is
'Until when a pending order holds its stock and its promo use.';
comment on column public.orders.shipping_address is 'Copy of the address as it was when ordered.';
comment on column public.orders.promo_code is 'The code as it was written when ordered.';

create table public.order_items (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    line_number smallint not null,
    product_id uuid references public.products (id) on delete restrict,
    retailer_product_id uuid references public.products_retailer (id) on delete restrict,
    channel public.product_channel not null generated always as (
        case
            when product_id is not null then 'retail'::public.product_channel
            else 'wholesale'::public.product_channel
        end
    ) stored,
    name text not null,
    name_fr text,
    quantity integer not null,
    unit_price numeric(12, 2) not null,
    subtotal numeric(12, 2) generated always as (quantity * unit_price) stored,
    discount_amount numeric(12, 2) not null default 0,
    tax_amount numeric(12, 2) not null default 0,
    currency text not null references public.currencies (code) on delete restrict,
    constraint order_items_line_number_key unique (order_id, line_number),
    constraint order_items_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint order_items_quantity_positive check (quantity > 0),
    constraint order_items_unit_price_positive check (unit_price > 0),
    constraint order_items_discount_fits
    check (discount_amount >= 0 and discount_amount <= quantity * unit_price),
    constraint order_items_tax_not_negative check (tax_amount >= 0)
);

alter table public.order_items enable row level security;

create index order_items_user_id_idx on public.order_items (user_id);
create index order_items_product_id_idx on public.order_items (product_id)
where product_id is not null;
create index order_items_retailer_product_id_idx on public.order_items (retailer_product_id)
where retailer_product_id is not null;
create index order_items_currency_idx on public.order_items (currency);

comment on table public.order_items is
'Lines of orders, as they were charged: names and prices are copies, never look-ups.';
comment on column public.order_items.discount_amount is
'The line''s share of the order''s discount; the shares sum to orders.discount_amount.';
comment on column public.order_items.tax_amount is
'Tax contained in subtotal less discount_amount; the lines'' tax and orders.shipping_tax_amount '
'sum to orders.tax_amount.';

create table public.order_events (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    kind text not null,
    from_status public.order_status,
    to_status public.order_status,
    actor_type text not null,
    actor_id uuid,
    note text,
    created_at timestamptz not null default now(),
    constraint order_events_kind_is_snake_case check (kind ~ '^[a-z][a-z_]{2,40}$'),
    constraint order_events_actor_type_is_known
    check (actor_type in ('user', 'admin', 'gateway', 'system')),
    constraint order_events_person_has_id
    check (actor_type not in ('user', 'admin') or actor_id is not null)
);

alter table public.order_events enable row level security;

create index order_events_order_id_created_at_idx on public.order_events (order_id, created_at);
create index order_events_user_id_idx on public.order_events (user_id);

comment on table public.order_events is
'What happened to an order, when, by whom; append-only.';
comment on column public.order_events.user_id is
'The order''s owner, who may read the row; actor_id is who did it.';

create policy select_own_or_admin on public.orders
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

create policy select_own_or_admin on public.order_items
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

create policy select_own_or_admin on public.order_events
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.orders is
'A person sees their own orders, an admin all.';
comment on policy select_own_or_admin on public.order_items is
'A person sees the lines of their own orders, an admin all.';
comment on policy select_own_or_admin on public.order_events is
'A person sees what happened to their own orders, an admin all.';

grant select on public.orders to authenticated, service_role;
grant select on public.order_items to authenticated, service_role;
grant select on public.order_events to authenticated, service_role;
\echo /work/main/sql/schema/50_orders/30_order_guards.sql
-- Who acts: RPCs of people are known by their token; the service says it for its transaction.

create or replace function private.act_as(actor_type text, actor_id uuid default null)
returns void
language sql
set search_path = ''
as $$
    select
        set_config('mallgram.actor_type', act_as.actor_type, true),
        set_config('mallgram.actor_id', coalesce(act_as.actor_id::text, ''), true)
$$;

create or replace function private.log_order_event(
    order_id uuid,
    user_id uuid,
    kind text,
    from_status public.order_status default null,
    to_status public.order_status default null,
    note text default null
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_caller uuid := auth.uid();
    v_type text := nullif(current_setting('mallgram.actor_type', true), '');
    v_id uuid := nullif(current_setting('mallgram.actor_id', true), '')::uuid;
begin
    if v_type is null then
        v_type := case when v_caller is null then 'system' else 'user' end;
        v_id := v_caller;
    end if;
    insert into public.order_events (
        order_id, user_id, kind, from_status, to_status, actor_type, actor_id, note
    )
    values (
        log_order_event.order_id, log_order_event.user_id, log_order_event.kind,
        log_order_event.from_status, log_order_event.to_status, v_type, v_id, log_order_event.note
    );
end
$$;

revoke all on function private.act_as(text, uuid) from public;
revoke all on function private.log_order_event(
    uuid, uuid, text, public.order_status, public.order_status, text
) from public;

comment on function private.act_as(text, uuid) is
'Names the actor of this transaction''s events: user, admin, gateway or system.';
comment on function private.log_order_event(
    uuid, uuid, text, public.order_status, public.order_status, text
) is
'Appends an event with the actor: as said by act_as, else the caller, else the system.';

create or replace function private.tg_orders__check_transition()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        if new.status <> 'pending' or new.payment_status <> 'pending' then
            perform private.fail(
                'order_transition_refused', new.status || ' / ' || new.payment_status
            );
        end if;
        return new;
    end if;
    if new.status is distinct from old.status and not exists (
        select from private.order_transitions as t
        where t.from_status = old.status and t.to_status = new.status
    ) then
        perform private.fail('order_transition_refused', old.status || ' -> ' || new.status);
    end if;
    if new.payment_status is distinct from old.payment_status and not exists (
        select from private.payment_transitions as t
        where t.subject = 'order'
            and t.from_status = old.payment_status
            and t.to_status = new.payment_status
    ) then
        perform private.fail(
            'payment_transition_refused', old.payment_status || ' -> ' || new.payment_status
        );
    end if;
    return new;
end
$$;

revoke all on function private.tg_orders__check_transition() from public;

comment on function private.tg_orders__check_transition() is
'Trigger: an order starts pending and moves along the transition tables only. Definer because the '
'tables are closed. Errors: order_transition_refused, payment_transition_refused.';

create trigger orders_50_check_transition
before insert or update of status, payment_status on public.orders
for each row execute function private.tg_orders__check_transition();

create or replace function private.tg_orders__log_transition()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        perform private.log_order_event(new.id, new.user_id, 'placed', null, new.status);
    else
        perform private.log_order_event(
            new.id, new.user_id, new.status::text, old.status, new.status, new.cancel_reason
        );
    end if;
    return null;
end
$$;

revoke all on function private.tg_orders__log_transition() from public;

comment on function private.tg_orders__log_transition() is
'Trigger: every move leaves an event row. Definer because events have no insert grant.';

create trigger orders_80_log_placed
after insert on public.orders
for each row execute function private.tg_orders__log_transition();

create trigger orders_80_log_transition
after update of status on public.orders
for each row when (old.status is distinct from new.status)
execute function private.tg_orders__log_transition();
\echo /work/main/sql/schema/50_orders/40_quote.sql
create type private.quote as (
    country text,
    currency text,
    lines private.order_line [],
    subtotal numeric(12, 2),
    promo_code_id uuid,
    promo_code text,
    promo_problem text,
    discount numeric(12, 2),
    shipping numeric(12, 2),
    duty numeric(12, 2),
    tax numeric(12, 2),
    total numeric(12, 2)
);

comment on type private.quote is
'What lines cost in a country: every amount in currency, tax included in the others.';

create or replace function private.compute_quote(
    user_id uuid,
    listing_ids uuid [],
    channels public.product_channel [],
    quantities integer [],
    country text,
    promo_code text
)
returns private.quote
language plpgsql
stable
set search_path = ''
as $$
declare
    v_quote private.quote;
    v_promo record;
    v_tax_rate numeric;
begin
    select c.code, c.currency
    into v_quote.country, v_quote.currency
    from public.countries as c
    where c.code = compute_quote.country;
    if not found then
        perform private.fail('country_unknown', compute_quote.country);
    end if;

    select
        coalesce(array_agg(l order by l.line_number), '{}'),
        coalesce(sum(l.quantity * l.unit_price) filter (where l.problem is null), 0)
    into v_quote.lines, v_quote.subtotal
    from private.price_lines(
        compute_quote.listing_ids, compute_quote.channels, compute_quote.quantities,
        compute_quote.country
    ) as l;

    v_quote.discount := 0;
    if nullif(btrim(compute_quote.promo_code), '') is not null then
        select * into v_promo
        from private.resolve_promo_code(
            compute_quote.promo_code, compute_quote.user_id, v_quote.currency, v_quote.subtotal
        );
        v_quote.promo_code_id := v_promo.promo_code_id;
        v_quote.promo_code := v_promo.promo_code;
        v_quote.promo_problem := v_promo.problem;
        v_quote.discount := coalesce(v_promo.discount, 0);
    end if;

    select
        case
            when v_quote.subtotal = 0 then 0
            when r.free_from is not null and v_quote.subtotal - v_quote.discount >= r.free_from
                then 0
            else r.amount
        end
    into v_quote.shipping
    from public.shipping_rates as r
    where r.country = compute_quote.country
        and daterange(r.valid_from, r.valid_until) @> current_date;
    if not found then
        perform private.fail('shipping_unavailable', compute_quote.country);
    end if;

    select t.rate into v_tax_rate
    from public.tax_rates as t
    where t.country = compute_quote.country
        and daterange(t.valid_from, t.valid_until) @> current_date;
    v_quote.duty := 0;
    v_quote.total := v_quote.subtotal - v_quote.discount + v_quote.shipping + v_quote.duty;
    v_quote.tax := coalesce(private.round_money(
        v_quote.total * v_tax_rate / (1 + v_tax_rate), v_quote.currency
    ), 0);
    return v_quote;
end
$$;

create or replace function private.quote_as_json(quote private.quote)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'country', quote_as_json.quote.country,
            'currency', quote_as_json.quote.currency,
            'lines', coalesce(
                (
                    select
                        jsonb_agg(
                            jsonb_build_object(
                                'product_id', l.listing_id,
                                'channel', l.channel,
                                'name',
                                case
                                    when private.caller_language() = 'fr'
                                        then coalesce(l.name_fr, l.name)
                                    else l.name
                                end,
                                'quantity', l.quantity,
                                'list_price', l.list_price,
                                'unit_price', l.unit_price,
                                'subtotal', l.quantity * l.unit_price,
                                'available', l.available,
                                'problem', l.problem
                            )
                            order by l.line_number
                        )
                    from unnest(quote_as_json.quote.lines) as l
                ), '[]'
            ),
            'subtotal', quote_as_json.quote.subtotal,
            'promo_code', quote_as_json.quote.promo_code,
            'promo_problem', quote_as_json.quote.promo_problem,
            'discount', quote_as_json.quote.discount,
            'shipping', quote_as_json.quote.shipping,
            'duty', quote_as_json.quote.duty,
            'tax', quote_as_json.quote.tax,
            'total', quote_as_json.quote.total
        )
$$;

revoke all on function private.compute_quote(
    uuid, uuid [], public.product_channel [], integer [], text, text
) from public;
revoke all on function private.quote_as_json(private.quote) from public;

comment on function private.compute_quote(
    uuid, uuid [], public.product_channel [], integer [], text, text
) is
'Prices lines for a person in a country. A line or promo code that does not hold carries its '
'problem and counts nothing. Errors: country_unknown, shipping_unavailable.';
comment on function private.quote_as_json(private.quote) is
'A quote as RPCs answer it: {country, currency, lines, subtotal, promo_code, promo_problem, '
'discount, shipping, duty, tax (contained), total}.';

create or replace function private.quote_cart(country text, promo_code text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_cart_id uuid;
    v_ids uuid [];
    v_channels public.product_channel [];
    v_quantities integer [];
    v_quote private.quote;
    v_changes jsonb;
begin
    if nullif(btrim(quote_cart.promo_code), '') is not null then
        perform private.require_promo_guess(v_user_id);
    end if;
    v_cart_id := private.lock_cart(v_user_id);
    select
        coalesce(array_agg(c.listing_id order by c.created_at, c.listing_id), '{}'),
        coalesce(array_agg(c.channel order by c.created_at, c.listing_id), '{}'),
        coalesce(array_agg(c.quantity order by c.created_at, c.listing_id), '{}')
    into v_ids, v_channels, v_quantities
    from public.cart_items as c
    where c.cart_id = v_cart_id;

    v_quote := private.compute_quote(
        v_user_id, v_ids, v_channels, v_quantities, quote_cart.country, quote_cart.promo_code
    );
    perform private.count_promo_guess(v_user_id, v_quote.promo_problem);

    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'product_id', l.listing_id,
                    'channel', l.channel,
                    'kind', coalesce(l.problem, 'price_changed'),
                    'seen_unit_price', c.seen_unit_price,
                    'unit_price', l.unit_price,
                    'available', l.available
                )
                order by l.line_number
            ), '[]'
        )
    into v_changes
    from unnest(v_quote.lines) as l
    inner join public.cart_items as c
        on c.cart_id = v_cart_id and l.listing_id = c.listing_id
    where l.problem is not null
        or c.seen_currency = l.currency and c.seen_unit_price is distinct from l.unit_price;

    update public.cart_items as c
    set seen_unit_price = l.unit_price, seen_currency = l.currency
    from unnest(v_quote.lines) as l
    where c.cart_id = v_cart_id
        and c.listing_id = l.listing_id
        and l.unit_price is not null
        and (c.seen_unit_price, c.seen_currency) is distinct from (l.unit_price, l.currency);

    return private.quote_as_json(v_quote) || jsonb_build_object('changes', v_changes);
end
$$;

revoke all on function private.quote_cart(text, text) from public;
grant execute on function private.quote_cart(text, text) to authenticated;

comment on function private.quote_cart(text, text) is
'Core of quote_cart. Definer because it remembers the prices shown; acts for auth.uid() alone.';

create or replace function public.quote_cart(country text, promo_code text default null)
returns jsonb
language sql
set search_path = ''
as $$
    select private.quote_cart(quote_cart.country, quote_cart.promo_code)
$$;

revoke all on function public.quote_cart(text, text) from public;
grant execute on function public.quote_cart(text, text) to authenticated;

comment on function public.quote_cart(text, text) is
'The caller''s cart, priced: {country, currency, lines, subtotal, promo_code, promo_problem, '
'discount, shipping, duty, tax, total, changes}. changes says what differs from the last quote: '
'kind is price_changed or the line''s problem. Errors: country_unknown, rate_limit_exceeded.';
\echo /work/main/sql/schema/50_orders/50_place_order.sql
create or replace function private.snapshot_address(user_id uuid, address jsonb, country text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_address jsonb := snapshot_address.address;
    v_field text;
    v_limit integer;
begin
    if jsonb_typeof(v_address) is distinct from 'object' then
        perform private.fail('address_invalid', 'address is not an object');
    end if;
    if v_address ? 'id' then
        if (v_address ->> 'id')
            !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
            perform private.fail('address_not_found', v_address ->> 'id');
        end if;
        select to_jsonb(a) into v_address
        from public.addresses as a
        where a.id = (snapshot_address.address ->> 'id')::uuid
            and a.user_id = snapshot_address.user_id;
        if not found then
            perform private.fail('address_not_found', snapshot_address.address ->> 'id');
        end if;
    end if;
    v_address := jsonb_build_object('country', snapshot_address.country) || v_address;
    if v_address ->> 'country' is distinct from snapshot_address.country then
        perform private.fail('address_country_mismatch', v_address ->> 'country');
    end if;
    for v_field, v_limit in
        values ('recipient_name', 120), ('phone', 16), ('city', 120), ('district', 120),
            ('landmark', 200), ('line1', 200)
    loop
        if jsonb_typeof(v_address -> v_field) not in ('string', 'null')
            or (v_address ->> v_field) ~ '[[:cntrl:]]'
            or char_length(v_address ->> v_field) > v_limit
            or v_field in ('recipient_name', 'phone', 'city')
            and nullif(btrim(v_address ->> v_field), '') is null then
            perform private.fail('address_invalid', 'address.' || v_field);
        end if;
    end loop;
    if (v_address ->> 'phone') !~ '^\+[1-9][0-9]{6,14}$' then
        perform private.fail('address_invalid', 'address.phone');
    end if;
    for v_field, v_limit in values ('latitude', 90), ('longitude', 180)
    loop
        if jsonb_typeof(v_address -> v_field) not in ('number', 'null')
            or abs((v_address ->> v_field)::numeric) > v_limit
            -- half a position is none
            or (v_address ->> v_field) is null
            and num_nonnulls(v_address ->> 'latitude', v_address ->> 'longitude') = 1 then
            perform private.fail('address_invalid', 'address.' || v_field);
        end if;
    end loop;
    if coalesce(
        nullif(btrim(v_address ->> 'line1'), ''), nullif(btrim(v_address ->> 'landmark'), ''),
        nullif(btrim(v_address ->> 'district'), ''), v_address ->> 'latitude'
    ) is null then
        perform private.fail('address_invalid', 'address.line1');
    end if;
    return jsonb_strip_nulls(jsonb_build_object(
        'recipient_name', v_address -> 'recipient_name',
        'phone', v_address -> 'phone',
        'country', v_address -> 'country',
        'city', v_address -> 'city',
        'district', v_address -> 'district',
        'landmark', v_address -> 'landmark',
        'line1', v_address -> 'line1',
        'latitude', v_address -> 'latitude',
        'longitude', v_address -> 'longitude'
    ));
end
$$;

revoke all on function private.snapshot_address(uuid, jsonb, text) from public;

comment on function private.snapshot_address(uuid, jsonb, text) is
'The copy an order keeps of {id} or of the fields, checked. Errors: address_invalid (detail names '
'the field), address_not_found, address_country_mismatch.';

create or replace function private.hold_duration()
returns interval
language sql
immutable
set search_path = ''
as $$
    select interval '30 minutes'
$$;

revoke all on function private.hold_duration() from public;

comment on function private.hold_duration() is
'How long an unpaid order holds stock and promo use: longer than any rail''s own time-out.';

create or replace function private.place_order(
    idempotency_key text,
    country text,
    address jsonb,
    promo_code text,
    items jsonb,
    expected_total numeric
)
returns public.orders
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_hash bytea := sha256(convert_to(jsonb_build_array(
        place_order.country, place_order.address, place_order.promo_code, place_order.items,
        place_order.expected_total
    )::text, 'utf8'));
    v_replay jsonb;
    v_cart_id uuid;
    v_ids uuid [];
    v_channels public.product_channel [];
    v_quantities integer [];
    v_quote private.quote;
    v_line private.order_line;
    v_discounts numeric [];
    v_taxes numeric [];
    v_order public.orders;
begin
    v_replay := private.replay_idempotent(
        v_user_id, 'place_order', place_order.idempotency_key, v_hash
    );
    if v_replay is not null then
        return jsonb_populate_record(null::public.orders, v_replay);
    end if;

    if place_order.items is null then
        v_cart_id := private.lock_cart(v_user_id);
        select
            array_agg(c.listing_id order by c.created_at, c.listing_id),
            array_agg(c.channel order by c.created_at, c.listing_id),
            array_agg(c.quantity order by c.created_at, c.listing_id)
        into v_ids, v_channels, v_quantities
        from public.cart_items as c
        where c.cart_id = v_cart_id;
    else
        select
            array_agg(i.listing_id order by i.line_number),
            array_agg(i.channel order by i.line_number),
            array_agg(i.quantity order by i.line_number)
        into v_ids, v_channels, v_quantities
        from private.read_items(place_order.items) as i;
    end if;
    if v_ids is null then
        perform private.fail('cart_empty');
    end if;

    if place_order.promo_code is not null then
        perform private.require_promo_guess(v_user_id);
    end if;

    -- Everyone takes stock rows in id order, so nobody waits in a circle.
    perform
    from public.product_stock as s
    where s.listing_id = any(v_ids)
    order by s.listing_id
    for no key update;

    v_quote := private.compute_quote(
        v_user_id, v_ids, v_channels, v_quantities, place_order.country, place_order.promo_code
    );
    foreach v_line in array v_quote.lines loop
        if v_line.problem is not null then
            perform private.fail(v_line.problem, v_line.problem_detail);
        end if;
    end loop;
    if v_quote.promo_problem is not null then
        perform private.fail(v_quote.promo_problem, place_order.promo_code);
    end if;
    if place_order.expected_total is distinct from v_quote.total
        and place_order.expected_total is not null then
        perform private.fail('total_changed', private.quote_as_json(v_quote)::text);
    end if;
    if v_quote.total <= 0 then
        perform private.fail('order_total_too_small', v_quote.total::text);
    end if;

    v_discounts := private.split_money(
        v_quote.discount,
        array(select l.quantity * l.unit_price from unnest(v_quote.lines) as l),
        v_quote.currency
    );
    -- The last part is the tax contained in shipping.
    v_taxes := private.split_money(
        v_quote.tax,
        array(
            select l.quantity * l.unit_price - d.discount
            from unnest(v_quote.lines) with ordinality as l
            inner join unnest(v_discounts) with ordinality as d (discount, position)
                on l.ordinality = d.position
            order by l.ordinality
        ) || v_quote.shipping::numeric,
        v_quote.currency
    );

    insert into public.orders as o (
        user_id, country, currency, language, subtotal_price, discount_amount, shipping_amount,
        duty_amount, tax_amount, shipping_tax_amount, total_price, promo_code_id, promo_code,
        shipping_address, expires_at
    )
    select
        v_user_id, v_quote.country, v_quote.currency, u.language, v_quote.subtotal,
        v_quote.discount, v_quote.shipping, v_quote.duty, v_quote.tax,
        v_taxes[cardinality(v_taxes)], v_quote.total, v_quote.promo_code_id, v_quote.promo_code,
        private.snapshot_address(v_user_id, place_order.address, place_order.country),
        now() + private.hold_duration()
    from public.users as u
    where u.id = v_user_id
    returning o.* into v_order;

    insert into public.order_items (
        order_id, user_id, line_number, product_id, retailer_product_id, name, name_fr, quantity,
        unit_price, discount_amount, tax_amount, currency
    )
    select
        v_order.id, v_user_id, l.line_number,
        case when l.channel = 'retail' then l.listing_id end,
        case when l.channel = 'wholesale' then l.listing_id end,
        l.name, l.name_fr, l.quantity, l.unit_price,
        v_discounts[l.line_number], v_taxes[l.line_number], v_quote.currency
    from unnest(v_quote.lines) as l;

    update public.product_stock as s
    set reserved = s.reserved + l.quantity, updated_at = now()
    from unnest(v_quote.lines) as l
    where s.listing_id = l.listing_id;

    if v_cart_id is not null then
        delete from public.cart_items as c where c.cart_id = v_cart_id;
    end if;
    insert into private.idempotency_keys (
        user_id, operation, idempotency_key, request_hash, response
    )
    values (
        v_user_id, 'place_order', place_order.idempotency_key, v_hash, to_jsonb(v_order)
    );
    -- The hottest row, a code that everybody uses, is taken last and held shortest.
    if v_order.promo_code_id is not null then
        perform private.reserve_promo_code(v_order.promo_code_id, v_user_id);
    end if;
    return v_order;
end
$$;

revoke all on function private.place_order(text, text, jsonb, text, jsonb, numeric) from public;
grant execute on function private.place_order(text, text, jsonb, text, jsonb, numeric)
to authenticated;

comment on function private.place_order(text, text, jsonb, text, jsonb, numeric) is
'Core of place_order. Definer because orders, stock and promo uses have no write grant; takes the '
'owner from auth.uid() and prices from product_prices, never from an argument.';

create or replace function public.place_order(
    idempotency_key text,
    country text,
    address jsonb,
    promo_code text default null,
    items jsonb default null,
    expected_total numeric default null
)
returns public.orders
language plpgsql
set search_path = ''
as $$
begin
    return private.place_order(
        place_order.idempotency_key, place_order.country, place_order.address,
        place_order.promo_code, place_order.items, place_order.expected_total
    );
end
$$;

revoke all on function public.place_order(text, text, jsonb, text, jsonb, numeric) from public;
grant execute on function public.place_order(text, text, jsonb, text, jsonb, numeric)
to authenticated;

comment on function public.place_order(text, text, jsonb, text, jsonb, numeric) is
'Places an order in one transaction: prices it, holds stock and promo use for 30 minutes, returns '
'the order. items [{product_id, channel, quantity}], null = the cart. address {id} or {'
'recipient_name, phone, city, line1 | landmark | district, …}. The same idempotency_key and body '
'answer the same again. Errors: authentication_required, idempotency_key_invalid, '
'idempotency_key_reused, cart_empty, order_items_invalid, quantity_invalid, product_not_found, '
'product_not_sold_in_country, quantity_below_minimum, quantity_above_maximum, '
'quantity_not_in_steps, stock_insufficient, country_unknown, shipping_unavailable, '
'address_invalid, address_not_found, address_country_mismatch, promo_code_* (as check_promo_code), '
'total_changed (details hold the new quote), order_total_too_small, rate_limit_exceeded.';
\echo /work/main/sql/schema/50_orders/60_change_order.sql
create or replace function private.release_order(
    order_id uuid, reason text
)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    -- The caller holds the order's row lock; stock rows follow in id order, the promo code last.
    perform
    from public.product_stock as s
    where s.listing_id in (
        select coalesce(i.product_id, i.retailer_product_id)
        from public.order_items as i
        where i.order_id = release_order.order_id
    )
    order by s.listing_id
    for no key update;

    update public.orders as o
    set status = 'cancelled', cancelled_at = now(), cancel_reason = release_order.reason
    where o.id = release_order.order_id and o.status = 'pending'
    returning o.* into strict v_order;

    update public.product_stock as s
    set reserved = s.reserved - i.quantity, updated_at = now()
    from public.order_items as i
    where i.order_id = release_order.order_id
        and s.listing_id = coalesce(i.product_id, i.retailer_product_id);

    if v_order.promo_code_id is not null then
        perform private.release_promo_code(v_order.promo_code_id);
    end if;
    return v_order;
end
$$;

revoke all on function private.release_order(uuid, text) from public;

comment on function private.release_order(uuid, text) is
'Cancels a pending order and gives back what it held: stock and promo use. The caller holds the '
'order''s row lock.';

create or replace function private.lock_own_order(order_id uuid)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_order public.orders;
begin
    select o.* into v_order
    from public.orders as o
    where o.id = lock_own_order.order_id and o.user_id = v_user_id
    for no key update;
    if not found then
        perform private.fail('order_not_found', lock_own_order.order_id::text);
    end if;
    return v_order;
end
$$;

revoke all on function private.lock_own_order(uuid) from public;

comment on function private.lock_own_order(uuid) is
'The caller''s order, locked. Error: order_not_found, also for somebody else''s.';

create or replace function private.cancel_order(order_id uuid, reason text)
returns public.orders
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_own_order(cancel_order.order_id);
    v_reason text := coalesce(nullif(btrim(cancel_order.reason), ''), 'cancelled_by_customer');
begin
    if v_reason ~ '[[:cntrl:]]' or char_length(v_reason) > 300 then
        perform private.fail('reason_invalid', cancel_order.reason);
    end if;
    if v_order.status = 'cancelled' then
        return v_order;
    end if;
    if v_order.status <> 'pending' then
        perform private.fail('order_not_cancellable', v_order.status::text);
    end if;
    return private.release_order(v_order.id, v_reason);
end
$$;

create or replace function private.update_order_address(order_id uuid, address jsonb)
returns public.orders
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_own_order(update_order_address.order_id);
    v_address jsonb;
begin
    if v_order.status <> 'pending' then
        perform private.fail('order_not_editable', v_order.status::text);
    end if;
    v_address := private.snapshot_address(
        v_order.user_id, update_order_address.address, v_order.country
    );
    if v_address is distinct from v_order.shipping_address then
        update public.orders as o
        set shipping_address = v_address
        where o.id = v_order.id
        returning o.* into v_order;
        perform private.log_order_event(v_order.id, v_order.user_id, 'address_changed');
    end if;
    return v_order;
end
$$;

revoke all on function private.cancel_order(uuid, text) from public;
revoke all on function private.update_order_address(uuid, jsonb) from public;
grant execute on function private.cancel_order(uuid, text) to authenticated;
grant execute on function private.update_order_address(uuid, jsonb) to authenticated;

comment on function private.cancel_order(uuid, text) is
'Core of cancel_order. Definer because orders have no write grant; only the owner''s order.';
comment on function private.update_order_address(uuid, jsonb) is
'Core of update_order_address. Definer because orders have no write grant; only the owner''s order.';

create or replace function public.cancel_order(order_id uuid, reason text default null)
returns public.orders
language sql
set search_path = ''
as $$
    select private.cancel_order(cancel_order.order_id, cancel_order.reason)
$$;

create or replace function public.update_order_address(order_id uuid, address jsonb)
returns public.orders
language sql
set search_path = ''
as $$
    select private.update_order_address(
        update_order_address.order_id, update_order_address.address
    )
$$;

revoke all on function public.cancel_order(uuid, text) from public;
revoke all on function public.update_order_address(uuid, jsonb) from public;
grant execute on function public.cancel_order(uuid, text) to authenticated;
grant execute on function public.update_order_address(uuid, jsonb) to authenticated;

comment on function public.cancel_order(uuid, text) is
'Cancels the caller''s unpaid order and gives its stock and promo use back; cancelled twice is '
'cancelled once. Errors: order_not_found, order_not_cancellable, reason_invalid.';
comment on function public.update_order_address(uuid, jsonb) is
'Changes where the caller''s unpaid order goes, within its country. Errors: order_not_found, '
'order_not_editable, address_invalid, address_not_found, address_country_mismatch.';
\echo /work/main/sql/schema/50_orders/70_expire_orders.sql
create or replace function service.claim_expired_orders(batch integer)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(jsonb_agg(o.id), '[]')
    from (
        select o.id
        from public.orders as o
        where o.status = 'pending' and o.expires_at <= now()
        order by o.expires_at
        limit claim_expired_orders.batch
    ) as o
$$;

create or replace function service.release_order_hold(order_id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform
    from public.orders as o
    where o.id = release_order_hold.order_id
        and o.status = 'pending'
        and o.expires_at <= now()
    for no key update skip locked;
    if not found then
        return jsonb_build_object('released', false);
    end if;
    perform private.act_as('system');
    perform private.release_order(release_order_hold.order_id, 'payment_expired');
    return jsonb_build_object('released', true);
end
$$;

revoke all on function service.claim_expired_orders(integer) from public;
revoke all on function service.release_order_hold(uuid) from public;
grant execute on function service.claim_expired_orders(integer) to mallgram_service;
grant execute on function service.release_order_hold(uuid) to mallgram_service;

comment on function service.claim_expired_orders(integer) is
'Ids of unpaid orders whose hold ran out. Definer because orders are closed to the service.';
comment on function service.release_order_hold(uuid) is
'Cancels one expired order (payment_expired) and gives back what it held: {released}. An order that '
'somebody works on just now is left for the next run. Definer because orders are closed to it.';
\echo /work/main/sql/schema/50_orders/90_rows.sql
insert into private.order_transitions (from_status, to_status)
values
('pending', 'paid'),
('pending', 'cancelled'),
('paid', 'shipped'),
('paid', 'cancelled'),
('shipped', 'delivered')
on conflict do nothing;

insert into private.payment_transitions (subject, from_status, to_status, needs_evidence)
values
('payment', 'pending', 'processing', false),
('payment', 'pending', 'paid', true),
('payment', 'pending', 'failed', false),
('payment', 'pending', 'cancelled', false),
('payment', 'processing', 'paid', true),
('payment', 'processing', 'failed', false),
('payment', 'processing', 'cancelled', false),
('payment', 'failed', 'paid', true),
('payment', 'cancelled', 'paid', true),
('payment', 'paid', 'partially_refunded', false),
('payment', 'paid', 'refunded', false),
('payment', 'partially_refunded', 'refunded', false),
('order', 'pending', 'processing', false),
('order', 'pending', 'paid', false),
('order', 'pending', 'failed', false),
('order', 'pending', 'cancelled', false),
('order', 'processing', 'paid', false),
('order', 'processing', 'failed', false),
('order', 'processing', 'cancelled', false),
('order', 'failed', 'paid', false),
('order', 'cancelled', 'paid', false),
('order', 'paid', 'partially_refunded', false),
('order', 'paid', 'refunded', false),
('order', 'partially_refunded', 'refunded', false),
('order', 'failed', 'processing', false),
('order', 'cancelled', 'processing', false)
on conflict (subject, from_status, to_status) do update
set needs_evidence = excluded.needs_evidence;
\echo /work/main/sql/schema/55_payments/10_payments.sql
create table public.payments (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    gateway text not null,
    method text not null references public.payment_methods (code) on delete restrict,
    reference text not null,
    gateway_transaction_id text,
    amount numeric(12, 2) not null,
    currency text not null references public.currencies (code) on delete restrict,
    fee_amount numeric(12, 2),
    status public.payment_status not null default 'pending',
    is_winner boolean not null default false,
    action jsonb,
    failure_reason text,
    expires_at timestamptz,
    superseded_at timestamptz,
    evidence_at timestamptz,
    paid_at timestamptz,
    checks integer not null default 0,
    next_check_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint payments_reference_key unique (gateway, reference),
    constraint payments_gateway_transaction_id_key unique (gateway, gateway_transaction_id),
    constraint payments_amount_positive check (amount > 0),
    constraint payments_reference_is_plain check (reference ~ '^[A-Za-z0-9-]{8,30}$'),
    constraint payments_failure_reason_is_one_line check (failure_reason ~ '^[^[:cntrl:]]*$'),
    constraint payments_paid_has_time
    check (
        (status in ('paid', 'partially_refunded', 'refunded')) = (paid_at is not null)
    ),
    constraint payments_winner_is_paid check (not is_winner or paid_at is not null),
    constraint payments_action_is_object check (jsonb_typeof(action) = 'object')
)
with (fillfactor = 80);

alter table public.payments enable row level security;

create unique index payments_order_id_winner_key on public.payments (order_id) where is_winner;
create unique index payments_order_id_live_key on public.payments (order_id, method, gateway)
where status in ('pending', 'processing') and superseded_at is null;
create index payments_order_id_created_at_idx on public.payments (order_id, created_at);
create index payments_user_id_idx on public.payments (user_id);
create index payments_method_idx on public.payments (method);
create index payments_currency_idx on public.payments (currency);
create index payments_next_check_at_idx on public.payments (next_check_at)
where next_check_at is not null;

create trigger payments_10_update_updated_at
before update on public.payments
for each row execute function public.update_updated_at_column();

comment on table public.payments is
'Attempts to pay an order, one row each; at most one wins it.';
comment on column public.payments.reference is
'Our name for the attempt at the gateway: stored before the gateway is asked.';
comment on column public.payments.is_winner is
'This attempt paid the order. Money of another attempt, or after the order was cancelled, is paid '
'without winning and stands in private.payment_exceptions.';
comment on column public.payments.action is
'What the payer does next, as initialize answered it: {action: redirect | form | push, …}.';
comment on column public.payments.superseded_at is
'When a newer attempt of the same method and gateway took its place: its page expired, or its start '
'was never heard of again. It is still polled until it ends.';
comment on column public.payments.evidence_at is
'When the gateway''s own answer was last applied.';
comment on column public.payments.next_check_at is 'When the gateway is asked next; null = settled.';

create policy select_own_or_admin on public.payments
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.payments is
'A person sees the payments of their own orders, an admin all.';

grant select (
    id, order_id, user_id, gateway, method, reference, amount, currency, status, action,
    failure_reason, expires_at, paid_at, created_at, updated_at
) on public.payments to authenticated;
grant select on public.payments to service_role;

create or replace function private.tg_payments__check_transition()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        if new.status <> 'pending' then
            perform private.fail('payment_transition_refused', new.status::text);
        end if;
        return new;
    end if;
    if new.status is distinct from old.status and not exists (
        select from private.payment_transitions as t
        where t.subject = 'payment'
            and t.from_status = old.status
            and t.to_status = new.status
            and (not t.needs_evidence or new.evidence_at is not distinct from now())
    ) then
        perform private.fail('payment_transition_refused', old.status || ' -> ' || new.status);
    end if;
    return new;
end
$$;

revoke all on function private.tg_payments__check_transition() from public;

comment on function private.tg_payments__check_transition() is
'Trigger: an attempt starts pending and moves along private.payment_transitions only, to paid only '
'on evidence of this transaction. Definer because that table is closed. Error: '
'payment_transition_refused.';

create trigger payments_50_check_transition
before insert or update of status on public.payments
for each row execute function private.tg_payments__check_transition();

create table private.payment_exceptions (
    id uuid primary key default gen_random_uuid(),
    payment_id uuid not null references public.payments (id) on delete restrict,
    kind text not null,
    detail text,
    created_at timestamptz not null default now(),
    resolved_at timestamptz,
    constraint payment_exceptions_payment_id_kind_key unique (payment_id, kind),
    constraint payment_exceptions_kind_is_known
    check (kind in (
        'amount_mismatch', 'duplicate_payment', 'late_payment', 'unknown_outcome',
        'ambiguous_reference'
    ))
);

alter table private.payment_exceptions enable row level security;

comment on table private.payment_exceptions is
'Payments that a person must look at: money that does not fit, or an outcome nobody can tell.';
\echo /work/main/sql/schema/55_payments/20_start_payment.sql
create or replace function private.payment_as_json(payment public.payments)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'payment_id', payment_as_json.payment.id,
            'order_id', payment_as_json.payment.order_id,
            'gateway', payment_as_json.payment.gateway,
            'method', payment_as_json.payment.method,
            'reference', payment_as_json.payment.reference,
            'gateway_transaction_id', payment_as_json.payment.gateway_transaction_id,
            'amount', payment_as_json.payment.amount,
            'currency', payment_as_json.payment.currency,
            'status', payment_as_json.payment.status,
            'order_status', (
                select o.status from public.orders as o
                where o.id = payment_as_json.payment.order_id
            ),
            'action', payment_as_json.payment.action,
            'failure_reason', payment_as_json.payment.failure_reason,
            'expires_at', payment_as_json.payment.expires_at,
            'created_at', payment_as_json.payment.created_at,
            'checks', payment_as_json.payment.checks
        )
$$;

revoke all on function private.payment_as_json(public.payments) from public;

comment on function private.payment_as_json(public.payments) is
'A payment as service functions answer it, with the state of its order.';

create or replace function private.follow_payment(payment_id uuid)
returns void
language sql
set search_path = ''
as $$
    -- orders.payment_status tells of the best attempt: paid, else one under way, else the last end.
    with best as (
        select p.order_id, b.status
        from public.payments as p
        cross join lateral (
            select q.status
            from public.payments as q
            where q.order_id = p.order_id and (q.paid_at is null or q.is_winner)
            order by
                q.is_winner desc, (q.status in ('pending', 'processing')) desc, q.created_at desc
            limit 1
        ) as b
        where p.id = follow_payment.payment_id
    )

    update public.orders as o
    set payment_status = case when b.status = 'pending' then 'processing' else b.status end
    from best as b
    where o.id = b.order_id
        and o.status = 'pending'
        and o.payment_status is distinct from
        case when b.status = 'pending' then 'processing' else b.status end
$$;

revoke all on function private.follow_payment(uuid) from public;

comment on function private.follow_payment(uuid) is
'Brings orders.payment_status of a pending order in line with its attempts.';

create or replace function service.begin_payment(
    actor_id uuid,
    order_id uuid,
    method text,
    phone text,
    gateways text [],
    excluded text [] default '{}'
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_order public.orders;
    v_user public.users;
    v_route public.payment_routes;
    v_payment public.payments;
    v_phone text := regexp_replace(begin_payment.phone, '[\s().-]', '', 'g');
    v_is_new boolean := false;
begin
    select o.* into v_order
    from public.orders as o
    where o.id = begin_payment.order_id and o.user_id = begin_payment.actor_id
    for no key update;
    if not found then
        perform private.fail('order_not_found', begin_payment.order_id::text);
    end if;
    if v_order.status <> 'pending' or v_order.expires_at <= now() then
        perform private.fail('order_not_payable', v_order.status::text);
    end if;
    if begin_payment.method is not null and not exists (
        select from public.payment_methods as m where m.code = begin_payment.method
    ) then
        perform private.fail('payment_method_unknown', begin_payment.method);
    end if;

    select r.* into v_route
    from public.payment_routes as r
    where r.country = v_order.country
        and r.is_enabled
        and (begin_payment.method is null or r.method = begin_payment.method)
        and r.gateway = any(begin_payment.gateways)
        and r.gateway <> all(coalesce(begin_payment.excluded, '{}'))
        -- nobody asked for a method: take none that would have to ask for a number first
        and (begin_payment.method is not null or v_phone is not null or not r.needs_phone)
    order by r.priority
    limit 1;
    if not found then
        perform private.fail('payment_method_unavailable', begin_payment.method);
    end if;
    if v_route.needs_phone and v_phone is null then
        perform private.fail('payment_phone_required');
    end if;
    if v_phone is not null and not v_phone ~ '^\+[1-9][0-9]{6,14}$' then
        perform private.fail('payment_phone_invalid');
    end if;

    select u.* into strict v_user from public.users as u where u.id = v_order.user_id;
    -- A page that has expired cannot be paid on, and a start without an answer for a minute has no
    -- page that anybody saw: a new attempt takes their place, the polls follow the old one to its end.
    update public.payments as p
    set superseded_at = now()
    where p.order_id = v_order.id
        and p.method = v_route.method
        and p.gateway = v_route.gateway
        and p.status in ('pending', 'processing')
        and p.superseded_at is null
        and (
            p.expires_at <= now()
            or p.action is null and p.created_at <= now() - interval '1 minute'
        );
    select p.* into v_payment
    from public.payments as p
    where p.order_id = v_order.id
        and p.method = v_route.method
        and p.gateway = v_route.gateway
        and p.status in ('pending', 'processing')
        and p.superseded_at is null;
    if not found then
        insert into public.payments as p (
            order_id, user_id, gateway, method, reference, amount, currency
        )
        values (
            v_order.id, v_order.user_id, v_route.gateway, v_route.method,
            -- 27 characters: the shortest limit among the gateways is 30
            'mg-' || encode(extensions.gen_random_bytes(12), 'hex'),
            v_order.total_price, v_order.currency
        )
        returning p.* into v_payment;
        v_is_new := true;
        update public.orders as o
        set expires_at = greatest(
            o.expires_at, least(now() + private.hold_duration(), o.created_at + interval '2 hours')
        )
        where o.id = v_order.id;
        perform private.follow_payment(v_payment.id);
        perform private.act_as('user', v_order.user_id);
        perform private.log_order_event(v_order.id, v_order.user_id, 'payment_begun');
        -- Polled from here on: whatever happens to the caller next, somebody asks the gateway.
        perform private.schedule_payment_check(v_payment.id, interval '15 seconds');
    end if;

    return private.payment_as_json(v_payment) || jsonb_build_object(
        'is_new', v_is_new,
        'order_number', v_order.order_number,
        'country', v_order.country,
        'language', v_order.language,
        'customer_email', v_user.email,
        'customer_name', v_user.full_name,
        'phone', v_phone
    );
end
$$;

create or replace function service.record_payment_started(
    payment_id uuid,
    gateway_transaction_id text,
    action jsonb,
    expires_at timestamptz,
    webhook_token text default null
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments;
begin
    if record_payment_started.webhook_token is not null then
        insert into private.payment_tokens as t (payment_id, webhook_token)
        values (record_payment_started.payment_id, record_payment_started.webhook_token)
        on conflict on constraint payment_tokens_pkey do update
        set webhook_token = excluded.webhook_token;
    end if;
    perform private.lock_payment(record_payment_started.payment_id);
    -- The webhook may have been faster: an end that is known already stays.
    update public.payments as p
    set status = case when p.status = 'pending' then 'processing' else p.status end,
        gateway_transaction_id = coalesce(
            p.gateway_transaction_id, record_payment_started.gateway_transaction_id
        ),
        action = record_payment_started.action,
        expires_at = record_payment_started.expires_at
    where p.id = record_payment_started.payment_id
    returning p.* into strict v_payment;
    perform private.follow_payment(v_payment.id);
    return private.payment_as_json(v_payment);
end
$$;

create or replace function service.record_payment_start_failed(
    payment_id uuid, outcome text, reason text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_reason text := left(
        regexp_replace(record_payment_start_failed.reason, '[[:cntrl:]]+', ' ', 'g'), 300
    );
begin
    v_payment := private.lock_payment(record_payment_start_failed.payment_id);
    if record_payment_start_failed.outcome = 'nothing_created' and v_payment.status = 'pending' then
        update public.payments as p
        set status = 'failed', failure_reason = v_reason, next_check_at = null
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
    else
        update public.payments as p
        set failure_reason = v_reason
        where p.id = v_payment.id and p.status = 'pending'
        returning p.* into v_payment;
    end if;
    return private.payment_as_json(private.lock_payment(record_payment_start_failed.payment_id));
end
$$;

create or replace function service.payment_status(actor_id uuid, payment_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_payment public.payments;
begin
    select p.* into v_payment
    from public.payments as p
    where p.id = payment_status.payment_id
        and (p.user_id = payment_status.actor_id or private.is_admin(payment_status.actor_id));
    if not found then
        perform private.fail('payment_not_found', payment_status.payment_id::text);
    end if;
    return private.payment_as_json(v_payment);
end
$$;

create or replace function service.payment_return(payment_id uuid)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select jsonb_build_object('payment_id', p.id, 'order_id', p.order_id)
    from public.payments as p
    where p.id = payment_return.payment_id
$$;

revoke all on function service.begin_payment(uuid, uuid, text, text, text [], text []) from public;
revoke all on function service.record_payment_started(
    uuid, text, jsonb, timestamptz, text
) from public;
revoke all on function service.record_payment_start_failed(uuid, text, text) from public;
revoke all on function service.payment_status(uuid, uuid) from public;
revoke all on function service.payment_return(uuid) from public;
grant execute on function service.begin_payment(uuid, uuid, text, text, text [], text [])
to mallgram_service;
grant execute on function service.record_payment_started(uuid, text, jsonb, timestamptz, text)
to mallgram_service;
grant execute on function service.record_payment_start_failed(uuid, text, text)
to mallgram_service;
grant execute on function service.payment_status(uuid, uuid) to mallgram_service;
grant execute on function service.payment_return(uuid) to mallgram_service;

comment on function service.begin_payment(uuid, uuid, text, text, text [], text []) is
'Opens (or finds again, is_new false) the attempt to pay actor_id''s order on the first route among '
'gateways less excluded, and schedules the first check. Definer because payments are closed to the '
'service. Errors: order_not_found, order_not_payable, payment_method_unknown, '
'payment_method_unavailable, payment_phone_required, payment_phone_invalid.';
comment on function service.record_payment_started(uuid, text, jsonb, timestamptz, text) is
'The gateway accepted: what the payer does next is kept for whoever asks again. Definer because '
'payments are closed to the service.';
comment on function service.record_payment_start_failed(uuid, text, text) is
'The gateway did not accept: nothing_created ends the attempt, unknown leaves it to the polls. '
'Definer because payments are closed to the service.';
comment on function service.payment_status(uuid, uuid) is
'A payment of actor_id''s own, or any for an admin. Definer because payments are closed to the '
'service. Error: payment_not_found.';
comment on function service.payment_return(uuid) is
'{payment_id, order_id}, null when unknown; for the redirect after a hosted page. Definer because '
'payments are closed to the service.';
\echo /work/main/sql/schema/55_payments/30_webhook_events.sql
-- The inbox of gateways' notices, kept raw. A row is stored once, acknowledged, then worked on.

create table private.payment_tokens (
    payment_id uuid primary key references public.payments (id) on delete cascade,
    webhook_token text not null
);

alter table private.payment_tokens enable row level security;

comment on table private.payment_tokens is
'Secrets that a gateway gave for one payment, by which its notices are known to be genuine.';

create table private.webhook_events (
    id uuid primary key default gen_random_uuid(),
    gateway text not null,
    dedupe_key text not null,
    event_type text not null,
    payment_id uuid references public.payments (id) on delete restrict,
    raw text not null,
    headers jsonb not null default '{}',
    request_id text,
    received_at timestamptz not null default now(),
    handled_at timestamptz,
    outcome text,
    detail text,
    constraint webhook_events_dedupe_key_key unique (gateway, dedupe_key),
    constraint webhook_events_handled_has_outcome
    check ((handled_at is null) = (outcome is null))
);

alter table private.webhook_events enable row level security;

create index webhook_events_payment_id_idx on private.webhook_events (payment_id);
create index webhook_events_received_at_idx on private.webhook_events (received_at);

comment on table private.webhook_events is
'Verified notices of gateways, as received. payment_id is null when no payment has their reference.';

create or replace function service.webhook_secrets(gateway text, "references" text [])
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        coalesce(
            jsonb_agg(
                jsonb_build_object('payment_id', p.id, 'webhook_token', t.webhook_token)
            ), '[]'
        )
    from public.payments as p
    inner join private.payment_tokens as t on p.id = t.payment_id
    where p.gateway = webhook_secrets.gateway
        and (
            p.reference = any(webhook_secrets."references")
            or p.gateway_transaction_id = any(webhook_secrets."references")
        )
$$;

create or replace function service.record_webhook_event(
    gateway text,
    dedupe_key text,
    event_type text,
    payment_references text [],
    raw text,
    headers jsonb,
    request_id text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payments uuid [];
    v_event_id uuid;
begin
    select array_agg(p.id)
    into v_payments
    from public.payments as p
    where p.gateway = record_webhook_event.gateway
        and (
            p.reference = any(record_webhook_event.payment_references)
            or p.gateway_transaction_id = any(record_webhook_event.payment_references)
        );

    insert into private.webhook_events (
        gateway, dedupe_key, event_type, payment_id, raw, headers, request_id, handled_at, outcome
    )
    values (
        record_webhook_event.gateway,
        record_webhook_event.dedupe_key,
        record_webhook_event.event_type,
        case when cardinality(v_payments) = 1 then v_payments[1] end,
        record_webhook_event.raw,
        record_webhook_event.headers,
        record_webhook_event.request_id,
        case when cardinality(v_payments) > 1 then now() end,
        case when cardinality(v_payments) > 1 then 'ambiguous_reference' end
    )
    on conflict on constraint webhook_events_dedupe_key_key do nothing
    returning id into v_event_id;

    if v_event_id is null then
        select e.id into strict v_event_id
        from private.webhook_events as e
        where e.gateway = record_webhook_event.gateway
            and e.dedupe_key = record_webhook_event.dedupe_key;
        return jsonb_build_object('event_id', v_event_id, 'is_new', false);
    end if;

    if cardinality(v_payments) > 1 then
        insert into private.payment_exceptions (payment_id, kind, detail)
        select p, 'ambiguous_reference', v_event_id::text from unnest(v_payments) as p
        on conflict on constraint payment_exceptions_payment_id_kind_key do nothing;
    else
        perform private.emit(
            'handle_webhook', jsonb_build_object('event_id', v_event_id),
            'handle_webhook/' || v_event_id, now(), record_webhook_event.request_id, true
        );
    end if;
    return jsonb_build_object('event_id', v_event_id, 'is_new', true);
end
$$;

create or replace function service.begin_webhook_event(event_id uuid)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'event_id', e.id,
            'gateway', e.gateway,
            'event_type', e.event_type,
            'payment_id', e.payment_id,
            'reference', p.reference,
            'gateway_transaction_id', p.gateway_transaction_id,
            'handled', e.handled_at is not null
        )
    from private.webhook_events as e
    left join public.payments as p on e.payment_id = p.id
    where e.id = begin_webhook_event.event_id
$$;

create or replace function service.record_webhook_handled(
    event_id uuid, outcome text, detail text default null
)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.webhook_events as e
    set handled_at = now(),
        outcome = record_webhook_handled.outcome,
        detail = left(record_webhook_handled.detail, 500)
    where e.id = record_webhook_handled.event_id and e.handled_at is null
    returning null::jsonb
$$;

revoke all on function service.webhook_secrets(text, text []) from public;
revoke all on function service.record_webhook_event(
    text, text, text, text [], text, jsonb, text
) from public;
revoke all on function service.begin_webhook_event(uuid) from public;
revoke all on function service.record_webhook_handled(uuid, text, text) from public;
grant execute on function service.webhook_secrets(text, text []) to mallgram_service;
grant execute on function service.record_webhook_event(
    text, text, text, text [], text, jsonb, text
) to mallgram_service;
grant execute on function service.begin_webhook_event(uuid) to mallgram_service;
grant execute on function service.record_webhook_handled(uuid, text, text) to mallgram_service;

comment on function service.webhook_secrets(text, text []) is
'[{payment_id, webhook_token}] of the payments with these references at the gateway. Definer '
'because tokens are closed to everyone.';
comment on function service.record_webhook_event(
    text, text, text, text [], text, jsonb, text
) is
'Stores a verified notice once under (gateway, dedupe_key) and emits its job: {event_id, is_new}. '
'References of two payments open an exception and apply nothing. Definer because the inbox is '
'closed to the service.';
comment on function service.begin_webhook_event(uuid) is
'{event_id, gateway, event_type, payment_id, reference, gateway_transaction_id, handled}. Definer '
'because the inbox is closed to the service.';
comment on function service.record_webhook_handled(uuid, text, text) is
'Stamps handled_at, once. Definer because the inbox is closed to the service.';
\echo /work/main/sql/schema/55_payments/40_apply_payment.sql
create or replace function private.lock_payment(payment_id uuid)
returns public.payments
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
begin
    -- Order before payment, everywhere: two attempts of one order meet at the order's row.
    perform
    from public.orders as o
    inner join public.payments as p on o.id = p.order_id
    where p.id = lock_payment.payment_id
    for no key update of o;
    select p.* into v_payment
    from public.payments as p
    where p.id = lock_payment.payment_id
    for no key update;
    if not found then
        perform private.fail('payment_not_found', lock_payment.payment_id::text);
    end if;
    return v_payment;
end
$$;

revoke all on function private.lock_payment(uuid) from public;

comment on function private.lock_payment(uuid) is
'A payment, locked after its order. Error: payment_not_found.';

create or replace function private.open_payment_exception(payment_id uuid, kind text, detail text)
returns void
language sql
set search_path = ''
as $$
    insert into private.payment_exceptions (payment_id, kind, detail)
    values (
        open_payment_exception.payment_id,
        open_payment_exception.kind,
        open_payment_exception.detail
    )
    on conflict on constraint payment_exceptions_payment_id_kind_key do nothing
$$;

revoke all on function private.open_payment_exception(uuid, text, text) from public;

comment on function private.open_payment_exception(uuid, text, text) is
'Puts a payment before a person, once a kind.';

create or replace function private.settle_order(payment public.payments)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    -- Held stock leaves the shelf, the promo use becomes final, the affiliate's statistic counts.
    perform
    from public.product_stock as s
    where s.listing_id in (
        select coalesce(i.product_id, i.retailer_product_id)
        from public.order_items as i
        where i.order_id = settle_order.payment.order_id
    )
    order by s.listing_id
    for no key update;

    update public.orders as o
    set status = 'paid', payment_status = 'paid', paid_at = now()
    where o.id = settle_order.payment.order_id
    returning o.* into strict v_order;

    update public.product_stock as s
    set on_hand = s.on_hand - i.quantity,
        reserved = s.reserved - i.quantity,
        updated_at = now()
    from public.order_items as i
    where i.order_id = v_order.id
        and s.listing_id = coalesce(i.product_id, i.retailer_product_id);

    if v_order.promo_code_id is not null then
        perform private.use_promo_code(v_order);
    end if;
end
$$;

revoke all on function private.settle_order(public.payments) from public;

comment on function private.settle_order(public.payments) is
'Turns the pending order of a winning payment paid. The caller holds the order''s row lock.';

create or replace function service.apply_payment_result(
    payment_id uuid,
    status text,
    amount numeric,
    currency text,
    gateway_transaction_id text,
    reason text,
    fee numeric,
    source text,
    request_id text
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments := private.lock_payment(apply_payment_result.payment_id);
    v_status public.payment_status := apply_payment_result.status::public.payment_status;
    v_order_status public.order_status;
    v_reason text := left(
        regexp_replace(apply_payment_result.reason, '[[:cntrl:]]+', ' ', 'g'), 300
    );
    v_outcome text := 'unchanged';
begin
    perform private.act_as(
        case when apply_payment_result.source = 'operator' then 'system' else 'gateway' end
    );
    perform set_config('mallgram.request_id', coalesce(apply_payment_result.request_id, ''), true);
    select o.status into strict v_order_status
    from public.orders as o where o.id = v_payment.order_id;

    if v_payment.paid_at is not null then
        -- Money that arrived stays arrived, whatever is said later.
        v_outcome := 'unchanged';
    elsif v_status = 'paid' and (
        apply_payment_result.amount is distinct from v_payment.amount
        or apply_payment_result.currency is distinct from v_payment.currency
    ) then
        perform private.open_payment_exception(
            v_payment.id, 'amount_mismatch',
            format('gateway says %s %s, order says %s %s',
                apply_payment_result.amount, apply_payment_result.currency,
                v_payment.amount, v_payment.currency)
        );
        update public.payments as p set evidence_at = now() where p.id = v_payment.id;
        v_outcome := 'quarantined';
    elsif v_status = 'paid' then
        update public.payments as p
        set status = 'paid',
            paid_at = now(),
            evidence_at = now(),
            is_winner = v_order_status = 'pending',
            fee_amount = apply_payment_result.fee,
            failure_reason = null,
            next_check_at = null,
            gateway_transaction_id = coalesce(
                apply_payment_result.gateway_transaction_id, p.gateway_transaction_id
            )
        where p.id = v_payment.id
        returning p.* into v_payment;
        if v_payment.is_winner then
            perform private.settle_order(v_payment);
        else
            perform private.open_payment_exception(
                v_payment.id,
                case when v_order_status = 'cancelled' then 'late_payment'
                    else 'duplicate_payment' end,
                'order is ' || v_order_status
            );
        end if;
        v_outcome := 'applied';
    elsif v_status in ('failed', 'cancelled') and v_payment.status in ('pending', 'processing') then
        update public.payments as p
        set status = v_status, failure_reason = v_reason, evidence_at = now(), next_check_at = null
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
        perform private.log_order_event(
            v_payment.order_id, v_payment.user_id, 'payment_' || v_status, null, null, v_reason
        );
        v_outcome := 'applied';
    elsif v_status = 'processing' and v_payment.status = 'pending' then
        update public.payments as p
        set status = 'processing', evidence_at = now()
        where p.id = v_payment.id
        returning p.* into v_payment;
        perform private.follow_payment(v_payment.id);
        v_outcome := 'applied';
    end if;

    return private.payment_as_json(private.lock_payment(v_payment.id))
        || jsonb_build_object('payment_status', v_payment.status, 'outcome', v_outcome);
end
$$;

revoke all on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text
) from public;
grant execute on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text
) to mallgram_service;

comment on function service.apply_payment_result(
    uuid, text, numeric, text, text, text, numeric, text, text
) is
'Applies the gateway''s own answer (never a webhook''s word): paid with equal amount and currency '
'settles a pending order; after it was paid or cancelled the money becomes an exception; a '
'different amount is quarantined; failed and cancelled end an open attempt. Applying it again '
'changes nothing. amount in currency, fee likewise. source: webhook, poll, operator. Answers the '
'payment with order_status, payment_status and outcome: applied, unchanged, quarantined. Definer '
'because orders and payments are closed to the service. Error: payment_not_found.';
\echo /work/main/sql/schema/55_payments/50_check_payments.sql
create or replace function private.schedule_payment_check(payment_id uuid, wait interval)
returns timestamptz
language plpgsql
set search_path = ''
as $$
declare
    v_checks integer;
begin
    update public.payments as p
    set next_check_at = now() + schedule_payment_check.wait
    where p.id = schedule_payment_check.payment_id
    returning p.checks into strict v_checks;
    perform private.emit(
        'reconcile_payments',
        jsonb_build_object('payment_id', schedule_payment_check.payment_id),
        format('reconcile_payments/%s/%s', schedule_payment_check.payment_id, v_checks),
        now() + schedule_payment_check.wait
    );
    return now() + schedule_payment_check.wait;
end
$$;

revoke all on function private.schedule_payment_check(uuid, interval) from public;

comment on function private.schedule_payment_check(uuid, interval) is
'Asks for the payment''s next check after a wait; the same check asked for twice is one.';

create or replace function service.begin_payment_check(payment_id uuid)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select private.payment_as_json(p)
    from public.payments as p
    where p.id = begin_payment_check.payment_id
$$;

create or replace function service.record_payment_check(payment_id uuid, outcome text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment public.payments := private.lock_payment(record_payment_check.payment_id);
    v_wait interval;
begin
    if v_payment.paid_at is not null then
        return jsonb_build_object('next_check_at', null);
    end if;
    update public.payments as p
    set checks = p.checks + 1
    where p.id = v_payment.id
    returning p.* into v_payment;

    -- Close at first, while the payer watches; hourly to the end of a day; then a person's. The
    -- first wait is begin_payment's, so the one after check n is the next: n + 1.
    v_wait := case
        when v_payment.created_at < now() - interval '24 hours' then null
        when v_payment.status in ('failed', 'cancelled') then null
        else (array['15 seconds', '15 seconds', '30 seconds', '1 minute', '3 minutes', '5 minutes',
            '10 minutes', '20 minutes', '30 minutes'])[v_payment.checks + 1]::interval
    end;
    if v_wait is null
        and v_payment.status in ('pending', 'processing')
        and v_payment.created_at >= now() - interval '24 hours' then
        v_wait := interval '1 hour';
    end if;
    if v_wait is null then
        update public.payments as p set next_check_at = null where p.id = v_payment.id;
        if v_payment.status in ('pending', 'processing') then
            perform private.open_payment_exception(
                v_payment.id, 'unknown_outcome', record_payment_check.outcome
            );
        end if;
        return jsonb_build_object('next_check_at', null);
    end if;
    return jsonb_build_object(
        'next_check_at', private.schedule_payment_check(v_payment.id, v_wait)
    );
end
$$;

create or replace function service.claim_payment_sweep(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_payment_id uuid;
    v_swept jsonb := '[]'::jsonb;
begin
    -- A check that was lost (its outbox row died) is asked for anew.
    for v_payment_id in
        select p.id
        from public.payments as p
        where p.status in ('pending', 'processing')
            and p.next_check_at < now() - interval '15 minutes'
        order by p.next_check_at
        limit claim_payment_sweep.batch
        for no key update skip locked
    loop
        update public.payments as p set checks = p.checks + 1 where p.id = v_payment_id;
        perform private.schedule_payment_check(v_payment_id, interval '0');
        v_swept := v_swept || to_jsonb(v_payment_id);
    end loop;
    return v_swept;
end
$$;

revoke all on function service.begin_payment_check(uuid) from public;
revoke all on function service.record_payment_check(uuid, text) from public;
revoke all on function service.claim_payment_sweep(integer) from public;
grant execute on function service.begin_payment_check(uuid) to mallgram_service;
grant execute on function service.record_payment_check(uuid, text) to mallgram_service;
grant execute on function service.claim_payment_sweep(integer) to mallgram_service;

comment on function service.begin_payment_check(uuid) is
'A payment as a poll needs it, null when unknown. Definer because payments are closed to the '
'service.';
comment on function service.record_payment_check(uuid, text) is
'Counts a poll and schedules the next: {next_check_at}. After 24 hours without an end the payment '
'goes before a person. Definer because payments are closed to the service.';
comment on function service.claim_payment_sweep(integer) is
'Ids of open payments whose check was lost, each asked for anew. Definer because payments are '
'closed to the service.';
\echo /work/main/sql/schema/60_affiliates/10_affiliates.sql
create table public.affiliates (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete restrict,
    status text not null default 'pending',
    default_commission_amount numeric(12, 2) not null default 15000,
    currency text not null default 'XAF' references public.currencies (code) on delete restrict,
    threshold_uses integer not null default 100,
    payout_channel text,
    payout_account text,
    note text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint affiliates_user_id_key unique (user_id),
    constraint affiliates_status_is_known
    check (status in ('pending', 'approved', 'rejected', 'suspended')),
    constraint affiliates_commission_positive check (default_commission_amount > 0),
    constraint affiliates_threshold_positive check (threshold_uses > 0),
    constraint affiliates_payout_channel_is_known check (payout_channel in ('mtn', 'kora')),
    constraint affiliates_payout_is_whole
    check (num_nonnulls(payout_channel, payout_account) in (0, 2)),
    constraint affiliates_texts_are_one_line check (concat(payout_account, note) ~ '^[^[:cntrl:]]*$')
);

alter table public.affiliates enable row level security;

create index affiliates_currency_idx on public.affiliates (currency);

create trigger affiliates_10_update_updated_at
before update on public.affiliates
for each row execute function public.update_updated_at_column();

comment on table public.affiliates is
'People who promote the shop. Each full block of threshold_uses of a code earns one commission.';
comment on column public.affiliates.default_commission_amount is
'Earned per full block of uses, in currency.';
comment on column public.affiliates.payout_account is 'Phone number or account the money goes to.';

create policy select_own_or_admin on public.affiliates
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.affiliates is
'An affiliate sees their own row, an admin all.';

grant select on public.affiliates to authenticated, service_role;

create or replace function private.tg_affiliates__mirror_is_affiliate()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.users as u
    set is_affiliate = exists (
        select from public.affiliates as a where a.user_id = u.id and a.status = 'approved'
    )
    where u.id in (old.user_id, new.user_id);
    return null;
end
$$;

revoke all on function private.tg_affiliates__mirror_is_affiliate() from public;

comment on function private.tg_affiliates__mirror_is_affiliate() is
'Trigger: keeps users.is_affiliate. Definer because nobody may write that column.';

create trigger affiliates_90_mirror_is_affiliate
after insert or update of status, user_id or delete on public.affiliates
for each row execute function private.tg_affiliates__mirror_is_affiliate();
\echo /work/main/sql/schema/60_affiliates/20_promo_codes.sql
create table public.promo_codes (
    id uuid primary key default gen_random_uuid(),
    code text not null,
    affiliate_id uuid references public.affiliates (id) on delete restrict,
    admin_id uuid references public.admins (id) on delete restrict,
    discount_percent numeric(5, 2),
    discount_amount numeric(12, 2),
    currency text references public.currencies (code) on delete restrict,
    usage_count integer not null default 0,
    reserved_count integer not null default 0,
    usage_limit integer default 100,
    per_user_limit integer,
    status text not null default 'active',
    starts_at timestamptz not null default now(),
    ends_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint promo_codes_code_key unique (code),
    constraint promo_codes_code_is_plain check (code ~ '^[A-Z0-9][A-Z0-9_-]{2,31}$'),
    constraint promo_codes_has_one_owner
    check (
        (affiliate_id is not null and admin_id is null)
        or (affiliate_id is null and admin_id is not null)
    ),
    constraint promo_codes_has_one_discount
    check (num_nonnulls(discount_percent, discount_amount) <= 1),
    constraint promo_codes_discount_is_percent
    check (discount_percent > 0 and discount_percent <= 90),
    constraint promo_codes_discount_amount_positive check (discount_amount > 0),
    constraint promo_codes_amount_has_currency
    check ((discount_amount is null) = (currency is null)),
    constraint promo_codes_counts_not_negative check (usage_count >= 0 and reserved_count >= 0),
    constraint promo_codes_uses_within_limit check (usage_count + reserved_count <= usage_limit),
    constraint promo_codes_limits_positive check (usage_limit > 0 and per_user_limit > 0),
    constraint promo_codes_status_is_known check (status in ('active', 'paused', 'archived')),
    constraint promo_codes_ends_after_start check (ends_at > starts_at)
)
with (fillfactor = 50);

alter table public.promo_codes enable row level security;

create index promo_codes_affiliate_id_idx on public.promo_codes (affiliate_id);
create index promo_codes_admin_id_idx on public.promo_codes (admin_id);
create index promo_codes_currency_idx on public.promo_codes (currency);

comment on table public.promo_codes is
'Codes of affiliates or admins. A use is reserved when an order is placed and final when it is paid.';
comment on column public.promo_codes.code is 'Upper case; people may type it in any case.';
comment on column public.promo_codes.reserved_count is 'Uses held by unpaid orders.';
comment on column public.promo_codes.usage_limit is
'Uses in all, reserved ones included; null = unlimited.';
comment on column public.promo_codes.discount_amount is 'Off the subtotal, in currency only.';

create or replace function private.tg_promo_codes__normalise_code()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.code = upper(btrim(new.code));
    return new;
end
$$;

revoke all on function private.tg_promo_codes__normalise_code() from public;

comment on function private.tg_promo_codes__normalise_code() is
'Trigger: codes are stored in upper case.';

create trigger promo_codes_10_normalise_code
before insert or update of code on public.promo_codes
for each row execute function private.tg_promo_codes__normalise_code();

create trigger promo_codes_10_update_updated_at
before update on public.promo_codes
for each row execute function public.update_updated_at_column();

create policy select_own_or_admin on public.promo_codes
for select to authenticated
using (
    affiliate_id in (
        select a.id from public.affiliates as a where a.user_id = (select auth.uid())
    )
    or (select private.is_admin())
);

comment on policy select_own_or_admin on public.promo_codes is
'An affiliate sees their own codes, an admin all; shoppers ask check_promo_code.';

grant select on public.promo_codes to authenticated, service_role;

alter table public.orders
add constraint orders_promo_code_id_fkey
foreign key (promo_code_id) references public.promo_codes (id) on delete restrict;
\echo /work/main/sql/schema/60_affiliates/30_promo_code_use.sql
create or replace function private.count_promo_code_uses(promo_code_id uuid, user_id uuid)
returns bigint
language sql
stable
set search_path = ''
as $$
    select count(*)
    from public.orders as o
    where o.promo_code_id = count_promo_code_uses.promo_code_id
        and o.user_id = count_promo_code_uses.user_id
        and o.status <> 'cancelled'
$$;

create or replace function private.resolve_promo_code(
    code text, user_id uuid, currency text, subtotal numeric
)
returns table (promo_code_id uuid, promo_code text, discount numeric, problem text)
language sql
stable
set search_path = ''
as $$
    select
        case when r.problem is null then r.id end,
        case when r.problem is null then r.code end,
        case
            when r.problem is null
                then least(
                    resolve_promo_code.subtotal,
                    private.round_money(
                        coalesce(
                            r.discount_amount,
                            resolve_promo_code.subtotal * coalesce(r.discount_percent, 0) / 100
                        ), resolve_promo_code.currency
                    )
                )
        end,
        r.problem
    from (
        select
            p.id,
            p.code,
            p.discount_amount,
            p.discount_percent,
            case
                when p.id is null then 'promo_code_not_found'
                when p.status <> 'active' or a.status <> 'approved' then 'promo_code_inactive'
                when p.starts_at > now() then 'promo_code_not_started'
                when p.ends_at <= now() then 'promo_code_expired'
                when a.user_id = resolve_promo_code.user_id then 'promo_code_own'
                when p.currency <> resolve_promo_code.currency then 'promo_code_currency_mismatch'
                when p.usage_count + p.reserved_count >= p.usage_limit then 'promo_code_exhausted'
                when p.per_user_limit is not null
                    and private.count_promo_code_uses(p.id, resolve_promo_code.user_id)
                    >= p.per_user_limit
                    then 'promo_code_used_up'
            end as problem
        from (select upper(btrim(resolve_promo_code.code)) as code) as asked
        left join public.promo_codes as p on asked.code = p.code
        left join public.affiliates as a on p.affiliate_id = a.id
    ) as r
$$;

create or replace function private.count_promo_guess(user_id uuid, problem text)
returns void
language sql
set search_path = ''
as $$
    select private.take_rate_limit('promo_check', 'user:' || count_promo_guess.user_id)
    where count_promo_guess.problem = 'promo_code_not_found'
$$;

create or replace function private.require_promo_guess(user_id uuid)
returns void
language sql
set search_path = ''
as $$
    select private.require_rate_limit('promo_check', 'user:' || require_promo_guess.user_id, 0)
$$;

create or replace function private.reserve_promo_code(promo_code_id uuid, user_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_per_user_limit integer;
begin
    update public.promo_codes as p
    set reserved_count = p.reserved_count + 1
    where p.id = reserve_promo_code.promo_code_id
        and (p.usage_limit is null or p.usage_count + p.reserved_count < p.usage_limit)
    returning p.per_user_limit into v_per_user_limit;
    if not found then
        perform private.fail('promo_code_exhausted');
    end if;
    -- Behind the code's row lock the person's orders cannot grow any more; this one counts itself.
    if v_per_user_limit < private.count_promo_code_uses(
        reserve_promo_code.promo_code_id, reserve_promo_code.user_id
    ) then
        perform private.fail('promo_code_used_up');
    end if;
end
$$;

create or replace function private.release_promo_code(promo_code_id uuid)
returns void
language sql
set search_path = ''
as $$
    update public.promo_codes as p
    set reserved_count = p.reserved_count - 1
    where p.id = release_promo_code.promo_code_id
$$;

create or replace function private.use_promo_code(paid_order public.orders)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.release_promo_code(use_promo_code.paid_order.promo_code_id);
    insert into public.affiliate_stats (
        promo_code_id, affiliate_id, order_id, user_id, discount_amount, currency
    )
    select
        p.id, p.affiliate_id, use_promo_code.paid_order.id, use_promo_code.paid_order.user_id,
        use_promo_code.paid_order.discount_amount, use_promo_code.paid_order.currency
    from public.promo_codes as p
    where p.id = use_promo_code.paid_order.promo_code_id;
end
$$;

revoke all on function private.resolve_promo_code(text, uuid, text, numeric) from public;
revoke all on function private.count_promo_guess(uuid, text) from public;
revoke all on function private.require_promo_guess(uuid) from public;
revoke all on function private.count_promo_code_uses(uuid, uuid) from public;
revoke all on function private.reserve_promo_code(uuid, uuid) from public;
revoke all on function private.release_promo_code(uuid) from public;
revoke all on function private.use_promo_code(public.orders) from public;

comment on function private.resolve_promo_code(text, uuid, text, numeric) is
'What a code is worth to a person on a subtotal in a currency, or the error code why nothing.';
comment on function private.count_promo_guess(uuid, text) is
'Counts a code that was not found against the person who typed it.';
comment on function private.require_promo_guess(uuid) is
'Whether the person may still type codes; without this a hit would show among counted misses. '
'Error: rate_limit_exceeded.';
comment on function private.count_promo_code_uses(uuid, uuid) is
'Orders of a person that hold or used the code.';
comment on function private.reserve_promo_code(uuid, uuid) is
'Holds one use for an order already inserted. Errors: promo_code_exhausted, promo_code_used_up.';
comment on function private.release_promo_code(uuid) is 'Gives one held use back.';
comment on function private.use_promo_code(public.orders) is
'Turns the held use of a paid order into a statistic, whose trigger counts it.';

create or replace function private.check_promo_code(code text, country text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_currency text;
    v_promo record;
begin
    perform private.require_promo_guess(v_user_id);
    select c.currency into v_currency
    from public.countries as c where c.code = check_promo_code.country;
    if not found then
        perform private.fail('country_unknown', check_promo_code.country);
    end if;
    select * into v_promo
    from private.resolve_promo_code(check_promo_code.code, v_user_id, v_currency, 0);
    perform private.count_promo_guess(v_user_id, v_promo.problem);
    -- Told, not raised: a refusal that rolled back would not count against guessing.
    if v_promo.problem is not null then
        return (
            select
                jsonb_build_object(
                    'is_valid', false,
                    'reason', e.code,
                    'message', case when private.caller_language() = 'fr' then e.message_fr
                        else e.message_en end
                )
            from private.error_codes as e
            where e.code = v_promo.problem
        );
    end if;
    return (
        select
            jsonb_build_object(
                'is_valid', true,
                'code', p.code,
                'discount_percent', p.discount_percent,
                'discount_amount', p.discount_amount,
                'currency', p.currency,
                'ends_at', p.ends_at
            )
        from public.promo_codes as p
        where p.id = v_promo.promo_code_id
    );
end
$$;

revoke all on function private.check_promo_code(text, text) from public;
grant execute on function private.check_promo_code(text, text) to authenticated;

comment on function private.check_promo_code(text, text) is
'Core of check_promo_code. Definer because codes are closed to shoppers and guesses are counted.';

create or replace function public.check_promo_code(code text, country text)
returns jsonb
language sql
set search_path = ''
as $$
    select private.check_promo_code(check_promo_code.code, check_promo_code.country)
$$;

revoke all on function public.check_promo_code(text, text) from public;
grant execute on function public.check_promo_code(text, text) to authenticated;

comment on function public.check_promo_code(text, text) is
'{is_valid: true, code, discount_percent | discount_amount and currency, ends_at} or {is_valid: '
'false, reason, message}: promo_code_not_found, _inactive, _not_started, _expired, _own, '
'_currency_mismatch, _exhausted, _used_up. Errors: country_unknown, rate_limit_exceeded.';
\echo /work/main/sql/schema/60_affiliates/40_affiliate_stats.sql
create table public.affiliate_stats (
    id uuid primary key default gen_random_uuid(),
    promo_code_id uuid not null references public.promo_codes (id) on delete restrict,
    affiliate_id uuid references public.affiliates (id) on delete restrict,
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    discount_amount numeric(12, 2) not null,
    currency text not null references public.currencies (code) on delete restrict,
    created_at timestamptz not null default now(),
    constraint affiliate_stats_order_id_key unique (order_id),
    constraint affiliate_stats_discount_not_negative check (discount_amount >= 0)
);

alter table public.affiliate_stats enable row level security;

create index affiliate_stats_promo_code_id_idx
on public.affiliate_stats (promo_code_id, created_at);
create index affiliate_stats_affiliate_id_idx on public.affiliate_stats (affiliate_id);
create index affiliate_stats_user_id_idx on public.affiliate_stats (user_id);
create index affiliate_stats_currency_idx on public.affiliate_stats (currency);

comment on table public.affiliate_stats is
'One row a paid order with a promo code; written when the order is paid, never before.';
comment on column public.affiliate_stats.affiliate_id is 'Null for codes of admins.';
comment on column public.affiliate_stats.user_id is 'Who bought.';

create policy select_admin on public.affiliate_stats
for select to authenticated
using ((select private.is_admin()));

comment on policy select_admin on public.affiliate_stats is
'Rows name buyers: admins only. Affiliates see counts on their codes, never who bought.';

grant select on public.affiliate_stats to authenticated, service_role;

create table public.affiliate_payouts (
    id uuid primary key default gen_random_uuid(),
    affiliate_id uuid not null references public.affiliates (id) on delete restrict,
    promo_code_id uuid not null references public.promo_codes (id) on delete restrict,
    block_number integer not null,
    payout_amount numeric(12, 2) not null,
    currency text not null references public.currencies (code) on delete restrict,
    payout_status text not null default 'pending',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint affiliate_payouts_block_number_key unique (promo_code_id, block_number),
    constraint affiliate_payouts_block_number_positive check (block_number > 0),
    constraint affiliate_payouts_amount_positive check (payout_amount > 0),
    constraint affiliate_payouts_payout_status_is_known
    check (payout_status in ('pending', 'approved', 'processing', 'paid', 'failed', 'cancelled'))
);

alter table public.affiliate_payouts enable row level security;

create index affiliate_payouts_affiliate_id_idx on public.affiliate_payouts (affiliate_id);
create index affiliate_payouts_currency_idx on public.affiliate_payouts (currency);

create trigger affiliate_payouts_10_update_updated_at
before update on public.affiliate_payouts
for each row execute function public.update_updated_at_column();

comment on table public.affiliate_payouts is
'One commission a full block of uses of a code: block k is uses (k-1)N+1 to kN.';
comment on column public.affiliate_payouts.payout_amount is 'In currency, as owed when the block closed.';

create policy select_own_or_admin on public.affiliate_payouts
for select to authenticated
using (
    affiliate_id in (
        select a.id from public.affiliates as a where a.user_id = (select auth.uid())
    )
    or (select private.is_admin())
);

comment on policy select_own_or_admin on public.affiliate_payouts is
'An affiliate sees their own commissions, an admin all.';

grant select on public.affiliate_payouts to authenticated, service_role;

create or replace function public.fn_after_affiliate_stat_insert()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_usage_count integer;
    v_affiliate public.affiliates;
begin
    update public.promo_codes as p
    set usage_count = p.usage_count + 1
    where p.id = new.promo_code_id
    returning p.usage_count into strict v_usage_count;

    -- An admin's code earns nobody a commission.
    if new.affiliate_id is null then
        return null;
    end if;
    select a.* into strict v_affiliate
    from public.affiliates as a where a.id = new.affiliate_id;
    if v_usage_count % v_affiliate.threshold_uses = 0 then
        insert into public.affiliate_payouts (
            affiliate_id, promo_code_id, block_number, payout_amount, currency
        )
        values (
            v_affiliate.id, new.promo_code_id, v_usage_count / v_affiliate.threshold_uses,
            v_affiliate.default_commission_amount, v_affiliate.currency
        )
        on conflict on constraint affiliate_payouts_block_number_key do nothing;
    end if;
    return null;
end
$$;

revoke all on function public.fn_after_affiliate_stat_insert() from public;

comment on function public.fn_after_affiliate_stat_insert() is
'Trigger: a statistic counts one use of its code and, when that fills a block of an affiliate''s '
'code, writes the block''s payout.';

create trigger affiliate_stats_90_count_use
after insert on public.affiliate_stats
for each row execute function public.fn_after_affiliate_stat_insert();
\echo /work/main/sql/schema/70_notifications/10_notifications.sql
create table public.notifications (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    kind text not null,
    data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    read_at timestamptz,
    constraint notifications_kind_is_snake_case check (kind ~ '^[a-z][a-z_]{2,40}$'),
    constraint notifications_data_is_object check (jsonb_typeof(data) = 'object')
);

alter table public.notifications enable row level security;

create index notifications_user_id_created_at_idx
on public.notifications (user_id, created_at desc);

comment on table public.notifications is
'Messages shown inside the shop. The frontend has the words for each kind, data has the facts.';

create policy select_own on public.notifications
for select to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.notifications is 'A person sees their own messages.';

create policy update_own on public.notifications
for update to authenticated
using (user_id = (select auth.uid()))
with check (user_id = (select auth.uid()));

comment on policy update_own on public.notifications is
'A person marks their own messages read: read_at only (column grant).';

grant select, update (read_at) on public.notifications to authenticated;
grant select on public.notifications to service_role;

create or replace function public.mark_notifications_read(ids uuid [])
returns setof public.notifications
language sql
set search_path = ''
as $$
    update public.notifications as n
    set read_at = coalesce(n.read_at, now())
    where n.id = any(mark_notifications_read.ids) and n.user_id = (select auth.uid())
    returning n.*
$$;

revoke all on function public.mark_notifications_read(uuid []) from public;
grant execute on function public.mark_notifications_read(uuid []) to authenticated;

comment on function public.mark_notifications_read(uuid []) is
'Marks the caller''s messages read (twice is once) and returns them; others'' ids do nothing.';
\echo /work/main/sql/schema/70_notifications/20_emails.sql
-- Intent to write to somebody is a row; the mail itself is made when it is sent.

create table private.emails (
    id uuid primary key default gen_random_uuid(),
    template text not null,
    user_id uuid not null references public.users (id) on delete cascade,
    order_id uuid references public.orders (id) on delete cascade,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    message_id text,
    rejected_at timestamptz,
    reject_reason text,
    constraint emails_template_is_known
    check (template in ('welcome', 'order_placed', 'payment_received')),
    constraint emails_template_key unique nulls not distinct (template, user_id, order_id),
    constraint emails_sent_has_message_id check ((sent_at is null) = (message_id is null)),
    constraint emails_rejected_has_reason check ((rejected_at is null) = (reject_reason is null)),
    constraint emails_end_once check (sent_at is null or rejected_at is null)
);

alter table private.emails enable row level security;

create index emails_user_id_idx on private.emails (user_id);
create index emails_order_id_idx on private.emails (order_id);

comment on table private.emails is
'One mail a (template, recipient, order): asked for twice, sent once.';

create or replace function private.emit_email(template text, user_id uuid, order_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    with email as (
        insert into private.emails (template, user_id, order_id)
        values (emit_email.template, emit_email.user_id, emit_email.order_id)
        on conflict on constraint emails_template_key do nothing
        returning id
    )

    insert into private.outbox (job, args, request_id)
    select
        'send_email',
        jsonb_build_object('email_id', e.id),
        nullif(current_setting('mallgram.request_id', true), '')
    from email as e;
end
$$;

revoke all on function private.emit_email(text, uuid, uuid) from public;

comment on function private.emit_email(text, uuid, uuid) is
'Asks for a mail, once a (template, recipient, order).';

create or replace function service.begin_email(email_id uuid)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'email_id', e.id,
            'template', e.template,
            'recipient', u.email,
            'recipient_name', u.full_name,
            'language', coalesce(o.language, u.language),
            'data',
            case
                when o.id is null then jsonb_build_object(
                    'first_name', split_part(u.full_name, ' ', 1)
                )
                else jsonb_build_object(
                    'first_name', split_part(u.full_name, ' ', 1),
                    'order_id', o.id,
                    'order_number', o.order_number,
                    'placed_at', o.created_at,
                    'expires_at', o.expires_at,
                    'paid_at', o.paid_at,
                    'currency', o.currency,
                    'minor_unit', c.minor_unit,
                    'subtotal', o.subtotal_price,
                    'discount', o.discount_amount,
                    'shipping', o.shipping_amount,
                    'tax', o.tax_amount,
                    'total', o.total_price,
                    'promo_code', o.promo_code,
                    'address', o.shipping_address,
                    'gateway', (
                        select p.gateway
                        from public.payments as p
                        where p.order_id = o.id and p.is_winner
                    ),
                    'lines', (
                        select
                            jsonb_agg(
                                jsonb_build_object(
                                    'name',
                                    case
                                        when o.language = 'fr' then coalesce(i.name_fr, i.name)
                                        else i.name
                                    end,
                                    'quantity', i.quantity,
                                    'unit_price', i.unit_price,
                                    'subtotal', i.subtotal
                                )
                                order by i.line_number
                            )
                        from public.order_items as i
                        where i.order_id = o.id
                    )
                )
            end
        )
    from private.emails as e
    inner join public.users as u on e.user_id = u.id
    left join public.orders as o on e.order_id = o.id
    left join public.currencies as c on o.currency = c.code
    where e.id = begin_email.email_id
        and e.sent_at is null
        and e.rejected_at is null
        and u.email is not null
$$;

create or replace function service.record_email_sent(email_id uuid, message_id text)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.emails as e
    set sent_at = now(), message_id = record_email_sent.message_id
    where e.id = record_email_sent.email_id and e.sent_at is null and e.rejected_at is null
    returning null::jsonb
$$;

create or replace function service.record_email_rejected(email_id uuid, reason text)
returns jsonb
language sql
security definer
set search_path = ''
as $$
    update private.emails as e
    set rejected_at = now(), reject_reason = left(record_email_rejected.reason, 300)
    where e.id = record_email_rejected.email_id and e.sent_at is null and e.rejected_at is null
    returning null::jsonb
$$;

revoke all on function service.begin_email(uuid) from public;
revoke all on function service.record_email_rejected(uuid, text) from public;
revoke all on function service.record_email_sent(uuid, text) from public;
grant execute on function service.begin_email(uuid) to mallgram_service;
grant execute on function service.record_email_rejected(uuid, text) to mallgram_service;
grant execute on function service.record_email_sent(uuid, text) to mallgram_service;

comment on function service.begin_email(uuid) is
'{email_id, template, recipient, recipient_name, language, data}, null when it is sent, refused or '
'its recipient is gone. Definer because mails are closed to the service.';
comment on function service.record_email_rejected(uuid, text) is
'Ends a mail that its recipient''s server refuses for good. Definer because mails are closed to the '
'service.';
comment on function service.record_email_sent(uuid, text) is
'Stamps a mail sent, once. Definer because mails are closed to the service.';
\echo /work/main/sql/schema/70_notifications/30_emit.sql
-- What people are told, and when.

create or replace function private.tg_orders__emit_messages()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        perform private.emit_email('order_placed', new.user_id, new.id);
        return null;
    end if;
    if new.status = 'paid' then
        perform private.emit_email('payment_received', new.user_id, new.id);
    end if;
    insert into public.notifications (user_id, kind, data)
    values (
        new.user_id,
        'order_' || new.status,
        jsonb_build_object('order_id', new.id, 'order_number', new.order_number)
    );
    return null;
end
$$;

create or replace function private.tg_users__emit_welcome()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.emit_email('welcome', new.id, null);
    return null;
end
$$;

revoke all on function private.tg_orders__emit_messages() from public;
revoke all on function private.tg_users__emit_welcome() from public;

comment on function private.tg_orders__emit_messages() is
'Trigger: mails for placed and paid, a message in the shop for every later move. Definer because '
'mails and messages have no insert grant.';
comment on function private.tg_users__emit_welcome() is
'Trigger: a welcome when the address is confirmed. Definer because mails have no insert grant.';

create trigger orders_90_emit_placed
after insert on public.orders
for each row execute function private.tg_orders__emit_messages();

create trigger orders_90_emit_moved
after update of status on public.orders
for each row when (old.status is distinct from new.status)
execute function private.tg_orders__emit_messages();

create trigger users_90_emit_welcome
after insert or update of email_confirmed_at on public.users
for each row when (new.email_confirmed_at is not null)
execute function private.tg_users__emit_welcome();
\echo /work/main/sql/schema/90_operations/10_retention.sql
create or replace function service.apply_retention(batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_keys integer;
    v_outbox integer;
    v_events integer;
    v_limits integer;
begin
    delete from private.idempotency_keys as k
    where (k.user_id, k.operation, k.idempotency_key) in (
        select o.user_id, o.operation, o.idempotency_key
        from private.idempotency_keys as o
        where o.created_at < now() - interval '30 days'
        limit apply_retention.batch
    );
    get diagnostics v_keys = row_count;

    delete from private.outbox as o
    where o.id in (
        select d.id
        from private.outbox as d
        where (d.done_at is not null or d.failed_at is not null)
            and coalesce(d.done_at, d.failed_at)
            < now() - case when d.failed_at is null then interval '7 days' else interval '90 days' end
        limit apply_retention.batch
    );
    get diagnostics v_outbox = row_count;

    -- The notice stays as a fact for a year, its body with the payer's name and number does not.
    update private.webhook_events as e
    set raw = '', headers = '{}'
    where e.id in (
        select d.id
        from private.webhook_events as d
        where d.handled_at < now() - interval '180 days' and d.raw <> ''
        limit apply_retention.batch
    );
    get diagnostics v_events = row_count;

    delete from private.rate_limits as l
    where l.refilled_at < now() - interval '1 day';
    get diagnostics v_limits = row_count;

    return jsonb_build_object(
        'idempotency_keys', v_keys, 'outbox', v_outbox, 'webhook_events', v_events,
        'rate_limits', v_limits
    );
end
$$;

create or replace function service.ping()
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select
        jsonb_build_object(
            'now', now(),
            'open_outbox', (
                select count(*)
                from private.outbox as o
                where o.done_at is null and o.failed_at is null and o.available_at <= now()
            )
        )
$$;

revoke all on function service.apply_retention(integer) from public;
revoke all on function service.ping() from public;
grant execute on function service.apply_retention(integer) to mallgram_service;
grant execute on function service.ping() to mallgram_service;

comment on function service.apply_retention(integer) is
'Forgets what is past its time: keys after 30 days, done work after 7 (dead after 90), bodies of '
'notices after 180, idle buckets after one. Rows touched: {idempotency_keys, outbox, '
'webhook_events, rate_limits}. Definer because the tables are closed to the service.';
comment on function service.ping() is
'{now, open_outbox}: the database answers, and how many rows of work are due. Definer because the '
'outbox is closed to the service.';

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
    values (
        take_rate_limit.action, take_rate_limit.subject,
        v_rule.capacity - take_rate_limit.tokens
    )
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

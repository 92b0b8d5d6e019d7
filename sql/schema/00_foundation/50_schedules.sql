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

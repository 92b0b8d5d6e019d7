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
        if v_payment.status in ('pending', 'processing')
            and v_payment.collected_amount is null
            and record_payment_check.outcome = 'not_found' then
            -- The gateway answers and knows nothing of it: a page that was never opened.
            update public.payments as p
            set status = 'failed', failure_reason = 'unknown_at_gateway'
            where p.id = v_payment.id
            returning p.* into v_payment;
            perform private.follow_payment(v_payment.id);
            perform private.log_payment_event(
                v_payment, 'failed', jsonb_build_object('reason', v_payment.failure_reason)
            );
        elsif v_payment.status in ('pending', 'processing') then
            -- Money in quarantine comes back to the desk if somebody had only asked again.
            perform private.open_payment_exception(
                kind => case
                    when v_payment.collected_amount is null then 'unknown_outcome'
                    when v_payment.collected_currency <> v_payment.currency
                        then 'currency_mismatch'
                    else 'amount_mismatch'
                end,
                payment_id => v_payment.id,
                detail => record_payment_check.outcome
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
    v_payment public.payments;
    v_swept jsonb := '[]'::jsonb;
begin
    -- A check that was lost (its outbox row died) is asked for anew; too old, it is a person's.
    for v_payment_id in
        select p.id
        from public.payments as p
        where p.status in ('pending', 'processing')
            and p.next_check_at < now() - interval '15 minutes'
        order by p.next_check_at
        limit claim_payment_sweep.batch
    loop
        v_payment := private.lock_payment(v_payment_id);
        -- settled or asked about while this waited for the lock
        continue when v_payment.status not in ('pending', 'processing')
            or v_payment.next_check_at is null
            or v_payment.next_check_at >= now() - interval '15 minutes';
        if exists (
            select from public.payments as p
            where p.id = v_payment_id and p.created_at < now() - interval '25 hours'
        ) then
            perform service.record_payment_check(v_payment_id, 'check_lost');
        else
            update public.payments as p set checks = p.checks + 1 where p.id = v_payment_id;
            perform private.schedule_payment_check(v_payment_id, interval '0');
        end if;
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

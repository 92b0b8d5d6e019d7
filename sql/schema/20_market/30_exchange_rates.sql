create table public.exchange_rates (
    base_currency text not null references public.currencies (code) on delete restrict,
    quote_currency text not null references public.currencies (code) on delete restrict,
    rate numeric(18, 8) not null,
    as_of timestamptz not null,
    source text not null,
    primary key (base_currency, quote_currency, as_of),
    constraint exchange_rates_rate_positive check (rate > 0 and rate <> 'NaN'),
    constraint exchange_rates_pair_differs check (base_currency <> quote_currency)
);

alter table public.exchange_rates enable row level security;

create index exchange_rates_quote_currency_idx on public.exchange_rates (quote_currency);

comment on table public.exchange_rates is
'Units of quote_currency for one of base_currency, as of a moment; the newest row counts.';

create policy select_all on public.exchange_rates for select to anon, authenticated using (true);
comment on policy select_all on public.exchange_rates is 'Public reference data.';
grant select on public.exchange_rates to anon, authenticated, service_role;

create table private.currency_pegs (
    currency text primary key references public.currencies (code) on delete restrict,
    anchor text not null references public.currencies (code) on delete restrict,
    rate numeric(18, 8) not null,
    constraint currency_pegs_rate_positive check (rate > 0),
    constraint currency_pegs_pair_differs check (currency <> anchor)
);

alter table private.currency_pegs enable row level security;

create index currency_pegs_anchor_idx on private.currency_pegs (anchor);

comment on table private.currency_pegs is
'Currencies that are tied to another by law: units of currency for one of anchor. What a source '
'quotes for them is not asked for.';

create table private.refused_exchange_rates (
    id uuid primary key default gen_random_uuid(),
    base_currency text not null references public.currencies (code) on delete restrict,
    quote_currency text not null references public.currencies (code) on delete restrict,
    rate numeric(18, 8) not null,
    last_rate numeric(18, 8),
    reason text not null,
    source text not null,
    observed_at timestamptz not null,
    created_at timestamptz not null default now(),
    accepted_at timestamptz,
    accepted_by uuid references public.users (id) on delete restrict,
    constraint refused_exchange_rates_quoted_key
    unique (base_currency, quote_currency, source, observed_at),
    constraint refused_exchange_rates_reason_is_known
    check (reason in ('jump', 'too_old', 'from_the_future')),
    constraint refused_exchange_rates_accepted_by_somebody
    check ((accepted_at is null) = (accepted_by is null))
);

alter table private.refused_exchange_rates enable row level security;

create index refused_exchange_rates_quote_currency_idx
on private.refused_exchange_rates (quote_currency);
create index refused_exchange_rates_accepted_by_idx
on private.refused_exchange_rates (accepted_by);

comment on table private.refused_exchange_rates is
'Rates that the guards kept out. jump: more than 5 percent away from last_rate for each day since, '
'or from any good rate of the 24 hours before. too_old: quoted more than 72 hours ago. The last '
'good rate stays until an admin accepts, or a source says otherwise.';

create or replace function private.newest_exchange_rate(quote_currency text)
returns public.exchange_rates
language sql
stable
set search_path = ''
as $$
    select r
    from public.exchange_rates as r
    where r.base_currency = 'USD' and r.quote_currency = newest_exchange_rate.quote_currency
    order by r.as_of desc
    limit 1
$$;

create or replace function private.rate_problem(
    rate numeric, observed_at timestamptz, last public.exchange_rates
)
returns text
language sql
stable
set search_path = ''
as $$
    -- A source that nobody asked for three days may have moved by three days' worth; one that is
    -- asked every hour may not move by a day's worth each time. What an admin accepted begins anew.
    select
        case
            when rate_problem.observed_at > now() + interval '12 hours' then 'from_the_future'
            when rate_problem.observed_at < now() - interval '72 hours' then 'too_old'
            when
                abs(rate_problem.rate / (rate_problem.last).rate - 1) > 0.05 * greatest(
                    1,
                    ceil(
                        extract(
                            epoch from least(rate_problem.observed_at, now())
                            - (rate_problem.last).as_of
                        ) / 86400
                    )
                )
                or exists (
                    select
                    from public.exchange_rates as r
                    where r.base_currency = (rate_problem.last).base_currency
                        and r.quote_currency = (rate_problem.last).quote_currency
                        and r.as_of > least(rate_problem.observed_at, now()) - interval '24 hours'
                        and abs(rate_problem.rate / r.rate - 1) > 0.05
                        and not exists (
                            select
                            from private.refused_exchange_rates as f
                            where f.quote_currency = r.quote_currency and f.accepted_at >= r.as_of
                        )
                )
                then 'jump'
        end
$$;

create or replace function private.alert_rates(kind text, quote_currency text, facts jsonb)
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- Once a day and currency: a source is asked four times a day.
    perform private.open_payment_exception(
        kind => alert_rates.kind,
        subject_id => md5(
            alert_rates.kind || alert_rates.quote_currency || current_date::text
        )::uuid,
        currency => alert_rates.quote_currency,
        detail => concat_ws(
            ' ', 'USD', alert_rates.quote_currency, alert_rates.facts ->> 'reason',
            alert_rates.facts ->> 'rate', alert_rates.facts ->> 'source'
        ),
        evidence => alert_rates.facts
    );
end
$$;

create or replace function service.record_exchange_rates(
    rates jsonb, source text, observed_at timestamptz
)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_quote record;
    v_last public.exchange_rates;
    v_problem text;
    -- One of a few hours from now, as a daily sheet may be, would outrank every other until then.
    v_as_of timestamptz := least(record_exchange_rates.observed_at, now());
    v_recorded text [] := '{}'::text [];
    v_refused text [] := '{}'::text [];
begin
    -- Two sources at once are heard one after the other.
    perform pg_advisory_xact_lock(hashtextextended('record_exchange_rates', 0));
    for v_quote in
        select q.code, q.rate
        from (
            select c.code, round(r.value::numeric, 8) as rate
            from jsonb_each_text(record_exchange_rates.rates) as r
            inner join public.currencies as c on r.key = c.code
            where r.key <> 'USD'
                and not exists (select from private.currency_pegs as p where p.currency = r.key)
            union all
            select p.currency, round(r.value::numeric * p.rate, 8)
            from jsonb_each_text(record_exchange_rates.rates) as r
            inner join private.currency_pegs as p on r.key = p.anchor
        ) as q
        -- What is nothing at eight decimals, no number or beyond what can be kept is no rate; the
        -- others of the sheet are.
        where q.rate > 0 and q.rate < 10000000000
        order by q.code
    loop
        v_last := private.newest_exchange_rate(v_quote.code);
        continue when v_last.as_of >= record_exchange_rates.observed_at;
        v_problem := private.rate_problem(
            v_quote.rate, record_exchange_rates.observed_at, v_last
        );
        continue when v_problem is null and v_last.as_of >= v_as_of;
        if v_problem is null then
            insert into public.exchange_rates (base_currency, quote_currency, rate, as_of, source)
            values (
                'USD', v_quote.code, v_quote.rate, v_as_of, record_exchange_rates.source
            );
            v_recorded := v_recorded || v_quote.code;
        else
            insert into private.refused_exchange_rates (
                base_currency, quote_currency, rate, last_rate, reason, source, observed_at
            )
            values (
                'USD', v_quote.code, v_quote.rate, v_last.rate, v_problem,
                record_exchange_rates.source, record_exchange_rates.observed_at
            )
            on conflict on constraint refused_exchange_rates_quoted_key do nothing;
            perform private.alert_rates(
                'exchange_rate_refused', v_quote.code,
                jsonb_build_object(
                    'rate', v_quote.rate, 'last_rate', v_last.rate, 'reason', v_problem,
                    'source', record_exchange_rates.source,
                    'observed_at', record_exchange_rates.observed_at
                )
            );
            v_refused := v_refused || v_quote.code;
        end if;
    end loop;
    return jsonb_build_object(
        'recorded', to_jsonb(v_recorded),
        'refused', to_jsonb(v_refused),
        'adopted', to_jsonb(private.adopt_exchange_rates())
    );
end
$$;

create or replace function service.check_exchange_rates()
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_rate record;
    v_old text [] := '{}'::text [];
begin
    for v_rate in
        select c.code, r.as_of, r.rate, r.source
        from public.currencies as c
        left join lateral private.newest_exchange_rate(c.code) as r on true
        where c.code <> 'USD'
        order by c.code
    loop
        if v_rate.as_of is null or v_rate.as_of < now() - interval '72 hours' then
            perform private.alert_rates(
                'exchange_rate_old', v_rate.code,
                jsonb_build_object(
                    'rate', v_rate.rate, 'source', v_rate.source, 'observed_at', v_rate.as_of
                )
            );
            v_old := v_old || v_rate.code;
        end if;
    end loop;
    return jsonb_build_object('old', to_jsonb(v_old));
end
$$;

create or replace function private.refused_exchange_rates()
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    return coalesce(
        (
            select
                jsonb_agg(
                    jsonb_build_object(
                        'id', f.id,
                        'quote_currency', f.quote_currency,
                        'rate', f.rate,
                        'last_rate', f.last_rate,
                        'reason', f.reason,
                        'source', f.source,
                        'observed_at', f.observed_at,
                        'accepted_at', f.accepted_at
                    )
                    order by f.created_at desc, f.quote_currency
                )
            from (
                select r.*
                from private.refused_exchange_rates as r
                order by r.created_at desc, r.quote_currency
                limit 100
            ) as f
        ), '[]'
    );
end
$$;

create or replace function private.accept_exchange_rate(refusal_id uuid)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_admin_id uuid := private.require_admin();
    v_refused private.refused_exchange_rates;
    v_accepted text [];
begin
    perform pg_advisory_xact_lock(hashtextextended('record_exchange_rates', 0));
    select f.* into v_refused
    from private.refused_exchange_rates as f
    where f.id = accept_exchange_rate.refusal_id;
    if not found then
        perform private.fail('exchange_rate_not_found', accept_exchange_rate.refusal_id::text);
    end if;
    -- An anchor takes the currencies that are tied to it along: they were refused together.
    with sheet as (
        update private.refused_exchange_rates as f
        set accepted_at = now(), accepted_by = v_admin_id
        where f.source = v_refused.source
            and f.observed_at = v_refused.observed_at
            and f.accepted_at is null
            and (
                f.id = v_refused.id
                or exists (
                    select from private.currency_pegs as p
                    where p.currency = f.quote_currency and p.anchor = v_refused.quote_currency
                )
            )
        returning f.*
    ),

    kept as (
        insert into public.exchange_rates (base_currency, quote_currency, rate, as_of, source)
        -- A moment to come would outrank every rate until then: the accepted one counts from now,
        -- or from right after the newest, which may have come while this waited for the lock.
        select
            s.base_currency, s.quote_currency, s.rate,
            least(s.observed_at, greatest(now(), n.as_of + interval '1 microsecond')), s.source
        from sheet as s
        cross join lateral private.newest_exchange_rate(s.quote_currency) as n
        where s.observed_at > coalesce(n.as_of, '-infinity')
        returning quote_currency
    )

    select array_agg(k.quote_currency order by k.quote_currency) into v_accepted from kept as k;
    if v_accepted is null then
        -- Accepted before, or a newer rate was taken meanwhile.
        perform private.fail(
            'exchange_rate_superseded', v_refused.quote_currency || ' ' || v_refused.rate
        );
    end if;
    return jsonb_build_object(
        'accepted', to_jsonb(v_accepted), 'adopted', to_jsonb(private.adopt_exchange_rates())
    );
end
$$;

create or replace function public.refused_exchange_rates()
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    return private.refused_exchange_rates();
end
$$;

create or replace function public.accept_exchange_rate(refusal_id uuid)
returns jsonb
language plpgsql
set search_path = ''
as $$
begin
    return private.accept_exchange_rate(accept_exchange_rate.refusal_id);
end
$$;

revoke all on function private.newest_exchange_rate(text) from public;
revoke all on function private.rate_problem(
    numeric, timestamptz, public.exchange_rates
) from public;
revoke all on function private.alert_rates(text, text, jsonb) from public;
revoke all on function private.refused_exchange_rates() from public;
revoke all on function private.accept_exchange_rate(uuid) from public;
revoke all on function service.record_exchange_rates(jsonb, text, timestamptz) from public;
revoke all on function service.check_exchange_rates() from public;
revoke all on function public.refused_exchange_rates() from public;
revoke all on function public.accept_exchange_rate(uuid) from public;
grant execute on function private.refused_exchange_rates() to authenticated;
grant execute on function private.accept_exchange_rate(uuid) to authenticated;
grant execute on function service.record_exchange_rates(jsonb, text, timestamptz)
to mallgram_service;
grant execute on function service.check_exchange_rates() to mallgram_service;
grant execute on function public.refused_exchange_rates() to authenticated;
grant execute on function public.accept_exchange_rate(uuid) to authenticated;

comment on function private.newest_exchange_rate(text) is
'The newest good rate of a currency against the dollar; a row of nulls when there is none.';
comment on function private.rate_problem(numeric, timestamptz, public.exchange_rates) is
'Why a rate is not taken: jump, too_old, from_the_future; null when it is good.';
comment on function private.alert_rates(text, text, jsonb) is
'Puts a rate before the admins, once a day and currency.';
comment on function service.record_exchange_rates(jsonb, text, timestamptz) is
'Takes a source''s units of each currency for one dollar: {ZAR: 17.12, EUR: 0.8797}. A pegged '
'currency comes from its anchor. A rate more than 5 percent a day away from the good ones, or '
'older than 72 hours, is kept apart and the admins told. {recorded, refused, adopted}: lists of '
'currencies; adopted are those that prices now follow. Definer because rates have no write grant.';
comment on function service.check_exchange_rates() is
'{old}: currencies without a rate of the last 72 hours; the admins are told, the last good rate '
'stays. Definer because the desk is closed to the service.';
comment on function private.refused_exchange_rates() is
'Core of refused_exchange_rates. Definer because the table is closed; admins only.';
comment on function private.accept_exchange_rate(uuid) is
'Core of accept_exchange_rate. Definer because rates have no write grant; admins only.';
comment on function public.refused_exchange_rates() is
'For admins: the last hundred rates that the guards kept out: [{id, quote_currency, rate, '
'last_rate, reason, source, observed_at, accepted_at}]. Errors: authentication_required, '
'admin_required.';
comment on function public.accept_exchange_rate(uuid) is
'For admins: a rate that the guards kept out is right after all; prices follow. {accepted, '
'adopted}. Errors: authentication_required, admin_required, exchange_rate_not_found, '
'exchange_rate_superseded.';

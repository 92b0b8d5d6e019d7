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
returns table (
    promo_code_id uuid, promo_code text, discount numeric, is_percent boolean, problem text
)
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
        r.discount_percent is not null,
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
        perform private.fail('country_unknown', left(check_promo_code.country, 200));
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
'_currency_mismatch, _exhausted, _used_up. A code takes less off an order than it says, down to '
'nothing, where its goods would go below what they may be sold for: the quote says how much. '
'Errors: country_unknown, rate_limit_exceeded.';

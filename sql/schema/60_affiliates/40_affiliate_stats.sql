create table public.affiliate_stats (
    id uuid primary key default gen_random_uuid(),
    promo_code_id uuid not null references public.promo_codes (id) on delete restrict,
    affiliate_id uuid references public.affiliates (id) on delete restrict,
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    discount_amount numeric(12, 2) not null,
    currency text not null references public.currencies (code) on delete restrict,
    created_at timestamptz not null default now(),
    reversed_at timestamptz,
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
comment on column public.affiliate_stats.reversed_at is
'When the order''s money had wholly gone back: the use does not count any more.';
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
comment on column public.affiliate_payouts.payout_amount is
'In currency, as owed when the block closed.';

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
        -- a block that fell short again and was withdrawn is owed anew
        on conflict on constraint affiliate_payouts_block_number_key do update
        set payout_status = 'pending',
            payout_amount = excluded.payout_amount,
            currency = excluded.currency
        where affiliate_payouts.payout_status = 'cancelled';
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

create or replace function private.tg_affiliate_payouts__post_commission()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' or new.payout_status = 'pending' and old.payout_status = 'cancelled' then
        perform private.post_commission(
            'commission', new.id, new.payout_amount, new.currency
        );
    elsif new.payout_status in ('paid', 'cancelled') then
        perform private.post_commission(
            case new.payout_status when 'paid' then 'payout' else 'commission_reversal' end,
            new.id, new.payout_amount, new.currency
        );
    end if;
    return null;
end
$$;

revoke all on function private.tg_affiliate_payouts__post_commission() from public;

comment on function private.tg_affiliate_payouts__post_commission() is
'Trigger: a commission is owed from the moment its block closed, until it is paid or cancelled. '
'Definer because the ledger is closed.';

create trigger affiliate_payouts_80_post_commission
after insert on public.affiliate_payouts
for each row execute function private.tg_affiliate_payouts__post_commission();

create trigger affiliate_payouts_80_post_commission_end
after update of payout_status on public.affiliate_payouts
for each row when (old.payout_status is distinct from new.payout_status)
execute function private.tg_affiliate_payouts__post_commission();

create or replace function private.return_promo_use(order_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_stat public.affiliate_stats;
    v_usage_count integer;
    v_threshold integer;
begin
    update public.affiliate_stats as s
    set reversed_at = now()
    where s.order_id = return_promo_use.order_id and s.reversed_at is null
    returning s.* into v_stat;
    if not found then
        return;
    end if;
    update public.promo_codes as p
    set usage_count = p.usage_count - 1
    where p.id = v_stat.promo_code_id
    returning p.usage_count into strict v_usage_count;
    select a.threshold_uses into v_threshold
    from public.affiliates as a where a.id = v_stat.affiliate_id;
    -- A block that is not full any more and not paid yet is not owed.
    if (v_usage_count + 1) % v_threshold = 0 then
        update public.affiliate_payouts as y
        set payout_status = 'cancelled'
        where y.promo_code_id = v_stat.promo_code_id
            and y.block_number = (v_usage_count + 1) / v_threshold
            and y.payout_status = 'pending';
    end if;
end
$$;

revoke all on function private.return_promo_use(uuid) from public;

comment on function private.return_promo_use(uuid) is
'An order whose money wholly went back used no promo code: its statistic is reversed, and a block '
'that is no longer full is withdrawn unless it was approved. Twice is once.';

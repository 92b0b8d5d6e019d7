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
    constraint affiliates_holds_no_card_number
    check (not private.holds_card_number(concat_ws(' / ', payout_account, note))),
    constraint affiliates_texts_are_one_line
    check (concat(payout_account, note) ~ '^[^[:cntrl:]]*$')
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

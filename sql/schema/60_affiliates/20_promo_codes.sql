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
'Codes of affiliates or admins. A use is reserved when an order is placed and final when it is '
'paid.';
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

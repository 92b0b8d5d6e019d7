create type public.refund_status as enum (
    'pending', 'processing', 'refunded', 'failed', 'cancelled'
);

comment on type public.refund_status is
'pending: asked for, nothing sent (way manual: waits for a person). processing: from pending, '
'sent to the rail, outcome open. refunded: from pending or processing, on the rail''s own word or '
'an admin''s, from failed when that was said too early. failed: from pending or processing, '
'nothing went back. cancelled: from pending. processing goes back to pending when it was surely '
'not taken.';

create table private.refund_transitions (
    from_status public.refund_status not null,
    to_status public.refund_status not null,
    primary key (from_status, to_status)
);

alter table private.refund_transitions enable row level security;

comment on table private.refund_transitions is
'Every allowed move of refunds.status; what is not here is refused.';

create table public.refunds (
    id uuid primary key default gen_random_uuid(),
    payment_id uuid not null references public.payments (id) on delete restrict,
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    gateway text not null references private.payment_gateways (code) on delete restrict,
    way text not null,
    reference text not null default 'rf-' || encode(extensions.gen_random_bytes(12), 'hex'),
    gateway_refund_id text,
    amount numeric(12, 2) not null,
    tax_amount numeric(12, 2) not null default 0,
    currency text not null,
    status public.refund_status not null default 'pending',
    reason text not null,
    failure_reason text,
    requested_by uuid references public.users (id) on delete restrict,
    sent_at timestamptz,
    checks integer not null default 0,
    next_check_at timestamptz,
    refunded_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint refunds_reference_key unique (reference),
    constraint refunds_gateway_refund_id_key unique (gateway, gateway_refund_id),
    constraint refunds_way_is_known check (way in ('gateway', 'payout', 'manual')),
    constraint refunds_amount_positive check (amount > 0),
    constraint refunds_tax_fits check (tax_amount >= 0 and tax_amount <= amount),
    constraint refunds_currency_is_iso_4217 check (currency ~ '^[A-Z]{3}$'),
    constraint refunds_reason_is_one_line 
    check (reason ~ '^[^[:cntrl:]]+$' and char_length(reason) <= 300),
    constraint refunds_failure_reason_is_one_line check (failure_reason ~ '^[^[:cntrl:]]*$'),
    constraint refunds_refunded_has_time check ((status = 'refunded') = (refunded_at is not null)),
    constraint refunds_processing_was_sent check (status <> 'processing' or sent_at is not null),
    constraint refunds_manual_is_not_sent check (way <> 'manual' or sent_at is null),
    constraint refunds_holds_no_card_number
    check (not private.holds_card_number(concat_ws(' / ', reason, failure_reason)))
);

alter table public.refunds enable row level security;

create index refunds_payment_id_idx on public.refunds (payment_id);
create index refunds_order_id_idx on public.refunds (order_id);
create index refunds_user_id_idx on public.refunds (user_id);
create index refunds_requested_by_idx on public.refunds (requested_by);
create index refunds_next_check_at_idx on public.refunds (next_check_at)
where next_check_at is not null;

create trigger refunds_10_update_updated_at
before update on public.refunds
for each row execute function public.update_updated_at_column();

comment on table public.refunds is
'Money given back, one row a transfer; a new try after a failure is a new row.';
comment on column public.refunds.gateway is
'The rail it goes by: the payment''s own gateway, or the one that pays out.';
comment on column public.refunds.way is
'gateway: the gateway''s own refund. payout: a transfer to the account that paid. manual: by hand '
'in the gateway''s portal.';
comment on column public.refunds.amount is 'In currency, tax included.';
comment on column public.refunds.tax_amount is 'Value-added tax contained in amount.';
comment on column public.refunds.requested_by is
'Who asked, an admin or the shopper; null = the shop.';

create policy select_own_or_admin on public.refunds
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.refunds is
'A person sees the refunds of their own orders, an admin all.';

grant select (
    id, payment_id, order_id, user_id, way, amount, tax_amount, currency, status, reason,
    refunded_at, created_at, updated_at
) on public.refunds to authenticated;
grant select on public.refunds to service_role;

create table public.refund_items (
    refund_id uuid not null references public.refunds (id) on delete restrict,
    order_item_id uuid not null references public.order_items (id) on delete restrict,
    quantity integer not null,
    amount numeric(12, 2) not null,
    tax_amount numeric(12, 2) not null,
    currency text not null references public.currencies (code) on delete restrict,
    primary key (refund_id, order_item_id),
    constraint refund_items_quantity_positive check (quantity > 0),
    constraint refund_items_amount_not_negative check (amount >= 0),
    constraint refund_items_tax_fits check (tax_amount >= 0 and tax_amount <= amount)
);

alter table public.refund_items enable row level security;

create index refund_items_order_item_id_idx on public.refund_items (order_item_id);
create index refund_items_currency_idx on public.refund_items (currency);

comment on table public.refund_items is
'The pieces of an order''s lines that a refund pays for.';
comment on column public.refund_items.amount is
'In currency: the pieces'' price less their share of the discount, with their share '
'of shipping and duty.';

create policy select_own_or_admin on public.refund_items
for select to authenticated
using (
    refund_id in (select r.id from public.refunds as r where r.user_id = (select auth.uid()))
    or (select private.is_admin())
);

comment on policy select_own_or_admin on public.refund_items is
'A person sees the lines of their own refunds, an admin all.';

grant select on public.refund_items to authenticated, service_role;

create or replace function private.tg_refunds__check_transition()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        if new.status <> 'pending' then
            perform private.fail('refund_transition_refused', new.status::text);
        end if;
        return new;
    end if;
    if new.status is distinct from old.status and not exists (
        select from private.refund_transitions as t
        where t.from_status = old.status and t.to_status = new.status
    ) then
        perform private.fail('refund_transition_refused', old.status || ' -> ' || new.status);
    end if;
    return new;
end
$$;

revoke all on function private.tg_refunds__check_transition() from public;

comment on function private.tg_refunds__check_transition() is
'Trigger: a refund starts pending and moves along private.refund_transitions only. Definer because '
'that table is closed. Error: refund_transition_refused.';

create trigger refunds_50_check_transition
before insert or update of status on public.refunds
for each row execute function private.tg_refunds__check_transition();

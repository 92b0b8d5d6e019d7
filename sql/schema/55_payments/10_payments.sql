create table public.payments (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    gateway text not null references private.payment_gateways (code) on delete restrict,
    method text not null references public.payment_methods (code) on delete restrict,
    reference text not null,
    gateway_transaction_id text,
    gateway_session text,
    payer_account text,
    save_method boolean not null default false,
    charges_saved_method boolean not null default false,
    saved_payment_method_id uuid references public.saved_payment_methods (id) on delete set null,
    amount numeric(12, 2) not null,
    currency text not null references public.currencies (code) on delete restrict,
    collected_amount numeric(12, 2),
    collected_currency text,
    refunded_amount numeric(12, 2) not null default 0,
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
    constraint payments_gateway_session_key unique (gateway, gateway_session),
    constraint payments_amount_positive check (amount > 0),
    constraint payments_collected_is_whole
    check (num_nonnulls(collected_amount, collected_currency) in (0, 2)),
    constraint payments_collected_positive check (collected_amount > 0),
    constraint payments_collected_currency_is_iso_4217 check (collected_currency ~ '^[A-Z]{3}$'),
    constraint payments_fee_not_negative check (fee_amount >= 0),
    constraint payments_refunded_fits
    check (
        refunded_amount >= 0
        and (refunded_amount = 0 or paid_at is not null)
        and refunded_amount <= coalesce(collected_amount, amount)
    ),
    constraint payments_refunded_has_status
    check (
        (status = 'refunded')
        = (refunded_amount > 0 and refunded_amount = coalesce(collected_amount, amount))
        and (status = 'partially_refunded')
        = (refunded_amount > 0 and refunded_amount < coalesce(collected_amount, amount))
    ),
    constraint payments_payer_account_is_e164 check (payer_account ~ '^\+[1-9][0-9]{6,14}$'),
    constraint payments_holds_no_card_number check (not private.holds_card_number(failure_reason)),
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
create index payments_saved_payment_method_id_idx on public.payments (saved_payment_method_id)
where saved_payment_method_id is not null;
create index payments_next_check_at_idx on public.payments (next_check_at)
where next_check_at is not null;

create trigger payments_10_update_updated_at
before update on public.payments
for each row execute function public.update_updated_at_column();

comment on table public.payments is
'Attempts to pay an order, one row each; at most one wins it.';
comment on column public.payments.reference is
'Our name for the attempt at the gateway: stored before the gateway is asked.';
comment on column public.payments.gateway_session is
'The gateway''s name for the attempt before money moved, where it is needed to ask.';
comment on column public.payments.payer_account is
'The handset that was asked to pay (E.164): where money can go back to.';
comment on column public.payments.save_method is
'Whether the payer asked that the gateway keep the method for the next time.';
comment on column public.payments.charges_saved_method is
'Whether a saved method is charged without the payer''s doing: such an attempt is never replaced '
'before it ended.';
comment on column public.payments.collected_amount is
'What the gateway says it collected, in collected_currency; another sum than amount stands in '
'private.payment_exceptions.';
comment on column public.payments.refunded_amount is
'Given back so far, in collected_currency: the sum of its refunds that went through.';
comment on column public.payments.fee_amount is
'What the gateway kept, in collected_currency.';
comment on column public.payments.is_winner is
'This attempt paid the order. Money of another attempt, or after the order was cancelled, is paid '
'without winning and stands in private.payment_exceptions.';
comment on column public.payments.action is
'What the payer does next, as initialize answered it: {action: redirect | form | push, …}.';
comment on column public.payments.superseded_at is
'When a newer attempt of the same method and gateway took its place: its page expired, or its '
'start '
'was never heard of again. It is still polled until it ends.';
comment on column public.payments.evidence_at is
'When the gateway''s own answer was last applied.';
comment on column public.payments.next_check_at is
'When the gateway is asked next; null = settled.';

create policy select_own_or_admin on public.payments
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.payments is
'A person sees the payments of their own orders, an admin all.';

grant select (
    id, order_id, user_id, gateway, method, reference, amount, currency, status, action,
    failure_reason, refunded_amount, expires_at, paid_at, created_at, updated_at
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

-- Double entry: every move of money is a transaction whose entries sum to zero in each currency.
-- It is posted in the database transaction that causes it, and never changed.

create table private.ledger_accounts (
    code text primary key,
    kind text not null,
    name text not null,
    name_fr text not null,
    constraint ledger_accounts_code_is_snake_case check (code ~ '^[a-z][a-z_]{2,40}$'),
    constraint ledger_accounts_kind_is_known
    check (kind in ('asset', 'liability', 'income', 'expense'))
);

alter table private.ledger_accounts enable row level security;

comment on table private.ledger_accounts is 'The chart of accounts.';

create table private.ledger_transactions (
    id uuid primary key default gen_random_uuid(),
    kind text not null,
    subject_id uuid not null,
    part integer not null default 1,
    order_id uuid references public.orders (id) on delete restrict,
    payment_id uuid references public.payments (id) on delete restrict,
    refund_id uuid references public.refunds (id) on delete restrict,
    request_id text,
    created_at timestamptz not null default now(),
    constraint ledger_transactions_subject_id_key unique (kind, subject_id, part),
    constraint ledger_transactions_kind_is_known
    check (
        kind in (
            'receipt', 'sale', 'fee', 'refund', 'commission', 'commission_reversal', 'payout',
            'settlement'
        )
    )
);

alter table private.ledger_transactions enable row level security;

create index ledger_transactions_order_id_idx on private.ledger_transactions (order_id);
create index ledger_transactions_payment_id_idx on private.ledger_transactions (payment_id);
create index ledger_transactions_refund_id_idx on private.ledger_transactions (refund_id)
where refund_id is not null;
create index ledger_transactions_created_at_idx on private.ledger_transactions (created_at);

comment on table private.ledger_transactions is
'One move of money. receipt: a gateway collected. sale: the receipt became an order''s price. fee: '
'the gateway kept its share. refund: money went back. commission, commission_reversal, payout: an '
'affiliate''s. settlement: the gateway paid out to the bank.';
comment on column private.ledger_transactions.subject_id is
'The order, payment, refund, payout or statement line it stems from; with kind and part unique, '
'so that the same cause posts once.';

create table private.ledger_entries (
    id bigint generated always as identity primary key,
    transaction_id uuid not null
    references private.ledger_transactions (id) on delete restrict,
    account text not null references private.ledger_accounts (code) on delete restrict,
    gateway text references private.payment_gateways (code) on delete restrict,
    currency text not null,
    amount numeric(14, 2) not null,
    constraint ledger_entries_amount_not_zero check (amount <> 0),
    constraint ledger_entries_currency_is_iso_4217 check (currency ~ '^[A-Z]{3}$')
);

alter table private.ledger_entries enable row level security;

create index ledger_entries_transaction_id_idx on private.ledger_entries (transaction_id);
create index ledger_entries_account_idx on private.ledger_entries (account, currency);
create index ledger_entries_gateway_idx on private.ledger_entries (gateway);

comment on table private.ledger_entries is
'Lines of ledger transactions: amount in currency, debit positive, credit negative.';
comment on column private.ledger_entries.gateway is
'For gateway_receivable: who holds the money.';

comment on sequence private.ledger_entries_id_seq is
'Numbers entries in the order in which they are posted; gaps are normal.';

create trigger ledger_transactions_50_refuse_change
before update or delete on private.ledger_transactions
for each row execute function private.tg__refuse_change();

create trigger ledger_transactions_50_refuse_truncate
before truncate on private.ledger_transactions
for each statement execute function private.tg__refuse_change();

create trigger ledger_entries_50_refuse_change
before update or delete on private.ledger_entries
for each row execute function private.tg__refuse_change();

create trigger ledger_entries_50_refuse_truncate
before truncate on private.ledger_entries
for each statement execute function private.tg__refuse_change();

create or replace function private.check_balance(transaction_id uuid)
returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    v_entries bigint := 0;
    v_balance record;
begin
    for v_balance in
        select e.currency, sum(e.amount) as amount, count(*) as entries
        from private.ledger_entries as e
        where e.transaction_id = check_balance.transaction_id
        group by e.currency
    loop
        v_entries := v_entries + v_balance.entries;
        if v_balance.amount <> 0 then
            perform private.fail(
                'ledger_unbalanced', v_balance.amount || ' ' || v_balance.currency
            );
        end if;
    end loop;
    if v_entries < 2 then
        perform private.fail('ledger_unbalanced', 'a transaction without entries');
    end if;
end
$$;

create or replace function private.tg_ledger_transactions__check_balance()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.check_balance(new.id);
    return null;
end
$$;

create or replace function private.tg_ledger_entries__check_balance()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.check_balance(new.transaction_id);
    return null;
end
$$;

revoke all on function private.check_balance(uuid) from public;
revoke all on function private.tg_ledger_transactions__check_balance() from public;
revoke all on function private.tg_ledger_entries__check_balance() from public;

comment on function private.check_balance(uuid) is
'The entries of a transaction sum to zero in each currency, and there are some. Error: '
'ledger_unbalanced.';
comment on function private.tg_ledger_transactions__check_balance() is
'Trigger: at commit, see check_balance. Definer because it runs at commit as whoever commits, and '
'the ledger is closed. Error: ledger_unbalanced.';
comment on function private.tg_ledger_entries__check_balance() is
'Trigger: at commit, see check_balance. Definer because it runs at commit as whoever commits, and '
'the ledger is closed. Error: ledger_unbalanced.';

create constraint trigger ledger_transactions_60_check_balance
after insert on private.ledger_transactions
deferrable initially deferred
for each row execute function private.tg_ledger_transactions__check_balance();

create constraint trigger ledger_entries_60_check_balance
after insert on private.ledger_entries
deferrable initially deferred
for each row execute function private.tg_ledger_entries__check_balance();

create table public.payment_methods (
    code text primary key,
    name text not null,
    name_fr text not null,
    constraint payment_methods_code_is_snake_case check (code ~ '^[a-z][a-z_]{2,30}$')
);

alter table public.payment_methods enable row level security;

comment on table public.payment_methods is 'Ways a shopper can pay.';

create policy select_all on public.payment_methods for select to anon, authenticated using (true);
comment on policy select_all on public.payment_methods is 'Public reference data.';
grant select on public.payment_methods to anon, authenticated, service_role;

create table private.payment_gateways (
    code text primary key,
    name text not null,
    refund_way text not null,
    payout_gateway text references private.payment_gateways (code) on delete restrict,
    payout_institution text,
    takes_twice boolean not null default false,
    time_zone text not null default 'UTC',
    statement_columns jsonb not null default '{}',
    constraint payment_gateways_code_is_snake_case check (code ~ '^[a-z][a-z_]{1,30}$'),
    constraint payment_gateways_refund_way_is_known
    check (refund_way in ('gateway', 'payout', 'manual')),
    constraint payment_gateways_payout_is_whole
    check (num_nonnulls(payout_gateway, payout_institution) in (0, 2)),
    constraint payment_gateways_refund_way_is_possible
    check (refund_way <> 'payout' or payout_gateway is not null),
    constraint payment_gateways_statement_columns_are_object
    check (jsonb_typeof(statement_columns) = 'object')
);

alter table private.payment_gateways enable row level security;

create index payment_gateways_payout_gateway_idx on private.payment_gateways (payout_gateway);

comment on table private.payment_gateways is
'What the shop knows of a payment gateway beside its adapter.';
comment on column private.payment_gateways.refund_way is
'How money goes back. gateway: its own refund. payout: a transfer to the account that paid. '
'manual: by hand in the gateway''s portal.';
comment on column private.payment_gateways.payout_gateway is
'The rail that pays out to accounts of this gateway''s payers (payout_institution names their '
'operator there), also where the gateway refuses a refund as unsupported.';
comment on column private.payment_gateways.takes_twice is
'Whether one attempt can be paid twice there: a second transaction is then other money.';
comment on column private.payment_gateways.time_zone is
'Of times in its statements that name no zone.';
comment on column private.payment_gateways.statement_columns is
'Our name to the column''s name in the gateway''s statement; a name that is missing is our own: '
'kind, reference, transaction_id, gross, fee, net, currency, occurred_at, settled_amount, '
'settled_currency.';

create table public.payment_routes (
    country text not null references public.countries (code) on delete restrict,
    method text not null references public.payment_methods (code) on delete restrict,
    gateway text not null references private.payment_gateways (code) on delete restrict,
    priority smallint not null,
    needs_phone boolean not null default false,
    is_enabled boolean not null default true,
    primary key (country, method, gateway),
    constraint payment_routes_priority_key unique (country, priority)
);

alter table public.payment_routes enable row level security;

create index payment_routes_method_idx on public.payment_routes (method);
create index payment_routes_gateway_idx on public.payment_routes (gateway);

comment on table public.payment_routes is
'Which gateway takes which method in which country, tried by rising priority.';
comment on column public.payment_routes.needs_phone is
'Whether the payer''s number is needed before the payment starts (push to the handset).';

create policy select_all on public.payment_routes for select to anon, authenticated using (true);
comment on policy select_all on public.payment_routes is 'Public reference data.';
grant select on public.payment_routes to anon, authenticated, service_role;

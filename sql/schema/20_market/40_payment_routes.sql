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

create table public.payment_routes (
    country text not null references public.countries (code) on delete restrict,
    method text not null references public.payment_methods (code) on delete restrict,
    gateway text not null,
    priority smallint not null,
    needs_phone boolean not null default false,
    is_enabled boolean not null default true,
    primary key (country, method, gateway),
    constraint payment_routes_priority_key unique (country, priority),
    constraint payment_routes_gateway_is_snake_case check (gateway ~ '^[a-z][a-z_]{1,30}$')
);

alter table public.payment_routes enable row level security;

create index payment_routes_method_idx on public.payment_routes (method);

comment on table public.payment_routes is
'Which gateway takes which method in which country, tried by rising priority.';
comment on column public.payment_routes.needs_phone is
'Whether the payer''s number is needed before the payment starts (push to the handset).';

create policy select_all on public.payment_routes for select to anon, authenticated using (true);
comment on policy select_all on public.payment_routes is 'Public reference data.';
grant select on public.payment_routes to anon, authenticated, service_role;

create table public.suppliers (
    id uuid primary key default gen_random_uuid(),
    platform text not null,
    external_id text not null,
    name text not null,
    seller_rating numeric(3, 2),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint suppliers_platform_external_id_key unique (platform, external_id),
    constraint suppliers_platform_is_known check (platform in ('alibaba', 'aliexpress')),
    constraint suppliers_seller_rating_is_stars check (seller_rating between 0 and 5)
);

alter table public.suppliers enable row level security;

create trigger suppliers_10_update_updated_at
before update on public.suppliers
for each row execute function public.update_updated_at_column();

comment on table public.suppliers is 'Sellers on Alibaba and AliExpress that goods come from.';

create policy select_admin on public.suppliers
for select to authenticated
using ((select private.is_admin()));

comment on policy select_admin on public.suppliers is
'Names and ratings of suppliers are the shop''s own business: admins only.';

grant select on public.suppliers to authenticated;
grant select, insert, update, delete on public.suppliers to service_role;

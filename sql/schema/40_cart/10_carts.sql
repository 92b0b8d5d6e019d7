create table public.carts (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint carts_user_id_key unique (user_id)
);

alter table public.carts enable row level security;

create trigger carts_10_update_updated_at
before update on public.carts
for each row execute function public.update_updated_at_column();

comment on table public.carts is 'One cart a person. Written by the cart RPCs.';

create policy select_own on public.carts
for select to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.carts is 'A person sees their own cart.';

grant select on public.carts to authenticated, service_role;

create table public.cart_items (
    cart_id uuid not null references public.carts (id) on delete cascade,
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    variant_id uuid references public.product_variants (id) on delete cascade,
    line_id uuid not null generated always as (
        coalesce(variant_id, product_id, retailer_product_id)
    ) stored,
    user_id uuid not null default auth.uid() references public.users (id) on delete cascade,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    channel public.product_channel not null generated always as (
        case
            when product_id is not null then 'retail'::public.product_channel
            else 'wholesale'::public.product_channel
        end
    ) stored,
    quantity integer not null,
    seen_unit_price numeric(12, 2),
    seen_currency text references public.currencies (code) on delete restrict,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (cart_id, line_id),
    constraint cart_items_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint cart_items_quantity_in_range check (quantity between 1 and 10000),
    constraint cart_items_seen_price_has_currency
    check (num_nonnulls(seen_unit_price, seen_currency) in (0, 2))
);

alter table public.cart_items enable row level security;

create index cart_items_user_id_idx on public.cart_items (user_id);
create index cart_items_product_id_idx on public.cart_items (product_id);
create index cart_items_retailer_product_id_idx on public.cart_items (retailer_product_id);
create index cart_items_variant_id_idx on public.cart_items (variant_id)
where variant_id is not null;
create index cart_items_seen_currency_idx on public.cart_items (seen_currency);

create trigger cart_items_10_update_updated_at
before update on public.cart_items
for each row execute function public.update_updated_at_column();

comment on table public.cart_items is
'Lines of carts. Prices are read anew at each look; seen_unit_price is the one last quoted.';
comment on column public.cart_items.listing_id is
'product_id or retailer_product_id, whichever is filled.';
comment on column public.cart_items.variant_id is
'Which of the product''s variants; null where it has none, or whichever costs the listed price.';
comment on column public.cart_items.line_id is
'variant_id, else listing_id: one line a product and variant.';

create policy select_own on public.cart_items
for select to authenticated
using (user_id = (select auth.uid()));

comment on policy select_own on public.cart_items is 'A person sees the lines of their own cart.';

grant select on public.cart_items to authenticated, service_role;

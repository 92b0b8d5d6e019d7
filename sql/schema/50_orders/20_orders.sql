create sequence private.order_numbers as bigint start with 100001;

comment on sequence private.order_numbers is 'Counts orders for people; gaps are normal.';

create table public.orders (
    id uuid primary key default gen_random_uuid(),
    order_number text not null default 'MG-' || nextval('private.order_numbers'::regclass),
    user_id uuid not null references public.users (id) on delete restrict,
    status public.order_status not null default 'pending',
    payment_status public.payment_status not null default 'pending',
    country text not null references public.countries (code) on delete restrict,
    currency text not null references public.currencies (code) on delete restrict,
    language text not null,
    subtotal_price numeric(12, 2) not null,
    discount_amount numeric(12, 2) not null default 0,
    shipping_amount numeric(12, 2) not null default 0,
    duty_amount numeric(12, 2) not null default 0,
    tax_amount numeric(12, 2) not null default 0,
    shipping_tax_amount numeric(12, 2) not null default 0,
    total_price numeric(12, 2) not null,
    promo_code_id uuid,
    promo_code text,
    shipping_address jsonb not null,
    exchange_rate numeric(18, 8),
    exchange_rate_source text,
    exchange_rate_at timestamptz,
    tracking_number text,
    expires_at timestamptz,
    cancel_reason text,
    paid_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint orders_order_number_key unique (order_number),
    constraint orders_language_is_known check (language in ('en', 'fr')),
    constraint orders_amounts_not_negative
    check (
        subtotal_price > 0 and discount_amount >= 0 and shipping_amount >= 0 and duty_amount >= 0
        and tax_amount >= shipping_tax_amount and shipping_tax_amount >= 0
    ),
    constraint orders_total_positive check (total_price > 0),
    constraint orders_total_adds_up
    check (total_price = subtotal_price - discount_amount + shipping_amount + duty_amount),
    constraint orders_promo_code_is_whole check (num_nonnulls(promo_code_id, promo_code) in (0, 2)),
    constraint orders_discount_has_promo_code
    check (discount_amount = 0 or promo_code_id is not null),
    constraint orders_exchange_rate_is_whole
    check (num_nonnulls(exchange_rate, exchange_rate_source, exchange_rate_at) in (0, 3)),
    constraint orders_exchange_rate_positive check (exchange_rate > 0 and exchange_rate <> 'NaN'),
    constraint orders_shipping_address_is_object check (jsonb_typeof(shipping_address) = 'object'),
    constraint orders_cancel_reason_is_one_line
    check (cancel_reason ~ '^[^[:cntrl:]]*$' and char_length(cancel_reason) <= 300),
    constraint orders_holds_no_card_number
    check (not private.holds_card_number(concat_ws(' / ', shipping_address::text, cancel_reason))),
    constraint orders_pending_has_expiry check (status <> 'pending' or expires_at is not null),
    constraint orders_paid_has_time
    check (status not in ('paid', 'shipped', 'delivered') or paid_at is not null),
    constraint orders_shipped_has_time
    check (status not in ('shipped', 'delivered') or shipped_at is not null),
    constraint orders_delivered_has_time check (status <> 'delivered' or delivered_at is not null),
    constraint orders_cancelled_has_time_and_reason
    check ((status = 'cancelled') = (cancelled_at is not null and cancel_reason is not null))
)
with (fillfactor = 85);

alter table public.orders enable row level security;

create index orders_user_id_created_at_idx on public.orders (user_id, created_at desc, id desc);
create index orders_expires_at_pending_idx on public.orders (expires_at) where status = 'pending';
create index orders_promo_code_id_user_id_idx on public.orders (promo_code_id, user_id)
where promo_code_id is not null;
create index orders_country_idx on public.orders (country);
create index orders_currency_idx on public.orders (currency);

create trigger orders_10_update_updated_at
before update on public.orders
for each row execute function public.update_updated_at_column();

comment on table public.orders is
'Orders. Placed first, paid after; every amount is in currency, tax included.';
comment on column public.orders.tax_amount is
'Value-added tax contained in total_price; the sum of the lines'' tax and shipping_tax_amount.';
comment on column public.orders.expires_at is
'Until when a pending order holds its stock and its promo use.';
comment on column public.orders.shipping_address is 'Copy of the address as it was when ordered.';
comment on column public.orders.exchange_rate is
'Units of currency that new prices reckoned for one dollar when it was placed; kept, whatever the '
'rate does after.';
comment on column public.orders.exchange_rate_at is 'When the source quoted that rate.';
comment on column public.orders.promo_code is 'The code as it was written when ordered.';

create table public.order_items (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    line_number smallint not null,
    product_id uuid references public.products (id) on delete restrict,
    retailer_product_id uuid references public.products_retailer (id) on delete restrict,
    variant_id uuid references public.product_variants (id) on delete restrict,
    channel public.product_channel not null generated always as (
        case
            when product_id is not null then 'retail'::public.product_channel
            else 'wholesale'::public.product_channel
        end
    ) stored,
    name text not null,
    name_fr text,
    quantity integer not null,
    unit_price numeric(12, 2) not null,
    subtotal numeric(12, 2) generated always as (quantity * unit_price) stored,
    discount_amount numeric(12, 2) not null default 0,
    tax_amount numeric(12, 2) not null default 0,
    currency text not null references public.currencies (code) on delete restrict,
    constraint order_items_line_number_key unique (order_id, line_number),
    constraint order_items_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint order_items_quantity_positive check (quantity > 0),
    constraint order_items_unit_price_positive check (unit_price > 0),
    constraint order_items_discount_fits
    check (discount_amount >= 0 and discount_amount <= quantity * unit_price),
    constraint order_items_tax_not_negative check (tax_amount >= 0)
);

alter table public.order_items enable row level security;

create index order_items_user_id_idx on public.order_items (user_id);
create index order_items_product_id_idx on public.order_items (product_id)
where product_id is not null;
create index order_items_retailer_product_id_idx on public.order_items (retailer_product_id)
where retailer_product_id is not null;
create index order_items_variant_id_idx on public.order_items (variant_id)
where variant_id is not null;
create index order_items_currency_idx on public.order_items (currency);

comment on table public.order_items is
'Lines of orders, as they were charged: names (a variant''s with what was chosen) and prices are '
'copies, never look-ups.';
comment on column public.order_items.discount_amount is
'The line''s share of the order''s discount; the shares sum to orders.discount_amount.';
comment on column public.order_items.tax_amount is
'Tax contained in subtotal less discount_amount; the lines'' tax and orders.shipping_tax_amount '
'sum to orders.tax_amount.';

create table public.order_events (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null references public.orders (id) on delete restrict,
    user_id uuid not null references public.users (id) on delete restrict,
    kind text not null,
    from_status public.order_status,
    to_status public.order_status,
    actor_type text not null,
    actor_id uuid,
    note text,
    created_at timestamptz not null default now(),
    constraint order_events_kind_is_snake_case check (kind ~ '^[a-z][a-z_]{2,40}$'),
    constraint order_events_actor_type_is_known
    check (actor_type in ('user', 'admin', 'gateway', 'system')),
    constraint order_events_person_has_id
    check (actor_type not in ('user', 'admin') or actor_id is not null)
);

alter table public.order_events enable row level security;

create index order_events_order_id_created_at_idx on public.order_events (order_id, created_at);
create index order_events_user_id_idx on public.order_events (user_id);

comment on table public.order_events is
'What happened to an order, when, by whom; append-only.';
comment on column public.order_events.user_id is
'The order''s owner, who may read the row; actor_id is who did it.';

create policy select_own_or_admin on public.orders
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

create policy select_own_or_admin on public.order_items
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

create policy select_own_or_admin on public.order_events
for select to authenticated
using (user_id = (select auth.uid()) or (select private.is_admin()));

comment on policy select_own_or_admin on public.orders is
'A person sees their own orders, an admin all.';
comment on policy select_own_or_admin on public.order_items is
'A person sees the lines of their own orders, an admin all.';
comment on policy select_own_or_admin on public.order_events is
'A person sees what happened to their own orders, an admin all.';

grant select on public.orders to authenticated, service_role;
grant select on public.order_items to authenticated, service_role;
grant select on public.order_events to authenticated, service_role;

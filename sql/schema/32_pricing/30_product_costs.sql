-- What goods cost the shop. Nobody outside ever sees it, nor what would tell it.

create table private.product_costs (
    listing_id uuid primary key generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    cost numeric(12, 2) not null,
    currency text not null references public.currencies (code) on delete restrict,
    duty_percent numeric(5, 2),
    parcel_cm3 integer,
    updated_at timestamptz not null default now(),
    constraint product_costs_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_costs_cost_positive check (cost > 0),
    constraint product_costs_duty_is_percent check (duty_percent between 0 and 500),
    constraint product_costs_parcel_cm3_positive check (parcel_cm3 > 0)
);

alter table private.product_costs enable row level security;

create index product_costs_product_id_idx on private.product_costs (product_id);
create index product_costs_retailer_product_id_idx
on private.product_costs (retailer_product_id);
create index product_costs_currency_idx on private.product_costs (currency);

create trigger product_costs_10_update_updated_at
before update on private.product_costs
for each row execute function public.update_updated_at_column();

comment on table private.product_costs is
'What the supplier asks for one piece of the cheapest variant, at the least quantity.';
comment on column private.product_costs.duty_percent is
'Known from the customs code; null = the rule''s.';
comment on column private.product_costs.parcel_cm3 is
'What a piece takes up packed, in cubic centimetres; null = not known.';

create table private.product_freights (
    listing_id uuid not null references private.product_costs (listing_id) on delete cascade,
    country text not null references public.countries (code) on delete restrict,
    is_served boolean not null,
    fee numeric(12, 2),
    currency text references public.currencies (code) on delete restrict,
    min_days smallint,
    max_days smallint,
    updated_at timestamptz not null default now(),
    primary key (listing_id, country),
    constraint product_freights_fee_not_negative check (fee >= 0),
    constraint product_freights_fee_has_currency
    check (num_nonnulls(fee, currency) in (0, 2)),
    constraint product_freights_unserved_has_no_fee check (is_served or fee is null),
    constraint product_freights_days_are_ordered
    check (min_days >= 0 and max_days >= min_days)
);

alter table private.product_freights enable row level security;

create index product_freights_country_idx on private.product_freights (country);
create index product_freights_currency_idx on private.product_freights (currency);

create trigger product_freights_10_update_updated_at
before update on private.product_freights
for each row execute function public.update_updated_at_column();

comment on table private.product_freights is
'What the supplier asks to send one piece to a country. Without a row it is not known, and a rule '
'estimates it.';
comment on column private.product_freights.is_served is
'False: nothing is sent there, so nothing is sold there.';

-- Sizes, colours and sets of a product, as its supplier sells them. A product without a choice has
-- none of these rows.

create table public.product_variants (
    id uuid primary key default gen_random_uuid(),
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    listing_id uuid not null generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    external_id text not null,
    position smallint not null default 0,
    options jsonb not null default '[]',
    options_fr jsonb,
    price_ratio numeric(8, 4) not null default 1,
    on_hand integer,
    reserved integer not null default 0,
    media_id uuid references public.product_media (id) on delete set null,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint product_variants_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint product_variants_external_id_key unique (listing_id, external_id),
    constraint product_variants_external_id_is_one_line
    check (external_id ~ '^[^[:cntrl:]]+$' and char_length(external_id) <= 200),
    constraint product_variants_position_not_negative check (position >= 0),
    constraint product_variants_options_are_named_values
    check (
        jsonb_typeof(options) = 'array'
        and not options @? '$[10]'
        and not options @? 'strict $[*] ? (@.type() != "object")'
        and not options @? '$[*] ? (
            !(@.name.type() == "string" && @.value.type() == "string")
        )'
        and not options @? '$[*].* ? (@ like_regex "[[:cntrl:]]")'
        and octet_length(options::text) <= 4000
    ),
    constraint product_variants_options_fr_match_options
    check (
        case jsonb_typeof(options_fr)
            when 'array' then
                jsonb_array_length(options_fr) = jsonb_array_length(options)
                and not options_fr @? 'strict $[*] ? (@.type() != "object")'
                and not options_fr @? '$[*] ? (
                    !(@.name.type() == "string" && @.value.type() == "string")
                )'
                and not options_fr @? '$[*].* ? (@ like_regex "[[:cntrl:]]")'
                and octet_length(options_fr::text) <= 4000
            else options_fr is null
        end
    ),
    constraint product_variants_price_ratio_in_range check (price_ratio between 1 and 1000),
    constraint product_variants_on_hand_not_negative check (on_hand >= 0),
    constraint product_variants_reserved_not_negative check (reserved >= 0)
)
with (fillfactor = 80);

alter table public.product_variants enable row level security;

create index product_variants_product_id_idx on public.product_variants (product_id);
create index product_variants_retailer_product_id_idx
on public.product_variants (retailer_product_id);
create index product_variants_media_id_idx on public.product_variants (media_id);

create trigger product_variants_10_update_updated_at
before update on public.product_variants
for each row execute function public.update_updated_at_column();

create or replace function private.tg_product_variants__note_catalogue_change()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.note_catalogue_change();
    return null;
end
$$;

revoke all on function private.tg_product_variants__note_catalogue_change() from public;

comment on function private.tg_product_variants__note_catalogue_change() is
'Trigger: a page shows a variant differently. Definer because the version is closed to whoever '
'changes variants.';

create trigger product_variants_90_note_insert
after insert on public.product_variants
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

-- Orders count pieces all the time, which no cached page follows.
create trigger product_variants_90_note_update
after update of options, options_fr, price_ratio, position, media_id, is_active
on public.product_variants
for each row
when (
    (new.options, new.options_fr, new.price_ratio, new.position, new.media_id, new.is_active)
    is distinct from
    (old.options, old.options_fr, old.price_ratio, old.position, old.media_id, old.is_active)
)
execute function private.tg_product_variants__note_catalogue_change();

create trigger product_variants_90_note_delete
after delete on public.product_variants
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

comment on table public.product_variants is
'Variants of a product as its supplier gives them: options, price and pieces of each.';
comment on column public.product_variants.external_id is 'The supplier''s id of the variant.';
comment on column public.product_variants.options is
'[{name, value}] in the supplier''s order, e.g. Colour Red, Size 42; in English.';
comment on column public.product_variants.options_fr is
'The same in French; null where nobody translated them.';
comment on column public.product_variants.price_ratio is
'Its price by the listing''s, from 1: the listing''s price is that of its cheapest variant.';
comment on column public.product_variants.on_hand is
'Pieces that the supplier has of it; null where it does not say.';
comment on column public.product_variants.reserved is 'Pieces that unpaid orders hold of it.';
comment on column public.product_variants.is_active is
'False once the supplier no longer has it; the row stays for what points at it.';

create policy select_listed_or_admin on public.product_variants
for select to anon, authenticated
using (
    (
        is_active
        and (
            exists (select from public.products as p where p.id = product_id)
            or exists (select from public.products_retailer as r where r.id = retailer_product_id)
        )
    )
    or (select private.is_admin())
);

comment on policy select_listed_or_admin on public.product_variants is
'What there is to choose is public, of the goods that the reader sees; an admin sees what is gone '
'as well.';

grant select (
    id, product_id, retailer_product_id, listing_id, position, options, options_fr, price_ratio,
    on_hand, reserved, media_id, is_active, created_at, updated_at
) on public.product_variants to anon, authenticated;
grant select, insert, update, delete on public.product_variants to service_role;

create table private.product_variant_sources (
    variant_id uuid primary key references public.product_variants (id) on delete cascade,
    attributes text not null default '',
    cost numeric(12, 2),
    bulk_cost numeric(12, 2),
    bulk_quantity integer,
    currency text references public.currencies (code) on delete restrict,
    image_url text,
    constraint product_variant_sources_cost_has_currency
    check (cost is null or currency is not null),
    constraint product_variant_sources_costs_positive check (cost > 0 and bulk_cost > 0),
    constraint product_variant_sources_bulk_is_whole
    check (num_nonnulls(bulk_cost, bulk_quantity) in (0, 2) and bulk_quantity > 0)
);

alter table private.product_variant_sources enable row level security;

create index product_variant_sources_currency_idx on private.product_variant_sources (currency);

comment on table private.product_variant_sources is
'What the shop alone knows of a variant: its cost, and how it is ordered at the supplier.';
comment on column private.product_variant_sources.attributes is
'The choice as the supplier writes it (AliExpress: sku_attr), sent when it is ordered there.';
comment on column private.product_variant_sources.bulk_cost is
'Cost of a piece from bulk_quantity pieces on, in currency.';

create or replace function private.options_label(options jsonb)
returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
    return (
        select nullif(left(string_agg(o.option ->> 'value', ', ' order by o.place), 120), '')
        from jsonb_array_elements(options_label.options) with ordinality as o (option, place)
    );
end
$$;

revoke all on function private.options_label(jsonb) from public;

comment on function private.options_label(jsonb) is
'The values of options as a line of an order names them: Red, 42. At most 120 characters; null '
'where there are none.';

create or replace function private.variant_amount(
    amount numeric, price_ratio numeric, currency text
)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
begin
    -- A listed price ends as prices do: only a dearer variant's is rounded again, upwards, so that
    -- it is never under its share of the floor.
    if variant_amount.price_ratio is null or variant_amount.price_ratio = 1 then
        return variant_amount.amount;
    end if;
    -- Dearer than a price can be, numeric(12, 2), it is not for sale.
    return (
        select r.amount
        from private.round_price(
            variant_amount.amount * variant_amount.price_ratio, variant_amount.currency
        ) as r (amount)
        where r.amount < 10000000000
    );
end
$$;

revoke all on function private.variant_amount(numeric, numeric, text) from public;

comment on function private.variant_amount(numeric, numeric, text) is
'What a variant is listed at where its product is listed at amount; without a ratio the amount.';

-- Which of our products is which good of a supplier, how often it was missed, and what a person
-- has changed by hand, which no sync changes back.

create table private.supplier_listings (
    listing_id uuid primary key generated always as (
        coalesce(product_id, retailer_product_id)
    ) stored,
    product_id uuid references public.products (id) on delete cascade,
    retailer_product_id uuid references public.products_retailer (id) on delete cascade,
    platform text not null references private.sync_sources (platform) on delete restrict,
    external_id text not null,
    absences smallint not null default 0,
    missed_at timestamptz,
    silences smallint not null default 0,
    delisted_at timestamptz,
    delist_reason text,
    held_columns text [] not null default '{}',
    french_at timestamptz,
    created_at timestamptz not null default now(),
    constraint supplier_listings_points_at_one_product
    check (num_nonnulls(product_id, retailer_product_id) = 1),
    constraint supplier_listings_external_id_key unique (platform, external_id),
    constraint supplier_listings_absences_not_negative check (absences >= 0 and silences >= 0),
    constraint supplier_listings_delisted_has_reason
    check ((delisted_at is null) = (delist_reason is null)),
    constraint supplier_listings_held_columns_are_known
    check (
        held_columns <@ array[
            'category_id', 'description', 'description_fr', 'is_active', 'max_order_quantity',
            'min_order_quantity', 'name', 'name_fr', 'order_increment', 'price_mallgram',
            'price_tiers', 'review_count', 'seller_rating', 'supplier_id', 'weight_grams'
        ]
    )
);

alter table private.supplier_listings enable row level security;

create index supplier_listings_product_id_idx on private.supplier_listings (product_id);
create index supplier_listings_retailer_product_id_idx
on private.supplier_listings (retailer_product_id);
create index supplier_listings_absences_idx on private.supplier_listings (platform)
where absences > 0;

comment on table private.supplier_listings is
'The good of a supplier that a product is, one row a product that a sync made or adopted.';
comment on column private.supplier_listings.absences is
'Runs in a row that did not find it on sale or good enough; sync_sources.absence_limit of them '
'take it off the shelf.';
comment on column private.supplier_listings.missed_at is 'When the last absence was counted.';
comment on column private.supplier_listings.silences is
'Runs in a row in which nobody answered for it.';
comment on column private.supplier_listings.delisted_at is
'When the sync took it off; found again, the sync puts it back.';
comment on column private.supplier_listings.held_columns is
'Columns that a person has changed, and price_tiers for the wholesale breaks: the sync leaves them '
'alone. Pieces are never held: they are what the supplier counts.';
comment on column private.supplier_listings.french_at is
'When the supplier''s French description was last asked for.';

create table private.supplier_refused (
    platform text not null references private.sync_sources (platform) on delete cascade,
    external_id text not null,
    removed_at timestamptz not null default now(),
    primary key (platform, external_id)
);

alter table private.supplier_refused enable row level security;

comment on table private.supplier_refused is
'Goods whose product a person has deleted: no sync brings them back.';

create or replace function private.tg_supplier_listings__refuse_removed()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if coalesce(current_setting('mallgram.sync_run_id', true), '') = '' then
        insert into private.supplier_refused (platform, external_id)
        select r.platform, r.external_id from removed as r
        on conflict on constraint supplier_refused_pkey do nothing;
        -- A run that has found one of them, under whichever of its ids, leaves it out as well.
        update private.sync_items as i
        set reason = 'removed_by_hand', reasons = array['removed_by_hand'] || i.reasons
        from removed as d
        inner join private.sync_runs as r on d.platform = r.platform
        where r.status in ('collecting', 'waiting', 'applying')
            and i.run_id = r.id
            and i.listing_id = d.listing_id
            and i.reason is null;
    end if;
    return null;
end
$$;

revoke all on function private.tg_supplier_listings__refuse_removed() from public;

comment on function private.tg_supplier_listings__refuse_removed() is
'Trigger: a good whose product a person deletes stays away. Definer because what is refused is '
'closed to everyone.';

create trigger supplier_listings_90_refuse_removed
after delete on private.supplier_listings
referencing old table as removed
for each statement execute function private.tg_supplier_listings__refuse_removed();

create or replace function private.hold_columns(listing_ids uuid [], columns text [])
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform
    from private.supplier_listings as l
    where l.listing_id = any(hold_columns.listing_ids)
    order by l.listing_id
    for no key update;
    update private.supplier_listings as l
    set held_columns = array(
        select distinct h.column_name
        from unnest(l.held_columns || string_to_array(c.column_names, ',')) as h (column_name)
        order by h.column_name
    )
    from unnest(hold_columns.listing_ids, hold_columns.columns) as c (listing_id, column_names)
    where l.listing_id = c.listing_id
        and not l.held_columns @> string_to_array(c.column_names, ',');
end
$$;

create or replace function private.tg_products__hold_columns()
returns trigger
language plpgsql
security definer
set search_path = ''
-- Two transition tables have no statistics, and the plan of the first change serves all others.
set enable_nestloop = 'off'
as $$
declare
    v_ids uuid [];
    v_columns text [];
begin
    -- The sync's own changes are nobody's.
    if coalesce(current_setting('mallgram.sync_run_id', true), '') <> '' then
        return null;
    end if;
    select array_agg(h.id), array_agg(h.column_names)
    into v_ids, v_columns
    from (
        select
            n.id,
            concat_ws(
                ',',
                case when n.category_id is distinct from o.category_id then 'category_id' end,
                case when n.description is distinct from o.description then 'description' end,
                case
                    when n.description_fr is distinct from o.description_fr then 'description_fr'
                end,
                case when n.is_active is distinct from o.is_active then 'is_active' end,
                case
                    when n.max_order_quantity is distinct from o.max_order_quantity
                        then 'max_order_quantity'
                end,
                case when n.name is distinct from o.name then 'name' end,
                case when n.name_fr is distinct from o.name_fr then 'name_fr' end,
                case
                    when n.price_mallgram is distinct from o.price_mallgram then 'price_mallgram'
                end,
                case when n.review_count is distinct from o.review_count then 'review_count' end,
                case
                    when n.seller_rating is distinct from o.seller_rating then 'seller_rating'
                end,
                case when n.supplier_id is distinct from o.supplier_id then 'supplier_id' end,
                case when n.weight_grams is distinct from o.weight_grams then 'weight_grams' end
            ) as column_names
        from changed as n
        inner join replaced as o on n.id = o.id
    ) as h
    where h.column_names <> '';
    perform private.hold_columns(v_ids, v_columns);
    return null;
end
$$;

create or replace function private.tg_products_retailer__hold_columns()
returns trigger
language plpgsql
security definer
set search_path = ''
-- Two transition tables have no statistics, and the plan of the first change serves all others.
set enable_nestloop = 'off'
as $$
declare
    v_ids uuid [];
    v_columns text [];
begin
    if coalesce(current_setting('mallgram.sync_run_id', true), '') <> '' then
        return null;
    end if;
    select array_agg(h.id), array_agg(h.column_names)
    into v_ids, v_columns
    from (
        select
            n.id,
            concat_ws(
                ',',
                case
                    when n.min_order_quantity is distinct from o.min_order_quantity
                        then 'min_order_quantity'
                end,
                case
                    when n.order_increment is distinct from o.order_increment
                        then 'order_increment'
                end
            ) as column_names
        from changed as n
        inner join replaced as o on n.id = o.id
    ) as h
    where h.column_names <> '';
    perform private.hold_columns(v_ids, v_columns);
    return null;
end
$$;

create or replace function private.tg_price_tiers__hold()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if coalesce(current_setting('mallgram.sync_run_id', true), '') = '' then
        perform private.hold_columns(
            array[coalesce(new.retailer_product_id, old.retailer_product_id)], array['price_tiers']
        );
    end if;
    return new;
end
$$;

create trigger products_70_hold_columns
after update on public.products
referencing old table as replaced new table as changed
for each statement execute function private.tg_products__hold_columns();

create trigger products_retailer_70_hold_columns
after update on public.products_retailer
referencing old table as replaced new table as changed
for each statement execute function private.tg_products__hold_columns();

create trigger products_retailer_71_hold_quantities
after update on public.products_retailer
referencing old table as replaced new table as changed
for each statement execute function private.tg_products_retailer__hold_columns();

-- A new break waits for the sync before it is in its way, not after.
create trigger price_tiers_60_hold_new
before insert on public.price_tiers
for each row execute function private.tg_price_tiers__hold();

create trigger price_tiers_70_hold
after update or delete on public.price_tiers
for each row execute function private.tg_price_tiers__hold();

revoke all on function private.tg_price_tiers__hold() from public;
revoke all on function private.hold_columns(uuid [], text []) from public;
revoke all on function private.tg_products__hold_columns() from public;
revoke all on function private.tg_products_retailer__hold_columns() from public;

comment on function private.hold_columns(uuid [], text []) is
'Adds columns, named with commas between, to those held by hand of each product.';
comment on function private.tg_products__hold_columns() is
'Trigger: what a person changes of a supplier''s product stays as they left it. Definer because '
'the links are closed to everyone.';
comment on function private.tg_products_retailer__hold_columns() is
'Trigger: the same for the quantities that wholesale alone has. Definer because the links are '
'closed to everyone.';
comment on function private.tg_price_tiers__hold() is
'Trigger: wholesale breaks that a person has written stay. Definer because the links are closed to '
'everyone.';

-- Where the sync puts down what suppliers say, as it comes: COPY, the one table right of the
-- service. Nobody reads it but the functions that take it in.

-- Row level security stays off: COPY refuses a table that has it. No role has a right but INSERT.
create table private.staged_products (
    id bigint generated always as identity primary key,
    run_id uuid not null references private.sync_runs (id) on delete cascade,
    external_id text not null,
    aliases text [] not null default '{}',
    title text not null,
    description text not null default '',
    description_fr text,
    category_path text [] not null default '{}',
    category_name text,
    status text not null,
    rating numeric,
    review_count integer,
    order_count integer,
    price numeric,
    currency text not null,
    stock integer,
    image_urls text [] not null default '{}',
    variants jsonb not null default '[]',
    tiers jsonb not null default '[]',
    freight jsonb not null default '[]',
    weight_grams integer,
    seller_external_id text,
    seller_name text,
    seller_rating numeric,
    min_order_quantity integer not null default 1,
    order_increment integer not null default 1,
    constraint staged_products_status_is_known check (status in ('selling', 'gone')),
    constraint staged_products_lists_are_arrays
    check (
        jsonb_typeof(variants) = 'array'
        and jsonb_typeof(tiers) = 'array'
        and jsonb_typeof(freight) = 'array'
    )
)
with (autovacuum_vacuum_scale_factor = 0.05);

create index staged_products_run_id_external_id_idx
on private.staged_products (run_id, external_id);

comment on table private.staged_products is
'Goods of a run as the supplier describes them, written by COPY. Null is not known, never zero.';
comment on column private.staged_products.aliases is
'Other ids of the same thing on the platform.';
comment on column private.staged_products.category_path is
'The supplier''s categories from the root to the leaf.';
comment on column private.staged_products.price is
'Of one piece of the cheapest variant, at the least quantity.';
comment on column private.staged_products.variants is
'[{external_id, attributes, options: [{name, value}], price, bulk_price, bulk_quantity, stock, '
'image_url}].';
comment on column private.staged_products.tiers is '[{min_quantity, max_quantity, price}].';
comment on column private.staged_products.freight is
'[{country, fee, currency, min_days, max_days, code}], fee null when nothing is sent there.';

comment on sequence private.staged_products_id_seq is 'Order in which rows were staged.';

create or replace function private.tg_staged_products__refuse_late()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- The foreign key has locked the run's row: whoever decides it waits for this statement, or has
    -- ended before it.
    if exists (
        select from staged as s
        inner join private.sync_runs as r on s.run_id = r.id
        where r.status <> 'collecting' or r.judged_through is not null
    ) then
        perform private.fail('sync_transition_refused', 'staged');
    end if;
    return null;
end
$$;

revoke all on function private.tg_staged_products__refuse_late() from public;

comment on function private.tg_staged_products__refuse_late() is
'Trigger: what a slice that was thought dead stages after the decision is refused. Definer because '
'the runs are closed to the service. Error: sync_transition_refused.';

create trigger staged_products_90_refuse_late
after insert on private.staged_products
referencing new table as staged
for each statement execute function private.tg_staged_products__refuse_late();

grant usage on schema private to mallgram_service;
grant insert on private.staged_products to mallgram_service;

-- Tens of thousands of rows in one statement, and what is read from here meets its references in
-- product_freights: none are checked here.
create table private.supplier_freight (
    platform text not null,
    external_id text not null,
    country text not null,
    fee numeric(12, 2),
    currency text not null,
    min_days smallint,
    max_days smallint,
    asked_at timestamptz not null default now(),
    primary key (platform, external_id, country),
    constraint supplier_freight_fee_not_negative check (fee >= 0)
);

alter table private.supplier_freight enable row level security;

comment on table private.supplier_freight is
'What the cheapest way to a country costs for one piece (wholesale: the least quantity); asked '
'anew after sync_sources.freight_age.';
comment on column private.supplier_freight.fee is 'Null: nothing is sent there.';

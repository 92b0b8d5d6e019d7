-- What of a batch is not in the shop as the supplier has it: nothing here writes or locks. What
-- reads a stretch of goods is planned anew for it; the statements that write what was found are
-- not, for the checks of foreign keys are planned like the statement that makes them, once a row.

create type private.sync_batch as (
    run_id uuid,
    platform text,
    channel public.product_channel,
    after text,
    upto text
);

comment on type private.sync_batch is
'A stretch of a run''s goods, by external id: after the one, up to and with the other.';

create or replace function private.unknown_stock(platform text)
returns integer
language sql
stable
set search_path = ''
as $$
    select nullif(s.unknown_stock, 0)
    from private.sync_sources as s
    where s.platform = unknown_stock.platform
$$;

revoke all on function private.unknown_stock(text) from public;

comment on function private.unknown_stock(text) is
'Pieces of a good of which the platform does not tell them; null: nothing is assumed, and what was '
'known before stays, for unknown is not zero.';

create or replace function private.base_margins(batch private.sync_batch)
returns table (category_id uuid, costs numrange, percent numeric, dollars numeric)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_category_ids uuid [] := array(
        select distinct i.category_id
        from private.sync_items as i
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    );
begin
    -- As private.base_price has it for one: the highest margin of any country. Between two
    -- neighbouring edges nothing changes, so each cost is in one band.
    return query
    with candidate as materialized (
        select c.category_id, c.costs, c.percent, c.dollars, c.place
        from private.price_candidates(
            array_fill(batch.channel, array[cardinality(v_category_ids)]), v_category_ids, null
        ) as c
        where c.component = 'margin'
    ),

    edge as (
        select e.category_id, e.cost
        from candidate as c
        cross join lateral (
            values (c.category_id, coalesce(lower(c.costs), 0)), (c.category_id, upper(c.costs))
        ) as e (category_id, cost)
        where e.cost is not null
        union
        select c.category_id, 0 from candidate as c
    ),

    winner as (
        select distinct on (e.category_id, e.cost) e.category_id, e.cost, c.percent, c.dollars
        from edge as e
        inner join candidate as c on e.category_id = c.category_id and c.costs @> e.cost
        order by e.category_id, e.cost, c.percent desc, c.place
    )

    select
        e.category_id,
        numrange(e.cost, lead(e.cost) over (partition by e.category_id order by e.cost)),
        w.percent, w.dollars
    from edge as e
    left join winner as w on e.category_id = w.category_id and e.cost = w.cost;
end
$$;

revoke all on function private.base_margins(private.sync_batch) from public;

comment on function private.base_margins(private.sync_batch) is
'The margin of the base price by category and cost in dollars, for the categories of a batch; '
'bands do not overlap.';

create or replace function private.moved_products(batch private.sync_batch)
returns table (listing_id uuid, supplier_id uuid)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    return query
    select p.id, u.id
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    inner join private.supplier_listings as l on i.listing_id = l.listing_id
    inner join (
        select r.id, r.supplier_id from public.products as r
        union all
        select w.id, w.supplier_id from public.products_retailer as w
    ) as p on i.listing_id = p.id
    -- A seller that is not told is not another one.
    inner join public.suppliers as u
        on u.platform = batch.platform and s.seller_external_id = u.external_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and p.supplier_id is distinct from u.id
        and not 'supplier_id' = any(l.held_columns);
end
$$;

revoke all on function private.moved_products(private.sync_batch) from public;

comment on function private.moved_products(private.sync_batch) is
'Goods of a batch that another seller has now, unless a person has said whose they are.';

create or replace function private.changed_products(batch private.sync_batch)
returns table (
    listing_id uuid,
    external_id text,
    supplier_id uuid,
    category_id uuid,
    name text,
    name_fr text,
    description text,
    description_fr text,
    price_mallgram numeric,
    seller_rating numeric,
    review_count integer,
    weight_grams integer,
    is_active boolean
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    -- What stands on the shelf already and would not differ is left out before the upsert: even to
    -- look at a row through "on conflict" locks it, and a lock is written down.
    return query
    with margin as materialized (
        select b.category_id, b.costs, b.percent, b.dollars
        from private.base_margins(batch) as b
    ),

    wanted as (
        select
            i.listing_id, i.external_id, u.id as supplier_id,
            case
                when 'category_id' = any(l.held_columns) then p.category_id else i.category_id
            end as category_id,
            case when 'name' = any(l.held_columns) then p.name else s.title end as name,
            case
                when 'name_fr' = any(l.held_columns) then p.name_fr
                else coalesce(i.title_fr, p.name_fr)
            end as name_fr,
            case
                when 'description' = any(l.held_columns) then p.description else s.description
            end as description,
            case
                when 'description_fr' = any(l.held_columns) then p.description_fr
                else coalesce(s.description_fr, p.description_fr)
            end as description_fr,
            case
                when 'price_mallgram' = any(l.held_columns) then p.price_mallgram
                when (c.cost, c.currency)
                    is not distinct from (s.price::numeric(12, 2), s.currency)
                    and p.category_id = i.category_id then p.price_mallgram
                -- greatest() leaves out what is null: without a rate there is no price, not a cent.
                when d.per_dollar is null or num_nonnulls(m.percent, m.dollars) = 0
                    then p.price_mallgram
                else greatest(
                    ceil(
                        100 * greatest(
                            s.price / d.per_dollar * (1 + m.percent / 100),
                            s.price / d.per_dollar + m.dollars
                        )
                    ) / 100,
                    0.01
                )
            end as price_mallgram,
            case
                when 'seller_rating' = any(l.held_columns) then p.seller_rating
                else coalesce(s.rating, s.seller_rating, p.seller_rating)::numeric(3, 2)
            end as seller_rating,
            case
                when 'review_count' = any(l.held_columns) then p.review_count
                else coalesce(s.review_count, p.review_count, 0)
            end as review_count,
            case
                when 'weight_grams' = any(l.held_columns) then p.weight_grams
                else coalesce(s.weight_grams, p.weight_grams)
            end as weight_grams,
            case
                when 'is_active' = any(l.held_columns) then p.is_active
                else p.id is null or l.listing_id is not null or p.is_active
            end as is_active,
            p.id as old_id, p.category_id as old_category_id, p.name as old_name,
            p.name_fr as old_name_fr, p.description as old_description,
            p.description_fr as old_description_fr, p.price_mallgram as old_price,
            p.seller_rating as old_rating, p.review_count as old_reviews,
            p.weight_grams as old_weight, p.is_active as old_is_active
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        left join public.suppliers as u
            on u.platform = batch.platform and s.seller_external_id = u.external_id
        left join public.products as p on i.listing_id = p.id
        left join private.supplier_listings as l on i.listing_id = l.listing_id
        left join private.product_costs as c on i.listing_id = c.listing_id
        left join private.pricing_rates as d on s.currency = d.currency
        left join margin as m
            on i.category_id = m.category_id and m.costs @> (s.price / d.per_dollar)
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    )

    select
        w.listing_id, w.external_id, w.supplier_id, w.category_id, w.name, w.name_fr,
        w.description, w.description_fr, w.price_mallgram, w.seller_rating, w.review_count,
        w.weight_grams, w.is_active
    from wanted as w
    where w.price_mallgram is not null
        and (
            -- What a person has deleted since the run was decided stays away.
            w.old_id is null and not exists (
                select from private.supplier_refused as r
                where r.platform = batch.platform and r.external_id = w.external_id
            )
            or w.old_id is not null and (
                w.category_id, w.name, w.name_fr, w.description, w.description_fr,
                w.price_mallgram, w.seller_rating, w.review_count, w.weight_grams, w.is_active
            ) is distinct from (
                w.old_category_id, w.old_name, w.old_name_fr, w.old_description,
                w.old_description_fr, w.old_price, w.old_rating, w.old_reviews, w.old_weight,
                w.old_is_active
            )
        )
    order by w.listing_id;
end
$$;

revoke all on function private.changed_products(private.sync_batch) from public;

comment on function private.changed_products(private.sync_batch) is
'Goods of a batch that are not in products as the supplier has them, but for the columns that are '
'held by hand; without a price of any kind they are left out.';

create or replace function private.changed_wholesale_products(batch private.sync_batch)
returns table (
    listing_id uuid,
    external_id text,
    supplier_id uuid,
    category_id uuid,
    name text,
    name_fr text,
    description text,
    description_fr text,
    price_mallgram numeric,
    seller_rating numeric,
    review_count integer,
    min_order_quantity integer,
    order_increment integer,
    max_order_quantity integer,
    bulk_min_quantity integer,
    weight_grams integer,
    is_active boolean
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    return query
    with margin as materialized (
        select b.category_id, b.costs, b.percent, b.dollars
        from private.base_margins(batch) as b
    ),

    wanted as (
        select
            i.listing_id, i.external_id, u.id as supplier_id,
            case
                when 'category_id' = any(l.held_columns) then p.category_id else i.category_id
            end as category_id,
            case when 'name' = any(l.held_columns) then p.name else s.title end as name,
            case
                when 'name_fr' = any(l.held_columns) then p.name_fr
                else coalesce(i.title_fr, p.name_fr)
            end as name_fr,
            case
                when 'description' = any(l.held_columns) then p.description else s.description
            end as description,
            case
                when 'description_fr' = any(l.held_columns) then p.description_fr
                else coalesce(s.description_fr, p.description_fr)
            end as description_fr,
            case
                when 'price_mallgram' = any(l.held_columns) then p.price_mallgram
                when (c.cost, c.currency)
                    is not distinct from (s.price::numeric(12, 2), s.currency)
                    and p.category_id = i.category_id then p.price_mallgram
                -- greatest() leaves out what is null: without a rate there is no price, not a cent.
                when d.per_dollar is null or num_nonnulls(m.percent, m.dollars) = 0
                    then p.price_mallgram
                else greatest(
                    ceil(
                        100 * greatest(
                            s.price / d.per_dollar * (1 + m.percent / 100),
                            s.price / d.per_dollar + m.dollars
                        )
                    ) / 100,
                    0.01
                )
            end as price_mallgram,
            case
                when 'seller_rating' = any(l.held_columns) then p.seller_rating
                else coalesce(s.rating, s.seller_rating, p.seller_rating)::numeric(3, 2)
            end as seller_rating,
            case
                when 'review_count' = any(l.held_columns) then p.review_count
                else coalesce(s.review_count, p.review_count, 0)
            end as review_count,
            -- The shop sells no more than 10,000 pieces of one thing at once.
            case
                when 'min_order_quantity' = any(l.held_columns) then p.min_order_quantity
                else least(greatest(s.min_order_quantity, 2), 10000)
            end as min_order_quantity,
            case
                when 'order_increment' = any(l.held_columns) then p.order_increment
                else greatest(s.order_increment, 1)
            end as order_increment,
            case
                when 'weight_grams' = any(l.held_columns) then p.weight_grams
                else coalesce(s.weight_grams, p.weight_grams)
            end as weight_grams,
            case
                when 'is_active' = any(l.held_columns) then p.is_active
                else p.id is null or l.listing_id is not null or p.is_active
            end as is_active,
            p.id as old_id, p.category_id as old_category_id, p.name as old_name,
            p.name_fr as old_name_fr, p.description as old_description,
            p.description_fr as old_description_fr, p.price_mallgram as old_price,
            p.seller_rating as old_rating, p.review_count as old_reviews,
            p.min_order_quantity as old_minimum, p.order_increment as old_increment,
            p.weight_grams as old_weight, p.is_active as old_is_active,
            coalesce(p.max_order_quantity, 10000) as max_order_quantity,
            p.bulk_min_quantity as old_bulk_minimum
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        left join public.suppliers as u
            on u.platform = batch.platform and s.seller_external_id = u.external_id
        left join public.products_retailer as p on i.listing_id = p.id
        left join private.supplier_listings as l on i.listing_id = l.listing_id
        left join private.product_costs as c on i.listing_id = c.listing_id
        left join private.pricing_rates as d on s.currency = d.currency
        left join margin as m
            on i.category_id = m.category_id and m.costs @> (s.price / d.per_dollar)
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    )

    select
        w.listing_id, w.external_id, w.supplier_id, w.category_id, w.name, w.name_fr,
        w.description, w.description_fr, w.price_mallgram, w.seller_rating, w.review_count,
        w.min_order_quantity, w.order_increment,
        greatest(w.max_order_quantity, w.min_order_quantity),
        greatest(coalesce(w.old_bulk_minimum, 100), w.min_order_quantity + 1),
        w.weight_grams, w.is_active
    from wanted as w
    where w.price_mallgram is not null
        and (
            -- What a person has deleted since the run was decided stays away.
            w.old_id is null and not exists (
                select from private.supplier_refused as r
                where r.platform = batch.platform and r.external_id = w.external_id
            )
            or w.old_id is not null and (
                w.category_id, w.name, w.name_fr, w.description, w.description_fr,
                w.price_mallgram, w.seller_rating, w.review_count, w.min_order_quantity,
                w.order_increment, w.weight_grams, w.is_active
            ) is distinct from (
                w.old_category_id, w.old_name, w.old_name_fr, w.old_description,
                w.old_description_fr, w.old_price, w.old_rating, w.old_reviews,
                w.old_minimum, w.old_increment, w.old_weight, w.old_is_active
            )
        )
    order by w.listing_id;
end
$$;

revoke all on function private.changed_wholesale_products(private.sync_batch) from public;

comment on function private.changed_wholesale_products(private.sync_batch) is
'As changed_products, beside products_retailer.';

create or replace function private.new_links(batch private.sync_batch)
returns table (
    product_id uuid,
    retailer_product_id uuid,
    external_id text,
    held_columns text [],
    french_at timestamptz
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    return query
    select
        case when batch.channel = 'retail' then i.listing_id end,
        case when batch.channel = 'wholesale' then i.listing_id end,
        i.external_id,
        -- A product put in by hand and off sale stays off sale.
        case when coalesce(p.is_active, r.is_active) then '{}' else array['is_active'] end,
        case when s.description_fr is not null then now() end
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    left join public.products as p on batch.channel = 'retail' and i.listing_id = p.id
    left join public.products_retailer as r
        on batch.channel = 'wholesale' and i.listing_id = r.id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and num_nonnulls(p.id, r.id) = 1
        and not exists (
            select from private.supplier_listings as l where l.listing_id = i.listing_id
        );
end
$$;

revoke all on function private.new_links(private.sync_batch) from public;

comment on function private.new_links(private.sync_batch) is
'Goods of a batch whose products are not linked to them yet.';

create or replace function private.changed_stock(batch private.sync_batch)
returns table (listing_id uuid, product_id uuid, retailer_product_id uuid, pieces integer)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_unknown integer := private.unknown_stock(batch.platform);
begin
    return query
    with told as (
        select
            l.listing_id, l.product_id, l.retailer_product_id, o.on_hand, o.reserved,
            coalesce(s.stock, v_unknown) as stock
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        inner join private.supplier_listings as l on i.listing_id = l.listing_id
        left join public.product_stock as o on i.listing_id = o.listing_id
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    )

    select t.listing_id, t.product_id, t.retailer_product_id, n.pieces
    from told as t
    -- Paid for here and still on the supplier's shelf: counted there, and sold all the same.
    cross join lateral (
        select
            coalesce(
                case
                    when t.stock is not null
                        then greatest(t.stock - coalesce(sum(c.quantity)::integer, 0), 0)
                end,
                t.on_hand, 0
            ) as pieces
        from public.order_items as c
        inner join public.orders as d on c.order_id = d.id
        where (c.product_id = t.product_id or c.retailer_product_id = t.retailer_product_id)
            and d.status = 'paid'
    ) as n
    where t.on_hand is distinct from greatest(n.pieces, t.reserved)
    order by t.listing_id;
end
$$;

revoke all on function private.changed_stock(private.sync_batch) from public;

comment on function private.changed_stock(private.sync_batch) is
'Listings of a batch of which the supplier, less those that are paid and not shipped, has another '
'number of pieces than the shop; what the supplier does not say stays as it is.';

create or replace function private.changed_variants(batch private.sync_batch)
returns table (
    listing_id uuid,
    product_id uuid,
    retailer_product_id uuid,
    variant_id uuid,
    external_id text,
    place smallint,
    options jsonb,
    price_ratio numeric,
    on_hand integer,
    is_gone boolean
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    return query
    with told as (
        select
            i.listing_id, l.product_id, l.retailer_product_id, r.external_id, r.stock,
            (r.place - 1)::smallint as place,
            coalesce(r.options, '[]') as options,
            -- Rounded up: a variant is never cheaper beside its cost than the listing.
            least(greatest(ceil(r.price / s.price * 10000) / 10000, 1), 1000)::numeric(8, 4)
                as price_ratio
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        inner join private.supplier_listings as l on i.listing_id = l.listing_id
        cross join lateral rows from (
            jsonb_to_recordset(s.variants) as (
                external_id text, options jsonb, price numeric, stock integer
            )
        ) with ordinality as r (external_id, options, price, stock, place)
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
            -- What has no price, or more than a thousand times the listed one, is not sold beside
            -- it.
            and r.price <= 1000 * s.price
    ),

    kept as (
        select
            o.id, o.listing_id, o.product_id, o.retailer_product_id, o.external_id, o.position,
            o.options, o.price_ratio, o.on_hand, o.is_active
        from private.sync_items as i
        inner join public.product_variants as o on i.listing_id = o.listing_id
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    )

    -- A full join is hashed or merged, whatever the planner believes: tens of thousands on either
    -- side are never compared each with each.
    select
        coalesce(t.listing_id, o.listing_id), coalesce(t.product_id, o.product_id),
        coalesce(t.retailer_product_id, o.retailer_product_id), o.id,
        coalesce(t.external_id, o.external_id), t.place, t.options, t.price_ratio, n.on_hand,
        t.external_id is null
    from told as t
    full join kept as o on t.listing_id = o.listing_id and t.external_id = o.external_id
    cross join lateral (
        select t.stock - least(coalesce(sum(c.quantity)::integer, 0), t.stock) as on_hand
        from public.order_items as c
        inner join public.orders as d on c.order_id = d.id
        where c.variant_id = o.id and d.status = 'paid'
    ) as n
    where case
        when t.external_id is null then o.is_active
        else o.id is null
            or (o.position, o.options, o.price_ratio, o.on_hand, o.is_active)
            is distinct from (t.place, t.options, t.price_ratio, n.on_hand, true)
    end;
end
$$;

revoke all on function private.changed_variants(private.sync_batch) from public;

comment on function private.changed_variants(private.sync_batch) is
'Variants of a batch that are not in the shop as the supplier has them, their pieces less those in '
'orders that are paid and not shipped; is_gone: on sale here and no longer there.';

create or replace function private.changed_variant_sources(batch private.sync_batch)
returns table (
    variant_id uuid,
    attributes text,
    cost numeric,
    bulk_cost numeric,
    bulk_quantity integer,
    currency text,
    image_url text
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    -- Read from the JSON once a good, before anything is joined to it.
    return query
    with told as materialized (
        select
            i.listing_id, w.external_id, coalesce(w.attributes, '') as attributes, w.price,
            w.bulk_price, w.bulk_quantity, s.currency, w.image_url
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        cross join lateral jsonb_to_recordset(s.variants) as w (
            external_id text, attributes text, price numeric(12, 2), bulk_price numeric(12, 2),
            bulk_quantity integer, image_url text
        )
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
    )

    select
        v.id, t.attributes, t.price, t.bulk_price, t.bulk_quantity, t.currency, t.image_url
    from told as t
    inner join public.product_variants as v
        on t.listing_id = v.listing_id and t.external_id = v.external_id
    left join private.product_variant_sources as o on v.id = o.variant_id
    where o.variant_id is null
        or (o.attributes, o.cost, o.bulk_cost, o.bulk_quantity, o.currency, o.image_url)
        is distinct from (
            t.attributes, t.price, t.bulk_price, t.bulk_quantity, t.currency, t.image_url
        );
end
$$;

revoke all on function private.changed_variant_sources(private.sync_batch) from public;

comment on function private.changed_variant_sources(private.sync_batch) is
'Variants of a batch that cost the shop something else now, or are ordered or shown otherwise.';

create or replace function private.changed_costs(batch private.sync_batch)
returns table (
    product_id uuid,
    retailer_product_id uuid,
    cost numeric,
    currency text
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    return query
    select l.product_id, l.retailer_product_id, s.price, s.currency
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    inner join private.supplier_listings as l on i.listing_id = l.listing_id
    left join private.product_costs as o on i.listing_id = o.listing_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and (o.cost, o.currency) is distinct from (s.price::numeric(12, 2), s.currency)
    order by l.listing_id;
end
$$;

revoke all on function private.changed_costs(private.sync_batch) from public;

comment on function private.changed_costs(private.sync_batch) is
'Goods of a batch whose price at the supplier is not the cost in the shop.';

create or replace function private.changed_freights(batch private.sync_batch)
returns table (
    listing_id uuid,
    country text,
    is_served boolean,
    fee numeric,
    currency text,
    min_days smallint,
    max_days smallint
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    return query
    select
        i.listing_id, a.country, a.fee is not null, a.fee,
        case when a.fee is not null then a.currency end, a.min_days,
        greatest(a.max_days, a.min_days)
    from private.sync_items as i
    inner join private.product_costs as c on i.listing_id = c.listing_id
    inner join private.supplier_freight as a
        on a.platform = batch.platform and i.external_id = a.external_id
    left join private.product_freights as o
        on i.listing_id = o.listing_id and a.country = o.country
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and (o.is_served, o.fee, o.currency, o.min_days, o.max_days) is distinct from (
            a.fee is not null, a.fee, case when a.fee is not null then a.currency end,
            a.min_days, greatest(a.max_days, a.min_days)
        )
    order by i.listing_id, a.country;
end
$$;

revoke all on function private.changed_freights(private.sync_batch) from public;

comment on function private.changed_freights(private.sync_batch) is
'Freights of a batch by country that are not in the shop as the supplier has them.';

create or replace function private.changed_tiers(batch private.sync_batch)
returns table (
    tier_id uuid, listing_id uuid, quantities int4range, discount_percent numeric, is_gone boolean
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    -- A supplier's break as a discount on the listed price, rounded down: no price falls under its
    -- floor by rounding.
    return query
    with tier as (
        select
            i.listing_id, t.price, s.price as list_price,
            greatest(t.min_quantity, p.min_order_quantity + 1) as first_quantity,
            least(
                coalesce(
                    t.max_quantity,
                    lead(t.min_quantity)
                        over (partition by i.listing_id order by t.min_quantity) - 1,
                    10000
                ),
                10000
            ) as last_quantity
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        inner join public.products_retailer as p on i.listing_id = p.id
        inner join private.supplier_listings as l on i.listing_id = l.listing_id
        cross join lateral jsonb_to_recordset(s.tiers) as t (
            min_quantity integer, max_quantity integer, price numeric
        )
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
            and not 'price_tiers' = any(l.held_columns)
    ),

    told as (
        select
            t.listing_id, int4range(t.first_quantity, t.last_quantity, '[]') as quantities,
            least(trunc((1 - t.price / t.list_price) * 100, 2), 90) as discount_percent
        from tier as t
        where t.first_quantity <= t.last_quantity
            and trunc((1 - t.price / t.list_price) * 100, 2) > 0
    ),

    kept as (
        select o.id, o.retailer_product_id, o.quantities, o.discount_percent
        from private.sync_items as i
        inner join private.supplier_listings as l on i.listing_id = l.listing_id
        inner join public.price_tiers as o on l.retailer_product_id = o.retailer_product_id
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
            and not 'price_tiers' = any(l.held_columns)
    )

    select
        o.id, coalesce(t.listing_id, o.retailer_product_id), coalesce(t.quantities, o.quantities),
        coalesce(t.discount_percent, o.discount_percent), t.listing_id is null
    from told as t
    full join kept as o
        on t.listing_id = o.retailer_product_id
        and t.quantities = o.quantities
        and t.discount_percent = o.discount_percent
    where t.listing_id is null or o.id is null;
end
$$;

revoke all on function private.changed_tiers(private.sync_batch) from public;

comment on function private.changed_tiers(private.sync_batch) is
'Wholesale breaks of a batch that are not in the shop as the supplier has them; is_gone: here and '
'no longer there.';

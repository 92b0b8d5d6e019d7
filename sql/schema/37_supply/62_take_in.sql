-- The second half of a run: what was found good is taken in, a batch a transaction, in the order of
-- the suppliers' ids. Every statement writes only what differs, so a second run writes nothing.

create type private.sync_batch as (
    run_id uuid,
    platform text,
    channel public.product_channel,
    after text,
    upto text
);

comment on type private.sync_batch is
'A stretch of a run''s goods, by external id: after the one, up to and with the other.';

create or replace function private.take_in_sellers(batch private.sync_batch)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
begin
    insert into public.suppliers as u (platform, external_id, name, seller_rating)
    select distinct on (s.seller_external_id)
        batch.platform, s.seller_external_id, s.seller_name, s.seller_rating
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    left join public.suppliers as o
        on o.platform = batch.platform and s.seller_external_id = o.external_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and s.seller_external_id is not null
        and (o.id is null or (o.name, o.seller_rating) is distinct from (
            s.seller_name, s.seller_rating::numeric(3, 2)
        ))
    order by s.seller_external_id, s.external_id desc
    on conflict on constraint suppliers_platform_external_id_key do update
    set name = excluded.name, seller_rating = excluded.seller_rating
    where (u.name, u.seller_rating) is distinct from (excluded.name, excluded.seller_rating);
end
$$;

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

create or replace function private.take_in_moves(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_moved uuid [];
    v_supplier_ids uuid [];
begin
    select
        coalesce(array_agg(p.id order by p.id), '{}'), array_agg(u.id order by p.id)
    into v_moved, v_supplier_ids
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    inner join private.supplier_listings as l on i.listing_id = l.listing_id
    inner join (
        select r.id, r.supplier_id from public.products as r
        union all
        select w.id, w.supplier_id from public.products_retailer as w
    ) as p on i.listing_id = p.id
    left join public.suppliers as u
        on u.platform = batch.platform and s.seller_external_id = u.external_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and p.supplier_id is distinct from u.id
        and not 'supplier_id' = any(l.held_columns);
    if cardinality(v_moved) = 0 then
        return v_moved;
    end if;
    -- A seller is part of a product's key, and whoever writes that shuts out the orders' references
    -- to it: so their stock comes first, all that the batch will take.
    perform
    from public.product_stock as k
    inner join private.sync_items as i on k.listing_id = i.listing_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
    order by k.listing_id
    for no key update of k;
    update public.products as p
    set supplier_id = m.supplier_id
    from unnest(v_moved, v_supplier_ids) as m (id, supplier_id)
    where p.id = m.id;
    update public.products_retailer as p
    set supplier_id = m.supplier_id
    from unnest(v_moved, v_supplier_ids) as m (id, supplier_id)
    where p.id = m.id;
    return v_moved;
end
$$;

revoke all on function private.take_in_moves(private.sync_batch) from public;

comment on function private.take_in_moves(private.sync_batch) is
'Goods of a batch that another seller has now: ids of what was written.';

create or replace function private.take_in_retail(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
set work_mem = '64MB'
as $$
declare
    v_written uuid [];
begin
    -- Whoever is changing one of these by hand ends first: the next statement sees what they hold.
    perform
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    inner join public.products as p on i.listing_id = p.id
    left join private.product_costs as c on i.listing_id = c.listing_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and (
            not p.is_active
            or (p.category_id, p.name, p.description) is distinct from (
                i.category_id, s.title, s.description
            )
            or coalesce(i.title_fr, p.name_fr) is distinct from p.name_fr
            or coalesce(s.description_fr, p.description_fr) is distinct from p.description_fr
            or coalesce(s.weight_grams, p.weight_grams) is distinct from p.weight_grams
            or (p.seller_rating, p.review_count) is distinct from (
                least(greatest(coalesce(s.rating, s.seller_rating), 0), 5)::numeric(3, 2),
                coalesce(s.review_count, 0)
            )
            or (c.cost, c.currency) is distinct from (s.price::numeric(12, 2), s.currency)
        )
    order by p.id
    for no key update of p;
    -- What stands on the shelf already and would not differ is left out before the upsert: even to
    -- look at a row through "on conflict" locks it, and a lock is written down.
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
                else least(greatest(coalesce(s.rating, s.seller_rating), 0), 5)::numeric(3, 2)
            end as seller_rating,
            case
                when 'review_count' = any(l.held_columns) then p.review_count
                else coalesce(s.review_count, 0)
            end as review_count,
            case
                when 'weight_grams' = any(l.held_columns) then p.weight_grams
                else coalesce(s.weight_grams, p.weight_grams)
            end as weight_grams,
            case
                when 'is_active' = any(l.held_columns) then p.is_active
                else p.id is null or l.listing_id is not null or p.is_active
            end as is_active,
            p.id as old_id, p.category_id as old_category_id, p.name as old_name, p.name_fr as old_name_fr, p.description as old_description,
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
    ),

    written as (
        insert into public.products as p (
            id, external_id, supplier_id, category_id, name, name_fr, description, description_fr,
            price_mallgram, seller_rating, review_count, weight_grams, is_active
        )
        select
            w.listing_id, w.external_id, w.supplier_id, w.category_id, w.name, w.name_fr,
            w.description, w.description_fr, w.price_mallgram, w.seller_rating, w.review_count,
            w.weight_grams, w.is_active
        from wanted as w
        where w.price_mallgram is not null
            and (
                w.old_id is null
                or (
                    w.category_id, w.name, w.name_fr, w.description, w.description_fr,
                    w.price_mallgram, w.seller_rating, w.review_count, w.weight_grams, w.is_active
                ) is distinct from (
                    w.old_category_id, w.old_name, w.old_name_fr, w.old_description,
                    w.old_description_fr, w.old_price, w.old_rating, w.old_reviews, w.old_weight,
                    w.old_is_active
                )
            )
        order by w.listing_id
        on conflict on constraint products_pkey do update
        set category_id = excluded.category_id,
            name = excluded.name,
            name_fr = excluded.name_fr,
            description = excluded.description,
            description_fr = excluded.description_fr,
            price_mallgram = excluded.price_mallgram,
            seller_rating = excluded.seller_rating,
            review_count = excluded.review_count,
            weight_grams = excluded.weight_grams,
            is_active = excluded.is_active
        where (
            p.category_id, p.name, p.name_fr, p.description, p.description_fr, p.price_mallgram,
            p.seller_rating, p.review_count, p.weight_grams, p.is_active
        ) is distinct from (
            excluded.category_id, excluded.name, excluded.name_fr, excluded.description,
            excluded.description_fr, excluded.price_mallgram, excluded.seller_rating,
            excluded.review_count, excluded.weight_grams, excluded.is_active
        )
        returning p.id
    )

    select coalesce(array_agg(w.id), '{}') into v_written from written as w;
    return v_written;
end
$$;

create or replace function private.take_in_wholesale(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
set work_mem = '64MB'
as $$
declare
    v_written uuid [];
begin
    -- Whoever is changing one of these by hand ends first: the next statement sees what they hold.
    perform
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    inner join public.products_retailer as p on i.listing_id = p.id
    left join private.product_costs as c on i.listing_id = c.listing_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and (
            not p.is_active
            or (p.category_id, p.name, p.description) is distinct from (
                i.category_id, s.title, s.description
            )
            or coalesce(i.title_fr, p.name_fr) is distinct from p.name_fr
            or coalesce(s.description_fr, p.description_fr) is distinct from p.description_fr
            or coalesce(s.weight_grams, p.weight_grams) is distinct from p.weight_grams
            or (p.seller_rating, p.review_count) is distinct from (
                least(greatest(coalesce(s.rating, s.seller_rating), 0), 5)::numeric(3, 2),
                coalesce(s.review_count, 0)
            )
            or (c.cost, c.currency) is distinct from (s.price::numeric(12, 2), s.currency)
            or (p.min_order_quantity, p.order_increment) is distinct from (
                least(greatest(s.min_order_quantity, 2), 10000), greatest(s.order_increment, 1)
            )
        )
    order by p.id
    for no key update of p;
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
                else least(greatest(coalesce(s.rating, s.seller_rating), 0), 5)::numeric(3, 2)
            end as seller_rating,
            case
                when 'review_count' = any(l.held_columns) then p.review_count
                else coalesce(s.review_count, 0)
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
            p.id as old_id, p.category_id as old_category_id, p.name as old_name, p.name_fr as old_name_fr, p.description as old_description,
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
    ),

    written as (
        insert into public.products_retailer as p (
            id, external_id, supplier_id, category_id, name, name_fr, description, description_fr,
            price_mallgram, seller_rating, review_count, min_order_quantity, order_increment,
            max_order_quantity, bulk_min_quantity, weight_grams, is_active
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
                w.old_id is null
                or (
                    w.category_id, w.name, w.name_fr, w.description, w.description_fr,
                    w.price_mallgram, w.seller_rating, w.review_count, w.min_order_quantity,
                    w.order_increment, w.weight_grams, w.is_active
                ) is distinct from (
                    w.old_category_id, w.old_name, w.old_name_fr, w.old_description,
                    w.old_description_fr, w.old_price, w.old_rating, w.old_reviews,
                    w.old_minimum, w.old_increment, w.old_weight, w.old_is_active
                )
            )
        order by w.listing_id
        on conflict on constraint products_retailer_pkey do update
        set category_id = excluded.category_id,
            name = excluded.name,
            name_fr = excluded.name_fr,
            description = excluded.description,
            description_fr = excluded.description_fr,
            price_mallgram = excluded.price_mallgram,
            seller_rating = excluded.seller_rating,
            review_count = excluded.review_count,
            min_order_quantity = excluded.min_order_quantity,
            order_increment = excluded.order_increment,
            max_order_quantity = excluded.max_order_quantity,
            bulk_min_quantity = excluded.bulk_min_quantity,
            weight_grams = excluded.weight_grams,
            is_active = excluded.is_active
        where (
            p.category_id, p.name, p.name_fr, p.description, p.description_fr, p.price_mallgram,
            p.seller_rating, p.review_count, p.min_order_quantity, p.order_increment,
            p.weight_grams, p.is_active
        ) is distinct from (
            excluded.category_id, excluded.name, excluded.name_fr, excluded.description,
            excluded.description_fr, excluded.price_mallgram, excluded.seller_rating,
            excluded.review_count, excluded.min_order_quantity, excluded.order_increment,
            excluded.weight_grams, excluded.is_active
        )
        returning p.id
    )

    select coalesce(array_agg(w.id), '{}') into v_written from written as w;
    return v_written;
end
$$;

create or replace function private.take_in_links(batch private.sync_batch)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_new integer;
    v_returned integer;
begin
    insert into private.supplier_listings (
        product_id, retailer_product_id, platform, external_id, held_columns, french_at
    )
    select
        case when batch.channel = 'retail' then i.listing_id end,
        case when batch.channel = 'wholesale' then i.listing_id end,
        batch.platform, i.external_id,
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
        )
    on conflict on constraint supplier_listings_external_id_key do nothing;
    get diagnostics v_new = row_count;
    update private.supplier_listings as l
    set absences = 0,
        missed_at = null,
        silences = 0,
        delisted_at = null,
        delist_reason = null,
        french_at = case when s.description_fr is not null then now() else l.french_at end
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and l.listing_id = i.listing_id
        and (
            l.absences > 0
            or l.silences > 0
            or l.delisted_at is not null
            or s.description_fr is not null and l.french_at < now() - interval '1 day'
            or s.description_fr is not null and l.french_at is null
        );
    get diagnostics v_returned = row_count;
    return jsonb_build_object('new', v_new, 'seen_again', v_returned);
end
$$;

create or replace function private.pieces_to_sell(counted integer, listing_id uuid)
returns integer
language plpgsql
stable
set search_path = ''
as $$
begin
    if pieces_to_sell.counted is null then
        return null;
    end if;
    -- Paid for here and still on the supplier's shelf: counted there, and sold all the same.
    return (
        select greatest(pieces_to_sell.counted - coalesce(sum(i.quantity), 0), 0)::integer
        from public.order_items as i
        inner join public.orders as o on i.order_id = o.id
        where (
            i.product_id = pieces_to_sell.listing_id
            or i.retailer_product_id = pieces_to_sell.listing_id
        )
        and o.status = 'paid'
    );
end
$$;

revoke all on function private.pieces_to_sell(integer, uuid) from public;

comment on function private.pieces_to_sell(integer, uuid) is
'What the supplier counts of a listing less what is in orders that are paid and not shipped; null '
'where the supplier does not say.';

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

create or replace function private.lock_stock(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_unknown integer := private.unknown_stock(batch.platform);
    v_counted uuid [];
begin
    select coalesce(array_agg(distinct c.listing_id), '{}') into v_counted
    from private.changed_variants(batch) as c;
    -- Locks in the order that orders take them. Who counts a variant holds its product's row, an
    -- order as well as the sync.
    perform
    from public.product_stock as k
    inner join private.sync_items as i on k.listing_id = i.listing_id
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and (
            k.listing_id = any(v_counted)
            or k.on_hand <> greatest(
                coalesce(
                    private.pieces_to_sell(coalesce(s.stock, v_unknown), k.listing_id),
                    k.on_hand
                ),
                k.reserved
            )
        )
    order by k.listing_id
    for no key update of k;
    return v_counted;
end
$$;

revoke all on function private.lock_stock(private.sync_batch) from public;

comment on function private.lock_stock(private.sync_batch) is
'Locks the stock of what a batch counts anew: ids of the listings of which a variant changes.';

create or replace function private.take_in_stock(batch private.sync_batch)
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_unknown integer := private.unknown_stock(batch.platform);
    v_written integer;
begin
    insert into public.product_stock as k (product_id, retailer_product_id, on_hand)
    select l.product_id, l.retailer_product_id, n.pieces
    from private.sync_items as i
    inner join private.staged_products as s
        on i.run_id = s.run_id and i.external_id = s.external_id
    inner join private.supplier_listings as l on i.listing_id = l.listing_id
    left join public.product_stock as o on i.listing_id = o.listing_id
    -- "offset": counted once a listing, not wherever it is named.
    cross join lateral (
        select
            coalesce(
                private.pieces_to_sell(coalesce(s.stock, v_unknown), l.listing_id), o.on_hand, 0
            ) as pieces
        offset 0
    ) as n
    where i.run_id = batch.run_id
        and i.reason is null
        and i.external_id > batch.after
        and i.external_id <= batch.upto
        and o.on_hand is distinct from greatest(n.pieces, o.reserved)
    order by l.listing_id
    -- What unpaid orders hold stays held.
    on conflict on constraint product_stock_pkey do update
    set on_hand = greatest(excluded.on_hand, k.reserved), updated_at = now()
    where k.on_hand is distinct from greatest(excluded.on_hand, k.reserved);
    get diagnostics v_written = row_count;
    return v_written;
end
$$;

create or replace function private.take_in_costs(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_costs uuid [];
    v_freights uuid [];
    v_tiers uuid [];
begin
    with written as (
        insert into private.product_costs as c (product_id, retailer_product_id, cost, currency)
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
        order by l.listing_id
        on conflict on constraint product_costs_pkey do update
        set cost = excluded.cost, currency = excluded.currency
        where (c.cost, c.currency) is distinct from (excluded.cost, excluded.currency)
        returning c.listing_id
    )

    select coalesce(array_agg(w.listing_id), '{}') into v_costs from written as w;
    with written as (
        insert into private.product_freights as f (
            listing_id, country, is_served, fee, currency, min_days, max_days
        )
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
            and (o.is_served, o.fee, o.min_days, o.max_days) is distinct from (
                a.fee is not null, a.fee, a.min_days, greatest(a.max_days, a.min_days)
            )
        order by i.listing_id, a.country
        on conflict on constraint product_freights_pkey do update
        set is_served = excluded.is_served,
            fee = excluded.fee,
            currency = excluded.currency,
            min_days = excluded.min_days,
            max_days = excluded.max_days
        returning f.listing_id
    )

    select coalesce(array_agg(distinct w.listing_id), '{}') into v_freights from written as w;
    v_tiers := case
        when batch.channel = 'wholesale' then private.take_in_tiers(batch) else '{}'
    end;
    return array(
        select distinct c.listing_id
        from unnest(v_costs || v_freights || v_tiers) as c (listing_id)
        order by c.listing_id
    );
end
$$;

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

create or replace function private.take_in_tiers(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_gone uuid [];
    v_new uuid [];
begin
    -- The old ones go first: two may not overlap even for a moment.
    with gone as (
        delete from public.price_tiers as t
        using private.changed_tiers(batch) as c
        where c.is_gone and c.tier_id = t.id
        returning t.retailer_product_id
    )

    select coalesce(array_agg(g.retailer_product_id), '{}') into v_gone from gone as g;
    with written as (
        insert into public.price_tiers as t (retailer_product_id, quantities, discount_percent)
        select c.listing_id, c.quantities, c.discount_percent
        from private.changed_tiers(batch) as c
        where not c.is_gone
        order by c.listing_id, c.quantities
        on conflict on constraint price_tiers_no_overlap do nothing
        returning t.retailer_product_id
    )

    select coalesce(array_agg(w.retailer_product_id), '{}') into v_new from written as w;
    return v_gone || v_new;
end
$$;

create or replace function private.take_in_variants(
    batch private.sync_batch, listing_ids uuid []
)
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_written integer;
    v_gone integer;
begin
    insert into public.product_variants as v (
        product_id, retailer_product_id, external_id, position, options, price_ratio, on_hand,
        is_active
    )
    select
        c.product_id, c.retailer_product_id, c.external_id, c.place, c.options, c.price_ratio,
        c.on_hand, true
    from private.changed_variants(batch) as c
    where not c.is_gone and c.listing_id = any(take_in_variants.listing_ids)
    order by c.listing_id, c.place
    on conflict on constraint product_variants_external_id_key do update
    set position = excluded.position,
        options = excluded.options,
        price_ratio = excluded.price_ratio,
        on_hand = excluded.on_hand,
        is_active = true;
    get diagnostics v_written = row_count;
    update public.product_variants as v
    set is_active = false
    from private.changed_variants(batch) as c
    where c.is_gone
        and c.listing_id = any(take_in_variants.listing_ids)
        and c.variant_id = v.id;
    get diagnostics v_gone = row_count;
    -- Read from the JSON once a good, before anything is joined to it.
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

    insert into private.product_variant_sources as k (
        variant_id, attributes, cost, bulk_cost, bulk_quantity, currency, image_url
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
        )
    on conflict on constraint product_variant_sources_pkey do update
    set attributes = excluded.attributes,
        cost = excluded.cost,
        bulk_cost = excluded.bulk_cost,
        bulk_quantity = excluded.bulk_quantity,
        currency = excluded.currency,
        image_url = excluded.image_url;
    return v_written + v_gone;
end
$$;

create or replace function service.apply_sync(run_id uuid, batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_run private.sync_runs;
    v_batch private.sync_batch;
    v_taken integer;
    v_products uuid [];
    v_priced uuid [];
    v_links jsonb;
    v_counted uuid [];
    v_stock integer;
    v_variants integer;
    v_pictures integer;
    v_batch_size integer;
    v_state text;
    v_constraint text;
begin
    select r.* into v_run
    from private.sync_runs as r
    where r.id = apply_sync.run_id and r.status = 'applying'
    for update;
    if not found then
        return jsonb_build_object('taken', 0, 'is_done', true);
    end if;
    v_batch_size := least(apply_sync.batch, v_run.batch_limit);
    v_batch := row(
        v_run.id, v_run.platform, v_run.channel, coalesce(v_run.applied_through, ''), null
    );
    -- Some goods come in two hundred variants: a batch is as long as its rows take.
    select max(n.external_id), count(*)
    into v_batch.upto, v_taken
    from (
        select
            g.external_id,
            row_number() over (order by g.external_id) as place,
            sum(jsonb_array_length(s.variants)) over (order by g.external_id) as variants
        from (
            select i.run_id, i.external_id
            from private.sync_items as i
            where i.run_id = v_run.id
                and i.reason is null
                and i.is_fetched
                and i.external_id > v_batch.after
            order by i.external_id
            limit v_batch_size
        ) as g
        inner join private.staged_products as s
            on g.run_id = s.run_id and g.external_id = s.external_id
    ) as n
    where n.place = 1 or n.variants <= 10 * v_batch_size;
    if v_taken = 0 then
        return jsonb_build_object('taken', 0, 'is_done', true);
    end if;
    begin
        -- Before the first row of goods, or whoever makes prices anew would wait in a circle.
        perform private.lock_prices();
        -- What follows is the sync's doing, and no person's.
        perform set_config('mallgram.sync_run_id', v_run.id::text, true);
        perform private.take_in_sellers(v_batch);
        v_products := private.take_in_moves(v_batch);
        v_products := v_products || case
            when v_run.channel = 'retail' then private.take_in_retail(v_batch)
            else private.take_in_wholesale(v_batch)
        end;
        v_products := array(select distinct p.id from unnest(v_products) as p (id));
        v_links := private.take_in_links(v_batch);
        v_priced := private.take_in_costs(v_batch);
        v_priced := array(
            select distinct p.id from unnest(v_priced || v_products) as p (id) order by p.id
        );
        if cardinality(v_priced) > 0 then
            perform private.set_prices(v_priced);
        end if;
        -- The stock that orders wait for comes late and is held short.
        v_counted := private.lock_stock(v_batch);
        v_stock := private.take_in_stock(v_batch);
        v_variants := private.take_in_variants(v_batch, v_counted);
        v_pictures := private.take_in_pictures(v_batch);
        perform set_config('mallgram.sync_run_id', '', true);
        -- What is checked at commit is checked here, where it can be helped.
        set constraints all immediate;
    exception
        when data_exception or integrity_constraint_violation or cardinality_violation
            or query_canceled then
            get stacked diagnostics v_constraint = constraint_name, v_state = returned_sqlstate;
            -- Too many for the time that a statement has: what is left of it does for a note.
            if v_taken > 1 and v_state = '57014' then
                update private.sync_runs as r set batch_limit = v_taken / 2 where r.id = v_run.id;
                return jsonb_build_object('taken', 0, 'written', 0, 'is_done', false);
            end if;
            -- One good that the tables refuse does not stop the others: halves, down to the one.
            if v_taken > 1 then
                return service.apply_sync(v_run.id, v_taken / 2);
            end if;
            update private.sync_items as i
            set reason = 'not_answered',
                reasons = array_remove(
                    array[
                        'not_kept',
                        case when v_state = '57014' then 'too_slow' else v_constraint end
                    ],
                    ''
                )
            where i.run_id = v_run.id and i.external_id = v_batch.upto;
            update private.sync_runs as r
            set applied_through = v_batch.upto,
                counts = private.add_counts(r.counts, jsonb_build_object('not_kept', 1))
            where r.id = v_run.id;
            return jsonb_build_object('taken', 0, 'written', 0, 'is_done', false);
    end;
    update private.sync_runs as r
    set applied_through = v_batch.upto,
        batch_limit = private.next_batch_limit(r.batch_limit, apply_sync.batch),
        counts = private.add_counts(
            r.counts,
            jsonb_build_object(
                'taken_in', v_taken,
                'new', v_links -> 'new',
                'seen_again', v_links -> 'seen_again',
                'changed', cardinality(v_products) - (v_links ->> 'new')::integer,
                'repriced', cardinality(v_priced),
                'restocked', v_stock,
                'variants', v_variants,
                'pictures', v_pictures
            )
        )
    where r.id = v_run.id;
    return jsonb_build_object(
        'taken', v_taken, 'written', cardinality(v_products), 'is_done', false
    );
end
$$;

create or replace function private.add_counts(counts jsonb, more jsonb)
returns jsonb
language sql
immutable
set search_path = ''
as $$
    select
        add_counts.counts || coalesce(
            jsonb_object_agg(
                m.key, coalesce((add_counts.counts ->> m.key)::integer, 0) + m.value::integer
            ),
            '{}'
        )
    from jsonb_each_text(add_counts.more) as m (key, value)
$$;

create or replace function private.next_batch_limit(batch_limit integer, batch integer)
returns integer
language sql
immutable
set search_path = ''
as $$
    select
        case
            when next_batch_limit.batch <= next_batch_limit.batch_limit
                then next_batch_limit.batch_limit
            when next_batch_limit.batch_limit * 2 < next_batch_limit.batch
                then next_batch_limit.batch_limit * 2
        end
$$;

revoke all on function private.next_batch_limit(integer, integer) from public;
revoke all on function private.take_in_sellers(private.sync_batch) from public;
revoke all on function private.base_margins(private.sync_batch) from public;
revoke all on function private.take_in_retail(private.sync_batch) from public;
revoke all on function private.take_in_wholesale(private.sync_batch) from public;
revoke all on function private.take_in_links(private.sync_batch) from public;
revoke all on function private.take_in_stock(private.sync_batch) from public;
revoke all on function private.take_in_costs(private.sync_batch) from public;
revoke all on function private.changed_tiers(private.sync_batch) from public;
revoke all on function private.take_in_tiers(private.sync_batch) from public;
revoke all on function private.take_in_variants(private.sync_batch, uuid []) from public;
revoke all on function private.add_counts(jsonb, jsonb) from public;
revoke all on function service.apply_sync(uuid, integer) from public;
grant execute on function service.apply_sync(uuid, integer) to mallgram_service;

comment on function private.take_in_sellers(private.sync_batch) is
'Sellers of a batch, as the supplier names and rates them.';
comment on function private.base_margins(private.sync_batch) is
'The margin of the base price by category and cost in dollars, for the categories of a batch; '
'bands do not overlap.';
comment on function private.take_in_retail(private.sync_batch) is
'Goods of a batch into products, all but the columns that are held by hand: ids of what was '
'written.';
comment on function private.take_in_wholesale(private.sync_batch) is
'The same into products_retailer.';
comment on function private.take_in_links(private.sync_batch) is
'Links new products to their goods and forgets absences: {new, seen_again}.';
comment on function private.take_in_stock(private.sync_batch) is
'Pieces at the supplier less those that are paid and not shipped, never fewer than unpaid orders '
'hold; what the supplier does not say stays as it is. How many rows were written.';
comment on function private.take_in_costs(private.sync_batch) is
'Cost, freight by country and wholesale breaks: ids of the listings whose price may change.';
comment on function private.changed_tiers(private.sync_batch) is
'Wholesale breaks of a batch that are not in the shop as the supplier has them; is_gone: here and '
'no longer there.';
comment on function private.take_in_tiers(private.sync_batch) is
'Wholesale breaks of a batch, unless they are held by hand: ids of the listings that changed.';
comment on function private.take_in_variants(private.sync_batch, uuid []) is
'Variants of those listings of a batch whose stock is locked, and what they cost; those that are '
'gone are kept, off sale. Rows written.';
comment on function private.next_batch_limit(integer, integer) is
'A run''s batch_limit after a batch that was not too long: twice as many, null for as many as are '
'asked for.';
comment on function private.add_counts(jsonb, jsonb) is 'Two sets of counts, key by key.';
comment on function service.apply_sync(uuid, integer) is
'Takes the next goods of a run in, in one transaction: {taken, written, is_done}. Where the tables '
'refuse one, or the time of a statement is over, half as many are tried, down to the one, which is '
'left out as not_answered with not_kept and the constraint or too_slow. Definer because the tables '
'are closed to the service.';

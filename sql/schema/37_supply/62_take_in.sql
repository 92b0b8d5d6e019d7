-- The second half of a run: what was found good is taken in, a batch a transaction, in the order of
-- the suppliers' ids. Every statement writes only what differs, so a second run writes nothing.

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

create or replace function private.take_in_moves(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set jit = 'off'
as $$
declare
    v_moved uuid [] := array(
        select m.listing_id from private.moved_products(batch) as m
    );
begin
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
    perform from public.products as p where p.id = any(v_moved) order by p.id for update;
    perform from public.products_retailer as p where p.id = any(v_moved) order by p.id for update;
    -- Read again: what a person has said of them while these locks were waited for holds.
    with retail as (
        update public.products as p
        set supplier_id = m.supplier_id
        from private.moved_products(batch) as m
        where p.id = m.listing_id and p.id = any(v_moved)
        returning p.id
    ),

    wholesale as (
        update public.products_retailer as p
        set supplier_id = m.supplier_id
        from private.moved_products(batch) as m
        where p.id = m.listing_id and p.id = any(v_moved)
        returning p.id
    )

    select array(select r.id from retail as r union all select w.id from wholesale as w)
    into v_moved;
    return v_moved;
end
$$;

revoke all on function private.take_in_moves(private.sync_batch) from public;

comment on function private.take_in_moves(private.sync_batch) is
'Goods of a batch that another seller has now: ids of what was written.';

create or replace function private.lock_changed_products(batch private.sync_batch)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
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
                coalesce(s.rating, s.seller_rating, p.seller_rating)::numeric(3, 2),
                coalesce(s.review_count, p.review_count)
            )
            or (c.cost, c.currency) is distinct from (s.price::numeric(12, 2), s.currency)
        )
    order by p.id
    for no key update of p;
end
$$;

revoke all on function private.lock_changed_products(private.sync_batch) from public;

comment on function private.lock_changed_products(private.sync_batch) is
'Waits for whoever is changing products of a batch by hand, and locks what the batch may change.';

create or replace function private.lock_changed_wholesale_products(batch private.sync_batch)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
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
                coalesce(s.rating, s.seller_rating, p.seller_rating)::numeric(3, 2),
                coalesce(s.review_count, p.review_count)
            )
            or (c.cost, c.currency) is distinct from (s.price::numeric(12, 2), s.currency)
            or (p.min_order_quantity, p.order_increment) is distinct from (
                least(greatest(s.min_order_quantity, 2), 10000), greatest(s.order_increment, 1)
            )
        )
    order by p.id
    for no key update of p;
end
$$;

revoke all on function private.lock_changed_wholesale_products(private.sync_batch) from public;

comment on function private.lock_changed_wholesale_products(private.sync_batch) is
'As lock_changed_products, of products_retailer.';

create or replace function private.take_in_retail(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set jit = 'off'
-- Whole goods are sorted, and kept for the triggers that follow.
set work_mem = '256MB'
as $$
declare
    v_written uuid [];
begin
    perform private.lock_changed_products(batch);
    with written as (
        insert into public.products as p (
            id, external_id, supplier_id, category_id, name, name_fr, description, description_fr,
            price_mallgram, seller_rating, review_count, weight_grams, is_active
        )
        select
            c.listing_id, c.external_id, c.supplier_id, c.category_id, c.name, c.name_fr,
            c.description, c.description_fr, c.price_mallgram, c.seller_rating, c.review_count,
            c.weight_grams, c.is_active
        from private.changed_products(batch) as c
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
set jit = 'off'
set work_mem = '256MB'
as $$
declare
    v_written uuid [];
begin
    perform private.lock_changed_wholesale_products(batch);
    with written as (
        insert into public.products_retailer as p (
            id, external_id, supplier_id, category_id, name, name_fr, description, description_fr,
            price_mallgram, seller_rating, review_count, min_order_quantity, order_increment,
            max_order_quantity, bulk_min_quantity, weight_grams, is_active
        )
        select
            c.listing_id, c.external_id, c.supplier_id, c.category_id, c.name, c.name_fr,
            c.description, c.description_fr, c.price_mallgram, c.seller_rating, c.review_count,
            c.min_order_quantity, c.order_increment, c.max_order_quantity, c.bulk_min_quantity,
            c.weight_grams, c.is_active
        from private.changed_wholesale_products(batch) as c
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

create or replace function private.forget_absences(batch private.sync_batch)
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
set jit = 'off'
as $$
declare
    v_returned integer;
    v_returning uuid [] := array(
        select l.listing_id
        from private.sync_items as i
        inner join private.staged_products as s
            on i.run_id = s.run_id and i.external_id = s.external_id
        inner join private.supplier_listings as l on i.listing_id = l.listing_id
        where i.run_id = batch.run_id
            and i.reason is null
            and i.external_id > batch.after
            and i.external_id <= batch.upto
            and (
                l.absences > 0
                or l.silences > 0
                or l.delisted_at is not null
                or s.description_fr is not null and l.french_at < now() - interval '1 day'
                or s.description_fr is not null and l.french_at is null
            )
    );
begin
    -- In the order in which hands that change several goods at once hold their columns.
    perform
    from private.supplier_listings as l
    where l.listing_id = any(v_returning)
    order by l.listing_id
    for no key update;
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
        and l.listing_id = i.listing_id
        and l.listing_id = any(v_returning);
    get diagnostics v_returned = row_count;
    return v_returned;
end
$$;

revoke all on function private.forget_absences(private.sync_batch) from public;

comment on function private.forget_absences(private.sync_batch) is
'Goods of a batch that had been missed are there again: how many rows were written.';

create or replace function private.take_in_links(batch private.sync_batch)
returns jsonb
language plpgsql
set search_path = ''
set jit = 'off'
as $$
declare
    v_new integer;
begin
    insert into private.supplier_listings (
        product_id, retailer_product_id, platform, external_id, held_columns, french_at
    )
    select
        n.product_id, n.retailer_product_id, batch.platform, n.external_id, n.held_columns,
        n.french_at
    from private.new_links(batch) as n
    on conflict on constraint supplier_listings_external_id_key do nothing;
    get diagnostics v_new = row_count;
    return jsonb_build_object('new', v_new, 'seen_again', private.forget_absences(batch));
end
$$;

create or replace function private.lock_stock(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set jit = 'off'
as $$
declare
    v_counted uuid [] := array(
        select v.listing_id from private.changed_variants(batch) as v
        union
        select c.listing_id from private.changed_stock(batch) as c
    );
begin
    -- Locks in the order that orders take them. Who counts a variant holds its product's row, an
    -- order as well as the sync.
    perform
    from public.product_stock as k
    where k.listing_id in (select u.id from unnest(v_counted) as u (id))
    order by k.listing_id
    for no key update of k;
    return v_counted;
end
$$;

revoke all on function private.lock_stock(private.sync_batch) from public;

comment on function private.lock_stock(private.sync_batch) is
'Locks the stock of what a batch counts anew: ids of the listings of which the pieces or a variant '
'change. What changes later is left to the next run, for nobody holds it.';

create or replace function private.take_in_stock(batch private.sync_batch, listing_ids uuid [])
returns integer
language plpgsql
set search_path = ''
set jit = 'off'
as $$
declare
    v_written integer;
begin
    insert into public.product_stock as k (product_id, retailer_product_id, on_hand)
    select c.product_id, c.retailer_product_id, c.pieces
    from private.changed_stock(batch) as c
    where c.listing_id in (select u.id from unnest(take_in_stock.listing_ids) as u (id))
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
set jit = 'off'
as $$
declare
    v_costs uuid [];
    v_freights uuid [];
    v_tiers uuid [];
begin
    with written as (
        insert into private.product_costs as c (product_id, retailer_product_id, cost, currency)
        select n.product_id, n.retailer_product_id, n.cost, n.currency
        from private.changed_costs(batch) as n
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
            n.listing_id, n.country, n.is_served, n.fee, n.currency, n.min_days, n.max_days
        from private.changed_freights(batch) as n
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

create or replace function private.lock_tiers(batch private.sync_batch)
returns void
language plpgsql
set search_path = ''
set jit = 'off'
as $$
begin
    perform
    from public.price_tiers as t
    where t.retailer_product_id in (
        select c.listing_id from private.changed_tiers(batch) as c
    )
    order by t.retailer_product_id, t.id
    for update;
end
$$;

revoke all on function private.lock_tiers(private.sync_batch) from public;

comment on function private.lock_tiers(private.sync_batch) is
'Waits for whoever is changing breaks of a batch by hand: they hold a break before its link.';

create or replace function private.take_in_tiers(batch private.sync_batch)
returns uuid []
language plpgsql
set search_path = ''
set jit = 'off'
as $$
declare
    v_gone uuid [];
    v_new uuid [];
    v_listing_ids uuid [] := array(
        select distinct c.listing_id from private.changed_tiers(batch) as c
    );
begin
    -- Whoever is changing breaks by hand ends first: what follows sees that they are held.
    perform
    from private.supplier_listings as l
    where l.listing_id = any(v_listing_ids)
    order by l.listing_id
    for no key update;
    -- The old ones go first: two may not overlap even for a moment.
    with gone as (
        delete from public.price_tiers as t
        using private.changed_tiers(batch) as c
        where c.is_gone and c.tier_id = t.id and c.listing_id = any(v_listing_ids)
        returning t.retailer_product_id
    )

    select coalesce(array_agg(g.retailer_product_id), '{}') into v_gone from gone as g;
    with written as (
        insert into public.price_tiers as t (retailer_product_id, quantities, discount_percent)
        select c.listing_id, c.quantities, c.discount_percent
        from private.changed_tiers(batch) as c
        where not c.is_gone and c.listing_id = any(v_listing_ids)
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
    where not c.is_gone
        and c.listing_id in (select u.id from unnest(take_in_variants.listing_ids) as u (id))
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
        and c.listing_id in (select u.id from unnest(take_in_variants.listing_ids) as u (id))
        and c.variant_id = v.id;
    get diagnostics v_gone = row_count;
    insert into private.product_variant_sources as k (
        variant_id, attributes, cost, bulk_cost, bulk_quantity, currency, image_url
    )
    select
        c.variant_id, c.attributes, c.cost, c.bulk_cost, c.bulk_quantity, c.currency, c.image_url
    from private.changed_variant_sources(batch) as c
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
set jit = 'off'
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
    v_hint text;
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
        if v_run.channel = 'wholesale' then
            perform private.lock_tiers(v_batch);
        end if;
        v_links := private.take_in_links(v_batch);
        v_priced := private.take_in_costs(v_batch);
        v_priced := array(
            select distinct p.id from unnest(v_priced || v_products) as p (id) order by p.id
        );
        if cardinality(v_priced) > 0 then
            perform private.set_prices(v_priced);
        end if;
        -- The stock that orders wait for comes late and is held short, unless a seller is new.
        v_counted := private.lock_stock(v_batch);
        v_stock := private.take_in_stock(v_batch, v_counted);
        v_variants := private.take_in_variants(v_batch, v_counted);
        v_pictures := private.take_in_pictures(v_batch);
        perform set_config('mallgram.sync_run_id', '', true);
        -- What is checked at commit is checked here, where it can be helped.
        set constraints all immediate;
    exception
        when data_exception or integrity_constraint_violation or cardinality_violation
            or query_canceled
            -- private.fail, by a trigger
            or sqlstate 'PT400' or sqlstate 'PT409' then
            get stacked diagnostics
                v_constraint = constraint_name,
                v_state = returned_sqlstate,
                v_hint = pg_exception_hint;
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
                        case
                            when v_state = '57014' then 'too_slow'
                            when v_state like 'PT%' then v_hint
                            else v_constraint
                        end
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
revoke all on function private.take_in_retail(private.sync_batch) from public;
revoke all on function private.take_in_wholesale(private.sync_batch) from public;
revoke all on function private.take_in_links(private.sync_batch) from public;
revoke all on function private.take_in_stock(private.sync_batch, uuid []) from public;
revoke all on function private.take_in_costs(private.sync_batch) from public;
revoke all on function private.take_in_tiers(private.sync_batch) from public;
revoke all on function private.take_in_variants(private.sync_batch, uuid []) from public;
revoke all on function private.add_counts(jsonb, jsonb) from public;
revoke all on function service.apply_sync(uuid, integer) from public;
grant execute on function service.apply_sync(uuid, integer) to mallgram_service;

comment on function private.take_in_sellers(private.sync_batch) is
'Sellers of a batch, as the supplier names and rates them.';
comment on function private.take_in_retail(private.sync_batch) is
'Goods of a batch into products, all but the columns that are held by hand: ids of what was '
'written.';
comment on function private.take_in_wholesale(private.sync_batch) is
'The same into products_retailer.';
comment on function private.take_in_links(private.sync_batch) is
'Links new products to their goods and forgets absences: {new, seen_again}.';
comment on function private.take_in_stock(private.sync_batch, uuid []) is
'Of those listings of a batch whose stock is locked: pieces at the supplier less those that are '
'paid and not shipped, never fewer than unpaid orders hold; what the supplier does not say stays '
'as it is. How many rows were written.';
comment on function private.take_in_costs(private.sync_batch) is
'Cost, freight by country and wholesale breaks: ids of the listings whose price may change.';
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
'left out as not_answered with not_kept and the constraint, the refusal''s code or too_slow. '
'Definer because the tables are closed to the service.';

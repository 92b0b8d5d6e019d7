-- A product that had run out is there again: work for a job, because thousands may be waiting.

create or replace function private.tg_product_stock__emit_restocked()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_smallest integer;
    v_before integer := 0;
begin
    if not exists (
        select
        from public.wishlist_items as w
        where w.listing_id = new.listing_id and w.notified_at is null
    ) then
        return null;
    end if;
    v_smallest := coalesce(
        (
            select p.min_order_quantity
            from public.products_retailer as p
            where p.id = new.retailer_product_id
        ), 1
    );
    if tg_op = 'UPDATE' then
        v_before := old.available;
    end if;
    if v_before < v_smallest and new.available >= v_smallest then
        perform private.emit(
            'announce_stock', jsonb_build_object('listing_id', new.listing_id)
        );
    end if;
    return null;
end
$$;

create or replace function private.tg_products__emit_relisted()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if exists (
        select
        from public.wishlist_items as w
        where w.listing_id = new.id and w.notified_at is null
    ) then
        perform private.emit('announce_stock', jsonb_build_object('listing_id', new.id));
    end if;
    return null;
end
$$;

create or replace function private.tg_product_prices__emit_freed()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if exists (
        select
        from public.wishlist_items as w
        where w.listing_id = new.listing_id and w.notified_at is null
    ) then
        perform private.emit('announce_stock', jsonb_build_object('listing_id', new.listing_id));
    end if;
    return null;
end
$$;

revoke all on function private.tg_product_stock__emit_restocked() from public;
revoke all on function private.tg_product_prices__emit_freed() from public;
revoke all on function private.tg_products__emit_relisted() from public;

comment on function private.tg_product_stock__emit_restocked() is
'Trigger: enough for the smallest order is free again, and somebody waits for it. Definer because '
'wishes and the outbox are closed to whoever counts stock.';
comment on function private.tg_products__emit_relisted() is
'Trigger: a product that had left the shop is on sale again, and somebody waits for it. Definer '
'because wishes and the outbox are closed to whoever changes products.';

comment on function private.tg_product_prices__emit_freed() is
'Trigger: a product whose price was held is for sale again, and somebody waits for it. Definer '
'because wishes and the outbox are closed to whoever makes prices.';

create trigger product_prices_95_emit_freed
after update of is_held on public.product_prices
for each row when (old.is_held and not new.is_held and new.is_listed)
execute function private.tg_product_prices__emit_freed();

create trigger product_stock_90_emit_restocked_new
after insert on public.product_stock
for each row when (new.available > 0)
execute function private.tg_product_stock__emit_restocked();

create trigger product_stock_90_emit_restocked
after update on public.product_stock
for each row when (new.available > old.available)
execute function private.tg_product_stock__emit_restocked();

create trigger products_90_emit_relisted
after update of is_active on public.products
for each row when (new.is_active and not old.is_active)
execute function private.tg_products__emit_relisted();

create trigger products_retailer_90_emit_relisted
after update of is_active on public.products_retailer
for each row when (new.is_active and not old.is_active)
execute function private.tg_products__emit_relisted();

create or replace function service.announce_stock(listing_id uuid, batch integer)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_announced integer;
begin
    -- It may have been sold again since.
    if not private.is_in_stock(announce_stock.listing_id) then
        return jsonb_build_object('announced', 0);
    end if;
    with waiting as (
        select w.user_id, w.listing_id
        from public.wishlist_items as w
        inner join public.users as u on w.user_id = u.id
        inner join public.product_prices as pp
            on w.listing_id = pp.listing_id
                and pp.country = coalesce(u.country, 'ZA')
                and pp.is_listed
        where w.listing_id = announce_stock.listing_id and w.notified_at is null
        order by w.created_at
        limit announce_stock.batch
        for no key update of w skip locked
    ),

    notified as (
        update public.wishlist_items as w
        set notified_at = now()
        from waiting as n
        where w.user_id = n.user_id and w.listing_id = n.listing_id
        returning w.user_id, w.listing_id, w.channel
    ),

    message as (
        insert into public.notifications (user_id, kind, data)
        select
            n.user_id, 'back_in_stock',
            jsonb_build_object(
                'product_id', n.listing_id,
                'channel', n.channel,
                'name', coalesce(p.name, r.name),
                'name_fr', coalesce(p.name_fr, r.name_fr)
            )
        from notified as n
        left join public.products as p on n.listing_id = p.id
        left join public.products_retailer as r on n.listing_id = r.id
        returning id, user_id
    ),

    email as (
        insert into private.emails (template, user_id, notification_id)
        select 'back_in_stock', m.user_id, m.id
        from message as m
        returning id
    ),

    work as (
        insert into private.outbox (job, args)
        select 'send_email', jsonb_build_object('email_id', e.id)
        from email as e
    )

    select count(*) into v_announced from message;
    if v_announced >= announce_stock.batch then
        perform private.emit(
            'announce_stock', jsonb_build_object('listing_id', announce_stock.listing_id)
        );
    end if;
    return jsonb_build_object('announced', v_announced);
end
$$;

revoke all on function service.announce_stock(uuid, integer) from public;
grant execute on function service.announce_stock(uuid, integer) to mallgram_service;

comment on function service.announce_stock(uuid, integer) is
'Tells the next batch of people who wait for a listing that it is there again, by a message and a '
'mail each, and asks for the batch after it: {announced}. Nothing when it is out of stock again; '
'whoever lives where it is not sold, or its price is held, keeps waiting. Definer '
'because wishes, messages and mails are closed to the service.';

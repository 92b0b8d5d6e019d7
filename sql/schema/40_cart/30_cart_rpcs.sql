create or replace function private.require_user()
returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_user_id uuid := auth.uid();
begin
    -- A token outlives its account: a deleted person is nobody. public.users keeps a row for the
    -- books, so Auth is asked.
    if v_user_id is null or not exists (
        select from auth.users as u where u.id = v_user_id
    ) then
        perform private.fail('authentication_required');
    end if;
    return v_user_id;
end
$$;

revoke all on function private.require_user() from public;

comment on function private.require_user() is
'The caller''s id. Error: authentication_required.';

create or replace function private.lock_cart(user_id uuid)
returns uuid
language sql
set search_path = ''
as $$
    insert into public.carts (user_id)
    values (lock_cart.user_id)
    on conflict on constraint carts_user_id_key do update set updated_at = now()
    returning id
$$;

revoke all on function private.lock_cart(uuid) from public;

comment on function private.lock_cart(uuid) is
'The person''s cart, made if need be, locked until the transaction ends: edits come one by one.';

create or replace function private.set_cart_items(items jsonb)
returns setof public.cart_items
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_cart_id uuid;
    v_item record;
    v_problem private.order_line;
begin
    v_cart_id := private.lock_cart(v_user_id);
    for v_item in
        select u.*
        from private.read_items(set_cart_items.items) as i
        cross join lateral unnest(i.listing_ids, i.channels, i.quantities, i.variant_ids)
            as u (listing_id, channel, quantity, variant_id)
        -- Everyone refers to products in the order of their ids.
        order by u.listing_id, u.variant_id
    loop
        -- A cart may hold what is not in stock just now; it may never hold an unsellable quantity.
        select l.* into v_problem
        from private.price_lines(
            array[v_item.listing_id], array[v_item.channel], array[v_item.quantity],
            private.caller_country(), array[v_item.variant_id]
        ) as l
        where l.problem not in ('stock_insufficient', 'product_not_sold_in_country');
        if found then
            perform private.fail(v_problem.problem, v_problem.problem_detail);
        end if;
        insert into public.cart_items as c (
            cart_id, user_id, product_id, retailer_product_id, variant_id, quantity
        )
        values (
            v_cart_id,
            v_user_id,
            case when v_item.channel = 'retail' then v_item.listing_id end,
            case when v_item.channel = 'wholesale' then v_item.listing_id end,
            v_item.variant_id,
            v_item.quantity
        )
        on conflict on constraint cart_items_pkey do update set quantity = excluded.quantity;
    end loop;
    if (select count(*) from public.cart_items as c where c.cart_id = v_cart_id) > 500 then
        perform private.fail('order_items_invalid', 'more than 500 items');
    end if;
    return query
    select c.*
    from public.cart_items as c
    where c.cart_id = v_cart_id
    order by c.created_at, c.line_id;
end
$$;

revoke all on function private.set_cart_items(jsonb) from public;
grant execute on function private.set_cart_items(jsonb) to authenticated;

comment on function private.set_cart_items(jsonb) is
'Sets the quantities of these products in the caller''s cart and returns the whole cart. Definer '
'because carts are written by their RPCs only; acts for auth.uid() alone.';

create or replace function public.add_to_cart(
    product_id uuid,
    channel public.product_channel,
    quantity integer,
    variant_id uuid default null
)
returns setof public.cart_items
language sql
set search_path = ''
as $$
    select * from private.set_cart_items(jsonb_build_array(jsonb_build_object(
        'product_id', add_to_cart.product_id,
        'channel', add_to_cart.channel,
        'quantity', add_to_cart.quantity,
        'variant_id', add_to_cart.variant_id
    )))
$$;

create or replace function public.merge_cart(items jsonb)
returns setof public.cart_items
language sql
set search_path = ''
as $$
    select * from private.set_cart_items(merge_cart.items)
$$;

create or replace function private.remove_cart_item(
    product_id uuid, channel public.product_channel, variant_id uuid
)
returns setof public.cart_items
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_cart_id uuid := private.lock_cart(private.require_user());
begin
    delete from public.cart_items as c
    where c.cart_id = v_cart_id
        and c.listing_id = remove_cart_item.product_id
        and c.channel = remove_cart_item.channel
        and c.variant_id is not distinct from remove_cart_item.variant_id;
    return query
    select c.*
    from public.cart_items as c
    where c.cart_id = v_cart_id
    order by c.created_at, c.line_id;
end
$$;

revoke all on function private.remove_cart_item(uuid, public.product_channel, uuid) from public;
grant execute on function private.remove_cart_item(uuid, public.product_channel, uuid)
to authenticated;

comment on function private.remove_cart_item(uuid, public.product_channel, uuid) is
'Removes a product from the caller''s cart and returns what is left. Definer because carts are '
'written by their RPCs only; acts for auth.uid() alone.';

create or replace function public.remove_from_cart(
    product_id uuid, channel public.product_channel, variant_id uuid default null
)
returns setof public.cart_items
language sql
set search_path = ''
as $$
    select *
    from private.remove_cart_item(
        remove_from_cart.product_id, remove_from_cart.channel, remove_from_cart.variant_id
    )
$$;

revoke all on function public.add_to_cart(uuid, public.product_channel, integer, uuid) from public;
revoke all on function public.merge_cart(jsonb) from public;
revoke all on function public.remove_from_cart(uuid, public.product_channel, uuid) from public;
grant execute on function public.add_to_cart(uuid, public.product_channel, integer, uuid)
to authenticated;
grant execute on function public.merge_cart(jsonb) to authenticated;
grant execute on function public.remove_from_cart(uuid, public.product_channel, uuid)
to authenticated;

comment on function public.add_to_cart(uuid, public.product_channel, integer, uuid) is
'Sets the quantity of a product, or of one of its variants, in the caller''s cart (twice the same '
'is once) and returns the cart. Errors: product_not_found, variant_not_found, variant_required (a '
'product with variants of different prices), quantity_invalid, quantity_below_minimum, '
'quantity_above_maximum, quantity_not_in_steps.';
comment on function public.merge_cart(jsonb) is
'Takes a guest''s cart over at sign-in: items [{product_id, channel, quantity, variant_id?}] set '
'the quantities, all or none. Errors as add_to_cart and order_items_invalid.';
comment on function public.remove_from_cart(uuid, public.product_channel, uuid) is
'Removes a product, or one of its variants, from the caller''s cart, if it is there, and returns '
'the cart.';

create or replace function private.release_order(
    order_id uuid, reason text
)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_order public.orders;
begin
    -- The caller holds the order's row lock; stock rows follow in id order, the promo code last.
    perform
    from public.product_stock as s
    where s.listing_id in (
        select coalesce(i.product_id, i.retailer_product_id)
        from public.order_items as i
        where i.order_id = release_order.order_id
    )
    order by s.listing_id
    for no key update;

    update public.orders as o
    set status = 'cancelled', cancelled_at = now(), cancel_reason = release_order.reason
    where o.id = release_order.order_id and o.status = 'pending'
    returning o.* into strict v_order;

    update public.product_stock as s
    set reserved = s.reserved - l.quantity, updated_at = now()
    from private.ordered_pieces(release_order.order_id) as l
    where s.listing_id = l.listing_id;
    perform private.count_variants(release_order.order_id, 0, -1);

    if v_order.promo_code_id is not null then
        perform private.release_promo_code(v_order.promo_code_id);
    end if;
    return v_order;
end
$$;

revoke all on function private.release_order(uuid, text) from public;

comment on function private.release_order(uuid, text) is
'Cancels a pending order and gives back what it held: stock and promo use. The caller holds the '
'order''s row lock.';

create or replace function private.lock_own_order(order_id uuid)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_order public.orders;
begin
    select o.* into v_order
    from public.orders as o
    where o.id = lock_own_order.order_id and o.user_id = v_user_id
    for no key update;
    if not found then
        perform private.fail('order_not_found', lock_own_order.order_id::text);
    end if;
    return v_order;
end
$$;

revoke all on function private.lock_own_order(uuid) from public;

comment on function private.lock_own_order(uuid) is
'The caller''s order, locked. Error: order_not_found, also for somebody else''s.';

create or replace function private.cancel_order(order_id uuid, reason text)
returns public.orders
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_own_order(cancel_order.order_id);
    v_reason text := coalesce(nullif(btrim(cancel_order.reason), ''), 'cancelled_by_customer');
begin
    v_reason := private.check_reason(v_reason);
    if v_order.status = 'cancelled' then
        return v_order;
    end if;
    if v_order.status = 'pending' then
        return private.release_order(v_order.id, v_reason);
    elsif v_order.status = 'paid' then
        return private.cancel_paid_order(v_order.id, v_reason);
    end if;
    perform private.fail('order_not_cancellable', v_order.status::text);
    return null;
end
$$;

create or replace function private.update_order_address(order_id uuid, address jsonb)
returns public.orders
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_order public.orders := private.lock_own_order(update_order_address.order_id);
    v_address jsonb;
begin
    if v_order.status <> 'pending' then
        perform private.fail('order_not_editable', v_order.status::text);
    end if;
    v_address := private.snapshot_address(
        v_order.user_id, update_order_address.address, v_order.country
    );
    if v_address is distinct from v_order.shipping_address then
        update public.orders as o
        set shipping_address = v_address
        where o.id = v_order.id
        returning o.* into v_order;
        perform private.log_order_event(v_order.id, v_order.user_id, 'address_changed');
    end if;
    return v_order;
end
$$;

revoke all on function private.cancel_order(uuid, text) from public;
revoke all on function private.update_order_address(uuid, jsonb) from public;
grant execute on function private.cancel_order(uuid, text) to authenticated;
grant execute on function private.update_order_address(uuid, jsonb) to authenticated;

comment on function private.cancel_order(uuid, text) is
'Core of cancel_order. Definer because orders have no write grant; only the owner''s order.';
comment on function private.update_order_address(uuid, jsonb) is
'Core of update_order_address. Definer because orders have no write grant; only the owner''s '
'order.';

create or replace function public.cancel_order(order_id uuid, reason text default null)
returns public.orders
language sql
set search_path = ''
as $$
    select private.cancel_order(cancel_order.order_id, cancel_order.reason)
$$;

create or replace function public.update_order_address(order_id uuid, address jsonb)
returns public.orders
language sql
set search_path = ''
as $$
    select private.update_order_address(
        update_order_address.order_id, update_order_address.address
    )
$$;

revoke all on function public.cancel_order(uuid, text) from public;
revoke all on function public.update_order_address(uuid, jsonb) from public;
grant execute on function public.cancel_order(uuid, text) to authenticated;
grant execute on function public.update_order_address(uuid, jsonb) to authenticated;

comment on function public.cancel_order(uuid, text) is
'Cancels the caller''s order before it is shipped: an unpaid one gives its stock and promo use '
'back, a paid one its stock, and its money is refunded. Cancelled twice is cancelled once. Errors: '
'order_not_found, order_not_cancellable, reason_invalid, card_number_refused.';
comment on function public.update_order_address(uuid, jsonb) is
'Changes where the caller''s unpaid order goes, within its country. Errors: order_not_found, '
'order_not_editable, address_invalid, address_not_found, address_country_mismatch.';

create or replace function private.cancel_paid_order(order_id uuid, reason text)
returns public.orders
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments;
    v_order public.orders;
begin
    -- The caller holds the order's row lock; the payment's follows, then stock in id order.
    select p.* into strict v_payment
    from public.payments as p
    where p.order_id = cancel_paid_order.order_id and p.is_winner
    for no key update;
    perform
    from public.product_stock as s
    where s.listing_id in (
        select coalesce(i.product_id, i.retailer_product_id)
        from public.order_items as i
        where i.order_id = cancel_paid_order.order_id
    )
    order by s.listing_id
    for no key update;

    update public.orders as o
    set status = 'cancelled', cancelled_at = now(), cancel_reason = cancel_paid_order.reason
    where o.id = cancel_paid_order.order_id
    returning o.* into strict v_order;
    update public.product_stock as s
    set on_hand = s.on_hand + l.quantity, updated_at = now()
    from private.ordered_pieces(v_order.id) as l
    where s.listing_id = l.listing_id;
    perform private.count_variants(v_order.id, 1, 0);

    if private.refund_open_amount(v_payment) > 0 then
        perform private.refund_payment(
            v_payment, null::numeric, null::jsonb, v_order.cancel_reason, auth.uid()
        );
    end if;
    perform private.return_promo_use(v_order.id);
    return v_order;
end
$$;

revoke all on function private.cancel_paid_order(uuid, text) from public;

comment on function private.cancel_paid_order(uuid, text) is
'Cancels a paid order that was not shipped: its pieces are for sale again, its promo use is given '
'back, and what is left of its money. The caller holds the order''s row lock.';

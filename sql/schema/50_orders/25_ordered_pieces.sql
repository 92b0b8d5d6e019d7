-- What an order takes from the shelf: variants of one product stand on one shelf.

create type private.ordered_listing as (
    listing_id uuid,
    quantity integer
);

comment on type private.ordered_listing is 'Pieces of a listing in an order, of all its variants.';

create or replace function private.ordered_pieces(order_id uuid)
returns setof private.ordered_listing
language plpgsql
stable
rows 3
set search_path = ''
as $$
begin
    return query
    select coalesce(i.product_id, i.retailer_product_id), sum(i.quantity)::integer
    from public.order_items as i
    where i.order_id = ordered_pieces.order_id
    group by 1;
end
$$;

create or replace function private.count_variants(
    order_id uuid, on_hand_sign integer, reserved_sign integer
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- The supplier's count may be newer than the order: it never falls below none, and what it does
    -- not say stays unsaid.
    update public.product_variants as v
    set on_hand = case
            when v.on_hand is not null
                then greatest(v.on_hand + count_variants.on_hand_sign * i.quantity, 0)
        end,
        reserved = v.reserved + count_variants.reserved_sign * i.quantity
    from public.order_items as i
    where i.order_id = count_variants.order_id and v.id = i.variant_id;
end
$$;

revoke all on function private.ordered_pieces(uuid) from public;
revoke all on function private.count_variants(uuid, integer, integer) from public;

comment on function private.ordered_pieces(uuid) is
'Pieces of each listing in an order.';
comment on function private.count_variants(uuid, integer, integer) is
'Counts the variants in an order on hand and reserved: signs 1, 0 or -1. The caller holds the '
'stock rows of their products. What an order gives back beyond what the supplier had when it was '
'paid stands until the next sync counts, and never sells more than the product''s own stock.';

-- What a client asks for, read.

create or replace function private.read_items(
    items jsonb,
    out listing_ids uuid [],
    out channels public.product_channel [],
    out quantities integer [],
    out variant_ids uuid []
)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_item jsonb;
begin
    if jsonb_typeof(read_items.items) is distinct from 'array' then
        perform private.fail('order_items_invalid', 'items is not an array');
    end if;
    if jsonb_array_length(read_items.items) > 500 then
        perform private.fail('order_items_invalid', 'more than 500 items');
    end if;
    for v_position in 0 .. jsonb_array_length(read_items.items) - 1 loop
        v_item := read_items.items -> v_position;
        -- The type first: as text a number may be ten thousand times its size.
        if jsonb_typeof(v_item -> 'product_id') is distinct from 'string'
            or (v_item ->> 'product_id')
            !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
            perform private.fail('order_items_invalid', format('items[%s].product_id', v_position));
        end if;
        if jsonb_typeof(v_item -> 'channel') is distinct from 'string'
            or (v_item ->> 'channel') not in ('retail', 'wholesale') then
            perform private.fail('order_items_invalid', format('items[%s].channel', v_position));
        end if;
        if jsonb_typeof(v_item -> 'quantity') is distinct from 'number'
            or (v_item ->> 'quantity') !~ '^[0-9]{1,5}$'
            or (v_item ->> 'quantity')::integer not between 1 and 10000 then
            perform private.fail('quantity_invalid', format('items[%s].quantity', v_position));
        end if;
        if jsonb_typeof(v_item -> 'variant_id') not in ('string', 'null')
            or (v_item ->> 'variant_id')
            !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
            perform private.fail('order_items_invalid', format('items[%s].variant_id', v_position));
        end if;
        listing_ids := listing_ids || (v_item ->> 'product_id')::uuid;
        channels := channels || (v_item ->> 'channel')::public.product_channel;
        quantities := quantities || (v_item ->> 'quantity')::integer;
        variant_ids := variant_ids || (v_item ->> 'variant_id')::uuid;
    end loop;
    -- Two lines of one product and variant are one demand: checked alone, each would pass.
    select
        array_agg(l.listing_id order by l.place), array_agg(l.channel order by l.place),
        array_agg(l.quantity order by l.place), array_agg(l.variant_id order by l.place)
    into listing_ids, channels, quantities, variant_ids
    from (
        select
            n.listing_id, n.channel, n.variant_id, min(n.place) as place,
            least(sum(n.quantity), 1000000)::integer as quantity
        from unnest(listing_ids, channels, quantities, variant_ids)
            with ordinality as n (listing_id, channel, quantity, variant_id, place)
        group by n.listing_id, n.channel, n.variant_id
    ) as l;
end
$$;

revoke all on function private.read_items(jsonb) from public;

comment on function private.read_items(jsonb) is
'items as arrays, one place a product and variant, quantities of the same summed. Keys other than '
'product_id, channel, quantity, variant_id are not read: prices come from nobody. Errors: '
'order_items_invalid, quantity_invalid.';

create or replace function private.input_text(input jsonb)
returns text
language sql
immutable
set search_path = ''
as $$
    -- Never the text of a number or an array: it may be ten thousand times its size.
    select
        case jsonb_typeof(input_text.input)
            when 'string' then left(input_text.input #>> '{}', 200)
            else nullif(jsonb_typeof(input_text.input), 'null')
        end
$$;

revoke all on function private.input_text(jsonb) from public;

comment on function private.input_text(jsonb) is
'What a refusal''s detail says of an input: a text, cut to 200 characters, else its kind.';

create or replace function private.snapshot_address(user_id uuid, address jsonb, country text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_address jsonb := snapshot_address.address;
    v_field text;
    v_limit integer;
begin
    if jsonb_typeof(v_address) is distinct from 'object' then
        perform private.fail('address_invalid', 'address is not an object');
    end if;
    if v_address ? 'id' then
        if jsonb_typeof(v_address -> 'id') is distinct from 'string'
            or (v_address ->> 'id')
            !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
            perform private.fail('address_not_found', private.input_text(v_address -> 'id'));
        end if;
        select to_jsonb(a) into v_address
        from public.addresses as a
        where a.id = (snapshot_address.address ->> 'id')::uuid
            and a.user_id = snapshot_address.user_id;
        if not found then
            perform private.fail('address_not_found', snapshot_address.address ->> 'id');
        end if;
    end if;
    v_address := jsonb_build_object('country', snapshot_address.country) || v_address;
    if v_address -> 'country' is distinct from to_jsonb(snapshot_address.country) then
        perform private.fail(
            'address_country_mismatch', private.input_text(v_address -> 'country')
        );
    end if;
    for v_field, v_limit in
        values ('recipient_name', 120), ('phone', 16), ('city', 120), ('district', 120),
            ('landmark', 200), ('line1', 200)
    loop
        if jsonb_typeof(v_address -> v_field) not in ('string', 'null')
            or (v_address ->> v_field) ~ '[[:cntrl:]]'
            or char_length(v_address ->> v_field) > v_limit
            or v_field in ('recipient_name', 'phone', 'city')
            and nullif(btrim(v_address ->> v_field), '') is null then
            perform private.fail('address_invalid', 'address.' || v_field);
        end if;
    end loop;
    if (v_address ->> 'phone') !~ '^\+[1-9][0-9]{6,14}$' then
        perform private.fail('address_invalid', 'address.phone');
    end if;
    if private.holds_card_number(
        concat_ws(
            ' / ', v_address ->> 'recipient_name', v_address ->> 'city', v_address ->> 'district',
            v_address ->> 'landmark', v_address ->> 'line1'
        )
    ) then
        perform private.fail('card_number_refused');
    end if;
    for v_field, v_limit in values ('latitude', 90), ('longitude', 180)
    loop
        if jsonb_typeof(v_address -> v_field) not in ('number', 'null')
            or abs((v_address ->> v_field)::numeric) > v_limit
            -- half a position is none
            or (v_address ->> v_field) is null
            and num_nonnulls(v_address ->> 'latitude', v_address ->> 'longitude') = 1 then
            perform private.fail('address_invalid', 'address.' || v_field);
        end if;
    end loop;
    if coalesce(
        nullif(btrim(v_address ->> 'line1'), ''), nullif(btrim(v_address ->> 'landmark'), ''),
        nullif(btrim(v_address ->> 'district'), ''), v_address ->> 'latitude'
    ) is null then
        perform private.fail('address_invalid', 'address.line1');
    end if;
    return jsonb_strip_nulls(jsonb_build_object(
        'recipient_name', v_address -> 'recipient_name',
        'phone', v_address -> 'phone',
        'country', v_address -> 'country',
        'city', v_address -> 'city',
        'district', v_address -> 'district',
        'landmark', v_address -> 'landmark',
        'line1', v_address -> 'line1',
        'latitude', round((v_address ->> 'latitude')::numeric, 6),
        'longitude', round((v_address ->> 'longitude')::numeric, 6)
    ));
end
$$;

revoke all on function private.snapshot_address(uuid, jsonb, text) from public;

comment on function private.snapshot_address(uuid, jsonb, text) is
'The copy an order keeps of {id} or of the fields, checked. Errors: address_invalid (detail names '
'the field), address_not_found, address_country_mismatch, card_number_refused.';

create or replace function private.hold_duration()
returns interval
language sql
immutable
set search_path = ''
as $$
    select interval '30 minutes'
$$;

revoke all on function private.hold_duration() from public;

comment on function private.hold_duration() is
'How long an unpaid order holds stock and promo use: longer than any rail''s own time-out.';

create or replace function private.place_order(
    idempotency_key text,
    country text,
    address jsonb,
    promo_code text,
    items jsonb,
    expected_total numeric
)
returns public.orders
language plpgsql
security definer
set search_path = ''
-- An array's length is unknown to a generic plan, and without this each call would plan anew.
set plan_cache_mode = 'force_generic_plan'
as $$
declare
    v_user_id uuid := private.require_user();
    v_request jsonb := jsonb_build_array(
        place_order.country, place_order.address, place_order.promo_code, place_order.items,
        place_order.expected_total
    );
    -- The binary value, never its text: 1e131071 is eight bytes as jsonb and 131,072 as text.
    v_hash bytea := int8send(jsonb_hash_extended(v_request, 0))
        || int8send(jsonb_hash_extended(v_request, 1));
    v_replay jsonb;
    v_cart_id uuid;
    v_ids uuid [];
    v_channels public.product_channel [];
    v_quantities integer [];
    v_variants uuid [];
    v_quote private.quote;
    v_line private.order_line;
    v_taxes numeric [];
    v_order public.orders;
begin
    v_replay := private.replay_idempotent(
        v_user_id, 'place_order', place_order.idempotency_key, v_hash
    );
    if v_replay is not null then
        return jsonb_populate_record(null::public.orders, v_replay);
    end if;

    -- The person's bucket before their cart, as in quote_cart.
    if nullif(btrim(place_order.promo_code), '') is not null then
        perform private.require_promo_guess(v_user_id);
    end if;
    if place_order.items is null then
        v_cart_id := private.lock_cart(v_user_id);
        select
            array_agg(c.listing_id order by c.created_at, c.line_id),
            array_agg(c.channel order by c.created_at, c.line_id),
            array_agg(c.quantity order by c.created_at, c.line_id),
            array_agg(c.variant_id order by c.created_at, c.line_id)
        into v_ids, v_channels, v_quantities, v_variants
        from public.cart_items as c
        where c.cart_id = v_cart_id;
    else
        select i.* into v_ids, v_channels, v_quantities, v_variants
        from private.read_items(place_order.items) as i;
    end if;
    if v_ids is null then
        perform private.fail('cart_empty');
    end if;

    -- Everyone takes stock rows in id order, so nobody waits in a circle.
    perform
    from public.product_stock as s
    where s.listing_id = any(v_ids)
    order by s.listing_id
    for no key update;

    v_quote := private.compute_quote(
        v_user_id, v_ids, v_channels, v_quantities, place_order.country, place_order.promo_code,
        v_variants
    );
    foreach v_line in array v_quote.lines loop
        if v_line.problem is not null then
            perform private.fail(v_line.problem, v_line.problem_detail);
        end if;
    end loop;
    if v_quote.promo_problem is not null then
        perform private.fail(v_quote.promo_problem, left(place_order.promo_code, 200));
    end if;
    if place_order.expected_total is distinct from v_quote.total
        and place_order.expected_total is not null then
        perform private.fail('total_changed', private.quote_as_json(v_quote)::text);
    end if;
    if v_quote.total <= 0 then
        perform private.fail('order_total_too_small', v_quote.total::text);
    end if;

    -- The last part is the tax contained in shipping.
    v_taxes := private.split_money(
        v_quote.tax,
        array(
            select l.quantity * l.unit_price - d.discount
            from unnest(v_quote.lines) with ordinality as l
            inner join unnest(v_quote.line_discounts) with ordinality as d (discount, position)
                on l.ordinality = d.position
            order by l.ordinality
        ) || v_quote.shipping::numeric,
        v_quote.currency
    );

    insert into public.orders as o (
        user_id, country, currency, language, subtotal_price, discount_amount, shipping_amount,
        duty_amount, tax_amount, shipping_tax_amount, total_price, promo_code_id, promo_code,
        shipping_address, expires_at, exchange_rate, exchange_rate_source, exchange_rate_at
    )
    select
        v_user_id, v_quote.country, v_quote.currency, u.language, v_quote.subtotal,
        v_quote.discount, v_quote.shipping, v_quote.duty, v_quote.tax,
        v_taxes[cardinality(v_taxes)], v_quote.total, v_quote.promo_code_id, v_quote.promo_code,
        private.snapshot_address(v_user_id, place_order.address, place_order.country),
        now() + private.hold_duration(), v_quote.exchange_rate, v_quote.exchange_rate_source,
        v_quote.exchange_rate_at
    from public.users as u
    where u.id = v_user_id
    returning o.* into v_order;

    insert into public.order_items (
        order_id, user_id, line_number, product_id, retailer_product_id, variant_id, name, name_fr,
        quantity, unit_price, discount_amount, tax_amount, currency
    )
    select
        v_order.id, v_user_id, l.line_number,
        case when l.channel = 'retail' then l.listing_id end,
        case when l.channel = 'wholesale' then l.listing_id end,
        l.variant_id, l.name, l.name_fr, l.quantity, l.unit_price,
        v_quote.line_discounts[l.line_number], v_taxes[l.line_number], v_quote.currency
    from unnest(v_quote.lines) as l;

    update public.product_stock as s
    set reserved = s.reserved + l.quantity, updated_at = now()
    from (
        select n.listing_id, sum(n.quantity)::integer as quantity
        from unnest(v_quote.lines) as n
        group by n.listing_id
    ) as l
    where s.listing_id = l.listing_id;
    if array_remove(v_variants, null) <> '{}' then
        update public.product_variants as v
        set reserved = v.reserved + l.quantity
        from unnest(v_quote.lines) as l
        where v.id = l.variant_id;
    end if;

    if v_cart_id is not null then
        delete from public.cart_items as c where c.cart_id = v_cart_id;
    end if;
    perform private.emit_placed(v_order);
    insert into private.idempotency_keys (
        user_id, operation, idempotency_key, request_hash, response
    )
    values (
        v_user_id, 'place_order', place_order.idempotency_key, v_hash, to_jsonb(v_order)
    );
    -- The hottest row, a code that everybody uses, is taken last and held shortest.
    if v_order.promo_code_id is not null then
        perform private.reserve_promo_code(v_order.promo_code_id, v_user_id);
    end if;
    return v_order;
end
$$;

revoke all on function private.place_order(text, text, jsonb, text, jsonb, numeric) from public;
grant execute on function private.place_order(text, text, jsonb, text, jsonb, numeric)
to authenticated;

comment on function private.place_order(text, text, jsonb, text, jsonb, numeric) is
'Core of place_order. Definer because orders, stock and promo uses have no write grant; takes the '
'owner from auth.uid() and prices from product_prices, never from an argument.';

create or replace function public.place_order(
    idempotency_key text,
    country text,
    address jsonb,
    promo_code text default null,
    items jsonb default null,
    expected_total numeric default null
)
returns public.orders
language plpgsql
set search_path = ''
as $$
begin
    return private.place_order(
        place_order.idempotency_key, place_order.country, place_order.address,
        place_order.promo_code, place_order.items, place_order.expected_total
    );
end
$$;

revoke all on function public.place_order(text, text, jsonb, text, jsonb, numeric) from public;
grant execute on function public.place_order(text, text, jsonb, text, jsonb, numeric)
to authenticated;

comment on function public.place_order(text, text, jsonb, text, jsonb, numeric) is
'Places an order in one transaction: prices it, holds stock and promo use for 30 minutes, returns '
'the order. items [{product_id, channel, quantity, variant_id?}], null = the cart. address {id} or '
'{recipient_name, phone, city, line1 | landmark | district, …}. The same idempotency_key and body '
'answer the same again. Errors: authentication_required, idempotency_key_invalid, '
'idempotency_key_reused, cart_empty, order_items_invalid, quantity_invalid, product_not_found, '
'variant_not_found, variant_required (a product with variants of different prices), '
'product_not_sold_in_country, quantity_below_minimum, quantity_above_maximum (of a product in all '
'its lines), quantity_not_in_steps, stock_insufficient, country_unknown, shipping_unavailable, '
'address_invalid, address_not_found, address_country_mismatch, card_number_refused, '
'promo_code_* (as check_promo_code), '
'total_changed (details hold the new quote), order_total_too_small, order_total_too_large, '
'rate_limit_exceeded.';

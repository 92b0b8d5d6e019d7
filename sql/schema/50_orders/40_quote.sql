create type private.quote as (
    country text,
    currency text,
    lines private.order_line [],
    subtotal numeric(12, 2),
    promo_code_id uuid,
    promo_code text,
    promo_problem text,
    discount numeric(12, 2),
    line_discounts numeric [],
    shipping numeric(12, 2),
    duty numeric(12, 2),
    tax numeric(12, 2),
    total numeric(12, 2),
    exchange_rate numeric(18, 8),
    exchange_rate_source text,
    exchange_rate_at timestamptz
);

comment on type private.quote is
'What lines cost in a country: every amount in currency, tax included in the others. '
'line_discounts are the parts of discount, line by line. exchange_rate is the units of currency '
'that new prices reckon for one dollar, as its source quoted it.';

create or replace function private.discount_rooms(lines private.order_line [], country text)
returns numeric []
language plpgsql
stable
set search_path = ''
as $$
begin
    return array(
        select
            case
                when l.problem is null
                    then l.quantity * greatest(
                        l.unit_price - coalesce(
                            private.round_price(
                                f.amount * coalesce(v.price_ratio, 1), l.currency
                            ), 0
                        ), 0
                    )
                else 0::numeric
            end
        from unnest(discount_rooms.lines) as l
        left join private.price_floors as f
            on l.listing_id = f.listing_id and f.country = discount_rooms.country
        left join public.product_variants as v on l.variant_id = v.id
        order by l.line_number
    );
end
$$;

create or replace function private.split_discount(
    discount numeric,
    is_percent boolean,
    lines private.order_line [],
    country text,
    currency text
)
returns numeric []
language plpgsql
stable
set search_path = ''
as $$
declare
    v_rooms numeric [] := private.discount_rooms(split_discount.lines, split_discount.country);
    v_weights numeric [] := array(
        select case when l.problem is null then l.quantity * l.unit_price else 0::numeric end
        from unnest(split_discount.lines) as l
        order by l.line_number
    );
    v_left numeric := case
        when split_discount.is_percent then split_discount.discount
        else least(
            split_discount.discount,
            (select coalesce(sum(r.room), 0) from unnest(v_rooms) as r (room))
        )
    end;
    v_parts numeric [] := array_fill(0::numeric, array[cardinality(v_rooms)]);
    v_more numeric [];
begin
    -- By what the lines cost; what a line has no room for goes to those that have, unless it was
    -- to be so many percent of each. A round hands out all that is left or fills another line.
    while v_left > 0 loop
        v_more := private.split_money(v_left, v_weights, split_discount.currency);
        for v_line in 1 .. cardinality(v_rooms) loop
            v_more[v_line] := least(v_more[v_line], v_rooms[v_line] - v_parts[v_line]);
            v_parts[v_line] := v_parts[v_line] + v_more[v_line];
            v_left := v_left - v_more[v_line];
            if v_parts[v_line] >= v_rooms[v_line] then
                v_weights[v_line] := 0::numeric;
            end if;
        end loop;
        exit when split_discount.is_percent;
    end loop;
    return v_parts;
end
$$;

revoke all on function private.discount_rooms(private.order_line [], text) from public;
revoke all on function private.split_discount(
    numeric, boolean, private.order_line [], text, text
) from public;

comment on function private.discount_rooms(private.order_line [], text) is
'What a promo code can take off each line at most before it is sold below its floor.';
comment on function private.split_discount(
    numeric, boolean, private.order_line [], text, text
) is
'A discount line by line, by what they cost and none below its floor: less than asked for where '
'there is no room for more.';

create or replace function private.compute_quote(
    user_id uuid,
    listing_ids uuid [],
    channels public.product_channel [],
    quantities integer [],
    country text,
    promo_code text,
    variant_ids uuid []
)
returns private.quote
language plpgsql
stable
set search_path = ''
as $$
declare
    v_quote private.quote;
    v_promo record;
    v_tax_rate numeric;
    v_subtotal numeric;
begin
    select c.code, c.currency, r.per_dollar, r.source, r.quoted_at
    into
        v_quote.country, v_quote.currency, v_quote.exchange_rate, v_quote.exchange_rate_source,
        v_quote.exchange_rate_at
    from public.countries as c
    left join private.pricing_rates as r on c.currency = r.currency
    where c.code = compute_quote.country;
    if not found then
        perform private.fail('country_unknown', left(compute_quote.country, 200));
    end if;

    select
        coalesce(array_agg(l order by l.line_number), '{}'),
        coalesce(sum(l.quantity * l.unit_price) filter (where l.problem is null), 0)
    into v_quote.lines, v_subtotal
    from private.price_lines(
        compute_quote.listing_ids, compute_quote.channels, compute_quote.quantities,
        compute_quote.country, compute_quote.variant_ids
    ) as l;
    -- With what is added to it no more than numeric(12, 2) holds.
    if v_subtotal >= 9000000000 then
        perform private.fail('order_total_too_large', v_subtotal::text);
    end if;
    v_quote.subtotal := v_subtotal;

    v_quote.discount := 0;
    v_quote.line_discounts := array_fill(0::numeric, array[cardinality(v_quote.lines)]);
    if nullif(btrim(compute_quote.promo_code), '') is not null then
        select * into v_promo
        from private.resolve_promo_code(
            compute_quote.promo_code, compute_quote.user_id, v_quote.currency, v_quote.subtotal
        );
        v_quote.promo_code_id := v_promo.promo_code_id;
        v_quote.promo_code := v_promo.promo_code;
        v_quote.promo_problem := v_promo.problem;
        -- No code takes a piece below what it may be sold for.
        if v_promo.discount > 0 then
            v_quote.line_discounts := private.split_discount(
                v_promo.discount, v_promo.is_percent, v_quote.lines, v_quote.country, v_quote.currency
            );
            v_quote.discount := (
                select sum(d.discount) from unnest(v_quote.line_discounts) as d (discount)
            );
        end if;
    end if;

    select
        case
            when v_quote.subtotal = 0 then 0
            when r.free_from is not null and v_quote.subtotal - v_quote.discount >= r.free_from
                then 0
            else r.amount
        end
    into v_quote.shipping
    from public.shipping_rates as r
    where r.country = compute_quote.country
        and daterange(r.valid_from, r.valid_until) @> current_date;
    if not found then
        perform private.fail('shipping_unavailable', compute_quote.country);
    end if;

    -- The last that began: prices are made with it until another does.
    select t.rate into v_tax_rate
    from public.tax_rates as t
    where t.country = compute_quote.country and t.valid_from <= current_date
    order by t.valid_from desc
    limit 1;
    v_quote.duty := 0;
    v_quote.total := v_quote.subtotal - v_quote.discount + v_quote.shipping + v_quote.duty;
    v_quote.tax := coalesce(private.round_money(
        v_quote.total * v_tax_rate / (1 + v_tax_rate), v_quote.currency
    ), 0);
    return v_quote;
end
$$;

create or replace function private.variant_key(variant_id uuid)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
begin
    if variant_key.variant_id is null then
        return '{}'::jsonb;
    end if;
    return jsonb_build_object('variant_id', variant_key.variant_id);
end
$$;

create or replace function private.quote_as_json(quote private.quote)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select
        jsonb_build_object(
            'country', quote_as_json.quote.country,
            'currency', quote_as_json.quote.currency,
            'lines', coalesce(
                (
                    select
                        jsonb_agg(
                            jsonb_build_object(
                                'product_id', l.listing_id,
                                'channel', l.channel,
                                'name',
                                case
                                    when private.caller_language() = 'fr'
                                        then coalesce(l.name_fr, l.name)
                                    else l.name
                                end,
                                'quantity', l.quantity,
                                'list_price', l.list_price,
                                'unit_price', l.unit_price,
                                'subtotal', l.quantity * l.unit_price,
                                'available', l.available,
                                'problem', l.problem
                            ) || private.variant_key(l.variant_id)
                            order by l.line_number
                        )
                    from unnest(quote_as_json.quote.lines) as l
                ), '[]'
            ),
            'subtotal', quote_as_json.quote.subtotal,
            'promo_code', quote_as_json.quote.promo_code,
            'promo_problem', quote_as_json.quote.promo_problem,
            'discount', quote_as_json.quote.discount,
            'shipping', quote_as_json.quote.shipping,
            'duty', quote_as_json.quote.duty,
            'tax', quote_as_json.quote.tax,
            'total', quote_as_json.quote.total,
            'exchange_rate', quote_as_json.quote.exchange_rate,
            'exchange_rate_source', quote_as_json.quote.exchange_rate_source,
            'exchange_rate_at', quote_as_json.quote.exchange_rate_at
        )
$$;

revoke all on function private.compute_quote(
    uuid, uuid [], public.product_channel [], integer [], text, text, uuid []
) from public;
revoke all on function private.quote_as_json(private.quote) from public;
revoke all on function private.variant_key(uuid) from public;

comment on function private.compute_quote(
    uuid, uuid [], public.product_channel [], integer [], text, text, uuid []
) is
'Prices lines for a person in a country. A line or promo code that does not hold carries its '
'problem and counts nothing. Errors: country_unknown, shipping_unavailable, '
'order_total_too_large.';
comment on function private.variant_key(uuid) is
'{variant_id} of a line that names one, {} of any other.';
comment on function private.quote_as_json(private.quote) is
'A quote as RPCs answer it: {country, currency, lines, subtotal, promo_code, promo_problem, '
'discount, shipping, duty, tax (contained), total, exchange_rate (units of currency for one '
'dollar), exchange_rate_source, exchange_rate_at}.';

create or replace function private.quote_cart(country text, promo_code text)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_user_id uuid := private.require_user();
    v_cart_id uuid;
    v_ids uuid [];
    v_channels public.product_channel [];
    v_quantities integer [];
    v_variants uuid [];
    v_quote private.quote;
    v_changes jsonb;
begin
    if nullif(btrim(quote_cart.promo_code), '') is not null then
        perform private.require_promo_guess(v_user_id);
    end if;
    v_cart_id := private.lock_cart(v_user_id);
    select
        coalesce(array_agg(c.listing_id order by c.created_at, c.line_id), '{}'),
        coalesce(array_agg(c.channel order by c.created_at, c.line_id), '{}'),
        coalesce(array_agg(c.quantity order by c.created_at, c.line_id), '{}'),
        coalesce(array_agg(c.variant_id order by c.created_at, c.line_id), '{}')
    into v_ids, v_channels, v_quantities, v_variants
    from public.cart_items as c
    where c.cart_id = v_cart_id;

    v_quote := private.compute_quote(
        v_user_id, v_ids, v_channels, v_quantities, quote_cart.country, quote_cart.promo_code,
        v_variants
    );
    perform private.count_promo_guess(v_user_id, v_quote.promo_problem);

    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'product_id', l.listing_id,
                    'channel', l.channel,
                    'kind', coalesce(l.problem, 'price_changed'),
                    'seen_unit_price', c.seen_unit_price,
                    'unit_price', l.unit_price,
                    'available', l.available
                ) || private.variant_key(l.variant_id)
                order by l.line_number
            ), '[]'
        )
    into v_changes
    from unnest(v_quote.lines) as l
    inner join public.cart_items as c
        on c.cart_id = v_cart_id and coalesce(l.variant_id, l.listing_id) = c.line_id
    where l.problem is not null
        or c.seen_currency = l.currency and c.seen_unit_price is distinct from l.unit_price;

    update public.cart_items as c
    set seen_unit_price = l.unit_price, seen_currency = l.currency
    from unnest(v_quote.lines) as l
    where c.cart_id = v_cart_id
        and c.line_id = coalesce(l.variant_id, l.listing_id)
        and l.unit_price is not null
        and (c.seen_unit_price, c.seen_currency) is distinct from (l.unit_price, l.currency);

    return private.quote_as_json(v_quote) || jsonb_build_object('changes', v_changes);
end
$$;

revoke all on function private.quote_cart(text, text) from public;
grant execute on function private.quote_cart(text, text) to authenticated;

comment on function private.quote_cart(text, text) is
'Core of quote_cart. Definer because it remembers the prices shown; acts for auth.uid() alone.';

create or replace function public.quote_cart(country text, promo_code text default null)
returns jsonb
language sql
set search_path = ''
as $$
    select private.quote_cart(quote_cart.country, quote_cart.promo_code)
$$;

revoke all on function public.quote_cart(text, text) from public;
grant execute on function public.quote_cart(text, text) to authenticated;

comment on function public.quote_cart(text, text) is
'The caller''s cart, priced: {country, currency, lines, subtotal, promo_code, promo_problem, '
'discount, shipping, duty, tax, total, exchange_rate (units of currency that prices reckon for '
'one dollar), exchange_rate_source, exchange_rate_at, changes}. changes says what differs from the '
'last quote: kind is price_changed or the line''s problem. Errors: country_unknown, '
'order_total_too_large, rate_limit_exceeded.';

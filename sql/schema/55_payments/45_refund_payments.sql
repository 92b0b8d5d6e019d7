create or replace function private.share_of_units(
    total numeric, units integer, taken integer, currency text
)
returns numeric
language sql
stable
set search_path = ''
as $$
    -- The first of equal pieces carry what does not divide: any cut of the pieces sums to the total.
    select p.part * share_of_units.taken
        + least(
            share_of_units.taken, (share_of_units.total - p.part * share_of_units.units) / p.step
        ) * p.step
    from (
        select
            s.step,
            trunc(share_of_units.total / share_of_units.units / s.step) * s.step as part
        from (
            select 10::numeric ^ -c.minor_unit as step
            from public.currencies as c
            where c.code = share_of_units.currency
        ) as s
    ) as p
$$;

create or replace function private.refundable_items(order_id uuid)
returns table (
    order_item_id uuid,
    line_number smallint,
    quantity integer,
    refunded integer,
    total numeric,
    tax numeric
)
language plpgsql
stable
set search_path = ''
as $$
declare
    v_order public.orders;
    v_weights numeric [];
    v_carriage numeric [];
    v_carriage_tax numeric [];
begin
    select o.* into strict v_order from public.orders as o where o.id = refundable_items.order_id;
    select array_agg(i.subtotal order by i.line_number) into v_weights
    from public.order_items as i
    where i.order_id = v_order.id;
    v_carriage := private.split_money(
        v_order.shipping_amount + v_order.duty_amount, v_weights, v_order.currency
    );
    v_carriage_tax := private.split_money(
        v_order.shipping_tax_amount, v_weights, v_order.currency
    );
    return query
    select
        i.id,
        i.line_number,
        i.quantity,
        coalesce(r.quantity, 0)::integer,
        i.subtotal - i.discount_amount + c.carriage,
        i.tax_amount + c.carriage_tax
    from (
        select x.*, row_number() over (order by x.line_number) as position
        from public.order_items as x
        where x.order_id = v_order.id
    ) as i
    inner join unnest(v_carriage, v_carriage_tax) with ordinality
        as c (carriage, carriage_tax, position) on i.position = c.position
    left join lateral (
        select sum(y.quantity) as quantity
        from public.refund_items as y
        inner join public.refunds as f on y.refund_id = f.id
        where y.order_item_id = i.id and f.status in ('pending', 'processing', 'refunded')
    ) as r on true
    order by i.line_number;
end
$$;

create or replace function private.refund_as_json(refund public.refunds)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_build_object(
        'refund_id', refund_as_json.refund.id,
        'payment_id', refund_as_json.refund.payment_id,
        'order_id', refund_as_json.refund.order_id,
        'gateway', refund_as_json.refund.gateway,
        'way', refund_as_json.refund.way,
        'reference', refund_as_json.refund.reference,
        'amount', refund_as_json.refund.amount,
        'tax_amount', refund_as_json.refund.tax_amount,
        'currency', refund_as_json.refund.currency,
        'status', refund_as_json.refund.status,
        'reason', refund_as_json.refund.reason,
        'failure_reason', refund_as_json.refund.failure_reason,
        'items', coalesce((
            select
                jsonb_agg(
                    jsonb_build_object(
                        'order_item_id', i.order_item_id, 'quantity', i.quantity,
                        'amount', i.amount, 'tax_amount', i.tax_amount
                    )
                    order by i.order_item_id
                )
            from public.refund_items as i
            where i.refund_id = refund_as_json.refund.id
        ), '[]'),
        'created_at', refund_as_json.refund.created_at,
        'refunded_at', refund_as_json.refund.refunded_at
    )
$$;

create or replace function private.refund_open_amount(payment public.payments)
returns numeric
language sql
stable
set search_path = ''
as $$
    select coalesce(
            refund_open_amount.payment.collected_amount, refund_open_amount.payment.amount
        )
        - coalesce((
            select sum(r.amount)
            from public.refunds as r
            where r.payment_id = refund_open_amount.payment.id
                and r.status in ('pending', 'processing', 'refunded')
        ), 0)
$$;

create or replace function private.is_refund_left(refund public.refunds)
returns boolean
language sql
stable
set search_path = ''
as $$
    -- Its sum and its pieces are still there to be given back: no other refund has taken them.
    select
        is_refund_left.refund.amount <= private.refund_open_amount(p)
        + case
            when is_refund_left.refund.status in ('pending', 'processing')
                then is_refund_left.refund.amount
            else 0
        end
        and not exists (
            select
            from public.refund_items as i
            inner join private.refundable_items(p.order_id) as l
                on i.order_item_id = l.order_item_id
            where i.refund_id = is_refund_left.refund.id
                and is_refund_left.refund.status = 'failed'
                and l.refunded + i.quantity > l.quantity
        )
    from public.payments as p
    where p.id = is_refund_left.refund.payment_id
$$;

create or replace function private.refund_tax(payment public.payments, amount numeric)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
declare
    v_order public.orders;
    v_left numeric;
begin
    -- Tax goes back in the sale's proportion, the last refund takes the rest; money that bought
    -- nothing bore none.
    if not refund_tax.payment.is_winner then
        return 0;
    end if;
    select o.* into strict v_order
    from public.orders as o where o.id = refund_tax.payment.order_id;
    select v_order.tax_amount - coalesce(sum(r.tax_amount), 0) into v_left
    from public.refunds as r
    where r.payment_id = refund_tax.payment.id
        and r.status in ('pending', 'processing', 'refunded');
    if refund_tax.amount >= private.refund_open_amount(refund_tax.payment) then
        return greatest(least(v_left, refund_tax.amount), 0);
    end if;
    return greatest(least(
        private.round_money(
            refund_tax.amount * v_order.tax_amount / v_order.total_price, v_order.currency
        ),
        v_left, refund_tax.amount
    ), 0);
end
$$;

create or replace function private.create_refund(
    payment public.payments,
    amount numeric,
    tax_amount numeric,
    reason text,
    requested_by uuid,
    way text default null,
    is_done boolean default false
)
returns public.refunds
language plpgsql
set search_path = ''
as $$
declare
    v_gateway private.payment_gateways;
    v_way text := create_refund.way;
    v_refund public.refunds;
begin
    select g.* into strict v_gateway
    from private.payment_gateways as g where g.code = create_refund.payment.gateway;
    v_way := coalesce(v_way, v_gateway.refund_way);
    if v_way = 'payout' and (
        create_refund.payment.payer_account is null or v_gateway.payout_gateway is null
    ) then
        v_way := 'manual';
    end if;
    insert into public.refunds as r (
        payment_id, order_id, user_id, gateway, way, amount, tax_amount, currency, reason,
        requested_by, next_check_at
    )
    values (
        create_refund.payment.id, create_refund.payment.order_id, create_refund.payment.user_id,
        case when v_way = 'payout' then v_gateway.payout_gateway else v_gateway.code end,
        v_way, create_refund.amount, create_refund.tax_amount,
        coalesce(create_refund.payment.collected_currency, create_refund.payment.currency),
        create_refund.reason, create_refund.requested_by,
        -- found by the sweep should the job that sends it be lost
        case when v_way <> 'manual' and not create_refund.is_done then now() end
    )
    returning r.* into v_refund;
    perform private.log_payment_event(
        create_refund.payment, 'refund_requested',
        jsonb_build_object(
            'amount', v_refund.amount, 'currency', v_refund.currency, 'way', v_refund.way,
            'reason', v_refund.reason
        ),
        refund_id => v_refund.id
    );
    if create_refund.is_done then
        return v_refund;
    end if;
    if v_way = 'manual' then
        perform private.open_payment_exception(
            kind => 'manual_refund', refund_id => v_refund.id, detail => v_refund.reason
        );
    else
        perform private.emit(
            'send_refund', jsonb_build_object('refund_id', v_refund.id),
            'send_refund/' || v_refund.id, wakes_relay => true
        );
    end if;
    return v_refund;
end
$$;

create or replace function private.return_money(payment public.payments)
returns uuid
language plpgsql
set search_path = ''
as $$
declare
    v_gateway private.payment_gateways;
    v_amount numeric := private.refund_open_amount(return_money.payment);
    v_refund public.refunds;
begin
    select g.* into strict v_gateway
    from private.payment_gateways as g where g.code = return_money.payment.gateway;
    if v_amount <= 0
        or v_gateway.refund_way = 'manual'
        or (v_gateway.refund_way = 'payout' and return_money.payment.payer_account is null) then
        return null;
    end if;
    v_refund := private.create_refund(
        return_money.payment, v_amount, 0::numeric, 'paid_without_effect', null
    );
    return v_refund.id;
end
$$;

create or replace function private.refund_payment(
    payment public.payments,
    amount numeric,
    items jsonb,
    reason text,
    requested_by uuid
)
returns public.refunds
language plpgsql
set search_path = ''
as $$
declare
    v_payment public.payments := refund_payment.payment;
    v_open numeric := private.refund_open_amount(refund_payment.payment);
    v_currency text := coalesce(v_payment.collected_currency, v_payment.currency);
    v_amount numeric;
    v_tax numeric := 0::numeric;
    v_refund public.refunds;
    v_items jsonb;
begin
    -- The caller holds the locks of the order and the payment.
    if v_payment.paid_at is null or v_open <= 0 then
        perform private.fail('payment_not_refundable', v_payment.status::text);
    end if;
    if refund_payment.items is not null then
        v_items := private.price_refund_items(v_payment, refund_payment.items);
        select sum((i ->> 'amount')::numeric), sum((i ->> 'tax_amount')::numeric)
        into v_amount, v_tax
        from jsonb_array_elements(v_items) as i;
        if refund_payment.amount is distinct from v_amount and refund_payment.amount is not null then
            perform private.fail('refund_amount_invalid', v_amount::text);
        end if;
    else
        v_amount := coalesce(refund_payment.amount, v_open);
    end if;
    if v_amount is null
        or v_amount <= 0
        or v_amount is distinct from coalesce(
            private.round_money(v_amount, v_currency), round(v_amount, 2)
        ) then
        perform private.fail('refund_amount_invalid', v_amount::text);
    end if;
    if v_amount > v_open then
        perform private.fail(
            'refund_amount_too_large',
            jsonb_build_object('left', v_open, 'currency', v_currency)::text
        );
    end if;
    if v_items is null or v_amount = v_open then
        v_tax := private.refund_tax(v_payment, v_amount);
    else
        v_tax := least(v_tax, private.refund_tax(v_payment, v_open));
    end if;

    v_refund := private.create_refund(
        v_payment, v_amount, v_tax, refund_payment.reason, refund_payment.requested_by
    );
    insert into public.refund_items (
        refund_id, order_item_id, quantity, amount, tax_amount, currency
    )
    select
        v_refund.id, (i ->> 'order_item_id')::uuid, (i ->> 'quantity')::integer,
        (i ->> 'amount')::numeric, (i ->> 'tax_amount')::numeric, v_refund.currency
    from jsonb_array_elements(coalesce(v_items, '[]')) as i;
    return v_refund;
end
$$;

create or replace function private.price_refund_items(payment public.payments, items jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    v_item jsonb;
    v_line record;
    v_quantity integer;
    v_priced jsonb := '[]'::jsonb;
begin
    if not price_refund_items.payment.is_winner
        or jsonb_typeof(price_refund_items.items) <> 'array'
        or jsonb_array_length(price_refund_items.items) not between 1 and 100 then
        perform private.fail('refund_items_invalid');
    end if;
    for v_item in select i.value from jsonb_array_elements(price_refund_items.items) as i loop
        select r.* into v_line
        from private.refundable_items(price_refund_items.payment.order_id) as r
        where r.order_item_id::text = v_item ->> 'order_item_id';
        if not found
            or jsonb_typeof(v_item -> 'quantity') is distinct from 'number'
            or v_item ->> 'quantity' !~ '^[1-9][0-9]{0,8}$'
            or jsonb_path_exists(
                v_priced, '$[*] ? (@.order_item_id == $id)',
                jsonb_build_object('id', v_line.order_item_id)
            ) then
            perform private.fail(
                'refund_items_invalid',
                format('items[%s].%s', jsonb_array_length(v_priced),
                    case when v_line.order_item_id is null then 'order_item_id'
                        else 'quantity' end)
            );
        end if;
        v_quantity := (v_item ->> 'quantity')::integer;
        if v_line.refunded + v_quantity > v_line.quantity then
            perform private.fail(
                'refund_items_invalid', format('items[%s].quantity', jsonb_array_length(v_priced))
            );
        end if;
        v_priced := v_priced || jsonb_build_object(
            'order_item_id', v_line.order_item_id,
            'quantity', v_quantity,
            'amount', private.share_of_units(
                v_line.total, v_line.quantity, v_line.refunded + v_quantity,
                price_refund_items.payment.currency
            ) - private.share_of_units(
                v_line.total, v_line.quantity, v_line.refunded,
                price_refund_items.payment.currency
            ),
            'tax_amount', private.share_of_units(
                v_line.tax, v_line.quantity, v_line.refunded + v_quantity,
                price_refund_items.payment.currency
            ) - private.share_of_units(
                v_line.tax, v_line.quantity, v_line.refunded,
                price_refund_items.payment.currency
            )
        );
    end loop;
    return v_priced;
end
$$;

create or replace function private.check_reason(reason text)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_reason text := btrim(check_reason.reason);
begin
    if v_reason is null
        or v_reason = ''
        or v_reason ~ '[[:cntrl:]]'
        or char_length(v_reason) > 300 then
        perform private.fail('reason_invalid', left(check_reason.reason, 200));
    end if;
    if private.holds_card_number(v_reason) then
        perform private.fail('card_number_refused');
    end if;
    return v_reason;
end
$$;

revoke all on function private.share_of_units(numeric, integer, integer, text) from public;
revoke all on function private.refundable_items(uuid) from public;
revoke all on function private.refund_as_json(public.refunds) from public;
revoke all on function private.refund_open_amount(public.payments) from public;
revoke all on function private.is_refund_left(public.refunds) from public;
revoke all on function private.refund_tax(public.payments, numeric) from public;
revoke all on function private.create_refund(
    public.payments, numeric, numeric, text, uuid, text, boolean
) from public;
revoke all on function private.return_money(public.payments) from public;
revoke all on function private.refund_payment(public.payments, numeric, jsonb, text, uuid)
from public;
revoke all on function private.price_refund_items(public.payments, jsonb) from public;
revoke all on function private.check_reason(text) from public;

comment on function private.share_of_units(numeric, integer, integer, text) is
'What the first taken of units equal pieces cost together, largest remainder first.';
comment on function private.refundable_items(uuid) is
'Each line of an order with what it cost in the end (total: less its discount, with its share of '
'shipping and duty; tax contained) and how many pieces are refunded or about to be.';
comment on function private.refund_as_json(public.refunds) is
'A refund as service functions answer it.';
comment on function private.refund_open_amount(public.payments) is
'What of a payment''s money has neither gone back nor is on its way.';
comment on function private.is_refund_left(public.refunds) is
'Whether what a refund was to give back is still there to be given.';
comment on function private.refund_tax(public.payments, numeric) is
'The tax that goes back with an amount of a payment that is still open.';
comment on function private.create_refund(
    public.payments, numeric, numeric, text, uuid, text, boolean
) is
'Writes a refund and its job; where no rail can carry it, it stands before a person. is_done: the '
'money is back already, the caller completes it.';
comment on function private.return_money(public.payments) is
'Gives all of a payment back by itself where its rail can: the refund''s id, null where a person '
'has to.';
comment on function private.refund_payment(public.payments, numeric, jsonb, text, uuid) is
'Refunds a paid payment: all that is left, an amount, or pieces of its lines. Errors: '
'payment_not_refundable, refund_amount_invalid, refund_amount_too_large, refund_items_invalid.';
comment on function private.price_refund_items(public.payments, jsonb) is
'[{order_item_id, quantity}] with the amount and tax of these pieces. Error: '
'refund_items_invalid.';
comment on function private.check_reason(text) is
'A reason of 1 to 300 characters on one line. Errors: reason_invalid, card_number_refused.';

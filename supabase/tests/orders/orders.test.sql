-- What no order, line or event can be, whoever writes it: every constraint of the three tables.
begin;
\ir ../_helpers.psql
select plan(53);

-- given an order of two lines with a code
select tests.make_user('amina', 'fr', 'CM');
select tests.make_product('shoe');
select tests.make_wholesale_product('box');
select tests.make_affiliate('pat');
select tests.make_promo_code('PAT10', 'pat');
select tests.place_order(
    'order', 'amina', jsonb_build_array(tests.item('shoe', 2), tests.item('box', 10)),
    promo_code => 'PAT10'
);
select tests.place_order('second', 'amina', jsonb_build_array(tests.item('shoe', 1)));

create table tests.breaks (table_name text, constraint_name text, sql text, title text);
insert into tests.breaks values
('orders', 'orders_order_number_key',
    'update public.orders set order_number = (select o.order_number from public.orders as o '
    'where o.id = tests.id(''second'')) where id = tests.id(''order'')',
    'two orders of one number'),
('orders', 'orders_pkey', 'update public.orders set id = tests.id(''second'') '
    'where id = tests.id(''order'')', 'two orders of one id'),
('orders', 'orders_language_is_known', 'update public.orders set language = ''de'' '
    'where id = tests.id(''second'')', 'an order in German'),
('orders', 'orders_exchange_rate_is_whole', 'update public.orders set exchange_rate = 600 '
    'where id = tests.id(''second'')', 'an order with a rate of nobody''s'),
('orders', 'orders_exchange_rate_positive', 'update public.orders set exchange_rate = 0, '
    'exchange_rate_source = ''test'', exchange_rate_at = now() '
    'where id = tests.id(''second'')', 'an order at a rate of nothing'),
('orders', 'orders_amounts_not_negative', 'update public.orders set subtotal_price = 0, '
    'total_price = 3500 where id = tests.id(''second'')', 'an order of goods for nothing'),
('orders', 'orders_amounts_not_negative', 'update public.orders set shipping_amount = -1, '
    'total_price = 4999 where id = tests.id(''second'')', 'an order with negative delivery'),
('orders', 'orders_amounts_not_negative', 'update public.orders set duty_amount = -1, '
    'total_price = 8499 where id = tests.id(''second'')', 'an order with negative duty'),
('orders', 'orders_amounts_not_negative', 'update public.orders set tax_amount = 0 '
    'where id = tests.id(''second'')', 'an order with less tax than its delivery'),
('orders', 'orders_amounts_not_negative', 'update public.orders set shipping_tax_amount = -1 '
    'where id = tests.id(''second'')', 'an order with negative tax on its delivery'),
('orders', 'orders_amounts_not_negative', 'update public.orders set discount_amount = -1, '
    'total_price = 35001 where id = tests.id(''order'')', 'an order with a negative discount'),
('orders', 'orders_total_positive', 'update public.orders set discount_amount = 38500, '
    'total_price = 0 where id = tests.id(''order'')', 'an order for nothing'),
('orders', 'orders_total_adds_up', 'update public.orders set total_price = total_price + 0.01 '
    'where id = tests.id(''second'')', 'an order whose total is not its sum'),
('orders', 'orders_promo_code_is_whole', 'update public.orders set promo_code = null '
    'where id = tests.id(''order'')', 'an order with half a promo code'),
('orders', 'orders_discount_has_promo_code', 'update public.orders set promo_code = null, '
    'promo_code_id = null where id = tests.id(''order'')', 'an order with a discount by nobody'),
('orders', 'orders_shipping_address_is_object',
    'update public.orders set shipping_address = ''[]'' '
    'where id = tests.id(''second'')', 'an order to a list'),
('orders', 'orders_cancel_reason_is_one_line', 'update public.orders set status = ''cancelled'', '
    'cancelled_at = now(), cancel_reason = E''a\nb'' where id = tests.id(''second'')',
    'an order cancelled for a reason of two lines'),
('orders', 'orders_cancel_reason_is_one_line', 'update public.orders set status = ''cancelled'', '
    'cancelled_at = now(), cancel_reason = repeat(''a'', 301) where id = tests.id(''second'')',
    'an order cancelled for a long reason'),
('orders', 'orders_holds_no_card_number', 'update public.orders set status = ''cancelled'', '
    'cancelled_at = now(), cancel_reason = ''charged to 4111-1111-1111-1111'' '
    'where id = tests.id(''second'')', 'an order cancelled with a card number'),
('orders', 'orders_holds_no_card_number', 'update public.orders set shipping_address = '
    'shipping_address || ''{"landmark": "4111111111111111"}'' where id = tests.id(''second'')',
    'an order to a card number'),
('orders', 'orders_pending_has_expiry', 'update public.orders set expires_at = null '
    'where id = tests.id(''second'')', 'a pending order that holds for ever'),
('orders', 'orders_paid_has_time', 'update public.orders set status = ''paid'' '
    'where id = tests.id(''second'')', 'a paid order without its time'),
('orders', 'orders_shipped_has_time', 'update public.orders set status = ''shipped'' '
    'where id = tests.id(''paid'')', 'a shipped order without its time'),
('orders', 'orders_delivered_has_time', 'update public.orders set status = ''delivered'' '
    'where id = tests.id(''shipped'')', 'a delivered order without its time'),
('orders', 'orders_cancelled_has_time_and_reason', 'update public.orders set '
    'status = ''cancelled'' where id = tests.id(''second'')', 'a cancelled order without a reason'),
('orders', 'orders_country_fkey', 'update public.orders set country = ''NG'' '
    'where id = tests.id(''second'')', 'an order to a country the shop does not know'),
('orders', 'orders_currency_fkey', 'update public.orders set currency = ''NGN'' '
    'where id = tests.id(''second'')', 'an order in a currency the shop does not know'),
('orders', 'orders_user_id_fkey', 'update public.orders set user_id = gen_random_uuid() '
    'where id = tests.id(''second'')', 'an order of nobody'),
('orders', 'orders_promo_code_id_fkey',
    'update public.orders set promo_code_id = gen_random_uuid() '
    'where id = tests.id(''order'')', 'an order with a code that is none'),

('order_items', 'order_items_pkey', 'update public.order_items set id = (select i.id from '
    'public.order_items as i where i.order_id = tests.id(''second'')) '
    'where order_id = tests.id(''order'') and line_number = 1', 'two lines of one id'),
('order_items', 'order_items_line_number_key', 'update public.order_items set line_number = 1 '
    'where order_id = tests.id(''order'') and line_number = 2', 'two first lines'),
('order_items', 'order_items_points_at_one_product', 'update public.order_items set '
    'retailer_product_id = tests.id(''box'') where order_id = tests.id(''second'')',
    'a line of two products'),
('order_items', 'order_items_points_at_one_product', 'update public.order_items set '
    'product_id = null where order_id = tests.id(''second'')', 'a line of no product'),
('order_items', 'order_items_quantity_positive', 'update public.order_items set quantity = 0 '
    'where order_id = tests.id(''second'')', 'a line of no pieces'),
('order_items', 'order_items_unit_price_positive', 'update public.order_items set unit_price = 0 '
    'where order_id = tests.id(''second'')', 'a line for nothing'),
('order_items', 'order_items_discount_fits', 'update public.order_items set '
    'discount_amount = 5000.01 where order_id = tests.id(''second'')',
    'a line that costs less than nothing'),
('order_items', 'order_items_discount_fits', 'update public.order_items set '
    'discount_amount = -0.01 where order_id = tests.id(''second'')', 'a line that costs more'),
('order_items', 'order_items_tax_not_negative', 'update public.order_items set tax_amount = -0.01 '
    'where order_id = tests.id(''second'')', 'a line with negative tax'),
('order_items', 'order_items_order_id_fkey', 'delete from public.orders '
    'where id = tests.id(''cancelled'')', 'an order deleted under its lines'),
('order_items', 'order_items_user_id_fkey', 'update public.order_items set '
    'user_id = gen_random_uuid() where order_id = tests.id(''second'')', 'a line of nobody'),
('order_items', 'order_items_product_id_fkey', 'delete from public.products '
    'where id = tests.id(''shoe'')', 'a product deleted under an order'),
('order_items', 'order_items_retailer_product_id_fkey', 'delete from public.products_retailer '
    'where id = tests.id(''box'')', 'a wholesale product deleted under an order'),
('order_items', 'order_items_variant_id_fkey', 'update public.order_items set '
    'variant_id = gen_random_uuid() where order_id = tests.id(''second'')',
    'a line of a variant that is not there'),
('order_items', 'order_items_currency_fkey', 'update public.order_items set currency = ''NGN'' '
    'where order_id = tests.id(''second'')', 'a line in a currency the shop does not know'),

('order_events', 'order_events_pkey', 'update public.order_events set id = (select e.id from '
    'public.order_events as e where e.order_id = tests.id(''second'')) '
    'where order_id = tests.id(''order'')', 'two events of one id'),
('order_events', 'order_events_kind_is_snake_case',
    'update public.order_events set kind = ''Paid'' '
    'where order_id = tests.id(''second'')', 'an event of an odd kind'),
('order_events', 'order_events_actor_type_is_known', 'update public.order_events set '
    'actor_type = ''robot'' where order_id = tests.id(''second'')', 'an event by a robot'),
('order_events', 'order_events_person_has_id', 'update public.order_events set actor_id = null '
    'where order_id = tests.id(''second'')', 'an event by some person'),
('order_events', 'order_events_order_id_fkey', 'update public.order_events set '
    'order_id = gen_random_uuid() where order_id = tests.id(''second'')', 'an event of no order'),
('order_events', 'order_events_user_id_fkey', 'update public.order_events set '
    'user_id = gen_random_uuid() where order_id = tests.id(''second'')', 'an event of nobody');

select tests.place_order(s.status, 'amina', jsonb_build_array(tests.item('shoe', 1)))
from (values ('paid'), ('shipped'), ('cancelled')) as s (status);
update public.orders set status = 'paid', paid_at = now()
where id in (tests.id('paid'), tests.id('shipped'));
update public.orders set status = 'shipped', shipped_at = now() where id = tests.id('shipped');
update public.orders set status = 'cancelled', cancelled_at = now(), cancel_reason = 'test'
where id = tests.id('cancelled');
delete from public.order_events where order_id = tests.id('cancelled');
delete from private.emails where order_id = tests.id('cancelled');

select tests.remember();
select tests.violates(b.sql, b.constraint_name, b.title || ' cannot be')
from tests.breaks as b;
select tests.nothing_changed('and none is');

select set_eq(
    $$ select c.conrelid::regclass::text, c.conname::text from pg_catalog.pg_constraint as c
       where c.conrelid in (
           'public.orders'::regclass, 'public.order_items'::regclass,
           'public.order_events'::regclass
       ) $$,
    $$ select format('public.%I', b.table_name)::regclass::text, b.constraint_name
       from tests.breaks as b $$,
    'these are all the constraints of the three tables'
);

-- A change stamps its time ------------------------------------------------------------------------

update public.orders set updated_at = now() - interval '1 day', tracking_number = 'DHL 1'
where id = tests.id('second');
select is(
    (select o.updated_at from public.orders as o where o.id = tests.id('second')), now(),
    'updated_at is the time of the change, whatever is written'
);

select * from finish();
rollback;

begin;
\ir ../_helpers.psql
select plan(10);

-- Who may do what with which table, view and sequence: all of it. A new table or grant fails here
-- until somebody has decided that it is meant.
create function tests.table_rights() returns setof text
language sql as $$
    -- whole tables
    select format(
        '%s: %s %s', case a.grantee when 0 then 'everyone' else a.grantee::regrole::text end,
        string_agg(lower(a.privilege_type), ', ' order by a.privilege_type), c.oid::regclass
    )
    from pg_catalog.pg_class as c
    cross join aclexplode(coalesce(
        c.relacl, acldefault(case c.relkind when 'S' then 's'::"char" else 'r' end, c.relowner)
    )) as a
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and c.relnamespace in (
            'public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace
        )
        and a.grantee <> c.relowner
    group by a.grantee, c.oid
    union all
    -- single columns
    select format(
        '%s: %s %s (%s)', case a.grantee when 0 then 'everyone' else a.grantee::regrole::text end,
        lower(a.privilege_type), c.oid::regclass,
        string_agg(t.attname, ', ' order by t.attname)
    )
    from pg_catalog.pg_class as c
    inner join pg_catalog.pg_attribute as t on c.oid = t.attrelid
    cross join aclexplode(t.attacl) as a
    where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        and a.grantee <> c.relowner
    group by a.grantee, a.privilege_type, c.oid
$$;

-- What everyone may read: the shelf and the reference data.
create function tests.public_shelf() returns setof text
language sql immutable as $$
    values ('categories'), ('countries'), ('currencies'), ('exchange_rates'), ('payment_methods'),
    ('payment_routes'), ('price_history'), ('price_tiers'), ('product_media'), ('product_prices'),
    ('product_ratings'), ('product_stock'), ('products'), ('products_retailer'),
    ('shipping_rates'), ('tax_rates')
$$;

select set_eq(
    $$select r from tests.table_rights() as r where r like 'anon:%'$$,
    $$
    select 'anon: select public.' || t from tests.public_shelf() as t
    union all
    -- not who wrote them
    values
    ('anon: select public.product_reviews (author_name, body, channel, created_at, id, language, '
        'listing_id, product_id, rating, retailer_product_id, status, title, updated_at)'),
    -- not the supplier's own number
    ('anon: select public.product_variants (created_at, id, is_active, listing_id, media_id, '
        'on_hand, options, options_fr, position, price_ratio, product_id, reserved, '
        'retailer_product_id, updated_at)')
    $$,
    'a guest reads the shelf and the reference data, writes nothing'
);
select set_eq(
    $$select r from tests.table_rights() as r where r like 'authenticated:%'$$,
    $$
    select 'authenticated: select public.' || t from tests.public_shelf() as t
    union all
    values
    -- read under row level security
    ('authenticated: select public.admins'),
    ('authenticated: select public.affiliate_payouts'),
    ('authenticated: select public.affiliate_stats'),
    ('authenticated: select public.affiliates'),
    ('authenticated: select public.cart_items'),
    ('authenticated: select public.carts'),
    ('authenticated: select public.notifications'),
    ('authenticated: select public.order_events'),
    ('authenticated: select public.order_items'),
    ('authenticated: select public.orders'),
    ('authenticated: select public.payments (action, amount, created_at, currency, expires_at, '
        'failure_reason, gateway, id, method, order_id, paid_at, reference, refunded_amount, '
        'status, updated_at, user_id)'),
    ('authenticated: select public.product_reviews (author_name, body, channel, created_at, id, '
        'language, listing_id, product_id, rating, retailer_product_id, status, title, '
        'updated_at)'),
    ('authenticated: select public.product_variants (created_at, id, is_active, listing_id, '
        'media_id, on_hand, options, options_fr, position, price_ratio, product_id, reserved, '
        'retailer_product_id, updated_at)'),
    ('authenticated: select public.product_views'),
    ('authenticated: select public.promo_codes'),
    ('authenticated: select public.refund_items'),
    ('authenticated: select public.refunds (amount, created_at, currency, id, order_id, '
        'payment_id, reason, refunded_at, status, tax_amount, updated_at, user_id, way)'),
    ('authenticated: select public.suppliers'),
    ('authenticated: select public.users'),
    -- written by the person
    ('authenticated: delete, select public.addresses'),
    ('authenticated: delete, select public.wishlist_items'),
    ('authenticated: insert public.wishlist_items (product_id, retailer_product_id)'),
    ('authenticated: delete, select public.saved_payment_methods'),
    ('authenticated: insert public.addresses (city, country, district, id, is_default, label, '
        'landmark, latitude, line1, longitude, phone, recipient_name)'),
    ('authenticated: update public.addresses (city, country, district, is_default, label, '
        'landmark, latitude, line1, longitude, phone, recipient_name)'),
    ('authenticated: update public.notifications (read_at)'),
    ('authenticated: update public.users (country, full_name, language, phone)')
    $$,
    'a shopper reads what is shown to them, writes addresses, profile and read marks, and '
    'forgets saved methods'
);
select set_eq(
    $$select r from tests.table_rights() as r where r like 'service_role:%'$$,
    $$
    values
    ('service_role: select public.affiliate_payouts'),
    ('service_role: select public.affiliate_stats'),
    ('service_role: select public.affiliates'),
    ('service_role: select public.cart_items'),
    ('service_role: select public.carts'),
    ('service_role: select public.countries'),
    ('service_role: select public.currencies'),
    ('service_role: select public.exchange_rates'),
    ('service_role: select public.notifications'),
    ('service_role: select public.order_events'),
    ('service_role: select public.order_items'),
    ('service_role: select public.orders'),
    ('service_role: select public.payment_methods'),
    ('service_role: select public.payment_routes'),
    ('service_role: select public.payments'),
    ('service_role: select public.product_ratings'),
    ('service_role: select public.product_reviews'),
    ('service_role: select public.product_views'),
    ('service_role: select public.price_history'),
    ('service_role: select public.promo_codes'),
    ('service_role: select public.refund_items'),
    ('service_role: select public.refunds'),
    ('service_role: select public.saved_payment_methods'),
    ('service_role: select public.shipping_rates'),
    ('service_role: select public.tax_rates'),
    ('service_role: select public.users'),
    ('service_role: select public.wishlist_items'),
    ('service_role: update public.users (country, full_name, language, phone)'),
    ('service_role: delete, insert, select public.admins'),
    ('service_role: delete, insert, select, update public.addresses'),
    ('service_role: delete, insert, select, update public.categories'),
    ('service_role: delete, insert, select, update public.price_tiers'),
    ('service_role: delete, insert, select, update public.product_media'),
    ('service_role: delete, insert, select, update public.product_prices'),
    ('service_role: delete, insert, select, update public.product_stock'),
    ('service_role: delete, insert, select, update public.product_variants'),
    ('service_role: delete, insert, select, update public.products'),
    ('service_role: delete, insert, select, update public.products_retailer'),
    ('service_role: delete, insert, select, update public.suppliers')
    $$,
    'the API key''s role fills the catalogue and appoints admins; orders and money it only reads'
);
select is_empty(
    $$
    select r from tests.table_rights() as r
    where split_part(r, ':', 1) not in ('anon', 'authenticated', 'service_role')
        and r <> 'mallgram_service: insert private.staged_products'
    $$,
    'nobody else has a right on a table, a view or a sequence: mallgram_service stages, no more'
);

-- the list sees what is added to it, by table and by column
grant select on private.outbox to mallgram_service;
select set_eq(
    $$
    select r from tests.table_rights() as r
    where split_part(r, ':', 1) not in ('anon', 'authenticated', 'service_role')
    $$,
    $$
    values
    ('mallgram_service: insert private.staged_products'),
    ('mallgram_service: select private.outbox')
    $$,
    'a right of the service is seen'
);
revoke select on private.outbox from mallgram_service;
grant update (is_admin) on public.users to authenticated;
select is(
    (
        select count(*) from tests.table_rights() as r
        where r = 'authenticated: update public.users '
            '(country, full_name, is_admin, language, phone)'
    ),
    1::bigint, 'a right on one more column is seen'
);
revoke update (is_admin) on public.users from authenticated;
grant select on public.orders to public;
select is(
    (select count(*) from tests.table_rights() as r where r = 'everyone: select public.orders'),
    1::bigint, 'a right of everyone is seen'
);
revoke select on public.orders from public;
select is(
    (select count(*) from tests.table_rights() as r where r like 'everyone:%'), 0::bigint,
    'and gone once it is taken back'
);

-- columns that decide about money or power are writable by no frontend, whatever the policies say
select is_empty(
    $$
    select r.role, c.table_name, c.column_name
    from information_schema.columns as c
    cross join unnest(array['anon', 'authenticated']) as r (role)
    where c.table_schema = 'public'
        and (
            c.column_name
            ~ 'price|amount|total|status|stock|on_hand|reserved|rate|currency|_count$'
            or c.column_name in ('is_admin', 'is_affiliate', 'user_id', 'email', 'is_winner')
        )
        and (
            has_column_privilege(
                r.role, format('public.%I', c.table_name), c.column_name, 'update'
            )
            or has_column_privilege(
                r.role, format('public.%I', c.table_name), c.column_name, 'insert'
            )
        )
    $$,
    'no frontend writes a price, an amount, a status, a stock, a role or an owner'
);
select is_empty(
    $$
    select c.oid::regclass, t.tgname
    from pg_catalog.pg_trigger as t
    inner join pg_catalog.pg_class as c on t.tgrelid = c.oid
    where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'auth'::regnamespace)
        and not t.tgisinternal
        and t.tgenabled <> 'O'
    $$,
    'no trigger is switched off'
);

select * from finish();
rollback;

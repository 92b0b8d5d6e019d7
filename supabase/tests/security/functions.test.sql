begin;
\ir ../_helpers.psql
select plan(45);

-- Every function of the shop, as schema.name(types).
create view tests.functions as
select
    p.oid,
    n.nspname as schema_name,
    -- types of public without their schema, to be read easily
    replace(p.oid::regprocedure::text, 'public.', '') as called,
    p.prosecdef, p.proconfig, p.prosrc, p.proname, p.prorettype, p.proretset, p.proowner, p.proacl
from pg_catalog.pg_proc as p
inner join pg_catalog.pg_namespace as n on p.pronamespace = n.oid
where n.nspname in ('public', 'private', 'service');
grant select on tests.functions to public;

-- Who may call what, everyone included; owners left out.
create function tests.callers(role_name text, schema_name text) returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    cross join aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as a
    where f.schema_name = callers.schema_name
        and a.privilege_type = 'EXECUTE'
        and a.grantee <> f.proowner
        and case a.grantee when 0 then 'everyone' else a.grantee::regrole::text end
        = callers.role_name
$$;

-- RPCs ----------------------------------------------------------------------------------------

select set_eq(
    $$select tests.callers('anon', 'public')$$,
    $$
    values
    ('list_reviews(uuid,text,text,integer)'),
    ('product_page(uuid,text,text)'),
    ('category_counts(text,product_channel)'),
    ('category_tree(text)'),
    ('explain_price(uuid,product_channel,integer,text,uuid)'),
    ('price_breaks(uuid,product_channel,text,uuid)'),
    ('product_facets(text,text,text,text,product_channel,numeric,numeric,numeric,boolean)'),
    ('record_search(text,text,integer)'),
    ('search_products(text,text,text,text,product_channel,numeric,numeric,numeric,boolean,text,'
        'text,integer)'),
    ('similar_products(uuid,text,text,integer)'),
    ('suggest_products(text,text)')
    $$,
    'a guest calls exactly these RPCs'
);
select set_eq(
    $$select tests.callers('authenticated', 'public')$$,
    $$
    values
    ('list_reviews(uuid,text,text,integer)'),
    ('product_page(uuid,text,text)'),
    ('add_to_cart(uuid,product_channel,integer,uuid)'),
    ('add_to_wishlist(uuid,product_channel)'),
    ('delete_review(uuid)'),
    ('my_reviews()'),
    ('recently_viewed(text,text,integer)'),
    ('record_product_view(uuid,product_channel)'),
    ('remove_from_cart(uuid,product_channel,uuid)'),
    ('remove_from_wishlist(uuid,product_channel)'),
    ('wishlist(text,text)'),
    ('write_review(uuid,integer,text,text,text)'),
    ('cancel_order(uuid,text)'),
    ('category_counts(text,product_channel)'),
    ('category_tree(text)'),
    ('explain_price(uuid,product_channel,integer,text,uuid)'),
    ('price_breaks(uuid,product_channel,text,uuid)'),
    ('check_promo_code(text,text)'),
    ('delete_saved_payment_method(uuid)'),
    ('mark_notifications_read(uuid[])'),
    ('merge_cart(jsonb)'),
    ('place_order(text,text,jsonb,text,jsonb,numeric)'),
    ('quote_cart(text,text)'),
    ('product_facets(text,text,text,text,product_channel,numeric,numeric,numeric,boolean)'),
    ('record_search(text,text,integer)'),
    ('search_products(text,text,text,text,product_channel,numeric,numeric,numeric,boolean,text,'
        'text,integer)'),
    ('similar_products(uuid,text,text,integer)'),
    ('suggest_products(text,text)'),
    ('update_order_address(uuid,jsonb)'),
    -- for admins, who are asked for inside
    ('accept_exchange_rate(uuid)'),
    ('price_roundings()'),
    ('price_rules()'),
    ('refused_exchange_rates()'),
    ('remove_price_rule(uuid)'),
    ('set_price(uuid,product_channel,text,numeric)'),
    ('set_price_roundings(text,jsonb)'),
    ('set_price_rule(text,product_channel,text,text,numeric,numeric,numeric,numeric,numeric,'
        'text,integer,text,integer)'),
    ('moderate_review(uuid,text,text,timestamp with time zone)'),
    ('reviews(text,text,integer)'),
    ('connect_supplier(text,text,uuid)'),
    ('exceptions(text,text,integer)'),
    ('map_supplier_category(text,text,uuid)'),
    ('product_source(uuid)'),
    ('quality_rules()'),
    ('readmit_product(text,text)'),
    ('release_held_columns(uuid,text[])'),
    ('request_sync(text)'),
    ('review_sync_run(uuid,text,text)'),
    ('set_quality_rule(text,numeric,numeric,boolean)'),
    ('supplier_categories(text,text,text,integer)'),
    ('sync_rejections(uuid,text,text,integer)'),
    ('sync_runs(text,integer)'),
    ('supplier_connections()'),
    ('payment_trail(uuid)'),
    ('resolve_exception(uuid,text,text)')
    $$,
    'a shopper calls exactly these RPCs'
);
select set_eq(
    $$select tests.callers('service_role', 'public')$$,
    $$
    values
    ('list_reviews(uuid,text,text,integer)'),
    ('product_page(uuid,text,text)'),
    ('category_counts(text,product_channel)'),
    ('category_tree(text)'),
    ('explain_price(uuid,product_channel,integer,text,uuid)'),
    ('price_breaks(uuid,product_channel,text,uuid)'),
    ('product_facets(text,text,text,text,product_channel,numeric,numeric,numeric,boolean)'),
    ('record_search(text,text,integer)'),
    ('search_products(text,text,text,text,product_channel,numeric,numeric,numeric,boolean,text,'
        'text,integer)'),
    ('similar_products(uuid,text,text,integer)'),
    ('suggest_products(text,text)')
    $$,
    'the API key''s role calls exactly these RPCs'
);
select set_eq(
    $$
    select f.called from tests.functions as f
    where f.schema_name = 'public' and f.prorettype = 'trigger'::regtype
    $$,
    $$values ('fn_after_affiliate_stat_insert()'), ('update_updated_at_column()')$$,
    'what else is in public are the seed''s two trigger functions'
);

-- private -------------------------------------------------------------------------------------

select set_eq(
    $$select tests.callers('anon', 'private')$$,
    $$
    values
    ('private.find_reviews(uuid,text,text,integer)'),
    ('private.product_page(uuid,text,text)'),
    ('private.caller_country()'),
    ('private.caller_language()'),
    ('private.explain_price(uuid,product_channel,integer,text,uuid)'),
    ('private.price_breaks(uuid,product_channel,text,uuid)'),
    ('private.category_counts(text,product_channel)'),
    ('private.fail(text,text)'),
    ('private.find_products(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean,text,text,integer)'),
    ('private.product_facets(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean)'),
    ('private.record_search(text,text,integer)'),
    ('private.similar_products(uuid,text,text,integer)'),
    ('private.suggest_products(text,text)'),
    ('private.is_admin(uuid)'),
    ('private.is_not_modified()')
    $$,
    'a guest''s RPCs and policies reach exactly these private functions'
);
select set_eq(
    $$select tests.callers('authenticated', 'private')$$,
    $$
    values
    ('private.add_wish(uuid,product_channel)'),
    ('private.delete_review(uuid)'),
    ('private.my_reviews()'),
    ('private.recent_views(text,text,integer)'),
    ('private.record_product_view(uuid,product_channel)'),
    ('private.remove_cart_item(uuid,product_channel,uuid)'),
    ('private.remove_wish(uuid,product_channel)'),
    ('private.wishlist(text,text)'),
    ('private.write_review(uuid,integer,text,text,text)'),
    ('private.find_reviews(uuid,text,text,integer)'),
    ('private.product_page(uuid,text,text)'),
    ('private.caller_country()'),
    ('private.caller_language()'),
    ('private.explain_price(uuid,product_channel,integer,text,uuid)'),
    ('private.price_breaks(uuid,product_channel,text,uuid)'),
    ('private.cancel_order(uuid,text)'),
    ('private.category_counts(text,product_channel)'),
    ('private.check_promo_code(text,text)'),
    ('private.fail(text,text)'),
    ('private.find_products(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean,text,text,integer)'),
    ('private.product_facets(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean)'),
    ('private.record_search(text,text,integer)'),
    ('private.similar_products(uuid,text,text,integer)'),
    ('private.suggest_products(text,text)'),
    ('private.has_login()'),
    ('private.is_admin(uuid)'),
    ('private.is_not_modified()'),
    ('private.place_order(text,text,jsonb,text,jsonb,numeric)'),
    ('private.quote_cart(text,text)'),
    ('private.round_money(numeric,text)'),
    ('private.set_cart_items(jsonb)'),
    ('private.update_order_address(uuid,jsonb)'),
    -- constraints of users and addresses, which are checked as whoever writes the row
    ('private.holds_card_number(text)'),
    ('private.is_card_number(text)'),
    ('private.passes_luhn(text)'),
    -- for admins, who are asked for inside
    ('private.accept_exchange_rate(uuid)'),
    ('private.price_roundings()'),
    ('private.price_rules()'),
    ('private.refused_exchange_rates()'),
    ('private.remove_price_rule(uuid)'),
    ('private.set_price(uuid,product_channel,text,numeric)'),
    ('private.set_price_roundings(text,jsonb)'),
    ('private.set_price_rule(text,product_channel,text,text,numeric,numeric,numeric,numeric,numeric,'
        || 'text,integer,text,integer)'),
    ('private.moderate_review(uuid,text,text,timestamp with time zone)'),
    ('private.reviews(text,text,integer)'),
    ('private.connect_supplier(text,text,uuid)'),
    ('private.exceptions(text,text,integer)'),
    ('private.map_supplier_category(text,text,uuid)'),
    ('private.product_source(uuid)'),
    ('private.quality_rules()'),
    ('private.readmit_product(text,text)'),
    ('private.release_held_columns(uuid,text[])'),
    ('private.request_sync(text)'),
    ('private.review_sync_run(uuid,text,text)'),
    ('private.set_quality_rule(text,numeric,numeric,boolean)'),
    ('private.supplier_categories(text,text,text,integer)'),
    ('private.sync_rejections(uuid,text,text,integer)'),
    ('private.sync_runs(text,integer)'),
    ('private.supplier_connections()'),
    ('private.payment_trail(uuid)'),
    ('private.resolve_exception(uuid,text,text)')
    $$,
    'a shopper''s RPCs and policies reach exactly these private functions'
);
select set_eq(
    $$select tests.callers('service_role', 'private')$$,
    $$
    values
    ('private.find_reviews(uuid,text,text,integer)'),
    ('private.product_page(uuid,text,text)'),
    ('private.caller_country()'),
    ('private.caller_language()'),
    ('private.explain_price(uuid,product_channel,integer,text,uuid)'),
    ('private.price_breaks(uuid,product_channel,text,uuid)'),
    ('private.category_counts(text,product_channel)'),
    ('private.fail(text,text)'),
    ('private.is_not_modified()'),
    ('private.find_products(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean,text,text,integer)'),
    ('private.product_facets(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean)'),
    ('private.record_search(text,text,integer)'),
    ('private.similar_products(uuid,text,text,integer)'),
    ('private.suggest_products(text,text)'),
    ('private.round_money(numeric,text)'),
    -- constraints of users and addresses
    ('private.holds_card_number(text)'),
    ('private.is_card_number(text)'),
    ('private.passes_luhn(text)')
    $$,
    'the API key''s role reaches exactly these private functions'
);

-- service -------------------------------------------------------------------------------------

create function tests.service_not_for_the_service() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    where f.schema_name = 'service'
        and not has_function_privilege('mallgram_service', f.oid, 'execute')
    union
    select f.called
    from tests.functions as f
    cross join aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as a
    where f.schema_name = 'service' and a.grantee not in (f.proowner, 'mallgram_service'::regrole)
    union
    select f.called
    from tests.functions as f
    where f.schema_name <> 'service'
        and has_function_privilege('mallgram_service', f.oid, 'execute')
$$;
select tests.proves(
    'service_not_for_the_service',
    'grant execute on function service.ping() to service_role',
    'service.ping()',
    'revoke execute on function service.ping() from service_role',
    'mallgram_service executes every service function, alone, and nothing else'
);
select tests.proves(
    'service_not_for_the_service',
    'grant execute on function private.emit(text, jsonb, text, timestamptz, text, boolean) '
    'to mallgram_service',
    'private.emit(text,jsonb,text,timestamp with time zone,text,boolean)',
    'revoke execute on function private.emit(text, jsonb, text, timestamptz, text, boolean) '
    'from mallgram_service',
    'mallgram_service reaches no core'
);

create function tests.service_answers_oddly() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    where f.schema_name = 'service'
        and (f.prorettype <> 'jsonb'::regtype or f.proretset or not f.prosecdef)
$$;
select tests.proves(
    'service_answers_oddly',
    'create function service.test_rows() returns setof uuid language sql security definer '
    'set search_path = '''' as ''select null::uuid''',
    'service.test_rows()',
    'drop function service.test_rows()',
    'every service function is a definer that answers one jsonb'
);

create function tests.open_to_everyone() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    cross join aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as a
    where a.grantee = 0
$$;
select tests.proves(
    'open_to_everyone',
    'grant execute on function private.cancel_order(uuid, text) to public',
    'private.cancel_order(uuid,text)',
    'revoke execute on function private.cancel_order(uuid, text) from public',
    'no function is open to everyone'
);

-- definer functions ---------------------------------------------------------------------------

create function tests.definers_in_public() returns setof text
language sql as $$
    select f.called from tests.functions as f where f.schema_name = 'public' and f.prosecdef
$$;
select tests.proves(
    'definers_in_public',
    'alter function public.category_tree(text) security definer',
    'category_tree(text)',
    'alter function public.category_tree(text) security invoker',
    'no function of public runs as its owner'
);
select set_eq(
    $$select f.called from tests.functions as f where f.schema_name = 'private' and f.prosecdef$$,
    $$
    values
    ('private.add_wish(uuid,product_channel)'),
    ('private.delete_review(uuid)'),
    ('private.my_reviews()'),
    ('private.recent_views(text,text,integer)'),
    ('private.record_product_view(uuid,product_channel)'),
    ('private.remove_cart_item(uuid,product_channel,uuid)'),
    ('private.remove_wish(uuid,product_channel)'),
    ('private.wishlist(text,text)'),
    ('private.write_review(uuid,integer,text,text,text)'),
    -- cores of RPCs, which act for auth.uid() alone
    ('private.cancel_order(uuid,text)'),
    ('private.check_promo_code(text,text)'),
    ('private.place_order(text,text,jsonb,text,jsonb,numeric)'),
    ('private.quote_cart(text,text)'),
    ('private.set_cart_items(jsonb)'),
    ('private.update_order_address(uuid,jsonb)'),
    -- cores of admins' RPCs, which ask first whether the caller is one
    ('private.accept_exchange_rate(uuid)'),
    ('private.price_roundings()'),
    ('private.price_rules()'),
    ('private.refused_exchange_rates()'),
    ('private.remove_price_rule(uuid)'),
    ('private.set_price(uuid,product_channel,text,numeric)'),
    ('private.set_price_roundings(text,jsonb)'),
    ('private.set_price_rule(text,product_channel,text,text,numeric,numeric,numeric,numeric,'
        || 'numeric,text,integer,text,integer)'),
    ('private.moderate_review(uuid,text,text,timestamp with time zone)'),
    ('private.reviews(text,text,integer)'),
    ('private.connect_supplier(text,text,uuid)'),
    ('private.supplier_connections()'),
    ('private.exceptions(text,text,integer)'),
    ('private.map_supplier_category(text,text,uuid)'),
    ('private.product_source(uuid)'),
    ('private.quality_rules()'),
    ('private.readmit_product(text,text)'),
    ('private.release_held_columns(uuid,text[])'),
    ('private.request_sync(text)'),
    ('private.review_sync_run(uuid,text,text)'),
    ('private.set_quality_rule(text,numeric,numeric,boolean)'),
    ('private.supplier_categories(text,text,text,integer)'),
    ('private.sync_rejections(uuid,text,text,integer)'),
    ('private.sync_runs(text,integer)'),
    ('private.payment_trail(uuid)'),
    ('private.resolve_exception(uuid,text,text)'),
    -- what an answer or a policy needs to know
    ('private.caller_country()'),
    ('private.caller_language()'),
    ('private.category_counts(text,product_channel)'),
    ('private.fail(text,text)'),
    ('private.has_login()'),
    ('private.is_admin(uuid)'),
    ('private.is_not_modified()'),
    -- counts that are closed, of goods that everybody may see
    ('private.category_counts(text,product_channel)'),
    -- what a page of the shop shows, for anybody
    ('private.explain_price(uuid,product_channel,integer,text,uuid)'),
    ('private.price_breaks(uuid,product_channel,text,uuid)'),
    ('private.find_reviews(uuid,text,text,integer)'),
    ('private.product_page(uuid,text,text)'),
    -- search behind its indexes: finds what is on sale, for anybody
    ('private.find_products(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean,text,text,integer)'),
    ('private.product_facets(text,text,text,text,product_channel,numeric,numeric,numeric,'
        || 'boolean)'),
    ('private.record_search(text,text,integer)'),
    ('private.similar_products(uuid,text,text,integer)'),
    ('private.suggest_products(text,text)'),
    -- triggers
    ('private.tg__check_tiers()'),
    ('private.tg_price_floors__hold_prices()'),
    ('private.tg_product_prices__check_floors()'),
    ('private.tg_product_prices__write_history()'),
    ('private.tg_product_reviews__count()'),
    ('private.tg_product_reviews__emit_decision()'),
    ('private.tg_product_media__leave_over()'),
    ('private.tg_product_stock__emit_restocked()'),
    ('private.tg_product_variants__note_catalogue_change()'),
    ('private.tg_product_prices__emit_freed()'),
    ('private.tg_products__emit_relisted()'),
    ('private.tg__note_catalogue_change()'),
    ('private.tg__search_inserted()'),
    ('private.tg_admins__mirror_is_admin()'),
    ('private.tg_price_tiers__hold()'),
    ('private.tg_products__hold_columns()'),
    ('private.tg_products_retailer__hold_columns()'),
    ('private.tg_auth_users__leave_out_card_numbers()'),
    ('private.tg_affiliate_payouts__post_commission()'),
    ('private.tg_affiliates__mirror_is_affiliate()'),
    ('private.tg_categories__search_updated()'),
    ('private.tg_ledger_entries__check_balance()'),
    ('private.tg_ledger_transactions__check_balance()'),
    ('private.tg_orders__check_transition()'),
    ('private.tg_orders__emit_messages()'),
    ('private.tg_orders__log_transition()'),
    ('private.tg_payments__check_transition()'),
    ('private.tg_product_stock__note_catalogue_change()'),
    ('private.tg_products__list_prices()'),
    ('private.tg_products__search_deleted()'),
    ('private.tg_products__search_updated()'),
    ('private.tg_refunds__check_transition()'),
    ('private.tg_search_synonyms__make_rewrites()'),
    ('private.tg_staged_products__refuse_late()'),
    ('private.tg_supplier_listings__refuse_removed()'),
    ('private.tg_users__emit_welcome()'),
    ('private.tg_users__forget_auth_user()'),
    ('private.tg_users__mirror_auth_user()'),
    ('private.tg_wishlist_items__check_count()')
    $$,
    'exactly these private functions run as their owner'
);
create function tests.definers_without_a_reason() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    where f.prosecdef
        and regexp_replace(obj_description(f.oid, 'pg_proc'), '\s+', ' ', 'g')
        !~ 'Definer because [^.]+\.'
    union all
    select f.called
    from tests.functions as f
    where not f.prosecdef and obj_description(f.oid, 'pg_proc') ~ 'Definer because'
$$;
select tests.proves(
    'definers_without_a_reason',
    'alter function private.round_money(numeric, text) security definer',
    'private.round_money(numeric,text)',
    'alter function private.round_money(numeric, text) security invoker',
    'every definer says why it is one, and nothing else says so'
);

-- A core that acts for a person asks who that is before anything else.
create function tests.cores_that_trust() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    where f.schema_name = 'private'
        and f.prosecdef
        and has_function_privilege('authenticated', f.oid, 'execute')
        and f.proname not in (
            'caller_country', 'caller_language', 'category_counts', 'explain_price', 'fail',
            'find_products', 'find_reviews', 'has_login', 'is_admin', 'is_not_modified',
            'price_breaks', 'product_facets', 'product_page', 'record_search', 'similar_products', 'suggest_products'
        )
        and f.prosrc !~ 'private\.(require_user|require_admin|lock_own_order)\('
$$;
select tests.proves(
    'cores_that_trust',
    'create function private.test_core(user_id uuid) returns void language sql security definer '
    'set search_path = '''' as ''select 1''; '
    'grant execute on function private.test_core(uuid) to authenticated',
    'private.test_core(uuid)',
    'drop function private.test_core(uuid)',
    'every core that a shopper reaches takes the person from the token'
);

-- What shows or moves everybody's money asks for an admin before it does anything else.
create function tests.admin_cores_that_ask_late() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    where f.schema_name = 'private'
        and f.prosecdef
        and f.prosrc ~ 'private\.require_admin\('
        and substring(f.prosrc from '(private\.[a-z_]+\(|\m(?:from|insert|update|delete)\M)')
        <> 'private.require_admin('
$$;
select tests.proves(
    'admin_cores_that_ask_late',
    'create function private.test_core() returns uuid language sql security definer '
    'set search_path = '''' as ''select p.id from public.payments as p '
    'where p.id = private.require_admin()''',
    'private.test_core()',
    'drop function private.test_core()',
    'every core of an admin''s RPC asks for an admin first'
);

-- all functions -------------------------------------------------------------------------------

create function tests.paths_unpinned() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    where not coalesce(f.proconfig @> array['search_path=""'], false)
$$;
select tests.proves(
    'paths_unpinned',
    'alter function private.is_admin(uuid) set search_path = public',
    'private.is_admin(uuid)',
    'alter function private.is_admin(uuid) set search_path = ''''',
    'every function pins an empty search_path'
);

create function tests.owned_by_others() returns setof text
language sql as $$
    select f.called from tests.functions as f where f.proowner <> 'postgres'::regrole
$$;
select tests.proves(
    'owned_by_others',
    'alter function private.is_admin(uuid) owner to supabase_admin',
    'private.is_admin(uuid)',
    'alter function private.is_admin(uuid) owner to postgres',
    'every function belongs to postgres, which is no superuser'
);

create function tests.overloads() returns setof text
language sql as $$
    select f.schema_name || '.' || f.proname
    from tests.functions as f
    group by f.schema_name, f.proname
    having count(*) > 1
$$;
select tests.proves(
    'overloads',
    'create function public.quote_cart(country integer) returns jsonb language sql '
    'set search_path = '''' as ''select null::jsonb''',
    'public.quote_cart',
    'drop function public.quote_cart(integer)',
    'no name means two functions'
);

-- PostgREST tries an RPC that raises 40001 again for ever: nothing reachable raises it or runs
-- above READ COMMITTED.
create function tests.retried_for_ever() returns setof text
language sql as $$
    select f.called
    from tests.functions as f
    where f.prosrc ~* '40001|40P01|serialization_failure|serializable|repeatable\s+read|isolation'
        or f.proconfig::text ~* 'isolation'
$$;
select tests.proves(
    'retried_for_ever',
    'create function private.test_retry() returns void language plpgsql set search_path = '''' '
    'as ''begin raise exception using errcode = ''''40001''''; end''',
    'private.test_retry()',
    'drop function private.test_retry()',
    'no function raises 40001 or asks for more than READ COMMITTED'
);

-- A refusal is raised in one place, from the catalogue; the rate limit alone needs a header.
select set_eq(
    $$select f.called from tests.functions as f where f.prosrc ~* '\mraise\M'$$,
    $$
    values ('private.fail(text,text)'), ('private.require_rate_limit(text,text,integer)')
    $$,
    'no other function raises prose'
);

select * from finish();
rollback;

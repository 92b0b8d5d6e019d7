-- The catalogue's version: a number that every change of what anonymous pages show raises. Caches
-- compare it instead of being told: an answer of this version is good, whoever holds it.

create table private.catalogue_versions (
    slot uuid primary key default gen_random_uuid(),
    changes bigint not null default 1,
    constraint catalogue_versions_changes_positive check (changes > 0)
)
with (fillfactor = 50);

alter table private.catalogue_versions enable row level security;

comment on table private.catalogue_versions is
'The version is the sum of all slots. A change takes whichever slot is free and adds one when '
'there is none: nobody waits for another''s change, nor can two lock each other out.';

create or replace function private.catalogue_version()
returns bigint
language plpgsql
stable
set search_path = ''
as $$
begin
    return (select coalesce(sum(v.changes), 0) from private.catalogue_versions as v);
end
$$;

create or replace function private.note_catalogue_change()
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- A transaction is seen as a whole or not at all: it counts once.
    if current_setting('mallgram.catalogue_changed', true) = 'yes' then
        return;
    end if;
    update private.catalogue_versions as v
    set changes = v.changes + 1
    where v.slot = (
        select s.slot from private.catalogue_versions as s limit 1 for update skip locked
    );
    if not found then
        insert into private.catalogue_versions default values;
    end if;
    perform set_config('mallgram.catalogue_changed', 'yes', true);
end
$$;

create or replace function private.tg__note_catalogue_change()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- A statement that found nothing to change has changed nothing.
    if exists (select from changed) then
        perform private.note_catalogue_change();
    end if;
    return null;
end
$$;

create or replace function private.tg_product_stock__note_catalogue_change()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_least integer := 1;
begin
    if new.retailer_product_id is not null then
        select p.min_order_quantity into v_least
        from public.products_retailer as p
        where p.id = new.retailer_product_id;
    end if;
    if (old.available >= v_least) is distinct from (new.available >= v_least) then
        perform private.note_catalogue_change();
    end if;
    return null;
end
$$;

create or replace function service.catalogue_version()
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    return jsonb_build_object('version', private.catalogue_version());
end
$$;

create or replace function private.is_not_modified()
returns boolean
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_asked jsonb;
    v_tag text;
begin
    if coalesce(current_setting('request.method', true), '') not in ('GET', 'HEAD') then
        return false;
    end if;
    if current_setting('role', true) is distinct from 'anon' then
        perform set_config('response.headers', '[{"Cache-Control": "private, no-store"}]', true);
        return false;
    end if;
    v_asked := nullif(current_setting('request.headers', true), '')::jsonb;
    -- What no version follows, such as the number of pieces left, is at most a minute old. A CSV is
    -- another answer than the JSON of the same rows.
    v_tag := format(
        '"%s-%s-%s%s"', private.catalogue_version(), to_char(now(), 'DDDHH24MI'),
        coalesce(private.request_language(), 'none'),
        case
            when v_asked ->> 'accept' not in ('*/*', 'application/json')
                then '-' || left(md5(v_asked ->> 'accept'), 8)
        end
    );
    perform set_config(
        'response.headers',
        jsonb_build_array(
            jsonb_build_object(
                'Cache-Control',
                'public, max-age=30, s-maxage=5, stale-while-revalidate=10, stale-if-error=600'
            ),
            jsonb_build_object('ETag', 'W/' || v_tag),
            jsonb_build_object('Vary', 'Accept, Accept-Language, Authorization, Prefer, Range')
        )::text,
        true
    );
    if strpos(v_asked ->> 'if-none-match', v_tag) > 0 then
        perform set_config('response.status', '304', true);
        return true;
    end if;
    return false;
end
$$;

create trigger categories_90_note_insert
after insert on public.categories
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger categories_90_note_update
after update on public.categories
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger categories_90_note_delete
after delete on public.categories
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger products_90_note_insert
after insert on public.products
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger products_90_note_update
after update on public.products
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger products_90_note_delete
after delete on public.products
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger products_retailer_90_note_insert
after insert on public.products_retailer
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger products_retailer_90_note_update
after update on public.products_retailer
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger products_retailer_90_note_delete
after delete on public.products_retailer
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_prices_90_note_insert
after insert on public.product_prices
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_prices_90_note_update
after update on public.product_prices
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_prices_90_note_delete
after delete on public.product_prices
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_media_90_note_insert
after insert on public.product_media
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_media_90_note_update
after update on public.product_media
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_media_90_note_delete
after delete on public.product_media
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger price_tiers_90_note_insert
after insert on public.price_tiers
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger price_tiers_90_note_update
after update on public.price_tiers
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger price_tiers_90_note_delete
after delete on public.price_tiers
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

create trigger product_stock_90_note_insert
after insert on public.product_stock
referencing new table as changed
for each statement execute function private.tg__note_catalogue_change();

-- Every order changes stock. Only a listing that runs out or comes back changes a list, and of a
-- listing by the piece the condition alone tells that, without a call.
create trigger product_stock_90_note_update
after update on public.product_stock
for each row
when (
    (old.available > 0) is distinct from (new.available > 0)
    or (new.retailer_product_id is not null and old.available is distinct from new.available)
)
execute function private.tg_product_stock__note_catalogue_change();

create trigger product_stock_90_note_delete
after delete on public.product_stock
referencing old table as changed
for each statement execute function private.tg__note_catalogue_change();

revoke all on function private.catalogue_version() from public;
revoke all on function private.note_catalogue_change() from public;
revoke all on function private.tg__note_catalogue_change() from public;
revoke all on function private.tg_product_stock__note_catalogue_change() from public;
revoke all on function private.is_not_modified() from public;
revoke all on function service.catalogue_version() from public;
grant execute on function private.is_not_modified() to anon, authenticated, service_role;
grant execute on function service.catalogue_version() to mallgram_service;

comment on function private.catalogue_version() is
'The number of changes so far; two snapshots with the same number show the same catalogue.';
comment on function private.note_catalogue_change() is
'Raises the catalogue''s version when the transaction commits, once however often it is called; '
'waits for nobody.';
comment on function private.tg__note_catalogue_change() is
'Trigger: a statement that changed a row (transition table: changed) raises the version. Definer '
'because whoever may change goods may not touch the slots.';
comment on function private.tg_product_stock__note_catalogue_change() is
'Trigger: a listing that runs out, or is there again, raises the version. Definer because the '
'smallest order is asked of rows that the buyer may not see.';
comment on function service.catalogue_version() is
'{version}: what the edge compares its cache with. Definer because the slots are closed.';
comment on function private.is_not_modified() is
'What a GET RPC that answers everybody alike asks first. To anonymous callers it gives '
'Cache-Control, ETag and Vary; when they hold this version already it sets status 304 and is true, '
'and the answer need not be made. Others get no-store; without GET nothing is set. Definer because '
'the version is closed to callers.';

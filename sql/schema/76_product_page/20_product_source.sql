-- Where a product comes from: what an admin orders at the supplier, which no frontend sees.

create or replace function private.product_source(product_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_source jsonb;
begin
    perform private.require_admin();
    select
        jsonb_build_object(
            'product_id', p.id,
            'channel', p.channel,
            'platform', coalesce(l.platform, s.platform),
            'external_id', coalesce(l.external_id, p.external_id),
            'supplier', case
                when s.id is not null then jsonb_build_object(
                    'supplier_id', s.id, 'external_id', s.external_id, 'name', s.name,
                    'seller_rating', s.seller_rating
                )
            end,
            'cost', c.cost,
            'currency', c.currency,
            'variants', coalesce(
                (
                    select
                        jsonb_agg(
                            jsonb_build_object(
                                'variant_id', v.id, 'external_id', v.external_id,
                                'options', v.options, 'attributes', k.attributes, 'cost', k.cost,
                                'bulk_cost', k.bulk_cost, 'bulk_quantity', k.bulk_quantity,
                                'currency', k.currency, 'is_active', v.is_active
                            )
                            order by v.position, v.id
                        )
                    from public.product_variants as v
                    left join private.product_variant_sources as k on v.id = k.variant_id
                    where v.listing_id = p.id
                ), '[]'
            )
        )
    into v_source
    from (
        select
            r.id, 'retail'::public.product_channel as channel, r.external_id, r.supplier_id
        from public.products as r
        where r.id = product_source.product_id
        union all
        select w.id, 'wholesale', w.external_id, w.supplier_id
        from public.products_retailer as w
        where w.id = product_source.product_id
    ) as p
    left join private.supplier_listings as l on p.id = l.listing_id
    left join public.suppliers as s on p.supplier_id = s.id
    left join private.product_costs as c on p.id = c.listing_id;
    if v_source is null then
        perform private.fail('product_not_found', product_source.product_id::text);
    end if;
    return v_source;
end
$$;

create or replace function public.product_source(product_id uuid)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    return private.product_source(product_source.product_id);
end
$$;

revoke all on function private.product_source(uuid) from public;
revoke all on function public.product_source(uuid) from public;
grant execute on function private.product_source(uuid) to authenticated;
grant execute on function public.product_source(uuid) to authenticated;

comment on function private.product_source(uuid) is
'Core of product_source. Definer because suppliers'' ids and costs are closed to everyone; admins '
'only.';
comment on function public.product_source(uuid) is
'For admins: what a product is at its supplier: {product_id, channel, platform, external_id, '
'supplier {supplier_id, external_id, name, seller_rating}, cost, currency, variants [{variant_id, '
'external_id, options, attributes, cost, bulk_cost, bulk_quantity, currency, is_active}]}; null '
'where it is not known. Errors: authentication_required, admin_required, product_not_found.';

-- The counts of a catalogue that has not changed since are those of its listings.
select
    'category_counts' as check_name,
    coalesce(l.category_id, n.category_id) as subject_id,
    format(
        '%s %s: counted %s, on sale %s',
        coalesce(l.country, n.country), coalesce(l.channel, n.channel),
        coalesce(l.listings, 0), coalesce(n.listings, 0)
    ) as detail
from private.listing_counts as l
full join (
    select pp.country, pp.category_id, pp.channel, count(*) as listings
    from public.product_prices as pp
    where pp.is_listed
    group by pp.country, pp.category_id, pp.channel
) as n on l.country = n.country and l.category_id = n.category_id and l.channel = n.channel
where l.listings is distinct from n.listings
    and exists (
        select from private.counted_catalogue as c where c.version = private.catalogue_version()
    )

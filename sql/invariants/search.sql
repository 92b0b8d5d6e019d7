-- Search knows what is on sale and nothing else, but for what waits to be looked at again.
select
    'search' as check_name,
    coalesce(l.id, d.listing_id) as subject_id,
    case
        when d.listing_id is null then 'on sale and not to be found'
        else 'to be found and not on sale'
    end as detail
from (
    select p.id from public.products as p where p.is_active
    union all
    select p.id from public.products_retailer as p where p.is_active
) as l
full join private.search_documents as d on l.id = d.listing_id
where (l.id is null or d.listing_id is null)
    and not exists (
        select from private.search_queue as q where q.listing_id = coalesce(l.id, d.listing_id)
    )

-- The stars of a product are those of its approved reviews.
select
    'product_ratings' as check_name,
    coalesce(t.listing_id, r.listing_id) as subject_id,
    format(
        'stars %s %s %s %s %s, approved reviews have %s %s %s %s %s',
        coalesce(t.stars_1, 0), coalesce(t.stars_2, 0), coalesce(t.stars_3, 0),
        coalesce(t.stars_4, 0), coalesce(t.stars_5, 0),
        coalesce(r.stars_1, 0), coalesce(r.stars_2, 0), coalesce(r.stars_3, 0),
        coalesce(r.stars_4, 0), coalesce(r.stars_5, 0)
    ) as detail
from public.product_ratings as t
full join (
    select
        p.listing_id,
        count(*) filter (where p.rating = 1) as stars_1,
        count(*) filter (where p.rating = 2) as stars_2,
        count(*) filter (where p.rating = 3) as stars_3,
        count(*) filter (where p.rating = 4) as stars_4,
        count(*) filter (where p.rating = 5) as stars_5
    from public.product_reviews as p
    where p.status = 'approved'
    group by p.listing_id
) as r on t.listing_id = r.listing_id
where (
    coalesce(t.stars_1, 0), coalesce(t.stars_2, 0), coalesce(t.stars_3, 0),
    coalesce(t.stars_4, 0), coalesce(t.stars_5, 0)
) is distinct from (
    coalesce(r.stars_1, 0), coalesce(r.stars_2, 0), coalesce(r.stars_3, 0),
    coalesce(r.stars_4, 0), coalesce(r.stars_5, 0)
)

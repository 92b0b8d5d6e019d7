-- A code's reserved uses are its unpaid orders, its final uses its statistics.
select
    'promo_codes' as check_name,
    p.id as subject_id,
    format(
        'reserved %s of %s unpaid orders, used %s of %s statistics',
        p.reserved_count, o.unpaid, p.usage_count, s.counted
    ) as detail
from public.promo_codes as p
cross join lateral (
    select count(*) as unpaid
    from public.orders as x
    where x.promo_code_id = p.id and x.status = 'pending'
) as o
cross join lateral (
    select count(*) as counted
    from public.affiliate_stats as x
    where x.promo_code_id = p.id and x.reversed_at is null
) as s
where p.reserved_count <> o.unpaid or p.usage_count <> s.counted

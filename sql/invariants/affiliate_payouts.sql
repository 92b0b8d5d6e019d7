-- Each full block of uses of an affiliate's code has its payout.
-- One beyond the full blocks was approved before its uses were taken back.
select
    'affiliate_payouts' as check_name,
    p.id as subject_id,
    format(
        '%s uses in blocks of %s, %s payouts', p.usage_count, a.threshold_uses, b.blocks
    ) as detail
from public.promo_codes as p
inner join public.affiliates as a on p.affiliate_id = a.id
cross join lateral (
    select
        count(*) as blocks,
        count(*) filter (
            where x.payout_status = 'pending' and x.block_number > p.usage_count / a.threshold_uses
        ) as unearned
    from public.affiliate_payouts as x
    where x.promo_code_id = p.id and x.payout_status <> 'cancelled'
) as b
where b.blocks < p.usage_count / a.threshold_uses or b.unearned > 0

-- Why were goods left out of each supplier's newest sync, and which are they for example?
with newest as (
    select distinct on (r.platform) r.id, r.platform
    from private.sync_runs as r
    where r.status = 'done'
    order by r.platform, r.started_at desc
)

select
    n.platform,
    i.reason,
    count(*) as goods,
    round(100.0 * count(*) / sum(count(*)) over (partition by n.platform), 1) as percent,
    (array_agg(i.title_en order by i.external_id) filter (where i.title_en is not null))[1:2]
        as for_example,
    case
        when i.reason = 'category_unmapped' then 'supplier_categories(), map_supplier_category()'
        when q.rule is not null then 'set_quality_rule()'
    end as decided_by
from newest as n
inner join private.sync_items as i on n.id = i.run_id
left join private.quality_rules as q on i.reason = q.rule
where i.reason is not null
group by n.platform, i.reason, q.rule
order by n.platform, goods desc, i.reason

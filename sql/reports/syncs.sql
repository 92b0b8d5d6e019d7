-- What did each sync of a supplier's catalogue bring, and what did it leave out?
select
    r.started_at,
    r.platform,
    r.status,
    date_trunc('second', coalesce(r.ended_at, now()) - r.started_at) as took,
    (r.counts ->> 'found')::integer as found,
    (r.counts ->> 'accepted')::integer as accepted,
    (r.counts ->> 'new')::integer as new,
    (r.counts ->> 'changed')::integer as changed,
    (r.counts ->> 'repriced')::integer as repriced,
    (r.counts ->> 'delisted')::integer as delisted,
    (
        select string_agg(n.key || ' ' || n.value, ', ' order by n.value::integer desc, n.key)
        from jsonb_each_text(r.counts -> 'rejected') as n
    ) as left_out,
    coalesce(r.failure, r.pause_reason) as trouble
from private.sync_runs as r
order by r.started_at desc
limit 50

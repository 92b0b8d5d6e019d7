-- What do people search for most, and how much of it do they find?
select
    s.language,
    s.query,
    count(*) as searches,
    count(*) filter (where s.results = 0) as in_vain,
    round(avg(s.results), 1) as results,
    max(s.created_at) as last_at
from private.searches as s
where s.created_at > now() - interval '30 days'
group by s.language, s.query
order by searches desc, s.query
limit 50

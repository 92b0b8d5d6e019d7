-- What do people search for and not find?
select
    s.language,
    s.query,
    count(*) as searches,
    max(s.created_at) as last_at,
    nullif(btrim(private.mend_query(s.query)), s.query) as would_be_mended_to
from private.searches as s
where s.results = 0 and s.created_at > now() - interval '30 days'
group by s.language, s.query
order by searches desc, s.query
limit 100

begin;
\ir ../_helpers.psql
select plan(7 + 5 * 7 * 4);

-- the foundation's tables are closed to everyone: no policy, no grant
select tests.make_user('amina');
select tests.make_admin('ada');
create function tests.foundation_tables() returns setof text
language sql immutable as $$
    values ('error_codes'), ('idempotency_keys'), ('jobs'), ('outbox'), ('rate_limit_rules'),
    ('rate_limits'), ('schedules')
$$;

select tests.has_policies('private.' || t)
from tests.foundation_tables() as t;

select tests.act_as_anon();
select tests.closed('private.' || t) from tests.foundation_tables() as t;
select tests.act_as('amina');
select tests.closed('private.' || t) from tests.foundation_tables() as t;
select tests.act_as('ada');
select tests.closed('private.' || t) from tests.foundation_tables() as t;
select tests.act_as_service_role();
select tests.closed('private.' || t) from tests.foundation_tables() as t;
select tests.act_as_service();
select tests.closed('private.' || t) from tests.foundation_tables() as t;

select * from finish();
rollback;

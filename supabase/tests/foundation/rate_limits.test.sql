begin;
\ir ../_helpers.psql
select plan(28);

-- given a bucket of 4 that fills in 40 seconds: a token every 10 seconds
insert into private.rate_limit_rules (action, capacity, refill)
values ('test_action', 4, interval '40 seconds'), ('test_other', 1, interval '1 hour');

create function tests.take(subject text, action text default 'test_action') returns jsonb
language sql as $$ select service.take_rate_limit(take.action, take.subject) $$;
create function tests.wind_back(subject text, wait interval) returns void
language sql security definer as $$
    update private.rate_limits as l
    set refilled_at = l.refilled_at - wind_back.wait
    where l.subject = wind_back.subject
$$;

-- when it is emptied
select tests.act_as_service();
select is(
    array(select tests.take('ip:a') from generate_series(1, 4)),
    array_fill('{"allowed": true, "retry_after": 0}'::jsonb, array[4]),
    'a full bucket gives its capacity at once'
);
select is(
    tests.take('ip:a'), '{"allowed": false, "retry_after": 10}'::jsonb,
    'an empty bucket says how long a token takes'
);
select is(
    tests.take('ip:a'), '{"allowed": false, "retry_after": 10}'::jsonb,
    'a refused attempt costs nothing'
);
select is(tests.take('ip:b') ->> 'allowed', 'true', 'another subject has a bucket of its own');
select is(
    tests.take('ip:a', 'test_other') ->> 'allowed', 'true', 'so has another action'
);
select is(
    tests.take('ip:a', 'test_other'), '{"allowed": false, "retry_after": 3600}'::jsonb,
    'each action at its own rate'
);

-- when time passes
select tests.wind_back('ip:a', '4 seconds');
select is(
    tests.take('ip:a'), '{"allowed": false, "retry_after": 6}'::jsonb,
    'after 4 seconds 6 are left to wait'
);
select tests.wind_back('ip:a', '6 seconds');
select is(tests.take('ip:a') ->> 'allowed', 'true', 'after 10 seconds there is one token');
select is(
    tests.take('ip:a'), '{"allowed": false, "retry_after": 10}'::jsonb, 'and no second one'
);
select tests.wind_back('ip:a', '25 seconds');
select is(
    array(select tests.take('ip:a') ->> 'allowed' from generate_series(1, 3)),
    array['true', 'true', 'false'], 'after 25 seconds there are two'
);
select is(
    tests.take('ip:a') ->> 'retry_after', '5', 'and half of the third'
);
select tests.wind_back('ip:a', '1 day');
select is(
    array(select tests.take('ip:a') ->> 'allowed' from generate_series(1, 5)),
    array['true', 'true', 'true', 'true', 'false'], 'a long rest never fills it above capacity'
);
select throws_ok(
    $$select tests.take('ip:a', 'no_such_action')$$, 'P0002', null,
    'an action without a rule is a bug, not a free pass'
);

-- an RPC refuses with the wait in a header, which only SQLSTATE PGRST carries
select tests.act_as_owner();
select lives_ok(
    $$select private.require_rate_limit('test_other', 'user:c')$$, 'a token lets the caller pass'
);
select tests.remember();
select tests.refuses(
    $$select private.require_rate_limit('test_other', 'user:c')$$,
    'PGRST rate_limit_exceeded', 'without one the caller is refused',
    '{"status": 429, "headers": {"Retry-After": "3600"}}'
);
select is(
    (tests.attempt($$select private.require_rate_limit('test_other', 'user:c')$$)).message::jsonb,
    '{
        "code": "PT429", "message": "Too many attempts. Wait a little and try again.",
        "details": "test_other", "hint": "rate_limit_exceeded"
    }'::jsonb,
    'in the shape of every other refusal'
);
select tests.speaks('fr');
select is(
    (tests.attempt(
        $$select private.require_rate_limit('test_other', 'user:c')$$
    )).message::jsonb ->> 'message',
    'Trop de tentatives. Patientez un peu puis réessayez.', 'in the reader''s language'
);
select tests.speaks(null);
select tests.nothing_changed('a refusal writes nothing');

-- looking takes nothing
select is(
    array(
        select private.take_rate_limit('test_action', 'user:looks', 0) from generate_series(1, 9)
    ),
    array_fill(0, array[9]), 'a look at a full bucket takes no token'
);
select is(
    array(select private.take_rate_limit('test_action', 'user:looks') from generate_series(1, 5)),
    '{0,0,0,0,10}', 'so that all of them are left'
);
select is(
    private.take_rate_limit('test_action', 'user:looks', 0), 10, 'a look at an empty one is refused'
);

-- what was shipped
select results_eq(
    $$
    select r.action, r.capacity, r.refill
    from private.rate_limit_rules as r
    where r.action not like 'test%'
    order by r.action
    $$,
    $$
    values
    ('login', 10, interval '5 minutes'),
    ('login_address', 100, interval '5 minutes'),
    ('password_reset', 5, interval '15 minutes'),
    ('password_reset_address', 30, interval '15 minutes'),
    ('payment_initialize', 20, interval '5 minutes'),
    ('promo_check', 20, interval '10 minutes'),
    ('record_search', 60, interval '1 minute'),
    ('register', 30, interval '1 hour'),
    ('review', 30, interval '1 hour'),
    ('verify', 10, interval '15 minutes'),
    ('verify_address', 60, interval '15 minutes'),
    ('webhook_unverified', 60, interval '1 minute')
    $$,
    'each action has its limit'
);
select tests.violates(
    $$insert into private.rate_limit_rules values ('test_zero', 0, '1 minute')$$,
    'rate_limit_rules_capacity_positive', 'a bucket holds something'
);
select tests.violates(
    $$insert into private.rate_limit_rules values ('test_zero', 1, '0')$$,
    'rate_limit_rules_refill_positive', 'a bucket fills in some time'
);
select is(
    (
        select c.relpersistence::text
        from pg_catalog.pg_class as c where c.oid = 'private.rate_limits'::regclass
    ),
    'u', 'buckets are unlogged: a crash forgives'
);

-- nobody but the service
select tests.act_as_service_role();
select tests.denies($$select tests.take('ip:a')$$, 'the API key''s role cannot take tokens');
select tests.act_as_anon();
select tests.denies($$select tests.take('ip:a')$$, 'a guest cannot take tokens');
select tests.act_as_owner();
delete from private.rate_limit_rules where action like 'test%';
select is(
    (
        select count(*) from private.rate_limits as l
        where l.subject in ('ip:a', 'ip:b', 'user:c', 'user:looks')
    ),
    0::bigint, 'buckets go with their rule'
);

select * from finish();
rollback;

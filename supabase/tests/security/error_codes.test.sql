begin;
\ir ../_helpers.psql
select plan(9);

-- Refusals that the test files name, e.g. 'PT409 stock_insufficient'. psql reads the files itself,
-- from wherever in the repository the tests were started.
\set repository `test -d supabase/tests && pwd || git rev-parse --show-toplevel`
\setenv REPOSITORY :repository
\setenv REFUSAL '''(PT[0-9]{3}|PGRST) [a-z_]+'''
\set refusals `grep -hoE "$REFUSAL" "$REPOSITORY"/supabase/tests/*/*.test.sql | sort -u`
create temp table tested as
select split_part(r, ' ', 1) as state, split_part(r, ' ', 2) as code
from regexp_split_to_table(replace(:'refusals', '''', ''), '\n') as r;

-- Codes that stand in the body of a function: what SQL raises. What a poll found (outcome = …) is
-- none of them.
create function tests.raised_by_sql() returns setof text
language sql as $$
    select e.code
    from private.error_codes as e
    where exists (
        select
        from pg_catalog.pg_proc as p
        where p.pronamespace in (
            'public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace
        )
        and regexp_replace(p.prosrc, '\moutcome = ''[a-z_]+''', '', 'g')
        like '%''' || e.code || '''%'
    )
$$;

-- every code that SQL raises is raised by some test
create function tests.codes_untested() returns setof text
language sql as $$
    select c from tests.raised_by_sql() as c
    except
    select t.code from tested as t
$$;
select tests.proves(
    'codes_untested',
    $breach$
    insert into private.error_codes values ('test_code', 418, 'A test.', 'Un test.');
    create function private.test_raise() returns void language plpgsql set search_path = ''
    as $$ begin perform private.fail('test_code'); end $$
    $breach$,
    'test_code',
    $mend$
    drop function private.test_raise();
    delete from private.error_codes where code = 'test_code'
    $mend$,
    'every code that SQL raises is raised by some test'
);

-- what SQL does not raise is the edge's: its own refusals and its words for what others raise
select set_eq(
    $$
    select e.code from private.error_codes as e
    except
    select tests.raised_by_sql()
    $$,
    $$
    values
    ('already_exists'), ('auth_unavailable'), ('body_too_large'), ('conflict'),
    ('data_api_unavailable'), ('database_busy'), ('database_timeout'), ('database_unavailable'),
    ('email_not_confirmed'), ('field_unknown'), ('idempotency_key_required'),
    ('internal_error'), ('invalid_credentials'), ('json_malformed'),
    ('media_type_unsupported'), ('method_not_allowed'), ('not_allowed'), ('not_found'),
    ('payment_gateway_unavailable'), ('payment_outcome_unknown'),
    ('payment_rejected'), ('reference_unknown'), ('service_unavailable'),
    ('statement_column_invalid'), ('statement_line_uneven'), ('statement_quote_invalid'),
    ('statement_type_unsupported'), ('still_referenced'),
    ('text_not_one_line'), ('token_expired'), ('token_invalid'), ('value_malformed'),
    ('value_not_allowed'), ('value_out_of_range'),
    ('verification_code_invalid'), ('weak_password'), ('webhook_not_verifiable'),
    ('webhook_signature_invalid')
    $$,
    'what SQL does not raise is the edge''s'
);

-- nobody raises what the catalogue does not have
create function tests.codes_unknown() returns setof text
language sql as $$
    select distinct m[1]
    from pg_catalog.pg_proc as p
    cross join regexp_matches(p.prosrc, 'private\.fail\(\s*''([^'']+)''', 'g') as m
    where p.pronamespace in (
        'public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace
    )
    except
    select e.code from private.error_codes as e
$$;
select tests.proves(
    'codes_unknown',
    $breach$
    create function private.test_raise() returns void language plpgsql set search_path = ''
    as $$ begin perform private.fail('no_such_code'); end $$
    $breach$,
    'no_such_code',
    'drop function private.test_raise()',
    'every code that SQL raises is in the catalogue'
);

-- and the tests expect the catalogue's statuses
select is_empty(
    $$
    select t.state, t.code, e.status
    from tested as t
    left join private.error_codes as e on t.code = e.code
    where t.state is distinct from 'PT' || e.status
        and (t.state, t.code, e.status) is distinct from ('PGRST', 'rate_limit_exceeded', 429)
    $$,
    'every refusal that a test expects has its code''s status'
);
select cmp_ok(
    (select count(*) from tested), '>=', (select count(*) from tests.raised_by_sql()),
    'the test files were found and read'
);

select * from finish();
rollback;
